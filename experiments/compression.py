"""Measure what transfer learning and compression are worth on the reference model.

``transfer`` fine-tunes models pretrained on MNIST with few labels of ``digits``, beside the same training from new
weights. ``compression`` prunes, quantises and distils models trained on MNIST, and compares each with the model it came
from. All comparisons are paired by seed. What has been measured is kept in ``.mainstay/compression``, so an interrupted
run goes on where it was; the results are written when every seed is there::

    nox -s compression
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from torch import Tensor, nn

from experiments.provenance import ROOT, commit, render, versions, write_results
from mainstay.stats.paired import mean_interval, summarise_pairs
from mainstay.workers.machine import describe_machine
from mnist_reference.data import datasets
from mnist_reference.files import replacing
from mnist_reference.models.networks import Model, PerceptronConfig, initialised
from mnist_reference.training import recipes
from mnist_reference.training.train import score, train
from mnist_reference.using import compress, transfer

RESULTS = ROOT / "docs" / "results"
KEPT = ROOT / ".mainstay" / "compression"

CONFIDENCE_LEVEL = 0.95
SEEDS = range(5)
NUM_LABELS = (10, 50, 200)
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
RETRAINED_SPARSITIES = (0.9, 0.95)
RETRAINING_EPOCHS = 2
STUDENT = PerceptronConfig(hidden_widths=(32,))
LATENCY_BATCHES = (1, 1_000)
LATENCY_ROUNDS = 31
LATENCY_SECONDS = 0.005
"""One timing repeats the call for about this long."""


def transfer_row(seed: int) -> dict[str, Any]:
    """Test accuracies on digits for one seed, by the form of the images and the number of labels."""
    digits, parent = datasets.load("digits"), pretrained(seed)
    recipe = recipes.few_labels()
    starts = {"pretrained": parent, "new": initialised(recipe.model, seed=seed)}
    row: dict[str, Any] = {}
    for form, (train_split, test_split) in {
        "as they are": (digits.train, digits.test),
        "framed as MNIST": tuple(transfer.reframed(split, data_set="mnist") for split in (digits.train, digits.test)),
    }.items():
        row[form] = {"untuned": score(parent, test_split).top1_accuracy}
        for num_labels in NUM_LABELS:
            few = transfer.few_labels(train_split, num_labels, seed=seed)
            row[form][str(num_labels)] = {
                name: score(transfer.fine_tuned(start, few, recipe, seed=seed), test_split).top1_accuracy
                for name, start in starts.items()
            }
    return row


def compression_row(seed: int) -> dict[str, Any]:
    """Scores, bytes and latency of every compressed model for one seed."""
    mnist, children = datasets.load("mnist"), compressed_models(seed)
    return {
        name: {
            **asdict(compress.measured(child, mnist.test)),
            "latency_ratios": {
                str(batch): latency_ratio(
                    child, children["parent"], mnist.test.images[:batch], chance=random.Random(seed)
                )
                for batch in LATENCY_BATCHES
            },
        }
        for name, child in children.items()
    }


def compressed_models(seed: int) -> dict[str, nn.Module]:
    """The parent of one seed and every smaller model that is made from it, by their names in the table."""
    mnist, parent = datasets.load("mnist"), pretrained(seed)
    article = recipes.article()
    retraining = replace(article, num_epochs=RETRAINING_EPOCHS)
    small = replace(article, model=STUDENT)
    children: dict[str, nn.Module] = {"parent": parent, "int8": compress.quantised(parent)}
    for sparsity in SPARSITIES:
        children[f"pruned {sparsity:.0%}"] = compress.pruned(parent, sparsity=sparsity)
    for sparsity in RETRAINED_SPARSITIES:
        children[f"pruned {sparsity:.0%}, retrained"] = compress.pruned_and_retrained(
            parent, mnist.train, retraining, sparsity=sparsity, seed=seed
        )
    children["small, from labels"] = trained(small, mnist.train, seed)
    children["small, distilled"] = compress.distilled(parent, mnist.train, small, seed=seed)
    twin = initialised(article.model, seed=seed)
    twin.load_state_dict(parent.state_dict())
    return {**children, "parent, second copy": twin}


def pretrained(seed: int) -> Model:
    """The article's model, trained on MNIST by the article's recipe."""
    recipe = recipes.article()
    path = KEPT / f"parent-{fingerprint(with_script=False)}-{seed}.pt"
    model = initialised(recipe.model, seed=seed)
    if path.exists():
        model.load_state_dict(torch.load(path))
    else:
        model = trained(recipe, datasets.load("mnist").train, seed)
        with replacing(path) as draft:
            torch.save(model.state_dict(), draft)
    return model


def trained(recipe: recipes.Recipe, split: datasets.Split, seed: int) -> Model:
    """A new model, trained."""
    model = initialised(recipe.model, seed=seed)
    for _ in train(model, split, recipe, seed=seed):
        pass
    return model


@torch.no_grad()
def latency_ratio(candidate: nn.Module, baseline: nn.Module, images: Tensor, *, chance: random.Random) -> float:
    """Median time of a call of one model over that of another, measured in turns, the order by a fair coin.

    Args:
        candidate: Whose time is above the line.
        baseline: Whose time is below it.
        images: One batch, uint8.
        chance: Draws the orders.
    """
    pixels = datasets.scaled_pixels(images)
    models = [candidate.eval(), baseline.eval()]
    number = max(1, math.ceil(LATENCY_SECONDS / min(seconds_of(model, pixels, 3) for model in models)))
    times: list[list[float]] = [[], []]
    for _ in range(LATENCY_ROUNDS):
        for which in chance.sample([0, 1], 2):
            times[which].append(seconds_of(models[which], pixels, number))
    return median(times[0]) / median(times[1])


def seconds_of(model: Callable[[Tensor], Tensor], pixels: Tensor, number: int) -> float:
    """Mean time of a call over some calls in a row."""
    started = time.perf_counter()
    for _ in range(number):
        model(pixels)
    return (time.perf_counter() - started) / number


def transfer_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pretrained weights beside new ones, a row for each form of the images and number of labels."""
    return [
        {
            "images": form,
            "num_labels": num_labels,
            "untuned_top1_accuracy": spread(row[form]["untuned"] for row in rows),
            "pretrained_top1_accuracy": spread(row[form][str(num_labels)]["pretrained"] for row in rows),
            "new_top1_accuracy": spread(row[form][str(num_labels)]["new"] for row in rows),
            "pretrained_minus_new": spread(
                row[form][str(num_labels)]["pretrained"] - row[form][str(num_labels)]["new"] for row in rows
            ),
        }
        for form in rows[0]
        for num_labels in NUM_LABELS
    ]


