"""Worker processes as the gate sees them: start one, speak with it, end it with all its children.

The other end is :mod:`mainstay.worker_main`. Nothing here decides which trial runs when (:mod:`mainstay.scheduling`)
or what a trial means (:mod:`mainstay.gates`).

- :class:`WorkerSpec`: all that is needed to start a worker for one revision; plain data, so it can travel.
- :class:`Worker`: one process, as a context manager.
- :class:`Launch`, :data:`Launcher`, :func:`start_fresh`: how its process is started, by a fresh interpreter unless
  :mod:`mainstay.fork_server` forks it.
- :class:`TrialForm`: from what a worker says to a trial.
- :func:`collect_workloads`, :class:`Crew`: what the gate asks of workers.
- :func:`at_once`: several things that wait for processes, ended together when the gate is interrupted.
"""

from __future__ import annotations

import base64
import errno
import json
import math
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import psutil

from mainstay.confinement import can_confine, confined_command
from mainstay.errors import Interrupted, StoreError, UsageError, WorkerError
from mainstay.events import MAX_EVENT_BYTES, ProtocolError, parse_event
from mainstay.processes import (
    OutputTail,
    adopt_session,
    forget_session,
    kill_group,
    kill_orphans,
    kill_process,
    living_descendants,
    shortened,
    start_session,
)
from mainstay.records import Direction, Kind, MeasuredWith, Metric, Outcome, Predictions, Side, Trial, Workload

WORKER = str(Path(__file__).with_name("worker_main.py"))
"""The program that is started; never imported here, since the tool may stand in an environment without pytest."""

NUM_LAST_LINES = 20
"""Lines of a worker's output that are kept when a trial does not complete."""

START_SECONDS = 300.0
"""How long a worker may take to import and collect the workloads before it counts as hung, at the most."""

LEAST_START_SECONDS = 30.0
"""How long it may always take, however short trials and budget are: an import of torch takes seconds, from a cold disk many."""

MAX_ATTEMPTS = 4
"""How often the workloads are collected, each time without the file in which the last worker came to its end."""

MAX_HANGS = 2
"""After how many files that hang nothing more is collected."""

EXIT_SECONDS = 5.0
"""How long a worker may take to leave after it was told to."""

REFUSED_WRITE = re.compile(r"Permission denied|PermissionError")
"""What the cause of a failure says where a process wrote to a place that it may not write to."""

