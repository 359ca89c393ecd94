"""Protocol between a worker and the gate: commands, events and their content; both sides import this module.

A worker receives its options as JSON on its command line. It then reads commands and writes events, one line of JSON
each, over two separate pipes. Every command has a token that its answer repeats, so that stray output on the pipe is
never taken for an answer. ``collect`` is answered with ``collecting`` before each file and ``collected`` at the end;
``run`` with ``finished``; ``images`` with ``images``; ``trace``, in a worker that is traced, with ``traced``. ``watch``
runs a workload that stops after every ``step``, or after ``operators``, until ``next``; ``values`` asks what an operator
computed. A timed workload is started by ``run``, warms up and sends
``ready``; each ``block`` asks for a number of calls and is answered with their time, until ``done`` lets the test
continue to ``finished``. A closed command pipe means that the gate is gone.

A server of workers receives its own options, and answers on a socket; see :mod:`mainstay.runner.preload`.

- :class:`Command`, :class:`Event`: the names.
- :class:`Collected`, :class:`Finished` and the others: the content, as decoded from JSON.
- :mod:`mainstay.workers.events` validates a worker's events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, TypedDict, final

PROTOCOL_VERSION = 6
"""Version, to be incremented whenever an event or a command changes its meaning; a worker with another version is refused."""

BLOCK_SECONDS = 0.002
"""Target duration of a block of calls if the revisions take turns. Other processes take a core for a few milliseconds at a time,
and a longer block would contain such an interruption unnoticed."""

SLICED_BLOCK_SECONDS = 0.03
"""Target duration of a block of calls if both revisions run at the same time on one core: several turns of the kernel's scheduler."""

WHOLE = (0.0, 1.0)
"""Block of an evaluation that contains every item."""

BetterValues = Literal["higher", "lower"]
"""Which values of a metric are better."""

TrialOutcome = Literal["completed", "failed", "foreign", "skipped"]
"""How a trial ended, as far as its worker can tell; only the gate can see crashes and timeouts."""

Level = Literal["unwatched", "parameters", "everything", "operators", "graphs"]
"""How closely a trial is watched: not at all; its parameters after every step; all that each step computes; the operators of one step;
or the graphs that are compiled."""

JsonNumber = float | str
"""A number in JSON; NaN and the infinities, which JSON lacks, are sent as text."""


class Command(StrEnum):
    """Commands of the gate to a worker: the values of the key ``do``."""

    COLLECT = "collect"
    RUN = "run"
    BLOCK = "block"
    DONE = "done"
    IMAGES = "images"
    TRACE = "trace"
    WATCH = "watch"
    NEXT = "next"
    VALUES = "values"
    EXIT = "exit"


class Event(StrEnum):
    """Events of a worker for the gate: the values of the key ``event``."""

    COLLECTING = "collecting"
    COLLECTED = "collected"
    READY = "ready"
    BLOCK = "block"
    FINISHED = "finished"
    IMAGES = "images"
    TRACED = "traced"
    STEP = "step"
    OPERATORS = "operators"
    VALUES = "values"


class Collecting(TypedDict):
    """Content of ``collecting``: the file or folder that is about to be imported; ``.`` after the last one."""

    id: str


class CollectedScoring(TypedDict):
    """How a metric follows from scores of items.

    Attributes:
        score: Name under which the scores are recorded.
        task: Task whose items count; empty for all, or for the mean of the tasks.
        tasks: Tasks whose mean the metric is; empty if it is none.
        range: Smallest and largest score of an item; ``None`` if not declared.
        tier: Declared tier; empty if not declared.
    """

    score: str
    task: str
    tasks: Sequence[str]
    range: Sequence[float] | None
    tier: str


class _OfSomeKinds(TypedDict, total=False):
    ceiling: float | None
    resolution: float
    scoring: CollectedScoring


