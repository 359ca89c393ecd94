"""Evidence from scored items about one metric: p-values for the family of the gate, an interval, and its limits.

The items take the place of pairs: both revisions are scored on the same items, and only the choice of
items is random. Right-or-wrong scores are judged by their flips (:mod:`mainstay.stats.flips`), all others by their mean
difference (:mod:`mainstay.stats.scores`). A *difference* is positive if the candidate is worse.

- :func:`weigh_items`: the evidence for one task.
- :func:`weigh_macro`: the evidence for the mean of several tasks.
- :func:`honest_margin`, :func:`honest_mean_margin`: the smallest margin that the items support.
- :func:`are_supported`: whether the items of each of several tasks support its margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.policy import Design
from mainstay.records.findings import Interval
from mainstay.stats.flips import flip_p_values, null_deviation
from mainstay.stats.items import HONEST_POWER, NullTest, items_to_settle, smallest_margin
from mainstay.stats.paired import OneSidedPValues
from mainstay.stats.scores import (
    FEWEST_CLUSTERS,
    FEWEST_UNBOUNDED,
    DifferenceSummary,
    can_pass,
    excludes_whole_clusters,
    macro_p_values,
    mean_variance,
    score_p_values,
    summarise_differences,
)

INTERVAL_STEPS = 14
"""Steps of the bisection that searches for a bound of an interval, starting from a few standard errors."""

PASS_NEEDS = "no pass: with {items} items a degradation of the margin may well not have been seen"
FEW_CLUSTERS = f"no pass: fewer than {FEWEST_CLUSTERS} clusters"
FEW_UNBOUNDED = f"no pass: fewer than {FEWEST_UNBOUNDED} items, and no range is declared for their scores"
WHOLE_CLUSTERS = "a degradation carried by whole clusters is not excluded"
APPROXIMATE = "scores without a declared range: the stated error rate holds only approximately"

Test = Callable[[float], OneSidedPValues]
"""Function that gives the p-values of a difference against a null value."""


@dataclass(frozen=True, kw_only=True)
class ScoredDifferences:
    """The items of one metric, prepared for judgement.

    Attributes:
        differences: (items,) how much worse the candidate is, with missing scores counted as the worst.
        guarded: (items,) the differences with the baseline's missing scores counted as the best; a pass must hold with
            these, too.
        clusters: (items,) label of the cluster of each item; ``None`` if items are independent.
        score_range: The largest difference that an item can have; infinite if unknown.
        is_binary: Whether every item is scored once, as right or wrong, and items are independent.
    """

    differences: NDArray[np.float64]
    guarded: NDArray[np.float64]
    clusters: NDArray[np.intp] | None
    score_range: float
    is_binary: bool

    @property
    def num_worse(self) -> int:
        """Items at which the candidate is worse."""
        return int((self.differences > 0).sum())

    @property
    def num_better(self) -> int:
        """Items at which it is better."""
        return int((self.differences < 0).sum())

    @cached_property
    def summary(self) -> DifferenceSummary:
        """P-values of the differences."""
        return self._summary(self.differences)

    @cached_property
    def guarded_summary(self) -> DifferenceSummary:
        """P-values of the differences if each missing score of the baseline were the best possible."""
        return self.summary if self.guarded is self.differences else self._summary(self.guarded)

    def _summary(self, differences: NDArray[np.float64]) -> DifferenceSummary:
        return summarise_differences(differences, score_range=self.score_range, clusters=self.clusters)


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemEvidence:
    """Weigh the items of one metric.

    Attributes:
        num_items: Number of items.
        num_worse: Items at which the candidate is worse.
        num_better: Items at which the candidate is better.
        num_clusters: Number of clusters; the number of items if there are no clusters.
        mean: Mean difference.
        interval: Interval of the mean difference, each bound at ``margin_level``. It lies below or above the margin
            exactly if the test at the margin rejects on that side.
        p_values: P-values for the family, in the order of :data:`mainstay.gates.findings.HYPOTHESES`.
        gains: P-values of no gain, and of a gain of at most the margin.
        deviations: Standard deviation of an item's difference: as observed, with a degradation of the margin, and with
            one of twice the margin.
        design_effect: Factor by which clusters enlarge the variance of the mean, unless the deviations include it.
        notes: Limits of the claim, one sentence each.
    """

    num_items: int
    num_worse: int
    num_better: int
    num_clusters: int
    mean: float
    interval: Interval
    p_values: tuple[float, float, float, float]
    gains: tuple[float, float]
    deviations: tuple[float, float, float]
    design_effect: float
    notes: tuple[str, ...] = ()

    def further_items(self, margin: float, design: Design) -> int | None:
        """The number of further items expected to be needed for the verdict that the mean points to.

        Args:
            margin: The degradation that is tolerated.
            design: Levels and number of metrics.

        Returns:
            The number of items; ``None`` if no number of items is expected to suffice.
        """
        seen, at_margin, at_double = self.deviations
        tests = [NullTest(margin, design.margin_level, at_margin), NullTest(2 * margin, design.alpha, at_double)]
        if self.mean > margin:
            tests = [NullTest(margin, design.margin_level, seen), NullTest(0.0, design.alpha / design.num_gated, seen)]
        total = items_to_settle(self.mean, tests)
        return None if total is None else max(1, math.ceil(total * self.design_effect) - self.num_items)


class _Tests(NamedTuple):
    """Tests of the differences, and of the guarded differences."""

    plain: Test
    guarded: Test


def weigh_items(items: ScoredDifferences, *, margin: float, level: float) -> ItemEvidence:
    """Weigh the items of one metric.

    Args:
        items: Scored items.
        margin: The degradation that is tolerated, in units of the score.
        level: Level of each bound of the interval.

    Example:
        >>> differences = np.array([0.0] * 1290 + [1.0] * 18 + [-1.0] * 11)
        >>> items = ScoredDifferences(
        ...     differences=differences, guarded=differences, clusters=None, score_range=1.0, is_binary=True
        ... )
        >>> evidence = weigh_items(items, margin=0.02, level=0.05)
        >>> evidence.num_worse, evidence.num_better, evidence.p_values[2] < 0.05
        (18, 11, True)
    """
    summary = items.summary
    tests = _flip_tests(items) if items.is_binary else _mean_tests([items])
    if items.is_binary:
        shares = items.num_worse / summary.num_items, items.num_better / summary.num_items
        deviations = [math.sqrt(summary.variance), *(null_deviation(*shares, c) for c in (margin, 2 * margin))]
    else:
        deviations = list(map(_deviation_under([items]), (0.0, margin, 2 * margin)))
    return _weigh(tests, [items], margin=margin, level=level, deviations=deviations)


def weigh_macro(tasks: Sequence[ScoredDifferences], *, margin: float, level: float) -> ItemEvidence:
    """Weigh the average of the mean differences of several tasks with equal weight; the widest of their ranges counts.

    Args:
        tasks: Scored tasks.
        margin: The degradation of the mean that is tolerated.
        level: Level of each bound of the interval.
    """
    deviations = list(map(_deviation_under(tasks), (0.0, margin, 2 * margin)))
    return _weigh(_mean_tests(tasks), tasks, margin=margin, level=level, deviations=deviations)


def honest_margin(
    items: ScoredDifferences, design: Design, *, power: float = HONEST_POWER, share: float = 1.0
) -> float | None:
    """The smallest margin at which a clean change passes.

    A clean change is assumed to have twice as many flips as the rarer kind, since a degradation adds flips of only one
    kind.

    Args:
        items: Scored items.
        design: Levels of the tests.
        power: Probability of a pass.
        share: Share of the planned items that these are; the margin is that of all of them, if the others are like these.

    Returns:
        The margin; ``None`` if the items support no margin.
    """
    summary = items.summary
    deviation, under_null = math.sqrt(summary.variance), _deviation_under([items])
    if items.is_binary:
        flips = (min(items.num_worse, items.num_better) + 0.5 * share) / summary.num_items
        deviation, under_null = math.sqrt(2 * flips), lambda null: null_deviation(flips, flips, null)
    return smallest_margin(
        summary.num_items / share / summary.design_effect,
        deviation,
        under_null,
        margin_level=design.margin_level,
        alpha=design.alpha,
        power=power,
        score_range=items.score_range,
    )


def honest_mean_margin(tasks: Sequence[ScoredDifferences], design: Design) -> float | None:
    """The smallest margin at which the mean of several tasks passes if nothing degraded.

    Args:
        tasks: Scored tasks.
        design: Levels of the tests.

    Returns:
        The margin; ``None`` if the items support no margin.
    """
    deviation = _deviation_under(tasks)
    return smallest_margin(
        sum(task.differences.size for task in tasks),
        deviation(0.0),
        deviation,
        margin_level=design.margin_level,
        alpha=design.alpha,
        score_range=max(task.score_range for task in tasks),
    )


def are_supported(
    honest_margins: Sequence[float | None], margins: Sequence[float], num_items: Sequence[int]
) -> list[bool]:
    """Whether the items of each of several tasks support its margin.

    In a small task, few items may flip by chance. By its own flips alone, it would then be held to a margin that it does
    not support, so it must also support the margin at the median noise of all tasks.

    Args:
        honest_margins: The smallest margin that the items of each task support; ``None`` if there is none.
        margins: The margin of each.
        num_items: The number of items of each.

    Example:
        >>> are_supported([0.02, 0.06, 0.06], [0.05, 0.05, 0.05], [300, 300, 300])
        [False, False, False]
    """
    roots = np.sqrt(num_items)
    scaled = roots * [math.inf if each is None else each for each in honest_margins]
    return [bool(each) for each in np.maximum(scaled, np.median(scaled)) <= roots * margins]


def _deviation_under(tasks: Sequence[ScoredDifferences]) -> Callable[[float], float]:
    """Standard deviation of an item under a null value, from the variance of the mean of one or of several tasks."""
    summaries = [task.summary for task in tasks]
    scale = sum(summary.num_items for summary in summaries) / _design_effect(tasks)
    return lambda null: math.sqrt(sum(mean_variance(each, null) for each in summaries) * scale) / len(tasks)


def _design_effect(tasks: Sequence[ScoredDifferences]) -> float:
    """Factor by which clusters enlarge the variance of the mean; 1 for several tasks, whose deviation includes it."""
    return tasks[0].summary.design_effect if len(tasks) == 1 else 1.0


def _weigh(
    tests: _Tests, tasks: Sequence[ScoredDifferences], *, margin: float, level: float, deviations: Sequence[float]
) -> ItemEvidence:
    """Evidence from tests of the items of one task, or of the mean of several."""
    summaries, score_range = [task.summary for task in tasks], max(task.score_range for task in tasks)
    num_items = sum(summary.num_items for summary in summaries)
    mean = sum(summary.mean for summary in summaries) / len(summaries)
    error = deviations[0] / math.sqrt(num_items)
    is_refused = not can_pass(summaries, margin, score_range=score_range)
    at_margin, at_double = (
        1.0 if is_refused else max(float(test(c).below) for test in dict.fromkeys(tests)) for c in (margin, 2 * margin)
    )
    above_margin = float(tests.plain(margin).above)
    interval = Interval(
        _end(tests.plain, "above", mean=mean, error=-error, level=level, score_range=score_range),
        _end(tests.guarded, "below", mean=mean, error=error, level=level, score_range=score_range),
    )
    return ItemEvidence(
        num_items=num_items,
        num_worse=sum(task.num_worse for task in tasks),
        num_better=sum(task.num_better for task in tasks),
        num_clusters=sum(summary.num_clusters for summary in summaries),
        mean=mean,
        interval=_agreeing(interval, margin, is_above=above_margin <= level, is_below=at_margin <= level),
        p_values=(float(tests.plain(0.0).above), above_margin, at_margin, at_double),
        gains=(float(tests.plain(0.0).below), float(tests.plain(-margin).below)),
        deviations=(deviations[0], deviations[1], deviations[2]),
        design_effect=_design_effect(tasks),
        notes=tuple(_limits(summaries, margin, score_range)),
    )


def _signed(degradation: Test, gain: Test) -> Test:
    """A test against null values of either sign.

    Args:
        degradation: Test against null values of 0 or more.
        gain: The same test with the sides swapped.
    """

    def test(null: float) -> OneSidedPValues:
        if null >= 0:
            return degradation(null)
        swapped = gain(-null)
        return OneSidedPValues(above=swapped.below, below=swapped.above)

    return test


def _flip_tests(items: ScoredDifferences) -> _Tests:
    """Tests of flips; swapping the sides swaps losses and gains."""

    def test(differences: NDArray[np.float64]) -> Test:
        lost, gained = int((differences > 0).sum()), int((differences < 0).sum())
        return _signed(
            lambda null: flip_p_values(lost, gained, differences.size, null),
            lambda null: flip_p_values(gained, lost, differences.size, null),
        )

    plain = test(items.differences)
    return _Tests(plain, plain if items.guarded is items.differences else test(items.guarded))


def _mean_tests(tasks: Sequence[ScoredDifferences]) -> _Tests:
    """Tests of one mean difference, or of the mean of several."""
    score_range = max(task.score_range for task in tasks)

    def test(summaries: Sequence[DifferenceSummary]) -> Test:
        if len(summaries) == 1:
            return lambda null: score_p_values(summaries[0], null, score_range=score_range)
        return lambda null: macro_p_values(summaries, null, score_range=score_range)

    def swapped(pick: Callable[[ScoredDifferences], NDArray[np.float64]]) -> list[DifferenceSummary]:
        return [summarise_differences(-pick(task), score_range=score_range, clusters=task.clusters) for task in tasks]

    plain = _signed(test([task.summary for task in tasks]), test(swapped(lambda task: task.differences)))
    if all(task.guarded is task.differences for task in tasks):
        return _Tests(plain, plain)
    guarded = _signed(test([task.guarded_summary for task in tasks]), test(swapped(lambda task: task.guarded)))
    return _Tests(plain, guarded)


def _limits(summaries: Sequence[DifferenceSummary], margin: float, score_range: float) -> Iterator[str]:
    """Limits of the claim."""
    if sum(summary.num_clusters for summary in summaries) < FEWEST_CLUSTERS:
        yield FEW_CLUSTERS
    elif not can_pass(summaries, margin, score_range=score_range):
        num_items = sum(summary.num_items for summary in summaries)
        yield FEW_UNBOUNDED if math.isinf(score_range) else PASS_NEEDS.format(items=num_items)
    if not excludes_whole_clusters(summaries, margin, score_range=score_range):
        yield WHOLE_CLUSTERS
    if math.isinf(score_range):
        yield APPROXIMATE


def _end(test: Test, side: str, *, mean: float, error: float, level: float, score_range: float) -> float:
    """One bound of an interval: the difference nearest to the mean that a test excludes; the range if there is none.

    Args:
        test: The test.
        side: Side of the p-value: ``below`` for the upper bound, ``above`` for the lower one.
        mean: Mean difference, which lies inside the interval.
        error: Standard error of the mean, negative for the lower bound.
        level: Level of the bound.
        score_range: The largest possible difference.
    """
    farthest = math.copysign(score_range * (1 - 1e-9), error)

    def is_excluded(null: float) -> bool:
        return float(getattr(test(null), side)) <= level

    step = 2 * error if error else math.copysign(min(score_range, 1.0) / 64, error)
    inside, outside = mean, mean + step
    while abs(outside) < abs(farthest) and not is_excluded(outside):
        inside, step = outside, 2 * step
        outside = mean + step
        if not math.isfinite(outside):
            return outside
    if abs(outside) >= abs(farthest):
        outside = farthest
        if not is_excluded(outside):
            return outside
    for _ in range(INTERVAL_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_excluded(middle) else (middle, outside)
    return outside


def _agreeing(interval: Interval, margin: float, *, is_above: bool, is_below: bool) -> Interval:
    """Adjust an interval found in steps so that its ends agree with the tests at the margin."""
    low = max(interval.low, math.nextafter(margin, math.inf)) if is_above else min(interval.low, margin)
    high = min(interval.high, math.nextafter(margin, -math.inf)) if is_below else max(interval.high, margin)
    return Interval(low, high)
