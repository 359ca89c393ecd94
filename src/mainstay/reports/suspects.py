"""What the revisions differ in besides their numbers: what they are judged by, and their dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mainstay.records.runs import Change, ChangeKind, Environment
from mainstay.reports.cleaning import NAME_LENGTH, clean

MAX_CHANGES = 30
_DIFF_LENGTH = 160
_MAX_DIFF_LINES = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRow:
    """A difference in what the revisions are judged by, as a reader sees it.

    Attributes:
        kind: What was changed, such as ``conftest``.
        name: Path, id of a metric or name of a setting.
        values: Old and new value, and what this gate made of it.
        diff: The first lines of the difference, for a file.
    """

    kind: str
    name: str
    values: str
    diff: tuple[str, ...]


def change_rows(changes: Sequence[Change]) -> Iterator[ChangeRow]:
    """Differences in what the revisions are judged by, with so many lines of files as a head has room for."""
    left = _MAX_DIFF_LINES
    for change in changes:
        row = _change_row(change, at_most=left)
        left -= len(row.diff)
        yield row


def _change_row(change: Change, *, at_most: int) -> ChangeRow:
    """A difference in what the revisions are judged by, in display text."""
    before, after = (clean(value, at_most=NAME_LENGTH) for value in (change.before, change.after))
    if change.kind in (ChangeKind.WORKLOAD, ChangeKind.CONFTEST):
        values = "changed" if before and after else "added" if after else "removed"
    elif change.kind is ChangeKind.WAIVER:
        values = f"added by this change: {after}"
    else:
        values = f"{before or 'not set'} -> {after or 'not set'}"
    effect = f"; {clean(change.effect, at_most=NAME_LENGTH)}" if change.effect else ""
    return ChangeRow(
        kind=change.kind.value,
        name=clean(change.name, at_most=NAME_LENGTH),
        values=values + effect,
        diff=tuple(clean(line, at_most=_DIFF_LENGTH) for line in change.diff[:at_most]),
    )


def package_rows(environments: Sequence[Environment]) -> tuple[tuple[str, str, str], ...]:
    """Dependencies that differ between the two environments."""
    if len(environments) != 2:
        return ()
    baseline, candidate = (environment.packages for environment in environments)
    return tuple(
        (clean(name), clean(baseline.get(name, "absent")), clean(candidate.get(name, "absent")))
        for name in sorted({*baseline, *candidate})
        if baseline.get(name) != candidate.get(name)
    )
