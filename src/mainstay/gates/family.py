"""The sequential judgement of all metrics of a gate together.

:func:`judge_family` is a pure function of the pairs: it takes every look again from the first, so a gate that was
interrupted, resumed or given more pairs cannot come to another verdict on what it had decided. At each look a metric

- passes if its loss is below the margin (level ``edge``) and below twice the margin (level ``alpha``);
- fails if its loss is above the margin (level ``edge``) and above zero (level ``alpha`` for the whole family, Holm).

Its first verdict is final: later pairs are neither judged nor shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.findings import HYPOTHESES, MetricJudgement, sequential_finding, unlooked_finding
from mainstay.gates.performance import loss_resolution
from mainstay.gates.policy import Plan
from mainstay.gates.samples import Fault, MetricSamples, fault_finding, find_fault
from mainstay.records import Finding, Interval, Kind, Verdict
from mainstay.stats.multiplicity import holm_rejections
from mainstay.stats.paired import mean_interval, one_sided_p_values, summarise_pairs
from mainstay.stats.sequential import intersect_intervals, sequential_p_values

ABOVE_ZERO, ABOVE_MARGIN, BELOW_MARGIN, BELOW_DOUBLE_MARGIN = range(len(HYPOTHESES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What every look says about every metric, whether or not it is decided by then.

    Attributes:
        p_values: (looks, metrics, 4) sequential p-values; at a look that a metric has not reached, its last ones.
        low: (looks, metrics) lower bounds, intersected over looks.
        high: (looks, metrics) upper bounds, intersected over looks.
        own_low: (looks, metrics) lower bounds of each look alone.
        own_high: (looks, metrics) upper bounds of each look alone.
        mean: (looks, metrics) mean loss.
        deviation: (looks, metrics) standard deviation of a loss.
        num_looks: (metrics,) looks that each metric has pairs for.
    """

    p_values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    own_low: NDArray[np.float64]
    own_high: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    num_looks: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """The verdicts of a family of metrics, or of many families at once on leading axes.

    Attributes:
        fails: (..., metrics) metrics that failed.
        passes: (..., metrics) metrics that passed; what neither passes nor fails is inconclusive.
        look: (..., metrics) number of the look, from 0, at which each was decided; the last one if it was not.
    """

    fails: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    look: NDArray[np.intp]


def judge_family(samples: Sequence[MetricSamples], plan: Plan) -> tuple[Finding, ...]:
    """Judge all gated metrics of a gate, which share one error.

    Args:
        samples: One a gated metric, in the order of the report. A preset finding stays; it still counts in
            ``plan.num_gated``, where its p-value is 1.
        plan: Levels, looks and number of metrics, fixed before the first pair.

    Returns:
        One finding for each of ``samples``, in the same order.

    Raises:
        ValueError: If there are more metrics than planned, or a deterministic one, which needs no pairs.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> samples = MetricSamples(
        ...     metric=step,
        ...     seeds=(1, 2, 3, 4, 5),
        ...     baseline_values=(1.00, 1.01, 0.99, 1.02, 1.00),
        ...     candidate_values=(1.20, 1.22, 1.18, 1.22, 1.21),
        ... )
        >>> finding = judge_family([samples], Plan(num_gated=1))[0]
        >>> print(finding.verdict, finding.num_pairs, round(finding.estimate, 3))
        fail 5 0.183
    """
    open_samples = [sample for sample in samples if sample.preset is None]
    _check_family(open_samples, plan)
    faults = [find_fault(sample) for sample in open_samples]
    losses = [_losses(sample, fault) for sample, fault in zip(open_samples, faults, strict=True)]
    resolutions = [_resolution(sample, len(loss)) for sample, loss in zip(open_samples, losses, strict=True)]
    margins = np.array([sample.metric.scaled_margin for sample in open_samples])
    evidence = weigh_evidence(losses, margins=margins, resolutions=np.array(resolutions), plan=plan)
    decisions = decide(evidence.p_values, plan)
    findings = iter(
        fault_finding(sample, fault) if fault else _finding(sample, loss, judgement, plan)
        for sample, loss, fault, judgement in zip(
            open_samples, losses, faults, _judgements(evidence, decisions, plan), strict=True
        )
    )
    return tuple(sample.preset or next(findings) for sample in samples)


