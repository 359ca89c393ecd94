"""Gates of other people's suites: the slowdown that is planted, and what the gates come to."""

import re
import runpy

import pytest

from experiments import public_suites
from experiments.public_suites import CASES, SLOWER, SUITES, summarise


def test_the_slower_function_does_the_same(tmp_path):
    module = tmp_path / "module.py"
    text = "class A:\n    def add(self, a, *, b):\n        return self.add(a - 1, b=b + 1) if a else b\n"
    module.write_text(text + SLOWER.format(name="A.add", factor=1.2))

    slower = runpy.run_path(str(module))["A"]

    assert slower().add(1, b=2) == 3
    assert slower.add.__name__ == "add"


@pytest.mark.parametrize(
    ("suite", "name", "is_slowed"),
    [
        ("pluggy", "test_call_hook", True),
        ("pluggy", "test_varnames", False),
        ("cattrs", "test_structure_homo_tuple", True),
        ("cattrs", "test_unstructure_homo_tuple", False),
        ("yarl", "test_url_joinpath_encoded_long", True),
        ("yarl", "test_url_joinpath_with_truediv", False),
    ],
)
def test_benchmarks_that_call_the_slower_function_are_known_by_name(suite, name, is_slowed):
    (pattern,) = (each.slowed for each in SUITES if each.name == suite)

    assert bool(re.search(pattern, name)) == is_slowed


def gate(**changes):
    return {
        "suite": "pluggy",
        "version": "1",
        "case": CASES[0],
        "benchmarks": 4,
        "verdict": "pass",
        "seconds": 100.0,
        "findings": {"pass": 4},
        "wrongly_failed": [],
    } | changes


def test_verdicts_and_times_are_counted_by_suite_and_case():
    late = gate(seconds=400.0, verdict="inconclusive", findings={"pass": 1, "inconclusive": 3})
    wrong = gate(case=CASES[1], verdict="fail", findings={"pass": 3, "fail": 1}, wrongly_failed=["test_a"])

    first, second = summarise([gate(), late, wrong])

    assert (first["gates"], first["pass"], first["inconclusive"], first["within_limit"]) == (2, 1, 1, 1)
    assert (first["seconds"], first["inconclusive_benchmarks"]) == (250.0, 1.5)
    assert (second["case"], second["fail"], second["wrongly_failed"]) == (CASES[1], 1, 1)


@pytest.mark.parametrize(
    ("slowed", "status"),
    [
        pytest.param({"verdict": "fail"}, 0, id="seen"),
        pytest.param({"verdict": "pass"}, 1, id="passed"),
        pytest.param({"verdict": "fail", "wrongly_failed": ["test_a"]}, 1, id="another-named"),
    ],
)
def test_gates_that_are_there_are_not_repeated_and_what_is_wrong_ends_with_1(tmp_path, monkeypatch, slowed, status):
    asked = []

    class Project:
        def __init__(self, suite, folder):
            self.facts = {"suite": suite.name, "version": suite.version, "commit": "c", "machine": "m"}

        def gate(self, case):
            asked.append(case)
            return gate(case=case, **self.facts, **(slowed if case == CASES[2] else {}))

    monkeypatch.setattr(public_suites, "Project", Project)
    arguments = ["--only", "pluggy", "--output", str(tmp_path / "rows.json"), "--gates"]

    assert public_suites.main([*arguments, "1"]) == status
    assert asked == [*CASES]
    assert public_suites.main([*arguments, "2"]) == status
    assert asked == [*CASES, *CASES]
