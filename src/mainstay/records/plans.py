"""The plan of a gate: fixed before its first pair, journalled at the start and shown in every report.

The stated error rates hold only if the plan was fixed before anything was measured, so nothing here may depend on a
measured value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from mainstay.records.executions import EXECUTIONS
from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Kind, Metric

DEFAULT_PAIR_SECONDS = 1.0
"""Default total time in seconds of the blocks of each timed workload in a pair up to the first look."""

USUAL_MARGIN = 0.05
"""Smallest margin of a time for which a workload is measured no longer than others."""

MOST_STRETCH = 10.0
"""Largest multiple of the time of a pair for which a workload with small margins is measured; reached at 1.6 %."""


def stretch_for(metrics: Iterable[Metric]) -> float:
    """Multiple of the time of a pair for which a timed workload is measured: the longer, the smaller its margins.

    Half the margin takes half the standard error, and so four times the time, as far as noise lies within a process.

    Args:
        metrics: The gated metrics of the workload.

    Example:
        >>> from mainstay.records.metrics import Direction
        >>> def call_time(margin):
        ...     return Metric(
        ...         workload="w", name="call_time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=margin
        ...     )
        >>> [stretch_for([call_time(margin)]) for margin in (0.2, 0.05, 0.02, 0.001)]
        [1.0, 1.0, 6.25, 10.0]
    """
    smallest = min((metric.margin for metric in metrics if metric.kind is Kind.PERFORMANCE), default=USUAL_MARGIN)
    if smallest * math.sqrt(MOST_STRETCH) <= USUAL_MARGIN:
        return MOST_STRETCH
    return max(1.0, (USUAL_MARGIN / smallest) ** 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedWorkload:
    """Plan of one workload.

    Attributes:
        id: Node id of the workload.
        execution: Name of its execution; ``stored`` if stored results are judged.
        measured_with: Whose workload files its trials run with.
        metrics: The gated metrics, each with its direction, its unit and the margin that applies unless the data set
            has a margin of its own.
        seeds: Seed of each pair up to the last look.
        looks: Shares of the items of an evaluation at which it is judged; empty for other executions.
        is_proved: Whether a proof lets it pass, so that it is not measured.
    """

    id: str
    execution: str
    measured_with: MeasuredWith
    metrics: tuple[Metric, ...]
    seeds: tuple[int, ...] = ()
    looks: tuple[float, ...] = ()
    is_proved: bool = False

    @property
    def has_digests(self) -> bool:
        """Whether its trials record digests, in which an explanation finds where the revisions part."""
        execution = EXECUTIONS.get(self.execution)
        return execution is not None and execution.has_digests

    @property
    def is_interleaved(self) -> bool:
        """Whether it is timed block by block, in one process with others."""
        execution = EXECUTIONS.get(self.execution)
        return execution is not None and execution.is_interleaved


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedGroup:
    """Metrics that are also gated by the geometric mean of their ratios.

    Attributes:
        metric: The mean, with the smallest margin of the members; its workload is the file, class or test that holds
            them.
        members: Ids of the metrics, including those of the baseline that the candidate lacks.
    """

    metric: Metric
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything decided before the first pair.

    Attributes:
        alpha: Chance that a clean change fails the gate; level of every strict test.
        margin_level: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks; empty if all stored items are judged at once.
        num_gated: K, the number of metrics that share alpha, with the means of groups and without metrics that a proof
            lets pass.
        salt: Text from which seeds and orders are derived, together with the baseline's commit and the workload.
        workloads: The workloads to be measured, with their metrics.
        groups: Groups of metrics that are also gated by their mean; empty unless the baseline's settings group them.
        margins_by_dataset: Margins by data set and metric id, if they differ from the metric's own margin.
        seconds: Budget for measuring.
        pair_seconds: Total time of the blocks of a timed workload in a pair up to the first look, of both revisions
            together; a multiple of it where :func:`stretch_for` asks for more.
        longest_pair_seconds: Time to which pairs after the first look are lengthened, as far as all looks fit into the
            budget; 0 if they are not lengthened.
        trial_seconds: Time limit of one trial.
        fail_fast: Whether the first ``fail`` that blocks, and that no waiver covers, stops the gate.
        inconclusive: Exit status of an inconclusive gate: 3, 0 or 1. ``"warn"`` means 0 if the estimates of all
            undecided metrics lie within their margins at calibrated noise, and otherwise 3.
        deviations: Calibrated standard deviation of a pair's degradation, by id or name of a metric.
        proof: Kind of proof by which metrics may pass without being measured; empty if there is none.
        threads: Threads of each worker.
        jobs: Number of accuracy trials that run at once.
        preload: Modules that are already imported when a worker starts.
        share: Inputs that both revisions read.
        prepare: Command that was run before the first trial.
        writable: Paths outside the project that workers can write to.
        arguments: Arguments of the command line that choose a part of the workloads; empty if all are gated.
    """

    alpha: float
    margin_level: float
    looks: tuple[int, ...]
    num_gated: int
    salt: str
    workloads: tuple[PlannedWorkload, ...] = ()
    groups: tuple[PlannedGroup, ...] = ()
    margins_by_dataset: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float
    pair_seconds: float = DEFAULT_PAIR_SECONDS
    longest_pair_seconds: float = 0.0
    trial_seconds: float = 600.0
    fail_fast: bool
    inconclusive: Literal[0, 1, 3, "warn"]
    deviations: Mapping[str, float] = field(default_factory=dict)
    proof: str = ""
    threads: int
    jobs: int
    preload: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def seeds(self) -> Mapping[str, tuple[int, ...]]:
        """Seeds of the pairs, by workload."""
        return {workload.id: workload.seeds for workload in self.workloads}

    def differences(self, other: Plan) -> tuple[str, ...]:
        """Names of the parts in which another plan differs.

        The number of trials that run at once is not compared: it follows from the machine, and no verdict depends on
        it. Nor are the arguments: the workloads that they choose are compared.

        Args:
            other: A plan of the same two revisions.
        """
        names = (each.name for each in fields(self) if each.name not in {"jobs", "arguments"})
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))
