"""The revision of the source code that runs, if git knows it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_revision(folder: Path = Path(__file__).parent) -> str | None:
    """The commit of this code, followed by ``-dirty`` if tracked files differ from it; ``None`` if unknown.

    Args:
        folder: Folder of the code. The commit is unknown if git is not installed or does not track the folder, as for
            an installed package.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", ".")
        return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
