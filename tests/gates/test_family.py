import math
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Blame, Method, Verdict
from mainstay.records.metrics import Direction
from mainstay.stats.sequential import boundaries

DESIGN = Design(num_gated=1)
SPREAD = np.array([-1.0, 0.5, 0.2, -0.4, 0.7] * 4)
"""Twenty centred degradations of deviation near 0.7."""

STEADY = 0.0003
"""Deviation of a baseline whose noise is far below the margin of an accuracy."""

VERDICTS_BY_DEGRADATION = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]


def degradations_at(look, statistic, *, null, deviation):
    """Degradations whose t against the null value is the given one at the first look that they reach."""
    spread = np.resize([1.0, -1.0, 0.5, -0.5], look)
    spread = (spread - spread.mean()) / spread.std(ddof=1) * deviation
    return null + statistic * deviation / np.sqrt(look) + spread


def drawn_degradations(data, *, num_pairs, scale):
    """Degradations of any shape around a degradation between a gain and four margins, at least one step apart."""
    centre = data.draw(st.floats(-2, 4), label="centre")
    spread = data.draw(st.sampled_from([0.02, 0.3, 1.0, 5.0]), label="spread")
    seed = data.draw(st.integers(0, 10_000), label="seed")
    return scale * (centre + spread * np.random.default_rng(seed).standard_t(4, size=num_pairs))


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [
        pytest.param(0.0, 0.0005, (Verdict.PASS, 5), id="clean"),
        pytest.param(-0.004, 0.0005, (Verdict.PASS, 5), id="better"),
        pytest.param(0.005, 0.0005, (Verdict.FAIL, 5), id="clear-degradation"),
        pytest.param(0.004, 0.0015, (Verdict.FAIL, 8), id="degradation-of-twice-the-margin"),
        pytest.param(0.0021, 0.001, (Verdict.INCONCLUSIVE, 20), id="degradation-at-the-margin"),
        pytest.param(0.0, 0.02, (Verdict.INCONCLUSIVE, 20), id="noise-far-above-the-margin"),
    ],
)
def test_verdicts_of_an_accuracy(top1, with_degradations, mean, deviation, expected):
    degradations = mean + deviation * SPREAD / SPREAD.std(ddof=1)

    (finding,) = judge_family([with_degradations(top1, degradations)], DESIGN)

    assert (finding.verdict, finding.num_pairs) == expected
    assert finding.method is Method.SEQUENTIAL


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "pass"), (1.12, "fail"), (1.05, "inconclusive"), (0.5, "pass")])
def test_verdicts_of_a_time(step_time, with_degradations, factor, verdict):
    degradations = math.log(factor) + 0.01 * SPREAD

    (finding,) = judge_family([with_degradations(step_time, degradations)], DESIGN)

    assert finding.verdict == verdict
    assert finding.estimate == pytest.approx(degradations[: finding.num_pairs].mean())


@pytest.mark.parametrize("look", [5, 8, 12, 20])
def test_pass_begins_at_the_boundary_of_the_margin(top1, with_degradations, look):
    metric, design = replace(top1, resolution=0.0), Design(num_gated=1, looks=(look, 40))
    boundary = boundaries(design.looks, level=0.05)[0]

    inside = degradations_at(look, -1.001 * boundary, null=metric.margin, deviation=1e-4)
    outside = degradations_at(look, -0.999 * boundary, null=metric.margin, deviation=1e-4)

    assert judge_family([with_degradations(metric, inside)], design)[0].verdict is Verdict.PASS
    assert judge_family([with_degradations(metric, outside)], design)[0].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("num_gated", [1, 2, 6, 20])
def test_fail_needs_the_strict_test_against_zero_shared_by_all_metrics(top1, with_degradations, num_gated):
    metric = replace(top1, margin=1e-9, resolution=0.0)
    boundary = boundaries(DESIGN.looks, level=0.01 / num_gated)[0]
    just_beyond = degradations_at(5, boundary * 1.001, null=0.0, deviation=0.01)
    just_short = degradations_at(5, boundary * 0.999, null=0.0, deviation=0.01)

    design = Design(num_gated=num_gated)

    assert judge_family([with_degradations(metric, just_beyond)], design)[0].verdict is Verdict.FAIL
    assert judge_family([with_degradations(metric, just_short)], design)[0].verdict is Verdict.INCONCLUSIVE


