"""Harness: both revisions built and ready to measure, with their environments, workload files, data and workers.

- :func:`open_harness`: the :class:`Harness` of a session; temporary files are removed when it is closed.
- :class:`Harness`: everything needed to measure.
- :func:`conditions_with`: what a later attempt at the run must have in common with this one.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mainstay.commands.session import Session
from mainstay.records.errors import EnvironmentBuildError, PlanError, refusals_of
from mainstay.records.findings import MeasuredWith
from mainstay.records.formatting import first_few
from mainstay.records.hosts import NAMED_FACTS
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.revisions import workspace
from mainstay.revisions.environments import SubjectEnvironment, worker_variables
from mainstay.revisions.git import refuse_own_inputs
from mainstay.revisions.layers import Layer, layers_folder
from mainstay.revisions.resolution import Resolution, resolve
from mainstay.revisions.uv_commands import sweep_builds
from mainstay.revisions.workspace import Prepared, PytestSettings, Seals, add_worktrees, open_layers
from mainstay.store.files import FOLDER, real_places
from mainstay.store.integrity import WatchedInput, find_changes, take_manifest
from mainstay.store.journal import Conditions
from mainstay.workers.fork_server import can_fork, describe_preload, fork_servers
from mainstay.workers.machine import describe_host
from mainstay.workers.process import Launcher, WorkerSpec, compile_runner


@dataclass(frozen=True, kw_only=True, slots=True)
class Harness:
    """Everything needed to measure.

    Attributes:
        specs: Workers of both revisions, by the revision whose workload files they use; only for the baseline's files
            if these are equal.
        environments: Records of both environments for the run document.
        subjects: Environment of each revision.
        prepared: Variables and output of ``prepare``.
        scratch: The run's temporary folder.
        preload_note: How ``preload`` was applied; empty if it names no module.
        seals: Records of everything that no worker may change.
        shared: SHA-256 of each shared input before the first trial.
        pytest_settings: pytest's settings of each revision.
        launchers: Functions that start the workers of each side; empty to start fresh interpreters.
        resolutions: Dependencies of each revision, with the credentials that are needed to fetch them.
    """

    specs: Mapping[Side, Mapping[Side, WorkerSpec]]
    environments: tuple[Environment, ...]
    subjects: Mapping[Side, SubjectEnvironment]
    prepared: Prepared
    scratch: Path
    preload_note: str
    seals: Seals
    shared: Mapping[str, str] = field(default_factory=dict)
    pytest_settings: Mapping[Side, PytestSettings] = field(default_factory=dict)
    launchers: Mapping[Side, Launcher] = field(default_factory=dict)
    resolutions: Mapping[Side, Resolution] = field(default_factory=dict)

    @property
    def startup(self) -> Mapping[Side, Mapping[str, str]]:
        """Start-up code from each revision's own wheels, which runs in every worker, by kind."""
        return {side: subject.startup for side, subject in self.subjects.items()}

    @property
    def specs_of_both(self) -> Mapping[MeasuredWith, Mapping[Side, WorkerSpec]]:
        """Worker specifications of both revisions, by the source of the workload files."""
        return {
            measured_with: {side: self.specs[measured_with.files_for(side)][side] for side in Side}
            for measured_with in MeasuredWith
            if all(measured_with.files_for(side) in self.specs for side in Side)
        }


@contextmanager
def open_harness(
    session: Session,
    resolved: Mapping[Side, Resolution] | None = None,
    review: str | None = None,
) -> Iterator[Harness]:
    """Build both revisions, and remove all temporary files afterwards.

    Args:
        session: Session of the run.
        resolved: Dependencies of both revisions as another machine resolved them; resolved here if ``None``.
        review: Why the candidate's ``prepare`` ran on another machine, empty if the baseline's did; decided here if
            ``None``.

    Yields:
        Both revisions, ready to measure.

    Raises:
        EnvironmentBuildError: If a revision cannot be resolved, built or installed.
        TreeError: If a revision cannot be gated, or a shared input does not exist.
        PlanError: If a resumed run started under other conditions, such as other shared inputs.
    """
    repository, start = session.repository, session.start
    with repository.scratch_folder() as scratch, ExitStack() as stack:
        trees = add_worktrees(repository, start.revisions, scratch)
        shared = _shared_inputs(session, trees)
        pytest_settings = {side: workspace.pytest_settings(tree) for side, tree in trees.items()}
        # before any of their code runs
        sources = tuple(Side) if _workloads_differ(session, trees) else (Side.BASELINE,)
        session.watch.lap("revisions")
        session.observer.phase("environments")
        untouched = take_manifest(trees[Side.BASELINE])
        resolutions = _resolutions(session, trees, resolved)
        if find_changes(trees[Side.BASELINE], untouched):  # resolving may run code of either revision
            repository.remove_worktree(trees[Side.BASELINE])
            repository.add_worktree(start.baseline.commit, trees[Side.BASELINE])
        layers = stack.enter_context(open_layers(resolutions.values()))
        harness = _build(session, scratch, trees, resolutions, layers, shared=shared, sources=sources, review=review)
        sweep_builds()  # by now, processes of killed gates have ended
        compile_runner()
        launchers = stack.enter_context(_open_launchers(session, harness))
        session.watch.lap("preparation")
        yield replace(harness, pytest_settings=pytest_settings, launchers=launchers)


