"""Groups of timed metrics while a gate plans and measures; :mod:`mainstay.gates.groups` judges them.

- :func:`plan_groups`: the groups that follow from ``group_by`` and the agenda.
- :class:`GroupLog`: the pairs of one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mainstay.gates.groups import SPOILING, mean_samples
from mainstay.gates.samples import MetricSamples
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.ledger import MarginSource, WorkloadLog
from mainstay.project.configuration import GroupBy
from mainstay.records.findings import Verdict
from mainstay.records.metrics import Kind, Metric
from mainstay.records.plans import PlannedGroup

SUFFIX = "_geomean"
"""Ending of the name of a mean, after the name that its members share."""


def plan_groups(
    agenda: Agenda,
    by: GroupBy | None,
    *,
    margin_of: MarginSource = lambda metric, context: metric.margin,
    proved: frozenset[str] = frozenset(),
) -> tuple[PlannedGroup, ...]:
    """Group the metrics of timed workloads that the baseline gates: those of one name in the same place.

    Workloads that only the candidate has are in no group, so a change cannot lower a mean with new, fast members.

    Args:
        agenda: Workloads to be judged.
        by: What the members of a group have in common; ``None`` for no groups.
        margin_of: Gives the margin of a metric.
        proved: Workloads that a proof lets pass, which are not measured.

    Returns:
        The groups with at least two members to measure, all of the same kind, direction and unit.
    """
    if by is None:
        return ()
    measured = [
        replace(metric, margin=margin_of(metric, {}))
        for assignment in agenda.assignments
        if assignment.workload.execution.is_interleaved
        and not assignment.is_new
        and assignment.workload.id not in proved
        for metric in assignment.workload.metrics
        if metric.kind is Kind.PERFORMANCE
    ]
    lacked = _by_place((finding.metric for finding in agenda.settled if finding.verdict in SPOILING), by)
    return tuple(
        PlannedGroup(
            metric=_mean(place, members),
            members=tuple(metric.id for metric in (*members, *lacked.get((place, name), ()))),
        )
        for (place, name), members in _by_place(measured, by).items()
        if len(members) > 1 and len({(each.kind, each.direction, each.unit) for each in members}) == 1
    )


def place_of(workload: str, by: GroupBy) -> str:
    """What a workload has in common with the others of its group; empty if it has no such place.

    Args:
        workload: Node id.
        by: Kind of place.

    Example:
        >>> [place_of("test_a.py::TestSum::test_add[1-b::c]", by) for by in ("file", "class", "test")]
        ['test_a.py', 'test_a.py::TestSum', 'test_a.py::TestSum::test_add']
        >>> place_of("test_a.py::test_add", "class"), place_of("test_a.py::test_add", "test")
        ('', '')
    """
    file, _, test = workload.partition("::")
    name = test.partition("[")[0]
    owner = name.rpartition("::")[0]
    if by == "file":
        return file
    if by == "class":
        return f"{file}::{owner}" if owner else ""
    return f"{file}::{name}" if name != test else ""


def _by_place(metrics: Iterable[Metric], by: GroupBy) -> Mapping[tuple[str, str], list[Metric]]:
    """Metrics by place and name; those without a place are left out."""
    found: dict[tuple[str, str], list[Metric]] = {}
    for metric in metrics:
        if place := place_of(metric.workload, by):
            found.setdefault((place, metric.name), []).append(metric)
    return found


def _mean(place: str, members: Sequence[Metric]) -> Metric:
    """The metric of the mean."""
    margin = min(metric.margin for metric in members)
    return replace(members[0], workload=place, name=f"{members[0].name}{SUFFIX}", margin=margin)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLog:
    """The pairs of one group.

    Attributes:
        group: The group as planned.
        logs: Logs of its workloads.
    """

    group: PlannedGroup
    logs: tuple[WorkloadLog, ...]

    @classmethod
    def of(cls, group: PlannedGroup, logs: Iterable[WorkloadLog]) -> GroupLog:
        """The log of a group, made of those of all workloads.

        Args:
            group: The group as planned.
            logs: Logs of all workloads of the gate.
        """
        names = {member.rpartition("#")[0] for member in group.members}
        return cls(group=group, logs=tuple(log for log in logs if log.workload.id in names))

    @property
    def samples(self) -> tuple[MetricSamples, ...]:
        """Samples of the mean; none if fewer than two members run here."""
        members = self._members()
        if len(members) < 2:
            return ()
        return (mean_samples(self.group, [log.sound_samples(metric) for log, metric in members]),)

    @property
    def open_logs(self) -> tuple[WorkloadLog, ...]:
        """Logs whose further pairs may decide the mean: none once the finding of a member is known without pairs."""
        members = self._members()
        if any(metric.id in log.presets for log, metric in members):
            return ()
        return tuple(log for log, _ in members)

    def _members(self) -> list[tuple[WorkloadLog, Metric]]:
        """Members that run here: neither skipped by both revisions nor new."""
        return [
            (log, metric)
            for log in self.logs
            if not log.skip_reason
            for metric in log.workload.metrics
            if metric.id in self.group.members and not _is_new(log, metric)
        ]


def _is_new(log: WorkloadLog, metric: Metric) -> bool:
    """Whether the baseline cannot run it on this machine, so that it is not judged yet."""
    preset = log.presets.get(metric.id)
    return preset is not None and preset.verdict is Verdict.NEW
