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
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
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
    ContextValue,
    Direction,
    Environment,
    Finding,
    Kind,
    Metric,
    Revision,
    Run,
    Settings,
    Side,
    Trial,
    Verdict,
    Waiver,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mainstay.environments import Resolution
    from mainstay.gates.policy import Plan
    from mainstay.layers import Layer
    from mainstay.logs import WorkloadLog
    from mainstay.measurement import Measurement, Observer
    from mainstay.workers import Collection, Launcher, WorkerSpec
    from mainstay.workspace import Prepared, Seals


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
        specs: Workers of both revisions, with the candidate's workloads.
        own: Worker of the baseline with its own workloads, where they differ from the candidate's.
        environments: Of both revisions.
        prepared: What ``prepare`` gave, and what it had to say.
        scratch: The gate's temporary folder.
        preload_note: How ``preload`` is followed; empty where it names nothing.
        seals: What no worker may change.
        launchers: What starts the workers of each side; empty for fresh interpreters.
    """

    specs: Mapping[Side, WorkerSpec]
    own: WorkerSpec | None
    environments: tuple[Environment, ...]
    prepared: Prepared
    scratch: Path
    preload_note: str
    seals: Seals
    launchers: Mapping[Side, Launcher] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """What is to be judged.

    Attributes:
        workloads: What both revisions are asked to run.
        changed: Those that the baseline does not have as they are.
        settled: Findings that need no measuring.
        notes: What could not be collected.
        metrics: Gated ones of either revision, those of the kinds that are left out included.
        hung: Of workloads whose file hung while a revision collected it, which revision, why, and its last output.
    """

    workloads: tuple[Workload, ...]
    changed: frozenset[str]
    settled: tuple[Finding, ...]
    notes: tuple[str, ...]
    metrics: tuple[Metric, ...] = ()
    hung: Mapping[str, tuple[Side, str, tuple[str, ...]]] = field(default_factory=dict)


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
    created = datetime.now(UTC)
    return Start(
        baseline=baseline.revision,
        candidate=candidate.revision,
        notes=(*baseline.notes, *candidate.notes, *([f"only {options.only} was gated"] if options.only else [])),
        salt=created.isoformat() if options.fresh else "",
        created=created.isoformat(timespec="seconds"),
        seconds=configuration.seconds if options.seconds is None else options.seconds,
        fail_fast=configuration.fail_fast if options.fail_fast is None else options.fail_fast,
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
        self._configuration = self._configuration_before = configuration_of(repository, start.candidate)
        self._misread = ""
        try:
            self._configuration_before = configuration_of(repository, start.baseline)
        except ConfigurationError as error:  # whoever mends the settings must get through; a note says so
            self._misread = error.fact
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
        with fork_servers(bench.specs, modules, limit_s=self._collecting_seconds) as servers:
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
        workloads, shared = self._configuration.workloads, self._configuration.share
        stick = workspace.copy_workloads(trees[Side.CANDIDATE], scratch / "measure", workloads, shared)
        prepared = workspace.prepare(self._configuration, subjects[Side.CANDIDATE].python, scratch, self._environ)
        if prepared.notice:
            self._observer.note(prepared.notice)
        variables = workspace.fixed_variables(self._configuration.threads, prepared.variables, self._environ)
        protected = (self._repository.root, layers_folder(), scratch)
        writable = workspace.writable_places(self._configuration_before.writable, protected)
        specs = workspace.worker_specs(subjects, scratch, stick, variables, writable)
        own = None
        if self._workloads_differ() and (trees[Side.BASELINE] / workloads).is_dir():
            file = workspace.copy_workloads(trees[Side.BASELINE], scratch / "ownown_", workloads, shared)
            own = replace(specs[Side.BASELINE], folder=str(file.parent), configuration=str(file))
        for folder in dict.fromkeys(spec.folder for spec in (*specs.values(), *([own] if own else []))):
            seals.add("the workloads", Path(folder))
        self._watch.lap("preparation")
        return Bench(
            specs=specs,
            own=own,
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
        configurations = {Side.BASELINE: self._configuration_before, Side.CANDIDATE: self._configuration}
        resolutions = environments.resolve(trees, configurations)
        self._folder.journal.append("resolutions", resolutions={side: asdict(r) for side, r in resolutions.items()})
        return resolutions

    def _workloads_differ(self) -> bool:
        """Whether the change touches the workloads."""
        digests = {
            self._repository.folder_digest(revision.commit, self._configuration.workloads)
            for revision in self._start.revisions.values()
        }
        return len(digests) > 1

    def _collect(self, bench: Bench) -> Agenda:
        """What is to be judged, from what both revisions can collect."""
        from mainstay.workers import at_once, collect_workloads, start_fresh

        self._observer.phase("workloads")
        limit_s = self._collecting_seconds
        specs = [*bench.specs.values(), *([bench.own] if bench.own else [])]
        select = [self._configuration.workloads]
        everything = at_once(
            lambda spec: collect_workloads(spec, select, bench.launchers.get(spec.side, start_fresh), limit_s=limit_s),
            specs,
        )
        _, of_candidate, *of_own = everything
        of_candidate.require_right_markers()
        collections = [part_of(collection, self._start.only) for collection in everything]
        self._watch.lap("workloads")
        agenda = plan_agenda(*collections, changed=self._is_changed if self._workloads_differ() else lambda _: False)
        if not agenda.workloads and not agenda.settled:
            raise self._nothing_to_judge(agenda, everything)
        wrong = [problem for found in of_own for problem in found.problems if problem.is_usage]
        return replace(
            agenda,
            notes=(
                *agenda.notes,
                *(f"not gated by the baseline, where {each.id} says: {each.cause}" for each in wrong),
            ),
            metrics=tuple(m for found in everything for workload in found.workloads for m in workload.metrics),
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

    def _is_changed(self, workload: str) -> bool:
        """Whether the baseline does not have a workload as the candidate has it."""
        file = workload.partition("::")[0]
        conftest = f"{self._configuration.workloads}/conftest.py"
        commits = [revision.commit for revision in self._start.revisions.values()]
        return any(
            len({self._repository.read_file(commit, path) for commit in commits}) > 1 for path in (file, conftest)
        )

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
            agenda.workloads,
            salt=self._start.salt,
            commit=self._start.baseline.commit,
            num_seeds=num_pairs,
            changed=agenda.changed,
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
        from mainstay.workers import Crew

        crew = Crew(
            bench.specs,
            together=self._jobs > 1,
            on_trial=self._keep_trial,
            choose_examples=examples_to_show,
            launchers=bench.launchers,
        )

        def measure_timed(request: TimedRequest) -> TimedResult:
            return measure_timed_pair(crew, request)

        with ThreadPoolExecutor(self._jobs) as executor:
            measurement = Measurement(
                logs=logs,
                settled=settled,
                plan=plan,
                salt=self._start.salt,
                commit=self._start.baseline.commit,
                margin_of=self._margin_of,
                measure=crew.measure,
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
                crew.stop()
                raise
        self._watch.lap("measuring")

    def _keep_trial(self, trial: Trial) -> None:
        self._folder.journal.append_trial(trial)
        self._observer.trial_done(trial)

    def _margin_of(self, metric: Metric, context: Mapping[str, ContextValue]) -> float:
        """The margin of a metric: of the data set, else of the metric, else of its marker."""
        dataset = context.get("dataset")
        configured = self._configuration.margin(metric.name, dataset=str(dataset) if dataset is not None else None)
        return metric.margin if configured is None else configured


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
        self._key = ""
        self._notes: list[str] = []

    def run(self) -> GateOutcome:
        """Build, measure, judge, record."""
        from mainstay.documents import run_to_json

        waivers = self._waivers(Side.CANDIDATE)
        with self._bench() as bench:
            agenda = self._collect(bench)
            self._check_waivers(waivers, agenda.metrics)
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
        self._key = self._key_of_conditions(bench, self._shared)
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
            self._key = ""  # nothing that was measured is kept for later gates
        self._keep(logs, self._key_of_conditions(bench, shared))
        facts = GateFacts(
            findings=findings,
            allow_unjudged=self._options.allow_unjudged,
            inconclusive_status=self._configuration.inconclusive,
        )
        judgement = judge_gate(facts)
        notes = [*self._start.notes, *self._changed_settings(), bench.prepared.notice, bench.preload_note]
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
            phases_s=self._watch.seconds,
            max_load=max((trial.load for log in logs for trial in log.trials.values() if trial.load), default=None),
        )

    def _key_of_conditions(self, bench: Bench, shared: Mapping[str, str]) -> str:
        """Key of all that could change a trial of the baseline; empty where none is to be kept or reused."""
        from mainstay import workspace
        from mainstay.baseline_trials import Conditions, is_exact
        from mainstay.workers import WORKER

        if self._start.salt:  # these seeds are drawn for this gate alone
            return ""
        inputs = workspace.input_digests(bench.prepared.variables, bench.scratch)
        spec, environment = bench.specs[Side.BASELINE], bench.environments[0]
        if inputs is None or not all(map(is_exact, environment.packages.values())):
            return ""
        return Conditions(
            tree=self._start.baseline.tree,
            wheel_digest=environment.wheel_digest,
            packages_digest=environment.packages_digest,
            roots=spec.roots,
            workloads_digest=workspace.workloads_digest(spec, self._configuration.workloads),
            shared=shared,
            inputs=inputs,
            variables=workspace.portable(spec.variables, bench.scratch),
            threads=self._configuration.threads,
            preload=self._configuration.preload,
            worker_digest=content_digest(Path(WORKER)),
            mainstay_version=version("mainstay"),
            traits=computing_traits(),
        ).key

    def _read_kept(self) -> tuple[Trial, ...]:
        """The baseline's trials that are kept under the conditions of this gate; damaged ones are measured anew."""
        from mainstay.baseline_trials import BaselineTrials

        try:
            return BaselineTrials(self._repository.root, self._key).read() if self._key else ()
        except StoreError as error:
            self._notes.append(f"{error.fact}, so they were measured anew ({error.looked_in})")
            return ()

    def _reuse(self, logs: Sequence[WorkloadLog], kept: Sequence[Trial]) -> list[Trial]:
        """The trials that this gate need not measure: chosen when it starts, journalled, and the same when resumed."""
        from mainstay.baseline_trials import reusable_trials

        lines = [line for line in self._folder.journal.read() if line["type"] == "reused"]
        if (
            lines and lines[0].get("key") != self._key
        ):  # resumed elsewhere: what was measured stands, what was not does not
            self._key = ""
            return []
        if lines:
            return self._folder.journal.content(lines[0], "trials", list[Trial])
        trials = [trial for log in logs for trial in reusable_trials(kept, log.workload, log.seeds)]
        self._folder.journal.append("reused", key=self._key, trials=[trial_content(trial) for trial in trials])
        return trials

    def _workloads_to_repeat(self, logs: Sequence[WorkloadLog], kept: Sequence[Trial]) -> frozenset[str]:
        """Workloads whose baseline may be repeated for the sake of later gates."""
        from mainstay.baseline_trials import is_unsteady

        wanted = {log.workload.id for log in logs if self._key and log.workload.kind is Kind.ACCURACY}
        return frozenset(
            name for name in wanted if not is_unsteady([trial for trial in kept if trial.workload == name])
        )

    def _keep(self, logs: Sequence[WorkloadLog], key: str) -> None:
        """Keep the baseline's trials for later gates, unless the conditions changed while they were measured."""
        from mainstay.baseline_trials import BaselineTrials

        if not key or key != self._key:
            return
        trials = [trial for log in logs if log.workload.kind is Kind.ACCURACY for trial in log.baseline_trials]
        try:
            BaselineTrials(self._repository.root, key).keep(trials, run=self._folder.id)
        except StoreError as error:
            self._notes.append(f"{error.fact}, so later gates measure them again ({error.looked_in})")

    def _changed_settings(self) -> Iterator[str]:
        """A note where the change touches the settings that it is judged by."""
        if self._misread:
            yield f"the baseline's [tool.mainstay] does not read ({self._misread}); the candidate's was used for both"
        before, after = self._configuration_before, self._configuration
        names = [item.name for item in fields(Configuration) if getattr(before, item.name) != getattr(after, item.name)]
        if "writable" in names:
            names.remove("writable")
            yield "this change also alters writable of [tool.mainstay]; the baseline's values were used"
        if names:
            yield f"this change also alters {', '.join(names)} of [tool.mainstay]; the candidate's values were used"

    @property
    def _today(self) -> date:
        """The day on which the gate started."""
        return date.fromisoformat(self._start.created[:10])

    def _waivers(self, side: Side) -> tuple[Waiver, ...]:
        """The waivers of a revision."""
        from mainstay.waivers import parse_waivers

        place = self._configuration.waivers
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

        reviewed: tuple[Waiver, ...] = ()
        with suppress(ConfigurationError):  # whoever mends the file must get through
            reviewed = self._waivers(Side.BASELINE)
        for waiver in unknown_waivers(waivers, metrics, self._today, reviewed=reviewed):
            self._notes.append(f"a waiver of {waiver.metric} names nothing that is gated any more: remove it")

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


