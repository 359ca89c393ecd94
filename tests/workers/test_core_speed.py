"""The speed of a core: what samples say of blocks, and that they are taken on the core of the calling thread."""

import os
import threading
import time

import pytest

from mainstay.workers.core_speed import LEAST_SAMPLES, CoreSpeed


class Core:
    """A core whose speed the test sets, and the clocks on it."""

    def __init__(self):
        self.now = self.spent = 0.0
        self.speed = 1.0
        self.is_second = False

    def thread_time(self):
        self.spent += 5e-6 / self.speed if self.is_second else 0.0
        self.is_second = not self.is_second
        return self.spent


@pytest.fixture
def core():
    return Core()


@pytest.fixture
def measure(core):
    """Sample blocks of a tenth of a second in which the core has these speeds; their weights."""

    def measure(*speeds, samples=10):
        meter = CoreSpeed(lambda: core.now, core.thread_time)
        for number, each in enumerate(speeds):
            for count in range(samples):
                core.now, core.speed = 0.1 * number + 0.1 * (count + 0.5) / samples, each
                meter.sample()
        return meter.weigh([(0.1 * number, 0.1 * number + 0.1) for number in range(len(speeds))])

    return measure


def test_a_block_weighs_less_by_the_square_of_the_speed(measure):
    assert measure(1.0, 0.5, 2.0) == pytest.approx((0.25, 0.0625, 1.0))


def test_blocks_at_one_speed_weigh_the_same(measure):
    assert measure(0.7, 0.7) == pytest.approx((1.0, 1.0))


def test_nothing_is_said_of_few_samples(measure):
    assert measure(1.0, 0.5, samples=LEAST_SAMPLES - 1) == ()
    assert len(measure(1.0, 0.5, samples=LEAST_SAMPLES)) == 2


def test_one_sample_does_not_decide_the_weight_of_a_block(core):
    meter = CoreSpeed(lambda: core.now, core.thread_time)
    for number in range(100):
        core.now, core.speed = 0.01 * number, 0.0001 if number == 70 else 1.0
        meter.sample()

    weights = meter.weigh([(-0.001, 0.495), (0.495, 0.995)])

    assert weights == pytest.approx((1.0, (50 / 59) ** 2))


def test_no_blocks_have_no_weights(measure):
    assert measure() == ()


def test_a_clock_that_stands_still_gives_no_weights(core):
    meter = CoreSpeed(lambda: core.now, lambda: 0.0)
    for _ in range(10):
        meter.sample()

    assert meter.weigh([(-1.0, 1.0)]) == ()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system gives no choice of cores")
def test_samples_are_taken_on_the_core_of_the_calling_thread_until_the_context_ends():
    own = os.sched_getaffinity(0)
    seen = []

    def spent():
        seen.append((os.sched_getaffinity(0), threading.current_thread().name))
        return time.thread_time()

    os.sched_setaffinity(0, {min(own)})
    try:
        with CoreSpeed(spent=spent) as speed:
            begin = time.perf_counter()
            while len(seen) < 2 * LEAST_SAMPLES + 2:
                time.sleep(0.001)
            end = time.perf_counter()
    finally:
        os.sched_setaffinity(0, own)

    assert set(map(str, seen)) == {str(({min(own)}, "mainstay core speed"))}
    assert speed.weigh([(begin, end)]) == (1.0,)
    assert "mainstay core speed" not in {thread.name for thread in threading.enumerate()}
