"""What to do after a gate: the steps of its findings, what blocks a merge first."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.remedies import Step
from mainstay.reports.rows import FindingRow


def next_steps(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps to take now: one step for each finding that blocks, or that nothing stands in the way."""
    blocking = [row for row in rows if row.next_step.action and row.verdict is not Verdict.NEW]
    if blocking:
        return tuple(row.next_step._replace(fact=row.fact) for row in blocking)
    if run.verdict is Verdict.PASS:
        found = "no degradation beyond the margins was found"
        if any(row.verdict is Verdict.WAIVED for row in rows):
            found = "the degradations beyond the margins are waived, see below"
        return (Step("", f"merge when the review is done: {found}"),)
    again = "judge again" if run.is_of_stored_results else "run the gate again"
    return (Step("", f"repair what the reason names and {again}"),)
