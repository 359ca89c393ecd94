"""Plant twenty differences in the reference model, and check which place ``mainstay explain`` names first.

Run from the root of the repository; it goes on where it was stopped::

    python -m experiments.first_difference

Every case is an edit of a clone of this repository, committed there. What must be named was written down before the case
was first run: the operator, the line that calls it, and the change. The search is that of ``mainstay explain``; only the
environments are not built: both revisions run in this one, each from its own tree. Two controls change nothing that is
computed. Finished cases are kept in ``.mainstay/first_difference`` for as long as neither they nor the code change.

The status is 1 if fewer than nineteen of the twenty are named.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from experiments.provenance import ROOT, commit, versions, write_results
from experiments.repositories import git, replace_once
from mainstay.commands.explain import locate
from mainstay.measuring.explaining import find_first_difference
from mainstay.records.explanations import CodeLine, Explanation, Nearness, Parting
from mainstay.records.trials import Side
from mainstay.reports.explanation import render_explanation
from mainstay.revisions.git import Repository
from mainstay.store.files import write_text
from mainstay.workers.fork_server import fork_servers
from mainstay.workers.machine import describe_machine
from mainstay.workers.process import Launcher, WorkerSpec
from mnist_reference.data.datasets import load_digits

KEPT = ROOT / ".mainstay" / "first_difference"
RESULTS = ROOT / "docs" / "results" / "first_difference.json"
PACKAGE = Path("src") / "mnist_reference"

DEPENDED_ON = ("mnist_reference", "mainstay/runner", "mainstay/workers", "mainstay/measuring", "mainstay/revisions")
"""Code on which the rows depend."""

SEED = 20
WANTED = 19
TRIAL_SECONDS = 300.0
NEAR = 3
"""Lines by which the first line of a statement may lie before the line that Python names."""

PRELOADED = ("torch", "torch._dynamo")
"""Modules that the workers are forked with."""

WORKLOAD = """
from dataclasses import replace

import pytest

from mnist_reference.data import datasets
from mnist_reference.models import evaluate, networks
from mnist_reference.training import recipes, train

