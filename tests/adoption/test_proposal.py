import ast
import subprocess
import tomllib
from contextlib import suppress

import pytest
import yaml

from mainstay.adoption.proposal import GATES, WORKFLOW, Example, Wishes, propose
from mainstay.adoption.survey import survey_project
from mainstay.adoption.templates import Pin
from mainstay.project.configuration import read_configuration
from mainstay.records.errors import ConfigurationError, UsageError
from tests.adoption.layouts import ASV, LAYOUTS, SUITE, TRAINING

HATCH = LAYOUTS["hatch"]


def proposal_for(files, *, default_branch="main", gpu="", pin=None, **wishes):
    survey = survey_project(files, files.get, default_branch=default_branch, gpu=gpu)
    return propose(survey, Wishes(**wishes), files.get, find_pin=lambda: pin)


def applied(files, **wishes):
    """The files of a project after adoption."""
    proposal = proposal_for(files, **wishes)
    return files | {edit.path: edit.after for edit in (*proposal.edits, *proposal.repository_edits)}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("requirement", ["", "mainstay==1.0"], ids=["no-ci", "ci"])
def test_a_second_proposal_is_empty(name, requirement):
    after = applied(LAYOUTS[name], requirement=requirement)

    again = proposal_for(after, requirement=requirement)

    assert (again.edits, again.repository_edits) == ((), ())
    assert (WORKFLOW in after) is bool(requirement)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_written_reads(name):
    after = applied(LAYOUTS[name], requirement="mainstay==1.0")

    settings = read_configuration(after["pyproject.toml"], "pyproject.toml")
    assert settings.workloads == "benchmarks"
    group = tomllib.loads(after["pyproject.toml"])["dependency-groups"]["benchmarks"]
    assert group == ["pytest>=8.4", "pytest-benchmark>=5.1", *(["iniconfig"] if name == "conda" else [])]
    for path in after.keys() - LAYOUTS[name].keys():
        if path.endswith(".py"):
            ast.parse(after[path])


@pytest.mark.parametrize("name", [name for name in LAYOUTS if "pyproject.toml" in LAYOUTS[name]])
def test_all_that_stood_in_pyproject_stays_first_and_as_it_was(name):
    before = LAYOUTS[name]["pyproject.toml"]

    assert applied(LAYOUTS[name])["pyproject.toml"].startswith(before)


def test_an_existing_table_of_groups_keeps_its_comments_and_order():
    text = (
        HATCH["pyproject.toml"]
        + '\n[dependency-groups]\n# ours\ntest = ["pytest"]  # why\n\n[tool.ruff]\nline-length = 99\n'
    )

    after = applied(HATCH | {"pyproject.toml": text})["pyproject.toml"]

    kept = [line for line in after.splitlines() if line in text.splitlines()]
    assert [line for line in text.splitlines() if line] == [line for line in kept if line]
    assert list(tomllib.loads(after)["dependency-groups"]) == ["test", "benchmarks"]


@pytest.mark.parametrize("table", ["", "\n[dependency-groups]\ntest = []\n\n[tool.ruff]\nline-length = 99\n"])
def test_line_ends_stay(table):
    text = (HATCH["pyproject.toml"] + table).replace("\n", "\r\n")

    after = applied(HATCH | {"pyproject.toml": text, ".gitignore": "a\r\n"})

    assert after["pyproject.toml"].count("\r\n") == after["pyproject.toml"].count("\n")
    assert after[".gitignore"] == "a\r\n.mainstay/\r\n"


def test_a_project_that_is_half_set_up_gets_the_rest():
    text = HATCH["pyproject.toml"] + '\n[tool.mainstay]\nworkloads = "perf"\nseconds = 60\n'

    after = applied(HATCH | {"pyproject.toml": text})

    assert "perf/test_import.py" in after
    assert after["pyproject.toml"].count("[tool.mainstay]") == 1
    assert "[dependency-groups]" in after["pyproject.toml"]


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ({"benchmarks/test_a.py": SUITE, "benchmarks/deep/test_b.py": SUITE}, "benchmarks"),
        ({"tests/speed/test_a.py": SUITE, "tests/speed/more/test_b.py": SUITE}, "tests/speed"),
        ({"tests/a/test_a.py": SUITE, "tests/b/test_b.py": SUITE}, "tests"),
        ({"bench/test_a.py": SUITE, "bench/test_c.py": SUITE, "tests/test_b.py": SUITE}, "bench"),
    ],
    ids=["one-folder", "deep", "parent", "most"],
)
def test_the_folder_of_a_suite_is_the_smallest_that_holds_it(files, folder):
    proposal = proposal_for(HATCH | files)

    assert (proposal.example, proposal.workloads) == (Example.SUITE, folder)
    assert not [edit for edit in proposal.edits if edit.path.endswith(".py")]


