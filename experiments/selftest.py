"""Gate a real repository many times, against itself and with planted changes, and write down what the gate answered.

Run from the root of the repository; it stops after the minutes given and continues when it is run again::

    python -m experiments.selftest --minutes 60 --profile hour
    python -m experiments.selftest --profile full
    python -m experiments.selftest --profile full --only A/A "+10 % step time"

The status is 1 where a rate that is bounded lies above its bound with all of its 95 % interval.

The subject of ``experiments/subject`` is committed to a repository of its own. Each gate compares that commit
with another one, which changes words only or plants a change of random size in the library (``planting.py``); both are
built and installed apart, as always. Every completed gate is a line of a journal in ``.mainstay/selftest``, one for each
profile. The full profile goes on from the published results and publishes; the hour begins anew, and its results stay
beside its journal. The size of each planted change is measured afterwards by ``confirm.py``. Beside each rate stands
that of simulated gates with the noise that the A/A gates showed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planting import CASES, CLOUDS, IMPORT, MEMORY, Case, Size, draw_size, plant
from experiments.provenance import RESULTS as PUBLISHED
from experiments.provenance import ROOT, Row, commit, machine_name, versions, write_results
from experiments.repositories import environ, git
from experiments.simulate import NOISE, draw_values, judge_gates
from mainstay.gates.policy import Design
from mainstay.stats.proportions import clopper_pearson_interval
from mainstay.store.files import write_text

SUBJECT = Path(__file__).with_name("subject")
PLANTING, CONFIRM = (Path(__file__).with_name(name) for name in ("planting.py", "confirm.py"))
STATE = ROOT / ".mainstay" / "selftest"
RESULTS = PUBLISHED / "selftest.json"

SEED = 20_261_125
ALPHA = Design(num_gated=1).alpha
"""The rate that the gate states."""

GATE_SECONDS = 300.0
"""What each gate may measure."""

PAIR_SECONDS = 1.0
"""Time of the blocks of each timed workload in a pair: four of them and the rest of a gate fit in a minute."""

COST_SECONDS = 40.0
SIMULATED_GATES = 4_000
VERDICTS = ("pass", "inconclusive", "fail", "error")
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Repository:
    """The subject in a git repository of its own.

    Args:
        root: Where it is made, unless it is there; bears the name of what it is made of.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = environ()
        if not root.exists():
            draft = root.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(SUBJECT, draft, ignore=shutil.ignore_patterns("__pycache__"))
            self.root = draft
            self.git("init", "-q", "-b", "main")
            self.git("add", "-A")
            self.git("commit", "-q", "-m", "The subject as it is")
            self.root = draft.rename(root)

    def git(self, *arguments: str) -> str:
        """Run git; its output is returned."""
        return git(self.root, *arguments)

    def commit_change(self, case: Case, size: Size, rng: random.Random) -> list[Any]:
        """Make the branches ``base``, which gates the workloads of a case, and ``change``; return the edits."""
        self.git("checkout", "-q", "--force", "-B", "base", "main")
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as stream:
            stream.write(f'workloads = "{case.workloads}"\npair_seconds = {PAIR_SECONDS}\nproof = false\n')
            stream.write('extras = ["torch"]\n' if case.workloads == "synchronisation" else "")
        self.git("commit", "-q", "-a", "-m", f"Gate {case.workloads}")
        self.git("checkout", "-q", "-B", "change")
        edits = plant(self.root, case, size, rng)
        self.git("commit", "-q", "-a", "-m", "Reword the library")
        return edits

    def gate(self) -> Row:
        """Gate the change against its base; the run document, with the exit status and the wall time."""
        place = self.root.parent / "run.json"
        place.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "mainstay", "gate", "--baseline", "base", "--candidate", "change"),
            *("--fresh", "--fail-fast", "--seconds", str(GATE_SECONDS), "--json", str(place)),
        ]
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=1200, check=False
        )
        seconds = time.monotonic() - start
        run = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
        place.unlink(missing_ok=True)
        shutil.rmtree(self.root / ".mainstay", ignore_errors=True)
        return {
            "status": done.returncode,
            "stderr": done.stderr[-2000:],
            "seconds": seconds,
            "run": run,
        }

    @contextmanager
    def both_trees(self) -> Iterator[tuple[Path, Path]]:
        """Worktrees of the base and of the change."""
        trees = [self.root.parent / name for name in ("base", "cand")]
        try:
            for tree, revision in zip(trees, ("base", "change"), strict=True):
                self.git("worktree", "add", "-q", "--force", "--detach", str(tree), revision)
            yield trees[0], trees[1]
        finally:
            for tree in trees:
                self.git("worktree", "remove", "--force", str(tree))


