"""The maintenance scaffold, rendered by copier, as edits of a project.

Pure: from the texts that were rendered and those that the project has to the edits between them.

- :func:`scaffold_edits`: the edits.
- :func:`gated_folder`: the folder of the package inside the repository.
- :func:`has_example`: whether it was rendered with the example.
- :func:`answered_code`, :func:`surveyed_code`: where the code is, as was answered and as it is.
- :func:`with_sessions_needs`: a pyproject.toml with what the sessions of the scaffold read there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath

from mainstay.adoption.proposal import appended, with_group
from mainstay.adoption.survey import Survey
from mainstay.adoption.writing import Edit
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.records.formatting import first_few

ANSWERS = ".copier-answers.yml"
"""File in which copier keeps the answers and the version, for updates."""

SOURCES = {"src": "src/", "src (lib)": "lib/", "src (python)": "python/"}
"""Folder of the code by the name of the layout; any other layout has none."""

OWN_TABLES = frozenset({"hatch", "mainstay", "pytest"})
"""Tables of the template's pyproject.toml that change how a project is built or tested: never added to one."""

RUFF_FILES = ("ruff.toml", ".ruff.toml")
"""Files in place of the table ``ruff``."""

NUM_NAMED = 8
"""Files that a message names."""


class Existing(StrEnum):
    """What happens to files of the project that the scaffold has with another text."""

    KEEP = "keep"
    """They stay as they are."""
    REPLACE = "replace"
    """The scaffold's are written instead."""


def scaffold_edits(
    rendered: Mapping[str, str],
    read: Callable[[str], str | None],
    *,
    existing: Existing | None,
    has_code: bool,
    executable: Container[str] = (),
) -> tuple[Edit, ...]:
    """Compare the rendered scaffold with a project.

    Args:
        rendered: Text of each rendered file, by its path from the top of the repository.
        read: Gives the text of a file of the repository; ``None`` where it does not exist.
        existing: What happens to files that differ; ``None`` to refuse them.
        has_code: Whether the package has code of its own, so that its build is left as it is.
        executable: Paths of files that can be executed.

    Raises:
        UsageError: If files differ and nothing was said about them.
        ConfigurationError: If pyproject.toml cannot be extended.
    """
    folder = gated_folder(rendered)
    edits, different = [], []
    for path, text in sorted(rendered.items()):
        before, place = read(path), PurePosixPath(path)
        if place == PurePosixPath(folder, "pyproject.toml") and (before is not None or has_code):
            has_ruff = any(read(str(place.with_name(name))) is not None for name in RUFF_FILES)
            left_out = OWN_TABLES | ({"ruff"} if has_ruff else set())
            text = with_sessions_needs(before or "", text, left_out)  # noqa: PLW2901
        elif before is not None and before != text:
            different.append(path)
            if existing is Existing.KEEP:
                continue
        if before != text:
            edits.append(Edit(path=path, before=before, after=text, executable=path in executable))
    if different and existing is None:
        named = first_few(different, at_most=NUM_NAMED)
        raise UsageError(
            f"nothing was written: {len(different)} of the scaffold's files exist with different text: {named}",
            looked_in="the project and the rendered scaffold",
            next_step="choose --existing keep, which leaves yours, or --existing replace, which git can undo",
        )
    return tuple(edits)


def gated_folder(files: Mapping[str, str]) -> str:
    r"""The folder of the package that the scaffold's workflow gates; empty for the top.

    Args:
        files: Texts of workflows, or of all files, by path.

    Example:
        >>> gated_folder({".github/workflows/gate.yml": "    with:\n      working-directory: packages/plank\n"})
        'packages/plank'
    """
    found = re.search(r"^ +working-directory: (\S+)$", files.get(".github/workflows/gate.yml", ""), re.MULTILINE)
    return found[1] if found else ""


def has_example(files: Mapping[str, str]) -> bool:
    r"""Whether the scaffold was rendered with the example, for a project without code of its own.

    Args:
        files: Texts of files, by path.

    Example:
        >>> has_example({".copier-answers.yml": "_commit: v1\nexample: true\nkind: library\n"})
        True
    """
    return re.search(r"^example: true$", files.get(ANSWERS, ""), re.MULTILINE) is not None


def answered_code(files: Mapping[str, str]) -> str:
    r"""The package or module that the scaffold's sessions check, below the folder of the package.

    Args:
        files: Texts of files, by path.

    Example:
        >>> answered_code({".copier-answers.yml": "_commit: v1\ncode: src/plank\nkind: library\n"})
        'src/plank'
    """
    found = re.search(r"^code: '?([\w/.]+)", files.get(ANSWERS, ""), re.MULTILINE)
    return found[1] if found else "src"


def surveyed_code(survey: Survey) -> str:
    """The main package or module of a project, below its folder; empty if there is none."""
    if not survey.packages:
        return ""
    place = SOURCES.get(survey.layout, "") + survey.packages[0]
    return place if holds(survey.files, place) else f"{place}.py"


def holds(files: Iterable[str], place: str) -> bool:
    """Whether one of the files is a place or lies below it.

    Args:
        files: Paths of files.
        place: Path of a file or a folder.

    Example:
        >>> holds(["src/plank/model.py"], "src/plank"), holds(["src/planks.py"], "src/plank")
        (True, False)
    """
    return any(PurePosixPath(file).is_relative_to(place) for file in files)


def with_sessions_needs(own: str, template: str, left_out: Collection[str] = OWN_TABLES) -> str:
    """The text of a project's pyproject.toml with the groups and tables that the scaffold's sessions read.

    What the project has stays as it is, and nothing is added that decides how it is built or tested.

    Args:
        own: Text of the project's pyproject.toml.
        template: Text of the one that the scaffold would give a new project.
        left_out: Tables that are not added.

    Raises:
        ConfigurationError: If it cannot be read, before or after.
    """
    try:
        document = tomllib.loads(own)
        wanted = tomllib.loads(template)
        text = own
        for name, entries in wanted["dependency-groups"].items():
            if name not in document.get("dependency-groups", {}):
                text = with_group(text, name, entries)
        for name in sorted(set(wanted["tool"]).difference(document.get("tool", {}), left_out)):
            text = appended(text, _table_of(template, name))
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"pyproject.toml cannot be extended: {error}",
            looked_in="pyproject.toml",
            next_step="correct it; 'tool' and 'dependency-groups' must be tables of their own: [tool.NAME]",
        ) from error
    return text


def _table_of(text: str, name: str) -> str:
    r"""A table below ``tool`` as it is written, with those below it.

    Example:
        >>> _table_of("[tool.a]\nx = 1\n\n[tool.b]\ny = [\n  2,\n]\n\n[tool.b.c]\nz = 3\n\n[tool.d]\n", "b")
        '[tool.b]\ny = [\n  2,\n]\n\n[tool.b.c]\nz = 3\n'
    """
    header = rf"\[tool\.{re.escape(name)}[.\]]"
    found = re.search(rf"^{header}.*?(?=^\[(?!tool\.{re.escape(name)}[.\]])|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0].rstrip() + "\n" if found else ""