CONFTEST = "import pytest\n@pytest.fixture\ndef data(): ...\n@pytest.fixture\ndef timed(benchmark): ...\n"
WITH_DATA = "def test_speed(benchmark, data):\n    benchmark(len, data)\n"
BY_FIXTURE = "def test_speed(timed): ...\n"


@pytest.mark.parametrize("suite", [WITH_DATA, BY_FIXTURE], ids=["needs", "measures-through-it"])
def test_the_folder_of_a_suite_holds_the_fixtures_that_it_uses(suite):
    files = HATCH | {
        "tests/conftest.py": CONFTEST,
        "tests/perf/test_speed.py": suite,
        "tests/perf/test_more.py": SUITE,
        "tests/unit/test_plain.py": "import hypothesis\n",
    }

    proposal, settings = proposal_for(files), read_configuration(applied(files)["pyproject.toml"], "")

    assert (settings.workloads, settings.files) == ("tests", ("test_more.py", "test_speed.py"))
    assert not [edit for edit in proposal.edits if edit.path.endswith(".py")]
    assert not [note for note in proposal.notes if "conftest" in note]


def test_a_conftest_that_a_suite_does_not_use_widens_no_folder():
    files = HATCH | {"tests/conftest.py": CONFTEST, "tests/perf/test_a.py": SUITE}

    assert proposal_for(files).workloads == "tests/perf"
    nearer = files | {"tests/perf/conftest.py": CONFTEST, "tests/perf/test_a.py": WITH_DATA}
    assert proposal_for(nearer).workloads == "tests/perf"


@pytest.mark.parametrize("suite", [WITH_DATA, BY_FIXTURE], ids=["needs", "measures-through-it"])
@pytest.mark.parametrize(
    ("conftest", "wishes"),
    [("conftest.py", {}), ("tests/conftest.py", {"workloads": "tests/perf"})],
    ids=["beside-pyproject", "folder-as-wished"],
)
def test_fixtures_above_the_folder_of_a_suite_are_said(suite, conftest, wishes):
    files = HATCH | {conftest: CONFTEST, "tests/perf/test_speed.py": suite}

    proposal = proposal_for(files, **wishes)

    assert proposal.workloads == "tests/perf"
    assert not [edit for edit in proposal.edits if edit.path.endswith(".py")]
    (note,) = [note for note in proposal.notes if "conftest" in note]
    assert f"fixtures of {conftest}, which workers do not load: {'data' if suite == WITH_DATA else 'timed'}" in note
    assert "tests/perf/conftest.py" in note
    moved = applied(files | {"tests/perf/conftest.py": CONFTEST}, **wishes)
    assert not [note for note in proposal_for(moved).notes if "conftest" in note]


def test_a_suite_of_asv_is_gated_where_its_configuration_says():
    after = applied(HATCH | ASV)

    settings = read_configuration(after["pyproject.toml"], "")
    assert (settings.workloads, settings.asv, settings.files) == ("perf/suite", ("*.py",), ())
    assert after.keys() == {*HATCH, *ASV, ".gitignore"}
    again = proposal_for(after)
    assert (again.edits, again.example) == ((), Example.SUITE)


@pytest.mark.parametrize("text", ["x = 1\n", "def time_it(): ...\n"], ids=["no-suite", "elsewhere"])
def test_a_configuration_of_asv_without_its_suite_changes_nothing(text):
    files = HATCH | {"asv.conf.json": '{"benchmark_dir": "bench"}', "perf/sums.py": text, "bench/a.py": "x = 1\n"}

    assert read_configuration(applied(files)["pyproject.toml"], "").asv == ()


def test_a_suite_in_files_of_unusual_names_is_named():
    after = applied(HATCH | {"bench/bench_a.py": SUITE, "bench/test_b.py": SUITE})

    assert read_configuration(after["pyproject.toml"], "").files == ("bench_a.py", "test_*.py")


