from dataclasses import replace

import pytest

from mainstay.records.calibrations import Calibration, DetectableDegradation, MetricNoise, Proposal
from mainstay.records.findings import Interval, Verdict
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.runs import Machine, Revision
from mainstay.records.trials import Side
from mainstay.reports.calibration import render_calibration

NOISE = MetricNoise(
    metric=Metric(
        workload="benchmarks/test_speed.py::test_step",
        name="time",
        kind=Kind.PERFORMANCE,
        direction=Direction.LOWER,
        margin=0.05,
        unit="s",
    ),
    degradations=(0.01, -0.02),
    bias=0.001,
    bias_interval=Interval(-0.01, 0.012),
    deviation=0.03,
    deviation_interval=Interval(0.022, 0.045),
    within=0.02,
    between=0.022,
    detectable=(
        DetectableDegradation(num_pairs=5, fails_above=0.15, passes_below=-0.05),
        DetectableDegradation(num_pairs=20, fails_above=0.08, passes_below=0.02),
    ),
    supported_margin=0.0514,
)


@pytest.fixture
def calibration():
    return Calibration(
        created="2026-11-25T01:00:00+00:00",
        mainstay_version="1.0",
        revision=Revision(side=Side.BASELINE, commit="c0ffee" * 6 + "c0ff", tree="t", subject="Speed up", name="HEAD"),
        environments=(),
        machine=Machine(
            system="Linux 6", architecture="x86_64", processor="Processor", num_cores=2, memory_bytes=2**33
        ),
        max_load=0.3,
        alpha=0.01,
        margin_level=0.05,
        looks=(5, 8, 12, 20),
        seconds=900.0,
        num_pairs=20,
        seconds_per_pair=15.0,
        metrics=(NOISE,),
        verdicts={NOISE.metric.id: Verdict.PASS},
        num_gates=2000,
        num_false_alarms=4,
        false_alarm_interval=Interval(0.0005, 0.0051),
        num_passes=1900,
        proposal=Proposal(looks=(5, 8, 12), seconds=900.0),
    )


def test_noise_is_told_by_metric(calibration):
    lines = render_calibration(calibration).splitlines()

    (row,) = [
        line for line in lines if line.startswith("  benchmarks/test_speed.py::test_step#time") and "0.1 %" in line
    ]
    assert [cell.strip() for cell in row.split("  ") if cell.strip()][1:] == [
        *("3.0 %", "2.2 to 4.6", "2.0 %", "2.2 %", "0.1 %", "-1.0 to 1.2"),
    ]


def test_detectable_degradations_stand_under_their_pairs(calibration):
    text = render_calibration(calibration)

    assert "16.2 / -4.9" in text
    assert "8.3 / 2.0" in text


def test_false_alarms_stand_beside_what_is_stated(calibration):
    text = " ".join(render_calibration(calibration).split())

    assert (
        "4 of 2000 gates made of these pairs fail (0.2 %, 95 % interval 0.05 % to 0.51 %; stated: 1 %); 95 % pass"
        in text
    )
    assert "this revision against itself: 1 pass" in text


def test_proposed_settings_are_toml(calibration):
    proposal = Proposal(looks=(5, 8), seconds=900.0, margins={"time": 0.062})

    text = render_calibration(replace(calibration, proposal=proposal))

    assert "  looks = [5, 8]\n  seconds = 900\n  [tool.mainstay.margins]\n  time = 0.062\n" in text


def test_proposed_deviations_are_toml_by_id(calibration):
    proposal = Proposal(looks=(5, 8), seconds=900.0, deviations={"a.py::test#time": 0.012})

    text = render_calibration(replace(calibration, proposal=proposal))

    assert '  [tool.mainstay.deviations]  # for inconclusive = "warn"\n  "a.py::test#time" = 0.012\n' in text


def test_a_refused_margin_says_why(calibration):
    refused = replace(NOISE, refusal="the noise is too large; it would take a margin of 9.0 %")

    assert "refused: benchmarks/test_speed.py::test_step#time: the noise is too large" in render_calibration(
        replace(calibration, metrics=(refused,))
    )


def test_a_bias_that_chance_does_not_explain_is_told(calibration):
    biased = replace(NOISE, bias=0.02, bias_interval=Interval(0.01, 0.03))

    text = " ".join(render_calibration(replace(calibration, metrics=(biased,))).split())

    assert "the two builds differ in benchmarks/test_speed.py::test_step#time by 2.0 %" in text
    assert "the two builds differ" not in render_calibration(calibration)


def test_what_is_unknown_is_called_so(calibration):
    unknown = replace(calibration, max_load=None, metrics=(replace(NOISE, within=None, between=None),))

    text = render_calibration(unknown)

    assert "load by others: unknown" in text
    assert text.count("unknown") == 3


def test_text_of_others_cannot_forge_lines(calibration):
    forged = replace(
        calibration, revision=replace(calibration.revision, subject="a\nfalse alarms: 0"), notes=("x\x1b[2J",)
    )

    text = render_calibration(forged)

    assert "\nfalse alarms: 0" not in text
    assert "\x1b" not in text
