"""The report for a pull request or a job summary: a verdict line, one table, a folded section for the rest.

Readable as plain text. Words that Markdown or GitHub would act on (links, images, mentions, references, markup) are
shown as code, which GitHub leaves alone; the whole stays under :data:`MAX_CHARACTERS` whatever the run holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mainstay.records.findings import Verdict
from mainstay.records.runs import Run
from mainstay.reports.remedies import Step
from mainstay.reports.rows import FindingRow
from mainstay.reports.text import JUDGED_BY, finding_lines
from mainstay.reports.view import RunView, view_run

MAX_CHARACTERS = 60_000
"""GitHub refuses a comment of 65,536 characters; the rest is left for whoever posts it."""

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
        run: What a gate produced.

    Returns:
        Fewer than :data:`MAX_CHARACTERS` characters; findings that do not fit are counted, those that block a merge
        come first.
    """
    view = view_run(run)
    head = "\n".join(_head(view))
    tail = "\n".join(_within(_background(view), budget=MAX_CHARACTERS // 3))
    plan = "\n".join(_within(_plan(view), budget=MAX_CHARACTERS // 6))
    budget = MAX_CHARACTERS - len(head) - len(tail) - len(plan) - 500
    table, num_rows = _table(view.findings, view.units, budget=budget // 2)
    folded = _details(view.findings, budget=budget - len(table))
    parts = [
        head,
        table,
        _rest(view.findings[num_rows:]),
        "<details><summary>Details</summary>",
        folded,
        tail,
        "</details>",
        f"<details><summary>{view.plan_title}</summary>",
        plan,
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_text(text: str) -> str:
    """A clean line in which nothing acts: words that could are shown as code.

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
    """Code with the punctuation that ends it left outside."""
    stop = text[-1] if text[-1] in ",;:" and len(text) > 1 else ""
    return code(text.removesuffix(stop)) + stop


def _is_harmless(word: str) -> bool:
    """Whether neither Markdown nor GitHub would act on a word."""
    return (
        _HARMLESS.fullmatch(word) is not None
        and not (_HASH.fullmatch(word) and not word.isdigit())
        and "://" not in word
    )


def _head(view: RunView) -> Iterator[str]:
    """Verdict, why, exit status, revisions and what to do."""
    yield f"## {_MARKS[view.verdict]} mainstay: {view.headline}"
    yield ""
    yield f"**Why:** {markdown_text(view.reason)}"
    yield ""
    yield f"**Exit status:** {view.exit_status} ({view.exit_meaning}). **Findings:** {view.counts}."
    yield ""
    for row in view.revisions:
        yield f"- {row.side}: {code(row.commit)} {code(row.subject)} ({markdown_text(row.name)})"
    for step in view.next_steps[:3]:
        yield _step(step)
    if len(view.next_steps) > 3:
        yield f"- next: {len(view.next_steps) - 3} more, in the details"
    yield from _changes(view)


def _changes(view: RunView) -> Iterator[str]:
    """Changes to the means of judgement; never folded."""
    if view.changes:
        yield ""
        yield f"**{JUDGED_BY[0].upper()}{JUDGED_BY[1:]}**"
        yield ""
    for row in view.changes:
        yield f"- {row.kind} {code(row.name)}: {markdown_text(row.values)}"
        yield from (f"    - {code(line)}" for line in row.diff)
    if view.num_more_changes:
        yield f"- and {view.num_more_changes} more, in the run document"


def _table(rows: Sequence[FindingRow], units: str, *, budget: int) -> tuple[str, int]:
    """One row for each finding while they fit, and how many did."""
    if not rows:
        return "", 0
    lines = [f"| verdict | metric | degradation | interval | margin | {units} |", "|---|---|---:|---:|---:|---:|"]
    kept = list(_within(map(_table_row, rows), budget=budget - sum(map(len, lines))))
    return "\n".join(lines + kept), len(kept)


def _table_row(row: FindingRow) -> str:
    """One finding as a row; every cell is ours or code."""
    verdict = f"{_MARKS[row.verdict]} {row.verdict}"
    numbers = map(markdown_text, (row.bounded_change, row.interval, row.margin))
    return f"| {' | '.join((verdict, code(row.metric), *numbers, row.count))} |"


def _rest(rows: Sequence[FindingRow]) -> str:
    """Findings that the table had no room for."""
    if not rows:
        return ""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in _count(row.verdict for row in rows))
    return f"... and {len(rows)} more findings: {verdicts}. The HTML report and the run document hold them all."


def _count(verdicts: Iterable[Verdict]) -> list[tuple[Verdict, int]]:
    """Verdicts in their order, with how often each comes."""
    return [(verdict, len(list(group))) for verdict, group in groupby(verdicts)]


def _details(rows: Sequence[FindingRow], *, budget: int) -> str:
    """A paragraph for each finding while they fit."""
    kept = list(_within(map(_paragraph, rows), budget=budget))
    left = len(rows) - len(kept)
    return "\n\n".join([*kept, f"... and {left} more." if left else ""]).strip()


def _paragraph(row: FindingRow) -> str:
    """All there is to say about one finding, as a list."""
    lines = [f"**{row.verdict.upper()}** {code(row.metric)}", ""]
    for label, sentence in finding_lines(row):
        lines.append(f"- {label + ': ' if label else ''}{markdown_text(sentence)}")
    if row.next_step.action:
        lines.append(_step(row.next_step))
    lines.extend(f"- {code(line)}" for line in row.detail[-10:])
    return "\n".join(lines)


def _step(step: Step) -> str:
    """Steps to take now; a command is code from end to end."""
    fact = f" ({markdown_text(step.fact)})" if step.fact else ""
    about = f"{code(step.about)}{fact}: " if step.about else ""
    return f"- next: {about}{markdown_text(step.action)}{': ' + code(step.command) if step.command else ''}"


def _background(view: RunView) -> Iterator[str]:
    """Error rate, notes, unjudged workloads, dependencies, machine; the first of each kind."""
    yield f"**Error rate:** {markdown_text('; '.join(view.error_rate))}."
    yield ""
    for sentence in view.assumptions:
        yield f"- proof: {markdown_text(sentence)}"
    for note in view.notes[:20]:
        yield f"- note: {markdown_text(note)}"
    for row in [row for row in view.workloads if row.status != "judged"][:20]:
        yield f"- workload {code(row.id)}: {row.status}, {markdown_text(row.reason)}"
    for name, old, new in view.packages[:30]:
        yield f"- dependency {code(name)}: {code(old)} -> {code(new)}"
    for name, value in view.facts:
        yield f"- {name}: {markdown_text(value)}"


def _plan(view: RunView) -> Iterator[str]:
    """What was decided before the first pair, as a list."""
    for name, value in view.plan:
        yield f"- {markdown_text(name)}: {markdown_text(value)}"


def _within(lines: Iterable[str], *, budget: int) -> Iterator[str]:
    """Lines while their characters fit."""
    for line in lines:
        budget -= len(line) + 2
        if budget < 0:
            return
        yield line
