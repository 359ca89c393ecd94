"""Measure the error rates of the judgement by simulation and write them down.

Run from the root of the repository, about half an hour on one core::

    python -m experiments.operating_characteristics --output docs/results/operating_characteristics.json

A part of the tables is made anew with ``--only``: the others stay as they are, and the document says at which commit
each was made. Every rate carries its count, its number of simulated gates and its 95 % interval. Where the design of the statistics
published a figure, it stands beside ours with whether the two agree within the error of both simulations. A piece that
is finished is kept under ``.mainstay/simulated`` by all that it depends on: an interrupted run continues with the next.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from experiments.provenance import ROOT, Row, head, is_clean, versions, write_results
from experiments.simulate import (
    MACHINES,
    NOISE,
    Degradations,
    Draw,
    GateRates,
    Noise,
    Rate,
    Scenario,
    Verdicts,
    draw_degradations,
    draw_values,
    explode,
    judge_gates,
    no_moments,
    normal,
    order_effect,
    paired,
    simulate_gates,
)
from mainstay.gates.family import ABOVE_ZERO, weigh_evidence
from mainstay.gates.policy import Design
from mainstay.stats.paired import one_sided_p_values, summarise_pairs
from mainstay.stats.power import pairs_to_settle
from mainstay.stats.sequential import boundaries

SEED = 20_240_613
PUBLISHED_GATES = 10_000
"""Repetitions behind a published figure of the whole gate; at least as many behind the others."""


def compare(rate: Rate, published: str | None) -> Row:
    """A rate beside a published one in percent.

    The two agree if they differ by at most three standard errors of their difference, beyond the rounding of the
    published one.
    """
    row: Row = asdict(rate)
    if published is None:
        return row
    other = float(published) / 100
    rounding = 0.5 * 10.0 ** float(Decimal(published).as_tuple().exponent) / 100
    pooled = max(rate.rate, other, 1 / rate.n)
    error = math.sqrt(pooled * (1 - min(pooled, 1 - 1 / rate.n)) * (1 / rate.n + 1 / PUBLISHED_GATES))
    return {**row, "published_percent": published, "agrees": abs(rate.rate - other) <= rounding + 3 * error}


def compare_range(rate: Rate, published: tuple[str, str] | None) -> Row:
    """A rate beside a published range in percent; they agree if it lies inside, or agrees with the nearer end."""
    if published is None:
        return asdict(rate)
    lowest, highest = (float(end) / 100 for end in published)
    nearer = min(published, key=lambda end: abs(rate.rate - float(end) / 100))
    agrees = lowest <= rate.rate <= highest or compare(rate, nearer)["agrees"]
    return {**asdict(rate), "published_percent": "-".join(published), "agrees": agrees}


def boundary_table() -> list[Row]:
    """Values of t beyond which each look rejects, by level."""
    looks = (5, 8, 12, 20)
    levels = {"margin_level": 0.05, "alpha": 0.01, **{f"alpha/{k}": 0.01 / k for k in (2, 6, 12, 20)}}
    return [
        {"level": name, "looks": looks, "t": boundaries(looks, level=level).round(2).tolist()}
        for name, level in levels.items()
    ]


PUBLISHED_LEVELS = {
    "normal": ("1.1", "0.9"),
    "heavy tails": ("0.6", "0.7"),
    "outliers": ("0.9", "0.6"),
    "two states": ("0.4", "1.0"),
    "skewed degradations": ("7.5", "7.0"),
    "slow baseline": ("21", "14"),
    "dependent pairs": ("5.5", "8.3"),
}
"""Level in percent of t at nominal 1 % in one look at 5 and at 12 pairs."""


def one_look_levels(num_tests: int) -> Iterator[Row]:
    """Rate of false degradations by t at nominal 1 %, in one look, by noise; the worse of both sides."""
    for index, (noise, published) in enumerate(PUBLISHED_LEVELS.items()):
        for num_pairs, figure in zip((5, 12), published, strict=True):
            rate = one_look_level(NOISE[noise].draw, num_pairs=num_pairs, num_tests=num_tests, seed=index)
            yield {"noise": noise, "pairs": num_pairs, "level": compare(rate, figure)}


def one_look_level(draw: Draw, *, num_pairs: int, num_tests: int, seed: int) -> Rate:
    """How often one look at nominal 1 % rejects the truth, on the side on which it does so more often."""
    degradations = draw(np.random.default_rng([SEED, seed]), (num_tests, 1, num_pairs))[:, 0]
    above, below = one_sided_p_values(summarise_pairs(degradations), 0.0)
    return Rate(count=max(int((above <= 0.01).sum()), int((below <= 0.01).sum())), n=num_tests)


PUBLISHED_COIN_LEVELS = ("0.9", "1.0")
"""Level in percent of t at nominal 1 % under drift where a coin draws the order: lowest and highest, 5 to 20 pairs.

