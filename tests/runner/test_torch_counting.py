"""What a call makes torch do: planted regressions are named, and neither instructions nor threads matter."""

import importlib.util
import json
import os
import subprocess
import sys
from collections import UserDict
from types import SimpleNamespace

import pytest
import torch

from experiments.torch_counts import PLANTED, WORKLOADS, plant
from mainstay.gates.names import changed_names
from mainstay.records.trials import CountedName
from mainstay.runner.counting import Counts
from mainstay.runner.places import PlaceFinder
from mainstay.runner.recording import RecordingError
from mainstay.runner.torch_counting import METRICS, count_call, tally_kernels
from tests.slow_cases import some_always

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
    "a value read in every step",
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


ELSEWHERE = """
import json, pathlib, sys
import tests.runner.test_torch_counting as here
model = here.library(pathlib.Path(sys.argv[1]))
print(json.dumps(here.count_training(model).values))
"""


def test_neither_instructions_nor_threads_change_a_count(usual, tmp_path):
    variables = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        env=os.environ | variables | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == usual["training"].values


def of(function, metric="synchronisations"):
    return {each["name"]: each["number"] for each in count_call(function).names(metric)}


TENSOR = torch.ones(4)

WAITS = {
    "item": (lambda: TENSOR.sum().item(), {"aten::_local_scalar_dense": 1}),
    "a condition": (lambda: 1 if TENSOR.sum() > 0 else 0, {"aten::_local_scalar_dense": 1}),
    "a number": (lambda: float(TENSOR.sum()), {"aten::_local_scalar_dense": 1}),
    "text": (lambda: f"{TENSOR.sum():.2f}", {"aten::_local_scalar_dense": 1}),
    "a list": (TENSOR.tolist, {"Tensor.tolist": 1}),
    "to the host": (TENSOR.cpu, {"Tensor.cpu": 1}),
    "to the host, unless read": (lambda: TENSOR.to("cpu", non_blocking=True), {}),
    "a mask": (lambda: TENSOR[TENSOR > 0], {"aten::index": 1}),
    "positions": (lambda: TENSOR[torch.tensor([0, 1])], {}),
    "positions of what is not zero": (TENSOR.nonzero, {"aten::nonzero": 1}),
    "a comparison of all": (lambda: torch.equal(TENSOR, TENSOR), {"aten::equal": 1}),
    "a sum that nobody reads": (TENSOR.sum, {}),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_for_a_value_is_a_synchronisation(name):
    function, expected = WAITS[name]

    assert of(function) == expected


TRANSFERS = {
    "to a device": (lambda: TENSOR.to("cpu"), 1),
    "to a named device": (lambda: TENSOR.to(device=torch.device("cpu")), 1),
    "without waiting": (lambda: TENSOR.to("cpu", non_blocking=True), 0),
    "without waiting, by position": (lambda: TENSOR.to("cpu", torch.float32, True), 0),
    "to a type": (lambda: TENSOR.to(torch.float64), 0),
}


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_counts_unless_it_is_told_not_to_block(name):
    function, expected = TRANSFERS[name]

    assert sum(of(function, "blocking_transfers").values()) == expected


def test_memory_is_counted_while_it_is_alive_and_not_by_when_garbage_is_collected():
    def work():
        cycle = UserDict(tensor=TENSOR + 1)
        cycle["self"] = cycle
        return (TENSOR * 2 + 1).sum()

    tally = count_call(work)

    assert tally.number("live_tensors") == 3, "the one in the cycle, a product and what is made of it"
    assert tally.number("live_tensor_bytes") == 3 * 16
    assert tally.number("allocations") == 4
    assert tally.number("kept_tensors") == 0


def test_what_a_call_leaves_behind_is_named_once_more_than_before():
    kept = []

    tally = count_call(lambda: kept.append(TENSOR * 2))

    assert [(each["name"], each["number"]) for each in tally.names("kept_tensors")] == [("aten::mul", 1)]


def test_backward_operators_belong_to_the_line_that_called_backward():
    weight = torch.ones(3, requires_grad=True)

    def work():
        loss = (weight * 2).sum()
        loss.backward()

    named = count_call(work).names("operators")

    assert {each["code"] for each in named} == {"loss = (weight * 2).sum()", "loss.backward()"}


def test_a_place_is_told_without_the_folders_of_the_machine():
    place = PlaceFinder(*torch.__path__).here()

    assert not os.path.isabs(place.file)
    assert place.file.endswith("test_torch_counting.py")
    assert place.code == "place = PlaceFinder(*torch.__path__).here()"


def test_what_no_torch_was_loaded_for_is_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")

    with pytest.raises(RecordingError, match="does not use torch"):
        Counts().torch(lambda: None)


def test_a_generator_is_refused():
    with pytest.raises(RecordingError, match="not its work"):
        Counts().torch(lambda: (TENSOR for _ in range(3)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_kernels_are_not_recorded_without_a_device():
    counts = Counts()

    with pytest.raises(pytest.skip.Exception, match="kernel_launches needs a CUDA device"):
        counts.kernels(lambda: TENSOR * 2)

    assert "kernel_launches" not in counts.values


def event(name, device="CUDA", **more):
    return SimpleNamespace(name=name, device_type=f"DeviceType.{device}", **more)


def test_kernels_are_what_ran_on_the_device_but_copies_and_annotations():
    tally = tally_kernels(
        [
            event("gemm"),
            event("gemm"),
            event("cudaLaunchKernel", "CPU"),
            event("Memcpy DtoH"),
            event("Memset (Device)"),
            event("step", is_user_annotation=True),
        ]
    )

    assert [(each["name"], each["number"]) for each in tally.names("kernel_launches")] == [("gemm", 2)]


def test_the_gated_names_of_the_workloads_are_counted():
    assert set().union(*WORKLOADS.values()) <= set(METRICS)
