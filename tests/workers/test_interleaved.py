"""Timed pairs with real processes: both revisions run this very environment, told apart by a variable."""

import itertools
import json
import math
import os
import textwrap
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mainstay.measuring.scheduling import draw_block_orders
from mainstay.records.trials import Outcome, Side
from mainstay.runner.protocol import Block
from mainstay.runner.ready_metrics import READY_METRICS
from mainstay.runner.run_delay import ACCOUNT
from mainstay.workers import interleaved
from mainstay.workers.core_speed import CoreSpeed
from mainstay.workers.interleaved import (
    MAX_ALTERNATIONS,
    Blocks,
    TimedRequest,
    TimedTask,
    _BothSides,
    _TimedSide,
    plan_blocks,
    run_timed_pair,
)
from mainstay.workers.session import LiveWorkers
from tests.brief_warm_up import BRIEF_WARM_UP

FILE = "benchmarks/test_a.py"
KEEPS_ACCOUNT = os.path.exists(ACCOUNT)


@pytest.fixture
def specs(make_specs, tmp_path):
    """Workers of both sides, whose workloads may write down what they did in a folder."""
    return make_specs("[pytest]\naddopts = --benchmark-disable\nstrict_markers = true\n", NOTES=str(tmp_path))


@pytest.fixture
def measure(specs, tmp_path):
    """Measures a file of workloads; gives outcomes, causes and trials by workload and side."""

    def measure(
        text,
        *workloads,
        seconds=0.2,
        stretch=1.0,
        limit_s=600.0,
        seconds_left=math.inf,
        gated=("call_time",),
        **options,
    ):
        (tmp_path / "measure" / "conftest.py").write_text(BRIEF_WARM_UP)
        (tmp_path / "measure" / FILE).write_text(f"import os, pytest, time\n{textwrap.dedent(text)}")
        tasks = tuple(
            TimedTask(
                workload=name if "::" in name else f"{FILE}::{name}",
                seed=1,
                first=draw_block_orders("", "c", name, 0, MAX_ALTERNATIONS),
                gated=gated,
                stretch=stretch,
            )
            for name in workloads
        )
        request = TimedRequest(pair=0, tasks=tasks, seconds=seconds, limit_s=limit_s, seconds_left=seconds_left)
        result = run_timed_pair(specs, request, **options)
        trials = {}
        for trial in result.trials:
            trials.setdefault(trial.workload.partition("::")[2], {})[trial.side] = trial
        return trials, result

    return measure


ALONE = """
from _mainstay_runner.run_delay import RunDelayMeter

RunDelayMeter.works_alone = RunDelayMeter.fits_one_core = True
"""
"""What the worker finds of calls that keep one thread busy, even if the machine is so busy that it would not find it."""

SPANS = """
spans = []

def test_a(benchmark):
    def work():
        start = time.monotonic()
        {work}
        if benchmark._num_calls:  # from the second block on
            spans.append((start, time.monotonic()))

    benchmark(work)
    import json, pathlib
    pathlib.Path(os.environ["NOTES"], os.environ["SIDE"]).write_text(json.dumps(spans))
"""


@pytest.fixture
def spans(tmp_path):
    """When the calls of both sides in :data:`SPANS` began and ended, with their side, in this order."""

    def spans():
        return sorted((start, end, side) for side in Side for start, end in json.loads((tmp_path / side).read_text()))

    return spans


def test_revisions_that_do_not_work_alone_take_turns_with_equal_blocks_and_only_one_runs_at_a_time(measure, spans):
    trials, result = measure(SPANS.format(work="time.sleep(0.002)"), "test_a", seconds=0.6)

    baseline, candidate = (trials["test_a"][side] for side in Side)
    assert (baseline.outcome, candidate.outcome, result.notes) == (Outcome.COMPLETED, Outcome.COMPLETED, ())
    assert len(baseline.block_times_s) == len(candidate.block_times_s) > 2
    assert all(first is not second for first, second in zip(baseline.went_first, candidate.went_first, strict=True))
    assert sum(baseline.went_first) == len(baseline.went_first) / 2
    assert not baseline.is_concurrent
    assert not candidate.is_concurrent
    assert all(before[1] <= after[0] for before, after in pairwise(spans()))


needs_account = pytest.mark.skipif(
    not (KEEPS_ACCOUNT and hasattr(os, "sched_setaffinity")),
    reason="the system keeps no account, or gives no choice of cores",
)


