"""Gate clean changes of a real repository, and count how many pass, how many fail, and how long that takes.

Run from the root of the repository, about a minute a gate; it continues where it stopped::

    python -m experiments.clean_changes
    python -m experiments.clean_changes --only "beside two busy processes" --gates 20

Every gate compares two commits of the subject of the self-test, built and installed apart. In the first four cases the
proof of unchanged code is off, so that all six metrics are measured; the cases differ in the load that the experiment
itself makes, and in the margin. In the others the proof is on, the second commit makes one harmless edit, and only times
of calls are gated, since import time and memory depend on the text of a module as well. The last of them edits a function
that no workload executes, with the proof that covers executed code only, and needs Python 3.12 or later. The environments
are warm: one gate that is not counted builds them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.load import busy_processes
from experiments.provenance import RESULTS, Row, Rows, commit, machine_name, measured_at
from experiments.selftest import PAIR_SECONDS, VERDICTS, Repository, share


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of clean change, and the circumstances in which it is gated.

    Attributes:
        gates: Number of gates, decided beforehand.
        bar: Smallest number of gates that should pass.
        seconds: Time that a gate should take at most.
        is_mean: Whether that is said of the mean, not of each gate.
        edit: File that the change edits, the text that it replaces, and the new text.
        busy: Processes that the experiment keeps busy beside the gate.
        margin: Margin of the times of calls; ``None`` for the default ones, for which blocks of one second a pair are enough.
        proof: The proof by which the gate may pass without measuring, as in the settings; ``None`` for none.
    """

    gates: int
    bar: int
    seconds: float
    is_mean: bool = False
    edit: tuple[str, str, str] = ("src/subject/text.py", '"""Tokens of a text."""', '"""Split a text into tokens."""')
    busy: int = 0
    margin: float | None = None
    proof: Literal["unchanged", "executed"] | None = None


CASES: Mapping[str, Case] = {
    "beside two busy processes": Case(gates=60, bar=57, seconds=60, is_mean=True, busy=2),
    "beside four busy processes": Case(gates=20, bar=18, seconds=120, is_mean=True, busy=4),
    "beside no other process": Case(gates=20, bar=20, seconds=30),
    "beside no other process, margin of 2 %": Case(gates=20, bar=19, seconds=120, is_mean=True, margin=0.02),
    "a docstring": Case(gates=10, bar=10, seconds=30, proof="unchanged"),
    "a comment": Case(
        edit=(
            "src/subject/text.py",
            "    merged = []\n",
            "    # neighbours are joined from the left\n    merged = []\n",
        ),
        gates=10,
        bar=10,
        seconds=30,
        proof="unchanged",
    ),
    "the name of a local variable": Case(
        edit=(
            "src/subject/text.py",
            "    for pair in merges:\n        tokens = merge(tokens, pair)\n    return tokens",
            "    for both in merges:\n        tokens = merge(tokens, both)\n    return tokens",
        ),
        gates=10,
        bar=10,
        seconds=30,
        proof="unchanged",
    ),
    "a test": Case(
        edit=("tests/test_text.py", "", "def test_empty():\n    assert not ''\n"),
        gates=10,
        bar=10,
        seconds=30,
        proof="unchanged",
    ),
    "the documentation": Case(edit=("README.md", "", "# Subject\n"), gates=10, bar=10, seconds=30, proof="unchanged"),
    "the body of a function that is not executed": Case(
        edit=(
            "src/subject/data.py",
            "range(0, len(order) - batch_size + 1, batch_size)",
            "range(0, len(labels) - batch_size + 1, batch_size)",
        ),
        gates=10,
        bar=10,
        seconds=30,
        proof="executed",
    ),
}


class Clean(Repository):
    """The subject, with a change that leaves every metric as it is."""

    def commit_case(self, case: Case) -> None:
        """Make the branches ``base`` and ``change``."""
        self.git("checkout", "-q", "--force", "-B", "base", "main")
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as stream:
            stream.write('workloads = "performance"\n' + f"proof = {json.dumps(case.proof or False)}\n")
            if case.margin is None:
                stream.write(f"pair_seconds = {PAIR_SECONDS}\n")
            else:
                stream.write(f"margins = {{ call_time = {case.margin} }}\n")
        if case.proof:
            workloads = self.root / "performance" / "test_performance.py"
            calls, _, _ = workloads.read_text(encoding="utf-8").partition("\n\ndef test_import")
            workloads.write_text(calls, encoding="utf-8")
        self.git("commit", "-q", "-a", "-m", "Gate the performance")
        self.git("checkout", "-q", "-B", "change")
        name, old, new = case.edit
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if old and before.count(old) != 1:
            raise ValueError(f"{name} does not hold exactly once: {old}")
        path.write_text(before.replace(old, new) if old else new, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "Change words")


