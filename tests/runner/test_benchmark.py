"""The worker's own fixtures, driven by a scripted gate: no process, no waiting."""

import gc
import inspect
import math
import os
import random
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mainstay.runner import accelerators, background, counting, timing, torch_counting
from mainstay.runner.accelerators import accelerators_in_use
from mainstay.runner.block_statistics import BlockStatistics
from mainstay.runner.counting import Counts
from mainstay.runner.digests import RecordingError
from mainstay.runner.importing import Import, probe_import
from mainstay.runner.markers import describe_item
from mainstay.runner.ready_metrics import READY_METRICS
from mainstay.runner.run_delay import RunDelayMeter
from mainstay.runner.started_threads import ThreadWatch
from mainstay.runner.timing import Benchmark, ImportTimer

pytestmark = pytest.mark.usefixtures("few_objects")


class Clock:
    """Advances by a fixed time at every call of the function that is measured."""

    def __init__(self, call_s=0.001):
        self.now = 0.0
        self.call_s = call_s
        self.calls = 0

    def __call__(self):
        return self.now

    def work(self, *args, **kwargs):
        self.calls += 1
        self.now += self.call_s
        return args or None


class Meter:
    """Finds the core taken for half of every span, as long as it knows."""

    def __init__(self):
        self.total_s = 0.0
        self.is_known = True
        self.is_alone = True
        self.spans = []

    @property
    def works_alone(self):
        return bool(self.spans) and all(self.spans)

    fits_one_core = works_alone

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    def read(self): ...

    def forget(self):
        self.spans.clear()

    def take_off(self, _, span_s):
        self.spans.append(self.is_alone)
        taken_s = span_s / 2 if self.is_known else 0.0
        self.total_s += taken_s
        return taken_s


class Gate:
    """Asks for blocks of so many calls each, then for the end; keeps what it is told."""

    def __init__(self, *blocks, by_wall_clock=False):
        self.commands = [{"do": "block", "calls": calls, "is_sliced": False} for calls in blocks]
        self.commands.append({"do": "done", "by_wall_clock": by_wall_clock})
        self.events = []

    def receive(self):
        return self.commands.pop(0)

    def send(self, event, **content):
        self.events.append((event, content))

    @property
    def ready(self):
        return next(content for event, content in self.events if event == "ready")

    @property
    def seconds(self):
        return [content["seconds"] for event, content in self.events if event == "block"]

    @property
    def run_delays(self):
        return [content["run_delay_s"] for event, content in self.events if event == "block"]


ACCURATE = pytest.mark.accuracy(metric="a", margin=0.1)


def item(*markers, fixtures=("benchmark",), name="test_a"):
    """A collected test, as far as the worker looks at it."""
    marks = [marker.mark for marker in markers]
    return SimpleNamespace(
        name=name,
        nodeid=f"benchmarks/test_a.py::{name}",
        fixturenames=fixtures,
        iter_markers=lambda kind=None: [mark for mark in marks if kind in (None, mark.name)],
        get_closest_marker=lambda kind: next((mark for mark in marks if mark.name == kind), None),
    )


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """The threads that run the tests are not the workload's."""
    monkeypatch.setattr(background, "threads", lambda: [threading.current_thread()])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    def make(*blocks, node=None, metrics=("call_time",), clock=clock, run_delay=None, by_wall_clock=False):
        gate = Gate(*blocks, by_wall_clock=by_wall_clock)
        meter = run_delay or RunDelayMeter("")
        return Benchmark(node or item(), channel=gate, metrics=metrics, clock=clock, run_delay=meter), gate

    return make


def test_a_call_is_timed_in_blocks_after_a_warm_up(make, clock):
    benchmark, gate = make(10, 20)

    result = benchmark(clock.work, 7)

    assert result == (7,)
    assert gate.ready["call_s"] == pytest.approx(0.001)
    assert gate.seconds == pytest.approx([0.010, 0.020])
    assert clock.calls > 10 + 20 + 1


def test_the_value_is_the_mean_of_the_blocks(make, clock):
    benchmark, _ = make(1, 1)
    durations = iter([0.25, 0.3, 0.1, 0.4, 0.1])  # two warm-ups, two blocks, one for the result

    def work():
        clock.now += next(durations)

    benchmark(work)

    assert benchmark.recorded()["values"]["call_time"] == pytest.approx(0.25)
    assert benchmark.stats.stats.rounds == 2


def test_setup_and_teardown_do_not_count(make, clock):
    benchmark, gate = make(2)
    order = []

    def slow(name):
        def run(*args):
            order.append(name)
            clock.now += 5.0
            return ((1,), {}) if name == "setup" else None

        return run

    benchmark.pedantic(clock.work, setup=slow("setup"), teardown=slow("teardown"), rounds=2, warmup_rounds=1)

    assert gate.seconds == pytest.approx([0.002])
    assert order == ["setup", "teardown"] * 3


def test_pedantic_never_runs_more_rounds_than_it_names(make, clock):
    benchmark, gate = make(1)

    result = benchmark.pedantic(clock.work, args=(3,), rounds=1)

    assert (clock.calls, result) == (1, (3,))
    assert gate.ready == {"call_s": None, "wall_s": None, "left": 1, "works_alone": False, "fits_one_core": False}


