"""Explanation of an answer by its pixels: integrated gradients and saliency, as numbers and as pictures.

Captum computes both. An attribution explains one logit, that of the requested digit, and not the probability, which
also depends on the other logits.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from mnist_reference.data.datasets import scaled_pixels
from mnist_reference.extras import extra
from mnist_reference.files import output
from mnist_reference.models.evaluate import evaluating, predict, require_scorable

NUM_STEPS = 128
"""Number of points between the black image and the digit at which the gradient is computed; with so many, the
completeness axiom holds to well under 1 % of the logit."""

ENLARGEMENT = 10
"""Number of pixels of the picture, in each direction, for one pixel of the image."""

MARGIN = 12
CAPTION_HEIGHT = 24
FONT_SIZE = 15
INK = (34, 34, 34)
FOR = (178, 24, 43)
AGAINST = (33, 102, 172)
UNSIGNED = (118, 42, 131)
GHOST = 0.25
"""Opacity of the digit below an attribution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Explanations of a model's answers.

    Attributes:
        images: The given images, (N, 28, 28), uint8.
        digits: The answers that are explained, (N,), int64.
        integrated_gradients: Contribution of each pixel to the logit, (N, 28, 28), float32; a negative one is evidence
            against the digit. Their sum is the logit minus that of a black image (completeness).
        saliency: Absolute derivative of the logit with respect to each pixel, at the image itself, (N, 28, 28),
            float32.
        completeness_gap: Difference between the sum and its exact value, due to the number of steps, (N,), float32.
    """

    images: Tensor
    digits: Tensor
    integrated_gradients: Tensor
    saliency: Tensor
    completeness_gap: Tensor


def explain(model: nn.Module, images: Tensor, digits: Tensor) -> Explanation:
    """Attribute the logits of some digits to the pixels of their images.

    Args:
        model: Model that takes float32 images in [0, 1]; it is evaluated on the device of its parameters, in ``eval()``
            mode.
        images: Images, (N, 28, 28), uint8.
        digits: Digits whose logits are explained, such as the model's answers, (N,), int64.

    Raises:
        MissingExtraError: If the extra ``explain`` is not installed.
        DataError: If the images have another shape, type or range, or a digit is not a class.
        DivergenceError: If a logit is NaN or infinite.

    References:
        M. Sundararajan, A. Taly, Q. Yan (2017), Axiomatic attribution for deep networks (integrated gradients).
        K. Simonyan, A. Vedaldi, A. Zisserman (2014), Deep inside convolutional networks (saliency).
    """
    with extra("explain"):
        from captum.attr import IntegratedGradients, Saliency
    require_scorable(predict(model, images), digits)
    device = next(model.parameters()).device
    pixels, targets = scaled_pixels(images.to(device)), digits.to(device)
    with evaluating(model):
        attributions, gaps = IntegratedGradients(model).attribute(
            pixels, target=targets, n_steps=NUM_STEPS, internal_batch_size=2_000, return_convergence_delta=True
        )
        slopes = Saliency(model).attribute(pixels.clone().requires_grad_(), target=targets, abs=True)
    return Explanation(
        images=images,
        digits=digits,
        integrated_gradients=attributions.float().cpu(),
        saliency=slopes.float().cpu(),
        completeness_gap=gaps.float().cpu(),
    )


def explanation_picture(explanation: Explanation, index: int) -> bytes:
    """One explanation as a PNG file: the image, its integrated gradients, its saliency, side by side.

    Red pixels are evidence for the digit, blue ones against it; purple ones change its logit in either direction. The
    strongest pixel of each panel has the full colour.

    Args:
        explanation: Explanations of any number of images.
        index: Index of the image that is shown.
    """
    image = scaled_pixels(explanation.images[index]).cpu()
    digit = int(explanation.digits[index])
    panels = [
        (f"read as {digit}", _in_colours(image, ghost=torch.zeros_like(image), positive=INK)),
        ("integrated gradients", _in_colours(explanation.integrated_gradients[index], ghost=image)),
        ("saliency", _in_colours(explanation.saliency[index], ghost=image, positive=UNSIGNED)),
    ]
    side = image.shape[0] * ENLARGEMENT
    picture = Image.new(
        "RGB", (len(panels) * (side + MARGIN) + MARGIN, side + 2 * CAPTION_HEIGHT + 2 * MARGIN), "white"
    )
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(FONT_SIZE)
    for column, (caption, colours) in enumerate(panels):
        left, top = MARGIN + column * (side + MARGIN), MARGIN + CAPTION_HEIGHT
        draw.text((left, MARGIN), caption, INK, font)
        panel = Image.fromarray((colours * 255).round().to(torch.uint8).numpy())
        picture.paste(panel.resize((side, side), Image.Resampling.NEAREST), (left, top))
        draw.rectangle((left - 1, top - 1, left + side, top + side), outline=(200, 200, 200))
    legend_left, legend_top = 2 * MARGIN + side, MARGIN + CAPTION_HEIGHT + side + 3
    draw.text((legend_left, legend_top), f"red: for {digit}", FOR, font)
    draw.text((legend_left + side // 2, legend_top), f"blue: against {digit}", AGAINST, font)
    draw.text((legend_left + side + MARGIN, legend_top), "purple: moves the logit most", UNSIGNED, font)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def write_explanations(
    model: nn.Module, images: Tensor, digits: Tensor, pictures: Sequence[Path], folder: Path
) -> list[Path]:
    """Explain answers and write a picture for each.

    Args:
        model: Model, see :func:`explain`.
        images: Images, see :func:`explain`.
        digits: Digits, see :func:`explain`.
        pictures: Files of the images, N paths, whose names the pictures get.
        folder: Folder of the pictures; it is created if it does not exist.

    Returns:
        The pictures in the order of the images.

    Raises:
        MissingExtraError: If the extra ``explain`` is not installed.
        OutputError: If a picture cannot be written.
    """
    explanation = explain(model, images, digits)
    paths = [folder / name for name in unique_names([f"{picture.stem}.explained.png" for picture in pictures])]
    for index, path in enumerate(paths):
        with output(path, "the explanation") as temporary:
            temporary.write_bytes(explanation_picture(explanation, index))
    return paths


def unique_names(names: Sequence[str]) -> list[str]:
    """The same names; if one of them occurs more than once, each gets its number in the sequence as a prefix.

    Example:
        >>> unique_names(["7.png", "3.png", "7.png"])
        ['1-7.png', '2-3.png', '3-7.png']
    """
    if len(set(names)) == len(names):
        return list(names)
    return [f"{place}-{name}" for place, name in enumerate(names, start=1)]


def _in_colours(values: Tensor, *, ghost: Tensor, positive: tuple[int, int, int] = FOR) -> Tensor:
    """Signed values, (height, width), as colours on white, (height, width, 3) in [0, 1], over the faint digit."""
    strength = (values / values.abs().max().clamp(min=torch.finfo(values.dtype).tiny)).unsqueeze(2)
    hue = torch.where(strength > 0, torch.tensor(positive), torch.tensor(AGAINST)) / 255  # (height, width, 3)
    paper = 1 - GHOST * ghost.unsqueeze(2)
    return paper + (hue - paper) * strength.abs()
