"""The main job: resolve two revisions, measure them side by side, judge, record.

:func:`gate` is the whole of it, a list of plain steps; each step lives in a module of its own. Nothing here prints:
whoever calls it passes an :class:`~mainstay.measurement.Observer`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mainstay.configuration import Configuration, read_configuration
from mainstay.errors import (
    ConfigurationError,
    EnvironmentBuildError,
    Interrupted,
    MainstayError,
    StoreError,
    UsageError,
)
from mainstay.files import content_digest
from mainstay.git import Repository
from mainstay.journal import (
    RunFolder,
    interrupted_run,
    new_run,
    trial_content,
)
from mainstay.machine import computing_traits, describe_machine, usable_cores
from mainstay.records import (
    Blame,
    Change,
    Environment,
    Finding,
    Kind,
    MeasuredWith,
    Metric,
    Revision,
    Run,
    Settings,
    Side,
    Trial,
    Verdict,
    Waiver,
)
from mainstay.strictness import Margins, require_known_margins, settings_in_force

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mainstay.agenda import Agenda
    from mainstay.environments import Resolution
    from mainstay.gates.policy import Plan
    from mainstay.layers import Layer
    from mainstay.logs import WorkloadLog
    from mainstay.measurement import Measurement, Observer
    from mainstay.workers import Collection, Launcher, WorkerSpec
    from mainstay.workspace import Prepared, PytestSettings, Seals


SPOILED_ADVICE = (
    "let the code write to the folder that tempfile.gettempdir() names, or to HOME, never beside its modules"
)
"""The next step where something was changed that no worker may change."""


HASH = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
"""Name of a commit, which git cannot take for an option."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOptions:
    """What the user asked for.

    Attributes:
        baseline: Revision to compare with; the merge base if ``None``.
        candidate: Revision to judge; the working tree if ``None``.
        resume: Continue the latest interrupted gate.
        allow_unjudged: Let a gate pass that judged nothing.
        fail_fast: Stop at the first ``fail``; as configured if ``None``.
        seconds: Budget for measuring; as configured if ``None``.
        fresh: Draw other seeds than those that belong to the baseline; then none of its trials is reused or kept.
        only: ``accuracy``, or ``performance`` for all that costs time or memory; everything if ``None``.
    """

    baseline: str | None = None
    candidate: str | None = None
    resume: bool = False
    allow_unjudged: bool = False
    fail_fast: bool | None = None
    seconds: float | None = None
    fresh: bool = False
    only: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOutcome:
    """What a gate leaves.

    Attributes:
        run: The document.
        path: Where it was written.
    """

    run: Run
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What is fixed when a gate starts, and journalled so that it can be resumed.

    Attributes:
        baseline: One revision.
        candidate: The other; of a working tree, its snapshot.
        notes: What the choice of revisions means for the reader.
        salt: What seeds and orders derive from.
        created: ISO time in UTC.
        seconds: Budget for measuring.
        fail_fast: Whether the first ``fail`` ends the gate.
        only: The part of the workloads that is gated; all if ``None``.
    """

    baseline: Revision
    candidate: Revision
    notes: tuple[str, ...]
    salt: str
    created: str
    seconds: float
    fail_fast: bool
    only: str | None = None

    def __post_init__(self) -> None:
        if not all(HASH.fullmatch(revision.commit) for revision in (self.baseline, self.candidate)):
            raise ValueError("a revision is named by the full hash of its commit")

    @property
    def revisions(self) -> Mapping[Side, Revision]:
        """Both revisions by side."""
        return {Side.BASELINE: self.baseline, Side.CANDIDATE: self.candidate}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """All that is needed to measure.

    Attributes:
        specs: Workers of both revisions, by whose workload files they run with; the baseline's alone where these are equal.
        environments: Of both revisions.
        prepared: What ``prepare`` gave, and what it had to say.
        scratch: The gate's temporary folder.
        preload_note: How ``preload`` is followed; empty where it names nothing.
        seals: What no worker may change.
        launchers: What starts the workers of each side; empty for fresh interpreters.
    """

    specs: Mapping[Side, Mapping[Side, WorkerSpec]]
    environments: tuple[Environment, ...]
    prepared: Prepared
    scratch: Path
    preload_note: str
    seals: Seals
    launchers: Mapping[Side, Launcher] = field(default_factory=dict)

    @property
    def teams(self) -> Mapping[MeasuredWith, Mapping[Side, WorkerSpec]]:
        """The workers of both revisions, by what a workload is measured with."""
        return {
            measured_with: {side: self.specs[measured_with.files_for(side)][side] for side in Side}
            for measured_with in MeasuredWith
            if all(measured_with.files_for(side) in self.specs for side in Side)
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class BothSettings:
    """``[tool.mainstay]`` of both revisions.

    Attributes:
        own: What each revision says; of a baseline whose settings do not read, the candidate's.
        judging: What each counts with in the judgement; the candidate's for both where the baseline gates nothing.
        misread: Why the baseline's settings do not read; empty if they do.
    """

    own: Mapping[Side, Configuration]
    judging: Mapping[Side, Configuration]
    misread: str = ""

    @property
    def in_force(self) -> Configuration:
        """The settings of the gate."""
        return settings_in_force(self.judging[Side.BASELINE], self.judging[Side.CANDIDATE])

    @property
    def is_first(self) -> bool:
        """Whether the baseline gates nothing that its settings could judge."""
        return self.judging[Side.BASELINE] is self.judging[Side.CANDIDATE] and not self.misread


class Stopwatch:
    """Seconds by phase.

    Args:
        clock: Gives the time.

    Example:
        >>> watch = Stopwatch(clock=iter([0.0, 2.0, 5.0]).__next__)
        >>> watch.lap("revisions"), watch.lap("measuring")
        (None, None)
        >>> watch.seconds
        {'revisions': 2.0, 'measuring': 3.0}
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """Book the time since the last lap."""
        now = self._clock()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now