def _shared_inputs(session: Session, trees: Mapping[Side, Path]) -> dict[str, WatchedInput]:
    """The shared inputs by path, which must exist, be of neither revision, and be those with which the run started."""
    paths = session.configuration.share
    for side in reversed(Side):  # the candidate names the inputs, so one that both revisions have is its own slip
        with refusals_of(side):
            refuse_own_inputs(paths, trees[side], side)
    inputs = session.repository.read_shared(paths)
    _require_as_at_first(session, {path: each.sha256 for path, each in inputs.items()})
    return inputs


def conditions_with(shared: Mapping[str, str]) -> Conditions:
    """The conditions of an attempt that starts now.

    Args:
        shared: SHA-256 of each shared input.
    """
    return Conditions(facts=describe_host(), shared=dict(shared))


def _require_as_at_first(session: Session, shared: Mapping[str, str]) -> None:
    """Refuse to go on under other conditions than those of the run's first attempt.

    Its pairs are no evidence together with pairs that were measured under others, and its proof may not hold there. What
    ``prepare`` names is not compared: libraries may write there, such as locks beside models. If a worker changed
    something, nothing can pass anyway, and the candidate is to blame rather than whoever resumes the run.

    Raises:
        PlanError: If something differs.
    """
    journal = session.folder.journal
    first = journal.first_conditions()
    if first is None or journal.tampering():
        return
    now = conditions_with(shared)
    anew = "start anew: a gate without --resume; for a shard, remove its folder first"
    for name, what in NAMED_FACTS.items():
        found, before = getattr(now.facts, name), getattr(first.facts, name)
        if found != before:
            raise PlanError(
                f"{what} is {found}, and was {before} when this run started",
                looked_in=session.folder.id,
                next_step=f"continue where {what} is {before}; or {anew}",
            )
    if changed := {path for path, _ in first.shared.items() ^ now.shared.items()}:
        raise PlanError(
            f"the shared input {first_few(sorted(changed))} is not as it was when this run started",
            looked_in=session.folder.id,
            next_step=f"restore its content, then continue; or {anew}",
        )


def _protected(session: Session, scratch: Path) -> set[Path]:
    """What no worker may write to, whatever the settings name, also where links of the project lead out of it."""
    root = session.repository.root
    inputs = (place for path in session.configuration.share for place in real_places(root / path))
    return {root, root / FOLDER, layers_folder(), scratch, *inputs}


@contextmanager
def _open_launchers(session: Session, harness: Harness) -> Iterator[Mapping[Side, Launcher]]:
    """Servers that start the workers, if the settings name modules to preload."""
    modules = session.configuration.preload if can_fork(sys.platform) else ()
    specs, limit_s = harness.specs[Side.BASELINE], session.collecting_seconds
    with fork_servers(specs, modules, limit_s=limit_s) as servers:
        yield {side: server.start for side, server in servers.items()}


