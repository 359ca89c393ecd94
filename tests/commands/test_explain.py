"""Which run and which workload the explain command takes."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from mainstay.commands import explain as explaining
from mainstay.commands.explain import find_run, recorded_by_gate
from mainstay.records.errors import UsageError
from mainstay.records.explanations import Explanation, FirstDifference, Hunk, Nearness, Parting
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.reports.explanation import render_explanation
from mainstay.store.documents import run_from_json
from mainstay.store.journal import Journal

SAMPLE = Path(__file__).parents[2] / "docs" / "samples" / "failing.json"


def stored(root, folder, name):
    document = root / ".mainstay" / folder / name / "run.json"
    document.parent.mkdir(parents=True)
    document.write_text("{}")
    return document


def test_a_judgement_of_pieces_is_found_by_its_name_and_the_latest_gate_by_none(tmp_path):
    judgement = stored(tmp_path, "judgements", "20261129T052122-000")
    stored(tmp_path, "runs", "20261128T000000-000")
    latest = stored(tmp_path, "runs", "20261129T000000-000")

    assert find_run(tmp_path, "20261129T052122-000") == judgement
    assert find_run(tmp_path, str(judgement)) == judgement
    assert find_run(tmp_path, "") == latest
    with pytest.raises(UsageError, match="there is no run 'other'"):
        find_run(tmp_path, "other")


def test_no_difference_does_not_hide_what_the_gate_itself_recorded(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    for side, digest in (("baseline", "d"), ("candidate", "e")):
        journal.append_trial(
            Trial(workload="w", side=Side(side), seed=7, pair=0, outcome=Outcome.COMPLETED, digest=digest)
        )
    differing, other_seed, nowhere = (
        recorded_by_gate(folder, "w", seed) for folder, seed in ((tmp_path, 7), (tmp_path, 8), (tmp_path / "no", 7))
    )
    explanation = Explanation(
        run="r",
        workload="w",
        seed=7,
        baseline="0" * 40,
        candidate="1" * 40,
        difference=FirstDifference(parting=Parting.NOTHING, cause="both recorded the same"),
        recorded_by_gate=differing,
    )

    lines = render_explanation(explanation).splitlines()

    assert (other_seed, nowhere) == ("", "")
    assert lines[3:5] == [
        "no difference: both recorded the same",
        "  but in the gate's own trials the recorded digest differs, and nothing else that is recorded",
    ]


@pytest.mark.in_repository
@pytest.mark.parametrize(
    "error", [UsageError("no such workload"), ZeroDivisionError("of mainstay"), KeyboardInterrupt()]
)
def test_an_explanation_that_fails_leaves_the_verdict_and_says_why_it_is_missing(monkeypatch, tmp_path, error):
    failing = run_from_json(SAMPLE.read_text("utf-8"), where="sample")
    monkeypatch.setattr(explaining, "explain_run", Mock(side_effect=error))

    run = explaining.with_explanation(Mock(), failing, tmp_path, environ={}, observer=Mock())

    assert replace(run, notes=failing.notes) == failing
    assert run.notes[-1].startswith("where the revisions differ first was not found: ")


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ("def train(seed):", "model.py:3 def train(seed):"),
        ("class Model:", "model.py:3 class Model:"),
        ("import os", "model.py:3"),
    ],
)
def test_a_change_is_shown_with_the_definition_around_it(function, place):
    hunk = Hunk(
        file="model.py", before=3, num_before=1, after=3, num_after=1, lines=("-a = 1", "+a = 2"), function=function
    )
    explanation = Explanation(
        run="r",
        workload="w",
        seed=7,
        baseline="0" * 40,
        candidate="1" * 40,
        difference=FirstDifference(parting=Parting.RECORDED, recorded="value a differs: 1 -> 2"),
        nearness=Nearness.ELSEWHERE,
        hunks=(hunk,),
        num_hunks=1,
    )

    lines = render_explanation(explanation).splitlines()

    assert "its line is not known; the only change of Python code:" in lines
    assert f"  {place}" in lines
