"""Records of the history: the commits compared, and the degradation of every pair.

A kept run is small and never altered. The whole document stays with whoever made it; its digest is kept here.
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
"""Version of a kept run; raised when a reader of the old one would misread the new one."""

FIRST_LOOK = 5
"""Pairs that every gate measures whatever they show: their mean is the one estimate that early stopping does not bias."""

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class RunKind(StrEnum):
    """Kind of comparison in a run of the history."""

    MAIN = "main"
    """A commit of the default branch with the one before it."""
    ANCHOR = "anchor"
    """A commit of the default branch with a fixed reference, over a fixed number of pairs."""
    RELEASE = "release"
    """A release with the one before it, over a fixed number of pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptCommit:
    """One of the two commits of a kept run.

    Attributes:
        commit: Its full hash.
        subject: First line of its message.
        date: ISO time with zone of the commit; empty where it was not known.
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
        metric: What was measured.
        verdict: The judgement.
        method: Method that it rests on.
        degradations: Of every pair in the order measured, positive where the candidate is worse, on the scale of the
            margin; empty where nothing was measured because the revisions were proved equal.
        baseline_mean: Mean value of the baseline; ``None`` without values.
        candidate_mean: Mean value of the candidate.
    """

    metric: Metric
    verdict: Verdict
    method: Method
    degradations: tuple[float, ...] = ()
    baseline_mean: float | None = None
    candidate_mean: float | None = None

    def __post_init__(self) -> None:
        numbers = (*self.degradations, self.baseline_mean or 0.0, self.candidate_mean or 0.0)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{self.metric.id} has a value that is not a finite number")

    @property
    def is_proved_equal(self) -> bool:
        """Whether both revisions were proved to be the same for this metric."""
        return self.method in {Method.EXACT, Method.UNCHANGED, Method.REWORDED}

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
    """A run of the default branch as the history keeps it.

    Attributes:
        id: Name of the run, of letters, digits, dots, hyphens and underscores.
        created: ISO time in UTC of its start.
        kind: Kind of comparison.
        verdict: Verdict of the whole gate.
        baseline: One commit.
        candidate: The other.
        machine: Type of the machine: runs of different types are never joined by their levels.
        packages_digest: SHA-256 of what the candidate ran with.
        looks: Numbers of pairs at which the gate looked.
        metrics: What it says of each metric.
        run_digest: SHA-256 of the whole document.
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
        run: Name of its file, without the ending.
        when: ISO time in UTC.
        who: Name of who withdrew it.
        reason: Why.
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
        withdrawal: Why it counts no more; ``None`` if it does.
    """

    file: str
    run: KeptRun
    withdrawal: Withdrawal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The whole history.

    Attributes:
        entries: By time, withdrawn ones included.
        unread: Files that cannot be read, by place, and why.
    """

    entries: tuple[Entry, ...]
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def runs(self) -> tuple[KeptRun, ...]:
        """The runs that count."""
        return tuple(entry.run for entry in self.entries if entry.withdrawal is None)

    @property
    def num_withdrawn(self) -> int:
        """Number of withdrawn runs."""
        return sum(entry.withdrawal is not None for entry in self.entries)
