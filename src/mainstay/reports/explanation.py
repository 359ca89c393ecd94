"""An explanation as text: the first place where two revisions part."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.records.explanations import CalledOperator, Explanation, FirstDifference, Hunk, Nearness, Parting
from mainstay.records.formatting import seconds_text
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean

PASSES = {
    "parameters": "parameters after each step",
    "everything": "every operator of each step",
    "operators": "operators of one step",
    "graphs": "compiled graphs",
    "unwatched": "an unwatched trial",
}
"""Names of the passes."""

DEFINITION = re.compile(r"\s*(async\s+def|def|class)\s")
"""Beginning of a definition; above a line at the top of a module, git names any other line in its place."""

SIGNS = ("-", "+", " ")
"""Beginnings of the lines of a diff."""

MAX_STACK = 4
"""Further lines of a stack that are shown."""


def render_explanation(explanation: Explanation) -> str:
    """An explanation as plain text.

    Args:
        explanation: What was found.
    """
    return "\n".join(_lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    found = explanation.difference
    yield f"{clean(explanation.workload, at_most=NAME_LENGTH)}, seed {explanation.seed}"
    yield f"{clean(explanation.baseline)[:10]} -> {clean(explanation.candidate)[:10]}"
    yield ""
    if found.parting is Parting.NOTHING:
        yield f"no difference: {clean(found.cause, at_most=LINE_LENGTH)}"
        if explanation.recorded_by_gate:
            yield f"  but in the gate's own trials {clean(explanation.recorded_by_gate, at_most=LINE_LENGTH)}"
    else:
        yield from _difference(found)
    if found.parting not in {Parting.NOTHING, Parting.BASELINE}:
        yield from _changes(explanation)
    yield from _cost(explanation)


def _difference(found: FirstDifference) -> Iterator[str]:
    """Lines about the first difference."""
    is_itself = found.parting is Parting.BASELINE
    if is_itself:
        yield "the baseline differs from itself, so nothing can be concluded about the candidate beyond this place"
    if found.step is not None:
        where = "before the parameters are first used" if found.step == 0 else f"in step {found.step}"
        yield f"first difference: {where}"
    elif found.parting is Parting.GRAPH:
        yield "first difference: in a graph that torch compiles"
    else:
        yield f"first difference: {clean(found.recorded, at_most=LINE_LENGTH)}"
    names = ("baseline", "again" if is_itself else "candidate")
    for name, operator in zip(names, (found.baseline, found.candidate), strict=True):
        if operator is not None:
            yield from _operator(name, operator)
    if found.cause and found.cause != found.recorded:
        yield f"  {clean(found.cause, at_most=LINE_LENGTH)}"
    if found.largest_difference is not None:
        yield f"  largest absolute difference, in {clean(found.compared)}: {found.largest_difference:.3g}"
    if found.recorded and (found.step is not None or found.parting is Parting.GRAPH):
        yield f"  {clean(found.recorded, at_most=LINE_LENGTH)}"


def _operator(name: str, operator: CalledOperator) -> Iterator[str]:
    """Lines about the operator of one revision."""
    arguments = f"({clean(', '.join(operator.arguments))})" if operator.arguments else ""
    inside = f" in module {clean(operator.module)}" if operator.module else ""
    yield f"  {name + ':':11}{clean(operator.name)}{arguments}{inside}"
    line = operator.line
    if line is not None:
        backward = "the backward pass of " if operator.is_backward else ""
        yield f"             {backward}{clean(str(line))}"
        outer = [each for each in operator.stack[operator.stack.index(line) + 1 :] if each.root != "dependency"]
        yield from (f"               from {clean(str(each))}" for each in outer[:MAX_STACK])


def _changes(explanation: Explanation) -> Iterator[str]:
    """Lines about what changed there."""
    nearness, hunks = explanation.nearness, explanation.hunks
    if nearness is Nearness.AT_THE_LINE:
        yield "what changed at this line:"
    elif nearness is Nearness.ON_THE_STACK:
        yield "the change nearest to its stack:"
    elif hunks:
        found = explanation.difference
        stack = "nothing near its stack changed" if found.baseline or found.candidate else "its line is not known"
        number = "the only change" if explanation.num_hunks == 1 else f"{len(hunks)} of {explanation.num_hunks} changes"
        yield f"{stack}; {number} of Python code:"
    else:
        yield "no Python file of the project changed"
    for hunk in hunks:
        yield from _hunk(hunk)
    for name, (before, after) in explanation.dependencies.items():
        yield f"  dependency {clean(name)}: {clean(before)} -> {clean(after)}"


def _hunk(hunk: Hunk) -> Iterator[str]:
    inside = f" {clean(hunk.function)}" if DEFINITION.match(hunk.function) else ""
    yield f"  {clean(hunk.file)}:{hunk.after}{inside}"
    yield from (f"    {clean_code(line)}" for line in hunk.lines)
    if (left := hunk.num_before + hunk.num_after - len(hunk.lines)) > 0:
        yield f"    and {left} more lines"


def clean_code(line: str) -> str:
    r"""Sanitise a line of code, whose indentation stays.

    Example:
        >>> clean_code("+    x = '\x1b'")
        "+    x = '\\x1b'"
    """
    sign, code = (line[0], line[1:]) if line.startswith(SIGNS) else (" ", line)
    stripped = code.lstrip(" ")
    indent = min(len(code) - len(stripped), LINE_LENGTH)
    return f"{sign}{' ' * indent}{clean(stripped, at_most=LINE_LENGTH)}"


def _cost(explanation: Explanation) -> Iterator[str]:
    """The line about how long the search took."""
    seconds = explanation.difference.seconds
    passes = ", ".join(f"{clean(PASSES.get(name, name))} {seconds_text(each)}" for name, each in seconds.items())
    plain = f"; a trial of the gate took {seconds_text(explanation.trial_s)}" if explanation.trial_s else ""
    yield f"time of each pass: {passes}{plain}"
