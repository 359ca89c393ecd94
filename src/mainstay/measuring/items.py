"""Items that both sides have scored, as samples to be judged; for gates and for stored results alike.

- :func:`paired_samples`: the samples of a task, or why it cannot be judged.
- :func:`preset_samples`: the samples of a task that only one side has, or whose items differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mainstay.evaluation.items import ItemsError, PairedTask
from mainstay.gates.evaluation import ScoredDifferences
from mainstay.gates.tasks import TaskSamples, missing_share
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.metrics import Metric, Tier
from mainstay.records.trials import Side

MAX_CAUSES = 5
"""Largest number of causes of missing scores that are named for each side."""

FEWEST_ITEMS = 2
"""Smallest number of items, and of clusters, of which anything can be said."""


def paired_samples(task: PairedTask, metric: Metric, *, tier: Tier | None = None) -> TaskSamples:
    """Samples of a task that both sides have scored; an error if a side has too few scores.

    Args:
        task: The items of both sides.
        metric: The metric of the task.
        tier: Declared tier.
    """
    low, high = task.score_range
    missing = (task.num_missing[Side.BASELINE], task.num_missing[Side.CANDIDATE])
    detail = tuple(_causes(task))
    at_fault = [
        side
        for side in Side
        if missing_share(task.num_missing[side], task.num_scores[side], high - low) > metric.margin / 2
    ]
    if at_fault:
        named = " and ".join(f"{task.num_missing[side]:,} of the {side}" for side in at_fault)
        preset = Finding(
            metric=metric,
            verdict=Verdict.ERROR,
            reason=f"too many scores are missing to judge by the rest: {named}, of {max(task.num_scores.values()):,}",
            blame=Blame(at_fault[0]) if len(at_fault) == 1 else Blame.BOTH,
            detail=detail,
        )
        return TaskSamples(metric=metric, preset=preset, tier=tier)
    differences = task.differences
    num_clusters = len(task.ids) if task.clusters is None else len(set(task.clusters.tolist()))
    if num_clusters < FEWEST_ITEMS:
        few = "1 item is" if len(task.ids) == 1 else "the items of one cluster are"
        preset = Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=f"{few} too few to judge by")
        return TaskSamples(metric=metric, preset=preset, tier=tier, detail=detail)
    return TaskSamples(
        metric=metric,
        items=ScoredDifferences(
            differences=differences,
            guarded=task.guarded_differences if missing[0] else differences,
            clusters=task.clusters,
            score_range=high - low if task.is_bounded else math.inf,
            is_binary=task.is_binary,
        ),
        means=(float(task.scores[Side.BASELINE].mean()), float(task.scores[Side.CANDIDATE].mean())),
        missing=missing,
        repeats=task.repeats,
        is_identical=task.is_identical,
        tier=tier,
        warnings=tuple(_warnings(task)),
        detail=detail,
    )


def preset_samples(
    metric: Metric, *, refused: ItemsError | None = None, lacking: Side = Side.CANDIDATE, tier: Tier | None = None
) -> TaskSamples:
    """Samples of a task that cannot be judged: only one side has it, or the items differ.

    Args:
        metric: The metric of the task.
        refused: How the items differ; ``None`` if a side has none.
        lacking: The side that has none.
        tier: Declared tier.
    """
    if refused is not None:
        blame = Blame(refused.side) if refused.side else Blame.BOTH
        finding = Finding(metric=metric, verdict=Verdict.ERROR, reason=str(refused), blame=blame)
    else:
        verdict = Verdict.MISSING if lacking is Side.CANDIDATE else Verdict.NEW
        finding = Finding(metric=metric, verdict=verdict, reason=f"the {lacking} has no scores of it")
    return TaskSamples(metric=metric, preset=finding, tier=tier)


def _causes(task: PairedTask) -> Iterator[str]:
    """Why scores are missing, the most frequent cause first."""
    for side in Side:
        causes = sorted(task.causes.get(side, {}).items(), key=lambda pair: (-pair[1], pair[0]))
        yield from (f"missing in the {side}: {count} x {cause}" for cause, count in causes[:MAX_CAUSES])


def _warnings(task: PairedTask) -> Iterator[str]:
    """Warnings that affect trust in the numbers of a task."""
    missing = {side: count for side, count in task.num_missing.items() if count}
    if missing:
        counts = " and ".join(f"{count:,} scores of the {side}" for side, count in missing.items())
        yield f"{counts} are missing and count as the worst; a pass also holds if the baseline's missing ones count as the best"
    if task.num_outside:
        yield f"{task.num_outside:,} scores lie outside the declared range and count as its nearest end"
