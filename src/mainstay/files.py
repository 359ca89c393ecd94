"""A file written whole or not at all, and the digest of what a place holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
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


def content_digest(place: Path) -> str:
    """SHA-256 over the names and contents of a file or of all files beneath a folder, links followed."""
    digest = hashlib.sha256()
    for path in [place] if place.is_file() else sorted(iter_files(place)):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content} {path.relative_to(place).as_posix()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def iter_files(folder: Path) -> Iterator[Path]:
    """All files beneath a folder; a folder that several links lead to is entered once."""
    entered = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        place = Path(root)
        if place.resolve() in entered:
            folders.clear()
            continue
        entered.add(place.resolve())
        yield from (place / name for name in names if (place / name).is_file())
