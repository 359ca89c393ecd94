"""The workloads: training, evaluation and compiled code, counted."""

from __future__ import annotations

import itertools

import pytest
import torch

from experiments.counted import model
from mainstay.runner.counting import Counts

GATED = (
    "synchronisations",
    "blocking_transfers",
    "operators",
    "copies",
    "autograd_calls",
    "kept_tensors",
    "live_tensors",
)


def noise(num_images: int) -> torch.Tensor:
    """Images."""
    return torch.rand(num_images, 784, generator=torch.Generator().manual_seed(0))


def gated(function: object) -> object:
    """Gate everything that needs no compiler."""
    for metric in GATED:
        function = pytest.mark.deterministic(metric=metric)(function)
    return function


@gated
def test_training(counts: Counts) -> None:
    """An epoch of three batches."""
    training, images = model.Training(), noise(3 * model.BATCH_SIZE)
    counts.torch(training.epoch, images, torch.arange(len(images)) % 10)


@gated
def test_evaluation(counts: Counts) -> None:
    """Three batches."""
    counts.torch(model.evaluate, model.Training().network.eval(), noise(3 * model.BATCH_SIZE))


@pytest.mark.deterministic(metric="graph_breaks")
@pytest.mark.deterministic(metric="recompiles")
def test_compiled(counts: Counts) -> None:
    """Twice a batch that is full and one that is not, and never the same number of images in that."""
    sizes = itertools.count(model.BATCH_SIZE + 20)
    counts.torch(lambda: model.score_all(noise(next(sizes))))
