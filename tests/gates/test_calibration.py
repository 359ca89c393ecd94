import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.gates.calibration import (
    LONGEST_LOOKS,
    Budget,
    explain_refusal,
    is_supported,
    item_noise,
    measure_noise,
    propose_settings,
    resample_gates,
    rounded_up,
    schedules,
    supported_margin,
)
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Finding, ItemCounts, Verdict
from mainstay.records.metrics import Direction, Kind, Metric

DESIGN = Design(num_gated=6)


def noise_of(deviation, *, bias=0.0, margin=0.05, name="time", block_errors=()):
    """Noise with exactly this deviation and bias."""
    degradations = np.random.default_rng(1).normal(size=20)
    degradations = (degradations - degradations.mean()) / degradations.std(ddof=1) * deviation + bias
    metric = Metric(
        workload=f"test_speed.py::test_{name}",
        name=name,
        kind=Kind.PERFORMANCE,
        direction=Direction.LOWER,
        margin=margin,
        unit="s",
    )
    samples = MetricSamples(
        metric=metric,
        seeds=tuple(range(20)),
        baseline_values=(1.0,) * 20,
        candidate_values=tuple(np.exp(degradations).tolist()),
    )
    return measure_noise(samples, block_errors, DESIGN)


def test_noise_is_what_the_pairs_show():
    noise = noise_of(0.03, bias=0.01, block_errors=[0.02] * 20)

    assert (noise.deviation, noise.bias) == pytest.approx((0.03, 0.01))
    assert (noise.within, noise.between) == pytest.approx((0.02, math.sqrt(0.03**2 - 0.02**2)))
    assert noise.bias_interval.low < 0.01 < noise.bias_interval.high
    assert noise.deviation_interval.low < 0.03 < noise.deviation_interval.high
    assert [detectable.num_pairs for detectable in noise.detectable] == list(LONGEST_LOOKS)


def test_without_blocks_the_parts_are_unknown():
    noise = noise_of(0.03)

    assert noise.within is None
    assert noise.between is None


def test_more_pairs_detect_less_and_pass_more():
    detectable = noise_of(0.03).detectable

    assert all(a.fails_above > b.fails_above for a, b in itertools.pairwise(detectable))
    assert all(a.passes_below < b.passes_below for a, b in itertools.pairwise(detectable))


def test_one_pair_has_no_noise():
    metric = Metric(workload="w", name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
    samples = MetricSamples(metric=metric, seeds=(1,), baseline_values=(1.0,), candidate_values=(1.1,))

    with pytest.raises(ValueError, match="at least 2 pairs"):
        measure_noise(samples, [], DESIGN)


@pytest.mark.parametrize(
    ("deviation", "bias", "looks", "supported"),
    [
        pytest.param(0.029, 0.0, (5, 8, 12, 20), True, id="20-pairs-at-3-percent"),
        pytest.param(0.030, 0.0, (5, 8, 12, 20), False, id="20-pairs-just-not"),
        pytest.param(0.019, 0.0, (5, 8, 12), True, id="12-pairs-at-2-percent"),
        pytest.param(0.029, 0.0, (5, 8, 12), False, id="12-pairs-at-3-percent"),
        pytest.param(0.060, 0.0, (5, 8, 12, 20, 30, 45), True, id="45-pairs-at-6-percent"),
        pytest.param(0.005, 0.016, (5, 8, 12, 20), True, id="bias-below-a-third"),
        pytest.param(0.005, 0.017, (5, 8, 12, 20), False, id="bias-above-a-third"),
        pytest.param(0.005, -0.017, (5, 8, 12, 20), False, id="bias-to-the-good"),
    ],
)
def test_a_margin_of_five_percent_is_supported_by_noise_and_pairs(deviation, bias, looks, supported):
    noise = noise_of(deviation, bias=bias)

    assert is_supported(noise, Design(num_gated=6, looks=looks)) is supported


@pytest.mark.parametrize("looks", schedules())
@pytest.mark.parametrize("deviation", [0.004, 0.02, 0.09])
def test_a_supported_margin_is_supported_and_a_smaller_one_is_not(deviation, looks):
    design = Design(num_gated=6, looks=looks)
    margin = supported_margin(noise_of(deviation), design)

    assert is_supported(noise_of(deviation, margin=margin * 1.0001), design)
    assert not is_supported(noise_of(deviation, margin=margin * 0.999), design)


@given(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5))
def test_more_noise_never_supports_a_finer_margin(first, second):
    less, more = (supported_margin(noise_of(deviation), DESIGN) for deviation in sorted((first, second)))

    assert less <= more * (1 + 1e-9)


