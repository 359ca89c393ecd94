"""The planted differences: each can be planted, and its expected line stands where it is looked for."""

import json

import pytest

from experiments import first_difference
from experiments.first_difference import CASES, CONTROLS, PACKAGE, WANTED
from experiments.provenance import ROOT

IN_PACKAGE = [case for case in (*CASES, *CONTROLS) if not case.file.startswith("sklearn")]


@pytest.mark.parametrize("case", IN_PACKAGE, ids=lambda case: case.name)
def test_what_is_planted_stands_in_the_model_once_and_so_does_the_expected_line(case):
    assert (ROOT / PACKAGE / case.file).read_text("utf-8").count(case.old) == 1
    if case.line and case.operator:
        places = [(ROOT / PACKAGE / place).read_text("utf-8") + case.new for place in case.place.split("|")]
        assert any(case.line in text for text in places)


def test_there_are_twenty_cases_with_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) == 20


def test_the_published_results_are_of_these_cases():
    results = json.loads(first_difference.RESULTS.read_text("utf-8"))

    assert [row["name"] for row in results["planted"]] == [case.name for case in CASES]
    assert [row["expected"]["operator"] for row in results["planted"]] == [case.operator for case in CASES]
    assert results["num_right"] == sum(row["is_right"] for row in results["planted"]) >= WANTED
    assert results["num_controls_right"] == len(results["controls"]) == len(CONTROLS)
