import array
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mainstay.runner.digests import RecordingError, TreeDigest
from mainstay.runner.recording import Trial


def digest(tree):
    tree_digest = TreeDigest()
    tree_digest.update(tree)
    return tree_digest.hexdigest()


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(TREES, TREES)
def test_digests_are_equal_exactly_where_trees_are(first, second):
    assert (digest(first) == digest(second)) == (repr(first) == repr(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="order-of-keys"),
        pytest.param([[1], 2], [1, [2]], id="nesting"),
        pytest.param(1, 1.0, id="type-of-number"),
        pytest.param(0.0, -0.0, id="sign-of-zero"),
        pytest.param("1", b"1", id="text-and-bytes"),
        pytest.param(np.zeros(4), np.zeros((2, 2)), id="shape"),
        pytest.param(np.zeros(4, np.float32), np.zeros(4, np.int32), id="dtype"),
        pytest.param(torch.zeros(4), torch.zeros(4, dtype=torch.bfloat16), id="tensor-dtype"),
        pytest.param(torch.zeros(4), torch.zeros(2, 2), id="tensor-shape"),
        pytest.param(torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.nextafter(2.0, 3.0)]).double(), id="last-bit"),
    ],
)
def test_what_counts_in_a_digest(first, second):
    assert digest(first) != digest(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(torch.arange(6.0).reshape(2, 3).T, torch.arange(6.0).reshape(2, 3).T.contiguous(), id="strides"),
        pytest.param(np.arange(4.0)[::2], np.array([0.0, 2.0]), id="array-strides"),
        pytest.param(torch.ones(2, requires_grad=True), torch.ones(2), id="gradient"),
        pytest.param(array.array("d", [1.0]), np.array([1.0]), id="buffer"),
        pytest.param((1, 2), [1, 2], id="tuple-and-list"),
    ],
)
def test_what_does_not_count_in_a_digest(first, second):
    assert digest(first) == digest(second)


@pytest.mark.parametrize("tree", [{}, [], {"model": {}}, [[], {}]], ids=str)
def test_an_empty_digest_is_refused(tree):
    with pytest.raises(RecordingError, match="empty"):
        Trial(seed=0).record_digest(tree)


@pytest.mark.parametrize(
    "leaf", [object(), np.array([object()]), {1, 2}, torch.zeros(2).to_sparse()], ids=lambda leaf: type(leaf).__name__
)
def test_what_is_not_data_cannot_be_digested(leaf):
    with pytest.raises(RecordingError):
        digest({"model": leaf})


def test_the_digest_of_a_trial_covers_what_was_recorded():
    trials = [Trial(seed=0) for _ in range(3)]
    for trial in trials:
        trial.record_digest({"weights": [1.0]})
    trials[1].record(top1_accuracy=0.5)
    trials[2].record_predictions([1], [1])

    assert len({trial.digest for trial in trials}) == 3


def test_a_trial_without_tree_has_no_digest():
    trial = Trial(seed=0)
    trial.record(top1_accuracy=0.5)

    assert trial.digest == ""


@pytest.mark.parametrize("value", ["text", [1.0, 2.0], None, torch.zeros(2)], ids=str)
def test_a_metric_is_one_number(value):
    with pytest.raises(RecordingError, match="one number"):
        Trial(seed=0).record(top1_accuracy=value)


def test_a_metric_is_recorded_once():
    trial = Trial(seed=0)
    trial.record(top1_accuracy=torch.tensor(0.5))

    with pytest.raises(RecordingError, match="twice"):
        trial.record(top1_accuracy=0.5)


@pytest.mark.parametrize("second", ["b", 1, 1.5, False])
def test_context_of_one_name_has_one_value(second):
    trial = Trial(seed=0)
    trial.record_context(sha256="a", dataset="digits")
    trial.record_context(sha256="a")

    with pytest.raises(RecordingError, match="sha256 was recorded twice, with different values: use a name for each"):
        trial.record_context(sha256=second)

    assert trial.context == {"sha256": "a", "dataset": "digits"}


def test_predictions_are_recorded_once():
    trial = Trial(seed=0)
    trial.record_predictions([1, 2], [1, 2])

    with pytest.raises(RecordingError, match="twice"):
        trial.record_predictions([1], [1])


@pytest.mark.parametrize(
    ("predicted", "labels", "message"),
    [
        pytest.param([1, 2], [1], "2 predictions for 1 labels", id="lengths"),
        pytest.param([256], [1], "from 0 to 255", id="too-many-classes"),
        pytest.param([0.5], [1], "whole numbers", id="probabilities"),
        pytest.param(torch.zeros(2, 3), [1, 1], "whole numbers", id="logits"),
    ],
)
def test_predictions_must_be_classes(predicted, labels, message):
    with pytest.raises(RecordingError, match=message):
        Trial(seed=0).record_predictions(predicted, labels)


def test_the_fixture_works_under_plain_pytest(pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.accuracy(metric="a", margin=0.1)
        def test_a(trial):
            trial.record(a=trial.seed)
            assert trial.values == {"a": 7.0}
    """)

    pytester.runpytest("--trial-seed=7", "--strict-markers").assert_outcomes(passed=1)
