"""Trends over many gates: a drift detector with a proved rate of false alarms, and a curve with its band.

Estimates that gates print must never be added up: a gate stops early when its estimate is extreme. Two quantities add
up without bias: the mean of the first pairs, of which every gate has the same number, and sums over single pairs,
which no stopping rule can bias.

- :func:`drift_evidence`: evidence that degradations accumulate, from the pairs of every gate.
- :func:`anchor_level`: level of a test against a fixed reference, chosen so that both kinds of alarm share one rate.
- :func:`earlier_deviation`: noise as known before each gate, which affects only the power of the detector.
- :func:`smooth_level`: the level of a metric, from increments and anchors together.

A degradation is positive if the candidate is worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RUN_LENGTH = 1_000
"""Average number of commits between two false alarms, over all metrics of a project together."""

STEPS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Mean degradations of a commit, in margins, that the detector looks for simultaneously."""

NUM_POOLED = 50
"""Number of gates whose noise is pooled."""


class Evidence(NamedTuple):
    """Evidence of degradations that accumulate over gates.

    Attributes:
        log_values: (gates,) logarithm of the evidence after each gate, before it is reset by an alarm.
        alarms: Indices of the gates after which the evidence crossed the threshold.
    """

    log_values: NDArray[np.float64]
    alarms: tuple[int, ...]


class Level(NamedTuple):
    """Level of a metric: its degradation since the reference.

    Attributes:
        values: (commits,) best estimate of the degradation.
        errors: (commits,) its standard error; infinite behind a gap that no anchor bridges.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def drift_evidence(
    pairs: Sequence[ArrayLike],
    *,
    margin: float,
    deviations: ArrayLike,
    num_metrics: int = 1,
    run_length: float = RUN_LENGTH,
) -> Evidence:
    """Evidence that a metric degrades over gates of each commit against the one before it.

    This is a Shiryaev-Roberts procedure over e-values. The order inside a pair is drawn by a coin, so the degradation
    of two equal revisions is symmetric about zero, and ``2 / (1 + exp(-2 l d))`` has mean one for every ``l``. So the
    average run length is at least the threshold, whatever the noise and whenever a gate stops. A wrong deviation costs
    only power.

    Args:
        pairs: Degradation of every pair, as one sequence for each gate in the order of commits; a sequence is empty if
            nothing was measured.
        margin: Margin on the same scale.
        deviations: (gates,) standard deviation of a pair as known before each gate, see :func:`earlier_deviation`.
        num_metrics: Number of metrics that are monitored.
        run_length: Tolerated average number of commits between false alarms. Half of the false alarms are reserved for
            anchors.

    References:
        J. Shin, A. Ramdas, A. Rinaldo (2022), E-detectors, arXiv:2203.03532.

    Example:
        >>> drift_evidence([[0.5] * 8] * 20, margin=1.0, deviations=[1.0] * 20, run_length=100).alarms
        (2, 5, 8, 11, 14, 17)
    """
    log_threshold = math.log(2 * run_length * num_metrics)
    gate, values = _flattened(pairs)
    rates = margin / np.square(np.asarray(deviations, dtype=np.float64))
    tilted = 2 * rates[gate] * values
    gains = np.stack(
        [np.bincount(gate, math.log(2) - np.logaddexp(0, -step * tilted), minlength=len(pairs)) for step in STEPS]
    )
    log_evidence = np.full(len(STEPS), -np.inf)
    log_values, alarms = np.empty(len(pairs)), []
    for i in range(len(pairs)):
        log_evidence = np.logaddexp(log_evidence, 0) + gains[:, i]
        log_values[i] = np.logaddexp.reduce(log_evidence) - math.log(len(STEPS))
        if log_values[i] >= log_threshold:
            alarms.append(i)
            log_evidence = np.full(len(STEPS), -np.inf)
    return Evidence(log_values, tuple(alarms))


def _flattened(pairs: Sequence[ArrayLike]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Gate and degradation of every pair."""
    gates = [np.asarray(gate, dtype=np.float64) for gate in pairs]
    numbers = np.repeat(np.arange(len(gates)), [gate.size for gate in gates])
    return numbers, np.concatenate([*gates, np.empty(0)])


