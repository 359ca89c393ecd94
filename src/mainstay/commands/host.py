"""A host of a cluster: what runs on the machines that measure for a gate elsewhere.

The environments are built once on each host. A separate process, the keeper, builds and keeps them for all worker
processes of the host, so any of these may be killed. Each worker process holds a shared lock; when the last one has
released it or has ended, the keeper removes everything and ends.

Each pair is returned with the forbidden changes that the keeper finds after it. So no pair counts whose host was not
checked, although workers and whole hosts may be lost.

- :class:`Parcel`: what a host needs; plain data.
- :func:`receive`, :func:`prepare`, :func:`measure`, :func:`release`: called on the workers of the cluster.
- :func:`why_unlike`: why a host cannot measure for a gate.
- :func:`keep`: the keeper, ``python -m mainstay.commands.host FOLDER``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from mainstay.commands.harness import open_harness
from mainstay.commands.session import Session
from mainstay.commands.start import Start
from mainstay.commands.tampering import find_tampering
from mainstay.measuring.ledger import examples_to_show
from mainstay.measuring.loop import SilentObserver
from mainstay.records.errors import ClusterError, MainstayError
from mainstay.records.findings import MeasuredWith
from mainstay.records.hosts import NAMED_FACTS, Facts
from mainstay.records.trials import Side, Trial
from mainstay.revisions.carrying import Carried, unpack
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.uv_commands import cache_folder
from mainstay.revisions.workspace import input_digests
from mainstay.store.files import write_text
from mainstay.store.journal import CONVERTER, new_run
from mainstay.workers.descendants import inheriting_orphans
from mainstay.workers.machine import describe_host
from mainstay.workers.pairs import PairRequest, PairResult, run_pair
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import LiveWorkers

with suppress(ImportError):  # Windows has none, but no gate runs there
    import fcntl

POLL_SECONDS = 0.1
"""Time between two looks at the files by which a keeper and its worker processes communicate."""

LEFT_SECONDS = 3600.0
"""Seconds after which a host's folder that no process uses is removed: its keeper was killed or has failed."""

PARCEL, READY, FAILED, USERS, KEPT, CHECK, CHANGES = (
    "parcel.json",
    "ready.json",
    "failed.txt",
    "users",
    "kept",
    "check",
    "changes.json",
)
"""Files of a host's folder: what was received, the built environments or why there are none, and locks and answers."""

