import math

import pytest
import torch

from mnist_reference import evaluate
from mnist_reference.errors import DataError


def test_predict_scales_pixels_and_keeps_the_order(perceptron, digits_data):
    images = digits_data.test.images

    logits = evaluate.predict(perceptron, images)

    torch.testing.assert_close(logits, perceptron(images.float() / 255).detach(), rtol=1e-5, atol=1e-6)


def test_predict_in_batches_agrees_with_one_batch(perceptron, digits_data, monkeypatch):
    whole = evaluate.predict(perceptron, digits_data.test.images)
    monkeypatch.setattr(evaluate, "BATCH_SIZE", 7)

    parts = evaluate.predict(perceptron, digits_data.test.images)

    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_training", [True, False])
def test_predict_leaves_the_mode_of_the_model(perceptron, digits_data, is_training):
    perceptron.train(is_training)

    logits = evaluate.predict(perceptron, digits_data.test.images[:3])

    assert perceptron.training is is_training
    assert not logits.requires_grad


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([0, 1, 2], 1.0, id="all-right"),
        pytest.param([1, 1, 1], 1 / 3, id="one-right"),
        pytest.param([3, 3, 3], 0.0, id="none-right"),
    ],
)
def test_top1_accuracy_is_the_fraction_of_right_answers(labels, expected):
    assert evaluate.top1_accuracy(torch.eye(10)[:3], torch.tensor(labels)) == pytest.approx(expected)


def test_negative_log_likelihood_equals_the_formula():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = [0, 1]

    expected = 0.0
    for row, label in zip(logits.tolist(), labels, strict=True):
        expected -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row)) / 2

    assert evaluate.negative_log_likelihood(logits, torch.tensor(labels)) == pytest.approx(expected, rel=1e-12)


def test_negative_log_likelihood_of_a_huge_logit_is_finite():
    assert evaluate.negative_log_likelihood(torch.tensor([[1e4, 0.0]]), torch.tensor([1])) == pytest.approx(1e4)


def test_calibration_error_of_worked_bins():
    confidences = [0.95, 0.97, 0.55]
    logits = torch.tensor([[math.log(share / (1 - share)), 0.0] for share in confidences])
    labels = torch.tensor([0, 1, 0])

    gap_of_the_sure = abs((0.95 + 0.97) / 2 - 1 / 2)
    gap_of_the_unsure = abs(0.55 - 1)
    assert evaluate.calibration_error(logits, labels) == pytest.approx((2 * gap_of_the_sure + gap_of_the_unsure) / 3)


def test_calibration_error_of_certainty_is_the_error_rate():
    logits = torch.eye(10)[:4] * 1e4

    assert evaluate.calibration_error(logits, torch.tensor([0, 1, 2, 9])) == pytest.approx(0.25)


def test_confusion_matrix_has_a_row_for_each_class_and_a_column_for_each_answer():
    logits = torch.eye(3)[[0, 0, 2, 1]]

    assert evaluate.confusion_matrix(logits, torch.tensor([0, 1, 2, 2])).tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 28, 27, dtype=torch.uint8), torch.zeros(2, 28, 28, dtype=torch.int64)]
)
def test_predict_refuses_images_of_another_kind(perceptron, images):
    with pytest.raises(DataError, match="images are"):
        evaluate.predict(perceptron, images)
