"""Simulated gates: draw degradations from a noise model, judge them as real pairs are judged, count verdicts.

Degradations are arrays of shape (gates, metrics, pairs) with a standard deviation near one, so a margin is given as its
ratio to the noise. The values of the two revisions, whose differences they are, tell the judgement where to cap them.
Nothing of it is repeated here: :func:`judge_gates` calls ``weigh_evidence`` and ``decide``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.gates.family import decide, printed_interval, weigh_evidence
from mainstay.gates.policy import Design
from mainstay.stats.proportions import clopper_pearson_interval

Degradations = NDArray[np.float64]
Shape = tuple[int, int, int]
"""Gates, metrics, pairs."""
Draw = Callable[[np.random.Generator, Shape], Degradations]

GATES_PER_BATCH = 2_000


def standardised(degradations: Degradations, *, variance: float) -> Degradations:
    """Degradations of unit deviation."""
    return np.asarray(degradations / np.sqrt(variance))


# Noise of a pair that is symmetric by itself, such as two trainings of equal revisions


def normal(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Normal degradations."""
    return rng.standard_normal(shape)


def heavy_tails(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Student's t with 3 degrees of freedom."""
    return standardised(rng.standard_t(3, size=shape), variance=3)


def outliers(rng: np.random.Generator, shape: Shape) -> Degradations:
    """One pair in twenty has ten times the noise."""
    is_outlier = rng.random(shape) < 0.05
    return standardised(rng.standard_normal(shape) * np.where(is_outlier, 10.0, 1.0), variance=0.95 + 0.05 * 100)


def two_states(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Each trial is slow with a chance of 30 %, whichever revision it runs."""
    slow = (rng.random((2, *shape)) < 0.3).astype(np.float64)
    return standardised(5 * (slow[1] - slow[0]) + rng.standard_normal(shape), variance=1 + 2 * 25 * 0.3 * 0.7)


def rare_explosions(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Each trial diverges with a chance of 2 %, whichever revision it runs, and is then off by 30 times the noise."""
    diverged = (rng.random((2, *shape)) < 0.02).astype(np.float64)
    degradations = 30 * (diverged[1] - diverged[0]) + rng.standard_normal(shape)
    return standardised(degradations, variance=1 + 2 * 30**2 * 0.02 * 0.98)


def no_moments(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Cauchy degradations, which have neither mean nor deviation."""
    return rng.standard_cauchy(shape)


def skewed(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Lognormal degradations (sigma 0.75) below their mean more often than above: the order did not change."""
    variance = 0.75**2
    degradations = np.exp(variance / 2) - rng.lognormal(sigma=0.75, size=shape)
    return standardised(degradations, variance=float(np.expm1(variance) * np.exp(variance)))


def slow_candidate(rng: np.random.Generator, shape: Shape) -> Degradations:
    """The candidate alone is slow in 15 % of pairs; about the mean."""
    is_slow = rng.random(shape) < 0.15
    return standardised(rng.standard_normal(shape) + 10 * (is_slow - 0.15), variance=1 + 100 * 0.15 * 0.85)


def slow_baseline(rng: np.random.Generator, shape: Shape) -> Degradations:
    """The baseline alone is slow in 15 % of pairs; about the mean."""
    return -slow_candidate(rng, shape)


def dependent_pairs(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Each degradation follows half of the one before."""
    return autoregressive(rng, shape, coefficient=0.5)


# The state of the machine while trials run one after another: (gates, metrics, 2 * pairs)


def drifting_machine(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Slow wandering and a steady trend, such as a processor that heats up."""
    return autoregressive(rng, shape, coefficient=0.9) + np.linspace(0, 3, shape[-1])


def warming_machine(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Much slower at the start."""
    return np.asarray(rng.standard_normal(shape) + 10 * np.exp(-np.arange(shape[-1]) / 3))


def bimodal_machine(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Fast and slow spells that last about five trials."""
    switches = rng.random(shape) < 0.2
    state = (np.cumsum(switches, axis=-1) + rng.integers(0, 2, size=(*shape[:-1], 1))) % 2
    return np.asarray(5.0 * state + rng.standard_normal(shape))


def skewed_machine(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Trials are never much faster than usual, but may be much slower."""
    return rng.lognormal(size=shape)


def loaded_machine(rng: np.random.Generator, shape: Shape) -> Degradations:
    """Another process takes a core during the second half of the run."""
    is_loaded = np.arange(shape[-1]) >= shape[-1] // 2
    return rng.standard_normal(shape) * np.where(is_loaded, 3.0, 1.0) + 4 * is_loaded


def order_effect(rng: np.random.Generator, shape: Shape, *, size: float = 5.0) -> Degradations:
    """The first trial of each pair is slower by so many deviations of a trial, such as one that fills a cache."""
    return np.asarray(rng.standard_normal(shape) + size * (np.arange(shape[-1]) % 2 == 0))


def autoregressive(rng: np.random.Generator, shape: Shape, *, coefficient: float) -> Degradations:
    """A stationary AR(1) series of unit variance along the last axis."""
    series = rng.standard_normal(shape)
    for step in range(1, shape[-1]):
        series[..., step] *= np.sqrt(1 - coefficient**2)
        series[..., step] += coefficient * series[..., step - 1]
    return series


def draw_order(rng: np.random.Generator, order: str, *, gates: int, pairs: int) -> Degradations:
    """Which revision runs first: 1 the baseline, -1 the candidate; (gates, 1, pairs), the same for all metrics.

    Args:
        rng: Source of all draws.
        order: ``coin``: drawn for each pair; ``couples``: drawn for every other pair, the one after it is reversed;
            ``alternate``: baseline first in every other pair; ``baseline first``: always.
        gates: How many gates.
        pairs: Of each.
    """
    if order == "coin":
        return rng.choice([-1.0, 1.0], size=(gates, 1, pairs))
    if order == "couples":
        coins = rng.choice([-1.0, 1.0], size=(gates, 1, (pairs + 1) // 2, 1))
        return np.asarray((coins * [1.0, -1.0]).reshape(gates, 1, -1)[..., :pairs])
    return np.broadcast_to(np.resize([1.0, -1.0] if order == "alternate" else [1.0], pairs), (gates, 1, pairs))


def paired(rng: np.random.Generator, shape: Shape, *, machine: Draw, order: str) -> Degradations:
    """Degradations between two equal revisions on a machine whose state changes, by the order of trials.

    Args:
        rng: Source of all draws.
        shape: Gates, metrics, pairs.
        machine: Draws the state of the machine at each trial.
        order: See :func:`draw_order`; or ``blocks``: all trials of the baseline before those of the candidate.
    """
    gates, metrics, pairs = shape
    state = machine(rng, (gates, metrics, 2 * pairs))
    if order == "blocks":
        degradations = state[..., pairs:] - state[..., :pairs]
    else:
        degradations = draw_order(rng, order, gates=gates, pairs=pairs) * (state[..., 1::2] - state[..., ::2])
    return standardised(degradations, variance=float(np.mean(degradations**2)))


# What a pair shows of its blocks: the log ratio of the two sums of their times


def blocks_in_turns(rng: np.random.Generator, shape: Shape) -> Degradations:
    """The revisions take turns, in the order B C C B or reversed, while the core changes its speed from one block to the next."""
    paces = _paces(rng, (*shape, 2 * NUM_BLOCKS)).reshape(*shape, NUM_BLOCKS // 2, 4)
    times = [
        _block_times(rng, paces[..., places].reshape(*shape, NUM_BLOCKS)).sum(axis=-1) * _process_effects(rng, shape)
        for places in ((0, 3), (1, 2))
    ]
    degradations = draw_order(rng, "couples", gates=shape[0], pairs=shape[2]) * np.log(times[1] / times[0])
    return standardised(degradations, variance=float(np.mean(degradations**2)))


def blocks_on_one_core(rng: np.random.Generator, shape: Shape) -> Degradations:
    """The revisions share a core; a block weighs by the inverse of the square of the time that a third loop took in it."""
    paces = _paces(rng, (*shape, NUM_BLOCKS))
    weights = (paces * rng.lognormal(sigma=0.1, size=paces.shape)) ** -2
    times = [
        np.sum(weights * _block_times(rng, paces), axis=-1) * _process_effects(rng, shape) for _ in ("base", "change")
    ]
    degradations = np.log(times[1] / times[0])
    return standardised(degradations, variance=float(np.mean(degradations**2)))


NUM_BLOCKS = 8
"""Blocks of each revision in a pair; more only make noise within a pair smaller beside that of a process."""


def _paces(rng: np.random.Generator, shape: tuple[int, ...]) -> Degradations:
    """Time that the same work takes, by block: three times as long in spells of about four blocks, a sixth of the time."""
    switches = rng.random(shape) < np.where(np.arange(shape[-1]) == 0, 0.0, 0.25)
    spells = np.cumsum(switches, axis=-1, dtype=np.intp)
    is_slow = rng.random(shape) < 1 / 6
    return np.where(np.take_along_axis(is_slow, spells, axis=-1), 3.0, 1.0)


def _block_times(rng: np.random.Generator, paces: Degradations) -> Degradations:
    """Times of the calls of one revision: one block in a hundred has a rare call that takes as long as the others together."""
    return np.asarray(
        paces * rng.lognormal(sigma=0.02, size=paces.shape) * np.where(rng.random(paces.shape) < 0.01, 2.0, 1.0)
    )


def _process_effects(rng: np.random.Generator, shape: Shape) -> Degradations:
    """How much slower a whole process is, such as by where its memory lies."""
    return rng.lognormal(sigma=0.01, size=shape)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A noise model.

    Attributes:
        draw: Draws degradations of equal revisions, of unit deviation and mean zero in the long run.
        is_covered: Whether degradations of equal revisions are symmetric and independent, by themselves or by the order
            of trials, so that the stated error rates must hold.
    """

    draw: Draw
    is_covered: bool = True


MACHINES: Mapping[str, Draw] = {
    "drift": drifting_machine,
    "warm-up": warming_machine,
    "bimodal": bimodal_machine,
    "skewed": skewed_machine,
    "loaded half-way": loaded_machine,
    "order effect": order_effect,
}

NOISE: Mapping[str, Noise] = {
    "normal": Noise(draw=normal),
    "heavy tails": Noise(draw=heavy_tails),
    "outliers": Noise(draw=outliers),
    "two states": Noise(draw=two_states),
    "rare explosions": Noise(draw=rare_explosions),
    "blocks in turns": Noise(draw=blocks_in_turns),
    "blocks on one core": Noise(draw=blocks_on_one_core),
    "skewed degradations": Noise(draw=skewed, is_covered=False),
    "slow candidate": Noise(draw=slow_candidate, is_covered=False),
    "slow baseline": Noise(draw=slow_baseline, is_covered=False),
    "dependent pairs": Noise(draw=dependent_pairs, is_covered=False),
    **{
        f"{name}, {order}": Noise(
            draw=partial(paired, machine=machine, order=order),
            is_covered=order == "couples" or (order == "coin" and name != "order effect"),
        )
        for name, machine in MACHINES.items()
        for order in ("couples", "coin", "alternate", "baseline first", "blocks")
    },
}


def draw_degradations(
    rng: np.random.Generator, noise: Noise, shape: Shape, *, correlation: float = 0.0
) -> Degradations:
    """Degradations of equal revisions whose metrics share a part of their noise.

    Args:
        rng: Source of all draws.
        noise: The model.
        shape: Gates, metrics, pairs.
        correlation: Between any two metrics of a gate.
    """
    own = noise.draw(rng, shape)
    if correlation == 0:
        return own
    shared = noise.draw(rng, (shape[0], 1, shape[2]))
    return np.asarray(np.sqrt(1 - correlation) * own + np.sqrt(correlation) * shared)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What simulated gates came to; the first axis of every array runs over gates.

    Attributes:
        fails: (gates, metrics)
        passes: (gates, metrics)
        low: (gates, metrics) lower bound of the interval when the metric was decided.
        high: (gates, metrics) upper bound.
        pairs_of_metric: (gates, metrics) pairs when each metric was decided, or at the last look.
    """

    fails: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    low: Degradations
    high: Degradations
    pairs_of_metric: NDArray[np.intp]

    @property
    def gate_fails(self) -> NDArray[np.bool_]:
        """(gates,) some metric failed."""
        return np.asarray(self.fails.any(axis=1))

    @property
    def gate_passes(self) -> NDArray[np.bool_]:
        """(gates,) every metric passed."""
        return np.asarray(self.passes.all(axis=1))

    @property
    def pairs(self) -> NDArray[np.intp]:
        """(gates,) pairs until the first fail, else until every metric was decided."""
        first_fail = np.where(self.fails, self.pairs_of_metric, np.iinfo(np.intp).max).min(axis=1)
        return np.asarray(np.minimum(first_fail, self.pairs_of_metric.max(axis=1)))


def draw_values(
    rng: np.random.Generator, noise: Noise, degradations: Degradations, *, correlation: float = 0.0
) -> Degradations:
    """Values of two equal revisions whose differences are these degradations: (2, gates, metrics, pairs).

    Each revision has half of the variance of a degradation, and which of the two is which makes no difference.

    Args:
        rng: Source of all draws.
        noise: The model of the degradations.
        degradations: Of equal revisions.
        correlation: Between any two metrics of a gate.
    """
    shared = draw_degradations(rng, noise, degradations.shape, correlation=correlation)
    return np.stack([shared - degradations, shared + degradations]) / 2


def explode(
    rng: np.random.Generator, values: Degradations, *, baseline: float, candidate: float, margin: float
) -> tuple[Degradations, Degradations]:
    """Degradations and values of two revisions of which some trials diverge.

    Args:
        rng: Source of all draws.
        values: (2, gates, metrics, pairs) of the trials if none diverged.
        baseline: Chance that a trial of the baseline diverges.
        candidate: The same of the candidate.
        margin: Of the metrics; a diverged trial is worse by some 16 to a million of it.
    """
    chances = np.array([baseline, candidate]).reshape(2, 1, 1, 1)
    sizes = margin * 10 ** rng.uniform(1.2, 6.0, size=values.shape)
    values = values + np.where(rng.random(values.shape) < chances, sizes, 0.0)
    return values[1] - values[0], values


def judge_gates(degradations: Degradations, *, values: Degradations | None, margin: float, design: Design) -> Verdicts:
    """Judge many gates at once by the functions that judge one.

    Args:
        degradations: (gates, metrics, pairs)
        values: (2, gates, metrics, pairs) of baseline and candidate; ``None`` judges degradations that are not capped.
        margin: Of every metric, on the scale of the degradations.
        design: Levels, looks and number of metrics.
    """
    gates, metrics, pairs = degradations.shape
    rows = gates * metrics
    evidence = weigh_evidence(
        list(degradations.reshape(rows, pairs)),
        levels=None if values is None else list(np.moveaxis(values.reshape(2, rows, pairs), 0, 1)),
        margins=np.full(rows, margin),
        resolutions=np.zeros(rows),
        design=design,
    )
    shape = (len(design.looks), gates, metrics)
    decisions = decide(evidence.p_values.reshape(*shape, -1), evidence.is_withheld.reshape(shape), design)
    low, high, _ = printed_interval(evidence, decisions.look.ravel(), decisions.fails.ravel(), design)
    return Verdicts(
        fails=decisions.fails,
        passes=decisions.passes,
        low=low.reshape(gates, metrics),
        high=high.reshape(gates, metrics),
        pairs_of_metric=np.asarray(design.looks)[decisions.look],
    )


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often something happened, with its 95 % interval (Clopper, Pearson)."""

    count: int
    n: int
    rate: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        interval = clopper_pearson_interval(self.count, self.n)
        object.__setattr__(self, "rate", self.count / self.n)
        object.__setattr__(self, "low", round(interval.low, 6))
        object.__setattr__(self, "high", round(interval.high, 6))

    @classmethod
    def of(cls, happened: ArrayLike) -> Rate:
        """How often it happened, of all values."""
        return cls(count=int(np.sum(happened)), n=np.size(happened))


@dataclass(frozen=True, kw_only=True)
class GateRates:
    """Rates of a simulated gate in which the first metric has a degradation and the others none.

    Attributes:
        fails: The gate failed.
        passes: The gate passed.
        harmed_passes: The metric with the degradation passed, whatever became of the others.
        unharmed_fails: Some metric without a degradation failed.
        covers: The interval of a metric held its true degradation; ``n`` counts metrics, which are not independent.
        mean_pairs: Pairs until the verdict of the gate.
    """

    fails: Rate
    passes: Rate
    harmed_passes: Rate
    unharmed_fails: Rate
    covers: Rate
    mean_pairs: float


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What to simulate.

    Attributes:
        noise: Name of the noise model.
        ratio: Margin over standard deviation of a degradation.
        degradation: True degradation of the first metric, in margins.
        num_metrics: K.
        correlation: Between any two metrics.
        design_options: Of :class:`~mainstay.gates.policy.Design`, where they differ from the defaults.
    """

    noise: str
    ratio: float
    degradation: float = 0.0
    num_metrics: int = 1
    correlation: float = 0.0
    design_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def design(self) -> Design:
        """Levels and looks."""
        return Design(num_gated=self.num_metrics, **self.design_options)


def simulate_gates(scenario: Scenario, *, num_gates: int, seed: int) -> GateRates:
    """Simulate many gates of one kind.

    Args:
        scenario: What to simulate.
        num_gates: How often.
        seed: Of all draws.
    """
    batches = [
        _simulate_batch(
            scenario, num_gates=min(GATES_PER_BATCH, num_gates - start), rng=np.random.default_rng([seed, start])
        )
        for start in range(0, num_gates, GATES_PER_BATCH)
    ]
    fails, passes, harmed_passes, unharmed_fails, covers, pairs = (
        np.concatenate(column) for column in zip(*batches, strict=True)
    )
    return GateRates(
        fails=Rate.of(fails),
        passes=Rate.of(passes),
        harmed_passes=Rate.of(harmed_passes),
        unharmed_fails=Rate.of(unharmed_fails),
        covers=Rate.of(covers),
        mean_pairs=round(float(pairs.mean()), 2),
    )


def _simulate_batch(scenario: Scenario, *, num_gates: int, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """Verdicts of a batch of gates, in the order of the fields of :class:`GateRates`."""
    design = scenario.design
    shape = (num_gates, scenario.num_metrics, design.max_pairs)
    noise = NOISE[scenario.noise]
    degradations = draw_degradations(rng, noise, shape, correlation=scenario.correlation)
    values = draw_values(rng, noise, degradations, correlation=scenario.correlation)
    truth = np.zeros((scenario.num_metrics, 1))
    truth[0] = scenario.degradation * scenario.ratio
    values[1] += truth
    verdicts = judge_gates(degradations + truth, values=values, margin=scenario.ratio, design=design)
    unharmed = verdicts.fails if scenario.degradation <= 0 else verdicts.fails[:, 1:]
    covers = (verdicts.low <= truth[:, 0]) & (truth[:, 0] <= verdicts.high)
    return (
        verdicts.gate_fails,
        verdicts.gate_passes,
        verdicts.passes[:, 0],
        np.asarray(unharmed.any(axis=1)),
        covers.ravel(),
        verdicts.pairs,
    )
