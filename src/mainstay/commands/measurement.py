"""Measuring by the plan: ledgers with the known trials, and the measurement that adds to them.

- :func:`open_ledgers`: one a workload, without trials.
- :func:`measuring`: what measures pairs, with its workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from mainstay.commands.harness import Harness
from mainstay.commands.planning import margins_of
from mainstay.commands.session import Session
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.ledger import WorkloadLog, examples_to_show, make_logs
from mainstay.measuring.loop import Measurement
from mainstay.records.plans import Plan
from mainstay.records.trials import Trial
from mainstay.workers.interleaved import TimedRequest, TimedResult, run_timed_pair
from mainstay.workers.pairs import PairRequest, PairResult, run_pair
from mainstay.workers.session import LiveWorkers


def open_ledgers(agenda: Agenda, plan: Plan) -> list[WorkloadLog]:
    """Make an empty ledger for each workload; a workload that hung during collection is refused.

    Args:
        agenda: What is to be measured.
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
    repeats: frozenset[str] = frozenset(),
) -> Iterator[Measurement]:
    """Open the measurement of pairs; its workers are stopped on any error.

    Args:
        session: Session of the run.
        harness: Both revisions.
        agenda: Workloads to be judged.
        plan: Plan of the run.
        ledgers: One a workload, with the trials that are known.
        repeats: Workloads whose baseline may be repeated for the sake of later gates.

    Yields:
        The measurement, which has not begun.
    """

    def keep_trial(trial: Trial) -> None:
        session.folder.journal.append_trial(trial)
        session.observer.trial_done(trial)

    live = LiveWorkers(harness.launchers, keep_trial)
    specs = harness.specs_of_both

    def measure(request: PairRequest, known: Sequence[Trial]) -> PairResult:
        return run_pair(
            specs[request.measured_with],
            request,
            known,
            together=plan.jobs > 1,
            choose_examples=examples_to_show,
            live=live,
        )

    def measure_timed(request: TimedRequest) -> TimedResult:
        return run_timed_pair(specs[request.measured_with], request, live=live)

    with ThreadPoolExecutor(plan.jobs) as executor:
        measurement = Measurement(
            logs=ledgers,
            settled=agenda.settled,
            design=Design.of(plan),
            salt=plan.salt,
            commit=session.start.baseline.commit,
            margin_of=margins_of(session, agenda),
            measure=measure,
            measure_timed=measure_timed,
            executor=executor,
            num_at_once=plan.jobs,
            repeats=repeats,
            trial_seconds=plan.trial_seconds,
            pair_seconds=plan.pair_seconds,
            fail_fast=plan.fail_fast,
            deadline=time.monotonic() + plan.seconds,
            observer=session.observer,
        )
        try:
            yield measurement
        except BaseException:
            live.stop()
            raise
    session.watch.lap("measuring")
