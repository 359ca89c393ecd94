"""Timed pairs: the workers of both revisions are alive at once and take turns, block by block; only one runs at a time.

A pair is one fresh process for each revision, shared by its timed workloads one after the other. Both make the same
number of calls in every block, and neighbouring blocks, one of each revision, belong together: the log ratio of the two
values of a pair is the mean of the log ratios of its neighbouring blocks. What disturbs the machine for longer than
two blocks thus hits both revisions alike.

- :class:`TimedRequest`, :class:`TimedTask`: what is to be measured.
- :func:`measure_timed_pair`: measures it.
- :func:`plan_blocks`: how many calls a block has, and how many blocks there are.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mainstay.records.errors import Interrupted
from mainstay.records.findings import MeasuredWith
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.workers.collecting import concerns, why_not_collected
from mainstay.workers.load import LoadMeter
from mainstay.workers.process import OutOfTimeError, Worker, WorkerEndedError, collecting_seconds
from mainstay.workers.session import Crew, TrialForm

BLOCK_SECONDS = 0.025
"""How long a block is to last: noise lies between spans of tens of milliseconds, so many short blocks beat few long."""

MAX_ALTERNATIONS = 400
"""Blocks of each revision in one pair, at the most."""

FIT = frozenset({Outcome.COMPLETED, Outcome.SKIPPED})
"""Outcomes that a repetition would not better."""

CLOCK_TOLERANCE_S = 0.001
"""By how much a block may seem longer to the worker than to the gate, which also waits for the answer."""

FROM_BLOCKS = ("call_time", "import_time")
"""Metrics that are the mean over the blocks, which the gate has heard one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedTask:
    """One workload in one pair.

    Attributes:
        workload: Node id.
        seed: Seed of the pair.
        first: Which side's block goes first in each alternation, drawn beforehand; at most so many are run.
        gated: Names of the metrics that must be recorded, with finite values.
    """

    workload: str
    seed: int
    first: tuple[Side, ...]
    gated: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedRequest:
    """One pair of processes and all that they are to measure.

    Attributes:
        pair: Number of the pair.
        tasks: The workloads, in the order drawn for this pair.
        seconds: Time of the blocks of each workload, of both revisions together.
        limit_s: Seconds that a worker may take to become ready, for one block, and to end a workload.
        seconds_left: Seconds until the pair is ended; the workloads that were not through by then are dropped.
        measured_with: Whose workload files are used.
    """

    pair: int
    tasks: tuple[TimedTask, ...]
    seconds: float
    limit_s: float = 600.0
    seconds_left: float = math.inf
    measured_with: MeasuredWith = MeasuredWith.SHARED


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedResult:
    """What a timed pair gave.

    Attributes:
        request: What was asked for.
        trials: One a side and workload, of the workloads that were not dropped.
        notes: What was ended because a workload had left it behind, a sentence each.
        was_cut: Whether the time was used up before all workloads were through.
    """

    request: TimedRequest
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()
    was_cut: bool = False


class Blocks(NamedTuple):
    """How the blocks of a workload are cut, equal for both revisions.

    Attributes:
        calls: In each block.
        alternations: Blocks of each revision.
    """

    calls: int
    alternations: int