digits = replace(recipes.digits(), num_epochs=2)
RECIPES = {
    "perceptron": digits,
    "regularised": replace(
        digits, model=networks.PerceptronConfig(dropout=0.2), optimizer="momentum", validation_share=0.1, l2_penalty=1e-4
    ),
    "cnn": replace(recipes.cnn_99_5(), num_epochs=1, model=networks.CnnConfig(channels=(4, 8, 8, 8), dropout=0.1)),
}


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01)
@pytest.mark.parametrize("name", RECIPES)
def test_trained(trial, name):
    data_set = datasets.load("digits")
    model = networks.initialised(RECIPES[name].model, seed=trial.seed)
    history = list(train.train(model, data_set.train, RECIPES[name], seed=trial.seed, test=data_set.test))
    trial.record(top1_accuracy=history[-1].test.top1_accuracy)
    trial.record_series("train_loss", [record.train_loss for record in history])
    trial.record_digest({"parameters": model.state_dict()})
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A planted difference, and what must be named.

    Attributes:
        name: What is changed.
        recipe: Recipe of the workload that meets it.
        file: The file that is edited, relative to the package.
        old: A text that stands in it exactly once.
        new: Its replacement.
        operator: Pattern of the operators of which one must be named.
        place: The file of the line that must be named, relative to the package.
        line: Text of that line, in the revision whose operator is named first.
        is_on_the_way: Whether the changed line has no operator of its own, so that it must lie on the stack.
    """

    name: str
    recipe: str
    file: str
    old: str
    new: str
    operator: str
    place: str
    line: str
    is_on_the_way: bool = False


CASES: Sequence[Case] = (
    Case(
        name="data order",
        recipe="perceptron",
        file="training/train.py",
        old='shuffling = generator(seed, "shuffling")',
        new='shuffling = generator(seed, "shuffled")',
        operator=r"aten\.randperm",
        place="training/train.py",
        line="order = torch.randperm(len(split.labels)",
    ),
    Case(
        name="initialisation",
        recipe="perceptron",
        file="models/networks.py",
        old='torch.manual_seed(derived_seed(seed, "initialisation"))',
        new='torch.manual_seed(derived_seed(seed, "weights"))',
        operator=r"aten\.uniform_",
        place="models/networks.py",
        line="self.layers = nn.ModuleList(",
    ),
    Case(
        name="a loss",
        recipe="perceptron",
        file="training/losses.py",
        old="    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)",
        new="    return functional.cross_entropy(1.01 * logits, labels, label_smoothing=label_smoothing)",
        operator=r"aten\.mul",
        place="training/losses.py",
        line="return functional.cross_entropy(",
    ),
    Case(
        name="an optimiser step",
        recipe="perceptron",
        file="training/optimizers.py",
        old='lr=self.param_groups[0]["lr"],',
        new='lr=1.1 * self.param_groups[0]["lr"],',
        operator=r"aten\._fused_adam_",
        place="training/optimizers.py",
        line="adam(",
    ),
    Case(
        name="dropout",
        recipe="regularised",
        file="models/networks.py",
        old="return nn.Dropout(share) if share",
        new="return nn.Dropout(share / 2) if share",
        operator=r"aten\.(native_dropout|bernoulli)",
        place="models/networks.py",
        line="hidden = self.dropout(layer(hidden).relu())",
    ),
    Case(
        name="evaluation",
        recipe="perceptron",
        file="models/evaluate.py",
        old="    return int((logits.argmax(1) ==",
        new="    return int((logits[:, :5].argmax(1) ==",
        operator=r"aten\.(slice|argmax)",
        place="models/evaluate.py",
        line="return int((logits",
    ),
    Case(
        name="dtype",
        recipe="perceptron",
        file="data/datasets.py",
        old="    return images.to(torch.float32).div_(255)",
        new="    return images.to(torch.float32).div_(255).to(torch.bfloat16).float()",
        operator=r"aten\._to_copy",
        place="data/datasets.py",
        line="return images.to(torch.float32).div_(255)",
    ),
    Case(
        name="a dependency",
        recipe="perceptron",
        file="sklearn/datasets/_base.py",
        old="    images = flat_data.reshape(-1, 8, 8)",
        new="    images = flat_data.reshape(-1, 8, 8) * 0.98",
        operator=r"aten\._to_copy",
        place="data/datasets.py",
        line="small = torch.from_numpy(bunch.images)",
    ),
    Case(
        name="weight decay",
        recipe="perceptron",
        file="training/optimizers.py",
        old="weight_decay=0.0,",
        new="weight_decay=0.01,",
        operator=r"aten\._fused_adam_",
        place="training/optimizers.py",
        line="adam(",
    ),
    Case(
        name="learning rate schedule",
        recipe="perceptron",
        file="training/schedules.py",
        old='    """1 at every step."""\n    return 1.0',
        new='    """1 at every step."""\n    return 1.0 if step > 2 else 0.5',
        operator=r"aten\._fused_adam_",
        place="training/optimizers.py",
        line="adam(",
    ),
    Case(
        name="gradient clipping",
        recipe="perceptron",
        file="training/train.py",
        old="        loss.backward()\n",
        new='        loss.backward()\n        nn.utils.clip_grad_norm_(optimizer.parameters, 0.1) if hasattr(optimizer, "parameters") else None\n',
        operator=r"aten\.(_foreach_norm|linalg_vector_norm|norm)",
        place="training/train.py",
        line="nn.utils.clip_grad_norm_(",
    ),
    Case(
        name="activation",
        recipe="perceptron",
        file="models/networks.py",
        old="hidden = self.dropout(layer(hidden).relu())",
        new="hidden = self.dropout(nn.functional.gelu(layer(hidden)))",
        operator=r"aten\.(gelu|relu)",
        place="models/networks.py",
        line="hidden = self.dropout(",
    ),
    Case(
        name="epsilon of normalisation",
        recipe="cnn",
        file="models/networks.py",
        old="nn.BatchNorm2d(outputs)",
        new="nn.BatchNorm2d(outputs, eps=1e-3)",
        operator=r"aten\.\w*batch_norm",
        place="models/networks.py",
        line="strongest = self.features(images)",
    ),
    Case(
        name="label smoothing",
        recipe="perceptron",
        file="training/losses.py",
        old="partial(cross_entropy, label_smoothing=label_smoothing)",
        new="partial(cross_entropy, label_smoothing=label_smoothing + 0.1)",
        operator=r"aten\.nll_loss_backward",  # the weights depend on the gradient of the loss, not on its value
        place="training/losses.py",
        line="return functional.cross_entropy(",
    ),
    Case(
        name="batch size",
        recipe="perceptron",
        file="training/recipes.py",
        old='name="digits", num_epochs=40)',
        new='name="digits", num_epochs=40, batch_size=32)',
        operator=r"aten\.split",
        place="training/train.py",
        line="shares = [group.share(batch) for batch in order.split(recipe.batch_size)]",
    ),
    Case(
        name="augmentation",
        recipe="cnn",
        file="data/augment.py",
        old="    right, down = right / half, down / half",
        new="    right, down = right / half, -down / half",
        operator=r"aten\.neg",
        place="data/augment.py",
        line="right, down = right / half",
    ),
    Case(
        name="last incomplete batch",
        recipe="regularised",
        file="training/train.py",
        old="for batch in order.split(recipe.batch_size)]",
        new="for batch in order.split(recipe.batch_size) if len(batch) == recipe.batch_size]",
        operator=r"aten\.addmm",  # with which only the baseline goes on: the first layer reads the batch
        place="models/networks.py",
        line="hidden = self.dropout(layer(hidden).relu())",
        is_on_the_way=True,
    ),
    Case(
        name="seed of the validation split",
        recipe="regularised",
        file="data/datasets.py",
        old='generator=generator(seed, "validation")',
        new='generator=generator(seed + 1, "validation")',
        operator=r"aten\.randperm",
        place="data/datasets.py",
        line="order = torch.randperm(num_examples",
    ),
    Case(
        name="momentum",
        recipe="regularised",
        file="training/optimizers.py",
        old="return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9)",
        new="return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.8)",
        operator=r"aten\.(_foreach_mul_|mul_)",
        place="training/train.py",
        line="optimizer.step()",
    ),
    Case(
        name="reduction",
        recipe="perceptron",
        file="training/losses.py",
        old="    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)",
        new='    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="sum")',
        operator=r"aten\.nll_loss",
        place="training/losses.py",
        line="return functional.cross_entropy(",
    ),
)
"""What is planted. The first incomplete batch has no operator of its own: the change on the way must be named."""

CONTROLS: Sequence[Case] = (
    Case(
        name="a docstring",
        recipe="perceptron",
        file="training/train.py",
        old='"""One pass over some batches of a split.\n',
        new='"""Go once over some batches of a split.\n',
        operator="",
        place="",
        line="",
    ),
    Case(
        name="a refactoring",
        recipe="perceptron",
        file="models/networks.py",
        old="            hidden = self.dropout(layer(hidden).relu())",
        new="            hidden = self.dropout(torch.relu(layer(hidden).clone()))",
        operator="",
        place="",
        line="",
    ),
)
"""What changes nothing that is computed."""


