from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.gates.trends import metric_trends
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import KeptCommit, KeptMetric, KeptRun, RunKind
from mainstay.reports.rows import standing_text
from mainstay.store.history import ADMITTED, kept_to_json
from scripts.documentation.own_history import (
    FEED,
    FILE,
    PAGE,
    own_history_files,
    read_own_history,
    render_own_history,
)

START = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path, sample_run):
    """Results with a chain of thirty gates, of which each found a little."""
    metric = replace(sample_run.findings[0].metric, name="top1_accuracy")
    runs = [
        KeptRun(
            id=f"r{i}",
            created=(START + timedelta(days=i)).isoformat(),
            kind=RunKind.MAIN,
            verdict=Verdict.PASS,
            baseline=KeptCommit(commit=f"{i:040x}", subject=f"change {i}"),
            candidate=KeptCommit(commit=f"{i + 1:040x}", subject=f"<b>change</b> | {i + 1}"),
            machine="a machine",
            packages_digest="p",
            looks=(5, 8),
            metrics=(
                KeptMetric(
                    metric=metric,
                    verdict=Verdict.PASS,
                    method=Method.SEQUENTIAL,
                    degradations=(0.001, -0.001, 0.002, 0.0, 0.0005),
                    baseline_mean=0.97,
                    candidate_mean=0.97,
                ),
            ),
            run_digest="d",
            mainstay_version="0.1.0",
        )
        for i in range(30)
    ]
    (tmp_path / FILE).write_text("".join(map(kept_to_json, runs)))
    return tmp_path


def test_the_file_gives_the_runs_in_its_order(folder):
    history = read_own_history(folder)

    assert [entry.run.id for entry in history.entries] == [f"r{i}" for i in range(30)]
    assert history.unread == ()


def test_page_and_feed_are_those_that_the_toolkit_renders(folder):
    files = own_history_files(folder)

    assert set(files) == {PAGE, FEED}
    assert "&lt;b&gt;change&lt;/b&gt;" in files[PAGE]
    assert files[FEED].startswith("<?xml")


def test_the_site_says_where_each_metric_stands_and_leads_to_the_page(folder):
    text = render_own_history(folder)

    assert "30 runs (30 pass)" in text
    assert f"(reports/{PAGE})" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| `")]
    assert "30 runs" in row
    assert row.count(" | ") == 2


def test_without_a_file_there_is_no_page(tmp_path):
    assert own_history_files(tmp_path) == {}


def test_the_committed_history_is_that_of_this_repository(root):
    runs = read_own_history(root / "docs" / "results").runs

    assert len(runs) >= 10
    assert all(run.verdict in ADMITTED for run in runs)
    assert f"{len(runs)} runs (" in render_own_history(root / "docs" / "results")


def test_the_line_that_the_how_to_shows_is_of_the_committed_history(root):
    (trend,) = metric_trends(read_own_history(root / "docs" / "results").runs)
    page = (root / "docs" / "how-to" / "keep-a-history.md").read_text("utf-8")

    assert f"\nearlier runs: {standing_text(trend.metric, trend.standing)}\n" in page
