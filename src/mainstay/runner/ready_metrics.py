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
    **{
        name: ReadyMetric(kind="deterministic", unit=unit, direction="lower", margin=margin, meaning=meaning)
        for name, unit, margin, meaning in (
            (
                "synchronisations",
                "",
                0.0,
                "times that Python waits for the value of a tensor, as in item, cpu and tolist",
            ),
            ("blocking_transfers", "", 0.0, "calls that move a tensor or numbers to a device without non_blocking"),
            ("operators", "", 0.02, "operators that torch dispatches, forward and backward"),
            ("copies", "", 0.0, "operators that only copy a tensor or convert its type"),
            ("autograd_calls", "", 0.0, "calls that autograd records for a backward pass"),
            ("allocations", "", 0.02, "tensors for which an operator allocates memory"),
            ("live_tensors", "", 0.0, "most tensors alive at once"),
            ("live_tensor_bytes", "B", 0.01, "most bytes of tensors alive at once"),
            ("kept_tensors", "", 0.0, "tensors that a call leaves alive, beyond what the call before it left"),
            ("graph_breaks", "", 0.0, "places where torch.compile had to split a graph"),
            ("recompiles", "", 0.0, "times that torch.compile compiles code again, in two calls"),
            ("kernel_launches", "", 0.02, "kernels that run on the CUDA device"),
        )
    },
}
"""The table of ready metrics. A marker may change the margin, or name a metric that is not in the table."""
