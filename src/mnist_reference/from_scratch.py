"""Neurons, activations and backpropagation written out: plain tensor operations, no autograd, no ``nn.Module``.

Read this module together with section 3 of the article, whose pseudo-code for one neuron is::

    z = x * w;  a = sigmoid(z);  error = y - a;  delta = error * sigmoid_prime(a);  w = w - eta * delta

It does not learn, for three reasons. The loss is ``(y - a)**2 / 2``, and by the chain rule its gradient is ``-(y - a) *
sigmoid_prime(z) * x``. So the derivative is taken at ``z`` and not at ``a``; the step ``w - eta * gradient`` *adds* the
error, whereas the pseudo-code subtracts it; and the product must include the input ``x``, since otherwise a weight
whose input is zero would move. :func:`neuron_gradient` is the corrected form, and :func:`gradients` generalises it to
any depth.

- :func:`sigmoid`, :func:`relu` and their derivatives: activations.
- :class:`Layer`, :class:`Network`: the learned weights.
- :func:`forward`, :func:`cross_entropy`, :func:`gradients`: forward and backward pass.
- :func:`descended`, :func:`fit`: gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_reference.data.datasets import Split, scaled_pixels
from mnist_reference.errors import DivergenceError
from mnist_reference.models.networks import number_lost
from mnist_reference.seeding import generator


class Layer(NamedTuple):
    """Weights of one layer, or the gradient with respect to them.

    Attributes:
        weight: (outputs, inputs).
        bias: (outputs,).
    """

    weight: Tensor
    bias: Tensor


class Activation(NamedTuple):
    """An elementwise function, with its derivative at the same argument."""

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]


def sigmoid(values: Tensor) -> Tensor:
    """1 / (1 + exp(-z)), any shape.

    Example:
        >>> sigmoid(torch.tensor([0.0, 100.0])).tolist()
        [0.5, 1.0]
    """
    return 1 / (1 + torch.exp(-values))


def sigmoid_derivative(values: Tensor) -> Tensor:
    """Derivative of the sigmoid at z (not at sigmoid(z)): s(z) (1 - s(z)).

    Example:
        >>> sigmoid_derivative(torch.tensor(0.0)).item()
        0.25
    """
    return sigmoid(values) * (1 - sigmoid(values))


def relu(values: Tensor) -> Tensor:
    """The larger of z and 0, any shape."""
    return values.clamp(min=0)


def relu_derivative(values: Tensor) -> Tensor:
    """1 where z is positive, 0 elsewhere; at 0, where there is no derivative, it is 0 as in autograd."""
    return (values > 0).to(values.dtype)


SIGMOID = Activation(sigmoid, sigmoid_derivative)
RELU = Activation(relu, relu_derivative)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Layers with an activation between them, none after the last.

    Attributes:
        layers: Layers from the input to the output.
        activation: Activation of the hidden layers.
    """

    layers: tuple[Layer, ...]
    activation: Activation


def neuron_gradient(weights: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """Gradient of the loss of one sigmoid neuron, a correction of the article's pseudo-code.

    Args:
        weights: Weights, (inputs,).
        inputs: Inputs, (N, inputs).
        targets: Targets, (N,), in [0, 1].

    Returns:
        Gradient of the mean over examples of ``(y - a)**2 / 2``, (inputs,).
    """
    values = inputs @ weights  # (N,)
    errors = targets - sigmoid(values)  # (N,)
    return -(errors * sigmoid_derivative(values)) @ inputs / len(inputs)  # (inputs,)


def random_network(widths: tuple[int, ...], activation: Activation, *, seed: int) -> Network:
    """A network whose weights are uniform in +-1/sqrt(inputs).

    Args:
        widths: Numbers of inputs, of neurons of each hidden layer, and of classes.
        activation: Activation of the hidden layers.
        seed: Seed of the weights.
    """
    stream = generator(seed, "weights from scratch")
    layers = []
    for inputs, outputs in pairwise(widths):
        bound = inputs**-0.5
        weight = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=stream)
        layers.append(Layer(weight, torch.empty(outputs).uniform_(-bound, bound, generator=stream)))
    return Network(layers=tuple(layers), activation=activation)


