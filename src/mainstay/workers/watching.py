"""Watched trials: several workers run the same trial side by side, one step at a time.

- :class:`WatchedTrials`: the workers, as a context manager.
- :class:`Watched`: what a trial told.
"""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from mainstay.records.trials import Side
from mainstay.runner.protocol import Command, Event, Finished, Frame, Level, Operator, Step, ValuesCommand, WatchCommand
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


class WatchError(Exception):
    """A watched trial did not come to its end; the message says why, as the rest of a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """Operators that a trial called in one step.

    Attributes:
        operators: The operators in the order of their calls.
        places: Places that they name, each from its innermost frame on.
    """

    operators: Sequence[Operator]
    places: Sequence[Sequence[Frame]]


@dataclass(eq=False)
class WatchedTrials:
    """Trials of one workload with one seed, each in a process of its own.

    Attributes:
        specs: The worker of each trial.
        workload: Node id of the workload.
        seed: Seed of the trials.
        level: How closely they are watched.
        limit_s: Seconds that the trials may take, all steps together.
        step: The step whose operators are told, for the level ``operators``.
        launchers: Functions that start the workers of each side; empty to start fresh interpreters.
    """

    specs: Sequence[WorkerSpec]
    workload: str
    seed: int
    level: Level
    limit_s: float
    step: int = 0
    launchers: Mapping[Side, Launcher] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stack = ExitStack()
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        workload = self.workload
        command = WatchCommand(workload=workload, seed=self.seed, level=self.level, step=self.step)
        try:
            for spec in self.specs:
                worker = Worker(spec, [workload], self.launchers.get(spec.side, start_fresh))
                self._workers.append(self._stack.enter_context(worker))
            for worker in self._workers:
                collected = worker.expect(Event.COLLECTED, collecting_seconds(self.limit_s))
                if reason := why_not_collected(workload, collected):
                    raise WatchError(f"{workload} was not collected: {reason}")
            for worker in self._workers:
                worker.deadline = time.monotonic() + self.limit_s
            self._send_all(Command.WATCH, **command)
        except WorkerEndedError as ended:
            self.close()
            raise WatchError(f"a trial could not be started: {ended}") from ended
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all trials."""
        for worker in self._workers:
            worker.kill()
        self._stack.close()

    def next_steps(self) -> list[Step]:
        """Let every trial go on to the end of its next step, and wait for all."""
        steps = [self._expect(worker, Event.STEP) for worker in self._workers]
        self._send_all(Command.NEXT)
        return steps

    def finished(self) -> list[Finished]:
        """What each trial recorded, after its last step."""
        return [self.finished_of(trial) for trial in range(len(self._workers))]

    def finished_of(self, trial: int) -> Finished:
        """What a trial recorded, after its last step.

        Args:
            trial: Position of the trial.
        """
        finished: Finished = self._expect(self._workers[trial], Event.FINISHED)
        return finished

    def operators(self) -> list[Watched]:
        """Operators of one step of every trial; the trials then wait for :meth:`values` or :meth:`go_on`."""
        return [self._operators(worker) for worker in self._workers]

    def _operators(self, worker: Worker) -> Watched:
        operators: list[Operator] = []
        while True:
            page = self._expect(worker, Event.OPERATORS)
            operators += page["operators"]
            if page["is_last"]:
                return Watched(operators=operators, places=page["places"])
            worker.send(Command.NEXT)

    def go_on(self) -> None:
        """Let every trial go on after its operators."""
        self._send_all(Command.NEXT)

    def values(self, trial: int, operator: int, output: int) -> list[float] | None:
        """The numbers that an operator computed; ``None`` if they were too many to be kept.

        Args:
            trial: Position of the trial.
            operator: Position of the operator in its step.
            output: Position among its results.
        """
        worker, numbers = self._workers[trial], list[float]()
        while True:
            command = ValuesCommand(operator=operator, output=output, start=len(numbers))
            worker.send(Command.VALUES, **command)
            answer = self._expect(worker, Event.VALUES)
            if not answer["is_kept"]:
                return None
            data = base64.b64decode(answer["values"])
            if not data:
                return numbers
            numbers += struct.unpack(f"<{len(data) // 8}d", data)

    def _send_all(self, command: Command, **content: object) -> None:
        for worker in self._workers:
            worker.send(command, **content)

    def _expect(self, worker: Worker, event: Event) -> Any:
        try:
            return worker.expect_one_of((event,), self.limit_s)[1]
        except OutOfTimeError:
            raise WatchError(f"the watched trials took longer than {self.limit_s:g} s") from None
        except WorkerEndedError as ended:
            raise WatchError(f"a watched trial came to its end: {ended}") from ended
