"""Scheduling of pairs: seeds and orders are drawn beforehand, pairs are submitted to an executor.

This module does not depend on what a pair measures; any :class:`concurrent.futures.Executor` can be used.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

from mainstay.records.trials import Side

Request = TypeVar("Request")
Result = TypeVar("Result")

SEED_BITS = 31
"""Seeds fit a signed 32-bit integer, which every library takes."""


def derive_seeds(salt: str, commit: str, workload: str, num_seeds: int) -> tuple[int, ...]:
    """The seeds of a workload's pairs, fixed before the first one is measured.

    Args:
        salt: Salt of the project, or of this run if fresh seeds are wanted.
        commit: Full hash of the baseline.
        workload: Node id.
        num_seeds: Number of seeds.

    Returns:
        Distinct integers in [0, 2**31).

    Example:
        >>> derive_seeds("salt", "c0ffee", "test_accuracy.py::test_mlp", 3)
        (1465836891, 1493756621, 579011610)
    """
    seeds: dict[int, None] = {}
    number = 0
    while len(seeds) < num_seeds:
        seeds[_hash_bits(SEED_BITS, "seed", salt, commit, workload, str(number))] = None
        number += 1
    return tuple(seeds)


def draw_order(salt: str, commit: str, workload: str, pair: int) -> tuple[Side, Side]:
    """Draw the order of the sides in a pair: a fair coin decides for every two pairs, and the second is reversed.

    A random order makes the degradation of two equal revisions symmetric about zero, whatever the machine does
    meanwhile. A coin for each pair would do that too, but in 1 of 16 gates the same side would come first in all of the
    first five pairs. If the first trial of a pair is much slower than the second, five nearly equal degradations would
    then look like a real change (in simulations 3.7 % false alarms instead of 1 %,
    ``docs/results/operating_characteristics.json``).

    Example:
        >>> first, second = draw_order("salt", "c0ffee", "w", pair=0)
        >>> first.other is second
        True
    """
    sides = (Side.BASELINE, Side.CANDIDATE)
    coin = _hash_bits(1, "order", salt, commit, workload, str(pair // 2))
    return sides if coin ^ (pair % 2) else sides[::-1]


def draw_block_orders(salt: str, commit: str, workload: str, pair: int, num_alternations: int) -> tuple[Side, ...]:
    """Draw the order of the sides in each alternation: a fair coin decides for every two, and the second is reversed.

    Example:
        >>> first, second, third, fourth = draw_block_orders("salt", "c0ffee", "w", 0, 4)
        >>> first is second.other and third is fourth.other
        True
    """
    stream = f"{workload} blocks of pair {pair}"
    return tuple(draw_order(salt, commit, stream, alternation)[0] for alternation in range(num_alternations))


def draw_workload_order(salt: str, commit: str, pair: int, workloads: Sequence[str]) -> tuple[str, ...]:
    """Draw the order of the workloads that share the processes of a pair, the same for both revisions.

    Example:
        >>> sorted(draw_workload_order("salt", "c0ffee", 0, ["a", "b"]))
        ['a', 'b']
    """
    return tuple(sorted(workloads, key=lambda workload: _hash_bits(64, "turn", salt, commit, workload, str(pair))))


def _hash_bits(num_bits: int, *parts: str) -> int:
    """Uniform bits derived from text only."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") & ((1 << num_bits) - 1)


SHARE_OF_SECONDS = 0.8
"""Share of the budget, or of what is left of it, that is planned for pairs; the rest is a reserve for delays."""

START_SECONDS = 5.0
"""Planned time for the two processes of a pair to start and import."""

LEAST_PAIR_SECONDS = 0.2
"""The shortest time that a timed workload is measured in a pair: a few blocks of each revision."""


def fitted_pair_seconds(wanted: float, *, stretches: Sequence[float], looks: Sequence[int], seconds: float) -> float:
    """Time of each timed workload in a pair, shortened if necessary so that the second look fits into the budget.

    Args:
        wanted: Configured time, which is not exceeded.
        stretches: Of each timed workload, the multiple of the time for which it is measured.
        looks: Numbers of pairs at which the gate looks.
        seconds: Budget for measuring.

    Example:
        >>> [round(fitted_pair_seconds(2.5, stretches=[1.0] * n, looks=(5, 8), seconds=900), 2) for n in (4, 64, 101, 1000)]
        [2.5, 1.33, 0.84, 0.2]
    """
    if not stretches:
        return wanted
    num_pairs = looks[min(1, len(looks) - 1)]
    share = (SHARE_OF_SECONDS * seconds / num_pairs - START_SECONDS) / sum(stretches)
    return min(wanted, max(LEAST_PAIR_SECONDS, share))


LENGTHENING = 2.5
"""Longest time in a pair after the first look, as a multiple of the configured ``pair_seconds``. Most metrics are decided at
that look; for the others, less noise is worth more time, since the number of pairs is limited (``docs/results/pair_lengths.json``)."""


