"""What is made of the times of a gate; nothing is timed here."""

import importlib
import subprocess
import tomllib

import pytest


@pytest.fixture(scope="module")
def gate_time():
    return importlib.import_module("experiments.gate_time")


@pytest.fixture
def run():
    return {
        "verdict": "pass",
        "phases_s": {"environments": 3.0, "measuring": 40.0},
        "plan": {"jobs": 2},
        "findings": [
            {"num_pairs": 8, "metric": {"workload": "step", "name": "time", "kind": "performance"}},
            {"num_pairs": 12, "metric": {"workload": "loading", "name": "time", "kind": "performance"}},
            {"num_pairs": 5, "metric": {"workload": "memory", "name": "peak_memory", "kind": "performance"}},
            {"num_pairs": 1, "metric": {"workload": "size", "name": "flops", "kind": "deterministic"}},
            {"num_pairs": 1, "metric": {"workload": "size", "name": "bytes", "kind": "deterministic"}},
        ],
        "workloads": [{"seconds": 60.0, "context": {"dataset": "mnist"}}],
    }


def test_trainings_run_two_at_once(gate_time, run):
    row = gate_time.row_of(gate_time.Timed("words", "docstring", ("--only", "accuracy")), run, 45.0, 1.0)

    assert (row["pairs"], row["data"]) == (12, "mnist")
    assert (row["in_workloads_s"], row["overhead_s"], row["start_and_report_s"]) == (30.0, 15.0, 2.0)
    assert (row["fresh_starts"], row["overhead_but_for_them_s"]) == (0, 15.0)


def test_what_is_timed_runs_alone(gate_time, run):
    row = gate_time.row_of(gate_time.Timed("words", "docstring", ("--only", "performance")), run, 65.0, 1.0)

    assert (row["in_workloads_s"], row["overhead_s"]) == (60.0, 5.0)


@pytest.mark.parametrize(("preload", "fresh_starts"), [((), 12 + 5 + 1), (("torch",), 5)])
def test_fresh_interpreters_are_told_apart(gate_time, run, preload, fresh_starts):
    timed = gate_time.Timed("words", "docstring", ("--only", "performance"), preload=preload, at_most=15)

    row = gate_time.row_of(timed, run, 80.0, 0.5)

    assert row["fresh_starts"] == fresh_starts
    assert row["overhead_but_for_them_s"] == 20.0 - fresh_starts / 2
    assert row["at_most_s"] == 15


def test_every_gate_plants_a_known_change(gate_time):
    known = {change["name"] for change in gate_time.load_changes()}

    assert {timed.change for timed in gate_time.GATES} <= known


def test_what_is_preloaded_is_committed_and_followed_by_a_gate_that_is_not_counted(gate_time, tmp_path, monkeypatch):
    gated = []
    monkeypatch.setattr(gate_time.Clone, "gate", lambda self, timed: gated.append(timed))
    clone = gate_time.Clone(tmp_path / "clone")
    settings = tmp_path / "clone" / "pyproject.toml"

    def preload():
        return tomllib.loads(settings.read_text("utf-8"))["tool"]["mainstay"]["preload"]

    for preloaded in ((), ("torch",), ("torch",), ("json", "torch")):
        clone.prepare(gate_time.Timed("words", "docstring", (), preload=preloaded))

        assert preload() == [*preloaded]
        assert not subprocess.check_output(["git", "-C", str(clone.root), "status", "--porcelain"])

    assert gated == [gate_time.GATES[0]] * 3


def test_the_judgement_is_timed(gate_time):
    assert gate_time.time_of_judgement()["milliseconds"] > 0
