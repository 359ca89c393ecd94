"""Pictures of a line of text, as a scanner or a camera would deliver them: tilted, blurred, faint and noisy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WORDS = (
    "amount", "balance", "carrier", "delivery", "exchange", "freight", "invoice", "journey", "kilogram", "licence",
    "merchant", "notice", "order", "payment", "quantity", "receipt", "shipment", "total", "unit", "voucher",
    "warehouse",
)  # fmt: skip
SIZE = (480, 56)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture and its text.

    Attributes:
        id: Stays the same.
        text: What is written.
        pixels: (56, 480, 3), uint8.
    """

    id: str
    text: str
    pixels: np.ndarray


def draw_text(rng: np.random.Generator) -> str:
    """A word, a number, a date or a code."""
    word = str(rng.choice(WORDS))
    return (
        f"{word.capitalize()} {rng.integers(1, 999)}.{rng.integers(0, 99):02d}",
        f"{word} {rng.choice(WORDS)}",
        f"{rng.integers(1, 28):02d}.{rng.integers(1, 12):02d}.{rng.integers(1990, 2026)}",
        f"{''.join(rng.choice(list('ABCDEFGHJKLMNPQRSTUVWXYZ'), size=3))}-{rng.integers(1000, 9999)}",
    )[rng.integers(4)]


def make_picture(index: int, *, seed: int) -> Picture:
    """Make a picture.

    Args:
        index: Its number.
        seed: Draws, with the number, the text and all that makes it hard to read.
    """
    rng = np.random.default_rng([seed, index])
    text = draw_text(rng)
    image = Image.new("L", SIZE, 255)
    font = ImageFont.load_default(size=int(rng.integers(18, 34)))
    ImageDraw.Draw(image).text((12, 10), text, font=font, fill=int(rng.integers(0, 140)))
    image = image.rotate(rng.uniform(-2, 2), resample=Image.Resampling.BILINEAR, fillcolor=255)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.3)))
    noisy = np.asarray(image) + rng.normal(scale=rng.uniform(0, 25), size=SIZE[::-1])
    pixels = np.repeat(noisy.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Picture(id=f"{index:04d}", text=text, pixels=pixels)
