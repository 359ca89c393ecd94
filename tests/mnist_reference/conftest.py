"""Data sets for the tests of the reference model: the embedded digits, and MNIST where a copy is at hand."""

import os
from pathlib import Path

import pytest
import torch

from mnist_reference.data import datasets
from mnist_reference.models.networks import PerceptronConfig, initialised
from mnist_reference.training.recipes import digits
from mnist_reference.using.checkpoint import Provenance

NEIGHBOURING_MIRROR = Path(__file__).resolve().parents[3] / "shared" / "mnist"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def digits_data(data_root):
    return datasets.load("digits", root=data_root)


@pytest.fixture(scope="session")
def mnist_mirror():
    named = os.environ.get("MNIST_MIRROR")
    if not named and not NEIGHBOURING_MIRROR.is_dir():
        pytest.skip("no copy of MNIST: neither MNIST_MIRROR is set nor is there a folder ../shared/mnist")
    return named or NEIGHBOURING_MIRROR.as_uri()


@pytest.fixture(scope="session")
def mnist_root(mnist_mirror, tmp_path_factory):
    root = tmp_path_factory.mktemp("mnist")
    datasets.load("mnist", root=root, environment={"MNIST_MIRROR": mnist_mirror})
    return root


@pytest.fixture
def perceptron():
    return initialised(PerceptronConfig(), seed=0)


@pytest.fixture
def provenance():
    return Provenance(
        recipe=digits(),
        seed=7,
        data_set="digits",
        data_sha256="ab" * 32,
        top1_accuracy=0.97,
        negative_log_likelihood=0.11,
        revision="0123456789abcdef",
    )
