"""One worker process: starting it, talking to it, and ending it with all its children.

The other end is :mod:`mainstay.runner`.

- :class:`WorkerSpec`: everything needed to start a worker for one revision; plain data, so it can be pickled.
- :class:`Worker`: one process, as a context manager.
- :class:`Launch`, :data:`Launcher`, :func:`start_fresh`: how its process is started: as a fresh interpreter, unless
  :mod:`mainstay.workers.fork_server` forks it.
- :func:`at_once`: call a function for several items in threads whose processes are killed when the gate is interrupted.
"""

from __future__ import annotations

import compileall
import errno
import json
import math
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar, overload

import psutil

from mainstay.records.errors import StoreError, WorkerError
from mainstay.records.selections import EVERYTHING, Selection
from mainstay.records.trials import Outcome, Side
from mainstay.runner.confinement import can_confine, confined_command
from mainstay.runner.protocol import (
    Collected,
    Command,
    Event,
    Finished,
    Images,
    Traced,
    WorkOptions,
)
from mainstay.workers.descendants import (
    OutputTail,
    adopt_session,
    forget_session,
    kill_group,
    kill_orphans,
    kill_process,
    living_descendants,
    start_session,
)
from mainstay.workers.events import MAX_EVENT_BYTES, ProtocolError, parse_event

WORKER = str(Path(__file__).parents[1] / "runner")
"""The folder that is run as a program; the gate itself imports only its modules that do not import pytest."""

NUM_LAST_LINES = 20
"""Number of lines of a worker's output that are kept if a trial does not complete."""

START_SECONDS = 300.0
"""Longest time, in seconds, after which a worker that imports and collects the workloads counts as hung."""

LEAST_START_SECONDS = 30.0
"""Shortest such time, whatever trials and budget allow: importing torch from a cold disk takes many seconds."""

EXIT_SECONDS = 5.0
"""Seconds that a worker may take to exit after it was told to."""

KILL_SECONDS = 0.1
"""Seconds that an interrupted gate waits before it kills processes that were started meanwhile."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """Everything needed to start a worker for one revision.

    Attributes:
        side: Baseline or candidate.
        python: Interpreter of the revision's environment.
        own: Folder that every module of the project must come from.
        roots: Import roots of the project.
        folder: The measuring folder.
        configuration: pytest's configuration file in the measuring folder.
        scratch: An existing folder for the revision's private HOME, TMPDIR, caches, working folders and logs. Confined
            workers can write only to this folder, to shared memory and to devices.
        variables: All environment variables of the worker except HOME, TMPDIR and those of caches.
        writable: Further files and folders that confined workers can write to.
        files_of: The revision whose workload files lie in the measuring folder.
        files: Patterns of the names of workload files; empty to use pytest's settings.
        asv: Patterns of the names of files of asv's suites.
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
    files: tuple[str, ...] = ()
    asv: tuple[str, ...] = ()


