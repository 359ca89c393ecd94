"""Scores of items as a workload records them, and the choice of the items of a look."""

import array
import math

import numpy as np
import pytest

from mainstay.runner.digests import RecordingError
from mainstay.runner.evaluation_markers import evaluation_looks, evaluation_metrics
from mainstay.runner.examples import choose_block
from mainstay.runner.recording import Trial
from mainstay.stats.scores import block_ends

IDS = [f"q{number}" for number in range(100)]
LOOKS = (0.1, 0.25, 0.5, 1.0)


def marker(**arguments):
    return pytest.mark.evaluation(**{"metric": "accuracy", "margin": 0.02, **arguments}).mark


def recorded(**columns):
    trial = Trial(seed=7)
    scores = columns.pop("scores", [1, 0, 1])
    trial.record_examples("accuracy", scores, **{"ids": ["a", "b", "c"], **columns})
    return trial.recorded()["examples"]["accuracy"]


def blocks(ids=IDS, clusters=None, tasks=None, seed=7):
    """The chosen positions at each look."""
    clusters, tasks = clusters or [""] * len(ids), tasks or [""] * len(ids)
    parts = zip((0.0, *LOOKS), LOOKS, strict=False)
    return [choose_block(ids, clusters, tasks, seed=seed, block=part) for part in parts]


def test_blocks_cover_every_item_once_in_sizes_that_the_statistics_expect():
    chosen = blocks()

    assert sorted(position for block in chosen for position in block) == list(range(100))
    assert np.cumsum([len(block) for block in chosen]).tolist() == block_ends(100, LOOKS).tolist()


def test_the_order_depends_on_seed_and_labels_but_not_on_the_order_of_the_items():
    first = {IDS[position] for position in blocks()[0]}
    mixed = IDS[::-1]

    assert {mixed[position] for position in blocks(mixed)[0]} == first
    assert {IDS[position] for position in blocks(seed=8)[0]} != first


def test_clusters_stay_together():
    clusters = [f"page {number // 10}" for number in range(100)]

    for block in blocks(clusters=clusters):
        assert all(sum(clusters[i] == clusters[position] for i in block) == 10 for position in block)


def test_every_task_gives_the_same_share():
    tasks = ["large" if number < 80 else "small" for number in range(100)]

    assert [sum(tasks[i] == "small" for i in block) for block in blocks(tasks=tasks)] == [2, 3, 5, 10]


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param((True, False, True), id="booleans"),
        pytest.param(np.array([1, 0, 1]), id="array"),
        pytest.param(np.array([1.0, 0.0, 1.0], dtype=np.float32), id="single-precision"),
        pytest.param(array.array("d", [1, 0, 1]), id="buffer"),
        pytest.param(memoryview(array.array("d", [1, 0, 1])), id="view"),
        pytest.param(iter([1, 0, 1]), id="iterator"),
    ],
)
def test_scores_come_in_any_sequence(scores):
    assert recorded(scores=scores)["scores"] == [1.0, 0.0, 1.0]


def test_scores_and_outputs_of_torch_need_no_conversion():
    torch = pytest.importorskip("torch")

    content = recorded(scores=torch.tensor([1.0, 0.0, 1.0]), outputs=torch.eye(3))

    assert content["scores"] == [1.0, 0.0, 1.0]
    assert len(set(content["digests"])) == 3
    assert content["outputs"] == []


def test_a_missing_score_keeps_its_reason():
    content = recorded(scores=[None, math.nan, 1.0], errors=["timed out", "", ""])

    assert content["scores"] == [None, None, 1.0]
    assert content["errors"] == ["timed out", "the score is nan", ""]


def test_the_digest_covers_id_score_and_output():
    base = recorded(outputs=["x", "y", "z"])["digests"]

    assert recorded(outputs=["x", "y", "z"])["digests"] == base
    assert recorded(outputs=["x", "y", "!"])["digests"][:2] == base[:2]
    assert recorded(outputs=["x", "y", "!"])["digests"][2] != base[2]
    assert recorded(outputs=["x", "y", "z"], scores=[1, 0, 0])["digests"][2] != base[2]
    assert recorded(outputs=["x", "y", "z"], ids=["a", "b", "d"])["digests"][2] != base[2]


def test_long_texts_are_cut_and_data_is_not_shown():
    content = recorded(inputs=["x" * 5000, "short", "text"], outputs=[[1, 2], np.zeros(3), 0.5])

    assert len(content["inputs"][0]) == 2003
    assert content["outputs"] == ["[1, 2]", "", "0.5"]


