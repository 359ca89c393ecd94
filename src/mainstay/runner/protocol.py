"""Protocol between a worker and the gate: events, commands and their content, the same file for both sides.

A worker is told its options in JSON on its command line. From then on it reads commands and writes events, a line of JSON
each, over two pipes of their own. Every command has a token that its answer repeats, so that nothing written to the pipe
by accident is taken for an answer. ``collect`` is answered with ``collected``, and with ``collecting`` before each file;
``run`` with ``finished``; ``images`` with ``images``. A timed workload is started by ``run``, warms up and says ``ready``;
each ``block`` asks for so many calls and is answered with what they took, until ``done`` lets the test go on to
``finished``. A closed command pipe means that the gate is gone.

A server of workers is told its own options, and answers on a socket; see :mod:`mainstay.runner.preload`.

- :class:`Command`, :class:`Event`: the names.
- :class:`Collected`, :class:`Finished` and the others: the content, as it comes out of JSON.
- :mod:`mainstay.workers.events` checks what a worker sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, TypedDict, final

PROTOCOL_VERSION = 3
"""Raised whenever an event or a command changes its meaning; a worker of another installation is then refused."""

BLOCK_SECONDS = 0.002
"""How long a block of calls is to last: other processes take a core for a few milliseconds at a time, which longer blocks
would hide inside."""

BetterValues = Literal["higher", "lower"]
"""Which values of a metric are better."""

TrialOutcome = Literal["completed", "failed", "foreign", "skipped"]
"""How a trial ended, as far as its worker can tell; only the gate knows of those that crashed or took too long."""

JsonNumber = float | str
"""JSON has no NaN and no infinity: they travel as text."""


class Command(StrEnum):
    """Commands of the gate to a worker; the key ``do`` of a command."""

    COLLECT = "collect"
    RUN = "run"
    BLOCK = "block"
    DONE = "done"
    IMAGES = "images"
    EXIT = "exit"


class Event(StrEnum):
    """Events of a worker for the gate; the key ``event``."""

    COLLECTING = "collecting"
    COLLECTED = "collected"
    READY = "ready"
    BLOCK = "block"
    FINISHED = "finished"
    IMAGES = "images"


class Collecting(TypedDict):
    """With ``collecting``: the file or folder that is about to be imported."""

    id: str


class _OfAccuracy(TypedDict, total=False):
    ceiling: float | None
    resolution: float


class CollectedMetric(_OfAccuracy):
    """A gated metric, as the markers of its workload declare it; ``ceiling`` and ``resolution`` where it is of accuracy."""

    name: str
    kind: str
    direction: BetterValues
    margin: float
    unit: str


class DescribedWorkload(TypedDict):
    """A test that measures something, as its markers describe it."""

    id: str
    execution: str
    metrics: Sequence[CollectedMetric]
    is_skipped: bool


class CollectedWorkload(DescribedWorkload):
    """The same, and whether the expressions of ``-k`` and ``-m`` deselect it."""

    is_deselected: bool


class Skipped(TypedDict):
    """A file that skips itself, and why."""

    id: str
    cause: str


class _OfUsage(TypedDict, total=False):
    usage: Literal["yes"]


class CollectedProblem(_OfUsage):
    """A file or test that could not be collected, and why; ``usage`` where a marker was written wrongly."""

    id: str
    cause: str


class Collected(TypedDict):
    """With ``collected``: what the revision can run."""

    protocol: int
    workloads: Sequence[CollectedWorkload]
    problems: Sequence[CollectedProblem]
    skipped: Sequence[Skipped]


class Ready(TypedDict):
    """With ``ready``: seconds of a call after the warm-up, and calls that are left; where known and limited."""

    call_s: float | None
    left: int | None


class Block(TypedDict):
    """With ``block``: what the calls that were asked for took.

    Attributes:
        seconds: Their time, less what follows.
        run_delay_s: How long others kept the process waiting for a core meanwhile; ``None`` where that is not known.
    """

    seconds: float
    run_delay_s: float | None


class RecordedPredictions(TypedDict):
    """Predicted and true classes, a byte each, as base64; and the SHA-256 of the latter."""

    predicted: str
    labels: str
    labels_digest: str


class Recorded(TypedDict, total=False):
    """Values that a workload recorded, whichever fixture it used."""

    values: Mapping[str, JsonNumber]
    series: Mapping[str, Sequence[JsonNumber]]
    context: Mapping[str, str | int | float | bool]
    digest: str
    names: Mapping[str, Sequence[str]]
    predictions: RecordedPredictions | None


class Finished(Recorded):
    """With ``finished``: how a trial ended."""

    outcome: TrialOutcome
    cause: str
    detail: Sequence[str]
    duration_s: float
    peak_memory_bytes: int
    threads: Sequence[str]


class Images(TypedDict):
    """With ``images``: PNG files as base64, in the order asked for."""

    images: Sequence[str]


class RunCommand(TypedDict):
    """With the command ``run``: which workload, with which seed."""

    workload: str
    seed: int


class BlockCommand(TypedDict):
    """With the command ``block``: how many calls."""

    calls: int


class ImagesCommand(TypedDict):
    """With the command ``images``: positions in the test set."""

    indices: Sequence[int]


class WorkOptions(TypedDict):
    """Specification of what a worker runs.

    Attributes:
        folder: The measuring folder.
        configuration: pytest's configuration file in it.
        select: Paths or node ids relative to the folder. Of a node id its file is collected: pytest would refuse all of
            them for one that it does not find.
        ignored: Paths relative to the folder that are not collected.
        files: Patterns of the names of the files that are collected; empty for what pytest's settings say.
        keyword: Expression of ``-k``. What it deselects is collected all the same, and marked; empty for all.
        marks: The same of ``-m``.
        roots: Import roots of the subject, such as ``mnist_reference`` or ``namespace.package``.
        own: Folder that every module of the subject must come from.
    """

    folder: str
    configuration: str
    select: Sequence[str]
    ignored: Sequence[str]
    files: Sequence[str]
    keyword: str
    marks: str
    roots: Sequence[str]
    own: str


@final
class WorkerOptions(WorkOptions):
    """Start options of a worker: what it runs, and the descriptors that it reads commands from and writes events to."""

    commands: int
    events: int


@final
class ServerOptions(TypedDict):
    """Start options of a server of workers.

    Attributes:
        preload: Full names of the modules that it imports.
        control: Descriptor of the socket to the gate.
        limit_s: How long the imports may take.
    """

    preload: Sequence[str]
    control: int
    limit_s: float


class ForkRequest(TypedDict):
    """Request to a server to fork; four descriptors come along: commands, events, output, and the worker's own socket.

    Attributes:
        options: Of the worker, without the descriptors.
        cwd: Its working folder.
        variables: Environment variables that differ from those of the server.
    """

    options: WorkOptions
    cwd: str
    variables: Mapping[str, str]


class ServerAnswer(TypedDict, total=False):
    """Answer of a server, one key at a time.

    Attributes:
        ready: The modules are imported.
        refused: Why one cannot be.
        pid: On a worker's socket: its process id.
        status: On a worker's socket: its exit status, or the negative number of the signal that killed it.
    """

    ready: bool
    refused: str
    pid: int
    status: int
