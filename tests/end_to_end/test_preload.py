"""Gates whose workers are forked from servers with modules preloaded."""

import json
import signal
import sys
import time

import psutil
import pytest

from mainstay.workers.fork_server import can_fork

pytestmark = [
    pytest.mark.package_index,
    pytest.mark.skipif(not can_fork(sys.platform), reason="servers fork on Linux only"),
]

TIMED = """
def test_sum(benchmark):
    benchmark(sum, range(2_000))
"""


def preload(project, *modules):
    """Name modules in the settings of the working tree."""
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}preload = {json.dumps(modules)}\n")


def runs(project):
    """Where the folders of runs are."""
    return project.root / ".mainstay" / "runs"


def processes_of(run_folder):
    """Command lines of running processes that belong to the gate of a journal."""
    lines = [json.loads(line) for line in (run_folder / "journal.jsonl").read_text().splitlines()]
    (scratch,) = (line["folder"] for line in lines if line["type"] == "scratch")
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if scratch in command]


def test_a_gate_comes_to_the_same_findings_with_forked_workers(project):
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 1")
    fresh = project.gate()
    preload(project, "decimal", "subject.evaluate")

    forked = project.gate()

    assert forked.status == fresh.status
    assert forked.run["findings"] == fresh.run["findings"]
    assert any("decimal, subject.evaluate preloaded" in note for note in forked.run["notes"])
    assert not any("preloaded" in note for note in fresh.run["notes"])
    assert not processes_of(max(runs(project).iterdir()))


def test_a_module_that_a_revision_does_not_have_is_named(project):
    preload(project, "subject.later")
    project.write("src/subject/later.py", "")

    result = project.gate()

    assert result.status == 4
    assert "the baseline cannot preload subject.later: " in result.stderr
    assert "looked in: preload in [tool.mainstay]" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_nothing_runs_on_after_a_gate_that_was_stopped_and_it_can_be_resumed(project, number):
    project.edit("benchmarks/test_accuracy.py", "    weights = ", "    import time; time.sleep(0.5)\n    weights = ")
    project.commit("slow trials")
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 1")
    preload(project, "decimal")
    gate = project.start_gate()
    while not any('"trial"' in place.read_text() for place in runs(project).glob("*/journal.jsonl")):
        assert gate.poll() is None
        time.sleep(0.05)
    (folder,) = runs(project).iterdir()
    assert processes_of(folder)

    gate.send_signal(number)
    said = gate.communicate(timeout=600)[0]

    assert gate.returncode == (130 if number == signal.SIGINT else -number), said
    deadline = time.monotonic() + 60
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(folder)
    assert project.gate("--resume").run["verdict"] in {"pass", "fail", "inconclusive"}


def test_a_calibration_says_how_its_workers_were_started(project):
    project.write("benchmarks/test_speed.py", TIMED)
    preload(project, "decimal")
    settings = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{settings}pair_seconds = 0.1\n")

    done = project.run("calibrate", "--pairs", "5", "--json", "calibration.json")

    assert done.returncode in {0, 1}, done.stderr
    document = json.loads((project.root / "calibration.json").read_text())
    assert any("decimal preloaded" in note for note in document["notes"])
    assert "decimal preloaded" in done.stdout
