import os

import pytest

from mainstay.errors import StoreError
from mainstay.files import content_digest, write_text


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = write_text(tmp_path / "run.json", "old")
    (tmp_path / f".run.json.{os.getpid()}").mkdir()

    with pytest.raises(StoreError, match="cannot be written"):
        write_text(path, "new")

    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda place: (place / "data" / "a").write_text("other"), id="content"),
        pytest.param(lambda place: (place / "data" / "a").rename(place / "data" / "b"), id="name"),
        pytest.param(lambda place: (place / "data" / "more").touch(), id="another-file"),
        pytest.param(lambda place: (place / "elsewhere" / "c").write_text("other"), id="behind-a-link"),
    ],
)
def test_whatever_a_folder_holds_counts_in_its_digest(tmp_path, change):
    for name in ("data/a", "elsewhere/c"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("some")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    before = content_digest(tmp_path / "data")

    change(tmp_path)

    assert content_digest(tmp_path / "data") != before
