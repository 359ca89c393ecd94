"""The temporary place of one gate: worktrees, subjects, the measuring folder; gone when the gate ends.

Both revisions live at paths of equal length, since the length of a path can change the speed of a program. Workloads
and pytest configuration are copied to measuring folders outside both trees, so that either revision can run either's.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mainstay.configuration import Configuration
from mainstay.environments import (
    Resolution,
    SubjectEnvironment,
    build_subject,
    interpreter_facts,
    worker_variables,
)
from mainstay.errors import EnvironmentBuildError, StoreError
from mainstay.files import content_digest, iter_files
from mainstay.git import Repository
from mainstay.records import Revision, Side
from mainstay.workers import WorkerSpec, at_once

FOLDERS = {Side.BASELINE: "base", Side.CANDIDATE: "cand"}
"""Names of equal length for what belongs to each revision."""

PYTEST_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Where pytest looks for its configuration, in its order."""

ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
"""A line by which ``prepare`` sets a variable of the workers."""

PREPARE_SECONDS = 1800.0
"""How long ``prepare`` may fetch."""

MAX_INPUT_BYTES, MAX_INPUT_FILES = 4_000_000_000, 100_000
"""Largest input that is read in full to learn whether it is still the same; some seconds."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until a clean-up is done."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that is removed with everything in it.

    Raises:
        StoreError: If it cannot be made.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix="mainstay-")).resolve()
    except OSError as error:
        raise StoreError(
            f"no temporary folder can be made: {error.strerror}", next_step="make room, or set TMPDIR to a larger disk"
        ) from error
    try:
        yield scratch
    finally:
        with undisturbed():
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def worktrees(repository: Repository, revisions: Mapping[Side, Revision], scratch: Path) -> Iterator[dict[Side, Path]]:
    """A worktree of each revision, removed at the end."""
    trees = {side: scratch / name / "tree" for side, name in FOLDERS.items()}
    try:
        for side, tree in trees.items():
            tree.parent.mkdir(exist_ok=True)
            repository.add_worktree(revisions[side].commit, tree)
        yield trees
    finally:
        with undisturbed():
            for tree in trees.values():
                repository.remove_worktree(tree)


def build_subjects(
    trees: Mapping[Side, Path], resolutions: Mapping[Side, Resolution], scratch: Path
) -> dict[Side, SubjectEnvironment]:
    """Build and install the wheel of each revision, both at once.

    Raises:
        EnvironmentBuildError: If one does not build; the baseline is named first if neither does.
    """
    interrupted = threading.Event()

    def build(side: Side) -> SubjectEnvironment:
        place = scratch / FOLDERS[side] / "environment"
        return build_subject(side, trees[side], resolutions[side], place, is_interrupted=interrupted.is_set)

    interpreter_facts()  # once, before two threads ask: sysconfig's table must not be read while it is half built
    return dict(zip(trees, at_once(build, list(trees), on_interrupt=interrupted.set), strict=True))


def copy_workloads(tree: Path, folder: Path, workloads: str, shared: Iterable[str] = ()) -> Path:
    """Copy a revision's workloads and pytest configuration to a measuring folder, and link what is shared into it.

    So a workload finds what is shared where it lies in the project, seen from its own file. A link that leads nowhere is
    left out.

    Args:
        tree: The revision's worktree, shared inputs included.
        folder: The measuring folder; made here.
        workloads: Path of the workload folder, relative to the tree; an empty one where the revision has none.
        shared: Paths of the shared inputs, relative to the tree.

    Returns:
        pytest's configuration file in the measuring folder.
    """
    inputs = {path: tree / path for path in shared}

    def left_out(parent: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or Path(parent, name) in inputs.values()}

    if (tree / workloads).is_dir():
        shutil.copytree(tree / workloads, folder / workloads, ignore=left_out, ignore_dangling_symlinks=True)
    else:
        (folder / workloads).mkdir(parents=True)
    for path, source in inputs.items():
        place = folder / path
        if not place.exists():  # one that lies in another came with it
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source.resolve())
    if name := pytest_settings(lambda name: _content(tree / name)).file:
        return Path(shutil.copy(tree / name, folder / name))
    empty = folder / "pytest.ini"
    empty.write_text("[pytest]\n", encoding="utf-8")
    return empty


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def workloads_digest(spec: WorkerSpec, workloads: str) -> str:
    """SHA-256 over the workloads of a measuring folder, with what is shared among them, and pytest's configuration.

    Args:
        spec: Of a worker that stands in the folder.
        workloads: Path of the workload folder, relative to it.
    """
    configuration = Path(spec.configuration)
    parts = (content_digest(Path(spec.folder, workloads)), configuration.name, content_digest(configuration))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class PytestSettings(NamedTuple):
    """Where pytest finds its settings, and what they are.

    Attributes:
        file: Name of the file; empty where there is none.
        values: By name.
    """

    file: str
    values: Mapping[str, str]


def pytest_settings(read: Callable[[str], bytes | None]) -> PytestSettings:
    r"""The settings that pytest would use.

    Args:
        read: Gives the content of a file of the project; ``None`` where there is none.

    Example:
        >>> pytest_settings({"tox.ini": b"[pytest]\nstrict = true\n"}.get)
        PytestSettings(file='tox.ini', values={'strict': 'true'})
    """
    for name in PYTEST_FILES:
        content = read(name)
        values = None if content is None else _parse_pytest_settings(name, content.decode(errors="replace"))
        if values is not None:
            return PytestSettings(name, values)
    return PytestSettings("", {})


def _parse_pytest_settings(name: str, text: str) -> dict[str, str] | None:
    """The settings in a file; ``None`` where pytest would pass it over. One that does not read is its own setting."""
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
    files_of: Side,
) -> dict[Side, WorkerSpec]:
    """How to start the workers of both revisions with the workload files of one.

    Args:
        subjects: Environment of each revision.
        scratch: The gate's temporary folder.
        configuration_file: pytest's configuration file in the measuring folder.
        variables: Environment variables of all workers.
        files_of: The revision whose files lie in the measuring folder.
    """
    own = scratch / "work"
    own.mkdir(exist_ok=True)
    return {
        side: WorkerSpec(
            side=side,
            python=str(subject.python),
            own=str(subject.site_packages),
            roots=tuple(sorted({root for other in subjects.values() for root in other.roots})),
            folder=str(configuration_file.parent),
            configuration=str(configuration_file),
            scratch=str(own),
            variables=variables,
            files_of=files_of,
        )
        for side, subject in subjects.items()
    }


class Prepared(NamedTuple):
    """What the ``prepare`` command said.

    Attributes:
        variables: Variables for all workers.
        notice: What it wrote to stderr, on one line.
    """

    variables: Mapping[str, str]
    notice: str


def prepare(configuration: Configuration, python: Path, scratch: Path, environ: Mapping[str, str]) -> Prepared:
    """Run the ``prepare`` command once, with the user's own home and network, in the candidate's environment.

    Args:
        configuration: Of the project.
        python: The candidate's interpreter; the word ``python`` in the command means it.
        scratch: The gate's temporary folder.
        environ: The user's environment.

    Returns:
        Variables for all workers, from the lines ``KEY=VALUE`` that it printed, and its notice.

    Raises:
        EnvironmentBuildError: If it fails.
    """
    if not configuration.prepare:
        return Prepared({}, "")
    place = _preparing_folder(scratch)
    place.mkdir(exist_ok=True)
    program, *arguments = configuration.prepare
    command = [str(python) if program in {"python", "python3"} else program, *arguments]
    try:
        done = subprocess.run(
            command, cwd=place, env=dict(environ), capture_output=True, text=True, timeout=PREPARE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _prepare_error(configuration.prepare, str(error)) from error
    if done.returncode:
        raise _prepare_error(configuration.prepare, f"exit status {done.returncode}", done.stderr)
    matches = (ASSIGNMENT.fullmatch(line.strip()) for line in done.stdout.splitlines())
    return Prepared({match[1]: match[2] for match in matches if match}, " ".join(done.stderr.split()))


def _prepare_error(command: Sequence[str], cause: str, stderr: str = "") -> EnvironmentBuildError:
    tail = "".join(f"\n  | {line}" for line in stderr.strip().splitlines()[-10:])
    return EnvironmentBuildError(
        f"the prepare command failed: {cause}{tail}",
        looked_in=f"prepare = {list(command)} in [tool.mainstay]",
        next_step="run it by hand until it succeeds",
    )


def fixed_variables(threads: int, prepared: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of all workers but for HOME and TMPDIR."""
    return {**worker_variables(threads=threads, environ=environ), **prepared}


