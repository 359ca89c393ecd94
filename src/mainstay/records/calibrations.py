"""Calibrations: the noise of a machine, measured by gating a revision against itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mainstay.records.findings import Interval, Verdict
from mainstay.records.metrics import Metric, Tier
from mainstay.records.runs import SCHEMA_VERSION, Environment, Machine, Revision


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectableDegradation:
    """Degradations that a number of pairs detects, each with 90 % probability.

    Attributes:
        num_pairs: Pairs at the last look.
        fails_above: A true degradation above this fails.
        passes_below: A true degradation below this passes; negative if even a clean change does not reliably pass.
    """

    num_pairs: int
    fails_above: float
    passes_below: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricNoise:
    """Noise of one metric between two equal revisions.

    Attributes:
        metric: The metric that was measured.
        degradations: Degradation of each pair, which would be 0 without noise.
        bias: Mean degradation.
        bias_interval: 99 % interval of the true mean degradation; if it does not contain 0, the two builds differ.
        deviation: Standard deviation of a degradation over pairs.
        deviation_interval: Its 95 % interval.
        within: The part of the deviation that more blocks in a pair would reduce; ``None`` without blocks.
        between: The part that differs from process to process; ``None`` without blocks.
        detectable: Degradations that different numbers of pairs detect at the metric's margin.
        supported_margin: Smallest margin that the proposed looks support; ``None`` until there is a proposal.
        refusal: Why the margin is refused and what would support it; empty if it is supported.
    """

    metric: Metric
    degradations: tuple[float, ...]
    bias: float
    bias_interval: Interval
    deviation: float
    deviation_interval: Interval
    within: float | None
    between: float | None
    detectable: tuple[DetectableDegradation, ...]
    supported_margin: float | None = None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemNoise:
    """How the items of an evaluation differ between two equal revisions.

    Attributes:
        metric: The metric of the items.
        num_items: Number of items.
        num_flips: Items with different scores.
        tier: Tier that the metric has in a gate.
        supported_margin: Smallest margin with which a clean change passes with 95 % chance; ``None`` if there is none.
        refusal: Why the margin is refused and what would support it; empty if it is supported.
    """

    metric: Metric
    num_items: int
    num_flips: int
    tier: Tier
    supported_margin: float | None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """Settings that the machine's noise supports.

    Attributes:
        looks: Numbers of pairs at which the gate looks.
        seconds: Budget for measuring.
        margins: Proposed margin by name of a metric, for metrics whose present margin is refused.
        deviations: Standard deviation of a pair's degradation by id of a metric, for the policy ``inconclusive =
            "warn"``; only for metrics whose margin is supported.
    """

    looks: tuple[int, ...]
    seconds: float
    margins: Mapping[str, float] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Calibration of a machine by a revision gated against itself.

    Attributes:
        created: ISO time in UTC of the start.
        mainstay_version: Version of the tool.
        revision: Revision that was built twice and compared with itself.
        environments: Environments of the two builds.
        machine: Machine that was calibrated.
        max_load: Largest load by other processes seen during a trial, in processors.
        alpha: Level of the strict tests.
        margin_level: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks, as configured.
        seconds: Budget for measuring, as configured.
        num_pairs: Pairs measured.
        seconds_per_pair: Mean wall time of a pair, all its workloads together.
        metrics: Noise of each timed metric.
        evaluations: Flips of each metric of an evaluation.
        verdicts: Verdicts of a gate with these pairs, by metric id.
        num_gates: Number of gates simulated from these pairs, with the signs of their degradations drawn at random.
        num_false_alarms: Number of simulated gates that fail.
        false_alarm_interval: 95 % interval of the share of simulated gates that fail.
        num_passes: Number of simulated gates that pass.
        proposal: Settings that the noise supports.
        notes: Notes for the reader, one sentence each.
        schema_version: Always 1.
    """

    created: str
    mainstay_version: str
    revision: Revision
    environments: tuple[Environment, ...]
    machine: Machine
    max_load: float | None
    alpha: float
    margin_level: float
    looks: tuple[int, ...]
    seconds: float
    num_pairs: int
    seconds_per_pair: float
    metrics: tuple[MetricNoise, ...]
    verdicts: Mapping[str, Verdict]
    num_gates: int
    num_false_alarms: int
    false_alarm_interval: Interval
    num_passes: int
    proposal: Proposal
    evaluations: tuple[ItemNoise, ...] = ()
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_status(self) -> int:
        """Exit status of the command: 0 if the budget supports every margin, 1 if one is refused."""
        return int(any(each.refusal for each in self.metrics) or any(each.refusal for each in self.evaluations))
