"""Code that is proved unchanged is not measured, and whatever the proof does not cover is.

The workload breaks when it is run, so a gate that passes has run nothing.
"""

import pytest

from tests.end_to_end.settings import FORKED
from tests.slow_cases import some_always

pytestmark = [pytest.mark.package_index, pytest.mark.settings(FORKED)]

WORKLOAD = """
import pytest

import subject.model


@pytest.mark.deterministic(metric="parameters")
def test_size(counts):
    raise RuntimeError("this workload was run")


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01)
def test_clouds(trial):
    raise RuntimeError("this workload was run")
"""


@pytest.fixture
def project(project):
    """A repository whose workloads must not be run, with the proof on, as it is where nothing is said."""
    project.edit("pyproject.toml", "proof = false\n", "")
    project.edit("pyproject.toml", 'version = "1.0"', 'version = "1.0"\nreadme = "README.md"')
    project.write("README.md", "What it does.\n")
    project.write("benchmarks/test_accuracy.py", WORKLOAD)
    project.write(".gitignore", "data/\n")
    project.write("data/points.txt", "1\n")
    project.edit("pyproject.toml", "trial_seconds = 300", 'trial_seconds = 300\nshare = ["data"]')
    project.commit("prove")
    return project


def edit_settings(old, new):
    return lambda project: project.edit("pyproject.toml", old, new)


NOT_MEASURED = {
    "nothing": lambda project: project.commit("an empty one"),
    "docs-and-tests": lambda project: (
        project.write("docs/index.md", "# The subject\n"),
        project.write("tests/test_model.py", "def test_nothing():\n    pass\n"),
        project.write(".github/workflows/ci.yml", "on: push\n"),
    ),
    "shared-content": lambda project: (  # both revisions read the same
        project.write("data/points.txt", "2\n"),
        project.commit("an empty one"),
    ),
    "what-measures": lambda project: (  # both revisions are measured with the candidate's
        project.write("constraints.txt", "iniconfig==2.0.0\n"),
        edit_settings("trial_seconds = 300", 'trial_seconds = 300\nconstraints = ["constraints.txt"]')(project),
    ),
    "settings-of-the-judgement": edit_settings("trial_seconds = 300", "trial_seconds = 200\nseconds = 60"),
}

