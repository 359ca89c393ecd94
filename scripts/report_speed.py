"""Time the reports of the largest gate that is expected: 500 findings of 200 pairs.

Every form is rendered from one document in a process of its own, start included; then the page is filtered and sorted
in Chromium, where there is one. The best of several repeats counts, and of rendering the processor time, so that other
processes are not blamed on the reports; more than two seconds is a failure.

    python scripts/report_speed.py
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from mainstay.records.findings import Finding
from mainstay.records.runs import Run
from mainstay.store.documents import run_from_json, run_to_json

NUM_FINDINGS, NUM_PAIRS = 500, 200
LIMIT_S = 2.0
REPEATS = 5
SAMPLE = Path(__file__).resolve().parents[1] / "docs" / "samples" / "failing.json"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
RENDER_ALL = """
import sys
from pathlib import Path
from mainstay.reports import publishing
from mainstay.reports.forms import FORMS
from mainstay.reports.terminal import render_terminal

document = Path(sys.argv[1])
run = publishing.read_run(document)
forms = [form for form in FORMS if form != "json"]
publishing.write_reports(run, {form: document.with_suffix(f".{form}") for form in forms})
render_terminal(run, width=100, colour=True)
"""


def large_run(run: Run) -> Run:
    """Return a run with many findings of many pairs, grown from its first finding."""
    return replace(run, findings=tuple(grown(run.findings[0], number=i) for i in range(NUM_FINDINGS)))


def grown(finding: Finding, *, number: int) -> Finding:
    """Return the same finding of another workload, with its pairs over and over."""
    columns = ("seeds", "baseline_values", "candidate_values", "degradations")
    repeated: dict[str, Any] = {name: tuple(islice(cycle(getattr(finding, name)), NUM_PAIRS)) for name in columns}
    metric = replace(finding.metric, workload=f"test_{number}.py::test_it")
    return replace(finding, metric=metric, num_pairs=NUM_PAIRS, **repeated)


def render_seconds(document: Path) -> tuple[float, float]:
    """Return the processor time and the time that a new process takes to render every form of a document."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", RENDER_ALL, str(document)], check=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - start


def page_seconds(page: Path, chromium: str) -> list[float]:
    """Return how long a page takes to filter and to sort, several times over."""
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        seconds = []
        for i in range(REPEATS):
            start = time.perf_counter()
            tab.locator("#filter").fill(f"test_{NUM_FINDINGS - 1 - i}.py")
            tab.locator("th[data-sort=pairs] button").click()
            seconds.append(time.perf_counter() - start)
        browser.close()
    return seconds


def told(what: str, seconds: Sequence[float]) -> bool:
    """Print the best time; whether it is within the limit."""
    print(f"{what}: {min(seconds):.2f} s, the best of {len(seconds)} (limit {LIMIT_S:.0f} s)")
    return min(seconds) <= LIMIT_S


def main() -> int:
    """Print the times; 1 if one is over the limit."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder, "run.json")
        run = large_run(run_from_json(SAMPLE.read_text(encoding="utf-8"), where=SAMPLE.name))
        document.write_text(run_to_json(run), encoding="utf-8")
        print(f"{NUM_FINDINGS} findings of {NUM_PAIRS} pairs: a document of {document.stat().st_size / 1e6:.1f} MB")
        processor, elapsed = zip(*(render_seconds(document) for _ in range(REPEATS)), strict=True)
        within = told("all forms, process start included, processor time", processor)
        print(f"the same by the clock: {min(elapsed):.2f} s")
        page = document.with_suffix(".html")
        print(f"the page has {page.stat().st_size / 1e6:.2f} MB")
        if chromium and find_spec("playwright"):
            within &= told("the page filters and sorts", page_seconds(page, chromium))
        else:
            print("the page was not opened: Chromium or playwright is missing")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
