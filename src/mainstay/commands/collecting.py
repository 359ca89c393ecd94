"""Collection: both revisions collect the workload files of each, and the agenda follows from the result.

- :func:`collect_agenda`: the agenda of a session.
- :func:`startup_review`: the review that is needed if a wheel contains code that runs without being imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mainstay.commands.furnishing import altered_furnishing, group_review, lacking_review
from mainstay.commands.harness import Harness
from mainstay.commands.session import Session
from mainstay.measuring.agenda import (
    ACCEPT,
    Agenda,
    Collected,
    as_first,
    one_part,
    plan_agenda,
    selected_part,
    unchecked,
    with_review,
)
from mainstay.measuring.grouped import plan_groups
from mainstay.measuring.strictness import require_known_margins
from mainstay.records.errors import UsageError
from mainstay.records.formatting import first_few
from mainstay.records.trials import Side
from mainstay.workers.collecting import Collection, collect_workloads
from mainstay.workers.process import WorkerSpec, at_once, start_fresh


def collect_agenda(session: Session, harness: Harness) -> Agenda:
    """Make the agenda from what both revisions can collect of each other's workload files.

    Args:
        session: Session of the run.
        harness: Both revisions, ready to measure.

    Raises:
        UsageError: If there is nothing to judge, or the settings have a margin for an unknown metric.
    """
    session.observer.phase("workloads")
    folders = {side: configuration.workloads for side, configuration in session.settings.judging.items()}
    limit_s = session.collecting_seconds

    def collect(spec: WorkerSpec) -> Collection:
        launcher = harness.launchers.get(spec.side, start_fresh)
        return collect_workloads(
            spec, [folders[spec.files_of]], launcher, selection=session.start.selection, limit_s=limit_s
        )

    everything = at_once(collect, [spec for specs in harness.specs.values() for spec in specs.values()])
    everything[-1].require_right_markers()
    metrics = tuple(m for found in everything for workload in found.workloads for m in workload.metrics)
    session.watch.lap("workloads")
    whole = plan_agenda(
        *(Collected(*everything[i : i + 2]) for i in range(0, len(everything), 2)),
        altered=altered_furnishing(session.settings, harness),
    )
    unknown = require_known_margins(session.settings.own[Side.CANDIDATE], metrics, are_all_known=not whole.uncollected)
    agenda = one_part(whole, session.start.only, everything)
    agenda = with_review(agenda, "; ".join(filter(None, _reviews(harness))))
    if not agenda.assignments and not agenda.settled:
        raise _nothing_to_judge(session, agenda, everything)
    agenda = selected_part(agenda, session.start.selection, everything)
    if session.settings.is_first:
        agenda = as_first(agenda)
    wrong = [problem for problem in everything[0].problems if problem.is_usage]
    return replace(
        agenda,
        notes=(
            *agenda.notes,
            *(f"not gated by the baseline, where {each.id} says: {each.cause}" for each in wrong),
            *([unchecked(first_few(unknown), whole.uncollected)] if unknown else []),
        ),
        known=(
            *metrics,
            *(finding.metric for finding in whole.settled),
            *whole.metrics_of_files,
            *(group.metric for group in plan_groups(whole, session.configuration.group_by)),
        ),
    )


def startup_review(startup: Mapping[Side, Mapping[str, str]]) -> str:
    """Review required if the candidate adds code that runs at start-up without being imported; empty if none.

    Args:
        startup: Start-up code of each revision, by description.

    Example:
        >>> startup_review({Side.BASELINE: {"a.pth": "1"}, Side.CANDIDATE: {"a.pth": "1", "b.pth": "2"}})
        "the candidate's wheel brings along code that runs in every worker (b.pth): review it, accept it with a waiver"
    """
    new = [name for name, version in startup[Side.CANDIDATE].items() if startup[Side.BASELINE].get(name) != version]
    if not new:
        return ""
    what = "the candidate's wheel brings along code that runs in every worker"
    return f"{what} ({', '.join(sorted(new))}): {ACCEPT}"


def _reviews(harness: Harness) -> Iterator[str]:
    """Reviews required before anything passes: of start-up code, measuring packages, and a ``prepare`` that ran for both."""
    yield startup_review(harness.startup)
    yield group_review(harness.resolutions)
    yield lacking_review(harness.resolutions)
    if why := harness.prepared.review:
        yield f"{why}, and the candidate's prepared both revisions: {ACCEPT}"


def _nothing_to_judge(session: Session, agenda: Agenda, collections: Sequence[Collection]) -> UsageError:
    """The error for an empty agenda: no markers, no workloads of the requested part, or none at all."""
    fact = "no workloads: no test uses one of the fixtures trial, benchmark, import_timer and counts, or is marked benchmark"
    next_step = "write one as the how-to 'add a workload' shows"
    if agenda.notes:
        fact = f"nothing to judge: {'; '.join(agenda.notes)}"
        known = [each.execution for found in collections for each in found.workloads]
        asked = [execution for execution in known if session.start.only in {None, execution.part}]
        next_step = "add @pytest.mark.accuracy(metric=..., margin=...)"
        if not asked:
            next_step = "gate where its files do not skip themselves"
        elif all(execution.is_once for execution in asked):
            next_step = "add @pytest.mark.deterministic(metric=...)"
    elif any(collection.workloads for collection in collections):
        fact = f"no workload of {session.start.only}"
        next_step = "write one, or gate all workloads without --only"
    return UsageError(fact, looked_in=session.configuration.workloads, next_step=next_step)
