"""A search for a planted commit by real gates, and the history that keeps what they measured."""

import pytest

from tests.end_to_end.settings import FORKED

MODEL, PYPROJECT = "src/subject/model.py", "pyproject.toml"


@pytest.mark.slow  # tests/commands/test_bisect.py searches with gates that are told their results
def test_a_planted_commit_is_named_and_one_that_does_not_build_is_skipped(project):
    good = project.git("rev-parse", "HEAD")
    project.edit(MODEL, "in plain Python", "by hand")
    project.commit("Say it in other words")
    project.edit(PYPROJECT, 'version = "1.0"', 'version = "no version"')
    project.commit("Break the build")
    project.edit(PYPROJECT, 'version = "no version"', 'version = "1.0"')
    project.commit("Mend the build")
    project.edit(MODEL, "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0003")
    culprit = project.commit("Learn with care")
    project.edit(MODEL, "by hand", "by hand alone")
    project.commit("Say it in still other words")

    found = project.run("bisect", good, "HEAD", "--metric", "top1_accuracy")

    assert found.returncode == 0, found.stdout + found.stderr
    assert "the guilty commit, with " in found.stdout
    assert f"  {culprit[:10]}  2026-11-23  Learn with care" in found.stdout
    assert "against its parent:" in found.stdout
    assert "after 1 of at most" in found.stderr

    again = project.run("bisect", good, "HEAD", "--metric", "top1_accuracy")
    assert again.stdout == found.stdout


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_an_anchor_measures_a_fixed_number_of_pairs_and_is_kept(project):
    project.edit(MODEL, "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0003")
    project.commit("Learn with care")

    result = project.gate("--baseline", "HEAD~1", "--candidate", "HEAD", "--pairs", "6", "--json", "run.json")

    assert result.status == 1
    assert (result.run["plan"]["looks"], len(result.finding["degradations"])) == ([6], 6)
    kept = project.run("history", "add", "run.json", "--kind", "anchor")
    assert kept.returncode == 0, kept.stderr
    shown = project.run("history", "show", project.git("rev-parse", "HEAD"))
    assert "in the first 5 of 6 pairs" in shown.stdout

    project.edit(MODEL, "in plain Python", "by hand")
    project.commit("Say it in other words")
    later = project.gate("--baseline", "HEAD~1", "--candidate", "HEAD")
    assert later.finding["earlier_runs"]["num_runs"] == 1
    assert "      earlier runs: " in later.stdout
    assert "points worse since " in later.stdout
