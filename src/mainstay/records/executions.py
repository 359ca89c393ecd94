"""Executions: how the trials of a workload run, what its pairs are, and what may run at the same time.

A new execution is a constant, its place in :data:`EXECUTIONS`, and the line of :mod:`mainstay.runner.markers` by which a
worker asks for it by its name. What measures looks at these facts and never at a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How trials run.

    Attributes:
        name: As a worker says it.
        kind: Kind of its metrics where their markers name none; reports call its workloads so.
        part: The part of a gate that it belongs to, as ``--only`` names it.
        may_overlap: Whether trials of it may run at the same time as others of its sort.
        is_interleaved: Whether both revisions are alive at once, measured block by block, in processes that all
            such workloads share.
        needs_fresh_process: Whether each trial needs a process that nothing else has used, as peak memory does.
        is_once: Whether one trial of each revision decides, at no look.
        has_digests: Whether trials record digests and predictions: equal digests prove that nothing changed, and trials
            of a deterministic baseline are cached.
    """

    name: str
    kind: str
    part: str
    may_overlap: bool = False
    is_interleaved: bool = False
    needs_fresh_process: bool = False
    is_once: bool = False
    has_digests: bool = False

    @property
    def has_noise_of_machine(self) -> bool:
        """Whether machine noise affects the metric, so that a calibration measures it."""
        return not self.may_overlap


TRAINED = Execution(name="trained", kind="accuracy", part="accuracy", may_overlap=True, has_digests=True)
"""Whole runs from a seed."""

INTERLEAVED = Execution(name="interleaved", kind="performance", part="performance", is_interleaved=True)
"""Timed calls of both revisions, block by block, the order of blocks drawn."""

ALONE = Execution(name="alone", kind="performance", part="performance", needs_fresh_process=True)
"""One call sequence in a process of its own."""

ONCE = Execution(name="once", kind="deterministic", part="performance", may_overlap=True, is_once=True)
"""Deterministic counts."""

EXECUTIONS: Mapping[str, Execution] = {each.name: each for each in (TRAINED, INTERLEAVED, ALONE, ONCE)}
"""All executions by name."""


def kinds_of_others(execution: Execution) -> frozenset[str]:
    """Kinds of metrics that belong to other executions, so that a workload of this one may not gate them.

    Example:
        >>> sorted(kinds_of_others(ALONE))
        ['accuracy', 'deterministic']
    """
    return frozenset(each.kind for each in EXECUTIONS.values()) - {execution.kind}


STORED_EXECUTION = "stored"
"""Stands in a plan in place of an execution where stored items are judged and nothing is run."""
