"""Ready metrics, which can be gated by name alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .protocol import BetterValues


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyMetric:
    """A metric that can be gated by its name alone.

    Attributes:
        kind: ``performance`` (ratios over pairs) or ``deterministic`` (compared once, by equality).
        unit: Unit of its values; empty for a count.
        direction: Which values are better.
        margin: The degradation tolerated if the marker names no margin, as a fraction of the baseline.
        meaning: Meaning of the metric, in one line.
        is_alone: Whether each trial needs a fresh process of its own.
    """

    kind: Literal["performance", "deterministic"]
    unit: str
    direction: BetterValues
    margin: float
    meaning: str
    is_alone: bool = False


READY_METRICS: Mapping[str, ReadyMetric] = {
    "call_time": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.05, meaning="time of one call, the mean over blocks"
    ),
    "throughput": ReadyMetric(
        kind="performance",
        unit="examples/s",
        direction="higher",
        margin=0.05,
        meaning="benchmark.extra_info['examples'], the examples of one call, over the time of a call",
    ),
    "latency_median": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.05, meaning="median over calls timed one by one"
    ),
    "latency_p95": ReadyMetric(
        kind="performance",
        unit="s",
        direction="lower",
        margin=0.15,
        meaning="95th percentile over calls timed one by one",
    ),
    "import_time": ReadyMetric(
        kind="performance", unit="s", direction="lower", margin=0.1, meaning="time of an import in a fresh interpreter"
    ),
    "peak_memory": ReadyMetric(
        kind="performance",
        unit="B",
        direction="lower",
        margin=0.05,
        meaning="peak resident memory of a fresh process that made a few calls",
        is_alone=True,
    ),
    "peak_accelerator_memory": ReadyMetric(
        kind="performance",
        unit="B",
        direction="lower",
        margin=0.05,
        meaning="peak memory that torch allocated on the GPU during a few calls",
        is_alone=True,
    ),
    "parameters": ReadyMetric(
        kind="deterministic", unit="", direction="lower", margin=0.0, meaning="numbers that a model learns"
    ),
    "flops": ReadyMetric(
        kind="deterministic",
        unit="",
        direction="lower",
        margin=0.0,
        meaning="floating-point operations of a call, as torch.utils.flop_counter counts them",
    ),
    "imported_modules": ReadyMetric(
        kind="deterministic",
        unit="",
        direction="lower",
        margin=0.02,
        meaning="modules that an import loads from outside the project, in a fresh interpreter",
    ),
    "checkpoint_bytes": ReadyMetric(
        kind="deterministic", unit="B", direction="lower", margin=0.01, meaning="size of a file that was written"
    ),
}
"""The table of ready metrics. A marker may change the margin, or name a metric that is not in the table."""