def test_names_of_files_are_left_to_pytest_where_it_is_told():
    text = HATCH["pyproject.toml"] + '\n[tool.pytest.ini_options]\npython_files = "bench_*.py"\n'

    assert (
        read_configuration(
            applied(HATCH | {"bench/bench_a.py": SUITE, "pyproject.toml": text})["pyproject.toml"], ""
        ).files
        == ()
    )


def test_what_a_suite_imports_comes_from_the_group_the_extra_or_is_named():
    text = HATCH["pyproject.toml"] + (
        '[project.optional-dependencies]\nfast = ["orjson>=3"]\n\n[dependency-groups]\ntest = ["attrs>=25"]\n'
    )
    suite = f"import orjson, attr, nowhere_listed\n{SUITE}"

    files = HATCH | {"pyproject.toml": text, "bench/test_a.py": suite}
    after = applied(files)["pyproject.toml"]

    assert read_configuration(after, "").extras == ("fast",)
    assert tomllib.loads(after)["dependency-groups"]["benchmarks"] == [
        "pytest>=8.4",
        "pytest-benchmark>=5.1",
        "attrs>=25",
    ]
    assert any("nowhere_listed" in note for note in proposal_for(files).notes)


def test_a_suite_among_other_tests_is_gated_without_them():
    files = HATCH | {
        "tests/test_speed.py": SUITE,
        "tests/test_plain.py": "import hypothesis\n",
        "tests/conftest.py": "",
    }

    assert read_configuration(applied(files)["pyproject.toml"], "").files == ("test_speed.py",)
    assert "of the files in tests, test_speed.py are collected: add new ones to 'files'" in proposal_for(files).notes
    assert not [note for note in proposal_for(applied(files)).notes if "'files'" in note]


def test_a_suite_whose_files_say_so_stays_open_to_new_ones():
    files = HATCH | {"tests/test_a_benchmarks.py": SUITE, "tests/test_bench_b.py": SUITE, "tests/deep/test_c.py": ""}

    assert read_configuration(applied(files)["pyproject.toml"], "").files == ("*bench*.py",)


OTHER = "import hypothesis\ndef test_it(): ...\n"


@pytest.mark.parametrize(
    ("files", "patterns"),
    [
        pytest.param(
            {"tests/conftest.py": CONFTEST, "tests/perf/test_speed.py": WITH_DATA, "tests/unit/test_speed.py": OTHER},
            ("tests/perf/test_speed.py",),
            id="reached-for-a-conftest",
        ),
        pytest.param(
            {"tests/test_speed.py": SUITE, "tests/test_more.py": SUITE, "tests/unit/test_speed.py": OTHER},
            ("test_more.py", "tests/test_speed.py"),
            id="one-of-two",
        ),
        pytest.param(
            {"tests/a/test_speed.py": SUITE, "tests/b/test_speed.py": SUITE, "tests/test_it.py": OTHER},
            ("test_speed.py",),
            id="in-two-folders-of-the-suite",
        ),
        pytest.param(
            {"bench/bench_a.py": SUITE, "bench/tools/bench_a.py": "raise SystemExit\n"},
            ("bench/bench_a.py",),
            id="script-of-an-unusual-name",
        ),
        pytest.param(
            {"tests/bench_a.py": SUITE, "tests/tools/bench_a.py": "raise SystemExit\n", "tests/test_it.py": OTHER},
            ("tests/bench_a.py",),
            id="script-of-a-name-that-tells-a-benchmark",
        ),
        pytest.param({"tests/test_speed.py": SUITE, "docs/test_speed.py": OTHER}, (), id="outside-the-folder"),
        pytest.param(
            {"tests/it's [a]/test_a b.py": SUITE, "tests/it's [a]/c/test_a b.py": OTHER},
            ("tests/it?s??a?/test_a?b.py",),
            id="characters-of-patterns",
        ),
    ],
)
def test_a_file_of_the_same_name_as_one_of_the_suite_is_not_collected(files, patterns):
    assert read_configuration(applied(HATCH | files)["pyproject.toml"], "").files == patterns


def test_files_of_both_usual_names_are_collected_beside_one_of_an_unusual_name():
    files = HATCH | {"bench/bench_a.py": SUITE, "bench/test_b.py": SUITE, "bench/speed_test.py": SUITE}

    assert read_configuration(applied(files)["pyproject.toml"], "").files == ("bench_a.py", "test_*.py", "*_test.py")


