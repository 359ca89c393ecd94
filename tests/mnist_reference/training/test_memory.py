import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mnist_reference.errors import MemoryExhaustedError
from mnist_reference.models.networks import Perceptron, PerceptronConfig
from mnist_reference.training.memory import within_memory
from mnist_reference.training.recipes import digits
from mnist_reference.training.train import train

TRAIN_IN_LITTLE_MEMORY = """
import resource, torch
from mnist_reference.data import datasets
from mnist_reference.models.networks import PerceptronConfig
from mnist_reference.models import networks
from mnist_reference.training import recipes, train
from mnist_reference.errors import MemoryExhaustedError
torch.set_num_threads(1)
stream = torch.Generator().manual_seed(0)
split = datasets.Split(images=torch.rand(2**16, 64, generator=stream), labels=torch.zeros(2**16, dtype=torch.int64))
config = PerceptronConfig(num_inputs=64, hidden_widths=(2048,))
def attempt(batch_size):
    recipe = recipes.Recipe(name="wide", model=config, batch_size=batch_size, num_epochs=1)
    list(train.train(networks.initialised(config, seed=0), split, recipe, seed=0))
attempt(2**11)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
try:
    attempt(2**16)  # 512 MiB for each copy of the hidden layer
except MemoryExhaustedError as error:
    print(error)
    size = int(error.next_step.split()[3])
attempt(size)  # not while the error holds what the first attempt had
print("fits")
"""


class Cramped(Perceptron):
    """As if its device had memory for so many images."""

    capacity = 5

    def forward(self, images):
        if len(images) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().forward(images)


def test_batch_that_does_not_fit_names_one_that_does(digits_data):
    model = Cramped(PerceptronConfig())

    with pytest.raises(MemoryExhaustedError, match="a batch of 64 does not fit") as stop:
        list(train(model, digits_data.train, digits(), seed=0))

    assert stop.value.next_step == "a batch_size of 2 fits"  # half of the 4 that fitted when they were tried
    assert list(train(model, digits_data.train, replace(digits(), batch_size=2, num_epochs=1), seed=0))


def test_search_for_a_size_leaves_the_weights(digits_data):
    model = Cramped(PerceptronConfig())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(MemoryExhaustedError):
        list(train(model, digits_data.train, digits(), seed=0))

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_example_is_named_where_no_more_fits(digits_data):
    model = Cramped(PerceptronConfig())
    model.capacity = 1

    with pytest.raises(MemoryExhaustedError) as stop:
        list(train(model, digits_data.train, digits(), seed=0))

    assert stop.value.next_step == "a batch_size of 1 fits"


def test_nothing_fits_where_not_even_one_example_does(digits_data):
    model = Cramped(PerceptronConfig())
    model.capacity = 0

    with pytest.raises(MemoryExhaustedError) as stop:
        list(train(model, digits_data.train, digits(), seed=0))

    assert "not even one example fits" in stop.value.next_step


def test_other_errors_pass_through():
    def fail():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        within_memory(fail, lambda size: None, batch_size=8)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the address space of a process")
def test_memory_of_the_processor_is_bounded_too():
    finished = subprocess.run(
        [sys.executable, "-c", TRAIN_IN_LITTLE_MEMORY], check=True, capture_output=True, text=True
    )

    fact, hint, outcome = finished.stdout.splitlines()
    assert fact == "a batch of 65536 does not fit in the memory"
    assert hint.startswith("  next: a batch_size of ")
    assert outcome == "fits"
