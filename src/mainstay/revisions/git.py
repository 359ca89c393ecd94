"""Interface to git: choice of the two revisions to compare, and a worktree for each.

This module never changes the user's working tree, index, branches, tags or stash. A dirty
working tree becomes a commit that no reference points at, through a separate index. Hooks never run.

- :class:`Repository`: one repository with a working tree; it has all operations.
- :class:`Outcome`: the result of a call of git.
- :class:`Choice`: a revision that was chosen, with notes about the choice.
- :func:`refuse_own_inputs`: refuses shared inputs that a revision has itself.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import subprocess
import time
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import FileLock, Timeout

from mainstay.records.errors import GitError, RevisionError, StoreError, TreeError
from mainstay.records.runs import Revision
from mainstay.records.trials import Side
from mainstay.store.files import FOLDER
from mainstay.store.integrity import WatchedInput
from mainstay.store.interruption import is_undisturbed
from mainstay.store.scratch import is_scratch, remove_abandoned, scratch_folder

LARGE_FILE_BYTES = 50_000_000
"""Size from which a new file is named in a note: it is copied, but may be data that should be ignored."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""First bytes of a file whose content Git LFS has not fetched."""

NUM_LOCK_ATTEMPTS = 20
"""Number of attempts to change the list of worktrees while another git process holds a lock."""

LOCK_SECONDS = 600.0
"""Seconds to wait for a lock that others hold; one may be checking out a large repository."""

_OPTIONS = (
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "core.sparseCheckout=false"),  # worktrees and snapshots are complete, even in a sparse checkout
    *("-c", "core.quotePath=false"),
    *("-c", "gc.auto=0"),
    *("-c", "advice.addEmbeddedRepo=false"),
)

REMOTE_SECONDS = 30.0
"""Limit of a question to a remote repository, whose network may swallow it."""

_VARIABLES = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}

_LOCKED = re.compile(r"\.lock'|File exists|could not create (leading )?director|failed to read .*worktrees/")
"""Messages of git when another process is changing the list of worktrees."""

_PASSED = re.compile(
    "GIT_(ASKPASS|SSH|SSH_COMMAND|SSH_VARIANT|SSL_.*|HTTP_.*|PROXY_.*|ALLOW_PROTOCOL|LFS_.*|EXEC_PATH"
    "|CONFIG_.*|ATTR_NOSYSTEM|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)"
)
"""Variables passed on to git: for its connections, its settings, and its search for a repository.

Any other variable could point git at another repository or index, for example when a hook runs the gate, or change its
output or the way it reads paths.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A revision that was chosen.

    Attributes:
        revision: Revision to be measured.
        is_snapshot: Whether it is a working tree that differs from HEAD.
        notes: Notes for the reader, one sentence each.
    """

    revision: Revision
    is_snapshot: bool = False
    notes: tuple[str, ...] = ()


class _Named(NamedTuple):
    """A commit and the name it was found by, before it is looked up."""

    commit: str
    name: str
    notes: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """Result of one call of git.

    Attributes:
        status: Exit status.
        output: Standard output.
        errors: Standard error.
    """

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """The output as text, without the last line break."""
        return self.output.decode(errors="surrogateescape").rstrip("\n")

    @property
    def items(self) -> tuple[str, ...]:
        """Parts of an output separated by NUL."""
        return tuple(part for part in self.output.decode(errors="surrogateescape").split("\0") if part)


def git_version() -> str:
    """Return the version of the git command.

    Raises:
        GitError: If git is not installed.
    """
    return _call(("--version",), cwd=Path.cwd()).text.removeprefix("git version ")


def remote_commit(address: str, ref: str) -> str:
    """Ask a remote repository which commit a branch or tag names.

    Args:
        address: Of the repository.
        ref: Name of the branch or tag.

    Returns:
        The full hash; empty if there is no such name, or the repository cannot be reached.
    """
    names = {f"refs/tags/{ref}^{{}}": 0, f"refs/tags/{ref}": 1, f"refs/heads/{ref}": 2, ref: 3}
    try:
        listed = _call(("ls-remote", "--", address, *names), cwd=Path.cwd(), seconds=REMOTE_SECONDS).text
    except GitError:
        return ""
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    known = sorted(found.keys() & names.keys(), key=names.__getitem__)
    return found[known[0]] if known else ""


