"""The first place where the revisions differ, in the run document and in every form of the report."""

from dataclasses import replace

import pytest

from mainstay.reports.steps import next_steps
from mainstay.reports.view import EXPLANATION_TITLE, MAX_EXPLANATION, view_run
from mainstay.store.documents import run_from_json, run_to_json

SAID = ("first difference: in step 2", "aten.mul.Tensor(other=2.0) in module Net.head", "loss = loss * 2")


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit", "terminal"])
def test_every_report_shows_the_explanation_of_a_run_that_has_one(explained, failing, renderers, form):
    told = renderers[form](explained)

    assert all(words in told for words in SAID)
    assert EXPLANATION_TITLE[1:] in told
    assert EXPLANATION_TITLE[1:] not in renderers[form](failing)


def test_the_explanation_is_part_of_the_document_and_changes_no_verdict(explained, failing):
    assert run_from_json(run_to_json(explained), where="run") == explained
    assert replace(view_run(explained), explanation=(), next_steps=()) == replace(view_run(failing), next_steps=())


def test_an_explained_run_is_not_sent_to_the_explain_command(explained, failing):
    commands = [[step.command for step in next_steps(run, view_run(run).findings)] for run in (failing, explained)]

    assert [any(command.startswith("mainstay explain") for command in each) for each in commands] == [True, False]


def test_of_a_very_long_explanation_a_report_shows_the_beginning(explained):
    found = explained.explanation
    long = replace(found, hunks=found.hunks * MAX_EXPLANATION)

    lines = view_run(replace(explained, explanation=long)).explanation

    assert len(lines) == MAX_EXPLANATION + 1
    assert lines[-1].endswith(" more lines, in the run document")