KILL_SECONDS = 0.1
"""How long an interrupted gate waits before it kills processes that were started meanwhile."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """All that is needed to start a worker for one revision.

    Attributes:
        side: Baseline or candidate.
        python: Interpreter of the revision's environment.
        own: Folder that every module of the subject must come from.
        roots: Import roots of the subject.
        folder: The measuring folder.
        configuration: pytest's configuration file in the measuring folder.
        scratch: An existing folder for the revision's private HOME, TMPDIR, caches, working folders and logs: all that
            its workers can write to where they are confined, but for shared memory and devices.
        variables: The worker's whole environment but for HOME, TMPDIR and caches.
        writable: Files and folders that confined workers can write to besides.
        files_of: The revision whose workload files lie in the measuring folder.
    """

    side: Side
    python: str
    own: str
    roots: tuple[str, ...]
    folder: str
    configuration: str
    scratch: str
    variables: Mapping[str, str]
    writable: tuple[str, ...] = ()
    files_of: Side = Side.BASELINE


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in the workload folder that could not be collected.

    Attributes:
        id: File or node id.
        cause: Why, in one line.
        is_usage: Whether a marker was written wrongly, rather than code that failed.
        is_hang: Whether the worker hung, which is not tried again.
    """

    id: str
    cause: str
    is_usage: bool = False
    is_hang: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What one revision can run.

    Attributes:
        workloads: The workloads found.
        problems: What could not be collected.
        last_lines: What the worker wrote last, where there were problems.
        skipped: Workloads that a mark skips here, or lets fail.
        skipped_files: Files that skip themselves here, so that what they gate is unknown.
    """

    workloads: tuple[Workload, ...]
    problems: tuple[Problem, ...] = ()
    last_lines: tuple[str, ...] = ()
    skipped: frozenset[str] = frozenset()
    skipped_files: tuple[Problem, ...] = ()

    def require_right_markers(self) -> None:
        """Refuse markers that are written wrongly.

        Raises:
            UsageError: With the first of them.
        """
        if wrong := next((problem for problem in self.problems if problem.is_usage), None):
            raise UsageError(wrong.cause, looked_in=wrong.id, next_step="correct the marker of this workload")


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRequest:
    """One pair of trials that is to be measured.

    Attributes:
        workload: Node id.
        seed: Seed of both trials.
        pair: Number of the pair.
        sides: The sides to run, in the order drawn for this pair.
        repetition: 1 for the repetition of a baseline that exact-first asks for.
        gated: Names of the metrics that must be recorded, with finite values.
        wants_images: Whether images of flipped examples are wanted.
        apart: Whether the sides must never run at once, whatever the machine could do; their processes are then fresh
            interpreters, since what else was loaded would count.
        limit_s: Seconds that one trial may take.
        seconds_left: Seconds until the pair is ended and dropped, whatever its trials have come to.
        measured_with: Whose workload files are used.
    """

    workload: str
    seed: int
    pair: int
    sides: tuple[Side, ...]
    repetition: int = 0
    gated: tuple[str, ...] = ()
    wants_images: bool = False
    apart: bool = False
    limit_s: float = 600.0
    seconds_left: float = math.inf
    measured_with: MeasuredWith = MeasuredWith.SHARED


@dataclass(frozen=True, kw_only=True, slots=True)
class PairResult:
    """The trials of a pair, and images of examples that flipped.

    Attributes:
        request: What was asked for.
        trials: One a side; none where the pair was dropped.
        images: PNG as base64 by position in the test set.
        was_cut: Whether the pair was under way when the time was used up, so that it was ended and dropped.
    """

    request: PairRequest
    trials: tuple[Trial, ...]
    images: Mapping[int, str] = field(default_factory=dict)
    was_cut: bool = False


class WorkerEndedError(Exception):
    """A worker ended, took too long, or sent what it must not send, where an event was expected.

    Args:
        cause: What happened, in one sentence.
        outcome: ``crashed``, ``timed-out`` or, for what it must not send, ``failed``.
        collecting: What it was collecting: a path relative to the measuring folder, ``.`` before the first file; empty
            where it was not.
    """

    def __init__(self, cause: str, outcome: Outcome, *, collecting: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.outcome = outcome
        self.collecting = collecting

    @property
    def is_hang(self) -> bool:
        """Whether it hung while it collected, which another attempt would not better."""
        return bool(self.collecting) and self.outcome is Outcome.TIMED_OUT


class OutOfTimeError(Exception):
    """The time for measuring was used up while a worker was at work."""


def collecting_seconds(trial_seconds: float, seconds: float = math.inf) -> float:
    """How long a worker may take to import and collect the workloads before it counts as hung.

    Args:
        trial_seconds: Limit of one trial.
        seconds: Budget for measuring, of which a quarter may be spent on it.

    Example:
        >>> [collecting_seconds(600, seconds) for seconds in (20, 900, 7200)]
        [30.0, 225.0, 300.0]
    """
    return max(LEAST_START_SECONDS, min(START_SECONDS, trial_seconds, seconds / 4))


class WorkerProcess(Protocol):
    """What is asked of a worker's process, however it was started."""

    @property
    def pid(self) -> int:
        """Process id; the process leads a group of its own."""

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status, or the negative number of the signal, once it has ended; ``None`` where nobody can tell.

        Raises:
            subprocess.TimeoutExpired: If it goes on for longer.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What the process of a worker starts with.

    Attributes:
        spec: The revision's worker.
        options: For :mod:`mainstay.worker_main`, without the descriptors.
        variables: HOME, TMPDIR and caches.
        cwd: Working folder.
        commands: Descriptor that it reads commands from.
        events: Descriptor that it writes events to.
        output: Descriptor that takes stdout and stderr.
    """

    spec: WorkerSpec
    options: Mapping[str, Any]
    variables: Mapping[str, str]
    cwd: Path
    commands: int
    events: int
    output: int


Launcher = Callable[[Launch], WorkerProcess]
"""Starts the process of a worker; raises ``OSError`` or :class:`~mainstay.errors.WorkerError` if it cannot."""


def start_fresh(launch: Launch) -> WorkerProcess:
    """Start a fresh interpreter."""
    options = {**launch.options, "commands": launch.commands, "events": launch.events}
    return start_program(
        launch.spec,
        options,
        variables=launch.variables,
        cwd=launch.cwd,
        output=launch.output,
        descriptors=(launch.commands, launch.events),
    )


def start_program(
    spec: WorkerSpec,
    options: Mapping[str, Any],
    *,
    variables: Mapping[str, str],
    cwd: Path,
    output: int,
    descriptors: Sequence[int],
) -> subprocess.Popen[bytes]:
    """Start :mod:`mainstay.worker_main` in a session of its own, confined where the system offers that.

    Args:
        spec: The revision's worker.
        options: What its ``main`` takes.
        variables: HOME, TMPDIR and caches.
        cwd: Working folder.
        output: Descriptor that takes stdout and stderr.
        descriptors: Those that the options name.

    Raises:
        OSError: If the interpreter cannot be run.
    """
    command = [spec.python, "-P", WORKER, json.dumps(options)]
    if can_confine():
        if not os.access(spec.python, os.X_OK):  # nobody would hear of it from a process that is confined first
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        command = confined_command((spec.scratch, *spec.writable), command)
    return start_session(
        command,
        cwd=cwd,
        env={**spec.variables, **variables},
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(descriptors),
    )


CACHE_VARIABLES: Mapping[str, str] = {
    "XDG_CACHE_HOME": ".",
    "CUDA_CACHE_PATH": "cuda",
    "HF_HOME": "huggingface",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
}
"""Variables by which libraries take the folder that they cache in, with the folder in a process's own cache."""


