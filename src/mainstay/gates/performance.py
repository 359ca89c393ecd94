"""What is special to time and memory: their degradations are log ratios, so values must be positive.

A log ratio treats "twice as slow" and "twice as fast" alike and has the same noise at every scale.
"""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.records.metrics import Kind, Metric


def has_ratio(value: float) -> bool:
    """Whether a time or a size can be compared by its ratio.

    Example:
        >>> has_ratio(0.0)
        False
    """
    return value > 0


def degradation_resolution(metric: Metric, baseline_values: Sequence[float]) -> float:
    """The smallest step of a degradation: the metric's own for differences, its share of the value for log ratios.

    Args:
        metric: What was measured.
        baseline_values: Positive values of the baseline, at least one.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> step = Metric(
        ...     workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, resolution=1e-6
        ... )
        >>> f"{degradation_resolution(step, [0.001, 0.002]):.4f}"
        '0.0010'
    """
    return metric.resolution / min(baseline_values) if metric.kind is Kind.PERFORMANCE else metric.resolution
