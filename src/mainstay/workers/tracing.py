"""Traced runs: a worker that executes each workload once, is not timed, and says what could have read its own source.

- :func:`trace_workloads`: one process that runs some workloads.
- :class:`TracedRun`: what it did and saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstay.runner.protocol import WHOLE, BlockCommand, Command, Event, RunCommand, Traced
from mainstay.workers.collecting import why_not_collected
from mainstay.workers.process import OutOfTimeError, Worker, WorkerEndedError, WorkerSpec, collecting_seconds

NOT_COMPARED = frozenset({"duration_s", "peak_memory_bytes", "threads"})
"""Parts of the event ``finished`` that differ between runs of the same code."""


class TraceError(Exception):
    """A traced run did not come to its end; the message says why, as the rest of a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedRun:
    """What one process did and saw.

    Attributes:
        collection: What it saw while it collected the workloads.
        workloads: What it saw while it ran each of them.
        results: What each of them recorded, without times.
    """

    collection: Traced
    workloads: Mapping[str, Traced]
    results: Mapping[str, Mapping[str, Any]]

    @property
    def executed(self) -> frozenset[str]:
        """Functions of the tree that were executed."""
        return frozenset(name for seen in self._all() for name in seen["executed"])

    @property
    def touched(self) -> frozenset[str]:
        """Files of the tree that were opened, listed or asked for their status."""
        return frozenset(name for seen in self._all() for name in seen["touched"])

    def _all(self) -> Sequence[Traced]:
        return (self.collection, *self.workloads.values())


def trace_workloads(
    spec: WorkerSpec, workloads: Mapping[str, int], timed: frozenset[str], *, limit_s: float, deadline: float
) -> TracedRun:
    """Run some workloads, one after the other, in one traced process.

    Args:
        spec: The revision's worker.
        workloads: The seed of each workload.
        timed: Those that call a function in blocks: a block of one call follows the warm-up.
        limit_s: Seconds that one may take.
        deadline: Time by the monotonic clock by which all must have ended.

    Raises:
        TraceError: If the process did not come so far.
    """
    with Worker(spec, list(workloads), deadline=deadline, traced=True) as worker:
        try:
            collected = worker.expect(Event.COLLECTED, collecting_seconds(limit_s))
            for workload in workloads:
                if reason := why_not_collected(workload, collected):
                    raise TraceError(f"{workload} was not collected when it was traced: {reason}")
            collection = _take(worker, limit_s)
            seen, results = {}, {}
            for workload, seed in workloads.items():
                results[workload] = _run(worker, workload, seed, is_timed=workload in timed, limit_s=limit_s)
                seen[workload] = _take(worker, limit_s)
        except OutOfTimeError:
            worker.kill()
            raise TraceError("the traced runs took more than their share of the time budget") from None
        except (WorkerEndedError, BrokenPipeError) as ended:
            worker.kill()
            raise TraceError(f"a traced run came to its end: {ended}") from ended
    return TracedRun(collection=collection, workloads=seen, results=results)


def _take(worker: Worker, limit_s: float) -> Traced:
    worker.send(Command.TRACE)
    return worker.expect(Event.TRACED, limit_s)


def _run(worker: Worker, workload: str, seed: int, *, is_timed: bool, limit_s: float) -> Mapping[str, Any]:
    """Run a workload; what it recorded, or names of it where that is a time."""
    worker.send(Command.RUN, **RunCommand(workload=workload, seed=seed, block=WHOLE))
    event, content = worker.expect_one_of((Event.READY, Event.FINISHED) if is_timed else (Event.FINISHED,), limit_s)
    if event is Event.READY:
        if content["left"] is None or content["left"] > 0:
            worker.send(Command.BLOCK, **BlockCommand(calls=1))
            event, content = worker.expect_one_of((Event.BLOCK, Event.FINISHED), limit_s)
        if event is not Event.FINISHED:
            worker.send(Command.DONE)
            content = worker.expect(Event.FINISHED, limit_s)
    result = {name: value for name, value in content.items() if name not in NOT_COMPARED}
    if is_timed:
        result["values"] = sorted(content.get("values", {}))
    return result
