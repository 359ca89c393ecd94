import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from mnist_reference.models.networks import Cnn, CnnConfig, Perceptron, PerceptronConfig, dropout, initialised


def test_logits_equal_the_formula_in_numpy(perceptron):
    images = torch.rand(5, 28, 28, generator=torch.Generator().manual_seed(0))
    weights = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in perceptron.layers
    ]

    hidden = images.double().numpy().reshape(5, 784)
    for matrix, bias in weights[:-1]:
        hidden = np.maximum(hidden @ matrix.T + bias, 0)
    expected = hidden @ weights[-1][0].T + weights[-1][1]

    np.testing.assert_allclose(perceptron(images).detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("widths", "num_parameters"),
    [((128, 64), 109_386), ((16,), 784 * 16 + 16 + 160 + 10), ((), 7_850)],
    ids=["article", "one-hidden", "linear"],
)
def test_hidden_widths_decide_the_number_of_parameters(widths, num_parameters):
    model = initialised(PerceptronConfig(hidden_widths=widths), seed=0)

    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters


def test_channel_dimension_makes_no_difference(perceptron):
    images = torch.rand(3, 28, 28)

    assert torch.equal(perceptron(images), perceptron(images.unsqueeze(1)))


def test_seed_alone_decides_the_weights():
    first, again, other = (initialised(PerceptronConfig(), seed=seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_initialisation_leaves_the_global_random_state():
    state = torch.get_rng_state()

    initialised(PerceptronConfig(), seed=1)

    assert torch.equal(torch.get_rng_state(), state)


def test_weights_are_uniform_within_one_over_the_root_of_the_inputs(perceptron):
    for layer in perceptron.layers:
        bound = layer.in_features**-0.5
        weights = layer.weight.detach()

        assert weights.abs().max() <= bound
        assert weights.std() == pytest.approx(bound / 3**0.5, rel=0.05)


@pytest.fixture
def small_cnn():
    """With statistics and weights of the normalisation that matter."""
    model = initialised(CnnConfig(channels=(3, 4, 5, 6)), seed=0)
    stream = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and "features" in name:
            value.uniform_(0.3, 0.9, generator=stream) if value.ndim == 1 else value.mul_(2)
    return model.eval()


def formula_of_cnn(model, image):
    """Logits for one image, each convolution by scipy."""
    maps, blocks = (
        [image.double().numpy()],
        [block for block in model.features if isinstance(block, torch.nn.Sequential)],
    )
    for depth, block in enumerate(blocks):
        layer, normalisation, _ = block.children()
        assert isinstance(layer, torch.nn.Conv2d)
        assert isinstance(normalisation, torch.nn.BatchNorm2d)
        kernels = layer.weight.detach().double().numpy()
        mean, variance, scale, offset = (
            values.detach().double().numpy()
            for values in (
                normalisation.running_mean,
                normalisation.running_var,
                normalisation.weight,
                normalisation.bias,
            )
        )
        step = 2 if depth == 0 else 1
        maps = [
            np.sum([correlate2d(each, kernel, "same") for each, kernel in zip(maps, output, strict=True)], 0)[
                ::step, ::step
            ]
            for output in kernels
        ]
        maps = [
            np.maximum((each - mean[i]) / np.sqrt(variance[i] + 1e-5) * scale[i] + offset[i], 0)
            for i, each in enumerate(maps)
        ]
        if depth == 1:
            maps = [each.reshape(7, 2, 7, 2).max((1, 3)) for each in maps]
    weight, bias = (values.detach().double().numpy() for values in (model.classifier.weight, model.classifier.bias))
    return weight @ np.array([each.max() for each in maps]) + bias


def test_logits_of_the_cnn_equal_the_formula_by_scipy(small_cnn):
    images = torch.rand(2, 28, 28, generator=torch.Generator().manual_seed(0))

    found = small_cnn(images).detach().numpy()

    np.testing.assert_allclose(found, [formula_of_cnn(small_cnn, image) for image in images], rtol=1e-4, atol=1e-4)


def test_cnn_takes_images_with_a_channel_dimension_too(small_cnn):
    images = torch.rand(3, 28, 28)

    assert torch.equal(small_cnn(images), small_cnn(images.unsqueeze(1)))


def test_evaluated_cnn_judges_each_image_alone(small_cnn):
    images = torch.rand(5, 28, 28)

    torch.testing.assert_close(small_cnn(images)[2:3], small_cnn(images[2:3]), rtol=1e-4, atol=1e-5)


def test_configuration_decides_the_architecture():
    assert isinstance(initialised(CnnConfig(), seed=0), Cnn)
    assert isinstance(initialised(PerceptronConfig(), seed=0), Perceptron)


@pytest.mark.parametrize("config", [PerceptronConfig(dropout=0.5), CnnConfig(dropout=0.5)], ids=["perceptron", "cnn"])
def test_dropout_acts_in_training_alone(config):
    model, images = initialised(config, seed=0), torch.rand(4, 28, 28)

    for is_training, differ in ((True, True), (False, False)):
        model.train(is_training)
        assert torch.equal(model(images), model(images)) is not differ


def test_dropout_silences_its_share_and_keeps_the_mean():
    model = dropout(0.25)

    hidden = model(torch.ones(1000, 100))

    assert (hidden == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert hidden.mean() == pytest.approx(1, abs=0.01)
