import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from mainstay.records.errors import GitError, RevisionError, StoreError, TreeError
from mainstay.records.trials import Side
from mainstay.revisions.git import Outcome, Repository, refuse_own_inputs, remote_commit, version_of
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")

NO_CI: dict[str, str] = {}


def commit(folder, path="model.py", text="1", message="change"):
    place = Path(folder, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path):
    """A repository with two commits on main."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--initial-branch=main")
    commit(folder, text="0", message="first")
    commit(folder, ".gitignore", "ignored\ndata\n", message="second")
    return folder


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2"),
        ("subject-v2.0rc1", "2.0rc1"),
        ("release/2.0.post1", "2.0.post1"),
        ("v2.0-beta", "0.0.0"),
        ("nightly", "0.0.0"),
        ("", "0.0.0"),
    ],
)
def test_a_tag_names_a_version_at_its_end(tag, version):
    assert version_of(tag) == version


def test_the_latest_version_is_that_of_the_nearest_tag_before_a_commit(project):
    repository = Repository.discover(project)
    first, second = git(project, "rev-parse", "HEAD~1"), git(project, "rev-parse", "HEAD")
    untagged = repository.latest_version(second)
    git(project, "tag", "v1.0", first)
    commit(project, text="3")
    git(project, "tag", "v2.0")

    assert (untagged, repository.latest_version(first), repository.latest_version(second)) == ("0.0.0", "1.0", "1.0")
    assert repository.latest_version(git(project, "rev-parse", "HEAD")) == "2.0"


def baseline_of(repository, candidate=None, *, environment=NO_CI, **options):
    return repository.baseline(repository.candidate(candidate), environment=environment, **options)


def state_of(folder):
    """All that belongs to the user: the index byte by byte, references, stash and the state of the tree."""
    index = hashlib.sha256(Path(folder, ".git", "index").read_bytes()).hexdigest()
    refs = git(folder, "for-each-ref", "--format=%(refname) %(objectname)")
    return index, refs, git(folder, "stash", "list"), Path(folder, ".git", "HEAD").read_text()


# --- which repository ----------------------------------------------------------------------------------------------


def test_a_repository_is_found_from_a_folder_inside_it(project):
    (project / "src").mkdir()

    assert Repository.discover(project / "src").root == project


@pytest.mark.parametrize(
    ("prepare", "fact", "next_step"),
    [
        pytest.param(lambda folder: None, "not a git repository", "git init", id="no-repository"),
        pytest.param(lambda folder: folder.rmdir(), "no such folder", "name a folder", id="no-folder"),
        pytest.param(lambda folder: git(folder, "init", "--bare"), "a bare repository", "git clone", id="bare"),
        pytest.param(lambda folder: git(folder, "init"), "no commit yet", "git commit", id="unborn"),
    ],
)
def test_a_folder_that_cannot_be_gated_is_explained(tmp_path, prepare, fact, next_step):
    folder = tmp_path / "here"
    folder.mkdir()
    prepare(folder)

    with pytest.raises(GitError) as caught:
        Repository.discover(folder)

    assert fact in caught.value.fact
    assert str(folder) in str(caught.value.looked_in)
    assert next_step in str(caught.value.next_step)
    assert caught.value.exit_status == 4


def test_a_missing_git_is_explained(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitError, match="git is not installed"):
        Repository.discover(project)


def test_the_variables_of_a_hook_do_not_mislead(project, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert Repository.discover(project).candidate().revision.name == "HEAD"


@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_LITERAL_PATHSPECS": "1"},
        {"GIT_GLOB_PATHSPECS": "1"},
        {"GIT_NOGLOB_PATHSPECS": "1"},
        {"GIT_ICASE_PATHSPECS": "1"},
        {"GIT_OBJECT_DIRECTORY": "/nonexistent"},
        {"GIT_CONFIG": "/nonexistent"},
        {"GIT_TRACE": "1"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_no_variable_of_git_changes_what_is_gated(project, monkeypatch, variables):
    (project / "new.py").write_text("new")
    (project / "NEW.PY").write_text("another")
    repository = Repository.discover(project)
    expected = repository.candidate()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert repository.candidate() == expected
    assert Repository.discover(project) == repository


def test_the_settings_that_the_environment_gives_to_git_reach_it(project, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.excludesFile")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(project / "excluded"))
    (project / "excluded").write_text("excluded\nresults\n")
    (project / "results").write_text("ignored")

    assert not Repository.discover(project).candidate().is_snapshot


# --- runs that came with the repository ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [".mainstay/runs/a/journal.jsonl", ".Mainstay/runs/a/journal.jsonl", ".mainstay"])
def test_a_repository_that_tracks_runs_is_refused(project, path):
    commit(project, path, "{}")
    repository = Repository.discover(project)

    for revision in (None, repository.resolve("HEAD")):
        with pytest.raises(GitError, match="is tracked by git") as caught:
            repository.refuse_tracked_runs(revision)
        assert caught.value.exit_status == 4
    repository.refuse_tracked_runs(repository.resolve("HEAD~1"))


def test_runs_that_ignore_nothing_are_in_no_snapshot(project):
    (project / ".mainstay" / "runs").mkdir(parents=True)
    (project / ".mainstay" / "runs" / "journal.jsonl").write_text("{}")
    repository = Repository.discover(project)

    repository.refuse_tracked_runs()
    assert not repository.candidate().is_snapshot


# --- the candidate -------------------------------------------------------------------------------------------------


def test_a_clean_tree_is_head_itself(project):
    choice = Repository.discover(project).candidate()

    assert choice.revision.commit == git(project, "rev-parse", "HEAD")
    assert choice.revision.subject == "second"
    assert not choice.is_snapshot


def test_a_snapshot_holds_the_tree_as_it_is(project):
    (project / "model.py").write_text("2")
    (project / "new.py").write_text("new")
    (project / "ignored").write_text("ignored")
    git(project, "rm", "--cached", ".gitignore")
    repository = Repository.discover(project)

    choice = repository.candidate()

    assert choice.is_snapshot
    assert repository.read_file(choice.revision.commit, "model.py") == b"2"
    assert repository.read_file(choice.revision.commit, "new.py") == b"new"
    assert repository.read_file(choice.revision.commit, "ignored") is None
    assert repository.read_file(choice.revision.commit, ".gitignore") == b"ignored\ndata\n"


def test_an_edit_of_equal_size_within_the_second_of_the_commit_is_seen(project):
    commit(project, text="0.1", message="third")
    (project / "model.py").write_text("0.2")

    candidate = Repository.discover(project).candidate()

    assert Repository(project).read_file(candidate.revision.commit, "model.py") == b"0.2"


def test_a_deleted_file_is_not_in_the_snapshot(project):
    (project / "model.py").unlink()
    repository = Repository.discover(project)

    assert repository.read_file(repository.candidate().revision.commit, "model.py") is None


def test_a_snapshot_leaves_index_references_and_stash_as_they_were(project, tmp_path):
    (project / "model.py").write_text("stashed")
    git(project, "stash")
    (project / "staged.py").write_text("staged")
    git(project, "add", "staged.py")
    (project / "model.py").write_text("2")
    (project / "new.py").write_text("new")
    status = git(project, "status", "--porcelain")
    before = state_of(project)
    repository = Repository.discover(project)

    choice = repository.candidate()
    repository.baseline(choice, environment=NO_CI)
    repository.add_worktree(choice.revision.commit, tmp_path / "worktree")
    repository.remove_worktree(tmp_path / "worktree")

    assert state_of(project) == before
    assert git(project, "status", "--porcelain") == status


def test_the_same_tree_gives_the_same_snapshot(project):
    (project / "model.py").write_text("2")
    repository = Repository.discover(project)

    assert repository.candidate() == repository.candidate()


@pytest.mark.parametrize(
    ("options", "tag"),
    [
        pytest.param(["--assume-unchanged"], "h", id="assumed-unchanged"),
        pytest.param(["--skip-worktree"], "S", id="skipped"),
        pytest.param(["--assume-unchanged", "--skip-worktree"], "s", id="both"),
    ],
)
def test_a_file_that_git_was_told_to_overlook_is_seen(project, options, tag):
    for option in options:
        git(project, "update-index", option, "model.py")
    (project / "model.py").write_text("edited all the same")
    repository = Repository.discover(project)

    choice = repository.candidate()

    assert repository.read_file(choice.revision.commit, "model.py") == b"edited all the same"
    assert git(project, "ls-files", "-v", "model.py").startswith(tag)


@pytest.fixture(params=["--no-cone", "--cone", "--sparse-index"])
def sparse(request, project):
    """A project with two folders, of which only one is checked out."""
    commit(project, "large/model.py", "large")
    commit(project, "small/model.py", "small")
    git(project, "sparse-checkout", "set", request.param, "small")
    assert not (project / "large").exists()
    return project


def test_what_a_sparse_checkout_leaves_out_is_as_in_head(sparse):
    (sparse / "small" / "model.py").write_text("edited")
    (sparse / "large").mkdir()
    (sparse / "large" / "new.py").write_text("new")
    repository = Repository.discover(sparse)
    before = state_of(sparse)

    commit_made = repository.candidate().revision.commit

    contents = {path: repository.read_file(commit_made, path) for path in ("large/model.py", "large/new.py")}
    assert contents == {"large/model.py": b"large", "large/new.py": b"new"}
    assert repository.read_file(commit_made, "small/model.py") == b"edited"
    assert state_of(sparse) == before


def test_a_worktree_of_a_sparse_checkout_is_whole(sparse, tmp_path):
    repository = Repository.discover(sparse)

    repository.add_worktree("HEAD", tmp_path / "worktree")

    assert (tmp_path / "worktree" / "large" / "model.py").read_text() == "large"
    assert not (sparse / "large").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "num_notes"),
    [pytest.param(50_000_001, 1, id="over-50-MB"), pytest.param(50_000_000, 0, id="just-50-MB")],
)
def test_a_large_new_file_is_pointed_out(project, size, num_notes):
    with (project / "weights.bin").open("wb") as file:
        file.truncate(size)

    choice = Repository.discover(project).candidate()

    assert len(choice.notes) == num_notes
    assert all("weights.bin" in note and "50 MB" in note for note in choice.notes)


def test_an_unresolved_conflict_is_refused(project):
    git(project, "switch", "--create", "feature", "HEAD~1")
    commit(project, text="theirs")
    git(project, "switch", "main")
    commit(project, text="ours")
    subprocess.run(["git", "-C", str(project), "merge", "feature"], check=False, capture_output=True)

    with pytest.raises(GitError, match=r"'model\.py' has unresolved conflicts"):
        Repository.discover(project).candidate()


def test_an_untracked_repository_inside_is_refused(project):
    (project / "nested").mkdir()
    git(project / "nested", "init")
    commit(project / "nested")

    with pytest.raises(GitError, match="untracked folder 'nested' is a git repository of its own"):
        Repository.discover(project).candidate()


def test_a_named_candidate_leaves_the_tree_out(project):
    (project / "model.py").write_text("2")

    choice = Repository.discover(project).candidate("main~1")

    assert (choice.revision.subject, choice.revision.name) == ("first", "main~1")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        pytest.param("mian", "did you mean main?", id="misspelt"),
        pytest.param("0123456", "git fetch --all --tags", id="nothing-near"),
        pytest.param("--all", "git fetch", id="looks-like-an-option"),
        pytest.param("HEAD:model.py", "git fetch", id="not-a-commit"),
    ],
)
def test_an_unknown_revision_names_the_nearest(project, name, advice):
    with pytest.raises(RevisionError) as caught:
        Repository.discover(project).candidate(name)

    assert caught.value.fact == f"unknown revision {name!r}"
    assert advice in str(caught.value.next_step)
    assert caught.value.exit_status == 2


# --- the baseline --------------------------------------------------------------------------------------------------


def test_a_requested_baseline_is_taken(project):
    choice = baseline_of(Repository.discover(project), requested="main~1")

    assert (choice.revision.subject, choice.revision.name) == ("first", "main~1")


@pytest.mark.parametrize("name", ["main", "main~1"])
def test_a_branch_is_taken_before_a_tag_of_the_same_name_and_the_report_says_so(project, name):
    commit(project, text="3", message="third")
    git(project, "tag", "main", "HEAD~1")
    repository = Repository.discover(project)
    expected = git(project, "rev-parse", f"refs/heads/{name}")

    for choice in (baseline_of(repository, requested=name), repository.candidate(name)):
        assert choice.revision.commit == expected
        assert choice.notes == (f"{name} names 2 revisions: refs/heads/{name} was taken, not refs/tags/{name}.",)


def test_two_names_of_one_commit_need_no_note(project):
    git(project, "tag", "main", "main")

    assert baseline_of(Repository.discover(project), requested="main").notes == ()


def test_a_branch_is_compared_with_its_merge_base(project):
    fork = git(project, "rev-parse", "HEAD")
    git(project, "switch", "--create", "feature")
    commit(project, text="2")
    git(project, "switch", "main")
    commit(project, text="later on main")
    git(project, "switch", "--detach", "feature")

    choice = baseline_of(Repository.discover(project))

    assert (choice.revision.commit, choice.revision.name) == (fork, "merge base with main")


def test_a_dirty_default_branch_is_compared_with_head(project):
    (project / "model.py").write_text("2")

    choice = baseline_of(Repository.discover(project))

    assert (choice.revision.commit, choice.revision.name) == (git(project, "rev-parse", "HEAD"), "HEAD")


def test_a_clean_default_branch_is_compared_with_its_parent(project):
    choice = baseline_of(Repository.discover(project))

    assert choice.revision.subject == "first"
    assert choice.notes == ()


def test_a_root_commit_is_compared_with_itself_and_says_so(project):
    git(project, "switch", "--detach", "HEAD~1")

    choice = baseline_of(Repository.discover(project))

    assert choice.revision.subject == "first"
    assert "is the first of the repository, so it is compared with itself" in choice.notes[0]


def test_a_named_candidate_on_the_default_branch_is_compared_with_its_parent(project):
    third = commit(project, text="3", message="third")
    commit(project, text="4", message="fourth")

    choice = baseline_of(Repository.discover(project), third)

    assert choice.revision.subject == "second"


@pytest.fixture
def clone(project, tmp_path):
    """A clone whose own main has moved on by one commit."""
    folder = tmp_path / "clone"
    git(project.parent, "clone", f"file://{project}", str(folder))
    commit(folder, text="2", message="third")
    return folder


def test_a_remote_tracking_branch_comes_before_a_local_one(clone):
    choice = baseline_of(Repository.discover(clone))

    assert (choice.revision.subject, choice.revision.name) == ("second", "merge base with origin/main")


@pytest.mark.parametrize(
    ("configured", "environment", "expected"),
    [
        pytest.param("trunk", {"GITHUB_BASE_REF": "release"}, "refs/heads/trunk", id="configuration-first"),
        pytest.param(None, {"GITHUB_BASE_REF": "release"}, "refs/heads/release", id="then-ci"),
        pytest.param(None, {"GITHUB_BASE_REF": ""}, "refs/remotes/origin/main", id="then-the-remote"),
        pytest.param("origin/main", {}, "refs/remotes/origin/main", id="with-its-remote"),
    ],
)
def test_where_the_default_branch_comes_from(clone, configured, environment, expected):
    git(clone, "branch", "trunk")
    git(clone, "branch", "release")

    assert Repository.discover(clone).default_branch(configured, environment) == expected


def test_main_and_master_together_tell_nothing(project):
    git(project, "branch", "master")
    repository = Repository.discover(project)

    assert repository.default_branch(None, NO_CI) is None
    with pytest.raises(GitError, match="cannot tell the default branch"):
        baseline_of(repository)


def test_a_sole_master_is_the_default_branch(project):
    git(project, "branch", "--move", "master")

    assert Repository.discover(project).default_branch(None, NO_CI) == "refs/heads/master"


def test_a_default_branch_that_is_not_here_names_the_fetch(project):
    with pytest.raises(GitError) as caught:
        Repository.discover(project).default_branch(None, {"GITHUB_BASE_REF": "release"})

    assert caught.value.fact == "the default branch 'release', named by GITHUB_BASE_REF, is not here"
    assert caught.value.next_step == "git fetch origin release:refs/remotes/origin/release"


def test_histories_without_a_common_commit_are_explained(project):
    git(project, "switch", "--orphan", "other")
    commit(project, text="2")

    with pytest.raises(GitError, match="share no commit"):
        baseline_of(Repository.discover(project))


@pytest.fixture
def pull_request(project):
    """A detached merge commit of a branch into main, as a CI service makes it."""
    git(project, "switch", "--create", "feature", "HEAD~1")
    commit(project, text="2", message="of the pull request")
    git(project, "switch", "main")
    commit(project, "other.py", "other", message="later on main")
    git(project, "switch", "--detach", "main")
    git(project, "merge", "--no-ff", "feature")
    git(project, "update-ref", "refs/heads/merged", "HEAD")
    return project


def test_a_pull_requests_merge_commit_is_compared_with_its_first_parent(pull_request):
    head = git(pull_request, "rev-parse", "HEAD")
    environment = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": head, "GITHUB_BASE_REF": "main"}

    choice = baseline_of(Repository.discover(pull_request), environment=environment)

    assert choice.revision.subject == "later on main"
    assert choice.revision.name == "first parent of the pull request's merge commit"


def test_the_last_commit_of_a_pull_request_is_known_only_of_the_merge_that_ci_made(pull_request):
    merge, feature = (git(pull_request, "rev-parse", name) for name in ("HEAD", "feature"))
    environment = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": merge, "GITHUB_BASE_REF": "main"}
    repository = Repository.discover(pull_request)

    assert repository.head_of_pull_request(merge, environment) == feature
    assert repository.head_of_pull_request(merge, {}) == ""
    assert repository.head_of_pull_request(feature, environment) == ""


def test_a_pull_requests_merge_reference_tells_the_same(pull_request):
    git(pull_request, "update-ref", "refs/remotes/pull/7/merge", "HEAD")

    choice = baseline_of(Repository.discover(pull_request))

    assert choice.revision.name == "first parent of the pull request's merge commit"


def test_a_merge_into_the_branch_of_a_pull_request_is_not_mistaken_for_it(pull_request):
    git(pull_request, "switch", "feature")
    git(pull_request, "merge", "--no-ff", "main")
    environment = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": "0" * 40, "GITHUB_BASE_REF": "main"}

    choice = baseline_of(Repository.discover(pull_request), environment=environment)

    assert choice.revision.name == "merge base with main"


# --- shallow clones ------------------------------------------------------------------------------------------------


def test_a_clone_of_one_commit_is_compared_with_itself_and_says_so(project, tmp_path):
    git(tmp_path, "clone", "--depth=1", f"file://{project}", "shallow")

    choice = baseline_of(Repository.discover(tmp_path / "shallow"))

    assert choice.revision.subject == "second"
    assert "no parent in this shallow clone (git fetch --deepen=1 brings it)" in choice.notes[0]


def test_a_detached_clone_of_one_commit_without_branches_is_compared_with_itself(project, tmp_path):
    git(tmp_path, "init", "lone")
    git(tmp_path / "lone", "fetch", "--depth=1", f"file://{project}", "main")
    git(tmp_path / "lone", "checkout", "--detach", "FETCH_HEAD")

    assert len(baseline_of(Repository.discover(tmp_path / "lone")).notes) == 1


def test_a_missing_merge_base_names_the_fetch_that_helps(project, tmp_path):
    git(project, "switch", "--create", "feature")
    commit(project, text="2")
    commit(project, text="3")
    git(tmp_path, "clone", "--depth=1", "--no-single-branch", f"file://{project}", "shallow")
    git(tmp_path / "shallow", "remote", "set-head", "origin", "main")
    repository = Repository.discover(tmp_path / "shallow")

    with pytest.raises(GitError) as caught:
        baseline_of(repository)

    assert caught.value.fact == "the merge base with origin/main is missing from this shallow clone"
    assert caught.value.next_step == "git fetch --deepen=1000 origin main, or git fetch --unshallow origin"
    git(tmp_path / "shallow", "fetch", "--deepen=1000", "origin", "main")
    assert baseline_of(repository).revision.subject == "second"


def test_a_shallow_merge_commit_of_a_pull_request_is_not_compared_with_itself(pull_request, tmp_path):
    git(tmp_path, "clone", "--depth=1", "--branch=merged", f"file://{pull_request}", "shallow")
    head = git(tmp_path / "shallow", "rev-parse", "HEAD")

    with pytest.raises(GitError, match="of the pull request is missing from this shallow clone"):
        baseline_of(
            Repository.discover(tmp_path / "shallow"),
            environment={"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": head, "GITHUB_BASE_REF": "main"},
        )


# --- worktrees -----------------------------------------------------------------------------------------------------


def test_a_worktree_holds_the_commit_and_runs_no_hook(project, tmp_path):
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    repository = Repository.discover(project)

    repository.add_worktree(repository.resolve("HEAD~1"), tmp_path / "worktree")

    assert sorted(path.name for path in (tmp_path / "worktree").iterdir()) == [".git", "model.py"]
    assert not (tmp_path / "hook-ran").exists()


def test_a_removed_worktree_leaves_nothing(project, tmp_path):
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")
    (tmp_path / "worktree" / "built").write_text("untracked")

    repository.remove_worktree(tmp_path / "worktree")
    repository.remove_worktree(tmp_path / "worktree")

    assert not (tmp_path / "worktree").exists()
    assert repository.worktrees() == (project,)


KILLED = """
import os, signal, sys
from pathlib import Path
from mainstay.revisions.git import Repository

