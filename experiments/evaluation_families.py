"""Simulated evaluations of several tasks, looks at growing numbers of items, missing scores and chosen baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.evaluation_draws import (
    ACCURACY,
    SEED,
    Tables,
    compare,
    compare_means,
    decide_draws,
    draw,
    flip_evidence,
    rate,
    verdicts,
)
from experiments.provenance import Row
from mainstay.gates.evaluation import ScoredDifferences, are_supported, honest_margin
from mainstay.gates.policy import Design
from mainstay.gates.tasks import missing_share
from mainstay.stats.items import HONEST_POWER
from mainstay.stats.scores import (
    DifferenceSummary,
    block_ends,
    block_weights,
    can_pass,
    macro_p_values,
)
from mainstay.stats.sequential import sequential_p_values

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
"""Parts of the items after which a look is taken."""

PUBLISHED_LOOKS: Mapping[tuple[int, float, float], tuple[tuple[float, float], tuple[float, float, float, float]]] = {
    (300, 0.05, 0.06): ((95, 72), (93, 226, 67, 261)),
    (1319, 0.02, 0.03): ((99, 88), (98, 818, 84, 1036)),
    (1319, 0.02, 0.06): ((90, 76), (87, 1000, 69, 1124)),
}
"""By items, margin and flips: percent that pass without a degradation and fail at twice the margin, with one look; the
same and the mean items with four."""


def looks(draws: int) -> Iterator[Row]:
    """What is saved and what is lost by looks after 10, 25, 50 and 100 % of the items, whose order was drawn."""
    for number, ((num_items, margin, flips), (one, four)) in enumerate(PUBLISHED_LOOKS.items()):
        rng = np.random.default_rng([SEED, 7, number])
        for factor, index in ((0, 0), (2, 1)):
            blocks = _blocks(rng, num_items, flips, [factor * margin] * len(FRACTIONS), draws)
            passes, fails, items = judge_looks(blocks, num_items, margin)
            once = verdicts(blocks.sum(axis=0), num_items, margin)
            yield {
                "items": num_items,
                "margin": margin,
                "flips": flips,
                "degradation_in_margins": factor,
                "verdict": ("pass", "fail")[index],
                "one_look": compare(once[index], one[index]),
                "four_looks": compare((passes, fails)[index], four[2 * index], published_draws=4_000),
                "other_verdict_of_four_looks": rate((fails, passes)[index]),
                "mean_items": compare_means(items, four[2 * index + 1], published_draws=4_000),
            }


def orders(draws: int) -> Iterator[Row]:
    """A degradation of twice the margin that lies in the second half of a file, with looks in two orders."""
    num_items, margin, flips = 1319, 0.02, 0.06
    rng = np.random.default_rng([SEED, 8])
    for order, degradations, published in (
        ("of the file", (0.0, 0.0, 0.0, 4 * margin), 43),
        ("drawn", (2 * margin,) * len(FRACTIONS), 0.1),
    ):
        passes, fails, _ = judge_looks(_blocks(rng, num_items, flips, degradations, draws), num_items, margin)
        yield {
            "order": order,
            "items": num_items,
            "margin": margin,
            "flips": flips,
            "passes": compare(passes, published, published_draws=4_000),
            "fails": rate(fails),
        }


def _blocks(
    rng: np.random.Generator, num_items: int, flips: float, degradations: Sequence[float], draws: int
) -> Tables:
    """(looks, draws, 4) tables of the items that each look adds."""
    sizes = np.diff(block_ends(num_items, FRACTIONS), prepend=0).tolist()
    return np.stack([draw(rng, size, flips, lost, draws) for size, lost in zip(sizes, degradations, strict=True)])


def judge_looks(
    blocks: Tables, num_items: int, margin: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Which draws pass, which fail, and after how many items each is decided."""
    ends = block_ends(num_items, FRACTIONS)
    seen = np.cumsum(blocks, axis=0)
    p_values = np.stack([flip_evidence(tables, int(end), margin) for tables, end in zip(seen, ends, strict=True)])
    decisions = decide_draws(sequential_p_values(p_values, block_weights(FRACTIONS))[:, :, np.newaxis])
    return decisions.passes[:, 0], decisions.fails[:, 0], ends[decisions.look[:, 0]].astype(np.float64)


class Family(NamedTuple):
    """Tasks that are judged together.

    Attributes:
        name: What they are.
        num_items: Items of each task.
        flips: Share of the items of each task that flip.
        margin: Margin of each task.
        macro_margin: Margin of their mean.
        accuracy: Share of the items that the baseline has right.
    """

    name: str
    num_items: tuple[int, ...]
    flips: tuple[float, ...]
    margin: float
    macro_margin: float
    accuracy: float = 0.7


TWENTY_ALIKE = Family("20 tasks of 300 items", (300,) * 20, (0.06,) * 20, 0.05, 0.01)
MMLU = Family("57 tasks of 246 items", (246,) * 57, (0.06,) * 57, 0.05, 0.01)
MIXED = Family(
    "20 tasks of 30 to 1,319 items",
    tuple(np.geomspace(30, 1319, 20).round().astype(int).tolist()),
    tuple(np.geomspace(0.03, 0.3, 20)[np.random.default_rng(SEED).permutation(20)].round(3).tolist()),
    0.005,
    0.005,
)

