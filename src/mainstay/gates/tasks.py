"""Joint judgement of all tasks of an evaluation from the items that both sides have scored.

The rule is that of :mod:`~mainstay.gates.family`, with looks at growing shares of the items: a task passes if its degradation is below the
margin (level ``margin_level``) and below twice the margin (level ``alpha``); it fails if its degradation is above the
margin and above zero, the latter by Holm's procedure over all tasks and their mean. If there are two tasks or more, the
mean of the task means, the *macro* metric, must pass, and a task whose items are too few for its margin is a guard. What
counts are the items that were planned, so a task does not become a guard because the time ran out before all were scored.

- :class:`TaskSamples`, :class:`Evaluation`: the scores of a task at one look, and of all tasks at all looks.
- :func:`judge_tasks`: judges the tasks of stored results at a single look.
- :func:`weigh_evaluation`, :func:`evaluation_findings`: its two halves, for a gate that decides on other metrics too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.evaluation import (
    ItemEvidence,
    ScoredDifferences,
    are_supported,
    honest_margin,
    honest_mean_margin,
    weigh_items,
    weigh_macro,
)
from mainstay.gates.family import Decisions, decide
from mainstay.gates.findings import HYPOTHESES
from mainstay.gates.policy import Design
from mainstay.records.findings import Blame, Finding, Interval, ItemCounts, Method, Verdict
from mainstay.records.formatting import change_text, degradation_text, worded_interval
from mainstay.records.metrics import FRACTION, STORED, Direction, Kind, Metric, Tier
from mainstay.records.scales import PLAIN_NUMBER
from mainstay.stats.items import HONEST_POWER
from mainstay.stats.multiplicity import holm_rejections
from mainstay.stats.sequential import sequential_p_values

MACRO = "macro"
"""Name of the mean of the task means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSamples:
    """Samples of one task.

    Attributes:
        metric: The metric of the task, with its margin.
        items: The items that both sides scored; ``None`` if the finding is preset.
        means: Mean score of baseline and candidate.
        share: Share of the planned items that were scored.
        missing: Number of scores that baseline and candidate lack.
        repeats: Largest number of scores of one item.
        baseline_flips: Items that the baseline scored differently when it was repeated; ``None`` if it was not.
        baseline_repeated: Number of items on which it was repeated.
        is_identical: Whether all outputs are known and equal.
        tier: Declared tier; with ``None``, the tier follows from the number of items.
        tier_margin: Margin that the items must support for the tier to be blocking if none is declared; if ``None``, that of
            the metric. A change may have tightened the latter, which makes no guard.
        preset: A finding known without judging the items, such as ``missing`` for a task that the candidate lacks.
        warnings: Warnings for the reader, one sentence each.
        detail: Causes of missing scores.
    """

    metric: Metric
    items: ScoredDifferences | None = None
    means: tuple[float, float] = (0.0, 0.0)
    share: float = 1.0
    missing: tuple[int, int] = (0, 0)
    repeats: int = 1
    baseline_flips: int | None = None
    baseline_repeated: int = 0
    is_identical: bool = False
    tier: Tier | None = None
    tier_margin: float | None = None
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
class Evaluation:
    """The scores of the tasks of one set of items, at every look that was taken.

    Attributes:
        looks: Samples of each task at each look, over all items scored until then; at least one look.
        weights: Share of the error rate of each of these looks.
        mean: Metric of the mean of the tasks; ``None`` if there is none.
        mean_tier: Tier of the mean.
        lacking: Tasks of the mean that are not among the samples.
    """

    looks: tuple[tuple[TaskSamples, ...], ...]
    weights: tuple[float, ...] = (1.0,)
    mean: Metric | None = None
    mean_tier: Tier = Tier.BLOCKING
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """A metric that is judged by its items, at one look."""

    samples: TaskSamples
    evidence: ItemEvidence
    honest_margin: float | None
    num_tasks: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WeighedEvaluation:
    """The evidence of every look about every metric of an evaluation.

    Attributes:
        findings: The finding of each metric, mean first, if no look could judge its items; otherwise ``None``.
        cases: Metrics that are judged by their items, at each look; ``None`` at a look at which the items of a metric cannot
            be judged.
        later: For each of these metrics, its finding at the latest look if that cannot judge it; otherwise ``None``.
        p_values: (looks, metrics, 4) sequential p-values in the order of :data:`~mainstay.gates.findings.HYPOTHESES`.
        gains: (looks, metrics, 2) sequential p-values of no gain, and of a gain of at most the margin.
    """

    findings: tuple[Finding | None, ...]
    cases: tuple[tuple[_Case | None, ...], ...]
    later: tuple[Finding | None, ...]
    p_values: NDArray[np.float64]
    gains: NDArray[np.float64]