repository = Repository.discover(Path(sys.argv[1]))
with repository.scratch_folder() as folder:
    repository.add_worktree("HEAD", folder / "base" / "tree")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_gate(project):
    """The temporary folder of a gate that was killed."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(project)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return Path(done.stdout.strip())


def test_what_killed_gates_left_is_swept_and_nothing_else(project, tmp_path, temporary):
    repository = Repository.discover(project)
    killed, without_folder = killed_gate(project), killed_gate(project)
    shutil.rmtree(without_folder)  # as after a restart of the machine
    repository.add_worktree("HEAD", tmp_path / "of-the-user")
    repository.add_worktree("HEAD", tmp_path / "on-a-disk-that-is-away" / "tree")
    (tmp_path / "on-a-disk-that-is-away").rename(tmp_path / "away")

    with repository.scratch_folder() as alive:
        repository.add_worktree("HEAD", alive / "base" / "tree")
        repository.sweep()

        assert not killed.exists()
        assert set(repository.worktrees()) == {
            project,
            tmp_path / "of-the-user",
            tmp_path / "on-a-disk-that-is-away" / "tree",
            alive / "base" / "tree",
        }
        assert (alive / "base" / "tree" / "model.py").exists()

    assert list(temporary.iterdir()) == []
    assert len(repository.worktrees()) == 3


def test_no_file_of_the_repository_says_what_is_swept(project, tmp_path, temporary):
    run = project / ".mainstay" / "runs" / "a"
    run.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.mkdir()
    lines = [{"type": "start", "version": 1}, {"type": "scratch", "folder": str(precious)}]
    (run / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    Repository.discover(project).sweep()

    assert precious.is_dir()


def test_gates_that_start_at_once_sweep_what_a_killed_one_left(project, temporary):
    repository = Repository.discover(project)
    failures = []

    def start():
        try:
            repository.sweep()
            with repository.scratch_folder() as folder:
                for side in ("base", "cand"):
                    repository.add_worktree("HEAD", folder / side / "tree")
        except GitError as error:
            failures.append(error)

    for _ in range(3):
        killed_gate(project)
        gates = [threading.Thread(target=start) for _ in range(3)]
        for gate in gates:
            gate.start()
        for gate in gates:
            gate.join()

    assert failures == []
    assert repository.worktrees() == (project,)
    assert list(temporary.iterdir()) == []


def test_a_gate_does_not_wait_for_another_without_end(project, monkeypatch):
    monkeypatch.setattr("mainstay.revisions.git.LOCK_SECONDS", 0.01)
    repository = Repository.discover(project)

    with (
        FileLock(repository.common_folder / "mainstay-worktrees.lock"),
        pytest.raises(GitError, match="does not finish"),
    ):
        repository.sweep()


@pytest.mark.parametrize("num_locked", [1, 2])
def test_last_attempt_counts_where_another_process_held_a_lock(project, monkeypatch, num_locked):
    locked = Outcome(128, b"", "fatal: Unable to create '/a/.git/index.lock': File exists.")
    answers = [*[locked] * num_locked, Outcome(0, b"worktree /a\n", "")]
    repository = Repository.discover(project)
    monkeypatch.setattr("mainstay.revisions.git.NUM_LOCK_ATTEMPTS", 1)
    monkeypatch.setattr(Repository, "call", lambda *_, **__: answers.pop(0))

    if num_locked == 1:
        assert repository.worktrees() == (Path("/a"),)
    else:
        with pytest.raises(GitError, match="index.lock"):
            repository.worktrees()


def test_gates_at_the_same_time_add_worktrees_safely(project, tmp_path):
    repository = Repository.discover(project)
    failures = []

    def come_and_go(gate):
        try:
            for _ in range(10):
                repository.add_worktree("HEAD", tmp_path / gate / "baseline")
                repository.remove_worktree(tmp_path / gate / "baseline")
        except GitError as error:
            failures.append(error)

    gates = [threading.Thread(target=come_and_go, args=(f"gate{number}",)) for number in range(4)]
    for gate in gates:
        gate.start()
    for gate in gates:
        gate.join()

    assert failures == []
    assert repository.worktrees() == (project,)


def test_a_worktree_that_cannot_be_made_is_explained(project, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(GitError, match="git worktree add failed"):
        Repository.discover(project).add_worktree("HEAD", tmp_path / "file")


# --- submodules, LFS and filters -----------------------------------------------------------------------------------


@pytest.fixture
def with_submodule(project, tmp_path):
    """A project whose submodule has a submodule of its own."""
    for name in ("inner", "library"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "--initial-branch=main")
        commit(tmp_path / name, "code.py", name)
    git(tmp_path / "library", "submodule", "add", f"file://{tmp_path}/inner", "inner")
    git(tmp_path / "library", "commit", "-m", "inner")
    git(project, "submodule", "add", f"file://{tmp_path}/library", "library")
    git(project, "submodule", "update", "--init", "--recursive")
    git(project, "commit", "-m", "library")
    return project


def test_submodules_are_checked_out_in_a_worktree(with_submodule, tmp_path):
    repository = Repository.discover(with_submodule)

    repository.add_worktree(repository.candidate().revision.commit, tmp_path / "worktree")

    assert (tmp_path / "worktree" / "library" / "code.py").read_text() == "library"
    assert (tmp_path / "worktree" / "library" / "inner" / "code.py").read_text() == "inner"
    assert git(with_submodule, "status", "--porcelain") == ""
    repository.remove_worktree(tmp_path / "worktree")
    assert not (tmp_path / "worktree").exists()


def test_a_submodule_moved_to_another_commit_is_part_of_the_snapshot(with_submodule, tmp_path):
    commit(with_submodule / "library", "code.py", "newer")
    repository = Repository.discover(with_submodule)

    choice = repository.candidate()
    repository.add_worktree(choice.revision.commit, tmp_path / "worktree")

    assert choice.is_snapshot
    assert (tmp_path / "worktree" / "library" / "code.py").read_text() == "newer"


@pytest.mark.parametrize("path", ["library/code.py", "library/new.py", "library/inner/code.py"])
def test_a_dirty_submodule_is_named(with_submodule, path):
    (with_submodule / path).write_text("dirty")

    with pytest.raises(GitError, match="the submodule 'library' has changes that are not committed"):
        Repository.discover(with_submodule).candidate()


@pytest.mark.parametrize("option", ["--assume-unchanged", "--skip-worktree"])
def test_a_submodule_whose_edits_git_was_told_to_overlook_is_named(with_submodule, option):
    git(with_submodule / "library", "update-index", option, "code.py")
    (with_submodule / "library" / "code.py").write_text("edited all the same")

    with pytest.raises(GitError, match="the submodule 'library' has changes that are not committed"):
        Repository.discover(with_submodule).candidate()


def test_a_submodule_that_is_not_checked_out_is_named(with_submodule, tmp_path):
    git(with_submodule, "submodule", "deinit", "--force", "library")
    repository = Repository.discover(with_submodule)

    with pytest.raises(GitError, match="the submodule 'library' is not checked out") as caught:
        repository.candidate()

    assert caught.value.next_step == "git submodule update --init --recursive library"
    shutil.rmtree(with_submodule / ".git" / "modules" / "library")
    with pytest.raises(GitError, match="the submodule 'library' is not checked out") as caught:
        repository.add_worktree("HEAD", tmp_path / "worktree")
    assert caught.value.next_step == "git submodule update --init --recursive library"
    assert repository.worktrees() == (with_submodule,)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(["rm", "library"], id="removed"),
        pytest.param(["mv", "library", "vendored"], id="moved"),
        pytest.param(["submodule", "deinit", "--force", "library"], id="not-checked-out"),
    ],
)
@pytest.mark.parametrize("is_committed", [False, True], ids=["in-the-working-tree", "committed"])
def test_a_submodule_that_only_the_baseline_has_is_checked_out(with_submodule, tmp_path, change, is_committed):
    before = git(with_submodule, "rev-parse", "HEAD")
    git(with_submodule, *change)
    if is_committed:
        git(with_submodule, "commit", "--allow-empty", "-m", "change")

    Repository.discover(with_submodule).add_worktree(before, tmp_path / "worktree")

    assert (tmp_path / "worktree" / "library" / "code.py").read_text() == "library"
    assert (tmp_path / "worktree" / "library" / "inner" / "code.py").read_text() == "inner"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        pytest.param(["rm", "library"], None, id="removed"),
        pytest.param(["mv", "library", "vendored"], "vendored", id="moved"),
    ],
)
def test_a_change_that_removes_or_moves_a_submodule_can_be_a_candidate(with_submodule, tmp_path, change, place):
    git(with_submodule, *change)
    repository = Repository.discover(with_submodule)

    choice = repository.candidate()
    repository.add_worktree(choice.revision.commit, tmp_path / "worktree")

    assert choice.is_snapshot
    assert not (tmp_path / "worktree" / "library").exists()
    assert [path.parent.name for path in (tmp_path / "worktree").glob("*/code.py")] == ([place] if place else [])


def test_the_step_that_brings_a_removed_submodule_does(with_submodule, tmp_path, monkeypatch):
    before = git(with_submodule, "rev-parse", "HEAD")
    git(with_submodule, "rm", "library")
    git(with_submodule, "commit", "-m", "without a library")
    shutil.rmtree(with_submodule / ".git" / "modules")
    repository = Repository.discover(with_submodule)
    with pytest.raises(GitError, match="the submodule 'library' is not checked out") as caught:
        repository.add_worktree(before, tmp_path / "worktree")

    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    _, _, commands = caught.value.next_step.partition(", then ")
    subprocess.run(commands, shell=True, cwd=with_submodule, check=True)
    repository.add_worktree(before, tmp_path / "worktree")

    assert (tmp_path / "worktree" / "library" / "inner" / "code.py").read_text() == "inner"
    assert git(with_submodule, "status", "--porcelain", "--branch") == "## main"
    assert not repository.candidate().is_snapshot


def test_a_submodule_is_not_looked_for_where_its_name_leads_out_of_the_repository(with_submodule, tmp_path):
    git(
        with_submodule, "config", "--file", ".gitmodules", "--rename-section", "submodule.library", "submodule.../aside"
    )
    git(with_submodule, "commit", "--all", "-m", "rename")
    (with_submodule / ".git" / "modules" / "library").rename(with_submodule / ".git" / "aside")
    shutil.rmtree(with_submodule / "library")

    with pytest.raises(GitError, match="the submodule 'library' is not checked out"):
        Repository.discover(with_submodule).add_worktree("HEAD", tmp_path / "worktree")


def test_a_commit_of_a_submodule_that_is_not_here_is_named(with_submodule, tmp_path):
    git(with_submodule, "update-index", "--cacheinfo", f"160000,{'1' * 40},library")
    git(with_submodule, "commit", "-m", "elsewhere")

    with pytest.raises(GitError, match="the commit 1111111111 of the submodule 'library' is not here"):
        Repository.discover(with_submodule).add_worktree("HEAD", tmp_path / "worktree")


def test_the_step_that_brings_a_commit_of_a_nested_submodule_names_its_whole_path(with_submodule, tmp_path):
    git(with_submodule / "library", "update-index", "--cacheinfo", f"160000,{'1' * 40},inner")
    git(with_submodule / "library", "commit", "-m", "elsewhere")
    git(with_submodule, "add", "library")
    git(with_submodule, "commit", "-m", "newer")

    with pytest.raises(TreeError, match="the commit 1111111111 of the submodule 'inner' is not here") as caught:
        Repository.discover(with_submodule).add_worktree("HEAD", tmp_path / "worktree")

    assert caught.value.next_step == f"git -C library/inner fetch origin {'1' * 40}"


def test_the_step_that_brings_a_submodule_can_be_pasted_into_a_shell(with_submodule, tmp_path, monkeypatch):
    git(with_submodule, "mv", "library", "my library")
    git(with_submodule, "commit", "-m", "move")
    git(with_submodule, "submodule", "deinit", "--force", "my library")
    shutil.rmtree(with_submodule / ".git" / "modules")
    repository = Repository.discover(with_submodule)
    with pytest.raises(TreeError, match="the submodule 'my library' is not checked out") as caught:
        repository.add_worktree("HEAD", tmp_path / "worktree")

    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    subprocess.run(caught.value.next_step, shell=True, cwd=with_submodule, check=True)

    repository.add_worktree("HEAD", tmp_path / "worktree")
    assert (tmp_path / "worktree" / "my library" / "inner" / "code.py").read_text() == "inner"


def test_a_pointer_of_lfs_without_its_content_is_refused(project, tmp_path):
    commit(project, "weights.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    commit(project, ".gitattributes", "*.bin filter=lfs\n")

    with pytest.raises(GitError, match=r"'weights\.bin' is a Git LFS pointer") as caught:
        Repository.discover(project).add_worktree("HEAD", tmp_path / "worktree")

    assert "git lfs pull" in str(caught.value.next_step)


def test_a_filter_works_in_snapshot_and_worktree(project, tmp_path):
    git(project, "config", "filter.upper.clean", "tr a-z A-Z")
    git(project, "config", "filter.upper.smudge", "tr A-Z a-z")
    commit(project, ".gitattributes", "*.txt filter=upper\n")
    (project / "names.txt").write_text("names")
    repository = Repository.discover(project)

    choice = repository.candidate()
    repository.add_worktree(choice.revision.commit, tmp_path / "worktree")

    assert repository.read_file(choice.revision.commit, "names.txt") == b"NAMES"
    assert (tmp_path / "worktree" / "names.txt").read_text() == "names"


def test_a_filter_that_fails_is_explained(project, tmp_path):
    commit(project, "weights.bin", "weights")
    commit(project, ".gitattributes", "*.bin filter=lfs\n")
    git(project, "config", "filter.lfs.smudge", "git-lfs-that-is-not-installed smudge")
    git(project, "config", "filter.lfs.required", "true")

    with pytest.raises(GitError, match="git worktree add failed") as caught:
        Repository.discover(project).add_worktree("HEAD", tmp_path / "worktree")

    assert "install git-lfs" in str(caught.value.next_step)


def test_a_full_disk_is_not_put_down_to_git_since_the_same_call_may_succeed_later(project, tmp_path):
    commit(project, "weights.bin", "weights")
    commit(project, ".gitattributes", "*.bin filter=full\n")
    git(project, "config", "filter.full.smudge", "echo 'No space left on device' >&2; false")
    git(project, "config", "filter.full.required", "true")

    with pytest.raises(StoreError, match="git worktree add failed") as caught:
        Repository.discover(project).add_worktree("HEAD", tmp_path / "worktree")

    assert caught.value.next_step == "free some disk space, then run it again"


# --- content and shared inputs -------------------------------------------------------------------------------------


def test_content_of_a_commit_is_read_without_checking_it_out(project):
    first = git(project, "rev-parse", "HEAD")
    second = commit(project, "benchmarks/test_model.py", "workload")
    repository = Repository.discover(project)

    assert repository.read_file(second, "benchmarks/test_model.py") == b"workload"
    assert repository.read_file(second, "benchmarks") is None
    assert repository.folder_digest(first, "benchmarks") is None
    assert repository.folder_digest(second, "benchmarks") == git(project, "rev-parse", "HEAD:benchmarks")


def test_a_folder_is_found_through_a_link_to_one_of_its_parents(project):
    commit(project, "perf/v1/benchmarks/test_a.py", "workload")
    (project / "perf" / "current").symlink_to("v1")
    (project / "perf" / "nowhere").symlink_to("v9")
    git(project, "add", "perf")
    git(project, "commit", "--message", "links")
    repository = Repository.discover(project)

    assert repository.folder_digest("HEAD", "perf/current/benchmarks") == git(
        project, "rev-parse", "HEAD:perf/v1/benchmarks"
    )
    assert repository.folder_digest("HEAD", "perf/nowhere/benchmarks") is None
    assert repository.folder_digest("HEAD", "perf/current/absent folder") is None


def test_shared_inputs_are_linked_with_the_hash_of_their_content(project, tmp_path):
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "images").write_text("images")
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")

    shared = repository.read_shared(["data"])["data"]
    repository.link_shared(["data"], tmp_path / "worktree", Side.BASELINE)

    assert (tmp_path / "worktree" / "data" / "raw" / "images").read_text() == "images"
    assert repository.read_shared(["data"])["data"].sha256 == shared.sha256
    assert not shared.has_changed()
    (tmp_path / "worktree" / "data" / "raw" / "images").write_text("written by a workload")
    assert repository.read_shared(["data"])["data"].sha256 != shared.sha256
    assert shared.has_changed()


@pytest.mark.parametrize("paths", [("data", "data/raw"), ("data/raw", "data")], ids="-".join)
def test_a_shared_input_in_another_one_is_linked_with_it(project, tmp_path, paths):
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "images").write_text("images")
    (project / "data" / "labels").write_text("labels")
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")

    repository.link_shared(paths, tmp_path / "worktree", Side.BASELINE)

    linked = tmp_path / "worktree" / "data"
    assert linked.is_symlink()
    assert [(linked / name).read_text() for name in ("raw/images", "labels")] == ["images", "labels"]


def test_a_renamed_file_changes_the_hash_of_a_shared_input(project):
    (project / "data").mkdir()
    (project / "data" / "a").write_text("content")
    repository = Repository.discover(project)
    before = repository.read_shared(["data"])["data"]

    (project / "data" / "a").rename(project / "data" / "b")

    assert repository.read_shared(["data"])["data"].sha256 != before.sha256
    assert before.has_changed()


def test_a_shared_input_that_does_not_exist_is_named(project):
    with pytest.raises(TreeError, match="the shared input 'data' does not exist"):
        Repository.discover(project).read_shared(["data"])


def test_a_shared_input_that_the_revision_tracks_is_named_with_the_revision(project, tmp_path):
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")

    with pytest.raises(TreeError, match=r"the baseline has its own 'model\.py'"):
        repository.link_shared(["model.py"], tmp_path / "worktree", Side.BASELINE)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        pytest.param("", "a file", id="file"),
        pytest.param("model.py", "a link that leads to no folder", id="link-to-a-file"),
        pytest.param("nowhere", "a link that leads to no folder", id="broken-link"),
        pytest.param("inputs", "a link that leads to no folder", id="link-to-itself"),
    ],
)
@pytest.mark.parametrize("path", ["inputs/images", "inputs/raw/images"])
def test_a_file_of_the_revision_where_a_shared_input_needs_a_folder_is_named(project, tmp_path, path, target, found):
    if target:
        (project / "inputs").symlink_to(target)
    commit(project, *(() if target else ("inputs",)))
    Repository.discover(project).add_worktree("HEAD", tmp_path / "worktree")

    with pytest.raises(TreeError, match=f"the baseline has {found} at 'inputs', where the .* '{path}'") as caught:
        refuse_own_inputs([path], tmp_path / "worktree", Side.BASELINE)

    assert caught.value.looked_in == str(tmp_path / "worktree" / "inputs")
    assert caught.value.next_step.startswith(f"remove {path} from tool.mainstay.share or inputs from git")


def test_a_shared_input_is_linked_into_a_folder_that_the_revision_has_or_links_to(project, tmp_path):
    (project / "inputs").symlink_to("real")
    commit(project, "real/labels", "tracked")
    (project / "real" / "images").write_text("many")
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")

    repository.link_shared(["inputs/images"], tmp_path / "worktree", Side.BASELINE)

    assert (tmp_path / "worktree" / "real" / "images").read_text() == "many"


def test_nothing_is_written_where_a_link_of_the_revision_leads_out_of_the_worktree(project, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (project / "data").symlink_to(outside)
    git(project, "add", "--force", "data")
    git(project, "commit", "-m", "a link")
    (outside / "images").write_text("many")
    repository = Repository.discover(project)
    repository.add_worktree("HEAD", tmp_path / "worktree")
    (outside / "images").rename(outside / "hidden")  # where the link leads, nothing of this name stands in the way
    (project / "data").unlink()
    (project / "data").mkdir()
    (project / "data" / "images").write_text("many")

    with pytest.raises(GitError, match="leads 'data/images' out of the project"):
        repository.link_shared(["data/images"], tmp_path / "worktree", Side.BASELINE)

    assert [path.name for path in outside.iterdir()] == ["hidden"]


# --- a project in a folder of the repository -------------------------------------------------------------------------

PROJECT_TOML = '[project]\nname = "a"\nversion = "1"\n'


@pytest.fixture
def monorepo(project):
    """The same repository with a project in a folder of it."""
    commit(project, "pkgs/a/pyproject.toml", PROJECT_TOML)
    commit(project, "pkgs/a/benchmarks/test_a.py", "a")
    return project


@pytest.mark.parametrize("below", [".", "benchmarks"])
def test_the_nearest_project_above_a_folder_is_gated(monorepo, below):
    repository = Repository.discover(monorepo / "pkgs/a" / below)

    assert (repository.root, repository.folder, repository.top) == (monorepo / "pkgs/a", "pkgs/a", monorepo)


@pytest.mark.parametrize("text", ["[tool.ruff]\n", "[tool.uv.workspace]\nmembers = []\n"])
def test_a_folder_with_settings_of_tools_alone_is_no_project(project, text):
    commit(project, "tools/pyproject.toml", text)

    assert Repository.discover(project / "tools") == Repository(project)


@pytest.mark.parametrize("text", ["[tool.mainstay]\n", "[project", '[build-system]\nrequires = ["a"]\n'])
def test_a_folder_that_is_gated_built_or_half_written_is_a_project(project, text):
    commit(project, "pkgs/a/pyproject.toml", text)

    assert Repository.discover(project / "pkgs/a").folder == "pkgs/a"


def test_paths_are_those_of_the_project(monorepo, tmp_path):
    repository = Repository.discover(monorepo / "pkgs/a")
    before = repository.resolve("HEAD")
    after = commit(monorepo, "pkgs/a/benchmarks/test_a.py", "b")
    commit(monorepo, "elsewhere.py", "b")
    tree = tmp_path / "work" / "pkgs/a"

    repository.add_worktree(after, tree)

    assert repository.read_file(after, "benchmarks/test_a.py") == b"b"
    assert repository.folder_digest(before, "benchmarks") != repository.folder_digest(after, "benchmarks")
    assert repository.listed_files() == ("benchmarks/test_a.py", "pyproject.toml")
    assert (tree / "pyproject.toml").is_file()
    assert (tmp_path / "work/elsewhere.py").exists() is False

    repository.remove_worktree(tree)

    assert not (tmp_path / "work").exists()


def test_the_whole_repository_is_the_candidate_of_a_project_in_a_folder(monorepo):
    (monorepo / "pkgs/lib.py").write_text("new")
    repository = Repository.discover(monorepo / "pkgs/a")

    choice = repository.candidate()

    assert choice.is_snapshot
    assert Repository(monorepo).read_file(choice.revision.commit, "pkgs/lib.py") == b"new"


def test_a_revision_without_the_folder_has_an_empty_one(monorepo, tmp_path):
    first = git(monorepo, "rev-list", "--max-parents=0", "HEAD")

    Repository.discover(monorepo / "pkgs/a").add_worktree(first, tmp_path / "work/pkgs/a")

    assert list((tmp_path / "work/pkgs/a").iterdir()) == []


@pytest.mark.parametrize("place", ["pkgs", "pkgs/a"])
def test_a_revision_with_a_file_where_the_project_has_its_folder_is_refused(project, tmp_path, place):
    before = commit(project, place)
    git(project, "rm", "-q", place)
    commit(project, "pkgs/a/pyproject.toml", PROJECT_TOML)
    repository = Repository.discover(project / "pkgs/a")

    with pytest.raises(TreeError, match=f"{place!r} of the revision is no folder, and the project is in 'pkgs/a'"):
        repository.add_worktree(before, tmp_path / "work/pkgs/a")

    assert not (tmp_path / "work").exists()


def test_a_folder_that_a_revision_links_out_of_the_project_is_refused(monorepo, tmp_path):
    git(monorepo, "rm", "-r", "-q", "pkgs/a")
    (monorepo / "pkgs").mkdir(exist_ok=True)
    (monorepo / "pkgs/a").symlink_to(tmp_path)
    git(monorepo, "add", "-A")
    git(monorepo, "commit", "-q", "-m", "link")
    repository = Repository(monorepo / "pkgs/a", "pkgs/a")

    with pytest.raises(GitError, match="leads 'pkgs/a/.mainstay' out of the project"):
        repository.add_worktree("HEAD", tmp_path / "work/pkgs/a")


@pytest.mark.parametrize("ignored", [".mainstay/", ".mainstay", "*"])
def test_runs_that_the_project_ignores_are_no_part_of_the_candidate(project, ignored):
    (project / ".mainstay").mkdir()
    (project / ".mainstay/run.json").write_text("{}")
    (project / ".gitignore").write_text(f"{ignored}\n")
    (project / "model.py").write_text("new")

    commit_of_tree = Repository(project).candidate().revision.commit

    assert Repository(project).read_file(commit_of_tree, ".mainstay/run.json") is None
    assert Repository(project).read_file(commit_of_tree, "model.py") == b"new"


def test_runs_that_nothing_ignores_are_no_part_of_the_candidate(project):
    (project / ".mainstay").mkdir()
    (project / ".mainstay/run.json").write_text("{}")
    (project / "model.py").write_text("new")

    commit_of_tree = Repository(project).candidate().revision.commit

    assert Repository(project).read_file(commit_of_tree, ".mainstay/run.json") is None


def test_the_commit_of_a_tag_or_branch_is_asked_of_a_remote_repository(project):
    head = commit(project, text="2")
    git(project, "tag", "-a", "v1.0", "-m", "Release")
    git(project, "branch", "side")

    assert remote_commit(str(project), "v1.0") == remote_commit(str(project), "side") == head
    assert remote_commit(str(project), "HEAD") == head
    assert remote_commit(str(project), "v2.0") == remote_commit(f"{project}-absent", "v1.0") == ""
