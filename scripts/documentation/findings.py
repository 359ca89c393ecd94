"""What a file of ``docs/results`` shows: a sentence with its figures, and the chart that it is read from.

Every number of a sentence and of a chart is computed from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from scripts.documentation import gate_findings, model_findings, simulation_findings
from scripts.documentation.marks import Finding


def findings(stem: str, document: Any) -> Sequence[Finding]:
    """Return what a file shows.

    Args:
        stem: Name of the file without its suffix.
        document: Its content.
    """
    return list(FINDERS[stem](document)) if stem in FINDERS else []


FINDERS: Mapping[str, Callable[[Any], Iterator[Finding]]] = {
    "faults": model_findings.faults,
    "operating_characteristics": simulation_findings.error_rates,
    "evaluation": simulation_findings.evaluation,
    "selftest": gate_findings.selftest,
    "hostile": gate_findings.hostile,
    "interruptions": gate_findings.interruptions,
    "thread_choice": model_findings.thread_choice,
    "comparison": gate_findings.comparison,
    "peers": model_findings.peers,
    "ablations": model_findings.ablations,
    "compression": model_findings.compression,
    "compression_verdicts": model_findings.compression_verdicts,
    "examples": gate_findings.examples,
    "gate_time": gate_findings.gate_time,
    "history": simulation_findings.history,
    "transfer": model_findings.transfer,
    "privacy": model_findings.privacy,
    "loss_curves": model_findings.loss_curves,
    "recipe_accuracy": model_findings.recipe_accuracy,
    "clean_changes": gate_findings.clean_changes,
    "adoption": gate_findings.adoption,
    "pair_noise": gate_findings.pair_noise,
    "cluster": gate_findings.cluster,
    "bisections": gate_findings.bisections,
    "first_difference": gate_findings.first_difference,
    "torch_counts": gate_findings.torch_counts,
    "history_scale": gate_findings.history_scale,
    "groups": simulation_findings.groups,
    "multiplicity": simulation_findings.multiplicity,
    "planted_events": gate_findings.planted_events,
    "public_suites": gate_findings.public_suites,
    "pair_lengths": simulation_findings.pair_lengths,
}
"""What reads each file, by its name."""
