"""Pictures of digits: conversion of any PNG file to the form of the training images, and back to PNG.

Both data sets contain white digits on black. MNIST's digits were scaled into a box of 20 by 20 pixels and centred by
mass in 28 by 28; those of ``digits`` fill the frame.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from mnist_reference.data.shapes import IMAGE_SIDE
from mnist_reference.errors import PictureError

BOX_SIDES = {"mnist": 20, "digits": 28}
"""Side of the box that a digit is scaled into, by data set."""

MIN_CONTRAST = 0.1
"""Ink must differ from the background by this share of the full range, or the picture counts as blank."""

INK_THRESHOLD = 0.2
"""Share of the strongest ink from which a pixel counts as ink when a digit is framed."""

MIN_SHADING = 0.05
"""Share of the full range by which the brightness of the paper must vary before its shading is removed."""

MIN_PAPER = 0.2
"""Smallest brightness of paper, as a share of the full range: in deeper shadow, ink is no darker than paper."""

MAX_UNEVENNESS = 0.1
"""Largest remaining unevenness of the paper after its shading is removed: half of the threshold of ink."""

FULL_INK = 0.75
"""Share of the strongest ink from which an area counts as part of a broad stroke and not as shadow."""

MAX_SHADOW = 0.02
"""Largest share of the reduced picture that may be a flat grey between paper and ink."""

GRID_SIDE = 64
"""Longest side of the reduced picture to which the paper is fitted."""

MIN_FITTED = 5
"""Smallest number of rows and columns of the reduced picture with which a surface can be distinguished from a digit."""

NUM_FITS = 6
"""Number of rounds of fitting the paper without darker pixels; more rounds change it by less than a grey level."""


def read_picture(path: Path, *, data_set: str) -> Tensor:
    """A digit from a picture file, framed as the images of a data set.

    A picture of 28 by 28 pixels on black is used unchanged, since it already has that form.

    Args:
        path: A file that Pillow can read, of any size and mode. Transparent pixels count as white paper.
        data_set: ``mnist`` or ``digits``.

    Returns:
        (28, 28), uint8, white on black.

    Raises:
        PictureError: If the file is not a picture, contains no digit, has too much ink to recognise the paper, or is
            lit so unevenly that shadow cannot be distinguished from ink.
    """
    brightness = _read_brightness(path)
    is_on_white = has_bright_border(brightness)
    ink = 1 - brightness if is_on_white else brightness
    if is_on_white or ink.shape != (IMAGE_SIDE, IMAGE_SIDE):
        ink = _on_even_paper(ink, path)
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
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)  # cameras store their orientation
            if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip at 255
                return torch.from_numpy(np.array(image, dtype=np.float32) / 65_535).clamp(0, 1)
            layers = image.convert("RGBA")
            paper = Image.new("RGBA", layers.size, "white")
            grey = Image.alpha_composite(paper, layers).convert("L")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise PictureError(f"not a picture: {error}", looked_in=str(path), next_step="give PNG files") from error
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255)


def has_bright_border(brightness: Tensor) -> bool:
    """Whether most of the outermost pixels are closer to white than to black.

    Args:
        brightness: (height, width), float32 in [0, 1].

    Example:
        >>> has_bright_border(torch.ones(5, 5))
        True
    """
    return bool(_border(brightness).median() > 0.5)


def _border(values: Tensor) -> Tensor:
    """The outermost pixels; the corners are included twice."""
    return torch.cat((values[0], values[-1], values[:, 0], values[:, -1]))


def _on_even_paper(ink: Tensor, path: Path) -> Tensor:
    """Ink on paper whose shading, if any, is removed.

    Raises:
        PictureError: If the paper remains uneven.
    """
    if min(_reduced(ink, longest_side=GRID_SIDE).shape) < MIN_FITTED:
        return ink
    shading = fitted_shading(ink)
    is_shaded = float(shading.max() - shading.min()) >= MIN_SHADING
    paper = 1 - shading
    even = (ink - shading) / paper.clamp(min=MIN_PAPER)
    smooth = functional.avg_pool2d(even[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    if _shadow_share(smooth) > MAX_SHADOW or (is_shaded and float(paper.min()) < MIN_PAPER):
        raise PictureError(
            "the paper is so unevenly lit that a shadow cannot be told from ink",
            looked_in=str(path),
            next_step="take the picture in even light, or cut it to the paper around the digit",
        )
    if not is_shaded:
        return ink
    # a single noisy pixel, amplified by the division by dark paper, is not ink
    return torch.where(smooth > INK_THRESHOLD * smooth.max(), even, 0).clamp(0, 1)


def _shadow_share(ink: Tensor) -> float:
    """The share of pixels in flat areas that are neither as bright as paper nor as dark as ink, unlike any stroke.

    The edges of a stroke are grey too, but steep at the size at which it is read.
    """
    grid = _reduced(ink, longest_side=IMAGE_SIDE)[None, None]
    highest, lowest = (functional.max_pool2d(sign * grid, 3, stride=1, padding=1) for sign in (1, -1))
    is_flat = highest + lowest < MAX_UNEVENNESS
    is_grey = (grid.abs() > MAX_UNEVENNESS) & (grid < FULL_INK * grid.max())
    return float((is_flat & is_grey).float().mean())


def _reduced(values: Tensor, *, longest_side: int) -> Tensor:
    """Means over areas, so that the longest side does not exceed its limit, (height, width)."""
    reduction = max(1.0, max(values.shape) / longest_side)
    size = [max(1, round(side / reduction)) for side in values.shape]
    return functional.interpolate(values[None, None], size=size, mode="area")[0, 0]


def fitted_shading(ink: Tensor) -> Tensor:
    """Darkness of the paper itself at each pixel: a surface of the second degree through all pixels that are not ink.

    The fit starts from the border, where there is paper, and then includes every pixel that is not darker than the
    surface.

    Args:
        ink: (height, width), float32 in [0, 1], 0 on bright paper.

    Returns:
        The same shape.

    Example:
        >>> shaded = torch.linspace(0.1, 0.5, 40).expand(30, 40)
        >>> bool((fitted_shading(shaded) - shaded).abs().max() < 1e-4)
        True
    """
    grid = _reduced(ink, longest_side=GRID_SIDE)
    is_border = torch.zeros_like(grid, dtype=torch.bool)
    is_border[[0, -1]] = is_border[:, [0, -1]] = True
    terms = _terms(*grid.shape)
    coefficients, is_paper = torch.zeros(terms.shape[-1], 1, dtype=torch.float64), is_border
    coefficients[0] = grid[is_border].median()
    for candidates in [is_border] * NUM_FITS + [torch.ones_like(is_border)] * NUM_FITS:
        excess = grid - _surface(terms, coefficients)
        spread = 1.4826 * float(excess[is_paper].abs().median())  # the standard deviation of normal noise
        is_paper = candidates & (excess < max(2.5 * spread, MIN_SHADING / 2))
        coefficients = torch.linalg.lstsq(terms[is_paper], grid[is_paper].double()[:, None], driver="gelsd").solution
    return _surface(_terms(*ink.shape), coefficients)


def _surface(terms: Tensor, coefficients: Tensor) -> Tensor:
    """A weighted sum of monomials at each pixel, (height, width), float32."""
    return torch.matmul(terms, coefficients).squeeze(2).float()


def _terms(height: int, width: int) -> Tensor:
    """The monomials up to the second degree at the centre of each pixel of a picture, (height, width, 6), float64."""
    y, x = ((torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1 for side in (height, width))
    y, x = y[:, None].expand(height, width), x.expand(height, width)
    return torch.stack([torch.ones_like(x), x, y, x * y, x.square(), y.square()], dim=2)


def framed(ink: Tensor, *, box_side: int) -> Tensor:
    """One digit scaled into a box, with its centre of mass in the middle of the frame and its ink at full range.

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
    """Start of a profile of ink such that its centre of mass lies in the middle, without leaving the frame."""
    centre = float((mass * torch.arange(length)).sum() / mass.sum())
    return min(max(round((IMAGE_SIDE - 1) / 2 - centre), 0), IMAGE_SIDE - length)


def png(image: Tensor) -> bytes:
    """A stored image, (28, 28) uint8, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image.cpu().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()
