"""Scales: how two values of a metric compare, and how the result is displayed.

To add a scale, define a subclass of :class:`Scale` with ``level`` and its inverse ``value``, and add a line to
:class:`~mainstay.records.metrics.Kind`, which gives it a name. The marker ``accuracy`` selects it by that name, as in
``accuracy(metric="perplexity", kind="ratio", margin=0.02)``, and run documents refer to it by that name.

- :class:`Difference`: in the metric's own unit, as for accuracies.
- :class:`LogRatio`: natural logarithm of a ratio, as for times and sizes.
- :class:`Equality`: relative difference of values that are deterministic.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

LARGEST_DEGRADATION = sys.float_info.max
"""Finite number used for a degradation that no number can express, such as growth from a count of zero."""

PLAIN_NUMBER = "1"
"""The unit of a number that has none and is no share, such as a perplexity or a score beyond 1."""

_LARGEST_EXPONENT = 700.0
_WORSE = {"seconds": "slower", "bytes": "larger"}
_BETTER = {"seconds": "faster", "bytes": "smaller"}


class Scale:
    """Comparison of two values of a metric. A degradation is a number on the scale; positive is worse.

    Attributes:
        is_relative: Whether a margin is a fraction of the baseline, so that one above 1 must be meant in percent.
        takes_shares: Whether values may be shares between 0 and 1, which are shown in percent.
        is_exact: Whether one pair decides, without statistics; the metric then uses no share of the error rate and is
            not counted in K.
    """

    is_relative: bool = True
    takes_shares: bool = False
    is_exact: bool = False

    def level(self, value: float) -> float:
        """A value transformed so that a degradation is the difference of two such levels."""
        return value

    def value(self, level: float) -> float:
        """The value that has a level."""
        return level

    def growth(self, baseline: float, candidate: float) -> float:
        """Growth from the baseline's to the candidate's value, on the scale; infinite if it cannot be expressed."""
        return self.level(candidate) - self.level(baseline)

    def is_in_percent(self, margin: float, *, is_plain: bool) -> bool:
        """Whether a margin must be meant in percent: as a fraction, it would let a share fall to 0 or a time double.

        Args:
            margin: A margin, as a workload declares it.
            is_plain: Whether values have no unit other than that of a share.
        """
        return self.is_relative and margin > 1

    def from_margin(self, margin: float) -> float:
        """A margin, as a workload declares it, on the scale of degradations."""
        return margin

    def to_margin(self, degradation: float) -> float:
        """A degradation as a margin that a workload could declare."""
        return degradation

    def resolution(self, step: float, baseline_values: Sequence[float]) -> float:
        """The smallest step of a degradation.

        Args:
            step: The smallest step of the metric's values.
            baseline_values: Values of the baseline, at least one.
        """
        return step

    def complaint(self, value: float) -> str:
        """Why a finite value cannot be compared; empty if it can."""
        return ""

    def displayed(self, degradation: float, *, is_fraction: bool) -> float:
        """A degradation as displayed."""
        return max(-LARGEST_DEGRADATION, min(LARGEST_DEGRADATION, 100 * degradation))

    def displayed_unit(self, unit: str, *, is_fraction: bool) -> str:
        """Unit of a displayed degradation; empty for a plain number."""
        return "%"

    def word(self, quantity: str, *, is_worse: bool) -> str:
        """The word for a change: ``worse``, ``slower``, ``smaller``.

        Args:
            quantity: ``seconds``, ``bytes`` or neither.
            is_worse: Whether the change is for the worse.
        """
        return "worse" if is_worse else "better"


class Difference(Scale):
    """Difference in the metric's own unit; a share is shown in percentage points.

    Example:
        >>> scale = Difference()
        >>> round(scale.growth(0.9, 0.92), 4), scale.displayed_unit("", is_fraction=True)
        (0.02, 'points')
    """

    is_relative = False
    takes_shares = True

    def is_in_percent(self, margin: float, *, is_plain: bool) -> bool:
        """Whether a share could fall to 0."""
        return is_plain and margin >= 1

    def displayed(self, degradation: float, *, is_fraction: bool) -> float:
        """Percentage points for a share, otherwise the difference itself."""
        return super().displayed(degradation, is_fraction=is_fraction) if is_fraction else degradation

    def displayed_unit(self, unit: str, *, is_fraction: bool) -> str:
        """Points for a share, otherwise the metric's unit."""
        return "points" if is_fraction else shown_unit(unit)


class LogRatio(Scale):
    """Natural logarithm of the ratio of positive values, shown in percent of the baseline.

    On this scale, "twice as slow" and "twice as fast" are equally far from 0, and relative noise is the same for small
    and large values.

    Example:
        >>> scale = LogRatio()
        >>> round(scale.growth(1.0, 1.05), 4), scale.word("seconds", is_worse=True)
        (0.0488, 'slower')
    """

    def level(self, value: float) -> float:
        """The logarithm of a value."""
        return math.log(value)

    def value(self, level: float) -> float:
        """The number with that logarithm."""
        return math.exp(level)

    def from_margin(self, margin: float) -> float:
        """``log(1 + margin)``."""
        return math.log1p(margin)

    def to_margin(self, degradation: float) -> float:
        """``exp(degradation) - 1``, or a large number instead of an overflow."""
        return math.expm1(min(degradation, _LARGEST_EXPONENT))

    def resolution(self, step: float, baseline_values: Sequence[float]) -> float:
        """The step relative to the smallest value.

        Example:
            >>> LogRatio().resolution(1e-6, [0.001, 0.002])
            0.001
        """
        return step / min(baseline_values)

    def complaint(self, value: float) -> str:
        """Refuse values that are not positive.

        Example:
            >>> LogRatio().complaint(0.0), LogRatio().complaint(1e-12)
            ('0, which has no ratio', '')
        """
        return "" if value > 0 else f"{value:g}, which has no ratio"

    def displayed(self, degradation: float, *, is_fraction: bool) -> float:
        """Percent of the baseline."""
        return 100 * self.to_margin(degradation)

    def word(self, quantity: str, *, is_worse: bool) -> str:
        """``slower`` or ``faster``, ``larger`` or ``smaller``, if the unit tells."""
        return (_WORSE if is_worse else _BETTER).get(quantity, super().word(quantity, is_worse=is_worse))


class Equality(Scale):
    """Equality of deterministic values, with the margin as a relative allowance.

    Example:
        >>> Equality().growth(200.0, 201.0), Equality().growth(0.0, 1.0)
        (0.005, inf)
    """

    is_exact = True

    def growth(self, baseline: float, candidate: float) -> float:
        """The relative difference."""
        if baseline:
            return (candidate - baseline) / abs(baseline)
        return math.copysign(math.inf, candidate) if candidate else 0.0


def shown_unit(unit: str) -> str:
    """The unit as written after values; empty for plain numbers.

    Example:
        >>> shown_unit("nat"), shown_unit("1")
        ('nat', '')
    """
    return "" if unit == PLAIN_NUMBER else unit
