"""A candidate whose worker misbehaves is an error of the candidate alone, in time, and ends nobody else's gate."""

import json
import sys
import time

import psutil
import pytest

HEALTHY = """
import pytest


@pytest.mark.accuracy(metric="healthy", margin=0.01)
def test_healthy(trial):
    trial.record(healthy=0.9)
    trial.record_digest({"seed": trial.seed})
"""

OF_THE_WORKER = "import json, os, sys\nEVENTS = json.loads(sys.argv[1])['events']\n"


@pytest.fixture
def hostile(project):
    """Let the candidate's training do something else first; beside it stands a workload that trains nothing."""

    def hostile(statement):
        project.write("benchmarks/test_healthy.py", HEALTHY)
        project.commit("a second workload")
        project.edit(
            "src/subject/model.py",
            "    rng = random.Random(seed)\n",
            f"    {statement}\n    rng = random.Random(seed)\n",
        )
        project.edit("src/subject/model.py", "import math\n", f"{OF_THE_WORKER}import math\n")

    return hostile


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        pytest.param(
            "os.write(EVENTS, b'\\xff no JSON\\n')", "broke its protocol", id="no-json", marks=pytest.mark.slow
        ),
        pytest.param(
            """os.write(EVENTS, json.dumps({"event": "finished", "outcome": "completed", "cause": "", "detail": [],"""
            """ "duration_s": 1, "peak_memory_bytes": 1, "threads": [], "values": {"top1_accuracy": 0.8}})"""
            """.encode() + b"\\n")""",
            "out of turn",
            id="forged-end",
            marks=pytest.mark.slow,
        ),
        pytest.param("os.kill(os.getpid(), 40)", "killed by signal 40", id="nameless-signal", marks=pytest.mark.slow),
    ],
)
def test_a_broken_protocol_is_an_error_of_the_candidate_alone(project, hostile, statement, cause):
    hostile(statement)

    result = project.gate("--seconds", "600")

    assert (result.status, result.run["verdict"]) == (1, "error")
    assert result.verdicts == {
        "benchmarks/test_accuracy.py::test_clouds#top1_accuracy": "error",
        "benchmarks/test_healthy.py::test_healthy#healthy": "pass",
    }
    (broken,) = [finding for finding in result.run["findings"] if finding["verdict"] == "error"]
    assert (broken["blame"], cause in broken["reason"]) == ("candidate", True)
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_an_import_that_never_ends_is_an_error_of_the_candidate_as_soon_as_that_is_known(project):
    project.edit(
        "src/subject/evaluate.py",
        '"""Accuracy of predictions."""\n',
        "import time\n\nwhile True:\n    time.sleep(0.1)\n",
    )
    project.write("benchmarks/test_healthy.py", HEALTHY)
    start = time.monotonic()

    result = project.gate("--seconds", "60")

    assert (result.status, result.run["verdict"]) == (1, "error")
    assert result.verdicts["benchmarks/test_accuracy.py::test_clouds#top1_accuracy"] == "error"
    reason = next(f["reason"] for f in result.run["findings"] if f["verdict"] == "error")
    assert "the worker hung: no answer within 30 s" in reason
    assert "while it collected benchmarks/test_accuracy.py" in reason
    assert time.monotonic() - start < 300


@pytest.mark.slow
def test_the_budget_ends_a_trial_that_would_take_longer(project):
    project.edit(
        "src/subject/model.py",
        "    rng = random.Random(seed)\n",
        "    import time\n    time.sleep(3600)\n    rng = random.Random(seed)\n",
    )
    start = time.monotonic()

    result = project.gate("--seconds", "15")

    assert (result.status, result.finding["verdict"]) == (3, "inconclusive")
    assert any("under way when the time was used up" in note for note in result.run["notes"])
    assert time.monotonic() - start < 300


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_a_daemon_of_a_worker_that_crashed_does_not_outlive_the_gate(project, tmp_path_factory):
    place = tmp_path_factory.mktemp("writable") / "pids"
    settings = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{settings}writable = [{str(place.parent)!r}]\n")
    project.commit("a place to write to")
    project.edit(
        "src/subject/model.py",
        "    rng = random.Random(seed)\n",
        f"""
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open({str(place)!r}, "a") as stream:
                stream.write(json.dumps(os.getpid()) + "\\n")
            time.sleep(3600)
        os._exit(0)
    os.wait()
    while not (os.path.exists({str(place)!r}) and os.path.getsize({str(place)!r})):
        time.sleep(0.01)
    os._exit(3)
""",
    )
    project.edit("src/subject/model.py", "import math\n", "import json\nimport math\n")

    result = project.gate()

    assert result.status == 1
    pids = [json.loads(line) for line in place.read_text().splitlines()]
    assert pids
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
