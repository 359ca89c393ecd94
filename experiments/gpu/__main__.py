"""Ask one GPU everything that the docs say of GPUs, in at most ten minutes.

Run from the root of the repository where a GPU is at hand, or by ``nox -s gpu_results``::

    python -m experiments.gpu

Each step is a process of its own with seconds of its own, which is ended with all that it started when they are up. The
results are written after each step, and a step that takes long writes its own part as it goes, so nothing that was measured is
lost when something hangs:

- ``tests``: ``tests/gpu``.
- ``unchanged``, ``planted_5``, ``planted_10``: timed pairs of training steps that the gate judges, with one step in twenty, or
  two, planted in the candidate. Clocks, power, temperature and throttling are read during each pair by NVML. Pairs with
  throttling are discarded, both sides, and told.
- ``peers``: epochs of the reference model and of the common loop with a ``DataLoader``, on the GPU, in turns.
- ``seeds``: 32 seeds trained in one call, beside one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from experiments.provenance import ROOT, Row, commit, versions, write_results
from mainstay.workers.machine import describe_machine

RESULTS = ROOT / "docs" / "results" / "gpu.json"
TOTAL_S = 600.0
SPARE_S = 10.0
"""Seconds of a step in which it begins nothing, so that it ends by itself."""

PEERS = ("mainstay", "dataloader")
NVML = "experiments.gpu.gauges:NvmlGauge"

Keep = Callable[[Row], None]


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        num_unchanged: Pairs of the unchanged revision.
        num_planted: Pairs of each planted change.
        pair_s: Seconds of the blocks of a pair.
        width: Of the hidden layer of the campaigns.
        epochs: Of each peer in a turn.
        turns: Of the peers.
        num_seeds: Trained in one call.
        num_steps: Of each seed.
    """

    num_unchanged: int
    num_planted: int
    pair_s: float
    width: int
    epochs: int
    turns: int
    num_seeds: int
    num_steps: int


WHOLE = Size(20, 12, 2.0, 2048, 5, 3, 32, 500)
SMALL = Size(2, 1, 0.2, 32, 1, 1, 4, 5)
"""What the tests run on a CPU, with :data:`PATIENCE` times the seconds: it shows that everything runs, not how fast."""

PATIENCE = 20


class Context(NamedTuple):
    """What a step is told.

    Attributes:
        device: Device of PyTorch.
        gauge: Place of the gauge.
        size: How much is measured.
        seconds: When to begin nothing more.
        data: Folder with MNIST; fetched if empty.
    """

    device: str
    gauge: str
    size: Size
    seconds: float
    data: str


def run_tests(context: Context, keep: Keep) -> Row:
    """Run ``tests/gpu``."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    found = {"exit_status": done.returncode, "summary": lines[-1] if lines else "", "output": lines[-40:]}
    return found | ({"problem": f"pytest ended with status {done.returncode}"} if done.returncode else {})


def run_campaign_of(planted: int) -> Callable[[Context, Keep], Row]:
    """A step that measures pairs with so many steps planted."""

    def run(context: Context, keep: Keep) -> Row:
        from experiments.gpu.campaign import make_specs, pair_measurer, run_campaign
        from experiments.gpu.gauges import load_gauge

        with tempfile.TemporaryDirectory() as scratch:
            specs = make_specs(
                Path(scratch).resolve(), planted=planted, device=context.device, width=context.size.width
            )
            return run_campaign(
                pair_measurer(specs, seconds=context.size.pair_s),
                load_gauge(context.gauge),
                planted=planted,
                num_pairs=context.size.num_planted if planted else context.size.num_unchanged,
                seconds=context.seconds,
                keep=keep,
            )

    return run


def run_peers(context: Context, keep: Keep) -> Row:
    """Time epochs of the reference model and of a peer, in turns."""
    from experiments.peers.__main__ import data_folder, measure_sample

    data, start = context.data or data_folder(), time.monotonic()
    turns, results = [], {}
    for turn in range(1, context.size.turns + 1):
        turns.append(
            {
                name: measure_sample(name, turn=turn, epochs=context.size.epochs, data=data, device=context.device)
                for name in (PEERS if turn % 2 else PEERS[::-1])
            }
        )
        results = {
            "epochs": context.size.epochs,
            "steady_epoch_s": {name: median(each[name].steady_epoch_s for each in turns) for name in PEERS},
            "test_accuracy": {name: [each[name].test_accuracy for each in turns] for name in PEERS},
            "dataloader_over_mainstay": [
                each["dataloader"].steady_epoch_s / each["mainstay"].steady_epoch_s for each in turns
            ],
        }
        keep(results)
        if (time.monotonic() - start) * (turn + 1) / turn > context.seconds:
            break
    return results


def run_seeds(context: Context, keep: Keep) -> Row:
    """Train many seeds in one call."""
    import torch

    from experiments.gpu.seeds import compare

    wait = torch.accelerator.synchronize if context.device != "cpu" else lambda: None
    return compare(
        num_seeds=context.size.num_seeds,
        num_steps=context.size.num_steps,
        batch_size=64,
        device=context.device,
        synchronize=wait,
    )


class Step(NamedTuple):
    """A part of the results.

    Attributes:
        run: Measures it.
        seconds: What it may take; together less than :data:`TOTAL_S`.
    """

    run: Callable[[Context, Keep], Row]
    seconds: float


STEPS: Mapping[str, Step] = {
    "tests": Step(run_tests, 110.0),
    "unchanged": Step(run_campaign_of(0), 170.0),
    "planted_5": Step(run_campaign_of(1), 90.0),
    "planted_10": Step(run_campaign_of(2), 90.0),
    "peers": Step(run_peers, 80.0),
    "seeds": Step(run_seeds, 45.0),
}


def run_process(command: Sequence[str], *, seconds: float) -> str:
    """Run a process and end it with all that it started when its seconds are up; why it failed, or nothing.

    Args:
        command: Program and arguments.
        seconds: What it may take.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, text=True
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"ended after {seconds:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return f"exit status {status}: {output.read()[-2000:]}" if status else ""


