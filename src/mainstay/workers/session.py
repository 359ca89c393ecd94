"""Session with one worker, from its start to its trials, used for whole runs and for timed pairs.

- :class:`LiveWorkers`: starts workers, and kills those that are alive when it is stopped.
- :class:`WorkerSession`: asks a worker to run workloads, and kills it when it fails.
- :class:`TrialForm`: makes a trial from the events of a worker.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from mainstay.records.errors import Interrupted
from mainstay.records.trials import CountedName, Examples, Outcome, Predictions, Side, Trial
from mainstay.runner.protocol import (
    WHOLE,
    Collected,
    Command,
    Event,
    Finished,
    ImagesCommand,
    RunCommand,
)
from mainstay.workers.collecting import explain_cause, why_not_collected
from mainstay.workers.descendants import shortened
from mainstay.workers.process import (
    NUM_LAST_LINES,
    Launcher,
    Worker,
    WorkerEndedError,
    WorkerSpec,
    collecting_seconds,
    conceal,
    start_fresh,
)

NO_FAILURE = frozenset({Outcome.COMPLETED, Outcome.SKIPPED})
"""Outcomes that are no failure. A skipped trial is still repeated, since the reason for a skip may be gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialForm:
    """The known part of a trial before it ends; the worker's last event completes it.

    Attributes:
        spec: The revision's worker.
        workload: Node id.
        seed: Seed of the trial.
        pair: Number of its pair.
        repetition: 1 for the repetition of a baseline.
        gated: Names of the metrics that must be recorded, with finite values, or of scores of items.
        has_items: Whether they are names of scores of items.
    """

    spec: WorkerSpec
    workload: str
    seed: int
    pair: int
    repetition: int = 0
    gated: tuple[str, ...] = ()
    has_items: bool = False

    def failed(self, outcome: Outcome, cause: str, lines: Sequence[str] = ()) -> Trial:
        """A trial that did not complete.

        Args:
            outcome: How the trial ended.
            cause: Why it did not complete, in one sentence.
            lines: The last lines of the worker's output and of a traceback.
        """
        return replace(
            self._trial(outcome),
            cause=shortened(conceal(explain_cause(cause), self.spec)),
            last_lines=tuple(shortened(conceal(line, self.spec)) for line in lines),
        )

    def ended(self, content: Finished, *, load: float | None, last_lines: Sequence[str]) -> Trial:
        """The trial that a worker reports as ended.

        Args:
            content: Content of the event ``finished``.
            load: Number of processors that other processes kept busy meanwhile.
            last_lines: The last output of the worker, for a trial that cannot be judged.
        """
        outcome = Outcome(content["outcome"])
        if outcome not in NO_FAILURE:
            lines = (*last_lines, *content["detail"][-NUM_LAST_LINES:])
            return self.failed(outcome, content["cause"], lines)
        values, examples = content.get("values", {}), content.get("examples", {})
        if self.has_items:
            wrong = unscored(self.gated, examples, values)
        else:
            wrong = unusable_value(self.gated, values, examples)
        if wrong and outcome is Outcome.COMPLETED:
            return self.failed(Outcome.FAILED, wrong, last_lines)
        predictions = content.get("predictions")
        return replace(
            self._trial(outcome),
            cause=content["cause"],
            values={name: float(value) for name, value in values.items()},
            series={name: tuple(map(float, values)) for name, values in content.get("series", {}).items()},
            context=content.get("context", {}),
            digest=content.get("digest", ""),
            predictions=Predictions(**predictions) if predictions else None,
            examples={name: _examples(columns) for name, columns in examples.items()},
            duration_s=content["duration_s"],
            peak_memory_bytes=content["peak_memory_bytes"],
            load=load,
            names={
                metric: tuple(CountedName(**each) for each in counted)
                for metric, counted in content.get("names", {}).items()
            },
        )

    def _trial(self, outcome: Outcome) -> Trial:
        """A trial with what is known before it ends, and its outcome."""
        return Trial(
            workload=self.workload,
            side=self.spec.side,
            seed=self.seed,
            pair=self.pair,
            repetition=self.repetition,
            outcome=outcome,
            files_of=self.spec.files_of,
        )


