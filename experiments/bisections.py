"""Search real repositories for a planted commit by ``mainstay bisect``, and by ``git bisect run`` with the verdicts of gates.

Run from the root of the repository, about two hours; it goes on where it stopped::

    python -m experiments.bisections --output docs/results/bisections.json --minutes 240

Each search has a repository of its own: a small package without torch, whose commits change files that no workload uses,
but for a drawn one that makes the model worse or a call slower by about two margins. Every other search is for accuracy.
``git bisect run`` gets the exit status of a gate of the commit against the good one, of the part in question alone:
``inconclusive`` is skipped, as ``git bisect`` has it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.provenance import Row, Rows, commit, machine_name, versions
from experiments.repositories import git, replace_once
from tests.end_to_end.conftest import PACKAGE

SEED = 20_270_131
SEARCHES: Mapping[int, int] = {8: 10, 64: 5, 512: 1}
"""Searches by the number of commits."""

METRICS = {"accuracy": "top1_accuracy", "performance": "call_time"}

FILES = {
    "pyproject.toml": PACKAGE + "seconds = 120\npair_seconds = 0.5\n",
    "src/subject/__init__.py": "",
    "src/subject/notes.py": "LAST = 0\n",
    "src/subject/model.py": '''
"""A threshold between two overlapping clouds of numbers, fitted to a noisy sample."""

import random

SHIFT = 0.0
ROUNDS = 400


def fit(seed):
    draw = random.Random(seed).gauss
    low, high = ([draw(mean, 1.0) for _ in range(300)] for mean in (0.0, 2.0))
    return (sum(low) + sum(high)) / 600 + SHIFT


def accuracy(threshold):
    draw = random.Random(0).gauss
    right = sum(draw(0.0, 1.0) < threshold for _ in range(5000)) + sum(draw(2.0, 1.0) >= threshold for _ in range(5000))
    return right / 10000


def work():
    total = 0
    for i in range(ROUNDS):
        total += i * i % 7
    return total
''',
    "benchmarks/test_subject.py": """
import pytest

from subject import model


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01, ceiling=0.99, resolution=0.0001)
def test_clouds(trial):
    trial.record(top1_accuracy=model.accuracy(model.fit(trial.seed)))


@pytest.mark.performance(margin=0.1)
def test_work(benchmark):
    benchmark(model.work)
