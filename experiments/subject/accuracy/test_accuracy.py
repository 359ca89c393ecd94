"""The accuracy of the classifier on ten overlapping clouds."""

import numpy as np
import pytest
from subject import data, network

INPUTS, HIDDEN, EPOCHS = 12, 32, 8


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.002, resolution=5e-5)
def test_clouds(trial):
    train = data.make_examples(4_000, INPUTS, np.random.default_rng(8))
    inputs, labels = data.make_examples(20_000, INPUTS, np.random.default_rng(9))
    rng = np.random.default_rng(trial.seed)
    model = network.new_network(INPUTS, HIDDEN, rng)
    scores = []
    for epoch in range(EPOCHS):
        for batch in data.iter_batches(*train, 100, rng):
            model = network.train_step(model, *batch, 0.3 if epoch < EPOCHS - 3 else 0.03)
        scores.append(float((network.predict(model, inputs) == labels).mean()))
    trial.record(top1_accuracy=float(np.mean(scores[-3:])))
    trial.record_digest({"first": model.first, "second": model.second})
    trial.record_context(dataset="clouds")
