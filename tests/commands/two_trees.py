"""Two trees of installed files, of which one workload is to be proved unchanged."""

from mainstay.records.metrics import Direction, Kind, Metric, Workload

WORKLOAD = """
import subject.model


def test_speed(benchmark):
    benchmark(subject.model.run)
"""


def metric(workload, name, kind=Kind.PERFORMANCE):
    return Metric(workload=workload, name=name, kind=kind, direction=Direction.LOWER, margin=0.1)


SPEED = "benchmarks/test_w.py::test_speed"


def workloads_of(**executions):
    """Workloads by name of the test: the execution and the metric of each."""
    return tuple(
        Workload(id=(id := f"benchmarks/test_w.py::{name}"), execution=execution, metrics=(metric(id, gated),))
        for name, (execution, gated) in executions.items()
    )


def edited(text, *edits):
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text
