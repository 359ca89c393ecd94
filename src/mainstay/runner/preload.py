"""A server that imports modules once and forks workers in which they are already loaded.

It communicates with the gate over a Unix socket: it sends ``ready`` or ``refused``, then receives a line of JSON and
four descriptors for each worker (commands, events, output and a socket that reports the worker's process id and, later,
how it ended). A closed socket ends the server and its workers.

- :func:`serve`: run such a server.
- :class:`WorkerServer`: the loop that forks workers.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from .processes import child_pids, inherit_orphans, kill_children
from .protocol import ForkRequest, ServerAnswer, WorkerOptions

THREAD_SECONDS = 1.0
"""Seconds that a thread that has ended during an import may take to disappear."""


class PreloadError(Exception):
    """A module cannot be preloaded; the message says which and why."""


def preload(modules: Iterable[str]) -> None:
    """Import modules into the process that will fork the workers.

    Raises:
        PreloadError: If a module cannot be imported, or leaves a thread running, which a forked process would lack.
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
    """Number of other threads, including those of native libraries, after a wait for threads that are ending."""
    deadline = time.monotonic() + THREAD_SECONDS
    while (num_threads := len(os.listdir("/proc/self/task")) - 1) and time.monotonic() < deadline:
        time.sleep(0.01)
    return num_threads


class WorkerServer:
    """Server that forks a worker for each request of the gate; it starts no threads, so that forking is safe.

    A worker stays in the process table until the gate has been told how it ended, so that no other process gets its
    id meanwhile.

    Args:
        control: The socket to the gate.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._woken, self._wake = socket.socketpair()
        self._lines: dict[int, socket.socket] = {}
        self._helpers = child_pids()  # of preloaded modules
        self._ended: set[int] = set()

    def serve(self) -> WorkerOptions | None:
        """Fork workers until the gate has ended, then kill those that are left.

        Returns:
            In each forked worker, its options; in the server, ``None``.
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
            self._end_worker(pid)
        kill_children()
        return None

    def _next_request(self, selector: selectors.BaseSelector) -> tuple[ForkRequest, list[int]] | None:
        """Wait for the next request, reaping ended workers meanwhile; ``None`` once the gate is gone."""
        while True:
            for key, _ in selector.select():
                if key.data is self._control:
                    return self._receive()
                if key.data is self._woken:
                    self._woken.recv(1 << 12)
                    self._tell_ends()
                else:
                    selector.unregister(key.fileobj)
                    self._end_worker(key.data)

    def _receive(self) -> tuple[ForkRequest, list[int]] | None:
        data, descriptors, *_ = socket.recv_fds(self._control, 1 << 16, 4)
        while not data.endswith(b"\n"):
            if not (more := self._control.recv(1 << 16)):
                return None
            data += more
        return json.loads(data), descriptors

    def _fork(
        self, request: ForkRequest, descriptors: Sequence[int], selector: selectors.BaseSelector
    ) -> WorkerOptions | None:
        """Fork a worker; return its options in the worker and ``None`` in the server."""
        commands, events, output, line = descriptors
        pid = os.fork()
        if pid == 0:
            self._close_in_worker()
            become_worker(output, request["cwd"], request["variables"])
            with socket.socket(fileno=line) as connection:
                connection.send(_encoded({"pid": os.getpid()}))
            return {**request["options"], "commands": commands, "events": events}
        for descriptor in (commands, events, output):
            os.close(descriptor)
        self._lines[pid] = socket.socket(fileno=line)
        selector.register(self._lines[pid], selectors.EVENT_READ, pid)
        return None

    def _close_in_worker(self) -> None:
        """Close the server's file descriptors in a worker."""
        for connection in (self._control, self._woken, self._wake, *self._lines.values()):
            connection.close()

    def _tell_ends(self) -> None:
        """Report ended workers to the gate: the exit status, or the negative number of the signal."""
        for pid in self._lines.keys() - self._ended:
            if end := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._ended.add(pid)
                status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                with suppress(BrokenPipeError):
                    self._lines[pid].send(_encoded({"status": status}))

    def _end_worker(self, pid: int) -> None:
        """Kill the rest of a worker that the gate has released, and reap it."""
        self._lines.pop(pid).close()
        self._ended.discard(pid)
        os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kill_children(but={*self._lines, *self._helpers})  # adopts what the worker left behind


def _encoded(answer: ServerAnswer) -> bytes:
    return json.dumps(answer).encode()


def become_worker(output: int, cwd: str, variables: Mapping[str, str]) -> None:
    """Give a forked process the state of a fresh one.

    Args:
        output: Descriptor for stdout and stderr.
        cwd: Working folder of the process.
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
        numpy_random.seed()  # otherwise every worker would draw the same numbers; the module random reseeds itself


def serve(control: int, modules: Iterable[str], limit_s: float) -> WorkerOptions | None:
    """Import modules, then fork workers for as long as the gate lives.

    Args:
        control: Descriptor of the socket to the gate.
        modules: Full names of the modules.
        limit_s: Time limit of the imports, in seconds; an alarm ends the server if they hang, even if the gate has
            ended.

    Returns:
        In each forked worker, its options; in the server, ``None`` at the end.
    """
    inherit_orphans()
    connection = socket.socket(fileno=control)
    connection.set_inheritable(False)
    signal.alarm(math.ceil(limit_s))
    try:
        preload(modules)
    except PreloadError as refusal:
        connection.sendall(_encoded({"refused": str(refusal)}))
        return None
    signal.alarm(0)
    sys.stdout.flush()  # otherwise every worker would write the output of the imports again
    sys.stderr.flush()
    connection.sendall(_encoded({"ready": True}))
    return WorkerServer(connection).serve()
