"""The page of a history in a browser: quiet, accessible, searchable by keyboard, on a desk and on a phone."""

import pytest

from mainstay.gates.trends import metric_trends
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import Entry, History, KeptCommit, KeptMetric, KeptRun, RunKind
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.reports.history import render_history

ATTACK = "\"><img src=https://example.org/a onerror=alert(1)><script>alert(1)</script>'{{ 7 }}\u202e\x1b[31m"
SCHEMES = ("light", "dark")
WIDTHS = (1280, 390)


def entry(number, kind, subject):
    before = 20 if kind is RunKind.ANCHOR else number - 1
    commits = [
        KeptCommit(
            commit=f"{i:040x}", subject=f"{subject} {i}", date=f"2027-{1 + i // 28:02}-{1 + i % 28:02}T00:00:00+00:00"
        )
        for i in (before, number)
    ]
    metrics = tuple(
        KeptMetric(
            metric=Metric(
                workload="test_accuracy.py::test_mnist_mlp", name=name, kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01
            ),
            verdict=(Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)[number % 3],
            method=Method.SEQUENTIAL,
            degradations=tuple(0.01 * (((number * 7 + i * 13) % 11 - 5) / 8 + 0.3 * (number > 40)) for i in range(8)),
            candidate_mean=0.97 - 0.02 * (number > 40) + 0.001 * (number % 3),
        )
        for name in ("top1_accuracy", "error_rate", subject)
    )  # fmt: skip
    run = KeptRun(
        id=f"r{number}", created=commits[1].date, kind=kind, verdict=metrics[0].verdict, baseline=commits[0],
        candidate=commits[1], machine=f"A {subject}", packages_digest="p", looks=(8,), metrics=metrics,
        run_digest="d", mainstay_version="0",
    )  # fmt: skip
    return Entry(file=f"r{number}", run=run)


@pytest.fixture(params=["change", ATTACK], ids=["plain", "hostile"])
def history_page(request, tmp_path):
    entries = [entry(i, RunKind.MAIN, request.param) for i in range(1, 90)]
    entries += [entry(i, RunKind.ANCHOR, request.param) for i in (60, 80)]
    history = History(entries=tuple(entries), unread=((request.param, request.param),))
    path = tmp_path / "history.html"
    trends = metric_trends(history.runs)
    text = render_history(history, trends, title=request.param, feed="history.atom", run_length=1000)
    path.write_text(text, encoding="utf-8")
    return path


def test_page_asks_for_nothing_and_complains_about_nothing(open_page, history_page):
    opened = open_page(history_page)
    opened.page.mouse.wheel(0, 20_000)

    assert opened.foreign_requests == []
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_violation(open_page, history_page, axe, scheme, width):
    page = open_page(history_page, width=width, scheme=scheme, bypass_csp=True).page
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    page.evaluate(axe)

    violations = page.evaluate("axe.run()")["violations"]

    assert [(found["id"], [node["target"] for node in found["nodes"]][:5]) for found in violations] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_width(open_page, history_page, width):
    page = open_page(history_page, width=width).page

    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_runs_are_searched_and_filtered_by_keyboard(open_page, history_page):
    page = open_page(history_page).page
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "search-runs":
            break
    page.keyboard.type("anchor")

    assert page.locator("#shown-runs").inner_text() == "2 of 91 runs"
    assert page.locator("table.runs tbody tr:visible").count() == 2
    page.locator("#search-runs").fill("")
    assert page.locator("#shown-runs").inner_text() == "91 of 91 runs"
    page.locator("#verdict").select_option("fail")
    assert page.locator("#shown-runs").inner_text() == "31 of 91 runs"


def test_metrics_are_searched(open_page, history_page):
    page = open_page(history_page).page

    page.locator("#search-metrics").fill("top1")

    assert page.locator("#shown-metrics").inner_text() == "1 of 3 metrics"
    assert page.locator("article.metric:visible").count() == 1
