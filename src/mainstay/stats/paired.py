"""Student's t over pairs, at one look.

A *degradation* is how much worse the candidate was in one pair; positive is worse. The last axis of an array of
degradations runs over pairs, the leading axes over metrics judged together. For more than one look see
:mod:`~mainstay.stats.sequential`.

The test is valid if degradations are independent and symmetric about their mean, which the randomised order within each
pair provides. It is conservative for heavy tails and invalid for skewed or serially dependent degradations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDING_DEVIATION = 0.41
"""Standard deviation of the difference of two values rounded to steps of one: ``1 / sqrt(6)``, rounded up."""

_LARGEST = np.finfo(np.float64).max


class PairedSummary(NamedTuple):
    """Mean and spread of degradations over pairs.

    Attributes:
        mean: Mean degradation.
        deviation: Standard deviation of a degradation (``ddof=1``), not below the floor.
        num_pairs: Number of pairs.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    num_pairs: int

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Standard error of the mean degradation."""
        return np.asarray(self.deviation / np.sqrt(self.num_pairs))


class Moments(NamedTuple):
    """Mean and standard deviation over the last axis, finite whenever the values are."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class OneSidedPValues(NamedTuple):
    """P-values against a null value from both sides.

    Attributes:
        above: P-value of the hypothesis that the true degradation is at most the null value; small if it lies above.
        below: P-value of the hypothesis that the true degradation is at least the null value; small if it lies below.
    """

    above: NDArray[np.float64]
    below: NDArray[np.float64]


def moments(values: ArrayLike) -> Moments:
    """Compute mean and standard deviation (``ddof=1``; 0 for a single value) over the last axis.

    The values are first scaled by a power of two, which is exact, so that no intermediate result overflows. A deviation
    beyond the largest floating-point number is replaced by that number.

    Args:
        values: Finite numbers, at least one on the last axis.

    Example:
        >>> mean, deviation = moments([1e308, 1e308, -1e308])
        >>> f"{mean:.2e} {deviation:.2e}"
        '3.33e+307 1.15e+308'
    """
    values = np.asarray(values, dtype=np.float64)
    _, exponent = np.frexp(np.abs(values).max(axis=-1))
    scaled = np.ldexp(values, -exponent[..., np.newaxis])
    spread = scaled.std(axis=-1, ddof=1) if values.shape[-1] > 1 else np.zeros(values.shape[:-1])
    with np.errstate(over="ignore"):
        deviation = np.minimum(np.ldexp(spread, exponent), _LARGEST)
    return Moments(np.ldexp(scaled.mean(axis=-1), exponent), deviation)


def summarise_pairs(degradations: ArrayLike, *, resolution: ArrayLike = 0.0) -> PairedSummary:
    """Compute mean and standard deviation over the last axis, with a floor for the deviation.

    Equal degradations do not prove that there is no noise, only that it is smaller than the metric's resolution. The
    deviation is therefore at least that of rounding to the resolution, and at least that of floating-point rounding.

    Args:
        degradations: Degradations, with at least two pairs on the last axis.
        resolution: Smallest step of a degradation, in its unit; broadcast over the leading axes.

    Raises:
        ValueError: If there are fewer than two pairs.

    References:
        Student (1908), Biometrika 6, 1-25.

    Example:
        >>> summary = summarise_pairs([0.001, 0.001, 0.001], resolution=1e-4)
        >>> f"{summary.mean:.4f} {summary.deviation:.6f}"
        '0.0010 0.000041'
    """
    degradations = np.asarray(degradations, dtype=np.float64)
    num_pairs = degradations.shape[-1] if degradations.ndim else 0
    if num_pairs < 2:
        raise ValueError(f"a standard deviation needs at least 2 pairs, got {num_pairs}")
    rounding = 4 * np.finfo(np.float64).eps * np.abs(degradations).max(axis=-1)
    floor = np.maximum(ROUNDING_DEVIATION * np.asarray(resolution, dtype=np.float64), rounding)
    floor = np.maximum(floor, np.finfo(np.float64).tiny)
    mean, deviation = moments(degradations)
    return PairedSummary(mean, np.maximum(deviation, floor), num_pairs)


