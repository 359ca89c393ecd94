"""Measure what a recipe reaches on the real MNIST: one training for each seed, scored once on the test set.

Trainings go on where they were interrupted, so the work can be done in slices. The scores go to
``docs/results/recipe_accuracy.json``::

    python -m experiments.recipe_accuracy --recipe cnn_99_5 --seeds 5 --seconds 540
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import click
import torch
from scipy import stats

from experiments.provenance import ROOT, commit, system_name, versions, write_results
from mnist_reference.data import datasets
from mnist_reference.models import networks
from mnist_reference.training import recipes, train
from mnist_reference.using import checkpoint

RESULTS = ROOT / "docs" / "results" / "recipe_accuracy.json"
KEPT = ROOT / ".mainstay" / "recipe_accuracy"
"""Trainings that are done or under way, named by their recipe and seed."""

CONFIDENCE_LEVEL = 0.95


def measured(
    recipe: recipes.Recipe, data_set: datasets.Dataset, *, seed: int, deadline: float
) -> dict[str, Any] | None:
    """The scores of one training; ``None`` if there was no time to finish it."""
    recipe = replace(recipe, name="measured")  # a recipe that is only renamed is not trained again
    facts = json.dumps([asdict(recipe), data_set.sha256, version("torch")])
    name = f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}-{seed}"
    done, kept = KEPT / f"{name}.json", KEPT / f"{name}.state"
    if not done.exists():
        origin: dict[str, Any] = {"recipe": recipe, "seed": seed, "data_sha256": data_set.sha256}
        state = checkpoint.load_training_state(kept, **origin) if kept.exists() else train.TrainingState()
        learner = networks.initialised(recipe.model, seed=seed)
        started = time.process_time()
        for record in train.train(learner, data_set.train, recipe, seed=seed, state=state):
            checkpoint.save_training_state(kept, state, **origin)
            click.echo(f"seed {seed}, epoch {record.epoch}: loss {record.train_loss:.4f}, {record.train_time_s:.0f} s")
            if time.monotonic() > deadline and record.epoch < recipe.num_epochs:
                click.echo(f"{time.process_time() - started:.0f} s of processor time in this slice")
                return None
        scores = asdict(train.score(learner, data_set.test))
        row = {"seed": seed, **scores, "num_epochs": len(state.records), "commit": commit()}
        done.write_text(json.dumps(row), "utf-8")
        kept.unlink()
        click.echo(f"seed {seed}: {row}")
    kept_row: dict[str, Any] = json.loads(done.read_text("utf-8"))
    return kept_row


def summary(recipe: recipes.Recipe, data_set: datasets.Dataset, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of all seeds with their mean, and what they were measured with."""
    accuracies = [row["top1_accuracy"] for row in rows]
    facts = {
        "command": f"python -m experiments.recipe_accuracy --recipe {recipe.name} --seeds {len(rows)}",
        "recipe": asdict(recipe),
        "data_set": data_set.name,
        "data_sha256": data_set.sha256,
        "num_test_images": len(data_set.test.labels),
        "machine": system_name(),
        "versions": versions("python", "torch"),
        "n": len(rows),
        "trainings": list(rows),
        "mean_top1_accuracy": statistics.fmean(accuracies),
    }
    if len(rows) > 1:
        deviation = statistics.stdev(accuracies)
        half = stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, len(rows) - 1) * deviation / math.sqrt(len(rows))
        mean = facts["mean_top1_accuracy"]
        facts |= {"standard_deviation": deviation, "interval": [mean - half, mean + half]}
    return facts


@click.command()
@click.option("--recipe", "name", required=True, help="Recipe to measure.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Trainings, from seed 0.")
@click.option("--seconds", type=float, default=math.inf, help="Stop after the epoch in which this time is over.")
def main(name: str, seeds: int, seconds: float) -> None:
    """Train a recipe on MNIST for some seeds and write down what it reaches."""
    torch.set_num_threads(1)
    deadline = time.monotonic() + seconds
    recipe, data_set = recipes.recipe_by_name(name), datasets.load("mnist")
    KEPT.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(seeds):
        row = measured(recipe, data_set, seed=seed, deadline=deadline)
        if row is None:
            break
        rows.append(row)
    if rows:
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        results[name] = summary(recipe, data_set, rows)
        write_results(RESULTS, results)
        click.echo(f"{len(rows)} of {seeds} seeds: mean accuracy {results[name]['mean_top1_accuracy']:.4f}")


if __name__ == "__main__":
    main()