def plan_agenda(
    baseline: Collection,
    candidate: Collection,
    own: Collection | None = None,
    *,
    changed: Callable[[str], bool],
) -> Agenda:
    """What is to be judged.

    Args:
        baseline: What the baseline can run of the candidate's workloads.
        candidate: What the candidate can run of them.
        own: What the baseline can run of its own workloads; ``None`` where they are the same.
        changed: Whether the baseline does not have a workload as it is now.
    """
    known = {workload.id: workload for workload in (*baseline.workloads, *candidate.workloads)}
    new, gone = _lacked(baseline, candidate), _lacked(candidate, baseline)
    order = [workload.id for workload in candidate.workloads]
    order += [workload.id for workload in baseline.workloads if workload.id not in {*order, *gone}]
    workloads = tuple(known[name] for name in order if known[name].metrics)
    gated = {metric.id for workload in workloads for metric in workload.metrics}
    before = [known[name] for name in gone] + [*(own.workloads if own else ())]
    missing = {metric.id: metric for workload in before for metric in workload.metrics if metric.id not in gated}
    settled = [*map(_missing, missing.values()), *_uncollected(baseline, candidate)]
    return Agenda(
        workloads=workloads,
        changed=frozenset(name for name in order if name in new or changed(name)),
        settled=tuple(settled),
        notes=tuple(f"{known[name].id} gates nothing: it has no marker" for name in order if not known[name].metrics),
        hung=_hung(workloads, {Side.BASELINE: baseline, Side.CANDIDATE: candidate}),
    )