The levels of the other orders depend on the strength of the trend, which was not published.
"""


def one_look_orders(num_tests: int) -> Iterator[Row]:
    """Rate of false degradations by t at nominal 1 % on a drifting machine, by the order of trials."""
    for order in ("coin", "couples", "alternate", "baseline first", "blocks"):
        for num_pairs in (5, 8, 12, 20):
            degradations = NOISE[f"drift, {order}"].draw(
                np.random.default_rng([SEED, num_pairs]), (num_tests, 1, num_pairs)
            )
            above, below = one_sided_p_values(summarise_pairs(degradations[:, 0]), 0.0)
            better, worse = sorted(int((side <= 0.01).sum()) for side in (above, below))
            published = PUBLISHED_COIN_LEVELS if order == "coin" else None
            yield {
                "order": order,
                "pairs": num_pairs,
                "better_side": compare_range(Rate(count=better, n=num_tests), published),
                "worse_side": compare_range(Rate(count=worse, n=num_tests), published),
            }


PUBLISHED_PASSES = {
    3: (("26", "59", "85"), ("6", "17", "32")),
    5: (("46", "92", "100"), ("15", "56", "89")),
    8: (("68", "99", "100"), ("34", "93", "100")),
    12: (("85", "100", "100"), ("58", "100", "100")),
    20: (("97", "100", "100"), ("87", "100", "100")),
}
"""Chance in percent that one look rejects the margin for a clean change: level 5 % and 1 %, by ratio of margin to sd."""


def one_look_passes(num_tests: int) -> Iterator[Row]:
    """How often one look finds a clean change below the margin, normal noise."""
    for num_pairs, by_level in PUBLISHED_PASSES.items():
        degradations = np.random.default_rng([SEED, num_pairs]).standard_normal((num_tests, num_pairs))
        summary = summarise_pairs(degradations)
        for level, by_ratio in zip((0.05, 0.01), by_level, strict=True):
            for ratio, published in zip((0.83, 1.67, 2.5), by_ratio, strict=True):
                count = int((one_sided_p_values(summary, ratio).below <= level).sum())
                rate = compare(Rate(count=count, n=num_tests), published)
                yield {"pairs": num_pairs, "level": level, "margin_over_sd": ratio, "passes": rate}


PUBLISHED_RULE_LEVELS = {"normal": "0.88", "heavy tails": "0.53", "outliers": "0.56"}
"""Level in percent of the sequential test at nominal 1 %."""

PUBLISHED_RULE_POWER = {0.83: ("77", 16.7), 1.67: ("100", 9.0), 2.5: (None, 6.4)}
"""Chance in percent that it rejects, and mean pairs until it does, by distance in standard deviations."""


def sequential_rule(num_tests: int) -> Iterator[Row]:
    """One test over the looks 5, 8, 12, 20 at 1 %: its level by noise, its power and pairs for normal noise."""
    for index, (noise, published) in enumerate(PUBLISHED_RULE_LEVELS.items()):
        rejected, _ = _first_rejections(NOISE[noise].draw, 0.0, num_tests=num_tests, seed=index)
        yield {"noise": noise, "distance": 0.0, "rejects": compare(rejected, published)}
    for distance, (power, pairs) in PUBLISHED_RULE_POWER.items():
        rejected, mean = _first_rejections(NOISE["normal"].draw, distance, num_tests=num_tests, seed=0)
        row = {"noise": "normal", "distance": distance, "rejects": compare(rejected, power)}
        yield {**row, "pairs": _compare_means(mean, pairs)}


def _first_rejections(draw: Draw, distance: float, *, num_tests: int, seed: int) -> tuple[Rate, float]:
    """How often the sequential test of no degradation rejects, and the mean pairs until it stops."""
    design = Design(num_gated=1)
    degradations = draw(np.random.default_rng([SEED, seed]), (num_tests, 1, design.max_pairs))[:, 0] + distance
    nothing = np.zeros(num_tests)
    evidence = weigh_evidence(list(degradations), levels=None, margins=nothing, resolutions=nothing, design=design)
    rejects = evidence.p_values[..., ABOVE_ZERO] <= design.alpha
    first = np.where(rejects.any(axis=0), rejects.argmax(axis=0), len(design.looks) - 1)
    mean = float(np.asarray(design.looks)[first].mean())
    return Rate(count=int(rejects[-1].sum()), n=num_tests), round(mean, 2)


PUBLISHED_AT_MARGIN = {1: None, 6: "21", 20: "53"}
"""Chance in percent that a gate fails whose metrics all lost exactly the margin, by their number."""


def at_the_margin(num_gates: int) -> Iterator[Row]:
    """What is not held at 1 %: the word "more than the margin" where every metric sits exactly at it; strict setting."""
    for num_metrics, published in PUBLISHED_AT_MARGIN.items():
        design = Design(num_gated=num_metrics)
        rng = np.random.default_rng([SEED, num_metrics])
        degradations = normal(rng, (num_gates, num_metrics, design.max_pairs))
        values = draw_values(rng, NOISE["normal"], degradations)
        values[1] += 1.67
        fails = int(judge_gates(degradations + 1.67, values=values, margin=1.67, design=design).gate_fails.sum())
        yield {
            "metrics": num_metrics,
            "margin_level": design.margin_level,
            "margin_over_sd": 1.67,
            "fails": compare(Rate(count=fails, n=num_gates), published),
        }
    strict = Scenario(noise="normal", ratio=1.67, degradation=1.0, design_options={"margin_level": 0.01})
    passes = simulate_gates(strict, num_gates=num_gates, seed=SEED).passes
    yield {"metrics": 1, "margin_level": 0.01, "margin_over_sd": 1.67, "passes": compare(passes, "0.9")}


def orders_of_trials(num_gates: int) -> Iterator[Row]:
    """False alarms and coverage by the order of trials, six metrics, with noise at which errors are most frequent."""
    for machine in MACHINES:
        for order in ("couples", "coin", "alternate", "baseline first", "blocks"):
            scenario = Scenario(noise=f"{machine}, {order}", ratio=0.1, num_metrics=6)
            clean = simulate_gates(scenario, num_gates=num_gates, seed=SEED)
            lost = simulate_gates(replace(scenario, degradation=2.0, num_metrics=1), num_gates=num_gates, seed=SEED)
            yield {
                "machine": machine,
                "order": order,
                "is_covered": NOISE[scenario.noise].is_covered,
                "clean_gate_fails": asdict(clean.fails),
                "double_margin_passes": asdict(lost.passes),
                "interval_covers": asdict(clean.covers),
            }


def order_effects(num_gates: int) -> Iterator[Row]:
    """What an effect of the order does to a fair coin, which shows the same side five times running in 1 of 32."""
    for size in (0.0, 0.5, 1.0, 2.0, 5.0):
        for order in ("coin", "couples"):
            rng = np.random.default_rng([SEED, round(10 * size)])
            noise = Noise(draw=partial(paired, machine=_order_effect(size), order=order))
            degradations = draw_degradations(rng, noise, (num_gates, 6, 20))
            values = draw_values(rng, noise, degradations)
            verdicts = judge_gates(degradations, values=values, margin=0.1, design=Design(num_gated=6))
            fails = Rate(count=int(verdicts.gate_fails.sum()), n=num_gates)
            yield {"effect_over_noise_of_a_pair": size, "order": order, "clean_gate_fails": asdict(fails)}


def _order_effect(size: float) -> Draw:
    """A machine on which the first trial of a pair is slower by so many deviations of a pair's noise."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Any:
        return order_effect(rng, shape, size=size * math.sqrt(2))

    return draw