def test_pass_needs_the_strict_test_against_twice_the_margin(top1, with_degradations):
    design = Design(num_gated=1, alpha=0.01, margin_level=0.4)
    degradations = degradations_at(5, -3.0, null=2 * top1.margin, deviation=0.02)

    (finding,) = judge_family([with_degradations(top1, degradations)], design)

    assert finding.p_values["below_margin"] <= design.margin_level
    assert finding.p_values["below_double_margin"] > design.alpha
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_holm_lets_a_second_degradation_use_the_share_of_the_first(top1, with_degradations):
    """Its p-value lies between alpha / 2 and alpha, so it fails only beside a metric that failed."""
    alone = Design(num_gated=2)
    metric = replace(top1, margin=1e-9)
    middling = with_degradations(
        metric, degradations_at(5, boundaries(alone.looks, level=0.0075)[0], null=0.0, deviation=0.01)
    )
    clear = with_degradations(metric, degradations_at(5, 100.0, null=0.0, deviation=0.01))
    clean = with_degradations(metric, degradations_at(5, 0.0, null=0.0, deviation=0.01))

    assert [f.verdict for f in judge_family([middling, clear], alone)] == [Verdict.FAIL, Verdict.FAIL]
    assert [f.verdict for f in judge_family([middling, clean], alone)] == [Verdict.INCONCLUSIVE] * 2


def test_a_preset_finding_stays_and_keeps_its_share_of_alpha(top1, with_degradations, finding_of):
    metric = replace(top1, margin=1e-9)
    preset = replace(with_degradations(metric, []), preset=finding_of("error", Blame.BASELINE))
    middling = with_degradations(
        metric, degradations_at(5, boundaries(DESIGN.looks, level=0.0075)[0], null=0.0, deviation=0.01)
    )

    findings = judge_family([preset, middling], Design(num_gated=2))

    assert findings[0] is preset.preset
    assert findings[1].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("num_pairs", range(5))
def test_fewer_pairs_than_the_first_look_are_inconclusive(top1, with_degradations, num_pairs):
    (finding,) = judge_family([with_degradations(top1, [0.0] * num_pairs)], DESIGN)

    assert (finding.verdict, finding.num_looks) == (Verdict.INCONCLUSIVE, 0)
    assert finding.further_pairs == 5 - num_pairs
    assert finding.warnings == (f"{num_pairs} pairs measured, the first look needs 5",)


def test_pairs_beyond_the_last_completed_look_are_not_used(top1, with_degradations):
    degradations = 0.002 + 0.001 * SPREAD[:11]

    (finding,) = judge_family([with_degradations(top1, degradations)], DESIGN)

    assert (finding.num_pairs, finding.num_looks) == (8, 2)
    assert finding.degradations == pytest.approx(degradations[:8])
    assert len(finding.seeds) == len(finding.baseline_values) == len(finding.candidate_values) == 8


def test_a_degradation_after_the_verdict_does_not_change_it(top1, with_degradations):
    degradations = np.concatenate([0.0002 * SPREAD[:5], np.full(15, 0.5)])

    (finding,) = judge_family([with_degradations(top1, degradations)], DESIGN)

    assert (finding.verdict, finding.num_pairs) == (Verdict.PASS, 5)


@pytest.mark.parametrize("position", [0, 4, 7, 19])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_value_that_is_not_finite_is_an_error_wherever_it_is(top1, with_degradations, position, bad, side):
    samples = with_degradations(top1, 0.0001 * SPREAD)
    values = list(getattr(samples, f"{side}_values"))
    values[position] = bad

    (finding,) = judge_family([replace(samples, **{f"{side}_values": tuple(values)})], DESIGN)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame(side))


def test_an_impossible_accuracy_does_not_pass(top1, with_degradations):
    perfect = replace(with_degradations(top1, [0.0] * 5), candidate_values=(1.0,) * 5)

    (finding,) = judge_family([perfect], DESIGN)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)


def test_an_error_in_one_metric_takes_no_verdict_from_another(top1, with_degradations):
    """The pairs before the error stay in Holm's procedure, so the other metric's share does not shrink."""
    metric = replace(top1, margin=1e-9, ceiling=None, unit="1")
    middling = with_degradations(
        metric, degradations_at(5, boundaries(DESIGN.looks, level=0.0075)[0], null=0.0, deviation=0.01)
    )
    degradations = degradations_at(5, 100.0, null=0.0, deviation=0.01)
    harmed = with_degradations(replace(metric, margin=float(degradations.mean())), [*degradations, math.nan])

    assert [f.verdict for f in judge_family([middling, harmed], Design(num_gated=2))] == [Verdict.FAIL, Verdict.ERROR]


