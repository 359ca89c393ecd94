"""Timed pairs: the workers of both revisions are alive at once, and what disturbs one disturbs the other.

A pair is one fresh process for each revision; its timed workloads share the process one after another. Both revisions
make the same number of calls in every block; the ratio of the two values of a pair is the ratio of the sums, weighted on a
shared core, over all its blocks. No block is left out or trimmed, and none is weighted by its time: rare slow calls are
part of a revision's cost.

If the calls of both keep one thread busy and nothing else, the two run at the same time on one core, unless latencies are
gated: a call that is interrupted takes longer even without the wait. So the kernel switches
between them every few milliseconds, within calls, too, and the speed of the core at any moment concerns both. The time for
which one waits while the other has the core is subtracted by the worker (:mod:`mainstay.runner.run_delay`). Blocks in which
the core was slow weigh less (:mod:`mainstay.workers.core_speed`).

Otherwise they take turns, block by block, and only one runs at a time. A disturbance of the machine that lasts longer than
two blocks affects both alike. Their main threads use one core if one is nearly enough for all threads of each and calls
start none. Shorter waits for the core are subtracted likewise, unless they are unknown for a block of either revision: then
both are timed by the wall clock.

- :class:`TimedRequest`, :class:`TimedTask`: the request.
- :func:`run_timed_pair`: measures a pair.
- :func:`plan_blocks`: chooses the number of calls per block and the number of blocks.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

from mainstay.records.findings import MeasuredWith
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.runner.protocol import (
    BLOCK_SECONDS,
    SLICED_BLOCK_SECONDS,
    Block,
    BlockCommand,
    Command,
    DoneCommand,
    Event,
    Ready,
)
from mainstay.runner.ready_metrics import READY_METRICS, values_of_blocks
from mainstay.runner.run_delay import ACCOUNT
from mainstay.workers.collecting import concerns
from mainstay.workers.core_speed import CoreSpeed
from mainstay.workers.cores import sharing_one_core
from mainstay.workers.load import LoadMeter
from mainstay.workers.process import OutOfTimeError, WorkerSpec
from mainstay.workers.session import LiveWorkers, TrialForm, WorkerSession

MAX_ALTERNATIONS = 2000
"""Maximum number of blocks of each revision in one pair; blocks are made longer if more would fit."""

SLICED_SHARE = 0.4
"""Time of the blocks as a share of that in turns, since pairs whose revisions share a core vary so much less. In turns, more time
helps little, so a task that takes a multiple of it is measured no longer in turns than on one core, unless that were less than usual."""

MOST_WALL_TIME = 3.0
"""Multiple of their planned time that the blocks of a workload may take by the wall clock. On two cores it is reached
if more than five other processes are busy; then further pairs are more useful than further blocks."""

CLOCK_TOLERANCE_S = 0.001
"""Amount by which the worker may report a longer block than the gate, although the gate also waits for the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedTask:
    """One workload in one pair.

    Attributes:
        workload: Node id.
        seed: Seed of the pair.
        first: Side that goes first in each alternation, drawn beforehand; no more alternations than this are run.
        gated: Names of the metrics that must be recorded, with finite values.
        stretch: Multiple of the request's time on one core for which it is measured.
    """

    workload: str
    seed: int
    first: tuple[Side, ...]
    gated: tuple[str, ...] = ()
    stretch: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedRequest:
    """One pair of processes and everything they are to measure.

    Attributes:
        pair: Number of the pair.
        tasks: The workloads, in the order drawn for this pair.
        seconds: Time of the blocks of each workload, both revisions together, if they take turns; otherwise
            :data:`SLICED_SHARE` of it. No further blocks are started once they have taken more than three times as long
            by the wall clock, because other processes hold the cores.
        may_share: Whether they may use one core.
        limit_s: Time limit in seconds for a worker to become ready, for one block, and to finish a workload.
        seconds_left: Seconds until the pair is stopped; workloads that are not finished by then are dropped.
        measured_with: Revision whose workload files are used.
    """

    pair: int
    tasks: tuple[TimedTask, ...]
    seconds: float
    may_share: bool = True
    limit_s: float = 600.0
    seconds_left: float = math.inf
    measured_with: MeasuredWith = MeasuredWith.SHARED


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedResult:
    """Result of a timed pair.

    Attributes:
        request: The request.
        trials: One for each side and workload that was not dropped.
        notes: Notes for the report: threads and processes that a workload left running, and timing by the wall clock alone.
        was_cut: Whether the time ran out before all workloads were finished.
    """

    request: TimedRequest
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()
    was_cut: bool = False


