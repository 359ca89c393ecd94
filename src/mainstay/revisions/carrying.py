"""Carrying two revisions to another machine: their content, without the history before them.

- :func:`pack`: both revisions as :class:`Carried`, which is plain data.
- :func:`unpack`: a repository with just these two commits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mainstay.records.errors import GitError
from mainstay.records.runs import Revision
from mainstay.records.trials import Side
from mainstay.revisions.git import Repository, author

DATE = "1980-01-01T00:00:00Z"
"""Date of the commits, so that equal trees give equal commits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """Both revisions.

    Attributes:
        objects: Pack of git objects.
        commits: Commit without parents of each revision.
        folder: The project's folder relative to the top.
        version: Version of the nearest tag before the baseline.
    """

    objects: bytes
    commits: Mapping[Side, str]
    folder: str
    version: str

    @property
    def digest(self) -> str:
        """SHA-256 of what is carried; the bytes of a pack need not be the same twice."""
        return hashlib.sha256(" ".join([*self.commits.values(), self.folder, self.version]).encode()).hexdigest()


def pack(repository: Repository, revisions: Mapping[Side, Revision]) -> Carried:
    """Pack two revisions.

    Args:
        repository: The user's repository.
        revisions: Both revisions.

    Raises:
        GitError: If a revision has submodules, whose content is in other repositories.
    """
    commits = {}
    for side, revision in revisions.items():
        if submodules := [path for path, _ in repository.submodules(revision.commit)]:
            raise GitError(
                f"the {side} has submodules, which cannot be carried to other machines: {', '.join(submodules)}",
                looked_in=revision.commit,
                next_step="gate it on one machine, or in shards: 'mainstay trials --shard I/N'",
            )
        made = repository.call("commit-tree", "--no-gpg-sign", "-m", "carried", revision.tree, variables=author(DATE))
        commits[side] = made.text
    wanted = "".join(f"{commit}\n" for commit in commits.values()).encode()
    return Carried(
        objects=repository.call("pack-objects", "--revs", "--stdout", "-q", stdin=wanted).output,
        commits=commits,
        folder=repository.folder,
        version=repository.latest_version(revisions[Side.BASELINE].commit),
    )


def unpack(carried: Carried, place: Path) -> Repository:
    """Make a repository with two commits.

    Args:
        carried: Both revisions.
        place: Folder of the repository, which is created.
    """
    project = place / carried.folder
    project.mkdir(parents=True)
    repository = Repository(project, carried.folder)
    baseline = carried.commits[Side.BASELINE]
    repository.call("init", "--quiet", "--object-format", "sha256" if len(baseline) == 64 else "sha1", str(place))
    repository.call("index-pack", "--stdin", stdin=carried.objects)
    for side, commit in carried.commits.items():
        repository.call("update-ref", f"refs/heads/{side}", commit)
    repository.call("symbolic-ref", "HEAD", f"refs/heads/{Side.CANDIDATE}")
    repository.call("tag", f"v{carried.version}", baseline)
    return repository
