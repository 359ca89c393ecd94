"""A decision on two trees of installed files, as a gate makes it before the first pair."""

import os
import sys
import textwrap
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands.harness import Harness
from mainstay.commands.rewording import prove_reworded
from mainstay.commands.session import Stopwatch
from mainstay.measuring.agenda import Collected, plan_agenda
from mainstay.measuring.loop import SilentObserver
from mainstay.project.configuration import Configuration
from mainstay.records.executions import INTERLEAVED
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.revisions.environments import SubjectEnvironment
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Prepared, Seals
from mainstay.workers.collecting import Collection
from mainstay.workers.fork_server import fork_servers
from mainstay.workers.process import WorkerSpec
from tests.commands.two_trees import WORKLOAD, workloads_of


@pytest.fixture
def place(tmp_path):
    """Two trees, whose paths are of equal length, a measuring folder, and one of modules that both trees may import."""
    for name in (
        *("base/site-packages", "cand/site-packages", "work/base", "work/cand"),
        "measure/benchmarks",
        "dependency",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "measure/pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.fixture
def decide(place):
    """Decide on a candidate, given the files of both trees and the workloads."""

    def write(side, files):
        for name, text in files.items():
            file = place / side / "site-packages" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))

    def decide(
        baseline,
        candidate,
        *,
        workload=WORKLOAD,
        workloads=None,
        seconds=400.0,
        startup=None,
        proof="unchanged",
        preload=(),
        wheel_folder="",
    ):
        write("base", {"subject/__init__.py": "", **baseline})
        write("cand", {"subject/__init__.py": "", **candidate})
        (place / "measure/benchmarks/test_w.py").write_text(textwrap.dedent(workload))
        specs, subjects = {}, {}
        for side, name in zip(Side, ("base", "cand"), strict=True):
            tree = place / name / "site-packages"
            folders = f"{tree}{os.pathsep}{place / 'dependency'}"
            variables = {"PATH": os.environ["PATH"], "PYTHONPATH": folders, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            specs[side] = WorkerSpec(
                side=side,
                python=sys.executable,
                own=str(tree),
                roots=("subject",),
                folder=str(place / "measure"),
                configuration=str(place / "measure/pytest.ini"),
                scratch=str(place / "work" / name),
                variables={**variables, "OMP_NUM_THREADS": "1"},
                writable=(str(place),),
            )
            subjects[side] = SubjectEnvironment(
                python=place.__class__(sys.executable),
                site_packages=tree,
                roots=("subject",),
                wheels=(),
                record=Environment(side=side, python="", packages={}, packages_digest="", wheel_digest=""),
                startup=startup or {},
            )
        harness = Harness(
            specs={Side.BASELINE: specs},
            environments=(),
            subjects=subjects,
            prepared=Prepared({}, ""),
            scratch=place,
            preload_note="",
            seals=Seals([]),
            resolutions={side: Resolution(side=side, pins=()) for side in Side},
        )
        session: Any = SimpleNamespace(
            observer=SilentObserver(),
            watch=Stopwatch(),
            start=SimpleNamespace(salt="", seconds=seconds, baseline=SimpleNamespace(commit="0" * 40)),
            configuration=Configuration(trial_seconds=600, proof=proof),
        )
        found = Collection(workloads=workloads or workloads_of(test_speed=(INTERLEAVED, "call_time")))
        everything = {**baseline, **candidate}
        differing = [f"{wheel_folder}{name}" for name in everything if baseline.get(name) != candidate.get(name)]
        with fork_servers(specs, preload) as servers:
            launchers = {side: server.start for side, server in servers.items()}
            agenda = plan_agenda(Collected(found, found))
            return prove_reworded(session, replace(harness, launchers=launchers), agenda, differing)

    return decide
