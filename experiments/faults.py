"""Measure what each change of ``faults.toml`` costs, without the gate.

For every change the reference model is copied, edited and trained on the same seeds as the unmodified one, by the
workload of ``benchmarks/test_accuracy.py``. The paired degradations go to ``docs/results/faults.json``; which verdict a
gate must reach follows from them::

    python -m experiments.faults --data digits --seeds 8
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from scipy import stats

from experiments.provenance import ROOT, commit, system_name, versions, write_results
from experiments.repositories import replace_once
from mainstay.project.configuration import read_configuration
from mainstay.runner.recording import Trial

PACKAGE = ROOT / "src" / "mnist_reference"
WORKLOAD = ROOT / "benchmarks" / "test_accuracy.py"
CHANGES = Path(__file__).with_name("faults.toml")
RESULTS = ROOT / "docs" / "results" / "faults.json"
KEPT = ROOT / ".mainstay" / "faults"
"""Trials of earlier runs, named by all that they depend on."""

CONFIDENCE_LEVEL = 0.95
SUPPORTED_RATIO = 2.5
"""Margin over paired standard deviation from which a clean change surely passes within 20 pairs."""


def load_changes() -> list[dict[str, Any]]:
    """The changes, as they stand in ``faults.toml``."""
    changes: list[dict[str, Any]] = tomllib.loads(CHANGES.read_text("utf-8"))["change"]
    return changes


def apply_change(change: Mapping[str, Any], package: Path) -> None:
    """Edit a copy of the reference model in place; every text to be replaced must be there exactly once."""
    for edit in change["edits"]:
        replace_once(package / edit["file"], edit["find"], edit["replace"])


def load_workload() -> Any:
    """The workload, with its margins as pytest marks."""
    spec = importlib.util.spec_from_file_location("test_accuracy", WORKLOAD)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.test_perceptron


def run_trials(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Run the workload once for each seed, in this process."""
    workload = load_workload()
    results = []
    for seed in seeds:
        trial = Trial(seed)
        workload(trial)
        results.append({"values": trial.values, "digest": trial.digest})
    return results


