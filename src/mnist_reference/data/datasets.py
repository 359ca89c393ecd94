"""Images and labels, verified: the real MNIST, or the small digits that come with scikit-learn.

``mnist`` is fetched once (:mod:`mnist_reference.data.download`) and read by torchvision. ``digits`` needs no network.
Importing either library takes longer than reading the data, so the results are stored next to the data as plain
tensors. The file name is made from this file's source and the versions of the libraries, and the content is checked
whenever it is read.

Environment variables: ``MNIST_REFERENCE_ROOT`` is the folder of the data (the default is the platform's cache folder),
``MNIST_REFERENCE_DATA`` is the data set that ``auto`` stands for, and ``MNIST_MIRROR`` lists mirrors that replace
torchvision's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from mnist_reference.data import download
from mnist_reference.data.shapes import IMAGE_SIDE
from mnist_reference.errors import DataError, UnknownNameError, nearest
from mnist_reference.files import write_tensors
from mnist_reference.seeding import generator

NUM_DIGITS_TEST = 360
"""A fifth of the 1,797 digits; the split is fixed and stratified by class."""

NAMES = ("auto", "digits", "mnist")
"""Names of sources; any other value is the path of a folder."""

NUM_PREPARED_KEPT = 4
"""Number of tensor files kept for each data set; one of MNIST takes 55 MB."""

MNIST_SHA256 = "d12716d8071d25c242099aa9bd9abd96cd041cdea64c0d1db3e8a2f48bfc1c3b"
"""Digest of the tensors of MNIST, see :func:`content_digest`."""

DIGITS_NOTICE = "using scikit-learn's 1,797 digits in place of MNIST: accuracies and margins are not those of MNIST"


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Examples of one purpose.

    Attributes:
        images: Images, (N, 28, 28), uint8, white on black; or other inputs, (N, inputs), float32. If there are as many
            inputs as an image has pixels, they are pixels in [0, 1].
        labels: Classes, (N,), int64 in [0, 9]; or numbers to be predicted, (N, outputs), float32.

    Raises:
        DataError: If a shape or type is wrong, the lengths differ, or a number is NaN or infinite.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images have {len(self.labels)} labels")
        require_images(self.images)
        _require_finite("label", self.labels)
        is_class = self.labels.dtype == torch.int64 and self.labels.ndim == 1
        if not (is_class or (self.labels.is_floating_point() and self.labels.ndim == 2)):
            raise DataError(
                f"labels are {_described(self.labels)}",
                next_step="classes are (N,) of int64, numbers to be predicted are (N, outputs) of float32",
            )

    def to(self, device: torch.device) -> Split:
        """The same examples on a device."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))

    def at(self, indices: Tensor) -> Split:
        """The examples at some indices, (n,)."""
        return Split(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Examples for training and for testing.

    Attributes:
        name: ``mnist`` or ``digits``.
        train: Training split.
        test: Test split; nothing is chosen on it.
        sha256: Digest of all four tensors.
        notice: Notice for the user, such as that another data set was requested; empty if there is none.
    """

    name: str
    train: Split
    test: Split
    sha256: str
    notice: str = ""


def scaled_pixels(images: Tensor) -> Tensor:
    """Convert stored pixels for the model: from uint8 in [0, 255] to float32 in [0, 1], same shape and device.

    Inputs that are float32 already are not stored pixels and are returned unchanged.
    """
    if images.is_floating_point():
        return images
    return images.to(torch.float32).div_(255)


def require_images(images: Tensor) -> None:
    """Refuse anything that is neither stored images nor numbers.

    Raises:
        DataError: If the inputs are of another kind; the message describes them.
    """
    _require_finite("image", images)
    is_stored = images.dtype == torch.uint8 and images.shape[1:] == (IMAGE_SIDE, IMAGE_SIDE)
    if not (is_stored or (images.is_floating_point() and images.ndim > 1)):
        raise DataError(
            f"images are {_described(images)}",
            next_step=f"stored images are (N, {IMAGE_SIDE}, {IMAGE_SIDE}) of uint8, other inputs (N, inputs) of float32",
        )
    if images.is_floating_point() and len(images) and images[0].numel() == IMAGE_SIDE**2:
        least, greatest = (float(value) for value in images.aminmax())
        if least < 0 or greatest > 1:
            raise DataError(
                f"pixels lie between {least:g} and {greatest:g}",
                next_step="pixels are uint8 in 0 to 255, or float32 in 0 to 1: divide by 255",
            )


def require_type_of(model: nn.Module, images: Tensor) -> None:
    """Refuse images that are not of the type in which a model computes.

    Raises:
        DataError: If the types differ; the message names both.
    """
    computed = next(model.parameters()).dtype
    given = images.dtype if images.is_floating_point() else torch.float32  # as scaled_pixels gives them
    if given != computed:
        wanted, found = (str(dtype).removeprefix("torch.") for dtype in (computed, given))
        raise DataError(
            f"the images are {found}, and the model computes in {wanted}",
            next_step=f"give them as {wanted}, or bring the model to {found}",
        )


def require_classes(labels: Tensor, *, num_classes: int) -> None:
    """Refuse labels that are not classes.

    Raises:
        DataError: If there are no labels, or one is not a class; the message names the first such label.
    """
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DataError(f"labels are {_described(labels)}", next_step="classes are (N,) of int64")
    if not len(labels):
        raise DataError("there are no examples to score")
    is_outside = (labels < 0) | (labels >= num_classes)
    if is_outside.any():
        first = int(is_outside.int().argmax())
        raise DataError(
            f"label {int(labels[first])} of example {first} is outside the classes 0 to {num_classes - 1}",
            next_step=f"{int(is_outside.sum())} of {len(is_outside)} labels are; correct them or leave them out",
        )


def require_trainable(split: Split, *, num_inputs: int, num_outputs: int) -> None:
    """Refuse examples that do not fit a model's numbers of inputs and outputs.

    Raises:
        DataError: If there are no examples, or one does not fit; the message names the first such example.
    """
    if not len(split.labels):
        raise DataError("there are no examples to learn from")
    found = split.images[0].numel()
    if found != num_inputs:
        raise DataError(f"an example has {found} numbers, and the model takes {num_inputs}")
    if split.labels.is_floating_point():
        if split.labels.shape[1] != num_outputs:
            raise DataError(f"a label has {split.labels.shape[1]} numbers, and the model gives {num_outputs}")
        return
    require_classes(split.labels, num_classes=num_outputs)


def _require_finite(kind: str, values: Tensor) -> None:
    """Refuse NaN and infinity."""
    if not values.is_floating_point():
        return
    is_bad = ~values.isfinite()
    if is_bad.any():
        position = is_bad.nonzero()[0].tolist()
        raise DataError(
            f"{kind} {position[0]} holds {values[tuple(position)].item()}",
            next_step=f"{int(is_bad.reshape(len(values), -1).any(1).sum())} of {len(values)} {kind}s are such; leave them out",
        )


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def held_out(split: Split, share: float, *, seed: int) -> tuple[Split, Split | None]:
    """Divide a split into a training part and a random validation part.

    Args:
        split: Split on any device.
        share: Share of the examples that are held out, in [0, 1).
        seed: Seed of the choice of these examples.

    Returns:
        Both parts; the given split and ``None`` if the share is 0.

    Raises:
        DataError: If there are too few examples.
    """
    if not share:
        return split, None
    num_examples = len(split.labels)
    num_held_out = round(share * num_examples)
    if not 0 < num_held_out < num_examples:
        raise DataError(f"{share:g} of {num_examples} examples cannot be held out for validation")
    order = torch.randperm(num_examples, generator=generator(seed, "validation")).to(split.labels.device)
    validation, rest = (part.sort().values for part in order.split([num_held_out, num_examples - num_held_out]))
    return split.at(rest), split.at(validation)


def load(source: str = "auto", *, root: Path | None = None, environment: Mapping[str, str] = os.environ) -> Dataset:
    """Load a data set, and fetch it first if necessary.

    Args:
        source: ``mnist``; ``digits``; ``auto``, which means MNIST if it exists or can be fetched, and otherwise digits;
            or the path of a folder with the MNIST files in ``MNIST/raw``.
        root: Folder of the data; by default from the environment, or the platform's cache folder.
        environment: Environment variables named above.

    Raises:
        UnknownNameError: If there is neither a data set nor a folder with that name.
        DataError: If the data set is missing, altered or cannot be fetched.
    """
    name, folder = located(source, root=root, environment=environment)
    if name == "auto":
        return _load_auto(folder, environment)
    if name == "digits":
        return load_digits(folder)
    return load_mnist(folder, mirrors=mirrors(environment) if name == "mnist" else ())


def located(source: str, *, root: Path | None = None, environment: Mapping[str, str] = os.environ) -> tuple[str, Path]:
    """The kind of a source, and the folder of the data.

    Args:
        source: Source, see :func:`load`.
        root: Folder of the data, see :func:`load`.
        environment: Environment variables, see :func:`load`.

    Returns:
        ``auto``, ``mnist``, ``digits`` or ``folder``, and the folder of its files.

    Raises:
        UnknownNameError: If there is neither a data set nor a folder with that name.

    Example:
        >>> located("auto", root=Path("data"), environment={"MNIST_REFERENCE_DATA": "digits"})[0]
        'digits'
    """
    if source == "auto":
        source = environment.get("MNIST_REFERENCE_DATA") or "auto"
    if source in NAMES:
        return source, root or default_root(environment)
    if not Path(source).is_dir():
        raise UnknownNameError(
            f"no data set and no folder named {source!r}",
            looked_in=str(Path.cwd()),
            next_step=nearest(source, NAMES),
        )
    return "folder", Path(source)


def default_root(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the data: ``MNIST_REFERENCE_ROOT``, or else the platform's cache folder."""
    named = environment.get("MNIST_REFERENCE_ROOT")
    return Path(named) if named else platformdirs.user_cache_path("mnist_reference", appauthor=False)


def mirrors(environment: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """The mirrors in ``MNIST_MIRROR``, separated by blanks; ``None`` stands for torchvision's.

    Example:
        >>> mirrors({"MNIST_MIRROR": "https://one.example https://two.example"})
        ('https://one.example', 'https://two.example')
    """
    named = environment.get("MNIST_MIRROR", "").split()
    return tuple(named) if named else None


def _load_auto(root: Path, environment: Mapping[str, str]) -> Dataset:
    """MNIST if all its files exist or can be fetched, otherwise digits with a notice; an altered MNIST is an error."""
    raw = root / "MNIST" / "raw"
    try:
        _fetch_missing(raw, mirrors(environment))
    except DataError as refusal:
        notice = f"{DIGITS_NOTICE} ({refusal.fact}; looked in {raw} and {refusal.looked_in})"
        return replace(load_digits(root), notice=notice)
    return load_mnist(root, mirrors=())


def load_mnist(root: Path, *, mirrors: Sequence[str] | None = None) -> Dataset:
    """The real MNIST: 60,000 examples for training and 10,000 for testing.

    Args:
        root: Folder that has, or will have, the files in ``MNIST/raw``.
        mirrors: Mirrors from which missing files are fetched; ``None`` stands for torchvision's. If empty, nothing is
            fetched.

    Raises:
        DataError: If a file is truncated or altered, or is missing and cannot be fetched.
    """

    def read() -> tuple[Split, Split]:
        raw = root / "MNIST" / "raw"
        if mirrors != ():
            _fetch_missing(raw, mirrors)
        download.verify(raw)
        from torchvision.datasets import MNIST

        train, test = (MNIST(root, train=is_train) for is_train in (True, False))
        return Split(images=train.data, labels=train.targets), Split(images=test.data, labels=test.targets)

    data_set = _prepared("mnist", root, read, made_by=("torch", "torchvision"))
    if data_set.sha256 != MNIST_SHA256:
        raise DataError(
            f"what was read is not MNIST: its tensors have the SHA-256 {data_set.sha256}", looked_in=str(root)
        )
    return data_set


def _fetch_missing(raw: Path, mirrors: Sequence[str] | None) -> None:
    """Fetch missing files, from torchvision's mirrors unless others are named."""
    if all((raw / pinned.name).is_file() for pinned in download.MNIST_FILES):
        return
    if mirrors is None:
        from torchvision.datasets import MNIST

        mirrors = MNIST.mirrors
    download.fetch(raw, mirrors)


def load_digits(root: Path) -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, 8 by 8 pixels each, resized to 28 by 28.

    Args:
        root: Folder in which the resized images are stored for the next time, if it is writable.

    References:
        E. Alpaydin, C. Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository.
    """

    def read() -> tuple[Split, Split]:
        from sklearn.datasets import load_digits as read_digits
        from sklearn.model_selection import train_test_split

        bunch = read_digits()
        small = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16  # (1797, 1, 8, 8) in [0, 1]
        resized = functional.interpolate(small, size=(28, 28), mode="bilinear").squeeze(1)  # (1797, 28, 28)
        images, labels = (resized * 255).round().to(torch.uint8), torch.from_numpy(bunch.target).long()
        train, test = train_test_split(range(len(labels)), test_size=NUM_DIGITS_TEST, stratify=labels, random_state=0)
        return Split(images=images[train], labels=labels[train]), Split(images=images[test], labels=labels[test])

    return _prepared("digits", root, read, made_by=("torch", "scikit-learn", "numpy"))


def content_digest(train: Split, test: Split) -> str:
    """SHA-256 of images and labels of both splits with their shapes and types."""
    digest = hashlib.sha256()
    for tensor in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _prepared(name: str, root: Path, read: Callable[[], tuple[Split, Split]], *, made_by: Sequence[str]) -> Dataset:
    """The result of ``read``, from a tensor file if the same code and libraries have written one.

    If the folder of the data is not writable, as in the workers of a gate, the file is in the user's cache.
    """
    source = hashlib.sha256(Path(__file__).read_bytes())
    for package in made_by:
        source.update(f"{package} {version(package)} ".encode())
    file = f"{name}-{source.hexdigest()[:16]}.safetensors"
    paths = (root / "prepared" / file, _own_cache(root) / file)
    for path in paths:
        with contextlib.suppress(OSError, SafetensorError, KeyError, DataError):  # missing or damaged: made again
            return _read_prepared(name, path)
    train, test = read()
    data_set = Dataset(name=name, train=train, test=test, sha256=content_digest(train, test))
    for path in paths:
        with contextlib.suppress(OSError):  # if no folder is writable, this only costs time
            _write_prepared(path, data_set)
            break
    return data_set


def _own_cache(root: Path) -> Path:
    """Folder of prepared data if their own folder is not writable."""
    of_root = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return platformdirs.user_cache_path("mnist_reference", appauthor=False) / "prepared" / of_root


def _read_prepared(name: str, path: Path) -> Dataset:
    """The data set in a file, if its tensors have the stored digest."""
    with safe_open(path, framework="pt") as file:
        sha256 = file.metadata()["sha256"]
        train, test = (
            Split(images=file.get_tensor(f"{split}.images"), labels=file.get_tensor(f"{split}.labels"))
            for split in ("train", "test")
        )
    if content_digest(train, test) != sha256:
        raise DataError(f"prepared {name} is damaged", looked_in=str(path))
    return Dataset(name=name, train=train, test=test, sha256=sha256)


def _write_prepared(path: Path, data_set: Dataset) -> None:
    """Store a data set for the next time, and keep the latest few older files, since two revisions may take turns."""
    splits = {"train": data_set.train, "test": data_set.test}
    tensors = {f"{name}.images": split.images for name, split in splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in splits.items()}
    write_tensors(path, tensors, {"sha256": data_set.sha256})
    kept = sorted(path.parent.glob(f"{data_set.name}-*.safetensors"), key=lambda file: file.stat().st_mtime)
    for old in kept[:-NUM_PREPARED_KEPT]:
        old.unlink(missing_ok=True)
