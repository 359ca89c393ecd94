"""The process that runs workloads for one revision: one file, the standard library and pytest only.

The gate starts it with the interpreter of a revision's environment, in an empty folder, and speaks with it in JSON
lines over two pipes of their own; what the workload prints goes elsewhere and is never parsed. Under plain ``pytest``
:class:`Trial`, :class:`Counts` and :func:`probe_import` serve the fixtures of :mod:`mainstay.pytest_plugin`.

- :class:`Trial`: what an accuracy workload records.
- :class:`TreeDigest`: SHA-256 of nested numbers, text and arrays.
- :class:`Counts`: what a workload counts that must repeat itself exactly.
- :class:`Benchmark`: the ``benchmark`` fixture, with the interface of pytest-benchmark, timed block by block.
- :class:`BlockStatistics`, :class:`BenchmarkStatistics`: what ``benchmark.stats`` tells of it.
- :class:`ImportTimer`: times an import in fresh interpreters.
- :data:`READY_METRICS`: unit, direction and margin of what can be gated without being defined first.
- :class:`Channel`: the two pipes.
- :class:`WorkerPlugin`: the pytest plugin that collects, waits for commands and runs one workload at a time.
- :class:`WorkerServer`: imports modules once and forks workers that find them loaded.

Events to the gate: ``collecting``, ``collected``, ``ready``, ``block``, ``finished``, ``images``. Commands from it:
``collect``, ``run``, ``block``, ``done``, ``images``, ``exit``. A timed workload is started by ``run``, warms up and says
``ready``; each ``block`` asks for so many calls and is answered with their seconds, until ``done`` lets the test go on to
``finished``. Every command has a token that its answer repeats, so that nothing written to the pipe by accident is taken
for one; :mod:`mainstay.workers.events` has the form of each event.
A closed command pipe means that the gate is gone: the worker then kills all that it started, and its own process group.

Asked for with ``preload``, the file is a server in place of a worker. It speaks with the gate over a Unix socket: it says
``ready`` or ``refused``, then takes a line of JSON and four descriptors for each worker (commands, events, output and a
socket that tells the worker's process id and, later, how it ended). A closed socket ends the server and its workers.
"""

from __future__ import annotations

import ast
import base64
import ctypes
import errno
import functools
import gc
import hashlib
import importlib
import importlib.util
import inspect
import ipaddress
import itertools
import json
import math
import numbers
import operator
import os
import queue
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter  # bound here: a workload that patches the module's clock must not change what is measured
from typing import Any, Literal, SupportsFloat

import pytest

PROTOCOL_VERSION = 1
"""Raised whenever an event or a command changes its meaning."""

MAX_CLASSES = 256
"""Predictions travel as one byte each."""

ImageSource = Callable[[list[int]], Sequence[bytes]]
"""Gives the PNG files of the examples asked for."""


class RecordingError(ValueError):
    """A workload recorded something that cannot be judged."""


class TreeDigest:
    """SHA-256 of nested mappings and sequences of numbers, strings, bytes and arrays.

    Order, types, shapes and dtypes count, so equal digests mean equal trees, bit for bit.

    Attributes:
        num_leaves: How many numbers, strings and arrays went in.

    Example:
        >>> first, second = TreeDigest(), TreeDigest()
        >>> first.update({"weights": [1.0, 2.0]})
        >>> second.update({"weights": [2.0, 1.0]})
        >>> first.hexdigest() == second.hexdigest()
        False
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.num_leaves = 0

    def hexdigest(self) -> str:
        """The digest of everything so far, in hexadecimal."""
        return self._hash.hexdigest()

    def update(self, tree: Any) -> None:
        """Add a tree.

        Raises:
            RecordingError: If a leaf is neither number, text, bytes nor array.
        """
        if isinstance(tree, Mapping):
            self._write(b"mapping", str(len(tree)).encode())
            for key, value in tree.items():
                self._write(*_leaf(key))
                self.update(value)
        elif isinstance(tree, (list, tuple)):
            self._write(b"sequence", str(len(tree)).encode())
            for value in tree:
                self.update(value)
        else:
            self._write(*_leaf(tree))
            self.num_leaves += 1

    def _write(self, kind: bytes, content: bytes) -> None:
        self._hash.update(struct.pack(">QQ", len(kind), len(content)))
        self._hash.update(kind)
        self._hash.update(content)


def _leaf(value: Any) -> tuple[bytes, bytes]:
    """Type and content of a leaf as bytes."""
    if value is None or isinstance(value, (bool, int)):
        return b"number", repr(value).encode()
    if isinstance(value, float):
        return b"float", struct.pack(">d", value)
    if isinstance(value, str):
        return b"text", value.encode("utf-8", "surrogatepass")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor_leaf(value, torch)
    try:
        view = memoryview(value)
    except TypeError:
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(value, "__array_interface__"):
            fact = f"a digest takes numbers, text, bytes and arrays, not {type(value).__qualname__}"
            raise RecordingError(fact) from None
        view = memoryview(numpy.asarray(value))
    if "O" in view.format:
        raise RecordingError("a digest cannot take an array of Python objects")
    return f"array {view.format} {view.shape}".encode(), view.tobytes()


def _tensor_leaf(tensor: Any, torch: Any) -> tuple[bytes, bytes]:
    """Type and content of a dense tensor of any dtype and device."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise RecordingError(f"a digest takes dense tensors, not {tensor.layout}")
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return f"tensor {tensor.dtype} {tuple(tensor.shape)}".encode(), flat.numpy().tobytes()


class Trial:
    """One execution of an accuracy workload: gives the seed, takes what was measured.

    Args:
        seed: The seed that the workload must use for everything random.

    Example:
        >>> trial = Trial(seed=7)
        >>> trial.record(top1_accuracy=0.977)
        >>> trial.values
        {'top1_accuracy': 0.977}
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.values: dict[str, float] = {}
        self.series: dict[str, list[float]] = {}
        self.context: dict[str, str | int | float | bool] = {}
        self.predictions: dict[str, str] | None = None
        self._images: ImageSource | None = None
        self._tree: TreeDigest | None = None

    def record(self, **values: SupportsFloat) -> None:
        """Record metrics by name; a name is recorded once.

        Raises:
            RecordingError: If a name comes twice or a value is not one number.
        """
        for name, value in values.items():
            if name in self.values:
                raise RecordingError(f"{name} was recorded twice")
            self.values[name] = _number(name, value)

    def record_series(self, name: str, values: Iterable[float]) -> None:
        """Record a learning curve, one value an epoch."""
        if name in self.series:
            raise RecordingError(f"series {name} was recorded twice")
        self.series[name] = [_number(name, value) for value in values]

    def record_context(self, **context: str | float | bool) -> None:
        """Record circumstances that must be equal in both revisions, such as the data set and its checksum."""
        for name, value in context.items():
            if not isinstance(value, (str, int, float, bool)):
                raise RecordingError(f"context {name} must be text or a number, not {type(value).__qualname__}")
            if isinstance(value, float) and not math.isfinite(value):
                raise RecordingError(f"context {name} is {value}, which equals nothing")
            self.context[name] = value

    def record_predictions(
        self, predicted: Iterable[int], labels: Iterable[int], images: ImageSource | None = None
    ) -> None:
        """Record the predicted and the true class of every test example, in the order of the test set.

        Args:
            predicted: Predicted classes, shape (N,), integers in [0, 255].
            labels: True classes, shape (N,).
            images: Gives PNG files for a list of indices; asked for at most 100 examples that flipped.

        Raises:
            RecordingError: If lengths differ or a class does not fit one byte.
        """
        predicted_bytes, label_bytes = _classes("predicted", predicted), _classes("labels", labels)
        if len(predicted_bytes) != len(label_bytes):
            raise RecordingError(f"{len(predicted_bytes)} predictions for {len(label_bytes)} labels")
        self.predictions = {
            "predicted": base64.b64encode(predicted_bytes).decode(),
            "labels": base64.b64encode(label_bytes).decode(),
            "labels_digest": hashlib.sha256(label_bytes).hexdigest(),
        }
        self._images = images

    def record_digest(self, tree: Any) -> None:
        """Record everything that must be equal, bit for bit, for the change to count as exact.

        Args:
            tree: Nested mappings and sequences of numbers, text, bytes, arrays and tensors: at least the final
                parameters and buffers. Recorded metrics, series and predictions are added by the worker.

        Raises:
            RecordingError: If the tree holds nothing, or something that is not data.
        """
        if self._tree is not None:
            raise RecordingError("the digest was recorded twice")
        digest = TreeDigest()
        digest.update(tree)
        if digest.num_leaves == 0:
            raise RecordingError("the digest is empty: it holds no number, text or array")
        self._tree = digest

    @property
    def digest(self) -> str:
        """Digest of the recorded tree with all that was recorded besides; empty if no tree was recorded."""
        if self._tree is None:
            return ""
        whole = TreeDigest()
        whole.update([self._tree.hexdigest(), self.values, self.series, self.predictions])
        return whole.hexdigest()

    def recorded(self) -> dict[str, Any]:
        """What goes to the gate."""
        return {
            "values": {name: _json_number(value) for name, value in self.values.items()},
            "series": {name: [_json_number(value) for value in values] for name, values in self.series.items()},
            "context": self.context,
            "predictions": self.predictions,
            "digest": self.digest,
        }

    def images(self, indices: list[int]) -> list[bytes]:
        """PNG files of the examples asked for; empty if the workload gave no source."""
        return [bytes(image) for image in self._images(indices)] if self._images else []


def _number(name: str, value: Any) -> float:
    """A recorded value as a float; what is not one number is refused."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordingError(f"{name} must be one number, not {type(value).__qualname__}") from error