@pytest.mark.parametrize("side", ["baseline", "candidate"])
@pytest.mark.parametrize(("position", "verdict"), [(4, Verdict.ERROR), (5, Verdict.FAIL), (7, Verdict.FAIL)])
def test_a_fail_stays_if_a_later_pair_cannot_be_judged(top1, with_degradations, side, position, verdict):
    samples = with_degradations(top1, 0.005 + 0.0005 * SPREAD[:8])
    values = list(getattr(samples, f"{side}_values"))
    values[position] = math.nan

    (finding,) = judge_family([replace(samples, **{f"{side}_values": tuple(values)})], DESIGN)

    reason = f"top1_accuracy of the {side} is nan at seed {position}"
    assert finding.verdict is verdict
    if verdict is Verdict.FAIL:
        assert (finding.num_pairs, finding.warnings[-1]) == (5, f"a later pair could not be judged: {reason}")
    else:
        assert finding.reason == reason


def test_a_fail_that_stays_takes_no_verdict_from_another(top1, with_degradations):
    metric = replace(top1, margin=1e-9, ceiling=None, unit="1")
    middling = with_degradations(
        metric, degradations_at(5, boundaries(DESIGN.looks, level=0.0075)[0], null=0.0, deviation=0.01)
    )
    clear = with_degradations(metric, [*degradations_at(5, 100.0, null=0.0, deviation=0.01), math.nan])

    assert [f.verdict for f in judge_family([middling, clear], Design(num_gated=2))] == [Verdict.FAIL, Verdict.FAIL]


def test_deterministic_metrics_have_no_place_in_the_family(parameters, with_degradations):
    with pytest.raises(ValueError, match="is deterministic"):
        judge_family([with_degradations(parameters, [])], DESIGN)


def test_more_metrics_than_planned_are_refused(top1, with_degradations):
    with pytest.raises(ValueError, match="2 metrics to judge, but the design shares alpha among 1"):
        judge_family([with_degradations(top1, [])] * 2, DESIGN)


def test_a_family_of_none_has_no_findings():
    assert judge_family([], Design(num_gated=0)) == ()


@pytest.mark.parametrize("degradation", [0.0, 0.002, 0.01])
def test_equal_degradations_are_judged_with_the_noise_of_rounding(top1, with_degradations, degradation):
    (finding,) = judge_family([with_degradations(top1, [degradation] * 20)], DESIGN)

    assert finding.standard_deviation == pytest.approx(0.41e-4)
    assert finding.verdict is {0.0: Verdict.PASS, 0.002: Verdict.INCONCLUSIVE, 0.01: Verdict.FAIL}[degradation]


def test_higher_is_better_and_lower_is_better_mirror_each_other(step_time, with_degradations):
    samples = with_degradations(step_time, 0.2 + 0.01 * SPREAD)
    throughput = replace(step_time, name="throughput", direction="higher")
    reciprocal = replace(
        samples,
        metric=throughput,
        baseline_values=tuple(1 / value for value in samples.baseline_values),
        candidate_values=tuple(1 / value for value in samples.candidate_values),
    )

    time_finding, throughput_finding = judge_family([samples, reciprocal], Design(num_gated=2))

    assert time_finding.verdict is throughput_finding.verdict is Verdict.FAIL
    assert time_finding.estimate == pytest.approx(throughput_finding.estimate)


@given(st.data())
def test_decided_stays_decided_when_pairs_are_added(top1, with_degradations, data):
    degradations = [drawn_degradations(data, num_pairs=20, scale=top1.margin) for _ in range(3)]
    metric, design = replace(top1, ceiling=None, unit="1"), Design(num_gated=3)
    earlier, later = sorted(data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))

    before = judge_family([with_degradations(metric, degradation[:earlier]) for degradation in degradations], design)
    after = judge_family([with_degradations(metric, degradation[:later]) for degradation in degradations], design)

    for old, new in zip(before, after, strict=True):
        assert old.verdict is Verdict.INCONCLUSIVE or new == old


