"""Measure what each remedy against overfitting brings: the article's section 9.1, each part on and off.

The perceptron of the article learns from 1,000 images of MNIST, few enough to be learned by heart: that is where
remedies show. Each is added alone to plain training and, the other way round, left out of all of them together; the
same seeds on both sides give paired differences of the accuracy and of the loss on the whole test set. Early stopping
sees the fifth of the 1,000 images that it holds out, and never the test set. The strengths were set beforehand.

Trainings that are done are kept, so the work can be done in slices. The table goes to
``docs/results/ablations.json``::

    python -m experiments.ablations --seeds 10
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor

from experiments.provenance import ROOT, commit, system_name, versions, write_results
from mnist_reference.data import datasets
from mnist_reference.data.augment import Augmentation
from mnist_reference.files import write_tensors
from mnist_reference.models import evaluate, networks
from mnist_reference.models.ensemble import averaged
from mnist_reference.models.networks import PerceptronConfig
from mnist_reference.seeding import generator
from mnist_reference.training import recipes, train

RESULTS = ROOT / "docs" / "results" / "ablations.json"
KEPT = ROOT / ".mainstay" / "ablations"
"""Logits on the test set of trainings that are done, named by all that they depend on."""

NUM_IMAGES = 1_000
NUM_MEMBERS = 5
CONFIDENCE_LEVEL = 0.95

PLAIN = replace(recipes.article(), name="plain", num_epochs=40)

PARTS: Mapping[str, Mapping[str, Any]] = {
    "augmentation": {"augmentation": Augmentation(rotation_degrees=10, scaling=0.1, shift_pixels=2)},
    "l1": {"l1_penalty": 1e-5},
    "l2": {"l2_penalty": 1e-4},
    "dropout": {"model": replace(PerceptronConfig(), dropout=0.2)},
    "label_smoothing": {"label_smoothing": 0.1},
    "early_stopping": {"validation_share": 0.2, "patience": 5},
}
"""What each remedy changes in the recipe."""


def combined(parts: Iterable[str]) -> recipes.Recipe:
    """Plain training with some of the remedies."""
    recipe = PLAIN
    for part in parts:
        recipe = replace(recipe, **PARTS[part])
    return recipe


def few_images(data_set: datasets.Dataset) -> datasets.Split:
    """The images that are learned from: the same for every seed and every remedy."""
    chosen = torch.randperm(len(data_set.train.labels), generator=generator(0, "ablations"))[:NUM_IMAGES]
    return data_set.train.at(chosen)


class OutOfTimeError(Exception):
    """The time of this slice is over."""


def test_logits(
    recipe: recipes.Recipe, few: datasets.Split, data_set: datasets.Dataset, *, seed: int, deadline: float
) -> Tensor:
    """What a training of one seed says to the test set, (10000, 10)."""
    facts = json.dumps([asdict(recipe), seed, data_set.sha256, NUM_IMAGES, version("torch"), source_digest()])
    path = KEPT / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.safetensors"
    if not path.exists():
        if time.monotonic() > deadline:
            raise OutOfTimeError
        learner = networks.initialised(recipe.model, seed=seed)
        for _ in train.train(learner, few, recipe, seed=seed):
            pass
        write_tensors(path, {"logits": evaluate.predict(learner, data_set.test.images)}, {})
    return load_file(path)["logits"]


@functools.cache
def source_digest() -> str:
    """SHA-256 of the reference model's source and of this script, as they were at the first call."""
    digest = hashlib.sha256()
    for source in [*sorted(Path(networks.__file__).parents[1].rglob("*.py")), Path(__file__)]:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def compared(on: Sequence[Tensor], off: Sequence[Tensor], labels: Tensor) -> dict[str, Any]:
    """Paired differences, with minus without, of both scores."""
    return {
        "top1_accuracy": paired(
            [evaluate.top1_accuracy(x, labels) for x in on], [evaluate.top1_accuracy(x, labels) for x in off]
        ),
        "negative_log_likelihood": paired(
            [evaluate.negative_log_likelihood(x, labels) for x in on],
            [evaluate.negative_log_likelihood(x, labels) for x in off],
        ),
    }