def _classes(name: str, values: Any) -> bytes:
    """Classes as one byte each."""
    numbers = values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return bytes(numbers)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{name} must be whole numbers from 0 to {MAX_CLASSES - 1}, one an example") from error


class Channel:
    """JSON lines to and from the gate, over two descriptors of their own.

    A thread waits for commands while the workload runs, so that the end of the gate ends the worker at once. No child of
    the worker inherits the descriptors.

    Args:
        commands: Descriptor to read commands from.
        events: Descriptor to write events to.
    """

    def __init__(self, commands: int, events: int) -> None:
        self._events = events
        self._token = ""
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for descriptor in (commands, events):
            os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._let_go)
        threading.Thread(target=self._listen, args=(commands,), daemon=True, name="mainstay commands").start()

    def _listen(self, commands: int) -> None:
        with os.fdopen(commands, "rb") as stream:
            for line in stream:
                self._queue.put(json.loads(line))
        kill_children()
        os.killpg(os.getpid(), signal.SIGKILL)

    def _let_go(self) -> None:
        """Close the event descriptor in a forked child."""
        os.close(self._events)
        self._events = -1

    def receive(self) -> dict[str, Any]:
        """The next command; waits for it."""
        command = self._queue.get()
        self._token = command.pop("token")
        return command

    def send(self, event: str, **content: Any) -> None:
        """Send an event."""
        line = json.dumps({"event": event, "token": self._token, **content}, allow_nan=False)
        data = memoryview((line + "\n").encode())
        while data:
            data = data[os.write(self._events, data) :]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyMetric:
    """What can be gated by its name alone.

    Attributes:
        kind: ``performance`` (ratios over pairs) or ``deterministic`` (compared once, by equality).
        unit: Of its values; empty for a count.
        direction: Which values are better.
        margin: The loss tolerated where the marker names none, as a fraction of the baseline.
        meaning: What it is, in a line.
        is_alone: Whether each trial needs a process of its own, which nothing else has used.
    """

    kind: Literal["performance", "deterministic"]
    unit: str
    direction: Literal["higher", "lower"]
    margin: float
    meaning: str
    is_alone: bool = False


READY_METRICS: Mapping[str, ReadyMetric] = {
    "call_time": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.05, meaning="time of one call, the mean over blocks"
    ),
    "throughput": ReadyMetric(
        kind="performance",
        unit="examples/s",
        direction="higher",
        margin=0.05,
        meaning="benchmark.extra_info['examples'], the examples of one call, over the time of a call",
    ),
    "latency_median": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.05, meaning="median over calls timed one by one"
    ),
    "latency_p95": ReadyMetric(
        kind="performance",
        unit="s",
        direction="lower",
        margin=0.15,
        meaning="95th percentile over calls timed one by one",
    ),
    "import_time": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.1, meaning="time of an import in a fresh interpreter"
    ),
    "peak_memory": ReadyMetric(
        kind="performance",
        unit="B",
        direction="lower",
        margin=0.05,
        meaning="peak resident memory of a fresh process that made a few calls",
        is_alone=True,
    ),
    "peak_accelerator_memory": ReadyMetric(
        kind="performance",
        unit="B",
        direction="lower",
        margin=0.05,
        meaning="peak memory that torch allocated on the GPU during a few calls",
        is_alone=True,
    ),
    "parameters": ReadyMetric(
        kind="deterministic", unit="", direction="lower", margin=0.0, meaning="numbers that a model learns"
    ),
    "flops": ReadyMetric(
        kind="deterministic",
        unit="",
        direction="lower",
        margin=0.0,
        meaning="floating-point operations of a call, as torch.utils.flop_counter counts them",
    ),
    "imported_modules": ReadyMetric(
        kind="deterministic",
        unit="",
        direction="lower",
        margin=0.02,
        meaning="modules that an import loads from outside the project, in a fresh interpreter",
    ),
    "checkpoint_bytes": ReadyMetric(
        kind="deterministic", unit="B", direction="lower", margin=0.01, meaning="size of a file that was written"
    ),
}
"""The one table of ready metrics. A marker may change the margin, and may name a metric of its own instead."""

MARKERS = {
    "accuracy": "accuracy(metric, margin, direction='higher', unit='', ceiling=None, resolution=0.0): gate a recorded "
    "metric of the trial; the margin is in its unit",
    "performance": "performance(metric='call_time', margin, direction='lower', unit=''): gate a timed workload; the "
    "margin is a fraction, 0.05 unless the metric has another",
    "deterministic": "deterministic(metric, margin=0.0, direction='lower', unit=''): gate a count that must repeat "
    "itself exactly; the margin is a fraction",
}
"""The markers of mainstay with their help, as pytest registers them."""

DEFAULT_PERFORMANCE_MARGIN = 0.05
"""Margin of a timed metric that is not a ready one and names none: 5 % worse."""

FIXTURE_KINDS = {
    "trial": "accuracy",
    "benchmark": "performance",
    "import_timer": "performance",
    "counts": "deterministic",
}
"""The fixtures that make a test a workload, with the kind of its metrics; a workload uses one of them."""


WHOLE_TEST_MARKERS = ("benchmark", "codspeed_benchmark")
"""Markers of pytest-codspeed; on a test that uses no fixture of a workload they ask for the time of the whole test."""


def is_whole_test(item: Any) -> bool:
    """Whether calls of the test function itself are timed."""
    used = not FIXTURE_KINDS.keys().isdisjoint(getattr(item, "fixturenames", ()))
    return not used and any(item.get_closest_marker(name) for name in WHOLE_TEST_MARKERS)


def describe_item(item: pytest.Item) -> dict[str, Any] | None:
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
        return None
    if len(used) > 1:
        raise RecordingError(f"a workload uses one of {', '.join(FIXTURE_KINDS)}, not {' and '.join(used)}")
    kind = FIXTURE_KINDS[used[0]]
    markers = list(reversed(list(item.iter_markers(kind))))
    if kind == "performance" and not markers:
        default = "import_time" if used[0] == "import_timer" else "call_time"
        markers = [pytest.mark.performance(metric=default).mark]
    metrics = [_accuracy_metric(m) if kind == "accuracy" else _ready_metric(m, kind) for m in markers]
    _check_producer(used[0], metrics)
    return {
        "id": item.nodeid,
        "kind": kind,
        "metrics": metrics,
        "is_alone": _is_alone(metrics),
        "is_skipped": any(map(_skips, item.iter_markers())),
    }


def _skips(mark: pytest.Mark) -> bool:
    """Whether a mark skips a test here, or lets it fail; a condition given as text is taken to hold."""
    conditions = (*mark.args, *([mark.kwargs["condition"]] if "condition" in mark.kwargs else []))
    if mark.name == "xfail":
        return any(conditions) or not conditions
    return mark.name == "skip" or (mark.name == "skipif" and any(conditions))


