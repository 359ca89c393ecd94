"""Time a history of 10,000 runs: appending one, the page, what the repository grows by, and ``asv publish`` of the same.

Run from the root of the repository, some minutes::

    python -m experiments.history_scale --output docs/results/history_scale.json

Both tools get the same commits, metrics and values. asv runs in an environment of its own, and publishes what it would
have kept of as many ``asv run``. Each is timed ``--repeats`` times, in turns, by the clock and by processor time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np

from experiments.history import DETECTORS
from experiments.provenance import Row, commit, load, machine_name, versions, write_results
from experiments.repositories import git
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import KeptCommit, KeptMetric, KeptRun, RunKind
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.revisions.git import Repository
from mainstay.revisions.history import HERE, HistoryBranches
from mainstay.store.history import file_of, kept_to_json

SEED = 20_270_131
NUM_METRICS = 5
START = datetime(2024, 1, 1, tzinfo=UTC)
EVERY = timedelta(hours=2)


def make_commits(root: Path, count: int) -> list[str]:
    """Make a repository with so many commits on main; returns them, the oldest first."""
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "config", "gc.auto", "0")  # a git that packs by itself would be timed, and stand in the way of ours
    git(root, "config", "maintenance.auto", "false")
    lines = []
    for number in range(count + 1):
        stamp = int((START + number * EVERY).timestamp())
        message = f"change {number}"
        lines.append(
            f"commit refs/heads/main\ncommitter a <a@example.org> {stamp} +0000\ndata {len(message)}\n{message}\n"
            f"M 100644 inline pyproject.toml\ndata 0\n\n"
        )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input="".join(lines), check=True, text=True)
    return git(root, "rev-list", "--reverse", "main").split()


def kept_runs(commits: Sequence[str]) -> Iterator[KeptRun]:
    """A run of each commit against the one before it."""
    rng = np.random.default_rng(SEED)
    metrics = [
        Metric(
            workload=f"benchmarks/test_{number}.py::test_call", name="call_time", kind=Kind.PERFORMANCE,
            direction=Direction.LOWER, margin=0.05, unit="s",
        )
        for number in range(NUM_METRICS)
    ]  # fmt: skip
    dates = [(START + number * EVERY).isoformat() for number in range(len(commits))]
    for number in range(1, len(commits)):
        pairs = 0.03 * rng.standard_normal((NUM_METRICS, 5))
        yield KeptRun(
            id=f"{START + number * EVERY:%Y%m%dT%H%M%S}-000",
            created=dates[number],
            kind=RunKind.MAIN,
            verdict=Verdict.PASS,
            baseline=KeptCommit(commit=commits[number - 1], subject=f"change {number - 1}", date=dates[number - 1]),
            candidate=KeptCommit(commit=commits[number], subject=f"change {number}", date=dates[number]),
            machine="a processor, 2 cores, 8 GiB, Linux x86_64",
            packages_digest="0" * 64,
            looks=(5, 8, 12, 20),
            metrics=tuple(
                KeptMetric(
                    metric=metric,
                    verdict=Verdict.PASS,
                    method=Method.SEQUENTIAL,
                    degradations=tuple(float(f"{value:.6g}") for value in pairs[place]),
                    baseline_mean=0.001,
                    candidate_mean=float(f"{0.001 * np.exp(pairs[place].mean()):.6g}"),
                )
                for place, metric in enumerate(metrics)
            ),
            run_digest="0" * 64,
            mainstay_version=version("mainstay"),
        )


def keep(root: Path, runs: Sequence[KeptRun]) -> None:
    """Append runs to the history of the repository, a year at once."""
    by_year: dict[str, dict[str, bytes]] = {}
    for run in runs:
        by_year.setdefault(f"{run.time:%Y}", {})[file_of(run)] = kept_to_json(run).encode()
    branches = HistoryBranches.of(Repository.discover(root), HERE)
    for year, files in by_year.items():
        branches.append(year, files, f"Add {len(files)} runs")


def keep_for_asv(folder: Path, root: Path, runs: Sequence[KeptRun]) -> None:
    """Write what ``asv run`` would have kept of the same values."""
    results = folder / "results" / "machine"
    results.mkdir(parents=True)
    names = [f"test_{number}.time_call" for number in range(NUM_METRICS)]
    settings = {
        "version": 1,
        "project": "subject",
        "repo": str(root),
        "branches": ["main"],
        "environment_type": "virtualenv",
    }
    write(folder / "asv.conf.json", settings | {"results_dir": "results", "html_dir": "html", "show_commit_url": ""})
    machine = {"machine": "machine", "arch": "x86_64", "cpu": "a", "num_cpu": "2", "os": "Linux", "ram": "8"}
    write(results / "machine.json", machine | {"version": 1})
    benchmark = {
        "code": "",
        "param_names": [],
        "params": [],
        "timeout": 60,
        "type": "time",
        "unit": "seconds",
        "version": "1",
    }
    write(folder / "results" / "benchmarks.json", {"version": 2} | {name: benchmark | {"name": name} for name in names})
    for run in runs:
        values = {name: [[kept.candidate_mean], [], "1"] for name, kept in zip(names, run.metrics, strict=True)}
        document = {
            "commit_hash": run.candidate.commit,
            "env_name": "virtualenv-py3.11",
            "date": int(run.time.timestamp() * 1000),
            "params": machine | {"python": "3.11"},
            "python": "3.11",
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version"],
            "results": values,
            "durations": {},
            "version": 2,
        }
        write(results / f"{run.candidate.commit[:8]}-virtualenv-py3.11.json", document)


def write(place: Path, document: Mapping[str, object]) -> None:
    """Write JSON."""
    place.write_text(json.dumps(document), encoding="utf-8")


def timed(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run a command; returns seconds by the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        )
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def size_of(root: Path) -> int:
    """Bytes of the objects of a repository, packed."""
    git(root, "gc", "--quiet")
    return sum(file.stat().st_size for file in (root / ".git" / "objects").rglob("*") if file.is_file())


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    mainstay = [sys.executable, "-m", "mainstay", "history"]
    asv = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, "--with", DETECTORS["asv"], "asv"]
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch, "repository"), Path(scratch, "asv")
        root.mkdir()
        runs = list(kept_runs(make_commits(root, options.runs)))
        git(root, "reset", "--quiet", "--hard")
        before = size_of(root)
        keep(root, runs[:-1])
        growth = size_of(root) - before
        branches, appends = HistoryBranches.of(Repository.discover(root), HERE), []
        for place in range(options.repeats):
            last = runs[-1]
            files = {file_of(last).replace("-000-", f"-{place:03}-"): kept_to_json(last).encode()}
            start = time.monotonic()
            branches.append(f"{last.time:%Y}", files, "Add a run")
            appends.append(time.monotonic() - start)
        keep_for_asv(folder, root, runs)
        times: dict[str, list[tuple[float, float]]] = {"mainstay history page": [], "asv publish": []}
        for _ in range(options.repeats):
            page = ["page", "--remote", HERE, "--output", str(Path(scratch, "page.html"))]
            times["mainstay history page"].append(timed([*mainstay, *page], root))
            times["asv publish"].append(timed([*asv, "publish"], folder))
        if len(list((folder / "html" / "graphs").rglob("test_0.time_call.json"))) == 0:
            raise RuntimeError("asv published nothing")
    ratios = [theirs / own for (_, own), (_, theirs) in zip(*times.values(), strict=True)]
    document: Row = {
        "provenance": {
            "command": f"python -m experiments.history_scale --runs {options.runs} --repeats {options.repeats}",
            "commit": commit(),
            "seed": SEED,
            "runs": options.runs,
            "metrics": NUM_METRICS,
            "machine": machine_name(),
            "load_at_end": load(),
            "versions": versions("mainstay") | {"asv": DETECTORS["asv"].partition("==")[2]},
        },
        "append": {"median_s": round(statistics.median(appends), 2), "bytes_a_run": round(growth / (len(runs) - 1))},
        "page": [
            {
                "command": name,
                "median_s": round(statistics.median(clock for clock, _ in rows), 2),
                "median_processor_s": round(statistics.median(processor for _, processor in rows), 2),
                "repeats": len(rows),
            }
            for name, rows in times.items()
        ],
        "processor_time": {"asv_over_mainstay": round(statistics.median(ratios), 1)},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_results(options.output, document)
    print(json.dumps({key: document[key] for key in ("append", "page", "processor_time")}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
