"""Judge compressed models image by image, each against its parent, and compare the verdicts with the measured table.

Run from the root of the repository, a minute for each seed; it goes on where it was stopped::

    python -m experiments.compression_verdicts

Every model of :mod:`experiments.compression` is scored once on each of the 10,000 test images of MNIST. ``mainstay judge`` gets the
scores of the parent as the baseline and those of the smaller model as the candidate. The verdict contradicts
``docs/results/compression.json`` if it passes a model whose mean degradation over the seeds is above twice the margin with 95 %
confidence, or fails one whose mean degradation is below the margin. The status is 1 where a verdict does.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from experiments.compression import KEPT, RESULTS, SEEDS, compressed_models, fingerprint, provenance
from experiments.provenance import write_results
from mnist_reference.data import datasets
from mnist_reference.files import replacing
from mnist_reference.models.evaluate import predict

MARGIN = 0.005
"""Half a point of accuracy, which 10,000 images support if up to 2 % of them flip."""

VERDICTS = ("pass", "fail", "inconclusive")


def write_scores(model: nn.Module, split: datasets.Split, place: Path) -> None:
    """Write whether a model is right, image by image, in the plain form of stored results."""
    logits = predict(model, split.images)
    right = logits.argmax(1) == split.labels
    rows = (
        {
            "task": "mnist",
            "id": f"image {index}",
            "score": int(is_right),
            "digest": hashlib.sha256(outputs.numpy().tobytes()).hexdigest(),
        }
        for index, (is_right, outputs) in enumerate(zip(right.tolist(), logits, strict=True))
    )
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def judge(baseline: Path, candidate: Path, *, margin: float = MARGIN) -> dict[str, Any]:
    """Verdict of ``mainstay judge`` on two files of scores, with its figures."""
    document = candidate.with_suffix(".run.json")
    command = [sys.executable, "-m", "mainstay", "judge", baseline.name, candidate.name, "--margin", str(margin)]
    done = subprocess.run(
        [*command, "--json", document.name], cwd=candidate.parent, check=False, capture_output=True, text=True
    )
    if not document.exists():
        raise RuntimeError(f"mainstay judge ended with {done.returncode}: {done.stderr[-2000:]}")
    (finding,) = json.loads(document.read_text(encoding="utf-8"))["findings"]
    return {
        "verdict": finding["verdict"],
        "method": finding["method"],
        "degradation": finding["estimate"],
        "interval": finding["interval"],
        "lost": finding["items"]["num_worse"],
        "gained": finding["items"]["num_better"],
    }


def judge_seed(seed: int) -> dict[str, dict[str, Any]]:
    """Judge every model of one seed against its parent, by the names of the models."""
    models, split = compressed_models(seed), datasets.load("mnist").test
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder, f"{index}.jsonl") for index, name in enumerate(models)}
        for name, model in models.items():
            write_scores(model, split, places[name])
        return {name: judge(places["parent"], place) for name, place in places.items() if name != "parent"}


def contradicts(verdict: str, degradation: Sequence[float], *, margin: float = MARGIN) -> bool:
    """Whether a verdict is wrong if the true degradation lies in an interval.

    Args:
        verdict: Of a judgement at the margin.
        degradation: Both ends of the interval.
        margin: What is tolerated.

    Example:
        >>> contradicts("pass", (0.011, 0.02)), contradicts("fail", (0.0, 0.004)), contradicts("pass", (0.004, 0.012))
        (True, True, False)
    """
    low, high = degradation
    return (verdict == "pass" and low > 2 * margin) or (verdict == "fail" and high < margin)


def tabulate(
    judged: Sequence[Mapping[str, Mapping[str, Any]]], table: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each model: the measured degradation of the table beside the verdicts of all seeds."""
    measured = {row["model"]: row["top1_accuracy_minus_parent"]["interval"] for row in table}
    rows = []
    for name in judged[0]:
        low, high = sorted(-end for end in measured[name])
        verdicts = [seed[name]["verdict"] for seed in judged]
        rows.append(
            {
                "model": name,
                "measured": {"mean": (low + high) / 2, "interval": [low, high]},
                **{verdict: verdicts.count(verdict) for verdict in VERDICTS},
                "contradictions": sum(contradicts(verdict, (low, high)) for verdict in verdicts),
                "lost": [seed[name]["lost"] for seed in judged],
                "gained": [seed[name]["gained"] for seed in judged],
                "first_seed": dict(judged[0][name]),
            }
        )
    return rows


@click.command(help=__doc__)
@click.option("--seeds", "num_seeds", type=click.IntRange(1), default=len(SEEDS), show_default=True)
def main(num_seeds: int) -> None:
    """Judge all models of all seeds, and write the table."""
    torch.set_num_threads(1)
    judged = []
    for seed in range(num_seeds):
        place = KEPT / f"verdicts-{fingerprint()}-{seed}.json"
        if not place.exists():
            verdicts = json.dumps(judge_seed(seed))
            with replacing(place) as draft:
                draft.write_text(verdicts, "utf-8")
        judged.append(json.loads(place.read_text("utf-8")))
        click.echo(f"seed {seed} of {num_seeds - 1}", err=True)
    table = json.loads((RESULTS / "compression.json").read_text("utf-8"))["rows"]
    facts = {
        **provenance(range(num_seeds)),
        "command": "python -m experiments.compression_verdicts",
        "num_images": 10_000,
        "margin": MARGIN,
        "rows": tabulate(judged, table),
    }
    write_results(RESULTS / "compression_verdicts.json", facts)
    sys.exit(int(any(row["contradictions"] for row in facts["rows"])))


if __name__ == "__main__":
    main()
