"""A run as rows of display text, which every report shares, so that no two reports differ in what they say.

Everything here is cleaned and rounded; nothing is escaped for a language yet. The rows come in the order in which a
maintainer needs them: what blocks a merge first.

- :func:`view_run`: the whole of it, a :class:`RunView`.
- :func:`view_finding`: one finding, a :class:`FindingRow`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mainstay.records.findings import Blame, Finding, ItemCounts, MeasuredWith, Method, Tier, Verdict
from mainstay.records.formatting import (
    UNKNOWN,
    bytes_text,
    change_text,
    degradation_text,
    degradation_unit,
    fixed,
    interval_text,
    is_bound,
    percent,
    seconds_text,
    value_text,
)
from mainstay.records.metrics import STORED, Metric
from mainstay.records.plans import Plan
from mainstay.records.runs import Change, ChangeKind, Environment, Revision, Run, WorkloadResult
from mainstay.reports.cleaning import clean
from mainstay.reports.plan import plan_rows, plan_title

PAIRS, ITEMS = "pairs", "items"
"""Words for what a finding rests on."""

VERDICT_ORDER = (
    Verdict.FAIL,
    Verdict.MISSING,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.WAIVED,
    Verdict.NEW,
    Verdict.PASS,
)
"""Order of verdicts: blocking ones first; within a verdict, the largest degradation first."""

PROOFS = (Method.EXACT, Method.EQUALITY, Method.UNCHANGED)
"""Methods that know a degradation without error."""

ASSUMPTIONS = {
    Method.UNCHANGED: (
        (
            "unchanged code was proved by comparison: installed files, dependencies, workload files, settings of pytest and "
            "all that workers are started with are equal"
        ),
        (
            "this assumes that the world outside the installed files, such as services, is the same for both revisions, and "
            "that no workload depends on the paths or the time stamps of installed files"
        ),
    ),
}
"""Grounds and assumptions of a proof, by method, for those that say so once and not in every reason."""

_ADVICE = {
    Verdict.PASS: "may be merged",
    Verdict.FAIL: "do not merge as it is",
    Verdict.MISSING: "do not merge as it is",
    Verdict.INCONCLUSIVE: "not decided",
    Verdict.ERROR: "says nothing about the change",
}
_MEASURED_WITH = {
    MeasuredWith.BASELINE: "the baseline's workload files, conftest and pytest settings on both revisions",
    MeasuredWith.CANDIDATE: "the candidate's workload files on both revisions, since the baseline does not gate it",
    MeasuredWith.OWN: "each revision's own workload files, since the candidate cannot run the baseline's",
}
_TIERS = {
    Tier.BLOCKING: "",
    Tier.GUARD: "guard: it can fail, and blocks nothing while it is undecided",
    Tier.ADVISORY: "advisory: it is shown and blocks nothing",
}
_NAME_LENGTH = 160
_LINE_LENGTH = 500
_MAX_LINES = 40
_MAX_CHANGES = 30
_DIFF_LENGTH = 160
_MAX_DIFF_LINES = 60


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


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingRow:
    """One finding as a reader sees it.

    Attributes:
        number: From 1, in the order of the run; stable across reports.
        verdict: As recorded.
        workload: Node id.
        name: Name of the metric.
        metric: Node id and name.
        reason: Why, in one sentence.
        baseline: Mean value of the baseline.
        candidate: Mean value of the candidate.
        change: The estimate in words; ``unknown`` without one.
        interval: Bounds of the degradation, without the unit; ``exact`` where there is nothing to estimate.
        unit: What degradation, interval and margin count.
        margin: The degradation tolerated, with the unit.
        num_pairs: Pairs judged, or items.
        units: What these are: ``pairs`` or ``items``.
        is_exact: Whether the estimate is known without error.
        needs_review: Whether it is undecided until a person accepts what it was judged by.
        measured_with: Whose workload files were used, where the revisions differ in them; else empty.
        method: What the judgement rests on, in words.
        detectable: The smallest degradation that could be seen; empty where it does not apply.
        flipped: Counts of examples flipped, a sentence each.
        next_step: What settles or repairs it.
        waiver: Limit, last day and reason; empty without one.
        detail: Last lines of a worker, or names.
        warnings: What a reader must know to trust the numbers.
        sort_degradation: The degradation as a share of its margin, for sorting; positive is worse.
        is_bound: Whether the estimate says only "at least".
        tier: Which of its verdicts block, in words; empty where all do.
        blocks: Whether its verdict counts in that of the gate.
        is_tolerated: Whether it is undecided and only warns.
        mark: Why its pass is not believed until a person has looked at it; empty where there is nothing to doubt.
    """

    number: int
    verdict: Verdict
    workload: str
    name: str
    metric: str
    reason: str
    baseline: str
    candidate: str
    change: str
    interval: str
    unit: str
    margin: str
    num_pairs: int
    units: str
    is_exact: bool
    needs_review: bool
    measured_with: str
    method: str
    detectable: str
    flipped: tuple[str, ...]
    next_step: Step
    waiver: str
    detail: tuple[str, ...]
    warnings: tuple[str, ...]
    sort_degradation: float
    is_bound: bool
    tier: str
    blocks: bool
    is_tolerated: bool
    mark: str

    @property
    def count(self) -> str:
        """How many pairs or items were judged; thousands of items are set apart."""
        return f"{self.num_pairs:,}" if self.units == ITEMS else str(self.num_pairs)

    @property
    def fact(self) -> str:
        """Headline: the change with its bounds, else why there are none."""
        if UNKNOWN in (self.change, self.interval):
            return self.reason
        bounds = "exactly" if self.is_exact else f"interval {self.interval}"
        return f"{self.bounded_change}, {bounds}, margin {self.margin}"

    @property
    def values(self) -> str:
        """Values of both revisions; empty where neither was measured."""
        known = {self.baseline, self.candidate} != {UNKNOWN}
        return f"{self.baseline} -> {self.candidate}" if known else ""

    @property
    def bounded_change(self) -> str:
        """The change, with "at least" where no more than that is known."""
        return f"at least {self.change}" if self.is_bound else self.change

    @property
    def estimate(self) -> str:
        """The change, its interval and its margin in one phrase."""
        if self.change == UNKNOWN:
            return f"no estimate, margin {self.margin}"
        if self.is_exact:
            return f"{self.change}, exactly; the margin is {self.margin}"
        within = f" (interval {self.interval})" if self.interval != UNKNOWN else ""
        about = self.bounded_change if self.is_bound else f"about {self.change}"
        return f"{about}{within} against a margin of {self.margin}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionRow:
    """One revision as a reader sees it.

    Attributes:
        side: Baseline or candidate.
        commit: Twelve digits of the hash.
        subject: First line of the commit message.
        name: What the user calls it.
    """

    side: str
    commit: str
    subject: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRow:
    """A difference in what the revisions are judged by, as a reader sees it.

    Attributes:
        kind: What was changed, such as ``conftest``.
        name: Path, id of a metric or name of a setting.
        values: Old and new value, and what this gate made of it.
        diff: The first lines of the difference, for a file.
    """

    kind: str
    name: str
    values: str
    diff: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadRow:
    """One workload as a reader sees it.

    Attributes:
        id: Node id.
        kind: What is compared.
        status: Judged or not.
        reason: Why it was not judged.
        num_pairs: Pairs completed.
        seconds: Time of all its trials.
        context: Recorded circumstances, a pair of name and value each.
        descriptive: What was recorded and not gated: name, baseline, candidate.
    """

    id: str
    kind: str
    status: str
    reason: str
    num_pairs: int
    seconds: str
    context: tuple[tuple[str, str], ...]
    descriptive: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run as a reader sees it.

    Attributes:
        id: Name of the run.
        created: ISO time of its start.
        verdict: Of the whole gate.
        advice: Whether to merge, in a few words.
        reason: Why, in one sentence.
        exit_status: What the command exits with.
        exit_meaning: What that status means.
        counts: Findings by verdict, such as ``1 fail, 3 pass``.
        revisions: Baseline and candidate.
        changes: What the change alters of the means by which it is judged, waivers that it adds first.
        num_more_changes: Further ones, which only the run document holds.
        next_steps: What to do now.
        findings: What blocks a merge first.
        workloads: In the order of the run.
        error_rate: What the plan guarantees, a sentence each.
        plan: What was decided before the first pair: a pair of name and value each.
        plan_title: Head of the section that shows it.
        assumptions: What the proofs rest on, a sentence each.
        facts: Machine, versions, data set, seeds, budget: a pair of name and value each.
        packages: Dependencies that differ: name, baseline, candidate.
        notes: What a reader must know, a sentence each.
        command: What made the run: ``mainstay gate`` or ``mainstay judge``.
        units: What its findings rest on: ``pairs`` or ``items``.
    """

    id: str
    created: str
    verdict: Verdict
    advice: str
    reason: str
    exit_status: int
    exit_meaning: str
    counts: str
    revisions: tuple[RevisionRow, RevisionRow]
    changes: tuple[ChangeRow, ...]
    num_more_changes: int
    next_steps: tuple[Step, ...]
    findings: tuple[FindingRow, ...]
    workloads: tuple[WorkloadRow, ...]
    error_rate: tuple[str, ...]
    plan: tuple[tuple[str, str], ...]
    plan_title: str
    assumptions: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    command: str
    units: str

    @property
    def headline(self) -> str:
        """The verdict and whether to merge."""
        return f"{self.verdict.upper()}: {self.advice}"


