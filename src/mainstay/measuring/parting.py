"""The first operator at which two watched trials part.

Values are identified by their content, so an operator that was added, moved or rewritten without another result does
not count. The search starts from the parameters that differ, and goes back along the values that the other trial
neither computed nor read.

- :func:`first_pair`: positions of the first such operators of two trials.
- :func:`contents_of`: all that a trial computed or read in a step.
- :func:`parameters_differ`: whether two trials wrote different parameters.
- :func:`first_operator`: position of the first such operator of one trial.
- :func:`cause_of`: how two operators differ, in words.
- :func:`compare_recorded`: what two trials recorded differently.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mainstay.runner.protocol import Operator
from mainstay.workers.watching import Watched

FEW = 16
"""Numbers in a result up to which two equal results may be chance."""

STREAMS = ("Python's random", "numpy.random")
"""Streams of random numbers outside of torch."""


def first_pair(
    baseline: Watched, candidate: Watched, wanted: Sequence[frozenset[str]] = (frozenset(), frozenset())
) -> tuple[int | None, int | None]:
    """Positions of the first operators at which two trials part, in the same step.

    The operator that comes first decides; the other position is that of the same call in the other trial, if any.

    Args:
        baseline: Operators of the baseline.
        candidate: Operators of the candidate.
        wanted: Contents of each trial whose origin is to be found, instead of that of the parameters.

    Returns:
        The positions; both ``None`` if the trials computed the same.
    """
    old = first_operator(baseline.operators, candidate.operators, wanted[0])
    new = first_operator(candidate.operators, baseline.operators, wanted[1])
    old_of_new = _same_call(candidate, new, baseline)
    new_of_old = _same_call(baseline, old, candidate)
    if old_of_new is not None and (old is None or old_of_new <= old):
        return old_of_new, new
    if new_of_old is not None and (new is None or new_of_old <= new):
        return old, new_of_old
    return old, new


def contents_of(watched: Watched) -> frozenset[str]:
    """All that a trial computed or read in a step."""
    return frozenset(content for each in watched.operators for content in (*each["inputs"], *each["outputs"]))


def parameters_differ(operators: Sequence[Operator], other: Sequence[Operator]) -> bool:
    """Whether two trials of the same step wrote different parameters."""
    written = [[each["outputs"] for each in some if each["updates"]] for some in (operators, other)]
    return written[0] != written[1]


def _same_call(watched: Watched, number: int | None, other: Watched) -> int | None:
    """Position of the same call in the other trial: also the n-th call of the operator in the same function."""
    if number is None:
        return None
    wanted = _call(watched, watched.operators[number])
    ordinal = sum(_call(watched, each) == wanted for each in watched.operators[:number])
    alike = [position for position, each in enumerate(other.operators) if _call(other, each) == wanted]
    return alike[ordinal] if ordinal < len(alike) else None


def _call(watched: Watched, operator: Operator) -> tuple[str, str, bool, str]:
    """What identifies a call even if lines are added above it."""
    place = watched.places[operator["forward"] if operator["forward"] >= 0 else operator["place"]]
    return operator["name"], operator["module"], operator["is_backward"], place[0]["function"] if place else ""


def first_operator(operators: Sequence[Operator], other: Sequence[Operator], wanted: frozenset[str]) -> int | None:
    """Position of the first operator whose result the other trial lacks and a parameter depends on.

    Args:
        operators: Operators of a step of the trial.
        other: Operators of the same step of the other trial.
        wanted: Contents whose origin is to be found, instead of that of the parameters.

    Returns:
        The position. If no parameter depends on such a result, that of the first operator with one; ``None`` if no
        operator has one.
    """
    contents = {content for each in other for content in (*each["inputs"], *each["outputs"])}
    known = contents | {result for each in other for result in _results(each)}
    strange = [any(result not in known for result in _results(each)) for each in operators]
    writers: dict[int, list[int]] = {}
    for number, each in enumerate(operators):
        for storage in each["written"]:
            writers.setdefault(storage, []).append(number)
    left = [
        number
        for number, each in enumerate(operators)
        if strange[number] and (not wanted.isdisjoint(each["outputs"]) if wanted else each["updates"])
    ]
    found = set(left)
    while left:
        number = left.pop()
        sources = {operators[number]["forward_call"]}
        for content, storage in zip(operators[number]["inputs"], operators[number]["read"], strict=True):
            before = [writer for writer in writers.get(storage, ()) if writer < number]
            if before:
                strangers = [writer for writer in before if strange[writer]]
                sources.update(before[-1:] if content in contents else strangers[-1:])
        new = {source for source in sources - found if source >= 0 and strange[source]}
        found |= new
        left += new
    if found:
        return min(found)
    return next((number for number, each in enumerate(operators) if not contents.issuperset(each["outputs"])), None)


def _results(operator: Operator) -> Iterator[str]:
    """Contents that an operator computed; small ones, often equal by chance, are told apart by the operator's name."""
    for content, shape in zip(operator["outputs"], operator["shapes"], strict=True):
        sizes = [int(size) for size in shape.partition("[")[2].rstrip("]").split(",") if size.strip()]
        yield content if math.prod(sizes) > FEW else f"{operator['name']} {content}"


