import gzip
import os
import shutil
import struct
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mnist_reference.data import datasets
from mnist_reference.data.download import MNIST_FILES
from mnist_reference.errors import DataError, UnknownNameError

NOWHERE = "file:///no/such/folder"


@pytest.fixture
def raw_copy(mnist_root, tmp_path):
    """A folder of its own with the four files and nothing prepared."""
    shutil.copytree(mnist_root / "MNIST", tmp_path / "MNIST")
    return tmp_path / "MNIST" / "raw"


def read_idx(mirror, name):
    """An IDX file by its specification: two zero bytes, type, number of dimensions, dimensions, values."""
    with urllib.request.urlopen(f"{mirror.rstrip('/')}/{name}.gz") as response:
        content = gzip.decompress(response.read())
    zero, kind, num_dimensions = struct.unpack(">HBB", content[:4])
    assert (zero, kind) == (0, 8)
    shape = struct.unpack(f">{num_dimensions}I", content[4 : 4 + 4 * num_dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_dimensions).reshape(shape)


def test_mnist_is_what_the_idx_files_hold(mnist_root, mnist_mirror):
    mnist = datasets.load("mnist", root=mnist_root)

    tensors = (mnist.train.images, mnist.train.labels, mnist.test.images, mnist.test.labels)
    for tensor, pinned in zip(tensors, MNIST_FILES, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), read_idx(mnist_mirror, pinned.name))
    assert [tensor.dtype for tensor in tensors] == [torch.uint8, torch.int64] * 2


def test_mnist_is_the_same_from_the_files_and_from_what_was_kept(raw_copy):
    first = datasets.load("mnist", root=raw_copy.parents[1])
    kept = list((raw_copy.parents[1] / "prepared").iterdir())
    again = datasets.load("mnist", root=raw_copy.parents[1])

    assert len(kept) == 1
    assert first.sha256 == again.sha256 == datasets.MNIST_SHA256
    assert torch.equal(first.test.images, again.test.images)


@pytest.mark.parametrize("position", range(4), ids=[pinned.name for pinned in MNIST_FILES])
def test_altered_file_is_refused_by_name(raw_copy, position):
    pinned = MNIST_FILES[position]
    path = raw_copy / pinned.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"{pinned.name} is not the published file") as refusal:
        datasets.load("mnist", root=raw_copy.parents[1])

    assert refusal.value.looked_in == str(path)
    assert "fetch" in str(refusal.value.next_step)


def test_truncated_file_is_refused_also_where_digits_would_do(raw_copy):
    path = raw_copy / "train-images-idx3-ubyte"
    os.truncate(path, 1_000_000)

    with pytest.raises(DataError, match="has 1000000 bytes instead of 47040016"):
        datasets.load("auto", root=raw_copy.parents[1], environment={})


def test_folder_with_the_files_is_a_data_set(raw_copy):
    assert datasets.load(str(raw_copy.parents[1]), environment={}).name == "mnist"


def test_folder_without_the_files_says_where_it_looked(tmp_path):
    with pytest.raises(DataError, match="no train-images-idx3-ubyte") as refusal:
        datasets.load(str(tmp_path), environment={})

    assert refusal.value.looked_in == str(tmp_path / "MNIST" / "raw")


def test_auto_takes_mnist_where_it_can_be_fetched(mnist_mirror, tmp_path):
    loaded = datasets.load("auto", root=tmp_path, environment={"MNIST_MIRROR": mnist_mirror})

    assert (loaded.name, loaded.notice) == ("mnist", "")


def test_auto_falls_back_to_digits_and_says_so(data_root):
    loaded = datasets.load("auto", root=data_root, environment={"MNIST_MIRROR": NOWHERE})

    assert loaded.name == "digits"
    assert "in place of MNIST" in loaded.notice
    assert NOWHERE in loaded.notice


def test_mnist_that_cannot_be_fetched_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte cannot be fetched") as refusal:
        datasets.load("mnist", root=tmp_path, environment={"MNIST_MIRROR": NOWHERE})

    assert NOWHERE in str(refusal.value.looked_in)
    assert "MNIST_MIRROR" in str(refusal.value.next_step)


def test_variables_choose_data_set_and_folder(data_root, digits_data):
    environment = {"MNIST_REFERENCE_DATA": "digits", "MNIST_REFERENCE_ROOT": str(data_root)}

    loaded = datasets.load("auto", environment=environment)

    assert (loaded.name, loaded.sha256, loaded.notice) == ("digits", digits_data.sha256, "")


