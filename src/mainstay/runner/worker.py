"""Main program of a worker, or of a server of workers.

- :func:`main`: a worker or a server, as its options say.
- :func:`work`: run workloads.
"""

from __future__ import annotations

import os
import sys

import pytest

from .channel import Channel
from .network import deny_network
from .plugin import WorkerPlugin
from .preload import serve
from .processes import inherit_orphans
from .protocol import ServerOptions, WorkerOptions
from .tracing import Tracer


def main(options: WorkerOptions | ServerOptions) -> int:
    """Run a worker, or the server that forks workers.

    Args:
        options: Those of a server have ``preload``.

    Returns:
        The exit status.
    """
    sys.addaudithook(deny_network)
    if "preload" not in options:
        return work(options)
    of_worker = serve(options["control"], options["preload"], options["limit_s"])
    return work(of_worker) if of_worker else 0


def work(options: WorkerOptions) -> int:
    """Run workloads.

    Args:
        options: Which, and how the gate is spoken with.

    Returns:
        pytest's exit status.
    """
    inherit_orphans()
    channel = Channel(options["commands"], options["events"])
    channel.receive()  # the order to collect
    arguments = [
        f"--rootdir={options['folder']}",
        f"--config-file={options['configuration']}",
        "--import-mode=importlib",
        *("-o", "pythonpath=", "-o", "addopts=", "-o", "required_plugins=", "-o", "testpaths="),
        *("-p", "no:cacheprovider", "-p", "no:mainstay"),
        *("-W", "ignore:This process .* is multi-threaded:DeprecationWarning"),
        *("--capture=no", "--quiet", "--tb=short"),
        *(("-o", f"python_files={' '.join(options['files'])}") if options["files"] else ()),
        *(f"--ignore={os.path.join(options['folder'], name)}" for name in options["ignored"]),
        *dict.fromkeys(os.path.join(options["folder"], name.partition("::")[0]) for name in options["select"]),
    ]
    sys.path.append(options["folder"])  # last: what workloads import of the project beside them, never what is measured
    tracer = Tracer(options["own"], options["folder"]) if options["traced"] else None
    plugin = WorkerPlugin(channel, options["roots"], options["own"], (options["keyword"], options["marks"]), tracer)
    return int(pytest.main(arguments, plugins=[plugin]))