def missing_share(num_missing: int, num_scores: int, score_range: float) -> float:
    """Change of a side's mean if its missing scores changed from the worst to the best possible; infinite if unbounded."""
    return num_missing / max(num_scores, 1) * score_range if num_missing else 0.0


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
    mean = Metric(
        workload=STORED, name=MACRO, kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=macro_margin, unit=FRACTION
    )
    weighed = weigh_evaluation(
        Evaluation(
            looks=(tuple(samples),),
            mean=mean if has_macro else None,
            mean_tier=macro_tier or Tier.BLOCKING,
        ),
        design,
        in_mean=in_macro,
    )
    decisions = decide(weighed.p_values, np.zeros(weighed.p_values.shape[:-1], dtype=np.bool_), design)
    return evaluation_findings(weighed, decisions, design), design


def weigh_evaluation(
    evaluation: Evaluation, design: Design, *, in_mean: Sequence[TaskSamples] | None = None
) -> WeighedEvaluation:
    """Weigh the evidence of every look, without a decision.

    Args:
        evaluation: The scores of all tasks.
        design: Levels and number of metrics.
        in_mean: The tasks whose mean is judged; if ``None``, all.
    """
    last = evaluation.looks[-1]
    counted = {each.metric.name for each in (last if in_mean is None else in_mean)}
    num_tasks = sum(each.preset is None or each.preset.verdict is not Verdict.NEW for each in last)
    in_means = [each for each in last if each.metric.name in counted]
    guards = _guards(in_means, num_tasks, design) if evaluation.mean else set()
    tiers = [each.tier or (Tier.GUARD if each.metric.name in guards else Tier.BLOCKING) for each in last]
    at_looks: list[list[_Case | None]] = []
    for samples, weight in zip(evaluation.looks, evaluation.weights, strict=True):
        level = design.margin_level * weight
        at_look = [_case(replace(each, tier=tier), design, level) for each, tier in zip(samples, tiers, strict=True)]
        if evaluation.mean:
            tasks = [each for each in samples if each.metric.name in counted]
            mean = (
                None if evaluation.lacking else _mean_case(evaluation.mean, tasks, evaluation.mean_tier, design, level)
            )
            at_look.insert(0, mean)
        at_looks.append(at_look)
    is_judged = [any(each) for each in zip(*at_looks, strict=True)]
    latest = [replace(each.preset, tier=each.tier or Tier.BLOCKING) if each.preset else None for each in last]
    if evaluation.mean:
        latest.insert(0, _unknown_mean(evaluation, in_means))
    cases = [tuple(compress(at_look, is_judged)) for at_look in at_looks]
    return WeighedEvaluation(
        findings=tuple(None if judged else finding for judged, finding in zip(is_judged, latest, strict=True)),
        cases=tuple(cases),
        later=tuple(compress(latest, is_judged)),
        p_values=_sequential(cases, evaluation.weights, "p_values", len(HYPOTHESES)),
        gains=_sequential(cases, evaluation.weights, "gains", 2),
    )


def settled_evaluation(findings: Sequence[Finding]) -> WeighedEvaluation:
    """An evaluation whose findings are known without any item, as by a proof.

    Args:
        findings: The finding of each of its metrics.
    """
    return WeighedEvaluation(
        findings=tuple(findings),
        cases=((),),
        later=(),
        p_values=np.ones((1, 0, len(HYPOTHESES))),
        gains=np.ones((1, 0, 2)),
    )


