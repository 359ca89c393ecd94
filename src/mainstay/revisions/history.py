"""History branches, one for each year; files are added without a working tree and never changed.

Each file is added once, under a name that its content makes unique. So writers cannot conflict: if another writer was
faster, a writer adds its files to the new tip. Only a file that was altered by hand is replaced, by the one that its
name stands for. The branches share no commit with the project.

- :class:`HistoryBranches`: fetch, read and append.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from mainstay.records.errors import GitError, UsageError
from mainstay.revisions.git import Outcome, Repository, author
from mainstay.store.history import RUNS, WITHDRAWN, is_intact, stem_of
from mainstay.store.scratch import scratch_folder

BRANCH = "mainstay-history/"
"""Prefix of the branch names, before the year. Branches are used because hosts can forbid rewriting them."""

NUM_TRIES = 20
"""Attempts of a writer to append before it leaves its files in the inbox for the next writer."""

HERE = "."
"""Name that stands for the repository itself instead of a remote."""

OnLoss = Literal["refuse", "keep", "forget"]
"""What to do if a file of the history is missing or altered at the remote."""

_KNOWN, _FETCHED, _INBOX = "refs/mainstay/history/", "refs/mainstay/fetched/", "refs/mainstay/inbox/"
_MAX_ARGUMENTS = 100
_STALE_SECONDS = 5.0
_OVERTAKEN = re.compile(
    r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref|incorrect old value"
    r"|failed to lock|already exists|remote ref updated since checkout|\.lock'"
)


@dataclass(frozen=True, slots=True)
class HistoryBranches:
    """The history of one repository.

    Attributes:
        repository: The user's repository.
        remote: Remote at which the branches are shared; the repository itself if ``.``.
        sleep: Function that waits between two attempts.
        rng: Random generator for the waiting times, so that two writers do not stay in step.
    """

    repository: Repository
    remote: str
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    rng: random.Random = field(default_factory=random.Random, repr=False)

    @classmethod
    def of(cls, repository: Repository, remote: str | None = None) -> HistoryBranches:
        """The history branches at a remote: by default origin, else the only remote, else the repository itself.

        Raises:
            GitError: If there is no such remote.
        """
        known = repository.call("remote").text.splitlines()
        if remote is not None and remote != HERE and remote not in known:
            raise repository.error(f"no remote {remote!r}", next_step=f"name one of {', '.join([*known, HERE])}")
        return cls(repository, remote or repository.remote() or HERE)

    def sync(self, *, restore: bool = False, forget: bool = False) -> Mapping[str, str]:
        """Fetch what others have added, and append the files in the inbox if that is possible.

        Args:
            restore: Append local files again that were removed or altered at the remote.
            forget: Accept the branch as it is at the remote, and drop local files that were removed or altered there.

        Returns:
            Commit at the tip of each year's branch.

        Raises:
            GitError: If the remote cannot be reached, a branch was rewritten, or is not a history.
        """
        with self._locked():
            on_loss: OnLoss = "keep" if restore else "forget" if forget else "refuse"
            for year, files in self._fetch(on_loss).items():
                if restore:
                    self._append(year, files, "Restore what was removed", on_loss="keep")
            with suppress(GitError):  # without write access, what waits in the inbox is left to the next writer
                self._sweep()
            return self._tips(_KNOWN)

    def are_here(self) -> bool:
        """Whether the repository has any history, without asking the remote."""
        return bool(self._tips(_KNOWN) or (self.remote == HERE and self._tips(f"refs/heads/{BRANCH}")))

    def num_waiting(self) -> int:
        """Number of writes that wait in the inbox for the next writer, as of the last fetch."""
        return len(self._tips(_INBOX))

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Location (``BRANCH:PATH``) and content of all local files; :meth:`sync` fetches those of the remote.

        Raises:
            GitError: If git cannot read them.
        """
        if self.remote == HERE:
            self.sync()
        for year, tip in self._tips(_KNOWN).items():
            files = self._files(tip)
            places = (f"{BRANCH}{year}:{path}" for path in files)
            yield from zip(places, self._contents(files.values()), strict=True)

    def append(self, year: str, files: Mapping[str, bytes], message: str) -> bool:
        """Add files to the branch of a year; existing files are unchanged, unless they were damaged.

        Args:
            year: Year in four digits.
            files: Content by path.
            message: Commit message.

        Returns:
            Whether the files are on the branch; if not, too many others were writing, and the files wait in the inbox.

        Raises:
            UsageError: If a run was withdrawn.
            GitError: If the remote cannot be reached or refuses, or a branch was rewritten or is not a history.
        """
        with self._locked():
            self._fetch()
            self._sweep()
            self._refuse_withdrawn(year, files)
            blobs = {path: self._blob(content) for path, content in files.items()}
            return self._append(year, blobs, message)

    # --- fetching --------------------------------------------------------------------------------------------------

    def _fetch(self, on_loss: OnLoss = "refuse") -> dict[str, dict[str, str]]:
        """Fetch all branches, and return the files that were removed or altered at the remote, by year.

        Args:
            on_loss: What to do if there is such a file: ``refuse``, ``keep`` the local file, or ``forget`` it.
        """
        self._bring()
        known, found = self._tips(_KNOWN), self._tips(_FETCHED)
        gone = {}
        for year in sorted({*known, *found}):
            if year in found:
                self._refuse_foreign(year, found[year])
            if known.get(year) not in {None, found.get(year)}:
                here, there = self._files(known[year]), self._files(found[year]) if year in found else {}
                if lost := self._intact({path: blob for path, blob in here.items() if there.get(path) != blob}):
                    gone[year] = lost
        if gone and on_loss == "refuse":
            year, lost = next(iter(gone.items()))
            what = "was deleted" if year not in found else f"lacks {len(lost)} files that it had, such as {min(lost)}"
            raise GitError(
                f"the branch {BRANCH}{year} {what}",
                looked_in=f"the remote {self.remote}" if self.remote != HERE else str(self.repository.root),
                next_step="'mainstay history sync --restore' appends them again, '--forget' takes the branch as it is",
            )
        for year in {*known, *found} - (gone.keys() if on_loss == "keep" else set()):
            if year in found:
                self.repository.call("update-ref", f"{_KNOWN}{year}", found[year])
            else:
                self.repository.call("update-ref", "-d", f"{_KNOWN}{year}")
        return gone

    def _bring(self) -> None:
        """Fetch the remote's branches into separate references."""
        is_shallow = self.repository.call("rev-parse", "--is-shallow-repository").text == "true"
        refspecs = [f"+refs/heads/{BRANCH}*:{_FETCHED}*"]
        if self.remote != HERE:
            refspecs.append(f"+{_INBOX}*:{_INBOX}*")
        options = ["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap="]
        depth = ["--depth=1"] if is_shallow and self.remote != HERE else []
        fetched = self.repository.call("fetch", *options, *depth, self.remote, *refspecs, check=False)
        if fetched.status != 0 and depth and not fetched.errors:  # git's message if there is nothing to fetch
            fetched = self.repository.call("fetch", *options, self.remote, *refspecs, check=False)
        if fetched.status != 0:
            raise self._refused("the history cannot be fetched", fetched)

    def _refuse_foreign(self, year: str, tip: str) -> None:
        """Refuse a branch with the name of a history branch but other content."""
        names = set(self.repository.call("ls-tree", "-z", "--name-only", tip).items)
        if not re.fullmatch(r"\d{4}", year) or names - {RUNS, WITHDRAWN}:
            other = sorted(names - {RUNS, WITHDRAWN})
            raise GitError(
                f"the branch {BRANCH}{year} is not a history: "
                + (f"it holds {other[0]!r}" if other else "its name does not end in a year"),
                looked_in=f"the remote {self.remote}" if self.remote != HERE else str(self.repository.root),
                next_step=f"rename that branch: names that begin with {BRANCH} belong to the history",
            )

    def _refused(self, fact: str, outcome: Outcome) -> GitError:
        """The error for a failed call to the remote."""
        said = "; ".join([line.strip() for line in outcome.errors.splitlines() if line.strip()][-3:])
        return GitError(
            f"{fact}: {said or 'git said nothing'}",
            looked_in=f"the remote {self.remote}",
            next_step="without write access, leave it to the job of the default branch, which adds the run; otherwise "
            "correct the cause and try again: no run is added twice",
        )

    # --- reading ---------------------------------------------------------------------------------------------------

    def _tips(self, place: str) -> dict[str, str]:
        """Commits of references with a prefix, by the rest of the name."""
        lines = self.repository.call("for-each-ref", "--format=%(objectname) %(refname)", place).text.splitlines()
        pairs = (line.split(" ", 1) for line in lines)
        return {name.removeprefix(place): commit for commit, name in pairs}

    def _files(self, tip: str, paths: Iterable[str] = ()) -> dict[str, str]:
        """Blobs of a commit by path, for some paths or all."""
        lines = self.repository.call("ls-tree", "-r", "-z", "--full-tree", tip, "--", *paths).items
        entries = (line.partition("\t") for line in lines)
        return {path: facts.split()[2] for facts, _, path in entries if facts.split()[1] == "blob"}

    def _contents(self, blobs: Iterable[str]) -> Iterator[bytes]:
        """Contents of blobs, in order."""
        names = "".join(f"{blob}\n" for blob in blobs).encode()
        output = self.repository.call("cat-file", "--batch", stdin=names).output
        start = 0
        while start < len(output):
            end = output.index(b"\n", start)
            facts = output[start:end].split()
            if facts[1:] == [b"missing"]:
                raise self.repository.error(
                    f"the content {facts[0].decode()[:10]} of a kept run is not here",
                    next_step="'mainstay history sync' fetches it",
                )
            size = int(facts[2])
            yield output[end + 1 : end + 1 + size]
            start = end + size + 2

    def _intact(self, files: Mapping[str, str]) -> dict[str, str]:
        """The files that were not damaged, blobs by path."""
        contents = self._contents(files.values())
        return {
            path: blob
            for (path, blob), content in zip(files.items(), contents, strict=True)
            if is_intact(path, content)
        }

    def _refuse_withdrawn(self, year: str, paths: Iterable[str]) -> None:
        """Refuse a run that was withdrawn, since its withdrawal would hide it."""
        tip = self._tips(_KNOWN).get(year)
        withdrawals = {stem_of(path): path for path in self._files(tip, [WITHDRAWN])} if tip else {}
        for path in paths:
            if path.startswith(f"{RUNS}/") and (withdrawal := withdrawals.get(stem_of(path))):
                raise UsageError(
                    f"not kept: {stem_of(path)} was withdrawn",
                    looked_in=f"{BRANCH}{year}:{withdrawal}",
                    next_step="gate the commit again, and add that run: a withdrawal is final",
                )

    # --- writing ---------------------------------------------------------------------------------------------------

    def _blob(self, content: bytes) -> str:
        return self.repository.call("hash-object", "-w", "--stdin", stdin=content).text

    def _append(self, year: str, blobs: Mapping[str, str], message: str, *, on_loss: OnLoss = "refuse") -> bool:
        """Add blobs to a branch, retrying while other processes push first."""
        for attempt in range(NUM_TRIES):
            tip = self._tips(_FETCHED).get(year)
            commit = self._commit(tip, blobs, message, on_loss)
            pushed = self._push(f"{commit}:refs/heads/{BRANCH}{year}") if commit != tip else None
            if pushed is None or pushed.status == 0:
                for place in (_FETCHED, _KNOWN):
                    self.repository.call("update-ref", f"{place}{year}", commit)
                return True
            if not _OVERTAKEN.search(pushed.errors + pushed.text):
                raise self._refused("the history cannot be written", pushed)
            self.sleep(self.rng.uniform(0, 0.05 * 1.5**attempt))
            blobs = {**blobs, **self._fetch(on_loss).get(year, {})}
        commit = self._commit(None, blobs, message, on_loss)
        pushed = self._push(f"{commit}:{_INBOX}{year}-{commit}")
        if pushed.status != 0:
            raise self._refused("the history cannot be written", pushed)
        return False

    def _commit(self, tip: str | None, blobs: Mapping[str, str], message: str, on_loss: OnLoss) -> str:
        """A commit that adds the missing blobs to a tip; the tip itself if none is missing.

        A file of the tip stays if it is intact, such as the withdrawal by somebody else, unless files are restored.
        """
        there = self._files(tip, blobs if len(blobs) < _MAX_ARGUMENTS else ()) if tip else {}
        wanted = {path: blob for path, blob in blobs.items() if there.get(path) != blob}
        if there and on_loss != "keep":
            stay = self._intact({path: there[path] for path in wanted if path in there})
            wanted = {path: blob for path, blob in wanted.items() if path not in stay}
        if tip and not wanted:
            return tip
        with scratch_folder(self.repository.common_folder) as folder:
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            if tip:
                self.repository.call("read-tree", tip, variables=index)
            lines = "".join(f"100644 {blob}\t{path}\0" for path, blob in wanted.items()).encode()
            self.repository.call("update-index", "-z", "--add", "--index-info", variables=index, stdin=lines)
            tree = self.repository.call("write-tree", "--missing-ok", variables=index).text
        parents = ("-p", tip) if tip else ()
        return self.repository.call(
            "commit-tree", "--no-gpg-sign", *parents, "-m", message, tree, variables=author()
        ).text

    def _push(self, *refspecs: str) -> Outcome:
        return self.repository.call(
            "push", "--porcelain", "--no-verify", "--no-recurse-submodules", self.remote, *refspecs, check=False
        )

    def _sweep(self) -> None:
        """Append the files in the inbox, then empty it."""
        for name, commit in self._tips(_INBOX).items():
            year = name.partition("-")[0]
            if not re.fullmatch(r"\d{4}-[0-9a-f]{40,64}", name):
                continue
            if self._append(year, self._files(commit), "Sweep the inbox"):
                self._push(f":{_INBOX}{name}")  # another writer may have removed it already
                self.repository.call("update-ref", "-d", f"{_INBOX}{name}", check=False)

    def _drop_stale_locks(self) -> None:
        """Remove locks of references that only a history writes, left by a git that was killed; it holds one for a moment."""
        refs = self.repository.common_folder / "refs"
        for lock in (*(refs / "mainstay").rglob("*.lock"), *(refs / "heads" / BRANCH).rglob("*.lock")):
            with suppress(FileNotFoundError):
                while time.time() - lock.stat().st_mtime < _STALE_SECONDS:
                    time.sleep(0.1)
                lock.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the references of this repository."""
        fact = "another process is writing the history and does not finish"
        with self.repository.locked("history", fact=fact, next_step="end it, then try again"):
            self._drop_stale_locks()
            yield
