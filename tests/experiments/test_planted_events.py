"""Planted slowdowns of different shapes: what is planted, how its size is confirmed, and what the gates come to."""

import math
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest

from experiments import planted_events
from experiments.planted_events import (
    CASES,
    FIRST_LOOK,
    LARGE,
    REPEATED,
    THREAD_BY_CALLS,
    TIMES,
    confirm_in_turns,
    size_by_count,
    summarise,
)


def gate(verdict, *degradations, case="steady", planted=0.05, left="pass", busy=0):
    return {
        "case": case,
        "busy": busy,
        "planted": planted,
        "harmed": {
            "verdict": verdict,
            "num_pairs": len(degradations),
            "standard_deviation": 0.02,
            "degradations": [math.log1p(each) for each in degradations],
        },
        "left": {"verdict": left},
        "seconds": 60.0,
    }


def test_size_is_taken_from_the_pairs_that_every_gate_has():
    stopped = gate("fail", *[0.08] * FIRST_LOOK)
    went_on = gate("fail", *[0.04] * FIRST_LOOK, *[0.5] * 3)
    broken = gate("pass", 0.5, left="fail")

    (row,) = summarise([stopped, went_on, broken])

    assert (row["gates"], row["fail"], row["pass"], row["false_fails"]) == (3, 2, 1, 1)
    assert (row["planted"], row["estimated"]) == (0.05, 0.06)
    assert (row["difference"], row["error_of_the_difference"]) == (0.01, 0.02)
    assert (row["by_count"], row["difference_from_count"]) == (0.05, 0.01)


def test_sizes_were_confirmed_where_nothing_else_was_busy():
    quiet = [gate("fail", *[size] * FIRST_LOOK, planted=size) for size in (0.04, 0.06)]
    busy = [gate("fail", *[size] * FIRST_LOOK, planted=None, busy=2) for size in (0.07, 0.07)]

    at_rest, beside_two = summarise([*quiet, *busy])

    assert (at_rest["planted"], at_rest["difference"]) == (0.05, 0.0)
    assert (beside_two["planted"], beside_two["difference"]) == (0.05, 0.02)
    assert (at_rest["error_of_the_difference"], beside_two["error_of_the_difference"]) == (0.0141, 0.01)


def test_what_a_thread_costs_was_confirmed_at_each_load():
    quiet, busy = (
        gate("fail", *[size] * FIRST_LOOK, case=THREAD_BY_CALLS, planted=size, busy=load)
        for size, load in ((0.06, 0), (0.05, 2))
    )

    at_rest, beside_two = summarise([quiet, busy])

    assert (at_rest["planted"], at_rest["difference"]) == (0.06, 0.0)
    assert (at_rest["by_count"], at_rest["difference_from_count"]) == (None, None)
    assert at_rest["error_of_the_difference_from_count"] is None
    assert (beside_two["planted"], beside_two["difference"]) == (0.05, 0.0)


def test_a_size_that_was_not_confirmed_is_not_compared():
    (row,) = summarise([gate("fail", *[0.08] * FIRST_LOOK, planted=None, busy=2)])

    assert (row["planted"], row["difference"], row["error_of_the_difference"]) == (None, None, None)


def test_one_gate_has_no_error_of_its_size():
    (row,) = summarise([gate("fail", *[0.08] * FIRST_LOOK)])

    assert row["difference"] == pytest.approx(0.03)
    assert row["error_of_the_difference"] is None


@pytest.mark.parametrize(
    ("case", "num_slow", "share"),
    [
        ("steady", 36_000, 0.05),
        (LARGE, 36_000, 0.1),
        ("rare, 1 ms", 507, 0.05),
        ("rare, 15 ms", 33, 0.05),
        ("rare, 50 ms", 10, 0.05),
    ],
)
def test_a_planted_slowdown_has_its_size_in_the_mean_whatever_its_shape(case, num_slow, share):
    worked = 0

    def tokenize(text, _):
        nonlocal worked
        worked += len(text)

    module: dict[str, Any] = {"tokenize": tokenize}
    planted = REPEATED + CASES[case]
    exec(planted.replace("from os import urandom as _urandom", "_urandom = bytes"), module)  # noqa: S102 - our own text

    work = []
    for _ in range(36_000):
        before = worked
        module["tokenize"]("t" * 100, {})
        work.append(worked - before)

    assert np.mean(work) == pytest.approx(100 * TIMES * (1 + share), rel=0.005)
    assert size_by_count(case) == share
    assert sum(each > 100 * TIMES for each in work) == pytest.approx(num_slow, abs=1)


def test_the_thread_beside_does_its_share_of_the_work_whatever_the_time():
    here, worked, done = threading.current_thread(), Counter[bool](), threading.Semaphore(0)

    def tokenize(text, _):
        is_here = threading.current_thread() is here
        worked[is_here] += len(text)
        if not is_here:
            done.release()

    module: dict[str, Any] = {"tokenize": tokenize}
    exec(REPEATED + CASES[THREAD_BY_CALLS], module)  # noqa: S102 - our own text
    for _ in range(1400):
        module["tokenize"]("t" * 100, {})

    for _ in range(70 * TIMES):
        assert done.acquire(timeout=60)
    assert worked == {True: 140_000 * TIMES, False: 7_000 * TIMES}


FUNCTION = """
def learn_merges(text, num): ...

class _Function:
    due, times, owes = 0, 20, 0

    def __call__(self, text, merges):
        self.due += self.owes
        self.work()

    def work(self):
        sum(range(1000))

tokenize = _Function()
"""
MORE = """
class _More(_Function):
    def work(self):
        for _ in range(4):
            sum(range(1000))

tokenize = _More()
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(MORE, 3, id="more-work-in-each-call"),
        pytest.param("tokenize.owes = 60\n", 3, id="work-that-a-later-call-will-do"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_the_size_is_confirmed_by_the_processor_time_of_fresh_processes(tmp_path, monkeypatch, change, expected):
    monkeypatch.setattr(planted_events, "CONFIRM_SECONDS", 0.2)
    base, changed = tmp_path / "base.py", tmp_path / "change.py"
    base.write_text(FUNCTION)
    changed.write_text(FUNCTION + change)

    assert confirm_in_turns(base, changed) == pytest.approx(expected, abs=1)