def test_a_workload_that_is_written_beside_other_tests_is_collected():
    files = HATCH | {"tests/test_speed.py": SUITE, "gate/test_it.py": "def test_it(): ...\n"}

    after = applied(files, workloads="gate")

    assert "gate/test_import.py" in after
    assert read_configuration(after["pyproject.toml"], "").files == ()


def group_of(files):
    return tomllib.loads(applied(files)["pyproject.toml"])["dependency-groups"]["benchmarks"]


def test_the_plugin_that_a_suite_imports_is_installed():
    suite = "from pytest_codspeed import BenchmarkFixture\n" + SUITE

    assert group_of(HATCH | {"bench/test_a.py": suite}) == ["pytest>=8.4", "pytest-codspeed"]


def test_requirements_in_files_for_people_are_used_where_they_are_imported():
    files = HATCH | {
        "bench/test_a.py": f"import tomlkit\n{SUITE}",
        "bench/conftest.py": "from bench import helpers\n",
        "bench/helpers.py": "import attr\n",
        "requirements/test.txt": "-r more.txt\n# comment\ntomlkit >= 0.13  # why\nunused\npytest-codspeed==3.2.0\n",
        "requirements-dev.txt": "attrs==25.3.0 \\\n    --hash=sha256:0\n",
    }

    assert group_of(files) == ["pytest>=8.4", "pytest-codspeed==3.2.0", "attrs==25.3.0", "tomlkit >= 0.13"]


def test_pytorch_that_is_left_to_the_users_is_installed_and_said():
    files = HATCH | {
        "src/plank/__init__.py": "from .net import Net\n",
        "src/plank/net.py": "import torch\nclass Net: ...\n",
    }

    assert group_of(files)[-1] == "torch"
    assert any(note.startswith("torch is imported") for note in proposal_for(files).notes)


@pytest.mark.parametrize(
    "text",
    [
        "def load():\n    import torch\n",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n",
        "",
    ],
    ids=["in-a-function", "optional", "for-types", "not-reached"],
)
def test_what_an_import_can_do_without_is_not_installed(text):
    files = HATCH | {"src/plank/__init__.py": text, "src/plank/layers.py": "import torch\n"}

    assert group_of(files) == ["pytest>=8.4", "pytest-benchmark>=5.1"]


def test_an_extra_that_brings_what_the_package_imports_is_chosen():
    text = HATCH["pyproject.toml"] + '[project.optional-dependencies]\ntorch = ["torch>=2"]\n'
    files = HATCH | {"src/plank/__init__.py": "import torch\n", "pyproject.toml": text}

    assert read_configuration(applied(files)["pyproject.toml"], "").extras == ("torch",)
    assert group_of(files) == ["pytest>=8.4", "pytest-benchmark>=5.1"]


@pytest.mark.parametrize(
    ("imported", "extras"), [("plank.formats.fast", ("fast",)), ("plank.formats", ()), ("plank.guarded", ())]
)
def test_an_extra_that_a_module_needs_which_the_suite_imports_is_chosen(imported, extras):
    text = HATCH["pyproject.toml"] + '[project.optional-dependencies]\nfast = ["msgspec>=0.21"]\n'
    modules = {
        "src/plank/formats/__init__.py": "",
        "src/plank/formats/fast.py": "import msgspec\n",
        "src/plank/guarded.py": "try:\n    import msgspec\nexcept ImportError:\n    msgspec = None\n",
    }
    files = HATCH | modules | {"pyproject.toml": text, "bench/test_a.py": f"import {imported}\n{SUITE}"}

    assert read_configuration(applied(files)["pyproject.toml"], "").extras == extras
    assert group_of(files) == ["pytest>=8.4", "pytest-benchmark>=5.1"]


@pytest.mark.parametrize(
    "text", ['dynamic = ["dependencies"]\n', 'dependencies = ["torch"]\n'], ids=["by-the-build", "declared"]
)
def test_dependencies_of_the_project_are_not_repeated(text):
    files = HATCH | {"src/plank/__init__.py": "import torch\n", "pyproject.toml": HATCH["pyproject.toml"] + text}

    assert group_of(files) == ["pytest>=8.4", "pytest-benchmark>=5.1"]


def test_packages_of_a_conda_environment_are_installed_where_they_are_imported():
    files = {
        "plank.py": "import torch, yaml\n",
        "environment.yml": "dependencies:\n  - python=3.12\n  - pytorch::pytorch>=2\n  - pip:\n    - pyyaml==6\n",
    }

    assert group_of(files) == ["pytest>=8.4", "pytest-benchmark>=5.1", "torch", "pyyaml"]


