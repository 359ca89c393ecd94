"""Planted slowdowns of different shapes: what is planted, and what the gates come to; nothing is timed here."""

import math
from typing import Any

import numpy as np
import pytest

from experiments.planted_events import CASES, FIRST_LOOK, summarise


def gate(verdict, *degradations, planted=0.05, left="pass"):
    return {
        "case": "steady",
        "busy": 0,
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


def test_one_gate_has_no_error_of_its_size():
    (row,) = summarise([gate("fail", *[0.08] * FIRST_LOOK)])

    assert row["difference"] == pytest.approx(0.03)
    assert row["error_of_the_difference"] is None


@pytest.mark.parametrize(
    ("case", "num_slow"), [("steady", 36_000), ("rare, 1 ms", 450), ("rare, 15 ms", 33), ("rare, 50 ms", 10)]
)
def test_a_planted_slowdown_has_its_size_in_the_mean_whatever_its_shape(case, num_slow):
    worked = 0

    def tokenize(text, _):
        nonlocal worked
        worked += len(text)

    module: dict[str, Any] = {"tokenize": tokenize}
    exec(CASES[case].replace("from os import urandom as _urandom", "_urandom = bytes"), module)  # noqa: S102 - our own text

    work = []
    for _ in range(36_000):
        before = worked
        module["tokenize"]("t" * 100, {})
        work.append(worked - before)

    assert np.mean(work) == pytest.approx(105, rel=0.005)
    assert sum(each > 100 for each in work) == pytest.approx(num_slow, abs=1)