class Bench:
    """A clone of this repository, and a tree for each revision.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launchers: Mapping[Side, Launcher] = {}
        self.clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)
        shutil.copytree(ROOT / PACKAGE, self.clone / PACKAGE, dirs_exist_ok=True)
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", "the reference model")
        self.baseline = git(self.clone, "rev-parse", "HEAD")
        for side in Side:
            self._copy(side)
        self.data = folder / "data"
        self.dependencies = (
            folder / "dependencies of the candidate"
        )  # there from the start: the servers of workers know it
        self.dependencies.mkdir()
        measure = folder / "measure"
        (measure / "benchmarks").mkdir(parents=True)
        (measure / "pytest.ini").write_text("[pytest]\n", "utf-8")
        (measure / "benchmarks" / "test_first_difference.py").write_text(WORKLOAD, "utf-8")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Fork workers from servers that have loaded what all cases need."""
        with fork_servers({side: self.spec(side) for side in Side}, PRELOADED, limit_s=TRIAL_SECONDS) as servers:
            self.launchers = {side: server.start for side, server in servers.items()}
            yield

    def _copy(self, side: Side) -> None:
        tree = self.folder / side / PACKAGE.name  # its folder stays: the servers of workers know it
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.clone / PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__"))

    def spec(self, side: Side) -> WorkerSpec:
        """The worker of a revision, which imports the model from its own tree."""
        scratch = self.folder / f"scratch of the {side}"
        scratch.mkdir(exist_ok=True)
        dependencies = str(self.dependencies)
        return WorkerSpec(
            side=side,
            python=sys.executable,
            own=str(self.folder / side),
            roots=(PACKAGE.name,),
            folder=str(self.folder / "measure"),
            configuration=str(self.folder / "measure" / "pytest.ini"),
            scratch=str(scratch),
            variables={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(
                    [str(self.folder / side), *([dependencies] if side is Side.CANDIDATE else [])]
                ),
                "PYTHONDONTWRITEBYTECODE": "1",
                "MNIST_REFERENCE_ROOT": str(self.data),
                **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            },
        )

    def explain(self, case: Case) -> Explanation:
        """Plant a difference, and find where the revisions part."""
        git(self.clone, "reset", "--quiet", "--hard", self.baseline)
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.dependencies / "sklearn", ignore_errors=True)
        is_dependency = case.file.startswith("sklearn")
        if is_dependency:
            import sklearn

            installed = Path(sklearn.__file__).parents[1]
            for name in ("sklearn", "scikit_learn.libs"):
                shutil.copytree(installed / name, self.dependencies / name)
            plant(self.dependencies, case)
        else:
            load_digits(self.data)  # otherwise, the dependency makes it anew
            plant(self.clone / PACKAGE, case)
            git(self.clone, "commit", "--quiet", "--all", "--message", case.name)
        self._copy(Side.CANDIDATE)
        workload = f"benchmarks/test_first_difference.py::test_trained[{case.recipe}]"
        specs = {side: self.spec(side) for side in Side}
        found = find_first_difference(
            specs, workload, SEED, limit_s=TRIAL_SECONDS, launchers=self.launchers, times_trial=True
        )
        old = version("scikit-learn")
        explanation = Explanation(
            run="planted",
            workload=workload,
            seed=SEED,
            baseline=self.baseline,
            candidate=git(self.clone, "rev-parse", "HEAD"),
            difference=found,
            dependencies={"scikit-learn": (old, f"{old}, patched")} if is_dependency else {},
        )
        return locate(explanation, Repository.discover(self.clone))

    def judged(self, case: Case) -> dict[str, Any]:
        """The row of a case."""
        explanation = self.explain(case)
        found = explanation.difference
        called = [operator for operator in (found.candidate, found.baseline) if operator]
        lines = [operator.line for operator in called if operator.line]
        row = {
            "name": case.name,
            "recipe": case.recipe,
            "expected": {"operator": case.operator, "place": case.place, "line": case.line, "change": case.file},
            "parting": found.parting,
            "step": found.step,
            "operators": [operator.name for operator in called],
            "modules": [operator.module for operator in called],
            "lines": [f"{line.file}:{line.line}" for line in lines],
            "cause": found.cause,
            "recorded": found.recorded,
            "largest_difference": found.largest_difference,
            "compared": found.compared,
            "nearness": explanation.nearness,
            "changes": [f"{hunk.file}:{hunk.after}" for hunk in explanation.hunks],
            "seconds": dict(found.seconds),
        }
        if not case.operator:
            return row | {"is_right": found.parting is Parting.NOTHING}
        is_place = any(
            re.match(case.operator, operator.name) and operator.line and self._is_line(case, operator.line, side)
            for operator in called
            for side in Side
        )
        changed = str(PACKAGE / case.file)
        is_change = (
            bool(explanation.dependencies) and explanation.nearness is Nearness.NOWHERE
            if case.file.startswith("sklearn")
            else any(hunk.file == changed for hunk in explanation.hunks)
        )
        if case.is_on_the_way:
            is_change = is_change and explanation.nearness in {Nearness.AT_THE_LINE, Nearness.ON_THE_STACK}
        return row | {"is_right": is_place and is_change, "is_place_right": is_place, "is_change_right": is_change}

    def _is_line(self, case: Case, line: CodeLine, side: Side) -> bool:
        """Whether a line is the expected one, or belongs to the same statement."""
        if line.file not in {f"{PACKAGE.name}/{place}" for place in case.place.split("|")}:
            return False
        text = (self.folder / side / line.file).read_text("utf-8").splitlines()
        return any(case.line in each for each in text[max(0, line.line - 1 - NEAR) : line.line])


