import pytest

from mainstay.adoption.survey import FIXTURES, WHOLE_TEST_MARKERS, count_workloads, survey_project
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.runner import markers
from tests.adoption.layouts import LAYOUTS, SUITE, TRAINING, toml


def survey(files, **options):
    return survey_project(files, files.get, **options)


def test_what_makes_a_test_a_workload_is_what_the_worker_says():
    assert set(FIXTURES) == set(markers.FIXTURE_KINDS)
    assert WHOLE_TEST_MARKERS == markers.WHOLE_TEST_MARKERS


@pytest.mark.parametrize(
    ("name", "backend", "layout"),
    [
        ("flit", "flit_core", "flat"),
        ("hatch", "hatchling", "src"),
        ("setuptools", "setuptools", "src"),
        ("setuptools-scm", "setuptools-scm", "src"),
        ("setup.py", "setup.py", "flat"),
        ("poetry", "poetry-core", "src"),
        ("pdm", "pdm-backend", "src"),
        ("meson-python", "meson-python", "flat"),
        ("scikit-build-core", "scikit_build_core", "flat"),
        ("scripts", "none", "scripts"),
        ("conda", "none", "scripts"),
    ],
)
def test_packaging_is_recognised(name, backend, layout):
    found = survey(LAYOUTS[name])

    assert (found.backend, found.layout) == (backend, layout)
    assert "plank" in found.packages
    assert "tests" not in found.packages


def test_a_package_is_told_from_the_other_folders_of_a_flat_layout():
    files = {"pyproject.toml": toml("hatchling.build", "hatchling"), "zoo/__init__.py": "", "plank/__init__.py": ""}

    assert survey(files).packages == ("plank",)


def test_a_suite_is_found_by_fixture_marker_and_marker_of_the_module():
    files = {
        "plank.py": "",
        "tests/test_speed.py": SUITE,
        "tests/test_marked.py": "import pytest\n@pytest.mark.benchmark\ndef test_a(): ...\ndef test_b(): ...\n",
        "bench/bench_all.py": "import pytest\nimport numpy\npytestmark = pytest.mark.benchmark(group='a')\ndef test_c(): ...\n",
        "tests/test_plain.py": "def test_d(): ...\n",
    }

    found = survey(files)

    assert found.suite_files == ("bench/bench_all.py", "tests/test_marked.py", "tests/test_speed.py")
    assert found.suite_size == 3
    assert found.suite_imports == {"numpy"}


def test_a_training_script_is_read_for_what_it_prints_and_takes():
    (script,) = survey({"train.py": TRAINING, "tests/test_train.py": TRAINING}).scripts

    assert (script.module, script.metric, script.takes_seed, script.short_options) == (
        "train",
        "accuracy",
        True,
        ("--epochs",),
    )


def test_a_script_that_the_package_does_not_hold_is_no_workload():
    files = {
        "pyproject.toml": toml("hatchling.build", "hatchling"),
        "src/plank/__init__.py": "",
        "tools/train.py": TRAINING,
    }

    assert survey(files).scripts == ()


def test_functions_that_infer_and_stored_results_are_found():
    files = {
        "plank/__init__.py": "",
        "plank/model.py": "def predict(x): ...\n",
        "runs/a/samples_gsm8k_2026.jsonl": "{}",
    }

    found = survey(files)

    assert found.inference == ("plank.model.predict",)
    assert found.stored_results == ("runs/a/samples_gsm8k_2026.jsonl",)


def test_services_and_hook_managers_are_told():
    files = {
        "plank.py": "",
        ".gitlab-ci.yml": "a: b",
        ".pre-commit-config.yaml": "repos: []",
        ".github/workflows/ci.yml": "x",
    }

    found = survey(files)

    assert found.services == ("GitHub Actions", "GitLab CI")
    assert found.hooks == (".pre-commit-config.yaml",)
    assert any(".pre-commit-config.yaml" in line for line in found.describe())


def test_a_file_that_does_not_parse_hides_no_other():
    assert survey({"plank.py": "", "tests/test_a.py": "def (", "tests/test_b.py": SUITE}).suite_size == 1
    assert count_workloads("def (") == 0


def test_no_python_at_all_is_said():
    with pytest.raises(UsageError, match="no Python project"):
        survey({"README.md": "text"})


@pytest.mark.parametrize(
    "text", ["[project", "[tool.mainstay]\nworkload = 'benchmarks'\n"], ids=["no-toml", "unknown-key"]
)
def test_half_written_settings_are_said(text):
    with pytest.raises(ConfigurationError) as caught:
        survey({"pyproject.toml": text, "plank.py": ""}, where="a/pyproject.toml")

    assert caught.value.looked_in == "a/pyproject.toml"
    assert caught.value.next_step
