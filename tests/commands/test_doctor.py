import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.commands import doctor
from mainstay.commands.doctor import Report, State, examine, mnist_folder, render_json, render_text
from mainstay.commands.gate import GateOptions, choose_start
from mainstay.records.errors import UsageError
from mainstay.records.trials import Side
from mainstay.revisions import uv_commands
from mainstay.revisions.environments import site_packages_of
from mainstay.revisions.git import Repository
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.uv_commands import run_uv
from mainstay.runner import confinement
from mainstay.runner.markers import FIXTURE_KINDS
from mainstay.store.integrity import take_manifest, write_manifest
from mainstay.store.journal import new_run
from mnist_reference.data.datasets import default_root
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")

WORKLOAD = "def test_model(trial):\n    trial.record(top1_accuracy=1.0)\n"
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
NO_RESOLUTION = "no gate has resolved the dependencies here yet; the first one does, and needs a package index"


def left_run(project):
    """A gate that was interrupted as soon as it began."""
    repository = Repository.discover(project)
    start = choose_start(repository, GateOptions(baseline="HEAD"), {})
    with new_run(repository.root, WHEN, asdict(start)) as run:
        return run


def write(folder, path, text):
    place = Path(folder, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of environments of the test's own."""
    monkeypatch.setattr(uv_commands, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path, cache):
    """A project that a gate can run on."""
    folder = tmp_path / "project"
    write(folder, "pyproject.toml", '[project]\nname = "subject"\nversion = "1"\n')
    write(folder, "benchmarks/test_model.py", WORKLOAD)
    git(folder, "init", "--initial-branch=main")
    for message in ("first", "second"):
        write(folder, "model.py", message)
        git(folder, "add", "--all")
        git(folder, "commit", "-m", message)
    return folder


def look(project, *, quick=True, **environ):
    return examine(project, quick=quick, environ=environ)


def found(report, name):
    """State and text of the checks of one name."""
    return [(check.state, check.found) for check in report.checks if check.name == name]


def test_a_sound_project_has_no_stopper(project):
    report = look(project)

    assert [check for check in report.checks if check.state is State.STOPPER] == []
    assert report.exit_status == 0
    assert found(report, "workloads") == [(State.OK, "tests in 'benchmarks' that measure: 1")]


@pytest.mark.parametrize("fixture", FIXTURE_KINDS)
def test_a_workload_is_known_by_each_fixture_that_measures(project, fixture):
    write(project, "benchmarks/test_model.py", f"def test_model({fixture}): ...\n")

    assert found(look(project), "workloads") == [(State.OK, "tests in 'benchmarks' that measure: 1")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "import pytest\n@pytest.mark.benchmark\nclass TestSpeed:\n    def test_sum(self): ...\n", id="class"
        ),
        pytest.param("from pytest import mark\n@mark.benchmark\ndef test_sum(): ...\n", id="imported-mark"),
        pytest.param("def test_sum(benchmark_weave): ...\n", id="weave"),
        pytest.param("def test_sum(timed): ...\n", id="fixture-of-a-conftest"),
    ],
)
def test_a_workload_is_known_by_every_form_that_a_suite_has(project, text):
    write(project, "benchmarks/conftest.py", "import pytest\n@pytest.fixture\ndef timed(benchmark): ...\n")
    write(project, "benchmarks/test_model.py", text)

    assert found(look(project), "workloads") == [(State.OK, "tests in 'benchmarks' that measure: 1")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("from suites import *\n", id="imported-tests"),
        pytest.param("class TestSpeed(SharedTests): ...\n", id="inherited-tests"),
        pytest.param("def test_sum(fixture_of_a_plugin): ...\n", id="fixture-of-a-plugin"),
    ],
)
def test_where_no_test_seems_to_measure_the_collection_of_the_rehearsal_decides(project, text):
    def rehearse(repository, *, environ):
        raise UsageError("no workloads", next_step="write one")

    write(project, "benchmarks/test_model.py", text)

    quick, full = look(project), examine(project, quick=False, rehearse=rehearse, environ={})

    ((state, told),) = found(quick, "workloads")
    assert (state, quick.exit_status) == (State.WARNING, 0)
    assert "no test in 'benchmarks' seems to measure" in told
    assert found(full, "rehearsal") == [(State.STOPPER, "no workloads")]
    assert full.exit_status == 4


