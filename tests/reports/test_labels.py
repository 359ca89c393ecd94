import pytest

from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.reports.labels import short_labels
from mainstay.runner.ready_metrics import READY_METRICS


@pytest.mark.parametrize("name", [*READY_METRICS, "own_time"])
def test_a_metric_of_any_timed_workload_is_labelled_with_its_test(name):
    kind = Kind(READY_METRICS[name].kind) if name in READY_METRICS else Kind.PERFORMANCE
    metric = Metric(workload="a.py::test_x", name=name, kind=kind, direction=Direction.LOWER, margin=0.1)

    label = f"test_x#{name}" if kind is Kind.PERFORMANCE else name
    assert short_labels([metric]) == {metric.id: label}
