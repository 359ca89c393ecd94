"""Comparison of installed code: identical, identical except for comments and docstrings, or different.

Code that is proved unchanged need not be measured, since it behaves the same on both sides. The *tree* consists of all
files that a revision's wheels install, including metadata and top-level modules. Native code, data files and the set of
names must be equal byte for byte, since it cannot be known whether the program reads them.

- :func:`compare_trees`: the degree to which two installed trees are equal.
- :func:`compare_wheels`: the files of the wheels that differ, including those outside the tree, such as scripts.
- :func:`normalised_code`: a module compiled without its docstrings, comments, layout and names of local variables.
"""

from __future__ import annotations

import ast
import hashlib
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import CodeType
from typing import Any

RECORDS_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"})
"""Files of ``*.dist-info`` that describe the installation of a wheel, not its content."""

NAMES_OF_LOCALS_COUNT = frozenset({"locals", "vars", "f_locals", "exec", "eval", "dir", "globals"})
"""Names that give code access to the names of local variables; if a tree uses one, these names are compared too."""


class Sameness(StrEnum):
    """Degree to which two trees are equal."""

    IDENTICAL = "identical"
    """Every file is equal, byte for byte."""
    REWORDED = "reworded"
    """Equal except for docstrings, comments, layout and names of local variables of Python modules."""
    DIFFERENT = "different"


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeComparison:
    """Comparison of two installed trees.

    Attributes:
        sameness: Degree to which they are equal.
        files: Paths of the files that differ, relative to the tree, sorted; for ``reworded``, those that differ only in
            wording.
    """

    sameness: Sameness
    files: tuple[str, ...] = ()


def compare_trees(baseline: Path, candidate: Path) -> TreeComparison:
    """Compare the files installed from the wheels of two revisions.

    Args:
        baseline: ``site-packages`` of the baseline.
        candidate: ``site-packages`` of the candidate.

    Returns:
        The first kind of difference that applies, with the files in which it was found.

    Raises:
        OSError: If a file cannot be read.
    """
    trees = [dict(_iter_tree(place)) for place in (baseline, candidate)]
    if lacking := sorted(trees[0].keys() ^ trees[1].keys()):
        return TreeComparison(sameness=Sameness.DIFFERENT, files=tuple(lacking))
    differing = sorted(name for name in trees[0] if _content(trees[0][name]) != _content(trees[1][name]))
    if not differing:
        return TreeComparison(sameness=Sameness.IDENTICAL)
    names_count = any(_names_locals(trees[side][name]) for side in (0, 1) for name in trees[side] if _is_python(name))
    changed = [
        name
        for name in differing
        if not _is_python(name)
        or _kind(trees[0][name]) != _kind(trees[1][name])
        or not is_reworded(
            trees[0][name].read_bytes(), trees[1][name].read_bytes(), compare_names_of_locals=names_count
        )
    ]
    if changed:
        return TreeComparison(sameness=Sameness.DIFFERENT, files=tuple(changed))
    return TreeComparison(sameness=Sameness.REWORDED, files=tuple(differing))


def compare_wheels(baseline: Sequence[Path], candidate: Sequence[Path]) -> tuple[str, ...]:
    """Compare the contents of the wheels of two revisions, ignoring order and time stamps of files.

    Args:
        baseline: All wheels of the baseline.
        candidate: All wheels of the candidate.

    Returns:
        Sorted names of the files that only one side has, or that differ in content or mode, except ``RECORD``, which
        lists the other files.
    """
    first, second = (_members(wheels) for wheels in (baseline, candidate))
    return tuple(sorted({name for _, name, *_ in first ^ second}))


def _members(wheels: Sequence[Path]) -> frozenset[tuple[str, str, int, str]]:
    """Every file in some wheels: name of the wheel, name, mode and digest."""
    found = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if not member.filename.endswith(".dist-info/RECORD"):
                    digest = hashlib.sha256(archive.read(member)).hexdigest()
                    found.add((wheel.name, member.filename, member.external_attr >> 16, digest))
    return frozenset(found)


