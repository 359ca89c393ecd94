"""Time for which other Python threads keep a workload waiting between and after the calls that are timed.

While a block of calls holds Python's interpreter lock, other threads wait for it, for up to 5 ms
(:func:`sys.getswitchinterval`). If the revisions take turns, they would run after a block of 2 ms, without slowing any
call. So the worker releases the lock after each block, and the time until it holds the lock again counts as part of the block.

- :class:`OtherThreads`: meter of that time.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, current_thread
from threading import enumerate as threads
from time import process_time, sleep, thread_time  # bound here: the measured code may replace them

from .channel import Listener
from .run_delay import RunDelayMeter

PAUSE_SECONDS = 5e-5
"""Time for which the lock is released: enough for a thread that waits for it to wake up."""

QUIET_SECONDS = 2e-5
"""Processor time of other threads up to which a wait is one that they did not cause."""


class OtherThreads:
    """Meter of the time for which other threads keep this one waiting outside the timed spans of a block.

    A wait counts only insofar as it exceeds the usual wait, is covered by the processor time that the other threads used in it,
    and stays within their fair share: for each thread, at most the processor time of the calls.

    Args:
        clock: Function that gives the time in seconds.
        run_delay: Meter whose readings tell how long this thread waited for a core, which does not count.

    Example:
        >>> import time
        >>> others = OtherThreads(time.perf_counter, RunDelayMeter(""))
        >>> others.begin_span()
        >>> others.end_span()
        >>> others.end_block() < 0.1
        True
    """

    def __init__(self, clock: Callable[[], float], run_delay: RunDelayMeter) -> None:
        self._clock, self._run_delay = clock, run_delay
        self._pauses, self._gaps = Usual(PAUSE_SECONDS + 1e-4), Usual(1e-4)
        self._ran_before: dict[int | None, int] = {}
        self._num_ran = 1
        self._allowed_s = 0.0
        self._since = self._used_at_end_s = 0.0
        self.forget()

    def forget(self) -> None:
        """Begin a new block."""
        self._num_spans = 0
        self._gap_s = self._used_in_gaps_s = self._own_s = self._used_in_spans_s = 0.0

    def begin_span(self) -> None:
        """Call this just before the clock is read for the first time."""
        own_s, others_s = _processor_times()
        if self._num_spans:
            self._end_gap(others_s)
        self._own_s -= own_s
        self._used_in_spans_s -= others_s

    def end_span(self) -> None:
        """Call this just after the clock is read for the last time, before anything releases the lock."""
        self._num_spans += 1
        self._since = self._clock()
        own_s, self._used_at_end_s = _processor_times()
        self._own_s += own_s
        self._used_in_spans_s += self._used_at_end_s

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Within this context, something happens that is neither a call nor a wait."""
        start, used_s = self._clock(), _processor_times()[1]
        try:
            yield
        finally:
            self._since += self._clock() - start
            self._used_at_end_s += _processor_times()[1] - used_s

    def _end_gap(self, others_s: float) -> None:
        self._gap_s += self._clock() - self._since
        self._used_in_gaps_s += others_s - self._used_at_end_s

    def end_block(self) -> float:
        """Release the lock until the threads that wait for it have worked.

        Returns:
            Seconds for which the others kept this thread waiting; 0.0 at once if there are none.
        """
        here = current_thread()
        others = [each for each in threads() if not (each is here or isinstance(each, Listener))]
        kept_s = self._time_kept(others) if others and self._num_spans else 0.0
        self.forget()
        return kept_s

    def _time_kept(self, others: Sequence[Thread]) -> float:
        self._end_gap(_processor_times()[1])
        self._allowed_s += max(0.0, self._num_ran * self._own_s - self._used_in_spans_s)
        kept_s = self._gaps.excess(self._gap_s, self._used_in_gaps_s)
        while kept_s < self._allowed_s:
            waited_s = self._pause()
            kept_s += waited_s
            if waited_s < PAUSE_SECONDS:
                break
        self._allowed_s -= kept_s
        if kept_s or not self._ran_before:
            self._num_ran = self._num_that_ran(others)  # at the end, since reading files releases the lock
        return kept_s

    def _pause(self) -> float:
        start, used_before_s = self._clock(), _processor_times()[1]
        before = self._run_delay.read()
        sleep(PAUSE_SECONDS)
        wait_s, used_s = self._clock() - start, _processor_times()[1] - used_before_s
        after = self._run_delay.read()
        delay_s = max(0.0, after[0] - before[0] - used_s) if before and after else 0.0
        return self._pauses.excess(wait_s - delay_s, used_s)

    def _num_that_ran(self, others: Sequence[Thread]) -> int:
        """Number of threads that have run since the first block; 1 if the system does not tell."""
        ran = {each.native_id: _nanoseconds_run(each) for each in others}
        self._ran_before = {each: self._ran_before.get(each, time) for each, time in ran.items()}
        return max(1, sum(time > self._ran_before[each] for each, time in ran.items()))


class Usual:
    """How long waits are that other threads do not cause.

    Args:
        first_s: What is taken for usual before there was one, at most.

    Example:
        >>> usual = Usual(0.001)
        >>> usual.excess(0.0001, used_s=0.0), round(usual.excess(0.0031, used_s=0.005), 4)
        (0.0, 0.003)
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._quiet: list[float] = []

    def excess(self, wait_s: float, used_s: float) -> float:
        """Seconds that a wait took more than the median of the usual ones, if others used the processor so long."""
        if used_s < QUIET_SECONDS:
            insort(self._quiet, wait_s)
            return 0.0
        usual_s = self._quiet[len(self._quiet) // 2] if self._quiet else min(wait_s, self._first_s)
        return max(0.0, min(wait_s - usual_s, used_s))


def _processor_times() -> tuple[float, float]:
    """Seconds that this thread and the other ones of the process have used."""
    of_process, own = process_time(), thread_time()
    return own, of_process - own


def _nanoseconds_run(thread: Thread) -> int:
    try:
        return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_bytes().split()[0])
    except (OSError, IndexError):  # another system, or the thread has ended
        return 0
