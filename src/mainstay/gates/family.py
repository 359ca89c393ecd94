"""The sequential judgement of all metrics of a gate together.

:func:`judge_family` is a pure function of the pairs. It repeats all looks from the first one, so a gate that was
interrupted, resumed or given more pairs cannot change a verdict that it has reached. At each look a metric

- passes if its degradation is below the margin (level ``margin_level``) and below twice the margin (level ``alpha``);
- fails if its degradation is above the margin (level ``margin_level``) and above zero (level ``alpha`` for the whole
  family, Holm).

The first verdict of a metric is final: later pairs are neither judged nor shown.

Degradations are capped before they are judged, see :mod:`~mainstay.stats.capping`. If a pair was worse by more than
the cap and none was better by as much, the candidate has a failure that the baseline lacks, even if it is rare, and the
metric cannot pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.findings import HYPOTHESES, MetricJudgement, sequential_finding, unlooked_finding
from mainstay.gates.policy import Design
from mainstay.gates.samples import (
    Fault,
    MetricSamples,
    fault_finding,
    find_settled_fault,
    first_pairs,
    with_known_unit,
)
from mainstay.records.findings import Finding, Interval, Verdict
from mainstay.records.formatting import is_bound
from mainstay.stats.capping import degradation_caps
from mainstay.stats.multiplicity import holm_rejections
from mainstay.stats.paired import mean_interval, one_sided_p_values, summarise_pairs
from mainstay.stats.sequential import intersect_intervals, sequential_p_values

ABOVE_ZERO, ABOVE_MARGIN, BELOW_MARGIN, BELOW_DOUBLE_MARGIN = range(len(HYPOTHESES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Evidence of every look about every metric, decided or not.

    Attributes:
        p_values: (looks, metrics, 4) sequential p-values; for looks that a metric has not reached, those of its last
            look.
        is_withheld: (looks, metrics) whether the candidate exploded and the baseline never did, so that the metric must
            not pass; for looks that a metric has not reached, the value at its last look.
        low: (2, looks, metrics) lower bounds of the degradation at each look: of the test at the margin, of the strict
            test.
        high: (2, looks, metrics) upper bounds of the same tests.
        mean: (looks, metrics) mean degradation.
        deviation: (looks, metrics) standard deviation of a degradation.
        caps: (looks, metrics) value to which larger degradations were cut; infinite if none was cut.
        num_looks: (metrics,) number of looks for which each metric has pairs.
    """

    p_values: NDArray[np.float64]
    is_withheld: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    caps: NDArray[np.float64]
    num_looks: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """Verdicts of a family of metrics, or of many families at once along leading axes.

    Attributes:
        fails: (..., metrics) metrics that failed.
        passes: (..., metrics) metrics that passed; metrics that neither pass nor fail are inconclusive.
        look: (..., metrics) number of the look, from 0, at which each metric was decided; the last one if undecided.
    """

    fails: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    look: NDArray[np.intp]

    def verdict(self, index: int) -> Verdict:
        """Verdict of a metric of a single family."""
        if self.fails[index]:
            return Verdict.FAIL
        return Verdict.PASS if self.passes[index] else Verdict.INCONCLUSIVE


@dataclass(frozen=True, kw_only=True, slots=True)
class WeighedFamily:
    """The samples of a family with the evidence of every look.

    Attributes:
        samples: Samples of each metric, in the order of the report.
        faults: The first fault of each metric without a preset finding, if it has one.
        sound: The pairs before the fault, of the same metrics.
        degradations: Degradations of these pairs.
        evidence: Evidence of every look.
    """

    samples: tuple[MetricSamples, ...]
    faults: tuple[Fault | None, ...]
    sound: tuple[MetricSamples, ...]
    degradations: tuple[NDArray[np.float64], ...]
    evidence: Evidence


def judge_family(samples: Sequence[MetricSamples], design: Design) -> tuple[Finding, ...]:
    """Judge all gated metrics of a gate, which share one error rate.

    Args:
        samples: Samples of each gated metric, in the order of the report. A preset finding is kept; its metric still
            counts in ``design.num_gated``, with a p-value of 1.
        design: Levels, looks and number of metrics, fixed before the first pair.

    Returns:
        One finding for each of ``samples``, in the same order.

    Raises:
        ValueError: If there are more metrics than planned, or a metric is deterministic and needs no pairs.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> samples = MetricSamples(
        ...     metric=step,
        ...     seeds=(1, 2, 3, 4, 5),
        ...     baseline_values=(1.00, 1.01, 0.99, 1.02, 1.00),
        ...     candidate_values=(1.20, 1.22, 1.18, 1.22, 1.21),
        ... )
        >>> finding = judge_family([samples], Design(num_gated=1))[0]
        >>> print(finding.verdict, finding.num_pairs, round(finding.estimate, 3))
        fail 5 0.183
    """
    weighed = weigh_family(samples, design)
    decisions = decide(weighed.evidence.p_values, weighed.evidence.is_withheld, design)
    return family_findings(weighed, decisions, design)


