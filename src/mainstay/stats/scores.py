"""P-values of the mean difference of two systems scored on the same items, with or without clusters.

These tests are for scores that are not merely right or wrong, that are means over repeats, or whose items belong
together, such as questions on one text or pages of one document. A *difference* is the baseline's score of an item
minus the candidate's, positive if the candidate is worse. The unit that varies independently is the cluster; without
clusters, each item is a cluster of its own.

Student's t with a cluster-robust variance is correct if there are many differences. For a pass, two corrections are
needed. First, the degradation that a pass excludes need not have been *observed* yet, so the variance under the null
hypothesis is that of the observed differences together with as many more as the null hypothesis requires. Second, if
almost nothing differs, the p-value is bounded by counting clusters instead of estimating a variance.

References:
    R. M. Bell, D. F. McCaffrey (2002), Bias reduction in standard errors for linear regression with multi-stage
    samples, Survey Methodology 28, 169-181.
    G. W. Imbens, M. Kolesár (2016), Robust standard errors in small samples, Review of Economics and Statistics 98,
    701-712.
    E. Miller (2024), Adding error bars to evals: a statistical approach to language model evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.stats.paired import OneSidedPValues

FEW_EFFECTIVE = 5.0
"""Smallest effective number of differing clusters from which a variance can be estimated."""

FEWEST_CLUSTERS = 30
"""Smallest number of clusters with which a metric can pass: with fewer, the variance between them is too uncertain."""

FEWEST_UNBOUNDED = 1_000
"""Smallest number of items with which unbounded scores can pass, since any item could degrade without limit."""

UNSEEN_LEVEL = 0.05
"""Largest accepted probability of observing no difference if a degradation of the margin consisted of lost items."""

LARGEST_SKEWNESS = 0.25
"""Largest accepted skewness of the mean: with more, the level of Student's t is about twice the nominal one."""


class DifferenceSummary(NamedTuple):
    """Summary of the differences of all items.

    Attributes:
        mean: Mean difference over items.
        variance: Variance of the difference of an item.
        square_mean: Mean of the squared difference of an item.
        typical: Size of a typical difference, of which an unobserved degradation is assumed to consist: ``sum d^2 / sum
            |d|``; the range of the score if nothing differs.
        design_effect: Factor by which clusters enlarge the variance of the mean; 1 without clusters.
        degrees: Degrees of freedom of the cluster-robust variance.
        num_items: Number of items.
        num_clusters: Number of clusters; the number of items if there are no clusters.
        num_worse: Number of clusters whose differences add up to a degradation.
        num_effective: Effective number of clusters that differ, ``(sum D^2)^2 / sum D^4``.
        largest_cluster: Number of items in the largest cluster.
        typical_cluster: Size of the clusters that carry most of the variance: ``sum n^3 / sum n^2``.
    """

    mean: float
    variance: float
    square_mean: float
    typical: float
    design_effect: float
    degrees: float
    num_items: int
    num_clusters: int
    num_worse: int
    num_effective: float
    largest_cluster: int
    typical_cluster: float


def summarise_differences(
    differences: ArrayLike, *, score_range: float, clusters: ArrayLike | None = None
) -> DifferenceSummary:
    """Mean, variances and degrees of freedom of paired differences.

    Args:
        differences: Baseline minus candidate for each of at least two items; repeats of an item must have been
            averaged.
        score_range: The largest difference that an item can have; infinite if scores are unbounded.
        clusters: Label of the cluster of each item; without labels, each item is a cluster of its own.

    Raises:
        ValueError: If there are fewer than two items or clusters, or a label is missing.

    Example:
        >>> summary = summarise_differences([0.0, 1.0, 0.0, 0.0, -1.0, 1.0], score_range=1.0)
        >>> round(summary.mean, 3), round(summary.design_effect, 3), round(summary.degrees, 1)
        (0.167, 1.0, 5.0)
    """
    values = np.asarray(differences, dtype=np.float64)
    num_items = values.size
    labels = np.arange(num_items) if clusters is None else np.asarray(clusters)
    if labels.shape != values.shape:
        raise ValueError(f"{labels.size} labels of clusters for {num_items} items")
    _, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if num_items < 2 or sizes.size < 2:
        raise ValueError(f"a variance needs at least 2 clusters, got {sizes.size} of {num_items} items")
    sums = np.bincount(members, weights=values)
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    residuals, shares = sums - sizes * mean, sizes / num_items
    of_mean = float((residuals**2 / (1 - shares)).sum()) / num_items**2
    within = float((sizes * (sizes - 1.0)).sum())
    shared = float((residuals**2).sum() - ((values - mean) ** 2).sum())
    correlation = min(max(shared / (variance * within), 0.0), 1.0) if variance and within else 0.0
    weights = sizes * (1 + (sizes - 1) * correlation)
    total, fourth = float(np.abs(values).sum()), float((sums**4).sum())
    return DifferenceSummary(
        mean=mean,
        variance=variance,
        square_mean=float((values**2).mean()),
        typical=float((values**2).sum()) / total if total else score_range,
        design_effect=max(1.0, num_items * of_mean / variance) if variance else 1.0,
        degrees=float(weights.sum() ** 2 / (weights**2).sum()) - 1,
        num_items=num_items,
        num_clusters=int(sizes.size),
        num_worse=int((sums > 0).sum()),
        num_effective=float((sums**2).sum()) ** 2 / fourth if fourth else 0.0,
        largest_cluster=int(sizes.max()),
        typical_cluster=float((sizes**3.0).sum() / (sizes**2.0).sum()),
    )


