"""Dependencies of both revisions, resolved at the same time.

So a dependency bump is gated like any other change, and a package that was published today is never blamed on a change.
Runtime dependencies come from each revision, and the packages that measure come from the candidate for both.

- :func:`resolve`: the dependencies of each revision.
- :class:`Resolution`: exact pins of everything that a revision depends on.
- :func:`requirement_options`: options of uv that install pins, each from the index from which it was resolved.
- :func:`pip_settings`: settings of ``uv pip`` in a tree.
- :func:`script_names`, :func:`read_project`, :func:`is_packaged`: what can be built from a tree.
- :func:`expand_group`, :func:`drop_names`: reading a dependency group, and removing constraints.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from mainstay.project.configuration import Configuration
from mainstay.project.requirements import any_version, normal_name, requirement_name
from mainstay.project.scripts import importable_names
from mainstay.records.errors import EnvironmentBuildError, HarnessError
from mainstay.records.redaction import HIDDEN, without_credentials
from mainstay.records.trials import Side
from mainstay.revisions import uv_commands
from mainstay.revisions.uv_commands import OfflineError, RefusedError, UnreachableError, interpreter_facts, run_uv
from mainstay.store.files import content_digest, iter_files

MEASURING_GROUP = "benchmarks"
"""Dependency group whose packages, as the candidate has them, measure both revisions."""

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

SCRIPT_REQUIREMENTS = "requirements.txt"
"""File with the dependencies of a revision without packaging."""

PROJECT_ROOT = "${PROJECT_ROOT}"
"""What uv and PDM take for the project's folder in an address, such as ``file:///${PROJECT_ROOT}/libs/common``."""

PIN_FORMAT = (
    "--no-header",
    "--annotate",  # names what the setting no-emit-package leaves out
    *("--annotation-style", "split"),
    "--emit-index-annotation",
    "--no-generate-hashes",
    "--no-universal",
    "--strip-extras",
    "--strip-markers",
    "--deps",
)
"""Options of uv that undo settings of the project for files of its own; each package is then pinned on one line."""

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?(==[^\s=]+| @ \S+)")
"""A requirement that allows one version of a package, or one file of it."""

INCLUDING = re.compile(r"\s*(?:-c|--constraint|-r|--requirement)[\s=]\s*(.*?)(?:\s+#.*)?\s*")
"""A line of a file of requirements that includes another file."""

SERVED = " from "
"""What stands between a pin and the address of the index that serves it."""

NO_LIMIT = "3000-01-01T00:00:00Z"
"""Latest time of upload of a package for which there is none."""

LEFT_OUT = "# The following packages were excluded from the output:"
"""Line after which uv names the packages that it resolved and did not write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """Exact pins of everything a revision depends on.

    Attributes:
        side: Baseline or candidate.
        pins: Requirements such as ``numpy==2.4.6``, sorted.
        local: Folders of the revision's own tree that it depends on, such as ``libs/common``, which are built like its
            wheel; and wheels that lie there, which are installed as they are.
        indexes: Addresses of the package indexes that its pyproject.toml names, and settings of uv in the environment
            that decide what a pin means; without credentials.
        installation: SHA-256 of the settings of uv in the tree, and of the packages that these take from the tree itself.
        group: Requirements of its own dependency group ``benchmarks``.
        altered: Names of the packages that it has otherwise than with its own group; of the baseline alone.
        lacking: Names of those that the candidate's group takes from it; of the baseline alone.
        contested: Names of dependencies on which the candidate's group decides, so that a change of them may be hidden,
            and of measuring packages from an index that the baseline does not name; of the baseline alone.
        brought: Names of further dependencies that the change adds or drops, though both revisions have them for
            measuring, since pytest needs them; of the baseline alone.
        served: Pins that a named index of the project serves, each with the index's address as it stands in
            pyproject.toml, such as ``torch==2.9.0+cpu from https://host/cpu``; without credentials.
        limits: Latest time of upload of each package for which the candidate's settings of uv name another one than its
            own, such as ``pytest=2026-11-01T00:00:00Z``; of the baseline alone.
    """

    side: Side
    pins: tuple[str, ...]
    local: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    installation: str = ""
    group: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def packages(self) -> dict[str, str]:
        """Version of each package, or its URL, without credentials, if it is pinned by URL.

        Example:
            >>> Resolution(side=Side.BASELINE, pins=("click==8.1.8", "own @ file:///own")).packages
            {'click': '8.1.8', 'own': 'file:///own'}
        """
        return dict(re.split(r"==| @ ", without_credentials(pin), maxsplit=1) for pin in self.pins)

    def with_credentials_of(self, other: Resolution) -> Resolution:
        """The same pins, with the credentials that another resolution has and a journal does not keep.

        Example:
            >>> full = Resolution(side=Side.BASELINE, pins=("click==8.1.9", "own @ https://me:word@host/own.whl"))
            >>> kept = replace(full, pins=("click==8.1.8", "own @ https://****@host/own.whl"))
            >>> kept.with_credentials_of(full).pins
            ('click==8.1.8', 'own @ https://me:word@host/own.whl')
        """
        full = {without_credentials(pin): pin for pin in other.pins}
        return replace(self, pins=tuple(full.get(pin, pin) for pin in self.pins))

    @property
    def lacks_credentials(self) -> bool:
        """Whether the credentials of a pin are hidden, so that the package cannot be fetched."""
        return any(f"{HIDDEN}@" in pin for pin in self.pins)

    @property
    def digest(self) -> str:
        """SHA-256 of the pins, their sources, the Python, the platform and uv; a new password changes nothing."""
        pins = [*map(without_credentials, self.pins), *self.served, *self.limits]
        parts = [*pins, *self.indexes, self.installation, *interpreter_facts()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class UnusablePinError(EnvironmentBuildError):
    """What uv resolved cannot be installed for two revisions, or means something else for each of them."""


def resolve(trees: Mapping[Side, Path], configurations: Mapping[Side, Configuration]) -> dict[Side, Resolution]:
    """Resolve the dependencies of both revisions as of the same time.

    Runtime dependencies come from each revision, under its own constraints, even if the candidate names them in its group
    ``benchmarks`` too, also those that it adds. All other packages of that group, and pytest, come from the candidate
    for both revisions. A resolution is stored for one day, for the two revisions together. This saves seconds and lets a
    gate run without network, and both revisions are always resolved on the same day.

    Args:
        trees: Worktree of each revision.
        configurations: ``[tool.mainstay]`` of each revision.

    Raises:
        EnvironmentBuildError: If a revision cannot be resolved, or the measuring packages conflict with the baseline.
    """
    requests = {side: _Request.of(side, trees[side], configurations[side]) for side in Side}
    if not (trees[Side.BASELINE] / configurations[Side.BASELINE].workloads).is_dir():  # it does not gate anything yet
        requests[Side.BASELINE] = requests[Side.BASELINE].with_wishes_of(configurations[Side.CANDIDATE])
    parts = [part for request in requests.values() for part in request.identity()]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    settings = _choosing_variables(os.environ)
    key = hashlib.sha256(
        "\0".join([*_Pins._fields, *parts, *settings, *interpreter_facts(), today]).encode()
    ).hexdigest()
    file = uv_commands.cache_folder() / "resolutions" / f"{key[:32]}.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        found = {side: _Pins(**{name: tuple(each) for name, each in kept[side].items()}) for side in Side}
    else:
        found = _resolve_both(requests)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)  # a pin by URL may hold a password
        draft.write_text(json.dumps({side: pins._asdict() for side, pins in found.items()}), encoding="utf-8")
        draft.replace(file)
    indexes = {
        side: (*(without_credentials(entry["url"]) for entry in _indexes(requests[side].project)), *settings)
        for side in Side
    }
    return {
        side: Resolution(
            side=side,
            pins=pins.pins,
            local=pins.places,
            indexes=indexes[side],
            installation=requests[side].installation,
            group=tuple(expand_group(requests[side].project, MEASURING_GROUP)),
            altered=pins.altered,
            lacking=pins.lacking,
            contested=pins.contested,
            brought=pins.brought,
            served=pins.served,
            limits=pins.limits,
        )
        for side, pins in found.items()
    }


def _choosing_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Settings of uv in the environment that decide which packages there are and which is chosen, without credentials."""
    found = (f"{name}={without_credentials(value)}" for name, value in environ.items() if CHOOSING.fullmatch(name))
    return tuple(sorted(found))