def _hung(
    workloads: Sequence[Workload], collections: Mapping[Side, Collection]
) -> dict[str, tuple[Side, str, tuple[str, ...]]]:
    """The workloads whose file hung while a revision collected it: a trial would hang too."""
    from mainstay.workers import concerns

    return {
        workload.id: (side, problem.cause, collection.last_lines)
        for side, collection in collections.items()
        for problem in collection.problems
        for workload in workloads
        if problem.is_hang and concerns(problem.id, workload.id)
    }


def _lacked(by: Collection, other: Collection) -> list[str]:
    """The workloads that one revision lacks and the other has, though the first can collect their files.

    Such as a case of a test that is parametrised over what the project registers.
    """
    from mainstay.workers import concerns

    known = {workload.id for workload in by.workloads}
    return [
        workload.id
        for workload in other.workloads
        if workload.id not in known and not any(concerns(problem.id, workload.id) for problem in by.problems)
    ]


def _missing(metric: Metric) -> Finding:
    return Finding(
        metric=metric,
        verdict=Verdict.MISSING,
        reason="the baseline gates it and the candidate does not: the workload or its marker was removed",
    )


def _uncollected(baseline: Collection, candidate: Collection) -> list[Finding]:
    """Findings for files that neither revision could collect."""
    broken = {problem.id for problem in baseline.problems}
    return [
        Finding(
            metric=Metric(
                workload=problem.id, name="collection", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.0
            ),
            verdict=Verdict.ERROR,
            reason=f"neither revision can collect it: {problem.cause}",
            blame=Blame.BOTH,
            detail=candidate.last_lines,
        )
        for problem in candidate.problems
        if problem.id in broken
    ]


def restore_trials(logs: Sequence[WorkloadLog], trials: Sequence[Trial]) -> None:
    """Give the logs what an earlier attempt measured; of timed pairs only whole ones, whose sides took turns."""
    by_workload = {log.workload.id: log for log in logs}
    for trial in trials:
        if trial.workload in by_workload:
            by_workload[trial.workload].add(trial)
    for log in logs:
        if log.workload.is_timed:
            log.drop_halves()
