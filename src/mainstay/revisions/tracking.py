"""Places that git tracks: a repository's content, not its user, chose what lies there and where its links lead.

- :func:`refuse_tracked_folder`: for a folder of mainstay's own.
- :func:`refuse_tracked_links`: for a file that the user names as the place of an output.
"""

from __future__ import annotations

from pathlib import Path

from mainstay.records.errors import GitError
from mainstay.revisions.git import Repository

MAX_LINKS = 40
"""Number of links that the system follows at most."""


def refuse_tracked_folder(path: Path) -> None:
    """Refuse a folder for mainstay's own files if git tracks it, a file in it, or a link that leads to it.

    Args:
        path: The folder, which need not exist, in a repository or outside of any.

    Raises:
        GitError: If git tracks one of them, or cannot say.
    """
    refuse_tracked_links(path)
    if _tracked(path.resolve()):
        raise GitError(
            f"{path.name} is tracked by git: runs of others could be mistaken for your own",
            looked_in=str(path),
            next_step=f"git rm -r --cached {path.name}, and commit; or name another folder",
        )


def refuse_tracked_links(path: Path) -> None:
    """Refuse to write to a file to which a link leads that git tracks; links of the user's own are followed.

    Args:
        path: The file, which need not exist, in a repository or outside of any.

    Raises:
        GitError: If git tracks such a link, or cannot say.
    """
    for link in _links(path):
        if any(entry.startswith("120000 ") and _is_at(entry, link) for entry in _tracked(link)):
            raise GitError(
                f"{link.name} is a link that git tracks, whose target would be written to",
                looked_in=str(link),
                next_step="name another place, or remove the link from git",
            )


def _links(path: Path) -> list[Path]:
    """The links that are followed on the way to a file, each named by a path without links to its folder."""
    links: list[Path] = []
    place, ahead = Path(), [*reversed(path.absolute().parts)]
    while ahead and len(links) < MAX_LINKS:
        part = ahead.pop()
        place = place.parent if part == ".." else place / part
        if place.is_symlink():
            links.append(place)
            ahead.extend(reversed(place.readlink().parts))
            place = place.parent
    return links


def _tracked(path: Path) -> tuple[str, ...]:
    """What git tracks at a path or below it, in upper or lower case, as lines of the index."""
    folder = next(parent for parent in path.parents if parent.is_dir())
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return ()
    inside = path.relative_to(folder).as_posix()
    return Repository(folder).call("ls-files", "-z", "--stage", "--", f":(icase,literal){inside}").items


def _is_at(entry: str, path: Path) -> bool:
    """Whether a line of the index is of a path itself, not of what lies below it."""
    return entry.partition("\t")[2].casefold() == path.name.casefold()
