"""Every report says that nothing was run, and names the assumptions of the proof once."""

import json
import re
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree as ET

import pytest

from mainstay.gates.exact import judge_executed, judge_reworded, judge_unchanged
from mainstay.records.findings import Method
from mainstay.reports.circumstances import ASSUMPTIONS
from mainstay.reports.forms import FORMS
from mainstay.reports.view import view_run
from mainstay.store.documents import run_from_json, run_to_json

UNEXECUTED = [f"subject/text.py::f{number}" for number in range(5)]
JUDGES = {
    Method.UNCHANGED: judge_unchanged,
    Method.REWORDED: judge_reworded,
    Method.EXECUTED: partial(judge_executed, num_calls=3000, unexecuted=UNEXECUTED),
}


def proved(runs, judge):
    """A run whose code was proved unchanged."""
    run = runs["passing"]
    return replace(
        run,
        plan=replace(run.plan, num_gated=0),
        findings=tuple(judge(finding.metric) for finding in run.findings),
    )


@pytest.fixture
def unchanged(runs):
    """A run whose files were equal."""
    return proved(runs, judge_unchanged)


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.is_complete])
@pytest.mark.parametrize("method", JUDGES)
def test_a_report_names_the_assumptions_once_and_says_that_nothing_was_measured(runs, renderers, form, method):
    run = proved(runs, JUDGES[method])

    report = " ".join(renderers[form](run).split())

    for sentence in ASSUMPTIONS[method]:
        assert report.count(sentence) == 1
    said = "nothing was run" if method is Method.UNCHANGED else "nothing was measured"
    assert report.count(said) >= len(run.findings)
    assert "nothing was judged" not in report


def test_what_was_measured_assumes_nothing_of_the_kind(runs, renderers):
    assert not view_run(runs["passing"]).assumptions
    assert "proof:" not in renderers["text"](runs["passing"])


def test_a_finding_states_no_change_and_no_values(unchanged):
    for row in view_run(unchanged).findings:
        assert (row.change, row.interval, row.values, row.num_pairs) == ("no change", "exact", "", 0)
        assert row.method == "proof that the code is unchanged"


def test_a_finding_on_words_says_so(runs):
    for row in view_run(proved(runs, judge_reworded)).findings:
        assert (row.change, row.num_pairs, row.method) == ("no change", 0, "proof that only words of the code differ")


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.is_complete])
def test_a_report_names_the_functions_that_differ_and_were_not_executed(runs, renderers, form):
    report = " ".join(renderers[form](proved(runs, JUDGES[Method.EXECUTED])).split())

    assert "none of 3,000 traced calls executed what differs" in report
    assert re.search(r"text\S*f2\S* and 2 more; nothing was measured", report)
    assert "a path not seen in the n traced calls of a workload is rare (below 3/n a call, at 95 %)" in report
    assert form in {"text"} or all(name in report for name in UNEXECUTED)


def test_the_run_document_names_the_grain_and_all_functions(runs):
    run = proved(runs, JUDGES[Method.EXECUTED])

    for finding in json.loads(run_to_json(run))["findings"]:
        assert (finding["method"], finding["detail"], finding["num_pairs"]) == ("executed", UNEXECUTED, 0)
    assert {row.method for row in view_run(run).findings} == {"proof that no executed code differs"}


def test_junit_counts_each_metric_as_passed(unchanged, renderers):
    root = ET.fromstring(renderers["junit"](unchanged))

    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("0", "0", "0")
    assert int(root.get("tests")) == len(unchanged.findings) + 1


@pytest.mark.parametrize("judge", JUDGES.values())
def test_the_document_reads_as_it_was_written(runs, judge):
    run = proved(runs, judge)

    assert run_from_json(run_to_json(run), where="proved") == run
