"""The joint judgement of metrics that are measured in pairs and metrics that score items, at one error rate.

Items are scored before pairs are measured, so the looks of evaluations come first. At every look, Holm's procedure
takes the p-values of all metrics. Before its first look, a metric has p-values of 1; after its last look, it keeps
those of that look.

:func:`judge_jointly` is a pure function of pairs and items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstay.gates.family import Decisions, decide, family_findings, weigh_family
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.gates.tasks import WeighedEvaluation, evaluation_findings
from mainstay.records.findings import Finding


def judge_jointly(
    samples: Sequence[MetricSamples], evaluations: Sequence[WeighedEvaluation], design: Design
) -> tuple[Finding, ...]:
    """Judge all gated metrics of a gate.

    Args:
        samples: Samples of the metrics that are judged by pairs.
        evaluations: Evidence about the metrics that are judged by items.
        design: Levels, looks at pairs and number of metrics, fixed before the first pair.

    Returns:
        The findings of the samples, then those of each evaluation, in the order given.

    Raises:
        ValueError: If there are more metrics than planned.
    """
    family = weigh_family(samples, design)
    num_first = max((len(each.p_values) for each in evaluations), default=0)
    num_looks = num_first + len(design.looks)
    of_pairs = np.concatenate([np.ones((num_first, *family.evidence.p_values.shape[1:])), family.evidence.p_values])
    p_values = np.concatenate([of_pairs, *(_extended(each.p_values, num_looks) for each in evaluations)], axis=1)
    is_withheld = np.zeros(p_values.shape[:2], dtype=np.bool_)
    is_withheld[num_first:, : of_pairs.shape[1]] = family.evidence.is_withheld
    decisions = decide(p_values, is_withheld, design)
    pairs = _part(decisions, 0, of_pairs.shape[1])
    pairs = replace(pairs, look=np.maximum(pairs.look - num_first, 0))
    return (*family_findings(family, pairs, design), *_evaluated(evaluations, decisions, of_pairs.shape[1], design))


def _evaluated(
    evaluations: Sequence[WeighedEvaluation], decisions: Decisions, first: int, design: Design
) -> Iterator[Finding]:
    """Findings of the evaluations, whose metrics come after those of the pairs."""
    for each in evaluations:
        num_looks, num_metrics, _ = each.p_values.shape
        part = _part(decisions, first, first + num_metrics)
        yield from evaluation_findings(each, replace(part, look=np.minimum(part.look, num_looks - 1)), design)
        first += num_metrics


def _extended(p_values: NDArray[np.float64], num_looks: int) -> NDArray[np.float64]:
    """P-values of an evaluation that stay as they are after its last look."""
    return p_values[np.minimum(np.arange(num_looks), len(p_values) - 1)]


def _part(decisions: Decisions, first: int, last: int) -> Decisions:
    """The decisions on some of the metrics."""
    return Decisions(
        fails=decisions.fails[first:last], passes=decisions.passes[first:last], look=decisions.look[first:last]
    )
