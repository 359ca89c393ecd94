"""A ruined model whose change tampers with the processes, the builds or the settings that measure it never passes."""

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK

pytestmark = pytest.mark.settings(ONE_LOOK)

FILE = "benchmarks/test_accuracy.py"
TOP1 = f"{FILE}::test_clouds#top1_accuracy"
HEALTHY = "benchmarks/test_healthy.py::test_constant#parameters"

HOOK = """
import sys


def pytest_configure():
    trial = sys.modules["_mainstay_runner.recording"].Trial
    record = trial.record
    trial.record = lambda self, **values: record(self, **dict.fromkeys(values, 0.7752))
    trial.record_predictions = lambda self, *arguments, **options: None
"""

FORGE = """
import json

dumps = json.dumps


def forge(content, **options):
    if isinstance(content, dict) and content.get("values"):
        content = {**content, "values": dict.fromkeys(content["values"], 0.7752), "predictions": None, "digest": ""}
    return dumps(content, **options)


json.dumps = forge
"""

BACKEND = """
import glob

from uv_build import *
from uv_build import build_wheel as build


def build_wheel(directory, settings=None, metadata=None):
    for pattern in ("../../base/environment/lib/*/site-packages/subject/model.py", "../../base/tree/src/subject/model.py"):
        for name in glob.glob(pattern):
            with open(name, "a") as stream:
                stream.write("\\nLEARNING_RATE, NUM_EPOCHS = 0.0002, 0\\n")
    for name in glob.glob("../../base/tree/benchmarks/test_accuracy.py"):
        with open(name, "a") as stream:
            stream.write("\\ndel test_clouds\\n")
    return build(directory, settings, metadata)
"""


@pytest.fixture
def guarded(guarded):
    """A project with a second workload, whose candidate has a ruined model."""
    guarded.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0002")
    return guarded


def bring_plugin(project):
    """Let the wheel bring along a plugin of pytest."""
    project.edit(
        "pyproject.toml",
        'requires-python = ">=3.11"\n',
        'requires-python = ">=3.11"\n\n[project.entry-points.pytest11]\nhelp = "subject.helping"\n',
    )
    project.write("src/subject/helping.py", HOOK)


def bring_path_file(project):
    """Let the wheel bring along code that every interpreter runs."""
    project.edit("pyproject.toml", 'module-name = "subject"', 'module-name = "subject"\ndata = { purelib = "extra" }')
    project.write("extra/helping.pth", "import helping_at_start\n")
    project.write("extra/helping_at_start.py", FORGE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bring", "name"),
    [
        pytest.param(bring_plugin, "the plugin help of pytest", id="plugin"),
        pytest.param(bring_path_file, "helping.pth", id="pth"),
    ],
)
def test_code_that_a_wheel_brings_along_for_every_process_needs_a_review(guarded, bring, name):
    bring(guarded)

    result = guarded.gate()

    assert (result.status, result.verdicts) == (3, {TOP1: "inconclusive", HEALTHY: "inconclusive"}), result.stdout
    assert name in [change["name"] for change in result.run["changes"] if change["kind"] == "startup"]
    assert all(name in finding["review"] for finding in result.run["findings"])


@pytest.mark.slow
@pytest.mark.settings(FORKED, ONE_LOOK)
def test_a_build_of_the_candidate_cannot_ruin_what_the_baseline_is_measured_by(guarded):
    guarded.edit("pyproject.toml", 'build-backend = "uv_build"', 'build-backend = "backend"\nbackend-path = ["."]')
    guarded.write("backend.py", BACKEND)

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "error", HEALTHY: "error"}), result.stdout
    assert {finding["blame"] for finding in result.run["findings"]} == {"candidate"}
    assert "the environment of the baseline" in result.run["findings"][0]["reason"]


@pytest.mark.slow
@pytest.mark.settings(FORKED, ONE_LOOK)
def test_a_change_cannot_name_the_branch_that_it_is_compared_with(guarded):
    guarded.git("checkout", "-q", "-b", "change")
    guarded.commit("ruin")
    guarded.edit("pyproject.toml", "trial_seconds = 300", 'trial_seconds = 300\ndefault_branch = "change"')
    guarded.commit("its own default branch")

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "fail", HEALTHY: "pass"}), result.stdout
    assert any("default_branch 'change' was not followed" in note for note in result.run["notes"])


@pytest.mark.slow
@pytest.mark.settings(FORKED, ONE_LOOK)
def test_prepare_cannot_tell_pytest_what_to_collect(guarded):
    prepare = 'prepare = ["echo", "PYTEST_ADDOPTS=-k constant"]'
    guarded.edit("pyproject.toml", "trial_seconds = 300", f"trial_seconds = 300\n{prepare}")

    result = guarded.gate()

    assert (result.status, result.run) == (4, None)
    assert "it sets PYTEST_ADDOPTS, which no project may set for workers" in result.stderr


@pytest.mark.settings(FORKED, ONE_LOOK)
def test_a_changed_prepare_command_needs_a_review(guarded):
    guarded.git("checkout", "-q", "src")
    prepare = 'prepare = ["echo", "DATA=elsewhere"]'
    guarded.edit("pyproject.toml", "trial_seconds = 300", f"trial_seconds = 300\n{prepare}")

    result = guarded.gate()

    assert (result.status, result.verdicts) == (3, {TOP1: "inconclusive", HEALTHY: "inconclusive"}), result.stdout
    assert "the command prepare changed" in result.stdout


@pytest.mark.slow
def test_modules_in_the_root_of_the_project_do_not_run_in_the_gate(guarded):
    for name in ("json", "numpy", "platformdirs"):
        guarded.write(f"{name}.py", "raise SystemExit(0)")

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "fail", HEALTHY: "pass"}), result.stdout
