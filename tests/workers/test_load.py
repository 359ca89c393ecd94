"""How busy others keep the machine, by clocks that the test sets."""

from collections import namedtuple
from types import SimpleNamespace

import pytest

from mainstay.workers import load

Times = namedtuple("Times", ["user", "system", "nice", "steal"])


@pytest.mark.parametrize("column", ["user", "system", "nice", "steal"])
def test_what_others_use_and_what_a_hypervisor_takes_is_load(monkeypatch, column):
    now = Times(100.0, 10.0, 1.0, 0.0)
    monkeypatch.setattr("psutil.cpu_times", lambda: now)
    monkeypatch.setattr(load, "_own_seconds", lambda: 0.0)
    monkeypatch.setattr("mainstay.workers.load.time", SimpleNamespace(monotonic=iter([0.0, 4.0]).__next__))
    meter = load.LoadMeter()

    now = now._replace(**{column: getattr(now, column) + 6.0})

    assert meter.of_others() == pytest.approx(1.5)


@pytest.mark.parametrize(("elapsed_s", "expected"), [(0.02, None), (0.49, None), (0.5, pytest.approx(0.02))])
def test_a_load_is_unknown_after_a_time_that_the_clocks_of_processes_hardly_resolve(monkeypatch, elapsed_s, expected):
    busy = iter([100.0, 100.01])
    monkeypatch.setattr(load, "_busy_seconds", busy.__next__)
    monkeypatch.setattr(load, "_own_seconds", lambda: 0.0)
    monkeypatch.setattr("mainstay.workers.load.time", SimpleNamespace(monotonic=iter([0.0, elapsed_s]).__next__))

    assert load.LoadMeter().of_others() == expected
