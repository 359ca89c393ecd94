"""Whether a process has started threads."""

import threading

import pytest

from mainstay.runner import started_threads
from mainstay.runner.started_threads import ThreadWatch

needs_tasks = pytest.mark.skipif(started_threads._threads() is None, reason="the system does not tell its threads")


def work():
    sum(range(1_000_000))


@pytest.fixture
def worker():
    """A thread that works whenever it is told to; tells it, and waits until it has worked."""
    due, done, is_over = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def work_when_told():
        while due.acquire() and not is_over.is_set():
            work()
            done.release()

    def tell():
        due.release()
        done.acquire()

    thread = threading.Thread(target=work_when_told)
    thread.start()
    yield tell
    is_over.set()
    due.release()
    thread.join()


@needs_tasks
def test_threads_of_before_may_work(worker):
    watch = ThreadWatch()

    worker()
    work()

    assert not watch.has_seen_one


@needs_tasks
def test_a_thread_that_waits_is_seen_while_it_lives():
    watch = ThreadWatch()

    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    is_seen = watch.has_seen_one
    end.set()
    thread.join()

    assert is_seen


def test_a_thread_that_has_worked_and_ended_is_seen():
    watch = ThreadWatch()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert watch.has_seen_one


def test_threads_may_have_been_started_where_the_system_does_not_tell(monkeypatch):
    def refuse(_):
        raise FileNotFoundError

    monkeypatch.setattr(started_threads, "listdir", refuse)

    assert ThreadWatch().has_seen_one
