import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine

from mnist_reference.data.augment import Augmentation, drawn_movements, moved

NUM_IMAGES = 6
STRONG = Augmentation(rotation_degrees=30, scaling=0.3, shift_pixels=4)


def drawn(num_images=NUM_IMAGES, augmentation=STRONG, seed=0):
    return drawn_movements(num_images, augmentation, torch.Generator().manual_seed(seed))


@pytest.fixture
def images():
    return torch.rand(NUM_IMAGES, 28, 28, generator=torch.Generator().manual_seed(1))


def test_whole_batch_is_moved_as_torchvision_moves_each_image(images):
    movements = drawn()

    expected = [
        affine(
            image.unsqueeze(0),
            angle=math.degrees(angle),
            translate=[right, down],
            scale=size,
            shear=[0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        for image, (angle, size, right, down) in zip(images, movements.tolist(), strict=True)
    ]

    torch.testing.assert_close(moved(images, movements), torch.cat(expected), rtol=0, atol=1e-4)


def test_no_strength_is_the_identity(images):
    movements = drawn(augmentation=Augmentation())

    torch.testing.assert_close(moved(images, movements), images, rtol=0, atol=1e-5)


def test_shift_by_whole_pixels_crops_and_enters_black(images):
    movements = torch.tensor([[0.0, 1.0, 3.0, -2.0]]).expand(NUM_IMAGES, 4)

    expected = torch.zeros_like(images)
    expected[:, :-2, 3:] = images[:, 2:, :-3]

    torch.testing.assert_close(moved(images, movements), expected, rtol=0, atol=1e-5)


def test_shape_type_and_range_are_kept(images):
    result = moved(images, drawn())

    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert result.min() >= 0
    assert result.max() <= 1


def test_image_is_moved_alike_in_any_batch(images):
    movements = drawn()

    alone = moved(images[3:4], movements[3:4])

    torch.testing.assert_close(moved(images, movements)[3:4], alone, rtol=0, atol=1e-6)


def test_equal_seeds_draw_equal_movements_and_each_image_its_own():
    assert torch.equal(drawn(seed=5), drawn(seed=5))
    assert not torch.equal(drawn(seed=5), drawn(seed=6))
    assert len(drawn(100).unique(dim=0)) == 100


def test_movements_fill_their_bounds_and_stay_within():
    angle, size, right, down = drawn(10_000).unbind(1)

    for amounts, bound in ((angle, math.radians(30)), (size - 1, 0.3), (right, 4), (down, 4)):
        assert amounts.abs().max() <= bound + 1e-6
        assert amounts.max() > 0.99 * bound
        assert amounts.min() < -0.99 * bound
        assert amounts.std() == pytest.approx(bound / 3**0.5, rel=0.03)  # uniform
