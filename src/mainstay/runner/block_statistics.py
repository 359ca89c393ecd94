"""Statistics in ``benchmark.stats``, with the interface of pytest-benchmark.

- :class:`BlockStatistics`: statistics over the measured blocks.
- :class:`BenchmarkStatistics`: these statistics, with the benchmark that they belong to.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any


class BlockStatistics:
    """The ``benchmark.stats.stats`` of pytest-benchmark: statistics of the time of a call, over the blocks measured.

    Quartiles are computed as in pytest-benchmark: as medians of the halves for an even number of blocks, and by method
    3 of Mendenhall and Sincich, as given by Wikipedia, for an odd number.

    Args:
        seconds: Time of a call in each block.

    Example:
        >>> stats = BlockStatistics([1.0, 2.0, 3.0, 10.0])
        >>> stats.mean, stats.q1, stats.iqr, stats.outliers
        (4.0, 1.5, 5.0, '1;0')
    """

    fields = (
        *("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers", "stddev_outliers"),
        *("outliers", "ld15iqr", "hd15iqr", "ops", "total"),
    )

    def __init__(self, seconds: Sequence[float]) -> None:
        self.data = list(seconds)

    def __bool__(self) -> bool:
        return bool(self.data)

    def as_dict(self) -> dict[str, Any]:
        """All statistics by name."""
        return {name: getattr(self, name) for name in self.fields}

    def update(self, duration: float) -> None:
        """Add a block."""
        self.data.append(duration)

    @property
    def sorted_data(self) -> list[float]:
        """Block times, fastest first."""
        return sorted(self.data)

    @property
    def rounds(self) -> int:
        """Number of blocks."""
        return len(self.data)

    @property
    def total(self) -> float:
        """Sum over blocks."""
        return math.fsum(self.data)

    @property
    def min(self) -> float:
        """The fastest block."""
        return min(self.data, default=0.0)

    @property
    def max(self) -> float:
        """The slowest block."""
        return max(self.data, default=0.0)

    @property
    def mean(self) -> float:
        """Mean over blocks."""
        return self.total / len(self.data) if self.data else 0.0

    @property
    def median(self) -> float:
        """Median over blocks."""
        return statistics.median(self.data) if self.data else 0.0

    @property
    def stddev(self) -> float:
        """Standard deviation over blocks."""
        return statistics.stdev(self.data) if len(self.data) > 1 else 0.0

    @property
    def ops(self) -> float:
        """Calls per second."""
        return 1 / self.mean if self.mean else 0.0

    @property
    def q1(self) -> float:
        """First quartile."""
        return self._quartile(self.sorted_data)

    @property
    def q3(self) -> float:
        """Third quartile."""
        return self._quartile(self.sorted_data[::-1])

    @property
    def iqr(self) -> float:
        """Interquartile range."""
        return self.q3 - self.q1

    @property
    def stddev_outliers(self) -> int:
        """Number of blocks more than a standard deviation from the mean."""
        return self._count_beyond(self.mean - self.stddev, self.mean + self.stddev)

    @property
    def iqr_outliers(self) -> int:
        """Number of blocks more than 1.5 interquartile ranges beyond the quartiles."""
        return self._count_beyond(*self._fences)

    @property
    def outliers(self) -> str:
        """Both numbers of outliers."""
        return f"{self.stddev_outliers};{self.iqr_outliers}"

    @property
    def ld15iqr(self) -> float:
        """The fastest block that is not an outlier by the quartiles."""
        data = self.sorted_data
        return data[bisect_left(data, self._fences[0])] if data else 0.0

    @property
    def hd15iqr(self) -> float:
        """The slowest block that is not an outlier by the quartiles."""
        data = self.sorted_data
        return data[bisect_right(data, self._fences[1]) - 1] if data else 0.0

    @property
    def _fences(self) -> tuple[float, float]:
        return self.q1 - 1.5 * self.iqr, self.q3 + 1.5 * self.iqr

    def _count_beyond(self, low: float, high: float) -> int:
        return sum(not low <= value <= high for value in self.data)

    @staticmethod
    def _quartile(ordered: Sequence[float]) -> float:
        """The first quartile of numbers in this order."""
        number, rest = divmod(len(ordered), 4)
        if len(ordered) < 2:
            return ordered[0] if ordered else 0.0
        if rest == 1:
            return 0.25 * ordered[number - 1] + 0.75 * ordered[number]
        if rest == 3:
            return 0.75 * ordered[number] + 0.25 * ordered[number + 1]
        return statistics.median(ordered[: len(ordered) // 2])


class BenchmarkStatistics:
    """The ``benchmark.stats`` of pytest-benchmark: the benchmark, and the times of its blocks.

    Args:
        fixture: The benchmark.
        seconds: Time of a call in each block.
        iterations: Calls in each block.
        options: Settings of the benchmark.

    Attributes:
        stats: Statistics over blocks; also available by name, as in ``benchmark.stats["mean"]``.
    """

    def __init__(self, fixture: Any, seconds: Sequence[float], iterations: int, options: Mapping[str, Any]) -> None:
        self.fixture = fixture
        self.stats = BlockStatistics(seconds)
        self.iterations = iterations
        self.options = dict(options)
        self.name, self.fullname, self.group = fixture.name, fixture.fullname, fixture.group
        self.param, self.params, self.extra_info = fixture.param, fixture.params, fixture.extra_info
        self.cprofile_stats = None

    def __bool__(self) -> bool:
        return bool(self.stats)

    def __getitem__(self, name: str) -> Any:
        return getattr(self.stats, name) if hasattr(self.stats, name) else getattr(self, name)

    @property
    def has_error(self) -> bool:
        """Whether the benchmark failed."""
        return bool(self.fixture.has_error)

    def get(self, name: str, default: Any = None) -> Any:
        """A statistic or other attribute by name."""
        return getattr(self.stats, name, getattr(self, name, default))

    def update(self, duration: float) -> None:
        """Add a block, given the total time of its calls in seconds."""
        self.stats.update(duration / self.iterations)

    def as_dict(
        self,
        include_data: bool = True,
        flat: bool = False,
        stats: bool = True,
        cprofile: Any = None,
    ) -> dict[str, Any]:
        """All results by name, as in pytest-benchmark's files; profiles are always empty."""
        known = ("group", "name", "fullname", "params", "param", "extra_info")
        result = {name: getattr(self, name) for name in known} | {"options": self.options}
        if stats:
            numbers_of_blocks = self.stats.as_dict() | ({"data": self.stats.data} if include_data else {})
            numbers_of_blocks["iterations"] = self.iterations
            result |= numbers_of_blocks if flat else {"stats": numbers_of_blocks}
        return result
