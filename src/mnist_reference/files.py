"""Files that appear whole or not at all."""

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
    """A temporary file beside a path, which takes its place at the end of the block.

    If the block raises, or the process is killed, what was at the path before is still there, unchanged.

    Args:
        path: Its folder is made if it does not exist.

    Yields:
        The path of the temporary file, empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    temporary.touch(exist_ok=False)  # with the permissions of any new file, which tempfile would not give
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a crash of the machine must not leave the new name on an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def output(path: Path, what: str) -> Iterator[Path]:
    """As :func:`replacing`, for a file that the user asked for.

    Args:
        path: Where it shall be.
        what: Name of its content for the message, such as ``"the model card"``.

    Yields:
        The path of the temporary file, empty.

    Raises:
        OutputError: If it cannot be written.
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