def test_a_group_that_has_a_tool_for_benchmarks_is_included():
    text = HATCH["pyproject.toml"] + '\n[dependency-groups]\nbench = ["pytest-codspeed", "msgpack"]\n'

    after = applied(HATCH | {"pyproject.toml": text, "bench/test_a.py": SUITE})["pyproject.toml"]

    assert tomllib.loads(after)["dependency-groups"]["benchmarks"] == [{"include-group": "bench"}]


def test_a_training_script_is_run_with_few_epochs_and_the_seed_of_the_pair():
    after = applied(LAYOUTS["scripts"])["benchmarks/test_training.py"]

    assert 'ARGUMENTS = ["--epochs", "1"]' in after
    assert '"--seed", str(trial.seed)' in after
    assert 'metric="accuracy"' in after


@pytest.mark.parametrize(
    "text",
    [
        "import time\n\ndef test_speed():\n    started = time.perf_counter()\n    assert time.perf_counter() - started < 1\n",
        "import pytest\n\n@pytest.fixture\ndef clock(): ...\n\ndef test_speed(clock): ...\n",
        "def test_speed(:\n",
        f"{SUITE}VALUES = [{'1, ' * 400_000}]\n",
    ],
    ids=["timed-by-hand", "own-fixture", "syntax-error", "very-large"],
)
@pytest.mark.parametrize(
    ("layout", "wishes", "taken", "written"),
    [
        ("hatch", {}, ["benchmarks/test_import.py"], "benchmarks/test_mainstay_import.py"),
        ("hatch", {"workloads": "tests"}, ["tests/test_import.py"], "tests/test_mainstay_import.py"),
        ("scripts", {}, ["benchmarks/test_training.py"], "benchmarks/test_mainstay_training.py"),
        (
            "hatch",
            {},
            ["benchmarks/test_import.py", "benchmarks/test_mainstay_import.py"],
            "benchmarks/test_mainstay_import_2.py",
        ),
    ],
    ids=["import", "named-folder", "training", "twice"],
)
def test_an_example_takes_a_name_that_no_file_has(text, layout, wishes, taken, written):
    files = LAYOUTS[layout] | dict.fromkeys(taken, text)

    proposal = proposal_for(files, example=None if layout == "scripts" else "import", **wishes)

    (edit,) = [edit for edit in proposal.edits if edit.path.endswith(".py")]
    assert (edit.path, edit.before) == (written, None)
    assert f"{taken[0]} exists and holds no workload that mainstay knows: it was not changed" in proposal.notes
    again = proposal_for(files | {edit.path: edit.after for edit in proposal.edits})
    assert again.edits == ()


@pytest.mark.parametrize(
    ("files", "written"),
    [
        pytest.param({"tests/test_import.py": OTHER}, "benchmarks/test_mainstay_import.py", id="beside-no-package"),
        pytest.param({"test_import.py": OTHER}, "benchmarks/test_mainstay_import.py", id="at-the-top"),
        pytest.param(
            {"tests/__init__.py": "", "tests/test_import.py": OTHER}, "benchmarks/test_import.py", id="in-a-package"
        ),
    ],
)
def test_an_example_takes_no_name_under_which_pytest_imports_another_file(files, written):
    proposal = proposal_for(HATCH | files)

    assert [edit.path for edit in proposal.edits if edit.path.endswith(".py")] == [written]
    assert not [note for note in proposal.notes if "it was not changed" in note]


def test_stored_results_are_judged_by_their_own_command():
    proposal = proposal_for(HATCH | {"results/a/samples_t.jsonl": "{}"})

    assert proposal.example is Example.RESULTS
    assert any("mainstay judge" in note and "results/a" in note for note in proposal.notes)


@pytest.mark.parametrize("example", ["suite", "training"])
def test_an_example_that_cannot_be_made_is_refused(example):
    with pytest.raises(UsageError) as caught:
        proposal_for(HATCH, example=example)

    assert caught.value.next_step


def test_a_table_on_one_line_is_refused():
    text = 'tool = { ruff = { line-length = 99 } }\n[project]\nname = "plank"\nversion = "1"\n'

    with pytest.raises(ConfigurationError, match="cannot be extended"):
        proposal_for(HATCH | {"pyproject.toml": text})


