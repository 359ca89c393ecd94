"""``mainstay init``: put a project under a gate.

This module does not print or ask: :mod:`mainstay.cli` shows the plan and asks for confirmation.

- :func:`plan_adoption`: the files that would be written.
- :func:`write_adoption`: write them, all or none.
- :func:`gate_against_itself`: the first gate, with the current tree as both revisions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from mainstay.adoption.proposal import Proposal, Wishes, propose
from mainstay.adoption.survey import Survey, survey_project
from mainstay.adoption.writing import Edit, render_difference, write_edits
from mainstay.commands.gate import GateOptions, GateOutcome, gate
from mainstay.measuring.loop import Observer
from mainstay.records.errors import GitError
from mainstay.revisions.git import Repository
from mainstay.workers import machine

WORKFLOWS = ".github"
"""Folder at the top of a repository in which GitHub looks for workflows."""

NEXT_COMMANDS = (
    ("mainstay gate", "judge the working tree against the default branch, before you push"),
    ("mainstay doctor", "say what would stop a gate, and how long the next one takes"),
    ("mainstay calibrate --write", "once, on a quiet machine: margins and pairs that its noise supports"),
)
"""The commands to use from now on, with their purposes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """Planned changes to a project.

    Attributes:
        repository: The repository, seen from the project.
        survey: Survey of the project.
        proposal: Proposed files.
    """

    repository: Repository
    survey: Survey
    proposal: Proposal

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All files that would be written, relative to the top of the repository."""
        folder = self.repository.folder
        own = [replace(edit, path=f"{folder}/{edit.path}" if folder else edit.path) for edit in self.proposal.edits]
        return (*own, *self.proposal.repository_edits)

    @property
    def difference(self) -> str:
        """The files as a diff; empty if there is nothing to write."""
        return render_difference(self.edits)


def plan_adoption(path: Path, *, environ: Mapping[str, str], **wishes: Any) -> Adoption:
    """Survey the project that a folder belongs to, and propose what it lacks.

    Args:
        path: A folder in the user's repository.
        environ: The user's environment.
        **wishes: Options of the user, see :class:`~mainstay.adoption.proposal.Wishes`; missing ones are chosen.

    Raises:
        GitError: If there is no repository with a commit.
        UsageError: If there is no Python project, its settings cannot be read, or something requested does not exist.
    """
    repository = Repository.discover(path)
    repository.refuse_tracked_runs()

    def read(name: str) -> str | None:
        return _text(repository.root / name)

    branch = None
    with suppress(GitError):
        branch = repository.default_branch(None, environ)
    above = repository.listed_files(WORKFLOWS) if repository.folder else ()
    survey = survey_project(
        repository.listed_files(),
        read,
        default_branch=(branch or "").rpartition("/")[2],
        gpu=machine.accelerator_name(),
        where=str(repository.root / "pyproject.toml"),
        workflows_above={name: _text(repository.top / name) or "" for name in above},
    )
    asked = Wishes(**wishes)
    filled = replace(
        asked,
        requirement=asked.requirement or installed_from(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        folder=repository.folder,
    )
    return Adoption(
        repository=repository, survey=survey, proposal=propose(survey, filled, read, is_ignored=repository.ignores)
    )


def write_adoption(adoption: Adoption) -> None:
    """Write all proposed files.

    Raises:
        StoreError: If a file cannot be written; then none is changed.
    """
    write_edits(adoption.repository.top, adoption.edits)


def gate_against_itself(path: Path, *, environ: Mapping[str, str], observer: Observer) -> GateOutcome:
    """Gate the current tree against itself: build it twice and collect its workloads.

    Args:
        path: A folder in the user's repository.
        environ: The user's environment.
        observer: Receives progress reports.

    Raises:
        MainstayError: If nothing can be judged.
    """
    commit = Repository.discover(path).candidate().revision.commit
    return gate(path, GateOptions(baseline=commit, candidate=commit), environ=environ, observer=observer)


def installed_from() -> str:
    """Requirement from which pip would install this version of mainstay; empty if it was installed from a folder.

    Example:
        >>> installed_from() == "" or installed_from().startswith("mainstay")
        True
    """
    try:
        found = distribution("mainstay")
    except PackageNotFoundError:
        return ""
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if not origin:
        return f"mainstay=={found.version}"
    commit = origin.get("vcs_info", {}).get("commit_id")
    return f"mainstay @ git+{origin['url']}@{commit}" if commit else ""


def _text(place: Path) -> str | None:
    """The text of a file; ``None`` if it does not exist."""
    try:
        return place.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
