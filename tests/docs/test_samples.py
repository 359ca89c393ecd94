"""The published sample reports are real: their own pairs, judged again, give what they say."""

import json
import math
import statistics
from dataclasses import fields

import pytest

from experiments.samples import SAMPLES_BY_NAME, named_change
from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Finding, Interval, Method
from mainstay.records.metrics import Kind
from mainstay.reports.html import render_html
from mainstay.reports.markdown import render_markdown
from mainstay.reports.steps import TRIALS_OF_AN_EXPLANATION
from mainstay.reports.text import render_text
from mainstay.store.documents import run_from_json

NUMBERS = ("num_pairs", "estimate", "standard_deviation", "baseline_mean", "candidate_mean", "degradations")


@pytest.fixture(params=SAMPLES_BY_NAME)
def name(request):
    return request.param


@pytest.fixture
def run(root, name):
    return run_from_json((root / "docs" / "samples" / f"{name}.json").read_text("utf-8"), where=name)


def judged_again(run):
    """The findings of a run with those that rest on pairs judged anew, by the plan that it states."""
    names = [field.name for field in fields(Design)]
    design = Design(**{name: getattr(run.plan, name) for name in names})
    samples = [as_samples(finding) for finding in run.findings if finding.metric.kind is not Kind.DETERMINISTIC]
    findings = {finding.metric.id: finding for finding in judge_family(samples, design)}
    return [findings.get(finding.metric.id, finding) for finding in run.findings]


def as_samples(finding: Finding) -> MetricSamples:
    if finding.method is not Method.SEQUENTIAL:
        return MetricSamples(metric=finding.metric, preset=finding)
    columns = ("metric", "seeds", "baseline_values", "candidate_values")
    return MetricSamples(**{column: getattr(finding, column) for column in columns})


def test_sample_shows_the_verdict_that_it_is_there_for(run, name):
    assert run.verdict == SAMPLES_BY_NAME[name].verdict


def test_pairs_of_a_sample_judged_again_give_its_findings(run):
    for told, again in zip(run.findings, judged_again(run), strict=True):
        assert again.verdict is told.verdict, told.metric.id
        assert again.further_pairs == told.further_pairs, told.metric.id
        assert again.interval == pytest.approx(told.interval or Interval(0, 0)) or told.interval is None
        assert again.p_values == pytest.approx(told.p_values)
        for number in NUMBERS:
            assert getattr(again, number) == pytest.approx(getattr(told, number)), (told.metric.id, number)


def test_findings_of_a_sample_judged_again_give_its_gate(run):
    facts = GateFacts(findings=tuple(judged_again(run)), inconclusive=run.plan.inconclusive)

    judgement = judge_gate(facts)

    assert (judgement.verdict, judgement.reason, judgement.exit_status) == (run.verdict, run.reason, run.exit_status)


def test_sample_is_of_a_commit_and_says_what_the_change_was(run, name):
    assert run.candidate.subject == SAMPLES_BY_NAME[name].message
    assert len(run.candidate.commit) == 40


def test_sample_shows_each_installed_file_that_differs(run):
    assert run.differing_files
    for render in (render_text, render_markdown, render_html):
        report = render(run)
        assert "installed file" in report
        assert all(name in report for name in run.differing_files)


def test_one_sample_passes_by_statistics_of_timed_metrics(root):
    run = run_from_json((root / "docs" / "samples" / "timed.json").read_text("utf-8"), where="timed")

    assert len(run.findings) == 9
    assert {(finding.method, finding.metric.kind) for finding in run.findings} == {
        (Method.SEQUENTIAL, Kind.PERFORMANCE)
    }


def test_an_explanation_takes_as_many_trials_as_reports_say(root):
    measured = json.loads((root / "docs" / "results" / "first_difference.json").read_text("utf-8"))
    ratios = [
        sum(seconds for level, seconds in row["seconds"].items() if level != "unwatched") / row["seconds"]["unwatched"]
        for row in (*measured["planted"], *measured["controls"])
    ]

    assert TRIALS_OF_AN_EXPLANATION == math.ceil(statistics.median(ratios))


@pytest.mark.parametrize("name", [sample.change for sample in SAMPLES_BY_NAME.values() if sample.change])
def test_change_of_a_sample_is_one_that_is_measured_without_a_gate(name):
    assert named_change(name)["edits"]
