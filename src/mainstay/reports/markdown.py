"""The report for a pull request or a job summary: verdict, next steps, findings, what changed; all else folded.

It can be read as plain text. Words that Markdown or GitHub would interpret (links, images, mentions, references,
markup) are shown as code, which GitHub does not interpret. The report stays below :data:`MAX_BYTES`, except for the
list of changes to what the change is judged by: this list is never cut to make room, and is limited by
:data:`MAX_CHARACTERS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from mainstay.records.findings import Verdict
from mainstay.records.formatting import UNKNOWN
from mainstay.records.runs import Run
from mainstay.reports.cleaning import clean
from mainstay.reports.remedies import Step
from mainstay.reports.rows import FindingRow
from mainstay.reports.text import JUDGED_BY, finding_lines
from mainstay.reports.view import EXPLANATION_TITLE, RunView, not_listed, view_run

MAX_BYTES = 8_000
"""Size that is still readable in a pull request; findings that do not fit are counted."""

MAX_CHARACTERS = 60_000
"""Limit of the report: GitHub refuses a comment of 65,536 characters, and the workflow that posts it adds some."""

_TABLE_BYTES = 3_800
_HEAD_BYTES = 2_200
_CELL_LENGTH, _LABEL_LENGTH = 60, 100
_MAX_STEPS = 4
_MAX_RESORTS = 3
_MAX_WARNINGS = 2
_MARKS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.NEW: "🆕",
    Verdict.MISSING: "❌",
    Verdict.ERROR: "⚠️",
    Verdict.WAIVED: "☑️",
}
_HARMLESS = re.compile(
    r"(?!www\.|GH-)[('\"]{0,2}[-+]?[^\W_]+(?:[.,'/:-][^\W_]+)*[)'\"]{0,2}[.,;:]?|[(]?[%=][),.;:]{0,2}|->"
)
_HASH = re.compile(r"[0-9a-f]{7,40}")


def render_markdown(run: Run) -> str:
    """A run as GitHub-flavoured Markdown.

    Args:
        run: Run of a gate.

    Returns:
        At most :data:`MAX_BYTES` bytes, plus the changes to what the change is judged by; findings that do not fit are
        counted.
    """
    view = view_run(run)
    judged_by = "\n".join(_changes(view))
    parts = [
        "\n".join(_verdict(view)),
        "\n".join(_within(_next(view), budget=_HEAD_BYTES)),
        _table(view),
        "\n".join(_within(_suspects(view), budget=_HEAD_BYTES // 2)),
        judged_by,
    ]
    for title, lines, quarters in (("Details", _details(view), 3), (view.plan_title, _plan(view), 4)):
        left = MAX_BYTES - sum(_size(part) + 2 for part in parts) + _size(judged_by) - 300
        parts += [
            f"<details><summary>{title}</summary>",
            "\n".join(_all_within(lines, budget=left * quarters // 4)),
            "</details>",
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_text(text: str) -> str:
    """A clean line in which Markdown has no effect: words that could have one are shown as code.

    Args:
        text: One line without control characters.

    Example:
        >>> markdown_text("lost 0.5 % in test_a.py::test_b, says @octocat")
        'lost 0.5 % in `test_a.py::test_b`, says `@octocat`'
    """
    words = [(_is_harmless(word), word) for word in text.split(" ") if word]
    runs = (
        (harmless, " ".join(word for _, word in group)) for harmless, group in groupby(words, key=lambda pair: pair[0])
    )
    return " ".join(part if harmless else _code_before_stop(part) for harmless, part in runs)


def code(text: str) -> str:
    """A clean line as a code span that also holds in a table.

    Example:
        >>> code("a|b`c")
        "`a¦b'c`"
    """
    inner = text.replace("`", "'").replace("|", "¦").strip()
    return f"`{inner or ' '}`"


def _code_before_stop(text: str) -> str:
    """A code span, with the word's final punctuation outside."""
    stop = text[-1] if text[-1] in ",;:" and len(text) > 1 else ""
    return code(text.removesuffix(stop)) + stop


def _is_harmless(word: str) -> bool:
    """Whether neither Markdown nor GitHub would interpret a word."""
    return (
        _HARMLESS.fullmatch(word) is not None
        and not (_HASH.fullmatch(word) and not word.isdigit())
        and "://" not in word
    )


def _verdict(view: RunView) -> Iterator[str]:
    """The verdict, the finding that decided, and the counts of findings."""
    yield f"## {_MARKS[view.verdict]} mainstay: {view.headline}"
    yield ""
    yield f"**{markdown_text(view.sentence)}**"
    yield ""
    yield f"How sure: {markdown_text(view.sureness)}."
    yield ""
    yield f"{view.counts[0].upper()}{view.counts[1:]}. Exit status {view.exit_status} ({view.exit_meaning})."


def _suspects(view: RunView) -> Iterator[str]:
    """Differences between the revisions, the change itself first."""
    yield "**What changed**"
    yield ""
    for row in reversed(view.revisions):
        yield f"- {row.side}: {code(row.commit)} {code(row.subject)} ({markdown_text(row.name)})"
    for suspect in view.suspects:
        values = f": {code(suspect.values)}" if suspect.values else ""
        yield f"- {suspect.kind} {code(suspect.name)}{values}" if suspect.kind else f"- {markdown_text(suspect.name)}"