PUBLISHED_FAMILIES: Mapping[str, tuple[float, float, float, float, float, float]] = {
    TWENTY_ALIKE.name: (39, 92, 72, 0.1, 0.6, 87),
    MMLU.name: (0.3, 100, 63, 0, 2.5, 100),
}
"""Percent: clean, all tasks pass, the mean passes; one task loses 10 points, it fails, the mean fails; all lose 2 points,
any task fails, the mean fails."""


class FamilyVerdicts(NamedTuple):
    """What becomes of each draw of a family.

    Attributes:
        passes: (draws, metrics) the mean, then the tasks.
        fails: Likewise.
        gains: (draws,) whether any metric is marked for an implausible gain.
        gate_passes: (draws,) whether the gate passes: nothing fails, all but guards pass, and no gain is marked.
    """

    passes: NDArray[np.bool_]
    fails: NDArray[np.bool_]
    gains: NDArray[np.bool_]
    gate_passes: NDArray[np.bool_]


def draw_family(rng: np.random.Generator, family: Family, degradations: Sequence[float], draws: int) -> Tables:
    """(draws, tasks, 4) tables."""
    tasks = zip(family.num_items, family.flips, degradations, strict=True)
    return np.stack(
        [draw(rng, num_items, flips, lost, draws, accuracy=family.accuracy) for num_items, flips, lost in tasks], axis=1
    )


def judge_families(tables: Tables, family: Family) -> FamilyVerdicts:
    """Judge all draws of a family, as a gate judges each; the intervals of its report are left out.

    Args:
        tables: (draws, tasks, 4) draws.
        family: The tasks.
    """
    decisions = decide_draws(_family_evidence(tables, family)[np.newaxis])
    mirrored = decide_draws(_family_evidence(tables[..., [1, 0, 2, 3]], family)[np.newaxis])
    must_pass = np.concatenate([np.ones((len(tables), 1), dtype=np.bool_), ~_guards(tables, family)], axis=1)
    fails, gains = decisions.fails.any(axis=1), np.asarray(mirrored.fails.any(axis=1))
    gate_passes = np.asarray((decisions.passes | ~must_pass).all(axis=1) & ~fails & ~gains)
    return FamilyVerdicts(decisions.passes, decisions.fails, gains, gate_passes)


def _family_evidence(tables: Tables, family: Family) -> NDArray[np.float64]:
    """(draws, metrics, 4) p-values, those of the mean first."""
    p_values = np.empty((len(tables), len(family.num_items) + 1, 4))
    for task, num_items in enumerate(family.num_items):
        p_values[:, task + 1] = flip_evidence(tables[:, task], num_items, family.margin)
        if not can_pass([_summary(0, 0, num_items)], family.margin, score_range=1.0):
            p_values[:, task + 1, 2:] = 1.0
    for index, tasks in enumerate(tables[..., :2].tolist()):
        summaries = [_summary(*pair, num_items) for pair, num_items in zip(tasks, family.num_items, strict=True)]
        zero, at_margin, double = (
            macro_p_values(summaries, c * family.macro_margin, score_range=1.0) for c in (0, 1, 2)
        )
        p_values[index, 0] = zero.above, at_margin.above, at_margin.below, double.below
    return p_values


def _guards(tables: Tables, family: Family) -> NDArray[np.bool_]:
    """(draws, tasks) whether a task's items are too few for its margin if all tasks of a clean change are to pass."""
    num_items, power = family.num_items, 1 - (1 - HONEST_POWER) / len(family.num_items)
    supported = [
        are_supported(
            [_honest_margin(*pair, size, power) for pair, size in zip(tasks, num_items, strict=True)],
            [family.margin] * len(num_items),
            num_items,
        )
        for tasks in tables[..., :2].tolist()
    ]
    return ~np.array(supported, dtype=np.bool_)


def task_items(lost: int, gained: int, num_items: int) -> ScoredDifferences:
    """The items of one task whose scores are right or wrong."""
    differences = np.repeat([1.0, -1.0, 0.0], [lost, gained, num_items - lost - gained])
    return ScoredDifferences(
        differences=differences, guarded=differences, clusters=None, score_range=1.0, is_binary=True
    )


@cache
def _summary(lost: int, gained: int, num_items: int) -> DifferenceSummary:
    return task_items(lost, gained, num_items).summary


@cache
def _honest_margin(lost: int, gained: int, num_items: int, power: float) -> float | None:
    return honest_margin(task_items(lost, gained, num_items), Design(num_gated=1), power=power)


