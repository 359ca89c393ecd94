from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import calibrate
from mainstay.gates.policy import Design
from mainstay.runner.ready_metrics import READY_METRICS


@pytest.mark.parametrize(
    ("name", "is_of_blocks"), [("call_time", True), ("cost", True), ("latency_p95", False), ("own", False)]
)
def test_blocks_show_the_noise_of_every_metric_that_follows_from_them(monkeypatch, name, is_of_blocks):
    monkeypatch.setitem(READY_METRICS, "cost", replace(READY_METRICS["call_time"], unit="J"))
    monkeypatch.setattr(calibrate, "measure_noise", lambda sample, errors, design: errors)
    log: Any = SimpleNamespace(trials_of=lambda side: [SimpleNamespace(block_times_s=(1.0, 1.1, 0.9))] * 3)

    sample: Any = SimpleNamespace(metric=SimpleNamespace(name=name))

    errors: Any = calibrate._noise(log, sample, Design(num_gated=1))

    assert len(errors) == (3 if is_of_blocks else 0)
