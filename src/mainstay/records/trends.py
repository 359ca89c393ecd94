"""Trends of metrics over the runs of the history."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mainstay.records.findings import EarlierRuns, Interval, Verdict
from mainstay.records.history import KeptCommit
from mainstay.records.metrics import Metric

_NORMAL = 1.96  # 95 % of a normal distribution lie within so many standard errors


@dataclass(frozen=True, kw_only=True, slots=True)
class TrendPoint:
    """One commit of the default branch.

    Attributes:
        commit: Which.
        created: ISO time at which its gate started; of an anchor, where no gate of the commit is kept.
        verdict: Of the metric; ``None`` where the gate of the commit is not kept.
        first_look: Mean degradation of its first pairs; ``None`` where there were too few.
        value: Degradation since the reference, from all that is known.
        error: Standard error of that; infinite behind a gap that no anchor bridges.
        is_reference: Whether the curve starts again from here: later anchors are gated against it.
    """

    commit: KeptCommit
    created: str
    verdict: Verdict | None
    first_look: float | None
    value: float
    error: float
    is_reference: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A commit gated against a fixed reference, over a fixed number of pairs.

    Attributes:
        place: Index of its point.
        reference: Commit that it was gated against.
        commit: Which.
        estimate: Mean degradation.
        interval: Its 95 % interval.
        is_alarm: Whether it shows a degradation.
        is_release: Whether both are releases.
    """

    place: int
    reference: KeptCommit
    commit: KeptCommit
    estimate: float
    interval: Interval
    is_alarm: bool
    is_release: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelChange:
    """A change of level: it has a date, but no culprit.

    Attributes:
        place: Index of the first value at the new level.
        before: Level before it, on the scale on which a degradation is a difference.
        after: Level from there on.
        commits: Those in which it lies with 95 % confidence.
        likeliest: The likeliest of them.
    """

    place: int
    before: float
    after: float
    commits: tuple[KeptCommit, ...]
    likeliest: KeptCommit


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelSeries:
    """Values on one type of machine with one set of packages, kept separate from all others.

    Attributes:
        machine: Type of the machine.
        packages_digest: SHA-256 of what ran there.
        values: Mean of each candidate.
        commits: The candidates.
        changes: Where the level changed.
    """

    machine: str
    packages_digest: str
    values: tuple[float, ...]
    commits: tuple[KeptCommit, ...]
    changes: tuple[LevelChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricTrend:
    """Trend of a metric.

    Attributes:
        metric: As the latest run has it.
        points: One a commit.
        anchors: In the order of commits.
        alarms: Index of the points after which increments showed that degradations gather.
        levels: By machine type and packages, the longest first.
        correlation: Between neighbouring gates; ``None`` where it is within chance. Where it is not, the stated run
            length between false alarms does not hold.
        num_gaps: Places where a gate does not start from the commit of the gate before.
    """

    metric: Metric
    points: tuple[TrendPoint, ...]
    anchors: tuple[Anchor, ...]
    alarms: tuple[int, ...]
    levels: tuple[LevelSeries, ...]
    correlation: float | None
    num_gaps: int

    @property
    def standing(self) -> EarlierRuns | None:
        """Where the metric stands at the last commit of which that is known; ``None`` if at none."""
        last = next((i for i in range(len(self.points) - 1, -1, -1) if math.isfinite(self.points[i].error)), None)
        if last is None:
            return None
        start = next((i for i in range(last, -1, -1) if self.points[i].is_reference), 0)
        point, origin, reference = self.points[last], 0.0, None
        if start:
            reference, origin = self.points[start - 1].commit, self.points[start - 1].value
        elif outside := next((anchor.reference for anchor in self.anchors if not anchor.is_release), None):
            reference = outside
        degradation, half = point.value - origin, _NORMAL * point.error
        anchors = [anchor for anchor in self.anchors if start <= anchor.place <= last and not anchor.is_release]
        return EarlierRuns(
            num_runs=sum(each.first_look is not None for each in self.points[start : last + 1]) + len(anchors),
            reference=reference.commit if reference else "",
            reference_subject=reference.subject if reference else "",
            commit=point.commit.commit,
            degradation=degradation,
            interval=Interval(degradation - half, degradation + half),
            is_alarm=any(start <= place <= last for place in self.alarms) or any(a.is_alarm for a in anchors),
        )
