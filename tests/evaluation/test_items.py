"""The items of both sides side by side: the same ones, repeats averaged, missing scores never dropped."""

from dataclasses import replace

import numpy as np
import pytest

from mainstay.evaluation.items import ItemsError, ScoredItem, Scores, pair_scores
from mainstay.records.metrics import Direction
from mainstay.records.trials import Side


def scores(*values, task="t", **more):
    items = tuple(ScoredItem(task=task, id=f"i{number}", score=value, **more) for number, value in enumerate(values))
    return Scores(format="plain", items=items)


def test_a_degradation_is_positive_whichever_way_is_better():
    (accuracy,) = pair_scores(scores(1.0, 1.0), scores(1.0, 0.0))
    baseline = Scores(format="plain", items=scores(2.0, 3.0).items, directions={"t": Direction.LOWER})
    (degradation,) = pair_scores(baseline, scores(2.0, 5.0))

    assert accuracy.differences.tolist() == [0.0, 1.0]
    assert degradation.differences.tolist() == [0.0, 2.0]


def test_either_side_may_say_which_way_is_better_and_both_must_agree():
    lower = Scores(format="plain", items=scores(2.0, 5.0).items, directions={"t": Direction.LOWER})
    higher = Scores(format="plain", items=scores(2.0, 3.0).items, directions={"t": Direction.HIGHER})

    (task,) = pair_scores(scores(2.0, 3.0), lower)

    assert task.differences.tolist() == [0.0, 2.0]
    with pytest.raises(ItemsError, match="disagree"):
        pair_scores(higher, lower)


def test_repeats_are_averaged_within_their_item():
    items = tuple(
        ScoredItem(task="t", id=name, score=value, repeat=repeat)
        for name, values in (("a", (1.0, 0.0)), ("b", (1.0, 1.0)))
        for repeat, value in enumerate(values)
    )
    side = Scores(format="plain", items=items)

    (task,) = pair_scores(side, side)

    assert task.scores[Side.BASELINE].tolist() == [0.5, 1.0]
    assert not task.is_binary


def test_missing_scores_count_as_the_worst_and_a_pass_must_also_hold_with_the_baseline_s_best():
    (task,) = pair_scores(scores(1.0, None, 0.0), scores(1.0, 1.0, None))

    assert task.scores[Side.BASELINE].tolist() == [1.0, 0.0, 0.0]
    assert task.scores[Side.CANDIDATE].tolist() == [1.0, 1.0, 0.0]
    assert task.guarded_differences.tolist() == [0.0, 0.0, 0.0]
    assert task.num_missing == {Side.BASELINE: 1, Side.CANDIDATE: 1}
    assert task.causes[Side.CANDIDATE] == {"not scored": 1}


def test_order_of_the_files_does_not_count():
    baseline, candidate = scores(1.0, 0.0, 1.0), scores(1.0, 1.0, 0.0)
    turned = Scores(format="plain", items=candidate.items[::-1])

    (straight,), (other,) = pair_scores(baseline, candidate), pair_scores(baseline, turned)

    assert np.array_equal(straight.differences, other.differences)


def test_equal_outputs_are_told_only_where_all_are_known():
    known, unknown = scores(1.0, 0.0, digest="a"), scores(1.0, 0.0)

    assert pair_scores(known, known)[0].is_identical
    assert not pair_scores(unknown, unknown)[0].is_identical


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        (scores(1.0, 1.0), scores(1.0), "the candidate lacks item 'i1' of t"),
        (scores(1.0), scores(1.0, 1.0, 1.0), "the baseline lacks item 'i1' and 1 more of t"),
        (scores(1.0, prompt="x"), scores(1.0, prompt="y"), "item 'i0' of t has another prompt or input"),
        (scores(1.0, 1.0, task=""), scores(1.0, task=""), "lacks item 'i1': both sides"),
        (scores(1.0, prompt="x", task=""), scores(1.0, prompt="y", task=""), "item 'i0' has another prompt or input"),
        (Scores(format="plain", items=scores(1.0).items * 2), scores(1.0), "comes twice in the baseline"),
        (Scores(format="plain", items=()), scores(1.0), "the baseline has no scored items"),
    ],
)
def test_items_that_cannot_be_compared_are_refused(baseline, candidate, said):
    with pytest.raises(ItemsError, match=said):
        pair_scores(baseline, candidate)


