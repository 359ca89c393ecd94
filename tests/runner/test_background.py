"""Time that other Python threads are kept from by a block of calls, with scripted clocks and with a real thread."""

import threading
from functools import partial
from time import thread_time

import pytest

from mainstay.runner import background
from mainstay.runner.background import OtherThreads
from mainstay.runner.channel import Listener
from mainstay.runner.run_delay import RunDelayMeter
from mainstay.runner.timing import CallTimer


@pytest.fixture
def start_thread():
    """Start a thread that works once it may, if it is let in."""
    may_work, may_end = threading.Event(), threading.Event()
    used = []

    def work(seconds):
        may_work.wait()
        start = thread_time()
        while thread_time() < start + seconds:
            pass
        used.append(thread_time() - start)
        may_end.wait()

    thread = threading.Thread(target=work, args=(0.02,))
    thread.start()
    yield may_work, used
    may_work.set()
    may_end.set()
    thread.join()


@pytest.fixture
def used(monkeypatch):
    """Processor time of other threads as the clocks tell it; a pause in which they work for half a second."""
    used = [1.0]

    def work(seconds, *_):
        used[0] += seconds

    monkeypatch.setattr(background, "process_time", lambda: used[0])
    monkeypatch.setattr(background, "thread_time", lambda: 0.0)
    monkeypatch.setattr(background, "sleep", partial(work, 0.5))
    return work


class LetsIn(RunDelayMeter):
    """The kernel's account is a file, and the interpreter is given away where it is read."""

    def __init__(self, work):
        super().__init__("")
        self.work = work

    def take_off(self, *_):
        self.work(0.25)
        return 0.0


def make_timer(target, meter, *, times_each=False):
    return CallTimer(
        target,
        lambda: ((), {}),
        teardown=None,
        iterations=1,
        times_each=times_each,
        disable_gc=False,
        clock=lambda: 0.0,
        run_delay=meter,
    )


def test_a_thread_that_waited_for_the_end_of_the_calls_counts(start_thread, monkeypatch):
    may_work, used = start_thread

    def wait_for_thread(_):
        while not used:
            threading.Event().wait(0.001)

    monkeypatch.setattr(background, "sleep", wait_for_thread)
    others = OtherThreads()
    others.begin_block()
    others.begin_span()
    others.end_span()
    may_work.set()

    assert others.end_block() >= 0.02


def test_only_what_others_do_after_the_calls_is_added_to_them(used, start_thread):
    timer = make_timer(partial(used, 100.0), LetsIn(used))

    assert timer.time_calls(3) == pytest.approx(0.25 + 0.5)
    assert timer.time_calls(1) == pytest.approx(0.25 + 0.5)  # and nothing of the block before it


def test_what_others_do_between_two_calls_that_are_timed_apart_is_added_to_the_block_alone(used, start_thread):
    timer = make_timer(partial(used, 100.0), LetsIn(used), times_each=True)

    assert timer.time_calls(3) == pytest.approx(3 * 0.25 + 0.5)
    assert timer.latencies == [(0.0, 0.0)] * 3


def test_a_process_without_other_threads_does_not_wait(used, monkeypatch):
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])

    assert make_timer(partial(used, 100.0), LetsIn(used)).time_calls(3) == 0.0


def test_the_thread_that_listens_to_the_gate_is_none_of_the_others(used, monkeypatch):
    listener = Listener(target=print)
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), listener])

    assert make_timer(partial(used, 100.0), LetsIn(used)).time_calls(3) == 0.0
