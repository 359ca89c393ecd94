"""Sample sizes of evaluations: the number of items needed, and the margins that a number of items supports.

Both follow from the standard deviation of an item's difference: its value if nothing degraded, and its value under each
null hypothesis. The rules are normal approximations whose hit rates were simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mainstay.stats.flips import null_deviation
from mainstay.stats.scores import UNSEEN_LEVEL

SAFETY_OF_FURTHER_ITEMS = 1.25
"""Factor on the standard error in the rule for further items; without it, too many metrics stay undecided."""

HONEST_POWER = 0.95
"""Probability with which a clean change passes at the smallest honest margin."""

MOST_ITEMS = 10_000_000
"""Largest number of items that is named; beyond it, no practical number of items would decide."""

STEPS = 40
"""Steps of the bisection that searches for a margin."""


class NullTest(NamedTuple):
    """One test that a verdict needs.

    Attributes:
        null: The difference that the test excludes.
        level: One-sided level of the test.
        deviation: Standard deviation of an item's difference under the null hypothesis.
    """

    null: float
    level: float
    deviation: float


def items_to_settle(mean: float, tests: Iterable[NullTest]) -> int | None:
    """The number of items at which all tests of a verdict are expected to reject if the mean stays the same.

    Args:
        mean: Mean difference so far.
        tests: Tests needed for the verdict that the mean points to.

    Returns:
        The number of items; ``None`` if the mean is so close to a null value that no number of items is expected to
        suffice.

    Example:
        >>> items_to_settle(0.0, [NullTest(0.02, 0.05, 0.28), NullTest(0.04, 0.01, 0.33)])
        829
    """
    needed = 0.0
    for null, level, deviation in tests:
        if mean == null:
            return None
        needed = max(needed, (SAFETY_OF_FURTHER_ITEMS * _quantile(level) * deviation / (mean - null)) ** 2)
    return math.ceil(needed) if needed <= MOST_ITEMS else None


def smallest_margin(
    num_items: float,
    deviation: float,
    under_null: Callable[[float], float],
    *,
    margin_level: float = 0.05,
    alpha: float = 0.01,
    power: float = HONEST_POWER,
    score_range: float = 1.0,
) -> float | None:
    """The smallest margin at which a clean change passes.

    Args:
        num_items: Number of items; for clustered items, the smaller effective number.
        deviation: Standard deviation of an item's difference if nothing degraded.
        under_null: Standard deviation under a null hypothesis, as a function of the null difference.
        margin_level: Level of the test at the margin.
        alpha: Level of the test at twice the margin.
        power: Probability of a pass.
        score_range: The largest difference that an item can have.

    Returns:
        The margin; ``None`` if no margin below half the range is large enough.
    """
    reach, root = _quantile(1 - power) * deviation, math.sqrt(num_items)

    def is_large_enough(margin: float) -> bool:
        return all(
            null * root >= _quantile(level) * under_null(null) + reach
            for null, level in ((margin, margin_level), (2 * margin, alpha))
        )

    unseen = 0.0 if math.isinf(score_range) else score_range * (1 - UNSEEN_LEVEL ** (1 / num_items))
    small, large = unseen, (score_range if math.isfinite(score_range) else 100 * deviation + 1e-9) / 2 * (1 - 1e-9)
    if is_large_enough(small):
        return small
    if small > large or not is_large_enough(large):
        return None
    for _ in range(STEPS):
        middle = (small + large) / 2
        small, large = (small, middle) if is_large_enough(middle) else (middle, large)
    return large


def smallest_flip_margin(num_items: int, flips: float) -> float | None:
    """The smallest margin for right-or-wrong scores if a clean change flips a given share of the items.

    Args:
        num_items: Number of items.
        flips: Share of the items that flip, half of them in each direction.

    Example:
        >>> [round(100 * smallest_flip_margin(1319, share), 1) for share in (0.01, 0.03, 0.06, 0.1)]
        [1.0, 1.7, 2.3, 2.9]
    """
    return smallest_margin(num_items, math.sqrt(flips), lambda null: null_deviation(flips / 2, flips / 2, null))


def _quantile(level: float) -> float:
    """The value that a standard normal variable exceeds with probability ``level``."""
    from scipy.special import ndtri

    return -float(ndtri(level))