def _accuracy_metric(marker: pytest.Mark) -> dict[str, Any]:
    """The gated metric that an ``accuracy`` marker declares."""
    metric = {"direction": "higher", "unit": "", "ceiling": None, "resolution": 0.0, **marker.kwargs}
    _check_marker(marker, metric, {"metric", "margin", "direction", "unit", "ceiling", "resolution"})
    for name in ("ceiling", "resolution"):
        if not (name == "ceiling" and metric[name] is None):
            metric[name] = _marked_number(marker, name, metric[name])
    _check_margin(marker, metric["margin"], least=math.ulp(0.0))
    if metric["unit"] in {"", "fraction"} and metric["margin"] >= 1:
        raise RecordingError(
            f"marker accuracy has margin={metric['margin']!r} for {metric['metric']}, a fraction, which no loss exceeds: "
            f"write margin={metric['margin'] / 100:g} for {metric['margin']:g} points, or declare the unit of values that "
            "are no fractions, such as unit='percent', or unit='1' for plain numbers"
        )
    return {"name": metric.pop("metric"), "kind": "accuracy", **metric}


def _ready_metric(marker: pytest.Mark, kind: str) -> dict[str, Any]:
    """The gated metric that a ``performance`` or ``deterministic`` marker declares, filled up from the table."""
    named = {"metric": "call_time", **marker.kwargs} if kind == "performance" else dict(marker.kwargs)
    ready = READY_METRICS.get(str(named.get("metric", "")))
    if ready and ready.kind != kind:
        raise RecordingError(f"{named['metric']} is a {ready.kind} metric: mark it with {ready.kind}(...)")
    margin = DEFAULT_PERFORMANCE_MARGIN if kind == "performance" else 0.0
    default = {"margin": margin, "direction": "lower", "unit": ""}
    if ready:
        default = {"margin": ready.margin, "direction": ready.direction, "unit": ready.unit}
    metric = {**default, **named}
    _check_marker(marker, metric, {"metric", "margin", "direction", "unit"})
    _check_margin(marker, metric["margin"], least=math.ulp(0.0) if kind == "performance" else 0.0)
    if metric["margin"] > 1:
        raise RecordingError(
            f"marker {kind} has margin={metric['margin']!r} for {metric['metric']}, which lets it grow to "
            f"{1 + metric['margin']:g} times as much: a margin is a fraction, write margin={metric['margin'] / 100:g} for "
            f"{metric['margin']:g} %"
        )
    return {"name": metric.pop("metric"), "kind": kind, **metric}


def _check_marker(marker: pytest.Mark, metric: dict[str, Any], known: set[str]) -> None:
    """Refuse a marker that names an unknown argument, lacks one, or has a direction that cannot be meant."""
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


def _marked_number(marker: pytest.Mark, name: str, value: Any) -> float:
    """A number of a marker; what is not one number is refused."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise RecordingError(f"marker {marker.name} needs a number as {name!r}, not {value!r}")
    return float(value)


def _check_margin(marker: pytest.Mark, margin: Any, *, least: float) -> None:
    """Refuse a margin that is no number, or too small to be meant."""
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not least <= margin < math.inf:
        expected = "a margin above 0" if least else "a margin of 0 or above"
        raise RecordingError(f"marker {marker.name} needs {expected}, not {margin!r}")


def _check_producer(fixture: str, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a metric that the fixture of its workload cannot give."""
    names = {metric["name"] for metric in metrics}
    if len(names) < len(metrics):
        raise RecordingError("a metric is marked twice")
    if fixture == "import_timer" and (others := sorted(names - {"import_time"})):
        raise RecordingError(f"import_timer gives import_time, not {others[0]}: measure that in a test of its own")
    if fixture == "benchmark" and "import_time" in names:
        raise RecordingError("import_time needs the fixture import_timer, which imports in fresh interpreters")


