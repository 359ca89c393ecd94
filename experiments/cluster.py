"""Gates over a Dask cluster: what they cost beside a gate on one machine, 10,000 trials on 1,000 workers, and real PyTorch.

Run from the root of the repository, some minutes for each part::

    python -m experiments.cluster overhead scale digits --output docs/results/cluster.json

``overhead`` gates a small repository with trainings of about a second, in turns on this machine and over a cluster of
one worker with as many threads. ``scale`` runs the real measuring loop, journal and scheduler with trials that only
sleep; the scheduler, and a process with so many workers, are not part of the gate. ``digits`` gates the reference model
on digits on one machine, in four shards, and over two workers of which one is killed. A part that is not asked for
stays as it is in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import dask.config
from distributed import Client, Worker

from experiments.provenance import ROOT, Row, commit, load, machine_name, versions, write_results
from experiments.repositories import git, replace_once
from mainstay.commands.cluster import ClusterExecutor
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.loop import Measurement, SilentObserver, Site
from mainstay.measuring.scheduling import derive_seeds
from mainstay.records.executions import TRAINED
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Outcome, Predictions, Side, Trial
from mainstay.store.journal import Journal
from mainstay.workers.machine import usable_cores
from mainstay.workers.pairs import PairRequest, PairResult
from tests.end_to_end.conftest import PACKAGE

MARGIN = 0.01
NUM_EXAMPLES = 10_000

WORKLOADS = """
import random

import pytest

from subject import NUM_STEPS


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.accuracy(metric="quality", margin=0.01)
def test_training(trial, case):
    rng = random.Random(f"{trial.seed} {case} {NUM_STEPS % 2}")
    total = sum(rng.random() for _ in range(NUM_STEPS))
    trial.record(quality=0.5 + 0.001 * (total % 1))
"""


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, Callable[..., subprocess.Popen[bytes]]]]:
    """A scheduler in a process of its own; gives its address, and a function that starts a process for it."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, ready: str) -> subprocess.Popen[bytes]:
        log = folder / f"{len(processes)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=stream, stderr=stream)
        processes.append(process)
        while not (match := re.search(ready, log.read_text(encoding="utf-8"))):
            if process.poll() is not None:
                raise RuntimeError(log.read_text(encoding="utf-8"))
            time.sleep(0.1)
        places.append(match[match.lastindex or 0])
        return process

    places: list[str] = []
    try:
        start("dask", "scheduler", "--port", "0", "--no-dashboard", ready=r"Scheduler at: +(tcp://\S+)")
        yield places[0], start
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def start_worker(start: Callable[..., subprocess.Popen[bytes]], address: str, threads: int) -> subprocess.Popen[bytes]:
    """A worker of Dask."""
    options = ("--nthreads", str(threads), "--no-dashboard", "--no-nanny")
    return start("dask", "worker", address, *options, ready=r"Registered to: +(tcp://\S+)")


def make_repository(root: Path, cases: int, steps: int) -> None:
    """A repository whose candidate draws other numbers than its baseline, so that no digest decides."""
    for path, text in {
        "pyproject.toml": PACKAGE + "proof = false\nlooks = [5]\n",
        "src/subject/__init__.py": f"NUM_STEPS = {steps}\n",
        "benchmarks/test_accuracy.py": WORKLOADS.replace("CASES", str(cases)),
    }.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "first", date="2026-11-29T00:00:00Z")
    (root / "src/subject/__init__.py").write_text(f"NUM_STEPS = {steps + 1}\n", encoding="utf-8")


