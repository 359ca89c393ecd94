"""Settings of uv, in files of a revision's tree and in the environment.

- :func:`settings_in_force`, :func:`pip_settings`: settings that hold in a folder.
- :func:`upload_limit`: how new a package may be.
- :func:`settings_of_uv`: settings in one file.
- :func:`choosing_variables`: settings in the environment that decide which packages are chosen.
- :func:`installation_digest`: SHA-256 of what decides how pins are installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from mainstay.project.requirements import normal_name
from mainstay.records.redaction import without_credentials
from mainstay.revisions.project_files import folders_above, top_of
from mainstay.store.files import content_digest, iter_files

CHOOSING = re.compile(
    r"UV_(?:DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INDEX_STRATEGY|TORCH_BACKEND|CONFIG_FILE"
    r"|CONSTRAINT|OVERRIDE|EXCLUDE_NEWER|PRERELEASE|RESOLUTION|NO_SOURCES)"
)
"""Variables by which a person tells uv where packages come from, and which of them to choose."""

OF_THE_PROJECT = frozenset(
    {"build-backend", "default-groups", "dependency-groups", "dev-dependencies", "sources", "workspace"}
)
"""Settings of uv that describe the project and its development, not the installation of exact pins."""

NAMING_PLACES = frozenset({"find-links", "index", "index-url", "extra-index-url"})
"""Settings of uv that name places of packages."""

PACKAGES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".html")
"""Endings of the names of packages, and of pages that list them."""

NO_LIMIT = "3000-01-01T00:00:00Z"
"""Latest time of upload of a package for which there is none."""


def settings_in_force(tree: Path) -> dict[str, Any]:
    """Settings of uv that hold in a folder: those of the workspace, or else of the nearest folder that has any."""
    folders = [tree, *folders_above(tree)]
    workspaces = [folder for folder in folders[1:] if "workspace" in _table_of_uv(folder / "pyproject.toml")]
    for folder in (*workspaces, *folders):
        for name in ("uv.toml", "pyproject.toml"):
            if settings := _table_of_uv(folder / name):
                return settings
    return {}


def pip_settings(tree: Path) -> Mapping[str, Any]:
    """Settings of ``uv pip`` that hold in a folder.

    Args:
        tree: The project's folder in the revision's worktree.
    """
    settings = settings_in_force(tree).get("pip", {})
    return settings if isinstance(settings, Mapping) else {}


def upload_limit(settings: Mapping[str, Any], name: str) -> str:
    """Latest time of upload that settings of uv name for a package, those for pip alone before the others.

    Example:
        >>> upload_limit({"exclude-newer": "2026-10-01", "exclude-newer-package": {"Tool": "2026-11-01"}}, "tool")
        '2026-11-01'
        >>> upload_limit({}, "tool")
        '3000-01-01T00:00:00Z'
    """
    for table in (settings.get("pip", {}), settings):
        of_packages = {normal_name(each): limit for each, limit in table.get("exclude-newer-package", {}).items()}
        limit = of_packages.get(name, table.get("exclude-newer"))
        if limit is not None:
            return str(limit or NO_LIMIT)  # a package may be excepted with false
    return NO_LIMIT


def settings_of_uv(file: Path) -> dict[str, Any]:
    """Settings of uv in a file, except those of the project itself; none if the file does not exist or cannot be read."""
    return {key: value for key, value in _table_of_uv(file).items() if key not in OF_THE_PROJECT}


def _table_of_uv(file: Path) -> dict[str, Any]:
    """All settings of uv in a file; none if the file does not exist or cannot be read."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
    table = document if file.name == "uv.toml" else document.get("tool", {}).get("uv")
    return table if isinstance(table, dict) else {}


def choosing_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Settings of uv in the environment that decide which packages there are and which is chosen, without credentials."""
    found = (f"{name}={without_credentials(value)}" for name, value in environ.items() if CHOOSING.fullmatch(name))
    return tuple(sorted(found))


def installation_digest(tree: Path) -> str:
    """SHA-256 of what decides how pins are installed from a tree: settings of uv, and packages that lie in the tree itself.

    uv reads the settings of one of the folders in or above which it works; those of all of them count.
    """
    digest = hashlib.sha256()
    places = _named_places([value for name, value in os.environ.items() if CHOOSING.fullmatch(name)], tree)
    for folder in (tree, *folders_above(tree)):
        for name in ("uv.toml", "pyproject.toml"):
            settings = settings_of_uv(folder / name)
            digest.update(without_credentials(json.dumps(settings, sort_keys=True, default=str)).encode())
            tables = [table for table in (settings, settings.get("pip")) if isinstance(table, Mapping)]
            named = [table[key] for table in tables for key in NAMING_PLACES & table.keys()]
            places |= _named_places(named, folder) | _named_places(named, tree)
    top = top_of(tree).resolve()
    for place in sorted(place for place in places if place.is_relative_to(top)):
        inside = (file for file in iter_files(place) if file.name.endswith(PACKAGES))
        for file in [place] if place.is_file() else sorted(inside):
            digest.update(f"{file.relative_to(top)} {content_digest(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _named_places(value: Any, folder: Path) -> set[Path]:
    """Files and folders, relative to a folder, that a setting of uv names; in a variable it may name several."""
    if isinstance(value, Mapping):
        return _named_places(value.get("url"), folder)
    if isinstance(value, list):
        return set().union(*(_named_places(each, folder) for each in value))
    if not isinstance(value, str):
        return set()
    names = {each.removeprefix("file://") for each in (value, *re.split(r"[\s,=]+", value))}
    paths = [url2pathname(name) for name in names if name and "://" not in name]
    return {(folder / path).resolve() for path in paths if (folder / path).exists()}
