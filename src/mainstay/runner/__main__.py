"""Program that the gate starts in a revision's environment: ``python -P FOLDER OPTIONS``, with JSON options.

Python puts a folder that it runs at the head of ``sys.path``. There its modules would stand before those of the subject
and of its dependencies, so the folder is taken away again at once. The package is loaded from its place under a name of
its own: a subject may have modules called like those in here, or be this very toolkit in another revision.
"""

from __future__ import annotations

import os
import sys

NAME = "_mainstay_runner"
"""Name of the package in the process of a worker."""


def start(folder: str, options: str) -> int:
    """Load the package and run a worker, or a server of workers.

    Args:
        folder: Where the package lies.
        options: As :func:`mainstay.runner.worker.main` takes them, as JSON.

    Returns:
        The exit status.
    """
    import importlib.util  # here, since the folder is then no longer searched
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
