"""A Chromium that asks the network for nothing, and the pages of the golden runs.

Needs Playwright, Chromium and, beside this file, ``npm ci``. Without one of them the tests are skipped and say which;
with ``MAINSTAY_PAGES=required`` they fail instead. Screenshots go to the folder ``MAINSTAY_SCREENSHOTS`` if it is set.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mainstay.records.findings import Finding
from mainstay.records.runs import Run
from mainstay.reports.html import render_html
from mainstay.store.documents import run_from_json

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "reports" / "golden"
SAMPLES = HERE.parents[1] / "docs" / "samples"
MODULES = HERE / "node_modules"
NAMES = ("passing", "failing", "inconclusive", "error")
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"


def need(thing: Any, name: str) -> Any:
    """The thing, or a skip that names it; a failure where pages are required."""
    if thing:
        return thing
    if os.environ.get("MAINSTAY_PAGES") == "required":
        pytest.fail(f"{name} is not there")
    pytest.skip(f"{name} is not there")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The Chromium of the system."""
    need(find_spec("playwright"), "the Python package playwright")
    chromium = need(next(filter(None, map(shutil.which, CHROMIUMS)), None), "Chromium")
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    source = MODULES / "axe-core" / "axe.min.js"
    need(source.is_file(), "axe-core (npm ci in tests/pages)")
    return source.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def validator() -> list[str]:
    """The command that validates pages."""
    node, script = shutil.which("node"), MODULES / "html-validate" / "bin" / "html-validate.mjs"
    need(node and script.is_file(), "html-validate (npm ci in tests/pages)")
    return [str(node), str(script), "--config", str(HERE / ".htmlvalidate.json")]


class Opened:
    """A page with all that it asked for and all that it complained about."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.goto(url)

    @property
    def foreign_requests(self) -> list[str]:
        """Requests for anything but the page and what it carries itself."""
        return [url for url in self.requests if url != self.page.url.partition("#")[0] and not url.startswith("data:")]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Open a file at a width and in a colour scheme."""
    contexts = []

    def open_file(path: Path, *, width: int = 1280, scheme: str = "light", bypass_csp: bool = False) -> Opened:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=bypass_csp)
        contexts.append(context)
        return Opened(context.new_page(), path.as_uri())

    yield open_file
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def runs() -> dict[str, Run]:
    """The published samples."""
    documents = {name: (SAMPLES / f"{name}.json").read_text(encoding="utf-8") for name in NAMES}
    return {name: run_from_json(text, where=name) for name, text in documents.items()}


@pytest.fixture(params=NAMES)
def golden_page(request: pytest.FixtureRequest) -> Path:
    """The page of each golden run in turn."""
    return GOLDEN / f"{request.param}.html"


@pytest.fixture
def failing_page() -> Path:
    """The page with the most to show."""
    return GOLDEN / "mixed.html"


@pytest.fixture
def hostile_page(runs: dict[str, Run], tmp_path: Path) -> Path:
    """A page whose texts would like to be markup."""
    attack = "\"><img src=https://example.org/a onerror=alert(1)><script>alert(1)</script>'{{ 7 }}\u202e\x1b[31m"
    run = runs["failing"]
    run = replace(
        run,
        reason=attack,
        notes=(attack,),
        candidate=replace(run.candidate, subject=attack, name=attack),
        findings=tuple(hostile_finding(finding, attack) for finding in run.findings),
        workloads=tuple(replace(workload, reason=attack, context={attack: attack}) for workload in run.workloads),
    )
    return written(run, tmp_path / "hostile.html")


def hostile_finding(finding: Finding, attack: str) -> Finding:
    """A finding whose metric has a hostile name."""
    metric = replace(finding.metric, name=attack, workload=attack)
    return replace(finding, metric=metric, reason=attack, detail=(attack,), warnings=(attack,))


@pytest.fixture
def large_page(runs: dict[str, Run], tmp_path: Path) -> Path:
    """A page of 500 findings of 200 pairs."""
    run = runs["failing"]
    findings = tuple(grown(run.findings[0], number=i) for i in range(500))
    return written(replace(run, findings=findings), tmp_path / "large.html")


def grown(finding: Finding, *, number: int) -> Finding:
    """The same finding of another workload, with its eight pairs over and over."""
    return replace(
        finding,
        metric=replace(finding.metric, workload=f"test_{number}.py::test_it"),
        num_pairs=200,
        seeds=finding.seeds * 25,
        baseline_values=finding.baseline_values * 25,
        candidate_values=finding.candidate_values * 25,
        degradations=finding.degradations * 25,
    )


def written(run: Run, path: Path) -> Path:
    """A page on disk."""
    path.write_text(render_html(run), encoding="utf-8")
    return path


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Any, str], bytes]:
    """Take a picture of a whole page and keep it where it was asked for."""
    folder = Path(os.environ.get("MAINSTAY_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Any, name: str) -> bytes:
        picture: bytes = page.screenshot(path=folder / f"{name}.png", full_page=True)
        return picture

    return take
