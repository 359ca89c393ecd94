"""Modules and packages of a repository without packaging, which are installed as they are.

Pure functions of names.

- :func:`importable_names`: the names that can be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

NOT_GATED = frozenset(
    {"setup", "noxfile", "conftest", "tasks", "tests", "test", "testing", "bench", "benchmark", "benchmarks"}
    | {"docs", "doc", "examples", "example", "scripts", "vendor", "vendored", "node_modules", "build", "dist", "venv"}
)
"""Names of top-level folders and modules that are not part of a project's importable code."""


def importable_names(files: Iterable[str], *, without: Iterable[str] = (), namespaces: bool = False) -> list[str]:
    """Packages and modules directly in a folder, packages first.

    Args:
        files: Names of files relative to the folder.
        without: Further names to leave out, such as that of the workload folder.
        namespaces: Whether to include folders that contain Python files but no ``__init__.py``.

    Example:
        >>> importable_names(["train.py", "models/__init__.py", "tests/test_train.py", "utils/io.py"])
        ['models', 'train']
        >>> importable_names(["train.py", "utils/io.py"], namespaces=True)
        ['utils', 'train']
    """
    paths = [PurePosixPath(name) for name in files]
    folders = {
        path.parts[0]
        for path in paths
        if len(path.parts) > 1
        and path.suffix == ".py"
        and (namespaces or (len(path.parts) == 2 and path.name == "__init__.py"))
    }
    modules = {path.stem for path in paths if len(path.parts) == 1 and path.suffix == ".py"}
    unwanted = {*NOT_GATED, *without}
    found = [*sorted(folders), *sorted(modules - folders)]
    return [name for name in found if name.isidentifier() and name not in unwanted and not re.match("test_", name)]
