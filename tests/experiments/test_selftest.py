"""What the self-test keeps and concludes; nothing is gated here."""

import pytest

from experiments import selftest
from experiments.selftest import Repository, broken_bars, share


@pytest.mark.parametrize(
    ("count", "n", "is_broken"),
    [
        pytest.param(0, 60, False, id="none"),
        pytest.param(1, 60, False, id="one, which chance explains"),
        pytest.param(5, 60, True, id="more than chance explains"),
        pytest.param(4, 4, True, id="always"),
        pytest.param(0, 0, False, id="nothing gated"),
    ],
)
def test_a_bar_is_broken_where_chance_does_not_explain_it(count, n, is_broken):
    case = {"case": "A/A", "against_the_bar": share(count, n)}

    assert broken_bars([case]) == ([case] if is_broken else [])


def test_what_has_no_bar_breaks_none():
    assert broken_bars([{"case": "+5 %", "against_the_bar": None}]) == []


def test_only_cases_whose_planned_gates_are_there_are_results(tmp_path):
    cases = [
        {"case": "A/A", "gates": 60, "wanted": 60},
        {"case": "+3 % step time", "gates": 4, "wanted": 10},
    ]

    document = selftest.document(selftest.Journal(tmp_path / "gates.jsonl", None), {}, cases)

    assert document["cases"] == cases[:1]
    assert document["not_measured_yet"] == ["+3 % step time"]


def test_a_repository_is_whole_or_not_there(tmp_path, monkeypatch):
    def interrupted(repository, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "git", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Repository(tmp_path / "subject")

    repository = Repository(tmp_path / "subject")

    assert repository.git("log", "--format=%s", "main") == "The subject as it is"
    assert (repository.root / "pyproject.toml").is_file()


def test_what_is_kept_is_of_the_same_subject(tmp_path, monkeypatch):
    measured = []

    def confirm(*arguments):
        measured.append(arguments)
        return {"fixed": 1}

    monkeypatch.setattr(selftest, "confirm", confirm)

    repository, cost = selftest.prepared(tmp_path)
    again, same_cost = selftest.prepared(tmp_path)
    monkeypatch.setattr(selftest, "made_of", lambda: [selftest.CONFIRM])
    other, _ = selftest.prepared(tmp_path)

    assert (again.root, same_cost) == (repository.root, cost)
    assert len(measured) == 2
    assert other.root != repository.root
