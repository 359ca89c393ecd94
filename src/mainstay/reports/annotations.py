"""Annotations of GitHub Actions: workflow commands for a step's output.

The job summary is the Markdown report. GitHub shows ten annotations of each kind for a step, so findings that block a
merge come first and the rest are counted.
"""

from __future__ import annotations

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.rows import FindingRow
from mainstay.reports.view import view_run

MAX_ANNOTATIONS = 9
"""Largest number of annotations of one kind; the last one says how many more there are."""

_LEVELS = {
    Verdict.FAIL: "error",
    Verdict.MISSING: "error",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "warning",
    Verdict.WAIVED: "notice",
    Verdict.NEW: "notice",
}


def render_annotations(run: Run) -> str:
    """A run as workflow commands, one for each line.

    Args:
        run: Run of a gate.

    Returns:
        A command for the gate, then one for each finding that did not pass. All text is escaped, so that it cannot
        contain a command.
    """
    view = view_run(run)
    level = _LEVELS.get(view.verdict, "notice")
    lines = [_command(level, title=f"mainstay: {view.headline}", message=f"{view.sentence}; {view.counts}")]
    for kind in ("error", "warning", "notice"):
        rows = [row for row in view.findings if _level(row) == kind]
        shown = MAX_ANNOTATIONS - (kind == level)
        lines.extend(_finding(kind, row) for row in rows[:shown])
        if len(rows) > shown:
            lines.append(_command(kind, title="mainstay", message=f"{len(rows) - shown} more findings in the report"))
    return "".join(f"{line}\n" for line in lines)


def _level(row: FindingRow) -> str | None:
    """The kind of command for a finding; ``None`` if it passed."""
    if row.mark or row.only_warns:
        return "warning"
    return _LEVELS.get(row.verdict) if row.blocks else "notice"


def _finding(level: str, row: FindingRow) -> str:
    """One finding as a command."""
    return _command(level, title=f"{row.verdict}: {row.metric}", message=f"{row.reason}. {row.estimate}")


def _command(level: str, *, title: str, message: str) -> str:
    """A workflow command.

    Example:
        >>> _command("error", title="a,b::c", message="50 %, see log")
        '::error title=a%2Cb%3A%3Ac::50 %25, see log'
    """
    escaped = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={escaped}::{_escaped(message)}"


def _escaped(text: str) -> str:
    """Text without characters that end a command; clean text has no line breaks."""
    return text.replace("%", "%25")
