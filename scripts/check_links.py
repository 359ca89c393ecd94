"""Every internal link and anchor in the Markdown files leads somewhere.

Looks at files that git tracks or would add. Pages of ``docs`` are left to ``nox -s docs``, which knows the pages that
are made at build time. Links that leave the repository are not followed; the scheduled workflow does that.

    python scripts/check_links.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

INLINE_MARKUP = re.compile(r"[^\w\- ]")
EXPLICIT_ID = re.compile(r"""(?:\bid=["']|\{[^}]*#)([\w.-]+)""")


def broken_links(root: Path, files: list[Path]) -> Iterator[str]:
    """Yield one line for each link that leads nowhere.

    Args:
        root: The repository.
        files: Markdown files inside it.
    """
    for file in files:
        for target in iter_links(file):
            if problem := link_problem(root, file, target):
                yield f"{file.relative_to(root)}: {target}: {problem}"


def link_problem(root: Path, file: Path, target: str) -> str:
    """Say what is wrong with a link, or nothing."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return ""
    place = file if not parts.path else (file.parent / unquote(parts.path)).resolve()
    if not place.exists():
        return "no such file"
    if not place.is_relative_to(root):
        return "leaves the repository"
    if parts.fragment and place.suffix == ".md" and parts.fragment not in anchors(place):
        return f"no such heading; there are {', '.join(sorted(anchors(place)))}"
    return ""


def iter_links(file: Path) -> Iterator[str]:
    """Yield the targets of links and images; code is not looked at."""
    for token in MarkdownIt().parse(file.read_text("utf-8")):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield str(target)


@cache
def anchors(file: Path) -> frozenset[str]:
    """Return what a fragment can name: headings, spelled as GitHub does, and explicit ids."""
    text = file.read_text("utf-8")
    found: list[str] = []
    tokens = MarkdownIt().parse(text)
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            slug = heading_slug("".join(child.content for child in content.children or ()))
            repeats = sum(1 for other in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other))
            found.append(f"{slug}-{repeats}" if repeats else slug)
    return frozenset([*found, *EXPLICIT_ID.findall(text)])


def heading_slug(heading: str) -> str:
    """Spell a heading as an anchor.

    Example:
        >>> heading_slug("What `nox -s gate` says: the verdicts")
        'what-nox--s-gate-says-the-verdicts'
    """
    return INLINE_MARKUP.sub("", heading.replace("`", "").strip().lower()).replace(" ", "-")


def markdown_files(root: Path) -> list[Path]:
    """List the Markdown files that git tracks or would add, those of the site aside."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md", ":!docs/"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [root / name for name in listing.split("\0") if name and (root / name).exists()]


def main() -> int:
    """Print what is broken; 1 if anything is."""
    root = Path(__file__).resolve().parents[1]
    problems = list(broken_links(root, markdown_files(root)))
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
