from textwrap import indent

import pytest

from mainstay.adoption.survey import (
    DEPENDENT_FIXTURES,
    FIXTURES,
    WHOLE_TEST_MARKERS,
    SuiteFixture,
    count_workloads,
    survey_project,
)
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.runner import markers
from mainstay.runner.plugin import WorkerFixtures
from tests.adoption.layouts import LAYOUTS, SUITE, TRAINING, toml


def survey(files, **options):
    return survey_project(files, files.get, **options)


def test_what_makes_a_test_a_workload_is_what_the_worker_says():
    assert set(FIXTURES) == set(markers.FIXTURE_KINDS)
    assert WHOLE_TEST_MARKERS == markers.WHOLE_TEST_MARKERS
    of_worker = {name for name in vars(WorkerFixtures) if name.islower() and not name.startswith("_")}
    assert {*FIXTURES, *DEPENDENT_FIXTURES} == of_worker


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


PYTEST = "import pytest\nfrom pytest import fixture, mark\n"
TIMED = "@fixture\ndef timed(benchmark): ...\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param(
            "@pytest.mark.benchmark\nclass TestA:\n    def test_a(self): ...\n    def test_b(self): ...\n",
            2,
            id="class",
        ),
        pytest.param(
            "class TestA:\n    pytestmark = [mark.benchmark]\n    def test_a(self): ...\n",
            1,
            id="pytestmark-of-a-class",
        ),
        pytest.param("@mark.codspeed_benchmark(group='a')\ndef test_a(): ...\n", 1, id="imported-mark"),
        pytest.param(
            "fast = mark.benchmark(group='a')\n@fast\ndef test_a(): ...\ndef test_b(): ...\n", 1, id="named-marker"
        ),
        pytest.param(
            "fast = mark.benchmark\npytestmark = [fast]\ndef test_a(): ...\n", 1, id="named-marker-of-a-module"
        ),
        pytest.param("def test_a(benchmark_weave): ...\n", 1, id="weave"),
        pytest.param(f"{TIMED}def test_a(timed): ...\n", 1, id="fixture-that-wraps"),
        pytest.param(
            f"{TIMED}@pytest.fixture(scope='function')\ndef again(timed): ...\ndef test_a(again): ...\n",
            1,
            id="fixture-of-a-fixture",
        ),
        pytest.param("def test_a(of_conftest): ...\n", 1, id="fixture-of-a-conftest"),
        pytest.param("def helper(benchmark): ...\ndef test_a(helper): ...\n", 0, id="helper"),
        pytest.param("@mark.slow\nclass TestA:\n    def test_a(self): ...\n", 0, id="other-marker"),
        pytest.param(
            "@mark.benchmark\nclass TestA:\n    def test_a(self): ...\ndef test_b(): ...\n", 1, id="one-class-of-a-file"
        ),
    ],
)
def test_a_suite_is_found_in_every_form_that_the_gate_measures(text, size):
    conftest = "import pytest\n@pytest.fixture\ndef of_conftest(codspeed_benchmark): ...\n"

    found = survey({"plank.py": "", "tests/conftest.py": conftest, "tests/test_a.py": PYTEST + text})

    assert found.suite_size == size
    assert found.suite_files == (("tests/test_a.py",) if size else ())


OF_BENCHMARK = "import pytest\n@pytest.fixture\ndef timed(benchmark): ...\n"
OF_NOTHING = "import pytest\n@pytest.fixture\ndef timed(): ...\n"
OF_THE_ONE_ABOVE = "import pytest\n@pytest.fixture\ndef timed(timed): ...\n"
OF_ANOTHER = "import pytest\n@pytest.fixture\ndef timed(clock): ...\n"