def test_a_bias_that_chance_explains_is_no_bias():
    noise = noise_of(0.03, bias=0.018)

    assert noise.bias_interval.low < 0
    assert supported_margin(noise, DESIGN) == pytest.approx(supported_margin(noise_of(0.03), DESIGN))


def test_a_quiet_machine_is_proposed_the_fewest_pairs():
    proposal = propose_settings([noise_of(0.005)], Budget(seconds=900, seconds_per_pair=10, pair_seconds=2.5), DESIGN)

    assert (proposal.looks, proposal.seconds, proposal.margins) == ((5, 8), 900, {})


def test_a_noisy_machine_is_proposed_more_pairs():
    noises = [noise_of(0.005), noise_of(0.055, name="memory")]

    proposal = propose_settings(noises, Budget(seconds=900, seconds_per_pair=10, pair_seconds=2.5), DESIGN)

    assert (proposal.looks, proposal.margins) == (LONGEST_LOOKS, {})


def test_a_margin_beyond_the_budget_is_widened_to_what_it_supports():
    noises = [noise_of(0.005), noise_of(0.04, name="memory"), noise_of(0.05, name="memory")]
    budget = Budget(seconds=300, seconds_per_pair=14, pair_seconds=2.5)

    proposal = propose_settings(noises, budget, DESIGN)

    assert proposal.looks == (5, 8, 12, 20)
    assert proposal.margins == {"memory": rounded_up(math.expm1(1.67 * 0.05))}


def test_the_deviation_of_a_metric_is_proposed_where_its_margin_is_supported():
    noises = [noise_of(0.0123), noise_of(0.2, name="memory")]

    proposal = propose_settings(noises, Budget(seconds=900, seconds_per_pair=60, pair_seconds=2.5), DESIGN)

    assert list(proposal.margins) == ["memory"]
    assert proposal.deviations == {noises[0].metric.id: rounded_up(noises[0].deviation)}


def test_a_margin_that_replaces_those_of_a_name_is_the_widest_of_them():
    noises = [noise_of(0.03, margin=0.05), noise_of(0.04, margin=0.2)]
    budget = Budget(seconds=300, seconds_per_pair=14, pair_seconds=2.5)

    assert propose_settings(noises[:1], budget, DESIGN).margins["time"] < 0.2
    assert propose_settings(noises, budget, DESIGN).margins == {"time": 0.2}


def test_a_budget_without_eight_pairs_is_raised():
    proposal = propose_settings([noise_of(0.001)], Budget(seconds=30, seconds_per_pair=10.5, pair_seconds=2.5), DESIGN)

    assert (proposal.looks, proposal.seconds) == ((5, 8), 84)


@pytest.mark.parametrize(("seconds", "least", "proposed"), [(1400, 1651.0, 1651), (30, 75.0, 84), (1700, 1651.0, 1700)])
def test_a_budget_in_which_a_gate_would_shorten_its_pairs_is_raised(seconds, least, proposed):
    per_pair = 165 if least > 100 else 10.5
    budget = Budget(seconds=seconds, seconds_per_pair=per_pair, pair_seconds=2.5, least_seconds=least)

    assert propose_settings([noise_of(0.001)], budget, DESIGN).seconds == proposed


def test_a_refusal_never_advises_seconds_in_which_pairs_would_be_shortened():
    budget = Budget(seconds=30, seconds_per_pair=3, pair_seconds=2.5, least_seconds=76)
    noise = noise_of(0.02)

    said = explain_refusal(noise, budget, DESIGN, propose_settings([noise], budget, DESIGN))

    assert "20 pairs (looks = [5, 8, 12, 20], seconds = 76)" in said


