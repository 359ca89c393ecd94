"""Journal of a run: every completed trial is on disk before the next one starts.

A journal is a file of JSON lines that is only appended to and is flushed to disk after each line. A gate that is killed
leaves at most one incomplete last line, which is ignored and is removed when the run is resumed. The trials before it
are never measured again, except those of an attempt at the run that ended before it was checked for forbidden changes by
its workers, if these were not confined.

- :class:`Journal`: append to and read one journal.
- :class:`Conditions`: what all attempts at a run have in common.
- :class:`RunFolder`: the folder of a run with its journal and its document, and its lock.
- :func:`new_run`, :func:`interrupted_run`: start a run, or find an interrupted one.
- :func:`trial_content`, :func:`parse_trial`: conversion of a trial to JSON and back.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError
from cattrs.preconf.json import make_converter
from filelock import FileLock, Timeout

from mainstay.records.errors import CONTINUE_SHARD, RESTART_CALIBRATION, RESUME_GATE, StoreError, UsageError
from mainstay.records.hosts import Facts
from mainstay.records.redaction import without_credentials
from mainstay.records.trials import Trial
from mainstay.store.files import FOLDER, make_ignored, write_text

T = TypeVar("T")

RUNS = "runs"
"""Subfolder for the runs of gates, which can be resumed."""

CALIBRATIONS = "calibrations"
"""Subfolder for calibrations, which cannot be resumed."""

JUDGEMENTS = "judgements"
"""Subfolder for judgements of stored results, which need not be resumed, since their input files remain."""

PIECES = "pieces"
"""Subfolder for the pieces of shards, which several machines measure."""

BISECTIONS = "bisections"
"""Subfolder for the measurements of searches for a guilty commit."""

WAYS_ON = {
    RUNS: RESUME_GATE,
    CALIBRATIONS: RESTART_CALIBRATION,
    JUDGEMENTS: "judge the files again",
    PIECES: CONTINUE_SHARD,
    BISECTIONS: "start 'mainstay bisect' again: what was measured is kept",
}
"""Command to run after disk space was freed, by subfolder."""

AFTER_DAMAGE = {
    RUNS: "start a new gate without --resume; the folder of the damaged run may be removed",
    CALIBRATIONS: RESTART_CALIBRATION,
    JUDGEMENTS: WAYS_ON[JUDGEMENTS],
    PIECES: "measure its shard again with 'mainstay trials', after removing the folder",
    BISECTIONS: "start 'mainstay bisect' again, after removing the folder",
}
"""Step that replaces a run with a damaged journal, by subfolder."""

JOURNAL_VERSION = 1
"""First field of a journal's first line."""

ENDS = frozenset({"finish", "failed"})
"""Types of lines after which a run cannot be resumed: a verdict, or an error that would only be repeated."""

ATTEMPT = "attempt"
"""Type of the line before the first worker of an attempt at a run starts; ``is_confined`` says whether workers are, and
the rest is its :class:`Conditions`."""

CHECKED = "checked"
"""Type of the line after the last worker of an attempt; ``tampering`` describes the forbidden changes by workers."""

CONVERTER = make_converter()
"""Converter from decoded JSON to records."""

