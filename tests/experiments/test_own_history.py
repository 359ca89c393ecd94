import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from experiments.own_history import EVERY, export, fill, product_commits, restore, steps
from mainstay.commands import history
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import RunKind
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.store.documents import run_to_json
from mainstay.store.history import kept_from_json


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A maintainer")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "maintainer@example.invalid")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    (tmp_path / "src").mkdir()
    for i in range(6):
        (tmp_path / ("README.md" if i == 3 else "src/a.py")).write_text(str(i))
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", f"change {i}"], check=True)
    return tmp_path


@pytest.fixture
def gate(sample_run):
    """Leaves a document for each step, but for the ones that are told to fail."""

    class Gate:
        def __init__(self, broken=(), num_pairs=5):
            self.broken = broken
            self.num_pairs = num_pairs
            self.steps = []

        def __call__(self, root, step, place):
            self.steps.append(step)
            if len(self.steps) in self.broken:
                return "it does not build"
            environments = tuple(
                Environment(side=side, python="3", packages={}, packages_digest="p", wheel_digest="w") for side in Side
            )
            finding = replace(
                sample_run.findings[0],
                method=Method.SEQUENTIAL,
                verdict=Verdict.PASS,
                seeds=tuple(range(self.num_pairs)),
                baseline_values=(0.9,) * self.num_pairs,
                candidate_values=(0.9,) * self.num_pairs,
                degradations=(0.0,) * self.num_pairs,
            )
            run = replace(
                sample_run,
                id=f"r{step.candidate[:8]}",
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                baseline=replace(sample_run.baseline, commit=step.baseline),
                candidate=replace(sample_run.candidate, commit=step.candidate),
                environments=environments,
                findings=(finding,),
            )
            place.write_text(run_to_json(run))
            return ""

    return Gate


def test_commits_of_the_product_make_a_chain_without_gaps(root, gate):
    measured = gate()

    assert fill(root, 60, seconds=600, remote=".", gate=measured) == (4, 0)
    assert [step.kind for step in measured.steps] == [RunKind.MAIN] * 4
    assert [step.baseline for step in measured.steps[1:]] == [step.candidate for step in measured.steps[:-1]]
    assert len(history.read(root, remote=".", environ={}).runs) == 4


def test_it_goes_on_where_it_stopped_and_tries_nothing_twice(root, gate):
    first, second = gate(broken={2}), gate()

    assert fill(root, 2, seconds=600, remote=".", gate=first) == (2, 0)
    assert fill(root, 60, seconds=600, remote=".", gate=second) == (2, 0)
    assert not {*first.steps} & {*second.steps}
    assert fill(root, 60, seconds=600, remote=".", gate=second) == (0, 0)
    assert len(history.read(root, remote=".", environ={}).runs) == 3


def test_a_gate_of_too_few_pairs_is_not_kept_and_made_again_the_next_time(root, gate):
    assert fill(root, 2, seconds=600, remote=".", gate=gate(num_pairs=4)) == (2, 0)
    assert not history.read(root, remote=".", environ={}).runs

    assert fill(root, 2, seconds=600, remote=".", gate=gate()) == (2, 0)
    assert len(history.read(root, remote=".", environ={}).runs) == 2


def test_it_stops_when_its_time_is_over(root, gate):
    assert fill(root, 60, seconds=0, remote=".", gate=gate()) == (0, 4)


def test_every_twentieth_commit_is_an_anchor():
    commits = [str(i) for i in range(2 * EVERY + 1)]

    anchors = [step for step in steps(commits) if step.kind is RunKind.ANCHOR]

    assert anchors == [("0", str(EVERY), RunKind.ANCHOR), ("0", str(2 * EVERY), RunKind.ANCHOR)]


def test_the_last_commits_come_oldest_first(root):
    subjects = subprocess.run(
        ["git", "-C", str(root), "log", "--no-walk=unsorted", "--format=%s", *product_commits(root, 3)],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip

    assert subjects == ["change 2", "change 4", "change 5"]


def test_what_is_kept_is_written_a_line_a_run_in_the_order_of_commits(root, gate, tmp_path):
    place = tmp_path / "history.jsonl"
    assert export(root, place, remote=".") == 0
    assert not place.exists()
    measured = gate()
    fill(root, 60, seconds=600, remote=".", gate=measured)

    assert export(root, place, remote=".") == 4
    runs = [kept_from_json(line, where="a line") for line in place.read_text().splitlines()]
    assert [run.candidate.commit for run in runs] == [step.candidate for step in measured.steps]


def test_a_fresh_clone_goes_on_where_another_one_stopped(root, gate, tmp_path):
    place, clone, rest = tmp_path / "history.jsonl", tmp_path / "clone", gate()
    fill(root, 2, seconds=600, remote=".", gate=gate())
    export(root, place, remote=".")
    subprocess.run(["git", "clone", "--quiet", "--single-branch", str(root), str(clone)], check=True)

    restore(clone, place, remote=".")
    restore(clone, place, remote=".")

    assert len(history.read(clone, remote=".", environ={}).runs) == 2
    assert fill(clone, 60, seconds=600, remote=".", gate=rest) == (2, 0)
    assert len(history.read(clone, remote=".", environ={}).runs) == 4


def test_what_was_withdrawn_in_this_clone_is_not_kept_again(root, gate, tmp_path):
    place = tmp_path / "history.jsonl"
    fill(root, 2, seconds=600, remote=".", gate=gate())
    export(root, place, remote=".")
    first = history.read(root, remote=".", environ={}).entries[0]
    history.withdraw(root, first.file, reason="another job ran", remote=".")

    restore(root, place, remote=".")

    kept = history.read(root, remote=".", environ={})
    assert (len(kept.runs), kept.num_withdrawn) == (1, 1)
