"""Eight seeds of mainstay's reference model: one call of ``train_together``, one after another, or two at a time.

Their epochs are those of all eight: where they are trained one after another, the sum over the seeds; where two
processes with one thread each share them, a part of the time from when both have imported PyTorch to the last result.

    python -m experiments.peers.seeds together --data FOLDER
    python -m experiments.peers.seeds alone --data FOLDER
    python -m experiments.peers.seeds paired --data FOLDER
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.synchronize import Barrier
from statistics import mean

from experiments.peers.common import Clock, Options, options_parser

NUM_SEEDS = 8
NUM_AT_ONCE = 2


def train_together(options: Options, clock: Clock) -> Sequence[float]:
    """One call for all."""
    from mnist_reference.data import datasets
    from mnist_reference.models import networks
    from mnist_reference.training import recipes, together, train

    clock.imported()
    recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist, seeds = datasets.load(str(options.data)), seeds_from(options)
    members = [networks.initialised(recipe.model, seed=seed) for seed in seeds]
    clock.ready()
    for _ in together.train_together(members, mnist.train, recipe, seeds=seeds):
        clock.epoch_done()
    return [train.score(member, mnist.test).top1_accuracy for member in members]


def train_alone(options: Options, clock: Clock) -> Sequence[float]:
    """One after another, each on all threads."""
    from mnist_reference.data import datasets
    from mnist_reference.models import networks
    from mnist_reference.training import recipes, train

    clock.imported()
    recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist, seeds = datasets.load(str(options.data)), seeds_from(options)
    members = [networks.initialised(recipe.model, seed=seed) for seed in seeds]
    clock.ready()
    for member, seed in zip(members, seeds, strict=True):
        for _ in train.train(member, mnist.train, recipe, seed=seed):
            clock.epoch_done()
    clock.epoch_s = [sum(clock.epoch_s[epoch :: options.epochs]) for epoch in range(options.epochs)]
    return [train.score(member, mnist.test).top1_accuracy for member in members]


def train_paired(options: Options, clock: Clock) -> Sequence[float]:
    """Two at a time, each on one thread of a process of its own."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(NUM_AT_ONCE + 1)
    with context.Pool(NUM_AT_ONCE, import_and_wait, (barrier,)) as pool:
        barrier.wait()
        clock.imported()
        clock.ready()
        accuracies = pool.map(partial(train_one, options), seeds_from(options), chunksize=1)
        clock.epoch_done()
    clock.epoch_s = [clock.epoch_s[0] / options.epochs] * options.epochs
    return accuracies


def import_and_wait(barrier: Barrier) -> None:
    """Import what a training needs, and wait until all have."""
    importlib.import_module("mnist_reference.training.train")
    barrier.wait()


def train_one(options: Options, seed: int) -> float:
    """Train one seed on one thread; its test accuracy."""
    import torch

    from mnist_reference.data import datasets
    from mnist_reference.models import networks
    from mnist_reference.training import recipes, train

    torch.set_num_threads(1)
    recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist = datasets.load(str(options.data))
    member = networks.initialised(recipe.model, seed=seed)
    for _ in train.train(member, mnist.train, recipe, seed=seed):
        pass
    return train.score(member, mnist.test).top1_accuracy


def seeds_from(options: Options) -> range:
    """The seeds of the eight."""
    return range(options.seed, options.seed + NUM_SEEDS)


WAYS: Mapping[str, Callable[[Options, Clock], Sequence[float]]] = {
    "together": train_together,
    "alone": train_alone,
    "paired": train_paired,
}


def main() -> None:
    """Train and print what it took; the accuracy is the mean of the eight."""
    parser = options_parser(__doc__)
    parser.add_argument("way", choices=WAYS)
    given = vars(parser.parse_args())
    way = given.pop("way")
    clock = Clock()
    accuracies = WAYS[way](Options(**given), clock)
    clock.print_report(way, mean(accuracies))


if __name__ == "__main__":
    main()
