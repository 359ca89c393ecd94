"""Measure where the seconds of a gate go, and write ``docs/results/gate_time.json``.

Gates a clone of this repository, as a contributor would: changes of the reference model from
``tests/end_to_end/faults.toml`` on whichever of MNIST and ``digits`` is there, and the workloads of time and memory, with
workers that are started afresh and with workers that find PyTorch loaded. Environments are warm: a gate that is not
counted comes first.

A row has the wall time of the command, its phases, and what of it the workloads ran; the rest of the measuring went
into starting processes and importing. (The phase named workloads is their collection.) Where time and memory are
measured, it also has how often both revisions started a fresh interpreter, and how much of the overhead that is, by the
time of one such start: memory is measured in fresh interpreters even where others find PyTorch loaded.

Beside them stand the start of the command line, that of the subject, and the time of the judgement alone. Run it on an
idle machine::

    nox -s gate_time
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from experiments.faults import apply_change, load_changes
from experiments.provenance import ROOT, Row, commit, versions, write_results
from experiments.repositories import git
from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.workers.machine import describe_machine

RESULTS = ROOT / "docs" / "results" / "gate_time.json"
PACKAGE = Path("src") / "mnist_reference"

NUM_STARTS = 15
NUM_SUBJECT_STARTS = 5
NUM_JUDGEMENTS = 20
NUM_METRICS, NUM_PAIRS = 50, 45


class Timed(NamedTuple):
    """A gate that is timed.

    Attributes:
        what: What it shows.
        change: Name of the change that it gates.
        options: Of ``mainstay gate``.
        preload: Modules that workers of both revisions find loaded.
        at_most: What its overhead but for fresh interpreters is held to, in seconds; ``None`` if to nothing.
    """

    what: str
    change: str
    options: tuple[str, ...]
    preload: tuple[str, ...] = ()
    at_most: float | None = None


GATES = (
    Timed("words changed: equal bits end it", "docstring", ("--only", "accuracy", "--fresh")),
    Timed("numerics changed", "other-initialisation", ("--only", "accuracy")),
    Timed("numerics changed, on the baseline of the row above", "summation-order", ("--only", "accuracy")),
    Timed("words changed: time and memory", "docstring", ("--only", "performance")),
    Timed(
        "words changed: time and memory, workers find PyTorch loaded",
        "docstring",
        ("--only", "performance"),
        preload=("torch",),
        at_most=15,
    ),
)

SETTINGS = "[tool.mainstay]\n"
"""Where settings begin in ``pyproject.toml``."""


class Clone:
    """A clone of this repository.

    Args:
        root: Where it is made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
        self._preload: tuple[str, ...] | None = None

    def prepare(self, timed: Timed) -> None:
        """Have both revisions preload what a gate is to find loaded, and make their environments by another gate.

        The setting is committed, so that it is no part of a change.
        """
        if timed.preload == self._preload:
            return
        settings = self.root / "pyproject.toml"
        before, after = (
            f"proof = false\npreload = {json.dumps(modules)}\n" for modules in (self._preload, timed.preload)
        )
        text = settings.read_text("utf-8").replace(SETTINGS + before, SETTINGS)
        settings.write_text(text.replace(SETTINGS, SETTINGS + after), "utf-8")
        git(self.root, "commit", "-qam", "Preload")
        self._preload = timed.preload
        self.gate(GATES[0])

    def gate(self, timed: Timed, import_s: float = 0.0) -> Row:
        """Gate a change in the working tree, which is undone afterwards; takes the time of a start of the subject.

        Raises:
            SystemExit: If the gate came to no document, with what it said.
        """
        change = next(change for change in load_changes() if change["name"] == timed.change)
        apply_change(change, self.root / PACKAGE)
        report = self.root / ".mainstay" / "timed.json"
        command = [*(sys.executable, "-m", "mainstay", "gate"), *timed.options]
        command += ["--baseline", "HEAD", "--json", str(report)]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        subprocess.run(["git", "-C", str(self.root), "checkout", "-q", "--", str(PACKAGE)], check=True)
        if not report.exists():
            raise SystemExit(f"error: the gate ended with status {done.returncode}:\n{done.stderr}")
        run = json.loads(report.read_text("utf-8"))
        report.unlink()
        return row_of(timed, run, seconds, import_s)


