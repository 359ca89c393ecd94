"""Pairs over a real cluster of Dask, whose workers are killed, are missing, or are of another kind."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import cluster as clusters
from mainstay.commands import host
from mainstay.commands.cluster import Cluster, ClusterExecutor, connected, deployed
from mainstay.measuring.loop import SilentObserver
from mainstay.project.configuration import Configuration
from mainstay.records.errors import ClusterError
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.revisions.workspace import Prepared
from mainstay.workers.machine import describe_host
from mainstay.workers.pairs import PairRequest, PairResult
from tests.dask_cluster import DaskCluster

pytest.importorskip("distributed")

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("default")  # those of another project


@pytest.fixture
def cluster(tmp_path):
    """A cluster whose processes can import this module."""
    with closing(DaskCluster(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)})) as cluster:
        yield cluster


def request_of(pair):
    return PairRequest(workload="w", seed=pair, pair=pair, sides=(Side.BASELINE,), seconds_left=600.0)


def result_of(request, place):
    trial = Trial(
        workload="w", side=Side.BASELINE, seed=request.seed, pair=request.pair, outcome=Outcome.COMPLETED, cause=place
    )
    return PairResult(request=request, trials=(trial,))


def far(seconds, request, known):
    time.sleep(seconds)
    return result_of(request, "far")


def near(request, known):
    return result_of(request, "near")


@pytest.fixture
def places(cluster):
    """Lets the cluster measure some pairs; gives where each was, and what was kept of the far ones."""

    def places(num_pairs, seconds, meanwhile):
        from distributed import Client

        kept = []
        with Client(cluster.address, set_as_default=False) as client, ThreadPoolExecutor(1) as local:
            executor = ClusterExecutor(client, partial(far, seconds), local=local, keep_trial=kept.append, patience=2.0)
            with closing(executor):
                futures = [executor.submit(near, request_of(pair), ()) for pair in range(num_pairs)]
                meanwhile(futures)
                found = [future.result(timeout=120).trials[0].cause for future in futures]
        return found, [trial.pair for trial in kept], executor.notes

    return places


def test_the_workers_measure_and_every_trial_is_kept(cluster, places):
    cluster.add_worker("--nthreads", "2")

    found, kept, notes = places(4, 0.0, lambda _: None)

    assert (found, sorted(kept), notes) == (["far"] * 4, [0, 1, 2, 3], [])


def test_what_a_killed_worker_was_measuring_is_measured_by_another(cluster, places):
    killed, _ = (cluster.add_worker("--nthreads", "1") for _ in range(2))

    found, kept, notes = places(4, 1.0, lambda futures: (futures[0].result(), killed.kill()))

    assert (found, sorted(kept), notes) == (["far"] * 4, [0, 1, 2, 3], [])


def test_what_no_worker_is_left_for_is_measured_here(cluster, places):
    killed = cluster.add_worker("--nthreads", "1")

    found, kept, notes = places(3, 1.0, lambda futures: (futures[0].result(), killed.kill()))

    assert found == ["far", "near", "near"]
    assert kept == [0]
    assert notes == ["2 pairs were measured on this machine, since the cluster lost them"]


def test_trials_of_a_host_that_was_tampered_with_are_told_and_not_kept():
    def remote(request, known):
        tampering = ("the workloads (a.py)",) if request.pair else ()
        return replace(result_of(request, "far"), tampering=tampering)

    kept = []
    with ThreadPoolExecutor(1) as far_away, ThreadPoolExecutor(1) as local:
        client = SimpleNamespace(get_executor=lambda *, pure: far_away, nthreads=lambda: {"worker": 1})
        with closing(ClusterExecutor(client, remote, local=local, keep_trial=kept.append)) as executor:
            futures = [executor.submit(near, request_of(pair), ()) for pair in range(3)]
            assert all(future.result(timeout=60) for future in futures)

    assert executor.tampering == ["the workloads (a.py)"]
    assert [trial.pair for trial in kept] == [0]


def interrupt():
    raise KeyboardInterrupt


def test_changes_that_a_host_found_are_known_after_an_interruption(monkeypatch):
    def measure(digest, request, known, *, together):
        return replace(result_of(request, "far"), tampering=("the workloads (a.py)",))

    for name in ("pack", "_prepare_all", "_plugin"):
        monkeypatch.setattr(clusters, name, lambda *_: None)
    monkeypatch.setattr(host, "Parcel", lambda **_: SimpleNamespace(digest="d"))
    monkeypatch.setattr(host, "measure", measure)
    session: Any = SimpleNamespace(
        configuration=Configuration(), observer=SilentObserver(), repository=None, start=SimpleNamespace(revisions={})
    )
    harness: Any = SimpleNamespace(resolutions={}, prepared=Prepared(variables={}, notice=""))
    with ThreadPoolExecutor(1) as far_away, ThreadPoolExecutor(1) as local:
        client = SimpleNamespace(
            get_executor=lambda *, pure: far_away,
            nthreads=lambda: {"worker": 1},
            register_plugin=lambda *_, **__: None,
        )
        cluster = Cluster(client=client, address="", num_threads={"worker": 1})
        with suppress(KeyboardInterrupt), deployed(cluster, session, harness, local, lambda _: None) as site:
            site.executor.submit(near, request_of(0), ()).result(timeout=60)
            interrupt()

    assert cluster.tampering == ["the workloads (a.py)"]


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ClusterError, match="not installed") as error, connected("tcp://127.0.0.1:1"):
        pass
    assert "mainstay[cluster]" in error.value.next_step
    assert error.value.exit_status == 4


def test_an_address_without_a_scheduler_is_told(monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1.0)

    with pytest.raises(ClusterError, match="no scheduler answers there") as error, connected("tcp://127.0.0.1:1"):
        pass
    assert error.value.looked_in == "tcp://127.0.0.1:1"
    assert "dask scheduler" in error.value.next_step


def test_a_scheduler_without_workers_is_told(monkeypatch, cluster):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1.0)

    with pytest.raises(ClusterError, match="the scheduler has no workers"), connected(cluster.address):
        pass


def test_workers_like_this_machine_are_counted(cluster):
    cluster.add_worker("--nthreads", "3")

    with connected(cluster.address) as found:
        assert list(found.num_threads.values()) == [3]


def test_a_worker_of_another_mainstay_or_another_kind_of_device_is_refused(cluster, tmp_path):
    metadata = tmp_path / "other" / "mainstay-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: mainstay\nVersion: 9.9\n")
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho NVIDIA H200\n")
    program.chmod(0o755)
    with_device = cluster.add_worker(PATH=f"{program.parent}:/usr/bin:/bin")

    with pytest.raises(ClusterError, match="the kind of device is .* with NVIDIA H200"), connected(cluster.address):
        pass
    with_device.kill()
    with_device.wait()
    cluster.add_worker(PYTHONPATH=str(metadata.parents[1]))
    with pytest.raises(ClusterError, match="the version of mainstay is 9.9, here"), connected(cluster.address):
        pass


def test_a_worker_of_another_python_is_refused(cluster, monkeypatch):
    other = replace(describe_host(), python="3.99.0")
    cluster.add_worker()
    monkeypatch.setattr(clusters, "describe_host", lambda: other)

    with pytest.raises(ClusterError, match="Python is .*, here 3.99.0"), connected(cluster.address):
        pass
