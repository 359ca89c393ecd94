"""Candidates that change what is not their own: another revision's code, cached dependencies, the user's repository."""

import json
import shutil
import textwrap
from collections import Counter
from contextlib import suppress

import pytest

from mainstay import cli
from mainstay.commands import tampering
from mainstay.revisions import environments
from mainstay.runner import confinement
from mainstay.workers import process

pytestmark = pytest.mark.package_index

needs_landlock = pytest.mark.skipif(not confinement.can_confine(), reason="this kernel offers no Landlock")

REWRITES_THE_BASELINE = """
import pathlib
import sys

for model in pathlib.Path(sys.prefix.replace("/cand/", "/base/")).glob("lib/python*/site-packages/subject/model.py"):
    model.write_text(model.read_text().replace("NUM_EPOCHS = 2", "NUM_EPOCHS = 1"))
"""

HIDES_THE_BASELINE = """
import os
import pathlib

BASE = pathlib.Path(os.environ["HOME"]).parents[3] / "base"
MODE = BASE.stat().st_mode
BASE.chmod(0)
BASE.chmod(MODE)
"""

INTERRUPTS_THE_GATE = """
import os
import pathlib
import signal

mark = pathlib.Path(REPOSITORY, ".mainstay/mark")
is_first = not mark.exists()


def rewrite():
REWRITE


def interrupt():
    journals = pathlib.Path(REPOSITORY).glob(".mainstay/runs/*/journal.jsonl")
    if is_first and any('"type": "trial"' in journal.read_text() for journal in journals):
        mark.touch()
        os.kill(os.getppid(), signal.SIGINT)


if is_first:
    rewrite()
"""


def interrupt_in_fit(project, rewrite):
    """Have the subject rewrite something and interrupt the gate when it trains."""
    source = f"REPOSITORY = {str(project.root)!r}\n{INTERRUPTS_THE_GATE.replace('REWRITE', rewrite)}"
    project.write("src/subject/__init__.py", source)
    project.edit("src/subject/model.py", "def fit(seed):", "def fit(seed):\n    import subject; subject.interrupt()")


WRITES_INTO_THE_LAYER = """
import hashlib
import json
import pathlib

import pytest

site_packages = pathlib.Path(pytest.__file__).parents[1]
evil = site_packages / "evil.pth"
evil.write_text("import sys; sys.evil = True\\n")

layer = site_packages.parents[2]  # and the manifest is made to agree
manifest = json.loads(pathlib.Path(f"{layer}.json").read_text())
status = evil.stat()
manifest["entries"][evil.relative_to(layer).as_posix()] = [
    hashlib.sha256(evil.read_bytes()).hexdigest(),
    *(status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino),
]
pathlib.Path(f"{layer}.json").write_text(json.dumps(manifest))
"""

TRIES_EVERYTHING = """
import os
import pathlib
import sys

WORK = pathlib.Path(os.environ["HOME"]).parents[1]
GATE = WORK.parents[1]
PLACES = [
    *GATE.glob("measure/base/benchmarks/test_accuracy.py"),
    *GATE.glob("base/environment/pyvenv.cfg"),
    *GATE.glob("cand/environment/pyvenv.cfg"),
    *GATE.glob("base/tree/pyproject.toml"),
    *pathlib.Path(REPOSITORY).glob(".mainstay/runs/*/journal.jsonl"),
    *pathlib.Path(REPOSITORY).glob("pyproject.toml"),
]
ATTEMPTS = {
    "append": lambda place: open(place, "a").write("#"),
    "rename": lambda place: place.rename(place.with_name("gone")),
    "take": lambda place: place.rename(WORK / "taken"),
    "remove": lambda place: place.unlink(),
    "beside": lambda place: place.with_name("evil.py").touch(),
}
DONE = []
for place in PLACES:
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(place)
        except OSError:
            continue
        DONE.append(f"{name} {place}")
for other in GATE.glob("work/*"):
    if other != WORK:
        try:
            (other / "evil.py").touch()
        except OSError:
            continue
        DONE.append(str(other))
if len(PLACES) != 6 or DONE:
    raise RuntimeError(f"looked at {len(PLACES)} places, changed {DONE}")
"""


@pytest.fixture
def own_cache(project, environments_cache, tmp_path):
    """A cache of the test's own, so that no other test meets what is done to it; it begins with what was built so far."""
    place = tmp_path / "own-cache"
    with suppress(OSError):  # others may be building there; a layer that was not complete yet is built anew
        shutil.copytree(environments_cache, place, symlinks=True)
    project.environ["XDG_CACHE_HOME"] = str(place)
    return place