class LiveWorkers:
    """The live workers of this process, which can be stopped from another thread.

    Args:
        launchers: Functions that start the processes of each side, except those that must be fresh interpreters;
            without them, all processes are fresh interpreters.
        on_trial: Called with each final trial as soon as it is known, in the thread that measured it.

    Attributes:
        can_share: Whether the revisions of a timed workload can run at the same time on one core, as found in earlier pairs.
    """

    def __init__(
        self, launchers: Mapping[Side, Launcher] | None = None, on_trial: Callable[[Trial], None] | None = None
    ) -> None:
        self._launchers = launchers or {}
        self._on_trial = on_trial
        self.can_share: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._live: set[Worker] = set()
        self._stopped = False

    def start(
        self,
        spec: WorkerSpec,
        select: Sequence[str],
        stack: ExitStack,
        *,
        needs_fresh_process: bool = False,
        deadline: float = math.inf,
    ) -> Worker:
        """Start a worker that ends with the stack, or when all are stopped.

        Args:
            spec: The revision's worker.
            select: Paths or node ids to collect.
            stack: Exit stack that ends the worker.
            needs_fresh_process: Whether its process must be a fresh interpreter.
            deadline: Time by the monotonic clock after which :class:`~mainstay.workers.process.OutOfTimeError` ends
                every wait for it.

        Raises:
            Interrupted: If all were stopped.
        """
        launcher = start_fresh if needs_fresh_process else self._launchers.get(spec.side, start_fresh)
        with self._lock:
            self.require_not_stopped()
            worker = stack.enter_context(Worker(spec, select, launcher, deadline=deadline))
            self._live.add(worker)
            stack.callback(self._forget, worker)
        return worker

    def _forget(self, worker: Worker) -> None:
        """Forget a worker that has been released, or that :meth:`stop` killed in another thread."""
        with self._lock:
            self._live.discard(worker)

    def report(self, trials: Sequence[Trial]) -> None:
        """Pass on final trials."""
        if self._on_trial:
            for trial in trials:
                self._on_trial(trial)

    def stop(self) -> None:
        """Kill every worker and start no more; threads that wait for one get :class:`Interrupted`."""
        with self._lock:
            self._stopped = True
            for worker in self._live:
                worker.kill()

    def require_not_stopped(self) -> None:
        """Raise if the workers were stopped on request, not by themselves.

        Raises:
            Interrupted: If :meth:`stop` was called.
        """
        if self._stopped:
            raise Interrupted("interrupted")


