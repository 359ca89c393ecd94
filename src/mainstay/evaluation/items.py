"""Scored items of one side, and the items of both sides side by side.

- :class:`ScoredItem`, :class:`Scores`: the results of one side's evaluation.
- :class:`PairedTask`, :func:`pair_scores`: the same items of both sides, repeats averaged, missing scores counted.
- :func:`is_share`: whether a score lies between 0 and 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.records.formatting import first_few
from mainstay.records.metrics import SHARE_ROUNDING, Direction
from mainstay.records.trials import Side


class ItemsError(ValueError):
    """The items of the two sides cannot be compared; the message says how they differ.

    Args:
        fact: How the items differ.
        task: The task in which they differ; empty if the problem concerns all items of a side.
        side: The side that lacks or repeats something; ``None`` if neither side alone is to blame.
        so_far: How they differ so far, if scores of further items could change that; empty if none could.
    """

    def __init__(self, fact: str, *, task: str = "", side: Side | None = None, so_far: str = "") -> None:
        super().__init__(fact)
        self.task = task
        self.side = side
        self.so_far = so_far


def _refuse(error: ItemsError) -> None:
    raise error


class ScoredItem(NamedTuple):
    """One score of one item.

    Attributes:
        task: Task of the item, with the name of the score if the task has several.
        id: Id of the item, unique in its task.
        score: The score; ``None`` if it is missing because of a time-out, an error or an answer that was not scored.
        repeat: Number of the repeat, from 0, if a model that samples answers more than once.
        cluster: Label that dependent items share, such as a passage; empty if the item is independent.
        error: Why the score is missing.
        digest: Digest of the raw output; empty if unknown.
        prompt: Digest of the prompt; empty if unknown.
        input: What the item asks, for reports; empty if not given.
        output: What the model gave, for reports.
    """

    task: str
    id: str
    score: float | None
    repeat: int = 0
    cluster: str = ""
    error: str = ""
    digest: str = ""
    prompt: str = ""
    input: str = ""
    output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores from the evaluation of one side.

    Attributes:
        format: Name of the format, such as ``lm-eval``.
        items: All scores, in the order of the files.
        files: The files that were read.
        facts: Origin of the results as stated in the files: model, versions, seeds.
        directions: Better direction of scores, by task; higher if a task is not named.
        scorers: What gave the scores of a task, as far as its tool names it: ``exact_match,strict`` for a metric and an
            answer filter of lm-evaluation-harness, or a scorer of Inspect.
    """

    format: str
    items: tuple[ScoredItem, ...]
    files: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)
    scorers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTask:
    """The items of one task, both sides in the same order.

    Attributes:
        name: Name of the task.
        direction: Better direction of scores.
        ids: Ids of the items.
        scores: Mean score of each item over its repeats, by side; missing repeats count as the worst score.
        favoured: The baseline's scores with missing repeats counted as the best score; a pass must hold with these,
            too.
        clusters: Cluster of each item; ``None`` if all items are independent.
        num_missing: Number of missing scores, by side.
        num_scores: Number of scores of each side, including missing ones.
        repeats: Largest number of repeats of an item.
        is_identical: Whether all outputs are known and equal.
        score_range: Smallest and largest possible score; if they are not declared, the smallest and largest observed
            score.
        is_bounded: Whether the range is declared or is that of a share.
        num_outside: Number of scores outside a declared range, which are cut to its bounds.
        causes: Causes of missing scores with their numbers, by side.
    """

    name: str
    direction: Direction
    ids: tuple[str, ...]
    scores: Mapping[Side, NDArray[np.float64]]
    favoured: NDArray[np.float64]
    clusters: NDArray[np.intp] | None
    num_missing: Mapping[Side, int]
    num_scores: Mapping[Side, int]
    repeats: int
    is_identical: bool
    score_range: tuple[float, float]
    is_bounded: bool = True
    num_outside: int = 0
    causes: Mapping[Side, Mapping[str, int]] = field(default_factory=dict)

    @property
    def differences(self) -> NDArray[np.float64]:
        """How much worse the candidate is at each item; positive is worse."""
        sign = 1.0 if self.direction is Direction.HIGHER else -1.0
        return sign * (self.scores[Side.BASELINE] - self.scores[Side.CANDIDATE])

    @property
    def guarded_differences(self) -> NDArray[np.float64]:
        """The differences if each missing score of the baseline were the best possible."""
        sign = 1.0 if self.direction is Direction.HIGHER else -1.0
        return sign * (self.favoured - self.scores[Side.CANDIDATE])

    @property
    def is_binary(self) -> bool:
        """Whether every score is a share of 0 or 1, without repeats or clusters."""
        return (
            self.repeats == 1
            and self.clusters is None
            and self.is_bounded
            and self.score_range == (0.0, 1.0)
            and all(bool(np.isin(values, (0.0, 1.0)).all()) for values in self.scores.values())
        )