def cause_of(
    baseline: Operator | None,
    candidate: Operator | None,
    known: frozenset[str],
    again: Operator | None = None,
) -> str:
    """How the first operators of two trials differ.

    Args:
        baseline: The baseline's; ``None`` if the candidate computed or read all that it computed.
        candidate: The candidate's.
        known: What the baseline computed or read in this step.
        again: The same operator in another trial of the baseline; a state of random numbers that differs there too was
            never seeded.
    """
    if candidate is None or baseline is None:
        one = "candidate" if baseline is None else "baseline"
        return f"only the {one} computes this"
    if baseline["name"] != candidate["name"]:
        return f"the candidate calls {candidate['name']} where the baseline calls {baseline['name']}"
    if baseline["generator"] != candidate["generator"]:
        return "it draws random numbers from a generator in another state: another seed, or other draws before it"
    if baseline["arguments"] != candidate["arguments"]:
        old, new = (set(each["arguments"]) for each in (baseline, candidate))
        before = ", ".join(argument for argument in baseline["arguments"] if argument not in new)
        after = ", ".join(argument for argument in candidate["arguments"] if argument not in old)
        return f"it is called with other arguments: {before or 'none'} -> {after or 'none'}"
    if baseline["inputs"] != candidate["inputs"]:
        states = zip(STREAMS, *(each["elsewhere"] for each in (baseline, again or baseline, candidate)), strict=False)
        if streams := [name for name, old, repeated, new in states if old == repeated != new]:
            return f"its inputs differ already, and so does the state of {' and of '.join(streams)}"
        if {*candidate["inputs"]} <= known:
            return "it takes other values, all of which the baseline computes too: another order, or another choice"
        return "its inputs differ already and come from outside torch, or from an earlier step"
    if baseline["shapes"] != candidate["shapes"]:
        return f"its results are of another type or shape: {baseline['shapes']} -> {candidate['shapes']}"
    if baseline["generator"]:
        return "it draws other random numbers from the same state of the generator"
    return "it gives another result for the same inputs and arguments: another build, number of threads or algorithm"


def compare_recorded(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    """What two trials recorded differently, in one sentence: the earliest value of a series, or any other.

    Args:
        baseline: Content of the event ``finished`` of the baseline.
        candidate: That of the candidate.

    Example:
        >>> compare_recorded({"series": {"loss": [2.0, 1.0]}}, {"series": {"loss": [2.0, 0.5]}})
        'series loss differs first at value 2: 1.0 -> 0.5'
    """
    return next(_iter_recorded(baseline, candidate), "")


def why_failed(name: str, finished: Mapping[str, Any] | None) -> str:
    """How a trial failed, in one sentence; empty if it completed or has not ended.

    Args:
        name: Whose trial it is.
        finished: Content of its event ``finished``; ``None`` if it has not ended.
    """
    outcome = (finished or {}).get("outcome", "completed")
    return "" if outcome == "completed" or finished is None else f"trial of the {name} {outcome}: {finished['cause']}"


def _iter_recorded(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    both = {"baseline": baseline, "candidate": candidate}
    if failures := [failure for name, each in both.items() if (failure := why_failed(name, each))]:
        yield from failures
        return
    yield from _differing_series(baseline.get("series") or {}, candidate.get("series") or {})
    for what, label in (("context", "context"), ("values", "value")):
        old, new = (each.get(what) or {} for each in both.values())
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield f"{label} {name} differs: {old.get(name, 'none')} -> {new.get(name, 'none')}"
    first, second = (base64.b64decode((each.get("predictions") or {}).get("predicted", "")) for each in both.values())
    if (differing := _first_difference(first, second)) is not None:
        yield f"the prediction for example {differing} differs"
    if baseline.get("digest") != candidate.get("digest"):
        yield "the recorded digest differs, and nothing else that is recorded"


def _differing_series(old: Mapping[str, Sequence[Any]], new: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """The series that differ: those of one side alone, then the others, the earliest difference first."""
    both = {"baseline": old, "candidate": new}
    for name in sorted(old.keys() ^ new.keys()):
        yield f"series {name} is recorded only by the {next(side for side, curves in both.items() if name in curves)}"
    firsts = {name: _first_difference(old[name], new[name]) for name in sorted(old.keys() & new.keys())}
    for number, name in sorted((number, name) for name, number in firsts.items() if number is not None):
        one, other = (str(curve[name][number]) if number < len(curve[name]) else "none" for curve in (old, new))
        yield f"series {name} differs first at value {number + 1}: {one} -> {other}"


def _first_difference(old: Sequence[Any], new: Sequence[Any]) -> int | None:
    """Position of the first difference; the length of the shorter one if it is the beginning of the other."""
    pairs = enumerate(zip(old, new, strict=False))
    first = next((number for number, (one, other) in pairs if one != other), None)
    return min(len(old), len(new)) if first is None and len(old) != len(new) else first
