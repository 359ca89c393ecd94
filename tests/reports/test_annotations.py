from dataclasses import replace

import pytest

from mainstay.records.metrics import Tier
from mainstay.reports.annotations import render_annotations


def test_gate_comes_first_and_passing_metrics_are_silent(runs):
    lines = render_annotations(runs["passing"]).splitlines()

    assert lines == [
        (
            "::notice title=mainstay%3A PASS%3A may be merged::all 5 metrics passed; closest to its margin is "
            "test_train_step#time, which is 0.4 %25 slower (interval 0.8 %25 faster to 1.6 %25 slower, 5 pairs) against a "
            "margin of 5.0 %25; 2 within margin, 3 unchanged"
        )
    ]


def test_blocking_findings_are_errors(failing):
    lines = render_annotations(failing).splitlines()

    assert [line.split(" ")[0] for line in lines] == ["::error", "::error", "::error", "::notice", "::notice"]


def test_no_kind_has_more_annotations_than_github_shows(many_findings):
    lines = render_annotations(many_findings(300, 5)).splitlines()

    for kind in ("error", "warning", "notice"):
        assert sum(line.startswith(f"::{kind} ") for line in lines) <= 10
    assert any("92 more findings in the report" in line for line in lines)


@pytest.mark.parametrize("why", [{"is_tolerated": True}, {"tier": Tier.GUARD}], ids=["tolerated", "guard"])
def test_what_is_undecided_and_does_not_block_is_a_warning(runs, why):
    run = runs["inconclusive"]
    findings = tuple(replace(finding, **why) for finding in run.findings)

    lines = render_annotations(replace(run, findings=findings, exit_status=0)).splitlines()

    assert len(lines) == 1 + len(findings)
    assert all(line.startswith("::warning ") for line in lines)
