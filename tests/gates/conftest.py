import numpy as np
import pytest

from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Direction, Kind, Metric


@pytest.fixture(scope="session")
def top1():
    """A gated accuracy: higher is better, two tenths of a percentage point are tolerated."""
    return Metric(
        workload="test_accuracy.py::test_mlp",
        name="top1_accuracy",
        kind=Kind.ACCURACY,
        direction=Direction.HIGHER,
        margin=0.002,
        ceiling=0.9995,
        resolution=1e-4,
    )


@pytest.fixture(scope="session")
def step_time():
    """A gated time: lower is better, 5 % are tolerated."""
    return Metric(
        workload="test_performance.py::test_step",
        name="time",
        kind=Kind.PERFORMANCE,
        direction=Direction.LOWER,
        margin=0.05,
        unit="s",
    )


@pytest.fixture(scope="session")
def parameters():
    """A deterministic twin: a number of parameters that must not grow."""
    return Metric(
        workload="test_performance.py::test_twins",
        name="parameters",
        kind=Kind.DETERMINISTIC,
        direction=Direction.LOWER,
        margin=0.0,
    )


@pytest.fixture(scope="session")
def with_degradations():
    """Makes the samples of a metric that have these degradations, on the metric's own scale.

    The baseline's values have half of the variance of the first degradations, or the deviation given.
    """

    def make(metric, degradations, *, own_noise=None):
        degradations = np.asarray(degradations, dtype=np.float64)
        if own_noise is None:
            own_noise = degradations[:5].std() / np.sqrt(2) if len(degradations) else 0.0
        sign = 1 if metric.direction is Direction.LOWER else -1
        baseline = 0.9 + own_noise * np.resize([1.0, -1.0], len(degradations))
        is_ratio = metric.kind is Kind.PERFORMANCE
        candidate = baseline * np.exp(sign * degradations) if is_ratio else baseline + sign * degradations
        return MetricSamples(
            metric=metric,
            seeds=tuple(range(len(degradations))),
            baseline_values=tuple(baseline.tolist()),
            candidate_values=tuple(candidate.tolist()),
        )

    return make


@pytest.fixture(scope="session")
def finding_of(top1):
    """Makes a finding with this verdict and blame."""

    def make(verdict, blame=None):
        return Finding(metric=top1, verdict=Verdict(verdict), reason="because", blame=blame)

    return make
