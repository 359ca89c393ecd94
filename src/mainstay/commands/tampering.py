"""Detection of forbidden changes by workers, and their effect on a run.

- :func:`find_tampering`: find what was changed.
- :func:`checked`: find it at the end of an attempt at a run, also at an early end, and journal it.
- :func:`blamed_on_changes`: blame the candidate if a run cannot go on after such a change.
- :func:`require_untouched`: refuse a run in which something was changed.
- :func:`spoiled`: the findings of such a run, none of which is a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from mainstay.commands.harness import Harness, conditions_with
from mainstay.commands.session import Session
from mainstay.records.errors import (
    EnvironmentBuildError,
    Interrupted,
    MainstayError,
    PieceError,
    PlanError,
    TreeError,
)
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.trials import Side
from mainstay.runner.confinement import can_confine
from mainstay.store.interruption import ended_by_another, undisturbed
from mainstay.store.journal import ATTEMPT, CHECKED

ADVICE = "let the code write to the folder that tempfile.gettempdir() names, or to HOME, never beside its modules"
"""Next step after a forbidden change by a worker."""


AFTER_CHANGE = "correct the candidate, then start a new gate"
"""Next step where a run that can no longer pass ends early."""


def find_tampering(harness: Harness) -> list[str]:
    """Find changes since the first trial to what no worker may change.

    Args:
        harness: Harness with the seals.

    Returns:
        Descriptions of the changes.
    """
    return [*harness.seals.find_changes(), *harness.seals.find_changed_inputs()]


@dataclass(kw_only=True, slots=True)
class Check:
    """What is known about forbidden changes by workers.

    Attributes:
        tampering: Descriptions of the changes in this attempt at the run and in earlier ones; empty until it is checked.
        notes: Notes for the reader.
    """

    tampering: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@contextmanager
def checked(session: Session, harness: Harness, *, elsewhere: Sequence[str] = ()) -> Iterator[Check]:
    """Check for forbidden changes after the last worker, also on an error or an interrupt, and journal the result.

    Otherwise a worker could change something, interrupt the run, and have its trials count once the run is resumed with
    new environments. If the run is killed and workers are not confined, nothing checks them, so the journal does not
    count what they did.

    Args:
        session: Session of the run.
        harness: Harness with the seals.
        elsewhere: List to which the forbidden changes on other machines are added meanwhile.

    Yields:
        What is known; complete after the context.

    Raises:
        Interrupted: On an interrupt, if something was changed.
    """
    journal, check = session.folder.journal, Check()
    if num_dropped := journal.num_dropped():
        check.notes = (_note_on_dropped(num_dropped),)
    if known := journal.tampering():
        changes = "; ".join(known)
        session.observer.note(
            f"nothing can pass: what no workload may change was changed in an earlier attempt: {changes}"
        )
    for note in check.notes:
        session.observer.note(note)
    journal.append(ATTEMPT, is_confined=can_confine(), **asdict(conditions_with(harness.shared)))
    try:
        try:
            yield check
        finally:
            _look_for_changes(session, harness, elsewhere)
            check.tampering = journal.tampering()
    except KeyboardInterrupt as error:
        if journal.tampering():
            raise Interrupted("interrupted", next_step=AFTER_CHANGE) from error
        if num_dropped := journal.num_dropped():  # a further interrupt ended the check
            session.observer.note(_note_on_dropped(num_dropped))
        raise


@contextmanager
def blamed_on_changes(session: Session) -> Iterator[None]:
    """Blame the candidate if a run cannot go on as it started, and its workers made a forbidden change before.

    They may have removed a shared input, or changed it so that other workloads are collected.

    Args:
        session: Session of the run.

    Raises:
        EnvironmentBuildError: In place of the error that blames nobody.
    """
    known = session.folder.journal.tampering()
    try:
        yield
    except (TreeError, PlanError, PieceError) as error:
        if not known:
            raise
        raise EnvironmentBuildError(
            f"{_reason(known)}; the run cannot be continued: {error.fact}",
            side=Side.CANDIDATE,
            looked_in=error.looked_in,
            next_step=AFTER_CHANGE,
        ) from error


def _look_for_changes(session: Session, harness: Harness, elsewhere: Sequence[str]) -> None:
    """Journal and tell what was changed in an attempt; its trials count from then on."""

    def keep(found: Sequence[str]) -> None:
        session.folder.journal.append(CHECKED, tampering=list(found))
        if found:  # now, since a run that was interrupted has no report
            session.observer.note(_reason(found))

    with undisturbed():
        found = (*harness.seals.find_changes(), *elsewhere)
        if found:  # first, since it may take minutes to read shared data
            keep(found)
        with ended_by_another():
            inputs = harness.seals.find_changed_inputs()
        if inputs or not found:
            keep(inputs)


def _note_on_dropped(num_trials: int) -> str:
    """Why trials that are in the journal do not count."""
    what = "1 trial does not count and is" if num_trials == 1 else f"{num_trials} trials do not count and are"
    return (
        f"{what} measured again: the run ended before it could check what no worker may change, and workers were not "
        "confined"
    )


def require_untouched(harness: Harness) -> None:
    """Refuse a run in which a workload changed files that no worker may change.

    Raises:
        MainstayError: If there is such a change.
    """
    if changes := find_tampering(harness):
        raise MainstayError(f"the workloads changed what no worker may change: {'; '.join(changes)}", next_step=ADVICE)


def spoiled(findings: Sequence[Finding], changes: Sequence[str]) -> tuple[Finding, ...]:
    """Findings of a gate in which a worker made a forbidden change: none of them passes.

    The candidate is blamed, since only the baseline has been accepted before.

    Args:
        findings: Findings as judged.
        changes: Descriptions of the changes.

    Raises:
        EnvironmentBuildError: If nothing was judged.
    """
    reason = _reason(changes)
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


def _reason(changes: Sequence[str]) -> str:
    """What is wrong with a run in which a worker made forbidden changes."""
    return f"what no workload may change was changed while the gate ran: {'; '.join(changes)}"
