"""Timed workloads: calls of a function in blocks, at the gate's command.

- :class:`Benchmark`: the ``benchmark`` fixture, with the interface of pytest-benchmark.
- :class:`ImportTimer`: the ``import_timer`` fixture.
- :class:`CallTimer`: timing of calls.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import math
import numbers
import operator
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from time import perf_counter  # bound here: a workload that patches the module's clock must not change what is measured
from typing import Any, TypeVar

import pytest

from .accelerators import accelerators_in_use, has_accelerator_open
from .background import OtherThreads
from .block_statistics import BenchmarkStatistics
from .digests import RecordingError
from .importing import probe_import
from .lazy import refuse_lazy_function, refuse_lazy_result
from .markers import WHOLE_TEST_MARKERS
from .processes import peak_memory_bytes
from .protocol import BLOCK_SECONDS, Block, Command, Event, Ready, Recorded
from .ready_metrics import READY_METRICS, values_of_blocks
from .recording import json_number
from .run_delay import RunDelayMeter
from .started_threads import ThreadWatch

WARM_UP_SECONDS = 0.1
"""Duration of the warm-up calls before the first block, in seconds, unless two calls take longer; it is that of asv."""

UNJUDGED_SECONDS = 0.02
"""Duration of the first warm-up calls, which are ignored in judging whether the calls work alone."""

MOST_TIMELESS_CALLS = 1_000_000
"""Number of calls that may take no time by a coarse clock; if there are more, the clock does not advance."""

MEMORY_CALLS = 3
"""Number of calls for the peak memory: later calls reuse what the first ones allocate."""

SHORT_ROUND_SECONDS = 0.1
"""Wall-clock time of a round with its set-up and teardown, up to which it is repeated for as long as the gate measures."""

Returned = TypeVar("Returned")

Arguments = tuple[Sequence[Any], Mapping[str, Any]]
"""Positional and named arguments of a call."""

TimeAndDelay = tuple[float, float]
"""Seconds without the run delay, and the run delay that was subtracted."""


@dataclass(frozen=True)
class Limit:
    """How many rounds a workload asks for.

    Attributes:
        rounds: Maximum number of timed rounds.
        warmup_rounds: Number of warm-up rounds before them, if any is named.
        has_setup: Whether each round has its own set-up, so that short ones may be repeated more often.
    """

    rounds: int
    warmup_rounds: int = 0
    has_setup: bool = False


@dataclass(eq=False)
class CallTimer:
    """Timer for calls of one function.

    Attributes:
        target: The function to time.
        arguments: Function that gives the arguments of a round; its time does not count.
        teardown: Called after a round with its arguments; its time does not count.
        iterations: Number of calls in a round.
        times_each: Whether every call is timed separately, as needed for latencies.
        disable_gc: Whether the garbage collector is switched off during a round.
        clock: Function that gives the time in seconds.
        run_delay: Meter of the time that the thread waited for a core, which does not count.
        latencies: Time of each call without its run delay, and that delay, if they are timed separately.
        result: What the last call returned.
        others: Meter of the time for which other threads keep this one waiting, which counts.
    """

    target: Callable[..., Any]
    arguments: Callable[[], Arguments]
    _: KW_ONLY
    teardown: Callable[..., Any] | None
    iterations: int
    times_each: bool
    disable_gc: bool
    clock: Callable[[], float]
    run_delay: RunDelayMeter
    latencies: list[TimeAndDelay] = field(default_factory=list, init=False)
    result: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.others = OtherThreads(self.clock, self.run_delay)

    def forget(self) -> None:
        """Leave out what was timed so far, as a warm-up."""
        self.latencies.clear()
        self.others.forget()

    def time_rounds(self, rounds: int) -> float:
        """Sum the time of some rounds, in seconds."""
        return math.fsum(self._time_round() for _ in range(rounds))

    def time_calls(self, calls: int) -> float:
        """Time a number of successive calls with the same arguments, in seconds."""
        args, kwargs = self.arguments()
        return self._time_span(calls, args, kwargs)

    def _time_round(self) -> float:
        args, kwargs = self._untimed(self.arguments)
        try:
            return self._time_span(self.iterations, args, kwargs)
        finally:
            if self.teardown:
                self._untimed(partial(self.teardown, *args, **kwargs))

    def _untimed(self, function: Callable[[], Returned]) -> Returned:
        """Call what counts neither as a call nor as a wait."""
        with self.others.left_out():
            return function()

    def _time_span(self, calls: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        """Time some calls, one by one if each is a latency, with the garbage collector as it is wanted."""
        time_together = partial(self._time_together, accelerators_in_use(), args, kwargs)
        was_enabled = gc.isenabled()
        if self.disable_gc:
            gc.disable()
        try:
            if self.times_each:
                spans = [time_together(1) for _ in itertools.repeat(None, calls)]
                self.latencies += spans
            else:
                spans = [time_together(calls)]
        finally:
            if was_enabled:
                gc.enable()
        refuse_lazy_result(self.result)
        return math.fsum(seconds for seconds, _ in spans)

    def _time_together(
        self, waits: Sequence[Callable[[], None]], args: Sequence[Any], kwargs: Mapping[str, Any], calls: int
    ) -> TimeAndDelay:
        target, clock, run_delay, others = self.target, self.clock, self.run_delay, self.others
        for wait in waits:
            self._untimed(wait)
        before = run_delay.read()
        others.begin_span()
        start = clock()
        for _ in itertools.repeat(None, calls):
            self.result = target(*args, **kwargs)
        for wait in waits:
            wait()
        seconds = clock() - start
        others.end_span()
        run_delay_s = run_delay.take_off(before, seconds)  # at once, so that it covers no more than the calls
        if not waits and (first_used := accelerators_in_use()):  # by these calls
            for wait in first_used:
                self._untimed(wait)
            seconds = clock() - start
        return seconds - run_delay_s, run_delay_s


class Benchmark:
    """The ``benchmark`` fixture under the gate: pytest-benchmark's interface, timed block by block at its command.

    The gate chooses rounds, warm-up and their lengths, which are the same for both revisions. Only the argument
    ``rounds`` of ``pedantic`` is respected, as an upper limit of the number of rounds, unless a set-up makes each of
    them anew and they are short.

    Args:
        node: The test.
        channel: The pipes to the gate.
        metrics: Names of the gated metrics.
        clock: Function that gives the time in seconds.
        run_delay: Meter of the time that the process waited for a core, which does not count.
    """

    def __init__(
        self,
        node: Any,
        *,
        channel: Any,
        metrics: Iterable[str] = ("call_time",),
        clock: Callable[[], float] = perf_counter,
        run_delay: RunDelayMeter | None = None,
    ) -> None:
        markers = (node.get_closest_marker(name) for name in WHOLE_TEST_MARKERS)
        options = next((dict(marker.kwargs) for marker in markers if marker), {})
        callspec = getattr(node, "callspec", None)
        self.name = node.name
        self.fullname = node.nodeid
        self.param = callspec.id if callspec else None
        self.params = callspec.params if callspec else None
        self.group = options.get("group")
        self.extra_info: dict[str, Any] = {}
        self.disabled = False
        self.has_error = False
        self.skipped = False
        self.cprofile: Any = None
        self.cprofile_loops = self.cprofile_dump = self.cprofile_stats = None
        self.stats: BenchmarkStatistics | None = None
        self.waited_s = 0.0
        self.run_delay = RunDelayMeter() if run_delay is None else run_delay
        self.misuse = ""
        self._options = options
        self._disable_gc = bool(options.get("disable_gc", False))
        self._channel = channel
        self._metrics = frozenset(metrics)
        self._ready = {name: READY_METRICS[name] for name in self._metrics & READY_METRICS.keys()}
        self._clock = clock
        self._mode = ""
        self._block_times_s: list[float] = []
        self._num_calls = 0
        self._iterations = 1
        self._latencies_s: list[float] = []
        self._sizes: dict[str, float] = {}
        self._rollbacks: list[Callable[[], Any]] = []
        self._threads = ThreadWatch()

    @property
    def enabled(self) -> bool:
        """Always true, since gated workloads are always measured."""
        return not self.disabled

    def __call__(self, function_to_benchmark: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Time calls of a function with these arguments; returns the result of one more call."""
        self.claim("benchmark(...)")
        timer = self._timer(function_to_benchmark, lambda: (args, kwargs))
        self.measure(timer.time_calls, timer=timer)
        return function_to_benchmark(*args, **kwargs)

    def pedantic(  # noqa: PLR0917 - the signature of pytest-benchmark
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Arguments | None] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Time rounds of a function; the set-up and teardown of each round are not timed.

        Args:
            target: The function to time.
            args: Positional arguments of every call.
            kwargs: Named arguments of every call.
            setup: Called before each round; may return the arguments.
            teardown: Called after each round with the arguments.
            rounds: Maximum number of timed rounds; more are run after a set-up each if a round with it is short.
            warmup_rounds: Number of rounds before these.
            iterations: Number of calls in a round.

        Returns:
            The result of the last call.
        """
        self.claim("benchmark.pedantic(...)")
        _require_count("iterations", iterations, least=1)
        _require_count("rounds", rounds, least=1)
        _require_count("warmup_rounds", warmup_rounds, least=0)
        if iterations > 1 and setup:
            raise ValueError(f"setup needs one iteration per round, not {iterations}")
        given: Arguments = (args, kwargs or {})
        set_up = _naming_rounds(setup, rounds + warmup_rounds) if setup else None

        def arguments() -> Arguments:
            made = set_up() if set_up else None
            if made and (args or kwargs):
                raise TypeError("the arguments come from setup or from args and kwargs, not from both")
            return made or given

        self._iterations = iterations
        timer = self._timer(target, arguments, teardown=teardown, iterations=iterations)
        limit = Limit(rounds, warmup_rounds, has_setup=setup is not None)
        self.measure(timer.time_rounds, timer=timer, limit=limit)
        if not self._num_calls and not self._sizes:
            timer.time_rounds(1)
        return timer.result

    def weave(self, target: Any, **options: Any) -> None:
        """Put the timed call in the place of a function, until the test ends: what calls that function is then timed.

        Args:
            target: The function, as aspectlib takes it: itself, or its full name.
            **options: Those of ``aspectlib.weave``.

        Raises:
            RecordingError: If aspectlib is not installed.
        """
        try:
            aspectlib = importlib.import_module("aspectlib")
        except ImportError:
            self.misuse = (
                f"benchmark.weave and benchmark.patch need the package aspectlib, asked for {target!r}: add aspectlib to the "
                "dependency group of the benchmarks, or call benchmark(function, ...)"
            )
            raise RecordingError(self.misuse) from None

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                return self(function, *args, **kwargs)

            return call  # a function, which binds where it takes the place of a method

        self._rollbacks.append(aspectlib.weave(target, timed, **options).rollback)

    patch = weave

    def restore(self) -> None:
        """Put back the functions that :meth:`weave` replaced."""
        while self._rollbacks:
            self._rollbacks.pop()()

    def measure(
        self,
        time_calls: Callable[[int], float],
        *,
        timer: CallTimer | None = None,
        limit: Limit | None = None,
        warm_up_s: float = WARM_UP_SECONDS,
    ) -> None:
        """Warm up, then measure blocks as the gate asks.

        Args:
            time_calls: Function that makes a number of calls and returns their time in seconds.
            timer: Timer of the calls, unless they are made in other processes.
            limit: Numbers of warm-up calls and of timed calls; ``None`` for any number.
            warm_up_s: Duration of warm-up calls if their number is not given; at least one call is made.
        """
        try:
            with self.run_delay:
                self._measure(time_calls, timer, limit, warm_up_s)
        except RecordingError as error:
            self.misuse = str(error)  # it counts even if the test catches it
            raise
        except Exception:
            self.has_error = True
            raise

    def _measure(
        self,
        time_calls: Callable[[int], float],
        timer: CallTimer | None,
        limit: Limit | None,
        warm_up_s: float,
    ) -> None:
        if any(metric.is_alone for metric in self._ready.values()):
            self._sizes = self._measure_memory(time_calls, limit.rounds if limit else MEMORY_CALLS)
            return
        self.run_delay.ignores_children = True  # until a block is timed in turns
        if limit:
            ready = self._warm_up_rounds(self._forgetting_first(time_calls), limit)
        else:
            ready = _warm_up(self._forgetting_first(time_calls, UNJUDGED_SECONDS), warm_up_s)
        if not has_accelerator_open():
            ready["works_alone"] = self.run_delay.works_alone
            starts_threads = not timer or self._threads.has_seen_one
            ready["fits_one_core"] = ready["works_alone"] or (self.run_delay.fits_one_core and not starts_threads)
        if timer:
            timer.forget()
        gc.collect()
        gc.freeze()
        try:
            self._obey(time_calls, ready, timer)
        finally:
            gc.unfreeze()

    def _timer(
        self,
        target: Callable[..., Any],
        arguments: Callable[[], Arguments],
        *,
        teardown: Callable[..., Any] | None = None,
        iterations: int = 1,
    ) -> CallTimer:
        try:
            refuse_lazy_function(target)
        except RecordingError as error:
            self.misuse = str(error)
            raise
        return CallTimer(
            target,
            arguments,
            teardown=teardown,
            iterations=iterations,
            times_each=any(metric.from_calls for metric in self._ready.values()),
            disable_gc=self._disable_gc,
            clock=self._clock,
            run_delay=self.run_delay,
        )

    def claim(self, mode: str) -> None:
        """Refuse a second use: two timed functions would share one metric."""
        if self._mode:
            self.has_error = True
            self.misuse = f"benchmark was used twice, by {self._mode} and {mode}: write a test for each"
            raise RecordingError(self.misuse)
        self._mode = mode

    def _forgetting_first(self, time_calls: Callable[[int], float], least_s: float = 0.0) -> Callable[[int], float]:
        """The same function; its later uses alone tell whether the calls work alone.

        What was found in the first one is forgotten, since it may compile or import, and likewise what was found before the
        calls have taken ``least_s``, since plugins start threads for each test.
        """
        spent_s = 0.0
        is_first, is_judged = True, False

        def time_later_calls(calls: int) -> float:
            nonlocal spent_s, is_first, is_judged
            if not is_judged:
                self.run_delay.forget()
                self._threads = ThreadWatch()
            is_judged = not is_first and spent_s >= least_s
            is_first = False
            seconds = time_calls(calls)
            spent_s += seconds
            return seconds

        return time_later_calls

    def _warm_up_rounds(self, time_rounds: Callable[[int], float], limit: Limit) -> Ready:
        """Make the first rounds; whether they work alone is left to the caller.

        Some are taken from the timed ones if no number of warm-up rounds is named, and one if that number is one. If each
        has a set-up, at least one is made. Where it takes long, a second one, if there may be one, tells whether this is so
        of the first round alone. Short ones are then made until they have taken as long as a block.
        """
        spare = limit.rounds // 4
        rounds, taken = (limit.warmup_rounds, 0) if limit.warmup_rounds else (spare, spare)
        if limit.warmup_rounds == 1 and spare:
            rounds, taken = 2, 1
        rounds = max(rounds, 1) if limit.has_setup else rounds
        is_unsure = limit.has_setup and rounds == 1 < limit.rounds and not limit.warmup_rounds
        wall_s, made, ready = 0.0, 0, Ready(call_s=None, wall_s=None, left=None, works_alone=False, fits_one_core=False)
        while made < rounds:
            start = self._clock()
            ready["call_s"] = time_rounds(1)
            ready["wall_s"] = wall_s = self._clock() - start
            made += 1
            if is_unsure and made == 1 and wall_s > SHORT_ROUND_SECONDS:
                rounds, taken = 2, taken + 1
        ready["left"] = limit.rounds - taken
        if not limit.has_setup or wall_s > SHORT_ROUND_SECONDS:
            return ready
        made, spent, start = 0, 0.0, self._clock()
        while not made or (spent < BLOCK_SECONDS and self._clock() < start + WARM_UP_SECONDS):
            spent, made = spent + time_rounds(1), made + 1
        return Ready(
            call_s=spent / made,
            wall_s=(self._clock() - start) / made,
            left=None,
            works_alone=False,
            fits_one_core=False,
        )

    def _obey(self, time_calls: Callable[[int], float], ready: Ready, timer: CallTimer | None) -> None:
        """Run the blocks that the gate asks for; their times are those of one iteration of each round."""
        blocks: list[TimeAndDelay] = []
        self._channel.send(Event.READY, **ready)
        while (command := self._receive())["do"] == Command.BLOCK:
            calls, taken_off_s = command["calls"], self.run_delay.total_s
            self.run_delay.ignores_children = command["is_sliced"]
            seconds = time_calls(calls)
            seconds = (seconds + (timer.others.end_block() if timer else 0.0)) / self._iterations
            run_delay_s = (self.run_delay.total_s - taken_off_s) / self._iterations
            is_known = self.run_delay.is_known
            if not is_known:  # it may have been known for the first calls of the block
                seconds, run_delay_s = seconds + run_delay_s, 0.0
            if seconds <= 0:
                raise RecordingError(f"the clock stepped: a block of {calls} calls took {seconds:g} s")
            if command["is_sliced"]:
                self.waited_s += self.run_delay.total_s - taken_off_s
            blocks.append((seconds / calls, run_delay_s / calls))
            self._num_calls += calls
            self._channel.send(Event.BLOCK, **Block(seconds=seconds, run_delay_s=run_delay_s if is_known else None))
        self._block_times_s = _times(blocks, by_wall_clock=command["by_wall_clock"])
        self._latencies_s = _times(timer.latencies if timer else (), by_wall_clock=command["by_wall_clock"])
        calls = self._num_calls // max(1, len(blocks))
        self.stats = BenchmarkStatistics(self, self._block_times_s, max(1, calls), self._options)

    def _receive(self, clock: Callable[[], float] = perf_counter) -> dict[str, Any]:
        """Wait for the next command; if the revisions take turns, the waiting time belongs to the other one."""
        start = clock()
        command: dict[str, Any] = self._channel.receive()
        self.waited_s += clock() - start
        return command

    def _measure_memory(self, time_calls: Callable[[int], float], most: int) -> dict[str, float]:
        """Measure the peak memory of a few calls, before anything else has run in this process."""
        torch = sys.modules.get("torch")
        cuda = torch.cuda if torch is not None else None
        is_gated = "peak_accelerator_memory" in self._metrics
        if is_gated and (cuda is None or not cuda.is_available()):
            pytest.skip("peak_accelerator_memory needs a CUDA device, and torch sees none")
        if cuda is not None and cuda.is_initialized():
            for device in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(device)
        times = [time_calls(1) / self._iterations for _ in range(min(MEMORY_CALLS, most))]
        self.stats = BenchmarkStatistics(self, times, 1, self._options)
        sizes = {"peak_memory": float(peak_memory_bytes())}
        if cuda is not None and (is_gated or cuda.is_initialized()):
            peaks = (cuda.max_memory_allocated(device) for device in range(cuda.device_count()))
            sizes["peak_accelerator_memory"] = float(sum(peaks))
        return sizes

    def recorded(self) -> Recorded:
        """Content of the event that goes to the gate: values of the metrics, and the numbers in ``extra_info``.

        Raises:
            RecordingError: If the fixture was not used exactly once.
        """
        if self.misuse or not self._mode:
            raise RecordingError(self.misuse or "benchmark was never called: a timed workload times one function")
        known = ((str(name), as_number(value)) for name, value in self.extra_info.items())
        extra = {name: value for name, value in known if value is not None}
        return {"values": {name: json_number(value) for name, value in {**extra, **self._values(extra)}.items()}}

    def _values(self, extra: Mapping[str, float]) -> dict[str, float]:
        """The measured ready metrics."""
        values = dict(self._sizes)
        if self._block_times_s:
            try:
                values |= values_of_blocks(self._metrics, statistics.fmean(self._block_times_s), extra)
            except KeyError as missing:
                raise RecordingError(f"a gated metric needs benchmark.extra_info[{missing}], a number") from None
        if latencies := self._latencies_s:
            values |= {name: each.from_calls(latencies) for name, each in self._ready.items() if each.from_calls}
        return values


def as_number(value: Any) -> float | None:
    """A number of any library as a float; ``None`` for a boolean or anything that is not a number.

    Example:
        >>> as_number(3), as_number(True), as_number("3")
        (3.0, None, None)
    """
    if isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:
        return None
    try:
        return float(value) if isinstance(value, numbers.Real) else float(operator.index(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _times(timed: Iterable[TimeAndDelay], *, by_wall_clock: bool) -> list[float]:
    """Times without their run delay, or those of the wall clock.

    Example:
        >>> _times([(0.5, 0.25)], by_wall_clock=False), _times([(0.5, 0.25)], by_wall_clock=True)
        ([0.5], [0.75])
    """
    return [seconds + run_delay_s if by_wall_clock else seconds for seconds, run_delay_s in timed]


def _warm_up(time_calls: Callable[[int], float], least_s: float) -> Ready:
    """Make the first calls, of which there may be any number; whether they work alone is left to the caller."""
    calls, call_s = _call_for(least_s, time_calls)
    if calls == 1 and least_s:
        _, call_s = _call_for(BLOCK_SECONDS, time_calls)
    return Ready(call_s=call_s, wall_s=call_s, left=None, works_alone=False, fits_one_core=False)


def _naming_rounds(set_up: Callable[[], Returned], asked: int) -> Callable[[], Returned]:
    """The same set-up; if it fails only after as many rounds as were asked for, the error says so."""
    uses = itertools.count(1)

    def set_up_round() -> Returned:
        number = next(uses)
        try:
            return set_up()
        except Exception as error:
            if number <= asked:
                raise
            raise RecordingError(
                f"setup failed before round {number} ({type(error).__name__}: {error}); pedantic asks for {asked}, but the "
                "gate warms up, and repeats short rounds for as long as it measures: let setup prepare any number of them"
            ) from error

    return set_up_round


def _call_for(least_s: float, time_calls: Callable[[int], float]) -> tuple[int, float]:
    """Make calls until they have taken so much time, at least one; returns their number and the time of a call."""
    made, calls, spent, call_s = 0, 1, 0.0, math.inf
    while not made or spent < least_s:
        seconds_now = time_calls(calls)
        if seconds_now < 0:
            raise RecordingError(f"the clock stepped back by {-seconds_now:g} s during the warm-up")
        if seconds_now == 0 and calls > MOST_TIMELESS_CALLS:
            raise RecordingError(f"the clock stands still: {calls} calls took no time")
        made += calls
        spent += max(seconds_now, 1e-6)
        call_s = seconds_now / calls
        calls = max(1, min(2 * calls, int(BLOCK_SECONDS * calls / max(seconds_now, 1e-9))))
    return made, call_s


def _require_count(name: str, value: Any, *, least: int) -> None:
    """Refuse a value that is not a number of calls."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")


