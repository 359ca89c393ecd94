import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mainstay.records.errors import GitError, UsageError
from mainstay.records.history import Withdrawal
from mainstay.revisions.git import Repository
from mainstay.revisions.history import NUM_TRIES, HistoryBranches
from mainstay.store.history import withdrawal_to_json
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")

WRITER = """
import hashlib
import sys
from pathlib import Path
from mainstay.revisions.git import Repository
from mainstay.revisions.history import HistoryBranches
branches = HistoryBranches.of(Repository.discover(Path(sys.argv[1])))
for name in sys.argv[2:]:
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    branches.append("2027", {f"runs/01/01/{name}-{digest}.json": name.encode()}, "Add")
    print(name, flush=True)
"""


@pytest.fixture
def server(tmp_path):
    """A bare repository with two commits on main."""
    project, server = tmp_path / "project", tmp_path / "server.git"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=main")
    for name in ("first", "second"):
        Path(project, name).write_text(name)
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "-m", name)
    git(tmp_path, "clone", "--quiet", "--bare", str(project), str(server))
    return server


@pytest.fixture
def clone(server, tmp_path):
    """Makes clones."""

    def clone(name, *options):
        git(tmp_path, "clone", "--quiet", *options, f"file://{server}", name)
        return HistoryBranches.of(Repository.discover(tmp_path / name))

    return clone


def add(branches, *names):
    return branches.append("2027", {path(name): name.encode() for name in names}, "Add")


def path(name):
    return f"runs/01/01/{name}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"


def kept(branches):
    branches.sync()
    return sorted(content.decode() for _, content in branches.read())


def on_server(server, reference="mainstay-history/2027"):
    listed = git(server, "ls-tree", "-r", "--name-only", reference)
    return sorted(Path(line).stem.rpartition("-")[0] for line in listed.splitlines())


def in_inbox(server):
    references = git(server, "for-each-ref", "--format=%(refname)", "refs/mainstay/inbox").split()
    return sorted(name for reference in references for name in on_server(server, reference))


def test_what_one_clone_keeps_another_reads(clone):
    first, second = clone("a"), clone("b")

    assert add(first, "x")
    assert kept(second) == ["x"]


def test_keeping_the_same_twice_keeps_it_once_and_makes_no_commit(clone, server):
    first = clone("a")
    add(first, "x")
    tip = git(server, "rev-parse", "mainstay-history/2027")
    add(first, "x")

    assert git(server, "rev-parse", "mainstay-history/2027") == tip


def test_the_users_branch_index_files_and_settings_stay_as_they_were(clone, tmp_path):
    branches = clone("a")
    root = tmp_path / "a"
    before = (git(root, "status", "--porcelain", "--branch"), git(root, "for-each-ref", "refs/heads", "refs/tags"),
              (root / ".git/config").read_text(), (root / ".git/index").read_bytes())  # fmt: skip
    add(branches, "x")
    kept(branches)

    assert (git(root, "status", "--porcelain", "--branch"), git(root, "for-each-ref", "refs/heads", "refs/tags"),
            (root / ".git/config").read_text(), (root / ".git/index").read_bytes()) == before  # fmt: skip


def test_without_a_remote_the_history_stays_in_the_repository(clone, tmp_path):
    git(clone("a").repository.root, "remote", "remove", "origin")
    branches = HistoryBranches.of(Repository.discover(tmp_path / "a"))

    assert add(branches, "x")
    assert add(branches, "y")
    assert kept(branches) == ["x", "y"]
    assert git(tmp_path / "a", "branch", "--list", "mainstay-history/*").strip() == "mainstay-history/2027"


def test_a_shallow_clone_adds_and_reads_and_stays_shallow(clone, server):
    add(clone("a"), "x")
    add(clone("b"), "y")
    shallow = clone("c", "--depth=1")
    add(shallow, "z")

    assert kept(shallow) == ["x", "y", "z"] == on_server(server)
    assert git(shallow.repository.root, "rev-list", "--count", "HEAD") == "1"
    assert git(server, "rev-list", "--count", "mainstay-history/2027") == "3"


