"""The judgement on one metric, and the evidence for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mainstay.records.metrics import Metric, Tier
from mainstay.records.scales import LARGEST_DEGRADATION
from mainstay.records.trials import Side


class Verdict(StrEnum):
    """The judgement on a metric, and on a whole gate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NEW = "new"
    MISSING = "missing"
    ERROR = "error"
    WAIVED = "waived"


class Method(StrEnum):
    """Method that a finding rests on."""

    EXACT = "exact"
    """Equal digests of parameters and recorded metrics on the seeds run."""
    SEQUENTIAL = "sequential"
    """Student's t over pairs at planned looks."""
    EQUALITY = "equality"
    """Comparison of two deterministic values."""
    UNCHANGED = "unchanged"
    """Proof that both revisions have the same code; nothing was run."""
    REWORDED = "reworded"
    """Proof that they differ in words only: docstrings, comments, layout, names of locals; nothing was measured."""
    EXECUTED = "executed"
    """Proof that many traced calls executed nothing that differs; nothing was measured."""
    ITEMS = "items"
    """Paired scores of the same items."""
    NONE = "none"
    """Nothing was judged."""


class MeasuredWith(StrEnum):
    """Source of the workload files, conftest files and pytest settings that the trials of a workload used."""

    SHARED = "shared"
    """Those of both revisions, which are equal."""
    BASELINE = "baseline"
    """The baseline's for both revisions: they differ, and both can run these."""
    CANDIDATE = "candidate"
    """The candidate's for both revisions: the baseline does not gate the workload."""
    OWN = "own"
    """Each revision's own: the candidate cannot run the baseline's."""

    def files_for(self, side: Side) -> Side:
        """The revision whose workload files a trial of one side uses.

        Example:
            >>> MeasuredWith.OWN.files_for(Side.CANDIDATE), MeasuredWith.SHARED.files_for(Side.CANDIDATE)
            (<Side.CANDIDATE: 'candidate'>, <Side.BASELINE: 'baseline'>)
        """
        if self is MeasuredWith.OWN:
            return side
        return Side.CANDIDATE if self is MeasuredWith.CANDIDATE else Side.BASELINE