class Place:
    """Folders of a process: HOME, TMPDIR, caches and working folder; and what takes its output.

    Args:
        spec: The revision's worker; a cache that its variables place elsewhere, as ``prepare`` may do, stays there.
        prefix: Of the name.
    """

    def __init__(self, spec: WorkerSpec, prefix: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=spec.scratch))
        home, tmp, self.cwd = (folder / name for name in ("home", "tmp", "cwd"))
        for inner in (home, tmp, self.cwd):
            inner.mkdir()
        caches = {name: str(home / ".cache" / inner) for name, inner in CACHE_VARIABLES.items()}
        own = {name: place for name, place in caches.items() if name not in spec.variables}
        self.variables = {"HOME": str(home), "TMPDIR": str(tmp), **own}
        self.output = OutputTail()

    def last_lines(self, spec: WorkerSpec) -> tuple[str, ...]:
        """The last lines of the output, without paths of this machine."""
        return tuple(conceal(line, spec) for line in self.output.last_lines(NUM_LAST_LINES))


class Worker:
    """One worker process; leaving the context ends it with everything it started.

    Nothing that it says or does raises anything but :class:`WorkerEndedError`: even one that cannot be started says so
    only where an event is expected of it.

    Args:
        spec: The revision's worker.
        select: Paths or node ids to collect, relative to the measuring folder.
        launcher: Starts the process.
        ignored: Paths not to collect, relative to the measuring folder.
        deadline: Time by the monotonic clock after which :class:`OutOfTimeError` ends every wait.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        select: Sequence[str],
        launcher: Launcher = start_fresh,
        *,
        ignored: Sequence[str] = (),
        deadline: float = math.inf,
    ) -> None:
        self._spec = spec
        self._select = tuple(select)
        self._launcher = launcher
        self._ignored = tuple(ignored)
        self._deadline = deadline
        self._buffer = bytearray()
        self._token = ""
        self._collecting = ""
        self._place: Place | None = None
        self._process: WorkerProcess | None = None
        self._why_not_started = ""
        self._commands: int | None = None

    def __enter__(self) -> Self:
        commands_read, self._commands = os.pipe()
        self._events, events_write = os.pipe()
        try:
            self._place = Place(self._spec, "worker-")
            try:
                self._process = self._launch(self._place, commands_read, events_write)
            finally:
                self._place.output.close_writing()
            adopt_session(self._process.pid)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                self.hang_up()
                os.close(self._events)
                raise StoreError(f"no worker can be started: {error.strerror}", next_step="make room") from error
            self._why_not_started = f"the worker does not start: {error.strerror}"
        except WorkerError as error:
            self._why_not_started = error.fact.partition("\n")[0]
        finally:
            os.close(commands_read)
            os.close(events_write)
        with suppress(BrokenPipeError):
            self.send(do="collect")
        return self

    def _launch(self, place: Place, commands: int, events: int) -> WorkerProcess:
        """Start the process."""
        spec = self._spec
        options = {
            "folder": spec.folder,
            "configuration": spec.configuration,
            "select": list(self._select),
            "ignored": list(self._ignored),
            "roots": list(spec.roots),
            "own": spec.own,
        }
        return self._launcher(
            Launch(
                spec=spec,
                options=options,
                variables=place.variables,
                cwd=place.cwd,
                commands=commands,
                events=events,
                output=place.output.descriptor,
            )
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            children = self.children()  # before the worker ends: those that left its group are then no longer its own
            if kind is None:
                self._leave(self._process)
            for child in children:
                kill_process(child)
            kill_group(self._process.pid)
            psutil.wait_procs(children, EXIT_SECONDS)
            self._process.wait()
            forget_session(self._process.pid)
            kill_orphans()
        self.hang_up()
        os.close(self._events)
        if self._place:
            self._place.output.close()

    def hang_up(self) -> None:
        """Close the command pipe; the worker takes it that the gate is gone."""
        if self._commands is not None:
            os.close(self._commands)
            self._commands = None

    def _leave(self, process: WorkerProcess) -> None:
        """Let the worker exit by itself, if it does so soon."""
        try:
            self.send(do="exit")
            process.wait(EXIT_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            return

    def kill(self) -> None:
        """Kill the process with all that it started."""
        if self._process:
            children = self.children()
            kill_group(self._process.pid)
            for child in children:
                kill_process(child)

    @property
    def pid(self) -> int:
        """Process id of the worker, which leads a process group of its own; 0 where it could not be started."""
        return self._process.pid if self._process else 0

    def children(self) -> list[psutil.Process]:
        """The processes that the worker started, directly or not, and that have not ended."""
        return living_descendants(self._process.pid) if self._process else []

    def send(self, **command: Any) -> None:
        """Send a command, with a token that the answer must carry."""
        if self._commands is None:
            raise BrokenPipeError("the command pipe is closed")
        if command["do"] == "run" and self._place:
            self._place.output.clear()  # what is said of a trial is what was written since it began
        self._token = secrets.token_hex(8)
        os.write(self._commands, (json.dumps({**command, "token": self._token}) + "\n").encode())

    def expect(self, event: str, limit_s: float) -> dict[str, Any]:
        """The next event, which must be of one kind.

        Raises:
            WorkerEndedError: If the process ends, takes longer than the limit, or sends anything else.
            OutOfTimeError: If the deadline comes first.
        """
        return self.expect_one_of((event,), limit_s)[1]

    def expect_one_of(self, events: Sequence[str], limit_s: float) -> tuple[str, dict[str, Any]]:
        """The next event, which must be of one of some kinds.

        Raises:
            WorkerEndedError: If the process ends, takes longer than the limit, or sends anything else.
            OutOfTimeError: If the deadline comes first.
        """
        if self._why_not_started:
            raise WorkerEndedError(self._why_not_started, Outcome.CRASHED)
        expected = tuple(events)
        if "collected" in events:
            expected, self._collecting = (*events, "collecting"), "."
        deadline = time.monotonic() + limit_s
        while True:
            line = self._read_line(deadline, limit_s)
            try:
                event, content = parse_event(line, expected, token=self._token)
            except ProtocolError as error:
                raise self._ended(f"the worker broke its protocol: {error}", Outcome.FAILED) from error
            if event != "collecting":
                self._collecting = ""
                return event, content
            self._collecting = content["id"]

    def _ended(self, cause: str, outcome: Outcome) -> WorkerEndedError:
        where = f", while it collected {self._collecting}" if self._collecting not in {"", "."} else ""
        return WorkerEndedError(f"{cause}{where}", outcome, collecting=self._collecting)

    def _read_line(self, deadline: float, limit_s: float) -> bytes:
        end = self._buffer.find(b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(self._events, selectors.EVENT_READ)
            while end < 0:
                if len(self._buffer) > MAX_EVENT_BYTES:
                    fact = f"the worker broke its protocol: it sent more than {MAX_EVENT_BYTES:,} bytes in one line"
                    raise self._ended(fact, Outcome.FAILED)
                if not selector.select(max(0.0, min(deadline, self._deadline) - time.monotonic())):
                    if self._deadline < deadline:
                        raise OutOfTimeError
                    raise self._ended(f"the worker hung: no answer within {limit_s:g} s", Outcome.TIMED_OUT)
                chunk = os.read(self._events, 1 << 16)
                if not chunk:
                    raise self._ended(self._describe_end(), Outcome.CRASHED)
                end = chunk.find(b"\n")
                end += len(self._buffer) if end >= 0 else 0
                self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _describe_end(self) -> str:
        """How the process ended, once its event pipe is closed."""
        try:
            status = self._process.wait(EXIT_SECONDS) if self._process else None
        except subprocess.TimeoutExpired:
            return "the worker closed its pipe and went on"
        if status is None:
            return "the worker ended, and so had the server that it was forked from"
        if status < 0:
            return f"the worker was killed by {signal_name(-status)}"
        return f"the worker exited with status {status} before it answered"

    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the worker wrote to stdout and stderr, without paths of this machine."""
        return self._place.last_lines(self._spec) if self._place else ()


