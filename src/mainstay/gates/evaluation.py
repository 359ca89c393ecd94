"""What scored items say of one metric: p-values for the family of the gate, an interval, and what limits them.

The items take the place of the pairs of a training: both revisions score the same ones, and nothing is random but which
items there are. Right-or-wrong scores are judged by their flips (:mod:`mainstay.stats.flips`), all others by their mean
difference (:mod:`mainstay.stats.scores`). A *difference* is positive where the candidate is worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.records.findings import Interval
from mainstay.stats.flips import flip_p_values
from mainstay.stats.paired import OneSidedPValues, student_quantile
from mainstay.stats.scores import (
    FEWEST_CLUSTERS,
    DifferenceSummary,
    can_pass,
    excludes_whole_clusters,
    mean_variance,
    score_p_values,
    summarise_differences,
)

INTERVAL_STEPS = 24
"""Halvings of the search for an end of an interval: to 1e-7 of the range of a score."""

PASS_NEEDS = "no pass: with {items} items a loss of the margin may well not have been seen"
FEW_CLUSTERS = f"no pass: fewer than {FEWEST_CLUSTERS} clusters"
WHOLE_CLUSTERS = "a loss carried by whole clusters is not excluded"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredDifferences:
    """The items of one metric, as they are judged.

    Attributes:
        differences: (items,) how much worse the candidate is, missing scores at their worst.
        guarded: (items,) the same with the baseline's missing scores at their best: a pass must hold with them, too.
        clusters: (items,) what each item belongs to; ``None`` where every item stands for itself.
        score_range: The largest difference that an item can have.
        is_binary: Whether every item is right or wrong, once, and stands for itself.
    """

    differences: NDArray[np.float64]
    guarded: NDArray[np.float64]
    clusters: NDArray[np.intp] | None
    score_range: float
    is_binary: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemEvidence:
    """What the items of one metric say.

    Attributes:
        num_items: Items.
        num_worse: Items at which the candidate is worse.
        num_better: Items at which it is better.
        mean: Mean difference.
        interval: Differences that neither bound excludes, each at the level of the margin.
        above_zero: P-value of "nothing was lost".
        above_margin: P-value of "no more than the margin was lost".
        below_margin: P-value of "at least the margin was lost".
        below_double: P-value of "at least twice the margin was lost".
        notes: What limits the claim, a sentence each.
    """

    num_items: int
    num_worse: int
    num_better: int
    mean: float
    interval: Interval
    above_zero: float
    above_margin: float
    below_margin: float
    below_double: float
    notes: tuple[str, ...] = ()


def weigh_items(items: ScoredDifferences, *, margin: float, level: float) -> ItemEvidence:
    """Weigh the items of one metric.

    Args:
        items: What was scored.
        margin: The loss that is tolerated, in points of score.
        level: Of each end of the interval.

    Example:
        >>> differences = np.array([0.0] * 1290 + [1.0] * 18 + [-1.0] * 11)
        >>> items = ScoredDifferences(
        ...     differences=differences, guarded=differences, clusters=None, score_range=1.0, is_binary=True
        ... )
        >>> evidence = weigh_items(items, margin=0.02, level=0.05)
        >>> evidence.num_worse, evidence.num_better, evidence.below_margin < 0.05
        (18, 11, True)
    """
    tests = _tests(items, items.differences)
    guarded = tests if items.guarded is items.differences else _tests(items, items.guarded)
    summary = summarise_differences(items.differences, score_range=items.score_range, clusters=items.clusters)
    notes = _limits(summary, margin, items.score_range)
    is_refused = not can_pass(summary, margin, score_range=items.score_range)
    below = [
        1.0 if is_refused else max(float(test(c).below) for test in (tests, guarded)) for c in (margin, 2 * margin)
    ]
    return ItemEvidence(
        num_items=summary.num_items,
        num_worse=int((items.differences > 0).sum()),
        num_better=int((items.differences < 0).sum()),
        mean=summary.mean,
        interval=_flip_interval(tests, items, level) if items.is_binary else _mean_interval(summary, level),
        above_zero=float(tests(0.0).above),
        above_margin=float(tests(margin).above),
        below_margin=below[0],
        below_double=below[1],
        notes=notes,
    )


def _tests(items: ScoredDifferences, differences: NDArray[np.float64]) -> Callable[[float], OneSidedPValues]:
    """The test of some differences against a null value."""
    if items.is_binary:
        lost, gained = int((differences > 0).sum()), int((differences < 0).sum())
        return lambda null: flip_p_values(lost, gained, differences.size, null)
    summary = summarise_differences(differences, score_range=items.score_range, clusters=items.clusters)
    return lambda null: score_p_values(summary, null, score_range=items.score_range)


def _limits(summary: DifferenceSummary, margin: float, score_range: float) -> tuple[str, ...]:
    """What limits the claim."""
    notes = []
    if summary.num_clusters < FEWEST_CLUSTERS:
        notes.append(FEW_CLUSTERS)
    elif not can_pass(summary, margin, score_range=score_range):
        notes.append(PASS_NEEDS.format(items=summary.num_items))
    is_clustered = summary.num_clusters < summary.num_items
    if is_clustered and not excludes_whole_clusters(summary, margin, score_range=score_range):
        notes.append(WHOLE_CLUSTERS)
    if math.isinf(score_range):
        notes.append("scores without a declared range: levels are approximate")
    return tuple(notes)


def _mean_interval(summary: DifferenceSummary, level: float) -> Interval:
    reach = float(student_quantile(level, summary.degrees)) * math.sqrt(mean_variance(summary))
    return Interval(summary.mean - reach, summary.mean + reach)


def _flip_interval(tests: Callable[[float], OneSidedPValues], items: ScoredDifferences, level: float) -> Interval:
    """Differences that the tests of the flips do not exclude; below zero they are those of the mirrored flips."""
    mirrored = _tests(items, -items.differences)

    def is_excluded_as_too_large(null: float) -> bool:
        return float(tests(null).below if null >= 0 else mirrored(-null).above) <= level

    def is_excluded_as_too_small(null: float) -> bool:
        return float(tests(null).above if null >= 0 else mirrored(-null).below) <= level

    mean = float(items.differences.mean())
    return Interval(_search(mean, -1.0, is_excluded_as_too_small), _search(mean, 1.0, is_excluded_as_too_large))


def _search(inside: float, outside: float, is_excluded: Callable[[float], bool]) -> float:
    """The end of an interval: halve the span between what is inside and what is excluded."""
    outside *= 1 - 1e-9
    if not is_excluded(outside):
        return outside
    for _ in range(INTERVAL_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_excluded(middle) else (middle, outside)
    return outside
