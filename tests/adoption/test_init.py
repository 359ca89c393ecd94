"""The command on real repositories: shown, asked, written, gated."""

import errno
import os
import subprocess
from pathlib import Path

import click
import pytest

from mainstay import cli
from mainstay.adoption.proposal import Example
from mainstay.adoption.templates import Pin
from mainstay.commands import init as adopting
from mainstay.commands.scaffold import Source
from tests.adoption.layouts import ASV, LAYOUTS, SUITE, TRAINING, WORKSPACE
from tests.end_to_end.conftest import USER_CACHE, Project


@pytest.fixture
def environments(tmp_path_factory, monkeypatch):
    """A cache of environments that the tests of this file share."""
    base = tmp_path_factory.getbasetemp() / "adoption-environments"
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    monkeypatch.setenv("UV_CACHE_DIR", str(USER_CACHE / "uv"))
    for name in ("GITHUB_BASE_REF", "GITHUB_EVENT_NAME", "GITHUB_SHA", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    return base


def init(root, capsys, *options):
    status = cli.run(["init", "-C", str(root), *options])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".git", ".mainstay"} & set(path.relative_to(root).parts)
    }


def refuse_to_write(monkeypatch, name, number):
    """Let the system refuse a file, as a tree that cannot be written or a full disk does, also to the superuser."""
    open_file = Path.open

    def refuse(place, mode="r", **options):
        if "x" in mode and place.name.startswith(f".{name}."):
            raise OSError(number, os.strerror(number), str(place))
        return open_file(place, mode, **options)

    monkeypatch.setattr(Path, "open", refuse)


def test_the_choices_of_the_command_line_are_the_examples_there_are():
    (option,) = [param for param in cli.main.commands["init"].params if param.name == "example"]

    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(Example)


