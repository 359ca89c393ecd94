"""The scaffold that other projects take from this repository, rendered as they render it."""

import re
import shutil
import subprocess
import sys
import tomllib

import copier
import pytest
import yaml

KINDS = ("library", "application", "monorepo")

WORDED_FOR_OTHERS = frozenset(
    {
        ".github/CODEOWNERS",
        ".github/ISSUE_TEMPLATE/1-bug.yml",  # asks for versions, not for the doctor's report
        ".github/workflows/ci.yml",  # fewer sessions and systems
        ".github/workflows/release.yml",  # without a changelog's section and bills of materials
        ".github/workflows/scheduled.yml",
        ".gitignore",
        ".pre-commit-config.yaml",
        "AGENTS.md",
        "CONTRIBUTING.md",
        "GOVERNANCE.md",
        "MAINTAINING.md",
        "README.md",
        "REUSE.toml",
        "SECURITY.md",
        "SUPPORT.md",
        "constraints/benchmarks.txt",  # of the tests, which a first gate needs no more than
        "docs/explanation/index.md",
        "docs/how-to/index.md",
        "docs/index.md",
        "docs/reference/index.md",
        "docs/tutorials/index.md",
        "mkdocs.yml",
        "noxfile.py",
        "pyproject.toml",
    }
)
"""Files that say something else to other projects than here; every other one is this repository's own."""


TEMPLATE = (
    *("template", "copier.yml", "pyproject.toml", "*.md", "LICENSE*", ".editorconfig", ".gitattributes", ".github"),
    *("constraints", "scripts", "docs/assets/stylesheets", "docs/assets/javascripts"),
)
"""What the template is made of."""


@pytest.fixture(scope="module")
def commit(root, tmp_path_factory):
    """Copy what the template is made of into a repository of its own; return a function that commits there."""
    clone = tmp_path_factory.mktemp("mainstay")

    def git(*arguments, cwd=clone):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *TEMPLATE, cwd=root).split("\0")
    for name in listed:
        if name and (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, clone / name)

    def save(message):
        git("add", "--all")
        git("commit", "--quiet", "--message", message)
        return clone

    return save


@pytest.fixture(scope="module")
def template(commit):
    return commit("the tree that is tested")


@pytest.fixture(scope="module")
def rendered(template, tmp_path_factory):
    """Render each kind of project once."""
    folder = tmp_path_factory.mktemp("rendered")

    def render(kind, **answers):
        target = folder / "-".join([kind, *answers])
        if not target.exists():
            answers = {"name": "deep-plankton", "kind": kind, "gpu": True} | answers
            copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
        return target

    return render


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("kind", KINDS)
def test_rendered_files_read_and_hold_no_rest_of_the_template(rendered, kind):
    files = files_of(rendered(kind))

    assert files
    for name, path in files.items():
        text = path.read_text("utf-8")
        assert not re.search(r"\{[$@]|[$@]\}|\bNone@|@None\b|==None", text), name
        if name.endswith((".yml", ".yaml")) and name != "mkdocs.yml":
            assert yaml.safe_load(text), name
        elif name.endswith(".toml"):
            assert tomllib.loads(text), name
        elif name.endswith(".py"):
            compile(text, name, "exec")


@pytest.mark.parametrize("kind", KINDS)
def test_package_stands_where_the_kind_says(rendered, kind):
    package = rendered(kind) / ("packages/deep-plankton" if kind == "monorepo" else ".")

    assert tomllib.loads((package / "pyproject.toml").read_text())["project"]["name"] == "deep-plankton"
    assert (package / "src" / "deep_plankton" / "model.py").is_file()
    assert (package / "src" / "deep_plankton" / "train.py").is_file() is (kind == "application")


def test_what_this_repository_has_too_is_the_same(root, rendered):
    own = rendered("library", name="mainstay", authors="The mainstay maintainers", gpu=False)
    shared = {name: path for name, path in files_of(own).items() if (root / name).is_file()}

    different = set()
    for name, path in shared.items():
        text = re.sub(r"mainstay/mainstay/(\.github/\S+)@[0-9a-f]{40} # v\S+", r"$/\1", path.read_text("utf-8"))
        if text != (root / name).read_text("utf-8"):
            different.add(name)
    different -= {"src/mainstay/__init__.py"}  # a package of the same name, no part of the scaffold
    assert different - WORDED_FOR_OTHERS == {".github/workflows/docs.yml"}  # opens no page in a browser
    assert not WORDED_FOR_OTHERS - different