@pytest.mark.parametrize("rounds", [1, 3, 10])
def test_short_rounds_with_a_set_up_are_repeated_for_as_long_as_the_gate_measures(make, clock, rounds):
    clock.call_s = 0.0005
    benchmark, gate = make(50)

    def set_up():
        clock.now += 0.0015
        return (3,), {}

    assert benchmark.pedantic(clock.work, setup=set_up, rounds=rounds) == (3,)

    assert gate.ready == {
        "call_s": pytest.approx(0.0005),
        "wall_s": pytest.approx(0.002),
        "left": None,
        "works_alone": False,
        "fits_one_core": False,
    }
    assert gate.seconds == pytest.approx([0.025])
    assert clock.calls == max(1, rounds // 4) + 4 + 50  # 4 calls of half a millisecond last as long as a block


def test_the_warm_up_of_short_rounds_ends_however_long_their_set_up_takes(make, clock):
    clock.call_s = 0.00001
    benchmark, gate = make(2)

    def set_up():
        clock.now += 0.04

    benchmark.pedantic(clock.work, setup=set_up, rounds=3)

    assert (clock.calls, gate.ready["left"]) == (1 + 3 + 2, None)
    assert gate.ready["wall_s"] == pytest.approx(0.04, rel=0.01)


def test_rounds_of_which_only_the_first_is_long_are_repeated(make):
    cold = Cold(0.2, call_s=0.002)
    benchmark, gate = make(40, clock=cold)

    benchmark.pedantic(cold.work, setup=lambda: None, rounds=5)

    assert gate.ready["left"] is None
    assert gate.ready["call_s"] == pytest.approx(0.002)


@pytest.mark.parametrize(("rounds", "left"), [(1, 1), (3, 2), (40, 30)])
def test_long_rounds_with_a_set_up_are_as_many_as_pedantic_names(make, clock, rounds, left):
    benchmark, gate = make(1)

    def set_up():
        clock.now += 0.2

    benchmark.pedantic(clock.work, setup=set_up, rounds=rounds)

    assert gate.ready["left"] == left
    assert clock.calls == {1: 1, 3: 2, 40: 10}[rounds] + 1


def test_a_set_up_that_serves_too_few_rounds_is_named(make, clock):
    benchmark, _ = make(20)
    prepared = [((number,), {}) for number in range(12)]

    with pytest.raises(
        RecordingError, match=r"before round 13 \(IndexError: pop from empty list\); pedantic asks for 10, but the gate"
    ):
        benchmark.pedantic(clock.work, setup=prepared.pop, rounds=10)

    with pytest.raises(RecordingError, match=r"let setup prepare any number of them"):
        benchmark.recorded()


def test_the_error_of_a_set_up_is_its_own_in_the_rounds_that_were_asked_for(make, clock):
    benchmark, _ = make(20)

    with pytest.raises(IndexError):
        benchmark.pedantic(clock.work, setup=[((1,), {}), ((2,), {})].pop, rounds=10)


def test_pedantic_warms_up_with_a_quarter_of_many_rounds(make, clock):
    benchmark, gate = make(3)

    benchmark.pedantic(clock.work, rounds=40, iterations=2)

    assert gate.ready == {
        "call_s": pytest.approx(0.002),
        "wall_s": pytest.approx(0.002),
        "left": 30,
        "works_alone": False,
        "fits_one_core": False,
    }
    assert gate.seconds == pytest.approx([0.003])  # of one iteration each


def test_a_round_of_many_iterations_is_as_long_as_the_gate_is_told(make, clock):
    benchmark, gate = make(4, run_delay=Meter())

    benchmark.pedantic(clock.work, rounds=1000, iterations=100)

    assert (gate.ready["call_s"], gate.ready["wall_s"]) == pytest.approx((0.050, 0.100))
    assert (gate.seconds, gate.run_delays) == ([pytest.approx(0.002)], [pytest.approx(0.002)])  # of one iteration each
    assert benchmark.recorded()["values"]["call_time"] == pytest.approx(0.0005)


def test_the_wall_clock_of_a_round_counts_its_set_up(make, clock):
    benchmark, gate = make(1)

    def set_up():
        clock.now += 0.5

    benchmark.pedantic(clock.work, setup=set_up, rounds=40)

    assert (gate.ready["call_s"], gate.ready["wall_s"]) == pytest.approx((0.001, 0.501))


class Cold(Clock):
    """Its first call takes longer than the others."""

    def __init__(self, first_s, call_s=0.001):
        super().__init__(call_s)
        self.first_s = first_s

    def work(self, *args, **kwargs):
        self.now += 0.0 if self.calls else self.first_s - self.call_s
        return super().work(*args, **kwargs)


@pytest.mark.parametrize("first_s", [0.01, 0.1, 30.0])
@pytest.mark.parametrize("call_s", [1e-6, 0.001])
def test_a_slow_first_call_says_nothing_of_the_others(make, first_s, call_s):
    cold = Cold(first_s, call_s)
    benchmark, gate = make(clock=cold)

    benchmark(cold.work)

    assert gate.ready == {
        "call_s": pytest.approx(call_s),
        "wall_s": pytest.approx(call_s),
        "left": None,
        "works_alone": False,
        "fits_one_core": False,
    }


@pytest.mark.parametrize(
    ("is_pedantic", "num_not_alone", "metric", "has_open", "expected"),
    [
        pytest.param(False, 0, "call_time", False, True, id="all-calls-do"),
        pytest.param(False, 30, "call_time", False, True, id="all-but-those-of-the-first-milliseconds"),
        pytest.param(False, 60, "call_time", False, False, id="later-ones-do-not"),
        pytest.param(False, 0, "latency_p95", False, True, id="single-calls-are-timed"),
        pytest.param(False, 0, "call_time", True, False, id="an-accelerator-is-open"),
        pytest.param(True, 0, "call_time", False, True, id="all-rounds-do"),
        pytest.param(True, 1, "call_time", False, True, id="all-but-the-first-round"),
        pytest.param(True, 3, "call_time", False, False, id="later-rounds-do-not"),
    ],
)
def test_whether_calls_work_alone(make, clock, monkeypatch, is_pedantic, num_not_alone, metric, has_open, expected):
    monkeypatch.setattr(timing, "has_accelerator_open", lambda: has_open)
    meter = Meter()
    benchmark, gate = make(metrics=(metric,), run_delay=meter)

    def work():
        clock.work()
        meter.is_alone = clock.calls > num_not_alone

    if is_pedantic:
        benchmark.pedantic(work, rounds=40)
    else:
        benchmark(work)

    assert gate.ready["works_alone"] is expected
    assert gate.ready["fits_one_core"] is expected


@pytest.mark.parametrize("starts_threads", [False, True])
def test_calls_that_start_threads_need_more_than_one_core(make, clock, monkeypatch, starts_threads):
    monkeypatch.setattr(timing, "has_accelerator_open", lambda: False)
    monkeypatch.setattr(ThreadWatch, "has_seen_one", starts_threads)
    monkeypatch.setattr(Meter, "fits_one_core", True)
    meter = Meter()
    meter.is_alone = False
    benchmark, gate = make(run_delay=meter)

    benchmark(clock.work)

    assert (gate.ready["works_alone"], gate.ready["fits_one_core"]) == (False, not starts_threads)


def test_an_accelerator_is_open_whatever_library_opened_it(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerators, "DEVICE_FILES", (str(tmp_path / "nvidia"),))

    assert not accelerators.has_accelerator_open()
    with (tmp_path / "nvidia0").open("w"):
        assert accelerators.has_accelerator_open() is os.path.exists("/proc/self/fd")


@pytest.mark.parametrize("call_s", [0.003, 0.1, 30.0])
def test_after_a_slow_first_call_one_that_is_longer_than_a_block_is_made_once_before_the_blocks(make, call_s):
    cold = Cold(max(0.1, call_s), call_s)
    benchmark, gate = make(clock=cold)

    benchmark(cold.work)

    assert (gate.ready["call_s"], cold.calls) == (pytest.approx(call_s), 2 + 1)


@pytest.mark.parametrize(("rounds", "warm_ups"), [(1, 1), (3, 1), (4, 2), (1_000_000, 2)])
def test_a_single_warm_up_round_is_followed_by_another_where_there_are_rounds_enough(make, rounds, warm_ups):
    cold = Cold(5.0)
    benchmark, gate = make(1, clock=cold)

    benchmark.pedantic(cold.work, rounds=rounds, warmup_rounds=1)

    call_s = pytest.approx(0.001 if warm_ups > 1 else 5.0)
    assert gate.ready == {
        "call_s": call_s,
        "wall_s": call_s,
        "left": rounds - warm_ups + 1,
        "works_alone": False,
        "fits_one_core": False,
    }
    assert cold.calls == warm_ups + 1


def test_a_slow_first_round_says_nothing_of_the_wall_clock_of_the_others(make):
    cold = Cold(5.0)
    benchmark, gate = make(1, clock=cold)

    benchmark.pedantic(cold.work, rounds=8)

    assert gate.ready == {
        "call_s": pytest.approx(0.001),
        "wall_s": pytest.approx(0.001),
        "left": 6,
        "works_alone": False,
        "fits_one_core": False,
    }


def test_an_import_which_is_in_a_fresh_interpreter_each_time_is_made_once_before_the_blocks(make, monkeypatch):
    imports = []

    def probe(module, *, ignores_children):
        imports.append(module)
        return Import(seconds=0.5, spent=(0.5, 0.0, 0.5, 0.0, 0.0, 0.0), modules={})

    monkeypatch.setattr(timing, "probe_import", probe)
    benchmark, gate = make(1, metrics=("import_time",))

    seconds = ImportTimer(benchmark, lambda modules: None)("json")

    assert (gate.ready["call_s"], imports, seconds) == (0.5, ["json"] * 2, 0.5)


def test_a_side_that_is_kept_waiting_still_returns_a_result(make, clock):
    benchmark, _ = make()

    assert benchmark.pedantic(clock.work, args=(1,), rounds=1) == (1,)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"rounds": 0}, "rounds must be"),
        ({"iterations": 1.5}, "iterations must be"),
        ({"warmup_rounds": -1}, "warmup_rounds must be"),
        ({"iterations": 2, "setup": lambda: None}, "one iteration per round"),
    ],
)
def test_a_pedantic_call_that_cannot_be_meant_is_refused(make, clock, arguments, error):
    benchmark, _ = make()

    with pytest.raises(ValueError, match=error):
        benchmark.pedantic(clock.work, **arguments)


