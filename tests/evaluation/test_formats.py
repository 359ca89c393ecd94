"""Stored results of other tools: nothing that they say is lost, and nothing that is broken is taken."""

import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from mainstay.evaluation import formats
from mainstay.evaluation.formats import read_scores
from mainstay.records.errors import MainstayError, StoreError, UsageError
from mainstay.records.metrics import Direction

FILES = Path(__file__).with_name("files")
LOG_OF_THE_CANDIDATE = next((FILES / "inspect" / "candidate").glob("*.json"))
EVAL_LOG = next((FILES / "inspect" / "baseline").glob("*.eval"))
ARITH = next((FILES / "lm_eval").glob("samples_tiny_arith_*"))


def scores_of(stored):
    return {(item.task, item.id, item.repeat): item.score for item in stored.items}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_plain_form_reads_alike_in_every_kind_of_file(suffix):
    stored = read_scores(FILES / "plain" / f"arith.{suffix}")

    assert scores_of(stored) == {
        ("arith", "q1", 0): 1.0,
        ("arith", "q1", 1): 1.0,
        ("arith", "q2", 0): 0.0,
        ("arith", "q2", 1): 1.0,
        ("arith", "q3", 0): None,
        ("arith", "q3", 1): 1.0,
    }
    assert {item.cluster for item in stored.items} == {"p0", "p1"}
    assert [item.error for item in stored.items if item.score is None] == ["timeout"]


def test_lm_eval_folder_gives_every_task_and_score_of_the_chosen_filter():
    stored = read_scores(FILES / "lm_eval", chosen_filter="strict", cluster="passage")

    rows = [json.loads(line) for line in ARITH.read_text().splitlines()]
    assert {item.task for item in stored.items} == {"tiny_arith", "tiny_mc#acc", "tiny_mc#acc_norm"}
    assert sum(item.task == "tiny_arith" for item in stored.items) == sum(row["filter"] == "strict" for row in rows)
    assert [item.cluster for item in stored.items if item.task == "tiny_arith"] == ["p0", "p1", "p1"]
    assert stored.facts["lm_eval_version"] == "0.4.13"
    assert stored.directions["tiny_mc#acc"] is Direction.HIGHER


def test_lm_eval_with_two_filters_asks_which():
    with pytest.raises(UsageError, match="tiny_arith has 2 filters of answers: strict, flexible") as caught:
        read_scores(ARITH)

    assert "--filter strict" in caught.value.next_step


@pytest.mark.parametrize(
    ("told", "directions"),
    [
        ({"exact_match": None}, {}),
        ({"exact_match": "yes"}, {}),
        ({"exact_match": None, "errors": False}, {"tiny_arith#errors": Direction.LOWER}),
        ({"errors": False}, dict.fromkeys(("tiny_arith", "tiny_arith#errors"), Direction.LOWER)),
    ],
)
def test_only_what_lm_eval_says_of_a_metric_makes_it_lower_is_better(tmp_path, told, directions):
    shutil.copy(ARITH, tmp_path)
    beside = tmp_path / f"results_{ARITH.stem.rpartition('_')[2]}.json"
    beside.write_text(json.dumps({"higher_is_better": {"tiny_arith": told}}))

    stored = read_scores(tmp_path, chosen_filter="strict")

    assert stored.directions == directions
    assert ("better direction of exact_match of tiny_arith" in stored.facts) == ("exact_match" in told)


def test_what_scored_a_task_is_known():
    of_lm_eval = read_scores(FILES / "lm_eval", chosen_filter="flexible")

    assert of_lm_eval.scorers == {
        "tiny_arith": "exact_match,flexible",
        "tiny_mc#acc": "acc,none",
        "tiny_mc#acc_norm": "acc_norm,none",
    }
    assert of_lm_eval.facts["filter of tiny_arith"] == "flexible"
    assert read_scores(LOG_OF_THE_CANDIDATE).scorers == {"arith": "match"}


def test_a_document_that_comes_twice_is_one_unit(tmp_path):
    lines = [json.loads(line) for line in ARITH.read_text().splitlines()][:1]
    file = tmp_path / ARITH.name
    file.write_text("".join(json.dumps(row) + "\n" for row in lines * 2))

    stored = read_scores(file)

    first, second = stored.items
    assert first.id != second.id
    assert first.cluster == second.cluster != ""


def test_an_errored_sample_of_inspect_is_missing_and_not_left_out():
    stored = read_scores(LOG_OF_THE_CANDIDATE, cluster="passage")

    missing = [item for item in stored.items if item.score is None]
    assert len(stored.items) == 6
    assert [(item.id, item.repeat) for item in missing] == [("q3", 1)]
    assert "made-up timeout" in missing[0].error
    assert stored.facts["status"] == "success"


