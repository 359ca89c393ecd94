"""Gates whose workers are forked from servers with modules preloaded."""

import json
import signal
import sys
import time

import psutil
import pytest

from mainstay.workers.fork_server import can_fork
from tests.brief_warm_up import BRIEF_WARM_UP
from tests.end_to_end.settings import ONE_LOOK

pytestmark = [
    pytest.mark.settings(ONE_LOOK),
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


@pytest.fixture
def scratch(project, tmp_path):
    """Where the gates of the project, and nobody else's, keep what is temporary."""
    (tmp_path / "scratch").mkdir()
    project.environ["TMPDIR"] = str(tmp_path / "scratch")
    return tmp_path / "scratch"


def processes_of(scratch):
    """Command lines of running processes that belong to the gates of a folder of temporary things."""
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if str(scratch) in command]


@pytest.mark.slow
def test_a_gate_comes_to_the_same_findings_with_forked_workers(project, scratch):
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 1")
    fresh = project.gate()
    preload(project, "decimal", "subject.evaluate")

    forked = project.gate()

    assert forked.status == fresh.status
    assert forked.run["findings"] == fresh.run["findings"]
    assert any("decimal, subject.evaluate preloaded" in note for note in forked.run["notes"])
    assert not any("preloaded" in note for note in fresh.run["notes"])
    assert not processes_of(scratch)


@pytest.mark.slow
def test_a_module_that_a_revision_does_not_have_is_named(project):
    preload(project, "subject.later")
    project.write("src/subject/later.py", "")

    result = project.gate()

    assert result.status == 4
    assert "the baseline cannot preload subject.later: " in result.stderr
    assert "looked in: preload in [tool.mainstay]" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGKILL, id="killed")],
)
def test_nothing_runs_on_after_a_gate_that_was_stopped_and_it_can_be_resumed(project, scratch, number):
    project.edit("benchmarks/test_accuracy.py", "    weights = ", "    import time; time.sleep(0.5)\n    weights = ")
    project.commit("slow trials")
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 1")
    preload(project, "decimal")
    gate = project.start_gate()
    while not any('"trial"' in place.read_text() for place in runs(project).glob("*/journal.jsonl")):
        assert gate.poll() is None
        time.sleep(0.05)
    assert processes_of(scratch)

    gate.send_signal(number)
    said = gate.communicate(timeout=600)[0]

    assert gate.returncode == (130 if number == signal.SIGINT else -number), said
    deadline = time.monotonic() + 60
    while processes_of(scratch) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(scratch)
    assert project.gate("--resume").run["verdict"] in {"pass", "fail", "inconclusive"}


@pytest.mark.slow
def test_a_calibration_says_how_its_workers_were_started(project):
    project.write("benchmarks/conftest.py", BRIEF_WARM_UP)
    project.write("benchmarks/test_speed.py", TIMED)
    preload(project, "decimal")
    settings = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{settings}pair_seconds = 0.1\n")

    done = project.run("calibrate", "--pairs", "5", "--json", "calibration.json")

    assert done.returncode in {0, 1}, done.stderr
    document = json.loads((project.root / "calibration.json").read_text())
    assert any("decimal preloaded" in note for note in document["notes"])
    assert "decimal preloaded" in done.stdout
