"""How many threads a training takes: what it is told, else what is fastest on this machine at this time.

The number of threads decides the bits of a training: the sums of a matrix product are split up among them, and float32
rounds each way of splitting otherwise. So nothing is tried out where the number is given, by a call, a command line or
the environment; and what is chosen is recorded with the result, to be given the next time.

- :func:`given_number`: what the environment says.
- :func:`fastest_number`: what is fastest, by a few steps with each number.
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
"""Of the environment, by which the number of threads is given."""

SHARE_TRIED = 0.02
"""Of the steps of a training, made to find out; a training too short for it takes one thread."""

NUM_ROUNDS = 3
"""Times that each number has its turn, so that a slow moment of the machine falls on all of them."""

MAX_STEPS = 20
"""Of one turn: more tell nothing new."""

LEAST_GAIN = 0.1
"""Share of the time that more threads must save: those that save less lose it again when another process starts."""


def given_number(environment: Mapping[str, str] = os.environ) -> int | None:
    """The number of threads that the environment asks for; nothing if it leaves that open.

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
    """The number of threads with which a training is fastest, by a few steps on a copy of its model.

    Args:
        model: On the CPU; it stays as it is.
        split: What it will learn from.
        recipe: How.
        allowed: Threads that may be taken at most.
        clock: Tells the time in seconds.
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
            ways[number](batches[:1], rates[:1])  # the first call makes the buffers and starts the threads
    for _ in range(NUM_ROUNDS):
        for number in numbers:
            with threads(number):
                started = clock()
                ways[number](batches, rates)
                seconds[number] += clock() - started
    return fewest_of_the_fast(seconds)


def fewest_of_the_fast(seconds: Mapping[int, float]) -> int:
    """The smallest number of threads from which on no other is faster by much.

    Args:
        seconds: That the same steps took, by the number of threads.

    Example:
        >>> fewest_of_the_fast({1: 1.0, 2: 0.95}), fewest_of_the_fast({1: 1.0, 2: 0.6, 4: 0.58})
        (1, 2)
    """
    best = min(seconds.values())
    return min(number for number, taken in seconds.items() if best >= (1 - LEAST_GAIN) * taken)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """A block that computes on a number of threads; afterwards there are as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _way(model: nn.Module, split: Split, recipe: Recipe) -> Way:
    """The way in which a copy of a model is trained."""
    copy = deepcopy(model).train()
    optimizer = optimizer_by_name(recipe.optimizer, copy.parameters(), learning_rate=recipe.learning_rate)
    if is_fit(copy, recipe) and isinstance(optimizer, Adam):
        return Steps(optimizer, split).run
    forward = in_precision(recipe.precision, split.images.device, copy)
    movements = movements_of(recipe, split, seed=0, epoch=1)
    return partial(train_batches, forward, loss_of(recipe, copy), optimizer, split, movements=movements)
