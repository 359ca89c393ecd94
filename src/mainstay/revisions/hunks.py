"""Changed lines of two commits, and those that lie nearest to a line of code that was executed.

- :func:`read_hunks`: changed lines of the Python files.
- :func:`nearest_hunks`: those nearest to the stacks of both revisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

from mainstay.records.explanations import CodeLine, Hunk, Nearness
from mainstay.revisions.git import Repository

HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")

MAX_LINES = 12
"""Lines of a hunk that are shown."""

MAX_HUNKS = 3
"""Hunks that are named if none is on the stack."""

MOST_DISTANT = 60
"""Lines between a line on the stack and a hunk of the same file that still counts as near."""


def read_hunks(repository: Repository, baseline: str, candidate: str) -> tuple[Hunk, ...]:
    """Changed lines of the Python files of two commits.

    Args:
        repository: The user's repository.
        baseline: Commit of the baseline.
        candidate: Commit of the candidate.

    Raises:
        GitError: If a commit is not there any more.
    """
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=0")
    prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
    diff = repository.call("diff", *options, *prefixes, baseline, candidate, "--", "*.py")
    return tuple(parse_hunks(diff.text))


def parse_hunks(diff: str) -> Iterator[Hunk]:
    r"""Hunks of a unified diff without context.

    Example:
        >>> hunk, = parse_hunks("--- a/m.py\n+++ b/m.py\n@@ -3 +3,2 @@ def f():\n-    x\n+    y\n+    z\n")
        >>> hunk.file, hunk.before, hunk.after, hunk.num_after, hunk.lines
        ('m.py', 3, 3, 2, ('-    x', '+    y', '+    z'))
    """
    old = new = ""
    # a backslash marks a file without a last line break
    lines = (line for line in diff.split("\n") if not line.startswith("\\"))
    for line in lines:
        if line.startswith("--- "):
            old = line[4:].removeprefix("a/")
        elif line.startswith("+++ "):
            new = line[4:].removeprefix("b/")
        elif header := HEADER.match(line):
            before, num_before, after, num_after = (int(number or 1) for number in header.groups()[:4])
            body = tuple(islice(lines, num_before + num_after))
            yield Hunk(
                file=old if new == "/dev/null" else new,
                before=before,
                num_before=num_before,
                after=after,
                num_after=num_after,
                lines=body[:MAX_LINES],
                function=header[5],
            )


def nearest_hunks(
    hunks: Sequence[Hunk], baseline: Sequence[CodeLine], candidate: Sequence[CodeLine]
) -> tuple[Nearness, tuple[Hunk, ...]]:
    """The changed lines nearest to the stacks of both revisions.

    Args:
        hunks: All changed lines.
        baseline: Stack of the baseline, the innermost line first.
        candidate: Stack of the candidate.

    Returns:
        How near they are, and they: one if it is on a stack, else the first of all.
    """
    innermost_first = zip_longest(candidate, baseline)
    stacks = [(line, is_old) for pair in innermost_first for is_old, line in enumerate(pair) if line is not None]
    for nearness, limit in ((Nearness.AT_THE_LINE, 0), (Nearness.ON_THE_STACK, MOST_DISTANT)):
        for line, is_old in stacks:
            near = [hunk for hunk in hunks if _is_file(line, hunk)]
            distances = [(_distance(line, hunk, is_old=bool(is_old)), number) for number, hunk in enumerate(near)]
            if distances and min(distances)[0] <= limit:
                return nearness, (near[min(distances)[1]],)
    return (Nearness.ELSEWHERE if hunks else Nearness.NOWHERE), tuple(hunks[:MAX_HUNKS])


def _is_file(line: CodeLine, hunk: Hunk) -> bool:
    """Whether a line belongs to the file of a hunk, which is named from the top of the repository."""
    return line.root != "dependency" and f"/{hunk.file}".endswith(f"/{line.file}")


def _distance(line: CodeLine, hunk: Hunk, *, is_old: bool) -> int:
    """Lines between a line and a hunk; 0 inside it, or beside what was only removed or added."""
    start, length = (hunk.before, hunk.num_before) if is_old else (hunk.after, hunk.num_after)
    end = start + max(length, 1) - 1 + (length == 0)
    return max(start - line.line, line.line - end, 0)
