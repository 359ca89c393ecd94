"""Regressions planted in a small library, and what its counts say; neither instructions nor threads matter."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch

from experiments.torch_counts import PLANTED, WORKLOADS, count, kept, outcome, plant
from mainstay.gates.names import changed_names
from mainstay.records.trials import CountedName
from mainstay.runner.counting import Counts
from mainstay.runner.torch_counting import METRICS
from tests.slow_cases import some_always

pytestmark = pytest.mark.usefixtures("few_objects")

NUM_IMAGES = 192


def library(place, edits=()):
    """The library with some edits, as a module."""
    plant(place, edits)
    spec = importlib.util.spec_from_file_location("counted_model", place / "experiments" / "counted" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(num_images=NUM_IMAGES):
    return torch.rand(num_images, 784, generator=torch.Generator().manual_seed(0))


def count_training(model):
    counts = Counts()
    counts.torch(model.Training().epoch, noise(), torch.arange(NUM_IMAGES) % 10)
    return counts


def count_evaluation(model):
    counts = Counts()
    counts.torch(model.evaluate, model.Training().network.eval(), noise())
    return counts


def count_compiled(model):
    counts, sizes = Counts(), iter(range(model.BATCH_SIZE + 20, 2 * model.BATCH_SIZE))
    counts.torch(lambda: model.score_all(noise(next(sizes))))
    return counts


WAYS = {"training": count_training, "evaluation": count_evaluation, "compiled": count_compiled}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Counts of the library as it is."""
    model = library(tmp_path_factory.mktemp("usual"))
    return {name: way(model) for name, way in WAYS.items()}


def way_of(planted):
    if planted.metric in {"graph_breaks", "recompiles"}:
        return "compiled"
    return "evaluation" if "evaluation" in planted.what else "training"


def changes(usual, counts, metric):
    both = ([CountedName(**each) for each in side.names[metric]] for side in (usual, counts))
    return changed_names(*both)


ALWAYS = {
    "a loss in double precision",
    "a graph break",
    "gradients kept in evaluation",
    "a list of losses that keeps every graph",
    "lines moved",
}


@pytest.mark.parametrize("what", some_always((planted.what for planted in PLANTED), ALWAYS))
def test_a_planted_regression_is_named_and_a_reworded_file_changes_nothing(what, usual, tmp_path):
    planted = next(each for each in PLANTED if each.what == what)
    way = way_of(planted)

    counts = WAYS[way](library(tmp_path, planted.edits))

    if planted.metric:
        assert counts.values[planted.metric] > usual[way].values[planted.metric]
        named = [line for line in changes(usual[way], counts, planted.metric) if line.startswith("added")]
        assert any(f"{planted.named}" in line and "model.py:" in line for line in named), named
    else:
        assert counts.values == usual[way].values
        assert not any(changes(usual[way], counts, metric) for metric in counts.names)


def test_a_step_as_it_should_be_waits_once_and_leaves_nothing_behind(usual):
    assert usual["training"].values.keys() == set(METRICS)
    assert {name: usual["training"].values[name] for name in ("synchronisations", "kept_tensors", "copies")} == {
        "synchronisations": 1,
        "kept_tensors": 0,
        "copies": 0,
    }
    assert usual["evaluation"].values["autograd_calls"] == 0
    assert usual["compiled"].values["graph_breaks"] == usual["compiled"].values["recompiles"] == 0


def test_a_step_is_called_twice_and_twice_more_once_an_optimiser_has_loaded_the_compiler(monkeypatch):
    calls = []
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    Counts().torch(lambda: calls.append(torch.ones(1)))
    monkeypatch.undo()
    torch.optim.SGD([torch.ones(1, requires_grad=True)])
    batches = iter(range(4))
    Counts().torch(lambda: next(batches))

    assert len(calls) == 2
    assert list(batches) == []


ELSEWHERE = """
import json, pathlib, sys
import tests.experiments.test_torch_counts as here
model = here.library(pathlib.Path(sys.argv[1]))
print(json.dumps(here.count_training(model).values))
"""


@pytest.mark.slow
def test_neither_instructions_nor_threads_change_a_count(usual, tmp_path, root):
    variables = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        env=os.environ | variables | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == usual["training"].values


def test_the_gated_names_of_the_workloads_are_counted():
    assert set().union(*WORKLOADS.values()) <= set(METRICS)


@pytest.mark.slow
def test_the_gates_own_workers_name_a_regression():
    planted = PLANTED[0]

    findings, seconds = count(planted.edits, ["test_training"])

    row = outcome(planted, findings, seconds)
    assert row["is_as_expected"], row
    assert row["named"].startswith("added: aten::_local_scalar_dense x3 at experiments/counted/model.py:")


@pytest.mark.parametrize(("commit", "continued"), [("a" * 40, ["a read value"]), ("b" * 40, [])])
def test_counts_of_another_commit_are_not_continued(tmp_path, commit, continued):
    output = tmp_path / "counts.json"
    output.write_text(json.dumps({"provenance": {"commit": "a" * 40}, "planted": [{"what": "a read value"}]}), "utf-8")

    assert [row["what"] for row in kept(output, commit)["planted"]] == continued
    assert kept(tmp_path / "none.json", commit) == {"planted": []}


def test_counts_of_code_without_a_commit_are_not_continued(tmp_path):
    output = tmp_path / "counts.json"
    for commit in ("", f"{'a' * 40}-dirty"):
        output.write_text(
            json.dumps({"provenance": {"commit": commit}, "planted": [{"what": "a read value"}]}), "utf-8"
        )

        assert kept(output, commit) == {"planted": []}
