"""Code that differs in words only is not measured, except for import time and memory."""

import sys

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK, SHORT_PAIRS

pytestmark = [pytest.mark.package_index, pytest.mark.settings(FORKED, ONE_LOOK, SHORT_PAIRS)]

WORKLOADS = """
import pytest

import subject.model


def test_speed(benchmark):
    benchmark(subject.model.train, 0)


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01)
def test_clouds(trial):
    trial.record(top1_accuracy=subject.model.train(trial.seed))
"""

MODEL = '''"""The model."""

NUM_EPOCHS = 2


def train(seed):
    """Train."""
    # epoch by epoch
    result = 0.5
    for epoch in range(NUM_EPOCHS):
        result += epoch * 1e-3
    return result
'''

REWORDED = MODEL.replace('"""Train."""', '"""Train.\n\n    For some epochs.\n    """').replace("result", "accuracy")


@pytest.fixture
def project(project):
    """A repository with a timed workload and a training, and the proof on, as it is where nothing is said."""
    project.edit("pyproject.toml", "proof = false\n", "")
    project.write("benchmarks/test_accuracy.py", WORKLOADS)
    project.write("src/subject/model.py", MODEL)
    project.commit("prove")
    return project


def test_a_docstring_and_the_name_of_a_local_are_not_measured(project):
    project.write("src/subject/model.py", REWORDED)

    result = project.gate("--seconds", "200")

    assert result.status == 0, result.stdout + result.stderr
    findings = result.run["findings"]
    assert not [note for note in result.run["notes"] if "measured" in note]
    assert {(finding["verdict"], finding["method"], finding["num_pairs"]) for finding in findings} == {
        ("pass", "reworded", 0)
    }
    assert len(findings) == 2
    assert result.run["plan"]["num_gated"] == 0
    assert [workload["is_proved"] for workload in result.run["plan"]["workloads"]] == [True, True]
    assert [workload["seconds"] for workload in result.run["workloads"]] == [0, 0]
    assert result.run["differing_files"] == ["subject/model.py"]
    assert result.stdout.count("this assumes that docstrings, line numbers and names of locals act only") == 1


@pytest.mark.slow
def test_what_the_words_of_a_module_affect_is_measured(project):
    project.write(
        "benchmarks/test_accuracy.py",
        WORKLOADS + "\n\ndef test_import(import_timer):\n    import_timer('subject.model')\n",
    )
    project.commit("time the import")
    project.write("src/subject/model.py", REWORDED)

    result = project.gate("--seconds", "200")

    assert result.run, result.stdout + result.stderr
    methods = {finding["metric"]["name"]: finding["method"] for finding in result.run["findings"]}
    assert methods == {"call_time": "reworded", "top1_accuracy": "reworded", "import_time": "sequential"}
    assert result.run["plan"]["num_gated"] == 1
    assert "measured in part, since the text of a module affects import_time" in " ".join(result.run["notes"])


def test_code_that_could_read_its_words_is_measured_and_the_report_says_why(project):
    project.write("src/subject/model.py", MODEL + "\n\ndef describe():\n    return train.__doc__\n")
    project.commit("describe")
    project.write("src/subject/model.py", REWORDED + "\n\ndef describe():\n    return train.__doc__\n")

    result = project.gate("--seconds", "200", "--only", "accuracy")

    assert {finding["method"] for finding in result.run["findings"]} == {"exact"} or result.finding["num_pairs"] > 0
    (note,) = (note for note in result.run["notes"] if "measured nevertheless" in note)
    assert note.endswith("since code could read them: __doc__ in subject/model.py")


@pytest.mark.slow
def test_either_revision_can_have_words_measured(project):
    project.edit("pyproject.toml", "trial_seconds = 300", "trial_seconds = 300\nproof = false")
    project.commit("measure")
    project.edit("pyproject.toml", "proof = false\n", "")
    project.write("src/subject/model.py", REWORDED)

    result = project.gate("--seconds", "200", "--only", "accuracy")

    assert "reworded" not in {finding["method"] for finding in result.run["findings"]}


UNUSED = "\n\ndef unused(value):\n    return value - 1\n"


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="needs Python 3.12, which tells of all functions that are executed"
)
def test_a_function_that_no_call_executes_is_not_measured_where_both_revisions_say_so(project):
    project.edit("pyproject.toml", "trial_seconds = 300", 'trial_seconds = 300\nproof = "executed"')
    project.write("src/subject/model.py", MODEL + UNUSED)
    project.commit("assume more")
    project.write("src/subject/model.py", MODEL + UNUSED.replace("value - 1", "value * 2"))

    result = project.gate("--seconds", "200", "--only", "performance")

    assert result.status == 0, result.stdout + result.stderr
    assert result.run["plan"]["proof"] == "executed"
    (finding,) = result.run["findings"]
    assert (finding["verdict"], finding["method"], finding["num_pairs"]) == ("pass", "executed", 0)
    assert finding["detail"] == ["subject/model.py::unused"]
    said = " ".join(result.stdout.split())
    assert said.count("a path not seen in the n traced calls of a workload is rare (below 3/n a call, at 95 %)") == 1
