"""The whole gate on a small subject: real git, real environments, real processes."""

import re

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK
from tests.slow_cases import some_always

pytestmark = pytest.mark.settings(FORKED, ONE_LOOK)

TOP1 = "benchmarks/test_accuracy.py::test_clouds#top1_accuracy"

EXACT_CHANGES = {
    "nothing": lambda project: None,
    "docstring": lambda project: project.edit("src/subject/model.py", "in plain Python", "by hand"),
    "rename": lambda project: (
        project.edit("src/subject/model.py", "def score(", "def raw_score("),
        project.edit("src/subject/model.py", "-score(weights, point)", "-raw_score(weights, point)"),
        project.edit("src/subject/model.py", "int(score(", "int(raw_score("),
    ),
    "refactor": lambda project: project.edit(
        "src/subject/model.py",
        "weight - LEARNING_RATE * error * value for weight",
        "weight - (LEARNING_RATE * error) * value for weight",
    ),
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("nothing", marks=[pytest.mark.settings, pytest.mark.slow]),
        pytest.param("docstring", marks=[pytest.mark.settings, pytest.mark.slow]),
        pytest.param("rename", marks=pytest.mark.slow),
        "refactor",
    ],
)
def test_what_keeps_the_numerics_passes_exactly_on_two_seeds(project, change):
    EXACT_CHANGES[change](project)

    result = project.gate()

    assert result.status == 0
    assert (result.finding["verdict"], result.finding["method"]) == ("pass", "exact")
    assert len(result.finding["exact_seeds"]) == 2
    assert result.run["workloads"][0]["num_pairs"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("place", ["data", "benchmarks/data"])
def test_a_workload_reads_what_is_shared_where_it_lies_in_the_project(project, place):
    project.write(".gitignore", "data/\n")
    project.write(f"{place}/name.txt", "clouds of the project")
    project.edit(
        "benchmarks/test_accuracy.py",
        'dataset="clouds"',
        f'dataset=(Path(__file__).parents[1] / "{place}" / "name.txt").read_text()',
    )
    project.edit("benchmarks/test_accuracy.py", "import random\n", "import random\nfrom pathlib import Path\n")
    project.edit("pyproject.toml", "trial_seconds = 300", f'trial_seconds = 300\nshare = ["{place}"]')
    project.commit("read what is shared")
    EXACT_CHANGES["docstring"](project)

    result = project.gate()

    assert result.status == 0, result.stdout + result.stderr
    assert result.run["workloads"][0]["context"]["dataset"] == "clouds of the project"


@pytest.mark.slow
@pytest.mark.settings
def test_a_harmless_change_of_numerics_passes_over_seeds_and_the_report_states_its_error_rate(project):
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")

    result = project.gate()

    assert (result.status, result.finding["verdict"], result.finding["method"]) == (0, "pass", "sequential")
    assert result.finding["metric"]["margin"] / result.finding["standard_deviation"] >= 2.5
    assert re.search(r"alpha 1 %", result.stdout)
    assert "earlier runs: no local history says where a metric stands" in result.stdout


@pytest.mark.settings
def test_a_degradation_fails_and_flipped_examples_are_counted(project):
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")

    result = project.gate("--markdown", "report.md")

    assert (result.status, result.finding["verdict"]) == (1, "fail")
    assert result.run["workloads"][0]["flips"][0]["right_to_wrong"] > 500
    assert "FAIL" in (project.root / "report.md").read_text().upper()


@pytest.mark.slow
def test_a_margin_finer_than_the_noise_is_inconclusive(project):
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.0002")
    project.commit("finer")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (3, "inconclusive")


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "status"), [(0, 0), (1, 1)])
def test_policy_maps_inconclusive(project, policy, status):
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.0002")
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}inconclusive = {policy}\n")
    project.commit("finer")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")

    assert project.gate().status == status


