"""Which pixels an answer rests on: integrated gradients and saliency, as numbers and as pictures.

Captum computes both. An attribution explains one logit, that of the digit asked about: not the probability, which the
other logits move too.
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
"""Points between the black image and the digit at which the gradient is taken; their sum then misses the completeness
axiom by well under 1 % of the logit."""

ENLARGEMENT = 10
"""Pixels of the picture, in each direction, for one of the image."""

MARGIN = 12
CAPTION_HEIGHT = 24
FONT_SIZE = 15
INK = (34, 34, 34)
FOR = (178, 24, 43)
AGAINST = (33, 102, 172)
UNSIGNED = (118, 42, 131)
GHOST = 0.25
"""How much of the digit shows through an attribution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a model gave some answers.

    Attributes:
        images: (N, 28, 28), uint8, as given.
        digits: (N,), int64: the answers that are explained.
        integrated_gradients: (N, 28, 28), float32: what each pixel adds to the logit, in its unit; negative speaks
            against the digit. They sum up to the logit less that of a black image (completeness).
        saliency: (N, 28, 28), float32, at least 0: how fast the logit moves with each pixel, at the image itself.
        completeness_gap: (N,), float32: by how much the sum misses that difference, for want of more steps.
    """

    images: Tensor
    digits: Tensor
    integrated_gradients: Tensor
    saliency: Tensor
    completeness_gap: Tensor


def explain(model: nn.Module, images: Tensor, digits: Tensor) -> Explanation:
    """Attribute the logits of some digits to the pixels of their images.

    Args:
        model: Takes float32 images in [0, 1]; it is evaluated on the device of its parameters, in ``eval()`` mode.
        images: (N, 28, 28), uint8.
        digits: (N,), int64: whose logits are explained, such as the model's answers.

    Raises:
        MissingExtraError: If the extra ``explain`` is not installed.
        DataError: If the images have another shape, type or range, or a digit is none.
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

    Red pixels speak for the digit, blue ones against it; purple ones move its logit, either way. The strongest of each
    panel has the full colour.

    Args:
        explanation: Of any number of images.
        index: Of the one that is shown.
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
        model: As for :func:`explain`.
        images: As there.
        digits: As there.
        pictures: Where the images came from, N files, whose names the pictures bear.
        folder: Of the pictures; made if it does not exist.

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
    """The same names; if one of them occurs more than once, all have their place in the sequence in front.

    Example:
        >>> unique_names(["7.png", "3.png", "7.png"])
        ['1-7.png', '2-3.png', '3-7.png']
    """
    if len(set(names)) == len(names):
        return list(names)
    return [f"{place}-{name}" for place, name in enumerate(names, start=1)]


def _in_colours(values: Tensor, *, ghost: Tensor, positive: tuple[int, int, int] = FOR) -> Tensor:
    """Signed values, (height, width), as colours on white, (height, width, 3) in [0, 1], a ghost of the digit below."""
    strength = (values / values.abs().max().clamp(min=torch.finfo(values.dtype).tiny)).unsqueeze(2)
    hue = torch.where(strength > 0, torch.tensor(positive), torch.tensor(AGAINST)) / 255  # (height, width, 3)
    paper = 1 - GHOST * ghost.unsqueeze(2)
    return paper + (hue - paper) * strength.abs()
