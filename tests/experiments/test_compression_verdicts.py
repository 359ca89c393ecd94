import json

import pytest

pytest.importorskip("torch")

from experiments import compression_verdicts
from experiments.compression import RESULTS


def scores(path, wrong):
    rows = ({"task": "mnist", "id": f"image {i}", "score": int(i not in wrong)} for i in range(2000))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_scores_are_judged_as_stored_results_are(tmp_path):
    parent, same = scores(tmp_path / "parent.jsonl", {1}), scores(tmp_path / "same.jsonl", {1})
    worse = scores(tmp_path / "worse.jsonl", set(range(100)))

    assert compression_verdicts.judge(parent, same)["verdict"] == "pass"
    judged = compression_verdicts.judge(parent, worse)
    assert (judged["verdict"], judged["lost"], judged["gained"]) == ("fail", 99, 0)


@pytest.mark.parametrize(
    ("verdict", "degradation", "wrong"),
    [
        ("pass", (0.0, 0.001), False),
        ("pass", (0.009, 0.02), False),
        ("pass", (0.0101, 0.02), True),
        ("fail", (0.0, 0.0049), True),
        ("fail", (0.0, 0.0051), False),
        ("inconclusive", (0.3, 0.4), False),
    ],
)
def test_a_verdict_contradicts_what_excludes_it(verdict, degradation, wrong):
    assert compression_verdicts.contradicts(verdict, degradation) is wrong


def test_verdicts_agree_with_the_measured_table():
    results = json.loads((RESULTS / "compression_verdicts.json").read_text())
    table = json.loads((RESULTS / "compression.json").read_text())["rows"]

    assert [row["model"] for row in results["rows"]] == [row["model"] for row in table if row["model"] != "parent"]
    for row in results["rows"]:
        said = [verdict for verdict in compression_verdicts.VERDICTS if row[verdict]]
        assert not any(compression_verdicts.contradicts(verdict, row["measured"]["interval"]) for verdict in said)
        assert sum(row[verdict] for verdict in said) == len(results["seeds"])
        assert row["contradictions"] == 0
