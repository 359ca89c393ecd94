"""Simulate evaluations whose truth is known, and judge them by the functions that judge stored results.

Items are right or wrong on both sides; so many are lost and gained by chance, and the degradation comes besides. The
tables go to ``docs/results/evaluation.json``::

    python -m experiments.evaluation --draws 2000 --families 100 --output docs/results/evaluation.json
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from mainstay.gates.evaluation import ScoredDifferences
from mainstay.gates.family import decide
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.tasks import TaskSamples, judge_tasks
from mainstay.records.metrics import FRACTION, Direction, Kind, Metric
from mainstay.stats.flips import flip_p_values
from mainstay.stats.items import smallest_flip_margin
from mainstay.stats.proportions import clopper_pearson_interval

SEED = 20_261_128
ACCURACY = 0.88
"""Share of the items that the baseline has right; only the rules that do not pair the items depend on it."""

FLOOR = 0.08
"""How far below the true accuracy the fixed floor of an engine's nightly tests lies."""

BENCHMARKS = {"HumanEval": 164, "GPQA diamond": 198, "GSM8K": 1319, "MMLU": 14042}
DEGRADATIONS = (0.0, 0.01, 0.02, 0.03, 0.05)
MARGIN = 0.02

Row = dict[str, Any]
Tables = NDArray[np.int64]
"""(draws, 4): lost, gained, right twice, wrong twice."""

PUBLISHED_VERDICTS: Mapping[tuple[int, float, float], tuple[tuple[float, float], ...]] = {
    (300, 0.02, 0.06): ((38, 0.1), (15, 1.1), (4.7, 4.8), (0.3, 29), (0, 65)),
    (1319, 0.01, 0.01): ((95, 0), (40, 0.1), (4.9, 4.3), (0, 69), (0, 99)),
    (1319, 0.02, 0.03): ((99, 0), (54, 0), (4.9, 4.5), (0, 88), (0, 100)),
    (1319, 0.02, 0.06): ((90, 0), (38, 0.1), (4.9, 4.8), (0, 75), (0, 100)),
    (5000, 0.01, 0.06): ((89, 0), (40, 0.1), (5.0, 4.9), (0, 81), (0, 100)),
}
"""Percent that pass and fail by exact sums, at degradations of 0, 1/2, 1, 2 and 3 margins: items, margin, flips."""


def draw(rng: np.random.Generator, num_items: int, flips: float, degradation: float, size: int) -> Tables:
    """Tables of one task: half of the flips each way, and the degradation besides."""
    lost, gained = flips / 2 + degradation, flips / 2
    right = ACCURACY - lost
    return np.asarray(rng.multinomial(num_items, [lost, gained, right, 1 - lost - gained - right], size))


def rate(hits: NDArray[np.bool_] | Sequence[bool]) -> Row:
    """A share of draws with its 95 % interval."""
    count, total = int(np.sum(hits)), len(hits)
    low, high = clopper_pearson_interval(count, total, confidence_level=0.95)
    return {"count": count, "n": total, "rate": count / total, "low": round(low, 6), "high": round(high, 6)}


def compare(hits: NDArray[np.bool_], published: float) -> Row:
    """The same beside a published percentage, which agrees unless it lies far outside: 99.9 %, with its rounding."""
    found = rate(hits)
    low, high = clopper_pearson_interval(found["count"], found["n"], confidence_level=0.999)
    rounding = 0.5 if published >= 10 else 0.06
    agrees = 100 * low - rounding <= published <= 100 * high + rounding
    return {**found, "published_percent": published, "agrees": bool(agrees)}


