"""Time for which other Python threads keep a workload waiting once a block of its calls has ended.

While a block holds Python's interpreter lock, other threads wait for it, for up to 5 ms (:func:`sys.getswitchinterval`). After
a block of 2 ms they would run during the other revision's turn, and slow no call. So the worker releases the lock after each
block, and the time until it has the lock back counts as part of the block.

- :class:`OtherThreads`: meter of that time.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from threading import current_thread
from threading import enumerate as threads
from time import perf_counter, process_time, sleep, thread_time  # bound here: the measured code may replace them

from .channel import Listener

PAUSE_SECONDS = 5e-5
"""Time for which the lock is released: enough for a thread that waits for it to wake up."""

MOST_USUAL_SECONDS = 3e-4
"""Longest wait for the lock that is taken for usual, however often the other threads are busy; a tenth of it is added for each
span, since the lock is also released between spans."""


class OtherThreads:
    """Meter of the time for which other Python threads keep a workload waiting after its blocks.

    Waiting counts as far as it is longer than usual, other threads used the processor, and they would have had a fair
    share: each of them at most as long as the calls themselves.

    Args:
        clock: Function that gives the time in seconds.

    Example:
        >>> others = OtherThreads()
        >>> others.begin()
        >>> others.time_kept(perf_counter(), span_s=0.002, num_spans=1) < 0.1
        True
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._waits: list[float] = []
        self._allowed_s = self._used_before_s = 0.0

    def begin(self) -> None:
        """Note what other threads have used; call this before a block."""
        self._used_before_s = _used_by_others()

    def time_kept(self, since: float, *, span_s: float, num_spans: int) -> float:
        """Release the lock until the threads that wait for it have worked; call this after a block.

        Args:
            since: Time at which the block ended.
            span_s: How long its calls took.
            num_spans: Number of spans in which they were timed; the lock is released between them, too.

        Returns:
            Seconds for which the others kept this thread waiting; 0.0 at once if there are none.
        """
        here = current_thread()
        others = [each for each in threads() if not (each is here or isinstance(each, Listener))]
        if not others:
            return 0.0
        self._allowed_s += len(others) * span_s
        kept_s, usual_s = 0.0, 0.0
        while self._allowed_s > 0:
            sleep(PAUSE_SECONDS)
            now = self._clock()
            usual_s = usual_s or self._usual(now - since, MOST_USUAL_SECONDS * (1 + num_spans / 10))
            waited_s = min(now - since - usual_s, _used_by_others() - self._used_before_s - kept_s)
            kept_s += max(0.0, waited_s)
            self._allowed_s -= max(0.0, waited_s)
            if waited_s < PAUSE_SECONDS:
                break
            since = self._clock()
        return kept_s

    def _usual(self, wait_s: float, most_s: float) -> float:
        """The median of all waits, this one included."""
        insort(self._waits, wait_s)
        return min(self._waits[(len(self._waits) - 1) // 2], most_s)


def _used_by_others() -> float:
    """Processor time of the other threads of the process, in seconds."""
    return process_time() - thread_time()
