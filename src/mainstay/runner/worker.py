"""Main program of a worker, or of a server of workers.

- :func:`main`: run a worker or a server, depending on the options.
- :func:`work`: run workloads.
"""

from __future__ import annotations

import os
import sys

import pytest
from _pytest import config as pytest_config
from _pytest.config import default_plugins

from .asv_suites import AsvPlugin
from .channel import Channel
from .network import deny_network
from .plugin import WorkerPlugin
from .preload import serve
from .processes import inherit_orphans
from .protocol import ServerOptions, WorkerOptions
from .tracing import Tracer

PYTEST_MODULES = tuple(f"_pytest.{name}" for name in default_plugins)
"""Modules that pytest imports when it starts; a server imports them once for all its workers."""


class AbsentWarning(Warning):
    """Category of warnings in the place of one from a package that is not installed here; it is never raised."""


def main(options: WorkerOptions | ServerOptions) -> int:
    """Run a worker, or the server that forks workers.

    Args:
        options: Options; those of a server have the key ``preload``.

    Returns:
        The exit status.
    """
    sys.addaudithook(deny_network)
    if "preload" not in options:
        return work(options)
    of_worker = serve(options["control"], [*PYTEST_MODULES, *options["preload"]], options["limit_s"])
    return work(of_worker) if of_worker else 0


def work(options: WorkerOptions) -> int:
    """Run workloads.

    Args:
        options: Options that say which workloads to run, and through which descriptors to reach the gate.

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
        *("-o", "strict_config=false", "-W", "ignore::pytest.PytestConfigWarning"),  # settings of plugins left out here
        *("-o", f"cache_dir={os.path.join(os.environ['TMPDIR'], 'pytest-cache')}", "-p", "no:mainstay"),
        *("-W", "ignore:This process (pid=:DeprecationWarning"),  # forks beside threads; -W takes the text literally
        *("--capture=no", "--quiet", "--tb=short"),
        *(("-o", f"python_files={' '.join(options['files'])}") if options["files"] else ()),
        *(f"--ignore={os.path.join(options['folder'], name)}" for name in options["ignored"]),
        *dict.fromkeys(os.path.join(options["folder"], _collected_path(name)) for name in options["select"]),
    ]
    sys.path.append(options["folder"])  # last: for helpers of the workloads, never for the measured code
    tracer = None
    if options["traced"]:
        tracer = Tracer(options["own"], options["folder"], follows_calls=options["follows_calls"])
    _accept_absent_categories()
    plugin = WorkerPlugin(channel, options["roots"], options["own"], (options["keyword"], options["marks"]), tracer)
    return int(pytest.main(arguments, plugins=[plugin, AsvPlugin(options["asv"])]))


def _accept_absent_categories() -> None:
    """Let filters of warnings name a category that cannot be imported.

    The configuration was written for an environment with more packages. pytest warns of such a filter, and the filter
    ``error``, which comes before it as a rule, makes that the end of the process before any hook is called.
    """
    resolve = pytest_config._resolve_warning_category

    def resolve_or_replace(category: str) -> type[Warning]:
        try:
            return resolve(category)
        except ImportError:
            return AbsentWarning

    pytest_config._resolve_warning_category = resolve_or_replace


def _collected_path(name: str) -> str:
    """The path that pytest is given for a selected path or node id.

    Example:
        >>> _collected_path("benchmarks/test_a.py::test_speed[8]"), _collected_path("benchmarks/test_[a].py::test_speed")
        ('benchmarks/test_a.py', 'benchmarks')
    """
    path = name.partition("::")[0]
    while "[" in path:  # which pytest takes for the beginning of a parametrisation
        path = os.path.dirname(path)
    return path
