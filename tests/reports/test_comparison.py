from dataclasses import replace

import pytest

from mainstay.reports.comparison import render_comparison


def test_equal_runs_have_no_verdict_that_moved(run):
    text = render_comparison(run, run)

    assert f"metrics whose verdict changed: 0 of {len(run.findings)}" in text


def test_metrics_that_moved_come_first(runs):
    text = render_comparison(runs["passing"], runs["failing"])

    moved, stayed = text.index("top1_accuracy\n"), text.index("test_train_step#time\n")
    assert moved < text.index("metrics with the same verdict") < stayed


def test_metric_of_one_run_only_is_absent_from_the_other(runs):
    text = render_comparison(runs["passing"], runs["failing"])

    assert "test_train_step#parameters\n    first:  pass" in text
    assert "    second: absent\n" in text


def test_movement_is_the_difference_of_the_estimates(failing):
    finding = failing.findings[0]
    worse = replace(failing, findings=(replace(finding, estimate=finding.estimate + 0.001), *failing.findings[1:]))

    assert "moved:  0.10 points worse" in render_comparison(failing, worse)


def test_different_baselines_are_pointed_out(failing):
    other = replace(failing, baseline=replace(failing.baseline, commit="ab" * 20))

    assert "the baselines differ" in render_comparison(failing, other)
    assert "the baselines differ" not in render_comparison(failing, failing)


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\ud800", "x" * 100_000])
def test_hostile_texts_stay_text(failing, poisoned, text):
    report = render_comparison(failing, poisoned(failing, text))

    assert report.isprintable() or all(line.isprintable() for line in report.splitlines())
    assert len(report) < 20_000
