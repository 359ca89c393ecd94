"""What settles or repairs one finding, with the command for it.

- :class:`Step`: an action and its command.
- :func:`next_step`: the one for a finding.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.metrics import STORED
from mainstay.reports.cleaning import NAME_LENGTH, clean


class Step(NamedTuple):
    """A step to take now.

    Attributes:
        about: Metric or empty.
        action: In words; empty where there is nothing to do.
        command: What to type, or empty.
        fact: What is known about the metric in a few words, or empty.
    """

    about: str
    action: str
    command: str = ""
    fact: str = ""

    @property
    def instruction(self) -> str:
        """Sentence of the step, with the command for it."""
        return ": ".join(filter(None, (self.action, self.command)))

    @property
    def sentence(self) -> str:
        """All of it in one line, for a reader who has not seen the finding.

        Example:
            >>> Step("test_a.py::test_b#time", "repair it", fact="9.1 % slower").sentence
            'test_a.py::test_b#time (9.1 % slower): repair it'
        """
        about = f"{self.about} ({self.fact})" if self.fact else self.about
        return ": ".join(filter(None, (about, self.instruction)))


def next_step(finding: Finding) -> Step:
    """Step that settles or repairs a finding."""
    metric = clean(finding.metric.id, at_most=NAME_LENGTH)
    if not finding.blocks:
        return Step(metric, "")
    if finding.metric.workload == STORED and (step := _step_for_items(finding, metric)):
        return step
    match finding.verdict:
        case Verdict.INCONCLUSIVE if finding.needs_review:
            return Step(metric, "review what the workload became, and accept it", _waive_command(finding, metric))
        case Verdict.INCONCLUSIVE:
            return Step(metric, _settling(finding))
        case Verdict.ERROR:
            return Step(metric, _repair(finding.blame))
        case Verdict.FAIL:
            return Step(metric, "repair it, or accept the degradation", _waive_command(finding, metric))
        case Verdict.MISSING:
            return Step(metric, "restore it, or accept that it is gone", _waive_command(finding, metric))
        case Verdict.NEW:
            return Step(metric, "nothing: it is judged as soon as the baseline has it")
        case _:
            return Step(metric, "")


def _settling(finding: Finding) -> str:
    """Step that would settle an inconclusive finding; a rerun would be a new gate with a new error rate."""
    if seeds := finding.exploded_seeds:
        shown = ", ".join(map(str, seeds[:3])) + (f" and {len(seeds) - 3} more" if len(seeds) > 3 else "")
        return (
            f"train the candidate with {'seed' if len(seeds) == 1 else 'seeds'} {shown} alone and see why it explodes"
        )
    if finding.further_pairs:
        pairs = "1 further pair" if finding.further_pairs == 1 else f"{finding.further_pairs} further pairs"
        return f"about {pairs} should settle it: raise seconds, or the last look if it was reached"
    return "no planned number of pairs is expected to settle it: quieten the measurement or widen the margin"


def _step_for_items(finding: Finding, metric: str) -> Step | None:
    """Step that settles or repairs a finding of stored results, where that differs from what was measured."""
    if finding.is_doubted:
        name = shlex.quote(clean(finding.metric.name, at_most=NAME_LENGTH))
        return Step(metric, "look at the gain, then judge again with", f"--acknowledge-gain {name}")
    if finding.verdict is Verdict.ERROR:
        return Step(metric, "score the same items on both sides, all of them, then judge again")
    return Step(metric, _settling_items(finding)) if finding.verdict is Verdict.INCONCLUSIVE else None


def _settling_items(finding: Finding) -> str:
    """Step that would settle an inconclusive finding of stored results; their number is what the benchmark has."""
    otherwise = "score every item more often, or widen the margin"
    if not finding.further_pairs:
        return f"no number of items is expected to settle it: {otherwise}"
    total = finding.num_pairs + finding.further_pairs
    return f"about {total:,} items should settle it; where the benchmark has no more than these, {otherwise}"


def _repair(blame: Blame | None) -> str:
    """Repair to make, by whose fault it is."""
    if blame is Blame.CANDIDATE:
        return "repair the candidate; its last lines say where it broke"
    if blame is Blame.BASELINE:
        return "the baseline cannot be measured: repair it there or choose another one with --baseline"
    return "repair the machine, the environment or the workload, then run the gate again"


def _waive_command(finding: Finding, metric: str) -> str:
    """The command that accepts the estimated degradation, with a limit on the scale of the margin."""
    limit = max(map(finding.metric.scale.to_margin, _waivable(finding)))
    judged = " --judged" if finding.metric.workload == STORED else ""
    return f"mainstay waive {shlex.quote(metric)} --limit {_round_up(limit)} --reason WHY --until DATE{judged}"


def _waivable(finding: Finding) -> list[float]:
    """Degradations that a waiver must cover."""
    degradation = finding.measured_degradation
    return [finding.metric.scaled_margin, *([] if degradation is None else [degradation])]


def _round_up(limit: float) -> str:
    """Two digits, not below the limit."""
    if limit > 1e300:
        return f"{limit!r}"  # as it is: rounded up, it would be no number
    rounded = float(f"{limit:.1e}")
    return f"{rounded if rounded >= limit else float(f'{limit * 1.05:.1e}'):.6g}"
