"""A file written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mainstay.errors import StoreError


def write_text(path: Path, text: str, *, shown: str | None = None) -> Path:
    """Write a file beside its place, then rename it: readers see the old file or the new one.

    Args:
        path: The file.
        text: Its new content.
        shown: How messages name it; as given if absent.

    Raises:
        StoreError: If it cannot be written; the old file is kept.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise StoreError(
            f"{path.name} cannot be written: {error.strerror}",
            looked_in=shown or str(path),
            next_step="make room or choose another place, then try again",
        ) from error
    return path
