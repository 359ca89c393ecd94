"""Every report says that nothing was run, and names the assumptions of the proof once."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mainstay.gates.exact import judge_unchanged
from mainstay.records.findings import Method
from mainstay.reports.circumstances import ASSUMPTIONS
from mainstay.reports.forms import FORMS
from mainstay.reports.view import view_run
from mainstay.store.documents import run_from_json, run_to_json


@pytest.fixture
def unchanged(runs):
    """A run whose code was proved unchanged."""
    run = runs["passing"]
    return replace(
        run,
        plan=replace(run.plan, num_gated=0),
        findings=tuple(judge_unchanged(finding.metric) for finding in run.findings),
    )


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"annotations", "json"}))  # lines on findings, and no report
def test_a_report_names_the_assumptions_once_and_says_that_nothing_was_run(unchanged, renderers, form):
    report = " ".join(renderers[form](unchanged).split())

    for sentence in ASSUMPTIONS[Method.UNCHANGED]:
        assert report.count(sentence) == 1
    assert report.count("nothing was run") >= len(unchanged.findings)
    assert "nothing was judged" not in report


def test_what_was_measured_assumes_nothing_of_the_kind(runs, renderers):
    assert not view_run(runs["passing"]).assumptions
    assert "proof:" not in renderers["text"](runs["passing"])


def test_a_finding_states_no_change_and_no_values(unchanged):
    for row in view_run(unchanged).findings:
        assert (row.change, row.interval, row.values, row.num_pairs) == ("no change", "exact", "", 0)
        assert row.method == "proof that the code is unchanged"


def test_junit_counts_each_metric_as_passed(unchanged, renderers):
    root = ET.fromstring(renderers["junit"](unchanged))

    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("0", "0", "0")
    assert int(root.get("tests")) == len(unchanged.findings) + 1


def test_the_document_reads_as_it_was_written(unchanged):
    assert run_from_json(run_to_json(unchanged), where="unchanged") == unchanged
