# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = ["nemo-evaluator==0.3.0", "statgate==0.1.1", "scipy>=1.13"]
# ///
"""Judge simulated evaluations by the functions by which ``nel gate`` and ``statgate`` decide.

Runs in an environment of its own, since NeMo Evaluator needs Python 3.12 or 3.13::

    uv run --script experiments/evaluation_peers.py < draws.json > verdicts.json

The input has a list of ``cells``, each with ``tables`` of families of tasks (draws, tasks, 4: lost, gained, right twice,
wrong twice), the ``margin``, the ``default_margin`` of ``nel gate`` and how many draws ``statgate`` judges, which draws 10,000 bootstrap samples of each task.
The output has what each tool says of every family: 0 for go, 1 for no go, 2 for inconclusive. A family is judged as
``nel gate`` does: one task that breaches is a breach, one that is undecided leaves it undecided. ``statgate`` knows no
families, so its verdicts of the tasks are taken together in the same way.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from nemo_evaluator.config.gate_policy import BenchmarkGateDefaults, GatePolicy
from nemo_evaluator.engine.gate import (
    BenchmarkGateResult,
    _aggregate_verdict,
    _apply_thresholds,
    _paired_delta_ci,
    gate_runs,
)
from statgate.config import GateSettings
from statgate.core.bootstrap import bca_mean_interval
from statgate.records import EvalRecord
from statgate.verdict import EXIT_CODES, _decide, evaluate_gate

SEED = 20_261_128
LARGE = 5_000
"""Items from which a task is not judged as a user would, too."""

VERDICTS = {"GO": 0, "NO-GO": 1, "INCONCLUSIVE": 2}


def changes(lost: int, gained: int, num_items: int) -> np.ndarray:
    """Candidate minus baseline of each item."""
    return np.repeat([-1.0, 1.0, 0.0], [lost, gained, num_items - lost - gained])


@cache
def nel_task(lost: int, gained: int, right: int, num_items: int, margin: float) -> BenchmarkGateResult:
    """One benchmark, as ``nemo_evaluator.engine.gate`` evaluates it once its records are paired."""
    policy = GatePolicy(defaults=BenchmarkGateDefaults(max_drop=margin)).resolve("task")
    values = changes(lost, gained, num_items).tolist()
    result = BenchmarkGateResult(
        benchmark="task",
        tier=policy.tier.value,
        n_paired=num_items,
        baseline_score=round((lost + right) / num_items, 6),
        candidate_score=round((gained + right) / num_items, 6),
        delta=round(float(np.mean(values)), 6),
    )
    result.delta_ci_lower, result.delta_ci_upper = _paired_delta_ci(values)
    _apply_thresholds(result, policy, allow_point_estimate=False)
    return result


def nel(tables: list[list[int]], margin: float) -> int:
    """What ``nel gate`` says of a family."""
    results = [nel_task(*table[:3], sum(table), margin) for table in tables]
    return VERDICTS[_aggregate_verdict(results)[0]]


@cache
def statgate_task(lost: int, gained: int, num_items: int, margin: float) -> int:
    """One comparison, as ``statgate.verdict`` decides it; its p-value, which decides nothing, is left out."""
    settings = GateSettings(margin=margin, seed=SEED)
    interval = bca_mean_interval(
        changes(lost, gained, num_items),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return EXIT_CODES[_decide(interval, settings.margin)]


def statgate(tables: list[list[int]], margin: float) -> int:
    """What ``statgate`` says of the tasks of a family, taken together."""
    codes = {statgate_task(*table[:2], sum(table), margin) for table in tables}
    return 1 if 1 in codes else max(codes)


def check(table: list[int], margin: float) -> None:
    """Judge one task by the entry points of both tools, from records and from files, and compare."""
    lost, gained, right, wrong = table
    sides = {"baseline": [1] * lost + [0] * gained, "candidate": [0] * lost + [1] * gained}
    scores = {side: [*flipped, *[1] * right, *[0] * wrong] for side, flipped in sides.items()}
    with tempfile.TemporaryDirectory() as folder:
        for side, values in scores.items():
            place = Path(folder, side)
            place.mkdir()
            bundle = {"benchmark": {"name": "task", "scores": {"mean_reward": {"value": float(np.mean(values))}}}}
            (place / "eval-1.json").write_text(json.dumps(bundle))
            records = ({"problem_idx": index, "reward": value} for index, value in enumerate(values))
            (place / "results.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
        policy = GatePolicy(defaults=BenchmarkGateDefaults(max_drop=margin))
        by_files = VERDICTS[gate_runs(Path(folder, "baseline"), Path(folder, "candidate"), policy).verdict]
    baseline, candidate = (
        [EvalRecord(case_id=f"{index:06}", score=value) for index, value in enumerate(values)]
        for values in scores.values()
    )
    report = evaluate_gate(baseline, candidate, GateSettings(margin=margin, seed=SEED, permutations=100))
    if (by_files, report.exit_code) != (nel([table], margin), statgate([table], margin)):
        raise SystemExit(f"the tools say something else of {table}: {by_files}, {report.exit_code}")


def main() -> None:
    """Judge all cells; the first task of each small one also as a user would."""
    document: dict[str, Any] = json.load(sys.stdin)
    for cell in document["cells"]:
        if sum(cell["tables"][0][0]) < LARGE:
            check(cell["tables"][0][0], cell["margin"])
    cells = [
        {
            "nel_gate": [nel(tables, cell["margin"]) for tables in cell["tables"]],
            "nel_gate_by_default": [nel(tables, cell["default_margin"]) for tables in cell["tables"]],
            "statgate": [statgate(tables, cell["margin"]) for tables in cell["tables"][: cell["statgate_draws"]]],
        }
        for cell in document["cells"]
    ]
    versions = {name: version(name) for name in ("nemo-evaluator", "statgate")} | {
        "python": ".".join(map(str, sys.version_info[:3]))
    }
    json.dump({"versions": versions, "cells": cells}, sys.stdout)


if __name__ == "__main__":
    main()
