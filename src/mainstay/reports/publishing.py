"""Output of reports: to files, a terminal and GitHub Actions.

The rendering functions are pure and are in :mod:`mainstay.reports`. A form is imported when it is used, and modules
that only measuring needs are not imported at all, so that a report is quick.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from mainstay.records.errors import UsageError
from mainstay.records.runs import Run
from mainstay.reports.comparison import render_comparison
from mainstay.reports.forms import FORMS
from mainstay.reports.terminal import render_terminal
from mainstay.store.documents import run_from_json
from mainstay.store.files import write_output


def write_reports(run: Run, places: Mapping[str, Path | None]) -> None:
    """Write the requested reports.

    Args:
        run: The run.
        places: File of each form, see :mod:`mainstay.reports.forms`; ``None`` for a form that is not wanted.

    Raises:
        StoreError: If a report cannot be written.
    """
    for form, place in places.items():
        if place:
            write_output(place, FORMS[form].render(run))


def render_for(run: Run, stream: TextIO, environ: Mapping[str, str]) -> str:
    """The report for a stream: tables on a terminal, plain text elsewhere."""
    if not stream.isatty():
        return FORMS["text"].render(run)
    width = shutil.get_terminal_size().columns
    return render_terminal(run, width=width, colour=not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")


def report_to_actions(run: Run, environ: Mapping[str, str]) -> str:
    """Write the job summary for GitHub Actions, and return the annotations for its log; empty outside of it."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return ""
    if summary := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(FORMS["markdown"].render(run))
    return FORMS["annotations"].render(run)


def read_run(path: Path) -> Run:
    """Read a run from its document.

    Raises:
        SchemaError: If the file is not a run document of a known version.
        UsageError: If the file does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the run cannot be read: {getattr(error, 'strerror', None) or error}",
            looked_in=str(path),
            next_step="name a run.json, such as the latest under .mainstay/runs",
        ) from error
    return run_from_json(text, where=str(path))


def compare(first: Path, second: Path) -> str:
    """Compare two runs."""
    return render_comparison(read_run(first), read_run(second))
