"""Changes to what the change itself is judged by, for the head of every report.

These are pure functions of both revisions' files, markers, settings and waivers. How a gate treats such changes is
decided in :mod:`mainstay.measuring.strictness` and :mod:`mainstay.measuring.agenda`.

- :func:`file_changes`, :func:`pytest_changes`, :func:`startup_changes`, :func:`group_changes`, :func:`marker_changes`, :func:`setting_changes`, :func:`waiver_changes`
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from mainstay.project.configuration import Configuration, EvaluationSettings
from mainstay.records.findings import Waiver
from mainstay.records.metrics import Metric
from mainstay.records.runs import Change, ChangeKind

LINES_OF_FILE = 20
"""Largest number of lines of one file's diff that a report shows."""

LINES_OF_ALL = 60
"""Largest number of lines of all diffs together."""

PER_REVISION = frozenset({"constraints", "extras", "groups", "waivers"})
"""Settings of which each revision uses its own."""

HELD = {
    "alpha": "the baseline's holds",
    "margin_level": "the baseline's holds",
    "looks": "the baseline's hold",
    "inconclusive": "the stricter holds",
    "deviations": "the smaller deviation of each metric applies, and none that only one has",
    "group_by": "the baseline's holds",
    "fail_fast": "the gate stops early only if both say so",
    "proof": "the proof that assumes less holds",
    "seconds": "the larger holds",
    "pair_seconds": "the larger holds",
    "trial_seconds": "the smaller holds",
    "margins": "the smaller margin of each metric applies",
    "margins_by_dataset": "the smaller margin of each metric applies",
    "constraints": "each revision was resolved with its own",
    "extras": "each revision was built with its own; what the baseline lacks needs a commit of its own before this one",
    "groups": "each revision was built with its own; what the baseline lacks needs a commit of its own before this one",
    "prepare": "the candidate's prepared both revisions, so that nothing passes unreviewed",
    "workloads": "each revision's own folder was collected",
    "files": "each revision's own files were collected",
    "asv": "each revision's own files were collected",
    "waivers": "each revision's own file was read",
    "writable": "the baseline's holds",
    "evaluation": "none: it is for 'mainstay judge'",
    "default_branch": "that of the default branch itself applies",
}
"""Treatment of a setting that differs, by key; the candidate's value is used for all others."""

_CANDIDATES = "the candidate's is used for both revisions"

_FIRST = "the baseline gates nothing yet, so it was built with the candidate's, as far as it has them"


def effect_of(key: str) -> str:
    """Describe how a gate treats a changed setting.

    Args:
        key: Key of ``[tool.mainstay]``.

    Example:
        >>> effect_of("alpha"), effect_of("threads")
        ("the baseline's holds", "the candidate's is used for both revisions")
    """
    return HELD.get(key, _CANDIDATES)


class ChangedFile(NamedTuple):
    """A file that differs between the revisions.

    Attributes:
        path: Path relative to the repository.
        before: Content in the baseline; ``None`` if it does not exist there.
        after: Content in the candidate; ``None`` if it does not exist there.
    """

    path: str
    before: bytes | None
    after: bytes | None


def file_changes(files: Sequence[ChangedFile]) -> list[Change]:
    r"""Changed files of the workloads and their helpers, with the first lines of each diff.

    Args:
        files: The files that differ.

    Example:
        >>> (change,) = file_changes([ChangedFile("benchmarks/conftest.py", b"a = 1\n", b"a = 2\n")])
        >>> change.kind.value, change.diff
        ('conftest', ('@@ -1 +1 @@', '-a = 1', '+a = 2'))
    """
    left, changes = LINES_OF_ALL, []
    for path, before, after in files:
        diff = _diff(before, after, at_most=min(left, LINES_OF_FILE))
        left -= len(diff)
        kind = ChangeKind.CONFTEST if PurePosixPath(path).name == "conftest.py" else ChangeKind.WORKLOAD
        changes.append(Change(kind=kind, name=path, before=_version(before), after=_version(after), diff=diff))
    return changes


def _version(content: bytes | None) -> str:
    """Identify a version of a file; empty if the file does not exist."""
    return "" if content is None else f"sha256 {hashlib.sha256(content).hexdigest()[:12]}"


def _diff(before: bytes | None, after: bytes | None, *, at_most: int) -> tuple[str, ...]:
    """The first lines of a unified diff, and a line with the number left out."""
    try:
        old, new = ((content or b"").decode("utf-8").splitlines() for content in (before, after))
    except UnicodeDecodeError:
        return ("(not a text)",) if at_most else ()
    lines = list(islice(difflib.unified_diff(old, new, n=1, lineterm=""), 2, None))
    if len(lines) <= at_most:
        return tuple(lines)
    kept = lines[: max(0, at_most - 1)]
    return (*kept, f"... and {len(lines) - len(kept)} more lines") if at_most else ()


def pytest_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Changed settings of pytest.

    Args:
        before: The baseline's settings, by name.
        after: The candidate's settings, by name.
    """
    return _changed_texts(ChangeKind.PYTEST, before, after)


def startup_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Changed start-up code, which runs in every worker although no workload imports it.

    Args:
        before: Start-up code in the baseline's wheels, by description.
        after: Start-up code in the candidate's wheels, by description.

    Example:
        >>> [change.name for change in startup_changes({}, {"helping.pth": "0123"})]
        ['helping.pth']
    """
    return _changed_texts(ChangeKind.STARTUP, before, after, effect="it ran in the processes that measured")


