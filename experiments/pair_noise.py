"""Measure how noisy one timed pair is, by what is measured in it and for how long, and write it down.

Both revisions are this very environment, so every log ratio is noise. Run from the root of the repository on a machine
that does nothing else, about half a minute a pair::

    python -m experiments.pair_noise --pairs 12 --seconds 8 --output docs/results/pair_noise.json

With ``--preload torch`` every pair is measured twice, in fresh interpreters and in workers forked from servers that have
torch loaded, so that noise and cost of the two stand side by side; every five pairs, as many as a gate measures up to
its first look, have servers of their own.

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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.measuring.scheduling import derive_seeds, draw_block_orders, draw_workload_order
from mainstay.records.trials import Side
from mainstay.revisions.environments import THREAD_VARIABLES
from mainstay.store.files import write_text
from mainstay.workers.fork_server import fork_servers
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedTask, run_timed_pair
from mainstay.workers.machine import describe_machine
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import LiveWorkers

ROOT = Path(__file__).parents[1]
WORKLOADS = tuple(
    f"benchmarks/test_performance.py::{name}"
    for name in ("test_training_step", "test_evaluation_pass", "test_latency_of_one_image", "test_data_loading")
)
SALT = "pair noise"
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the measured blocks, from the first on."""
PAIRS_A_SERVER = 5
"""Pairs for which the same servers fork."""
FRESH, FORKED = "fresh", "forked"
"""How the processes of a pair were started."""

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


def make_specs(scratch: Path) -> dict[Side, WorkerSpec]:
    """Workers of two revisions that are the same."""
    passed_on = {name: os.environ[name] for name in ("PATH", "MNIST_REFERENCE_ROOT") if name in os.environ}
    data_root = passed_on.get("MNIST_REFERENCE_ROOT") or os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    variables = {
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        "MNIST_REFERENCE_ROOT": passed_on.get("MNIST_REFERENCE_ROOT", str(Path(data_root) / "mnist_reference")),
        "PYTHONHASHSEED": "0",
        **passed_on,
    }
    return {
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


def measure_pair(specs: Mapping[Side, WorkerSpec], live: LiveWorkers, pair: int, seconds: float) -> list[Row]:
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
    start = time.monotonic()
    result = run_timed_pair(specs, TimedRequest(pair=pair, tasks=tasks, seconds=seconds), live=live)
    overhead_s = round(time.monotonic() - start - sum(trial.duration_s for trial in result.trials), 2)
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
                "overhead_s_of_the_pair": overhead_s,
                "duration_s": sum(trial.duration_s for trial in trials.values()),
                "load": max(trial.load or 0.0 for trial in trials.values()),
                "log_ratios": np.log(candidate / baseline).round(5).tolist(),
            }
        )
    return rows


def measure_pairs(scratch: Path, pairs: Sequence[int], seconds: float, modules: Sequence[str]) -> Iterator[list[Row]]:
    """The blocks of some pairs, pair by pair: in fresh interpreters, and in forked workers where modules are named."""
    specs = make_specs(scratch)
    start = time.monotonic()
    with fork_servers(specs, modules) as servers:
        server_s = round(time.monotonic() - start, 2)
        live = {FRESH: LiveWorkers()}
        if servers:
            live[FORKED] = LiveWorkers({side: server.start for side, server in servers.items()})
        for pair in pairs:
            for how in sorted(live, reverse=bool(pair % 2)):
                rows = measure_pair(specs, live[how], pair, seconds)
                yield [{**row, "start": how, "servers_s": server_s if how == FORKED else 0.0} for row in rows]


def summarise(pairs: Sequence[Row]) -> list[Row]:
    """Noise of each workload: between blocks, and between pairs by estimator and by share of the blocks."""
    return [
        row
        for how in (FRESH, FORKED)
        for workload in WORKLOADS
        for row in summarise_workload([row for row in pairs if (row["start"], row["workload"]) == (how, workload)])
    ]


def summarise_workload(rows: Sequence[Row]) -> list[Row]:
    """The same of one workload and one way to start its processes."""
    if len(rows) < 2:
        return []
    table = []
    ratios = [np.array(row["log_ratios"]) for row in rows]
    for share in SHARES:
        cut = [block[: max(1, math.ceil(share * len(block)))] for block in ratios]
        values = {name: [estimate(block) for block in cut] for name, estimate in ESTIMATORS.items()}
        within = math.sqrt(np.mean([block.var(ddof=1) for block in cut if len(block) > 1]))
        num_blocks = float(np.mean([len(block) for block in cut]))
        table.append(
            {
                "workload": rows[0]["workload"],
                "start": rows[0]["start"],
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


def overhead(pairs: Sequence[Row]) -> Mapping[str, float]:
    """Seconds that a pair costs besides the time in its workloads, by how its processes were started; the mean."""
    seconds: dict[str, dict[int, float]] = {}
    for row in pairs:
        seconds.setdefault(row["start"], {})[row["pair"]] = row["overhead_s_of_the_pair"]
    return {how: round(float(np.mean(list(by_pair.values()))), 2) for how, by_pair in seconds.items()}


def provenance(argv: Sequence[str]) -> Row:
    """Where the figures come from."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "src", "benchmarks", "experiments"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    machine = asdict(describe_machine())
    return {
        "command": " ".join(["python -m experiments.pair_noise", *argv]),
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
    parser.add_argument(
        "--preload", nargs="+", default=[], metavar="MODULE", help="also measure workers forked with these loaded"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "pair_noise.json")
    options = parser.parse_args(argv)
    document = json.loads(options.output.read_text()) if options.output.exists() else {"pairs": []}
    wanted = {FRESH, FORKED} if options.preload else {FRESH}
    done = {
        pair
        for pair in range(options.pairs)
        if wanted <= {row["start"] for row in document["pairs"] if row["pair"] == pair}
    }
    missing = [pair for pair in range(options.pairs) if pair not in done]
    rows = [row for row in document["pairs"] if row["pair"] in done]
    with tempfile.TemporaryDirectory() as scratch:
        for first in range(0, len(missing), PAIRS_A_SERVER):
            batch = missing[first : first + PAIRS_A_SERVER]
            for measured in measure_pairs(Path(scratch), batch, options.seconds, options.preload):
                rows += measured
                document = {
                    "provenance": provenance(argv),
                    "seconds_a_pair": options.seconds,
                    "overhead_s": overhead(rows),
                    "noise": summarise(rows),
                    "pairs": rows,
                }
                write_text(options.output, json.dumps(document, indent=1) + "\n")
    for row in document["noise"]:
        deviations = ", ".join(f"{name} {100 * value:.2f} %" for name, value in row["sd_of_a_pair"].items())
        print(f"{row['start']}, {row['workload'].partition('::')[2]}, {row['measured_s']} s of blocks: {deviations}")
    for how, seconds in document["overhead_s"].items():
        print(f"{how}: {seconds} s of a pair besides the time in its workloads")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
