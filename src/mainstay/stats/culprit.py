"""Search for the commit that degraded a metric: a posterior over commits, updated by pairs against the good commit.

Commits are numbered from 1, the first after the good one, to N, the bad one. The degradation may have arisen at one
commit or grown evenly over several. The second kind of hypothesis ensures that a degradation spread over several
commits leads to an interval, not to a wrong commit.

- :func:`start_search`: the posterior after the bad commit has been measured.
- :class:`Search`: the current posterior, the commit to measure next, and the conclusions that can be drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_FIRST_PAIRS = 20
"""Number of pairs of the bad commit against the good one, with which every search begins."""

CONFIDENCE = 0.95
"""Probability at which a commit is named."""

NO_DEGRADATION_LEVEL = 0.01
"""P-value of the first pairs above which there is no degradation to search for."""

_SINGLE_PRIOR = 0.7
_DEVIATES = np.array([-2.0, -4 / 3, -2 / 3, 0.0, 2 / 3, 4 / 3, 2.0])
_DEGREES, _SCALE = 6.0, 0.87
_REACH, _FEWEST_PAIRS, _MOST_PAIRS = 3.3, 5, 20


class CommitInterval(NamedTuple):
    """Range of commits that contains the whole degradation.

    Attributes:
        first: First commit of the range.
        last: Last commit of the range.
        probability: Probability that the whole degradation lies in the range.
    """

    first: int
    last: int
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Posterior over N commits.

    Attributes:
        num_commits: N, the number of commits.
        degradation: Estimate of the whole degradation.
        deviation: Standard deviation of a pair.
        first: (hypotheses,) commit at which the degradation begins.
        width: (hypotheses,) number of commits over which it grows.
        sizes: (sizes,) possible whole degradations.
        log_weights: (hypotheses, sizes) logarithm of the posterior, up to a constant.
        untestable: Commits that cannot be measured.
        num_probes: Commits measured so far.
    """

    num_commits: int
    degradation: float
    deviation: float
    first: NDArray[np.int64]
    width: NDArray[np.int64]
    sizes: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    untestable: frozenset[int] = frozenset()
    num_probes: int = 0

    @property
    def num_pairs(self) -> int:
        """Number of pairs that the next probe needs."""
        wanted = math.ceil((_REACH * self.deviation / self.degradation) ** 2)
        return min(max(wanted, _FEWEST_PAIRS), _MOST_PAIRS)

    @property
    def max_probes(self) -> int:
        """Number of probes after which the search ends with an interval."""
        return math.ceil(2 * math.log2(max(self.num_commits, 2))) + 8

    @property
    def weights(self) -> NDArray[np.float64]:
        """(hypotheses, sizes) posterior probabilities."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return np.asarray(weights / weights.sum())

    def probabilities(self) -> NDArray[np.float64]:
        """(N,) probability that each commit alone degraded the metric; the rest is for several commits together."""
        is_single = self.width == 1
        alone = np.zeros(self.num_commits + 1)
        np.add.at(alone, self.first[is_single], self.weights[is_single].sum(axis=1))
        return alone[1:]

    def groups(self) -> list[tuple[int, ...]]:
        """Groups of commits that no probe can tell apart: unmeasurable ones, with the next measurable one.

        The bad commit ends a group in any case: it was measured at the start.
        """
        groups, waiting = [], []
        for commit in range(1, self.num_commits + 1):
            waiting.append(commit)
            if commit not in self.untestable or commit == self.num_commits:
                groups.append(tuple(waiting))
                waiting = []
        return groups

    def culprit(self) -> tuple[tuple[int, ...], float]:
        """The likeliest group of commits, and the probability that it contains the whole degradation."""
        mass, last = self.weights.sum(axis=1), self.first + self.width - 1
        alone = self.probabilities()

        def probability(group: tuple[int, ...]) -> float:
            if len(group) == 1:
                return float(alone[group[0] - 1])
            return float(mass[(self.first >= group[0]) & (last <= group[-1])].sum())

        return max(((group, probability(group)) for group in self.groups()), key=lambda pair: pair[1])

    def next_probe(self) -> int | None:
        """The commit whose measurement is most informative; ``None`` if a culprit is named or no probe is left."""
        if self.culprit()[1] >= CONFIDENCE or self.num_probes >= self.max_probes:
            return None
        spread = self._level_variances()
        spread[[commit - 1 for commit in self.untestable]] = -1.0
        best = int(np.argmax(spread))
        return best + 1 if spread[best] > 0 else None

    def _level_variances(self) -> NDArray[np.float64]:
        """(N,) variance of the degradation after each commit.

        The variance includes the uncertainty about the size of the whole degradation. Without it, single commits are
        found with as many probes, but if two commits degraded a metric together, one of them is blamed alone several
        times as often.
        """
        _, _, shares = _hypotheses(self.num_commits)
        weights = self.weights
        mean = shares @ (weights @ self.sizes)
        return np.asarray(np.square(shares) @ (weights @ self.sizes**2) - mean**2)

    def observed(self, commit: int, degradations: ArrayLike) -> Search:
        """The posterior after a probe.

        Args:
            commit: The commit that was measured against the good one.
            degradations: Degradations of its pairs, at least one.
        """
        levels = _hypotheses(self.num_commits)[2][commit - 1][:, None] * self.sizes
        excess = (np.asarray(degradations, dtype=np.float64) - levels[..., None]) / (_SCALE * self.deviation)
        gain = -(_DEGREES + 1) / 2 * np.log1p(excess**2 / _DEGREES)
        return replace(self, log_weights=self.log_weights + gain.sum(axis=-1), num_probes=self.num_probes + 1)

    def without(self, commit: int) -> Search:
        """The search without a commit of which nothing can be measured."""
        return replace(self, untestable=self.untestable | {commit})

    def interval(self) -> CommitInterval:
        """The shortest range of commits that contains the whole degradation with sufficient probability."""
        mass = np.zeros((self.num_commits + 1, self.num_commits + 1))
        np.add.at(mass, (self.first, self.first + self.width - 1), self.weights.sum(axis=1))
        inside = np.cumsum(np.cumsum(mass[::-1], axis=0)[::-1], axis=1)  # begins at a row or later, ends by a column
        for length in range(1, self.num_commits + 1):
            diagonal = np.diagonal(inside[1:], offset=length)
            if diagonal.size and diagonal.max() >= CONFIDENCE:
                start = int(np.argmax(diagonal)) + 1
                return CommitInterval(start, start + length - 1, float(diagonal.max()))
        return CommitInterval(1, self.num_commits, 1.0)


def start_search(num_commits: int, degradations: ArrayLike) -> Search | None:
    """The posterior after the bad commit has been measured against the good one.

    Args:
        num_commits: N, at least 1.
        degradations: Degradations of the pairs of the bad commit, at least two.

    Returns:
        The search; ``None`` if the pairs show no degradation, so that there is nothing to search for.

    Example:
        >>> search = start_search(8, [1.0, 1.2, 0.9, 1.1, 0.8] * 4)
        >>> search.next_probe(), search.num_pairs
        (4, 5)
        >>> start_search(8, [1.0, -1.0] * 10) is None
        True
    """
    from scipy.special import stdtr

    pairs = np.asarray(degradations, dtype=np.float64)
    mean, deviation = float(pairs.mean()), float(pairs.std(ddof=1))
    if mean <= 0:
        return None
    deviation = max(deviation, 1e-9 * mean)
    error = deviation / math.sqrt(pairs.size)
    if 1 - float(stdtr(pairs.size - 1, mean / error)) > NO_DEGRADATION_LEVEL:
        return None
    first, width, _ = _hypotheses(num_commits)
    is_single = width == 1
    num_spread = int((~is_single).sum())
    prior = np.where(is_single, _SINGLE_PRIOR / num_commits, (1 - _SINGLE_PRIOR) / max(num_spread, 1))
    sizes = np.maximum(mean + _DEVIATES * error, mean / 10)
    log_weights = np.log(prior)[:, None] - _DEVIATES**2 / 2
    return Search(
        num_commits=num_commits,
        degradation=mean,
        deviation=deviation,
        first=first,
        width=width,
        sizes=sizes,
        log_weights=log_weights,
    )


@lru_cache(maxsize=1)
def _hypotheses(num_commits: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First commit and width of each hypothesis, and (commits, hypotheses) the share of the degradation at each commit."""
    widths = [1]
    while widths[-1] * 2 <= num_commits:
        widths.append(widths[-1] * 2)
    first = np.concatenate([np.arange(1, num_commits - width + 2) for width in widths])
    width = np.concatenate([np.full(num_commits - width + 1, width) for width in widths])
    shares = np.clip((np.arange(1, num_commits + 1)[:, None] - first + 1) / width, 0.0, 1.0)
    return first, width, shares
