import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mnist_reference.data.pictures import framed, has_bright_border, png, read_picture
from mnist_reference.errors import PictureError


def drawing(size, *, ink=0, paper=255, mode="L"):
    """A slanted stroke, off the middle."""
    image = Image.new("L", size, paper)
    width, height = size
    stroke = (width * 0.15, height * 0.2, width * 0.4, height * 0.8)
    ImageDraw.Draw(image).line(stroke, fill=ink, width=max(1, min(size) // 10))
    return image.convert(mode)


@pytest.fixture
def saved(tmp_path):
    def save(image, name="digit.png"):
        image.save(tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize("size", [(28, 28), (29, 28), (7, 9), (100, 40), (40, 100), (1000, 700), (3, 200)], ids=str)
def test_picture_of_any_size_is_framed(saved, size):
    image = read_picture(saved(drawing(size)), data_set="mnist")

    rows, columns = (image > 50).nonzero(as_tuple=True)
    assert (image.shape, image.dtype) == ((28, 28), torch.uint8)
    assert max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1 in range(17, 22)
    assert not has_bright_border(image.float() / 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16"])
def test_mode_makes_no_difference(saved, mode):
    plain = drawing((90, 70))
    sixteen_bits = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    image = sixteen_bits if mode == "I;16" else plain.convert(mode)

    expected = read_picture(saved(plain, "plain.png"), data_set="mnist")
    found = read_picture(saved(image, "mode.png"), data_set="mnist")

    assert (expected.int() - found.int()).abs().max() <= 1


def test_white_on_black_and_black_on_white_are_the_same(saved):
    dark_ink = read_picture(saved(drawing((90, 70)), "dark.png"), data_set="mnist")
    bright_ink = read_picture(saved(drawing((90, 70), ink=255, paper=0), "bright.png"), data_set="mnist")

    assert torch.equal(dark_ink, bright_ink)


def test_transparent_pixels_are_paper(saved):
    ink = drawing((90, 70))
    image = Image.new("RGBA", ink.size)
    image.putalpha(ink.point(lambda value: 255 - value))

    assert torch.equal(
        read_picture(saved(image, "alpha.png"), data_set="mnist"), read_picture(saved(ink), data_set="mnist")
    )


def test_faint_ink_on_grey_paper_is_brought_to_full_range(saved):
    image = read_picture(saved(drawing((90, 70), ink=120, paper=190)), data_set="mnist")

    assert image.max() > 200
    assert image.min() == 0


def test_image_of_the_data_set_is_taken_as_it_is(tmp_path, digits_data):
    for index in range(20):
        (tmp_path / "digit.png").write_bytes(png(digits_data.test.images[index]))

        assert torch.equal(read_picture(tmp_path / "digit.png", data_set="digits"), digits_data.test.images[index])


def test_png_is_read_back_by_pillow(digits_data):
    image = Image.open(io.BytesIO(png(digits_data.test.images[3])))

    assert (image.size, image.mode) == ((28, 28), "L")
    assert list(image.tobytes()) == digits_data.test.images[3].flatten().tolist()


def test_framing_centres_by_mass():
    ink = torch.zeros(50, 80)
    ink[5:25, 60:70] = 1.0

    frame = framed(ink, box_side=20)

    rows, columns = torch.arange(28.0), torch.arange(28.0)
    assert float((frame.sum(1) * rows).sum() / frame.sum()) == pytest.approx(13.5, abs=0.5)
    assert float((frame.sum(0) * columns).sum() / frame.sum()) == pytest.approx(13.5, abs=0.5)


@pytest.mark.parametrize("box_side", [20, 28])
def test_framing_reaches_the_side_of_the_box(box_side):
    frame = framed(torch.eye(60), box_side=box_side)

    assert len(frame.sum(1).nonzero()) == box_side


def thick(*, box, ink, paper):
    """A block that fills most of a picture of 40 by 40 pixels."""
    image = Image.new("L", (40, 40), paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(thick(box=(1, 1, 38, 38), ink=0, paper=255), id="bold-digit-cut-out"),
        pytest.param(thick(box=(1, 1, 38, 38), ink=255, paper=0), id="paper-in-a-dark-frame"),
    ],
)
def test_ink_that_cannot_be_told_from_paper_is_refused(saved, image):
    with pytest.raises(PictureError, match="most of the picture") as refusal:
        read_picture(saved(image), data_set="mnist")
    assert "frame" in refusal.value.next_step


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("L", (30, 30), 255), id="white"),
        pytest.param(Image.new("L", (28, 28), 0), id="black"),
        pytest.param(Image.new("RGBA", (30, 30)), id="transparent"),
        pytest.param(Image.new("L", (1, 1), 255), id="one-pixel"),
        pytest.param(drawing((40, 40), ink=250), id="hardly-any-ink"),
    ],
)
def test_blank_picture_is_refused(saved, image):
    with pytest.raises(PictureError, match="the picture is blank"):
        read_picture(saved(image), data_set="mnist")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n broken"], ids=["empty", "text", "broken-png"])
