"""Threads that a process has started.

A thread inherits the cores of the one that starts it. So a main thread may be bound to one core only if its calls start none:
they could no longer run at the same time.

- :class:`ThreadWatch`: tells whether threads were started.
"""

from __future__ import annotations

import time
from math import fsum
from os import listdir
from time import process_time  # bound here: the measured code may replace it

CLOCK_OF_THREAD = 6
"""Flags of Linux in the number of the clock of a thread's processor time; see pthread_getcpuclockid(3)."""

ENDED_SECONDS = 1e-4
"""Processor time of ended threads from which some are said to have been started in the meantime."""

_clock_gettime = getattr(time, "clock_gettime", None)  # Windows lacks it


class ThreadWatch:
    """Tells whether the process has started threads since this was made, by whatever library.

    Example:
        >>> from threading import Thread
        >>> watch = ThreadWatch()
        >>> thread = Thread(target=sum, args=(range(1_000_000),))
        >>> thread.start()
        >>> thread.join()
        >>> watch.has_seen_one
        True
    """

    def __init__(self) -> None:
        self._before = _threads()

    @property
    def has_seen_one(self) -> bool:
        """Whether a thread was started; true if the system does not tell."""
        now = _threads()
        if self._before is None or now is None:
            return True
        (known, ended_s), (alive, ended_by_now_s) = self._before, now
        return not alive <= known or ended_by_now_s - ended_s > ENDED_SECONDS


def _threads() -> tuple[frozenset[int], float] | None:
    """The threads of this process, and the processor time of those that have ended; ``None`` if the system does not tell."""
    try:
        alive = frozenset(map(int, listdir("/proc/self/task")))
        assert _clock_gettime
        used_s = fsum(_clock_gettime(~thread << 3 | CLOCK_OF_THREAD) for thread in alive)
    except OSError:  # another system, or one has just ended
        return None
    return alive, process_time() - used_s
