"""Undecided metrics that only warn, under the policy ``inconclusive = "warn"``.

A metric that stays undecided does not block if its estimate lies within the margin and its pairs are not much noisier
than those of the calibration. So more noise, whether from the candidate or from the machine, does not help a metric.
The verdict itself is never changed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.formatting import degradation_text
from mainstay.records.metrics import Kind

MOST_TIMES_CALIBRATED = 3.0
"""Multiple of the calibrated deviation of a pair up to which an undecided metric is tolerated."""

_NOT_CALIBRATED = "its noise was not calibrated before: 'mainstay calibrate --write' does that for later gates"
_NOT_STATED = (
    "'deviations' in [tool.mainstay] names no noise for it, and 'mainstay calibrate' writes only that of times and memory: decide "
    "yourself, or enter the standard deviation of a pair from run.json in a separate change"
)


def tolerate_calibrated(findings: Iterable[Finding], deviations: Mapping[str, float]) -> tuple[Finding, ...]:
    """Mark the undecided findings that only warn; each of the others says in a warning why it blocks.

    Args:
        findings: All findings of a gate, with waivers applied.
        deviations: Calibrated standard deviation of a pair's degradation, by id or name of a metric.

    Returns:
        The findings in their order, with the same verdicts.
    """
    return tuple(_with_tolerance(finding, deviations) for finding in findings)


def _with_tolerance(finding: Finding, deviations: Mapping[str, float]) -> Finding:
    """The finding; if it would block because it is undecided, with a mark or with a warning why it has none."""
    if finding.verdict is not Verdict.INCONCLUSIVE or finding.needs_review or not finding.blocks:
        return finding
    metric = finding.metric
    calibrated = deviations.get(metric.id, deviations.get(metric.name))
    if why_not := _why_not(finding, calibrated):
        return replace(finding, warnings=(*finding.warnings, f"it blocks instead of only warning, since {why_not}"))
    seen, known = (degradation_text(metric, each or 0.0) for each in (finding.standard_deviation, calibrated))
    reason = (
        f"it only warns: the estimate lies within the margin, and the standard deviation of a pair, {seen}, is at most "
        f"{MOST_TIMES_CALIBRATED:g} times the calibrated {known}"
    )
    return replace(finding, is_tolerated=True, warnings=(*finding.warnings, reason))


def why_not_within(finding: Finding) -> str:
    """Why the pairs of an undecided finding do not place its estimate within the margin; empty if they do.

    Args:
        finding: An undecided finding.
    """
    if finding.method is not Method.SEQUENTIAL or not finding.num_looks or finding.estimate is None:
        return "no look at its pairs was completed"
    if finding.cap is not None:
        return "some pairs differ by so much that they were capped"
    mean = math.fsum(degradation / len(finding.degradations) for degradation in finding.degradations)
    if not max(finding.estimate, mean) < finding.metric.scaled_margin:
        return "its estimate does not lie within the margin"
    return ""


def _why_not(finding: Finding, calibrated: float | None) -> str:
    """Why an undecided finding blocks; empty if it only warns."""
    if finding.method is Method.ITEMS or finding.metric.scoring is not None:
        return "it is judged by its items, and only pairs have a calibrated noise"
    if why_not := why_not_within(finding):
        return why_not
    if calibrated is None:
        return _NOT_CALIBRATED if finding.metric.kind is Kind.PERFORMANCE else _NOT_STATED
    metric, deviation = finding.metric, finding.standard_deviation
    if deviation is None or not deviation <= MOST_TIMES_CALIBRATED * calibrated:
        seen = "unknown" if deviation is None else degradation_text(metric, deviation)
        return (
            f"the standard deviation of a pair, {seen}, is more than {MOST_TIMES_CALIBRATED:g} times the calibrated "
            f"{degradation_text(metric, calibrated)}"
        )
    return ""
