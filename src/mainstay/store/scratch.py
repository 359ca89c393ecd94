"""Temporary folders, removed when their process ends; the next gate removes those of killed processes.

No content of a repository influences what is removed. A scratch folder lies in the system's folder for temporary
files, belongs to the user, contains a mark that names the repository, and is locked by its process as
long as that runs. It is abandoned if the lock is free.

- :func:`scratch_folder`: a scratch folder of this process.
- :func:`remove_abandoned`: remove the scratch folders of killed processes.
- :func:`is_scratch`: whether a path is that of a scratch folder, which may be gone.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mainstay.records.errors import MainstayError, StoreError
from mainstay.store.interruption import cleaned_up, undisturbed

with suppress(ImportError):  # Windows has none, but no gate runs there
    import fcntl

PREFIX = "mainstay-"
"""Prefix of the name of every scratch folder."""

UNMARKED = "mainstay-unmarked-"
"""Prefix of the name until the folder has its mark."""

MARK = ".mainstay-scratch.json"
"""File in the folder that names the repository."""

MAX_MARK_BYTES = 100_000
"""Largest size of a mark."""

NUM_ATTEMPTS = 100
"""Number of attempts to create a folder, since another gate may remove it before it is locked."""


@contextmanager
def scratch_folder(repository: Path, *, release: Callable[[Path], object] = lambda folder: None) -> Iterator[Path]:
    """Make a temporary folder that is removed with everything in it.

    Args:
        repository: Git's common folder of the repository.
        release: Called with the folder when it is empty except for its mark, to remove references to it. If the call
            fails, the mark is kept, and the next gate tries again.

    Raises:
        StoreError: If the folder cannot be created.
    """
    if sys.platform == "win32":  # no gate runs there; only short-lived folders are made
        with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
            yield Path(temporary)
        return
    with ExitStack() as stack:
        with undisturbed():
            try:
                folder, descriptor = _make(repository)
            except OSError as error:
                raise StoreError(
                    f"no temporary folder can be made: {error.strerror}",
                    looked_in=tempfile.gettempdir(),
                    next_step="make room, or set TMPDIR to a larger disk",
                ) from error

            def remove() -> None:
                _remove(folder, release)
                with suppress(OSError):
                    os.close(descriptor)

            stack.enter_context(cleaned_up(remove))
        yield folder


def remove_abandoned(repository: Path, *, release: Callable[[Path], object] = lambda folder: None) -> None:
    """Remove folders left by killed processes, of this repository and of repositories that no longer exist.

    Args:
        repository: Git's common folder.
        release: As for :func:`scratch_folder`.
    """
    for folder in sorted(_temporary().glob(f"{PREFIX}*")):
        with suppress(OSError):  # such as a file, a link, or a folder of another user
            _remove_if_abandoned(folder, repository, release)


def is_scratch(folder: Path) -> bool:
    """Whether a path is that of a scratch folder, by its location and name.

    Example:
        >>> is_scratch(Path(tempfile.gettempdir()).resolve() / "mainstay-x"), is_scratch(Path("/home/mainstay-x"))
        (True, False)
    """
    return folder.name.startswith(PREFIX) and folder.parent == _temporary()


def _temporary() -> Path:
    return Path(tempfile.gettempdir()).resolve()


def _make(repository: Path) -> tuple[Path, int]:
    """Make a folder, lock it and mark it; the lock is held until the descriptor is closed."""
    for _ in range(NUM_ATTEMPTS):
        unmarked = Path(tempfile.mkdtemp(prefix=UNMARKED)).resolve()
        with suppress(FileNotFoundError):  # another gate found it without a lock, and removed it
            descriptor = _open(unmarked)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_there(unmarked, descriptor):
                (unmarked / MARK).write_text(json.dumps({"repository": str(repository)}), encoding="utf-8")
                folder = unmarked.with_name(PREFIX + unmarked.name.removeprefix(UNMARKED))
                return unmarked.rename(folder), descriptor
            os.close(descriptor)
    raise FileNotFoundError(0, "another process removes it at once")


def _remove_if_abandoned(folder: Path, repository: Path, release: Callable[[Path], object]) -> None:
    descriptor = _open(folder)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid() or not _lock_is_free(descriptor):
            return
        if not _is_there(folder, descriptor):
            return
        owner = _read_mark(descriptor)
        if owner == repository or (owner is not None and not owner.exists()) or _is_unborn(folder):
            _remove(folder, release)
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    """Open a folder without following a link."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock_is_free(descriptor: int) -> bool:
    """Take the lock if no process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_there(folder: Path, descriptor: int) -> bool:
    """Whether a path still leads to the folder that was opened."""
    try:
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read_mark(descriptor: int) -> Path | None:
    """The repository that a folder was made for; ``None`` if it has no such mark owned by the user."""
    try:
        mark = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    except OSError:
        return None
    with open(mark, "rb") as file:
        status = os.fstat(mark)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        content = file.read(MAX_MARK_BYTES)
    try:
        return Path(json.loads(content)["repository"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_unborn(folder: Path) -> bool:
    """Whether the process of a folder was killed before the folder had a mark, and so before it had any content."""
    return folder.name.startswith(UNMARKED) and {entry.name for entry in os.scandir(folder)} <= {MARK}


def _remove(folder: Path, release: Callable[[Path], object]) -> None:
    """Remove a folder, its mark last, so that the next gate recognises a partly removed one."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name != MARK:
                _remove_entry(Path(entry.path))
    try:
        release(folder)
    except (MainstayError, OSError):
        return
    with suppress(OSError):
        if {entry.name for entry in os.scandir(folder)} <= {MARK}:
            (folder / MARK).unlink(missing_ok=True)
            folder.rmdir()


def _remove_entry(path: Path) -> None:
    """Remove a file, a link or a folder with its content, including read-only folders."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    with suppress(OSError):
        path.chmod(stat.S_IRWXU)
    for parent, folders, _ in os.walk(path):
        for place in (Path(parent, name) for name in folders):
            with suppress(OSError):
                if not place.is_symlink():
                    place.chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)
