"""Pairs of whole-run trials, with a fresh process for each revision.

The order of trials is decided in :mod:`mainstay.measuring.scheduling`, and their meaning in :mod:`mainstay.gates`.

- :class:`PairRequest`, :class:`PairResult`: the request for a pair of trials, and its result.
- :func:`run_pair`: measures a pair; it takes and returns plain data, so it can run in any thread or process.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mainstay.records.findings import MeasuredWith
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.runner.protocol import WHOLE
from mainstay.workers.load import LoadMeter
from mainstay.workers.process import OutOfTimeError, WorkerEndedError, WorkerSpec, at_once
from mainstay.workers.session import LiveWorkers, TrialForm, WorkerSession


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRequest:
    """One pair of trials that is to be measured.

    Attributes:
        workload: Node id.
        seed: Seed of both trials.
        pair: Number of the pair.
        sides: The sides to run, in the order drawn for this pair.
        repetition: 1 if the trial repeats a baseline trial to check that it is deterministic.
        gated: Names of the metrics that must be recorded, with finite values, or of scores of items.
        has_items: Whether they are names of scores of items.
        block: Shares of the items of an evaluation between which those to be scored lie.
        wants_images: Whether images of flipped examples are wanted.
        may_overlap: Whether the trials of both sides may run at the same time.
        needs_fresh_process: Whether the processes must be fresh interpreters, because anything else they had loaded
            would be measured too.
        limit_s: Seconds that one trial may take.
        seconds_left: Seconds until the pair is ended and dropped, whether or not its trials have completed.
        measured_with: Whose workload files are used.
    """

    workload: str
    seed: int
    pair: int
    sides: tuple[Side, ...]
    repetition: int = 0
    gated: tuple[str, ...] = ()
    has_items: bool = False
    block: tuple[float, float] = WHOLE
    wants_images: bool = False
    may_overlap: bool = False
    needs_fresh_process: bool = False
    limit_s: float = 600.0
    seconds_left: float = math.inf
    measured_with: MeasuredWith = MeasuredWith.SHARED


@dataclass(frozen=True, kw_only=True, slots=True)
class PairResult:
    """The trials of a pair, and images of examples that flipped.

    Attributes:
        request: The request.
        trials: One trial for each side; none if the pair was dropped.
        images: PNG as base64, by position in the test set.
        was_cut: Whether the pair was running when the time was used up, so that it was ended and dropped.
        tampering: Forbidden changes on the host of a cluster that measured it. Empty for this machine, where they are
            looked for once, after the last pair.
    """

    request: PairRequest
    trials: tuple[Trial, ...]
    images: Mapping[int, str] = field(default_factory=dict)
    was_cut: bool = False
    tampering: tuple[str, ...] = ()


def run_pair(
    specs: Mapping[Side, WorkerSpec],
    request: PairRequest,
    known: Sequence[Trial] = (),
    *,
    together: bool = True,
    choose_examples: Callable[[Sequence[Trial]], Sequence[int]] | None = None,
    live: LiveWorkers | None = None,
) -> PairResult:
    """Measure a pair of whole-run trials, with a fresh process for each revision.

    A trial that does not complete is repeated once with the same seed, unless its worker hung while it collected.

    Args:
        specs: The worker of each side.
        request: The request.
        known: Trials of this pair that were measured earlier; they are needed to find the examples that flipped.
        together: Whether to run both sides at the same time where the request allows it, instead of one after the other
            in the order drawn.
        choose_examples: Chooses from the trials of a pair the examples of the test set that the report will show.
        live: Starts the workers; pass it to stop them from elsewhere, to fork them, or to receive trials at once.

    Returns:
        The requested trials, with images if they are wanted and available; no trial if the time was used up.

    Raises:
        Interrupted: If the workers were stopped.
    """
    live = live or LiveWorkers()
    with ExitStack() as stack:
        deadline = time.monotonic() + request.seconds_left
        runs = [
            _WholeRun(
                live,
                specs[side],
                request,
                stack,
                deadline,
                stays_alive=request.wants_images and side is request.sides[-1],  # images of one side are enough
            )
            for side in request.sides
        ]
        try:
            for run in runs if request.needs_fresh_process else ():  # imports overlap, trials do not
                run.start()
            if together and request.may_overlap and len(runs) > 1:
                trials = at_once(_WholeRun.measure, runs)
            else:
                trials = [run.measure() for run in runs]
        except OutOfTimeError:
            for run in runs:
                run.kill()
            return PairResult(request=request, trials=(), was_cut=True)
        images: dict[int, str] = {}
        if request.wants_images and choose_examples and (examples := choose_examples([*known, *trials])):
            images = runs[-1].images(examples)
    return PairResult(request=request, trials=tuple(trials), images=images)


@dataclass
class _WholeRun:
    """One side of a pair. Every attempt has a process of its own, which has ended before the next one starts.

    Attributes:
        live: Starts the processes.
        spec: The worker.
        request: The request.
        stack: Exit stack of the pair, which ends a process that is left.
        deadline: Time by the monotonic clock when the pair is stopped.
        stays_alive: Whether the process of a completed trial stays alive until its images have been requested.
        session: Session with the process, if there is one.
    """

    live: LiveWorkers
    spec: WorkerSpec
    request: PairRequest
    stack: ExitStack
    deadline: float
    stays_alive: bool
    session: WorkerSession | None = None
    _process: ExitStack = field(default_factory=ExitStack, init=False)

    def start(self) -> WorkerSession:
        """Start a fresh process."""
        self._process = self.stack.enter_context(ExitStack())
        worker = self.live.start(
            self.spec,
            [self.request.workload],
            self._process,
            needs_fresh_process=self.request.needs_fresh_process,
            deadline=self.deadline,
        )
        self.session = WorkerSession(live=self.live, worker=worker, limit_s=self.request.limit_s)
        return self.session

    def end(self) -> None:
        """End the process, which may hold memory that others need, such as that of a GPU."""
        self._process.close()
        self.session = None

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self.session:
            self.session.kill()

    def measure(self) -> Trial:
        """Measure the trial, repeating it once in another process if it did not complete."""
        session = self.session or self.start()
        trial = self._attempt(session)
        if trial.outcome is not Outcome.COMPLETED and not session.hung_at:
            self.end()
            trial = self._attempt(self.start())
        self.live.report([trial])
        if trial.outcome is not Outcome.COMPLETED or not self.stays_alive:
            self.end()
        return trial

    def images(self, indices: Sequence[int]) -> dict[int, str]:
        """Images of examples, from a worker whose trial completed."""
        if self.session is None:
            return {}
        try:
            images = self.session.images(indices)
        except (WorkerEndedError, OutOfTimeError):
            self.session.kill()
            return {}
        return {index: image for index, image in zip(indices, images, strict=False) if is_png(image)}

    def _attempt(self, session: WorkerSession) -> Trial:
        load = LoadMeter()
        request = self.request
        session.begin(request.workload, request.seed, block=request.block)
        session.answer()
        form = TrialForm(
            spec=self.spec,
            workload=request.workload,
            seed=request.seed,
            pair=request.pair,
            repetition=request.repetition,
            gated=request.gated,
            has_items=request.has_items,
        )
        return session.trial(form, load=load.of_others())


def is_png(image: str) -> bool:
    """Whether a base64 text encodes a PNG file."""
    try:
        return base64.b64decode(image, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    except ValueError:
        return False