def gate(path: Path, options: GateOptions, *, environ: Mapping[str, str], observer: Observer) -> GateOutcome:
    """Judge a candidate against its baseline.

    Args:
        path: A folder in the user's repository.
        options: What the user asked for.
        environ: The user's environment.
        observer: Is told how it goes.

    Returns:
        The run, which has been written to the run's folder.

    Raises:
        MainstayError: If nothing can be judged; its ``exit_status`` says why.
        Interrupted: On Ctrl-C; what was measured is in the journal.
    """
    check_platform(sys.platform)
    repository = Repository.discover(path)
    repository.refuse_tracked_runs()
    repository.sweep()
    with ExitStack() as stack:
        if options.resume:
            folder = stack.enter_context(interrupted_run(repository.root, Start))
            start = folder.journal.start(Start)
        else:
            start = choose_start(repository, options, environ)
            folder = stack.enter_context(new_run(repository.root, datetime.fromisoformat(start.created), asdict(start)))
        with recorded_failure(folder):
            job = _Gate(
                repository=repository, folder=folder, start=start, options=options, environ=environ, observer=observer
            )
            return job.run()


@contextmanager
def recorded_failure(folder: RunFolder) -> Iterator[None]:
    """Journal an error that ends a gate for good, so that it is not taken for an interrupted one.

    A gate that is interrupted, or out of room, can be resumed. So can one that has measured something, since what was
    built once is rarely to blame when it cannot be built again; only waivers and settings that are refused stay so.
    """
    try:
        yield
    except (Interrupted, StoreError):
        raise
    except MainstayError as error:
        with suppress(StoreError):
            if isinstance(error, ConfigurationError) or not folder.journal.trials():
                folder.journal.append("failed", fact=error.fact, exit_status=error.exit_status)
        raise


def check_platform(platform: str) -> None:
    """Refuse a platform on which workers cannot be started.

    Raises:
        MainstayError: On Windows.
    """
    if platform == "win32":
        raise MainstayError(
            "the gate needs Linux or macOS", looked_in=platform, next_step="run it there, or in a Linux container"
        )


def choose_start(repository: Repository, options: GateOptions, environ: Mapping[str, str]) -> Start:
    """Fix the two revisions and what a resumed gate must do alike."""
    candidate = repository.candidate(options.candidate)
    repository.refuse_tracked_runs(candidate.revision.commit)
    configuration = configuration_of(repository, candidate.revision)
    baseline = repository.baseline(
        candidate,
        requested=options.baseline,
        default_branch=configuration.default_branch,
        environment=environ,
    )
    settings = read_settings(repository, baseline.revision, candidate.revision).in_force
    created = datetime.now(UTC)
    return Start(
        baseline=baseline.revision,
        candidate=candidate.revision,
        notes=(*baseline.notes, *candidate.notes, *([f"only {options.only} was gated"] if options.only else [])),
        salt=created.isoformat() if options.fresh else "",
        created=created.isoformat(timespec="seconds"),
        seconds=settings.seconds if options.seconds is None else options.seconds,
        fail_fast=settings.fail_fast if options.fail_fast is None else options.fail_fast,
        only=options.only,
    )