def benchmark_class() -> type[Benchmark]:
    """:class:`Benchmark`, derived from pytest-benchmark's own class if that is loaded, as it requires."""
    loaded = sys.modules.get("pytest_benchmark.fixture")
    return type("Benchmark", (Benchmark, loaded.BenchmarkFixture), {}) if loaded else Benchmark


class ImportTimer:
    """The ``import_timer`` fixture under the gate: times an import, each time in a fresh interpreter.

    Args:
        benchmark: Benchmark that measures the blocks; one call is one import.
        check: Function that refuses modules of another revision.
    """

    def __init__(self, benchmark: Benchmark, check: Callable[[Mapping[str, str | None]], None]) -> None:
        self._benchmark = benchmark
        self._check = check

    def __call__(self, module: str) -> float:
        """Time the import of a module by its full name; returns the mean of the seconds."""
        self._benchmark.claim("import_timer(...)")
        seconds: list[float] = []

        def time_calls(calls: int) -> float:
            for _ in range(calls):
                imported = probe_import(module, ignores_children=self._benchmark.run_delay.ignores_children)
                self._check(imported.modules)
                self._benchmark.run_delay.add(imported.spent)
                seconds.append(imported.seconds)
            return math.fsum(seconds[-calls:])

        self._benchmark.measure(time_calls, warm_up_s=0.0)
        return statistics.fmean(seconds)

    @property
    def waited_s(self) -> float:
        """Time spent waiting for the other revision."""
        return self._benchmark.waited_s

    def recorded(self) -> Recorded:
        """Content of the event that goes to the gate."""
        return self._benchmark.recorded()
