"""Findings for readers: numbers, limits, forecast, warnings and a one-sentence reason for each metric.

Verdicts are decided in :mod:`~mainstay.gates.family`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Finding, Interval, Method, Verdict
from mainstay.records.formatting import (
    change_text,
    decimals_to_differ,
    degradation_text,
    estimate_text,
    is_bound,
    worded_interval,
)
from mainstay.records.metrics import Metric
from mainstay.stats.paired import lag_one_correlation, moments, skewness
from mainstay.stats.power import MOST_TIMES_PLANNED, detectable_distance, pairs_to_settle

HYPOTHESES = ("above_zero", "above_margin", "below_margin", "below_double_margin")
"""Hypotheses that the sequential p-values are evidence for, in order."""

STATED_POWER = 0.9
"""Probability with which the stated degradations fail or pass."""

MIN_PAIRS_FOR_DIAGNOSIS = 12
"""Smallest number of pairs with which dependence and skew of the degradations can be distinguished from chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricJudgement:
    """State of a metric at the look that decided it, or at its last.

    Attributes:
        verdict: ``pass``, ``fail`` or ``inconclusive``.
        num_looks: Number of looks taken.
        num_pairs: Number of pairs at the last of these looks.
        mean: Mean degradation.
        deviation: Standard deviation of a degradation.
        interval: Repeated confidence interval; that of the last look alone if the looks contradict each other.
        looks_agree: Whether there is a degradation that no look excludes.
        p_values: Sequential p-values in the order of :data:`HYPOTHESES`.
        cap: Value to which larger degradations were cut for mean, deviation and interval; ``None`` if none was cut.
        is_withheld: Whether the candidate exploded and the baseline never did, so that the metric must not pass.
    """

    verdict: Verdict
    num_looks: int
    num_pairs: int
    mean: float
    deviation: float
    interval: Interval
    looks_agree: bool
    p_values: tuple[float, ...]
    cap: float | None = None
    is_withheld: bool = False

    @property
    def estimate(self) -> float:
        """The mean, or the nearest value that earlier looks do not exclude."""
        return min(max(self.mean, self.interval.low), self.interval.high)


def sequential_finding(
    samples: MetricSamples, degradations: NDArray[np.float64], judgement: MetricJudgement, design: Design
) -> Finding:
    """The finding of a metric after at least one look.

    Args:
        samples: Measured values.
        degradations: Degradations of the pairs that the judgement rests on.
        judgement: State of the metric.
        design: Levels, looks and number of metrics.
    """
    num_pairs = judgement.num_pairs
    limits = stated_limits(samples.metric.scaled_margin, judgement.deviation, design)
    fails_above, passes_below = (limit if math.isfinite(limit) else None for limit in limits)
    further = further_pairs(samples.metric.scaled_margin, judgement, design)
    return Finding(
        metric=samples.metric,
        verdict=judgement.verdict,
        reason=_reason(samples.metric, judgement, degradations, further, design),
        method=Method.SEQUENTIAL,
        num_pairs=num_pairs,
        num_looks=judgement.num_looks,
        estimate=judgement.estimate,
        interval=judgement.interval,
        cap=judgement.cap,
        standard_deviation=judgement.deviation,
        baseline_mean=_mean(samples.baseline_values[:num_pairs]),
        candidate_mean=_mean(samples.candidate_values[:num_pairs]),
        fails_above=fails_above,
        passes_below=passes_below,
        further_pairs=further,
        p_values=dict(zip(HYPOTHESES, judgement.p_values, strict=True)),
        seeds=samples.seeds[:num_pairs],
        baseline_values=samples.baseline_values[:num_pairs],
        candidate_values=samples.candidate_values[:num_pairs],
        degradations=tuple(degradations.tolist()),
        warnings=(
            *_contradiction_warnings(samples.metric, judgement),
            *_cap_warnings(samples.metric, judgement, degradations),
            *_noise_warnings(samples.metric, judgement, design),
            *_pair_warnings(samples.metric, degradations),
        ),
    )


