"""Scores of a trained model: prediction is separate from scoring, and each score is a function of logits and labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_reference.data.datasets import require_classes, require_images, require_type_of, scaled_pixels
from mnist_reference.errors import DataError, DivergenceError

BATCH_SIZE = 2_000
"""Number of images predicted at once; it limits memory and does not affect any predicted class."""


@torch.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of a model for stored images.

    Args:
        model: Model that takes float32 images in [0, 1]; it is evaluated on the device of its parameters, in ``eval()``
            mode.
        images: Images, (N, 28, 28), uint8; or inputs, (N, inputs), as in :class:`mnist_reference.data.datasets.Split`.

    Returns:
        Logits, (N, 10), float32, on the device of the model.

    Raises:
        DataError: If the images have another shape, type or range.
        DivergenceError: If a logit is NaN or infinite.
    """
    require_images(images)
    require_type_of(model, images)
    device = next(model.parameters()).device
    with evaluating(model):
        logits = torch.cat([model(scaled_pixels(batch.to(device))) for batch in images.split(BATCH_SIZE)])  # (N, 10)
    is_lost = ~logits.isfinite()
    if is_lost.any():
        image, digit = is_lost.nonzero()[0].tolist()
        raise DivergenceError(
            f"the model answers {logits[image, digit].item()} for class {digit} of image {image}",
            next_step="its weights are too large: train it again at a smaller learning rate",
        )
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch a model to ``eval()`` mode within a block, and restore the mode of every module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def require_scorable(logits: Tensor, labels: Tensor) -> None:
    """Refuse answers that cannot be scored.

    Raises:
        DataError: If there are no answers, their number differs from that of the labels, an answer is not finite, or a
            label is none of the classes.
    """
    if logits.ndim != 2 or len(logits) != len(labels):
        raise DataError(f"logits of shape {tuple(logits.shape)} do not answer {len(labels)} labels")
    require_classes(labels, num_classes=logits.shape[1])
    if not logits.isfinite().all():
        raise DataError(
            "a logit is NaN or infinite", next_step="mnist_reference.models.evaluate.predict names the image"
        )


def top1_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Fraction of examples whose largest logit is that of the true class.

    Args:
        logits: (N, 10).
        labels: (N,), int64.

    Raises:
        DataError: As :func:`require_scorable`.

    Example:
        >>> top1_accuracy(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1]))
        0.5
    """
    require_scorable(logits, labels)
    return int((logits.argmax(1) == labels.to(logits.device)).sum()) / len(labels)


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of minus the log-probability of the true class, in nat.

    The sum is computed in float64, so that the order of the examples changes it by no more than about 1e-15.

    Args:
        logits: (N, 10).
        labels: (N,), int64.

    Raises:
        DataError: As :func:`require_scorable`.

    Example:
        >>> round(negative_log_likelihood(torch.zeros(4, 10), torch.tensor([0, 1, 2, 3])), 4)
        2.3026
    """
    require_scorable(logits, labels)
    return float(functional.cross_entropy(logits.cpu().double(), labels.cpu()))


def calibration_error(logits: Tensor, labels: Tensor, *, num_bins: int = 15) -> float:
    """Expected calibration error: mean gap between stated probabilities and shares of correct answers, in [0, 1].

    Answers are grouped into bins of equal width by their probability. The differences between the mean probability and
    the accuracy of each bin are averaged, weighted by the number of answers in it.

    Args:
        logits: Logits, (N, 10).
        labels: True classes, (N,), int64.
        num_bins: Number of bins between 0 and 1.

    Raises:
        DataError: As :func:`require_scorable`.

    References:
        C. Guo et al. (2017), On calibration of modern neural networks, section 2 (expected calibration error).

    Example:
        >>> f"{calibration_error(torch.zeros(4, 10), torch.tensor([0, 1, 2, 3])):.2f}"  # states 0.10, is right in 0.25
        '0.15'
    """
    require_scorable(logits, labels)
    confidences, answers = logits.cpu().double().softmax(1).max(1)  # (N,), (N,)
    is_right = (answers == labels.cpu()).double()
    bins = (confidences * num_bins).ceil().long().clamp(1, num_bins) - 1  # each bin includes its upper end
    gaps = torch.zeros(num_bins, dtype=torch.float64).index_add(0, bins, is_right - confidences)  # (num_bins,)
    return float(gaps.abs().sum()) / len(labels)


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of examples by true class and answer.

    Args:
        logits: (N, classes).
        labels: (N,), int64.

    Returns:
        (classes, classes), int64: a row for each true class, a column for each answer.

    Raises:
        DataError: As :func:`require_scorable`.

    Example:
        >>> confusion_matrix(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([1, 0]))
        tensor([[0, 1],
                [0, 1]])
    """
    require_scorable(logits, labels)
    num_classes = logits.shape[1]
    cells = labels.cpu() * num_classes + logits.argmax(1).cpu()  # (N,)
    return cells.bincount(minlength=num_classes**2).reshape(num_classes, num_classes)
