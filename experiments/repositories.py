"""Repositories that an experiment makes: their git, and edits of their files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def environ(*, date: str = "") -> dict[str, str]:
    """Variables of this process without those of its git and of CI, with an author, and the date of commits if one is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GIT_"))}
    facts = {"NAME": "a", "EMAIL": "a@example.org", **({"DATE": date} if date else {})}
    author = {f"GIT_{role}_{fact}": value for role in ("AUTHOR", "COMMITTER") for fact, value in facts.items()}
    return {**kept, **author, "GIT_CONFIG_GLOBAL": os.devnull}


def git(root: Path, *arguments: str, date: str = "") -> str:
    """Run git there; returns its output."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=root, env=environ(date=date), check=True, capture_output=True, text=True)
    return done.stdout.strip()


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace what occurs in a file exactly once.

    Raises:
        ValueError: If it does not.
    """
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{old!r} occurs {text.count(old)} times in {file}")
    file.write_text(text.replace(old, new), encoding="utf-8")