def weigh_evidence(
    losses: Sequence[NDArray[np.float64]],
    *,
    margins: NDArray[np.float64],
    resolutions: NDArray[np.float64],
    plan: Plan,
) -> Evidence:
    """Take every planned look at every metric that has pairs for it.

    Args:
        losses: Losses of each metric, pairs in the order in which they were measured; lengths may differ.
        margins: (metrics,) margins on the scale of the losses.
        resolutions: (metrics,) smallest step of a loss.
        plan: Levels and looks.
    """
    shape = (len(plan.looks), len(losses))
    p_values = np.ones((*shape, len(HYPOTHESES)))
    low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
    mean, deviation = np.full(shape, np.nan), np.full(shape, np.nan)
    for look, (num_pairs, weight) in enumerate(zip(plan.looks, plan.weights, strict=True)):
        reached = np.flatnonzero([len(loss) >= num_pairs for loss in losses])
        if not reached.size:
            break
        block = np.stack([losses[index][:num_pairs] for index in reached.tolist()])
        summary = summarise_pairs(block, resolution=resolutions[reached])
        at_zero, at_margin, at_double = (one_sided_p_values(summary, c * margins[reached]) for c in (0, 1, 2))
        p_values[look, reached] = np.stack([at_zero.above, at_margin.above, at_margin.below, at_double.below], axis=-1)
        low[look, reached], high[look, reached] = mean_interval(summary, level=plan.edge * weight)
        mean[look, reached], deviation[look, reached] = summary.mean, summary.deviation
    joint_low, joint_high = intersect_intervals(low, high)
    return Evidence(
        p_values=sequential_p_values(p_values, plan.weights),
        low=joint_low,
        high=joint_high,
        own_low=low,
        own_high=high,
        mean=mean,
        deviation=deviation,
        num_looks=np.isfinite(mean).sum(axis=0),
    )


def decide(p_values: NDArray[np.float64], plan: Plan) -> Decisions:
    """Go through the looks; the first verdict of a metric is final, and so are its p-values for Holm.

    Args:
        p_values: (looks, ..., metrics, 4) sequential p-values in the order of :data:`HYPOTHESES`.
        plan: Levels and number of metrics.
    """
    shape = p_values.shape[1:-1]
    fails, passes = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    decided_at = np.full(shape, len(p_values) - 1)
    above_zero = np.ones(shape)
    for look, at_look in enumerate(p_values):
        is_open = ~(fails | passes)
        above_zero = np.where(is_open, at_look[..., ABOVE_ZERO], above_zero)
        is_harmed = holm_rejections(above_zero, family_size=plan.num_gated, level=plan.alpha)
        fails_now = is_open & is_harmed & (at_look[..., ABOVE_MARGIN] <= plan.edge)
        is_bounded = (at_look[..., BELOW_MARGIN] <= plan.edge) & (at_look[..., BELOW_DOUBLE_MARGIN] <= plan.alpha)
        passes_now = is_open & is_bounded & ~fails_now
        decided_at[fails_now | passes_now] = look
        fails, passes = fails | fails_now, passes | passes_now
    return Decisions(fails=fails, passes=passes, look=decided_at)


def _check_family(samples: Sequence[MetricSamples], plan: Plan) -> None:
    """Refuse a family that the plan does not cover."""
    if len(samples) > plan.num_gated:
        raise ValueError(f"{len(samples)} metrics to judge, but the plan shares alpha among {plan.num_gated}")
    for sample in samples:
        if sample.metric.kind is Kind.DETERMINISTIC:
            raise ValueError(f"{sample.metric.id} is deterministic: judge it by judge_deterministic")


def _losses(samples: MetricSamples, fault: Fault | None) -> NDArray[np.float64]:
    """Losses of the pairs before the first fault."""
    sound = slice(0, fault.pair if fault else None)
    pairs = zip(samples.baseline_values[sound], samples.candidate_values[sound], strict=True)
    return np.array([samples.metric.loss(baseline, candidate) for baseline, candidate in pairs], dtype=np.float64)


def _resolution(samples: MetricSamples, num_sound: int) -> float:
    """The smallest step of a loss; 0 where there are no sound pairs to scale it by."""
    return loss_resolution(samples.metric, samples.baseline_values[:num_sound]) if num_sound else 0.0


def _judgements(evidence: Evidence, decisions: Decisions, plan: Plan) -> tuple[MetricJudgement | None, ...]:
    """What is known of each metric when it was decided, or at its last look; ``None`` if it had none."""
    num_looks = np.minimum(decisions.look + 1, evidence.num_looks)
    return tuple(
        _judgement(evidence, decisions, plan, index=index, look=looks - 1) if looks else None
        for index, looks in enumerate(num_looks.tolist())
    )


def _judgement(evidence: Evidence, decisions: Decisions, plan: Plan, *, index: int, look: int) -> MetricJudgement:
    """What is known of one metric at one look."""
    joint = Interval(float(evidence.low[look, index]), float(evidence.high[look, index]))
    own = Interval(float(evidence.own_low[look, index]), float(evidence.own_high[look, index]))
    undecided = Verdict.PASS if decisions.passes[index] else Verdict.INCONCLUSIVE
    return MetricJudgement(
        verdict=Verdict.FAIL if decisions.fails[index] else undecided,
        num_looks=look + 1,
        num_pairs=plan.looks[look],
        mean=float(evidence.mean[look, index]),
        deviation=float(evidence.deviation[look, index]),
        interval=joint if joint.low <= joint.high else own,
        looks_agree=joint.low <= joint.high,
        p_values=tuple(evidence.p_values[look, index].tolist()),
    )


def _finding(
    samples: MetricSamples, losses: NDArray[np.float64], judgement: MetricJudgement | None, plan: Plan
) -> Finding:
    """The finding of a metric, whether or not it had pairs enough for a look."""
    if judgement is None:
        return unlooked_finding(samples, losses, plan)
    return sequential_finding(samples, losses[: judgement.num_pairs], judgement, plan)
