"""One finding as display text: its numbers, their basis, and what to do about it.

- :class:`FindingRow`: a finding as display text.
- :func:`view_finding`: the row of a finding.
- :func:`standing_text`: where a metric stands after its earlier runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mainstay.records.findings import EarlierRuns, Finding, ItemCounts, MeasuredWith, Method, Verdict
from mainstay.records.formatting import (
    UNKNOWN,
    change_text,
    decimals_to_differ,
    degradation_text,
    degradation_unit,
    displayed_degradation,
    interval_text,
    is_bound,
    value_text,
    worded_interval,
)
from mainstay.records.metrics import Metric, Tier
from mainstay.records.runs import WorkloadResult
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean
from mainstay.reports.counting import PROOFS, UNCHANGED, word
from mainstay.reports.forest import sketch
from mainstay.reports.items import item_lines
from mainstay.reports.remedies import Gate, Step, next_step, pairs_to_settle

PAIRS, ITEMS = "pairs", "items"
"""Words for the units of evidence."""

_MEASURED_WITH = {
    MeasuredWith.BASELINE: "the baseline's workload files, conftest and pytest settings on both revisions",
    MeasuredWith.CANDIDATE: "the candidate's workload files on both revisions, since the baseline does not gate it",
    MeasuredWith.OWN: "each revision's own workload files, since the candidate cannot run the baseline's",
}
_METHODS = {
    Method.EQUALITY: "comparison of two deterministic values",
    Method.UNCHANGED: "proof that the code is unchanged",
    Method.REWORDED: "proof that only words of the code differ",
    Method.EXECUTED: "proof that no executed code differs",
}
_TIERS = {
    Tier.BLOCKING: "",
    Tier.GUARD: "guard: it can fail, but does not block while it is undecided",
    Tier.ADVISORY: "advisory: it is shown, but does not block",
}
_MAX_LINES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingRow:
    """One finding as a reader sees it.

    Attributes:
        number: Number from 1, in the order of the run; the same in all reports.
        verdict: Recorded verdict.
        workload: Node id.
        name: Name of the metric.
        metric: Node id and name.
        label: The shortest name that no other metric of the run has.
        word: Word under which it is counted, such as ``worse``.
        reason: Reason of the verdict, in one sentence.
        baseline: Mean value of the baseline.
        candidate: Mean value of the candidate.
        change: The estimate in words; ``unknown`` without one.
        interval: Bounds of the degradation, without the unit; ``exact`` if there is nothing to estimate.
        worded_interval: Bounds of the degradation with the unit, in words such as ``slower``, without signs.
        unit: Unit of degradation, interval and margin.
        margin: The tolerated degradation, with its unit.
        num_pairs: Number of judged pairs or items.
        units: Which of these it is: ``pairs`` or ``items``.
        is_exact: Whether the estimate is known without random error.
        proof: What that knowledge rests on and excludes; empty if it is not exact.
        needs_review: Whether it is undecided until a person accepts a change to its workload or environment.
        only_warns: Whether it is undecided and only warns.
        measured_with: Whose workload files were used, if the revisions differ in them; otherwise empty.
        method: Basis of the judgement, in words.
        earlier_runs: Level of the metric after its earlier runs, in words; empty if the history does not say.
        detectable: The smallest degradation that could be detected; empty if it does not apply.
        flipped: Counts of flipped examples, one sentence each.
        items: Flipped items of an evaluation, and its groups: a label and a sentence each.
        next_step: Step that decides or repairs it.
        waiver: Limit, last day and reason of its waiver; empty if there is none.
        detail: Last lines of a worker, or names.
        warnings: Reasons to trust the numbers less.
        sort_degradation: The degradation in margins, for sorting; positive is worse.
        sort_bound: The upper end of its interval in margins, for sorting.
        is_bound: Whether the estimate is only a minimum, shown as "at least".
        tier: Which of its verdicts block, in words; empty if all do.
        blocks: Whether its verdict counts towards that of the gate.
        mark: Why a person has to check its pass; empty if there is no reason.
        further_pairs: Number of further pairs that would decide it; ``None`` if there is no reasonable number.
        sketch: The degradation and its interval as characters; empty if there is nothing to draw.
    """

    number: int
    verdict: Verdict
    workload: str
    name: str
    metric: str
    label: str
    word: str
    reason: str
    baseline: str
    candidate: str
    change: str
    interval: str
    worded_interval: str
    unit: str
    margin: str
    num_pairs: int
    units: str
    is_exact: bool
    proof: str
    needs_review: bool
    only_warns: bool
    measured_with: str
    method: str
    detectable: str
    flipped: tuple[str, ...]
    items: tuple[tuple[str, str], ...]
    next_step: Step
    earlier_runs: str
    waiver: str
    detail: tuple[str, ...]
    warnings: tuple[str, ...]
    sort_degradation: float
    sort_bound: float
    is_bound: bool
    tier: str
    blocks: bool
    mark: str
    further_pairs: int | None
    sketch: str

    @property
    def count(self) -> str:
        """Number of judged pairs or items, with thousands separators for items."""
        return f"{self.num_pairs:,}" if self.units == ITEMS else str(self.num_pairs)

    @property
    def is_unchanged(self) -> bool:
        """Whether its degradation is known to be zero."""
        return self.word == UNCHANGED

    @property
    def certainty(self) -> str:
        """How sure its verdict is if that rests on no statistics of pairs; otherwise empty."""
        if self.verdict is Verdict.MISSING:
            return "certain: the candidate does not have it"
        return self.proof

    @property
    def needs_attention(self) -> bool:
        """Whether it is worse, undecided or doubted, so that short reports list it."""
        return self.verdict not in (Verdict.PASS, Verdict.NEW) or bool(self.mark)

    @property
    def predicate(self) -> str:
        """What was found: the change with its interval, if it has one, and the number of pairs or items behind it."""
        known = [] if self.is_exact else [f"interval {self.worded_interval}"]
        units = self.units.removesuffix("s") if self.num_pairs == 1 else self.units
        is_zero = set(self.change.partition(" ")[0]) <= set("0.")
        found = "shows no measurable difference" if is_zero else f"is {self.bounded_change}"
        return f"{found} ({', '.join([*known, f'{self.count} {units}'])})"

    @property
    def values(self) -> str:
        """Values of both revisions; empty if neither was measured."""
        known = {self.baseline, self.candidate} != {UNKNOWN}
        return f"{self.baseline} -> {self.candidate}" if known else ""

    @property
    def bounded_change(self) -> str:
        """The change, with "at least" if only a minimum is known."""
        return f"at least {self.change}" if self.is_bound else self.change

    @property
    def estimate(self) -> str:
        """The change, its interval and its margin in one phrase."""
        if self.change == UNKNOWN:
            return f"no estimate, margin {self.margin}"
        if self.is_exact:
            return f"{self.change}, exactly; the margin is {self.margin}"
        within = f" (interval {self.worded_interval})" if self.interval != UNKNOWN else ""
        about = self.bounded_change if self.is_bound else f"about {self.change}"
        return f"{about}{within} against a margin of {self.margin}"


def view_finding(
    finding: Finding,
    *,
    number: int = 1,
    label: str = "",
    workload: WorkloadResult | None = None,
    gate: Gate | None = None,
) -> FindingRow:
    """One finding in display text.

    Args:
        finding: The judgement.
        number: Its number in the run, from 1.
        label: The shortest name that no other metric has; its own name if empty.
        workload: Result of its workload, for the flipped examples.
        gate: Command and duration of another gate of the same revisions.
    """
    metric = finding.metric
    is_exact = finding.method in PROOFS
    return FindingRow(
        number=number,
        verdict=finding.verdict,
        workload=clean(metric.workload, at_most=NAME_LENGTH),
        name=clean(metric.name, at_most=NAME_LENGTH),
        metric=clean(metric.id, at_most=NAME_LENGTH),
        label=clean(label or metric.name, at_most=NAME_LENGTH),
        word=word(finding),
        reason=clean(finding.reason, at_most=LINE_LENGTH),
        baseline=clean(value_text(metric, finding.baseline_mean)),
        candidate=clean(value_text(metric, finding.candidate_mean)),
        change=_change(finding),
        interval="exact" if is_exact else interval_text(metric, finding.interval),
        worded_interval=clean(worded_interval(metric, finding.interval)),
        unit=clean(degradation_unit(metric)),
        margin=clean(
            degradation_text(metric, metric.scaled_margin, more_decimals=decimals_to_differ(metric, finding.estimate))
        ),
        num_pairs=finding.num_pairs,
        units=ITEMS if metric.is_of_items else PAIRS,
        is_exact=is_exact,
        proof=_proof(finding) if is_exact else "",
        needs_review=finding.needs_review,
        only_warns=finding.only_warns,
        measured_with=_MEASURED_WITH.get(finding.measured_with, "") if finding.measured_with else "",
        method=_method(finding),
        detectable=clean(_detectable(finding)),
        flipped=_flipped(metric, workload),
        items=item_lines(metric, workload),
        next_step=next_step(finding, gate),
        earlier_runs=clean(standing_text(metric, finding.earlier_runs), at_most=LINE_LENGTH),
        waiver=_waiver(finding),
        detail=tuple(clean(line, at_most=LINE_LENGTH) for line in finding.detail[:_MAX_LINES]),
        warnings=tuple(clean(warning, at_most=LINE_LENGTH) for warning in finding.warnings),
        sort_degradation=round(finding.degradation_in_margins, 4),
        sort_bound=round(_upper_bound(finding), 4),
        is_bound=is_bound(finding.estimate, finding.cap, finding.degradations),
        tier=_TIERS[finding.tier],
        blocks=finding.blocks,
        mark=clean(finding.mark, at_most=LINE_LENGTH) if finding.is_doubted else "",
        further_pairs=pairs_to_settle(finding),
        sketch=sketch(finding),
    )


def _upper_bound(finding: Finding) -> float:
    """The largest degradation that is not excluded, in margins; the estimate if there is no interval."""
    if finding.method in PROOFS or finding.interval is None:
        return finding.degradation_in_margins
    return finding.interval.high / finding.metric.scaled_margin if finding.metric.scaled_margin else math.inf


def _change(finding: Finding) -> str:
    """The estimate in words."""
    if finding.estimate is None:
        return UNKNOWN
    if finding.method in PROOFS and finding.estimate == 0:
        return "no change"
    more = decimals_to_differ(finding.metric, finding.estimate)
    return clean(change_text(finding.metric, finding.estimate, more_decimals=more))


def _method(finding: Finding) -> str:
    """Describe the grounds of a judgement."""
    if finding.items:
        return _item_method(finding, finding.items)
    if finding.method is Method.EXACT:
        return f"equal digests on {len(finding.exact_seeds)} seeds"
    if finding.method is Method.SEQUENTIAL and finding.num_looks == 0:
        return "paired t, before its first look"
    if finding.method is Method.SEQUENTIAL:
        looks = "1 look" if finding.num_looks == 1 else f"{finding.num_looks} looks"
        return f"paired t at {looks}"
    return _METHODS.get(finding.method, "nothing was judged")


def _proof(finding: Finding) -> str:
    """What an exact judgement rests on and excludes."""
    if finding.method is Method.EXACT:
        return f"certain for what was run: {clean(finding.reason, at_most=LINE_LENGTH)}"
    return f"certain: {_method(finding)}"


def _item_method(finding: Finding, items: ItemCounts) -> str:
    """Describe the counts of a judgement by items."""
    is_exact = finding.method is Method.EXACT
    parts = ["identical outputs" if is_exact else f"{items.num_worse:,} lost, {items.num_better:,} gained"]
    if finding.num_looks > 1:
        parts.append(f"{finding.num_looks} looks")
    if items.num_tasks > 1:
        parts.append(f"{items.num_tasks} tasks of the same weight")
    if items.num_clusters < finding.num_pairs:
        parts.append(f"{items.num_clusters:,} clusters")
    parts.append("1 score of each" if items.repeats == 1 else f"up to {items.repeats} scores of each, averaged")
    if items.baseline_flips is not None and not is_exact:
        parts.append(f"the baseline alone flipped {items.baseline_flips:,} of {items.baseline_repeated:,}")
    if items.honest_margin is not None and not is_exact:
        parts.append(f"smallest honest margin {degradation_text(finding.metric, items.honest_margin)}")
    return ", ".join(parts)


def _detectable(finding: Finding) -> str:
    """The smallest degradations that the planned pairs can tell from the margin."""
    if finding.fails_above is None or finding.passes_below is None:
        return ""
    above = degradation_text(finding.metric, finding.fails_above)
    below = degradation_text(finding.metric, finding.passes_below)
    is_unsure = finding.verdict is Verdict.INCONCLUSIVE and finding.passes_below <= 0
    unreliable = "; a clean change is not sure to pass" if is_unsure else ""
    return (
        f"with the planned pairs at this noise, a degradation above {above} would fail and one below {below} would pass, "
        f"each with 90 % chance{unreliable}"
    )


def _flipped(metric: Metric, workload: WorkloadResult | None) -> tuple[str, ...]:
    """Counts of flipped examples under the accuracy metrics they explain: at the first seed, then over all seeds."""
    if workload is None or not workload.flips:
        return ()
    first, num_seeds = workload.flips[0], len(workload.flips)
    lost, won = (
        sum(counts) for counts in zip(*((f.right_to_wrong, f.wrong_to_right) for f in workload.flips), strict=True)
    )
    at_first = (
        f"{first.right_to_wrong} right to wrong and {first.wrong_to_right} wrong to right of {first.num_examples} "
        f"examples at seed {first.seed} (one trained model each, which decides nothing: McNemar p = {first.p_value:.2g})"
    )
    if num_seeds == 1:
        return (at_first,)
    means = f"{lost / num_seeds:.1f} right to wrong and {won / num_seeds:.1f} wrong to right"
    return (at_first, f"{means} on average of {num_seeds} seeds")


def standing_text(metric: Metric, standing: EarlierRuns | None) -> str:
    """Where a metric stands after its earlier runs, in one sentence; empty if the history does not say.

    Args:
        metric: Which.
        standing: Its standing.
    """
    if standing is None:
        return ""
    low, high = (f"{displayed_degradation(metric, bound):.3g}" for bound in standing.interval)
    unit = degradation_unit(metric)
    since = "the first kept gate"
    if standing.reference:
        since = f"{standing.reference[:10]} {clean(standing.reference_subject, at_most=NAME_LENGTH)}"
    runs = "1 run" if standing.num_runs == 1 else f"{standing.num_runs} runs"
    alarm = "; it is degraded: 'mainstay bisect' finds the commit" if standing.is_alarm else ""
    bounds = f"95 %: {low} to {high} {unit}".rstrip()
    return f"{change_text(metric, standing.degradation)} since {since} ({bounds}; {runs}), as of {standing.commit[:10]}{alarm}"


def _waiver(finding: Finding) -> str:
    """The waiver that covers or covered a finding."""
    if finding.waiver is None:
        return ""
    waiver, metric = finding.waiver, finding.metric
    accepted = displayed_degradation(metric, metric.scale.from_margin(waiver.limit))
    limit = f"{accepted:.4g} {degradation_unit(metric)}".rstrip()
    return clean(f"degradation up to {limit} accepted until {waiver.until}: {waiver.reason}", at_most=LINE_LENGTH)
