"""A run as rows of display text, which every report shares, so that no two reports differ in what they say.

Everything here is cleaned and rounded; nothing is escaped for a language yet. Each part has a module of its own, in the
order in which a maintainer needs it: the verdict (:mod:`~mainstay.reports.headline`), findings, what blocks a merge
first (:mod:`~mainstay.reports.rows`), what else the revisions differ in (:mod:`~mainstay.reports.suspects`), what to do
(:mod:`~mainstay.reports.steps`), and how it was measured (:mod:`~mainstay.reports.circumstances`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from mainstay.records.findings import Verdict
from mainstay.records.runs import Revision, Run
from mainstay.reports.circumstances import WorkloadRow, assumptions, error_rate, facts, workload_row
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean
from mainstay.reports.counting import VERDICT_ORDER, count_words
from mainstay.reports.headline import advice, decisive_sentence, exit_meaning
from mainstay.reports.labels import short_labels
from mainstay.reports.plan import plan_rows, plan_title
from mainstay.reports.remedies import Gate, Step
from mainstay.reports.rows import ITEMS, PAIRS, FindingRow, view_finding
from mainstay.reports.steps import LastResort, last_resorts, next_steps
from mainstay.reports.suspects import MAX_CHANGES, ChangeRow, Suspect, change_rows, suspects

MAX_WARNINGS = 10
"""Warnings told at the head; each stands with its finding too."""

MAX_COUNTED = 10
"""Findings that a short report lists whole; of more, those that are neither worse nor undecided are only counted."""


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
class RunView:
    """A run as a reader sees it.

    Attributes:
        id: Name of the run.
        created: ISO time of its start.
        verdict: Of the whole gate.
        advice: Whether to merge, in a few words.
        sentence: What decided, with its number.
        reason: The rule that gave the verdict, with the metrics that it is about.
        exit_status: What the command exits with.
        exit_meaning: What that status means.
        counts: How many findings say what, such as ``1 worse, 3 unchanged``.
        revisions: Baseline and candidate.
        suspects: Dependencies and files that differ.
        changes: What the change alters of the means by which it is judged, waivers that it adds first.
        num_more_changes: Further ones, which only the run document holds.
        next_steps: What to do now.
        last_resorts: Commands that accept what blocks a merge.
        findings: What blocks a merge first.
        workloads: In the order of the run.
        error_rate: What the plan guarantees, a sentence each.
        plan: What was decided before the first pair: a pair of name and value each.
        plan_title: Head of the section that shows it.
        assumptions: What the proofs rest on, a sentence each.
        facts: Machine, versions, data set, seeds, budget: a pair of name and value each.
        notes: What a reader must know, a sentence each.
        command: What made the run: ``mainstay gate`` or ``mainstay judge``.
        units: What its findings rest on: ``pairs`` or ``items``.
    """

    id: str
    created: str
    verdict: Verdict
    advice: str
    sentence: str
    reason: str
    exit_status: int
    exit_meaning: str
    counts: str
    revisions: tuple[RevisionRow, RevisionRow]
    suspects: tuple[Suspect, ...]
    changes: tuple[ChangeRow, ...]
    num_more_changes: int
    next_steps: tuple[Step, ...]
    last_resorts: tuple[LastResort, ...]
    findings: tuple[FindingRow, ...]
    workloads: tuple[WorkloadRow, ...]
    error_rate: tuple[str, ...]
    plan: tuple[tuple[str, str], ...]
    plan_title: str
    assumptions: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    command: str
    units: str

    @property
    def headline(self) -> str:
        """The verdict and whether to merge."""
        return f"{self.verdict.upper()}: {self.advice}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know to trust the numbers of a metric, of so many as a head has room for."""
        told = (f"{row.label}: {warning}" for row in self.findings for warning in row.warnings)
        return tuple(islice(told, MAX_WARNINGS))

    @property
    def shown(self) -> tuple[FindingRow, ...]:
        """Findings that a short report lists: all where they are few, else what is worse, undecided or doubted."""
        if len(self.findings) <= MAX_COUNTED:
            return self.findings
        return tuple(row for row in self.findings if row.needs_attention) or self.findings[:MAX_COUNTED]

    @property
    def suspects_title(self) -> str:
        """Head of what the revisions differ in: a cause is looked for where something is wrong."""
        return "what changed" if self.verdict is Verdict.PASS else "suspects"


def view_run(run: Run) -> RunView:
    """Everything a report says about a run.

    Args:
        run: What a gate produced.
    """
    workloads = {workload.id: workload for workload in run.workloads}
    labels = short_labels(finding.metric.id for finding in run.findings)
    gate = Gate.of(run)
    rows = [
        view_finding(
            finding,
            number=number,
            label=labels[finding.metric.id],
            workload=workloads.get(finding.metric.workload),
            gate=gate,
        )
        for number, finding in enumerate(run.findings, start=1)
    ]
    ordered = tuple(sorted(rows, key=_importance))
    return RunView(
        id=clean(run.id),
        created=clean(run.created),
        verdict=run.verdict,
        advice=advice(run),
        sentence=decisive_sentence(run, ordered),
        reason=clean(run.reason),
        exit_status=run.exit_status,
        exit_meaning=exit_meaning(run),
        counts=count_words(row.word for row in ordered),
        revisions=(_revision(run.baseline), _revision(run.candidate)),
        suspects=suspects(run),
        changes=tuple(change_rows(run.changes[:MAX_CHANGES])),
        num_more_changes=max(0, len(run.changes) - MAX_CHANGES),
        next_steps=next_steps(run, ordered),
        last_resorts=last_resorts(run, ordered),
        findings=ordered,
        workloads=tuple(map(workload_row, run.workloads)),
        error_rate=error_rate(run.plan, run.findings),
        plan=plan_rows(run.plan),
        plan_title=plan_title(run.plan),
        assumptions=assumptions(run.findings),
        facts=facts(run),
        notes=tuple(clean(note, at_most=LINE_LENGTH) for note in run.notes),
        command="mainstay judge" if run.is_of_stored_results else "mainstay gate",
        units=ITEMS if run.is_of_stored_results else PAIRS,
    )


def not_listed(view: RunView, num_listed: int) -> str:
    """How many findings say what, of those that a table left out; empty where it has all.

    Args:
        view: Of a run.
        num_listed: Findings in the table.
    """
    listed = {row.number for row in view.shown[:num_listed]}
    rest = [row for row in view.findings if row.number not in listed]
    return f"and {len(rest)} more: {count_words(row.word for row in rest)}" if rest else ""


def _importance(row: FindingRow) -> tuple[int, bool, bool, float]:
    """Place in the order of findings: what blocks a merge, what is doubted, what degraded most."""
    return VERDICT_ORDER.index(row.verdict), not row.blocks, not row.mark, -row.sort_degradation


def _revision(revision: Revision) -> RevisionRow:
    """One revision in display text."""
    return RevisionRow(
        side=revision.side.value,
        commit=clean(revision.commit)[:12],
        subject=clean(revision.subject, at_most=NAME_LENGTH),
        name=clean(revision.name, at_most=NAME_LENGTH),
    )
