import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from mainstay.project.configuration import Configuration
from mainstay.records.errors import ConfigurationError, EnvironmentBuildError, HarnessError
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.revisions import workspace
from mainstay.revisions.environments import SubjectEnvironment
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Seals, copy_workloads, input_digests, worker_specs, writable_places
from mainstay.workers.process import WorkerSpec

UNREADABLE = Path("/proc/self/mem")


@pytest.fixture
def scratch(tmp_path):
    """A gate's temporary folder, in which ``prepare`` wrote a file."""
    folder = tmp_path / "mainstay-x"
    (folder / "prepare").mkdir(parents=True)
    (folder / "prepare" / "data").write_text("some")
    return folder


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("{scratch}/prepare/data", id="a-file"),
        pytest.param("{scratch}/prepare", id="a-folder"),
        pytest.param("file://{scratch}/prepare/data", id="an-address"),
    ],
)
def test_what_prepare_names_counts_by_its_content(scratch, value):
    variables = {"DATA": value.format(scratch=scratch), "DATASET": "digits"}
    before = input_digests(variables, scratch)

    (scratch / "prepare" / "data").write_text("other")

    assert list(before) == ["DATA"]
    assert input_digests(variables, scratch) != before


@pytest.mark.parametrize("limit", ["MAX_INPUT_BYTES", "MAX_INPUT_FILES"])
@pytest.mark.parametrize("name", ["prepare", "prepare/data"])
def test_what_takes_long_to_read_has_no_digest(monkeypatch, scratch, limit, name):
    monkeypatch.setattr(workspace, limit, 0)

    assert input_digests({"DATA": str(scratch / name)}, scratch) is None


@pytest.mark.skipif(not UNREADABLE.exists(), reason="no file here fails when it is read")
def test_what_cannot_be_read_has_no_digest(scratch):
    assert input_digests({"DATA": str(UNREADABLE)}, scratch) is None


@pytest.fixture
def tree(tmp_path):
    """A revision's worktree with one workload, and a data set that is shared with it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").write_text("many")
    workloads = tmp_path / "tree" / "benchmarks"
    workloads.mkdir(parents=True)
    (workloads / "test_model.py").write_text("")
    (workloads / "data").symlink_to(tmp_path / "data")
    return tmp_path / "tree"


@pytest.mark.parametrize("shared", [["data"], ["data/images", "data"]], ids="-".join)
def test_what_is_shared_among_the_workloads_is_linked_and_not_copied(tree, tmp_path, shared):
    copy_workloads(tree, tmp_path / "measure", "benchmarks", [f"benchmarks/{name}" for name in shared])

    place = tmp_path / "measure" / "benchmarks" / "data"
    assert place.is_symlink()
    assert place.resolve() == tmp_path / "data"
    assert (tmp_path / "measure" / "benchmarks" / "test_model.py").is_file()


def test_a_link_that_leads_nowhere_is_left_out_of_the_workloads(tree, tmp_path):
    (tree / "benchmarks" / "old").symlink_to(tmp_path / "absent")

    copy_workloads(tree, tmp_path / "measure", "benchmarks")

    assert sorted(path.name for path in (tmp_path / "measure" / "benchmarks").iterdir()) == ["data", "test_model.py"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a folder of models, and a cache of environments."""
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "mainstay").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_workers_may_write_to_is_found_in_the_home(home):
    protected = [home / ".cache" / "mainstay"]

    assert writable_places(["~/models", str(home / "models")], protected) == (home / "models",) * 2


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        pytest.param("~/absent", "the writable place '~/absent' does not exist", id="absent"),
        pytest.param("~/.cache", "overlap, to which no worker may write", id="holds-what-is-protected"),
        pytest.param("~/.cache/mainstay/environments", "overlap, to which no worker may write", id="lies-in-it"),
        pytest.param("~/link", "overlap, to which no worker may write", id="leads-there"),
        pytest.param("/", "overlap, to which no worker may write", id="everything"),
    ],
)
def test_what_no_worker_may_write_to_cannot_be_named(home, path, complaint):
    (home / ".cache" / "mainstay" / "environments").mkdir()
    (home / "link").symlink_to(home / ".cache")

    with pytest.raises(ConfigurationError, match=complaint) as caught:
        writable_places([path], [home / ".cache" / "mainstay"])

    assert caught.value.looked_in == "[tool.mainstay] of the baseline"


