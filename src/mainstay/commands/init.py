"""``mainstay init``: put a project under a gate.

This module does not print or ask: :mod:`mainstay.cli` shows the plan and asks for confirmation.

- :func:`plan_adoption`: the files that would be written, those of the maintenance scaffold included if it is wanted.
- :func:`write_adoption`: write them, all or none.
- :func:`gate_against_itself`: the first gate, with the current tree as both revisions.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Any

from mainstay.adoption.proposal import Proposal, Wishes, propose
from mainstay.adoption.survey import Survey, is_of_ci, survey_project
from mainstay.adoption.templates import Pin
from mainstay.adoption.writing import Edit, render_difference, write_edits
from mainstay.commands.gate import GateOptions, gate
from mainstay.commands.outcome import RunOutcome
from mainstay.commands.scaffold import Scaffold, ScaffoldOptions, default_source, render_scaffold, text_of
from mainstay.measuring.loop import Observer
from mainstay.records.errors import GitError, MainstayError
from mainstay.revisions.git import Repository, remote_commit
from mainstay.workers import machine

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
        top: Top of the repository.
        folder: The project's folder in it; empty for the top.
        survey: Survey of the project, as it would be with the scaffold.
        proposal: Proposed files.
        scaffold: The scaffold; ``None`` without.
    """

    top: Path
    folder: str
    survey: Survey
    proposal: Proposal
    scaffold: Scaffold | None = None

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.top / self.folder

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know, a sentence each."""
        return (*(self.scaffold.notes if self.scaffold else ()), *self.proposal.notes)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All files that would be written, each once, relative to the top of the repository."""
        own = [replace(edit, path=_from_top(self.folder, edit.path)) for edit in self.proposal.edits]
        merged = {edit.path: edit for edit in (self.scaffold.edits if self.scaffold else ())}
        for edit in (*own, *self.proposal.repository_edits):
            merged[edit.path] = replace(merged.get(edit.path, edit), after=edit.after)
        return tuple(merged.values())

    @property
    def _new_of_scaffold(self) -> list[str]:
        """The files that the scaffold adds."""
        return [edit.path for edit in (self.scaffold.edits if self.scaffold else ()) if edit.before is None]

    @property
    def difference(self) -> str:
        """The files as a diff, those that the scaffold adds by name; empty if there is nothing to write."""
        new = self._new_of_scaffold
        names = "".join(f"new, of the scaffold: {path}\n" for path in new)
        return names + render_difference(edit for edit in self.edits if edit.path not in new)

    @property
    def written(self) -> tuple[str, ...]:
        """The files as a list, those that the scaffold adds as their number."""
        new = self._new_of_scaffold
        names = [edit.path for edit in self.edits if edit.path not in new]
        return (*names, *([f"{len(new)} files of the scaffold"] if new else []))


def plan_adoption(
    path: Path, *, environ: Mapping[str, str], scaffold: ScaffoldOptions | None = None, **wishes: Any
) -> Adoption:
    """Survey the project that a folder belongs to, and propose what it lacks.

    Args:
        path: A folder in the user's repository.
        environ: The user's environment.
        scaffold: How the maintenance scaffold is rendered; ``None`` to do without.
        **wishes: Options of the user, see :class:`~mainstay.adoption.proposal.Wishes`; missing ones are chosen.

    Raises:
        GitError: If there is no repository with a commit.
        UsageError: If there is no Python project, its settings cannot be read, or something requested does not exist.
        EnvironmentBuildError: If copier, which renders the scaffold, cannot be installed.
    """
    repository = Repository.discover(path)
    repository.refuse_tracked_runs()
    rendered = None
    if scaffold is not None:
        repository = Repository.discover(repository.top)
        rendered = render_scaffold(repository, scaffold, environ)
    top, folder = repository.top, rendered.folder if rendered else repository.folder
    texts = {edit.path: edit.after for edit in (rendered.edits if rendered else ())}

    def read_from_top(name: str) -> str | None:
        return texts[name] if name in texts else text_of(top / name)

    def read(name: str) -> str | None:
        return read_from_top(_from_top(folder, name))

    branch = None
    with suppress(GitError):
        branch = repository.default_branch(None, environ)
    listed = {*repository.listed_files("."), *texts}
    survey = survey_project(
        [
            PurePosixPath(name).relative_to(folder).as_posix()
            for name in listed
            if PurePosixPath(name).is_relative_to(folder)
        ],
        read,
        default_branch=repository.branch_name(branch) if branch else "",
        gpu=machine.nvidia_name(),
        where=str(top / folder / "pyproject.toml"),
        ci={name: read_from_top(name) or "" for name in listed if is_of_ci(name)} if folder else None,
    )
    asked = Wishes(**wishes)
    filled = replace(
        asked,
        requirement=asked.requirement or installed_from(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        folder=folder,
    )
    proposal = propose(
        survey,
        filled,
        read,
        is_ignored=lambda name: Repository(top).ignores(_from_top(folder, name)),
        find_pin=lambda: None if asked.requirement else known_pin(),
    )
    return Adoption(top=top, folder=folder, survey=survey, proposal=proposal, scaffold=rendered)


def _from_top(folder: str, path: str) -> str:
    """A path of the project, relative to the top of the repository."""
    return f"{folder}/{path}" if folder else path


def write_adoption(adoption: Adoption) -> None:
    """Write all proposed files.

    Raises:
        StoreError: If a file cannot be written; then none is changed.
    """
    write_edits(adoption.top, adoption.edits)


def gate_against_itself(path: Path, *, environ: Mapping[str, str], observer: Observer) -> RunOutcome:
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


def known_pin() -> Pin | None:
    """The commit on GitHub of this version of mainstay; ``None`` if it is not there or GitHub cannot be asked."""
    try:
        address, ref = default_source()
    except MainstayError:
        return None
    found = re.fullmatch(r"(?:https://|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    if found is None:
        return None
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        return Pin(found[1], ref, ref[:12])
    commit = remote_commit(address, ref)
    return Pin(found[1], commit, ref) if commit else None
