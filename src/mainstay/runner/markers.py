"""Description of a collected test as a workload, from its fixture and its markers.

- :func:`describe_item`: a test as a workload.
- :func:`is_whole_test`: whether a test is timed as a whole.
- :data:`MARKERS`, :data:`FIXTURE_KINDS`: the markers and fixtures that make a test a workload.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from .digests import RecordingError
from .evaluation_markers import evaluation_looks, evaluation_metrics
from .marker_arguments import check_margin, check_marker, marked_number
from .protocol import CollectedMetric, DescribedWorkload
from .ready_metrics import READY_METRICS

MARKERS = {
    "accuracy": "accuracy(metric, margin, direction='higher', unit='', ceiling=None, resolution=0.0, "
    "kind='accuracy'): gate a recorded metric of the trial; the margin is in its unit",
    "evaluation": "evaluation(metric, margin, direction='higher', unit='', range=None, tier=None, tasks=None, "
    "looks=None): gate the scores of the items that trial.record_examples(metric, ...) records; the margin is in their "
    "unit",
    "performance": "performance(metric='call_time', margin, direction='lower', unit=''): gate a timed workload; the "
    "margin is a fraction, 0.05 unless the metric has another",
    "deterministic": "deterministic(metric, margin=0.0, direction='lower', unit=''): gate a deterministic "
    "count; the margin is a fraction",
}
"""The markers of mainstay with their help, as pytest registers them."""

DEFAULT_PERFORMANCE_MARGIN = 0.05
"""Margin of a timed metric that is not a ready one and names none: 5 % worse."""

FIXTURE_KINDS: Mapping[str, str] = {
    "trial": "accuracy",
    "benchmark": "performance",
    "codspeed_benchmark": "performance",
    "import_timer": "performance",
    "counts": "deterministic",
}
"""The fixtures that make a test a workload, each with the marker of its metrics; a workload uses exactly one. The marker
``evaluation`` takes the place of ``accuracy``."""

EXECUTION_OF_MARKER: Mapping[str, str] = {
    "accuracy": "trained",
    "evaluation": "evaluated",
    "performance": "interleaved",
    "deterministic": "once",
}
"""Execution of workloads by the marker of their metrics; ``alone`` if they need processes of their own."""

WHOLE_TEST_MARKERS = ("benchmark", "codspeed_benchmark")
"""Markers of pytest-codspeed; a test that has one, and uses no fixture of a workload, is timed as a whole."""


def is_whole_test(item: Any) -> bool:
    """Whether calls of the test function itself are timed."""
    used = not FIXTURE_KINDS.keys().isdisjoint(getattr(item, "fixturenames", ()))
    return not used and any(item.get_closest_marker(name) for name in WHOLE_TEST_MARKERS)


def describe_item(item: pytest.Item) -> DescribedWorkload | None:
    """A collected test as a workload; ``None`` if it measures nothing.

    Raises:
        RecordingError: If its markers cannot be understood.
    """
    used = [name for name in FIXTURE_KINDS if name in getattr(item, "fixturenames", ())]
    if not used and is_whole_test(item):
        unittest = sys.modules.get("unittest")
        if unittest and issubclass(getattr(item, "cls", None) or object, unittest.TestCase):
            raise RecordingError("a test of unittest cannot be timed as a whole: write a function that uses benchmark")
        used = ["benchmark"]
    if not used:
        _refuse_markers(item, accepted="")
        return None
    if len(used) > 1:
        raise RecordingError(f"a workload uses one of {', '.join(FIXTURE_KINDS)}, not {' and '.join(used)}")
    kind = FIXTURE_KINDS[used[0]]
    if kind == "accuracy" and item.get_closest_marker("evaluation"):
        if item.get_closest_marker("accuracy"):
            raise RecordingError("a workload is marked with accuracy or with evaluation, not with both")
        kind = "evaluation"
    _refuse_markers(item, accepted=kind, fixture=used[0])
    markers = list(reversed(list(item.iter_markers(kind))))
    if kind == "performance" and not markers:
        default = "import_time" if used[0] == "import_timer" else "call_time"
        markers = [pytest.mark.performance(metric=default).mark]
    metrics = [metric for marker in markers for metric in _metrics_of(marker, kind)]
    _check_producer(used[0], metrics)
    return {
        "id": item.nodeid,
        "execution": "alone" if _is_alone(metrics) else EXECUTION_OF_MARKER[kind],
        "metrics": metrics,
        "looks": evaluation_looks(markers) if kind == "evaluation" else [],
        "is_skipped": any(map(_skips, item.iter_markers())),
    }


def _refuse_markers(item: pytest.Item, *, accepted: str, fixture: str = "") -> None:
    """Refuse a marker of mainstay's that gates nothing, because the fixture of the test records no such metric."""
    name = next((name for name in MARKERS if name != accepted and item.get_closest_marker(name)), "")
    if not name:
        return
    if fixture:
        raise RecordingError(
            f"the marker {name} gates nothing here, since {fixture} records metrics of {accepted}(...) only: measure that "
            "metric in a test of its own"
        )
    kind = "accuracy" if name == "evaluation" else name
    fixtures = [each for each, of in FIXTURE_KINDS.items() if of == kind]
    raise RecordingError(
        f"the marker {name} gates nothing here, since the test does not take {' or '.join(fixtures)} as an argument: take "
        "the fixture that measures, or rename the marker if it belongs to another tool"
    )


