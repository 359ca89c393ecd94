from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from mnist_reference.data.datasets import scaled_pixels
from mnist_reference.errors import DivergenceError
from mnist_reference.from_scratch import (
    RELU,
    SIGMOID,
    Layer,
    cross_entropy,
    fit,
    forward,
    gradients,
    neuron_gradient,
    random_network,
    relu,
    sigmoid,
)
from mnist_reference.models.evaluate import top1_accuracy

ACTIVATIONS = pytest.mark.parametrize("activation", [SIGMOID, RELU], ids=["sigmoid", "relu"])
WIDTHS = pytest.mark.parametrize("widths", [(5, 3), (5, 4, 3), (5, 7, 6, 4, 3)], ids=len)


def double_network(widths, activation):
    network = random_network(widths, activation, seed=1)
    return replace(network, layers=tuple(Layer(*(part.double() for part in layer)) for layer in network.layers))


@pytest.fixture
def batch():
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, 5, generator=stream, dtype=torch.float64)
    return inputs, torch.randint(0, 3, (8,), generator=stream)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [(sigmoid, torch.sigmoid), (relu, torch.relu)],
    ids=["sigmoid", "relu"],
)
def test_activation_is_torchs(ours, torchs):
    values = torch.linspace(-50, 50, 201)

    torch.testing.assert_close(ours(values), torchs(values))


@ACTIVATIONS
def test_derivative_of_an_activation_is_autograds(activation):
    values = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)

    (expected,) = torch.autograd.grad(activation.function(values).sum(), values)

    torch.testing.assert_close(activation.derivative(values.detach()), expected)


def test_neuron_gradient_is_autograds():
    stream = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(9, 4, generator=stream), torch.rand(9, generator=stream)
    weights = torch.randn(4, generator=stream, requires_grad=True)

    loss = ((targets - torch.sigmoid(inputs @ weights)) ** 2 / 2).mean()
    (expected,) = torch.autograd.grad(loss, weights)

    torch.testing.assert_close(neuron_gradient(weights.detach(), inputs, targets), expected)


def test_corrected_neuron_learns_where_the_pseudo_code_unlearns():
    inputs = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    targets = torch.tensor([0.0, 0.0, 1.0, 1.0])
    corrected, pseudo = torch.zeros(2), torch.zeros(2)

    for _ in range(500):
        corrected = corrected - neuron_gradient(corrected, inputs, targets)
        for x, y in zip(inputs, targets, strict=True):
            a = sigmoid(x @ pseudo)
            pseudo = pseudo - (y - a) * a * (1 - a)

    def loss(weights):
        return float(((targets - sigmoid(inputs @ weights)) ** 2).mean() / 2)

    assert loss(corrected) < 0.04
    assert loss(pseudo) > loss(torch.zeros(2))


@ACTIVATIONS
@WIDTHS
def test_backpropagation_is_autograds(widths, activation, batch):
    inputs, labels = batch
    network = double_network(widths, activation)
    leaves = [part.requires_grad_() for layer in network.layers for part in layer]

    loss = functional.cross_entropy(forward(network, inputs)[1][-1], labels)
    expected = torch.autograd.grad(loss, leaves)

    with torch.no_grad():
        found = [part for layer in gradients(network, inputs, labels) for part in layer]
    assert all(torch.allclose(ours, theirs, atol=1e-12) for ours, theirs in zip(found, expected, strict=True))


@ACTIVATIONS
def test_backpropagation_is_the_finite_difference(activation, batch):
    inputs, labels = batch
    network = double_network((5, 4, 3), activation)
    step = 1e-6

    def loss_at(depth, row, column, offset):
        layers = [Layer(layer.weight.clone(), layer.bias) for layer in network.layers]
        layers[depth].weight[row, column] += offset
        return cross_entropy(forward(replace(network, layers=tuple(layers)), inputs)[1][-1], labels)

    for depth, layer in enumerate(gradients(network, inputs, labels)):
        slope = (loss_at(depth, 1, 2, step) - loss_at(depth, 1, 2, -step)) / (2 * step)

        assert layer.weight[1, 2] == pytest.approx(float(slope), abs=1e-8)


def test_cross_entropy_of_huge_logits_is_torchs():
    logits, labels = torch.tensor([[1e4, 0.0, -1e4], [3.0, 2.0, 1.0]]), torch.tensor([1, 0])

    torch.testing.assert_close(cross_entropy(logits, labels), functional.cross_entropy(logits, labels))


@pytest.mark.parametrize(("activation", "learning_rate"), [(SIGMOID, 1.0), (RELU, 0.1)], ids=["sigmoid", "relu"])
def test_plain_gradient_descent_learns_digits(activation, learning_rate, digits_data):
    network = random_network((784, 32, 10), activation, seed=0)

    *_, trained = fit(network, digits_data.train, learning_rate=learning_rate, batch_size=32, num_epochs=20, seed=0)

    logits = forward(trained, scaled_pixels(digits_data.test.images).flatten(1))[1][-1]
    assert top1_accuracy(logits, digits_data.test.labels) > 0.92


def test_descent_that_diverges_is_told(digits_data):
    network = random_network((784, 8, 10), RELU, seed=0)

    with pytest.raises(DivergenceError, match="weight of layer 0 holds nan after epoch 1"):
        list(fit(network, digits_data.train, learning_rate=1e20, batch_size=64, num_epochs=2, seed=0))
