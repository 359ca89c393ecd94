"""The main job: resolve two revisions, measure them side by side, judge, record.

:func:`gate` is the whole of it, a list of plain steps; each step lives in a module of its own. Nothing here prints:
whoever calls it passes an :class:`~mainstay.measuring.loop.Observer`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from mainstay.commands.proof import prove_unchanged
from mainstay.commands.session import Bench, Job, check_platform, recorded_failure
from mainstay.commands.start import Start, choose_baseline, configuration_of, read_settings
from mainstay.gates.policy import GateFacts, Plan, judge_gate
from mainstay.measuring import changes
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.baseline_cache import BaselineTrials, Conditions, is_exact, is_unsteady, reusable_trials
from mainstay.measuring.ledger import WorkloadLog
from mainstay.measuring.loop import Observer
from mainstay.project.waivers import apply_waivers, parse_waivers, unknown_waivers
from mainstay.records.errors import ConfigurationError, EnvironmentBuildError, StoreError
from mainstay.records.findings import Blame, Finding, Verdict, Waiver
from mainstay.records.metrics import Kind, Metric
from mainstay.records.runs import Change, Run, Settings
from mainstay.records.trials import Side, Trial
from mainstay.revisions import workspace
from mainstay.revisions.git import Repository
from mainstay.store.documents import run_to_json
from mainstay.store.files import content_digest
from mainstay.store.journal import RunFolder, interrupted_run, new_run, trial_content
from mainstay.workers.machine import computing_traits, describe_machine
from mainstay.workers.process import WORKER

SPOILED_ADVICE = (
    "let the code write to the folder that tempfile.gettempdir() names, or to HOME, never beside its modules"
)
"""The next step where something was changed that no worker may change."""


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
        pairs: Pairs after which the gate looks once, for an estimate that no early stop biases; as configured if ``None``.
    """

    baseline: str | None = None
    candidate: str | None = None
    resume: bool = False
    allow_unjudged: bool = False
    fail_fast: bool | None = None
    seconds: float | None = None
    fresh: bool = False
    only: str | None = None
    pairs: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOutcome:
    """What a gate leaves.

    Attributes:
        run: The document.
        path: Where it was written.
    """

    run: Run
    path: Path


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


def choose_start(repository: Repository, options: GateOptions, environ: Mapping[str, str]) -> Start:
    """Fix the two revisions and what a resumed gate must do alike."""
    candidate = repository.candidate(options.candidate)
    repository.refuse_tracked_runs(candidate.revision.commit)
    configuration = configuration_of(repository, candidate.revision)
    baseline = choose_baseline(repository, candidate, configuration, requested=options.baseline, environ=environ)
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
        pairs=options.pairs,
    )


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
        machine = describe_machine()
        proof = prove_unchanged(self._settings_of_both, bench, agenda)
        plan = self._plan(agenda)
        if proof.holds:  # no pair will be measured: what is proved shares no error
            plan = replace(plan, num_gated=0)
        else:
            self._keys = self._keys_of_conditions(bench, self._shared)
        kept = self._read_kept()
        logs = self._logs(agenda, plan.max_pairs, reuse=lambda logs: self._reuse(logs, kept))
        if proof.holds:
            for log in logs:
                log.pass_unchanged()
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
        if self._keys:
            self._keep(logs, self._keys_of_conditions(bench, shared))
        facts = GateFacts(
            findings=findings,
            allow_unjudged=self._options.allow_unjudged,
            inconclusive_status=self._configuration.inconclusive,
        )
        judgement = judge_gate(facts)
        notes = [*self._start.notes, *self._misread_note(), bench.prepared.notice, bench.preload_note]
        notes += [*bench.seals.notes, proof.note]
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
            changes=tuple(self._changes(bench, agenda, waivers)),
            phases_s=self._watch.seconds,
            max_load=max((trial.load for log in logs for trial in log.trials.values() if trial.load), default=None),
        )

    def _keys_of_conditions(self, bench: Bench, shared: Mapping[str, str]) -> Mapping[Side, str]:
        """Key of all that could change a trial of the baseline, by whose workload files it runs with.

        Returns:
            Nothing where no trial is to be kept or reused.
        """
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
            worker_digest=content_digest(Path(WORKER), suffix=".py"),
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
        kept = {}
        for side, key in self._keys.items():
            try:
                kept[side] = BaselineTrials(self._repository.root, key).read()
            except StoreError as error:
                self._notes.append(f"{error.fact}, so they were measured anew ({error.looked_in})")
        return kept

    def _reuse(self, logs: Sequence[WorkloadLog], kept: Mapping[Side, Sequence[Trial]]) -> list[Trial]:
        """The trials that this gate need not measure: chosen when it starts, journalled, and the same when resumed."""
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
        wanted = [log for log in logs if self._keys and log.workload.kind is Kind.ACCURACY]
        return frozenset(
            log.workload.id
            for log in wanted
            if not is_unsteady([trial for trial in _kept_of(log, kept) if trial.workload == log.workload.id])
        )

    def _keep(self, logs: Sequence[WorkloadLog], keys: Mapping[Side, str]) -> None:
        """Keep the baseline's trials for later gates, unless the conditions changed while they were measured."""
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

    def _changes(self, bench: Bench, agenda: Agenda, waivers: Sequence[Waiver]) -> Iterator[Change]:
        """What the change alters of the means by which it is judged."""
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
        yield from changes.startup_changes(*(bench.startup[side] for side in Side))
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