@pytest.fixture
def seals(scratch):
    """Seals of a gate in whose temporary folder both revisions are built and the workloads are copied."""
    seals = Seals([])
    for path in ("base/environment", "cand/environment", "measure/base"):
        (scratch / path).mkdir(parents=True)
        seals.add(f"what is in {path}", scratch / path)
    (scratch / "work" / "cand").mkdir(parents=True)
    seals.add_parents(scratch)
    time.sleep(0.05)  # older kernels stamp files every 10 ms
    return seals


@pytest.mark.parametrize("path", [".", "base", "cand", "measure"])
def test_hiding_sealed_folders_by_the_mode_of_a_folder_above_them_is_found_though_it_was_undone(scratch, seals, path):
    place = scratch / path
    mode = place.stat().st_mode

    place.chmod(0)
    place.chmod(mode)

    assert seals.find_changes() == (f"the gate's temporary folder ({path})",)


def test_what_workers_and_prepare_write_in_their_own_folders_changes_nothing_that_is_sealed(scratch, seals):
    (scratch / "work" / "cand" / "worker-1").mkdir()
    (scratch / "prepare" / "more").touch()

    assert seals.find_changes() == ()


def test_the_workers_of_a_revision_have_a_folder_of_their_own_at_a_path_of_equal_length(tmp_path):
    subjects = {
        side: SubjectEnvironment(
            python=tmp_path / "bin" / "python",
            site_packages=tmp_path,
            roots=("subject",),
            wheels=(),
            record=Environment(side=side, python="3.11", packages={}, packages_digest="", wheel_digest=""),
        )
        for side in Side
    }

    specs = worker_specs(subjects, tmp_path, tmp_path / "measure" / "pytest.ini", {}, [tmp_path / "more"])

    baseline, candidate = (Path(specs[side].scratch) for side in Side)
    assert baseline.is_dir()
    assert candidate.is_dir()
    assert len(str(baseline)) == len(str(candidate))
    assert not baseline.is_relative_to(candidate)
    assert not candidate.is_relative_to(baseline)
    assert specs[Side.CANDIDATE].writable == (str(tmp_path / "more"),)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        pytest.param(".", "'benchmarks', which is a folder that holds the link itself", id="loop"),
        pytest.param("/dev/zero", "'/dev/zero', which is a device or too large", id="device"),
    ],
)
def test_a_link_that_a_copy_of_the_workloads_must_not_follow_is_named(tree, tmp_path, target, why):
    (tree / "benchmarks" / "loop").symlink_to(target)

    with pytest.raises(ConfigurationError, match=f"the link benchmarks/loop leads to {why}") as caught:
        copy_workloads(tree, tmp_path / "measure", "benchmarks")

    assert caught.value.exit_status == 2
    assert not (tmp_path / "measure").exists()


