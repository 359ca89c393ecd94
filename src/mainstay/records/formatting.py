"""Formatting of numbers: fractions in percent, their degradations in percentage points, times and sizes scaled.

Numbers are rounded here and nowhere earlier. A degradation gets as many decimals as give its margin two digits; a value
gets at least three digits. A number that has no unit and is not a fraction is shown as it was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mainstay.records.findings import Interval
from mainstay.records.metrics import Metric
from mainstay.records.scales import LARGEST_DEGRADATION, shown_unit

UNKNOWN = "unknown"
"""Text shown instead of a missing number."""

_LARGEST_WRITTEN_OUT = 1e9
_LARGEST_COUNT = 1e18
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_BYTE_UNITS = frozenset({"B", "byte", "bytes"})
_SECOND_UNITS = frozenset({"s", "second", "seconds"})


def displayed_degradation(metric: Metric, degradation: float) -> float:
    """A degradation as displayed: in percent, percentage points or the metric's unit.

    Args:
        metric: The metric that degraded.
        degradation: A natural-log ratio for performance; otherwise a difference of recorded values.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> round(displayed_degradation(step, step.scaled_margin), 6)
        5.0
    """
    return metric.scale.displayed(degradation, is_fraction=metric.is_fraction)


def degradation_unit(metric: Metric) -> str:
    """Unit of a displayed degradation; empty for a plain number.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> degradation_unit(Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002))
        'points'
        >>> degradation_unit(Metric(workload="w", name="loss", kind=Kind.ACCURACY, direction="lower", margin=0.3))
        ''
    """
    return metric.scale.displayed_unit(metric.unit, is_fraction=metric.is_fraction)


def degradation_number(metric: Metric, degradation: float, *, more_decimals: int = 0) -> str:
    """A displayed degradation, rounded, without its unit.

    Args:
        metric: The metric that degraded.
        degradation: The degradation.
        more_decimals: Decimals beyond those that give the margin two digits.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> degradation_number(top1, 0.0012345), degradation_number(top1, -0.000001), degradation_number(top1, math.inf)
        ('0.12', '0.00', 'unbounded')
    """
    if not math.isfinite(degradation) or abs(degradation) == LARGEST_DEGRADATION:
        return "unbounded"
    displayed = displayed_degradation(metric, degradation)
    if abs(displayed) >= _LARGEST_WRITTEN_OUT:
        return _in_powers(displayed)
    return fixed(displayed, decimals=_decimals(metric) + more_decimals)


def decimals_to_differ(metric: Metric, degradation: float | None) -> int:
    """Decimals that a degradation and the margin need beyond the usual ones, to differ when rounded: none or one.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> loss = Metric(workload="w", name="loss", kind=Kind.ACCURACY, direction="lower", margin=0.035)
        >>> decimals_to_differ(loss, 0.0348), decimals_to_differ(loss, 0.035), decimals_to_differ(loss, 0.04)
        (1, 0, 0)
    """
    margin = metric.scaled_margin
    if degradation is None or degradation == margin:
        return 0
    return int(degradation_number(metric, degradation) == degradation_number(metric, margin) != "unbounded")


def degradation_text(metric: Metric, degradation: float, *, more_decimals: int = 0) -> str:
    """A displayed degradation with its unit.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> degradation_text(Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05), 0.1)
        '10.5 %'
    """
    number = degradation_number(metric, degradation, more_decimals=more_decimals)
    return f"{number} {degradation_unit(metric)}".rstrip()


def change_text(metric: Metric, degradation: float, *, more_decimals: int = 0) -> str:
    """A change in words: worse, better or none.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> change_text(top1, 0.0031), change_text(step, -0.03), change_text(top1, 0.0)
        ('0.31 points worse', '3.0 % faster', '0.00 points')
    """
    if not math.isfinite(degradation):
        return UNKNOWN
    word = metric.scale.word(_quantity(metric), is_worse=degradation >= 0)
    if abs(degradation) == LARGEST_DEGRADATION:
        return f"{word} beyond any number"
    size = degradation_text(metric, degradation, more_decimals=more_decimals).removeprefix("-")
    return f"{size} {word}" if any(digit in size.split()[0] for digit in "123456789") else size


def is_bound(estimate: float | None, cap: float | None, degradations: Iterable[float]) -> bool:
    """Whether the estimated change is only a minimum: degradations were capped, all on the side of the estimate.

    Args:
        estimate: Mean of the capped degradations.
        cap: Value to which larger degradations were cut; ``None`` if none was.
        degradations: The degradations as measured.

    Example:
        >>> is_bound(0.2, 0.2, [0.5, 3.0]), is_bound(0.04, 0.2, [0.3, -0.9]), is_bound(0.1, None, [0.1])
        (True, False, False)
    """
    if estimate is None or cap is None:
        return False
    sides = {degradation > 0 for degradation in degradations if abs(degradation) > cap}
    return sides == {estimate > 0}


def estimate_text(metric: Metric, estimate: float, *, is_bound: bool, more_decimals: int = 0) -> str:
    """An estimate in words, with its qualification.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> estimate_text(top1, 0.0031, is_bound=False), estimate_text(top1, 0.02, is_bound=True)
        ('about 0.31 points worse', 'at least 2.00 points worse')
    """
    return f"{'at least' if is_bound else 'about'} {change_text(metric, estimate, more_decimals=more_decimals)}"


def interval_text(metric: Metric, interval: Interval | None) -> str:
    """The bounds of a degradation.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> interval_text(top1, Interval(-0.001, 0.0004)), interval_text(top1, Interval(-math.inf, math.inf))
        ('-0.10 to 0.04', 'unknown')
    """
    if interval is None or not any(map(math.isfinite, interval)):
        return UNKNOWN
    return f"{degradation_number(metric, interval.low)} to {degradation_number(metric, interval.high)}"


def worded_interval(metric: Metric, interval: Interval | None) -> str:
    """The bounds of a degradation in words, with the unit and without signs.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> worded_interval(step, Interval(-0.01, 0.02)), worded_interval(step, Interval(0.01, 0.02))
        ('1.0 % faster to 2.0 % slower', '1.0 to 2.0 % slower')
    """
    if interval is None or not all(map(math.isfinite, interval)):
        return interval_text(metric, interval)
    low, high = (change_text(metric, bound) for bound in interval)
    if low.rpartition(" ")[2] == high.rpartition(" ")[2]:  # both better or both worse
        low = degradation_number(metric, interval.low).removeprefix("-")
    return f"{low} to {high}"


def value_text(metric: Metric, value: float | None) -> str:
    """A value of a metric, scaled.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction="higher", margin=0.002)
        >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction="lower", margin=0.05, unit="s")
        >>> value_text(top1, 0.97714), value_text(step, 0.00112), value_text(step, None)
        ('97.714 %', '1.120 ms', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if metric.scale.is_exact and not metric.unit and (written_out := whole_number(value)):
        return written_out
    quantity = _quantity(metric)
    if quantity == "seconds":
        return seconds_text(value)
    if quantity == "bytes":
        return bytes_text(value)
    if metric.is_fraction:
        return f"{_value_number(100 * value, decimals=_decimals(metric) + 1)} %"
    if not metric.scale.is_relative:
        return f"{_value_number(value, decimals=_decimals(metric) + 1)} {shown_unit(metric.unit)}".rstrip()
    return f"{value:.6g} {shown_unit(metric.unit)}".rstrip()


def whole_number(value: float) -> str:
    """A whole number in full; empty if the value is none, or too large to write out.

    Example:
        >>> whole_number(1_234_567.0), whole_number(0.5), whole_number(1e30)
        ('1,234,567', '', '')
    """
    return f"{int(value):,}" if abs(value) < _LARGEST_COUNT and float(value).is_integer() else ""


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
    """A number with a fixed number of decimals, never a negative zero.

    Example:
        >>> fixed(-0.001, decimals=2)
        '0.00'
    """
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def first_few(names: Sequence[str], *, at_most: int = 3) -> str:
    """Names as part of a sentence, the first of them if there are many.

    Example:
        >>> first_few(["a", "b"]), first_few(["a", "b", "c", "d", "e"])
        ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def percent(fraction: float) -> str:
    """A level in percent, without trailing zeros.

    Example:
        >>> percent(0.01), percent(0.025)
        ('1 %', '2.5 %')
    """
    return f"{100 * fraction:.4g} %"


def _four_digits(value: float) -> str:
    """Four significant digits, without an exponent below a hundred million."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return _in_powers(value) if magnitude > 7 else fixed(value, decimals=max(0, 3 - max(0, magnitude)))


def _value_number(value: float, *, decimals: int) -> str:
    """A value with the given number of decimals, or with as many as show three digits."""
    if abs(value) >= _LARGEST_WRITTEN_OUT:
        return _in_powers(value)
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.3g}" if digits > max(decimals, 9) else fixed(value, decimals=max(decimals, digits))


def _in_powers(value: float) -> str:
    """A large number with its power of ten.

    Example:
        >>> _in_powers(-2.7e195)
        '-2.7e195'
    """
    return f"{value:.4g}".replace("e+", "e")


def _decimals(metric: Metric) -> int:
    """Decimals that give the margin two digits, at most nine."""
    margin = abs(displayed_degradation(metric, metric.scaled_margin))
    if not (margin > 0 and math.isfinite(margin)):
        return 2
    return min(9, max(0, 1 - math.floor(math.log10(margin))))


def _quantity(metric: Metric) -> str:
    """``seconds``, ``bytes`` or neither."""
    if metric.unit in _SECOND_UNITS:
        return "seconds"
    return "bytes" if metric.unit in _BYTE_UNITS else ""
