"""Verdicts without statistics: equal digests, deterministic values, and unchanged code.

Equal digests of parameters and recorded metrics prove that an accuracy has not changed on the seeds run, if the
baseline is deterministic and two seeds differ. They prove nothing about seeds that were not run, and nothing about
time. Unchanged code is a proof for every metric, see :mod:`mainstay.revisions.unchanged`. None of these verdicts uses a
share of the error rate of the sequential judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mainstay.gates.samples import MetricSamples, fault_finding, find_fault
from mainstay.records.findings import Blame, Finding, Interval, Method, Verdict
from mainstay.records.formatting import degradation_text, first_few, whole_number
from mainstay.records.metrics import Metric
from mainstay.stats.paired import moments

_FIRST_INEXACT = 2**53
"""The first whole number that may stand for the next one, since values are kept as floats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Digests:
    """Digests of one workload's trials on its first seeds.

    Attributes:
        seeds: The seeds that were run, at least two.
        baseline: Digest of the baseline at each seed; empty if it recorded none.
        candidate: Digest of the candidate at each seed.
        repeated_baseline: Digest of a second trial of the baseline at the first seed.

    Raises:
        ValueError: If there are fewer than two seeds or the sequences differ in length.
    """

    seeds: tuple[int, ...]
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    repeated_baseline: str

    def __post_init__(self) -> None:
        if len(self.seeds) < 2 or not len(self.seeds) == len(self.baseline) == len(self.candidate):
            raise ValueError(f"digests of both revisions are needed on at least two seeds, got seeds {self.seeds}")


class DigestComparison(StrEnum):
    """Result of comparing the digests of a workload."""

    EQUAL = "both revisions gave the same digests"
    DIFFERENT = "the revisions gave different digests, which is no evidence of a degradation"
    NOT_REPEATABLE = "the baseline is not deterministic: the same seed gave another digest"
    INSENSITIVE = "two seeds gave the same digest: the workload ignores its seed or the digest is empty"
    ABSENT = "no digest was recorded"


def compare_digests(digests: Digests) -> DigestComparison:
    """Compare the digests of a workload, after checking that they can be a proof.

    Example:
        >>> compare_digests(Digests(seeds=(1, 2), baseline=("a", "b"), candidate=("a", "c"), repeated_baseline="a")).name
        'DIFFERENT'
    """
    if not all((*digests.baseline, *digests.candidate)):
        return DigestComparison.ABSENT
    if digests.repeated_baseline != digests.baseline[0]:
        return DigestComparison.NOT_REPEATABLE
    if any(len(set(side)) < len(digests.seeds) for side in (digests.baseline, digests.candidate)):
        return DigestComparison.INSENSITIVE
    return DigestComparison.EQUAL if digests.baseline == digests.candidate else DigestComparison.DIFFERENT


def judge_exact(samples: Sequence[MetricSamples], digests: Digests) -> tuple[Finding, ...]:
    """Judge the metrics of one workload by its digests.

    Args:
        samples: The gated metrics of the workload, with their values on the seeds that were run.
        digests: Digests of the same trials.

    Returns:
        One finding for each metric if the digests decide: ``pass`` if they are equal, ``error`` if the
        workload ignores its seed. Empty if pairs must decide.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> samples = MetricSamples(metric=top1, seeds=(1, 2), baseline_values=(0.9, 0.8), candidate_values=(0.9, 0.8))
        >>> digests = Digests(seeds=(1, 2), baseline=("a", "b"), candidate=("a", "b"), repeated_baseline="a")
        >>> print(judge_exact([samples], digests)[0].reason)
        identical, bit for bit, on each of 2 seeds; a change that alters the results of more than 90 % of seeds would be missed in at most 1 % of gates
    """
    comparison = compare_digests(digests)
    if comparison is DigestComparison.EQUAL:
        return tuple(_judge_equal(sample, digests.seeds) for sample in samples)
    if comparison is DigestComparison.INSENSITIVE:
        blame = _insensitive_side(digests)
        return tuple(
            Finding(metric=sample.metric, verdict=Verdict.ERROR, reason=comparison.value, blame=blame)
            for sample in samples
        )
    return ()


def excluded_share_of_seeds(num_seeds: int) -> float:
    """The largest share of seeds that a change can affect without being excluded, at the level of 1 %, by the seeds run.

    Example:
        >>> [f"{excluded_share_of_seeds(k):.0%}" for k in (1, 2, 3, 5)]
        ['99%', '90%', '78%', '60%']
    """
    return float(1 - 0.01 ** (1 / num_seeds))