def anchor_level(every: int, *, num_metrics: int = 1, run_length: float = RUN_LENGTH) -> float:
    """Significance level of the test that an anchor degraded; this test may cause half of the false alarms.

    Args:
        every: Number of commits between two anchors.
        num_metrics: Number of metrics that are monitored.
        run_length: Tolerated average number of commits between false alarms.

    Example:
        >>> anchor_level(20)
        0.01
    """
    return every / (2 * run_length * num_metrics)


def earlier_deviation(pairs: Sequence[ArrayLike], *, fallback: float) -> NDArray[np.float64]:
    """Standard deviation of a pair, estimated before each gate from the gates before it.

    Args:
        pairs: Degradation of every pair, as one sequence for each gate.
        fallback: Standard deviation assumed until pairs are known.

    Example:
        >>> earlier_deviation([[1, -1], [3, -3], [0, 0]], fallback=9.0).round(2).tolist()
        [9.0, 1.41, 3.16]
    """
    gate, values = _flattened(pairs)
    counts = np.bincount(gate, minlength=len(pairs))
    means = np.bincount(gate, values, minlength=len(pairs)) / np.maximum(counts, 1)
    squares = np.bincount(gate, (values - means[gate]) ** 2, minlength=len(pairs))
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    degrees = np.concatenate([[0], np.cumsum(np.maximum(counts - 1, 0))])
    first = np.maximum(np.arange(len(pairs)) - NUM_POOLED, 0)
    pooled, known = sums[:-1] - sums[first], degrees[:-1] - degrees[first]
    is_known = (known > 0) & (pooled > 0)
    return np.where(is_known, np.sqrt(pooled / np.where(is_known, known, 1)), fallback)


def smooth_level(increments: ArrayLike, variances: ArrayLike, anchors: Mapping[int, tuple[float, float]]) -> Level:
    """Smoothed level of a metric after each commit, as degradation since the reference, from all data.

    Args:
        increments: (commits,) unbiased estimate of the degradation by each commit.
        variances: (commits,) its variance; 0 if the commit was proved equal, infinite across a gap.
        anchors: Unbiased estimate of the degradation since the reference and its variance, by commit.

    References:
        H. E. Rauch, F. Tung, C. T. Striebel (1965), AIAA Journal 3, 1445-1450.

    Example:
        >>> level = smooth_level([1.0, 1.0], [1.0, 1.0], {1: (4.0, 2.0)})
        >>> level.values.tolist(), (level.errors**2).round(9).tolist()
        ([1.5, 3.0], [0.75, 1.0])
    """
    steps, spreads = np.asarray(increments, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    values, errors = np.empty(steps.size), np.empty(steps.size)
    value, variance = 0.0, 0.0
    for i in range(steps.size):
        value, variance = value + steps[i], variance + spreads[i]
        if i in anchors:
            seen, noise = anchors[i]
            weight = 1.0 if math.isinf(variance) else variance / (variance + noise) if variance + noise else 0.0
            value += weight * (seen - value)
            variance = noise if math.isinf(variance) else variance * (1 - weight)
        values[i], errors[i] = value, variance
    for i in range(steps.size - 2, -1, -1):
        ahead = errors[i] + spreads[i + 1]
        if math.isinf(errors[i]):  # known from behind only
            values[i], errors[i] = values[i + 1] - steps[i + 1], errors[i + 1] + spreads[i + 1]
        elif ahead and math.isfinite(ahead):
            gain = errors[i] / ahead
            values[i] += gain * (values[i + 1] - values[i] - steps[i + 1])
            errors[i] += gain**2 * (errors[i + 1] - ahead)
    return Level(values, np.sqrt(errors))
