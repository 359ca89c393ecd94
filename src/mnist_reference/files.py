"""Atomic writing of files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_reference.errors import OutputError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file next to a path, which replaces the file at the path at the end of the block.

    If the block raises, or the process is killed, an existing file at the path is not changed.

    Args:
        path: Path of the file; its folder is created if it does not exist.

    Yields:
        The path of the temporary file, empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    temporary.touch(exist_ok=False)  # the usual permissions of a new file, which tempfile does not give
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a crash of the machine must not leave the new name on an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def output(path: Path, what: str) -> Iterator[Path]:
    """Like :func:`replacing`, for a file that the user requested.

    Args:
        path: Path of the file.
        what: Name of its content for the message, such as ``"the model card"``.

    Yields:
        The path of the temporary file, empty.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written: {error.strerror or error}",
            looked_in=str(path.parent),
            next_step="free some space, or name a file elsewhere",
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text as one safetensors file, atomically."""
    from safetensors.torch import save

    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
