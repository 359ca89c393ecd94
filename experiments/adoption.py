"""Put other people's projects under a gate by one command, as their maintainers would; write ``docs/results/adoption.json``.

Run from the root of the repository; it goes on where it was stopped::

    python -m experiments.adoption [PROJECT ...]

Each project is the source distribution of :data:`PROJECTS`, fetched by pip, committed to a repository of its own in a
temporary folder. ``mainstay init --yes`` then sets it up, with nobody's help. Four verdicts are recorded: of the tree
against itself, of the commit that adopts, of a reworded docstring, and of a slowdown that is planted in what the
workloads time, where it is known what that is. A project whose row was measured at another version is measured again.

The status is 1 where a gate did not run, or one of an unchanged tree failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.provenance import ROOT, commit, load, write_results
from experiments.repositories import commit_all, environ, fetch_source, git, run_documents
from mainstay.workers.machine import describe_machine

RESULTS = ROOT / "docs" / "results" / "adoption.json"

GATE_SECONDS = 120
"""What each gate may measure."""

LIMIT_S = 900.0
"""How long a command may take, set-up included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project, and where a slowdown is planted.

    Attributes:
        name: On the package index.
        version: Of its source distribution.
        slow_file: File of the function that is made slower; the package's ``__init__.py`` if empty, whose import is timed.
        slow_line: A line of that file before which some 0.2 ms are wasted, indented as it is.
    """

    name: str
    version: str
    slow_file: str = ""
    slow_line: str = ""


PROJECTS = (
    Project(
        name="pluggy",
        version="1.6.0",
        slow_file="src/pluggy/_callers.py",
        slow_line="    results: list[object] = []",
    ),
    Project(name="einops", version="0.8.1"),
    Project(name="structlog", version="25.4.0"),
    Project(
        name="cattrs",
        version="25.1.1",
        slow_file="src/cattrs/converters.py",
        slow_line="        return self._structure_func.dispatch(cl)(obj, cl)",
    ),
    Project(name="rich", version="14.0.0"),
    Project(name="yarl", version="1.20.1", slow_file="yarl/_url.py", slow_line="        if type(val) is str:"),
    Project(name="msgspec", version="0.19.0"),
    Project(
        name="attrs",
        version="25.3.0",
        slow_file="src/attr/_make.py",
        slow_line="        attrs, base_attrs, base_map = _transform_attrs(",
    ),
    Project(name="tenacity", version="9.1.2"),
    Project(name="more-itertools", version="10.7.0"),
    Project(name="torchmetrics", version="1.9.0"),
    Project(name="skorch", version="1.2.0"),
)


class Trial:
    """One project in a repository of its own.

    Args:
        project: Which.
        folder: An empty folder.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self._project = project
        self._folder = folder
        self._commands = 0

    def run(self) -> dict[str, Any]:
        """Fetch, adopt, gate; what came of it."""
        self._root = fetch_source(self._project.name, self._project.version, self._folder)
        start, load_at_start = time.monotonic(), load()
        adopted = self._mainstay("init", "--yes")
        minutes = (time.monotonic() - start) / 60
        edits = self._git("status", "--porcelain").splitlines()
        itself = self._latest()
        row = {
            **asdict(self._project),
            "mainstay_version": version("mainstay"),
            "commit": commit(),
            "load_at_start": load_at_start,
            "init": _outcome(adopted, itself),
            "minutes": round(minutes, 2),
            "edits": len(edits),
            "commands": self._commands,
            "workloads": _workloads(itself),
        }
        if itself is None:
            return {**row, "said": (adopted.stdout + adopted.stderr).strip().splitlines()[-15:]}
        again = self._mainstay("init", "--yes", "--no-gate")
        row["changed_by_second_init"] = "nothing to write" not in again.stdout
        row["adopting_commit"] = self._gate()
        commit_all(self._root, "Adopt mainstay")
        self._reword()
        row["reworded_docstring"] = self._gate()
        self._git("checkout", "--quiet", ".")
        times_import = any(finding["metric"]["name"] == "import_time" for finding in itself["findings"])
        if (self._project.slow_file or times_import) and self._plant():
            row["planted_slowdown"] = self._gate()
        return row

    def _git(self, *arguments: str) -> str:
        return git(self._root, *arguments)

    def _mainstay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self._commands += 1
        command = [sys.executable, "-m", "mainstay", *arguments]
        try:
            return subprocess.run(
                command, cwd=self._root, env=environ(), capture_output=True, text=True, check=False, timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, returncode=124, stdout="", stderr=f"not done in {LIMIT_S} s")

    def _gate(self) -> dict[str, Any]:
        before = run_documents(self._root)
        done = self._mainstay("gate", "--seconds", str(GATE_SECONDS))
        return _outcome(done, self._latest() if run_documents(self._root) > before else None)

    def _latest(self) -> dict[str, Any] | None:
        found = run_documents(self._root)
        return json.loads(found[-1].read_text(encoding="utf-8")) if found else None

    def _main_file(self) -> Path:
        """The ``__init__.py`` of the package that the wheel is named after, or the first there is."""
        name = self._project.name.replace("-", "_")
        places = [self._root / prefix / name / "__init__.py" for prefix in ("src", ".")]
        found = [place for place in places if place.is_file()]
        return found[0] if found else min(self._root.glob("src/*/__init__.py"))

    def _reword(self) -> None:
        """Add a sentence to the docstring of the package, or a docstring where there is none."""
        place = self._main_file()
        text = place.read_text(encoding="utf-8")
        worded = re.sub(r'"""', '"""Reworded. ', text, count=1)
        place.write_text(worded if worded != text else f'"""Reworded."""\n{text}', encoding="utf-8")

    def _plant(self) -> bool:
        """Waste time in what the workloads time; whether there is such a place."""
        project = self._project
        place = self._root / project.slow_file if project.slow_file else self._main_file()
        text = place.read_text(encoding="utf-8")
        if not project.slow_file:
            place.write_text(f"{text}\nimport time\n\ntime.sleep(0.25)\n", encoding="utf-8")
            return True
        if text.count(f"{project.slow_line}\n") != 1:
            return False
        indent = project.slow_line[: -len(project.slow_line.lstrip())]
        wasted = f"{indent}sum(range(20_000))\n{project.slow_line}\n"
        place.write_text(text.replace(f"{project.slow_line}\n", wasted), encoding="utf-8")
        return True


