"""The geometry of the figures of the HTML report, from records to rounded coordinates, without markup.

The coordinates of every figure are rounded to a tenth of a pixel, so that the same run
gives the same bytes everywhere. Beside each figure, its content is given as rows of text.

- :func:`pairs_plot`: the degradation of each pair.
- :func:`curves_plot`: learning curves as candidate minus baseline, with the band of all seeds.
- :func:`block_times_plot`: the distribution of the time of a call.
- :func:`loads_plot`: load by other processes during each pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean
from typing import NamedTuple

from mainstay.records.findings import Finding
from mainstay.records.formatting import displayed_degradation, seconds_text
from mainstay.records.runs import Curve
from mainstay.records.scales import LARGEST_DEGRADATION

PLOT_WIDTH, PLOT_HEIGHT = 640, 200
"""Size of a figure."""

LEFT, RIGHT, TOP, BOTTOM = 62, PLOT_WIDTH - 44, 18, PLOT_HEIGHT - 30
"""Edges of the area between its axes."""

_NUM_BINS = 24
_OVERFLOW_QUANTILE = 0.98
_LARGEST_DRAWN = 1e100


class Tick(NamedTuple):
    """A labelled position on an axis."""

    position: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A figure with two axes.

    Attributes:
        x_ticks: Ticks along the bottom.
        y_ticks: Ticks along the left, with grid lines.
        paths: Class of the stroke and its path.
        levels: Class, height and label of reference lines.
        headings: Headings of the rows.
        rows: Content of the figure as text.
        remark: Addition to the title, such as the meaning of a band.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    paths: tuple[tuple[str, str], ...]
    levels: tuple[tuple[str, float, str], ...] = ()
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remark: str = ""


def pairs_plot(finding: Finding) -> Plot | None:
    """The degradation of each pair in the order measured; ``None`` with fewer than two pairs, or if all are zero.

    Args:
        finding: The judgement, with its pairs.
    """
    degradations = [displayed_degradation(finding.metric, degradation) for degradation in finding.degradations]
    if len(degradations) < 2 or not any(degradations):
        return None
    margin = displayed_degradation(finding.metric, finding.metric.scaled_margin)
    cap = LARGEST_DEGRADATION if finding.cap is None else displayed_degradation(finding.metric, finding.cap)
    drawn = [max(-cap, min(cap, each)) for each in degradations]  # values beyond the cap are drawn at the edge
    vertical = Scale.over([0.0, margin, *drawn], start=BOTTOM, end=TOP)
    horizontal = Scale(low=0.5, high=len(degradations) + 0.5, start=LEFT, end=RIGHT)
    dots = "".join(f"M{horizontal(i)} {vertical(degradation)}h0" for i, degradation in enumerate(degradations, start=1))
    counted = [
        degradation if finding.cap is None else max(-finding.cap, min(finding.cap, degradation))
        for degradation in finding.degradations
    ]
    half = math.fsum(degradation / len(counted) / 2 for degradation in counted)  # a whole sum may overflow
    mean = displayed_degradation(finding.metric, min(max(counted), max(min(counted), 2 * half)))
    values = zip(
        finding.seeds or degradations, finding.baseline_values, finding.candidate_values, degradations, strict=False
    )
    return Plot(
        x_ticks=tuple(Tick(horizontal(i), str(i)) for i in _counted_ticks(len(degradations))),
        y_ticks=vertical.ticks(),
        paths=(("dots", dots),),
        levels=(("zero", vertical(0.0), ""), ("margin", vertical(margin), "margin"), ("mean", vertical(mean), "mean")),
        headings=("pair", "seed", "baseline", "candidate", "degradation"),
        rows=tuple(
            (str(i), str(seed) if finding.seeds else "", f"{baseline:.6g}", f"{candidate:.6g}", f"{degradation:.3g}")
            for i, (seed, baseline, candidate, degradation) in enumerate(values, start=1)
        ),
    )


def curves_plot(curves: Sequence[Curve]) -> Plot | None:
    """Learning curves of one name as candidate minus baseline: the mean over seeds, and the band of all seeds.

    Both trials of a pair share their seed, so their difference shows more than two bundles of overlapping curves.

    Args:
        curves: Curves of each seed.

    Returns:
        The figure; ``None`` if there is nothing to draw.
    """
    length = max((max(len(curve.baseline), len(curve.candidate)) for curve in curves), default=0)
    epochs = [[pair for curve in curves if (pair := _values_at(curve, i)) is not None] for i in range(length)]
    differences = [[candidate - baseline for baseline, candidate in pairs] for pairs in epochs]
    values = [value for epoch in differences for value in epoch if is_drawable(value)]
    if length < 2 or not values:
        return None
    vertical = Scale.over([0.0, *values], start=BOTTOM, end=TOP)
    horizontal = Scale(low=1, high=length, start=LEFT, end=RIGHT)
    means, lows, highs = ([of(epoch) if epoch else math.nan for epoch in differences] for of in (fmean, min, max))
    band = (("band", _band(lows, highs, horizontal, vertical)),) if len(curves) > 1 else ()
    return Plot(
        x_ticks=tuple(Tick(horizontal(i), str(i)) for i in _counted_ticks(length)),
        y_ticks=vertical.ticks(),
        paths=(*band, ("candidate", _line(means, horizontal, vertical))),
        levels=(("zero", vertical(0.0), ""),),
        headings=("epoch", "baseline", "candidate", "difference", "lowest", "highest"),
        rows=tuple(
            (str(i), *(_shown(value) for value in (*_mean_values(pairs), mean, low, high)))
            for i, (pairs, mean, low, high) in enumerate(zip(epochs, means, lows, highs, strict=True), start=1)
        ),
        remark=f": mean of {len(curves)} seeds, the band holds all of them" if band else "",
    )


def block_times_plot(baseline: Sequence[float], candidate: Sequence[float]) -> Plot | None:
    """Histogram of the time of a call in each block; ``None`` without at least two blocks of each.

    Args:
        baseline: Time of a call in each block of the baseline, in seconds.
        candidate: Time of a call in each block of the candidate, in seconds.
    """
    both = sorted((*baseline, *candidate))
    if min(len(baseline), len(candidate)) < 2 or both[0] == both[-1]:
        return None
    top = both[min(len(both) - 1, math.ceil(_OVERFLOW_QUANTILE * len(both)))]
    edges = [both[0] + i * (top - both[0]) / _NUM_BINS for i in range(_NUM_BINS + 1)]
    counts = [_histogram(side, edges) for side in (baseline, candidate)]
    shares = [
        [count / len(side) for count in column] for side, column in zip((baseline, candidate), counts, strict=True)
    ]
    vertical = Scale(low=0.0, high=max(map(max, shares)), start=BOTTOM, end=TOP)
    horizontal = Scale(low=0, high=_NUM_BINS, start=LEFT, end=RIGHT)
    return Plot(
        x_ticks=tuple(Tick(horizontal(i), seconds_text(edges[i])) for i in range(0, _NUM_BINS + 1, _NUM_BINS // 4)),
        y_ticks=vertical.ticks(factor=100, unit=" %"),
        paths=tuple(
            (s, _steps(c, horizontal, vertical)) for s, c in zip(("baseline", "candidate"), shares, strict=True)
        ),
        headings=("from", "to", "baseline blocks", "candidate blocks"),
        rows=tuple(
            (seconds_text(low), seconds_text(high) if i < _NUM_BINS - 1 else "and above", str(old), str(new))
            for i, ((low, high), old, new) in enumerate(zip(pairwise(edges), *counts, strict=True))
        ),
    )


def loads_plot(loads: Sequence[float]) -> Plot | None:
    """Load by other processes during each pair, in processors; ``None`` if unknown.

    Args:
        loads: Load during each pair.
    """
    if not loads:
        return None
    vertical = Scale(low=0.0, high=max(1.0, *loads), start=BOTTOM, end=TOP)
    horizontal = Scale(low=0.5, high=len(loads) + 0.5, start=LEFT, end=RIGHT)
    bars = "".join(f"M{horizontal(i)} {vertical(0.0)}V{vertical(load)}" for i, load in enumerate(loads, start=1))
    return Plot(
        x_ticks=tuple(Tick(horizontal(i), str(i)) for i in _counted_ticks(len(loads))),
        y_ticks=vertical.ticks(),
        paths=(("bars", bars),),
        headings=("pair", "processors used by others"),
        rows=tuple((str(i), f"{load:.3g}") for i, load in enumerate(loads, start=1)),
    )


class Scale(NamedTuple):
    """Transformation of values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], *, start: float, end: float) -> Scale:
        """A scale that covers all drawable values, with a small margin on both sides."""
        drawn = [value for value in values if is_drawable(value)]
        low, high = min(drawn), max(drawn)
        size = max(abs(low), abs(high))
        span = high - low if high - low > 1e-9 * size else size
        room = 0.06 * span if span > 1 / _LARGEST_DRAWN else 1.0
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """The coordinate of a value, rounded to a tenth and limited to the box."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self, *, factor: float = 1, unit: str = "") -> tuple[Tick, ...]:
        """Two to six round values, displayed in a unit."""
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return tuple(Tick(self(i * step), f"{factor * i * step:.10g}{unit}") for i in range(first, last + 1))


def is_drawable(value: float) -> bool:
    """Whether a value can be drawn on an axis: a diverged loss can be finite and still too large for any figure."""
    return math.isfinite(value) and abs(value) < _LARGEST_DRAWN


def _round_step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _counted_ticks(count: int, *, at_most: int = 12) -> range:
    """Numbers from 1, thinned out evenly."""
    return range(1, count + 1, max(1, math.ceil(count / at_most)))


def _line(values: Sequence[float], horizontal: Scale, vertical: Scale) -> str:
    """A path through the drawable values, with a gap at each missing value."""
    path, pen_is_down = "", False
    for i, value in enumerate(values, start=1):
        if is_drawable(value):
            path += f"{'L' if pen_is_down else 'M'}{horizontal(i)} {vertical(value)}"
        pen_is_down = is_drawable(value)
    return path


def _values_at(curve: Curve, epoch: int) -> tuple[float, float] | None:
    """Values of both revisions at an epoch; ``None`` if one of them has no drawable value."""
    if epoch >= min(len(curve.baseline), len(curve.candidate)):
        return None
    values = curve.baseline[epoch], curve.candidate[epoch]
    return values if all(map(is_drawable, values)) else None


def _mean_values(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean values of baseline and candidate at an epoch."""
    if not pairs:
        return math.nan, math.nan
    return fmean(baseline for baseline, _ in pairs), fmean(candidate for _, candidate in pairs)


