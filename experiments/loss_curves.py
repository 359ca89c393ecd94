"""Write down the loss of a training that overfits, epoch by epoch: the curves of the lesson.

The perceptron of the article learns from 800 images of MNIST, few enough to be learned by heart; 200 more are only scored::

    python -m experiments.loss_curves

writes ``docs/results/loss_curves.json``.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click
import torch

from experiments.ablations import NUM_IMAGES, PLAIN, few_images
from experiments.provenance import commit, system_name, versions, write_results
from mnist_reference.data import datasets
from mnist_reference.models import networks
from mnist_reference.training import train

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "loss_curves.json"
RECIPE = replace(PLAIN, name="loss_curves", validation_share=0.2)
SEED = 0


def main() -> None:
    """Train once and write the losses."""
    torch.set_num_threads(1)
    data_set = datasets.load("mnist")
    model = networks.initialised(RECIPE.model, seed=SEED)
    epochs = [
        {
            "epoch": record.epoch,
            "train_loss": record.train_loss,
            "validation_loss": record.validation.negative_log_likelihood if record.validation else None,
        }
        for record in train.train(model, few_images(data_set), RECIPE, seed=SEED)
    ]
    results = {
        "commit": commit(),
        "command": "python -m experiments.loss_curves",
        "machine": system_name(),
        "versions": versions("python", "torch"),
        "data_set": data_set.name,
        "data_sha256": data_set.sha256,
        "num_images": NUM_IMAGES,
        "seed": SEED,
        "n": 1,
        "recipe": asdict(RECIPE),
        "epochs": epochs,
    }
    write_results(RESULTS, results)
    click.echo(f"validation loss at last: {epochs[-1]['validation_loss']}")


if __name__ == "__main__":
    main()
