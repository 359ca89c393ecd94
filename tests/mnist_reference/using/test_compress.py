import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mnist_reference.data.datasets import Split
from mnist_reference.models.evaluate import predict
from mnist_reference.models.networks import PerceptronConfig, initialised
from mnist_reference.training.recipes import digits
from mnist_reference.training.train import train
from mnist_reference.using.compress import Int8Layer, distilled, measured, pruned, pruned_and_retrained, quantised

SPARSITY = 0.9


@pytest.fixture(scope="module")
def parent(digits_data):
    model = initialised(digits().model, seed=0)
    for _ in train(model, digits_data.train, replace(digits(), num_epochs=15), seed=0):
        pass
    return model


@pytest.fixture
def parent_unchanged(parent):
    """The parent; after the test it must have the bits and the mode that it had before."""
    before = {name: value.clone() for name, value in parent.state_dict().items()}
    was_training = parent.training
    yield parent
    assert parent.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in parent.state_dict().items())
    assert parent.training is was_training


@pytest.fixture
def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 28)), nn.Conv2d(1, 4, 5, stride=3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(324, 10)
    )


def weights(model):
    return torch.cat([value.flatten() for name, value in model.state_dict().items() if name.endswith("weight")])


@pytest.mark.parametrize("sparsity", [0.0, 0.5, SPARSITY])
def test_pruning_takes_the_smallest_weights_of_all_layers(parent_unchanged, sparsity):
    child = pruned(parent_unchanged, sparsity=sparsity)

    old, new = weights(parent_unchanged), weights(child)
    count = round(sparsity * len(old))
    threshold = old.abs().sort().values[count]
    assert torch.equal(new, torch.where(old.abs() < threshold, 0, old))
    assert (new == 0).sum() == count


def test_convolutions_are_pruned_whatever_their_layout(convolutional):
    old = weights(convolutional)

    child = pruned(convolutional.to(memory_format=torch.channels_last), sparsity=0.5)

    assert torch.equal(weights(child), torch.where(old.abs() < old.abs().sort().values[len(old) // 2], 0, old))


def test_pruned_model_has_the_parameters_of_any_other(parent, digits_data):
    child = pruned(parent, sparsity=SPARSITY)

    assert child.state_dict().keys() == parent.state_dict().keys()
    assert torch.equal(
        predict(child, digits_data.test.images),
        predict(_with_weights_of(child), digits_data.test.images),
    )


def _with_weights_of(model):
    other = initialised(PerceptronConfig(), seed=9)
    other.load_state_dict(model.state_dict())
    return other


def test_retraining_makes_good_for_pruning_and_keeps_the_zeros(parent_unchanged, digits_data):
    recipe = replace(digits(), num_epochs=5)
    bare = pruned(parent_unchanged, sparsity=SPARSITY)

    child = pruned_and_retrained(parent_unchanged, digits_data.train, recipe, sparsity=SPARSITY, seed=0)

    assert torch.equal(weights(child) == 0, weights(bare) == 0)
    parent_score, bare_score, child_score = (
        measured(model, digits_data.test).scores.top1_accuracy for model in (parent_unchanged, bare, child)
    )
    assert bare_score < parent_score - 0.1
    assert child_score > parent_score - 0.02


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, math.nan])
def test_sparsity_outside_its_range_is_refused(parent, sparsity):
    with pytest.raises(ValueError, match=f"the sparsity must lie in .* not be {sparsity}"):
        pruned(parent, sparsity=sparsity)


def test_quantised_model_answers_as_its_parent(parent_unchanged, digits_data):
    child = quantised(parent_unchanged)

    before, after = (measured(model, digits_data.test) for model in (parent_unchanged, child))
    assert after.scores.top1_accuracy == pytest.approx(before.scores.top1_accuracy, abs=2 / 360)
    assert after.scores.negative_log_likelihood == pytest.approx(before.scores.negative_log_likelihood, abs=0.01)
    assert after.num_bytes < 0.27 * before.num_bytes


def test_rounding_errs_by_half_a_step_of_its_channel_at_most(parent):
    rounded = [layer for layer in quantised(parent).modules() if isinstance(layer, Int8Layer)]

    for old, new in zip(parent.layers, rounded, strict=True):
        steps = old.weight.abs().amax(1, keepdim=True) / 127
        assert new.weights.dtype == torch.int8
        assert ((new.weight() - old.weight).abs() <= steps * 0.5001).all()
        assert torch.equal(new.weights.abs().amax(1), torch.full((len(steps),), 127, dtype=torch.int8))


def test_quantised_convolution_keeps_stride_and_padding(convolutional, digits_data):
    images = digits_data.test.images[:20]

    child = quantised(convolutional)

    torch.testing.assert_close(predict(child, images), predict(convolutional, images), rtol=0, atol=0.02)


def test_layer_of_zeros_is_quantised_to_zeros():
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)

    assert torch.equal(quantised(layer)(torch.ones(1, 3)), layer.bias.unsqueeze(0))


def test_layer_that_is_the_whole_model_is_quantised():
    layer = nn.Linear(3, 2)

    torch.testing.assert_close(quantised(layer)(torch.ones(1, 3)), layer(torch.ones(1, 3)), rtol=0, atol=0.02)


def test_student_learns_the_answers_and_not_the_labels(parent_unchanged, digits_data):
    recipe = replace(digits(), model=PerceptronConfig(hidden_widths=(32,)), num_epochs=15)
    mislabelled = Split(images=digits_data.train.images, labels=torch.zeros_like(digits_data.train.labels))

    student = distilled(parent_unchanged, mislabelled, recipe, seed=1)

    answers, teacher_answers = (
        predict(model, digits_data.test.images).argmax(1) for model in (student, parent_unchanged)
    )
    assert student.config == recipe.model
    assert (answers == teacher_answers).double().mean() > 0.93


def test_bytes_are_those_of_a_safetensors_file(parent, digits_data, tmp_path):
    save_file(parent.state_dict(), tmp_path / "model.safetensors")

    measurement = measured(parent, digits_data.test)

    assert measurement.num_bytes == (tmp_path / "model.safetensors").stat().st_size
    assert measurement.num_parameters == measurement.num_nonzero == 109_386


def test_zeros_pay_when_deflated(parent, digits_data):
    whole, sparse = (measured(model, digits_data.test) for model in (parent, pruned(parent, sparsity=SPARSITY)))

    assert sparse.num_bytes == whole.num_bytes
    assert sparse.num_nonzero < 0.11 * whole.num_nonzero
    assert sparse.num_deflated_bytes < 0.2 * whole.num_deflated_bytes