def _build(
    session: Session,
    scratch: Path,
    trees: Mapping[Side, Path],
    resolutions: Mapping[Side, Resolution],
    layers: Mapping[str, Layer],
    *,
    shared: Mapping[str, WatchedInput],
    sources: Collection[Side],
    review: str | None,
) -> Harness:
    """Build environments and measuring folders, one for each source of workload files, and prepare the data."""
    repository, configuration, settings = session.repository, session.configuration, session.settings
    seals = Seals(layers.values(), shared)
    measuring: dict[Side, Path] = {}

    def seal(side: Side, subject: SubjectEnvironment) -> None:
        """Record what is installed for a revision, before the other one is built."""
        seals.add(f"the environment of the {side}", subject.environment)
        with refusals_of(side):
            # only now: before, a build backend could have packed shared files
            repository.link_shared(configuration.share, trees[side], side)
            if side in sources:
                folder = scratch / "measure" / workspace.FOLDERS[side]
                workloads = settings.judging[side].workloads
                measuring[side] = workspace.copy_workloads(trees[side], folder, workloads, configuration.share)
                seals.add("the workloads", folder)

    latest = repository.latest_version(session.start.baseline.commit)
    is_one_tree = session.start.baseline.tree == session.start.candidate.tree
    subjects = workspace.build_subjects(
        trees, resolutions, layers, scratch, version=latest, is_one_tree=is_one_tree, on_built=seal
    )
    session.watch.lap("environments")
    prepared = _prepare(session, subjects, scratch, review)
    if prepared.notice:
        session.observer.note(prepared.notice)
    fixed = worker_variables(threads=configuration.threads, environ=session.environ)
    variables = {**fixed, **prepared.variables}
    named = settings.own[Side.BASELINE].writable
    with refusals_of(Side.BASELINE):  # without such a name, the inputs need not be searched for links
        writable = workspace.writable_places(named, _protected(session, scratch) if named else ())
    specs = {
        side: workspace.worker_specs(
            subjects,
            scratch,
            file,
            variables,
            writable,
            files_of=side,
            files=settings.judging[side].files,
            asv=settings.judging[side].asv,
        )
        for side, file in measuring.items()
    }
    seals.add_parents(scratch)  # all folders of the gate are made by now, and no worker has run
    session.watch.lap("preparation")
    return Harness(
        specs=specs,
        environments=tuple(replace(subjects[side].record, variables=workspace.recorded(variables)) for side in Side),
        subjects=subjects,
        prepared=prepared,
        scratch=scratch,
        preload_note=describe_preload(configuration.preload, sys.platform),
        seals=seals,
        shared={path: each.sha256 for path, each in shared.items()},
        resolutions=resolutions,
    )


def _prepare(
    session: Session, subjects: Mapping[Side, SubjectEnvironment], scratch: Path, review: str | None
) -> Prepared:
    """Run ``prepare`` of the revision that prepared when the run started."""
    journal, settings = session.folder.journal, session.settings
    line = journal.first("prepared")
    if line is not None:
        review = journal.content(line, "review", str)
    elif settings.is_first:
        review = "the baseline gates nothing yet"
    commands = {side: settings.judging[side].prepare for side in Side}
    prepared = workspace.prepare(commands, subjects, scratch, session.environ, review=review)
    if line is not None:  # only the first time, the baseline's command may have run, and failed
        return prepared._replace(notice=journal.content(line, "notice", str))
    journal.append("prepared", review=prepared.review, notice=prepared.notice)
    return prepared


def _resolutions(
    session: Session, trees: Mapping[Side, Path], resolved: Mapping[Side, Resolution] | None
) -> Mapping[Side, Resolution]:
    """Dependencies of both revisions, as resolved when the run started."""
    journal = session.folder.journal
    line = journal.first("resolutions")
    if line is None:
        resolutions = resolved or resolve(trees, session.settings.own)
        journal.append("resolutions", resolutions={side: asdict(each) for side, each in resolutions.items()})
        return resolutions
    kept = journal.content(line, "resolutions", dict[Side, Resolution])
    if any(each.lacks_credentials for each in kept.values()):
        with suppress(EnvironmentBuildError):  # where both environments are cached, nothing has to be fetched
            full = resolve(trees, session.settings.own)
            return {side: each.with_credentials_of(full[side]) for side, each in kept.items()}
    return kept


def _workloads_differ(session: Session, trees: Mapping[Side, Path]) -> bool:
    """Whether the change touches the workload files, what their links lead to, or their pytest settings."""
    commits, judging = session.start.revisions, session.settings.judging
    folders = {side: configuration.workloads for side, configuration in judging.items()}
    files = {
        (folder, session.repository.folder_digest(commits[side].commit, folder)) for side, folder in folders.items()
    }
    return len(files) > 1 or workspace.sticks_differ(trees, judging)
