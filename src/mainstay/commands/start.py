"""Start of a gate: the two revisions and their settings, fixed before anything is built.

- :class:`Start`: the choices with which a gate or a calibration starts, journalled so that it can be resumed.
- :func:`choose_baseline`: the baseline of a candidate.
- :func:`read_settings`: ``[tool.mainstay]`` of both revisions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from mainstay.measuring.strictness import settings_in_force
from mainstay.project.configuration import Configuration, read_configuration
from mainstay.records.errors import ConfigurationError, GitError
from mainstay.records.runs import Revision
from mainstay.records.selections import EVERYTHING, Selection
from mainstay.records.trials import Side
from mainstay.revisions.git import Choice, Repository

HASH = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
"""Pattern of a commit hash, which git cannot mistake for an option."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOptions:
    """Options from which a start follows.

    Attributes:
        baseline: Revision to compare with; the merge base if ``None``.
        candidate: Revision to judge; the working tree if ``None``.
        fail_fast: Stop at the first ``fail``; as configured if ``None``.
        seconds: Time budget for measuring; as configured if ``None``.
        fresh: Draw new seeds instead of those derived from the baseline; no baseline trial is then reused or cached.
        only: ``accuracy``, or ``performance`` for time and memory; everything if ``None``.
        pairs: Number of pairs before a single look, for an estimate free of early-stopping bias; as configured if ``None``.
        keyword: Gate the workloads that this expression of pytest's ``-k`` selects; all if empty.
        marks: Gate the workloads that this expression of pytest's ``-m`` selects; all if empty.
        places: Gate the workloads of these files, folders and node ids, relative to the current folder; all if empty.
    """

    baseline: str | None = None
    candidate: str | None = None
    fail_fast: bool | None = None
    seconds: float | None = None
    fresh: bool = False
    only: str | None = None
    pairs: int | None = None
    keyword: str = ""
    marks: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Choices fixed when a gate starts, and journalled so that it can be resumed.

    Attributes:
        baseline: The baseline.
        candidate: The candidate; for a working tree, its snapshot.
        notes: Notes on the choice of revisions.
        salt: Text from which seeds and orders are derived.
        created: ISO time in UTC.
        seconds: Budget for measuring.
        fail_fast: Whether the first ``fail`` ends the gate.
        only: The part of the workloads that is gated; all if ``None``.
        pairs: Pairs after which the gate looks once; as configured if ``None``.
        selection: The user's selection of workloads.
    """

    baseline: Revision
    candidate: Revision
    notes: tuple[str, ...]
    salt: str
    created: str
    seconds: float
    fail_fast: bool
    only: str | None = None
    pairs: int | None = None
    selection: Selection = EVERYTHING

    def __post_init__(self) -> None:
        if not all(HASH.fullmatch(revision.commit) for revision in (self.baseline, self.candidate)):
            raise ValueError("a revision is named by the full hash of its commit")
        datetime.fromisoformat(self.created)  # waivers expire by it

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of the command line that choose a part of the workloads; empty if all are gated."""
        return (*(("--only", self.only) if self.only else ()), *self.selection.arguments)

    @property
    def revisions(self) -> Mapping[Side, Revision]:
        """Both revisions by side."""
        return {Side.BASELINE: self.baseline, Side.CANDIDATE: self.candidate}


@dataclass(frozen=True, kw_only=True, slots=True)
class BothSettings:
    """``[tool.mainstay]`` of both revisions.

    Attributes:
        own: Settings of each revision; the candidate's for both if the baseline's cannot be read.
        judging: Settings of each revision that count in the judgement; the candidate's for both if the baseline gates
            nothing.
        is_first: Whether the baseline gates nothing to which its settings could apply.
        misread: Why the baseline's settings cannot be read; empty if they can.
    """

    own: Mapping[Side, Configuration]
    judging: Mapping[Side, Configuration]
    is_first: bool = False
    misread: str = ""

    @property
    def in_force(self) -> Configuration:
        """The settings of the gate."""
        return settings_in_force(self.judging[Side.BASELINE], self.judging[Side.CANDIDATE])


@lru_cache(maxsize=8)  # a gate asks several times for what a commit holds for ever
def configuration_of(repository: Repository, commit: str) -> Configuration:
    """``[tool.mainstay]`` of a commit."""
    content = repository.read_file(commit, "pyproject.toml")
    return read_configuration(content or b"", "pyproject.toml")


def choose_baseline(
    repository: Repository,
    candidate: Choice,
    configuration: Configuration,
    *,
    requested: str | None = None,
    environ: Mapping[str, str],
) -> Choice:
    """The baseline of a candidate.

    The candidate does not decide which branch is the default branch, since it could name itself. If git or CI knows a
    default branch, the settings on that branch apply.

    Args:
        repository: The user's repository.
        candidate: Revision to be compared with the baseline.
        configuration: The candidate's settings.
        requested: The revision that the user named.
        environ: The user's environment.

    Raises:
        GitError: If no baseline can be determined.
    """
    named, note = configuration.default_branch, ""
    if requested is None and named is not None:
        chosen = repository.default_branch(named, environ)
        known = None
        with suppress(GitError):
            known = repository.default_branch(None, environ)
        if known is not None:
            named = _branch_named_at(repository, known)
            if (holds := repository.default_branch(named, environ)) != chosen:
                note = (
                    f"the candidate's default_branch {configuration.default_branch!r} was not followed: "
                    f"{holds} holds until the settings there say otherwise"
                )
    choice = repository.baseline(candidate, requested=requested, default_branch=named, environment=environ)
    return replace(choice, notes=(*choice.notes, *([note] if note else [])))


def _branch_named_at(repository: Repository, reference: str) -> str | None:
    """The default branch named by a branch's settings; ``None`` if they name none or cannot be read."""
    try:
        return configuration_of(repository, repository.resolve(reference)).default_branch
    except ConfigurationError:
        return None


def read_settings(repository: Repository, baseline: Revision, candidate: Revision) -> BothSettings:
    """``[tool.mainstay]`` of both revisions.

    Raises:
        ConfigurationError: If the candidate's settings cannot be read.
    """
    after = configuration_of(repository, candidate.commit)
    try:
        before = configuration_of(repository, baseline.commit)
    except ConfigurationError as error:  # a change that corrects the settings must be able to pass; a note says so
        alike = dict.fromkeys(Side, after)
        return BothSettings(own=alike, judging=alike, misread=error.fact)
    gates = repository.folder_digest(baseline.commit, before.workloads) is not None
    return BothSettings(
        own={Side.BASELINE: before, Side.CANDIDATE: after},
        judging={Side.BASELINE: before if gates else after, Side.CANDIDATE: after},
        is_first=not gates,
    )
