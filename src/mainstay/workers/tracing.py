"""Traced runs: a worker that executes each workload once, is not timed, and says what could have read its own source.

- :func:`trace_workloads`: one process that runs some workloads.
- :class:`TracedRun`: what it did and saw.
- :func:`join_runs`: several of them as one.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mainstay.runner.protocol import WHOLE, BlockCommand, Command, DoneCommand, Event, RunCommand, Traced
from mainstay.workers.collecting import why_not_collected
from mainstay.workers.process import (
    Launcher,
    OutOfTimeError,
    Worker,
    WorkerEndedError,
    WorkerSpec,
    collecting_seconds,
    start_fresh,
)

MOST_CALLS = 3000
"""Calls of a workload in a repeated run, if they fit in its time: a path that none takes is then rarer than 0.1 %, at 95 %."""

FEWEST_CALLS = 300
"""Calls below which a repeated run says too little."""

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
        results: What each of them recorded, without times, the first time.
        calls: Calls of each workload that was run repeatedly.
        late: Functions of the tree that only the second half of these calls executed.
    """

    collection: Traced
    workloads: Mapping[str, Traced]
    results: Mapping[str, Mapping[str, Any]]
    calls: Mapping[str, int] = field(default_factory=dict)
    late: Mapping[str, frozenset[str]] = field(default_factory=dict)

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
    spec: WorkerSpec,
    workloads: Mapping[str, Sequence[int]],
    timed: frozenset[str],
    *,
    launcher: Launcher = start_fresh,
    limit_s: float,
    deadline: float,
    follows_calls: bool = False,
    repeat_s: float = 0.0,
) -> TracedRun:
    """Run some workloads, one after the other, in one traced process.

    Args:
        spec: The revision's worker.
        workloads: The seeds of each workload; only the first is used, unless it is run repeatedly.
        timed: Those that call a function in blocks: a block of one call follows the warm-up.
        launcher: Function that starts the process, as it starts those that are timed.
        limit_s: Seconds that one run of a workload may take.
        deadline: Time by the monotonic clock by which all must have ended.
        follows_calls: Whether the trace tells of every function that is executed and of sources of chance.
        repeat_s: Seconds for which each workload is run repeatedly, at most :data:`MOST_CALLS` calls; 0 to run it once.

    Raises:
        TraceError: If the process did not come so far.
    """
    with Worker(spec, list(workloads), launcher, deadline=deadline, traced=True, follows_calls=follows_calls) as worker:
        try:
            collected = worker.expect(Event.COLLECTED, collecting_seconds(limit_s))
            for workload in workloads:
                if reason := why_not_collected(workload, collected):
                    raise TraceError(f"{workload} was not collected when it was traced: {reason}")
            collection = _take(worker, limit_s)
            seen, results, calls, late = {}, {}, {}, {}
            for workload, seeds in workloads.items():
                runs = _Runs(worker, workload, seeds, is_timed=workload in timed, limit_s=limit_s)
                if not repeat_s:
                    runs.run(1)
                    seen[workload] = _take(worker, limit_s)
                else:
                    runs.repeat(repeat_s / 2)
                    seen[workload] = first = _take(worker, limit_s)
                    if runs.num_calls >= FEWEST_CALLS // 2:
                        runs.repeat(repeat_s / 2)
                        second = _take(worker, limit_s)
                        late[workload] = frozenset(second["executed"]) - {*collection["executed"], *first["executed"]}
                        seen[workload] = _merged(first, second)
                    calls[workload] = runs.num_calls
                results[workload] = runs.result
        except OutOfTimeError:
            worker.kill()
            raise TraceError("the traced runs took more than their share of the time budget") from None
        except WorkerEndedError as ended:
            worker.kill()
            raise TraceError(f"a traced run came to its end: {ended}") from ended
    return TracedRun(collection=collection, workloads=seen, results=results, calls=calls, late=late)


def join_runs(runs: Sequence[TracedRun]) -> TracedRun:
    """What several processes of the same revision did and saw, each with workloads of its own.

    Args:
        runs: At least one.
    """
    return TracedRun(
        collection=functools.reduce(_merged, (run.collection for run in runs)),
        workloads={name: seen for run in runs for name, seen in run.workloads.items()},
        results={name: result for run in runs for name, result in run.results.items()},
        calls={name: calls for run in runs for name, calls in run.calls.items()},
        late={name: late for run in runs for name, late in run.late.items()},
    )


