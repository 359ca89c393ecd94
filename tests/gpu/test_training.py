"""What only an accelerator can show; ``nox -s gpu`` runs it, elsewhere it is skipped."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mnist_reference.data import datasets
from mnist_reference.errors import MemoryExhaustedError
from mnist_reference.models.networks import CnnConfig, PerceptronConfig, initialised
from mnist_reference.training.recipes import cnn_99_5, digits
from mnist_reference.training.train import train

ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
pytestmark = pytest.mark.skipif(ACCELERATOR is None, reason="PyTorch finds no accelerator")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

PERCEPTRON = replace(digits(), num_epochs=3)
CNN = replace(cnn_99_5(), num_epochs=3, model=CnnConfig(channels=(8, 16, 16, 16)))


@pytest.fixture(scope="module")
def digits_data(tmp_path_factory):
    return datasets.load("digits", root=tmp_path_factory.mktemp("data"))


def trained(split, recipe, device, **options):
    model = initialised(recipe.model, seed=0).to(device)
    return model, list(train(model, split, recipe, seed=0, **options))


def digest(model):
    return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in model.state_dict().values())).hexdigest()


@pytest.mark.parametrize("recipe", [PERCEPTRON, CNN], ids=["perceptron", "cnn"])
def test_accelerator_learns_what_the_processor_learns(digits_data, recipe):
    _, here = trained(digits_data.train, recipe, "cpu", test=digits_data.test)
    _, there = trained(digits_data.train, recipe, ACCELERATOR, test=digits_data.test)

    assert there[0].train_loss == pytest.approx(here[0].train_loss, rel=0.01)
    assert there[-1].test.top1_accuracy == pytest.approx(here[-1].test.top1_accuracy, abs=0.03)


def test_same_seed_gives_the_same_bits_on_the_accelerator(digits_data):
    first, again = (trained(digits_data.train, PERCEPTRON, ACCELERATOR)[0] for _ in range(2))

    assert digest(first) == digest(again)


def test_mixed_precision_learns_the_same_to_two_digits(digits_data):
    _, plain = trained(digits_data.train, CNN, ACCELERATOR)
    _, mixed = trained(digits_data.train, replace(CNN, precision="bfloat16"), ACCELERATOR)

    assert mixed[-1].train_loss == pytest.approx(plain[-1].train_loss, rel=0.05)


def test_compiled_training_learns_the_same(digits_data):
    _, plain = trained(digits_data.train, PERCEPTRON, ACCELERATOR)
    _, compiled = trained(digits_data.train, PERCEPTRON, ACCELERATOR, compiler="inductor")

    assert compiled[-1].train_loss == pytest.approx(plain[-1].train_loss, rel=0.01)


@needs_cuda
def test_batch_that_exceeds_the_device_names_one_that_fits():
    size = 2**16
    split = datasets.Split(images=torch.rand(size, 16), labels=torch.zeros(size, dtype=torch.int64))
    recipe = replace(
        digits(), model=PerceptronConfig(num_inputs=16, hidden_widths=(4096,)), batch_size=size, num_epochs=1
    )
    free = torch.cuda.mem_get_info()[0]
    filler = torch.empty(int(free - 1.5 * size * 4096 * 4), dtype=torch.uint8, device="cuda")

    with pytest.raises(MemoryExhaustedError) as stop:
        trained(split, recipe, "cuda")

    fitting = int(stop.value.next_step.split()[3])
    assert trained(split, replace(recipe, batch_size=fitting), "cuda")[1]
    del filler


@needs_cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device")
def test_two_devices_train_what_one_trains(digits_data, tmp_path):
    command = ["train", "--data", "digits", "--device", "cuda", "--epochs", "2", "--json", "--output"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    for start, output in ((torchrun, "two"), ([], "one")):
        subprocess.run(
            [sys.executable, *start, "-m", "mnist_reference", *command, str(tmp_path / output)],
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    from mnist_reference.using.checkpoint import load_checkpoint

    one, two = (load_checkpoint(tmp_path / name)[0].state_dict() for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=name)
