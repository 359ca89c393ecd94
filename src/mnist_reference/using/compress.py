"""Smaller models from a trained one: magnitude pruning, int8 quantisation, distillation.

Each method returns a new model and does not change the original. The size of a model on disk and its scores are kept
together in one record, :class:`Measurement`. The results of all methods are in ``docs/results/compression.json``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from mnist_reference.data.datasets import Split
from mnist_reference.models.evaluate import predict
from mnist_reference.models.networks import initialised
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.train import Scores, score, train

INT8_MAX = 127
"""Largest int8 value used. -128 is not used, so that the range is symmetric and zero stays zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Size and scores of a model.

    Attributes:
        num_parameters: Number of parameters.
        num_nonzero: Number of parameters that are not 0.
        num_bytes: Size of its tensors as a safetensors file.
        num_deflated_bytes: Size of that file after compression by zlib at the highest level, which benefits from zeros.
        scores: Scores on a test split.
    """

    num_parameters: int
    num_nonzero: int
    num_bytes: int
    num_deflated_bytes: int
    scores: Scores


def measured(model: nn.Module, split: Split) -> Measurement:
    """Measure a model on a split."""
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    content = save(tensors)
    return Measurement(
        num_parameters=sum(value.numel() for value in tensors.values()),
        num_nonzero=sum(int(value.count_nonzero()) for value in tensors.values()),
        num_bytes=len(content),
        num_deflated_bytes=len(zlib.compress(content, level=9)),
        scores=score(model, split),
    )


def pruned(model: nn.Module, *, sparsity: float) -> nn.Module:
    """A copy whose smallest weights, over all layers, are set to 0; biases are kept.

    Args:
        model: Any model; the weights of its linear and convolutional layers are ranked together.
        sparsity: Share of these weights that is set to 0, in [0, 1).

    Raises:
        ValueError: If the share lies outside its range.

    References:
        S. Han et al. (2015), Learning both weights and connections for efficient neural networks.
    """
    copy = _masked(model, sparsity=sparsity)
    _make_permanent(copy)
    return copy


def pruned_and_retrained(model: nn.Module, split: Split, recipe: Recipe, *, sparsity: float, seed: int) -> nn.Module:
    """Like :func:`pruned`, followed by training of the remaining weights; the pruned ones stay 0.

    Args:
        model: Model, see :func:`pruned`.
        split: Examples to train on.
        recipe: Recipe of the training run; its model is not used.
        sparsity: Share of weights that is set to 0, see :func:`pruned`.
        seed: Seed of the order of the examples.
    """
    copy = _masked(model, sparsity=sparsity)
    for _ in train(copy, split, recipe, seed=seed):
        pass
    _make_permanent(copy)
    return copy


def _masked(model: nn.Module, *, sparsity: float) -> nn.Module:
    """A copy whose weights are multiplied by a mask; gradients reach only the weights that the mask keeps."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"the sparsity must lie in [0, 1), not be {sparsity}")
    copy = deepcopy(model).to(memory_format=torch.contiguous_format)  # a larger model is too large for the ranking
    weights = [(layer, "weight") for layer in _layers(copy)]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=sparsity)
    return copy


def _make_permanent(model: nn.Module) -> None:
    for layer in _layers(model):
        prune.remove(layer, "weight")


def _layers(model: nn.Module) -> Iterator[nn.Linear | nn.Conv2d]:
    """The linear and convolutional layers, which have nearly all the weights."""
    return (layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d))


def distilled(teacher: nn.Module, split: Split, recipe: Recipe, *, seed: int) -> nn.Module:
    """A new model that is trained on the teacher's answers instead of the labels.

    Args:
        teacher: Model that gives logits.
        split: Examples whose images are used.
        recipe: Recipe with the student's model; :func:`mnist_reference.training.losses.distillation` replaces its loss.
        seed: Seed of the student's initial weights and of the order of the examples.
    """
    student = initialised(recipe.model, seed=seed).to(next(teacher.parameters()).device)
    answers = Split(images=split.images, labels=predict(teacher, split.images))  # labels: (N, 10), float32
    for _ in train(student, answers, replace(recipe, loss="distillation"), seed=seed):
        pass
    return student


def quantised(model: nn.Module) -> nn.Module:
    """A copy whose linear and convolutional layers store their weights in 8 bits, for inference only.

    Weights are rounded after training, with one scale for each output (symmetric, per channel), and are converted back
    to float32 when the layer runs. Biases and activations stay float32, so this saves space but not time.

    Args:
        model: Any model.

    References:
        R. Krishnamoorthi (2018), Quantizing deep convolutional networks for efficient inference, section 3.
    """
    copy = nn.Sequential(deepcopy(model)).eval()  # the model itself may be such a layer
    for parent in list(copy.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                setattr(parent, name, Int8Layer(layer))
    return copy[0]


class Int8Layer(nn.Module):
    """A linear or convolutional layer with weights of 8 bits.

    Args:
        layer: The layer that it replaces; its bias is shared, its weights are rounded.

    Example:
        >>> layer = nn.Linear(784, 10)
        >>> rounded = Int8Layer(layer)
        >>> bool(((rounded.weight() - layer.weight).abs() <= rounded.scales * 0.5001).all())  # half a step, in float32
        True
    """

    weights: Tensor
    scales: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        largest = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True)  # (outputs, 1, ...)
        scales = largest.clamp(min=torch.finfo(weight.dtype).tiny) / INT8_MAX
        self.register_buffer("weights", (weight / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)
        self.bias = layer.bias
        self.convolution = {
            name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups") if hasattr(layer, name)
        }

    def weight(self) -> Tensor:
        """The rounded weights, float32, shape of the layer's."""
        return self.weights * self.scales

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the same as the layer that it replaces, with the rounded weights."""
        if self.convolution:
            return functional.conv2d(inputs, self.weight(), self.bias, **self.convolution)
        return functional.linear(inputs, self.weight(), self.bias)
