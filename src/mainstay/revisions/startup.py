"""Start-up code of a revision's wheels, which runs in every worker without being imported by a workload.

Like a conftest, such code can influence the measurement, but it is not a workload file: ``.pth`` files,
``sitecustomize``, plugins of pytest, packages that hide a dependency of the same name, another interpreter.

- :func:`startup_code`: the start-up code in the wheels of a revision.
"""

from __future__ import annotations

import configparser
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

MADE_BY_UV = "_virtualenv"
"""Name of a module that older versions of uv put into every environment."""

STARTING = ("*.pth", "sitecustomize*", "usercustomize*", f"{MADE_BY_UV}*")
"""Files that an interpreter reads at start-up; uv and virtualenv put the last one into an environment."""

PLUGINS = "pytest11"
"""The group of entry points in which pytest finds plugins."""


def startup_code(environment: Path, site_packages: Path, dependencies: Path) -> Mapping[str, str]:
    """Start-up code by kind and name; the value identifies its version.

    Args:
        environment: The virtual environment of one revision, before the gate has added files of its own.
        site_packages: Folder in which the revision's wheels are installed.
        dependencies: ``site-packages`` of the layer with its dependencies.
    """
    return dict(_startup_code(environment, site_packages, dependencies))


def _startup_code(environment: Path, site_packages: Path, dependencies: Path) -> Iterator[tuple[str, str]]:
    yield "pyvenv.cfg", _digest(environment / "pyvenv.cfg")
    yield "bin/python", str((environment / "bin" / "python").resolve())
    for pattern in STARTING:
        for place in sorted(site_packages.glob(pattern)):
            for file in [place] if place.is_file() else sorted(filter(_is_code, place.rglob("*"))):
                yield str(file.relative_to(site_packages)), _digest(file)
    for file in sorted(site_packages.glob("*.dist-info/entry_points.txt")):
        yield from _plugins(file.read_text("utf-8", "replace"))
    for place in sorted(site_packages.iterdir()):
        name = place.name.partition(".")[0]
        if name == MADE_BY_UV:  # older versions put it into every environment, and its content is told already
            continue
        if (place.is_dir() or place.suffix in {".py", ".so"}) and _is_importable(dependencies, name):
            yield f"{name} before the dependency of that name", "there"


def _is_code(place: Path) -> bool:
    """Whether a file may be imported; Python writes the compiled ones of a cache itself."""
    return place.suffix in {".py", ".pyc", ".so", ".pyd"} and place.parent.name != "__pycache__"


def _digest(file: Path) -> str:
    return f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _is_importable(folder: Path, name: str) -> bool:
    """Whether a folder contains a module or a regular package; namespace packages do not count."""
    return (folder / name / "__init__.py").exists() or any(folder.glob(f"{name}.py")) or any(folder.glob(f"{name}.*so"))


def _plugins(text: str) -> Iterator[tuple[str, str]]:
    """Plugins of pytest among entry points."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(text)
    for name, place in parser[PLUGINS].items() if PLUGINS in parser else ():
        yield f"the plugin {name} of pytest", place