def unlooked_finding(samples: MetricSamples, degradations: NDArray[np.float64], design: Design) -> Finding:
    """The ``inconclusive`` finding of a metric with too few pairs for the first look; its numbers are descriptive only.

    Args:
        samples: Measured values.
        degradations: Degradations of all its pairs.
        design: Levels, looks and number of metrics.
    """
    num_pairs, first = len(degradations), design.looks[0]
    too_few = f"{num_pairs} pairs measured, the first look needs {first}"
    return Finding(
        metric=samples.metric,
        verdict=Verdict.INCONCLUSIVE,
        reason=f"too few pairs to judge: {too_few}",
        method=Method.SEQUENTIAL,
        num_pairs=num_pairs,
        estimate=_mean(degradations) if num_pairs else None,
        standard_deviation=float(moments(degradations).deviation) if num_pairs > 1 else None,
        baseline_mean=_mean(samples.baseline_values) if num_pairs else None,
        candidate_mean=_mean(samples.candidate_values) if num_pairs else None,
        further_pairs=first - num_pairs,
        p_values=dict.fromkeys(HYPOTHESES, 1.0),
        seeds=samples.seeds,
        baseline_values=samples.baseline_values,
        candidate_values=samples.candidate_values,
        degradations=tuple(degradations.tolist()),
        warnings=(too_few,),
    )


def stated_limits(margin: float, deviation: float, design: Design) -> tuple[float, float]:
    """The true degradations that fail, or pass, with 90 % probability at the last planned look alone.

    Args:
        margin: Margin on the scale of the degradations.
        deviation: Standard deviation of a degradation over pairs.
        design: Levels, looks and number of metrics.

    Returns:
        The smallest true degradation that fails and the largest that passes; each meets both tests of its verdict.

    Example:
        >>> fails_above, passes_below = stated_limits(0.002, 0.001, Design(num_gated=1))
        >>> f"{fails_above:.4f} {passes_below:.4f}"
        '0.0028 0.0012'
    """
    near, harmed, bounded = (
        _distance(deviation, level, design)
        for level in (design.margin_level, design.alpha / design.num_gated, design.alpha)
    )
    return max(margin + near, harmed), min(margin - near, 2 * margin - bounded)


def smallest_honest_margin(deviation: float, design: Design) -> float:
    """The smallest margin at which a clean change passes with 90 % probability at the last planned look alone.

    Args:
        deviation: Standard deviation of a degradation over pairs.
        design: Levels and looks.

    Returns:
        A margin on the scale of the degradations.

    Example:
        >>> f"{smallest_honest_margin(0.03, Design(num_gated=6)):.4f}"
        '0.0237'
    """
    return max(_distance(deviation, design.margin_level, design), _distance(deviation, design.alpha, design) / 2)


def further_pairs(margin: float, judgement: MetricJudgement, design: Design) -> int | None:
    """The number of further pairs expected to be needed for the verdict that the estimate points to.

    Args:
        margin: Margin on the scale of the degradations.
        judgement: State of the metric.
        design: Levels, looks and number of metrics.

    Returns:
        The number of pairs; ``None`` if the metric is decided or no reasonable number of pairs is expected to decide it.
    """
    if judgement.verdict is not Verdict.INCONCLUSIVE or judgement.is_withheld:
        return None
    total = _expected_pairs(judgement.mean, margin, judgement, design)
    return None if total is None else total - judgement.num_pairs


def _expected_pairs(mean: float, margin: float, judgement: MetricJudgement, design: Design) -> int | None:
    """Number of pairs that would decide a metric with the observed noise, if this were its mean degradation."""
    is_worse = mean > margin
    return pairs_to_settle(
        mean,
        judgement.deviation,
        num_pairs=judgement.num_pairs,
        looks=design.looks,
        near=(margin, design.margin_level),
        far=(0.0, design.alpha / design.num_gated) if is_worse else (2 * margin, design.alpha),
    )


def _distance(deviation: float, level: float, design: Design) -> float:
    """Distance from a null value that the last look alone detects with its share of a level."""
    return deviation * detectable_distance(design.max_pairs, level=level * design.weights[-1], power=STATED_POWER)


def _mean(values: ArrayLike) -> float:
    """The mean of at least one finite number; it never overflows."""
    return float(moments(values).mean)


def _contradiction_warnings(metric: Metric, judgement: MetricJudgement) -> Iterator[str]:
    """Warn if no value of the degradation agrees with every look, or if the mean does not."""
    if not judgement.looks_agree:
        yield "the looks contradict each other, as under drift: the interval is that of the last look alone"
    elif judgement.estimate != judgement.mean:
        mean = change_text(metric, judgement.mean)
        yield f"the mean of all pairs ({mean}) lies outside the interval of earlier looks: its nearest bound is shown"