def families(draws: int) -> Iterator[Row]:
    """Gates of many tasks and their mean: clean, one task much worse, all a little worse."""
    for number, family in enumerate((TWENTY_ALIKE, MMLU)):
        num_tasks = len(family.num_items)
        published = PUBLISHED_FAMILIES[family.name]
        for who, degradations, (first, second) in (
            ("nobody", (0.0,) * num_tasks, published[:2]),
            ("one task, by 10 points", (0.1, *(0.0,) * (num_tasks - 1)), published[2:4]),
            ("all tasks, by 2 points", (0.02,) * num_tasks, published[4:]),
        ):
            rng = np.random.default_rng([SEED, 9, number])
            found = judge_families(draw_family(rng, family, degradations, draws), family)
            tasks_pass, tasks_fail = found.passes[:, 1:], found.fails[:, 1:]
            compared: dict[str, ArrayLike] = {"mean_fails": found.fails[:, 0]}
            if who == "nobody":
                compared = {"all_tasks_pass": tasks_pass.all(axis=1), "mean_passes": found.passes[:, 0]}
            elif who.startswith("one"):
                compared = {"that_task_fails": tasks_fail[:, 0]} | compared
            else:
                compared = {"any_task_fails": tasks_fail.any(axis=1)} | compared
            yield {
                "family": family.name,
                "who_degrades": who,
                "task_margin": family.margin,
                "macro_margin": family.macro_margin,
                **{
                    name: compare(hits, figure, published_draws=4_000)
                    for (name, hits), figure in zip(compared.items(), (first, second), strict=True)
                },
                **({"that_task_passes": rate(tasks_pass[:, 0])} if degradations[0] > degradations[-1] else {}),
                **_gate(found),
            }


def mixed_tasks(draws: int) -> Iterator[Row]:
    """Twenty tasks of different sizes and noise at a margin of half a point: clean, and with twice the margin lost."""
    for number, (who, lost) in enumerate((("nobody", 0.0), ("all tasks, by twice the margin", 2 * MIXED.macro_margin))):
        rng = np.random.default_rng([SEED, 10, number])
        found = judge_families(draw_family(rng, MIXED, (lost,) * len(MIXED.num_items), draws), MIXED)
        yield {
            "family": MIXED.name,
            "who_degrades": who,
            "task_margin": MIXED.margin,
            "macro_margin": MIXED.macro_margin,
            **_gate(found),
            **(
                {}
                if lost
                else {"gate_fails": compare(np.asarray(found.fails.any(axis=1)), (0.0, 0.9), published_draws=5_000)}
            ),
        }


def _gate(found: FamilyVerdicts) -> Row:
    """What becomes of the whole gate."""
    return {
        "gate_passes": rate(found.gate_passes),
        "gate_fails": rate(np.asarray(found.fails.any(axis=1))),
        "gain_is_marked": rate(found.gains),
    }


def missing(draws: int) -> Iterator[Row]:
    """A candidate that times out on 4 % of the items, whatever their answers: left out, and counted as wrong."""
    num_items, margin, flips, share = 1319, 0.02, 0.06, 0.04
    rng = np.random.default_rng([SEED, 11])
    lost_sides = rng.binomial(num_items, share, draws)
    kept = np.array([draw(rng, num_items - int(lost), flips, 0.0, 1)[0] for lost in lost_sides])
    wrong = kept.copy()
    was_right = rng.binomial(lost_sides, ACCURACY)
    wrong[:, 0] += was_right
    wrong[:, 3] += lost_sides - was_right
    dropped = np.array([verdicts(table[np.newaxis], int(table.sum()), margin)[0][0] for table in kept], dtype=np.bool_)
    passes, fails = verdicts(wrong, num_items, margin)
    is_error = [missing_share(int(lost), num_items, 1.0) > margin / 2 for lost in lost_sides]
    setting = {"items": num_items, "margin": margin, "flips": flips, "missing": share}
    yield {**setting, "missing_scores": "left out", "passes": compare(dropped, 90, published_draws=3_000)}
    yield {
        **setting,
        "missing_scores": "counted as wrong",
        "passes": compare(passes, 0.1, published_draws=3_000),
        "fails": compare(fails, 58, published_draws=3_000),
        "refused_as_too_many": rate(is_error),
    }


def chosen_baselines(draws: int) -> Iterator[Row]:
    """What a baseline that is the best of five runs does to clean changes: 1,319 items, 1 point, flips of 6 %."""
    num_items, margin, flips = 1319, 0.01, 0.06
    rng = np.random.default_rng([SEED, 12])
    # an item whose answer is not certain is right in half of the runs: two runs flip half of such items
    uncertain = rng.binomial(num_items, 2 * flips, (draws, 1))
    right = rng.binomial(np.broadcast_to(uncertain, (draws, 5)), 0.5)
    for how, chosen, published in (
        ("the first of five runs", right[:, 0], (44, 1.0)),
        ("the best of five runs", right.max(axis=1), (8, 1.7)),
    ):
        gained = rng.binomial(uncertain[:, 0] - chosen, 0.5)
        lost = rng.binomial(chosen, 0.5)
        tables = np.stack([lost, gained, num_items - lost - gained, np.zeros_like(lost)], axis=-1)
        passes, _ = verdicts(tables, num_items, margin)
        rejected = flip_evidence(tables, num_items, margin)[:, 0] <= 0.01
        yield {
            "baseline": how,
            "clean_passes": compare(passes, published[0], published_draws=200_000),
            "no_degradation_is_rejected": compare(rejected, published[1], published_draws=200_000),
        }
