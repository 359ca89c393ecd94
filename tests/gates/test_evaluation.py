"""What scored items say of one metric: verdicts agree with intervals, and what limits a claim is said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.gates.evaluation import ScoredDifferences, honest_margin, weigh_items, weigh_macro
from mainstay.gates.family import ABOVE_MARGIN, ABOVE_ZERO, BELOW_DOUBLE_MARGIN, BELOW_MARGIN
from mainstay.gates.policy import Design

LEVEL = 0.05


def flips(num_items, lost, gained):
    return np.array([1.0] * lost + [-1.0] * gained + [0.0] * (num_items - lost - gained))


def scored(differences, *, clusters=None, score_range=1.0, guarded=None):
    differences = np.asarray(differences, dtype=float)
    is_binary = clusters is None and score_range == 1.0 and bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())
    return ScoredDifferences(
        differences=differences,
        guarded=differences if guarded is None else guarded,
        clusters=clusters,
        score_range=score_range,
        is_binary=is_binary,
    )


@settings(max_examples=20)
@given(lost=st.integers(0, 40), gained=st.integers(0, 40))
def test_interval_of_flips_and_tests_at_the_margin_say_the_same(lost, gained):
    evidence = weigh_items(scored(flips(2000, lost, gained)), margin=0.01, level=LEVEL)

    assert (evidence.interval.high < 0.01) == (evidence.p_values[BELOW_MARGIN] <= LEVEL)
    assert (evidence.interval.low > 0.01) == (evidence.p_values[ABOVE_MARGIN] <= LEVEL)
    assert evidence.interval.low <= evidence.mean <= evidence.interval.high


def test_swapping_the_sides_mirrors_the_interval():
    one = weigh_items(scored(flips(500, 12, 4)), margin=0.02, level=LEVEL)
    other = weigh_items(scored(flips(500, 4, 12)), margin=0.02, level=LEVEL)

    assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-6)
    assert one.interval.high == pytest.approx(-other.interval.low, abs=1e-6)


def test_missing_scores_of_the_baseline_cannot_make_a_pass():
    differences = flips(1319, 5, 35)  # 30 of the gains are time-outs of the baseline
    guarded = flips(1319, 35, 5)

    alone = weigh_items(scored(differences), margin=0.02, level=LEVEL)
    with_guard = weigh_items(scored(differences, guarded=guarded), margin=0.02, level=LEVEL)

    assert alone.p_values[BELOW_MARGIN] < 1e-6
    assert with_guard.p_values[BELOW_MARGIN] > LEVEL


def test_too_few_items_pass_nothing_and_say_so():
    evidence = weigh_items(scored(np.zeros(100)), margin=0.02, level=LEVEL)

    assert evidence.p_values[BELOW_MARGIN] == evidence.p_values[BELOW_DOUBLE_MARGIN] == 1.0
    assert "100 items" in evidence.notes[0]


def test_too_few_clusters_pass_nothing_and_say_so():
    clusters = np.repeat(np.arange(20), 100)

    evidence = weigh_items(scored(np.zeros(2000), clusters=clusters), margin=0.02, level=LEVEL)

    assert evidence.p_values[BELOW_MARGIN] == 1.0
    assert "fewer than 30 clusters" in evidence.notes[0]


def test_a_degradation_of_whole_clusters_that_is_not_excluded_is_told():
    rng = np.random.default_rng(1)
    differences = rng.choice([-1.0, 0.0, 1.0], 1300, p=[0.015, 0.97, 0.015])

    evidence = weigh_items(scored(differences, clusters=np.repeat(np.arange(65), 20)), margin=0.02, level=LEVEL)

    assert any("whole clusters" in note for note in evidence.notes)


def test_what_limits_a_mean_does_not_depend_on_the_order_of_its_tasks():
    rng = np.random.default_rng(1)
    coarse = scored(rng.choice([-1.0, 0.0, 1.0], 5000, p=[0.015, 0.97, 0.015]), clusters=np.repeat(np.arange(250), 20))
    quiet = scored(np.zeros(1320), clusters=np.repeat(np.arange(330), 4))

    first, last = (weigh_macro(tasks, margin=0.02, level=LEVEL) for tasks in ([quiet, coarse], [coarse, quiet]))

    assert first.notes == last.notes
    assert any("whole clusters" in note for note in first.notes)


@pytest.mark.parametrize("size", [1, 5])
def test_a_mean_asks_for_as_many_further_items_as_a_task_of_all_its_items(size):
    moved = np.random.default_rng(4).normal(0.004, 0.3, 600)
    half, all_items = (np.repeat(np.tile(moved, times), size) for times in (1, 2))
    clusters = [np.repeat(np.arange(each.size // size), size) for each in (half, all_items)]

    tasks = [scored(half, clusters=clusters[0])] * 2
    of_mean = weigh_macro(tasks, margin=0.02, level=LEVEL)
    of_task = weigh_items(scored(all_items, clusters=clusters[1]), margin=0.02, level=LEVEL)

    design = Design(num_gated=1)
    expected = of_task.num_items + of_task.further_items(0.02, design)
    assert of_mean.num_items + of_mean.further_items(0.02, design) == pytest.approx(expected, rel=0.02)


def test_a_large_degradation_is_seen_by_every_way():
    rng = np.random.default_rng(2)
    graded = rng.normal(0.1, 0.2, 400)

    for items in (scored(flips(400, 60, 5)), scored(graded), scored(graded, clusters=np.repeat(np.arange(100), 4))):
        evidence = weigh_items(items, margin=0.02, level=LEVEL)
        assert evidence.p_values[ABOVE_ZERO] < 0.001
        assert evidence.p_values[ABOVE_MARGIN] < LEVEL
        assert evidence.p_values[BELOW_MARGIN] > 0.9


def test_scores_without_a_range_are_approximate():
    evidence = weigh_items(
        scored(np.random.default_rng(3).normal(0, 1, 2000), score_range=math.inf), margin=0.5, level=LEVEL
    )

    assert "approximate" in evidence.notes[-1]


@pytest.mark.parametrize(
    "differences",
    [
        pytest.param(flips(200, 4, 4), id="flips"),
        pytest.param(flips(200, 0, 0), id="no-flips"),
        pytest.param(np.random.default_rng(5).uniform(-0.3, 0.3, 200), id="graded"),
    ],
)
def test_the_margin_that_part_of_the_items_promises_is_that_of_all_if_the_others_are_like_them(differences):
    design, whole = Design(num_gated=1), np.tile(differences, 5)

    promised = honest_margin(scored(differences), design, share=0.2)

    assert promised == pytest.approx(honest_margin(scored(whole), design), rel=0.01)
    assert promised < honest_margin(scored(differences), design)
