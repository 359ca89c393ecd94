"""Two runs side by side, to show what has changed between them.

A comparison does not judge: each run keeps the verdict of its own gate, with an error rate of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.records.findings import Finding
from mainstay.records.formatting import UNKNOWN, change_text
from mainstay.records.runs import Run
from mainstay.reports.cleaning import clean
from mainstay.reports.rows import FindingRow
from mainstay.reports.view import RunView, view_run

_ABSENT = "absent"


def render_comparison(first: Run, second: Run) -> str:
    """Two runs as plain text: their verdicts, then every metric whose judgement changed, then the other metrics.

    Args:
        first: The earlier run, or the one to compare with.
        second: The later run.

    Returns:
        Lines ending in a line break.
    """
    views = view_run(first), view_run(second)
    lines = [*_heads(views), "", *_metrics(first, second, views), "", *_circumstances(views)]
    return "".join(f"{line}".rstrip() + "\n" for line in lines)


def _heads(views: tuple[RunView, RunView]) -> Iterator[str]:
    """Verdict, reason and revisions of each run."""
    for label, view in zip(("first", "second"), views, strict=True):
        yield f"{label}: {view.headline} (exit status {view.exit_status}), run {view.id}"
        yield f"  why: {view.reason}"
        for revision in view.revisions:
            yield f"  {revision.side}: {revision.commit} {revision.subject}"


def _metrics(first: Run, second: Run, views: tuple[RunView, RunView]) -> Iterator[str]:
    """One block for each metric of either run; metrics whose verdict changed come first."""
    rows = tuple(_by_metric(run, view) for run, view in zip((first, second), views, strict=True))
    ids = list(dict.fromkeys([*rows[0], *rows[1]]))
    moved = [name for name in ids if _verdict(rows[0], name) != _verdict(rows[1], name)]
    same = [name for name in ids if name not in set(moved)]
    for what, names in (("metrics whose verdict changed", moved), ("metrics with the same verdict", same)):
        yield f"{what}: {len(names)} of {len(ids)}"
        for name in names:
            yield from _metric(name, rows[0].get(name), rows[1].get(name))


def _by_metric(run: Run, view: RunView) -> dict[str, tuple[Finding, FindingRow]]:
    """Findings with their rows by the id of the metric."""
    return {run.findings[row.number - 1].metric.id: (run.findings[row.number - 1], row) for row in view.findings}


def _verdict(rows: dict[str, tuple[Finding, FindingRow]], name: str) -> str:
    """Verdict of a metric in one run."""
    return rows[name][1].verdict.value if name in rows else _ABSENT


def _metric(
    name: str, first: tuple[Finding, FindingRow] | None, second: tuple[Finding, FindingRow] | None
) -> Iterator[str]:
    """One metric in both runs."""
    yield f"  {clean(name, at_most=160)}"
    for label, found in (("first", first), ("second", second)):
        yield f"    {label + ':':<8}{_ABSENT if found is None else _judgement(found[1])}"
    if first is not None and second is not None:
        yield f"    {'moved:':<8}{_movement(first[0], second[0])}"


def _judgement(row: FindingRow) -> str:
    """Verdict and estimate in one line."""
    return (
        f"{row.verdict}, {row.estimate}, {row.count} {row.units.removesuffix('s') if row.num_pairs == 1 else row.units}"
    )


def _movement(first: Finding, second: Finding) -> str:
    """The difference of the two estimates, which compares the candidates only if both had the same baseline."""
    if first.estimate is None or second.estimate is None:
        return UNKNOWN
    return clean(change_text(second.metric, second.estimate - first.estimate))


def _circumstances(views: tuple[RunView, RunView]) -> Iterator[str]:
    """State what else differs, and which conclusions are not valid."""
    if views[0].revisions[0].commit != views[1].revisions[0].commit:
        yield "the baselines differ: a changed estimate does not compare one candidate with the other"
    second = dict(views[1].facts)
    for name, value in views[0].facts:
        if name in ("machine", "accelerator", "versions", "data set") and second[name] != value:
            yield f"{name} differs: {value} | {second[name]}"
    yield "each run is a gate with an error rate of its own; rerunning until a gate passes is no evidence"
