"""End gates at drawn moments, each beside an undisturbed one, and look at what they leave.

Run from the root of the repository; it continues where it stopped::

    python -m experiments.interruptions

Two gates of one small repository start at once, with threads of numpy running in both. One of them gets SIGKILL, SIGTERM
or Ctrl-C at a moment drawn from the length of a gate. The other must come to its verdict. The one that was ended must
exit with 130, or with its verdict's status where it had come to that; what it began is resumed and must measure the same
values. In the end there may be no temporary folder and no worktree but the user's own.

Prints one line for each moment; the status is 1 where something was not as it should be. The figures are published once
all moments that are planned have been tried.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.provenance import (
    RESULTS,
    ROOT,
    Row,
    Rows,
    commit,
    load,
    machine_name,
    measured_at,
    versions,
    write_results,
)
from mainstay.store.journal import Journal
from tests.end_to_end.conftest import PYPROJECT, WORKLOAD, new_project

SEED = 20_261_129
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NUM_MOMENTS = 100
"""Moments for each signal, decided beforehand."""

STATE = ROOT / ".mainstay" / "interruptions.json"
GATE_SECONDS = 900.0
"""No gate takes longer, however busy the machine is."""

WITH_THREADS = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "3"
import numpy as np
numbers = np.ones((500, 500))
numbers @ numbers
if os.path.isdir("/proc/self/task"):
    assert len(os.listdir("/proc/self/task")) > 1, "numpy runs no threads here"
from mainstay.cli import entry_point
sys.argv = ["mainstay", "gate", *sys.argv[1:]]
entry_point()
"""