def run_gate(repository: Clean, name: str) -> Row:
    """Gate one clean change; one row of the results."""
    case = CASES[name]
    with busy_processes(case.busy):
        gate = repository.gate()
    run = gate["run"]
    findings = run.get("findings", [])
    return {
        "case": name,
        "verdict": run.get("verdict", "error"),
        "seconds": round(gate["seconds"], 1),
        "load": run.get("max_load"),
        "pairs": max((finding["num_pairs"] for finding in findings), default=0),
        "metrics": {
            f"{finding['metric']['workload'].partition('::')[2]}#{finding['metric']['name']}": finding["verdict"]
            for finding in findings
        },
        "trouble": "" if run else gate["stderr"],
    }


def summarise(gates: Sequence[Row]) -> list[Row]:
    """Verdicts and times of each case whose planned gates are all there, beside its bar."""
    of = {name: [gate for gate in gates if gate["case"] == name] for name in CASES}
    return [summarise_case(name, CASES[name], rows) for name, rows in of.items() if len(rows) >= CASES[name].gates]


def summarise_case(name: str, case: Case, gates: Sequence[Row]) -> Row:
    """What the gates of one case came to."""
    verdicts = Counter(gate["verdict"] for gate in gates)
    seconds = [gate["seconds"] for gate in gates]
    loads = [gate["load"] for gate in gates if gate["load"] is not None]
    return {
        "case": name,
        "gates": len(gates),
        "wanted": case.gates,
        **{verdict: verdicts[verdict] for verdict in VERDICTS},
        "passing": share(verdicts["pass"], len(gates)),
        "failing": share(verdicts["fail"], len(gates)),
        "bar": f"{case.bar} of {case.gates} pass, none fails, {case.seconds:.0f} s {'on average' if case.is_mean else 'at most'}",
        "seconds_mean": round(sum(seconds) / len(seconds), 1),
        "seconds_max": max(seconds),
        "pairs_max": max(gate["pairs"] for gate in gates),
        "commits": sorted({gate["commit"] for gate in gates}),
        "machines": sorted({gate["machine"] for gate in gates}),
        "load_mean": round(sum(loads) / len(loads), 1) if loads else None,
        "undecided": dict(
            Counter(
                metric for gate in gates for metric, verdict in gate["metrics"].items() if verdict == "inconclusive"
            )
        ),
    }


def document(gates: Sequence[Row]) -> Row:
    """Everything, as the documentation shows it."""
    cases = summarise(gates)
    return {
        "provenance": {
            "command": "python -m experiments.clean_changes",
            **measured_at(gates),
        },
        "cases": cases,
        "not_measured_yet": [name for name in CASES if name not in {case["case"] for case in cases}],
        "gates": gates,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Gate what is missing and write what all gates came to; 1 if a clean change failed or could not be gated."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES], metavar="CASE")
    parser.add_argument("--gates", type=int, help="at most so many of each case; default: all that are planned")
    parser.add_argument("--output", type=Path, default=RESULTS / "clean_changes.json")
    options = parser.parse_args(argv)
    gates = Rows(options.output, "gates", document)
    with tempfile.TemporaryDirectory() as folder:
        repository = Clean(Path(folder) / "repository")
        is_warm = False
        for name in options.only:
            case = CASES[name]
            wanted = min(case.gates, options.gates or case.gates)
            while sum(gate["case"] == name for gate in gates.done) < wanted:
                repository.commit_case(case)
                if not is_warm:
                    repository.gate()
                    is_warm = True
                gates.add(run_gate(repository, name) | {"commit": commit(), "machine": machine_name()})
    for row in summarise(gates.done):
        print(json.dumps(row))
    return int(any(gate["verdict"] in {"fail", "error"} for gate in gates.done))


if __name__ == "__main__":
    raise SystemExit(main())