@pytest.mark.parametrize("option", ["--dry-run", "no-terminal"])
def test_nothing_is_written_before_a_person_agreed(make_repository, capsys, option):
    root = make_repository(LAYOUTS["hatch"])
    before = contents(root)

    status, out, err = init(root, capsys, *[word for word in [option] if word.startswith("-")])

    assert contents(root) == before
    assert "+[tool.mainstay]" in out
    assert (status, "no terminal to ask on" in err) == ((0, False) if option == "--dry-run" else (2, True))


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked_on_a_terminal(make_repository, capsys, monkeypatch, answer):
    root = make_repository(LAYOUTS["hatch"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda question: "3 files" in question and answer)

    status, out, _ = init(root, capsys, "--no-gate")

    assert status == 0
    assert (root / "benchmarks/test_import.py").exists() is answer
    assert ("nothing was written" in out) is not answer


@pytest.mark.parametrize("name", LAYOUTS)
def test_run_again_it_changes_nothing(make_repository, capsys, name):
    root = make_repository(LAYOUTS[name])
    assert init(root, capsys, "--yes", "--no-gate", "--install", "mainstay==1.0")[0] == 0
    before = contents(root)

    status, out, _ = init(root, capsys, "--no-gate", "--install", "mainstay==1.0")

    assert status == 0
    assert "nothing to write" in out
    assert contents(root) == before
    assert [command for command, _ in adopting.NEXT_COMMANDS if command not in out] == []


def test_a_member_of_a_workspace_is_set_up_in_its_folder_and_ci_at_the_top(make_repository, capsys):
    root = make_repository(WORKSPACE)

    status, _, _ = init(root / "pkgs/plank/src", capsys, "--yes", "--no-gate", "--install", "mainstay==1.0")

    assert status == 0
    assert "[tool.mainstay]" in (root / "pkgs/plank/pyproject.toml").read_text()
    assert "[tool.mainstay]" not in (root / "pyproject.toml").read_text()
    assert "-C pkgs/plank" in (root / ".github/workflows/mainstay.yml").read_text()
    assert "nothing to write" in init(root / "pkgs/plank", capsys, "--no-gate", "--install", "mainstay==1.0")[1]


def test_a_second_member_of_a_workspace_gets_a_gate_of_its_own(make_repository, capsys):
    root = make_repository(WORKSPACE)
    options = ("--yes", "--no-gate", "--install", "mainstay==1.0")
    init(root / "pkgs/plank", capsys, *options)
    first = (root / ".github/workflows/mainstay.yml").read_text()

    status, out, err = init(root / "pkgs/core", capsys, *options)

    assert status == 0, out + err
    assert (root / ".github/workflows/mainstay.yml").read_text() == first
    assert "-C pkgs/core" in (root / ".github/workflows/mainstay-gate-pkgs-core.yml").read_text()
    for member in ("pkgs/plank", "pkgs/core"):
        assert "nothing to write" in init(root / member, capsys, *options)[1]


def test_ci_of_a_member_of_a_workspace_is_that_at_the_top(make_repository, capsys):
    theirs = {".gitlab-ci.yml": "a: b\n", "pkgs/plank/.github/workflows/gate.yml": "run: mainstay gate\n"}
    root = make_repository(WORKSPACE | theirs)

    status, out, _ = init(root / "pkgs/plank", capsys, "--yes", "--no-gate", "--install", "mainstay==1.0")

    assert status == 0
    assert "note: GitLab CI is not configured" in out
    assert not (root / ".github").exists()


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        pytest.param({"README.md": "text"}, 2, "no Python project", id="no-python"),
        pytest.param({"plank.py": "", "pyproject.toml": "[tool.mainstay\n"}, 2, "not a TOML file", id="half-written"),
        pytest.param(
            {"plank.py": "", "pyproject.toml": "[tool.mainstay]\nlooks = 3\n"}, 2, "looks is 3", id="wrong-value"
        ),
        pytest.param({"plank.py": "", "benchmarks": "a file"}, 4, "nothing was written", id="file-for-a-folder"),
        pytest.param({"plank.py": "", ".mainstay/runs/a": "x"}, 4, "is tracked by git", id="tracked-runs"),
    ],
)
def test_bad_input_is_explained_and_nothing_is_written(make_repository, capsys, files, status, words):
    root = make_repository(files)
    before = contents(root)

    found, _, err = init(root, capsys, "--yes")

    assert (found, words in err, "next: " in err) == (status, True, True), err
    assert contents(root) == before


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EROFS, "writable"), (errno.EACCES, "writable"), (errno.ENOSPC, "make room")],
)
def test_a_tree_that_cannot_be_written_is_explained_and_stays_as_it_is(
    make_repository, capsys, monkeypatch, number, remedy
):
    root = make_repository(LAYOUTS["hatch"])
    before = contents(root)

    refuse_to_write(monkeypatch, ".gitignore", number)  # the last file
    status, _, err = init(root, capsys, "--yes", "--no-gate")

    assert (status, contents(root)) == (4, before)
    assert f"nothing was written: .gitignore cannot be written: {os.strerror(number)}" in err
    assert remedy in err.partition("next: ")[2]
    assert not (root / "benchmarks").exists()


def test_hooks_and_ci_that_are_there_are_named_and_left_alone(make_repository, capsys):
    theirs = {".husky/pre-commit": "exit 1\n", ".pre-commit-config.yaml": "repos: []\n"}
    theirs |= {".github/workflows/ci.yml": "on: push\n", ".github/workflows/mainstay.yml": "on: push\n"}
    root = make_repository(LAYOUTS["hatch"] | theirs)
    subprocess.run(["git", "config", "core.hooksPath", ".husky"], cwd=root, check=True)

    status, out, _ = init(root, capsys, "--yes", "--no-gate", "--install", "mainstay==1.0")

    assert status == 0
    assert "hooks: .pre-commit-config.yaml, .husky, which see the new files when they are committed" in out
    assert (
        "note: .github/workflows/mainstay.yml exists and does not run 'mainstay gate' for this project: it was not changed"
        in out
    )
    assert {path: (root / path).read_text() for path in theirs} == theirs


@pytest.mark.parametrize(
    ("layout", "path"), [("hatch", "benchmarks/test_import.py"), ("scripts", "benchmarks/test_training.py")]
)
@pytest.mark.parametrize("ignored", [{}, {".gitignore": "/benchmarks/test_[it]*.py\n"}], ids=["tracked", "ignored"])
def test_a_test_file_of_the_project_is_never_replaced(make_repository, capsys, layout, path, ignored):
    theirs = "import time\n\ndef test_speed():\n    assert time.perf_counter() > 0\n"
    root = make_repository(LAYOUTS[layout] | ignored | {path: theirs})

    status, out, _ = init(root, capsys, "--yes", "--no-gate")

    assert status == 0
    assert (root / path).read_text() == theirs
    assert f"note: {path} exists and holds no workload that mainstay knows: it was not changed" in out
    assert (root / path.replace("test_", "test_mainstay_")).is_file()
    assert "nothing to write" in init(root, capsys, "--no-gate")[1]


