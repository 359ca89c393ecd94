"""The verdict in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.records.findings import Finding, Verdict
from mainstay.records.runs import Run

VERDICT_ORDER = (
    Verdict.FAIL,
    Verdict.MISSING,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.WAIVED,
    Verdict.NEW,
    Verdict.PASS,
)
"""Order of verdicts: blocking ones first; within a verdict, the largest degradation first."""

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


def counts(findings: Sequence[Finding]) -> str:
    """Findings by verdict."""
    present = ((verdict, sum(f.verdict is verdict for f in findings)) for verdict in VERDICT_ORDER)
    return ", ".join(f"{count} {verdict}" for verdict, count in present if count) or "no findings"
