"""Temporary folders of one gate, removed at its end: worktrees, built packages and measuring folders.

Both revisions have paths of equal length, since the length of a path can change the speed of a program. Workloads and
pytest configuration are copied to measuring folders outside both trees, so that each revision can run the workload
files of either.
"""

from __future__ import annotations

import ast
import configparser
import filecmp
import hashlib
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

from mainstay.project.configuration import Configuration
from mainstay.records.errors import ConfigurationError, HarnessError, refusals_of
from mainstay.records.redaction import without_secrets
from mainstay.records.runs import Revision
from mainstay.records.trials import Side
from mainstay.revisions.environments import SubjectEnvironment, build_subject, is_inherited, worker_variables
from mainstay.revisions.git import Repository
from mainstay.revisions.layers import Layer
from mainstay.revisions.pins import indexes_of
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.uv_commands import interpreter_facts
from mainstay.store.files import content_digest, harmful_link, iter_files
from mainstay.store.integrity import (
    Manifest,
    WatchedFolders,
    WatchedInput,
    describe_changes,
    find_changes,
    take_manifest,
)
from mainstay.workers.descendants import run_guarded
from mainstay.workers.process import WorkerSpec, at_once

FOLDERS = {Side.BASELINE: "base", Side.CANDIDATE: "cand"}
"""Folder names of equal length for the two revisions."""

PYTEST_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Files in which pytest looks for its configuration, in order."""

ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
"""Pattern of a line with which ``prepare`` sets a variable of the workers."""

MODULE_FLAG = re.compile(r"-[bBdEiIOPqsSuvx]*m(.*)")
"""Pattern of a word after which, or in which, a module is named that Python runs; other flags may stand before the m."""

HELD_PREFIXES = ("PYTHON", "PYTEST", "LD_", "DYLD_")
"""Prefixes of variables that pass code or options to an interpreter, pytest or the dynamic linker."""

PREPARE_SECONDS = 1800.0
"""Seconds that ``prepare`` may take."""

MAX_INPUT_BYTES, MAX_INPUT_FILES = 4_000_000_000, 100_000
"""Largest input that is read in full to check that it is unchanged; reading it takes some seconds."""


def add_worktrees(repository: Repository, revisions: Mapping[Side, Revision], scratch: Path) -> dict[Side, Path]:
    """The project's folder in a worktree of each revision; the worktrees are removed with the scratch folder."""
    trees = {side: scratch / name / "tree" / repository.folder for side, name in FOLDERS.items()}
    for side, tree in trees.items():
        repository.top_of(tree).parent.mkdir(exist_ok=True)
        with refusals_of(side):
            repository.add_worktree(revisions[side].commit, tree)
    return trees


def build_subjects(
    trees: Mapping[Side, Path],
    resolutions: Mapping[Side, Resolution],
    layers: Mapping[str, Layer],
    scratch: Path,
    *,
    version: str,
    is_one_tree: bool = False,
    on_built: Callable[[Side, SubjectEnvironment], object] = lambda side, subject: None,
) -> dict[Side, SubjectEnvironment]:
    """Build and install the wheel of each revision over its dependencies.

    A tree that is gated against itself is built once, because two builds of compiled code need not be equal.

    The baseline is built first and alone: a build runs with the rights of the user and could change the files
    from which the other revision is built. The built baseline can be sealed before the candidate is built.

    Args:
        trees: Worktree of each revision.
        resolutions: Dependencies of each revision.
        layers: Layers of dependencies, by digest.
        scratch: The gate's temporary folder.
        version: Version of both wheels if it would be taken from git.
        is_one_tree: Whether both revisions have the same content.
        on_built: Called with each revision as soon as it is built.

    Raises:
        EnvironmentBuildError: If a revision cannot be built; the baseline is named first if both fail, and neither if
            dependencies of both cannot be installed.
    """
    interrupted = threading.Event()

    def install(side: Side) -> Path:
        return layers[resolutions[side].digest].ensure(trees[side], is_interrupted=interrupted.is_set)

    interpreter_facts()  # before the threads, which must not read a half-built table
    dependencies = dict(zip(Side, at_once(install, list(Side), on_interrupt=interrupted.set), strict=True))
    subjects: dict[Side, SubjectEnvironment] = {}
    for side in Side:
        place = scratch / FOLDERS[side] / "environment"
        built = subjects[Side.BASELINE].wheels if is_one_tree and subjects else ()
        subjects[side] = build_subject(
            side, trees[side], resolutions[side], place, dependencies[side], version=version, built=built
        )
        on_built(side, subjects[side])
    return subjects