def test_two_writers_at_once_lose_nothing_and_keep_nothing_twice(clone, server):
    writers = [clone("a"), clone("b")]

    def write(number):
        for i in range(4):
            add(writers[number], f"{number}-{i}")

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(write, range(2)))

    assert on_server(server) == sorted(f"{number}-{i}" for number in range(2) for i in range(4))
    assert git(server, "rev-list", "--count", "mainstay-history/2027") == "8"


def test_two_writers_in_one_clone_wait_for_each_other(clone, server):
    branches = clone("a")

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(lambda name: add(branches, name), "abcd"))

    assert on_server(server) == list("abcd")


def test_a_writer_that_is_always_overtaken_leaves_its_run_in_the_inbox_for_the_next(clone, server, tmp_path):
    slow, quick = clone("a"), clone("b")
    hook = server / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase $1 in refs/heads/*) echo "cannot lock ref" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    waits = []
    slow = HistoryBranches(slow.repository, slow.remote, waits.append, random.Random(0))

    assert not add(slow, "late")
    assert len(waits) == NUM_TRIES
    hook.unlink()
    assert add(quick, "next")
    assert on_server(server) == ["late", "next"]
    assert git(server, "for-each-ref", "refs/mainstay") == ""


def test_a_reader_without_write_access_reads_while_something_waits_in_the_inbox(clone, server):
    writer, reader = clone("a"), clone("b")
    add(writer, "x")
    hook = server / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase $1 in refs/heads/*) echo "cannot lock ref" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    assert not add(HistoryBranches(writer.repository, writer.remote, lambda seconds: None), "late")
    hook.write_text("#!/bin/sh\necho 'you may not write here' >&2\nexit 1\n")

    assert kept(reader) == ["x"]
    assert reader.num_waiting() == 1
    with pytest.raises(GitError, match="you may not write here"):
        add(reader, "y")
    hook.unlink()
    assert kept(reader) == ["late", "x"]
    assert reader.num_waiting() == 0


def test_a_fork_without_rights_is_told_that_it_needs_none(clone, server):
    add(clone("a"), "x")
    fork = clone("b")
    hook = server / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'you may not write here' >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(GitError, match="you may not write here") as caught:
        add(fork, "y")

    assert caught.value.looked_in == "the remote origin"
    assert "leave it to the job of the default branch" in caught.value.next_step
    assert kept(fork) == ["x"]
    assert on_server(server) == ["x"]


def test_a_remote_that_cannot_be_reached_is_named(clone, server):
    branches = clone("a")
    shutil.move(server, server.with_suffix(".moved"))

    with pytest.raises(GitError, match="cannot be fetched") as caught:
        add(branches, "x")

    assert caught.value.looked_in == "the remote origin"


@pytest.mark.parametrize("name", ["2027", "notes"])
def test_a_branch_of_that_name_that_is_no_history_is_refused_and_left_alone(clone, server, name):
    git(server, "branch", f"mainstay-history/{name}", "main")
    branches = clone("a")

    with pytest.raises(GitError, match=f"mainstay-history/{name} is not a history") as caught:
        add(branches, "x")

    assert caught.value.looked_in == "the remote origin"
    assert "rename" in caught.value.next_step
    assert git(server, "rev-parse", f"mainstay-history/{name}") == git(server, "rev-parse", "main")


def rewrite(server):
    """A history that lacks one of its files."""
    tip = git(server, "rev-parse", "mainstay-history/2027~1")
    git(server, "update-ref", "refs/heads/mainstay-history/2027", tip)


@pytest.mark.parametrize("options", [(), ("--depth=1",)], ids=["full", "shallow"])
def test_a_rewritten_branch_is_told_and_restored_or_forgotten_at_will(clone, server, options):
    branches, other = clone("a", *options), clone("b", *options)
    add(branches, "x")
    add(branches, "y")
    kept(other)
    rewrite(server)

    with pytest.raises(GitError, match=r"lacks 1 files that it had, such as runs/01/01/y-[0-9a-f]{12}\.json") as caught:
        add(branches, "z")
    assert "--restore" in caught.value.next_step
    with pytest.raises(GitError, match="lacks 1 files"):
        branches.sync()
    branches.sync(restore=True)
    assert kept(branches) == ["x", "y"] == on_server(server)
    rewrite(server)
    other.sync(forget=True)
    assert kept(other) == ["x"]


def test_a_deleted_branch_is_told_and_restored_or_forgotten_at_will(clone, server):
    branches, other = clone("a"), clone("b")
    add(branches, "x")
    kept(other)
    git(server, "branch", "-D", "mainstay-history/2027")

    with pytest.raises(GitError, match="was deleted"):
        branches.sync()
    other.sync(forget=True)
    assert kept(other) == []
    branches.sync(restore=True)
    assert on_server(server) == ["x"]


def alter(clone, place, content):
    """Alter a file at the remote, as somebody who edits the branch by hand."""
    editor = clone("editor").repository.root
    git(editor, "checkout", "--quiet", "mainstay-history/2027")
    (editor / place).write_text(content)
    git(editor, "commit", "--quiet", "--all", "-m", "edit")
    git(editor, "push", "--quiet", "origin", "mainstay-history/2027")


def test_an_altered_file_counts_as_removed_and_is_restored(clone, server):
    branches = clone("a")
    add(branches, "x")
    add(branches, "y")
    alter(clone, path("x"), "other")

    with pytest.raises(GitError, match=r"lacks 1 files that it had, such as runs/01/01/x-"):
        kept(branches)
    branches.sync(restore=True)

    assert kept(branches) == ["x", "y"] == kept(clone("b"))
    assert git(server, "show", f"mainstay-history/2027:{path('x')}") == "x"


def test_a_clone_that_fetched_an_altered_file_takes_the_restored_one_and_never_brings_the_altered_one_back(clone):
    branches, late = clone("a"), clone("b")
    add(branches, "x")
    alter(clone, path("x"), "other")
    assert kept(late) == ["other"]

    branches.sync(restore=True)
    late.sync(restore=True)

    assert kept(late) == ["x"] == kept(branches)


def test_files_that_are_removed_while_others_are_restored_are_restored_too(clone, server):
    branches = clone("a")
    for name in "xyz":
        add(branches, name)
    rewrite(server)
    hook = server / "hooks" / "update"
    hook.write_text('#!/bin/sh\necho "cannot lock ref" >&2\nexit 1\n')
    hook.chmod(0o755)

    def overtake(seconds):
        hook.unlink()
        rewrite(server)

    HistoryBranches(branches.repository, branches.remote, overtake, random.Random(0)).sync(restore=True)

    assert on_server(server) == ["x", "y", "z"] == kept(branches)


def test_adding_a_run_again_replaces_its_altered_file(clone):
    add(clone("a"), "x")
    alter(clone, path("x"), "other")
    fresh = clone("b")

    assert add(fresh, "x")
    assert kept(fresh) == ["x"] == kept(clone("c"))


def withdraw(branches, name, reason):
    withdrawal = Withdrawal(run=Path(path(name)).stem, when="2027-01-02T00:00:00+00:00", who="A", reason=reason)
    content = withdrawal_to_json(withdrawal)
    branches.append("2027", {withdrawn(name): content.encode()}, "Withdraw")
    return content


def withdrawn(name):
    return f"withdrawn/{Path(path(name)).stem}.json"


def test_a_withdrawn_run_is_refused(clone):
    branches = clone("a")
    add(branches, "x")
    withdraw(branches, "x", "wrong machine")

    with pytest.raises(UsageError, match="not kept: x-[0-9a-f]{12} was withdrawn") as caught:
        add(clone("b"), "x", "y")

    assert caught.value.looked_in == f"mainstay-history/2027:{withdrawn('x')}"
    assert "gate the commit again" in caught.value.next_step


def test_of_two_withdrawals_the_first_stays(clone):
    branches, other = clone("a"), clone("b")
    add(branches, "x")
    content = withdraw(branches, "x", "wrong machine")
    withdraw(other, "x", "wrong workload")

    assert kept(branches) == sorted(["x", content]) == kept(other)


def test_a_withdrawal_that_was_damaged_is_replaced(clone):
    branches = clone("a")
    add(branches, "x")
    withdraw(branches, "x", "wrong machine")
    alter(clone, withdrawn("x"), "{")
    fresh = clone("b")

    content = withdraw(fresh, "x", "wrong machine, again")

    assert kept(fresh) == sorted(["x", content])


def test_a_withdrawal_that_was_altered_is_restored(clone):
    branches = clone("a")
    add(branches, "x")
    content = withdraw(branches, "x", "wrong machine")
    alter(clone, withdrawn("x"), content.replace("wrong", "right"))

    with pytest.raises(GitError, match="lacks 1 files that it had, such as withdrawn/x-"):
        kept(branches)
    branches.sync(restore=True)

    assert kept(branches) == sorted(["x", content]) == kept(clone("b"))


def test_a_remote_that_does_not_exist_is_refused(clone):
    with pytest.raises(GitError, match="no remote 'nowhere'") as caught:
        HistoryBranches.of(clone("a").repository, "nowhere")

    assert "origin" in caught.value.next_step


def test_a_lock_that_a_killed_git_left_behind_stops_no_later_writer(clone, server):
    branches = clone("a")
    add(branches, "x")
    lock = branches.repository.common_folder / "refs" / "mainstay" / "fetched" / "2027.lock"
    lock.touch()
    os.utime(lock, (time.time() - 60,) * 2)

    add(branches, "y")

    assert on_server(server) == ["x", "y"]


def killed_writers(clone, server, start_process, *, num_kills, seed):
    """Kill writers at drawn moments, and return what they said they had kept."""
    rng = random.Random(seed)
    root = clone("a").repository.root
    said = []
    for number in range(num_kills):
        names = [f"{number}-{i}" for i in range(50)]
        process = start_process(
            [sys.executable, "-c", WRITER, str(root), *names], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        said.append(process.stdout.readline().strip())
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        said += process.stdout.read().split()
        process.wait()
    return said, HistoryBranches.of(Repository.discover(root))


@pytest.mark.parametrize(("num_kills", "seed"), [(2, 0), pytest.param(50, 1, marks=pytest.mark.slow)])
def test_writers_killed_at_drawn_moments_lose_nothing_that_they_said_was_kept(
    clone, server, start_process, num_kills, seed
):
    said, branches = killed_writers(clone, server, start_process, num_kills=num_kills, seed=seed)

    said = [name for name in said if name]  # one was killed before it said anything
    assert set(said) <= {*on_server(server), *in_inbox(server)}
    assert git(server, "fsck", "--connectivity-only", "--no-dangling") == ""
    for lock in (server / "refs").rglob(
        "*.lock"
    ):  # of the server's git, which is killed with the writer: a host removes it
        lock.unlink()
    add(branches, *said, "last")
    assert len(on_server(server)) == len(set(on_server(server)))
    assert {*said, "last"} <= set(kept(branches))


@pytest.mark.slow
def test_two_writers_at_once_two_hundred_times(clone, server):
    writers = [clone("a"), clone("b")]
    barrier = threading.Barrier(2)

    def write(number):
        for i in range(200):
            barrier.wait()
            add(writers[number], f"{number}-{i:03}")

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(write, range(2)))

    assert on_server(server) == [f"{number}-{i:03}" for number in range(2) for i in range(200)]
    assert git(server, "rev-list", "--count", "mainstay-history/2027") == "400"