@dataclass(frozen=True, kw_only=True)
class PublishedGate:
    """A published row on the whole gate: chances in percent, mean pairs; ``None`` where nothing was published."""

    scenario: Scenario
    clean_fails: str
    clean_passes: str
    half_fails: str
    margin_passes: str
    clean_pairs: float | None = None
    double_passes: str | None = None
    double_fails: str | None = None
    double_pairs: float | None = None
    sixfold_fails: str | None = None
    sixfold_pairs: float | None = None


def _published(noise: str, metrics: int, /, *figures: Any, correlation: float, ratio: float) -> PublishedGate:
    """One row in the order of the published table."""
    names = (
        *("clean_fails", "clean_passes", "clean_pairs", "half_fails", "margin_passes"),
        *("double_passes", "double_fails", "double_pairs", "sixfold_fails", "sixfold_pairs"),
    )
    scenario = Scenario(noise=noise, num_metrics=metrics, correlation=correlation, ratio=ratio)
    return PublishedGate(scenario=scenario, **dict(zip(names, figures, strict=True)))


PUBLISHED_GATE_ROWS = (
    _published(
        "normal", 1, "0.02", "93", 13.2, "0.2", "3.8", "0.02", "93", 13.2, "100", 5.0, correlation=0.0, ratio=0.83
    ),
    _published(
        "normal", 1, "0.00", "100", 6.5, "0.0", "3.8", "0.00", "100", 6.5, "100", 5.0, correlation=0.0, ratio=1.67
    ),
    _published(
        "normal", 6, "0.04", "65", 19.6, "0.2", "2.6", "0.00", "94", 13.9, "100", 5.6, correlation=0.0, ratio=0.83
    ),
    _published(
        "normal", 6, "0.00", "100", 9.8, "0.0", "3.7", "0.00", "100", 7.2, "100", 5.0, correlation=0.0, ratio=1.67
    ),
    _published(
        "normal", 6, "0.00", "100", 8.9, "0.0", "4.2", "0.00", "100", 7.2, "100", 5.0, correlation=0.5, ratio=1.67
    ),
    _published(
        "normal", 12, "0.1", "43", None, "0.2", "3.5", "0.05", None, None, None, None, correlation=0.0, ratio=0.83
    ),
    _published(
        "normal", 12, "0.1", "65", None, "0.2", "3.5", "0.05", None, None, None, None, correlation=0.5, ratio=0.83
    ),
    _published(
        "normal", 20, "0.1", "26", None, "0.2", "1.0", "0.01", "94", 15.0, "100", 6.6, correlation=0.0, ratio=0.83
    ),
    _published(
        "normal", 20, "0.1", "57", None, "0.2", "3.3", "0.01", "94", 15.0, "100", 6.6, correlation=0.5, ratio=0.83
    ),
    _published(
        "normal", 20, "0.00", "100", 11.9, "0.0", "3.7", "0.00", "100", 8.1, "100", 5.0, correlation=0.0, ratio=1.67
    ),
    _published(
        "normal", 20, "0.00", "100", 10.5, "0.0", "3.7", "0.00", "100", 8.1, "100", 5.0, correlation=0.5, ratio=1.67
    ),
    _published(
        "outliers", 6, "0.00", "79", 14.3, "0.0", "2.3", "0.00", "94", 9.5, "100", 5.6, correlation=0.5, ratio=0.83
    ),
    _published(
        "outliers", 6, "0.00", "99", 8.8, "0.0", "2.5", "0.00", "100", 6.4, "100", 5.1, correlation=0.5, ratio=1.67
    ),
    _published(
        "outliers", 6, "0.00", "100", 6.7, "0.0", "2.5", "0.00", "100", 5.7, "100", 5.0, correlation=0.5, ratio=2.5
    ),
)
"""The published false-fail range of a clean change is given by its middle."""


