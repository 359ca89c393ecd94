"""Session table, audit summary, wheel comparison, walk."""

import subprocess
import zipfile

import pytest


@pytest.fixture
def wheel(tmp_path):
    def write(name, files):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("other", "differences"),
    [
        pytest.param({"a.py": "1", "b.py": "2"}, [], id="equal"),
        pytest.param({"a.py": "1", "b.py": "3"}, ["b.py"], id="other-bytes"),
        pytest.param({"a.py": "1"}, ["b.py"], id="missing"),
        pytest.param({"a.py": "1", "b.py": "2", "c.py": ""}, ["c.py"], id="more"),
    ],
)
def test_wheels_are_compared_byte_by_byte(script, wheel, other, differences):
    first = wheel("first.whl", {"a.py": "1", "b.py": "2"})

    assert script("compare_wheels").wheel_differences(first, wheel("other.whl", other)) == differences


VULNERABLE = {"name": "torch", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}


@pytest.mark.parametrize(
    ("packages", "status", "says"),
    [
        pytest.param([], 1, "audited nothing", id="no-packages"),
        pytest.param([{"name": "torch", "skip_reason": "x"}], 1, "audited nothing", id="none-known"),
        pytest.param([{"name": "torch", "version": "1.0", "vulns": []}], 0, "audited 1 of 1", id="clean"),
        pytest.param([VULNERABLE, {"name": "x", "skip_reason": "y"}], 1, "CVE-1, mended in 1.1", id="vulnerable"),
    ],
)
def test_an_audit_of_nothing_is_no_pass(script, packages, status, says):
    found, text = script("audit").audit_summary({"dependencies": packages})

    assert found == status
    assert says in text


def test_an_audit_without_a_report_is_no_pass(script, tmp_path):
    assert script("audit").main(tmp_path / "never-written.json") == 1


def test_table_names_what_failed_and_what_was_not_run(script):
    table = script("session_table")
    outcomes = {
        "lint": table.Outcome(word="passed", seconds=4),
        "tests-3.11": table.Outcome(word="failed", seconds=61),
        "pages": table.Outcome(word="not run", reason="no Chromium"),
    }

    text = table.render_session_table(["lint", "tests-3.11", "tests-3.14", "pages", "build"], outcomes)

    assert text.splitlines()[1:] == [
        "lint        passed    4 s",
        "tests-3.11  failed   61 s",
        "tests-3.14  not run        Python 3.14 is not installed",
        "pages       not run        no Chromium",
        "build       not run        an earlier session stopped the run",
        "",
        "run again: nox -s tests-3.11",
    ]


def test_the_walk_follows_both_pages(script, root):
    walk = script("walk")

    assert len(list(walk.commands_under("Try it", (root / "README.md").read_text()))) == 2
    assert any(
        "git commit" in command or " commit " in command
        for command in walk.commands_under("Your first pull request", (root / "CONTRIBUTING.md").read_text())
    )


def test_the_walk_of_the_readme_installs_judges_gates_and_tests(script, root):
    commands = list(script("walk").commands_of_readme((root / "README.md").read_text()))

    said = ["pip install .", "mainstay judge", "nox -s gate", "nox -s tests-3.11"]
    assert len(commands) == len(said)
    assert all(text in command for text, command in zip(said, commands, strict=True))


def test_the_walk_has_the_commit_before_to_compare_with(script, tmp_path):
    def git(*arguments, cwd):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    project, clone = tmp_path / "project", tmp_path / "clone"
    project.mkdir()
    git("init", "--quiet", "--initial-branch", "main", cwd=project)
    for message in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", message, cwd=project)

    script("walk").clone_repository(project, clone)

    assert git("log", "--format=%s", cwd=clone).split() == ["second", "first"]


def test_a_failing_line_stops_the_walk(script, tmp_path):
    walk = script("walk")

    with pytest.raises(SystemExit, match="exit status 3 of: exit 3"):
        walk.walk(["true", "exit 3", "touch reached"], tmp_path, {"PATH": "/usr/bin:/bin"})
    assert not (tmp_path / "reached").exists()


def test_the_tutorial_of_a_first_contribution_is_that_of_the_contributing_page(script, root):
    tutorial = (root / "docs" / "tutorials" / "first-contribution.md").read_text()
    contributing = (root / "CONTRIBUTING.md").read_text()

    taught = [line.removeprefix("$ ") for line in tutorial.splitlines() if line.startswith("$ ")]

    assert taught == list(script("walk").commands_under("Your first pull request", contributing))