@given(st.data())
def test_a_larger_degradation_never_gets_a_better_verdict(top1, with_degradations, data):
    degradations = drawn_degradations(data, num_pairs=20, scale=top1.margin)
    shift = data.draw(st.floats(0, 4)) * top1.margin
    metric = replace(top1, ceiling=None, unit="1")

    (before,) = judge_family([with_degradations(metric, degradations)], DESIGN)
    (after,) = judge_family([with_degradations(metric, degradations + shift)], DESIGN)

    assert VERDICTS_BY_DEGRADATION.index(after.verdict) >= VERDICTS_BY_DEGRADATION.index(before.verdict)


@given(st.data())
def test_what_fails_passes_with_the_roles_swapped(top1, with_degradations, data):
    degradations = drawn_degradations(data, num_pairs=20, scale=top1.margin)
    samples = with_degradations(replace(top1, ceiling=None, unit="1"), degradations)
    swapped = replace(samples, baseline_values=samples.candidate_values, candidate_values=samples.baseline_values)

    (finding,), (mirrored,) = judge_family([samples], DESIGN), judge_family([swapped], DESIGN)

    assert finding.verdict is not Verdict.FAIL or mirrored.verdict is Verdict.PASS
    if finding.num_pairs == mirrored.num_pairs:
        assert mirrored.degradations == pytest.approx([-degradation for degradation in finding.degradations])


@given(st.data(), st.randoms(use_true_random=False))
def test_order_of_pairs_is_irrelevant_within_a_look(top1, with_degradations, data, random):
    degradations = drawn_degradations(data, num_pairs=20, scale=top1.margin)
    metric = replace(top1, ceiling=None, unit="1")
    blocks = [degradations[low:high].tolist() for low, high in pairwise((0, *DESIGN.looks))]
    shuffled = np.concatenate([random.sample(block, len(block)) for block in blocks])

    (before,), (after,) = (
        judge_family([with_degradations(metric, values)], DESIGN) for values in (degradations, shuffled)
    )

    assert (before.verdict, before.num_pairs) == (after.verdict, after.num_pairs)
    assert before.interval == pytest.approx(after.interval)


@given(st.data(), st.permutations(range(4)))
def test_order_of_metrics_is_irrelevant(top1, with_degradations, data, order):
    metric, design = replace(top1, ceiling=None, unit="1"), Design(num_gated=4)
    samples = [with_degradations(metric, drawn_degradations(data, num_pairs=20, scale=top1.margin)) for _ in order]

    findings = judge_family(samples, design)

    assert judge_family([samples[index] for index in order], design) == tuple(findings[index] for index in order)


@given(st.data(), st.floats(1e-6, 1e6))
def test_the_unit_of_a_time_is_irrelevant(step_time, with_degradations, data, unit):
    samples = with_degradations(step_time, drawn_degradations(data, num_pairs=20, scale=step_time.scaled_margin))
    converted = replace(
        samples,
        baseline_values=tuple(unit * value for value in samples.baseline_values),
        candidate_values=tuple(unit * value for value in samples.candidate_values),
    )

    (before,), (after,) = judge_family([samples], DESIGN), judge_family([converted], DESIGN)

    assert (before.verdict, before.num_pairs) == (after.verdict, after.num_pairs)
    assert before.estimate == pytest.approx(after.estimate, abs=1e-12)


@given(st.data())
def test_every_finding_is_whole_and_agrees_with_itself(top1, with_degradations, data):
    metric = replace(top1, ceiling=None, unit="1")
    (finding,) = judge_family(
        [with_degradations(metric, drawn_degradations(data, num_pairs=20, scale=metric.margin))], DESIGN
    )

    assert finding.interval is not None
    counted = np.clip(finding.degradations, *((-finding.cap, finding.cap) if finding.cap else (-np.inf, np.inf)))
    assert finding.estimate == pytest.approx(np.clip(np.mean(counted), *finding.interval))
    assert finding.baseline_mean is not None
    assert finding.candidate_mean == pytest.approx(finding.baseline_mean - np.mean(finding.degradations))
    assert finding.interval.low <= finding.estimate <= finding.interval.high
    assert finding.passes_below is not None
    assert finding.fails_above is not None
    assert finding.passes_below < metric.margin < finding.fails_above
    assert all(0 <= p <= 1 for p in finding.p_values.values())
    assert finding.reason.startswith(("about ", "at least "))
    assert (finding.verdict is Verdict.INCONCLUSIVE) or finding.further_pairs is None


