"""Comparison of installed code: equal, equal except for its words, or different.

Code that is proved unchanged need not be measured, since it behaves the same on both sides. The *tree* consists of all
files that a revision's wheels install, including metadata and top-level modules. Native code, data files and the set of
names must be equal byte for byte, since it cannot be known whether the program reads them. The *words* of a Python
module are its docstrings, comments, layout and names of local variables.

- :func:`compare_trees`: the files of two installed trees that differ.
- :func:`compare_wheels`: the files of the wheels that differ, including those outside the tree, such as scripts.
- :func:`compare_words`: whether modules that differ as text differ in words only, and else in which functions.
"""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import make_converter

from mainstay.workers.descendants import run_guarded
from mainstay.workers.process import WORKER

RECORDS_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"})
"""Files of ``*.dist-info`` that describe the installation of a wheel, not its content."""

NATIVE_CODE = frozenset({".so", ".pyd", ".dylib", ".pyc"})
"""Endings of files with code that no trace follows."""

COMPARE_SECONDS = 120.0
"""How long the comparison of words may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeComparison:
    """Comparison of two installed trees.

    Attributes:
        files: Paths that differ, relative to the tree, sorted.
        is_text_of_modules: Whether only the text of Python modules differs, so that their words alone may.
    """

    files: tuple[str, ...] = ()
    is_text_of_modules: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WordComparison:
    """Comparison of modules that differ as text.

    Attributes:
        is_same_code: Whether they execute the same code.
        changed: Functions whose bodies differ, each with its file; empty if modules cannot be compared.
        differing: In what they differ besides: ``docstrings``, their ``presence``, ``classes`` (docstrings of classes),
            ``positions`` or ``locals``.
        readers: What in the tree or the workloads could read that, in a few words; empty where nothing could.
        can_follow_calls: Whether the interpreter of the revisions can tell which functions are executed.
        problem: Why the modules could not be compared, as the rest of a sentence; empty where they were.
    """

    is_same_code: bool
    changed: tuple[str, ...] = ()
    differing: frozenset[str] = frozenset()
    readers: str = ""
    can_follow_calls: bool = False
    problem: str = ""


def compare_trees(baseline: Path, candidate: Path) -> TreeComparison:
    """Compare the files installed from the wheels of two revisions.

    Args:
        baseline: ``site-packages`` of the baseline.
        candidate: ``site-packages`` of the candidate.

    Returns:
        The files that differ.

    Raises:
        OSError: If a file cannot be read.
    """
    first, second = trees = [_compared_files(place) for place in (baseline, candidate)]
    if lacking := sorted(first.keys() ^ second.keys()):
        return TreeComparison(files=tuple(lacking))
    differing = sorted(name for name in first if _content(first[name]) != _content(second[name]))
    are_modules = (_is_module(tree[name]) for tree in trees for name in differing)
    are_alike = all(_kind(first[name]) == _kind(second[name]) for name in differing)
    return TreeComparison(files=tuple(differing), is_text_of_modules=bool(differing) and are_alike and all(are_modules))


def find_native_code(tree: Path) -> str:
    """The first file of an installed tree that holds compiled code; empty if there is none."""
    return next((name for name, path in _iter_tree(tree) if path.suffix in NATIVE_CODE), "")


def find_records(tree: Path) -> tuple[str, ...]:
    """Files of an installed tree that are not compared, since they describe its installation, but that a program may read."""
    return tuple(name for name, _ in _iter_tree(tree) if _is_record(name))


def compare_words(
    python: Path,
    trees: Sequence[Path],
    files: Sequence[str],
    *,
    beside: Path,
    variables: Mapping[str, str],
) -> WordComparison:
    """Compare modules that differ as text, with the compiler that the revisions use.

    Args:
        python: Interpreter of the baseline; it imports nothing of either tree.
        trees: ``site-packages`` of both revisions.
        files: Modules in it that differ, as :func:`compare_trees` found them.
        beside: Folder of the workloads, which are searched for what could read words, as the tree is.
        variables: Environment of the workers.

    Returns:
        Whether they execute the same code, and else in what they differ. Modules that cannot be compared count as different,
        with the problem.

    Raises:
        OSError: If a folder cannot be read.
    """
    level = variables.get("PYTHONOPTIMIZE", "")
    question = {
        "trees": [str(tree) for tree in trees],
        "files": list(files),
        "beside": str(beside),
        "optimize": min(2, int(level)) if level.isdecimal() else int(bool(level)),
    }
    command = [str(python), "-I", "-S", str(Path(WORKER) / "rewording.py")]
    try:
        done = run_guarded(command, env={}, cwd=beside, stdin=json.dumps(question), timeout=COMPARE_SECONDS)
    except subprocess.TimeoutExpired:
        return _not_compared(f"comparing their code took longer than {COMPARE_SECONDS:g} s")
    except OSError as error:
        return _not_compared(f"their code could not be compared: {error.strerror}")
    try:
        return make_converter().structure(json.loads(done.stdout), WordComparison)
    except (ValueError, BaseValidationError):
        return _not_compared(f"comparing their code failed with status {done.returncode}")


def _not_compared(problem: str) -> WordComparison:
    return WordComparison(is_same_code=False, problem=problem)


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


def names_in_wheels(wheels: Sequence[Path]) -> frozenset[str]:
    """Names of all files in some wheels."""
    return frozenset(name for _, name, *_ in _members(wheels))


def _members(wheels: Sequence[Path]) -> frozenset[tuple[str, str, int, str]]:
    """Every file in some wheels: name of the wheel, name, mode and digest."""
    found = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if not (_is_record(member.filename) and member.filename.endswith("/RECORD")):
                    digest = hashlib.sha256(archive.read(member)).hexdigest()
                    found.add((wheel.name, member.filename, member.external_attr >> 16, digest))
    return frozenset(found)


def _compared_files(tree: Path) -> dict[str, Path]:
    """Files and links of a tree, by their relative path, that are compared."""
    return {name: path for name, path in _iter_tree(tree) if not _is_record(name)}


def _is_record(name: str) -> bool:
    """Whether a file describes the installation of a wheel; those of packages that it bundles are part of its content."""
    folder, _, file = name.partition("/")
    return folder.endswith(".dist-info") and file in RECORDS_OF_INSTALLERS


def _iter_tree(place: Path) -> Iterator[tuple[str, Path]]:
    """Files and links of a tree by their relative path; folders are followed, links are not.

    ``__pycache__`` is left out, since it is made from the sources when a wheel is installed; compiled code elsewhere is
    included, since it is imported without a source.
    """
    for path in sorted(place.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name != "__pycache__":
                yield from ((f"{path.name}/{name}", inner) for name, inner in _iter_tree(path))
        else:
            yield path.name, path


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" and not path.is_symlink()


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
