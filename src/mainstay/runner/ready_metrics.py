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


def _ratio(
    meaning: str,
    *,
    unit: str = "s",
    direction: BetterValues = "lower",
    margin: float = 0.05,
    is_alone: bool = False,
) -> ReadyMetric:
    """A metric that is judged by its ratios over pairs."""
    return ReadyMetric(
        kind="performance", unit=unit, direction=direction, margin=margin, meaning=meaning, is_alone=is_alone
    )


def _count(meaning: str, *, unit: str = "", margin: float = 0.0) -> ReadyMetric:
    """A count that is compared by equality, of which less is better."""
    return ReadyMetric(kind="deterministic", unit=unit, direction="lower", margin=margin, meaning=meaning)


READY_METRICS: Mapping[str, ReadyMetric] = {
    "call_time": _ratio("time of one call, the mean over blocks"),
    "throughput": _ratio(
        "benchmark.extra_info['examples'], the examples of one call, over the time of a call",
        unit="examples/s",
        direction="higher",
    ),
    "latency_median": _ratio("median over calls timed one by one"),
    "latency_p95": _ratio("95th percentile over calls timed one by one", margin=0.15),
    "import_time": _ratio("time of an import in a fresh interpreter", margin=0.1),
    "peak_memory": _ratio("peak resident memory of a fresh process that made a few calls", unit="B", is_alone=True),
    "peak_accelerator_memory": _ratio(
        "peak memory that torch allocated on the GPU during a few calls", unit="B", is_alone=True
    ),
    "parameters": _count("numbers that a model learns"),
    "flops": _count("floating-point operations of a call, as torch.utils.flop_counter counts them"),
    "imported_modules": _count(
        "modules that an import loads from outside the project, in a fresh interpreter", margin=0.02
    ),
    "checkpoint_bytes": _count("size of a file that was written", unit="B", margin=0.01),
    "synchronisations": _count("times that Python waits for the value of a tensor, as in item, cpu and tolist"),
    "blocking_transfers": _count("calls that move a tensor or numbers to a device without non_blocking"),
    "operators": _count("operators that torch dispatches, forward and backward", margin=0.02),
    "copies": _count("operators that only copy a tensor or convert its type"),
    "autograd_calls": _count("calls that autograd records for a backward pass"),
    "allocations": _count("tensors for which an operator allocates memory", margin=0.02),
    "live_tensors": _count("most tensors alive at once"),
    "live_tensor_bytes": _count("most bytes of tensors alive at once", unit="B", margin=0.01),
    "kept_tensors": _count("tensors that a call leaves alive, beyond what the call before it left"),
    "graph_breaks": _count("places where torch.compile had to split a graph"),
    "recompiles": _count("times that torch.compile compiles code again, in two calls"),
    "kernel_launches": _count("kernels that run on the CUDA device", margin=0.02),
}
"""The table of ready metrics. A marker may change the margin, or name a metric that is not in the table."""
