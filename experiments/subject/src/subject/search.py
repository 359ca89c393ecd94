"""Nearest neighbours by brute force."""

from __future__ import annotations

import numpy as np

from subject.network import Floats, Integers


def nearest(queries: Floats, points: Floats, count: int) -> Integers:
    """Positions of the nearest points of each query, the nearest first."""
    distances = (queries**2).sum(axis=1)[:, None] - 2 * queries @ points.T + (points**2).sum(axis=1)
    found = np.argpartition(distances, count, axis=1)[:, :count]
    order = np.take_along_axis(distances, found, axis=1).argsort(axis=1)
    return np.take_along_axis(found, order, axis=1)