@needs_account
def test_revisions_that_work_alone_run_at_the_same_time_on_one_core(measure, spans):
    known = "benchmark.extra_info"
    work = f"sum(range(20_000)); {known}['cores'] = min({known}.get('cores', 99), len(os.sched_getaffinity(0)))"
    own = os.sched_getaffinity(0)

    trials, result = measure(
        ALONE
        + SPANS.format(work=work)
        + f"""
def test_next(benchmark):
    assert os.sched_getaffinity(0) == {own}
    benchmark(time.sleep, 0.001)
""",
        "test_a",
        "test_next",
        seconds=0.6,
    )

    assert {trial.outcome for sides in trials.values() for trial in sides.values()} == {Outcome.COMPLETED}
    assert result.notes == ()
    baseline, candidate = (trials["test_a"][side] for side in Side)
    assert baseline.values["cores"] == candidate.values["cores"] == 1
    assert len(baseline.block_times_s) == len(candidate.block_times_s) >= 2
    assert {before[2] for before, after in pairwise(spans()) if before[1] > after[0]} == set(Side)
    assert baseline.is_concurrent
    assert candidate.is_concurrent
    assert os.sched_getaffinity(0) == own


@needs_account
def test_blocks_weigh_in_both_revisions_what_the_speed_of_the_core_says(measure, monkeypatch):
    weights = itertools.cycle([1.0, 0.25])
    monkeypatch.setattr(CoreSpeed, "weigh", lambda _, blocks: tuple(next(weights) for _ in blocks))

    trials, _ = measure(
        f"""{ALONE}
def test_a(benchmark):
    benchmark(lambda: sum(range(20_000)))
""",
        "test_a",
        seconds=0.6,
    )

    for trial in trials["test_a"].values():
        times = trial.block_times_s
        assert trial.block_weights == (1.0, 0.25) * (len(times) // 2)
        mean = sum(times[::2]) + 0.25 * sum(times[1::2])
        assert trial.values["call_time"] == pytest.approx(mean / (1.25 * len(times) / 2))


@pytest.mark.parametrize("slower", Side)
def test_a_block_weighs_by_the_time_in_which_both_revisions_ran(slower):
    def side(each):
        block = Block(seconds=0.08 if each is slower else 0.03, run_delay_s=0.03)
        return SimpleNamespace(
            is_ready=True, begin_block=lambda *_, **__: None, end_block=lambda: block, keep_block=lambda *_, **__: None
        )

    sides: Any = {each: side(each) for each in Side}
    both = _BothSides(sides, cast("Any", None), {})

    both._slice(Side.BASELINE, 1)

    ((begin, end),) = both._spans
    assert end - begin == pytest.approx(0.06)


@needs_account
def test_a_side_that_fails_in_a_block_has_no_weights(measure, monkeypatch):
    monkeypatch.setattr(CoreSpeed, "weigh", lambda _, blocks: (1.0,) * len(blocks))

    trials, _ = measure(
        f"""{ALONE}
def test_a(benchmark):
    def work():
        sum(range(20_000))
        assert benchmark._num_calls == 0 or os.environ["SIDE"] == "baseline"

    benchmark(work)
""",
        "test_a",
        seconds=1.0,
    )

    baseline, candidate = (trials["test_a"][side] for side in Side)
    assert candidate.outcome is Outcome.FAILED
    assert candidate.block_weights == ()
    assert len(baseline.block_weights) in {0, len(baseline.block_times_s)}


@needs_account
def test_blocks_weigh_the_same_if_the_speed_is_not_known(measure, monkeypatch):
    monkeypatch.setattr(CoreSpeed, "weigh", lambda _, blocks: ())

    trials, _ = measure(
        f"""{ALONE}
def test_a(benchmark):
    benchmark(lambda: sum(range(20_000)))
""",
        "test_a",
    )

    for trial in trials["test_a"].values():
        assert trial.block_weights == ()
        assert trial.values["call_time"] == pytest.approx(sum(trial.block_times_s) / len(trial.block_times_s))


@needs_account
def test_latencies_are_timed_in_turns_on_one_core(measure, spans):
    known = "benchmark.extra_info"
    work = f"sum(range(20_000)); {known}['cores'] = min({known}.get('cores', 99), len(os.sched_getaffinity(0)))"
    marked = SPANS.replace("def test_a", "@pytest.mark.performance(metric='latency_median')\ndef test_a")

    trials, _ = measure(ALONE + marked.format(work=work), "test_a", seconds=0.6, gated=("latency_median",))

    assert {trial.outcome for trial in trials["test_a"].values()} == {Outcome.COMPLETED}
    assert {trial.values["cores"] for trial in trials["test_a"].values()} == {1}
    assert not any(trial.is_concurrent for trial in trials["test_a"].values())
    assert all(before[1] <= after[0] for before, after in pairwise(spans()))


@needs_account
@pytest.mark.parametrize("fits_one_core", [True, False])
def test_the_main_threads_take_turns_on_one_core_if_one_is_enough_for_all_threads(measure, spans, fits_one_core):
    known, own = "benchmark.extra_info", os.sched_getaffinity(0)
    work = (
        f"sum(range(20_000)); {known}['cores'] = min({known}.get('cores', 99), len(os.sched_getaffinity(0))); "
        f"{known}['of_others'] = min({known}.get('of_others', 99), len(os.sched_getaffinity(thread.native_id)))"
    )
    program = f"""
import threading
from _mainstay_runner.run_delay import RunDelayMeter

RunDelayMeter.works_alone, RunDelayMeter.fits_one_core = False, {fits_one_core}
thread = threading.Thread(target=threading.Event().wait, daemon=True)
thread.start()
"""

    trials, _ = measure(program + SPANS.format(work=work), "test_a", seconds=0.6)

    assert {trial.outcome for trial in trials["test_a"].values()} == {Outcome.COMPLETED}
    for trial in trials["test_a"].values():
        assert trial.values["cores"] == (1 if fits_one_core else len(own))
        assert trial.values["of_others"] == len(own)
        assert not trial.is_concurrent
    assert all(before[1] <= after[0] for before, after in pairwise(spans()))
    assert os.sched_getaffinity(0) == own


@needs_account
def test_warm_ups_overlap_only_where_an_earlier_pair_has_shared_a_core(measure, monkeypatch):
    steps, live = [], LiveWorkers()

    def note(name):
        call = getattr(_TimedSide, name)

        def noted(side, *task):
            steps.append(name)
            call(side, *task)

        monkeypatch.setattr(_TimedSide, name, noted)

    note("begin")
    note("end_warm_up")
    for _ in range(2):
        measure(
            """
            def test_a(benchmark):
                meter = type(benchmark.run_delay)
                meter.works_alone = meter.fits_one_core = True
                benchmark(sum, range(20_000))

            def test_sleeping(benchmark):
                meter = type(benchmark.run_delay)
                meter.works_alone = meter.fits_one_core = False
                benchmark(time.sleep, 0.002)
            """,
            "test_a",
            "test_sleeping",
            live=live,
        )

    in_turns, at_once = ["begin", "end_warm_up"] * 2, ["begin", "begin", "end_warm_up", "end_warm_up"]
    assert steps == [*in_turns, *in_turns, *at_once, *in_turns]


@needs_account
def test_a_workload_that_fails_when_both_revisions_run_at_the_same_time_takes_turns_from_then_on(measure):
    live = LiveWorkers()
    locked = ALONE + textwrap.dedent("""
    def test_a(benchmark):
        lock = os.environ["NOTES"] + "/lock"

        def work():
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL)
            sum(range(20_000))
            os.close(descriptor)
            os.remove(lock)

        benchmark(work)
    """)

    for _ in range(2):
        trials, _ = measure(locked, "test_a", seconds=0.6, live=live)

        assert {trial.outcome for trial in trials["test_a"].values()} == {Outcome.COMPLETED}
        assert live.can_share == {f"{FILE}::test_a": False}


RARE = {
    "process": ("os.waitpid(os.posix_spawn('/bin/sleep', ['sleep', '0.05'], {}), 0)", 0.05),
    "thread": ("thread = threading.Thread(target=lambda: sum(range(10**6))); thread.start(); thread.join()", 0.005),
    "sleep": ("time.sleep(0.05)", 0.05),
}
"""What a rare call does, and how many seconds it takes at least."""


@needs_account
@pytest.mark.parametrize(
    "kind", ["process", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("thread", "sleep"))]
)
def test_a_rare_call_that_does_not_work_alone_counts_in_full(measure, kind):
    call, least_s = RARE[kind]
    trials, _ = measure(
        f"""
        import threading

        calls = []

        def test_a(benchmark):
            def work():
                sum(range(20_000))
                calls.append(1)
                if os.environ["SIDE"] == "candidate" and benchmark._num_calls and len(calls) % 20 == 0:
                    {call}
                    benchmark.extra_info["num_rare"] = benchmark.extra_info.get("num_rare", 0) + 1

            benchmark(work)
            benchmark.extra_info["calls"] = benchmark._num_calls
        """,
        "test_a",
        seconds=1.0,
    )

    baseline, candidate = (trials["test_a"][side] for side in Side)
    assert (baseline.outcome, candidate.outcome) == (Outcome.COMPLETED, Outcome.COMPLETED)
    more_s = (candidate.values["call_time"] - baseline.values["call_time"]) * candidate.values["calls"]
    assert candidate.values["num_rare"] > 0
    assert more_s > 0.5 * least_s * candidate.values["num_rare"]  # a few times what the calls in between take


