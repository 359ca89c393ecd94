"""One core for both workers of a timed pair and for the gate, for as long as blocks are measured.

Cores differ in speed from moment to moment: a busy hyper-thread slows its sibling by up to a half, and the host of a virtual machine
may run others there. If both revisions use the same core, such differences concern both alike.

If they use other threads a little, their main threads share it.

- :func:`sharing_one_core`: context in which they share a core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

PROCESSOR_FIELD = 36
"""Position of the processor in ``/proc/PID/stat``, counted from the field after the name; see proc_pid_stat(5)."""


@contextmanager
def sharing_one_core(processes: Sequence[int], *, by_main_threads: bool = False) -> Iterator[bool]:
    """Within this context, some processes and the calling thread use one core: the one that the first process used last.

    The calling thread does, too, since it would otherwise disturb them from the sibling of that core. Afterwards each thread
    may use the cores that it could use before, and a thread that was started meanwhile those of its process.

    Args:
        processes: Process ids; none to share nothing.
        by_main_threads: Whether only the main thread of each process uses it, and those that are started meanwhile.

    Yields:
        Whether they share a core. They do not where cores cannot be chosen, as on macOS, or not for these processes.
    """
    with ExitStack() as stack:
        yield bool(processes) and hasattr(os, "sched_setaffinity") and _share(processes, stack, by_main_threads)


def _share(processes: Sequence[int], stack: ExitStack, by_main_threads: bool) -> bool:
    try:
        core = _core_of(processes[0])
        for process in processes:
            stack.enter_context(_on_core(core, process, [process] if by_main_threads else _threads(process)))
        stack.callback(_allow, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {core})
    except OSError:
        stack.close()
        return False
    return True


@contextmanager
def _on_core(core: int, process: int, threads: Sequence[int]) -> Iterator[None]:
    of_process = os.sched_getaffinity(process)
    before = {process: of_process}
    try:
        for thread in threads:
            with suppress(ProcessLookupError):  # the thread has ended
                before[thread] = os.sched_getaffinity(thread)
                os.sched_setaffinity(thread, {core})
        yield
    finally:
        with suppress(OSError):  # the process may have ended
            for thread in _threads(process):
                _allow(thread, before.get(thread, of_process))


def _allow(thread: int, cores: set[int]) -> None:
    with suppress(OSError):  # the thread has ended, or all these cores were taken from it
        os.sched_setaffinity(thread, cores)


def _threads(process: int) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{process}/task")]


def _core_of(process: int) -> int:
    """The core that a process used last."""
    with open(f"/proc/{process}/stat", "rb") as stream:
        return int(stream.read().rpartition(b")")[2].split()[PROCESSOR_FIELD])
