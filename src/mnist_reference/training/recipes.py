"""Recipes of training runs: frozen records, by name.

A recipe contains every choice except the data and the seed. The difference between two recipes is written as a
``replace``; :func:`with_settings` takes differences as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from mnist_reference.data.augment import Augmentation
from mnist_reference.errors import RecipeError, UnknownNameError, nearest
from mnist_reference.models.networks import CnnConfig, ModelConfig, PerceptronConfig
from mnist_reference.training.losses import loss_by_name
from mnist_reference.training.optimizers import require_optimizer
from mnist_reference.training.schedules import schedule_by_name

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Every choice of a training run except data and seed.

    Attributes:
        name: Name that says what the recipe is for.
        model: Configuration of the model.
        loss: Name of the loss, see :func:`mnist_reference.training.losses.loss_by_name`.
        label_smoothing: Share of the true probability that is spread over all classes, for the cross-entropy.
        l1_penalty: Penalty added to the loss for each unit of absolute weight, without biases.
        l2_penalty: Penalty added to the loss for each unit of squared weight, without biases.
        optimizer: Name of the optimiser, see :func:`mnist_reference.training.optimizers.optimizer_by_name`.
        learning_rate: Size of a step; the largest one if it varies.
        schedule: Name of the schedule of the learning rate, see
            :func:`mnist_reference.training.schedules.schedule_by_name`.
        batch_size: Images in one step; the last batch of an epoch may be smaller.
        num_epochs: Maximum number of passes over the training set.
        augmentation: Bounds of random movements of the images; none by default.
        validation_share: Part of the training set that is held out and scored after every epoch, in [0, 1).
        patience: Number of epochs without a better validation loss after which training stops and the best weights are
            restored; with 0, training continues to the end and keeps the last weights.
        precision: ``float32``, or ``bfloat16`` for mixed precision: matrix products and convolutions in bfloat16, the
            rest, the weights and the loss in float32.

    Raises:
        UnknownNameError: If a loss, an optimiser, a schedule or a precision of that name does not exist.
        RecipeError: If a number is outside its range.
    """

    name: str
    model: ModelConfig = field(default_factory=PerceptronConfig)
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    l1_penalty: float = 0.0
    l2_penalty: float = 0.0
    optimizer: str = "adam"
    learning_rate: float = 0.001
    schedule: str = "constant"
    batch_size: int = 64
    num_epochs: int = 10
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_share: float = 0.0
    patience: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        loss_by_name(self.loss)
        require_optimizer(self.optimizer)
        schedule_by_name(self.schedule)
        if self.precision not in PRECISIONS:
            hint = nearest(self.precision, PRECISIONS)
            raise UnknownNameError(f"no precision named {self.precision!r}", looked_in=__name__, next_step=hint)
        require(self.name, "label_smoothing", self.label_smoothing, 0 <= self.label_smoothing <= 1, "in [0, 1]")
        require(self.name, "l1_penalty", self.l1_penalty, 0 <= self.l1_penalty < math.inf, "0 or more")
        require(self.name, "l2_penalty", self.l2_penalty, 0 <= self.l2_penalty < math.inf, "0 or more")
        require(self.name, "learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0")
        require(self.name, "batch_size", self.batch_size, self.batch_size >= 1, "1 or more")
        require(self.name, "num_epochs", self.num_epochs, self.num_epochs >= 1, "1 or more")
        require(self.name, "validation_share", self.validation_share, 0 <= self.validation_share < 1, "in [0, 1)")
        require(self.name, "patience", self.patience, self.patience >= 0, "0 or more")
        can_validate = self.validation_share > 0 or not self.patience
        require(self.name, "patience", self.patience, can_validate, "0 unless validation_share is above 0")
        share, widths = self.model.dropout, self.model.widths
        require(self.name, "model.dropout", share, 0 <= share < 1, "in [0, 1)")
        require(self.name, "model widths", widths, all(width >= 1 for width in widths), "1 or more each")
        scaling = self.augmentation.scaling
        require(self.name, "augmentation.scaling", scaling, 0 <= scaling < 1, "in [0, 1)")


def require(recipe: str, setting: str, value: object, is_possible: bool, possible: str) -> None:
    """Refuse an impossible value of a setting.

    Raises:
        RecipeError: If the value is impossible; the message says what it must be.
    """
    if not is_possible:
        raise RecipeError(
            f"{setting} is {value}", looked_in=f"recipe {recipe}", next_step=f"{setting} must be {possible}"
        )


def article() -> Recipe:
    """The article's section 5.2: Adam with rate 0.001, cross-entropy, batches of 64, 10 epochs, pixels in [0, 1]."""
    return Recipe(name="article")


