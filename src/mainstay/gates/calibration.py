"""Calibration: settings that the machine's noise supports, from pairs of two equal revisions.

A margin is supported by a number of pairs if a clean change then reliably passes. For this, the margin must exceed a
multiple of the standard deviation of a pair, which depends on the number of pairs, and three times the bias between two
builds of one revision, which more pairs do not remove. This module measures nothing itself.

- :func:`measure_noise`: the noise of one metric, from pairs.
- :func:`resample_gates`: how often a gate over such pairs raises a false alarm.
- :func:`propose_settings`: looks and margins that fit a budget.
- :func:`explain_refusal`: why a margin is refused, and what would support it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.family import decide, degradations_of, weigh_evidence
from mainstay.gates.findings import smallest_honest_margin, stated_limits
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.calibrations import DetectableDegradation, ItemNoise, MetricNoise, Proposal
from mainstay.records.findings import Finding, Interval
from mainstay.records.formatting import degradation_text
from mainstay.records.metrics import Metric, Tier
from mainstay.stats.noise import deviation_interval, split_noise
from mainstay.stats.paired import mean_interval, summarise_pairs
from mainstay.stats.power import supported_ratio

LONGEST_LOOKS = (5, 8, 12, 20, 30, 45)
"""Looks of a noisy project; a proposal consists of the first two or more of these."""

BIAS_FACTOR = 3.0
"""Smallest ratio of a margin to the bias between two builds."""

BIAS_LEVEL = 0.005
"""Error probability of each bound of the bias."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Time budget for measuring.

    Attributes:
        seconds: Budget for measuring.
        seconds_per_pair: Wall time of a pair, all workloads together.
        pair_seconds: The part of it that the blocks of each timed workload take.
        least_seconds: Smallest budget with which a gate measures pairs as long as these.

    Example:
        >>> Budget(seconds=300, seconds_per_pair=20, pair_seconds=2.5).max_pairs
        15
    """

    seconds: float
    seconds_per_pair: float
    pair_seconds: float
    least_seconds: float = 0.0

    @property
    def max_pairs(self) -> int:
        """Number of pairs that fit into the budget."""
        return int(self.seconds / self.seconds_per_pair)

    def seconds_for(self, num_pairs: int) -> int:
        """Budget that a gate needs for a number of pairs as long as these."""
        return math.ceil(max(num_pairs * self.seconds_per_pair, self.least_seconds))


@dataclass(frozen=True, kw_only=True, slots=True)
class ResampledGates:
    """Verdicts of gates resampled from measured pairs.

    Attributes:
        num_gates: Number of gates.
        num_fails: Number of gates that failed, which are false alarms.
        num_passes: Number of gates in which every metric passed.
    """

    num_gates: int
    num_fails: int
    num_passes: int


def schedules() -> tuple[tuple[int, ...], ...]:
    """The looks that may be proposed, shortest first.

    Example:
        >>> schedules()[:2]
        ((5, 8), (5, 8, 12))
    """
    return tuple(LONGEST_LOOKS[:end] for end in range(2, len(LONGEST_LOOKS) + 1))


def measure_noise(samples: MetricSamples, block_errors: Sequence[float], design: Design) -> MetricNoise:
    """Measure the noise of one metric from pairs of two equal revisions.

    Args:
        samples: Values of both builds in every pair, at least two pairs.
        block_errors: Standard error of each pair's degradation from its blocks; empty if there are no blocks.
        design: Levels and number of metrics.

    Raises:
        ValueError: If there are fewer than two pairs.

    Example:
        >>> from mainstay.records.metrics import Direction
        >>> from mainstay.records.metrics import Kind
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> values = MetricSamples(
        ...     metric=step, seeds=(1, 2, 3), baseline_values=(1.0, 1.1, 1.0), candidate_values=(1.02, 1.1, 0.98)
        ... )
        >>> noise = measure_noise(values, [], Design(num_gated=1))
        >>> f"{noise.deviation:.3f}"
        '0.020'
    """
    metric = samples.metric
    degradations = degradations_of(samples)
    summary = summarise_pairs(degradations)
    deviation, num_pairs = float(summary.deviation), len(degradations)
    low, high = mean_interval(summary, level=BIAS_LEVEL)
    parts = split_noise(deviation, block_errors) if block_errors else None
    return MetricNoise(
        metric=metric,
        degradations=tuple(degradations.tolist()),
        bias=float(summary.mean),
        bias_interval=Interval(float(low), float(high)),
        deviation=deviation,
        deviation_interval=Interval(*deviation_interval(deviation, num_pairs)),
        within=parts.within if parts else None,
        between=parts.between if parts else None,
        detectable=tuple(_detectable(metric, deviation, end, design) for end in range(1, len(LONGEST_LOOKS) + 1)),
    )


def item_noise(finding: Finding) -> ItemNoise:
    """How many items flip between two equal revisions, and whether the margin is honest for so many.

    Args:
        finding: Finding of a metric of an evaluation that scored all items of two equal revisions.
    """
    items, metric = finding.items, finding.metric
    if items is None:
        raise ValueError(f"{metric.id} was not judged by its items")
    supported, refusal = items.honest_margin or None, ""
    if finding.tier is Tier.BLOCKING and (supported is None or supported > metric.margin):
        least = "no margin" if supported is None else f"a margin of {degradation_text(metric, supported)}"
        refusal = (
            f"its margin of {degradation_text(metric, metric.margin)} is too small: {finding.num_pairs:,} items of which this "
            f"many flip by themselves support {least}; widen the margin, score more items, or score each more often"
        )
        if items.honest_margin == 0:  # of scores with a range, the number of items bounds what none of them showed
            refusal = (
                f"no score of {finding.num_pairs:,} items differs, and nothing can be told from a deviation of 0 about its "
                f"margin of {degradation_text(metric, metric.margin)}: declare the range of the scores"
            )
    return ItemNoise(
        metric=metric,
        num_items=finding.num_pairs,
        num_flips=items.num_worse + items.num_better,
        tier=finding.tier,
        supported_margin=supported,
        refusal=refusal,
    )


def supported_degradation(noise: MetricNoise, design: Design) -> float:
    """The smallest margin with which a clean change reliably passes, on the scale of the degradations.

    Args:
        noise: Noise of the metric.
        design: Levels, looks and number of metrics; its last look has at least 5 pairs.
    """
    ratio, honest = supported_ratio(design.max_pairs), smallest_honest_margin(noise.deviation, design)
    return max(ratio * noise.deviation, honest, BIAS_FACTOR * certain_bias(noise))


def certain_bias(noise: MetricNoise) -> float:
    """The difference between two builds of one revision; 0 if noise alone explains it."""
    is_chance = noise.bias_interval.low <= 0 <= noise.bias_interval.high
    return 0.0 if is_chance else abs(noise.bias)


def supported_margin(noise: MetricNoise, design: Design) -> float:
    """The supported degradation as a margin: a fraction for performance, in the metric's unit for accuracy."""
    return noise.metric.scale.to_margin(supported_degradation(noise, design))


