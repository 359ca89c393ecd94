"""The trials of an evaluation: scores of the same items by both revisions, look by look.

A pair is one look: both revisions score the items that it adds. Repeats of an item are averaged, missing scores count
as the worst, and items are never left out.

- :class:`EvaluationLog`: collects the trials, and gives the evidence about each metric.
- :func:`make_logs`: makes an empty log for each workload of a gate, of the kind that its execution needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mainstay.evaluation.items import ItemsError, PairedTask, ScoredItem, Scores, pair_scores
from mainstay.gates.policy import Design
from mainstay.gates.tasks import Evaluation, TaskSamples, WeighedEvaluation, settled_evaluation, weigh_evaluation
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.items import (
    FEWEST_SHOWN,
    MAX_FLIPPED,
    flipped_items,
    item_groups,
    paired_samples,
    preset_samples,
    unscored_samples,
)
from mainstay.measuring.ledger import MarginSource, WorkloadLog
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import FRACTION, Metric, Scoring, Tier
from mainstay.records.runs import FlippedItem, ItemGroup, WorkloadResult
from mainstay.records.scales import PLAIN_NUMBER
from mainstay.records.trials import ALL_ITEMS, Examples, Side
from mainstay.stats.scores import block_weights

MOST_REPEATED = 200
"""Number of items on which the baseline is repeated, to see how many flip by themselves."""

MOST_UNEVEN = 2
"""Largest assumed factor between the items of a task and those that its share scored so far suggests: clusters differ in
size, and items may be chosen without regard to their task."""

NOT_SCORED = "not scored: the time budget ran out before its trials"
"""Reason of a finding without any item."""


class _Repeat(NamedTuple):
    """The items of a task that the baseline scored twice.

    Attributes:
        num_flipped: Number of items with another score the second time.
        num_items: Number of items.
        is_equal: Whether all outputs are known and equal.
    """

    num_flipped: int
    num_items: int
    is_equal: bool


@dataclass(kw_only=True, slots=True)
class EvaluationLog(WorkloadLog):
    """The trials of an evaluation, one pair for each look."""

    _known: tuple[object, tuple[WeighedEvaluation, ...]] | None = field(default=None, repr=False)

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the items at which the gate looks; only one look if the workload does not choose its items."""
        first = self.trials.get((0, Side.BASELINE, 0)) or self.trials.get((0, Side.CANDIDATE, 0))
        if first is not None and not any(each.chosen_of for each in first.examples.values()):
            return (1.0,)
        return self.workload.looks or (1.0,)

    def block(self, pair: int, repetition: int) -> tuple[float, float]:
        """Start and end of a trial's items, as shares of all; a repetition scores some of those of the first look."""
        shares = self.shares
        if not repetition:
            return (0.0, *shares)[pair], shares[pair]
        first = self.trials[0, Side.BASELINE, 0].examples.values()
        num_items = max((each.chosen_of for each in first), default=0)
        return (0.0, min(shares[0], MOST_REPEATED / num_items)) if num_items else ALL_ITEMS

    def _settle_faults(self, looks: Sequence[int]) -> None:
        """Fix nothing: items that cannot be judged are told with the evidence of their look."""

    def weighed(
        self, design: Design, *, tier_margin_of: MarginSource | None = None, at_once: bool = False
    ) -> tuple[WeighedEvaluation, ...]:
        """The evidence about the metrics of each score.

        Args:
            design: Levels and number of metrics of the gate.
            tier_margin_of: Gives the margin that the items of a task must support to block; that of the metric if ``None``.
            at_once: Whether the items of all looks are judged at a single one, as a calibration does.
        """
        num_looks = self._num_sound
        margins = {each.id: tier_margin_of(each, self.context) for each in self.workload.metrics if tier_margin_of}
        key = (
            num_looks,
            margins,
            (0, Side.BASELINE, 1) in self.trials,
            self.workload.metrics,
            dict(self.presets),
            design,
            at_once,
        )
        if self._known is None or self._known[0] != key:
            weighed = (
                tuple(
                    weigh_evaluation(self._evaluation(score, num_looks, margins, at_once=at_once), design)
                    for score in self.gated
                )
                if num_looks
                else (settled_evaluation(list(map(self._without_items, self.workload.metrics))),)
            )
            self._known = (key, weighed)
        return self._known[1]

    def result(self) -> WorkloadResult:
        """Result of the workload with its flipped items, without its findings."""
        num_looks = self._num_sound
        flipped: list[FlippedItem] = []
        groups: list[ItemGroup] = []
        num_items = 0
        share = max(FEWEST_SHOWN, MAX_FLIPPED // max(len(self.workload.metrics), 1))
        for score in self.gated if num_looks else ():
            names = {scoring.task: metric.name for metric, scoring in self._scored_metrics() if scoring.score == score}
            paired, _, _ = self.paired(score, num_looks)
            items = self._scored(score, num_looks)
            for task, pairs in paired.items():
                num_items += len(pairs.ids)
                flipped += flipped_items(pairs, names.get(task, ""), items, at_most=share)
                groups += item_groups(pairs, names.get(task, ""), items[Side.BASELINE])
        return replace(
            WorkloadLog.result(self), num_pairs=num_items, flipped_items=tuple(flipped), groups=tuple(groups)
        )

    @property
    def _num_sound(self) -> int:
        """Number of looks before the first that cannot be judged."""
        looks = range(min(self.num_pairs, len(self.shares)))
        return next((look for look in looks if not self._is_complete(look) or self._difference(look)), len(looks))

    def _scored_metrics(self) -> Iterator[tuple[Metric, Scoring]]:
        """The metrics with what is known of their scores."""
        for metric in self.workload.metrics:
            assert metric.scoring is not None, f"{metric.id} is no metric of an evaluation"
            yield metric, metric.scoring

    def _evaluation(
        self, score: str, num_looks: int, tier_margins: Mapping[str, float], *, at_once: bool
    ) -> Evaluation:
        """The scores under one name at every look."""
        metrics = {metric: scoring for metric, scoring in self._scored_metrics() if scoring.score == score}
        mean = next((metric for metric, scoring in metrics.items() if scoring.tasks), None)
        of_tasks = [metric for metric in metrics if metric is not mean]
        weights = block_weights(self.shares).tolist()
        first = num_looks - 1 if at_once else 0
        looks = []
        for look in range(first, num_looks):
            samples = self._samples_at(score, look + 1, of_tasks, mean)
            if look < len(weights) - 1:  # all outputs must be equal, not only the first
                samples = tuple(replace(each, is_identical=False) for each in samples)
            share = self.shares[look]
            looks.append(
                tuple(replace(each, share=share, tier_margin=tier_margins.get(each.metric.id)) for each in samples)
            )
        declared = mean.scoring.tasks if mean and mean.scoring else ()
        present = {metric.scoring.task for metric in of_tasks if metric.scoring}
        return Evaluation(
            looks=tuple(looks),
            weights=(1.0,) if at_once else tuple(weights[:num_looks]),
            mean=mean,
            mean_tier=_declared_tier(mean) or Tier.BLOCKING,
            lacking=tuple(f"{score}/{task}" for task in declared if task not in present),
        )

    def _without_items(self, metric: Metric) -> Finding:
        """The finding of a metric of which no item was scored by both sides."""
        tier = _declared_tier(metric) or Tier.BLOCKING
        known = self.presets.get(metric.id)
        return known or Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=NOT_SCORED, tier=tier)

    def _samples_at(
        self, score: str, num_looks: int, metrics: Sequence[Metric], mean: Metric | None
    ) -> tuple[TaskSamples, ...]:
        """Samples of each task over the items of the first looks."""
        paired, refused, sides = self.paired(score, num_looks)
        repeats = self._repeats(score) if (0, Side.BASELINE, 1) in self.trials else {}
        undeclared = _undeclared(sides, {metric.scoring.task for metric in metrics if metric.scoring}, mean)
        num_unscored = self._num_unscored(score, num_looks)
        samples = []
        for metric in metrics:
            task = metric.scoring.task if metric.scoring else ""
            trouble = undeclared or refused.get(task)
            if trouble is not None:
                samples.append(
                    preset_samples(metric, refused=trouble, tier=_declared_tier(metric), may_change=num_unscored > 0)
                )
            elif task in paired:
                num_left = _num_left(paired[task], self.shares[num_looks - 1], num_unscored)
                samples.append(_with_repeat(paired[task], metric, repeats.get(task), num_left=num_left))
            elif any(task in tasks for tasks in sides.values()):
                lacking = next(side for side, tasks in sides.items() if task not in tasks)
                samples.append(preset_samples(metric, lacking=lacking, tier=_declared_tier(metric)))
            elif num_unscored:
                samples.append(unscored_samples(metric, tier=_declared_tier(metric)))
            else:
                nothing = ItemsError("neither revision recorded a score of it")
                samples.append(preset_samples(metric, refused=nothing, tier=_declared_tier(metric)))
        return tuple(samples)

    def paired(
        self, score: str, num_looks: int
    ) -> tuple[Mapping[str, PairedTask], Mapping[str, ItemsError], Mapping[Side, set[str]]]:
        """The items of the first looks, side by side.

        Args:
            score: Name of the score.
            num_looks: Number of looks.

        Returns:
            The tasks that both sides have scored alike, why others are refused, and all tasks of each side.
        """
        scorings = {
            scoring.task: (metric, scoring) for metric, scoring in self._scored_metrics() if scoring.score == score
        }
        items = self._scored(score, num_looks)
        tasks = {side: {item.task for item in each} for side, each in items.items()}
        directions = {task: metric.direction for task, (metric, _) in scorings.items()}
        refused: dict[str, ItemsError] = {}
        try:
            found = pair_scores(
                *(Scores(format="trial", items=tuple(items[side]), directions=directions) for side in Side),
                ranges={task: ends for task, (metric, each) in scorings.items() if (ends := _ends(metric, each))},
                unbounded=[task for task, (metric, _) in scorings.items() if metric.unit not in {"", FRACTION}],
                on_refused=lambda error: refused.update({error.task: error}),
            )
        except ItemsError as error:
            return {}, dict.fromkeys(scorings, error), tasks
        is_open = all(error.so_far for error in refused.values())
        if is_open and (choice := self._different_choice(score, num_looks)):
            return {}, dict.fromkeys(scorings, choice), tasks
        return {task.name: task for task in found}, refused, tasks

    def _num_unscored(self, score: str, num_looks: int) -> int:
        """Number of items, of all tasks, that the baseline has not scored after some looks."""
        if num_looks == len(self.shares):
            return 0
        at_looks = [self.trials[look, Side.BASELINE, 0].examples.get(score) for look in range(num_looks)]
        is_one = self._is_one(score)
        scored = {(item.task, item.id) for examples in at_looks for item in _items(examples, is_one=is_one)}
        return max(0, at_looks[0].chosen_of - len(scored)) if at_looks[0] else 0

    def _different_choice(self, score: str, num_looks: int) -> ItemsError | None:
        """Why items that neither side has scored yet cannot be the same; ``None`` if they can."""
        for look in range(num_looks):
            baseline, candidate = (self.trials[look, side, 0].examples[score] for side in Side)
            if baseline.chosen_of != candidate.chosen_of:
                side = Side.CANDIDATE if candidate.chosen_of < baseline.chosen_of else Side.BASELINE
                old, new = baseline.chosen_of, candidate.chosen_of
                fact = f"the baseline chooses from {old:,} items, the candidate from {new:,}"
                return ItemsError(f"{fact}: both sides must score the same items", side=side)
            if baseline.offered != candidate.offered:
                return ItemsError("the revisions choose from items with different ids, clusters or tasks")
        return None

    def _is_one(self, score: str) -> bool:
        """Whether the marker of a score declares no tasks, so that all its items are those of one."""
        return not any(scoring.tasks for _, scoring in self._scored_metrics() if scoring.score == score)

    def _scored(self, score: str, num_looks: int) -> Mapping[Side, list[ScoredItem]]:
        """The scores of both sides at the first looks."""
        is_one = self._is_one(score)
        return {
            side: [
                item
                for look in range(num_looks)
                for item in _items(self.trials[look, side, 0].examples.get(score), is_one=is_one)
            ]
            for side in Side
        }

    def _repeats(self, score: str) -> Mapping[str, _Repeat]:
        """What the baseline gave when it was repeated, by task."""
        is_one = self._is_one(score)
        first, second = (
            {
                (item.task, item.id, item.repeat): item
                for item in _items(self.trials[0, Side.BASELINE, repetition].examples.get(score), is_one=is_one)
            }
            for repetition in (0, 1)
        )
        common: dict[str, dict[str, list[tuple[ScoredItem, ScoredItem]]]] = {}
        for key in first.keys() & second.keys():
            task, id_, _ = key
            common.setdefault(task, {}).setdefault(id_, []).append((first[key], second[key]))
        return {
            task: _Repeat(
                num_flipped=sum(
                    _mean(old for old, _ in rows) != _mean(new for _, new in rows) for rows in items.values()
                ),
                num_items=len(items),
                is_equal=all(
                    bool(old.digest) and old.digest == new.digest for rows in items.values() for old, new in rows
                ),
            )
            for task, items in common.items()
        }


