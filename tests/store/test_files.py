import os
import py_compile
from pathlib import Path

import pytest

from mainstay.records.errors import StoreError
from mainstay.store import files
from mainstay.store.files import content_digest, harmful_link, write_output, write_text


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, step):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    path = write_text(tmp_path / "run.json", "old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)

    with pytest.raises(StoreError, match="cannot be written: No space left"):
        write_text(path, "new")

    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_follows_no_link(tmp_path):
    (tmp_path / "precious").write_text("of the user")
    (tmp_path / "run.json").symlink_to(tmp_path / "precious")

    write_text(tmp_path / "run.json", "new")

    assert (tmp_path / "precious").read_text() == "of the user"
    assert (tmp_path / "run.json").read_text() == "new"


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "not-yet"])
def test_an_output_is_written_through_links(tmp_path, is_there):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "report.md"
    if is_there:
        target.write_text("old")
    (tmp_path / "near").symlink_to("folder/report.md")
    (tmp_path / "far").symlink_to(tmp_path / "near")

    write_output(tmp_path / "far", "new")

    assert target.read_text() == "new"
    assert (tmp_path / "near").is_symlink()
    assert (tmp_path / "far").is_symlink()
    assert [place.name for place in target.parent.iterdir()] == ["report.md"]


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_an_output_goes_into_a_pipe(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    try:
        write_output(tmp_path / name, "new")

        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_an_output_goes_on_where_an_open_file_ends(tmp_path):
    with (tmp_path / "log").open("w") as log:
        log.write("before\n")
        log.flush()
        write_output(Path(f"/dev/fd/{log.fileno()}"), "new\n")
        log.write("after\n")

    assert (tmp_path / "log").read_text() == "before\nnew\nafter\n"


def test_an_output_that_nobody_reads_is_a_store_error():
    reader, writer = os.pipe()
    os.close(reader)

    try:
        with pytest.raises(StoreError, match="cannot be written: Broken pipe"):
            write_output(Path(f"/dev/fd/{writer}"), "new")
    finally:
        os.close(writer)


def loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def link_to_no_folder(folder):
    (folder / "link").symlink_to("absent/report.md")
    return folder / "link"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(loop, "symbolic links", id="link-to-itself"),
        pytest.param(link_to_no_folder, "No such file", id="folder-that-is-not-there"),
        pytest.param(lambda folder: folder, "Is a directory", id="folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_a_store_error(tmp_path, make, words):
    place = make(tmp_path)

    with pytest.raises(StoreError, match=f"cannot be written: .*{words}") as caught:
        write_output(place, "new")

    assert caught.value.looked_in == str(place)
    assert all(inside.is_symlink() for inside in tmp_path.iterdir())


@pytest.fixture
def tree(tmp_path):
    """A project with a folder of workloads, and data beside the project."""
    for place in ("tree/benchmarks/inner", "tree/src", "data"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "data" / "images").write_text("many")
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("links", "found"),
    [
        pytest.param({"loop": "."}, ("loop", "benchmarks"), id="to-its-own-folder"),
        pytest.param({"inner/loop": ".."}, ("inner/loop", "benchmarks"), id="to-the-folder-above"),
        pytest.param({"loop": ".."}, ("loop", "."), id="to-the-project"),
        pytest.param({"loop": "/"}, ("loop", "/"), id="to-everything"),
        pytest.param({"first": "../src", "../src/second": "../benchmarks"}, ("first/second", "benchmarks"), id="two"),
        pytest.param({"zero": "/dev/zero"}, ("zero", "/dev/zero"), id="to-a-device"),
        pytest.param({"devices": "/dev"}, ("devices", "/dev"), id="to-devices"),
        pytest.param({"inner/deep": "../../../data"}, None, id="to-data-beside-the-project"),
        pytest.param({"again": "inner", "source": "../src"}, None, id="inside-the-project"),
        pytest.param({"absent": "nowhere", "itself": "itself"}, None, id="to-nothing"),
    ],
)
def test_links_that_a_copy_must_not_follow_are_found(tree, links, found):
    for name, target in links.items():
        (tree / "benchmarks" / name).symlink_to(target)

    expected = None if found is None else (tree / "benchmarks" / found[0], (tree / found[1]).resolve())
    assert harmful_link(tree / "benchmarks", tree) == expected


def test_a_folder_that_is_a_link_itself_is_found(tree):
    (tree / "workloads").symlink_to("/")

    assert harmful_link(tree / "workloads", tree) == (tree / "workloads", Path("/"))


@pytest.mark.parametrize("limit", ["MAX_COPIED_BYTES", "MAX_COPIED_FILES"])
def test_a_link_to_more_than_a_copy_should_take_is_found(tree, monkeypatch, limit):
    (tree / "benchmarks" / "data").symlink_to("../../data")
    monkeypatch.setattr(files, limit, 0)

    assert harmful_link(tree / "benchmarks", tree) == (tree / "benchmarks" / "data", tree.parent / "data")
    assert harmful_link(tree / "benchmarks", tree, left_out=[tree / "benchmarks" / "data"]) is None


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


def test_a_digest_of_sources_does_not_change_when_they_are_compiled(tmp_path):
    (tmp_path / "module.py").write_text("VALUE = 1\n")
    before = content_digest(tmp_path, suffix=".py")

    py_compile.compile(str(tmp_path / "module.py"))

    assert [file.suffix for file in (tmp_path / "__pycache__").iterdir()] == [".pyc"]
    assert content_digest(tmp_path, suffix=".py") == before
    (tmp_path / "module.py").write_text("VALUE = 2\n")
    assert content_digest(tmp_path, suffix=".py") != before
