"""Pictures of digits: from any PNG file to what the model was trained on, and back to PNG.

Both data sets hold white digits on black. MNIST's were scaled into a box of 20 by 20 pixels and centred by mass in 28 by
28; those of ``digits`` fill the frame.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from mnist_reference.errors import PictureError
from mnist_reference.model import IMAGE_SIDE

BOX_SIDES = {"mnist": 20, "digits": 28}
"""Side of the box that a digit is scaled into, by data set."""

MIN_CONTRAST = 0.1
"""Ink must differ from the background by this share of the full range, or the picture counts as blank."""

INK_THRESHOLD = 0.2
"""Share of the strongest ink from which a pixel counts as ink when the digit is framed."""


def read_picture(path: Path, *, data_set: str) -> Tensor:
    """A digit from a picture file, framed as the images of a data set.

    A picture of 28 by 28 pixels on black is taken as it is: it has that form already.

    Args:
        path: Any file that Pillow reads, of any size and mode. Transparent pixels count as white paper.
        data_set: ``mnist`` or ``digits``.

    Returns:
        (28, 28), uint8, white on black.

    Raises:
        PictureError: If the file is no picture, holds no digit, or so much ink that the paper cannot be told from it.
    """
    brightness = _read_brightness(path)
    is_on_white = has_bright_border(brightness)
    ink = 1 - brightness if is_on_white else brightness
    if float(ink.max() - ink.min()) < MIN_CONTRAST:
        raise PictureError("the picture is blank", looked_in=str(path), next_step="draw one digit in one picture")
    if is_on_white or ink.shape != (IMAGE_SIDE, IMAGE_SIDE):
        if float(ink.max() - ink.median()) < MIN_CONTRAST:
            raise PictureError(
                "most of the picture is as dark or as bright as its digit",
                looked_in=str(path),
                next_step="leave paper around the digit, and nothing else in the picture, such as a frame",
            )
        ink = framed(ink, box_side=BOX_SIDES[data_set])
    return (ink * 255).round().to(torch.uint8)


def _read_brightness(path: Path) -> Tensor:
    """Brightness in [0, 1] of a file of any mode, (height, width), float32."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip at 255
                return torch.from_numpy(np.array(image, dtype=np.float32) / 65_535).clamp(0, 1)
            layers = image.convert("RGBA")
            paper = Image.new("RGBA", layers.size, "white")
            grey = Image.alpha_composite(paper, layers).convert("L")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise PictureError(f"not a picture: {error}", looked_in=str(path), next_step="give PNG files") from error
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255)


def has_bright_border(brightness: Tensor) -> bool:
    """Whether most of the outermost pixels are nearer to white than to black.

    Args:
        brightness: (height, width), float32 in [0, 1].

    Example:
        >>> has_bright_border(torch.ones(5, 5))
        True
    """
    border = torch.cat((brightness[0], brightness[-1], brightness[:, 0], brightness[:, -1]))
    return bool(border.median() > 0.5)


def framed(ink: Tensor, *, box_side: int) -> Tensor:
    """One digit scaled into a box, its centre of mass in the middle of the frame, and its ink to full range.

    Args:
        ink: (height, width), float32 in [0, 1], white on black; less than half of it is ink.
        box_side: Longer side of the digit in pixels, at most 28.

    Returns:
        (28, 28), float32 in [0, 1].

    References:
        Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, section on its making.
    """
    ink = (ink - ink.median()).clamp(min=0)
    ink = ink / ink.max()
    rows, columns = (ink > INK_THRESHOLD).nonzero(as_tuple=True)
    digit = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = box_side / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    resized = functional.interpolate(
        digit[None, None], size=(height, width), mode="bilinear", antialias=True
    ).squeeze()  # (height, width)
    resized = resized.reshape(height, width).clamp(0, 1)
    top, left = (_offset(resized.sum(1 - axis), length) for axis, length in enumerate((height, width)))
    frame = torch.zeros(IMAGE_SIDE, IMAGE_SIDE)
    frame[top : top + height, left : left + width] = resized
    return frame


def _offset(mass: Tensor, length: int) -> int:
    """Where a profile of ink must start for its centre of mass to lie in the middle, without leaving the frame."""
    centre = float((mass * torch.arange(length)).sum() / mass.sum())
    return min(max(round((IMAGE_SIDE - 1) / 2 - centre), 0), IMAGE_SIDE - length)


def png(image: Tensor) -> bytes:
    """A stored image, (28, 28) uint8, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image.cpu().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()