def test_arguments_come_from_one_place(make, clock):
    benchmark, _ = make(1)

    with pytest.raises(TypeError, match="not from both"):
        benchmark.pedantic(clock.work, args=(1,), setup=lambda: ((2,), {}), rounds=1)


def test_a_second_use_is_refused_even_where_the_test_swallows_it(make, clock):
    benchmark, _ = make(1)
    benchmark(clock.work)

    with pytest.raises(RecordingError, match="twice"):
        benchmark(clock.work)
    with pytest.raises(RecordingError, match="twice"):
        benchmark.recorded()


def test_a_benchmark_that_is_never_called_is_refused(make):
    benchmark, _ = make()

    with pytest.raises(RecordingError, match="never called"):
        benchmark.recorded()


@pytest.mark.parametrize("name", ["weave", "patch"])
def test_weaving_without_its_library_is_refused_with_what_to_do_instead(make, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "aspectlib", None)
    benchmark, _ = make()

    with pytest.raises(RecordingError, match="add aspectlib to"):
        getattr(benchmark, name)("package.function")
    with pytest.raises(RecordingError, match="add aspectlib to"):  # also where the test swallows it
        benchmark.recorded()


@pytest.mark.parametrize("step", [-10.0, 0.0])
def test_a_clock_that_steps_is_an_error(make, clock, step):
    benchmark, gate = make(1)

    def work():
        clock.now += step if any(event == "ready" for event, _ in gate.events) else 0.3

    with pytest.raises(RecordingError, match="the clock stepped"):
        benchmark(work)


