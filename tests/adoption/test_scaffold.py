"""The maintenance scaffold, given to projects with and without code of their own."""

import errno
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from mainstay import cli
from mainstay.adoption.scaffold import Existing, scaffold_edits, with_sessions_needs
from mainstay.commands import scaffold
from mainstay.records.errors import ConfigurationError, UsageError
from tests.adoption.layouts import LAYOUTS
from tests.adoption.test_init import contents, init, refuse_to_write
from tests.slow_cases import some_always

COPIER = """
_subdirectory: template
_answers_file: .copier-answers.yml
_templates_suffix: .jinja
_skip_if_exists: [README.md, "**/pyproject.toml", "docs/**/*.md", "**/benchmarks/*", "**/src/**"]
name: { type: str, validator: "{% if not name %}a name is needed{% endif %}" }
kind: { type: str, choices: [library, monorepo], default: library }
repository: { type: str, default: OWNER/NAME }
code: { type: str, default: src/plank }
example: { type: bool, default: true }
mainstay: { type: str, default: mainstay/mainstay }
python: { type: str, default: "3.11" }
folder: { type: str, when: false, default: "{% if kind == 'monorepo' %}packages/{{ name }}{% else %}.{% endif %}" }
"""

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{{ name }}"
version = "0.1"

[dependency-groups]
benchmarks = ["pytest>=8.4", "pytest-benchmark>=5.1"]
lint = ["ruff"]

[tool.hatch.build.targets.wheel]
packages = ["src/plank"]

[tool.mainstay]
seconds = 600

[tool.mypy]
strict = true

[tool.ruff]
line-length = 120

[tool.ruff.lint]
extend-select = ["D"]
"""

GATE = """\
name: Gate
on: pull_request
jobs:
  gate:
    uses: {{ mainstay }}/.github/workflows/gate-reusable.yml@c0ffee
{%- if kind == "monorepo" %}
    with:
      working-directory: {{ folder }}
{%- endif %}
"""

TEMPLATE = {
    "copier.yml": COPIER,
    "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "template/.github/workflows/gate.yml.jinja": GATE,
    "template/.gitignore.jinja": ".mainstay/\n",
    "template/README.md.jinja": "# {{ name }} of {{ repository }}, for Python {{ python }}\n",
    "template/docs/lessons.md.jinja": "{% if example %}import plank{% else %}Show a lesson{% endif %}\n",
    "template/noxfile.py.jinja": "#!/usr/bin/env python\n",
    "template/{{ folder }}/pyproject.toml.jinja": PYPROJECT,
    "template/{{ folder }}/{% if example and not code.endswith('.py') %}{{ code }}{% endif %}/__init__.py.jinja": "",
    "template/{{ folder }}/{% if example %}benchmarks{% endif %}/test_gate.py.jinja": "def test_speed(benchmark):\n    benchmark(sum, [1])\n",
}
"""A template that is quick to render, with one file of each kind."""

NO_PACKAGE_YET = {"README.md": "# Ours\n"}

ONE_OF_SEVERAL = {"packages/plank/setup.py": LAYOUTS["setup.py"]["setup.py"], "packages/plank/plank/__init__.py": ""}


@pytest.fixture
def template(make_repository, monkeypatch):
    """A template of the test's own, and copier from the environment of the tests."""
    monkeypatch.setattr(scaffold, "run_uv", lambda arguments, doing: sys.executable)
    root = make_repository(TEMPLATE, name="template")
    (root / "template/noxfile.py.jinja").chmod(0o755)
    git(root, "commit", "--all", "--quiet", "--message", "executable")
    return root


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.invalid", "-c", "core.fileMode=true")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=environ).stdout.rstrip()


def scaffolded(root, template, capsys, *options):
    return init(root, capsys, "--yes", "--no-gate", "--scaffold", "--scaffold-from", str(template), *options)


def as_options(*answers):
    return [word for answer in answers for word in ("--answer", answer)]


def test_a_new_project_has_scaffold_and_gate_and_nothing_is_added_to_them(make_repository, template, capsys):
    root = make_repository(NO_PACKAGE_YET)
    git(root, "remote", "add", "origin", "https://github.com/someone/deep-plank.git")

    status, out, err = scaffolded(root, template, capsys, "--answer", "name=deep-plank")

    assert status == 0, out + err
    assert (root / "README.md").read_text() == "# Ours\n"
    assert sorted(contents(root)) == [
        *(".copier-answers.yml", ".github/workflows/gate.yml", ".gitignore", "README.md", "benchmarks/test_gate.py"),
        *("docs/lessons.md", "noxfile.py", "pyproject.toml", "src/plank/__init__.py"),
    ]
    assert (root / "docs/lessons.md").read_text() == "import plank\n"
    assert "repository: someone/deep-plank" in (root / ".copier-answers.yml").read_text()
    assert (root / "noxfile.py").stat().st_mode & stat.S_IXUSR
    assert not (root / "pyproject.toml").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("name", some_always(["hatch", "setup.py", "scripts"], {"hatch"}))
