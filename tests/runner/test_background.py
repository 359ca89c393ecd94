"""Time for which other Python threads keep a workload waiting: scripted, and with a real thread."""

import sys
import threading
import time
from types import SimpleNamespace

import pytest

from mainstay.runner import background
from mainstay.runner.background import OtherThreads
from mainstay.runner.channel import Listener
from mainstay.runner.run_delay import RunDelayMeter
from mainstay.runner.timing import CallTimer

USUAL = 0.0001
"""Time until the lock is back if no thread wants it."""

CALLS = 0.002
"""Time of the calls of a block."""


class Process:
    """A process of which a thread is timed; what happens while that thread sleeps is scripted."""

    def __init__(self):
        self.now, self.own, self.used_by_others, self.delay = 0.0, 0.0, 1.0, 0.0
        self.threads = [threading.current_thread(), SimpleNamespace(native_id=1), SimpleNamespace(native_id=2)]
        self.have_run = {1}
        self.sleeps = 0
        self.pauses = []

    def let_pass(self, seconds, *, own=0.0, used=0.0, delay=0.0):
        self.now += seconds
        self.own += own
        self.used_by_others += used
        self.delay += delay

    def call(self, seconds):
        self.let_pass(seconds, own=seconds)

    def sleep(self, _):
        self.sleeps += 1
        seconds, used, delay = self.pauses.pop(0) if self.pauses else (0.0, 0.0, 0.0)
        self.let_pass(USUAL + seconds, used=used, delay=delay)

    def nanoseconds_run(self, thread):
        return round(1e9 * self.used_by_others) if thread.native_id in self.have_run else 0


class Account(RunDelayMeter):
    """Reading the kernel's account releases the lock: others may work, and the thread waits."""

    def __init__(self, process, gap_s=0.0):
        super().__init__("")
        self.process, self.gap_s = process, gap_s

    def read(self):
        return self.process.delay, self.process.own, self.process.used_by_others

    def take_off(self, *_):
        self.process.let_pass(self.gap_s, used=self.gap_s)
        return 0.0


@pytest.fixture
def process(monkeypatch):
    process = Process()
    monkeypatch.setattr(background, "process_time", lambda: process.own + process.used_by_others)
    monkeypatch.setattr(background, "thread_time", lambda: process.own)
    monkeypatch.setattr(background, "sleep", process.sleep)
    monkeypatch.setattr(background, "threads", lambda: process.threads)
    monkeypatch.setattr(background, "_nanoseconds_run", process.nanoseconds_run)
    return process


@pytest.fixture
def end_block(process):
    """End a block of calls; each pause after it has its wait, what others use in it, and the wait for a core."""
    others = OtherThreads(lambda: process.now, Account(process))

    def end_block(*pauses, own=CALLS, used=0.0):
        process.pauses = [(*pause, 0.0, 0.0)[:3] for pause in pauses]
        others.begin_span()
        process.let_pass(CALLS, own=own, used=used)
        others.end_span()
        return others.end_block()

    for _ in range(10):
        assert end_block() == 0.0
    return end_block


def approx(seconds):
    return pytest.approx(seconds, abs=1e-9)


def test_a_thread_that_has_waited_for_the_lock_counts(end_block):
    assert end_block((0.0015, 0.0015)) == approx(0.0015)
    assert end_block() == 0.0


def test_a_thread_that_has_little_to_do_after_every_block_counts(process):
    others = OtherThreads(lambda: process.now, Account(process))
    kept = []
    for _ in range(100):
        process.pauses = [(0.0002, 0.0002, 0.0)]
        others.begin_span()
        process.call(CALLS)
        others.end_span()
        kept.append(others.end_block())

    assert sum(kept) == pytest.approx(100 * 0.0002, rel=0.3)


def test_a_thread_that_works_beside_the_calls_does_not_count(end_block):
    assert [end_block((0.0, 0.01)) for _ in range(10)] == approx([0.0] * 10)


def test_waiting_while_the_other_threads_are_idle_does_not_count(end_block):
    assert end_block((0.01,)) == 0.0


def test_what_others_did_during_the_calls_explains_no_wait(end_block):
    assert end_block((0.004,), used=CALLS) == 0.0


def test_waiting_for_a_core_does_not_count(end_block):
    assert end_block((0.004, 0.001, 0.004)) == approx(0.001)


def test_work_that_takes_several_turns_counts_whole(end_block, process):
    assert end_block((0.005, 0.005), (0.005, 0.005), (0.004, 0.004)) == approx(0.014)
    assert not process.pauses


