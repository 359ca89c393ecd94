"""Explanation of a difference: the first place where two revisions part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Parting(StrEnum):
    """What was found to differ first."""

    OPERATOR = "operator"
    """An operator of torch, in the same step of the same trial."""
    GRAPH = "graph"
    """A node of a graph that torch compiled."""
    RECORDED = "recorded"
    """A recorded value; torch computed the same, or is not used."""
    BASELINE = "baseline"
    """The baseline differs from itself, so that nothing can be concluded."""
    NOTHING = "nothing"
    """Nothing differs with this seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeLine:
    """A line of code that was being executed.

    Attributes:
        root: ``own`` for the project's own modules, ``workloads`` or ``dependency``.
        file: The file, relative to the folder that the root stands for.
        line: Number of the line.
        function: Name of the function.
    """

    root: str
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalledOperator:
    """A call of an operator in one revision.

    Attributes:
        name: Name of the operator.
        arguments: Its arguments that are no tensors, each with its name.
        module: Path of the module of the network; empty outside of one.
        results: Types and shapes of its results.
        is_backward: Whether it belongs to the backward pass of what the first line calls.
        stack: The lines that led to it, the innermost first; in the backward pass, those of the forward pass, then those
            of the call of the backward pass.
    """

    name: str
    arguments: tuple[str, ...] = ()
    module: str = ""
    results: tuple[str, ...] = ()
    is_backward: bool = False
    stack: tuple[CodeLine, ...] = ()

    @property
    def line(self) -> CodeLine | None:
        """The innermost line of the project or its workloads; of a dependency, if there is no other."""
        own = (line for line in self.stack if line.root != "dependency")
        return next(own, next(iter(self.stack), None))


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstDifference:
    """Where two trials with the same seed part.

    Attributes:
        parting: What differs first.
        step: The step: 0 is what comes before the parameters are first used; ``None`` if it is no operator.
        baseline: The operator of the baseline; ``None`` if it has none there.
        candidate: The operator of the candidate; ``None`` if it has none there.
        cause: How they differ, in one sentence; what was compared, if nothing differs.
        largest_difference: Largest absolute difference of two results; ``None`` if they cannot be compared.
        compared: The operator whose results these are.
        recorded: What the trials recorded differently, in one sentence; empty if they were not run to their end.
        seconds: Seconds of each pass, with the start of its processes.
    """

    parting: Parting
    step: int | None = None
    baseline: CalledOperator | None = None
    candidate: CalledOperator | None = None
    cause: str = ""
    largest_difference: float | None = None
    compared: str = ""
    recorded: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """Lines that the candidate changed.

    Attributes:
        file: The file in the candidate.
        before: Number of the first line in the baseline.
        num_before: Number of lines in the baseline.
        after: Number of the first line in the candidate.
        num_after: Number of lines in the candidate.
        lines: The lines, with ``-`` or ``+`` before them.
        function: The function that git names.
    """

    file: str
    before: int
    num_before: int
    after: int
    num_after: int
    lines: tuple[str, ...]
    function: str = ""


class Nearness(StrEnum):
    """How a changed place lies to the first difference."""

    AT_THE_LINE = "at the line"
    ON_THE_STACK = "on the stack"
    ELSEWHERE = "elsewhere"
    NOWHERE = "nowhere"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Everything that ``mainstay explain`` found.

    Attributes:
        run: Name of the run that is explained.
        workload: Node id of the workload.
        seed: Seed of the trials.
        baseline: Commit of the baseline.
        candidate: Commit of the candidate.
        difference: Where the trials part.
        nearness: Where the changed lines are.
        hunks: Changed lines: those nearest to the first difference; if none is on the stack, the first of all.
        num_hunks: Number of all changed hunks of the project's Python files.
        dependencies: Packages whose versions differ, by name: baseline, candidate.
        trial_s: Mean seconds of a trial of the gate; ``None`` if it ran none.
        recorded_by_gate: What the gate's own trials with this seed recorded differently, in one sentence; empty if
            nothing, or if they are not on this machine.
    """

    run: str
    workload: str
    seed: int
    baseline: str
    candidate: str
    difference: FirstDifference
    nearness: Nearness = Nearness.NOWHERE
    hunks: tuple[Hunk, ...] = ()
    num_hunks: int = 0
    dependencies: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    trial_s: float | None = None
    recorded_by_gate: str = ""
