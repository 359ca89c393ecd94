from dataclasses import replace

import pytest
import torch

from mnist_reference.data.datasets import Split
from mnist_reference.models.networks import initialised
from mnist_reference.training.recipes import digits
from mnist_reference.training.recipes import few_labels as few_labels_recipe
from mnist_reference.training.train import score, train
from mnist_reference.using.transfer import few_labels, fine_tuned, reframed

BRIEF = replace(few_labels_recipe(), num_epochs=30)


@pytest.mark.parametrize("num_labels", [10, 50, 200])
def test_few_labels_are_balanced_and_from_the_split(digits_data, num_labels):
    few = few_labels(digits_data.train, num_labels, seed=0)

    assert few.labels.bincount().tolist() == [num_labels // 10] * 10
    known = {(image.numpy().tobytes(), int(label)) for image, label in zip(*_pairs(digits_data.train), strict=True)}
    assert all((image.numpy().tobytes(), int(label)) in known for image, label in zip(*_pairs(few), strict=True))


def _pairs(split):
    return split.images, split.labels


def test_few_labels_are_drawn_by_the_seed(digits_data):
    first, again, other = (few_labels(digits_data.train, 50, seed=seed).images for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_few_labels_are_drawn_without_repetition(digits_data):
    distinct = Split(images=torch.arange(1437.0).reshape(-1, 1), labels=digits_data.train.labels)

    assert few_labels(distinct, 200, seed=0).images.unique().numel() == 200


@pytest.mark.parametrize("num_labels", [0, 15, 2_000])
def test_number_that_cannot_be_shared_out_is_refused(digits_data, num_labels):
    with pytest.raises(ValueError, match=f"{num_labels} labels are not equally many, from 1 to 139, of each of 10"):
        few_labels(digits_data.train, num_labels, seed=0)


def test_reframed_digits_fill_the_box_of_mnist_and_keep_their_labels(digits_data):
    few = few_labels(digits_data.train, 50, seed=0)

    images = reframed(few, data_set="mnist").images

    extents = [max(int((image.sum(axis) > 0).sum()) for axis in (0, 1)) for image in images]
    assert (images.shape, images.dtype) == (few.images.shape, torch.uint8)
    assert max(extents) <= 20 < min(max(int((image.sum(axis) > 0).sum()) for axis in (0, 1)) for image in few.images)
    assert torch.equal(reframed(few, data_set="mnist").labels, few.labels)


def test_fine_tuning_leaves_the_model_it_starts_from(digits_data, perceptron):
    before = {name: value.clone() for name, value in perceptron.state_dict().items()}

    child = fine_tuned(perceptron, few_labels(digits_data.train, 10, seed=0), BRIEF, seed=0)

    assert all(torch.equal(value, before[name]) for name, value in perceptron.state_dict().items())
    assert not any(torch.equal(value, before[name]) for name, value in child.state_dict().items())


def test_what_was_learned_elsewhere_helps_where_labels_are_few(digits_data):
    source = initialised(digits().model, seed=0)
    for _ in train(source, digits_data.train, replace(digits(), num_epochs=10), seed=0):
        pass
    train_split, test_split = (
        Split(images=split.images.roll(3, dims=2), labels=split.labels)
        for split in (digits_data.train, digits_data.test)
    )  # digits moved aside, which a perceptron does not read without learning it
    few = few_labels(train_split, 50, seed=0)

    tuned, fresh = (fine_tuned(model, few, BRIEF, seed=0) for model in (source, initialised(BRIEF.model, seed=0)))

    before, pretrained, new = (score(model, test_split).top1_accuracy for model in (source, tuned, fresh))
    assert pretrained > max(before, new) + 0.03