def forward(network: Network, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The forward pass, with everything that the backward pass needs.

    Args:
        network: Network with L layers.
        inputs: Inputs, (N, inputs).

    Returns:
        The inputs of each layer, L tensors of (N, inputs of the layer), and the outputs of each layer before its
        activation, L tensors of (N, outputs of the layer); the last of these are the logits.
    """
    layer_inputs, values = [inputs], []
    for layer in network.layers:
        values.append(layer_inputs[-1] @ layer.weight.T + layer.bias)  # (N, outputs)
        layer_inputs.append(network.activation.function(values[-1]))
    return layer_inputs[:-1], values


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of minus the log-probability of the true class under softmax, in nat.

    Args:
        logits: (N, classes).
        labels: (N,), int64.
    """
    shifted = logits - logits.max(1, keepdim=True).values  # prevents overflow; softmax stays the same
    log_probabilities = shifted - shifted.exp().sum(1, keepdim=True).log()
    return -log_probabilities[torch.arange(len(labels)), labels].mean()


def gradients(network: Network, inputs: Tensor, labels: Tensor) -> tuple[Layer, ...]:
    """Backpropagation: the gradient of the cross-entropy with respect to every layer.

    Args:
        network: Network of any depth.
        inputs: Inputs, (N, inputs).
        labels: True classes, (N,), int64.

    Returns:
        One gradient for each layer, with the shapes of that layer.

    References:
        D. E. Rumelhart, G. E. Hinton, R. J. Williams (1986), Learning representations by back-propagating errors,
        Nature 323, 533-536.
    """
    layer_inputs, values = forward(network, inputs)
    deltas = values[-1].softmax(1)  # (N, classes): d loss / d logits is probabilities minus one-hot labels, over N
    deltas[torch.arange(len(labels)), labels] -= 1
    deltas = deltas / len(labels)
    found: list[Layer] = []
    for depth in reversed(range(len(network.layers))):
        found.append(Layer(deltas.T @ layer_inputs[depth], deltas.sum(0)))  # (outputs, inputs), (outputs,)
        if depth:
            deltas = (deltas @ network.layers[depth].weight) * network.activation.derivative(values[depth - 1])
    return tuple(reversed(found))


def descended(network: Network, gradient: tuple[Layer, ...], *, learning_rate: float) -> Network:
    """One step of plain gradient descent, as a new network."""
    layers = tuple(
        Layer(layer.weight - learning_rate * slope.weight, layer.bias - learning_rate * slope.bias)
        for layer, slope in zip(network.layers, gradient, strict=True)
    )
    return replace(network, layers=layers)


def fit(
    network: Network, split: Split, *, learning_rate: float, batch_size: int, num_epochs: int, seed: int
) -> Iterator[Network]:
    """Train by gradient descent on batches.

    Args:
        network: Network to start from; it is not changed.
        split: Examples to train on.
        learning_rate: Size of a step.
        batch_size: Number of images in one step.
        num_epochs: Number of passes over the split.
        seed: Seed of the order of the examples.

    Yields:
        The network after each epoch.

    Raises:
        DivergenceError: If a weight is not finite after an epoch.
    """
    inputs = scaled_pixels(split.images).flatten(1)  # (N, 784)
    stream = generator(seed, "shuffling")
    for epoch in range(1, num_epochs + 1):
        for batch in torch.randperm(len(inputs), generator=stream).split(batch_size):
            gradient = gradients(network, inputs[batch], split.labels[batch])
            network = descended(network, gradient, learning_rate=learning_rate)
        lost = number_lost({f"weight of layer {place}": layer.weight for place, layer in enumerate(network.layers)})
        if lost:
            raise DivergenceError(f"{lost} after epoch {epoch}", next_step="try a smaller learning rate")
        yield network