def whole_gates(num_gates: int) -> Iterator[Row]:
    """Verdicts of the whole gate: one metric has the degradation, the others none."""
    for published in PUBLISHED_GATE_ROWS:
        clean, half, margin, double, sixfold = (
            simulate_gates(replace(published.scenario, degradation=degradation), num_gates=num_gates, seed=SEED)
            for degradation in (0.0, 0.5, 1.0, 2.0, 6.0)
        )
        own = published.scenario.num_metrics == 12  # published as the metric's own false pass
        yield {
            **_describe(published.scenario),
            "clean": {
                "fails": compare(clean.fails, published.clean_fails),
                "passes": compare(clean.passes, published.clean_passes),
                "pairs": _compare_means(clean.mean_pairs, published.clean_pairs),
            },
            "half_margin": {"fails": compare(half.fails, published.half_fails)},
            "margin": {"passes": compare(margin.harmed_passes if own else margin.passes, published.margin_passes)},
            "double_margin": {
                "passes": compare(double.harmed_passes if own else double.passes, published.double_passes),
                "fails": compare(double.fails, published.double_fails),
                "pairs": _compare_means(double.mean_pairs, published.double_pairs),
                "unharmed_fails": compare(double.unharmed_fails, None),
            },
            "sixfold_margin": {
                "fails": compare(sixfold.fails, published.sixfold_fails),
                "pairs": _compare_means(sixfold.mean_pairs, published.sixfold_pairs),
            },
            "interval_covers": asdict(clean.covers),
        }


NOISE_OF_A_GATE = [
    name
    for name in NOISE
    if (name.endswith(", couples") or "," not in name or name == "order effect, coin") and name != "rare explosions"
]
"""Other orders of trials are compared by :func:`orders_of_trials`, explosions by :func:`capping_in_noise`."""


