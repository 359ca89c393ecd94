"""A loss that is accepted in a reviewed file."""

import subprocess

import pytest

TOP1 = "benchmarks/test_accuracy.py::test_clouds#top1_accuracy"


@pytest.fixture
def losing(project):
    """A project whose working tree loses about 41 percentage points."""
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")
    return project


def waive(project, *, limit, until):
    command = project.command("waive", TOP1, f"--limit={limit}", "--reason=a smaller model", f"--until={until}")
    subprocess.run(command, cwd=project.root, env=project.environ, check=True, capture_output=True)


def test_a_waived_loss_keeps_its_numbers_and_lets_the_gate_pass(losing):
    waive(losing, limit=0.5, until="2999-12-31")

    result = losing.gate()

    assert (result.status, result.finding["verdict"]) == (0, "waived")
    assert result.finding["estimate"] > 0.3
    assert "a smaller model" in result.stdout
    assert "2999-12-31" in result.stdout


@pytest.mark.parametrize(
    ("limit", "until", "words"),
    [
        pytest.param(0.5, "2020-01-31", "its waiver expired on 2020-01-31", id="expired"),
        pytest.param(0.1, "2999-12-31", "more than the 0.1 that its waiver accepts", id="too-small"),
    ],
)
def test_a_waiver_that_does_not_cover_the_loss_says_so(losing, limit, until, words):
    waive(losing, limit=limit, until="2999-12-31")
    losing.edit(".mainstay-waivers.toml", "2999-12-31", until)

    result = losing.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")
    assert words in result.finding["reason"]
