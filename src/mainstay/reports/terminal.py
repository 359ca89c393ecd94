"""The report for a terminal: the same words as the plain text, with a coloured table.

rich is imported only for a terminal. Nothing is read from the environment: the caller passes the width of the terminal
and whether to use colour, and evaluates ``NO_COLOR``.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mainstay.records.findings import Verdict
from mainstay.records.formatting import UNKNOWN
from mainstay.records.runs import Run
from mainstay.reports.forest import SKETCH_HEAD
from mainstay.reports.remedies import Step
from mainstay.reports.text import MAX_NEXT_STEPS, render_text
from mainstay.reports.view import RunView, not_listed, view_run

MAX_ROWS = 50
"""Largest number of findings in the table; those that block a merge come first. The plain report contains all."""

MIN_WIDTH_OF_ALL_COLUMNS = 130
"""In narrower terminals, the interval stands under the change, the margin under the verdict, and means are left out."""

MIN_WIDTH_OF_SKETCH = 100
"""Narrower terminals get no drawing of the interval."""

_STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.MISSING: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.WAIVED: "cyan",
    Verdict.NEW: "blue",
}


def render_terminal(run: Run, *, width: int, colour: bool) -> str:
    """A run for a terminal.

    Args:
        run: Run of a gate.
        width: Width of the terminal in columns.
        colour: Whether to use colour; otherwise the result contains no escape sequences.

    Returns:
        The plain report followed by the table of findings, the next steps and the verdict, so that these are visible
        last.
    """
    view = view_run(run)
    output = StringIO()
    console = Console(
        file=output,
        width=max(width, 40),
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        _environ={},
    )
    output.write(render_text(run, width=width) + "\n")
    console.print(_table(view, width=width))
    console.print(_next(view), crop=False)
    console.print(_verdict(view))
    return output.getvalue()


def _table(view: RunView, *, width: int) -> Table:
    """One row for each of the first findings that are listed, with as many columns as fit."""
    listed = view.shown[:MAX_ROWS]
    is_wide = width >= MIN_WIDTH_OF_ALL_COLUMNS
    table = Table(title=None, caption=not_listed(view, len(listed)) or None, header_style="bold", expand=False)
    table.add_column("metric", overflow="fold")
    for heading in ("baseline", "candidate", "change", "interval", "margin") if is_wide else ("change\ninterval",):
        table.add_column(heading, justify="right")
    if width >= MIN_WIDTH_OF_SKETCH:
        table.add_column(SKETCH_HEAD, no_wrap=True)
    table.add_column("verdict" if is_wide else "verdict\nmargin", no_wrap=True)
    for row in listed:
        change, interval = row.bounded_change, row.worded_interval
        stacked = change if row.is_exact or UNKNOWN in (change, interval) else f"{change}\n{interval}"
        cells = (row.baseline, row.candidate, change, row.interval, row.margin) if is_wide else (stacked,)
        sketch = (row.sketch,) if width >= MIN_WIDTH_OF_SKETCH else ()
        verdict = Text(row.verdict.value, style=_STYLES[row.verdict])
        table.add_row(row.label, *cells, *sketch, verdict if is_wide else verdict + Text(f"\n{row.margin}"))
    return table


def _next(view: RunView) -> Group:
    """What to do now."""
    return Group(*(line for step in view.next_steps[:MAX_NEXT_STEPS] for line in _step(step)))


def _step(step: Step) -> Iterator[Text]:
    """A step; its command is not wrapped, since a shell reads it by the line."""
    yield Text(f"next: {': '.join(filter(None, (step.about, step.action)))}")
    if step.command:
        minutes = f"   ({step.minutes})" if step.minutes else ""
        yield Text(f"      $ {step.command}{minutes}", no_wrap=True, overflow="ignore")


def _verdict(view: RunView) -> Text:
    """The verdict with its exit status, the finding that decided, how sure that is, and the counts of findings."""
    style, told = _STYLES[view.verdict], f"{view.sentence}\nhow sure: {view.sureness}\n{view.counts}"
    return Text.assemble((view.headline, style), f" (exit status {view.exit_status})\n{told}")
