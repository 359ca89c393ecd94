"""Accuracy workloads: the reference model trained from scratch, scored on its test split."""

from __future__ import annotations

from statistics import fmean

import pytest

from mnist_reference.data import datasets, pictures
from mnist_reference.models import evaluate, networks
from mnist_reference.training import recipes, train

NUM_AVERAGED = 5
"""Epochs whose scores are averaged: successive epochs err almost independently, so the mean is the steadier metric."""


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.002, ceiling=0.9995, resolution=1e-4)
@pytest.mark.accuracy(metric="negative_log_likelihood", margin=0.02, direction="lower", unit="nat")
def test_perceptron(trial):
    data_set = datasets.load("auto")
    recipe = recipes.recipe_for(data_set.name)
    perceptron = networks.initialised(recipe.model, seed=trial.seed)

    history = list(train.train(perceptron, data_set.train, recipe, seed=trial.seed, test=data_set.test))

    scores = [record.test for record in history if record.test]
    top1 = [score.top1_accuracy for score in scores]
    nll = [score.negative_log_likelihood for score in scores]
    predicted = evaluate.predict(perceptron, data_set.test.images).argmax(1)
    trial.record(
        top1_accuracy=fmean(top1[-NUM_AVERAGED:]),
        negative_log_likelihood=fmean(nll[-NUM_AVERAGED:]),
        final_top1_accuracy=top1[-1],
        final_train_loss=history[-1].train_loss,
    )
    trial.record_series("test_top1_accuracy", top1)
    trial.record_series("test_negative_log_likelihood", nll)
    trial.record_series("train_loss", [record.train_loss for record in history])
    trial.record_predictions(
        predicted.tolist(),
        data_set.test.labels.tolist(),
        images=lambda indices: [pictures.png(data_set.test.images[index]) for index in indices],
    )
    trial.record_digest({"parameters": perceptron.state_dict()})
    trial.record_context(dataset=data_set.name, sha256=data_set.sha256)
