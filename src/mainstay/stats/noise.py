"""Noise of two equal revisions: the parts of a pair's spread, and their uncertainty.

The degradation of a pair is the log ratio of two sums over blocks measured in turn. Its spread over pairs has two
parts: the noise between blocks, which more blocks in a pair reduce, and the differences between processes, which only
more pairs reduce.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class NoiseParts(NamedTuple):
    """Parts of the spread of a pair's degradation: ``total**2 = within**2 + between**2``, except for random error.

    Attributes:
        within: Standard deviation of a pair's degradation due to the noise between blocks.
        between: Standard deviation due to differences between processes; 0 if the blocks explain everything.
    """

    within: float
    between: float


class DeviationInterval(NamedTuple):
    """Bounds of a true standard deviation."""

    low: float
    high: float


def block_error(baseline: ArrayLike, candidate: ArrayLike) -> float:
    """Standard error of the log ratio of two sums over alternating blocks (delta method).

    Args:
        baseline: (blocks,) positive times of the baseline, in the order in which they were measured.
        candidate: (blocks,) times of the candidate in the same turns.

    Raises:
        ValueError: If the numbers of blocks differ or there are fewer than two.

    Example:
        >>> f"{block_error([1.00, 1.10, 1.00, 1.05], [1.02, 1.00, 1.04, 1.05]):.4f}"
        '0.0300'
    """
    first, second = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or first.size < 2:
        raise ValueError(f"two or more blocks of each revision are needed, got {first.shape} and {second.shape}")
    return float((second / second.mean() - first / first.mean()).std(ddof=1)) / math.sqrt(first.size)


def split_noise(deviation: float, block_errors: Sequence[float]) -> NoiseParts:
    """Split the spread of a pair's degradation into its parts.

    Args:
        deviation: Standard deviation of the degradation over pairs.
        block_errors: Standard error of the degradation of each pair, computed from its blocks by :func:`block_error`;
            at least one.

    Example:
        >>> within, between = split_noise(0.05, [0.03, 0.03])
        >>> f"{within:.2f} {between:.2f}"
        '0.03 0.04'
    """
    within = math.sqrt(math.fsum(error**2 for error in block_errors) / len(block_errors))
    return NoiseParts(within, math.sqrt(max(0.0, deviation**2 - within**2)))


def deviation_interval(deviation: float, num_pairs: int, *, confidence_level: float = 0.95) -> DeviationInterval:
    """Interval for the standard deviation of normal degradations.

    Args:
        deviation: Observed standard deviation (``ddof=1``).
        num_pairs: Number of pairs, at least 2.
        confidence_level: Two-sided coverage, inside (0, 1).

    References:
        G. W. Snedecor, W. G. Cochran (1989), Statistical Methods, 8th edition, section 5.11.

    Example:
        >>> low, high = deviation_interval(1.0, 20)
        >>> f"{low:.2f} to {high:.2f}"
        '0.76 to 1.46'
    """
    from scipy.special import chdtri

    degrees, tail = num_pairs - 1, (1 - confidence_level) / 2
    low, high = (deviation * math.sqrt(degrees / float(chdtri(degrees, level))) for level in (tail, 1 - tail))
    return DeviationInterval(low, high)
