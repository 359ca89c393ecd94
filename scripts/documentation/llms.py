"""``llms.txt``: the pages of the site with a line about each, for programs that read instead of people (llmstxt.org)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from scripts.documentation.front_matter import front_matter
from scripts.documentation.languages import address

HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


NavigationLoader: Any = type("NavigationLoader", (yaml.SafeLoader,), {})
"""Reads ``mkdocs.yml`` and leaves out what its tags would ask of the environment."""

NavigationLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def render(pages: Mapping[str, str], configuration: str, site_url: str) -> str:
    """Return the file.

    Args:
        pages: Markdown by place.
        configuration: Text of ``mkdocs.yml``, whose navigation is followed.
        site_url: Where the site stands, with a final slash.

    Raises:
        KeyError: If the navigation names a page that is not there.
    """
    settings = yaml.load(configuration, NavigationLoader)
    lines = [f"# {settings['site_name']}\n", f"> {settings['site_description']}"]
    for entry in settings["nav"]:
        ((section, inner),) = entry.items()
        if isinstance(inner, list):
            lines.append(f"\n## {section}\n")
            lines += [line_of(place, pages[place], site_url) for place in iter_places(inner)]
    return "\n".join(lines) + "\n"


def iter_places(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for inner in nav.values() if isinstance(nav, dict) else nav:
            yield from iter_places(inner)


def line_of(place: str, text: str, site_url: str) -> str:
    r"""Return the line of a page.

    Example:
        >>> line_of("a.md", "---\ndescription: All of it.\n---\n# A page\n", "https://example.org/")
        '- [A page](https://example.org/a/): All of it.'
    """
    heading = HEADING.search(text)
    description = front_matter(text).get("description")
    title = heading[1] if heading else place.removesuffix(".md").rpartition("/")[2]
    return f"- [{title}]({site_url}{address(place)})" + (f": {description}" if description else "")
