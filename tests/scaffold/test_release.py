"""A release is prepared in a real git repository."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from uv import find_uv_bin

pytest.importorskip("towncrier")

DAY = datetime.date(2026, 3, 1)
URLS = '[project.urls]\nSource = "https://github.com/sailors/boat"\n'
TOWNCRIER = """
[tool.towncrier]
name = "boat"
directory = "changes"
filename = "CHANGELOG.md"
start_string = "<!-- towncrier release notes start -->\\n"
title_format = "## {version} ({project_date})"
"""


@pytest.fixture(scope="module")
def release(script):
    return script("release")


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / "README.md").write_text("fragments\n")
    (tmp_path / "changes" / "12.feature.md").write_text("It floats: OWNER/mainstay.\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n<!-- towncrier release notes start -->\n")
    (tmp_path / "CITATION.cff").write_text("version: 0.1.0\ndate-released: 2026-01-01\n")
    (tmp_path / "README.md").write_text("git clone https://github.com/OWNER/mainstay\n")
    (tmp_path / "SECURITY.md").write_text("gh attestation verify FILE --repo OWNER/mainstay\n")
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "boat"\nversion = "0.1.0"\n{URLS}{TOWNCRIER}')
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Build a boat")
    return tmp_path


@pytest.mark.parametrize(
    ("part", "version"), [("patch", "0.1.1"), ("minor", "0.2.0"), ("major", "1.0.0"), ("first", "0.1.0")]
)
def test_every_place_names_the_new_version(release, repository, part, version):
    assert release.prepare(repository, part, DAY) == version

    assert f'version = "{version}"' in (repository / "pyproject.toml").read_text()
    assert (repository / "CITATION.cff").read_text() == f"version: {version}\ndate-released: 2026-03-01\n"
    assert (repository / "README.md").read_text() == "git clone https://github.com/sailors/boat\n"
    assert (repository / "SECURITY.md").read_text() == "gh attestation verify FILE --repo sailors/boat\n"
    assert "It floats: sailors/boat." in release.release_notes((repository / "CHANGELOG.md").read_text(), version)
    assert not (repository / "changes" / "12.feature.md").exists()
    assert git(repository, "log", "-1", "--format=%s") == f"Release {version}"
    assert git(repository, "status", "--porcelain") == ""


def test_uncommitted_changes_stop_a_release(release, repository):
    (repository / "CITATION.cff").write_text("version: 0.1.0\n")

    with pytest.raises(SystemExit, match="not committed"):
        release.prepare(repository, "patch", DAY)


@pytest.mark.parametrize("address", ["", 'Source = "https://example.org/boat"\n'])
def test_a_readme_whose_address_is_not_known_stops_a_release(release, address):
    with pytest.raises(SystemExit, match=r"\[project\.urls\], Source"):
        release.name_repository("git clone https://github.com/OWNER/mainstay\n", f"[project.urls]\n{address}")


def test_a_first_release_is_made_once(release, repository):
    git(repository, "tag", "v0.1.0")

    with pytest.raises(SystemExit, match=r"there are releases\n  looked in: v0\.1\.0"):
        release.prepare(repository, "first", DAY)


def test_nothing_to_tell_stops_a_release(release, repository):
    git(repository, "rm", "--quiet", "changes/12.feature.md")
    git(repository, "commit", "--quiet", "--message", "Forget")

    with pytest.raises(SystemExit, match="nothing has changed"):
        release.prepare(repository, "patch", DAY)


def test_notes_end_where_the_version_before_begins(release):
    changelog = "# Changelog\n\n## 0.2.0 (b)\n\nnew\n\n## 0.1.0 (a)\n\nold\n"

    assert release.release_notes(changelog, "0.2.0") == "## 0.2.0 (b)\n\nnew"
    assert release.release_notes(changelog, "0.1.0") == "## 0.1.0 (a)\n\nold"


def test_notes_of_an_unknown_version_are_an_error(release):
    with pytest.raises(SystemExit, match=r"no section 0\.3\.0"):
        release.release_notes("## 0.2.0 (b)\n", "0.3.0")


@pytest.fixture
def gate(tmp_path_factory):
    """Make a gate that writes down its options and leaves a report."""
    folder = tmp_path_factory.mktemp("gate")

    def make(status):
        program = folder / "gate.py"
        program.write_text(
            "import sys\nfrom pathlib import Path\n"
            f"Path({str(folder / 'called')!r}).write_text(' '.join(sys.argv[1:-2]))\n"
            "Path(sys.argv[-1]).write_text('| verdict | metric |\\n|---|---|\\n| pass | `time` |\\n\\n<details>\\n| a |\\n')\n"
            f"print('the report')\nsys.exit({status})\n"
        )
        return (sys.executable, str(program)), folder / "called"

    return make


def test_the_tree_is_gated_against_the_last_release_and_the_notes_tell_the_table(release, repository, gate):
    for tag in ("v0.9.0", "v0.10.0"):
        git(repository, "tag", tag)
    command, called = gate(0)

    measured = release.gate_last_release(repository, command)
    version = release.prepare(repository, "patch", DAY, measured)

    assert called.read_text() == "--baseline v0.10.0 --candidate HEAD --pairs 20 --seconds 3600"
    notes = release.release_notes((repository / "CHANGELOG.md").read_text(), version)
    assert notes.endswith(
        "### Measured\n\nAgainst v0.10.0, over 20 pairs.\n\n| verdict | metric |\n|---|---|\n| pass | `time` |"
    )
    assert "It floats: sailors/boat." in notes


def test_the_first_release_says_that_there_is_none_before(release, repository, gate):
    command, called = gate(0)

    assert "There is no earlier release to compare with." in release.gate_last_release(repository, command)
    assert not called.exists()


def test_what_is_undecided_is_told(release, repository, gate):
    git(repository, "tag", "v0.1.0")

    assert "What is inconclusive may have changed" in release.gate_last_release(repository, gate(3)[0])


@pytest.mark.parametrize("status", [1, 2, 4, 130])
def test_a_tree_that_is_worse_or_cannot_be_measured_stops_the_release(release, repository, gate, status):
    git(repository, "tag", "v0.1.0")

    with pytest.raises(SystemExit, match=f"the gate against v0.1.0 exited with {status}\nthe report"):
        release.gate_last_release(repository, gate(status)[0])


BACKEND = """
import pathlib
import zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "mainstay-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.write("src/mainstay.py", "mainstay.py")
        info = "mainstay-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: mainstay\\nVersion: 1.0")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nmainstay = mainstay:main")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
"""A build backend without dependencies."""


def test_the_gate_of_a_release_runs_the_code_as_it_stands(release, tmp_path):
    for folder in ("src", "constraints"):
        (tmp_path / folder).mkdir()
    (tmp_path / "constraints" / "benchmarks.txt").touch()
    (tmp_path / "backend.py").write_text(BACKEND)
    document = {
        "project": {"name": "mainstay", "version": "1.0"},
        "build-system": {"requires": [], "build-backend": "backend", "backend-path": ["."]},
    }
    (tmp_path / "pyproject.toml").write_text(tomlkit.dumps(document))
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it may name this package
    environment = own | {
        "PATH": f"{Path(find_uv_bin()).parent}:{os.environ['PATH']}",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_OFFLINE": "1",
        "UV_PYTHON": sys.executable,
    }

    said = []
    for word in ("earlier", "current"):
        (tmp_path / "src" / "mainstay.py").write_text(f"def main():\n    print('the {word} code')\n")
        done = subprocess.run(
            release.GATE, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        said.append(done.stdout.strip())

    assert said == ["the earlier code", "the current code"]
