"""The first place where two revisions part, found by the command in a real repository."""

import json

import pytest

from tests.end_to_end.settings import FORKED

MODEL = "src/subject/model.py"


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_the_first_recorded_value_that_differs_is_named_with_the_change(project):
    project.edit(MODEL, "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0003")
    project.commit("Learn with care")
    gated = project.gate("--baseline", "HEAD~1", "--candidate", "HEAD", "--pairs", "5", "--explain")
    assert gated.status in {1, 3}

    explained = project.run("explain", "--json", "explanation.json")

    assert explained.returncode == 0, explained.stderr
    assert "first difference: value top1_accuracy differs: " in explained.stdout
    line = (project.root / MODEL).read_text().splitlines().index("LEARNING_RATE = 0.0003") + 1
    assert f"its line is not known; the only change of Python code:\n  {MODEL}:{line}\n" in explained.stdout
    assert "    +LEARNING_RATE = 0.0003" in explained.stdout
    written = json.loads((project.root / "explanation.json").read_text())
    assert written["difference"]["parting"] == "recorded"
    assert written["nearness"] == "elsewhere"
    assert gated.run["explanation"]["difference"]["recorded"] == written["difference"]["recorded"]
    assert gated.run["exit_status"] == gated.status
