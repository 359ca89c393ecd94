import math
from contextlib import nullcontext

import pytest
import torch

from mnist_reference.errors import DataError, DivergenceError
from mnist_reference.models import evaluate
from mnist_reference.models.ensemble import predict_by_ensemble


def predict_alone(model, images):
    return predict_by_ensemble([model], images)


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
    ("images", "message"),
    [
        pytest.param(torch.zeros(2, 28, 27, dtype=torch.uint8), "images are", id="shape"),
        pytest.param(torch.zeros(2, 28, 28, dtype=torch.int64), "images are", id="whole-numbers"),
        pytest.param(torch.full((2, 28, 28), 255.0), "pixels lie between 255 and 255", id="not-divided-by-255"),
        pytest.param(torch.full((2, 784), -0.5), "pixels lie between -0.5", id="flat-and-negative"),
        pytest.param(
            torch.zeros(2, 28, 28).double(), "the images are float64, and the model computes in float32", id="64"
        ),
        pytest.param(torch.zeros(2, 28, 28).half(), "the images are float16", id="16-bits"),
        pytest.param(torch.full((2, 28, 28), math.nan), "image 0 holds nan", id="not-a-number"),
    ],
)
@pytest.mark.parametrize("use", [evaluate.predict, predict_alone], ids=["one-model", "ensemble"])
def test_predict_refuses_images_of_another_kind(perceptron, use, images, message):
    with pytest.raises(DataError, match=message):
        use(perceptron, images)


def test_stored_images_are_refused_by_a_model_in_float64(perceptron, digits_data):
    with pytest.raises(DataError, match="the images are float32, and the model computes in float64"):
        evaluate.predict(perceptron.double(), digits_data.test.images[:2])


def test_scaled_images_are_predicted_like_stored_ones(perceptron, digits_data):
    images = digits_data.test.images[:5]

    assert torch.equal(evaluate.predict(perceptron, images), evaluate.predict(perceptron, images.float() / 255))


def test_answers_that_are_no_numbers_are_refused(perceptron, digits_data):
    with torch.no_grad():
        for parameter in perceptron.parameters():
            parameter.fill_(1e30)

    with pytest.raises(DivergenceError, match="the model answers inf for class 0 of image 0"):
        evaluate.predict(perceptron, digits_data.test.images[:2])


SCORES = [
    evaluate.top1_accuracy,
    evaluate.negative_log_likelihood,
    evaluate.calibration_error,
    evaluate.confusion_matrix,
]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        pytest.param(torch.zeros(3, 10), [1, -100, 2], "label -100 of example 1 is outside", id="label-of-none"),
        pytest.param(torch.zeros(3, 10), [1, 2, 10], "label 10 of example 2 is outside", id="label-too-large"),
        pytest.param(torch.zeros(0, 10), [], "there are no examples", id="no-example"),
        pytest.param(torch.zeros(3, 10), [1, 2], "do not answer 2 labels", id="other-number"),
        pytest.param(torch.zeros(3), [1, 2, 3], "do not answer", id="no-classes"),
        pytest.param(torch.full((1, 10), math.nan), [1], "NaN or infinite", id="not-a-number"),
    ],
)
def test_what_cannot_be_scored_is_refused(score, logits, labels, message):
    with pytest.raises(DataError, match=message):
        score(logits, torch.tensor(labels, dtype=torch.int64))


@pytest.mark.parametrize("score", SCORES)
def test_labels_that_are_no_classes_are_refused(score):
    with pytest.raises(DataError, match="labels are"):
        score(torch.zeros(3, 10), torch.zeros(3))


class Refusing(torch.nn.Module):
    """Raises whatever it is shown."""

    def forward(self, images):
        raise ValueError("no")


@pytest.mark.parametrize("is_refusing", [False, True], ids=["answers", "raises"])
def test_predict_leaves_the_mode_of_every_module(digits_data, is_refusing):
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(784), torch.nn.Linear(784, 10))
    model = torch.nn.Sequential(layers, Refusing() if is_refusing else torch.nn.Identity())
    model.train()
    layers[1].eval()  # frozen, as for fine-tuning
    before = [module.training for module in model.modules()]

    with pytest.raises(ValueError, match="no") if is_refusing else nullcontext():
        evaluate.predict(model, digits_data.test.images[:3])

    assert [module.training for module in model.modules()] == before
