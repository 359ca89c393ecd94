"""Fill the history of this repository: gate its last commits that touch the product, each against the one before.

Run from the root of the repository, hours on an idle machine::

    python -m experiments.own_history --commits 60 --minutes 240

and about a minute a commit with ``--seconds 150 -k 'training_step or size'``.

It writes what is kept to ``docs/results/own_history.jsonl``, of which the documentation makes a page, and goes on where
it, or the clone that wrote the file, stopped: a commit that is kept, or whose gate came to nothing that can be kept, is not gated again.
Commits that touch nothing of the product lie in between and change nothing, so the chain has no gaps. Every twentieth
commit is gated against the first of all over 20 pairs, as an anchor. Nothing is pushed with ``--remote .``, the default.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from experiments.provenance import ROOT
from mainstay.commands import history
from mainstay.records.errors import UsageError
from mainstay.records.findings import Method
from mainstay.records.history import FIRST_LOOK, RunKind
from mainstay.reports.publishing import read_run
from mainstay.revisions.git import Repository
from mainstay.revisions.history import HistoryBranches
from mainstay.store.files import write_text
from mainstay.store.history import file_of, kept_from_json, kept_to_json, stem_of
from mainstay.store.journal import Journal

PRODUCT = ("src", "benchmarks", "pyproject.toml", "constraints/benchmarks.txt")
EVERY = 20


TOO_FEW = "too few pairs for a first look"
"""Problem of a gate that is made again the next time, since a busy machine is to blame."""


class Step(NamedTuple):
    """A gate that belongs to the history.

    Attributes:
        baseline: One commit.
        candidate: The other.
        kind: What they are.
    """

    baseline: str
    candidate: str
    kind: RunKind


def steps(commits: Sequence[str]) -> Iterator[Step]:
    """The gates of a chain of commits, the oldest first, with its anchors.

    Example:
        >>> [step.kind.value for step in steps([f"{i}" for i in range(22)])][-3:]
        ['main', 'anchor', 'main']
    """
    for number, (before, commit) in enumerate(pairwise(commits), 1):
        yield Step(before, commit, RunKind.MAIN)
        if number % EVERY == 0:
            yield Step(commits[0], commit, RunKind.ANCHOR)


def product_commits(root: Path, count: int) -> list[str]:
    """The last commits along first parents that touch the product, the oldest first."""
    command = ["git", "-C", str(root), "rev-list", "--first-parent", f"--max-count={count}", "HEAD", "--", *PRODUCT]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[::-1]


def gate_options(kind: RunKind, *, seconds: float | None, keyword: str) -> Iterator[str]:
    """Options of a gate; an anchor measures its 20 pairs in four times the seconds of a gate, which stops early.

    Example:
        >>> [*gate_options(RunKind.ANCHOR, seconds=45, keyword="latency")]
        ['-k', 'latency', '--pairs', '20', '--seconds', '180']
    """
    if keyword:
        yield from ("-k", keyword)
    if kind is not RunKind.MAIN:
        yield from ("--pairs", "20")
    if seconds is not None:
        yield from ("--seconds", str(seconds if kind is RunKind.MAIN else 4 * seconds))


def run_gate(root: Path, step: Step, place: Path, *, seconds: float | None = None, keyword: str = "") -> str:
    """Gate a step; returns what was wrong where it left no document."""
    command = (sys.executable, "-m", "mainstay", "gate", "--baseline", step.baseline, "--candidate", step.candidate)
    done = subprocess.run(
        [*command, *gate_options(step.kind, seconds=seconds, keyword=keyword), "--json", str(place)],
        cwd=root,
        check=False,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode in {130, -2}:
        raise KeyboardInterrupt
    return "" if place.exists() else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def is_short(place: Path) -> bool:
    """Whether a metric of a run was measured in too few pairs to count in a trend."""
    findings = read_run(place).findings
    return any(f.method is Method.SEQUENTIAL and len(f.degradations) < FIRST_LOOK for f in findings)


def fill(
    root: Path, count: int, *, seconds: float, remote: str, gate: Callable[[Path, Step, Path], str] = run_gate
) -> tuple[int, int]:
    """Gate and keep what is not kept yet, until the time is over.

    Returns:
        Gates made now, and gates that are left.
    """
    folder = root / ".mainstay" / "own-history"
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "journal.jsonl")
    journal.mend()
    kept = {
        (entry.run.baseline.commit, entry.run.candidate.commit, entry.run.kind)
        for entry in history.read(root, remote=remote, environ=os.environ).entries
    }
    tried = {tuple(line["step"]) for line in journal.read() if line["problem"] != TOO_FEW}
    wanted = list(steps(product_commits(root, count + 1)))
    left = [step for step in wanted if (*step,) not in kept and (*step,) not in tried]
    start, made = time.monotonic(), 0
    for step in left:
        if time.monotonic() - start >= seconds:
            break
        place = folder / f"{step.candidate[:16]}-{step.kind}.json"
        place.unlink(missing_ok=True)
        problem = gate(root, step, place) or (TOO_FEW if is_short(place) else "")
        if not problem:
            try:
                history.add(root, place, kind=step.kind, remote=remote, environ=os.environ)
            except UsageError as error:
                problem = error.fact
        journal.append("step", step=[*step], problem=problem)
        made += 1
        print(json.dumps({"candidate": step.candidate[:10], "kind": step.kind, "problem": problem}), flush=True)
    return made, len(left) - made


def restore(root: Path, place: Path, *, remote: str) -> None:
    """Keep the runs of the file in this clone too, unless withdrawn here: a fresh one goes on where another stopped."""
    if not place.exists():
        return
    entries = history.read(root, remote=remote, environ=os.environ).entries
    withdrawn = {entry.file for entry in entries if entry.withdrawal}
    runs = [kept_from_json(line, where=str(place)) for line in place.read_text("utf-8").splitlines()]
    runs = [run for run in runs if stem_of(file_of(run)) not in withdrawn]
    branches = HistoryBranches.of(Repository.discover(root), remote)
    for year in sorted({f"{run.time:%Y}" for run in runs}):
        files = {file_of(run): kept_to_json(run).encode() for run in runs if f"{run.time:%Y}" == year}
        branches.append(year, files, f"Restore {len(files)} runs")


def export(root: Path, place: Path, *, remote: str) -> int:
    """Write the runs that count to the file of which the documentation is made, a line each; returns their number."""
    runs = history.read(root, remote=remote, environ=os.environ).runs
    if runs:
        write_text(place, "".join(map(kept_to_json, runs)))
    return len(runs)


def main(argv: Sequence[str] | None = None) -> int:
    """Gate and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--commits", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--remote", default=".", help="where the history is shared; '.' keeps it here")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "own_history.jsonl")
    parser.add_argument("--seconds", type=float, help="budget of a gate; an anchor has four times that [as configured]")
    parser.add_argument("-k", dest="keyword", default="", metavar="EXPR", help="workloads that are gated [all]")
    options = parser.parse_args(argv)
    gate = partial(run_gate, seconds=options.seconds, keyword=options.keyword)
    restore(ROOT, options.output, remote=options.remote)
    made, left = fill(ROOT, options.commits, seconds=60 * options.minutes, remote=options.remote, gate=gate)
    kept = export(ROOT, options.output, remote=options.remote)
    print(f"{made} gates made, {left} left, {kept} runs kept in {options.output}")
    return 0 if left == 0 else 75


if __name__ == "__main__":
    raise SystemExit(main())
