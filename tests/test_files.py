import os

import pytest

from mainstay.errors import StoreError
from mainstay.files import write_text


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = write_text(tmp_path / "run.json", "old")
    (tmp_path / f".run.json.{os.getpid()}").mkdir()

    with pytest.raises(StoreError, match="cannot be written"):
        write_text(path, "new")

    assert path.read_text() == "old"