def weigh_family(samples: Sequence[MetricSamples], design: Design) -> WeighedFamily:
    """Weigh the evidence of every look, without a decision.

    Args:
        samples: Samples of each gated metric, see :func:`judge_family`.
        design: Levels, looks and number of metrics.

    Raises:
        ValueError: If there are more metrics than planned, or a metric is deterministic and needs no pairs.
    """
    recorded = [sample for sample in samples if sample.preset is None]
    faults = tuple(find_settled_fault(sample, design.looks) for sample in recorded)
    open_samples = list(map(with_known_unit, recorded))
    _check_family(open_samples, design)
    sound = tuple(
        first_pairs(sample, fault.pair) if fault else sample for sample, fault in zip(open_samples, faults, strict=True)
    )
    degradations = tuple(map(degradations_of, sound))
    evidence = weigh_evidence(
        degradations,
        levels=list(map(_levels, sound)),
        margins=np.array([sample.metric.scaled_margin for sample in sound]),
        resolutions=np.array(list(map(_resolution, sound))),
        design=design,
    )
    return WeighedFamily(
        samples=tuple(samples), faults=faults, sound=sound, degradations=degradations, evidence=evidence
    )


def family_findings(weighed: WeighedFamily, decisions: Decisions, design: Design) -> tuple[Finding, ...]:
    """The finding of each metric once it is decided which fail and which pass.

    Args:
        weighed: The samples with their evidence.
        decisions: Verdicts of the metrics without a preset finding, with the number of the look of each.
        design: Levels, looks and number of metrics.
    """
    judgements = _judgements(weighed, decisions, design)
    findings = iter(
        fault_finding(sample, fault) if fault else _finding(sample, degradation, judgement, design)
        for sample, degradation, fault, judgement in zip(
            weighed.sound, weighed.degradations, weighed.faults, judgements, strict=True
        )
    )
    return tuple(sample.preset or next(findings) for sample in weighed.samples)


def degradations_of(samples: MetricSamples) -> NDArray[np.float64]:
    """The degradation of each pair."""
    pairs = zip(samples.baseline_values, samples.candidate_values, strict=True)
    return np.array(
        [samples.metric.degradation(baseline, candidate) for baseline, candidate in pairs], dtype=np.float64
    )


def weigh_evidence(
    degradations: Sequence[NDArray[np.float64]],
    *,
    levels: Sequence[NDArray[np.float64]] | None,
    margins: NDArray[np.float64],
    resolutions: NDArray[np.float64],
    design: Design,
) -> Evidence:
    """Take every planned look at every metric that has pairs for it.

    Args:
        degradations: Degradations of each metric, with the pairs in the order in which they were measured; lengths may
            differ.
        levels: (2, pairs) values of baseline and candidate of each metric on the scale of its degradations, which
            determine the cap; with ``None``, nothing is capped.
        margins: (metrics,) margins on the scale of the degradations.
        resolutions: (metrics,) smallest step of a degradation.
        design: Levels and looks.
    """
    shape = (len(design.looks), len(degradations))
    lengths = np.array([len(degradation) for degradation in degradations], dtype=np.intp)
    all_degradations, all_levels = _padded(degradations), None if levels is None else np.moveaxis(_padded(levels), 1, 0)
    p_values, is_withheld = np.ones((*shape, len(HYPOTHESES))), np.zeros(shape, dtype=np.bool_)
    low, high = np.full((2, *shape), -np.inf), np.full((2, *shape), np.inf)
    mean, deviation, caps = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.inf)
    for look, (num_pairs, weight) in enumerate(zip(design.looks, design.weights, strict=True)):
        reached = np.flatnonzero(lengths >= num_pairs)
        is_withheld[look] = is_withheld[look - 1] if look else False
        if not reached.size:
            continue
        block = all_degradations[reached, :num_pairs]
        if all_levels is not None:
            cap = degradation_caps(all_levels[:, reached, :num_pairs], margins[reached])[:, np.newaxis]
            is_withheld[look, reached] = (block > cap).any(axis=1) & ~(block < -cap).any(axis=1)
            caps[look, reached] = np.where((np.abs(block) > cap).any(axis=1), cap[:, 0], np.inf)
            block = np.clip(block, -cap, cap)
        summary = summarise_pairs(block, resolution=resolutions[reached])
        at_zero, at_margin, at_double = (one_sided_p_values(summary, c * margins[reached]) for c in (0, 1, 2))
        p_values[look, reached] = np.stack([at_zero.above, at_margin.above, at_margin.below, at_double.below], axis=-1)
        for row, (level_above, level_below) in enumerate(
            ((design.margin_level, design.margin_level), (design.alpha / max(1, design.num_gated), design.alpha))
        ):
            low[row, look, reached] = mean_interval(summary, level=level_above * weight)[0]
            high[row, look, reached] = mean_interval(summary, level=level_below * weight)[1]
        mean[look, reached], deviation[look, reached] = summary.mean, summary.deviation
    return Evidence(
        p_values=sequential_p_values(p_values, design.weights),
        is_withheld=is_withheld,
        low=low,
        high=high,
        mean=mean,
        deviation=deviation,
        caps=caps,
        num_looks=np.isfinite(mean).sum(axis=0),
    )


