import math
import re
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.records.runs import Curve
from mainstay.reports.figures import (
    PLOT_HEIGHT,
    PLOT_WIDTH,
    block_times_plot,
    curves_plot,
    loads_plot,
    pairs_plot,
)

T = TypeVar("T")
NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=30)
FINITE = st.lists(st.floats(min_value=0, max_value=1e6), min_size=0, max_size=30)


def drawn(figure: T | None) -> T:
    assert figure is not None
    return figure


def coordinates(plot):
    return [float(number) for _, path in plot.paths for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_every_pair_is_drawn_and_listed(failing):
    finding = failing.findings[0]

    plot = drawn(pairs_plot(finding))

    assert plot.paths[0][1].count("M") == len(plot.rows) == finding.num_pairs
    assert [row[1] for row in plot.rows] == [str(seed) for seed in finding.seeds]


def test_pairs_that_lost_nothing_are_not_drawn(runs):
    assert pairs_plot(runs["passing"].findings[0]) is None


@given(NUMBERS, NUMBERS)
def test_curves_stay_in_their_box(baseline, candidate):
    plot = curves_plot([Curve(name="loss", seed=1, baseline=tuple(baseline), candidate=tuple(candidate))])

    if plot is not None:
        assert all(0 <= number <= max(PLOT_WIDTH, PLOT_HEIGHT) for number in coordinates(plot))
        assert len(plot.rows) == max(len(baseline), len(candidate))
        assert 1 <= len(plot.y_ticks) <= 12


def test_curves_are_drawn_as_candidate_minus_baseline_with_the_band_of_all_seeds():
    seeds = {1: ((0.5, 0.9), (0.5, 0.7)), 2: ((0.5, 0.8), (0.5, 0.7))}
    curves = [Curve(name="top1", seed=seed, baseline=old, candidate=new) for seed, (old, new) in seeds.items()]

    plot = drawn(curves_plot(curves))

    assert [kind for kind, _ in plot.paths] == ["band", "candidate"]
    assert plot.rows == (("1", "0.5", "0.5", "0", "0", "0"), ("2", "0.85", "0.7", "-0.15", "-0.2", "-0.1"))
    assert plot.remark == ": mean of 2 seeds, the band holds all of them"


def test_the_curve_of_one_seed_has_no_band():
    plot = drawn(curves_plot([Curve(name="top1", seed=1, baseline=(0.5, 0.9), candidate=(0.5, 0.7))]))

    assert [kind for kind, _ in plot.paths] == ["candidate"]
    assert plot.remark == ""


def test_epochs_that_only_one_revision_has_are_a_gap():
    plot = drawn(curves_plot([Curve(name="loss", seed=s, baseline=(3, 2, 1), candidate=(3, 2)) for s in (1, 2)]))

    assert plot.rows[-1] == ("3", "", "", "", "", "")
    assert all(path.count("L") in (1, 3) for _, path in plot.paths)


@pytest.fixture(scope="module")
def lost(failing):
    """One finding: hypothesis refuses to print an argument as large as a run."""
    return failing.findings[0]


@given(NUMBERS.map(lambda values: [value for value in values if math.isfinite(value)]))
def test_degradations_of_any_size_stay_in_their_box(lost, degradations):
    plot = pairs_plot(replace(lost, degradations=tuple(degradations)))

    if plot is not None:
        assert all(0 <= number <= PLOT_WIDTH for number in coordinates(plot))
        assert 1 <= len(plot.y_ticks) <= 12


@given(FINITE, FINITE)
def test_histogram_counts_every_block(baseline, candidate):
    plot = block_times_plot(baseline, candidate)

    if plot is not None:
        assert sum(int(row[2]) for row in plot.rows) == len(baseline)
        assert sum(int(row[3]) for row in plot.rows) == len(candidate)
        assert all(0 <= number <= PLOT_WIDTH for number in coordinates(plot))


def test_histogram_needs_two_blocks_of_each():
    assert block_times_plot([0.1], [0.1, 0.2]) is None
    assert block_times_plot([0.1, 0.1], [0.1, 0.1]) is None


def test_load_is_drawn_for_each_pair():
    plot = drawn(loads_plot([0.1, 2.5]))

    assert plot.rows == (("1", "0.1"), ("2", "2.5"))
    assert loads_plot([]) is None
