"""A gate's accuracy over a Dask cluster; times and memory never leave the machine of the gate.

The cluster's scheduler decides which worker measures a pair. Both trials of a pair run on one worker, and the pair is
journalled here as soon as it arrives. A pair whose worker is killed is measured again on another worker, and on this
machine if none is left.

- :func:`connected`: the :class:`Cluster` at an address, checked before anything is built.
- :func:`deployed`: the :class:`~mainstay.measuring.loop.Site` where accuracy is measured, for an open harness.
- :class:`ClusterExecutor`: measures pairs on the cluster, and here if the cluster fails.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mainstay.commands import host
from mainstay.commands.harness import Harness
from mainstay.commands.session import Session
from mainstay.measuring.loop import Site
from mainstay.records.errors import ClusterError, MainstayError
from mainstay.records.trials import Trial
from mainstay.revisions.carrying import pack
from mainstay.revisions.workspace import input_digests
from mainstay.workers.machine import describe_host
from mainstay.workers.pairs import PairRequest, PairResult

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10.0
"""Longest time until a scheduler answers and has a worker."""

PATIENCE_SECONDS = 30.0
"""Time without any worker after which the cluster is given up; a worker that is restarted comes back earlier."""

LOOK_SECONDS = 1.0
"""Time between two looks at whether the cluster still has workers."""

ADVICE = "start one with 'dask scheduler' and 'dask worker ADDRESS', or gate without --cluster"
"""What to do if there is no cluster."""


@dataclass(kw_only=True, slots=True)
class Cluster:
    """A cluster whose workers are like this machine.

    Attributes:
        client: The connection.
        address: Address of the scheduler, as the user gave it.
        num_threads: Number of threads of each worker, by its address.
        tampering: Forbidden changes that the hosts have found after a pair.
        notes: Notes for the reader.
    """

    client: Client
    address: str
    num_threads: dict[str, int]
    tampering: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to a scheduler, and check that its workers are like this machine.

    Args:
        address: Address of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises:
        ClusterError: If the package distributed is not installed, no scheduler answers, it has no workers, or one of
            them has another Python, mainstay or kind of device.
    """
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            "a cluster needs the package distributed, which is not installed",
            next_step="pip install 'mainstay[cluster]', here and for the workers",
        ) from error
    warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)  # told below, as an error
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError("no scheduler answers there", looked_in=address, next_step=ADVICE) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ClusterError("the scheduler has no workers", looked_in=address, next_step=ADVICE) from error
        _require_alike(client, address)
        num_threads = dict(client.nthreads())
        yield Cluster(client=client, address=address, num_threads=num_threads)


def _require_alike(client: Client, address: str) -> None:
    """Refuse workers that cannot measure for a gate on this machine.

    Raises:
        ClusterError: If there is one; the versions of Python are compared first, since other code cannot be sent then.
    """
    own = describe_host()
    found: dict[str, Any] = client.get_versions(packages=["mainstay"])["workers"]
    unlike = {}
    for worker, versions in found.items():
        python = ".".join(str(versions["host"]["python"]).split(".")[:3])
        tool = str(versions["packages"].get("mainstay") or "not installed")
        unlike[worker] = host.why_unlike(own, replace(own, python=python, mainstay=tool))
    if not any(unlike.values()):
        facts = client.run(describe_host)
        unlike = {worker: host.why_unlike(own, other) for worker, other in facts.items()}
    for worker, why in unlike.items():
        if why:
            raise ClusterError(
                f"the worker {worker} is not like this machine: {why}",
                looked_in=address,
                next_step="start workers from the same environment, on machines of the same kind",
            )


@contextmanager
def deployed(
    cluster: Cluster, session: Session, harness: Harness, local: Executor, keep_trial: Callable[[Trial], None]
) -> Iterator[Site]:
    """Build both revisions on all hosts, and release them afterwards.

    Args:
        cluster: The cluster.
        session: Session of the run.
        harness: Both revisions on this machine.
        local: Executor of this machine, for pairs that the cluster fails to measure.
        keep_trial: Called with each trial that arrives.

    Raises:
        ClusterError: If a host cannot build, or its ``prepare`` gives other data than here.
        GitError: If the revisions cannot be carried.
    """
    if shared := session.configuration.share:
        raise ClusterError(
            f"a cluster cannot read the shared inputs: {', '.join(shared)}",
            looked_in="share of [tool.mainstay]",
            next_step="let 'prepare' fetch them on each host, or gate in shards: 'mainstay trials --shard I/N'",
        )
    client = cluster.client
    session.observer.phase(f"environments of {len(cluster.num_threads)} workers")
    parcel = host.Parcel(
        carried=pack(session.repository, session.start.revisions),
        start=session.start,
        resolutions=harness.resolutions,
        review=harness.prepared.review,
        facts=describe_host(),
    )
    name = f"mainstay-{parcel.digest}"
    client.register_plugin(_plugin(parcel), name=name)
    together = min(cluster.num_threads.values()) > 1
    remote = partial(host.measure, parcel.digest, together=together)
    try:
        _prepare_all(cluster, parcel, harness)
        executor = ClusterExecutor(client, remote, local=local, keep_trial=keep_trial)
        try:
            with closing(executor):
                yield Site(
                    executor=executor,
                    num_at_once=sum(cluster.num_threads.values()),
                    num_processes=lambda request: len(request.sides) if together else 1,
                )
        finally:  # also of a gate that is interrupted, or it would be resumed without knowing
            cluster.tampering += executor.tampering
        cluster.notes += executor.notes
    finally:
        with suppress(Exception):  # what is left of a cluster that fails at the end does not change what was measured
            client.unregister_worker_plugin(name)
        with suppress(Exception):  # for the same reason
            client.run(host.release, parcel.digest, on_error="ignore")