def test_an_existing_suite_of_pytest_benchmark_runs_unchanged(measure):
    trials, _ = measure(
        """
        @pytest.mark.benchmark(group="sums", min_rounds=3, warmup=False)
        @pytest.mark.parametrize("size", [10, 1000])
        def test_sum(benchmark, size):
            benchmark.extra_info["size"] = size
            assert benchmark(sum, range(size)) == size * (size - 1) / 2
            assert benchmark.group == "sums" and benchmark.params == {"size": size}
            assert benchmark.stats.stats.mean > 0 and benchmark.stats["rounds"] > 1

        @pytest.mark.benchmark
        def test_sorting(benchmark):
            def setup():
                return (list(range(100, 0, -1)),), {}

            benchmark.pedantic(list.sort, setup=setup, rounds=100)

        @pytest.fixture
        def both(benchmark):
            return benchmark

        def test_wrapped(both):
            both(len, [])
        """,
        "test_sum[10]",
        "test_sum[1000]",
        "test_sorting",
        "test_wrapped",
    )

    assert {trial.outcome for sides in trials.values() for trial in sides.values()} == {Outcome.COMPLETED}
    assert trials["test_sum[1000]"][Side.BASELINE].values["size"] == 1000
    assert all(trial.values["call_time"] > 0 for sides in trials.values() for trial in sides.values())


