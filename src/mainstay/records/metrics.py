"""What is to be measured: metrics, how two values of one are compared, and the workloads that record them."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from enum import StrEnum

LARGEST_DEGRADATION = sys.float_info.max
"""What a degradation is held at that no number can express, such as a count that was zero before: it stays finite."""

FRACTION = "fraction"
"""The unit of a share between 0 and 1, shown in percent."""

PLAIN_NUMBER = "1"
"""The unit of a number that has none and is no share, such as a degradation or a score beyond 1."""

STORED = "evaluation"
"""What the metrics of stored results have in place of a workload."""


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


class Kind(StrEnum):
    """How two values of a metric are compared."""

    ACCURACY = "accuracy"
    """By their difference, in the metric's own unit."""
    PERFORMANCE = "performance"
    """By the logarithm of their ratio."""
    DETERMINISTIC = "deterministic"
    """By equality with the margin as a relative allowance; spends no error and is not counted in K."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that is gated.

    Attributes:
        workload: The pytest node id of the workload that records it, such as ``test_accuracy.py::test_mlp``.
        name: The recorded name, such as ``top1_accuracy``.
        kind: How two values are compared.
        direction: Which values are better.
        margin: The degradation that is tolerated: in the metric's unit for accuracy, a fraction of the baseline
            otherwise.
        unit: Unit of the values; ``fraction`` for a share between 0 and 1, ``1`` for a plain number. Empty where the
            workload declares none: see :attr:`is_fraction`.
        ceiling: A value beyond which (in the good direction) the metric is implausible.
        resolution: The smallest step the metric can take, such as one over the number of test examples.
    """

    workload: str
    name: str
    kind: Kind
    direction: Direction
    margin: float
    unit: str = ""
    ceiling: float | None = None
    resolution: float = 0.0

    @property
    def id(self) -> str:
        """The workload and the name, unique in a run."""
        return f"{self.workload}#{self.name}"

    @property
    def is_fraction(self) -> bool:
        """Whether values are shares between 0 and 1: declared, or an accuracy without unit of which more is better.

        Example:
            >>> Metric(
            ...     workload="w", name="loss", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.1
            ... ).is_fraction
            False
        """
        is_undeclared_share = not self.unit and self.direction == Direction.HIGHER  # may come as plain text
        return self.kind is Kind.ACCURACY and (self.unit == FRACTION or is_undeclared_share)

    @property
    def scaled_margin(self) -> float:
        """The margin on the scale of degradations: itself for accuracy, ``log(1 + margin)`` for performance.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> round(step.scaled_margin, 4)
            0.0488
        """
        return math.log1p(self.margin) if self.kind is Kind.PERFORMANCE else self.margin

    def degradation(self, baseline: float, candidate: float) -> float:
        """How much worse the candidate is; positive is worse.

        Args:
            baseline: The baseline's value; positive for performance.
            candidate: The candidate's value; positive for performance.

        Returns:
            A difference in the metric's unit for accuracy, a natural-log ratio for performance, a relative
            difference for deterministic metrics. Always finite: what no number can express, such as any growth from
            a count of zero, is :data:`LARGEST_DEGRADATION` with its sign.

        Example:
            >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
            >>> round(top1.degradation(baseline=0.977, candidate=0.974), 4)
            0.003
        """
        if self.kind is Kind.PERFORMANCE:
            worse = math.log(candidate) - math.log(baseline)
        elif self.kind is Kind.DETERMINISTIC and baseline:
            worse = (candidate - baseline) / abs(baseline)
        elif self.kind is Kind.DETERMINISTIC:
            worse = math.copysign(LARGEST_DEGRADATION, candidate) if candidate else 0.0
        else:
            worse = candidate - baseline
        worse = max(-LARGEST_DEGRADATION, min(LARGEST_DEGRADATION, worse))
        return worse if self.direction == Direction.LOWER else -worse

    def level(self, value: float) -> float:
        """A value on the scale on which a degradation is a difference: its logarithm for performance, else as it is.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> step.level(1.0)
            0.0
        """
        return math.log(value) if self.kind is Kind.PERFORMANCE else value


class Execution(StrEnum):
    """How the trials of a workload run."""

    TRAINED = "trained"
    """Each in a process of its own, several at once."""
    INTERLEAVED = "interleaved"
    """Both revisions alive, block by block, with nothing beside them."""
    ALONE = "alone"
    """Each in a process that nothing else has used, with nothing beside it."""
    ONCE = "once"
    """One for each revision, since it repeats itself exactly."""
    STORED = "stored"
    """Not at all: the results were there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One pytest test that measures.

    Attributes:
        id: The pytest node id, relative to the workload folder.
        kind: How its metrics are compared.
        metrics: What it gates.
        is_alone: Whether each trial needs a process that nothing else has used, as peak memory does.
    """

    id: str
    kind: Kind
    metrics: tuple[Metric, ...]
    is_alone: bool = False

    @property
    def execution(self) -> Execution:
        """How its trials run.

        Example:
            >>> Workload(id="w", kind=Kind.PERFORMANCE, metrics=(), is_alone=True).execution
            <Execution.ALONE: 'alone'>
        """
        if self.kind is Kind.ACCURACY:
            return Execution.TRAINED
        if self.kind is Kind.DETERMINISTIC:
            return Execution.ONCE
        return Execution.ALONE if self.is_alone else Execution.INTERLEAVED

    @property
    def is_timed(self) -> bool:
        """Whether both revisions take turns in it, block by block, in processes that all timed workloads share."""
        return self.execution is Execution.INTERLEAVED