def _shown(value: float) -> str:
    """A value of a curve as text; empty if there is none."""
    return f"{value:.5g}" if math.isfinite(value) else ""


def _band(lows: Sequence[float], highs: Sequence[float], horizontal: Scale, vertical: Scale) -> str:
    """The outline of a band, as one piece for each stretch without a gap."""
    path = ""
    for is_known, group in groupby(
        enumerate(zip(lows, highs, strict=True), start=1), key=lambda at: is_drawable(at[1][0])
    ):
        if not is_known:
            continue
        stretch = list(group)
        there = [f"{horizontal(i)} {vertical(high)}" for i, (_, high) in stretch]
        back = [f"{horizontal(i)} {vertical(low)}" for i, (low, _) in reversed(stretch)]
        path += f"M{'L'.join([*there, *back])}Z"
    return path


def _histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Number of values in each bin; the last bin includes all larger values."""
    counts = [0] * (len(edges) - 1)
    width = edges[1] - edges[0] or 1.0
    for value in values:
        counts[int(min(len(counts) - 1, (value - edges[0]) / width))] += 1
    return counts


def _steps(shares: Sequence[float], horizontal: Scale, vertical: Scale) -> str:
    """The outline of a histogram."""
    outline = "".join(f"V{vertical(share)}H{horizontal(i)}" for i, share in enumerate(shares, start=1))
    return f"M{horizontal(0)} {vertical(0.0)}{outline}V{vertical(0.0)}"