def requirement_options(resolution: Resolution, pins: Sequence[str], *, tree: Path, folder: Path) -> list[str]:
    """Options of ``uv pip install`` for some pins, each of which comes from the index from which it was resolved.

    A file of requirements cannot name the index of one package, so what a named index serves stands in a pyproject.toml.

    Args:
        resolution: The revision's dependencies.
        pins: Those of its pins that are to be installed.
        tree: The project's folder in the revision's worktree, whose pyproject.toml names the indexes.
        folder: Folder for the files, which may hold passwords.
    """
    places = dict(each.split(SERVED, 1) for each in resolution.served)
    files = _write_requirements(pins, places, tree, folder, extras=pip_settings(tree).get("extra", ()))
    options = [*_limit_options(resolution.limits), *(word for file in files for word in ("--requirement", str(file)))]
    if _indexes(read_project(tree, resolution.side)):
        options += ["--index-strategy", "unsafe-best-match"]  # for the others, which are exact
    return options


def _write_requirements(
    requirements: Sequence[str], places: Mapping[str, str], tree: Path, folder: Path, *, extras: Sequence[str] = ()
) -> list[Path]:
    """Write the files for uv that require something, where need be from an index of the project at the address given.

    Extras that a setting asks for must stand in one of the files, or uv refuses them; here they mean nothing.
    """
    listed = {each: places[each] for each in requirements if places.get(each)}
    others, project = folder / "listed-requirements.txt", folder / "pyproject.toml"
    others.write_text("\n".join(each for each in requirements if each not in listed), encoding="utf-8")
    if not listed and not extras:
        return [others]
    indexes = {without_credentials(written): entry for written, entry in reversed(_named_indexes(tree))}
    text = _project_of({requirement: indexes[place] for requirement, place in listed.items()}, extras)
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


