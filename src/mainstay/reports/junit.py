"""The report for CI systems: JUnit XML, a suite for each workload and a case for each finding.

``fail`` and ``missing`` are failures, ``error`` is an error, ``waived`` and ``skipped`` are skipped, ``new`` passes. An
inconclusive finding follows the policy for an inconclusive gate: an error if the exit status is 3, a failure if it is
1, skipped if it is 0; but an error if it needs a review. Findings that do not block or only warn are skipped. A pass
with an implausible gain that nobody has acknowledged is an error.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.circumstances import WorkloadRow
from mainstay.reports.rows import FindingRow
from mainstay.reports.text import finding_lines
from mainstay.reports.view import EXPLANATION_TITLE, RunView, view_run

_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.MISSING: "failure",
    Verdict.ERROR: "error",
    Verdict.WAIVED: "skipped",
}
_INCONCLUSIVE_ELEMENTS = {0: "skipped", 1: "failure", 3: "error", "warn": "error"}
_WORKLOAD_ELEMENTS = {"error": "error", "missing": "failure", "skipped": "skipped"}


def render_junit(run: Run) -> str:
    """A run as JUnit XML.

    Args:
        run: What a gate produced.

    Returns:
        A document with its XML declaration, ending in a line break.
    """
    view = view_run(run)
    seconds = {workload.id: workload.seconds for workload in run.workloads}
    suites = ET.Element("testsuites", name=view.command, time=f"{sum(seconds.values()):.3f}")
    for name, rows, workload in _suites(view):
        suite = ET.SubElement(suites, "testsuite", name=name, timestamp=view.created)
        for row in rows:
            _add_case(suite, row, inconclusive=_INCONCLUSIVE_ELEMENTS[run.plan.inconclusive])
        if workload is not None and not rows:
            _add_unjudged(suite, workload)
        _count(suite)
    _add_gate(suites, view)
    _total(suites)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suites(view: RunView) -> list[tuple[str, list[FindingRow], WorkloadRow | None]]:
    """Findings by workload, in the order of the report; workloads without findings last."""
    workloads: dict[str, WorkloadRow | None] = {row.id: row for row in view.workloads}
    by_workload: dict[str, list[FindingRow]] = {}
    for row in view.findings:
        by_workload.setdefault(row.workload, []).append(row)
    by_workload = {**by_workload, **{name: [] for name in workloads if name not in by_workload}}
    return [(name, rows, workloads.get(name)) for name, rows in by_workload.items()]


def _add_case(suite: ET.Element, row: FindingRow, *, inconclusive: str) -> None:
    """One finding as a case, with all its details."""
    case = ET.SubElement(suite, "testcase", classname=row.workload, name=row.name)
    element = inconclusive if row.verdict is Verdict.INCONCLUSIVE else _ELEMENTS.get(row.verdict)
    if row.needs_review and element == "skipped":
        element = "error"
    if element and not row.blocks:
        element = "skipped"
    if row.mark:
        element = "error"
    lines = "\n".join(_lines(row))
    if element is None:
        ET.SubElement(case, "system-out").text = lines
        return
    outcome = ET.SubElement(case, element, message=f"{row.verdict}: {row.mark or row.reason}")
    if element != "skipped":
        outcome.set("type", row.verdict.value)
    outcome.text = lines


def _lines(row: FindingRow) -> list[str]:
    """A finding in lines."""
    lines = [f"{label}: {sentence}" if label else sentence for label, sentence in finding_lines(row)]
    return [*lines, *([f"next: {row.next_step.instruction}"] if row.next_step.action else []), *row.detail]


def _add_unjudged(suite: ET.Element, workload: WorkloadRow) -> None:
    """A workload that gave no finding as a case."""
    case = ET.SubElement(suite, "testcase", classname=workload.id, name=workload.kind)
    element = _WORKLOAD_ELEMENTS.get(workload.status)
    if element is not None:
        ET.SubElement(case, element, message=f"{workload.status}: {workload.reason}")


def _add_gate(suites: ET.Element, view: RunView) -> None:
    """The gate itself as a suite of one case, so that a gate without findings is not an empty, green report."""
    suite = ET.SubElement(suites, "testsuite", name="gate", timestamp=view.created)
    properties = ET.SubElement(suite, "properties")
    for change in view.changes:
        value = "\n".join((change.values, *change.diff))
        ET.SubElement(properties, "property", name=f"{change.kind} {change.name}", value=value)
    if view.explanation:
        ET.SubElement(properties, "property", name=EXPLANATION_TITLE, value="\n".join(view.explanation))
    for name, value in view.plan:
        ET.SubElement(properties, "property", name=f"{view.plan_title}: {name}", value=value)
    case = ET.SubElement(suite, "testcase", classname="mainstay", name="gate")
    if view.exit_status and not any(row.verdict is view.verdict for row in view.findings):
        element = "failure" if view.exit_status == 1 else "error"
        ET.SubElement(case, element, message=f"{view.headline}: {view.reason}", type=view.verdict.value)
    else:
        ET.SubElement(case, "system-out").text = "\n".join(
            (view.headline, view.reason, "; ".join(view.error_rate), *view.assumptions)
        )
    _count(suite)


def _count(suite: ET.Element) -> None:
    """Totals of a suite, which CI systems show."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(element) is not None for case in cases)))


def _total(suites: ET.Element) -> None:
    """Totals of all suites."""
    for attribute in ("tests", "failures", "errors", "skipped"):
        suites.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites.iter("testsuite"))))