def test_a_clock_that_stands_still_is_an_error(make):
    benchmark, _ = make()

    with pytest.raises(RecordingError, match="stands still"):
        benchmark(len, [])


def test_throughput_needs_the_number_of_examples(make, clock):
    benchmark, _ = make(1, metrics=("throughput",))
    benchmark(clock.work)

    with pytest.raises(RecordingError, match="examples"):
        benchmark.recorded()

    benchmark.extra_info["examples"] = 64
    assert benchmark.recorded()["values"]["throughput"] == pytest.approx(64_000)


def test_latencies_are_those_of_single_calls(make, clock):
    benchmark, gate = make(10, metrics=("latency_median", "latency_p95"))
    durations = iter([0.3, 0.3, *range(1, 11), 1])

    def work():
        clock.now += next(durations)

    benchmark(work)

    values = benchmark.recorded()["values"]
    assert (values["latency_median"], values["latency_p95"]) == pytest.approx((5.5, 10))
    assert gate.seconds == pytest.approx([55])


@pytest.mark.parametrize(("by_wall_clock", "call_s"), [(False, 0.0005), (True, 0.001)])
def test_values_are_those_of_the_wall_clock_where_the_gate_says_so(make, clock, by_wall_clock, call_s):
    metrics = ("call_time", "throughput", "latency_median", "latency_p95")
    benchmark, gate = make(10, 20, metrics=metrics, run_delay=Meter(), by_wall_clock=by_wall_clock)
    benchmark.extra_info["examples"] = 1

    benchmark(clock.work)

    values = benchmark.recorded()["values"]
    assert [values[name] for name in metrics] == pytest.approx([call_s, 1 / call_s, call_s, call_s])
    assert benchmark.stats["mean"] == pytest.approx(call_s)
    assert gate.seconds == pytest.approx([0.005, 0.010])


def test_a_block_in_which_the_run_delay_becomes_unknown_is_one_of_the_wall_clock(make, clock):
    meter, timed = Meter(), []
    benchmark, gate = make(4, 4, metrics=("latency_median",), run_delay=meter)

    def work():
        clock.work()
        timed.extend(gate.events[:1])
        meter.is_known = len(timed) < 7

    benchmark(work)

    assert gate.seconds == pytest.approx([0.002, 0.004])
    assert gate.run_delays == [pytest.approx(0.002), None]


def test_time_that_other_threads_take_counts_in_blocks_and_not_in_the_plan(make, clock, monkeypatch):
    monkeypatch.setattr(background.OtherThreads, "end_block", lambda _: 0.004)
    benchmark, gate = make(2)

    benchmark.pedantic(clock.work, rounds=8, iterations=2)

    assert gate.ready["call_s"] == pytest.approx(0.002)
    assert gate.seconds == pytest.approx([(2 * 0.002 + 0.004) / 2])


def test_numbers_in_extra_info_are_recorded_and_other_things_are_not(make, clock):
    benchmark, _ = make(1)
    benchmark.extra_info |= {"bytes_read": 10, "device": "cpu", "cached": True}
    benchmark(clock.work)

    assert benchmark.recorded()["values"].keys() == {"bytes_read", "call_time"}


def test_the_garbage_collector_rests_only_where_the_marker_says_so(make, clock):
    def collecting():
        clock.work()
        return gc.isenabled()

    plain, _ = make(1)
    resting, _ = make(1, node=item(pytest.mark.benchmark(group="step", disable_gc=True)))
    plain(collecting)
    timer = resting._timer(collecting, lambda: ((), {}))
    timer.time_calls(1)

    assert timer.result is False
    assert gc.isenabled()
    assert (plain.group, resting.group) == (None, "step")


