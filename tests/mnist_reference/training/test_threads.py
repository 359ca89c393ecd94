import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mnist_reference.models.networks import CnnConfig, initialised
from mnist_reference.training import threads
from mnist_reference.training.recipes import article, cnn_99_5
from mnist_reference.training.threads import fastest_number, fewest_of_the_fast, given_number, numbers_to_try


class Clock:
    """Time that passes by as much for each step as is said for the number of threads that computes it."""

    def __init__(self, monkeypatch, seconds_a_step):
        self.now, self.num_steps, self.numbers = 0.0, 0, []
        make_way = threads._way

        def way(model, split, recipe):
            run = make_way(model, split, recipe)

            def timed(batches, rates):
                self.numbers.append(torch.get_num_threads())
                self.num_steps += len(batches)
                self.now += len(batches) * seconds_a_step[torch.get_num_threads()]
                return run(batches, rates)

            return timed

        monkeypatch.setattr(threads, "_way", way)

    def __call__(self):
        return self.now


SMALL_CNN = replace(cnn_99_5(), model=CnnConfig(channels=(2, 3, 4, 4)), batch_size=8)


@pytest.mark.parametrize(
    ("seconds_a_step", "expected"),
    [
        pytest.param({1: 2.0, 2: 1.0, 3: 0.7}, 3, id="all", marks=pytest.mark.slow),
        pytest.param({1: 2.0, 2: 1.0, 3: 1.5}, 2, id="some"),
        pytest.param({1: 1.0, 2: 60.0, 3: 110.0}, 1, id="busy-machine"),
        pytest.param({1: 1.0, 2: 0.95, 3: 0.94}, 1, id="hardly-any-gain", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(replace(article(), num_epochs=30), id="faster"),
        pytest.param(SMALL_CNN, id="plain", marks=pytest.mark.slow),
    ],
)
def test_the_fastest_number_of_threads_is_taken(monkeypatch, digits_data, recipe, seconds_a_step, expected):
    model = initialised(recipe.model, seed=0)
    before = [value.clone() for value in model.state_dict().values()]
    clock = Clock(monkeypatch, seconds_a_step)

    found = fastest_number(model, digits_data.train, recipe, allowed=3, clock=clock)

    assert found == expected
    assert max(clock.numbers) == 3
    assert torch.get_num_threads() == 1
    assert all(map(torch.equal, before, model.state_dict().values()))


def test_finding_out_takes_a_small_share_of_the_training(monkeypatch, digits_data):
    recipe = replace(article(), num_epochs=30)
    clock = Clock(monkeypatch, {1: 1.0, 2: 1.0})

    fastest_number(initialised(recipe.model, seed=0), digits_data.train, recipe, allowed=2, clock=clock)

    num_warm = 2
    assert 0 < clock.num_steps - num_warm <= threads.SHARE_TRIED * 30 * 23


@pytest.mark.parametrize(("num_epochs", "allowed"), [(1, 2), (1000, 1)], ids=["short-training", "one-thread-allowed"])
def test_nothing_is_tried_where_nothing_can_be_gained(monkeypatch, digits_data, num_epochs, allowed):
    recipe = replace(article(), num_epochs=num_epochs)
    clock = Clock(monkeypatch, {})

    assert (
        fastest_number(initialised(recipe.model, seed=0), digits_data.train, recipe, allowed=allowed, clock=clock) == 1
    )
    assert not clock.numbers


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}, 3),
        ({"MKL_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "4,2"}, None),
    ],
    ids=str,
)
def test_the_number_that_the_environment_gives(environment, expected):
    assert given_number(environment) == expected


@pytest.mark.parametrize(
    ("allowed", "expected"), [(1, [1]), (2, [1, 2]), (12, [1, 2, 4, 8, 12]), (16, [1, 2, 4, 8, 16])]
)
def test_numbers_to_try_are_few_and_never_more_than_allowed(allowed, expected):
    assert numbers_to_try(allowed) == expected


def test_fewer_threads_win_a_tie():
    assert fewest_of_the_fast({4: 1.0, 1: 1.0, 2: 1.0}) == 1


@pytest.mark.slow
def test_waiting_threads_give_way_to_other_processes():
    """GNU's OpenMP, which PyTorch brings, prints what it has read when it is loaded."""
    script = "import os, sys; from mnist_reference.__main__ import main; sys.exit(main(['train', '--recipe', 'none']))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
    )

    assert done.returncode == 2
    assert "OMP_WAIT_POLICY" not in environment
    if "OPENMP DISPLAY ENVIRONMENT BEGIN" not in done.stderr:
        pytest.skip("this PyTorch has another OpenMP")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
