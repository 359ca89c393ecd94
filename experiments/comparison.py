"""Put other tools before the same changes as the gate, on the same machine and in the same time.

Run from the root of the repository by ``nox -s comparison``; it stops after the minutes given and continues when it is
run again::

    nox -s comparison -- --minutes 60
    nox -s comparison -- --rounds 30

In each round, every case is planted anew into the subject of the self-test (``selftest.py``, ``planting.py``). The
gate answers first. The other tools then get the wall time that its measuring took, in an order drawn by lot:

- pytest-benchmark runs the timed workloads on the baseline, then on the change, each in an environment of its own, and
  its ``--benchmark-compare-fail`` is asked with 5 % of the mean, of the median and of the least time;
- pytest-codspeed does the same in its walltime mode. Its best times are compared here with 5 %, and with the 10 % that
  its service takes unless told otherwise, since that service cannot be asked;
- ``asv continuous --interleave-rounds`` runs all workloads, with the factor 1.05; and with its default of 1.1 on the
  same measurements (``asv compare``).

An alarm is a non-zero exit status, or what would be one. Metrics that the change does not touch count as they do for
whoever uses the tool: any alarm stops the pull request.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pytest_benchmark.utils import PercentageRegressionCheck
from uv import find_uv_bin

from experiments.planting import CASES, Case, draw_size
from experiments.provenance import ROOT, Row, commit, machine_name, versions, write_results
from experiments.selftest import (
    SEED,
    SUBJECT,
    THREADS,
    Journal,
    Repository,
    prepared,
    share,
    sources_digest,
    summarise_run,
)

STATE = ROOT / ".mainstay" / "comparison"
RESULTS = ROOT / "docs" / "results" / "comparison.json"

PLANNED = 30
"""Gates of each case; with fewer, the case is no result yet."""

COMPARED = ("A/A", "+10 % step time")
"""Cases that every tool can see."""

MARGIN = 0.05
STATISTICS = ("mean", "median", "min")
FACTORS = (1 + MARGIN, 1.1)
TIMED = 4
"""Timed workloads, which the plugins of pytest measure."""

CODSPEED_WARM_UP = 0.1
"""Share of the time of a workload in which pytest-codspeed warms up."""

ASV_BENCHMARKS = 6
ASV_ROUNDS = 2

Side = Literal["base", "change"]

Statistics = Mapping[str, Mapping[str, float]]
"""What a plugin of pytest measured, by workload and statistic."""

Answers = dict[str, bool]
"""Whether a tool raised an alarm, by the tool and its rule."""


def install_both(root: Path, trees: Mapping[Side, Path], plugin: str) -> Mapping[Side, Path]:
    """An interpreter for each version of the subject, which is installed as a wheel, for tools that make none.

    Args:
        root: Folder for the environments.
        trees: Worktrees.
        plugin: The plugin of pytest that measures there.
    """
    pythons = {}
    for side, tree in trees.items():
        folder = root / f"environment-{plugin}-{side}"
        run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        pythons[side] = folder / "bin" / "python"
        tools = [f"{package}=={version(package)}" for package in ("pytest", plugin, "numpy")]
        run([find_uv_bin(), "pip", "install", "--quiet", "--python", str(pythons[side]), str(tree), *tools])
    return pythons


def run(command: Sequence[str], *, cwd: Path = ROOT, statuses: Sequence[int] = (0,)) -> str:
    """Run a command; its output is returned.

    Raises:
        SystemExit: If its exit status is another one, with what it said.
    """
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **THREADS}, capture_output=True, text=True, timeout=1800, check=False
    )
    if done.returncode not in statuses:
        raise SystemExit(f"error: {command} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def time_both(
    repository: Repository, plugin: str, options: Callable[[Path], Sequence[str]]
) -> Mapping[Side, Statistics]:
    """Run the timed workloads on the baseline, then on the change, with a plugin of pytest.

    Args:
        repository: What is compared.
        plugin: The plugin.
        options: Its options, given an empty folder for its report, which it leaves there as JSON.

    Returns:
        Of each version, the statistics of each workload by its name.
    """
    place = repository.root.parent
    measured = {}
    with repository.both_trees() as (base, change):
        trees: Mapping[Side, Path] = {"base": base, "change": change}
        for side, python in install_both(place, trees, plugin).items():
            folder = place / f"report-{plugin}-{side}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = [
                *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "markers=performance"),
                *("-k", "not import and not memory", *options(folder), "performance"),
            ]
            run(command, cwd=trees[side])
            (report,) = folder.rglob("*.json")
            measured[side] = {b["name"]: b["stats"] for b in json.loads(report.read_text("utf-8"))["benchmarks"]}
    assert len(measured["base"]) == len(measured["change"]) == TIMED
    return measured


def is_slower(measured: Mapping[Side, Statistics], statistic: str, percent: float) -> bool:
    """Whether a statistic of any workload is larger on the change, by more than so many percent."""
    base, change = measured["base"], measured["change"]
    check = PercentageRegressionCheck(statistic, percent)
    return any(check.fails(change[name], base[name]) for name in change)


def ask_pytest_benchmark(repository: Repository, budget_s: float) -> Answers:
    """Run the timed workloads on the baseline, then on the change, and compare."""
    seconds = f"{budget_s / 2 / TIMED:.3f}"
    measured = time_both(
        repository,
        "pytest-benchmark",
        lambda folder: ("--benchmark-json", str(folder / "report.json"), "--benchmark-max-time", seconds),
    )
    return {
        f"pytest-benchmark, {statistic}: 5 %": is_slower(measured, statistic, 100 * MARGIN) for statistic in STATISTICS
    }


def ask_codspeed(repository: Repository, budget_s: float) -> Answers:
    """Run the timed workloads on the baseline, then on the change, and compare the best times."""
    seconds = budget_s / 2 / TIMED
    times = {"warmup": CODSPEED_WARM_UP * seconds, "max": (1 - CODSPEED_WARM_UP) * seconds}
    options = [f"--codspeed-{name}-time={value:.3f}" for name, value in times.items()]
    measured = time_both(
        repository,
        "pytest-codspeed",
        lambda folder: ("--codspeed", "--codspeed-mode=walltime", f"--codspeed-profile-folder={folder}", *options),
    )
    return {
        f"pytest-codspeed walltime, best: {100 * (factor - 1):.0f} %": is_slower(measured, "min_ns", 100 * (factor - 1))
        for factor in FACTORS
    }


def ask_asv(repository: Repository, budget_s: float) -> Answers:
    """Run ``asv continuous``, then compare the same measurements by its default factor."""
    place = repository.root.parent / "asv"
    shutil.rmtree(place / "results", ignore_errors=True)
    place.mkdir(exist_ok=True)
    configuration = place / "asv.conf.json"
    content = {
        "version": 1,
        "project": "subject",
        "repo": str(repository.root),
        "branches": ["base"],
        "environment_type": "virtualenv",
        "pythons": [f"{sys.version_info.major}.{sys.version_info.minor}"],
        "matrix": {"req": {"numpy": [version("numpy")]}},
        "build_command": ["python -m pip wheel --no-deps --wheel-dir {build_cache_dir} {build_dir}"],
        "benchmark_dir": str(SUBJECT.with_name("asv")),
        "env_dir": str(place / "environments"),
        "results_dir": str(place / "results"),
    }
    configuration.write_text(json.dumps(content), encoding="utf-8")
    asv = [sys.executable, "-m", "asv"]
    chosen = ["--config", str(configuration)]
    run([*asv, "machine", "--yes", *chosen], cwd=place)
    max_time = budget_s / 2 / ASV_ROUNDS / ASV_BENCHMARKS
    settings = [f"repeat=(2,1000,{max_time:.3f})", f"rounds={ASV_ROUNDS}"]
    options = [option for setting in settings for option in ("--attribute", setting)]
    tight, usual = (["--factor", str(factor), "base", "change"] for factor in FACTORS)
    said = run([*asv, "continuous", *chosen, "--interleave-rounds", *options, *tight], cwd=place, statuses=(0, 1))
    compared = run([*asv, "compare", *chosen, "--only-changed", *usual], cwd=place)
    return {
        f"asv continuous, factor {FACTORS[0]:g}": "PERFORMANCE DECREASED" in said,
        f"asv continuous, factor {FACTORS[1]:g}": any(line.startswith("| +") for line in compared.splitlines()),
    }


TOOLS: Sequence[Callable[[Repository, float], Answers]] = (ask_pytest_benchmark, ask_codspeed, ask_asv)


def next_case(journal: Journal) -> tuple[Case, int]:
    """The case asked least often, and how often it was."""
    counts = {name: len(journal.of(CASES[name])) for name in COMPARED}
    name = min(counts, key=lambda each: counts[each])
    return CASES[name], counts[name]


def ask_all(repository: Repository, case: Case, number: int, cost: Row) -> Row:
    """Plant a case and ask every tool; one line of the journal."""
    rng = random.Random(f"{SEED} comparison {case.name} {number}")
    size = draw_size(case, rng, cost=cost, baseline=0.0)
    edits = repository.commit_change(case, size, rng)
    gate = summarise_run(repository.gate())
    budget_s = gate["phases"].get("measuring", gate["seconds"])
    alarms, seconds = {}, {}
    for tool in rng.sample(TOOLS, len(TOOLS)):
        start = time.monotonic()
        alarms.update(tool(repository, budget_s))
        seconds[tool.__name__] = round(time.monotonic() - start, 1)
    return {
        "case": case.name,
        "number": number,
        "sources": sources_digest(),
        "machine": machine_name(),
        "wanted_rows": size.rows,
        "edits": edits,
        "gate": gate["verdict"],
        "gate_seconds": gate["seconds"],
        "budget_s": round(budget_s, 1),
        "tool_seconds": seconds,
        "alarms": alarms,
    }


def summarise(journal: Journal) -> list[Row]:
    """How often each tool raised an alarm, by case, where the planned gates are all there."""
    rows = []
    for name in COMPARED:
        asked = journal.of(CASES[name])
        if len(asked) < PLANNED:
            continue
        verdicts = [row["gate"] for row in asked]
        alarms = {"mainstay gate": [verdict == "fail" for verdict in verdicts]}
        for row in asked:
            for tool, is_alarm in row["alarms"].items():
                alarms.setdefault(tool, []).append(is_alarm)
        rows += [
            {
                "case": name,
                "tool": tool,
                "gates": len(answers),
                "wanted": PLANNED,
                "alarms": share(sum(answers), len(answers)),
                "inconclusive": verdicts.count("inconclusive") if tool == "mainstay gate" else None,
            }
            for tool, answers in alarms.items()
        ]
    return rows


def document(journal: Journal, versions: Mapping[str, str]) -> Row:
    """Everything, as the documentation shows it."""
    alarms = summarise(journal)
    return {
        "provenance": {
            "command": "nox -s comparison",
            "commit": commit(),
            "seed": SEED,
            "machines": sorted({row["machine"] for row in journal.gates}),
            "margin": MARGIN,
            "versions": versions,
        },
        "alarms": alarms,
        "not_measured_yet": [name for name in COMPARED if name not in {row["case"] for row in alarms}],
        "gates": journal.gates,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Ask until the time or the rounds are over; the results are written once a case has its planned gates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=PLANNED, help="how often each case is planted")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start nothing after so many")
    parser.add_argument("--state", type=Path, default=STATE, help="where the journal is kept")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    end = time.monotonic() + 60 * options.minutes
    repository, cost = prepared(options.state)
    journal = Journal(options.state / "gates.jsonl", options.output)
    while time.monotonic() < end:
        case, number = next_case(journal)
        if number >= options.rounds:
            break
        row = ask_all(repository, case, number, cost)
        journal.append(row)
        print(f"{case.name}: gate {row['gate']}, {row['alarms']}, {row['budget_s']} s", flush=True)
    content = document(journal, versions("python", "numpy", "pytest", "pytest-benchmark", "pytest-codspeed", "asv"))
    if content["alarms"]:
        write_results(options.output, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