def measure(change: Mapping[str, Any] | None, data_set: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Trials of a changed copy of the model, or of the unmodified one; those of an interrupted run are not repeated."""
    facts = [change, data_set, list(seeds), version("torch"), platform.python_version(), WORKLOAD.read_text("utf-8")]
    facts += [path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    kept = KEPT / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}.json"
    if not kept.exists():
        trials = measure_in_process(change, data_set, seeds)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(trials), "utf-8")
    measured: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))
    return measured


def measure_in_process(change: Mapping[str, Any] | None, data_set: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Trials in a process of their own, which imports the model from the copy alone."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "mnist_reference"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if change:
            apply_change(change, package)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([folder, str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            "MNIST_REFERENCE_DATA": data_set,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "experiments.faults", "--run-trials", ",".join(map(str, seeds))]
        finished = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(finished.stdout)
    if report["imported_from"] != str(package):
        raise RuntimeError(f"the trials imported {report['imported_from']} instead of {package}")
    trials: list[dict[str, Any]] = report["trials"]
    return trials


def compare(
    baseline: Sequence[Mapping[str, Any]], candidate: Sequence[Mapping[str, Any]], mark: Any, data_set: str
) -> dict[str, Any]:
    """The paired degradations in one gated metric, with the verdict that follows from them."""
    metric, sign = mark.kwargs["metric"], -1 if mark.kwargs.get("direction") == "lower" else 1
    configured = read_configuration((ROOT / "pyproject.toml").read_bytes(), "pyproject.toml")
    margin = configured.margin(metric, dataset=data_set) or mark.kwargs["margin"]
    before, after = ([trial["values"][metric] for trial in trials] for trials in (baseline, candidate))
    degradations = [sign * (old - new) for old, new in zip(before, after, strict=True)]
    mean, deviation = statistics.fmean(degradations), statistics.stdev(degradations)
    half_width = stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, len(degradations) - 1) * deviation / len(degradations) ** 0.5
    return {
        "baseline_mean": statistics.fmean(before),
        "candidate_mean": statistics.fmean(after),
        "mean_degradation": mean,
        "standard_deviation": deviation,
        "interval": [mean - half_width, mean + half_width],
        "margin": margin,
        "expected": "implausible"
        if min(after) > mark.kwargs.get("ceiling", math.inf)
        else expected_verdict(mean - half_width, mean + half_width, margin=margin, deviation=deviation),
        "degradations": degradations,
    }


def expected_verdict(low: float, high: float, *, margin: float, deviation: float) -> str:
    """What a gate must answer if the true degradation lies in the interval; ``open`` where it may answer either way."""
    if low > margin:
        return "fail"
    if high < margin and margin >= SUPPORTED_RATIO * deviation:
        return "pass"
    return "not fail" if high < margin else "open"


def summarise(trials: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over seeds of everything that the unmodified workload records."""
    series = {name: [trial["values"][name] for trial in trials] for name in trials[0]["values"]}
    return {
        name: {"mean": statistics.fmean(values), "standard_deviation": statistics.stdev(values)}
        for name, values in series.items()
    }


def measure_all(
    data_set: str, seeds: Sequence[int], jobs: int, only: Sequence[str]
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """The scores of the unmodified model, and one row a change."""
    chosen = [
        change
        for change in load_changes()
        if data_set in change.get("data_sets", [data_set]) and (not only or change["name"] in only)
    ]
    marks = sorted(load_workload().pytestmark, key=lambda mark: mark.kwargs["metric"], reverse=True)
    with ThreadPoolExecutor(jobs) as pool:
        unmodified = pool.submit(measure, None, data_set, seeds)
        futures = [pool.submit(measure, change, data_set, seeds) for change in chosen]
        rows = []
        for change, future in zip(chosen, futures, strict=True):
            baseline, candidate = unmodified.result(), future.result()
            row = {
                "change": change["name"],
                "summary": change["summary"],
                "num_equal_digests": sum(
                    old["digest"] == new["digest"] for old, new in zip(baseline, candidate, strict=True)
                ),
                "metrics": {mark.kwargs["metric"]: compare(baseline, candidate, mark, data_set) for mark in marks},
            }
            if change.get("exact", False) != (row["num_equal_digests"] == len(seeds)):
                raise RuntimeError(f"{change['name']}: {row['num_equal_digests']} of {len(seeds)} digests are equal")
            rows.append(row)
            click.echo(describe(row), err=True)
    return summarise(unmodified.result()), rows


def describe(row: Mapping[str, Any]) -> str:
    """A row on one line."""
    metrics = (
        f"{name} {facts['mean_degradation']:+.4f} sd {facts['standard_deviation']:.4f} {facts['expected']}"
        for name, facts in row["metrics"].items()
    )
    return f"{row['change']:32} {' | '.join(metrics)}"


@click.command(help=__doc__)
@click.option("--data", "data_set", type=click.Choice(["digits", "mnist"]), default="digits", show_default=True)
@click.option("--seeds", "num_seeds", default=8, show_default=True, help="Pairs measured, with seeds from 0.")
@click.option("--jobs", default=2, show_default=True, help="Processes at once, of one thread each.")
@click.option("--only", multiple=True, help="Name of a change; nothing is written then.")
@click.option("--run-trials", hidden=True)
def main(data_set: str, num_seeds: int, jobs: int, only: tuple[str, ...], run_trials: str | None) -> None:
    """Measure all changes on one data set and replace its rows in the results."""
    if run_trials is not None:
        print_trials([int(seed) for seed in run_trials.split(",")])
        return
    revision = commit()
    unmodified, rows = measure_all(data_set, range(num_seeds), jobs, only)
    if only:
        return
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results[data_set] = {
        "command": f"python -m experiments.faults --data {data_set} --seeds {num_seeds}",
        "commit": revision,
        "seeds": list(range(num_seeds)),
        "threads": 1,
        "confidence_level": CONFIDENCE_LEVEL,
        **versions("python"),
        "machine": system_name(),
        "versions": versions("numpy", "scikit-learn", "torch", "torchvision"),
        "unmodified": unmodified,
        "changes": rows,
    }
    write_results(RESULTS, results)


def print_trials(seeds: Sequence[int]) -> None:
    """What a measuring process says: its trials, and where it found the model."""
    import mnist_reference

    imported_from = str(Path(mnist_reference.__file__ or "").parent)
    click.echo(json.dumps({"imported_from": imported_from, "trials": run_trials(seeds)}))


if __name__ == "__main__":
    main()
