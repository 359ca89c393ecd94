"""Errors, each with the exit status it leads to.

::

    MainstayError                  4   fact, where it was looked for, what to do next
    ├── UsageError                 2   an option, a revision or a configuration key is wrong
    │   ├── ConfigurationError     2   ``[tool.mainstay]`` cannot be read
    │   └── RevisionError          2   git does not know the revision asked for
    ├── GitError                   4   the repository cannot be gated as it is
    │   └── TreeError              4   a revision cannot be gated as it is
    ├── EnvironmentBuildError      4   a revision cannot be resolved, built or installed; 1 if the candidate alone cannot
    │   ├── OutageError            4   an index, a server or the disk failed it; 1 if the candidate alone needs that index
    │   └── HarnessError           4   ``prepare``, ``preload`` or the measuring packages of the candidate do not work
    ├── PlanError                  4   a resumed run would have another plan, shared inputs, mainstay, Python or kind of device
    ├── PieceError                 4   pieces of shards are incomplete, or do not belong together
    ├── ClusterError               4   a cluster cannot be used: no scheduler, no worker, or one of another kind
    ├── WorkerError                4   a server of workers cannot be started
    ├── StoreError                 4   a file could not be written or read
    │   └── SchemaError            4   a run document is not of schema version 1
    └── Interrupted              130   Ctrl-C; what was measured is in the journal

Library code raises these and never prints or exits; the command line is the one handler.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mainstay.records.redaction import without_secrets

RESUME_GATE = "continue with 'mainstay gate --resume': what was measured is kept"
"""The next step after a gate was interrupted, or after space was freed on the disk."""

CONTINUE_SHARD = "run the same command again: what was measured is kept"
"""The next step after a shard was interrupted, or after space was freed on the disk."""

RESTART_CALIBRATION = "start 'mainstay calibrate' again: it measures everything anew"
"""The next step after a calibration was interrupted."""

REPEAT_INIT = "run 'mainstay init' again: what it wrote is kept"
"""The next step after the examination of a new project was interrupted."""


class MainstayError(Exception):
    """A failure with an explanation for the user, without the secrets of the environment.

    Args:
        fact: What was found, with the value; lower case, no final stop.
        looked_in: Where the tool looked, if a place can be named.
        next_step: What the user can do now.

    Attributes:
        side: ``"baseline"`` or ``"candidate"`` if that revision is known to be the cause.

    Example:
        >>> print(GitError("not a git repository", looked_in="a folder", next_step="git init"))
        not a git repository
          looked in: a folder
          next: git init
    """

    exit_status = 4
    side: str | None = None

    def __init__(self, fact: str, *, looked_in: str | None = None, next_step: str | None = None) -> None:
        self.fact = without_secrets(fact, os.environ)
        self.looked_in = without_secrets(looked_in, os.environ) if looked_in else looked_in
        self.next_step = without_secrets(next_step, os.environ) if next_step else next_step
        super().__init__(self.fact)

    def __str__(self) -> str:
        lines = [self.fact]
        if self.looked_in:
            lines.append(f"  looked in: {self.looked_in}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class UsageError(MainstayError):
    """A request that cannot be understood, or that names something that does not exist."""

    exit_status = 2


class ConfigurationError(UsageError):
    """``[tool.mainstay]`` has an unknown key or a value of the wrong type."""


class RevisionError(UsageError):
    """The requested revision does not exist in the repository."""


class GitError(MainstayError):
    """The repository cannot be gated: there is none, it is bare or shallow, or a submodule has uncommitted changes."""


class TreeError(GitError):
    """A revision cannot be gated.

    It tracks runs, lacks a submodule or files it needs, has a shared input itself, has a file where a folder is needed,
    or has links that lead out of it.
    """


class EnvironmentBuildError(MainstayError):
    """The dependencies or the wheel of a revision could not be resolved, built or installed.

    Args:
        side: ``"baseline"`` or ``"candidate"``; ``None`` if both or neither is to blame, as for what the package index,
            the network or the disk does.
    """

    def __init__(
        self, fact: str, *, side: str | None = None, looked_in: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(fact, looked_in=looked_in, next_step=next_step)
        self.side = side
        if side == "candidate":
            self.exit_status = 1


class OutageError(EnvironmentBuildError):
    """A package index, another server or the disk failed a build, which may succeed once that is mended."""


class HarnessError(EnvironmentBuildError):
    """What the candidate brings to measure both revisions with does not work, in either of them."""


@contextmanager
def refusals_of(side: str) -> Iterator[None]:
    """Note in refusals which revision they are of.

    Args:
        side: ``"baseline"`` or ``"candidate"``.
    """
    try:
        yield
    except (UsageError, TreeError) as refusal:
        refusal.side = side
        raise


class PlanError(MainstayError):
    """A resumed run differs from its start: in its plan, shared inputs, mainstay, Python or kind of device."""


class PieceError(MainstayError):
    """The pieces of shards are incomplete, or were not measured under the same conditions."""


class ClusterError(MainstayError):
    """A cluster cannot be used: no scheduler answers, there are no workers, or one is not like this machine."""


class WorkerError(MainstayError):
    """A server of workers does not start, or cannot fork any more workers."""


class StoreError(MainstayError):
    """A journal, a run or a report could not be written or read."""


class SchemaError(StoreError):
    """A document does not match the published schema; the message gives the path of the bad key."""


class Interrupted(MainstayError):
    """The user pressed Ctrl-C; completed trials are in the journal."""

    exit_status = 130
