"""The settings at the top of a page."""

from __future__ import annotations

import re

FRONT_MATTER = re.compile(r"\A---\n(.*?)^---$", re.MULTILINE | re.DOTALL)


def front_matter(text: str) -> dict[str, str]:
    r"""Return the settings at the top of a page.

    Example:
        >>> front_matter("---\nslow: true\n---\n# A page\n")
        {'slow': 'true'}
    """
    found = FRONT_MATTER.match(text)
    lines = found[1].splitlines() if found else []
    return {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
