"""Measuring according to the plan: ledgers with the known trials, and the measurement that adds to them.

- :func:`open_ledgers`: an empty ledger for each workload.
- :func:`measuring`: the measurement of pairs, with its workers.
- :func:`max_load`: the largest load by other processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from mainstay.commands.cluster import Cluster, deployed
from mainstay.commands.harness import Harness
from mainstay.commands.planning import margins_of
from mainstay.commands.session import Session
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.ledger import WorkloadLog, examples_to_show
from mainstay.measuring.loop import Measurement
from mainstay.records.findings import Finding, MeasuredWith
from mainstay.records.plans import Plan
from mainstay.records.trials import Side, Trial
from mainstay.workers.interleaved import TimedRequest, TimedResult, run_timed_pair
from mainstay.workers.pairs import PairRequest, PairResult, run_pair
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import LiveWorkers

_Specs = Mapping[MeasuredWith, Mapping[Side, WorkerSpec]]


def open_ledgers(agenda: Agenda, plan: Plan) -> list[WorkloadLog]:
    """Make an empty ledger for each workload; a workload that hung during collection is refused.

    Args:
        agenda: Workloads to be measured.
        plan: Plan with the seeds.
    """
    ledgers = make_logs(agenda.assignments, plan.seeds)
    for ledger in ledgers:
        if ledger.workload.id in agenda.hung:
            ledger.refuse(*agenda.hung[ledger.workload.id])
    return ledgers


@contextmanager
def measuring(
    session: Session,
    harness: Harness,
    agenda: Agenda,
    plan: Plan,
    ledgers: Sequence[WorkloadLog],
    *,
    waive: Callable[[Sequence[Finding]], Sequence[Finding]] = tuple,
    repeats: frozenset[str] = frozenset(),
    executor: Executor | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Measurement]:
    """Open the measurement of pairs, and close it afterwards.

    By default, threads of this process measure: each trial is journalled as soon as it ends, the servers of the harness
    fork workers, and all workers are stopped on an error. Another executor receives only plain data, so its threads or
    processes may be anywhere. Then every worker is a fresh interpreter, trials are journalled pair by pair, and an interrupted
    gate waits for the trials that are running.

    Args:
        session: Session of the run.
        harness: Both revisions.
        agenda: Workloads to be judged.
        plan: Plan of the run.
        ledgers: Ledger of each workload, with the known trials.
        waive: Applies the waivers to findings.
        repeats: Workloads whose baseline may be repeated to help later gates.
        executor: Executor that measures pairs; it stays open.
        cluster: Cluster that measures the pairs whose execution allows it.

    Yields:
        The measurement, which has not begun.
    """

    def keep_trial(trial: Trial) -> None:
        session.folder.journal.append_trial(trial)
        session.observer.trial_done(trial)

    live = LiveWorkers(harness.launchers, keep_trial) if executor is None else None
    specs, margins = harness.specs_of_both, margins_of(session, agenda)
    with ExitStack() as stack:
        pool = executor or stack.enter_context(ThreadPoolExecutor(plan.jobs))
        elsewhere = stack.enter_context(deployed(cluster, session, harness, pool, keep_trial)) if cluster else None
        measurement = Measurement(
            logs=ledgers,
            settled=agenda.settled,
            groups=plan.groups,
            design=Design.of(plan),
            salt=plan.salt,
            commit=session.start.baseline.commit,
            margin_of=margins,
            tier_margin_of=margins.of_baseline,
            measure=partial(_measure_pair, specs, live=live, together=plan.jobs > 1),
            measure_timed=partial(_measure_timed_pair, specs, live=live),
            executor=pool,
            num_at_once=plan.jobs,
            elsewhere=elsewhere,
            repeats=repeats,
            trial_seconds=plan.trial_seconds,
            pair_seconds=plan.pair_seconds,
            longest_pair_seconds=plan.longest_pair_seconds,
            fail_fast=plan.fail_fast,
            waive=waive,
            deadline=time.monotonic() + plan.seconds,
            observer=session.observer,
            keep_trial=None if live else keep_trial,
        )
        try:
            yield measurement
        except BaseException:
            if live:
                live.stop()
            raise
    session.watch.lap("measuring")


def max_load(ledgers: Sequence[WorkloadLog]) -> float | None:
    """Largest load by other processes seen during a trial, in processors; ``None`` if unknown.

    Args:
        ledgers: Ledger of each workload.
    """
    return max((trial.load for log in ledgers for trial in log.trials.values() if trial.load is not None), default=None)


def _measure_pair(
    specs: _Specs, request: PairRequest, known: Sequence[Trial], *, live: LiveWorkers | None, together: bool
) -> PairResult:
    """Measure a pair of whole runs with the workers for the requested workload files."""
    of_files = specs[request.measured_with]
    return run_pair(of_files, request, known, together=together, choose_examples=examples_to_show, live=live)


def _measure_timed_pair(specs: _Specs, request: TimedRequest, *, live: LiveWorkers | None) -> TimedResult:
    """Measure a timed pair with the workers for the requested workload files."""
    return run_timed_pair(specs[request.measured_with], request, live=live)