class CollectedMetric(_OfSomeKinds):
    """A gated metric, as declared by the markers of its workload; not every kind of marker declares every key."""

    name: str
    kind: str
    direction: BetterValues
    margin: float
    unit: str


class DescribedWorkload(TypedDict):
    """A test that measures something, as its markers describe it.

    Attributes:
        id: Node id.
        execution: Name of its execution.
        metrics: The gated metrics.
        looks: Shares of the items of an evaluation at which its markers want looks; empty if they do not say.
        is_skipped: Whether a mark skips it here or lets it fail.
    """

    id: str
    execution: str
    metrics: Sequence[CollectedMetric]
    looks: Sequence[float]
    is_skipped: bool


class CollectedWorkload(DescribedWorkload):
    """A described workload, and whether the expressions of ``-k`` and ``-m`` deselect it."""

    is_deselected: bool


class Skipped(TypedDict):
    """A file that skips itself, and the reason."""

    id: str
    cause: str


class _OfUsage(TypedDict, total=False):
    usage: Literal["yes"]


class CollectedProblem(_OfUsage):
    """A file or test that could not be collected, and the reason; ``usage`` if a marker is written incorrectly."""

    id: str
    cause: str


class Collected(TypedDict):
    """Content of ``collected``: the workloads that the revision can run, and those it cannot."""

    protocol: int
    workloads: Sequence[CollectedWorkload]
    problems: Sequence[CollectedProblem]
    skipped: Sequence[Skipped]


class Ready(TypedDict):
    """Content of ``ready``: the known facts about a workload after its warm-up.

    Here and in ``block``, what counts as a call is a round if the workload asks for rounds of several iterations.

    Attributes:
        call_s: Seconds of a call, without its run delay; ``None`` if no call was made.
        wall_s: Wall-clock seconds of a call, with its set-up and teardown; ``None`` if no call was made.
        left: Number of calls that may still be made; ``None`` for any number.
        works_alone: Whether the calls kept one thread busy and nothing else, so that both revisions may share a core.
        fits_one_core: Whether all threads together kept hardly more than one core busy, with no other processes, and calls started
            no threads; so the main threads of both revisions may use one core in turns.
    """

    call_s: float | None
    wall_s: float | None
    left: int | None
    works_alone: bool
    fits_one_core: bool


class Block(TypedDict):
    """Content of ``block``: the time of the requested calls.

    Attributes:
        seconds: Time of the calls without the run delay, if that is known; of rounds, that of one iteration of each.
        run_delay_s: Time that the process waited for a core meanwhile, likewise; ``None`` if unknown.
    """

    seconds: float
    run_delay_s: float | None


class RecordedPredictions(TypedDict):
    """Predicted and true classes, one byte each, as base64, and the SHA-256 of the true classes."""

    predicted: str
    labels: str
    labels_digest: str


class RecordedExamples(TypedDict):
    """Scores of items, in columns with one entry for each item and repeat; a column of empty entries has none.

    Attributes:
        chosen_of: Number of items that those of this trial were chosen of; 0 if the workload scores all at once.
        offered: Digest of the labels of the items that they were chosen of; empty if the workload scores all at once.
        ids: Id of each item, unique in its task.
        scores: The score; ``None`` if it is missing.
        tasks: Task of each item.
        repeats: Number of the repeat, from 0.
        clusters: Label of each item's cluster.
        errors: Why a score is missing.
        digests: Digest of the row with the raw output.
        prompts: Digest of the input.
        inputs: The input as text, shortened.
        outputs: The output as text, shortened.
    """

    chosen_of: int
    offered: str
    ids: Sequence[str]
    scores: Sequence[float | None]
    tasks: Sequence[str]
    repeats: Sequence[int]
    clusters: Sequence[str]
    errors: Sequence[str]
    digests: Sequence[str]
    prompts: Sequence[str]
    inputs: Sequence[str]
    outputs: Sequence[str]


