"""Pytest plugin of a worker, which collects the workloads, then runs those that the gate names.

- :class:`WorkerPlugin`: collects, waits for commands and runs one workload at a time.
- :class:`WorkerFixtures`: the fixtures, as a separate plugin.
"""

from __future__ import annotations

import base64
import gc
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import perf_counter  # bound here: a workload that patches the module's clock must not change what is measured
from typing import Any

import pytest
from _pytest.mark import deselect_by_keyword, deselect_by_mark

from .channel import Channel
from .counting import Counts
from .digests import RecordingError
from .importing import is_within
from .markers import FIXTURE_KINDS, MARKERS, WHOLE_TEST_MARKERS, describe_item, is_whole_test
from .processes import peak_memory_bytes
from .protocol import (
    PROTOCOL_VERSION,
    WHOLE,
    Collected,
    CollectedProblem,
    CollectedWorkload,
    Collecting,
    Command,
    Event,
    Finished,
    Images,
    Recorded,
    Skipped,
    TrialOutcome,
)
from .recording import Trial
from .timing import Benchmark, ImportTimer, benchmark_class
from .tracing import Tracer
from .watching import Watch

MAX_LINE = 2000
"""Largest number of characters of a line that is sent to the gate."""

MAX_DETAIL = 50
"""Number of last lines of a traceback that are sent to the gate."""


