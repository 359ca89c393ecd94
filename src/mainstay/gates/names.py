"""What was added to a count and what is gone from it, by name and by place in the source.

- :func:`changed_names`: the lines that a report shows under a count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mainstay.records.trials import CountedName

Thing = tuple[str, str, str]
"""Name, file and function: by these a thing is the same in both revisions, whatever stands above it in the file."""


def changed_names(
    baseline: Sequence[CountedName], candidate: Sequence[CountedName], *, unit: str = ""
) -> tuple[str, ...]:
    """List what was added and what is gone, one per line.

    Within a function, only the difference is listed. It is looked for first on the lines that the other revision does not
    have, so lines that have only moved are not named.

    Args:
        baseline: What was counted for the baseline.
        candidate: What was counted for the candidate.
        unit: Unit of the count; empty if things are counted.

    Example:
        >>> changed_names([CountedName(name="json"), CountedName(name="math")], [CountedName(name="math")])
        ('gone: json',)
        >>> old = CountedName(name="aten::item", file="train.py", function="step", line=8, code="loss.item()")
        >>> moved = CountedName(name="aten::item", file="train.py", function="step", line=9, code="loss.item()")
        >>> new = CountedName(name="aten::item", file="train.py", function="step", line=7, code="norm.item()")
        >>> changed_names([old], [new, moved])
        ('added: aten::item x1 at train.py:7: norm.item()',)
    """
    added = (f"added: {_described(each, number, unit)}" for each, number in _surplus(candidate, baseline))
    gone = (f"gone: {_described(each, number, unit)}" for each, number in _surplus(baseline, candidate))
    return (*added, *gone)


def _surplus(these: Sequence[CountedName], those: Sequence[CountedName]) -> Iterator[tuple[CountedName, int]]:
    """What the first has more of, and how much; lines that only the first has come before others of a function."""
    left, on_line = _numbers(these), Counter[tuple[Thing, str]]()
    left.subtract(_numbers(those))
    for each in those:
        on_line[_thing(each), each.code] += each.number
    for each in sorted(these, key=lambda each: (_thing(each), (_thing(each), each.code) in on_line, each.line)):
        excess = each.number - on_line[_thing(each), each.code]
        number = min(left[_thing(each)], excess if excess > 0 else each.number)
        if number > 0:
            left[_thing(each)] -= number
            yield each, number


def _numbers(counted: Sequence[CountedName]) -> Counter[Thing]:
    numbers: Counter[Thing] = Counter()
    for each in counted:
        numbers[_thing(each)] += each.number
    return numbers


def _thing(each: CountedName) -> Thing:
    return each.name, each.file, each.function


def _described(each: CountedName, number: int, unit: str) -> str:
    if not each.file and number == 1 and not unit:
        return each.name
    amount = f"{each.name} {number} {unit}" if unit else f"{each.name} x{number}"
    if not each.file:
        return amount
    return f"{amount} at {each.file}:{each.line}: {each.code}"
