"""Cached dependency layers: built once, verified before and after use, removed when the cache is full.

A layer is a virtual environment that holds one resolved set of packages. Beside it are its manifest, which is written
last, and a lock, which is shared by the gates that use the layer and exclusive for a gate that builds or removes it. If
a layer has no manifest, its build was interrupted or it was discarded, and it is built again.

Packages are copied out of uv's cache and not linked: with hard links, an edit of a file in one environment would change
it in all others. The copy and its manifest take much longer than links, but are needed once; verifying a layer is quick.
If the file system can share blocks, a copy takes no longer than a link.

- :class:`Layer`: one layer, as a context manager.
- :func:`cache_limit`, :func:`describe_cache`: the maximum and the present size of the cache.
- :func:`evict`: remove the least recently used layers.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from mainstay.records.errors import EnvironmentBuildError, Interrupted, UsageError
from mainstay.records.trials import Side
from mainstay.revisions import uv_commands
from mainstay.revisions.environments import install, site_packages_of
from mainstay.revisions.resolution import Resolution, requirement_options
from mainstay.revisions.uv_commands import run_uv
from mainstay.revisions.uv_settings import pip_settings
from mainstay.store.integrity import (
    Manifest,
    describe_changes,
    find_changes,
    read_manifest,
    take_manifest,
    write_manifest,
)
from mainstay.store.scratch import scratch_folder

with suppress(ImportError):  # Windows has none, and doctor reads this module there too
    import fcntl

LOCK_SECONDS = 0.2
"""Longest time, in seconds, until an interrupt is noticed while another gate builds the layer."""

LIMIT_VARIABLE = "MAINSTAY_CACHE_LIMIT"
"""Environment variable of the user that sets the limit of the cache, such as ``50 GB``."""

DEFAULT_LIMIT = 30_000_000_000
"""Default limit in bytes: enough for five layers of torch with CUDA."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
"""First letters of the units of a limit."""

RESOLUTION_SECONDS = 2 * 86_400.0
"""Seconds after which a resolution is removed; it is used only on the day on which it was made."""


class Layer:
    """The layer of a resolved set of packages, in use until the context exits.

    If two gates need the same layer, it is built once. A layer is never removed while a gate uses it.

    Args:
        resolution: Exact pins.
        shared: Those of its pins that the other revision has, too; neither revision is blamed if they cannot be installed.

    Attributes:
        place: Folder of the virtual environment.
        notes: Notes about the layer for reports.
    """

    def __init__(self, resolution: Resolution, *, shared: Collection[str] = ()) -> None:
        self._resolution = resolution
        self._shared = tuple(pin for pin in resolution.pins if pin in shared)
        self.place = layers_folder() / resolution.digest[:32]
        self.notes: list[str] = []
        self._mutex = threading.Lock()
        self._manifest: Manifest | None = None  # the file could be forged while the gate runs

    def __enter__(self) -> Self:
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(self.place)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def ensure(self, tree: Path, *, is_interrupted: Callable[[], bool] = lambda: False) -> Path:
        """Verify the layer, or build it.

        Args:
            tree: The revision's worktree, whose pyproject.toml may have settings of uv.
            is_interrupted: Called repeatedly while another gate builds the layer.

        Returns:
            ``site-packages`` of the layer.

        Raises:
            EnvironmentBuildError: If a package cannot be installed.
            UsageError: If the limit of the cache cannot be read.
            Interrupted: If the gate was interrupted while it waited for another gate.
        """
        limit = cache_limit(os.environ)
        with self._mutex:
            while self._manifest is None:
                if is_interrupted():
                    raise Interrupted("interrupted")
                if not self._lock.take(exclusive=False):
                    time.sleep(LOCK_SECONDS)
                elif manifest := self._verified():
                    self._manifest = manifest
                elif self._lock.take(exclusive=True):
                    if not is_complete(self.place):  # otherwise another gate has built it meanwhile
                        self._build(tree)
                        evict(limit)
                else:
                    self._lock.release()
                    time.sleep(LOCK_SECONDS)
        self._lock.touch()
        return site_packages_of(self.place)

    def _verified(self) -> Manifest | None:
        """The manifest of the layer, if that exists unchanged; a damaged one is removed."""
        if not is_complete(self.place):
            return None
        manifest = read_manifest(_manifest_place(self.place))
        changes = _changes(self.place, manifest)
        if changes:
            self.discard(f"it had been changed since it was built ({describe_changes(changes)})")
            return None
        return manifest

    def _build(self, tree: Path) -> None:
        """Install the packages, then write the manifest."""
        place, resolution = self.place, self._resolution
        run_uv(["venv", "--clear", "--quiet", "--python", sys.executable, str(place)], doing="making an environment")
        is_shared = len(self._shared) == len(resolution.pins)
        try:
            self._install(tree, resolution.pins, side=None if is_shared else resolution.side)
        except EnvironmentBuildError as error:
            if error.side is not None and self._shared:
                self._install(tree, self._shared, side=None)  # fails without a side if one of these is the cause
            raise
        write_manifest(_manifest_place(place), take_manifest(place))

    def _install(self, tree: Path, pins: Sequence[str], *, side: Side | None) -> None:
        """Install some of the pins, and blame a revision or none if that fails."""
        with scratch_folder(uv_commands.cache_folder()) as folder:  # a requirement may hold a password
            wanted = requirement_options(self._resolution, pins, tree=tree, folder=folder)
            wanted += self._undoing_options(tree)
            install(self.place, wanted, side=side, doing="installing the dependencies", cwd=tree)

    def _undoing_options(self, tree: Path) -> list[str]:
        """Options of uv that undo settings of the project for environments and lock files of its own."""
        undone = {
            "all-extras": ["--no-all-extras"],
            "require-hashes": ["--no-require-hashes"],
            "prefix": ["--prefix", str(self.place)],
            "target": ["--target", str(site_packages_of(self.place))],
        }
        settings = pip_settings(tree)
        return [word for name, words in undone.items() if name in settings for word in words]

    def find_changes(self) -> tuple[str, ...]:
        """The paths in the layer that have changed since it was verified or built here."""
        return _changes(self.place, self._manifest)

    def discard(self, why: str) -> None:
        """Remove the layer, so that the next gate rebuilds it.

        Args:
            why: The reason, for reports.
        """
        name = self._resolution.digest[:8]
        self.notes.append(f"the cached dependencies {name} were thrown away: {why}")
        _manifest_place(self.place).unlink(missing_ok=True)
        if self._lock.take(exclusive=True):  # if another gate uses it, the next gate that builds a layer evicts it
            shutil.rmtree(self.place, ignore_errors=True)