@given(st.data())
def test_the_interval_agrees_with_the_verdict(top1, with_degradations, data):
    metric = replace(top1, ceiling=None, unit="1")
    (finding,) = judge_family(
        [with_degradations(metric, drawn_degradations(data, num_pairs=20, scale=metric.margin))], DESIGN
    )

    assert finding.interval is not None
    if finding.verdict is Verdict.PASS:
        assert finding.interval.high <= metric.margin * (1 + 1e-9)
    if finding.verdict is Verdict.FAIL:
        assert finding.interval.low >= metric.margin * (1 - 1e-9)


@settings(max_examples=25)
@given(st.data())
def test_another_metric_without_evidence_only_takes_its_share(top1, with_degradations, data):
    """Beside K - 1 metrics without pairs a metric is judged as in a gate of one at alpha / K."""
    metric = replace(top1, ceiling=None, unit="1")
    samples = with_degradations(metric, drawn_degradations(data, num_pairs=20, scale=metric.margin))

    shared, *_ = judge_family([samples, *[with_degradations(metric, [])] * 4], Design(num_gated=5))
    (alone,) = judge_family([samples], Design(num_gated=5))

    assert shared == alone


def test_fifty_metrics_of_45_pairs_are_judged_with_a_few_thousand_calls_each(step_time, with_degradations):
    """Calls are counted, which take tens of milliseconds altogether, since seconds depend on the machine."""
    rng = np.random.default_rng(0)
    samples = [with_degradations(step_time, rng.normal(0.03, 0.06, size=45)) for _ in range(50)]
    design = Design(num_gated=50, looks=(5, 8, 12, 20, 30, 45))
    judge_family(samples, design)  # what depends on the design alone is computed once in a process
    calls = Counter()

    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: calls.update([event]))
    try:
        judge_family(samples, design)
    finally:
        sys.setprofile(before)

    assert 50 * 100 < calls["call"] + calls["c_call"] < 50 * 3500


def exploded(degradations, chosen, *, margin, size=1e6):
    """Degradations of which the chosen ones are so many margins."""
    degradations = np.array(degradations)
    degradations[list(chosen)] = size * margin
    return degradations


@pytest.mark.parametrize("size", [11.0, 1e3, 1e9, 1e150, 1e300])
def test_an_explosion_in_every_pair_fails_at_the_first_look(top1, with_degradations, size):
    metric = replace(top1, unit="nat", direction=Direction.LOWER, ceiling=None)
    degradations = size * metric.margin * np.array([1.0, 7.0, 2.0, 1000.0, 30.0] * 4)

    (finding,) = judge_family([with_degradations(metric, degradations, own_noise=STEADY)], DESIGN)

    assert (finding.verdict, finding.num_pairs) == (Verdict.FAIL, 5)
    assert finding.reason.startswith(f"at least {finding.cap:.4f} nat worse (interval ")
    assert "to unbounded) in 5 pairs: worse by more than the margin of 0.0020 nat" in finding.reason
    assert finding.interval.low >= metric.margin


@pytest.mark.parametrize("factor", [1.7, 3.0, 50.0])
def test_a_clear_slowdown_beyond_the_cap_is_told_as_measured(step_time, with_degradations, factor):
    degradations = math.log(factor) + 0.01 * SPREAD

    (finding,) = judge_family([with_degradations(step_time, degradations)], Design(num_gated=20))

    assert (finding.verdict, finding.num_pairs, finding.cap) == (Verdict.FAIL, 5, None)
    assert finding.estimate == pytest.approx(degradations[:5].mean())
    assert finding.interval.low < finding.estimate < finding.interval.high


def test_a_gain_in_every_pair_passes_at_the_first_look_however_uneven(top1, with_degradations):
    metric = replace(top1, ceiling=None, unit="1")

    (finding,) = judge_family([with_degradations(metric, [-0.1, -5.0, -1e6, -0.3, -40.0], own_noise=STEADY)], DESIGN)

    assert (finding.verdict, finding.num_pairs) == (Verdict.PASS, 5)
    assert finding.reason.startswith("at least ")


