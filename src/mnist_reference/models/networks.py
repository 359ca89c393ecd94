"""The models: a multilayer perceptron from 784 pixels to 10 classes, or between other numbers, and a convolutional network.

The code reads from top to bottom, with a shape beside each step. :mod:`mnist_reference.training.recipes` says how they
are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, overload

import torch
from torch import Tensor, nn

from mnist_reference.data.shapes import IMAGE_SIDE, NUM_CLASSES
from mnist_reference.errors import RecipeError
from mnist_reference.seeding import derived_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptronConfig:
    """Configuration of a perceptron.

    Attributes:
        hidden_widths: Number of neurons of each hidden layer, from the input to the output.
        num_inputs: Number of inputs of one example; for an image, of pixels.
        num_outputs: Number of outputs; for images of digits, of classes.
        dropout: Share of the hidden neurons that are switched off in a training step, drawn for each example.
        architecture: Name that identifies the kind of configuration in stored files.
    """

    hidden_widths: tuple[int, ...] = (128, 64)
    num_inputs: int = IMAGE_SIDE * IMAGE_SIDE
    num_outputs: int = NUM_CLASSES
    dropout: float = 0.0
    architecture: Literal["perceptron"] = "perceptron"

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the inputs, the hidden layers and the outputs."""
        return (self.num_inputs, *self.hidden_widths, self.num_outputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnConfig:
    """Configuration of a convolutional network.

    Attributes:
        channels: Number of channels of each convolution; pooling follows the second.
        num_outputs: Number of classes.
        dropout: Share of the pooled features that are switched off in a training step, drawn for each example.
        architecture: Name that identifies the kind of configuration in stored files.

    Raises:
        RecipeError: If there is no convolution.
    """

    channels: tuple[int, ...] = (16, 32, 64, 64)
    num_outputs: int = NUM_CLASSES
    dropout: float = 0.0
    architecture: Literal["cnn"] = "cnn"

    def __post_init__(self) -> None:
        if not self.channels:
            raise RecipeError("channels is ()", next_step="channels must be one number or more")

    @property
    def num_inputs(self) -> int:
        """Pixels."""
        return IMAGE_SIDE * IMAGE_SIDE

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels between the layers, from the image to the classes."""
        return (1, *self.channels, self.num_outputs)


ModelConfig = PerceptronConfig | CnnConfig


class Perceptron(nn.Module):
    """Linear layers with ReLU between them, none after the last.

    ``eval()`` switches dropout off; without dropout, ``train()`` and ``eval()`` make no difference.

    Args:
        config: Configuration of the perceptron.

    References:
        N. Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting, JMLR 15.

    Example:
        >>> model = Perceptron(PerceptronConfig())
        >>> sum(parameter.numel() for parameter in model.parameters())
        109386
    """

    def __init__(self, config: PerceptronConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(config.widths))
        self.dropout = dropout(config.dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Score each class.

        Args:
            images: (N, 28, 28) or (N, 1, 28, 28), float32 in [0, 1].

        Returns:
            Logits, (N, 10).
        """
        hidden = images.flatten(1)  # (N, 784)
        for layer in self.layers[:-1]:
            hidden = self.dropout(layer(hidden).relu())  # (N, 128), then (N, 64)
        logits: Tensor = self.layers[-1](hidden)  # (N, 10)
        return logits


class Cnn(nn.Module):
    """Convolutions, each with batch normalisation and ReLU, then global max pooling and a linear layer.

    ``eval()`` normalises by the running statistics instead of those of the batch, and switches dropout off.

    Args:
        config: Configuration of the network.

    References:
        S. Ioffe, C. Szegedy (2015), Batch normalization: accelerating deep network training by reducing internal
        covariate shift.

    Example:
        >>> model = Cnn(CnnConfig())
        >>> sum(parameter.numel() for parameter in model.parameters())
        61306
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        blocks: list[nn.Module] = [convolution(1, config.channels[0], kernel_size=5, stride=2)]  # (N, 16, 14, 14)
        blocks += [convolution(inputs, outputs) for inputs, outputs in pairwise(config.channels)]
        blocks.insert(2, nn.MaxPool2d(2))  # (N, 32, 14, 14) to (N, 32, 7, 7), then twice (N, 64, 7, 7)
        self.features = nn.Sequential(*blocks)
        self.dropout = dropout(config.dropout)
        self.classifier = nn.Linear(config.channels[-1], config.num_outputs)
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU

    def forward(self, images: Tensor) -> Tensor:
        """Score each class.

        Args:
            images: (N, 28, 28) or (N, 1, 28, 28), float32 in [0, 1].

        Returns:
            Logits, (N, 10).
        """
        images = images.reshape(-1, 1, IMAGE_SIDE, IMAGE_SIDE).contiguous(memory_format=torch.channels_last)
        strongest = self.features(images).amax((2, 3))  # (N, 64)
        logits: Tensor = self.classifier(self.dropout(strongest))  # (N, 10)
        return logits


def convolution(inputs: int, outputs: int, *, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    """A convolution that keeps the size of the image except for its stride, with normalisation and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def dropout(share: float) -> nn.Module:
    """Dropout, or an identity if the share is 0, since dropout would still draw a number for every neuron."""
    return nn.Dropout(share) if share else nn.Identity()


Model = Perceptron | Cnn


@overload
def initialised(config: PerceptronConfig, *, seed: int) -> Perceptron: ...


@overload
def initialised(config: CnnConfig, *, seed: int) -> Cnn: ...


def initialised(config: ModelConfig, *, seed: int) -> Model:
    """A new model with weights drawn as torch's layers draw them: uniform in +-1/sqrt(inputs of a neuron).

    The global random state is restored.

    Args:
        config: Configuration of the model.
        seed: Seed of the weights.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(derived_seed(seed, "initialisation"))
        return constructed(config)


def number_lost(tensors: Mapping[str, Tensor]) -> str:
    """The first NaN or infinity among some tensors, in words; empty if all numbers are finite.

    Example:
        >>> number_lost({"weight": torch.tensor([1.0, float("inf")])})
        'weight holds inf'
    """
    for name, tensor in tensors.items():
        is_lost = ~tensor.isfinite()
        if is_lost.any():
            return f"{name} holds {tensor[is_lost][0].item()}"
    return ""


def constructed(config: ModelConfig) -> Model:
    """A model with weights drawn from torch's global random state."""
    return Perceptron(config) if isinstance(config, PerceptronConfig) else Cnn(config)