def run_steps(
    commands: Mapping[str, Sequence[str]],
    limits: Mapping[str, float],
    *,
    scratch: Path,
    keep: Keep,
    total_s: float = TOTAL_S,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Row]:
    """Run every step in a process of its own, within its seconds and within those of all.

    Args:
        commands: Process of each step, which writes its results to a file of the step's name in ``scratch``.
        limits: Seconds of each step.
        scratch: Folder of these files.
        keep: Called with all results after each step.
        total_s: Seconds of all steps together.
        clock: Gives the time.
    """
    start, results = clock(), {}
    for name, command in commands.items():
        seconds = min(limits[name], total_s - (clock() - start))
        began = clock()
        problem = run_process(command, seconds=seconds) if seconds > 0 else "not begun: the time was up"
        file = scratch / f"{name}.json"
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        results[name] = {"problem": problem, "seconds": round(clock() - began, 1), **found}
        keep(results)
    return results


def provenance(options: argparse.Namespace) -> Row:
    """Where, with what and on what all is measured."""
    from experiments.gpu.gauges import load_gauge

    return {
        "command": "nox -s gpu_results",
        "commit": commit(),
        "device": options.device,
        "gpu": load_gauge(options.gauge).name(),
        "machine": asdict(describe_machine()),
        "versions": versions("python", "torch"),
    }


def parsed_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="of PyTorch")
    parser.add_argument("--gauge", default=NVML, help="module and class that read clocks and power")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP")
    parser.add_argument("--small", action="store_true", help="as little as shows that everything runs")
    parser.add_argument("--data", default="", help="folder with MNIST; fetched if not given")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)  # the process of one step
    parser.add_argument("--seconds", type=float, default=TOTAL_S, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps and write their results; the status is 1 if one of them has a problem."""
    options = parsed_options(arguments)
    write = partial(write_results, options.output)
    if options.step:
        size = SMALL if options.small else WHOLE
        context = Context(options.device, options.gauge, size, options.seconds - SPARE_S, options.data)
        write(STEPS[options.step].run(context, write))
        return 0
    facts, patience = provenance(options), PATIENCE if options.small else 1
    with tempfile.TemporaryDirectory() as scratch:
        shared = ["--device", options.device, "--gauge", options.gauge, "--data", options.data]
        shared += ["--small"] if options.small else []
        results = run_steps(
            {
                name: [
                    *(sys.executable, "-m", "experiments.gpu", "--step", name, *shared),
                    *("--seconds", str(patience * STEPS[name].seconds), "--output", str(Path(scratch, f"{name}.json"))),
                ]
                for name in options.only
            },
            {name: patience * STEPS[name].seconds for name in options.only},
            scratch=Path(scratch),
            total_s=patience * TOTAL_S,
            keep=lambda results: write({"provenance": facts, **results}),
        )
    for name, found in results.items():
        print(
            f"{name}: {found['seconds']} s {found['problem'] or found.get('verdict') or found.get('summary') or 'done'}"
        )
    return int(any(found["problem"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
