"""The scaffold that other projects take from this repository, rendered as they render it."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib

import copier
import pytest
import yaml

from tests.slow_cases import some_always

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
    folder, targets = tmp_path_factory.mktemp("rendered"), {}

    def render(kind, **answers):
        asked = (kind, *answers.items())
        if asked not in targets:
            targets[asked] = folder / str(len(targets))
            answers = {"name": "deep-plankton", "kind": kind, "gpu": True} | answers
            copier.run_copy(str(template), targets[asked], data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
        return targets[asked]

    return render


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("kind", some_always(KINDS, {"library"}))
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


def pythons_of(project, root):
    """Versions of Python with which the jobs of a project's workflows run what is the project's."""
    files = {
        ".github/actions/setup": project / ".github/actions/setup/action.yml",
        ".github/workflows/gate-reusable.yml": root / ".github/workflows/gate-reusable.yml",
    }
    defaults = {
        name: re.search(r'python-version:\n(?: .*\n)*? +default: "(.*)"', file.read_text())[1]
        for name, file in files.items()
    }
    found = {}
    for workflow in (project / ".github" / "workflows").iterdir():
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
            for step in [job, *job.get("steps", ())]:
                called = step.get("uses", "").partition("@")[0].removeprefix("mainstay/mainstay/").removeprefix("$/")
                if called in defaults:
                    found[workflow.stem, name] = step.get("with", {}).get("python-version", defaults[called])
    return found


@pytest.mark.parametrize("kind", some_always(KINDS, {"monorepo"}))
@pytest.mark.parametrize("python", ["3.11", pytest.param("3.13", marks=pytest.mark.slow)])
def test_every_job_runs_the_project_with_a_python_that_it_supports(rendered, root, kind, python):
    project = rendered(kind, python=python)
    found = pythons_of(project, root)
    matrix = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]

    assert found.pop(("ci", "tests")) == "${{ matrix.python }}"
    assert {job: version for job, version in found.items() if version != python} == {}
    jobs = {
        "ci sessions",
        "docs check",
        "docs publish",
        "gate gate",
        "gate-gpu gate",
        "history anchor",
        "scheduled sessions",
    }
    assert jobs <= {" ".join(job) for job in found}
    assert matrix["python"][0] == python
    assert f"\nPYTHONS = {json.dumps(matrix['python'])}\n" in (project / "noxfile.py").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_git_takes_every_folder_of_the_package_and_no_artifact(rendered, tmp_path, kind):
    folder = "packages/deep-plankton/" if kind == "monorepo" else ""
    artifacts = ["data/digits.bin", "dist/a.whl", "build/a.py", "site/index.html", ".mainstay/run.json", ".coverage"]
    code = [f"src/deep_plankton/{name}/loader.py" for name in ("data", "build", "dist", "site")] + [".coveragerc"]
    shutil.copy(rendered(kind) / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name in [*artifacts, *(f"{folder}{name}" for name in [*artifacts, *code])]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    listed = ["git", "-c", "core.excludesFile=", "ls-files", "--others", "--exclude-standard"]
    taken = subprocess.run(listed, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    assert set(taken) == {".gitignore", *(f"{folder}{name}" for name in code)}


@pytest.mark.parametrize(
    ("description", "docstring"),
    [
        pytest.param("Classifies plankton", "Classifies plankton.", marks=pytest.mark.slow),
        pytest.param("Is it plankton?", "Is it plankton?", marks=pytest.mark.slow),
        ('"Plankton" or "krill"', "'Plankton' or 'krill'."),
        pytest.param("Removes \\alpha and C:\\", "Removes \\alpha and C:\\.", marks=pytest.mark.slow),
        ("Someone's plankton \N{OCTOPUS} <big> & wide", "Someone's plankton \N{OCTOPUS} <big> & wide."),
    ],
)
def test_any_sentence_and_any_name_stand_in_every_file(rendered, description, docstring):
    project = rendered("library", description=description, authors=description)
    package = (project / "src/deep_plankton/__init__.py").read_text("utf-8")
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    (licences,) = tomllib.loads((project / "REUSE.toml").read_text("utf-8"))["annotations"]
    site = re.search("^site_description: .*", (project / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)

    assert ast.get_docstring(ast.parse(package)) == docstring
    assert (
        metadata["description"] == metadata["authors"][0]["name"] == licences["SPDX-FileCopyrightText"] == description
    )
    assert yaml.safe_load(site[0]) == {"site_description": description}


@pytest.mark.parametrize(
    ("code", "package", "source"),
    [
        ("src/skplank", "skplank", "src"),
        pytest.param("skplank", "skplank", ".", marks=pytest.mark.slow),
        pytest.param("lib/skplank", "skplank", "lib", marks=pytest.mark.slow),
        ("skplank.py", "skplank", "."),
    ],
)
@pytest.mark.parametrize("kind", [pytest.param("library", marks=pytest.mark.slow), "monorepo"])
def test_sessions_look_for_the_code_where_the_answer_says(rendered, kind, code, package, source):
    project = rendered(kind, code=code)
    folder = "packages/deep-plankton" if kind == "monorepo" else "."
    tools = tomllib.loads((project / folder / "pyproject.toml").read_text())["tool"]

    assert tools["mypy"]["files"] == tools["hatch"]["build"]["targets"]["wheel"]["packages"] == [code]
    assert tools["coverage"]["run"]["source_pkgs"] == [package]
    assert f'str(PACKAGE / "{code}"))' in (project / "noxfile.py").read_text()
    assert f"paths: [{folder}/{source}]\n" in (project / "mkdocs.yml").read_text()
    assert f"\n::: {package}\n" in (project / "docs/reference/index.md").read_text()
    assert (project / folder / code / "model.py").is_file() is not code.endswith(".py")


@pytest.mark.parametrize("kind", some_always(KINDS, {"library"}))
def test_a_project_with_code_of_its_own_gets_no_example(rendered, kind):
    new, own = files_of(rendered(kind)), files_of(rendered(kind, example=False))
    folder = "packages/deep-plankton/" if kind == "monorepo" else ""

    missing = {name.removeprefix(folder).partition("/")[0] for name in new.keys() - own.keys()}
    assert missing == {"benchmarks", "src", "tests"}
    assert not own.keys() - new.keys()
    assert "import model" in new["docs/tutorials/index.md"].read_text()
    assert links_to_the_example(own) == []


@pytest.mark.parametrize("kind", ["library", "monorepo"])
def test_a_module_is_code_of_the_projects_own(rendered, kind):
    files = files_of(rendered(kind, code="skplank.py"))

    assert not [name for name in files if re.search(r"(^|/)(benchmarks|tests|src|skplank.*)/", name)]
    assert links_to_the_example(files) == []


def links_to_the_example(files):
    """Files that name a module of the example."""
    pattern = re.compile(r"import model\b|\bmodel\.\w+\(|\.train:main\b")
    return [name for name, path in files.items() if pattern.search(path.read_text("utf-8"))]


def test_a_false_alarm_is_looked_into_as_in_this_repository(rendered, root):
    own, theirs = (
        re.findall(r"^([1-3]\. .*?)(?=^\d\.)", text.partition("## When a gate raises a false alarm")[2], re.MULTILINE | re.DOTALL)
        for text in ((place / "MAINTAINING.md").read_text() for place in (root, rendered("library")))
    )  # fmt: skip

    assert theirs[:3] == [step.replace("`mainstay doctor`", "`nox -s doctor`") for step in own[:3]]
    assert "nox -s calibrate -- --revision BASELINE" in theirs[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "code", "package"),
    [
        ("library", "src/deep_plankton", "./src/deep_plankton"),
        ("library", "plankton", "./plankton"),
        ("monorepo", "src/deep_plankton", "packages/deep-plankton/src/deep_plankton"),
    ],
)
def test_ci_asks_for_a_fragment_where_the_code_of_the_package_changes(rendered, kind, code, package):
    project = rendered(kind, code=code)
    ci = yaml.safe_load((project / ".github" / "workflows" / "ci.yml").read_text())

    asked = [step["run"] for step in ci["jobs"]["changelog"]["steps"] if "run" in step]

    assert (project / package).is_dir()
    assert asked == [
        f'git diff --quiet "origin/$BASE...HEAD" -- {package} || $NOX -s changelog -- --compare-with "origin/$BASE"'
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


def test_sessions_need_no_metadata_of_the_project(rendered, tmp_path):
    shutil.copy(rendered("library", python="3.13") / "noxfile.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[dependency-groups]\ntest = []\n")

    command = [sys.executable, "-m", "nox", "--script-mode", "none", "--list", "--json"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert {"lint", "tests-3.13", "tests-3.14"} <= {each["session"] for each in json.loads(listed)}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        *[("name", "Deep Plankton"), ("name", "-x"), ("repository", "plankton"), ("kind", "book"), ("python", "2.7")],
        *[("description", "Tells.\nAnd asks."), ("authors", ""), ("code", "src/"), ("code", "deep-plankton")],
    ],
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
