"""Joint judgement of all tasks of an evaluation from the items that both sides have scored.

The rule is that of :mod:`~mainstay.gates.family`, at a single look: a task passes if its degradation is below the
margin (level ``margin_level``) and below twice the margin (level ``alpha``); it fails if its degradation is above the
margin and above zero, the latter by Holm's procedure over all tasks and their mean. If there are two tasks or more, the
mean of the task means, the *macro* metric, must pass, and a task whose items are too few for its margin is a guard.

:func:`judge_tasks` is a pure function of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mainstay.gates.evaluation import (
    ItemEvidence,
    ScoredDifferences,
    are_supported,
    honest_margin,
    weigh_items,
    weigh_macro,
)
from mainstay.gates.family import decide
from mainstay.gates.findings import HYPOTHESES
from mainstay.gates.policy import Design
from mainstay.records.findings import Blame, Finding, Interval, ItemCounts, Method, Tier, Verdict
from mainstay.records.formatting import change_text, degradation_text, interval_text
from mainstay.records.metrics import FRACTION, STORED, Direction, Kind, Metric
from mainstay.stats.items import HONEST_POWER
from mainstay.stats.multiplicity import holm_rejections

MACRO = "macro"
"""Name of the mean of the task means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSamples:
    """Samples of one task.

    Attributes:
        metric: The metric of the task, with its margin.
        items: The items that both sides scored; ``None`` if the finding is preset.
        means: Mean score of baseline and candidate.
        missing: Number of scores that baseline and candidate lack.
        repeats: Largest number of scores of one item.
        is_identical: Whether all outputs are known and equal.
        tier: Declared tier; with ``None``, the tier follows from the number of items.
        preset: A finding known without judging the items, such as ``missing`` for a task that the candidate lacks.
        warnings: Warnings for the reader, one sentence each.
        detail: Causes of missing scores.
    """

    metric: Metric
    items: ScoredDifferences | None = None
    means: tuple[float, float] = (0.0, 0.0)
    missing: tuple[int, int] = (0, 0)
    repeats: int = 1
    is_identical: bool = False
    tier: Tier | None = None
    preset: Finding | None = None
    warnings: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()

    @property
    def is_in_macro(self) -> bool:
        """Whether it counts in the mean of the tasks: a share, higher is better, neither new nor advisory."""
        is_share = self.metric.unit == FRACTION and self.metric.direction is Direction.HIGHER
        is_new = self.preset is not None and self.preset.verdict is Verdict.NEW
        return is_share and not is_new and self.tier is not Tier.ADVISORY


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """A metric that is judged by its items."""

    samples: TaskSamples
    evidence: ItemEvidence
    honest_margin: float | None
    num_tasks: int = 1


def missing_share(num_missing: int, num_scores: int, score_range: float) -> float:
    """Change of a side's mean if its missing scores changed from the worst to the best possible."""
    return num_missing / max(num_scores, 1) * score_range


def judge_tasks(
    samples: Sequence[TaskSamples],
    *,
    macro_margin: float,
    alpha: float = 0.01,
    margin_level: float = 0.05,
    macro_tier: Tier | None = None,
) -> tuple[tuple[Finding, ...], Design]:
    """Judge all tasks, and their mean if there are several.

    Args:
        samples: Samples of each task, in the order of the report.
        macro_margin: The degradation of the mean that is tolerated.
        alpha: Level of the strict tests.
        margin_level: Level of the tests at the margin.
        macro_tier: Declared tier of the mean.

    Returns:
        The findings, with that of the mean first, and the design with the number of metrics that share ``alpha``.
    """
    in_macro = [each for each in samples if each.is_in_macro]
    has_macro = len(in_macro) > 1
    num_tasks = sum(each.preset is None or each.preset.verdict is not Verdict.NEW for each in samples)
    design = Design(alpha=alpha, margin_level=margin_level, num_gated=num_tasks + has_macro)
    guards = _guards(in_macro, num_tasks, design) if has_macro else ()
    with_default = [
        replace(each, tier=each.tier or (Tier.GUARD if each.metric.name in guards else Tier.BLOCKING))
        for each in samples
    ]
    cases = [_case(each, design) for each in with_default if each.preset is None]
    macro = _macro(in_macro, macro_margin, macro_tier or Tier.BLOCKING, design) if has_macro else None
    judged = iter(_judge([*([macro] if isinstance(macro, _Case) else []), *cases], design))
    head = () if macro is None else (macro,) if isinstance(macro, Finding) else (next(judged),)
    rest = [
        replace(each.preset, tier=each.tier or Tier.BLOCKING) if each.preset else next(judged) for each in with_default
    ]
    return (*head, *rest), design


