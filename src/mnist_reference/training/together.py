"""Several models of one recipe trained at once, each as it is trained alone but for rounding.

Where the library sums the products of a stack of matrices in the order in which it sums those of one, a member has the
bits that it gets alone on one thread.

For ensembles and for everything that asks how much a result owes to its seed. The threads share the members out, where
a single training can only share out each of its small products.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import zip_longest

import torch
from torch import Tensor, nn

from mnist_reference.data.datasets import Split
from mnist_reference.seeding import generator
from mnist_reference.training.fast import Steps, Way, can_vary, is_fit, stacked
from mnist_reference.training.losses import loss_by_name
from mnist_reference.training.optimizers import Adam
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.train import (
    EpochRecord,
    learning_rates,
    require_finite,
    require_finite_weights,
    score,
    train,
    train_batches,
)


def train_together(
    models: Sequence[nn.Module], split: Split, recipe: Recipe, *, seeds: Sequence[int], test: Split | None = None
) -> Iterator[tuple[EpochRecord, ...]]:
    """Train several models in place, on the device that they are on.

    Args:
        models: As :func:`mnist_reference.training.train.train` takes them, all by the same recipe.
        split: What they learn from.
        recipe: How.
        seeds: One a model: govern the order of the examples.
        test: Scored after every epoch, if given.

    Yields:
        One record a model for each epoch; their time is that of the epoch of all models. Where a training stops early,
        its last record stands for it until the others end.

    Raises:
        DivergenceError: If the loss of a step of any model, or after an epoch a weight or an answer, is not finite.

    Example:
        >>> from dataclasses import replace
        >>> from mnist_reference.data.datasets import load
        >>> from mnist_reference.models.networks import initialised
        >>> from mnist_reference.training.recipes import digits
        >>> recipe, seeds = replace(digits(), num_epochs=1), range(3)
        >>> models = [initialised(recipe.model, seed=seed) for seed in seeds]
        >>> [records] = train_together(models, load("digits").train, recipe, seeds=seeds)
        >>> len(records), len({record.train_loss for record in records})
        (3, 3)
    """
    device = next(models[0].parameters()).device
    if not all(is_fit(model, recipe) for model in models) or not can_vary(recipe, device):
        alone = [train(model, split, recipe, seed=seed, test=test) for model, seed in zip(models, seeds, strict=True)]
        yield from abreast(alone)
        return
    split = split.to(device)
    test = test.to(device) if test else None
    optimizers = [Adam(model.parameters(), learning_rate=recipe.learning_rate) for model in models]
    steps = Steps(stacked(optimizers), split)
    loss_function = loss_by_name(recipe.loss)
    rates = learning_rates(recipe, num_examples=len(split.labels))
    shuffling = [generator(seed, "shuffling") for seed in seeds]
    train_members = steps.in_place_of(
        in_turns(
            [
                partial(train_batches, model, loss_function, optimizer, split)
                for model, optimizer in zip(models, optimizers, strict=True)
            ]
        )
    )
    for model in models:
        model.train()
    for epoch in range(1, recipe.num_epochs + 1):
        started = time.perf_counter()
        orders = [torch.randperm(len(split.labels), generator=stream) for stream in shuffling]
        batches = torch.stack(orders).to(device).split(recipe.batch_size, dim=1)  # of (members, N)
        epoch_rates = rates[(epoch - 1) * len(batches) : epoch * len(batches)]
        losses = train_members(batches, epoch_rates)
        for column in losses.T:
            require_finite(column, epoch=epoch)
        for model in models:
            require_finite_weights(model, epoch=epoch)
        train_time_s = time.perf_counter() - started
        yield tuple(
            EpochRecord(
                epoch=epoch,
                train_loss=float(column.mean()),
                learning_rate=epoch_rates[-1],
                train_time_s=train_time_s,
                test=score(model, test) if test else None,
            )
            for model, column in zip(models, losses.T.contiguous(), strict=True)
        )


def abreast(trainings: Sequence[Iterator[EpochRecord]]) -> Iterator[tuple[EpochRecord, ...]]:
    """The records of several trainings, epoch by epoch; the last one of a training that has ended comes again."""
    last: tuple[EpochRecord, ...] = ()
    for records in zip_longest(*trainings):
        last = tuple(record or last[member] for member, record in enumerate(records))
        yield last


def in_turns(ways: Sequence[Way]) -> Way:
    """One way a member, one after another on one thread.

    Returns:
        Takes batches of (members, N) and gives losses of (batches, members).
    """

    def run(batches: Sequence[Tensor], rates: Sequence[float]) -> Tensor:
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            columns = [way([batch[member] for batch in batches], rates) for member, way in enumerate(ways)]
        finally:
            torch.set_num_threads(num_threads)
        return torch.stack(columns, dim=1)

    return run
