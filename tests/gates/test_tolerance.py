"""What stays undecided only warns within its margin at calibrated noise, and blocks everywhere else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.tolerance import MOST_TIMES_CALIBRATED, tolerate_calibrated
from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.metrics import Scoring, Tier
from mainstay.stats.power import probability_within, supported_ratio
from mainstay.stats.proportions import clopper_pearson_interval

CALIBRATED = 0.01


def normal(mean, deviation, num_pairs=20):
    """Degradations with exactly this mean and deviation."""
    drawn = np.random.default_rng(4).normal(size=num_pairs)
    return mean + deviation * (drawn - drawn.mean()) / drawn.std(ddof=1)


@pytest.fixture
def undecided(step_time, with_degradations):
    """Makes a finding whose pairs leave it undecided at a margin of 5 %."""

    def make(mean=0.04, deviation=0.029, num_pairs=20):
        (finding,) = judge_family(
            [with_degradations(step_time, normal(mean, deviation, num_pairs))], Design(num_gated=1)
        )
        assert finding.verdict is Verdict.INCONCLUSIVE
        return finding

    return make


def tolerated(finding: Finding, deviations) -> Finding:
    (marked,) = tolerate_calibrated([finding], deviations)
    assert marked.verdict is finding.verdict
    return marked


@pytest.mark.parametrize("key", ["time", "test_performance.py::test_step#time"])
def test_an_estimate_within_the_margin_at_calibrated_noise_only_warns(undecided, key):
    finding = tolerated(undecided(), {key: CALIBRATED})

    assert finding.is_tolerated
    assert not finding.blocks
    assert judge_gate(GateFacts(findings=(finding,), inconclusive="warn")).exit_status == 0
    assert finding.warnings[-1] == (
        "it only warns: the estimate lies within the margin, and the standard deviation of a pair, 2.9 %, is at most 3 "
        "times the calibrated 1.0 %"
    )


@pytest.mark.parametrize(
    ("mean", "deviation", "num_pairs", "deviations", "reason"),
    [
        pytest.param(0.04, 0.031, 20, {"time": CALIBRATED}, "is more than 3 times the calibrated 1.0 %", id="noisy"),
        pytest.param(
            0.0, 0.2, 20, {"time": CALIBRATED}, "is more than 3 times the calibrated 1.0 %", id="clean-but-noisy"
        ),
        pytest.param(0.05, 0.02, 20, {"time": CALIBRATED}, "does not lie within the margin", id="beyond-the-margin"),
        pytest.param(
            math.log(1.05), 0.02, 20, {"time": CALIBRATED}, "does not lie within the margin", id="at-the-margin"
        ),
        pytest.param(0.04, 0.02, 20, {}, "its noise was not calibrated before", id="not-calibrated"),
        pytest.param(0.04, 0.02, 20, {"other": CALIBRATED}, "its noise was not calibrated before", id="another-metric"),
        pytest.param(
            0.04,
            0.02,
            20,
            {"time": 1.0, "test_performance.py::test_step#time": 0.001},
            "calibrated 0.1 %",
            id="id-first",
        ),
        pytest.param(
            0.0, 0.01, 4, {"time": CALIBRATED}, "no look at its pairs was completed", id="before-the-first-look"
        ),
    ],
)
def test_everything_else_that_is_undecided_blocks_and_says_why(
    undecided, mean, deviation, num_pairs, deviations, reason
):
    finding = tolerated(undecided(mean, deviation, num_pairs), deviations)

    assert not finding.is_tolerated
    assert finding.blocks
    assert finding.warnings[-1].startswith("it blocks instead of only warning, since ")
    assert reason in finding.warnings[-1]
    assert judge_gate(GateFacts(findings=(finding,), inconclusive="warn")).exit_status == 3


def test_noise_beyond_the_cap_is_not_calibrated_noise(undecided):
    finding = tolerated(replace(undecided(), cap=0.1), {"time": CALIBRATED})

    assert not finding.is_tolerated
    assert "were capped" in finding.warnings[-1]


def test_pairs_whose_mean_is_beyond_the_margin_block_whatever_the_earlier_looks_left(undecided):
    finding = tolerated(replace(undecided(0.05, 0.02), estimate=0.04), {"time": CALIBRATED})

    assert not finding.is_tolerated


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"method": Method.ITEMS}, id="undecided"),
        pytest.param({"method": Method.NONE, "scoring": Scoring(score="exact")}, id="not-scored"),
    ],
)
def test_what_is_judged_by_items_blocks_for_a_reason_of_its_own(undecided, fields):
    finding = undecided()
    metric = replace(finding.metric, scoring=fields.get("scoring"))
    finding = tolerated(replace(finding, metric=metric, method=fields["method"]), {"time": CALIBRATED})

    assert not finding.is_tolerated
    assert "judged by its items, and only pairs have a calibrated noise" in finding.warnings[-1]


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.INCONCLUSIVE])
def test_no_other_verdict_is_touched(undecided, verdict):
    finding = replace(undecided(), verdict=verdict)

    assert tolerated(finding, {"time": CALIBRATED}) == finding


@pytest.mark.parametrize("change", [{"review": "the workload changed"}, {"tier": Tier.GUARD}], ids=str)
def test_what_needs_a_review_or_does_not_block_is_left_as_it_is(undecided, change):
    finding = replace(undecided(), **change)

    assert tolerated(finding, {"time": CALIBRATED}) == finding


def test_a_loss_beyond_the_margin_fails_however_wide_the_calibration(step_time, with_degradations):
    (finding,) = judge_family([with_degradations(step_time, normal(0.12, 0.01))], Design(num_gated=1))

    assert (
        judge_gate(GateFacts(findings=tolerate_calibrated([finding], {"time": 9.0}), inconclusive="warn")).exit_status
        == 1
    )


@pytest.mark.parametrize("num_pairs", [5, 8])
def test_a_loss_of_twice_the_margin_only_warns_as_often_as_stated(step_time, with_degradations, num_pairs):
    margin, noise, num_gates = step_time.scaled_margin, 2.9, 1_000
    calibrated = margin / supported_ratio(20)
    drawn = np.random.default_rng(6).normal(2 * margin, noise * calibrated, (num_gates, num_pairs))
    samples = [with_degradations(step_time, each, own_noise=noise * calibrated) for each in drawn]

    findings = judge_family(samples, Design(num_gated=num_gates))
    num_tolerated = sum(each.is_tolerated for each in tolerate_calibrated(findings, {"time": calibrated}))

    expected = probability_within(1.67, deviation=noise, num_pairs=num_pairs, most_deviation=MOST_TIMES_CALIBRATED)
    low, high = clopper_pearson_interval(num_tolerated, num_gates, confidence_level=0.999)
    assert 0.01 < low < expected < high


@pytest.mark.parametrize(
    ("metric", "remedy"),
    [
        ("step_time", "'mainstay calibrate --write' does that for later gates"),
        ("top1", "decide yourself, or enter the standard deviation of a pair from run.json in a separate change"),
    ],
)
def test_only_noise_that_a_calibration_measures_is_to_be_calibrated(request, with_degradations, metric, remedy):
    metric = request.getfixturevalue(metric)
    degradations = metric.scaled_margin * normal(0.8, 0.58)
    (finding,) = judge_family([with_degradations(metric, degradations)], Design(num_gated=1))
    assert finding.verdict is Verdict.INCONCLUSIVE

    assert tolerated(finding, {}).warnings[-1].endswith(f": {remedy}")
