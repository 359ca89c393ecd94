"""Detection of changes of level in a long series, with a stated rate of false findings.

A change point is dated, but not attributed to a commit: a gradual change appears as steps, and so does the drift of a
machine's speed. The rate of false change points, at most 0.3 in 1,000 points of independent noise, was simulated for
five kinds of noise; if neighbours have a correlation of 0.5, it is 1.6 in series of 50 points.

- :func:`find_change_points`: all of them, each with the range in which it lies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SEGMENT = 5
"""Points between two changes."""

PENALTY, PENALISED_POINTS = 2.5, 1_000
"""Penalty of a change, as a multiple of the logarithm of the number of points, and the least number of points to count."""

_CLIPPED_QUANTILE, _CLIPPED_VARIANCE = 0.95, 0.914  # variance that normal differences keep when clipped there
_WINDOW, _OUTLIER = 11, 3.0
_LARGEST_CORRELATION = 0.9
_EXACT = 10.0
_PRUNED_EVERY = 2 * MIN_SEGMENT
_RANGE = -2 * math.log(1 - math.sqrt(0.95))  # B. E. Hansen (2000), Econometrica 68, 575-603


class ChangePoint(NamedTuple):
    """A change of level.

    Attributes:
        position: First point at the new level.
        low: First point at which the change may lie, with 95 % confidence.
        high: Last point at which it may lie.
        before: Level before the change.
        after: Level after it.
    """

    position: int
    low: int
    high: int
    before: float
    after: float


class SeriesNoise(NamedTuple):
    """Noise of a series whose level changes.

    Attributes:
        deviation: Standard deviation about the level, in units of the errors.
        correlation: Correlation of neighbouring points; 0 if it does not differ significantly from 0.
    """

    deviation: float
    correlation: float


def find_change_points(values: ArrayLike, errors: ArrayLike | None = None) -> list[ChangePoint]:
    """Find where the level of a series changed.

    Outliers are clipped. The noise is estimated from differences of neighbours, which a change of level hardly affects,
    and the penalty grows with their correlation.

    Args:
        values: (points,) finite numbers.
        errors: (points,) their standard errors up to a common factor; all equal if not given.

    Raises:
        ValueError: If a standard error is not positive, or the numbers of values and errors differ.

    References:
        R. Killick, P. Fearnhead, I. A. Eckley (2012), J. Amer. Stat. Assoc. 107, 1590-1598.

    Example:
        >>> noise = [0.1, -0.2, 0.0, 0.2, -0.1, 0.15, -0.05, 0.1, -0.1, 0.05]
        >>> [point.position for point in find_change_points(noise + [3 + x for x in noise])]
        [10]
    """
    series = np.asarray(values, dtype=np.float64)
    scales = np.ones_like(series) if errors is None else np.asarray(errors, dtype=np.float64)
    if scales.shape != series.shape or not np.all(scales > 0):
        raise ValueError("every point needs a positive error")
    if series.size < 2 * MIN_SEGMENT:
        return []
    steps = np.abs(np.diff(series))
    if not steps.any():
        return []
    noise = series_noise(series, scales)
    if noise.deviation == 0:  # nearly all neighbours are equal, so that any step that lasts is one
        noise = SeriesNoise(float(steps[steps > 0].min()) / _EXACT, 0.0)
    clipped = _clipped(series, scales, noise.deviation)
    again = series_noise(clipped, scales)
    deviation = max(again.deviation, noise.deviation / 2)
    weights = 1 / np.square(deviation * scales)
    inflation = (1 + again.correlation) / (1 - again.correlation)
    penalty = PENALTY * math.log(max(series.size, PENALISED_POINTS)) * inflation
    ends = segment_ends(clipped, weights, penalty=penalty)
    return _described(clipped, weights, ends, threshold=_RANGE * inflation)


def series_noise(series: NDArray[np.float64], scales: NDArray[np.float64]) -> SeriesNoise:
    """Noise about the level of a series, from clipped differences of neighbours."""
    differences = np.diff(series) / np.sqrt((scales[1:] ** 2 + scales[:-1] ** 2) / 2)
    limit = np.quantile(np.abs(differences), _CLIPPED_QUANTILE)
    if limit == 0:
        return SeriesNoise(0.0, 0.0)
    differences = np.clip(differences, -limit, limit)
    square = float(np.mean(differences**2))
    neighbours = float(np.mean(differences[1:] * differences[:-1])) / square
    correlation = min(max(1 + 2 * neighbours, 0.0), _LARGEST_CORRELATION)
    if correlation < 2 / math.sqrt(series.size):
        correlation = 0.0
    return SeriesNoise(math.sqrt(square / (_CLIPPED_VARIANCE * 2 * (1 - correlation))), correlation)


def segment_ends(series: NDArray[np.float64], weights: NDArray[np.float64], *, penalty: float) -> list[int]:
    """Ends of the segments with the least cost (weighted squares about their means plus a penalty each): exact PELT.

    Args:
        series: (points,) values.
        weights: (points,) positive.
        penalty: Penalty for each segment.

    Returns:
        Index after the last point of each segment, the last one being the number of points.
    """
    size = series.size
    weight, first, second = _cumulated(series, weights)
    best, previous = np.full(size + 1, np.inf), np.zeros(size + 1, dtype=np.int64)
    best[0] = -penalty
    # for each start that may still be the best: its index, the sums up to it, and its cost without the squares up to it
    places, tried = np.zeros(size + 1, dtype=np.int64), np.zeros((3, size + 1))
    tried[2, 0] = -penalty
    count, is_worse = 1, np.zeros(1, dtype=np.bool_)
    for end in range(MIN_SEGMENT, size + 1):
        costs = tried[2, :count] - (first[end] - tried[1, :count]) ** 2 / (weight[end] - tried[0, :count])
        chosen = costs.argmin()
        best[end], previous[end] = costs[chosen] + second[end] + penalty, places[chosen]
        if end % _PRUNED_EVERY == 0:
            # a start with a higher cost than a segment ending there can be pruned once a whole segment fits in between
            kept = np.concatenate([~is_worse, np.ones(count - is_worse.size, dtype=np.bool_)])
            is_worse = (costs + second[end] > best[end])[kept]
            count = is_worse.size
            places[:count], tried[:, :count] = places[: kept.size][kept], tried[:, : kept.size][:, kept]
        if (fresh := end + 1 - MIN_SEGMENT) >= MIN_SEGMENT:
            places[count], tried[:, count] = fresh, (weight[fresh], first[fresh], best[fresh] - second[fresh])
            count += 1
    ends, end = [], size
    while end > 0:
        ends.append(end)
        end = int(previous[end])
    return ends[::-1]


def _cumulated(series: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, points + 1) cumulative sums for the cost of segments, taken about the median to save digits."""
    centred = series - np.median(series)
    return np.cumsum(np.pad([weights, weights * centred, weights * centred**2], ((0, 0), (1, 0))), axis=1)


