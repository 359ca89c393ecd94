"""Counts of findings by word, such as ``1 worse, 3 unchanged``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mainstay.records.findings import Finding, Method, Verdict

PROOFS = (Method.EXACT, Method.EQUALITY, Method.UNCHANGED, Method.REWORDED, Method.EXECUTED)
"""Methods that give the degradation without random error."""

UNCHANGED = "unchanged"
"""Word for a pass whose degradation is known to be zero."""

_WORDS = {
    Verdict.FAIL: "worse",
    Verdict.MISSING: "missing",
    Verdict.ERROR: "not measured",
    Verdict.INCONCLUSIVE: "undecided",
    Verdict.WAIVED: "waived",
    Verdict.NEW: "new",
    Verdict.PASS: "within margin",
}

VERDICT_ORDER = tuple(_WORDS)
"""Order of verdicts: blocking ones first; within a verdict, the largest degradation first."""


def word(finding: Finding) -> str:
    """The word under which a finding is counted.

    Args:
        finding: The judgement.
    """
    is_unchanged = finding.verdict is Verdict.PASS and finding.method in PROOFS and finding.estimate == 0
    return UNCHANGED if is_unchanged else _WORDS[finding.verdict]


def count_words(words: Iterable[str]) -> str:
    """Count of each word; words for findings that block a merge come first.

    Args:
        words: Word of each finding.

    Example:
        >>> count_words(["unchanged", "worse", "unchanged"]), count_words([])
        ('1 worse, 2 unchanged', 'no findings')
    """
    counted = Counter(words)
    known = (*_WORDS.values(), UNCHANGED)
    return ", ".join(f"{counted[each]} {each}" for each in known if counted[each]) or "no findings"