def score_p_values(summary: DifferenceSummary, null: float, *, score_range: float) -> OneSidedPValues:
    """P-values of a mean difference against a null value, from both sides.

    Args:
        summary: Summary of the differences.
        null: The true difference under the null hypothesis.
        score_range: The largest difference that an item can have; infinite if scores are unbounded.

    Returns:
        ``above`` uses the observed variance. ``below`` uses the variance under the null hypothesis if that is a
        degradation, and counts worse clusters if fewer than five effective clusters differ.

    Example:
        >>> summary = summarise_differences([0.0] * 299 + [1.0], score_range=1.0)
        >>> above, below = score_p_values(summary, 0.02, score_range=1.0)
        >>> f"{above:.3f} {below:.3f}"
        '1.000 0.017'
    """
    from scipy.special import stdtr

    excess = summary.mean - null
    above = stdtr(summary.degrees, -_over(excess, mean_variance(summary)))
    if null > 0 and summary.num_effective < FEW_EFFECTIVE:
        below = _count_p_value(summary, null, score_range)
    else:
        below = float(stdtr(summary.degrees, _over(excess, mean_variance(summary, null))))
    return OneSidedPValues(np.asarray(above), np.asarray(below))


def mean_variance(summary: DifferenceSummary, null: float = 0.0) -> float:
    """Variance of the mean difference under a null value, to be summed for a mean over several tasks.

    Args:
        summary: Summary of the differences.
        null: The true difference under the null hypothesis; at 0, the observed variance is returned.
    """
    variance = _null_variance(summary, null) if null > 0 else summary.variance
    return variance * summary.design_effect / summary.num_items


def _null_variance(summary: DifferenceSummary, null: float) -> float:
    """Variance of a difference if the null degradation consisted of differences like those observed."""
    if math.isinf(summary.typical):  # no difference was seen, and nothing bounds one
        return math.inf
    made = summary.square_mean + (null - summary.mean) * summary.typical - null * null
    return max(summary.variance, made)


def _over(excess: float, variance: float) -> float:
    """An excess in standard errors; infinite if nothing varies."""
    if variance:
        return excess / math.sqrt(variance)
    return math.copysign(math.inf, excess) if excess else 0.0


def _count_p_value(summary: DifferenceSummary, null: float, score_range: float) -> float:
    """Probability of so few lost clusters if wholly lost clusters made up the null degradation."""
    least = null * summary.num_items / (summary.num_clusters * summary.largest_cluster * score_range)
    return _few_lost(summary.num_worse, summary.num_clusters, least)


def _few_lost(num_worse: int, num_clusters: int, share: float) -> float:
    """Probability of so few lost clusters if the given share of clusters is lost."""
    from scipy.special import bdtr

    return float(bdtr(num_worse, num_clusters, min(share, 1.0))) if share else 1.0


def macro_p_values(summaries: Sequence[DifferenceSummary], null: float, *, score_range: float) -> OneSidedPValues:
    """P-values of the equally weighted average of the mean differences of several tasks.

    Args:
        summaries: Summaries of the differences of each task.
        null: The true mean under the null hypothesis.
        score_range: The largest difference that an item can have.

    Returns:
        The p-values as in :func:`score_p_values`. If fewer than five effective clusters differ in all tasks together,
        ``below`` is also at least the probability of so few worse clusters if the whole degradation were in the task
        with the fewest items.

    Example:
        >>> quiet = summarise_differences([0.0] * 200, score_range=1.0)
        >>> f"{macro_p_values([quiet, quiet], 0.02, score_range=1.0).below:.4f}"
        '0.0022'
    """
    from scipy.special import stdtr

    num_tasks = len(summaries)
    excess = sum(summary.mean for summary in summaries) / num_tasks - null
    seen = [mean_variance(summary) / num_tasks**2 for summary in summaries]
    made = [mean_variance(summary, null) / num_tasks**2 for summary in summaries]
    above = float(stdtr(_degrees(seen, summaries), -_over(excess, sum(seen))))
    below = float(stdtr(_degrees(made, summaries), _over(excess, sum(made))))
    if null > 0 and sum(summary.num_effective for summary in summaries) < FEW_EFFECTIVE:
        num_clusters = sum(summary.num_clusters for summary in summaries)
        carried = min(1.0, num_tasks * null / score_range) * min(each.num_items for each in summaries)
        share = carried / (num_clusters * max(summary.largest_cluster for summary in summaries))
        below = max(below, _few_lost(sum(summary.num_worse for summary in summaries), num_clusters, share))
    return OneSidedPValues(np.asarray(above), np.asarray(below))