def paired(on: Sequence[float], off: Sequence[float]) -> dict[str, Any]:
    """Means of two samples of the same seeds, their mean difference and its interval by Student's t."""
    differences = [with_it - without for with_it, without in zip(on, off, strict=True)]
    mean, deviation = statistics.fmean(differences), statistics.stdev(differences)
    half = (
        float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, len(differences) - 1)) * deviation / math.sqrt(len(differences))
    )
    return {
        "on": statistics.fmean(on),
        "off": statistics.fmean(off),
        "difference": mean,
        "interval": [mean - half, mean + half],
        "differences": differences,
    }


def ablations(data_set: datasets.Dataset, *, num_seeds: int, deadline: float) -> dict[str, Any]:
    """Every remedy alone and left out, and ensembles of plain and of fully treated trainings."""
    few, labels = few_images(data_set), data_set.test.labels

    def trained(parts: Iterable[str], seeds: Iterable[int] = range(num_seeds)) -> list[Tensor]:
        recipe = combined(parts)
        return [test_logits(recipe, few, data_set, seed=seed, deadline=deadline) for seed in seeds]

    def ensembled(parts: Sequence[str]) -> dict[str, Any]:
        members = [
            trained(parts, range(first, first + NUM_MEMBERS))
            for first in range(0, num_seeds * NUM_MEMBERS, NUM_MEMBERS)
        ]
        together = [averaged(torch.stack(each)) for each in members]
        return compared(together, [each[0] for each in members], labels)

    plain, all_parts = trained([]), trained(PARTS)
    table: dict[str, Any] = {
        "added_to_plain": {part: compared(trained([part]), plain, labels) for part in PARTS},
        "left_out_of_all": {
            part: compared(all_parts, trained([each for each in PARTS if each != part]), labels) for part in PARTS
        },
        "all_against_plain": compared(all_parts, plain, labels),
    }
    return table | {"ensemble_of_plain": ensembled([]), "ensemble_of_all": ensembled(list(PARTS))}


@click.command()
@click.option("--seeds", type=click.IntRange(min=5), default=10, show_default=True, help="Pairs of each comparison.")
@click.option("--seconds", type=float, default=math.inf, help="Stop when this time is over; the next call goes on.")
def main(seeds: int, seconds: float) -> None:
    """Write the table of ablations."""
    torch.set_num_threads(1)
    source_digest()  # of what runs, whatever happens to the files meanwhile
    KEPT.mkdir(parents=True, exist_ok=True)
    data_set = datasets.load("mnist")
    try:
        table = ablations(data_set, num_seeds=seeds, deadline=time.monotonic() + seconds)
    except OutOfTimeError:
        click.echo(f"{len(list(KEPT.iterdir()))} trainings are done; call again to go on")
        return
    results = {
        "command": f"python -m experiments.ablations --seeds {seeds}",
        "commit": commit(),
        "machine": system_name(),
        "versions": versions("python", "torch"),
        "data_set": data_set.name,
        "data_sha256": data_set.sha256,
        "num_train_images": NUM_IMAGES,
        "num_test_images": len(data_set.test.labels),
        "seeds": list(range(seeds)),
        "n": seeds,
        "num_members": NUM_MEMBERS,
        "confidence_level": CONFIDENCE_LEVEL,
        "plain": asdict(PLAIN),
        "all": asdict(combined(PARTS)),
        **table,
    }
    write_results(RESULTS, results)
    for name, comparison in table["added_to_plain"].items():
        accuracy = comparison["top1_accuracy"]
        low, high = accuracy["interval"]
        click.echo(
            f"{name:16} {100 * accuracy['difference']:+.2f} points of accuracy ({100 * low:+.2f} to {100 * high:+.2f})"
        )


if __name__ == "__main__":
    main()
