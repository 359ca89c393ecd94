"""Run command lines of mainstay, one after the other, each in a process that is forked from this one.

A gate of a small subject spends a third of its processor time on imports, on code that is generated from types and on
facts of the interpreter. Here this is done once; what a command does from its first line of code on, and the process
that it does it in, are those of ``python -m mainstay``. Started by ``conftest.py``; orders come as lines of JSON on
stdin, wait statuses go as lines to stdout.
"""

import gc
import json
import os
import signal
import sys
from typing import Any

LIMIT_S = 600  # a command that takes longer hangs


def become(order: dict[str, Any]) -> None:
    """Make this process what the command's own would be."""
    signal.alarm(LIMIT_S)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv = ["mainstay", *order["arguments"]]
    for descriptor, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (order["stdout"], os.O_WRONLY), (order["stderr"], os.O_WRONLY)]
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)


def serve() -> None:
    """Run what is ordered until there are no more orders; in a fork, end as the command does."""
    import scipy.special  # noqa: F401

    from mainstay import cli
    from mainstay.commands import calibrate, gate, judge  # noqa: F401
    from mainstay.records.plans import Plan
    from mainstay.records.runs import Run
    from mainstay.records.trials import Trial
    from mainstay.reports import html, junit, markdown, terminal  # noqa: F401
    from mainstay.revisions.uv_commands import interpreter_facts
    from mainstay.store import documents, journal

    interpreter_facts()
    documents._validator()
    documents._converter().get_unstructure_hook(Run)
    for record in (Plan, Trial):
        journal.CONVERTER.get_unstructure_hook(record)
        journal.CONVERTER.get_structure_hook(record)
    gc.freeze()  # what was imported is not collected in every fork anew
    for line in sys.stdin:  # the next comes when this one is answered, so that no fork holds a part of it
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            cli.entry_point()
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    del sys.path[0]  # as python -m mainstay does; the folder of this file is not to be imported from
    serve()
