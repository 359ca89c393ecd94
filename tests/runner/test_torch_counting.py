"""What a call makes torch do, by name and by place."""

import os
import sys
from collections import UserDict
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from mainstay.runner.counting import Counts
from mainstay.runner.digests import RecordingError
from mainstay.runner.places import PlaceFinder
from mainstay.runner.torch_counting import count_call, tally_kernels

pytestmark = pytest.mark.usefixtures("few_objects")


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
    "to where another is": (lambda: TENSOR.to(TENSOR.double()), 1),
    "to where another is, without waiting": (lambda: TENSOR.to(TENSOR.double(), non_blocking=True), 0),
    "numbers to a device": (lambda: torch.tensor([1.0, 2.0], device="cpu"), 1),
    "an array to a device": (lambda: torch.as_tensor(TENSOR.numpy(), device="cpu"), 1),
    "numbers to the host": (lambda: torch.tensor([1.0, 2.0]), 0),
}


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_counts_unless_it_is_told_not_to_block(name):
    function, expected = TRANSFERS[name]

    assert sum(of(function, "blocking_transfers").values()) == expected


def test_memory_is_counted_while_it_is_alive_and_not_by_when_garbage_is_collected():
    def work():
        cycle = UserDict()
        cycle["tensor"] = TENSOR + 1
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


def test_kernels_of_a_call_are_recorded_with_their_names(monkeypatch):
    calls = []
    events = [SimpleNamespace(name=name, device_type="DeviceType.CUDA") for name in ("gemm", "Memcpy HtoD", "relu")]

    @contextmanager
    def profile(activities):
        before = len(calls)
        yield SimpleNamespace(events=lambda: events * (len(calls) - before))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.profiler, "profile", profile)
    counts = Counts()

    number = counts.kernels(calls.append, "a call")

    assert len(calls) == 2, "the first call prepares what later ones reuse"
    assert number == counts.values["kernel_launches"] == 2
    assert [(each["name"], each["number"]) for each in counts.names["kernel_launches"]] == [("gemm", 1), ("relu", 1)]


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