def _guards(tasks: Sequence[TaskSamples], num_tasks: int, design: Design) -> set[str]:
    """Names of the tasks whose items are too few for their margins if all tasks of a clean change are to pass."""
    power = 1 - (1 - HONEST_POWER) / num_tasks
    known = [(task.metric, task.items) for task in tasks if task.items is not None]
    if not known:
        return set()
    supported = are_supported(
        [honest_margin(each, margin_level=design.margin_level, alpha=design.alpha, power=power) for _, each in known],
        [metric.margin for metric, _ in known],
        [each.differences.size for _, each in known],
    )
    return {metric.name for (metric, _), is_supported in zip(known, supported, strict=True) if not is_supported}


def _case(samples: TaskSamples, design: Design) -> _Case:
    """A task with the evidence of its items."""
    assert samples.items is not None
    return _Case(
        samples=samples,
        evidence=weigh_items(samples.items, margin=samples.metric.margin, level=design.margin_level),
        honest_margin=honest_margin(samples.items, margin_level=design.margin_level, alpha=design.alpha),
    )


def _macro(tasks: Sequence[TaskSamples], margin: float, tier: Tier, design: Design) -> _Case | Finding:
    """The mean of the tasks with the evidence of all items, or why it cannot be judged."""
    metric = Metric(
        workload=STORED, name=MACRO, kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=margin, unit=FRACTION
    )
    lacking = [task for task in tasks if task.preset is not None]
    if lacking:
        return _unknown_macro(metric, [task.preset for task in lacking if task.preset], tier)
    items = [task.items for task in tasks if task.items is not None]
    means = (sum(task.means[0] for task in tasks) / len(tasks), sum(task.means[1] for task in tasks) / len(tasks))
    return _Case(
        samples=TaskSamples(
            metric=metric,
            means=means,
            missing=(sum(task.missing[0] for task in tasks), sum(task.missing[1] for task in tasks)),
            repeats=max(task.repeats for task in tasks),
            is_identical=all(task.is_identical for task in tasks),
            tier=tier,
        ),
        evidence=weigh_macro(items, margin=margin, level=design.margin_level),
        honest_margin=None,
        num_tasks=len(tasks),
    )


def _unknown_macro(metric: Metric, lacking: Sequence[Finding], tier: Tier) -> Finding:
    """An error with the blame of the tasks that cannot be judged; for a missing task, the candidate."""
    blames = {Blame.CANDIDATE if each.verdict is Verdict.MISSING else each.blame for each in lacking}
    names = ", ".join(each.metric.name for each in lacking[:3]) + (" and more" if len(lacking) > 3 else "")
    return Finding(
        metric=metric,
        verdict=Verdict.ERROR,
        reason=f"the mean of the tasks is not known without {names}",
        blame=blames.pop() if len(blames) == 1 else Blame.BOTH,
        tier=tier,
    )


def _judge(cases: Sequence[_Case], design: Design) -> list[Finding]:
    """Findings of all metrics judged by their items; implausible gains are marked by the mirrored tests."""
    if not cases:
        return []
    p_values = np.array([[(1.0,) * 4 if case.samples.is_identical else case.evidence.p_values for case in cases]])
    decisions = decide(p_values, np.zeros(p_values.shape[:-1], dtype=np.bool_), design)
    gains = [1.0 if case.samples.is_identical else case.evidence.gain_zero for case in cases]
    is_gain = holm_rejections(gains, family_size=design.num_gated, level=design.alpha)
    return [
        _identical(case)
        if case.samples.is_identical
        else _finding(
            case,
            Verdict.FAIL
            if decisions.fails[index]
            else Verdict.PASS
            if decisions.passes[index]
            else Verdict.INCONCLUSIVE,
            is_implausible=bool(is_gain[index]) and case.evidence.gain_margin <= design.margin_level,
            design=design,
        )
        for index, case in enumerate(cases)
    ]


def _counts(case: _Case) -> ItemCounts:
    samples, evidence = case.samples, case.evidence
    return ItemCounts(
        num_worse=evidence.num_worse,
        num_better=evidence.num_better,
        num_clusters=evidence.num_clusters,
        num_tasks=case.num_tasks,
        repeats=samples.repeats,
        baseline_missing=samples.missing[0],
        candidate_missing=samples.missing[1],
        honest_margin=case.honest_margin,
    )


