"""Number of threads for a training run: the given number, or the fastest one on this machine at this time.

The number of threads affects the bits of a training run: the sums of a matrix product are split among the threads, and
float32 rounding depends on the split. So nothing is tried if a call, a command line or the environment gives the
number. A number that was chosen is recorded with the result, so that it can be given the next time.

- :func:`given_number`: the number given by the environment.
- :func:`fastest_number`: the fastest number, found by a few steps with each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import cycle, islice

import torch
from torch import nn

from mnist_reference.data.datasets import Split
from mnist_reference.training.fast import Steps, Way, is_fit
from mnist_reference.training.optimizers import Adam, optimizer_by_name
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.train import in_precision, learning_rates, loss_of, movements_of, train_batches

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variable that gives the number of threads."""

SHARE_TRIED = 0.02
"""Share of the steps of a training run that are used for trying; a run that is too short for it uses one thread."""

NUM_ROUNDS = 3
"""Number of rounds in which each number is tried, so that a slow moment of the machine affects all of them."""

MAX_STEPS = 20
"""Maximum number of steps of one trial; more give no further information."""

LEAST_GAIN = 0.1
"""Share of the time that more threads must save; a smaller gain is lost as soon as another process starts."""


def given_number(environment: Mapping[str, str] = os.environ) -> int | None:
    """The number of threads given by the environment; ``None`` if it gives none.

    Example:
        >>> given_number({"OMP_NUM_THREADS": "2"}), given_number({})
        (2, None)
    """
    numbers = [environment[name] for name in VARIABLES if environment.get(name, "").isdecimal()]
    return int(numbers[0]) if numbers else None


def numbers_to_try(allowed: int) -> list[int]:
    """The powers of two up to a number of threads, and that number.

    Example:
        >>> numbers_to_try(1), numbers_to_try(6)
        ([1], [1, 2, 4, 6])
    """
    return sorted({*(2**power for power in range(allowed.bit_length())), allowed})


def fastest_number(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    allowed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The number of threads with which a training run is fastest, found by a few steps on a copy of its model.

    Args:
        model: Model on the CPU; it is not changed.
        split: Examples that the model will be trained on.
        recipe: Recipe of the training run.
        allowed: Maximum number of threads.
        clock: Function that gives the time in seconds.
    """
    numbers = numbers_to_try(allowed)
    total = len(learning_rates(recipe, num_examples=len(split.labels)))
    num_steps = min(MAX_STEPS, int(SHARE_TRIED * total / (NUM_ROUNDS * len(numbers))))
    if len(numbers) == 1 or not num_steps:
        return 1
    few = split.at(torch.arange(min(len(split.labels), num_steps * recipe.batch_size)))
    batches = list(islice(cycle(torch.arange(len(few.labels)).split(recipe.batch_size)), num_steps))
    rates = [recipe.learning_rate] * num_steps
    seconds = dict.fromkeys(numbers, 0.0)
    ways: dict[int, Way] = {}
    for number in numbers:
        with threads(number):
            ways[number] = _way(model, few, recipe)
            ways[number](batches[:1], rates[:1])  # the first call allocates the buffers and starts the threads
    for _ in range(NUM_ROUNDS):
        for number in numbers:
            with threads(number):
                started = clock()
                ways[number](batches, rates)
                seconds[number] += clock() - started
    return fewest_of_the_fast(seconds)


def fewest_of_the_fast(seconds: Mapping[int, float]) -> int:
    """The smallest number of threads such that no larger number is much faster.

    Args:
        seconds: Time of the same steps, by the number of threads.

    Example:
        >>> fewest_of_the_fast({1: 1.0, 2: 0.95}), fewest_of_the_fast({1: 1.0, 2: 0.6, 4: 0.58})
        (1, 2)
    """
    best = min(seconds.values())
    return min(number for number, taken in seconds.items() if best >= (1 - LEAST_GAIN) * taken)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Set the number of threads for a block, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _way(model: nn.Module, split: Split, recipe: Recipe) -> Way:
    """The function that trains a copy of a model."""
    copy = deepcopy(model).train()
    optimizer = optimizer_by_name(recipe.optimizer, copy.parameters(), learning_rate=recipe.learning_rate)
    if is_fit(copy, recipe) and isinstance(optimizer, Adam):
        return Steps(optimizer, split).run
    forward = in_precision(recipe.precision, split.images.device, copy)
    movements = movements_of(recipe, split, seed=0, epoch=1)
    return partial(train_batches, forward, loss_of(recipe, copy), optimizer, split, movements=movements)