INTERRUPTED = """
import signal, sys, threading
from pathlib import Path
from mainstay.revisions import uv_commands, workspace
from mainstay.revisions.resolution import Resolution
from mainstay.records.trials import Side

place = Path(sys.argv[1])
uv_commands.cache_folder = lambda: place
resolutions = {side: Resolution(side=side, pins=("tool==1.0",)) for side in Side}
uv_commands.interpreter_facts()
signal.signal(signal.SIGINT, signal.default_int_handler)  # what started the tests may have it ignored
threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
try:
    with workspace.open_layers(resolutions.values()) as layers:
        workspace.build_subjects(dict.fromkeys(Side, place), resolutions, layers, place, version="1.0")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_the_wait_for_a_layer_that_another_gate_builds(tmp_path):
    digest = Resolution(side=Side.BASELINE, pins=("tool==1.0",)).digest
    lock = tmp_path / "environments" / f"{digest[:32]}.lock"
    lock.parent.mkdir()

    with FileLock(lock):
        command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)

    assert done.stdout == "interrupted\n"


# --- what workloads import beside themselves -------------------------------------------------------------------------


@pytest.fixture
def helped(tmp_path):
    """A project whose workloads import helpers of its tests."""
    folder = tmp_path / "helped"
    for path, text in {
        "bench/test_a.py": "from tests.helpers import make\nimport tools.deep.inner\n",
        "tests/__init__.py": "",
        "tests/helpers.py": "from .more import START\nfrom tests import extra\n",
        "tests/more.py": "import os\nSTART = 1\n",
        "tests/extra.py": "",
        "tests/unused.py": "",
        "tools/deep/inner.py": "",
        "src/pkg/__init__.py": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


HELPERS = ("tests/__init__.py", "tests/extra.py", "tests/helpers.py", "tests/more.py", "tools/deep/inner.py")


def test_helpers_that_workloads_import_come_along_and_no_other_file(helped, tmp_path):
    copy_workloads(helped, tmp_path / "measure", "bench")

    assert workspace.helper_files(helped, "bench") == HELPERS
    copied = {path.relative_to(tmp_path / "measure").as_posix() for path in (tmp_path / "measure").rglob("*.py")}
    assert copied == {*HELPERS, "bench/test_a.py"}
    assert workspace.helper_files(tmp_path / "measure", "bench") == HELPERS


def test_a_link_is_no_helper(helped):
    (helped / "tests/more.py").unlink()
    (helped / "tests/more.py").symlink_to("/etc/passwd")

    assert "tests/more.py" not in workspace.helper_files(helped, "bench")


@pytest.mark.parametrize("path", ["tests/more.py", "tests/unused.py", "bench/test_a.py"])
def test_sticks_differ_where_a_helper_does(helped, tmp_path, path):
    other = tmp_path / "other"
    shutil.copytree(helped, other)
    (other / path).write_text((other / path).read_text() + "# more\n")
    settings = dict.fromkeys(Side, Configuration(workloads="bench"))

    assert workspace.sticks_differ({Side.BASELINE: helped, Side.CANDIDATE: other}, settings) is (
        path != "tests/unused.py"
    )


def linked_file(tree, text):
    """The conftest of the workloads is that of the tests."""
    (tree / "shared.py").write_text(text)
    (tree / "bench/conftest.py").symlink_to("../shared.py")


def linked_folder(tree, text):
    """The data of the workloads are those of the project, which has a current version of them."""
    (tree / "data/v1").mkdir(parents=True)
    (tree / "data/v1/points.txt").write_text(text)
    (tree / "data/current").symlink_to("v1")
    (tree / "bench/data").symlink_to("../data/current")


def linked_workloads(tree, text):
    """The folder of the workloads itself is a link."""
    (tree / "bench").rename(tree / "perf")
    (tree / "bench").symlink_to("perf")
    (tree / "perf/test_b.py").write_text(text)


def linked_settings(tree, text):
    """The settings of pytest lie elsewhere."""
    (tree / "config.ini").write_text(f"[pytest]\naddopts = {text}\n")
    (tree / "pytest.ini").symlink_to("config.ini")


@pytest.mark.parametrize("link", [linked_file, linked_folder, linked_workloads, linked_settings])
@pytest.mark.parametrize("is_edited", [False, True])
def test_sticks_differ_where_links_of_equal_text_lead_to_other_content(helped, tmp_path, link, is_edited):
    other = tmp_path / "other"
    shutil.copytree(helped, other)
    link(helped, "a = 1")
    link(other, "a = 2" if is_edited else "a = 1")
    settings = dict.fromkeys(Side, Configuration(workloads="bench"))

    assert workspace.sticks_differ({Side.BASELINE: helped, Side.CANDIDATE: other}, settings) is is_edited


def test_sticks_differ_where_one_of_two_links_to_a_folder_is_broken(helped, tmp_path):
    (helped / "data/a").mkdir(parents=True)
    (helped / "data/a/test_c.py").write_text("")
    (helped / "data/b").symlink_to("a")
    for name in ("a", "b"):
        (helped / "bench" / name).symlink_to(f"../data/{name}")
    other = tmp_path / "other"
    shutil.copytree(helped, other, symlinks=True)
    (other / "data/b").unlink()
    settings = dict.fromkeys(Side, Configuration(workloads="bench"))

    assert workspace.sticks_differ({Side.BASELINE: helped, Side.CANDIDATE: other}, settings)


def spec_of(folder):
    """A worker of the measuring folder in a folder; its revision is installed beside it."""
    return WorkerSpec(
        side=Side.BASELINE,
        python=sys.executable,
        own=str(folder / "site"),
        roots=(),
        folder=str(folder / "measure"),
        configuration="",
        scratch="",
        variables={},
    )


def test_files_of_the_workloads_include_the_helpers_that_are_not_installed(helped, tmp_path):
    copy_workloads(helped, tmp_path / "measure", "bench")
    (tmp_path / "site/tools/deep").mkdir(parents=True)
    (tmp_path / "site/tools/deep/inner.py").touch()  # which workers import instead of the copy

    found = workspace.workload_files(spec_of(tmp_path), ["bench"])

    assert sorted(found) == ["bench/test_a.py", *HELPERS[:-1]]
    assert found["tests/more.py"].read_text() == "import os\nSTART = 1\n"


def test_files_of_the_workloads_are_those_behind_links_but_no_shared_inputs(tree, tmp_path):
    (tree / "shared.py").write_text("a = 1\n")
    (tree / "benchmarks" / "conftest.py").symlink_to("../shared.py")
    copy_workloads(tree, tmp_path / "measure", "benchmarks", ["benchmarks/data"])

    found = workspace.workload_files(spec_of(tmp_path), ["absent", "benchmarks"])

    assert sorted(found) == ["benchmarks/conftest.py", "benchmarks/test_model.py"]
    assert found["benchmarks/conftest.py"].read_text() == "a = 1\n"


@pytest.mark.parametrize("side", list(Side))
def test_a_link_of_workloads_that_leads_to_itself_is_refused_in_the_revision_that_has_it(helped, tmp_path, side):
    other = Path(shutil.copytree(helped, tmp_path / "other"))
    (other / "bench" / "loop").symlink_to(".")
    trees = {**dict.fromkeys(Side, helped), side: other}

    with pytest.raises(ConfigurationError, match="the link bench/loop leads to") as caught:
        workspace.sticks_differ(trees, dict.fromkeys(Side, Configuration(workloads="bench")))

    assert caught.value.side == side


def test_sticks_differ_where_files_are_named_otherwise(helped):
    settings = {
        side: Configuration(workloads="bench", files=names) for side, names in zip(Side, [(), ("a.py",)], strict=True)
    }

    assert workspace.sticks_differ(dict.fromkeys(Side, helped), settings)


# --- prepare ---------------------------------------------------------------------------------------------------------


COMMAND = ("python", "benchmarks/fetch.py")

ADDRESS = "import source; open('benchmarks/made', 'w'); print('DATA=' + source.ADDRESS)"


@pytest.fixture
def prepare(scratch):
    """Run ``prepare`` with measuring folders that hold these files, by the letter of the revision."""

    def run(command, files, *, wheels=("1", "2"), environ=None, review=None, candidate=None):
        subjects = {}
        for side, wheel in zip(Side, wheels, strict=True):
            environment = scratch / workspace.FOLDERS[side] / "environment"
            (environment / "lib" / "own").mkdir(parents=True)
            record = Environment(side=side, python="", packages={}, packages_digest="", wheel_digest=wheel)
            subjects[side] = SubjectEnvironment(
                python=Path(sys.executable),
                site_packages=environment / "lib" / "own",
                roots=(),
                wheels=(),
                record=record,
            )
        for name, text in files.items():
            file = scratch / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        commands = {Side.BASELINE: command, Side.CANDIDATE: candidate or command}
        return workspace.prepare(commands, subjects, scratch, environ or {}, review=review)

    return run


def sticks(**texts):
    """Files of both measuring folders, by their name; each text is that of both revisions, or one of each."""
    return {
        f"measure/{folder}/benchmarks/{name}.py": text if isinstance(text, str) else text[number]
        for name, text in texts.items()
        for number, folder in enumerate(("base", "cand"))
    }


FETCHED = sticks(fetch=ADDRESS, source=("ADDRESS = 'whole'", "ADDRESS = 'easy'"))


def test_prepare_runs_code_of_the_baseline_and_changes_no_workload_that_is_measured(prepare, scratch):
    prepared = prepare(COMMAND, FETCHED)

    assert prepared == ({"DATA": "whole"}, "", "")
    assert {file.name for file in (scratch / "measure").rglob("*")} == {
        "base", "cand", "benchmarks", "fetch.py", "source.py"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "options", "review"),
    [
        pytest.param({}, {"candidate": (*COMMAND, "-v")}, "the command prepare changed", id="words"),
        pytest.param(
            sticks(fetch=(ADDRESS, f"{ADDRESS}  # again")),
            {},
            "benchmarks/fetch.py, which the command prepare names, changed",
            id="script",
        ),
        pytest.param(
            sticks(source=("raise SystemExit('no server')", "ADDRESS = 'easy'")),
            {},
            "the command prepare fails in the baseline",
            id="failure-of-the-baseline",
        ),
        pytest.param({}, {"review": "decided before"}, "decided before", id="decided"),
    ],
)
def test_a_candidate_that_prepares_both_revisions_needs_a_review(prepare, files, options, review):
    prepared = prepare(COMMAND, {**FETCHED, **files}, **options)

    assert (prepared.variables, prepared.review) == ({"DATA": "easy"}, review)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("-m", "this"), "this.py", id="module"),
        pytest.param(("-m", "own.fetch"), "own/fetch/__main__.py", id="package-within-a-package"),
        pytest.param(("-m", "own"), "own/__main__.py", id="package"),
        pytest.param(("-mown.fetch",), "own/fetch.py", id="in-one-word"),
        pytest.param(("-Im", "own.fetch"), "own/fetch.py", id="after-other-flags"),
        pytest.param(("-Imown",), "own/__main__.py", id="after-other-flags-in-one-word"),
    ],
)
def test_a_changed_module_that_prepare_names_needs_a_review(prepare, arguments, named):
    files = {f"{folder}/environment/lib/own/{named}": f"# {folder}" for folder in ("base", "cand")}

    prepared = prepare(("true", *arguments), {**files, **sticks(test_a="")})

    assert prepared.review == f"{named}, which the command prepare names, changed"


def test_a_changed_folder_that_prepare_runs_needs_a_review(prepare):
    prepared = prepare(("python", "benchmarks/fetch"), sticks(**{"fetch/__main__": (ADDRESS, "print('DATA=easy')")}))

    assert prepared == ({"DATA": "easy"}, "", "benchmarks/fetch/__main__.py, which the command prepare names, changed")


def test_a_review_says_why_the_baseline_could_not_prepare(prepare):
    prepared = prepare(COMMAND, sticks(fetch="import source", source=("raise SystemExit('no server')", "")))

    assert prepared.notice == "in the baseline, the prepare command failed: exit status 1 | no server"


@pytest.mark.parametrize(
    ("files", "options"),
    [
        pytest.param({"measure/base/benchmarks/fetch.py": "source"}, {"wheels": ("1", "1")}, id="same-code"),
        pytest.param(sticks(fetch="import source", source=("fault", "")), {"review": ""}, id="decided"),
    ],
)
def test_where_the_baseline_cannot_prepare_the_candidate_is_not_asked_without_need(prepare, files, options):
    with pytest.raises(HarnessError, match="NameError"):
        prepare(COMMAND, files, **options)


@pytest.mark.parametrize("command", [("python", "-c", "x = 1;" * 1000), ("echo", "."), ("echo", "-m")])
def test_words_that_name_no_file_need_no_review(prepare, command):
    assert prepare(command, sticks(test_a=("", "changed"))) == ({}, "", "")


def test_prepare_finds_programs_of_the_revision_before_those_of_the_user(prepare, tmp_path):
    program = tmp_path / Path(sys.executable).name
    program.touch(mode=0o755)
    command = ("sh", "-c", f"echo FOUND=$(command -v {program.name})")

    prepared = prepare(command, sticks(test_a=""), environ={"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"})

    assert prepared.variables == {"FOUND": sys.executable}


def test_prepare_does_not_find_the_package_in_the_users_own_tree(prepare, tmp_path):
    (tmp_path / "own.py").write_text("")

    with pytest.raises(HarnessError, match="No module named 'own'"):
        prepare(COMMAND, sticks(fetch="import own"), wheels=("1", "1"), environ={"PYTHONPATH": str(tmp_path)})


@pytest.mark.parametrize(
    "name",
    ["PATH", "LD_LIBRARY_PATH", "LD_BIND_NOW", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"],
)
def test_prepare_cannot_choose_libraries_or_devices(prepare, name):
    with pytest.raises(HarnessError, match=f"it sets {name}, which no project may set"):
        prepare(("echo", f"{name}="), {"measure/base/benchmarks/test_a.py": ""}, wheels=("1", "1"))


def test_a_prepare_command_that_fails_says_where_it_ran(prepare):
    with pytest.raises(EnvironmentBuildError) as caught:
        prepare(("python", "absent.py"), sticks(test_a=""))

    assert "a copy of the workload folder's parent" in caught.value.next_step
