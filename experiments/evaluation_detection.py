"""How often a degradation is found on one task and on ten, beside other rules and tools on the same draws."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uv
from numpy.typing import NDArray
from scipy.stats import binom, norm

from experiments.evaluation_draws import ACCURACY, SEED, Tables, draw, rate, verdicts
from experiments.evaluation_families import Family, draw_family, judge_families
from experiments.provenance import Row

BENCHMARKS = {"HumanEval": 164, "GPQA diamond": 198, "GSM8K": 1319, "MMLU": 14042}
FLOOR = 0.08
"""How far below the true accuracy the fixed floor of an engine's nightly tests lies."""

DEGRADATIONS = (0.0, 0.01, 0.02, 0.03, 0.05)
MARGIN = 0.02
TEN_TASKS = Family("10 tasks of 300 items", (300,) * 10, (0.06,) * 10, 0.05, MARGIN, ACCURACY)


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


class Cell(NamedTuple):
    """Draws of one task at the size of a known benchmark.

    Attributes:
        setting: What was drawn.
        num_items: Number of items.
        tables: The draws, which all rules judge.
    """

    setting: Row
    num_items: int
    tables: Tables


def detection_cells(draws: int) -> Iterator[Cell]:
    """The draws of one task, at the sizes of known benchmarks."""
    rng = np.random.default_rng([SEED, 3])
    for name, num_items in BENCHMARKS.items():
        for flips in (0.03, 0.06):
            for degradation in DEGRADATIONS:
                setting = {"benchmark": name, "items": num_items, "flips": flips, "degradation": degradation}
                yield Cell(setting, num_items, draw(rng, num_items, flips, degradation, draws))


def family_cells(draws: int) -> Iterator[Cell]:
    """The draws of ten tasks, of which all or one degrade."""
    rng = np.random.default_rng([SEED, 4])
    for who_loses, num_losing in (("all", 10), ("one", 1)):
        for degradation in DEGRADATIONS:
            lost = [degradation] * num_losing + [0.0] * (10 - num_losing)
            tables = draw_family(rng, TEN_TASKS, lost, draws)
            yield Cell({"who_loses": who_loses, "degradation": degradation}, TEN_TASKS.num_items[0], tables)


def detection(draws: int) -> Iterator[Row]:
    """How often each rule is red on one task at sizes of known benchmarks, the same draws for all rules."""
    for setting, num_items, tables in detection_cells(draws):
        passes, fails = verdicts(tables, num_items, MARGIN)
        yield {
            **setting,
            **{rule: rate(is_red(tables)) for rule, is_red in OTHERS.items()},
            "mainstay": rate(fails),
            "mainstay_inconclusive": rate(~passes & ~fails),
        }


def ten_tasks(draws: int) -> Iterator[Row]:
    """The same for ten tasks of 300 items at 5 points and their mean at 2: red if any task is."""
    for setting, _, tables in family_cells(draws):
        found = judge_families(tables, TEN_TASKS)
        fails = found.fails.any(axis=1)
        yield {
            **setting,
            **{
                rule: rate(is_red(tables.reshape(-1, 4)).reshape(-1, 10).any(axis=1)) for rule, is_red in OTHERS.items()
            },
            "mainstay": rate(fails),
            "mainstay_inconclusive": rate(~found.gate_passes & ~fails),
        }


PEERS = Path(__file__).with_name("evaluation_peers.py")
NEL_MARGIN = 0.015
"""What ``nel gate`` tolerates by default."""

TOOL_DRAWS = 1_000
"""Draws that the tools judge at most, the first ones."""

STATGATE_DRAWS = {164: 200, 198: 200, 1319: 40, 14042: 10}
"""Draws that ``statgate`` judges of one task, by its items: it draws 10,000 bootstrap samples of each."""


def detection_tools(draws: int) -> Iterator[Row]:
    """What ``nel gate`` and ``statgate`` say of the first of the draws of one task; each size in a process of its own."""
    cells = groupby(detection_cells(draws), key=lambda cell: cell.num_items)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from chain.from_iterable(pool.map(one_task_tools, [list(each) for _, each in cells]))


def one_task_tools(cells: Sequence[Cell]) -> list[Row]:
    """What they say of the cells of one size."""
    return list(_tool_rows(cells, [cell.tables[:TOOL_DRAWS, np.newaxis] for cell in cells], MARGIN))


def ten_tasks_tools(draws: int) -> Iterator[Row]:
    """The same of the first of the draws of ten tasks."""
    cells = list(family_cells(draws))
    yield from _tool_rows(cells, [cell.tables[:TOOL_DRAWS] for cell in cells], TEN_TASKS.margin)


def _tool_rows(cells: Sequence[Cell], tables: Sequence[Tables], margin: float) -> Iterator[Row]:
    """Rates of red and of undecided, for each cell and tool."""
    asked = [
        {
            "tables": each.tolist(),
            "margin": margin,
            "default_margin": NEL_MARGIN,
            "statgate_draws": STATGATE_DRAWS.get(cell.num_items, TOOL_DRAWS),
        }
        for cell, each in zip(cells, tables, strict=True)
    ]
    done = subprocess.run(
        [uv.find_uv_bin(), "run", "--quiet", "--script", str(PEERS)],
        input=json.dumps({"cells": asked}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    for cell, said in zip(cells, answer["cells"], strict=True):
        row = {**cell.setting, "versions": ", ".join(f"{name} {text}" for name, text in answer["versions"].items())}
        for tool, codes in said.items():
            row[tool] = rate(np.array(codes) == 1)
            row[f"{tool}_inconclusive"] = rate(np.array(codes) == 2)
        yield row