def test_what_other_suites_read_is_there(make, clock):
    benchmark, _ = make(2, 2)
    benchmark(clock.work)

    assert (benchmark.name, benchmark.enabled, benchmark.disabled, benchmark.param) == ("test_a", True, False, None)
    assert benchmark.stats.stats.mean == pytest.approx(benchmark.stats["median"])
    assert (benchmark.stats.iterations, bool(benchmark.stats)) == (2, True)


def test_peak_memory_is_taken_after_a_few_calls_and_asks_for_no_block(make, clock):
    benchmark, gate = make(metrics=("peak_memory",))

    benchmark(clock.work)

    assert clock.calls == 3 + 1
    assert gate.events == []
    assert benchmark.recorded()["values"]["peak_memory"] > 2**20


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_accelerator_memory_is_skipped_without_an_accelerator(make, clock):
    benchmark, _ = make(metrics=("peak_accelerator_memory",))

    with pytest.raises(pytest.skip.Exception, match="CUDA"):
        benchmark(clock.work)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_blocks_wait_for_the_accelerator(monkeypatch):
    torch.zeros(1, device="cuda")
    waited: list[int] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)

    for wait in accelerators_in_use():
        wait()

    assert waited == [0]


class Devices:
    """Devices of one kind, as torch shows them; a torch of its own has no other kind."""

    def __init__(self, reserved, *, is_initialized=True, synchronise_s=0.0, clock=None):
        self.reserved = reserved
        self.peaks = list(reserved)
        self.has_begun = is_initialized
        self.waited = []
        self.synchronise_s = synchronise_s
        self.clock = clock

    def is_available(self):
        return True

    def is_initialized(self):
        return self.has_begun

    def device_count(self):
        return len(self.reserved)

    def current_device(self):
        return 0

    def memory_reserved(self, device):
        if self.reserved[device] is None:
            raise RuntimeError("the allocator counts nothing")
        return self.reserved[device]

    def synchronize(self, device):
        self.waited.append(device)
        if self.clock:
            self.clock.now += self.synchronise_s

    def reset_peak_memory_stats(self, device):
        assert self.has_begun, "this would begin to use the device"
        self.peaks[device] = 0

    def max_memory_allocated(self, device):
        return self.peaks[device]


@pytest.fixture
def use(monkeypatch):
    """Puts devices in the place of those of torch."""

    def use(devices, kind="cuda", has_mps=False):
        none = Devices([], is_initialized=False)
        mps = SimpleNamespace(is_available=lambda: has_mps)
        torch = SimpleNamespace(cuda=none, backends=SimpleNamespace(mps=mps), mps=SimpleNamespace())
        torch.mps.synchronize = lambda: devices.waited.append("mps")
        setattr(torch, kind, devices)
        monkeypatch.setitem(sys.modules, "torch", torch)
        return devices

    return use


@pytest.mark.parametrize(
    ("reserved", "waited"),
    [([0, 0, 0], [0]), ([0, 8, 0], [0, 1]), ([8, 8, 8], [0, 1, 2]), ([8, 0, None], [0, 2])],
)
@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_blocks_wait_for_every_device_in_use_and_touch_no_other(make, clock, use, kind, reserved, waited):
    devices = use(Devices(reserved, synchronise_s=1.0, clock=clock), kind)
    benchmark, gate = make(1)

    benchmark.pedantic(clock.work, rounds=1)

    assert devices.waited == waited * 2
    assert gate.seconds == pytest.approx([clock.call_s + len(waited)])


def test_devices_that_are_not_in_use_are_not_touched(use):
    use(Devices([8, 8], is_initialized=False))
    assert accelerators_in_use() == ()

    devices = use(Devices([8, 8], is_initialized=False), has_mps=True)
    for wait in accelerators_in_use():
        wait()
    assert devices.waited == ["mps"]


def test_a_block_that_is_the_first_to_use_a_device_waits_for_it(make, clock, use):
    devices = use(Devices([8, 8], is_initialized=False, synchronise_s=1.0, clock=clock))
    benchmark, gate = make(1)

    def work():
        devices.has_begun = True
        clock.work()

    benchmark.pedantic(work, rounds=1)

    assert gate.seconds == pytest.approx([clock.call_s + 2.0])


def test_accelerator_memory_is_that_of_all_devices(make, clock, use):
    devices = use(Devices([100, 100]))
    benchmark, _ = make(metrics=("peak_accelerator_memory",))

    def work():
        devices.peaks = [30, 40]

    benchmark(work)

    assert benchmark.recorded()["values"]["peak_accelerator_memory"] == 70


@pytest.mark.parametrize(("is_initialized", "expected"), [(False, None), (True, 0)])
def test_memory_of_a_workload_without_accelerator_is_measured_without_touching_one(
    make, clock, use, is_initialized, expected
):
    devices = use(Devices([100, 0], is_initialized=is_initialized))
    benchmark, _ = make(metrics=("peak_memory",))

    benchmark(clock.work)

    assert devices.has_begun is is_initialized
    assert benchmark.recorded()["values"].get("peak_accelerator_memory") == expected


