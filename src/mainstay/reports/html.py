"""The report for a browser: one self-contained file, which needs no network.

Markup comes from the templates beside this module, in which jinja2 escapes every text. Style and script are part of the
page, and a content security policy with their hashes forbids anything else. The page can be read without the script,
which only sorts, filters and opens folded parts before printing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from mainstay.records.findings import Finding, Method
from mainstay.records.runs import Run, WorkloadResult
from mainstay.reports import figures
from mainstay.reports.circumstances import WorkloadRow
from mainstay.reports.cleaning import clean
from mainstay.reports.counting import VERDICT_ORDER
from mainstay.reports.figures import Plot
from mainstay.reports.flips import FlipPart, flip_part
from mainstay.reports.forest import FOREST_HEIGHT, FOREST_WIDTH, Forest, forest
from mainstay.reports.items import ItemPart, item_part
from mainstay.reports.rows import ITEMS, PAIRS, FindingRow
from mainstay.reports.terms import TERMS
from mainstay.reports.text import JUDGED_BY
from mainstay.reports.view import EXPLANATION_TITLE, view_run

MAX_DRAWN_WORKLOADS = 50
"""Number of workloads whose blocks and loads are drawn: those of the first findings."""

MAX_DRAWN_PAIRS = 5_000
"""Number of pairs drawn and listed one by one; beyond it, findings that block no merge appear only in the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingPart:
    """A finding and its figures.

    Attributes:
        row: The finding as display text.
        rank: Rank of its verdict, for sorting.
        forest: Its mark in the table.
        pairs: Figure of its pairs; ``None`` if they are not drawn.
        is_large: Whether its pairs were left out to limit the size of the page.
        names: Names that were added, such as modules.
        lines: Last lines of a worker.
    """

    row: FindingRow
    rank: int
    forest: Forest | None
    pairs: Plot | None
    is_large: bool
    names: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadPart:
    """A workload with the figures that explain its findings.

    Attributes:
        row: The workload as display text.
        curves: Name and figure of each learning curve, as candidate minus baseline.
        flips: Comparison example by example.
        block_times: Distribution of the time of a call; ``None`` if there is none or it is not drawn.
        loads: Load by other processes; ``None`` if there is none or it is not drawn.
        items: Flipped items of an evaluation, by metric.
        units: Units of evidence of its findings: ``pairs`` or ``items``.
    """

    row: WorkloadRow
    curves: tuple[tuple[str, Plot], ...]
    flips: FlipPart | None
    block_times: Plot | None
    loads: Plot | None
    items: tuple[ItemPart, ...] = ()
    units: str = PAIRS

    @property
    def explains(self) -> bool:
        """Whether there is anything to show."""
        row = self.row
        return any((self.curves, self.flips, self.items, self.block_times, self.loads, row.descriptive, row.context))


def render_html(run: Run) -> str:
    """A run as one self-contained page.

    Args:
        run: What a gate produced.

    Returns:
        A document in UTF-8 without a byte order mark.
    """
    view = view_run(run)
    drawn = set(list(dict.fromkeys(row.workload for row in view.findings))[:MAX_DRAWN_WORKLOADS])
    return render_page(
        "report.html",
        style=resource("report.css"),
        script=resource("report.js"),
        view=view,
        explanation_title=EXPLANATION_TITLE,
        judged_by=f"{JUDGED_BY[0].upper()}{JUDGED_BY[1:-1]}",
        findings=tuple(_finding_parts(view.findings, run.findings)),
        workloads=tuple(
            _workload_part(row, workload, run.findings, is_drawn=row.id in drawn)
            for row, workload in zip(view.workloads, run.workloads, strict=True)
        ),
        verdicts=[verdict for verdict in VERDICT_ORDER if any(row.verdict is verdict for row in view.findings)],
        terms=TERMS,
        forest_box=(FOREST_WIDTH, FOREST_HEIGHT),
        plot_box=(figures.PLOT_WIDTH, figures.PLOT_HEIGHT),
        plot_edges=(figures.LEFT, figures.RIGHT, figures.BOTTOM),
    )


def render_page(template: str, *, style: str, script: str, **values: Any) -> str:
    """A self-contained page, whose content security policy allows only its own style and script.

    Args:
        template: Name of its template.
        style: The style.
        script: The script.
        **values: What the template shows.
    """
    hashes = {"style_hash": _source_hash(style), "script_hash": _source_hash(script)}
    return render_template(template, style=style, script=script, **hashes, **values)


def render_template(name: str, **values: Any) -> str:
    """A filled template, ending in a line break.

    Args:
        name: Its name.
        **values: What it shows.
    """
    return _environment().get_template(name).render(**values).strip() + "\n"


@cache
def _environment() -> Environment:
    """Templates that escape every text and refuse unknown names."""
    return Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def resource(name: str) -> str:
    """A file beside this module."""
    return files("mainstay.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _source_hash(source: str) -> str:
    """Hash by which the content security policy names a style or a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _finding_parts(rows: Sequence[FindingRow], findings: Sequence[Finding]) -> Iterator[FindingPart]:
    """Findings in the order of the rows, with their pairs drawn up to the limit."""
    num_pairs = 0
    for row in rows:
        finding = findings[row.number - 1]
        num_pairs += len(finding.degradations)
        is_small = num_pairs <= MAX_DRAWN_PAIRS
        is_count = finding.method in {Method.EQUALITY, Method.EXECUTED} or finding.metric.scale.is_exact
        yield FindingPart(
            row=row,
            rank=VERDICT_ORDER.index(row.verdict),
            forest=forest(finding),
            pairs=figures.pairs_plot(finding) if is_small else None,
            is_large=not is_small and len(finding.degradations) > 1,
            names=row.detail if is_count else (),
            lines=() if is_count else row.detail,
        )


def _workload_part(
    row: WorkloadRow, workload: WorkloadResult, findings: Sequence[Finding], *, is_drawn: bool
) -> WorkloadPart:
    """A workload with its figures."""
    by_name = sorted(workload.curves, key=lambda curve: curve.name)
    drawn = (
        (clean(name), figures.curves_plot(list(group)))
        for name, group in groupby(by_name, key=lambda curve: curve.name)
    )
    blocks = workload.block_times_s if is_drawn else {}
    own = [finding.metric for finding in findings if finding.metric.workload == workload.id]
    parts = (item_part(metric, workload) for metric in own)
    return WorkloadPart(
        row=row,
        curves=tuple((name, plot) for name, plot in drawn if plot is not None),
        flips=flip_part(workload.flips),
        block_times=figures.block_times_plot(blocks.get("baseline", ()), blocks.get("candidate", ())),
        loads=figures.loads_plot(workload.loads if is_drawn else ()),
        items=tuple(part for part in parts if part is not None),
        units=ITEMS if any(metric.is_of_items for metric in own) else PAIRS,
    )
