from dataclasses import replace

import pytest

from mainstay.gates.wording import amount, change, interval_text
from mainstay.records import Direction, Interval


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (0.0, "about 0.0 % worse"),
        (0.0953, "about 10.0 % worse"),
        (-0.1, "about 9.5 % better"),
        (-1e-9, "about 0.0 % better"),
    ],
)
def test_times_are_told_in_percent(step_time, loss, expected):
    assert change(step_time, loss) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(0.0031, "about 0.31 percentage points worse"), (-0.0004, "about 0.04 percentage points better")],
)
def test_fractions_are_told_in_percentage_points(top1, loss, expected):
    assert change(top1, loss) == expected


def test_other_metrics_are_told_in_their_unit(top1):
    likelihood = replace(top1, margin=0.02, unit="nat", direction=Direction.LOWER)

    assert change(likelihood, 0.0213) == "about 0.021 nat worse"
    assert interval_text(likelihood, Interval(-0.01, 0.03)) == "interval -0.010 to 0.030"


def test_the_margin_of_a_time_is_told_as_it_was_set(step_time):
    assert amount(step_time, step_time.scaled_margin) == "5.0 %"


@pytest.mark.parametrize(("margin", "expected"), [(0.25, "3 %"), (0.05, "3.4 %"), (0.005, "3.36 %")])
def test_finer_margins_get_more_decimals(step_time, margin, expected):
    assert amount(replace(step_time, margin=margin), 0.033) == expected