def signal_name(number: int) -> str:
    """Name of a signal; its number where it has none.

    Example:
        >>> signal_name(9), signal_name(40)
        ('SIGKILL', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def at_once(
    call: Callable[[Item], Result], items: Sequence[Item], *, on_interrupt: Callable[[], object] = lambda: None
) -> list[Result]:
    """Call a function with each item, in threads of their own.

    A thread that waits for a process, such as one that builds a wheel over a slow network, cannot be interrupted;
    so the processes are killed, until all threads are through. One that waits for anything else has to be told.

    Args:
        call: Waits for processes that it starts.
        items: At least one.
        on_interrupt: Called first when the wait is interrupted; ends what the threads wait for besides processes.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: The first that a call raised, in the order of the items.
    """
    with ThreadPoolExecutor(len(items)) as pool:
        futures = [pool.submit(call, item) for item in items]
        try:
            wait(futures)
        except BaseException:
            on_interrupt()
            while wait(futures, KILL_SECONDS).not_done:
                for child in psutil.Process().children(recursive=True):
                    kill_process(child)
            raise
        return [future.result() for future in futures]


def conceal(text: str, spec: WorkerSpec) -> str:
    """Text without the paths that name this machine or its user; those of workloads as in the repository."""
    named = {
        WORKER: "worker_main.py",
        str(Path(spec.python).parent.parent): "ENVIRONMENT",
        spec.own: "SITE-PACKAGES",
        f"{spec.folder}{os.sep}": "",
        spec.folder: ".",
        spec.scratch: "SCRATCH",
        str(Path(spec.folder).parent): "GATE",
        sys.prefix: "MAINSTAY",
        str(Path.home()): "~",
    }
    places = {**_relative(named, spec), **named}
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            text = text.replace(place, places[place])
    return text


def explain_refusal(cause: str) -> str:
    """Why a process failed, with what to do where it may have been refused to write.

    Args:
        cause: What the failure says of itself.

    Example:
        >>> explain_refusal("ValueError: no data")
        'ValueError: no data'
    """
    if not REFUSED_WRITE.search(cause) or not can_confine():
        return cause
    return (
        f"{cause} (workers can write to their own folders only, such as TMPDIR; a place that they must write to is named "
        "by the key 'writable' in the [tool.mainstay] of the baseline)"
    )


def _relative(places: Mapping[str, str], spec: WorkerSpec) -> dict[str, str]:
    """The same places as pytest names them, seen from a worker's working folder, but for those that it lies in."""
    cwd = os.path.join(spec.scratch, "worker", "cwd")
    return {
        os.path.relpath(place, cwd) + (os.sep if place.endswith(os.sep) else ""): name
        for place, name in places.items()
        if not Path(cwd).is_relative_to(place)
    }


