"""What the choice of threads is compared with, and how turns are summed up."""

import random

import pytest

from experiments import thread_choice

SECONDS = {None: 2.2, 1: 2.0, 2: 4.0}


@pytest.fixture
def turn(monkeypatch):
    monkeypatch.setattr(thread_choice, "train", lambda number: {"num_threads": number or 2, "epoch_s": SECONDS[number]})
    return thread_choice.take_turn(0, random.Random(0))


def test_chosen_number_is_compared_with_the_better_of_one_and_two(turn):
    assert turn["ratio"] == 1.1
    assert turn["chosen_threads"] == 2
    assert sorted(turn["order"], key=str) == [1, 2, "chosen"]


def test_turns_are_summed_up_by_their_median_and_those_above_the_bar(turn):
    slow = turn | {"ratio": 1.5, "chosen_s": 3.0}

    case = thread_choice.summarise(0, [turn, turn, slow])

    assert case["ratio_median"] == 1.1
    assert case["ratio_max"] == 1.5
    assert case["above_the_bar"] == 1
    assert case["chosen_threads"] == {"2": 3}