def lengthened_pair_seconds(
    planned: float, longest: float, *, stretches: Sequence[float], num_pairs: int, seconds_left: float
) -> float:
    """Time of each timed workload in a pair after the first look, as long as all looks fit into what is left of the budget.

    The length depends on how many workloads are open and how much time is left, never on a workload's own values. So the
    test of its mean stays valid.

    Args:
        planned: Time up to the first look; no later pair is shorter.
        longest: Time that is not exceeded.
        stretches: Of each timed workload that is still open, the multiple of the time for which it is measured.
        num_pairs: Number of pairs up to the last look that are not measured yet.
        seconds_left: Seconds left of the budget.

    Example:
        >>> [round(lengthened_pair_seconds(0.84, 2.5, stretches=[1.0] * n, num_pairs=15, seconds_left=450), 2) for n in (6, 12, 90)]
        [2.5, 1.58, 0.84]
    """
    if not stretches or not num_pairs:
        return planned
    share = (SHARE_OF_SECONDS * seconds_left / num_pairs - START_SECONDS) / sum(stretches)
    return max(planned, min(longest, share))


def unshortened_seconds(pair_seconds: float, *, stretches: Sequence[float], looks: Sequence[int]) -> int:
    """A whole budget, about the smallest, for which :func:`fitted_pair_seconds` does not shorten the time in a pair.

    Args:
        pair_seconds: Time of each timed workload in a pair.
        stretches: Of each timed workload, the multiple of the time for which it is measured.
        looks: Numbers of pairs at which the gate looks.

    Example:
        >>> seconds = unshortened_seconds(2.5, stretches=[1.0] * 64, looks=(5, 8))
        >>> seconds, fitted_pair_seconds(2.5, stretches=[1.0] * 64, looks=(5, 8), seconds=seconds)
        (1651, 2.5)
    """
    if not stretches:
        return 0
    num_pairs = looks[min(1, len(looks) - 1)]
    exact = num_pairs * (sum(stretches) * pair_seconds + START_SECONDS) / SHARE_OF_SECONDS
    return math.floor(exact) + 1  # beyond the exact value, in case that is rounded


def describe_fit(
    wanted: float, fitted: float, *, stretches: Sequence[float], looks: Sequence[int], seconds: float
) -> str:
    """A note that pairs are shorter than configured, or too few, with a remedy; empty if all is as configured.

    Args:
        wanted: Configured time of the blocks of each timed workload in a pair.
        fitted: The time that fits into the budget.
        stretches: Of each timed workload, the multiple of the time for which it is measured.
        looks: Numbers of pairs at which the gate looks.
        seconds: Budget for measuring.

    Example:
        >>> describe_fit(2.5, 0.2, stretches=[1.0] * 101, looks=(5, 8), seconds=90).partition(": ")[0]
        '101 timed workloads share 90 s'
    """
    pair = sum(stretches) * fitted + START_SECONDS
    first, second = looks[0], looks[min(1, len(looks) - 1)]
    if not stretches or (fitted == wanted and first * pair <= seconds):
        return ""
    longer = "" if max(stretches) == 1 else " (longer with small margins)"
    in_place = f" in place of {wanted:g} s" if fitted != wanted else ""
    note = (
        f"{len(stretches)} timed workloads share {seconds:.0f} s: each is measured for {fitted:.2g} s a pair{in_place}{longer}, "
        f"about {first * pair:.0f} s up to the first look at {first} pairs"
    )
    if first * pair > seconds:
        num_fit = int(max(0.0, seconds / first - START_SECONDS) * len(stretches) / (sum(stretches) * fitted) + 1e-9)
        fewer = f", or at most {num_fit} of them (-k, -m, files)" if num_fit else ""
        return (
            f"{note}; none of them will be decided: that would take 'seconds' = {math.ceil(first * pair - 1e-9)}{fewer}"
        )
    if second * pair > seconds:
        reach = f"'seconds' = {math.ceil(second * pair - 1e-9)} reaches the look at {second} pairs"
        return f"{note}; metrics that this does not decide will stay undecided: {reach}"
    return note


def measure_all(
    requests: Sequence[Request],
    measure: Callable[..., Result],
    executor: Executor,
    *,
    arguments: Callable[[Request], tuple[Any, ...] | None] = lambda request: (request,),
    num_at_once: int,
    num_processes: Callable[[Request], int] = lambda _: 1,
    deadline: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """Measure requests with an executor; yields results in the order of completion.

    Args:
        requests: Requests in the order in which they are started.
        measure: Function that measures one request.
        executor: Executor to use; with processes, ``measure`` and its arguments must be picklable.
        arguments: Called when a request is about to start; gives the arguments of ``measure``, or ``None`` if the
            request is no longer wanted.
        num_at_once: Number of processes that may run at once; a request that needs more runs alone.
        num_processes: Gives the number of processes that a request needs.
        deadline: Time after which nothing more is started; running requests must end by themselves.
        clock: Function that gives the time.

    Yields:
        Results; fewer than requests if the deadline passes first.
    """
    waiting = list(reversed(requests))
    under_way: dict[Future[Result], int] = {}

    def is_room() -> bool:
        return not under_way or sum(under_way.values()) + num_processes(waiting[-1]) <= num_at_once

    try:
        while waiting or under_way:
            while waiting and is_room() and clock() < deadline:
                request = waiting.pop()
                if (called_with := arguments(request)) is not None:
                    under_way[executor.submit(measure, *called_with)] = num_processes(request)
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                del under_way[future]
                yield future.result()
    finally:
        for future in under_way:
            future.cancel()