def collect_workloads(
    spec: WorkerSpec, select: Sequence[str], launcher: Launcher = start_fresh, *, limit_s: float = START_SECONDS
) -> Collection:
    """What a revision can run of the workloads.

    A worker that comes to its end while it collects is a problem of the file that it was at; the others are then
    collected without that file.

    Args:
        spec: The revision's worker.
        select: Paths to collect, relative to the measuring folder.
        launcher: Starts the worker's process.
        limit_s: Seconds after which a worker counts as hung.

    Returns:
        Workloads and problems.
    """
    fatal: list[Problem] = []
    lines: tuple[str, ...] = ()
    while True:
        ignored = [problem.id for problem in fatal]
        with Worker(spec, select, launcher, ignored=ignored) as worker:
            try:
                event = worker.expect("collected", limit_s)
            except WorkerEndedError as ended:
                worker.kill()
                place = " ".join(select) if ended.collecting in {"", "."} else ended.collecting
                fatal.append(Problem(id=place, cause=ended.cause, is_hang=ended.is_hang))
                lines = worker.last_lines()
            else:
                found = _parse_collection(event, spec)
                lines = worker.last_lines() if found.problems else lines
                return replace(found, problems=(*fatal, *found.problems), last_lines=lines)
        last = fatal[-1]
        is_tried_enough = len(fatal) >= MAX_ATTEMPTS or sum(problem.is_hang for problem in fatal) >= MAX_HANGS
        if last.id in {*ignored, *select, " ".join(select)}:
            return Collection(workloads=(), problems=tuple(fatal), last_lines=lines)
        if is_tried_enough:
            everything = replace(last, id=" ".join(select))
            return Collection(workloads=(), problems=(*fatal, everything), last_lines=lines)


