"""Which Chinese pages are behind their originals.

A translated page names its original and the content it was made from, in its front matter::

    original: docs/tutorials/one-neuron.md
    original_sha256: 5f7c...

    python scripts/documentation/translations.py                prints the pages that are behind; 1 if there are any
    python scripts/documentation/translations.py --fix PAGE...   notes that these pages were brought up to date
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = re.compile(r"^original: (\S+)$", re.MULTILINE)
HASH = re.compile(r"^original_sha256: *(\S*)$", re.MULTILINE)


def stale_pages(root: Path, folder: Path) -> Iterator[str]:
    """Yield one line for each page whose original changed since, or that names none.

    Args:
        root: The repository, which originals are named from.
        folder: Holds the translated pages.
    """
    for page in sorted(folder.rglob("*.md")):
        text, name = page.read_text("utf-8"), page.relative_to(root).as_posix()
        original, noted = ORIGINAL.search(text), HASH.search(text)
        if not original or not noted:
            yield f"{name}: its front matter lacks original: or original_sha256:"
        elif not (root / original[1]).is_file():
            yield f"{name}: its original {original[1]} is not there"
        elif noted[1] != content_hash(root / original[1]):
            yield f"{name}: {original[1]} changed since; bring it up to date, then run translations.py --fix {name}"


def note_original(root: Path, page: Path) -> None:
    """Write the present content hash of its original into a page."""
    text = page.read_text("utf-8")
    original = ORIGINAL.search(text)
    if not original or not HASH.search(text):
        raise SystemExit(f"{page}: its front matter lacks original: or original_sha256:")
    page.write_text(HASH.sub(f"original_sha256: {content_hash(root / original[1])}", text, count=1), "utf-8")


def content_hash(file: Path) -> str:
    """Return the SHA-256 of a page, whatever its line ends."""
    return hashlib.sha256(file.read_text("utf-8").encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Print what is behind, or note what was done."""
    if arguments[:1] == ["--fix"]:
        for page in arguments[1:]:
            note_original(ROOT, Path(page))
        return 0
    problems = list(stale_pages(ROOT, ROOT / "docs" / "zh"))
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