def digits() -> Recipe:
    """The article's recipe for the 1,437 training images of ``digits``: as many epochs as they need to be learned."""
    return replace(article(), name="digits", num_epochs=40)


def few_labels() -> Recipe:
    """For 10 to 200 labels, from trained weights or from new ones: enough epochs to memorise all of them."""
    return replace(article(), name="few_labels", num_epochs=100)


def mlp_98() -> Recipe:
    """The article's perceptron in the shortest training run that classifies 98 % of the test images of MNIST correctly.

    It uses larger batches and a larger rate that rises and falls: half the epochs of the article, and half the steps in
    each.
    """
    return replace(article(), name="mlp_98", learning_rate=0.005, schedule="one_cycle", batch_size=128, num_epochs=5)


def regression() -> Recipe:
    """The article's section 3.5: one ReLU neuron between one number and another, squared error, plain SGD, rate 0.01."""
    return Recipe(
        name="regression",
        model=PerceptronConfig(num_inputs=1, hidden_widths=(1,), num_outputs=1),
        loss="mean_squared_error",
        optimizer="sgd",
        learning_rate=0.01,
        batch_size=16,
        num_epochs=200,
    )


def cnn_99_5() -> Recipe:
    """A small convolutional network."""
    return Recipe(
        name="cnn_99_5",
        model=CnnConfig(),
        label_smoothing=0.05,
        optimizer="adamw",
        learning_rate=0.01,
        schedule="one_cycle",
        batch_size=128,
        num_epochs=15,
        augmentation=Augmentation(rotation_degrees=12, scaling=0.1, shift_pixels=2),
    )


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "article": article,
    "digits": digits,
    "few_labels": few_labels,
    "mlp_98": mlp_98,
    "cnn_99_5": cnn_99_5,
}
"""Recipes for images of digits; :func:`regression` takes other data."""


def recipe_by_name(name: str) -> Recipe:
    """The recipe with a name.

    Raises:
        UnknownNameError: If there is no such recipe.

    Example:
        >>> recipe_by_name("article").learning_rate
        0.001
    """
    if name not in RECIPES:
        raise UnknownNameError(f"no recipe named {name!r}", looked_in=__name__, next_step=nearest(name, RECIPES))
    return RECIPES[name]()


def recipe_for(data_set: str) -> Recipe:
    """The default recipe for a data set.

    Example:
        >>> recipe_for("mnist").name
        'article'
    """
    return digits() if data_set == "digits" else article()


def with_settings(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """A recipe with some settings replaced.

    Args:
        recipe: Recipe with all other settings.
        settings: Values as text, by name; a dot separates a part from its setting, and commas separate several numbers.

    Raises:
        UnknownNameError: If a setting, or something that its value names, does not exist.
        RecipeError: If a value has the wrong type or is outside its range.

    Example:
        >>> changed = with_settings(article(), {"num_epochs": "3", "model.hidden_widths": "64,32"})
        >>> changed.num_epochs, changed.model.hidden_widths
        (3, (64, 32))
    """
    for name, text in settings.items():
        recipe = _with_setting(recipe, name.split("."), text, name)
    return recipe


def _with_setting(part: Any, path: list[str], text: str, name: str) -> Any:
    """A recipe or a part of it with one value replaced."""
    known = [each.name for each in fields(part) if each.name not in {"name", "architecture"}]
    if path[0] not in known:
        where = f"the settings of {type(part).__name__}"
        raise UnknownNameError(f"no setting named {name!r}", looked_in=where, next_step=nearest(path[0], known))
    value = getattr(part, path[0])
    if is_dataclass(value) and len(path) > 1:
        return replace(part, **{path[0]: _with_setting(value, path[1:], text, name)})
    if is_dataclass(value) or len(path) > 1:
        hint = ", ".join(f"{path[0]}.{each.name}" for each in fields(value)) if is_dataclass(value) else path[0]
        raise UnknownNameError(f"no setting named {name!r}", looked_in="the recipe", next_step=f"known: {hint}")
    try:
        return replace(part, **{path[0]: _parsed(text, like=value)})
    except ValueError as error:
        kind = "whole numbers separated by commas" if isinstance(value, tuple) else type(value).__name__
        raise RecipeError(f"{name} is {text!r}", next_step=f"{name} must be of the kind: {kind}") from error


def _parsed(text: str, *, like: Any) -> Any:
    """A text, parsed to the type of another value."""
    if isinstance(like, tuple):
        return tuple(int(number) for number in text.split(",") if number)
    return type(like)(text)
