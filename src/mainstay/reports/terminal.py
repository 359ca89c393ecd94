"""The report for a terminal: the same words as the plain text, with a coloured table.

rich is imported only for a terminal. Nothing is read from the environment: the caller passes the width of the terminal
and whether to use colour, and evaluates ``NO_COLOR``.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.forest import SKETCH_HEAD
from mainstay.reports.text import MAX_NEXT_STEPS, render_text
from mainstay.reports.view import RunView, not_listed, view_run

MAX_ROWS = 50
"""Largest number of findings in the table; those that block a merge come first. The plain report contains all."""

MIN_WIDTH_OF_ALL_COLUMNS = 130
"""Narrower terminals get the columns that decide; the report above the table contains the other numbers."""

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
    console.print(Group(_table(view, has_all_columns=width >= MIN_WIDTH_OF_ALL_COLUMNS), _next(view), _verdict(view)))
    return output.getvalue()


def _table(view: RunView, *, has_all_columns: bool) -> Table:
    """One row for each of the first findings that are listed."""
    listed = view.shown[:MAX_ROWS]
    table = Table(title=None, caption=not_listed(view, len(listed)) or None, header_style="bold", expand=False)
    table.add_column("metric", overflow="fold")
    for heading in ("baseline", "candidate", "change", "interval", "margin") if has_all_columns else ("change",):
        table.add_column(heading, justify="right")
    table.add_column(SKETCH_HEAD, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in listed:
        numbers = (row.baseline, row.candidate, row.bounded_change, row.interval, row.margin)
        cells = (row.label, *(numbers if has_all_columns else (row.bounded_change,)), row.sketch)
        table.add_row(*map(Text, cells), Text(row.verdict.value, style=_STYLES[row.verdict]))
    return table


def _next(view: RunView) -> Text:
    """What to do now."""
    return Text("\n".join(f"next: {step.sentence}" for step in view.next_steps[:MAX_NEXT_STEPS]))


def _verdict(view: RunView) -> Text:
    """The verdict with its exit status, then the finding that decided and the counts of findings."""
    style = _STYLES[view.verdict]
    return Text.assemble((view.headline, style), f" (exit status {view.exit_status})\n{view.sentence}\n{view.counts}")