@pytest.mark.parametrize("name", READY_METRICS)
def test_a_ready_metric_is_gated_by_its_name_alone(name):
    ready = READY_METRICS[name]
    fixture = {"deterministic": "counts"}.get(ready.kind, "import_timer" if name == "import_time" else "benchmark")

    workload = describe_item(item(getattr(pytest.mark, ready.kind)(metric=name), fixtures=(fixture,)))

    assert workload["metrics"] == [
        {
            "name": name,
            "kind": ready.kind,
            "margin": ready.margin,
            "direction": ready.direction,
            "unit": ready.unit,
        }
    ]
    assert (workload["execution"] == "alone") is ready.is_alone


@pytest.mark.parametrize("name", READY_METRICS)
def test_a_fixture_measures_every_ready_metric(name):
    ready = READY_METRICS[name]
    sources = [inspect.getsource(fixture) for fixture in (counting, timing.Benchmark._measure_memory)]

    assert (
        ready.from_blocks
        or ready.from_calls
        or name in torch_counting.METRICS
        or any(f"{name}=" in source or f'"{name}"' in source for source in sources)
    )


def test_a_new_metric_of_benchmark_is_one_row_of_the_table(make, clock, monkeypatch):
    new = READY_METRICS["latency_p95"]
    monkeypatch.setitem(READY_METRICS, "latency_most", replace(new, from_calls=max))
    monkeypatch.setitem(
        READY_METRICS, "cost", replace(new, from_calls=None, from_blocks=lambda call_s, extra: call_s * extra["watts"])
    )
    workload = describe_item(
        item(pytest.mark.performance(metric="latency_most"), pytest.mark.performance(metric="cost"))
    )
    benchmark, _ = make(10, metrics=[metric["name"] for metric in workload["metrics"]])
    benchmark.extra_info["watts"] = 50
    durations = iter([0.3, 0.3, *range(1, 11), 1])

    def work():
        clock.now += next(durations)

    benchmark(work)

    assert benchmark.recorded()["values"] == pytest.approx({"watts": 50, "latency_most": 10, "cost": 50 * 5.5})


def test_an_unmarked_benchmark_is_gated_at_the_default_margin():
    (metric,) = describe_item(item())["metrics"]

    assert (metric["name"], metric["margin"]) == ("call_time", 0.05)


def test_markers_are_read_from_the_top_down():
    first, second = pytest.mark.performance(metric="latency_p95"), pytest.mark.performance(metric="own", unit="J")

    metrics = describe_item(item(second, first))["metrics"]  # pytest gives the nearest first

    assert [(metric["name"], metric["unit"]) for metric in metrics] == [("latency_p95", "s"), ("own", "J")]


@pytest.mark.parametrize(
    ("markers", "fixtures", "message"),
    [
        ((), ("benchmark", "trial"), "one of"),
        ((pytest.mark.performance(metric="flops"),), ("benchmark",), "deterministic metric"),
        ((pytest.mark.deterministic(metric="call_time"),), ("counts",), "performance metric"),
        ((pytest.mark.deterministic(margin=0.1),), ("counts",), "needs 'metric'"),
        ((pytest.mark.deterministic(metric="a", margin=-0.1),), ("counts",), "0 or above"),
        ((pytest.mark.performance(margin=0),), ("benchmark",), "above 0"),
        ((pytest.mark.performance(), pytest.mark.performance()), ("benchmark",), "twice"),
        ((pytest.mark.performance(), pytest.mark.performance(metric="peak_memory")), ("benchmark",), "fresh processes"),
        ((pytest.mark.performance(metric="import_time"),), ("benchmark",), "import_timer"),
        ((pytest.mark.performance(metric="call_time"),), ("import_timer",), "gives import_time"),
        ((ACCURATE, pytest.mark.performance(metric="train_seconds")), ("trial",), "performance gates nothing.* trial"),
        ((pytest.mark.evaluation(metric="a", margin=0.1), pytest.mark.performance()), ("trial",), "of evaluation"),
        ((ACCURATE, pytest.mark.deterministic(metric="parameters")), ("trial",), "deterministic gates nothing"),
        ((pytest.mark.deterministic(metric="parameters"),), ("benchmark",), "records metrics of performance"),
        ((pytest.mark.performance(metric="operators"),), ("counts",), "records metrics of deterministic"),
        ((ACCURATE,), ("import_timer",), "accuracy gates nothing"),
        ((pytest.mark.performance(margin=0.1),), ("tmp_path",), "does not take benchmark or codspeed_benchmark or"),
        ((pytest.mark.performance(),), (), "rename the marker if it belongs to another tool"),
        ((pytest.mark.evaluation(metric="a", margin=0.1),), (), "does not take trial as an argument"),
    ],
)
def test_what_cannot_be_measured_together_or_by_the_fixture_is_refused(markers, fixtures, message):
    with pytest.raises(RecordingError, match=message):
        describe_item(item(*markers, fixtures=fixtures))


def test_parameters_and_flops_are_counted():
    counts = Counts()
    linear = torch.nn.Linear(3, 2)

    counts.parameters(linear)
    result = counts.flops(linear, torch.zeros(5, 3))

    assert counts.values == {"parameters": 8.0, "flops": 2.0 * 5 * 3 * 2}
    assert result.shape == (5, 2)


