"""Simulate years of a project: false alarms, delays, change points and searches for a guilty commit.

Run from the root of the repository, about an hour on one core::

    python -m experiments.history --output docs/results/history.json

``--lives`` and ``--searches`` say how often; every figure carries its count. ``--only`` makes some tables anew. Gates
are judged by the functions that judge real ones, so they stop as early as these do; margins are given as their ratio to
the standard deviation of a pair. A table that is finished is written at once, so an interrupted run continues with
``--only``; ``detectors``, whose rows take minutes each, goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy.stats import chi2

from experiments.provenance import Row, commit, versions, write_results
from experiments.simulate import NOISE, Draw, judge_gates
from mainstay.gates.policy import Design
from mainstay.stats.change_points import MIN_SEGMENT, find_change_points
from mainstay.stats.culprit import CONFIDENCE, NUM_FIRST_PAIRS, start_search
from mainstay.stats.paired import one_sided_p_values, summarise_pairs
from mainstay.stats.proportions import wilson_interval
from mainstay.stats.trend import RUN_LENGTH, anchor_level, drift_evidence, earlier_deviation

SEED = 20_270_131
DESIGN = Design(num_gated=1)
EVERY = 20
"""Commits between two anchors."""

NOISES = ("normal", "heavy tails", "outliers", "two states", "rare explosions")
"""Noise of a pair that is symmetric by itself."""

MACHINES = ("drift, couples", "bimodal, couples", "loaded half-way, couples")
"""Machines whose state changes, with the order of trials that gates use."""

RATIOS = (1.67, 0.83)
"""Margins over the standard deviation of a pair."""

COMMITS = 3_000
"""Of a life without a change."""

MOST_COMMITS = 300
"""After a change, until it counts as not seen."""

GIT_SHARE = 4
"""One in so many searches is also made by ``git bisect``, whose gates take most of the time."""

Array = NDArray[np.float64]


class Life(NamedTuple):
    """What a project saw.

    Attributes:
        alarms: Commits after which it was alarmed, by increments or by an anchor.
        fails: Commits that failed their own gate.
        pairs: Pairs that each gate measured.
    """

    alarms: list[int]
    fails: list[int]
    pairs: list[int]


def live(rng: np.random.Generator, draw: Draw, ratio: float, levels: Array) -> Life:
    """Gate every commit of a project against the one before it, and every twentieth against the first.

    Args:
        rng: Source of all draws.
        draw: Noise of a pair, of unit deviation.
        ratio: Margin over the deviation.
        levels: (commits,) true degradation after each commit, in margins.
    """
    num_commits = levels.size
    increments = np.diff(levels, prepend=0.0) * ratio
    degradations = draw(rng, (num_commits, 1, DESIGN.looks[-1])) + increments[:, None, None]
    verdicts = judge_gates(degradations, values=None, margin=ratio, design=DESIGN)
    pairs = [row[:used] for row, used in zip(degradations[:, 0], verdicts.pairs_of_metric[:, 0], strict=True)]
    deviations = earlier_deviation(pairs, fallback=ratio)
    alarms = set(drift_evidence(pairs, margin=ratio, deviations=deviations).alarms)
    places = np.arange(EVERY - 1, num_commits, EVERY)
    anchors = draw(rng, (places.size, 1, NUM_FIRST_PAIRS))[:, 0] + (levels[places] * ratio)[:, None]
    above = one_sided_p_values(summarise_pairs(anchors), 0.0).above
    alarms |= set(places[above <= anchor_level(EVERY)].tolist())
    return Life(
        sorted(alarms), np.flatnonzero(verdicts.fails[:, 0]).tolist(), [degradations.size for degradations in pairs]
    )


def run_lengths(lives: int) -> Iterator[Row]:
    """How many commits pass between false alarms, by noise."""
    for index, noise in enumerate((*NOISES, *MACHINES)):
        for ratio in RATIOS:
            rng = np.random.default_rng([SEED, 1, index, round(100 * ratio)])
            found = [live(rng, NOISE[noise].draw, ratio, np.zeros(COMMITS)) for _ in range(lives)]
            yield {
                "noise": noise,
                "margin_over_sd": ratio,
                "commits": lives * COMMITS,
                "run_length": _run_length(lives * COMMITS, sum(len(each.alarms) for each in found)),
                "run_length_of_failing_gates": _run_length(lives * COMMITS, sum(len(each.fails) for each in found)),
            }


def _run_length(commits: int, alarms: int) -> Row:
    """Commits for each alarm, with the 95 % interval of a Poisson count."""
    high = commits / (chi2.ppf(0.025, 2 * alarms) / 2) if alarms else math.inf
    low = commits / (chi2.ppf(0.975, 2 * alarms + 2) / 2)
    return {
        "alarms": alarms,
        "mean": round(commits / alarms) if alarms else None,
        "low": round(low),
        "high": round(high) if math.isfinite(high) else None,
    }


CHANGES: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "step of 0.5": lambda i: 0.5 * (i >= 0),
    "step of 1": lambda i: 1.0 * (i >= 0),
    "step of 2": lambda i: 2.0 * (i >= 0),
    "drift of 0.025 a commit": lambda i: 0.025 * np.maximum(i + 1, 0),
    "drift of 0.05 a commit": lambda i: 0.05 * np.maximum(i + 1, 0),
    "drift of 0.1 a commit": lambda i: 0.1 * np.maximum(i + 1, 0),
    "twenty steps of 0.5": lambda i: 0.5 * np.clip(i + 1, 0, 20),
}
"""True degradation in margins, by commits since the change began."""


class ChangedLife(NamedTuple):
    """A life with a change.

    Attributes:
        start: First commit of the change.
        levels: True degradation after each commit, in margins.
        life: What the project saw.
    """

    start: int
    levels: Array
    life: Life


def changed_lives(change: str, ratio: float, lives: int) -> Iterator[ChangedLife]:
    """The lives with a change, the same ones for every method.

    Args:
        change: Of :data:`CHANGES`.
        ratio: Margin over the deviation of a pair.
        lives: How many.
    """
    rng = np.random.default_rng([SEED, 2, list(CHANGES).index(change), round(100 * ratio)])
    for _ in range(lives):
        start = 2 * EVERY + int(rng.integers(EVERY))
        levels = CHANGES[change](np.arange(start + MOST_COMMITS) - start)
        yield ChangedLife(start, levels, live(rng, NOISE["normal"].draw, ratio, levels))


def _wait(changed: ChangedLife, *, most: int) -> int:
    """Commits until the change is alarmed."""
    return min(
        (i - changed.start for i in changed.life.alarms if changed.start <= i < changed.start + most), default=most
    )


def delays(lives: int) -> Iterator[Row]:
    """How many commits pass until a change is seen, and how often its own gate sees it at once."""
    for change in CHANGES:
        for ratio in RATIOS:
            waits, at_once = [], 0
            for changed in changed_lives(change, ratio, lives):
                waits.append(_wait(changed, most=MOST_COMMITS))
                at_once += changed.start in changed.life.fails
            yield {
                "change_in_margins": change,
                "margin_over_sd": ratio,
                "lives": lives,
                "mean": round(float(np.mean(waits)), 1),
                "commits_in_90_percent": math.ceil(np.quantile(waits, 0.9)),
                "within_24_commits": _share(sum(wait <= 24 for wait in waits), lives),
                "failed_its_own_gate": _share(at_once, lives),
            }


DETECTORS = {"asv": "asv==0.6.6", "otava": "apache-otava==0.8.0"}
"""Other tools that detect steps, and what is installed of each, in an environment of its own."""

RUN_PARTS = (0.0, 1.0)
"""Deviation of what a whole run adds to its values, in deviations of a pair; pairs cancel it, levels do not."""

WATCHED = 60
"""Commits after a change for which levels are watched."""


def detectors(lives: int, known: Sequence[Row] = ()) -> Iterator[Row]:
    """How many commits pass until step detectors of other tools see a change in the levels of the same lives.

    Args:
        lives: How many.
        known: Rows that an interrupted run has made.
    """
    for change in [each for each in CHANGES if "twenty" not in each]:
        for ratio in RATIOS:
            chosen: list[ChangedLife] = []
            for name, run_part in itertools.product(DETECTORS, RUN_PARTS):
                row = {
                    "detector": name,
                    "run_part": run_part,
                    "change_in_margins": change,
                    "margin_over_sd": ratio,
                    "lives": lives,
                }
                made = [each for each in known if row.items() <= each.items()]
                if not made:
                    chosen = chosen or list(changed_lives(change, ratio, lives))
                    rng = np.random.default_rng([SEED, 7, list(CHANGES).index(change), round(100 * ratio)])
                    series = [_values(rng, each, ratio, run_part)[: each.start + WATCHED] for each in chosen]
                    tasks = [
                        {"values": values, "start": each.start, "most": WATCHED}
                        for values, each in zip(series, chosen, strict=True)
                    ]
                    waits = [_wait(each, most=WATCHED) for each in chosen]
                    made = [{**row, **_waits(_answers(name, tasks)), "of_mainstay": _waits(waits)}]
                yield made[0]


def _values(rng: np.random.Generator, changed: ChangedLife, ratio: float, run_part: float) -> list[float]:
    """Mean of the candidate in each gate, with a margin of 5 %.

    One trial has half the variance of a pair, and each gate has as many as it measured pairs.
    """
    noise = rng.standard_normal(changed.levels.size) / np.sqrt(2 * np.asarray(changed.life.pairs))
    whole = run_part * rng.standard_normal(changed.levels.size)
    return list(map(float, 100 * np.exp(0.05 * (changed.levels + (noise + whole) / ratio))))


def _waits(waits: Sequence[int]) -> Row:
    """Delays in figures."""
    return {
        "mean": round(float(np.mean(waits)), 1),
        "commits_in_90_percent": math.ceil(np.quantile(waits, 0.9)),
        "within_24_commits": _share(sum(wait <= 24 for wait in waits), len(waits)),
    }


def detectors_run_lengths(lives: int) -> Iterator[Row]:
    """How many commits pass between false alarms of these detectors: a tenth of the lives, of 300 commits each."""
    for name in DETECTORS:
        for index, noise in enumerate(NOISES):
            rng = np.random.default_rng([SEED, 8, index])
            series = [NOISE[noise].draw(rng, (1, 1, MOST_COMMITS))[0, 0] for _ in range(max(1, lives // 10))]
            tasks = [{"values": list(map(float, 100 * np.exp(0.03 * each)))} for each in series]
            commits = len(tasks) * MOST_COMMITS
            yield {
                "detector": name,
                "noise": noise,
                "commits": commits,
                "run_length": _run_length(commits, sum(_answers(name, tasks))),
            }


def _answers(name: str, tasks: Sequence[Row]) -> list[int]:
    """What a detector answers, in an environment of its own."""
    watch = Path(__file__).parent / "detectors" / "watch.py"
    run = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, "--with", DETECTORS[name]]
    done = subprocess.run(
        [*run, "python", str(watch), name],
        input="".join(f"{json.dumps(task)}\n" for task in tasks), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return list(map(int, done.stdout.split()))


def _share(count: int, n: int) -> Row:
    """A share with its 95 % interval."""
    if n == 0:
        return {"count": 0, "n": 0, "rate": None}
    low, high = wilson_interval(count, n)
    return {"count": count, "n": n, "rate": round(count / n, 4), "low": round(low, 4), "high": round(high, 4)}


def false_change_points(lives: int) -> Iterator[Row]:
    """How many changes are found in series without one."""
    for index, noise in enumerate((*NOISES, "autoregressive")):
        for size in (50, 200, 1_000):
            rng = np.random.default_rng([SEED, 3, index, size])
            found = sum(len(find_change_points(_series(rng, noise, size))) for _ in range(lives))
            yield {
                "noise": noise,
                "points": size,
                "series": lives,
                "false_per_1000": round(1_000 * found / lives / size, 4),
            }


def _series(rng: np.random.Generator, noise: str, size: int) -> Array:
    """A series of levels without a change."""
    if noise != "autoregressive":
        return np.asarray(NOISE[noise].draw(rng, (1, 1, size))[0, 0])
    series = rng.standard_normal(size)
    for i in range(1, size):
        series[i] = 0.5 * series[i - 1] + math.sqrt(0.75) * series[i]
    return series


def found_change_points(lives: int) -> Iterator[Row]:
    """How many steps are found within five points, beside another method on the same series."""
    methods = {"mainstay": _own, "ruptures, PELT with 3 ln n": _ruptures}
    for index, noise in enumerate((*NOISES, "autoregressive")):
        rng = np.random.default_rng([SEED, 4, index])
        counts = {name: np.zeros(3, dtype=int) for name in methods}
        for _ in range(lives):
            true, size = [], 0
            levels: list[float] = []
            for _ in range(10):
                length = int(rng.integers(40, 161))
                step = float(rng.choice([-1, 1]) * rng.uniform(1.5, 3.0))
                levels += [(levels[-1] if levels else 0.0) + step] * length
                size += length
                true.append(size)
            series = _series(rng, noise, size) + np.asarray(levels)
            for name, method in methods.items():
                found = method(series)
                hits = _matched(true[:-1], found)
                counts[name] += (hits, len(found), len(true) - 1)
        for name, (hits, num_found, num_true) in counts.items():
            yield {
                "noise": noise,
                "method": name,
                "precision": _share(int(hits), int(num_found)),
                "recall": _share(int(hits), int(num_true)),
            }


def _own(series: Array) -> list[int]:
    return [point.position for point in find_change_points(series)]


def _ruptures(series: Array) -> list[int]:
    deviation = float(np.median(np.abs(np.diff(series)))) / 0.6745 / math.sqrt(2)
    model = ruptures.KernelCPD(kernel="linear", min_size=MIN_SEGMENT, jump=1).fit(series[:, None] / deviation)
    return list(model.predict(pen=3 * math.log(series.size)))[:-1]


def _matched(true: Sequence[int], found: Sequence[int], *, within: int = 5) -> int:
    """How many true places have a found one near, each found one counting once."""
    left = sorted(found)
    hits = 0
    for place in true:
        near = [each for each in left if abs(each - place) <= within]
        if near:
            left.remove(min(near, key=lambda each: abs(each - place)))
            hits += 1
    return hits


def searches(num_searches: int) -> Iterator[Row]:
    """How often the guilty commit is named, and is right, beside ``git bisect run`` with the verdict of a gate."""
    for degradation, ratio in ((2.0, 1.67), (2.0, 0.83), (1.0, 1.67), (1.0, 0.83)):
        for size in (8, 64, 512):
            rng = np.random.default_rng([SEED, 5, round(10 * degradation), round(100 * ratio), size])
            outcomes: list[Found] = []
            by_git: list[Found] = []
            culprits: list[int] = []
            for _ in range(num_searches):
                culprit = int(rng.integers(1, size + 1))
                true = np.where(np.arange(1, size + 1) >= culprit, degradation * ratio, 0.0)
                culprits.append(culprit)
                outcomes.append(search(rng, true))
                if len(by_git) < num_searches // GIT_SHARE:
                    by_git.append(bisect_by_verdicts(rng, true, margin=ratio))
            pairs = list(zip(outcomes, culprits, strict=True))
            named = [(found, culprit) for found, culprit in pairs if found.is_named]
            others = [(found, culprit) for found, culprit in pairs if found.probes and not found.is_named]
            git_right = [
                found.is_named and found.first == culprit for found, culprit in zip(by_git, culprits, strict=False)
            ]
            yield {
                "degradation_in_margins": degradation,
                "margin_over_sd": ratio,
                "commits": size,
                "began": _share(sum(found.probes > 0 or found.is_named for found in outcomes), num_searches),
                "named_of_begun": _share(len(named), sum(found.probes > 0 or found.is_named for found in outcomes)),
                "right_of_named": _share(sum(found.first == culprit for found, culprit in named), len(named)),
                "in_the_range_of_others": _share(
                    sum(found.first <= culprit <= found.last for found, culprit in others), len(others)
                ),
                "probes": _mean([found.probes for found in outcomes]),
                "probes_in_90_percent": math.ceil(np.quantile([found.probes for found in outcomes], 0.9)),
                "pairs": _mean([found.pairs for found in outcomes]),
                "git_right": _share(sum(git_right), len(by_git)),
                "git_gates": _mean([found.probes for found in by_git]),
                "git_pairs": _mean([found.pairs for found in by_git]),
            }


def _mean(counts: Sequence[int]) -> float:
    return round(float(np.mean(counts)), 1)


def spread_searches(num_searches: int) -> Iterator[Row]:
    """What becomes of a degradation that comes in several parts."""
    for parts, within, size in ((2, 6, 64), (4, 12, 64), (10, 40, 64)):
        rng = np.random.default_rng([SEED, 6, parts])
        blamed = most = 0
        lengths = []
        for _ in range(num_searches):
            start = int(rng.integers(0, size - within + 1))
            at = start + rng.choice(within, size=parts, replace=False)
            true = np.asarray(2.0 * 1.67 * np.cumsum(np.bincount(at, minlength=size)) / parts, dtype=np.float64)
            outcome = search(rng, true)
            blamed += outcome.is_named
            before = true[outcome.first - 2] if outcome.first > 1 else 0.0
            most += not outcome.is_named and bool(true[outcome.last - 1] - before >= 0.8 * true[-1])
            lengths.append(outcome.last - outcome.first + 1)
        yield {
            "parts": parts,
            "in_commits": within,
            "wrongly_named": _share(blamed, num_searches),
            "range_holds_80_percent": _share(most, num_searches - blamed),
            "length_of_range": _mean(lengths),
        }


class Found(NamedTuple):
    """What a simulated search came to."""

    first: int
    last: int
    is_named: bool
    probes: int
    pairs: int


def search(rng: np.random.Generator, true: Array) -> Found:
    """Look for a guilty commit as ``mainstay bisect`` does, among pairs of unit deviation."""
    state = start_search(true.size, true[-1] + rng.standard_normal(NUM_FIRST_PAIRS))
    if state is None:
        return Found(1, true.size, is_named=False, probes=0, pairs=NUM_FIRST_PAIRS)
    pairs = NUM_FIRST_PAIRS
    while (commit := state.next_probe()) is not None:
        pairs += state.num_pairs
        state = state.observed(commit, true[commit - 1] + rng.standard_normal(state.num_pairs))
    group, probability = state.culprit()
    if probability >= CONFIDENCE:
        return Found(group[0], group[-1], is_named=True, probes=state.num_probes, pairs=pairs)
    first, last, _ = state.interval()
    return Found(first, last, is_named=False, probes=state.num_probes, pairs=pairs)


def bisect_by_verdicts(rng: np.random.Generator, true: Array, *, margin: float) -> Found:
    """Halve by verdicts of gates against the good commit: pass is good, fail is bad, another commit where inconclusive."""
    good, bad, skipped, gates, pairs = 0, true.size, set[int](), 0, 0
    while left := [i for i in range(good + 1, bad) if i not in skipped]:
        commit = min(left, key=lambda i: (abs(i - (good + bad) / 2), i))
        degradations = true[commit - 1] + rng.standard_normal((1, 1, DESIGN.looks[-1]))
        verdicts = judge_gates(degradations, values=None, margin=margin, design=DESIGN)
        gates += 1
        pairs += int(verdicts.pairs[0])
        if verdicts.fails[0, 0]:
            bad = commit
        elif verdicts.passes[0, 0]:
            good = commit
        else:
            skipped.add(commit)
    return Found(good + 1, bad, is_named=bad - good == 1, probes=gates, pairs=pairs)


TABLES: Mapping[str, tuple[str, Callable[..., Iterator[Row]]]] = {
    "run_lengths": ("lives", run_lengths),
    "delays": ("lives", delays),
    "false_change_points": ("lives", false_change_points),
    "found_change_points": ("lives", found_change_points),
    "searches": ("searches", searches),
    "spread_searches": ("searches", spread_searches),
    "detectors": ("lives", detectors),
    "detectors_run_lengths": ("lives", detectors_run_lengths),
}
"""How often each table is counted, and what makes it."""


def provenance(options: argparse.Namespace, seconds: Mapping[str, float]) -> Row:
    """What is needed to get the same figures again."""
    return {
        "command": f"python -m experiments.history --lives {options.lives} --searches {options.searches}",
        "commit": commit(),
        "seed": SEED,
        "lives": options.lives,
        "searches": options.searches,
        "commits_between_alarms_promised": RUN_LENGTH,
        "commits_between_anchors": EVERY,
        "versions": {
            **versions("python", "numpy", "scipy", "ruptures"),
            **dict(requirement.split("==") for requirement in DETECTORS.values()),
        },
        "seconds": {name: round(value) for name, value in seconds.items()},
    }


def _write(place: Path, document: Mapping[str, Any]) -> None:
    """Write all tables in their order."""
    ordered = {key: document[key] for key in ("provenance", *TABLES) if key in document}
    write_results(place, ordered)


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lives", type=int, default=200, help="simulated projects and series of each kind")
    parser.add_argument("--searches", type=int, default=200, help="simulated searches of each kind")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="make these tables anew")
    options = parser.parse_args(argv)
    document: dict[str, Any] = {}
    if options.output.exists():
        document = json.loads(options.output.read_text(encoding="utf-8"))
    seconds = dict(document.get("provenance", {}).get("seconds", {}))
    for name in options.only:
        start = time.monotonic()
        unit, make = TABLES[name]
        known = document.get(name, [])
        rows = make(getattr(options, unit)) if make is not detectors else detectors(options.lives, known)
        made: list[Row] = []
        for row in rows:
            made.append(row)
            if make is detectors:  # its rows take minutes each
                document[name] = made
                _write(options.output, document)
        document[name] = made
        seconds[name] = time.monotonic() - start
        document["provenance"] = provenance(options, seconds)
        _write(options.output, document)
        print(f"{name}: {seconds[name]:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
