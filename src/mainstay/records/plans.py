"""The plan of a gate: fixed before its first pair, journalled at the start and shown in every report.

Error rates hold only for what was fixed before anything was measured, so nothing here may depend on a measured value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Metric

DEFAULT_PAIR_SECONDS = 2.5
"""Default time of the blocks of each timed workload in a pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedWorkload:
    """Plan of one workload.

    Attributes:
        id: Node id.
        execution: Name of how its trials run; ``stored`` where the results were there.
        measured_with: Whose workload files they run with.
        metrics: What is gated, each with its direction, its unit and the margin that holds unless a data set has its own.
        seeds: Seed of each pair up to the last look.
        is_proved: Whether a proof lets it pass, so that it is not measured.
    """

    id: str
    execution: str
    measured_with: MeasuredWith
    metrics: tuple[Metric, ...]
    seeds: tuple[int, ...] = ()
    is_proved: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything decided before the first pair.

    Attributes:
        alpha: Chance that a clean change fails the gate; level of every strict test.
        margin_level: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks; empty where all stored items are judged at once.
        num_gated: K, the number of metrics that share alpha; without those that a proof lets pass.
        salt: Text from which seeds and orders are derived, with the baseline's commit and the workload.
        workloads: What is measured, and for which metrics.
        margins_by_dataset: Margin by metric id, by data set, where it is not that of the metric.
        seconds: Budget for measuring.
        pair_seconds: Time of the blocks of each timed workload in a pair, of both revisions together.
        trial_seconds: Limit of one trial.
        fail_fast: Whether the first ``fail`` stops the gate.
        inconclusive: What an inconclusive gate exits with: 3, 0 or 1; ``"warn"`` for 0 where all that is undecided lies
            within its margin at calibrated noise, else 3.
        deviations: Calibrated standard deviation of a pair's degradation, by id or name of a metric.
        proof: What may let metrics pass unmeasured; empty for nothing.
        threads: Threads of each worker.
        jobs: Accuracy trials run at once.
        preload: Modules that workers find loaded.
        share: Inputs that both revisions read.
        prepare: Command that was run before the first trial.
        writable: Places outside the project that workers can write to.
    """

    alpha: float
    margin_level: float
    looks: tuple[int, ...]
    num_gated: int
    salt: str
    workloads: tuple[PlannedWorkload, ...] = ()
    margins_by_dataset: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float
    pair_seconds: float = DEFAULT_PAIR_SECONDS
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

    @property
    def seeds(self) -> Mapping[str, tuple[int, ...]]:
        """Seeds of the pairs, by workload."""
        return {workload.id: workload.seeds for workload in self.workloads}

    def differences(self, other: Plan) -> tuple[str, ...]:
        """Names of the parts in which another plan differs.

        How many trials run at once is no such part: it follows from the machine, and no verdict depends on it.

        Args:
            other: A plan of the same two revisions.
        """
        names = (each.name for each in fields(self) if each.name != "jobs")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))
