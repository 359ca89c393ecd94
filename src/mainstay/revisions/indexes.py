"""Package indexes that a project names, and how uv is told to take a package from one of them.

- :func:`project_indexes`, :func:`named_indexes`, :func:`index_addresses`: the indexes.
- :func:`normal_address`: one form of all spellings of an address.
- :func:`package_sources`: where uv takes each package from.
- :func:`index_options`, :func:`write_requirements`: options and files for uv.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mainstay.project.requirements import normal_name, requirement_name
from mainstay.records.redaction import without_credentials
from mainstay.revisions.pins import indexes_of
from mainstay.revisions.project_files import folders_above
from mainstay.revisions.uv_settings import settings_of_uv


def project_indexes(project: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Package indexes of a project, including uv's explicit ones, since they serve the exact pins too."""
    entries = project.get("tool", {}).get("uv", {}).get("index", [])
    return [entry for entry in entries if "url" in entry]


def named_indexes(tree: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Package indexes that ``tool.uv.sources`` may name, each after its address as it stands in pyproject.toml.

    A member of a workspace may name those of the workspace, whose pyproject.toml lies above.
    """
    found: list[tuple[str, Mapping[str, Any]]] = []
    for folder in (tree, *folders_above(tree)):
        entries = settings_of_uv(folder / "pyproject.toml").get("index", [])
        for entry in (each for each in entries if {"name", "url"} <= each.keys()):
            kept = {key: value for key, value in entry.items() if key != "default"}  # of a single package
            if "://" not in entry["url"]:
                kept["url"] = (folder / entry["url"]).resolve().as_uri()
            found.append((entry["url"], kept))
    return found


def index_addresses(tree: Path) -> set[str]:
    """Addresses of the indexes that ``tool.uv.sources`` may name, without credentials, as they stand in pyproject.toml."""
    return {without_credentials(written) for written, _ in named_indexes(tree)}


def normal_address(address: str) -> str:
    """The address of an index in a form that is the same however it was written, without credentials.

    Example:
        >>> normal_address("https://me:word@host/simple/") == normal_address("https://host/simple")
        True
    """
    parts = urlsplit(unquote(address))
    path = str(Path(parts.path).resolve()) if parts.scheme == "file" else parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def package_sources(project: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Where uv is told to take each package from, by its normalised name; a package may have several such places."""
    found = project.get("tool", {}).get("uv", {}).get("sources", {})
    return {normal_name(name): place if isinstance(place, list) else [place] for name, place in found.items()}


def index_options(served: Iterable[str], tree: Path) -> list[str]:
    """Options of uv for the indexes that serve some pins.

    uv ignores ``tool.uv.sources`` for requirements in a file, and for packages that only a constraint names.

    Args:
        served: Pins with their indexes, as in :class:`~mainstay.revisions.resolution.Resolution`.
        tree: The project's folder, whose pyproject.toml names the indexes.
    """
    used = {*indexes_of(served).values()}
    found = [entry for written, entry in named_indexes(tree) if without_credentials(written) in used]
    return [*_options_of(found), "--index-strategy", "unsafe-best-match"] if found else []


def _options_of(indexes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Options of uv for some package indexes, and for those of the environment, which such an option would replace."""
    options = []
    for entry in indexes:
        is_flat = entry.get("format") == "flat"  # files that lie in one folder or are linked from one page
        options += ["--find-links" if is_flat else "--index", entry["url"]]
    for option, variable in (("--index", "UV_INDEX"), ("--find-links", "UV_FIND_LINKS")):
        if option in options and os.environ.get(variable):
            options += [option, os.environ[variable]]
    return options


def write_requirements(
    requirements: Sequence[str], indexes: Mapping[str, str], tree: Path, folder: Path, *, extras: Sequence[str] = ()
) -> list[Path]:
    """Write the files for uv that require something, where need be from an index of the project at the address given.

    Args:
        requirements: What is required.
        indexes: Address of the index for each requirement that must come from one, as it stands in pyproject.toml, without
            credentials.
        tree: The project's folder, whose pyproject.toml names the indexes.
        folder: Folder for the files, which may hold passwords.
        extras: Extras that a setting asks for, which mean nothing here; uv refuses them unless one of the files has them.
    """
    listed = {each: indexes[each] for each in requirements if indexes.get(each)}
    others, project = folder / "listed-requirements.txt", folder / "pyproject.toml"
    others.write_text("\n".join(each for each in requirements if each not in listed), encoding="utf-8")
    if not listed and not extras:
        return [others]
    named = {without_credentials(written): entry for written, entry in reversed(named_indexes(tree))}
    text = _project_of({requirement: named[address] for requirement, address in listed.items()}, extras)
    project.write_text(text, encoding="utf-8")
    return [others, project]


def _project_of(indexes: Mapping[str, Mapping[str, Any]], extras: Iterable[str]) -> str:
    """Text of a pyproject.toml with some requirements, each from an index of its own, and with empty extras."""
    import tomlkit

    sources = {requirement_name(each): {"index": entry["name"]} for each, entry in indexes.items()}
    once = {entry["name"]: {**entry, "explicit": True} for entry in indexes.values()}
    project: dict[str, Any] = {"name": "mainstay-pins", "version": "0", "dependencies": [*indexes]}
    project["optional-dependencies"] = {extra: [] for extra in extras}
    return tomlkit.dumps({"project": project, "tool": {"uv": {"index": [*once.values()], "sources": sources}}})
