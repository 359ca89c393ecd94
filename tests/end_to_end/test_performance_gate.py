"""The performance gate on a small subject, with real environments and processes.

Verdicts are asserted only where a busy machine cannot turn them: a slowdown is tenfold, the margin is twofold, and a
clean change must not fail. pytest-benchmark is not installed in these environments.
"""

import json
import time

import pytest

from tests.brief_warm_up import BRIEF_WARM_UP

WORKLOADS = """
import random

import pytest

from subject import evaluate, model


@pytest.mark.benchmark(group="model")
def test_predict(benchmark):
    points = model.make_points(200, random.Random(0))
    benchmark(model.predict, [1.0, 2.0, 0.0], points)


def test_predict_few(benchmark):
    benchmark(model.predict, [1.0, 2.0, 0.0], model.make_points(20, random.Random(0)))


@pytest.mark.performance(metric="latency_median", margin=0.1)
def test_accuracy_of_predictions(benchmark):
    benchmark.pedantic(evaluate.accuracy, args=([1] * 1000, [1] * 1000), rounds=4000)


@pytest.mark.deterministic(metric="imported_modules")
def test_imports(counts):
    counts.imports("subject.model")


@pytest.mark.deterministic(metric="parameters")
@pytest.mark.deterministic(metric="checkpoint_bytes")
def test_size(counts, tmp_path):
    weights = model.fit(0)
    counts.record(parameters=len(weights))
    (tmp_path / "weights").write_text(repr([round(weight) for weight in weights]))
    counts.file_size(tmp_path / "weights")


@pytest.mark.skip(reason="no accelerator here")
def test_on_accelerator(benchmark): ...
"""
GROUPS = 'group_by = "file"\n'
MARGINS = "[tool.mainstay.margins]\ncall_time = 1.0\nlatency_median = 1.0\n"
PREDICT, FEW, MEAN, LATENCY, IMPORTS, PARAMETERS, BYTES = (
    "benchmarks/test_performance.py::test_predict#call_time",
    "benchmarks/test_performance.py::test_predict_few#call_time",
    "benchmarks/test_performance.py#call_time_geomean",
    "benchmarks/test_performance.py::test_accuracy_of_predictions#latency_median",
    "benchmarks/test_performance.py::test_imports#imported_modules",
    "benchmarks/test_performance.py::test_size#parameters",
    "benchmarks/test_performance.py::test_size#checkpoint_bytes",
)


@pytest.fixture
def timed_project(project):
    """The subject with workloads of speed and size alone, one look, and short pairs."""
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}looks = [5]\npair_seconds = 0.1\n{GROUPS}{MARGINS}")
    project.git("rm", "-q", "benchmarks/test_accuracy.py")
    project.write("benchmarks/conftest.py", BRIEF_WARM_UP)
    project.write("benchmarks/test_performance.py", WORKLOADS)
    project.commit("time it")
    return project


def finding(result, metric):
    """The finding of a metric by its id."""
    return next(f for f in result.run["findings"] if f"{f['metric']['workload']}#{f['metric']['name']}" == metric)


@pytest.mark.slow
def test_a_clean_change_does_not_fail(timed_project):
    timed_project.edit("src/subject/model.py", "in plain Python", "by hand")

    result = timed_project.gate("--html", "report.html")

    assert result.verdicts[PREDICT] in {"pass", "inconclusive"}
    assert {result.verdicts[metric] for metric in (FEW, MEAN, LATENCY)} <= {"pass", "inconclusive"}
    assert [result.verdicts[metric] for metric in (IMPORTS, PARAMETERS, BYTES)] == ["pass"] * 3
    assert (result.status, result.run["plan"]["num_gated"]) in {(0, 5), (3, 5)}
    (group,) = result.run["plan"]["groups"]
    assert (group["metric"]["margin"], group["members"][:2]) == (1.0, [PREDICT, FEW])  # and the skipped one
    timed = next(w for w in result.run["workloads"] if w["id"] == PREDICT.partition("#")[0])
    assert (timed["kind"], timed["num_pairs"], len(timed["loads"])) == ("performance", 5, 5)
    assert len(timed["block_times_s"]["baseline"]) == len(timed["block_times_s"]["candidate"]) >= 5 * 2
    skipped = next(w for w in result.run["workloads"] if w["id"].endswith("test_on_accelerator"))
    assert (skipped["status"], skipped["reason"]) == ("skipped", "no accelerator here")
    assert "no accelerator here" in (timed_project.root / "report.html").read_text()


def test_a_large_slowdown_fails_at_the_first_look_and_what_grew_is_named(timed_project):
    timed_project.edit("src/subject/model.py", "import math\n", "import math\nimport xml.sax\n")
    timed_project.edit("src/subject/model.py", "    return weights\n", "    return [*weights, 0.0]\n")
    timed_project.edit(
        "src/subject/model.py",
        "    return sum(weight",
        "    for _ in range(100):\n        math.sqrt(2.0)\n    return sum(weight",
    )

    result = timed_project.gate()

    assert result.status == 1
    assert (result.verdicts[PREDICT], finding(result, PREDICT)["num_pairs"]) == ("fail", 5)
    assert result.verdicts[MEAN] in {"fail", "inconclusive"}
    assert result.verdicts[LATENCY] in {"pass", "inconclusive"}
    assert result.verdicts[IMPORTS] == "fail"
    assert "added: xml.sax" in finding(result, IMPORTS)["detail"]
    assert (result.verdicts[PARAMETERS], result.verdicts[BYTES]) == ("fail", "fail")


@pytest.mark.slow
def test_a_killed_gate_measures_no_timed_pair_twice(timed_project):
    process = timed_project.start_gate()
    while timed_pairs(timed_project) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.communicate()
    before = timed_pairs(timed_project)

    result = timed_project.gate("--resume")

    assert before < 5
    assert finding(result, PREDICT)["num_pairs"] == 5
    assert timed_pairs(timed_project) == 5


def timed_pairs(project):
    """Pairs of one timed workload that the journal holds, none of them twice."""
    lines = [
        json.loads(line)
        for journal in (project.root / ".mainstay" / "runs").glob("*/journal.jsonl")
        for line in journal.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]
    workload = PREDICT.partition("#")[0]
    trials = [line["trial"] for line in lines if line["type"] == "trial" and line["trial"]["workload"] == workload]
    pairs = [trial["pair"] for trial in trials if trial["side"] == "candidate"]
    assert len(pairs) == len(set(pairs))
    return len(pairs)
