"""Requests to the resolver of uv for one revision, and how its output is read.

- :class:`Request`: all that a revision requires, which the resolver turns into pins.
- :class:`UnusablePinError`: what uv resolved cannot be installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from mainstay.project.configuration import Configuration
from mainstay.project.requirements import names_of, normal_name
from mainstay.records.errors import EnvironmentBuildError
from mainstay.records.redaction import without_credentials
from mainstay.records.trials import Side
from mainstay.revisions.indexes import index_options, named_indexes, normal_address, write_requirements
from mainstay.revisions.pins import Pins, exact_versions
from mainstay.revisions.project_files import (
    MEASURING_GROUP,
    dependency_groups,
    folders_above,
    group_requirements,
    own_name,
    read_constraints,
    read_project,
    script_names,
    texts_in,
    top_of,
)
from mainstay.revisions.uv_commands import run_uv
from mainstay.revisions.uv_settings import installation_digest, pip_settings

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

LEFT_OUT = "# The following packages were excluded from the output:"
"""Line after which uv names the packages that it resolved and did not write."""


class UnusablePinError(EnvironmentBuildError):
    """What uv resolved cannot be installed for two revisions, or means something else for each of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Request to the resolver for one revision.

    Attributes:
        side: Baseline or candidate.
        tree: The project's folder in the revision's worktree.
        source: File there that states the dependencies; empty if there is none.
        extras: Extras of the project that are required.
        groups: Dependency groups that are required, besides those that measure.
        constraints: Text of all constraints files.
        project: Contents of its pyproject.toml.
        installation: SHA-256 of what decides how pins are installed.
        unsure_extras: Those of the extras that the project may not have.
        uses_cache: Whether uv may answer from its cache.
    """

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
    def of(cls, side: Side, tree: Path, configuration: Configuration) -> Request:
        """The request for a revision as its tree and its ``[tool.mainstay]`` have it.

        Raises:
            EnvironmentBuildError: If nothing can be installed from the tree, or one of its files cannot be read.
        """
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
            constraints=read_constraints(tree, configuration.constraints, side),
            project=project,
            installation=installation_digest(tree),
        )

    def with_wishes_of(self, configuration: Configuration) -> Request:
        """The request with the extras and groups of another revision, as far as this one has them."""
        project = self.project.get("project", {})
        is_listed = bool(project) and "optional-dependencies" not in project.get("dynamic", [])
        extras = [
            extra
            for extra in configuration.extras
            if not is_listed or normal_name(extra) in map(normal_name, project.get("optional-dependencies", {}))
        ]
        groups = [group for group in configuration.groups if normal_name(group) in dependency_groups(self.project)]
        return replace(
            self, extras=tuple(extras), groups=tuple(groups), unsure_extras=() if is_listed else tuple(extras)
        )

    @property
    def _is_static(self) -> bool:
        """Whether a few files state all dependencies of the revision; otherwise any file of the tree may matter."""
        project = self.project.get("project", {})
        is_computed = {"dependencies", "optional-dependencies"} & set(project.get("dynamic", []))
        above = folders_above(self.tree)
        is_member = any((place / "pyproject.toml").exists() for place in above)  # perhaps of a uv workspace
        uses_others = is_member or bool({"sources", "workspace"} & self.project.get("tool", {}).get("uv", {}).keys())
        uses_others = uses_others or any(map(_may_lie_in_the_tree, self._requirements()))
        return bool(project) and not is_computed and not uses_others

    def _requirements(self) -> Iterator[str]:
        """All that the revision's pyproject.toml requires for anything, and its constraints."""
        project, settings = self.project.get("project", {}), self.project.get("tool", {}).get("uv", {})
        yield from texts_in([project.get(name) for name in ("dependencies", "optional-dependencies")])
        yield from texts_in(self.project.get("dependency-groups"))
        yield from texts_in([value for name, value in settings.items() if name.endswith("-dependencies")])
        yield from self.constraints.splitlines()

    def identity(self) -> tuple[str, ...]:
        """Text of everything that the resolution depends on."""
        files = [self.tree / name for name in ("pyproject.toml", "uv.toml")]
        if not self._is_static:
            top = top_of(self.tree)
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
    ) -> Pins:
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

    def compile_measuring(self, found: Pins) -> Pins:
        """The subset of ``found`` that the revision's measuring packages need."""
        return self._compile_part(self._measuring_groups, found)

    def compile_pytest(self, found: Pins) -> Pins:
        """The subset of ``found`` that pytest needs."""
        return self._compile_part((), found)

    def _compile_part(self, groups: Sequence[str], found: Pins) -> Pins:
        constraints, options = "\n".join(exact_versions(found.pins)), index_options(found.served, self.tree)
        part = self._compile((), measuring=("pytest",), groups=groups, constraints=constraints, options=options)
        return part.taken_from(found.indexes)

    def compile_whole(self) -> Pins:
        """Resolve exact pins of the revision and of its own measuring packages."""
        return self.compile(measuring=("pytest",), groups=self._measuring_groups, constraints=self.constraints)

    @property
    def _measuring_groups(self) -> Sequence[str]:
        return [MEASURING_GROUP] if MEASURING_GROUP in dependency_groups(self.project) else []

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
    ) -> Pins:
        with tempfile.TemporaryDirectory() as folder:
            is_part = not wanted  # so no file has the extras for which a setting asks
            extras = pip_settings(self.tree).get("extra", ()) if is_part else ()
            requirements = map(
                str,
                write_requirements(
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
                constraint_file.write_text("\n".join([constraints, *exact_versions(found.pins)]), encoding="utf-8")
                lock_file = Path(folder).resolve() / "pylock.toml"
                run([*arguments, "--format", "pylock.toml", "--output-file", str(lock_file)])
                found = found.with_placed(self._read_places(lock_file, lines))
        if "pytest" in names_of(measuring) - names_of(found.packages):
            raise self._unusable("uv resolved no pytest", "look at the settings of uv in [tool.uv.pip] or uv.toml")
        return found

    def _itself(self, measuring: Iterable[str], groups: Iterable[str]) -> list[str]:
        """Requirement of the project by its own folder, if it is named, as in ``project[extra]``.

        In a project's own pyproject.toml, uv would take the name for a package of an index.
        """
        name = own_name(self.project)
        named = names_of([*measuring, *(each for group in groups for each in group_requirements(self.project, group))])
        return [f"{name} @ ./"] if name and name in named else []

    def _read_pins(self, written: str) -> tuple[Pins, list[str]]:
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
        named = {normal_address(entry["url"]): written for written, entry in reversed(named_indexes(self.tree))}
        for line in lines.splitlines():
            note, _, address = line.strip().partition("# from ")
            if pins and not note and (index := normal_address(address)) in named:
                served[pins[-1]] = without_credentials(named[index])
            pin = line.partition(" ;")[0].strip().removeprefix("-e ")
            if not pin or pin[0] in "#-":
                continue
            if _own_package(pin, self.tree):
                others.append(pin)
                continue
            self._check_address(pin)
            (pins if PIN.fullmatch(pin) else others).append(pin)
        return Pins(pins=tuple(sorted(pins)), placed=()).taken_from(served), others

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
        tree, top = self.tree.resolve(), top_of(self.tree).resolve()
        placed = set()
        for line in lines:
            path = _own_package(line, self.tree) or line
            folders = (self.tree, *folders_above(self.tree), *named)
            meant = {(folder / path).resolve() for folder in folders} & named.keys()
            usable = {place for place in meant if place.is_relative_to(top) or os.path.isabs(line)}
            if not usable:
                raise self._unusable(
                    f"uv wrote {without_credentials(line)!r}, which is neither one version of a package nor a path in the tree",
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
        if any(str(top) in unquote(pin) for top in (top_of(self.tree), top_of(self.tree).resolve())):
            raise self._unusable(
                f"{told!r} leads into the {self.side}'s own tree, but not to a folder or a wheel",
                "require the folder of the package, which is then built for each revision",
            )

    def _unusable(self, fact: str, next_step: str) -> UnusablePinError:
        return UnusablePinError(fact, side=self.side, looked_in=f"what the {self.side} requires", next_step=next_step)


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
    if not place.exists() or not place.is_relative_to(top_of(tree).resolve()):
        return ""
    return os.path.relpath(place, tree.resolve())
