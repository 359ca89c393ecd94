"""Compare ways to hold one error rate over 100 metrics: Holm, Hochberg, Hommel, and sign flips of whole pairs.

Run from the root of the repository, some minutes; it writes ``docs/results/multiplicity.json``::

    python -m experiments.multiplicity

Pairs are drawn with normal noise, part of which all metrics of a pair share. Each procedure judges the same draws, at
the looks and with the weights of a gate, and is asked for what a fail needs: that a metric is worse by more than its
margin, at 5 %, and worse at all, at 1 % for the whole family. Only the second differs between the procedures.

References:
    Y. Hochberg (1988), A sharper Bonferroni procedure for multiple tests of significance, Biometrika 75, 800-802.
    G. Hommel (1988), A stagewise rejective multiple test procedure, Biometrika 75, 383-386.
    P. H. Westfall, S. S. Young (1993), Resampling-based multiple testing, Wiley.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from experiments.provenance import ROOT, commit, versions, write_results
from mainstay.gates.policy import Design
from mainstay.stats.multiplicity import holm_adjusted
from mainstay.stats.paired import one_sided_p_values, summarise_pairs
from mainstay.stats.proportions import clopper_pearson_interval
from mainstay.stats.sequential import look_weights, sequential_p_values

SEED = 20_261_129
NUM_METRICS = 100
MARGIN = 0.83
"""In deviations of a pair: the smallest margin that ``calibrate`` supports."""

NUM_FLIPS = 20_000
"""Sign flips where trying all of them would take longer: their p-values cannot fall below one of so many."""

Values = NDArray[np.float64]
Adjust = Callable[[Values, Values, np.random.Generator], Values]
"""Pairs (pairs, metrics) and p-values (metrics,) to adjusted p-values (metrics,)."""


def by_holm(pairs: Values, p_values: Values, rng: np.random.Generator) -> Values:
    """Adjust as the gate does."""
    return holm_adjusted(p_values, family_size=len(p_values))


def by_library(pairs: Values, p_values: Values, rng: np.random.Generator, *, method: str) -> Values:
    """Adjust by a procedure of statsmodels."""
    return np.asarray(multipletests(p_values, method=method)[1])


def by_sign_flips(pairs: Values, p_values: Values, rng: np.random.Generator) -> Values:
    """Adjust by the largest t over all metrics when the signs of whole pairs are flipped, step by step (Westfall, Young)."""
    num_pairs, num_metrics = pairs.shape
    if 2**num_pairs <= NUM_FLIPS:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=num_pairs)))
    else:
        signs = rng.choice([1.0, -1.0], size=(NUM_FLIPS, num_pairs))
        signs[0] = 1.0
    means = signs @ pairs / num_pairs
    squares = np.mean(pairs**2, axis=0)  # sign flips leave the squares as they are
    statistics = means / np.sqrt(np.maximum(squares - means**2, 1e-300))
    order = np.argsort(-statistics[0])
    largest = np.maximum.accumulate(statistics[:, order[::-1]], axis=1)[:, ::-1]
    steps = np.mean(largest >= largest[0] - 1e-12, axis=0)
    adjusted = np.empty(num_metrics)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


PROCEDURES: Mapping[str, Adjust] = {
    "Holm": by_holm,
    "Hochberg": partial(by_library, method="simes-hochberg"),
    "Hommel": partial(by_library, method="hommel"),
    "sign flips": by_sign_flips,
}


def first_fails(pairs: Values, adjust: Adjust, design: Design, rng: np.random.Generator) -> NDArray[np.int64]:
    """The number of pairs at which each metric fails; 0 if it does not.

    Args:
        pairs: (pairs, metrics) degradations.
        adjust: Procedure that holds the family-wise rate.
        design: Looks and levels.
        rng: Source of the sign flips.
    """
    weights = look_weights(design.looks)
    p_values = []
    for look in design.looks:
        summary = summarise_pairs(pairs[:look].T)
        worse = one_sided_p_values(summary, 0.0).above
        p_values.append((adjust(pairs[:look], worse, rng), one_sided_p_values(summary, MARGIN).above))
    family, margin = (sequential_p_values(np.array(each), weights) for each in zip(*p_values, strict=True))
    is_failed = (family <= design.alpha) & (margin <= design.margin_level)
    looks = np.array(design.looks)[np.argmax(is_failed, axis=0)]
    return np.where(is_failed.any(axis=0), looks, 0)


def simulate(*, num_worse: int, shared: float, gates: int) -> list[dict[str, Any]]:
    """What each procedure makes of the same gates.

    Args:
        num_worse: Metrics that are worse by twice their margin; the others are unchanged.
        shared: Correlation of two metrics of a pair.
        gates: How many gates are drawn.
    """
    design = Design(num_gated=NUM_METRICS)
    rng = np.random.default_rng([SEED, num_worse, round(100 * shared)])
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in PROCEDURES}
    for _ in range(gates):
        common = rng.standard_normal((design.max_pairs, 1))
        own = rng.standard_normal((design.max_pairs, NUM_METRICS))
        pairs = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        pairs[:, :num_worse] += 2 * MARGIN
        for name, adjust in PROCEDURES.items():
            found[name].append(first_fails(pairs, adjust, design, rng))
    return [
        {
            "worse": num_worse,
            "correlation": shared,
            "procedure": name,
            "gates": gates,
            **summarise(np.array(each), num_worse),
        }
        for name, each in found.items()
    ]


def summarise(fails: NDArray[np.int64], num_worse: int) -> dict[str, Any]:
    """False fails of a family, and the worse metrics that are named.

    Args:
        fails: (gates, metrics) numbers of pairs, 0 for no fail.
        num_worse: Metrics that are worse, in front.
    """
    is_false = (fails[:, num_worse:] > 0).any(axis=1)
    low, high = clopper_pearson_interval(int(is_false.sum()), len(fails))
    worse = fails[:, :num_worse]
    return {
        "false_fails": {"rate": float(is_false.mean()), "low": round(low, 5), "high": round(high, 5), "n": len(fails)},
        "named": round(float((worse > 0).mean()), 4) if num_worse else None,
        "named_by_5_pairs": round(float(((worse > 0) & (worse <= 5)).mean()), 4) if num_worse else None,
        "named_by_12_pairs": round(float(((worse > 0) & (worse <= 12)).mean()), 4) if num_worse else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate all cells and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=400, help="of each cell")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "multiplicity.json")
    options = parser.parse_args(argv)
    rows = [
        row
        for num_worse in (0, 1, 10, 50)
        for shared in (0.0, 0.5, 0.9)
        for row in simulate(num_worse=num_worse, shared=shared, gates=options.gates)
    ]
    content = {
        "provenance": {
            "command": f"python -m experiments.multiplicity --gates {options.gates}",
            "commit": commit(),
            "seed": SEED,
            "metrics": NUM_METRICS,
            "margin_over_sd": MARGIN,
            "versions": versions("numpy", "scipy", "statsmodels"),
        },
        "procedures": rows,
    }
    write_results(options.output, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
