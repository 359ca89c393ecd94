"""Run delay: time that a thread was ready to run but waited for a core, as recorded by the kernel.

A call that takes 2 ms takes 6 when another process has the core for 4 of them. Linux counts such waiting for every
thread (``/proc/thread-self/schedstat``, see ``Documentation/scheduler/sched-stats.rst`` of the kernel); what is taken
off is what others caused. A wait for a core that the process itself keeps busy, by other threads or by processes that
it started, is the workload's own and stays. So does everything else: sleep, input and output, waits for locks.

This file also runs by itself, in the interpreters whose imports are timed: it uses only modules that every interpreter
has loaded, and binds what it reads, which what is measured may replace.

- :class:`RunDelayMeter`: takes it off, span by span.
"""

from __future__ import annotations

import os
from os import times
from time import process_time, thread_time

_pread, _waitid = getattr(os, "pread", None), getattr(os, "waitid", None)  # Linux, which keeps the account, has both

ACCOUNT = "/proc/thread-self/schedstat"
"""File in which Linux counts how long the opening thread has run, and has waited to run, in nanoseconds."""


Reading = tuple[float, float, float]
"""Seconds that the kernel has counted so far: in which the thread was ready to run and did not; its processor time; the
processor time of the other threads of its process."""


class RunDelayMeter:
    """Meter of the run delay of the thread that opens it, within its context.

    Nothing is taken off, and :attr:`is_known` is false, where the kernel keeps no account, and from the moment on that
    the process is seen to have started others: what these use of the cores is not known in time.

    Args:
        account: Where the kernel keeps it; empty for a meter that takes nothing off.

    Attributes:
        total_s: Total run delay subtracted so far, in seconds.

    Example:
        >>> with RunDelayMeter() as meter:
        ...     reading = meter.read()
        ...     taken = meter.take_off(reading, span_s=0.0)
        >>> taken
        0.0
    """

    def __init__(self, account: str = ACCOUNT) -> None:
        self._account = account
        self._descriptor = -1
        self._reaped = 0.0
        self.total_s = 0.0

    def __enter__(self) -> RunDelayMeter:  # noqa: PYI034 - typing is not loaded in every interpreter
        try:
            self._descriptor = os.open(self._account, os.O_RDONLY)
            is_kept = os.read(self._descriptor, 100).split()[0] != b"0"
        except (OSError, IndexError):
            is_kept = False
        if not is_kept:
            self._close()
        self._reaped = _reaped_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def is_known(self) -> bool:
        """Whether the run delay is known and subtracted."""
        return self._descriptor >= 0

    def read(self) -> Reading | None:
        """The kernel's counter; to be read before a span begins."""
        if self._descriptor < 0:
            return None
        of_process, of_thread = process_time(), thread_time()
        assert _pread
        delay = int(_pread(self._descriptor, 100, 0).split()[1]) * 1e-9
        return delay, of_thread, of_process - of_thread

    def take_off(self, before: Reading | None, span_s: float) -> float:
        """Seconds of a span in which the thread waited for a core; to be called after its end.

        Args:
            before: What :meth:`read` gave just before it began.
            span_s: Its length. No more is taken off than the thread was without a core in it, whatever happened
                between the readings and the span.
        """
        after = self.read()
        if before is None or after is None:
            return 0.0
        if self._has_started_processes():
            self._close()
            return 0.0
        delay, of_thread, of_others = (late - early for early, late in zip(before, after, strict=True))
        taken = max(0.0, min(delay - max(0.0, of_others), span_s - of_thread))
        self.total_s += taken
        return taken

    def add(self, taken_s: float | None) -> None:
        """Add the run delay of another process; ``None`` if unknown."""
        if taken_s is None:
            self._close()
        else:
            self.total_s += taken_s

    def _has_started_processes(self) -> bool:
        """Whether the process has children, or had some since the beginning."""
        if _reaped_seconds() != self._reaped:
            return True
        try:
            assert _waitid
            _waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True


def _reaped_seconds() -> float:
    """Processor time of the children that have ended."""
    so_far = times()
    return so_far.children_user + so_far.children_system
