"""Refusal of implausible margins; imports no numpy, so that settings are checked quickly."""

from __future__ import annotations

import math

from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import FRACTION, Metric


def check_margin(metric: Metric) -> None:
    """Refuse a margin that was probably given in percent; markers are checked when their workload is collected.

    Args:
        metric: The metric, with its margin from ``[tool.mainstay.margins]``.

    Raises:
        ConfigurationError: If the margin would let a fraction fall to 0, or a time or a count more than double, or is half
            the range of the scores of an evaluation or more, since twice the margin is tested, too.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind
        >>> check_margin(Metric(workload="w", name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=5))
        Traceback (most recent call last):
        ...
        mainstay.records.errors.ConfigurationError: the margin of time is 5, which is 500 %
          looked in: [tool.mainstay.margins]
          next: write time = 0.05 for 5 %
    """
    if metric.has_margin_in_percent:
        raise ConfigurationError(
            f"the margin of {metric.name} is {metric.margin:g}, which is {100 * metric.margin:g} %",
            looked_in="[tool.mainstay.margins]",
            next_step=f"write {metric.name} = {metric.margin / 100:g} for {metric.margin:g} %"
            + ("" if metric.scale.is_relative else ", or, if it is not a fraction, declare its unit in its marker"),
        )
    half = _score_range(metric) / 2
    if metric.margin >= half:
        raise ConfigurationError(
            f"the margin of {metric.name} is {metric.margin:g}, half the range of its scores or more",
            looked_in="[tool.mainstay.margins]",
            next_step=f"write less than {half:g}, or declare the range or the unit of the scores in the marker",
        )


def _score_range(metric: Metric) -> float:
    """The largest difference between two scores of an evaluation; infinite if nothing bounds it."""
    if metric.scoring is None:
        return math.inf
    low, high = metric.scoring.score_range or ((0.0, 1.0) if metric.unit in {"", FRACTION} else (-math.inf, math.inf))
    return high - low