class Blame(StrEnum):
    """The part that broke; it decides the exit status of an ``error``."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    BOTH = "both"
    ENVIRONMENT = "environment"


class Interval(NamedTuple):
    """Bounds of an estimate; infinite if unknown."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemCounts:
    """Counts for a finding based on scored items.

    Attributes:
        num_worse: Items at which the candidate is worse.
        num_better: Items at which the candidate is better.
        num_clusters: Clusters that the items form; the number of items if there are no clusters.
        num_tasks: Tasks that the items belong to.
        repeats: Largest number of scores of one item; the scores of an item are averaged.
        baseline_flips: Items that the baseline scored differently when it was repeated; ``None`` if it was not.
        baseline_repeated: Number of items on which the baseline was repeated.
        baseline_missing: Scores that the baseline lacks; they count as the worst.
        candidate_missing: Scores that the candidate lacks.
        honest_margin: The smallest margin at which a clean change with this number of items and flips passes with 95 %
            probability; ``None`` if there is no such margin.
        share: Share of the planned items that were scored.
    """

    num_worse: int
    num_better: int
    num_clusters: int
    num_tasks: int = 1
    repeats: int = 1
    baseline_flips: int | None = None
    baseline_repeated: int = 0
    baseline_missing: int = 0
    candidate_missing: int = 0
    honest_margin: float | None = None
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """A reviewed decision to accept a degradation.

    Attributes:
        metric: Id or name of the metric waived.
        limit: The largest degradation accepted, on the scale of the margin.
        reason: Why it was accepted.
        until: ISO date of the last day on which it applies.
    """

    metric: str
    limit: float
    reason: str
    until: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRuns:
    """Standing of a metric after the earlier runs of the history, up to the baseline.

    Attributes:
        num_runs: Runs since the reference.
        reference: Commit since which it is told; empty where only the first kept run is known.
        reference_subject: First line of its message.
        commit: Commit up to which it is told.
        degradation: Since the reference, from first looks and anchors, which early stopping does not bias.
        interval: 95 % interval of that.
        is_alarm: Whether anchors or increments since the reference show a degradation.
    """

    num_runs: int
    reference: str
    reference_subject: str
    commit: str
    degradation: float
    interval: Interval
    is_alarm: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The judgement on one metric.

    All degradations are positive where the candidate is worse: differences in the metric's unit for accuracy,
    natural-log ratios for performance.

    Attributes:
        metric: The metric that was judged.
        verdict: The judgement.
        reason: Why it was judged so, in one sentence.
        method: Method that the judgement rests on.
        num_pairs: Pairs that the judgement used; for items, the number of items that both sides scored.
        num_looks: Looks taken until the judgement was final.
        estimate: Mean degradation over the pairs, or the nearest value that the interval contains.
        interval: Repeated confidence interval of the degradation: it lies below the margin exactly if the pairs show a
            ``pass``, and above it exactly if they show a ``fail``.
        cap: Value to which larger degradations, of either sign, were cut in the estimate, interval and deviation;
            ``None`` if these use the degradations as measured. If all degradations that were cut have the same sign,
            the interval is open on that side.
        standard_deviation: Standard deviation of the degradation over pairs.
        baseline_mean: Mean value of the baseline.
        candidate_mean: Mean value of the candidate.
        fails_above: A true degradation above this would have failed with 90 % chance, at the largest planned look.
        passes_below: A true degradation below this would have passed with 90 % chance, at the largest planned look.
        further_pairs: Pairs, or items, expected to settle an inconclusive finding; ``None`` if not applicable.
        p_values: Sequential p-values by hypothesis: ``above_zero``, ``above_margin``, ``below_margin``,
            ``below_double_margin``.
        seeds: Seeds of the pairs, in order.
        baseline_values: Value of the baseline in each pair.
        candidate_values: Value of the candidate in each pair.
        degradations: Degradation of each pair.
        exact_seeds: Seeds on which the digests of both revisions were equal.
        blame: Which part broke, for ``error``.
        detail: Further details: the last lines of the worker, or names that were added.
        warnings: Reasons to trust the numbers less, one sentence each.
        waiver: The waiver that covers the finding, if any.
        measured_with: Whose workload files its trials ran with; ``None`` if nothing was measured.
        review: What a person has to review before the metric may pass, in one sentence; until then the finding is
            ``inconclusive`` unless its pairs show a ``fail``. Empty if there is nothing to review.
        is_new: Whether only that review keeps it from being ``new``, so that there is no degradation to limit.
        items: Counts of scored items, if the finding is based on them; otherwise ``None``.
        tier: Which of its verdicts may keep the gate from passing.
        is_tolerated: Whether its ``inconclusive`` only warns, by the policy ``"warn"``; a warning says why.
        mark: Why a ``pass`` needs to be checked by a person, such as an implausible gain; empty if there is no reason,
            or a person has acknowledged it.
        earlier_runs: Level after the earlier runs of the history; ``None`` if the history here does not say.
        broken_seed: Seed of the trial that did not complete or whose value cannot be judged, for ``error``; ``None`` if no
            trial is to blame.
    """

    metric: Metric
    verdict: Verdict
    reason: str
    method: Method = Method.NONE
    num_pairs: int = 0
    num_looks: int = 0
    estimate: float | None = None
    interval: Interval | None = None
    cap: float | None = None
    standard_deviation: float | None = None
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    fails_above: float | None = None
    passes_below: float | None = None
    further_pairs: int | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    baseline_values: tuple[float, ...] = ()
    candidate_values: tuple[float, ...] = ()
    degradations: tuple[float, ...] = ()
    exact_seeds: tuple[int, ...] = ()
    blame: Blame | None = None
    detail: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waiver: Waiver | None = None
    measured_with: MeasuredWith | None = None
    review: str = ""
    is_new: bool = False
    items: ItemCounts | None = None
    tier: Tier = Tier.BLOCKING
    is_tolerated: bool = False
    mark: str = ""
    earlier_runs: EarlierRuns | None = None
    broken_seed: int | None = None

    @property
    def needs_review(self) -> bool:
        """Whether it stays undecided until a reviewer accepts the change to its workload or environment."""
        return self.verdict is Verdict.INCONCLUSIVE and bool(self.review)

    @property
    def is_doubted(self) -> bool:
        """Whether it is a ``pass`` with an implausible gain that nobody has acknowledged yet."""
        return self.verdict is Verdict.PASS and bool(self.mark) and self.blocks

    @property
    def blocks(self) -> bool:
        """Whether its verdict counts towards that of the gate."""
        if self.tier is Tier.GUARD or self.is_tolerated:
            return self.verdict is not Verdict.INCONCLUSIVE or self.needs_review
        return self.tier is Tier.BLOCKING

    @property
    def only_warns(self) -> bool:
        """Whether it is undecided, tolerated or a guard, so that reports warn and the gate may pass."""
        return self.verdict is Verdict.INCONCLUSIVE and not self.blocks and self.tier is not Tier.ADVISORY

    @property
    def degradation_in_margins(self) -> float:
        """The estimate in margins, by which findings are sorted; 0 without an estimate."""
        if self.estimate is None:
            return 0.0
        margin = self.metric.scaled_margin
        in_margins = self.estimate / margin if margin else self.estimate
        return max(-LARGEST_DEGRADATION, min(LARGEST_DEGRADATION, in_margins))

    @property
    def measured_degradation(self) -> float | None:
        """The estimate or, if degradations were capped, the larger of it and the uncapped mean."""
        if self.estimate is None or self.cap is None:
            return self.estimate
        return max(self.estimate, math.fsum(degradation / len(self.degradations) for degradation in self.degradations))

    @property
    def exploded_seeds(self) -> tuple[int, ...]:
        """Seeds of the pairs whose degradation exceeded the cap; empty without a cap."""
        if self.cap is None:
            return ()
        return tuple(
            seed for seed, degradation in zip(self.seeds, self.degradations, strict=True) if degradation > self.cap
        )


def meaning_of_pass(findings: Sequence[Finding], *, nothing: str) -> str:
    """What a gate that passes found, which claims nothing about metrics that are undecided or do not block.

    Args:
        findings: Its findings; those that block are passed, waived or new.
        nothing: What did not degrade, such as ``no metric``.

    Example:
        >>> meaning_of_pass((), nothing="no metric")
        'nothing was judged that could block'
    """
    verdicts = {finding.verdict for finding in findings}
    judged = {finding.verdict for finding in findings if finding.blocks}
    only_warns = any(finding.only_warns for finding in findings)
    excepted = " except what is waived" if Verdict.WAIVED in verdicts else ""
    if Verdict.PASS in judged or (Verdict.WAIVED in judged and not only_warns):
        limited = "" if verdicts <= {Verdict.PASS, Verdict.WAIVED, Verdict.NEW} else " that blocks"
        return f"{nothing}{limited} degraded by more than its margin{excepted}"
    if only_warns:
        limited = " in what blocks" if Verdict.FAIL in verdicts else ""
        return f"no degradation beyond a margin was found{limited}{excepted}, and what is undecided only warns"
    return "nothing was judged that could block"
