"""Numbers as a reader wants them: fractions as percent, losses in percentage points, times and sizes scaled.

Rounding happens here and nowhere earlier. Losses carry as many decimals as give the margin two digits.
"""

from __future__ import annotations

import math

from mainstay.records import Interval, Kind, Metric

UNKNOWN = "unknown"
"""What is shown where there is no number."""

_LARGEST_EXPONENT = 700.0
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_BYTE_UNITS = frozenset({"B", "byte", "bytes"})
_SECOND_UNITS = frozenset({"s", "second", "seconds"})
_WORSE = {"seconds": "slower", "bytes": "larger"}
_BETTER = {"seconds": "faster", "bytes": "smaller"}


def displayed_loss(metric: Metric, loss: float) -> float:
    """A loss in the number a reader is shown: percent, percentage points or the metric's unit.

    Args:
        metric: What was lost.
        loss: A natural-log ratio for performance, else as recorded.

    Example:
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> round(displayed_loss(step, step.scaled_margin), 6)
        5.0
    """
    if metric.kind is Kind.PERFORMANCE:
        return 100 * math.expm1(min(loss, _LARGEST_EXPONENT))
    return loss if metric.unit and metric.kind is Kind.ACCURACY else 100 * loss


def loss_unit(metric: Metric) -> str:
    """What a displayed loss counts.

    Example:
        >>> loss_unit(Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002))
        'points'
    """
    if metric.kind is not Kind.ACCURACY:
        return "%"
    return metric.unit or "points"


def loss_number(metric: Metric, loss: float) -> str:
    """A displayed loss, rounded, without its unit.

    Example:
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> loss_number(top1, 0.0012345), loss_number(top1, -0.000001), loss_number(top1, math.inf)
        ('0.12', '0.00', 'unbounded')
    """
    if not math.isfinite(loss):
        return "unbounded"
    return fixed(displayed_loss(metric, loss), decimals=_decimals(metric))


def loss_text(metric: Metric, loss: float) -> str:
    """A displayed loss with its unit.

    Example:
        >>> loss_text(Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05), 0.1)
        '10.5 %'
    """
    return f"{loss_number(metric, loss)} {loss_unit(metric)}"


def change_text(metric: Metric, loss: float) -> str:
    """A loss or a gain in words.

    Example:
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> change_text(top1, 0.0031), change_text(step, -0.03), change_text(top1, 0.0)
        ('0.31 points worse', '3.0 % faster', '0.00 points')
    """
    if not math.isfinite(loss):
        return UNKNOWN
    number = loss_number(metric, loss)
    size = number.removeprefix("-")
    if not any(digit in size for digit in "123456789"):
        return f"{size} {loss_unit(metric)}"
    words = _BETTER if number.startswith("-") else _WORSE
    default = "better" if number.startswith("-") else "worse"
    word = words.get(_quantity(metric), default) if metric.kind is Kind.PERFORMANCE else default
    return f"{size} {loss_unit(metric)} {word}"


def interval_text(metric: Metric, interval: Interval | None) -> str:
    """The bounds of a loss.

    Example:
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> interval_text(top1, Interval(-0.001, 0.0004)), interval_text(top1, Interval(-math.inf, math.inf))
        ('-0.10 to 0.04', 'unknown')
    """
    if interval is None or not any(map(math.isfinite, interval)):
        return UNKNOWN
    return f"{loss_number(metric, interval.low)} to {loss_number(metric, interval.high)}"


def value_text(metric: Metric, value: float | None) -> str:
    """A value of a metric, scaled.

    Example:
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> value_text(top1, 0.97714), value_text(step, 0.00112), value_text(step, None)
        ('97.714 %', '1.120 ms', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if metric.kind is Kind.DETERMINISTIC and float(value).is_integer() and not metric.unit:
        return f"{int(value):,}"
    quantity = _quantity(metric)
    if quantity == "seconds":
        return seconds_text(value)
    if quantity == "bytes":
        return bytes_text(value)
    if metric.kind is Kind.ACCURACY and not metric.unit:
        return f"{fixed(100 * value, decimals=_decimals(metric) + 1)} %"
    if metric.kind is Kind.ACCURACY:
        return f"{fixed(value, decimals=_decimals(metric) + 1)} {metric.unit}"
    return f"{value:.6g} {metric.unit}".rstrip()


def seconds_text(seconds: float) -> str:
    """A duration with four digits.

    Example:
        >>> [seconds_text(s) for s in (12.3456, 0.00112, 3.2e-7, 315.4)]
        ['12.35 s', '1.120 ms', '320.0 ns', '315.4 s']
    """
    scale, unit = next((row for row in _TIMES if abs(seconds) >= row[0]), _TIMES[-1] if seconds else _TIMES[0])
    return f"{_four_digits(seconds / scale)} {unit}"


def bytes_text(size: float) -> str:
    """A size in binary units.

    Example:
        >>> bytes_text(412_876_800), bytes_text(812)
        ('393.8 MiB', '812 B')
    """
    for scale, unit in _SIZES:
        if abs(size) >= scale:
            return f"{_four_digits(size / scale)} {unit}"
    return f"{size:.0f} B"


def fixed(value: float, *, decimals: int) -> str:
    """A number with fixed decimals, never a negative zero.

    Example:
        >>> fixed(-0.001, decimals=2)
        '0.00'
    """
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def percent(fraction: float) -> str:
    """A level as percent, without needless zeros.

    Example:
        >>> percent(0.01), percent(0.025)
        ('1 %', '2.5 %')
    """
    return f"{100 * fraction:.4g} %"


def _four_digits(value: float) -> str:
    """Four significant digits, without an exponent below a hundred million."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.4g}" if magnitude > 7 else fixed(value, decimals=max(0, 3 - max(0, magnitude)))


def _decimals(metric: Metric) -> int:
    """Decimals that give the margin two digits, at most nine."""
    margin = abs(displayed_loss(metric, metric.scaled_margin))
    if not (margin > 0 and math.isfinite(margin)):
        return 2
    return min(9, max(0, 1 - math.floor(math.log10(margin))))


def _quantity(metric: Metric) -> str:
    """``seconds``, ``bytes`` or neither."""
    if metric.unit in _SECOND_UNITS:
        return "seconds"
    return "bytes" if metric.unit in _BYTE_UNITS else ""
