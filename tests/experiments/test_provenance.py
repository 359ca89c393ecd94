"""What stands beside figures, and how they are written."""

import json

import pytest

from experiments import provenance
from tests.repositories import git


def test_a_document_is_written_with_a_line_for_each_row_and_reads_back(tmp_path):
    document = {
        "provenance": {"seed": 1},
        "rows": [{"a": 1, "b": [2, None]}, {"a": 2}],
        "empty": [],
        "n": 3,
        "none": None,
    }
    place = tmp_path / "made" / "results.json"

    provenance.write_results(place, document)

    text = place.read_text("utf-8")
    assert json.loads(text) == document
    assert {'  {"a": 1, "b": [2, null]},', '  {"a": 2}'} <= set(text.splitlines())


def test_rows_go_on_where_they_stopped(tmp_path):
    place = tmp_path / "results.json"

    for number in range(2):
        rows = provenance.Rows(place, "rows", lambda done: {"n": len(done), "rows": done})
        rows.add({"number": number})

    assert json.loads(place.read_text("utf-8")) == {"n": 2, "rows": [{"number": 0}, {"number": 1}]}


@pytest.fixture
def repository(tmp_path, monkeypatch, own_git_settings):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    (tmp_path / "README.md").write_text("")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        git(tmp_path, *command)
    return tmp_path


def test_a_commit_is_marked_where_what_is_measured_differs_from_it(repository):
    commit = provenance.commit()
    (repository / "README.md").write_text("words")
    assert (provenance.commit(), len(commit)) == (commit, 40)

    (repository / "src" / "a.py").write_text("a = 1")
    assert provenance.commit() == f"{commit}-dirty"


def test_a_copy_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    assert not provenance.commit()


def test_rows_of_a_campaign_are_counted_by_commit_and_by_machine():
    rows = [{"commit": "a", "machine": "m"}, {"commit": "b", "machine": "m"}, {"commit": "b", "machine": "m"}]

    assert provenance.measured_at(rows) == {"commits": {"a": 1, "b": 2}, "machines": {"m": 3}}
