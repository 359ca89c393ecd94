import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from mainstay.gates.family import judge_family
from mainstay.gates.findings import smallest_honest_margin, stated_limits
from mainstay.gates.policy import Design
from mainstay.records.findings import Verdict

DESIGN = Design(num_gated=1)
SPREAD = np.array([-1.0, 0.5, 0.2, -0.4, 0.7] * 4)


def normal(mean, deviation, num_pairs=20):
    """Degradations with exactly this mean and deviation, in the order of a random draw."""
    drawn = np.random.default_rng(4).normal(size=num_pairs)
    return mean + deviation * (drawn - drawn.mean()) / drawn.std(ddof=1)


def test_reason_of_a_pass(top1, with_degradations):
    (finding,) = judge_family([with_degradations(top1, normal(0.0001, 0.0003, 5))], DESIGN)

    assert finding.verdict is Verdict.PASS
    assert finding.reason == (
        "about 0.01 points worse (interval 0.04 points better to 0.06 points worse) in 5 pairs: not worse by the margin of 0.20 points"
    )


def test_reason_of_a_fail(step_time, with_degradations):
    (finding,) = judge_family([with_degradations(step_time, normal(math.log(1.12), 0.01, 5))], DESIGN)

    assert finding.verdict is Verdict.FAIL
    assert finding.reason == (
        "about 12.0 % slower (interval 10.3 to 13.8 % slower) in 5 pairs: worse by more than the margin of 5.0 %"
    )


@pytest.mark.parametrize(
    ("mean", "num_pairs", "outlook"),
    [
        pytest.param(0.0005, 5, "7 more pairs are expected to settle it", id="within-the-plan"),
        pytest.param(0.0015, 20, "beyond the 20 planned", id="beyond-the-plan"),
    ],
)
def test_reason_of_an_inconclusive_says_what_it_would_take(top1, with_degradations, mean, num_pairs, outlook):
    (finding,) = judge_family([with_degradations(top1, normal(mean, 0.0015, num_pairs))], DESIGN)

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason.endswith(outlook)
    assert finding.further_pairs is not None
    assert finding.further_pairs > 0


@pytest.mark.parametrize(
    ("mean", "deviation", "outlook"),
    [
        pytest.param(
            0.00199,
            0.0015,
            "more than 200 pairs would be needed, since the degradation is about as large as the margin: decide yourself, "
            "lengthen the trials or widen the margin",
            id="just-within-the-margin",
        ),
        pytest.param(
            0.00201,
            0.0015,
            "more than 200 pairs would be needed, since the degradation is about as large as the margin: decide yourself, "
            "lengthen the trials or widen the margin",
            id="just-beyond-the-margin",
        ),
        pytest.param(
            0.0001,
            0.02,
            "more than 200 pairs would be needed at this noise, even for a clean change: lengthen the trials or widen the "
            "margin",
            id="noise",
        ),
    ],
)
def test_an_unreasonable_number_of_pairs_is_not_told(top1, with_degradations, mean, deviation, outlook):
    (finding,) = judge_family([with_degradations(top1, normal(mean, deviation))], DESIGN)

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.further_pairs is None
    assert finding.reason.endswith(outlook)


def share_rejected(degradations, *tests):
    """Share of rows that t finds above every null value, each at its level."""
    error = degradations.std(axis=1, ddof=1) / np.sqrt(degradations.shape[1])
    degrees = degradations.shape[1] - 1
    rejected = [(degradations.mean(axis=1) - null) / error >= t.isf(level, degrees) for null, level in tests]
    return np.logical_and.reduce(rejected).mean()


@pytest.mark.parametrize("num_gated", [1, 6, 20])
@pytest.mark.parametrize("deviation", [0.1, 1.0, 10.0])
def test_stated_limits_are_what_a_simulation_finds(num_gated, deviation):
    design = Design(num_gated=num_gated)
    noise = deviation * np.random.default_rng(1).normal(size=(40_000, design.max_pairs))
    near, far_fail, far_pass = (
        level * design.weights[-1] for level in (design.margin_level, design.alpha / num_gated, design.alpha)
    )

    fails_above, passes_below = stated_limits(1.0, deviation, design)

    assert share_rejected(noise + fails_above, (1.0, near), (0.0, far_fail)) == pytest.approx(0.9, abs=0.008)
    assert share_rejected(-noise - passes_below, (-1.0, near), (-2.0, far_pass)) == pytest.approx(0.9, abs=0.008)


