"""Where the figures of an experiment come from, and how they are written.

- :func:`commit`, :func:`machine_name`, :func:`system_name`, :func:`versions`, :func:`load`, :func:`measured_at`: the facts
  beside the figures.
- :func:`write_results`, :class:`Rows`: the file of figures, written at once or after each row.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mainstay.store.files import write_text
from mainstay.workers.machine import describe_machine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"

Row = dict[str, Any]


def head() -> str:
    """The commit of the project."""
    return _git("rev-parse", "HEAD")


def is_clean(*paths: str) -> bool:
    """Whether files of the project are as they stand in its commit; those that decide what is measured if none are named."""
    return not _git("status", "--porcelain", "--", *(paths or ("src", "benchmarks", "experiments")))


def commit() -> str:
    """The commit of the project, with ``-dirty`` behind it where what is measured differs from it; empty for a copy without git."""
    if not (ROOT / ".git").exists():
        return ""
    return head() + ("" if is_clean() else "-dirty")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def machine_name() -> str:
    """The processor and its cores."""
    machine = describe_machine()
    return f"{machine.processor}, {machine.num_cores} cores"


def system_name() -> str:
    """The system and the architecture of the processor."""
    return f"{platform.system()} {platform.machine()}"


def measured_at(rows: Sequence[Row]) -> Row:
    """How many rows of a campaign were measured at which commit, and on which machine."""
    return {f"{fact}s": dict(Counter(row[fact] for row in rows)) for fact in ("commit", "machine")}


def versions(*names: str) -> dict[str, str]:
    """Versions of some distributions, and of Python."""
    return {name: platform.python_version() if name == "python" else version(name) for name in names}


def load() -> float:
    """Load of the machine over the last minute."""
    return round(os.getloadavg()[0], 1)


def render(document: Mapping[str, Any]) -> str:
    """JSON with a line for each row of a table, so that a change of one figure is a change of one line."""
    parts = (f" {json.dumps(name)}: {_render_part(part)}" for name, part in document.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _render_part(part: Any) -> str:
    if isinstance(part, list) and any(isinstance(row, dict) for row in part):
        return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in part) + "\n ]"
    return json.dumps(part, indent=1).replace("\n", "\n ")


def write_results(path: Path, document: Mapping[str, Any]) -> None:
    """Write the figures of an experiment, or keep the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(document))


class Rows:
    """Rows that take long to measure: those of an earlier run are read, and the file is written after each new one.

    Args:
        path: The file of figures.
        table: Name of the rows in its document.
        document: Makes the document of all rows.
    """

    def __init__(self, path: Path, table: str, document: Callable[[Sequence[Row]], Mapping[str, Any]]) -> None:
        self._path, self._document = path, document
        self.done: list[Row] = json.loads(path.read_text("utf-8"))[table] if path.exists() else []

    def add(self, row: Row) -> None:
        """Keep a row and show it."""
        self.done.append(row)
        print(time.strftime("%H:%M:%S"), json.dumps(row), flush=True)
        write_results(self._path, self._document(self.done))
