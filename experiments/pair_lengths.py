"""Compare lengths of timed pairs up to the first look and after it, in small gates and in large ones.

Run from the root of the repository, about ten minutes; it writes ``docs/results/pair_lengths.json``::

    python -m experiments.pair_lengths

Of the variance of a pair, a given share falls as the pair gets longer (*within*); the rest differs from process to
process, and no longer pair reduces it. All lengths and rules judge the same draws, by the functions that judge a gate.

First come gates that have time enough for all looks, by the length of the pairs up to the first look and of those after
it. Then 100 timed workloads share a budget that is too small for all of them: the pairs up to the first look are as long
as a gate plans them, and a rule says how long the others are. The rules that only count the open workloads leave the test
valid, whatever the noise; one that takes their deviations into account would need more than that, and is tried to see
what it would gain. Last come the error rates of the rules.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.provenance import ROOT, Row, commit, versions, write_results
from experiments.simulate import NOISE, Rate, Verdicts, draw_degradations, judge_gates
from mainstay.gates.policy import Design
from mainstay.measuring.scheduling import (
    LENGTHENING,
    START_SECONDS,
    fitted_pair_seconds,
    lengthened_pair_seconds,
)
from mainstay.records.plans import DEFAULT_PAIR_SECONDS

SEED = 20_261_130
NUM_FEW, NUM_METRICS = 6, 100
MARGIN = 0.05
SECONDS = 900.0
CORRELATION = 0.3
SPREAD = 0.4
"""Standard deviation of the logarithm of the metrics' deviations."""

GATES_PER_BATCH = 200

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class State:
    """Gates of which some pairs have been measured.

    Attributes:
        is_open: (gates, metrics) metrics that are not decided.
        deviations: (gates, metrics) deviations of the pairs that were measured.
        seconds_left: (gates,) what is left of the budget.
        until_next_look: Number of pairs up to the next look.
        until_last_look: Number of pairs up to the last look.
    """

    is_open: Flags
    deviations: Values
    seconds_left: Values
    until_next_look: int
    until_last_look: int

    def lengthened(self, num_pairs: int) -> Values:
        """(gates, 1) the length of pairs if the budget is to suffice for a number of them."""
        return np.array(
            [
                [
                    lengthened_pair_seconds(
                        PLANNED, LONGEST, stretches=[1.0] * int(count), num_pairs=num_pairs, seconds_left=left
                    )
                ]
                for count, left in zip(self.is_open.sum(axis=1), self.seconds_left, strict=True)
            ]
        )


LONGEST = LENGTHENING * DEFAULT_PAIR_SECONDS
PLANNED = fitted_pair_seconds(
    DEFAULT_PAIR_SECONDS, stretches=[1.0] * NUM_METRICS, looks=Design(num_gated=NUM_METRICS).looks, seconds=SECONDS
)


def by_deviation(state: State) -> Values:
    """Share what may be added by the deviations about the mean: the noisier a workload, the longer its pairs."""
    added = (state.lengthened(state.until_last_look) - PLANNED) * state.is_open.sum(axis=1, keepdims=True)
    weights = state.deviations * state.is_open
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray(PLANNED + np.minimum(added * shares, LONGEST - PLANNED))


