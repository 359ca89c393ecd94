"""Speed of a core, sampled by a clock that does not see the revisions: a short loop that is timed again and again.

On a shared machine a core may be several times slower for some tens of milliseconds, for no reason that shows inside the
machine: the kernel counts no waiting time. Two revisions that share the core are slowed alike, but not to the percent,
so a block that was measured meanwhile says less than the others about how they compare. Its weight follows from this speed
alone. It does not depend on their times, so a block in which one of them does something rare counts in full, unless the core
happens to be slow at that moment.

- :class:`CoreSpeed`: samples the speed while blocks are measured, and weighs them.
"""

from __future__ import annotations

import math
import statistics
import threading
from bisect import bisect
from collections.abc import Callable, Sequence
from time import perf_counter, sleep, thread_time
from types import TracebackType
from typing import Self

PERIOD_SECONDS = 0.002
"""Time between two samples: an eighth of the shortest block that runs on a shared core, and a tenth of a slow phase."""

LOOPS = 300
"""Length of the loop, which takes about 5 microseconds: a quarter of a percent of the core."""

LEAST_SAMPLES = 4
"""Number of samples in each block below which nothing is said."""

MOST_TIMES_MEDIAN = 10
"""A sample counts as no longer than so many times the usual one, so that a single one does not decide the weight of a block."""


class CoreSpeed:
    """Samples the speed of the core that the calling thread is bound to, within its context.

    Args:
        clock: Function that gives the time in seconds.
        spent: Function that gives the processor time of a thread in seconds.

    Example:
        >>> with CoreSpeed() as speed:
        ...     sleep(0.05)
        >>> speed.weigh([(0.0, 0.0)])  # nothing was sampled in this block
        ()
    """

    def __init__(self, clock: Callable[[], float] = perf_counter, spent: Callable[[], float] = thread_time) -> None:
        self._clock, self._spent = clock, spent
        self._times: list[float] = []
        self._durations: list[float] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._sample_all, daemon=True, name="mainstay core speed")

    def __enter__(self) -> Self:
        """Start a thread, which is bound to the same core as the calling one."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join()

    def _sample_all(self) -> None:
        while not self._is_over:
            sleep(PERIOD_SECONDS)
            self.sample()

    def sample(self) -> None:
        """Take one sample."""
        _spin(LOOPS // 3)  # the caches are those of the revisions
        start = self._spent()
        _spin(LOOPS)
        duration = self._spent() - start
        self._times.append(self._clock())
        self._durations.append(duration)

    def weigh(self, blocks: Sequence[tuple[float, float]]) -> tuple[float, ...]:
        """Weights of blocks, the largest of which is 1; empty if the speed is not known well enough in each of them.

        A block in which the core was half as fast has a quarter of the weight: one factor of a half makes its times
        comparable with the others, the other accounts for their errors, which grow with them (weights by inverse variance).

        The mean over a longer time varies less, so the weight of a block must not depend on how long what is rare in it
        takes. Therefore a block ends here where the first of the two revisions has made its calls: this does not depend on
        what the other one does.

        Args:
            blocks: Beginning of each, and when the first revision had made its calls, by the clock.
        """
        most = MOST_TIMES_MEDIAN * statistics.median(self._durations) if self._durations else 0.0
        means = [self._mean(begin, end, most) for begin, end in blocks]
        if not means or min(means) <= 0.0:
            return ()
        return tuple((min(means) / mean) ** 2 for mean in means)

    def _mean(self, begin: float, end: float, most: float) -> float:
        """Mean duration of the loop in a block, where none counts as longer than ``most``; 0 if it is not known."""
        first, last = bisect(self._times, begin), bisect(self._times, end)
        if last - first < LEAST_SAMPLES:
            return 0.0
        return math.fsum(min(each, most) for each in self._durations[first:last]) / (last - first)


def _spin(loops: int) -> None:
    for _ in range(loops):
        pass
