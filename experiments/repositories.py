"""Repositories that an experiment makes: their git, edits of their files, and source distributions to begin with."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import uv


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


def commit_all(root: Path, message: str) -> None:
    """Commit everything there, ignored files too, but for what gates keep."""
    git(root, "add", "--all", "--force", ":/", ":(exclude).mainstay/*")
    git(root, "commit", "--quiet", "--message", message)


def run_documents(root: Path) -> list[Path]:
    """Documents of the gates of a repository, the oldest first."""
    return sorted((root / ".mainstay" / "runs").glob("*/run.json"))


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace what occurs in a file exactly once.

    Raises:
        ValueError: If it does not.
    """
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{old!r} occurs {text.count(old)} times in {file}")
    file.write_text(text.replace(old, new), encoding="utf-8")


def fetch_source(name: str, version: str, folder: Path) -> Path:
    """Commit a source distribution from the package index to a repository of its own; returns its root.

    Args:
        name: Of the project.
        version: Of the distribution.
        folder: An empty folder.
    """
    command = [uv.find_uv_bin(), "tool", "run", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
    subprocess.run([*command, f"{name}=={version}", "--dest", str(folder)], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (tree,) = (folder / "unpacked").iterdir()
    root = tree.rename(folder / "repository")
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root, "Import the source distribution")
    return root
