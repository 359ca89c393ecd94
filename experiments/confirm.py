"""Measure how large a planted change turned out, apart from any gate.

Both versions of the library run in turns in one process (time of a step), or in fresh processes (memory, import), or
over many seeds (accuracy); far longer than a gate measures. Prints JSON; called by ``selftest.py`` as::

    python confirm.py KIND BASELINE_TREE CANDIDATE_TREE SECONDS
    python confirm.py cost TREE SECONDS
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

BLOCK_SECONDS = 0.02
LEAST_TURNS = 20

Turn = Callable[[], float]
"""Measures one version once."""


def load(tree: Path, name: str) -> ModuleType:
    """A module of the library that imports nothing else of it, under a name of its own."""
    path = tree / "src" / "subject" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{tree.name}_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def step_turn(tree: Path) -> Turn:
    """A block of training steps of the numpy network; seconds a step."""
    network = load(tree, "network")
    rng = np.random.default_rng(1)
    inputs, labels = rng.standard_normal((256, 196), dtype=np.float32), rng.integers(0, 10, 256)
    weights = network.new_network(196, 64, rng)
    return block_of(lambda: network.train_step(weights, inputs, labels, 0.1))


def deep_step_turn(tree: Path) -> Turn:
    """A block of training steps of the torch network; seconds a step."""
    import torch

    deep = load(tree, "deep")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = deep.new_model(196, 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, labels = torch.randn(64, 196), torch.randint(0, 10, (64,))
    return block_of(lambda: deep.train_step(model, optimizer, inputs, labels))


def block_of(call: Callable[[], Any]) -> Turn:
    """A turn of so many calls that it lasts about 20 ms."""

    def seconds_of(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number

    number = max(1, round(BLOCK_SECONDS / min(seconds_of(1) for _ in range(10))))
    return lambda: seconds_of(number)


IMPORT = "import time; start = time.perf_counter(); import subject.network; print(time.perf_counter() - start)"
"""Prints the seconds of an import."""


def fresh_turn(tree: Path, *options: str) -> Turn:
    """A fresh process that prints one number."""
    command = [sys.executable, *options]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}

    def turn() -> float:
        return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)

    return turn


def peak_memory(tree: Path) -> int:
    """Peak memory in bytes of this process after a little training."""
    step_turn(tree)()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


TURNS: dict[str, Callable[[Path], Turn]] = {
    "step": step_turn,
    "deep": deep_step_turn,
    "memory": lambda tree: fresh_turn(tree, __file__, "--memory", str(tree)),
    "import": lambda tree: fresh_turn(tree, "-c", IMPORT),
}


def compare_turns(turns: Sequence[Turn], seconds: float) -> list[float]:
    """Log ratios of neighbouring turns of the candidate and the baseline, in an order drawn by a coin."""
    degradations: list[float] = []
    end = time.monotonic() + seconds
    rng = random.Random(0)
    while time.monotonic() < end or len(degradations) < LEAST_TURNS:
        order = (0, 1) if rng.random() < 0.5 else (1, 0)
        values = {which: turns[which]() for which in order}
        degradations.append(math.log(values[1] / values[0]))
    return degradations


def compare_accuracies(trees: Sequence[Path], seconds: float) -> list[float]:
    """Degradations of accuracy, one a seed; both versions in processes of their own."""
    degradations: list[float] = []
    end = time.monotonic() + seconds
    seed = 1_000_000
    while time.monotonic() < end or len(degradations) < LEAST_TURNS:
        seeds = [str(seed + number) for number in range(LEAST_TURNS)]
        seed += LEAST_TURNS
        commands = [[sys.executable, __file__, "--accuracies", str(tree), *seeds] for tree in trees]
        outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands]
        baseline, candidate = map(json.loads, outputs)
        degradations += [old - new for old, new in zip(baseline, candidate, strict=True)]
    return degradations


def accuracies(tree: Path, seeds: Sequence[str]) -> list[float]:
    """Accuracy by the subject's own workload, one a seed."""
    sys.path[:0] = [str(tree / "src"), str(tree / "accuracy")]
    workload = importlib.import_module("test_accuracy")

    class Recorder:
        def __init__(self, seed: int) -> None:
            self.seed = seed
            self.top1_accuracy = math.nan

        def record(self, top1_accuracy: float) -> None:
            self.top1_accuracy = top1_accuracy

        def record_digest(self, tree: object) -> None: ...

        def record_context(self, **context: object) -> None: ...

    recorders = [Recorder(int(seed)) for seed in seeds]
    for recorder in recorders:
        workload.test_clouds(recorder)
    return [recorder.top1_accuracy for recorder in recorders]


def cost_of_rows(tree: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Share of a step that it takes to compute rows of the batch twice: by no row, and by each.

    Returns:
        Both figures for the first product of matrices, and for the whole forward pass.
    """
    network = load(tree, "network")
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((256, 196), dtype=np.float32)
    weights = network.new_network(196, 64, rng)
    step = step_turn(tree)
    rows = (16, 64, 128, 192)
    parts: dict[str, Callable[[int], Any]] = {
        "product": lambda count: inputs[:count] @ weights.first,
        "forward": lambda count: network.forward(weights, inputs[:count]),
    }
    cost = {}
    for name, part in parts.items():
        shares = []
        for count in rows:
            degradations = compare_turns([step, block_of(partial(part, count))], seconds / len(rows) / len(parts))
            shares.append(math.exp(statistics.median(degradations)))
        slope, intercept = statistics.linear_regression(rows, shares)
        cost[name] = {"fixed": intercept, "per_row": slope}
    return cost


def summarise(degradations: Sequence[float]) -> dict[str, float | int]:
    """Mean degradation with twice its standard error, over groups of neighbours: they depend less on each other."""
    size = max(1, len(degradations) // LEAST_TURNS)
    groups = [statistics.fmean(degradations[start : start + size]) for start in range(0, size * LEAST_TURNS, size)]
    mean = statistics.fmean(degradations)
    reach = 2 * statistics.stdev(groups) / math.sqrt(len(groups))
    return {"degradation": mean, "low": mean - reach, "high": mean + reach, "turns": len(degradations)}


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    if arguments[0] == "--memory":
        print(peak_memory(Path(arguments[1])))
    elif arguments[0] == "cost":
        print(json.dumps(cost_of_rows(Path(arguments[1]), float(arguments[2]))))
    elif arguments[0] == "--accuracies":
        print(json.dumps(accuracies(Path(arguments[1]), arguments[2:])))
    else:
        kind, *trees, seconds = arguments
        paths = [Path(tree) for tree in trees]
        if kind == "accuracy":
            degradations = compare_accuracies(paths, float(seconds))
        else:
            degradations = compare_turns([TURNS[kind](path) for path in paths], float(seconds))
        print(json.dumps(summarise(degradations)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