def _parse_collection(event: Mapping[str, Any], spec: WorkerSpec) -> Collection:
    """What a worker says that it has collected."""
    problems = tuple(
        Problem(id=problem["id"], cause=conceal(explain_refusal(problem["cause"]), spec), is_usage="usage" in problem)
        for problem in event["problems"]
    )
    return Collection(
        workloads=tuple(_parse_workload(content) for content in event["workloads"]),
        problems=problems,
        skipped=frozenset(content["id"] for content in event["workloads"] if content["is_skipped"]),
        skipped_files=tuple(
            Problem(id=skipped["id"], cause=conceal(skipped["cause"], spec)) for skipped in event["skipped"]
        ),
    )


def _parse_workload(content: Mapping[str, Any]) -> Workload:
    """A workload as the worker describes it."""
    metrics = tuple(
        Metric(
            workload=content["id"],
            name=metric["name"],
            kind=Kind(metric["kind"]),
            direction=Direction(metric["direction"]),
            margin=float(metric["margin"]),
            unit=metric["unit"],
            ceiling=metric.get("ceiling"),
            resolution=metric.get("resolution", 0.0),
        )
        for metric in content["metrics"]
    )
    return Workload(id=content["id"], kind=Kind(content["kind"]), metrics=metrics, is_alone=content["is_alone"])


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialForm:
    """What is known of a trial before it ends; what the worker says at its end completes it.

    Attributes:
        spec: The revision's worker.
        workload: Node id.
        seed: Seed of the trial.
        pair: Number of its pair.
        repetition: 1 for the repetition of a baseline.
        gated: Names of the metrics that must be recorded, with finite values.
    """

    spec: WorkerSpec
    workload: str
    seed: int
    pair: int
    repetition: int = 0
    gated: tuple[str, ...] = ()

    def failed(self, outcome: Outcome, cause: str, lines: Sequence[str] = ()) -> Trial:
        """A trial that did not complete.

        Args:
            outcome: How it ended.
            cause: Why, in one sentence.
            lines: The last lines of the worker's output and of a traceback.
        """
        return Trial(
            workload=self.workload,
            side=self.spec.side,
            seed=self.seed,
            pair=self.pair,
            repetition=self.repetition,
            outcome=outcome,
            files_of=self.spec.files_of,
            cause=shortened(conceal(explain_refusal(cause), self.spec)),
            last_lines=tuple(shortened(conceal(line, self.spec)) for line in lines),
        )

    def ended(self, content: Mapping[str, Any], *, load: float | None, last_lines: Sequence[str]) -> Trial:
        """A trial that the worker says has ended.

        Args:
            content: Of the event ``finished``.
            load: Processors that others kept busy meanwhile.
            last_lines: What the worker wrote last, for a trial that cannot be judged.
        """
        if content["outcome"] not in {Outcome.COMPLETED, Outcome.SKIPPED}:
            lines = (*last_lines, *content["detail"][-NUM_LAST_LINES:])
            return self.failed(Outcome(content["outcome"]), content["cause"], lines)
        wrong = unusable_value(self.gated, content.get("values", {}))
        if wrong and content["outcome"] == Outcome.COMPLETED:
            return self.failed(Outcome.FAILED, wrong, last_lines)
        predictions = content.get("predictions")
        return Trial(
            workload=self.workload,
            side=self.spec.side,
            seed=self.seed,
            pair=self.pair,
            repetition=self.repetition,
            outcome=Outcome(content["outcome"]),
            files_of=self.spec.files_of,
            cause=content["cause"],
            values={name: float(value) for name, value in content.get("values", {}).items()},
            series={name: tuple(map(float, values)) for name, values in content.get("series", {}).items()},
            context=content.get("context", {}),
            digest=content.get("digest", ""),
            predictions=Predictions(**predictions) if predictions else None,
            duration_s=content["duration_s"],
            peak_memory_bytes=content["peak_memory_bytes"],
            load=load,
            names={name: tuple(values) for name, values in content.get("names", {}).items()},
        )


