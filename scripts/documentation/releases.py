"""Releases as a page and as an Atom feed, from the changelog."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree

from markdown_it import MarkdownIt

SECTION = re.compile(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ATOM = "http://www.w3.org/2005/Atom"
BEFORE_ANY = "1970-01-01"


class Release(NamedTuple):
    """One version of the changelog.

    Attributes:
        version: Such as ``0.2.0``.
        day: When it was made.
        notes: What changed, as Markdown.
    """

    version: str
    day: str
    notes: str


def parse_changelog(text: str) -> list[Release]:
    r"""Read the releases, newest first.

    Example:
        >>> parse_changelog("# Changelog\n\n## 0.2.0 (2027-01-31)\n\n### Added\n\n- A thing.\n")
        [Release(version='0.2.0', day='2027-01-31', notes='### Added\n\n- A thing.')]
    """
    return [Release(version, day, notes.strip()) for version, day, notes in SECTION.findall(text)]


def render_feed(releases: list[Release], site_url: str) -> str:
    """Return the Atom feed.

    Args:
        releases: Newest first.
        site_url: Where the site stands, with a final slash.
    """
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    page = f"{site_url}project/releases/"
    _add(feed, "id", f"{site_url}feed.xml")
    _add(feed, "title", "Releases of mainstay")
    _add(feed, "updated", _moment(releases[0].day if releases else BEFORE_ANY))
    _add(_add(feed, "author"), "name", "The mainstay maintainers")
    _add(feed, "link", rel="self", href=f"{site_url}feed.xml")
    _add(feed, "link", rel="alternate", href=page)
    for release in releases:
        entry = _add(feed, "entry")
        _add(entry, "id", f"{page}#{_anchor(release)}")
        _add(entry, "title", f"mainstay {release.version}")
        _add(entry, "updated", _moment(release.day))
        _add(entry, "link", rel="alternate", href=f"{page}#{_anchor(release)}")
        _add(entry, "content", MarkdownIt().render(release.notes), type="html")
    return ElementTree.tostring(feed, encoding="unicode", xml_declaration=True) + "\n"


def render_releases_page(releases: list[Release]) -> str:
    """Return the page of the releases."""
    sections = [
        f"## {release.version} ({release.day}) {{: #{_anchor(release)} }}\n\n{release.notes}\n" for release in releases
    ]
    text = "\n".join(sections) or "There is no release yet.\n"
    return f"# Releases\n\nAlso as a [feed](../feed.xml).\n\n{text}"


def _anchor(release: Release) -> str:
    return f"v{release.version}"


def _moment(day: str) -> str:
    return f"{day}T00:00:00Z"


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    child.text = text or None
    return child