EXIT_MEANINGS = {
    0: "nothing degraded by more than its margin",
    1: "a degradation, a missing metric or a broken candidate",
    2: "the command was used wrongly",
    3: "undecided",
    4: "the baseline, the tool or the environment is broken, or nothing was judged",
    130: "interrupted",
}
"""Exit status of the gate in words."""


def view_run(run: Run) -> RunView:
    """Everything a report says about a run.

    Args:
        run: What a gate produced.
    """
    workloads = {workload.id: workload for workload in run.workloads}
    rows = [
        view_finding(finding, number=number, workload=workloads.get(finding.metric.workload))
        for number, finding in enumerate(run.findings, start=1)
    ]
    ordered = tuple(sorted(rows, key=lambda row: (VERDICT_ORDER.index(row.verdict), -row.sort_degradation)))
    return RunView(
        id=clean(run.id),
        created=clean(run.created),
        verdict=run.verdict,
        advice=_advice(run),
        reason=clean(run.reason),
        exit_status=run.exit_status,
        exit_meaning=_exit_meaning(run),
        counts=_counts(run.findings),
        revisions=(_revision(run.baseline), _revision(run.candidate)),
        changes=tuple(_change_rows(run.changes[:_MAX_CHANGES])),
        num_more_changes=max(0, len(run.changes) - _MAX_CHANGES),
        next_steps=_next_steps(run, ordered),
        findings=ordered,
        workloads=tuple(map(_workload, run.workloads)),
        error_rate=_error_rate(run.plan, run.findings),
        plan=plan_rows(run.plan),
        plan_title=plan_title(run.plan),
        assumptions=_assumptions(run.findings),
        facts=_facts(run),
        packages=_packages(run.environments),
        notes=tuple(clean(note, at_most=_LINE_LENGTH) for note in run.notes),
        command="mainstay judge" if run.is_of_stored_results else "mainstay gate",
        units=ITEMS if run.is_of_stored_results else PAIRS,
    )


