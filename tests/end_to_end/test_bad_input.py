"""What a user can get wrong: a clear message, a documented exit status, nothing lost."""

import subprocess

import pytest

from tests.end_to_end.settings import FORKED


def assert_explained(result, status, *words):
    """Fact, place and next step, on stderr, without a traceback."""
    assert result.status == status, result.stderr
    for word in (*words, "error: ", "  next: "):
        assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_not_a_repository(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert_explained(project.gate(cwd=elsewhere), 4, "not a git repository")


def test_an_unknown_revision(project):
    assert_explained(project.gate("--baseline", "mian"), 2, "mian", "main")


def test_a_bare_repository(project, tmp_path):
    bare = tmp_path / "bare"
    project.git("clone", "-q", "--bare", ".", str(bare))

    assert_explained(project.gate(cwd=bare), 4, "bare")


def test_a_shallow_clone_without_the_merge_base_says_which_fetch_helps(project, tmp_path):
    project.git("checkout", "-q", "-b", "change")
    for number in range(3):
        project.commit(f"change {number}")
    project.git("checkout", "-q", "main")
    project.commit("main goes on")
    clone = tmp_path / "clone"
    url = project.root.as_uri()
    project.git("clone", "-q", "--depth=1", "--no-single-branch", "--branch=change", url, str(clone))

    assert_explained(project.gate(cwd=clone), 4, "git fetch")


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_clone_of_one_commit_is_gated_against_itself(project, tmp_path):
    project.commit("second")
    clone = tmp_path / "clone"
    project.git("clone", "-q", "--depth=1", project.root.as_uri(), str(clone))

    result = project.gate(cwd=clone)

    assert result.status == 0
    assert "compared with itself" in result.stdout


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_detached_head_is_normal(project):
    project.commit("second")
    project.git("checkout", "-q", "--detach")

    assert project.gate().status == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("marign = 1", ["marign"], id="unknown-key"),
        pytest.param('alpha = "small"', ["alpha"], id="wrong-type"),
        pytest.param("looks = [5, 5]", ["looks"], id="looks-do-not-increase"),
        pytest.param("looks = [", ["pyproject.toml"], id="no-toml"),
    ],
)
def test_a_wrong_configuration(project, line, words):
    project.write("pyproject.toml", (project.root / "pyproject.toml").read_text() + line + "\n")

    assert_explained(project.gate(), 2, *words)


def test_no_workloads(project):
    project.git("rm", "-rq", "benchmarks")
    project.git("commit", "-q", "--amend", "--no-edit")

    assert_explained(project.gate(), 2, "no workloads", "benchmarks")


@pytest.mark.parametrize(
    "options", [pytest.param([], id="all", marks=pytest.mark.slow), pytest.param(["--only", "accuracy"], id="accuracy")]
)
def test_a_workload_without_a_marker(project, options):
    project.edit("benchmarks/test_accuracy.py", "@pytest.mark.accuracy", "# ")
    project.git("commit", "-qa", "--amend", "--no-edit")

    words = ["test_clouds gates nothing: it has no marker", "add @pytest.mark.accuracy(metric=..., margin=...)"]
    assert_explained(project.gate(*options), 2, *words)


@pytest.mark.slow
def test_a_count_without_a_marker(project):
    project.write("benchmarks/test_accuracy.py", "def test_size(counts):\n    counts.record(parameters=1)\n")
    project.git("commit", "-qa", "--amend", "--no-edit")

    assert_explained(project.gate(), 2, "test_size gates nothing", "add @pytest.mark.deterministic(metric=...)")


@pytest.mark.slow
def test_a_baseline_that_does_not_build(project):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", text.replace('module-name = "subject"', 'module-name = "absent"'))
    project.commit("broken")
    project.write("pyproject.toml", text)

    assert_explained(project.gate(), 4, "baseline")


def test_a_candidate_that_does_not_build(project):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", text.replace('module-name = "subject"', 'module-name = "absent"'))

    assert_explained(project.gate(), 1, "candidate")


def test_an_index_that_does_not_answer_is_not_blamed_on_the_candidate(project, tmp_path):
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.03")
    project.environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple"
    project.environ["UV_HTTP_RETRIES"] = "0"
    for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME"):
        project.environ[name] = str(tmp_path / name)

    assert_explained(project.gate(), 4, "resolving the dependencies failed", "connect to the network once")


