"""Measure how noisy one timed pair is, by what is measured in it and for how long, and write it down.

Both revisions are this very environment, so every log ratio is noise. Run from the root of the repository on a machine
that does nothing else, about half a minute a pair::

    python -m tests.calibration.pair_noise --pairs 12 --seconds 8 --output docs/results/pair_noise.json

The file keeps every block and grows pair by pair: an interrupted run continues where it stopped, and so does one that
asks for more pairs. From the longest pairs it tells what shorter ones would have given.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.files import write_text
from mainstay.machine import describe_machine
from mainstay.records import Side
from mainstay.scheduling import derive_seeds, draw_block_orders, draw_workload_order
from mainstay.timed_pairs import MAX_ALTERNATIONS, TimedRequest, TimedTask, measure_timed_pair
from mainstay.workers import Crew, WorkerSpec

ROOT = Path(__file__).parents[2]
WORKLOADS = tuple(
    f"benchmarks/test_performance.py::{name}"
    for name in ("test_training_step", "test_evaluation_pass", "test_latency_of_one_image", "test_data_loading")
)
SALT = "pair noise"
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the measured blocks, from the first on."""

Row = dict[str, Any]
Estimator = Callable[[NDArray[np.float64]], float]


def trimmed_mean(ratios: NDArray[np.float64]) -> float:
    """The mean without the lowest and the highest 20 %."""
    cut = len(ratios) // 5
    return float(np.sort(ratios)[cut : len(ratios) - cut].mean())


ESTIMATORS: dict[str, Estimator] = {
    "mean": lambda ratios: float(ratios.mean()),
    "trimmed mean": trimmed_mean,
    "median": lambda ratios: float(np.median(ratios)),
}
"""From the log ratios of neighbouring blocks to the value of a pair; the gate uses the mean."""


def make_crew(scratch: Path) -> Crew:
    """Workers of two revisions that are the same."""
    passed_on = {name: os.environ[name] for name in ("PATH", "MNIST_REFERENCE_ROOT") if name in os.environ}
    data_root = passed_on.get("MNIST_REFERENCE_ROOT") or os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    variables = {
        "MNIST_REFERENCE_ROOT": passed_on.get("MNIST_REFERENCE_ROOT", str(Path(data_root) / "mnist_reference")),
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        **passed_on,
    }
    return Crew(
        {
            side: WorkerSpec(
                side=side,
                python=sys.executable,
                own=str(ROOT / "src"),
                roots=("mnist_reference",),
                folder=str(ROOT),
                configuration=str(ROOT / "pyproject.toml"),
                scratch=str(scratch),
                variables=variables,
            )
            for side in Side
        }
    )


def measure_pair(crew: Crew, pair: int, seconds: float) -> list[Row]:
    """The blocks of one pair, a row for each workload.

    Raises:
        RuntimeError: If a trial does not complete.
    """
    tasks = tuple(
        TimedTask(
            workload=workload,
            seed=derive_seeds(SALT, "", workload, pair + 1)[pair],
            first=draw_block_orders(SALT, "", workload, pair, MAX_ALTERNATIONS),
        )
        for workload in draw_workload_order(SALT, "", pair, WORKLOADS)
    )
    result = measure_timed_pair(crew, TimedRequest(pair=pair, tasks=tasks, seconds=seconds))
    rows = []
    for task in tasks:
        trials = {trial.side: trial for trial in result.trials if trial.workload == task.workload}
        if wrong := next((trial.cause for trial in trials.values() if not trial.block_times_s), ""):
            raise RuntimeError(f"{task.workload}: {wrong}")
        baseline, candidate = (np.array(trials[side].block_times_s) for side in Side)
        rows.append(
            {
                "workload": task.workload,
                "pair": pair,
                "call_s": float(np.exp(np.log(np.concatenate([baseline, candidate])).mean())),
                "duration_s": sum(trial.duration_s for trial in trials.values()),
                "load": max(trial.load or 0.0 for trial in trials.values()),
                "log_ratios": np.log(candidate / baseline).round(5).tolist(),
            }
        )
    return rows


def summarise(pairs: Sequence[Row]) -> list[Row]:
    """Noise of each workload: between blocks, and between pairs by estimator and by share of the blocks."""
    table = []
    for workload in WORKLOADS:
        rows = [row for row in pairs if row["workload"] == workload]
        if len(rows) < 2:
            continue
        ratios = [np.array(row["log_ratios"]) for row in rows]
        for share in SHARES:
            cut = [block[: max(1, math.ceil(share * len(block)))] for block in ratios]
            values = {name: [estimate(block) for block in cut] for name, estimate in ESTIMATORS.items()}
            within = math.sqrt(np.mean([block.var(ddof=1) for block in cut if len(block) > 1]))
            num_blocks = float(np.mean([len(block) for block in cut]))
            table.append(
                {
                    "workload": workload,
                    "num_pairs": len(rows),
                    "blocks_of_each_revision": num_blocks,
                    "measured_s": round(float(np.mean([share * row["duration_s"] for row in rows])), 2),
                    "sd_of_a_block": within,
                    "sd_expected_of_a_pair": within / math.sqrt(num_blocks),
                    "sd_of_a_pair": {name: float(np.std(column, ddof=1)) for name, column in values.items()},
                    "mean_of_pairs": float(np.mean(values["mean"])),
                }
            )
    return table


def provenance(argv: Sequence[str]) -> Row:
    """Where the figures come from."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "src", "benchmarks", "tests/calibration"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    machine = asdict(describe_machine())
    return {
        "command": " ".join(["python -m tests.calibration.pair_noise", *argv]),
        "commit": commit,
        "is_clean": not changed,
        "salt": SALT,
        "machine": machine,
        "versions": {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")},
    }


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and write the table; returns the exit status."""
    parser = argparse.ArgumentParser(description="measure how noisy one timed pair is")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="of each workload in a pair, both revisions together"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "pair_noise.json")
    options = parser.parse_args(argv)
    document = json.loads(options.output.read_text()) if options.output.exists() else {"pairs": []}
    done = {row["pair"] for row in document["pairs"]}
    with tempfile.TemporaryDirectory() as scratch:
        crew = make_crew(Path(scratch))
        for pair in sorted(set(range(options.pairs)) - done):
            document["pairs"] += measure_pair(crew, pair, options.seconds)
            document = {
                "provenance": provenance(argv),
                "seconds_a_pair": options.seconds,
                "noise": summarise(document["pairs"]),
                "pairs": document["pairs"],
            }
            write_text(options.output, json.dumps(document, indent=1) + "\n")
    for row in document["noise"]:
        deviations = ", ".join(f"{name} {100 * value:.2f} %" for name, value in row["sd_of_a_pair"].items())
        print(f"{row['workload'].partition('::')[2]}, {row['measured_s']} s of blocks: {deviations}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