def make_logs(assignments: Sequence[Assignment], seeds: Mapping[str, tuple[int, ...]]) -> list[WorkloadLog]:
    """Make an empty log for each workload.

    Args:
        assignments: Workloads to be measured, and how.
        seeds: Seeds of each workload, one for each pair.
    """
    return [
        (EvaluationLog if assignment.workload.execution.has_items else WorkloadLog)(
            workload=assignment.workload,
            seeds=seeds[assignment.workload.id],
            assignment=assignment,
            measured_with=assignment.measured_with,
        )
        for assignment in assignments
    ]


def _items(examples: Examples | None, *, is_one: bool) -> Iterator[ScoredItem]:
    """Recorded rows as items, with texts in the order of their fields, all of one task if the marker declares none."""
    if examples is None:
        return
    count = len(examples.ids)
    given = (examples.clusters, examples.errors, examples.digests, examples.prompts, examples.inputs, examples.outputs)
    columns = (
        examples.tasks or ("",) * count,
        examples.ids,
        examples.scores,
        examples.repeats or (0,) * count,
        *(column or ("",) * count for column in given),
    )
    for task, id_, score, repeat, cluster, *texts in zip(*columns, strict=True):
        is_named = is_one and bool(task)
        yield ScoredItem(
            "" if is_one else task,
            f"{task}/{id_}" if is_named else id_,
            score,
            repeat,
            f"{task}/{cluster}" if is_named and cluster else cluster,
            *texts,
        )