ADOPTED = "longer if all looks fit"
RULES: Mapping[str, Callable[[State], Values]] = {
    "as planned": lambda state: np.full((len(state.is_open), 1), PLANNED),
    ADOPTED: lambda state: state.lengthened(state.until_last_look),
    "longer if the next look fits": lambda state: state.lengthened(state.until_next_look),
    "by deviation if all looks fit": by_deviation,
}


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What became of simulated gates.

    Attributes:
        passes: (gates, metrics)
        fails: (gates, metrics)
        seconds: (gates,) time that was used.
    """

    passes: Flags
    fails: Flags
    seconds: Values


def run_gates(noise: Values, deviations: Values, truth: Values, *, within: float, rule: str) -> Gates:
    """Measure and judge gates look by look, until all is decided or the next look does not fit into the budget.

    Args:
        noise: (gates, metrics, pairs) of unit deviation.
        deviations: (gates, metrics) of a pair of the planned length.
        truth: (metrics,) true degradations.
        within: Share of the variance that falls with the length of a pair.
        rule: Name of the rule.
    """
    design = Design(num_gated=noise.shape[1])
    lengths = np.full(noise.shape, PLANNED)
    used = np.full(len(noise), design.looks[0] * (noise.shape[1] * PLANNED + START_SECONDS))
    reached = np.full(len(noise), design.looks[0])

    def measured() -> Values:
        scale = deviations[..., None] * np.sqrt(within * PLANNED / lengths + 1 - within)
        return np.asarray(noise * scale + truth[:, None])

    def judged(degradations: Values) -> tuple[Flags, Flags]:
        verdicts = judge_gates(degradations, values=None, margin=MARGIN, design=design)
        is_known = verdicts.pairs_of_metric <= reached[:, None]
        return verdicts.passes & is_known, verdicts.fails & is_known

    for look, following in pairwise(design.looks):
        degradations = measured()
        passes, fails = judged(degradations)
        state = State(
            is_open=~(passes | fails),
            deviations=degradations[..., :look].std(axis=-1, ddof=1),
            seconds_left=SECONDS - used,
            until_next_look=following - look,
            until_last_look=design.max_pairs - look,
        )
        seconds = np.broadcast_to(RULES[rule](state), state.is_open.shape)
        lengths[..., look:] = seconds[..., None]
        of_pair = (seconds * state.is_open).sum(axis=1) + START_SECONDS
        goes_on = state.is_open.any(axis=1) & (reached == look)
        pairs = np.where(goes_on, np.minimum(following - look, state.seconds_left // of_pair), 0)
        used = used + pairs * of_pair
        reached = np.where(goes_on & (pairs == following - look), following, reached)
    passes, fails = judged(measured())
    return Gates(passes=passes, fails=fails, seconds=used)


def simulate(
    seed: int, *, gates: int, deviations: Values, truth: Values, noise: str = "normal", within: float, rule: str
) -> Gates:
    """Draw and run gates in batches.

    Args:
        seed: Of all draws, with that of the module.
        gates: How many.
        deviations: (metrics,) medians of the metrics' deviations over the gates.
        truth: (metrics,) true degradations.
        noise: Name of the noise model.
        within: Share of the variance that falls with the length of a pair.
        rule: Name of the rule.
    """
    rng = np.random.default_rng([SEED, seed])
    batches = []
    for start in range(0, gates, GATES_PER_BATCH):
        shape = (min(GATES_PER_BATCH, gates - start), len(deviations), Design(num_gated=1).max_pairs)
        drawn = draw_degradations(rng, NOISE[noise], shape, correlation=CORRELATION)
        own = deviations * np.exp(SPREAD * rng.standard_normal(shape[:2]))
        batches.append(run_gates(drawn, own, truth, within=within, rule=rule))
    parts = ([getattr(batch, name) for batch in batches] for name in ("passes", "fails", "seconds"))
    passes, fails, seconds = (np.concatenate(part) for part in parts)
    return Gates(passes=passes, fails=fails, seconds=seconds)


START_OF_PAIR_SECONDS = 2.5
"""Measured time of the two processes of a pair to start and import (``docs/results/pair_noise.json``)."""

LENGTHS = ((2.5, 2.5), (1.0, 1.0), (1.0, 2.5), (0.5, 1.25))
"""Seconds of each workload in a pair up to the first look, and after it."""


def lengths(num_gates: int) -> Iterator[Row]:
    """Verdicts and seconds of gates that have time for all looks, by the lengths of their pairs; the noise is that of 2.5 s."""
    design = Design(num_gated=NUM_FEW)
    for deviation in (0.01, 0.02, 0.03, 0.04):
        for within in (0.1, 0.3, 0.6):
            for first, later in LENGTHS:
                rng = np.random.default_rng([SEED, round(1000 * deviation)])
                shape = (num_gates, NUM_FEW, design.max_pairs)
                seconds = np.where(np.arange(design.max_pairs) < design.looks[0], first, later)
                own = deviation * np.exp(SPREAD * rng.standard_normal(shape[:2]))
                noise = rng.standard_normal(shape) * np.sqrt(within * LENGTHS[0][0] / seconds + 1 - within)
                clean = noise * own[..., None]
                worse = clean.copy()
                worse[:, 0] += 2 * MARGIN
                found, harmed = (
                    judge_gates(each, values=None, margin=MARGIN, design=design) for each in (clean, worse)
                )
                yield {
                    "sd": deviation,
                    "within": within,
                    "first_s": first,
                    "later_s": later,
                    "gates_that_pass": asdict(Rate.of(found.gate_passes)),
                    "harmed_fails": asdict(Rate.of(harmed.fails[:, 0])),
                    "seconds": round(float(_seconds(found, design, seconds).mean()), 1),
                }


def _seconds(found: Verdicts, design: Design, seconds: Values) -> Values:
    """(gates,) time to measure until every metric is decided, if a pair measures only the open ones."""
    is_decided = found.passes | found.fails
    last = np.where(is_decided, found.pairs_of_metric, design.max_pairs)
    of_look = [max(look for look in (0, *design.looks) if look <= pair) for pair in range(design.max_pairs)]
    num_open = (last[..., None] > np.array(of_look)).sum(axis=1)
    return np.asarray(np.where(num_open > 0, num_open * seconds + START_OF_PAIR_SECONDS, 0.0).sum(axis=1))


def decided(num_gates: int) -> Iterator[Row]:
    """How much of gates of equal revisions each rule decides, by noise."""
    for median in (0.015, 0.02, 0.03, 0.04):
        for within in (0.3, 0.8):
            for rule in RULES:
                found = simulate(
                    round(1000 * median),
                    gates=num_gates,
                    deviations=np.full(NUM_METRICS, median),
                    truth=np.zeros(NUM_METRICS),
                    within=within,
                    rule=rule,
                )
                yield {
                    "median_sd": median,
                    "within": within,
                    "rule": rule,
                    "decided": round(float((found.passes | found.fails).mean()), 4),
                    "gates_that_pass": asdict(Rate.of(found.passes.all(axis=1))),
                    "seconds": round(float(found.seconds.mean())),
                }


NUM_NOISY = 20


def errors(num_gates: int) -> Iterator[Row]:
    """False fails, and passes of a metric that is worse by twice its margin, where most metrics make room for noisy ones."""
    medians = np.where(np.arange(NUM_METRICS) < NUM_METRICS - NUM_NOISY, 0.005, MARGIN / 0.83)
    truth = np.where(np.arange(NUM_METRICS) < NUM_METRICS - 1, 0.0, 2 * MARGIN)
    for noise in ("normal", "heavy tails", "outliers", "two states"):
        for rule in RULES:
            found = simulate(
                len(noise), gates=num_gates, deviations=medians, truth=truth, noise=noise, within=0.8, rule=rule
            )
            yield {
                "noise": noise,
                "rule": rule,
                "false_fails": asdict(Rate.of(found.fails[:, :-1].any(axis=1))),
                "harmed_passes": asdict(Rate.of(found.passes[:, -1])),
                "harmed_fails": asdict(Rate.of(found.fails[:, -1])),
            }


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gates", type=int, default=400, help="of each kind; ten times as many of small gates and for the error rates"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "pair_lengths.json")
    options = parser.parse_args(argv)
    content = {
        "provenance": {
            "command": f"python -m experiments.pair_lengths --gates {options.gates}",
            "commit": commit(),
            "seed": SEED,
            "metrics": {"few": NUM_FEW, "many": NUM_METRICS},
            "margin": MARGIN,
            "seconds": SECONDS,
            "pair_seconds_of_many": [round(PLANNED, 3), LONGEST],
            "versions": versions("python", "numpy", "scipy"),
        },
        "lengths": list(lengths(10 * options.gates)),
        "decided": list(decided(options.gates)),
        "errors": list(errors(10 * options.gates)),
    }
    write_results(options.output, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
