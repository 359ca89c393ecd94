"""What the commands that measure share: the build of both revisions, the collection, the measurement.

Nothing here prints: whoever calls it passes an :class:`~mainstay.measuring.loop.Observer`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from mainstay.commands.start import Start, read_settings
from mainstay.gates.policy import Plan
from mainstay.measuring.agenda import Agenda, Collected, part_of, plan_agenda, with_review
from mainstay.measuring.ledger import WorkloadLog, examples_to_show, make_logs
from mainstay.measuring.loop import Measurement, Observer
from mainstay.measuring.strictness import Margins, require_known_margins
from mainstay.records.errors import (
    ConfigurationError,
    Interrupted,
    MainstayError,
    StoreError,
    UsageError,
)
from mainstay.records.findings import Finding, MeasuredWith
from mainstay.records.metrics import Kind
from mainstay.records.runs import Environment
from mainstay.records.trials import Side, Trial
from mainstay.revisions import environments, workspace
from mainstay.revisions.environments import Resolution, SubjectEnvironment
from mainstay.revisions.git import Repository
from mainstay.revisions.layers import Layer, layers_folder
from mainstay.revisions.workspace import Prepared, PytestSettings, Seals, add_worktrees, open_layers, pytest_settings
from mainstay.store.integrity import find_changes, take_manifest
from mainstay.store.journal import RunFolder
from mainstay.workers.collecting import Collection, collect_workloads
from mainstay.workers.fork_server import can_fork, describe_preload, fork_servers
from mainstay.workers.interleaved import TimedRequest, TimedResult, run_timed_pair
from mainstay.workers.machine import usable_cores
from mainstay.workers.pairs import PairRequest, PairResult, run_pair
from mainstay.workers.process import Launcher, WorkerSpec, at_once, collecting_seconds, start_fresh
from mainstay.workers.session import LiveWorkers

ACCEPT = "review it, accept it with a waiver"
"""What a person does about a change of what judges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """All that is needed to measure.

    Attributes:
        specs: Workers of both revisions, by whose workload files they run with; the baseline's alone where these are equal.
        environments: Of both revisions.
        subjects: What is installed of each revision.
        prepared: What ``prepare`` gave, and what it had to say.
        scratch: The gate's temporary folder.
        preload_note: How ``preload`` is followed; empty where it names nothing.
        seals: What no worker may change.
        launchers: What starts the workers of each side; empty for fresh interpreters.
    """

    specs: Mapping[Side, Mapping[Side, WorkerSpec]]
    environments: tuple[Environment, ...]
    subjects: Mapping[Side, SubjectEnvironment]
    prepared: Prepared
    scratch: Path
    preload_note: str
    seals: Seals
    launchers: Mapping[Side, Launcher] = field(default_factory=dict)

    @property
    def startup(self) -> Mapping[Side, Mapping[str, str]]:
        """Code of each revision's own wheels that runs in every worker, by what it is."""
        return {side: subject.startup for side, subject in self.subjects.items()}

    @property
    def specs_of_both(self) -> Mapping[MeasuredWith, Mapping[Side, WorkerSpec]]:
        """The workers of both revisions, by what a workload is measured with."""
        return {
            measured_with: {side: self.specs[measured_with.files_for(side)][side] for side in Side}
            for measured_with in MeasuredWith
            if all(measured_with.files_for(side) in self.specs for side in Side)
        }


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
        with self._repository.scratch_folder() as scratch, ExitStack() as stack:
            trees = add_worktrees(self._repository, self._start.revisions, scratch)
            self._watch.lap("revisions")
            self._observer.phase("environments")
            untouched = take_manifest(trees[Side.BASELINE])
            resolutions = self._resolutions(trees)
            if find_changes(trees[Side.BASELINE], untouched):  # what resolves may run code of either revision
                self._repository.remove_worktree(trees[Side.BASELINE])
                self._repository.add_worktree(self._start.baseline.commit, trees[Side.BASELINE])
            layers = stack.enter_context(open_layers(resolutions.values()))
            bench = self._build(scratch, trees, resolutions, layers)
            launchers = stack.enter_context(self._launchers(bench))
            self._watch.lap("preparation")
            yield replace(bench, launchers=launchers)

    @property
    def _collecting_seconds(self) -> float:
        """How long importing and collecting may take before it counts as hung."""
        return collecting_seconds(self._configuration.trial_seconds, self._start.seconds)

    @contextmanager
    def _launchers(self, bench: Bench) -> Iterator[Mapping[Side, Launcher]]:
        """Servers that start the workers, where the settings name modules to preload."""
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
        seals = workspace.Seals(layers.values())
        sources = Side if self._workloads_differ() else (Side.BASELINE,)
        measuring = {}

        def seal(side: Side, subject: SubjectEnvironment) -> None:
            """Take down what is measured of a revision, before code of the other one runs."""
            seals.add(f"the environment of the {side}", subject.environment)
            # only now, or a build backend could pack what is shared
            shared = self._repository.link_shared(self._configuration.share, trees[side])
            self._shared = self._shared or shared
            if side in sources:
                folder = scratch / "measure" / workspace.FOLDERS[side]
                workloads = self._settings_of_both.judging[side].workloads
                measuring[side] = workspace.copy_workloads(trees[side], folder, workloads, self._configuration.share)
                seals.add("the workloads", folder)

        version = self._repository.latest_version(self._start.baseline.commit)
        subjects = workspace.build_subjects(trees, resolutions, layers, scratch, version=version, on_built=seal)
        self._watch.lap("environments")
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
        self._watch.lap("preparation")
        return Bench(
            specs=specs,
            environments=tuple(
                replace(subjects[side].record, variables=workspace.recorded(variables)) for side in Side
            ),
            subjects=subjects,
            prepared=prepared,
            scratch=scratch,
            preload_note=describe_preload(self._configuration.preload, sys.platform),
            seals=seals,
        )

    def _resolutions(self, trees: Mapping[Side, Path]) -> Mapping[Side, Resolution]:
        """Dependencies of both revisions, as they were when the gate started."""
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
        return {
            side: pytest_settings(partial(self._repository.read_file, revision.commit))
            for side, revision in self._start.revisions.items()
        }

    def _collect(self, bench: Bench) -> Agenda:
        """What is to be judged, from what both revisions can collect of the files of each."""
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
        agenda = with_review(agenda, "; ".join(filter(None, self._reviews(bench))))
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

    def _reviews(self, bench: Bench) -> Iterator[str]:
        """What a person has to review before anything passes: what measured otherwise than the baseline would have."""
        yield startup_review(bench.startup)
        prepare = {self._settings_of_both.judging[side].prepare for side in Side}
        if len(prepare) > 1:
            yield f"the command prepare changed, and the candidate's prepared both revisions: {ACCEPT}"

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
        return Plan(
            alpha=self._configuration.alpha,
            edge=self._configuration.edge,
            looks=(self._start.pairs,) if self._start.pairs else self._configuration.looks,
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
        live = LiveWorkers(bench.launchers, self._keep_trial)
        specs = bench.specs_of_both

        def measure(request: PairRequest, known: Sequence[Trial]) -> PairResult:
            return run_pair(
                specs[request.measured_with],
                request,
                known,
                together=self._jobs > 1,
                choose_examples=examples_to_show,
                live=live,
            )

        def measure_timed(request: TimedRequest) -> TimedResult:
            return run_timed_pair(specs[request.measured_with], request, live=live)

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
                live.stop()
                raise
        self._watch.lap("measuring")

    def _keep_trial(self, trial: Trial) -> None:
        self._folder.journal.append_trial(trial)
        self._observer.trial_done(trial)


def startup_review(startup: Mapping[Side, Mapping[str, str]]) -> str:
    """What a person has to review before anything passes, where the candidate alone brings along code that runs unasked.

    Args:
        startup: Code that runs in every worker of each revision, by what it is.

    Example:
        >>> startup_review({Side.BASELINE: {"a.pth": "1"}, Side.CANDIDATE: {"a.pth": "1", "b.pth": "2"}})
        "the candidate's wheel brings along code that runs in every worker (b.pth): review it, accept it with a waiver"
    """
    new = [name for name, version in startup[Side.CANDIDATE].items() if startup[Side.BASELINE].get(name) != version]
    if not new:
        return ""
    what = "the candidate's wheel brings along code that runs in every worker"
    return f"{what} ({', '.join(sorted(new))}): {ACCEPT}"


def restore_trials(logs: Sequence[WorkloadLog], trials: Sequence[Trial]) -> None:
    """Give the logs what an earlier attempt measured; of timed pairs only whole ones, whose sides took turns."""
    by_workload = {log.workload.id: log for log in logs}
    for trial in trials:
        if trial.workload in by_workload:
            by_workload[trial.workload].add(trial)
    for log in logs:
        if log.workload.is_timed:
            log.drop_halves()