class CountedName(TypedDict):
    """Something that was counted.

    Attributes:
        name: Name of the thing, such as a module or an operator.
        number: How often it was counted at this place.
        file: File that it was counted for, as imported; empty if it has no place.
        function: Function in that file.
        line: Line of that file, from 1; 0 if unknown.
        code: Text of that line, by which the place is known again after lines above it have changed.
    """

    name: str
    number: int
    file: str
    function: str
    line: int
    code: str


class Recorded(TypedDict, total=False):
    """Values that a workload recorded, with any fixture."""

    values: Mapping[str, JsonNumber]
    series: Mapping[str, Sequence[JsonNumber]]
    context: Mapping[str, str | int | float | bool]
    digest: str
    names: Mapping[str, Sequence[CountedName]]
    predictions: RecordedPredictions | None
    examples: Mapping[str, RecordedExamples]


class Finished(Recorded):
    """Content of ``finished``: how a trial ended, and the values it recorded."""

    outcome: TrialOutcome
    cause: str
    detail: Sequence[str]
    duration_s: float
    peak_memory_bytes: int
    threads: Sequence[str]


class Images(TypedDict):
    """Content of ``images``: PNG files as base64, in the requested order."""

    images: Sequence[str]


class Traced(TypedDict):
    """Content of ``traced``: what a traced worker saw since it was last asked; paths are relative to the tree.

    Attributes:
        unknown: Events after which nobody can tell what was read.
        touched: Files and folders of the tree that were opened, listed or asked for their status, but for imports.
        introspected: Files of the tree whose code objects were looked at.
        readers: Code that can read docstrings, ask for their presence, or read positions or names of locals, by what it reads.
        executed: Functions of the tree that were executed, each with its file.
        chance: Sources of chance that were used, each with the function that used it, if calls are followed.
    """

    unknown: Sequence[str]
    touched: Sequence[str]
    introspected: Sequence[str]
    readers: Mapping[str, Sequence[str]]
    executed: Sequence[str]
    chance: Sequence[str]


class Step(TypedDict):
    """Content of ``step``: a watched trial has come to the end of a step.

    Attributes:
        number: Number of the step.
        digest: Digest of the parameters, or of all that the step computed.
        is_last: Whether the trial has ended.
    """

    number: int
    digest: str
    is_last: bool


class Frame(TypedDict):
    """A frame of a place in the code.

    Attributes:
        root: ``own`` for the revision's own modules, ``workloads`` or ``dependency``.
        file: The file, relative to the folder that the root stands for.
        line: Number of the line.
        function: Name of the function.
    """

    root: str
    file: str
    line: int
    function: str


class Operator(TypedDict):
    """An operator that a watched trial called.

    Attributes:
        name: Name of the operator, such as ``aten.addmm``.
        arguments: Arguments that are no tensors, each with its name.
        inputs: Hashes of the tensors before the call.
        read: Numbers of their memories.
        outputs: Hashes of the tensors that it made or wrote to.
        written: Numbers of their memories.
        shapes: Their types and shapes.
        updates: Whether it wrote to a parameter.
        module: Path of the module of the network that called it; in the backward pass, of the one that called its forward.
        place: Number of the place that called it.
        forward: In the backward pass, number of the place that called its forward; -1 if unknown.
        forward_call: Position of that forward among the operators of the step; -1 if unknown.
        is_backward: Whether it belongs to the backward pass.
        generator: Hash of the state of the generator before it drew random numbers; empty if it draws none.
        elsewhere: Hashes of the states of the random numbers of Python and of numpy.
    """

    name: str
    arguments: Sequence[str]
    inputs: Sequence[str]
    read: Sequence[int]
    outputs: Sequence[str]
    written: Sequence[int]
    shapes: Sequence[str]
    updates: bool
    module: str
    place: int
    forward: int
    forward_call: int
    is_backward: bool
    generator: str
    elsewhere: Sequence[str]