@contextmanager
def open_layers(resolutions: Iterable[Resolution]) -> Iterator[dict[str, Layer]]:
    """Dependency layers by digest, protected from removal while the context lasts.

    Revisions with the same dependencies share a layer. What more than one revision has is blamed on none of them, unless
    they install it with other settings of uv, or from another index.

    Args:
        resolutions: Dependencies of each revision.
    """
    by_digest = {resolution.digest: resolution for resolution in resolutions}
    shared = frozenset.intersection(*(frozenset(resolution.pins) for resolution in by_digest.values()))
    served = [frozenset(resolution.served) for resolution in by_digest.values()]
    shared = shared.difference(indexes_of(frozenset.union(*served) - frozenset.intersection(*served)))
    if len({resolution.installation for resolution in by_digest.values()}) > 1:
        shared = frozenset()
    with ExitStack() as stack:
        yield {
            digest: stack.enter_context(Layer(resolution, shared=shared)) for digest, resolution in by_digest.items()
        }


class Seals:
    """Records of what no worker may change: installed trees, measuring folders, dependencies and shared inputs.

    Args:
        layers: The layers of dependencies.
        inputs: Shared inputs by path.
    """

    def __init__(self, layers: Iterable[Layer], inputs: Mapping[str, WatchedInput] | None = None) -> None:
        self._layers = tuple(layers)
        self._inputs = inputs or {}
        self._folders: list[tuple[str, Path, Manifest]] = []
        self._top = Path()
        self._parents = WatchedFolders([])

    def add(self, name: str, folder: Path) -> None:
        """Record the current content of a folder that the run has made, and to which nothing will write.

        Args:
            name: Description of the folder, for reports.
            folder: Its path.

        Raises:
            StoreError: If it cannot be read.
        """
        self._folders.append((name, folder, take_manifest(folder, is_untouched=True)))

    def add_parents(self, top: Path) -> None:
        """Record the folders above all that was added, after the run has made the last entry of any of them.

        A worker may own them, and taking the mode of one hides all that is below it until that is undone.

        Args:
            top: The uppermost of them: the gate's temporary folder. Above it, others make and remove entries.

        Raises:
            StoreError: If one cannot be read.
        """
        above = {parent for _, folder, _ in self._folders for parent in folder.parents if parent.is_relative_to(top)}
        self._top, self._parents = top, WatchedFolders(above)

    def find_changes(self) -> tuple[str, ...]:
        """Describe changes to all but shared inputs since the recording; a changed layer is removed."""
        found = [
            f"{name} ({describe_changes(paths)})"
            for name, folder, manifest in self._folders
            if (paths := find_changes(folder, manifest))
        ]
        if parents := tuple(folder.relative_to(self._top).as_posix() for folder in self._parents.find_changed()):
            found.append(f"the gate's temporary folder ({describe_changes(parents)})")
        for layer in self._layers:
            if paths := layer.find_changes():
                found.append(f"the cached dependencies ({describe_changes(paths)})")
                with suppress(OSError):  # the next gate verifies it again
                    layer.discard(f"it was changed while the gate ran ({describe_changes(paths)})")
        return tuple(found)

    def find_changed_inputs(self) -> tuple[str, ...]:
        """Describe the shared inputs that changed; this reads all that was written to, which may take minutes."""
        return tuple(f"the shared input {path}" for path in sorted(self._inputs) if self._inputs[path].has_changed())

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about the layers for a reader."""
        return tuple(note for layer in self._layers for note in layer.notes)


def copy_workloads(tree: Path, folder: Path, workloads: str, shared: Iterable[str] = ()) -> Path:
    """Copy a revision's workloads and pytest configuration to a measuring folder, and link shared inputs into it.

    So a workload finds shared inputs at the same relative path from its own file as in the project. Modules of the
    project outside the workload folder that workloads import, such as ``tests.helpers``, are copied too. Broken links
    are left out.

    Args:
        tree: The revision's worktree, shared inputs included.
        folder: The measuring folder, which is created.
        workloads: Path of the workload folder, relative to the tree; an empty folder is created if the revision has
            none.
        shared: Paths of the shared inputs, relative to the tree.

    Returns:
        pytest's configuration file in the measuring folder.

    Raises:
        ConfigurationError: If a link among the workloads leads to its own parent, or out of the tree.
    """
    inputs = {path: tree / path for path in shared}
    _refuse_harmful_links(tree, workloads, inputs.values())

    def left_out(parent: str, names: list[str]) -> set[str]:
        places = {name: Path(parent, name) for name in names}
        return {
            name
            for name, place in places.items()
            if name == "__pycache__" or place in inputs.values() or not place.exists()
        }

    if (tree / workloads).is_dir():
        shutil.copytree(tree / workloads, folder / workloads, ignore=left_out)
    else:
        (folder / workloads).mkdir(parents=True)
    for path in helper_files(tree, workloads):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / path, folder / path)
    for path, source in sorted(inputs.items()):
        place = folder / path
        if not place.exists():  # a path inside another one, which comes after it, was linked or copied with it
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source.resolve())
    if name := pytest_settings(tree).file:
        return Path(shutil.copy(tree / name, folder / name))
    empty = folder / "pytest.ini"
    empty.write_text("[pytest]\n", encoding="utf-8")
    return empty


def helper_files(tree: Path, workloads: str) -> tuple[str, ...]:
    """Python files outside the workload folder that the workloads import, directly or indirectly, sorted.

    Installed modules take precedence over them: workers search the measuring folder last.

    Args:
        tree: The project's folder, or a measuring folder.
        workloads: Path of the workload folder, relative to it.
    """
    inside = Path(workloads)
    waiting = sorted((tree / workloads).rglob("*.py"))
    found: set[str] = set()
    while waiting:
        for path in _imported_files(waiting.pop(), tree):
            if path.as_posix() not in found and not path.is_relative_to(inside):
                found.add(path.as_posix())
                waiting.append(tree / path)
    return tuple(sorted(found))


def _imported_files(file: Path, tree: Path) -> Iterator[Path]:
    """Project files that a file imports by their location, including parent packages."""
    try:
        syntax = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    own = file.relative_to(tree).parent.parts
    for node in ast.walk(syntax):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = own[: len(own) + 1 - node.level] if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            names = [base, *((*base, alias.name) for alias in node.names)]
        for parts in names:
            yield from _files_of_module(parts, tree)


def _files_of_module(parts: Sequence[str], tree: Path) -> Iterator[Path]:
    """Files in a project that importing a module by its full name loads."""
    for length in range(1, len(parts) + 1):
        place = Path(*parts[:length])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if (tree / path).is_file() and not (tree / path).is_symlink():
                yield path


def sticks_differ(trees: Mapping[Side, Path], settings: Mapping[Side, Configuration]) -> bool:
    """Whether the revisions differ in what measures: workload files, project files that these import, pytest's settings.

    Links are followed, as they are when the files are copied.

    Args:
        trees: The project's folder in the worktree of each revision, before any code of a revision has run.
        settings: Settings by which each revision is judged.

    Raises:
        ConfigurationError: If a link among the workloads leads to its own parent, or out of the tree.
    """

    def stick(side: Side) -> tuple[object, ...]:
        tree, own = trees[side], settings[side]
        with refusals_of(side):
            _refuse_harmful_links(tree, own.workloads, ())
        helpers = {path: (tree / path).read_bytes() for path in helper_files(tree, own.workloads)}
        return own.files, own.asv, _copied_files(tree / own.workloads), helpers, pytest_settings(tree)

    return stick(Side.BASELINE) != stick(Side.CANDIDATE)


def _copied_files(folder: Path) -> dict[str, tuple[int, str]]:
    """What a copy of a folder would hold: the mode and the digest of each file, by its path."""
    found = {}
    for place, _, names in os.walk(folder, followlinks=True):  # without end only for links that are refused
        for path in (Path(place, name) for name in names):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = (path.stat().st_mode, content_digest(path))
    return found


def workload_files(spec: WorkerSpec, workloads: Iterable[str]) -> dict[str, Path]:
    """Files of the workloads in a measuring folder, and of the project that these import, by their path in it.

    Shared inputs, the only links there, are left out. So are modules that the revision installs, which workers import
    instead of their copies.

    Args:
        spec: Specification of a worker that uses the folder.
        workloads: Paths of the workload folders, relative to it.
    """
    folder, folders = Path(spec.folder), tuple(workloads)
    inside = (path for name in folders for path in (folder / name).rglob("*"))
    helpers = (path for name in folders for path in helper_files(folder, name) if not Path(spec.own, path).exists())
    found = (path for path in chain(inside, map(folder.joinpath, helpers)) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _refuse_harmful_links(tree: Path, workloads: str, left_out: Iterable[Path]) -> None:
    """Refuse links in a revision's workloads that a copy must not follow: to devices, large files or their own parents."""
    found = harmful_link(tree / workloads, tree, left_out=frozenset(left_out))
    if found is None:
        return
    place, target = found
    root = tree.resolve()
    shown = target.relative_to(root).as_posix() if target.is_relative_to(root) else str(target)
    why = "a device or too large to be copied"
    if place.parent.resolve().is_relative_to(target) or target.is_relative_to(root):
        why = "a folder that holds the link itself"
    raise ConfigurationError(
        f"the link {place.relative_to(tree).as_posix()} leads to {shown!r}, which is {why}",
        looked_in=f"the workloads in {workloads}",
        next_step="remove the link from git; what both revisions read belongs in 'share' of [tool.mainstay]",
    )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def workloads_digest(spec: WorkerSpec, workloads: str) -> str:
    """SHA-256 of the workloads in a measuring folder, including shared inputs, and of pytest's configuration.

    Args:
        spec: Specification of a worker that uses the folder.
        workloads: Path of the workload folder, relative to it.
    """
    configuration = Path(spec.configuration)
    folder = Path(spec.folder)
    parts = [
        content_digest(folder / workloads),
        configuration.name,
        content_digest(configuration),
        *spec.files,
        *spec.asv,
    ]
    parts += [f"{path} {content_digest(folder / path)}" for path in helper_files(folder, workloads)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class PytestSettings(NamedTuple):
    """File with pytest's settings, and the settings.

    Attributes:
        file: Name of the file; empty if there is none.
        values: Settings by name.
    """

    file: str
    values: Mapping[str, str]


def pytest_settings(tree: Path) -> PytestSettings:
    """The settings that pytest would use.

    Args:
        tree: The project's folder.
    """
    for name in PYTEST_FILES:
        content = _content(tree / name)
        values = None if content is None else _parse_pytest_settings(name, content.decode(errors="replace"))
        if values is not None:
            return PytestSettings(name, values)
    return PytestSettings("", {})


def _parse_pytest_settings(name: str, text: str) -> dict[str, str] | None:
    """Settings in a file; ``None`` if pytest would ignore it. The text of an unreadable file is its setting."""
    is_own = "pytest" in name
    try:
        if name.endswith(".toml"):
            document = tomllib.loads(text)
            table = document.get("pytest", {}) if is_own else document.get("tool", {}).get("pytest")
        else:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
            section = "tool:pytest" if name == "setup.cfg" else "pytest"
            table = dict(parser[section]) if section in parser else {} if is_own else None
    except (tomllib.TOMLDecodeError, configparser.Error):
        return {"(the whole file)": text} if is_own else None
    if not isinstance(table, Mapping):
        return None
    inner = table.get("ini_options", {})
    return {key: str(value) for key, value in ({**table, **inner} if inner else table).items() if key != "ini_options"}


def worker_specs(
    subjects: Mapping[Side, SubjectEnvironment],
    scratch: Path,
    configuration_file: Path,
    variables: Mapping[str, str],
    writable: Sequence[Path],
    *,
    files_of: Side = Side.BASELINE,
    files: Sequence[str] = (),
    asv: Sequence[str] = (),
) -> dict[Side, WorkerSpec]:
    """Worker specifications of both revisions, with the workload files of one.

    Args:
        subjects: Environment of each revision.
        scratch: The gate's temporary folder.
        configuration_file: pytest's configuration file in the measuring folder.
        variables: Environment variables of all workers.
        writable: Paths that all workers can write to, besides the folder of their revision.
        files_of: The revision whose files lie in the measuring folder.
        files: Patterns of the names of workload files; empty to use pytest's settings.
        asv: Patterns of the names of files of asv's suites.
    """
    work = {side: scratch / "work" / name for side, name in FOLDERS.items()}  # neither writes to the other's
    for own in work.values():
        own.mkdir(parents=True, exist_ok=True)
    return {
        side: WorkerSpec(
            side=side,
            python=str(subject.python),
            own=str(subject.site_packages),
            roots=tuple(sorted({root for other in subjects.values() for root in other.roots})),
            folder=str(configuration_file.parent),
            configuration=str(configuration_file),
            scratch=str(work[side]),
            variables=variables,
            writable=tuple(map(str, writable)),
            files_of=files_of,
            files=tuple(files),
            asv=tuple(asv),
        )
        for side, subject in subjects.items()
    }


def writable_places(paths: Iterable[str], protected: Iterable[Path]) -> tuple[Path, ...]:
    """Paths that workers can write to besides their own folders.

    Args:
        paths: Paths as written in the settings.
        protected: Folders that no worker may write to.

    Raises:
        ConfigurationError: If a path does not exist, or contains a protected folder or lies in one.
    """
    places = []
    for path in paths:
        place = Path(path).expanduser().resolve()
        if not place.exists():
            raise _writable_error(path, "does not exist", "make it, or take it out of 'writable' in [tool.mainstay]")
        for folder in (folder.resolve() for folder in protected):
            if place.is_relative_to(folder) or folder.is_relative_to(place):
                advice = "name only what the workloads must write to"
                raise _writable_error(path, f"and {folder} overlap, to which no worker may write", advice)
        places.append(place)
    return tuple(places)


def _writable_error(path: str, what: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(
        f"the writable place {path!r} {what}", looked_in="[tool.mainstay] of the baseline", next_step=next_step
    )


class Prepared(NamedTuple):
    """Variables and output of the ``prepare`` command.

    Attributes:
        variables: Variables for all workers.
        notice: Output of the command on stderr, in one line.
        review: Why the candidate's command ran for both revisions, which needs a review; empty if the baseline's did.
    """

    variables: Mapping[str, str]
    notice: str
    review: str = ""


def prepare(
    commands: Mapping[Side, Sequence[str]],
    subjects: Mapping[Side, SubjectEnvironment],
    scratch: Path,
    environ: Mapping[str, str],
    *,
    review: str | None = None,
) -> Prepared:
    """Run the ``prepare`` command for both revisions, with the user's own home and network.

    What it prints decides what both revisions measure, so the baseline's command runs, in the baseline's environment
    and among the baseline's workloads. The candidate's runs in its place, and needs a review, if its words differ, if
    the script or module that they name differs, or if the baseline's fails and the candidate's runs other code.

    Args:
        commands: The command of each revision.
        subjects: Environment of each revision, where the command finds its programs first; its interpreter replaces
            the word ``python``.
        scratch: The gate's temporary folder.
        environ: The user's environment.
        review: Why the candidate's runs, if that was decided before; empty if the baseline's does.

    Returns:
        Variables for all workers, from the lines ``KEY=VALUE`` that it printed, and its notice.

    Raises:
        HarnessError: If it fails.
    """
    measured = {side: scratch / "measure" / name for side, name in FOLDERS.items()}
    sticks = {side: place if place.is_dir() else measured[Side.BASELINE] for side, place in measured.items()}

    def run(side: Side) -> Prepared:
        return _run_prepare(commands[side], subjects[side].python, sticks[side], scratch, environ)

    decided = _changed_command(commands, subjects, sticks) if review is None else review
    if decided:
        return run(Side.CANDIDATE)._replace(review=decided)
    try:
        return run(Side.BASELINE)
    except HarnessError as error:
        if review is not None or _runs_same_code(subjects, sticks):
            raise
        notice = f"in the baseline, {' '.join(error.fact.split())}"
    prepared = run(Side.CANDIDATE)
    return Prepared(
        prepared.variables, f"{notice} {prepared.notice}".strip(), "the command prepare fails in the baseline"
    )


def _run_prepare(
    words: Sequence[str], python: Path, stick: Path, scratch: Path, environ: Mapping[str, str]
) -> Prepared:
    """Run the command in a copy of a measuring folder, so that it can be a script among the workloads."""
    if not words:
        return Prepared({}, "")
    place = _preparing_folder(scratch)
    shutil.rmtree(place, ignore_errors=True)  # what the command of the other revision left
    shutil.copytree(stick, place, symlinks=True, dirs_exist_ok=True)
    program, *arguments = words
    command = [str(python) if program in {"python", "python3"} else program, *arguments]
    # the user's PYTHONPATH or environment may hold the working tree, which is the candidate's
    own = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    own["PATH"] = os.pathsep.join([str(python.parent), environ.get("PATH", os.defpath)])
    try:
        done = run_guarded(command, cwd=place, env=own, timeout=PREPARE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _prepare_error(words, str(error)) from error
    if done.returncode:
        raise _prepare_error(words, f"exit status {done.returncode}", done.stderr)
    matches = (ASSIGNMENT.fullmatch(line.strip()) for line in done.stdout.splitlines())
    variables = {match[1]: match[2] for match in matches if match}
    if held := sorted(filter(is_held, variables)):
        raise _prepare_error(words, f"it sets {', '.join(held)}, which no project may set for workers")
    return Prepared(variables, without_secrets(" ".join(done.stderr.split()), environ))


def _changed_command(
    commands: Mapping[Side, Sequence[str]],
    subjects: Mapping[Side, SubjectEnvironment],
    sticks: Mapping[Side, Path],
) -> str:
    """How the candidate's command differs from the baseline's, in its words or a file that they name; empty if equal.

    What that file uses is not compared: it may be the whole package, which nearly every change touches.
    """
    words = commands[Side.CANDIDATE]
    if tuple(words) != tuple(commands[Side.BASELINE]):
        return "the command prepare changed"
    for name in _named_files(words):
        packages = (subjects[side].site_packages / name for side in Side)
        if _files_differ(*(sticks[side] / name for side in Side)) or _files_differ(*packages):
            return f"{name}, which the command prepare names, changed"
    return ""


def _named_files(words: Sequence[str]) -> Iterator[str]:
    """Paths of the files that a command may run by name: its words, modules, and what Python runs of a folder."""
    flags = ((MODULE_FLAG.fullmatch(word), following) for word, following in pairwise([*words, ""]))
    modules = [(flag[1] or following).replace(".", "/") for flag, following in flags if flag]
    yield from (*words, *(f"{module}.py" for module in modules))
    yield from (f"{name}/__main__.py" for name in (*words, *modules))


def _files_differ(before: Path, after: Path) -> bool:
    """Whether only one of two places is a file, or both are and their bytes differ."""
    are_files = [os.path.isfile(place) for place in (before, after)]  # false for words that can name no file
    if not all(are_files):
        return any(are_files)
    return not os.path.samefile(before, after) and not filecmp.cmp(before, after, shallow=False)


def _runs_same_code(subjects: Mapping[Side, SubjectEnvironment], sticks: Mapping[Side, Path]) -> bool:
    """Whether a command can find the same code in both revisions: their packages and workload files are equal."""
    records = [subjects[side].record for side in Side]
    digests = {(record.wheel_digest, record.packages_digest) for record in records}
    return len(digests) == 1 and len(set(sticks.values())) == 1


def is_held(name: str) -> bool:
    """Whether a variable is reserved, so that ``prepare`` cannot change what runs, is collected, or on which device.

    Example:
        >>> is_held("PYTEST_ADDOPTS"), is_held("LC_ALL"), is_held("CUDA_VISIBLE_DEVICES"), is_held("MNIST_FOLDER")
        (True, True, True, False)
    """
    fixed = {"HOME", "TMPDIR", *worker_variables(threads=1, environ={})}
    return name.startswith(HELD_PREFIXES) or is_inherited(name) or name in fixed


def _prepare_error(command: Sequence[str], cause: str, stderr: str = "") -> HarnessError:
    tail = "".join(f"\n  | {line}" for line in stderr.strip().splitlines()[-10:])
    return HarnessError(
        f"the prepare command failed: {cause}{tail}",
        looked_in=f"prepare = {list(command)} in [tool.mainstay]",
        next_step="correct it; it runs in a copy of the workload folder's parent, with the package installed, and sees "
        "no other file of the project",
    )


def _preparing_folder(scratch: Path) -> Path:
    """Folder in which ``prepare`` runs."""
    return scratch / "prepare"


def portable(variables: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Replace the path of the scratch folder, which differs in every gate, in the values of variables.

    Example:
        >>> portable({"DATA": "/tmp/mainstay-x/prepare/data"}, Path("/tmp/mainstay-x"))
        {'DATA': 'SCRATCH/prepare/data'}
    """
    return {name: value.replace(str(scratch), "SCRATCH") for name, value in variables.items()}


def input_digests(prepared: Mapping[str, str], scratch: Path) -> dict[str, str] | None:
    """SHA-256 of the files or folders named by variables of ``prepare``, by variable.

    Args:
        prepared: Variables that ``prepare`` gave.
        scratch: The gate's temporary folder; a value that only contains its path stands for all that ``prepare`` made.

    Returns:
        Digests; ``None`` if an input cannot be read, or cannot be read within a few seconds.
    """
    places = {name: Path(value) for name, value in prepared.items() if os.path.isabs(value) and os.path.exists(value)}
    inside = [name for name, value in prepared.items() if str(scratch) in value and name not in places]
    places |= dict.fromkeys(inside, _preparing_folder(scratch))
    try:
        if any(_is_large(place) for place in places.values()):
            return None
        return {name: content_digest(place) for name, place in places.items()}
    except OSError:
        return None


def _is_large(place: Path) -> bool:
    """Whether reading a file, or all files below a folder, would take long."""
    num_bytes = 0
    for number, file in enumerate([place] if place.is_file() else iter_files(place), start=1):
        num_bytes += file.stat().st_size
        if num_bytes > MAX_INPUT_BYTES or number > MAX_INPUT_FILES:
            return True
    return False


def recorded(variables: Mapping[str, str]) -> dict[str, str]:
    """Worker variables for the run document: those fixed by the gate, without paths."""
    fixed = worker_variables(threads=1, environ={})
    return {name: value for name, value in variables.items() if name in fixed}
