"""A project's files in the worktree of a revision: what can be built from them, and what they require.

- :func:`read_project`, :func:`texts_in`, :func:`own_name`: reading its pyproject.toml.
- :func:`is_packaged`, :func:`script_names`: what can be built.
- :func:`folders_above`, :func:`top_of`: the folders between the project and the top of the worktree.
- :func:`read_constraints`, :func:`drop_names`: reading constraints files, and removing constraints.
- :func:`expand_group`, :func:`group_requirements`, :func:`dependency_groups`: requirements of dependency groups.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mainstay.project.configuration import Configuration
from mainstay.project.requirements import normal_name, requirement_name
from mainstay.project.scripts import importable_names
from mainstay.records.errors import EnvironmentBuildError
from mainstay.records.trials import Side

MEASURING_GROUP = "benchmarks"
"""Dependency group whose packages, as the candidate has them, measure both revisions."""

INCLUDING = re.compile(r"\s*(?:-c|--constraint|-r|--requirement)[\s=]\s*(.*?)(?:\s+#.*)?\s*")
"""A line of a file of requirements that includes another file."""


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


def folders_above(tree: Path) -> Iterator[Path]:
    """The folders above a project in its worktree; none if it is the top."""
    place = tree
    while not (place / ".git").exists() and place != place.parent:
        place = place.parent
        yield place


def top_of(tree: Path) -> Path:
    """The top of the worktree that a project lies in; the project's folder itself outside a worktree."""
    *_, top = (tree, *folders_above(tree))
    return top if (top / ".git").exists() else tree


def read_constraints(tree: Path, paths: Iterable[str], side: Side) -> str:
    """Text of all constraints files of a revision; a file that the baseline lacks is skipped.

    Args:
        tree: The project's folder in the revision's worktree.
        paths: The files, relative to it.
        side: Whose it is, for messages.

    Raises:
        EnvironmentBuildError: If the candidate lacks a file, or an included file does not lie in the worktree.
    """
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

    uv reads a copy of the text, from which a relative path would lead elsewhere. Addresses and absolute paths are left to uv.

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
        if not included.is_file() or not included.is_relative_to(top_of(tree).resolve()):
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


def drop_names(constraints: str, names: Iterable[str]) -> str:
    r"""Remove the constraints on some packages, with their hashes.

    Example:
        >>> drop_names("pytest==9.0 \\\n    --hash=sha256:00\nnumpy==2.0\n", ["pytest"])
        'numpy==2.0\n'
    """
    entries = re.findall(r"(?:[^\n]*\\\n)*[^\n]*\n?", constraints)
    unwanted = set(names)
    return "".join(entry for entry in entries if requirement_name(entry) not in unwanted)


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
    return _expand_extras(project, group_requirements(project, group))


def group_requirements(project: Mapping[str, Any], group: str, *, within: Collection[str] = ()) -> list[str]:
    """Requirements of a dependency group as they stand there, including nested groups.

    Args:
        project: Contents of a pyproject.toml.
        group: Name of the group.
        within: Normalised names of the groups that include it.
    """
    name = normal_name(group)
    requirements = []
    for entry in () if name in within else dependency_groups(project).get(name, ()):
        if isinstance(entry, str):
            requirements.append(entry)
        elif "include-group" in entry:
            requirements += group_requirements(project, entry["include-group"], within={*within, name})
    return requirements


def dependency_groups(project: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Entries of each dependency group, by its normalised name."""
    return {normal_name(name): entries for name, entries in project.get("dependency-groups", {}).items()}


def _expand_extras(project: Mapping[str, Any], requirements: Iterable[str], within: Collection[str] = ()) -> list[str]:
    """Requirements with those of the extras in place of each by which a project names itself, as in ``project[extra]``.

    Args:
        project: Contents of a pyproject.toml.
        requirements: Requirements, of which some may name the project.
        within: Normalised names of the extras that hold them.
    """
    own = own_name(project)
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


def own_name(project: Mapping[str, Any]) -> str:
    """Normalised name of a project; empty if its pyproject.toml names none."""
    return normal_name(project.get("project", {}).get("name", ""))


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a value of a TOML file.

    Example:
        >>> [*texts_in({"fast": ["tabulate", {"include-group": "more"}], "level": 2})]
        ['tabulate', 'more']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(each)