def test_fixtures_of_every_scope_are_set_up_for_each_workload_and_end_with_it(measure):
    trials, result = measure(
        """
        import threading

        started = []

        @pytest.fixture(scope="module")
        def changed():
            return []

        @pytest.fixture(scope="session")
        def server():
            end = threading.Event()
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
            yield thread
            end.set()
            thread.join()

        @pytest.mark.parametrize("number", [1, 2])
        def test_a(benchmark, server, changed, number):
            benchmark.extra_info.update(alive=sum(thread.is_alive() for thread in started), before=len(changed))
            benchmark.extra_info.update(started=len(started))
            changed.append(number)
            benchmark(len, [])
        """,
        "test_a[1]",
        "test_a[2]",
    )

    first, second = (trials[f"test_a[{number}]"][Side.CANDIDATE] for number in (1, 2))
    assert (first.values["alive"], first.values["before"], first.values["started"]) == (1, 0, 1)
    assert (second.values["alive"], second.values["before"], second.values["started"]) == (1, 0, 2)
    assert result.notes == ()


@pytest.mark.parametrize("side", [Side.BASELINE, pytest.param(Side.CANDIDATE, marks=pytest.mark.slow)])
def test_what_one_revision_cannot_collect_leaves_the_others_alone(measure, tmp_path, side):
    broken = "benchmarks/test_b.py"
    (tmp_path / "measure" / broken).write_text(
        f"import os\nif os.environ['SIDE'] == '{side}':\n    import no_such_module\ndef test_b(benchmark): benchmark(len, [])\n"
    )

    trials, _ = measure(
        f"""
        def test_a(benchmark):
            benchmark(len, [])

        @pytest.mark.parametrize("case", ["known"] if os.environ["SIDE"] == "{side}" else ["known", "other"])
        def test_case(benchmark, case):
            benchmark(len, [])

        def test_z(benchmark):
            benchmark(len, [])
        """,
        "test_a",
        f"{broken}::test_b",
        "test_case[known]",
        "test_case[other]",
        "test_z",
    )

    for name in ("test_a", "test_case[known]", "test_z"):
        assert {trial.outcome for trial in trials[name].values()} == {Outcome.COMPLETED}
    assert "no_such_module" in trials["test_b"][side].cause
    assert trials["test_case[other]"][side].cause == "the workload was not collected"


