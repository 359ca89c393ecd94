"""Pairs of trials measured by the workers of both revisions.

Nothing here decides which trial runs when (:mod:`mainstay.measuring.scheduling`) or what a trial means (:mod:`mainstay.gates`).

- :class:`PairRequest`, :class:`PairResult`: a pair of trials, asked for and measured.
- :class:`TrialForm`: from what a worker says to a trial.
- :class:`Crew`: the workers of both revisions; measures pairs, and can be stopped from another thread.
"""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from mainstay.records.errors import Interrupted
from mainstay.records.findings import MeasuredWith
from mainstay.records.trials import Outcome, Predictions, Side, Trial
from mainstay.workers.collecting import explain_refusal, why_not_collected
from mainstay.workers.descendants import shortened
from mainstay.workers.load import LoadMeter
from mainstay.workers.process import (
    NUM_LAST_LINES,
    Launcher,
    OutOfTimeError,
    Worker,
    WorkerEndedError,
    WorkerSpec,
    at_once,
    collecting_seconds,
    conceal,
    start_fresh,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRequest:
    """One pair of trials that is to be measured.

    Attributes:
        workload: Node id.
        seed: Seed of both trials.
        pair: Number of the pair.
        sides: The sides to run, in the order drawn for this pair.
        repetition: 1 for the repetition of a baseline that exact-first asks for.
        gated: Names of the metrics that must be recorded, with finite values.
        wants_images: Whether images of flipped examples are wanted.
        apart: Whether the sides must never run at once, whatever the machine could do; their processes are then fresh
            interpreters, since what else was loaded would count.
        limit_s: Seconds that one trial may take.
        seconds_left: Seconds until the pair is ended and dropped, whatever its trials have come to.
        measured_with: Whose workload files are used.
    """

    workload: str
    seed: int
    pair: int
    sides: tuple[Side, ...]
    repetition: int = 0
    gated: tuple[str, ...] = ()
    wants_images: bool = False
    apart: bool = False
    limit_s: float = 600.0
    seconds_left: float = math.inf
    measured_with: MeasuredWith = MeasuredWith.SHARED


@dataclass(frozen=True, kw_only=True, slots=True)
class PairResult:
    """The trials of a pair, and images of examples that flipped.

    Attributes:
        request: What was asked for.
        trials: One a side; none where the pair was dropped.
        images: PNG as base64 by position in the test set.
        was_cut: Whether the pair was under way when the time was used up, so that it was ended and dropped.
    """

    request: PairRequest
    trials: tuple[Trial, ...]
    images: Mapping[int, str] = field(default_factory=dict)
    was_cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialForm:
    """What is known of a trial before it ends; what the worker says at its end completes it.

    Attributes:
        spec: The revision's worker.
        workload: Node id.
        seed: Seed of the trial.
        pair: Number of its pair.
        repetition: 1 for the repetition of a baseline.
        gated: Names of the metrics that must be recorded, with finite values.
    """

    spec: WorkerSpec
    workload: str
    seed: int
    pair: int
    repetition: int = 0
    gated: tuple[str, ...] = ()

    def failed(self, outcome: Outcome, cause: str, lines: Sequence[str] = ()) -> Trial:
        """A trial that did not complete.

        Args:
            outcome: How it ended.
            cause: Why, in one sentence.
            lines: The last lines of the worker's output and of a traceback.
        """
        return Trial(
            workload=self.workload,
            side=self.spec.side,
            seed=self.seed,
            pair=self.pair,
            repetition=self.repetition,
            outcome=outcome,
            files_of=self.spec.files_of,
            cause=shortened(conceal(explain_refusal(cause), self.spec)),
            last_lines=tuple(shortened(conceal(line, self.spec)) for line in lines),
        )

    def ended(self, content: Mapping[str, Any], *, load: float | None, last_lines: Sequence[str]) -> Trial:
        """A trial that the worker says has ended.

        Args:
            content: Of the event ``finished``.
            load: Processors that others kept busy meanwhile.
            last_lines: What the worker wrote last, for a trial that cannot be judged.
        """
        if content["outcome"] not in {Outcome.COMPLETED, Outcome.SKIPPED}:
            lines = (*last_lines, *content["detail"][-NUM_LAST_LINES:])
            return self.failed(Outcome(content["outcome"]), content["cause"], lines)
        wrong = unusable_value(self.gated, content.get("values", {}))
        if wrong and content["outcome"] == Outcome.COMPLETED:
            return self.failed(Outcome.FAILED, wrong, last_lines)
        predictions = content.get("predictions")
        return Trial(
            workload=self.workload,
            side=self.spec.side,
            seed=self.seed,
            pair=self.pair,
            repetition=self.repetition,
            outcome=Outcome(content["outcome"]),
            files_of=self.spec.files_of,
            cause=content["cause"],
            values={name: float(value) for name, value in content.get("values", {}).items()},
            series={name: tuple(map(float, values)) for name, values in content.get("series", {}).items()},
            context=content.get("context", {}),
            digest=content.get("digest", ""),
            predictions=Predictions(**predictions) if predictions else None,
            duration_s=content["duration_s"],
            peak_memory_bytes=content["peak_memory_bytes"],
            load=load,
            names={name: tuple(values) for name, values in content.get("names", {}).items()},
        )


class Crew:
    """The workers of both revisions: measures pairs, and can be stopped from another thread.

    Args:
        specs: The worker of each side.
        together: Run both sides of a pair at once; else one after the other in the order drawn.
        on_trial: Called with each final trial as soon as it is known, from whatever thread measured it.
        choose_examples: Tells from the trials of a pair which examples of the test set the report will show.
        launchers: Start the processes of a side, but for pairs that are measured apart; fresh interpreters if not given.
    """

    def __init__(
        self,
        specs: Mapping[Side, WorkerSpec],
        *,
        together: bool = True,
        on_trial: Callable[[Trial], None] | None = None,
        choose_examples: Callable[[Sequence[Trial]], Sequence[int]] = lambda _: (),
        launchers: Mapping[Side, Launcher] | None = None,
    ) -> None:
        self.specs = specs
        self._launchers = launchers or {}
        self.together = together
        self._choose_examples = choose_examples
        self.on_trial = on_trial
        self._lock = threading.Lock()
        self._live: set[Worker] = set()
        self._stopped = False

    def measure(self, request: PairRequest, known: Sequence[Trial] = ()) -> PairResult:
        """Measure a pair whose trials are whole runs: a fresh process for each revision.

        A trial that does not complete is repeated once with the same seed, unless its worker hung while it collected.

        Args:
            request: What to measure.
            known: Trials of this pair that were measured earlier; with them, which examples flipped is known.

        Returns:
            The trials that were asked for, with images if wanted and to be had; no trial where the time was used up.

        Raises:
            Interrupted: If the crew was stopped.
        """
        with ExitStack() as stack:
            deadline = time.monotonic() + request.seconds_left
            runs = [_SideRun(self, side, request, stack, deadline) for side in request.sides]
            try:
                for run in runs if request.apart else ():  # they import at once, then run one after the other
                    run.start()
                if self.together and len(runs) > 1 and not request.apart:
                    trials = at_once(_SideRun.measure, runs)
                else:
                    trials = [run.measure() for run in runs]
            except OutOfTimeError:
                for run in runs:
                    run.kill()
                return PairResult(request=request, trials=(), was_cut=True)
            images: dict[int, str] = {}
            if request.wants_images and (examples := self._choose_examples([*known, *trials])):
                images = next(filter(None, (run.images(examples) for run in reversed(runs))), {})
        return PairResult(request=request, trials=tuple(trials), images=images)

    def start(
        self,
        side: Side,
        select: Sequence[str],
        stack: ExitStack,
        *,
        is_fresh: bool = False,
        deadline: float = math.inf,
    ) -> Worker:
        """Start a worker that ends with the stack, or when the crew is stopped.

        Args:
            side: Whose.
            select: Paths or node ids to collect.
            stack: What it ends with.
            is_fresh: Whether its process must be a fresh interpreter.
            deadline: Time by the monotonic clock after which :class:`OutOfTimeError` ends every wait for it.
        """
        launcher = start_fresh if is_fresh else self._launchers.get(side, start_fresh)
        with self._lock:
            if self._stopped:
                raise Interrupted("interrupted")
            worker = stack.enter_context(Worker(self.specs[side], select, launcher, deadline=deadline))
            self._live.add(worker)
            stack.callback(self._live.discard, worker)
        return worker

    def report(self, trials: Sequence[Trial]) -> None:
        """Pass final trials on to whoever wants to know of each."""
        if self.on_trial:
            for trial in trials:
                self.on_trial(trial)

    def stop(self) -> None:
        """Kill every worker and start no more; whoever waits for one gets :class:`Interrupted`."""
        with self._lock:
            self._stopped = True
            for worker in self._live:
                worker.kill()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped


class _SideRun:
    """One side of a pair: its worker stays alive until the images were asked for."""

    def __init__(self, crew: Crew, side: Side, request: PairRequest, stack: ExitStack, deadline: float) -> None:
        self._crew = crew
        self._deadline = deadline
        self._is_hung = False
        self._spec = crew.specs[side]
        self._request = request
        self._form = TrialForm(
            spec=crew.specs[side],
            workload=request.workload,
            seed=request.seed,
            pair=request.pair,
            repetition=request.repetition,
            gated=request.gated,
        )
        self._stack = stack
        self._worker: Worker | None = None

    def start(self) -> Worker:
        """Start a fresh process."""
        self._worker = self._crew.start(
            self._spec.side,
            [self._request.workload],
            self._stack,
            is_fresh=self._request.apart,
            deadline=self._deadline,
        )
        return self._worker

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._worker:
            self._worker.kill()

    def measure(self) -> Trial:
        """The trial, repeated once in another process if it did not complete."""
        trial = self._attempt()
        if trial.outcome not in {Outcome.COMPLETED, Outcome.SKIPPED} and not self._is_hung:
            trial = self._attempt()
        self._crew.report([trial])
        return trial

    def images(self, indices: Sequence[int]) -> dict[int, str]:
        """Images of examples, from a worker whose trial completed."""
        if self._worker is None:
            return {}
        try:
            self._worker.send(do="images", indices=list(indices))
            images = self._worker.expect("images", self._request.limit_s)["images"]
        except (WorkerEndedError, BrokenPipeError, OutOfTimeError):
            self._worker.kill()
            return {}
        return {index: image for index, image in zip(indices, images, strict=False) if is_png(image)}

    def _attempt(self) -> Trial:
        worker = self._worker or self.start()
        load = LoadMeter()
        try:
            collected = worker.expect("collected", collecting_seconds(self._request.limit_s))
            if reason := why_not_collected(self._request.workload, collected):
                self._worker = None
                return self._form.failed(Outcome.FAILED, reason, worker.last_lines())
            worker.send(do="run", workload=self._request.workload, seed=self._request.seed)
            content = worker.expect("finished", self._request.limit_s)
        except (WorkerEndedError, BrokenPipeError) as ended:
            if self._crew.is_stopped:
                raise Interrupted("interrupted") from ended
            outcome = ended.outcome if isinstance(ended, WorkerEndedError) else Outcome.CRASHED
            self._is_hung = isinstance(ended, WorkerEndedError) and ended.is_hang
            worker.kill()
            trial = self._form.failed(outcome, str(ended), worker.last_lines())
        else:
            trial = self._form.ended(content, load=load.of_others(), last_lines=worker.last_lines())
        if trial.outcome not in {Outcome.COMPLETED, Outcome.SKIPPED}:
            self._worker = None
        return trial


def unusable_value(gated: Sequence[str], values: Mapping[str, Any]) -> str:
    """Why a finished trial cannot be judged; empty if it can.

    Args:
        gated: Names that must have been recorded.
        values: What was recorded, by name.

    Example:
        >>> unusable_value(["top1_accuracy"], {"top1_accuracy": "nan"})
        'top1_accuracy is nan'
    """
    for name in gated:
        if name not in values:
            return f"the gated metric {name} was not recorded"
        if not math.isfinite(float(values[name])):
            return f"{name} is {values[name]}"
    return ""


def is_png(image: str) -> bool:
    """Whether a base64 text holds a PNG file."""
    try:
        return base64.b64decode(image, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    except ValueError:
        return False
