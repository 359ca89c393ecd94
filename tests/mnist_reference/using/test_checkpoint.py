import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mnist_reference.data.augment import Augmentation
from mnist_reference.errors import CheckpointError
from mnist_reference.models.networks import CnnConfig, PerceptronConfig, initialised
from mnist_reference.training.recipes import digits
from mnist_reference.training.train import TrainingState
from mnist_reference.using.checkpoint import load_checkpoint, load_training_state, save_checkpoint, save_training_state

SAVE_AND_BE_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from dataclasses import replace
import torch
from mnist_reference.data.augment import Augmentation
from mnist_reference.using.checkpoint import load_checkpoint, load_training_state, save_checkpoint, save_training_state
torch.set_num_threads(1)
path, moments = Path(sys.argv[1]), random.Random(0)
model, provenance = load_checkpoint(path)
for _ in range(30):
    done, writing = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            provenance = replace(provenance, seed=provenance.seed + 1)
            save_checkpoint(path, model, provenance)
            os.write(writing, b".")
    os.read(done, 1)  # however busy the machine is, one write is completed
    time.sleep(moments.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _, provenance = load_checkpoint(path)
print(provenance.seed)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_checkpoint_gives_back_weights_and_provenance(path, provenance):
    model = initialised(PerceptronConfig(hidden_widths=(32, 16, 8)), seed=3)
    save_checkpoint(path, model, provenance)

    loaded, origin = load_checkpoint(path)

    assert origin == provenance
    assert loaded.config == model.config
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_facts_can_be_read_without_this_package(path, perceptron, provenance):
    save_checkpoint(path, perceptron, provenance)

    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["mnist_reference"])

    assert facts["format_version"] == 1
    assert facts["recipe"]["learning_rate"] == 0.001
    assert (facts["seed"], facts["top1_accuracy"], facts["revision"]) == (7, 0.97, "0123456789abcdef")


def test_same_training_gives_the_same_bytes(tmp_path, perceptron, provenance):
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, perceptron, provenance)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def write_nothing(path):
    path.write_bytes(b"")


def write_text(path):
    path.write_text("weights")


def write_other_tensors(path):
    save_file({"weight": torch.ones(3)}, path)


def write_other_version(path):
    save_file({"weight": torch.ones(3)}, path, {"mnist_reference": json.dumps({"format_version": 99})})


def write_no_json(path):
    save_file({"weight": torch.ones(3)}, path, {"mnist_reference": "{"})


def write_no_channels(path):
    facts = {"format_version": 1, "model": {"architecture": "cnn", "channels": []}}
    save_file({"weight": torch.ones(3)}, path, {"mnist_reference": json.dumps(facts)})


@pytest.mark.parametrize(
    "write", [write_nothing, write_text, write_other_tensors, write_other_version, write_no_json, write_no_channels]
)
def test_file_that_is_no_checkpoint_is_refused(path, write):
    write(path)

    with pytest.raises(CheckpointError, match="not a checkpoint of format version 1") as refusal:
        load_checkpoint(path)

    assert refusal.value.looked_in == str(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_checkpoint_is_refused(path, perceptron, provenance, share):
    save_checkpoint(path, perceptron, provenance)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(path)


def test_weights_of_another_shape_are_refused(path, perceptron, provenance):
    perceptron.config = replace(perceptron.config, hidden_widths=(8,))
    save_checkpoint(path, perceptron, provenance)

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(path)


def test_missing_checkpoint_says_how_to_make_one(path):
    with pytest.raises(CheckpointError, match="no such checkpoint") as refusal:
        load_checkpoint(path)

    assert "mnist_reference train" in str(refusal.value.next_step)


def test_folder_that_cannot_be_made_is_explained(tmp_path, perceptron, provenance):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "file" / "model.safetensors", perceptron, provenance)


