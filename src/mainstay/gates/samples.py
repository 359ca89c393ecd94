"""The values of one metric in every pair, and the faults that make them unfit to be judged.

A value is a *fault* if it is not finite, is not positive although a ratio is needed, or is better than the metric's
ceiling. The metric then becomes an error and can never pass, unless the pairs before the fault show a ``fail``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mainstay.gates.accuracy import is_implausible
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.metrics import SHARE_ROUNDING, Metric
from mainstay.records.scales import PLAIN_NUMBER
from mainstay.records.trials import Side

MOST_OF_A_FRACTION = 1 + SHARE_ROUNDING
"""Largest value of a fraction: one, plus rounding in single precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSamples:
    """Measured values of one metric.

    Attributes:
        metric: The metric that was measured.
        seeds: Seeds of the pairs, in the order in which the pairs were measured.
        baseline_values: Value of the baseline in each pair.
        candidate_values: Value of the candidate in each pair.
        preset: A final finding that was reached without pairs, such as an ``error`` or a ``missing``.

    Raises:
        ValueError: If the three sequences differ in length.
    """

    metric: Metric
    seeds: tuple[int, ...] = ()
    baseline_values: tuple[float, ...] = ()
    candidate_values: tuple[float, ...] = ()
    preset: Finding | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.seeds), len(self.baseline_values), len(self.candidate_values)}
        if len(lengths) > 1:
            raise ValueError(
                f"{self.metric.id}: seeds and values of both revisions differ in length: {sorted(lengths)}"
            )

    @property
    def num_pairs(self) -> int:
        """Number of measured pairs."""
        return len(self.seeds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """The first pair whose values cannot be judged.

    Attributes:
        pair: Number of the pair, from 0; the pairs before it can be judged.
        seed: Seed of the pair.
        blame: The revision that gave the value.
        reason: The problem, in one sentence.
    """

    pair: int
    seed: int
    blame: Blame
    reason: str


def first_pairs(samples: MetricSamples, num_pairs: int) -> MetricSamples:
    """The first pairs of a metric's samples."""
    return replace(
        samples,
        seeds=samples.seeds[:num_pairs],
        baseline_values=samples.baseline_values[:num_pairs],
        candidate_values=samples.candidate_values[:num_pairs],
    )


def with_known_unit(samples: MetricSamples) -> MetricSamples:
    """Treat a unitless accuracy as a plain number if a value of the baseline is not a fraction.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> bleu = Metric(workload="w", name="bleu", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.5)
        >>> samples = MetricSamples(metric=bleu, seeds=(7,), baseline_values=(34.2,), candidate_values=(34.0,))
        >>> bleu.is_fraction, with_known_unit(samples).metric.is_fraction
        (True, False)
    """
    metric = samples.metric
    if metric.unit or not metric.is_fraction:
        return samples
    if all(0 <= value <= MOST_OF_A_FRACTION for value in samples.baseline_values if math.isfinite(value)):
        return samples
    return replace(samples, metric=replace(metric, unit=PLAIN_NUMBER))


def find_settled_fault(samples: MetricSamples, looks: Sequence[int]) -> Fault | None:
    """The first fault that no later pair can excuse.

    Whether an accuracy without a unit is a fraction is told from the baseline, whose next value may be the first above
    one. So a value above one is a fault only once it is one in all pairs up to a look. Pairs beyond that look do not
    change what was found, so a resumed gate finds the same.

    Args:
        samples: The values in every known pair.
        looks: Numbers of pairs at which the gate looks.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> reward = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.05)
        >>> samples = MetricSamples(
        ...     metric=reward, seeds=(7, 8), baseline_values=(0.97, 0.98), candidate_values=(1.02, 0.99)
        ... )
        >>> find_settled_fault(samples, looks=(5,)), find_settled_fault(samples, looks=(2, 5)).reason
        (None, 'a of the candidate is 1.02, which no fraction can be: if it is none, declare its unit at seed 7')
    """
    if samples.metric.unit or not samples.metric.is_fraction:
        return find_fault(samples)
    at_once = find_fault(replace(samples, metric=replace(samples.metric, unit=PLAIN_NUMBER)))
    for look in looks:
        if look > samples.num_pairs or (at_once and at_once.pair < look):
            break
        if fault := find_fault(first_pairs(samples, look)):
            return fault
    return at_once


def find_fault(samples: MetricSamples) -> Fault | None:
    """The first value that cannot be judged, if there is one.

    If an accuracy without a unit is a fraction in every pair of the baseline, it must be one in the candidate, too.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
        >>> samples = MetricSamples(
        ...     metric=top1, seeds=(7,), baseline_values=(0.9,), candidate_values=(float("nan"),)
        ... )
        >>> find_fault(samples).reason
        'a of the candidate is nan at seed 7'
    """
    samples = with_known_unit(samples)
    pairs = zip(samples.seeds, samples.baseline_values, samples.candidate_values, strict=True)
    for pair, (seed, baseline, candidate) in enumerate(pairs):
        complaints = {
            side: complaint
            for side, value in ((Side.BASELINE, baseline), (Side.CANDIDATE, candidate))
            if (complaint := _complaint(samples.metric, value))
        }
        if complaints:
            parts = [f"{samples.metric.name} of the {side} is {complaint}" for side, complaint in complaints.items()]
            reason = f"{' and '.join(parts)} at seed {seed}"
            return Fault(pair=pair, seed=seed, blame=_blame(tuple(complaints)), reason=reason)
    return None


def fault_finding(samples: MetricSamples, fault: Fault) -> Finding:
    """The ``error`` finding for a fault, with the pairs before it."""
    return Finding(
        metric=samples.metric,
        verdict=Verdict.ERROR,
        reason=fault.reason,
        blame=fault.blame,
        broken_seed=fault.seed,
        num_pairs=fault.pair,
        seeds=samples.seeds[: fault.pair],
        baseline_values=samples.baseline_values[: fault.pair],
        candidate_values=samples.candidate_values[: fault.pair],
    )


def unless_failed(finding: Finding, later: Finding) -> Finding:
    """The finding of a metric of which a later pair cannot be judged: a ``fail`` stays, with a warning; all else gives way.

    Args:
        finding: The judgement of the pairs before that pair.
        later: The finding on that pair.
    """
    if finding.verdict is not Verdict.FAIL:
        return later
    return replace(finding, warnings=(*finding.warnings, f"a later pair could not be judged: {later.reason}"))


def _complaint(metric: Metric, value: float) -> str:
    """Reason to refuse a value; empty if there is none."""
    if not math.isfinite(value):
        return f"{value}"
    if complaint := metric.scale.complaint(value):
        return complaint
    if metric.is_fraction and value > MOST_OF_A_FRACTION:
        hint = "" if metric.unit else ": if it is none, declare its unit"
        return f"{value:g}, which no fraction can be{hint}"
    if is_implausible(metric, value):
        return f"{value:g}, which is implausible beyond its ceiling of {metric.ceiling:g}"
    return ""


def _blame(sides: tuple[Side, ...]) -> Blame:
    """The revision to blame, or both."""
    return Blame.BOTH if len(sides) == 2 else Blame(sides[0].value)
