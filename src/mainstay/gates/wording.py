"""Numbers of a finding as a reader wants them: percent for time, percentage points for fractions, else the unit."""

from __future__ import annotations

import math

from mainstay.records import Interval, Kind, Metric


def displayed(metric: Metric, loss: float) -> float:
    """A loss in the number a reader is shown: percent, percentage points or the metric's unit.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> round(displayed(step, step.scaled_margin), 6)
        5.0
    """
    if metric.kind is Kind.PERFORMANCE:
        return 100 * math.expm1(min(loss, 700.0))
    return loss if metric.unit and metric.kind is Kind.ACCURACY else 100 * loss


def unit_text(metric: Metric) -> str:
    """What the displayed numbers count.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> unit_text(Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002))
        'percentage points'
    """
    if metric.kind is not Kind.ACCURACY:
        return "%"
    return metric.unit or "percentage points"


def number(metric: Metric, loss: float) -> str:
    """A displayed loss with as many decimals as give the margin two digits.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> metric = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> number(metric, 0.0012345)
        '0.12'
    """
    margin = abs(displayed(metric, metric.scaled_margin))
    decimals = max(0, 1 - math.floor(math.log10(margin))) if margin > 0 else 2
    return f"{displayed(metric, loss):.{decimals}f}"


def amount(metric: Metric, loss: float) -> str:
    """A displayed loss with its unit.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> metric = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> amount(metric, 0.1)
        '10.5 %'
    """
    return f"{number(metric, loss)} {unit_text(metric)}"


def change(metric: Metric, loss: float) -> str:
    """A loss or gain in words; "about", since estimates after an early stop lie too far from the margin.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> change(top1, 0.0031), change(top1, -0.0004)
        ('about 0.31 percentage points worse', 'about 0.04 percentage points better')
    """
    if metric.kind is Kind.PERFORMANCE and loss < 0:
        return f"about {number(metric, loss)[1:]} {unit_text(metric)} better"
    return f"about {amount(metric, abs(loss))} {'worse' if loss >= 0 else 'better'}"


def interval_text(metric: Metric, interval: Interval) -> str:
    """The bounds of a loss in displayed numbers.

    Example:
        >>> from mainstay.records import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> interval_text(top1, Interval(-0.001, 0.0004))
        'interval -0.10 to 0.04'
    """
    return f"interval {number(metric, interval.low)} to {number(metric, interval.high)}"