def test_imports_are_counted_by_name_without_the_projects_own():
    everything, others = Counts(), Counts(roots=("wsgiref",))

    everything.imports("wsgiref.simple_server")
    others.imports("wsgiref.simple_server")

    assert "wsgiref.simple_server" in [each["name"] for each in everything.names["imported_modules"]]
    assert not any(each["name"].startswith("wsgiref") for each in others.names["imported_modules"])
    assert others.values["imported_modules"] == len(others.names["imported_modules"]) > 0


def test_a_file_is_weighed(tmp_path):
    (tmp_path / "model").write_bytes(bytes(12))
    counts = Counts()

    counts.file_size(tmp_path / "model")

    assert counts.recorded() == {"values": {"checkpoint_bytes": 12.0}, "names": {}}


def test_a_count_is_recorded_once():
    counts = Counts()
    counts.record(tokens=3)

    with pytest.raises(RecordingError, match="twice"):
        counts.record(tokens=3)


def test_a_module_that_does_not_import_is_named_with_its_cause():
    with pytest.raises(RecordingError, match="no_such_module cannot be imported.*ModuleNotFoundError"):
        probe_import("no_such_module")


def test_an_import_in_a_fresh_interpreter_takes_time_and_prints_what_it_likes():
    imported = probe_import("this")  # prints to stdout

    assert 0 < imported.seconds < math.inf
    assert imported.modules.keys() == {"this"}


