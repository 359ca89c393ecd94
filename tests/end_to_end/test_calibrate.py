import json
import re
import tomllib

import pytest

from tests.brief_warm_up import BRIEF_WARM_UP
from tests.end_to_end.settings import FORKED

pytestmark = pytest.mark.settings(FORKED)

WORKLOAD = """
import pytest


@pytest.mark.performance(margin=0.9)
def test_sum(benchmark):
    benchmark(sum, range(2_000))


@pytest.mark.performance(margin=1e-9)
def test_sort(benchmark):
    benchmark(sorted, range(3_000, 0, -1))


@pytest.mark.skipif(True, reason="needs another machine")
def test_elsewhere(benchmark):
    benchmark(len, [])
"""


def calibrate(project, *arguments):
    """Calibrate the working tree; status, what it printed, what it complained about."""
    done = project.run("calibrate", *arguments)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def timed(project):
    """The subject with two timed workloads; the margin of one is finer than any noise."""
    project.write("benchmarks/conftest.py", BRIEF_WARM_UP)
    project.write("benchmarks/test_speed.py", WORKLOAD)
    settings = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{settings}pair_seconds = 0.1  # short\n")
    project.commit("time something")
    return project


@pytest.mark.slow
@pytest.mark.package_index
def test_a_revision_is_measured_against_itself(timed):
    status, stdout, stderr = calibrate(timed, "--pairs", "5", "--json", "calibration.json")

    document = json.loads((timed.root / "calibration.json").read_text())
    noises = {noise["metric"]["workload"].partition("::")[2]: noise for noise in document["metrics"]}
    assert status == 1, stderr
    assert sorted(noises) == ["test_sort", "test_sum"]
    assert all(len(noise["degradations"]) == 5 for noise in noises.values())
    assert all(0 <= noise["between"] <= noise["deviation"] for noise in noises.values())
    assert len({environment["side"] for environment in document["environments"]}) == 2
    assert document["num_gates"] == 4_000
    assert noises["test_sort"]["refusal"]
    assert any("test_elsewhere was not measured: " in note for note in document["notes"])
    assert any("a gate also trains or evaluates 1 workload" in note for note in document["notes"])
    assert "refused: benchmarks/test_speed.py::test_sort#call_time" in stdout
    assert re.search(r"calibration: \.mainstay/calibrations/.*/calibration\.json", stdout)
    assert not (timed.root / ".mainstay" / "runs").exists()


@pytest.mark.slow
@pytest.mark.package_index
def test_proposed_settings_are_written_beside_the_comments(timed):
    timed.edit("benchmarks/test_speed.py", "margin=1e-9", "margin=0.9")

    status, stdout, stderr = calibrate(timed, "--pairs", "5", "--seconds", "500", "--write")

    text = (timed.root / "pyproject.toml").read_text()
    settings = tomllib.loads(text)["tool"]["mainstay"]
    if "too noisy" in stderr:  # a machine so busy that no margin below a half is supported
        assert (status, "looks" in settings) == (4, False)
    else:
        assert settings["looks"][:2] == [5, 8]
        assert settings["seconds"] >= 500
        assert "written to pyproject.toml" in stdout
    assert "pair_seconds = 0.1  # short" in text


@pytest.mark.slow
@pytest.mark.package_index
def test_accuracy_alone_is_nothing_to_calibrate(project):
    status, _, stderr = calibrate(project)

    assert status == 2
    assert "nothing to calibrate: no workload is timed" in stderr


def test_too_few_pairs_are_refused(project):
    status, _, stderr = calibrate(project, "--pairs", "4")

    assert status == 2
    assert "4 pairs are too few to estimate the noise" in stderr
