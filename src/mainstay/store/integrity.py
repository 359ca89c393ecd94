"""Manifests: the content of a folder at one time, and whether it has changed since.

- :class:`Manifest`: every file, link and folder below a folder, with the properties that show a change; made by
  :func:`take_manifest`.
- :func:`find_changes`: the paths that no longer match a manifest.
- :func:`read_manifest`, :func:`write_manifest`: a manifest as a file, next to the folder that it describes.
- :class:`WatchedInput`: a file or folder of the user, of which only the content matters.
- :class:`WatchedFolders`: folders without what is in their entries, such as those above a folder with a manifest.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mainstay.records.errors import StoreError
from mainstay.store.files import combined_digest, file_digest, files_at, write_text

VERSION = 1
"""Version of the file format; a manifest of another version counts as missing."""

FOLDER = "/"
"""Value used instead of the content of a folder, whose files have entries of their own."""


class Entry(NamedTuple):
    """Recorded properties of a path.

    Attributes:
        content: SHA-256 of a file; for a link, ``->`` and its target; ``/`` for a folder.
        mode: Kind and permissions.
        size: Size in bytes.
        mtime_ns: Time of the last change of the content. The owner can set it; Python uses it to decide whether
            bytecode is current.
        ctime_ns: Time of the last change of anything. It is set by the system and can be forged only by setting the
            clock.
        inode: Number of the file in its file system.
    """

    content: str
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def is_as(self, other: Entry) -> bool:
        """Whether both are equivalent for users of the file, as after a CI system has restored a copy."""
        if (self.content, self.mode) != (other.content, other.mode):
            return False
        return self.content == FOLDER or self.mtime_ns // 10**9 == other.mtime_ns // 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Record of every file, link and folder below a folder.

    Attributes:
        entries: Entries by path relative to the folder.
        ctimes: Time in nanoseconds of the last change of anything at each path, folders and the folder itself included;
            empty if it may change without a change that matters. It is never stored.
    """

    entries: Mapping[str, Entry]
    ctimes: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Total size of all files."""
        return sum(entry.size for entry in self.entries.values() if entry.content != FOLDER)


def take_manifest(folder: Path, *, is_untouched: bool = False) -> Manifest:
    """Record everything below a folder; links are not followed.

    Args:
        folder: The folder. One with torch has thousands of files and several gigabytes.
        is_untouched: Whether nothing will write to it, so that even a change that was undone is one. Landlock does not
            refuse a change of a mode, which can hide a module until it is undone.

    Raises:
        StoreError: If something cannot be read.
    """
    try:
        found = dict(_walk(folder))
        ctimes = _ctimes(folder, found) if is_untouched else {}
        with ThreadPoolExecutor() as pool:  # reading and hashing release the interpreter lock
            contents = list(pool.map(lambda path: _content(folder / path, found[path].st_mode), found))
    except OSError as error:
        raise StoreError(
            f"what was installed cannot be read: {error.strerror}", looked_in=str(error.filename)
        ) from error
    entries = {path: _entry(found[path], content) for path, content in zip(found, contents, strict=True)}
    return Manifest(entries=entries, ctimes=ctimes)


def _ctimes(folder: Path, found: Mapping[str, os.stat_result]) -> dict[str, int]:
    """Time of the last change of anything at each path that was found, and of the folder itself as ``.``."""
    return {".": folder.stat().st_ctime_ns} | {path: status.st_ctime_ns for path, status in found.items()}


def find_changes(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The paths below a folder that no longer match a manifest, sorted.

    The system's properties of a file are compared first; the file is read only if they differ. Files that Python runs
    at start-up are always read. For the 20,000 files of torch this takes 0.3 s.

    Args:
        folder: The folder.
        manifest: Its earlier manifest.
    """
    try:
        found = dict(_walk(folder))
        changed = manifest.entries.keys() ^ found.keys()
        for path, status in found.items():
            if path not in changed and not _is_unchanged(f"{folder}/{path}", manifest.entries[path], status):
                changed.add(path)
        if manifest.ctimes and not changed:  # otherwise the folder of each changed path would be named, too
            ctimes = _ctimes(folder, found)
            changed = {path for path, ctime in ctimes.items() if ctime != manifest.ctimes[path]}
    except OSError as error:
        return (str(Path(error.filename or folder).name),)
    return tuple(sorted(changed))