def test_the_fixtures_work_under_plain_pytest(pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.deterministic(metric="tokens")
        def test_counts(counts):
            counts.record(tokens=1)
            assert counts.values == {"tokens": 1.0}

        @pytest.mark.performance(metric="import_time")
        def test_import(import_timer):
            assert import_timer("json") > 0
    """)

    pytester.runpytest("--strict-markers").assert_outcomes(passed=2)


@pytest.mark.in_repository
@pytest.mark.parametrize("name", READY_METRICS)
def test_the_documentation_lists_every_ready_metric(name):
    ready = READY_METRICS[name]
    page = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-workload.md"

    cells = (f"`{name}`", ready.unit, ready.direction, f"{100 * ready.margin:g} %", ready.meaning)

    assert f"| {' | '.join(cells)} |" in page.read_text(encoding="utf-8")


async def coroutine(): ...


async def asynchronous_generator():
    yield 1


def generator(*_):
    yield 1


class CallableGenerator:
    def __call__(self):
        yield 1


class InheritedCall(CallableGenerator): ...


class Awaitable:
    def __await__(self):
        return iter(())


LAZY = {
    "coroutine": (coroutine, "asyncio.run"),
    "asynchronous-generator": (asynchronous_generator, "asyncio.run"),
    "generator": (generator, "list"),
    "partial": (partial(partial(coroutine)), "asyncio.run"),
    "method": (SimpleNamespace(run=CallableGenerator().__call__).run, "list"),
    "callable-object": (CallableGenerator(), "list"),
    "inherited-call": (InheritedCall(), "list"),
    "returns-a-coroutine": (lambda: coroutine(), "asyncio.run"),  # noqa: PLW0108 - a function that does not look like one
    "returns-a-generator": (lambda: generator(), "list"),  # noqa: PLW0108
    "returns-an-asynchronous-generator": (lambda: asynchronous_generator(), "asyncio.run"),  # noqa: PLW0108
    "returns-an-awaitable": (Awaitable, "asyncio.run"),
    "returns-a-map": (partial(map, str, [1]), "list"),
    "returns-a-filter": (partial(filter, None, [1]), "list"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", ["benchmark", "pedantic"])
@pytest.mark.parametrize("name", LAZY)
def test_a_function_that_only_makes_what_would_do_the_work_is_refused(make, name, way):
    benchmark, _ = make(1, 1)
    benchmark._clock = iter(range(10**9)).__next__
    function, remedy = LAZY[name]

    with pytest.raises(RecordingError, match=rf"only the making of .*{remedy}\(\.\.\.\)"):
        benchmark(function) if way == "benchmark" else benchmark.pedantic(function, rounds=2)

    with pytest.raises(RecordingError, match="only the making"):  # also where the test swallows it
        benchmark.recorded()


def passes_a_generator_on():
    return generator()


@pytest.mark.parametrize("function", [coroutine, generator, passes_a_generator_on], ids=lambda each: each.__name__)
def test_operations_of_what_only_makes_a_generator_are_not_counted(function):
    with pytest.raises(RecordingError, match="only the making"):
        Counts().flops(function)


@pytest.mark.parametrize("function", [list, iter, {}.items, partial(sum, [1])], ids=["list", "iter", "view", "sum"])
def test_what_does_its_work_at_once_may_return_anything(make, clock, function):
    benchmark, _ = make(1)

    def work():
        clock.work()
        return function([]) if function is iter else function()

    benchmark(work)

    assert "call_time" in benchmark.recorded()["values"]


def random_seconds(number):
    rng = random.Random(number)
    return [round(rng.lognormvariate(0, 1), 3) for _ in range(number)]


@pytest.mark.parametrize("number", [*range(1, 14), 100])
def test_statistics_are_those_of_pytest_benchmark(number):
    stats = pytest.importorskip("pytest_benchmark.stats")
    theirs = stats.Stats()
    for value in random_seconds(number):
        theirs.update(value)

    ours = BlockStatistics(random_seconds(number)).as_dict()

    assert list(ours) == list(theirs.as_dict())
    for name, value in theirs.as_dict().items():
        assert ours[name] == (value if isinstance(value, str) else pytest.approx(value)), name


def test_all_that_pytest_benchmark_offers_is_there(make, clock):
    fixture, stats = (pytest.importorskip(f"pytest_benchmark.{name}") for name in ("fixture", "stats"))
    benchmark, _ = make(2, 2, node=item(pytest.mark.benchmark(group="step", min_rounds=3)))

    benchmark(clock.work)

    for theirs, ours in (
        (fixture.BenchmarkFixture, benchmark),
        (stats.Metadata, benchmark.stats),
        (stats.Stats, benchmark.stats.stats),
    ):
        offered = {name for name in vars(theirs) if not name.startswith("_")}
        assert offered <= {name for name in dir(ours) if not name.startswith("_")}
    known = benchmark.stats.as_dict()
    assert (known["group"], known["stats"]["iterations"], known["stats"]["data"]) == (
        "step",
        2,
        benchmark.stats["data"],
    )
    assert benchmark.stats.as_dict(flat=True, include_data=False)["q1"] == benchmark.stats["q1"]
    assert benchmark.stats.get("fullname") == benchmark.fullname
    assert (benchmark.stats.get("no such name", 7), benchmark.stats.options) == (7, {"group": "step", "min_rounds": 3})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(np.prod([4, 16]), 64.0, id="numpy-integer"),
        pytest.param(np.float32(0.5), 0.5, id="numpy-float"),
        pytest.param(torch.tensor(64), 64.0, id="tensor"),
        pytest.param(Fraction(1, 2), 0.5, id="fraction"),
        pytest.param(np.bool_(True), None, id="numpy-truth"),
        pytest.param(True, None, id="truth"),
        pytest.param("64", None, id="text"),
        pytest.param(10**400, None, id="beyond-a-float"),
        pytest.param([64], None, id="list"),
    ],
)
def test_a_number_of_any_library_counts_as_extra_information(make, clock, value, expected):
    benchmark, _ = make(1, metrics=("throughput",))
    benchmark.extra_info["examples"] = value
    benchmark(clock.work)

    if expected is None:
        with pytest.raises(RecordingError, match="examples"):
            benchmark.recorded()
    else:
        assert benchmark.recorded()["values"]["throughput"] == pytest.approx(expected / 0.001)


PATCHED = """
import builtins, sys, time
time.sleep(0.3)
time.perf_counter = time.monotonic = time.time = time.process_time = lambda: 0.0
time.perf_counter_ns = time.monotonic_ns = time.time_ns = lambda: 0
builtins.dict = builtins.list = builtins.getattr = builtins.repr = builtins.open = None
sys.modules["json"] = None
"""


def test_a_module_that_replaces_clocks_is_timed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "patching.py").write_text(PATCHED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    imported = probe_import("patching")

    assert (
        imported.seconds + (imported.spent[1] if imported.spent else 0.0) > 0.3
    )  # a process that wakes late waits for a core
    assert imported.modules["patching"] == str(tmp_path / "patching.py")


@pytest.mark.parametrize("marker", ["benchmark", "codspeed_benchmark"])
def test_a_marked_test_without_fixture_is_timed_as_a_whole(marker):
    mark = SimpleNamespace(mark=pytest.Mark(marker, (), {}, _ispytest=True))

    workload = describe_item(item(mark, fixtures=("tmp_path",)))

    assert [metric["name"] for metric in workload["metrics"]] == ["call_time"]
    assert workload["execution"] == "interleaved"


def test_a_test_without_fixture_and_marker_measures_nothing():
    assert describe_item(item(fixtures=("tmp_path",))) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ceiling": "high"}, "needs a number as 'ceiling'"),
        ({"ceiling": math.nan}, "needs a number as 'ceiling'"),
        ({"resolution": None}, "needs a number as 'resolution'"),
        ({"unit": 1}, "needs text as 'unit'"),
        ({"metric": 1}, "needs text as 'metric'"),
        ({"metric": ""}, "needs a name as 'metric'"),
        ({"direction": ["higher"]}, "'higher' and 'lower'"),
    ],
)
def test_a_marker_whose_arguments_are_of_another_type_is_refused(arguments, message):
    marker = pytest.mark.accuracy(**{"metric": "a", "margin": 0.1, **arguments})

    with pytest.raises(RecordingError, match=message):
        describe_item(item(marker, fixtures=("trial",)))


def test_numbers_of_a_marker_may_be_of_any_library():
    marker = pytest.mark.accuracy(metric="a", margin=0.1, ceiling=np.float32(0.5), resolution=Fraction(1, 4))

    (metric,) = describe_item(item(marker, fixtures=("trial",)))["metrics"]

    assert (metric["ceiling"], type(metric["ceiling"]), metric["resolution"]) == (0.5, float, 0.25)