def waive(path: Path, *, metric: str, limit: float, reason: str, until: str) -> Path:
    """Add a waiver to the reviewed file of the repository.

    Args:
        path: A folder in the user's repository.
        metric: Id or name of the metric.
        limit: The largest loss accepted, on the scale of the margin.
        reason: Why.
        until: ISO date of the last day it holds.

    Returns:
        The file.

    Raises:
        UsageError: If the last day is over.
        ConfigurationError: If the file lies outside the project.
    """
    from mainstay.waivers import append_waiver

    repository = Repository.discover(path)
    candidate = repository.candidate().revision
    waivers = configuration_of(repository, candidate).waivers
    place = repository.root / waivers
    if not place.parent.resolve().is_relative_to(repository.root.resolve()):
        raise ConfigurationError(
            f"a link leads the waivers {waivers!r} out of the project",
            looked_in=str(place.parent.resolve()),
            next_step="name another file as 'waivers' in [tool.mainstay]",
        )
    append_waiver(place, Waiver(metric=metric, limit=limit, reason=reason, until=until), datetime.now(UTC).date())
    return place


def configuration_of(repository: Repository, revision: Revision) -> Configuration:
    """``[tool.mainstay]`` of a revision."""
    content = repository.read_file(revision.commit, "pyproject.toml")
    return read_configuration(content or b"", "pyproject.toml")


def read_settings(repository: Repository, baseline: Revision, candidate: Revision) -> BothSettings:
    """``[tool.mainstay]`` of both revisions.

    Raises:
        ConfigurationError: If the candidate's does not read.
    """
    after = configuration_of(repository, candidate)
    try:
        before = configuration_of(repository, baseline)
    except ConfigurationError as error:  # whoever mends the settings must get through; a note says so
        alike = dict.fromkeys(Side, after)
        return BothSettings(own=alike, judging=alike, misread=error.fact)
    gates = repository.folder_digest(baseline.commit, before.workloads) is not None
    return BothSettings(
        own={Side.BASELINE: before, Side.CANDIDATE: after},
        judging={Side.BASELINE: before if gates else after, Side.CANDIDATE: after},
    )