def _iter_tree(place: Path) -> Iterator[tuple[str, Path]]:
    """Files and links of a tree by their relative path; folders are followed, links are not.

    ``__pycache__`` is left out, since it is made from the sources when a wheel is installed; compiled code elsewhere is
    included, since it is imported without a source.
    """
    for path in sorted(place.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name != "__pycache__":
                yield from ((f"{path.name}/{name}", inner) for name, inner in _iter_tree(path))
        elif not _is_record(path):
            yield path.name, path


def _is_record(path: Path) -> bool:
    return path.parent.name.endswith(".dist-info") and path.name in RECORDS_OF_INSTALLERS


def _is_python(name: str) -> bool:
    return name.endswith(".py")


def _kind(path: Path) -> tuple[bool, int]:
    """Whether a path is a link, and who may execute it."""
    mode = path.lstat().st_mode
    return stat.S_ISLNK(mode), mode & 0o111


def _content(path: Path) -> tuple[object, ...]:
    """Everything about a file that a program could read, except times."""
    if path.is_symlink():
        return (*_kind(path), str(path.readlink()))
    with path.open("rb") as stream:
        return (*_kind(path), hashlib.file_digest(stream, "sha256").digest())


def _names_locals(path: Path) -> bool:
    """Whether a module uses a name that could reveal the names of local variables, or does not parse."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return True
    return any(
        (isinstance(node, ast.Name) and node.id in NAMES_OF_LOCALS_COUNT)
        or (isinstance(node, ast.Attribute) and node.attr in NAMES_OF_LOCALS_COUNT)
        or (isinstance(node, ast.Constant) and node.value in NAMES_OF_LOCALS_COUNT)
        for node in ast.walk(tree)
    )


def is_reworded(baseline: bytes, candidate: bytes, *, compare_names_of_locals: bool = False) -> bool:
    r"""Whether two modules are equal except for docstrings, comments, layout and names of locals.

    Args:
        baseline: Source of the baseline's module.
        candidate: Source of the candidate's module.
        compare_names_of_locals: Whether names of local variables must be equal, too.

    Returns:
        Whether they are; ``False`` if one of them does not compile.

    Example:
        >>> is_reworded(b"def f(x):\n    'Old.'\n    y = x\n    return y\n", b"def f(x):\n    z = x\n    return z\n")
        True
        >>> is_reworded(b"WIDTH = 1\n", b"WIDTH = 1.0\n")
        False
    """
    try:
        first, second = normalised_code(baseline), normalised_code(candidate)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return _fingerprint(first, names_count=compare_names_of_locals) == _fingerprint(
        second, names_count=compare_names_of_locals
    )


def normalised_code(source: bytes) -> CodeType:
    """Compile a module without docstrings, comments, layout and superfluous ``pass``.

    Args:
        source: Source of the module.

    Raises:
        SyntaxError: If it does not compile.
    """
    tree = _Normaliser().visit(ast.parse(source))
    return compile(tree, "<normalised>", "exec", dont_inherit=True, optimize=0)


class _Normaliser(ast.NodeTransformer):
    """Gives every body an empty docstring, drops ``pass`` beside other statements, and numbers statements in order.

    Positions are renumbered and not removed, since the compiler treats instructions on different lines differently.
    """

    def __init__(self) -> None:
        self._line = 0

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Expr(ast.Constant("")), *_without_docstring(node.body)]
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and len(value) > 1 and isinstance(value[0], ast.stmt):
                value[:] = [each for each in value if not isinstance(each, ast.Pass)] or value[:1]
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            self._line += 1
        if "lineno" in node._attributes:
            for name, position in (("lineno", self._line), ("end_lineno", self._line)):
                setattr(node, name, max(position, 1))
            for name in ("col_offset", "end_col_offset"):
                setattr(node, name, 0)
        return self.generic_visit(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def _fingerprint(code: CodeType, *, names_count: bool) -> tuple[Any, ...]:
    """Everything in a code object that can affect its behaviour, including nested code objects."""
    num_arguments = code.co_argcount + code.co_kwonlyargcount
    num_arguments += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return (
        code.co_qualname,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_nlocals,
        code.co_stacksize,
        code.co_varnames if names_count else code.co_varnames[:num_arguments],
        code.co_freevars,
        code.co_cellvars,
        code.co_names,
        code.co_code,
        code.co_exceptiontable,
        tuple(_constant(value, names_count=names_count) for value in code.co_consts),
    )


def _constant(value: Any, *, names_count: bool) -> tuple[Any, ...]:
    """A constant with its type: ``1``, ``1.0`` and ``True`` are equal, and so are ``0.0`` and ``-0.0``."""
    if isinstance(value, CodeType):
        return _fingerprint(value, names_count=names_count)
    if isinstance(value, tuple):
        return ("tuple", *(_constant(item, names_count=names_count) for item in value))
    if isinstance(value, frozenset):
        return ("frozenset", *sorted(repr(_constant(item, names_count=names_count)) for item in value))
    return type(value).__name__, repr(value)