def pair_scores(
    baseline: Scores,
    candidate: Scores,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    unbounded: Collection[str] = (),
    prompt_changed: bool = False,
    on_refused: Callable[[ItemsError], None] = _refuse,
) -> tuple[PairedTask, ...]:
    """Put the items of both sides side by side, task by task.

    Items are never intersected silently: a task whose items differ between the sides is refused.

    Args:
        baseline: Scores of the baseline.
        candidate: Scores of the candidate.
        ranges: Declared smallest and largest score, by task. The default is 0 and 1 if all scores of the baseline are
            shares, as :func:`is_share` tells; those of the candidate must then be shares, too. Otherwise it is the
            observed range.
        unbounded: Tasks whose scores are no shares, so that only a declared range bounds them.
        prompt_changed: Whether different prompts for the same items are intended.
        on_refused: Called with each task whose items differ between the sides, which is then left out; without it, the
            error is raised.

    Returns:
        Tasks that both sides have, in the baseline's order.

    Raises:
        ItemsError: If an item occurs twice, if items, repeats, prompts or scorers differ, if a side has no items, or if
            the baseline's scores are shares and one of the candidate's is not.
    """
    sides = {Side.BASELINE: _by_task(baseline, Side.BASELINE), Side.CANDIDATE: _by_task(candidate, Side.CANDIDATE)}
    paired = []
    for name in sides[Side.BASELINE]:
        if name in sides[Side.CANDIDATE]:
            try:
                _require_same_scorer(name, baseline, candidate)
                paired.append(
                    _pair(
                        name,
                        {side: tasks[name] for side, tasks in sides.items()},
                        direction=_direction(name, baseline, candidate),
                        declared=(ranges or {}).get(name),
                        may_be_share=name not in unbounded,
                        prompt_changed=prompt_changed,
                    )
                )
            except ItemsError as error:
                on_refused(error)
    return tuple(paired)


def _require_same_scorer(name: str, baseline: Scores, candidate: Scores) -> None:
    """Refuse a task whose sides were scored by different means; what a side does not name is not compared."""
    before, after = baseline.scorers.get(name), candidate.scorers.get(name)
    if before and after and before != after:
        raise ItemsError(
            f"the scores{_of(name)} are {before!r} in the baseline and {after!r} in the candidate: both sides must be "
            "scored alike",
            task=name,
        )


def _direction(name: str, baseline: Scores, candidate: Scores) -> Direction:
    """The better direction of scores as declared by either side; higher if neither declares it."""
    told = {side.directions[name] for side in (baseline, candidate) if name in side.directions}
    if len(told) > 1:
        raise ItemsError(f"the sides disagree on whether higher scores of {name} are better", task=name)
    return told.pop() if told else Direction.HIGHER


Repeats = dict[str, dict[int, ScoredItem]]
"""Items by id and number of the repeat."""


def _by_task(scores: Scores, side: Side) -> dict[str, Repeats]:
    """Items by task; duplicate items are refused."""
    tasks: dict[str, Repeats] = defaultdict(lambda: defaultdict(dict))
    for item in scores.items:
        repeats = tasks[item.task][item.id]
        if item.repeat in repeats:
            raise ItemsError(
                f"item {item.id!r}{_of(item.task)} comes twice in the {side} (repeat {item.repeat})",
                task=item.task,
                side=side,
            )
        repeats[item.repeat] = item
    if not tasks:
        raise ItemsError(f"the {side} has no scored items", side=side)
    return dict(tasks)


