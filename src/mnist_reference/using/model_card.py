"""The model card: what a checkpoint is, how it was made, and how good it is, with measured figures.

Every figure is measured when the card is written, or read from the checkpoint; only the text on uses and limits is
fixed. The block at the top is read by the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy.stats import binomtest
from torch import nn

from mnist_reference.data.datasets import Dataset
from mnist_reference.models.evaluate import (
    calibration_error,
    confusion_matrix,
    negative_log_likelihood,
    predict,
    top1_accuracy,
)
from mnist_reference.using.checkpoint import Provenance

CONFIDENCE_LEVEL = 0.95

DATA_SET_NAMES = {"mnist": "MNIST", "digits": "scikit-learn's digits, resized to 28 by 28"}

USE_AND_LIMITS = """\
It is made for teaching and for testing tools that compare models. It reads one digit, white on black, centred and scaled
as the images it learned from; `predict` brings pictures into that form. Any other picture gets one of the ten answers
too, often with a high probability: it was never shown anything that is no digit. The interval above is about other
images *of this kind*; it says nothing about other writers, pens or scanners. It must not decide anything that matters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Content of a card.

    Attributes:
        architecture: Class of the model and its configuration.
        num_parameters: Number of trained parameters.
        provenance: Origin of the weights.
        data_set: Name of the data set on which it was measured.
        is_same_data: Whether that data set is, bit by bit, the one of the training run.
        num_examples: Size of the test split.
        top1_accuracy: Fraction of correct answers.
        accuracy_interval: Wilson's 95 % interval of the accuracy.
        negative_log_likelihood: Negative log-likelihood in nat.
        calibration_error: Expected calibration error, in [0, 1].
        confusion: Number of examples by true class (row) and answer (column).
        torch_version: Version of torch that measured it.
    """

    architecture: str
    num_parameters: int
    provenance: Provenance
    data_set: str
    is_same_data: bool
    num_examples: int
    top1_accuracy: float
    accuracy_interval: tuple[float, float]
    negative_log_likelihood: float
    calibration_error: float
    confusion: tuple[tuple[int, ...], ...]
    torch_version: str


def measured_card(model: nn.Module, provenance: Provenance, data_set: Dataset) -> ModelCard:
    """Measure a model on the test split of a data set.

    Args:
        model: Model on any device.
        provenance: Origin of its weights.
        data_set: Data set, of which only the test split is used.
    """
    labels = data_set.test.labels
    logits = predict(model, data_set.test.images).cpu()
    confusion = confusion_matrix(logits, labels)
    interval = binomtest(int(confusion.diagonal().sum()), len(labels)).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return ModelCard(
        architecture=f"{type(model).__name__} with {_listed(asdict(provenance.recipe.model))}",
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        provenance=provenance,
        data_set=data_set.name,
        is_same_data=data_set.sha256 == provenance.data_sha256,
        num_examples=len(labels),
        top1_accuracy=top1_accuracy(logits, labels),
        accuracy_interval=(float(interval.low), float(interval.high)),
        negative_log_likelihood=negative_log_likelihood(logits, labels),
        calibration_error=calibration_error(logits, labels),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        torch_version=torch.__version__,
    )


def render_model_card(card: ModelCard) -> str:
    """A card as Markdown."""
    low, high = card.accuracy_interval
    provenance = card.provenance
    recipe = {name: value for name, value in asdict(provenance.recipe).items() if name not in ("name", "model")}
    other_data = "" if card.is_same_data else f"\n**It was trained on other data, {provenance.data_set}.**\n"
    return f"""\
---
license: mit
library_name: mnist_reference
pipeline_tag: image-classification
datasets: [{provenance.data_set}]
metrics: [accuracy]
model-index:
- name: mnist_reference
  results:
  - task: {{type: image-classification}}
    dataset: {{type: {card.data_set}, name: "{DATA_SET_NAMES[card.data_set]}", split: test}}
    metrics: [{{type: accuracy, value: {card.top1_accuracy:.6g}}}]
---

# A model that reads handwritten digits

{card.architecture}; {card.num_parameters:,} parameters.

It takes images of 28 by 28 pixels, float32 in [0, 1], white on black, and gives ten logits, one for each digit.

## Measured

On the {card.num_examples:,} test images of {DATA_SET_NAMES[card.data_set]}, with torch {card.torch_version}.
{other_data}
| measure | value |
|---|---|
| top-1 accuracy | {card.top1_accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}, Wilson) |
| negative log-likelihood | {card.negative_log_likelihood:.4f} nat |
| expected calibration error | {card.calibration_error:.4f} |

| digit | images | read rightly | most often misread as |
|---|---|---|---|
{chr(10).join(_digit_rows(card.confusion))}

## Made by

| what | value |
|---|---|
| recipe | {provenance.recipe.name}: {_listed(recipe)} |
| seed | {provenance.seed} |
| data | {provenance.data_set}, SHA-256 {provenance.data_sha256} |
| source | {f"commit {provenance.revision}" if provenance.revision else "not known"} |
| accuracy stated when it was made | {provenance.top1_accuracy:.4f} |

## Use and limits

{USE_AND_LIMITS}
"""


def _digit_rows(confusion: tuple[tuple[int, ...], ...]) -> Iterable[str]:
    """A row of the table for each digit."""
    for digit, row in enumerate(confusion):
        total, wrong = sum(row), [0 if answer == digit else count for answer, count in enumerate(row)]
        share = f"{row[digit] / total:.4f}" if total else "-"
        worst = max(wrong)
        misread = ", ".join(str(answer) for answer, count in enumerate(wrong) if count == worst) if worst else ""
        yield f"| {digit} | {total:,} | {share} | {f'{misread} ({worst})' if misread else '-'} |"


def _listed(facts: Mapping[str, Any]) -> str:
    """Facts as text: names without underscores, each followed by its value or by the facts of its part."""
    return ", ".join(
        f"{name.replace('_', ' ')} ({_listed(value)})"
        if isinstance(value, Mapping)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
    )