""",
}
PLANTED = {"accuracy": ("SHIFT = 0.0", "SHIFT = 0.41"), "performance": ("ROUNDS = 400", "ROUNDS = 484")}
"""What the culprit changes: two points of accuracy, or 21 % of time; each margin is half of that."""

VERDICTS = """
status=0
"{python}" -m mainstay gate --baseline {good} --candidate HEAD --only {part} --json "{place}" >/dev/null 2>&1 || status=$?
echo "$status" >>"{log}"
case $status in 0) exit 0 ;; 1) exit 1 ;; 3) exit 125 ;; *) exit 200 ;; esac
"""
"""What ``git bisect run`` runs."""


def plant(root: Path, size: int, culprit: int, part: str) -> tuple[str, str]:
    """Make a repository whose commit of that number, from 1, makes the subject worse.

    Returns:
        The good commit and the guilty one; HEAD is the bad one.
    """
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip(), encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "good")
    good, guilty = git(root, "rev-parse", "HEAD"), ""
    model, notes = root / "src/subject/model.py", root / "src/subject/notes.py"
    for number in range(1, size + 1):
        notes.write_text(f"LAST = {number}\n", encoding="utf-8")
        if number == culprit:
            replace_once(model, *PLANTED[part])
        git(root, "commit", "--quiet", "--all", "--message", f"change {number}")
        guilty = git(root, "rev-parse", "HEAD") if number == culprit else guilty
    return good, guilty


def by_mainstay(root: Path, good: str, guilty: str, part: str) -> Row:
    """Search as a user does."""
    start = time.monotonic()
    command = [sys.executable, "-m", "mainstay", "bisect", good, "HEAD", "--metric", METRICS[part], "--no-confirm"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 2, 3}:
        raise RuntimeError(f"mainstay bisect ended with {done.returncode}: {done.stderr[-2000:]}")
    cost = re.search(r"cost: (\d+) gates, (\d+) pairs", done.stdout)
    return {
        "named": done.returncode == 0,
        "right": done.returncode == 0 and guilty[:10] in done.stdout,
        "gates": int(cost[1]) if cost else 1,
        "pairs": int(cost[2]) if cost else 20,
        "minutes": round((time.monotonic() - start) / 60, 2),
    }


def by_git(root: Path, good: str, guilty: str, part: str) -> Row:
    """Let git halve by the verdicts of gates."""
    start, folder = time.monotonic(), root / ".mainstay"
    log, place, script = folder / "gates.log", folder / "gate.json", folder / "verdict.sh"
    text = VERDICTS.format(python=sys.executable, good=good, part=part, log=log, place=place)
    script.write_text(text, encoding="utf-8")
    git(root, "bisect", "start", "HEAD", good)
    done = subprocess.run(
        ["git", "bisect", "run", "sh", str(script)], cwd=root, capture_output=True, text=True, check=False
    )
    named = re.search(r"^([0-9a-f]{40}) is the first bad commit", done.stdout, re.MULTILINE)
    git(root, "bisect", "reset")
    statuses = log.read_text("utf-8").split() if log.exists() else []
    log.unlink(missing_ok=True)
    return {
        "named": named is not None,
        "right": named is not None and named[1] == guilty,
        "gates": len(statuses),
        "skipped": statuses.count("3"),
        "minutes": round((time.monotonic() - start) / 60, 2),
    }


def tasks() -> Iterator[tuple[int, int]]:
    """Number of commits and of the search, the short ones first."""
    for size, searches in SEARCHES.items():
        for number in range(searches):
            yield size, number


def search(size: int, number: int) -> Row:
    """One search by both."""
    rng = np.random.default_rng([SEED, size, number])
    culprit, part = int(rng.integers(1, size + 1)), list(METRICS)[number % 2]
    folder = Path(tempfile.mkdtemp(prefix="bisection-"))
    try:
        good, guilty = plant(folder, size, culprit, part)
        own = by_mainstay(folder, good, guilty, part)
        return {
            "commits": size,
            "search": number,
            "part": part,
            "culprit": culprit,
            "mainstay": own,
            "git": by_git(folder, good, guilty, part),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary(searches: Sequence[Row]) -> Iterator[Row]:
    """Sums by the number of commits."""
    for size in SEARCHES:
        rows = [row for row in searches if row["commits"] == size]
        if rows:
            yield {"commits": size, "searches": len(rows)} | {
                tool: {
                    "named": sum(row[tool]["named"] for row in rows),
                    "right": sum(row[tool]["right"] for row in rows),
                    "gates": round(float(np.mean([row[tool]["gates"] for row in rows])), 1),
                    "minutes": round(float(np.mean([row[tool]["minutes"] for row in rows])), 1),
                }
                for tool in ("mainstay", "git")
            }


def document(searches: Sequence[Row]) -> Row:
    """Everything, as the documentation shows it."""
    return {
        "provenance": {
            "command": "python -m experiments.bisections",
            "commit": commit(),
            "seed": SEED,
            "machine": machine_name(),
            "processors": os.cpu_count(),
            "versions": versions("mainstay"),
        },
        "summary": list(summary(searches)),
        "searches": searches,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Search and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    rows = Rows(options.output, "searches", document)
    known, start = {(row["commits"], row["search"]) for row in rows.done}, time.monotonic()
    left = [task for task in tasks() if task not in known]
    while left and time.monotonic() - start < 60 * options.minutes:
        rows.add(search(*left.pop(0)))
    print(f"{len(rows.done)} searches made, {len(left)} left")
    return 0 if not left else 75


if __name__ == "__main__":
    raise SystemExit(main())
