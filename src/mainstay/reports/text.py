"""The report for a log: plain text, nothing but printable characters, wrapped to a width.

The first lines are the verdict, why, and the exit status; what blocks a merge comes before what does not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.rows import ITEMS, FindingRow
from mainstay.reports.view import RunView, view_run

JUDGED_BY = "this change also alters what it is judged by:"
"""Head of the list of such changes."""

MAX_NEXT_STEPS = 5
"""Steps named at the top; where there are more, each finding names its own."""


def render_text(run: Run, *, width: int = 100) -> str:
    """A run as plain text.

    Args:
        run: What a gate produced.
        width: Columns at which sentences wrap.

    Returns:
        Lines ending in a line break.
    """
    view = view_run(run)
    blocks = (_verdict(view), _findings(view), _workloads(view), _background(view), _plan(view))
    return "\n".join("".join(f"{line}\n" for line in _wrapped(block, width=width)) for block in blocks if block)


def finding_lines(row: FindingRow) -> Iterator[tuple[str, str]]:
    """Lines about a finding besides its verdict and what to do: a label and a sentence each.

    Args:
        row: The finding.
    """
    yield "", row.reason
    if row.change != "unknown":
        yield "degradation", f"{row.estimate}; {row.values}" if row.values else row.estimate
    yield row.units, f"{row.count}, {row.method}"
    for label, sentence in (("tier", row.tier), ("doubted", row.mark)):
        if sentence:
            yield label, sentence
    if row.measured_with:
        yield "measured with", row.measured_with
    if row.detectable:
        yield "power", row.detectable
    for label, sentences in (("flipped", row.flipped), ("warning", row.warnings)):
        for sentence in sentences:
            yield label, sentence
    if row.waiver:
        yield "waiver", row.waiver


def _verdict(view: RunView) -> list[tuple[str, str]]:
    """Verdict, why, exit status, revisions and what to do."""
    lines = [
        ("", f"{view.command}: {view.headline}"),
        ("  why: ", view.reason),
        ("  exit status: ", f"{view.exit_status} ({view.exit_meaning})"),
        *(("  next: ", step.sentence) for step in view.next_steps[:MAX_NEXT_STEPS]),
    ]
    if len(view.next_steps) > MAX_NEXT_STEPS:
        lines.append(("  next: ", f"and {len(view.next_steps) - MAX_NEXT_STEPS} more, with the findings below"))
    for revision in view.revisions:
        lines.append((f"  {revision.side + ':':<11}", f"{revision.commit} {revision.subject} ({revision.name})"))
    return [*lines, *_changes(view)]


def _changes(view: RunView) -> Iterator[tuple[str, str]]:
    """Changes to the means of judgement."""
    if view.changes:
        yield "  ", JUDGED_BY
    for row in view.changes:
        yield "    ", f"{row.kind} {row.name}: {row.values}"
        yield from (("      | ", line) for line in row.diff)
    if view.num_more_changes:
        yield "    ", f"and {view.num_more_changes} more, in the run document"


def _findings(view: RunView) -> list[tuple[str, str]]:
    """One block for each finding."""
    lines = [("", f"findings: {view.counts}")]
    for row in view.findings:
        lines.append((f"  {row.verdict.upper():<13}", row.metric))
        lines.extend((f"      {label + ': ' if label else ''}", sentence) for label, sentence in finding_lines(row))
        if row.next_step.action and len(view.next_steps) > MAX_NEXT_STEPS:
            lines.append(("      next: ", row.next_step.instruction))
        lines.extend(("      | ", line) for line in _detail(row))
    return lines


def _detail(row: FindingRow) -> tuple[str, ...]:
    """Last lines where something broke, names where something was added."""
    return row.detail if row.verdict in (Verdict.ERROR, Verdict.FAIL, Verdict.MISSING) or row.units == ITEMS else ()


def _workloads(view: RunView) -> list[tuple[str, str]]:
    """Workloads that gave no judgement."""
    unjudged = [("  ", f"{row.id}: {row.status}, {row.reason}") for row in view.workloads if row.status != "judged"]
    return [("", "workloads not judged:"), *unjudged] if unjudged else []


def _background(view: RunView) -> list[tuple[str, str]]:
    """Error rate, notes, dependencies, machine."""
    lines = [("error rate: ", "; ".join(view.error_rate))]
    lines += [("proof: ", sentence) for sentence in view.assumptions]
    lines += [("note: ", note) for note in view.notes]
    lines += [("dependency: ", f"{name} {old} -> {new}") for name, old, new in view.packages]
    lines += [(f"{name}: ", value) for name, value in view.facts]
    return lines


def _plan(view: RunView) -> list[tuple[str, str]]:
    """What was decided before the first pair; last, where a log is rarely read."""
    return [
        ("", f"{view.plan_title[0].lower()}{view.plan_title[1:]}:"),
        *((f"  {name}: ", value) for name, value in view.plan),
    ]


def _wrapped(lines: Iterable[tuple[str, str]], *, width: int) -> Iterator[str]:
    """Sentences wrapped under their label; quoted lines of output and names stay whole."""
    for label, sentence in lines:
        indent = " " * (len(label) - len(label.lstrip(" ")) + 2)
        if label.strip() == "|" or not sentence:
            yield (label + sentence).rstrip()
            continue
        yield from textwrap.wrap(
            sentence,
            width=max(width, 40),
            initial_indent=label,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
