import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from mainstay.records.errors import GitError, StoreError
from mainstay.store.scratch import MARK, is_scratch, remove_abandoned, scratch_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no gate runs on Windows")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path):
    """What stands for git's own folder."""
    folder = tmp_path / "repository.git"
    folder.mkdir()
    return folder


KILLED = """
import os, signal, sys, tempfile
from pathlib import Path
from mainstay.store.scratch import scratch_folder

tempfile.tempdir = sys.argv[1]
with scratch_folder(Path(sys.argv[2])) as folder:
    (folder / "base").mkdir()
    (folder / "base" / "file").write_text("some")
    (folder / "base").chmod(0o500)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(temporary, repository):
    """The folder of a process that was killed."""
    command = [sys.executable, "-c", KILLED, str(temporary), str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return Path(done.stdout.strip())


def test_a_folder_is_marked_while_it_is_used_and_gone_afterwards(temporary, repository):
    with scratch_folder(repository) as folder:
        (folder / "file").write_text("some")

        assert is_scratch(folder)
        assert json.loads((folder / MARK).read_text()) == {"repository": str(repository)}

    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_what_pointed_into_it_forgotten(temporary, repository):
    folder = killed(temporary, repository)
    forgotten = []

    remove_abandoned(repository, release=lambda place: forgotten.append((place, sorted(os.listdir(place)))))

    assert forgotten == [(folder, [MARK])]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_process_that_lives_stays(temporary, repository):
    with scratch_folder(repository) as folder:
        remove_abandoned(repository)

        assert folder.is_dir()


def test_the_folder_of_another_repository_stays_until_that_is_gone(temporary, repository, tmp_path):
    other = tmp_path / "other.git"
    other.mkdir()
    folder = killed(temporary, other)

    remove_abandoned(repository)
    assert folder.is_dir()

    other.rmdir()
    remove_abandoned(repository)
    assert not folder.exists()


def mark(folder, content):
    folder.mkdir()
    (folder / MARK).write_bytes(content)
    (folder / "precious").write_text("of the user")
    return folder


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not json", id="no-json"),
        pytest.param(b"[1]", id="no-object"),
        pytest.param(b'{"repository": 1}', id="no-path"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b"\xff", id="no-text"),
    ],
)
def test_what_bears_no_mark_that_reads_is_not_removed(temporary, repository, content):
    folder = mark(temporary / "mainstay-abcdefgh", content)

    remove_abandoned(repository)

    assert (folder / "precious").exists()


def test_neither_links_nor_files_nor_folders_elsewhere_are_removed(temporary, repository, tmp_path):
    right = json.dumps({"repository": str(repository)}).encode()
    elsewhere = mark(tmp_path / "mainstay-elsewhere", right)
    (temporary / "mainstay-link").symlink_to(elsewhere)
    (temporary / "mainstay-file").write_text("of the user")
    other_name = mark(temporary / "results", right)
    with_linked_mark = temporary / "mainstay-linked"
    with_linked_mark.mkdir()
    (with_linked_mark / MARK).symlink_to(elsewhere / MARK)

    remove_abandoned(repository)

    assert (elsewhere / "precious").exists()
    assert (other_name / "precious").exists()
    assert sorted(path.name for path in temporary.iterdir()) == [
        "mainstay-file",
        "mainstay-link",
        "mainstay-linked",
        "results",
    ]


def test_the_folder_of_another_user_is_not_removed(temporary, repository, monkeypatch):
    folder = mark(temporary / "mainstay-abcdefgh", json.dumps({"repository": str(repository)}).encode())
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

    remove_abandoned(repository)

    assert (folder / "precious").exists()


def test_a_folder_whose_process_was_killed_before_it_was_marked_is_removed(temporary, repository):
    for number, content in enumerate([None, b"", b'{"repo']):
        folder = temporary / f"mainstay-unmarked-{number}"
        folder.mkdir()
        if content is not None:
            (folder / MARK).write_bytes(content)

    remove_abandoned(repository)

    assert list(temporary.iterdir()) == []


def test_a_folder_that_another_gate_removes_as_it_is_made_is_made_again(temporary, repository, monkeypatch):
    make, num_made = tempfile.mkdtemp, []

    def make_and_lose(**options):
        folder = make(**options)
        num_made.append(folder)
        if len(num_made) == 1:
            os.rmdir(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)

    with scratch_folder(repository) as folder:
        assert (folder / MARK).exists()

    assert len(num_made) == 2


def test_a_folder_that_could_not_be_released_keeps_its_mark_for_the_next_gate(temporary, repository):
    def fail(folder):
        raise GitError("another gate holds the lock")

    with scratch_folder(repository, release=fail) as folder:
        (folder / "file").write_text("some")

    assert os.listdir(folder) == [MARK]
    remove_abandoned(repository)
    assert list(temporary.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_explained(tmp_path, repository, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    with ExitStack() as stack, pytest.raises(StoreError, match="no temporary folder can be made") as caught:
        stack.enter_context(scratch_folder(repository))

    assert "TMPDIR" in caught.value.next_step