@pytest.mark.slow
@pytest.mark.settings(FORKED, "looks = [2]")  # too few pairs to decide
@pytest.mark.parametrize(
    ("deviation", "status", "words"),
    [
        pytest.param(
            0.1, 0, "it only warns: the estimate lies within the margin", id="calibrated-noise", marks=pytest.mark.slow
        ),
        pytest.param(1e-7, 3, "is more than 3 times the calibrated", id="noise-beyond-the-calibrated"),
    ],
)
def test_an_undecided_metric_warns_at_calibrated_noise_alone(project, deviation, status, words):
    settings = f'inconclusive = "warn"\ndeviations = {{ top1_accuracy = {deviation:.7f} }}'
    project.edit("pyproject.toml", "[tool.mainstay]", f"[tool.mainstay]\n{settings}")
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.002")
    project.commit("tolerate calibrated noise")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")

    result = project.gate()

    assert (result.status, result.run["exit_status"], result.run["verdict"]) == (status, status, "inconclusive")
    assert words in result.finding["warnings"][-1]
    assert result.finding["is_tolerated"] is (status == 0)
    assert result.run["plan"]["deviations"] == {"top1_accuracy": deviation}


@pytest.mark.settings(FORKED, "looks = [2]")
def test_a_change_cannot_excuse_itself(project):
    settings = 'inconclusive = "warn"\ndeviations = { top1_accuracy = 0.1 }'
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.002")
    project.commit("a finer margin")
    project.edit("pyproject.toml", "[tool.mainstay]", f"[tool.mainstay]\n{settings}")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")

    result = project.gate()

    assert (result.status, result.run["verdict"], result.finding["is_tolerated"]) == (3, "inconclusive", False)
    assert {change["name"] for change in result.run["changes"]} >= {"inconclusive", "deviations"}


def test_evaluation_code_alone_is_seen(project):
    project.edit("src/subject/evaluate.py", "/ len(labels)", "/ (len(labels) + 100)")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")


def test_a_workload_that_raises_on_the_candidate_alone_is_its_error(project):
    project.edit("src/subject/model.py", "def fit(seed):", "def fit(seed):\n    raise RuntimeError('planted')")

    result = project.gate()

    assert (result.status, result.finding["verdict"], result.finding["blame"]) == (1, "error", "candidate")
    assert "planted" in result.finding["reason"]
    assert any("planted" in line for line in result.finding["detail"])


@pytest.mark.slow
@pytest.mark.settings
@pytest.mark.parametrize(
    ("body", "cause"),
    [
        pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL", id="killed"),
        pytest.param("import time; time.sleep(3600)", "hung", id="hangs"),
        pytest.param("return [float('nan')] * 3, None", "", id="nonsense"),
    ],
)
def test_a_worker_that_dies_is_an_error_with_its_cause(project, body, cause):
    if cause == "hung":
        project.edit("pyproject.toml", "trial_seconds = 300", "trial_seconds = 8")
    project.edit("src/subject/model.py", "def fit(seed):", f"def fit(seed):\n    {body}")

    result = project.gate()

    assert (result.status, result.finding["verdict"], result.finding["blame"]) == (1, "error", "candidate")
    assert cause in result.finding["reason"]


@pytest.mark.slow
def test_a_nan_is_an_error(project):
    project.edit("src/subject/evaluate.py", "return sum(", "return float('nan') * sum(")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "error")
    assert "nan" in result.finding["reason"]


@pytest.mark.slow
def test_a_deleted_workload_is_missing(project):
    (project.root / "benchmarks" / "test_accuracy.py").unlink()

    result = project.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "missing"})