Trials = dict[tuple[int, str, int], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one moment gave.

    Attributes:
        moment: Seconds from the first line of the gate to the signal.
        status: Of the gate that was ended.
        faults: What was not as it should be.
    """

    moment: float
    status: int
    faults: tuple[str, ...]


class Campaign:
    """Gates of one repository.

    Args:
        folder: Where all of it lies; the environments are built there once.
    """

    def __init__(self, folder: Path) -> None:
        self._temporary = folder / "temporary"
        self._temporary.mkdir()
        self._project = project = new_project(folder / "repository", folder / "cache")
        project.environ["TMPDIR"] = str(self._temporary)
        project.write("pyproject.toml", f"{PYPROJECT}looks = [3, 6]\n")
        slow = "    import time; time.sleep(0.3)\n    weights = model.fit(trial.seed)"
        workload = WORKLOAD.replace("    weights = model.fit(trial.seed)", slow).replace("margin=0.01", "margin=0.0002")
        project.write("benchmarks/test_accuracy.py", workload)
        project.commit("slow, and near its margin")
        project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")
        self._finish(self._start())  # builds the environments
        began = time.monotonic()
        self._status, _ = self._finish(self._start("--fresh"))
        self.seconds = time.monotonic() - began
        self._expected = self._measured_by_a_whole_gate()

    def _measured_by_a_whole_gate(self) -> Trials:
        shutil.rmtree(self._project.root / ".mainstay")
        self._finish(self._start())
        (journal,) = self._journals()
        return trials(journal)

    def end(self, number: signal.Signals, moment: float) -> Outcome:
        """End one of two gates, then resume it."""
        shutil.rmtree(self._project.root / ".mainstay")
        ended, beside = self._start(), self._start()
        assert ended.stdout is not None
        first = ended.stdout.readline()
        time.sleep(moment)
        ended.send_signal(number)
        status, output = self._finish(ended)
        of_the_other, told = self._finish(beside)
        faults = []
        allowed = {self._status, -number if number == signal.SIGKILL else 130}
        if status not in allowed:
            faults.append(f"status {status}: {first}{output}")
        if of_the_other != self._status:
            faults.append(f"the other gate ended with {of_the_other}: {told}")
        if number != signal.SIGKILL:
            faults += self._left_behind()
        faults += self._resume()
        faults += self._left_behind()
        return Outcome(moment=moment, status=status, faults=tuple(faults))

    def _resume(self) -> Iterator[str]:
        """Complete what was ended; the first gate after a killed one also removes what that left."""
        unfinished = [path for path in self._journals() if not path.with_name("run.json").exists()]
        status, output = self._finish(self._start(*(["--resume"] if unfinished else [])))
        if status != self._status:
            yield f"resumed to status {status}: {output}"
        for journal in self._journals():
            if journal.with_name("run.json").exists() and trials(journal) != self._expected:
                yield f"{journal.parent.name} measured other values"

    def _left_behind(self) -> Iterator[str]:
        names = sorted(path.name for path in self._temporary.iterdir())
        if names:
            yield f"left {', '.join(names)}"
        listed = self._project.git("worktree", "list").splitlines()
        if len(listed) > 1:
            yield f"left the worktrees {', '.join(listed[1:])}"

    def _journals(self) -> list[Path]:
        return sorted((self._project.root / ".mainstay" / "runs").glob("*/journal.jsonl"))

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WITH_THREADS, *arguments],
            cwd=self._project.root,
            env=self._project.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        output, _ = process.communicate(timeout=GATE_SECONDS)
        return process.returncode, output


def trials(journal: Path) -> Trials:
    """What a journal counts as measured, or taken from the gate beside it; nothing may be measured twice.

    Where workers are not confined, what a gate had measured when it was killed does not count.
    """
    lines = Journal(journal).standing()
    reused = [trial for line in lines if line["type"] == "reused" for trial in line["trials"]]
    measured = [line["trial"] for line in lines if line["type"] == "trial"]
    keys = [(trial["pair"], trial["side"], trial["repetition"]) for trial in (*reused, *measured)]
    assert len(keys) == len(set(keys)), "a trial was measured twice"
    return {key: (trial["values"], trial["digest"]) for key, trial in zip(keys, (*reused, *measured), strict=True)}


def draw_moment(number: signal.Signals, index: int, *, seed: int = SEED) -> float:
    """Draw the moment of a signal as a share of a gate's duration; one in eleven lies beyond the gate's usual end."""
    return random.Random(f"{seed} {number.name} {index}").uniform(0, 1.1)


def run(num_moments: int, done: Sequence[tuple[str, int]] = (), *, seed: int = SEED) -> Iterator[Row]:
    """End gates at the moments that are missing, each signal in turn.

    Args:
        num_moments: Moments for each signal.
        done: Signals and indices of the moments that were tried before.
        seed: Seed of the moments.
    """
    missing = [
        (index, number) for index in range(num_moments) for number in SIGNALS if (number.name, index) not in done
    ]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder).resolve())
        for index, number in missing:
            share = draw_moment(number, index, seed=seed)
            outcome = campaign.end(number, share * campaign.seconds)
            yield {
                "signal": number.name,
                "index": index,
                "share": round(share, 3),
                "moment_s": round(outcome.moment, 2),
                "status": outcome.status,
                "faults": list(outcome.faults),
                "load": load(),
                "commit": commit(),
                "machine": machine_name(),
            }


def document(rows: Sequence[Row]) -> Row:
    """Everything, as the documentation shows it."""
    return {
        "provenance": {
            "command": "python -m experiments.interruptions",
            **measured_at(rows),
            "versions": versions("python", "mainstay", "numpy", "uv"),
        },
        "seed": SEED,
        "moments": len(rows),
        "planned": NUM_MOMENTS * len(SIGNALS),
        "with_faults": sum(bool(row["faults"]) for row in rows),
        "signals": [summarise(number, [row for row in rows if row["signal"] == number.name]) for number in SIGNALS],
        "rows": rows,
    }


def summarise(number: signal.Signals, rows: Sequence[Row]) -> Row:
    """What the moments of one signal came to."""
    statuses = Counter(row["status"] for row in rows)
    ended = statuses.pop(-number, 0) + statuses.pop(130, 0)
    return {
        "signal": number.name,
        "moments": len(rows),
        "with_faults": sum(bool(row["faults"]) for row in rows),
        "ended_by_it": ended,
        "came_to_its_verdict": statuses.total(),
        "load_mean": round(sum(row["load"] for row in rows) / len(rows), 1) if rows else None,
    }


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=NUM_MOMENTS, help="for each signal; default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS / "interruptions.json")
    options = parser.parse_args()
    rows = Rows(STATE, "rows", document)
    for row in run(options.moments, [(row["signal"], row["index"]) for row in rows.done]):
        rows.add(row)
    if len(rows.done) >= NUM_MOMENTS * len(SIGNALS):
        write_results(options.output, document(rows.done))
    num_faults = sum(bool(row["faults"]) for row in rows.done)
    print(f"{num_faults} of {len(rows.done)} moments were not as they should be")
    return int(num_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
