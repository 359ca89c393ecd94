"""The flipped items of an evaluation, and its groups, as display text: lines for short reports, a table for the page.

Inputs and outputs come from the code that is judged; they are shown only if a workload or a file gives them, shortened
and sanitised like all other text.

- :func:`item_lines`: the items that matter most, one line each.
- :func:`item_part`: all items that the run document names, an :class:`ItemPart`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mainstay.records.formatting import degradation_text
from mainstay.records.metrics import Metric
from mainstay.records.runs import FlippedItem, ItemGroup, WorkloadResult
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean

MAX_LISTED = 5
"""Number of flipped items, and of groups, that a short report lists for each metric."""

MAX_QUOTED = 120
"""Largest number of characters of an input or an output in a short report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemPart:
    """The flipped items of one metric as tables.

    Attributes:
        metric: Name of the metric.
        headings: Column headings of the items.
        rows: One row for each item, losses first.
        groups: One row for each group.
    """

    metric: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, ...], ...]


def item_lines(metric: Metric, workload: WorkloadResult | None) -> tuple[tuple[str, str], ...]:
    """Label and sentence for the items that matter most, then for the groups.

    Args:
        metric: The metric whose items are shown.
        workload: Result of its workload.
    """
    return tuple(_lines(metric, workload)) if workload else ()


def _lines(metric: Metric, workload: WorkloadResult) -> Iterator[tuple[str, str]]:
    items = [item for item in workload.flipped_items if item.metric == metric.name]
    for item in items[:MAX_LISTED]:
        yield "lost" if item.degradation > 0 else "gained", _sentence(item)
    if len(items) > MAX_LISTED:
        yield "flipped", f"{len(items) - MAX_LISTED} more items are named in the HTML report and the run document"
    for group in [group for group in workload.groups if group.metric == metric.name][:MAX_LISTED]:
        yield "group", _group(group)


def item_part(metric: Metric, workload: WorkloadResult) -> ItemPart | None:
    """All flipped items of a metric that the run document names; ``None`` if there are none.

    Args:
        metric: The metric whose items are shown.
        workload: Result of its workload.
    """
    items = [item for item in workload.flipped_items if item.metric == metric.name]
    if not items:
        return None
    columns = [
        ("item", [clean(item.id, at_most=NAME_LENGTH) for item in items]),
        ("group", [clean(item.group, at_most=NAME_LENGTH) for item in items]),
        ("baseline", [_score(item.baseline) for item in items]),
        ("candidate", [_score(item.candidate) for item in items]),
        ("input", [clean(item.input, at_most=LINE_LENGTH) for item in items]),
        ("baseline's output", [clean(item.baseline_output, at_most=LINE_LENGTH) for item in items]),
        ("candidate's output", [clean(item.candidate_output, at_most=LINE_LENGTH) for item in items]),
    ]
    known = [(heading, cells) for heading, cells in columns if any(cells)]
    groups = [group for group in workload.groups if group.metric == metric.name]
    return ItemPart(
        metric=clean(metric.name, at_most=NAME_LENGTH),
        headings=tuple(heading for heading, _ in known),
        rows=tuple(zip(*(cells for _, cells in known), strict=True)),
        groups=tuple(
            (
                clean(group.name, at_most=NAME_LENGTH),
                str(group.num_items),
                str(group.num_worse),
                str(group.num_better),
                clean(degradation_text(metric, group.degradation)),
            )
            for group in groups
        ),
    )


def _sentence(item: FlippedItem) -> str:
    """An item in one line."""
    parts = [f"{clean(item.id, at_most=NAME_LENGTH)}: {_score(item.baseline)} -> {_score(item.candidate)}"]
    quoted = (("asks", item.input), ("baseline", item.baseline_output), ("candidate", item.candidate_output))
    parts += [f'{name} "{clean(text, at_most=MAX_QUOTED)}"' for name, text in quoted if text]
    return ", ".join(parts)


def _group(group: ItemGroup) -> str:
    """A group in one line."""
    name = clean(group.name, at_most=NAME_LENGTH)
    return f"{name}: {group.num_worse:,} lost, {group.num_better:,} gained of {group.num_items:,} items"


def _score(score: float | None) -> str:
    return "missing" if score is None else f"{score:.4g}"
