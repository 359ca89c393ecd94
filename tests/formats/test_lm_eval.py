"""A run of lm-evaluation-harness, made here: every row, score, hash and fact of its files is read."""

import json
from collections import Counter
from importlib.metadata import version

import pytest

from mainstay import cli
from mainstay.evaluation.formats import read_scores
from mainstay.records.metrics import Direction

GENERATED = """
task: sums
dataset_path: json
dataset_kwargs:
  data_files: {test: sums.jsonl}
test_split: test
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{answer}}"
repeats: 2
generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 0.7}
filter_list:
  - name: strict
    filter: [{function: take_first}]
  - name: flexible
    filter: [{function: regex, regex_pattern: "(-?[0-9]+|l)"}, {function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
CHOSEN = """
task: choices
dataset_path: json
dataset_kwargs:
  data_files: {test: choices.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
  - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_tool):
    """The folder of a run of two tasks: 40 sums, of which two are equal, with two filters; 60 choices, three scores."""
    folder = tmp_path_factory.mktemp("lm-eval")
    (folder / "sums.yaml").write_text(GENERATED)
    (folder / "choices.yaml").write_text(CHOSEN)
    # the dummy model answers "lol", so a part of the answers is right
    sums = [
        {"question": f"{i} + {i}?", "answer": "lol" if i % 3 else f"{2 * i}", "passage": f"p{i // 4}"}
        for i in range(39)
    ]
    write_lines(folder / "sums.jsonl", [*sums, sums[7]])
    write_lines(
        folder / "choices.jsonl",
        [
            {"question": f"Größe {i}?\u2028", "choices": ["no", "yes", f"maybe {i}"], "gold": i % 3, "passage": "one"}
            for i in range(60)
        ],
    )
    run_tool(
        folder,
        "lm_eval",
        *("-m", "lm_eval", "--model", "dummy", "--tasks", "sums,choices", "--include_path", "."),
        *("--log_samples", "--output_path", "out", "--seed", "7"),
    )
    return next((folder / "out").iterdir())


def write_lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(run, task):
    (file,) = run.glob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def results_of(run):
    (file,) = run.glob("results_*.json")
    return json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize("chosen", ["strict", "flexible"])
def test_every_row_of_the_chosen_filter_is_read_with_its_score_and_hashes(run, chosen):
    rows = [row for row in rows_of(run, "sums") if row["filter"] == chosen]

    items = [item for item in read_scores(run, chosen_filter=chosen, cluster="passage").items if item.task == "sums"]

    assert len(items) == len(rows) == 40
    assert {row["filter"] for row in rows_of(run, "sums")} == {"strict", "flexible"}
    assert [item.score for item in items] == [row["exact_match"] for row in rows]
    assert {item.score for item in items} == {0.0, 1.0} if chosen == "strict" else {0.0}
    assert [item.cluster for item in items] == [row["doc"]["passage"] for row in rows]
    assert [item.prompt for item in items] == [row["prompt_hash"] + row["target_hash"] for row in rows]
    assert [item.id.split("/")[0] for item in items] == [row["doc_hash"][:16] for row in rows]
    assert len({item.id for item in items}) == 40
    assert Counter(item.id.split("/")[1] for item in items) == {"1": 39, "2": 1}


def test_every_score_of_an_item_is_a_task_and_what_only_all_items_have_is_none(run):
    rows = rows_of(run, "choices")

    items = read_scores(run, chosen_filter="strict").items

    for name in ("acc", "acc_norm"):
        mine = [item for item in items if item.task == f"choices#{name}"]
        assert [item.score for item in mine] == [row[name] for row in rows]
        published = results_of(run)["results"]["choices"][f"{name},none"]
        assert sum(item.score for item in mine) / len(mine) == pytest.approx(published)
    assert {item.task for item in items} == {"sums", "choices#acc", "choices#acc_norm"}
    assert isinstance(rows[0]["brier_score"], list)


def test_equal_answers_have_equal_digests_and_others_have_not(run):
    rows = [row for row in rows_of(run, "choices")]
    answers = [json.dumps([row["resps"], row["filtered_resps"]]) for row in rows]

    digests = [item.digest for item in read_scores(run, chosen_filter="strict").items if item.task == "choices#acc"]

    assert [digests.index(digest) for digest in digests] == [answers.index(answer) for answer in answers]


def test_what_the_results_say_of_the_run_is_told(run):
    stored, results = read_scores(run, chosen_filter="strict"), results_of(run)

    assert stored.facts["lm_eval_version"] == version("lm-eval") == results["lm_eval_version"]
    assert stored.facts["model_source"] == "dummy"
    assert stored.facts["random_seed"] == "7"
    for task in ("sums", "choices"):
        assert stored.facts[f"hash of {task}"] == results["task_hashes"][task]
        assert stored.facts[f"few-shot examples of {task}"] == "0"
    assert stored.directions["choices#acc"] is Direction.HIGHER
    assert stored.directions["choices#brier_score"] is Direction.LOWER


def test_the_run_against_itself_passes_by_equal_answers(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["judge", str(run), str(run), "--margin", "0.02", "--filter", "strict", "--json", "run.json"]

    assert cli.run(arguments) == 0
    findings = json.loads((tmp_path / "run.json").read_text())["findings"]
    assert {finding["reason"] for finding in findings} >= {
        "identical outputs on 40 items",
        "identical outputs on 60 items",
    }
