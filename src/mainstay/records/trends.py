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
        commit: Hash of the commit.
        created: ISO time at which its gate started; if its gate is not stored, that of its anchor.
        verdict: Verdict of the metric; ``None`` if the gate of the commit is not stored.
        first_look: Mean degradation of its first pairs; ``None`` if there were too few.
        value: Degradation since the reference, estimated from all data.
        error: Standard error of ``value``; infinite behind a gap that no anchor bridges.
        is_reference: Whether the curve starts again here, because later anchors are gated against this commit.
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
        commit: The commit that was gated.
        estimate: Mean degradation.
        interval: 95 % interval of the mean degradation.
        is_alarm: Whether it shows a degradation.
        is_release: Whether both commits are releases.
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
    """A change of level; it is dated, but not attributed to a commit.

    Attributes:
        place: Index of the first value at the new level.
        before: Level before the change, on the scale on which a degradation is a difference.
        after: Level after the change.
        commits: Commits among which the change lies with 95 % confidence.
        likeliest: The most likely of these commits.
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
        packages_digest: SHA-256 of the set of packages.
        values: Mean value of each candidate.
        commits: Commits of the candidates.
        changes: Changes of the level.
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
        metric: The metric as defined in the latest run.
        points: One point for each commit.
        anchors: Anchors in the order of commits.
        alarms: Indices of the points at which the increments show accumulated degradations.
        levels: Series of levels by machine type and packages, the longest first.
        correlation: Correlation between neighbouring gates; ``None`` if it is not significant. If it is significant,
            the stated run length between false alarms does not hold.
        num_gaps: Number of gates whose baseline is not the candidate of the gate before.
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