def _next(view: RunView) -> Iterator[str]:
    """What to do now."""
    yield "**Next**"
    yield ""
    for number, step in enumerate(view.next_steps[:_MAX_STEPS], start=1):
        yield f"{number}. {_action(step)}"
        if step.command:
            yield f"    - {_command(step)}"
    if len(view.next_steps) > _MAX_STEPS:
        yield f"{_MAX_STEPS + 1}. {len(view.next_steps) - _MAX_STEPS} more, in the details"
    if view.warnings:
        yield ""
    for warning in view.warnings[:_MAX_WARNINGS]:
        yield f"> warning: {markdown_text(warning)}"


def _changes(view: RunView) -> Iterator[str]:
    """Changes to what the change is judged by; never folded."""
    if view.changes:
        yield f"**{JUDGED_BY[0].upper()}{JUDGED_BY[1:]}**"
        yield ""
    for row in view.changes:
        yield f"- {row.kind} {code(row.name)}: {markdown_text(row.values)}"
        yield from (f"    - {code(line)}" for line in row.diff)
    if view.num_more_changes:
        yield f"- and {view.num_more_changes} more, in the run document"


def _table(view: RunView) -> str:
    """One row for each finding that is listed, as far as they fit; the others are counted."""
    if not view.shown:
        return ""
    lines = [
        f"| verdict | metric | baseline | candidate | change | interval | margin | {view.units} | drawn: `o` change, `-` interval, `:` zero, `¦` margin |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    kept = list(_within(map(_table_row, view.shown), budget=_TABLE_BYTES - sum(map(_size, lines))))
    rest = not_listed(view, len(kept))
    told = f"\n\n{rest[0].upper()}{rest[1:]}. The HTML report and the run document hold them all." if rest else ""
    return "\n".join(lines + kept) + told


def _table_row(row: FindingRow) -> str:
    """One finding as a row; every text in it is fixed or shown as code."""
    cells = (row.baseline, row.candidate, row.bounded_change, row.worded_interval, row.margin)
    numbers = ("-" if cell == UNKNOWN else markdown_text(clean(cell, at_most=_CELL_LENGTH)) for cell in cells)
    drawn = code(row.sketch.replace(" ", ".")) if row.sketch else ""
    return f"| {' | '.join((f'{_MARKS[row.verdict]} {row.verdict}', code(clean(row.label, at_most=_LABEL_LENGTH)), *numbers, row.count, drawn))} |"


def _details(view: RunView) -> Iterator[str]:
    """Everything else: warnings, each finding, and where and how it was measured."""
    yield from _explanation(view)
    for note in view.notes[:20]:
        yield f"- note: {markdown_text(note)}"
    for warning in view.warnings[_MAX_WARNINGS:]:
        yield f"- warning: {markdown_text(warning)}"
    yield f"- error rate: {markdown_text('; '.join(view.error_rate))}"
    for sentence in view.assumptions:
        yield f"- proof: {markdown_text(sentence)}"
    for workload in [workload for workload in view.workloads if workload.status != "judged"][:20]:
        yield f"- workload {code(workload.id)}: {workload.status}, {markdown_text(workload.reason)}"
    for row in view.shown:
        yield _paragraph(row)
    if view.last_resorts:
        yield f"\n**Last resort, in the reviewed waivers file** ({markdown_text(view.waivers_file)})\n"
    for resort in view.last_resorts[:_MAX_RESORTS]:
        yield f"- {code(resort.command)} accepts {markdown_text(resort.accepted)}"
    if view.facts:
        yield "\n**Measured**\n"
    for name, value in view.facts:
        yield f"- {name}: {markdown_text(value)}"


def _explanation(view: RunView) -> Iterator[str]:
    """The first place where the revisions differ."""
    if view.explanation:
        yield f"**{EXPLANATION_TITLE[0].upper()}{EXPLANATION_TITLE[1:]}**\n"
        yield from (f"- {code(line)}" for line in view.explanation if line)
        yield ""


def _paragraph(row: FindingRow) -> str:
    """All details of one finding, as a list."""
    lines = [f"\n**{row.verdict.upper()}** {code(row.metric)}\n"]
    for label, sentence in finding_lines(row):
        lines.append(f"- {label + ': ' if label else ''}{markdown_text(sentence)}")
    if row.next_step.action:
        lines.append(f"- next: {_step(row.next_step._replace(about=''))}")
    lines.extend(f"- {code(line)}" for line in row.detail[-10:])
    return "\n".join(lines)


def _step(step: Step) -> str:
    """A step to take now; a command is shown as one code span."""
    return f"{_action(step)}: {_command(step)}" if step.command else _action(step)


def _action(step: Step) -> str:
    """A step without its command."""
    about = f"{code(step.about)}: " if step.about else ""
    return f"{about}{markdown_text(step.action)}"


def _command(step: Step) -> str:
    """The command of a step, with its duration."""
    return f"{code(step.command)} ({step.minutes})" if step.minutes else code(step.command)


def _plan(view: RunView) -> Iterator[str]:
    """The plan, as a list."""
    for name, value in view.plan:
        yield f"- {markdown_text(name)}: {markdown_text(value)}"


def _size(text: str) -> int:
    """Bytes of a text."""
    return len(text.encode())


def _all_within(lines: Iterable[str], *, budget: int) -> Iterator[str]:
    """The first lines that fit into a number of bytes, with a remark if some did not."""
    lines = list(lines)
    kept = list(_within(lines, budget=budget))
    yield from kept
    if len(kept) < len(lines):
        yield "\nMore is in the HTML report and the run document."


def _within(lines: Iterable[str], *, budget: int) -> Iterator[str]:
    """The first lines that fit into a number of bytes."""
    for line in lines:
        budget -= _size(line) + 1
        if budget < 0:
            return
        yield line
