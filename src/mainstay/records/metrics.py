"""Metrics, and the workloads that record them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from mainstay.records.executions import Execution
from mainstay.records.scales import LARGEST_DEGRADATION, Difference, Equality, LogRatio, Scale

FRACTION = "fraction"
"""The unit of a share between 0 and 1, shown in percent."""

SHARE_ROUNDING = 1e-6
"""How far a share may lie outside 0 to 1 by rounding in single precision."""

STORED = "evaluation"
"""Name used instead of a workload for the metrics of stored results."""


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


class Tier(StrEnum):
    """Tier of a metric: which of its verdicts can keep the gate from passing."""

    BLOCKING = "blocking"
    """All of them."""
    GUARD = "guard"
    """All but ``inconclusive``: the metric can fail, and the report prints the degradation that is not excluded."""
    ADVISORY = "advisory"
    """None of them: the metric is only shown."""


_DIFFERENCE = Difference()


class Kind(StrEnum):
    """Names of the scales in run documents and in the marker ``accuracy``; each line registers a scale.

    A marker ``accuracy`` that names no kind uses the scale ``accuracy``. The markers ``performance`` and
    ``deterministic`` always use the scales of the same name.
    """

    ACCURACY = "accuracy", _DIFFERENCE
    PERFORMANCE = "performance", LogRatio()
    DETERMINISTIC = "deterministic", Equality()

    scale: Scale

    def __new__(cls, name: str, scale: Scale = _DIFFERENCE) -> Self:
        """Create a member from a name and a scale; a lookup such as ``Kind("accuracy")`` does not call this."""
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.scale = scale
        return kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """How a metric follows from the scores of items.

    Attributes:
        score: Name under which the workload records the scores.
        task: Task whose items count; empty for all items, or for the mean of the tasks.
        tasks: Tasks whose mean the metric is; empty if it is none.
        score_range: Smallest and largest score of an item; ``None`` if not declared.
        tier: Declared tier; ``None`` to let it follow from the number of items.
    """

    score: str
    task: str = ""
    tasks: tuple[str, ...] = ()
    score_range: tuple[float, float] | None = None
    tier: Tier | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that is gated.

    Attributes:
        workload: The pytest node id of the workload that records it, such as ``test_accuracy.py::test_mlp``.
        name: The recorded name, such as ``top1_accuracy``.
        kind: Name of the scale on which two values compare.
        direction: Which values are better.
        margin: The degradation that is tolerated: in the metric's unit for accuracy, a fraction of the baseline
            otherwise.
        unit: Unit of the values; ``fraction`` for a share between 0 and 1, ``1`` for a plain number. Empty if the
            workload declares none: see :attr:`is_fraction`.
        ceiling: Any value better than this is implausible.
        resolution: The smallest step the metric can take, such as one over the number of test examples.
        scoring: How it follows from the scores of items; ``None`` if a workload records it as one number.
    """

    workload: str
    name: str
    kind: Kind
    direction: Direction
    margin: float
    unit: str = ""
    ceiling: float | None = None
    resolution: float = 0.0
    scoring: Scoring | None = None

    @property
    def id(self) -> str:
        """The workload and the name, unique in a run."""
        return f"{self.workload}#{self.name}"

    @property
    def is_of_items(self) -> bool:
        """Whether it follows from scores of items, measured or stored, rather than from pairs."""
        return self.workload == STORED or self.scoring is not None

    @property
    def is_fraction(self) -> bool:
        """Whether values are shares between 0 and 1: declared as such, or a unitless accuracy with higher values better.

        Example:
            >>> Metric(
            ...     workload="w", name="loss", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.1
            ... ).is_fraction
            False
        """
        is_undeclared_share = not self.unit and self.direction == Direction.HIGHER  # may come as plain text
        return self.scale.takes_shares and (self.unit == FRACTION or is_undeclared_share)

    @property
    def has_margin_in_percent(self) -> bool:
        """Whether the margin must be meant in percent, as :meth:`Scale.is_in_percent` tells.

        Example:
            >>> Metric(
            ...     workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=5
            ... ).has_margin_in_percent
            True
        """
        return self.scale.is_in_percent(self.margin, is_plain=self.unit in {"", FRACTION})

    @property
    def scale(self) -> Scale:
        """How two values compare."""
        return self.kind.scale

    @property
    def scaled_margin(self) -> float:
        """The margin on the scale of degradations: itself for accuracy, ``log(1 + margin)`` for performance.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> round(step.scaled_margin, 4)
            0.0488
        """
        return self.scale.from_margin(self.margin)

    def degradation(self, baseline: float, candidate: float) -> float:
        """How much worse the candidate is; positive is worse.

        Args:
            baseline: The baseline's value; positive for performance.
            candidate: The candidate's value; positive for performance.

        Returns:
            A number on the metric's scale. It is always finite: a degradation that no number can express, such as
            growth from a count of zero, becomes :data:`~mainstay.records.scales.LARGEST_DEGRADATION` with its sign.

        Example:
            >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
            >>> round(top1.degradation(baseline=0.977, candidate=0.974), 4)
            0.003
        """
        growth = self.scale.growth(baseline, candidate)
        worse = max(-LARGEST_DEGRADATION, min(LARGEST_DEGRADATION, growth))
        return worse if self.direction == Direction.LOWER else -worse

    def level(self, value: float) -> float:
        """A value on the scale of degradations: its logarithm for performance, otherwise unchanged.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> step.level(1.0)
            0.0
        """
        return self.scale.level(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One pytest test that measures.

    Attributes:
        id: The pytest node id, relative to the workload folder.
        execution: How its trials run.
        metrics: The metrics that it gates.
        looks: Shares of the items of an evaluation at which its markers want looks; empty if they do not say.
    """

    id: str
    execution: Execution
    metrics: tuple[Metric, ...]
    looks: tuple[float, ...] = ()

    @property
    def recorded(self) -> tuple[str, ...]:
        """Names of the values that each of its trials must record, or of the scores if it scores items."""
        names = (metric.scoring.score if metric.scoring else metric.name for metric in self.metrics)
        return tuple(dict.fromkeys(names))