def _padded(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Stack arrays of unequal lengths, padded with zeros."""
    longest = max((array.shape[-1] for array in arrays), default=0)
    padded = np.zeros((len(arrays), *(arrays[0].shape[:-1] if arrays else (2,)), longest))
    for row, array in zip(padded, arrays, strict=True):
        row[..., : array.shape[-1]] = array
    return padded


def decide(p_values: NDArray[np.float64], is_withheld: NDArray[np.bool_], design: Design) -> Decisions:
    """Decide look by look; the first verdict of a metric is final, and so are its p-values in Holm's procedure.

    Args:
        p_values: (looks, ..., metrics, 4) sequential p-values in the order of :data:`HYPOTHESES`.
        is_withheld: (looks, ..., metrics) whether the metric must not pass at the look.
        design: Levels and number of metrics.
    """
    shape = p_values.shape[1:-1]
    fails, passes = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    decided_at = np.full(shape, len(p_values) - 1)
    above_zero = np.ones(shape)
    for look, (at_look, is_withheld_now) in enumerate(zip(p_values, is_withheld, strict=True)):
        is_open = ~(fails | passes)
        above_zero = np.where(is_open, at_look[..., ABOVE_ZERO], above_zero)
        is_harmed = holm_rejections(above_zero, family_size=design.num_gated, level=design.alpha)
        fails_now = is_open & is_harmed & (at_look[..., ABOVE_MARGIN] <= design.margin_level)
        is_bounded = (at_look[..., BELOW_MARGIN] <= design.margin_level) & (
            at_look[..., BELOW_DOUBLE_MARGIN] <= design.alpha
        )
        passes_now = is_open & is_bounded & ~is_withheld_now & ~fails_now
        decided_at[fails_now | passes_now] = look
        fails, passes = fails | fails_now, passes | passes_now
    return Decisions(fails=fails, passes=passes, look=decided_at)


def printed_interval(
    evidence: Evidence, look: NDArray[np.intp], fails: NDArray[np.bool_], design: Design
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The interval of each metric at a look, made to agree with the tests.

    Its bounds are those of the tests at the margin. If such a bound alone would claim more than the verdict, because
    the strict test on that side does not reject, the bound of the strict test is used instead, which reaches to 0 or to
    twice the margin. So the interval lies beyond the margin exactly if the metric fails. It lies within the margin
    exactly if the metric passes, or if only an explosion kept it from passing.

    Args:
        evidence: Evidence about the metrics.
        look: (metrics,) number of the look of each metric.
        fails: (metrics,) whether each metric failed, including by Holm's procedure.
        design: Levels and number of metrics.

    Returns:
        Lower bounds, upper bounds, and whether there is a degradation that no look excludes; if there is none, the
        bounds are those of the last look alone.
    """
    metrics = np.arange(len(look))
    p_values = evidence.p_values[look, metrics]
    is_strict_low = (p_values[:, ABOVE_MARGIN] <= design.margin_level) & ~fails
    is_strict_high = (p_values[:, BELOW_MARGIN] <= design.margin_level) & (
        p_values[:, BELOW_DOUBLE_MARGIN] > design.alpha
    )
    at_edge, strict = (
        [bounds[look, metrics] for bounds in intersect_intervals(low, high)]
        for low, high in zip(evidence.low, evidence.high, strict=True)
    )
    agrees = at_edge[0] <= at_edge[1]
    low = np.where(is_strict_low, strict[0], at_edge[0])
    high = np.where(is_strict_high, strict[1], at_edge[1])
    own_low, own_high = evidence.low[0, look, metrics], evidence.high[0, look, metrics]
    return np.where(agrees, low, own_low), np.where(agrees, high, own_high), agrees


def _check_family(samples: Sequence[MetricSamples], design: Design) -> None:
    """Refuse a family that the design does not cover."""
    if len(samples) > design.num_gated:
        raise ValueError(f"{len(samples)} metrics to judge, but the design shares alpha among {design.num_gated}")
    for sample in samples:
        if sample.metric.scale.is_exact:
            raise ValueError(f"{sample.metric.id} is deterministic: judge it by judge_deterministic")


def _levels(samples: MetricSamples) -> NDArray[np.float64]:
    """(2, pairs) values of baseline and candidate on the scale of the degradations."""
    sides = (samples.baseline_values, samples.candidate_values)
    return np.array([[samples.metric.level(value) for value in values] for values in sides], dtype=np.float64)


def _resolution(samples: MetricSamples) -> float:
    """The smallest step of a degradation; 0 without pairs to scale it by."""
    metric = samples.metric
    return metric.scale.resolution(metric.resolution, samples.baseline_values) if samples.num_pairs else 0.0


def _judgements(weighed: WeighedFamily, decisions: Decisions, design: Design) -> tuple[MetricJudgement | None, ...]:
    """Judgement of each metric when it was decided, or at its last look; ``None`` if it had none."""
    evidence = weighed.evidence
    num_looks = np.minimum(decisions.look + 1, evidence.num_looks)
    look = np.maximum(num_looks - 1, 0)
    bounds = np.stack(printed_interval(evidence, look, decisions.fails, design), axis=-1)
    known = (
        _judgement(evidence, decisions, design, index=index, look=look[index], bounds=bounds[index])
        for index in range(len(weighed.sound))
    )
    return tuple(
        _as_measured(judgement, sample, degradation, design) if reached else None
        for judgement, sample, degradation, reached in zip(
            known, weighed.sound, weighed.degradations, num_looks, strict=True
        )
    )


def _judgement(
    evidence: Evidence, decisions: Decisions, design: Design, *, index: int, look: int, bounds: NDArray[np.float64]
) -> MetricJudgement:
    """Judgement of one metric at one look."""
    cap = float(evidence.caps[look, index])
    low, high, agrees = bounds.tolist()
    return MetricJudgement(
        verdict=decisions.verdict(index),
        num_looks=int(look) + 1,
        num_pairs=design.looks[look],
        mean=float(evidence.mean[look, index]),
        deviation=float(evidence.deviation[look, index]),
        interval=Interval(low, high),
        looks_agree=bool(agrees),
        p_values=tuple(evidence.p_values[look, index].tolist()),
        cap=cap if np.isfinite(cap) else None,
        is_withheld=bool(evidence.is_withheld[look, index]),
    )


def _as_measured(
    judgement: MetricJudgement, samples: MetricSamples, degradations: NDArray[np.float64], design: Design
) -> MetricJudgement:
    """A judgement with uncapped numbers if they lead to the same verdict, otherwise with the capped ones.

    If they do not, and degradations were capped only on the side of the estimate, the interval is open on that side.
    """
    if judgement.cap is None:
        return judgement
    measured = _uncapped(judgement, samples, degradations, design)
    if measured is not None:
        return measured
    low, high = judgement.interval
    if is_bound(judgement.mean, judgement.cap, degradations[: judgement.num_pairs].tolist()):
        low, high = (low, math.inf) if judgement.mean > 0 else (-math.inf, high)
    return replace(judgement, interval=Interval(low, high))


def _uncapped(
    judgement: MetricJudgement, samples: MetricSamples, degradations: NDArray[np.float64], design: Design
) -> MetricJudgement | None:
    """The judgement with uncapped numbers; ``None`` if they do not lead to the same verdict."""
    if judgement.verdict is Verdict.INCONCLUSIVE:
        return None
    margin = samples.metric.scaled_margin
    evidence = weigh_evidence(
        [degradations],
        levels=None,
        margins=np.array([margin]),
        resolutions=np.array([_resolution(samples)]),
        design=design,
    )
    look, has_failed = judgement.num_looks - 1, judgement.verdict is Verdict.FAIL
    low, high, agrees = (
        bound.item() for bound in printed_interval(evidence, np.array([look]), np.array([has_failed]), design)
    )
    tells_the_same = agrees and np.isfinite([low, high]).all() and (low >= margin if has_failed else high <= margin)
    if not tells_the_same:
        return None
    return replace(
        judgement,
        mean=float(evidence.mean[look, 0]),
        deviation=float(evidence.deviation[look, 0]),
        interval=Interval(low, high),
        cap=None,
    )


def _finding(
    samples: MetricSamples, degradations: NDArray[np.float64], judgement: MetricJudgement | None, design: Design
) -> Finding:
    """The finding of a metric, with or without enough pairs for a look."""
    if judgement is None:
        return unlooked_finding(samples, degradations, design)
    return sequential_finding(samples, degradations[: judgement.num_pairs], judgement, design)