Specs = Mapping[MeasuredWith, Mapping[Side, WorkerSpec]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """All that a host needs to measure for a gate.

    Attributes:
        carried: Content of both revisions.
        start: Choices of the gate.
        resolutions: Dependencies of each revision, as the gate resolved them.
        review: Why the candidate's ``prepare`` ran for the gate; empty if the baseline's did.
        facts: What must be the same on the host.
    """

    carried: Carried
    start: Start
    resolutions: Mapping[Side, Resolution]
    review: str
    facts: Facts

    @property
    def digest(self) -> str:
        """SHA-256 of what distinguishes two parcels."""
        parts = [self.carried.digest, self.start.created, *(each.digest for each in self.resolutions.values())]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """Both revisions as they were built on a host.

    Attributes:
        specs: Workers of both revisions, by the source of the workload files.
        inputs: SHA-256 of the inputs that ``prepare`` made.
    """

    specs: Specs
    inputs: Mapping[str, str]


class _Use:
    """The use of a host's environments by this process, until it is released or the process ends.

    Args:
        parcel: What the gate sent.
    """

    def __init__(self, parcel: Parcel) -> None:
        self.live = LiveWorkers()
        self._folder = cache_folder() / "hosts" / parcel.digest
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with self._exclusive():
            if not _is_locked(self._folder / KEPT):
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(mode=0o700)
                write_text(self._folder / PARCEL, json.dumps(CONVERTER.unstructure(parcel)))
                self._hold()
                self._start_keeper()
            else:
                self._hold()
            self._await_built()
            self._keeper_id = (self._folder / KEPT).read_text(encoding="ascii")
        self.built = CONVERTER.structure(json.loads((self._folder / READY).read_text(encoding="utf-8")), Built)

    def _exclusive(self) -> FileLock:
        """Lock against the other worker processes of the host, and against the end of the keeper."""
        return FileLock(f"{self._folder}.lock")

    def _hold(self) -> None:
        self._users = os.open(self._folder / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def _start_keeper(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", "mainstay.commands.host", str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=self._keeper.wait, daemon=True).start()  # or it would remain a zombie

    def _await_built(self) -> None:
        """Wait until the keeper has built both revisions.

        Raises:
            ClusterError: If it cannot.
        """
        while not (self._folder / READY).exists():
            keeper = getattr(self, "_keeper", None)
            if (self._folder / FAILED).exists() or (keeper and keeper.poll() is not None):
                failed = self._folder / FAILED
                told = failed.read_text(encoding="utf-8") if failed.exists() else _last_lines(self._folder / "log")
                os.close(self._users)
                shutil.rmtree(self._folder, ignore_errors=True)
                raise ClusterError(f"a host of the cluster cannot build both revisions: {told}")
            time.sleep(POLL_SECONDS)

    def find_tampering(self) -> list[str]:
        """Describe forbidden changes since the environments were built; a keeper that is gone counts as one."""
        question = uuid4().hex  # a process that was killed may have asked shortly before
        with self._exclusive(), suppress(FileNotFoundError):
            (self._folder / CHANGES).write_text("{}", encoding="utf-8")
            write_text(self._folder / CHECK, question)
            while self._is_kept():
                answers: dict[str, list[str]] = json.loads((self._folder / CHANGES).read_text(encoding="utf-8"))
                if question in answers:
                    return answers[question]
                time.sleep(POLL_SECONDS)
        return ["the process that kept the environments of a host was killed"]

    def _is_kept(self) -> bool:
        """Whether the keeper lives that built what this process uses, and not one that has replaced it."""
        file = self._folder / KEPT
        return file.read_text(encoding="ascii") == self._keeper_id and _is_locked(file)

    def end(self) -> None:
        """Kill the workers, and release the environments."""
        self.live.stop()
        os.close(self._users)


_PARCELS: dict[str, Parcel] = {}
_USES: dict[str, _Use] = {}
_MUTEX = threading.Lock()


def receive(parcel: Parcel) -> None:
    """Keep a parcel until a pair is to be measured with it.

    Args:
        parcel: What the gate sent.
    """
    _PARCELS[parcel.digest] = parcel


def prepare(digest: str) -> Mapping[str, str]:
    """Build both revisions on this host, or wait until another process has.

    Args:
        digest: Digest of a parcel that was received.

    Returns:
        SHA-256 of the inputs that ``prepare`` made.

    Raises:
        ClusterError: If this host is not like the gate's machine, or cannot build.
    """
    return _use(digest).built.inputs


def measure(digest: str, request: PairRequest, known: Sequence[Trial], *, together: bool) -> PairResult:
    """Measure a pair on this host, then look for forbidden changes on it.

    Args:
        digest: Digest of a parcel that was received.
        request: The request.
        known: Trials of this pair that are known.
        together: Whether both trials run at the same time.

    Raises:
        ClusterError: If this host is not like the gate's machine, or cannot build.
    """
    use = _use(digest)
    of_files = use.built.specs[request.measured_with]
    result = run_pair(of_files, request, known, together=together, choose_examples=examples_to_show, live=use.live)
    return replace(result, tampering=tuple(use.find_tampering()))


def release(digest: str) -> None:
    """End the use of a parcel, and kill what still measures.

    Args:
        digest: Digest of the parcel.
    """
    _PARCELS.pop(digest, None)
    with _MUTEX:
        use = _USES.pop(digest, None)
    if use:
        use.end()


def _use(digest: str) -> _Use:
    """The use of a parcel by this process."""
    parcel = _PARCELS.get(digest)
    if parcel is None:
        raise ClusterError("a worker of the cluster did not receive what to measure")
    if why := why_unlike(parcel.facts, describe_host()):
        raise ClusterError(f"a worker of the cluster is not like the machine of the gate: {why}")
    with _MUTEX:
        if digest not in _USES:
            _USES[digest] = _Use(parcel)
        return _USES[digest]


def why_unlike(own: Facts, other: Facts) -> str:
    """Why two machines cannot measure for one gate; empty if they can.

    Args:
        own: Facts of the machine of the gate.
        other: Facts of a worker.

    Example:
        >>> own = Facts(python="3.11.7", mainstay="1.0", device="Linux x86_64 without a GPU")
        >>> why_unlike(own, replace(own, python="3.12.1"))
        'Python is 3.12.1, here 3.11.7'
    """
    for name, what in NAMED_FACTS.items():
        here, there = getattr(own, name), getattr(other, name)
        if here != there:
            return f"{what} is {there}, here {here}"
    return ""


def keep(folder: Path) -> None:
    """Build both revisions, keep them until no process uses them any more, then remove everything.

    Args:
        folder: The host's folder for this gate.
    """
    descriptor = os.open(folder / KEPT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, uuid4().hex.encode())
    lock = FileLock(f"{folder}.lock")
    _sweep(folder.parent)
    try:
        with _built(folder) as find_changes:
            while not _has_ended(folder, lock):
                if (folder / CHECK).exists():
                    question = (folder / CHECK).read_text(encoding="utf-8")
                    (folder / CHECK).unlink()
                    write_text(folder / CHANGES, json.dumps({question: find_changes()}))
                time.sleep(POLL_SECONDS)
            find_changes()  # removes cached dependencies that were changed after the last pair
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink()
    except MainstayError as error:
        write_text(folder / FAILED, str(error))


@contextmanager
def _built(folder: Path) -> Iterator[Callable[[], list[str]]]:
    """Build both revisions; gives the function that finds forbidden changes."""
    parcel = CONVERTER.structure(json.loads((folder / PARCEL).read_text(encoding="utf-8")), Parcel)
    repository = unpack(parcel.carried, folder / "repository")
    commits = parcel.carried.commits
    start = replace(
        parcel.start,
        baseline=replace(parcel.start.baseline, commit=commits[Side.BASELINE]),
        candidate=replace(parcel.start.candidate, commit=commits[Side.CANDIDATE]),
    )
    with (
        inheriting_orphans(),
        new_run(repository.root, datetime.fromisoformat(start.created), asdict(start)) as run,
    ):
        session = Session(repository, run, start, environ=os.environ, observer=SilentObserver())
        with open_harness(session, parcel.resolutions, parcel.review) as harness:
            inputs = input_digests(harness.prepared.variables, harness.scratch) or {}
            built = Built(specs=harness.specs_of_both, inputs=inputs)
            write_text(folder / READY, json.dumps(CONVERTER.unstructure(built)))
            yield lambda: find_tampering(harness)


def _has_ended(folder: Path, lock: FileLock) -> bool:
    """Whether no process uses the environments any more; if so, the lock stays held, so that none can begin to."""
    try:
        lock.acquire(timeout=0)
    except Timeout:  # a process begins to use them, or waits for an answer
        return False
    if not _is_locked(folder / USERS):
        return True
    lock.release()
    return False


def _sweep(hosts: Path) -> None:
    """Remove what other keepers have left behind.

    Args:
        hosts: Folder of the folders of all gates.
    """
    for file in hosts.glob("*.lock"):
        with suppress(OSError, Timeout):  # another keeper may remove it, or a process begin to use it
            if time.time() - file.stat().st_mtime < LEFT_SECONDS:
                continue
            with FileLock(file, timeout=0):
                folder = file.with_suffix("")
                if not any(_is_locked(folder / name) for name in (KEPT, USERS)):
                    shutil.rmtree(folder, ignore_errors=True)
                    file.unlink()


def _is_locked(file: Path) -> bool:
    """Whether another open file holds a lock on a file."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _last_lines(log: Path) -> str:
    """The last lines of a keeper's output."""
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
