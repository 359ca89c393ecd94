"""Caps on degradations, so that a single diverged trial does not mask all others.

A diverged training can be worse by any number, and a few such numbers make the deviation so large that nothing can be
told any more. Degradations are therefore capped, on both sides alike so that what is symmetric stays symmetric: at
:data:`CAP_IN_MARGINS` margins, or at :data:`CAP_IN_DEVIATIONS` deviations of the steadier revision's own values where
that is more. The second keeps the cap out of the noise. With margins alone, five pairs of a metric whose noise is far
above its margin would all lie at the cap, on one side in one case of sixteen, and look like certainty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.stats.paired import moments

CAP_IN_MARGINS = 10.0
"""Margins beyond which it does not matter how much worse or better a pair was."""

CAP_IN_DEVIATIONS = 20.0
"""The same in deviations of the values of the steadier revision."""


def degradation_caps(levels: ArrayLike, margins: ArrayLike) -> NDArray[np.float64]:
    """Caps to which larger degradations of either sign are cut.

    Args:
        levels: (2, ..., pairs) values of baseline and candidate on the scale on which a degradation is their
            difference.
        margins: (...) tolerated degradations on this scale; where one is 0, nothing is capped.

    Returns:
        (...) caps; infinite where nothing is capped.

    Example:
        >>> exploded = [[0.97, 0.98, 0.97], [0.97, 0.10, 1e9]]
        >>> float(degradation_caps(exploded, 0.02))
        0.2
    """
    margins = np.asarray(margins, dtype=np.float64)
    steadier = moments(levels).deviation.min(axis=0)
    with np.errstate(over="ignore"):
        caps = np.maximum(CAP_IN_MARGINS * margins, CAP_IN_DEVIATIONS * steadier)
    return np.asarray(np.where(margins > 0, caps, np.inf))