class _Lock:
    """The lock of a layer, shared or exclusive; it never blocks.

    Args:
        place: Folder of the layer.
    """

    def __init__(self, place: Path) -> None:
        self._path = Path(f"{place}.lock")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Release the lock and close it."""
        os.close(self._descriptor)

    def take(self, *, exclusive: bool) -> bool:
        """Take the lock if possible; return whether it is held. If an exclusive one is not, no lock is held."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_NB | (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def touch(self) -> None:
        """Record the current time as the last use of the layer."""
        os.utime(self._path)


def layers_folder() -> Path:
    """Folder of the layers."""
    return uv_commands.cache_folder() / "environments"


def _manifest_place(place: Path) -> Path:
    """Path of a layer's manifest, without which the layer is incomplete."""
    return Path(f"{place}.json")


def is_complete(place: Path) -> bool:
    """Whether a layer was built completely."""
    return _manifest_place(place).exists()


def changes_of(place: Path) -> tuple[str, ...]:
    """The paths in a layer that have changed since it was built."""
    return _changes(place, read_manifest(_manifest_place(place)))


def _changes(place: Path, manifest: Manifest | None) -> tuple[str, ...]:
    """The paths in a layer that do not match a manifest; without one, the name of its file."""
    return find_changes(place, manifest) if manifest else (_manifest_place(place).name,)


class Cached(NamedTuple):
    """A layer in the cache.

    Attributes:
        place: Folder of the virtual environment.
        num_bytes: Size of its files; 0 if its build was interrupted.
        used: Time of its last use by a gate, in seconds since the epoch.
    """

    place: Path
    num_bytes: int
    used: float


def iter_layers() -> Iterator[Cached]:
    """All layers in the cache."""
    folder = layers_folder()
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.is_dir():
            manifest = read_manifest(_manifest_place(place)) or Manifest(entries={})
            lock = Path(f"{place}.lock")
            yield Cached(place, manifest.num_bytes, lock.stat().st_mtime if lock.exists() else 0.0)


def cache_limit(environ: Mapping[str, str]) -> int:
    """Maximum size of all layers, in bytes.

    Args:
        environ: The user's environment.

    Raises:
        UsageError: If the value of the variable is not a size.

    Example:
        >>> cache_limit({"MAINSTAY_CACHE_LIMIT": "12.5 GB"})
        12500000000
    """
    text = environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text, re.IGNORECASE)
    if match is None:
        raise UsageError(
            f"{LIMIT_VARIABLE} is {text!r}, expected a size",
            looked_in="the environment",
            next_step=f"set it to a size such as {LIMIT_VARIABLE}='30 GB'",
        )
    return int(float(match[1]) * UNITS[match[2].upper()])


def describe_cache(limit: int) -> str:
    """Describe the size of the cache.

    Args:
        limit: Maximum size in bytes.
    """
    layers = list(iter_layers())
    size = sum(layer.num_bytes for layer in layers)
    return (
        f"sets of dependencies: {len(layers)}, {size / 1e9:.1f} GB; above {limit / 1e9:.1f} GB ({LIMIT_VARIABLE}) those not "
        f"used for longest are removed ({layers_folder()})"
    )


def evict(limit: int) -> None:
    """Remove incomplete layers, then the least recently used ones until the cache is small enough.

    A layer that a gate uses is never removed.

    Args:
        limit: Maximum size in bytes.
    """
    layers = sorted(iter_layers(), key=lambda layer: layer.used)
    total = sum(layer.num_bytes for layer in layers)
    for layer in layers:
        if (total > limit or not is_complete(layer.place)) and _remove(layer.place):
            total -= layer.num_bytes
    for file in (uv_commands.cache_folder() / "resolutions").glob("*"):
        with suppress(OSError):  # another gate may remove it
            if time.time() - file.stat().st_mtime > RESOLUTION_SECONDS:
                file.unlink()


def _remove(place: Path) -> bool:
    """Remove a layer unless a gate uses it; return whether it was removed."""
    with closing(_Lock(place)) as lock:
        if not lock.take(exclusive=True):
            return False
        _manifest_place(place).unlink(missing_ok=True)  # first: without it, no layer exists
        shutil.rmtree(place, ignore_errors=True)
        return True
