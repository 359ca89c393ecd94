"""Sequential tests: several looks at a growing number of pairs, which share one error rate.

The looks are fixed before the first pair. The error rate is divided over the looks by Bonferroni, in proportion to new
pairs. So the procedure needs neither the correlation between looks nor a table, and holds for any p-value that is valid
at one look. See Jennison and Turnbull (1989) for repeated confidence intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.stats.paired import student_quantile


def look_weights(looks: Sequence[int]) -> NDArray[np.float64]:
    """The share of the error rate that each look may use: its new pairs as a share of all pairs.

    Args:
        looks: Increasing numbers of pairs at which the gate looks, from 2.

    Returns:
        Weights that sum to 1.

    Raises:
        ValueError: If the looks do not increase, or the first has fewer than 2 pairs.

    Example:
        >>> look_weights((5, 8, 12, 20)).tolist()
        [0.25, 0.15, 0.2, 0.4]
    """
    steps = np.diff(np.asarray(looks, dtype=np.float64), prepend=0.0)
    if not len(looks) or looks[0] < 2 or (steps <= 0).any():
        raise ValueError(f"looks must increase from at least 2 pairs, got {tuple(looks)}")
    return steps / looks[-1]


def sequential_p_values(p_values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """P-values that stay valid after earlier looks.

    Args:
        p_values: One-look p-values, looks on the first axis; 1 at a look that was not taken.
        weights: Share of the error rate of each of these looks.

    Returns:
        At each look, the smallest ``p / weight`` so far, at most 1; same shape.

    Example:
        >>> sequential_p_values([0.02, 0.003, 0.4], [0.25, 0.15, 0.6]).tolist()
        [0.08, 0.02, 0.02]
    """
    p_values, weights = np.asarray(p_values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    scaled = p_values / weights.reshape(-1, *([1] * (p_values.ndim - 1)))
    return np.minimum(np.minimum.accumulate(scaled, axis=0), 1.0)


def boundaries(looks: Sequence[int], *, level: float) -> NDArray[np.float64]:
    """The value of Student's t beyond which each look rejects.

    Args:
        looks: Numbers of pairs at which the gate looks.
        level: One-sided level of all looks together.

    Example:
        >>> boundaries((5, 8, 12, 20), level=0.05).round(2).tolist()
        [3.5, 3.2, 2.72, 2.2]
    """
    return student_quantile(level * look_weights(looks), np.asarray(looks) - 1)


def intersect_intervals(lows: ArrayLike, highs: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values that no look has excluded so far.

    Args:
        lows: Lower bounds, looks on the first axis.
        highs: Upper bounds, looks on the first axis.

    Returns:
        Bounds at each look; a lower bound above the upper one means that the looks contradict each other.

    Example:
        >>> low, high = intersect_intervals([-1.0, -0.5, -0.7], [2.0, 1.5, 1.0])
        >>> low.tolist(), high.tolist()
        ([-1.0, -0.5, -0.5], [2.0, 1.5, 1.0])
    """
    low = np.maximum.accumulate(np.asarray(lows, dtype=np.float64), axis=0)
    return low, np.minimum.accumulate(np.asarray(highs, dtype=np.float64), axis=0)
