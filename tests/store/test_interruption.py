import os
import signal
import sys
import tempfile
import threading

import pytest

from mainstay.records.errors import Interrupted
from mainstay.store import interruption, scratch
from mainstay.store.interruption import cleaned_up, ended_by_another, interruptible, interrupts_taken, undisturbed
from mainstay.store.scratch import scratch_folder


class InterruptedWhileDestroyed:
    """Python drops what a destructor raises."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_an_interrupt_that_python_drops_is_raised_again():
    def work():
        with interruptible("try again"):
            InterruptedWhileDestroyed()
            threading.Event().wait(600)

    with pytest.raises(Interrupted, match="interrupted"):
        work()


def test_other_errors_of_destructors_are_told_as_before(monkeypatch):
    class Broken:
        def __del__(self):
            raise ValueError

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    with interruptible("try again"):
        Broken()

    assert told == [ValueError]


@pytest.mark.parametrize("number", interruption.SIGNALS, ids=lambda number: number.name)
def test_every_signal_that_asks_to_end_is_an_interrupt(number):
    def work():
        with interruptible("try again"):
            signal.raise_signal(number)

    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    previous = signal.signal(number, default)  # a hang-up is ignored where the tests run under nohup
    try:
        with pytest.raises(Interrupted) as caught:
            work()
        assert signal.getsignal(number) is default
    finally:
        signal.signal(number, previous)

    assert caught.value.next_step == "try again"


def test_a_hang_up_that_is_ignored_stays_so():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible("try again"):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.fixture
def other_thread():
    """A thread beside the main one, as numpy has them."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread
    end.set()
    thread.join()


@pytest.fixture
def deliver(other_thread):
    """Let another thread than the main one receive a signal, and return once it has."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    previous = signal.set_wakeup_fd(writer)

    def send(number):
        try:
            signal.pthread_kill(other_thread.ident, number)
        finally:  # the interrupt may be raised at once; a byte left here would answer for the next signal
            os.read(reader, 1)

    yield send
    signal.set_wakeup_fd(previous)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_signal_that_another_thread_receives_waits_for_the_clean_up(deliver, number):
    done = []

    def work():
        with interruptible("try again"):
            with undisturbed():
                with undisturbed():
                    deliver(number)
                    done.append("inner")
                done.append("outer")
            done.append("after")

    with pytest.raises(Interrupted):
        work()

    assert done == ["inner", "outer"]


def test_once_interrupted_another_signal_ends_the_long_part_of_a_clean_up_alone(deliver):
    done = []

    def work():
        with interruptible("try again"):
            try:
                deliver(signal.SIGTERM)
                threading.Event().wait(600)
            finally:
                with undisturbed():
                    deliver(signal.SIGINT)
                    done.append("short")
                    try:
                        with ended_by_another():
                            deliver(signal.SIGINT)
                            threading.Event().wait(600)
                    finally:
                        deliver(signal.SIGINT)
                        done.append("rest")

    with pytest.raises(Interrupted):
        work()

    assert done == ["short", "rest"]


def test_the_first_signal_waits_for_the_long_part_of_a_clean_up_too(deliver):
    done = []

    def work():
        with interruptible("try again"), undisturbed(), ended_by_another():
            deliver(signal.SIGINT)
            done.append("long")

    with pytest.raises(Interrupted):
        work()

    assert done == ["long"]


def test_once_interrupted_nothing_disturbs_the_clean_up(deliver):
    done = []

    def work():
        with interruptible("try again"):
            try:
                deliver(signal.SIGTERM)
                threading.Event().wait(600)
            finally:
                deliver(signal.SIGINT)
                deliver(signal.SIGTERM)
                done.append("cleaned")

    with pytest.raises(Interrupted):
        work()

    assert done == ["cleaned"]


def test_another_thread_holds_nothing_back():
    held = []

    def work():
        with undisturbed(), interrupts_taken():
            held.append(interruption.is_undisturbed())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert held == [False]


def interrupt_at(moment, work):
    """Do some work, and press Ctrl-C at one of its lines; whether there was a line of that number."""
    left = moment
    watched = {module.__file__ for module in (interruption, scratch)}

    def trace(frame, event, argument):
        nonlocal left
        if event == "line" and frame.f_code.co_filename in watched:
            left -= 1
            if not left:
                signal.raise_signal(signal.SIGINT)
        return trace

    previous = sys.gettrace()
    try:
        with interruptible("try again"):
            sys.settrace(trace)
            work()
            signal.getsignal(signal.SIGINT)
    except (Interrupted, KeyboardInterrupt):
        pass
    finally:
        sys.settrace(previous)
    return left <= 0


def test_an_interrupt_at_any_line_leaves_no_folder_behind(tmp_path, monkeypatch, other_thread):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def work():
        with scratch_folder(tmp_path) as folder:
            (folder / "file").write_text("some")

    moment = 1
    while interrupt_at(moment, work):
        assert list((tmp_path / "temporary").iterdir()) == [], f"line {moment}"
        moment += 1

    assert moment > 50
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_an_interrupt_skipped_is_cleaned_up_at_the_end():
    done = []

    def work():
        with interruptible("try again"):
            context = cleaned_up(lambda: done.append("cleaned"))
            context.__enter__()
            contexts.append(context)  # and never left
            signal.raise_signal(signal.SIGTERM)

    contexts = []
    with pytest.raises(Interrupted):
        work()

    assert done == ["cleaned"]
