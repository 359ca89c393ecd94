"""A degradation that is accepted in a reviewed file."""

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK

pytestmark = pytest.mark.settings(FORKED, ONE_LOOK)

TOP1 = "benchmarks/test_accuracy.py::test_clouds#top1_accuracy"


@pytest.fixture
def losing(project):
    """A project whose working tree loses about 41 percentage points."""
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")
    return project


def waive(project, *, limit, until, metric=TOP1):
    done = project.run("waive", metric, f"--limit={limit}", "--reason=a smaller model", f"--until={until}")
    assert done.returncode == 0, done.stderr


NUM_STEPS = """
import pytest
from subject import model

@pytest.mark.deterministic(metric="steps")
def test_steps(counts):
    counts.record(steps=round(1 / model.LEARNING_RATE))
"""


def test_a_waived_degradation_keeps_its_numbers_and_neither_stops_nor_fails_the_gate(project):
    project.write("benchmarks/test_steps.py", NUM_STEPS)
    project.commit("count steps")
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")
    waive(project, limit=0.5, until="2999-12-31")
    waive(project, limit=1000, until="2999-12-31", metric="benchmarks/test_steps.py::test_steps#steps")

    result = project.gate("--fail-fast")

    assert (result.status, set(result.verdicts.values())) == (0, {"waived"}), result.stdout
    (finding,) = (each for each in result.run["findings"] if each["metric"]["name"] == "top1_accuracy")
    assert finding["estimate"] > 0.3
    assert "a smaller model" in result.stdout
    assert "2999-12-31" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "until", "words"),
    [
        pytest.param(0.5, "2020-01-31", "its waiver expired on 2020-01-31", id="expired"),
        pytest.param(0.1, "2999-12-31", "more than the 0.1 that its waiver accepts", id="too-small"),
    ],
)
def test_a_waiver_that_does_not_cover_the_degradation_says_so(losing, limit, until, words):
    waive(losing, limit=limit, until="2999-12-31")
    losing.edit(".mainstay-waivers.toml", "2999-12-31", until)

    result = losing.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")
    assert words in result.finding["reason"]


WAIVERS = """
[[waiver]]
metric = "{metric}"
limit = 0.5
reason = "a smaller model"
until = 2999-12-31
"""


SPEED = """
def test_sum(benchmark):
    benchmark(sum, range(100))

def test_max(benchmark):
    benchmark(max, range(100))
"""


@pytest.mark.slow
def test_a_waiver_of_what_this_gate_leaves_out_is_no_slip(project):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f'{text}group_by = "file"\n')
    project.write("benchmarks/test_speed.py", SPEED)
    project.commit("time it")
    left_out = ("call_time", "benchmarks/test_speed.py#call_time_geomean", "call_time_geomean")
    project.write(".mainstay-waivers.toml", "".join(WAIVERS.format(metric=name) for name in left_out))

    result = project.gate("--only", "accuracy", "-k", "test_clouds")

    assert (result.status, set(result.verdicts)) == (0, {TOP1}), result.stdout


@pytest.mark.slow
def test_a_waiver_that_has_lost_its_metric_is_noted_and_a_new_one_refused_before_anything_is_measured(project):
    project.write(".mainstay-waivers.toml", WAIVERS.format(metric="gone"))
    project.commit("a metric has gone")
    project.edit("src/subject/model.py", "in plain Python", "by hand")

    result = project.gate()

    assert result.status == 0, result.stdout + result.stderr
    assert any("a waiver of gone names nothing that is gated any more" in note for note in result.run["notes"])

    project.edit(".mainstay-waivers.toml", '"gone"', '"top1_acuracy"')
    refused = project.run("gate")

    assert refused.returncode == 2
    assert "did you mean 'top1_accuracy'?" in refused.stderr
    assert "pairs" not in refused.stderr


def test_a_slip_in_the_file_of_waivers_is_found_before_anything_is_built(project):
    project.write(".mainstay-waivers.toml", "[[waiver]]\nmetrik = 1\n")

    refused = project.run("gate")

    assert refused.returncode == 2
    assert "unknown key 'metrik'" in refused.stderr
    assert "environments" not in refused.stderr


def test_waivers_in_another_encoding_are_refused(project):
    (project.root / ".mainstay-waivers.toml").write_bytes("# Größe\n".encode("latin-1"))

    refused = project.run("gate")

    assert refused.returncode == 2
    assert "the waivers are not UTF-8" in refused.stderr
