"""The plan of a run: fixed once, before the first pair, and unchanged when the run is resumed.

- :func:`fix_plan`: the :class:`~mainstay.records.plans.Plan` of a session, journalled when the run starts.
- :func:`note_on_pairs`, :func:`note_on_noise`: notes on what the budget or the calibrated noise will leave undecided,
  with a remedy.
- :func:`margins_of`: the margin of each metric, under the markers and settings of both revisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from mainstay.commands.session import Session
from mainstay.gates.calibration import LONGEST_LOOKS
from mainstay.gates.findings import smallest_honest_margin
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Agenda, Assignment
from mainstay.measuring.grouped import plan_groups
from mainstay.measuring.scheduling import (
    LENGTHENING,
    derive_seeds,
    describe_fit,
    fitted_pair_seconds,
    unshortened_seconds,
)
from mainstay.measuring.strictness import Margins
from mainstay.records.errors import PlanError
from mainstay.records.formatting import degradation_text, first_few
from mainstay.records.plans import Plan, PlannedWorkload, stretch_for
from mainstay.records.trials import Side
from mainstay.store.journal import RunFolder
from mainstay.workers.machine import usable_cores


def fix_plan(
    session: Session, agenda: Agenda, *, num_pairs: int | None = None, proved: frozenset[str] = frozenset()
) -> Plan:
    """Make the plan of a run before its first pair, or read it back if the run is resumed.

    Args:
        session: Session of the run.
        agenda: Workloads to be judged.
        num_pairs: Number of pairs that need a seed; the number at the last look if ``None``.
        proved: Workloads that a proof lets pass, so that their metrics need no share of alpha.

    Returns:
        The plan, which is in the journal.

    Raises:
        PlanError: If a resumed run would follow a different plan.
    """
    start, configuration, margins = session.start, session.configuration, margins_of(session, agenda)
    looks = (start.pairs,) if start.pairs else configuration.looks
    workloads = tuple(
        replace(
            _planned(session, assignment, margins, num_pairs or looks[-1]), is_proved=assignment.workload.id in proved
        )
        for assignment in agenda.assignments
    )
    measured = [workload for workload in workloads if not workload.is_proved]
    gated = sum(not metric.scale.is_exact for workload in measured for metric in workload.metrics)
    stretches = _stretches(measured)
    groups = plan_groups(agenda, configuration.group_by, margin_of=margins, proved=proved)
    plan = Plan(
        alpha=configuration.alpha,
        margin_level=configuration.margin_level,
        looks=looks,
        num_gated=gated + len(groups),
        salt=start.salt,
        workloads=workloads,
        groups=groups,
        margins_by_dataset=_margins_by_dataset(workloads, margins),
        seconds=start.seconds,
        pair_seconds=fitted_pair_seconds(
            configuration.pair_seconds, stretches=stretches, looks=looks, seconds=start.seconds
        ),
        longest_pair_seconds=LENGTHENING * configuration.pair_seconds,
        trial_seconds=configuration.trial_seconds,
        fail_fast=start.fail_fast,
        inconclusive=configuration.inconclusive,
        deviations=configuration.deviations,
        proof=configuration.proof or "",
        threads=configuration.threads,
        jobs=configuration.num_jobs(usable_cores()),
        preload=configuration.preload,
        share=configuration.share,
        prepare=configuration.prepare,
        writable=session.settings.own[Side.BASELINE].writable,
        arguments=start.arguments,
    )
    return keep_plan(session.folder, plan)


def keep_plan(folder: RunFolder, plan: Plan) -> Plan:
    """Journal the plan of a new run, or hold a resumed run to the plan it started with.

    Args:
        folder: Folder of the run.
        plan: The plan as it would be made now.

    Returns:
        The plan that the run started with.

    Raises:
        PlanError: If the two plans differ: pairs measured under one plan are no evidence under another.
    """
    journal = folder.journal
    line = journal.first("plan")
    if line is None:
        journal.append("plan", plan=asdict(plan))
        return plan
    first = journal.content(line, "plan", Plan)
    if names := first.differences(plan):
        raise PlanError(
            f"the plan of this gate is not the one that it started with: {', '.join(names)} would differ",
            looked_in=folder.id,
            next_step="resume it as it was started, on the same machine; or start a new gate without --resume",
        )
    return first


def margins_of(session: Session, agenda: Agenda) -> Margins:
    """The margin of each metric: the smaller of the two revisions' margins.

    Args:
        session: Session of the run.
        agenda: Workloads to be judged.
    """
    return Margins(
        settings=tuple(session.settings.judging[side] for side in Side),
        markers=tuple(
            {name: metric.margin for name, metric in marked.items()} for marked in (agenda.baseline, agenda.candidate)
        ),
    )


def note_on_pairs(plan: Plan, wanted: float) -> str:
    """Note that pairs are shorter than configured; empty if they are not, or if a proof leaves nothing to measure.

    Args:
        plan: Plan of the run.
        wanted: Configured time of the blocks of each timed workload in a pair.
    """
    if not plan.num_gated:
        return ""
    stretches = _stretches(workload for workload in plan.workloads if not workload.is_proved)
    return describe_fit(wanted, plan.pair_seconds, stretches=stretches, looks=plan.looks, seconds=plan.seconds)


def least_seconds(plan: Plan) -> int:
    """Smallest budget with which a gate of any calibrated looks measures pairs as long as those of a plan.

    Args:
        plan: Plan of a calibration.
    """
    stretches = _stretches(plan.workloads)
    return unshortened_seconds(plan.pair_seconds, stretches=stretches, looks=LONGEST_LOOKS)


def note_on_noise(plan: Plan) -> str:
    """Note on metrics that the calibrated noise may leave undecided, with the margin that it supports; empty if none.

    Args:
        plan: Plan of the run.
    """
    doubtful = []
    measured = (workload for workload in plan.workloads if not workload.is_proved)
    means = (group.metric for group in plan.groups)
    for metric in (*(metric for workload in measured for metric in workload.metrics), *means):
        deviation = plan.deviations.get(metric.id, plan.deviations.get(metric.name))
        if deviation is None or metric.scale.is_exact or not plan.num_gated:
            continue
        honest = smallest_honest_margin(deviation, Design.of(plan))
        if metric.scaled_margin < honest:
            margins = (degradation_text(metric, each) for each in (metric.scaled_margin, honest))
            doubtful.append("{} ({}, supported: {})".format(metric.id, *margins))
    if not doubtful:
        return ""
    return (
        f"at calibrated noise, {plan.looks[-1]} pairs are not sure to pass an unchanged revision within the margin of "
        f"{first_few(doubtful)}: lengthen the trials, or widen the margin or plan more looks in a separate change first"
    )


def _stretches(workloads: Iterable[PlannedWorkload]) -> list[float]:
    """Of each workload that shares the two processes of a timed pair, the multiple of the time for which it is measured."""
    return [stretch_for(workload.metrics) for workload in workloads if workload.is_interleaved]


def _planned(session: Session, assignment: Assignment, margins: Margins, num_pairs: int) -> PlannedWorkload:
    """The plan of one workload."""
    start, workload = session.start, assignment.workload
    looks = (workload.looks or (1.0,)) if workload.execution.has_items else ()
    seeds = derive_seeds(start.salt, start.baseline.commit, workload.id, 1 if looks else num_pairs)
    return PlannedWorkload(
        id=workload.id,
        execution=workload.execution.name,
        measured_with=assignment.measured_with,
        metrics=tuple(replace(metric, margin=margins(metric, {})) for metric in workload.metrics),
        seeds=seeds * len(looks) if looks else seeds,  # the items of all looks are in one order
        looks=looks,
    )


def _margins_by_dataset(workloads: tuple[PlannedWorkload, ...], margins: Margins) -> dict[str, dict[str, float]]:
    """Margins that apply to one data set only."""
    datasets = sorted({name for settings in margins.settings for name in settings.margins_by_dataset})
    own = {
        dataset: {
            metric.id: margin
            for workload in workloads
            for metric in workload.metrics
            if (margin := margins(metric, {"dataset": dataset})) != metric.margin
        }
        for dataset in datasets
    }
    return {dataset: found for dataset, found in own.items() if found}
