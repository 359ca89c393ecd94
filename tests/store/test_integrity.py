import os
import shutil
import time

import pytest

from mainstay.records.errors import StoreError
from mainstay.store import integrity
from mainstay.store.files import file_digest
from mainstay.store.integrity import (
    WatchedFolders,
    WatchedInput,
    describe_changes,
    find_changes,
    read_manifest,
    take_manifest,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    """A folder with files, a folder in it, and a link that leads out of it."""
    place = tmp_path / "folder"
    (place / "inner").mkdir(parents=True)
    (place / "inner" / "a.py").write_text("a = 1")
    (place / "b.so").write_bytes(b"\x00" * 100)
    (tmp_path / "outside").write_text("data")
    (place / "link").symlink_to(tmp_path / "outside")
    return place


def rewrite_in_place(place):
    """Write other content of equal length and put the old times back."""
    status = place.stat()
    with place.open("r+") as stream:
        stream.write("a = 2")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def add_a_pipe(folder):
    os.mkfifo(folder / "pipe")


def turn_a_link(folder):
    (folder / "link").unlink()
    (folder / "link").symlink_to("/")


def put_a_pipe_for_a_file(folder):
    (folder / "b.so").unlink()
    os.mkfifo(folder / "b.so")


def put_a_copy_in_its_place(folder):
    shutil.copytree(folder, f"{folder}2", symlinks=True)
    shutil.rmtree(folder)
    (folder.parent / f"{folder.name}2").rename(folder)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(
            lambda folder: rewrite_in_place(folder / "inner" / "a.py"), "inner/a.py", id="content-with-old-times"
        ),
        pytest.param(lambda folder: (folder / "b.so").unlink(), "b.so", id="a-file-less"),
        pytest.param(lambda folder: (folder / "inner" / "new").touch(), "inner/new", id="a-file-more"),
        pytest.param(lambda folder: (folder / "new").mkdir(), "new", id="a-folder-more"),
        pytest.param(lambda folder: (folder / "b.so").chmod(0o777), "b.so", id="a-mode"),
        pytest.param(lambda folder: (folder / "inner").chmod(0o500), "inner", id="the-mode-of-a-folder"),
        pytest.param(lambda folder: os.utime(folder / "b.so", (0, 0)), "b.so", id="a-time"),
        pytest.param(add_a_pipe, "pipe", id="a-pipe"),
        pytest.param(turn_a_link, "link", id="where-a-link-leads"),
        pytest.param(put_a_pipe_for_a_file, "b.so", id="a-pipe-for-a-file"),
    ],
)
def test_whatever_changes_is_found_by_its_path(folder, change, path):
    before = take_manifest(folder)
    time.sleep(0.05)  # older kernels stamp files every 10 ms

    change(folder)

    assert find_changes(folder, before) == (path,)


def test_only_the_files_of_an_input_that_were_touched_are_read_again(folder, monkeypatch):
    watched = WatchedInput(folder)
    reading = []

    def digest(path):
        reading.append(path.name)
        return file_digest(path)

    monkeypatch.setattr(integrity, "file_digest", digest)

    assert not watched.has_changed()
    assert reading == []
    os.utime(folder / "b.so", (0, 0))
    assert not watched.has_changed()
    assert reading == ["b.so"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: rewrite_in_place(folder / "inner" / "a.py"), id="content-with-old-times"),
        pytest.param(lambda folder: (folder / "b.so").unlink(), id="a-file-less"),
        pytest.param(lambda folder: (folder / "inner" / "new").touch(), id="a-file-more"),
        pytest.param(lambda folder: (folder.parent / "outside").write_text("other"), id="what-a-link-leads-to"),
        pytest.param(shutil.rmtree, id="gone"),
    ],
)
def test_whatever_changes_in_an_input_is_found(folder, change):
    watched = WatchedInput(folder)
    time.sleep(0.05)  # older kernels stamp files every 10 ms

    change(folder)

    assert watched.has_changed()


def test_an_empty_input_that_is_gone_has_changed(tmp_path):
    (tmp_path / "data").mkdir()
    watched = WatchedInput(tmp_path / "data")

    (tmp_path / "data").rmdir()

    assert watched.has_changed()


def change_the_mode_and_back(place):
    mode = place.stat().st_mode
    place.chmod(0)
    place.chmod(mode)


