"""Metrics that the marker ``evaluation`` declares: one for a score, or one for each of its tasks and one for their mean.

- :func:`evaluation_metrics`: the metrics of one marker.
- :func:`evaluation_looks`: the looks that the markers of one test want.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from .digests import RecordingError
from .marker_arguments import check_margin, check_marker, marked_number
from .protocol import CollectedMetric

TIERS = ("blocking", "guard", "advisory")
"""Tiers that a marker can declare."""

SHARE = (0.0, 1.0)
"""Range of scores that are shares."""

DEFAULTS = {"direction": "higher", "unit": "", "range": None, "tier": None, "tasks": None, "looks": None}
"""Arguments that may be left out."""


def evaluation_metrics(marker: pytest.Mark) -> list[CollectedMetric]:
    """The gated metrics of a marker: the mean of its tasks first, then each task.

    Args:
        marker: A marker ``evaluation``.

    Raises:
        RecordingError: If an argument cannot be used.

    Example:
        >>> import pytest
        >>> marker = pytest.mark.evaluation(metric="accuracy", margin=0.01, tasks={"easy": 0.05, "hard": 0.05}).mark
        >>> [(metric["name"], metric["margin"]) for metric in evaluation_metrics(marker)]
        [('accuracy', 0.01), ('accuracy/easy', 0.05), ('accuracy/hard', 0.05)]
    """
    metric: dict[str, Any] = {**DEFAULTS, **marker.kwargs}
    check_marker(marker, metric, {"metric", "margin", *DEFAULTS})
    name = metric["metric"]
    if "/" in name:
        raise RecordingError(f"marker evaluation needs a name without '/', which stands before a task, not {name!r}")
    score_range, tasks = _range(marker, metric["range"]), _tasks(marker, metric["tasks"], metric["margin"])
    unit = metric["unit"] or ("" if score_range in (None, SHARE) else "1")
    if metric["tier"] is not None and metric["tier"] not in TIERS:
        raise RecordingError(f"marker evaluation knows tiers {', '.join(TIERS)}, not {metric['tier']!r}")
    metrics: list[CollectedMetric] = []
    for task, margin in {"": metric["margin"], **tasks}.items():
        _check_score_margin(marker, task or name, margin, unit, score_range)
        metrics.append(
            {
                "name": f"{name}/{task}" if task else name,
                "kind": "accuracy",
                "direction": metric["direction"],
                "margin": margin,
                "unit": unit,
                "scoring": {
                    "score": name,
                    "task": task,
                    "tasks": [] if task else list(tasks),
                    "range": list(score_range) if score_range else None,
                    "tier": metric["tier"] or "",
                },
            }
        )
    return metrics


def evaluation_looks(markers: Sequence[pytest.Mark]) -> list[float]:
    """Shares of the items at which the markers of one test want looks; empty if they do not say.

    Args:
        markers: All markers ``evaluation`` of a test.

    Raises:
        RecordingError: If they are no ascending shares that end in 1, or two markers disagree.
    """
    told = [(marker, marker.kwargs["looks"]) for marker in markers if marker.kwargs.get("looks") is not None]
    if not told:
        return []
    marker, looks = told[0]
    if isinstance(looks, (str, bytes)) or not isinstance(looks, Sequence) or not looks:
        raise RecordingError(f"marker evaluation needs shares such as (0.25, 0.5, 1.0) as 'looks', not {looks!r}")
    shares = [marked_number(marker, "looks", share) for share in looks]
    if not all(low < high for low, high in zip([0.0, *shares], shares, strict=False)) or shares[-1] != 1:
        raise RecordingError(
            f"marker evaluation needs ascending shares above 0 that end in 1 as 'looks', not {looks!r}"
        )
    if any(tuple(other) != tuple(looks) for _, other in told):
        raise RecordingError("the markers of a workload want different looks, but its items are scored once")
    return shares


def _range(marker: pytest.Mark, value: Any) -> tuple[float, float] | None:
    """The declared smallest and largest score."""
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) != 2:
        raise RecordingError(f"marker evaluation needs the smallest and the largest score as 'range', not {value!r}")
    low, high = (marked_number(marker, "range", end) for end in value)
    if low >= high:
        raise RecordingError(f"marker evaluation needs the smallest score first as 'range', not {value!r}")
    return low, high


def _tasks(marker: pytest.Mark, value: Any, margin: Any) -> dict[str, Any]:
    """Margin of each declared task."""
    if value is None:
        return {}
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, Mapping)):
        raise RecordingError(
            f"marker evaluation needs names of tasks as 'tasks', with or without margins, not {value!r}"
        )
    names = list(value)
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise RecordingError(f"marker evaluation needs text as the name of a task, not {wrong[0]!r}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise RecordingError("marker evaluation needs at least two tasks, each named once; leave out 'tasks' for one")
    return dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, margin)


def _check_score_margin(
    marker: pytest.Mark, name: str, margin: Any, unit: str, score_range: tuple[float, float] | None
) -> None:
    """Refuse a margin that is too large for the range of the scores, such as 2 for a share."""
    check_margin(marker, margin, least=math.ulp(0.0))
    low, high = score_range or (SHARE if unit in {"", "fraction"} else (-math.inf, math.inf))
    if margin >= (high - low) / 2:
        hint = f": write {margin / 100:g} for {margin:g} points of 100" if (low, high) == SHARE else ""
        raise RecordingError(
            f"marker evaluation has margin={margin!r} for {name}, half the range of its scores or more{hint}; scores that "
            "are no shares need a range or a unit"
        )