@pytest.mark.parametrize("other", ["exact_match,strict", "acc,flexible"])
def test_scores_of_another_filter_or_metric_are_refused(other):
    baseline, candidate, unknown = (
        replace(scores(1.0, 0.0), scorers=told) for told in ({"t": "exact_match,flexible"}, {"t": other}, {})
    )

    with pytest.raises(ItemsError, match=f"of t are 'exact_match,flexible' in the baseline and '{other}'"):
        pair_scores(baseline, candidate)
    assert pair_scores(baseline, baseline)
    assert pair_scores(baseline, unknown)


def test_only_a_declared_range_bounds_scores_that_are_no_shares():
    baseline, candidate = scores(1.0, 0.0, 1.0), scores(1.0, 1.0, 1.0)

    (free,) = pair_scores(baseline, candidate, unbounded=["t"])
    (declared,) = pair_scores(baseline, candidate, unbounded=["t"], ranges={"t": (0.0, 1.0)})

    assert (free.is_bounded, free.is_binary, free.score_range) == (False, False, (0.0, 1.0))
    assert (declared.is_bounded, declared.is_binary) == (True, True)


@pytest.mark.parametrize("rounded", [1 + 1e-9, 1.0000001192092896, -1e-9])
@pytest.mark.parametrize("side", list(Side))
def test_rounding_beyond_zero_or_one_makes_a_share_nothing_else(rounded, side):
    exact, inexact = scores(1.0, 0.0, 1.0), scores(1.0, 0.0, rounded)

    (task,) = pair_scores(*((inexact, exact) if side is Side.BASELINE else (exact, inexact)))

    assert (task.is_bounded, task.is_binary, task.score_range, task.num_outside) == (True, True, (0.0, 1.0), 0)


@pytest.mark.parametrize("beyond", [1.00001, -0.5, 34.2])
def test_a_candidate_cannot_turn_the_shares_of_the_baseline_into_other_numbers(beyond):
    with pytest.raises(ItemsError, match=rf"item 'i1' of t is {beyond:g}.* declare their range") as refused:
        pair_scores(scores(1.0, 0.0), scores(1.0, beyond))

    assert (refused.value.task, refused.value.side) == ("t", Side.CANDIDATE)
    assert pair_scores(scores(1.0, 0.0), scores(1.0, beyond), ranges={"t": (-1.0, 100.0)})
    assert pair_scores(scores(1.0, 0.0), scores(1.0, beyond), unbounded=["t"])


def test_a_baseline_that_is_no_share_leaves_the_candidate_free():
    (task,) = pair_scores(scores(1.0, 34.2), scores(0.5, 1.0))
    (unknown,) = pair_scores(scores(None, None), scores(0.5, 34.2))

    assert (task.is_bounded, unknown.is_bounded) == (False, False)


def test_other_prompts_are_taken_where_they_are_meant():
    assert pair_scores(scores(1.0, prompt="x"), scores(1.0, prompt="y"), prompt_changed=True)


def test_repeats_must_be_alike():
    twice = Scores(format="plain", items=(*scores(1.0).items, *scores(1.0, repeat=1).items))

    with pytest.raises(ItemsError, match="has 2 repeats in the baseline and 1 in the candidate"):
        pair_scores(twice, scores(1.0))


def test_an_item_without_a_label_is_a_cluster_of_its_own():
    items = tuple(
        ScoredItem(task="t", id=f"i{n}", score=1.0, cluster=name) for n, name in enumerate(["p", "p", "", ""])
    )
    side = Scores(format="plain", items=items)

    (task,) = pair_scores(side, side)

    assert len(set(task.clusters.tolist())) == 3
