import json
import subprocess

import pytest

from experiments import adoption


def gate(status, verdict):
    return {"exit_status": status, "verdict": verdict, "findings": {}}


PASS = gate(0, "pass")


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"init": PASS, "adopting_commit": PASS, "reworded_docstring": gate(3, "inconclusive")}, False),
        ({"init": PASS, "adopting_commit": PASS, "reworded_docstring": gate(1, "fail")}, True),
        ({"init": gate(4, None)}, True),
        (
            {"init": PASS, "adopting_commit": PASS, "reworded_docstring": PASS, "planted_slowdown": gate(1, "fail")},
            False,
        ),
    ],
    ids=["undecided", "false-alarm", "no-gate", "planted"],
)
def test_a_row_is_wrong_where_a_gate_did_not_run_or_raised_a_false_alarm(row, wrong):
    assert adoption.is_wrong(row) is wrong


def test_an_outcome_counts_the_verdicts():
    done = subprocess.CompletedProcess([], 1, "", "a\nb\n")
    run = {"verdict": "fail", "findings": [{"verdict": "fail"}, {"verdict": "pass"}, {"verdict": "pass"}]}

    assert adoption._outcome(done, run) == {"exit_status": 1, "verdict": "fail", "findings": {"fail": 1, "pass": 2}}
    assert adoption._outcome(done, None) == {"exit_status": 1, "verdict": None, "said": ["a", "b"]}


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    tried = []

    class Tried:
        def __init__(self, project, folder):
            self._project = project

        def run(self):
            tried.append(self._project.name)
            return {"name": self._project.name, "version": self._project.version, "init": PASS} | dict.fromkeys(
                ["adopting_commit", "reworded_docstring"], PASS
            )

    monkeypatch.setattr(adoption, "Trial", Tried)
    output = tmp_path / "adoption.json"

    assert adoption.main(["einops", "--output", str(output)]) == 0
    assert adoption.main(["--output", str(output)]) == 0

    names = [project.name for project in adoption.PROJECTS]
    assert sorted(tried) == sorted(names)
    assert len(json.loads(output.read_text())["rows"]) == len(names) == 12
