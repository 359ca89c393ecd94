"""The gate command: resolve two revisions, measure them side by side, judge, record.

:func:`gate` starts or resumes a run; :func:`run_gate` lists its steps. Each step lives in a module of its own and takes
the results of the steps before it. Nothing here prints: the caller passes an
:class:`~mainstay.measuring.loop.Observer`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mainstay.commands.basis import Measured, conclude, fix_basis
from mainstay.commands.cluster import Cluster, connected
from mainstay.commands.explain import with_explanation
from mainstay.commands.harness import open_harness
from mainstay.commands.measurement import max_load, measuring, open_ledgers
from mainstay.commands.outcome import RunOutcome, finish
from mainstay.commands.reuse import (
    Cached,
    cache_trials,
    choose_reused,
    find_cached,
    notes_on_reuse,
    repeatable_workloads,
)
from mainstay.commands.review import waivers_of
from mainstay.commands.session import Session, recorded_failure, repository_for_runs
from mainstay.commands.start import Start, StartOptions, choose_baseline, configuration_of, read_settings
from mainstay.commands.tampering import blamed_on_changes, checked
from mainstay.measuring.ledger import restore_trials
from mainstay.measuring.loop import Observer
from mainstay.records.errors import UsageError
from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.records.selections import Selection
from mainstay.records.trials import Side
from mainstay.revisions.git import Repository
from mainstay.store.documents import run_to_json
from mainstay.store.files import FOLDER
from mainstay.store.journal import RUNS, RunFolder, interrupted_run, new_run


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOptions(StartOptions):
    """Options of the gate command.

    Attributes:
        resume: Continue the latest interrupted gate as it was started.
        allow_unjudged: Let a gate that judged nothing pass.
        acknowledged: Metrics whose implausible gain a person has examined.
        cluster: Address of the scheduler of a Dask cluster that measures accuracy; this machine measures all if empty.
        explain: Unless the gate passes, find the first place where the revisions differ.
    """

    resume: bool = False
    allow_unjudged: bool = False
    acknowledged: tuple[str, ...] = ()
    cluster: str = ""
    explain: bool = False


def gate(path: Path, options: GateOptions, *, environ: Mapping[str, str], observer: Observer) -> RunOutcome:
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
    repository = repository_for_runs(path)
    options = replace(options, places=in_project(repository.root, path, options.places))
    with (
        connected(options.cluster) if options.cluster else nullcontext() as cluster,
        _open_run(repository, options, environ) as (folder, start),
        recorded_failure(folder),
    ):
        session = Session(repository, folder, start, environ=environ, observer=observer)
        run = run_gate(session, options, cluster)
        outcome = finish(folder, run)
        if options.explain and run.verdict is not Verdict.PASS:
            run = with_explanation(repository, run, folder.path, environ=environ, observer=observer)
            folder.write("run.json", run_to_json(run))
    return replace(outcome, run=run)


def run_gate(session: Session, options: GateOptions, cluster: Cluster | None) -> Run:
    """Build, collect, plan, measure and judge.

    Args:
        session: Session of a run that was started or resumed.
        options: Options of the command.
        cluster: Cluster that measures accuracy; ``None`` to measure all on this machine.

    Raises:
        MainstayError: If nothing can be judged.
    """
    waivers = waivers_of(session, Side.CANDIDATE)  # first, since a mistake in them is told before anything is built
    with blamed_on_changes(session), open_harness(session) as harness:
        with checked(session, harness, elsewhere=cluster.tampering if cluster else ()) as check:
            basis = fix_basis(session, harness, waivers)
            basis.require_known(options.acknowledged)
            ledgers = open_ledgers(basis.agenda, basis.plan)
            cached, reused = choose_reused(
                session, Cached() if basis.is_unchanged else find_cached(session, harness), ledgers
            )
            restore_trials(ledgers, [*reused, *session.folder.journal.trials()])
            basis.pass_proved(ledgers)
            repeats = repeatable_workloads(cached, ledgers)
            with measuring(
                session, harness, basis.agenda, basis.plan, ledgers, waive=basis.waive, repeats=repeats, cluster=cluster
            ) as measurement:
                findings = measurement.run()
        if check.tampering:
            cached = replace(cached, keys={})
        caching_notes = cache_trials(session, harness, cached, ledgers)
        measured = Measured(
            findings=findings,
            workloads=measurement.results(),
            notes=(
                *check.notes,
                *harness.seals.notes,
                *(cluster.notes if cluster else ()),
                *measurement.notes,
                *cached.notes,
                *caching_notes,
                *notes_on_reuse(ledgers),
            ),
            tampering=check.tampering,
            max_load=max_load(ledgers),
            phases_s=session.watch.seconds,
        )
    run = conclude(
        basis,
        measured,
        run_id=session.folder.id,
        repository=session.repository,
        environ=session.environ,
        allow_unjudged=options.allow_unjudged,
        acknowledged=options.acknowledged,
    )
    return replace(run, on_cluster=cluster is not None)


@contextmanager
def _open_run(
    repository: Repository, options: GateOptions, environ: Mapping[str, str]
) -> Iterator[tuple[RunFolder, Start]]:
    """Lock the folder of a new or interrupted run; gives it with the choices that were fixed when the run started."""
    if options.resume:
        with interrupted_run(repository.root, Start) as folder:
            start = folder.journal.start(Start)
            _require_same(repository, options, start, folder)
            yield folder, start
    else:
        start = choose_start(repository, options, environ)
        with new_run(repository.root, datetime.fromisoformat(start.created), asdict(start)) as folder:
            yield folder, start


def _require_same(repository: Repository, options: GateOptions, start: Start, folder: RunFolder) -> None:
    """Refuse options that a resumed gate would not follow, since it keeps those with which it started.

    Raises:
        UsageError: If an option that was given differs.
    """
    revisions = {"--baseline": (options.baseline, start.baseline), "--candidate": (options.candidate, start.candidate)}
    given: dict[str, tuple[object, object]] = {
        **{name: (wanted and repository.commit_of(wanted), kept.commit) for name, (wanted, kept) in revisions.items()},
        "--seconds": (options.seconds, start.seconds),
        "--fail-fast": (options.fail_fast, start.fail_fast),
        "--fresh": (options.fresh or None, bool(start.salt)),
        "--only": (options.only, start.only),
        "--pairs": (options.pairs, start.pairs),
        "-k": (options.keyword.strip() or None, start.selection.keyword),
        "-m": (options.marks.strip() or None, start.selection.marks),
        "FILE": (options.places or None, start.selection.places),
    }
    if differing := [name for name, (wanted, kept) in given.items() if wanted is not None and wanted != kept]:
        raise UsageError(
            f"the interrupted gate was started with another {', '.join(differing)}",
            looked_in=f"{FOLDER}/{RUNS}/{folder.id}",
            next_step="leave that out, since it continues as it was started; or start a new gate without --resume",
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
            raise UsageError(
                f"{place} lies outside the project", looked_in=str(root), next_step="name workloads inside it"
            )
        found.append(f"{absolute.relative_to(top).as_posix()}{separator}{test}")
    return tuple(found)


def choose_start(repository: Repository, options: StartOptions, environ: Mapping[str, str]) -> Start:
    """Fix the two revisions and the options that a resumed gate must keep."""
    candidate = repository.candidate(options.candidate)
    repository.refuse_tracked_runs(candidate.revision.commit)
    configuration = configuration_of(repository, candidate.revision.commit)
    baseline = choose_baseline(repository, candidate, configuration, requested=options.baseline, environ=environ)
    settings = read_settings(repository, baseline.revision, candidate.revision).in_force
    head = repository.head_of_pull_request(candidate.revision.commit, environ)
    created = datetime.now(UTC)
    return Start(
        baseline=baseline.revision,
        candidate=replace(candidate.revision, head=head),
        notes=(*baseline.notes, *candidate.notes, *([f"only {options.only} was gated"] if options.only else [])),
        salt=created.isoformat() if options.fresh else "",
        created=created.isoformat(timespec="seconds"),
        seconds=settings.seconds if options.seconds is None else options.seconds,
        fail_fast=settings.fail_fast if options.fail_fast is None else options.fail_fast,
        only=options.only,
        pairs=options.pairs,
        selection=Selection(keyword=options.keyword.strip(), marks=options.marks.strip(), places=options.places),
    )