def run_mainstay(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of mainstay; one that is broken ends the experiment."""
    command = [sys.executable, "-m", "mainstay", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1, 3}:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-3000:]}")
    return done


def latest_run(root: Path, kind: str = "runs") -> dict[str, Any]:
    """The document of the latest run."""
    document: dict[str, Any] = json.loads(max(root.glob(f".mainstay/{kind}/*/run.json")).read_text(encoding="utf-8"))
    return document


def measure_overhead(options: argparse.Namespace) -> Row:
    """Gate in turns on this machine and over a cluster with as many threads."""
    cores = usable_cores()
    rows: dict[str, list[float]] = {"local": [], "cluster": []}
    phases: dict[str, list[float]] = {"local": [], "cluster": []}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "repository")
        make_repository(root, options.cases, options.steps)
        gate = ("gate", "--fresh", "--only", "accuracy")
        run_mainstay(root, *gate)  # fills the cache of environments, which both use
        with scheduler(Path(scratch)) as (address, start):
            start_worker(start, address, cores)
            for _ in range(options.repeats):
                for kind, arguments in (("local", ()), ("cluster", ("--cluster", address))):
                    begun = time.monotonic()
                    run_mainstay(root, *gate, *arguments)
                    rows[kind].append(time.monotonic() - begun)
                    phases[kind].append(latest_run(root)["phases_s"]["measuring"])
    local, cluster = (statistics.median(rows[kind]) for kind in ("local", "cluster"))
    overheads = [far - near for near, far in zip(rows["local"], rows["cluster"], strict=True)]
    return {
        "cores": cores,
        "workloads": options.cases,
        "trials": options.cases * 5 * 2,
        "repeats": options.repeats,
        "local_s": [round(seconds, 1) for seconds in rows["local"]],
        "cluster_s": [round(seconds, 1) for seconds in rows["cluster"]],
        "local_median_s": round(local, 1),
        "cluster_median_s": round(cluster, 1),
        "local_measuring_s": [round(seconds, 1) for seconds in phases["local"]],
        "cluster_measuring_s": [round(seconds, 1) for seconds in phases["cluster"]],
        "overhead_median_s": round(statistics.median(overheads), 1),
        "allowed_s": round(max(10.0, 0.1 * local), 1),
    }


def fake_pair(sleep_s: float, request: PairRequest, known: Sequence[Trial]) -> PairResult:
    """A pair whose trials only sleep, with the values and the predictions of a model of MNIST; a worker calls it."""
    rng = random.Random(f"{request.workload} {request.seed}")
    time.sleep(sleep_s)
    losses = {Side.BASELINE: 0.0, Side.CANDIDATE: MARGIN}  # at the margin nothing is decided, so all pairs are measured
    trials = []
    for side in request.sides:
        num_wrong = round(NUM_EXAMPLES * (0.1 + losses[side] + rng.gauss(0, 0.004)))
        predicted = bytes(NUM_EXAMPLES - num_wrong) + b"\1" * num_wrong
        predictions = Predictions(
            predicted=base64.b64encode(predicted).decode(),
            labels=base64.b64encode(bytes(NUM_EXAMPLES)).decode(),
            labels_digest="0",
        )
        trials.append(
            Trial(
                workload=request.workload,
                side=side,
                seed=request.seed,
                pair=request.pair,
                outcome=Outcome.COMPLETED,
                values={"top1_accuracy": 1 - num_wrong / NUM_EXAMPLES},
                predictions=predictions,
                duration_s=sleep_s,
            )
        )
    return PairResult(request=request, trials=tuple(trials))


def never(*_: object) -> NoReturn:
    """What this machine measures: nothing."""
    raise RuntimeError("a pair was measured on the machine of the gate")


def measure_scale(options: argparse.Namespace) -> Row:
    """Let the real loop and the real scheduler work on trials that only sleep."""
    looks = (5, 8, 12, 20)
    names = [f"benchmarks/test_a.py::test_case[{number}]" for number in range(options.trials // (2 * looks[-1]))]
    workloads = [
        Workload(
            id=name,
            execution=TRAINED,
            metrics=(
                Metric(
                    workload=name, name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=MARGIN
                ),
            ),
        )
        for name in names
    ]
    logs = make_logs(
        [Assignment(workload=each) for each in workloads],
        {each.id: derive_seeds("", "c", each.id, looks[-1]) for each in workloads},
    )
    with tempfile.TemporaryDirectory() as scratch, scheduler(Path(scratch)) as (address, start):
        farm = ("--farm", address, "--workers", str(options.workers), "--threads", str(options.threads))
        start("experiments.cluster", *farm, ready="ready")
        with Client(address, set_as_default=False) as client, ThreadPoolExecutor(1) as local:
            journal = Journal(Path(scratch, "journal.jsonl"))
            before = memory_bytes()
            begun, processor = time.monotonic(), time.process_time()
            executor = ClusterExecutor(
                client, partial(fake_pair, options.sleep), local=local, keep_trial=journal.append_trial
            )
            with closing(executor):
                measurement = Measurement(
                    logs=logs,
                    settled=(),
                    design=Design(num_gated=len(workloads), looks=looks),
                    salt="",
                    commit="c",
                    margin_of=lambda metric, context: metric.margin,
                    measure=never,
                    measure_timed=never,
                    executor=local,
                    num_at_once=1,
                    elsewhere=Site(executor, options.workers * options.threads, lambda _: 1),
                    trial_seconds=600.0,
                    pair_seconds=1.0,
                    fail_fast=False,
                    deadline=float("inf"),
                    observer=SilentObserver(),
                )
                findings = measurement.run()
                num_trials = sum(len(log.trials) for log in logs)
            wall, processor = time.monotonic() - begun, time.process_time() - processor
            after = memory_bytes()
            lines = sum(1 for _ in journal.path.open("rb"))
    return {
        "simulated": f"trials that sleep {options.sleep:g} s, on workers of distributed in one process; the scheduler of "
        "distributed in a process of its own",
        "workers": options.workers,
        "threads_of_a_worker": options.threads,
        "trials": num_trials,
        "trials_in_journal": lines,
        "metrics": len(findings),
        "seconds": round(wall, 1),
        "processor_seconds_of_the_gate": round(processor, 1),
        "allowed_s": 60.0,
        "memory_before_mb": round(before / 1e6),
        "memory_after_mb": round(after / 1e6),
        "kb_a_trial": round((after - before) / 1e3 / num_trials, 1),
        "examples_a_trial": NUM_EXAMPLES,
    }


def memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def run_farm(address: str, count: int, threads: int) -> None:
    """Run so many workers in this process, each with so many threads.

    Each worker looks at itself a hundred times a second; a thousand of them in one process would do nothing else.
    """
    dask.config.set(
        {
            "distributed.comm.timeouts.connect": "600s",
            "distributed.comm.timeouts.tcp": "600s",
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "1 hour",
            "distributed.admin.system-monitor.interval": "1 hour",
        }
    )
    workers = []
    for _ in range(count):  # one after the other: a thousand handshakes at once take too long for each
        workers.append(await Worker(address, nthreads=threads, dashboard=False, memory_limit=0, silence_logs=50))
    print("ready", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


def gate_digits(options: argparse.Namespace) -> Row:
    """Gate the reference model on digits: on one machine, in four shards, over two workers of which one is killed."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "clone")
        subprocess.run(["git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), str(root)], check=True)
        git(root, "checkout", "--quiet", "-B", "main")
        replace_once(
            root / "pyproject.toml", '"mnist_reference", "fetch"]', '"mnist_reference", "fetch", "--data", "digits"]'
        )
        (root / "benchmarks" / "test_performance.py").unlink()
        git(root, "commit", "--quiet", "-am", "use digits")
        git(root, "remote", "remove", "origin")  # what is gated is compared with this commit
        replace_once(root / "src/mnist_reference/seeding.py", '"{seed}/{purpose}"', '"other {seed}/{purpose}"')
        chosen = ("--pairs", str(options.pairs))
        alone = gated(root, "gate", "--only", "accuracy", *chosen)
        shutil.rmtree(root / ".mainstay")
        for shard in (3, 1, 4, 2):
            run_mainstay(root, "trials", "--shard", f"{shard}/4", *chosen)
        run_mainstay(root, "judge", "--pieces", ".mainstay/pieces")
        sharded = latest_run(root, "judgements")
        with scheduler(Path(scratch)) as (address, start):
            killed, _ = (start_worker(start, address, 1) for _ in range(2))
            gate = subprocess.Popen(
                [sys.executable, "-m", "mainstay", "gate", "--only", "accuracy", "--cluster", address, *chosen],
                cwd=root,
                stdout=subprocess.DEVNULL,
            )
            while not any('"trial":' in file.read_text() for file in root.glob(".mainstay/runs/*/journal.jsonl")):
                if gate.poll() is not None:
                    raise RuntimeError("the gate ended before its first trial")
                time.sleep(0.1)
            killed.kill()
            gate.wait()
        clustered = latest_run(root)
    return {
        "change": "other seeds",
        "pairs": options.pairs,
        "verdict": alone["verdict"],
        "estimates": [finding["estimate"] for finding in alone["findings"]],
        "four_shards_equal": sharded["findings"] == alone["findings"],
        "two_workers_one_killed_equal": clustered["findings"] == alone["findings"],
        "versions": {"torch": alone["environments"][0]["packages"]["torch"]},
    }


def gated(root: Path, *arguments: str) -> dict[str, Any]:
    """Run a gate; returns its document."""
    run_mainstay(root, *arguments)
    return latest_run(root)


def _given(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """The options that are not at their defaults, except for the parts and the file."""
    named = {name: value for name, value in vars(options).items() if name not in {"parts", "output"}}
    changed = [(name, value) for name, value in named.items() if value != parser.get_default(name)]
    return [word for name, value in changed for word in (f"--{name}", str(value))]


PARTS: Mapping[str, Callable[[argparse.Namespace], Row]] = {
    "overhead": measure_overhead,
    "scale": measure_scale,
    "digits": gate_digits,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="Parts to measure.  [default: all]")
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=10_400)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=1, help="Threads of each worker.")
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--farm", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(argv)
    if options.farm:
        asyncio.run(run_farm(options.farm, options.workers, options.threads))
        return 0
    document: Row = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    for part in options.parts or PARTS:
        document[part] = {
            "provenance": {
                "command": " ".join(["python -m experiments.cluster", part, *_given(options, parser)]),
                "commit": commit(),
                "machine": machine_name(),
                "load_at_start": load(),
                "versions": versions("mainstay", "distributed"),
            },
            **PARTS[part](options),
        }
        write_results(options.output, document)
        print(json.dumps({part: document[part]}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