def test_a_project_with_code_gets_no_example_and_keeps_its_own(make_repository, template, capsys, name):
    root = make_repository(LAYOUTS[name])
    before = contents(root)

    status, out, err = scaffolded(root, template, capsys, "--install", "mainstay==1.0")

    after = contents(root)
    assert status == 0, out + err
    assert {path: text for path, text in after.items() if path in before and path != "pyproject.toml"} == {
        path: text for path, text in before.items() if path != "pyproject.toml"
    }
    assert "benchmarks/test_gate.py" not in after
    assert ".github/workflows/mainstay.yml" not in after  # the scaffold's workflow gates
    if name == "hatch":
        text = (root / "pyproject.toml").read_text()
        assert text.startswith(LAYOUTS[name]["pyproject.toml"])
        found = tomllib.loads(text)
        assert set(found["dependency-groups"]) == {"benchmarks", "lint"}
        assert found["tool"].keys() == {"mypy", "ruff", "mainstay"}
        assert found["tool"]["ruff"] == {"line-length": 120, "lint": {"extend-select": ["D"]}}
        assert found["tool"]["mainstay"] == {"workloads": "benchmarks"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "answers", "folder"),
    [
        pytest.param(ONE_OF_SEVERAL, ["kind=monorepo", "code=plank"], "packages/plank", id="monorepo"),
        pytest.param(LAYOUTS["hatch"], ["example=true"], ".", id="asked-for"),
    ],
)
def test_no_page_tells_of_an_example_that_is_not_there(make_repository, template, capsys, files, answers, folder):
    root = make_repository(files)

    status, out, err = scaffolded(root, template, capsys, *as_options("name=plank", "repository=us/plank", *answers))

    assert status == 0, out + err
    assert (root / "docs/lessons.md").read_text() == "Show a lesson\n"
    assert not (root / folder / "benchmarks/test_gate.py").exists()
    assert set(files) < contents(root).keys()
    saved = (root / ".copier-answers.yml").read_text()
    assert "example: false\n" in saved
    assert "repository: us/plank\n" in saved


