"""The workloads of ``performance/`` in the form that asv collects."""

import numpy as np
from subject import data, network, text

BATCH, INPUTS, HIDDEN = 256, 196, 64


class Steps:
    def setup(self):
        self.batch = data.make_examples(BATCH, INPUTS, np.random.default_rng(1))
        self.network = network.new_network(INPUTS, HIDDEN, np.random.default_rng(2))

    def time_train_step(self):
        network.train_step(self.network, *self.batch, 0.1)

    def peakmem_training(self):
        network.train_step(self.network, *self.batch, 0.1)


class Predictions:
    def setup(self):
        self.network = network.new_network(INPUTS, HIDDEN, np.random.default_rng(2))
        self.inputs, _ = data.make_examples(1000, INPUTS, np.random.default_rng(3))

    def time_predict(self):
        network.predict(self.network, self.inputs)


class Augmentation:
    def setup(self):
        self.images = np.random.default_rng(4).random((128, 14, 14), dtype=np.float32)

    def time_augment(self):
        data.augment(self.images, np.random.default_rng(5))


class Tokens:
    def setup(self):
        self.sample = "the rain in spain stays mainly in the plain " * 8
        self.merges = text.learn_merges(self.sample, 6)

    def time_tokenize(self):
        text.tokenize(self.sample, self.merges)


def timeraw_import():
    return "import subject.network"