def test_a_thread_that_is_always_busy_gets_as_long_as_the_calls(end_block):
    kept = [end_block((0.005, 0.005)) for _ in range(1000)]

    assert sum(kept) == pytest.approx(1000 * CALLS, rel=0.05)


def test_two_busy_threads_get_twice_as_long(end_block, process):
    process.have_run = {1, 2}

    kept = [end_block(*[(0.005, 0.005)] * 3) for _ in range(1000)]

    assert sum(kept) == pytest.approx(2 * 1000 * CALLS, rel=0.05)


def test_files_of_threads_are_not_read_after_blocks_that_nobody_kept_waiting(end_block, process, monkeypatch):
    asked = []

    def nanoseconds_run(thread):
        asked.append(thread)
        return 0

    monkeypatch.setattr(background, "_nanoseconds_run", nanoseconds_run)

    end_block()
    assert not asked
    end_block((0.0015, 0.0015))
    assert asked == process.threads[1:]


def test_what_a_busy_thread_had_within_the_calls_is_part_of_its_share(end_block):
    kept = [end_block((0.005, 0.005), own=CALLS / 2, used=CALLS / 2) for _ in range(1000)]

    assert sum(kept) < 0.05  # the calls before them have left as much


@pytest.mark.parametrize("listens", [False, True])
def test_a_process_without_other_threads_does_not_wait(end_block, process, listens):
    process.threads[1:] = [Listener(target=print)] if listens else []
    process.sleeps = 0

    assert end_block((0.005, 0.005)) == 0.0
    assert process.sleeps == 0


def make_timer(process, *, times_each=False, setup_s=0.0, teardown=None):
    def arguments():
        process.let_pass(setup_s, used=setup_s)
        return (CALLS / 4,), {}

    return CallTimer(
        process.call,
        arguments,
        teardown=teardown,
        iterations=1,
        times_each=times_each,
        disable_gc=False,
        clock=lambda: process.now,
        run_delay=Account(process),
    )


@pytest.mark.parametrize(("times_each", "num_gaps"), [(False, 1), (True, 4)])
def test_time_that_others_take_between_the_calls_counts(process, times_each, num_gaps):
    timer = make_timer(process, times_each=times_each)
    spans, kept = [], []
    for gap_s in (0.0, 0.0, 0.0, 0.0015):
        timer.run_delay.gap_s = gap_s
        spans.append(timer.time_calls(4))
        kept.append(timer.others.end_block())

    assert spans == approx([CALLS] * 4)
    assert kept == approx([0.0, 0.0, 0.0, num_gaps * 0.0015])


def test_much_work_after_many_calls_that_are_timed_apart_counts_whole(process):
    timer = make_timer(process, times_each=True)
    timer.run_delay.read = lambda: process.let_pass(1e-5)  # as long as reading takes
    for _ in range(5):
        timer.time_calls(100)
        assert timer.others.end_block() == 0.0

    process.pauses = [(0.005, 0.005, 0.0)] * 2 + [(0.002, 0.002, 0.0)]
    timer.time_calls(100)

    assert timer.others.end_block() == approx(0.012)


def test_set_up_and_teardown_of_a_round_are_no_wait(process):
    timer = make_timer(process, setup_s=0.05, teardown=lambda seconds: process.let_pass(seconds, used=seconds))
    kept = []
    for _ in range(5):
        timer.time_rounds(3)
        kept.append(timer.others.end_block())

    assert kept == approx([0.0] * 5)


def test_a_warm_up_is_forgotten(process):
    timer = make_timer(process)
    timer.time_calls(1)
    process.let_pass(1.0, used=1.0)  # such as a collection of garbage
    timer.forget()
    timer.time_calls(1)

    assert timer.others.end_block() == 0.0


def test_a_real_thread_is_let_in():
    wanted, is_over = threading.Event(), threading.Event()

    def work():
        while not is_over.is_set():
            wanted.wait()
            wanted.clear()
            end = time.thread_time() + 0.002
            while time.thread_time() < end:
                pass

    def call():
        wanted.set()
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass

    others = OtherThreads(time.perf_counter, RunDelayMeter(""))
    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    kept_s, end = 0.0, time.monotonic() + 60
    thread.start()
    sys.setswitchinterval(30)  # so that nothing but a pause lets the thread in
    try:
        while kept_s < 0.01 and time.monotonic() < end:  # one pause may be too short on a busy machine
            others.begin_span()
            call()
            others.end_span()
            kept_s += others.end_block()
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        wanted.set()
        thread.join()

    assert kept_s >= 0.01
