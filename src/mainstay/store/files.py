"""Files: atomic writing, digests of content, and detection of harmful links.

- :func:`write_text`, :func:`write_output`: write a file of mainstay's own, and one that the user names.
- :func:`make_ignored`: make a folder of mainstay's own.
- :func:`content_digest`, :func:`files_at`, :func:`iter_files`: digest and list files.
- :func:`real_places`: where a folder and the links in it lead.
- :func:`refuse_link`, :func:`with_line_ends`: what a write to a file of a project does not change.
- :func:`harmful_link`: a link that a copy of a folder must not follow.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mainstay.records.errors import StoreError

FOLDER = ".mainstay"
"""Folder for the files of gates in the user's repository; it ignores itself, and no repository may track it."""


MAX_COPIED_BYTES, MAX_COPIED_FILES = 4_000_000_000, 100_000
"""Largest amount of data that is copied because a link leads to it."""


def write_text(path: Path, text: str, *, shown: str | None = None) -> Path:
    """Write a file atomically, by renaming a temporary file; no link is followed.

    Args:
        path: The file.
        text: Its new content.
        shown: Its name in messages; the path if ``None``.

    Raises:
        StoreError: If it cannot be written; the old file is kept.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise _unwritable(path, shown or str(path), error) from error
    return path


def make_ignored(folder: Path) -> None:
    """Make a folder of mainstay's own that git ignores, or no snapshot of the working tree could be without it.

    Args:
        folder: The folder, which may exist.

    Raises:
        OSError: If it cannot be made.
        StoreError: If its file ``.gitignore`` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ".gitignore", "*\n")


def write_output(path: Path, text: str) -> Path:
    """Write a file that the user names as the place of an output.

    A regular file is written atomically, through the links that lead to it. A device, a pipe and what is already open,
    such as ``/dev/stdout`` or a process substitution, are written to as they are.

    Args:
        path: The file.
        text: Its content.

    Raises:
        StoreError: If it cannot be written.
    """
    try:
        if leads_to_file(path):
            write_text(Path(os.path.realpath(path)), text, shown=str(path))
        else:
            descriptor = _descriptor(path)
            place: Path | int = path if descriptor is None else descriptor
            with open(place, "w", encoding="utf-8", newline="\n", closefd=descriptor is None) as stream:
                stream.write(text)
    except OSError as error:
        raise _unwritable(path, str(path), error) from error
    return path


def leads_to_file(path: Path) -> bool:
    """Whether an output is a regular file, which need not exist yet, and no device, pipe or what is already open."""
    target = Path(os.path.realpath(path))
    is_regular = target.is_file() or not (path.exists() or target.is_symlink())  # a link to itself is none
    return is_regular and _descriptor(path) is None


def _descriptor(path: Path) -> int | None:
    """The open descriptor that a path stands for, if it does.

    Example:
        >>> _descriptor(Path("/dev/stdout")), _descriptor(Path("/dev/fd/63")), _descriptor(Path("run.json"))
        (1, 63, None)
    """
    found = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", path.as_posix())
    return int(found[1]) if found else {"/dev/stdout": 1, "/dev/stderr": 2}.get(path.as_posix())


def _unwritable(path: Path, shown: str, error: OSError) -> StoreError:
    return StoreError(
        f"{path.name} cannot be written: {error.strerror}",
        looked_in=shown,
        next_step="make room or choose another place, then try again",
    )


def refuse_link(path: Path, root: Path, *, next_step: str = "put a file or folder in its place") -> None:
    """Refuse to write a file of a project through a link: git stores the link, and no gate reads what it leads to.

    Args:
        path: The file.
        root: The folder below which no part of the path may be a link.
        next_step: What the user can do.

    Raises:
        StoreError: If there is a link.
    """
    inside = [path, *(parent for parent in path.parents if parent.is_relative_to(root) and parent != root)]
    if link := next((part for part in inside if part.is_symlink()), None):
        raise StoreError(
            f"{link.relative_to(root).as_posix()} is a link, whose target would be written to",
            looked_in=str(root),
            next_step=next_step,
        )


