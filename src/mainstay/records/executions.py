"""Executions: how the trials of a workload run, what its pairs are, and what may run at the same time.

To add an execution, define a constant, add it to :data:`EXECUTIONS`, and let ``describe_item`` of
:mod:`mainstay.runner.markers` choose it for the workloads that use it. All other code reads the attributes of an execution
and never its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How trials run.

    Attributes:
        name: Name that workers report.
        kind: Kind of its metrics if their markers name none; reports also name the kind of its workloads by it.
        part: The part of a gate that it belongs to, as ``--only`` names it.
        may_overlap: Whether several of its trials may run at the same time.
        is_interleaved: Whether the processes of both revisions are alive at once and measured block by block; all
            such workloads share these processes.
        needs_fresh_process: Whether each trial needs a fresh process, as a measurement of peak memory does.
        is_once: Whether one trial of each revision decides, without looks.
        has_digests: Whether trials record digests and predictions: equal digests prove that nothing changed, and trials
            of a deterministic baseline are cached.
        has_items: Whether trials score the items of one set, which take the place of pairs; its looks are shares of
            the items.
    """

    name: str
    kind: str
    part: str
    may_overlap: bool = False
    is_interleaved: bool = False
    needs_fresh_process: bool = False
    is_once: bool = False
    has_digests: bool = False
    has_items: bool = False

    @property
    def has_noise_of_machine(self) -> bool:
        """Whether machine noise affects the metric, so that a calibration measures it."""
        return self.part == "performance" and not self.may_overlap

    @property
    def is_portable(self) -> bool:
        """Whether its pairs may be measured on another machine than the rest of the gate, since it measures no time."""
        return self.part == "accuracy" and self.may_overlap


TRAINED = Execution(name="trained", kind="accuracy", part="accuracy", may_overlap=True, has_digests=True)
"""Whole training runs, each from a seed."""

EVALUATED = Execution(name="evaluated", kind="accuracy", part="accuracy", may_overlap=True, has_items=True)
"""Scores of the same items by both revisions; nothing is trained."""

INTERLEAVED = Execution(name="interleaved", kind="performance", part="performance", is_interleaved=True)
"""Timed calls of both revisions, block by block, in an order drawn at random."""

ALONE = Execution(name="alone", kind="performance", part="performance", needs_fresh_process=True)
"""A sequence of calls in a process of its own."""

ONCE = Execution(name="once", kind="deterministic", part="performance", may_overlap=True, is_once=True)
"""Deterministic counts."""

EXECUTIONS: Mapping[str, Execution] = {each.name: each for each in (TRAINED, EVALUATED, INTERLEAVED, ALONE, ONCE)}
"""All executions by name."""


def part_of(kind: str) -> str:
    """The part of a gate that metrics of a kind belong to; the kinds that belong to no execution are of accuracies.

    Example:
        >>> part_of("deterministic"), part_of("ratio")
        ('performance', 'accuracy')
    """
    return {each.kind: each.part for each in EXECUTIONS.values()}.get(kind, TRAINED.part)


def kinds_of_others(execution: Execution) -> frozenset[str]:
    """Kinds of metrics that belong to other executions, so that a workload of this one may not gate them.

    Example:
        >>> sorted(kinds_of_others(ALONE))
        ['accuracy', 'deterministic']
    """
    return frozenset(each.kind for each in EXECUTIONS.values()) - {execution.kind}


STORED_EXECUTION = "stored"
"""Name used in a plan instead of an execution if stored items are judged and nothing is run."""