def view_finding(finding: Finding, *, number: int = 1, workload: WorkloadResult | None = None) -> FindingRow:
    """One finding in display text.

    Args:
        finding: The judgement.
        number: Its place in the run, from 1.
        workload: What its workload gave besides, for the flipped examples.
    """
    metric = finding.metric
    is_exact = finding.method in PROOFS
    return FindingRow(
        number=number,
        verdict=finding.verdict,
        workload=clean(metric.workload, at_most=_NAME_LENGTH),
        name=clean(metric.name, at_most=_NAME_LENGTH),
        metric=clean(metric.id, at_most=_NAME_LENGTH),
        reason=clean(finding.reason, at_most=_LINE_LENGTH),
        baseline=clean(value_text(metric, finding.baseline_mean)),
        candidate=clean(value_text(metric, finding.candidate_mean)),
        change=_change(finding),
        interval="exact" if is_exact else interval_text(metric, finding.interval),
        unit=clean(degradation_unit(metric)),
        margin=clean(degradation_text(metric, metric.scaled_margin)),
        num_pairs=finding.num_pairs,
        units=ITEMS if metric.workload == STORED else PAIRS,
        is_exact=is_exact,
        needs_review=finding.needs_review,
        measured_with=_MEASURED_WITH.get(finding.measured_with, "") if finding.measured_with else "",
        method=_method(finding),
        detectable=clean(_detectable(finding)),
        flipped=_flipped(metric, workload),
        next_step=_next_step(finding),
        waiver=_waiver(finding),
        detail=tuple(clean(line, at_most=_LINE_LENGTH) for line in finding.detail[:_MAX_LINES]),
        warnings=tuple(clean(warning, at_most=_LINE_LENGTH) for warning in finding.warnings),
        sort_degradation=round(finding.degradation_in_margins, 4),
        is_bound=is_bound(finding.estimate, finding.cap, finding.degradations),
        tier=_TIERS[finding.tier],
        blocks=finding.blocks,
        is_tolerated=finding.is_tolerated,
        mark=clean(finding.mark, at_most=_LINE_LENGTH) if finding.is_doubted else "",
    )


