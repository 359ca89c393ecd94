import math
from dataclasses import replace

import pytest

from mainstay.records.findings import Interval
from mainstay.records.formatting import (
    bytes_text,
    change_text,
    degradation_text,
    fixed,
    interval_text,
    seconds_text,
    value_text,
)
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.scales import LARGEST_DEGRADATION


def metric(kind=Kind.ACCURACY, *, margin=0.002, unit="", direction=Direction.HIGHER):
    return Metric(workload="w", name="m", kind=kind, direction=direction, margin=margin, unit=unit)


TOP1 = metric()
STEP = metric(Kind.PERFORMANCE, margin=0.05, unit="s", direction=Direction.LOWER)
MEMORY = metric(Kind.PERFORMANCE, margin=0.05, unit="B", direction=Direction.LOWER)
NATS = metric(margin=0.02, unit="nat", direction=Direction.LOWER)
TEST_LOSS = metric(margin=0.3, direction=Direction.LOWER)
PERPLEXITY = metric(margin=30.0, direction=Direction.LOWER)
ERROR_RATE = metric(margin=0.01, direction=Direction.LOWER, unit="fraction")
BLEU = metric(margin=0.5, unit="BLEU")
PLAIN = metric(margin=0.5, unit="1")
COUNT = metric(Kind.DETERMINISTIC, margin=0.0, direction=Direction.LOWER)


@pytest.mark.parametrize(
    ("measured", "degradation", "expected"),
    [
        pytest.param(TOP1, 0.0051, "0.51 points worse", id="fraction-in-points"),
        pytest.param(TOP1, -0.0051, "0.51 points better", id="gain"),
        pytest.param(TOP1, -0.00001, "0.00 points", id="rounds-to-nothing"),
        pytest.param(TOP1, 0.0031, "0.31 points worse", id="points-have-two-digits-of-the-margin"),
        pytest.param(TOP1, -0.0004, "0.04 points better", id="small-gain"),
        pytest.param(STEP, 0.0953, "10.0 % slower", id="logarithms-are-told-in-percent"),
        pytest.param(STEP, -0.1, "9.5 % faster", id="gains-too"),
        pytest.param(STEP, 0.0, "0.0 %", id="no-change"),
        pytest.param(STEP, -1e-9, "0.0 %", id="no-change-to-speak-of"),
        pytest.param(STEP, math.log(1.1), "10.0 % slower", id="time"),
        pytest.param(STEP, math.log(0.9), "10.0 % faster", id="faster"),
        pytest.param(MEMORY, math.log(1.5), "50.0 % larger", id="memory"),
        pytest.param(metric(margin=0.02, unit="nat"), 0.031, "0.031 nat worse", id="own-unit"),
        pytest.param(NATS, 0.0213, "0.021 nat worse", id="own-unit-lower-is-better"),
        pytest.param(COUNT, 0.25, "25.00 % worse", id="margin-of-zero"),
        pytest.param(STEP, math.inf, "unknown", id="infinite"),
        pytest.param(TEST_LOSS, 0.42, "0.42 worse", id="a-loss-without-a-unit-is-a-plain-number"),
        pytest.param(PERPLEXITY, 41.0, "41 worse", id="a-large-margin"),
        pytest.param(ERROR_RATE, 0.021, "2.1 points worse", id="a-declared-fraction"),
        pytest.param(BLEU, -0.71, "0.71 BLEU better", id="declared-unit"),
        pytest.param(PLAIN, 0.71, "0.71 worse", id="declared-plain-number"),
        pytest.param(PERPLEXITY, 2.7e195, "2.7e195 worse", id="huge"),
        pytest.param(TOP1, 1e308, "1.798e308 points worse", id="huge-fraction"),
        pytest.param(STEP, 500.0, "1.404e219 % slower", id="huge-ratio"),
        pytest.param(COUNT, LARGEST_DEGRADATION, "worse beyond any number", id="beyond-any-number"),
        pytest.param(COUNT, -LARGEST_DEGRADATION, "better beyond any number", id="gain-beyond-any-number"),
    ],
)
def test_degradation_is_said_in_the_words_of_its_metric(measured, degradation, expected):
    assert change_text(measured, degradation) == expected


@pytest.mark.parametrize(
    ("measured", "value", "expected"),
    [
        pytest.param(TOP1, 0.97714, "97.714 %", id="percent"),
        pytest.param(STEP, 0.00112, "1.120 ms", id="milliseconds"),
        pytest.param(MEMORY, 412_876_800.0, "393.8 MiB", id="mebibytes"),
        pytest.param(COUNT, 109_386.0, "109,386", id="count"),
        pytest.param(TOP1, math.nan, "unknown", id="not-a-number"),
        pytest.param(TEST_LOSS, 0.31, "0.310", id="a-loss-without-a-unit-is-a-plain-number"),
        pytest.param(PERPLEXITY, 0.000412, "0.000412", id="three-digits-whatever-the-margin"),
        pytest.param(PERPLEXITY, 4.12e-14, "4.12e-14", id="three-digits-of-a-tiny-value"),
        pytest.param(NATS, 0.00042, "0.000420 nat", id="three-digits-in-a-unit"),
        pytest.param(ERROR_RATE, 0.0231, "2.31 %", id="a-declared-fraction"),
        pytest.param(BLEU, 34.21, "34.210 BLEU", id="declared-unit"),
        pytest.param(PLAIN, 34.21, "34.210", id="declared-plain-number"),
        pytest.param(PERPLEXITY, 2.7e195, "2.7e195", id="huge"),
        pytest.param(COUNT, 1e300, "1e+300", id="huge-count"),
        pytest.param(MEMORY, 1e300, "9.095e287 TiB", id="huge-size"),
    ],
)
def test_value_is_scaled(measured, value, expected):
    assert value_text(measured, value) == expected


def test_interval_has_the_decimals_of_the_margin():
    assert interval_text(NATS, Interval(-0.01, 0.03)) == "-0.010 to 0.030"


def test_half_open_interval_names_its_open_end():
    assert interval_text(TOP1, Interval(-math.inf, 0.001)) == "unbounded to 0.10"


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, "0.000 s"), (5e-10, "0.500 ns"), (3600.0, "3600 s")])
def test_durations_at_the_edges(seconds, expected):
    assert seconds_text(seconds) == expected


def test_sizes_at_the_edges():
    assert [bytes_text(size) for size in (0, 1023, 1024, 2**40)] == ["0 B", "1023 B", "1.000 KiB", "1.000 TiB"]


def test_margin_has_two_digits():
    assert [degradation_text(metric(margin=m), m) for m in (0.2, 0.02, 0.002)] == [
        "20 points",
        "2.0 points",
        "0.20 points",
    ]


def test_margin_of_a_time_is_told_as_it_was_set():
    assert degradation_text(STEP, STEP.scaled_margin) == "5.0 %"


@pytest.mark.parametrize(("margin", "expected"), [(0.25, "3 %"), (0.05, "3.4 %"), (0.005, "3.36 %")])
def test_finer_margins_get_more_decimals(margin, expected):
    assert degradation_text(replace(STEP, margin=margin), 0.033) == expected


def test_zero_has_no_sign():
    assert fixed(-0.0, decimals=1) == "0.0"


def test_margins_of_plain_numbers_are_told_as_they_were_set():
    assert [degradation_text(each, each.margin) for each in (TEST_LOSS, PERPLEXITY, ERROR_RATE)] == [
        "0.30",
        "30",
        "1.0 points",
    ]
