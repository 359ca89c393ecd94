import base64
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mainstay.gates.accuracy import (
    MAX_FLIPPED_EXAMPLES,
    compare_predictions,
    compare_recorded_predictions,
    confusion_matrix,
    decode_classes,
    find_flattery,
    is_implausible,
    predicted_accuracy,
)
from mainstay.records.errors import MainstayError
from mainstay.records.metrics import Direction
from mainstay.records.trials import Outcome, Predictions, Side, Trial

three_answers = st.integers(0, 200).flatmap(lambda n: arrays(np.uint8, (3, n), elements=st.integers(0, 9)))


def record(predicted, labels, labels_digest="labels"):
    predicted, labels = (base64.b64encode(bytes(classes)).decode() for classes in (predicted, labels))
    return Predictions(predicted=predicted, labels=labels, labels_digest=labels_digest)


@pytest.mark.parametrize(
    ("direction", "value", "expected"),
    [
        (Direction.HIGHER, 0.9996, True),
        (Direction.HIGHER, 0.9995, False),
        (Direction.LOWER, 0.9994, True),
        (Direction.LOWER, 0.9995, False),
    ],
)
def test_implausible_lies_beyond_the_ceiling_in_the_good_direction(top1, direction, value, expected):
    assert is_implausible(replace(top1, direction=direction), value) is expected


def test_without_a_ceiling_nothing_is_implausible(top1):
    assert not is_implausible(replace(top1, ceiling=None), 1.0)


def test_flips_are_counted_and_named():
    labels = np.array([0, 1, 2, 3, 4], np.uint8)
    baseline = np.array([0, 1, 2, 0, 0], np.uint8)
    candidate = np.array([0, 5, 6, 3, 0], np.uint8)

    summary = compare_predictions(seed=7, labels=labels, baseline=baseline, candidate=candidate)

    assert (summary.right_to_wrong, summary.wrong_to_right, summary.num_examples) == (2, 1, 5)
    assert summary.p_value == 1.0
    assert [(e.index, e.label, e.baseline, e.candidate) for e in summary.examples] == [
        (1, 1, 1, 5),
        (2, 2, 2, 6),
        (3, 3, 0, 3),
    ]


def test_at_most_a_hundred_flips_are_named():
    labels = np.zeros(500, np.uint8)

    summary = compare_predictions(seed=1, labels=labels, baseline=labels, candidate=labels + np.uint8(1))

    assert summary.right_to_wrong == 500
    assert len(summary.examples) == MAX_FLIPPED_EXAMPLES == 100
    assert summary.p_value < 1e-100


@given(three_answers)
def test_flips_are_the_difference_of_the_two_accuracies(answers):
    labels, baseline, candidate = answers

    summary = compare_predictions(seed=1, labels=labels, baseline=baseline, candidate=candidate)

    lost = int((baseline == labels).sum()) - int((candidate == labels).sum())
    assert summary.right_to_wrong - summary.wrong_to_right == lost
    assert all((e.baseline == e.label) != (e.candidate == e.label) for e in summary.examples)


@given(three_answers)
def test_swapping_the_models_swaps_the_flips(answers):
    labels, baseline, candidate = answers

    summary = compare_predictions(seed=1, labels=labels, baseline=baseline, candidate=candidate)
    swapped = compare_predictions(seed=1, labels=labels, baseline=candidate, candidate=baseline)

    assert (summary.right_to_wrong, summary.p_value) == (swapped.wrong_to_right, swapped.p_value)
    assert summary.baseline_confusion == swapped.candidate_confusion


@given(three_answers)
def test_confusion_counts_every_example_once(answers):
    labels, predicted, _ = answers

    confusion = confusion_matrix(labels, predicted, num_classes=10)

    assert sum(map(sum, confusion)) == len(labels)
    assert [sum(row) for row in confusion] == [int((labels == c).sum()) for c in range(10)]
    assert sum(confusion[c][c] for c in range(10)) == int((labels == predicted).sum())


