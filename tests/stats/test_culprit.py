import math

import numpy as np
import pytest

from mainstay.stats.culprit import CONFIDENCE, start_search


def search(levels, *, deviation, rng, broken=(), max_probes=None):
    """Look for the culprit among commits whose true degradations are given; gives the search when it ends."""
    levels = np.asarray(levels, dtype=float)
    state = start_search(len(levels), levels[-1] + deviation * rng.standard_normal(20))
    while state is not None and (commit := state.next_probe()) is not None:
        if commit in broken:
            state = state.without(commit)
        else:
            state = state.observed(commit, levels[commit - 1] + deviation * rng.standard_normal(state.num_pairs))
    return state


@pytest.mark.parametrize("num_commits", [1, 2, 8, 64])
def test_the_culprit_is_named(num_commits):
    rng = np.random.default_rng(num_commits)
    right = named = 0
    for _ in range(20):
        culprit = int(rng.integers(1, num_commits + 1))
        found = search(np.arange(1, num_commits + 1) >= culprit, deviation=0.6, rng=rng)
        group, probability = found.culprit()
        named += probability >= CONFIDENCE
        right += probability >= CONFIDENCE and group == (culprit,)

    assert named >= 17
    assert right >= named - 1


def test_nothing_is_looked_for_where_nothing_was_lost():
    assert start_search(8, [0.1, -0.1] * 10) is None
    assert start_search(8, [-1.0] * 20) is None


def test_a_degradation_without_noise_is_found_by_halving():
    found = search(np.arange(1, 65) >= 23, deviation=0.0, rng=np.random.default_rng(0))

    assert found.culprit()[0] == (23,)
    assert found.num_probes <= 8


def test_a_spread_degradation_ends_as_an_interval_that_holds_most_of_it():
    rng = np.random.default_rng(4)
    wrong = held = 0
    for _ in range(20):
        levels = 2 * np.clip((np.arange(1, 41) - 12) / 10, 0, 1)
        found = search(levels, deviation=0.6, rng=rng)
        first, last, probability = found.interval()
        wrong += found.culprit()[1] >= CONFIDENCE
        before = levels[first - 2] if first > 1 else 0.0
        held += levels[last - 1] - before >= 0.8 * 2
        assert probability >= CONFIDENCE

    assert wrong <= 2
    assert held >= 15


def test_commits_that_do_not_build_join_the_next_that_does():
    broken = {20, 21, 22}
    found = search(np.arange(1, 65) >= 21, deviation=0.3, rng=np.random.default_rng(0), broken=broken)

    group, probability = found.culprit()

    assert 21 in group
    assert group == tuple(range(group[0], group[-1] + 1))
    assert probability >= CONFIDENCE
    assert group[-1] not in broken


def test_where_no_commit_builds_the_answer_is_all_of_them():
    found = search(np.arange(1, 9) >= 4, deviation=0.3, rng=np.random.default_rng(0), broken=set(range(1, 8)))

    assert found.culprit()[0] == tuple(range(1, 9))


def test_a_bad_commit_that_is_not_measured_again_still_ends_a_group():
    found = start_search(3, [1.0, 1.2] * 10)
    for commit in (3, 2, 1):
        found = found.without(commit)

    assert found.groups() == [(1, 2, 3)]
    assert found.culprit()[1] == pytest.approx(1)


def test_the_search_ends():
    found = search(np.linspace(0.1, 1, 512), deviation=1.0, rng=np.random.default_rng(1))

    assert found.num_probes <= found.max_probes == 26


def test_probabilities_add_up_with_what_is_spread():
    state = start_search(8, list(np.random.default_rng(0).normal(1, 0.5, 20)))

    assert state.probabilities().sum() == pytest.approx(0.7, abs=1e-9)
    assert state.weights.sum() == pytest.approx(1)
    assert state.interval().probability == pytest.approx(1)


def test_quieter_machines_need_fewer_pairs():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(20)

    assert [start_search(8, 1 + deviation * noise).num_pairs for deviation in (0.1, 1.0)] == [
        5,
        min(20, math.ceil((3.3 * np.std(noise, ddof=1) / (1 + noise.mean())) ** 2)),
    ]