def one_sided_p_values(summary: PairedSummary, null: ArrayLike) -> OneSidedPValues:
    """P-values of a mean degradation against a null value, from both sides.

    Args:
        summary: Mean and deviation of the degradations.
        null: True degradation under the null hypothesis; broadcast over the leading axes.

    Returns:
        Two p-values, which add up to 1.

    Example:
        >>> summary = summarise_pairs([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
        >>> above, below = one_sided_p_values(summary, 0.0)
        >>> f"{above:.4f} {below:.4f}"
        '0.1088 0.8912'
    """
    from scipy.special import stdtr

    with np.errstate(over="ignore"):
        statistic = (summary.mean - np.asarray(null, dtype=np.float64)) / summary.standard_error
    degrees = summary.num_pairs - 1
    return OneSidedPValues(np.asarray(stdtr(degrees, -statistic)), np.asarray(stdtr(degrees, statistic)))


def student_quantile(level: ArrayLike, degrees: ArrayLike) -> NDArray[np.float64]:
    """The value that Student's t exceeds with probability ``level``.

    Args:
        level: Upper tail probability, inside (0, 1).
        degrees: Degrees of freedom.

    Example:
        >>> f"{student_quantile(0.05, 9):.3f}"
        '1.833'
    """
    from scipy.special import stdtrit

    degrees, level = np.asarray(degrees, dtype=np.float64), np.asarray(level, dtype=np.float64)
    return np.asarray(-stdtrit(degrees, level), dtype=np.float64)


def mean_interval(summary: PairedSummary, *, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds on the true mean degradation, each of which is wrong with probability ``level``.

    Args:
        summary: Mean and deviation of the degradations.
        level: Error probability of each bound; the coverage of the interval is ``1 - 2 * level``.

    Returns:
        Lower and upper bound; infinite if they lie beyond the largest floating-point number.

    Example:
        >>> low, high = mean_interval(summarise_pairs([1.0, 2.0, 3.0, 4.0, 5.0]), level=0.05)
        >>> f"{low:.3f} to {high:.3f}"
        '1.493 to 4.507'
    """
    with np.errstate(over="ignore"):
        reach = student_quantile(level, summary.num_pairs - 1) * summary.standard_error
        return summary.mean - reach, summary.mean + reach


def lag_one_correlation(degradations: ArrayLike) -> float:
    """Correlation of each degradation with the next one; near zero where pairs are independent.

    Args:
        degradations: Degradations of the pairs in the order in which they were measured.

    Returns:
        The first autocorrelation; 0 if all degradations are equal or there are fewer than two.

    Example:
        >>> round(lag_one_correlation([1.0, 2.0, 3.0, 4.0]), 2)
        0.25
    """
    centred = _centred(degradations)
    total = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / total if total > 0 else 0.0


def skewness(degradations: ArrayLike) -> float:
    """Sample skewness of degradations: far from zero if one revision has slow states that the other lacks.

    Args:
        degradations: Degradations of the pairs.

    Returns:
        The third standardised moment; 0 if all degradations are equal.

    Example:
        >>> round(skewness([0.0, 0.0, 0.0, 1.0]), 3)
        1.155
    """
    centred = _centred(degradations)
    spread = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / spread**1.5 if spread > 0 else 0.0


def _centred(degradations: ArrayLike) -> NDArray[np.float64]:
    """Degradations minus their mean, scaled so that the largest is near one and no power of them overflows."""
    degradations = np.asarray(degradations, dtype=np.float64)
    if not degradations.size:
        return degradations
    scaled = np.ldexp(degradations, -np.frexp(np.abs(degradations).max())[1])
    return np.asarray(scaled - scaled.mean())