def _skips(mark: pytest.Mark) -> bool:
    """Whether a mark skips a test here or lets it fail; a condition given as text counts as true."""
    conditions = (*mark.args, *([mark.kwargs["condition"]] if "condition" in mark.kwargs else []))
    if mark.name == "xfail":
        return any(conditions) or not conditions
    return mark.name == "skip" or (mark.name == "skipif" and any(conditions))


def _metrics_of(marker: pytest.Mark, kind: str) -> list[CollectedMetric]:
    """The gated metrics that one marker declares."""
    if kind == "evaluation":
        return evaluation_metrics(marker)
    return [_accuracy_metric(marker) if kind == "accuracy" else _ready_metric(marker, kind)]


def _accuracy_metric(marker: pytest.Mark) -> CollectedMetric:
    """The gated metric that an ``accuracy`` marker declares."""
    default = {"direction": "higher", "unit": "", "ceiling": None, "resolution": 0.0, "kind": "accuracy"}
    metric = {**default, **marker.kwargs}
    check_marker(marker, metric, {"metric", "margin", *default})
    if not isinstance(metric["kind"], str):
        raise RecordingError(f"marker accuracy needs text as 'kind', not {metric['kind']!r}")
    if metric["kind"] in MARKERS.keys() - {"accuracy"}:
        raise RecordingError(f"a metric of the kind {metric['kind']} has a marker of its own: {metric['kind']}(...)")
    for name in ("ceiling", "resolution"):
        if not (name == "ceiling" and metric[name] is None):
            metric[name] = marked_number(marker, name, metric[name])
    check_margin(marker, metric["margin"], least=math.ulp(0.0))
    if metric["kind"] == "accuracy" and metric["unit"] in {"", "fraction"} and metric["margin"] >= 1:
        raise RecordingError(
            f"marker accuracy has margin={metric['margin']!r} for {metric['metric']}, a fraction, which no degradation "
            f"exceeds: write margin={metric['margin'] / 100:g} for {metric['margin']:g} points, or declare the unit of "
            "values that are no fractions, such as unit='percent', or unit='1' for plain numbers"
        )
    described = _described(metric, metric["kind"])  # the gate knows which kinds exist
    return {**described, "ceiling": metric["ceiling"], "resolution": metric["resolution"]}


def _ready_metric(marker: pytest.Mark, kind: str) -> CollectedMetric:
    """The gated metric that a ``performance`` or ``deterministic`` marker declares, completed from the table."""
    named = {"metric": "call_time", **marker.kwargs} if kind == "performance" else dict(marker.kwargs)
    ready = READY_METRICS.get(str(named.get("metric", "")))
    if ready and ready.kind != kind:
        raise RecordingError(f"{named['metric']} is a {ready.kind} metric: mark it with {ready.kind}(...)")
    margin = DEFAULT_PERFORMANCE_MARGIN if kind == "performance" else 0.0
    default = {"margin": margin, "direction": "lower", "unit": ""}
    if ready:
        default = {"margin": ready.margin, "direction": ready.direction, "unit": ready.unit}
    metric = {**default, **named}
    check_marker(marker, metric, {"metric", "margin", "direction", "unit"})
    check_margin(marker, metric["margin"], least=math.ulp(0.0) if kind == "performance" else 0.0)
    if metric["margin"] > 1:
        raise RecordingError(
            f"marker {kind} has margin={metric['margin']!r} for {metric['metric']}, which lets it grow to "
            f"{1 + metric['margin']:g} times as much: a margin is a fraction, write margin={metric['margin'] / 100:g} for "
            f"{metric['margin']:g} %"
        )
    return _described(metric, kind)


def _described(metric: Mapping[str, Any], kind: str) -> CollectedMetric:
    """A metric by the arguments that all markers share."""
    return {
        "name": metric["metric"],
        "kind": kind,
        "direction": metric["direction"],
        "margin": metric["margin"],
        "unit": metric["unit"],
    }


def _check_producer(fixture: str, metrics: Sequence[CollectedMetric]) -> None:
    """Refuse a metric that the fixture of its workload does not record."""
    names = {metric["name"] for metric in metrics}
    if len(names) < len(metrics):
        raise RecordingError("a metric is marked twice")
    if fixture == "import_timer" and (others := sorted(names - {"import_time"})):
        raise RecordingError(f"import_timer gives import_time, not {others[0]}: measure that in a test of its own")
    if fixture in WHOLE_TEST_MARKERS and "import_time" in names:
        raise RecordingError("import_time needs the fixture import_timer, which imports in fresh interpreters")


def _is_alone(metrics: Sequence[CollectedMetric]) -> bool:
    """Whether the trials of a workload need processes of their own.

    Raises:
        RecordingError: If some of its metrics do and some do not.
    """
    alone = {metric["name"] for metric in metrics if (m := READY_METRICS.get(metric["name"])) and m.is_alone}
    if alone and len(alone) < len(metrics):
        raise RecordingError(f"{min(alone)} needs fresh processes: measure it in a test of its own")
    return bool(alone)
