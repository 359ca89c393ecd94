"""The clean changes that are gated, and what their gates come to; nothing is gated here."""

import pytest

from experiments.clean_changes import CASES, Clean, summarise


def rows(case, *verdicts):
    return [
        {
            "case": case,
            "verdict": verdict,
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


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return Clean(tmp_path_factory.mktemp("clean") / "repository")


@pytest.mark.parametrize("name", CASES)
def test_the_change_of_a_case_is_one_edit_of_one_file(name, repository):
    case = CASES[name]

    repository.commit_case(case)

    assert repository.git("diff", "--name-only", "base", "change").split() == [case.edit[0]]
    settings = repository.git("show", "base:pyproject.toml")
    assert ("proof = false" in settings) is not case.has_proof
    assert ("margins" in settings) is (case.margin is not None)