def _num_left(task: PairedTask, share: float, num_unscored: int) -> int:
    """Largest number of scores of a task that a side may still record after a share of the items was scored."""
    num_items = len(task.ids)
    return math.ceil(max(0, min(num_unscored, MOST_UNEVEN * num_items / share - num_items)) * task.repeats)


def _mean(items: Iterable[ScoredItem]) -> tuple[float, int]:
    """Sum of the known scores of an item's repeats, and how many are missing."""
    scores = [item.score for item in items]
    return sum(score for score in scores if score is not None), scores.count(None)


def _declared_tier(metric: Metric | None) -> Tier | None:
    return metric.scoring.tier if metric and metric.scoring else None


def _ends(metric: Metric, scoring: Scoring) -> tuple[float, float] | None:
    """Declared range of the scores, or 0 to 1 if the unit is that of shares."""
    return scoring.score_range or ((0.0, 1.0) if metric.unit == FRACTION else None)


def _undeclared(sides: Mapping[Side, set[str]], declared: set[str], mean: Metric | None) -> ItemsError | None:
    """Refuse tasks that the marker does not name, since the number of metrics was fixed beforehand."""
    known = declared | {*(mean.scoring.tasks if mean and mean.scoring else ())}
    strangers = {side: tasks - known for side, tasks in sides.items() if tasks - known}
    if not strangers:
        return None
    side, names = next(iter(strangers.items()))
    fact = f"a score of the task {min(names)!r} was recorded, which the marker does not name"
    if not min(names):
        fact = "a score without a task was recorded, and the marker names tasks"
    return ItemsError(fact, side=side if len(strangers) == 1 else None)


def _with_repeat(task: PairedTask, metric: Metric, repeat: _Repeat | None, *, num_left: int) -> TaskSamples:
    """Samples of a task, with what the baseline gave when it was repeated."""
    if not metric.unit:
        metric = replace(metric, unit=FRACTION if task.score_range == (0.0, 1.0) else PLAIN_NUMBER)
    samples = paired_samples(task, metric, tier=_declared_tier(metric), num_left=num_left)
    if repeat is None:
        return replace(samples, is_identical=False)
    return replace(
        samples,
        is_identical=samples.is_identical and repeat.is_equal,
        baseline_flips=repeat.num_flipped,
        baseline_repeated=repeat.num_items,
    )
