"""Transfer learning: use of a model trained on one data set for another one with few labels.

The gain is measured in ``docs/results/transfer.json``: models pretrained on MNIST and fine-tuned on 10, 50 and 200
labels of ``digits``, compared with the same training from new weights. The gain is large if the new images are brought
into the form of the old ones (:func:`reframed`); otherwise the transfer does harm.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from mnist_reference.data.datasets import Split, scaled_pixels
from mnist_reference.data.pictures import BOX_SIDES, framed
from mnist_reference.seeding import generator
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.train import train


def few_labels(split: Split, num_labels: int, *, seed: int) -> Split:
    """A random sample of a split with the same number of examples of each class.

    Args:
        split: Split from which the examples are drawn.
        num_labels: Number of examples, a multiple of the number of classes.
        seed: Seed of the choice.

    Raises:
        ValueError: If the number is not such a multiple, or a class has too few examples.

    Example:
        >>> split = Split(images=torch.zeros(6, 28, 28), labels=torch.tensor([0, 0, 0, 1, 1, 1]))
        >>> sorted(few_labels(split, 4, seed=0).labels.tolist())
        [0, 0, 1, 1]
    """
    classes = split.labels.unique()
    num_each, rest = divmod(num_labels, len(classes))
    fewest = int(split.labels.bincount()[classes].min())
    if rest or not 1 <= num_each <= fewest:
        raise ValueError(
            f"{num_labels} labels are not equally many, from 1 to {fewest}, of each of {len(classes)} classes"
        )
    order = torch.randperm(len(split.labels), generator=generator(seed, "few labels")).to(split.labels.device)
    chosen = torch.cat([order[split.labels[order] == label][:num_each] for label in classes])
    return Split(images=split.images[chosen], labels=split.labels[chosen])


def reframed(split: Split, *, data_set: str) -> Split:
    """The same examples, with their digits scaled and centred as in another data set.

    Args:
        split: Examples, white on black.
        data_set: Data set whose form they take, ``mnist`` or ``digits``.
    """
    images = [framed(ink, box_side=BOX_SIDES[data_set]) for ink in scaled_pixels(split.images)]
    return Split(images=(torch.stack(images) * 255).round().to(torch.uint8), labels=split.labels)


def fine_tuned(model: nn.Module, split: Split, recipe: Recipe, *, seed: int) -> nn.Module:
    """A copy of a trained model, of which all layers are trained further on other examples.

    Args:
        model: Trained model, which is not changed.
        split: Examples to train the copy on.
        recipe: Recipe, such as :func:`mnist_reference.training.recipes.few_labels`; its model is not used.
        seed: Seed of the order of the examples.

    References:
        J. Yosinski et al. (2014), How transferable are features in deep neural networks?
    """
    copy = deepcopy(model)
    for _ in train(copy, split, recipe, seed=seed):
        pass
    return copy
