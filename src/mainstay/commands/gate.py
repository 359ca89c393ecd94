"""The gate command: resolve two revisions, measure them side by side, judge, record.

:func:`gate` starts or resumes a run; :func:`run_gate` lists its steps. Each step lives in a module of its own and takes
the results of the steps before it. Nothing here prints: the caller passes an
:class:`~mainstay.measuring.loop.Observer`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mainstay.commands.collecting import collect_agenda
from mainstay.commands.earlier_runs import tell_earlier_runs
from mainstay.commands.harness import Harness, open_harness
from mainstay.commands.measurement import measuring, open_ledgers
from mainstay.commands.planning import fix_plan, note_on_noise, note_on_pairs
from mainstay.commands.proof import Proof, prove
from mainstay.commands.reuse import (
    Cached,
    cache_trials,
    choose_reused,
    find_cached,
    notes_on_reuse,
    repeatable_workloads,
)
from mainstay.commands.review import changes_of_judgement, notes_on_waivers, waivers_of
from mainstay.commands.session import Session, check_platform, recorded_failure
from mainstay.commands.start import Start, choose_baseline, configuration_of, read_settings
from mainstay.commands.tampering import find_tampering, spoiled
from mainstay.gates.exact import judge_reworded, judge_unchanged
from mainstay.gates.policy import GateFacts, judge_gate
from mainstay.gates.tasks import acknowledge_gains
from mainstay.gates.tolerance import tolerate_calibrated
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.ledger import restore_trials
from mainstay.measuring.loop import Observer
from mainstay.project.waivers import apply_waivers
from mainstay.records.errors import UsageError
from mainstay.records.runs import Run
from mainstay.records.selections import Selection
from mainstay.records.trials import Side
from mainstay.revisions.git import Repository
from mainstay.store.documents import run_to_json
from mainstay.store.journal import RunFolder, interrupted_run, new_run
from mainstay.workers.machine import describe_machine


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOptions:
    """Options of the gate command.

    Attributes:
        baseline: Revision to compare with; the merge base if ``None``.
        candidate: Revision to judge; the working tree if ``None``.
        resume: Continue the latest interrupted gate.
        allow_unjudged: Let a gate that judged nothing pass.
        fail_fast: Stop at the first ``fail``; as configured if ``None``.
        seconds: Time budget for measuring; as configured if ``None``.
        fresh: Draw new seeds instead of those derived from the baseline; no baseline trial is then reused or cached.
        only: ``accuracy``, or ``performance`` for time and memory; everything if ``None``.
        pairs: Number of pairs before a single look, for an estimate free of early-stopping bias; as configured if ``None``.
        keyword: Gate the workloads that this expression of pytest's ``-k`` selects; all if empty.
        marks: Gate the workloads that this expression of pytest's ``-m`` selects; all if empty.
        acknowledged: Metrics whose implausible gain a person has examined.
        places: Gate the workloads of these files, folders and node ids, relative to the current folder; all if empty.
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
    keyword: str = ""
    marks: str = ""
    places: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOutcome:
    """Result of a gate.

    Attributes:
        run: The run document.
        path: File that it was written to.
    """

    run: Run
    path: Path


def gate(path: Path, options: GateOptions, *, environ: Mapping[str, str], observer: Observer) -> GateOutcome:
    """Judge a candidate against its baseline.

    Args:
        path: A folder in the user's repository.
        options: Options of the command.
        environ: The user's environment.
        observer: Receives progress reports.

    Returns:
        The run, which has been written to the run's folder.

    Raises:
        MainstayError: If nothing can be judged; its ``exit_status`` says why.
        Interrupted: On Ctrl-C; completed measurements are in the journal.
    """
    check_platform(sys.platform)
    repository = Repository.discover(path)
    repository.refuse_tracked_runs()
    repository.sweep()
    options = replace(options, places=in_project(repository.root, path, options.places))
    with _open_run(repository, options, environ) as (folder, start), recorded_failure(folder):
        session = Session.of_run(repository, folder, start, environ=environ, observer=observer)
        run = run_gate(session, allow_unjudged=options.allow_unjudged, acknowledged=options.acknowledged)
        place = folder.write("run.json", run_to_json(run))
        folder.journal.append("finish", verdict=run.verdict, exit_status=run.exit_status)
    return GateOutcome(run=run, path=place)


