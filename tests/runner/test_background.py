"""Time for which other Python threads keep a workload waiting after its blocks: scripted, and with a real thread."""

import threading
import time
from functools import partial

import pytest

from mainstay.runner import background
from mainstay.runner.background import MOST_USUAL_SECONDS, OtherThreads
from mainstay.runner.channel import Listener
from mainstay.runner.run_delay import RunDelayMeter
from mainstay.runner.timing import CallTimer

USUAL = 0.0001
"""Time until the lock is back if no thread wants it."""


class Process:
    """A process of which a thread is timed; what happens while that thread sleeps is scripted."""

    def __init__(self):
        self.now = 0.0
        self.used_by_others = 1.0
        self.threads = [threading.current_thread(), threading.Thread()]
        self.sleeps = 0
        self.pauses = []

    def let_pass(self, seconds, *, used=0.0):
        self.now += seconds
        self.used_by_others += used

    def sleep(self, _):
        self.sleeps += 1
        seconds, used = self.pauses.pop(0) if self.pauses else (0.0, 0.0)
        self.let_pass(USUAL + seconds, used=used)


@pytest.fixture
def process(monkeypatch):
    process = Process()
    monkeypatch.setattr(background, "process_time", lambda: process.used_by_others)
    monkeypatch.setattr(background, "thread_time", lambda: 0.0)
    monkeypatch.setattr(background, "sleep", process.sleep)
    monkeypatch.setattr(background, "threads", lambda: process.threads)
    return process


@pytest.fixture
def end_block(process):
    """End a block of 2 ms, with what happens in the pauses after it."""
    others = OtherThreads(lambda: process.now)

    def end_block(*pauses):
        process.pauses = list(pauses)
        others.begin()
        process.let_pass(0.002)
        return others.time_kept(process.now, span_s=0.002, num_spans=1)

    return end_block


def test_a_thread_that_has_waited_for_the_lock_counts(end_block):
    quiet = [end_block() for _ in range(10)]

    assert quiet == pytest.approx([0.0] * 10, abs=1e-9)
    assert end_block((0.0015, 0.0015)) == pytest.approx(0.0015)
    assert end_block() == pytest.approx(0.0, abs=1e-9)


def test_a_thread_that_works_beside_the_calls_does_not(end_block):
    assert [end_block((0.0, 0.01)) for _ in range(10)] == pytest.approx([0.0] * 10, abs=1e-9)


def test_waiting_while_the_other_threads_are_idle_does_not(end_block):
    end_block()

    assert end_block((0.01, 0.0)) == 0.0


def test_work_that_takes_several_turns_counts_whole(end_block, process):
    for _ in range(10):
        end_block()

    assert end_block((0.005, 0.005), (0.005, 0.005), (0.004, 0.004)) == pytest.approx(0.014, abs=3 * USUAL)
    assert not process.pauses


def test_a_thread_that_is_always_busy_gets_as_long_as_the_calls(end_block):
    kept = [end_block((0.005, 0.005)) for _ in range(100)]

    assert sum(kept) == pytest.approx(100 * 0.002, rel=0.05)


def test_two_busy_threads_get_twice_as_long(end_block, process):
    process.threads.append(threading.Thread())

    kept = [end_block(*[(0.005, 0.005)] * 3) for _ in range(100)]

    assert sum(kept) == pytest.approx(2 * 100 * 0.002, rel=0.1)


def test_what_is_usual_is_no_longer_than_the_lock_takes(end_block):
    assert end_block((0.005, 0.005)) == pytest.approx(0.005 + USUAL - MOST_USUAL_SECONDS * 1.1)


@pytest.mark.parametrize("listens", [False, True])
def test_a_process_without_other_threads_does_not_wait(end_block, process, listens):
    process.threads[1:] = [Listener(target=print)] if listens else []

    assert end_block((0.005, 0.005)) == 0.0
    assert process.sleeps == 0


class Account(RunDelayMeter):
    """Reading the kernel's account releases the lock: others work, and the thread waits."""

    def __init__(self, process, seconds):
        super().__init__("")
        self.let_pass = partial(process.let_pass, seconds, used=seconds)

    def take_off(self, *_):
        self.let_pass()
        return 0.0


def make_timer(process, *, gap_s=0.0, times_each=False, setup_s=0.0, teardown=None):
    def arguments():
        process.let_pass(setup_s, used=setup_s)
        return (0.001,), {}

    return CallTimer(
        process.let_pass,
        arguments,
        teardown=teardown,
        iterations=1,
        times_each=times_each,
        disable_gc=False,
        clock=lambda: process.now,
        run_delay=Account(process, gap_s),
    )


@pytest.mark.parametrize("times_each", [False, True])
def test_time_that_others_take_between_the_calls_counts(process, times_each):
    timer = make_timer(process, times_each=times_each)
    spans, kept = [], []
    for gap_s in (0.0, 0.0, 0.0, 0.0015):
        timer.run_delay = Account(process, gap_s)
        spans.append(timer.time_calls(4))
        kept.append(timer.time_kept(spans[-1]))

    assert spans == pytest.approx([0.004] * 4)
    assert kept == pytest.approx([0.0, 0.0, 0.0, 4 * 0.0015 if times_each else 0.0015])


def test_set_up_and_teardown_of_a_round_are_no_waiting(process):
    timer = make_timer(process, setup_s=0.05, teardown=partial(process.let_pass, used=0.001))

    assert [timer.time_kept(timer.time_rounds(3)) for _ in range(5)] == pytest.approx([0.0] * 5, abs=1e-9)


def test_a_warm_up_is_forgotten(process):
    timer = make_timer(process)
    timer.time_calls(1)
    process.let_pass(1.0, used=1.0)  # such as a collection of garbage
    timer.forget()

    assert timer.time_kept(timer.time_calls(1)) == 0.0


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

    timer = make_timer(Process())
    timer.target, timer.arguments, timer.clock = call, lambda: ((), {}), time.perf_counter
    timer.__post_init__()
    timer.run_delay = RunDelayMeter("")
    thread = threading.Thread(target=work)
    thread.start()
    kept_s, end = 0.0, time.monotonic() + 60
    try:
        while kept_s < 0.02 and time.monotonic() < end:  # one pause may be too short on a busy machine
            kept_s += timer.time_kept(0.01 + timer.time_calls(1))
    finally:
        is_over.set()
        wanted.set()
        thread.join()

    assert kept_s >= 0.02
