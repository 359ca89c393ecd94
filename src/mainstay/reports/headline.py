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
    1: "a degradation, a missing metric or a broken candidate",
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
    Verdict.INCONCLUSIVE: "not decided",
    Verdict.ERROR: "says nothing about the change",
}
_MAX_WAIVED = 3


def advice(run: Run) -> str:
    """Whether to merge, in a few words."""
    if run.verdict is Verdict.ERROR and run.exit_status == 1:
        return "do not merge, the candidate could not be measured"
    return _ADVICE[run.verdict]


def exit_meaning(run: Run) -> str:
    """The exit status in words; an inconclusive gate may be mapped by policy."""
    if run.verdict is Verdict.INCONCLUSIVE and run.exit_status != 3:
        return f"undecided, which the policy maps to {run.exit_status}"
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
        return f"{row.label}: {row.mark or row.reason}"
    if row.verdict is Verdict.INCONCLUSIVE:
        return f"{row.label}: {row.bounded_estimate}, neither within nor beyond its margin of {row.margin}"
    return f"{row.label} is {row.bounded_estimate}, more than its margin of {row.margin}"


def _deciding(run: Run, rows: Sequence[FindingRow]) -> FindingRow | None:
    """The finding that decided: one that needs a person is preferred to one that needs more pairs."""
    alike = [row for row in rows if row.blocks and row.verdict is run.verdict]
    if run.verdict is Verdict.INCONCLUSIVE:
        reviewed = [row for row in alike if row.needs_review]
        doubted = [row for row in rows if row.mark]
        alike = reviewed or alike or doubted
    return alike[0] if alike else None


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
    worst = max(passed, key=lambda row: row.sort_degradation)
    return f"nothing is worse by its margin; closest is {worst.label}, {worst.bounded_estimate}, margin {worst.margin}{told}"