class Blocks(NamedTuple):
    """Size and number of the blocks of a workload, the same for both revisions.

    Attributes:
        calls: Calls in each block.
        alternations: Blocks of each revision.
    """

    calls: int
    alternations: int


def plan_blocks(
    *,
    seconds: float,
    call_s: Sequence[float | None],
    left: Sequence[int | None],
    wall_s: Sequence[float | None] = (),
    block_s: float = BLOCK_SECONDS,
    least: int = 2,
) -> Blocks:
    """Divide the time of a workload into blocks.

    Args:
        seconds: Time of all blocks of both revisions together.
        call_s: Time of a call of each revision after its warm-up, if known; of a round, if it has several iterations.
        left: Number of calls that each revision may still make, if limited.
        wall_s: Wall-clock time of a call of each revision, with its set-up and teardown, if known.
        block_s: Target duration of a block.
        least: Minimum number of alternations, if they fit into twice the time.

    Returns:
        Blocks of about the target duration, or of one call if a call takes longer. The number of alternations is even
        if more than one fits, since orders are drawn in twos, and at least two unless too few calls are left.

    Example:
        >>> plan_blocks(seconds=2.5, call_s=[0.001, 0.001], left=[None, None])
        Blocks(calls=2, alternations=624)
        >>> plan_blocks(seconds=2.5, call_s=[4.0, 4.0], left=[None, None])
        Blocks(calls=1, alternations=2)
    """
    known = [max(value, 1e-9) for value in call_s if value is not None]
    call = sum(known) / len(known) if known else block_s
    most = min((value for value in left if value is not None), default=None)
    calls = max(1, round(max(block_s, seconds / (2 * MAX_ALTERNATIONS)) / call))
    if most is not None:
        calls = max(1, min(calls, most // 8))
    if slowest := max((value for value in wall_s if value is not None), default=0.0):
        calls = max(1, min(calls, int(MOST_WALL_TIME * seconds / (4 * slowest))))  # two alternations
    fitting = seconds / (2 * calls * call)
    alternations = max(2, min(int(fitting), MAX_ALTERNATIONS), min(int(2 * fitting), least))
    if most is not None:
        alternations = max(1, min(alternations, most // calls))
    return Blocks(calls, alternations if alternations == 1 else alternations // 2 * 2)


def run_timed_pair(
    specs: Mapping[Side, WorkerSpec],
    request: TimedRequest,
    *,
    live: LiveWorkers | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TimedResult:
    """Measure a pair: start fresh processes for both revisions and measure every workload on both.

    A workload that does not complete on one side is repeated once, after the others and in fresh processes. After a
    workload that ended its process, or left threads or processes behind, the rest continue in fresh processes.
    If a file hangs during collection, none of its workloads is tried again.

    Args:
        specs: The worker of each side.
        request: The request.
        live: Starts the workers; pass it to stop them from elsewhere, to fork them, or to receive trials at once.
        clock: Gives the gate's own time, against which the workers' times are checked.

    Returns:
        Two trials for each workload; if a file hung, only the hung side's trial for its workloads still waiting.

    Raises:
        Interrupted: If the workers were stopped.
    """
    live = live or LiveWorkers()
    trials: list[Trial] = []
    notes: dict[str, None] = {}
    first, again = deque(request.tasks), deque[TimedTask]()
    deadline = time.monotonic() + request.seconds_left
    try:
        for waiting in (first, again):
            while waiting:
                with ExitStack() as stack:
                    select = [task.workload for task in waiting]
                    sides = _BothSides(  # both processes start at once
                        {
                            side: _TimedSide(
                                specs[side],
                                WorkerSession(
                                    live=live,
                                    worker=live.start(specs[side], select, stack, deadline=deadline),
                                    limit_s=request.limit_s,
                                ),
                                request.pair,
                                clock,
                            )
                            for side in Side
                        },
                        request,
                        live.can_share,
                    )
                    while waiting and sides.are_fit:
                        task = waiting.popleft()
                        pair = sides.measure(task)
                        hung = sides.fail_hung(waiting)
                        is_complete = all(trial.outcome is Outcome.COMPLETED for trial in pair)
                        if waiting is first and not sides.is_hung and not is_complete:
                            again.append(task)
                            live.can_share[task.workload] = False
                        else:
                            trials += pair + hung
                            live.report(pair + hung)
                    sides.dismiss()
                    notes |= dict.fromkeys(sides.notes)
    except OutOfTimeError:
        return TimedResult(request=request, trials=tuple(trials), notes=tuple(notes), was_cut=True)
    return TimedResult(request=request, trials=tuple(trials), notes=tuple(notes))


class _BothSides:
    """One process of each revision; reusable until one ends, or until a workload leaves threads or processes behind.

    Args:
        sides: The processes.
        request: The request.
        can_share: Whether both revisions of a workload can run at the same time on one core, as found in earlier pairs. If
            they can, their warm-ups overlap. If the workload failed, they take turns from then on.
    """

    def __init__(self, sides: Mapping[Side, _TimedSide], request: TimedRequest, can_share: dict[str, bool]) -> None:
        self._sides = sides
        self._request = request
        self._can_share = can_share
        self._spans: list[tuple[float, float]] = []
        self.notes: list[str] = []

    @property
    def are_fit(self) -> bool:
        """Whether both processes can run another workload."""
        return all(side.is_fit for side in self._sides.values())

    @property
    def is_hung(self) -> bool:
        """Whether one of the processes hung during collection."""
        return any(side.hung_at for side in self._sides.values())

    def dismiss(self) -> None:
        """Tell both processes to exit, so that neither waits for the other's end."""
        for side in self._sides.values():
            side.dismiss()

    def fail_hung(self, waiting: deque[TimedTask]) -> list[Trial]:
        """Remove the tasks of a file in which a process hung, and return their failed trials."""
        trials = []
        for side in self._sides.values():
            lost = [task for task in waiting if side.hung_at and concerns(side.hung_at, task.workload)]
            for task in lost:
                waiting.remove(task)
            trials += [side.fail(task) for task in lost]
        return trials

    def measure(self, task: TimedTask) -> list[Trial]:
        """Measure one workload on both sides."""
        sides = [self._sides[side] for side in (task.first[0], task.first[0].other)]
        load = LoadMeter()
        for together in [sides] if self._can_share.get(task.workload) else [[side] for side in sides]:
            for side in together:
                side.begin(task)
            for side in together:
                side.end_warm_up()
        if all(side.is_ready for side in sides):
            work_alone = all(side.ready["works_alone"] for side in sides)
            pids = [side.pid for side in sides] if self._may_share(task) else []
            with sharing_one_core(pids, by_main_threads=not work_alone) as is_shared:
                times_calls = any(READY_METRICS[name].from_calls for name in READY_METRICS.keys() & task.gated)
                is_sliced = is_shared and work_alone and not times_calls
                if is_sliced:
                    self._can_share[task.workload] = True
                self._measure_blocks(task, is_sliced=is_sliced)
        blind = [side for side in Side if not self._sides[side].is_delay_known]
        trials = [side.end(load, by_wall_clock=bool(blind)) for side in sides]
        self.notes += [note for side in sides for note in side.notes]
        if blind and any(trial.block_times_s for trial in trials):
            self.notes.append(_why_wall_clock(task, blind))
        return trials

    def _may_share(self, task: TimedTask) -> bool:
        """Whether both sides of a workload may use one core, at the same time or in turns."""
        ready = [side.ready for side in self._sides.values()]
        longest_s = max(each["call_s"] or 0.0 for each in ready)
        may_share = self._request.may_share and self._can_share.get(task.workload, True)
        return may_share and all(each["fits_one_core"] for each in ready) and 4 * longest_s < self._request.limit_s

    def _measure_blocks(self, task: TimedTask, *, is_sliced: bool) -> None:
        """Measure blocks in the order drawn until all are done, one side cannot continue, or the wall time runs out."""
        sides = self._sides.values()
        share = SLICED_SHARE * task.stretch
        seconds = self._request.seconds * (share if is_sliced else max(1.0, share))
        least_in_turns = max(
            (READY_METRICS[name].least_blocks for name in READY_METRICS.keys() & task.gated), default=2
        )
        blocks = plan_blocks(
            seconds=seconds,
            block_s=SLICED_BLOCK_SECONDS if is_sliced else BLOCK_SECONDS,
            least=2 if is_sliced else least_in_turns,
            call_s=[side.ready["call_s"] for side in sides],
            left=[side.ready["left"] for side in sides],
            wall_s=[side.ready["wall_s"] for side in sides],
        )
        measure = self._slice if is_sliced else self._take_turns
        end = time.monotonic() + MOST_WALL_TIME * seconds
        self._spans = []
        with CoreSpeed() if is_sliced else nullcontext() as speed:
            for done, first in enumerate(task.first[: blocks.alternations]):
                if (done and done % 2 == 0 and time.monotonic() > end) or not measure(first, blocks.calls):
                    break
        weights = speed.weigh(self._spans) if speed else ()
        for side in sides:
            side.weigh(weights)

    def _take_turns(self, first: Side, calls: int) -> bool:
        """Run a block of each side, one after the other; false if one side cannot continue."""
        for side in (first, first.other):
            each = self._sides[side]
            each.begin_block(calls, is_sliced=False)
            block = each.end_block()
            if block is None:
                return False
            each.keep_block(block, calls, goes_first=side is first)
        return True

    def _slice(self, first: Side, calls: int) -> bool:
        """Run a block of each side at the same time; false if one side cannot continue."""
        one, other = self._sides[first], self._sides[first.other]
        begin = time.perf_counter()
        for side in (one, other):
            side.begin_block(calls, is_sliced=True)
        of_one, of_other = one.end_block(), other.end_block()
        both_ran_s = min(
            (block["seconds"] + (block["run_delay_s"] or 0.0) if block else 0.0) for block in (of_one, of_other)
        )
        self._spans.append((begin, begin + both_ran_s))
        if of_one:
            one.keep_block(of_one, calls, goes_first=True, other_s=of_other["seconds"] if of_other else 0.0)
        if of_other:
            other.keep_block(of_other, calls, goes_first=False, other_s=of_one["seconds"] if of_one else 0.0)
        return one.is_ready and other.is_ready


class _TimedSide:
    """One side of a timed pair, with the measurements of the current workload."""

    def __init__(self, spec: WorkerSpec, session: WorkerSession, pair: int, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._session = session
        self._pair = pair
        self._clock = clock
        self._is_disturbed = False
        self._reset()

    def _reset(self) -> None:
        self.ready = Ready(call_s=None, wall_s=None, left=None, works_alone=False, fits_one_core=False)
        self.is_ready = False
        self.notes: list[str] = []
        self._is_done = False
        self._blocks_s: list[float] = []
        self._run_delays_s: list[float] = []
        self.is_delay_known = True
        self._went_first: list[bool] = []
        self._is_sliced = False
        self._weights: tuple[float, ...] = ()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._session.worker.pid

    @property
    def is_fit(self) -> bool:
        """Whether another workload can run in the same process."""
        return self._session.is_alive and not self._is_disturbed

    def dismiss(self) -> None:
        """Tell the process to exit."""
        self._session.worker.dismiss()

    @property
    def hung_at(self) -> str:
        """The file in which the process hung during collection; empty if it did not."""
        return self._session.hung_at

    def begin(self, task: TimedTask) -> None:
        """Start a workload."""
        self._reset()
        self._task = task
        self._session.begin(task.workload, task.seed)

    def end_warm_up(self) -> None:
        """Wait until the workload is warmed up."""
        ready = self._session.answer(Event.READY)
        if ready is not None:
            self.is_ready, self.ready = True, ready

    def begin_block(self, calls: int, *, is_sliced: bool) -> None:
        """Begin a block."""
        self._is_sliced = is_sliced
        self._block_start = self._clock()
        self._session.send(Command.BLOCK, **BlockCommand(calls=calls, is_sliced=is_sliced))

    def end_block(self) -> Block | None:
        """Wait for the end of the block; ``None`` if it did not succeed."""
        block: Block | None = self._session.answer(Event.BLOCK)
        elapsed = self._clock() - self._block_start
        self.is_ready = block is not None
        if block is None:
            return None
        wrong, wall_s = "", block["seconds"] + (block["run_delay_s"] or 0.0)
        if wall_s > 1.01 * elapsed + CLOCK_TOLERANCE_S:
            wrong = f"a clock stepped: a block of {wall_s:.6g} s was answered after {elapsed:.6g} s"
        elif self._is_sliced and block["run_delay_s"] is None:
            wrong = "its run delay is unknown while the other revision uses the same core"
        if wrong:
            self.is_ready = False
            self._session.fail(wrong)
            return None
        return block

    def keep_block(self, block: Block, calls: int, *, goes_first: bool, other_s: float = 0.0) -> None:
        """Keep a block.

        Args:
            block: The block.
            calls: Number of its calls.
            goes_first: Whether it was begun before that of the other revision.
            other_s: Seconds for which the other revision used the core meanwhile, which are no delay by other processes.
        """
        delay_s = block["run_delay_s"]
        self._blocks_s.append(block["seconds"] / calls)
        self._run_delays_s.append(max(0.0, (delay_s or 0.0) - other_s) / calls)
        self.is_delay_known &= delay_s is not None
        self._went_first.append(goes_first)

    def weigh(self, weights: tuple[float, ...]) -> None:
        """Set the weights of the blocks; without effect if the last block did not succeed."""
        self._weights = weights if len(weights) == len(self._blocks_s) else ()

    def end(self, load: LoadMeter, *, by_wall_clock: bool) -> Trial:
        """Let the workload run to its end; if a block was measured, the gated metrics must have been recorded.

        Args:
            load: Load meter started together with the workload.
            by_wall_clock: Whether the run delay counts, because it is unknown for some block of either revision.
        """
        if by_wall_clock:
            blocks = zip(self._blocks_s, self._run_delays_s, strict=True)
            self._blocks_s, self._run_delays_s = [block_s + delay_s for block_s, delay_s in blocks], []
        if self.is_ready:
            self._is_done = True
            self._session.send(Command.DONE, **DoneCommand(by_wall_clock=by_wall_clock))
            self._session.answer()
            self.is_ready = False
        trial = self._trial(load, self._form(self._task, gated=self._task.gated if self._blocks_s else ()))
        self._is_disturbed = self._left_behind()
        return trial

    def _trial(self, load: LoadMeter, form: TrialForm) -> Trial:
        trial = self._session.trial(form, load=load.of_others())
        if trial.outcome is Outcome.COMPLETED and (wrong := self._contradiction(trial, form.gated)):
            self._session.fail(wrong)
            return self._session.trial(form, load=None)
        if self._session.failure:
            return trial
        return replace(
            trial,
            values={**trial.values, **self._weighted_values(trial, form.gated)},
            block_times_s=tuple(self._blocks_s),
            block_weights=self._weights,
            run_delays_s=tuple(self._run_delays_s),
            went_first=tuple(self._went_first),
            is_concurrent=self._is_sliced,
        )

    def _form(self, task: TimedTask, *, gated: tuple[str, ...] = ()) -> TrialForm:
        return TrialForm(spec=self._spec, workload=task.workload, seed=task.seed, pair=self._pair, gated=gated)

    def _weighted_values(self, trial: Trial, gated: Sequence[str]) -> Mapping[str, float]:
        """Values that follow from the blocks, by their weights; the worker knows none."""
        if not self._weights or trial.outcome is not Outcome.COMPLETED:
            return {}
        sums = math.fsum(block * weight for block, weight in zip(self._blocks_s, self._weights, strict=True))
        return values_of_blocks(gated, sums / math.fsum(self._weights), trial.values)

    def _contradiction(self, trial: Trial, gated: Sequence[str]) -> str:
        """Contradiction between a finished workload and the blocks that the gate received; empty if there is none."""
        if not self._is_done:
            return "the workload ended before all its blocks were measured"
        if self._blocks_s:
            mean = statistics.fmean(self._blocks_s)
            try:
                expected = values_of_blocks(gated, mean, trial.values)
            except KeyError as missing:
                return f"the worker does not say {missing}, from which a gated metric follows"
            for name, value in expected.items():
                if not math.isclose(trial.values[name], value, rel_tol=1e-9):
                    return f"the worker says that {name} is {trial.values[name]:g}, where its blocks give {value:g}"
        return ""

    def fail(self, task: TimedTask) -> Trial:
        """The trial of a workload whose file hung."""
        outcome, cause = self._session.failure or (Outcome.TIMED_OUT, "")
        return self._form(task).failed(outcome, cause)

    def _left_behind(self) -> bool:
        """Whether the workload left threads or processes behind; they end with this process."""
        threads = self._session.finished["threads"] if self._session.finished else ()
        num_children = len(self._session.worker.children())
        if threads:
            self.notes.append(f"{self._task.workload}: left threads running ({', '.join(sorted(threads))}); ended")
        if num_children:
            self.notes.append(f"{self._task.workload}: left {num_children} processes running; ended")
        return bool(threads or num_children)


def _why_wall_clock(task: TimedTask, blind: Sequence[Side]) -> str:
    """Why the time that the processes waited for a core could not be subtracted.

    Args:
        task: The workload.
        blind: Sides for which it is unknown.
    """
    if not os.path.exists(ACCOUNT):
        return "timed by the wall clock alone: this system does not say how long a process waits for a core"
    which = "it" if len(blind) == len(Side) else f"the {blind[0]}"
    return f"{task.workload}: timed by the wall clock alone: {which} starts processes, or the kernel keeps no account"
