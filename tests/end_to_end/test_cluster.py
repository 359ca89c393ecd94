"""Gates over a real cluster of Dask on this machine: a scheduler and workers, as a user starts them."""

import json
import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.dask_cluster import DaskCluster, keepers

pytest.importorskip("distributed")

PLAN = "looks = [3, 6]\n"

WHERE = """
import os

import pytest

FAR = "NVIDIA_FAR"  # a variable that the workers of a host inherit


@pytest.mark.accuracy(metric="quality", margin=0.01)
def test_trained_far_away(trial):
    assert FAR in os.environ and os.environ["PREPARED"] == "here"
    trial.record(quality=0.5 + (trial.seed % 100) / 1000)


@pytest.mark.evaluation(metric="correct", margin=0.05, looks=(0.25, 1.0))
def test_scored_far_away(trial):
    assert FAR in os.environ and os.environ["PREPARED"] == "here"
    ids = [str(number) for number in range(2000)]
    chosen = trial.choose(ids)
    trial.record_examples("correct", [position % 3 > 0 for position in chosen], ids=[ids[each] for each in chosen])


@pytest.mark.deterministic(metric="tokens")
def test_counted_here(counts):
    assert FAR not in os.environ
    counts.record(tokens=3)


def test_timed_here(benchmark):
    assert FAR not in os.environ
    benchmark(sum, range(1000))
"""


@pytest.fixture
def cluster(tmp_path, project):
    folder = tmp_path / "cluster"
    folder.mkdir()
    with closing(DaskCluster(folder, project.environ)) as cluster:
        yield cluster


@pytest.fixture
def planned(project):
    """A change near its margin that takes several looks."""
    project.write("pyproject.toml", (project.root / "pyproject.toml").read_text() + PLAN)
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.0002")
    project.commit("planned")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")
    return project


def trials(project):
    """The trials of the only gate."""
    (journal,) = project.root.glob(".mainstay/runs/*/journal.jsonl")
    lines = map(json.loads, journal.read_text().splitlines())
    return [line["trial"] for line in lines if line["type"] == "trial"]


def await_first_trial(project, gate):
    """Wait until a gate has journalled a trial."""
    while not any('"trial":' in file.read_text() for file in project.root.glob(".mainstay/runs/*/journal.jsonl")):
        assert gate.poll() is None, gate.communicate()[0]
        time.sleep(0.02)


def test_a_cluster_that_loses_a_worker_finds_the_same_as_one_machine_bit_for_bit(planned, cluster):
    alone = planned.gate("--only", "accuracy")
    assert alone.finding["num_pairs"] == 6, "the first look already decides, so a lost pair would not be seen"
    shutil.rmtree(planned.root / ".mainstay")  # or its trials of the baseline would be reused
    hosts = Path(planned.environ["XDG_CACHE_HOME"]) / "mainstay" / "hosts"
    killed, _ = (cluster.add_worker("--nthreads", "1") for _ in range(2))
    gate = planned.start_gate("--only", "accuracy", "--cluster", cluster.address)
    await_first_trial(planned, gate)
    kept = keepers(hosts)
    killed.kill()
    output, _ = gate.communicate(timeout=600)

    assert (gate.returncode, planned.latest_run()["findings"]) == (alone.status, alone.run["findings"]), output
    keys = [(trial["pair"], trial["side"], trial["repetition"]) for trial in trials(planned)]
    assert len(keys) == len(set(keys)) == 12 or len(keys) == len(set(keys)) == 13, keys  # and a repetition, for later
    assert len(kept) == 1, "one process of the host builds for all of its workers"
    deadline = time.monotonic() + 300
    while list(hosts.iterdir()):  # what was built is removed when nobody uses it any more
        assert time.monotonic() < deadline, list(hosts.rglob("*"))[:9]
        time.sleep(0.1)


def test_accuracy_is_measured_far_away_and_all_else_here(project, cluster):
    project.write("benchmarks/test_where.py", WHERE)
    project.write(
        "pyproject.toml", (project.root / "pyproject.toml").read_text() + 'prepare = ["echo", "PREPARED=here"]\n'
    )
    project.commit("where")
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 3")
    cluster.add_worker("--nthreads", "2", NVIDIA_FAR="yes")

    result = project.gate("--cluster", cluster.address, "--pairs", "5", "benchmarks/test_where.py")

    assert {name.rpartition("::")[2]: finding for name, finding in result.verdicts.items()} == {
        "test_trained_far_away#quality": "pass",
        "test_scored_far_away#correct": "pass",
        "test_counted_here#tokens": "pass",
        "test_timed_here#call_time": "pass",
    }, result.stderr
    assert result.run["on_cluster"]


def test_what_a_cluster_cannot_do_is_told_before_anything_is_measured(project, cluster):
    nobody = project.gate("--cluster", "tcp://127.0.0.1:1")
    cluster.add_worker("--nthreads", "1", PATH="/usr/bin:/bin", XDG_CACHE_HOME="/proc/no-such-place")
    unbuilt = project.gate("--cluster", cluster.address)
    (project.root / "data").mkdir()
    project.write("data/points", "1")
    project.write(".gitignore", "data\n")
    project.write("pyproject.toml", (project.root / "pyproject.toml").read_text() + 'share = ["data"]\n')
    project.commit("shared")
    shared = project.gate("--cluster", cluster.address)

    assert (nobody.status, unbuilt.status, shared.status) == (4, 4, 4), (unbuilt.stderr, shared.stderr)
    assert "no scheduler answers there" in nobody.stderr
    assert "no-such-place" in unbuilt.stderr
    assert "a cluster cannot read the shared inputs: data" in shared.stderr
    assert not [line for line in project.root.glob(".mainstay/runs/*/journal.jsonl") if '"trial":' in line.read_text()]