def _preparing_folder(scratch: Path) -> Path:
    """Where ``prepare`` runs."""
    return scratch / "prepare"


def portable(variables: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Variables without the path of the scratch folder, which is another one in every gate.

    Example:
        >>> portable({"DATA": "/tmp/mainstay-x/prepare/data"}, Path("/tmp/mainstay-x"))
        {'DATA': 'SCRATCH/prepare/data'}
    """
    return {name: value.replace(str(scratch), "SCRATCH") for name, value in variables.items()}


def input_digests(prepared: Mapping[str, str], scratch: Path) -> dict[str, str] | None:
    """SHA-256 of what the variables of ``prepare`` name, by variable, where they name a place.

    Args:
        prepared: Variables that ``prepare`` gave.
        scratch: The gate's temporary folder; a value that only contains its path stands for all that ``prepare`` made.

    Returns:
        Digests; ``None`` where an input cannot be read, or not in a few seconds.
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
    """Whether it would take long to read a file, or all files beneath a folder."""
    num_bytes = 0
    for number, file in enumerate([place] if place.is_file() else iter_files(place), start=1):
        num_bytes += file.stat().st_size
        if num_bytes > MAX_INPUT_BYTES or number > MAX_INPUT_FILES:
            return True
    return False


def recorded(variables: Mapping[str, str]) -> dict[str, str]:
    """What the run document says of the workers' variables: those that the gate fixes, none that names a place."""
    fixed = worker_variables(threads=1, environ={})
    return {name: value for name, value in variables.items() if name in fixed}
