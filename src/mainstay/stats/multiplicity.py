"""Holm's procedure for several hypotheses that share one error rate.

Holm's procedure keeps the probability of any false rejection at or below the level, whatever the correlation, and even
if some of the hypotheses are false. It is applied at each look to sequential p-values, so the level holds over all
looks together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm_adjusted(p_values: ArrayLike, *, family_size: int) -> NDArray[np.float64]:
    """P-values adjusted for the whole family; a hypothesis is rejected if its adjusted value is at most the level.

    Args:
        p_values: Available p-values, in any order, with the family on the last axis.
        family_size: Number of hypotheses, fixed beforehand; those without a p-value count as having p-value 1.

    Returns:
        Adjusted p-values in the order given, at most 1; same shape.

    Raises:
        ValueError: If there are more p-values than hypotheses.

    References:
        S. Holm (1979), Scand. J. Statist. 6, 65-70.

    Example:
        >>> holm_adjusted([0.01, 0.04, 0.03], family_size=4).round(3).tolist()
        [0.04, 0.09, 0.09]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    num_given = p_values.shape[-1]
    if num_given > family_size:
        raise ValueError(f"a family of {family_size} cannot have {num_given} p-values")
    order = np.argsort(p_values, axis=-1, kind="stable")
    scaled = np.take_along_axis(p_values, order, axis=-1) * (family_size - np.arange(num_given))
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(scaled, axis=-1), 1.0), axis=-1)
    return adjusted


def holm_rejections(p_values: ArrayLike, *, family_size: int, level: float) -> NDArray[np.bool_]:
    """Which hypotheses Holm's procedure rejects.

    Args:
        p_values: Available p-values, in any order, with the family on the last axis.
        family_size: Number of hypotheses, fixed beforehand; those without a p-value are never rejected.
        level: Family-wise error rate.

    Example:
        >>> holm_rejections([0.01, 0.04, 0.03], family_size=4, level=0.05).tolist()
        [True, False, False]
    """
    return np.asarray(holm_adjusted(p_values, family_size=family_size) <= level)
