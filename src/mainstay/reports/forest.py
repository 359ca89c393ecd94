"""Drawing of one degradation with its interval and its margin: as a graphical mark for a page, as characters for a log.

The unit is the margin. A degradation far beyond the margin is drawn on a broken axis: true to scale up to
:data:`BREAK` margins, and compressed beyond that, so that the interval fits.

- :func:`forest`: horizontal positions in the box of a mark.
- :func:`sketch`: a line of characters; :func:`sketch_legend` explains its marks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mainstay.records.findings import Finding

FOREST_WIDTH, FOREST_HEIGHT = 240, 26
"""Size of a mark in a table row."""
RANGE = (-2.0, 3.0)
"""Range of a mark, in margins; an interval that extends beyond it ends in an arrow."""
BREAK = 2.0
"""End of the part of a broken axis that is true to scale, in margins."""
BEYOND = 2.3
"""Start of the part of a broken axis that is not true to scale."""

SKETCH_HEAD = " 0  margin"
"""Heading of a column of sketches, which explains the marks ``:`` and ``|``."""

_PADDING = 6
_STEM = 0.3
_SKETCH_ZERO, _SKETCH_MARGIN, _SKETCH_BREAK, _SKETCH_WIDTH = 2, 6, 10, 18


class Forest(NamedTuple):
    """One degradation with its interval, as horizontal positions in the box of a mark.

    Attributes:
        zero: Position of no degradation.
        margin: Position of the margin.
        low: Start of the interval.
        high: End of the interval.
        low_end: Mark at the start of the interval: ``bar``, ``left`` if it extends beyond the box, or nothing.
        high_end: Mark at the end of the interval: ``bar``, ``right`` if it extends beyond the box, or nothing.
        point: Position of the estimate; ``None`` if it lies beyond the box.
        gap: Position at which the axis is broken; ``None`` if the axis is true to scale.
    """

    zero: float
    margin: float
    low: float
    high: float
    low_end: str
    high_end: str
    point: float | None
    gap: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Degradation:
    """An estimate and its bounds in margins.

    Attributes:
        low: Lower bound.
        point: Estimate.
        high: Upper bound.
    """

    low: float
    point: float
    high: float

    @property
    def is_far(self) -> bool:
        """Whether it is so far beyond the margin that the axis must be broken."""
        return self.point > RANGE[1]

    def on_axis(self, value: float) -> float:
        """The position of a value on the axis, in margins for the part that is true to scale."""
        if not self.is_far or value <= BREAK:
            return value
        ends = [end for end in (self.low, self.high) if math.isfinite(end)]
        start = max(BREAK, min([self.point, *ends]))
        stop = max([self.point, *ends])
        room = 0.25 * (stop - start) or 1.0
        share = (value - start + room) / (stop - start + 2 * room)
        return BEYOND + (RANGE[1] - BEYOND) * min(1.0, max(0.0, share))


def forest(finding: Finding) -> Forest | None:
    """A degradation with its interval, in margins; ``None`` without an estimate or a margin.

    Args:
        finding: The judgement.
    """
    drawn = _in_margins(finding)
    if drawn is None:
        return None
    start, end = RANGE
    low, point, high = (drawn.on_axis(value) for value in (drawn.low, drawn.point, drawn.high))
    is_open = math.isinf(drawn.high)
    return Forest(
        zero=_place(0.0),
        margin=_place(1.0),
        low=_place(min(low, end - _STEM)),
        high=_place(max(high, start + _STEM)),
        low_end="left" if low < start else "bar" if low <= end else "",
        high_end="right" if high > end or is_open else "bar" if high >= start else "",
        point=_place(point) if start <= point <= end else None,
        gap=_place((BREAK + BEYOND) / 2) if drawn.is_far else None,
    )


def sketch(finding: Finding) -> str:
    """A degradation with its interval as characters; empty without an estimate or a margin.

    Zero is ``:`` and the margin is ``|``; the estimate is ``o``, its interval ``-``. ``//`` marks a broken axis, and
    ``<`` or ``>`` an interval that extends beyond the drawing.

    Args:
        finding: The judgement.
    """
    drawn = _in_margins(finding)
    if drawn is None:
        return ""
    line = [" "] * _SKETCH_WIDTH
    low, point, high = (_column(drawn, value) for value in (drawn.low, drawn.point, drawn.high))
    for column in range(max(0, low), min(_SKETCH_WIDTH - 1, high) + 1):
        line[column] = "-"
    line[_SKETCH_ZERO], line[_SKETCH_MARGIN] = ":", "|"
    if drawn.is_far:
        line[_SKETCH_BREAK : _SKETCH_BREAK + 2] = "//"
    if low < 0:
        line[0] = "<"
    if high >= _SKETCH_WIDTH:
        line[-1] = ">"
    if 0 <= point < _SKETCH_WIDTH:
        line[point] = "o"
    return "".join(line).rstrip()


def _in_margins(finding: Finding) -> _Degradation | None:
    """A degradation in margins; ``None`` without an estimate or a margin."""
    margin = finding.metric.scaled_margin
    if finding.estimate is None or not margin or not math.isfinite(finding.estimate):
        return None
    low, high = finding.interval or (finding.estimate, finding.estimate)
    return _Degradation(low=low / margin, point=finding.estimate / margin, high=high / margin)


def _place(margins: float) -> float:
    """A position on the axis in the box of a mark, rounded to a tenth and limited to the box."""
    share = (margins - RANGE[0]) / (RANGE[1] - RANGE[0])
    return round(_PADDING + min(1.0, max(0.0, share)) * (FOREST_WIDTH - 2 * _PADDING), 1)


def _column(drawn: _Degradation, value: float) -> int:
    """The column of a value in a sketch; it lies outside the sketch if the value does not fit."""
    if drawn.is_far and value > BREAK:
        if math.isinf(value):
            return _SKETCH_WIDTH
        share = (drawn.on_axis(value) - BEYOND) / (RANGE[1] - BEYOND)
        return _SKETCH_BREAK + 2 + round(share * (_SKETCH_WIDTH - _SKETCH_BREAK - 3))
    each = _SKETCH_MARGIN - _SKETCH_ZERO
    return round(max(-1.0, min(float(_SKETCH_WIDTH), _SKETCH_ZERO + each * value)))


def sketch_legend(sketches: Sequence[str]) -> str:
    """Explain the marks in some sketches.

    Example:
        >>> sketch_legend(["  : -|o-"]), sketch_legend(["< o:  |"])
        ('o change, - interval, : zero, | margin', 'o change, - interval, : zero, | margin, < > beyond the drawing')
    """
    drawn = "".join(sketches)
    cut = ", // cut of the axis" if "/" in drawn else ""
    beyond = ", < > beyond the drawing" if "<" in drawn or ">" in drawn else ""
    return f"o change, - interval, : zero, | margin{cut}{beyond}"
