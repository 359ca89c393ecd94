import pytest

from mainstay.adoption.writing import Edit, render_difference, write_edits
from mainstay.records.errors import StoreError


def new(path, text="new\n"):
    return Edit(path=path, before=None, after=text)


def test_files_and_folders_are_made_and_changed(tmp_path):
    (tmp_path / "a.toml").write_text("old\n")

    write_edits(tmp_path, [Edit(path="a.toml", before="old\n", after="old\nmore\n"), new("b/c/test_a.py")])

    assert (tmp_path / "a.toml").read_text() == "old\nmore\n"
    assert (tmp_path / "b/c/test_a.py").read_text() == "new\n"


def test_nothing_is_half_written(tmp_path):
    (tmp_path / "a.toml").write_text("old\n")
    (tmp_path / "file").write_text("a file where a folder should be")
    edits = [Edit(path="a.toml", before="old\n", after="more\n"), new("made/test_a.py"), new("file/test_b.py")]

    with pytest.raises(StoreError) as caught:
        write_edits(tmp_path, edits)

    assert caught.value.next_step
    assert (tmp_path / "a.toml").read_text() == "old\n"
    assert sorted(place.name for place in tmp_path.iterdir()) == ["a.toml", "file"]


@pytest.mark.parametrize("before", [None, "other\n"])
def test_a_file_that_changed_meanwhile_is_kept(tmp_path, before):
    (tmp_path / "a.toml").write_text("mine\n")

    with pytest.raises(StoreError, match="since it was looked at"):
        write_edits(tmp_path, [new("b.py"), Edit(path="a.toml", before=before, after="x\n")])

    assert (tmp_path / "a.toml").read_text() == "mine\n"
    assert not (tmp_path / "b.py").exists()


@pytest.mark.parametrize("path", ["link.toml", "folder/test_a.py"])
def test_no_link_is_written_through(tmp_path, path):
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.toml").symlink_to(outside / "x.toml")
    (root / "folder").symlink_to(outside, target_is_directory=True)

    with pytest.raises(StoreError, match="is a link"):
        write_edits(root, [new(path)])

    assert list(outside.iterdir()) == []


def test_the_difference_tells_a_new_file_from_a_changed_one():
    text = render_difference([new("a.py", "x"), Edit(path="b", before="1\n", after="2\n")])

    assert "--- /dev/null\n+++ b/a.py" in text
    assert "--- a/b\n+++ b/b" in text
    assert "\\ No newline at end of file" in text