def test_an_eval_log_says_what_its_json_says():
    from_archive = read_scores(EVAL_LOG, cluster="passage")
    from_json = read_scores(next(EVAL_LOG.parent.glob("*.json")), cluster="passage")

    assert scores_of(from_archive) == scores_of(from_json)
    assert [item.prompt for item in from_archive.items] == [item.prompt for item in from_json.items]


def test_promptfoo_errors_are_missing_and_repeats_come_in_order():
    stored = read_scores(FILES / "promptfoo" / "results_handmade.json")

    assert len(stored.items) == 6
    assert sorted({item.repeat for item in stored.items}) == [0, 1]
    assert sum(item.score is None for item in stored.items) == 1


def results_of_two(folder, first, second):
    """The results of promptfoo, and the same of another provider in the next column of its table."""
    document = json.loads((FILES / "promptfoo" / "results_handmade.json").read_text())
    rows = document["results"]["results"]
    again = [row | {"provider": second, "promptIdx": 1} for row in rows]
    document["results"]["results"] = [row | {"provider": first} for row in rows] + again
    file = folder / "results.json"
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ({"id": "echo"}, {"id": "other"}, ["echo", "other"]),
        ({"id": "echo", "label": "cold"}, {"id": "echo", "label": "warm"}, ["cold", "warm"]),
    ],
)
def test_several_providers_of_promptfoo_are_tasks_and_not_repeats(tmp_path, first, second, names):
    stored = read_scores(results_of_two(tmp_path, first, second))

    assert Counter(item.task for item in stored.items) == {f"What is {{{{q}}}}?#{name}": 6 for name in names}
    assert {item.repeat for item in stored.items} == {0, 1}


def test_two_providers_of_promptfoo_that_no_name_tells_apart_are_refused(tmp_path):
    file = results_of_two(tmp_path, {"id": "echo"}, {"id": "echo"})

    with pytest.raises(StoreError, match="two prompts or providers named") as caught:
        read_scores(file)

    assert "label" in caught.value.next_step


HOSTILE = {
    "truncated.jsonl": '{"id": "a", "score": 1}\n{"id": "b", "sc',
    "deep.jsonl": "[" * 100_000,
    "list.jsonl": "[1, 2]\n",
    "nan.jsonl": '{"id": "a", "score": NaN}\n',
    "infinite.jsonl": '{"id": "a", "score": 1e999}\n',
    "words.jsonl": '{"id": "a", "score": "good"}\n',
    "no_id.jsonl": '{"score": 1}\n',
    "formula.csv": "id,score\na,=1+1\n",
    "ragged.csv": "id,score\na,1,2,3\n",
    "pickle.parquet": "\x80\x04\x95K.",
    "other.json": '{"a": 1}',
    "deep.json": '{"a":' * 100_000,
    "no_archive.eval": "PK nothing",
    "unknown.xlsx": "a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_broken_files_are_refused_with_place_and_next_step(tmp_path, name):
    file = tmp_path / name
    file.write_text(HOSTILE[name])

    with pytest.raises(MainstayError) as caught:
        read_scores(file)

    assert caught.value.exit_status in {2, 4}
    assert name in caught.value.looked_in
    assert caught.value.next_step


def test_a_line_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 1000)
    file = tmp_path / "long.jsonl"
    file.write_text('{"id": "' + "a" * 5000)

    with pytest.raises(StoreError, match="a line of more than"):
        read_scores(file)


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_DOCUMENT_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("summaries.json", " " * 100_000)

    with pytest.raises(StoreError, match=r"summaries.json is larger"):
        read_scores(tmp_path / "bomb.eval")


def test_a_damaged_archive_is_refused(tmp_path):
    with zipfile.ZipFile(EVAL_LOG) as archive:
        start = archive.getinfo("summaries.json").header_offset
    copy = tmp_path / "cut.eval"
    content = EVAL_LOG.read_bytes()
    copy.write_bytes(content[: start + 60] + bytes(400) + content[start + 460 :])
    with zipfile.ZipFile(tmp_path / "crc.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}" * 100)
        archive.writestr("summaries.json", "[]" * 100)
    damaged = bytearray((tmp_path / "crc.eval").read_bytes())
    damaged[45:50] = b"\xff" * 5
    (tmp_path / "crc.eval").write_bytes(damaged)

    for file in (copy, tmp_path / "crc.eval"):
        with pytest.raises(MainstayError) as caught:
            read_scores(file)
        assert file.name in caught.value.looked_in


def test_nothing_to_read_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(UsageError, match="no stored results"):
        read_scores(tmp_path)
    with pytest.raises(UsageError, match="there is no such file"):
        read_scores(tmp_path / "nothing.jsonl")
