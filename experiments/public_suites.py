"""Gate other projects' benchmark suites: unchanged, with a local variable renamed, and with one function slowed by a fifth.

Run from the root of the repository, about five minutes a gate; it continues where it stopped::

    python -m experiments.public_suites
    python -m experiments.public_suites --only pluggy --gates 1

Each project is its source distribution, fetched by pip and committed to a repository of its own in a temporary folder.
``mainstay init --yes`` sets it up; then the proof of unchanged code is switched off, so that every benchmark is timed. One
gate that is not counted builds the environments. The slowed function wastes a fifth of its own time, and some
microseconds at least, after each call that is not made within another; only benchmarks that call it may fail.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.provenance import RESULTS, Row, Rows, commit, load, machine_name, measured_at, versions
from experiments.repositories import commit_all, environ, fetch_source, git, replace_once, run_documents
from experiments.selftest import VERDICTS

WASTED = 0.2
SHARE_OF_LIMIT = 0.85
"""Fraction of a gate's time limit passed as ``--seconds``; the rest is for installation and the last pair."""

SLOWER = """


def _slower(function):
    from functools import wraps
    from time import perf_counter

    is_within = False

    @wraps(function)
    def slower(*args, **kwargs):
        nonlocal is_within
        if is_within:
            return function(*args, **kwargs)
        is_within, start = True, perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent = perf_counter() - start
            while perf_counter() - start < {factor} * spent:
                pass
            is_within = False

    return slower


{name} = _slower({name})
"""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The benchmarks of a project.

    Attributes:
        name: On the package index.
        version: Of its source distribution.
        minutes: Time that a gate may take.
        renamed: File, local name, new name.
        slower: File, and the function as that file names it at its end.
        slowed: Pattern of the names of the benchmarks that call it.
    """

    name: str
    version: str
    minutes: int
    renamed: tuple[str, str, str]
    slower: tuple[str, str]
    slowed: str


SUITES = (
    Suite(
        name="pluggy",
        version="1.7.0",
        minutes=5,
        renamed=("src/pluggy/_execution.py", "results", "answers"),
        slower=("src/pluggy/_execution.py", "_multicall"),
        slowed=r"test_hook_and_wrappers_speed|test_hookimpl_with_default_speed|test_call_hook",
    ),
    Suite(
        name="cattrs",
        version="26.2.1",
        minutes=10,
        renamed=("src/cattrs/dispatch.py", "handler", "chosen"),
        slower=("src/cattrs/converters.py", "BaseConverter.structure"),
        slowed=r"test_structure_",
    ),
    Suite(
        name="yarl",
        version="1.25.1",
        minutes=15,
        renamed=("yarl/_path.py", "resolved_path", "kept_segments"),
        slower=("yarl/_url.py", "URL.joinpath"),
        slowed=r"test_url_joinpath(_encoded(_long)?)?$",
    ),
)
CASES = ("itself", "a renamed local", "a slowed function")


class Project:
    """A suite in a repository of its own.

    Args:
        suite: Which.
        folder: An empty folder.
    """

    def __init__(self, suite: Suite, folder: Path) -> None:
        self._suite = suite
        self._root = fetch_source(suite.name, suite.version, folder)
        adopted = self._mainstay("init", "--yes", "--no-gate")
        if adopted.returncode:
            raise RuntimeError(f"{suite.name} was not adopted: {adopted.stdout}{adopted.stderr}")
        replace_once(self._root / "pyproject.toml", "[tool.mainstay]\n", "[tool.mainstay]\nproof = false\n")
        commit_all(self._root, "Adopt mainstay")
        self._git("branch", "base")
        for case in CASES:
            self._commit_case(case)
        self._commit_case(CASES[0])
        self._gate(5)  # which builds the environments

    def gate(self, case: str) -> Row:
        """Make the change, gate it; one row of the results."""
        self._commit_case(case)
        load_at_start, start = load(), time.monotonic()
        run = self._gate(round(60 * SHARE_OF_LIMIT * self._suite.minutes))
        seconds = time.monotonic() - start
        findings = run["findings"]
        failed = [_benchmark(finding) for finding in findings if finding["verdict"] == "fail"]
        is_slowed = case == CASES[2]
        return {
            "suite": self._suite.name,
            "version": self._suite.version,
            "case": case,
            "commit": commit(),
            "machine": machine_name(),
            "load_at_start": load_at_start,
            "verdict": run["verdict"],
            "seconds": round(seconds, 1),
            "benchmarks": len({finding["metric"]["workload"] for finding in findings}),
            "findings": dict(Counter(finding["verdict"] for finding in findings)),
            "pairs": max((finding["num_pairs"] for finding in findings), default=0),
            "failed": failed,
            "wrongly_failed": [each for each in failed if not (is_slowed and re.search(self._suite.slowed, each))],
        }

    def _gate(self, seconds: int) -> Mapping[str, Any]:
        before = run_documents(self._root)
        budget = ("--seconds", str(seconds), "--fresh")
        done = self._mainstay("gate", "--baseline", "base", "--candidate", "change", *budget)
        found = run_documents(self._root)
        if found == before:
            raise RuntimeError(f"a gate of {self._suite.name} left no document: {done.stderr}")
        run: Mapping[str, Any] = json.loads(found[-1].read_text("utf-8"))
        return run

    def _commit_case(self, case: str) -> None:
        self._git("checkout", "--quiet", "--force", "-B", "change", "base")
        if case != CASES[0]:
            self._edit(case)
            commit_all(self._root, case)

    def _edit(self, case: str) -> None:
        if case == CASES[1]:
            file, old, new = self._suite.renamed
            path = self._root / file
            text = path.read_text("utf-8")
            if re.search(rf"\b{new}\b", text) or not re.search(rf"\b{old}\b", text):
                raise ValueError(f"{old} cannot become {new} in {path}")
            path.write_text(re.sub(rf"\b{old}\b", new, text), "utf-8")
        else:
            file, name = self._suite.slower
            with (self._root / file).open("a", encoding="utf-8") as stream:
                stream.write(SLOWER.format(name=name, factor=1 + WASTED))

    def _git(self, *arguments: str) -> str:
        return git(self._root, *arguments)

    def _mainstay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mainstay", *arguments]
        return subprocess.run(command, cwd=self._root, env=environ(), capture_output=True, text=True, check=False)


def _benchmark(finding: Mapping[str, Any]) -> str:
    """Name of a benchmark without its file and its parameters."""
    name: str = finding["metric"]["workload"].partition("::")[2]
    return name.partition("[")[0]


def summarise(gates: Sequence[Row]) -> list[Row]:
    """Summarise the gates by suite and case."""
    kinds = dict.fromkeys(map(_kind, gates))
    return [_summarise_kind([gate for gate in gates if _kind(gate) == kind]) for kind in kinds]


def _kind(gate: Row) -> tuple[str, str, str]:
    return gate["suite"], gate["version"], gate["case"]


def _summarise_kind(gates: Sequence[Row]) -> Row:
    verdicts = Counter(gate["verdict"] for gate in gates)
    (limit,) = {60 * suite.minutes for suite in SUITES if suite.name == gates[0]["suite"]}
    return {
        **{key: gates[0][key] for key in ("suite", "version", "case", "benchmarks")},
        "gates": len(gates),
        **{verdict: verdicts[verdict] for verdict in VERDICTS},
        "wrongly_failed": sum(bool(gate["wrongly_failed"]) for gate in gates),
        "inconclusive_benchmarks": round(
            sum(gate["findings"].get("inconclusive", 0) for gate in gates) / len(gates), 1
        ),
        "seconds": round(sum(gate["seconds"] for gate in gates) / len(gates), 1),
        "within_limit": sum(gate["seconds"] <= limit for gate in gates),
        "limit_s": limit,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Gate what is missing and summarise all gates; returns 1 if a benchmark failed that was not slowed, or a slowdown passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=5, help="of each suite and case")
    names = [suite.name for suite in SUITES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SUITE")
    parser.add_argument("--output", type=Path, default=RESULTS / "public_suites.json")
    options = parser.parse_args(argv)

    def document(gates: Sequence[Row]) -> Row:
        return {
            "provenance": {
                "command": f"python -m experiments.public_suites --gates {options.gates}",
                **measured_at(gates),
                "versions": versions("python", "mainstay"),
            },
            "cases": summarise(gates),
            "gates": gates,
        }

    gates = Rows(options.output, "gates", document)
    for suite in SUITES:
        done = Counter(map(_kind, gates.done))
        missing = [
            case for number in range(options.gates) for case in CASES if done[suite.name, suite.version, case] <= number
        ]
        if suite.name in options.only and missing:
            with tempfile.TemporaryDirectory() as folder:
                project = Project(suite, Path(folder))
                for case in missing:
                    gates.add(project.gate(case))
    for row in summarise(gates.done):
        print(json.dumps(row))
    passed = [gate for gate in gates.done if gate["case"] == CASES[2] and gate["verdict"] == "pass"]
    return int(bool(passed) or any(gate["wrongly_failed"] for gate in gates.done))


if __name__ == "__main__":
    raise SystemExit(main())
