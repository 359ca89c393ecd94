"""Train one epoch with the number of threads that the command chooses, and with one and two, side by side.

Run from the root of the repository, on a machine that does nothing else, about ten minutes::

    python -m experiments.thread_choice

A turn trains the article's recipe three times on MNIST, in drawn order: as the command chooses its threads, with one, and
with two. Turns alternate between a machine that is otherwise idle and one with two busy processes. The ratio of a turn is
the time of the epoch over that of the better of one and two threads in the same turn.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from experiments.load import busy_processes
from experiments.provenance import (
    RESULTS,
    ROOT,
    Row,
    commit,
    load,
    machine_name,
    versions,
    write_results,
)
from mnist_reference.training.threads import VARIABLES

SEED = 20_261_129
NUM_TURNS = 10
"""Turns for each number of busy processes, decided beforehand."""

BUSY = (0, 2)
CHOICES: tuple[int | None, ...] = (None, 1, 2)
"""Threads of the trainings of a turn; ``None`` leaves the choice to the command."""

LARGEST_RATIO = 1.3
"""How much longer than with the better of one and two threads an epoch may take."""


def train(num_threads: int | None) -> Row:
    """Train one epoch; its time, and the number of threads."""
    variables = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "mnist_reference", "train", "--data", "mnist", "--recipe", "article"),
            *("--epochs", "1", "--device", "cpu", "--json", "--output", str(Path(folder) / "model.safetensors")),
            *([] if num_threads is None else ["--threads", str(num_threads)]),
        ]
        done = subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    return {"num_threads": told["num_threads"], "epoch_s": round(told["epochs"][0]["train_time_s"], 3)}


def take_turn(busy: int, rng: random.Random) -> Row:
    """Train in each way beside so many busy processes."""
    order = rng.sample(CHOICES, len(CHOICES))
    with busy_processes(busy):
        before = load()
        trained = {choice: train(choice) for choice in order}
    chosen, one, two = (trained[choice] for choice in CHOICES)
    return {
        "busy": busy,
        "order": ["chosen" if choice is None else choice for choice in order],
        "chosen_threads": chosen["num_threads"],
        "chosen_s": chosen["epoch_s"],
        "one_s": one["epoch_s"],
        "two_s": two["epoch_s"],
        "ratio": round(chosen["epoch_s"] / min(one["epoch_s"], two["epoch_s"]), 3),
        "load": before,
    }


def summarise(busy: int, turns: Sequence[Row]) -> Row:
    """What the turns beside so many busy processes came to."""
    ratios = [turn["ratio"] for turn in turns]
    return {
        "busy": busy,
        "turns": len(turns),
        **{f"{name}_s": statistics.median(turn[f"{name}_s"] for turn in turns) for name in ("chosen", "one", "two")},
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "above_the_bar": sum(ratio > LARGEST_RATIO for ratio in ratios),
        "chosen_threads": {str(number): count for number, count in Counter(t["chosen_threads"] for t in turns).items()},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Take all turns and write their times; 1 if the median ratio is above the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=NUM_TURNS, help="for each number of busy processes")
    parser.add_argument("--output", type=Path, default=RESULTS / "thread_choice.json")
    options = parser.parse_args(argv)
    provenance = {
        "command": "python -m experiments.thread_choice",
        "commit": commit(),
        "machine": machine_name(),
        "versions": versions("python", "mainstay", "torch"),
    }
    rng = random.Random(SEED)
    train(1)  # fetches the data and compiles what is imported
    turns: list[Row] = []
    for _ in range(options.turns):
        for busy in BUSY:
            turns.append(take_turn(busy, rng))
            print(json.dumps(turns[-1]), flush=True)
    cases = [summarise(busy, [turn for turn in turns if turn["busy"] == busy]) for busy in BUSY]
    bar = {"largest_ratio": LARGEST_RATIO, "seed": SEED}
    write_results(options.output, {"provenance": provenance, **bar, "cases": cases, "turns": turns})
    for case in cases:
        print(json.dumps(case))
    return int(any(case["ratio_median"] > LARGEST_RATIO for case in cases))


if __name__ == "__main__":
    raise SystemExit(main())