def _advice(run: Run) -> str:
    """Whether to merge, in a few words."""
    if run.verdict is Verdict.ERROR and run.exit_status == 1:
        return "do not merge, the candidate could not be measured"
    return _ADVICE[run.verdict]


def _exit_meaning(run: Run) -> str:
    """The exit status in words; an inconclusive gate may be mapped by policy."""
    if run.verdict is Verdict.INCONCLUSIVE and run.exit_status != 3:
        return f"undecided, which the policy maps to {run.exit_status}"
    return EXIT_MEANINGS[run.exit_status]


def _counts(findings: Sequence[Finding]) -> str:
    """Findings by verdict."""
    present = ((verdict, sum(f.verdict is verdict for f in findings)) for verdict in VERDICT_ORDER)
    return ", ".join(f"{count} {verdict}" for verdict, count in present if count) or "no findings"


def _revision(revision: Revision) -> RevisionRow:
    """One revision in display text."""
    return RevisionRow(
        side=revision.side.value,
        commit=clean(revision.commit)[:12],
        subject=clean(revision.subject, at_most=_NAME_LENGTH),
        name=clean(revision.name, at_most=_NAME_LENGTH),
    )


def _change_rows(changes: Sequence[Change]) -> Iterator[ChangeRow]:
    """Differences in what the revisions are judged by, with so many lines of files as a head has room for."""
    left = _MAX_DIFF_LINES
    for change in changes:
        row = _change_row(change, at_most=left)
        left -= len(row.diff)
        yield row


def _change_row(change: Change, *, at_most: int) -> ChangeRow:
    """A difference in what the revisions are judged by, in display text."""
    before, after = (clean(value, at_most=_NAME_LENGTH) for value in (change.before, change.after))
    if change.kind in (ChangeKind.WORKLOAD, ChangeKind.CONFTEST):
        values = "changed" if before and after else "added" if after else "removed"
    elif change.kind is ChangeKind.WAIVER:
        values = f"added by this change: {after}"
    else:
        values = f"{before or 'not set'} -> {after or 'not set'}"
    effect = f"; {clean(change.effect, at_most=_NAME_LENGTH)}" if change.effect else ""
    return ChangeRow(
        kind=change.kind.value,
        name=clean(change.name, at_most=_NAME_LENGTH),
        values=values + effect,
        diff=tuple(clean(line, at_most=_DIFF_LENGTH) for line in change.diff[:at_most]),
    )