def plan_blocks(*, seconds: float, call_s: Sequence[float | None], left: Sequence[int | None]) -> Blocks:
    """Cut the time of a workload into blocks.

    Args:
        seconds: Time of all blocks of both revisions together.
        call_s: Time of a call of each revision after its warm-up, where known.
        left: Calls that each revision may still make, where limited.

    Returns:
        Blocks of about 25 ms; an even number of alternations where more than one fits, since the coins come in twos.
        One call a block where a call takes longer, and at least two alternations unless the calls do not suffice.

    Example:
        >>> plan_blocks(seconds=2.5, call_s=[0.001, 0.001], left=[None, None])
        Blocks(calls=25, alternations=50)
        >>> plan_blocks(seconds=2.5, call_s=[4.0, 4.0], left=[None, None])
        Blocks(calls=1, alternations=2)
    """
    known = [max(value, 1e-9) for value in call_s if value is not None]
    call = sum(known) / len(known) if known else BLOCK_SECONDS
    most = min((value for value in left if value is not None), default=None)
    calls = max(1, round(BLOCK_SECONDS / call))
    if most is not None:
        calls = max(1, min(calls, most // 8))
    fitting = int(seconds / (2 * calls * call))
    alternations = max(2, min(fitting, MAX_ALTERNATIONS))
    if most is not None:
        alternations = max(1, min(alternations, most // calls))
    return Blocks(calls, alternations if alternations == 1 else alternations // 2 * 2)


def measure_timed_pair(
    crew: Crew, request: TimedRequest, *, clock: Callable[[], float] = time.perf_counter
) -> TimedResult:
    """Measure a pair: fresh processes for both revisions, which take turns in every workload.

    A workload that does not complete on one of them is repeated once, after the others and in fresh processes. After
    one that ended its process, or left threads or processes behind, the rest goes on in processes that are fresh again.
    Where a file hangs while it is collected, none of its workloads is tried again.

    Args:
        crew: The workers of both revisions.
        request: What to measure.
        clock: Gives the gate's own time, against which the workers' is checked.

    Returns:
        Two trials a workload; where a file hung, of its other workloads those of the revision in which it did.

    Raises:
        Interrupted: If the crew was stopped.
    """
    trials: list[Trial] = []
    notes: dict[str, None] = {}
    first, again = deque(request.tasks), deque[TimedTask]()
    deadline = time.monotonic() + request.seconds_left
    try:
        for waiting in (first, again):
            while waiting:
                with ExitStack() as stack:
                    names = [task.workload for task in waiting]
                    team = _Team(crew, names, request, stack, clock=clock, deadline=deadline)
                    while waiting and team.is_fit:
                        task = waiting.popleft()
                        pair = team.measure(task)
                        hung = team.fail_hung(waiting)
                        if waiting is first and not team.is_hung and any(trial.outcome not in FIT for trial in pair):
                            again.append(task)
                        else:
                            trials += pair + hung
                            crew.report(pair + hung)
                    notes |= dict.fromkeys(team.notes)
    except OutOfTimeError:
        return TimedResult(request=request, trials=tuple(trials), notes=tuple(notes), was_cut=True)
    return TimedResult(request=request, trials=tuple(trials), notes=tuple(notes))


class _Team:
    """One process of each revision; fit until one of them ends, or is left with what would disturb the next workload."""

    def __init__(
        self,
        crew: Crew,
        workloads: Sequence[str],
        request: TimedRequest,
        stack: ExitStack,
        *,
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        self._request = request
        workers = {side: crew.start(side, workloads, stack, deadline=deadline) for side in Side}  # both start at once
        self._players = {side: _Player(crew, side, worker, request, clock) for side, worker in workers.items()}
        self.notes: list[str] = []

    @property
    def is_fit(self) -> bool:
        """Whether both processes can go on."""
        return all(player.is_fit for player in self._players.values())

    @property
    def is_hung(self) -> bool:
        """Whether one of the processes hung while it collected."""
        return any(player.hung_at for player in self._players.values())

    def fail_hung(self, waiting: deque[TimedTask]) -> list[Trial]:
        """Take those tasks away that the file in which a process hung leaves no hope for; gives their trials."""
        trials = []
        for player in self._players.values():
            lost = [task for task in waiting if player.hung_at and concerns(player.hung_at, task.workload)]
            for task in lost:
                waiting.remove(task)
            trials += [player.fail(task) for task in lost]
        return trials

    def measure(self, task: TimedTask) -> list[Trial]:
        """Let both take turns in one workload."""
        players = [self._players[side] for side in (task.first[0], task.first[0].other)]
        load = LoadMeter()
        for player in players:
            player.begin(task)
        if all(player.is_ready for player in players):
            self._alternate(task)
        trials = [player.end(load, was_timed=player.has_blocks) for player in players]
        self.notes += [note for player in players for note in player.notes]
        return trials

    def _alternate(self, task: TimedTask) -> None:
        """Measure neighbouring blocks in the order drawn, until all are done or one side cannot go on."""
        players = self._players.values()
        blocks = plan_blocks(
            seconds=self._request.seconds,
            call_s=[player.call_s for player in players],
            left=[player.left for player in players],
        )
        for first in task.first[: blocks.alternations]:
            for side in (first, first.other):
                self._players[side].run_block(blocks.calls, goes_first=side is first)
                if not self._players[side].is_ready:
                    return


class _Player:
    """The process of one revision while it takes turns with the other."""

    def __init__(
        self, crew: Crew, side: Side, worker: Worker, request: TimedRequest, clock: Callable[[], float]
    ) -> None:
        self._crew = crew
        self._spec = crew.specs[side]
        self._worker = worker
        self._request = request
        self._clock = clock
        self._collected: Mapping[str, Any] | None = None
        self.hung_at = ""
        self._reset()
        self.is_fit = True

    def _reset(self) -> None:
        self.call_s: float | None = None
        self.left: int | None = None
        self.is_ready = False
        self.notes: list[str] = []
        self._is_done = False
        self._finished: dict[str, Any] | None = None
        self._broken: tuple[Outcome, str] | None = None
        self._blocks_s: list[float] = []
        self._went_first: list[bool] = []

    @property
    def has_blocks(self) -> bool:
        """Whether a block was measured in the workload that is going on."""
        return bool(self._blocks_s)

    def begin(self, task: TimedTask) -> None:
        """Start a workload, and wait until it is warm."""
        self._reset()
        self._task = task
        try:
            if self._collected is None:
                self._collected = self._worker.expect("collected", collecting_seconds(self._request.limit_s))
            if reason := why_not_collected(task.workload, self._collected):
                self._broken = (Outcome.FAILED, reason)
                return
            self._worker.send(do="run", workload=task.workload, seed=task.seed)
            self._take(*self._worker.expect_one_of(("ready", "finished"), self._request.limit_s))
        except (WorkerEndedError, BrokenPipeError) as ended:
            self._give_up(ended)

    def run_block(self, calls: int, *, goes_first: bool) -> None:
        """Have one block run; the other revision waits."""
        try:
            start = self._clock()
            self._worker.send(do="block", calls=calls)
            event, content = self._worker.expect_one_of(("block", "finished"), self._request.limit_s)
            elapsed = self._clock() - start
        except (WorkerEndedError, BrokenPipeError) as ended:
            self._give_up(ended)
            return
        if event == "finished":
            self._take(event, content)
        elif content["seconds"] > 1.01 * elapsed + CLOCK_TOLERANCE_S:
            self._broken = (
                Outcome.FAILED,
                f"a clock stepped: a block of {content['seconds']:.6g} s was answered after {elapsed:.6g} s",
            )
            self.is_ready = self.is_fit = False
            self._worker.kill()
        else:
            self._blocks_s.append(content["seconds"] / calls)
            self._went_first.append(goes_first)

    def end(self, load: LoadMeter, *, was_timed: bool) -> Trial:
        """Let the workload go on to its end.

        Args:
            load: Has been measuring since the workload began.
            was_timed: Whether it must have recorded what is gated; not so where the other revision kept it waiting.
        """
        if self.is_ready:
            try:
                self._is_done = True
                self._worker.send(do="done")
                self._take(*self._worker.expect_one_of(("finished",), self._request.limit_s))
            except (WorkerEndedError, BrokenPipeError) as ended:
                self._give_up(ended)
        trial = self._trial(load, was_timed=was_timed)
        self.is_fit = self.is_fit and not self._left_behind()
        return trial

    def _trial(self, load: LoadMeter, *, was_timed: bool) -> Trial:
        task = self._task
        form = TrialForm(
            spec=self._spec,
            workload=task.workload,
            seed=task.seed,
            pair=self._request.pair,
            gated=task.gated if was_timed else (),
        )
        lines = self._worker.last_lines()
        if self._broken:
            return form.failed(*self._broken, lines)
        trial = form.ended(self._finished or {}, load=load.of_others(), last_lines=lines)
        if trial.outcome is Outcome.COMPLETED and (wrong := self._contradiction(trial)):
            self.is_fit = False
            self._worker.kill()
            return form.failed(Outcome.FAILED, wrong, lines)
        return replace(trial, block_times_s=tuple(self._blocks_s), went_first=tuple(self._went_first))

    def _contradiction(self, trial: Trial) -> str:
        """What a finished workload says against the blocks that the gate has heard of; empty if nothing."""
        if not self._is_done:
            return "the workload ended before all its blocks were measured"
        if self._blocks_s:
            mean = statistics.geometric_mean(self._blocks_s)
            for name in FROM_BLOCKS:
                value = trial.values.get(name, mean)
                if not math.isclose(value, mean, rel_tol=1e-9):
                    return f"the worker says that {name} is {value:g}, where its blocks have a mean of {mean:g}"
        return ""

    def fail(self, task: TimedTask) -> Trial:
        """The trial of a workload whose file hung."""
        form = TrialForm(spec=self._spec, workload=task.workload, seed=task.seed, pair=self._request.pair)
        outcome, cause = self._broken or (Outcome.TIMED_OUT, "")
        return form.failed(outcome, cause)

    def _take(self, event: str, content: dict[str, Any]) -> None:
        """Note what the worker answered."""
        self.is_ready = event == "ready"
        if event == "ready":
            self.call_s, self.left = content["call_s"], content["left"]
        else:
            self._finished = content

    def _give_up(self, ended: WorkerEndedError | BrokenPipeError) -> None:
        """The process is gone, or must go."""
        if self._crew.is_stopped:
            raise Interrupted("interrupted") from ended
        outcome = ended.outcome if isinstance(ended, WorkerEndedError) else Outcome.CRASHED
        if isinstance(ended, WorkerEndedError) and ended.is_hang:
            self.hung_at = ended.collecting
        self._broken = (outcome, str(ended))
        self.is_ready = self.is_fit = False
        self._worker.kill()

    def _left_behind(self) -> bool:
        """Whether the workload left threads or processes behind, which the end of this process will end."""
        threads = (self._finished or {}).get("threads", [])
        children = self._worker.children()
        if threads:
            self.notes.append(f"{self._task.workload}: left threads running ({', '.join(sorted(threads))}); ended")
        if children:
            self.notes.append(f"{self._task.workload}: left {len(children)} processes running; ended")
        return bool(threads or children)