def _cost(sums: NDArray[np.float64], start: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
    """Weighted squares of segments about their means."""
    weight, first, second = sums[:, np.atleast_1d(end)] - sums[:, np.atleast_1d(start)]
    return np.asarray(second - first * first / weight)


def _clipped(series: NDArray[np.float64], scales: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """A series with outliers clipped towards the running median."""
    half = _WINDOW // 2
    padded = np.pad(series, half, mode="reflect")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)
    reach = _OUTLIER * deviation * scales
    return np.clip(series, medians - reach, medians + reach)


def _described(
    series: NDArray[np.float64], weights: NDArray[np.float64], ends: list[int], *, threshold: float
) -> list[ChangePoint]:
    """Change points with their ranges and levels."""
    borders = [0, *ends]
    sums = _cumulated(series, weights)
    found = []
    for start, middle, end in zip(borders, borders[1:], borders[2:], strict=False):
        places = np.arange(start + 1, end)
        costs = _cost(sums, start, places) + _cost(sums, places, end)
        likely = places[costs <= costs[middle - start - 1] + threshold]
        before = float(np.average(series[start:middle], weights=weights[start:middle]))
        after = float(np.average(series[middle:end], weights=weights[middle:end]))
        found.append(ChangePoint(middle, int(likely[0]), int(likely[-1]), before, after))
    return found
