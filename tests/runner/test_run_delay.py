"""Time that others kept a thread waiting for a core, by an account that the test keeps and by that of the kernel."""

import hashlib
import itertools
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from mainstay.runner import run_delay
from mainstay.runner.importing import probe_import
from mainstay.runner.run_delay import ACCOUNT, RunDelayMeter

needs_account = pytest.mark.skipif(not os.path.exists(ACCOUNT), reason="the kernel keeps no account")


class Account:
    """A file like the kernel's, and the clocks beside it; milliseconds."""

    def __init__(self, file, monkeypatch):
        self.file = file
        self.thread = self.process = self.children = 0.0
        self.spend(delay=0)
        children = file.with_name("stat")
        children.write_text("1 (a (b) c) S 1 1 1 0 -1 4194304 10 20 0 0\n")
        monkeypatch.setattr(run_delay, "CHILDREN", str(children))
        monkeypatch.setattr(run_delay, "thread_time", lambda: self.thread / 1000)
        monkeypatch.setattr(run_delay, "process_time", lambda: self.process / 1000)
        monkeypatch.setattr(
            run_delay, "os_times", lambda: SimpleNamespace(children_user=self.children / 1000, children_system=0.0)
        )

    def spend(self, *, delay, thread=0.0, others=0.0, children=0.0):
        self.thread += thread
        self.children += children
        self.process += thread + others
        self.file.write_text(f"1000 {delay * 1_000_000} 1\n")


@pytest.fixture
def account(tmp_path, monkeypatch):
    return Account(tmp_path / "schedstat", monkeypatch)


@pytest.fixture
def one_core():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("span_ms", "spent", "taken_ms"),
    [
        pytest.param(7, {"delay": 5, "thread": 2}, 5, id="others-had-the-core"),
        pytest.param(7, {"delay": 0, "thread": 7}, 0, id="nobody-did"),
        pytest.param(9, {"delay": 5, "thread": 2}, 5, id="it-slept-too"),
        pytest.param(7, {"delay": 5, "thread": 2, "others": 3}, 2, id="its-own-threads-had-it-for-a-part"),
        pytest.param(7, {"delay": 5, "thread": 2, "others": 14}, 0, id="its-own-threads-kept-more-than-one-busy"),
        pytest.param(7, {"delay": 50, "thread": 2}, 5, id="most-of-it-before-or-after-the-span"),
    ],
)
def test_what_is_taken_off(account, span_ms, spent, taken_ms, monkeypatch):
    # Another test of this process may have left the resource tracker of multiprocessing behind.
    monkeypatch.setattr(RunDelayMeter, "_has_started_processes", lambda _: False)
    with RunDelayMeter(str(account.file)) as meter:
        before = meter.read()
        account.spend(**spent)
        taken = meter.take_off(before, span_ms / 1000)

    assert (taken, meter.total_s) == pytest.approx((taken_ms / 1000, taken_ms / 1000))


@pytest.mark.parametrize(
    ("span_ms", "spent", "works_alone", "fits_one_core"),
    [
        pytest.param(10, {"delay": 0, "thread": 10}, True, True, id="it-works"),
        pytest.param(100, {"delay": 90, "thread": 10}, True, True, id="others-have-the-core"),
        pytest.param(100, {"delay": 0, "thread": 88}, False, True, id="it-sleeps"),
        pytest.param(100, {"delay": 0, "thread": 100, "others": 0.1}, False, True, id="another-thread-works-a-little"),
        pytest.param(100, {"delay": 0, "thread": 10, "others": 90}, False, True, id="it-waits-for-another-thread"),
        pytest.param(100, {"delay": 0, "thread": 95, "others": 20}, False, True, id="another-thread-works-less"),
        pytest.param(100, {"delay": 0, "thread": 95, "others": 95}, False, False, id="another-thread-works-as-much"),
        pytest.param(100, {"delay": 50, "thread": 50, "others": 50}, False, False, id="and-others-have-the-core"),
        pytest.param(1000, {"delay": 0, "thread": 1000, "children": 10}, True, True, id="a-child-works-for-a-moment"),
        pytest.param(1000, {"delay": 0, "thread": 1000, "children": 20}, False, False, id="a-child-works"),
        pytest.param(0, {"delay": 0}, False, False, id="nothing-is-known-yet"),
    ],
)
def test_how_many_cores_a_thread_and_the_others_of_its_process_need(
    account, span_ms, spent, works_alone, fits_one_core, monkeypatch
):
    monkeypatch.setattr(RunDelayMeter, "has_children", False)  # which another test of this process may have left
    with RunDelayMeter(str(account.file)) as meter:
        meter.ignores_children = True
        before = meter.read()
        account.spend(**spent)
        meter.take_off(before, span_ms / 1000)

        assert (meter.works_alone, meter.fits_one_core) == (works_alone, fits_one_core)


