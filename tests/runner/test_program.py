"""The program that a worker is: found by no name but its own, whatever the subject is called."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.records.trials import Outcome, Side
from mainstay.runner.__main__ import NAME
from mainstay.workers.fork_server import can_fork, fork_servers
from mainstay.workers.pairs import PairRequest, run_pair
from mainstay.workers.process import WORKER
from mainstay.workers.session import LiveWorkers

MODULES = sorted(file.stem for file in Path(WORKER).glob("*.py") if not file.stem.startswith("__"))

AS_ON_WINDOWS = """
import importlib, os, pkgutil, signal, socket, sys
import psutil  # its modules differ by system
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, name in ((os, "fork"), (os, "killpg"), (os, "sched_getaffinity"), (signal, "SIGALRM"), (signal, "SIGKILL"),
                     (signal, "pthread_sigmask"), (socket, "AF_UNIX")):
    if hasattr(module, name):
        delattr(module, name)
import mainstay, mnist_reference
for module in pkgutil.walk_packages(mainstay.__path__, "mainstay."):
    importlib.import_module(module.name)
"""


WORKLOAD = f"""
import importlib, json, os, sys

def test_a(trial):
    own = [importlib.import_module(name) for name in os.environ["NAMES"].split()]
    print("a line of the workload")
    trial.record(
        a=sum(module.VALUE for module in own),
        on_path=sum(os.path.realpath(place).startswith({WORKER!r}) for place in sys.path),
    )
    mine = [name for name, module in sys.modules.items() if (getattr(module, "__file__", "") or "").startswith({WORKER!r})]
    trial.record_context(names=" ".join(sorted(set(name.partition(".")[0] for name in mine))))
"""


@pytest.fixture
def measure_subject(make_specs, tmp_path):
    """Run a workload that imports modules of a subject, each with a number in it."""

    def measure_subject(names, *, is_forked=False):
        folder = tmp_path / "own"
        for name in names:
            file = folder.joinpath(*name.split(".")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("VALUE = 1\n")
            for place in file.relative_to(folder).parents[:-1]:  # an installed package would win over one without it
                (folder / place / "__init__.py").touch()
        specs = make_specs("[pytest]\n", PYTHONPATH=str(folder), NAMES=" ".join(names))
        (tmp_path / "measure" / "benchmarks" / "test_a.py").write_text(WORKLOAD)
        roots = tuple({name.partition(".")[0] for name in names})
        specs = {Side.CANDIDATE: replace(specs[Side.CANDIDATE], roots=roots)}
        request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=0, pair=0, sides=(Side.CANDIDATE,))
        with fork_servers(specs, ["decimal"] if is_forked else []) as servers:
            live = LiveWorkers({side: each.start for side, each in servers.items()})
            (trial,) = run_pair(specs, request, live=live).trials
        assert trial.outcome is Outcome.COMPLETED, (trial.cause, trial.last_lines)
        return trial

    return measure_subject


@pytest.mark.parametrize(
    "is_forked",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(not can_fork(sys.platform), reason="needs Linux")),
    ],
    ids=["fresh", "forked"],
)
def test_a_subject_may_have_modules_called_like_those_of_the_worker(measure_subject, is_forked):
    assert len(MODULES) > 10

    trial = measure_subject(MODULES, is_forked=is_forked)

    assert trial.values == {"a": len(MODULES), "on_path": 0}
    assert trial.context == {"names": f"__main__ {NAME}"}


def test_a_subject_may_be_the_toolkit_in_another_revision(measure_subject):
    names = [f"mainstay.runner.{name}" for name in MODULES]

    trial = measure_subject(names)

    assert trial.values == {"a": len(names), "on_path": 0}
    assert trial.context == {"names": f"__main__ {NAME}"}


def test_a_process_that_a_workload_spawns_does_not_run_the_program_again(make_specs, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "spawned.py").write_text("import sys\n\ndef look(_):\n    return sorted(sys.modules)\n")
    specs = make_specs("[pytest]\n", PYTHONPATH=str(tmp_path / "own"))
    (tmp_path / "measure" / "benchmarks" / "test_a.py").write_text(
        "import multiprocessing, spawned\n\n"
        "def test_a(trial):\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        (names,) = pool.map(spawned.look, [0])\n"
        f"    trial.record(a=sum(name.partition('.')[0] in ('pytest', {NAME!r}) for name in names))\n"
    )
    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=0, pair=0, sides=(Side.CANDIDATE,))

    (trial,) = run_pair(specs, request).trials

    assert (trial.outcome, trial.values) == (Outcome.COMPLETED, {"a": 0.0}), trial.cause


def test_a_traceback_names_files_of_the_worker_without_the_place_where_they_lie(make_specs, tmp_path):
    specs = make_specs("[pytest]\n")
    (tmp_path / "measure" / "benchmarks" / "test_a.py").write_text("def test_a(trial): trial.record(a='text')\n")
    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=0, pair=0, sides=(Side.CANDIDATE,))

    (trial,) = run_pair(specs, request).trials

    shown = "\n".join((trial.cause, *trial.last_lines))
    assert "runner/recording.py:" in shown
    assert str(Path(WORKER).parent) not in shown


def test_everything_can_be_imported_where_there_is_no_posix():
    done = subprocess.run([sys.executable, "-c", AS_ON_WINDOWS], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