def _plugin(parcel: host.Parcel) -> Any:
    """A plugin that gives the parcel to every worker, including those that start later."""
    from distributed import WorkerPlugin

    class Delivery(WorkerPlugin):  # type: ignore[misc]  # it is Any
        """Delivers the parcel."""

        def setup(self, worker: Any) -> None:
            """Deliver it to a worker that starts or runs already."""
            host.receive(parcel)

    return Delivery()


def _prepare_all(cluster: Cluster, parcel: host.Parcel, harness: Harness) -> None:
    """Let every worker build, or wait until another worker of its host has built."""
    client = cluster.client
    own = input_digests(harness.prepared.variables, harness.scratch) or {}
    futures = {
        worker: client.submit(host.prepare, parcel.digest, workers=[worker], pure=False)
        for worker in cluster.num_threads
    }
    for worker, future in futures.items():
        try:
            inputs = future.result()
        except MainstayError as error:
            raise ClusterError(
                f"{worker}: {error}", looked_in=cluster.address, next_step="correct that worker, or gate without it"
            ) from error
        if inputs != own:
            raise ClusterError(
                f"'prepare' gives other data on the worker {worker} than on this machine",
                looked_in=cluster.address,
                next_step="let it fetch the same data everywhere",
            )


def _lost() -> tuple[type[BaseException], ...]:
    """Errors which mean that the cluster lost a pair, not that the pair cannot be measured."""
    from distributed.scheduler import KilledWorker

    return (KilledWorker, CancelledError, TimeoutError, OSError)


@dataclass(eq=False)
class ClusterExecutor(Executor):
    """Executor that measures pairs on a cluster instead of this machine.

    A pair that the cluster loses for good, because each of its workers was killed or none is left, is measured here.

    Attributes:
        client: Connection to the cluster.
        remote: Function that the workers call with the arguments of a pair; it can be pickled.
        local: Executor of this machine.
        keep_trial: Called with each trial that arrives from the cluster, unless its host was tampered with.
        patience: Seconds without any worker after which the cluster is given up.
        tampering: Forbidden changes that came with the pairs, once each.
    """

    client: Client
    remote: Callable[..., PairResult]
    _: KW_ONLY
    local: Executor
    keep_trial: Callable[[Trial], None]
    patience: float = PATIENCE_SECONDS
    tampering: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._cluster = self.client.get_executor(pure=False)
        self._under_way: set[Future[PairResult]] = set()
        self._settling = ThreadPoolExecutor(1)  # the thread of the connection must not wait for a disk
        self._is_lost = self._is_closed = False
        self._num_local = 0
        self._watch = threading.Thread(target=self._watch_workers, daemon=True)
        self._watch.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Measure a pair on the cluster, or here with ``fn`` if it is lost.

        Args:
            fn: Function that measures a pair on this machine.
            args: The request, and the known trials of the pair.
            kwargs: Not used.
        """
        outer: Future[Any] = Future()
        outer.set_running_or_notify_cancel()
        if self._is_lost:
            self._measure_here(outer, fn, *args)
            return outer
        begun = time.monotonic()
        inner = self._cluster.submit(self.remote, *args)
        self._under_way.add(inner)

        def settle_soon(done: Future[PairResult]) -> None:
            with suppress(RuntimeError):  # it came when nobody was waiting any more
                self._settling.submit(self._settle, outer, done, begun, fn, *args)

        inner.add_done_callback(settle_soon)
        return outer

    @property
    def notes(self) -> list[str]:
        """A note on pairs that were measured on this machine; none if there were none."""
        pairs = "1 pair was" if self._num_local == 1 else f"{self._num_local} pairs were"
        return [f"{pairs} measured on this machine, since the cluster lost them"] if self._num_local else []

    def close(self) -> None:
        """Cancel what is under way, and end the watch over the workers."""
        self._is_closed = True
        for future in list(self._under_way):
            future.cancel()
        self._watch.join()
        self._settling.shutdown()

    def _settle(
        self, outer: Future[Any], inner: Future[PairResult], begun: float, fn: Callable[..., Any], *args: Any
    ) -> None:
        """Pass on a result; a pair that was lost is measured here in the time that is left."""
        self._under_way.discard(inner)
        try:
            result = inner.result()
            self.tampering += [change for change in result.tampering if change not in self.tampering]
            for trial in () if result.tampering else result.trials:
                self.keep_trial(trial)
        except _lost() as error:
            if self._is_closed:
                outer.set_exception(ClusterError(f"the gate ended: {error}"))
                return
            request: PairRequest = args[0]
            left = request.seconds_left - (time.monotonic() - begun)
            self._measure_here(outer, fn, replace(request, seconds_left=left), *args[1:])
        except MainstayError as error:
            outer.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the gate must not wait for this pair
            outer.set_exception(ClusterError(f"a worker cannot measure: {type(error).__name__}: {error}"))
        else:
            outer.set_result(result)

    def _measure_here(self, outer: Future[Any], fn: Callable[..., Any], *args: Any) -> None:
        self._num_local += 1

        def pass_on(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                outer.set_result(done.result())
            else:
                outer.set_exception(error)

        self.local.submit(fn, *args).add_done_callback(pass_on)

    def _watch_workers(self) -> None:
        """Give the cluster up once it has had no worker for longer than the patience."""
        last_seen = time.monotonic()
        while not self._is_closed and not self._is_lost:
            with suppress(Exception):  # a scheduler that does not answer has no workers
                if self.client.nthreads():
                    last_seen = time.monotonic()
            if time.monotonic() - last_seen > self.patience:
                self._is_lost = True
                for future in list(self._under_way):
                    future.cancel()
            time.sleep(LOOK_SECONDS)