@contextmanager
def burning_core(*, after: float) -> Iterator[None]:
    """Another process that keeps one core busy, from so many seconds on, and ends when this one does."""
    code = f"import os, time; time.sleep({after})\nwhile os.getppid() == {os.getpid()}: pass"
    burner = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        burner.kill()
        burner.wait()


class Journal:
    """The gates completed so far.

    Args:
        path: A file of JSON lines.
        published: Results with the gates that the file begins with, if it is not there; ``None`` for no gates.
    """

    def __init__(self, path: Path, published: Path | None) -> None:
        self._path = path
        self.gates: list[Row] = []
        if path.exists():
            self.gates += map(json.loads, path.read_text(encoding="utf-8").splitlines())
        elif published and published.exists():
            for gate in json.loads(published.read_text(encoding="utf-8"))["gates"]:
                self.append(gate)

    def append(self, gate: Row) -> None:
        """Keep a gate on disk."""
        self.gates.append(gate)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(gate) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def of(self, case: Case) -> list[Row]:
        """The gates of a case."""
        return [gate for gate in self.gates if gate["case"] == case.name]


def confirm(*arguments: str) -> Any:
    """What ``confirm.py`` prints."""
    command = [sys.executable, str(CONFIRM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **THREADS})
    return json.loads(done.stdout)


def kind_of_confirmation(case: Case) -> str:
    """How the size of a case's change is confirmed."""
    if case.workloads == "synchronisation":
        return "deep"
    return {MEMORY: "memory", IMPORT: "import", CLOUDS: "accuracy"}.get(case.harmed, "step")


def next_case(journal: Journal, cases: Sequence[Case], profile: int) -> Case | None:
    """The case with the smallest share of its gates done; A/A first, which shows what others refer to."""
    shares = {case.name: len(journal.of(case)) / case.wanted_gates[profile] for case in cases}
    name = min(shares, key=lambda each: shares[each])
    return CASES[name] if shares[name] < 1 else None


def baseline_value(journal: Journal, case: Case) -> float:
    """Mean of the harmed metric in the baseline as gates saw it; what the subject has by design if none did."""
    seen = [
        finding["baseline_mean"] for gate in journal.gates for finding in gate["findings"] if is_harmed(finding, case)
    ]
    return float(np.mean(seen)) if seen else {MEMORY: 6e7, CLOUDS: 0.9}.get(case.harmed, 0.0)


def is_harmed(finding: Row, case: Case) -> bool:
    """Whether a finding is about the metric that a case harms."""
    test, metric = case.harmed
    return bool(test) and finding["id"].endswith(f"::{test}#{metric}")


def run_gate(repository: Repository, journal: Journal, case: Case, cost: Row, confirm_s: float) -> Row:
    """Plant, gate, confirm; one line of the journal."""
    number = len(journal.gates)
    rng = random.Random(f"{SEED} {case.name} {number}")
    size = draw_size(case, rng, cost=cost, baseline=baseline_value(journal, case))
    edits = repository.commit_change(case, size, rng)
    usual = [gate["seconds"] for gate in journal.of(CASES["A/A"])]
    if case.is_loaded:
        with burning_core(after=float(np.mean(usual)) / 2 if usual else 30.0):
            gate = repository.gate()
    else:
        gate = repository.gate()
    confirmed = {}
    if case.harmed[0] and confirm_s:
        with repository.both_trees() as trees:
            confirmed = confirm(kind_of_confirmation(case), *map(str, trees), str(confirm_s))
    return {
        "case": case.name,
        "number": number,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": sources_digest(),
        "machine": machine_name(),
        "size": asdict(size),
        "edits": edits,
        "confirmed": confirmed,
        **summarise_run(gate),
    }


def summarise_run(gate: Row) -> Row:
    """What is kept of a gate."""
    run = gate["run"]
    findings = [
        {
            "id": f"{finding['metric']['workload']}#{finding['metric']['name']}",
            **{
                key: finding[key]
                for key in (
                    "verdict",
                    "num_pairs",
                    "num_looks",
                    "estimate",
                    "standard_deviation",
                    "baseline_mean",
                    "degradations",
                )
            },
        }
        for finding in run.get("findings", [])
    ]
    return {
        "status": gate["status"],
        "verdict": run.get("verdict", "error"),
        "seconds": round(gate["seconds"], 1),
        "phases": run.get("phases_s", {}),
        "workload_seconds": round(sum(workload["seconds"] for workload in run.get("workloads", [])), 1),
        "max_load": run.get("max_load"),
        "findings": findings,
        "trouble": "" if run else gate["stderr"],
    }