MEASURED = {
    "comment": (
        lambda project: project.edit("src/subject/model.py", "import math", "# mathematics\nimport math"),
        "the revisions differ only in docstrings, comments, layout and names of locals",  # the traced run did not complete
    ),
    "constant": (lambda project: project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 3"), None),
    "metadata": (
        lambda project: project.edit("README.md", "does", "can do"),
        "the metadata of the package differs: subject-1.0.dist-info/METADATA",
    ),
    "dependency": (
        lambda project: (
            project.write("constraints.txt", "tabulate==0.9.0\n"),
            edit_settings("trial_seconds = 300", 'trial_seconds = 300\nconstraints = ["constraints.txt"]')(project),
            edit_settings('">=3.11"', '">=3.11"\ndependencies = ["tabulate"]')(project),
            project.commit("depend"),
            project.write("constraints.txt", "tabulate==0.8.10\n"),
        ),
        "the dependencies differ",
    ),
    "workload": (
        lambda project: project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.02"),
        "the workload files or the settings of pytest differ",
    ),
    "pytest": (
        edit_settings("strict = true", "strict = true\nxfail_strict = true"),
        "the workload files or the settings of pytest differ",
    ),
    "share": (edit_settings('share = ["data"]', 'share = ["data/points.txt"]'), "share of [tool.mainstay] differ"),
    "threads": (
        edit_settings("trial_seconds = 300", "trial_seconds = 300\nthreads = 2"),
        "threads of [tool.mainstay] differ",
    ),
    "switched-off": (edit_settings("trial_seconds = 300", "trial_seconds = 300\nproof = false"), None),
}


ALWAYS = {"docs-and-tests", "switched-off"}
"""Changes that are gated in every run of the suite; tests/commands/test_proof.py decides on all of them without a gate."""


@pytest.mark.parametrize("change", some_always(NOT_MEASURED, ALWAYS))
def test_equal_installed_files_pass_and_nothing_is_run(project, change):
    NOT_MEASURED[change](project)

    result = project.gate()

    assert result.status == 0, result.stdout + result.stderr
    assert {(finding["verdict"], finding["method"]) for finding in result.run["findings"]} == {("pass", "unchanged")}
    assert len(result.run["findings"]) == 2
    assert result.run["plan"]["num_gated"] == 0
    assert [workload["seconds"] for workload in result.run["workloads"]] == [0, 0]
    assert result.stdout.count("this assumes that the world outside the installed files") == 1


@pytest.mark.slow
@pytest.mark.parametrize("change", some_always(MEASURED, ALWAYS))
def test_whatever_else_differs_is_measured_and_named_where_the_code_is_equal(project, change):
    edit, why = MEASURED[change]
    edit(project)

    result = project.gate()

    assert "this workload was run" in str(result.run["findings"])
    assert "unchanged" not in {finding["method"] for finding in result.run["findings"]}
    notes = [note for note in result.run["notes"] if "measured" in note]
    assert why in notes[0] if why else not notes


@pytest.mark.slow
def test_a_baseline_that_wants_to_be_measured_is(project):
    edit_settings("trial_seconds = 300", "trial_seconds = 300\nproof = false")(project)
    project.commit("measure")
    edit_settings("proof = false\n", "")(project)

    result = project.gate()

    assert "this workload was run" in str(result.run["findings"])
    (change,) = result.run["changes"]
    assert (change["name"], change["effect"]) == ("proof", "the proof that assumes less holds")


@pytest.mark.slow
def test_a_version_that_comes_from_git_is_the_same_for_both_revisions(project):
    text = (project.root / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = ["setuptools>=77", "setuptools-scm>=8"]\nbuild-backend = "setuptools.build_meta"\n\n'
    text = system + text[text.index("[project]") :].replace('version = "1.0"', 'dynamic = ["version"]')
    project.write("pyproject.toml", text + '\n[tool.setuptools_scm]\nversion_file = "src/subject/_version.py"\n')
    project.commit("take the version from git")
    project.git("tag", "v1.4.0")
    project.commit("an empty one")

    unchanged = project.gate()
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 3")
    changed = project.gate()

    assert unchanged.status == 0, unchanged.stdout + unchanged.stderr
    assert {finding["method"] for finding in unchanged.run["findings"]} == {"unchanged"}
    assert "this workload was run" in str(changed.run["findings"])


LINKS = {
    "conftest": ("tests/conftest.py", "benchmarks/conftest.py", "../tests/conftest.py", "benchmarks/conftest.py"),
    "settings-of-pytest": ("config/pytest.ini", "pytest.ini", "config/pytest.ini", "addopts"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some_always(LINKS, {"conftest"}))
def test_what_a_link_among_the_workloads_leads_to_counts_and_is_listed(project, name):
    target, link, text, listed = LINKS[name]
    project.write(target, "[pytest]\n" if target.endswith("ini") else "")
    (project.root / link).symlink_to(text)
    project.commit("link")
    project.write("docs/index.md", "# The subject\n")
    equal = project.gate()
    project.write(target, "[pytest]\naddopts = -q\n" if target.endswith("ini") else "COLOUR = 1\n")

    result = project.gate()

    assert {finding["method"] for finding in equal.run["findings"]} == {"unchanged"}
    assert "this workload was run" in str(result.run["findings"])
    assert any("the workload files or the settings of pytest differ" in note for note in result.run["notes"])
    assert listed in [change["name"] for change in result.run["changes"]]


@pytest.mark.slow
@pytest.mark.settings
def test_what_is_preloaded_waived_or_left_out_changes_nothing_about_it(project):
    edit_settings("trial_seconds = 300", 'trial_seconds = 300\npreload = ["json"]')(project)
    project.write(
        ".mainstay-waivers.toml",
        """
        [[waiver]]
        metric = "top1_accuracy"
        limit = 0.1
        reason = "known"
        until = "2100-01-01"
        """,
    )
    project.commit("preload")
    project.write("docs/index.md", "# The subject\n")

    result = project.gate("--only", "accuracy", "--junit", "report.xml", "--markdown", "report.md")

    assert (result.status, result.finding["verdict"], result.finding["method"]) == (0, "pass", "unchanged")
    assert 'failures="0" errors="0"' in (project.root / "report.xml").read_text()
    assert "nothing was run" in (project.root / "report.md").read_text()


def test_a_workload_that_no_longer_imports_is_an_error_though_the_code_is_unchanged(project):
    project.write("benchmarks/test_more.py", "import absent\n")
    project.commit("break")
    project.write("docs/index.md", "# The subject\n")

    result = project.gate()

    assert (result.status, result.run["verdict"]) == (4, "error")
    assert {finding["verdict"] for finding in result.run["findings"]} == {"pass", "error"}


@pytest.mark.slow
def test_installed_code_that_was_changed_after_it_was_built_is_no_proof(project):
    meddling = "import pathlib, subject; pathlib.Path(subject.__file__).with_name('more.py').write_text('')"
    edit_settings("trial_seconds = 300", f'trial_seconds = 300\nprepare = ["python", "-c", "{meddling}"]')(project)
    project.commit("meddle")
    project.write("docs/index.md", "# The subject\n")

    result = project.gate()

    assert (result.status, {finding["verdict"] for finding in result.run["findings"]}) == (1, {"error"})
    assert "what no workload may change was changed while the gate ran" in result.run["findings"][0]["reason"]