def _sequential(
    cases: Sequence[Sequence[_Case | None]], weights: Sequence[float], name: str, count: int
) -> NDArray[np.float64]:
    """Sequential p-values from those of each look; 1 for a metric that is identical, or not judged yet."""
    p_values = np.ones((len(cases), len(cases[0]), count))
    for look, at_look in enumerate(cases):
        for index, case in enumerate(at_look):
            if case and not case.samples.is_identical:
                p_values[look, index] = getattr(case.evidence, name)
    return sequential_p_values(p_values, weights)


def evaluation_findings(weighed: WeighedEvaluation, decisions: Decisions, design: Design) -> tuple[Finding, ...]:
    """The finding of each metric, that of the mean first, once it is decided which fail and which pass.

    Args:
        weighed: The evidence.
        decisions: Verdicts of the metrics that are judged by their items, with the number of the look of each.
        design: Levels and number of metrics.
    """
    metrics = np.arange(len(decisions.look))
    gains = weighed.gains[decisions.look, metrics] if metrics.size else np.ones((0, 2))
    is_gain = holm_rejections(gains[:, 0], family_size=design.num_gated, level=design.alpha)
    judged = iter(
        _after(
            _finding(
                [case for at_look in weighed.cases[: look + 1] if (case := at_look[index])],
                decisions.verdict(index),
                p_values=weighed.p_values[look, index],
                is_implausible=bool(is_gain[index]) and gains[index, 1] <= design.margin_level,
                design=design,
            ),
            weighed.later[index],
        )
        for index, look in enumerate(decisions.look.tolist())
    )
    return tuple(finding or next(judged) for finding in weighed.findings)


def _after(finding: Finding, later: Finding | None) -> Finding:
    """The finding after a later look that cannot judge the metric: a ``fail`` stays, all else gives way to an error.

    A look that cannot judge it yet takes nothing back.
    """
    if later is None:
        return finding
    if later.verdict is Verdict.INCONCLUSIVE or finding.verdict is Verdict.FAIL:
        return replace(finding, warnings=(*finding.warnings, f"a later look could not be judged: {later.reason}"))
    return later


def acknowledge_gains(findings: Sequence[Finding], names: Collection[str]) -> tuple[Finding, ...]:
    """Findings, with the marks of implausible gains removed that a person has examined.

    Args:
        findings: The findings of a gate.
        names: Names or ids of metrics whose gain is acknowledged.
    """
    return tuple(
        replace(
            finding,
            mark="",
            warnings=(*finding.warnings, f"a person has acknowledged the implausible gain: {finding.mark}"),
        )
        if finding.mark and not {finding.metric.name, finding.metric.id}.isdisjoint(names)
        else finding
        for finding in findings
    )


def _guards(tasks: Sequence[TaskSamples], num_tasks: int, design: Design) -> set[str]:
    """Names of the tasks whose planned items are too few for their margins if all tasks of a clean change are to pass."""
    known = [(task, task.items) for task in tasks if task.items is not None]
    if not known:
        return set()
    power = 1 - (1 - HONEST_POWER) / num_tasks
    supported = are_supported(
        [honest_margin(each, design, power=power, share=task.share) for task, each in known],
        [task.metric.margin if task.tier_margin is None else task.tier_margin for task, _ in known],
        [each.differences.size for _, each in known],
    )
    return {task.metric.name for (task, _), is_supported in zip(known, supported, strict=True) if not is_supported}


def _case(samples: TaskSamples, design: Design, level: float) -> _Case | None:
    """A task with the evidence of its items; nothing if they cannot be judged."""
    if samples.items is None:
        return None
    return _Case(
        samples=samples,
        evidence=weigh_items(samples.items, margin=samples.metric.margin, level=level),
        honest_margin=honest_margin(samples.items, design),
    )


