"""Ready metrics, which can be gated by name alone.

To add a metric that the fixture ``benchmark`` measures, add a row that says how it follows from blocks or calls; a
fixture records each of the others.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
        ignores_words: Whether the text of modules affects it only where code reads it, so that a proof that only words
            differ covers it; otherwise it is measured.
        from_blocks: Its value, from the mean time of a call over all blocks and the numbers in ``extra_info``.
        from_calls: Its value, from the times of calls that are timed one by one.
        least_blocks: Minimum number of blocks of each revision in one pair whose revisions take turns, unless they take
            more than twice its time.
    """

    kind: Literal["performance", "deterministic"]
    unit: str
    direction: BetterValues
    margin: float
    meaning: str
    is_alone: bool = False
    ignores_words: bool = False
    from_blocks: Callable[[float, Mapping[str, float]], float] | None = None
    from_calls: Callable[[Sequence[float]], float] | None = None
    least_blocks: int = 2


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value such that at least this share of the values does not exceed it.

    Example:
        >>> nearest_rank([3.0, 1.0, 2.0, 4.0], 0.5)
        2.0
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _mean(call_s: float, _: Mapping[str, float]) -> float:
    return call_s


_ratio = partial(ReadyMetric, kind="performance", unit="s", direction="lower", margin=0.05)
"""A metric that is judged by its ratios over pairs."""

_count = partial(ReadyMetric, kind="deterministic", unit="", direction="lower", margin=0.0)
"""A count that is compared by equality, of which less is better."""

_count_of_code = partial(_count, ignores_words=True)
"""A count of what code does or makes when it is executed."""


READY_METRICS: Mapping[str, ReadyMetric] = {
    "call_time": _ratio(meaning="time of one call, the mean over blocks", ignores_words=True, from_blocks=_mean),
    "throughput": _ratio(
        meaning="benchmark.extra_info['examples'], the examples of one call, over the time of a call",
        unit="examples/s",
        direction="higher",
        ignores_words=True,
        from_blocks=lambda call_s, extra: extra["examples"] / call_s,
    ),
    "latency_median": _ratio(
        meaning="median over calls timed one by one", ignores_words=True, from_calls=statistics.median
    ),
    "latency_p95": _ratio(
        meaning="95th percentile over calls timed one by one",
        margin=0.15,
        ignores_words=True,
        from_calls=partial(nearest_rank, share=0.95),
    ),
    "import_time": _ratio(
        meaning="time of an import in a fresh interpreter",
        margin=0.1,
        from_blocks=_mean,
        least_blocks=4,  # in turns they differ by 1 to 3 %, and the time of a pair is seldom enough for two imports
    ),
    "peak_memory": _ratio(
        meaning="peak resident memory of a fresh process that made a few calls", unit="B", is_alone=True
    ),
    "peak_accelerator_memory": _ratio(
        meaning="peak memory that torch allocated during a few calls, summed over GPUs", unit="B", is_alone=True
    ),
    "parameters": _count_of_code(meaning="numbers that a model learns"),
    "flops": _count_of_code(meaning="floating-point operations of a call, as torch.utils.flop_counter counts them"),
    "imported_modules": _count_of_code(
        meaning="modules that an import loads from outside the project, in a fresh interpreter", margin=0.02
    ),
    "checkpoint_bytes": _count_of_code(meaning="size of a file that was written", unit="B", margin=0.01),
    "synchronisations": _count_of_code(
        meaning="times that Python waits for the value of a tensor, as in item, cpu and tolist"
    ),
    "blocking_transfers": _count_of_code(
        meaning="calls that move a tensor or numbers to a device without non_blocking"
    ),
    "operators": _count_of_code(meaning="operators that torch dispatches, forward and backward", margin=0.02),
    "copies": _count_of_code(meaning="operators that only copy a tensor or convert its type"),
    "autograd_calls": _count_of_code(meaning="calls that autograd records for a backward pass"),
    "allocations": _count_of_code(meaning="tensors for which an operator allocates memory", margin=0.02),
    "live_tensors": _count_of_code(meaning="most tensors alive at once"),
    "live_tensor_bytes": _count_of_code(meaning="most bytes of tensors alive at once", unit="B", margin=0.01),
    "kept_tensors": _count_of_code(meaning="tensors that a call leaves alive, beyond what the call before it left"),
    "graph_breaks": _count_of_code(meaning="places where torch.compile had to split a graph"),
    "recompiles": _count_of_code(meaning="times that torch.compile compiles code again, in two calls"),
    "kernel_launches": _count_of_code(meaning="kernels that run on the CUDA device", margin=0.02),
}
"""The table of ready metrics. A marker may change the margin, or name a metric that is not in the table."""


def values_of_blocks(names: Iterable[str], call_s: float, extra: Mapping[str, float]) -> dict[str, float]:
    """Values of those of the named metrics that follow from blocks.

    Args:
        names: Names of metrics.
        call_s: Mean time of a call over the blocks, in seconds.
        extra: The numbers in ``extra_info``.

    Raises:
        KeyError: If it lacks a number that one of them needs.

    Example:
        >>> values_of_blocks(["throughput", "latency_p95", "own"], 0.5, {"examples": 64.0})
        {'throughput': 128.0}
    """
    rules = {name: READY_METRICS[name].from_blocks for name in names if name in READY_METRICS}
    return {name: rule(call_s, extra) for name, rule in rules.items() if rule}