@pytest.fixture
def gate_unconfined(project, monkeypatch):
    """Gate in this process, as on a system without Landlock."""

    def gate(*arguments):
        for name, value in project.environ.items():
            monkeypatch.setenv(name, value)
        for module in (process, environments, tampering):
            monkeypatch.setattr(module, "can_confine", lambda: False)
        monkeypatch.chdir(project.root)
        return cli.run(["gate", *arguments]), project.latest_run()

    return gate


@pytest.mark.slow
@needs_landlock
def test_a_candidate_that_writes_to_the_baselines_code_is_refused_and_told_how_to_write(project):
    project.write("src/subject/__init__.py", REWRITES_THE_BASELINE)

    result = project.gate()

    assert result.status == 1
    assert result.finding["verdict"] == "error"
    assert result.finding["blame"] == "candidate"
    assert "PermissionError: [Errno 13] Permission denied: 'GATE/base/environment/lib/" in result.finding["reason"]
    assert "the key 'writable' in the [tool.mainstay] of the baseline" in result.finding["reason"]


@needs_landlock
def test_no_worker_changes_the_other_revision_the_workloads_or_the_repository(project):
    project.write("src/subject/__init__.py", f"REPOSITORY = {str(project.root)!r}\n{TRIES_EVERYTHING}")

    result = project.gate()

    assert result.status == 0, result.stdout
    assert result.finding["verdict"] == "pass"


@pytest.mark.slow
@needs_landlock
def test_a_candidate_that_hides_the_baselines_code_by_the_mode_of_a_folder_above_it_is_an_error(project):
    project.write("src/subject/__init__.py", HIDES_THE_BASELINE)

    result = project.gate()

    assert result.status == 1, result.stdout
    assert (result.finding["verdict"], result.finding["blame"]) == ("error", "candidate")
    assert result.finding["reason"].endswith("was changed while the gate ran: the gate's temporary folder (base)")


def test_where_workers_are_not_confined_changed_code_of_the_baseline_is_an_error_of_the_candidate(
    project, gate_unconfined
):
    project.write("src/subject/__init__.py", REWRITES_THE_BASELINE)

    status, run = gate_unconfined()

    assert status == 1
    (finding,) = run["findings"]
    assert (finding["verdict"], finding["blame"]) == ("error", "candidate")
    assert "was changed while the gate ran: the environment of the baseline (lib/" in finding["reason"]
    assert "/site-packages/subject/model.py)" in finding["reason"]
    assert not list(project.root.glob(".mainstay/baselines/**/*.json*"))


@pytest.fixture
def interrupted(project, gate_unconfined):
    """The journal of a gate whose candidate changed the baseline, had a trial of it measured, and interrupted the gate."""
    rewrite = textwrap.indent(REWRITES_THE_BASELINE, "    ")
    interrupt_in_fit(project, rewrite)
    status, _ = gate_unconfined()
    assert status == 130
    (journal,) = project.root.glob(".mainstay/runs/*/journal.jsonl")
    return journal


def trial_key(line):
    """What distinguishes a trial in a line of a journal from others."""
    trial = json.loads(line)["trial"]
    return trial["workload"], trial["side"], trial["pair"], trial["repetition"]


@pytest.mark.slow
def test_where_workers_are_not_confined_code_that_was_changed_before_an_interruption_is_an_error_after_it(
    project, gate_unconfined, interrupted
):
    status, run = gate_unconfined("--resume")

    assert status == 1
    (finding,) = run["findings"]
    assert (finding["verdict"], finding["blame"]) == ("error", "candidate")
    assert "was changed while the gate ran: the environment of the baseline (lib/" in finding["reason"]
    assert not list(project.root.glob(".mainstay/baselines/**/*.json*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told", "is_judged"),
    [
        pytest.param("data.joinpath('points').write_text('other')", "nothing can pass", True, id="other-content"),
        pytest.param("shutil.rmtree(data, ignore_errors=True)", "'data' does not exist", False, id="removed"),
    ],
)
def test_where_workers_are_not_confined_shared_data_changed_before_an_interruption_are_an_error_after_it(
    project, gate_unconfined, capsys, change, told, is_judged
):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}share = ['data']\n")
    project.write(".gitignore", "data\n.mainstay\n")
    project.write("data/points", "some")
    project.commit("share")
    rewrite = f"    import shutil; data = pathlib.Path(REPOSITORY, 'data'); {change}"
    interrupt_in_fit(project, rewrite)
    first, _ = gate_unconfined()

    status, run = gate_unconfined("--resume")

    assert (first, status) == (130, 1)
    assert told in capsys.readouterr().err
    assert (run is not None) is is_judged
    assert not run or {(each["verdict"], each["blame"]) for each in run["findings"]} == {("error", "candidate")}


@pytest.mark.slow
def test_where_workers_are_not_confined_an_interrupted_gate_that_changed_nothing_keeps_its_trials_and_passes(
    project, gate_unconfined
):
    interrupt_in_fit(project, "    pass")
    first, _ = gate_unconfined()

    status, run = gate_unconfined("--resume")

    assert (first, status) == (130, 0)
    assert run["findings"][0]["verdict"] == "pass"
    assert not any("measured again" in note for note in run["notes"])


