"""The revision of the source that runs, where git knows it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_revision(folder: Path = Path(__file__).parent) -> str | None:
    """The commit that this code was checked out from, with ``-dirty`` behind it if tracked files differ from it.

    Args:
        folder: Where the code lies; ``None`` is the answer where git is absent or does not track it, as in an
            installed package.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", ".")
        return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