@dataclass(kw_only=True)
class WorkerSession:
    """One worker that runs workloads, one after the other; it is killed as soon as it fails.

    Attributes:
        live: Tells whether the workers were stopped.
        worker: The worker.
        limit_s: Seconds that it may take for an answer.
        is_alive: Whether it can run another workload, as far as is known.
        hung_at: What it was collecting when it hung; empty if it did not.
        failure: Outcome and cause if the latest workload failed; otherwise ``None``.
        finished: Content of the event at the end of the latest workload.
    """

    live: LiveWorkers
    worker: Worker
    limit_s: float
    is_alive: bool = True
    hung_at: str = ""
    failure: tuple[Outcome, str] | None = None
    finished: Finished | None = None
    _collected: Collected | None = None

    def begin(self, workload: str, seed: int, *, block: tuple[float, float] = WHOLE) -> None:
        """Begin a workload; :meth:`answer` waits for what comes of it.

        Args:
            workload: Node id.
            seed: Seed of the trial.
            block: Shares of the items of an evaluation between which those to be scored lie.
        """
        self.failure = self.finished = None
        try:
            if self._collected is None:
                self._collected = self.worker.expect(Event.COLLECTED, collecting_seconds(self.limit_s))
        except WorkerEndedError as ended:
            self._give_up(ended)
            return
        if reason := why_not_collected(workload, self._collected):
            self.failure = (Outcome.FAILED, reason)
            return
        self.send(Command.RUN, **RunCommand(workload=workload, seed=seed, block=block))

    def send(self, command: Command, **content: Any) -> None:
        """Send a command that continues the workload; :meth:`answer` waits for the answer."""
        self.worker.send(command, **content)

    def answer(self, *answers: Event) -> Any:
        """Wait for the answer to the latest command.

        Args:
            answers: The events that may come next, besides ``finished``.

        Returns:
            Content of such an event; ``None`` if the workload has finished or failed.
        """
        if self.failure:
            return None
        try:
            event, answer = self.worker.expect_one_of((*answers, Event.FINISHED), self.limit_s)
        except WorkerEndedError as ended:
            self._give_up(ended)
            return None
        if event is Event.FINISHED:
            self.finished = answer
            return None
        return answer

    def images(self, indices: Sequence[int]) -> Sequence[str]:
        """Images of examples, from a worker that has finished a workload.

        Raises:
            WorkerEndedError: If the worker does not give them.
            OutOfTimeError: If the deadline comes first.
        """
        self.worker.send(Command.IMAGES, **ImagesCommand(indices=list(indices)))
        return self.worker.expect(Event.IMAGES, self.limit_s)["images"]

    def fail(self, cause: str) -> None:
        """Record a failure that the worker does not know of, and kill the worker."""
        self.failure = (Outcome.FAILED, cause)
        self.kill()

    def kill(self) -> None:
        """Kill the process with all that it started."""
        self.is_alive = False
        self.worker.kill()

    def _give_up(self, ended: WorkerEndedError) -> None:
        """Record a failure, and kill the process.

        Raises:
            Interrupted: If the workers were stopped.
        """
        self.live.require_not_stopped()
        if ended.is_hang:
            self.hung_at = ended.collecting
        self.failure = (ended.outcome, ended.cause)
        self.kill()

    def trial(self, form: TrialForm, *, load: float | None) -> Trial:
        """The trial of the workload.

        Args:
            form: The known part of the trial.
            load: Number of processors that other processes kept busy meanwhile.
        """
        lines = self.worker.last_lines()
        if self.failure or self.finished is None:
            return form.failed(*(self.failure or (Outcome.FAILED, "the workload did not finish")), lines)
        return form.ended(self.finished, load=load, last_lines=lines)


def _examples(columns: Mapping[str, Any]) -> Examples:
    """Scores of items as the record keeps them."""
    kept: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in columns.items()}
    return Examples(**kept)


def unusable_value(gated: Sequence[str], values: Mapping[str, Any], examples: Collection[str] = ()) -> str:
    """Why a finished trial cannot be judged by its values; empty if it can.

    Args:
        gated: Names that must have been recorded.
        values: Recorded values, by name.
        examples: Names under which scores of items were recorded.

    Example:
        >>> unusable_value(["top1_accuracy"], {"top1_accuracy": "nan"})
        'top1_accuracy is nan'
    """
    for name in gated:
        if name not in values:
            instead = " as one number: call record, since record_examples is for the marker evaluation"
            return f"the gated metric {name!r} was not recorded{instead if name in examples else ''}"
        if not math.isfinite(float(values[name])):
            return f"{name} is {values[name]}"
    return ""


def unscored(gated: Sequence[str], examples: Collection[str], values: Collection[str]) -> str:
    """Why a finished trial cannot be judged by its scores of items; empty if it can.

    Args:
        gated: Names of scores that must have been recorded.
        examples: Names under which scores of items were recorded.
        values: Names under which values were recorded.

    Example:
        >>> unscored(["accuracy"], [], [])
        "the gated metric 'accuracy' was not recorded"
    """
    for name in gated:
        if name not in examples:
            instead = " item by item: call record_examples, since the marker evaluation needs the score of each item"
            return f"the gated metric {name!r} was not recorded{instead if name in values else ''}"
    return ""