def test_a_folder_that_git_ignores_is_not_chosen_and_refused_where_it_is_named(make_repository, capsys):
    root = make_repository(LAYOUTS["hatch"] | {".gitignore": "bench*\n"})

    status, _, err = init(root, capsys, "--yes", "--no-gate", "--workloads", "benchmarks")
    assert (status, "git ignores what is written to 'benchmarks'" in err) == (2, True)

    assert init(root, capsys, "--yes", "--no-gate")[0] == 0
    assert (root / "gate/test_import.py").is_file()
    assert 'workloads = "gate"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize("remote", ["origin", "team/fork"])
@pytest.mark.parametrize("branch", ["trunk", "release/2.0"])
def test_a_default_branch_keeps_its_whole_name(make_repository, remote, branch):
    root = make_repository(LAYOUTS["hatch"])
    reference = f"refs/remotes/{remote}/{branch}"
    for command in (
        ["remote", "add", remote, "https://host.invalid/plank"],
        ["update-ref", reference, "HEAD"],
        ["symbolic-ref", f"refs/remotes/{remote}/HEAD", reference],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)

    assert adopting.plan_adoption(root, environ={}, ci=False).survey.default_branch == branch


def test_a_default_branch_without_a_remote_is_the_local_one(make_repository):
    root = make_repository(LAYOUTS["hatch"])

    assert adopting.plan_adoption(root, environ={}, ci=False).survey.default_branch == "main"


def test_a_folder_without_git_is_explained(tmp_path, capsys):
    (tmp_path / "plank.py").write_text("")

    status, _, err = init(tmp_path, capsys, "--yes")

    assert status == 4
    assert "not a git repository" in err
    assert [place.name for place in tmp_path.iterdir()] == ["plank.py"]


def test_what_ci_installs_follows_from_how_mainstay_was_installed(monkeypatch):
    class Installed:
        version = "1.0"

        def __init__(self, origin):
            self.read_text = lambda name: origin

    for origin, expected in [
        (None, "mainstay==1.0"),
        ('{"url": "file:///a", "dir_info": {"editable": true}}', ""),
        ('{"url": "https://h/o/m", "vcs_info": {"commit_id": "c0ffee"}}', "mainstay @ git+https://h/o/m@c0ffee"),
    ]:
        monkeypatch.setattr(adopting, "distribution", lambda name, origin=origin: Installed(origin))
        assert adopting.installed_from() == expected


# --- with real gates -------------------------------------------------------------------------------------------------