# --- CI --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".github/workflows/perf.yml", "run: mainstay gate"),
        (".github/workflows/gate.yml", "uses: o/mainstay/.github/workflows/gate-reusable.yml@c0ffee # v1.0"),
        (".github/workflows/ci.yml", "- uses: o/mainstay/.github/actions/gate@c0ffee # v1.0"),
        (".gitlab-ci.yml", "- remote: https://host/o/mainstay/c0ffee/.gitlab/mainstay-gate.yml"),
    ],
)
def test_a_workflow_that_gates_already_is_left_alone(path, text):
    assert proposal_for(HATCH | {path: text}, requirement="mainstay==1.0", ci=True).repository_edits == ()


def test_a_workflow_of_the_same_name_is_left_as_it_is_and_said():
    proposal = proposal_for(HATCH | {WORKFLOW: "on: push"}, requirement="mainstay==1.0")

    assert proposal.repository_edits == ()
    assert any("it was not changed" in note for note in proposal.notes)


def test_another_service_is_not_told_but_named():
    proposal = proposal_for(HATCH | {".gitlab-ci.yml": "a: b"}, requirement="mainstay==1.0")

    assert proposal.repository_edits == ()
    assert any("GitLab CI" in note for note in proposal.notes)


def test_ci_that_is_asked_for_needs_something_to_install():
    with pytest.raises(UsageError, match="where CI should install"):
        proposal_for(HATCH, ci=True)
    assert proposal_for(HATCH, ci=False, requirement="mainstay==1.0").repository_edits == ()


def test_a_workflow_works_in_the_folder_of_the_project_and_is_pinned():
    (edit,) = proposal_for(HATCH, requirement="mainstay==1.0", folder="pkgs/a").repository_edits

    assert "mainstay gate -C pkgs/a" in edit.after
    used = [line.split("uses:")[1].split() for line in edit.after.splitlines() if "uses:" in line]
    assert all(len(words[0].partition("@")[2]) == 40 and words[1] == "#" for words in used)


PIN = Pin("owner/mainstay", "c0ffee" * 6 + "c0ff", "v1.0")


@pytest.mark.parametrize("wishes", [{"example": "suite"}, {"ci": False}], ids=["refused", "no-workflow"])
def test_no_server_is_asked_for_what_is_refused_or_not_written(wishes):
    def ask():
        pytest.fail("a server was asked")

    survey = survey_project(HATCH, HATCH.get, default_branch="main", gpu="")

    with suppress(UsageError):
        propose(survey, Wishes(**wishes), HATCH.get, find_pin=ask)


def test_workflows_call_those_of_mainstay_by_the_hash_of_its_commit():
    proposal = proposal_for(HATCH, pin=PIN, ci=True, default_branch="trunk")
    texts = {edit.path: edit.after for edit in proposal.repository_edits}

    assert sorted(texts) == [".github/dependabot.yml", WORKFLOW.replace(".yml", "-report.yml"), WORKFLOW]
    gate, report = yaml.safe_load(texts[WORKFLOW]), yaml.safe_load(texts[WORKFLOW.replace(".yml", "-report.yml")])
    events = gate[True]  # what YAML makes of "on"
    assert sorted(events) == ["merge_group", "pull_request", "push", "workflow_dispatch"]
    assert events["push"] == {"branches": ["trunk"]}
    assert gate["jobs"]["gate"]["uses"] == f"owner/mainstay/.github/workflows/gate-reusable.yml@{PIN.commit}"
    assert report[True]["workflow_run"]["workflows"] == [gate["name"]]
    assert report["jobs"]["comment"]["uses"].endswith(f"/gate-report-reusable.yml@{PIN.commit}")
    assert f"@{PIN.commit} # v1.0" in texts[WORKFLOW]
    assert yaml.safe_load(texts[".github/dependabot.yml"])["updates"][0]["package-ecosystem"] == "github-actions"


def test_workflows_by_commit_are_written_once():
    after = applied(HATCH, pin=PIN, ci=True)

    assert proposal_for(after, pin=PIN, ci=True).repository_edits == ()


@pytest.mark.parametrize(
    ("text", "is_told"), [("updates:\n  - package-ecosystem: github-actions\n", False), ("updates: []\n", True)]
)
def test_settings_of_dependabot_are_kept_and_what_they_lack_is_told(text, is_told):
    proposal = proposal_for(HATCH | {".github/dependabot.yml": text}, pin=PIN, ci=True)

    assert ".github/dependabot.yml" not in [edit.path for edit in proposal.repository_edits]
    assert any("dependabot" in note for note in proposal.notes) is is_told


