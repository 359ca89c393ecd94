"""Guard for a command that must not outlive the gate: ``python guard.py DESCRIPTOR COMMAND...``.

The descriptor is the reading end of a pipe that the gate holds open. When the gate ends for any reason, the pipe is
closed, and the guard kills the command with everything it started. It also kills processes that a finished command has
left running. :func:`mainstay.workers.descendants.run_guarded` starts this file by its path, with the gate's own
interpreter.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))
"""Signals that a terminal or a program such as ``timeout`` sends to the gate with all that it started."""

NOT_FOUND = 127
"""Exit status of a shell if the program does not exist."""


def main(lifeline: int, command: Sequence[str]) -> int:
    """Run the command.

    Args:
        lifeline: Descriptor that reaches its end when the gate has ended.
        command: Program and arguments; stdin, stdout and stderr are those of this process.

    Returns:
        Its exit status; 128 plus the number of the signal that killed it; 127 if there is no such program.
    """
    with suppress(AttributeError, OSError):  # Linux only: adopts processes that lose their parent
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for each in SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # the command shall ignore it too, as under nohup
            signal.signal(each, lambda *_: None)  # the command receives the signal too, and decides what to do
    os.set_inheritable(lifeline, False)
    threading.Thread(target=_await_end_of_gate, args=(lifeline,), daemon=True).start()
    try:  # without subprocess, whose import takes longer than all else here
        ignored = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python
        child = os.posix_spawnp(command[0], list(command), os.environ, setsigdef=ignored)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _kill_descendants()
    return status if status >= 0 else 128 - status


def _await_end_of_gate(lifeline: int) -> None:
    os.read(lifeline, 1)
    _kill_descendants()
    os._exit(1)


def _kill_descendants() -> None:
    """Kill descendants until none is left, since killed processes may leave others behind."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        import site  # only if processes are left, since all this takes longer than everything else

        site.main()  # the interpreter was started without it
        import psutil

        while children := psutil.Process().children(recursive=True):
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