@dataclass(frozen=True)
class Repository:
    """A git repository with a working tree, seen from the project in it that is gated.

    Paths of files are relative to the project's folder, unless a method says otherwise.

    Attributes:
        root: The project's folder: the top of the working tree, or a folder below it.
        folder: The project's folder relative to the top; empty if it is the top.
    """

    root: Path
    folder: str = ""

    @classmethod
    def discover(cls, path: Path) -> Repository:
        """Find the repository that a folder belongs to, and the project: the nearest one at the folder or above it.

        Raises:
            GitError: If there is no repository, or it has no working tree or no commit.
        """
        if not path.is_dir():
            raise GitError("no such folder", looked_in=str(path), next_step="name a folder inside a git repository")
        asked = _call(("rev-parse", "--is-inside-work-tree"), cwd=path, check=False)
        if asked.status != 0 and "not a git repository" in asked.errors:
            raise GitError(
                "not a git repository",
                looked_in=f"{path} and its parents",
                next_step="git init, and commit the project",
            )
        if asked.status != 0:
            raise GitError(f"git cannot read the repository: {_last_lines(asked.errors)}", looked_in=str(path))
        if asked.text != "true":
            raise GitError(
                "a bare repository, or the inside of .git: there is no working tree to gate",
                looked_in=str(path),
                next_step="git clone it, and run the gate in the clone",
            )
        top = Path(_call(("rev-parse", "--show-toplevel"), cwd=path).text)
        root = next((place for place in _upwards(path.resolve(), top.resolve()) if _is_project(place)), top.resolve())
        folder = root.relative_to(top.resolve())
        repository = cls(top / folder, "" if folder == Path() else folder.as_posix())
        if repository._commit("HEAD") is None:
            raise repository.error(
                "the repository has no commit yet, so there is nothing to compare with",
                next_step="git add . && git commit",
            )
        return repository

    @property
    def top(self) -> Path:
        """Top folder of the working tree."""
        return self.top_of(self.root)

    def top_of(self, path: Path) -> Path:
        """Return the top of the worktree whose project folder is the given path."""
        return path.parents[len(PurePosixPath(self.folder).parts) - 1] if self.folder else path

    def _from_top(self, path: str) -> str:
        """A path of the project, relative to the top."""
        return f"{self.folder}/{path}" if self.folder else path

    def error(self, fact: str, *, next_step: str) -> GitError:
        """Make an error that is looked for in the project's folder.

        Args:
            fact: What is wrong.
            next_step: What the user can do.
        """
        return GitError(fact, looked_in=str(self.root), next_step=next_step)

    @cached_property
    def common_folder(self) -> Path:
        """Git's own folder, which all worktrees of the repository share."""
        return Path(self.top, self.call("rev-parse", "--git-common-dir").text).resolve()

    def refuse_tracked_runs(self, commit: str | None = None) -> None:
        """Refuse a repository that tracks the folder of the runs, whose content could then come from someone else.

        Args:
            commit: The commit to examine; the index if ``None``.

        Raises:
            GitError: If the index tracks the folder, in upper or lower case.
            TreeError: If the commit does.
        """
        if commit is None:
            tracked = self.call("ls-files", "-z", "--", f":(top,icase,literal){self._from_top(FOLDER)}").items
        else:
            inside = self.call("ls-tree", "-z", "--name-only", f"{commit}:{self.folder}", check=False).items
            tracked = tuple(name for name in inside if name.casefold() == FOLDER)
        if tracked:
            kind = GitError if commit is None else TreeError
            raise kind(
                f"{FOLDER} is tracked by git: runs of others could be mistaken for your own",
                looked_in=f"{tracked[0]} in {'the index' if commit is None else commit[:10]}",
                next_step=f"git rm -r --cached {FOLDER}, and commit; if it is not yours, do not run the code that it came with",
            )

    # --- which revisions -------------------------------------------------------------------------------------------

    def candidate(self, requested: str | None = None) -> Choice:
        """Choose the candidate: a named revision, or else the working tree as it is.

        A working tree that equals HEAD is HEAD itself.

        Raises:
            RevisionError: If git does not know the revision.
            GitError: If the working tree cannot be copied faithfully.
        """
        if requested is not None:
            named = self._named(requested)
            return Choice(revision=self._revision(Side.CANDIDATE, named.commit, named.name), notes=named.notes)
        head = self.resolve("HEAD")
        commit = self._snapshot(head)
        if commit == head:
            return Choice(revision=self._revision(Side.CANDIDATE, head, "HEAD"))
        return Choice(
            revision=self._revision(Side.CANDIDATE, commit, "working tree"),
            is_snapshot=True,
            notes=self._notes_on_large_files(head, commit),
        )

    def baseline(
        self,
        candidate: Choice,
        *,
        requested: str | None = None,
        default_branch: str | None = None,
        environment: Mapping[str, str],
    ) -> Choice:
        """Choose the baseline of a candidate.

        Args:
            candidate: Revision to be compared with it.
            requested: The revision that the user named.
            default_branch: The configured default branch.
            environment: Environment variables, in which a CI service says what it checked out.

        Raises:
            RevisionError: If git does not know the revision.
            GitError: If no baseline can be determined, or its commit is missing from a shallow clone.
        """
        if requested is not None:
            base = self._named(requested)
        else:
            base = self._base_of(candidate, default_branch, environment)
        return Choice(revision=self._revision(Side.BASELINE, base.commit, base.name), notes=base.notes)

    def resolve(self, name: str) -> str:
        """Return the full hash of the commit that a revision names.

        Raises:
            RevisionError: If git does not know it; the message names the nearest references.
        """
        commit = self._commit(name)
        if commit is not None:
            return commit
        known = self.call("for-each-ref", "--format=%(refname:short)").text.splitlines()
        near = difflib.get_close_matches(name, known, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "git fetch --all --tags, or name another revision"
        raise RevisionError(f"unknown revision {name!r}", looked_in=str(self.root), next_step=advice)

    def commit_of(self, name: str) -> str:
        """Return the full hash of the commit that a gate takes for a name: a branch comes before a tag.

        Raises:
            RevisionError: If git does not know it.
        """
        return self._named(name).commit

    def _named(self, name: str) -> _Named:
        """Look up a name, preferring a branch to a tag, whereas git silently prefers the tag.

        Raises:
            RevisionError: If git does not know it.
        """
        places = ("refs/heads/", "refs/remotes/", "refs/tags/")
        found = {place + name: commit for place in places if (commit := self._commit(place + name)) is not None}
        if len(set(found.values())) < 2 or re.match(r"(HEAD|@)\b", name):
            return _Named(self.resolve(name), name)
        taken, *others = found
        note = f"{name} names {len(found)} revisions: {taken} was taken, not {' or '.join(others)}."
        return _Named(found[taken], name, (note,))

    def default_branch(self, configured: str | None, environment: Mapping[str, str]) -> str | None:
        """Return the default branch as an existing reference, or ``None`` if it is unknown.

        This is the configured name, else ``GITHUB_BASE_REF``, else the HEAD of the remote, else whichever of main
        and master exists alone. A remote-tracking branch is preferred to a local one.

        Raises:
            GitError: If the configuration or CI names a branch that does not exist in this clone.
        """
        named = configured or environment.get("GITHUB_BASE_REF") or None
        if named is not None:
            reference = self._branch(named, self.remote())
            if reference is None:
                source = "tool.mainstay.default_branch" if configured else "GITHUB_BASE_REF"
                raise self.error(
                    f"the default branch {named!r}, named by {source}, is not here",
                    next_step=f"git fetch origin {named}:refs/remotes/origin/{named}",
                )
            return reference
        remote = self.remote()
        if remote is not None:
            head = self.call("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD", check=False).text
            if head and self._commit(head) is not None:
                return head
        found = [branch for name in ("main", "master") if (branch := self._branch(name, remote)) is not None]
        return found[0] if len(found) == 1 else None

    def _base_of(self, candidate: Choice, default_branch: str | None, environment: Mapping[str, str]) -> _Named:
        """Return the default baseline of a candidate."""
        head = self.resolve("HEAD")
        start = head if candidate.is_snapshot else candidate.revision.commit
        if start == head and self._is_pull_request_merge(head, environment):
            return self._base_of_pull_request(head)
        branch = self.default_branch(default_branch, environment)
        if branch is None and self._parents(start):
            raise self.error(
                "cannot tell the default branch: no origin/HEAD, and not exactly one of main and master",
                next_step="git remote set-head origin --auto, set tool.mainstay.default_branch, or name the baseline",
            )
        merge_base = start if branch is None else self._merge_base(start, branch)
        if merge_base != start:
            return _Named(merge_base, f"merge base with {_short(branch)}")
        if candidate.is_snapshot:
            return _Named(head, "HEAD")
        return self._parent_or_itself(start)

    def _parent_or_itself(self, commit: str) -> _Named:
        """Return the first parent, or the commit itself if it has none in this clone."""
        parents = self._parents(commit)
        if parents:
            return _Named(parents[0], f"parent of {commit[:10]}")
        why = "is the first of the repository"
        if self._true_parents(commit):
            why = "has no parent in this shallow clone (git fetch --deepen=1 brings it)"
        note = f"The commit {commit[:10]} {why}, so it is compared with itself: this tests the gate, not a change."
        return _Named(commit, f"{commit[:10]} itself", (note,))

    def _base_of_pull_request(self, merge: str) -> _Named:
        """Return the first parent of a merge commit that CI made."""
        base = self._true_parents(merge)[0]
        if self._commit(base) is None:
            raise self.error(
                f"the base {base[:10]} of the pull request is missing from this shallow clone",
                next_step="git fetch --deepen=1 (with actions/checkout: fetch-depth: 2)",
            )
        return _Named(base, "first parent of the pull request's merge commit")

    def head_of_pull_request(self, merge: str, environment: Mapping[str, str]) -> str:
        """Return the last commit of the pull request of which CI made a merge commit; empty for any other commit."""
        return self._true_parents(merge)[1] if self._is_pull_request_merge(merge, environment) else ""

    def _is_pull_request_merge(self, head: str, environment: Mapping[str, str]) -> bool:
        """Whether HEAD is the merge commit that a CI service made of a pull request."""
        if len(self._true_parents(head)) < 2:
            return False
        if environment.get("GITHUB_EVENT_NAME") == "pull_request" and environment.get("GITHUB_SHA") == head:
            return True
        pointing = self.call("for-each-ref", f"--points-at={head}", "--format=%(refname)").text.splitlines()
        return any(re.fullmatch(r"refs/(remotes/)?pull/\d+/merge", name) for name in pointing)

    def _merge_base(self, commit: str, branch: str) -> str:
        """Return the newest commit that two histories share."""
        found = self.call("merge-base", commit, branch, check=False)
        if found.status == 0:
            return found.text
        if self.call("rev-parse", "--is-shallow-repository").text == "true":
            name = re.sub(r"^refs/(heads/|remotes/[^/]+/)", "", branch)
            remote = self.remote() or "origin"
            raise self.error(
                f"the merge base with {_short(branch)} is missing from this shallow clone",
                next_step=f"git fetch --deepen=1000 {remote} {name}, or git fetch --unshallow {remote}",
            )
        raise self.error(
            f"{commit[:10]} and {_short(branch)} share no commit", next_step="name the baseline to compare with"
        )

    def _branch(self, name: str, remote: str | None) -> str | None:
        """Return the full reference of a branch, remote-tracking before local."""
        places = _branch_places(remote)
        return next((place + name for place in places if self._commit(place + name) is not None), None)

    def branch_name(self, reference: str) -> str:
        """Return the name of a branch, such as ``release/2.0``, from its full reference, remote-tracking or local."""
        places = _branch_places(self.remote())
        return next((reference.removeprefix(place) for place in places if reference.startswith(place)), reference)

    def remote(self) -> str | None:
        """Return origin, or else the sole remote."""
        remotes = self.call("remote").text.splitlines()
        if "origin" in remotes:
            return "origin"
        return remotes[0] if len(remotes) == 1 else None

    def _commit(self, name: str) -> str | None:
        """Return the full hash of a commit, or ``None``."""
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return self.call(*asked, check=False).text or None

    def _parents(self, commit: str) -> list[str]:
        """Return the parents present in this clone."""
        return self.call("rev-list", "--parents", "--max-count=1", commit).text.split()[1:]

    def _true_parents(self, commit: str) -> list[str]:
        """Return the parents that the commit names, which a shallow clone may lack."""
        header = self.call("cat-file", "commit", commit).text.split("\n\n", 1)[0]
        return [line.removeprefix("parent ") for line in header.splitlines() if line.startswith("parent ")]

    def _revision(self, side: Side, commit: str, name: str) -> Revision:
        tree, _, subject = self.call(
            "show", "--no-patch", "--no-show-signature", "--format=%T %s", commit
        ).text.partition(" ")
        return Revision(side=side, commit=commit, tree=tree, subject=subject, name=name)

    # --- the working tree as a commit ------------------------------------------------------------------------------

    def _snapshot(self, head: str) -> str:
        """Commit the working tree through a separate index; return HEAD if nothing differs."""
        with self._own_index() as index:
            self.call("add", "--all", "--", ":/", variables=index)
            runs = f":(top,literal){self._from_top(FOLDER)}"  # to name an ignored path is an error
            self.call("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", runs, variables=index)
            self._refuse_unfaithful_folders(head, index)
            tree = self.call("write-tree", variables=index).text
        if tree == self.call("rev-parse", f"{head}^{{tree}}").text:
            return head
        date = self.call("show", "--no-patch", "--no-show-signature", "--format=%cI", head).text
        message = ("-m", "working tree, with untracked files that are not ignored")
        return self.call("commit-tree", "--no-gpg-sign", "-p", head, *message, tree, variables=author(date)).text

    @contextmanager
    def _own_index(self) -> Iterator[Mapping[str, str]]:
        """Copy the user's index, for its record of unchanged files, and clear the flags that hide edits."""
        conflicts = [line.partition("\t")[2] for line in self.call("ls-files", "--unmerged", "-z").items]
        if conflicts:
            raise self.error(f"{conflicts[0]!r} has unresolved conflicts", next_step="resolve and commit them")
        with scratch_folder(self.common_folder) as folder:
            variables = {"GIT_INDEX_FILE": str(folder / "index")}
            users = Path(self.top, self.call("rev-parse", "--git-path", "index").text)
            if users.exists():
                shutil.copyfile(users, variables["GIT_INDEX_FILE"])
                os.utime(variables["GIT_INDEX_FILE"], (1, 1))  # so that git compares contents, not sizes and times
            tagged = [(entry[0], entry[2:]) for entry in self.call("ls-files", "-v", "-z").items]
            hidden = {
                "--no-assume-unchanged": [path for tag, path in tagged if tag.islower()],
                "--no-skip-worktree": [  # in a sparse checkout, a missing file counts as unchanged from HEAD
                    path for tag, path in tagged if tag in "Ss" and os.path.lexists(self.top / path)
                ],
            }
            for option, paths in hidden.items():
                if paths:
                    self.call(
                        *("update-index", option, "-z", "--stdin"),
                        variables=variables,
                        stdin="\0".join(paths).encode(errors="surrogateescape"),
                    )
            yield variables

    def _refuse_unfaithful_folders(self, head: str, index: Mapping[str, str]) -> None:
        """Refuse nested repositories whose content a commit here would not contain."""
        known = {path for path, _ in self.submodules(head)}
        declared = _submodule_names(":.gitmodules", self.top, index)
        for line in self.call("ls-files", "--stage", "-z", variables=index).items:
            mode, _, rest = line.partition(" ")
            if mode != "160000":
                continue
            path = rest.partition("\t")[2]
            if path not in known and path not in declared:
                raise self.error(
                    f"the untracked folder {path!r} is a git repository of its own, whose files a copy would lack",
                    next_step=f"add {path} to .gitignore, or make it a submodule",
                )
            self._refuse_dirty_submodule(path)

    def _refuse_dirty_submodule(self, path: str) -> None:
        folder = self.top / path
        if not (folder / ".git").exists():
            raise GitError(
                f"the submodule {path!r} is not checked out",
                looked_in=str(folder),
                next_step=_update_command(path),
            )
        with Repository(folder)._own_index() as index:
            changes = _call(("status", "--porcelain", "--ignore-submodules=none"), cwd=folder, variables=index).text
        if changes:
            raise GitError(
                f"the submodule {path!r} has changes that are not committed",
                looked_in=str(folder),
                next_step=f"commit or remove the changes inside {path}",
            )

    def _notes_on_large_files(self, head: str, commit: str) -> tuple[str, ...]:
        added = self.call("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A", head, commit).items
        sizes = {path: (self.top / path).lstat().st_size for path in added if os.path.lexists(self.top / path)}
        return tuple(
            f"The new file {path} has {size / 1e6:.0f} MB; if it is data, ignore it and share it."
            for path, size in sizes.items()
            if size > LARGE_FILE_BYTES
        )

    # --- worktrees -------------------------------------------------------------------------------------------------

    def scratch_folder(self) -> AbstractContextManager[Path]:
        """A temporary folder of one gate that is removed at the end, with every worktree in it.

        Raises:
            StoreError: If it cannot be made.
        """
        return scratch_folder(self.common_folder, release=self._forget_worktrees)

    def sweep(self) -> None:
        """Remove the temporary folders and worktrees that killed gates and calibrations left behind.

        What is removed depends only on the system's folder for temporary files and on git's own list of worktrees,
        never on a file of the repository.

        Raises:
            GitError: If git cannot list its worktrees.
        """
        remove_abandoned(self.common_folder, release=self._forget_worktrees)
        with self._worktrees_locked():
            for path in self.worktrees():
                scratch = path.parents[min(1, len(path.parents) - 1)]
                if is_scratch(scratch) and not scratch.exists():  # such as after a restart of the machine
                    self._forget_worktree(path)

    def _forget_worktrees(self, under: Path) -> None:
        """Remove git's records of worktrees in an empty folder."""
        with self._worktrees_locked():
            for path in self.worktrees():
                if path.is_relative_to(under):
                    self._forget_worktree(path)

    @contextmanager
    def locked(self, what: str, *, fact: str, next_step: str) -> Iterator[None]:
        """Let only one process at a time change something of the repository.

        Args:
            what: Name of what is changed, for the file of the lock.
            fact: What is wrong if others do not finish in time.
            next_step: What the user can do then.

        Raises:
            GitError: If others do not finish in time.
        """
        place = self.common_folder / f"mainstay-{what}.lock"
        try:
            with FileLock(place, timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise GitError(fact, looked_in=str(place), next_step=next_step) from error

    def _worktrees_locked(self) -> AbstractContextManager[None]:
        """Let only one gate at a time change the list of worktrees, since git fails on concurrent changes."""
        fact = "another gate is changing the list of worktrees and does not finish"
        return self.locked("worktrees", fact=fact, next_step="end it, then run the gate again")

    def add_worktree(self, commit: str, path: Path) -> None:
        """Check a commit out into a new folder, submodules included, with a detached HEAD and no hooks.

        Args:
            commit: The commit to check out.
            path: Path of the project's folder in the worktree; an empty folder is created if the commit does not have
                it.

        Raises:
            GitError: If it cannot be checked out, a submodule's commit is missing, Git LFS left only pointers, or the
                project's folder cannot be made because of a file in its place.
        """
        top = self.top_of(path)
        with self._worktrees_locked():
            self._git_unlocked("worktree", "add", "--quiet", "--detach", str(top), commit)
        try:
            folders = dict.fromkeys((Path(self.call("rev-parse", "--absolute-git-dir").text), self.common_folder))
            self._fill_submodules(commit, top, users=self.top, folders=list(folders))
            _refuse_lfs_pointers(top)
            if path != top:
                if file := _file_on_the_way(path, top):
                    raise TreeError(
                        f"{file.relative_to(top).as_posix()!r} of the revision is no folder, and the project is in "
                        f"{self.folder!r}",
                        looked_in=str(file),
                        next_step="choose another revision: this one has the project elsewhere, or not yet",
                    )
                _refuse_way_out(path / FOLDER, top)
                path.mkdir(parents=True, exist_ok=True)
        except BaseException:
            self.remove_worktree(path)
            raise

    def remove_worktree(self, path: Path) -> None:
        """Remove the worktree of a project's folder, and git's record of it; a missing worktree is not an error."""
        top = self.top_of(path)
        with self._worktrees_locked():
            if top.resolve() in {listed.resolve() for listed in self.worktrees()}:
                self._forget_worktree(top)
            else:
                shutil.rmtree(top, ignore_errors=True)

    def _forget_worktree(self, top: Path) -> None:
        """Remove a worktree that git knows."""
        self._git_unlocked("worktree", "remove", "--force", "--force", str(top))

    def worktrees(self) -> tuple[Path, ...]:
        """Return the folders of all worktrees that git knows, the main one first."""
        lines = self._git_unlocked("worktree", "list", "--porcelain").text.splitlines()
        return tuple(Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree "))

    def submodules(self, commit: str, git: Path | None = None) -> tuple[tuple[str, str], ...]:
        """Return path and commit of each submodule of a commit.

        Args:
            commit: The commit.
            git: Git's folder of the repository that it belongs to, if that is a submodule itself.
        """
        asked = ("ls-tree", "-r", "-z", "--full-tree", commit)
        lines = (_call(asked, cwd=git, variables=_reading(git)) if git else self.call(*asked)).items
        entries = (line.partition("\t") for line in lines)
        return tuple((path, facts.split()[2]) for facts, _, path in entries if facts.startswith("160000 "))

    def _fill_submodules(
        self,
        commit: str,
        target: Path,
        *,
        users: Path,
        folders: Sequence[Path],
        within: tuple[str, str, str] | None = None,
    ) -> None:
        """Check out submodules from the user's own copies, without network access.

        Git keeps the copies of submodules that the working tree no longer has.

        Args:
            commit: The commit that has the submodules.
            target: Its worktree.
            users: The user's working tree of the same repository, which may be gone.
            folders: Git's folders of that repository.
            within: Commit of the whole, with path and commit of its submodule that the repository is, or lies in.
        """
        links = self.submodules(commit, folders[0])
        names = _submodule_names(f"{commit}:.gitmodules", folders[0], _reading(folders[0])) if links else {}
        for path, wanted in links:
            place, outermost = target / path, within or (commit, path, wanted)
            kept = _kept_copies(folders, names[path]) if path in names else []
            copies = [folder for folder in (_git_folder(users / path), *kept) if folder and folder.is_dir()]
            git = next((folder for folder in copies if _has_commit(folder, wanted)), None)
            if git is None:
                is_checked_out = (users / path / ".git").exists()
                lacking = f"the commit {wanted[:10]} of the submodule {path!r} is not here"
                fetch = f"git -C {shlex.quote(str((users / path).relative_to(self.top)))} fetch origin {wanted}"
                raise TreeError(
                    lacking if copies else f"the submodule {path!r} is not checked out",
                    looked_in=str(users / path),
                    next_step=fetch if is_checked_out else self._way_to(*outermost),
                )
            _refuse_way_out(place, target)
            place.mkdir(parents=True, exist_ok=True)
            with scratch_folder(self.common_folder) as folder:
                variables = {
                    "GIT_DIR": str(git),
                    "GIT_WORK_TREE": str(place),
                    "GIT_INDEX_FILE": str(folder / "index"),
                }
                _call(("read-tree", "--reset", "-u", wanted), cwd=place, variables=variables)
            self._fill_submodules(wanted, place, users=users / path, folders=[git], within=outermost)

    def _way_to(self, commit: str, path: str, wanted: str) -> str:
        """The commands that bring a submodule of a commit: git updates only submodules that the index has."""
        update = _update_command(path)
        if self.call("ls-files", "--stage", "-z", "--", f":(top,literal){path}").text.startswith(f"160000 {wanted} "):
            return update
        return (
            f"commit what you changed, then git checkout {commit[:10]} && {update} && "
            f"git submodule deinit --force {shlex.quote(path)} && git checkout -"
        )

    def _git_unlocked(self, *arguments: str) -> Outcome:
        """Call git, and retry while another process holds a lock."""
        outcome = self.call(*arguments, check=False)
        for attempt in range(NUM_LOCK_ATTEMPTS):
            if outcome.status == 0 or not _LOCKED.search(outcome.errors):
                break
            time.sleep(0.05 * (attempt + 1))
            outcome = self.call(*arguments, check=False)
        if outcome.status:
            raise _failure(arguments, self.top, outcome)
        return outcome

    # --- content ---------------------------------------------------------------------------------------------------

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Return a file's content at a commit, or ``None`` if the file does not exist there."""
        found = self.call("cat-file", "blob", f"{commit}:{self._from_top(path)}", check=False)
        return found.output if found.status == 0 else None

    def folder_digest(self, commit: str, path: str) -> str | None:
        """Return a hash of all names and contents below a path at a commit, or ``None`` if it does not exist there.

        Links are part of the content and not followed, except a folder that the path leads through.
        """
        place = f"{commit}:{self._from_top(path)}"
        if found := self.call("rev-parse", "--verify", "--quiet", "--end-of-options", place, check=False).text:
            return found
        followed = self.call("cat-file", "--batch-check", "--follow-symlinks", stdin=f"{place}\n".encode()).text
        return match[1] if (match := re.fullmatch(r"([0-9a-f]+) tree \d+", followed)) else None

    def ignores(self, path: str) -> bool:
        """Whether git would ignore an untracked file of the working tree."""
        asked = ("check-ignore", "--quiet", "--no-index", "--", self._from_top(path))
        return self.call(*asked, check=False).status == 0

    def latest_version(self, commit: str) -> str:
        """Return the version in the nearest tag before a commit; ``0.0.0`` if there is none."""
        return version_of(self.call("describe", "--tags", "--abbrev=0", commit, check=False).text)

    def listed_files(self, folder: str | None = None) -> tuple[str, ...]:
        """Return the files of the working tree that git tracks or does not ignore, sorted.

        Args:
            folder: A folder relative to the top, instead of the project's folder; the paths are then also relative to
                the top.
        """
        place = self.folder if folder is None else folder
        asked = (
            "--literal-pathspecs",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            place or ".",
        )
        found = [path for path in set(self.call(*asked).items) if (self.top / path).is_file()]
        if folder is None:
            found = [PurePosixPath(path).relative_to(self.folder).as_posix() for path in found]
        return tuple(sorted(found))

    # --- shared inputs ---------------------------------------------------------------------------------------------

    def link_shared(self, paths: Collection[str], worktree: Path, side: Side) -> None:
        """Link ignored inputs of the user's tree into a worktree.

        A link cannot prevent writing, and a copy of a large data set would take longer than the gate. So the input
        itself is linked, and what :meth:`read_shared` returns detects a write by a workload.

        Args:
            paths: The inputs, which exist.
            worktree: The project's folder in the worktree.
            side: The revision.

        Raises:
            TreeError: If the revision has one of the inputs itself, or a file where an input needs a folder.
        """
        refuse_own_inputs(paths, worktree, side)
        for path in sorted(paths):
            place = worktree / path
            if not place.exists():  # a path inside another one, which comes after it, was linked with it
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to((self.root / path).resolve())

    def read_shared(self, paths: Iterable[str]) -> dict[str, WatchedInput]:
        """Read each shared input.

        Raises:
            TreeError: If an input does not exist.
        """
        found = {}
        for path in paths:
            place = self.root / path
            if not place.exists():
                raise TreeError(
                    f"the shared input {path!r} does not exist",
                    looked_in=str(place),
                    next_step=f"fetch the data, or remove {path} from tool.mainstay.share",
                )
            found[path] = WatchedInput(place)
        return found

    def call(
        self, *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> Outcome:
        """Call git in this repository.

        Args:
            arguments: Arguments of the command.
            check: Whether a failure is an error.
            variables: Environment variables in addition to those of every call.
            stdin: Standard input.

        Raises:
            GitError: If the command fails and ``check`` is set.
        """
        return _call(arguments, cwd=self.top, check=check, variables=variables, stdin=stdin)


def _upwards(path: Path, top: Path) -> Iterator[Path]:
    """A folder and its parents, up to but excluding the top."""
    yield from (place for place in (path, *path.parents) if place.is_relative_to(top) and place != top)


def _is_project(folder: Path) -> bool:
    """Whether a folder is a project of its own, such as one package in a repository with several."""
    if (folder / "setup.py").is_file():
        return True
    try:
        document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True  # the reader reports what is wrong with it
    except OSError:
        return False
    return bool({"project", "build-system"} & document.keys()) or "mainstay" in document.get("tool", {})


def author(date: str = "") -> dict[str, str]:
    """Environment variables that name this tool as the author of a commit.

    Args:
        date: Date of the commit; with a fixed one, equal trees with equal parents give equal commits.
    """
    known = {"NAME": "mainstay", "EMAIL": "mainstay@example.invalid", **({"DATE": date} if date else {})}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in known.items()}


def without_repository(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those that point git to another repository or index.

    Example:
        >>> without_repository({"GIT_DIR": "/elsewhere", "GIT_SSH": "ssh", "LANG": "C"})
        {'GIT_SSH': 'ssh', 'LANG': 'C'}
    """
    return {name: value for name, value in environ.items() if not name.startswith("GIT_") or _PASSED.fullmatch(name)}


def _call(
    arguments: Sequence[str],
    *,
    cwd: Path,
    check: bool = True,
    variables: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float | None = None,
) -> Outcome:
    """Run git in a folder, and raise if it fails, unless told not to, or takes longer than some seconds."""
    try:
        process = subprocess.run(
            ["git", *_OPTIONS, *arguments],
            cwd=cwd,
            env={**without_repository(os.environ), **_VARIABLES, **(variables or {})},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=seconds,
            process_group=0 if is_undisturbed() else None,  # a terminal sends Ctrl-C to the whole process group
        )
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} took longer than {seconds:g} s", looked_in=str(cwd), next_step="look at the network"
        ) from None
    except FileNotFoundError:
        raise GitError("git is not installed", looked_in="PATH", next_step="install git") from None
    outcome = Outcome(process.returncode, process.stdout, process.stderr.decode(errors="replace"))
    if check and outcome.status != 0:
        raise _failure(arguments, cwd, outcome)
    return outcome


def _failure(arguments: Sequence[str], cwd: Path, outcome: Outcome) -> GitError | StoreError:
    """Return the error for a call of git that failed."""
    fact = f"git {' '.join(arguments[:2])} failed with status {outcome.status}: {_last_lines(outcome.errors)}"
    if "git-lfs" in outcome.errors:
        return GitError(fact, looked_in=str(cwd), next_step="install git-lfs, then git lfs install && git lfs pull")
    if "No space left" in outcome.errors:
        return StoreError(fact, looked_in=str(cwd), next_step="free some disk space, then run it again")
    return GitError(fact, looked_in=str(cwd), next_step="correct the error that git reports, then run the gate again")


def _last_lines(text: str) -> str:
    """Return the last three lines of git's error output as one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-3:]) or "it said nothing"


def _branch_places(remote: str | None) -> tuple[str, ...]:
    """Prefixes of the full references of branches, remote-tracking before local."""
    return (*((f"refs/remotes/{remote}/",) if remote else ()), "refs/remotes/", "refs/heads/")


def _short(reference: str | None) -> str:
    """Return the short form of a reference."""
    return re.sub(r"^refs/(heads|remotes|tags)/", "", reference or "")


def version_of(tag: str) -> str:
    """Return the PEP 440 version at the end of a tag; ``0.0.0`` if there is none.

    Example:
        >>> [version_of(tag) for tag in ("v1.2.3", "subject-2.0rc1", "nightly", "")]
        ['1.2.3', '2.0rc1', '0.0.0', '0.0.0']
    """
    match = re.search(r"(?<![\d.])\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?$", tag)
    return match[0] if match else "0.0.0"


def _reading(git: Path) -> dict[str, str]:
    """Variables with which git reads a repository by its own folder, also if the working tree that it names is gone."""
    return {"GIT_DIR": str(git), "GIT_WORK_TREE": str(git)}


def _git_folder(tree: Path) -> Path | None:
    """Git's folder of a working tree; ``None`` if that is not checked out."""
    if not (tree / ".git").exists():
        return None
    found = _call(("rev-parse", "--absolute-git-dir"), cwd=tree, check=False)
    return Path(found.text) if found.status == 0 else None


def _update_command(path: str) -> str:
    """Command that checks out a submodule which the index has.

    Example:
        >>> _update_command("my library")
        "git submodule update --init --recursive 'my library'"
    """
    return f"git submodule update --init --recursive {shlex.quote(path)}"


def _has_commit(git: Path, commit: str) -> bool:
    """Whether the repository of one of git's folders has a commit."""
    asked = ("cat-file", "-e", f"{commit}^{{commit}}")
    return _call(asked, cwd=git, variables=_reading(git), check=False).status == 0


def _submodule_names(blob: str, cwd: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Names of the submodules that a version of .gitmodules declares, by path."""
    asked = ("config", "-z", "--blob", blob, "--get-regexp", r"^submodule\..*\.path$")
    entries = (item.partition("\n") for item in _call(asked, cwd=cwd, variables=variables, check=False).items)
    return {path: key.removeprefix("submodule.").removesuffix(".path") for key, _, path in entries}


def _kept_copies(folders: Iterable[Path], name: str) -> list[Path]:
    """Places where git keeps the submodule of a name; none for a name that leads elsewhere, which git refuses, too."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        return []
    return [folder / "modules" / name for folder in folders]


def refuse_own_inputs(paths: Iterable[str], worktree: Path, side: Side) -> None:
    """Refuse shared inputs that a revision has itself, or whose folder cannot be made in it for a file or a link.

    Args:
        paths: The inputs, relative to the project's folder.
        worktree: The project's folder in the worktree of the revision, before anything is linked into it.
        side: The revision.

    Raises:
        TreeError: For the first such input.
    """
    for path in paths:
        place = worktree / path
        if os.path.lexists(place):
            raise TreeError(
                f"the {side} has its own {path!r}, so that input cannot be shared: git tracks it, or a build makes it",
                looked_in=str(place),
                next_step=f"remove {path} from tool.mainstay.share or from git, or share it under another name",
            )
        if file := _file_on_the_way(place.parent, worktree):
            name = file.relative_to(worktree).as_posix()
            found = "a link that leads to no folder" if file.is_symlink() else "a file"
            raise TreeError(
                f"the {side} has {found} at {name!r}, where the shared input {path!r} needs a folder: "
                "git tracks it, or a build makes it",
                looked_in=str(file),
                next_step=f"remove {path} from tool.mainstay.share or {name} from git, or share it under another name",
            )
        _refuse_way_out(place, worktree)


def _file_on_the_way(folder: Path, top: Path) -> Path | None:
    """What prevents that a folder is made: a file, or a link to anything but a folder, at its place or above it."""
    return next((place for place in _upwards(folder, top) if os.path.lexists(place) and not place.is_dir()), None)


def _refuse_way_out(place: Path, worktree: Path) -> None:
    """Refuse to write to a path that a tracked link leads out of the worktree."""
    if not place.parent.resolve().is_relative_to(worktree.resolve()):
        raise TreeError(
            f"a link of the revision leads {place.relative_to(worktree).as_posix()!r} out of the project",
            looked_in=str(place.parent.resolve()),
            next_step="remove the link from git",
        )


def _refuse_lfs_pointers(worktree: Path) -> None:
    """Refuse files whose content Git LFS should have fetched."""
    files = _call(("ls-files", "-z"), cwd=worktree).output
    listed = _call(("check-attr", "-z", "--stdin", "filter"), cwd=worktree, stdin=files).output
    fields = listed.decode(errors="surrogateescape").split("\0")
    for path, _, driver in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        place = worktree / path
        if driver != "lfs" or not place.is_file():
            continue
        with place.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise TreeError(
                    f"{path!r} is a Git LFS pointer, its content was not fetched",
                    looked_in=str(worktree),
                    next_step="install git-lfs, then git lfs install && git lfs pull",
                )