def test_what_is_no_file_among_the_workloads_is_left_out(project):
    (project / "benchmarks" / "gone.py").symlink_to("nowhere.py")
    (project / "benchmarks" / "itself.py").symlink_to("itself.py")
    write(project, "benchmarks/folder.py/test_more.py", WORKLOAD)

    assert found(look(project), "workloads") == [(State.OK, "tests in 'benchmarks' that measure: 2")]


def test_the_baseline_that_a_gate_would_take_is_named(project):
    (state, text), *others = found(look(project), "baseline")

    assert (state, others) == (State.OK, [])
    assert text.startswith("parent of ")
    assert text.endswith(" first")


def test_what_is_special_about_the_revisions_is_a_warning(project):
    git(project, "switch", "--detach", "HEAD~1")

    (_, (state, text)) = found(look(project), "baseline")

    assert state is State.WARNING
    assert "is compared with itself" in text


@pytest.mark.parametrize(
    ("path", "content", "name", "fact"),
    [
        pytest.param(
            "pyproject.toml", "[tool.mainstay]\nalpah = 1", "configuration", "unknown key", id="configuration"
        ),
        pytest.param(
            "pyproject.toml",
            '[tool.mainstay]\nworkloads = "absent"',
            "workloads",
            "there is no folder 'absent'",
            id="no-workloads",
        ),
        pytest.param(
            "pyproject.toml", '[tool.mainstay]\nshare = ["data"]', "data", "'data' does not exist", id="shared-input"
        ),
        pytest.param(
            "pyproject.toml",
            '[tool.mainstay]\ndefault_branch = "trunk"',
            "baseline",
            "the default branch 'trunk'",
            id="default-branch",
        ),
    ],
)
def test_what_would_stop_a_gate_is_named_with_the_next_step(project, path, content, name, fact):
    write(project, path, content)

    report = look(project)

    (stopper,) = [check for check in report.checks if check.state is State.STOPPER]
    assert stopper.name == name
    assert fact in stopper.found
    assert stopper.next_step
    assert report.exit_status == 4


def test_a_folder_outside_any_repository_stops_a_gate(tmp_path, cache):
    assert found(look(tmp_path), "repository") == [(State.STOPPER, "not a git repository")]