def with_line_ends(after: str, before: str) -> str:
    r"""The new text of a file, with CRLF at the ends of its lines if all lines of the old text have it.

    Args:
        after: The new text.
        before: The old text.

    Example:
        >>> with_line_ends("a\r\nb\n", "a\r\n"), with_line_ends("a\nb\n", "a\n")
        ('a\r\nb\r\n', 'a\nb\n')
    """
    bare = r"(?<!\r)\n"
    return re.sub(bare, "\r\n", after) if "\n" in before and not re.search(bare, before) else after


def content_digest(place: Path, *, suffix: str = "") -> str:
    """SHA-256 of the names and contents of a file, or of all files below a folder, following links.

    Args:
        place: The file or folder.
        suffix: Suffix of the files in a folder to include, such as ``.py``; all files if empty.
    """
    return combined_digest(place, {path: file_digest(path) for path in files_at(place, suffix=suffix)})


def combined_digest(place: Path, contents: Mapping[Path, str]) -> str:
    """:func:`content_digest` of a file or folder whose files have been read.

    Args:
        place: The file or folder.
        contents: SHA-256 of each file, in the order of :func:`files_at`.
    """
    digest = hashlib.sha256()
    for path, content in contents.items():
        digest.update(f"{content} {path.relative_to(place).as_posix()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_at(place: Path, *, suffix: str = "") -> list[Path]:
    """A file itself, or all files below a folder, sorted, following links.

    Args:
        place: The file or folder.
        suffix: Suffix of the files in a folder to include; all files if empty.
    """
    return [place] if place.is_file() else sorted(file for file in iter_files(place) if file.name.endswith(suffix))


def iter_files(folder: Path) -> Iterator[Path]:
    """All files below a folder; a folder that several links lead to is entered once."""
    for place, _, names in _walk(folder):
        yield from (place / name for name in names if (place / name).is_file())


def real_places(place: Path) -> set[Path]:
    """A file or folder and the targets of all links below it, as absolute paths without links.

    Args:
        place: The file or folder. Links are followed, also those that are broken.
    """
    inside = (path / name for path, folders, names in _walk(place) for name in (*folders, *names))
    return {Path(os.path.realpath(path)) for path in (place, *(path for path in inside if path.is_symlink()))}


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder at or below a folder with the names of its folders and files, following links, but none twice."""
    entered = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        place = Path(root)
        if place.resolve() in entered:
            folders.clear()
            continue
        entered.add(place.resolve())
        yield place, folders, names


def harmful_link(folder: Path, root: Path, *, left_out: Collection[Path] = ()) -> tuple[Path, Path] | None:
    """Find a link, at a folder or below it, that a copy must not follow, with its target; ``None`` if there is none.

    A link is harmful if it leads to a folder that contains the link itself, or out of the root to a
    device or to more data than should be copied. A broken link is not harmful.

    Args:
        folder: Folder to be copied with the targets of its links.
        root: Folder whose content is small enough to be copied in any case.
        left_out: Paths below the folder that will not be copied.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()).resolve()
        >>> (folder / "loop").symlink_to(folder)
        >>> harmful_link(folder, folder) == (folder / "loop", folder)
        True
    """
    return _harmful_link([folder], root.resolve(), frozenset(left_out), frozenset())


def _harmful_link(
    places: Iterable[Path], root: Path, left_out: Collection[Path], above: frozenset[Path]
) -> tuple[Path, Path] | None:
    for place in places:
        if place.is_symlink():
            try:
                target = place.resolve(strict=True)
            except (OSError, RuntimeError):  # a broken link, or one to itself
                continue
            has_no_end = place.parent.resolve().is_relative_to(target) or target in above
            if has_no_end or not (target.is_relative_to(root) or _is_copyable(target)):
                return place, target
        if place.is_dir():
            inner = sorted(set(place.iterdir()) - set(left_out))
            if found := _harmful_link(inner, root, left_out, above | {place.resolve()}):
                return found
    return None


def _is_copyable(place: Path) -> bool:
    """Whether a path is a file or a folder of files, and not too large."""
    if place.is_file():
        return place.stat().st_size <= MAX_COPIED_BYTES
    num_files = num_bytes = 0
    for folder, _, names in os.walk(place):
        for file in (Path(folder, name) for name in names):
            if not file.exists():
                continue
            num_files += 1
            num_bytes += file.stat().st_size
            if not file.is_file() or num_files > MAX_COPIED_FILES or num_bytes > MAX_COPIED_BYTES:
                return False
    return place.is_dir()
