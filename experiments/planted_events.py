"""Gate slowdowns of 5 % in different shapes at a margin of 2 %, and of 10 % at 5 %: a gate must see each, whatever its estimator.

Run from the root of the repository, about a minute a gate; it continues where it stopped::

    python -m experiments.planted_events --gates 10 --load 0 2

A slowdown is planted into one function, which does the same work 20 times: one or two times more in every call, or saved up
for rare calls that each take about 1, 15 or 50 ms longer, or by a background thread of the library, which holds the
interpreter lock for about 2 ms, every 40 ms or after every 140 calls. Estimators that trim, or leave interrupted blocks out,
lose the rare ones. Both revisions have the same code but for a number, or for the thread, since other code in memory may
change the speed of a function by as much as the errors that are looked for. How much more work is done is counted, and how
large the slowdown comes out is measured apart by processor time: of ten pairs of fresh processes, which make ten calls each in
turns on one core, after each gate that had the machine to itself; or of the thread beside the calls of one process, after each
gate and under the same load, since the core on which a thread runs and the time for which calls have none decide what it costs.
Another workload is left as it is, and nothing is planted in the control.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from experiments.load import busy_processes, one_core
from experiments.provenance import RESULTS, Row, Rows, commit, machine_name, measured_at, versions
from experiments.selftest import VERDICTS, Repository
from mainstay.gates.policy import Design

SHARE, MARGIN = 0.05, 0.02
LARGE = "steady, 10 %"
LARGE_SHARE, LARGE_MARGIN = 0.1, 0.05
THREAD_BY_CLOCK, THREAD_BY_CALLS = "thread, by the clock", "thread, by the calls"
HARMED, LEFT = "test_tokenize", "test_augment"
FIXED_HASHES = {**os.environ, "PYTHONHASHSEED": "0"}  # as in the gate
CONFIRM_PAIRS, CONFIRM_SECONDS, CONFIRM_CALLS = 10, 0.8, 10
FIRST_LOOK = Design(num_gated=2).looks[0]

TIMES = 20
"""How often a call does the same work, so that one time more is 5 %."""

WORK_S = 14e-6
"""About the time of the work."""

THREAD_CALLS = 7
"""Number of calls that the thread beside makes in a row, about 2 ms."""

REPEATED = """

from os import urandom as _urandom


class _Repeated:
    def __init__(self, function, times):
        self.function, self.times = function, times
        self.begin(more=0, at_once=1)

    def begin(self, more, at_once):
        self.more, self.at_once = more, at_once
        self.due = int.from_bytes(_urandom(4), "big") % at_once  # each process begins elsewhere

    def __call__(self, text, merges):
        for _ in range(self.times):
            result = self.function(text, merges)
        self.due += self.more
        if self.due >= self.at_once:
            for _ in range(self.at_once):
                self.function(text, merges)
            self.due -= self.at_once
        return result


tokenize = _Repeated(tokenize, {times})
""".replace("{times}", str(TIMES))
"""What both revisions have."""

MORE = "tokenize.begin(more={more}, at_once={at_once})\n"
BY_THE_CLOCK = """
import threading
import time
from time import thread_time as _clock


def _work_beside(share):
    due = time.perf_counter()
    while True:
        end = _clock() + 0.002
        while _clock() < end:
            pass
        due += 0.002 / share
        time.sleep(max(0.0, due - time.perf_counter()))


class _Beside:
    def __init__(self, function):
        self.function, self.is_started = function, False

    def __call__(self, *args):
        if not self.is_started:
            threading.Thread(target=_work_beside, args=({share},), daemon=True).start()
            self.is_started = True
        return self.function(*args)


tokenize = _Beside(tokenize)
"""
BY_THE_CALLS = """
import threading
from os import urandom as _urandom


def _work_beside(function, arguments, calls, due):
    while True:
        due.acquire()
        for _ in range(calls):
            function(*arguments)