@pytest.mark.slow
def test_where_workers_are_not_confined_the_trials_of_a_killed_gate_are_measured_again(
    project, gate_unconfined, interrupted
):
    lines = interrupted.read_text().splitlines(keepends=True)
    interrupted.write_text("".join(line for line in lines if '"type": "checked"' not in line))  # as if it was killed
    num_lost = sum('"type": "trial"' in line for line in lines)

    _, run = gate_unconfined("--resume")

    (note,) = [note for note in run["notes"] if "measured again" in note]
    assert note.startswith(f"{num_lost} trial")
    measured = Counter(trial_key(line) for line in interrupted.read_text().splitlines() if '"type": "trial"' in line)
    assert num_lost > 0
    assert all(measured[trial_key(line)] == 2 for line in lines if '"type": "trial"' in line)


@pytest.mark.slow
def test_where_workers_are_not_confined_changed_workloads_are_an_error_of_the_candidate(project, gate_unconfined):
    project.write(
        "src/subject/__init__.py",
        """
        import os
        import pathlib

        gate = pathlib.Path(os.environ["HOME"]).parents[3]
        workload = gate / "measure" / "base" / "benchmarks" / "test_accuracy.py"
        workload.write_text(workload.read_text().replace("NUM_TEST", "NUM_TRAIN"))
        """,
    )

    status, run = gate_unconfined()

    assert status == 1
    assert "the workloads (benchmarks/test_accuracy.py)" in run["findings"][0]["reason"]


@pytest.mark.slow
def test_where_workers_are_not_confined_a_changed_shared_input_is_an_error_of_the_candidate(project, gate_unconfined):
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}share = ['data']\n")
    project.write(".gitignore", "data\n.mainstay\n")
    project.write("data/points", "some")
    project.commit("share")
    project.write("src/subject/__init__.py", f"open({str(project.root / 'data/points')!r}, 'a').write('more')\n")

    status, run = gate_unconfined()

    assert status == 1
    assert run["findings"][0]["reason"].endswith("was changed while the gate ran: the shared input data")


@pytest.mark.slow
@needs_landlock
def test_a_candidate_cannot_write_into_cached_dependencies(project, own_cache):
    project.write("src/subject/__init__.py", WRITES_INTO_THE_LAYER)

    result = project.gate()

    assert result.status == 1
    assert "Permission denied: '" in result.finding["reason"]
    assert not list(own_cache.rglob("evil.pth"))


@pytest.mark.slow
def test_where_workers_are_not_confined_a_changed_layer_is_an_error_and_no_later_gate_uses_it(
    project, own_cache, gate_unconfined
):
    project.write("src/subject/__init__.py", WRITES_INTO_THE_LAYER)

    status, run = gate_unconfined()

    assert status == 1
    assert "the cached dependencies (lib/python" in run["findings"][0]["reason"]
    assert any("were thrown away: it was changed while the gate ran" in note for note in run["notes"])
    assert not list(own_cache.rglob("evil.pth"))
    project.write("src/subject/__init__.py", "")
    status, run = gate_unconfined()
    assert status == 0
    assert not any("thrown away" in note for note in run["notes"])


@pytest.mark.slow
def test_a_layer_that_another_project_changed_is_named_and_built_anew(project, own_cache):
    project.gate()
    # those of other tests are there too
    layers = [*own_cache.glob("mainstay/environments/*/lib/python*/site-packages")]
    for site_packages in layers:
        (site_packages / "evil.pth").write_text("raise SystemExit('evil')\n")

    result = project.gate()

    assert result.status == 0
    assert any("were thrown away: it had been changed since it was built" in note for note in result.run["notes"])
    assert sum(not (site_packages / "evil.pth").exists() for site_packages in layers) == 1


@pytest.mark.slow
@needs_landlock
def test_only_the_baseline_says_where_workers_may_write(project, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    project.write("src/subject/__init__.py", f"open({str(place / 'note')!r}, 'a').write('x')\n")
    text = (project.root / "pyproject.toml").read_text()
    project.write("pyproject.toml", f"{text}writable = {json.dumps([str(place)])}\n")

    by_the_candidate = project.gate()
    project.commit("both may write")
    by_the_baseline = project.gate("--baseline", "HEAD", "--candidate", "HEAD")

    assert by_the_candidate.status == 1
    assert "Permission denied" in by_the_candidate.finding["reason"]
    (change,) = [change for change in by_the_candidate.run["changes"] if change["name"].endswith("writable")]
    assert change["effect"] == "the baseline's holds"
    assert by_the_baseline.status == 0
    assert (place / "note").exists()
