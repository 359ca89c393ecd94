"""Next steps after a gate, with one command each; for an inconclusive gate, a single step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mainstay.records.executions import TRAINED
from mainstay.records.findings import Verdict
from mainstay.records.metrics import Kind
from mainstay.records.runs import Run
from mainstay.reports.cleaning import clean
from mainstay.reports.remedies import Gate, Step, minutes_text, waive_command, waived_text
from mainstay.reports.rows import FindingRow

_MAX_NAMES = 3


class LastResort(NamedTuple):
    """A command that accepts a degradation, if it cannot be repaired.

    Attributes:
        about: The metric.
        command: The command.
        accepted: The largest degradation that it accepts, with the unit.
    """

    about: str
    command: str
    accepted: str


def next_steps(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps to take now, with equal steps for several metrics combined; or a sentence that nothing blocks the merge.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    blocking = [row for row in rows if row.next_step.action and row.verdict is not Verdict.NEW]
    if run.verdict is Verdict.INCONCLUSIVE and blocking:
        return _together([min(blocking, key=_urgency), *blocking])[:1]
    decided = [row for row in blocking if row.verdict is not Verdict.INCONCLUSIVE]
    if steps := _together(decided):
        return (*steps, *_explanation(run, decided), *_search(run, decided))
    if run.exit_status == 0:
        found = "no degradation beyond the margins was found"
        if any(row.verdict is Verdict.WAIVED for row in rows):
            found = "the degradations beyond the margins are waived, see below"
        if any(row.only_warns for row in rows):
            found += ", undecided metrics only warn"
        return (Step("", f"merge when the review is done: {found}"),)
    if run.is_of_stored_results:
        return (Step("", "repair what the reason names and judge again"),)
    gate = Gate.of(run)
    return (Step("", "repair what the reason names and gate again", gate.command, minutes_text(gate.seconds)),)


def last_resorts(run: Run, rows: Sequence[FindingRow]) -> tuple[LastResort, ...]:
    """Commands that accept degradations that block a merge, one for each metric.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    gate = Gate.of(run)
    waivable = [row for row in rows if row.blocks and row.verdict in (Verdict.FAIL, Verdict.MISSING)]
    found = [(row.label, run.findings[row.number - 1]) for row in waivable]
    return tuple(LastResort(label, waive_command(each, gate), waived_text(each, gate)) for label, each in found)


def _urgency(row: FindingRow) -> tuple[bool, bool, float]:
    """Sort key: findings that a person must review, those that pairs cannot decide, then by number of pairs."""
    return not row.needs_review, row.further_pairs is not None, -(row.further_pairs or 0)


def _together(rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps in the order of the findings, without repetition."""
    metrics: dict[Step, dict[str, None]] = {}
    for row in rows:
        metrics.setdefault(row.next_step._replace(about=""), {})[row.label] = None
    return tuple(step._replace(about=_names(list(labels))) for step, labels in metrics.items())


def _names(labels: Sequence[str]) -> str:
    """The first labels, and the number of others."""
    more = f" and {len(labels) - _MAX_NAMES} more" if len(labels) > _MAX_NAMES else ""
    return f"{', '.join(labels[:_MAX_NAMES])}{more}"


def _explanation(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Step that names the first place where the revisions part, if the accuracy of a trained model failed."""
    trained = {workload.id for workload in run.plan.workloads if workload.execution == TRAINED.name}
    findings = (run.findings[row.number - 1] for row in rows if row.verdict is Verdict.FAIL)
    if not any(each.metric.kind is Kind.ACCURACY and each.metric.workload in trained for each in findings):
        return ()
    return (Step("", "see where the two revisions part", f"mainstay explain {clean(run.id)}"),)


def _search(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Step that searches for the guilty commit, if the candidate is a commit and may not be the only one."""
    failed = [row for row in rows if row.verdict is Verdict.FAIL]
    if not failed or run.is_of_stored_results or run.candidate.name.startswith("working tree"):
        return ()
    gate = Gate.of(run)
    minutes = minutes_text(gate.seconds)
    return (
        Step(
            "",
            "if it is several commits, find the one to blame",
            f"mainstay bisect {gate.baseline} {gate.candidate}",
            f"{minutes} a probe" if minutes else "",
        ),
    )
