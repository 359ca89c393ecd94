"""Live sample reports: the page of a gate for each verdict, rendered from a run document by the reports themselves."""

from __future__ import annotations

from pathlib import Path

VERDICTS = {
    "passing": "pass: nothing degraded by more than its margin",
    "failing": "fail: a metric degraded by more than its margin",
    "inconclusive": "inconclusive: neither a degradation nor its absence was shown",
    "error": "error: something could not be measured",
}
"""Sample run, and what its verdict says."""


def sample_reports(folder: Path) -> dict[str, str]:
    """Return the HTML report of each sample, by file name.

    Args:
        folder: Holds one run document a verdict.
    """
    from mainstay.reports.html import render_html
    from mainstay.store.documents import run_from_json

    runs = {name: folder / f"{name}.json" for name in VERDICTS}
    return {
        f"{name}.html": render_html(run_from_json(file.read_text("utf-8"), where=file.name))
        for name, file in runs.items()
    }


def render_samples_page(folder: Path) -> str:
    """Return the page that leads to the samples, each with what stood in the log.

    Args:
        folder: Holds one run document a verdict.
    """
    from mainstay.reports.text import render_text
    from mainstay.store.documents import run_from_json

    sections = []
    for name, meaning in VERDICTS.items():
        run = run_from_json((folder / f"{name}.json").read_text("utf-8"), where=name)
        sections.append(
            f"## {name.capitalize()}\n\n**{meaning}**. Exit status {run.exit_status}. "
            f"[Open the report](reports/{name}.html)\n\n"
            f'??? note "The same on a terminal"\n\n    ```text\n'
            + "".join(f"    {line}\n" for line in render_text(run).splitlines())
            + "    ```\n"
        )
    return f"{HEAD}{''.join(f'{section}{chr(10)}' for section in sections)}"


HEAD = """# Sample reports

One report for each verdict: real gates of changes to the reference model, on the embedded digits. `nox -s samples` regenerates
their run documents; the pages are rendered from them at build time. Each page is one file that requests nothing from another host, the same file that `mainstay gate --html report.html` writes.

"""