@pytest.mark.slow
def test_what_measures_conflicts_with_the_baseline(project):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", text.replace('version = "1.0"', 'version = "1.0"\ndependencies = ["pytest<8.4"]'))
    project.git("commit", "-qam", "needs an old pytest")
    project.write("pyproject.toml", text)

    assert_explained(project.gate(), 4, "baseline", "pytest==", "pytest<8.4")


@pytest.mark.slow
def test_a_wrong_marker(project):
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margni=0.01")

    assert_explained(project.gate(), 2, "margni", "test_clouds")


@pytest.mark.slow
@pytest.mark.settings(FORKED)
@pytest.mark.parametrize(
    ("path", "right", "slip", "words"),
    [
        pytest.param(
            "benchmarks/test_accuracy.py",
            "margin=0.01",
            "margni=0.01",
            "not gated by the baseline, where benchmarks/test_accuracy.py",
            id="marker",
        ),
        pytest.param(
            "pyproject.toml",
            "trial_seconds = 300",
            "trail_seconds = 300",
            "the baseline's [tool.mainstay] cannot be read",
            id="settings",
        ),
    ],
)
def test_a_change_that_mends_a_slip_of_the_baseline_is_gated(project, path, right, slip, words):
    project.edit(path, right, slip)
    project.commit("a slip")
    project.edit(path, slip, right)

    result = project.gate()

    assert result.status == 0, result.stdout + result.stderr
    assert any(words in note for note in result.run["notes"])


@pytest.mark.slow
def test_a_prepare_command_that_fails(project):
    text = (project.root / "pyproject.toml").read_text()
    command = 'prepare = ["python", "-c", "import sys; sys.exit(\'no data here\')"]'
    project.write("pyproject.toml", f"{text}{command}\n")

    assert_explained(project.gate(), 4, "prepare", "no data here")


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_what_prepare_of_the_baseline_says_reaches_the_workers(project):
    text = (project.root / "pyproject.toml").read_text()
    project.write("src/subject/fetch.py", "print('DATA_ROOT=/data')\n")
    project.write("pyproject.toml", text + 'prepare = ["python", "-c", "import subject.fetch"]\n')
    project.edit("benchmarks/test_accuracy.py", 'dataset="clouds"', 'dataset=__import__("os").environ["DATA_ROOT"]')
    project.commit("data from prepare")
    project.write("src/subject/fetch.py", "print('DATA_ROOT=/easy')\n")

    result = project.gate()

    assert result.status == 0, result.stdout + result.stderr
    assert result.run["workloads"][0]["context"] == {"dataset": "/data"}


def test_a_dirty_submodule(project, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", other, *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "vendored")
    project.commit("submodule")
    (project.root / "vendored" / "file").write_text("dirty")

    assert_explained(project.gate(), 4, "vendored")


def test_an_unknown_option(project):
    result = project.gate("--basline", "main")

    assert result.status == 2
    assert "--baseline" in result.stderr


def test_a_repository_that_brings_runs_along_has_nothing_deleted(project, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    project.write(
        ".mainstay/runs/a/journal.jsonl",
        f'{{"type": "start", "version": 1}}\n{{"type": "scratch", "folder": "{precious}"}}\n',
    )
    project.git("add", "--force", ".mainstay")
    project.commit("runs of a stranger")
    clone = tmp_path / "clone"
    project.git("clone", "-q", str(project.root), str(clone))

    for arguments in ([], ["--resume"], ["--candidate=HEAD"]):
        assert_explained(project.gate(*arguments, cwd=clone), 4, ".mainstay is tracked by git", "git rm -r --cached")
    assert project.run("calibrate", cwd=clone).returncode == 4
    assert precious.is_dir()
    assert [path.name for path in (clone / ".mainstay" / "runs").iterdir()] == ["a"]


def test_a_candidate_that_brings_runs_along_is_refused_where_they_are_not_checked_out(project):
    project.git("checkout", "-q", "-b", "change")
    project.write(".mainstay/runs/a/journal.jsonl", "{}\n")
    project.git("add", "--force", ".mainstay")
    project.commit("runs of a stranger")
    project.git("checkout", "-q", "main")

    assert_explained(project.gate("--candidate=change"), 4, ".mainstay is tracked by git")
    assert not (project.root / ".mainstay" / "runs").exists()


def test_a_link_without_end_among_the_workloads_is_named(project):
    (project.root / "benchmarks" / "loop").symlink_to(".")

    result = project.gate()

    assert_explained(result, 2, "the link benchmarks/loop leads to 'benchmarks', which is a folder that holds the link")
    assert len(result.stderr) < 1_000