def _pair(
    name: str,
    sides: Mapping[Side, Repeats],
    *,
    direction: Direction,
    declared: tuple[float, float] | None,
    may_be_share: bool,
    prompt_changed: bool,
) -> PairedTask:
    baseline, candidate = sides[Side.BASELINE], sides[Side.CANDIDATE]
    _require_same_items(name, baseline, candidate)
    if not prompt_changed:
        _require_same_prompts(name, baseline, candidate)
    by_item = {side: [list(items[id_].values()) for id_ in baseline] for side, items in sides.items()}
    everything = {side: list(chain.from_iterable(items)) for side, items in by_item.items()}
    told = {side: [item.score for item in items if item.score is not None] for side, items in everything.items()}
    known = list(chain.from_iterable(told.values()))
    # the candidate's scores must not choose the tests by which it is judged
    are_shares = declared is None and may_be_share and all(map(is_share, told[Side.BASELINE] or told[Side.CANDIDATE]))
    if are_shares:
        _require_shares(name, everything[Side.CANDIDATE])
    low, high = declared or ((0.0, 1.0) if are_shares else (min(known, default=0.0), max(known, default=1.0)))
    worst, best = (low, high) if direction is Direction.HIGHER else (high, low)
    missing = {side: [item for item in items if item.score is None] for side, items in everything.items()}
    labels = [next(iter(repeats.values())).cluster for repeats in baseline.values()]
    return PairedTask(
        name=name,
        direction=direction,
        ids=tuple(baseline),
        scores={side: _means(items, worst, low, high) for side, items in by_item.items()},
        favoured=_means(by_item[Side.BASELINE], best, low, high),
        clusters=_clusters(labels),
        num_missing={side: len(items) for side, items in missing.items()},
        num_scores={side: len(items) for side, items in everything.items()},
        repeats=max(map(len, baseline.values())),
        is_identical=_is_identical(baseline, candidate),
        score_range=(low, high),
        is_bounded=declared is not None or are_shares,
        num_outside=sum(not low <= score <= high for score in known) if declared else 0,
        causes={side: Counter(item.error or "not scored" for item in items) for side, items in missing.items()},
    )


def _of(task: str) -> str:
    """The task of an item, for a message; empty if the evaluation has only one."""
    return f" of {task}" if task else ""


def _require_same_items(name: str, baseline: Repeats, candidate: Repeats) -> None:
    lacking = {
        Side.CANDIDATE: [id_ for id_ in baseline if id_ not in candidate],
        Side.BASELINE: [id_ for id_ in candidate if id_ not in baseline],
    }
    for side, ids in lacking.items():
        if ids:
            lacked = first_few(list(map(repr, ids)), at_most=1)
            raise ItemsError(
                f"the {side} lacks item {lacked}{_of(name)}: both sides must score the same items",
                task=name,
                side=side,
            )
    for id_, repeats in baseline.items():
        if repeats.keys() != candidate[id_].keys():
            raise ItemsError(
                f"item {id_!r}{_of(name)} has {len(repeats)} repeats in the baseline and {len(candidate[id_])} in the "
                "candidate: both sides must repeat it alike",
                task=name,
            )


def _require_same_prompts(name: str, baseline: Repeats, candidate: Repeats) -> None:
    for id_, repeats in baseline.items():
        for number, item in repeats.items():
            if item.prompt != candidate[id_][number].prompt:
                raise ItemsError(f"item {id_!r}{_of(name)} has another prompt or input in the candidate", task=name)


def is_share(score: float) -> bool:
    """Whether a score lies between 0 and 1, but for rounding.

    Example:
        >>> is_share(1.0000001), is_share(1.1)
        (True, False)
    """
    return -SHARE_ROUNDING <= score <= 1 + SHARE_ROUNDING


def _require_shares(name: str, candidate: list[ScoredItem]) -> None:
    """Refuse a score of the candidate that cannot be a share, as those of the baseline are."""
    for item in candidate:
        if item.score is not None and not is_share(item.score):
            fact = f"the candidate's score of item {item.id!r}{_of(name)} is {item.score:.8g}"
            advice = "if they are none, declare their range"
            raise ItemsError(
                f"{fact}, and the scores of the baseline are shares between 0 and 1: {advice}",
                task=name,
                side=Side.CANDIDATE,
                so_far=f"{fact}, and those of the baseline so far are shares between 0 and 1 ({advice})",
            )


def _means(items: list[list[ScoredItem]], missing: float, low: float, high: float) -> NDArray[np.float64]:
    """Mean score of each item over its repeats, within the range."""
    counts = np.array([len(repeats) for repeats in items])
    scores = np.array(
        [missing if item.score is None else item.score for repeats in items for item in repeats], dtype=np.float64
    )
    members = np.repeat(np.arange(len(items)), counts)
    return np.asarray(np.bincount(members, weights=np.clip(scores, low, high)) / counts, dtype=np.float64)


def _clusters(labels: list[str]) -> NDArray[np.intp] | None:
    """Numbers of the clusters; an item without a label is a cluster of its own."""
    if not any(labels):
        return None
    named = [label or f"\0{number}" for number, label in enumerate(labels)]
    _, numbers = np.unique(np.array(named, dtype=object), return_inverse=True)
    return np.asarray(numbers, dtype=np.intp) if len(set(named)) < len(named) else None


def _is_identical(baseline: Repeats, candidate: Repeats) -> bool:
    """Whether every output is known and equal on both sides, with equal scores."""
    return all(
        bool(item.digest)
        and item.digest == candidate[id_][number].digest
        and item.score is not None
        and item.score == candidate[id_][number].score
        for id_, repeats in baseline.items()
        for number, item in repeats.items()
    )