@pytest.mark.parametrize(
    ("conftests", "size"),
    [
        pytest.param({"tests/conftest.py": OF_BENCHMARK}, 1, id="folder-above"),
        pytest.param({"conftest.py": OF_BENCHMARK}, 1, id="root"),
        pytest.param({"tests/conftest.py": OF_BENCHMARK, "tests/perf/conftest.py": OF_NOTHING}, 0, id="overridden"),
        pytest.param({"tests/conftest.py": OF_BENCHMARK, "tests/perf/conftest.py": OF_THE_ONE_ABOVE}, 1, id="wrapped"),
        pytest.param(
            {"tests/conftest.py": OF_ANOTHER, "tests/perf/conftest.py": OF_BENCHMARK.replace("timed", "clock")},
            1,
            id="nearest-to-the-test",
        ),
        pytest.param({"tests/other/conftest.py": OF_BENCHMARK}, 0, id="folder-beside"),
        pytest.param({"tests/perf/deep/conftest.py": OF_BENCHMARK}, 0, id="folder-below"),
        pytest.param({"tests/conftest.py": "def timed(benchmark): ...\n"}, 0, id="no-fixture"),
    ],
)
def test_a_test_has_the_fixtures_of_every_conftest_on_the_way_to_it(conftests, size):
    found = survey({"plank.py": "", "tests/perf/test_a.py": "def test_a(timed): ...\n"} | conftests)

    assert found.suite_size == size