class WorkerEndedError(Exception):
    """A worker ended, timed out or sent something invalid when an event was expected.

    Args:
        cause: What happened, in one sentence.
        outcome: ``crashed``, ``timed-out`` or, if it sent something invalid, ``failed``.
        collecting: What it was collecting: a path relative to the measuring folder, or ``.`` before the first file and
            after the last one; empty if it was not collecting.
    """

    def __init__(self, cause: str, outcome: Outcome, *, collecting: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.outcome = outcome
        self.collecting = collecting

    @property
    def is_hang(self) -> bool:
        """Whether it hung during collection, so that another attempt would be useless."""
        return bool(self.collecting) and self.outcome is Outcome.TIMED_OUT


class OutOfTimeError(Exception):
    """The time budget ran out while a worker was running."""


def collecting_seconds(trial_seconds: float, seconds: float = math.inf) -> float:
    """Time after which a worker that imports and collects the workloads counts as hung, in seconds.

    Args:
        trial_seconds: Time limit of one trial.
        seconds: Budget for measuring, of which a quarter may be used for collecting.

    Example:
        >>> [collecting_seconds(600, seconds) for seconds in (20, 900, 7200)]
        [30.0, 225.0, 300.0]
    """
    return max(LEAST_START_SECONDS, min(START_SECONDS, trial_seconds, seconds / 4))


class WorkerProcess(Protocol):
    """Interface to a worker's process."""

    @property
    def pid(self) -> int:
        """Process id; the process leads a group of its own."""

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status, or the negative number of the signal, once it has ended; ``None`` if unknown.

        Raises:
            subprocess.TimeoutExpired: If it goes on for longer.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """Start arguments of a worker's process.

    Attributes:
        spec: The revision's worker.
        options: Options of :mod:`mainstay.runner`, without the descriptors.
        place: Its folders and its output.
        commands: Descriptor that it reads commands from.
        events: Descriptor that it writes events to.
    """

    spec: WorkerSpec
    options: WorkOptions
    place: Place
    commands: int
    events: int


Launcher = Callable[[Launch], WorkerProcess]
"""Starts the process of a worker; raises ``OSError`` or :class:`~mainstay.records.errors.WorkerError` if it cannot."""


def start_fresh(launch: Launch) -> WorkerProcess:
    """Start a fresh interpreter."""
    options = {**launch.options, "commands": launch.commands, "events": launch.events}
    return start_program(launch.spec, options, launch.place, (launch.commands, launch.events))


def compile_runner() -> None:
    """Write the byte code of :mod:`mainstay.runner`, since workers write none and each would compile it anew.

    Nothing is written where Python itself would write nothing: in an installation that is read-only, or if the user's
    ``PYTHONDONTWRITEBYTECODE`` says so.
    """
    if not sys.dont_write_bytecode:
        compileall.compile_dir(WORKER, maxlevels=0, quiet=2)


def start_program(
    spec: WorkerSpec, options: Mapping[str, Any], place: Place, descriptors: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start :mod:`mainstay.runner` in a new session, confined if the system supports it.

    Args:
        spec: The revision's worker.
        options: Options of a worker or of a server.
        place: Its folders and its output.
        descriptors: File descriptors that the options name.

    Raises:
        OSError: If the interpreter cannot be run.
    """
    command = [spec.python, "-P", WORKER, json.dumps(options)]
    if can_confine():
        if not os.access(spec.python, os.X_OK):  # a process that is confined first could not report this error
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        command = confined_command((spec.scratch, *spec.writable), command)
    return start_session(
        command,
        cwd=place.cwd,
        env={**spec.variables, **place.variables},
        stdout=place.output.descriptor,
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
"""Environment variables that name the cache folders of libraries, with the subfolder of a process's own cache."""


class Place:
    """Folders of a process (HOME, TMPDIR, caches, working folder) and the reader of its output.

    Args:
        spec: The revision's worker; a cache that its variables place elsewhere, as ``prepare`` may do, stays there.
        prefix: Prefix of the folder's name.
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


@dataclass(eq=False)
class Worker:
    """One worker process; leaving the context ends it and everything it started.

    Whatever the worker sends or does, only :class:`WorkerEndedError` is raised. If it cannot be started, the error is
    raised when an event is expected from it.

    Attributes:
        spec: The revision's worker.
        select: Paths or node ids to collect, relative to the measuring folder.
        launcher: Function that starts the process.
        ignored: Paths not to collect, relative to the measuring folder.
        selection: The user's selection; tests that its expressions deselect are collected, but marked.
        deadline: Time by the monotonic clock after which :class:`OutOfTimeError` ends every wait.
        traced: Whether the worker traces what it executes, and is not to be timed.
        follows_calls: Whether the trace also tells of every function that is executed and of sources of chance.
    """

    spec: WorkerSpec
    select: Sequence[str]
    launcher: Launcher = start_fresh
    _: KW_ONLY
    ignored: Sequence[str] = ()
    selection: Selection = EVERYTHING
    deadline: float = math.inf
    traced: bool = False
    follows_calls: bool = False

    def __post_init__(self) -> None:
        self._buffer = bytearray()
        self._token = ""
        self._collecting = ""
        self._place: Place | None = None
        self._process: WorkerProcess | None = None
        self._why_not_started = ""
        self._is_dismissed = False
        self._left_children: list[psutil.Process] = []
        self._commands: int | None = None

    def __enter__(self) -> Self:
        commands_read, self._commands = os.pipe()
        self._events, events_write = os.pipe()
        try:
            self._place = Place(self.spec, "worker-")
            try:
                self._process = self._launch(self._place, commands_read, events_write)
            finally:
                self._place.output.close_writing()
            adopt_session(self._process.pid)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                self.close_commands()
                os.close(self._events)
                raise StoreError(f"no worker can be started: {error.strerror}", next_step="make room") from error
            self._why_not_started = f"the worker does not start: {error.strerror}"
        except WorkerError as error:
            self._why_not_started = error.fact.partition("\n")[0]
        finally:
            os.close(commands_read)
            os.close(events_write)
        self.send(Command.COLLECT)
        return self

    def _launch(self, place: Place, commands: int, events: int) -> WorkerProcess:
        """Start the process."""
        spec = self.spec
        options: WorkOptions = {
            "folder": spec.folder,
            "configuration": spec.configuration,
            "select": list(self.select),
            "ignored": list(self.ignored),
            "files": list(spec.files),
            "asv": list(spec.asv),
            "keyword": self.selection.keyword,
            "marks": self.selection.marks,
            "roots": list(spec.roots),
            "own": spec.own,
            "traced": self.traced,
            "follows_calls": self.follows_calls,
        }
        return self.launcher(Launch(spec=spec, options=options, place=place, commands=commands, events=events))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._process:
            if kind is None:
                self.dismiss()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(EXIT_SECONDS)
            children = list({*self._left_children, *self.children()})
            for child in children:
                kill_process(child)
            kill_group(self._process.pid)
            psutil.wait_procs(children, EXIT_SECONDS)
            self._process.wait()
            forget_session(self._process.pid)
            kill_orphans()
        self.close_commands()
        os.close(self._events)
        if self._place:
            self._place.output.close()

    def close_commands(self) -> None:
        """Close the command pipe, which tells the worker that the gate is gone."""
        if self._commands is not None:
            os.close(self._commands)
            self._commands = None

    def dismiss(self) -> None:
        """Tell the worker to exit when it has done what it was told before."""
        if not self._is_dismissed:
            self._is_dismissed = True
            self._left_children = self.children()  # afterwards, those that left its group are no longer its children
            self.send(Command.EXIT)

    def kill(self) -> None:
        """Kill the process with all that it started."""
        if self._process:
            children = self.children()
            kill_group(self._process.pid)
            for child in children:
                kill_process(child)

    @property
    def pid(self) -> int:
        """Process id of the worker, which leads its own process group; 0 if it could not be started."""
        return self._process.pid if self._process else 0

    def children(self) -> list[psutil.Process]:
        """The processes that the worker started, directly or not, and that have not ended."""
        return living_descendants(self._process.pid) if self._process else []

    def send(self, do: Command, **content: Any) -> None:
        """Send a command with its content, and a token that the answer must repeat.

        If the worker has ended, the next wait for an event says so.
        """
        if do is Command.RUN and self._place:
            self._place.output.clear()  # only output since the start of a trial is reported with it
        self._token = secrets.token_hex(8)
        line = json.dumps({"do": do, **content, "token": self._token}) + "\n"
        with suppress(BrokenPipeError):
            if self._commands is not None:
                os.write(self._commands, line.encode())

    @overload
    def expect(self, event: Literal[Event.COLLECTED], limit_s: float) -> Collected: ...

    @overload
    def expect(self, event: Literal[Event.FINISHED], limit_s: float) -> Finished: ...

    @overload
    def expect(self, event: Literal[Event.IMAGES], limit_s: float) -> Images: ...

    @overload
    def expect(self, event: Literal[Event.TRACED], limit_s: float) -> Traced: ...

    def expect(self, event: Event, limit_s: float) -> Any:
        """Wait for the next event, which must be of the given kind.

        Raises:
            WorkerEndedError: If the process ends, takes longer than the limit, or sends anything else.
            OutOfTimeError: If the deadline comes first.
        """
        return self.expect_one_of((event,), limit_s)[1]

    def expect_one_of(self, events: Sequence[Event], limit_s: float) -> tuple[Event, Any]:
        """Wait for the next event, which must be of one of the given kinds.

        Raises:
            WorkerEndedError: If the process ends, takes longer than the limit, or sends anything else.
            OutOfTimeError: If the deadline comes first.
        """
        if self._why_not_started:
            raise WorkerEndedError(self._why_not_started, Outcome.CRASHED)
        expected = tuple(events)
        if Event.COLLECTED in events:
            expected, self._collecting = (*events, Event.COLLECTING), "."
        deadline = time.monotonic() + limit_s
        while True:
            line = self._read_line(deadline, limit_s)
            try:
                event, content = parse_event(line, expected, token=self._token)
            except ProtocolError as error:
                raise self._ended(f"the worker broke its protocol: {error}", Outcome.FAILED) from error
            if event is not Event.COLLECTING:
                self._collecting = ""
                return event, content
            self._collecting = content["id"]

    def _ended(self, cause: str, outcome: Outcome) -> WorkerEndedError:
        where = f", while it collected {self._collecting}" if self._collecting not in {"", "."} else ""
        return WorkerEndedError(f"{cause}{where}", outcome, collecting=self._collecting)

    def _read_line(self, deadline: float, limit_s: float) -> bytes:
        """Read a line, unless the time is over, since lines that have arrived may never come to an end."""
        if time.monotonic() > min(deadline, self.deadline):
            raise self._out_of_time(deadline, limit_s)
        end = self._buffer.find(b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(self._events, selectors.EVENT_READ)
            while end < 0:
                if len(self._buffer) > MAX_EVENT_BYTES:
                    fact = f"the worker broke its protocol: it sent more than {MAX_EVENT_BYTES:,} bytes in one line"
                    raise self._ended(fact, Outcome.FAILED)
                if not selector.select(max(0.0, min(deadline, self.deadline) - time.monotonic())):
                    raise self._out_of_time(deadline, limit_s)
                chunk = os.read(self._events, 1 << 16)
                if not chunk:
                    raise self._ended(self._describe_end(), Outcome.CRASHED)
                end = chunk.find(b"\n")
                end += len(self._buffer) if end >= 0 else 0
                self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _out_of_time(self, deadline: float, limit_s: float) -> OutOfTimeError | WorkerEndedError:
        """The error of a wait that ends at the earlier of two deadlines: the one of all waits, and that of the answer."""
        if self.deadline < deadline:
            return OutOfTimeError()
        return self._ended(f"the worker hung: no answer within {limit_s:g} s", Outcome.TIMED_OUT)

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
        return self._place.last_lines(self.spec) if self._place else ()


def signal_name(number: int) -> str:
    """Name of a signal, or its number if it has no name.

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
    """Call a function with each item, in parallel threads.

    A thread that waits for a process, such as one that builds a wheel over a slow network, cannot be interrupted.
    So on an interrupt the processes are killed until all threads have ended. ``on_interrupt`` must end any other wait.

    Args:
        call: Function that waits for processes that it starts.
        items: At least one item.
        on_interrupt: Called first on an interrupt; ends waits of the threads for anything other than processes.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: The first exception that a call raised, in the order of the items.
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
    """Text without paths that identify this machine or its user; workload paths become relative to the repository."""
    named = {
        WORKER: "runner",
        str(Path(spec.python).parent.parent): "ENVIRONMENT",
        spec.own: "SITE-PACKAGES",
        f"{spec.folder}{os.sep}": "",
        spec.folder: ".",
        spec.scratch: "SCRATCH",
        os.path.commonpath([spec.folder, spec.scratch]): "GATE",
        sys.prefix: "MAINSTAY",
        str(Path.home()): "~",
    }
    places = {**_relative(named, spec), **named}
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            text = text.replace(place, places[place])
    return text


def _relative(places: Mapping[str, str], spec: WorkerSpec) -> dict[str, str]:
    """The paths relative to a worker's working folder, as pytest prints them, except its parents."""
    cwd = os.path.join(spec.scratch, "worker", "cwd")
    return {
        os.path.relpath(place, cwd) + (os.sep if place.endswith(os.sep) else ""): name
        for place, name in places.items()
        if not Path(cwd).is_relative_to(place)
    }