@pytest.mark.slow
def test_what_goes_wrong_in_a_workload_is_said_and_the_others_go_on(measure):
    trials, _ = measure(
        """
        def test_never(benchmark): ...

        def test_twice(benchmark):
            benchmark(len, [])
            try:
                benchmark(len, [])
            except Exception:
                pass

        def test_woven(benchmark):
            benchmark.weave(len)

        def test_on_one_side(benchmark):
            if os.environ["SIDE"] == "candidate":
                raise ZeroDivisionError("planted")
            benchmark(len, [])

        def test_later_in_a_block(benchmark):
            calls = []
            def work():
                calls.append(1)
                if os.environ["SIDE"] == "baseline" and len(calls) > 5:
                    raise ZeroDivisionError("worn out")
                time.sleep(0.02)
            benchmark(work)

        @pytest.mark.skip(reason="no GPU here")
        def test_skipped(benchmark): ...

        def test_sound(benchmark):
            benchmark(time.sleep, 0.001)
        """,
        *("test_never", "test_twice", "test_woven", "test_on_one_side", "test_later_in_a_block", "test_skipped"),
        "test_sound",
        seconds=1.0,
    )

    causes = {name: {side: trial.cause for side, trial in sides.items()} for name, sides in trials.items()}
    assert "never called" in causes["test_never"][Side.BASELINE]
    assert "used twice" in causes["test_twice"][Side.CANDIDATE]
    assert "need the package aspectlib" in causes["test_woven"][Side.CANDIDATE]
    assert "planted" in causes["test_on_one_side"][Side.CANDIDATE]
    assert trials["test_on_one_side"][Side.BASELINE].outcome is Outcome.COMPLETED
    assert "worn out" in causes["test_later_in_a_block"][Side.BASELINE]
    assert causes["test_skipped"] == dict.fromkeys(Side, "no GPU here")
    assert {trial.outcome for trial in trials["test_sound"].values()} == {Outcome.COMPLETED}
    assert trials["test_sound"][Side.BASELINE].block_times_s


@pytest.mark.slow
def test_a_timed_workload_that_one_side_skips_once_is_measured(measure):
    trials, _ = measure(
        """
        import pathlib

        def test_a(benchmark):
            mark = pathlib.Path(os.environ["NOTES"], "mark")
            if os.environ["SIDE"] == "baseline" and not mark.exists():
                mark.touch()
                pytest.skip("the port is busy")
            benchmark(len, [])
        """,
        "test_a",
    )

    assert {trial.outcome for trial in trials["test_a"].values()} == {Outcome.COMPLETED}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "outcome", "cause"),
    [
        pytest.param("os._exit(3)", Outcome.CRASHED, "exited with status 3", id="dies"),
        pytest.param(
            "{hang}",
            Outcome.TIMED_OUT,
            "no answer within 600 s",
            id="block-longer-than-the-limit",
        ),
    ],
)
def test_a_process_that_ends_in_a_block_fails_its_workload_only(measure, hang, body, outcome, cause):
    trials, _ = measure(
        f"""
        def test_a(benchmark):
            calls = []
            def work():
                calls.append(1)
                time.sleep(0.05)
                if os.environ["SIDE"] == "candidate" and len(calls) > 5:
                    {body.replace("{hang}", hang)}
            benchmark(work)

        def test_sound(benchmark):
            benchmark(time.sleep, 0.001)
        """,
        "test_a",
        "test_sound",
        seconds=2.0,
    )

    assert (trials["test_a"][Side.CANDIDATE].outcome, cause in trials["test_a"][Side.CANDIDATE].cause) == (
        outcome,
        True,
    )
    assert {trial.outcome for trial in trials["test_sound"].values()} == {Outcome.COMPLETED}


def test_what_a_workload_leaves_behind_is_ended_and_the_next_one_has_fresh_processes(measure, tmp_path, ends):
    trials, result = measure(
        """
        import subprocess, sys, threading

        def test_a(benchmark):
            place = os.environ["NOTES"] + "/pid-" + os.environ["SIDE"]
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            open(place, "w").write(str(child.pid))
            threading.Thread(target=time.sleep, args=(600,), daemon=True, name="leftover").start()
            benchmark(len, [])

        def test_next(benchmark):
            assert "leftover" not in [thread.name for thread in threading.enumerate()]
            benchmark(len, [])
        """,
        "test_a",
        "test_next",
    )

    assert {trial.outcome for sides in trials.values() for trial in sides.values()} == {Outcome.COMPLETED}
    assert any("threads" in note and "leftover" in note for note in result.notes)
    assert any("1 processes" in note for note in result.notes)
    assert any("test_a: timed by the wall clock alone" in note for note in result.notes) or not KEEPS_ACCOUNT
    assert not any(trial.run_delays_s for trial in trials["test_a"].values())
    assert all(bool(trial.run_delays_s) is KEEPS_ACCOUNT for trial in trials["test_next"].values())
    assert all(ends(int((tmp_path / f"pid-{side}").read_text())) for side in Side)


