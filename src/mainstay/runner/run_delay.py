"""Run delay: time that a thread was ready to run but waited for a core, as recorded by the kernel.

If another process occupies the core for 4 ms, a call of 2 ms takes 6 ms. Linux counts such waiting time for every
thread (``/proc/thread-self/schedstat``, see ``Documentation/scheduler/sched-stats.rst`` of the kernel). The part that
other processes caused is subtracted. A wait for a core that the process itself keeps busy, by other threads or by
processes that it started, belongs to the workload and is not subtracted, unless ``ignores_children`` is set. Neither is any other wait, such as sleep,
input and output, or locks.

This file also runs by itself in the interpreters whose imports are timed. So it uses only modules that every
interpreter has loaded, and binds the functions that it uses, since the measured code may replace them.

- :class:`RunDelayMeter`: meter that subtracts the run delay, span by span.
"""

from __future__ import annotations

import os
from os import times as os_times
from time import process_time, thread_time

_pread, _waitid = getattr(os, "pread", None), getattr(os, "waitid", None)  # Linux has both

ACCOUNT = "/proc/thread-self/schedstat"
"""File in which Linux counts how long the opening thread has run, and has waited to run, in nanoseconds."""

CHILDREN = "/proc/self/stat"
"""File in which Linux counts the page faults of the children that have ended, of which each has some. Their processor time
is counted in hundredths of a second there, so a short one may have none."""


Reading = tuple[float, float, float, float]
"""Seconds that the kernel has counted so far: the run delay of the thread; its processor time; the processor time of
the other threads of its process; that of the children that have ended."""

Spent = tuple[float, float, float, float, float, float]
"""Seconds of spans: by the wall clock; of them, the run delay that was subtracted; processor time of the thread in them; that of
the other threads; that of the children that ended in them; the whole run delay, whoever caused it."""

MOST_OF_OTHERS = 0.0002
"""Processor time of other threads, as a share of that of the thread, up to which it is said to work alone. A thread that hands work to
another one uses little time, but waits for it, and on a shared core for the other revision, too."""

MOST_OF_CHILDREN = 0.01
"""The same for children. An import of torch starts one for a moment, to look for a library."""

MOST_OF_ONE_CORE = 1.25
"""Processor time of all threads, as a share of the time that the spans took without any run delay, up to which one core is said to be enough for them."""

LEAST_WORK = 0.9
"""Share of the time other than run delay that a thread must be running in to be said to work, not to wait."""


class RunDelayMeter:
    """Meter of the run delay of the thread that opens it, within its context.

    Nothing is subtracted, and :attr:`is_known` is false, if the kernel does not count the run delay. The same holds as
    soon as the process is found to have started other processes, since their use of the cores is not known in time,
    unless ``ignores_children`` is set.

    Args:
        account: File in which the kernel counts the run delay; empty for a meter that subtracts nothing.

    Attributes:
        spent: What the spans so far were spent in.
        ignores_children: Whether the run delay is subtracted even if processes that this one started caused it.

    Example:
        >>> with RunDelayMeter() as meter:
        ...     reading = meter.read()
        ...     taken = meter.take_off(reading, span_s=0.0)
        >>> taken
        0.0
    """

    def __init__(self, account: str = ACCOUNT) -> None:
        self._account = account
        self._descriptor = self._children = -1
        self._reaped = b""
        self.ignores_children = False
        self.forget()

    def forget(self) -> None:
        """Begin anew with what the spans were spent in."""
        self.spent: Spent = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def __enter__(self) -> RunDelayMeter:  # noqa: PYI034 - typing is not loaded in every interpreter
        try:
            self._descriptor = os.open(self._account, os.O_RDONLY)
            is_kept = os.read(self._descriptor, 100).split()[0] != b"0"
            self._children = os.open(CHILDREN, os.O_RDONLY)
            self._reaped = self._faults_of_reaped()
        except (OSError, IndexError):
            is_kept = False
        if not is_kept:
            self._close()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._children):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._children = -1

    @property
    def is_known(self) -> bool:
        """Whether the run delay is known and subtracted."""
        return self._descriptor >= 0

    @property
    def total_s(self) -> float:
        """Total run delay subtracted so far, in seconds."""
        return self.spent[1]

    @property
    def works_alone(self) -> bool:
        """Whether the thread was running, or waiting for a core, in nearly all the time of the spans, and hardly any other was."""
        span_s, taken_s, own_s, others_s, _, _ = self.spent
        is_working = own_s >= LEAST_WORK * (span_s - taken_s)
        return is_working and others_s <= MOST_OF_OTHERS * own_s and self.fits_one_core

    @property
    def fits_one_core(self) -> bool:
        """Whether all threads together kept hardly more than one core busy in the spans, and there were hardly any other processes."""
        span_s, _, own_s, others_s, children_s, delay_s = self.spent
        is_enough = own_s > 0 and own_s + others_s <= MOST_OF_ONE_CORE * max(own_s, span_s - delay_s)
        return self.is_known and is_enough and children_s <= MOST_OF_CHILDREN * own_s and not self.has_children

    @property
    def has_children(self) -> bool:
        """Whether the process has children that have not ended, or whose end it has not noted."""
        try:
            assert _waitid
            _waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def read(self) -> Reading | None:
        """Read the kernel's counters; call this before a span begins."""
        if self._descriptor < 0:
            return None
        of_thread, of_process = thread_time(), process_time()
        return self._reading(of_thread, of_process)

    def _read_after(self) -> Reading | None:
        """Read them after a span, in the other order: time between the two readings then never counts as that of other threads."""
        if self._descriptor < 0:
            return None
        of_process, of_thread = process_time(), thread_time()
        return self._reading(of_thread, of_process)

    def _reading(self, of_thread: float, of_process: float) -> Reading:
        assert _pread
        delay = int(_pread(self._descriptor, 100, 0).split()[1]) * 1e-9
        times = os_times()
        return delay, of_thread, of_process - of_thread, times.children_user + times.children_system

    def take_off(self, before: Reading | None, span_s: float) -> float:
        """Seconds of a span in which the thread waited for a core; call this after the end of the span.

        Args:
            before: Result of :meth:`read` just before the span began.
            span_s: Length of the span. Not more is subtracted than the time that the thread had no core within the
                span, whatever happened between the readings and the span.
        """
        after = self._read_after()
        if before is None or after is None:
            return 0.0
        if not self.ignores_children and self._has_started_processes():
            self._close()
            return 0.0
        delay, of_thread, of_others, of_children = (late - early for early, late in zip(before, after, strict=True))
        taken = max(0.0, min(delay - max(0.0, of_others), span_s - of_thread))
        whole = max(0.0, min(delay, span_s - of_thread))
        self.add((span_s, taken, of_thread, max(0.0, of_others), of_children, whole))
        return taken

    def add(self, spent: Spent | None) -> None:
        """Add spans of another process; ``None`` if its run delay is unknown."""
        if spent is None:
            self._close()
        else:
            span_s, taken_s, own_s, others_s, children_s, delay_s = (
                before + more for before, more in zip(self.spent, spent, strict=True)
            )
            self.spent = span_s, taken_s, own_s, others_s, children_s, delay_s

    def _has_started_processes(self) -> bool:
        """Whether the process has children, or had some since the beginning."""
        return self._faults_of_reaped() != self._reaped or self.has_children

    def _faults_of_reaped(self) -> bytes:
        """Number of page faults of the children that have ended."""
        assert _pread
        return _pread(self._children, 1000, 0).rpartition(b")")[2].split()[8]  # type: ignore[no-any-return]