@pytest.mark.parametrize("name", [".github/dependabot.yml", ".github/dependabot.yaml"])
def test_empty_settings_of_dependabot_are_kept(name):
    proposal = proposal_for(HATCH | {name: ""}, pin=PIN, ci=True)

    assert not [edit for edit in proposal.repository_edits if "dependabot" in edit.path]


def test_a_package_of_a_monorepo_is_gated_in_its_folder():
    proposal = proposal_for(HATCH, pin=PIN, ci=True, folder="packages/one")
    (text,) = (edit.after for edit in proposal.repository_edits if edit.path == WORKFLOW)

    assert yaml.safe_load(text)["jobs"]["gate"]["with"]["working-directory"] == "packages/one"


def proposal_below(folder, at_top, *, pin=None, files=HATCH, **wishes):
    """The proposal for a package in a folder of a repository that has these files of CI."""
    survey = survey_project(files, files.get, default_branch="main", ci=at_top)
    return propose(survey, Wishes(folder=folder, **wishes), files.get, find_pin=lambda: pin)


PACKAGES = ("pkgs/one", "pkgs/one-more", "one", "report", "it's # 2: $HOME", 'the "third"')


@pytest.mark.parametrize("options", [{"pin": PIN}, {"requirement": "mainstay==1.0"}], ids=["called", "installed"])
def test_each_package_of_a_monorepo_gets_a_gate_that_shares_no_name_with_another(options):
    at_top = {}
    for folder in PACKAGES:
        proposal = proposal_below(folder, at_top, **options)
        written = {edit.path: edit.after for edit in proposal.repository_edits}
        assert len(written.keys() - at_top.keys()) == len(written)
        at_top |= written

    assert [proposal_below(folder, at_top, **options).repository_edits for folder in PACKAGES] == [()] * len(PACKAGES)
    workflows = [yaml.safe_load(text) for text in at_top.values() if GATES.search(text)]
    gates = [workflow["jobs"]["gate"] for workflow in workflows]
    artifacts = [
        gate["with"].get("artifact", "gate") if "with" in gate else gate["steps"][-1]["with"]["name"] for gate in gates
    ]
    names = [workflow["name"] for workflow in workflows]
    groups = [workflow["concurrency"]["group"] for workflow in workflows]
    for each in (names, groups, artifacts, [gate["name"] for gate in gates]):
        assert len(set(each)) == len(PACKAGES)
    assert (names[0], artifacts[0]) == ("Gate", "gate")  # what the workflow of the comments looks for
    assert len(at_top) == len(PACKAGES) + (2 if "pin" in options else 0)


@pytest.mark.parametrize(
    "place",
    [
        "working-directory: pkgs/one",
        "working-directory: ./pkgs/one/",
        "run: mainstay gate -C 'pkgs/one'",
        "run: cd pkgs/one && mainstay gate",
    ],
)
def test_a_package_whose_gate_a_person_wrote_gets_no_other(place):
    gate = f"- uses: o/mainstay/.github/actions/gate@c0ffee # v1.0\n  with:\n    {place}\n"

    assert proposal_below("pkgs/one", {".github/workflows/ci.yml": gate}, pin=PIN).repository_edits == ()


@pytest.mark.parametrize("folder", ["pkgs/two", "one", "pkgs/one-more", "pkgs", "mainstay", "with"])
def test_a_gate_of_another_package_is_not_taken_for_this_ones(folder):
    gate = "uses: o/mainstay/.github/workflows/gate-reusable.yml@c0ffee # v1.0\nwith:\n  working-directory: pkgs/one\n"

    (edit,) = proposal_below(
        folder, {".github/workflows/gate.yml": gate, ".github/dependabot.yml": "github-actions"}, pin=PIN
    ).repository_edits

    assert yaml.safe_load(edit.after)["jobs"]["gate"]["with"]["working-directory"] == folder


@pytest.mark.parametrize(
    ("gate", "is_told"),
    [
        ("run: mainstay gate -C pkgs/one", True),
        ("run: cd pkgs/one && mainstay gate", True),
        ("run: mainstay gate", False),
    ],
)
def test_a_project_at_the_top_is_told_of_a_gate_that_may_be_a_packages(gate, is_told):
    proposal = proposal_below("", {".github/workflows/gate.yml": gate}, pin=PIN)

    assert proposal.repository_edits == ()
    assert any("if that is another package" in note for note in proposal.notes) is is_told


