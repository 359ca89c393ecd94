"""Gate real changes, one for each verdict and one that only times, and keep the run documents as the sample reports.

Run from the root of the repository; it takes some twenty minutes::

    python -m experiments.samples
    python -m experiments.samples --only inconclusive

Most samples gate the accuracy of the reference model, in a clone of this repository at its last commit that is set to the embedded
digits: most of them changes whose cost ``faults.toml`` states and ``docs/results/faults.json`` measures. The sample ``timed`` gates the
subject of the self-test, which needs no PyTorch, by nine metrics. Each sample is one commit, and the first gate of its change at a commit of
this repository: where the verdict is not the one that the sample is there to show, nothing is written and the status is 1. Another commit gives
other seeds. That was needed once, for ``inconclusive``, a change that costs about its margin: its first gate passed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click

from experiments.faults import load_changes
from experiments.provenance import ROOT
from experiments.repositories import environ, replace_once
from experiments.selftest import PAIR_SECONDS, SUBJECT
from mainstay.records.runs import Run
from mainstay.store.documents import run_from_json, run_to_json

SAMPLES = ROOT / "docs" / "samples"

DATE = "2026-11-28T12:00:00+00:00"
"""Of all commits: seeds derive from the baseline's commit, so a sample that is made again has the same ones."""

Edit = Mapping[str, str]
"""A ``file`` of the package, a text to ``find`` that stands in it exactly once, and what to ``replace`` it with."""

WRONG_WIDTH: Edit = {
    "file": "models/networks.py",
    "find": "        logits: Tensor = self.layers[-1](hidden)  # (N, 10)\n        return logits\n\n\nclass Cnn",
    "replace": "        logits: Tensor = self.layers[-1](hidden[:, 1:])\n        return logits\n\n\nclass Cnn",
}
"""The last layer is given one input too few."""

GUARD: Edit = {
    "file": "data.py",
    "find": "(shifted.std(axis=(1, 2), keepdims=True) + np.float32(1e-6))",
    "replace": "np.maximum(shifted.std(axis=(1, 2), keepdims=True), np.float32(1e-6))",
}
"""An image without contrast is divided by the least deviation, and every other image by its own."""

MORE_WORKLOADS = '''"""Three timed metrics besides those of the self-test."""

import numpy as np
from subject import checkpoint, data, network, search

INPUTS, HIDDEN = 196, 64


def test_save_and_load(benchmark):
    model = network.new_network(INPUTS, HIDDEN, np.random.default_rng(6))

    benchmark(lambda: checkpoint.from_text(checkpoint.to_text(model)))


def test_batches_of_an_epoch(benchmark):
    examples = data.make_examples(2_000, INPUTS, np.random.default_rng(7))

    benchmark(lambda: list(data.iter_batches(*examples, 100, np.random.default_rng(8))))


def test_nearest(benchmark):
    points = data.make_examples(500, INPUTS, np.random.default_rng(9))[0]

    benchmark(search.nearest, points[:50], points, 5)
'''
"""Workloads of the subject, besides those that it has."""


class SampleError(Exception):
    """A sample did not come to the verdict that it is there to show, or to none."""


class Project(ABC):
    """A project in a git repository of its own, whose branch ``baseline`` is what samples change.

    Args:
        root: Where it is made.
    """

    package: ClassVar[str]
    """Name of the package."""

    options: ClassVar[tuple[str, ...]] = ()
    """Options of each gate."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environ = environ(date=DATE)
        self.make()
        self.run("git", "branch", "baseline")

    @abstractmethod
    def make(self) -> None:
        """Make the repository, with a commit."""

    def run(self, *command: str, where: Path | None = None) -> None:
        """Run a command, in the repository unless another place is named."""
        subprocess.run(command, cwd=where or self.root, env=self._environ, check=True)

    def commit(self, message: str) -> None:
        """Commit all files."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def gate(self, sample: Sample) -> Run:
        """Commit a change and gate it.

        Raises:
            SampleError: If the gate wrote no document.
        """
        self.run("git", "checkout", "--quiet", "-B", "change", "baseline")
        for edit in sample.edits or named_change(sample.change)["edits"]:
            replace_once(self.root / "src" / self.package / edit["file"], edit["find"], edit["replace"])
        self.commit(sample.message)
        document = self.root.parent / "run.json"
        document.unlink(missing_ok=True)
        shutil.rmtree(self.root / ".mainstay", ignore_errors=True)  # no trial of another sample is reused
        command = [sys.executable, "-m", "mainstay", "gate", "--baseline", "baseline", "--candidate", "change"]
        done = subprocess.run(
            [*command, *self.options, "--json", str(document)], cwd=self.root, env=self._environ, check=False
        )
        if not document.exists():
            raise SampleError(f"the gate ended with {done.returncode} and wrote no document")
        return run_from_json(document.read_text(encoding="utf-8"), where=document.name)


