"""Five timed metrics and one of memory, all on the paths of the library."""

import numpy as np
import pytest
from subject import data, network, text

BATCH, INPUTS, HIDDEN = 256, 196, 64


def make_batch():
    return data.make_examples(BATCH, INPUTS, np.random.default_rng(1))


def new_network():
    return network.new_network(INPUTS, HIDDEN, np.random.default_rng(2))


def test_train_step(benchmark):
    benchmark(network.train_step, new_network(), *make_batch(), 0.1)


def test_predict(benchmark):
    benchmark(network.predict, new_network(), data.make_examples(1000, INPUTS, np.random.default_rng(3))[0])


def test_augment(benchmark):
    images = np.random.default_rng(4).random((128, 14, 14), dtype=np.float32)

    benchmark(lambda: data.augment(images, np.random.default_rng(5)))


def test_tokenize(benchmark):
    sample = "the rain in spain stays mainly in the plain " * 8
    merges = text.learn_merges(sample, 6)

    benchmark(text.tokenize, sample, merges)


def test_import(import_timer):
    import_timer("subject.network")


@pytest.mark.performance(metric="peak_memory")
def test_memory_of_training(benchmark):
    benchmark(network.train_step, new_network(), *make_batch(), 0.1)