class Crew:
    """The workers of both revisions: measures pairs, and can be stopped from another thread.

    Args:
        specs: The worker of each side.
        together: Run both sides of a pair at once; else one after the other in the order drawn.
        on_trial: Called with each final trial as soon as it is known, from whatever thread measured it.
        choose_examples: Tells from the trials of a pair which examples of the test set the report will show.
        launchers: Start the processes of a side, but for pairs that are measured apart; fresh interpreters if not given.
    """

    def __init__(
        self,
        specs: Mapping[Side, WorkerSpec],
        *,
        together: bool = True,
        on_trial: Callable[[Trial], None] | None = None,
        choose_examples: Callable[[Sequence[Trial]], Sequence[int]] = lambda _: (),
        launchers: Mapping[Side, Launcher] | None = None,
    ) -> None:
        self.specs = specs
        self._launchers = launchers or {}
        self.together = together
        self._choose_examples = choose_examples
        self.on_trial = on_trial
        self._lock = threading.Lock()
        self._live: set[Worker] = set()
        self._stopped = False

    def measure(self, request: PairRequest, known: Sequence[Trial] = ()) -> PairResult:
        """Measure a pair whose trials are whole runs: a fresh process for each revision.

        A trial that does not complete is repeated once with the same seed, unless its worker hung while it collected.

        Args:
            request: What to measure.
            known: Trials of this pair that were measured earlier; with them, which examples flipped is known.

        Returns:
            The trials that were asked for, with images if wanted and to be had; no trial where the time was used up.

        Raises:
            Interrupted: If the crew was stopped.
        """
        with ExitStack() as stack:
            deadline = time.monotonic() + request.seconds_left
            runs = [_SideRun(self, side, request, stack, deadline) for side in request.sides]
            try:
                for run in runs if request.apart else ():  # they import at once, then run one after the other
                    run.start()
                if self.together and len(runs) > 1 and not request.apart:
                    trials = at_once(_SideRun.measure, runs)
                else:
                    trials = [run.measure() for run in runs]
            except OutOfTimeError:
                for run in runs:
                    run.kill()
                return PairResult(request=request, trials=(), was_cut=True)
            images: dict[int, str] = {}
            if request.wants_images and (examples := self._choose_examples([*known, *trials])):
                images = next(filter(None, (run.images(examples) for run in reversed(runs))), {})
        return PairResult(request=request, trials=tuple(trials), images=images)

    def start(
        self,
        side: Side,
        select: Sequence[str],
        stack: ExitStack,
        *,
        is_fresh: bool = False,
        deadline: float = math.inf,
    ) -> Worker:
        """Start a worker that ends with the stack, or when the crew is stopped.

        Args:
            side: Whose.
            select: Paths or node ids to collect.
            stack: What it ends with.
            is_fresh: Whether its process must be a fresh interpreter.
            deadline: Time by the monotonic clock after which :class:`OutOfTimeError` ends every wait for it.
        """
        launcher = start_fresh if is_fresh else self._launchers.get(side, start_fresh)
        with self._lock:
            if self._stopped:
                raise Interrupted("interrupted")
            worker = stack.enter_context(Worker(self.specs[side], select, launcher, deadline=deadline))
            self._live.add(worker)
            stack.callback(self._live.discard, worker)
        return worker

    def report(self, trials: Sequence[Trial]) -> None:
        """Pass final trials on to whoever wants to know of each."""
        if self.on_trial:
            for trial in trials:
                self.on_trial(trial)

    def stop(self) -> None:
        """Kill every worker and start no more; whoever waits for one gets :class:`Interrupted`."""
        with self._lock:
            self._stopped = True
            for worker in self._live:
                worker.kill()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped


class _SideRun:
    """One side of a pair: its worker stays alive until the images were asked for."""

    def __init__(self, crew: Crew, side: Side, request: PairRequest, stack: ExitStack, deadline: float) -> None:
        self._crew = crew
        self._deadline = deadline
        self._is_hung = False
        self._spec = crew.specs[side]
        self._request = request
        self._form = TrialForm(
            spec=crew.specs[side],
            workload=request.workload,
            seed=request.seed,
            pair=request.pair,
            repetition=request.repetition,
            gated=request.gated,
        )
        self._stack = stack
        self._worker: Worker | None = None

    def start(self) -> Worker:
        """Start a fresh process."""
        self._worker = self._crew.start(
            self._spec.side,
            [self._request.workload],
            self._stack,
            is_fresh=self._request.apart,
            deadline=self._deadline,
        )
        return self._worker

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._worker:
            self._worker.kill()

    def measure(self) -> Trial:
        """The trial, repeated once in another process if it did not complete."""
        trial = self._attempt()
        if trial.outcome not in {Outcome.COMPLETED, Outcome.SKIPPED} and not self._is_hung:
            trial = self._attempt()
        self._crew.report([trial])
        return trial

    def images(self, indices: Sequence[int]) -> dict[int, str]:
        """Images of examples, from a worker whose trial completed."""
        if self._worker is None:
            return {}
        try:
            self._worker.send(do="images", indices=list(indices))
            images = self._worker.expect("images", self._request.limit_s)["images"]
        except (WorkerEndedError, BrokenPipeError, OutOfTimeError):
            self._worker.kill()
            return {}
        return {index: image for index, image in zip(indices, images, strict=False) if is_png(image)}

    def _attempt(self) -> Trial:
        worker = self._worker or self.start()
        load = LoadMeter()
        try:
            collected = worker.expect("collected", collecting_seconds(self._request.limit_s))
            if reason := why_not_collected(self._request.workload, collected):
                self._worker = None
                return self._form.failed(Outcome.FAILED, reason, worker.last_lines())
            worker.send(do="run", workload=self._request.workload, seed=self._request.seed)
            content = worker.expect("finished", self._request.limit_s)
        except (WorkerEndedError, BrokenPipeError) as ended:
            if self._crew.is_stopped:
                raise Interrupted("interrupted") from ended
            outcome = ended.outcome if isinstance(ended, WorkerEndedError) else Outcome.CRASHED
            self._is_hung = isinstance(ended, WorkerEndedError) and ended.is_hang
            worker.kill()
            trial = self._form.failed(outcome, str(ended), worker.last_lines())
        else:
            trial = self._form.ended(content, load=load.of_others(), last_lines=worker.last_lines())
        if trial.outcome not in {Outcome.COMPLETED, Outcome.SKIPPED}:
            self._worker = None
        return trial


def why_not_collected(workload: str, collected: Mapping[str, Any]) -> str:
    """Why a worker cannot run a workload; empty if it can.

    Args:
        workload: Node id.
        collected: Content of the event ``collected``.
    """
    if any(found["id"] == workload for found in collected["workloads"]):
        return ""
    causes = (problem["cause"] for problem in collected["problems"] if concerns(problem["id"], workload))
    return str(next(causes, "the workload was not collected"))


def concerns(problem: str, workload: str) -> bool:
    """Whether what could not be collected is a workload's file, or a folder that it lies in.

    Args:
        problem: Path relative to the measuring folder.
        workload: Node id.

    Example:
        >>> [concerns(path, "benchmarks/test_a.py::test_a") for path in ("benchmarks/test_a.py", "benchmarks", "bench")]
        [True, True, False]
    """
    return PurePosixPath(workload.partition("::")[0]).is_relative_to(problem)


def unusable_value(gated: Sequence[str], values: Mapping[str, Any]) -> str:
    """Why a finished trial cannot be judged; empty if it can.

    Args:
        gated: Names that must have been recorded.
        values: What was recorded, by name.

    Example:
        >>> unusable_value(["top1_accuracy"], {"top1_accuracy": "nan"})
        'top1_accuracy is nan'
    """
    for name in gated:
        if name not in values:
            return f"the gated metric {name} was not recorded"
        if not math.isfinite(float(values[name])):
            return f"{name} is {values[name]}"
    return ""


def is_png(image: str) -> bool:
    """Whether a base64 text holds a PNG file."""
    try:
        return base64.b64decode(image, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    except ValueError:
        return False


class LoadMeter:
    """Measures how busy other processes keep the machine, from its making on.

    What can be read is the busy time of the whole machine, from which that of this process and its descendants is
    taken away.
    """

    def __init__(self) -> None:
        self._others = _busy_seconds() - _own_seconds()
        self._start = time.monotonic()

    def of_others(self) -> float:
        """Processors that others kept busy on average since the meter was made."""
        elapsed = time.monotonic() - self._start
        others = _busy_seconds() - _own_seconds() - self._others
        return max(0.0, others / elapsed) if elapsed > 0 else 0.0


def _busy_seconds() -> float:
    """Processor seconds that the whole machine has spent on work."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def _own_seconds() -> float:
    """Processor seconds of this process, of its descendants and of the children it has waited for."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