class WatchedInput:
    """A file, or all files below a folder, as they are when this is made; links are followed.

    Args:
        place: The file or folder.

    Attributes:
        sha256: Digest over names and contents, see :func:`~mainstay.store.files.content_digest`.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._statuses = _statuses(place)  # before reading, so that a write meanwhile is a change
        self._contents = {path: file_digest(path) for path in self._statuses}
        self.sha256 = combined_digest(place, self._contents)

    def has_changed(self) -> bool:
        """Whether a name or a content differs now, or cannot be read; only files whose status differs are read."""
        try:
            if not self._place.exists():
                return True
            found = _statuses(self._place)
            touched = [path for path, status in found.items() if status != self._statuses.get(path)]
            return found.keys() != self._statuses.keys() or any(
                file_digest(path) != self._contents[path] for path in touched
            )
        except OSError:
            return True


def _statuses(place: Path) -> dict[Path, tuple[int, ...]]:
    """What the system changes with the content of each file: size, times, number and mode."""
    statuses = ((path, path.stat()) for path in files_at(place))
    return {
        path: (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode)
        for path, status in statuses
    }


class WatchedFolders:
    """Folders as they are when this is made: their entries and modes, not what is inside the entries.

    Args:
        folders: The folders, in which no entry will be made or removed, so that even a change that was undone is one.

    Raises:
        StoreError: If one cannot be read.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._statuses = {folder: _folder_status(folder) for folder in folders}
        if missing := [folder for folder, status in self._statuses.items() if status is None]:
            raise StoreError("a folder of the gate is gone", looked_in=str(missing[0]))

    def find_changed(self) -> tuple[Path, ...]:
        """The folders of which anything was changed since, or that cannot be read, sorted."""
        return tuple(sorted(folder for folder, known in self._statuses.items() if _folder_status(folder) != known))


def _folder_status(folder: Path) -> tuple[int, ...] | None:
    """What the system changes with a folder: mode, time of the last change, and number; ``None`` if it is unreadable."""
    try:
        status = folder.lstat()
    except OSError:
        return None
    return status.st_mode, status.st_ctime_ns, status.st_ino


def describe_changes(paths: tuple[str, ...]) -> str:
    """Changed paths in a few words.

    Example:
        >>> describe_changes(("lib/a.py", "lib/b.py", "lib/c.py"))
        'lib/a.py and 2 more'
    """
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _is_unchanged(place: str, known: Entry, status: os.stat_result) -> bool:
    """Whether a path is unchanged."""
    if _entry(status, known.content) == known and not _is_run_at_start(place):
        return True
    return _entry(status, _content(Path(place), status.st_mode)).is_as(known)


def _is_run_at_start(place: str) -> bool:  # of text, since thousands of paths would take longer to make than to compare
    """Whether an interpreter may read a file when it starts: ``.pth``, ``sitecustomize``, ``pyvenv.cfg``."""
    return place.endswith((".pth", ".cfg")) or (
        place.endswith(".py") and os.path.dirname(place).endswith("/site-packages")
    )


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every path below a folder with its status; links are not followed."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(folder / inner) as paths:
            for path in paths:
                name = f"{inner}/{path.name}" if inner else path.name
                yield name, path.stat(follow_symlinks=False)
                if path.is_dir(follow_symlinks=False):
                    waiting.append(name)


def _content(place: Path, mode: int) -> str:
    """Entry for the content of a path."""
    if stat.S_ISDIR(mode):
        return FOLDER
    if stat.S_ISLNK(mode):
        return f"->{os.readlink(place)}"
    if not stat.S_ISREG(mode):  # opening a pipe would block
        return "special"
    return file_digest(place)


def _entry(status: os.stat_result, content: str) -> Entry:
    """Properties of a path; for a folder, only those that do not depend on its content."""
    if content == FOLDER:
        return Entry(content, status.st_mode, 0, 0, 0, 0)
    return Entry(content, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write a manifest atomically.

    Raises:
        StoreError: If it cannot be written.
    """
    write_text(place, json.dumps({"version": VERSION, "entries": manifest.entries}))


def read_manifest(place: Path) -> Manifest | None:
    """Read a manifest; ``None`` if it is missing or unreadable."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            return None
        return Manifest(entries={path: Entry(*entry) for path, entry in content["entries"].items()})
    except (OSError, ValueError, TypeError, KeyError):
        return None
