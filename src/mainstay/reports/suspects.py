"""Differences between the revisions besides their numbers: dependencies, code, and what they are judged by.

- :func:`suspects`: dependencies and installed files of the project that differ; which of them the workloads use is not known.
- :func:`change_rows`: changes to what the revisions are judged by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mainstay.records.runs import Change, ChangeKind, Environment, Run
from mainstay.reports.cleaning import NAME_LENGTH, clean

MAX_CHANGES = 30
"""Largest number of changes to what the revisions are judged by in a report; the run document contains all."""

MAX_SUSPECTS = 20
"""Largest number of suspects of one kind in a report."""

_DIFF_LENGTH = 160
_MAX_DIFF_LINES = 60


class Suspect(NamedTuple):
    """A difference that may be the cause.

    Attributes:
        kind: ``dependency`` or ``installed file``, whether or not a workload uses it.
        name: Name of the package, or installed path of the file.
        values: Old and new version; empty for a file.
    """

    kind: str
    name: str
    values: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRow:
    """A difference in what the revisions are judged by, as display text.

    Attributes:
        kind: Kind of the thing that was changed, such as ``conftest``.
        name: Path, id of a metric or name of a setting.
        values: Old and new value, and how this gate treated the change.
        diff: For a file, the first lines of the diff.
    """

    kind: str
    name: str
    values: str
    diff: tuple[str, ...]


def suspects(run: Run) -> tuple[Suspect, ...]:
    """Dependencies and installed files that differ, with the number of further ones of each kind.

    Args:
        run: Run of a gate.
    """
    dependencies = [Suspect("dependency", name, f"{old} -> {new}") for name, old, new in _packages(run.environments)]
    files = [Suspect("installed file", clean(name, at_most=NAME_LENGTH)) for name in run.differing_files]
    return (*_bounded(dependencies, "dependencies"), *_bounded(files, "installed files"))


def change_rows(changes: Sequence[Change]) -> Iterator[ChangeRow]:
    """Differences in what the revisions are judged by, with as many diff lines as fit into the head of a report.

    Args:
        changes: The first changes of a run.
    """
    left = _MAX_DIFF_LINES
    for change in changes:
        row = _change_row(change, at_most=left)
        left -= len(row.diff)
        yield row


def _bounded(found: Sequence[Suspect], plural: str) -> Iterator[Suspect]:
    """The first suspects, and the number of others."""
    yield from found[:MAX_SUSPECTS]
    if len(found) > MAX_SUSPECTS:
        yield Suspect("", f"and {len(found) - MAX_SUSPECTS} more {plural}, in the run document")


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


def _packages(environments: Sequence[Environment]) -> Iterator[tuple[str, str, str]]:
    """Dependencies that differ between the two environments."""
    if len(environments) != 2:
        return
    baseline, candidate = (environment.packages for environment in environments)
    for name in sorted({*baseline, *candidate}):
        if baseline.get(name) != candidate.get(name):
            yield clean(name), clean(baseline.get(name, "absent")), clean(candidate.get(name, "absent"))
