"""Augmentation: every image is rotated, scaled and shifted individually, for a whole batch at once on its device.

torchvision's transforms draw one movement for a batch. Here the movements of all examples of an epoch are drawn first
(:func:`drawn_movements`), so that the movement of an image does not depend on its batch and process, and are then
applied by one resampling (:func:`moved`). Pixels that leave the frame are cropped; pixels that enter it are black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Bounds of the random movement of an image; each amount is uniform between plus and minus its bound.

    Attributes:
        rotation_degrees: Bound on the angle.
        scaling: Bound on the relative change of size, below 1: 0.1 stands for sizes from 90 % to 110 %.
        shift_pixels: Bound on the shift along either axis.

    Example:
        >>> bool(Augmentation()), bool(Augmentation(shift_pixels=2))
        (False, True)
    """

    rotation_degrees: float = 0.0
    scaling: float = 0.0
    shift_pixels: float = 0.0

    def __bool__(self) -> bool:
        return any((self.rotation_degrees, self.scaling, self.shift_pixels))


def drawn_movements(num_images: int, augmentation: Augmentation, stream: torch.Generator) -> Tensor:
    """Movements of some images.

    Args:
        num_images: Number of images, N.
        augmentation: Bounds of the movements.
        stream: Random generator on the CPU.

    Returns:
        (N, 4), float32: angle in radians, clockwise; factor of the size; shift to the right and down in pixels.
    """
    bounds = torch.tensor(
        [
            math.radians(augmentation.rotation_degrees),
            augmentation.scaling,
            augmentation.shift_pixels,
            augmentation.shift_pixels,
        ]
    )
    amounts = (2 * torch.rand(num_images, 4, generator=stream) - 1) * bounds
    return amounts + torch.tensor([0.0, 1.0, 0.0, 0.0])


def moved(images: Tensor, movements: Tensor) -> Tensor:
    """Each image rotated and scaled about its centre, then shifted, with bilinear interpolation.

    Args:
        images: Images, (N, height, width), floating point in [0, 1], with equal height and width.
        movements: Movements, (N, 4), see :func:`drawn_movements`, on the device of the images.

    Returns:
        Same shape, dtype and range.

    Example:
        >>> image = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
        >>> moved(image, torch.tensor([[math.pi / 2, 1.0, 0.0, 1.0]])).round().abs()
        tensor([[[0., 0., 0.],
                 [0., 0., 0.],
                 [0., 0., 1.]]])
    """
    angle, size, right, down = movements.to(images.dtype).unbind(1)  # (N,) each
    cosine, sine = angle.cos() / size, angle.sin() / size
    half = images.shape[-1] / 2  # the sampler's unit
    right, down = right / half, down / half
    # affine_grid needs the origin of each pixel, hence the inverse: shift back, then rotate back and scale back
    rows = (
        torch.stack([cosine, sine, -cosine * right - sine * down], 1),
        torch.stack([-sine, cosine, sine * right - cosine * down], 1),
    )
    grid = functional.affine_grid(torch.stack(rows, 1), [len(images), 1, *images.shape[1:]], align_corners=False)
    return functional.grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)