UNSTRUCTURED = (
    *(BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError),
    *(TypeError, ValueError, KeyError, AttributeError, OverflowError),
)
"""What the converter raises for JSON that is no such record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What all attempts at a run have in common, since they share trials, a plan and a proof.

    Attributes:
        facts: Facts of the machine.
        shared: SHA-256 of each shared input, by path.
    """

    facts: Facts
    shared: Mapping[str, str]


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: The file, which is created when the first line is appended.
        among: Folder of the runs of its kind.

    Example:
        >>> import tempfile
        >>> journal = Journal(Path(tempfile.mkdtemp()) / "journal.jsonl")
        >>> journal.append("start", salt="a")
        >>> journal.read()
        [{'type': 'start', 'salt': 'a'}]
    """

    def __init__(self, path: Path, among: str = RUNS) -> None:
        self.path = path
        self._among = among
        self._lock = threading.Lock()

    @property
    def _shown(self) -> str:
        """The file in messages; a piece may lie anywhere."""
        place = f"{FOLDER}/{self._among}/{self.path.parent.name}/{self.path.name}"
        return str(self.path) if self._among == PIECES else place

    def append(self, kind: str, **content: Any) -> None:
        """Append one line, and wait until it is on disk.

        Raises:
            StoreError: If it cannot be written, for instance because the disk is full.
        """
        data = (without_credentials(json.dumps({"type": kind, **content})) + "\n").encode()
        try:
            with self._lock, self.path.open("ab", buffering=0) as stream:  # a buffer would write again on closing
                end, rest = stream.tell(), memoryview(data)
                try:
                    while rest:
                        rest = rest[stream.write(rest) :]
                    os.fsync(stream.fileno())
                except OSError:
                    with suppress(OSError):
                        os.truncate(self.path, end)
                    raise
        except OSError as error:
            raise StoreError(
                f"the journal cannot be written: {error.strerror}",
                looked_in=self._shown,
                next_step=f"make room, then {WAYS_ON[self._among]}",
            ) from error

    def append_trial(self, trial: Trial) -> None:
        """Append a trial."""
        self.append("trial", trial=trial_content(trial))

    def read(self) -> list[dict[str, Any]]:
        """All complete lines; the file is not changed, since another process may be writing the last one.

        Raises:
            StoreError: If a complete line cannot be read.
        """
        data = self._data()
        try:
            lines = [json.loads(line) for line in data[: _whole_length(data)].splitlines()]
        except (ValueError, RecursionError) as error:
            raise self._damage(f"a line of the journal cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, dict) or not isinstance(line.get("type"), str):
                raise self._damage(f"line {number} of the journal cannot be read: it is no object with a type")
        return lines

    def standing(self) -> list[dict[str, Any]]:
        """The lines that count, without those that a worker may have falsified unnoticed.

        These are the lines of an attempt whose workers were not confined, until it is checked. If it was killed before,
        nobody knows what its workers had changed.

        Raises:
            StoreError: If a complete line cannot be read.
        """
        return self._sorted()[0]

    def _sorted(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The lines that count, and those of the last attempt if they do not."""
        standing: list[dict[str, Any]] = []
        unchecked: list[dict[str, Any]] = []
        counts = True
        for line in self.read():
            if line["type"] == ATTEMPT:
                counts, unchecked = line.get("is_confined") is True, []
            elif line["type"] == CHECKED:
                counts, standing, unchecked = True, [*standing, *unchecked], []
            (standing if counts else unchecked).append(line)
        return standing, unchecked

    def tampering(self) -> tuple[str, ...]:
        """Descriptions of the forbidden changes that were found at the end of any attempt, once each.

        Raises:
            StoreError: If they cannot be read.
        """
        checks = [line for line in self.read() if line["type"] == CHECKED]
        found = (change for line in checks for change in self.content(line, "tampering", list[str]))
        return tuple(dict.fromkeys(found))

    def first_conditions(self) -> Conditions | None:
        """Conditions of the first attempt, also if what it measured does not count; ``None`` if there was none.

        A worker of that attempt may have changed a shared input before the run was killed.

        Raises:
            StoreError: If they cannot be read.
        """
        first = next((line for line in self.read() if line["type"] == ATTEMPT), None)
        return self._structure(first, Conditions, f"its first line {ATTEMPT!r}") if first else None

    def num_dropped(self) -> int:
        """Number of trials of the last attempt that do not count."""
        _, unchecked = self._sorted()
        return sum(line["type"] == "trial" for line in unchecked)

    def first(self, kind: str) -> dict[str, Any] | None:
        """The first line of a type that counts; ``None`` if there is none.

        Args:
            kind: The type.
        """
        return next((line for line in self.standing() if line["type"] == kind), None)

    def content(self, line: Mapping[str, Any], key: str, kind: type[T]) -> T:
        """Content of a line under a key, as a record or a collection of records.

        Raises:
            StoreError: If it does not fit.
        """
        return self._structure(line.get(key), kind, f"{key} in its line {line['type']!r}")

    def start(self, kind: type[T]) -> T:
        """The record with which the run began.

        Raises:
            StoreError: If there is no first line, it is of another version, or does not fit.
        """
        lines = self.read()
        if not lines or lines[0]["type"] != "start":
            raise self._damage("the journal does not begin with the start of a run")
        found = lines[0].get("version")
        if found != JOURNAL_VERSION:
            raise self._damage(
                f"the journal is of version {found!r}, and this mainstay continues version {JOURNAL_VERSION}"
            )
        return self._structure(lines[0], kind, "its first line")

    def known_start(self, kind: type[T]) -> T | None:
        """The record with which the run began, whatever the version and the other lines; ``None`` if it is damaged."""
        try:
            return CONVERTER.structure(json.loads(self._data().partition(b"\n")[0]), kind)
        except (StoreError, RecursionError, *UNSTRUCTURED):
            return None

    def _structure(self, content: Any, kind: type[T], what: str) -> T:
        try:
            return CONVERTER.structure(content, kind)
        except UNSTRUCTURED as error:
            raise self._damage(
                f"the journal cannot be read: {what} lacks something or has it of another type"
            ) from error

    def _damage(self, fact: str) -> StoreError:
        return StoreError(fact, looked_in=self._shown, next_step=AFTER_DAMAGE[self._among])

    def mend(self) -> None:
        """Remove an incomplete last line from the file; only the process that holds the run may call this."""
        data = self._data()
        if _whole_length(data) < len(data):
            os.truncate(self.path, _whole_length(data))

    def _data(self) -> bytes:
        """Content of the file; empty before the first line is appended."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._damage(f"the journal cannot be read: {error.strerror}") from error

    def trials(self) -> list[Trial]:
        """The trials that count, in the order of their completion."""
        return [self.content(line, "trial", Trial) for line in self.standing() if line["type"] == "trial"]


def _whole_length(data: bytes) -> int:
    """Length without an incomplete last line."""
    return data.rfind(b"\n") + 1


def trial_content(trial: Trial) -> dict[str, Any]:
    """A trial for JSON, exact to the last bit, including numbers that JSON lacks."""
    content = asdict(trial)
    content["values"] = {name: repr(value) for name, value in content["values"].items()}
    content["series"] = {name: [repr(value) for value in values] for name, values in content["series"].items()}
    return content


def parse_trial(content: Mapping[str, Any]) -> Trial:
    """A trial from decoded JSON."""
    return CONVERTER.structure(content, Trial)


class RunFolder:
    """The folder of one run, held by one process at a time.

    Args:
        path: ``.mainstay/runs/ID`` in the user's repository.
        among: Folder of the runs of its kind.
    """

    def __init__(self, path: Path, among: str = RUNS) -> None:
        self.path = path
        self.id = path.name
        self.journal = Journal(path / "journal.jsonl", among)
        self._among = among
        self._lock = FileLock(path / "lock")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise _going_on(self) from error
        self.journal.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def is_held(self) -> bool:
        """Whether a process holds the run now."""
        try:
            with self._lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    @property
    def is_unfinished(self) -> bool:
        """Whether the run began and is unfinished; a gate killed at once leaves an empty journal."""
        kinds = {line["type"] for line in self.journal.read()}
        return "start" in kinds and not kinds & ENDS

    def write(self, name: str, text: str) -> Path:
        """Write a document of the run atomically.

        Raises:
            StoreError: If it cannot be written.
        """
        return write_text(self.path / name, text, shown=f"{FOLDER}/{self._among}/{self.id}/{name}")


@contextmanager
def making(
    folder: str, *, looked_in: str, next_step: str = "make room, or make the repository writable"
) -> Iterator[None]:
    """Explain why a folder cannot be made.

    Args:
        folder: What the folder is, for the message.
        looked_in: Where it would be.
        next_step: What to do then.

    Raises:
        StoreError: If the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made: {error.strerror}", looked_in=looked_in, next_step=next_step
        ) from error


