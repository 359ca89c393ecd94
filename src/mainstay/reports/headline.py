"""The verdict of a gate in one sentence: whether to merge, and the number that decided.

- :func:`advice`, :func:`exit_meaning`: a verdict and an exit status in words.
- :func:`decisive_sentence`: the finding that decided.
"""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.records.findings import Verdict
from mainstay.records.formatting import UNKNOWN
from mainstay.records.runs import Run
from mainstay.reports.cleaning import clean
from mainstay.reports.rows import FindingRow

EXIT_MEANINGS = {
    0: "nothing degraded by more than its margin",
    1: "the change is at fault",
    2: "the command was used wrongly",
    3: "undecided",
    4: "the baseline, the tool or the environment is broken, or nothing was judged",
    130: "interrupted",
}
"""Exit status of the gate in words."""

_ADVICE = {
    Verdict.PASS: "may be merged",
    Verdict.FAIL: "do not merge as it is",
    Verdict.MISSING: "do not merge as it is",
    Verdict.INCONCLUSIVE: "do not merge yet, it is not decided",
    Verdict.ERROR: "says nothing about the change",
}
_FAULTS = {
    Verdict.FAIL: "a metric degraded by more than its margin",
    Verdict.MISSING: "a metric is missing",
    Verdict.ERROR: "the candidate is broken",
}
_MAX_WAIVED = 3


def advice(run: Run) -> str:
    """Whether to merge, in a few words."""
    if run.verdict is Verdict.ERROR and run.exit_status == 1:
        return "do not merge, the candidate could not be measured"
    if run.verdict is Verdict.INCONCLUSIVE and run.exit_status == 0:
        return "not decided, which the policy allows to merge"
    return _ADVICE[run.verdict]


def exit_meaning(run: Run) -> str:
    """The exit status in words; an inconclusive gate may be mapped by policy."""
    if run.verdict is Verdict.INCONCLUSIVE and run.exit_status != 3:
        return f"undecided, which the policy maps to {run.exit_status}"
    if run.exit_status == 1:
        return _FAULTS.get(run.verdict, EXIT_MEANINGS[1])
    return EXIT_MEANINGS[run.exit_status]


def decisive_sentence(run: Run, rows: Sequence[FindingRow]) -> str:
    """The finding that decided, with its number.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    if run.verdict is Verdict.PASS:
        return _of_pass(rows) or clean(run.reason)
    row = _deciding(run, rows)
    if row is None:
        return clean(run.reason)
    if row.needs_review or row.mark or UNKNOWN in (row.change, row.interval):
        return f"{row.label}: {row.mark or row.reason}{_last_line(row)}"
    if row.verdict is Verdict.INCONCLUSIVE:
        return f"{row.label} {row.predicate}: it may lie on either side of its margin of {row.margin}"
    return f"{row.label} {row.predicate}, more than its margin of {row.margin}"


def _deciding(run: Run, rows: Sequence[FindingRow]) -> FindingRow | None:
    """The finding that decided: one that needs a person is preferred to one that needs more pairs."""
    alike = [row for row in rows if row.blocks and row.verdict is run.verdict]
    if run.verdict is Verdict.INCONCLUSIVE:
        reviewed = [row for row in alike if row.needs_review]
        doubted = [row for row in rows if row.mark]
        alike = reviewed or alike or doubted
    return alike[0] if alike else None


def _last_line(row: FindingRow) -> str:
    """The last line of a worker that broke, if the reason does not quote it."""
    if row.verdict is not Verdict.ERROR or not row.detail:
        return ""
    line = row.detail[-1].removeprefix("E ").strip()
    return f" ({line})" if line and line not in row.reason else ""


def _of_pass(rows: Sequence[FindingRow]) -> str:
    """The metric that came closest to its margin; empty if none passed."""
    waived = [row.label for row in rows if row.verdict is Verdict.WAIVED]
    more = f" and {len(waived) - _MAX_WAIVED} more" if len(waived) > _MAX_WAIVED else ""
    told = f"; waived: {', '.join(waived[:_MAX_WAIVED])}{more}" if waived else ""
    passed = [row for row in rows if row.verdict is Verdict.PASS]
    if not passed:
        return ""
    if all(row.is_unchanged for row in passed):
        return f"nothing that was judged has changed{told}"
    closest = max(passed, key=lambda row: row.sort_bound)
    number = "the only metric" if len(passed) == 1 else f"all {len(passed)} metrics"
    if len(passed) < len(rows):
        number = "1 metric" if len(passed) == 1 else f"{len(passed)} metrics"
    which = "it" if len(passed) == 1 else f"closest to its margin is {closest.label}, which"
    return f"{number} passed; {which} {closest.predicate} against a margin of {closest.margin}{told}"
