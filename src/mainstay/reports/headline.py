"""The verdict of a gate in one sentence: whether to merge, and the number that decided.

- :func:`advice`, :func:`exit_meaning`: a verdict and an exit status in words.
- :func:`decisive_sentence`: the finding that decided.
- :func:`sureness`: how sure the verdict is.
"""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.records.findings import Verdict, meaning_of_pass
from mainstay.records.formatting import UNKNOWN, first_few
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
_UNDECIDED = "undecided: neither a degradation beyond the margin nor its absence was shown"
_NOTHING_JUDGED = "nothing was judged, so nothing is known about the change"


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
    if run.verdict is Verdict.PASS:
        return meaning_of_pass(run.findings, nothing="nothing")
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
    return f"{_of_row(row)}{_also(row, rows)}"


def _of_row(row: FindingRow) -> str:
    """What was found for the metric that decided."""
    if row.needs_review or row.mark or UNKNOWN in (row.change, row.interval):
        return f"{row.label}: {row.mark or row.reason}{_last_line(row)}"
    if row.verdict is Verdict.INCONCLUSIVE:
        return f"{row.label} {row.predicate}: it may lie on either side of its margin of {row.margin}"
    return f"{row.label} {row.predicate}, more than its margin of {row.margin}"


def sureness(run: Run, rows: Sequence[FindingRow]) -> str:
    """How sure the verdict is, in one sentence.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    deciding = [row for row in rows if row.verdict is run.verdict]
    if run.verdict is Verdict.PASS and not deciding:
        return _sureness_without_pass(rows)
    if run.verdict is Verdict.ERROR:
        return _sureness_of_error(run, deciding)
    if run.verdict is Verdict.INCONCLUSIVE:
        if any(row.needs_review or row.mark for row in deciding or rows):
            return "a person has to decide, the numbers alone do not"
        return _UNDECIDED
    if deciding and all(row.certainty for row in deciding):
        return "; ".join(dict.fromkeys(row.certainty for row in deciding))
    fail_level, pass_level = (f"{100 * level:.4g} in 100" for level in (run.plan.alpha, run.plan.margin_level))
    where = " on items like these" if run.is_of_stored_results else ""
    if run.verdict is Verdict.FAIL:
        return f"of changes that make nothing worse, at most {fail_level} fail{where} (false alarms)"
    return (
        f"of metrics that are worse by their margin, at most {pass_level} pass{where}; of those worse by twice their "
        f"margin, at most {fail_level}"
    )


def _sureness_without_pass(rows: Sequence[FindingRow]) -> str:
    """How sure a gate is that passes although no metric was found within its margin, so that no error rate holds."""
    verdicts = {row.verdict for row in rows}
    if Verdict.WAIVED in verdicts:
        return "accepted by a waiver, not within the margin"
    if any(row.only_warns for row in rows):
        return _UNDECIDED
    if verdicts == {Verdict.NEW}:
        return "nothing was judged: all metrics are new"
    return _NOTHING_JUDGED


def _sureness_of_error(run: Run, deciding: Sequence[FindingRow]) -> str:
    """How sure it is that the candidate is to blame, which only it is if the exit status says so."""
    if not deciding:
        return _NOTHING_JUDGED
    if run.exit_status == 1:
        return "certain: the candidate failed where the baseline did not; how much it changed was not measured"
    return "nothing is known about the change, since not the candidate alone is to blame"


def _deciding(run: Run, rows: Sequence[FindingRow]) -> FindingRow | None:
    """The finding that decided: one that needs a person is preferred to one that needs more pairs."""
    alike = [row for row in rows if row.blocks and row.verdict is run.verdict]
    if run.verdict is Verdict.INCONCLUSIVE:
        reviewed = [row for row in alike if row.needs_review]
        doubted = [row for row in rows if row.mark]
        alike = reviewed or alike or doubted
    return alike[0] if alike else None


def _also(row: FindingRow, rows: Sequence[FindingRow]) -> str:
    """The other metrics with the verdict that decided; empty if there are none."""
    if row.verdict is Verdict.PASS:  # it decided because it is doubted, which the others are not
        return ""
    others = [each.label for each in rows if each is not row and each.blocks and each.verdict is row.verdict]
    return f"; also {row.word}: {first_few(others)}" if others else ""


def _last_line(row: FindingRow) -> str:
    """The last line of a worker that broke, if the reason does not quote it."""
    if row.verdict is not Verdict.ERROR or not row.detail:
        return ""
    line = row.detail[-1].removeprefix("E ").strip()
    return f" ({line})" if line and line not in row.reason else ""


def _of_pass(rows: Sequence[FindingRow]) -> str:
    """The metrics that did not change, or the one whose interval reaches nearest to its margin; empty if none passed."""
    waived = [row.label for row in rows if row.verdict is Verdict.WAIVED]
    advisory = [row.label for row in rows if row.verdict is Verdict.FAIL]
    told = f"; waived: {first_few(waived)}" if waived else ""
    told += f"; failed without blocking: {first_few(advisory)}" if advisory else ""
    passed = [row for row in rows if row.verdict is Verdict.PASS]
    if not passed:
        return ""
    if all(row.is_unchanged for row in passed):
        return f"no change in {first_few([row.label for row in passed])}{told}"
    closest = max(passed, key=lambda row: row.sort_bound)
    found = f"{closest.predicate} against a margin of {closest.margin}{told}"
    if len(passed) == 1:
        only = ", the only metric," if len(rows) == 1 else ""
        return f"{closest.label}{only} passed: it {found}"
    number = f"{'all ' if len(passed) == len(rows) else ''}{len(passed)} metrics"
    reach = "which comes" if closest.is_exact or closest.interval == UNKNOWN else "whose interval reaches"
    return f"{number} passed; {closest.label}, {reach} nearest to its margin, {found}"