def group_changes(name: str, before: Sequence[str], after: Sequence[str]) -> list[Change]:
    """The change of the dependency group whose packages measure, if it differs; the order of its entries does not count.

    Args:
        name: Name of the group.
        before: Its requirements in the baseline.
        after: Its requirements in the candidate.

    Example:
        >>> (change,) = group_changes("benchmarks", ["pytest", "tabulate"], ["pytest"])
        >>> change.name, change.before, change.after
        ('dependency-groups.benchmarks', 'pytest, tabulate', 'pytest')
    """
    if sorted(before) == sorted(after):
        return []
    return [
        Change(
            kind=ChangeKind.SETTING,
            name=f"dependency-groups.{name}",
            before=_shown(tuple(before)),
            after=_shown(tuple(after)),
            effect="the candidate's measures both revisions, except that the baseline keeps its own dependencies",
        )
    ]


def _changed_texts(
    kind: ChangeKind, before: Mapping[str, str], after: Mapping[str, str], *, effect: str = ""
) -> list[Change]:
    """The texts that differ, by name; a text that one side lacks is empty there."""
    return [
        Change(kind=kind, name=name, before=before.get(name, ""), after=after.get(name, ""), effect=effect)
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def marker_changes(before: Mapping[str, Metric], after: Mapping[str, Metric]) -> list[Change]:
    """Compare the markers of each metric in both revisions; new and missing metrics have findings of their own.

    Args:
        before: Metrics that the baseline gates, by id.
        after: Metrics that the candidate gates, by id.

    Example:
        >>> from dataclasses import replace
        >>> from mainstay.records.metrics import Direction, Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01)
        >>> (change,) = marker_changes({"w#a": top1}, {"w#a": replace(top1, margin=0.9)})
        >>> change.before, change.after, change.effect
        ('margin 0.01', 'margin 0.9', 'the stricter holds')
    """
    changes: list[Change] = []
    for name in before.keys() & after.keys():
        sides = before[name], after[name]
        changes += [*_argument_changes(*sides), *_scoring_changes(*sides)]
    return sorted(changes, key=lambda change: change.name)


def _argument_changes(before: Metric, after: Metric) -> Iterator[Change]:
    """Changes to the arguments of a marker, apart from scores of items: those that are treated alike in one change."""
    identity = ("kind", "direction", "unit")
    is_other = any(getattr(before, each) != getattr(after, each) for each in identity)
    effects = {(*identity, "margin", "ceiling"): "the stricter holds", ("resolution",): "the baseline's holds"}
    for names, effect in effects.items():
        differing = [each for each in names if getattr(before, each) != getattr(after, each)]
        old, new = (", ".join(_said(each, getattr(metric, each)) for each in differing) for metric in (before, after))
        if differing:
            held = "not the same metric" if is_other else effect
            yield Change(kind=ChangeKind.MARKER, name=before.id, before=old, after=new, effect=held)


def _scoring_changes(before: Metric, after: Metric) -> Iterator[Change]:
    """Changes to how a metric follows from scores of items; a changed kind of marker has a finding of its own."""
    if before.scoring is None or after.scoring is None:
        return
    effects = {"tier": "the stricter holds", "score_range": "the baseline's holds"}
    for name, effect in effects.items():
        old, new = getattr(before.scoring, name), getattr(after.scoring, name)
        if old != new:
            said = [_said(name.removeprefix("score_"), each) for each in (old, new)]
            yield Change(kind=ChangeKind.MARKER, name=before.id, before=said[0], after=said[1], effect=effect)


def _said(name: str, value: object) -> str:
    """A value of a marker with its name."""
    return (
        f"no {name}" if value in (None, "") else f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
    )


def setting_changes(before: Configuration, after: Configuration, *, is_first: bool = False) -> Iterator[Change]:
    """Changed keys of ``[tool.mainstay]``, with both values and their effect.

    Args:
        before: The baseline's settings.
        after: The candidate's settings.
        is_first: Whether the baseline gates nothing, so that the candidate's settings cannot loosen anything.

    Example:
        >>> [(each.name, each.before, each.after) for each in setting_changes(Configuration(), Configuration(alpha=0.02))]
        [('alpha', '0.01', '0.02')]
    """
    for item in fields(Configuration):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if old != new:
            yield Change(
                kind=ChangeKind.SETTING,
                name=item.name,
                before=_shown(old),
                after=_shown(new),
                effect=_effect_at_first(item.name) if is_first else effect_of(item.name),
            )


def _effect_at_first(key: str) -> str:
    """The effect of a setting if the baseline gates nothing."""
    if key in {"extras", "groups"}:
        return _FIRST
    return effect_of(key) if key in PER_REVISION else _CANDIDATES


def _shown(value: object) -> str:
    """A setting in a few words; empty if it is not set."""
    if isinstance(value, EvaluationSettings):
        return _shown({item.name: inner for item in fields(value) if (inner := getattr(value, item.name))})
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: {_shown(inner) if isinstance(inner, Mapping) else inner}" for key, inner in value.items()
        )
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def waiver_changes(before: Sequence[Waiver], after: Sequence[Waiver]) -> list[Change]:
    """Waivers that the change itself adds.

    Args:
        before: The baseline's waivers.
        after: The candidate's waivers.
    """
    return [
        Change(
            kind=ChangeKind.WAIVER,
            name=waiver.metric,
            after=f"a degradation up to {waiver.limit:g} until {waiver.until}: {waiver.reason}",
            effect="it counts in this gate",
        )
        for waiver in after
        if waiver not in before
    ]
