"""Draw ``docs/assets/social.png``, what a shared link to the site shows: run again when the words change."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PLACE = Path(__file__).resolve().parents[2] / "docs" / "assets" / "social.png"
WIDTH, HEIGHT, EDGE = 1200, 630, 90
INK, PAPER, QUIET = "#ffffff", "#004d40", "#b2dfdb"
WORDS = (
    ("mainstay", 130, 120, INK),
    ("Is the model worse? Is the code slower?", 52, 310, INK),
    ("pass, fail or inconclusive,", 44, 410, QUIET),
    ("with error rates that are stated and measured", 44, 470, QUIET),
)


def main() -> None:
    """Draw it; few colours keep it small."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(picture)
    for text, size, y, colour in WORDS:
        pen.text((EDGE, y), text, font=ImageFont.load_default(size), fill=colour)
    picture.quantize(64).save(PLACE, optimize=True)


if __name__ == "__main__":
    main()
