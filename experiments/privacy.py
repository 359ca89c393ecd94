"""Measure what a trained model tells about who was in its training data, with and without differential privacy.

Each model learns from a random half of the same 10,000 images of MNIST: members, the other half are none. The attack is
the likelihood ratio of Carlini et al. (2022): for each image, how confident the other models of the same kind are that
learned from it, and how confident those that did not; to which of the two does this model belong? The weaker attack of
Yeom et al. (2018) guesses by the loss alone. The private models are trained by DP-SGD (Abadi et al., 2016) with Opacus;
epsilon is what its accountant gives for the noise, at one delta. Strengths were chosen on models that are not counted.

Trainings that are done are kept, so the work can be done in slices. The table goes to ``docs/results/privacy.json``::

    python -m experiments.privacy --models 20
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import click
import numpy as np
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from experiments.provenance import ROOT, commit, system_name, versions, write_results
from mnist_reference.data import datasets
from mnist_reference.files import write_tensors
from mnist_reference.models import evaluate, networks
from mnist_reference.seeding import derived_seed, generator
from mnist_reference.training import recipes, train

RESULTS = ROOT / "docs" / "results" / "privacy.json"
KEPT = ROOT / ".mainstay" / "privacy"
"""Logits of trained models, named by all that they depend on."""

NUM_IMAGES = 10_000
PLAIN = replace(recipes.article(), name="plain", num_epochs=20)
EPSILONS = (16.0, 4.0, 1.0)
DELTA = 1e-5
BATCH_SIZE, NUM_EPOCHS, LEARNING_RATE, CLIPPING_NORM = 256, 20, 0.5, 1.0
FALSE_POSITIVES = 0.01
CONFIDENCE_LEVEL = 0.95


class OutOfTimeError(Exception):
    """The time of this slice is over."""


def members(model: int) -> Tensor:
    """Which images a model learns from, (10000,), half of them: the same for every kind of training."""
    is_member = torch.zeros(NUM_IMAGES, dtype=torch.bool)
    is_member[torch.randperm(NUM_IMAGES, generator=generator(model, "members"))[: NUM_IMAGES // 2]] = True
    return is_member


def trained(split: datasets.Split, epsilon: float | None, *, seed: int) -> nn.Module:
    """Train a model, by DP-SGD if there is an epsilon.

    Args:
        split: The members.
        epsilon: What the accountant may come to; ``None`` for the recipe of the article.
        seed: Seed of weights, order and noise.
    """
    model = networks.initialised(PLAIN.model, seed=seed)
    if epsilon is None:
        for _ in train.train(model, split, PLAIN, seed=seed):
            pass
        return model
    from opacus import PrivacyEngine
    from opacus.accountants.utils import get_noise_multiplier

    loader = DataLoader(TensorDataset(datasets.scaled_pixels(split.images), split.labels), batch_size=BATCH_SIZE)
    rate = 1 / len(loader)
    noise = get_noise_multiplier(target_epsilon=epsilon, target_delta=DELTA, sample_rate=rate, epochs=NUM_EPOCHS)
    torch.manual_seed(derived_seed(seed, "privacy"))  # of the drawn batches and of the noise
    private, optimizer, loss, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=LEARNING_RATE),
        criterion=nn.CrossEntropyLoss(),
        data_loader=loader,
        noise_multiplier=noise,
        max_grad_norm=CLIPPING_NORM,
        grad_sample_mode="ghost",  # norms of the gradients of single images without these gradients: much faster
    )
    for _ in range(NUM_EPOCHS):
        for images, labels in loader:
            optimizer.zero_grad()
            loss(private(images), labels).backward()
            optimizer.step()
    return model


def answers(
    data_set: datasets.Dataset, pool: datasets.Split, epsilon: float | None, *, seed: int, deadline: float
) -> dict[str, Tensor]:
    """What one model says to the pool and to the test set."""
    settings = (
        asdict(PLAIN) if epsilon is None else [epsilon, DELTA, BATCH_SIZE, NUM_EPOCHS, LEARNING_RATE, CLIPPING_NORM]
    )
    facts = json.dumps([settings, seed, data_set.sha256, NUM_IMAGES, version("torch"), version("opacus")])
    path = KEPT / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.safetensors"
    if not path.exists():
        if time.monotonic() > deadline:
            raise OutOfTimeError
        model = trained(pool.at(members(seed).nonzero().flatten()), epsilon, seed=seed).eval()
        logits = {"pool": evaluate.predict(model, pool.images), "test": evaluate.predict(model, data_set.test.images)}
        write_tensors(path, logits, {})
    return load_file(path)


def confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """Log odds of the right class, (N,): nearly normal over models, as a loss is not."""
    right = logits.log_softmax(1).gather(1, labels[:, None]).flatten().double()
    return right - torch.log(-torch.expm1(right.clamp(max=-1e-12)))


def likelihood_ratios(confidences: Tensor, is_member: Tensor, *, model: int) -> Tensor:
    """Score each image: higher where the model answers as those that learned from it.

    Args:
        confidences: (models, images).
        is_member: (models, images).
        model: Number of the attacked model; the others are what it is compared with.
    """
    others = torch.arange(len(confidences)) != model
    score = torch.zeros(confidences.shape[1], dtype=torch.float64)
    for sign, chosen in ((1, is_member[others]), (-1, ~is_member[others])):
        values = torch.where(chosen, confidences[others], torch.nan)
        mean = values.nanmean(0)
        deviation = (values - mean).square().nanmean().sqrt()  # one for all images: few models know each
        score -= sign * ((confidences[model] - mean) / deviation).square() / 2
    return score


def area_under_curve(scores: Tensor, is_member: Tensor) -> float:
    """How often a member scores above one that is none.

    Example:
        >>> area_under_curve(torch.tensor([3.0, 2.0, 1.0, 0.0]), torch.tensor([True, False, True, False]))
        0.75
    """
    won = stats.mannwhitneyu(scores[is_member].numpy(), scores[~is_member].numpy()).statistic
    return float(won) / (int(is_member.sum()) * int((~is_member).sum()))


def found(scores: Tensor, is_member: Tensor) -> float:
    """Share of the members that the attack names while it names 1 % of the others."""
    threshold = np.quantile(scores[~is_member].numpy(), 1 - FALSE_POSITIVES)
    return float((scores[is_member] > threshold).double().mean())


def summarised(values: Sequence[float]) -> dict[str, Any]:
    """Mean with its interval by Student's t."""
    half = (
        float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    )
    mean = statistics.fmean(values)
    return {"mean": mean, "interval": [mean - half, mean + half]}


