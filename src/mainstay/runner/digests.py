"""The digest by which two trials, or two outputs, are compared bit for bit.

- :class:`TreeDigest`: SHA-256 of nested numbers, text and arrays.
- :class:`RecordingError`: a recorded value cannot be judged.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Mapping
from typing import Any


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