@pytest.mark.parametrize(
    ("others_us", "expected"),
    [
        pytest.param([0.0], True, id="no-other-thread"),
        pytest.param([15.0], False, id="work-is-handed-to-another-thread"),
        pytest.param([0.0, 15.0], False, id="every-other-time"),
    ],
)
def test_whether_a_thread_works_alone_in_many_short_spans(account, others_us, expected, monkeypatch):
    monkeypatch.setattr(RunDelayMeter, "has_children", False)
    pauses = itertools.cycle([0.0002, 0.005, 0.0003, 0.0])  # after a reading of a clock, until the next one

    def after_a_pause(clock):
        account.spend(delay=0, thread=next(pauses))
        return getattr(account, clock) / 1000

    monkeypatch.setattr(run_delay, "thread_time", lambda: after_a_pause("thread"))
    monkeypatch.setattr(run_delay, "process_time", lambda: after_a_pause("process"))
    with RunDelayMeter(str(account.file)) as meter:
        meter.ignores_children = True
        for each in others_us * 30:
            before = meter.read()
            account.spend(delay=0, thread=0.03, others=each / 1000)
            meter.take_off(before, 0.00003)

        assert meter.works_alone is expected


@pytest.mark.parametrize("content", [None, "", "0 0 0\n"])
def test_nothing_is_taken_off_where_no_account_is_kept(tmp_path, content):
    if content is not None:
        (tmp_path / "schedstat").write_text(content)
    with RunDelayMeter(str(tmp_path / "schedstat")) as meter:
        taken = meter.take_off(meter.read(), 1.0)

        assert (taken, meter.is_known) == (0.0, False)


def test_nothing_is_taken_off_a_process_that_starts_others(account):
    with RunDelayMeter(str(account.file)) as meter:
        before = meter.read()
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        account.spend(delay=5)
        taken = meter.take_off(before, 1.0)
        child.communicate(b"\n")

        assert (taken, meter.is_known) == (0.0, False)
        assert meter.take_off(meter.read(), 1.0) == 0.0


@needs_account
def test_a_process_that_ended_within_a_tick_of_the_clock_was_started_too():
    with RunDelayMeter() as meter:
        before = meter.read()
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        meter.take_off(before, 1.0)

        assert not meter.is_known


@needs_account
def test_a_busy_process_on_the_same_core_does_not_count(one_core):
    burner = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        burner.stdout.readline()
        meters = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    finally:
        burner.kill()
        burner.communicate()
    span_s, taken_s, busy_s = map(float, meters.split())

    assert taken_s > 0.2 * span_s
    assert busy_s <= span_s - taken_s < 0.8 * span_s


MEASURED = """
import time
from mainstay.runner.run_delay import RunDelayMeter
with RunDelayMeter() as meter:
    before, start = meter.read(), time.perf_counter()
    while time.thread_time() - before[1] < 0.3: pass
    span = time.perf_counter() - start
    print(span, meter.take_off(before, span), 0.3)
"""


@needs_account
def test_a_busy_thread_of_its_own_on_the_same_core_counts(one_core):
    data, goes_on = bytes(10**7), threading.Event()

    def burn():
        while not goes_on.is_set():
            hashlib.sha256(data)

    thread = threading.Thread(target=burn)
    with RunDelayMeter() as meter:
        thread.start()
        before, busy, start = meter.read(), time.process_time(), time.perf_counter()
        while time.process_time() - busy < 0.4:
            hashlib.sha256(data)
        span = time.perf_counter() - start
        taken = meter.take_off(before, span)
        goes_on.set()
        thread.join()

    assert span - taken >= 0.39


@needs_account
@pytest.mark.parametrize("ignores_children", [False, True])
def test_an_import_that_starts_a_process_for_a_moment(tmp_path, monkeypatch, ignores_children):
    (tmp_path / "looking.py").write_text(
        "import os, time\nos.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\n"
        "while time.process_time() < 0.5: sum(range(1000))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with RunDelayMeter() as meter:
        meter.add(probe_import("looking", ignores_children=ignores_children).spent)

        assert meter.is_known is ignores_children
        assert meter.works_alone <= ignores_children


@needs_account
def test_an_import_is_timed_by_the_same_account(tmp_path, monkeypatch):
    (tmp_path / "patching.py").write_text(
        "import builtins, os, time\nbuiltins.max = time.thread_time = os.pread = os.times = None\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    imported = probe_import("patching")

    span_s, taken_s, own_s, *_ = imported.spent
    assert imported.seconds == pytest.approx(span_s - taken_s)
    assert own_s > 0
    assert "patching" in imported.modules
    assert "mainstay.runner.run_delay" not in imported.modules