def _mean_case(metric: Metric, tasks: Sequence[TaskSamples], tier: Tier, design: Design, level: float) -> _Case | None:
    """The mean of the tasks with the evidence of all items; nothing if those of a task cannot be judged."""
    items = [task.items for task in tasks if task.items is not None]
    if len(items) < len(tasks):
        return None
    flips = [task.baseline_flips for task in tasks if task.baseline_flips is not None]
    if not (metric.unit or all(task.metric.is_fraction for task in tasks)):
        metric = replace(metric, unit=PLAIN_NUMBER)
    return _Case(
        samples=TaskSamples(
            metric=metric,
            means=(
                sum(task.means[0] for task in tasks) / len(tasks),
                sum(task.means[1] for task in tasks) / len(tasks),
            ),
            share=tasks[0].share,
            missing=(sum(task.missing[0] for task in tasks), sum(task.missing[1] for task in tasks)),
            repeats=max(task.repeats for task in tasks),
            baseline_flips=sum(flips) if flips else None,
            baseline_repeated=sum(task.baseline_repeated for task in tasks),
            is_identical=all(task.is_identical for task in tasks),
            tier=tier,
        ),
        evidence=weigh_macro(items, margin=metric.margin, level=level),
        honest_margin=honest_mean_margin(items, design),
        num_tasks=len(tasks),
    )


def _unknown_mean(evaluation: Evaluation, tasks: Sequence[TaskSamples]) -> Finding | None:
    """The finding of a mean that cannot be judged at the latest look, with the blame of its tasks.

    It is undecided if its tasks are; a missing task is the candidate's fault.
    """
    lacking = [each.preset for each in tasks if each.preset]
    if evaluation.mean is None or not (lacking or evaluation.lacking):
        return None
    errors = [preset for preset in lacking if preset.verdict is not Verdict.INCONCLUSIVE]
    is_undecided = not errors and not evaluation.lacking
    blames = {Blame.CANDIDATE if each.verdict is Verdict.MISSING else each.blame for each in errors}
    blames |= {Blame.CANDIDATE for _ in evaluation.lacking}
    missing = [*(each.metric.name for each in errors or lacking), *evaluation.lacking]
    names = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
    blame = blames.pop() if len(blames) == 1 else Blame.BOTH
    return Finding(
        metric=evaluation.mean,
        verdict=Verdict.INCONCLUSIVE if is_undecided else Verdict.ERROR,
        reason=f"the mean of the tasks is not known without {names}",
        blame=None if is_undecided else blame,
        tier=evaluation.mean_tier,
    )