def verdicts(tables: Tables, num_items: int, margin: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which draws pass and which fail, a gate of one metric each."""
    design = Design(num_gated=1)
    p_values = np.empty((1, len(tables), 1, 4))
    for index, (lost, gained, *_) in enumerate(tables.tolist()):
        zero, at_margin, double = (flip_p_values(lost, gained, num_items, c * margin) for c in (0, 1, 2))
        p_values[0, index, 0] = zero.above, at_margin.above, at_margin.below, double.below
    decisions = decide(p_values, np.zeros(p_values.shape[:-1], dtype=np.bool_), design)
    return decisions.passes[:, 0], decisions.fails[:, 0]


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


def is_below_floor(tables: Tables) -> NDArray[np.bool_]:
    """Red by a fixed floor under the true accuracy, whatever the baseline scores."""
    accuracy = (tables[:, 1] + tables[:, 2]) / tables.sum(axis=1)
    return np.asarray(accuracy < ACCURACY - FLOOR)


def is_unpaired_red(tables: Tables) -> NDArray[np.bool_]:
    """Red by a z test of two accuracies as if their items were not the same, 5 % two-sided."""
    num_items = tables.sum(axis=1)
    before, after = (tables[:, 0] + tables[:, 2]) / num_items, (tables[:, 1] + tables[:, 2]) / num_items
    error = np.sqrt((before * (1 - before) + after * (1 - after)) / num_items)
    return np.asarray((before - after) / error > norm.ppf(0.975))


def is_mcnemar_red(tables: Tables) -> NDArray[np.bool_]:
    """Red by McNemar's exact test, 5 % two-sided."""
    lost, gained = tables[:, 0], tables[:, 1]
    return np.asarray(binom.sf(lost - 1, lost + gained, 0.5) <= 0.025)


OTHERS: Mapping[str, Callable[[Tables], NDArray[np.bool_]]] = {
    "floor": is_below_floor,
    "unpaired_z": is_unpaired_red,
    "mcnemar": is_mcnemar_red,
}


def detection(draws: int) -> Iterator[Row]:
    """How often each rule is red on one task at sizes of known benchmarks, the same draws for all rules."""
    rng = np.random.default_rng([SEED, 3])
    for name, num_items in BENCHMARKS.items():
        for flips in (0.03, 0.06):
            for degradation in DEGRADATIONS:
                tables = draw(rng, num_items, flips, degradation, draws)
                passes, fails = verdicts(tables, num_items, MARGIN)
                yield {
                    "benchmark": name,
                    "items": num_items,
                    "flips": flips,
                    "degradation": degradation,
                    **{rule: rate(is_red(tables)) for rule, is_red in OTHERS.items()},
                    "mainstay": rate(fails),
                    "mainstay_inconclusive": rate(~passes & ~fails),
                }


def task_of(table: Sequence[int], name: str, margin: float) -> TaskSamples:
    """A task as it is judged."""
    lost, gained, right, wrong = table
    differences = np.repeat([1.0, -1.0, 0.0], [lost, gained, right + wrong])
    metric = Metric(
        workload="evaluation",
        name=name,
        kind=Kind.ACCURACY,
        direction=Direction.HIGHER,
        margin=margin,
        unit=FRACTION,
    )
    items = ScoredDifferences(
        differences=differences, guarded=differences, clusters=None, score_range=1.0, is_binary=True
    )
    return TaskSamples(metric=metric, items=items)


def ten_tasks(families: int) -> Iterator[Row]:
    """The same for ten tasks of 300 items at 5 points and their mean at 2: red if any task is."""
    rng = np.random.default_rng([SEED, 4])
    for who_loses, num_losing in (("all", 10), ("one", 1)):
        for degradation in DEGRADATIONS:
            tables = np.stack(
                [draw(rng, 300, 0.06, degradation if task < num_losing else 0.0, families) for task in range(10)],
                axis=1,
            )
            statuses = []
            for family in tables.tolist():
                samples = [task_of(table, f"t{number}", 0.05) for number, table in enumerate(family)]
                findings, _ = judge_tasks(samples, macro_margin=MARGIN)
                statuses.append(judge_gate(GateFacts(findings=findings)).exit_status)
            flat = tables.reshape(-1, 4)
            yield {
                "who_loses": who_loses,
                "degradation": degradation,
                **{rule: rate(np.asarray(is_red(flat).reshape(-1, 10).any(axis=1))) for rule, is_red in OTHERS.items()},
                "mainstay": rate(np.array(statuses) == 1),
                "mainstay_inconclusive": rate(np.array(statuses) == 3),
            }


def smallest_margins(_: int) -> Iterator[Row]:
    """Smallest honest margins in points, by items and flips."""
    for name, num_items in BENCHMARKS.items():
        margins = {
            f"flips_{100 * flips:g}_percent": round(100 * (smallest_flip_margin(num_items, flips) or math.nan), 1)
            for flips in (0.01, 0.03, 0.06, 0.1)
        }
        yield {"benchmark": name, "items": num_items, **margins}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=10_000, help="simulated tasks of each kind")
    parser.add_argument("--families", type=int, default=1_000, help="simulated families of ten tasks of each kind")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    document: Row = {
        "provenance": {
            "command": f"python -m experiments.evaluation --draws {options.draws} --families {options.families}",
            "seed": SEED,
            "accuracy_of_the_baseline": ACCURACY,
            "draws_of_each_kind": options.draws,
            "families_of_each_kind": options.families,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "scipy")}},
        },
        "whole_verdicts": list(whole_verdicts(options.draws)),
        "levels": list(levels(options.draws)),
        "detection": list(detection(options.draws)),
        "ten_tasks": list(ten_tasks(options.families)),
        "smallest_margins": list(smallest_margins(0)),
    }
    parts = (
        json.dumps(table, indent=1)
        if isinstance(table, dict)
        else "[\n" + ",\n".join(f" {json.dumps(row)}" for row in table) + "\n]"
        for table in document.values()
    )
    text = ",\n".join(f"{json.dumps(name)}: {part}" for name, part in zip(document, parts, strict=True))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("{\n" + text + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
