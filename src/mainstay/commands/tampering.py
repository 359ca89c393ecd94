"""Detection of forbidden changes by workers, and their effect on a run.

- :func:`find_tampering`: find what was changed.
- :func:`require_untouched`: refuse a run in which something was changed.
- :func:`spoiled`: the findings of such a run, none of which is a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mainstay.commands.harness import Harness
from mainstay.records.errors import EnvironmentBuildError, MainstayError
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.trials import Side

ADVICE = "let the code write to the folder that tempfile.gettempdir() names, or to HOME, never beside its modules"
"""Next step after a forbidden change by a worker."""


def find_tampering(harness: Harness, shared: Mapping[str, str]) -> list[str]:
    """Find changes since the first trial to what no worker may change.

    Args:
        harness: Harness with the seals.
        shared: SHA-256 of each shared input after the last trial.

    Returns:
        Descriptions of the changes.
    """
    inputs = changed_keys(harness.shared, shared)
    return [*harness.seals.find_changes(), *(f"the shared input {path}" for path in inputs)]


def require_untouched(harness: Harness) -> None:
    """Refuse a run in which a workload changed files that no worker may change.

    Raises:
        MainstayError: If there is such a change.
    """
    if changes := harness.seals.find_changes():
        raise MainstayError(f"the workloads changed what no worker may change: {'; '.join(changes)}", next_step=ADVICE)


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The keys whose values differ, sorted.

    Example:
        >>> changed_keys({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
        ['b', 'c']
    """
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def spoiled(findings: Sequence[Finding], changes: Sequence[str]) -> tuple[Finding, ...]:
    """Findings of a gate in which a worker made a forbidden change: none of them passes.

    The candidate is blamed, since only the baseline has been accepted before.

    Args:
        findings: Findings as judged.
        changes: Descriptions of the changes.

    Raises:
        EnvironmentBuildError: If nothing was judged.
    """
    reason = f"what no workload may change was changed while the gate ran: {'; '.join(changes)}"
    if not findings:
        raise EnvironmentBuildError(reason, side=Side.CANDIDATE, next_step=ADVICE)
    return tuple(
        finding
        if finding.verdict is Verdict.MISSING
        else Finding(
            metric=finding.metric,
            verdict=Verdict.ERROR,
            reason=reason,
            blame=Blame.CANDIDATE,
            detail=(f"judged before that was known: {finding.verdict}, {finding.reason}", ADVICE),
        )
        for finding in findings
    )