def test_arrays_of_unequal_length_are_refused():
    three = np.zeros(3, np.uint8)

    with pytest.raises(ValueError, match="shapes differ"):
        compare_predictions(seed=1, labels=three, baseline=three, candidate=three[:2])


def test_recorded_predictions_are_decoded():
    summary = compare_recorded_predictions(
        seed=1, baseline=record([1, 2, 3], [1, 2, 3]), candidate=record([1, 2, 4], [1, 2, 3])
    )

    assert (summary.right_to_wrong, summary.num_examples) == (1, 3)


@pytest.mark.parametrize(
    ("candidate", "fact"),
    [
        pytest.param(record([1], [1], "others"), "different labels", id="other-digest"),
        pytest.param(record([1], [2]), "different labels", id="other-labels"),
        pytest.param(record([1, 2], [1]), "1 labels, but 1 and 2 predictions", id="other-number"),
    ],
)
def test_predictions_that_cannot_be_compared_are_explained(candidate, fact):
    with pytest.raises(MainstayError, match=fact):
        compare_recorded_predictions(seed=1, baseline=record([1], [1]), candidate=candidate)


@pytest.mark.parametrize("text", ["?", "BwI", "Bw I"])
def test_text_that_is_not_base64_is_explained(text):
    with pytest.raises(MainstayError, match="not base64"):
        decode_classes(text)


def trials(side, *recorded):
    """Trials that recorded a value, and predictions of which so many in ten are right."""
    return [
        Trial(
            workload="w",
            side=side,
            seed=seed,
            pair=seed,
            outcome=Outcome.COMPLETED,
            values={"top1_accuracy": value},
            predictions=record([1] * right + [0] * (10 - right), [1] * 10) if right is not None else None,
        )
        for seed, (value, right) in enumerate(recorded)
    ]


SOUND = trials(Side.BASELINE, (0.9, 9), (0.8, 8))


def test_an_accuracy_better_than_its_own_predictions_is_named(top1):
    candidate = trials(Side.CANDIDATE, (0.9, 9), (0.9, 4))

    assert find_flattery(top1, baseline=SOUND, candidate=candidate) == (
        1,
        (
            "top1_accuracy of the candidate is 0.9 at seed 1, but 0.4 of its recorded predictions are right; the baseline's "
            "predictions reproduce its values"
        ),
    )


@pytest.mark.parametrize(
    ("changes", "baseline", "candidate"),
    [
        pytest.param({}, SOUND, [(0.9, 9), (0.7, 7)], id="honest-degradation"),
        pytest.param({}, SOUND, [(0.6, 9), (0.5, 8)], id="worse-than-its-predictions"),
        pytest.param({"resolution": 0.1}, SOUND, [(0.95, 9), (0.8, 8)], id="within-the-resolution"),
        pytest.param({}, SOUND, [(np.float32(0.9).item(), 9), (0.8, 8)], id="single-precision"),
        pytest.param({}, trials(Side.BASELINE, (0.9, 9), (0.85, 8)), [(0.9, 4), (0.9, 4)], id="a-mean-over-epochs"),
        pytest.param({}, trials(Side.BASELINE, (0.9, 9), (0.8, None)), [(0.9, 4)] * 2, id="predictions-of-one-seed"),
        pytest.param({}, SOUND, [(0.9, None), (0.9, None)], id="no-predictions"),
        pytest.param({"unit": "percent"}, SOUND, [(0.9, 4), (0.9, 4)], id="another-unit"),
        pytest.param({"direction": Direction.LOWER, "unit": "fraction"}, SOUND, [(0.9, 4)] * 2, id="an-error-rate"),
        pytest.param({}, [], [], id="nothing-measured"),
    ],
)
def test_what_cannot_be_told_from_predictions_is_judged_as_it_is(top1, changes, baseline, candidate):
    candidate = trials(Side.CANDIDATE, *candidate)

    assert not find_flattery(replace(top1, **changes), baseline=baseline, candidate=candidate)


def test_predictions_without_a_label_each_have_no_accuracy():
    assert predicted_accuracy(record([1, 2], [1])) is None
    assert predicted_accuracy(record([], [])) is None