def _outcome(done: subprocess.CompletedProcess[str], run: Mapping[str, Any] | None) -> dict[str, Any]:
    """Exit status, verdict, and how many findings have which verdict."""
    if run is None:
        return {"exit_status": done.returncode, "verdict": None, "said": done.stderr.strip().splitlines()[-6:]}
    verdicts = [finding["verdict"] for finding in run["findings"]]
    counted = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    return {"exit_status": done.returncode, "verdict": run["verdict"], "findings": counted}


def _workloads(run: Mapping[str, Any] | None) -> int:
    return len({finding["metric"]["workload"] for finding in run["findings"]}) if run else 0


def is_wrong(row: Mapping[str, Any]) -> bool:
    """Whether a gate did not run, or one of a tree that does the same failed."""
    outcomes = [row.get(name) for name in ("init", "adopting_commit", "reworded_docstring")]
    return any(outcome is None or outcome["verdict"] in {None, "fail", "missing"} for outcome in outcomes)


def main(argv: Sequence[str] | None = None) -> int:
    """Try the projects that have no row yet, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("projects", nargs="*", help="names; all without a row if none is given")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    document = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {"rows": []}
    rows = {(row["name"], row["version"]): row for row in document["rows"]}
    for project in PROJECTS:
        is_known = (project.name, project.version) in rows
        if project.name not in options.projects and (options.projects or is_known):
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = Trial(project, Path(folder)).run()
        rows[project.name, project.version] = row
        print(json.dumps(row), flush=True)
        document = {
            "command": "python -m experiments.adoption",
            "gate_seconds": GATE_SECONDS,
            "machine": asdict(describe_machine()),
            "rows": list(rows.values()),
        }
        write_results(options.output, document)
    return int(any(map(is_wrong, rows.values())))


if __name__ == "__main__":
    sys.exit(main())
