"""What findings are made of: the sentence and its chart, words for numbers, marks with intervals, ends and ticks of axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scripts.documentation.charts import Axis, Mark, Row


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        sentence: It, with its figures.
        chart: What it is read from, as HTML; nothing where there is too little to draw.
    """

    sentence: str
    chart: str = ""


SHARE = Axis("share of gates, %", [0, 0.25, 0.5, 0.75, 1], (0, 1.02), show=lambda rate: f"{100 * rate:g}")
"""From nothing to all."""


def percent(rate: float, digits: int = 0) -> str:
    """Return a rate as a reader sees it.

    Example:
        >>> percent(0.0008, 2), percent(1)
        ('0.08 %', '100 %')
    """
    return f"{100 * rate:.{digits}f} %"


def signed(value: float, digits: int = 2) -> str:
    """Return a difference with its sign; what rounds to nothing has none.

    Example:
        >>> signed(4.423), signed(-0.006), signed(-0.001)
        ('+4.42', '−0.01', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def spread(values: Iterable[float], show: Callable[[float], str]) -> str:
    """Return the ends of some values.

    Example:
        >>> spread([3, 1, 2], str), spread([1, 1], str)
        ('1 to 3', '1')
    """
    ordered = sorted(values)
    low, high = show(ordered[0]), show(ordered[-1])
    return low if low == high else f"{low} to {high}"


def words(key: str) -> str:
    """Return the name of a key.

    Example:
        >>> words("top1_accuracy")
        'top1 accuracy'
    """
    return key.replace("_", " ")


def rate_mark(series: int, rate: Mapping[str, Any]) -> Mark:
    """Return the mark of a rate with its interval."""
    return Mark(series, rate["rate"], rate["low"], rate["high"])


def gain_mark(series: int, gain: Mapping[str, Any], *, key: str, unit: float) -> Mark:
    """Return the mark of a mean with its interval, in a unit."""
    low, high = gain["interval"]
    return Mark(series, gain[key] / unit, low / unit, high / unit)


def with_interval(mark: Mark, show: Callable[[float], str]) -> str:
    """Return a value with its interval.

    Example:
        >>> with_interval(Mark(0, 4.42, 4.07, 4.77), signed)
        '+4.42 (+4.07 to +4.77)'
    """
    return f"{show(mark.value)} ({show(mark.low)} to {show(mark.high)})"


def limits(rows: Sequence[Row], *also: float, room: float = 0.04) -> tuple[float, float]:
    """Return ends of an axis that hold every interval of some rows and what else it shows."""
    ends = [end for row in rows for mark in row.marks for end in (mark.low, mark.high)] + list(also)
    extra = room * (max(ends) - min(ends))
    return min(ends) - extra, max(ends) + extra


def steps(low: float, high: float) -> list[float]:
    """Return about five round numbers between two ends.

    Example:
        >>> steps(-1.2, 4.7)
        [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
        >>> steps(0, 286)
        [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]
    """
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((size * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(step - rough))
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def powers(low: float, high: float, *, factors: Sequence[float] = (1,)) -> list[float]:
    """Return powers of ten between two ends, times some factors; negative ones too.

    Example:
        >>> powers(-2, 200)
        [-1.0, 1.0, 10.0, 100.0]
    """
    sizes = [10.0**power * factor for power in range(-6, 7) for factor in factors]
    return [
        value for value in [*(-size for size in reversed(sizes)), *sizes] if low <= value <= high and abs(value) >= 1
    ]


def plain(value: float) -> str:
    """Return the text of a mark of an axis."""
    return f"{value:g}".replace("-", "−")


def hundredth(value: float) -> str:
    """Return a number to two digits."""
    return f"{value:.2f}"


def points(share: float) -> str:
    """Return a share in percentage points.

    Example:
        >>> points(0.01), points(0.025)
        ('1 point', '2.5 points')
    """
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def listed(rows: Sequence[Row]) -> str:
    """Return the names of rows."""
    return " and ".join(f"“{row.name}”" for row in rows)


def by_first(
    records: Sequence[Mapping[str, Any]],
    key: str,
    mark: Callable[[Mapping[str, Any]], Mark],
    note: Callable[[Mapping[str, Any]], str],
) -> list[Row]:
    """Return one row for all records that share a value."""
    together: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        together.setdefault(str(record[key]), []).append(record)
    return [Row(name, [*map(mark, same)], " · ".join(map(note, same))) for name, same in together.items()]