def row(
    data_set: datasets.Dataset, pool: datasets.Split, epsilon: float | None, *, models: int, deadline: float
) -> dict[str, Any]:
    """Accuracy of one kind of training and what the attacks find."""
    said = [answers(data_set, pool, epsilon, seed=seed, deadline=deadline) for seed in range(models)]
    is_member = torch.stack([members(seed) for seed in range(models)])
    confidences = torch.stack([confidence(each["pool"], pool.labels) for each in said])
    ratios = [likelihood_ratios(confidences, is_member, model=model) for model in range(models)]
    attacked = list(zip(ratios, is_member, strict=True))
    return {
        "epsilon": epsilon,
        "top1_accuracy": summarised([evaluate.top1_accuracy(each["test"], data_set.test.labels) for each in said]),
        "likelihood_ratio_area": summarised([area_under_curve(*each) for each in attacked]),
        "members_found": summarised([found(*each) for each in attacked]),
        "loss_area": summarised([area_under_curve(*each) for each in zip(confidences, is_member, strict=True)]),
        "members_found_at_most": None if epsilon is None else min(1.0, math.exp(epsilon) * FALSE_POSITIVES + DELTA),
    }


@click.command()
@click.option("--models", type=click.IntRange(min=8), default=20, show_default=True, help="Models of each kind.")
@click.option("--seconds", type=float, default=math.inf, help="Stop when this time is over; the next call goes on.")
def main(models: int, seconds: float) -> None:
    """Train, attack, and write the table."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="opacus|torch")  # of a seed that is not secret, which a measurement needs
    KEPT.mkdir(parents=True, exist_ok=True)
    data_set, deadline = datasets.load("mnist"), time.monotonic() + seconds
    pool = data_set.train.at(torch.randperm(len(data_set.train.labels), generator=generator(0, "pool"))[:NUM_IMAGES])
    try:
        rows = [row(data_set, pool, epsilon, models=models, deadline=deadline) for epsilon in (None, *EPSILONS)]
    except OutOfTimeError:
        click.echo(f"{len(list(KEPT.iterdir()))} trainings are done; call again to go on")
        return
    results = {
        "commit": commit(),
        "command": f"python -m experiments.privacy --models {models}",
        "machine": system_name(),
        "versions": versions("python", "torch", "opacus"),
        "data_set": data_set.name,
        "data_sha256": data_set.sha256,
        "num_images": NUM_IMAGES,
        "num_members": NUM_IMAGES // 2,
        "n": models,
        "seeds": list(range(models)),
        "confidence_level": CONFIDENCE_LEVEL,
        "delta": DELTA,
        "false_positives": FALSE_POSITIVES,
        "plain": asdict(PLAIN),
        "private": {
            "batch_size": BATCH_SIZE,
            "num_epochs": NUM_EPOCHS,
            "learning_rate": LEARNING_RATE,
            "clipping_norm": CLIPPING_NORM,
        },
        "rows": rows,
    }
    write_results(RESULTS, results)
    for each in rows:
        click.echo(json.dumps(each))


if __name__ == "__main__":
    main()
