import json
import os
import runpy
import subprocess
import sys

import pytest
import torch
from torch._C._distributed_c10d import TCPStore

from mnist_reference.errors import RecipeError
from mnist_reference.training.distributed import ALONE, DataParallelGroup, SynchronisedBatchNorm2d, joined_group
from mnist_reference.using.checkpoint import load_checkpoint

LOCAL = "127.0.0.1"  # no name of this machine is looked up, whatever its resolver answers
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", LOCAL, "--nproc-per-node", "2")
TRAINING = (
    *("train", "--data", "digits", "--device", "cpu", "--recipe", "cnn_99_5", "--seed", "3", "--epochs", "2", "--json"),
    *("--set", "model.channels=4,8,8,8", "--set", "l2_penalty=0.0001", "--set", "batch_size=90"),
)


TRAIN_IN_DOUBLE = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from torch._C._distributed_c10d import TCPStore
from mnist_reference.data import datasets
from mnist_reference.models.networks import CnnConfig
from mnist_reference.models import networks
from mnist_reference.training import recipes
from mnist_reference.training.distributed import joined_group
from mnist_reference.training.train import train

recipe = recipes.recipe_by_name("cnn_99_5")
recipe = replace(recipe, model=CnnConfig(channels=(4, 8, 8, 8)), l2_penalty=1e-4, batch_size=90, num_epochs=1)
stored = datasets.load("digits", root=Path(sys.argv[1])).train
split = datasets.Split(images=stored.images.double() / 255, labels=stored.labels)
learner = networks.initialised(recipe.model, seed=3).double()
with joined_group(torch.device("cpu")) as group:
    (record,) = train(learner, split, recipe, seed=3, group=group)
    if group.rank == 0:
        torch.save((learner.state_dict(), record.train_loss), sys.argv[2])
"""


IN_TWO_PROCESSES = """
import os, runpy, signal, sys
import torch
import torch._dynamo  # as its data parallelism does: once for both
from mnist_reference.training import train
ranks = {}
for rank in range(2):
    process = os.fork()
    if process == 0:
        os.environ["RANK"], sys.argv = str(rank), sys.argv[1:]
        runpy.run_path(sys.argv[0])
        os._exit(0)
    ranks[process] = rank
while ranks:
    process, status = os.wait()
    del ranks[process]
    if status:  # the other one may wait for it
        for other in ranks:
            os.kill(other, signal.SIGKILL)
        sys.exit(1)
"""


@pytest.fixture
def train_in_two():
    """Run a script in two connected processes; what they write to stderr is shown if the test fails.

    The store by which they find each other is held here on a port that the system gives, as ``torchrun`` does.
    """

    def train(*command):
        store = TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False)
        meeting = {"MASTER_ADDR": LOCAL, "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        environment = os.environ | meeting | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
        subprocess.run([sys.executable, "-c", IN_TWO_PROCESSES, *command], env=environment, check=True)

    return train


@pytest.mark.slow
def test_two_processes_train_what_one_trains(data_root, tmp_path, monkeypatch, train_in_two):
    """Augmentation, batch normalisation, a penalty, and a last batch of 87 that cannot be halved.

    In float64: rounding grows a thousandfold in these few steps, which in float32 could hide a mistake.
    """
    script, alone, together = (tmp_path / name for name in ("script.py", "alone", "together"))
    script.write_text(TRAIN_IN_DOUBLE)

    monkeypatch.setattr(sys, "argv", ["", str(data_root), str(alone)])
    runpy.run_path(str(script))
    train_in_two(script, data_root, together)

    (expected, loss), (found, other_loss) = torch.load(alone), torch.load(together)
    for name, tensor in expected.items():
        tolerance = 2e-3 if name.endswith("running_var") else 1e-8  # n / (n - 1) of the last batch, which both have
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=1e-9, msg=name)
    assert other_loss == pytest.approx(loss, rel=1e-6)  # handed on in float32


@pytest.mark.slow
def test_the_command_line_trains_in_two_processes(data_root, tmp_path):
    finished = subprocess.run(
        [sys.executable, *TORCHRUN, "-m", "mnist_reference", *TRAINING, "--output", str(tmp_path / "together")],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MNIST_REFERENCE_ROOT": str(data_root)},
    )

    (line,) = (each for each in finished.stdout.splitlines() if each.startswith("{"))  # of one process alone
    model, provenance = load_checkpoint(tmp_path / "together")
    assert json.loads(line)["top1_accuracy"] == provenance.top1_accuracy > 0.2
    assert {type(module) for module in model.modules()}.isdisjoint({SynchronisedBatchNorm2d})


def test_shares_are_the_batch():
    batch = torch.arange(12)

    shares = [DataParallelGroup(rank=rank, size=3).share(batch) for rank in range(3)]

    assert torch.equal(torch.cat(shares), batch)
    assert {len(share) for share in shares} == {4}


def test_batch_that_cannot_be_shared_evenly_names_the_nearest_that_can():
    with pytest.raises(RecipeError, match="a batch_size of 64 cannot be shared evenly among 3 processes") as refusal:
        DataParallelGroup(rank=0, size=3).require_even_shares(64)

    assert "63" in refusal.value.next_step


def test_one_process_is_alone_and_leaves_everything_as_it_is(perceptron):
    with joined_group(torch.device("cpu"), environment={}) as group:
        assert group is ALONE

    assert ALONE.sharing(perceptron) is perceptron
