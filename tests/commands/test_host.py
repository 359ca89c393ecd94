"""A host of a cluster: what its worker processes are told of the environments that they share."""

import json
import os
import shutil
import threading

import pytest

from mainstay.commands import host
from mainstay.commands.start import Start
from mainstay.records.findings import MeasuredWith
from mainstay.records.runs import Revision
from mainstay.records.trials import Side
from mainstay.revisions.carrying import Carried
from mainstay.revisions.uv_commands import cache_folder
from mainstay.store.files import write_text
from mainstay.store.journal import CONVERTER
from mainstay.workers.machine import describe_host
from mainstay.workers.pairs import PairRequest, PairResult

fcntl = pytest.importorskip("fcntl")  # Windows has none

REQUEST = PairRequest(workload="w", seed=0, pair=0, sides=(Side.BASELINE,))


class StandInKeeper(threading.Thread):
    """Keeps the environments of a host as their own process does, in a thread of the test."""

    def __init__(self, folder, changes):
        super().__init__()
        self._folder, self._changes = folder, changes
        self._killed = threading.Event()
        self._lock = (folder / host.KEPT).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._lock.write(self.name)
        self._lock.flush()
        built = host.Built(specs={MeasuredWith.SHARED: {}}, inputs={})
        (folder / host.READY).write_text(json.dumps(CONVERTER.unstructure(built)))
        self.start()

    def run(self):
        while not self._killed.wait(0.01):
            if (question := self._folder / host.CHECK).exists():
                answer = {"of another process": [], question.read_text(): self._changes}
                question.unlink()
                write_text(self._folder / host.CHANGES, json.dumps(answer))

    def kill(self):
        self._killed.set()
        self.join()
        self._lock.close()


@pytest.fixture
def keepers(monkeypatch, tmp_path):
    """The keepers that were started on this host, which find a changed file; pairs are not measured."""
    keepers = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        host._Use, "_start_keeper", lambda use: keepers.append(StandInKeeper(use._folder, ["the workloads (a.py)"]))
    )
    monkeypatch.setattr(host, "run_pair", lambda specs, request, *_, **__: PairResult(request=request, trials=()))
    yield keepers
    for keeper in keepers:
        keeper.kill()


@pytest.fixture
def parcel():
    revisions = {side: Revision(side=side, commit="0" * 40, tree="", subject="", name="") for side in Side}
    parcel = host.Parcel(
        carried=Carried(objects=b"", commits={}, folder="", version="0"),
        start=Start(
            baseline=revisions[Side.BASELINE],
            candidate=revisions[Side.CANDIDATE],
            notes=(),
            salt="",
            created="2026-01-01T00:00:00+00:00",
            seconds=1.0,
            fail_fast=False,
        ),
        resolutions={},
        review="",
        facts=describe_host(),
    )
    host.receive(parcel)
    yield parcel
    host.release(parcel.digest)


def test_a_pair_is_returned_with_the_changes_on_its_host(keepers, parcel):
    host.prepare(parcel.digest)

    result = host.measure(parcel.digest, REQUEST, (), together=False)

    assert result.tampering == ("the workloads (a.py)",)
    assert result.request == REQUEST


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda folder: None, id="killed"),
        pytest.param(shutil.rmtree, id="removed"),
        pytest.param(lambda folder: StandInKeeper(folder, []), id="replaced"),
    ],
)
def test_a_host_whose_environments_nobody_kept_counts_as_tampered_with(keepers, parcel, end):
    host.prepare(parcel.digest)
    keepers[0].kill()
    (folder,) = (cache_folder() / "hosts").glob(parcel.digest)
    if another := end(folder):
        keepers.append(another)

    result = host.measure(parcel.digest, REQUEST, (), together=False)

    assert result.tampering == ("the process that kept the environments of a host was killed",)


@pytest.mark.parametrize("held", [host.KEPT, host.USERS, "lock"])
def test_what_no_process_keeps_or_uses_any_more_is_removed_and_nothing_else(tmp_path, held):
    for name in ("killed", "held", "young"):
        (tmp_path / name / "repository").mkdir(parents=True)
        for file in (host.KEPT, host.USERS):
            (tmp_path / name / file).touch()
    for name in ("killed", "held", "failed"):
        (tmp_path / f"{name}.lock").touch()
        os.utime(tmp_path / f"{name}.lock", (0, 0))
    (tmp_path / "young.lock").touch()
    with (tmp_path / ("held.lock" if held == "lock" else f"held/{held}")).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        host._sweep(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["held", "held.lock", "young", "young.lock"]
    assert (tmp_path / "held" / "repository").exists()
