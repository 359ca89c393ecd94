"""A run as rows of display text, which every report shares, so that no two reports differ in what they say.

Everything here is cleaned and rounded; nothing is escaped for a language yet. Each part has a module of its own, in the
order in which a maintainer needs it: the verdict (:mod:`~mainstay.reports.headline`), findings, what blocks a merge
first (:mod:`~mainstay.reports.rows`), what else the revisions differ in (:mod:`~mainstay.reports.suspects`), what to do
(:mod:`~mainstay.reports.steps`), and how it was measured (:mod:`~mainstay.reports.circumstances`).
"""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.records.findings import Verdict
from mainstay.records.runs import Revision, Run
from mainstay.reports.circumstances import WorkloadRow, assumptions, error_rate, facts, workload_row
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean
from mainstay.reports.headline import VERDICT_ORDER, advice, counts, exit_meaning
from mainstay.reports.plan import plan_rows, plan_title
from mainstay.reports.remedies import Step
from mainstay.reports.rows import ITEMS, PAIRS, FindingRow, view_finding
from mainstay.reports.steps import next_steps
from mainstay.reports.suspects import MAX_CHANGES, ChangeRow, change_rows, package_rows


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
        advice=advice(run),
        reason=clean(run.reason),
        exit_status=run.exit_status,
        exit_meaning=exit_meaning(run),
        counts=counts(run.findings),
        revisions=(_revision(run.baseline), _revision(run.candidate)),
        changes=tuple(change_rows(run.changes[:MAX_CHANGES])),
        num_more_changes=max(0, len(run.changes) - MAX_CHANGES),
        next_steps=next_steps(run, ordered),
        findings=ordered,
        workloads=tuple(map(workload_row, run.workloads)),
        error_rate=error_rate(run.plan, run.findings),
        plan=plan_rows(run.plan),
        plan_title=plan_title(run.plan),
        assumptions=assumptions(run.findings),
        facts=facts(run),
        packages=package_rows(run.environments),
        notes=tuple(clean(note, at_most=LINE_LENGTH) for note in run.notes),
        command="mainstay judge" if run.is_of_stored_results else "mainstay gate",
        units=ITEMS if run.is_of_stored_results else PAIRS,
    )


def _revision(revision: Revision) -> RevisionRow:
    """One revision in display text."""
    return RevisionRow(
        side=revision.side.value,
        commit=clean(revision.commit)[:12],
        subject=clean(revision.subject, at_most=NAME_LENGTH),
        name=clean(revision.name, at_most=NAME_LENGTH),
    )
