"""The clean changes that are gated, and what their gates come to; nothing is gated here."""

import json

import pytest

from experiments.clean_changes import CASES, Clean, summarise
from experiments.selftest import SUBJECT
from mainstay.runner.rewording import compare_modules


def rows(case, *verdicts):
    return [
        {
            "case": case,
            "verdict": verdict,
            "commit": "c0ffee",
            "machine": "a machine",
            "seconds": 10.0,
            "load": 2.0,
            "pairs": 5,
            "metrics": {"test_step#time": verdict},
        }
        for verdict in verdicts
    ]


def test_only_cases_whose_planned_gates_are_there_are_results():
    planned = CASES["a comment"].gates
    unfinished = rows("a docstring", *["pass"] * (CASES["a docstring"].gates - 1))
    finished = rows("a comment", *["pass"] * (planned - 1), "inconclusive")

    (row,) = summarise(unfinished + finished)

    assert (row["case"], row["gates"], row["pass"], row["inconclusive"]) == ("a comment", planned, planned - 1, 1)
    assert row["undecided"] == {"test_step#time": 1}


def test_the_function_that_is_not_executed_is_all_that_one_case_edits():
    name, old, new = CASES["the body of a function that is not executed"].edit
    source = (SUBJECT / name).read_bytes()

    found = compare_modules(source, source.replace(old.encode(), new.encode()))

    assert found is not None
    assert found == (frozenset({"iter_batches"}), frozenset(), "")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return Clean(tmp_path_factory.mktemp("clean") / "repository")


@pytest.mark.parametrize("name", CASES)
def test_the_change_of_a_case_is_one_edit_of_one_file(name, repository):
    case = CASES[name]

    repository.commit_case(case)

    assert repository.git("diff", "--name-only", "base", "change").split() == [case.edit[0]]
    settings = repository.git("show", "base:pyproject.toml")
    assert f"proof = {json.dumps(case.proof or False)}\n" in settings
    assert ("margins" in settings) is (case.margin is not None)
