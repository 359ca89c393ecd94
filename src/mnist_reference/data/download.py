"""A verified fetch of the four MNIST files.

The content is pinned by the SHA-256 of each uncompressed file, so mirrors may compress the files differently. A file
gets its name only when it is complete and correct, so a killed download leaves nothing that could be mistaken for data.
``torchvision``'s own downloader checks the compressed bytes instead, and does not support file URLs.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from mnist_reference.errors import DataError
from mnist_reference.files import replacing

TIMEOUT_S = 10.0
"""Seconds without data after which a mirror counts as unreachable."""

CHUNK_BYTES = 1 << 20
FETCH_COMMAND = "python -m mnist_reference fetch"


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedFile:
    """One file of MNIST in its IDX form.

    Attributes:
        name: Name of the file without ``.gz``.
        num_bytes: Uncompressed size in bytes.
        sha256: SHA-256 of the uncompressed content.
    """

    name: str
    num_bytes: int
    sha256: str


MNIST_FILES = (
    PinnedFile(
        name="train-images-idx3-ubyte",
        num_bytes=47_040_016,
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    PinnedFile(
        name="train-labels-idx1-ubyte",
        num_bytes=60_008,
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    PinnedFile(
        name="t10k-images-idx3-ubyte",
        num_bytes=7_840_016,
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    PinnedFile(
        name="t10k-labels-idx1-ubyte",
        num_bytes=10_008,
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def verify(folder: Path, *, files: Sequence[PinnedFile] = MNIST_FILES) -> None:
    """Check that a folder holds the pinned files, unaltered.

    Raises:
        DataError: If a file is missing, truncated or altered; the message names it.
    """
    for pinned in files:
        path = folder / pinned.name
        if not path.is_file():
            raise DataError(f"no {pinned.name}", looked_in=str(folder), next_step=FETCH_COMMAND)
        num_bytes = path.stat().st_size
        if num_bytes != pinned.num_bytes:
            raise DataError(
                f"{pinned.name} has {num_bytes} bytes instead of {pinned.num_bytes}",
                looked_in=str(path),
                next_step=f"delete the file, then {FETCH_COMMAND}",
            )
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != pinned.sha256:
            raise DataError(
                f"{pinned.name} is not the published file: its SHA-256 is {found}",
                looked_in=str(path),
                next_step=f"delete the file, then {FETCH_COMMAND}",
            )


def fetch(folder: Path, mirrors: Sequence[str], *, files: Sequence[PinnedFile] = MNIST_FILES) -> None:
    """Download the missing pinned files into a folder; only one process does so at a time.

    Args:
        folder: The folder, which is created if it does not exist; existing files are not changed.
        mirrors: http, https or file URLs of folders with the files as ``.gz``, tried in order for each file.
        files: The files to fetch.

    Raises:
        DataError: If no mirror has a correct copy of a file, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "fetch.lock"):
            for pinned in files:
                if not (folder / pinned.name).is_file():
                    _fetch_file(pinned, folder, mirrors)
    except OSError as error:
        raise DataError(
            f"MNIST cannot be written: {error.strerror or error}",
            looked_in=str(folder),
            next_step="free some space, or name another folder in MNIST_REFERENCE_ROOT",
        ) from error


def _fetch_file(pinned: PinnedFile, folder: Path, mirrors: Sequence[str]) -> None:
    """Download one file from the first mirror that has a correct copy."""
    refusals = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{pinned.name}.gz"
        try:
            _fetch_url(url, pinned, folder)
        except _MirrorError as refusal:
            refusals.append(f"{url} ({refusal})")
        else:
            return
    raise DataError(
        f"{pinned.name} cannot be fetched",
        looked_in=", ".join(refusals) or "no mirror",
        next_step="connect to the network, or name a mirror in MNIST_MIRROR (an http, https or file URL)",
    )


class _MirrorError(Exception):
    """A mirror cannot be reached or serves something else; the next one is tried."""


def _fetch_url(url: str, pinned: PinnedFile, folder: Path) -> None:
    """Decompress a URL into a temporary file, check it, and give it its name."""
    digest = hashlib.sha256()
    with replacing(folder / pinned.name) as temporary:
        with temporary.open("wb") as file:
            for chunk in _decompressed(url, limit=pinned.num_bytes):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != pinned.sha256:
            raise _MirrorError(f"its content has the SHA-256 {digest.hexdigest()}")


def _decompressed(url: str, *, limit: int) -> Iterator[bytes]:
    """Chunks of a gzip file at a URL; only errors of the mirror become a :class:`_MirrorError`."""
    num_bytes = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content = gzip.GzipFile(fileobj=response)
            while chunk := content.read(CHUNK_BYTES):
                num_bytes += len(chunk)
                if num_bytes > limit:
                    raise _MirrorError(f"it holds more than {limit} bytes")
                yield chunk
    except urllib.error.URLError as error:
        raise _MirrorError(str(error.reason)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error, http.client.HTTPException, ValueError) as error:
        raise _MirrorError(f"not a gzip file: {error}") from error
    except OSError as error:  # only of reading: an error of the caller that writes is not raised here
        raise _MirrorError(str(error)) from error
