"""Gate real changes of the reference model, one for each verdict, and keep the run documents as the sample reports.

Run from the root of the repository; it takes a few minutes::

    python -m experiments.samples
    python -m experiments.samples --only inconclusive

The project that is gated is a clone of this repository at its last commit, set to the embedded digits. Each sample is one commit on top of
it, gated for accuracy: most of them changes whose cost ``faults.toml`` states and ``docs/results/faults.json`` measures. A sample is the first
gate of its change, whatever came of it: where the verdict is not the one that the sample is there to show, nothing is
written and the status is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from experiments.faults import load_changes
from experiments.provenance import ROOT
from experiments.repositories import environ, replace_once
from mainstay.records.runs import Run
from mainstay.store.documents import run_from_json, run_to_json

SAMPLES = ROOT / "docs" / "samples"

DATE = "2026-11-28T12:00:00+00:00"
"""Of all commits: seeds derive from the baseline's commit, so a sample that is made again has the same ones."""

Edit = Mapping[str, str]
"""A ``file`` of the reference model, a text to ``find`` that stands in it exactly once, and what to ``replace`` it with."""

WRONG_WIDTH: Edit = {
    "file": "models/networks.py",
    "find": "        logits: Tensor = self.layers[-1](hidden)  # (N, 10)\n        return logits\n\n\nclass Cnn",
    "replace": "        logits: Tensor = self.layers[-1](hidden[:, 1:])\n        return logits\n\n\nclass Cnn",
}
"""The last layer is given one input too few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A change to be gated.

    Attributes:
        verdict: What the sample is there to show.
        message: Of the commit.
        change: Name of the change in ``faults.toml``; empty where ``edits`` say it.
        edits: The change, where it has no name.
    """

    verdict: str
    message: str
    change: str = ""
    edits: Sequence[Edit] = ()


SAMPLES_BY_NAME: Mapping[str, Sample] = {
    "passing": Sample(
        verdict="pass", message="Call the last layer of the perceptron by a name of its own", change="refactoring"
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


class SampleError(Exception):
    """A sample did not come to the verdict that it is there to show, or to none."""


class Project:
    """A clone of this repository that is set to the embedded digits.

    Args:
        root: Where it is made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environ = environ(date=DATE)
        self._run("git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), str(root), where=ROOT)
        fetch = '"mnist_reference", "fetch"'
        replace_once(root / "pyproject.toml", f"{fetch}]", f'{fetch}, "--data", "digits"]')
        self._commit("Use the embedded digits")
        self._run("git", "branch", "baseline")

    def gate(self, sample: Sample) -> Run:
        """Commit a change and gate it.

        Raises:
            SampleError: If the gate wrote no document.
        """
        self._run("git", "checkout", "--quiet", "-B", "change", "baseline")
        for edit in sample.edits or named_change(sample.change)["edits"]:
            replace_once(self.root / "src" / "mnist_reference" / edit["file"], edit["find"], edit["replace"])
        self._commit(sample.message)
        document = self.root.parent / "run.json"
        document.unlink(missing_ok=True)
        shutil.rmtree(self.root / ".mainstay", ignore_errors=True)  # no trial of another sample is reused
        command = [sys.executable, "-m", "mainstay", "gate", "--baseline", "baseline", "--candidate", "change"]
        done = subprocess.run(
            [*command, "--only", "accuracy", "--json", str(document)], cwd=self.root, env=self._environ, check=False
        )
        if not document.exists():
            raise SampleError(f"the gate ended with {done.returncode} and wrote no document")
        return run_from_json(document.read_text(encoding="utf-8"), where=document.name)

    def _commit(self, message: str) -> None:
        self._run("git", "commit", "--quiet", "--all", "--message", message)

    def _run(self, *command: str, where: Path | None = None) -> None:
        subprocess.run(command, cwd=where or self.root, env=self._environ, check=True)


def named_change(name: str) -> Mapping[str, Any]:
    """A change of ``faults.toml``."""
    return next(change for change in load_changes() if change["name"] == name)


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(SAMPLES_BY_NAME)), help="Make these samples alone.")
def main(only: tuple[str, ...]) -> None:
    """Make the samples."""
    SAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        project = Project(Path(place, "mnist-reference"))
        for name in only or SAMPLES_BY_NAME:
            sample = SAMPLES_BY_NAME[name]
            try:
                run = project.gate(sample)
            except SampleError as error:
                raise click.ClickException(f"{name}: {error}") from error
            if run.verdict != sample.verdict:
                raise click.ClickException(f"{name}: the gate answered {run.verdict}: {run.reason}")
            (SAMPLES / f"{name}.json").write_text(run_to_json(run), encoding="utf-8")


if __name__ == "__main__":
    main()
