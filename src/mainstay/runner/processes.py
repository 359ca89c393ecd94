"""Child processes that a worker leaves behind, and its own peak memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36


def inherit_orphans() -> None:
    """Let processes that lose their parent become children of this one, so that they end with it; Linux only."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_children(*, but: Iterable[int] = ()) -> None:
    """Kill the children of this process, and those that it inherits from them, until there are none; Linux only.

    Args:
        but: Process ids of children to keep.
    """
    spared = set(but)
    while pids := child_pids() - spared:
        for pid in pids:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def child_pids() -> set[int]:
    """Process ids of the children of all threads; empty if the system does not list them."""
    pids: set[int] = set()
    with suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as stream:
                pids.update(map(int, stream.read().split()))
    return pids


def peak_memory_bytes() -> int:
    """Peak resident memory of this process; Linux counts in kibibytes, macOS in bytes.

    On Linux, ``ru_maxrss`` of a process starts at the peak of the process that started it; the value in its status file
    does not.
    """
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # here, since Windows has no such module, and plain pytest imports this file there too

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
