"""Metrics of pairs and of items together: one family, one error rate, whatever the numbers of looks."""

from dataclasses import replace

import numpy as np
import pytest

from mainstay.gates.evaluation import ScoredDifferences
from mainstay.gates.family import judge_family
from mainstay.gates.jointly import judge_jointly
from mainstay.gates.policy import Design
from mainstay.gates.tasks import Evaluation, TaskSamples, acknowledge_gains, weigh_evaluation
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.metrics import FRACTION, Direction, Kind, Metric, Scoring
from mainstay.stats.proportions import clopper_pearson_interval
from mainstay.stats.scores import block_ends, block_weights

SHARES = (0.1, 0.25, 0.5, 1.0)
NUM_ITEMS = 1319


def flips(num_items, lost, gained):
    return np.array([1.0] * lost + [-1.0] * gained + [0.0] * (num_items - lost - gained))


def evaluation(*looks, weights=(1.0,), margin=0.02, name="accuracy"):
    metric = Metric(
        workload="e",
        name=name,
        kind=Kind.ACCURACY,
        direction=Direction.HIGHER,
        margin=margin,
        unit=FRACTION,
        scoring=Scoring(score=name),
    )
    samples = [
        TaskSamples(
            metric=metric,
            items=ScoredDifferences(
                differences=differences, guarded=differences, clusters=None, score_range=1.0, is_binary=True
            ),
        )
        for differences in looks
    ]
    return Evaluation(looks=tuple((each,) for each in samples), weights=tuple(weights))


def judged(*evaluations, pairs=(), num_gated=None):
    design = Design(num_gated=num_gated or len(evaluations) + len(pairs))
    return judge_jointly(pairs, [weigh_evaluation(each, design) for each in evaluations], design)


def test_pairs_alone_are_judged_as_a_family(top1, with_degradations):
    samples = [with_degradations(top1, [0.02] * 4 + [0.021])]

    assert judge_jointly(samples, [], Design(num_gated=1)) == judge_family(samples, Design(num_gated=1))


def test_a_clear_fail_of_pairs_frees_its_share_for_items(top1, with_degradations):
    """A p-value between alpha / 2 and alpha rejects only once the other metric of the family is rejected."""
    middling = evaluation(flips(NUM_ITEMS, 85, 56), margin=0.005)
    clean, clear = (with_degradations(top1, [value, value * 1.01] * 10) for value in (0.00001, 0.2))

    (alone,) = judged(middling)
    assert alone.verdict is Verdict.FAIL
    assert 0.005 < alone.p_values["above_zero"] < 0.01
    assert [each.verdict for each in judged(middling, pairs=[clear])] == [Verdict.FAIL, Verdict.FAIL]
    assert [each.verdict for each in judged(middling, pairs=[clean])] == [Verdict.PASS, Verdict.INCONCLUSIVE]


def test_more_metrics_make_a_fail_harder():
    lost = evaluation(flips(NUM_ITEMS, 85, 40))

    (alone,), (crowded,) = judged(lost), judged(lost, num_gated=1000)

    assert (alone.verdict, crowded.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)


def test_a_decision_at_a_look_is_final():
    weights = block_weights(SHARES).tolist()
    (finding,) = judged(
        evaluation(flips(132, 60, 0), flips(330, 60, 60), flips(660, 60, 120), flips(1319, 60, 400), weights=weights)
    )

    assert (finding.verdict, finding.num_looks, finding.num_pairs) == (Verdict.FAIL, 1, 132)


def test_looks_that_contradict_each_other_say_so():
    (finding,) = judged(
        evaluation(flips(500, 60, 0), flips(1000, 60, 300), weights=(0.5, 0.5), margin=0.4), num_gated=1
    )

    low, high = finding.interval
    assert low <= finding.estimate <= high


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_the_interval_agrees_with_the_verdict_at_every_look(verdict):
    weights = block_weights(SHARES).tolist()
    counts = {Verdict.PASS: (4, 2), Verdict.FAIL: (90, 20), Verdict.INCONCLUSIVE: (30, 12)}[verdict]
    looks = [
        flips(size, round(counts[0] * share), round(counts[1] * share))
        for size, share in zip(block_ends(NUM_ITEMS, SHARES).tolist(), SHARES, strict=True)
    ]

    (finding,) = judged(evaluation(*looks, weights=weights))

    assert finding.verdict is verdict
    low, high = finding.interval
    assert (high < 0.02) == (verdict is Verdict.PASS)
    assert (low > 0.02) == (verdict is Verdict.FAIL)