class WorkerPlugin:
    """Plugin that collects the workloads, then runs those that the gate names.

    Args:
        channel: The pipes to the gate.
        roots: Import roots of the subject, such as ``mnist_reference`` or ``namespace.package``.
        own: Folder that every module of the subject must come from.
        expressions: Expressions of ``-k`` and ``-m``; empty for all tests.
        tracer: Traces what is executed, in a worker that is not timed.
    """

    def __init__(
        self,
        channel: Channel,
        roots: Sequence[str],
        own: str,
        expressions: tuple[str, str] = ("", ""),
        tracer: Tracer | None = None,
    ) -> None:
        self._channel = channel
        self._watch: Watch | None = None
        self._tracer = tracer
        self._expressions = expressions
        self._roots = tuple(roots)
        self._own = os.path.realpath(own) + os.sep
        self._reports: list[pytest.TestReport] = []
        self._problems: list[CollectedProblem] = []
        self._skipped: list[Skipped] = []
        self._recorder: Trial | Benchmark | ImportTimer | Counts | None = None
        self._seed, self._block = 0, WHOLE

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config, parser: pytest.Parser) -> None:
        """Start the trace, before anything of the revision is imported.

        The switches of pytest-benchmark are added where it is not loaded, for a conftest that reads them: it may be
        installed and left out with ``-p no:benchmark``.
        """
        if self._tracer:
            self._tracer.start()
        if not early_config.pluginmanager.has_plugin("benchmark"):
            group = parser.getgroup("benchmark")
            for switch in ("disable", "enable", "only", "skip"):
                group.addoption(
                    f"--benchmark-{switch}", action="store_true", default=False, help="as in pytest-benchmark"
                )

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the markers, and the fixtures last so that they win over those of installed plugins."""
        whole = (f"{name}(group, ...): time the test, or settings of pytest-benchmark" for name in WHOLE_TEST_MARKERS)
        for line in (*MARKERS.values(), *whole):
            config.addinivalue_line("markers", line)
        config.pluginmanager.register(WorkerFixtures(self), WorkerFixtures.NAME)

    def new_trial(self) -> Trial:
        """Recorder of the workload of accuracy or evaluation that is about to run."""
        self._recorder = trial = Trial(self._seed, self._block)
        return trial

    def new_benchmark(self, node: Any, metrics: Iterable[str]) -> Benchmark:
        """Timer of the workload that is about to run."""
        self._recorder = benchmark = benchmark_class()(node, channel=self._channel, metrics=metrics)
        return benchmark

    def new_import_timer(self, node: Any) -> ImportTimer:
        """Timer of the import that is about to be measured."""
        benchmark = benchmark_class()(node, channel=self._channel, metrics=("import_time",))
        self._recorder = timer = ImportTimer(benchmark, self._refuse_strangers)
        return timer

    def new_counts(self) -> Counts:
        """Recorder of the counting workload that is about to run."""
        self._recorder = counts = Counts(self._roots, self._refuse_strangers)
        return counts

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self) -> None:
        """Report that every file was collected, so that the gate blames none of them if pytest itself ends next."""
        self._channel.send(Event.COLLECTING, **Collecting(id="."))

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Report the file about to be imported, so that the gate can name it if the worker stops there."""
        if isinstance(collector, (pytest.File, pytest.Directory)) and collector.nodeid not in {"", "."}:
            self._channel.send(Event.COLLECTING, **Collecting(id=collector.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Time the test function itself, if its markers ask for that."""
        if not is_whole_test(pyfuncitem):
            return None
        metrics = _metric_names(pyfuncitem)
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        self.new_benchmark(pyfuncitem, metrics)(pyfuncitem.obj, **arguments)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record files that could not be collected or that skip themselves."""
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._skipped.append({"id": report.nodeid, "cause": reason.removeprefix("Skipped: ")})
        if report.failed:
            self._problems.append({"id": report.nodeid, "cause": _cause(report.longreprtext)})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcomes of setup, call and teardown."""
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Report the collection, then obey commands until told to exit."""
        items = {item.nodeid: item for item in session.items}
        self._channel.send(Event.COLLECTED, **self._collection(session))
        while True:
            command = self._channel.receive()
            if command["do"] == Command.RUN:
                low, high = command["block"]
                self._block = (low, high)
                self._channel.send(Event.FINISHED, **self._run(items[command["workload"]], command["seed"]))
            elif command["do"] == Command.WATCH:
                self._channel.send(Event.FINISHED, **self._run_watched(items[command["workload"]], command))
            elif command["do"] == Command.IMAGES:
                self._channel.send(Event.IMAGES, **Images(images=self._images(command["indices"])))
            elif command["do"] == Command.TRACE and self._tracer:
                self._channel.send(Event.TRACED, **self._tracer.take())
            else:
                gc.freeze()  # pytest collects garbage at the end: 0.25 s with torch
                return True

    def _collection(self, session: pytest.Session) -> Collected:
        workloads: list[CollectedWorkload] = []
        problems = list(self._problems)
        chosen = {item.nodeid for item in session.items}
        try:
            chosen = _chosen(session, *self._expressions)
        except pytest.UsageError as error:
            problems.append({"id": "-k, -m", "cause": str(error), "usage": "yes"})
        for item in {item.nodeid: item for item in session.items}.values():
            try:
                workload = describe_item(item)
                require_own_fixtures(item)
            except RecordingError as error:
                problems.append({"id": item.nodeid, "cause": str(error), "usage": "yes"})
            else:
                if workload:
                    workloads.append({**workload, "is_deselected": item.nodeid not in chosen})
        return Collected(protocol=PROTOCOL_VERSION, workloads=workloads, problems=problems, skipped=self._skipped)

    def _run(self, item: pytest.Item, seed: int, clock: Callable[[], float] = perf_counter) -> Finished:
        self._recorder, self._seed, self._reports = None, seed, []
        threads = set(threading.enumerate())
        start = clock()
        # no next item: fixtures of every scope end here, so that a trial depends on no workload that ran before it, a trace
        # has all that the workload needs, and threads of a fixture are not taken for threads left behind
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        seconds = clock() - start
        outcome, cause = self._outcome()
        failures = [report.longreprtext for report in self._reports if report.failed]
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a workload may have replaced them by anything
                stream.flush()
        recorded: Recorded = {}
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
            "peak_memory_bytes": peak_memory_bytes(),
            "threads": [str(thread.name)[:MAX_LINE] for thread in threading.enumerate() if thread not in threads],
            **recorded,
        }

    def _run_watched(self, item: pytest.Item, command: Mapping[str, Any]) -> Finished:
        """Run a workload that is watched."""
        with Watch(
            self._channel, command["level"], command["step"], self._own, str(item.config.rootpath)
        ) as self._watch:
            self._watch.start()
            finished = self._run(item, command["seed"])
            self._watch.finish()
        self._watch = None
        return finished

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Watch torch even if only a fixture of the workload has imported it."""
        if self._watch:
            self._watch.start()
        yield

    def _outcome(self) -> tuple[TrialOutcome, str]:
        """The outcome of the test, and its cause unless it completed."""
        for report in self._reports:
            if report.failed:
                return "failed", _cause(report.longreprtext)
            if report.skipped:
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
                return "skipped", reason.removeprefix("Skipped: ")[:MAX_LINE]
        if strangers := sorted(self._strangers()):
            return "foreign", f"{len(strangers)} modules come from outside the revision's own tree: {strangers[0]}"
        return "completed", ""

    def _recorded(self) -> Recorded:
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
        """Modules of the package under test that were imported from elsewhere."""
        for name, module in list(sys.modules.items()):
            if not is_within(name, self._roots):
                continue
            file = getattr(module, "__file__", None)
            places = [file] if file else list(getattr(module, "__path__", ()))
            for place in places:
                if not self._is_own(place):
                    yield f"{name} from {place}"

    def _is_own(self, place: str) -> bool:
        return os.path.realpath(place).startswith(self._own)

    def _refuse_strangers(self, modules: Mapping[str, str | None]) -> None:
        """Refuse modules of the package under test that a fresh interpreter imported from elsewhere."""
        for name, file in modules.items():
            if file and is_within(name, self._roots) and not self._is_own(file):
                raise RecordingError(f"{name} comes from outside the revision's own tree: {file}")


class WorkerFixtures:
    """Fixtures of the worker, in a separate plugin so that they are registered last.

    Args:
        worker: Plugin that makes the trials.
    """

    NAME = "mainstay-worker-fixtures"

    def __init__(self, worker: WorkerPlugin) -> None:
        self._worker = worker

    @pytest.fixture
    def trial(self) -> Trial:
        """Recorder of an accuracy workload."""
        return self._worker.new_trial()

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> Iterator[Benchmark]:
        """Times a function."""
        benchmark = self._worker.new_benchmark(request.node, _metric_names(request.node))
        yield benchmark
        benchmark.restore()

    codspeed_benchmark = benchmark

    @pytest.fixture
    def benchmark_weave(self, benchmark: Benchmark) -> Callable[..., None]:
        """Puts the timed call in the place of a function."""
        return benchmark.weave

    @pytest.fixture
    def import_timer(self, request: pytest.FixtureRequest) -> ImportTimer:
        """Times an import."""
        return self._worker.new_import_timer(request.node)

    @pytest.fixture
    def counts(self) -> Counts:
        """Recorder of a workload's counts."""
        return self._worker.new_counts()


def _chosen(session: pytest.Session, keyword: str, marks: str) -> set[str]:
    """Node ids of the tests that pytest itself would select by the expressions of ``-k`` and ``-m``.

    Raises:
        pytest.UsageError: If an expression does not parse.
    """
    items = list(session.items)
    options = session.config.option
    options.keyword, options.markexpr = keyword, marks
    deselect_by_keyword(items, session.config)
    deselect_by_mark(items, session.config)
    return {item.nodeid for item in items}


def _metric_names(item: pytest.Item) -> list[str]:
    """Names of the gated metrics of a test."""
    workload = describe_item(item)
    return [metric["name"] for metric in workload["metrics"]] if workload else []


def require_own_fixtures(item: pytest.Item) -> None:
    """Check that no plugin overrides a fixture of the worker; a conftest may wrap it.

    Raises:
        RecordingError: If a plugin does so.
    """
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name in FIXTURE_KINDS:
        from_plugins = [definition for definition in definitions.get(name, ()) if not definition.baseid]
        if from_plugins and not isinstance(getattr(from_plugins[-1].func, "__self__", None), WorkerFixtures):
            raise RecordingError(f"a plugin's fixture {name} overrides the worker's: disable that plugin")


def _cause(report: str) -> str:
    r"""Cause of a failure in one line, from the text of a failure report.

    Example:
        >>> _cause("test_a.py:3: in test_a\n    1 / 0\nE   ZeroDivisionError: division by zero")
        'ZeroDivisionError: division by zero'
        >>> _cause('E     File "a.py", line 5\nE       f(\nE        ^\nE   SyntaxError: not closed')
        'SyntaxError: not closed (File "a.py", line 5)'
    """
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    raised = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    first = (raised or lines or ["unknown cause"])[0]
    if first.startswith("File ") and len(raised) > 1:  # for a syntax error, the location comes first
        first = f"{raised[-1]} ({first})"
    return first[:MAX_LINE]
