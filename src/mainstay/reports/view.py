"""A run as rows of display text, which all reports share, so that they do not contradict each other.

Everything here is sanitised and rounded, but not yet escaped for a markup language. Each part has a module of its own,
in the order in which a maintainer needs it: the verdict (:mod:`~mainstay.reports.headline`), the findings, with those
that block a merge first (:mod:`~mainstay.reports.rows`), other differences between the revisions
(:mod:`~mainstay.reports.suspects`), next steps (:mod:`~mainstay.reports.steps`), and how it was measured
(:mod:`~mainstay.reports.circumstances`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from mainstay.records.findings import Verdict
from mainstay.records.runs import Revision, Run
from mainstay.reports.circumstances import WorkloadRow, assumptions, error_rate, facts, workload_row
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean
from mainstay.reports.counting import VERDICT_ORDER, count_words
from mainstay.reports.explanation import render_explanation
from mainstay.reports.headline import advice, decisive_sentence, exit_meaning, sureness
from mainstay.reports.labels import short_labels
from mainstay.reports.plan import plan_rows, plan_title
from mainstay.reports.remedies import Gate, Step
from mainstay.reports.rows import ITEMS, PAIRS, FindingRow, view_finding
from mainstay.reports.steps import LastResort, last_resorts, next_steps, waivers_file
from mainstay.reports.suspects import MAX_CHANGES, ChangeRow, Suspect, change_rows, suspects

MAX_WARNINGS = 10
"""Largest number of warnings at the head of a report; each is repeated with its finding."""

MAX_COUNTED = 10
"""Number of findings that a short report lists in full; if there are more, only worse and undecided ones are listed."""

MAX_EXPLANATION = 100
"""Largest number of lines about the first difference."""

EXPLANATION_TITLE = "where the revisions differ first, which decides nothing"
"""Heading of the explanation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionRow:
    """One revision as display text.

    Attributes:
        side: Baseline or candidate.
        commit: First twelve digits of the hash.
        subject: First line of the commit message.
        name: Name for the user.
    """

    side: str
    commit: str
    subject: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run as display text.

    Attributes:
        id: Name of the run.
        created: ISO time of its start.
        verdict: Verdict of the whole gate.
        advice: Whether to merge, in a few words.
        sentence: The finding that decided, with its number.
        sureness: How sure the verdict is.
        reason: The rule that gave the verdict, with the metrics to which it applied.
        exit_status: Exit status of the command.
        exit_meaning: Meaning of that status.
        counts: Counts of findings, such as ``1 worse, 3 unchanged``.
        revisions: Baseline and candidate.
        suspects: Dependencies and files that differ.
        changes: Changes to what the change is judged by; waivers that it adds come first.
        num_more_changes: Number of further changes, which only the run document contains.
        next_steps: Steps to take now.
        last_resorts: Commands that accept degradations that block a merge.
        waivers_file: The reviewed file that they write.
        findings: Findings; those that block a merge come first.
        workloads: Workloads in the order of the run.
        error_rate: Guarantees of the plan, one sentence each.
        plan: The plan, as pairs of name and value.
        plan_title: Heading of the section that shows the plan.
        assumptions: Assumptions of the proofs, one sentence each.
        facts: Machine, versions, data set, seeds and budget, as pairs of name and value.
        notes: Notes for the reader, one sentence each.
        command: Command that made the run: ``mainstay gate`` or ``mainstay judge``.
        units: Units of evidence of its findings: ``pairs``, ``items``, or both.
        explanation: The first place where the revisions differ, in lines; empty if it was not asked for.
    """

    id: str
    created: str
    verdict: Verdict
    advice: str
    sentence: str
    sureness: str
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
    waivers_file: str
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
    explanation: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The verdict and whether to merge."""
        return f"{self.verdict.upper()}: {self.advice}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the findings, as many as fit into the head of a report."""
        told = (f"{row.label}: {warning}" for row in self.findings for warning in row.warnings)
        return tuple(islice(told, MAX_WARNINGS))

    @property
    def shown(self) -> tuple[FindingRow, ...]:
        """Findings that a short report lists: all if there are few, otherwise only worse, undecided or doubted ones."""
        if len(self.findings) <= MAX_COUNTED:
            return self.findings
        return tuple(row for row in self.findings if row.needs_attention) or self.findings[:MAX_COUNTED]


def view_run(run: Run) -> RunView:
    """Everything that a report says about a run.

    Args:
        run: Run of a gate.
    """
    workloads = {workload.id: workload for workload in run.workloads}
    labels = short_labels(finding.metric for finding in run.findings)
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
        sureness=sureness(run, ordered),
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
        waivers_file=waivers_file(run),
        findings=ordered,
        workloads=tuple(map(workload_row, run.workloads)),
        error_rate=error_rate(run.plan, run.findings),
        plan=plan_rows(run.plan),
        plan_title=plan_title(run.plan),
        assumptions=assumptions(run.findings),
        facts=facts(run),
        notes=tuple(clean(note, at_most=LINE_LENGTH) for note in run.notes),
        command="mainstay judge" if run.is_of_stored_results else "mainstay gate",
        units=_units(rows),
        explanation=_explanation(run),
    )


def _explanation(run: Run) -> tuple[str, ...]:
    """The lines of the explanation."""
    if run.explanation is None:
        return ()
    lines = render_explanation(run.explanation).splitlines()
    if (left := len(lines) - MAX_EXPLANATION) > 0:
        lines[MAX_EXPLANATION:] = [f"and {left} more lines, in the run document"]
    return tuple(lines)


def _units(rows: Sequence[FindingRow]) -> str:
    """Units of evidence of all findings."""
    used = [units for units in (PAIRS, ITEMS) if any(row.units == units for row in rows)]
    return " or ".join(used) or PAIRS


def not_listed(view: RunView, num_listed: int) -> str:
    """Counts of the findings that a table left out; empty if it contains all.

    Args:
        view: View of a run.
        num_listed: Number of findings in the table.
    """
    listed = {row.number for row in view.shown[:num_listed]}
    rest = [row for row in view.findings if row.number not in listed]
    return f"and {len(rest)} more: {count_words(row.word for row in rest)}" if rest else ""


def _importance(row: FindingRow) -> tuple[int, bool, bool, float]:
    """Sort key of findings: those that block a merge, then doubted ones, then by degradation.

    Passes are sorted by the upper end of their interval: the metric whose interval reaches nearest to its margin is first.
    """
    size = row.sort_bound if row.verdict is Verdict.PASS else row.sort_degradation
    return VERDICT_ORDER.index(row.verdict), not row.blocks, not row.mark, -size


def _revision(revision: Revision) -> RevisionRow:
    """One revision in display text."""
    return RevisionRow(
        side=revision.side.value,
        commit=clean(revision.commit)[:12],
        subject=clean(revision.subject, at_most=NAME_LENGTH),
        name=clean(revision.name, at_most=NAME_LENGTH),
    )
