import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_reference.errors import DataError, OutputError
from mnist_reference.models.evaluate import predict
from mnist_reference.models.networks import initialised
from mnist_reference.training.recipes import digits
from mnist_reference.training.train import train
from mnist_reference.using.explain import (
    AGAINST,
    FOR,
    UNSIGNED,
    Explanation,
    explain,
    explanation_picture,
    write_explanations,
)

NUM_EXPLAINED = 12


@pytest.fixture(scope="module")
def explained(digits_data):
    """A trained model, some pixels and the explanation of its answers for them."""
    model = initialised(digits().model, seed=0)
    for _ in train(model, digits_data.train, replace(digits(), num_epochs=10), seed=0):
        pass
    images = digits_data.test.images[:NUM_EXPLAINED]
    return model, images.float() / 255, explain(model, images, predict(model, images).argmax(1))


@pytest.fixture
def patches():
    """An explanation with one pixel for and one against, half as strong, and one salient pixel."""
    attribution, slopes = torch.zeros(1, 28, 28), torch.zeros(1, 28, 28)
    attribution[0, 3, 5], attribution[0, 10, 20], slopes[0, 7, 7] = 2.0, -1.0, 4.0
    return Explanation(
        images=torch.zeros(1, 28, 28, dtype=torch.uint8),
        digits=torch.tensor([4]),
        integrated_gradients=attribution,
        saliency=slopes,
        completeness_gap=torch.zeros(1),
    )


def test_attributions_sum_up_to_what_the_image_adds_to_the_logit(explained):
    model, pixels, explanation = explained

    with torch.no_grad():
        gain = (model(pixels) - model(torch.zeros_like(pixels))).gather(1, explanation.digits.unsqueeze(1)).squeeze(1)

    sums = explanation.integrated_gradients.sum((1, 2))
    torch.testing.assert_close(sums, gain, rtol=0.005, atol=0.005)
    torch.testing.assert_close(explanation.completeness_gap, sums - gain, rtol=0, atol=1e-4)


def test_integrated_gradients_equal_the_mean_gradient_along_the_path(explained):
    model, pixels, explanation = explained

    total = torch.zeros_like(pixels)
    midpoints = (torch.arange(1_000) + 0.5) / 1_000
    for share in midpoints:
        at = (pixels * share).requires_grad_()
        logits = model(at).gather(1, explanation.digits.unsqueeze(1))
        total += torch.autograd.grad(logits.sum(), at)[0]

    expected = pixels * total / len(midpoints)
    torch.testing.assert_close(explanation.integrated_gradients, expected, rtol=0, atol=0.01)


def test_saliency_is_the_size_of_the_gradient(explained):
    model, pixels, explanation = explained

    at = pixels.clone().requires_grad_()
    logits = model(at).gather(1, explanation.digits.unsqueeze(1))

    torch.testing.assert_close(explanation.saliency, torch.autograd.grad(logits.sum(), at)[0].abs())


def test_black_pixels_add_nothing(explained):
    _, pixels, explanation = explained

    assert explanation.integrated_gradients[pixels == 0].count_nonzero() == 0


@pytest.mark.parametrize("is_training", [True, False])
def test_explaining_leaves_mode_and_gradients_of_the_model(perceptron, digits_data, is_training):
    perceptron.train(is_training)

    explain(perceptron, digits_data.test.images[:2], digits_data.test.labels[:2])

    assert perceptron.training is is_training
    assert all(parameter.grad is None for parameter in perceptron.parameters())


def test_picture_has_the_colours_of_the_signs_where_the_pixels_are(patches):
    picture = np.array(Image.open(io.BytesIO(explanation_picture(patches, 0))))[30:316]  # without the text
    half_against = [(255 + channel) / 2 for channel in AGAINST]

    places = [np.argwhere(np.abs(picture - colour).max(2) <= 1) for colour in (FOR, half_against, UNSIGNED)]

    assert [len(place) for place in places] == [100, 100, 100]  # ten by ten pixels for one of the image
    corners = [place.min(0).tolist() for place in places]  # (y, x)
    assert corners[1] == [corners[0][0] + (10 - 3) * 10, corners[0][1] + (20 - 5) * 10]
    assert corners[2] == [corners[0][0] + (7 - 3) * 10, corners[0][1] + 28 * 10 + 12 + (7 - 5) * 10]


def test_picture_of_no_attribution_at_all_is_drawn(patches):
    nothing = replace(patches, integrated_gradients=torch.zeros(1, 28, 28), saliency=torch.zeros(1, 28, 28))

    assert explanation_picture(nothing, 0).startswith(b"\x89PNG")


def test_pictures_of_the_same_name_do_not_overwrite_each_other(perceptron, digits_data, tmp_path):
    sources = [tmp_path / "one" / "7.png", tmp_path / "two" / "7.png", tmp_path / "1-7.png"]
    images, answers = digits_data.test.images[:3], digits_data.test.labels[:3]

    written = write_explanations(perceptron, images, answers, sources, tmp_path / "out")

    assert [path.name for path in written] == ["1-7.explained.png", "2-7.explained.png", "3-1-7.explained.png"]
    assert len({path.read_bytes() for path in written}) == 3


def test_folder_that_cannot_be_made_is_explained(perceptron, digits_data, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OutputError, match="the explanation cannot be written"):
        write_explanations(
            perceptron,
            digits_data.test.images[:1],
            digits_data.test.labels[:1],
            [tmp_path / "7.png"],
            tmp_path / "file",
        )


def test_images_and_digits_that_a_model_does_not_take_are_refused(perceptron, digits_data):
    images = digits_data.test.images[:2]

    with pytest.raises(DataError, match="label 10 of example 1"):
        explain(perceptron, images, torch.tensor([1, 10]))
    with pytest.raises(DataError, match="pixels lie between"):
        explain(perceptron, images.float(), torch.tensor([1, 1]))
