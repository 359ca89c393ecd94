"""Recording of an accuracy workload, and the digest by which two trials are compared bit for bit.

- :class:`Trial`: the recorder of an accuracy workload.
- :class:`TreeDigest`: SHA-256 of nested numbers, text and arrays.
- :func:`one_number`, :func:`json_number`: check that a recorded value is a single number, and convert it for JSON.
- :class:`RecordingError`: a recorded value cannot be judged.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

from .protocol import JsonNumber, Recorded, RecordedPredictions

MAX_CLASSES = 256
"""Largest number of classes, since each prediction is sent as one byte."""

ImageSource = Callable[[list[int]], Sequence[bytes]]
"""Function that gives the PNG files of the requested examples."""


class RecordingError(ValueError):
    """A workload recorded something that cannot be judged."""


class TreeDigest:
    """SHA-256 of nested mappings and sequences of numbers, strings, bytes and arrays.

    Order, types, shapes and dtypes count, so equal digests mean equal trees, bit for bit.

    Attributes:
        num_leaves: Number of numbers, strings and arrays that were added.

    Example:
        >>> first, second = TreeDigest(), TreeDigest()
        >>> first.update({"weights": [1.0, 2.0]})
        >>> second.update({"weights": [2.0, 1.0]})
        >>> first.hexdigest() == second.hexdigest()
        False
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.num_leaves = 0

    def hexdigest(self) -> str:
        """The digest of everything so far, in hexadecimal."""
        return self._hash.hexdigest()

    def update(self, tree: Any) -> None:
        """Add a tree.

        Raises:
            RecordingError: If a leaf is not a number, text, bytes or an array.
        """
        if isinstance(tree, Mapping):
            self._write(b"mapping", str(len(tree)).encode())
            for key, value in tree.items():
                self._write(*_leaf(key))
                self.update(value)
        elif isinstance(tree, (list, tuple)):
            self._write(b"sequence", str(len(tree)).encode())
            for value in tree:
                self.update(value)
        else:
            self._write(*_leaf(tree))
            self.num_leaves += 1

    def _write(self, kind: bytes, content: bytes) -> None:
        self._hash.update(struct.pack(">QQ", len(kind), len(content)))
        self._hash.update(kind)
        self._hash.update(content)


def _leaf(value: Any) -> tuple[bytes, bytes]:
    """Type and content of a leaf as bytes."""
    if value is None or isinstance(value, (bool, int)):
        return b"number", repr(value).encode()
    if isinstance(value, float):
        return b"float", struct.pack(">d", value)
    if isinstance(value, str):
        return b"text", value.encode("utf-8", "surrogatepass")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor_leaf(value, torch)
    try:
        view = memoryview(value)
    except TypeError:
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(value, "__array_interface__"):
            fact = f"a digest takes numbers, text, bytes and arrays, not {type(value).__qualname__}"
            raise RecordingError(fact) from None
        view = memoryview(numpy.asarray(value))
    if "O" in view.format:
        raise RecordingError("a digest cannot take an array of Python objects")
    return f"array {view.format} {view.shape}".encode(), view.tobytes()