@contextmanager
def new_run(root: Path, now: datetime, start: Mapping[str, Any], *, among: str = RUNS) -> Iterator[RunFolder]:
    """Create and lock the folder of a new run, and start its journal.

    Args:
        root: The user's repository.
        now: Time of the start, in UTC; it names the run.
        start: Facts that a resumed gate needs.
        among: Folder of the runs of this kind.

    Raises:
        StoreError: If the folder cannot be made.
    """
    runs = root / FOLDER / among
    with making("the run's folder", looked_in=f"{FOLDER}/{among} in the repository"):
        make_ignored(root / FOLDER)
        runs.mkdir(exist_ok=True)
        run = RunFolder(_fresh_folder(runs, f"{now:%Y%m%dT%H%M%S}"), among)
    with run:  # first, or another process could mistake it for an interrupted run
        run.journal.append("start", version=JOURNAL_VERSION, **start)
        yield run


def _fresh_folder(runs: Path, stem: str) -> Path:
    """Create a new folder, since two gates may start in the same second."""
    for number in range(1000):
        path = runs / f"{stem}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(0, "a thousand runs started in one second")


def unfinished_runs(
    root: Path, start: type = dict, *, on_damage: Callable[[StoreError], None] = lambda _: None
) -> list[RunFolder]:
    """The unfinished runs, latest first; some may still be running.

    Args:
        root: The user's repository.
        start: Type of the record with which a run begins; the journal must match it.
        on_damage: Called with the problem of each journal that cannot be read; such a run is not touched.
    """
    journals = sorted((root / FOLDER / RUNS).glob("*/journal.jsonl"), reverse=True)
    unfinished = []
    for run in [RunFolder(path.parent) for path in journals if not (path.parent / "run.json").exists()]:
        try:
            if run.is_unfinished:
                run.journal.start(start)
                unfinished.append(run)
        except StoreError as error:
            on_damage(error)
    return unfinished


@contextmanager
def interrupted_run(root: Path, start: type = dict) -> Iterator[RunFolder]:
    """Lock the latest interrupted run: it is unfinished, and no other process holds it.

    Args:
        root: The user's repository.
        start: Type of the record with which a run begins; the journal must match it.

    Raises:
        UsageError: If there is no interrupted run.
        StoreError: If there is only one whose journal cannot be read.
    """
    damages: list[StoreError] = []
    going_on: list[UsageError] = []
    for run in unfinished_runs(root, start, on_damage=damages.append):
        with ExitStack() as stack:
            try:
                stack.enter_context(run)
            except UsageError as error:
                going_on.append(error)
                continue
            if run.is_unfinished:  # it may have ended a moment ago
                yield run
                return
    raise next(
        iter([*going_on, *damages]),
        UsageError(
            "no interrupted gate to resume", looked_in=f"{FOLDER}/runs", next_step="start one with 'mainstay gate'"
        ),
    )


def _going_on(run: RunFolder) -> UsageError:
    """The error for a run that another process holds."""
    return UsageError(
        f"run {run.id} is still running in another process",
        looked_in=f"{FOLDER}/runs",
        next_step="wait for it, or start a new gate without --resume",
    )