def restore_content_and_times(place):
    status = place.stat()
    place.write_text("a = 2")
    place.write_text("a = 1")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def add_and_remove_a_file(folder):
    (folder / "new").touch()
    (folder / "new").unlink()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(lambda folder: change_the_mode_and_back(folder / "inner"), "inner", id="the-mode-of-a-folder"),
        pytest.param(lambda folder: change_the_mode_and_back(folder / "b.so"), "b.so", id="the-mode-of-a-file"),
        pytest.param(change_the_mode_and_back, ".", id="the-mode-of-the-folder-itself"),
        pytest.param(lambda folder: restore_content_and_times(folder / "inner" / "a.py"), "inner/a.py", id="content"),
        pytest.param(lambda folder: add_and_remove_a_file(folder / "inner"), "inner", id="a-file-more"),
    ],
)
def test_in_a_folder_that_nothing_else_touches_a_change_is_found_though_it_was_undone(folder, change, path):
    before = take_manifest(folder, is_untouched=True)
    time.sleep(0.05)  # older kernels stamp files every 10 ms

    change(folder)

    assert find_changes(folder, before) == (path,)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda folder: None, id="nothing"),
        pytest.param(lambda folder: (folder / "inner" / "a.py").read_text(), id="reading"),
        pytest.param(lambda folder: (folder.parent / "outside").write_text("other"), id="what-a-link-leads-to"),
        pytest.param(lambda folder: (folder.parent / "beside").mkdir(), id="a-folder-beside-it"),
    ],
)
def test_what_changes_nothing_in_a_folder_that_nothing_else_touches_is_no_change(folder, harmless):
    before = take_manifest(folder, is_untouched=True)

    harmless(folder)

    assert find_changes(folder, before) == ()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change_the_mode_and_back, id="the-mode-and-back"),
        pytest.param(lambda folder: folder.chmod(0o700), id="the-mode"),
        pytest.param(add_and_remove_a_file, id="a-file-more-and-less"),
        pytest.param(put_a_copy_in_its_place, id="a-copy-in-its-place"),
        pytest.param(shutil.rmtree, id="gone"),
    ],
)
def test_a_change_of_a_watched_folder_is_found_though_it_was_undone(folder, change):
    watched = WatchedFolders([folder, folder.parent / "outside"])
    time.sleep(0.05)  # older kernels stamp files every 10 ms

    change(folder)

    assert watched.find_changed() == (folder,)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda folder: (folder / "inner" / "a.py").write_text("other"), id="a-file-in-it"),
        pytest.param(lambda folder: change_the_mode_and_back(folder / "inner"), id="a-folder-in-it"),
        pytest.param(lambda folder: add_and_remove_a_file(folder / "inner"), id="a-file-in-a-folder-in-it"),
        pytest.param(lambda folder: list(folder.iterdir()), id="reading"),
        pytest.param(lambda folder: (folder.parent / "beside").mkdir(), id="a-folder-beside-it"),
    ],
)
def test_what_happens_inside_the_entries_of_a_watched_folder_is_no_change_of_it(folder, harmless):
    watched = WatchedFolders([folder])

    harmless(folder)

    assert watched.find_changed() == ()


def test_a_folder_that_is_gone_has_changed(folder):
    before = take_manifest(folder)

    shutil.rmtree(folder)

    assert find_changes(folder, before) == ("folder",)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda folder: None, id="nothing"),
        pytest.param(lambda folder: (folder / "inner" / "a.py").read_text(), id="reading"),
        pytest.param(lambda folder: (folder.parent / "outside").write_text("other"), id="what-a-link-leads-to"),
        pytest.param(put_a_copy_in_its_place, id="a-copy-in-its-place"),
    ],
)
def test_what_changes_nothing_is_no_change(folder, harmless):
    before = take_manifest(folder)

    harmless(folder)

    assert find_changes(folder, before) == ()


def test_a_manifest_comes_back_from_its_file(folder, tmp_path):
    (folder / os.fsdecode(b"\xff")).touch()
    manifest = take_manifest(folder)

    write_manifest(tmp_path / "manifest.json", manifest)

    assert read_manifest(tmp_path / "manifest.json") == manifest
    assert manifest.num_bytes == len("a = 1") + 100 + (folder / "link").lstat().st_size


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"version": 99, "entries": {}}', '{"version": 1, "entries": {"a": [1]}}']
)
def test_a_manifest_that_does_not_read_is_none(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)

    assert read_manifest(tmp_path / "manifest.json") is None
    assert read_manifest(tmp_path / "absent.json") is None


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="what was installed cannot be read"):
        take_manifest(tmp_path / "absent")


@pytest.mark.parametrize(
    ("paths", "expected"), [(("a",), "a"), (("a", "b"), "a and 1 more"), (("a", "b", "c"), "a and 2 more")]
)
def test_changes_are_told_in_a_few_words(paths, expected):
    assert describe_changes(paths) == expected
