"""The table that ends a bare ``nox``: what ran, how long it took, what was not run and why, what to run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one session ended.

    Args:
        word: ``passed``, ``failed`` or ``not run``.
        seconds: How long it took.
        reason: Why it was not run.
    """

    word: str
    seconds: float = 0.0
    reason: str = ""


def render_session_table(expected: Sequence[str], outcomes: Mapping[str, Outcome]) -> str:
    """Return the table and the command that repeats what failed.

    Args:
        expected: The sessions of a bare run, in order.
        outcomes: What is known of them; a session that never started is missing.

    Example:
        >>> print(render_session_table(["lint", "tests-3.14"], {"lint": Outcome(word="failed", seconds=3.2)}))
        session     result   time
        lint        failed    3 s
        tests-3.14  not run        Python 3.14 is not installed
        <BLANKLINE>
        run again: nox -s lint
    """
    width = max(map(len, expected), default=0)
    lines = [f"{'session':{width}}  result   time"]
    lines += [_line(name, outcomes.get(name) or never_started(name), width) for name in expected]
    if failed := [name for name in expected if name in outcomes and outcomes[name].word == "failed"]:
        lines += ["", f"run again: nox -s {' '.join(failed)}"]
    return "\n".join(lines)


def never_started(name: str) -> Outcome:
    """Return the outcome of a session that nox did not enter.

    Example:
        >>> never_started("docs").reason
        'an earlier session stopped the run'
    """
    _, dash, python = name.rpartition("-")
    if dash and python.startswith("3."):
        return Outcome(word="not run", reason=f"Python {python} is not installed")
    return Outcome(word="not run", reason="an earlier session stopped the run")


def _line(name: str, outcome: Outcome, width: int) -> str:
    time = "" if outcome.word == "not run" else f"{outcome.seconds:.0f} s"
    return f"{name:{width}}  {outcome.word:7}  {time:>4}  {outcome.reason}".rstrip()
