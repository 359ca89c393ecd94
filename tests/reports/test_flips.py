from dataclasses import replace

import pytest

from mainstay.reports.flips import flip_part
from mainstay.reports.html import render_html


@pytest.fixture
def summary(failing):
    return failing.workloads[0].flips[0]


def cell(part, label, predicted):
    return part.confusion[label][predicted]


def test_nothing_compared_shows_nothing():
    assert flip_part(()) is None


def test_gallery_holds_each_flipped_example_once(summary):
    (_, lost), (_, won) = flip_part((summary,)).gallery

    assert [flip.index for flip in (*lost, *won)] == [example.index for example in summary.examples]
    assert lost[0].caption == "label 4: 4 → 9"


def test_gallery_is_of_the_seed_whose_images_were_recorded(summary):
    without = replace(summary, seed=1, examples=())

    assert flip_part((without, summary)).gallery_seed == summary.seed


def test_gallery_that_holds_a_part_says_so(summary):
    part = flip_part((replace(summary, right_to_wrong=240),))

    assert [title for title, _ in part.gallery] == ["Right to wrong: 9 of 240", "Wrong to right: 3"]


def test_confusion_change_is_summed_over_the_seeds(summary):
    part = flip_part((summary, summary))

    assert (cell(part, 4, 9).text, cell(part, 4, 9).tone) == ("+6", "worse")
    assert (cell(part, 4, 4).text, cell(part, 4, 4).tone) == ("-6", "worse")
    assert (cell(part, 2, 7).text, cell(part, 2, 7).tone) == ("-2", "better")
    assert (cell(part, 0, 0).text, cell(part, 0, 0).tone) == ("", "diagonal")


def test_counts_are_means_and_are_listed_by_seed(summary):
    part = flip_part((summary, replace(summary, seed=7, right_to_wrong=10)))

    assert (part.right_to_wrong, part.wrong_to_right) == ("9.5", "3")
    assert [row[:3] for row in part.rows] == [(str(summary.seed), "9", "3"), ("7", "10", "3")]


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param((), id="none"),
        pytest.param(((0,) * 30,) * 30, id="large"),
        pytest.param(((1, 2), (3,)), id="ragged"),
    ],
)
def test_confusion_that_does_not_fit_is_left_out(summary, matrix):
    assert flip_part((replace(summary, baseline_confusion=matrix),)).confusion == ()


@pytest.mark.parametrize("image", ["", "not base64!", '" onerror="x', "A" * 50_000])
def test_image_that_is_none_is_left_out(failing, summary, image):
    flips = replace(summary, examples=tuple(replace(example, image=image) for example in summary.examples))

    page = render_html(replace(failing, workloads=(replace(failing.workloads[0], flips=(flips,)),)))

    assert "data:image/png" not in page
    assert page.count("no image") == len(flips.examples)