def _counts(case: _Case) -> ItemCounts:
    samples, evidence = case.samples, case.evidence
    return ItemCounts(
        num_worse=evidence.num_worse,
        num_better=evidence.num_better,
        num_clusters=evidence.num_clusters,
        num_tasks=case.num_tasks,
        repeats=samples.repeats,
        baseline_flips=samples.baseline_flips,
        baseline_repeated=samples.baseline_repeated,
        baseline_missing=samples.missing[0],
        candidate_missing=samples.missing[1],
        honest_margin=case.honest_margin,
        share=samples.share,
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


def _finding(
    cases: Sequence[_Case], verdict: Verdict, *, p_values: NDArray[np.float64], is_implausible: bool, design: Design
) -> Finding:
    """The complete finding of one metric at the latest of its looks."""
    case = cases[-1]
    samples, evidence = case.samples, case.evidence
    if samples.is_identical:
        return _identical(case)
    metric, margin = samples.metric, samples.metric.margin
    tier = samples.tier or Tier.BLOCKING
    further = evidence.further_items(margin, design) if verdict is Verdict.INCONCLUSIVE else None
    low, high, agree = _intersected([each.evidence.interval for each in cases])
    if verdict is not Verdict.FAIL and p_values[1] <= design.margin_level:
        low = min(low, 0.0)  # the strict test does not reject
    if verdict is Verdict.INCONCLUSIVE and p_values[2] <= design.margin_level:
        high = max(high, 2 * margin)
    interval = Interval(low, high)
    contradiction = () if agree else ("the looks contradict each other: the interval is that of the last look alone",)
    return Finding(
        metric=metric,
        verdict=verdict,
        reason=_reason(case, verdict, interval, further),
        method=Method.ITEMS,
        num_pairs=evidence.num_items,
        num_looks=len(cases),
        estimate=min(max(evidence.mean, low), high),
        interval=interval,
        standard_deviation=evidence.deviations[0],
        baseline_mean=samples.means[0],
        candidate_mean=samples.means[1],
        further_pairs=further,
        p_values=dict(zip(HYPOTHESES, p_values.tolist(), strict=True)),
        detail=samples.detail,
        warnings=(
            *samples.warnings,
            *contradiction,
            *evidence.notes,
            *_margin_warnings(case, verdict, tier, interval),
        ),
        items=_counts(case),
        tier=tier,
        mark=_mark(metric, evidence) if is_implausible and verdict is Verdict.PASS else "",
    )


def _intersected(intervals: Sequence[Interval]) -> tuple[float, float, bool]:
    """The values that no look has excluded, and whether there are any; if not, those of the last look."""
    low, high = max(each.low for each in intervals), min(each.high for each in intervals)
    return (low, high, True) if low <= high else (*intervals[-1], False)


def _reason(case: _Case, verdict: Verdict, interval: Interval, further: int | None) -> str:
    """The verdict in one sentence: the result on these items, then the conclusion for similar items."""
    metric, evidence = case.samples.metric, case.evidence
    margin = degradation_text(metric, metric.margin)
    moved = f"{evidence.num_worse:,} lost, {evidence.num_better:,} gained{_own_flips(case)}"
    of = f" of {case.num_tasks} tasks" if case.num_tasks > 1 else ""
    seen = (
        f"{change_text(metric, evidence.mean)} on these {evidence.num_items:,} items{of} ({moved}), "
        f"{worded_interval(metric, interval)} on items like these"
    )
    if verdict is Verdict.PASS:
        return f"{seen}: not worse by the margin of {margin}"
    if verdict is Verdict.FAIL:
        return f"{seen}: worse by more than the margin of {margin}"
    outlook = "no number of items is expected to settle it"
    if further is not None:
        outlook = f"about {evidence.num_items + further:,} items would settle it, {further:,} more than these"
    return f"{seen}: neither within nor beyond the margin of {margin}; {outlook}"


def _own_flips(case: _Case) -> str:
    """Share of the items that flipped, beside the share that flips if the baseline is only repeated."""
    samples, evidence = case.samples, case.evidence
    if samples.baseline_flips is None or not samples.baseline_repeated:
        return ""
    flips = (evidence.num_worse + evidence.num_better) / evidence.num_items
    return f": flips {100 * flips:.1f} %, the baseline alone {100 * samples.baseline_flips / samples.baseline_repeated:.1f} %"


def _margin_warnings(case: _Case, verdict: Verdict, tier: Tier, interval: Interval) -> Iterator[str]:
    """Warn if the margin is too small for the number of items."""
    metric, honest = case.samples.metric, case.honest_margin
    if verdict is Verdict.INCONCLUSIVE and case.num_tasks == 1 and (honest is None or honest > metric.margin):
        limits = f"not of {degradation_text(metric, metric.margin)}"
        supported = (
            "no margin at all" if honest is None else f"a margin of {degradation_text(metric, honest)}, {limits}"
        )
        yield f"{case.evidence.num_items:,} items with this many flips support {supported}"
    if verdict is Verdict.INCONCLUSIVE and tier is Tier.GUARD:
        worst = degradation_text(metric, interval.high)
        yield f"a guard: it could have failed, but a degradation of up to {worst} is not excluded"


def _mark(metric: Metric, evidence: ItemEvidence) -> str:
    """Mark of an implausible gain: why it should be examined."""
    return (
        f"{change_text(metric, evidence.mean)}, a gain of more than the margin that chance does not explain: check whether "
        "the items, their scoring or the answers leaked"
    )
