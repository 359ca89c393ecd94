r"""Which language a page is in and where its translation stands, as front matter that the theme reads.

A Chinese page names its original, see ``translations.py``. From that follow ``language: zh`` on Chinese pages and, on both
sides, ``translation``: the address of the other page, from the root of the site.
"""

from __future__ import annotations

from collections.abc import Mapping

from scripts.documentation.front_matter import front_matter
from scripts.documentation.translations import ORIGINAL

FOLDER = "zh/"


def with_languages(pages: Mapping[str, str]) -> dict[str, str]:
    r"""Return pages that say their language and where they are found in the other one.

    Args:
        pages: Markdown by place.

    Example:
        >>> pages = {"a.md": "# A", "b.md": "# B", "zh/a.md": "---\noriginal: docs/a.md\n---\n# 甲"}
        >>> print(*with_languages(pages).values(), sep="\n\n")
        ---
        translation: zh/a/
        ---
        # A
        <BLANKLINE>
        # B
        <BLANKLINE>
        ---
        language: zh
        translation: a/
        original: docs/a.md
        ---
        # 甲
    """
    found = {place: ORIGINAL.search(text) for place, text in pages.items() if place.startswith(FOLDER)}
    originals = {place: match[1].removeprefix("docs/") for place, match in found.items() if match}
    twins = originals | {original: place for place, original in originals.items()}
    said = {
        place: {
            **({"language": "zh"} if place.startswith(FOLDER) else {}),
            **({"translation": address(twins[place])} if place in twins else {}),
        }
        for place in pages
    }
    return {place: with_front_matter(text, said[place]) for place, text in pages.items()}


def address(place: str) -> str:
    """Return where a page stands on the site.

    Example:
        >>> address("zh/index.md"), address("how-to/triage.md"), address("how-to/use-a-private-index.md"), address("index.md")
        ('zh/', 'how-to/triage/', 'how-to/use-a-private-index/', '')
    """
    folder, slash, name = place.rpartition("/")
    return f"{folder}{slash}" if name == "index.md" else f"{place.removesuffix('.md')}/"


def with_front_matter(text: str, facts: Mapping[str, str]) -> str:
    """Return a page with more facts in its front matter."""
    if not facts:
        return text
    lines = "".join(f"{key}: {value or './'}\n" for key, value in facts.items())
    return text.replace("---\n", f"---\n{lines}", 1) if front_matter(text) else f"---\n{lines}---\n{text}"
