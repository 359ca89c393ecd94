"""Flipped items in every report: what was lost first, quoted, escaped and in bounds."""

from dataclasses import replace

import pytest

from mainstay.records.findings import Finding, Interval, ItemCounts, Method, Verdict
from mainstay.records.metrics import FRACTION, Direction, Kind, Metric, Scoring
from mainstay.records.runs import FlippedItem, ItemGroup, WorkloadResult
from mainstay.reports.html import render_html
from mainstay.reports.items import item_lines, item_part
from mainstay.reports.junit import render_junit
from mainstay.reports.markdown import render_markdown
from mainstay.reports.remedies import Gate, next_step
from mainstay.reports.text import render_text

HOSTILE = "<script>alert(1)</script>\x1b[31m|`x`\u202e"
WORKLOAD = "benchmarks/test_a.py::test_a"
METRIC = Metric(
    workload=WORKLOAD,
    name="accuracy",
    kind=Kind.ACCURACY,
    direction=Direction.HIGHER,
    margin=0.02,
    unit=FRACTION,
    scoring=Scoring(score="accuracy"),
)


def item(number, *, degradation=1.0, **texts):
    scores = {"baseline": 1.0, "candidate": 0.0} if degradation > 0 else {"baseline": 0.0, "candidate": 1.0}
    return FlippedItem(
        **{"metric": "accuracy", "id": f"q{number}", "group": "", "degradation": degradation, **scores, **texts}
    )


def workload(*items, groups=()):
    return WorkloadResult(
        id=WORKLOAD, kind=Kind.ACCURACY, status="judged", flipped_items=tuple(items), groups=tuple(groups)
    )


@pytest.fixture
def run(failing):
    """The sample run with an evaluation of hostile items beside its metrics."""
    finding = Finding(
        metric=METRIC,
        verdict=Verdict.FAIL,
        reason="worse",
        method=Method.ITEMS,
        num_pairs=1319,
        num_looks=2,
        estimate=0.05,
        interval=Interval(0.03, 0.07),
        baseline_mean=0.8,
        candidate_mean=0.75,
        items=ItemCounts(
            num_worse=80, num_better=14, num_clusters=1319, baseline_flips=3, baseline_repeated=200, honest_margin=0.01
        ),
    )
    hostile = item(0, id=HOSTILE, input=HOSTILE, baseline_output="42", candidate_output=HOSTILE * 200, group=HOSTILE)
    group = ItemGroup(metric="accuracy", name=HOSTILE, num_items=9, num_worse=5, num_better=1, degradation=0.4)
    return replace(
        failing,
        findings=(*failing.findings, finding),
        workloads=(*failing.workloads, workload(hostile, *map(item, range(1, 9)), groups=[group])),
    )


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html, render_junit])
def test_every_report_shows_the_items_and_none_runs_them(run, render):
    report = " ".join(render(run).split())

    assert "5 lost, 1 gained of 9 items" in report or ">5<" in report
    assert "3 of 200" in report
    assert "42" in report
    assert ("<script>alert" in report) == (render in {render_text, render_markdown})
    assert "\x1b" not in report
    assert "\u202e" not in report


def test_the_page_holds_all_items_and_short_reports_a_few(run):
    lines = item_lines(METRIC, run.workloads[-1])

    assert [label for label, _ in lines] == ["lost"] * 5 + ["flipped", "group"]
    assert "4 more items" in lines[5][1]
    assert len(item_part(METRIC, run.workloads[-1]).rows) == 9


def test_columns_without_content_are_left_out_and_missing_scores_are_named():
    part = item_part(METRIC, workload(item(1, candidate=None, candidate_output="timed out"), item(2, degradation=-1.0)))

    assert part.headings == ("item", "baseline", "candidate", "candidate's output")
    assert part.rows[0] == ("q1", "1", "missing", "timed out")


def test_an_evaluation_without_flips_shows_none():
    assert item_part(METRIC, workload()) is None
    assert item_lines(METRIC, None) == ()


@pytest.mark.parametrize(
    ("share", "further", "action"),
    [
        pytest.param(
            0.1,
            686,
            "about 686 of the 1,188 items not scored yet should settle it: gate again with more time",
            id="time",
        ),
        pytest.param(0.1, 1189, "about 1,321 items should settle it; if the benchmark has no more", id="more-items"),
        pytest.param(1.0, 686, "about 818 items should settle it; if the benchmark has no more", id="all-were-scored"),
    ],
)
def test_an_evaluation_that_ran_out_of_time_is_given_more_if_its_items_suffice(share, further, action):
    undecided = Finding(
        metric=METRIC,
        verdict=Verdict.INCONCLUSIVE,
        reason="r",
        method=Method.ITEMS,
        num_pairs=132,
        further_pairs=further,
        items=ItemCounts(num_worse=4, num_better=2, num_clusters=132, share=share),
    )

    step = next_step(undecided, Gate(seconds=70.0, budget=60.0))

    assert step.action.startswith(action)
    assert step.command == ("mainstay gate --seconds 720" if "more time" in action else "")


def test_what_settles_an_evaluation_is_items_and_not_pairs():
    undecided = Finding(
        metric=METRIC, verdict=Verdict.INCONCLUSIVE, reason="r", method=Method.ITEMS, num_pairs=300, further_pairs=500
    )
    doubted = replace(undecided, verdict=Verdict.PASS, mark="a gain")

    assert "about 800 items should settle it" in next_step(undecided).action
    assert next_step(undecided).command == ""
    assert f"--acknowledge-gain {WORKLOAD}#accuracy" in next_step(doubted).command.replace("'", "")