def _identical(case: _Case) -> Finding:
    """A ``pass`` without statistics, since both sides are identical."""
    samples = case.samples
    return Finding(
        metric=samples.metric,
        verdict=Verdict.PASS,
        reason=f"identical outputs on {case.evidence.num_items:,} items",
        method=Method.EXACT,
        num_pairs=case.evidence.num_items,
        estimate=0.0,
        baseline_mean=samples.means[0],
        candidate_mean=samples.means[1],
        items=_counts(case),
        tier=samples.tier or Tier.BLOCKING,
        warnings=samples.warnings,
    )


def _finding(case: _Case, verdict: Verdict, *, is_implausible: bool, design: Design) -> Finding:
    """The complete finding of one metric."""
    samples, evidence = case.samples, case.evidence
    metric, margin = samples.metric, samples.metric.margin
    tier = samples.tier or Tier.BLOCKING
    further = (
        evidence.further_items(margin, margin_level=design.margin_level, alpha=design.alpha, num_gated=design.num_gated)
        if verdict is Verdict.INCONCLUSIVE
        else None
    )
    low, high = evidence.interval
    if verdict is not Verdict.FAIL and evidence.above_margin <= design.margin_level:
        low = min(low, 0.0)  # the strict test does not reject
    if verdict is Verdict.INCONCLUSIVE and evidence.below_margin <= design.margin_level:
        high = max(high, 2 * margin)
    interval = Interval(low, high)
    return Finding(
        metric=metric,
        verdict=verdict,
        reason=_reason(case, verdict, interval, further),
        method=Method.ITEMS,
        num_pairs=evidence.num_items,
        num_looks=1,
        estimate=evidence.mean,
        interval=interval,
        standard_deviation=evidence.deviations[0],
        baseline_mean=samples.means[0],
        candidate_mean=samples.means[1],
        further_pairs=further,
        p_values=dict(zip(HYPOTHESES, evidence.p_values, strict=True)),
        detail=samples.detail,
        warnings=(*samples.warnings, *evidence.notes, *_margin_warnings(case, verdict, tier, interval)),
        items=_counts(case),
        tier=tier,
        mark=_mark(metric, evidence) if is_implausible and verdict is Verdict.PASS else "",
    )


def _reason(case: _Case, verdict: Verdict, interval: Interval, further: int | None) -> str:
    """The verdict in one sentence: the result on these items, then the conclusion for similar items."""
    metric, evidence = case.samples.metric, case.evidence
    margin = degradation_text(metric, metric.margin)
    moved = f"{evidence.num_worse:,} lost, {evidence.num_better:,} gained"
    of = f" of {case.num_tasks} tasks" if case.num_tasks > 1 else ""
    seen = (
        f"{change_text(metric, evidence.mean)} on these {evidence.num_items:,} items{of} ({moved}), "
        f"{interval_text(metric, interval)} on items like these"
    )
    if verdict is Verdict.PASS:
        return f"{seen}: not worse by the margin of {margin}"
    if verdict is Verdict.FAIL:
        return f"{seen}: worse by more than the margin of {margin}"
    outlook = "no number of items is expected to settle it"
    if further is not None:
        outlook = f"about {evidence.num_items + further:,} items would settle it, {further:,} more than these"
    return f"{seen}: neither within nor beyond the margin of {margin}; {outlook}"


def _margin_warnings(case: _Case, verdict: Verdict, tier: Tier, interval: Interval) -> list[str]:
    """Warn if the margin is too small for the number of items."""
    metric, honest = case.samples.metric, case.honest_margin
    warnings = []
    if verdict is Verdict.INCONCLUSIVE and case.num_tasks == 1 and (honest is None or honest > metric.margin):
        supported = "no margin" if honest is None else f"a margin of {degradation_text(metric, honest)}"
        warnings.append(
            f"so many items with such flips support {supported}, not {degradation_text(metric, metric.margin)}"
        )
    if verdict is Verdict.INCONCLUSIVE and tier is Tier.GUARD:
        warnings.append(
            f"a guard: it could have failed, but a degradation of up to {degradation_text(metric, interval.high)} is "
            "not excluded"
        )
    return warnings


def _mark(metric: Metric, evidence: ItemEvidence) -> str:
    """Mark of an implausible gain: why it should be examined."""
    return (
        f"{change_text(metric, evidence.mean)}, a gain of more than the margin that chance does not explain: check whether "
        "the items, their scoring or the answers leaked"
    )
