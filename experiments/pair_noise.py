"""Measure how noisy one timed pair is, by the way in which it is timed and by the load of the machine; write it down.

Both revisions are this very environment, so every log ratio is noise. Run from the root of the repository on a machine
that does nothing else: the load is made here, so many busy processes beside each pair, and what others do is recorded::

    python -m experiments.pair_noise --pairs 12 --seconds 2 --load 0 1 4

Every pair is measured in each of :data:`WAYS`, one after the other, at each load: in turns, in turns with all processes on
one core, and at the same time on one core. From the blocks come the estimates of :data:`ESTIMATORS`, each from the same calls: by
the wall clock or less the time that others kept the process waiting for a core, as the mean of log ratios of neighbouring
blocks or as the log ratio of sums, of which one weighs the blocks by the speed of the core.

With ``--preload torch`` each pair is also measured in workers forked from servers that have torch loaded; every five
pairs, as many as a gate measures up to its first look, have servers of their own.

The file grows pair by pair: an interrupted run continues where it stopped, and so does one that asks for more pairs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.load import busy_processes, one_core
from experiments.provenance import ROOT, Row, head, is_clean, versions, write_results
from mainstay.measuring.scheduling import derive_seeds, draw_block_orders, draw_workload_order
from mainstay.records.trials import Side, Trial
from mainstay.revisions.environments import THREAD_VARIABLES
from mainstay.workers.fork_server import fork_servers
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedTask, run_timed_pair
from mainstay.workers.machine import describe_machine
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import LiveWorkers

WORKLOADS = tuple(
    f"benchmarks/test_performance.py::{name}"
    for name in (
        *("test_training_step", "test_evaluation_pass", "test_latency_of_one_image", "test_data_loading"),
        "test_import_time",
    )
)
SALT = "pair noise"
PAIRS_A_SERVER = 5
"""Pairs for which the same servers fork."""
FRESH, FORKED = "fresh", "forked"
"""How the processes of a pair were started."""


class Way(NamedTuple):
    """One way to time a pair.

    Attributes:
        may_share: Whether both revisions may run at the same time on one core.
        is_pinned: Whether both processes and the gate share one core in any case.
    """

    may_share: bool
    is_pinned: bool = False


IN_TURNS, GATES_WAY = "in turns", "at the same time, one core"
WAYS: Mapping[str, Way] = {
    IN_TURNS: Way(may_share=False),
    "in turns, one core": Way(may_share=False, is_pinned=True),
    GATES_WAY: Way(may_share=True),
}
"""The gate's own is the last, for workloads that allow it."""