@pytest.mark.slow
def test_kill_at_any_moment_of_a_write_leaves_a_whole_checkpoint(path, perceptron, provenance):
    save_checkpoint(path, perceptron, provenance)

    command = [sys.executable, "-c", SAVE_AND_BE_KILLED, str(path)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)

    assert int(finished.stdout) > provenance.seed  # some writes were completed
    assert load_checkpoint(path)[1].recipe == provenance.recipe


def test_checkpoint_gives_back_a_cnn_and_its_recipe(path, provenance):
    config = CnnConfig(channels=(2, 3, 4, 5), dropout=0.1)
    recipe = replace(provenance.recipe, model=config, augmentation=Augmentation(shift_pixels=2))
    model = initialised(config, seed=3)
    save_checkpoint(path, model, replace(provenance, recipe=recipe))

    loaded, origin = load_checkpoint(path)

    assert (loaded.config, origin.recipe) == (config, recipe)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


ORIGIN: dict[str, Any] = {"recipe": digits(), "seed": 7, "data_sha256": "ab"}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 8}, "seed is 7 there and 8 here"),
        ({"data_sha256": "cd"}, 'data_sha256 is "ab" there and "cd" here'),
        ({"recipe": replace(digits(), num_epochs=9)}, "num_epochs is 40 there and 9 here"),
    ],
    ids=["seed", "data", "recipe"],
)
def test_state_of_another_training_is_refused_with_what_differs(path, change, difference):
    save_training_state(path, TrainingState(), **ORIGIN)

    with pytest.raises(CheckpointError, match="the state of another training") as refusal:
        load_training_state(path, **ORIGIN | change)

    assert difference in refusal.value.fact


@pytest.mark.parametrize("write", [write_nothing, write_text, write_other_tensors])
def test_file_that_is_no_training_state_is_refused(path, write):
    write(path)

    with pytest.raises(CheckpointError, match="not the state of a training"):
        load_training_state(path, **ORIGIN)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_training_state_is_refused(path, perceptron, share):
    save_training_state(path, TrainingState(weights=perceptron.state_dict()), **ORIGIN)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(CheckpointError, match="not the state of a training"):
        load_training_state(path, **ORIGIN)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(path, provenance, number):
    model = initialised(PerceptronConfig(), seed=0)
    save_checkpoint(path, model, provenance)
    tensors, metadata = load_file(path), safe_open(path, framework="pt").metadata()
    tensors["layers.0.weight"][3, 4] = number
    save_file(tensors, path, metadata)
    model.load_state_dict(tensors)

    with pytest.raises(CheckpointError, match=f"diverged: layers.0.weight holds {number}"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="diverged"):
        save_checkpoint(path.with_name("other"), model, provenance)

    assert not path.with_name("other").exists()


def test_scores_that_are_no_numbers_are_refused(path, provenance):
    save_checkpoint(path, initialised(PerceptronConfig(), seed=0), provenance)
    metadata = safe_open(path, framework="pt").metadata()
    metadata["mnist_reference"] = metadata["mnist_reference"].replace("0.97", "NaN")
    save_file(load_file(path), path, metadata)

    with pytest.raises(CheckpointError, match="a number is NaN"):
        load_checkpoint(path)


def test_state_of_a_diverged_training_is_refused(path):
    origin: dict[str, Any] = {"recipe": digits(), "seed": 0, "data_sha256": "ab"}
    save_training_state(path, TrainingState(weights={"weight": torch.tensor([float("nan")])}), **origin)

    with pytest.raises(CheckpointError, match="diverged: weight holds nan"):
        load_training_state(path, **origin)


def test_number_of_threads_is_kept(path, provenance):
    model = initialised(PerceptronConfig(), seed=0)
    origin: dict[str, Any] = {"recipe": digits(), "seed": 0, "data_sha256": "ab"}

    save_checkpoint(path, model, replace(provenance, num_threads=3))
    save_training_state(path.with_name("state"), TrainingState(num_threads=2), **origin)

    assert load_checkpoint(path)[1].num_threads == 3
    assert load_training_state(path.with_name("state"), **origin).num_threads == 2