def _cap_warnings(metric: Metric, judgement: MetricJudgement, degradations: NDArray[np.float64]) -> Iterator[str]:
    """Warn if large degradations were cut to a cap."""
    if judgement.cap is not None:
        num_capped, cap = int((np.abs(degradations) > judgement.cap).sum()), degradation_text(metric, judgement.cap)
        counted = "1 pair differs" if num_capped == 1 else f"{num_capped} of {len(degradations)} pairs differ"
        yield f"{counted} by more than {cap} and counted as that much, since a single one would otherwise hide all others"


def _noise_warnings(metric: Metric, judgement: MetricJudgement, design: Design) -> Iterator[str]:
    """Warn if the margin is too small for the noise and nothing could be decided."""
    honest = smallest_honest_margin(judgement.deviation, design)
    if judgement.verdict is Verdict.INCONCLUSIVE and metric.scaled_margin < honest:
        supported = f"{design.max_pairs} pairs of this noise support a margin of {degradation_text(metric, honest)}"
        wanted = f"not {degradation_text(metric, metric.scaled_margin)}: widen the margin or lengthen the trials"
        yield f"this gate cannot reliably pass a clean change: {supported}, {wanted}"


def _pair_warnings(metric: Metric, degradations: NDArray[np.float64]) -> Iterator[str]:
    """Warn if the pairs do not meet the assumptions of the test."""
    if degradations.min() == degradations.max() and metric.resolution == 0:
        yield "every pair gave the same difference and no resolution is declared, so the noise was assumed to be zero"
    elif len(degradations) >= MIN_PAIRS_FOR_DIAGNOSIS:
        correlation, skew = lag_one_correlation(degradations), skewness(degradations)
        approximate = "the stated error rate holds only approximately"
        if correlation > 2 / np.sqrt(len(degradations)):
            yield f"pairs are not independent (lag-1 correlation {correlation:.2f}): {approximate}"
        if abs(skew) > 3 * np.sqrt(6 / len(degradations)):
            unstable = "candidate" if skew > 0 else "baseline"
            yield f"the {unstable} is unstable (skewness over pairs {skew:.1f}): {approximate}"


def _reason(
    metric: Metric, judgement: MetricJudgement, degradations: NDArray[np.float64], further: int | None, design: Design
) -> str:
    """The verdict in one sentence."""
    more = decimals_to_differ(metric, judgement.estimate)
    margin, num_pairs = degradation_text(metric, metric.scaled_margin, more_decimals=more), judgement.num_pairs
    interval = worded_interval(metric, judgement.interval)
    change = estimate_text(
        metric,
        judgement.estimate,
        is_bound=is_bound(judgement.estimate, judgement.cap, degradations),
        more_decimals=more,
    )
    seen = f"{change} (interval {interval}) in {num_pairs} pairs"
    if judgement.verdict is Verdict.PASS:
        return f"{seen}: not worse by the margin of {margin}"
    if judgement.verdict is Verdict.FAIL:
        return f"{seen}: worse by more than the margin of {margin}"
    if judgement.is_withheld and judgement.cap is not None:
        num_exploded = int((degradations > judgement.cap).sum())
        trials = "1 trial" if num_exploded == 1 else f"{num_exploded} trials"
        cap = degradation_text(metric, judgement.cap)
        return f"{seen}: {trials} of the candidate exploded, worse by more than {cap}, and none of the baseline"
    outlook = _outlook(further, metric.scaled_margin, judgement, design)
    return f"{seen}: neither within nor beyond the margin of {margin}; {outlook}"


def _outlook(further: int | None, margin: float, judgement: MetricJudgement, design: Design) -> str:
    """Say how many further pairs would decide, or why no reasonable number would."""
    if further is None:
        needed = f"more than {MOST_TIMES_PLANNED * design.max_pairs} pairs would be needed"
        if _expected_pairs(0.0, margin, judgement, design) is None:
            return f"{needed} at this noise, even for a clean change: lengthen the trials or widen the margin"
        return (
            f"{needed}, since the degradation lies near the margin: decide yourself, lengthen the trials or "
            "widen the margin"
        )
    if judgement.num_pairs + further <= design.max_pairs:
        return f"{further} more pairs are expected to settle it"
    return f"about {further} more pairs would settle it, beyond the {design.max_pairs} planned"