@pytest.mark.slow
def test_a_workload_that_the_baseline_cannot_run_is_new(project):
    project.write("src/subject/extra.py", "def value(seed):\n    return 0.5\n")
    project.write(
        "benchmarks/test_extra.py",
        """
        import pytest

        @pytest.mark.accuracy(metric="extra", margin=0.1)
        def test_extra(trial):
            from subject import extra
            trial.record(extra=extra.value(trial.seed))
        """,
    )

    result = project.gate()

    assert result.status == 0
    assert result.verdicts == {TOP1: "pass", "benchmarks/test_extra.py::test_extra#extra": "new"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("digest", "words"),
    [
        pytest.param("{}", "empty", id="empty"),
        pytest.param("{'weights': 1}", "ignores its seed", id="constant"),
    ],
)
def test_a_digest_that_proves_nothing_is_an_error(project, digest, words):
    project.edit("benchmarks/test_accuracy.py", '{"weights": weights}', digest)
    project.edit("benchmarks/test_accuracy.py", "evaluate.accuracy(predicted, labels)", "0.5")
    project.edit("benchmarks/test_accuracy.py", "    trial.record_predictions(predicted, labels)\n", "")
    project.commit("a digest that proves nothing")
    EXACT_CHANGES["docstring"](project)

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (4, "error")
    assert words in result.finding["reason"]


@pytest.mark.slow
def test_an_implausible_accuracy_is_reported(project):
    project.edit("src/subject/evaluate.py", "return sum(", "return 1.0 or sum(")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "error")
    assert "implausible" in result.finding["reason"]


HATCHLING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["subject"]
"""
LAYOUTS = {
    "src": ("src/subject", ""),
    "flat": ("subject", "hatchling"),
    "root-conftest": ("subject", "conftest"),
    "pythonpath": ("src/subject", "pythonpath"),
    "namespace": ("src/company/subject", ""),
}


@pytest.mark.settings(ONE_LOOK)
@pytest.mark.parametrize("layout", some_always(LAYOUTS, {"root-conftest"}))
def test_the_baseline_never_imports_the_candidate(project, layout):
    folder, extra = LAYOUTS[layout]
    name = folder.removeprefix("src/").replace("/", ".")
    project.git("mv", "src/subject", "kept")
    (project.root / folder).parent.mkdir(parents=True, exist_ok=True)
    project.git("mv", "kept", folder)
    root = "src" if folder.startswith("src/") else ""
    text = (project.root / "pyproject.toml").read_text()
    text = text.replace('module-name = "subject"', f'module-name = "{name}"\nmodule-root = "{root}"')
    if extra == "hatchling":
        text = text.replace(text[text.index("[build-system]") : text.index("[project]")], "") + HATCHLING
    if extra == "pythonpath":
        text = text.replace(
            "strict = true", 'strict = true\npythonpath = ["src", "."]\naddopts = "--import-mode=prepend"'
        )
    if extra == "conftest":
        project.write("conftest.py", "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nimport subject\n")
    project.write("pyproject.toml", text)
    project.edit("benchmarks/test_accuracy.py", "from subject import", f"from {name} import")
    project.commit("move")
    project.edit(f"{folder}/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")
    assert result.finding["baseline_mean"] > 0.7 > result.finding["candidate_mean"]


@pytest.mark.slow
@pytest.mark.settings(ONE_LOOK)
def test_an_editable_install_in_the_callers_environment_changes_nothing(project):
    project.environ["PYTHONPATH"] = str(project.root / "src")
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")


@pytest.mark.slow
def test_a_dependency_bump_alone_is_gated(project):
    text = (project.root / "pyproject.toml").read_text()
    with_constraints = text.replace(
        "trial_seconds = 300", 'trial_seconds = 300\nconstraints = ["constraints.txt"]'
    ).replace('requires-python = ">=3.11"', 'requires-python = ">=3.11"\ndependencies = ["tabulate"]')
    project.write("pyproject.toml", with_constraints)
    project.write("constraints.txt", "tabulate==0.9.0\n")
    project.edit(
        "src/subject/evaluate.py",
        "def accuracy",
        "import importlib.metadata\n\nPENALTY = 0.1 if importlib.metadata.version('tabulate') == '0.8.10' else 0.0\n\n\ndef accuracy",
    )
    project.edit("src/subject/evaluate.py", "/ len(labels)", "/ len(labels) - PENALTY")
    project.commit("depend")
    project.write("constraints.txt", "tabulate==0.8.10\n")

    result = project.gate()

    assert (result.status, result.finding["verdict"]) == (1, "fail")
    versions = [environment["packages"]["tabulate"] for environment in result.run["environments"]]
    assert versions == ["0.9.0", "0.8.10"]


def test_the_users_repository_stays_as_it_was(project):
    project.write("staged.txt", "staged")
    project.git("add", "staged.txt")
    project.write("untracked.txt", "untracked")
    project.write(".gitignore", "ignored.txt\n")
    project.write("ignored.txt", "ignored")
    before = (
        (project.root / ".git" / "index").read_bytes(),
        project.git("for-each-ref"),
        project.git("status", "--porcelain"),
    )

    project.gate()

    after = (
        (project.root / ".git" / "index").read_bytes(),
        project.git("for-each-ref"),
        project.git("status", "--porcelain"),
    )
    assert after == before
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.slow
def test_github_actions_get_a_summary_and_annotations(project, tmp_path):
    summary = tmp_path / "summary.md"
    project.environ |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.00005")

    result = project.gate()

    assert "FAIL" in summary.read_text()
    assert re.search(r"^::error ", result.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_part_of_the_workloads_is_gated_and_the_report_says_so(project):
    project.write("benchmarks/test_speed.py", "def test_sum(benchmark):\n    benchmark(sum, range(1000))\n")
    project.commit("time a sum")

    result = project.gate("--only", "accuracy")

    assert (result.status, result.finding["metric"]["kind"]) == (0, "accuracy")
    assert "only accuracy was gated" in result.run["notes"]


WORKLOADS_OF_TWO = """
    import pytest


    @pytest.mark.accuracy(metric="top1_accuracy", margin=0.01, ceiling=0.99)
    def test_other(trial):
        trial.record(top1_accuracy=0.5)
        trial.record_digest({"weights": [trial.seed]})
        trial.record_context(dataset="none")
