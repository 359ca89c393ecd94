"""Write the edits of a proposal, all or none.

- :func:`write_edits`: write the edits.
- :func:`render_difference`: show the edits as a diff.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mainstay.records.errors import StoreError
from mainstay.store.files import refuse_link, write_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One file to be created or changed.

    Attributes:
        path: Path relative to the folder of all edits.
        before: Present text; ``None`` if the file does not exist.
        after: New text.
        executable: Whether it becomes executable.
    """

    path: str
    before: str | None
    after: str
    executable: bool = False


def render_difference(edits: Iterable[Edit]) -> str:
    r"""The edits as a unified diff.

    Example:
        >>> print(render_difference([Edit(path=".gitignore", before="a\n", after="a\nb\n")]), end="")
        --- a/.gitignore
        +++ b/.gitignore
        @@ -1 +1,2 @@
         a
        +b
    """
    lines: list[str] = []
    for edit in edits:
        old = "/dev/null" if edit.before is None else f"a/{edit.path}"
        before, after = ((text or "").splitlines(keepends=True) for text in (edit.before, edit.after))
        for line in difflib.unified_diff(before, after, old, f"b/{edit.path}"):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def write_edits(root: Path, edits: Sequence[Edit]) -> None:
    """Write all edits; if one cannot be written, undo those before it.

    Args:
        root: Folder to which the paths are relative.
        edits: The edits.

    Raises:
        StoreError: If a file is a link, changed since it was read, or cannot be written; then no file is changed.
    """
    for edit in edits:
        _refuse_unsafe(root, edit)
    try:
        with ExitStack() as undo:
            for edit in edits:
                _write(root, edit, undo)
            undo.pop_all()
    except StoreError as error:
        is_full = isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "make room for it in the project's folder" if is_full else "make the project's folder writable"
        raise StoreError(
            f"nothing was written: {error.fact}",
            looked_in=error.looked_in,
            next_step=f"{remedy}, then run 'mainstay init' again",
        ) from error
    except OSError as error:
        raise StoreError(
            f"nothing was written: the system refused, {error.strerror or error}",
            looked_in=str(error.filename or root),
            next_step="make the project's folder writable, then run 'mainstay init' again",
        ) from error


def _write(root: Path, edit: Edit, undo: ExitStack) -> None:
    """Write an edit, and note how each part of it is undone."""
    place = root / edit.path
    for folder in reversed([parent for parent in place.parents if not parent.exists()]):
        folder.mkdir()
        undo.callback(_try, folder.rmdir)
    write_text(place, edit.after, shown=edit.path)
    undo.callback(_try, place.unlink if edit.before is None else partial(write_text, place, edit.before))
    if edit.executable:
        place.chmod(place.stat().st_mode | 0o111)


def _try(act: Callable[[], object]) -> None:
    """Call a function that may fail."""
    with suppress(OSError, StoreError):
        act()


def _refuse_unsafe(root: Path, edit: Edit) -> None:
    place = root / edit.path
    hint = "put a file or folder in its place, or leave that part out: see 'mainstay init --help'"
    refuse_link(place, root, next_step=hint)
    try:
        found = place.read_bytes().decode() if place.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{edit.path} cannot be read: {error}", looked_in=str(root), next_step="make it a readable text file"
        ) from error
    if found != edit.before:
        raise StoreError(
            f"{edit.path} {'was created' if edit.before is None else 'changed'} since it was looked at",
            looked_in=str(root),
            next_step="run 'mainstay init' again",
        )