def _take(worker: Worker, limit_s: float) -> Traced:
    worker.send(Command.TRACE)
    return worker.expect(Event.TRACED, limit_s)


def _merged(first: Traced, second: Traced) -> Traced:
    """What was seen in either of two runs."""

    def both(one: Sequence[str], other: Sequence[str]) -> list[str]:
        return sorted({*one, *other})

    kinds = first["readers"].keys() | second["readers"].keys()
    return {
        "unknown": both(first["unknown"], second["unknown"]),
        "touched": both(first["touched"], second["touched"]),
        "introspected": both(first["introspected"], second["introspected"]),
        "readers": {
            kind: both(first["readers"].get(kind, ()), second["readers"].get(kind, ())) for kind in sorted(kinds)
        },
        "executed": both(first["executed"], second["executed"]),
        "chance": both(first["chance"], second["chance"]),
    }


class _Runs:
    """Runs of one workload in a traced process.

    Attributes:
        num_calls: Calls so far, without those of warm-ups; a run of a workload that is not timed is one call.
        result: What the first run that did not complete recorded, else the first of all; of times, only the names.
    """

    def __init__(self, worker: Worker, workload: str, seeds: Sequence[int], *, is_timed: bool, limit_s: float) -> None:
        self.num_calls = 0
        self.result: Mapping[str, Any] = {}
        self._worker = worker
        self._workload = workload
        self._seeds = itertools.cycle(seeds)
        self._is_timed = is_timed
        self._limit_s = limit_s

    def repeat(self, seconds: float) -> None:
        """Run it until half of the calls are made or the time, which a block may use up after its warm-up, is over."""
        end, most = time.monotonic() + seconds, self.num_calls + MOST_CALLS // 2
        enough = self.run(most - self.num_calls, seconds) >= FEWEST_CALLS // 2
        while enough and self.result["outcome"] == "completed" and self.num_calls < most and time.monotonic() < end:
            self.run(most - self.num_calls, seconds)

    def run(self, most: int, seconds: float = math.inf) -> float:
        """Run it once, with as many calls in a block as are wanted, as its rounds allow and as the time is enough for.

        Returns:
            The number of calls for which the time is enough; if these are too few, only one is made.
        """
        start = time.monotonic()
        worker, limit_s = self._worker, self._limit_s
        worker.send(Command.RUN, **RunCommand(workload=self._workload, seed=next(self._seeds), block=WHOLE))
        events = (Event.READY, Event.FINISHED) if self._is_timed else (Event.FINISHED,)
        event, content = worker.expect_one_of(events, limit_s)
        calls, call_s = 0 if self._is_timed else 1, time.monotonic() - start
        if event is Event.READY:
            call_s = content["call_s"] or 0.0
            calls = _fitting(call_s, content["left"], most, seconds)
            if calls:
                worker.send(Command.BLOCK, **BlockCommand(calls=calls, is_sliced=False))
                event, content = worker.expect_one_of((Event.BLOCK, Event.FINISHED), limit_s)
            if event is not Event.FINISHED:
                worker.send(Command.DONE, **DoneCommand(by_wall_clock=False))
                content = worker.expect(Event.FINISHED, limit_s)
        self.num_calls += calls
        result = {name: value for name, value in content.items() if name not in NOT_COMPARED}
        if self._is_timed:
            result["values"] = sorted(content.get("values", {}))
        if not self.result or result["outcome"] != "completed":
            self.result = result
        return seconds / call_s if call_s else math.inf


def _fitting(call_s: float, left: int | None, most: int, seconds: float) -> int:
    """Number of calls in a block; one if the time is not enough for a repeated run to tell anything.

    Example:
        >>> _fitting(0.01, None, 1500, 2.0), _fitting(0.01, 5, 1500, 2.0), _fitting(0.1, None, 1500, 2.0)
        (200, 5, 1)
    """
    fitting = int(min(most, seconds / call_s)) if call_s else most
    if fitting < min(most, FEWEST_CALLS // 2):
        return 1
    return fitting if left is None else min(fitting, left)
