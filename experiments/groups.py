"""Simulate gates of 100 metrics with and without groups: false fails, clean gates that pass, planted losses that are named.

Run from the root of the repository, a few minutes; it writes ``docs/results/groups.json``::

    python -m experiments.groups

Each gate is judged twice from the same pairs: its metrics alone, and with the geometric means of groups of equal size as
further metrics of the family. The deviations are those of pairs at a margin of 5 %; two metrics of a pair share a part of
their noise.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.provenance import ROOT, commit, versions, write_results
from experiments.simulate import NOISE, Rate, draw_degradations, draw_values
from mainstay.gates.family import BELOW_DOUBLE_MARGIN, Evidence, decide, printed_interval, weigh_evidence
from mainstay.gates.policy import Design

SEED = 20_261_129
NUM_METRICS = 100
MARGIN = math.log(1.05)
LOSSES = (0.05, 1.05**2 - 1, 0.2)
"""How much slower the first metric is in gates with a loss: by the margin, by twice the margin, by more."""

TIMES = (1.0, 5.0)
"""How many times as noisy the slower metric is as the others."""

NOISES = ("normal", "heavy tails", "loaded half-way, couples")
DEVIATIONS = (0.03, 0.05, 0.08)
"""Of a pair: from some load beside the gate to much."""

STRESS = 0.25
"""Deviation at which the margin hardly helps, so that false fails are as frequent as they get."""

CORRELATIONS = (0.0, 0.5)
SIZES = (4, 20)
"""Members of a group, such as a parametrised test and a file."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What to simulate.

    Attributes:
        noise: Name of the noise model.
        deviation: Standard deviation of a degradation.
        correlation: Between any two metrics of a pair.
        size: Members of each group.
    """

    noise: str
    deviation: float
    correlation: float
    size: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of many gates.

    Attributes:
        fails: (gates, metrics) metrics that fail, then means.
        passes: (gates,) the gate passes.
        warns: (gates, metrics) the metric is undecided and only warns.
    """

    fails: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    warns: NDArray[np.bool_]


def draw(cell: Cell, *, gates: int, loss: float = 0.0, times: float = 1.0) -> Values:
    """Values of both revisions: (2, gates, metrics, pairs).

    Args:
        cell: What to simulate.
        gates: How many gates.
        loss: How much slower the first metric is.
        times: How many times as noisy it is as the others.
    """
    noise, pairs = NOISE[cell.noise], Design(num_gated=NUM_METRICS).max_pairs
    scaled = (round(1000 * each) for each in (cell.deviation, cell.correlation, loss, times))
    rng = np.random.default_rng([SEED, NOISES.index(cell.noise), *scaled])
    degradations = draw_degradations(rng, noise, (gates, NUM_METRICS, pairs), correlation=cell.correlation)
    values = cell.deviation * draw_values(rng, noise, degradations, correlation=cell.correlation)
    values[:, :, 0] *= times
    values[1, :, 0] += math.log1p(loss)
    return values


def judge(values: Values, *, size: int | None) -> Judged:
    """Judge gates from their values.

    Args:
        values: (2, gates, metrics, pairs) of baseline and candidate, as logarithms.
        size: Members of each group; ``None`` for no groups.
    """
    _, gates, num_metrics, pairs = values.shape
    if size is not None:
        means = values.reshape(2, gates, -1, size, pairs).mean(axis=3)
        values = np.concatenate([values, means], axis=2)
    design = Design(num_gated=values.shape[2])
    rows = values.reshape(2, -1, pairs)
    evidence = weigh_evidence(
        list(rows[1] - rows[0]),
        levels=list(np.moveaxis(rows, 0, 1)),
        margins=np.full(rows.shape[1], MARGIN),
        resolutions=np.zeros(rows.shape[1]),
        design=design,
    )
    shape = (len(design.looks), gates, design.num_gated)
    decisions = decide(evidence.p_values.reshape(*shape, -1), evidence.is_withheld.reshape(shape), design)
    fails, passes = decisions.fails, decisions.passes
    warns = np.zeros((gates, num_metrics), dtype=np.bool_)
    if size is not None:
        is_spoiled = fails[:, :num_metrics].reshape(gates, -1, size).any(axis=2)
        of_group = np.repeat(passes[:, num_metrics:] & ~is_spoiled, size, axis=1)
        may_warn = ~(fails | passes) & _may_warn(evidence, design).reshape(gates, -1)
        warns = may_warn[:, :num_metrics] & of_group
    decided = passes[:, :num_metrics] | warns
    return Judged(
        fails=fails, passes=np.asarray(decided.all(axis=1) & passes[:, num_metrics:].all(axis=1)), warns=warns
    )