def noise_model(noise: str, num_gates: int) -> Iterator[Row]:
    """Family-wise false alarms, false passes at twice the margin and coverage for one noise model."""
    for num_metrics, correlation in ((1, 0.0), (6, 0.0), (6, 0.5), (20, 0.0), (20, 0.5)):
        for ratio in (0.1, 0.83, 1.67):
            scenario = Scenario(noise=noise, ratio=ratio, num_metrics=num_metrics, correlation=correlation)
            clean = simulate_gates(scenario, num_gates=num_gates, seed=SEED)
            lost = simulate_gates(replace(scenario, degradation=2.0), num_gates=num_gates, seed=SEED)
            yield {
                **_describe(scenario),
                "is_covered": NOISE[noise].is_covered,
                "clean_gate_fails": asdict(clean.fails),
                "clean_gate_passes": asdict(clean.passes),
                "double_margin_passes": asdict(lost.harmed_passes),
                "interval_covers": asdict(clean.covers),
            }


GOALS = (
    ("clean_passes", 0.0, "passes", 0.95),
    ("10_percent_fails", 0.10, "fails", 0.95),
    ("30_percent_fails", 0.30, "fails", 0.99),
)
"""What is wanted of a performance gate: name, slowdown, verdict, chance of it."""

PUBLISHED_CAPS = {
    (0.01, 1): ((8, 5.0), (8, 5.0), (8, 5.0)),
    (0.015, 1): ((8, 5.1), (8, 5.1), (8, 5.0)),
    (0.02, 1): ((8, 5.2), (8, 5.2), (8, 5.0)),
    (0.03, 1): ((12, 5.6), (12, 5.7), (8, 5.0)),
    (0.06, 1): ((20, 7.8), (30, 9.3), (12, 5.3)),
    (0.01, 6): ((8, 5.1), (8, 5.1), (8, None)),
    (0.015, 6): ((8, 5.4), (8, 5.2), (8, None)),
    (0.02, 6): ((12, 6.3), (8, 5.4), (8, None)),
    (0.03, 6): ((20, 9.0), (12, 6.1), (8, None)),
    (0.06, 6): ((45, 21.3), (30, 11.5), (12, None)),
}
"""Smallest number of pairs that reaches each goal and mean pairs, by standard deviation of a pair and metrics.

Of the published range "20-30" for one metric at 6 % the lower end.
"""


def caps(num_gates: int) -> Iterator[Row]:
    """The smallest number of pairs with which a performance gate at a margin of 5 % decides, noise with outliers."""
    looks = (5, 8, 12, 20, 30, 45, 70)
    for num_metrics in (1, 6):
        for deviation in (0.01, 0.015, 0.02, 0.03, 0.06):
            published = PUBLISHED_CAPS[deviation, num_metrics]
            for (name, slowdown, verdict, wanted), (cap_there, pairs) in zip(GOALS, published, strict=True):
                scenario = Scenario(
                    noise="outliers",
                    ratio=math.log(1.05) / deviation,
                    degradation=math.log1p(slowdown) / math.log(1.05),
                    num_metrics=num_metrics,
                    correlation=0.5 if num_metrics > 1 else 0.0,
                )
                cap, rates = _smallest_cap(scenario, looks, verdict, wanted, num_gates=num_gates)
                rate = getattr(rates, verdict)
                # whether fewer pairs are enough, or not quite, is within the error of the simulation
                is_tie = cap < cap_there and rate.low <= wanted
                if is_tie:
                    those = tuple(look for look in looks if look <= cap_there)
                    rates = simulate_gates(_capped(scenario, those), num_gates=num_gates, seed=SEED)
                yield {
                    "sd_of_a_pair": deviation,
                    "metrics": num_metrics,
                    "goal": name,
                    "wanted": wanted,
                    "cap": {"pairs": cap, "published": cap_there, "agrees": is_tie or cap == cap_there},
                    "rate": asdict(rate),
                    "pairs": _compare_means(rates.mean_pairs, pairs),
                }


def _smallest_cap(
    scenario: Scenario, looks: Sequence[int], verdict: str, wanted: float, *, num_gates: int, shortest: int = 2
) -> tuple[int, GateRates]:
    """The first last look at which the verdict is frequent enough, within the error of the simulation; its rates."""
    for end in range(shortest, len(looks)):
        rates = simulate_gates(_capped(scenario, looks[:end]), num_gates=num_gates, seed=SEED)
        if getattr(rates, verdict).high >= wanted:
            return looks[end - 1], rates
    return looks[-1], simulate_gates(_capped(scenario, looks), num_gates=num_gates, seed=SEED)


