"""Records of the history: the commits compared, and the degradation of every pair.

A stored run is small and never altered. It contains the digest of the run document, which stays where it was written.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mainstay.records.findings import Method, Verdict
from mainstay.records.metrics import Metric

HISTORY_VERSION = 1
"""Version of the format of a stored run; raised if code for the old version would misread the new one."""

FIRST_LOOK = 5
"""Number of pairs that every gate measures; early stopping does not bias their mean, unlike other estimates."""

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class RunKind(StrEnum):
    """Kind of comparison in a run of the history."""

    MAIN = "main"
    """Comparison of a commit of the default branch with the one before it."""
    ANCHOR = "anchor"
    """Comparison of a commit of the default branch with a fixed reference, over a fixed number of pairs."""
    RELEASE = "release"
    """Comparison of a release with the one before it, over a fixed number of pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptCommit:
    """A commit, as stored runs and searches name it.

    Attributes:
        commit: Full hash of the commit.
        subject: First line of its message.
        date: ISO time of the commit, with its time zone, or its day alone; empty if unknown.
    """

    commit: str
    subject: str
    date: str = ""

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.commit):
            raise ValueError(f"{self.commit!r} is not the full hash of a commit")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptMetric:
    """Result of one metric in a run of the history.

    Attributes:
        metric: The metric that was measured.
        verdict: The judgement.
        method: Method that the judgement rests on.
        degradations: Degradation of every pair in the order measured, positive if the candidate is worse, on the scale
            of the margin; empty if nothing was measured because the revisions were proved equal.
        seeds: Seed of every pair of an accuracy, by which a rerun is recognised; empty for any other metric, which a
            seed does not repeat, and in runs that were stored without seeds.
        baseline_mean: Mean value of the baseline; ``None`` without values.
        candidate_mean: Mean value of the candidate.
    """

    metric: Metric
    verdict: Verdict
    method: Method
    degradations: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    baseline_mean: float | None = None
    candidate_mean: float | None = None

    def __post_init__(self) -> None:
        numbers = (*self.degradations, self.baseline_mean or 0.0, self.candidate_mean or 0.0)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{self.metric.id} has a value that is not a finite number")
        if self.seeds and len(self.seeds) != len(self.degradations):
            raise ValueError(f"{self.metric.id} has {len(self.degradations)} pairs and {len(self.seeds)} seeds")

    @property
    def is_proved_equal(self) -> bool:
        """Whether both revisions were proved to be the same for this metric."""
        return self.method in {Method.EXACT, Method.UNCHANGED, Method.REWORDED, Method.EXECUTED}

    @property
    def first_look(self) -> float | None:
        """The mean of the first pairs, unbiased by early stopping; 0 if proved equal, ``None`` with too few pairs."""
        if self.is_proved_equal:
            return 0.0
        if len(self.degradations) < FIRST_LOOK:
            return None
        return math.fsum(self.degradations[:FIRST_LOOK]) / FIRST_LOOK


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRun:
    """A run of the default branch as the history stores it.

    Attributes:
        id: Name of the run, of letters, digits, dots, hyphens and underscores.
        created: ISO time in UTC of its start.
        kind: Kind of comparison.
        verdict: Verdict of the whole gate.
        baseline: Commit of the baseline.
        candidate: Commit of the candidate.
        machine: Type of the machine: levels measured on different types are never joined.
        packages_digest: SHA-256 of the packages that the candidate ran with.
        looks: Numbers of pairs at which the gate looked.
        metrics: Result of each metric.
        run_digest: SHA-256 of the whole run document.
        mainstay_version: Version of the tool.
    """

    id: str
    created: str
    kind: RunKind
    verdict: Verdict
    baseline: KeptCommit
    candidate: KeptCommit
    machine: str
    packages_digest: str
    looks: tuple[int, ...]
    metrics: tuple[KeptMetric, ...]
    run_digest: str
    mainstay_version: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is not the name of a run")
        if self.time.utcoffset() != timedelta(0):
            raise ValueError(f"created is {self.created!r}, which is not a time in UTC")

    @property
    def time(self) -> datetime:
        """Start time of the run."""
        return datetime.fromisoformat(self.created)


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """Withdrawal of a run, with the reason.

    Attributes:
        run: Name of the file of the run, without the ending.
        when: ISO time in UTC of the withdrawal.
        who: Name of the person who withdrew it.
        reason: Why it was withdrawn.
    """

    run: str
    when: str
    who: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A run of the history, with its withdrawal if any.

    Attributes:
        file: Name of its file, without the ending: the name of the run and the digest of its content.
        run: The run.
        withdrawal: Its withdrawal; ``None`` if the run still counts.
    """

    file: str
    run: KeptRun
    withdrawal: Withdrawal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The whole history.

    Attributes:
        entries: All entries in order of time, withdrawn ones included.
        unread: Files that cannot be read, by location, with the reason.
    """

    entries: tuple[Entry, ...]
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def runs(self) -> tuple[KeptRun, ...]:
        """The runs that have not been withdrawn."""
        return tuple(entry.run for entry in self.entries if entry.withdrawal is None)

    @property
    def num_withdrawn(self) -> int:
        """Number of withdrawn runs."""
        return sum(entry.withdrawal is not None for entry in self.entries)