def sources_digest() -> str:
    """A name for the code that was tried."""
    return digest_of([*(ROOT / "src" / "mainstay").rglob("*.py"), *made_of()])


def made_of() -> list[Path]:
    """The files that decide what is gated, and what it costs: the subject, and what changes and measures it."""
    return [*SUBJECT.rglob("*.py"), SUBJECT / "pyproject.toml", PLANTING, CONFIRM]


def digest_of(files: Iterable[Path]) -> str:
    """A name for the contents of some files."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(files))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def prepared(state: Path) -> tuple[Repository, Row]:
    """The repository that is gated, and what a row of its training costs; kept in a folder until either changes."""
    folder = state / digest_of(made_of())
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "cost.json"
    if not kept.exists():
        write_text(kept, json.dumps(confirm("cost", str(SUBJECT), str(COST_SECONDS))))
    return Repository(folder / "repository"), json.loads(kept.read_text(encoding="utf-8"))


# What the gates come to


def share(count: int, n: int) -> Row | None:
    """How often something happened, with its 95 % interval (Clopper, Pearson); nothing of nothing."""
    if not n:
        return None
    low, high = clopper_pearson_interval(count, n)
    return {"rate": count / n, "low": round(low, 4), "high": round(high, 4), "n": n}


def observed_noise(journal: Journal, workloads: str) -> dict[str, float]:
    """Standard deviation of a pair's degradation by metric, pooled over the gates of a folder of workloads.

    A planted degradation moves the mean of a gate, not its deviation.
    """
    squares: dict[str, list[tuple[float, int]]] = {}
    for gate in journal.gates:
        if CASES[gate["case"]].workloads == workloads and not CASES[gate["case"]].is_loaded:
            for finding in gate["findings"]:
                if finding["standard_deviation"] and finding["num_pairs"] > 1:
                    squares.setdefault(finding["id"], []).append(
                        (finding["standard_deviation"] ** 2, finding["num_pairs"] - 1)
                    )
    return {
        name: math.sqrt(sum(square * degrees for square, degrees in rows) / sum(degrees for _, degrees in rows))
        for name, rows in squares.items()
    }


def simulated(case: Case, noise: Mapping[str, float], degradation: float) -> Row:
    """Verdicts of simulated gates with the noise seen, normal and independent, and the degradation confirmed."""
    if not noise:
        return {}
    design = Design(num_gated=len(noise))
    margins = {
        name: 0.002 if name.endswith("top1_accuracy") else 0.1 if name.endswith("import_time") else 0.05
        for name in noise
    }
    ratios = [
        (margins[name] if name.endswith("top1_accuracy") else math.log1p(margins[name])) / deviation
        for name, deviation in noise.items()
    ]
    truth = [degradation / deviation if is_harmed({"id": name}, case) else 0.0 for name, deviation in noise.items()]
    rng = np.random.default_rng(SEED)
    degradations = rng.standard_normal((SIMULATED_GATES, len(noise), design.max_pairs))
    values = draw_values(rng, NOISE["normal"], degradations)
    values[1] += np.array(truth)[:, None]
    # in units of each metric's margin, so that one margin serves all
    scaled = values / np.array(ratios)[:, None]
    verdicts = judge_gates(scaled[1] - scaled[0], values=scaled, margin=1.0, design=design)
    return {
        "fail": float(verdicts.gate_fails.mean()),
        "pass": float(verdicts.gate_passes.mean()),
    }


def summarise_case(journal: Journal, case: Case, profile: int) -> Row:
    """What the gates of a case came to, beside what was asked and what is simulated."""
    gates = journal.of(case)
    counts = Counter(gate["verdict"] for gate in gates)
    degradations = [gate["confirmed"]["degradation"] for gate in gates if gate["confirmed"]]
    noise = observed_noise(journal, case.workloads) if gates else {}
    simulation = simulated(case, noise, float(np.median(degradations)) if degradations else 0.0)

    def mean_of(values: Sequence[float]) -> float | None:
        return round(float(np.mean(values)), 1) if values else None

    return {
        "case": case.name,
        "bar": case.bar,
        "gates": len(gates),
        "wanted": case.wanted_gates[profile],
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "against_the_bar": share(sum(counts[verdict] for verdict in case.never), len(gates)) if case.never else None,
        "failed_at_first_look": sum(
            is_harmed(f, case) and f["verdict"] == "fail" and f["num_looks"] == 1
            for gate in gates
            for f in gate["findings"]
        )
        if case.harmed[0]
        else None,
        "size_confirmed": size_in_words(case, degradations) if degradations else None,
        "simulated_fail": simulation.get("fail"),
        "simulated_pass": simulation.get("pass"),
        "pairs_mean": mean_of([max((f["num_pairs"] for f in gate["findings"]), default=0) for gate in gates]),
        "seconds_mean": mean_of([gate["seconds"] for gate in gates]),
        "seconds_max": max((gate["seconds"] for gate in gates), default=None),
        "seconds_in_blocks_max": max((gate["workload_seconds"] for gate in gates), default=None),
        "load_by_others": mean_of([gate["max_load"] for gate in gates if gate["max_load"] is not None]),
    }


def broken_bars(cases: Iterable[Row]) -> list[Row]:
    """The cases in which what must not be said was said more often than a clean change may fail, beyond chance."""
    return [case for case in cases if case["against_the_bar"] and case["against_the_bar"]["low"] > ALPHA]


def size_in_words(case: Case, degradations: Sequence[float]) -> str:
    """The median of the confirmed sizes, and the least and the greatest."""
    if case.harmed == CLOUDS:
        return "{:.2f} points ({:.2f} to {:.2f})".format(*(100 * f(degradations) for f in (np.median, min, max)))
    return "{:+.1f} % ({:+.1f} to {:+.1f})".format(*(100 * math.expm1(f(degradations)) for f in (np.median, min, max)))


def document(journal: Journal, cost: Row, cases: Sequence[Row]) -> Row:
    """Everything, as the documentation shows it: a case with fewer gates than planned is no result yet."""
    finished = [case for case in cases if case["gates"] >= case["wanted"]]
    return {
        "provenance": {
            "command": "python -m experiments.selftest --profile full",
            "commit": commit(),
            "seed": SEED,
            "machines": dict(Counter(gate["machine"] for gate in journal.gates)),
            "versions": versions("python", "numpy", "scipy", "pytest"),
            "sources": dict(Counter(gate["sources"] for gate in journal.gates)),
            "first": min((gate["time"] for gate in journal.gates), default=None),
            "last": max((gate["time"] for gate in journal.gates), default=None),
            "cost_of_rows": cost,
        },
        "cases": finished,
        "not_measured_yet": [case["case"] for case in cases if case not in finished],
        "noise_of_a_pair": {
            metric: round(deviation, 5)
            for workloads in dict.fromkeys(CASES[case["case"]].workloads for case in finished)
            for metric, deviation in observed_noise(journal, workloads).items()
        },
        "gates": journal.gates,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Gate until the time is over, and write what all gates so far came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", choices=("full", "hour"), default="full")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no gate after so many")
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES], metavar="CASE", help="the cases to gate")
    parser.add_argument("--confirm-seconds", type=float, default=10.0, help="for the size of each planted change")
    parser.add_argument("--state", type=Path, default=STATE, help="where the journal is kept")
    parser.add_argument("--output", type=Path, help="the results; those that are published, or hour.json")
    options = parser.parse_args(argv)
    end = time.monotonic() + 60 * options.minutes
    repository, cost = prepared(options.state)
    is_full = options.profile == "full"
    output = options.output or (RESULTS if is_full else options.state / "hour.json")
    journal = Journal(options.state / f"{options.profile}.jsonl", output if is_full else None)
    profile = ("full", "hour").index(options.profile)
    cases = [CASES[name] for name in options.only]
    while time.monotonic() < end and (case := next_case(journal, cases, profile)):
        gate = run_gate(repository, journal, case, cost, options.confirm_seconds)
        journal.append(gate)
        print(
            f"{gate['time']} {case.name}: {gate['verdict']} in {gate['seconds']} s",
            flush=True,
        )
    rows = [summarise_case(journal, case, profile) for case in CASES.values()]
    write_results(output, document(journal, cost, rows))
    for row in rows:
        print(row["case"], *(f"{row[verdict]} {verdict}" for verdict in VERDICTS), sep=", ")
    broken = broken_bars(rows)
    for row in broken:
        print(f"broken: {row['case']}: {row['bar']}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