def _capped(scenario: Scenario, looks: Sequence[int]) -> Scenario:
    """The scenario with other looks."""
    return replace(scenario, design_options={"looks": tuple(looks)})


PUBLISHED_ACCURACY = {0.0013: (8, 5.7, 5, "87", "99", "90"), 0.0006: (5, 5.0, 5, "100", "100", "100")}
"""By paired deviation: pairs for 95 % of clean passes, mean pairs, pairs for 95 % of fails at a degradation of 0.005;
percent of clean passes and of fails at 0.005 by 5 pairs; percent of fails at 0.003 by 20."""

ACCURACY_MARGIN = 0.002


def accuracy_gates(num_gates: int) -> Iterator[Row]:
    """What an accuracy gate of one metric with a margin of 0.002 decides, normal noise."""
    for deviation, published in PUBLISHED_ACCURACY.items():
        cap_clean, pairs, cap_lost, passes_at_5, fails_at_5, fails_at_20 = published
        clean = Scenario(noise="normal", ratio=ACCURACY_MARGIN / deviation)
        lost, slightly = (replace(clean, degradation=degradation / ACCURACY_MARGIN) for degradation in (0.005, 0.003))
        passing, rates = _smallest_cap(clean, (5, 8, 12, 20), "passes", 0.95, num_gates=num_gates, shortest=1)
        failing, _ = _smallest_cap(lost, (5, 8, 12, 20), "fails", 0.95, num_gates=num_gates, shortest=1)
        early, early_lost = (
            simulate_gates(_capped(scenario, (5,)), num_gates=num_gates, seed=SEED) for scenario in (clean, lost)
        )
        yield {
            "paired_sd": deviation,
            "clean_passes": {"pairs": passing, "published": cap_clean, "agrees": passing == cap_clean},
            "pairs": _compare_means(rates.mean_pairs, pairs),
            "0.005_fails": {"pairs": failing, "published": cap_lost, "agrees": failing == cap_lost},
            "clean_passes_at_5": compare(early.passes, passes_at_5),
            "0.005_fails_at_5": compare(early_lost.fails, fails_at_5),
            "0.003_fails_at_20": compare(simulate_gates(slightly, num_gates=num_gates, seed=SEED).fails, fails_at_20),
        }


PUBLISHED_PROMISES = {(0.0, 0.83): ("85", "93"), (0.0, 1.67): ("97", "100")}
"""Percent of promises kept after 5 and 8 pairs, by true degradation in margins and ratio of margin to deviation."""


def promises(num_gates: int) -> Iterator[Row]:
    """How often "N more pairs" settles an undecided metric, by the pairs at which it was said."""
    for degradation, ratio in ((0.0, 0.83), (0.0, 1.67), (0.4, 0.83), (0.4, 1.67)):
        published = PUBLISHED_PROMISES.get((degradation, ratio), (None, None))
        for num_pairs, figure in zip((5, 8), published, strict=True):
            rate = _promises_kept(degradation, ratio, num_pairs, num_gates=num_gates)
            yield {
                "degradation": degradation,
                "margin_over_sd": ratio,
                "said_after": num_pairs,
                "kept": compare(rate, figure),
            }


def _promises_kept(degradation: float, ratio: float, said_after: int, *, num_gates: int) -> Rate:
    """Of the metrics that are undecided at a look and promised a later one, the share that it settles."""
    design = Design(num_gated=1)
    rng = np.random.default_rng([SEED, said_after])
    degradations = rng.standard_normal((num_gates, 1, design.max_pairs))
    values = draw_values(rng, NOISE["normal"], degradations)
    values[1] += degradation * ratio
    degradations = degradations + degradation * ratio
    verdicts = judge_gates(degradations, values=values, margin=ratio, design=design)
    is_settled = (verdicts.fails | verdicts.passes)[:, 0]
    settled_at = np.where(is_settled, verdicts.pairs_of_metric[:, 0], design.max_pairs + 1)
    kept = []
    for seen, settled in zip(
        degradations[settled_at > said_after, 0, :said_after], settled_at[settled_at > said_after], strict=True
    ):
        mean = float(seen.mean())
        far = (0.0, design.alpha) if mean > ratio else (2 * ratio, design.alpha)
        promised = pairs_to_settle(
            mean,
            float(seen.std(ddof=1)),
            num_pairs=said_after,
            looks=design.looks,
            near=(ratio, design.margin_level),
            far=far,
        )
        if promised is not None and promised <= design.max_pairs:
            kept.append(settled <= promised)
    return Rate(count=int(sum(kept)), n=len(kept))


