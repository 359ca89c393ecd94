"""Load that an experiment makes itself, so that what it measures under load does not depend on who else is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

BUSY = "import os\nprint(flush=True)\nwhile os.getppid() == {parent}: sum(range(10_000))"


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes that each keep one core busy; they end with the context, or with this process.

    Args:
        number: How many; may be 0.
    """
    with ExitStack() as stack:
        for _ in range(number):
            command = [sys.executable, "-c", BUSY.format(parent=os.getpid())]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout
            process.stdout.readline()
        yield


@contextmanager
def one_core(*, wanted: bool) -> Iterator[None]:
    """Let what this process starts run on one core only, where that is wanted."""
    if not wanted:
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
