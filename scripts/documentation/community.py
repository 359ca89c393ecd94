"""The files at the root of the repository that are written for people, as pages of the site."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

FILES = ("CONTRIBUTING", "CODE_OF_CONDUCT", "GOVERNANCE", "MAINTAINING", "SECURITY", "SUPPORT", "AI_POLICY")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def pages(root: Path, repository: str) -> dict[str, str]:
    """Return the pages by place.

    Args:
        root: The repository.
        repository: Its address, if it is known.
    """
    return {page_of(name): with_links((root / f"{name}.md").read_text("utf-8"), repository) for name in FILES}


def page_of(name: str) -> str:
    """Return where the page of a file stands.

    Example:
        >>> page_of("AI_POLICY")
        'community/ai-policy.md'
    """
    return f"community/{name.lower().replace('_', '-')}.md"


def with_links(markdown: str, repository: str) -> str:
    """Return a page whose links lead to pages of the site, and else to the repository, if its address is known.

    Args:
        markdown: The file; its links start at the root of the repository.
        repository: Its address.

    Example:
        >>> with_links("[a](docs/how-to/triage.md#x), [b](SECURITY.md), [c](LICENSE)", "")
        '[a](../how-to/triage.md#x), [b](security.md), c'
    """

    def replaced(match: re.Match[str]) -> str:
        text, target, anchor = match[1], PurePosixPath(match[2]), match[3] or ""
        if target.stem in FILES:
            return f"[{text}]({PurePosixPath(page_of(target.stem)).name}{anchor})"
        if target.parts[0] == "docs":
            return f"[{text}](../{target.relative_to('docs')}{anchor})"
        return f"[{text}]({repository.rstrip('/')}/blob/main/{target}{anchor})" if repository else text

    return LINK.sub(replaced, markdown)