def test_a_missing_git_stops_a_gate(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert found(look(project), "git") == [(State.STOPPER, "git is not installed")]


def test_windows_stops_a_gate():
    check = doctor._check_platform("win32")

    assert check.state is State.STOPPER
    assert check.found.endswith("a gate needs Linux or macOS")


@pytest.mark.parametrize(
    ("load", "num_cores", "state"),
    [
        pytest.param(1.0, 2, State.OK, id="half-busy"),
        pytest.param(1.1, 2, State.WARNING, id="over-half-busy"),
        pytest.param(1.1, 64, State.OK, id="one-of-many"),
    ],
)
def test_a_busy_machine_is_a_warning(load, num_cores, state):
    assert doctor._check_load(load, num_cores).state is state


@pytest.mark.parametrize(
    ("minimal", "roomy", "state"),
    [
        pytest.param(1, 1, State.OK, id="enough"),
        pytest.param(1, 1e18, State.WARNING, id="not-for-another-torch"),
        pytest.param(1e18, 0, State.STOPPER, id="too-little"),
    ],
)
def test_a_full_disk(tmp_path, minimal, roomy, state):
    check = doctor._check_disk("disk", tmp_path / "not" / "made" / "yet", minimal, roomy=roomy)

    assert check.state is state
    assert bool(check.next_step) is (state is not State.OK)


# --- runs and environments -----------------------------------------------------------------------------------------


def test_an_interrupted_run_is_pointed_out(project):
    run = left_run(project)

    (check,) = [check for check in look(project).checks if check.name == "runs"]

    assert (check.state, check.found) == (State.WARNING, f"gate {run.id} was interrupted")
    assert "--resume" in check.next_step


def test_a_run_that_is_going_on_is_told_from_an_interrupted_one(project):
    with left_run(project) as run:
        assert found(look(project), "runs") == [
            (State.WARNING, f"gate {run.id} is running, and would share the processors")
        ]


def test_a_finished_run_is_not_mentioned(project):
    run = left_run(project)
    run.journal.append("finish", verdict="pass", exit_status=0)

    assert found(look(project), "runs") == []


def test_a_failed_run_is_not_mentioned(project):
    run = left_run(project)
    run.journal.append("failed", fact="building the wheel failed", exit_status=1)

    assert found(look(project), "runs") == []


def test_a_damaged_journal_hides_no_interrupted_run(project):
    interrupted, damaged = (left_run(project) for _ in range(2))
    damaged.journal.path.write_text("not json\n")

    checks = [check for check in look(project).checks if check.name == "runs"]

    assert [check.state for check in checks] == [State.WARNING] * 2
    assert damaged.id in checks[0].found
    assert checks[1].found == f"gate {interrupted.id} was interrupted"


@pytest.mark.parametrize(
    ("lines", "fact"),
    [
        pytest.param(["[1]"], "line 1 of the journal cannot be read", id="no-object"),
        pytest.param(['{"type": "start", "version": 1}'], "its first line lacks something", id="nothing-but-a-version"),
        pytest.param(['{"type": "start", "version": 99}'], "the journal is of version 99", id="another-version"),
        pytest.param(['{"type": "resolutions"}'], "", id="no-resolutions"),
    ],
)
def test_a_journal_that_no_gate_continues_is_named_and_left_alone(project, lines, fact):
    run = left_run(project)
    content = "".join(f"{line}\n" for line in lines)
    run.journal.path.write_text(content)

    report = look(project)

    assert report.exit_status == 0
    assert [fact in check.found for check in report.checks if check.name == "runs"] == [True] * bool(fact)
    assert found(report, "environment") == [(State.OK, NO_RESOLUTION)]
    assert run.journal.path.read_text() == content


def test_a_repository_that_tracks_runs_stops_a_gate(project):
    write(project, ".mainstay/runs/a/journal.jsonl", "{}")
    git(project, "add", "--force", ".mainstay")

    assert look(project).exit_status == 4
    assert [text for _, text in found(look(project), "repository")] == [
        ".mainstay is tracked by git: runs of others could be mistaken for your own"
    ]


def gated_with(project, *pins):
    """Journal a gate that resolved these pins."""
    resolution = Resolution(side=Side.CANDIDATE, pins=pins)
    run = left_run(project)
    run.journal.append("resolutions", resolutions={Side.CANDIDATE: asdict(resolution)})
    return resolution


def make_layer(cache, resolution, torch):
    """A cached layer with a module torch."""
    place = cache / "environments" / resolution.digest[:32]
    run_uv(["venv", "--quiet", "--python", sys.executable, str(place)])
    write(site_packages_of(place), "torch.py", torch)
    write_manifest(Path(f"{place}.json"), take_manifest(place))
    return place


def test_before_the_first_gate_nothing_is_known_of_the_environment(project):
    ((state, text),) = found(look(project), "environment")

    assert state is State.OK
    assert text.startswith("no gate has resolved the dependencies here yet")


def test_a_quick_look_names_torch_as_it_was_resolved(project):
    gated_with(project, "numpy==2.4.6", "torch==2.15.0")

    assert found(look(project), "environment") == [
        (State.OK, "packages: 2, torch 2.15.0, as the latest gate resolved them")
    ]


def test_a_full_look_imports_torch_from_the_layer(project, cache):
    cuda = "class cuda:\n    device_count = lambda: 1\n    get_device_name = lambda index: 'Accelerator'\n"
    make_layer(cache, gated_with(project, "torch==2.15.0"), f"__version__ = '2.15.0'\n{cuda}")

    ((state, text),) = found(look(project, quick=False), "environment")

    assert state is State.OK
    assert text == "packages: 1, torch 2.15.0, cached; torch 2.15.0 sees Accelerator"


def test_a_torch_that_cannot_be_imported_stops_a_gate(project, cache):
    make_layer(cache, gated_with(project, "torch==2.15.0"), "raise ImportError('libcudart.so is missing')")

    ((state, text),) = found(look(project, quick=False), "environment")

    assert state is State.STOPPER
    assert text.endswith("torch cannot be imported: ImportError: libcudart.so is missing")


def test_a_layer_that_was_changed_is_not_run(project, cache):
    place = make_layer(cache, gated_with(project, "torch==2.15.0"), "__version__ = '2.15.0'")
    write(site_packages_of(place), "evil.pth", "import sys; sys.exit('evil')")

    ((state, text),) = found(look(project, quick=False), "environment")

    assert state is State.WARNING
    assert text.startswith("packages: 1, torch 2.15.0, cached, but changed since (lib/python")
    assert text.endswith("/site-packages/evil.pth)")


def test_the_size_of_the_cache_and_its_limit_are_told(project, cache):
    make_layer(cache, gated_with(project, "torch==2.15.0"), "")

    ((state, text),) = found(look(project, MAINSTAY_CACHE_LIMIT="2 GB"), "cached environments")
    ((refused, why),) = found(look(project, MAINSTAY_CACHE_LIMIT="much"), "cached environments")

    assert state is State.OK
    assert text.startswith("sets of dependencies: 1, 0.0 GB; above 2.0 GB (MAINSTAY_CACHE_LIMIT)")
    assert refused is State.STOPPER
    assert why == "MAINSTAY_CACHE_LIMIT is 'much', expected a size"


@pytest.mark.parametrize(
    ("abi", "state", "expected"),
    [
        pytest.param(7, State.OK, "workers are confined by Landlock, version 7", id="confined"),
        pytest.param(1, State.WARNING, "workers are not confined (Landlock is version 1, too old)", id="too-old"),
        pytest.param(
            0, State.WARNING, "offers no Landlock): changes that they make in environments are detected", id="none"
        ),
    ],
)
def test_the_protection_that_this_machine_gives_is_told(project, monkeypatch, abi, state, expected):
    monkeypatch.setattr(confinement, "landlock_abi", lambda: abi)

    ((found_state, text),) = found(look(project), "protection")

    assert found_state is state
    assert expected in text


def test_a_layer_that_is_not_cached_is_installed_by_the_next_gate(project):
    gated_with(project, "tool==1.0")

    assert found(look(project, quick=False), "environment") == [
        (State.OK, "packages: 1, without torch, which the next gate installs anew")
    ]


# --- data ----------------------------------------------------------------------------------------------------------


def test_mnist_is_looked_for_where_the_reference_model_keeps_it(project, tmp_path):
    environ = {"MNIST_REFERENCE_ROOT": str(tmp_path)}
    write(project, "pyproject.toml", '[tool.mainstay]\nprepare = ["python", "-m", "mnist_reference", "fetch"]')

    ((before, _),) = found(look(project, **environ), "data")
    write(mnist_folder(environ), "train-images-idx3-ubyte", "")
    ((after, text),) = found(look(project, **environ), "data")

    assert (before, after) == (State.WARNING, State.OK)
    assert text == f"MNIST is in {tmp_path}/MNIST/raw"


@pytest.mark.parametrize("word", ["download_mnist.py", "scripts/fashion-mnist.sh", "my_mnist_reference_data"])
def test_data_of_another_command_is_not_taken_for_that_of_the_reference_model(project, word):
    write(project, "pyproject.toml", f'[tool.mainstay]\nprepare = ["python", "{word}"]')

    assert found(look(project), "data") == []


@pytest.mark.parametrize("environ", [{}, {"MNIST_REFERENCE_ROOT": "/data"}])
def test_the_place_of_mnist_is_the_reference_models_own(environ):
    assert mnist_folder(environ) == default_root(environ) / "MNIST" / "raw"


def test_shared_inputs_are_found(project):
    write(project, "pyproject.toml", '[tool.mainstay]\nshare = ["data"]')
    write(project, "data/images", "")

    assert found(look(project), "data") == [(State.OK, "data is shared with both revisions")]


# --- what a quick look does not do ---------------------------------------------------------------------------------

WATCHED = """
import sys
from pathlib import Path
started = set()
sys.addaudithook(lambda event, arguments: event == "subprocess.Popen" and started.add(str(arguments[1][0])))
from mainstay.commands.doctor import examine
examine(Path(sys.argv[1]), quick=True)
print(sorted(started), sorted({"torch", "numpy", "scipy"} & sys.modules.keys()))
"""


def test_a_quick_look_imports_nothing_heavy_and_starts_only_git(project):
    gated_with(project, "torch==2.15.0")

    command = [sys.executable, "-c", WATCHED, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "['git'] []\n"


# --- rendering -----------------------------------------------------------------------------------------------------


def test_the_text_names_stoppers_and_next_steps(project):
    shutil.rmtree(project / "benchmarks")

    lines = render_text(look(project)).splitlines()

    (index,) = [index for index, line in enumerate(lines) if line.startswith("stopper")]
    assert lines[index + 1].strip().startswith("next: write one in benchmarks/")
    assert lines[-1] == "a gate would stop at: workloads"


def test_the_json_holds_every_check(project):
    report = look(project)

    document = json.loads(render_json(report))

    assert document == json.loads(json.dumps(report.to_dict()))
    assert [check["name"] for check in document["checks"]] == [check.name for check in report.checks]
    assert document["exit_status"] == 0


def test_an_empty_report_stops_nothing():
    assert Report(checks=()).exit_status == 0
