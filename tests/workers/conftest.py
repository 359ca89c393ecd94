"""What the tests of workers share: limits of time that are long, as a busy machine needs them, and cost no time."""

import math
import selectors
import threading
import time
from types import SimpleNamespace

import pytest

from mainstay.workers import process


@pytest.fixture
def hang(monkeypatch, tmp_path):
    """A statement of a workload by which its worker hangs; whoever waits for the worker has then waited long enough."""
    folder = tmp_path / "hung"
    folder.mkdir()
    thread = threading.local()
    expect_one_of = process.Worker.expect_one_of

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            end = time.monotonic() + (math.inf if timeout is None else timeout)
            while True:
                is_hung = (folder / str(thread.pid)).exists()  # asked first: what the worker sent before is still read
                ready = super().select(min(0.02, max(0.0, end - time.monotonic())))
                if ready or is_hung or time.monotonic() >= end:
                    return ready

    def expect(worker, events, limit_s):
        thread.pid = worker.pid
        return expect_one_of(worker, events, limit_s)

    monkeypatch.setattr(process.Worker, "expect_one_of", expect)
    monkeypatch.setattr(
        process, "selectors", SimpleNamespace(DefaultSelector=Selector, EVENT_READ=selectors.EVENT_READ)
    )
    code = f"import os, pathlib, time; pathlib.Path({str(folder)!r}, str(os.getpgid(0))).touch(); time.sleep(3600)"
    return f"exec({code!r}, {{}})"  # which binds no name where it stands
