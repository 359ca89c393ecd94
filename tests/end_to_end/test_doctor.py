"""What doctor says of the next gate, from having done all but the measuring."""

import json
import os

import pytest

from mainstay.commands.rehearsal import rehearse
from mainstay.revisions.git import Repository

pytestmark = pytest.mark.package_index


def checks(project):
    done = project.run("doctor", "--json")
    report = json.loads(done.stdout)
    return done.returncode, [(check["name"], check["state"], check["found"]) for check in report["checks"]]


def test_the_next_gate_is_told_with_its_metrics_and_its_seconds_and_nothing_is_left(project):
    before = project.git("status", "--porcelain", "--ignored")

    status, found = checks(project)

    assert status == 0
    told = {name: text for name, _, text in found}
    assert told["workload"] == "benchmarks/test_accuracy.py::test_clouds: top1_accuracy (margin 0.01)"
    assert told["first look"].startswith("1 metrics; 5 pairs up to the first look take about ")
    assert "of the 900 s for measuring" in told["first look"]
    assert "both revisions built in" in told["build"]
    assert project.git("status", "--porcelain", "--ignored") == before
    assert project.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        pytest.param(
            "src/subject/model.py",
            "def fit(seed):",
            "def fit(seed):\n    raise ValueError('no data')",
            "no data",
            id="fails",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "benchmarks/test_accuracy.py",
            "import random\n",
            "import absent_module\n",
            "absent_module",
            id="import",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pyproject.toml",
            "proof = false",
            'prepare = ["python", "absent.py"]',
            "absent.py",
            id="prepare",
            marks=pytest.mark.slow,
        ),
        pytest.param("pyproject.toml", 'version = "1.0"', "version = 1", "failed", id="build"),
    ],
)
def test_what_would_stop_the_next_gate_is_found_by_trying(project, path, old, new, words):
    project.edit(path, old, new)

    status, found = checks(project)

    assert status == 4
    assert [state for _, state, text in found if words in text] == ["stopper"]


@pytest.mark.slow
def test_a_workload_that_only_collection_shows_is_tried(project):
    project.write(
        "benchmarks/conftest.py",
        """
        import pytest

        def recorder(trial):
            return trial

        run = pytest.fixture(recorder)
        """,
    )
    project.edit("benchmarks/test_accuracy.py", "def test_clouds(trial):", "def test_clouds(run):\n    trial = run")

    status, found = checks(project)

    assert status == 0
    assert [state for _, state, text in found if "seems to measure" in text] == ["warning"]
    assert ("workload", "ok", "benchmarks/test_accuracy.py::test_clouds: top1_accuracy (margin 0.01)") in found


@pytest.mark.slow
@pytest.mark.parametrize(("margin", "stretch"), [(0.02, 6.25), (0.2, 1.0)])
def test_the_forecast_knows_that_a_smaller_margin_in_the_settings_takes_longer_pairs(project, margin, stretch):
    project.write("benchmarks/test_speed.py", "def test_sum(benchmark):\n    benchmark(sum, range(100))\n")
    project.edit("pyproject.toml", "proof = false", f"margins = {{call_time = {margin}}}")

    found = rehearse(Repository.discover(project.root), environ=dict(os.environ))

    assert found.forecast.stretches == pytest.approx((stretch,))
