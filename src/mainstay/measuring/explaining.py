"""Search for the first difference of two revisions: the first step that differs, then the first operator in it.

The baseline runs twice: if it differs from itself, a difference of the candidate says nothing about the change.

- :func:`find_first_difference`: the search, which runs the trials.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mainstay.measuring.parting import (
    cause_of,
    compare_recorded,
    contents_of,
    first_pair,
    parameters_differ,
    why_failed,
)
from mainstay.records.explanations import CalledOperator, CodeLine, FirstDifference, Parting
from mainstay.records.trials import Side
from mainstay.runner.protocol import Finished, Level, Operator
from mainstay.workers.process import Launcher, WorkerSpec
from mainstay.workers.watching import Watched, WatchedTrials

SLOWER = 20.0
"""How many times as long as an unwatched trial a watched one may take."""

COMPUTED_THE_SAME = "both revisions had the same parameters after every step and recorded the same with this seed"
RECORDED_THE_SAME = "both revisions recorded the same with this seed; what they computed besides was not compared"
"""What follows from trials without a difference, with torch and without."""

BASELINE, AGAIN, CANDIDATE = range(3)


class _Steps(NamedTuple):
    """Where the trials of a pass part.

    Attributes:
        itself: Step in which the baseline differs from itself.
        candidate: Step in which the candidate differs from the baseline.
        finished: What each trial recorded, if none differs.
        failed: Which trials failed in the step in which they part, in one sentence; empty if none did.
        has_torch: Whether anything of torch was seen.
    """

    itself: int | None = None
    candidate: int | None = None
    finished: Sequence[Finished] = ()
    failed: str = ""
    has_torch: bool = False


def find_first_difference(
    specs: Mapping[Side, WorkerSpec],
    workload: str,
    seed: int,
    *,
    limit_s: float,
    launchers: Mapping[Side, Launcher] = MappingProxyType({}),
    times_trial: bool = False,
) -> FirstDifference:
    """Find where the trials of two revisions part.

    Args:
        specs: The worker of each revision.
        workload: Node id of an accuracy workload.
        seed: Seed of the trials.
        limit_s: Seconds that an unwatched trial may take.
        launchers: Functions that start the workers of each side; empty to start fresh interpreters.
        times_trial: Whether to time an unwatched trial of the baseline too, as a pass of its own.

    Raises:
        WatchError: If a trial cannot be watched.
    """
    search = _Search(specs=specs, workload=workload, seed=seed, limit_s=SLOWER * limit_s, launchers=launchers)
    found = search.run()
    if times_trial:
        search.run_unwatched()
    return replace(found, seconds=search.seconds)


@dataclass(kw_only=True)
class _Search:
    """Passes over the same trials, each in more detail than the one before.

    Attributes:
        specs: The worker of each revision.
        workload: Node id of the workload.
        seed: Seed of the trials.
        limit_s: Seconds that the trials of a pass may take.
        launchers: Functions that start the workers of each side.
        seconds: Seconds of each pass.
        origins: For each trial, the inputs of the operator found last that the other trial lacks.
    """

    specs: Mapping[Side, WorkerSpec]
    workload: str
    seed: int
    limit_s: float
    launchers: Mapping[Side, Launcher]
    seconds: dict[str, float] = field(default_factory=dict)
    origins: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def run(self) -> FirstDifference:
        """The first difference."""
        recorded = ""
        for level in ("parameters", "everything"):
            steps = self._compare_steps(level)
            if (step := steps.candidate if steps.itself is None else steps.itself) is not None:
                found = self._find_operator(step, is_itself=steps.itself is not None)
                return replace(self._trace_back(found), recorded=recorded or steps.failed)
            baseline, again, candidate = steps.finished
            if itself := compare_recorded(baseline, again):
                return FirstDifference(parting=Parting.BASELINE, recorded=itself, cause=itself)
            recorded = compare_recorded(baseline, candidate)
            is_complete = candidate["outcome"] == baseline["outcome"] == "completed"
            if not recorded:
                return self._compare_unwatched() if steps.has_torch and is_complete else _nothing(RECORDED_THE_SAME)
            if not (steps.has_torch and is_complete):
                return FirstDifference(parting=Parting.RECORDED, recorded=recorded)
        with self._trials("graphs", only=[Side.BASELINE, Side.CANDIDATE]) as trials:
            node = _first_node(trials.operators())
        outside = "torch computed the same: what is recorded was made outside of it"
        return replace(node or FirstDifference(parting=Parting.RECORDED, cause=outside), recorded=recorded)

    def run_unwatched(self) -> None:
        """Run a trial of the baseline that is not watched, to know what it takes."""
        with self._trials("unwatched", only=[Side.BASELINE]) as trials:
            trials.next_steps()
            trials.finished()

    @contextmanager
    def _trials(
        self, level: Level, step: int = 0, only: Sequence[Side] = (Side.BASELINE, Side.BASELINE, Side.CANDIDATE)
    ) -> Iterator[WatchedTrials]:
        started = time.monotonic()
        specs = [self.specs[side] for side in only]
        with WatchedTrials(
            specs, self.workload, self.seed, level, limit_s=self.limit_s, step=step, launchers=self.launchers
        ) as trials:
            yield trials
        self.seconds[level] = self.seconds.get(level, 0.0) + time.monotonic() - started

    def _compare_steps(self, level: Level) -> _Steps:
        """Run the trials side by side until one differs."""
        has_torch = False
        with self._trials(level) as trials:
            while True:
                steps = trials.next_steps()
                seen = [(step["digest"], step["is_last"]) for step in steps]
                has_torch = has_torch or any(step["digest"] for step in steps)
                number = steps[BASELINE]["number"]
                itself = number if seen[BASELINE] != seen[AGAIN] else None
                candidate = number if seen[BASELINE] != seen[CANDIDATE] else None
                if itself is not None or candidate is not None:
                    ended = [trials.finished_of(n) if step["is_last"] else None for n, step in enumerate(steps)]
                    sides = ((Side.BASELINE, ended[BASELINE]), (Side.CANDIDATE, ended[CANDIDATE]))
                    failed = "; ".join(filter(None, (why_failed(side, each) for side, each in sides)))
                    return _Steps(itself=itself, candidate=candidate, failed=failed)
                if steps[BASELINE]["is_last"]:
                    return _Steps(finished=trials.finished(), has_torch=has_torch)

    def _trace_back(self, found: FirstDifference) -> FirstDifference:
        """The first operator of an earlier step, if the inputs of the one that was found come from there."""
        origins = self.origins
        if found.parting is not Parting.OPERATOR or not found.step or not all(origins):
            return found
        steps = self._compare_steps("everything")
        if steps.itself is not None or steps.candidate is None or steps.candidate >= found.step:
            return found
        earlier = self._find_operator(steps.candidate, is_itself=False, wanted=origins)
        return earlier if earlier.parting is Parting.OPERATOR and (earlier.baseline or earlier.candidate) else found

    def _find_operator(
        self, step: int, *, is_itself: bool, wanted: Sequence[frozenset[str]] = (frozenset(), frozenset())
    ) -> FirstDifference:
        """The first operator of the step in which the trials part.

        Args:
            step: Number of the step.
            is_itself: Whether the trials of the baseline part there.
            wanted: Contents of each trial whose origin is to be found; by default, that of the parameters.
        """
        with self._trials("operators", step) as trials:
            watched = trials.operators()
            repeats = not parameters_differ(watched[BASELINE].operators, watched[AGAIN].operators)
            other = CANDIDATE if repeats and not is_itself else AGAIN
            pair = first_pair(watched[BASELINE], watched[other], wanted)
            old, new = (
                watched[trial].operators[number] if number is not None else None
                for trial, number in zip((BASELINE, other), pair, strict=True)
            )
            known, known_of_other = contents_of(watched[BASELINE]), contents_of(watched[other])
            self.origins = (
                frozenset(old["inputs"] if old else ()) - known_of_other,
                frozenset(new["inputs"] if new else ()) - known,
            )
            if old is None and new is None:
                cause = "the operators of this step gave the same results when it was run again"
            else:
                repeated = watched[AGAIN].operators[pair[0] or 0 : (pair[0] or 0) + 1]
                cause = cause_of(old, new, known, next(iter(repeated), None))
            compared, largest = _largest_difference(trials, watched, other, pair)
        return FirstDifference(
            parting=Parting.BASELINE if other == AGAIN else Parting.OPERATOR,
            step=step,
            baseline=_called(old, watched[BASELINE]),
            candidate=_called(new, watched[other]),
            cause=cause,
            compared=compared,
            largest_difference=largest,
        )

    def _compare_unwatched(self) -> FirstDifference:
        """What differs as the gate runs the trials, compiled, although nothing differs operator by operator."""
        with self._trials("graphs") as trials:
            watched = trials.operators()
            trials.go_on()
            baseline, again, candidate = trials.finished()
        if itself := compare_recorded(baseline, again):
            return FirstDifference(parting=Parting.BASELINE, recorded=itself, cause=itself)
        if not (recorded := compare_recorded(baseline, candidate)):
            return _nothing(COMPUTED_THE_SAME)
        found = _first_node([watched[BASELINE], watched[CANDIDATE]])
        cause = "operator by operator, both revisions compute the same; run as the gate runs them, they do not"
        return replace(found or FirstDifference(parting=Parting.RECORDED, cause=cause), recorded=recorded)


def _nothing(cause: str) -> FirstDifference:
    return FirstDifference(parting=Parting.NOTHING, cause=cause)


def _first_node(watched: Sequence[Watched]) -> FirstDifference | None:
    """The first node of the compiled graphs in which two trials part, if there is one."""
    texts = [[operator["arguments"] for operator in each.operators] for each in watched]
    length = min(map(len, texts))
    first = next((n for n in range(length) if texts[0][n] != texts[1][n]), length)
    nodes = [each.operators[first] if first < len(each.operators) else None for each in watched]
    if not any(nodes):
        return None
    return FirstDifference(
        parting=Parting.GRAPH,
        baseline=_called(nodes[0], watched[0]),
        candidate=_called(nodes[1], watched[1]),
        cause="the graphs that torch compiles differ; uncompiled, both revisions compute the same",
    )


def _largest_difference(
    trials: WatchedTrials, watched: Sequence[Watched], other: int, pair: Sequence[int | None]
) -> tuple[str, float | None]:
    """Largest absolute difference of the results of the first comparable operators, from the given pair on."""
    if None in pair:
        return "", None
    old, new = (int(number) for number in pair if number is not None)
    sides = watched[BASELINE].operators, watched[other].operators
    while not _is_comparable(sides[0][old], sides[1][new]):  # the candidate calls another operator first
        later = [number for number in range(new, len(sides[1])) if _is_comparable(sides[0][old], sides[1][number])]
        if later:
            new = later[0]
        elif (old := old + 1) >= len(sides[0]):
            return "", None
    differences = []
    for output in range(len(sides[0][old]["outputs"])):
        if sides[0][old]["outputs"][output] == sides[1][new]["outputs"][output]:
            continue
        values = [trials.values(BASELINE, old, output), trials.values(other, new, output)]
        if values[0] is None or values[1] is None:
            return sides[0][old]["name"], None
        one, two = (np.asarray(each, dtype=np.float64) for each in values)
        with np.errstate(invalid="ignore"):
            distance = np.where(one == two, 0.0, np.abs(one - two))
        differences.append(float(np.max(distance, initial=0.0)))
    return sides[0][old]["name"], max(differences, default=None)


def _is_comparable(old: Operator, new: Operator) -> bool:
    sizes = [[shape.partition("[")[2] for shape in each["shapes"]] for each in (old, new)]
    return old["name"] == new["name"] and sizes[0] == sizes[1] and old["outputs"] != new["outputs"]


def _called(operator: Operator | None, watched: Watched) -> CalledOperator | None:
    """An operator with the lines that led to it."""
    if operator is None:
        return None
    numbers = [number for number in (operator["forward"], operator["place"]) if number >= 0]
    frames = [frame for number in numbers for frame in watched.places[number]]
    return CalledOperator(
        name=operator["name"],
        arguments=tuple(operator["arguments"]),
        module=operator["module"],
        results=tuple(operator["shapes"]),
        is_backward=operator["is_backward"],
        stack=tuple(CodeLine(**frame) for frame in frames),
    )
