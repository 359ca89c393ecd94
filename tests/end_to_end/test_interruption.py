"""Gates that are killed, interrupted, resumed, or run side by side.

The first two tests are of gates whose workers are fresh interpreters, but for interruptions before there are workers.
"""

import functools
import json
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from mainstay.store.journal import CHECKED, Journal, RunFolder
from tests.end_to_end.settings import FORKED

SLOW_TRIAL = "    import time; time.sleep(0.3)\n    weights = model.fit(trial.seed)"


@pytest.fixture(scope="module")
def gated(tmp_path_factory, make_project):
    """A subject whose degradation is near its margin, so that a gate takes several looks; it was gated once."""

    @functools.cache
    def gated(*settings):
        project = make_project(tmp_path_factory.mktemp("gated") / "repository", settings=settings)
        project.write("pyproject.toml", (project.root / "pyproject.toml").read_text() + "looks = [2, 4]\n")
        project.edit("benchmarks/test_accuracy.py", "    weights = model.fit(trial.seed)", SLOW_TRIAL)
        project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.0002")
        project.commit("slow")
        project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")
        result = project.gate()
        project.undisturbed = result.status  # the seeds come from the commit, and near the margin they decide
        phases = result.run["phases_s"]
        # without environments: the first gate of a session fills their cache
        project.undisturbed_s = sum(phases.values()) - phases["environments"]
        assert project.undisturbed in {0, 1, 3}
        return project

    return gated


@pytest.fixture
def slow_project(request, project, gated):
    """A copy of the gated project, with the settings that the closest marker ``settings`` names."""
    marker = request.node.get_closest_marker("settings")
    gated_project = gated(*(marker.args if marker else ()))
    shutil.rmtree(project.root)
    shutil.copytree(gated_project.root, project.root)
    project.environ["PYTHONFAULTHANDLER"] = "1"
    project.undisturbed, project.undisturbed_s = gated_project.undisturbed, gated_project.undisturbed_s
    return project


def output_of(process):
    """What a gate printed; one that does not end fails the test and says where each of its threads is."""
    try:
        return process.communicate(timeout=600)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(process.communicate()[0])


def runs(project):
    return sorted((project.root / ".mainstay" / "runs").glob("*/journal.jsonl"))


def trials(journal):
    """What a journal counts as measured, by pair, side and repetition."""
    measured = [line["trial"] for line in Journal(journal).standing() if line["type"] == "trial"]
    keys = [(trial["pair"], trial["side"], trial["repetition"]) for trial in measured]
    assert len(keys) == len(set(keys)), "a trial was measured twice"
    return {key: (trial["values"], trial["digest"]) for key, trial in zip(keys, measured, strict=True)}


@pytest.mark.first
@pytest.mark.slow
@pytest.mark.parametrize("num_kills_planned", [2, 30])
def test_a_gate_that_is_killed_at_any_moment_resumes_to_the_same_end(slow_project, num_kills_planned, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    slow_project.environ["TMPDIR"] = str(temporary)
    expected, verdict = trials(runs(slow_project)[0]), slow_project.latest_run()["verdict"]
    whole = 1.25 * slow_project.undisturbed_s  # with environments: kills are spread over the length of a gate
    moments = random.Random(20261123)
    num_kills, output = 0, ""
    while num_kills < num_kills_planned:
        shutil.rmtree(slow_project.root / ".mainstay")
        process = slow_project.start_gate()
        began, patience = time.monotonic(), whole
        while True:
            try:
                output, _ = process.communicate(timeout=moments.uniform(0.05, 1.1) * patience)
                assert list(temporary.iterdir()) == []
                if patience == whole:  # it was not killed, so it says how long a gate takes now
                    whole = time.monotonic() - began
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                num_kills += 1
                patience *= 1.1  # if the machine has become busy, a gate that is always killed early would not end
                if slow_project.latest_run():
                    break  # it had come to its verdict and was about to leave
                process = slow_project.start_gate(*(["--resume"] if runs(slow_project) else []))
        assert slow_project.latest_run(), output
        (journal,) = runs(slow_project)
        assert trials(journal) == expected
        assert slow_project.latest_run()["verdict"] == verdict
    assert len(slow_project.git("worktree", "list").splitlines()) == 1


BEFORE_WORKERS = pytest.param(signal.SIGINT, 0.0, marks=[pytest.mark.settings(FORKED), pytest.mark.slow])
MORE_INTERRUPTIONS = [
    *((signal.SIGTERM, 0.0), (signal.SIGINT, 0.7)),
    *((signal.SIGTERM, 1.5), (signal.SIGINT, 1.5)),
    *((signal.SIGTERM, 2.5), (signal.SIGINT, 2.5)),
]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        BEFORE_WORKERS,
        pytest.param(signal.SIGTERM, 0.7, marks=pytest.mark.settings(FORKED)),
        *(pytest.param(*interruption, marks=pytest.mark.slow) for interruption in MORE_INTERRUPTIONS),
    ],
)
def test_an_interrupted_gate_removes_its_worktrees_and_keeps_its_journal(slow_project, number, moment):
    shutil.rmtree(slow_project.root / ".mainstay")
    slow_project.environ["TMPDIR"] = str(slow_project.root.parent)
    process = slow_project.start_gate()
    process.stdout.readline()
    time.sleep(moment)

    process.send_signal(number)
    output = output_of(process)

    assert process.returncode == 130, output
    assert "--resume" in output
    assert len(slow_project.git("worktree", "list").splitlines()) == 1
    assert not list(slow_project.root.parent.glob("mainstay-*"))
    assert slow_project.gate("--resume").status == slow_project.undisturbed if runs(slow_project) else True


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_two_gates_at_once_do_not_disturb_each_other(slow_project):
    expected = trials(runs(slow_project)[0])
    shutil.rmtree(slow_project.root / ".mainstay")

    processes = [slow_project.start_gate() for _ in range(2)]
    outputs = [output_of(process) for process in processes]

    assert [process.returncode for process in processes] == [slow_project.undisturbed] * 2, outputs
    assert [trials(journal) for journal in runs(slow_project)] == [expected, expected]