@pytest.mark.parametrize("num_pairs", [8, 20])
def test_an_explosion_of_the_candidate_alone_cannot_pass(top1, with_degradations, num_pairs):
    metric = replace(top1, ceiling=None, unit="1", resolution=0.0)
    # so easily passed that only that forbids it
    design = Design(num_gated=1, margin_level=0.45, alpha=0.45, looks=(num_pairs,))
    degradations = exploded(-0.5 * metric.margin * np.ones(num_pairs), [3], margin=metric.margin, size=10.5)

    (with_it,) = judge_family([with_degradations(metric, degradations, own_noise=STEADY)], design)
    (without,) = judge_family(
        [with_degradations(metric, np.delete(degradations, 3), own_noise=STEADY)],
        replace(design, looks=(num_pairs - 1,)),
    )

    assert (with_it.verdict, without.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)
    assert with_it.reason.endswith(
        "1 trial of the candidate exploded, worse by more than 0.0200, and none of the baseline"
    )
    assert with_it.exploded_seeds == (3,)


def test_an_explosion_of_both_revisions_may_pass(top1, with_degradations):
    metric = replace(top1, ceiling=None, unit="1")
    design = Design(num_gated=1, margin_level=0.45, alpha=0.45, looks=(20,))
    degradations = exploded(-0.9 * metric.margin * np.ones(20), [3], margin=metric.margin)
    degradations[9] = -degradations[3]

    assert judge_family([with_degradations(metric, degradations, own_noise=STEADY)], design)[0].verdict is Verdict.PASS


def test_an_explosion_stays_in_mind_at_later_looks(top1, with_degradations):
    metric = replace(top1, ceiling=None, unit="1", resolution=0.0)
    degradations = exploded(-0.5 * metric.margin * np.ones(20), [2], margin=metric.margin, size=1e3)

    (finding,) = judge_family(
        [with_degradations(metric, degradations, own_noise=STEADY)], Design(num_gated=1, margin_level=0.45, alpha=0.45)
    )

    assert finding.verdict is Verdict.INCONCLUSIVE


def test_noise_far_above_the_margin_is_not_capped(top1, with_degradations):
    """Five pairs at the cap on one side would come up in one clean gate of sixteen and look like certainty."""
    metric = replace(top1, margin=1e-9, ceiling=None, unit="1")

    (finding,) = judge_family([with_degradations(metric, 0.01 * (1 + 0.9 * SPREAD[:5]))], DESIGN)

    assert finding.cap is None
    assert finding.verdict is Verdict.INCONCLUSIVE


@given(st.data(), st.sets(st.integers(0, 19), min_size=1, max_size=6), st.floats(12, 1e9), st.floats(1, 1e9))
def test_the_size_of_an_explosion_is_irrelevant(top1, with_degradations, data, chosen, size, factor):
    metric = replace(top1, ceiling=None, unit="1")
    degradations = 0.3 * metric.margin * np.random.default_rng(data.draw(st.integers(0, 999))).standard_normal(20)

    before, after = (
        judge_family(
            [
                with_degradations(
                    metric, exploded(degradations, chosen, margin=metric.margin, size=each), own_noise=STEADY
                )
            ],
            DESIGN,
        )[0]
        for each in (size, size * factor)
    )

    assert (before.verdict, before.num_pairs) == (after.verdict, after.num_pairs)
    assert before.p_values == pytest.approx(after.p_values)


@given(st.data(), st.sets(st.integers(0, 19), max_size=4), st.sampled_from([-1e6, 1e6]))
def test_roles_swap_with_explosions_too(top1, with_degradations, data, chosen, size):
    metric = replace(top1, ceiling=None, unit="1")
    degradations = exploded(
        drawn_degradations(data, num_pairs=20, scale=metric.margin), chosen, margin=metric.margin, size=size
    )
    samples = with_degradations(metric, degradations, own_noise=STEADY)
    swapped = replace(samples, baseline_values=samples.candidate_values, candidate_values=samples.baseline_values)

    (finding,), (mirrored,) = judge_family([samples], DESIGN), judge_family([swapped], DESIGN)

    if finding.verdict is Verdict.FAIL:
        assert mirrored.verdict is Verdict.PASS or mirrored.exploded_seeds