def judge_deterministic(
    metric: Metric, *, baseline_value: float, candidate_value: float, repeated_baseline: float
) -> Finding:
    """Judge a value that must be deterministic, such as a number of parameters.

    Args:
        metric: The counted metric; its margin is a relative allowance.
        baseline_value: Count of the baseline.
        candidate_value: Count of the candidate.
        repeated_baseline: Count of a second trial of the baseline.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> count = Metric(
        ...     workload="w", name="parameters", kind=Kind.DETERMINISTIC, direction=Direction.LOWER, margin=0.0
        ... )
        >>> judge_deterministic(count, baseline_value=10, candidate_value=11, repeated_baseline=10).reason
        '10 became 11, 10.00 % worse: more than the allowance of 0.00 %'
    """
    values = MetricSamples(
        metric=metric, seeds=(0,), baseline_values=(baseline_value,), candidate_values=(candidate_value,)
    )
    fault = find_fault(values)
    if fault:
        return fault_finding(values, fault)
    if repeated_baseline != baseline_value:
        first, second = _told_apart(baseline_value, repeated_baseline)
        reason = f"not deterministic: the baseline gave {first} and then {second}"
        return Finding(metric=metric, verdict=Verdict.ERROR, reason=reason, blame=Blame.BASELINE)
    degradation = metric.degradation(baseline_value, candidate_value)
    return Finding(
        metric=metric,
        verdict=Verdict.FAIL if degradation > metric.margin else Verdict.PASS,
        reason=_equality_reason(metric, baseline_value, candidate_value, degradation),
        method=Method.EQUALITY,
        num_pairs=1,
        estimate=degradation,
        interval=Interval(degradation, degradation),
        baseline_mean=float(baseline_value),
        candidate_mean=float(candidate_value),
        baseline_values=(float(baseline_value),),
        candidate_values=(float(candidate_value),),
        degradations=(degradation,),
    )


def judge_unchanged(metric: Metric) -> Finding:
    """``pass`` of a metric because the code and everything else that it could depend on are equal in both revisions.

    Args:
        metric: The metric, which is not measured.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> finding = judge_unchanged(top1)
        >>> print(finding.verdict, finding.method, finding.num_pairs)
        pass unchanged 0
    """
    how = "the installed files of both revisions are equal, byte for byte; nothing was run"
    return _unchanged(metric, Method.UNCHANGED, how)


def judge_reworded(metric: Metric) -> Finding:
    """``pass`` of a metric, where the revisions differ only in words that nothing reads.

    Args:
        metric: What would have been measured.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> print(judge_reworded(top1).method)
        reworded
    """
    how = "the revisions differ only in docstrings, comments, layout and names of locals; nothing was measured"
    return _unchanged(metric, Method.REWORDED, how)


def judge_executed(metric: Metric, num_calls: int, unexecuted: Sequence[str]) -> Finding:
    """``pass`` of a metric, where many calls of its workload executed nothing that differs.

    Args:
        metric: What would have been measured.
        num_calls: Number of traced calls.
        unexecuted: Functions that differ, each with its file.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> speed = Metric(workload="w", name="a", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
        >>> print(judge_executed(speed, 3000, ["subject/text.py::plural"]).reason)
        unchanged code: none of 3,000 traced calls executed what differs, subject/text.py::plural; nothing was measured
    """
    differing = first_few(unexecuted)
    how = f"none of {num_calls:,} traced calls executed what differs, {differing}; nothing was measured"
    return _unchanged(metric, Method.EXECUTED, how, detail=tuple(unexecuted))


def _unchanged(metric: Metric, method: Method, how: str, *, detail: tuple[str, ...] = ()) -> Finding:
    reason = f"unchanged code: {how}"
    return Finding(metric=metric, verdict=Verdict.PASS, reason=reason, method=method, estimate=0.0, detail=detail)


def _judge_equal(samples: MetricSamples, seeds: tuple[int, ...]) -> Finding:
    """``pass`` of a metric whose digests are equal, unless its values cannot be judged."""
    fault = find_fault(samples)
    if fault:
        return fault_finding(samples, fault)
    share = excluded_share_of_seeds(len(seeds))
    return Finding(
        metric=samples.metric,
        verdict=Verdict.PASS,
        reason=f"identical, bit for bit, on each of {len(seeds)} seeds; a change that alters the results of more than "
        f"{100 * share:.0f} % of seeds would be missed in at most 1 % of gates",
        method=Method.EXACT,
        num_pairs=len(seeds),
        estimate=0.0,
        baseline_mean=float(moments(samples.baseline_values).mean),
        candidate_mean=float(moments(samples.candidate_values).mean),
        seeds=seeds,
        baseline_values=samples.baseline_values,
        candidate_values=samples.candidate_values,
        degradations=(0.0,) * len(seeds),
        exact_seeds=seeds,
    )


def _insensitive_side(digests: Digests) -> Blame:
    """Which revision ignores its seed."""
    baseline, candidate = (len(set(side)) < len(digests.seeds) for side in (digests.baseline, digests.candidate))
    if baseline and candidate:
        return Blame.BOTH
    return Blame.BASELINE if baseline else Blame.CANDIDATE


def _equality_reason(metric: Metric, baseline: float, candidate: float, degradation: float) -> str:
    """Describe the change of a count, in one sentence."""
    before, after = _told_apart(baseline, candidate)
    if candidate == baseline:
        return f"unchanged at {before}{', as far as 15 digits tell' if abs(baseline) >= _FIRST_INEXACT else ''}"
    allowance = f"the allowance of {degradation_text(metric, metric.margin)}"
    worse_or_better = "worse" if degradation > 0 else "better"  # however small: it is no estimate
    if not baseline:
        return f"{before} became {after}, {worse_or_better}: no allowance is a share of nothing"
    change = f"{degradation_text(metric, abs(degradation))} {worse_or_better}"
    moved = f"{before} became {after}, {change}"
    return f"{moved}: {'more than' if degradation > metric.margin else 'within'} {allowance}"


def _told_apart(first: float, second: float) -> tuple[str, str]:
    """Two counts: whole ones in full, others with as many digits as show that they differ."""
    texts = [
        (whole_number(first) or f"{first:.{digits}g}", whole_number(second) or f"{second:.{digits}g}")
        for digits in range(12, 18)
    ]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])
