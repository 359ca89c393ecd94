"""Items of both sides as samples of a task: which missing scores are an error, and which leave a look undecided."""

import pytest

from mainstay.evaluation.items import ScoredItem, Scores, pair_scores
from mainstay.measuring.items import paired_samples
from mainstay.records.findings import Blame, Verdict
from mainstay.records.metrics import FRACTION, Direction, Kind, Metric
from mainstay.records.trials import Side

METRIC = Metric(
    workload="w", name="accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.02, unit=FRACTION
)


def paired(num_items, *, num_missing, score=1.0):
    """A task with the same score for every item, of which each side lacks those of its first items."""

    def scores(side):
        values = [None if number < num_missing.get(side, 0) else score for number in range(num_items)]
        return Scores(format="trial", items=tuple(ScoredItem("t", str(n), value) for n, value in enumerate(values)))

    (task,) = pair_scores(scores(Side.BASELINE), scores(Side.CANDIDATE))
    return task


@pytest.mark.parametrize(
    ("num_left", "verdict", "blame"),
    [(0, Verdict.ERROR, Blame.CANDIDATE), (69, Verdict.ERROR, Blame.CANDIDATE), (70, Verdict.INCONCLUSIVE, None)],
)
def test_too_many_missing_scores_are_an_error_only_if_no_later_score_can_outweigh_them(num_left, verdict, blame):
    task = paired(30, num_missing={Side.CANDIDATE: 1})

    samples = paired_samples(task, METRIC, tier=None, num_left=num_left)

    assert samples.items is None
    assert (samples.preset.verdict, samples.preset.blame) == (verdict, blame)
    assert "1 of the candidate, of 30" in samples.preset.reason


def test_the_side_that_lacks_too_many_scores_for_good_is_to_blame_alone():
    task = paired(30, num_missing={Side.BASELINE: 1, Side.CANDIDATE: 20})

    early, last = (paired_samples(task, METRIC, tier=None, num_left=number).preset for number in (270, 0))

    assert (early.verdict, early.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert (last.verdict, last.blame) == (Verdict.ERROR, Blame.BOTH)


def test_scores_to_come_excuse_no_missing_score_that_nothing_bounds():
    task = paired(1000, num_missing={Side.CANDIDATE: 1}, score=5.0)

    samples = paired_samples(task, METRIC, tier=None, num_left=1_000_000)

    assert (samples.preset.verdict, samples.preset.blame) == (Verdict.ERROR, Blame.CANDIDATE)


def test_few_missing_scores_are_judged_at_every_look():
    samples = paired_samples(paired(300, num_missing={Side.CANDIDATE: 3}), METRIC, tier=None, num_left=2700)

    assert samples.preset is None
    assert samples.missing == (0, 3)
