"""Commands of uv, which resolves, builds and installs for both revisions.

Every call of uv is made here. It never downloads Python, and uses its cache if no index answers. A failure of an index,
the network or the disk is told apart from others, so that no revision is blamed for it.

- :func:`run_uv`: run one command.
- :class:`UnreachableError`, :class:`OfflineError`, :class:`RefusedError`: failures of an index or of the network.
- :func:`interpreter_facts`: facts of an environment besides its packages.
- :func:`cache_folder`, :func:`sweep_builds`: the folder that gates share, and the removal of what killed ones left there.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import uv
from platformdirs import user_cache_path

from mainstay.records.errors import EnvironmentBuildError, OutageError
from mainstay.records.trials import Side
from mainstay.revisions.git import without_repository
from mainstay.store.scratch import remove_abandoned, scratch_folder
from mainstay.workers.descendants import run_guarded

SOURCE_DATE_EPOCH = "315532800"
"""1980-01-01, the earliest time that a zip file can store; with a fixed time, equal trees give equal wheels."""

NETWORK_WORDS = (
    "error sending request",
    "dns error",
    "connection refused",
    "connection reset",
    "connection closed",
    "operation timed out",
    "connection timed out",
    "network timeout",
    "response body",  # a download that was cut off
    "status server error",
    "status client error (429",
)
"""What uv says when it reaches no index, and when an index does not serve it."""

OFFLINE_WORDS = ("network connectivity", "network was disabled", "not found in the cache")
"""What uv says when it was told to stay offline and needs something that is not in its cache."""

ABSENCES = (
    "status client error (404",
    "status client error (410",
    "couldn't find remote ref",
    "not our ref",  # a commit that the repository lacks
    "repository not found",
    "does not appear to be a git repository",
)
"""What uv and git say when an index, or a repository, lacks a file, a branch, a tag or a commit, or is not there."""

REFUSALS = (
    "401 unauthorized",
    "403 forbidden",
    "407 proxy authentication",
    "status client error (401",  # here the server words the status
    "status client error (403",
    "status client error (407",
)
"""What uv says when an index or a proxy answers and refuses."""

DISK_WORDS = ("no space left on device", "disk quota exceeded")
"""What uv and builds say when the disk is full."""

FRAMES = re.compile(r"[^\x00-\x7f]")
"""Characters with which uv draws a chain of causes; a long cause continues on the next line."""

NUM_TAIL_LINES = 15
"""Number of lines of a failed command's output that a message quotes."""


@cache
def interpreter_facts() -> tuple[str, ...]:
    """Facts of an environment besides its packages: Python, platform and uv."""
    return (
        sys.implementation.name,
        platform.python_version(),
        str(sysconfig.get_config_var("SOABI")),  # distinguishes a free-threaded build
        platform.system(),
        platform.machine(),
        "-".join(platform.libc_ver()),
        run_uv(["--version"]).strip(),
    )


def cache_folder() -> Path:
    """Folder in which layers and resolutions are kept between gates."""
    return user_cache_path("mainstay")


def sweep_builds() -> None:
    """Remove the temporary files that uv and builds of killed gates left behind."""
    remove_abandoned(cache_folder())


class UnreachableError(OutageError):
    """A package index or another server does not answer, and what is needed is not in uv's cache."""


class OfflineError(UnreachableError):
    """The user told uv to stay offline, and what is needed is not in its cache."""


class RefusedError(OutageError):
    """A package index, or a proxy before it, answers and refuses."""


def run_uv(
    arguments: Sequence[str],
    *,
    side: Side | None = None,
    doing: str = "uv",
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run uv without Python downloads; if no index answers, use its cache only.

    Args:
        arguments: Arguments of uv.
        side: The revision whose environment is concerned; ``None`` if no failure can be blamed on one.
        doing: The action, for the message.
        cwd: Working folder, from which uv reads the settings of the project.
        variables: Environment variables to add; variables that the user has set are kept.

    Returns:
        The output of uv on stdout.

    Raises:
        EnvironmentBuildError: If uv fails; the message quotes its last lines.
    """
    run = partial(_run_uv_once, arguments, side=side, doing=doing, cwd=cwd)
    try:
        return run(variables=variables or {})
    except UnreachableError as unreachable:
        try:
            return run(variables={**(variables or {}), "UV_OFFLINE": "1"})
        except EnvironmentBuildError:
            raise unreachable from None


def _run_uv_once(
    arguments: Sequence[str], *, side: Side | None, doing: str, cwd: Path | None, variables: Mapping[str, str]
) -> str:
    """Run uv once, and distinguish failures of the index, the network and the disk from others."""
    inherited = without_repository(os.environ)  # a version of a build may come from git
    with scratch_folder(cache_folder()) as temporary:  # uv and builds leave them behind if killed
        unwanted = {"VIRTUAL_ENV", "PYTHONPATH", "PROJECT_ROOT"}  # the last would lead out of the revision's tree
        environ = {
            **variables,
            **{name: value for name, value in inherited.items() if name not in unwanted},
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
            "TMPDIR": str(temporary),
        }
        done = run_guarded([uv.find_uv_bin(), *arguments], env=environ, cwd=cwd)
    if done.returncode == 0:
        return done.stdout
    lines = (done.stderr or done.stdout).strip().splitlines()[-NUM_TAIL_LINES:]
    fact = f"{doing} failed{f' for the {side}' if side else ''}" + "".join(f"\n  | {line}" for line in lines)
    raise _failure(fact, done.stderr, side)


def _failure(fact: str, said: str, side: Side | None) -> EnvironmentBuildError:
    """The error for a call of uv that failed, without a side if an index, the network or the disk is to blame."""
    said = " ".join(FRAMES.sub(" ", said).lower().split())

    def says(words: Iterable[str]) -> bool:
        return any(word in said for word in words)

    if says(REFUSALS):
        return RefusedError(
            fact,
            looked_in="the package index, or the proxy before it",
            next_step="give uv the user and the password: see the how-to 'use a private index'",
        )
    if says(DISK_WORDS):
        return OutageError(fact, looked_in="the disk", next_step="free some disk space, then run it again")
    if says(OFFLINE_WORDS) or says(NETWORK_WORDS) or ("failed to fetch" in said and not says(ABSENCES)):
        kind = OfflineError if says(OFFLINE_WORDS) else UnreachableError
        return kind(
            fact,
            looked_in="the package index and the cache of uv",
            next_step="connect to the network once; everything needed is then cached",
        )
    return EnvironmentBuildError(
        fact,
        side=side,
        looked_in="the output of uv",
        next_step=f"install it by hand to find the cause: uv pip install . in a checkout of the {side or 'revision'}",
    )
