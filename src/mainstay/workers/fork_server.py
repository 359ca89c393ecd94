"""Servers that preload modules and fork workers, which then start at once instead of after seconds of imports.

A server is :mod:`mainstay.runner` in the environment of one revision. It ends when its socket to the gate is closed,
which also happens whenever the gate ends. This works on Linux only: on other systems, a forked process must not call
some of the system's libraries.

- :func:`can_fork`, :func:`describe_preload`: whether servers can be used, and a sentence about it for reports.
- :func:`fork_servers`: one server for each revision, as a context manager.
- :class:`ForkServer`: one server; its :meth:`~ForkServer.start` is a :data:`mainstay.workers.process.Launcher`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

import psutil

from mainstay.records.errors import HarnessError, WorkerError
from mainstay.records.trials import Side
from mainstay.runner.protocol import ForkRequest, ServerAnswer, ServerOptions
from mainstay.workers.descendants import forget_session, kill_group, kill_orphans
from mainstay.workers.process import (
    EXIT_SECONDS,
    START_SECONDS,
    WORKER,
    Launch,
    Place,
    WorkerSpec,
    conceal,
    signal_name,
    start_program,
)

ANSWER_BYTES = 1 << 16
"""Largest size of an answer of a server, in bytes."""


def can_fork(platform: str) -> bool:
    """Whether servers can be used on a platform, as ``sys.platform`` names it."""
    return platform == "linux"


def describe_preload(modules: Sequence[str], platform: str) -> str:
    """A sentence on how workers are started; empty if no module is preloaded.

    Example:
        >>> describe_preload(["torch"], "darwin")
        'preload needs Linux, not darwin: every worker was a fresh interpreter'
    """
    if not modules:
        return ""
    if not can_fork(platform):
        return f"preload needs Linux, not {platform}: every worker was a fresh interpreter"
    return f"workers were forked from servers that had {', '.join(modules)} preloaded, but for peak memory"


@contextmanager
def fork_servers(
    specs: Mapping[Side, WorkerSpec], modules: Sequence[str], *, limit_s: float = START_SECONDS
) -> Iterator[dict[Side, ForkServer]]:
    """Start a server for each revision; they import at the same time.

    Args:
        specs: The worker of each side.
        modules: Full names of the modules to import; if there are none, no server is started.
        limit_s: Time limit for the imports, in seconds.

    Yields:
        Servers by side; they are ended when the context exits.

    Raises:
        HarnessError: If a module cannot be preloaded; the baseline is named first if both revisions fail.
    """
    with ExitStack() as stack:
        servers = {
            side: stack.enter_context(ForkServer(spec, modules, limit_s=limit_s))
            for side, spec in specs.items()
            if modules
        }
        for server in servers.values():
            server.await_ready()
        yield servers


class ForkServer:
    """One server; leaving the context ends it and all workers that it forked.

    Args:
        spec: The revision's worker.
        modules: Full names of the modules to import.
        limit_s: Time limit for the imports, in seconds.
    """

    def __init__(self, spec: WorkerSpec, modules: Sequence[str], *, limit_s: float = START_SECONDS) -> None:
        self._spec = spec
        self._limit_s = limit_s
        self._modules = tuple(modules)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        spec = self._spec
        self._place = Place(spec, "server-")
        self._control, control = socket.socketpair()
        limit_s = self._limit_s + EXIT_SECONDS
        options = ServerOptions(preload=self._modules, control=control.fileno(), limit_s=limit_s)
        with control:
            try:
                self._process = start_program(spec, options, self._place, [control.fileno()])
            except OSError as error:
                self._control.close()
                raise WorkerError(
                    f"the {spec.side} server does not start: {error.strerror}", looked_in=spec.python
                ) from error
            finally:
                self._place.output.close_writing()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._control.close()
        if kind is None:
            with suppress(subprocess.TimeoutExpired):  # it ends its workers and exits by itself
                self._process.wait(EXIT_SECONDS)
        kill_group(self._process.pid)
        self._process.wait()
        forget_session(self._process.pid)
        kill_orphans()
        self._place.output.close()

    @property
    def pid(self) -> int:
        """Process id of the server, which leads a process group of its own."""
        return self._process.pid

    def await_ready(self) -> None:
        """Wait until the modules are imported.

        Raises:
            HarnessError: If a module cannot be imported.
        """
        try:
            answer = _receive(self._control, self._limit_s)
        except TimeoutError:
            raise self._refusal(f"the imports took longer than {self._limit_s:g} s") from None
        if answer is None:
            raise self._refusal(f"the server ended during the imports: {self._describe_end()}")
        if "refused" in answer:
            raise self._refusal(answer["refused"])

    def _refusal(self, cause: str) -> HarnessError:
        """Error for modules that cannot be preloaded."""
        names = ", ".join(self._modules)
        return HarnessError(
            f"the {self._spec.side} cannot preload {names}: {conceal(cause, self._spec)}{self._last_words()}",
            side=self._spec.side,
            looked_in="preload in [tool.mainstay]",
            next_step="name only modules that both revisions can import, and with threads = 1 if they leave threads running",
        )

    def start(self, launch: Launch) -> ForkedProcess:
        """Fork a worker.

        Raises:
            WorkerError: If the server has ended.
        """
        line, far_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        place = launch.place
        request: ForkRequest = {"options": launch.options, "cwd": str(place.cwd), "variables": place.variables}
        descriptors = [launch.commands, launch.events, place.output.descriptor, far_line.fileno()]
        with self._lock:  # until it has answered: requests that overlap would lose descriptors
            try:
                with far_line:
                    data = (json.dumps(request) + "\n").encode()
                    sent = socket.send_fds(self._control, [data], descriptors)
                    self._control.sendall(data[sent:])
                answer = _receive(line, START_SECONDS)
            except OSError:  # a time-out among them
                answer = None
        if answer is None or "pid" not in answer:
            line.close()
            raise self._ended()
        return ForkedProcess(answer["pid"], line)

    def _ended(self) -> WorkerError:
        """Error for a server that cannot fork any more workers."""
        return WorkerError(
            f"the {self._spec.side} server, which had {', '.join(self._modules)} preloaded, forks no more workers: "
            f"{self._describe_end()}{self._last_words()}",
            next_step="run it again; if that does not help, remove preload from [tool.mainstay]",
        )

    def _last_words(self) -> str:
        """Last output of the server, one line each, to append to an error."""
        return "".join(f"\n  | {line}" for line in self._place.last_lines(self._spec))

    def _describe_end(self) -> str:
        """How the server ended."""
        try:
            status = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        if status < 0:
            return f"it was killed by {signal_name(-status)}"
        return f"it exited with status {status}"


class ForkedProcess:
    """A worker's process that is a child of its server, which reports how it ended.

    Args:
        pid: Its process id, which no other process gets before :meth:`wait` has returned.
        line: The socket on which the server reports the end.
    """

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self._line = line
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status, or the negative number of the signal, once the process has ended.

        Returns:
            The exit status; ``None`` if the server ended before it could report it.

        Raises:
            subprocess.TimeoutExpired: If the process runs longer.
        """
        if self._line.fileno() == -1:
            return self._status
        try:
            answer = _receive(self._line, timeout)
            if answer is None:  # the server is gone
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(self.pid).wait(timeout)
        except (TimeoutError, psutil.TimeoutExpired):
            raise subprocess.TimeoutExpired(WORKER, timeout or 0.0) from None
        self._line.close()
        self._status = answer["status"] if answer else None
        return self._status


def _receive(connection: socket.socket, limit_s: float | None) -> ServerAnswer | None:
    """Next answer of a server; ``None`` if the server has ended.

    Raises:
        TimeoutError: If it does not answer in time.
    """
    connection.settimeout(limit_s)
    try:
        data = connection.recv(ANSWER_BYTES)
    except ConnectionError:
        return None
    finally:
        connection.settimeout(None)
    answer: ServerAnswer | None = json.loads(data) if data else None
    return answer