def _is_alone(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the trials of a workload need processes of their own.

    Raises:
        RecordingError: If some of its metrics do and some do not.
    """
    alone = {metric["name"] for metric in metrics if (m := READY_METRICS.get(metric["name"])) and m.is_alone}
    if alone and len(alone) < len(metrics):
        raise RecordingError(f"{min(alone)} needs fresh processes: measure it in a test of its own")
    return bool(alone)


def refuse_lazy_function(function: Callable[..., Any]) -> None:
    """Refuse a function whose call does no work yet.

    Raises:
        RecordingError: If it makes a coroutine or a generator.
    """
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    name = getattr(target, "__qualname__", type(target).__qualname__)
    for called in (target, inspect.getattr_static(type(target), "__call__", None)):
        if inspect.iscoroutinefunction(called):
            raise RecordingError(_lazy(f"the coroutine of {name}", "asyncio.run(...)"))
        if inspect.isasyncgenfunction(called):
            raise RecordingError(_lazy(f"the asynchronous generator of {name}", "asyncio.run(...)"))
        if inspect.isgeneratorfunction(called):
            raise RecordingError(_lazy(f"the generator of {name}", "list(...)"))


def refuse_lazy_result(result: Any) -> None:
    """Refuse what a function returned instead of doing its work.

    Raises:
        RecordingError: If it is awaitable, or an iterator that computes its items when they are asked for.
    """
    if isinstance(result, (types.GeneratorType, map, filter)):
        raise RecordingError(_lazy(f"a {type(result).__name__}", "list(...)"))
    if isinstance(result, types.CoroutineType):
        result.close()  # or Python would warn that it was never awaited
    if isinstance(result, types.AsyncGeneratorType) or inspect.isawaitable(result):
        raise RecordingError(_lazy(f"an awaitable {type(result).__name__}", "asyncio.run(...)"))


def _lazy(made: str, remedy: str) -> str:
    return f"only the making of {made} would be measured, not its work: give a function that calls {remedy}"


BLOCK_SECONDS = 0.025
"""How long a block lasts: the noise lies between spans of tens of milliseconds, and the clock ticks far finer."""

WARM_UP_SECONDS = 0.2
"""How long calls are made before the first block, unless one call takes longer."""

MOST_TIMELESS_CALLS = 1_000_000
"""Calls that may take no time by a coarse clock; with more, it stands still."""

MEMORY_CALLS = 3
"""Calls whose peak memory is taken: the first ones allocate what later ones use again."""

IMPORT_SECONDS = 600.0
"""How long an import in a fresh interpreter may take."""

Arguments = tuple[Sequence[Any], Mapping[str, Any]]
"""Positional and named arguments of a call."""


class CallTimer:
    """Times calls of one function.

    Args:
        target: The function.
        arguments: Gives the arguments of a round; its time does not count.
        teardown: Called after a round with its arguments; its time does not count.
        iterations: Calls a round.
        times_each: Whether every call is timed by itself, which latencies need.
        disable_gc: Whether the garbage collector rests during a round.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        arguments: Callable[[], Arguments],
        *,
        teardown: Callable[..., Any] | None = None,
        iterations: int = 1,
        times_each: bool = False,
        disable_gc: bool = False,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._target = target
        self._arguments = arguments
        self._teardown = teardown
        self._iterations = iterations
        self._times_each = times_each
        self._disable_gc = disable_gc
        self._clock = clock
        self.latencies: list[float] = []
        self.result: Any = None

    def time_rounds(self, rounds: int) -> float:
        """Seconds of so many rounds, for one iteration of each."""
        return math.fsum(self._time_round() for _ in range(rounds)) / self._iterations

    def time_calls(self, calls: int) -> float:
        """Seconds of so many calls with the same arguments, one after the other."""
        args, kwargs = self._arguments()
        return self._time_span(calls, args, kwargs)

    def _time_round(self) -> float:
        args, kwargs = self._arguments()
        try:
            return self._time_span(self._iterations, args, kwargs)
        finally:
            if self._teardown:
                self._teardown(*args, **kwargs)

    def _time_span(self, calls: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        target, clock, synchronise = self._target, self._clock, accelerator_barrier()
        was_enabled = gc.isenabled()
        if self._disable_gc:
            gc.disable()
        try:
            if self._times_each:
                seconds = self._time_each(calls, args, kwargs, synchronise)
            else:
                synchronise()
                start = clock()
                for _ in itertools.repeat(None, calls):
                    self.result = target(*args, **kwargs)
                synchronise()
                seconds = clock() - start
        finally:
            if was_enabled:
                gc.enable()
        refuse_lazy_result(self.result)
        return seconds

    def _time_each(
        self, calls: int, args: Sequence[Any], kwargs: Mapping[str, Any], synchronise: Callable[[], None]
    ) -> float:
        target, clock, spans = self._target, self._clock, []
        for _ in itertools.repeat(None, calls):
            synchronise()
            start = clock()
            self.result = target(*args, **kwargs)
            synchronise()
            spans.append(clock() - start)
        self.latencies += spans
        return math.fsum(spans)


def accelerator_barrier() -> Callable[[], None]:
    """What waits until the accelerator has done all that was asked of it; does nothing where torch uses none."""
    torch = sys.modules.get("torch")
    if torch is None:
        return _do_nothing
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.synchronize  # type: ignore[no-any-return]
    mps = getattr(torch.backends, "mps", None)
    return torch.mps.synchronize if mps and mps.is_available() else _do_nothing


def _do_nothing() -> None:
    """Waits for nothing."""


class BlockStatistics:
    """What pytest-benchmark's ``benchmark.stats.stats`` tells of the time of a call, over the blocks measured.

    Quartiles are those of pytest-benchmark: medians of the halves for an even number, method 3 of Mendenhall and Sincich
    as Wikipedia gives it for an odd one.

    Args:
        seconds: Time of a call in each block.

    Example:
        >>> stats = BlockStatistics([1.0, 2.0, 3.0, 10.0])
        >>> stats.mean, stats.q1, stats.iqr, stats.outliers
        (4.0, 1.5, 5.0, '1;0')
    """

    fields = (
        *("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers", "stddev_outliers"),
        *("outliers", "ld15iqr", "hd15iqr", "ops", "total"),
    )

    def __init__(self, seconds: Sequence[float]) -> None:
        self.data = list(seconds)

    def __bool__(self) -> bool:
        return bool(self.data)

    def as_dict(self) -> dict[str, Any]:
        """All numbers by name."""
        return {name: getattr(self, name) for name in self.fields}

    def update(self, duration: float) -> None:
        """Add a block."""
        self.data.append(duration)

    @property
    def sorted_data(self) -> list[float]:
        """From the fastest block to the slowest."""
        return sorted(self.data)

    @property
    def rounds(self) -> int:
        """Blocks."""
        return len(self.data)

    @property
    def total(self) -> float:
        """Sum over blocks."""
        return math.fsum(self.data)

    @property
    def min(self) -> float:
        """The fastest block."""
        return min(self.data, default=0.0)

    @property
    def max(self) -> float:
        """The slowest block."""
        return max(self.data, default=0.0)

    @property
    def mean(self) -> float:
        """Mean over blocks."""
        return self.total / len(self.data) if self.data else 0.0

    @property
    def median(self) -> float:
        """Median over blocks."""
        return statistics.median(self.data) if self.data else 0.0

    @property
    def stddev(self) -> float:
        """Standard deviation over blocks."""
        return statistics.stdev(self.data) if len(self.data) > 1 else 0.0

    @property
    def ops(self) -> float:
        """Calls a second."""
        return 1 / self.mean if self.mean else 0.0

    @property
    def q1(self) -> float:
        """First quartile."""
        return self._quartile(self.sorted_data)

    @property
    def q3(self) -> float:
        """Third quartile."""
        return self._quartile(self.sorted_data[::-1])

    @property
    def iqr(self) -> float:
        """Distance of the quartiles."""
        return self.q3 - self.q1

    @property
    def stddev_outliers(self) -> int:
        """Blocks further than a standard deviation from the mean."""
        return self._count_beyond(self.mean - self.stddev, self.mean + self.stddev)

    @property
    def iqr_outliers(self) -> int:
        """Blocks further than 1.5 times the distance of the quartiles beyond them."""
        return self._count_beyond(*self._fences)

    @property
    def outliers(self) -> str:
        """Both numbers of outliers."""
        return f"{self.stddev_outliers};{self.iqr_outliers}"

    @property
    def ld15iqr(self) -> float:
        """The fastest block that is no outlier by the quartiles."""
        data = self.sorted_data
        return data[bisect_left(data, self._fences[0])] if data else 0.0

    @property
    def hd15iqr(self) -> float:
        """The slowest block that is no outlier by the quartiles."""
        data = self.sorted_data
        return data[bisect_right(data, self._fences[1]) - 1] if data else 0.0

    @property
    def _fences(self) -> tuple[float, float]:
        return self.q1 - 1.5 * self.iqr, self.q3 + 1.5 * self.iqr

    def _count_beyond(self, low: float, high: float) -> int:
        return sum(not low <= value <= high for value in self.data)

    @staticmethod
    def _quartile(ordered: Sequence[float]) -> float:
        """The first quartile of numbers in this order."""
        number, rest = divmod(len(ordered), 4)
        if len(ordered) < 2:
            return ordered[0] if ordered else 0.0
        if rest == 1:
            return 0.25 * ordered[number - 1] + 0.75 * ordered[number]
        if rest == 3:
            return 0.75 * ordered[number] + 0.25 * ordered[number + 1]
        return statistics.median(ordered[: len(ordered) // 2])


class BenchmarkStatistics:
    """What pytest-benchmark's ``benchmark.stats`` tells: the benchmark, and the times of its blocks.

    Args:
        fixture: The benchmark.
        seconds: Time of a call in each block.
        iterations: Calls a block.
        options: Settings of the benchmark.

    Attributes:
        stats: The numbers over blocks; also by name, as in ``benchmark.stats["mean"]``.
    """

    def __init__(
        self, fixture: Benchmark, seconds: Sequence[float], iterations: int, options: Mapping[str, Any]
    ) -> None:
        self.fixture = fixture
        self.stats = BlockStatistics(seconds)
        self.iterations = iterations
        self.options = dict(options)
        self.name, self.fullname, self.group = fixture.name, fixture.fullname, fixture.group
        self.param, self.params, self.extra_info = fixture.param, fixture.params, fixture.extra_info
        self.cprofile_stats = None

    def __bool__(self) -> bool:
        return bool(self.stats)

    def __getitem__(self, name: str) -> Any:
        return getattr(self.stats, name) if hasattr(self.stats, name) else getattr(self, name)

    @property
    def has_error(self) -> bool:
        """Whether the benchmark failed."""
        return self.fixture.has_error

    def get(self, name: str, default: Any = None) -> Any:
        """A number, or what else is known, by its name."""
        return getattr(self.stats, name, getattr(self, name, default))

    def update(self, duration: float) -> None:
        """Add a block by the seconds of all its calls."""
        self.stats.update(duration / self.iterations)

    def as_dict(
        self,
        include_data: bool = True,
        flat: bool = False,
        stats: bool = True,
        cprofile: Any = None,
    ) -> dict[str, Any]:
        """Everything by name, as pytest-benchmark writes it to its files; nothing is ever profiled."""
        known = ("group", "name", "fullname", "params", "param", "extra_info")
        result = {name: getattr(self, name) for name in known} | {"options": self.options}
        if stats:
            numbers_of_blocks = self.stats.as_dict() | ({"data": self.stats.data} if include_data else {})
            numbers_of_blocks["iterations"] = self.iterations
            result |= numbers_of_blocks if flat else {"stats": numbers_of_blocks}
        return result


class Benchmark:
    """The ``benchmark`` fixture under the gate: pytest-benchmark's interface, timed block by block at its command.

    Rounds, warm-up and their lengths are the gate's to choose, equal for both revisions. Only ``pedantic`` with its
    ``rounds`` is taken at its word where it comes to the number of calls: no more rounds are run than it names.

    Args:
        node: The test.
        channel: The pipes to the gate.
        metrics: Names of the gated metrics.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        node: Any,
        *,
        channel: Any,
        metrics: Iterable[str] = ("call_time",),
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        markers = (node.get_closest_marker(name) for name in WHOLE_TEST_MARKERS)
        options = next((dict(marker.kwargs) for marker in markers if marker), {})
        callspec = getattr(node, "callspec", None)
        self.name = node.name
        self.fullname = node.nodeid
        self.param = callspec.id if callspec else None
        self.params = callspec.params if callspec else None
        self.group = options.get("group")
        self.extra_info: dict[str, Any] = {}
        self.disabled = False
        self.has_error = False
        self.skipped = False
        self.cprofile: Any = None
        self.cprofile_loops = self.cprofile_dump = self.cprofile_stats = None
        self.stats: BenchmarkStatistics | None = None
        self.waited_s = 0.0
        self.misuse = ""
        self._options = options
        self._disable_gc = bool(options.get("disable_gc", False))
        self._channel = channel
        self._metrics = frozenset(metrics)
        self._clock = clock
        self._mode = ""
        self._block_times_s: list[float] = []
        self._num_calls = 0
        self._latencies: list[float] = []
        self._sizes: dict[str, float] = {}

    @property
    def enabled(self) -> bool:
        """Always: what is gated is measured."""
        return not self.disabled

    def __call__(self, function_to_benchmark: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Time calls of a function with these arguments; returns what one more call returns."""
        self.claim("benchmark(...)")
        timer = self._timer(function_to_benchmark, lambda: (args, kwargs))
        self.measure(timer.time_calls, latencies=timer.latencies)
        return function_to_benchmark(*args, **kwargs)

    def pedantic(  # noqa: PLR0917 - the signature of pytest-benchmark
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Arguments | None] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Time rounds of a function, each set up and torn down outside the clock.

        Args:
            target: The function.
            args: Positional arguments of every call.
            kwargs: Named arguments of every call.
            setup: Called before each round; may return the arguments.
            teardown: Called after each round with the arguments.
            rounds: The most rounds that are timed.
            warmup_rounds: Rounds before those.
            iterations: Calls a round.

        Returns:
            What the last call returned.
        """
        self.claim("benchmark.pedantic(...)")
        _require_count("iterations", iterations, least=1)
        _require_count("rounds", rounds, least=1)
        _require_count("warmup_rounds", warmup_rounds, least=0)
        if iterations > 1 and setup:
            raise ValueError(f"setup goes with one iteration a round, not {iterations}")
        given: Arguments = (args, kwargs or {})

        def arguments() -> Arguments:
            made = setup() if setup else None
            if made and (args or kwargs):
                raise TypeError("the arguments come from setup or from args and kwargs, not from both")
            return made or given

        timer = self._timer(target, arguments, teardown=teardown, iterations=iterations)
        self.measure(timer.time_rounds, latencies=timer.latencies, rounds=rounds, warmup_rounds=warmup_rounds)
        if not self._num_calls and not self._sizes:
            timer.time_rounds(1)
        return timer.result

    def weave(self, target: Any, **_: Any) -> None:
        """Refused: what is called inside other code cannot be run block by block.

        Raises:
            RecordingError: Always.
        """
        raise RecordingError(
            f"benchmark.weave and benchmark.patch cannot be gated, asked for {target!r}: they time calls inside other "
            "code; call benchmark(function, ...) or benchmark.pedantic(function, ...)"
        )

    patch = weave

    def measure(
        self,
        time_calls: Callable[[int], float],
        *,
        latencies: list[float],
        rounds: int | None = None,
        warmup_rounds: int = 0,
    ) -> None:
        """Warm up, then measure what the gate asks for.

        Args:
            time_calls: Makes so many calls and gives their seconds.
            latencies: Filled by ``time_calls`` with the time of each call, where they are timed one by one.
            rounds: The most calls that may be timed; ``None`` for any number.
            warmup_rounds: Calls before those, where their number is limited.
        """
        try:
            self._measure(time_calls, latencies, rounds, warmup_rounds)
        except RecordingError as error:
            self.misuse = str(error)  # it counts even where the test swallows it
            raise
        except Exception:
            self.has_error = True
            raise

    def _measure(
        self, time_calls: Callable[[int], float], latencies: list[float], rounds: int | None, warmup_rounds: int
    ) -> None:
        if any(READY_METRICS[name].is_alone for name in self._metrics & READY_METRICS.keys()):
            self._sizes = self._measure_memory(time_calls, rounds)
            return
        call_s, left = self._warm_up(time_calls, rounds, warmup_rounds)
        latencies.clear()
        gc.collect()
        gc.freeze()
        try:
            self._obey(time_calls, call_s, left)
        finally:
            gc.unfreeze()
        self._latencies = latencies

    def _timer(
        self,
        target: Callable[..., Any],
        arguments: Callable[[], Arguments],
        *,
        teardown: Callable[..., Any] | None = None,
        iterations: int = 1,
    ) -> CallTimer:
        try:
            refuse_lazy_function(target)
        except RecordingError as error:
            self.misuse = str(error)
            raise
        return CallTimer(
            target,
            arguments,
            teardown=teardown,
            iterations=iterations,
            times_each=not self._metrics.isdisjoint({"latency_median", "latency_p95"}),
            disable_gc=self._disable_gc,
            clock=self._clock,
        )

    def claim(self, mode: str) -> None:
        """Refuse a second use: two timed functions would share one metric."""
        if self._mode:
            self.has_error = True
            self.misuse = f"benchmark was used twice, by {self._mode} and {mode}: write a test for each"
            raise RecordingError(self.misuse)
        self._mode = mode

    def _warm_up(
        self, time_calls: Callable[[int], float], rounds: int | None, warmup_rounds: int
    ) -> tuple[float | None, int | None]:
        """Make the first calls.

        Returns:
            Seconds of a call, if known, and the calls that are left, if limited.
        """
        if rounds is not None:
            spare = 0 if warmup_rounds else rounds // 4
            calls = warmup_rounds or spare
            seconds = [time_calls(1) for _ in range(calls)]
            return (seconds[-1] if seconds else None), rounds - spare
        calls, spent, call_s = 1, 0.0, math.inf
        while spent < WARM_UP_SECONDS:
            seconds_now = time_calls(calls)
            if seconds_now < 0:
                raise RecordingError(f"the clock stepped back by {-seconds_now:g} s during the warm-up")
            if seconds_now == 0 and calls > MOST_TIMELESS_CALLS:
                raise RecordingError(f"the clock stands still: {calls} calls took no time")
            spent += max(seconds_now, 1e-6)
            call_s = seconds_now / calls
            calls = max(1, min(2 * calls, int(BLOCK_SECONDS * calls / max(seconds_now, 1e-9))))
        return call_s, None

    def _obey(self, time_calls: Callable[[int], float], call_s: float | None, left: int | None) -> None:
        """Run the blocks that the gate asks for."""
        self._channel.send("ready", call_s=call_s, left=left)
        while (command := self._receive())["do"] == "block":
            calls = command["calls"]
            seconds = time_calls(calls)
            if seconds <= 0:
                raise RecordingError(f"the clock stepped: a block of {calls} calls took {seconds:g} s")
            self._block_times_s.append(seconds / calls)
            self._num_calls += calls
            self._channel.send("block", seconds=seconds)
        calls = self._num_calls // max(1, len(self._block_times_s))
        self.stats = BenchmarkStatistics(self, self._block_times_s, max(1, calls), self._options)

    def _receive(self, clock: Callable[[], float] = perf_counter) -> dict[str, Any]:
        """The next command; the time until it comes is the other revision's."""
        start = clock()
        command: dict[str, Any] = self._channel.receive()
        self.waited_s += clock() - start
        return command

    def _measure_memory(self, time_calls: Callable[[int], float], rounds: int | None) -> dict[str, float]:
        """Peak memory of a few calls; nothing else may have run in this process."""
        torch = sys.modules.get("torch")
        cuda = torch.cuda if torch is not None and torch.cuda.is_available() else None
        if "peak_accelerator_memory" in self._metrics and cuda is None:
            pytest.skip("peak_accelerator_memory needs a CUDA device, and torch sees none")
        if cuda is not None:
            cuda.reset_peak_memory_stats()
        calls = min(MEMORY_CALLS, rounds or MEMORY_CALLS)
        self.stats = BenchmarkStatistics(self, [time_calls(1) for _ in range(calls)], 1, self._options)
        sizes = {"peak_memory": float(_peak_memory_bytes())}
        if cuda is not None:
            sizes["peak_accelerator_memory"] = float(cuda.max_memory_allocated())
        return sizes

    def recorded(self) -> dict[str, Any]:
        """What goes to the gate: values of the metrics, and the numbers in ``extra_info``.

        Raises:
            RecordingError: If the fixture was used otherwise than once.
        """
        if self.misuse or not self._mode:
            raise RecordingError(self.misuse or "benchmark was never called: a timed workload times one function")
        known = ((str(name), as_number(value)) for name, value in self.extra_info.items())
        extra = {name: value for name, value in known if value is not None}
        return {"values": {name: _json_number(value) for name, value in {**extra, **self._values()}.items()}}

    def _values(self) -> dict[str, float]:
        """The ready metrics, as far as they were measured."""
        values = dict(self._sizes)
        if self._block_times_s:
            call_s = statistics.geometric_mean(self._block_times_s)
            values["import_time" if "import_time" in self._metrics else "call_time"] = call_s
            examples = as_number(self.extra_info.get("examples"))
            if examples is not None:
                values["throughput"] = examples / call_s
            elif "throughput" in self._metrics:
                raise RecordingError("throughput needs benchmark.extra_info['examples'], the examples of one call")
        if self._latencies:
            values["latency_median"] = statistics.median(self._latencies)
            values["latency_p95"] = nearest_rank(self._latencies, 0.95)
        return values


def as_number(value: Any) -> float | None:
    """A number of any library as a float; ``None`` for what is none, or no more than true or false.

    Example:
        >>> as_number(3), as_number(True), as_number("3")
        (3.0, None, None)
    """
    if isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:
        return None
    try:
        return float(value) if isinstance(value, numbers.Real) else float(operator.index(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _require_count(name: str, value: Any, *, least: int) -> None:
    """Refuse what is no number of calls."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed.

    Example:
        >>> nearest_rank([3.0, 1.0, 2.0, 4.0], 0.5)
        2.0
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def benchmark_class() -> type[Benchmark]:
    """:class:`Benchmark`; derived from pytest-benchmark's own class where that is loaded, which insists on it."""
    loaded = sys.modules.get("pytest_benchmark.fixture")
    return type("Benchmark", (Benchmark, loaded.BenchmarkFixture), {}) if loaded else Benchmark


IMPORT_PROBE = """
import sys
from time import perf_counter as clock
load, listed, mapping, attribute, text, write, modules = __import__, list, dict, getattr, repr, open, sys.modules
name, place = sys.argv[1:]
before = set(modules)
start = clock()
load(name)
seconds = clock() - start
loaded = mapping((key, attribute(modules[key], "__file__", None)) for key in listed(modules) if key not in before)
with write(place, "w", encoding="utf-8") as stream:
    stream.write(text((seconds, loaded)))
"""
"""Imports a module in a fresh interpreter; writes the seconds and the modules loaded, with their files.

All that it uses is bound before the import: a module may replace clocks and built-in functions.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One import in a fresh interpreter.

    Attributes:
        seconds: What it took.
        modules: File of every module that it loaded, by name; ``None`` for those without one.
    """

    seconds: float
    modules: Mapping[str, str | None]


def probe_import(module: str) -> Import:
    """Import a module in a fresh interpreter of this environment.

    Args:
        module: Its full name.

    Raises:
        RecordingError: If it cannot be imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "import.txt")
        command = [sys.executable, "-P", "-c", IMPORT_PROBE, module, place]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False
        )
        try:
            with open(place, encoding="utf-8") as stream:
                seconds, modules = ast.literal_eval(stream.read())
        except (OSError, ValueError, SyntaxError):
            cause = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise RecordingError(f"{module} cannot be imported in a fresh interpreter: {cause}") from None
    return Import(seconds=seconds, modules=modules)


class ImportTimer:
    """The ``import_timer`` fixture under the gate: times an import, each time in a fresh interpreter.

    Args:
        benchmark: Takes the blocks; one call is one import.
        check: Refuses modules that come from another revision.
    """

    def __init__(self, benchmark: Benchmark, check: Callable[[Mapping[str, str | None]], None]) -> None:
        self._benchmark = benchmark
        self._check = check

    def __call__(self, module: str) -> None:
        """Time the import of a module by its full name."""
        self._benchmark.claim("import_timer(...)")

        def time_calls(calls: int) -> float:
            seconds = []
            for _ in range(calls):
                imported = probe_import(module)
                self._check(imported.modules)
                seconds.append(imported.seconds)
            return math.fsum(seconds)

        self._benchmark.measure(time_calls, latencies=[])

    @property
    def waited_s(self) -> float:
        """Time that was the other revision's."""
        return self._benchmark.waited_s

    def recorded(self) -> dict[str, Any]:
        """What goes to the gate."""
        return self._benchmark.recorded()


class Counts:
    """What a workload counts that must repeat itself exactly; ``deterministic`` markers gate it.

    Args:
        roots: Import roots of the project, whose own modules are not counted as imported.
        check: Refuses modules that come from another revision.

    Example:
        >>> counts = Counts()
        >>> counts.record(tokens=50257)
        >>> counts.values
        {'tokens': 50257.0}
    """

    def __init__(
        self, roots: Sequence[str] = (), check: Callable[[Mapping[str, str | None]], None] = lambda _: None
    ) -> None:
        self.values: dict[str, float] = {}
        self.names: dict[str, list[str]] = {}
        self._roots = tuple(roots)
        self._check = check

    def record(self, **values: SupportsFloat) -> None:
        """Record counts by name; a name is recorded once.

        Raises:
            RecordingError: If a name comes twice or a value is not one number.
        """
        for name, value in values.items():
            if name in self.values:
                raise RecordingError(f"{name} was recorded twice")
            self.values[name] = _number(name, value)

    def parameters(self, model: Any) -> int:
        """Record ``parameters``: the numbers that a torch module learns, those that are shared counted once."""
        count = int(sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad))
        self.record(parameters=count)
        return count

    def flops(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Record ``flops``: what one call of a function computes, forward and backward; returns its result.

        Raises:
            RecordingError: If torch is not loaded.
        """
        if "torch" not in sys.modules:
            raise RecordingError("flops are counted by torch, which this workload does not use")
        refuse_lazy_function(function)
        counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
        with counter:
            result = function(*args, **kwargs)
        refuse_lazy_result(result)
        self.record(flops=counter.get_total_flops())
        return result

    def imports(self, module: str) -> int:
        """Record ``imported_modules``: the modules from outside the project that an import loads.

        Args:
            module: Full name of the module that is imported, in a fresh interpreter.
        """
        imported = probe_import(module)
        self._check(imported.modules)
        names = sorted(name for name in imported.modules if not _is_within(name, self._roots))
        self.record(imported_modules=len(names))
        self.names["imported_modules"] = names
        return len(names)

    def file_size(self, path: str | os.PathLike[str]) -> int:
        """Record ``checkpoint_bytes``: the size of a file that the workload has written."""
        size = os.path.getsize(path)
        self.record(checkpoint_bytes=size)
        return size

    def recorded(self) -> dict[str, Any]:
        """What goes to the gate."""
        return {"values": {name: _json_number(value) for name, value in self.values.items()}, "names": self.names}


def _is_within(name: str, roots: Sequence[str]) -> bool:
    """Whether a module is one of the roots or lies below one.

    Example:
        >>> _is_within("package.part", ["package"]), _is_within("packages", ["package"])
        (True, False)
    """
    return any(name == root or name.startswith(f"{root}.") for root in roots)


class WorkerPlugin:
    """Collects the workloads, then runs the one that the gate names.

    Args:
        channel: The pipes to the gate.
        roots: Import roots of the subject, such as ``mnist_reference`` or ``namespace.package``.
        own: Folder that every module of the subject must come from.
    """

    def __init__(self, channel: Channel, roots: Sequence[str], own: str) -> None:
        self._channel = channel
        self._roots = tuple(roots)
        self._own = os.path.realpath(own) + os.sep
        self._reports: list[pytest.TestReport] = []
        self._problems: list[dict[str, str]] = []
        self._skipped: list[dict[str, str]] = []
        self._recorder: Trial | Benchmark | ImportTimer | Counts | None = None
        self._seed = 0

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Add the switches of pytest-benchmark where it is not installed, for a conftest that reads them."""
        if importlib.util.find_spec("pytest_benchmark"):
            return
        group = parser.getgroup("benchmark")
        for switch in ("disable", "enable", "only", "skip"):
            group.addoption(f"--benchmark-{switch}", action="store_true", default=False, help="as in pytest-benchmark")

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the markers, and the fixtures last so that they win over those of installed plugins."""
        whole = (f"{name}(group, ...): time the test, or settings of pytest-benchmark" for name in WHOLE_TEST_MARKERS)
        for line in (*MARKERS.values(), *whole):
            config.addinivalue_line("markers", line)
        config.pluginmanager.register(WorkerFixtures(self), WorkerFixtures.NAME)

    def new_trial(self) -> Trial:
        """What the accuracy workload that is about to run records into."""
        self._recorder = trial = Trial(self._seed)
        return trial

    def new_benchmark(self, node: Any, metrics: Iterable[str]) -> Benchmark:
        """What times the workload that is about to run."""
        self._recorder = benchmark = benchmark_class()(node, channel=self._channel, metrics=metrics)
        return benchmark

    def new_import_timer(self, node: Any) -> ImportTimer:
        """What times the import that is about to be measured."""
        benchmark = benchmark_class()(node, channel=self._channel, metrics=("import_time",))
        self._recorder = timer = ImportTimer(benchmark, self._refuse_strangers)
        return timer

    def new_counts(self) -> Counts:
        """What the counting workload that is about to run records into."""
        self._recorder = counts = Counts(self._roots, self._refuse_strangers)
        return counts

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Tell what is about to be imported, so that whatever stops the worker there can be named."""
        if isinstance(collector, (pytest.File, pytest.Directory)) and collector.nodeid not in {"", "."}:
            self._channel.send("collecting", id=collector.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Time the test function itself where the test asks for that."""
        if not is_whole_test(pyfuncitem):
            return None
        metrics = [metric["name"] for metric in (describe_item(pyfuncitem) or {"metrics": []})["metrics"]]
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        self.new_benchmark(pyfuncitem, metrics)(pyfuncitem.obj, **arguments)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected, and what was skipped as a whole."""
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._skipped.append({"id": report.nodeid, "cause": reason.removeprefix("Skipped: ")})
        if report.failed:
            self._problems.append({"id": report.nodeid, "cause": _cause(report.longreprtext)})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what became of setup, call and teardown."""
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tell what was collected, then obey commands until told to exit."""
        items = {item.nodeid: item for item in session.items}
        self._channel.send("collected", **self._collection(items.values()))
        while True:
            command = self._channel.receive()
            if command["do"] == "run":
                self._channel.send("finished", **self._run(items[command["workload"]], command["seed"]))
            elif command["do"] == "images":
                self._channel.send("images", images=self._images(command["indices"]))
            else:
                gc.freeze()  # pytest ends with a full collection, which takes a quarter of a second beside torch
                return True

    def _collection(self, items: Iterable[pytest.Item]) -> dict[str, Any]:
        workloads, problems = [], list(self._problems)
        for item in items:
            try:
                workload = describe_item(item)
                require_own_fixtures(item)
            except RecordingError as error:
                problems.append({"id": item.nodeid, "cause": str(error), "usage": "yes"})
            else:
                workloads += [workload] if workload else []
        return {
            "protocol": PROTOCOL_VERSION,
            "workloads": workloads,
            "problems": problems,
            "skipped": self._skipped,
        }

    def _run(self, item: pytest.Item, seed: int, clock: Callable[[], float] = perf_counter) -> dict[str, Any]:
        self._recorder, self._seed, self._reports = None, seed, []
        threads = set(threading.enumerate())
        start = clock()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        seconds = clock() - start
        outcome, cause = self._outcome()
        failures = [report.longreprtext for report in self._reports if report.failed]
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a workload may have put anything in their place
                stream.flush()
        recorded: dict[str, Any] = {}
        if outcome == "completed":
            try:
                recorded = self._recorded()
            except RecordingError as error:
                outcome, cause = "failed", f"RecordingError: {error}"
        in_call = sum((r.duration for r in self._reports if r.when == "call"), 0.0) or seconds
        return {
            "outcome": outcome,
            "cause": cause,
            "detail": [line[:MAX_LINE] for line in failures[0].splitlines()[-MAX_DETAIL:]] if failures else [],
            "duration_s": max(0.0, in_call - getattr(self._recorder, "waited_s", 0.0)),
            "peak_memory_bytes": _peak_memory_bytes(),
            "threads": [str(thread.name)[:MAX_LINE] for thread in threading.enumerate() if thread not in threads],
            **recorded,
        }

    def _outcome(self) -> tuple[str, str]:
        """How the test ended, and why if not well."""
        for report in self._reports:
            if report.failed:
                return "failed", _cause(report.longreprtext)
            if report.skipped:
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
                return "skipped", reason.removeprefix("Skipped: ")[:MAX_LINE]
        if strangers := sorted(self._strangers()):
            return "foreign", f"{len(strangers)} modules come from outside the revision's own tree: {strangers[0]}"
        return "completed", ""

    def _recorded(self) -> dict[str, Any]:
        return self._recorder.recorded() if self._recorder else {}

    def _images(self, indices: list[int]) -> list[str]:
        """PNG files as base64; a source that fails must not spoil a finished trial."""
        try:
            images = self._recorder.images(indices) if isinstance(self._recorder, Trial) else []
        except Exception as error:  # noqa: BLE001 - whatever the workload's own code raises
            print(f"the images of flipped examples could not be made: {error!r}", file=sys.stderr)
            images = []
        return [base64.b64encode(image).decode() for image in images]

    def _strangers(self) -> Iterator[str]:
        """Modules of the subject that were imported from elsewhere."""
        for name, module in list(sys.modules.items()):
            if not _is_within(name, self._roots):
                continue
            file = getattr(module, "__file__", None)
            places = [file] if file else list(getattr(module, "__path__", ()))
            for place in places:
                if not self._is_own(place):
                    yield f"{name} from {place}"

    def _is_own(self, place: str) -> bool:
        return os.path.realpath(place).startswith(self._own)

    def _refuse_strangers(self, modules: Mapping[str, str | None]) -> None:
        """Refuse what a fresh interpreter imported of the subject from elsewhere."""
        for name, file in modules.items():
            if file and _is_within(name, self._roots) and not self._is_own(file):
                raise RecordingError(f"{name} comes from outside the revision's own tree: {file}")


class WorkerFixtures:
    """The fixtures of the worker, a plugin of their own so that they are registered after every other.

    Args:
        worker: Makes the trials.
    """

    NAME = "mainstay-worker-fixtures"

    def __init__(self, worker: WorkerPlugin) -> None:
        self._worker = worker

    @pytest.fixture
    def trial(self) -> Trial:
        """What an accuracy workload records into."""
        return self._worker.new_trial()

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> Benchmark:
        """Times a function."""
        workload = describe_item(request.node) or {"metrics": []}
        return self._worker.new_benchmark(request.node, [metric["name"] for metric in workload["metrics"]])

    @pytest.fixture
    def import_timer(self, request: pytest.FixtureRequest) -> ImportTimer:
        """Times an import."""
        return self._worker.new_import_timer(request.node)

    @pytest.fixture
    def counts(self) -> Counts:
        """What a workload counts into."""
        return self._worker.new_counts()


def require_own_fixtures(item: pytest.Item) -> None:
    """Make sure that no plugin's fixture stands before the worker's own; a conftest's may wrap it.

    Raises:
        RecordingError: If one does.
    """
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name in FIXTURE_KINDS:
        from_plugins = [definition for definition in definitions.get(name, ()) if not definition.baseid]
        if from_plugins and not isinstance(getattr(from_plugins[-1].func, "__self__", None), WorkerFixtures):
            raise RecordingError(f"a plugin's fixture {name} stands before the worker's: disable that plugin")


def _json_number(value: float) -> float | str:
    """JSON has no NaN and no infinity: they travel as text."""
    return value if math.isfinite(value) else repr(value)


MAX_LINE = 2000
"""Characters of a line that the gate is told."""

MAX_DETAIL = 50
"""Lines of a traceback that the gate is told: the last ones."""


def _cause(report: str) -> str:
    r"""What happened, in one line, from the text of a failure report.

    Example:
        >>> _cause("test_a.py:3: in test_a\n    1 / 0\nE   ZeroDivisionError: division by zero")
        'ZeroDivisionError: division by zero'
        >>> _cause('E     File "a.py", line 5\nE       f(\nE        ^\nE   SyntaxError: not closed')
        'SyntaxError: not closed (File "a.py", line 5)'
    """
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    raised = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    first = (raised or lines or ["unknown cause"])[0]
    if first.startswith("File ") and len(raised) > 1:  # of what does not parse, the place comes first
        first = f"{raised[-1]} ({first})"
    return first[:MAX_LINE]


def _peak_memory_bytes() -> int:
    """Peak resident memory of this process; Linux counts in kibibytes, macOS in bytes.

    Linux lets ``ru_maxrss`` of a process begin at the peak of the one that started it; its own status does not.
    """
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # here, since Windows has none, and plain pytest imports this module there too

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def deny_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that lets sockets connect to this machine only.

    Raises:
        OSError: On a connection or a name look-up that leaves the machine.
    """
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_loopback(host):
        raise OSError(errno.ENETUNREACH, f"trials run without network, {host!r} was asked for: fetch it in 'prepare'")


def _is_loopback(host: Any) -> bool:
    if host in {None, "", "localhost", b"localhost"}:
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


PR_SET_CHILD_SUBREAPER = 36


def inherit_orphans() -> None:
    """Let processes that lose their parent become children of this one, so that they end with it; Linux only."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_children(*, but: Iterable[int] = ()) -> None:
    """Kill the children of this process, and those that it inherits from them, until there are none; Linux only.

    Args:
        but: Process ids of children to leave alone.
    """
    spared = set(but)
    while pids := _children() - spared:
        for pid in pids:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children() -> set[int]:
    """Process ids of the children of all threads; none where the system does not list them."""
    pids: set[int] = set()
    with suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as stream:
                pids.update(map(int, stream.read().split()))
    return pids


THREAD_SECONDS = 1.0
"""How long a thread that an import has ended may take to disappear."""


class PreloadError(Exception):
    """A module cannot be preloaded; the text says which and why."""


def preload(modules: Iterable[str]) -> None:
    """Import modules into a process that is going to be forked.

    Raises:
        PreloadError: If one cannot be imported, or leaves a thread running: a forked process would lack it.
    """
    for name in modules:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise PreloadError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
        if num_threads := _count_other_threads():
            named = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
            names = f" ({', '.join(named)})" if named else ""
            raise PreloadError(f"{name} left threads running, {num_threads} of them{names}, which a fork would lose")


def _count_other_threads() -> int:
    """Threads besides the one that asks, those of native libraries too; one that is about to end is waited for."""
    deadline = time.monotonic() + THREAD_SECONDS
    while (num_threads := len(os.listdir("/proc/self/task")) - 1) and time.monotonic() < deadline:
        time.sleep(0.01)
    return num_threads


class WorkerServer:
    """Forks a worker for each request of the gate; it never starts a thread, so that forking is safe.

    A worker stays in the table of processes until the gate has heard how it ended, so that no other process gets its
    id meanwhile.

    Args:
        control: The socket to the gate.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._woken, self._wake = socket.socketpair()
        self._lines: dict[int, socket.socket] = {}
        self._helpers = _children()  # of preloaded modules
        self._ended: set[int] = set()

    def serve(self) -> dict[str, Any] | None:
        """Fork workers until the gate is gone, then kill those that are left.

        Returns:
            In each forked worker its options; in the server ``None``.
        """
        for end in (self._woken, self._wake):
            end.setblocking(False)
        handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._control)
            selector.register(self._woken, selectors.EVENT_READ, self._woken)
            while (request := self._next_request(selector)) is not None:
                options = self._fork(*request, selector)
                if options is not None:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, handler)
                    return options
        for pid in list(self._lines):
            self._bury(pid)
        kill_children()
        return None

    def _next_request(self, selector: selectors.BaseSelector) -> tuple[dict[str, Any], list[int]] | None:
        """What the next worker is to be started with; ``None`` once the gate is gone. Looks after the others meanwhile."""
        while True:
            for key, _ in selector.select():
                if key.data is self._control:
                    return self._receive()
                if key.data is self._woken:
                    self._woken.recv(1 << 12)
                    self._tell_ends()
                else:
                    selector.unregister(key.fileobj)
                    self._bury(key.data)

    def _receive(self) -> tuple[dict[str, Any], list[int]] | None:
        data, descriptors, *_ = socket.recv_fds(self._control, 1 << 16, 4)
        while not data.endswith(b"\n"):
            if not (more := self._control.recv(1 << 16)):
                return None
            data += more
        return json.loads(data), descriptors

    def _fork(
        self, request: dict[str, Any], descriptors: Sequence[int], selector: selectors.BaseSelector
    ) -> dict[str, Any] | None:
        """Fork a worker; its options in the worker, ``None`` in the server."""
        commands, events, output, line = descriptors
        pid = os.fork()
        if pid == 0:
            self._hang_up()
            become_worker(output, request["cwd"], request["variables"])
            with socket.socket(fileno=line) as connection:
                connection.send(json.dumps({"pid": os.getpid()}).encode())
            return {**request["options"], "commands": commands, "events": events}
        for descriptor in (commands, events, output):
            os.close(descriptor)
        self._lines[pid] = socket.socket(fileno=line)
        selector.register(self._lines[pid], selectors.EVENT_READ, pid)
        return None

    def _hang_up(self) -> None:
        """Close in a worker what belongs to the server."""
        for connection in (self._control, self._woken, self._wake, *self._lines.values()):
            connection.close()

    def _tell_ends(self) -> None:
        """Tell the gate of workers that have ended: the exit status, or the negative number of the signal."""
        for pid in self._lines.keys() - self._ended:
            if end := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._ended.add(pid)
                status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                with suppress(BrokenPipeError):
                    self._lines[pid].send(json.dumps({"status": status}).encode())

    def _bury(self, pid: int) -> None:
        """Kill what is left of a worker that the gate has let go of, and take it from the table of processes."""
        self._lines.pop(pid).close()
        self._ended.discard(pid)
        os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kill_children(but={*self._lines, *self._helpers})  # what the worker had left behind is the server's now


def become_worker(output: int, cwd: str, variables: Mapping[str, str]) -> None:
    """Give a process that was just forked what a fresh one starts with.

    Args:
        output: Descriptor that stdout and stderr go to.
        cwd: Its working folder.
        variables: Environment variables that differ from those of the server.
    """
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(cwd)
    os.environ.update(variables)
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # else every worker would draw the same; the module random does that by itself


def serve(control: int, modules: Iterable[str], limit_s: float) -> dict[str, Any] | None:
    """Be a server: import modules, then fork workers for as long as there is a gate.

    Args:
        control: Descriptor of the socket to the gate.
        modules: Their full names.
        limit_s: How long the imports may take; an alarm ends those that hang, even where no gate is left to do it.

    Returns:
        In each forked worker its options; in the server ``None``, when all is over.
    """
    inherit_orphans()
    connection = socket.socket(fileno=control)
    connection.set_inheritable(False)
    signal.alarm(math.ceil(limit_s))
    try:
        preload(modules)
    except PreloadError as refusal:
        connection.sendall(json.dumps({"refused": str(refusal)}).encode())
        return None
    signal.alarm(0)
    sys.stdout.flush()  # or every worker would write again what the imports wrote
    sys.stderr.flush()
    connection.sendall(json.dumps({"ready": True}).encode())
    return WorkerServer(connection).serve()


def main(options: dict[str, Any]) -> int:
    """Run a worker, or the server that forks workers.

    Args:
        options: Of a worker, as :func:`work` takes them; of a server ``preload`` (names of modules), ``control``
            (descriptor) and ``limit_s`` as in :func:`serve`.

    Returns:
        The exit status.
    """
    sys.addaudithook(deny_network)
    if "preload" not in options:
        return work(options)
    of_worker = serve(options["control"], options["preload"], options["limit_s"])
    return work(of_worker) if of_worker else 0


def work(options: dict[str, Any]) -> int:
    """Run workloads.

    Args:
        options: ``commands`` and ``events`` (descriptors), ``folder`` (the measuring folder), ``configuration``
            (pytest's configuration file in it), ``select`` (paths or node ids relative to the folder), ``ignored`` (paths
            relative to the folder that are not collected), ``roots`` and ``own`` as in
            :class:`WorkerPlugin`. Of a node id its file is collected: pytest would refuse all of them for one that it
            does not find.

    Returns:
        pytest's exit status.
    """
    inherit_orphans()
    channel = Channel(options["commands"], options["events"])
    channel.receive()  # the order to collect
    arguments = [
        f"--rootdir={options['folder']}",
        f"--config-file={options['configuration']}",
        "--import-mode=importlib",
        *("-o", "pythonpath=", "-o", "addopts=", "-o", "required_plugins=", "-o", "testpaths="),
        *("-p", "no:cacheprovider", "-p", "no:mainstay"),
        *("-W", "ignore:This process .* is multi-threaded:DeprecationWarning"),
        *("--capture=no", "--quiet", "--tb=short"),
        *(f"--ignore={os.path.join(options['folder'], name)}" for name in options["ignored"]),
        *dict.fromkeys(os.path.join(options["folder"], name.partition("::")[0]) for name in options["select"]),
    ]
    plugin = WorkerPlugin(channel, options["roots"], options["own"])
    return int(pytest.main(arguments, plugins=[plugin]))


if __name__ == "__main__":
    status = main(json.loads(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
