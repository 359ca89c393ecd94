"""Checks special to accuracy: implausible values, and two trained models compared example by example.

The comparison of examples describes one seed and helps to explain it. It tests two trained models, not two
revisions, and does not affect the verdict.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.records.errors import MainstayError
from mainstay.records.metrics import Direction, Metric
from mainstay.records.runs import FlippedExample, FlipSummary
from mainstay.records.trials import Predictions, Trial
from mainstay.stats.proportions import mcnemar_p_value

MAX_FLIPPED_EXAMPLES = 100
"""Largest number of flipped examples that a summary names."""

ROUNDING_OF_AN_ACCURACY = 1e-6
"""Rounding error of a share of examples computed in single precision."""


def is_implausible(metric: Metric, value: float) -> bool:
    """Whether a value lies beyond the ceiling of its metric in the good direction.

    Example:
        >>> from mainstay.records.metrics import Direction, Kind, Metric
        >>> top1 = Metric(
        ...     workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002, ceiling=0.9995
        ... )
        >>> is_implausible(top1, 1.0), is_implausible(top1, 0.9995)
        (True, False)
    """
    if metric.ceiling is None:
        return False
    return value > metric.ceiling if metric.direction == Direction.HIGHER else value < metric.ceiling


def decode_classes(text: str) -> NDArray[np.uint8]:
    """Class of each example from base64, one byte each.

    Args:
        text: Base64 text, as recorded in :class:`~mainstay.records.trials.Predictions`.

    Raises:
        MainstayError: If the text is not base64.

    Example:
        >>> decode_classes("BwIB").tolist()
        [7, 2, 1]
    """
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except binascii.Error as error:
        raise MainstayError("recorded predictions are not base64", next_step="measure this pair again") from error


def predicted_accuracy(predictions: Predictions) -> float | None:
    """The share of recorded predictions that are correct; ``None`` if there is not one prediction for each label.

    Example:
        >>> predicted_accuracy(Predictions(predicted="BwI=", labels="BwE=", labels_digest="d"))
        0.5
    """
    labels, predicted = decode_classes(predictions.labels), decode_classes(predictions.predicted)
    if labels.shape != predicted.shape or not labels.size:
        return None
    return float(np.mean(labels == predicted))


class Flattery(NamedTuple):
    """A recorded accuracy that is better than that of the recorded predictions.

    Attributes:
        seed: Seed of the trial.
        reason: The problem, in one sentence.
    """

    seed: int
    reason: str


def find_flattery(metric: Metric, *, baseline: Sequence[Trial], candidate: Sequence[Trial]) -> Flattery | None:
    """Find a trial whose recorded accuracy of the candidate is better than that of its own predictions.

    This is an error only if the metric is known to be the accuracy of the predictions, that is, if the baseline's
    predictions reproduce its value in every trial, except for rounding. A mean over epochs, for instance, is not. A
    value that is worse than that of the predictions is judged as recorded.

    Args:
        metric: An accuracy; it is compared with predictions if it is a fraction and higher values are better.
        baseline: Completed trials of the baseline.
        candidate: Completed trials of the candidate.

    Returns:
        The first such trial; ``None`` if there is none.
    """
    if not metric.is_fraction or metric.direction != Direction.HIGHER:
        return None
    known, claimed = ([_claim(metric, trial) for trial in trials] for trials in (baseline, candidate))
    if not known or any(claim is None or abs(claim.excess) > ROUNDING_OF_AN_ACCURACY for claim in known):
        return None
    allowed = max(metric.resolution, ROUNDING_OF_AN_ACCURACY)
    flattered = next((claim for claim in claimed if claim and claim.excess > allowed), None)
    if flattered is None:
        return None
    return Flattery(
        flattered.seed,
        f"{metric.name} of the candidate is {flattered.value:g} at seed {flattered.seed}, but {flattered.accuracy:g} of its "
        "recorded predictions are right; the baseline's predictions reproduce its values",
    )


class _Claim(NamedTuple):
    """A recorded accuracy beside that of the recorded predictions."""

    seed: int
    value: float
    accuracy: float

    @property
    def excess(self) -> float:
        """How much better the recorded value is."""
        return self.value - self.accuracy


def _claim(metric: Metric, trial: Trial) -> _Claim | None:
    """The recorded accuracy of a trial with that of its predictions; ``None`` if these cannot be counted."""
    accuracy = predicted_accuracy(trial.predictions) if trial.predictions else None
    return None if accuracy is None else _Claim(trial.seed, trial.values[metric.name], accuracy)


def compare_predictions(
    *, seed: int, labels: NDArray[np.uint8], baseline: NDArray[np.uint8], candidate: NDArray[np.uint8]
) -> FlipSummary:
    """Compare the predictions of two models, trained with the same seed, on the same examples.

    Args:
        seed: The seed of both training runs.
        labels: (N,) true class of each example.
        baseline: (N,) class predicted by the baseline.
        candidate: (N,) class predicted by the candidate.

    Returns:
        Counts, McNemar's p-value, both confusion matrices and at most 100 flipped examples: first those that only the
        baseline has right, then those that only the candidate has right; half of each kind if there are many of both.

    Raises:
        ValueError: If the three arrays differ in shape.

    Example:
        >>> labels, right = np.array([0, 1, 1], np.uint8), np.array([0, 1, 1], np.uint8)
        >>> summary = compare_predictions(seed=1, labels=labels, baseline=right, candidate=np.array([0, 0, 1], np.uint8))
        >>> summary.right_to_wrong, summary.wrong_to_right, summary.candidate_confusion
        (1, 0, ((1, 0), (1, 1)))
    """
    if not labels.shape == baseline.shape == candidate.shape or labels.ndim != 1:
        raise ValueError(f"shapes differ: {labels.shape}, {baseline.shape} and {candidate.shape}")
    lost = np.flatnonzero((baseline == labels) & (candidate != labels))
    won = np.flatnonzero((baseline != labels) & (candidate == labels))
    num_lost = max(MAX_FLIPPED_EXAMPLES // 2, MAX_FLIPPED_EXAMPLES - len(won))
    flipped = np.concatenate([lost[:num_lost], won])[:MAX_FLIPPED_EXAMPLES]
    num_classes = int(max(array.max(initial=0) for array in (labels, baseline, candidate))) + 1
    return FlipSummary(
        seed=seed,
        num_examples=len(labels),
        right_to_wrong=len(lost),
        wrong_to_right=len(won),
        p_value=mcnemar_p_value(len(lost), len(won)),
        baseline_confusion=confusion_matrix(labels, baseline, num_classes=num_classes),
        candidate_confusion=confusion_matrix(labels, candidate, num_classes=num_classes),
        examples=tuple(
            FlippedExample(index=i, label=int(labels[i]), baseline=int(baseline[i]), candidate=int(candidate[i]))
            for i in flipped.tolist()
        ),
    )


def compare_recorded_predictions(*, seed: int, baseline: Predictions, candidate: Predictions) -> FlipSummary:
    """Compare two recorded sets of predictions, see :func:`compare_predictions`.

    Args:
        seed: The seed of both training runs.
        baseline: Predictions of the baseline.
        candidate: Predictions of the candidate.

    Raises:
        MainstayError: If the labels or the numbers of examples differ.

    Example:
        >>> recorded = Predictions(predicted="BwI=", labels="BwE=", labels_digest="d")
        >>> compare_recorded_predictions(seed=1, baseline=recorded, candidate=recorded).right_to_wrong
        0
    """
    if baseline.labels_digest != candidate.labels_digest or baseline.labels != candidate.labels:
        raise MainstayError(
            f"the revisions recorded predictions for different labels at seed {seed}",
            next_step="let both revisions read the same test set",
        )
    labels, first, second = map(decode_classes, (baseline.labels, baseline.predicted, candidate.predicted))
    if not labels.shape == first.shape == second.shape:
        raise MainstayError(
            f"{len(labels)} labels, but {len(first)} and {len(second)} predictions at seed {seed}",
            next_step="record one prediction for each label",
        )
    return compare_predictions(seed=seed, labels=labels, baseline=first, candidate=second)


def confusion_matrix(
    labels: NDArray[np.uint8], predicted: NDArray[np.uint8], *, num_classes: int
) -> tuple[tuple[int, ...], ...]:
    """Counts by true and predicted class: ``confusion[label][predicted]``.

    Args:
        labels: (N,) true class of each example.
        predicted: (N,) predicted class of each example.
        num_classes: Number of rows and of columns.

    Example:
        >>> confusion_matrix(np.array([0, 1], np.uint8), np.array([1, 1], np.uint8), num_classes=2)
        ((0, 1), (0, 1))
    """
    cells = labels.astype(np.intp) * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    return tuple(tuple(row) for row in counts.tolist())
