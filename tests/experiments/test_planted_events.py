"""Planted slowdowns of different shapes: what the gates come to."""

import math

import pytest

from experiments.planted_events import FIRST_LOOK, summarise


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
