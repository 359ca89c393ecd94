"""Forms of report: each form is a function from a run to text, registered by a line here.

A form is imported only when it is used, so that the command line can list all of them quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mainstay.records.runs import Run


class Form(NamedTuple):
    """One form of report.

    Attributes:
        module: Module of its function.
        function: Name of the function that takes a run and returns the report.
        help: Help of the option that writes it to a file; empty if there is no such option.
        is_complete: Whether it explains the whole run to a reader, with the plan and what a proof assumes, as tests then
            demand; not only the findings or the data.
    """

    module: str
    function: str
    help: str = ""
    is_complete: bool = True

    def render(self, run: Run) -> str:
        """A report of a run."""
        text: str = getattr(import_module(self.module), self.function)(run)
        return text


FORMS: Mapping[str, Form] = {
    "text": Form("mainstay.reports.text", "render_text"),
    "annotations": Form("mainstay.reports.annotations", "render_annotations", is_complete=False),
    "markdown": Form("mainstay.reports.markdown", "render_markdown", "Write a report for a pull request."),
    "html": Form("mainstay.reports.html", "render_html", "Write a page that explains the verdict."),
    "junit": Form("mainstay.reports.junit", "render_junit", "Write JUnit XML."),
    "json": Form("mainstay.store.documents", "run_to_json", "Write a copy of the run.", is_complete=False),
}
"""All forms by name."""
