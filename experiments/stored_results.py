"""Evaluate two versions of the reference model on the test split of the digits, and store the score of each image.

Run from the root of the repository; it takes a minute or two::

    python -m experiments.stored_results

The versions are those of the failing sample report: the recipe as it is, and with the change of the learning rate that ``faults.toml`` names.
Both are trained once with each seed. The files serve as the first thing to judge, which needs no PyTorch.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from experiments.faults import load_changes
from mnist_reference.data import datasets
from mnist_reference.models import evaluate, networks
from mnist_reference.training import recipes, train

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "samples"
SEEDS = range(5)


def changed_learning_rate() -> float:
    """Return the learning rate of the change of that name."""
    (change,) = (change for change in load_changes() if change["name"] == "learning-rate")
    (edit,) = change["edits"]
    return float(re.findall(r"[\d.]+", edit["replace"])[0])


def scores(recipe: recipes.Recipe, data_set: datasets.Dataset) -> Iterator[tuple[str, str, int, int]]:
    """Yield the task, the image, the number of the repeat and whether the model was right."""
    for seed in SEEDS:
        model = networks.initialised(recipe.model, seed=seed)
        for _ in train.train(model, data_set.train, recipe, seed=seed):
            pass
        predicted = evaluate.predict(model, data_set.test.images).argmax(1)
        for image, right in enumerate((predicted == data_set.test.labels).tolist()):
            yield data_set.name, f"image-{image}", seed, int(right)


def main() -> None:
    """Train, score, write."""
    data_set = datasets.load("digits")
    before = recipes.recipe_for(data_set.name)
    recipes_by_name = {"before": before, "after": replace(before, learning_rate=changed_learning_rate())}
    for name, recipe in recipes_by_name.items():
        with (FOLDER / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("task", "id", "repeat", "score"))
            writer.writerows(scores(recipe, data_set))


if __name__ == "__main__":
    main()