METER = """
class Meter:
    is_known, total_s, works_alone, fits_one_core = True, 0.0, False, False

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    def read(self): ...

    def forget(self): ...

    def take_off(self, before, span_s):
        taken_s = span_s / 2 if self.is_known else 0.0
        self.total_s += taken_s
        return taken_s
"""
"""A meter that finds the core taken for half of every span, until it is told that it does not know."""


@pytest.mark.parametrize(
    "blind", [Side.CANDIDATE, *(pytest.param(side, marks=pytest.mark.slow) for side in (Side.BASELINE, None))]
)
def test_where_the_run_delay_of_one_revision_is_unknown_both_are_timed_by_the_wall_clock(measure, blind):
    trials, result = measure(
        f"""{METER}
@pytest.mark.performance(metric="call_time")
@pytest.mark.performance(metric="throughput")
@pytest.mark.performance(metric="latency_median")
def test_a(benchmark):
    benchmark.run_delay = meter = Meter()
    benchmark.extra_info["examples"] = 1

    def work():
        if benchmark._num_calls and os.environ["SIDE"] == "{blind}":  # from the second block on
            meter.is_known = False
        time.sleep(0.002)

    benchmark(work)
""",
        "test_a",
        gated=("call_time", "throughput", "latency_median"),
    )

    for trial in trials["test_a"].values():
        assert trial.outcome is Outcome.COMPLETED
        assert trial.values["call_time"] == pytest.approx(1 / trial.values["throughput"])
        assert trial.values["call_time"] == pytest.approx(math.fsum(trial.block_times_s) / len(trial.block_times_s))
        if blind:
            assert trial.run_delays_s == ()
            assert min(*trial.block_times_s, trial.values["latency_median"]) > 0.0019
        else:
            assert trial.run_delays_s == pytest.approx(trial.block_times_s)
    text = f"the {blind} starts processes" if KEEPS_ACCOUNT else "timed by the wall clock"
    assert [text in note for note in result.notes] == ([True] if blind else [])


def test_an_import_that_starts_a_process_in_one_revision_has_both_timed_by_the_wall_clock(measure, tmp_path):
    (tmp_path / "starting.py").write_text(
        "import os, subprocess, sys\n"
        "if os.environ['SIDE'] == 'candidate':\n"
        "    subprocess.run([sys.executable, '-c', ''], check=True)\n"
    )

    trials, result = measure(
        """
        @pytest.mark.performance(metric="import_time")
        def test_a(import_timer):
            os.environ["PYTHONPATH"] = os.environ["NOTES"]
            import_timer("starting")
        """,
        "test_a",
        gated=("import_time",),
    )

    assert {trial.outcome for trial in trials["test_a"].values()} == {Outcome.COMPLETED}
    assert {trial.run_delays_s for trial in trials["test_a"].values()} == {()}
    assert any("the candidate starts processes" in note for note in result.notes) or not KEEPS_ACCOUNT


def test_a_block_longer_than_the_gate_waited_shows_a_clock_that_stepped(measure):
    frozen = iter(range(10**9))

    trials, _ = measure(
        """
        def test_a(benchmark):
            benchmark(time.sleep, 0.05)
        """,
        "test_a",
        clock=lambda: next(frozen) * 1e-6,
    )

    assert "a clock stepped" in "".join(trial.cause for trial in trials["test_a"].values())


def test_no_more_blocks_are_begun_once_they_take_three_times_as_long_by_the_wall_clock(measure):
    trials, _ = measure(
        """
        def test_a(benchmark):
            benchmark.pedantic(len, args=([],), setup=lambda: time.sleep(0.1), rounds=10_000, warmup_rounds=1)
        """,
        "test_a",
        seconds=0.2,
    )

    baseline, candidate = (trials["test_a"][side] for side in Side)
    assert baseline.outcome is candidate.outcome is Outcome.COMPLETED
    assert len(baseline.block_times_s) == len(candidate.block_times_s) in {2, 4, 6}  # of a call each, by its set-up
    assert 2 * sum(baseline.went_first) == len(baseline.went_first)


def test_a_block_is_one_round_if_its_iterations_take_longer_than_a_block(measure):
    trials, _ = measure(
        """
        def test_a(benchmark):
            calls = []

            def work():
                calls.append(1)
                time.sleep(0.0005)

            benchmark.pedantic(work, rounds=10_000, iterations=40, warmup_rounds=2)
            benchmark.extra_info["calls"] = len(calls)
        """,
        "test_a",
    )

    for trial in trials["test_a"].values():
        assert trial.values["calls"] == 40 * (2 + len(trial.block_times_s))