class Operators(TypedDict):
    """Content of ``operators``: operators of a step, the places so far, and whether these are the last."""

    operators: Sequence[Operator]
    places: Sequence[Sequence[Frame]]
    is_last: bool


class Values(TypedDict):
    """Content of ``values``: numbers as base64 of doubles, and whether the result was kept."""

    values: str
    is_kept: bool


class WatchCommand(TypedDict):
    """Content of the command ``watch``: the workload, its seed, and how closely it is watched."""

    workload: str
    seed: int
    level: Level
    step: int


class ValuesCommand(TypedDict):
    """Content of the command ``values``: a result of an operator, and the first number that is wanted."""

    operator: int
    output: int
    start: int


class RunCommand(TypedDict):
    """Content of the command ``run``.

    Attributes:
        workload: Node id.
        seed: Seed of the trial.
        block: Shares of the items of an evaluation between which those to be scored lie; 0 and 1 for all.
    """

    workload: str
    seed: int
    block: Sequence[float]


class BlockCommand(TypedDict):
    """Content of the command ``block``.

    Attributes:
        calls: Number of calls, or of rounds.
        is_sliced: Whether the other revision runs at the same time on the same core.
    """

    calls: int
    is_sliced: bool


class DoneCommand(TypedDict):
    """Content of the command ``done``.

    Attributes:
        by_wall_clock: Whether the values include the run delay, because it is unknown for a block of either revision.
    """

    by_wall_clock: bool


class ImagesCommand(TypedDict):
    """Content of the command ``images``: positions in the test set."""

    indices: Sequence[int]


class WorkOptions(TypedDict):
    """Options that say which tests a worker runs, and on which package.

    Attributes:
        folder: The measuring folder.
        configuration: pytest's configuration file in it.
        select: Paths or node ids relative to the folder. For a node id the whole file is collected, because pytest
            refuses all node ids if it cannot find one of them.
        ignored: Paths relative to the folder that are not collected.
        files: Name patterns of the files that are collected; empty to use pytest's settings.
        asv: Patterns of the names of files whose functions asv would measure.
        keyword: Expression of ``-k``; empty for all. Deselected tests are collected too, and marked as deselected.
        marks: Expression of ``-m``; treated in the same way.
        roots: Import roots of the package under test, such as ``mnist_reference`` or ``namespace.package``.
        own: Folder that every module of the package under test must come from.
        traced: Whether to trace what is executed; nothing is timed in such a worker.
        follows_calls: Whether the trace also tells of every function that is executed and of sources of chance.
    """

    folder: str
    configuration: str
    select: Sequence[str]
    ignored: Sequence[str]
    files: Sequence[str]
    asv: Sequence[str]
    keyword: str
    marks: str
    roots: Sequence[str]
    own: str
    traced: bool
    follows_calls: bool


@final
class WorkerOptions(WorkOptions):
    """Start options of a worker, with the file descriptors of its command pipe and its event pipe."""

    commands: int
    events: int


@final
class ServerOptions(TypedDict):
    """Start options of a server of workers.

    Attributes:
        preload: Full names of the modules to import.
        control: File descriptor of the socket to the gate.
        limit_s: Time limit for the imports, in seconds.
    """

    preload: Sequence[str]
    control: int
    limit_s: float


class ForkRequest(TypedDict):
    """Request to a server to fork a worker.

    Four file descriptors are sent with it: commands, events, output, and the worker's own socket.

    Attributes:
        options: Options of the worker, without file descriptors.
        cwd: Its working folder.
        variables: Environment variables that differ from those of the server.
    """

    options: WorkOptions
    cwd: str
    variables: Mapping[str, str]


class ServerAnswer(TypedDict, total=False):
    """Answer of a server, with one key at a time.

    Attributes:
        ready: Whether the modules are imported.
        refused: Why a module cannot be imported.
        pid: On a worker's socket: its process id.
        status: On a worker's socket: its exit status, or the negative number of the signal that killed it.
    """

    ready: bool
    refused: str
    pid: int
    status: int