def is_supported(noise: MetricNoise, design: Design) -> bool:
    """Whether a metric's own margin is supported by the design."""
    return noise.metric.scaled_margin >= supported_degradation(noise, design)


def resample_gates(
    degradations: NDArray[np.float64],
    *,
    margins: Sequence[float],
    design: Design,
    num_gates: int,
    rng: np.random.Generator,
) -> ResampledGates:
    """Judge gates resampled from the measured pairs, in random order and with random signs.

    For two equal revisions, the design makes both signs of a pair's degradation equally likely, so the resampled gates
    are as likely as the measured one. All metrics of a pair are resampled together, which preserves their correlation.
    Degradations are not capped.

    Args:
        degradations: (metrics, pairs) degradations of two equal revisions.
        margins: (metrics,) margins on the scale of the degradations.
        design: Levels, looks and number of metrics; looks beyond the measured pairs are not taken.
        num_gates: Number of gates to resample.
        rng: Random generator.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> degradations = rng.normal(scale=0.01, size=(6, 20))
        >>> gates = resample_gates(degradations, margins=[0.0488] * 6, design=Design(num_gated=6), num_gates=200, rng=rng)
        >>> gates.num_fails, gates.num_passes
        (0, 200)
    """
    num_metrics, num_pairs = degradations.shape
    orders = rng.permuted(np.tile(np.arange(num_pairs), (num_gates, 1)), axis=1)
    signs = rng.choice([-1.0, 1.0], size=(num_gates, 1, num_pairs))
    drawn = np.moveaxis(degradations[:, orders], 0, 1) * signs
    rows = num_gates * num_metrics
    evidence = weigh_evidence(
        list(drawn.reshape(rows, num_pairs)),
        levels=None,
        margins=np.tile(np.asarray(margins, dtype=np.float64), num_gates),
        resolutions=np.zeros(rows),
        design=design,
    )
    shape = (len(design.looks), num_gates, num_metrics)
    decisions = decide(evidence.p_values.reshape(*shape, -1), evidence.is_withheld.reshape(shape), design)
    return ResampledGates(
        num_gates=num_gates,
        num_fails=int(decisions.fails.any(axis=1).sum()),
        num_passes=int(decisions.passes.all(axis=1).sum()),
    )