class _Beside:
    def __init__(self, function, calls, every):
        self.function, self.calls, self.every = function, calls, every
        self.num_made, self.due, self.thread = int.from_bytes(_urandom(4), "big") % every, threading.Semaphore(0), None

    def __call__(self, *arguments):
        if self.thread is None:
            work = (self.function, arguments, self.calls, self.due)
            self.thread = threading.Thread(target=_work_beside, args=work, daemon=True)
            self.thread.start()
        self.num_made += 1
        if self.num_made % self.every == 0:
            self.due.release()
        return self.function(*arguments)


tokenize = _Beside(tokenize, {calls}, {every})
"""
CASES: Mapping[str, str] = {
    "nothing": "# nothing is planted\n",
    LARGE: MORE.format(more=round(LARGE_SHARE * TIMES), at_once=round(LARGE_SHARE * TIMES)),
    "steady": MORE.format(more=round(SHARE * TIMES), at_once=round(SHARE * TIMES)),
    **{
        f"rare, {ms} ms": MORE.format(more=round(SHARE * TIMES), at_once=round(ms / 1000 / WORK_S))
        for ms in (1, 15, 50)
    },
    THREAD_BY_CLOCK: BY_THE_CLOCK.replace("{share}", str(SHARE)),
    THREAD_BY_CALLS: BY_THE_CALLS.format(calls=THREAD_CALLS, every=round(THREAD_CALLS / SHARE)),
}
"""What only the change has."""

WORKLOADS = '''"""What is harmed, and what is not."""

import numpy as np
import pytest
from subject import data, text


@pytest.mark.performance(margin={margin})
def {harmed}(benchmark):
    sample = "the rain in spain"
    benchmark(text.tokenize, sample, text.learn_merges(sample, 6))


@pytest.mark.performance(margin={margin})
def {left}(benchmark):
    images = np.random.default_rng(4).random((128, 14, 14), dtype=np.float32)
    benchmark(lambda: data.augment(images, np.random.default_rng(5)))
'''

ALONE = """
import importlib.util, json, sys, time
spec = importlib.util.spec_from_file_location("planted", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sample = "the rain in spain"
merges, tokenize = module.learn_merges(sample, 6), module.tokenize
"""
CONFIRM = """
def run(calls):
    due, start = tokenize.due, time.thread_time()
    for _ in range(calls):
        tokenize(sample, merges)
    spent = time.thread_time() - start
    return spent / calls, (tokenize.due - due) / tokenize.times / calls


run(1000)
for line in sys.stdin:
    print(json.dumps(run(int(line))), flush=True)
"""
"""Calls of the function of one revision, as many as it is told: the time of one, and the calls that the next event still owes."""
CONFIRM_BESIDE = """
end = time.perf_counter() + float(sys.argv[2])
spent = [-time.thread_time(), -time.process_time()]
while time.perf_counter() < end:
    tokenize(sample, merges)
spent = [spent[0] + time.thread_time(), spent[1] + time.process_time()]
print(json.dumps(spent[1] / spent[0] - 1))
"""
"""The thread beside calls without a pause: while it holds the interpreter, they wait."""
THREADS = {THREAD_BY_CLOCK, THREAD_BY_CALLS}

Estimate = tuple[float | None, float | None]
"""A value and its standard error, where they are known."""


class Planted(Repository):
    """The subject with the workloads of this experiment."""

    def commit_case(self, case: str) -> None:
        """Make the branches ``base`` and ``change``, which differ by what is planted."""
        self.git("checkout", "-q", "--force", "-B", "base", "main")
        margin = LARGE_MARGIN if case == LARGE else MARGIN
        workloads = WORKLOADS.format(harmed=HARMED, left=LEFT, margin=margin)
        (self.root / "performance" / "test_performance.py").write_text(workloads, encoding="utf-8")
        self._append("pyproject.toml", 'workloads = "performance"\nproof = false\n')
        self._append("src/subject/text.py", REPEATED)
        self.git("commit", "-q", "-a", "-m", "Gate two functions")
        self.git("checkout", "-q", "-B", "change")
        self._append("src/subject/text.py", CASES[case])
        self.git("commit", "-q", "-a", "-m", "Reword the library")

    def _append(self, path: str, text: str) -> None:
        with (self.root / path).open("a", encoding="utf-8") as stream:
            stream.write(text)


def confirm(repository: Planted, case: str) -> float:
    """How much slower the harmed function is, by processor time."""
    if case == "nothing":
        return 0.0
    with repository.both_trees() as trees:
        base, change = (tree / "src" / "subject" / "text.py" for tree in trees)
        if case in THREADS:
            command = [sys.executable, "-c", ALONE + CONFIRM_BESIDE, str(change), str(CONFIRM_PAIRS * CONFIRM_SECONDS)]
            done = subprocess.run(command, env=FIXED_HASHES, capture_output=True, text=True, check=True)
            return float(json.loads(done.stdout))
        return float(np.mean([confirm_in_turns(base, change) for _ in range(CONFIRM_PAIRS)]))


def confirm_in_turns(base: Path, change: Path) -> float:
    """How much slower the function is in one pair of fresh processes, which take turns on one core."""
    with ExitStack() as stack:
        stack.enter_context(one_core(wanted=hasattr(os, "sched_setaffinity")))
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", ALONE + CONFIRM, str(module)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=FIXED_HASHES,
                )
            )
            for module in (base, change)
        ]
        turns: list[list[tuple[float, float]]] = [[], []]
        end = time.monotonic() + CONFIRM_SECONDS
        while time.monotonic() < end:
            for index in (0, 1, 1, 0):
                asked, told = processes[index].stdin, processes[index].stdout
                assert asked
                assert told
                asked.write(f"{CONFIRM_CALLS}\n")
                asked.flush()
                turns[index].append(json.loads(told.readline()))
        (base_s, _), (change_s, owed) = (np.mean(each, axis=0) for each in turns)
        return float(change_s / base_s + owed - 1)


def run_gate(repository: Planted, case: str, busy: int) -> Row:
    """Plant, gate beside so many busy processes, confirm beside them if the size depends on them, otherwise if there are none."""
    repository.commit_case(case)
    with busy_processes(busy):
        gate = repository.gate()
        size = confirm(repository, case) if case in THREADS or not busy else None
    run = gate["run"]
    findings = {finding["metric"]["workload"].partition("::")[2]: finding for finding in run.get("findings", [])}
    kept = ("verdict", "num_pairs", "estimate", "standard_deviation", "degradations")
    return {
        "case": case,
        "busy": busy,
        "commit": commit(),
        "machine": machine_name(),
        "verdict": run.get("verdict", "error"),
        "seconds": round(gate["seconds"], 1),
        "load": run.get("max_load"),
        "planted": size,
        "harmed": {key: findings[HARMED][key] for key in kept} if HARMED in findings else None,
        "left": {key: findings[LEFT][key] for key in kept} if LEFT in findings else None,
        "trouble": "" if run else gate["stderr"],
    }


def summarise(gates: Sequence[Row]) -> list[Row]:
    """What the gates of each case came to at each load."""
    rows = []
    for case, busy in dict.fromkeys((gate["case"], gate["busy"]) for gate in gates):
        of_case = [gate for gate in gates if gate["case"] == case]
        of_kind = [gate for gate in of_case if gate["busy"] == busy]
        confirmed = of_kind if case in THREADS else of_case
        rows.append(summarise_kind(of_kind, [gate["planted"] for gate in confirmed if gate["planted"] is not None]))
    return rows


def summarise_kind(gates: Sequence[Row], sizes: Sequence[float]) -> Row:
    """Verdicts, and the size of the slowdown as it was confirmed and as the pairs up to the first look show it.

    Every gate has those pairs. The final estimates of gates that stop once they are sure are too large on average.

    Args:
        gates: Gates of one case at one load.
        sizes: Sizes that were confirmed for them.
    """
    verdicts = Counter(gate["harmed"]["verdict"] for gate in gates if gate["harmed"])
    whole = [gate for gate in gates if gate["harmed"] and len(gate["harmed"]["degradations"]) >= FIRST_LOOK]
    seen = [math.expm1(np.mean(gate["harmed"]["degradations"][:FIRST_LOOK])) for gate in whole]
    noise = [gate["harmed"]["standard_deviation"] for gate in gates if gate["harmed"]]
    estimated, confirmed, by_count = mean_with_error(seen), mean_with_error(sizes), size_by_count(gates[0]["case"])
    return {
        "case": gates[0]["case"],
        "busy": gates[0]["busy"],
        "gates": len(gates),
        **{verdict: verdicts[verdict] for verdict in VERDICTS},
        "false_fails": sum(bool(gate["left"]) and gate["left"]["verdict"] == "fail" for gate in gates),
        "planted": round(confirmed[0], 4) if confirmed[0] is not None else None,
        "by_count": by_count,
        "estimated": round(estimated[0], 4) + 0.0 if estimated[0] is not None else None,
        **named_difference("difference", estimated, confirmed),
        **named_difference("difference_from_count", estimated, (by_count, 0.0)),
        "sd_of_a_pair": round(float(np.sqrt(np.mean(np.square(noise)))), 4) if noise else None,
        "pairs": round(float(np.mean([gate["harmed"]["num_pairs"] for gate in gates if gate["harmed"]] or [0])), 1),
        "seconds": round(float(np.mean([gate["seconds"] for gate in gates])), 1),
    }


def size_by_count(case: str) -> float | None:
    """How much more work a call does on average; ``None`` for threads, whose work costs more or less than that of calls."""
    if case in THREADS:
        return None
    return {"nothing": 0.0, LARGE: LARGE_SHARE}.get(case, SHARE)


def mean_with_error(values: Sequence[float]) -> Estimate:
    """Mean with its standard error."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return (float(np.mean(values)) if values else None), error


def named_difference(name: str, seen: Estimate, size: Estimate) -> Row:
    """Difference with its standard error."""
    (seen_mean, seen_error), (size_mean, size_error) = seen, size
    difference = error = None
    if seen_mean is not None and size_mean is not None:
        difference = round(seen_mean - size_mean, 4) + 0.0
        if seen_error is not None and size_error is not None:
            error = round(math.hypot(seen_error, size_error), 4)
    return {name: difference, f"error_of_the_{name}": error}


def main(argv: Sequence[str] | None = None) -> int:
    """Gate what is missing and write what all gates came to; 1 where a slowdown passed or a control failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=3, help=f"of each case at each load; twice as many of {LARGE!r}")
    parser.add_argument("--load", type=int, nargs="+", default=[0, 2], help="busy processes beside the gates")
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES], metavar="CASE")
    parser.add_argument("--output", type=Path, default=RESULTS / "planted_events.json")
    options = parser.parse_args(argv)

    def document(gates: Sequence[Row]) -> Row:
        return {
            "provenance": {
                "command": f"python -m experiments.planted_events --gates {options.gates}",
                **measured_at(gates),
                "versions": versions("python", "numpy"),
                "margins": {"of the slowdown of 10 %": LARGE_MARGIN, "of the others": MARGIN},
            },
            "cases": summarise(gates),
            "gates": gates,
        }

    gates = Rows(options.output, "gates", document)
    with tempfile.TemporaryDirectory() as folder:
        repository = Planted(Path(folder) / "repository")
        for number in range(2 * options.gates):
            for case in options.only if number < options.gates else {LARGE}.intersection(options.only):
                for busy in options.load:
                    if sum((gate["case"], gate["busy"]) == (case, busy) for gate in gates.done) <= number:
                        gates.add(run_gate(repository, case, busy))
    rows = summarise(gates.done)
    for row in rows:
        print(json.dumps(row))
    return int(any(row["false_fails"] or row["fail" if row["case"] == "nothing" else "pass"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
