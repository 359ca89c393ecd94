"""Statistics of counts: intervals for one proportion, and comparison of two classifiers on the same examples.

Pure functions of counts. They are used for descriptions only; no verdict of a gate depends on them.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class ProportionInterval(NamedTuple):
    """Bounds of a true proportion, inside [0, 1]."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, *, confidence_level: float = 0.95) -> ProportionInterval:
    """Interval for a binomial proportion by Wilson's score method.

    Args:
        successes: Correct predictions, ``0 <= successes <= trials``.
        trials: Independent predictions made, at least 1.
        confidence_level: Two-sided coverage, inside (0, 1).

    Raises:
        ValueError: If a count or the level lies outside its range.

    References:
        E. B. Wilson (1927), J. Amer. Stat. Assoc. 22, 209-212.

    Example:
        >>> low, high = wilson_interval(9_950, 10_000)
        >>> f"{low:.4f} to {high:.4f}"
        '0.9934 to 0.9962'
    """
    from scipy.special import ndtri

    _check_counts(successes, trials, confidence_level)
    z = float(ndtri(0.5 + confidence_level / 2))
    share, scale = successes / trials, 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    reach = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == trials else min(1.0, centre + reach)
    return ProportionInterval(low, high)


def clopper_pearson_interval(successes: int, trials: int, *, confidence_level: float = 0.95) -> ProportionInterval:
    """Interval for a binomial proportion whose coverage is at least its level for every true proportion.

    Args:
        successes: Events seen, ``0 <= successes <= trials``.
        trials: Independent trials, at least 1.
        confidence_level: Two-sided coverage, inside (0, 1).

    Raises:
        ValueError: If a count or the level lies outside its range.

    References:
        C. J. Clopper, E. S. Pearson (1934), Biometrika 26, 404-413.

    Example:
        >>> low, high = clopper_pearson_interval(0, 60, confidence_level=0.90)
        >>> f"{low:.3f} to {high:.3f}"
        '0.000 to 0.049'
    """
    from scipy.special import betaincinv

    _check_counts(successes, trials, confidence_level)
    tail = (1 - confidence_level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return ProportionInterval(low, high)


def mcnemar_p_value(right_to_wrong: int, wrong_to_right: int) -> float:
    """McNemar's exact two-sided test of the hypothesis that two classifiers err equally often on the same examples.

    Args:
        right_to_wrong: Examples that only the first classifies correctly.
        wrong_to_right: Examples that only the second classifies correctly.

    Returns:
        The p-value; 1 if the two counts are equal.

    Raises:
        ValueError: If a count is negative.

    References:
        Q. McNemar (1947), Psychometrika 12, 153-157.

    Example:
        >>> round(mcnemar_p_value(9, 1), 4)
        0.0215
    """
    from scipy.special import bdtr

    if right_to_wrong < 0 or wrong_to_right < 0:
        raise ValueError(f"counts cannot be negative, got {right_to_wrong} and {wrong_to_right}")
    fewer, total = min(right_to_wrong, wrong_to_right), right_to_wrong + wrong_to_right
    return min(1.0, 2 * float(bdtr(fewer, total, 0.5)))


def _check_counts(successes: int, trials: int, confidence_level: float) -> None:
    """Refuse invalid counts and levels."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"successes must lie in 0 to trials and trials be positive, got {successes} of {trials}")
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie inside (0, 1), got {confidence_level}")
