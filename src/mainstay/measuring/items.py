"""Items that both sides have scored, as samples to be judged; for gates and for stored results alike.

- :func:`paired_samples`: the samples of a task, or why it cannot be judged.
- :func:`preset_samples`: the samples of a task that only one side has, or whose items differ.
- :func:`flipped_items`, :func:`item_groups`: what a report shows of the items.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mainstay.evaluation.items import ItemsError, PairedTask, ScoredItem
from mainstay.gates.evaluation import ScoredDifferences
from mainstay.gates.tasks import TaskSamples, missing_share
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.metrics import Metric, Tier
from mainstay.records.runs import FlippedItem, ItemGroup
from mainstay.records.trials import Side

MAX_CAUSES = 5
"""Largest number of causes of missing scores that are named for each side."""

MAX_FLIPPED = 100
"""Largest number of flipped items that a run document names."""

FEWEST_SHOWN = 10
"""Number of flipped items of a task that are named, however many tasks there are."""

MAX_GROUPS = 20
"""Largest number of groups of items that it names."""

MAX_TEXT = 2_000
"""Largest number of characters of an input or an output that it keeps."""

FEWEST_ITEMS = 2
"""Smallest number of items, and of clusters, of which anything can be said."""


def paired_samples(task: PairedTask, metric: Metric, *, tier: Tier | None, num_left: int = 0) -> TaskSamples:
    """Samples of a task that both sides have scored; an error if a side has too few scores.

    Args:
        task: The items of both sides.
        metric: The metric of the task.
        tier: Declared tier.
        num_left: Largest number of scores that a side may still record at later looks. If they could make the missing
            ones few enough, the task is undecided, not an error.
    """
    low, high = task.score_range
    widest = high - low if task.is_bounded else math.inf
    missing = (task.num_missing[Side.BASELINE], task.num_missing[Side.CANDIDATE])
    detail = tuple(_causes(task))
    if preset := _too_many_missing(task, metric, widest, num_left):
        return TaskSamples(metric=metric, preset=replace(preset, detail=detail), tier=tier)
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
            score_range=widest,
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


def _too_many_missing(task: PairedTask, metric: Metric, score_range: float, num_left: int) -> Finding | None:
    """The finding of a task that lacks too many scores: an error, unless scores to come could make them few enough."""

    def lacking(num_more: int) -> list[Side]:
        """Sides whose missing scores could move their mean by more than half the margin, with more scores than now."""
        return [
            side
            for side in Side
            if missing_share(task.num_missing[side], task.num_scores[side] + num_more, score_range) > metric.margin / 2
        ]

    at_last = lacking(num_left)
    sides = at_last or lacking(0)
    if not sides:
        return None
    named = " and ".join(f"{task.num_missing[side]:,} of the {side}" for side in sides)
    counts = f"{named}, of {max(task.num_scores.values()):,}"
    if not at_last:
        reason = f"too many scores are missing so far to judge by the rest: {counts}; later looks may change that"
        return Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=reason)
    why = "" if task.is_bounded else "; no range is declared, so nothing bounds what they could have been"
    return Finding(
        metric=metric,
        verdict=Verdict.ERROR,
        reason=f"too many scores are missing to judge by the rest: {counts}{why}",
        blame=Blame(sides[0]) if len(sides) == 1 else Blame.BOTH,
    )


def preset_samples(
    metric: Metric,
    *,
    refused: ItemsError | None = None,
    tier: Tier | None,
    lacking: Side = Side.CANDIDATE,
    may_change: bool = False,
) -> TaskSamples:
    """Samples of a task that cannot be judged: only one side has it, or the items differ.

    Args:
        metric: The metric of the task.
        refused: How the items differ; ``None`` if a side has none.
        tier: Declared tier.
        lacking: The side that has none.
        may_change: Whether later looks score further items. If these could make the scores comparable, the task is
            undecided, not an error.
    """
    if refused is not None and refused.so_far and may_change:
        reason = f"{refused.so_far}; later looks may change that"
        finding = Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=reason)
    elif refused is not None:
        blame = Blame(refused.side) if refused.side else Blame.BOTH
        finding = Finding(metric=metric, verdict=Verdict.ERROR, reason=str(refused), blame=blame)
    else:
        verdict = Verdict.MISSING if lacking is Side.CANDIDATE else Verdict.NEW
        finding = Finding(metric=metric, verdict=verdict, reason=f"the {lacking} has no scores of it")
    return TaskSamples(metric=metric, preset=finding, tier=tier)


def unscored_samples(metric: Metric, *, tier: Tier | None) -> TaskSamples:
    """Samples of a task of which no item was chosen so far, while others are left: it cannot be judged yet.

    Args:
        metric: The metric of the task.
        tier: Declared tier.
    """
    reason = "none of its items was scored so far"
    return TaskSamples(
        metric=metric, preset=Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=reason), tier=tier
    )


def flipped_items(
    task: PairedTask, metric: str, items: Mapping[Side, Iterable[ScoredItem]], *, at_most: int = MAX_FLIPPED
) -> tuple[FlippedItem, ...]:
    """Items that the sides score differently: losses first, then gains, each with the largest difference first.

    Args:
        task: The items of both sides.
        metric: Name of the metric of the task.
        items: Scores of each side, of this task and maybe of others, with inputs and outputs as far as known.
        at_most: Largest number of items; if there are more, half of them are losses, unless there are few gains.
    """
    differences = task.differences
    order = np.argsort(-np.abs(differences), kind="stable")
    lost, gained = order[differences[order] > 0], order[differences[order] < 0]
    num_lost = max(at_most // 2, at_most - gained.size)
    chosen = [*lost[:num_lost].tolist(), *gained.tolist()][:at_most]
    wanted = {task.ids[position] for position in chosen}
    rows = {side: _rows(task.name, wanted, items[side]) for side in Side}
    return tuple(
        _flipped(
            metric, task.ids[position], float(differences[position]), {s: rows[s][task.ids[position]] for s in Side}
        )
        for position in chosen
    )


def _rows(task: str, wanted: set[str], items: Iterable[ScoredItem]) -> Mapping[str, list[ScoredItem]]:
    """The scores of some items by id."""
    rows: dict[str, list[ScoredItem]] = defaultdict(list)
    for item in items:
        if item.task == task and item.id in wanted:
            rows[item.id].append(item)
    return rows


def _flipped(metric: str, id_: str, degradation: float, rows: Mapping[Side, Sequence[ScoredItem]]) -> FlippedItem:
    first = {side: rows[side][0] for side in Side}
    scores = {side: [row.score for row in rows[side] if row.score is not None] for side in Side}
    outputs = {side: _shortened(first[side].output or first[side].error) for side in Side}
    return FlippedItem(
        metric=metric,
        id=id_,
        group=first[Side.BASELINE].cluster,
        degradation=degradation,
        baseline=_mean(scores[Side.BASELINE]),
        candidate=_mean(scores[Side.CANDIDATE]),
        input=_shortened(first[Side.BASELINE].input),
        baseline_output=outputs[Side.BASELINE],
        candidate_output=outputs[Side.CANDIDATE],
    )


def _mean(scores: Sequence[float]) -> float | None:
    return math.fsum(scores) / len(scores) if scores else None


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def item_groups(task: PairedTask, metric: str, items: Iterable[ScoredItem]) -> tuple[ItemGroup, ...]:
    """Groups of items in which something changed, the one that lost most first; empty if no group is recorded.

    Args:
        task: The items of both sides.
        metric: Name of the metric of the task.
        items: Scores of the baseline, which name the groups.
    """
    labels = {item.id: item.cluster for item in items if item.task == task.name and item.cluster}
    members: dict[str, list[float]] = defaultdict(list)
    for id_, difference in zip(task.ids, task.differences.tolist(), strict=True):
        if id_ in labels:
            members[labels[id_]].append(difference)
    changed = {name: values for name, values in members.items() if any(values)}
    ranked = sorted(changed, key=lambda name: (-abs(math.fsum(changed[name])), name))[:MAX_GROUPS]
    groups = [
        ItemGroup(
            metric=metric,
            name=name,
            num_items=len(changed[name]),
            num_worse=sum(value > 0 for value in changed[name]),
            num_better=sum(value < 0 for value in changed[name]),
            degradation=math.fsum(changed[name]) / len(changed[name]),
        )
        for name in ranked
    ]
    return tuple(sorted(groups, key=lambda group: (-group.degradation * group.num_items, group.name)))


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