WAYS = ("as measured", "capped at 10 margins", "as the gate does")
"""How large degradations can count: in full; at most 10 margins; as :mod:`mainstay.stats.capping` has it."""


def judged_in_a_way(
    way: str, degradations: Degradations, values: Degradations, *, margin: float, design: Design
) -> Verdicts:
    """Verdicts with large degradations counted in one of the :data:`WAYS`."""
    seen = {WAYS[0]: None, WAYS[1]: np.zeros_like(values), WAYS[2]: values}[way]
    return judge_gates(degradations, values=seen, margin=margin, design=design)


EXPLOSIONS = (
    (0.02, 0.02),
    (0.1, 0.1),
    (0.0, 0.01),
    (0.0, 0.02),
    (0.0, 0.1),
    (0.0, 0.5),
    (0.0, 1.0),
    (0.1, 0.0),
    (1.0, 0.0),
)
"""Chances that a trial of the baseline and of the candidate diverges."""


def explosions(num_gates: int) -> Iterator[Row]:
    """Verdicts on a change under which trainings diverge, by how large degradations count; else normal noise."""
    for num_metrics, ratio in ((1, 1.67), (1, 3.3), (6, 1.67)):
        design = Design(num_gated=num_metrics)
        for baseline, candidate in EXPLOSIONS:
            rng = np.random.default_rng([SEED, num_metrics])
            noise = normal(rng, (num_gates, num_metrics, design.max_pairs))
            values = draw_values(rng, NOISE["normal"], noise)
            degradations, values = explode(rng, values, baseline=baseline, candidate=candidate, margin=ratio)
            for way in WAYS:
                verdicts = judged_in_a_way(way, degradations, values, margin=ratio, design=design)
                yield {
                    "baseline_explodes": baseline,
                    "candidate_explodes": candidate,
                    "metrics": num_metrics,
                    "margin_over_sd": ratio,
                    "degradations_count": way,
                    "fails": asdict(Rate(count=int(verdicts.gate_fails.sum()), n=num_gates)),
                    "passes": asdict(Rate(count=int(verdicts.gate_passes.sum()), n=num_gates)),
                    "pairs": round(float(verdicts.pairs.mean()), 2),
                }


NOISE_ABOVE_THE_CAP: Mapping[str, Noise] = {
    **{
        name: NOISE[name]
        for name in ("normal", "heavy tails", "outliers", "two states", "rare explosions", "bimodal, couples")
    },
    "no moments": Noise(draw=no_moments),
}
"""Models drawn with noise far above the margin."""


def capping_in_noise(name: str, num_gates: int) -> Iterator[Row]:
    """False alarms and false passes where the noise is 10 and 100 times the margin, by how large degradations count."""
    noise = NOISE_ABOVE_THE_CAP[name]
    for num_metrics in (1, 20):
        for ratio in (0.01, 0.1):
            rng = np.random.default_rng([SEED, num_metrics])
            degradations = draw_degradations(rng, noise, (num_gates, num_metrics, 20))
            values = draw_values(rng, noise, degradations)
            yield from _rates_by_way(name, degradations, values, ratio=ratio)


def capping_in_noise_of_one(num_gates: int) -> Iterator[Row]:
    """The same where one revision alone is noisy, so that the cap lies inside its noise."""
    for side, name in enumerate(("normal, the candidate is steady", "normal, the baseline is steady")):
        degradations = normal(np.random.default_rng([SEED, side]), (num_gates, 1, 20))
        values = np.stack(
            [-degradations, np.zeros_like(degradations)] if side == 0 else [np.zeros_like(degradations), degradations]
        )
        for ratio in (0.01, 0.1):
            yield from _rates_by_way(name, degradations, values, ratio=ratio)


def _rates_by_way(name: str, degradations: Degradations, values: Degradations, *, ratio: float) -> Iterator[Row]:
    """One row for each way in which large degradations can count; false passes of one metric only."""
    num_gates, num_metrics, _ = degradations.shape
    design = Design(num_gated=num_metrics)
    lost = np.stack([values[0], values[1] + 2 * ratio])
    for way in WAYS:
        fails = judged_in_a_way(way, degradations, values, margin=ratio, design=design).gate_fails
        row = {"noise": name, "metrics": num_metrics, "margin_over_sd": ratio, "degradations_count": way}
        row["clean_gate_fails"] = asdict(Rate(count=int(fails.sum()), n=num_gates))
        if num_metrics == 1:
            passes = judged_in_a_way(way, degradations + 2 * ratio, lost, margin=ratio, design=design).gate_passes
            row["double_margin_passes"] = asdict(Rate(count=int(passes.sum()), n=num_gates))
        yield row