@given(st.data(), st.sets(st.integers(0, 19), max_size=4), st.integers(-20, 20))
def test_the_unit_of_an_accuracy_is_irrelevant(top1, with_degradations, data, chosen, exponent):
    metric, factor = replace(top1, ceiling=None, unit="nat"), 2.0**exponent
    degradations = exploded(drawn_degradations(data, num_pairs=20, scale=metric.margin), chosen, margin=metric.margin)
    samples = with_degradations(metric, degradations, own_noise=STEADY)
    converted = replace(
        samples,
        metric=replace(metric, margin=factor * metric.margin, resolution=factor * metric.resolution),
        baseline_values=tuple(factor * value for value in samples.baseline_values),
        candidate_values=tuple(factor * value for value in samples.candidate_values),
    )

    (before,), (after,) = judge_family([samples], DESIGN), judge_family([converted], DESIGN)

    assert (before.verdict, before.num_pairs) == (after.verdict, after.num_pairs)
    assert before.p_values == after.p_values


@given(st.data(), st.sets(st.integers(0, 19), max_size=4), st.sampled_from([-1e200, 1e3, 1e200]))
def test_an_estimate_lies_in_its_interval_and_the_interval_agrees_with_the_verdict(
    top1, with_degradations, data, chosen, size
):
    metric = replace(top1, ceiling=None, unit="1")
    degradations = exploded(
        drawn_degradations(data, num_pairs=20, scale=metric.margin), chosen, margin=metric.margin, size=size
    )

    (finding,) = judge_family([with_degradations(metric, degradations, own_noise=STEADY)], Design(num_gated=64))

    assert finding.interval.low <= finding.estimate <= finding.interval.high
    if not any("contradict each other" in warning for warning in finding.warnings):
        is_beyond = finding.interval.low >= metric.margin * (1 - 1e-9)
        is_within = finding.interval.high <= metric.margin * (1 + 1e-9)
        assert is_beyond == (finding.verdict is Verdict.FAIL)
        assert is_within == (finding.verdict is Verdict.PASS or bool(finding.exploded_seeds and is_within))


def test_a_degradation_that_many_metrics_might_show_by_chance_has_an_interval_that_says_so(
    step_time, with_degradations
):
    """Each of five pairs is a third slower, which one gate in many of 64 metrics shows without a cause."""
    degradations = math.log(1.336) + 0.1 * SPREAD[:5] / SPREAD[:5].std(ddof=1)

    (among_many,), (alone,) = (
        judge_family([with_degradations(step_time, degradations)], Design(num_gated=num_gated)) for num_gated in (64, 1)
    )

    assert (among_many.verdict, alone.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
    assert among_many.interval.low < 0 < step_time.scaled_margin < alone.interval.low
    assert "neither within nor beyond the margin of 5.0 %" in among_many.reason


HUGE = {
    "perplexity": ([12.0, 12.5, 11.8, 12.2, 12.1], [math.exp(450) * k for k in (1.0, 3.0, 0.2, 7.0, 1.1)]),
    "constant": ([0.3, 0.31, 0.3, 0.29, 0.3], [1e308] * 5),
    "largest": ([0.3, 0.31, 0.3, 0.29, 0.3], [1.7976931348623157e308] * 5),
    "beyond-all-differences": ([-1e308] * 5, [1e308] * 5),
    "rounding-errors": ([1e308] * 5, [1.1e308, 1.2e308, 1.1e308, 1.3e308, 1.2e308]),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_finite_values_fail_with_finite_numbers(top1, name):
    metric = replace(top1, name=name, direction=Direction.LOWER, ceiling=None, resolution=0.0)
    baseline, candidate = HUGE[name]

    samples = MetricSamples(
        metric=metric, seeds=tuple(range(5)), baseline_values=tuple(baseline), candidate_values=tuple(candidate)
    )
    (finding,) = judge_family([samples], DESIGN)

    assert finding.verdict is Verdict.FAIL
    numbers = (finding.estimate, finding.standard_deviation, finding.baseline_mean, finding.candidate_mean)
    assert all(map(math.isfinite, (*numbers, *finding.degradations, finding.interval.low)))


def test_times_of_any_size_fail_with_finite_numbers(step_time):
    samples = MetricSamples(
        metric=step_time, seeds=tuple(range(5)), baseline_values=(5e-324,) * 5, candidate_values=(1.7e308,) * 5
    )

    (finding,) = judge_family([samples], DESIGN)

    assert finding.verdict is Verdict.FAIL
    assert math.isfinite(finding.estimate)