class Job:
    """What a gate and a calibration do alike: build two revisions, collect their workloads, measure.

    Args:
        repository: The user's.
        folder: Of the run.
        start: What was fixed.
        environ: The user's environment.
        observer: Is told how it goes.
    """

    def __init__(
        self,
        *,
        repository: Repository,
        folder: RunFolder,
        start: Start,
        environ: Mapping[str, str],
        observer: Observer,
    ) -> None:
        self._repository = repository
        self._folder = folder
        self._start = start
        self._environ = environ
        self._observer = observer
        self._settings_of_both = read_settings(repository, start.baseline, start.candidate)
        self._configuration = self._settings_of_both.in_force
        self._margins = Margins(settings=tuple(self._settings_of_both.judging[side] for side in Side))
        self._jobs = self._configuration.num_jobs(usable_cores())
        self._shared: Mapping[str, str] = {}
        self._watch = Stopwatch()

    @contextmanager
    def _bench(self) -> Iterator[Bench]:
        """Both revisions, built and ready to measure; what is temporary is gone afterwards."""
        from mainstay.workspace import add_worktrees, open_layers

        with self._repository.scratch_folder() as scratch, ExitStack() as stack:
            trees = add_worktrees(self._repository, self._start.revisions, scratch)
            self._watch.lap("revisions")
            self._observer.phase("environments")
            resolutions = self._resolutions(trees)
            layers = stack.enter_context(open_layers(resolutions.values()))
            bench = self._build(scratch, trees, resolutions, layers)
            launchers = stack.enter_context(self._launchers(bench))
            self._watch.lap("preparation")
            yield replace(bench, launchers=launchers)

    @property
    def _collecting_seconds(self) -> float:
        """How long importing and collecting may take before it counts as hung."""
        from mainstay.workers import collecting_seconds

        return collecting_seconds(self._configuration.trial_seconds, self._start.seconds)

    @contextmanager
    def _launchers(self, bench: Bench) -> Iterator[Mapping[Side, Launcher]]:
        """Servers that start the workers, where the settings name modules to preload."""
        from mainstay.fork_server import can_fork, fork_servers

        modules = self._configuration.preload if can_fork(sys.platform) else ()
        with fork_servers(bench.specs[Side.BASELINE], modules, limit_s=self._collecting_seconds) as servers:
            yield {side: server.start for side, server in servers.items()}

    def _build(
        self,
        scratch: Path,
        trees: Mapping[Side, Path],
        resolutions: Mapping[Side, Resolution],
        layers: Mapping[str, Layer],
    ) -> Bench:
        """Environments, measuring folder and prepared data."""
        from mainstay import workspace
        from mainstay.fork_server import describe_preload
        from mainstay.layers import layers_folder

        subjects = workspace.build_subjects(trees, resolutions, layers, scratch)
        seals = workspace.Seals(layers.values())
        for side, subject in subjects.items():
            seals.add(f"the environment of the {side}", subject.environment)
        for tree in trees.values():  # only now, or a build backend could pack what is shared
            self._shared = self._repository.link_shared(self._configuration.share, tree)
        self._watch.lap("environments")
        sources = Side if self._workloads_differ() else (Side.BASELINE,)
        measuring = {
            side: workspace.copy_workloads(
                trees[side],
                scratch / "measure" / workspace.FOLDERS[side],
                self._settings_of_both.judging[side].workloads,
                self._configuration.share,
            )
            for side in sources
        }
        prepared = workspace.prepare(self._configuration, subjects[Side.CANDIDATE].python, scratch, self._environ)
        if prepared.notice:
            self._observer.note(prepared.notice)
        variables = workspace.fixed_variables(self._configuration.threads, prepared.variables, self._environ)
        protected = (self._repository.root, layers_folder(), scratch)
        writable = workspace.writable_places(self._settings_of_both.own[Side.BASELINE].writable, protected)
        specs = {
            side: workspace.worker_specs(subjects, scratch, file, variables, writable, files_of=side)
            for side, file in measuring.items()
        }
        for file in measuring.values():
            seals.add("the workloads", file.parent)
        self._watch.lap("preparation")
        return Bench(
            specs=specs,
            environments=tuple(
                replace(subjects[side].record, variables=workspace.recorded(variables)) for side in Side
            ),
            prepared=prepared,
            scratch=scratch,
            preload_note=describe_preload(self._configuration.preload, sys.platform),
            seals=seals,
        )

    def _resolutions(self, trees: Mapping[Side, Path]) -> Mapping[Side, Resolution]:
        """Dependencies of both revisions, as they were when the gate started."""
        from mainstay import environments

        lines = [line for line in self._folder.journal.read() if line["type"] == "resolutions"]
        if lines:
            return self._folder.journal.content(lines[0], "resolutions", dict[Side, environments.Resolution])
        resolutions = environments.resolve(trees, self._settings_of_both.own)
        self._folder.journal.append("resolutions", resolutions={side: asdict(r) for side, r in resolutions.items()})
        return resolutions

    def _workloads_differ(self) -> bool:
        """Whether the change touches the workload files, or what pytest is told about them."""
        folders = {side: configuration.workloads for side, configuration in self._settings_of_both.judging.items()}
        digests = {
            self._repository.folder_digest(revision.commit, folders[side])
            for side, revision in self._start.revisions.items()
        }
        pytest_settings = self._pytest_settings()
        is_same_pytest = pytest_settings[Side.BASELINE] == pytest_settings[Side.CANDIDATE]
        return len({*folders.values()}) > 1 or len(digests) > 1 or not is_same_pytest

    def _pytest_settings(self) -> Mapping[Side, PytestSettings]:
        """What each revision tells pytest."""
        from mainstay.workspace import pytest_settings

        return {
            side: pytest_settings(partial(self._repository.read_file, revision.commit))
            for side, revision in self._start.revisions.items()
        }

    def _collect(self, bench: Bench) -> Agenda:
        """What is to be judged, from what both revisions can collect of the files of each."""
        from mainstay.agenda import Collected, plan_agenda
        from mainstay.workers import at_once, collect_workloads, start_fresh

        self._observer.phase("workloads")
        folders = {side: configuration.workloads for side, configuration in self._settings_of_both.judging.items()}
        limit_s = self._collecting_seconds

        def collect(spec: WorkerSpec) -> Collection:
            launcher = bench.launchers.get(spec.side, start_fresh)
            return collect_workloads(spec, [folders[spec.files_of]], launcher, limit_s=limit_s)

        everything = at_once(
            collect,
            [spec for specs in bench.specs.values() for spec in specs.values()],
        )
        everything[-1].require_right_markers()
        metrics = tuple(m for found in everything for workload in found.workloads for m in workload.metrics)
        if not any(found.problems or found.skipped_files for found in everything):  # else some gated ones are unknown
            require_known_margins(self._settings_of_both.own[Side.CANDIDATE], metrics)
        parts = [part_of(collection, self._start.only) for collection in everything]
        self._watch.lap("workloads")
        agenda = plan_agenda(*(Collected(*parts[i : i + 2]) for i in range(0, len(parts), 2)))
        if not agenda.assignments and not agenda.settled:
            raise self._nothing_to_judge(agenda, everything)
        self._margins = replace(
            self._margins,
            markers=tuple(
                {name: metric.margin for name, metric in marked.items()}
                for marked in (agenda.baseline, agenda.candidate)
            ),
        )
        wrong = [problem for problem in everything[0].problems if problem.is_usage]
        return replace(
            agenda,
            notes=(
                *agenda.notes,
                *(f"not gated by the baseline, where {each.id} says: {each.cause}" for each in wrong),
            ),
            known=(*metrics, *(finding.metric for finding in agenda.settled)),
        )

    def _nothing_to_judge(self, agenda: Agenda, collections: Sequence[Collection]) -> UsageError:
        """Why the agenda is empty: there are no markers, no workloads of the part asked for, or none at all."""
        fact = "no workloads: no test uses one of the fixtures trial, benchmark, import_timer and counts"
        next_step = "write one as the how-to 'add a workload' shows"
        if agenda.notes:
            fact = f"nothing to judge: {'; '.join(agenda.notes)}"
            wanted = [workload for found in collections for workload in part_of(found, self._start.only).workloads]
            next_step = "add @pytest.mark.accuracy(metric=..., margin=...)"
            if all(workload.kind is Kind.DETERMINISTIC for workload in wanted):
                next_step = "add @pytest.mark.deterministic(metric=...)"
        elif any(collection.workloads for collection in collections):
            fact = f"no workload of {self._start.only}"
            next_step = "write one, or gate all workloads without --only"
        return UsageError(fact, looked_in=self._configuration.workloads, next_step=next_step)

    def _plan(self, agenda: Agenda) -> Plan:
        """Levels, looks and the number of metrics that share alpha."""
        from mainstay.gates.policy import Plan

        return Plan(
            alpha=self._configuration.alpha,
            edge=self._configuration.edge,
            looks=self._configuration.looks,
            num_gated=sum(
                metric.kind is not Kind.DETERMINISTIC for workload in agenda.workloads for metric in workload.metrics
            ),
        )

    def _logs(
        self,
        agenda: Agenda,
        num_pairs: int,
        *,
        reuse: Callable[[Sequence[WorkloadLog]], Sequence[Trial]] = lambda _: (),
    ) -> list[WorkloadLog]:
        """Logs of all workloads, with trials that earlier gates measured and those of an earlier attempt at this one."""
        from mainstay.logs import make_logs

        logs = make_logs(
            agenda.assignments, salt=self._start.salt, commit=self._start.baseline.commit, num_seeds=num_pairs
        )
        restore_trials(logs, [*reuse(logs), *self._folder.journal.trials()])
        for log in logs:
            if log.workload.id in agenda.hung:
                log.refuse(*agenda.hung[log.workload.id])
        return logs

    @contextmanager
    def _measurement(
        self,
        bench: Bench,
        logs: Sequence[WorkloadLog],
        settled: Sequence[Finding],
        plan: Plan,
        *,
        repeats: frozenset[str] = frozenset(),
    ) -> Iterator[Measurement]:
        """What measures pairs; its workers are stopped where something goes wrong."""
        from mainstay.logs import examples_to_show
        from mainstay.measurement import Measurement
        from mainstay.timed_pairs import TimedRequest, TimedResult, measure_timed_pair
        from mainstay.workers import Crew, PairRequest, PairResult

        crews = {
            measured_with: Crew(
                specs,
                together=self._jobs > 1,
                on_trial=self._keep_trial,
                choose_examples=examples_to_show,
                launchers=bench.launchers,
            )
            for measured_with, specs in bench.teams.items()
        }

        def measure(request: PairRequest, known: Sequence[Trial]) -> PairResult:
            return crews[request.measured_with].measure(request, known)

        def measure_timed(request: TimedRequest) -> TimedResult:
            return measure_timed_pair(crews[request.measured_with], request)

        with ThreadPoolExecutor(self._jobs) as executor:
            measurement = Measurement(
                logs=logs,
                settled=settled,
                plan=plan,
                salt=self._start.salt,
                commit=self._start.baseline.commit,
                margin_of=self._margins,
                measure=measure,
                measure_timed=measure_timed,
                executor=executor,
                num_at_once=self._jobs,
                repeats=repeats,
                trial_seconds=self._configuration.trial_seconds,
                pair_seconds=self._configuration.pair_seconds,
                fail_fast=self._start.fail_fast,
                deadline=time.monotonic() + self._start.seconds,
                observer=self._observer,
            )
            try:
                yield measurement
            except BaseException:
                for crew in crews.values():
                    crew.stop()
                raise
        self._watch.lap("measuring")

    def _keep_trial(self, trial: Trial) -> None:
        self._folder.journal.append_trial(trial)
        self._observer.trial_done(trial)


