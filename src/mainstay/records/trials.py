"""Trials: executions of a workload for one of the two revisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ContextValue = str | int | float | bool
"""A recorded circumstance, such as the name or the checksum of a data set."""


ALL_ITEMS = (0.0, 1.0)
"""Shares of the items of an evaluation between which all of them lie."""


class Side(StrEnum):
    """The two revisions compared."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.CANDIDATE if self is Side.BASELINE else Side.BASELINE


class Outcome(StrEnum):
    """How one trial ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """The workload raised an exception, or recorded a value that cannot be judged."""
    CRASHED = "crashed"
    """The process ended before the trial did."""
    TIMED_OUT = "timed-out"
    FOREIGN = "foreign"
    """A module of the subject was imported from outside the revision's own tree."""
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """Answers of a classifier for each example of the test set, in the order of the test set.

    Attributes:
        predicted: Predicted class of each example, one byte each, base64.
        labels_digest: SHA-256 of the true labels; trials can be compared only if it is equal in both revisions.
        labels: True class of each example, one byte each, base64.
    """

    predicted: str
    labels: str
    labels_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Scores of items in columns with one entry for each item and repeat; a column of empty entries is empty.

    Attributes:
        ids: Id of each item, unique in its task.
        scores: The score; ``None`` if it is missing.
        chosen_of: Number of items that these were chosen of; 0 if the workload scores all at once.
        offered: Digest of the labels of the items that they were chosen of.
        tasks: Task of each item.
        repeats: Number of the repeat, from 0.
        clusters: Label of each item's cluster.
        errors: Why a score is missing.
        digests: Digest of the row with the raw output.
        prompts: Digest of the input.
        inputs: The input as text, shortened.
        outputs: The output as text, shortened.

    Raises:
        ValueError: If a column has another length than the ids, or a score is not finite.
    """

    ids: tuple[str, ...]
    scores: tuple[float | None, ...]
    chosen_of: int = 0
    offered: str = ""
    tasks: tuple[str, ...] = ()
    repeats: tuple[int, ...] = ()
    clusters: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = (self.clusters, self.errors, self.digests, self.prompts, self.inputs, self.outputs)
        present = [column for column in (self.tasks, self.repeats, *texts) if column]
        if any(len(column) != len(self.ids) for column in (self.scores, *present)):
            raise ValueError("the columns of scored items differ in length")
        if not all(score is None or math.isfinite(score) for score in self.scores):
            raise ValueError("the score of an item is not finite")


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedName:
    """Something that was counted, such as an imported module, or an operator at a place in the source.

    Attributes:
        name: Its name.
        number: How often it was counted at this place.
        file: File that it was counted for, as imported; empty if it has no place.
        function: Function in that file.
        line: Line of that file, from 1; 0 if unknown.
        code: Text of that line.
    """

    name: str
    number: int = 1
    file: str = ""
    function: str = ""
    line: int = 0
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One execution of a workload for one revision.

    Attributes:
        workload: Node id of the workload.
        side: The revision that it measured.
        seed: Its seed.
        pair: Number of the pair that it belongs to, from 0. A trial that repeats a baseline trial to check that it is
            deterministic has the same number, and ``repetition`` 1.
        outcome: How it ended.
        values: Recorded metrics.
        series: Recorded learning curves.
        context: Recorded circumstances, which must be equal in both revisions.
        digest: SHA-256 of what ``record_digest`` recorded together with the values; empty if nothing was recorded.
        predictions: Recorded predictions, if any.
        examples: Recorded scores of items, by name of the score.
        cause: Why it did not complete, in one sentence.
        last_lines: The last lines that the worker wrote.
        duration_s: Wall time of the workload itself.
        peak_memory_bytes: Peak resident memory of the worker.
        load: Load by other processes while it ran, in processors; ``None`` if unknown, as for a short trial.
        names: What was counted, by metric, if it has names; for instance imported modules.
        block_times_s: Time of a call in each block of a timed workload, in the order measured.
        block_weights: Weight of each block in the mean, equal in both revisions; empty if all weigh the same.
        run_delays_s: Waiting time that was subtracted from the time of a call in each block, because other processes
            occupied the core; empty if it is unknown for a block of either revision and the times are wall-clock times.
        went_first: For each block, whether it ran before the corresponding block of the other revision, or, if both ran at
            the same time, whether it was begun first.
        is_concurrent: Whether its blocks ran at the same time as those of the other revision, on one core.
        reused_from: Run that measured it, if it is a cached baseline trial; empty if it was measured in this run. The
            duration and load of a cached trial say nothing about this run and are set to 0 and unknown.
        files_of: The revision whose workload files it ran with.
    """

    workload: str
    side: Side
    seed: int
    pair: int
    outcome: Outcome
    repetition: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    digest: str = ""
    predictions: Predictions | None = None
    examples: Mapping[str, Examples] = field(default_factory=dict)
    cause: str = ""
    last_lines: tuple[str, ...] = ()
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    load: float | None = None
    names: Mapping[str, tuple[CountedName, ...]] = field(default_factory=dict)
    block_times_s: tuple[float, ...] = ()
    block_weights: tuple[float, ...] = ()
    run_delays_s: tuple[float, ...] = ()
    went_first: tuple[bool, ...] = ()
    is_concurrent: bool = False
    reused_from: str = ""
    files_of: Side = Side.BASELINE

    @property
    def weights_of_blocks(self) -> tuple[float, ...]:
        """Weight of each block, also where all weigh the same."""
        return self.block_weights or (1.0,) * len(self.block_times_s)

    def find_lacking(self, gated: Iterable[str], *, has_items: bool) -> str:
        """The first gated value, or score of items, that a completed trial did not record; empty if there is none.

        Args:
            gated: Names of metrics, or of scores of items.
            has_items: Whether the workload scores items.
        """
        if self.outcome is not Outcome.COMPLETED:
            return ""
        recorded = self.examples if has_items else self.values
        return next((name for name in gated if name not in recorded), "")