def row_of(timed: Timed, run: Row, seconds: float, import_s: float) -> Row:
    """Where the time of a gate went, given how long fresh interpreters of both revisions take to import the subject."""
    phases = run["phases_s"]
    at_once = 2 if run["plan"]["jobs"] > 1 and "performance" not in timed.options else 1
    fresh_starts = num_fresh_starts(timed, run["findings"]) if "performance" in timed.options else 0
    workloads = sum(workload["seconds"] for workload in run["workloads"]) / at_once
    return {
        "what": timed.what,
        "verdict": run["verdict"],
        "pairs": max((finding["num_pairs"] for finding in run["findings"]), default=0),
        "data": next((w["context"]["dataset"] for w in run["workloads"] if "dataset" in w["context"]), None),
        "wall_s": round(seconds, 1),
        **{f"{phase}_s": round(spent, 1) for phase, spent in phases.items()},
        "start_and_report_s": round(seconds - sum(phases.values()), 1),
        "in_workloads_s": round(workloads, 1),
        "overhead_s": round(seconds - workloads, 1),
        "fresh_starts": fresh_starts,
        "overhead_but_for_them_s": round(seconds - workloads - fresh_starts * import_s, 1),
        "at_most_s": timed.at_most,
    }


def num_fresh_starts(timed: Timed, findings: Sequence[Row]) -> int:
    """How often both revisions started a fresh interpreter to measure time and memory.

    A pair has one for each workload of memory, and one for all that is timed; what is counted is counted once.
    """
    starts: dict[str, int] = {}
    for finding in findings:
        metric = finding["metric"]
        if metric["name"] == "peak_memory":
            process = metric["workload"]
        elif timed.preload:
            continue
        else:
            process = metric["workload"] if metric["kind"] == Kind.DETERMINISTIC else "timed"
        starts[process] = max(finding["num_pairs"], starts.get(process, 0))
    return sum(starts.values())


def best_of(repeats: int, call: Callable[[], Any]) -> float:
    """The least time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def time_of_help() -> Row:
    """``mainstay --help`` beside the bare interpreter, in turns."""
    commands = {
        "help": [sys.executable, "-m", "mainstay", "--help"],
        "bare": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(NUM_STARTS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    help_s, bare_s = (statistics.median(times[name]) for name in commands)
    return {"what": "mainstay --help over python -c pass", "milliseconds": 1000 * (help_s - bare_s), "at_most": 100}


def time_of_subject() -> Row:
    """Two interpreters at once, as both revisions start them, that import the reference model and so PyTorch."""
    seconds = []
    for _ in range(NUM_SUBJECT_STARTS):
        start = time.perf_counter()
        both = [subprocess.Popen([sys.executable, "-c", "import mnist_reference.training.train"]) for _ in range(2)]
        statuses = [process.wait() for process in both]
        if any(statuses):
            raise SystemExit("error: the reference model cannot be imported here")
        seconds.append(time.perf_counter() - start)
    return {
        "what": "two interpreters at once import the reference model",
        "milliseconds": 1000 * statistics.median(seconds),
    }


def time_of_judgement() -> Row:
    """All looks at many metrics."""
    chance = random.Random(0)
    samples = [
        MetricSamples(
            metric=Metric(
                workload=f"w{number}", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05
            ),
            seeds=tuple(range(NUM_PAIRS)),
            baseline_values=tuple(chance.gauss(1, 0.05) for _ in range(NUM_PAIRS)),
            candidate_values=tuple(chance.gauss(1, 0.05) for _ in range(NUM_PAIRS)),
        )
        for number in range(NUM_METRICS)
    ]
    design = Design(num_gated=NUM_METRICS, looks=(5, 12, 20, NUM_PAIRS))
    seconds = best_of(NUM_JUDGEMENTS, lambda: judge_family(samples, design))
    return {
        "what": f"judging {NUM_METRICS} metrics of {NUM_PAIRS} pairs",
        "milliseconds": 1000 * seconds,
        "at_most": 50,
    }


def provenance() -> Row:
    """Where, with what and on what all was measured."""
    return {
        "command": "nox -s gate_time",
        "commit": commit(),
        "machine": asdict(describe_machine()),
        "versions": versions("python", "mainstay", "torch", "numpy", "scipy"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    if arguments or sys.argv[1:]:
        raise SystemExit(__doc__)
    facts = provenance()
    starts = [time_of_help(), time_of_judgement(), time_of_subject()]
    for row in starts:
        print(json.dumps(row), flush=True)
    os.environ.pop("GITHUB_BASE_REF", None)
    scratch = Path(tempfile.mkdtemp())
    try:
        clone = Clone(scratch / "clone")
        rows = []
        for timed in GATES:
            clone.prepare(timed)
            rows.append(clone.gate(timed, import_s=starts[-1]["milliseconds"] / 1000))
            print(json.dumps(rows[-1]), flush=True)
    finally:
        shutil.rmtree(scratch)
    write_results(RESULTS, {"provenance": facts, "gates": rows, "without_a_gate": starts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
