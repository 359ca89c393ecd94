"""Logs of all workloads of a gate.

- :func:`make_logs`: makes an empty log for each workload, of the kind that its execution needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import EvaluationLog
from mainstay.measuring.ledger import WorkloadLog


def make_logs(assignments: Sequence[Assignment], seeds: Mapping[str, tuple[int, ...]]) -> list[WorkloadLog]:
    """Make an empty log for each workload.

    Args:
        assignments: Workloads to be measured, and how.
        seeds: Seeds of each workload, one for each pair.
    """
    return [
        (EvaluationLog if assignment.workload.execution.has_items else WorkloadLog)(
            workload=assignment.workload,
            seeds=seeds[assignment.workload.id],
            assignment=assignment,
            measured_with=assignment.measured_with,
        )
        for assignment in assignments
    ]