Blocks = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Times of a call in the blocks of the baseline and of the candidate."""

Estimator = Callable[[Blocks, Blocks, Blocks], float]


def of_sums(blocks: Blocks) -> float:
    """The log ratio of the sums."""
    return float(np.log(blocks[1].sum() / blocks[0].sum()))


def of_logs(blocks: Blocks) -> float:
    """The mean of the log ratios of neighbouring blocks."""
    return float(np.log(blocks[1] / blocks[0]).mean())


def trimmed(blocks: Blocks) -> float:
    """The same without the lowest and the highest 20 %."""
    ratios = np.sort(np.log(blocks[1] / blocks[0]))
    cut = len(ratios) // 5
    return float(ratios[cut : len(ratios) - cut].mean())


ESTIMATORS: Mapping[str, Estimator] = {
    "wall clock, mean of logs": lambda wall, less, weighted: of_logs(wall),
    "wall clock, sums": lambda wall, less, weighted: of_sums(wall),
    "wall clock, trimmed": lambda wall, less, weighted: trimmed(wall),
    "less run delay, sums": lambda wall, less, weighted: of_sums(less),
    "less run delay, mean of logs": lambda wall, less, weighted: of_logs(less),
    "less run delay, weighted sums": lambda wall, less, weighted: of_sums(weighted),
}
"""From the blocks by the wall clock, less what others took, and by their weights too, to the value of a pair; the gate uses
the last. A trimmed mean is here for its noise alone: it cuts rare slow calls away."""


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


def measure_pair(
    specs: Mapping[Side, WorkerSpec],
    live: LiveWorkers,
    pair: int,
    *,
    seconds: float,
    way: Way,
    workloads: Sequence[str],
) -> list[Row]:
    """What one pair gave, a row for each workload.

    Raises:
        RuntimeError: If a trial does not complete.
    """
    tasks = tuple(
        TimedTask(
            workload=workload,
            seed=derive_seeds(SALT, "", workload, pair + 1)[pair],
            first=draw_block_orders(SALT, "", workload, pair, MAX_ALTERNATIONS),
            gated=("import_time",) if workload.endswith("import_time") else (),
        )
        for workload in draw_workload_order(SALT, "", pair, workloads)
    )
    start, others = time.monotonic(), os.getloadavg()[0]
    request = TimedRequest(pair=pair, tasks=tasks, seconds=seconds, may_share=way.may_share)
    with one_core(wanted=way.is_pinned):
        result = run_timed_pair(specs, request, live=live)
    overhead_s = round(time.monotonic() - start - sum(trial.duration_s for trial in result.trials), 2)
    rows = []
    for task in tasks:
        trials = {trial.side: trial for trial in result.trials if trial.workload == task.workload}
        if wrong := next((trial.cause for trial in trials.values() if not trial.block_times_s), ""):
            raise RuntimeError(f"{task.workload}: {wrong}")
        baseline, candidate = (trials[side] for side in Side)
        rows.append(
            {
                "workload": task.workload,
                "pair": pair,
                "call_s": float(np.mean([*baseline.block_times_s, *candidate.block_times_s])),
                "num_blocks": len(baseline.block_times_s),
                "overhead_s_of_the_pair": overhead_s,
                "duration_s": sum(trial.duration_s for trial in trials.values()),
                "load_average_before": round(others, 2),
                "load": max(trial.load or 0.0 for trial in trials.values()),
                **estimates(baseline, candidate),
            }
        )
    return rows


def estimates(baseline: Trial, candidate: Trial) -> Row:
    """What the blocks of a pair come to by each estimator, and the log ratio of each metric that is none of blocks."""
    less: Blocks = (np.array(baseline.block_times_s), np.array(candidate.block_times_s))
    delays = [np.array(trial.run_delays_s or [0.0] * len(trial.block_times_s)) for trial in (baseline, candidate)]
    wall: Blocks = (less[0] + delays[0], less[1] + delays[1])
    weights = np.array(baseline.weights_of_blocks)
    weighted: Blocks = (less[0] * weights, less[1] * weights)
    return {
        "run_delay": float(np.sum(delays) / np.sum(wall)),
        "log_ratios": {name: estimate(wall, less, weighted) for name, estimate in ESTIMATORS.items()},
        "recorded": {
            name: math.log(candidate.values[name] / value)
            for name, value in baseline.values.items()
            if name.startswith("latency")
        },
    }


def measure_pairs(scratch: Path, pairs: Sequence[int], options: argparse.Namespace) -> Iterator[list[Row]]:
    """What some pairs gave, pair by pair, in every way and at every load."""
    specs = make_specs(scratch)
    start = time.monotonic()
    with fork_servers(specs, options.preload) as servers:
        server_s = round(time.monotonic() - start, 2)
        fresh = LiveWorkers()
        forked = LiveWorkers({side: server.start for side, server in servers.items()})
        for pair in pairs:
            rows = []
            for busy in options.load:
                with busy_processes(busy):
                    for name, way in WAYS.items():
                        measured = measure_pair(
                            specs, fresh, pair, seconds=options.seconds, way=way, workloads=WORKLOADS
                        )
                        rows += [
                            {**row, "busy": busy, "way": name, "start": FRESH, "servers_s": 0.0} for row in measured
                        ]
                    if servers:
                        name, way, timed = IN_TURNS, WAYS[IN_TURNS], WORKLOADS[:-1]  # imports have fresh ones always
                        measured = measure_pair(specs, forked, pair, seconds=options.seconds, way=way, workloads=timed)
                        kind = {"busy": busy, "way": name, "start": FORKED, "servers_s": server_s}
                        rows += [{**row, **kind} for row in measured]
            yield rows


def summarise(pairs: Sequence[Row]) -> list[Row]:
    """Noise of each workload by load, way and start of the processes."""
    kinds = dict.fromkeys((row["workload"], row["busy"], row["way"], row["start"]) for row in pairs)
    return [
        summarise_kind([row for row in pairs if (row["workload"], row["busy"], row["way"], row["start"]) == kind])
        for kind in sorted(kinds, key=lambda kind: (kind[3], kind[0], kind[1]))
    ]


def summarise_kind(rows: Sequence[Row]) -> Row:
    """The same of one kind of pairs: since both revisions are the same, deviations are taken from 0."""
    first = rows[0]
    return {
        **{key: first[key] for key in ("workload", "busy", "way", "start")},
        "num_pairs": len(rows),
        "num_blocks": float(np.mean([row["num_blocks"] for row in rows])),
        "run_delay": round(float(np.mean([row["run_delay"] for row in rows])), 4),
        "seconds": round(float(np.mean([row["duration_s"] for row in rows])), 2),
        "load": round(float(np.mean([row["load"] for row in rows])), 2),
        "sd_of_a_pair": {name: root_mean_square([row["log_ratios"][name] for row in rows]) for name in ESTIMATORS},
        "sd_of_recorded": {
            name: root_mean_square([row["recorded"][name] for row in rows]) for name in first["recorded"]
        },
        "mean_of_pairs": float(np.mean([row["log_ratios"]["less run delay, weighted sums"] for row in rows])),
    }


def root_mean_square(values: Sequence[float]) -> float:
    """Of numbers whose mean is 0 but for chance.

    Example:
        >>> root_mean_square([0.03, -0.04, 0.0, 0.0])
        0.025
    """
    return round(float(np.sqrt(np.mean(np.square(values)))), 5)


def overhead(pairs: Sequence[Row]) -> Mapping[str, float]:
    """Seconds that a pair costs besides the time in its workloads, by how its processes were started; the mean without load."""
    seconds: dict[str, dict[int, float]] = {}
    for row in pairs:
        if (row["busy"], row["way"]) == (0, IN_TURNS):  # since times of trials that overlap do not add up
            seconds.setdefault(row["start"], {})[row["pair"]] = row["overhead_s_of_the_pair"]
    return {how: round(float(np.mean(list(by_pair.values()))), 2) for how, by_pair in seconds.items()}


def provenance(argv: Sequence[str]) -> Row:
    """Where the figures come from."""
    machine = asdict(describe_machine())
    return {
        "command": " ".join(["python -m experiments.pair_noise", *argv]),
        "commit": head(),
        "is_clean": is_clean(),
        "salt": SALT,
        "machine": machine,
        "versions": versions("python", "torch", "numpy"),
    }


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and write the table; returns the exit status."""
    parser = argparse.ArgumentParser(description="measure how noisy one timed pair is")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each workload in a pair, both revisions together"
    )
    parser.add_argument("--load", type=int, nargs="+", default=[0, 1, 4], help="busy processes beside the pairs")
    parser.add_argument(
        "--preload", nargs="+", default=[], metavar="MODULE", help="also measure workers forked with these loaded"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "pair_noise.json")
    options = parser.parse_args(argv)
    document = json.loads(options.output.read_text()) if options.output.exists() else {"pairs": []}
    wanted = {(busy, start) for busy in options.load for start in ((FRESH, FORKED) if options.preload else (FRESH,))}
    done = {
        pair
        for pair in range(options.pairs)
        if wanted <= {(row["busy"], row["start"]) for row in document["pairs"] if row["pair"] == pair}
    }
    missing = [pair for pair in range(options.pairs) if pair not in done]
    rows = [row for row in document["pairs"] if row["pair"] in done]
    with tempfile.TemporaryDirectory() as scratch:
        for first in range(0, len(missing), PAIRS_A_SERVER):
            for measured in measure_pairs(Path(scratch), missing[first : first + PAIRS_A_SERVER], options):
                rows += measured
                document = {
                    "provenance": provenance(argv),
                    "seconds_a_pair": options.seconds,
                    "overhead_s": overhead(rows),
                    "noise": summarise(rows),
                    "pairs": rows,
                }
                write_results(options.output, document)
    for row in document["noise"]:
        deviations = ", ".join(f"{name} {100 * value:.2f} %" for name, value in row["sd_of_a_pair"].items())
        name = row["workload"].partition("::")[2]
        print(f"{name}, {row['busy']} busy, {row['way']}, {row['start']}, n {row['num_pairs']}: {deviations}")
        for name, value in row["sd_of_recorded"].items():
            print(f"  {name}: {100 * value:.2f} %")
    for how, seconds in document["overhead_s"].items():
        print(f"{how}: {seconds} s of a pair besides the time in its workloads")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