@pytest.mark.parametrize(
    ("files", "answers", "pyproject"),
    [
        pytest.param(LAYOUTS["setup.py"], [], "pyproject.toml", id="setup.py"),
        pytest.param(LAYOUTS["scripts"], [], "pyproject.toml", id="scripts"),
        pytest.param(
            ONE_OF_SEVERAL,
            ["kind=monorepo", "code=plank"],
            "packages/plank/pyproject.toml",
            id="monorepo",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_code_without_a_pyproject_is_built_as_before(make_repository, template, capsys, files, answers, pyproject):
    root = make_repository(files)

    status, out, err = scaffolded(root, template, capsys, *as_options("name=plank", *answers))

    assert status == 0, out + err
    found = tomllib.loads((root / pyproject).read_text())
    assert found.keys() == {"dependency-groups", "tool"}
    assert found["dependency-groups"].keys() == {"benchmarks", "lint"}
    assert found["tool"].keys() == {"mainstay", "mypy", "ruff"}
    assert ("nothing says how it is built" in out) is (files is LAYOUTS["scripts"])


@pytest.mark.parametrize(
    ("files", "code"),
    [
        pytest.param(LAYOUTS["hatch"], "src/plank", id="src"),
        pytest.param(LAYOUTS["flit"], "plank", id="flat", marks=pytest.mark.slow),
        pytest.param(LAYOUTS["scripts"], "plank.py", id="module", marks=pytest.mark.slow),
        pytest.param({"pyproject.toml": '[project]\nname = "plank"\n', "lib/plank.py": ""}, "lib/plank.py", id="lib", marks=pytest.mark.slow),
        pytest.param({"pyproject.toml": '[project]\nname = "scikit-plank"\n', "skplank/__init__.py": ""}, "skplank", id="name", marks=pytest.mark.slow),
        pytest.param(NO_PACKAGE_YET | {"noxfile.py": "#!/usr/bin/env python\n"}, "src/plank", id="none-yet", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_sessions_look_for_the_code_where_it_is(make_repository, template, capsys, files, code):
    root = make_repository(files)

    status, out, err = scaffolded(root, template, capsys, *as_options("name=any"))

    assert status == 0, out + err
    assert f"code: {code}\n" in (root / ".copier-answers.yml").read_text()
    assert (root / code).exists()


@pytest.mark.parametrize(
    ("files", "answers", "code"),
    [
        pytest.param(LAYOUTS["hatch"], ["kind=library", "code=plank"], "src/plank", id="answered-wrongly"),
        pytest.param(ONE_OF_SEVERAL, ["kind=monorepo"], "plank", id="monorepo", marks=pytest.mark.slow),
    ],
)
def test_code_in_another_place_is_named_and_nothing_is_written(make_repository, template, capsys, files, answers, code):
    root = make_repository(files)
    before = contents(root)

    status, _, err = scaffolded(root, template, capsys, *as_options("name=plank", *answers))

    assert (status, contents(root)) == (2, before)
    assert "would look for the code in" in err
    assert f"next: say where it is: --answer code={code}\n" in err
    status, out, err = scaffolded(root, template, capsys, *as_options("name=plank", answers[0], f"code={code}"))
    assert status == 0, out + err


@pytest.mark.parametrize(
    "required", [">=3.13", *(pytest.param(other, marks=pytest.mark.slow) for other in ("~=3.13", "== 3.13.*"))]
)
def test_the_oldest_python_follows_from_the_project(make_repository, template, capsys, required):
    files = {"pyproject.toml": f'[project]\nname = "plank"\nrequires-python = "{required}"\n', "plank.py": ""}
    root = make_repository(files)

    status, out, err = scaffolded(root, template, capsys)

    assert status == 0, out + err
    assert "python: '3.13'\n" in (root / ".copier-answers.yml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("files", [pytest.param(LAYOUTS["hatch"], id="code"), pytest.param(NO_PACKAGE_YET, id="new")])
def test_run_again_it_changes_nothing_and_an_update_brings_no_example(make_repository, template, capsys, files):
    root = make_repository(files)
    scaffolded(root, template, capsys)
    before = contents(root)

    status, out, _ = scaffolded(root, template, capsys)

    assert (status, contents(root)) == (0, before)
    assert "nothing to write" in out
    assert "copier update" in out

    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "adopt")
    (template / "template/noxfile.py.jinja").write_text("#!/usr/bin/env python\n# later\n")
    git(template, "commit", "--all", "--quiet", "--message", "later")
    update = [sys.executable, "-m", "copier", "update", "--quiet", "--defaults", "--vcs-ref", "HEAD"]
    subprocess.run(update, cwd=root, check=True, capture_output=True)
    assert {line[3:] for line in git(root, "status", "--porcelain").splitlines()} == {
        ".copier-answers.yml",
        "noxfile.py",
    }


@pytest.mark.slow
def test_a_package_of_several_is_set_up_in_its_folder(make_repository, template, capsys):
    root = make_repository({"README.md": "# Several\n", "packages/other/other.py": ""})

    status, out, err = scaffolded(root, template, capsys, "--answer", "kind=monorepo", "--answer", "name=plank")

    assert status == 0, out + err
    assert "[tool.mainstay]" in (root / "packages/plank/pyproject.toml").read_text()
    assert "working-directory: packages/plank" in (root / ".github/workflows/gate.yml").read_text()
    assert not (root / "pyproject.toml").exists()
    assert "nothing to write" in scaffolded(root, template, capsys)[1]


@pytest.mark.slow
def test_files_that_differ_are_named_and_kept_or_replaced_as_is_said(make_repository, template, capsys):
    root = make_repository(LAYOUTS["hatch"] | {"noxfile.py": "# ours\n", ".github/workflows/gate.yml": "name: ours\n"})
    before = contents(root)

    status, _, err = scaffolded(root, template, capsys)
    assert (status, contents(root)) == (2, before)
    assert "2 of the scaffold's files exist with different text: .github/workflows/gate.yml, noxfile.py" in err
    assert "--existing keep" in err

    (root / "noxfile.py").write_text("# ours, and not committed\n")
    unsaved = contents(root)
    status, _, err = scaffolded(root, template, capsys, "--existing", "replace")
    assert (status, contents(root)) == (2, unsaved)
    assert "not committed: noxfile.py" in err

    git(root, "checkout", "--quiet", "noxfile.py")
    assert scaffolded(root, template, capsys, "--existing", "replace")[0] == 0
    assert "gate-reusable.yml@" in (root / ".github/workflows/gate.yml").read_text()
    assert (root / "noxfile.py").read_text() == "#!/usr/bin/env python\n"

    git(root, "reset", "--quiet", "--hard")
    git(root, "clean", "--quiet", "--force", "-d")
    assert scaffolded(root, template, capsys, "--existing", "keep")[0] == 0
    assert (root / "noxfile.py").read_text() == "# ours\n"
    assert (root / ".gitignore").read_text() == ".mainstay/\n"


@pytest.mark.parametrize(
    ("options", "files", "words"),
    [
        pytest.param(["--answer", "kind=book"], {}, "copier did not render the scaffold", id="wrong-answer"),
        pytest.param(["--answer", "library"], {}, "'library' is no answer", id="no-question"),
        pytest.param([], {"pyproject.toml": "[project\n"}, "not a TOML file", id="half-written"),
        pytest.param(
            [], {"pyproject.toml": "tool = {}\ndependency-groups = {}\n"}, "cannot be extended", id="tables-on-one-line"
        ),
        pytest.param([], {".copier-answers.yml": "_src_path: a\n"}, "another template", id="another-template"),
        pytest.param(["--scaffold-from", "https://me:word@host/a/b"], {}, "holds a password", id="password"),
        pytest.param(["--scaffold-from", "https://token@host/a/b"], {}, "or a token", id="token"),
        pytest.param(["--scaffold-from", "/nowhere/at/all"], {}, "copier did not render", id="no-template"),
        pytest.param(["--dry-run"], {}, "", id="dry-run"),
    ],
)
def test_bad_input_is_explained_and_nothing_is_written(make_repository, template, capsys, options, files, words):
    root = make_repository({"plank.py": ""} | files)
    before = contents(root)

    status, _, err = scaffolded(root, template, capsys, *options)

    assert contents(root) == before
    assert status == (2 if words else 0)
    assert words in err
    assert ("next: " in err) is bool(words)


def test_a_template_that_would_run_commands_is_refused(make_repository, template, capsys):
    with (template / "copier.yml").open("a") as file:
        file.write("_tasks: [touch ran]\n")
    git(template, "commit", "--all", "--quiet", "--message", "run something")
    root = make_repository(LAYOUTS["hatch"])
    before = contents(root)

    status, _, err = scaffolded(root, template, capsys)

    assert (status, contents(root)) == (2, before)
    assert "tasks" in err


@pytest.mark.parametrize("answered", [True, False])
def test_a_person_on_a_terminal_is_asked_what_was_not_answered(
    make_repository, template, capsys, monkeypatch, answered
):
    root = make_repository(LAYOUTS["hatch"])
    before = contents(root)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda question: answered)
    answers = {"name": "plank", "kind": "library", "repository": "a/b", "code": "src/plank", "example": "no"}
    answers |= {"mainstay": "o/mainstay", "python": "3.11"}
    given = [word for key, value in answers.items() for word in ("--answer", f"{key}={value}") if answered]

    status, _, err = init(root, capsys, "--no-gate", "--scaffold", "--scaffold-from", str(template), *given)

    if answered:
        assert status == 0, err
        assert "repository: a/b" in (root / ".copier-answers.yml").read_text()
    else:  # there is nobody to answer
        assert (status, contents(root)) == (2, before)
        assert "copier did not render" in err


def test_a_folder_without_git_is_explained(tmp_path, template, capsys):
    (tmp_path / "new").mkdir()

    status, _, err = scaffolded(tmp_path / "new", template, capsys)

    assert (status, "not a git repository" in err, "next: git init" in err) == (4, True, True)
    assert not list((tmp_path / "new").iterdir())


def test_a_file_where_the_scaffold_has_a_folder_is_named(make_repository, template, capsys):
    root = make_repository({"plank.py": "", ".github": "a file"})
    before = contents(root)

    status, _, err = scaffolded(root, template, capsys)

    assert (status, "File exists: '.github'" in err) == (2, True), err
    assert contents(root) == before


def test_a_tree_that_cannot_be_written_stays_as_it_is(make_repository, template, capsys, monkeypatch):
    root = make_repository({"plank.py": ""})
    before = contents(root)

    refuse_to_write(monkeypatch, "noxfile.py", errno.EROFS)
    status, _, err = scaffolded(root, template, capsys)

    assert (status, contents(root)) == (4, before)
    assert "nothing was written: noxfile.py cannot be written: Read-only file system" in err
    assert "looked in: noxfile.py" in err
    assert "next: make the project's folder writable" in err


def test_options_of_the_scaffold_need_it(make_repository, capsys):
    status, _, err = init(make_repository(LAYOUTS["hatch"]), capsys, "--yes", "--answer", "name=plank")

    assert (status, "add --scaffold" in err) == (2, True)


def test_a_hook_manager_is_named_and_left_alone(make_repository, template, capsys):
    root = make_repository(LAYOUTS["hatch"] | {".husky/pre-commit": "npm test\n"})
    git(root, "config", "core.hooksPath", ".husky")

    status, out, _ = scaffolded(root, template, capsys)

    assert status == 0
    assert "hooks: .husky" in out
    assert "git runs the hooks of .husky (core.hooksPath)" in out
    assert (root / ".husky/pre-commit").read_text() == "npm test\n"


def test_what_the_sessions_read_is_added_once_and_nothing_that_the_project_decides():
    own = '[project]\nname = "plank"\n\n[dependency-groups]\nlint = ["flake8"] # ours\n'

    text = with_sessions_needs(own, PYPROJECT)

    assert text.startswith(own.rstrip())
    assert tomllib.loads(text)["dependency-groups"]["lint"] == ["flake8"]
    assert set(tomllib.loads(text)["tool"]) == {"mypy", "ruff"}
    assert with_sessions_needs(text, PYPROJECT) == text


@pytest.mark.parametrize("name", ["ruff.toml", ".ruff.toml"])
def test_settings_of_ruff_in_a_file_of_their_own_stand(name):
    files = {"pyproject.toml": '[project]\nname = "plank"\n', name: "line-length = 99\n"}

    (edit,) = scaffold_edits({"pyproject.toml": PYPROJECT}, files.get, existing=None, has_code=True)

    assert set(tomllib.loads(edit.after)["tool"]) == {"mypy"}


def test_a_file_that_is_equal_is_no_edit_and_one_that_differs_needs_a_word():
    files = {"a": "1", "b": "2"}

    assert scaffold_edits(files, files.get, existing=None, has_code=True) == ()
    with pytest.raises(UsageError, match="exist with different text: b"):
        scaffold_edits(files | {"b": "3"}, files.get, existing=None, has_code=True)
    (edit,) = scaffold_edits(files | {"b": "3"}, files.get, existing=Existing.REPLACE, has_code=True)
    assert (edit.before, edit.after) == ("2", "3")
    with pytest.raises(ConfigurationError, match="cannot be extended"):
        scaffold_edits({"pyproject.toml": PYPROJECT}, lambda path: "[a", existing=None, has_code=True)


class Installed:
    version = "1.0"

    def __init__(self, origin, addresses=()):
        self.read_text = lambda name: origin
        self.metadata = self
        self.get_all = lambda name: addresses


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        pytest.param(Installed(None, ["Docs, https://d", "Source, https://h/o/m"]), ("https://h/o/m", "v1.0"), id="release"),
        pytest.param(
            Installed('{"url": "https://h/o/m", "vcs_info": {"commit_id": "c0ffee"}}'), ("https://h/o/m", "c0ffee"), id="git"
        ),
        pytest.param(Installed(None), None, id="release-without-address"),
        pytest.param(Installed('{"url": "file:///nowhere", "dir_info": {}}', ["Source, https://h"]), None, id="folder"),
    ],
)  # fmt: skip
def test_the_scaffold_comes_from_where_mainstay_does(monkeypatch, installed, expected):
    monkeypatch.setattr(scaffold, "distribution", lambda name: installed)

    if expected is None:
        with pytest.raises(UsageError, match="--scaffold-from"):
            scaffold.default_source()
    else:
        assert scaffold.default_source() == expected


def test_a_clone_gives_its_last_commit(monkeypatch, template):
    origin = f'{{"url": "{template.as_uri()}", "dir_info": {{"editable": true}}}}'
    monkeypatch.setattr(scaffold, "distribution", lambda name: Installed(origin))

    assert scaffold.default_source() == (str(template), git(template, "rev-parse", "HEAD"))


def test_the_address_in_the_metadata_is_the_one_that_the_template_calls():
    root = Path(__file__).parents[2]
    if not (root / "copier.yml").exists():
        pytest.skip("outside the repository")
    addresses = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]

    name = addresses["Source"].removeprefix("https://github.com/")
    assert f"default: {name}\n" in (root / "copier.yml").read_text()


@pytest.mark.slow
@pytest.mark.in_repository
@pytest.mark.package_index
def test_the_scaffold_of_this_repository_is_rendered_by_uv_and_gates(make_repository, capsys):
    root = make_repository(LAYOUTS["hatch"])

    status = cli.run(
        ["init", "-C", str(root), "--scaffold", "--scaffold-from", str(Path(__file__).parents[2]), "--yes"]
    )

    out = capsys.readouterr().out
    assert status == 0, out
    assert "mainstay gate: PASS" in out
    assert (root / ".github/workflows/gate-report.yml").is_file()
    assert not (root / "src/plank/model.py").exists()