def test_a_file_of_the_name_of_a_further_gate_is_left_as_it_is_and_said():
    at_top = {
        ".github/workflows/gate.yml": "run: mainstay gate",
        ".github/workflows/mainstay-gate-pkgs-one.yml": "a: b",
    }

    proposal = proposal_below("pkgs/one", at_top, requirement="mainstay==1.0")

    assert proposal.repository_edits == ()
    assert any("it was not changed" in note for note in proposal.notes)


@pytest.mark.parametrize(
    ("at_top", "is_written", "is_told"),
    [
        ({}, True, False),
        ({".github/dependabot.yaml": "updates:\n  - package-ecosystem: github-actions\n"}, False, False),
        ({".github/dependabot.yml": "updates: []\n"}, False, True),
    ],
)
def test_settings_of_dependabot_are_those_at_the_top_of_a_monorepo(at_top, is_written, is_told):
    proposal = proposal_below("pkgs/one", at_top, pin=PIN, files=HATCH | {".github/dependabot.yml": "updates: []\n"})

    assert (".github/dependabot.yml" in [edit.path for edit in proposal.repository_edits]) is is_written
    assert any("dependabot" in note for note in proposal.notes) is is_told


@pytest.mark.parametrize("folder", ["", "pkgs/a", "pkgs/the one", "it's # 2: $HOME"])
@pytest.mark.parametrize("requirement", ["mainstay==1.0", 'mainstay @ git+https://h/o/m@c0ffee ; os_name == "posix"'])
def test_the_steps_of_a_workflow_pass_on_names_that_need_quotes_and_can_write_the_reports(
    tmp_path, folder, requirement
):
    (edit,) = proposal_for(HATCH, requirement=requirement, folder=folder).repository_edits

    steps = yaml.safe_load(edit.after)["jobs"]["gate"]["steps"]
    called = 'python() { printf "%s\\n" "$@"; }; mainstay() { printf "%s\\n" "$@"; : > gate/run.json; };\n'
    script = called + "\n".join(step["run"] for step in steps if "run" in step)
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    option = ["-C", folder] if folder else []
    assert done.stdout.splitlines()[:4] == ["-m", "pip", "install", requirement]
    assert done.stdout.splitlines()[4:][: len(option) + 3] == ["gate", *option, "--json", "gate/run.json"]


@pytest.mark.parametrize("branch", ["main", "release/2.0", "2.0", "on", "a,b"])
@pytest.mark.parametrize("folder", ["", "packages/one", "packages/it's # 2"])
def test_a_branch_and_a_folder_of_any_name_reach_the_called_workflow(branch, folder):
    proposal = proposal_for(HATCH, pin=PIN, ci=True, default_branch=branch, folder=folder)
    (text,) = (edit.after for edit in proposal.repository_edits if edit.path == WORKFLOW)

    workflow = yaml.safe_load(text)

    assert workflow[True]["push"] == {"branches": [branch]}
    assert workflow["jobs"]["gate"]["with"].get("working-directory", "") == folder


def test_a_gpu_is_not_expected_of_ci():
    assert any("no GPU" in note for note in proposal_for(HATCH, requirement="mainstay==1.0", gpu="A100").notes)


def test_a_branch_that_git_cannot_tell_is_named():
    survey = survey_project(HATCH, HATCH.get)

    text = propose(survey, Wishes(), HATCH.get).edits[0].after

    assert read_configuration(text, "").default_branch == "main"


def test_the_training_example_reads_what_scripts_print():
    from mainstay.adoption.survey import Script
    from mainstay.adoption.templates import training_example

    for metric, printed, expected in [
        ("accuracy", "Test accuracy: 93.5%", ("93.5", "%")),
        ("accuracy", "acc=0.935", ("0.935", "")),
        ("loss", "val_loss 1.2e-3", ("1.2e-3", "")),
    ]:
        text = training_example(Script(path="train.py", module="train", metric=metric))
        names: dict = {}
        body = "\n".join(line for line in text.splitlines() if line.startswith(("import re", "PRINTED =")))
        exec(body, names)  # noqa: S102 - what is written is tried
        assert names["PRINTED"].findall(f"epoch 3, {printed}")[-1] == expected
    assert TRAINING
