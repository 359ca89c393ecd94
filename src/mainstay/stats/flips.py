"""P-values of the difference of two paired proportions: two systems scored right or wrong on the same items.

The *difference* is the baseline's share of right items minus the candidate's, positive if the candidate is worse. Only
items that *flip* carry evidence: those lost (right, then wrong) and those gained. If many items flip, Tango's score
statistic is approximately normal. If few do, as between two revisions of one system, the exact p-value is a sum over
all tables, at the least favourable share of flips that the data allow. The paired t, which estimates its variance from
the observed flips, rejects far too often in that case: if no item flips, its variance is zero.

References:
    T. Tango (1998), Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17, 891-908.
    R. L. Berger, D. D. Boos (1994), P values maximized over a confidence set for the nuisance parameter, J. Amer.
    Stat. Assoc. 89, 1012-1016.
    Q. McNemar (1947), Psychometrika 12, 153-157.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mainstay.stats.paired import OneSidedPValues
from mainstay.stats.proportions import clopper_pearson_interval

FEW_FLIPS = 30
"""Number of flips from which the normal approximation of the score statistic is used."""

FEW_EXPECTED = 60.0
"""Number of flips expected under the null difference above which the approximation is used in any case."""

NUISANCE_MISS = 1e-4
"""Chance that the true share of flips lies outside the confidence set that is searched; added to the p-value."""

NUM_GAIN_RATES = 33
"""Points of the grid of gain rates, 0 among them."""

NEGLIGIBLE = 1e-12
"""Bound on the probability of the tables that are not enumerated, in each dimension; they are counted as extreme."""

IMPOSSIBLE = 1e-300
"""Share used instead of zero, so that its logarithm exists."""


def score_statistic(lost: int, gained: int, num_items: int, difference: float) -> float:
    """Tango's score statistic for a difference of paired proportions, standard normal under the null.

    Args:
        lost: Items that only the baseline has right.
        gained: Items that only the candidate has right.
        num_items: Items scored by both.
        difference: The difference under the null hypothesis, inside [0, 1).

    Example:
        >>> round(score_statistic(43, 0, 50, 0.0), 4)
        6.5574
    """
    statistic = _score_statistics(np.array(lost), np.array(gained), num_items, difference)
    return float(statistic)


def _score_statistics(
    lost: NDArray[np.int64], gained: NDArray[np.int64], num_items: int, difference: float
) -> NDArray[np.float64]:
    """The statistic of many tables; 0 if nothing flips and the null value is 0."""
    twice, flips = 2.0 * num_items, lost + gained
    linear = (twice - lost + gained) * difference - flips
    root = np.sqrt(np.maximum(linear**2 + 4 * twice * gained * difference * (1 - difference), 0.0))
    gain_rate = (root - linear) / (2 * twice)
    variance = num_items * (2 * gain_rate + difference * (1 - difference))
    excess = lost - gained - num_items * difference
    return np.asarray(np.divide(excess, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0))


def flip_p_values(lost: int, gained: int, num_items: int, difference: float) -> OneSidedPValues:
    """P-values of the true difference against a null value, from both sides.

    At a null difference of 0, this is McNemar's exact binomial test. Otherwise it is exact if few items flip, and uses
    the score statistic if many do. In the last case, ``above`` is also at least the p-value of the paired t, whose
    variance is correct if the true difference exceeds the null difference.

    Args:
        lost: Items that only the baseline has right.
        gained: Items that only the candidate has right.
        num_items: Items scored by both.
        difference: The difference under the null hypothesis, inside [0, 1).

    Raises:
        ValueError: If the counts are inconsistent, or the null difference lies outside its range.

    Example:
        >>> f"{flip_p_values(0, 0, 149, 0.02).below:.4f}"
        '0.0494'
        >>> f"{flip_p_values(9, 1, 100, 0.0).above:.4f}"
        '0.0107'
    """
    if min(lost, gained) < 0 or lost + gained > num_items or num_items < 1:
        raise ValueError(f"{lost} lost and {gained} gained items do not fit {num_items}")
    if not 0 <= difference < 1:
        raise ValueError(f"a null difference must lie inside [0, 1), got {difference}")
    if difference == 0:
        return _mcnemar(lost, gained)
    if lost + gained < FEW_FLIPS and num_items * difference <= FEW_EXPECTED:
        return _unconditional(lost, gained, num_items, difference)
    return _by_score(lost, gained, num_items, difference)


def null_deviation(lost: float, gained: float, difference: float) -> float:
    """Standard deviation of the difference of an item under a null value, as in the score statistic.

    Args:
        lost: Share of the items that only the baseline has right.
        gained: Share of the items that only the candidate has right.
        difference: The difference under the null hypothesis, inside [0, 1).

    Example:
        >>> round(null_deviation(0.03, 0.03, 0.0), 4), round(null_deviation(0.0, 0.0, 0.02), 4)
        (0.2449, 0.14)
    """
    linear = (2 - lost + gained) * difference - lost - gained
    root = math.sqrt(max(linear**2 + 8 * gained * difference * (1 - difference), 0.0))
    return math.sqrt(max((root - linear) / 2 + difference * (1 - difference), 0.0))


def _mcnemar(lost: int, gained: int) -> OneSidedPValues:
    """The exact test of the hypothesis that items are lost as often as gained."""
    from scipy.special import bdtr

    flips = lost + gained
    return OneSidedPValues(np.asarray(bdtr(gained, flips, 0.5)), np.asarray(bdtr(lost, flips, 0.5)))


def _by_score(lost: int, gained: int, num_items: int, difference: float) -> OneSidedPValues:
    from scipy.special import ndtr, stdtr

    statistic = score_statistic(lost, gained, num_items, difference)
    mean = (lost - gained) / num_items
    variance = max((lost + gained) / num_items - mean**2, 0.0) * num_items / max(num_items - 1, 1)
    excess = mean - difference
    student = excess / math.sqrt(variance / num_items) if variance else math.copysign(math.inf, excess)
    above = max(float(ndtr(-statistic)), float(stdtr(num_items - 1, -student)))
    return OneSidedPValues(np.asarray(above), np.asarray(ndtr(statistic)))


@lru_cache(maxsize=16_384)
def _unconditional(lost: int, gained: int, num_items: int, difference: float) -> OneSidedPValues:
    """Sum the probability of all tables at least as extreme, at the least favourable gain rate that the data allow."""
    rates = _gain_rates(lost + gained, num_items, difference)
    most_lost, most_gained = (_last_likely(num_items, float(rate)) for rate in (rates[-1] + difference, rates[-1]))
    tables_lost, tables_gained = np.meshgrid(np.arange(most_lost + 1), np.arange(most_gained + 1), indexing="ij")
    fits = tables_lost + tables_gained <= num_items
    tables_lost, tables_gained = tables_lost[fits], tables_gained[fits]
    statistics = _score_statistics(tables_lost, tables_gained, num_items, difference)
    seen = score_statistic(lost, gained, num_items, difference)
    tolerance = 1e-9 * max(1.0, abs(seen))
    extreme = np.stack([statistics >= seen - tolerance, statistics <= seen + tolerance], axis=-1)
    worst = (_trinomial(tables_lost, tables_gained, num_items, difference, rates) @ extreme).max(axis=0)
    above, below = np.minimum(1.0, worst + NUISANCE_MISS + 2 * NEGLIGIBLE)
    return OneSidedPValues(np.asarray(above), np.asarray(below))


def _gain_rates(flips: int, num_items: int, difference: float) -> NDArray[np.float64]:
    """Gain rates whose share of flips, under the null difference, lies in the confidence interval of the observed share."""
    low, high = clopper_pearson_interval(flips, num_items, confidence_level=1 - NUISANCE_MISS)
    least, most = max((low - difference) / 2, 0.0), max((min(high, 1.0) - difference) / 2, 0.0)
    if most == 0:
        return np.zeros(1)
    start = least if least > 0 else most * 1e-4
    grid = np.geomspace(start, most, NUM_GAIN_RATES - 1)
    return grid if least > 0 else np.concatenate([[0.0], grid])


def _last_likely(num_items: int, rate: float) -> int:
    """The number of items beyond which a binomial count is negligible."""
    from scipy.special import bdtrc

    counts = np.arange(num_items + 1)
    return int(np.argmax(bdtrc(counts, num_items, min(rate, 1.0)) <= NEGLIGIBLE))


def _trinomial(
    lost: NDArray[np.int64],
    gained: NDArray[np.int64],
    num_items: int,
    difference: float,
    rates: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Probability of each table at each gain rate: (rates, tables)."""
    from scipy.special import gammaln

    kept = num_items - lost - gained
    ways = gammaln(num_items + 1) - gammaln(lost + 1) - gammaln(gained + 1) - gammaln(kept + 1)
    shares = np.stack([rates + difference, rates, 1 - 2 * rates - difference], axis=-1)
    counts = np.stack([lost, gained, kept], axis=0).astype(np.float64)
    logarithms = np.log(np.maximum(shares, IMPOSSIBLE))  # finite, so that a count of 0 adds 0
    return np.asarray(np.exp(ways + logarithms @ counts))
