"""Prepare a release: version, changelog, citation, address of the repository, one commit, one tag.

    python scripts/release.py minor             rehearses in a temporary clone; this tree stays as it is
    python scripts/release.py minor --commit    makes the release commit here, without the tag
    python scripts/release.py first             the same for the version in pyproject.toml, before there is any release

Before both, the tree is gated against the last release over 20 pairs, and the table stands in the notes.

The rehearsal goes as far as a release goes without an account: it bumps, writes the changelog, commits, tags, builds
wheel and sdist, checks them, installs the wheel into an empty environment, runs it, and gives a new project the
scaffold of the tag. Uploading is the work of
``release.yml``, which a pushed tag starts.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

GATE = ("uvx", "--no-cache", "--constraints", "constraints/benchmarks.txt", "--from", ".", "mainstay", "gate")
"""The gate of this tree, in an environment of its own; from its cache, uvx would run an earlier build."""

HOST, PLACEHOLDER = "https://github.com/", "OWNER/mainstay"

VERSION_LINE = re.compile(r'^version = "(\d+)\.(\d+)\.(\d+)"$', re.MULTILINE)


def next_version(current: tuple[int, int, int], part: str) -> str:
    """Return the version after a change of that size.

    Args:
        current: Major, minor and patch.
        part: ``major``, ``minor`` or ``patch``; ``first`` for the version as it is.

    Example:
        >>> next_version((0, 1, 4), "minor"), next_version((0, 1, 0), "first")
        ('0.2.0', '0.1.0')
    """
    major, minor, patch = current
    return {
        "first": f"{major}.{minor}.{patch}",
        "major": f"{major + 1}.0.0",
        "minor": f"{major}.{minor + 1}.0",
        "patch": f"{major}.{minor}.{patch + 1}",
    }[part]


def cite(citation: str, version: str, day: datetime.date) -> str:
    r"""Return the citation file for a version.

    Example:
        >>> print(cite("version: 0.1.0\ndate-released: 2026-01-01", "0.2.0", datetime.date(2026, 3, 1)))
        version: 0.2.0
        date-released: 2026-03-01
    """
    citation = re.sub(r"^version: .*$", f"version: {version}", citation, flags=re.MULTILINE)
    return re.sub(r"^date-released: .*$", f"date-released: {day}", citation, flags=re.MULTILINE)


def name_repository(text: str, project: str) -> str:
    r"""Return a page whose ``OWNER/mainstay`` is the repository that ``[project.urls]`` names.

    Args:
        text: The page.
        project: Text of ``pyproject.toml``.

    Raises:
        SystemExit: If the page needs the address and there is none.

    Example:
        >>> project = '[project.urls]\nSource = "https://github.com/sailors/mainstay"'
        >>> name_repository("git clone https://github.com/OWNER/mainstay", project)
        'git clone https://github.com/sailors/mainstay'
    """
    if PLACEHOLDER not in text:
        return text
    urls = tomllib.loads(project).get("project", {}).get("urls", {})
    if not str(urls.get("Source", "")).startswith(HOST):
        raise SystemExit(f"error: no address on {HOST}\n  looked in: pyproject.toml, [project.urls], Source")
    return text.replace(PLACEHOLDER, urls["Source"].removeprefix(HOST).strip("/"))


def gate_last_release(root: Path, gate: tuple[str, ...] = GATE) -> str:
    """Gate the tree against the last release, over a fixed number of pairs; return a section of the notes.

    Raises:
        SystemExit: If the tree is worse than the release and no waiver accepts that, or cannot be measured.
    """
    tags = run(root, "git", "tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname").split()
    if not tags:
        return "### Measured\n\nThere is no earlier release to compare with."
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.md")
        options = ("--baseline", tags[0], "--candidate", "HEAD", "--pairs", "20", "--seconds", "3600")
        command = [*gate, *options, "--markdown", str(report)]
        done = subprocess.run(command, cwd=root, text=True, stdout=subprocess.PIPE, check=False)
        if done.returncode not in {0, 3} or not report.exists():
            raise SystemExit(f"error: the gate against {tags[0]} exited with {done.returncode}\n{done.stdout}")
        text = report.read_text("utf-8")
    table = "\n".join(re.findall(r"^\|.*$", text.partition("<details>")[0], re.MULTILINE))
    verdict = "" if done.returncode == 0 else " What is inconclusive may have changed by up to its interval."
    return f"### Measured\n\nAgainst {tags[0]}, over 20 pairs.{verdict}\n\n{table}"


def add_to_notes(changelog: str, version: str, section: str) -> str:
    r"""Return the changelog with a further section at the end of a version's.

    Example:
        >>> add_to_notes("## 0.2.0 (b)\n\nnew\n\n## 0.1.0 (a)\n\nold\n", "0.2.0", "### Measured")
        '## 0.2.0 (b)\n\nnew\n\n### Measured\n\n## 0.1.0 (a)\n\nold\n'
    """
    notes = release_notes(changelog, version)
    return changelog.replace(notes, f"{notes}\n\n{section}", 1)


def prepare(root: Path, part: str, day: datetime.date, measured: str = "") -> str:
    """Bump the version, write the changelog from its fragments, name the repository and commit; return the version.

    Args:
        root: The repository.
        part: ``major``, ``minor`` or ``patch``.
        day: Of the release.
        measured: A section for the end of the notes.

    Raises:
        SystemExit: If the tree has uncommitted changes, there is no fragment to tell of, or a first release is not
            the first, or nothing tells where the repository lies.
    """
    if part == "first" and (tags := run(root, "git", "tag", "--list", "v*")):
        raise SystemExit(
            f"error: there are releases\n  looked in: {', '.join(tags.split())}\n  next: major, minor or patch"
        )
    if run(root, "git", "status", "--porcelain"):
        raise SystemExit("error: the tree has changes that are not committed\n  next: git status")
    if not [file for file in (root / "changes").glob("*.md") if file.name != "README.md"]:
        raise SystemExit("error: nothing has changed since the last release\n  looked in: changes/")
    project = root / "pyproject.toml"
    text = project.read_text("utf-8")
    current = VERSION_LINE.search(text)
    if not current:
        raise SystemExit("error: no version\n  looked in: pyproject.toml")
    version = next_version((int(current[1]), int(current[2]), int(current[3])), part)
    project.write_text(VERSION_LINE.sub(f'version = "{version}"', text, count=1), "utf-8")
    citation = root / "CITATION.cff"
    citation.write_text(cite(citation.read_text("utf-8"), version, day), "utf-8")
    run(root, sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--date", str(day))
    for page in root.glob("*.md"):
        page.write_text(name_repository(page.read_text("utf-8"), text), "utf-8")
    if measured:
        changelog = root / "CHANGELOG.md"
        changelog.write_text(add_to_notes(changelog.read_text("utf-8"), version, measured), "utf-8")
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", f"Release {version}")
    return version


def rehearse(root: Path, part: str, day: datetime.date, measured: str = "") -> str:
    """Go through a release in a temporary clone; return its notes."""
    with tempfile.TemporaryDirectory() as folder:
        clone, built, environment = Path(folder, "clone"), Path(folder, "dist"), Path(folder, "environment")
        run(root, "git", "clone", "--quiet", "--no-hardlinks", str(root), str(clone))
        for key in ("user.name", "user.email"):
            run(clone, "git", "config", key, f"rehearsal@{key}")
        version = prepare(clone, part, day, measured)
        run(clone, "git", "tag", "--annotate", f"v{version}", "--message", f"mainstay {version}")
        run(clone, "uv", "build", "--quiet", "--out-dir", str(built))
        wheel, sdist = next(built.glob("*.whl")), next(built.glob("*.tar.gz"))
        run(clone, sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))
        run(clone, "uv", "venv", "--quiet", "--python", sys.executable, str(environment))
        python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        run(clone, "uv", "pip", "install", "--quiet", "--python", str(python), str(wheel))
        says = run(Path(folder), str(python), "-m", "mainstay", "--version")
        if version not in says:
            raise SystemExit(f"error: the installed wheel says {says!r}, expected {version}")
        give_scaffold(python, f"{clone}@v{version}", Path(folder, "project"))
        return release_notes((clone / "CHANGELOG.md").read_text("utf-8"), version)


def give_scaffold(python: Path, source: str, project: Path) -> None:
    """Let the installed release give a new project the scaffold of its own tag.

    Raises:
        SystemExit: If it does not, or the project would be updated from another version.
    """
    project.mkdir()
    run(project, "git", "init", "--quiet")
    identity = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.org")
    run(project, "git", *identity, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    wanted = ("--scaffold", "--scaffold-from", source, "--answer", "name=plankton")
    run(project, str(python), "-m", "mainstay", "init", *wanted, "--yes", "--no-gate")
    tag = source.rpartition("@")[2]
    if f"_commit: {tag}\n" not in (project / ".copier-answers.yml").read_text("utf-8"):
        raise SystemExit(f"error: the scaffold is not that of {tag}\n  looked in: .copier-answers.yml")


def release_notes(changelog: str, version: str) -> str:
    r"""Return the section of a version.

    Raises:
        SystemExit: If the changelog has no such section.

    Example:
        >>> release_notes("## 0.2.0 (2026-03-01)\n\nnew\n\n## 0.1.0 (2026-01-01)\n\nold\n", "0.2.0")
        '## 0.2.0 (2026-03-01)\n\nnew'
    """
    section = re.search(rf"^## {re.escape(version)} .*?(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not section:
        raise SystemExit(f"error: no section {version}\n  looked in: CHANGELOG.md")
    return section[0].rstrip()


def run(folder: Path, *command: str) -> str:
    """Run a command there and return what it printed.

    Raises:
        SystemExit: If it fails; with its output.
    """
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main(arguments: list[str] | None = None) -> None:
    """Rehearse, or make the release commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["major", "minor", "patch", "first"], default="patch")
    parser.add_argument(
        "--notes", metavar="VERSION", help="print that version's section of the changelog, nothing else"
    )
    parser.add_argument("--commit", action="store_true", help="make the release commit in this tree")
    options = parser.parse_args(arguments)
    root, day = Path(__file__).resolve().parents[1], datetime.datetime.now(datetime.UTC).date()
    if options.notes:
        print(release_notes((root / "CHANGELOG.md").read_text("utf-8"), options.notes))
        return
    measured = gate_last_release(root)
    print(rehearse(root, options.part, day, measured))
    if options.commit:
        version = prepare(root, options.part, day, measured)
        print(f"\nnext: open a pull request; when it is merged, git tag -a v{version} and push the tag")


if __name__ == "__main__":
    main()
