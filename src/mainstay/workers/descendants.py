"""Processes that must end with the gate, and their output.

- :func:`run_guarded`: run a command that ends with the gate, however the gate ends.
- :func:`start_session`, :func:`adopt_session`, :func:`forget_session`: the record of the gate's sessions.
- :func:`inheriting_orphans`, :func:`kill_orphans`: adopt and kill processes that an ended session has left behind.
- :func:`kill_process`, :func:`kill_group`: kill a process or group that may have ended already.
- :class:`OutputTail`: the end of a process's output.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

GUARD = str(Path(__file__).with_name("guard.py"))
"""The program that runs a command and watches over it."""

PR_SET_CHILD_SUBREAPER = 36

END_SECONDS = 5.0
"""Seconds that a killed process may take to disappear."""

OUTPUT_BYTES = 1 << 16
"""Number of bytes of a process's output that are kept."""

MAX_LINE = 1000
"""Largest number of characters of a line that are shown."""


def run_guarded(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command that is killed, with everything it started, if the gate ends first.

    Args:
        command: Program and arguments.
        env: Environment variables of the command.
        cwd: Working folder of the command.
        stdin: Its standard input.
        timeout: Seconds that it may take.

    Returns:
        The exit status (127 if there is no such program) and the output.

    Raises:
        subprocess.TimeoutExpired: If it takes longer.
    """
    lifeline, end = os.pipe()
    guarded = [sys.executable, "-I", "-S", GUARD, str(lifeline), *command]
    with os.fdopen(lifeline, "rb"), os.fdopen(end, "wb") as held:
        with subprocess.Popen(
            guarded,
            env=dict(env),
            cwd=cwd,
            pass_fds=[lifeline],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin or None, timeout=timeout)
            except BaseException as error:
                held.close()
                try:
                    process.communicate(timeout=END_SECONDS)
                except subprocess.TimeoutExpired:  # without a guard, a process that holds the output may go on
                    for child in living_descendants(process.pid):
                        kill_process(child)
                    process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise subprocess.TimeoutExpired(command, error.timeout) from None
                raise
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


class _Sessions:
    """The sessions that the gate has started and that have not ended.

    Attributes:
        leaders: Process ids of the session leaders.
        is_heir: Whether orphans become children of this process.
        lock: Held while a process is started, so that it is not mistaken for an orphan before it is recorded.
    """

    def __init__(self) -> None:
        self.leaders: set[int] = set()
        self.is_heir = False
        self.lock = threading.Lock()


_SESSIONS = _Sessions()


def start_session(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that leads a session of its own.

    Args:
        command: Program and arguments.
        options: Options of ``subprocess.Popen``.
    """
    with _SESSIONS.lock:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        _SESSIONS.leaders.add(process.pid)
    return process


def adopt_session(pid: int) -> None:
    """Count the session of a process that a server has forked among those of the gate."""
    _SESSIONS.leaders.add(pid)


def forget_session(pid: int) -> None:
    """Forget an ended session; its remaining processes are orphans."""
    _SESSIONS.leaders.discard(pid)


@contextmanager
def inheriting_orphans() -> Iterator[None]:
    """Adopt processes that lose their parent, and kill the remaining ones at the end.

    This is used by the command line, where every child belongs to the gate. It works on Linux only; on other systems,
    only process groups are killed.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _SESSIONS.is_heir = True
    try:
        yield
    finally:
        kill_orphans()
        _SESSIONS.is_heir = False


def kill_orphans() -> None:
    """Kill processes that ended sessions have left behind."""
    if not _SESSIONS.is_heir:
        return
    with _SESSIONS.lock:
        own = {os.getsid(0), *_SESSIONS.leaders}
        while orphans := [child for child in psutil.Process().children() if _session_of(child) not in own]:
            families = [process for orphan in orphans for process in (orphan, *_descendants(orphan.pid))]
            for process in families:
                kill_process(process)
            if psutil.wait_procs(families, END_SECONDS)[1]:
                return


def _session_of(process: psutil.Process) -> int:
    """Session of a process; that of this process if it is gone."""
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return os.getsid(0)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return children


def living_descendants(pid: int) -> list[psutil.Process]:
    """The processes that a process has started, directly or not, and that have not ended."""
    return [child for child in _descendants(pid) if not _has_ended(child)]


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def kill_process(process: psutil.Process) -> None:
    """Kill a process that may be gone already."""
    with suppress(psutil.Error):
        process.kill()


def kill_group(pid: int) -> None:
    """Kill a process group that may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class OutputTail:
    """Reader that drains the output of a process and keeps its end.

    Attributes:
        descriptor: File descriptor for the process to write to; call :meth:`close_writing` once the process has been
            started.
    """

    def __init__(self) -> None:
        self._reading, self.descriptor = os.pipe()
        os.set_blocking(self._reading, False)
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._num_bytes = 0
        self._has_ended = False
        self._thread = threading.Thread(target=self._take, daemon=True, name="mainstay output")
        self._thread.start()

    def close_writing(self) -> None:
        """Close this process's copy of the descriptor, so that the end can be seen."""
        os.close(self.descriptor)

    def close(self) -> None:
        """Stop once all writers are gone."""
        self._thread.join(END_SECONDS)

    def _take(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # only the main thread handles signals
        with selectors.DefaultSelector() as selector:
            selector.register(self._reading, selectors.EVENT_READ)
            while not self._has_ended:
                selector.select()
                self._read()
        os.close(self._reading)

    def _read(self) -> None:
        """Read pending output, at most as much as a pipe holds, so that an endless writer cannot block the gate."""
        with self._lock, suppress(BlockingIOError):
            for _ in range(4):
                if self._has_ended:
                    return
                chunk = os.read(self._reading, OUTPUT_BYTES)
                self._has_ended = not chunk
                self._num_bytes += len(chunk)
                self._kept += chunk
                del self._kept[:-OUTPUT_BYTES]

    def clear(self) -> None:
        """Discard the output so far."""
        self._read()
        with self._lock:
            self._kept.clear()
            self._num_bytes = 0

    def last_lines(self, most: int) -> tuple[str, ...]:
        """The last lines; the first says so if more was written than is kept."""
        self._read()
        with self._lock:
            text, num_lost = self._kept.decode("utf-8", "replace"), self._num_bytes - len(self._kept)
        notice = [f"[the first {num_lost:,} bytes of output were not kept]"] if num_lost else []
        return (*notice, *(shortened(line.rstrip()) for line in text.splitlines()[-most:]))


def shortened(text: str) -> str:
    """Shorten a line that is too long to be shown.

    Example:
        >>> len(shortened("x" * 5000))
        1003
    """
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..."
