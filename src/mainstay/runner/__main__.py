"""Program that the gate starts in a revision's environment: ``python -P FOLDER OPTIONS``, with JSON options.

Python puts a folder that it runs at the head of ``sys.path``. Its modules would then hide those of the subject
and of its dependencies, so the folder is removed at once. The package is loaded from its path under a private
name: a subject may have modules with the same names, or may be another revision of this toolkit.
"""

from __future__ import annotations

import os
import sys

NAME = "_mainstay_runner"
"""Name of the package in the process of a worker."""


def start(folder: str, options: str) -> int:
    """Load the package and run a worker, or a server of workers.

    Args:
        folder: Folder of the package.
        options: Options of :func:`mainstay.runner.worker.main`, as JSON.

    Returns:
        The exit status.
    """
    import importlib.util  # here, since the folder is no longer searched now
    import json

    place = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(NAME, place, submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no module", path=place)
    sys.modules[NAME] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    status: int = importlib.import_module(f"{NAME}.worker").main(json.loads(options))
    return status


if __name__ == "__main__":
    del sys.path[0]
    status = start(sys.argv[0], sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
