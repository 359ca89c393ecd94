"""Performance workloads: what a user of the reference model waits for and pays for.

Time depends on the shape of the images and not on what they show, so all but the loading of data use seeded noise of
MNIST's shape: no data set need be there, and none can change what is measured.
"""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from mnist_reference.data import datasets
from mnist_reference.models import evaluate, networks
from mnist_reference.training import losses, optimizers, recipes, train
from mnist_reference.using import checkpoint

NUM_EXAMPLES = 6_400
"""Examples of noise, 100 batches."""


@pytest.fixture
def recipe():
    """The recipe whose speed matters."""
    return recipes.article()


@pytest.fixture
def noise():
    """Images and labels that have the shape of MNIST."""
    generator = torch.Generator().manual_seed(0)
    return datasets.Split(
        images=torch.randint(0, 256, (NUM_EXAMPLES, 28, 28), dtype=torch.uint8, generator=generator),
        labels=torch.randint(0, 10, (NUM_EXAMPLES,), generator=generator),
    )


@pytest.fixture
def perceptron(recipe):
    """The model, as it is before training."""
    return networks.initialised(recipe.model, seed=0)


@pytest.fixture
def step(recipe, noise, perceptron):
    """One training step, on the next batch each time."""
    loss = losses.loss_by_name(recipe.loss, label_smoothing=recipe.label_smoothing)
    optimizer = optimizers.optimizer_by_name(
        recipe.optimizer, perceptron.parameters(), learning_rate=recipe.learning_rate
    )
    batches = itertools.cycle(torch.arange(NUM_EXAMPLES).split(recipe.batch_size))
    perceptron.train()
    return lambda: train.train_batches(
        perceptron, loss, optimizer, noise, [next(batches)], rates=[recipe.learning_rate]
    )


@pytest.mark.performance(margin=0.05)
def test_training_step(benchmark, recipe, step):
    benchmark.extra_info["examples"] = recipe.batch_size
    benchmark(step)


@pytest.mark.performance(metric="throughput", margin=0.1)
@torch.inference_mode()
def test_evaluation_pass(benchmark, noise, perceptron):
    benchmark.extra_info["examples"] = NUM_EXAMPLES
    benchmark(evaluate.predict, perceptron, noise.images)


@pytest.mark.performance(metric="latency_median", margin=0.1)
@pytest.mark.performance(metric="latency_p95", margin=0.25)
@torch.inference_mode()
def test_latency_of_one_image(benchmark, noise, perceptron):
    benchmark(evaluate.predict, perceptron, noise.images[:1])


@pytest.mark.performance(margin=0.1)
def test_data_loading(benchmark):
    benchmark(datasets.load, "auto")


@pytest.mark.performance(metric="import_time", margin=0.1)
def test_import_time(import_timer):
    import_timer("mnist_reference.training.train")


@pytest.mark.performance(metric="peak_memory", margin=0.05)
def test_memory_of_training(benchmark, recipe, noise, perceptron):
    """Two epochs: what is kept of each stays in memory with the second."""
    short = dataclasses.replace(recipe, num_epochs=2)
    benchmark(lambda: list(train.train(perceptron, noise, short, seed=0, test=noise)))


@pytest.mark.deterministic(metric="synchronisations")
@pytest.mark.deterministic(metric="operators")
@pytest.mark.deterministic(metric="copies")
@pytest.mark.deterministic(metric="live_tensor_bytes")
@pytest.mark.deterministic(metric="kept_tensors")
@pytest.mark.deterministic(metric="parameters")
@pytest.mark.deterministic(metric="flops")
@pytest.mark.deterministic(metric="imported_modules")
@pytest.mark.deterministic(metric="checkpoint_bytes")
def test_size(counts, recipe, step, perceptron, tmp_path):
    counts.parameters(perceptron)
    counts.flops(step)
    counts.torch(step)
    counts.imports("mnist_reference.training.train")
    path = tmp_path / "model.safetensors"
    provenance = checkpoint.Provenance(
        recipe=recipe,
        seed=0,
        data_set="noise",
        data_sha256="0" * 64,
        top1_accuracy=0.1,
        negative_log_likelihood=2.3,
        revision=None,
    )
    checkpoint.save_checkpoint(path, perceptron, provenance)
    counts.file_size(path)