def _tensor_leaf(tensor: Any, torch: Any) -> tuple[bytes, bytes]:
    """Type and content of a dense tensor of any dtype and device."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise RecordingError(f"a digest takes dense tensors, not {tensor.layout}")
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return f"tensor {tensor.dtype} {tuple(tensor.shape)}".encode(), flat.numpy().tobytes()


class Trial:
    """One execution of an accuracy workload, which gives the seed and records the results.

    Args:
        seed: The seed that the workload must use for everything random.

    Example:
        >>> trial = Trial(seed=7)
        >>> trial.record(top1_accuracy=0.977)
        >>> trial.values
        {'top1_accuracy': 0.977}
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.values: dict[str, float] = {}
        self.series: dict[str, list[float]] = {}
        self.context: dict[str, str | int | float | bool] = {}
        self.predictions: RecordedPredictions | None = None
        self._images: ImageSource | None = None
        self._tree: TreeDigest | None = None

    def record(self, **values: SupportsFloat) -> None:
        """Record metrics by name; a name is recorded once.

        Raises:
            RecordingError: If a name is recorded twice or a value is not a single number.
        """
        for name, value in values.items():
            if name in self.values:
                raise RecordingError(f"{name} was recorded twice")
            self.values[name] = one_number(name, value)

    def record_series(self, name: str, values: Iterable[float]) -> None:
        """Record a learning curve, with one value for each epoch."""
        if name in self.series:
            raise RecordingError(f"series {name} was recorded twice")
        self.series[name] = [one_number(name, value) for value in values]

    def record_context(self, **context: str | float | bool) -> None:
        """Record context that must be equal in both revisions, such as the data set and its checksum."""
        for name, value in context.items():
            if not isinstance(value, (str, int, float, bool)):
                raise RecordingError(f"context {name} must be text or a number, not {type(value).__qualname__}")
            if isinstance(value, float) and not math.isfinite(value):
                raise RecordingError(f"context {name} is {value}, which is not equal to itself")
            self.context[name] = value

    def record_predictions(
        self, predicted: Iterable[int], labels: Iterable[int], images: ImageSource | None = None
    ) -> None:
        """Record the predicted and the true class of every test example, in the order of the test set.

        Args:
            predicted: Predicted classes, shape (N,), integers in [0, 255].
            labels: True classes, shape (N,).
            images: Function that gives PNG files for a list of indices; called for at most 100 examples that flipped.

        Raises:
            RecordingError: If lengths differ or a class does not fit one byte.
        """
        predicted_bytes, label_bytes = _classes("predicted", predicted), _classes("labels", labels)
        if len(predicted_bytes) != len(label_bytes):
            raise RecordingError(f"{len(predicted_bytes)} predictions for {len(label_bytes)} labels")
        self.predictions = {
            "predicted": base64.b64encode(predicted_bytes).decode(),
            "labels": base64.b64encode(label_bytes).decode(),
            "labels_digest": hashlib.sha256(label_bytes).hexdigest(),
        }
        self._images = images

    def record_digest(self, tree: Any) -> None:
        """Record everything that must be equal, bit for bit, for the change to count as exact.

        Args:
            tree: Nested mappings and sequences of numbers, text, bytes, arrays and tensors: at least the final
                parameters and buffers. Recorded metrics, series and predictions are added by the worker.

        Raises:
            RecordingError: If the tree is empty, or contains something that is not data.
        """
        if self._tree is not None:
            raise RecordingError("the digest was recorded twice")
        digest = TreeDigest()
        digest.update(tree)
        if digest.num_leaves == 0:
            raise RecordingError("the digest is empty: it holds no number, text or array")
        self._tree = digest

    @property
    def digest(self) -> str:
        """Digest of the recorded tree together with all other records; empty if no tree was recorded."""
        if self._tree is None:
            return ""
        whole = TreeDigest()
        whole.update([self._tree.hexdigest(), self.values, self.series, self.predictions])
        return whole.hexdigest()

    def recorded(self) -> Recorded:
        """Content of the event that goes to the gate."""
        return {
            "values": {name: json_number(value) for name, value in self.values.items()},
            "series": {name: [json_number(value) for value in values] for name, values in self.series.items()},
            "context": self.context,
            "predictions": self.predictions,
            "digest": self.digest,
        }

    def images(self, indices: list[int]) -> list[bytes]:
        """PNG files of the requested examples; empty if the workload gave no source."""
        return [bytes(image) for image in self._images(indices)] if self._images else []


def one_number(name: str, value: Any) -> float:
    """A recorded value as a float; anything but a single number is refused."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordingError(f"{name} must be one number, not {type(value).__qualname__}") from error


def _classes(name: str, values: Any) -> bytes:
    """Classes as one byte each."""
    numbers = values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return bytes(numbers)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{name} must be whole numbers from 0 to {MAX_CLASSES - 1}, one an example") from error


def json_number(value: float) -> JsonNumber:
    """A number for JSON; NaN and the infinities become text."""
    return value if math.isfinite(value) else repr(value)