def is_gated(root, folder, capsys, environments):
    """Adopt, gate the tree against itself, then the commit that adopts."""
    status, out, err = init(root / folder, capsys, "--yes")
    assert status == 0, out + err
    assert "PASS" in out
    project = Project(root / folder, environments, subprocess.Popen)
    done = project.run("gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the baseline gates nothing" in " ".join(done.stdout.split())
    assert " new and judged from the next change on" in " ".join(done.stdout.split())
    assert "how sure: nothing was judged: all metrics are new" in " ".join(done.stdout.split())
    return project.latest_run()


@pytest.mark.slow
@pytest.mark.package_index
def test_a_training_script_without_packaging_is_gated_from_its_first_commit(make_repository, capsys, environments):
    root = make_repository({"train.py": TRAINING, "requirements.txt": "iniconfig\n"})

    run = is_gated(root, ".", capsys, environments)

    assert [finding["verdict"] for finding in run["findings"]] == ["new"]
    assert run["findings"][0]["metric"]["name"] == "accuracy"
    assert "iniconfig" in run["environments"][1]["packages"]


@pytest.mark.slow
@pytest.mark.package_index
def test_a_member_of_a_workspace_is_gated_with_the_member_that_it_needs(make_repository, capsys, environments):
    root = make_repository(WORKSPACE)

    run = is_gated(root, "pkgs/plank", capsys, environments)

    assert {finding["verdict"] for finding in run["findings"]} == {"new"}
    assert not (root / ".mainstay").exists()


@pytest.mark.slow
@pytest.mark.package_index
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_gated(make_repository, capsys, environments, name):
    is_gated(make_repository(LAYOUTS[name]), ".", capsys, environments)


@pytest.mark.slow
@pytest.mark.package_index
def test_a_suite_of_asv_is_gated(make_repository, capsys, environments):
    run = is_gated(make_repository(LAYOUTS["hatch"] | ASV), ".", capsys, environments)

    names = {finding["metric"]["workload"] for finding in run["findings"]}
    sums = "perf/suite/sums.py::Sums"
    assert names == {f"{sums}::{name}[{size}]" for name in ("time_sum", "track_value") for size in (10, 20)}


@pytest.mark.slow
@pytest.mark.package_index
@pytest.mark.parametrize("plugin", [(), ("pytest-codspeed",)], ids=["without-the-plugin", "with-the-plugin"])
def test_a_suite_of_pytest_codspeed_is_gated(make_repository, capsys, environments, plugin):
    suite = "import pytest\n\n@pytest.mark.benchmark\ndef test_whole(): ...\n\ndef test_own(codspeed_benchmark): codspeed_benchmark(len, '')\n"
    suite += "\n@pytest.mark.codspeed_benchmark\nclass TestKind:\n    def test_method(self): ...\n"
    groups = f"\n[dependency-groups]\nbenchmarks = {['pytest>=8.4', *plugin]}\n"
    files = LAYOUTS["hatch"] | {"bench/test_a.py": suite}

    run = is_gated(
        make_repository(files | {"pyproject.toml": files["pyproject.toml"] + groups}), ".", capsys, environments
    )

    assert {finding["metric"]["workload"].partition("::")[2] for finding in run["findings"]} == {
        "test_whole",
        "test_own",
        "TestKind::test_method",
    }


@pytest.mark.slow
@pytest.mark.package_index
def test_a_suite_with_helpers_beside_it_and_names_of_its_own_is_gated(make_repository, capsys, environments):
    files = LAYOUTS["hatch"] | {
        "src/plank/__init__.py": "def double(value):\n    return 2 * value\n",
        "tests/__init__.py": "",
        "tests/helpers.py": "from tests.more import START\n",
        "tests/more.py": "START = 2\n",
        "bench/bench_speed.py": f"from tests.helpers import START\n{SUITE}",
    }

    run = is_gated(make_repository(files), ".", capsys, environments)

    assert [finding["metric"]["workload"] for finding in run["findings"]] == ["bench/bench_speed.py::test_speed"]


@pytest.mark.slow
@pytest.mark.package_index
def test_a_suite_is_gated_without_the_other_tests_of_the_same_file_name(make_repository, capsys, environments):
    files = LAYOUTS["hatch"] | {
        "src/plank/__init__.py": "def double(value):\n    return 2 * value\n",
        "tests/conftest.py": "import pytest\n\n@pytest.fixture\ndef size():\n    return 3\n",
        "tests/perf/__init__.py": "",
        "tests/perf/test_speed.py": "import plank\n\ndef test_speed(benchmark, size):\n    benchmark(plank.double, size)\n",
        "tests/unit/test_speed.py": "import not_installed\n",
    }

    run = is_gated(make_repository(files), ".", capsys, environments)

    assert [finding["metric"]["workload"] for finding in run["findings"]] == ["tests/perf/test_speed.py::test_speed"]


@pytest.mark.parametrize(
    ("origin", "pin"),
    [
        (Source("https://github.com/owner/mainstay.git", "0" * 40), Pin("owner/mainstay", "0" * 40, "0" * 12)),
        (Source("git@github.com:owner/mainstay", "v1.0"), Pin("owner/mainstay", "1" * 40, "v1.0")),
        (Source("https://github.com/owner/mainstay", "v2.0"), None),
        (Source("https://host.example/owner/mainstay", "0" * 40), None),
    ],
    ids=["commit", "release", "unknown-release", "other-host"],
)
def test_the_commit_that_ci_calls_is_that_of_this_version(monkeypatch, origin, pin):
    monkeypatch.setattr(adopting, "default_source", lambda: origin)
    monkeypatch.setattr(adopting, "remote_commit", lambda address, ref: "1" * 40 if ref == "v1.0" else "")

    assert adopting.known_pin() == pin