def test_a_source_is_a_data_set_before_it_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mine").mkdir()
    root = Path("root")

    assert datasets.located("mnist", root=root, environment={}) == ("mnist", root)
    assert datasets.located("mine", root=root, environment={}) == ("folder", Path("mine"))
    assert datasets.located("auto", root=root, environment={"MNIST_REFERENCE_DATA": "mine"}) == ("folder", Path("mine"))


def test_an_empty_variable_names_no_data_set(tmp_path):
    assert datasets.located("auto", root=tmp_path, environment={"MNIST_REFERENCE_DATA": ""}) == ("auto", tmp_path)


def test_folder_of_the_data_is_named_or_the_platforms():
    assert datasets.default_root({"MNIST_REFERENCE_ROOT": "somewhere"}) == Path("somewhere")
    assert datasets.default_root({}).name == "mnist_reference"


def test_unknown_data_set_names_the_nearest(data_root):
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        datasets.load("digts", root=data_root)


def test_digits_are_scikit_learns_resized(digits_data):
    bunch = load_digits()

    images = torch.cat((digits_data.train.images, digits_data.test.images))
    labels = torch.cat((digits_data.train.labels, digits_data.test.labels))

    assert images.shape == (1797, 28, 28)
    assert Counter(labels.tolist()) == Counter(bunch.target.tolist())
    # bilinear interpolation by 3.5 keeps the mean of an image but for its border
    assert images.float().mean() / 255 == pytest.approx(bunch.images.mean() / 16, rel=0.01)


def test_digits_are_resized_as_pixel_arithmetic_does(digits_data):
    bunch = load_digits()
    centres = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    low = np.minimum(centres.astype(int), 6)
    weights = np.zeros((28, 8))
    weights[np.arange(28), low] = 1 - (centres - low)
    weights[np.arange(28), low + 1] = centres - low

    expected = np.stack([weights @ image @ weights.T * 255 / 16 for image in bunch.images])

    for image in digits_data.test.images[:20].numpy():
        assert np.abs(expected - image).max((1, 2)).min() <= 0.5 + 1e-4  # one of them, rounded


def test_digits_split_is_stratified_and_disjoint(digits_data):
    counts = Counter(digits_data.test.labels.tolist())
    train = {image.numpy().tobytes() for image in digits_data.train.images}

    assert len(digits_data.test.labels) == 360
    assert set(counts.values()) <= {35, 36, 37}
    assert not any(image.numpy().tobytes() in train for image in digits_data.test.images)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damaged_prepared_file_is_made_anew(digits_data, tmp_path, damage):
    datasets.load("digits", root=tmp_path)
    (path,) = (tmp_path / "prepared").iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"truncate": content[:-100], "flip": content, "empty": b""}[damage])

    loaded = datasets.load("digits", root=tmp_path)

    assert loaded.sha256 == digits_data.sha256
    assert torch.equal(loaded.test.images, digits_data.test.images)
    assert datasets.load("digits", root=tmp_path).sha256 == digits_data.sha256


def test_where_the_folder_cannot_be_written_what_was_prepared_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    (tmp_path / "a file").touch()
    first = datasets.load_digits(tmp_path / "a file")
    (path,) = (tmp_path / "cache" / "prepared").glob("*/*")
    written = path.stat().st_mtime_ns

    again = datasets.load_digits(tmp_path / "a file")

    assert again.sha256 == first.sha256
    assert path.stat().st_mtime_ns == written


def test_prepared_files_of_other_sources_are_few(tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    for age in range(9):
        (folder / f"digits-{age:016x}.safetensors").write_bytes(b"old")
        os.utime(folder / f"digits-{age:016x}.safetensors", (age, age))

    datasets.load("digits", root=tmp_path)

    assert len(list(folder.iterdir())) == datasets.NUM_PREPARED_KEPT


def test_folder_that_cannot_be_written_costs_time_alone(digits_data, tmp_path):
    (tmp_path / "file").write_text("in the way")

    assert datasets.load("digits", root=tmp_path / "file").sha256 == digits_data.sha256


def test_pixels_are_scaled_to_the_unit_interval():
    images = torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8)

    scaled = datasets.scaled_pixels(images)

    torch.testing.assert_close(scaled, torch.tensor([[0.0, 0.2], [0.4, 1.0]]))
    assert images.dtype == torch.uint8