"""


SELECTIONS = [
    ("-k", "clouds"),
    ("-m", "accuracy", "-k", "not other"),
    ("benchmarks/test_accuracy.py::test_clouds",),
]


@pytest.mark.slow
def test_what_is_not_selected_is_not_judged_though_the_candidate_lacks_it(project):
    project.write("benchmarks/test_other.py", WORKLOADS_OF_TWO)
    project.commit("two workloads")
    (project.root / "benchmarks" / "test_other.py").unlink()
    assert project.gate().status == 1

    for arguments in SELECTIONS:
        result = project.gate(*arguments)

        assert result.status == 0, result.stdout + result.stderr
        assert result.verdicts == {TOP1: "pass"}, arguments
        (note,) = (note for note in result.run["notes"] if "selects was gated" in note)
        assert note.startswith(("only what -", "only what benchmarks/"))
        assert note.endswith("1 of 2 workloads were not, and are not judged")
        assert note in " ".join(result.stdout.split())
        assert [workload["id"] for workload in result.run["plan"]["workloads"]] == [TOP1.partition("#")[0]]


def test_a_selection_of_nothing_judges_nothing(project):
    result = project.gate("-k", "no_such_workload")

    assert (result.status, result.run["reason"]) == (4, "nothing was judged")
    assert "next: nothing was judged since no workload was chosen: correct -k, -m, FILE or" in " ".join(
        result.stdout.split()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("-k", "a and"), "Wrong expression passed to '-k'"), (("../a.py",), "lies outside the project")],
)
def test_a_selection_that_cannot_be_meant_is_wrong_usage(project, arguments, words):
    done = project.run("gate", *arguments)

    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.slow
def test_a_part_that_no_workload_belongs_to_is_wrong_usage(project):
    result = project.gate("--only", "performance")

    assert result.status == 2
    assert "no workload of performance" in result.stderr
