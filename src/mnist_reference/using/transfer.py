"""Transfer learning: what a model has learned from one data set, put to use where labels are few.

How much it saves is measured in ``docs/results/transfer.json``: pretrained on MNIST, fine-tuned on 10, 50 and 200
labels of ``digits``, beside the same training from new weights. It saves much where the new images are brought into the
form of the old ones (:func:`reframed`), and does harm where they are not.
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
    """Some examples of a split, drawn by chance, as many of each class as of any other.

    Args:
        split: What they are drawn from.
        num_labels: How many, a multiple of the number of classes.
        seed: Governs which.

    Raises:
        ValueError: If the number is no such multiple, or a class has too few examples.

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
    """The same examples, their digits scaled and centred as those of another data set.

    Args:
        split: Its images are white on black.
        data_set: Whose form they take, ``mnist`` or ``digits``.
    """
    images = [framed(ink, box_side=BOX_SIDES[data_set]) for ink in scaled_pixels(split.images)]
    return Split(images=(torch.stack(images) * 255).round().to(torch.uint8), labels=split.labels)


def fine_tuned(model: nn.Module, split: Split, recipe: Recipe, *, seed: int) -> nn.Module:
    """A copy of a trained model, all layers trained on with other examples.

    Args:
        model: Stays as it is.
        split: What the copy learns from.
        recipe: How, such as :func:`mnist_reference.training.recipes.few_labels`; its own model plays no part.
        seed: Governs the order of the examples.

    References:
        J. Yosinski et al. (2014), How transferable are features in deep neural networks?
    """
    copy = deepcopy(model)
    for _ in train(copy, split, recipe, seed=seed):
        pass
    return copy
