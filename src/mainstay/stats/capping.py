"""Caps on degradations, so that a single diverged trial does not mask all others.

A diverged training run can be worse by any number, and a few such numbers make the standard deviation so large that no
test can reject. Degradations are therefore capped, on both sides alike, so that symmetric noise stays symmetric: at
:data:`CAP_IN_MARGINS` margins, or at :data:`CAP_IN_DEVIATIONS` deviations of the steadier revision's own values if that
is more. The second term keeps the cap above the noise. With margins alone, five pairs of a metric whose noise is far
above its margin would all lie at the cap; in one case of sixteen all on the same side, which looks like certainty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.stats.paired import moments

CAP_IN_MARGINS = 10.0
"""Number of margins at which a degradation is capped."""

CAP_IN_DEVIATIONS = 20.0
"""Number of deviations of the steadier revision's values at which a degradation is capped, if that is more."""


def degradation_caps(levels: ArrayLike, margins: ArrayLike) -> NDArray[np.float64]:
    """Caps to which larger degradations of either sign are cut.

    Args:
        levels: (2, ..., pairs) values of baseline and candidate on the scale on which a degradation is their
            difference.
        margins: (...) tolerated degradations on this scale; for a margin of 0, nothing is capped.

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