def _describe(scenario: Scenario) -> Row:
    """The scenario in a row."""
    return {
        "noise": scenario.noise,
        "metrics": scenario.num_metrics,
        "correlation": scenario.correlation,
        "margin_over_sd": scenario.ratio,
    }


def _compare_means(mean: float, published: float | None) -> Row:
    """Mean pairs beside the published ones; they agree within 0.2, about three standard errors and the rounding."""
    if published is None:
        return {"mean": mean}
    return {"mean": mean, "published": published, "agrees": abs(mean - published) <= 0.2}


Piece = Callable[[int], Iterable[Row]]
"""Makes a table, or a part of one, from a number of simulated gates of each kind."""

TABLES: Mapping[str, Sequence[Piece]] = {
    "boundaries": [lambda num_gates: boundary_table()],
    "one_look_levels": [lambda num_gates: one_look_levels(10 * num_gates)],
    "one_look_orders": [lambda num_gates: one_look_orders(10 * num_gates)],
    "one_look_passes": [one_look_passes],
    "sequential_rule": [lambda num_gates: sequential_rule(10 * num_gates)],
    "at_the_margin": [at_the_margin],
    "orders_of_trials": [orders_of_trials],
    "order_effects": [order_effects],
    "whole_gates": [whole_gates],
    "noise_models": [partial(noise_model, noise) for noise in NOISE_OF_A_GATE],
    "caps": [caps],
    "accuracy_gates": [accuracy_gates],
    "promises": [promises],
    "explosions": [explosions],
    "capping_in_noise": [*(partial(capping_in_noise, name) for name in NOISE_ABOVE_THE_CAP), capping_in_noise_of_one],
}
"""What each table is made of; a piece takes a few minutes at the most."""

SOURCES = ("src/mainstay/stats", "src/mainstay/gates", "experiments/simulate.py", __file__)
"""What the figures depend on."""


def simulate_tables(names: Iterable[str], num_gates: int, kept: Path) -> Row:
    """Some of the tables.

    Args:
        names: Which.
        num_gates: Simulated gates of each kind.
        kept: Folder of the pieces that an earlier run finished.
    """
    folder = kept / sources_digest(num_gates)
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: [
            row
            for number, piece in enumerate(TABLES[name])
            for row in _kept_piece(folder / f"{name}-{number}.json", num_gates, piece)
        ]
        for name in names
    }


def _kept_piece(path: Path, num_gates: int, piece: Piece) -> list[Row]:
    """The rows of a piece from its file, which is made if it does not exist."""
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(list(piece(num_gates))), encoding="utf-8")
        draft.replace(path)
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def sources_digest(num_gates: int) -> str:
    """A name for all that the figures depend on."""
    files = [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py")) or [ROOT / source]]
    facts = [str(num_gates), *map(version, ("numpy", "scipy")), *(path.read_text(encoding="utf-8") for path in files)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def provenance(num_gates: int, only: Sequence[str] = ()) -> Row:
    """What is needed to get the same figures again."""
    return {
        "command": " ".join(
            [
                "python -m experiments.operating_characteristics --gates",
                str(num_gates),
                *(["--only", *only] if only else []),
            ]
        ),
        "commit": head(),
        "is_clean": is_clean(*SOURCES),
        "seed": SEED,
        "gates_of_each_kind": num_gates,
        "versions": versions("python", "numpy", "scipy"),
        "plan": asdict(Design(num_gated=1)),
    }


def with_tables(document: Row, made: Row) -> Row:
    """A document with some of its tables made anew, and where these come from beside where it comes from."""
    where = made.pop("provenance")
    others = {name: was for name, was in document["provenance"].get("tables", {}).items() if name not in made}
    origin = {**document["provenance"], "tables": {**others, **dict.fromkeys(made, where)}}
    tables = {**document, **made}
    return {"provenance": origin, **{name: tables[name] for name in TABLES if name in tables}}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=20_000, help="simulated gates of each kind")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kept", type=Path, default=ROOT / ".mainstay" / "simulated", help="finished pieces")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=[], help="make these tables of the output anew")
    options = parser.parse_args(argv)
    made = {"provenance": provenance(options.gates, options.only)}
    made |= simulate_tables(options.only or TABLES, options.gates, options.kept)
    document = with_tables(json.loads(options.output.read_text(encoding="utf-8")), made) if options.only else made
    write_results(options.output, document)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
