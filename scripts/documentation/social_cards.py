"""What a shared link to a page shows: a card with its heading and its description.

Pillow draws them with the font that it brings along, so no font is fetched. It has no Chinese characters: Chinese pages share the card of the
site, and so do the pages of modules, whose heading is a path.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from scripts.documentation.front_matter import front_matter
from scripts.documentation.languages import FOLDER as CHINESE
from scripts.documentation.languages import address
from scripts.documentation.llms import HEADING

SITE = "assets/social.png"
"""Place of the card of the site."""

WIDTH, HEIGHT, EDGE = 1200, 630, 90
INK, PAPER, QUIET = "#ffffff", "#004d40", "#b2dfdb"
NAME_SIZE, HEADING_SIZE, TEXT_SIZE = 40, 72, 40
HEADING_WIDTH, TEXT_WIDTH = 26, 50
MAX_LINES = 3
NUM_COLOURS = 16
NAME = "mainstay"
QUESTION = "Is the model worse? Is the code slower?"
ANSWER = "pass, fail or inconclusive, with error rates that are stated and measured"


def social_cards(pages: Mapping[str, str]) -> dict[str, bytes]:
    """Return the pictures by place: one for the site, and one for each page that has a heading of its own.

    Args:
        pages: Markdown by place.
    """
    return {SITE: draw(QUESTION, ANSWER)} | {
        card_place(place): draw(heading[1].replace("`", ""), front_matter(text).get("description", ""))
        for place, text in pages.items()
        if has_card(place) and (heading := HEADING.search(text))
    }


def has_card(place: str) -> bool:
    """Return whether a page has a card of its own.

    Example:
        >>> [has_card(place) for place in ("how-to/triage.md", "index.md", "zh/index.md", "reference/api/a.b.md")]
        [True, False, False, False]
    """
    return place != "index.md" and not place.startswith((CHINESE, "reference/api/"))


def card_place(place: str) -> str:
    """Return where the card of a page stands.

    Example:
        >>> card_place("how-to/triage.md")
        'assets/social/how-to/triage.png'
    """
    return f"assets/social/{address(place).removesuffix('/')}.png"


@cache
def font(size: int) -> Any:
    """Return the font that Pillow brings along."""
    return ImageFont.load_default(size)


@cache
def draw(heading: str, text: str) -> bytes:
    """Return a card as PNG; few colours keep it small.

    Args:
        heading: Its first words.
        text: What stands below them; cut to a few lines.
    """
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((EDGE, EDGE), NAME, font=font(NAME_SIZE), fill=QUIET)
    y = 2 * EDGE
    for words, size, width, colour in (
        (heading, HEADING_SIZE, HEADING_WIDTH, INK),
        (text, TEXT_SIZE, TEXT_WIDTH, QUIET),
    ):
        for line in textwrap.wrap(words, width, max_lines=MAX_LINES, placeholder=" …"):
            pen.text((EDGE, y), line, font=font(size), fill=colour)
            y += size * 6 // 5
        y += size // 2
    file = BytesIO()
    picture.quantize(NUM_COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue()