def test_float_inputs_are_no_pixels():
    inputs = torch.tensor([[300.0]])

    assert datasets.scaled_pixels(inputs) is inputs


def images_of(*shape, dtype=torch.uint8):
    return torch.zeros(*shape, dtype=dtype)


CLASSES = torch.zeros(3, dtype=torch.int64)
WITH_NAN = torch.tensor([[0.0], [1.0], [float("nan")]])


@pytest.mark.parametrize(
    ("images", "labels", "fact"),
    [
        pytest.param(images_of(2, 28, 28), CLASSES, "2 images have 3 labels", id="lengths"),
        pytest.param(images_of(3, 28, 27), CLASSES, "images are (3, 28, 27) of uint8", id="shape"),
        pytest.param(images_of(3, 1, 28, 28), CLASSES, "images are (3, 1, 28, 28) of uint8", id="channel"),
        pytest.param(images_of(3, 28, 28, dtype=torch.int32), CLASSES, "images are (3, 28, 28) of int32", id="type"),
        pytest.param(images_of(3, dtype=torch.float32), CLASSES, "images are (3,) of float32", id="numbers-alone"),
        pytest.param(images_of(3, 28, 28), CLASSES.int(), "labels are (3,) of int32", id="label-type"),
        pytest.param(images_of(3, 28, 28), CLASSES.reshape(3, 1), "labels are (3, 1) of int64", id="label-shape"),
        pytest.param(WITH_NAN, CLASSES, "image 2 holds nan", id="nan"),
        pytest.param(torch.zeros(3, 1), WITH_NAN.div(0), "label 0 holds nan", id="nan-label"),
        pytest.param(torch.tensor([[0.0], [float("-inf")], [1.0]]), CLASSES, "image 1 holds -inf", id="infinite"),
    ],
)
def test_examples_that_are_not_what_they_must_be_are_refused(images, labels, fact):
    with pytest.raises(DataError) as refusal:
        datasets.Split(images=images, labels=labels)

    assert refusal.value.fact == fact


@pytest.mark.parametrize(
    ("images", "labels", "fact"),
    [
        pytest.param(
            images_of(4, 28, 28),
            torch.tensor([0, 9, 10, 11]),
            "label 10 of example 2 is outside the classes 0 to 9",
            id="above",
        ),
        pytest.param(
            images_of(2, 28, 28),
            torch.tensor([0, -1]),
            "label -1 of example 1 is outside the classes 0 to 9",
            id="below",
        ),
        pytest.param(torch.zeros(3, 5), CLASSES, "an example has 5 numbers, and the model takes 784", id="inputs"),
        pytest.param(
            images_of(3, 28, 28), torch.zeros(3, 4), "a label has 4 numbers, and the model gives 10", id="outputs"
        ),
        pytest.param(images_of(0, 28, 28), CLASSES[:0], "there are no examples to learn from", id="empty"),
    ],
)
def test_examples_that_a_model_cannot_learn_from_are_refused(images, labels, fact):
    split = datasets.Split(images=images, labels=labels)

    with pytest.raises(DataError) as refusal:
        datasets.require_trainable(split, num_inputs=784, num_outputs=10)

    assert refusal.value.fact == fact


def test_held_out_examples_and_the_rest_are_the_split(digits_data):
    split = digits_data.train

    rest, validation = datasets.held_out(split, 0.2, seed=1)

    whole = torch.cat((rest.images, validation.images)).flatten(1).unique(dim=0)
    assert len(validation.labels) == round(0.2 * len(split.labels))
    assert torch.equal(whole, split.images.flatten(1).unique(dim=0))
    assert len(rest.labels) + len(validation.labels) == len(split.labels)


def test_seed_decides_what_is_held_out(digits_data):
    first, again, other = (datasets.held_out(digits_data.train, 0.2, seed=seed)[1].images for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_is_held_out_of_a_share_of_nothing(digits_data):
    assert datasets.held_out(digits_data.train, 0.0, seed=0) == (digits_data.train, None)


def test_too_few_examples_to_hold_one_out_are_refused(digits_data):
    few = digits_data.train.at(torch.arange(3))

    with pytest.raises(DataError, match="0.1 of 3 examples cannot be held out"):
        datasets.held_out(few, 0.1, seed=0)
