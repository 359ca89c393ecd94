from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mainstay.records.findings import Verdict
from mainstay.reports.junit import render_junit

OUTCOMES = ("failure", "error", "skipped")


def tree(run):
    return ET.fromstring(render_junit(run))


def outcome(root, name):
    case = root.find(f".//testcase[@name='{name}']")
    return next((kind for kind in OUTCOMES if case.find(kind) is not None), "passed")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.PASS, "passed"),
        (Verdict.NEW, "passed"),
        (Verdict.FAIL, "failure"),
        (Verdict.MISSING, "failure"),
        (Verdict.ERROR, "error"),
        (Verdict.WAIVED, "skipped"),
        (Verdict.INCONCLUSIVE, "error"),
    ],
)
def test_verdict_becomes_an_outcome(failing, verdict, expected):
    run = replace(failing, findings=(replace(failing.findings[0], verdict=verdict),))

    assert outcome(tree(run), "top1_accuracy") == expected


@pytest.mark.parametrize(("policy", "expected"), [(0, "skipped"), (1, "failure"), (3, "error"), ("warn", "error")])
def test_inconclusive_is_what_the_policy_makes_of_it(runs, policy, expected):
    run = runs["inconclusive"]
    run = replace(run, plan=replace(run.plan, inconclusive=policy))

    assert outcome(tree(run), "top1_accuracy") == expected


def test_what_is_tolerated_is_skipped(runs):
    run = runs["inconclusive"]
    findings = tuple(replace(finding, is_tolerated=True) for finding in run.findings)
    run = replace(run, findings=findings, plan=replace(run.plan, inconclusive="warn"))

    assert outcome(tree(run), "top1_accuracy") == "skipped"


def test_totals_are_the_sums_of_the_cases(run):
    root = tree(run)

    assert int(root.get("tests")) == len(root.findall(".//testcase"))
    assert int(root.get("failures")) == len(root.findall(".//failure"))
    assert int(root.get("errors")) == len(root.findall(".//error"))


def test_gate_that_judged_nothing_is_no_green_report(runs):
    root = tree(replace(runs["error"], findings=(), workloads=(), exit_status=4))

    assert root.get("errors") == "1"


def test_workload_that_was_skipped_is_a_skipped_case(runs):
    case = tree(runs["error"]).find(".//testcase[@classname='test_accuracy.py::test_on_gpu']")

    assert case.find("skipped").get("message") == "skipped: no GPU on this machine"