def plant(package: Path, case: Case) -> None:
    """Edit a file of the reference model, or of a dependency.

    Raises:
        ValueError: If the text to be replaced does not stand in it exactly once.
    """
    replace_once(package / case.file, case.old, case.new)


def kept_at(case: Case) -> Path:
    """Where the row of a case is kept: its name depends on all that it depends on."""
    digest = hashlib.sha256(json.dumps([asdict(case), SEED, WORKLOAD, version("torch")]).encode())
    for folder in DEPENDED_ON:
        for path in sorted((ROOT / "src" / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return KEPT / f"{digest.hexdigest()}.json"


def summary(rows: Sequence[Mapping[str, Any]], controls: Sequence[Mapping[str, Any]], commit: str) -> dict[str, Any]:
    """The results, with what they were measured on."""
    unchanged = next(row["seconds"] for row in controls if "parameters" in row["seconds"])
    return {
        "command": "python -m experiments.first_difference",
        "commit": commit,
        "seed": SEED,
        "num_planted": len(rows),
        "num_right": sum(row["is_right"] for row in rows),
        "num_controls": len(controls),
        "num_controls_right": sum(row["is_right"] for row in controls),
        "cost_of_steps": unchanged["parameters"] / unchanged["unwatched"],
        "machine": describe_machine().processor,
        "num_cores": describe_machine().num_cores,
        **versions("python"),
        "versions": versions("numpy", "scikit-learn", "torch"),
        "planted": list(rows),
        "controls": list(controls),
    }


@click.command(help=__doc__)
@click.option("--only", multiple=True, help="Name of a case; nothing is written then, and what was found is printed.")
def main(only: tuple[str, ...]) -> None:
    """Run what has not been run yet, and write the results."""
    rows: dict[str, Any] = {}
    revision = commit()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(Path(folder))
        stack.enter_context(bench.serving())
        for case in (*CASES, *CONTROLS):
            if only and case.name not in only:
                continue
            if only:
                explanation = bench.explain(case)
                click.echo(render_explanation(explanation))
                continue
            kept = kept_at(case)
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_text(kept, json.dumps(bench.judged(case)))
            rows[case.name] = row = json.loads(kept.read_text("utf-8"))
            click.echo(
                f"{'right' if row['is_right'] else 'WRONG':6} {case.name:30} {row['operators'][:1]} {row['lines'][:1]} {row['cause']}"
            )
    if only:
        return
    planted, controls = ([rows[case.name] for case in cases] for cases in (CASES, CONTROLS))
    results = summary(planted, controls, revision)
    write_results(RESULTS, results)
    click.echo(f"{results['num_right']} of {results['num_planted']} right")
    sys.exit(results["num_right"] < WANTED)


if __name__ == "__main__":
    main()