class ReferenceModel(Project):
    """A clone of this repository that is set to the embedded digits, gated for accuracy."""

    package = "mnist_reference"
    options = ("--only", "accuracy")

    def make(self) -> None:
        """Clone the last commit."""
        self.run("git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), str(self.root), where=ROOT)
        fetch = '"mnist_reference", "fetch"'
        replace_once(self.root / "pyproject.toml", f"{fetch}]", f'{fetch}, "--data", "digits"]')
        self.commit("Use the embedded digits")


class SelftestSubject(Project):
    """The subject of the self-test with nine metrics of time and memory; no PyTorch is needed."""

    package = "subject"

    def make(self) -> None:
        """Copy it, with more workloads."""
        shutil.copytree(SUBJECT, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        self.run("git", "init", "--quiet", "--initial-branch", "main")
        (self.root / "performance" / "test_more.py").write_text(MORE_WORKLOADS, encoding="utf-8")
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as settings:
            settings.write(f'workloads = "performance"\npair_seconds = {PAIR_SECONDS}\n')
        self.commit("Time nine parts of the library")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A change to be gated.

    Attributes:
        verdict: What the sample is there to show.
        message: Of the commit.
        change: Name of the change in ``faults.toml``; empty where ``edits`` say it.
        edits: The change, where it has no name.
        project: What is changed.
    """

    verdict: str
    message: str
    change: str = ""
    edits: Sequence[Edit] = ()
    project: type[Project] = ReferenceModel


SAMPLES_BY_NAME: Mapping[str, Sample] = {
    "passing": Sample(
        verdict="pass", message="Call the last layer of the perceptron by a name of its own", change="refactoring"
    ),
    "timed": Sample(
        verdict="pass",
        message="Bound the deviation of an image below by a maximum",
        edits=(GUARD,),
        project=SelftestSubject,
    ),
    "failing": Sample(verdict="fail", message="Train with a learning rate of 0.00005", change="learning-rate"),
    "inconclusive": Sample(
        verdict="inconclusive",
        message="Narrow the first hidden layer to 16 units",
        change="hidden-width",
    ),
    "error": Sample(
        verdict="error",
        message="Leave the first hidden unit out of the last layer",
        edits=(WRONG_WIDTH,),
    ),
}


def named_change(name: str) -> Mapping[str, Any]:
    """A change of ``faults.toml``."""
    return next(change for change in load_changes() if change["name"] == name)


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(SAMPLES_BY_NAME)), help="Make these samples alone.")
def main(only: tuple[str, ...]) -> None:
    """Make the samples."""
    SAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        projects: dict[type[Project], Project] = {}
        for name in only or SAMPLES_BY_NAME:
            sample = SAMPLES_BY_NAME[name]
            kind = sample.project
            try:
                if kind not in projects:
                    projects[kind] = kind(Path(place, kind.package))
                run = projects[kind].gate(sample)
            except SampleError as error:
                raise click.ClickException(f"{name}: {error}") from error
            if run.verdict != sample.verdict:
                raise click.ClickException(f"{name}: the gate answered {run.verdict}: {run.reason}")
            (SAMPLES / f"{name}.json").write_text(run_to_json(run), encoding="utf-8")


if __name__ == "__main__":
    main()