def _may_warn(evidence: Evidence, design: Design) -> NDArray[np.bool_]:
    """Whether an undecided metric is estimated within the margin, surely below twice of it, and was not capped."""
    last = np.full(evidence.mean.shape[1], len(design.looks) - 1)
    low, high, _ = printed_interval(evidence, last, np.zeros(len(last), dtype=np.bool_), design)
    mean = evidence.mean[-1]
    is_within = np.maximum(mean, np.clip(mean, low, high)) < MARGIN
    is_bounded = evidence.p_values[-1, :, BELOW_DOUBLE_MARGIN] <= design.alpha
    return np.asarray(is_within & is_bounded & np.isinf(evidence.caps[-1]))


def clean_row(cell: Cell, *, gates: int) -> dict[str, Any]:
    """False fails of gates of equal revisions, and their passes, with and without groups.

    Args:
        cell: What to simulate.
        gates: How many gates.
    """
    values = draw(cell, gates=gates)
    alone, grouped = judge(values, size=None), judge(values, size=cell.size)
    return asdict(cell) | {
        "false_fails": rate(grouped.fails.any(axis=1)),
        "false_fails_alone": rate(alone.fails.any(axis=1)),
        "passes": rate(grouped.passes),
        "passes_alone": rate(alone.passes),
        "warns_a_gate": round(float(grouped.warns.sum(axis=1).mean()), 2),
    }


def planted_row(cell: Cell, loss: float, times: float, *, gates: int) -> dict[str, Any]:
    """What becomes of a loss in the first metric, and false fails of what has no share in it.

    Args:
        cell: What to simulate.
        loss: How much slower the first metric is.
        times: How many times as noisy it is as the others.
        gates: How many gates.
    """
    values = draw(cell, gates=gates, loss=loss, times=times)
    alone, grouped = judge(values, size=None), judge(values, size=cell.size)
    others = np.arange(grouped.fails.shape[1])
    is_harmed = (others == 0) | (others == NUM_METRICS)  # the mean of the first group has a share in the loss
    return (
        {"loss": round(loss, 4), "times_as_noisy": times}
        | asdict(cell)
        | {
            "named": rate(grouped.fails[:, 0]),
            "named_alone": rate(alone.fails[:, 0]),
            "passes": rate(grouped.passes),
            "passes_alone": rate(alone.passes),
            "false_fails": rate(grouped.fails[:, ~is_harmed].any(axis=1)),
        }
    )


def rate(happened: ArrayLike) -> dict[str, Any]:
    """How often it happened, with its 95 % interval."""
    return asdict(Rate.of(happened))


def cells(deviations: Sequence[float], sizes: Sequence[int]) -> list[Cell]:
    """All combinations with these deviations and sizes."""
    return [
        Cell(noise=noise, deviation=deviation, correlation=correlation, size=size)
        for noise in NOISES
        for deviation in deviations
        for correlation in CORRELATIONS
        for size in sizes
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate all cells and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=1_000, help="of each cell")
    parser.add_argument("--stress-gates", type=int, default=4_000, help="of each cell where false fails are frequent")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "groups.json")
    options = parser.parse_args(argv)
    content = {
        "provenance": {
            "command": f"python -m experiments.groups --gates {options.gates} --stress-gates {options.stress_gates}",
            "commit": commit(),
            "seed": SEED,
            "metrics": NUM_METRICS,
            "margin": 0.05,
            "versions": versions("numpy", "scipy"),
        },
        "clean": [clean_row(cell, gates=options.gates) for cell in cells(DEVIATIONS, SIZES)],
        "stress": [clean_row(cell, gates=options.stress_gates) for cell in cells([STRESS], SIZES[-1:])],
        "planted": [
            planted_row(cell, loss, times, gates=options.gates)
            for loss in LOSSES
            for times in TIMES
            for cell in cells(DEVIATIONS[1:], SIZES[-1:])
        ],
    }
    write_results(options.output, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
