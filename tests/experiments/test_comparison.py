"""What is made of the answers of several tools; no tool is asked here."""

import pytest

from experiments import comparison
from experiments.planting import CASES
from experiments.provenance import write_results
from experiments.selftest import Journal


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "PLANNED", 2)
    journal = Journal(tmp_path / "gates.jsonl", tmp_path / "none.json")
    for case, gate, is_alarm in (
        ("A/A", "pass", True),
        ("A/A", "inconclusive", False),
        ("+10 % step time", "fail", True),
    ):
        journal.append({"case": case, "gate": gate, "alarms": {"other": is_alarm}, "machine": "m"})
    return journal


def test_alarms_are_counted_by_tool_and_case(journal):
    rows = {(row["case"], row["tool"]): row for row in comparison.summarise(journal)}

    assert rows["A/A", "mainstay gate"]["alarms"]["rate"] == 0
    assert rows["A/A", "mainstay gate"]["inconclusive"] == 1
    assert rows["A/A", "other"]["alarms"]["rate"] == 0.5


def test_only_cases_whose_planned_gates_are_there_are_results(journal):
    document = comparison.document(journal, {})

    assert {row["case"] for row in document["alarms"]} == {"A/A"}
    assert document["not_measured_yet"] == ["+10 % step time"]


def test_nothing_is_written_before_a_case_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "prepared", lambda state: (None, {}))
    monkeypatch.setattr(comparison, "versions", lambda *names: {})

    comparison.main(["--rounds", "0", "--state", str(tmp_path), "--output", str(tmp_path / "results.json")])

    assert not (tmp_path / "results.json").exists()


def test_the_case_asked_least_often_comes_next(journal):
    case, number = comparison.next_case(journal)

    assert (case.name, number) == ("+10 % step time", 1)


def test_a_journal_begins_with_what_was_published(journal, tmp_path):
    published = tmp_path / "published.json"
    write_results(published, comparison.document(journal, {}))

    again = Journal(tmp_path / "elsewhere.jsonl", published)

    assert again.gates == journal.gates
    assert Journal(tmp_path / "elsewhere.jsonl", tmp_path / "none.json").gates == journal.gates


def test_every_compared_case_is_one_of_the_self_test():
    assert set(comparison.COMPARED) <= CASES.keys()


@pytest.mark.parametrize(("slower", "percent", "expected"), [(1.06, 5, True), (1.06, 10, False), (0.9, 5, False)])
def test_one_slower_workload_raises_an_alarm(slower, percent, expected):
    base = {"test_a": {"min_ns": 100.0}, "test_b": {"min_ns": 20.0}}
    change = base | {"test_b": {"min_ns": 20.0 * slower}}

    assert comparison.is_slower({"base": base, "change": change}, "min_ns", percent) is expected
