import math
import re
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.records.findings import Interval
from mainstay.records.runs import Curve
from mainstay.reports.figures import (
    FOREST_WIDTH,
    PLOT_HEIGHT,
    PLOT_WIDTH,
    block_times_plot,
    curves_plot,
    forest,
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


def test_forest_puts_the_estimate_between_its_bounds(failing):
    mark = drawn(forest(failing.findings[0]))

    assert 0 <= mark.zero < mark.margin < mark.low < mark.point < mark.high <= FOREST_WIDTH
    assert (mark.low_end, mark.high_end) == ("bar", "right")


def test_infinite_bounds_are_cut_at_the_box(failing):
    mark = drawn(forest(replace(failing.findings[0], interval=Interval(-math.inf, math.inf))))

    assert (mark.low_end, mark.high_end) == ("left", "right")
    assert 0 <= mark.low < mark.high <= FOREST_WIDTH


@pytest.mark.parametrize(("sign", "ends"), [(1, ("", "right")), (-1, ("left", ""))])
def test_degradation_beyond_the_box_is_an_arrow_without_a_point(failing, sign, ends):
    low, high = sorted([sign * 0.1, sign * 0.2])

    mark = drawn(forest(replace(failing.findings[0], estimate=sign * 0.15, interval=Interval(low, high))))

    assert mark.point is None
    assert (mark.low_end, mark.high_end) == ends
    assert 0 <= mark.low < mark.high <= FOREST_WIDTH


@pytest.mark.parametrize("changes", [{"estimate": None}, {"estimate": math.inf}])
def test_forest_without_an_estimate_is_none(failing, changes):
    assert forest(replace(failing.findings[0], **changes)) is None


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


@given(NUMBERS.map(lambda values: [value for value in values if math.isfinite(value)]))
def test_degradations_of_any_size_stay_in_their_box(failing, degradations):
    plot = pairs_plot(replace(failing.findings[0], degradations=tuple(degradations)))

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
