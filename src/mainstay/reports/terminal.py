"""The report for a terminal: the same words as the plain text, with a coloured table.

rich is imported when a terminal is there. Nothing is read from the environment: the caller says how wide the terminal
is and whether colour is wanted (``NO_COLOR`` is the caller's business).
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.text import render_text
from mainstay.reports.view import RunView, view_run

MAX_ROWS = 50
"""Findings in the table, what blocks a merge first; the plain report above it holds them all."""

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
        run: What a gate produced.
        width: Columns of the terminal.
        colour: Whether to colour; without, the result holds no escape.

    Returns:
        The plain report followed by the table of findings and the verdict, where a reader's eye comes to rest.
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
    console.print(Group(_table(view), _verdict(view)))
    return output.getvalue()


def _table(view: RunView) -> Table:
    """One row for each of the first findings."""
    left = len(view.findings) - MAX_ROWS
    table = Table(
        title=None, caption=f"and {left} more, above" if left > 0 else None, header_style="bold", expand=False
    )
    table.add_column("verdict", no_wrap=True)
    table.add_column("metric", overflow="fold")
    for heading in ("degradation", "interval", "margin", view.units):
        table.add_column(heading, justify="right")
    for row in view.findings[:MAX_ROWS]:
        cells = (row.metric, row.bounded_change, row.interval, row.margin, row.count)
        table.add_row(Text(row.verdict.value, style=_STYLES[row.verdict]), *map(Text, cells))
    return table


def _verdict(view: RunView) -> Text:
    """Verdict and exit status in one line, why in the next."""
    return Text.assemble((view.headline, _STYLES[view.verdict]), f" (exit status {view.exit_status})\n{view.reason}")