@pytest.mark.slow
def test_clean_changes_and_losses_of_the_margin_keep_their_rates_over_the_looks():
    rng = np.random.default_rng(2026)
    ends, weights = block_ends(300, SHARES).tolist(), block_weights(SHARES).tolist()
    num_gates, rates = 100, {}
    for mean in (0.0, 0.05):
        verdicts = []
        for _ in range(num_gates):
            differences = rng.choice([1.0, -1.0, 0.0], size=300, p=[0.03 + mean, 0.03, 0.94 - mean])
            looks = [differences[:end] for end in ends]
            verdicts += [judged(evaluation(*looks, weights=weights, margin=0.05))[0].verdict]
        rates[mean] = verdicts
    false_fails, false_passes = rates[0.0].count(Verdict.FAIL), rates[0.05].count(Verdict.PASS)
    assert clopper_pearson_interval(false_fails, num_gates).low <= 0.01
    assert clopper_pearson_interval(false_passes, num_gates).low <= 0.05
    assert rates[0.0].count(Verdict.PASS) / num_gates > 0.85


def test_an_acknowledged_gain_is_a_plain_pass():
    (finding,) = judged(evaluation(flips(NUM_ITEMS, 0, 100)))
    assert finding.mark

    (other,) = acknowledge_gains([finding], ["another"])
    (accepted,) = acknowledge_gains([finding], ["e#accuracy"])

    assert other == finding
    assert (accepted.verdict, accepted.mark) == (Verdict.PASS, "")
    assert any("a person has acknowledged" in warning for warning in accepted.warnings)


def undecided(samples, reason="too many scores are missing so far"):
    """Samples of the same task at a look at which it cannot be judged yet."""
    return replace(
        samples, items=None, preset=Finding(metric=samples.metric, verdict=Verdict.INCONCLUSIVE, reason=reason)
    )


def test_a_look_that_cannot_be_judged_yet_takes_back_no_verdict():
    weights = tuple(block_weights(SHARES).tolist())
    ((lost,),) = evaluation(flips(132, 60, 0)).looks

    (finding,) = judged(Evaluation(looks=((lost,), (undecided(lost),)), weights=weights[:2]))

    assert (finding.verdict, finding.num_looks, finding.num_pairs) == (Verdict.FAIL, 1, 132)
    assert "a later look could not be judged: too many scores are missing so far" in finding.warnings


def refused(samples, reason="the candidate lacks item 'q7'"):
    """Samples of the same task at a look at which it cannot be judged at all."""
    error = Finding(metric=samples.metric, verdict=Verdict.ERROR, reason=reason, blame=Blame.BOTH)
    return replace(samples, items=None, preset=error)


def test_a_later_look_that_is_an_error_takes_back_a_pass_and_no_fail():
    ((lost,),), ((clean,),) = (evaluation(flips(NUM_ITEMS, *counts)).looks for counts in ((200, 0), (2, 2)))

    (kept,), (taken,) = (
        judged(Evaluation(looks=((first,), (refused(first),)), weights=(0.5, 0.5))) for first in (lost, clean)
    )

    assert (kept.verdict, kept.num_looks, kept.num_pairs) == (Verdict.FAIL, 1, NUM_ITEMS)
    assert "a later look could not be judged: the candidate lacks item 'q7'" in kept.warnings
    assert (taken.verdict, taken.blame) == (Verdict.ERROR, Blame.BOTH)


def test_a_mean_that_has_failed_stays_failed_when_a_task_becomes_an_error():
    lost, open_ = (
        [evaluation(flips(132, *counts), name=name).looks[0][0] for name in ("a", "b")] for counts in ((60, 0), (1, 1))
    )
    mean = replace(lost[0].metric, name="mean")

    failed, undecided_mean = (
        judged(
            Evaluation(looks=(tuple(first), (refused(first[0]), first[1])), weights=(0.5, 0.5), mean=mean), num_gated=3
        )
        for first in (lost, open_)
    )

    assert [each.verdict for each in failed] == [Verdict.FAIL] * 3
    assert any("the mean of the tasks is not known without a" in warning for warning in failed[0].warnings)
    assert [each.verdict for each in undecided_mean] == [Verdict.ERROR, Verdict.ERROR, Verdict.INCONCLUSIVE]


def test_a_task_that_cannot_be_judged_yet_holds_up_its_mean_and_no_other_task():
    weights = tuple(block_weights(SHARES).tolist())
    early, late = (
        [evaluation(flips(size, *counts), name=name).looks[0][0] for name, counts in (("a", (60, 0)), ("b", (1, 1)))]
        for size in (132, 1319)
    )
    mean = replace(early[0].metric, name="mean")
    first = (early[0], undecided(early[1]))

    at_first = judged(Evaluation(looks=(first,), weights=weights[:1], mean=mean), num_gated=3)
    at_last = judged(
        Evaluation(looks=(first, first, first, tuple(late)), weights=weights, mean=mean),
        num_gated=3,
    )

    assert [each.verdict for each in at_first] == [Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.INCONCLUSIVE]
    assert [each.verdict for each in at_last][1:] == [Verdict.FAIL, Verdict.PASS]
    assert [each.num_looks for each in at_last] == [1, 1, 1]