def test_workflows_call_the_gate_of_the_commit_that_was_rendered(rendered, template):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=template, capture_output=True, text=True, check=True)
    workflows = rendered("monorepo") / ".github" / "workflows"
    called = re.findall(r"uses: mainstay/mainstay/\S+@(\S+) # v", "".join(f.read_text() for f in workflows.iterdir()))

    assert called == [head.stdout.strip()] * 7
    assert yaml.safe_load((workflows / "gate.yml").read_text())["jobs"]["gate"]["with"] == {
        "working-directory": "packages/deep-plankton"
    }


@pytest.mark.parametrize(("kind", "source"), [("library", "./src"), ("monorepo", "packages/deep-plankton/src")])
def test_ci_asks_for_a_fragment_where_the_code_of_the_package_changes(rendered, kind, source):
    ci = yaml.safe_load((rendered(kind) / ".github" / "workflows" / "ci.yml").read_text())
    package = rendered(kind) / source / "deep_plankton"

    asked = [step["run"] for step in ci["jobs"]["changelog"]["steps"] if "run" in step]

    assert package.is_dir()
    assert asked == [
        f'git diff --quiet "origin/$BASE...HEAD" -- {source} || $NOX -s changelog -- --compare-with "origin/$BASE"'
    ]


def test_pins_of_the_rendered_project_are_in_step(rendered):
    done = subprocess.run(
        [sys.executable, "scripts/pins.py"], cwd=rendered("library"), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_sessions_that_the_rendered_project_names_exist(rendered):
    project = rendered("application")
    sessions = set(re.findall(r"^def (\w+)\(session", (project / "noxfile.py").read_text(), re.MULTILINE))
    named = set()
    for name, path in files_of(project).items():
        if name.endswith((".md", ".yml", ".yaml")):
            named |= set(re.findall(r'(?:nox|NOX) -s "?([a-z_]+)', path.read_text("utf-8")))
            named |= {
                each for row in re.findall(r"session: \[(.*)\]", path.read_text("utf-8")) for each in row.split(", ")
            }

    assert named
    assert named <= sessions


@pytest.mark.parametrize(
    ("question", "answer"),
    [("name", "Deep Plankton"), ("name", "-x"), ("repository", "plankton"), ("kind", "book"), ("python", "2.7")],
)
def test_answer_that_makes_no_project_is_refused(template, tmp_path, question, answer):
    with pytest.raises((ValueError, copier.errors.CopierError)):
        copier.run_copy(
            str(template), tmp_path / "out", data={"name": "plankton", question: answer}, defaults=True, quiet=True, vcs_ref="HEAD"
        )  # fmt: skip
    assert not (tmp_path / "out" / "noxfile.py").exists()


def test_project_that_exists_keeps_what_it_has_written(template, tmp_path):
    own = (
        "README.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "constraints/dev.txt",
        "docs/index.md",
        "tests/test_plankton.py",
    )
    for name in own:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("ours\n")

    copier.run_copy(
        str(template), tmp_path, data={"name": "plankton"}, defaults=True, quiet=True, overwrite=True, vcs_ref="HEAD"
    )

    assert {(tmp_path / name).read_text() for name in own} == {"ours\n"}
    assert (tmp_path / "noxfile.py").is_file()


@pytest.mark.slow
def test_update_to_a_later_template_has_no_conflict_and_leaves_what_is_the_projects(commit, template, tmp_path):
    def git(*arguments, cwd):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout

    project = tmp_path / "project"
    answers = {"name": "plankton", "kind": "library"}
    copier.run_copy(str(template), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
    git("init", "--quiet", cwd=project)
    (project / "README.md").write_text("# Ours\n")
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message", "Begin", cwd=project)

    later = template / "template" / "SUPPORT.md.jinja"
    later.write_text(later.read_text().replace("within a week", "within two weeks"))
    commit("a later template")
    copier.run_update(project, defaults=True, quiet=True, overwrite=True, vcs_ref="HEAD", conflict="rej")

    assert "within two weeks" in (project / "SUPPORT.md").read_text()
    assert (project / "README.md").read_text() == "# Ours\n"
    changed = {line[3:] for line in git("status", "--porcelain", cwd=project).splitlines()}
    assert changed == {".copier-answers.yml", ".github/workflows/gate-report.yml", ".github/workflows/gate.yml", ".github/workflows/history.yml", "SUPPORT.md", "noxfile.py"}  # fmt: skip
    assert not list(project.rglob("*.rej"))