@pytest.mark.parametrize("deviation", [0.01, 1.0, 100.0])
def test_a_clean_change_passes_at_the_smallest_honest_margin(deviation):
    margin = smallest_honest_margin(deviation, DESIGN)

    _, passes_below = stated_limits(margin, deviation, DESIGN)

    assert passes_below == pytest.approx(0.0, abs=1e-9 * deviation)


def test_a_margin_below_the_noise_is_named(step_time, with_degradations):
    (finding,) = judge_family([with_degradations(step_time, normal(0.0, 0.1))], DESIGN)

    assert [w for w in finding.warnings if "cannot reliably pass a clean change" in w]
    assert "20 pairs of this noise support a margin of 8.2 %, not 5.0 %" in finding.warnings[0]


@pytest.mark.parametrize("mean", [-0.2, 0.4], ids=["pass", "fail"])
def test_a_margin_below_the_noise_is_not_named_where_it_decided_all_the_same(step_time, with_degradations, mean):
    (finding,) = judge_family([with_degradations(step_time, normal(mean, 0.1))], DESIGN)

    assert finding.verdict in (Verdict.PASS, Verdict.FAIL)
    assert smallest_honest_margin(finding.standard_deviation, DESIGN) > step_time.scaled_margin
    assert not finding.warnings


def test_a_margin_above_the_noise_is_not(step_time, with_degradations):
    (finding,) = judge_family([with_degradations(step_time, normal(0.04, 0.03))], DESIGN)

    assert finding.warnings == ()


def test_drifting_pairs_are_named(top1, with_degradations):
    drift = np.linspace(-0.02, 0.024, 20)

    (finding,) = judge_family([with_degradations(top1, drift)], Design(num_gated=1, looks=(20, 40)))

    assert any("pairs are not independent (lag-1 correlation 0." in warning for warning in finding.warnings)


@pytest.mark.parametrize(("sign", "unstable"), [(1, "candidate"), (-1, "baseline")])
def test_slow_states_of_one_revision_are_named(step_time, with_degradations, sign, unstable):
    degradations = 0.045 + 0.01 * SPREAD
    degradations[[3, 17]] += sign * 0.5

    (finding,) = judge_family([with_degradations(step_time, degradations)], DESIGN)

    assert any(f"the {unstable} is unstable" in warning for warning in finding.warnings)


def test_normal_pairs_are_seldom_warned_about(top1, with_degradations):
    rng = np.random.default_rng(0)
    metric = replace(top1, ceiling=None, unit="1")
    samples = [with_degradations(metric, 0.002 + 0.001 * rng.normal(size=20)) for _ in range(400)]

    findings = judge_family(samples, Design(num_gated=400))

    assert sum(bool(finding.warnings) for finding in findings) / 400 < 0.05


def test_looks_that_contradict_each_other_are_named(top1, with_degradations):
    degradations = np.concatenate([0.0021 + 0.00005 * SPREAD[:5], 0.0005 + 0.00005 * SPREAD[:15]])
    design = Design(num_gated=1, alpha=1e-20)

    (finding,) = judge_family([with_degradations(replace(top1, resolution=0.0), degradations)], design)

    assert any("contradict each other" in warning for warning in finding.warnings)
    assert finding.interval is not None
    assert finding.interval.low < np.mean(finding.degradations) < finding.interval.high


def test_equal_degradations_without_a_resolution_are_named(top1, with_degradations):
    (finding,) = judge_family([with_degradations(replace(top1, resolution=0.0), [0.0] * 5)], DESIGN)

    assert finding.verdict is Verdict.PASS
    assert any("no resolution is declared" in warning for warning in finding.warnings)


def test_more_metrics_take_more_pairs_to_settle_a_degradation(top1, with_degradations):
    """A fail must also exclude no degradation at a level that all metrics share; a pass shares nothing."""
    worse, better = (with_degradations(replace(top1, margin=1e-9), normal(mean, 0.01)) for mean in (0.004, -0.004))

    def further(samples, num_gated):
        return judge_family([samples], Design(num_gated=num_gated))[0].further_pairs

    assert further(worse, 20) > further(worse, 1) > 0
    assert further(better, 20) == further(better, 1) > 0
