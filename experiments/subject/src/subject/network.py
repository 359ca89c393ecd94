"""A classifier with one hidden layer and its training step, in numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

NUM_CLASSES = 10


class Network(NamedTuple):
    """Weights of both layers."""

    first: Floats
    second: Floats


def new_network(num_inputs: int, num_hidden: int, rng: np.random.Generator) -> Network:
    """A network with random weights."""
    first = rng.standard_normal((num_inputs, num_hidden), dtype=np.float32) / np.sqrt(num_inputs)
    second = rng.standard_normal((num_hidden, NUM_CLASSES), dtype=np.float32) / np.sqrt(num_hidden)
    return Network(first.astype(np.float32), second.astype(np.float32))


def forward(network: Network, inputs: Floats) -> tuple[Floats, Floats]:
    """Hidden activations and probabilities."""
    hidden = np.maximum(inputs @ network.first, 0)
    logits = hidden @ network.second
    logits -= logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)


def train_step(network: Network, inputs: Floats, labels: Integers, learning_rate: float) -> Network:
    """One step of gradient descent on the cross-entropy."""
    hidden, probabilities = forward(network, inputs)
    error = probabilities
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    second_gradient = hidden.T @ error
    hidden_error = (error @ network.second.T) * (hidden > 0)
    first_gradient = inputs.T @ hidden_error
    return Network(
        network.first - np.float32(learning_rate) * first_gradient,
        network.second - np.float32(learning_rate) * second_gradient,
    )


def predict(network: Network, inputs: Floats) -> Integers:
    """The most probable class of each input."""
    _, probabilities = forward(network, inputs)
    return probabilities.argmax(axis=1)