class _Gate(Job):
    """One gate, step by step."""

    def __init__(
        self,
        *,
        repository: Repository,
        folder: RunFolder,
        start: Start,
        options: GateOptions,
        environ: Mapping[str, str],
        observer: Observer,
    ) -> None:
        super().__init__(repository=repository, folder=folder, start=start, environ=environ, observer=observer)
        self._options = options
        self._keys: Mapping[Side, str] = {}
        self._notes: list[str] = []

    def run(self) -> GateOutcome:
        """Build, measure, judge, record."""
        from mainstay.documents import run_to_json

        waivers = self._waivers(Side.CANDIDATE)
        with self._bench() as bench:
            agenda = self._collect(bench)
            self._check_waivers(waivers, agenda.known)
            run = self._judge(bench, agenda, waivers)
        path = self._folder.write("run.json", run_to_json(run))
        self._folder.journal.append("finish", verdict=run.verdict, exit_status=run.exit_status)
        return GateOutcome(run=run, path=path)

    def _judge(self, bench: Bench, agenda: Agenda, waivers: Sequence[Waiver]) -> Run:
        """Trials, findings, and the document of it all."""
        from mainstay.gates.policy import GateFacts, judge_gate
        from mainstay.waivers import apply_waivers

        machine = describe_machine()
        plan = self._plan(agenda)
        self._keys = self._keys_of_conditions(bench, self._shared)
        kept = self._read_kept()
        logs = self._logs(agenda, plan.max_pairs, reuse=lambda logs: self._reuse(logs, kept))
        repeats = self._workloads_to_repeat(logs, kept)
        with self._measurement(bench, logs, agenda.settled, plan, repeats=repeats) as measurement:
            findings = apply_waivers(measurement.run(), waivers, self._today)
        shared = self._repository.shared_digests(self._configuration.share)
        changes = [
            *bench.seals.find_changes(),
            *(f"the shared input {path}" for path in changed_keys(self._shared, shared)),
        ]
        if changes:
            findings = spoiled(findings, changes)
            self._keys = {}  # nothing that was measured is kept for later gates
        self._keep(logs, self._keys_of_conditions(bench, shared))
        facts = GateFacts(
            findings=findings,
            allow_unjudged=self._options.allow_unjudged,
            inconclusive_status=self._configuration.inconclusive,
        )
        judgement = judge_gate(facts)
        notes = [*self._start.notes, *self._misread_note(), bench.prepared.notice, bench.preload_note]
        notes += bench.seals.notes
        notes += [*agenda.notes, *measurement.notes, *self._notes, *notes_on_reuse(logs)]
        return Run(
            id=self._folder.id,
            created=self._start.created,
            mainstay_version=version("mainstay"),
            verdict=judgement.verdict,
            reason=judgement.reason,
            exit_status=judgement.exit_status,
            baseline=self._start.baseline,
            candidate=self._start.candidate,
            environments=bench.environments,
            machine=machine,
            settings=self._settings(plan),
            findings=findings,
            workloads=measurement.results(),
            notes=tuple(without_home(note, str(Path.home())) for note in notes if note),
            changes=tuple(self._changes(agenda, waivers)),
            phases_s=self._watch.seconds,
            max_load=max((trial.load for log in logs for trial in log.trials.values() if trial.load), default=None),
        )

    def _keys_of_conditions(self, bench: Bench, shared: Mapping[str, str]) -> Mapping[Side, str]:
        """Key of all that could change a trial of the baseline, by whose workload files it runs with.

        Returns:
            Nothing where no trial is to be kept or reused.
        """
        from mainstay import workspace
        from mainstay.baseline_trials import Conditions, is_exact
        from mainstay.workers import WORKER

        if self._start.salt:  # these seeds are drawn for this gate alone
            return {}
        inputs = workspace.input_digests(bench.prepared.variables, bench.scratch)
        environment = bench.environments[0]
        if inputs is None or not all(map(is_exact, environment.packages.values())):
            return {}
        spec = bench.specs[Side.BASELINE][Side.BASELINE]
        conditions = Conditions(
            tree=self._start.baseline.tree,
            wheel_digest=environment.wheel_digest,
            packages_digest=environment.packages_digest,
            roots=spec.roots,
            workloads_digest="",
            shared=shared,
            inputs=inputs,
            variables=workspace.portable(spec.variables, bench.scratch),
            threads=self._configuration.threads,
            preload=self._configuration.preload,
            worker_digest=content_digest(Path(WORKER)),
            mainstay_version=version("mainstay"),
            traits=computing_traits(),
        )
        judging = self._settings_of_both.judging
        digests = {
            side: workspace.workloads_digest(specs[Side.BASELINE], judging[side].workloads)
            for side, specs in bench.specs.items()
        }
        return {side: replace(conditions, workloads_digest=digest).key for side, digest in digests.items()}

    def _read_kept(self) -> Mapping[Side, tuple[Trial, ...]]:
        """The baseline's trials that are kept under the conditions of this gate; damaged ones are measured anew."""
        from mainstay.baseline_trials import BaselineTrials

        kept = {}
        for side, key in self._keys.items():
            try:
                kept[side] = BaselineTrials(self._repository.root, key).read()
            except StoreError as error:
                self._notes.append(f"{error.fact}, so they were measured anew ({error.looked_in})")
        return kept

    def _reuse(self, logs: Sequence[WorkloadLog], kept: Mapping[Side, Sequence[Trial]]) -> list[Trial]:
        """The trials that this gate need not measure: chosen when it starts, journalled, and the same when resumed."""
        from mainstay.baseline_trials import reusable_trials

        lines = [line for line in self._folder.journal.read() if line["type"] == "reused"]
        if (
            lines and lines[0].get("keys") != self._keys
        ):  # resumed elsewhere: what was measured stands, the rest does not
            self._keys = {}
            return []
        if lines:
            return self._folder.journal.content(lines[0], "trials", list[Trial])
        trials = [trial for log in logs for trial in reusable_trials(_kept_of(log, kept), log.workload, log.seeds)]
        self._folder.journal.append("reused", keys=self._keys, trials=[trial_content(trial) for trial in trials])
        return trials

    def _workloads_to_repeat(self, logs: Sequence[WorkloadLog], kept: Mapping[Side, Sequence[Trial]]) -> frozenset[str]:
        """Workloads whose baseline may be repeated for the sake of later gates."""
        from mainstay.baseline_trials import is_unsteady

        wanted = [log for log in logs if self._keys and log.workload.kind is Kind.ACCURACY]
        return frozenset(
            log.workload.id
            for log in wanted
            if not is_unsteady([trial for trial in _kept_of(log, kept) if trial.workload == log.workload.id])
        )

    def _keep(self, logs: Sequence[WorkloadLog], keys: Mapping[Side, str]) -> None:
        """Keep the baseline's trials for later gates, unless the conditions changed while they were measured."""
        from mainstay.baseline_trials import BaselineTrials

        if keys != self._keys:
            return
        for side, key in keys.items():
            trials = [
                trial
                for log in logs
                if log.workload.kind is Kind.ACCURACY and log.measured_with.files_for(Side.BASELINE) is side
                for trial in log.baseline_trials
            ]
            try:
                BaselineTrials(self._repository.root, key).keep(trials, run=self._folder.id)
            except StoreError as error:
                self._notes.append(f"{error.fact}, so later gates measure them again ({error.looked_in})")

    def _misread_note(self) -> Iterator[str]:
        """A note where the candidate's settings stand in for the baseline's."""
        if misread := self._settings_of_both.misread:
            yield f"the baseline's [tool.mainstay] does not read ({misread}); the candidate's was used for both"

    def _changes(self, agenda: Agenda, waivers: Sequence[Waiver]) -> Iterator[Change]:
        """What the change alters of the means by which it is judged."""
        from mainstay import changes

        settings, repository = self._settings_of_both, self._repository
        commits = [revision.commit for revision in self._start.revisions.values()]
        folders = {configuration.workloads for configuration in settings.judging.values()}
        files = [
            changes.ChangedFile(path, *(repository.read_file(commit, path) for commit in commits))
            for path in repository.changed_files(commits[0], commits[1], sorted(folders))
        ]
        yield from changes.waiver_changes(self._reviewed_waivers(), waivers)
        yield from changes.file_changes(files)
        pytest_settings = self._pytest_settings()
        yield from changes.pytest_changes(*({"file": found.file, **found.values} for found in pytest_settings.values()))
        yield from changes.marker_changes(agenda.baseline, agenda.candidate)
        yield from changes.setting_changes(
            settings.own[Side.BASELINE], settings.own[Side.CANDIDATE], is_first=settings.is_first
        )

    @property
    def _today(self) -> date:
        """The day on which the gate started."""
        return date.fromisoformat(self._start.created[:10])

    def _waivers(self, side: Side) -> tuple[Waiver, ...]:
        """The waivers of a revision."""
        from mainstay.waivers import parse_waivers

        place = self._settings_of_both.own[side].waivers
        content = self._repository.read_file(self._start.revisions[side].commit, place) or b""
        try:
            return parse_waivers(content.decode("utf-8"), where=place)
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"the waivers are not UTF-8: {error}", looked_in=place, next_step="save the file as UTF-8"
            ) from error

    def _check_waivers(self, waivers: Sequence[Waiver], metrics: Sequence[Metric]) -> None:
        """Refuse waivers that name nothing, and note those that name nothing any more."""
        from mainstay.waivers import unknown_waivers

        for waiver in unknown_waivers(waivers, metrics, self._today, reviewed=self._reviewed_waivers()):
            self._notes.append(f"a waiver of {waiver.metric} names nothing that is gated any more: remove it")

    def _reviewed_waivers(self) -> tuple[Waiver, ...]:
        """The waivers of the baseline; none where they do not read, since whoever mends the file must get through."""
        with suppress(ConfigurationError):
            return self._waivers(Side.BASELINE)
        return ()

    def _settings(self, plan: Plan) -> Settings:
        """What was decided before the first pair, for the record."""
        configuration = self._configuration
        return Settings(
            alpha=plan.alpha,
            edge=plan.edge,
            looks=plan.looks,
            num_gated=plan.num_gated,
            seconds=self._start.seconds,
            fail_fast=self._start.fail_fast,
            inconclusive=configuration.inconclusive,
            salt=self._start.salt,
            threads=configuration.threads,
            jobs=self._jobs,
            pair_seconds=configuration.pair_seconds,
        )


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The keys whose values differ, sorted.

    Example:
        >>> changed_keys({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
        ['b', 'c']
    """
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def spoiled(findings: Sequence[Finding], changes: Sequence[str]) -> tuple[Finding, ...]:
    """Findings of a gate in which something was changed that no worker may change: none is a pass.

    The candidate is to blame, since it is what the baseline has not shown to be harmless.

    Args:
        findings: As they were judged.
        changes: What was changed.

    Raises:
        EnvironmentBuildError: If nothing was judged.
    """
    reason = f"what no workload may change was changed while the gate ran: {'; '.join(changes)}"
    if not findings:
        raise EnvironmentBuildError(reason, side=Side.CANDIDATE, next_step=SPOILED_ADVICE)
    return tuple(
        finding
        if finding.verdict is Verdict.MISSING
        else Finding(
            metric=finding.metric,
            verdict=Verdict.ERROR,
            reason=reason,
            blame=Blame.CANDIDATE,
            detail=(f"judged before that was known: {finding.verdict}, {finding.reason}", SPOILED_ADVICE),
        )
        for finding in findings
    )


def _kept_of(log: WorkloadLog, kept: Mapping[Side, Sequence[Trial]]) -> Sequence[Trial]:
    """The kept trials that ran with the workload files which the baseline runs with in this gate."""
    return kept.get(log.measured_with.files_for(Side.BASELINE), ())


def notes_on_reuse(logs: Sequence[WorkloadLog]) -> list[str]:
    """What a reader must know where trials of the baseline were not measured in this gate."""
    reused = [trial for log in logs for trial in log.reused]
    if not reused:
        return []
    runs = ", ".join(sorted({trial.reused_from for trial in reused}))
    what = "1 baseline trial was" if len(reused) == 1 else f"{len(reused)} baseline trials were"
    why = "this baseline repeats itself bit for bit, so verdicts on it are correlated"
    return [f"{what} reused from run {runs}: {why}; 'mainstay gate --fresh' draws other seeds"]


def without_home(note: str, home: str) -> str:
    """A note with ``~`` for the user's home, unless that is the root of everything.

    Example:
        >>> without_home("kept in /home/a/data", "/home/a"), without_home("kept in /data", "/")
        ('kept in ~/data', 'kept in /data')
    """
    return note.replace(home, "~") if len(home) > 1 else note


def part_of(collection: Collection, only: str | None) -> Collection:
    """The workloads of accuracy, those of performance with what is counted exactly, or all."""
    if only is None:
        return collection
    wanted = tuple(w for w in collection.workloads if (w.kind is Kind.ACCURACY) is (only == Kind.ACCURACY))
    return replace(collection, workloads=wanted)


def restore_trials(logs: Sequence[WorkloadLog], trials: Sequence[Trial]) -> None:
    """Give the logs what an earlier attempt measured; of timed pairs only whole ones, whose sides took turns."""
    by_workload = {log.workload.id: log for log in logs}
    for trial in trials:
        if trial.workload in by_workload:
            by_workload[trial.workload].add(trial)
    for log in logs:
        if log.workload.is_timed:
            log.drop_halves()