CONFTEST = """
import pytest

@pytest.fixture
def data(source): ...

@pytest.fixture(name="source")
def make_source(tmp_path): ...

@pytest.fixture
def unused(): ...
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("def test_a(benchmark, data): ...\n", {"data", "source"}, id="argument"),
        pytest.param(
            "@mark.usefixtures('source')\ndef test_a(benchmark): ...\n", {"source"}, id="usefixtures-of-a-test"
        ),
        pytest.param(
            "@mark.usefixtures('source')\nclass TestA:\n    def test_a(self, benchmark): ...\n",
            {"source"},
            id="usefixtures-of-a-class",
        ),
        pytest.param(
            "pytestmark = [mark.usefixtures('source')]\ndef test_a(benchmark): ...\n",
            {"source"},
            id="usefixtures-of-a-module",
        ),
        pytest.param("def test_a(benchmark, tmp_path): ...\n", set(), id="none"),
        pytest.param(
            "@mark.parametrize('n, data', [(1, 2)])\ndef test_a(benchmark, n, data): ...\n", set(), id="parameter"
        ),
        pytest.param(
            "@mark.parametrize(['data'], [1], indirect=True)\ndef test_a(benchmark, data): ...\n",
            {"data", "source"},
            id="parameter-of-a-fixture",
        ),
        pytest.param("def test_a(benchmark): ...\ndef test_b(data): ...\n", set(), id="test-that-does-not-measure"),
        pytest.param(
            "@fixture\ndef data(): ...\ndef test_a(benchmark, data): ...\n", set(), id="overridden-by-the-module"
        ),
    ],
)
def test_the_fixtures_that_a_suite_needs_are_those_that_pytest_sets_up_for_it(text, names):
    found = survey({"plank.py": "", "tests/conftest.py": CONFTEST, "tests/perf/test_a.py": PYTEST + text})

    assert {fixture.name for fixture in found.suite_fixtures} == names
    assert {fixture.conftest for fixture in found.suite_fixtures} <= {"tests/conftest.py"}


IN_A_CLASS = "class TestA:\n    @fixture\n    def timed(self, benchmark): ...\n"
DATA_IN_A_CLASS = IN_A_CLASS.replace("timed", "data")
UNASKED_IN_A_CLASS = "class TestA:\n    @fixture(autouse=True)\n    def unasked(self, benchmark): ...\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param(f"{IN_A_CLASS}    def test_a(self, timed): ...\n", 1, id="test-of-the-class"),
        pytest.param(f"{IN_A_CLASS}def test_a(timed): ...\n", 0, id="function-of-the-file"),
        pytest.param(f"{IN_A_CLASS}class TestB:\n    def test_a(self, timed): ...\n", 0, id="other-class"),
        pytest.param(f"{IN_A_CLASS}class TestB(TestA):\n    def test_a(self, timed): ...\n", 1, id="subclass"),
        pytest.param(
            f"class Kind:\n    def test_a(self, timed): ...\n{IN_A_CLASS.replace('TestA', 'TestA(Kind)')}",
            1,
            id="inherited-test",
        ),
        pytest.param(
            f"{IN_A_CLASS}    class TestB:\n        def test_a(self, timed): ...\n", 1, id="class-in-the-class"
        ),
        pytest.param(
            f"class TestB:\n    def test_a(self, timed): ...\n{indent(IN_A_CLASS, ' ' * 4)}",
            0,
            id="class-around-the-class",
        ),
        pytest.param(
            f"{TIMED}class TestA:\n    @fixture\n    def timed(self): ...\n    def test_a(self, timed): ...\n",
            0,
            id="overrides-that-of-the-file",
        ),
        pytest.param(
            f"{IN_A_CLASS}class TestB(TestA):\n    @fixture\n    def timed(self): ...\n"
            "    def test_a(self, timed): ...\n",
            0,
            id="overrides-that-of-a-base",
        ),
        pytest.param(f"{UNASKED_IN_A_CLASS}    def test_a(self): ...\n", 1, id="unasked-in-the-class"),
        pytest.param(f"{UNASKED_IN_A_CLASS}def test_a(): ...\n", 0, id="unasked-outside-the-class"),
        pytest.param(
            f"@fixture\ndef again(timed): ...\n{IN_A_CLASS}    def test_a(self, again): ...\ndef test_b(again): ...\n",
            1,
            id="taken-by-a-fixture-of-the-file",
        ),
        pytest.param(
            "@mark.benchmark\nclass Kind: ...\nclass TestA(Kind):\n    def test_a(self): ...\n", 1, id="inherited-mark"
        ),
    ],
)
def test_a_fixture_in_a_class_is_one_of_the_tests_of_that_class_alone(text, size):
    files = {"plank.py": "", "tests/test_a.py": PYTEST + text}

    assert survey(files).suite_size == size
    assert count_workloads(files.values()) == size


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(f"{DATA_IN_A_CLASS}def test_b(benchmark, data): ...\n", {"data", "source"}, id="of-another-test"),
        pytest.param(f"{DATA_IN_A_CLASS}    def test_a(self, data): ...\n", set(), id="overridden"),
        pytest.param(
            f"{DATA_IN_A_CLASS.replace('benchmark', 'benchmark, data')}    def test_a(self, data): ...\n",
            {"data", "source"},
            id="wrapped",
        ),
        pytest.param(
            "@mark.usefixtures('source')\nclass Kind: ...\nclass TestA(Kind):\n    def test_a(self, benchmark): ...\n",
            {"source"},
            id="usefixtures-of-a-base",
        ),
    ],
)
def test_a_fixture_in_a_class_takes_the_place_of_one_above_for_that_class_alone(text, names):
    found = survey({"plank.py": "", "tests/conftest.py": CONFTEST, "tests/perf/test_a.py": PYTEST + text})

    assert found.suite_fixtures == {SuiteFixture("tests/perf/test_a.py", name, "tests/conftest.py") for name in names}


def test_a_fixture_in_a_class_of_a_conftest_is_no_fixture_of_its_folder():
    files = {"plank.py": "", "tests/conftest.py": PYTEST + IN_A_CLASS, "tests/test_a.py": "def test_a(timed): ...\n"}

    assert survey(files).suite_size == 0


def test_a_class_has_the_fixtures_of_a_base_in_another_file_that_is_counted():
    suite = "from base import TestA\nclass TestB(TestA):\n    def test_a(self, timed): ...\n"

    assert count_workloads([PYTEST + IN_A_CLASS, suite]) == 1


def test_a_fixture_that_every_test_uses_unasked_is_needed():
    conftest = "import pytest\n@pytest.fixture(autouse=True)\ndef seeded(): ...\n"

    found = survey({"plank.py": "", "conftest.py": conftest, "tests/test_a.py": SUITE})

    assert found.suite_fixtures == {SuiteFixture("tests/test_a.py", "seeded", "conftest.py")}


def test_a_fixture_that_wraps_one_above_needs_both():
    files = {"tests/conftest.py": OF_BENCHMARK, "tests/perf/conftest.py": OF_THE_ONE_ABOVE}

    found = survey({"plank.py": "", "tests/perf/test_a.py": "def test_a(timed): ...\n"} | files)

    assert {fixture.conftest for fixture in found.suite_fixtures} == files.keys()


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
    assert count_workloads(["def ("]) == 0


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
