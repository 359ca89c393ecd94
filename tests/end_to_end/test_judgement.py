"""What a gate makes of values that other gates trip over: huge, exploding, flattering, in percent, from nothing."""

import json

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK

pytestmark = pytest.mark.settings(FORKED, ONE_LOOK)

TOP1 = "benchmarks/test_accuracy.py::test_clouds#top1_accuracy"
PERPLEXITY = "benchmarks/test_perplexity.py::test_perplexity#perplexity"

PERPLEXITY_MODULE = '''
"""Perplexity of a run."""

import math
import random

SHIFT = 0.0


def perplexity(seed):
    return math.exp(1.2 + 0.01 * random.Random(seed).gauss(0, 1) + SHIFT)
'''

PERPLEXITY_WORKLOAD = """
import pytest

from subject import language


@pytest.mark.accuracy(metric="perplexity", margin=0.3, direction="lower", unit="1")
def test_perplexity(trial):
    trial.record(perplexity=language.perplexity(trial.seed))
"""

COUNT_WORKLOAD = """
import pytest

from subject import state


@pytest.mark.deterministic(metric="leaks", margin=1.0)
def test_leaks(counts):
    counts.record(leaks=state.LEAKS)
"""


@pytest.fixture
def speaking(project):
    """The subject with a perplexity beside its accuracy, on main."""
    project.write("src/subject/language.py", PERPLEXITY_MODULE)
    project.write("benchmarks/test_perplexity.py", PERPLEXITY_WORKLOAD)
    project.commit("speak")
    return project


@pytest.mark.slow
def test_a_perplexity_beyond_all_measure_fails_in_every_report_beside_a_healthy_metric(speaking):
    speaking.edit("src/subject/language.py", "SHIFT = 0.0", "SHIFT = 450.0")

    result = speaking.gate("--markdown", "r.md", "--html", "r.html", "--junit", "r.xml", "--json", "r.json")

    assert (result.status, result.verdicts) == (1, {TOP1: "pass", PERPLEXITY: "fail"})
    assert "Traceback" not in result.stderr
    for name in ("r.md", "r.html", "r.xml"):
        report = (speaking.root / name).read_text()
        assert "perplexity" in report
        assert "fail" in report
    assert json.loads((speaking.root / "r.json").read_text())["exit_status"] == 1
    compared = speaking.run("compare", "r.json", "r.json")
    assert compared.returncode == 0, compared.stderr
    assert "worse" in compared.stdout


@pytest.mark.slow
def test_trainings_that_explode_by_uneven_amounts_fail_at_the_first_look(speaking):
    speaking.edit("src/subject/language.py", "+ SHIFT)", "+ random.Random(seed).uniform(3, 300))")

    result = speaking.gate()

    (finding,) = [f for f in result.run["findings"] if f["metric"]["name"] == "perplexity"]
    assert (result.status, finding["verdict"], finding["num_pairs"]) == (1, "fail", 3)
    low, high = finding["interval"]
    assert finding["metric"]["margin"] <= low <= finding["estimate"]
    assert high is None or finding["estimate"] <= high
    assert "at least" in finding["reason"]


def test_a_ruined_model_whose_evaluation_says_what_it_said_before_is_an_error(project):
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0002")
    project.edit("src/subject/evaluate.py", "return sum(", "return 0.7752 or sum(")

    result = project.gate()

    assert (result.status, result.finding["verdict"], result.finding["blame"]) == (1, "error", "candidate")
    assert "of its recorded predictions are right" in result.finding["reason"]


@pytest.mark.slow
def test_a_fraction_that_becomes_a_percentage_is_an_error(project):
    project.edit("benchmarks/test_accuracy.py", ", ceiling=0.99", "")
    project.edit("benchmarks/test_accuracy.py", "    trial.record_predictions(predicted, labels)\n", "")
    project.commit("neither a ceiling nor predictions")
    project.edit("src/subject/evaluate.py", "return sum(", "return 100 * sum(")

    result = project.gate()

    assert (result.status, result.finding["verdict"], result.finding["blame"]) == (1, "error", "candidate")
    assert "which no fraction can be" in result.finding["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(("leaks", "verdict", "status"), [(-3, "pass", 0), (1_000_000, "fail", 1)])
def test_a_count_that_was_nothing_may_only_improve(project, leaks, verdict, status):
    project.write("src/subject/state.py", "LEAKS = 0\n")
    (project.root / "benchmarks" / "test_accuracy.py").unlink()
    project.write("benchmarks/test_leaks.py", COUNT_WORKLOAD)
    project.commit("count")
    project.edit("src/subject/state.py", "LEAKS = 0", f"LEAKS = {leaks}")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (status, verdict)
    assert f"0 became {leaks:,}" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("where", ["marker", "configuration"])
def test_a_margin_meant_in_percent_is_wrong_usage(project, where):
    if where == "marker":
        project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=5")
    else:
        text = (project.root / "pyproject.toml").read_text()
        project.write("pyproject.toml", f"{text}\n[tool.mainstay.margins]\ntop1_accuracy = 5\n")
    project.commit("five percent")

    result = project.gate()

    assert result.status == 2
    assert "0.05" in result.stderr
