import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.records.findings import Interval
from mainstay.reports.forest import BEYOND, BREAK, FOREST_WIDTH, RANGE, SKETCH_HEAD, forest, sketch


def drawn(mark):
    assert mark is not None
    return mark


@pytest.fixture(scope="session")
def of_margins(failing):
    """A finding with an estimate and bounds in margins."""
    margin = failing.findings[0].metric.scaled_margin

    def of_margins(low, point, high):
        return replace(failing.findings[0], estimate=point * margin, interval=Interval(low * margin, high * margin))

    return of_margins


def test_forest_puts_the_estimate_between_its_bounds(failing):
    mark = drawn(forest(failing.findings[0]))

    assert 0 <= mark.zero < mark.margin < mark.low < mark.point < mark.high <= FOREST_WIDTH
    assert (mark.low_end, mark.high_end) == ("bar", "right")


def test_infinite_bounds_are_cut_at_the_box(failing):
    mark = drawn(forest(replace(failing.findings[0], interval=Interval(-math.inf, math.inf))))

    assert (mark.low_end, mark.high_end) == ("left", "right")
    assert 0 <= mark.low < mark.high <= FOREST_WIDTH


def test_a_gain_beyond_the_box_is_an_arrow_without_a_point(failing):
    mark = drawn(forest(replace(failing.findings[0], estimate=-0.15, interval=Interval(-0.2, -0.1))))

    assert mark.point is None
    assert (mark.low_end, mark.high_end) == ("left", "")
    assert 0 <= mark.low < mark.high <= FOREST_WIDTH


@pytest.mark.parametrize("changes", [{"estimate": None}, {"estimate": math.inf}])
def test_forest_without_an_estimate_is_none(failing, changes):
    assert forest(replace(failing.findings[0], **changes)) is None


@pytest.mark.parametrize("margins", [4, 75, 1e6])
def test_a_degradation_far_beyond_the_margin_lies_on_a_broken_axis(of_margins, margins):
    mark = drawn(forest(of_margins(0.9 * margins, margins, 1.1 * margins)))

    ordered = [mark.zero, mark.margin, mark.gap, mark.low, mark.point, mark.high, FOREST_WIDTH]
    assert ordered == sorted(ordered)
    assert mark.high - mark.low > 10
    assert (mark.low_end, mark.high_end) == ("bar", "bar")


def test_what_fits_the_box_is_true_to_scale(of_margins):
    mark = drawn(forest(of_margins(1.0, 2.0, 3.0)))

    assert mark.gap is None
    assert (mark.low, mark.point - mark.low) == (mark.margin, pytest.approx(mark.margin - mark.zero, abs=0.2))


def test_an_interval_from_the_margin_to_far_beyond_it_crosses_the_break(of_margins):
    mark = drawn(forest(of_margins(1.0, 50.0, math.inf)))

    assert mark.low == mark.margin < mark.gap < mark.point
    assert mark.high_end == "right"


@given(st.tuples(*[st.floats(-1e9, 1e9)] * 3).map(sorted))
def test_any_degradation_stays_in_its_box_and_in_its_line(of_margins, bounds):
    finding = of_margins(*bounds)
    mark = drawn(forest(finding))

    places = [mark.low, mark.high, *([] if mark.point is None else [mark.point])]
    assert all(0 <= place <= FOREST_WIDTH for place in places)
    assert len(sketch(finding)) <= 18


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        pytest.param((-0.5, 0.0, 0.5), "--o-- |", id="at zero"),
        pytest.param((0.5, 0.75, 1.5), "  : -o|--", id="across the margin"),
        pytest.param((1.5, 1.75, 2.0), "  :   | -o-", id="beyond the margin"),
        pytest.param((7.0, 8.0, 9.0), "  :   |   // -o--", id="far beyond the margin"),
        pytest.param((-math.inf, -0.25, 0.5), "<o:-- |", id="open below"),
    ],
)
def test_a_log_draws_the_interval_against_zero_and_margin(of_margins, bounds, expected):
    assert sketch(of_margins(*bounds)) == expected


def test_head_of_a_sketch_stands_over_its_marks(of_margins):
    line = sketch(of_margins(7.0, 8.0, 9.0))

    assert abs(SKETCH_HEAD.index("0") - line.index(":")) <= 1
    assert SKETCH_HEAD.index("margin") < line.index("|") < len(SKETCH_HEAD)


def test_the_axis_is_broken_inside_the_box():
    assert RANGE[0] < BREAK < BEYOND < RANGE[1]