def test_ids_are_those_that_were_chosen():
    trial = Trial(seed=7, block=(0.0, 0.5))
    chosen = trial.choose(IDS, cluster=[f"c{number // 2}" for number in range(100)], task="sums")

    trial.record_examples("accuracy", [1] * len(chosen))

    content = trial.recorded()["examples"]["accuracy"]
    assert content["ids"] == [IDS[position] for position in chosen]
    assert (len(chosen), content["chosen_of"], set(content["tasks"])) == (50, 100, {"sums"})
    assert len(set(content["clusters"])) == 25


def test_batches_add_up_and_repeats_are_rows():
    trial = Trial(seed=7)
    for repeat in range(2):
        trial.record_examples("accuracy", [1, 0], ids=[1, 2], repeat=[repeat] * 2)

    content = trial.recorded()["examples"]["accuracy"]
    assert (content["ids"], content["repeats"]) == (["1", "2", "1", "2"], [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"scores": [1, 0]}, "3 entries for 2"),
        ({"scores": [1, "much", 0]}, "must be one number or None"),
        ({"scores": [1, -math.inf, 0]}, "is -inf: record None"),
        ({"scores": 1.0}, "one entry for each item is needed"),
        ({"scores": np.array(1.0)}, "one entry for each item is needed"),
        ({"scores": np.zeros((3, 2))}, "must be one number or None"),
        ({"ids": ["a", "b", "a"]}, "'a' was scored twice"),
        ({"ids": ["a", "", "c"]}, "an id is empty"),
        ({"ids": [1.5, 2, 3]}, "text or whole numbers, not 1.5"),
        ({"ids": None}, "need ids, unless choose"),
        ({"repeat": [0, -1, 0]}, "whole numbers from 0"),
        ({"cluster": ["a"]}, "1 entries for 3"),
        ({"outputs": "abc"}, "one entry for each item is needed"),
        ({"outputs": [object(), "b", "c"]}, "a digest takes"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns, said):
    with pytest.raises(RecordingError, match=said):
        recorded(**columns)


def test_an_id_cannot_be_chosen_twice():
    with pytest.raises(RecordingError, match="'a' comes twice"):
        Trial(seed=7).choose(["a", "a"])


def test_a_marker_with_tasks_gates_their_mean_and_each():
    mean, easy, hard = evaluation_metrics(marker(tasks={"easy": 0.05, "hard": 0.04}, tier="guard"))

    assert (mean["scoring"]["tasks"], mean["margin"]) == (["easy", "hard"], 0.02)
    assert (easy["name"], easy["scoring"]["task"], hard["margin"]) == ("accuracy/easy", "easy", 0.04)
    assert {each["scoring"]["tier"] for each in (mean, easy, hard)} == {"guard"}


def test_a_range_beyond_a_share_makes_a_plain_number():
    (metric,) = evaluation_metrics(marker(range=(0, 100), margin=2))

    assert (metric["unit"], metric["scoring"]["range"]) == ("1", [0.0, 100.0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"margin": 2}, "write 0.02 for 2 points"),
        ({"margin": 0}, "above 0"),
        ({"range": (0, 10), "margin": 5}, "half the range"),
        ({"range": (1, 0)}, "smallest score first"),
        ({"range": 1}, "smallest and the largest"),
        ({"tier": "soft"}, "knows tiers"),
        ({"tasks": "easy"}, "names of tasks"),
        ({"tasks": ["easy"]}, "at least two tasks"),
        ({"tasks": ["easy", "easy"]}, "each named once"),
        ({"tasks": {"easy": 0.05, "hard": "much"}}, "a margin above 0"),
        ({"metric": "a/b"}, "without '/'"),
        ({"ceiling": 1.0}, "no argument 'ceiling'"),
        ({"direction": "up"}, "directions"),
    ],
)
def test_markers_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(RecordingError, match=said):
        evaluation_metrics(marker(**arguments))


@pytest.mark.parametrize("looks", [0.5, "all", (), (0.5,), (0.5, 0.25, 1.0), (0.0, 1.0), (0.5, "1")])
def test_looks_that_cannot_be_are_refused(looks):
    with pytest.raises(RecordingError, match="marker evaluation needs"):
        evaluation_looks([marker(looks=looks)])


def test_two_markers_want_the_same_looks():
    assert evaluation_looks([marker(looks=LOOKS), marker(metric="f1")]) == list(LOOKS)
    with pytest.raises(RecordingError, match="different looks"):
        evaluation_looks([marker(looks=LOOKS), marker(metric="f1", looks=(0.5, 1.0))])