def test_an_import_is_timed_in_fresh_interpreters(measure):
    trials, _ = measure(
        """
        @pytest.mark.performance(metric="import_time")
        def test_a(import_timer):
            import_timer("json")
        """,
        "test_a",
        gated=("import_time",),
    )

    assert all(trial.values["import_time"] > 0 for trial in trials["test_a"].values())


@pytest.mark.parametrize(
    ("call_s", "left", "expected"),
    [
        pytest.param([1e-6, 3e-6], [None, None], (1_000, 500), id="fast"),
        pytest.param([0.3, 0.3], [None, None], (1, 2), id="one-call-lasts-longer-than-a-block"),
        pytest.param([40.0, 40.0], [None, None], (1, 2), id="one-call-lasts-longer-than-the-budget"),
        pytest.param([None, None], [1, 1], (1, 1), id="one-round-allowed"),
        pytest.param([2e-4, 2e-4], [40, 40], (5, 8), id="so-few-that-blocks-are-shorter"),
        pytest.param([0.001, 0.001], [80, 90], (2, 40), id="few-rounds-allowed"),
        pytest.param([0.0, 0.0], [None, None], (2_000_000, 500), id="nothing-to-measure"),
    ],
)
def test_how_blocks_are_cut(call_s, left, expected):
    assert plan_blocks(seconds=2.0, call_s=call_s, left=left) == expected


def test_a_set_up_that_takes_longer_than_the_calls_makes_blocks_of_fewer():
    blocks = plan_blocks(seconds=2.0, call_s=[1e-6, 1e-6], wall_s=[0.05, 0.1], left=[8_000, 8_000])

    assert blocks.calls == 15  # four blocks in three times the seconds


@pytest.mark.parametrize(
    ("call_s", "alternations"),
    [
        pytest.param(0.1, 10, id="more-fit"),
        pytest.param(0.45, 4, id="two-fit"),
        pytest.param(0.8, 2, id="four-take-more-than-twice-the-time"),
    ],
)
def test_imports_are_repeated_where_twice_the_time_suffices(call_s, alternations):
    least = READY_METRICS["import_time"].least_blocks
    blocks = plan_blocks(seconds=2.0, call_s=[call_s, call_s], left=[None, None], least=least)

    assert blocks == (1, alternations)


@pytest.fixture
def asked(monkeypatch):
    """What each plan of blocks was asked for; the plan is two short blocks of each revision."""
    asked: list[dict[str, Any]] = []

    def plan(**arguments):
        asked.append(arguments)
        return Blocks(calls=1, alternations=2)

    monkeypatch.setattr(interleaved, "plan_blocks", plan)
    return asked


@needs_account
@pytest.mark.parametrize(("found", "expected"), [("", 4), (ALONE, 2)], ids=["in-turns", "on-one-core"])
def test_imports_that_share_a_core_are_repeated_less(measure, asked, tmp_path, found, expected):
    (tmp_path / "waiting.py").write_text("import time\ntime.sleep(0.05)\n")

    measure(
        f"""{found}
@pytest.mark.performance(metric="import_time")
def test_a(import_timer):
    os.environ["PYTHONPATH"] = os.environ["NOTES"]
    import_timer("waiting")
""",
        "test_a",
        gated=("import_time",),
    )

    assert [each["least"] for each in asked] == [expected]


@needs_account
@pytest.mark.parametrize(
    ("found", "stretch", "expected"),
    [("", 1.0, 0.3), ("", 5.0, 0.6), (ALONE, 1.0, 0.12), (ALONE, 5.0, 0.6)],
    ids=["in-turns", "in-turns-for-longer", "on-one-core", "on-one-core-for-longer"],
)
def test_a_task_is_measured_for_its_multiple_of_the_time_on_one_core(measure, asked, found, stretch, expected):
    measure(
        f"{found}\ndef test_a(benchmark):\n    benchmark(time.sleep, 0.001)\n", "test_a", seconds=0.3, stretch=stretch
    )

    assert [each["seconds"] for each in asked] == pytest.approx([expected])


FORGING = """
def test_a(benchmark):
    channel = benchmark._channel
    calls = []
    def work():
        calls.append(1)
        if os.environ["SIDE"] == "candidate" and len(calls) > 5:
            {body}
        time.sleep(0.01)
    benchmark(work)
    if os.environ["SIDE"] == "candidate":
        {after}

def test_sound(benchmark):
    benchmark(time.sleep, 0.001)
"""

