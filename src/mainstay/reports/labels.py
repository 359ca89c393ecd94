"""The shortest names that distinguish metrics.

- :func:`short_labels`: one for each metric of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

SHARED_NAMES = frozenset(
    {"time", "call_time", "import_time", "latency_median", "latency_p95", "peak_memory", "throughput"}
)
"""Names that any workload may record, so that they say nothing without their test."""


def short_labels(ids: Iterable[str]) -> Mapping[str, str]:
    """The shortest unique name of each metric: its own name, its name with its test, or with its file.

    Args:
        ids: Node ids with the names of metrics, such as ``test_a.py::test_b#time``.

    Example:
        >>> for label in short_labels(["a.py::test_x#time", "a.py::test_y#time", "a.py::test_x#top1"]).values():
        ...     print(label)
        test_x#time
        test_y#time
        top1
    """
    known = tuple(dict.fromkeys(ids))
    labels = {each: each for each in known}
    for shorten in (_with_test, _name):
        counted = Counter(map(shorten, known))
        labels |= {
            each: shorten(each)
            for each in known
            if counted[shorten(each)] == 1 and not (shorten is _name and _name(each) in SHARED_NAMES)
        }
    return labels


def _name(metric: str) -> str:
    """The name alone."""
    return metric.rpartition("#")[2]


def _with_test(metric: str) -> str:
    """The name after the test that records it."""
    test, mark, name = metric.rpartition("#")
    return f"{test.rpartition('::')[2]}{mark}{name}"
