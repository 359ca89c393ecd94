"""Options of the whole suite: ``--slow`` also runs what takes longest."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import Plan
from mainstay.records.runs import Machine, Revision, Run, WorkloadResult
from mainstay.records.scales import Scale
from mainstay.records.trials import Side
from tests.index_server import Index

if TYPE_CHECKING:
    from mainstay.workers.process import WorkerSpec

pytest_plugins = ["pytester", "tests.seeding"]

# no test fails because the machine is busy, and none by an example that was drawn by chance; nox -s newest draws new ones
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("new examples", settings.get_profile("any machine"), derandomize=False)
settings.load_profile("any machine")

ROOT = Path(__file__).parents[1]

WORKER_VARIABLES = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the plugins of this suite would double the time in which a worker starts
}
"""Variables of workers that start in the environment of the tests; what needs its plugins sets the second to nothing."""


@pytest.fixture
def make_specs(
    make_specs_in: Callable[..., dict[Side, WorkerSpec]], tmp_path: Path
) -> Callable[..., dict[Side, WorkerSpec]]:
    """Make workers of both sides in this very environment; the measuring folder is empty but for ``pytest.ini``."""
    return functools.partial(make_specs_in, tmp_path)


@pytest.fixture(scope="session")
def make_specs_in() -> Callable[..., dict[Side, WorkerSpec]]:
    """Make such workers in a given folder, for several tests."""
    from mainstay.workers.process import (
        WorkerSpec,  # here, since the pure parts are tested without workers, on Windows too
    )

    def make(root: Path, ini: str, **variables: str) -> dict[Side, WorkerSpec]:
        folder, scratch = root / "measure", root / "scratch"
        for place in (folder / "benchmarks", scratch):
            place.mkdir(parents=True)
        (folder / "pytest.ini").write_text(ini)
        return {
            side: WorkerSpec(
                side=side,
                python=sys.executable,
                own=str(root / "own"),
                roots=("subject_of_the_test",),
                folder=str(folder),
                configuration=str(folder / "pytest.ini"),
                scratch=str(scratch),
                variables={"PATH": os.environ["PATH"], **WORKER_VARIABLES, "SIDE": side, **variables},
                writable=(str(root),),  # tests learn from files what workloads did
            )
            for side in Side
        }

    return make


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow, which take longest")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "slow: takes seconds or minutes where another test shows the rule; skipped unless --slow is given, as CI does",
    )
    config.addinivalue_line("markers", "in_repository: reads files beside the tests, so it is skipped outside")
    config.addinivalue_line("markers", "first: takes longest, so it begins first and the others run beside it")
    config.addinivalue_line(
        "markers", "settings(*lines): further lines of [tool.mainstay] of the project that is gated"
    )
    config.addinivalue_line(
        "markers", "package_index: installs from a package index, so it needs the network or a warm cache"
    )


@pytest.hookimpl(trylast=True)  # after the conftests of folders have marked their tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (not item.get_closest_marker("first"), "end_to_end" not in item.path.parts))
    skipped = {}
    if not (ROOT / "noxfile.py").exists():
        skipped["in_repository"] = "the tests stand outside the repository"
    if not config.getoption("--slow"):
        skipped["slow"] = "slow: run with --slow"
    for item in items:
        for marker, reason in skipped.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import everything without collections of garbage, and leave it out of those that follow.

    With PyTorch and what the tests compare with, a full collection takes half a second, and a session makes hundreds.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # extension modules report as leaked what is not collected at the end


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a command had written whose failure made a test fail: the error names its status alone."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        for name in ("stdout", "stderr"):
            written = getattr(error, name) or ""
            text = written.decode(errors="replace") if isinstance(written, bytes) else written
            report.sections += [(f"{name} of the command", text)] if text else []
    return report


@pytest.fixture
def start_process() -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """Start processes that are killed at the end of the test: one left by a failed test would be reported in another."""
    processes: list[subprocess.Popen[Any]] = []

    def start(command: list[str], **options: Any) -> subprocess.Popen[Any]:
        processes.append(subprocess.Popen(command, **options))
        return processes[-1]

    yield start
    for process in processes:
        with process:  # which waits for it, and closes its pipes
            process.kill()


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Whether a process that was told to end does so, or only waits for whoever inherited it."""

    def ends(pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            for _ in range(1200):  # a minute, which only a process that goes on takes
                if process.status() == psutil.STATUS_ZOMBIE:
                    return True
                time.sleep(0.05)
        except psutil.NoSuchProcess:  # it may vanish between any two calls
            return True
        return False

    return ends


@pytest.fixture
def own_git_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git commits as a maintainer, whatever the settings of this machine and its CI."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A maintainer")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "maintainer@example.invalid")


@pytest.fixture(scope="module")
def _thawed() -> Iterator[None]:
    """Give back to the collections of garbage what the tests of a module have made; not what was imported."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def few_objects(_thawed: None) -> None:
    """Collections of garbage, which counting and timing begin with and thaw everything after, leave out what is there.

    With PyTorch, each of them would take a fifth of a second.
    """
    gc.freeze()


@pytest.fixture
def new_kind(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Scale], Kind]:
    """Registers a scale under a name, as a line in :class:`Kind` would, until the end of the test."""

    def register(name: str, scale: Scale) -> Kind:
        kind = str.__new__(Kind, name)
        kind._name_, kind._value_, kind.scale = name.upper(), name, scale
        monkeypatch.setattr(Kind, "_member_names_", [*Kind._member_names_, kind._name_])
        monkeypatch.setitem(Kind._member_map_, kind._name_, kind)
        monkeypatch.setitem(Kind._value2member_map_, name, kind)
        return kind

    return register


@pytest.fixture
def fresh_schema() -> Iterator[None]:
    """The schema of run documents is made when it is first asked for; here anew, and again for the tests that follow."""
    from mainstay.store import documents  # here, since the tests of the worker have no need of it

    for cached in (documents.run_schema, documents._validator):
        cached.cache_clear()
    yield
    for cached in (documents.run_schema, documents._validator):
        cached.cache_clear()


@pytest.fixture
def sample_run():
    """The smallest run that says something."""
    metric = Metric(workload="w", name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
    finding = Finding(metric=metric, verdict=Verdict.PASS, reason="identical on 2 seeds", method=Method.EXACT)
    plan = Plan(
        alpha=0.01,
        margin_level=0.05,
        looks=(5, 8),
        num_gated=1,
        seconds=900.0,
        fail_fast=False,
        inconclusive=3,
        salt="",
        threads=1,
        jobs=2,
    )
    revisions = [Revision(side=side, commit="c" * 40, tree="d" * 40, subject="s", name="n") for side in Side]
    return Run(
        id="20261123T120000-000",
        created="2026-11-23T12:00:00+00:00",
        mainstay_version="0.1.0",
        verdict=Verdict.PASS,
        reason="no metric degraded by more than its margin",
        exit_status=0,
        baseline=revisions[0],
        candidate=revisions[1],
        environments=(),
        machine=Machine(system="Linux", architecture="x86_64", processor="p", num_cores=2, memory_bytes=1),
        plan=plan,
        findings=(finding,),
        workloads=(WorkloadResult(id="w", kind=Kind.ACCURACY, status="judged"),),
    )


@pytest.fixture
def serve():
    """Start package indexes on this machine that want a password and end with the test."""
    started = []

    def start(*arguments, **options):
        started.append(Index(*arguments, **options))
        return started[-1]

    yield start
    for index in started:
        index.server.shutdown()
        index.server.server_close()