def run_gate(session: Session, *, allow_unjudged: bool, acknowledged: Sequence[str] = ()) -> Run:
    """Build, collect, plan, measure and judge.

    Args:
        session: Session of a run that was started or resumed.
        allow_unjudged: Whether a gate that judged nothing passes.
        acknowledged: Metrics whose implausible gain a person has examined.

    Raises:
        MainstayError: If nothing can be judged.
    """
    waivers = waivers_of(session, Side.CANDIDATE)
    with open_harness(session) as harness:
        agenda = collect_agenda(session, harness)
        waiver_notes = notes_on_waivers(session, agenda, waivers)
        _require_known(acknowledged, agenda)
        machine = describe_machine()

        proof = prove(session, harness, agenda)
        proved = proof.proved(agenda)
        plan = fix_plan(session, agenda, proved=proved)
        outlook = [
            note for note in (note_on_pairs(plan, session.configuration.pair_seconds), note_on_noise(plan)) if note
        ]
        for note in outlook:
            session.observer.note(note)

        ledgers = open_ledgers(agenda, plan)
        cached, reused = choose_reused(session, Cached() if proof.holds else find_cached(session, harness), ledgers)
        restore_trials(ledgers, [*reused, *session.folder.journal.trials()])
        for ledger in ledgers:
            if ledger.workload.id in proved:
                ledger.pass_proved(judge_unchanged if proof.holds else judge_reworded)

        repeats = repeatable_workloads(cached, ledgers)
        with measuring(session, harness, agenda, plan, ledgers, repeats=repeats) as measurement:
            findings = acknowledge_gains(measurement.run(), acknowledged)
            findings = apply_waivers(findings, waivers, session.today)
        shared = session.repository.shared_digests(plan.share)
        if changes := find_tampering(harness, shared):
            findings = spoiled(findings, changes)
            cached = replace(cached, keys={})
        if plan.inconclusive == "warn":
            findings = tolerate_calibrated(findings, plan.deviations)
        findings, history_note = tell_earlier_runs(
            session.repository, findings, baseline=session.start.baseline.commit, environ=session.environ
        )
        caching_notes = cache_trials(session, harness, cached, ledgers, shared=shared)

        judgement = judge_gate(
            GateFacts(
                findings=findings,
                allow_unjudged=allow_unjudged,
                is_first=session.settings.is_first,
                inconclusive=plan.inconclusive,
            )
        )
        notes = [
            *_notes_on_start(session, harness, proof),
            *agenda.notes,
            *outlook,
            *measurement.notes,
            *waiver_notes,
            *cached.notes,
            *caching_notes,
            *notes_on_reuse(ledgers),
            history_note,
        ]
        return Run(
            id=session.folder.id,
            created=session.start.created,
            mainstay_version=version("mainstay"),
            verdict=judgement.verdict,
            reason=judgement.reason,
            exit_status=judgement.exit_status,
            baseline=session.start.baseline,
            candidate=session.start.candidate,
            environments=harness.environments,
            machine=machine,
            plan=plan,
            findings=findings,
            workloads=measurement.results(),
            notes=tuple(without_home(note, str(Path.home())) for note in notes if note),
            changes=tuple(changes_of_judgement(session, harness, agenda, waivers)),
            differing_files=proof.differing_files,
            phases_s=session.watch.seconds,
            max_load=max((trial.load for log in ledgers for trial in log.trials.values() if trial.load), default=None),
        )


@contextmanager
def _open_run(
    repository: Repository, options: GateOptions, environ: Mapping[str, str]
) -> Iterator[tuple[RunFolder, Start]]:
    """Lock the folder of a new or interrupted run; gives it with the choices that were fixed when the run started."""
    if options.resume:
        with interrupted_run(repository.root, Start) as folder:
            yield folder, folder.journal.start(Start)
    else:
        start = choose_start(repository, options, environ)
        with new_run(repository.root, datetime.fromisoformat(start.created), asdict(start)) as folder:
            yield folder, start


def _require_known(acknowledged: Sequence[str], agenda: Agenda) -> None:
    """Refuse names of no metric, since a typing error must not pass for a decision.

    Raises:
        UsageError: For the first such name.
    """
    known = {name for metric in agenda.known for name in (metric.name, metric.id)}
    if slip := next((name for name in acknowledged if name not in known), None):
        raise UsageError(
            f"no metric is called {slip!r}",
            looked_in="--acknowledge-gain",
            next_step="name a metric as the report does",
        )


def in_project(root: Path, folder: Path, places: Sequence[str]) -> tuple[str, ...]:
    """Files, folders and node ids relative to the project.

    Args:
        root: The project's folder.
        folder: The folder to which the places are relative.
        places: Files, folders and node ids as the user named them.

    Raises:
        UsageError: If a place lies outside the project.
    """
    top, found = root.resolve(), []
    for place in places:
        file, separator, test = place.partition("::")
        absolute = Path(os.path.abspath(folder.resolve() / file))  # a link in the project keeps its name
        if not absolute.is_relative_to(top):
            raise UsageError(f"{place} lies outside the project", looked_in=str(root), next_step="name workloads of it")
        found.append(f"{absolute.relative_to(top).as_posix()}{separator}{test}")
    return tuple(found)


def _notes_on_start(session: Session, harness: Harness, proof: Proof) -> Iterator[str]:
    """Notes on how the gate was set up."""
    yield from session.start.notes
    if misread := session.settings.misread:
        yield f"the baseline's [tool.mainstay] cannot be read ({misread}); the candidate's was used for both"
    yield from (harness.prepared.notice, harness.preload_note, *harness.seals.notes, proof.note)


def choose_start(repository: Repository, options: GateOptions, environ: Mapping[str, str]) -> Start:
    """Fix the two revisions and the options that a resumed gate must keep."""
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
        selection=Selection(keyword=options.keyword.strip(), marks=options.marks.strip(), places=options.places),
    )


def without_home(note: str, home: str) -> str:
    """Replace the user's home in a note by ``~``, unless the home is the root folder.

    Example:
        >>> without_home("cached in /home/a/data", "/home/a"), without_home("cached in /data", "/")
        ('cached in ~/data', 'cached in /data')
    """
    return note.replace(home, "~") if len(home) > 1 else note