def _named_indexes(tree: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Package indexes that ``tool.uv.sources`` may name, each after its address as it stands in pyproject.toml.

    A member of a workspace may name those of the workspace, whose pyproject.toml lies above.
    """
    found: list[tuple[str, Mapping[str, Any]]] = []
    for folder in (tree, *_above(tree)):
        entries = _settings_of_uv(folder / "pyproject.toml").get("index", [])
        for entry in (each for each in entries if {"name", "url"} <= each.keys()):
            kept = {key: value for key, value in entry.items() if key != "default"}  # of a single package
            if "://" not in entry["url"]:
                kept["url"] = (folder / entry["url"]).resolve().as_uri()
            found.append((entry["url"], kept))
    return found


def _addresses(tree: Path) -> set[str]:
    """Addresses of the indexes that ``tool.uv.sources`` may name, without credentials, as they stand in pyproject.toml."""
    return {without_credentials(written) for written, _ in _named_indexes(tree)}


def _normal_address(address: str) -> str:
    """The address of an index in a form that is the same however it was written, without credentials.

    Example:
        >>> _normal_address("https://me:word@host/simple/") == _normal_address("https://host/simple")
        True
    """
    parts = urlsplit(unquote(address))
    path = str(Path(parts.path).resolve()) if parts.scheme == "file" else parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


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


def _indexes(project: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Package indexes of a project, including uv's explicit ones, since they serve the exact pins too."""
    entries = project.get("tool", {}).get("uv", {}).get("index", [])
    return [entry for entry in entries if "url" in entry]


def _sources(project: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Where uv is told to take each package from, by its normalised name; a package may have several such places."""
    found = project.get("tool", {}).get("uv", {}).get("sources", {})
    return {normal_name(name): place if isinstance(place, list) else [place] for name, place in found.items()}


def _installation(tree: Path) -> str:
    """SHA-256 of what decides how pins are installed from a tree: settings of uv, and packages that lie in the tree itself.

    uv reads the settings of one of the folders in or above which it works; those of all of them count.
    """
    digest = hashlib.sha256()
    places = _named_places([value for name, value in os.environ.items() if CHOOSING.fullmatch(name)], tree)
    for folder in (tree, *_above(tree)):
        for name in ("uv.toml", "pyproject.toml"):
            settings = _settings_of_uv(folder / name)
            digest.update(without_credentials(json.dumps(settings, sort_keys=True, default=str)).encode())
            tables = [table for table in (settings, settings.get("pip")) if isinstance(table, Mapping)]
            named = [table[key] for table in tables for key in NAMING_PLACES & table.keys()]
            places |= _named_places(named, folder) | _named_places(named, tree)
    top = _top_of(tree).resolve()
    for place in sorted(place for place in places if place.is_relative_to(top)):
        inside = (file for file in iter_files(place) if file.name.endswith(PACKAGES))
        for file in [place] if place.is_file() else sorted(inside):
            digest.update(f"{file.relative_to(top)} {content_digest(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _settings_of_uv(file: Path) -> dict[str, Any]:
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


def _settings_in_force(tree: Path) -> dict[str, Any]:
    """Settings of uv that hold in a folder: those of the workspace, or else of the nearest folder that has any."""
    folders = [tree, *_above(tree)]
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
    settings = _settings_in_force(tree).get("pip", {})
    return settings if isinstance(settings, Mapping) else {}


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


class _Pins(NamedTuple):
    """Result of the resolver: exact requirements, packages of the tree itself, and the rest as in :class:`Resolution`.

    A package of the tree is written as ``helper @ libs/helper``.
    """

    pins: tuple[str, ...]
    placed: tuple[str, ...]
    altered: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def indexes(self) -> dict[str, str]:
        """Address of the index of each pin; empty if no named one serves it."""
        served = dict(each.split(SERVED, 1) for each in self.served)
        return {pin: served.get(pin, "") for pin in self.pins}

    @property
    def taken(self) -> tuple[str, ...]:
        """All packages, pins with the address of their index, since another may serve another package as this version."""
        return (*(_with_index(pin, index) for pin, index in self.indexes.items()), *self.placed)

    def taken_from(self, indexes: Mapping[str, str]) -> _Pins:
        """The same packages; pins that are given come from the index at the address that stands beside them."""
        found = self.indexes
        found |= {pin: index for pin, index in indexes.items() if pin in found}
        return self._replace(served=tuple(_with_index(pin, index) for pin, index in found.items() if index))

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages, wherever they come from."""
        return (*self.pins, *self.placed)

    @property
    def places(self) -> tuple[str, ...]:
        """Folders and files of the packages of the tree, as paths relative to it."""
        return tuple(sorted(map(_place_of, self.placed)))

    def with_placed(self, more: Iterable[str]) -> _Pins:
        """The same packages and some of the tree, which take the place of pins of the same names."""
        placed = {*self.placed, *more}
        pins = tuple(pin for pin in self.pins if requirement_name(pin) not in _names(placed))
        return self._replace(pins=pins, placed=tuple(sorted(placed)))


def _with_index(pin: str, index: str) -> str:
    return f"{pin}{SERVED}{index}" if index else pin


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """Request to the resolver for one revision."""

    side: Side
    tree: Path
    source: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    constraints: str
    project: Mapping[str, Any]
    installation: str
    unsure_extras: tuple[str, ...] = ()
    uses_cache: bool = True

    @classmethod
    def of(cls, side: Side, tree: Path, configuration: Configuration) -> _Request:
        project = read_project(tree, side)
        source = "pyproject.toml" if {"project", "build-system"} & project.keys() else "setup.py"
        if not (tree / source).is_file():
            if not script_names(tree, project):
                raise EnvironmentBuildError(
                    "there is neither a [project] in pyproject.toml nor a setup.py, and no Python file beside them that "
                    "could be imported, so nothing can be installed",
                    side=side,
                    looked_in=f"the project's folder of the {side}",
                    next_step="describe the package in pyproject.toml",
                )
            source = SCRIPT_REQUIREMENTS if (tree / SCRIPT_REQUIREMENTS).is_file() else ""
        return cls(
            side=side,
            tree=tree,
            source=source,
            extras=configuration.extras,
            groups=configuration.groups,
            constraints=_read_constraints(tree, configuration.constraints, side),
            project=project,
            installation=_installation(tree),
        )

    def with_wishes_of(self, configuration: Configuration) -> _Request:
        """The request with the extras and groups of another revision, as far as this one has them."""
        project = self.project.get("project", {})
        is_listed = bool(project) and "optional-dependencies" not in project.get("dynamic", [])
        extras = [
            extra
            for extra in configuration.extras
            if not is_listed or normal_name(extra) in map(normal_name, project.get("optional-dependencies", {}))
        ]
        groups = [group for group in configuration.groups if normal_name(group) in _groups(self.project)]
        return replace(
            self, extras=tuple(extras), groups=tuple(groups), unsure_extras=() if is_listed else tuple(extras)
        )

    @property
    def _is_static(self) -> bool:
        """Whether a few files state all dependencies of the revision; otherwise any file of the tree may matter."""
        project = self.project.get("project", {})
        is_computed = {"dependencies", "optional-dependencies"} & set(project.get("dynamic", []))
        is_member = any((place / "pyproject.toml").exists() for place in _above(self.tree))  # perhaps of a uv workspace
        uses_others = is_member or bool({"sources", "workspace"} & self.project.get("tool", {}).get("uv", {}).keys())
        uses_others = uses_others or any(map(_may_lie_in_the_tree, self._requirements()))
        return bool(project) and not is_computed and not uses_others

    def _requirements(self) -> Iterator[str]:
        """All that the revision's pyproject.toml requires for anything, and its constraints."""
        project, settings = self.project.get("project", {}), self.project.get("tool", {}).get("uv", {})
        yield from _texts([project.get(name) for name in ("dependencies", "optional-dependencies")])
        yield from _texts(self.project.get("dependency-groups"))
        yield from _texts([value for name, value in settings.items() if name.endswith("-dependencies")])
        yield from self.constraints.splitlines()

    def identity(self) -> tuple[str, ...]:
        """Text of everything that the resolution depends on."""
        files = [self.tree / name for name in ("pyproject.toml", "uv.toml")]
        if not self._is_static:
            top = _top_of(self.tree)
            files = sorted(file for file in top.rglob("*") if file.relative_to(top).parts[0] != ".git")
        digests = [
            f"{os.path.relpath(file, self.tree)} {hashlib.sha256(file.read_bytes()).hexdigest()}"
            for file in files
            if file.is_file()
        ]
        return (self.source, *self.extras, *self.groups, self.constraints, self.installation, *digests)

    def compile(
        self,
        *,
        measuring: Sequence[str] = (),
        groups: Sequence[str] = (),
        constraints: str,
        preferred: Sequence[str] = (),
        options: Sequence[str] = (),
        indexes: Mapping[str, str] | None = None,
    ) -> _Pins:
        """Resolve exact pins of the revision and of the measuring packages; preferred pins hold where they can.

        Measuring packages come from the index at the address that stands beside them in ``indexes``, if there is one.
        """
        wanted = [self.source] if self.source else []
        extras = [word for extra in self.extras for word in ("--extra", extra)]
        compile_pins = partial(
            self._compile,
            measuring=measuring,
            groups=(*self.groups, *groups),
            constraints=constraints,
            preferred=preferred,
            options=options,
            indexes=indexes,
        )
        try:
            return compile_pins([*wanted, *extras])
        except EnvironmentBuildError as error:
            if not self.unsure_extras or "extra not found" not in error.fact:
                raise
            return compile_pins(wanted)

    def compile_measuring(self, found: _Pins) -> _Pins:
        """Resolve exact pins of the revision's measuring packages alone, which are those of all its pins."""
        return self._compile_part(self._measuring_groups, found)

    def compile_pytest(self, found: _Pins) -> _Pins:
        """Resolve exact pins of pytest alone, which are those of all the revision's pins."""
        return self._compile_part((), found)

    def _compile_part(self, groups: Sequence[str], found: _Pins) -> _Pins:
        constraints, options = "\n".join(_exact(found.pins)), _options_for(found.served, self.tree)
        part = self._compile((), measuring=("pytest",), groups=groups, constraints=constraints, options=options)
        return part.taken_from(found.indexes)

    def compile_whole(self) -> _Pins:
        """Resolve exact pins of the revision and of its own measuring packages."""
        return self.compile(measuring=("pytest",), groups=self._measuring_groups, constraints=self.constraints)

    @property
    def _measuring_groups(self) -> Sequence[str]:
        return [MEASURING_GROUP] if MEASURING_GROUP in _groups(self.project) else []

    def _compile(
        self,
        wanted: Sequence[str],
        *,
        measuring: Sequence[str],
        groups: Sequence[str],
        constraints: str,
        preferred: Sequence[str] = (),
        options: Sequence[str] = (),
        indexes: Mapping[str, str] | None = None,
    ) -> _Pins:
        with tempfile.TemporaryDirectory() as folder:
            is_part = not wanted  # so no file has the extras for which a setting asks
            extras = pip_settings(self.tree).get("extra", ()) if is_part else ()
            requirements = map(
                str,
                _write_requirements(
                    [*measuring, *self._itself(measuring, groups)],
                    indexes or {},
                    self.tree,
                    Path(folder),
                    extras=extras,
                ),
            )
            constraint_file = Path(folder, "constraints.txt")
            constraint_file.write_text(constraints, encoding="utf-8")
            pin_file = Path(folder, "pins.txt")  # uv prefers the versions that are there
            pin_file.write_text("\n".join(preferred), encoding="utf-8")
            arguments = ["pip", "compile", *wanted, *requirements, "--constraints", str(constraint_file)]
            arguments += [word for group in groups for word in ("--group", group)]
            arguments += ["--python", sys.executable, "--quiet", *PIN_FORMAT]
            arguments += ["--no-all-extras"] if is_part else []
            arguments += [*options] if self.uses_cache else [*options, "--no-cache"]
            run = partial(run_uv, side=self.side, doing="resolving the dependencies", cwd=self.tree)
            run([*arguments, "--output-file", str(pin_file)])
            found, lines = self._read_pins(pin_file.read_text(encoding="utf-8"))
            if lines:  # only a file of the other format names the packages in them
                constraint_file.write_text("\n".join([constraints, *_exact(found.pins)]), encoding="utf-8")
                lock_file = Path(folder).resolve() / "pylock.toml"
                run([*arguments, "--format", "pylock.toml", "--output-file", str(lock_file)])
                found = found.with_placed(self._read_places(lock_file, lines))
        if "pytest" in _names(measuring) - _names(found.packages):
            raise self._unusable("uv resolved no pytest", "look at the settings of uv in [tool.uv.pip] or uv.toml")
        return found

    def _itself(self, measuring: Iterable[str], groups: Iterable[str]) -> list[str]:
        """Requirement of the project by its own folder, if it is named, as in ``project[extra]``.

        In a project's own pyproject.toml, uv would take the name for a package of an index.
        """
        name = _own_name(self.project)
        named = _names([*measuring, *(each for group in groups for each in _group_requirements(self.project, group))])
        return [f"{name} @ ./"] if name and name in named else []

    def _read_pins(self, written: str) -> tuple[_Pins, list[str]]:
        """Separate the pins in a file that uv wrote from the lines that stand for packages of the tree.

        Raises:
            UnusablePinError: If uv left a package out, or a line does not say which package is meant in both revisions.
        """
        lines, _, left_out = written.partition(LEFT_OUT)
        if names := ", ".join(left_out.replace("#", " ").split()):
            raise self._unusable(
                f"the setting no-emit-package of uv leaves out {names}",
                "remove no-emit-package from [tool.uv.pip] or uv.toml, and give it on the command line where you need it",
            )
        pins: list[str] = []
        others: list[str] = []
        served: dict[str, str] = {}
        named = {_normal_address(entry["url"]): written for written, entry in reversed(_named_indexes(self.tree))}
        for line in lines.splitlines():
            note, _, address = line.strip().partition("# from ")
            if pins and not note and (index := _normal_address(address)) in named:
                served[pins[-1]] = without_credentials(named[index])
            pin = line.partition(" ;")[0].strip().removeprefix("-e ")
            if not pin or pin[0] in "#-":
                continue
            if _own_package(pin, self.tree):
                others.append(pin)
                continue
            self._check_address(pin)
            (pins if PIN.fullmatch(pin) else others).append(pin)
        return _Pins(pins=tuple(sorted(pins)), placed=()).taken_from(served), others

    def _read_places(self, lock_file: Path, lines: Iterable[str]) -> set[str]:
        """Packages of the tree that lines of uv stand for, by their names in a lock file; the project itself is left out.

        uv writes a path as it is given: from the project, from the root of its workspace, or from the package that needs it.

        Raises:
            UnusablePinError: If a line stands for no package of the tree.
        """
        named = {}
        for package in tomllib.loads(lock_file.read_text(encoding="utf-8")).get("packages", ()):
            if path := (package.get("directory") or package.get("archive") or {}).get("path"):
                named[(lock_file.parent / path).resolve()] = package["name"]
        tree, top = self.tree.resolve(), _top_of(self.tree).resolve()
        placed = set()
        for line in lines:
            path = _own_package(line, self.tree) or line
            meant = {(folder / path).resolve() for folder in (self.tree, *_above(self.tree), *named)} & named.keys()
            usable = {place for place in meant if place.is_relative_to(top) or os.path.isabs(line)}
            if not usable:
                raise self._unusable(
                    f"uv wrote {without_credentials(line)!r}, which is neither one version of a package nor a place of the tree",
                    "require a version, an address or a folder of the tree, and look at the settings of uv",
                )
            for place in usable - {tree}:
                path = os.path.relpath(place, tree) if place.is_relative_to(top) else str(place)
                placed.add(f"{named[place]} @ {path}")
        return placed

    def _check_address(self, pin: str) -> None:
        """Refuse a pin whose address means something else in another gate or for the other revision."""
        told = without_credentials(pin)
        if "${" in told:  # a password may come from a variable
            raise self._unusable(
                f"{told!r} has a variable in its address",
                f"write the address out; {PROJECT_ROOT} alone may stand in it, for the project's folder",
            )
        if any(str(top) in unquote(pin) for top in (_top_of(self.tree), _top_of(self.tree).resolve())):
            raise self._unusable(
                f"{told!r} leads into the {self.side}'s own tree, but not to a folder or a wheel",
                "require the folder of the package, which is then built for each revision",
            )

    def _unusable(self, fact: str, next_step: str) -> UnusablePinError:
        return UnusablePinError(fact, side=self.side, looked_in=f"what the {self.side} requires", next_step=next_step)


def _place_of(placed: str) -> str:
    """The path in the text of a package of the tree."""
    return placed.partition(" @ ")[2]


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of a TOML file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _may_lie_in_the_tree(requirement: str) -> bool:
    """Whether a requirement by URL may lead into the revision's own tree, and not to a server.

    Example:
        >>> addresses = ("file:///${PROJECT_ROOT}/own", "{root:uri}/own", "./own", "git+https://host/own@main")
        >>> [_may_lie_in_the_tree(f"own @ {address}") for address in addresses]
        [True, True, True, False]
    """
    _, at, address = requirement.partition("@")
    return bool(at) and ("file:" in address or "{" in address or "://" not in address)


def _own_package(line: str, tree: Path) -> str:
    """The folder or file in the revision's own worktree that a requirement names by URL, relative to the tree.

    A member of a uv workspace is named in this way; its absolute URL would be different in every gate.

    Returns:
        The path; empty if the requirement leads elsewhere.
    """
    address = line.rpartition(" @ ")[2].replace(PROJECT_ROOT, quote(str(tree)))
    if not address.startswith("file://"):
        return ""
    place = Path("/", url2pathname(urlsplit(address).path).lstrip("/")).resolve()
    if not place.exists() or not place.is_relative_to(_top_of(tree).resolve()):
        return ""
    return os.path.relpath(place, tree.resolve())


def _above(tree: Path) -> Iterator[Path]:
    """The folders above a project in its worktree; none if it is the top."""
    place = tree
    while not (place / ".git").exists() and place != place.parent:
        place = place.parent
        yield place


def _top_of(tree: Path) -> Path:
    """The top of the worktree that a project lies in; the project's folder itself outside a worktree."""
    *_, top = (tree, *_above(tree))
    return top if (top / ".git").exists() else tree


def _compile_candidate(candidate: _Request, baseline: _Request) -> _Pins:
    """Resolve the candidate with its measuring packages; it is blamed only if the baseline can be resolved today."""
    try:
        return candidate.compile_whole()
    except OfflineError:
        raise
    except (UnreachableError, RefusedError):
        is_same = candidate.identity() == baseline.identity()
        if is_same or not _is_resolvable(replace(baseline, uses_cache=False)):  # a cache would hide an outage
            raise
        return _compile_once_more(candidate)
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        if candidate.identity() == baseline.identity():
            why = "the change is not to blame: the baseline requires the same"
        elif not _is_resolvable(baseline):
            why = "the change is not to blame: the baseline cannot be resolved either"
        else:
            raise
        served = "look at what the package index serves today: a package was withdrawn, or a new one does not fit"
        raise EnvironmentBuildError(
            f"{error.fact}\n{why}",
            looked_in=error.looked_in,
            next_step=error.next_step if isinstance(error, UnusablePinError) else served,
        ) from error


def _compile_once_more(candidate: _Request) -> _Pins:
    """Resolve the candidate, which is blamed if no server gives it what it needs, since the baseline's servers work."""
    try:
        return candidate.compile_whole()
    except (UnreachableError, RefusedError) as error:
        raise type(error)(
            f"{error.fact}\nthe candidate alone needs it: the baseline can be resolved",
            side=Side.CANDIDATE,
            looked_in=error.looked_in,
            next_step=f"correct what the candidate requires, or {error.next_step}",
        ) from error


def _is_resolvable(request: _Request) -> bool:
    """Whether the dependencies and the measuring packages of a revision can be resolved."""
    try:
        request.compile_whole()
    except EnvironmentBuildError:
        return False
    return True


def _resolve_both(requests: Mapping[Side, _Request]) -> dict[Side, _Pins]:
    """Resolve the candidate with the measuring packages, then the baseline with the candidate's pins of those.

    The baseline keeps its own pins of the packages that it needs itself, except pytest: otherwise a change that bumps one
    of them and names it in the group would be compared with itself. For the same reason, it does not get a package only
    because the group names it, if the candidate has come to need it itself.
    """
    candidate, baseline = requests[Side.CANDIDATE], requests[Side.BASELINE]
    found = _compile_candidate(candidate, baseline)
    if candidate.identity() == baseline.identity():
        return {Side.BASELINE: found, Side.CANDIDATE: found}
    alone = _compile_alone(baseline)
    own, replacing = _compile_own(baseline, alone)
    kept_names = _names(own.packages) - {"pytest"}
    required = candidate.compile(constraints=candidate.constraints)
    added = _names(required.packages) - _names([*own.packages, *alone.packages]) if alone else set()
    harness = candidate.compile_measuring(found)
    borrowed = [pin for pin in harness.pins if requirement_name(pin) not in kept_names | added]
    kept = [pin for pin in own.pins if requirement_name(pin) in kept_names]
    kept += [pin for pin in harness.pins if requirement_name(pin) in added]  # a measuring package may need them, too
    known = {"", *_addresses(baseline.tree)}
    strange = {pin for pin in borrowed if harness.indexes[pin] not in known}
    indexes = {pin: harness.indexes[pin] for pin in borrowed if pin not in strange}
    indexes |= {pin: index for pin, index in alone.indexes.items() if pin in strange} if alone else {}
    indexes |= {pin: index for pin, index in own.indexes.items() if pin in kept}
    limits = _limits(_names(borrowed), candidate, baseline)
    measured = _compile_measured(baseline, [*borrowed, *replacing], kept, indexes, limits).taken_from(indexes)
    measured = measured.with_placed(_helpers(baseline, own, alone, harness))
    groups = {side: expand_group(requests[side].project, MEASURING_GROUP) for side in Side}
    contested, brought = _decided_by_measuring(
        requests,
        {Side.BASELINE: own, Side.CANDIDATE: required},
        {Side.BASELINE: measured, Side.CANDIDATE: found},
    )
    return {
        Side.BASELINE: measured._replace(
            altered=tuple(sorted(_altered(groups, alone and alone.taken, measured.taken, kept_names))),
            lacking=tuple(sorted(_lacking(baseline, groups, alone, measured))),
            contested=tuple(sorted((contested - {"pytest"}) | (_names(strange) & _sources(candidate.project).keys()))),
            brought=tuple(sorted(brought)),
        ),
        Side.CANDIDATE: found,
    }


def _names(requirements: Iterable[str]) -> set[str]:
    return {requirement_name(each) for each in requirements}


def _exact(pins: Iterable[str]) -> list[str]:
    """The pins that can be constraints: those of a version, not of a URL."""
    return [pin for pin in pins if "==" in pin]


def _compile_alone(baseline: _Request) -> _Pins | None:
    """Pins of the baseline with its own measuring packages; ``None`` if it cannot be resolved with these."""
    try:
        return baseline.compile_whole()
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        return None


def _compile_own(baseline: _Request, alone: _Pins | None) -> tuple[_Pins, list[str]]:
    """Resolve what the baseline needs itself, in the versions that it has with its own measuring packages.

    A dependency that its group takes from the tree, though the baseline itself would have it from an index, comes from the
    tree, as it did when the baseline was gated.

    Returns:
        The packages, and requirements of those that come from the tree only for that reason.
    """
    if alone is None:
        return baseline.compile(constraints=baseline.constraints), []
    constraints = "\n".join([baseline.constraints, *_exact(alone.pins)])
    compile_own = partial(baseline.compile, constraints=constraints, options=_options_for(alone.served, baseline.tree))
    own = compile_own()
    replacing = [_as_folder(each) for each in alone.placed if requirement_name(each) in _names(own.pins)]
    if replacing:
        own = compile_own(measuring=replacing)
    return own.taken_from(alone.indexes), replacing


def _as_folder(placed: str) -> str:
    """Requirement of a package of the tree by its path, for a file of requirements, in which no source leads to it."""
    return f"{requirement_name(placed)} @ {os.path.join('.', _place_of(placed))}"


def _options_for(served: Iterable[str], tree: Path) -> list[str]:
    """Options of uv for the indexes that serve some pins.

    In a file of requirements, and for what only a constraint names, ``tool.uv.sources`` leads no package to its index.

    Args:
        served: Pins with their indexes, as in :class:`Resolution`.
        tree: The project's folder, whose pyproject.toml names the indexes.
    """
    used = {each.split(SERVED, 1)[1] for each in served}
    found = [entry for written, entry in _named_indexes(tree) if without_credentials(written) in used]
    return [*_options_of(found), "--index-strategy", "unsafe-best-match"] if found else []


def _compile_measured(
    baseline: _Request,
    measuring: Sequence[str],
    kept: Sequence[str],
    indexes: Mapping[str, str],
    limits: Sequence[str],
) -> _Pins:
    """Resolve the baseline with the candidate's measuring packages.

    Where a measuring package does not allow a version that the baseline has, the baseline gets another one that its own
    requirements allow, if need be against its constraints files. All other packages keep their versions.

    Args:
        baseline: Request for the baseline.
        measuring: Pins of the measuring packages.
        kept: The baseline's own pins of what it needs itself.
        indexes: Address of the index of each of these pins; empty if no named one serves it.
        limits: Latest times of upload of measuring packages, as in :class:`Resolution`.

    Raises:
        HarnessError: If the baseline's own requirements, or its settings of uv, cannot be met together with the measuring
            packages.
    """
    constraints = drop_names(baseline.constraints, _names(measuring))
    sources = _sources(baseline.project)  # one may hold for the baseline's own group alone
    led = {any_version(pin): indexes[pin] for pin in kept if indexes.get(pin) and requirement_name(pin) in sources}
    options = _limit_options(limits)
    wanted = [*measuring, *led]
    attempts = (
        {"constraints": "\n".join([constraints, *_exact(kept)])},
        {"constraints": constraints, "preferred": _exact(kept)},
        {"constraints": drop_names(constraints, _names(kept)), "preferred": _exact(kept)},
    )
    told = f"the candidate's measuring packages are incompatible with the baseline: {', '.join(measuring)}"
    errors = []
    for attempt in attempts:
        try:
            found = baseline.compile(measuring=wanted, indexes={**indexes, **led}, options=options, **attempt)
        except EnvironmentBuildError as error:
            if error.side is None:
                raise
            errors.append(error)
        else:
            held_back = _names({*measuring} - {*found.pins}) - _names(found.placed)
            _refuse_settings(baseline, held_back, told)  # an override is not even a conflict
            return found._replace(limits=tuple(limits))
    _refuse_settings(baseline, _names(measuring), f"{told}\n{errors[-1].fact}")
    raise HarnessError(
        f"{told}\n{errors[-1].fact}",
        side=Side.BASELINE,
        looked_in=f"what the baseline requires, and the group {MEASURING_GROUP!r} of the candidate",
        next_step="let the group allow a version that both revisions can have, or change it in a commit of its own; if the "
        "group needs another version of a dependency than the baseline allows, bump the dependency first",
    ) from errors[-1]


def _refuse_settings(baseline: _Request, names: Collection[str], told: str) -> None:
    """Refuse a setting of uv in the baseline that decides on one of some measuring packages.

    Raises:
        HarnessError: If there is one; its message begins with what is told.
    """
    settings = _settings_in_force(baseline.tree)
    for setting in ("constraint-dependencies", "override-dependencies", "exclude-dependencies"):
        if decided := sorted(_names(_texts(settings.get(setting))) & {*names}):
            raise HarnessError(
                f"{told}\nthe setting {setting} of uv in the baseline decides on {', '.join(decided)}",
                side=Side.BASELINE,
                looked_in=f"the settings of uv in the baseline, and the group {MEASURING_GROUP!r} of the candidate",
                next_step=f"first move {', '.join(decided)} from {setting} to the group {MEASURING_GROUP!r}, with the same "
                "version, in a change of its own",
            )


def _limits(names: Collection[str], candidate: _Request, baseline: _Request) -> tuple[str, ...]:
    """Latest times of upload that the candidate's settings of uv name for packages, where the baseline's differ.

    A variable of the environment holds for both.
    """
    if os.environ.get("UV_EXCLUDE_NEWER"):
        return ()
    its, own = (_settings_in_force(request.tree) for request in (candidate, baseline))
    return tuple(f"{name}={_limit(its, name)}" for name in sorted(names) if _limit(its, name) != _limit(own, name))


def _limit(settings: Mapping[str, Any], name: str) -> str:
    """Latest time of upload that settings of uv name for a package, those for pip alone before the others.

    Example:
        >>> _limit({"exclude-newer": "2026-10-01", "exclude-newer-package": {"Tool": "2026-11-01"}}, "tool")
        '2026-11-01'
        >>> _limit({}, "tool")
        '3000-01-01T00:00:00Z'
    """
    for table in (settings.get("pip", {}), settings):
        of_packages = {normal_name(each): limit for each, limit in table.get("exclude-newer-package", {}).items()}
        limit = of_packages.get(name, table.get("exclude-newer"))
        if limit is not None:
            return str(limit or NO_LIMIT)  # a package may be excepted with false
    return NO_LIMIT


def _limit_options(limits: Iterable[str]) -> list[str]:
    """Options of uv for latest times of upload."""
    return [word for limit in limits for word in ("--exclude-newer-package", limit)]


def _helpers(baseline: _Request, own: _Pins, alone: _Pins | None, harness: _Pins) -> set[str]:
    """Packages in the baseline's tree that measure: those of the candidate's group, and others of its own.

    The candidate's lie in another tree, so the baseline gets its own copy. One that it lacks is left out, and so is a
    folder that is no package there, or another. The baseline has each package once, and never instead of one that it needs itself.

    Args:
        baseline: Request for the baseline.
        own: What the baseline needs itself.
        alone: The baseline with its own group; ``None`` if it cannot be resolved with it.
        harness: Measuring packages of the candidate.
    """
    taken = _names(own.packages)
    shared = {each for each in harness.placed if requirement_name(each) not in taken and _has_placed(baseline, each)}
    taken |= _names([*harness.pins, *shared])
    return shared | {each for each in (alone.placed if alone else ()) if requirement_name(each) not in taken}


def _has_placed(request: _Request, placed: str) -> bool:
    """Whether a package lies in the tree of a revision where it lies in that of the other."""
    place = request.tree / _place_of(placed)
    if place.is_file():  # a wheel, whose name begins with that of its package
        return True
    name = read_project(place, request.side).get("project", {}).get("name", requirement_name(placed))
    return is_packaged(place, request.side) and normal_name(name) == requirement_name(placed)


def _decided_by_measuring(
    requests: Mapping[Side, _Request], needed: Mapping[Side, _Pins], measured: Mapping[Side, _Pins]
) -> tuple[set[str], set[str]]:
    """Names of the dependencies on which the measuring packages decide: those that need a review, and the others.

    The others are what the change adds or drops and pytest needs anyway, unless the candidate's group names it.

    Args:
        requests: Requests for both revisions.
        needed: What each revision needs itself.
        measured: Each revision with the candidate's measuring packages.
    """
    own, required = needed[Side.BASELINE], needed[Side.CANDIDATE]
    its, found = measured[Side.BASELINE], measured[Side.CANDIDATE]
    candidate = requests[Side.CANDIDATE]
    hidden = _hidden(requests[Side.BASELINE], needed, measured)
    named = _names(expand_group(candidate.project, MEASURING_GROUP)) - {"pytest"}
    moved = (hidden - named) & (_names(own.packages) ^ _names(required.packages))
    brought = moved & _names(candidate.compile_pytest(found).packages) if moved else set()
    not_its_own = _names(own.packages) - _names({*own.packages} & {*its.packages})
    return (hidden - brought) | not_its_own, brought


def _hidden(baseline: _Request, needed: Mapping[Side, _Pins], measured: Mapping[Side, _Pins]) -> set[str]:
    """Names of dependencies whose change the measuring packages would hide.

    These are the packages that the change bumps, adds or drops, if the candidate is measured with them otherwise than it
    requires them, and those that it adds, if the baseline is measured with them, too.

    Args:
        baseline: Request for the baseline.
        needed: What each revision needs itself.
        measured: Each revision with the candidate's measuring packages.
    """
    own, required = (needed[side].taken for side in (Side.BASELINE, Side.CANDIDATE))
    its, found = (measured[side].taken for side in (Side.BASELINE, Side.CANDIDATE))
    otherwise = _names({*required} - {*found}) | (_names(found) - _names(required))
    lent = _names(its) - _names(own)
    suspects = (otherwise & _names([*own, *required])) | (lent & _names(required))
    if not suspects:
        return suspects
    before = baseline.compile(constraints=baseline.constraints).taken
    return suspects & _names({*before} ^ {*required})


def _altered(
    groups: Mapping[Side, Sequence[str]],
    alone: Iterable[str] | None,
    measured: Iterable[str],
    kept_names: Collection[str],
) -> set[str]:
    """Names of the packages that the candidate's group furnishes to the baseline otherwise than its own would.

    These are the packages that the baseline lacks, and those of a group, and of its own, whose pins differ. A new version
    of pytest alters nothing, since pytest itself skips nothing.

    Args:
        groups: Requirements of the group of each revision.
        alone: Packages of the baseline with its own group; ``None`` if it cannot be resolved with it, so that only the
            requirements can be compared.
        measured: Packages of the baseline with the candidate's.
        kept_names: Packages that the baseline needs itself.

    Example:
        >>> groups = {Side.BASELINE: ["pytest", "tabulate"], Side.CANDIDATE: ["pytest"]}
        >>> _altered(groups, ["pytest==8.0", "tabulate==0.9"], ["pytest==9.0"], ())
        {'tabulate'}
    """
    if alone is None:
        return _names({*groups[Side.BASELINE]} ^ {*groups[Side.CANDIDATE]}) - {"pytest", *kept_names}
    named = _names([*groups[Side.BASELINE], *groups[Side.CANDIDATE]]).union(kept_names)
    return ((_names({*alone} ^ {*measured}) & named) | (_names(alone) - _names(measured))) - {"pytest"}


def _lacking(
    baseline: _Request, groups: Mapping[Side, Sequence[str]], alone: _Pins | None, measured: _Pins
) -> set[str]:
    """Names of the packages that the candidate's group takes from the baseline.

    A package that is gone only because a new version of another no longer needs it is none of these.

    Args:
        baseline: Request for the baseline.
        groups: Requirements of the group of each revision.
        alone: Resolution of the baseline with its own group; ``None`` if it cannot be resolved with it.
        measured: The baseline with the candidate's.
    """
    if alone is None:
        return _names({*groups[Side.BASELINE]} - {*groups[Side.CANDIDATE]}) - _names(measured.packages)
    gone = _names(alone.packages) - _names(measured.packages)
    if not gone:
        return gone
    sources = _sources(baseline.project)
    placed = {name for name, places in sources.items() if any("index" not in place for place in places)}
    group = [
        any_version(each) for each in groups[Side.BASELINE] if requirement_name(each) not in placed and "@" not in each
    ]
    options = _options_for(alone.served, baseline.tree)
    group += [pin for pin in alone.pins if " @ " in pin]  # in a file, no source leads to a place
    group += map(_as_folder, alone.placed)
    constraints = "\n".join(_exact(measured.pins))
    try:
        again = baseline.compile(measuring=["pytest", *group], constraints=constraints, options=options)
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        return gone
    return gone & _names(again.packages)


def script_names(tree: Path, project: Mapping[str, Any]) -> list[str]:
    """Modules and packages to install for a revision without packaging; those in ``src`` if there are any.

    Args:
        tree: The project's folder in the revision's worktree.
        project: Its pyproject.toml.
    """
    workloads = project.get("tool", {}).get("mainstay", {}).get("workloads", Configuration().workloads)
    unwanted = ["src", PurePosixPath(str(workloads)).parts[0]]
    for folder in (tree / "src", tree):
        files = [path.relative_to(folder).as_posix() for path in (*folder.glob("*.py"), *folder.glob("*/**/*.py"))]
        if names := importable_names(files, without=unwanted, namespaces=True):
            return [(folder / name).relative_to(tree).as_posix() for name in names]
    return []


def read_project(tree: Path, side: Side) -> Mapping[str, Any]:
    """Contents of a project's pyproject.toml; empty if it has none.

    Args:
        tree: The project's folder in the revision's worktree.
        side: Whose it is, for messages.

    Raises:
        EnvironmentBuildError: If the file cannot be read.
    """
    file = tree / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(
            f"pyproject.toml cannot be read: {error}", side=side, looked_in=f"the {side}", next_step="correct it"
        ) from error


def is_packaged(folder: Path, side: Side) -> bool:
    """Whether a wheel can be built from a folder of a revision.

    Args:
        folder: The folder in the revision's worktree.
        side: Whose it is, for messages.

    Raises:
        EnvironmentBuildError: If its pyproject.toml cannot be read.
    """
    return bool({"project", "build-system"} & read_project(folder, side).keys()) or (folder / "setup.py").is_file()


def _read_constraints(tree: Path, paths: Iterable[str], side: Side) -> str:
    """All constraints files of a revision; a file that the baseline lacks is skipped."""
    texts = []
    for path in paths:
        file = tree / path
        if file.is_file():
            texts.append(_with_included(file, tree, side))
        elif side is Side.CANDIDATE:
            raise EnvironmentBuildError(
                f"there is no constraints file {path!r}",
                side=side,
                looked_in=f"constraints in [tool.mainstay] and the tree of the {side}",
                next_step="add the file, or remove it from the configuration",
            )
    return "\n".join(texts)


def _with_included(file: Path, tree: Path, side: Side, within: Collection[Path] = ()) -> str:
    """Text of a constraints file, with that of the files that it includes in place of the lines that name them.

    uv reads a copy of the text, from which a relative path would lead elsewhere. An address is left to uv.

    Args:
        file: The constraints file.
        tree: The project's folder in the revision's worktree.
        side: Whose it is, for messages.
        within: The files that include it, and are not included once more.

    Raises:
        EnvironmentBuildError: If an included file does not lie in the worktree.
    """
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        named = INCLUDING.fullmatch(line)
        if not named or "://" in named[1] or os.path.isabs(named[1]):
            lines.append(line)
            continue
        included = (file.parent / named[1]).resolve()
        if not included.is_file() or not included.is_relative_to(_top_of(tree).resolve()):
            told = os.path.relpath(file, tree)
            raise EnvironmentBuildError(
                f"the constraints file {told!r} includes {named[1]!r}, which is no file in the tree",
                side=side,
                looked_in=f"constraints in [tool.mainstay] and the tree of the {side}",
                next_step=f"add the file, or remove the line from {told}",
            )
        if included not in {*within, file.resolve()}:
            lines.append(_with_included(included, tree.resolve(), side, {*within, file.resolve()}))
    return "\n".join(lines)


def _groups(project: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Entries of each dependency group, by its normalised name."""
    return {normal_name(name): entries for name, entries in project.get("dependency-groups", {}).items()}


def _own_name(project: Mapping[str, Any]) -> str:
    """Normalised name of a project; empty if its pyproject.toml names none."""
    return normal_name(project.get("project", {}).get("name", ""))


def expand_group(project: Mapping[str, Any], group: str) -> list[str]:
    """Requirements of a dependency group, including nested groups and extras of the project; empty if there is no such group.

    Entries that mean nothing, and groups that include themselves, are left out; uv refuses them.

    Args:
        project: Contents of a pyproject.toml.
        group: Name of the group, in any spelling that PEP 735 takes for the same.

    Example:
        >>> groups = {"benchmarks": ["pytest", {"include-group": "Some_More"}], "some-more": ["own[fast]"]}
        >>> extras = {"fast": ["tabulate"]}
        >>> own = {"name": "own", "optional-dependencies": extras}
        >>> expand_group({"project": own, "dependency-groups": groups}, "benchmarks")
        ['pytest', 'tabulate']
    """
    return _expand_extras(project, _group_requirements(project, group))


def _group_requirements(project: Mapping[str, Any], group: str, *, within: Collection[str] = ()) -> list[str]:
    """Requirements of a dependency group as they stand there, including nested groups.

    Args:
        project: Contents of a pyproject.toml.
        group: Name of the group.
        within: Normalised names of the groups that include it.
    """
    name = normal_name(group)
    requirements = []
    for entry in () if name in within else _groups(project).get(name, ()):
        if isinstance(entry, str):
            requirements.append(entry)
        elif "include-group" in entry:
            requirements += _group_requirements(project, entry["include-group"], within={*within, name})
    return requirements


def _expand_extras(project: Mapping[str, Any], requirements: Iterable[str], within: Collection[str] = ()) -> list[str]:
    """Requirements with those of the extras in place of each by which a project names itself, as in ``project[extra]``.

    Args:
        project: Contents of a pyproject.toml.
        requirements: Requirements, of which some may name the project.
        within: Normalised names of the extras that hold them.
    """
    own = _own_name(project)
    extras = project.get("project", {}).get("optional-dependencies", {})
    held = {normal_name(name): requirements for name, requirements in extras.items()}
    found = []
    for requirement in requirements:
        if not own or requirement_name(requirement) != own:
            found.append(requirement)
            continue
        named = re.match(r"[^\[;]*\[([^\]]*)\]", requirement)
        for extra in map(normal_name, re.findall(r"[^\s,]+", named[1] if named else "")):
            if extra not in within:
                found += _expand_extras(project, held.get(extra, ()), {*within, extra})
    return found


def drop_names(constraints: str, names: Iterable[str]) -> str:
    r"""Remove the constraints on some packages, with their hashes.

    Example:
        >>> drop_names("pytest==9.0 \\\n    --hash=sha256:00\nnumpy==2.0\n", ["pytest"])
        'numpy==2.0\n'
    """
    entries = re.findall(r"(?:[^\n]*\\\n)*[^\n]*\n?", constraints)
    unwanted = set(names)
    return "".join(entry for entry in entries if requirement_name(entry) not in unwanted)