def compression_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each compressed model beside its parent."""
    return [
        {
            "model": name,
            "num_parameters": median(row[name]["num_parameters"] for row in rows),
            "num_bytes": median(row[name]["num_bytes"] for row in rows),
            "num_deflated_bytes": median(row[name]["num_deflated_bytes"] for row in rows),
            "top1_accuracy": spread(row[name]["scores"]["top1_accuracy"] for row in rows),
            **{
                f"{metric}_minus_parent": spread(
                    row[name]["scores"][metric] - row["parent"]["scores"][metric] for row in rows
                )
                for metric in ("top1_accuracy", "negative_log_likelihood")
            },
            "latency_over_parent": {
                f"batch of {batch}": ratio_spread(row[name]["latency_ratios"][str(batch)] for row in rows)
                for batch in LATENCY_BATCHES
            },
        }
        for name in rows[0]
    ]


def spread(values: Iterable[float]) -> dict[str, Any]:
    """The mean of some values, one a seed, with an interval of Student's t."""
    listed = list(values)
    summary = summarise_pairs(listed)
    low, high = mean_interval(summary, level=(1 - CONFIDENCE_LEVEL) / 2)
    return {"mean": float(summary.mean), "interval": [float(low), float(high)], "values": listed}


def ratio_spread(ratios: Iterable[float]) -> dict[str, Any]:
    """The same for ratios, by their logarithms."""
    listed = list(ratios)
    logs = spread(map(math.log, listed))
    low, high = logs["interval"]
    return {"mean": math.exp(logs["mean"]), "interval": [math.exp(low), math.exp(high)], "values": listed}


def sources() -> list[Path]:
    """The files of the reference model that this script has imported."""
    modules = (module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "mnist_reference")
    return [Path(module.__file__) for module in modules if module.__file__]


@functools.cache
def fingerprint(*, with_script: bool = True) -> str:
    """Start of the SHA-256 of all that a measurement depends on: the model, this script, torch and Python."""
    digest = hashlib.sha256(f"{version('torch')} {platform.python_version()}".encode())
    for source in [*sources(), *([Path(__file__)] if with_script else [])]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def measured_row(kind: str, measure: Callable[[int], dict[str, Any]], seed: int) -> dict[str, Any]:
    """What one seed gives; not measured again if it is kept."""
    path = KEPT / f"{kind}-{fingerprint()}-{seed}.json"
    if not path.exists():
        row = measure(seed)
        with replacing(path) as draft:
            draft.write_text(json.dumps(row), "utf-8")
    kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return kept


def provenance(seeds: Sequence[int]) -> dict[str, Any]:
    """Where and with what a table was measured."""
    machine = describe_machine()
    return {
        "command": "nox -s compression",
        "commit": commit(),
        "source_sha256": fingerprint(),
        "seeds": list(seeds),
        "confidence_level": CONFIDENCE_LEVEL,
        "threads": 1,
        "machine": {"processor": machine.processor, "num_cores": machine.num_cores, "system": platform.system()},
        "versions": versions("python", "torch", "torchvision", "scikit-learn", "safetensors"),
    }


@click.command(help=__doc__)
@click.option("--seeds", "num_seeds", type=click.IntRange(2), help="Fewer of them, for a trial; nothing is written.")
def main(num_seeds: int | None) -> None:
    """Measure both tables and write them."""
    torch.set_num_threads(1)
    seeds = SEEDS[:num_seeds]
    facts = provenance(seeds)  # of what runs, whatever happens to the files meanwhile
    fingerprint(with_script=False)
    tables: list[tuple[str, Callable[[int], dict[str, Any]], Callable[[Sequence[Any]], list[dict[str, Any]]]]] = [
        ("transfer", transfer_row, transfer_table),
        ("compression", compression_row, compression_table),
    ]
    for kind, measure, tabulate in tables:
        rows = []
        for seed in seeds:
            rows.append(measured_row(kind, measure, seed))
            click.echo(f"{kind}: seed {seed} of {seeds[-1]}", err=True)
        document = {**facts, "rows": tabulate(rows)}
        if num_seeds:
            click.echo(render(document))
        else:
            write_results(RESULTS / f"{kind}.json", document)


if __name__ == "__main__":
    main()
