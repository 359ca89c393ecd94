"""The shortest names that distinguish metrics.

- :func:`short_labels`: one for each metric of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mainstay.records.metrics import Kind, Metric


def short_labels(metrics: Iterable[Metric]) -> Mapping[str, str]:
    """The shortest unique name of each metric, by id: its own name, its name with its test, or with its file.

    Any workload may record a time, so that its name alone says nothing.

    Args:
        metrics: The metrics of a run.

    Example:
        >>> top1 = Metric(workload="a.py::test_x", name="top1", kind=Kind.ACCURACY, direction="higher", margin=0.1)
        >>> time = Metric(workload="a.py::test_y", name="time", kind=Kind.PERFORMANCE, direction="lower", margin=0.1)
        >>> list(short_labels([top1, time]).values())
        ['top1', 'test_y#time']
    """
    known = {metric.id: metric.kind for metric in metrics}
    labels = {each: each for each in known}
    for shorten in (_with_test, _name):
        counted = Counter(map(shorten, known))
        labels |= {
            each: shorten(each)
            for each in known
            if counted[shorten(each)] == 1 and not (shorten is _name and known[each] is Kind.PERFORMANCE)
        }
    return labels


def _name(metric: str) -> str:
    """The name alone."""
    return metric.rpartition("#")[2]


def _with_test(metric: str) -> str:
    """The name after the test that records it."""
    test, mark, name = metric.rpartition("#")
    return f"{test.rpartition('::')[2]}{mark}{name}"