def _degrees(variances: Sequence[float], summaries: Sequence[DifferenceSummary]) -> float:
    """Degrees of freedom of a sum of variances by Satterthwaite."""
    fourth = sum(each**2 / summary.degrees for each, summary in zip(variances, summaries, strict=True))
    if not 0 < fourth < math.inf:
        return min(summary.degrees for summary in summaries)
    return sum(variances) ** 2 / fourth


def can_pass(summaries: Sequence[DifferenceSummary], margin: float, *, score_range: float) -> bool:
    """Whether the items and clusters are numerous enough to have shown a degradation of the margin.

    Args:
        summaries: Summaries of the differences of one task, or of each task of a mean.
        margin: The degradation to be excluded.
        score_range: The largest difference that an item can have.

    Example:
        >>> summary = summarise_differences([0.0] * 149, score_range=1.0)
        >>> can_pass([summary], 0.02, score_range=1.0), can_pass([summary], 0.01, score_range=1.0)
        (True, False)
    """
    num_items = sum(each.num_items for each in summaries)
    num_clusters = sum(each.num_clusters for each in summaries)
    if math.isinf(score_range):
        return num_clusters >= FEWEST_CLUSTERS and num_items >= FEWEST_UNBOUNDED
    unseen = (1 - min(margin / score_range, 1.0)) ** num_items
    return num_clusters >= FEWEST_CLUSTERS and unseen <= UNSEEN_LEVEL


def excludes_whole_clusters(summaries: Sequence[DifferenceSummary], margin: float, *, score_range: float) -> bool:
    """Whether the stated levels hold even if a degradation of the margin is confined to a few whole clusters.

    They do not if such clusters could well be absent from the items, or if a few of them make the mean so skewed that
    Student's t, where it is used, rejects too often. The skewness is largest if two thirds of the variance of the mean
    come from whole clusters; it is then ``2 / 3^1.5`` times a cluster's difference in standard errors of the mean. For
    the mean of several tasks, the clusters may be those of any task, in whichever they weigh most.

    Args:
        summaries: Summaries of the differences of one task, or of each task of a mean.
        margin: The degradation to be excluded.
        score_range: The largest difference that an item can have.
    """
    clustered = [each for each in summaries if each.num_clusters < each.num_items]
    if not clustered:
        return True
    fewest = len(summaries) * min(each.num_clusters for each in clustered)
    unseen = (1 - min(margin / score_range, 1.0)) ** fewest
    if (
        sum(each.num_effective for each in summaries) < FEW_EFFECTIVE
    ):  # clusters are counted, which no skewness disturbs
        return unseen <= UNSEEN_LEVEL
    error = math.sqrt(sum(_null_variance(each, margin) / each.num_items for each in summaries))
    whole = max(each.typical_cluster * each.typical / each.num_items for each in clustered)
    return unseen <= UNSEEN_LEVEL and 2 / 3**1.5 * whole <= LARGEST_SKEWNESS * error


def block_ends(num_clusters: int, fractions: ArrayLike) -> NDArray[np.int64]:
    """Numbers of clusters at which to look, from fractions of all clusters.

    Args:
        num_clusters: Number of clusters of a task, whose order was drawn before scoring.
        fractions: Ascending fractions of all clusters; the last one is 1.

    Example:
        >>> block_ends(1319, [0.1, 0.25, 0.5, 1.0]).tolist()
        [132, 330, 660, 1319]
    """
    return np.ceil(np.asarray(fractions, dtype=np.float64) * num_clusters).astype(np.int64)


def block_weights(fractions: ArrayLike) -> NDArray[np.float64]:
    """Share of the error rate that each look uses: increments of the fractions to the power of 1.5.

    Such a power keeps most of the error rate for the last look, after which no items are left to add.

    Args:
        fractions: Fractions of the items at each look, ascending, the last one 1.

    Example:
        >>> block_weights([0.1, 0.25, 0.5, 1.0]).round(2).tolist()
        [0.03, 0.09, 0.23, 0.65]
    """
    spent = np.asarray(fractions, dtype=np.float64) ** 1.5
    return np.diff(spent, prepend=0.0)