def test_nothing_to_resume_is_said(project):
    result = project.gate("--resume")

    assert result.status == 2
    assert "no interrupted gate to resume" in result.stderr


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_full_disk_is_said_and_nothing_measured_is_lost(slow_project, tmp_path):
    shutil.rmtree(slow_project.root / ".mainstay")
    small = Path(tempfile.mkdtemp(dir=tmp_path))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here without privileges")
    try:
        (slow_project.root / ".mainstay").symlink_to(small)
        (small / "filler").write_bytes(bytes(1_000_000))
        result = slow_project.gate()
        (small / "filler").unlink()
        resumed = slow_project.gate("--resume")
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert (result.status, resumed.status) == (4, slow_project.undisturbed), (result.stderr, resumed.stderr)
    assert "No space left" in result.stderr
    assert "--resume" in result.stderr


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_gates_that_start_together_after_a_killed_one_go_on(project):
    process = project.start_gate()
    process.stdout.readline()
    process.kill()
    process.communicate()

    processes = [project.start_gate() for _ in range(2)]
    outputs = [output_of(process) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_of_two_that_resume_one_run_one_goes_on_and_the_other_is_told(project):
    process = project.start_gate()
    while not any('"trial":' in journal.read_text() for journal in runs(project)):
        assert process.poll() is None, output_of(process)
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (interrupted,) = runs(project)

    processes = [project.start_gate("--resume") for _ in range(2)]
    outputs = [output_of(process) for process in processes]

    (told,) = [output for process, output in zip(processes, outputs, strict=True) if process.returncode == 2]
    assert sorted(process.returncode for process in processes) == [0, 2], outputs
    assert f"run {interrupted.parent.name} is still running" in told or "no interrupted gate to resume" in told
    trials(interrupted)
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.settings(FORKED)
def test_a_verdict_that_nobody_reads_keeps_its_status(project):
    command = project.command("gate")
    first = subprocess.Popen(command, cwd=project.root, env=project.environ, stdout=subprocess.PIPE, text=True)
    first.stdout.close()

    assert first.wait(timeout=600) == 0
    assert project.latest_run()["verdict"] == "pass"


# --- what was decided before the first pair --------------------------------------------------------------------------


def plans(journal):
    """The plans in a journal."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line["plan"] for line in lines if line["type"] == "plan"]


@pytest.fixture
def killed(slow_project):
    """The journal of a gate that was killed once it had measured something, and whose trials count everywhere."""
    shutil.rmtree(slow_project.root / ".mainstay")
    process = slow_project.start_gate()
    while not (found := runs(slow_project)) or not trials_so_far(found[0]):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    with RunFolder(found[0].parent) as run:
        run.journal.append(CHECKED, tampering=[])  # where workers are not confined, they would be measured again
    return found[0]


def trials_so_far(journal):
    """How many trials a journal has."""
    return journal.read_text().count('{"type": "trial"')


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_gate_that_was_killed_goes_on_with_the_plan_that_it_started_with(slow_project, killed):
    (first,) = plans(killed)

    result = slow_project.gate("--resume")

    assert result.status == slow_project.undisturbed
    assert plans(killed) == [first]
    assert result.run["plan"] == first
    assert [workload["id"] for workload in first["workloads"]] == ["benchmarks/test_accuracy.py::test_clouds"]
    assert first["workloads"][0]["metrics"][0]["margin"] == 0.0002
    assert set(result.finding["seeds"]) <= set(first["workloads"][0]["seeds"])


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_gate_whose_plan_would_differ_does_not_go_on_with_the_old_pairs(slow_project, killed):
    """As where a workload would be collected otherwise on another machine, or by another mainstay."""
    text = killed.read_text()
    assert text.count('"looks": [2, 4]') == 1
    killed.write_text(text.replace('"looks": [2, 4]', '"looks": [3, 4]'))
    num_trials = trials_so_far(killed)

    result = slow_project.gate("--resume")

    assert result.status == 4
    assert "the plan of this gate is not the one that it started with: looks would differ" in result.stderr
    assert result.run is None
    assert trials_so_far(killed) == num_trials
