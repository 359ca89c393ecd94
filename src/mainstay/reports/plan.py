"""The plan, as rows that every report shows folded.

- :func:`plan_rows`: a name and a sentence for each part of the plan.
- :func:`plan_title`: the heading of the section.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from mainstay.records.formatting import degradation_text, first_few, percent, seconds_text
from mainstay.records.metrics import STORED, Metric
from mainstay.records.plans import Plan, PlannedGroup, PlannedWorkload, stretch_for
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean

MAX_WORKLOADS = 40
"""Largest number of workloads in a report; the run document contains all of them."""

MAX_METRICS = 20
"""Largest number of metrics of one workload in a report."""

_ROW_LENGTH = 4_000


def plan_title(plan: Plan) -> str:
    """The heading of the section; it differs for stored results, which have no pairs.

    Args:
        plan: Plan of a run.
    """
    return "Decided before the first pair" if plan.looks else "Decided before the first item was compared"


def plan_rows(plan: Plan) -> tuple[tuple[str, str], ...]:
    """A name and a sentence for each part of the plan.

    Args:
        plan: Plan of a run.
    """
    shown = plan.workloads[:MAX_WORKLOADS]
    rows = [
        ("levels", _levels(plan)),
        ("policy", _policy(plan)),
        *([("part", f"the workloads that {shlex.join(plan.arguments)} chooses")] if plan.arguments else ()),
        *(_of_measuring(plan) if plan.looks else ()),
        *((clean(each.id, at_most=NAME_LENGTH), _workload(each)) for each in shown),
        *((clean(each.metric.id, at_most=NAME_LENGTH), _group(each)) for each in plan.groups[:MAX_WORKLOADS]),
        *(
            (f"margins on {clean(dataset)}, instead of those above", _margins(plan, dataset))
            for dataset in sorted(plan.margins_by_dataset)
        ),
    ]
    if len(plan.workloads) > len(shown):
        rows.append(("further workloads", f"{len(plan.workloads) - len(shown)}, in the run document"))
    if len(plan.groups) > MAX_WORKLOADS:
        rows.append(("further groups", f"{len(plan.groups) - MAX_WORKLOADS}, in the run document"))
    return tuple((name, clean(sentence, at_most=_ROW_LENGTH)) for name, sentence in rows)


def _levels(plan: Plan) -> str:
    """Levels, K and looks."""
    shared = f"{plan.num_gated} metric{'s' if plan.num_gated != 1 else ''}"
    looks = f"looks at {', '.join(map(str, plan.looks))} pairs" if plan.looks else "one look at all items"
    return f"alpha {percent(plan.alpha)} shared by K = {shared}, margin level {percent(plan.margin_level)}, {looks}"


def _policy(plan: Plan) -> str:
    """Treatment of verdicts."""
    parts = [f"an inconclusive gate exits with {plan.inconclusive}"]
    if plan.inconclusive == "warn":
        parts = [
            "an inconclusive gate exits with 0 if all estimates lie within their margins at calibrated noise, otherwise with 3"
        ]
    if plan.groups:
        parts.append(
            "while the mean of a group passes, an undecided member only warns if its estimate lies within its margin and "
            "twice the margin is excluded"
        )
    if plan.fail_fast:
        parts.append("the first fail ends the gate")
    if plan.proof:
        parts.append("code that is proved unchanged passes without being measured")
    if plan.proof == "executed":
        parts.append("so does code that differs where many traced calls execute nothing of it")
    return "; ".join(parts)


def _of_measuring(plan: Plan) -> Iterator[tuple[str, str]]:
    """Budget, seeds and how workers are started."""
    limits = {
        "to measure": plan.seconds,
        "for a trial": plan.trial_seconds,
        "of blocks in a timed pair": plan.pair_seconds,
    }
    told = [f"{seconds_text(seconds)} {what}" for what, seconds in limits.items()]
    if plan.longest_pair_seconds > plan.pair_seconds:
        told.append(f"up to {seconds_text(plan.longest_pair_seconds)} after the first look")
    yield "limits", ", ".join(told)
    salt = f"the salt {plan.salt!r}, " if plan.salt else ""
    yield "seeds", f"derived from {salt}the baseline's commit and the workload"
    started = [f"threads in each: {plan.threads}", f"accuracy trials at once: {plan.jobs}"]
    named = {"preload": plan.preload, "share": plan.share, "prepare": plan.prepare, "writable": plan.writable}
    started += [f"{name}: {clean(' '.join(values), at_most=LINE_LENGTH)}" for name, values in named.items() if values]
    yield "workers", ", ".join(started)


def _workload(workload: PlannedWorkload) -> str:
    """How a workload is measured, its seeds and its metrics."""
    parts = [] if workload.id == STORED else [_execution(workload)]
    if workload.seeds:
        parts.append(f"seeds {first_few(list(map(str, workload.seeds)))}")
    return "; ".join((*parts, *_metrics(workload.metrics)))


def _group(group: PlannedGroup) -> str:
    """Members of a group, and the margin of their mean."""
    margin = degradation_text(group.metric, group.metric.scaled_margin)
    return f"geometric mean of {first_few(group.members, at_most=MAX_METRICS)}; margin {margin}"


def _execution(workload: PlannedWorkload) -> str:
    """Execution of the trials, and whose workload files they use."""
    shares = ", ".join(f"{100 * share:g} %" for share in workload.looks)
    looks = f", looks at {shares} of the items" if len(workload.looks) > 1 else ""
    stretch = stretch_for(workload.metrics) if workload.is_interleaved else 1.0
    longer = f", {stretch:.3g} times as long on one core, for its margin" if stretch > 1 else ""
    return f"{workload.execution}{looks}{longer}, workload files: {workload.measured_with}"


def _metrics(metrics: Sequence[Metric]) -> Iterator[str]:
    """Direction and margin of each metric."""
    for metric in metrics[:MAX_METRICS]:
        name = clean(metric.name, at_most=NAME_LENGTH)
        yield f"{name}: {metric.direction} is better, margin {degradation_text(metric, metric.scaled_margin)}"
    if len(metrics) > MAX_METRICS:
        yield f"{len(metrics) - MAX_METRICS} more metrics, in the run document"


def _margins(plan: Plan, dataset: str) -> str:
    """Margins that apply to one data set only."""
    margins = plan.margins_by_dataset[dataset]
    known = [metric for workload in plan.workloads for metric in workload.metrics if metric.id in margins]
    shown = [
        f"{metric.id}: {degradation_text(metric, metric.scale.from_margin(margins[metric.id]))}"
        for metric in known[:MAX_METRICS]
    ]
    more = [f"{len(known) - len(shown)} more, in the run document"] if len(known) > len(shown) else []
    return "; ".join((*shown, *more))
