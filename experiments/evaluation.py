"""Simulate evaluations whose truth is known, and judge them by the functions that judge stored results.

Items are right or wrong on both sides; so many are lost and gained by chance, and the degradation comes besides. The
tables go to ``docs/results/evaluation.json``::

    python -m experiments.evaluation --output docs/results/evaluation.json

``--only`` makes some tables anew. A table that is finished is written at once. Those of other tools need Python 3.12 or
3.13 on the PATH, see ``evaluation_peers.py``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, multinomial

from experiments.evaluation_detection import BENCHMARKS, detection, detection_tools, ten_tasks, ten_tasks_tools
from experiments.evaluation_draws import ACCURACY, SEED, compare, draw, rate, verdicts
from experiments.evaluation_families import chosen_baselines, families, looks, missing, mixed_tasks, orders, task_items
from experiments.evaluation_means import mean_levels, repeats
from experiments.provenance import Row, commit, versions, write_results
from mainstay.gates.evaluation import weigh_items
from mainstay.gates.policy import Design
from mainstay.stats.flips import flip_p_values
from mainstay.stats.items import smallest_flip_margin

PUBLISHED_VERDICTS: Mapping[tuple[int, float, float], tuple[tuple[float, float], ...]] = {
    (300, 0.02, 0.06): ((38, 0.1), (15, 1.1), (4.7, 4.8), (0.3, 29), (0, 65)),
    (1319, 0.01, 0.01): ((95, 0), (40, 0.1), (4.9, 4.3), (0, 69), (0, 99)),
    (1319, 0.02, 0.03): ((99, 0), (54, 0), (4.9, 4.5), (0, 88), (0, 100)),
    (1319, 0.02, 0.06): ((90, 0), (38, 0.1), (4.9, 4.8), (0, 75), (0, 100)),
    (5000, 0.01, 0.06): ((89, 0), (40, 0.1), (5.0, 4.9), (0, 81), (0, 100)),
}
"""Percent that pass and fail by exact sums, at degradations of 0, 1/2, 1, 2 and 3 margins: items, margin, flips."""


def whole_verdicts(draws: int) -> Iterator[Row]:
    """What becomes of degradations from none to three margins, beside the published exact sums."""
    rng = np.random.default_rng([SEED, 1])
    for (num_items, margin, flips), published in PUBLISHED_VERDICTS.items():
        for factor, (passing, failing) in zip((0, 0.5, 1, 2, 3), published, strict=True):
            passes, fails = verdicts(draw(rng, num_items, flips, factor * margin, draws), num_items, margin)
            yield {
                "items": num_items,
                "margin": margin,
                "flips": flips,
                "degradation_in_margins": factor,
                "passes": compare(passes, passing),
                "fails": compare(fails, failing),
            }


PUBLISHED_LEVELS: Mapping[tuple[int, float], tuple[float, float, float]] = {
    (100, 0.02): (4.8, 0.8, 4.7),
    (300, 0.01): (4.9, 1.0, 4.9),
    (1319, 0.02): (5.0, 1.0, 4.9),
    (5000, 0.01): (5.0, 1.0, 5.0),
    (30, 0.02): (2.3, 0.1, 3.4),
}
"""Percent: the highest level, of the two tests of a pass and of the one of a fail at the margin."""

MOST_FLIPS = 0.1
"""Largest share of items that flip, the degradation included, over which the level is highest."""


def highest_levels(_: int) -> Iterator[Row]:
    """The exact levels of the tests, by sums over all tables; the highest over the shares of flips."""
    for (num_items, margin), published in PUBLISHED_LEVELS.items():
        row: Row = {"items": num_items, "margin": margin}
        for (name, side, null, level), percent in zip(
            (
                ("pass_at_margin", "below", margin, 0.05),
                ("pass_at_double_margin", "below", 2 * margin, 0.01),
                ("fail_at_margin", "above", margin, 0.05),
            ),
            published,
            strict=True,
        ):
            highest = max(exact_levels(num_items, null, side, level))
            agrees = abs(100 * highest - percent) <= 0.25  # the shares of flips that were tried are not published
            row[name] = {"level": highest, "published_percent": percent, "agrees": agrees}
        yield row


def exact_levels(num_items: int, null: float, side: str, level: float) -> Iterator[float]:
    """The chance to reject a null value that is true, with ever more flips."""
    rejects: dict[tuple[int, int], bool] = {}
    for gained in np.linspace(0, (MOST_FLIPS - null) / 2, 25):
        lost = gained + null
        tables = np.stack(
            np.meshgrid(_likely(num_items, lost), _likely(num_items, gained), indexing="ij"), axis=-1
        ).reshape(-1, 2)
        tables = tables[tables.sum(axis=1) <= num_items]
        rest = num_items - tables.sum(axis=1, keepdims=True)
        chances = multinomial.pmf(np.hstack([tables, rest]), num_items, [lost, gained, 1 - lost - gained])
        total = 0.0
        for pair, chance in zip(map(tuple, tables.tolist()), chances.tolist(), strict=True):
            if chance > 1e-9:
                if pair not in rejects:
                    rejects[pair] = float(getattr(flip_p_values(pair[0], pair[1], num_items, null), side)) <= level
                total += chance * rejects[pair]
        yield total


def _likely(num_items: int, share: float) -> NDArray[np.int64]:
    """Counts that a binomial variable has with any chance worth a sum."""
    return np.arange(binom.ppf(1e-9, num_items, share), binom.isf(1e-9, num_items, share) + 1, dtype=np.int64)


PUBLISHED_SIZES: Mapping[float, tuple[tuple[int, int], ...]] = {
    0.005: ((4_660, 8_410), (13_100, 17_100), (26_300, 30_500), (43_700, 48_000)),
    0.01: ((1_330, 3_020), (3_350, 5_300), (6_550, 8_580), (10_900, 13_000)),
    0.02: ((425, 1_210), (907, 1_790), (1_670, 2_650), (2_770, 3_730)),
    0.05: ((125, 390), (187, 490), (298, 630), (458, 820)),
}
"""Items at which 95 % of clean changes pass, and of degradations of twice the margin fail, by margin and flips."""


def sizes(draws: int) -> Iterator[Row]:
    """How often a clean change passes, and a degradation of twice the margin fails, with the published items for 95 %."""
    rng = np.random.default_rng([SEED, 13])
    for margin, row in PUBLISHED_SIZES.items():
        for flips, (for_pass, for_fail) in zip((0.01, 0.03, 0.06, 0.1), row, strict=True):
            passes, _ = verdicts(draw(rng, for_pass, flips, 0.0, draws), for_pass, margin)
            _, fails = verdicts(draw(rng, for_fail, flips, 2 * margin, draws), for_fail, margin)
            at_least = (95.0, 98.0)  # with few flips, one item more or less changes it by percents
            yield {
                "margin": margin,
                "flips": flips,
                "items_for_a_pass": for_pass,
                "clean_passes": compare(passes, at_least),
                "items_for_a_fail": for_fail,
                "double_margin_fails": compare(fails, at_least),
            }


def further_items(draws: int) -> Iterator[Row]:
    """How often an undecided evaluation is settled with as many items as its report names."""
    margin, flips = 0.02, 0.06
    for factor, published in ((0, (75, 85, 93)), (2, (66, 78, 89))):
        for num_items, percent in zip((150, 300, 600), published, strict=True):
            rng = np.random.default_rng([SEED, 14, factor, num_items])
            tables = draw(rng, num_items, flips, factor * margin, draws)
            passes, fails = verdicts(tables, num_items, margin)
            settled = []
            for table in tables[~passes & ~fails]:
                total = named_items(*table[:2].tolist(), num_items, margin)
                if total is not None:
                    more = draw(rng, total - num_items, flips, factor * margin, 1) + table
                    settled.append(bool(np.any(verdicts(more, int(more.sum()), margin))))
            if not settled:
                continue
            yield {
                "margin": margin,
                "flips": flips,
                "degradation_in_margins": factor,
                "items_so_far": num_items,
                "settled": compare(settled, percent, published_draws=1_500),
            }


@cache
def named_items(lost: int, gained: int, num_items: int, margin: float) -> int | None:
    """The number of items that the report of an undecided evaluation names."""
    evidence = weigh_items(task_items(lost, gained, num_items), margin=margin, level=0.05)
    further = evidence.further_items(margin, Design(num_gated=1))
    return None if further is None else num_items + further


def levels(draws: int) -> Iterator[Row]:
    """How often each test rejects where its hypothesis is just true; nominal are 5, 1, 5 and 1 %."""
    rng = np.random.default_rng([SEED, 2])
    for num_items, margin in ((30, 0.02), (100, 0.02), (300, 0.01), (1319, 0.02), (5000, 0.01)):
        for flips in (0.002, 0.01, 0.03, 0.1):
            row: Row = {"items": num_items, "margin": margin, "flips": flips}
            for name, side, null, level in (
                ("pass_at_margin", "below", margin, 0.05),
                ("pass_at_double_margin", "below", 2 * margin, 0.01),
                ("fail_at_margin", "above", margin, 0.05),
                ("fail_at_zero", "above", 0.0, 0.01),
            ):
                tables = draw(rng, num_items, flips, null, draws)
                values = [float(getattr(flip_p_values(b, c, num_items, null), side)) for b, c, *_ in tables.tolist()]
                row[name] = rate([value <= level for value in values])
            yield row


def smallest_margins(_: int) -> Iterator[Row]:
    """Smallest honest margins in points, by items and flips."""
    for name, num_items in BENCHMARKS.items():
        margins = {
            f"flips_{100 * flips:g}_percent": round(100 * (smallest_flip_margin(num_items, flips) or math.nan), 1)
            for flips in (0.01, 0.03, 0.06, 0.1)
        }
        yield {"benchmark": name, "items": num_items, **margins}


TABLES: Mapping[str, Callable[[int], Iterator[Row]]] = {
    "whole_verdicts": whole_verdicts,
    "highest_levels": highest_levels,
    "levels": levels,
    "mean_levels": mean_levels,
    "sizes": sizes,
    "further_items": further_items,
    "looks": looks,
    "orders": orders,
    "families": families,
    "mixed_tasks": mixed_tasks,
    "repeats": repeats,
    "chosen_baselines": chosen_baselines,
    "missing": missing,
    "detection": detection,
    "detection_tools": detection_tools,
    "ten_tasks": ten_tasks,
    "ten_tasks_tools": ten_tasks_tools,
    "smallest_margins": smallest_margins,
}
"""What makes each table, in the order of the file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=4_000, help="simulated evaluations of each kind")
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[], help="make these tables anew, keep the others")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    made = json.loads(options.output.read_text("utf-8")) if options.only and options.output.is_file() else {}
    facts = {
        "command": f"python -m experiments.evaluation --draws {options.draws}",
        "commit": commit(),
        "seed": SEED,
        "accuracy_of_the_baseline": ACCURACY,
        "draws_of_each_kind": options.draws,
        "versions": versions("python", "numpy", "scipy"),
    }
    provenance = made.get("provenance", facts)
    for name in options.only or TABLES:
        if provenance is not facts:
            provenance["tables"] = {**provenance.get("tables", {}), name: facts}
        made[name] = list(TABLES[name](options.draws))
        write_results(
            options.output, {"provenance": provenance} | {each: made[each] for each in TABLES if each in made}
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