@pytest.mark.parametrize(("deviation", "is_proposed"), [(0.004, True), (0.2, False)])
def test_the_deviation_of_a_mean_is_proposed_without_a_margin(deviation, is_proposed):
    member, mean = noise_of(0.005), noise_of(deviation, name="time_geomean")
    budget = Budget(seconds=900, seconds_per_pair=60, pair_seconds=2.5)

    proposal = propose_settings([member], budget, DESIGN, means=[mean])

    assert (mean.metric.id in proposal.deviations) is is_proposed
    assert proposal.margins == {}
    assert proposal.looks == propose_settings([member], budget, DESIGN).looks


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        pytest.param(
            noise_of(0.04),
            "12 pairs of this noise (4.1 % a pair) do not support the margin of 5.0 %; it would take a margin of "
            "10.5 % or 30 pairs (looks = [5, 8, 12, 20, 30], seconds = 300)",
            id="pairs",
        ),
        pytest.param(
            noise_of(0.04, block_errors=[0.039] * 20),
            "12 pairs of this noise (4.1 % a pair) do not support the margin of 5.0 %; it would take a margin of "
            "10.5 % or 30 pairs (looks = [5, 8, 12, 20, 30], seconds = 300) or 12 longer pairs "
            "(pair_seconds = 12.6)",
            id="longer-pairs",
        ),
        pytest.param(
            noise_of(0.20),
            "12 pairs of this noise (22.1 % a pair) do not support the margin of 5.0 %; it would take a margin of "
            "64.9 %",
            id="nothing-but-a-wider-margin",
        ),
        pytest.param(
            noise_of(0.002, bias=0.03),
            "two builds of one revision differ by 3.0 %, more than a third of the margin of 5.0 %; more pairs do not "
            "help; it would take a margin of 9.4 %",
            id="bias",
        ),
        pytest.param(noise_of(0.002), "", id="supported"),
    ],
)
def test_a_refusal_says_what_would_support_the_margin(noise, said):
    budget = Budget(seconds=130, seconds_per_pair=10, pair_seconds=2.5)

    proposal = propose_settings([noise], budget, DESIGN)

    assert explain_refusal(noise, budget, DESIGN, proposal) == said
    assert bool(proposal.margins) == bool(said)


def test_resampled_gates_of_measured_noise_keep_the_stated_error_rate():
    degradations = np.random.default_rng(3).standard_t(4, size=(6, 20)) * 0.5

    gates = resample_gates(
        degradations, margins=[0.01] * 6, design=DESIGN, num_gates=4_000, rng=np.random.default_rng(4)
    )

    assert gates.num_fails / gates.num_gates <= 0.015


def test_resampling_does_not_see_the_bias_of_a_build():
    degradations = np.full((2, 20), 0.3) + np.random.default_rng(5).normal(scale=0.01, size=(2, 20))
    design = Design(num_gated=2)

    gates = resample_gates(degradations, margins=[0.05] * 2, design=design, num_gates=500, rng=np.random.default_rng(6))

    assert gates.num_fails / gates.num_gates < 0.1


def test_looks_beyond_the_measured_pairs_are_not_taken():
    degradations = np.random.default_rng(7).normal(scale=0.001, size=(1, 6))

    gates = resample_gates(
        degradations, margins=[0.05], design=Design(num_gated=1), num_gates=50, rng=np.random.default_rng(8)
    )

    assert gates.num_passes == 50


@pytest.mark.parametrize(
    ("margin", "rounded"), [(0.0501, 0.051), (0.05, 0.05), (0.1, 0.1), (0.00123, 0.0013), (1.01, 1.1)]
)
def test_margins_are_rounded_up_to_two_digits(margin, rounded):
    assert rounded_up(margin) == rounded


@pytest.mark.parametrize(
    ("honest", "supported", "refusal"),
    [
        pytest.param(0.01, 0.01, "", id="a-range-bounds-what-no-item-showed"),
        pytest.param(0.03, 0.03, "too small", id="too-few-items"),
        pytest.param(None, None, "support no margin", id="no-margin"),
        pytest.param(0.0, None, "nothing can be told from a deviation of 0", id="no-range-and-no-difference"),
    ],
)
def test_a_margin_of_items_is_refused_where_they_do_not_support_it(honest, supported, refusal):
    metric = Metric(workload="w", name="loss", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.02)
    counts = ItemCounts(num_worse=0, num_better=0, num_clusters=400, honest_margin=honest)

    noise = item_noise(Finding(metric=metric, verdict=Verdict.PASS, reason="", num_pairs=400, items=counts))

    assert noise.supported_margin == supported
    assert refusal in noise.refusal
    assert bool(noise.refusal) is bool(refusal)
