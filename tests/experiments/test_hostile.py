"""What the hostile campaign draws and how it counts; most of it gates nothing."""

import json

import pytest

from experiments import hostile

EVERY = [(kind, name) for kind, changes in hostile.CHANGES.items() for name in changes]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return hostile.Campaign(tmp_path_factory.mktemp("campaign"))


def test_a_number_always_stands_for_the_same_candidate():
    assert hostile.draw(7) == hostile.draw(7)
    assert hostile.draw(7) != hostile.draw(7, attempt=1)


def test_a_campaign_of_some_length_has_every_ruin_and_every_change():
    drawn = [hostile.draw(number) for number in range(hostile.NUM_CANDIDATES)]

    assert {candidate.ruin for candidate in drawn} == {*hostile.RUINS}
    assert {change for candidate in drawn for change in candidate.changes} == {*EVERY}
    assert {len(candidate.changes) for candidate in drawn} == {1, 2, 3}
    assert {candidate.committed for candidate in drawn} == {False, True}


def test_every_ruin_and_every_change_applies(campaign):
    ruins = list(hostile.RUINS)

    for number, change in enumerate(EVERY):
        ruin = ruins[number % len(ruins)]
        campaign.apply(hostile.Candidate(number=0, ruin=ruin, changes=(change,), committed=False))
        assert campaign.project.git("status", "--porcelain")


def test_changes_that_exclude_each_other_are_told(campaign):
    both = (("marker", "margin 0.9"), ("marker", "removed"))

    with pytest.raises(hostile.DoesNotApplyError):
        campaign.apply(hostile.Candidate(number=0, ruin="no epoch", changes=both, committed=False))


def row(**values):
    known = {"number": 0, "ruin": "no epoch", "changes": [["marker", "removed"]], "status": 1, "verdict": "fail"}
    return {**known, **values}


def test_a_model_that_passed_is_counted_wherever_it_appears():
    rows = [row(), row(number=1, status=0, verdict="pass"), row(number=2, status=-9, verdict="none")]

    document = hostile.summarise(rows)

    assert (document["candidates"], document["passed"]) == (3, 1)
    (by_change,) = document["by_change"]
    assert (by_change["change"], by_change["exit 1"], by_change["other exit"]) == ("marker: removed", 1, 1)
    assert [each["passed"] for each in document["by_kind"] if each["kind"] == "marker"] == [1]


@pytest.mark.parametrize("planned", [2, 3])
def test_only_a_campaign_whose_candidates_are_all_there_is_written(tmp_path, monkeypatch, planned):
    monkeypatch.setattr(hostile, "STATE", tmp_path)
    monkeypatch.setattr(hostile, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(hostile, "NUM_CANDIDATES", planned)
    rows = [row(number=number) for number in range(2)]
    lines = [{"digest": hostile.generator_digest()}, *rows]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert hostile.main(["--candidates", "2"]) == 0

    assert (tmp_path / "results.json").exists() == (planned == 2)


def test_a_journal_of_another_gate_is_put_aside(tmp_path):
    journal = tmp_path / "journal.jsonl"
    journal.write_text(json.dumps({"digest": "old"}) + "\n" + json.dumps(row()) + "\n")

    assert hostile.read_journal(journal, "old") == [row()]
    assert hostile.read_journal(journal, "new") == []
    assert not journal.exists()


@pytest.mark.slow
@pytest.mark.package_index
def test_hostile_candidates_do_not_pass(campaign):
    rows = [campaign.run(number) for number in range(3)]

    assert not [each for each in rows if hostile.is_wrong(each)]