def test_file_that_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "digit.png").write_bytes(content)

    with pytest.raises(PictureError, match="not a picture") as refusal:
        read_picture(tmp_path / "digit.png", data_set="mnist")

    assert refusal.value.looked_in == str(tmp_path / "digit.png")


def test_truncated_png_is_refused(saved):
    path = saved(drawing((300, 300)))
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(PictureError, match="not a picture"):
        read_picture(path, data_set="mnist")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(PictureError, match="No such file"):
        read_picture(tmp_path / "digit.png", data_set="mnist")


TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera's sensor saw an upright picture, by the orientation that the file states."""


@pytest.mark.parametrize("orientation", TURNED_BACK)
def test_picture_is_read_upright_however_the_camera_was_held(tmp_path, saved, orientation):
    upright = drawing((90, 70))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.transpose(TURNED_BACK[orientation]).save(tmp_path / "photo.png", exif=exif)

    found = read_picture(tmp_path / "photo.png", data_set="mnist")

    assert torch.equal(found, read_picture(saved(upright), data_set="mnist"))


def shades(size):
    """Brightness of paper of a size, (height, width) in [0, 1], by name."""
    width, height = size
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return {
        "from-left": 1 - 0.45 * x,
        "from-above": 1 - 0.45 * y,
        "from-a-corner": 1 - 0.3 * (x + y),
        "from-a-lamp": 1 - 0.45 * ((x - 0.3) ** 2 + (y - 0.4) ** 2),
        "shadow-across": 1 - 0.45 * (x > 0.6),
        "soft-shadow-across": 1 - 0.45 / (1 + np.exp(15 * (0.5 - x))),
        "nearly-dark": 1 - 0.9 * x,
    }


def on_paper(image, shade, *, noise=0.0, side=160):
    """A stored image as dark ink on paper of some brightness."""
    ink = Image.new("L", (side, side))
    ink.paste(Image.fromarray(image.numpy()).resize((side // 2, side // 2), Image.Resampling.BICUBIC), (side // 4,) * 2)
    brightness = shades((side, side))[shade] if shade else np.ones((side, side))
    brightness = brightness * (1 - 0.9 * np.asarray(ink) / 255)
    brightness = brightness + np.random.default_rng(0).normal(0, noise, brightness.shape)
    return Image.fromarray((brightness.clip(0, 1) * 255).round().astype(np.uint8))


@pytest.mark.parametrize(
    "noise", [pytest.param(0.0, id="clean", marks=pytest.mark.slow), pytest.param(0.03, id="noisy")]
)
@pytest.mark.parametrize("shade", ["from-left", "from-above", "from-a-corner", "from-a-lamp"])
def test_shaded_paper_makes_no_difference(saved, digits_data, shade, noise):
    for image in digits_data.test.images[:10]:
        expected = read_picture(saved(on_paper(image, None)), data_set="mnist").float()
        found = read_picture(saved(on_paper(image, shade, noise=noise), "shaded.png"), data_set="mnist").float()

        assert (expected - found).abs().mean() < 0.2 * expected.mean()


def test_bright_ink_on_a_shaded_board_is_read_too(saved, digits_data):
    image = digits_data.test.images[0]
    expected = read_picture(saved(on_paper(image, None)), data_set="mnist").float()
    inverted = on_paper(image, "from-left").point(lambda value: 255 - value)

    found = read_picture(saved(inverted, "board.png"), data_set="mnist").float()

    assert (expected - found).abs().mean() < 0.2 * expected.mean()


@pytest.mark.parametrize("shade", ["shadow-across", "soft-shadow-across", "nearly-dark"])
def test_shadow_that_cannot_be_told_from_ink_is_refused(saved, digits_data, shade):
    for image in digits_data.test.images[:10]:
        with pytest.raises(PictureError, match="unevenly lit") as refusal:
            read_picture(saved(on_paper(image, shade)), data_set="mnist")
        assert "even light" in refusal.value.next_step


def test_digit_cut_out_closely_is_read(saved, digits_data):
    for image in digits_data.test.images[:10]:
        ink = Image.fromarray(image.numpy())
        left, top, right, bottom = ink.point(lambda value: 255 * (value > 50)).getbbox()
        closely = ink.crop((left - 2, top - 2, right + 2, bottom + 2)).resize((100, 140))

        found = read_picture(saved(closely.point(lambda value: 255 - value)), data_set="digits")

        assert found.max() > 200