ENDED = """channel.send("finished", outcome="completed", cause="", detail=[], duration_s=1, peak_memory_bytes=1, threads=[],
                           values={"call_time": 1e-9})"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "after", "cause"),
    [
        pytest.param(ENDED, "pass", "ended before all its blocks were measured", id="ends-too-early"),
        pytest.param(
            "channel.send('ready', call_s=0.1, wall_s=0.1, left=None, works_alone=False, fits_one_core=False)",
            "pass",
            "out of turn",
            id="out-of-turn",
        ),
        pytest.param(
            "channel.send('block', seconds='1', run_delay_s=None, works_alone=False)",
            "pass",
            "not as agreed",
            id="text-for-seconds",
        ),
        pytest.param(
            "pass",
            "benchmark.recorded = lambda: {'values': {'call_time': 1e-9}}",
            "its blocks give",
            id="another-mean",
        ),
    ],
)
def test_a_workload_that_contradicts_what_the_gate_has_heard_fails_alone(measure, body, after, cause):
    trials, _ = measure(FORGING.format(body=body, after=after), "test_a", "test_sound", seconds=1.0)

    assert trials["test_a"][Side.CANDIDATE].outcome is Outcome.FAILED
    assert cause in trials["test_a"][Side.CANDIDATE].cause
    assert trials["test_a"][Side.BASELINE].outcome is Outcome.COMPLETED
    assert {trial.outcome for trial in trials["test_sound"].values()} == {Outcome.COMPLETED}


@pytest.mark.parametrize(
    ("recorded", "cause"),
    [
        ({"throughput": 1e9, "examples": 64.0}, "the worker says that throughput is 1e+09, where its blocks give"),
        pytest.param({"throughput": 1e9}, "the worker does not say 'examples'", marks=pytest.mark.slow),
    ],
)
def test_every_metric_that_follows_from_blocks_is_checked_against_them(measure, recorded, cause):
    forged = FORGING.format(body="pass", after=f"benchmark.recorded = lambda: {{'values': {recorded}}}")

    trials, _ = measure(forged, "test_a", gated=("throughput",))

    assert trials["test_a"][Side.CANDIDATE].outcome is Outcome.FAILED
    assert cause in trials["test_a"][Side.CANDIDATE].cause


def test_the_workloads_that_were_through_when_the_time_was_used_up_are_kept(measure, hang):
    trials, result = measure(
        f"""
        def test_a(benchmark):
            benchmark(len, [])

        def test_b(benchmark):
            benchmark(exec, {hang!r})
        """,
        "test_a",
        "test_b",
        limit_s=3000.0,
        seconds_left=600.0,
    )

    assert result.was_cut
    assert {name: len(sides) for name, sides in trials.items()} == {"test_a": 2}


def test_what_shares_a_file_that_hangs_is_not_tried_again(measure, hang, tmp_path):
    trials, _ = measure(
        f"""
        if os.environ["SIDE"] == "candidate":
            {hang}

        def test_a(benchmark):
            benchmark(len, [])

        def test_b(benchmark):
            benchmark(len, [])
        """,
        "test_a",
        "test_b",
    )

    hung = [trials[name][Side.CANDIDATE] for name in ("test_a", "test_b")]
    assert {trial.outcome for trial in hung} == {Outcome.TIMED_OUT}
    assert all("hung: no answer within 300 s" in trial.cause for trial in hung)
    assert len([*(tmp_path / "hung").iterdir()]) == 1


def test_marked_tests_without_fixture_are_timed_as_a_whole(measure):
    trials, _ = measure(
        """
        import asyncio

        @pytest.fixture
        def numbers():
            return list(range(100))

        @pytest.mark.benchmark
        @pytest.mark.parametrize("seconds", [0.002])
        def test_a(numbers, seconds):
            assert len(numbers) == 100
            time.sleep(seconds)

        class TestGroup:
            @pytest.mark.benchmark(group="sums")
            def test_method(self, numbers):
                sum(numbers)

        @pytest.mark.benchmark
        def test_fails():
            assert 1 + 1 == 3
        """,
        "test_a[0.002]",
        f"{FILE}::TestGroup::test_method",
        "test_fails",
    )

    assert all(trial.values["call_time"] > 0.002 for trial in trials["test_a[0.002]"].values())
    assert {trial.outcome for trial in trials["TestGroup::test_method"].values()} == {Outcome.COMPLETED}
    assert {trial.outcome for trial in trials["test_fails"].values()} == {Outcome.FAILED}
