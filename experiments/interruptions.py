"""End gates at drawn moments, each beside an undisturbed one, and look at what they leave.

Run from the root of the repository::

    python -m experiments.interruptions --moments 100

Two gates of one small repository start at once, with threads of numpy running in both. One of them gets SIGKILL, SIGTERM
or Ctrl-C at a moment drawn from the length of a gate. The other must come to its verdict. The one that was ended must
exit with 130, or with its verdict's status where it had come to that; what it began is resumed and must measure the same
values. In the end there may be no temporary folder and no worktree but the user's own.

Prints one line for each moment; the status is 1 where something was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import PYPROJECT, WORKLOAD, new_project

SEED = 20_261_128
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
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
        number: Which signal.
        moment: Seconds from the first line of the gate to the signal.
        status: Of the gate that was ended.
        faults: What was not as it should be.
    """

    number: signal.Signals
    moment: float
    status: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        found = "; ".join(self.faults) or "as it should be"
        return f"{self.number.name:<7} after {self.moment:5.2f} s: status {self.status}, {found}"


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
        return Outcome(number=number, moment=moment, status=status, faults=tuple(faults))

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
    """What a journal says was measured, or taken from the gate beside it; nothing may be measured twice."""
    lines = list(map(json.loads, journal.read_text(encoding="utf-8").splitlines()))
    reused = [trial for line in lines if line["type"] == "reused" for trial in line["trials"]]
    measured = [line["trial"] for line in lines if line["type"] == "trial"]
    keys = [(trial["pair"], trial["side"], trial["repetition"]) for trial in (*reused, *measured)]
    assert len(keys) == len(set(keys)), "a trial was measured twice"
    return {key: (trial["values"], trial["digest"]) for key, trial in zip(keys, (*reused, *measured), strict=True)}


def run(num_moments: int, *, seed: int = SEED) -> Iterator[Outcome]:
    """End gates at so many moments with each signal."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder).resolve())
        for _ in range(num_moments):
            for number in SIGNALS:
                yield campaign.end(number, rng.uniform(0, 1.1) * campaign.seconds)


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=100, help="for each signal")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    num_faults = 0
    for outcome in run(options.moments, seed=options.seed):
        print(outcome, flush=True)
        num_faults += bool(outcome.faults)
    print(f"{num_faults} of {options.moments * len(SIGNALS)} moments were not as they should be")
    return int(num_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
