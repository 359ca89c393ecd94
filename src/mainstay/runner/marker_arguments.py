"""Checks of the arguments of mainstay's markers.

- :func:`check_marker`: the arguments that all markers share.
- :func:`marked_number`, :func:`check_margin`: single numbers.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import pytest

from .digests import RecordingError


def check_marker(marker: pytest.Mark, metric: dict[str, Any], known: set[str]) -> None:
    """Refuse a marker with an unknown, missing or invalid argument.

    Args:
        marker: The marker.
        metric: Its arguments with the defaults.
        known: Names of all arguments.

    Raises:
        RecordingError: For the first argument that cannot be used.
    """
    if marker.args:
        raise RecordingError(f"marker {marker.name} takes named arguments only")
    if unknown := sorted(metric.keys() - known):
        raise RecordingError(
            f"marker {marker.name} has no argument {unknown[0]!r}; it knows {', '.join(sorted(known))}"
        )
    if missing := sorted({"metric", "margin"} - metric.keys()):
        raise RecordingError(f"marker {marker.name} needs {missing[0]!r}")
    for name in ("metric", "unit"):
        if not isinstance(metric[name], str):
            raise RecordingError(f"marker {marker.name} needs text as {name!r}, not {metric[name]!r}")
    if not metric["metric"]:
        raise RecordingError(f"marker {marker.name} needs a name as 'metric'")
    if metric["direction"] not in ("higher", "lower"):
        raise RecordingError(f"marker {marker.name} knows directions 'higher' and 'lower', not {metric['direction']!r}")


def marked_number(marker: pytest.Mark, name: str, value: Any) -> float:
    """A numeric argument of a marker.

    Args:
        marker: The marker.
        name: Name of the argument.
        value: Its value.

    Raises:
        RecordingError: If it is anything but a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise RecordingError(f"marker {marker.name} needs a number as {name!r}, not {value!r}")
    return float(value)


def check_margin(marker: pytest.Mark, margin: Any, *, least: float) -> None:
    """Refuse a margin that is not a number or out of range.

    Args:
        marker: The marker.
        margin: The margin as given.
        least: The smallest allowed margin.

    Raises:
        RecordingError: If it is refused.
    """
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not least <= margin < math.inf:
        expected = "a margin above 0" if least else "a margin of 0 or above"
        raise RecordingError(f"marker {marker.name} needs {expected}, not {margin!r}")