def propose_settings(
    noises: Sequence[MetricNoise], budget: Budget, design: Design, *, means: Sequence[MetricNoise] = ()
) -> Proposal:
    """The shortest looks within the budget that support every margin; otherwise the longest ones and wider margins.

    Args:
        noises: Noise of each metric, from pairs of two equal revisions.
        budget: Time budget for measuring.
        design: Levels and number of metrics.
        means: Noise of the mean of each group; only deviations are proposed for them, since their margins are those of
            their members.

    Returns:
        The proposed settings. There are at least two looks; if the budget is too small for them, or for pairs as long
        as those measured, ``seconds`` is raised.
        If the margin of a metric is not supported, a margin is proposed for its name: the widest that any metric of
        that name has or needs, since it replaces all of them. Deviations are proposed only for metrics whose own margin
        is supported: if the noise is too large for the margin, even more noise must not be tolerated.
    """
    affordable = [looks for looks in schedules() if looks[-1] <= budget.max_pairs] or [schedules()[0]]
    designs = [replace(design, looks=looks) for looks in affordable]
    chosen = next((each for each in designs if all(is_supported(noise, each) for noise in noises)), designs[-1])
    widest: dict[str, float] = {}
    refused = {noise.metric.name for noise in noises if not is_supported(noise, chosen)}
    for noise in noises:
        is_enough = is_supported(noise, chosen)
        needed = noise.metric.margin if is_enough else rounded_up(supported_margin(noise, chosen))
        widest[noise.metric.name] = max(needed, widest.get(noise.metric.name, 0.0))
    margins = {name: margin for name, margin in widest.items() if name in refused}
    seconds = max(budget.seconds, budget.seconds_for(chosen.max_pairs))
    deviations = {
        noise.metric.id: rounded_up(noise.deviation)
        for noise in (*noises, *means)
        if noise.deviation > 0 and is_supported(noise, chosen)
    }
    return Proposal(looks=chosen.looks, seconds=seconds, margins=margins, deviations=deviations)


def rounded_up(margin: float) -> float:
    """A margin rounded up to two digits.

    Example:
        >>> rounded_up(0.0612), rounded_up(0.113), rounded_up(0.05)
        (0.062, 0.12, 0.05)
    """
    unit = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return float(f"{math.ceil(margin / unit - 1e-9) * unit:.2g}")


def explain_refusal(noise: MetricNoise, budget: Budget, design: Design, proposal: Proposal) -> str:
    """Why a margin is refused, and how it could be supported; empty if the proposed looks support it.

    Args:
        noise: Noise of the metric.
        budget: Time budget for measuring.
        design: Levels and number of metrics.
        proposal: The proposed settings.
    """
    chosen = replace(design, looks=proposal.looks)
    if is_supported(noise, chosen):
        return ""
    metric = noise.metric
    wanted = degradation_text(metric, metric.scaled_margin)
    ways = [f"a margin of {degradation_text(metric, supported_degradation(noise, chosen))}"]
    if BIAS_FACTOR * certain_bias(noise) > metric.scaled_margin:
        cause = (
            f"two builds of one revision differ by {degradation_text(metric, abs(noise.bias))}, more than a third of "
            f"the margin of {wanted}; more pairs do not help"
        )
        return f"{cause}; it would take {ways[0]}"
    longer = next((looks for looks in schedules() if is_supported(noise, replace(design, looks=looks))), None)
    if longer:
        ways.append(f"{longer[-1]} pairs (looks = {list(longer)}, seconds = {budget.seconds_for(longer[-1])})")
    if stretch := _stretch(noise, chosen):
        ways.append(f"{chosen.max_pairs} longer pairs (pair_seconds = {stretch * budget.pair_seconds:.1f})")
    return (
        f"{chosen.max_pairs} pairs of this noise ({degradation_text(metric, noise.deviation)} a pair) do not support "
        f"the margin of {wanted}; it would take {' or '.join(ways)}"
    )


def _stretch(noise: MetricNoise, design: Design) -> float | None:
    """Factor by which pairs must be longer to support the margin; ``None`` if that does not help."""
    if noise.within is None or noise.between is None:
        return None
    ratio = max(supported_ratio(design.max_pairs), smallest_honest_margin(1.0, design))
    left = (noise.metric.scaled_margin / ratio) ** 2 - noise.between**2
    return noise.within**2 / left if left > 0 else None


def _detectable(metric: Metric, deviation: float, num_looks: int, design: Design) -> DetectableDegradation:
    """Degradations that can be detected with the first looks of the design."""
    looks = LONGEST_LOOKS[:num_looks]
    fails_above, passes_below = stated_limits(metric.scaled_margin, deviation, replace(design, looks=looks))
    return DetectableDegradation(num_pairs=looks[-1], fails_above=fails_above, passes_below=passes_below)