def _next_steps(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps to take now: one step for each finding that blocks, or that nothing stands in the way."""
    blocking = [row for row in rows if row.next_step.action and row.verdict is not Verdict.NEW]
    if blocking:
        return tuple(row.next_step._replace(fact=row.fact) for row in blocking)
    if run.exit_status == 0:
        found = "no degradation beyond the margins was found"
        if any(row.verdict is Verdict.WAIVED for row in rows):
            found = "the degradations beyond the margins are waived, see below"
        if any(row.is_tolerated for row in rows):
            found += ", what is undecided only warns"
        return (Step("", f"merge when the review is done: {found}"),)
    again = "judge again" if run.is_of_stored_results else "run the gate again"
    return (Step("", f"repair what the reason names and {again}"),)


def _next_step(finding: Finding) -> Step:
    """Step that settles or repairs a finding."""
    metric = clean(finding.metric.id, at_most=_NAME_LENGTH)
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


def _change(finding: Finding) -> str:
    """The estimate in words."""
    if finding.estimate is None:
        return UNKNOWN
    if finding.method in PROOFS and finding.estimate == 0:
        return "no change"
    return clean(change_text(finding.metric, finding.estimate))


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
    return (
        "no planned number of pairs is expected to settle it: decide yourself, lengthen the trials or widen the margin"
    )


def _step_for_items(finding: Finding, metric: str) -> Step | None:
    """Step that settles or repairs a finding of stored results, where that differs from what was measured."""
    if finding.is_doubted:
        name = shlex.quote(clean(finding.metric.name, at_most=_NAME_LENGTH))
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


def _method(finding: Finding) -> str:
    """Describe the grounds of a judgement."""
    if finding.items:
        return _item_method(finding, finding.items)
    if finding.method is Method.EXACT:
        return f"equal digests on {len(finding.exact_seeds)} seeds"
    if finding.method is Method.EQUALITY:
        return "comparison of two deterministic values"
    if finding.method is Method.UNCHANGED:
        return "proof that the code is unchanged"
    if finding.method is Method.SEQUENTIAL and finding.num_looks == 0:
        return "paired t, before its first look"
    if finding.method is Method.SEQUENTIAL:
        looks = "1 look" if finding.num_looks == 1 else f"{finding.num_looks} looks"
        return f"paired t at {looks}"
    return "nothing was judged"


def _item_method(finding: Finding, items: ItemCounts) -> str:
    """Describe the counts of a judgement by items."""
    is_exact = finding.method is Method.EXACT
    parts = ["identical outputs" if is_exact else f"{items.num_worse:,} lost, {items.num_better:,} gained"]
    if items.num_tasks > 1:
        parts.append(f"{items.num_tasks} tasks of the same weight")
    if items.num_clusters < finding.num_pairs:
        parts.append(f"{items.num_clusters:,} clusters")
    parts.append("1 score of each" if items.repeats == 1 else f"up to {items.repeats} scores of each, averaged")
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
    return f"would fail a degradation above {above}, would pass one below {below}, each with 90 % chance{unreliable}"


def _flipped(metric: Metric, workload: WorkloadResult | None) -> tuple[str, ...]:
    """Counts of flipped examples under the accuracy metrics they explain: at the first seed, then over all seeds."""
    if workload is None or metric.scale.is_relative or not workload.flips:
        return ()
    first, num_seeds = workload.flips[0], len(workload.flips)
    lost, won = (
        sum(counts) for counts in zip(*((f.right_to_wrong, f.wrong_to_right) for f in workload.flips), strict=True)
    )
    at_first = (
        f"{first.right_to_wrong} right to wrong and {first.wrong_to_right} wrong to right of {first.num_examples} "
        f"examples at seed {first.seed} (McNemar p = {first.p_value:.2g} for these two trained models)"
    )
    if num_seeds == 1:
        return (at_first,)
    means = f"{lost / num_seeds:.1f} right to wrong and {won / num_seeds:.1f} wrong to right"
    return (at_first, f"{means} on average of {num_seeds} seeds")


def _waiver(finding: Finding) -> str:
    """The waiver that covers or covered a finding."""
    if finding.waiver is None:
        return ""
    waiver, metric = finding.waiver, finding.metric
    factor = 100.0 if metric.scale.is_relative or metric.is_fraction else 1.0
    limit = f"{factor * waiver.limit:.4g} {degradation_unit(metric)}".rstrip()
    return clean(f"degradation up to {limit} accepted until {waiver.until}: {waiver.reason}", at_most=_LINE_LENGTH)


def _workload(workload: WorkloadResult) -> WorkloadRow:
    """One workload in display text."""
    return WorkloadRow(
        id=clean(workload.id, at_most=_NAME_LENGTH),
        kind=workload.kind.value,
        status=workload.status,
        reason=clean(workload.reason),
        num_pairs=workload.num_pairs,
        seconds=seconds_text(workload.seconds),
        context=tuple((clean(key), clean(str(value))) for key, value in sorted(workload.context.items())),
        descriptive=tuple(
            (clean(name), f"{baseline:.6g}", f"{candidate:.6g}")
            for name, (baseline, candidate) in sorted(workload.descriptive.items())
        ),
    )


def _error_rate(plan: Plan, findings: Sequence[Finding]) -> tuple[str, ...]:
    """State what the plan guarantees, a sentence each."""
    if not plan.looks:
        return _error_rate_of_items(plan, findings)
    promise = (
        f"a clean change fails in at most {percent(plan.alpha)} of gates; a metric degraded by its margin passes in "
        f"at most {percent(plan.margin_level)}, one degraded by twice its margin in at most {percent(plan.alpha)}"
    )
    if findings and all(f.method in PROOFS for f in findings):
        return (promise, "nothing here was judged by statistics: proofs, digests and counts spend none of it")
    return (promise,)


def _error_rate_of_items(plan: Plan, findings: Sequence[Finding]) -> tuple[str, ...]:
    """The same for stored results; a guard promises less."""
    promise = (
        f"on items like these a clean change fails in at most {percent(plan.alpha)}; a metric degraded by its margin "
        f"passes in at most {percent(plan.margin_level)}, one degraded by twice its margin in at most {percent(plan.alpha)}"
    )
    if any(finding.tier is not Tier.BLOCKING for finding in findings):
        return (promise, "what is a guard or advisory may have lost more than its margin in a gate that passes")
    return (promise,)


def _facts_of_stored_results(run: Run) -> tuple[tuple[str, str], ...]:
    """Statements of the files about themselves; where they were measured is not known."""
    told = (pair for workload in run.workloads for pair in workload.context.items())
    facts = [
        ("run", f"{run.id}, started {run.created}"),
        ("made", "by whom, where and when is not known beyond what the files say"),
        ("versions", f"mainstay {run.mainstay_version}"),
        *((clean(name, at_most=_NAME_LENGTH), str(value)) for name, value in told),
        ("time", ", ".join(f"{name} {seconds_text(seconds)}" for name, seconds in run.phases_s.items())),
    ]
    return tuple((name, clean(value, at_most=_LINE_LENGTH)) for name, value in facts)


def _assumptions(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Grounds of the proofs, each once."""
    used = {finding.method for finding in findings}
    return tuple(sentence for method, sentences in ASSUMPTIONS.items() if method in used for sentence in sentences)


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """Machine, versions, data set, seeds, budget."""
    if run.is_of_stored_results:
        return _facts_of_stored_results(run)
    machine = run.machine
    memory = bytes_text(machine.memory_bytes)
    where = f"{machine.processor}, {machine.num_cores} processors, {memory}, {machine.system} {machine.architecture}"
    spent = sum(run.phases_s.values())
    phases = ", ".join(f"{name} {seconds_text(seconds)}" for name, seconds in run.phases_s.items())
    facts = [
        ("run", f"{run.id}, started {run.created}"),
        ("machine", where),
        ("accelerator", machine.accelerator or "none"),
        ("versions", _versions(run)),
        ("data set", _data_sets(run.workloads)),
        ("seeds", _seeds(run)),
        ("budget", f"{seconds_text(spent)} spent ({phases}); {seconds_text(run.plan.seconds)} were allowed to measure"),
        ("load", _load(run)),
        ("earlier runs", "not known"),
    ]
    return tuple((name, clean(value, at_most=_LINE_LENGTH)) for name, value in facts)


def _versions(run: Run) -> str:
    """Versions of the tool, the interpreter and the packages that matter most, of both revisions where they differ."""
    shown = [f"mainstay {run.mainstay_version}"]
    pythons = [environment.python for environment in run.environments]
    if pythons:
        shown.append(f"Python {_both(pythons)}")
    for name in ("torch", "torchvision", "numpy"):
        versions = [environment.packages.get(name, "none") for environment in run.environments]
        if any(version != "none" for version in versions):
            shown.append(f"{name} {_both(versions)}")
    return ", ".join(shown)


def _both(values: Sequence[str]) -> str:
    """One value, or baseline's and candidate's where they differ."""
    return values[0] if len(set(values)) == 1 else " -> ".join(values)


def _data_sets(workloads: Sequence[WorkloadResult]) -> str:
    """Data sets in the order of the workloads, each once."""
    named = dict.fromkeys(str(workload.context["dataset"]) for workload in workloads if "dataset" in workload.context)
    return ", ".join(named) or "none recorded"


def _seeds(run: Run) -> str:
    """How many seeds were used."""
    return f"{len({seed for finding in run.findings for seed in finding.seeds})} used of those planned"


def _load(run: Run) -> str:
    """Load by others before and during the run."""
    before, during = run.machine.load_at_start, run.max_load
    parts = [
        "unknown at the start" if before is None else f"load average {fixed(before, decimals=2)} at the start",
        "unknown during trials" if during is None else f"others used at most {fixed(during, decimals=2)} processors",
    ]
    return ", ".join(parts)


def _packages(environments: Sequence[Environment]) -> tuple[tuple[str, str, str], ...]:
    """Dependencies that differ between the two environments."""
    if len(environments) != 2:
        return ()
    baseline, candidate = (environment.packages for environment in environments)
    return tuple(
        (clean(name), clean(baseline.get(name, "absent")), clean(candidate.get(name, "absent")))
        for name in sorted({*baseline, *candidate})
        if baseline.get(name) != candidate.get(name)
    )
