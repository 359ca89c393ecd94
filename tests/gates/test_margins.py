from dataclasses import replace

import pytest

from mainstay.gates.margins import check_margin
from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import Direction, Scoring


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        pytest.param(
            {"margin": 5.0},
            "write top1_accuracy = 0.05 for 5 %, or, if it is not a fraction, declare its unit",
            id="fraction",
        ),
        pytest.param({"margin": 1.0, "unit": "fraction"}, "write top1_accuracy = 0.01", id="declared-fraction"),
        pytest.param(
            {"margin": 2.0, "direction": Direction.LOWER},
            "if it is not a fraction, declare its unit",
            id="loss-without-a-unit",
        ),
    ],
)
def test_a_margin_of_a_fraction_that_nothing_exceeds_is_refused(top1, changes, hint):
    with pytest.raises(ConfigurationError) as refused:
        check_margin(replace(top1, **changes))

    assert hint in refused.value.next_step
    assert refused.value.looked_in == "[tool.mainstay.margins]"


def test_a_time_that_may_more_than_double_is_refused(step_time, parameters):
    for metric in (step_time, parameters):
        check_margin(replace(metric, margin=1.0))
        with pytest.raises(ConfigurationError, match="which is 500 %"):
            check_margin(replace(metric, margin=5.0))


@pytest.mark.parametrize(
    ("unit", "score_range", "half"), [("", None, 0.5), ("fraction", None, 0.5), ("points", (0.0, 10.0), 5.0)]
)
def test_a_margin_of_half_the_range_of_the_scores_of_items_is_refused(top1, unit, score_range, half):
    metric = replace(top1, unit=unit, scoring=Scoring(score="s", score_range=score_range))

    check_margin(replace(metric, margin=0.9 * half))
    with pytest.raises(ConfigurationError, match="half the range of its scores or more") as refused:
        check_margin(replace(metric, margin=half))
    assert f"less than {half:g}" in refused.value.next_step


def test_scores_of_items_with_a_unit_and_no_range_may_be_given_any_margin(top1):
    check_margin(replace(top1, unit="words", margin=5.0, scoring=Scoring(score="s")))


@pytest.mark.parametrize("unit", ["percent", "points", "nat", "dB", "BLEU", "1"])
def test_a_declared_unit_may_be_given_any_margin(top1, unit):
    check_margin(replace(top1, unit=unit, margin=5.0))
