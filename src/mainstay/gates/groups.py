"""Groups: timed metrics that are also judged by the geometric mean of their ratios.

The mean is one more metric of the family, at the same looks, with the smallest margin of its members. The members keep
their own tests and can fail. While the mean passes, a member that stays undecided only warns if its estimate lies within
its margin and its strict test excludes twice the margin, so that a noisy member cannot hide such a degradation. A member
that is missing, broken or worse keeps the mean from passing.

- :func:`mean_samples`: the pairs of the mean.
- :func:`settle_groups`: what a group means for the verdicts of its members, and they for its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mainstay.gates.samples import MetricSamples, find_fault
from mainstay.gates.tolerance import why_not_within
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Tier
from mainstay.records.plans import PlannedGroup

SPOILING = frozenset({Verdict.FAIL, Verdict.MISSING, Verdict.ERROR})
"""Verdicts of a member with which its group cannot pass."""


def mean_samples(group: PlannedGroup, members: Sequence[MetricSamples]) -> MetricSamples:
    """The geometric means of both revisions, so that a degradation is the mean of those of the members in the pair.

    Args:
        group: The group.
        members: Samples of its members, at least one; only pairs that all of them have count.

    Returns:
        Samples with the seeds of the first member, and with the smallest margin.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> step = Metric(workload="t.py::a", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> group = PlannedGroup(metric=replace(step, workload="t.py"), members=("t.py::a#t", "t.py::b#t"))
        >>> members = [
        ...     MetricSamples(metric=step, seeds=(7,), baseline_values=(baseline,), candidate_values=(2 * baseline,))
        ...     for baseline in (1.0, 100.0)
        ... ]
        >>> samples = mean_samples(group, members)
        >>> [round(each, 6) for each in (*samples.baseline_values, *samples.candidate_values)]
        [10.0, 20.0]
    """
    num_pairs = min(map(_num_sound, members))
    return MetricSamples(
        metric=replace(group.metric, margin=min(member.metric.margin for member in members)),
        seeds=members[0].seeds[:num_pairs],
        baseline_values=_means([member.baseline_values[:num_pairs] for member in members]),
        candidate_values=_means([member.candidate_values[:num_pairs] for member in members]),
    )


def _num_sound(samples: MetricSamples) -> int:
    """Number of pairs before the first fault; none if the finding is known without pairs."""
    if samples.preset is not None:
        return 0
    fault = find_fault(samples)
    return samples.num_pairs if fault is None else fault.pair


def _means(values: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Geometric mean over the members in each pair."""
    return tuple(math.exp(math.fsum(map(math.log, pair)) / len(pair)) for pair in zip(*values, strict=True))


def settle_groups(findings: Sequence[Finding], groups: Iterable[PlannedGroup], *, alpha: float) -> tuple[Finding, ...]:
    """Let undecided members of a group that passes only warn, and no group pass with a member that is worse or broken.

    Args:
        findings: All findings of a gate, with waivers applied.
        groups: The groups of the plan.
        alpha: Level of the strict tests.

    Returns:
        The findings in their order.
    """
    settled = {finding.metric.id: finding for finding in findings}
    for group in groups:
        mean = settled.get(group.metric.id)
        if mean is None or mean.verdict is not Verdict.PASS:
            continue
        members = [settled[name] for name in group.members if name in settled]
        if spoiling := [member for member in members if member.verdict in SPOILING]:
            named = "; ".join(f"{member.metric.id} is {member.verdict}" for member in spoiling)
            reason = f"its members do not all pass ({named}); as measured: {mean.reason}"
            settled[mean.metric.id] = replace(mean, verdict=Verdict.INCONCLUSIVE, reason=reason)
        else:
            settled |= {member.metric.id: _with_group(member, mean, alpha) for member in members}
    return tuple(settled[finding.metric.id] for finding in findings)


def _with_group(member: Finding, mean: Finding, alpha: float) -> Finding:
    """A member of a group that passes; undecided, but within its margin and surely below twice of it, it is a guard."""
    is_undecided = member.verdict is Verdict.INCONCLUSIVE and member.blocks and not member.needs_review
    is_bounded = member.p_values.get("below_double_margin", 1.0) <= alpha
    if not is_undecided or not is_bounded or why_not_within(member):
        return member
    warning = (
        "it only warns: its estimate lies within the margin, twice the margin is excluded, and the mean of its group "
        f"passes ({mean.metric.id})"
    )
    return replace(member, tier=Tier.GUARD, warnings=(*member.warnings, warning))
