"""Servers that fork workers, with real processes in this very environment."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from dataclasses import replace

import psutil
import pytest

from mainstay.errors import EnvironmentBuildError, WorkerError
from mainstay.fork_server import can_fork, fork_servers
from mainstay.records import Outcome, Side
from mainstay.scheduling import draw_block_orders
from mainstay.timed_pairs import MAX_ALTERNATIONS, TimedRequest, TimedTask, measure_timed_pair
from mainstay.workers import Crew, PairRequest, WorkerSpec, collect_workloads

pytestmark = pytest.mark.skipif(not can_fork(sys.platform), reason="servers fork on Linux only")

TEST_A = "benchmarks/test_a.py::test_a"


@pytest.fixture
def specs(tmp_path):
    """Workers of both sides in this very environment; modules to preload stand in the folder ``modules``."""
    folder, scratch, modules = tmp_path / "measure", tmp_path / "scratch", tmp_path / "modules"
    for place in (folder / "benchmarks", scratch, modules):
        place.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return {
        side: WorkerSpec(
            side=side,
            python=sys.executable,
            own=str(tmp_path / "own"),
            roots=("subject_of_the_test",),
            folder=str(folder),
            configuration=str(folder / "pytest.ini"),
            scratch=str(scratch),
            variables={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(modules),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "OPENBLAS_NUM_THREADS": "1",
                "SIDE": side,
            },
        )
        for side in Side
    }


@pytest.fixture
def write(tmp_path):
    """Write a file of workloads, or a module to preload."""

    def write(text, place="measure/benchmarks/test_a.py"):
        (tmp_path / place).write_text(textwrap.dedent(text))

    return write


@pytest.fixture
def forking(specs):
    """Start a server for each side; gives the crew that it forks for, and the servers."""
    with ExitStack() as stack:

        def forking(*modules):
            servers = stack.enter_context(fork_servers(specs, modules))
            return Crew(specs, launchers={side: server.start for side, server in servers.items()}), servers

        yield forking


def request(**options):
    """A pair of the workload, by default of the candidate alone."""
    defaults = {"seed": 5, "pair": 0, "sides": (Side.CANDIDATE,), "limit_s": 600.0, "gated": ("a",)}
    return PairRequest(workload=TEST_A, **{**defaults, **options})


def ends(pid):
    """Whether a process is soon gone, or only waits for whoever inherited it."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


WHAT_A_PROCESS_IS_LIKE = """
    import os, pathlib, signal, sys, tempfile, threading

    def test_a(trial):
        print("written")
        home, temporary = pathlib.Path.home(), pathlib.Path(tempfile.gettempdir())
        trial.record(
            a=trial.seed,
            hash_of_text=hash("text"),
            num_threads=threading.active_count(),
            leads_its_group=os.getpgid(0) == os.getpid() == os.getsid(0),
            num_files=len([*home.iterdir(), *temporary.iterdir(), *pathlib.Path.cwd().iterdir()]),
            num_descriptors=len(os.listdir("/proc/self/fd")),
            takes_notice_of_children=signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL,
        )
        trial.record_context(
            home=home.name,
            temporary=temporary.name,
            beside=str(home.parent == temporary.parent == pathlib.Path.cwd().parent),
            main=sys.modules["__main__"].__file__,
            names=" ".join(sorted(os.environ)),
            seen_by_children=os.popen("echo $HOME").read().strip().rpartition("/")[2],
        )
        trial.record_digest({"text": str(sorted({"a", "b", "c"}))})
"""


def test_a_forked_worker_gives_the_same_trial_as_a_fresh_one(specs, forking, write):
    write(WHAT_A_PROCESS_IS_LIKE)
    crew, _ = forking("decimal")

    (forked,), (fresh,) = (some.measure(request()).trials for some in (crew, Crew(specs)))

    assert forked.outcome is Outcome.COMPLETED, forked.cause
    measured = {"duration_s": 0.0, "peak_memory_bytes": 0, "load": None}
    assert replace(forked, **measured) == replace(fresh, **measured)
