"""Draws of evaluations whose truth is known, and the shares of them that end in one way, beside published ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.provenance import Row
from mainstay.gates.family import Decisions, decide
from mainstay.gates.policy import Design
from mainstay.stats.flips import flip_p_values
from mainstay.stats.proportions import clopper_pearson_interval

SEED = 20_261_128
ACCURACY = 0.88
"""Share of the items that the baseline has right; only the rules that do not pair the items depend on it."""

DEVIATIONS = 3.29
"""Standard errors of a difference beyond which two shares do not agree: 99.9 %, two-sided."""

Tables = NDArray[np.int64]
"""(..., 4): lost, gained, right twice, wrong twice."""


def draw(
    rng: np.random.Generator,
    num_items: int,
    flips: float,
    degradation: float,
    size: int,
    *,
    accuracy: float = ACCURACY,
) -> Tables:
    """Tables of one task: half of the flips each way, and the degradation besides."""
    lost, gained = flips / 2 + degradation, flips / 2
    right = accuracy - lost
    return np.asarray(rng.multinomial(num_items, [lost, gained, right, 1 - lost - gained - right], size))


def rate(hits: ArrayLike) -> Row:
    """A share of draws with its 95 % interval."""
    count, total = int(np.sum(hits)), int(np.size(hits))
    low, high = clopper_pearson_interval(count, total, confidence_level=0.95)
    return {"count": count, "n": total, "rate": count / total, "low": round(low, 6), "high": round(high, 6)}


def compare(
    hits: ArrayLike,
    published: float | tuple[float, float] | None,
    *,
    published_draws: int | None = None,
) -> Row:
    """The same beside a published percentage, which agrees unless it lies far outside: 99.9 %, with its rounding.

    Args:
        hits: Whether each draw ended so.
        published: The published percentage, or the smallest and the largest of several; without one, the share stands
            alone.
        published_draws: Number of draws that it is from; exact if there is none.
    """
    found = rate(hits)
    if published is None:
        return found
    if isinstance(published, tuple):
        nearest = min(max(100 * found["rate"], published[0]), published[1])
        return {**compare(hits, nearest, published_draws=published_draws), "published_percent": list(published)}
    rounding = 0.5 if published >= 10 else 0.06
    if published_draws is None:
        low, high = clopper_pearson_interval(found["count"], found["n"], confidence_level=0.999)
        agrees = 100 * low - rounding <= published <= 100 * high + rounding
    else:
        total = found["n"] + published_draws
        pooled = (found["count"] + published / 100 * published_draws) / total
        error = math.sqrt(max(pooled * (1 - pooled), 1 / total) * (1 / found["n"] + 1 / published_draws))
        agrees = abs(100 * found["rate"] - published) <= 100 * DEVIATIONS * error + rounding
    return {**found, "published_percent": published, "agrees": bool(agrees)}


def compare_means(values: NDArray[np.float64], published: float, *, published_draws: int) -> Row:
    """A mean over draws beside a published one from so many draws."""
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    error = deviation * math.sqrt(1 / values.size + 1 / published_draws)
    half = 1.96 * deviation / math.sqrt(values.size)
    return {
        "mean": mean,
        "interval": [mean - half, mean + half],
        "published": published,
        "agrees": bool(abs(mean - published) <= DEVIATIONS * error + 5),
    }


def flip_evidence(tables: Tables, num_items: int, margin: float) -> NDArray[np.float64]:
    """P-values of each table in the order of the family's hypotheses; equal tables are judged once.

    Args:
        tables: (..., 4) draws.
        num_items: Number of items of each.
        margin: The degradation that is tolerated.
    """
    kinds, members = np.unique(tables[..., :2].reshape(-1, 2), axis=0, return_inverse=True)
    values = np.array([_four(lost, gained, num_items, margin) for lost, gained in kinds.tolist()])
    return np.asarray(values[members.reshape(tables.shape[:-1])])


def _four(lost: int, gained: int, num_items: int, margin: float) -> tuple[float, float, float, float]:
    zero, at_margin, double = (flip_p_values(lost, gained, num_items, c * margin) for c in (0, 1, 2))
    return float(zero.above), float(at_margin.above), float(at_margin.below), float(double.below)


def decide_draws(p_values: NDArray[np.float64]) -> Decisions:
    """The decisions about many gates at once.

    Args:
        p_values: (looks, draws, metrics, 4) sequential p-values.
    """
    return decide(p_values, np.zeros(p_values.shape[:-1], dtype=np.bool_), Design(num_gated=p_values.shape[-2]))


def verdicts(tables: Tables, num_items: int, margin: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which draws pass and which fail, a gate of one metric each."""
    decisions = decide_draws(flip_evidence(tables, num_items, margin)[np.newaxis, :, np.newaxis])
    return decisions.passes[:, 0], decisions.fails[:, 0]
