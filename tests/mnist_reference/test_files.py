import os

import pytest

from mnist_reference.errors import OutputError
from mnist_reference.files import output, replacing


def test_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "folder" / "file"

    for content in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(content)

    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()

    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")

    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_exception_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("half \ud800", "utf-8")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_output_that_cannot_be_written_says_what_and_where(tmp_path):
    (tmp_path / "file").write_text("in the way")

    place = tmp_path / "file" / "card.md"
    with pytest.raises(OutputError, match="the card cannot be written") as refusal, output(place, "the card"):
        pass

    assert refusal.value.looked_in == str(tmp_path / "file")


def test_output_is_there_when_the_block_ends(tmp_path):
    with output(tmp_path / "card.md", "the model card") as temporary:
        temporary.write_text("a card")

    assert (tmp_path / "card.md").read_text() == "a card"
