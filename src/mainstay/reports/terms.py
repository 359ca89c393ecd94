"""Terms that a report explains in place, in the words of the glossary of the documentation."""

from __future__ import annotations

from collections.abc import Mapping

TERMS: Mapping[str, str] = {
    "baseline": "The revision that a change is compared with, usually the merge base.",
    "candidate": "The revision that is judged, usually the working tree.",
    "metric": "A number with a name, a unit, a direction and a margin.",
    "degradation": (
        "How much worse the candidate is in a metric: a difference, or a log ratio for times and sizes; positive is worse."
    ),
    "margin": "The degradation that is not accepted, chosen beforehand.",
    "interval": "The degradations that no look excludes.",
    "pair": (
        "A baseline trial and a candidate trial with the same seed, measured side by side: the unit of replication."
    ),
    "look": "An interim analysis: a number of pairs, fixed beforehand, at which the gate judges.",
    "verdict": "One of pass, fail, inconclusive, new, missing, error, waived.",
    "false alarm rate": "How often a clean change fails the gate: at most 1 %.",
    "waiver": "A reviewed decision to accept a degradation, with a limit, a reason and an end.",
}
"""Definition of each term."""
