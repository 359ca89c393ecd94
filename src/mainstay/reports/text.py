"""The report for a log: plain text of printable characters, wrapped to a width.

What a maintainer needs in the first thirty seconds comes first: the verdict with the number that decided, the findings,
other differences and the next steps. The details follow under separate headings.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from mainstay.records.findings import Verdict
from mainstay.records.formatting import UNKNOWN
from mainstay.records.runs import Run
from mainstay.reports.forest import SKETCH_HEAD, sketch_legend
from mainstay.reports.remedies import Step
from mainstay.reports.rows import ITEMS, FindingRow
from mainstay.reports.view import EXPLANATION_TITLE, RunView, not_listed, view_run

JUDGED_BY = "this change also alters what it is judged by:"
"""Heading of the list of changes to what the change is judged by."""

MAX_NEXT_STEPS = 5
"""Largest number of steps at the top; if there are more, each finding names its own."""

Line = tuple[str, str]
"""A label and a sentence."""

WHOLE = ("|", "$")
"""Labels of lines that are not wrapped: quoted ones, and commands, since a shell runs each line as a command of its own."""


def render_text(run: Run, *, width: int = 100) -> str:
    """A run as plain text.

    Args:
        run: Run of a gate.
        width: Column at which sentences wrap.

    Returns:
        Lines ending in a line break.
    """
    view = view_run(run)
    before = (_verdict, _next, _notes)
    after = (_suspects, _explanation, _findings, _last_resorts, _workloads, _background, _plan)
    blocks = (
        *(_wrapped(lines(view), width=width) for lines in before),
        _table(view, width=width),
        *(_wrapped(lines(view), width=width) for lines in after),
    )
    texts = ("".join(f"{line}\n" for line in block) for block in blocks)
    return "\n".join(text for text in texts if text)


def finding_lines(row: FindingRow) -> Iterator[Line]:
    """Lines about a finding except its verdict and next step: a label and a sentence each.

    Args:
        row: The finding.
    """
    yield "", row.reason
    if row.change != "unknown":
        yield "degradation", f"{row.estimate}; {row.values}" if row.values else row.estimate
    yield row.units, f"{row.count}, {row.method}"
    perhaps = (
        ("tier", row.tier),
        ("doubted", row.mark),
        ("measured with", row.measured_with),
        ("power", row.detectable),
        *row.items,
        *(("flipped", sentence) for sentence in row.flipped),
        *(("warning", sentence) for sentence in row.warnings),
        ("earlier runs", row.earlier_runs),
        ("waiver", row.waiver),
    )
    yield from (line for line in perhaps if line[1])


def _verdict(view: RunView) -> Iterator[Line]:
    """The verdict, the finding that decided, and the counts of findings."""
    yield "", f"{view.command}: {view.headline}"
    yield "  ", view.sentence
    yield "  how sure: ", view.sureness
    yield "  ", f"{view.counts}; exit status {view.exit_status} ({view.exit_meaning})"


def _table(view: RunView, *, width: int) -> Iterator[str]:
    """One row for each finding that is listed; the drawing is left out if it does not fit."""
    if not view.shown:
        return
    heads = ("verdict", "metric", "baseline", "candidate", "change", SKETCH_HEAD)
    rows = [heads, *map(_cells, view.shown)]
    lines = _aligned(rows)
    if max(map(len, lines)) > width:
        lines = _aligned([row[:-1] for row in rows])
    yield from lines
    if SKETCH_HEAD.strip() in lines[0] and any(row.sketch for row in view.shown):
        yield f"  drawn: {sketch_legend([row.sketch for row in view.shown])}"
    if left := not_listed(view, len(view.shown)):
        yield f"  {left}"


def _cells(row: FindingRow) -> tuple[str, ...]:
    """One finding as a row of the table."""
    numbers = ("-" if cell == UNKNOWN else cell for cell in (row.baseline, row.candidate, row.bounded_change))
    return row.verdict.upper(), row.label, *numbers, row.sketch


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with columns of the same width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]


def _suspects(view: RunView) -> Iterator[Line]:
    """Differences between the revisions, the change itself first."""
    yield "", "what changed:"
    for revision in reversed(view.revisions):
        yield f"  {revision.side + ':':<11}", f"{revision.commit} {revision.subject} ({revision.name})"
    for suspect in view.suspects:
        yield "  ", " ".join(filter(None, suspect))
    yield from _changes(view)


def _changes(view: RunView) -> Iterator[Line]:
    """Changes to what the change is judged by."""
    if view.changes:
        yield "  ", JUDGED_BY
    for row in view.changes:
        yield "    ", f"{row.kind} {row.name}: {row.values}"
        yield from (("      | ", line) for line in row.diff)
    if view.num_more_changes:
        yield "    ", f"and {view.num_more_changes} more, in the run document"


def _explanation(view: RunView) -> Iterator[Line]:
    """The first place where the revisions differ."""
    if view.explanation:
        yield "", f"{EXPLANATION_TITLE}:"
    yield from (("  | ", line) for line in view.explanation)


def _next(view: RunView) -> Iterator[Line]:
    """What to do now."""
    for step in view.next_steps[:MAX_NEXT_STEPS]:
        yield from _step(step)
    if len(view.next_steps) > MAX_NEXT_STEPS:
        yield "next: ", f"and {len(view.next_steps) - MAX_NEXT_STEPS} more, with the findings below"


def _step(step: Step, *, indent: str = "") -> Iterator[Line]:
    """A step, with its command on a line of its own."""
    yield f"{indent}next: ", ": ".join(filter(None, (step.about, step.action)))
    if step.command:
        yield f"{indent}      $ ", f"{step.command}{f'   ({step.minutes})' if step.minutes else ''}"


def _notes(view: RunView) -> Iterator[Line]:
    """Notes and warnings that affect trust in the numbers."""
    yield from (("note: ", note) for note in view.notes)
    yield from (("warning: ", warning) for warning in view.warnings)


def _findings(view: RunView) -> Iterator[Line]:
    """One block for each finding."""
    if view.findings:
        yield "", "each finding:"
    for row in view.findings:
        yield from _finding(view, row)


def _finding(view: RunView, row: FindingRow) -> Iterator[Line]:
    """All details of a finding."""
    yield f"  {row.verdict.upper():<13}", row.metric
    for label, sentence in finding_lines(row):
        yield f"      {label + ': ' if label else ''}", sentence
    if row.next_step.action and len(view.next_steps) > MAX_NEXT_STEPS:
        yield from _step(row.next_step._replace(about=""), indent="      ")
    yield from (("      | ", line) for line in _detail(row))


def _last_resorts(view: RunView) -> Iterator[Line]:
    """Commands that accept a degradation, if it cannot be repaired."""
    if view.last_resorts:
        yield "", f"last resort, in the reviewed waivers file ({view.waivers_file}):"
    for resort in view.last_resorts:
        yield "  $ ", resort.command
        yield "      ", f"accepts {resort.accepted}"


def _detail(row: FindingRow) -> tuple[str, ...]:
    """Last lines of output if something broke, or names if something was added."""
    return row.detail if row.verdict in (Verdict.ERROR, Verdict.FAIL, Verdict.MISSING) or row.units == ITEMS else ()


def _workloads(view: RunView) -> Iterator[Line]:
    """Workloads that were not judged."""
    unjudged = [row for row in view.workloads if row.status != "judged"]
    if unjudged:
        yield "", "workloads not judged:"
    yield from (("  ", f"{row.id}: {row.status}, {row.reason}") for row in unjudged)


def _background(view: RunView) -> Iterator[Line]:
    """The rule that applied, error rate, proofs, machine."""
    yield "rule: ", view.reason
    yield "error rate: ", "; ".join(view.error_rate)
    yield from (("proof: ", sentence) for sentence in view.assumptions)
    yield from ((f"{name}: ", value) for name, value in view.facts)


def _plan(view: RunView) -> Iterator[Line]:
    """The plan, at the end of the report."""
    yield "", f"{view.plan_title[0].lower()}{view.plan_title[1:]}:"
    yield from ((f"  {name}: ", value) for name, value in view.plan)


def _wrapped(lines: Iterable[Line], *, width: int) -> Iterator[str]:
    """Sentences wrapped under their label; commands, quoted lines of output and names stay whole."""
    for label, sentence in lines:
        indent = " " * (len(label) - len(label.lstrip(" ")) + 2)
        if label.strip() in WHOLE or not sentence:
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
