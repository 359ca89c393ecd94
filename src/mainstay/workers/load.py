"""Load by other processes while a trial runs."""

from __future__ import annotations

import os
import time

import psutil

LEAST_SECONDS = 0.5
"""Time over which a load is known to about a tenth of a processor: the system counts in hundredths of a second, for each process."""


class LoadMeter:
    """Meter of the load by other processes, from its creation on.

    It reads the busy time of the whole machine and subtracts that of this process and its descendants. Time that a
    hypervisor gave to other machines counts as load by others.
    """

    def __init__(self) -> None:
        self._others = _busy_seconds() - _own_seconds()
        self._start = time.monotonic()

    def of_others(self) -> float | None:
        """Average number of processors kept busy by other processes since the meter was created.

        ``None`` if that was less than :data:`LEAST_SECONDS` ago.
        """
        elapsed = time.monotonic() - self._start
        if elapsed < LEAST_SECONDS:
            return None
        others = _busy_seconds() - _own_seconds() - self._others
        return max(0.0, others / elapsed)


def _busy_seconds() -> float:
    """Processor seconds that the whole machine has been busy, including stolen time."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "steal", 0.0))


def _own_seconds() -> float:
    """Processor seconds of this process, of its descendants and of the children it has waited for."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
