"""Simulated evaluations whose scores are judged by their mean: repeats, shares, clusters.

How the published tables were drawn is told there in a line; what was drawn here is told by each generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation_draws import ACCURACY, SEED, compare, draw, rate, verdicts
from experiments.provenance import Row
from mainstay.stats.scores import excludes_whole_clusters, score_p_values, summarise_differences

MARGIN = 0.02
PUBLISHED_DRAWS = 1_500
"""Fewest draws behind a published level of this kind."""

Differences = NDArray[np.float64]
Generator = Callable[[np.random.Generator, float], Differences]
"""Draws the differences of all items at a true degradation."""


class Published(NamedTuple):
    """Published percentages; ``None`` where none was published.

    Attributes:
        margin: Passes at a degradation of the margin, by the test at the margin.
        double: Passes at twice the margin, by the test there.
        clean: Passes without a degradation, by both.
        fail: Fails at a degradation of the margin, by the test at the margin.
        zero: Fails without a degradation, by the test at zero.
        plain: The first two for Student's t with the variance that was seen.
    """

    margin: float | tuple[float, float]
    double: float | tuple[float, float]
    clean: float | None = None
    fail: float | None = None
    zero: float | None = None
    plain: tuple[float, float] | tuple[None, None] = (None, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanDesign:
    """One way to draw evaluations.

    Attributes:
        name: What it is.
        generate: Draws differences.
        published: What was published for it.
        sizes: Sizes of the clusters; ``None`` without clusters.
        is_said_to_break: Whether it was published as one where the levels do not hold.
    """

    name: str
    generate: Generator
    published: Published
    sizes: NDArray[np.intp] | None = None
    is_said_to_break: bool = False


def repeated(accuracy: float, flips: float, repeats: int, num_items: int = 300) -> Generator:
    """Items with a chance of their own to be answered rightly, from a beta distribution; a degradation loses items wholly.

    Args:
        accuracy: Mean chance.
        flips: Share of the items that one repeat flips against another of the same revision.
        repeats: Repeats of each side.
        num_items: Number of items.
    """
    total = 1 / (2 * accuracy * (1 - accuracy) / flips - 1)

    def generate(rng: np.random.Generator, degradation: float) -> Differences:
        before = rng.beta(accuracy * total, (1 - accuracy) * total, num_items)
        after = np.where(rng.random(num_items) < degradation / accuracy, 0.0, before)
        return np.asarray((rng.binomial(repeats, before) - rng.binomial(repeats, after)) / repeats, dtype=np.float64)

    return generate


def normal(num_items: int = 300) -> Generator:
    """Differences with a standard deviation of 0.1, all shifted by a degradation."""
    return lambda rng, degradation: rng.normal(degradation, 0.1, num_items)


def mostly_equal(num_items: int = 300) -> Generator:
    """One item in ten differs, with a standard deviation of 0.37; these alone carry a degradation."""

    def generate(rng: np.random.Generator, degradation: float) -> Differences:
        return np.where(rng.random(num_items) < 0.1, rng.normal(10 * degradation, 0.37, num_items), 0.0)

    return generate


def collapsing(num_items: int = 300) -> Generator:
    """A noise of 0.01; a degradation is made of items that lose 0.8 each: at 2 points, 2.5 % of them."""

    def generate(rng: np.random.Generator, degradation: float) -> Differences:
        lost = np.where(rng.random(num_items) < degradation / 0.8, 0.8, 0.0)
        return np.asarray(rng.normal(lost, 0.01), dtype=np.float64)

    return generate


def equal_sizes(num_items: int, size: int) -> NDArray[np.intp]:
    """Sizes of clusters that are all equal but for a last smaller one."""
    rest = [num_items % size] if num_items % size else []
    return np.array([size] * (num_items // size) + rest, dtype=np.intp)


def lognormal_sizes(num_items: int, num_clusters: int) -> NDArray[np.intp]:
    """Sizes of clusters from a standard lognormal distribution, at least 1 each."""
    raw = np.exp(np.random.default_rng(SEED).standard_normal(num_clusters))
    ends = np.round(np.cumsum(raw) / raw.sum() * (num_items - num_clusters)).astype(np.intp)
    return np.asarray(np.diff(ends, prepend=0) + 1, dtype=np.intp)


def clustered(sizes: NDArray[np.intp], share: float, *, flips: float = 0.03, is_loss_whole: bool = False) -> Generator:
    """A share of the clusters moves as one, with one outcome for all of its items; the items of the others move alone.

    Args:
        sizes: Sizes of the clusters.
        share: The share that moves as one.
        flips: Share of the outcomes that are losses and gains, half each.
        is_loss_whole: Whether a degradation consists of wholly lost clusters; otherwise it adds to the losses of both
            kinds alike.
    """
    members = np.repeat(np.arange(sizes.size), sizes)

    def outcomes(rng: np.random.Generator, lost: float, size: int) -> Differences:
        uniform = rng.random(size)
        return np.asarray((uniform < lost) * 1.0 - (uniform > 1 - flips / 2), dtype=np.float64)

    def generate(rng: np.random.Generator, degradation: float) -> Differences:
        lost = flips / 2 + (0.0 if is_loss_whole else degradation)
        alone, together = outcomes(rng, lost, members.size), outcomes(rng, lost, sizes.size)
        moves_as_one = rng.random(sizes.size) < share
        moved = np.where(moves_as_one[members], together[members], alone)
        if not is_loss_whole:
            return np.asarray(moved)
        return np.where((rng.random(sizes.size) < degradation)[members], 1.0, moved)

    return generate


def _clusters(
    told: str, sizes: NDArray[np.intp], share: float, published: Published, *, breaks: bool = False
) -> Iterator[MeanDesign]:
    """A design of clusters; if it is said to break, also with a degradation of whole clusters alone."""
    name = f"{sizes.sum():,} items in {sizes.size} clusters {told}, {100 * share:g} % move as one"
    for is_loss_whole in (False, True) if breaks else (False,):
        yield MeanDesign(
            name=name + (", lost clusters alone" if is_loss_whole else ""),
            generate=clustered(sizes, share, is_loss_whole=is_loss_whole),
            published=published,
            sizes=sizes,
            is_said_to_break=breaks,
        )


TWENTY, SIXTY_FIVE = equal_sizes(5000, 20), equal_sizes(1300, 20)
FOURS, FEW_LOGNORMAL, MANY_LOGNORMAL = equal_sizes(1319, 4), lognormal_sizes(1319, 164), lognormal_sizes(5000, 625)

DESIGNS: tuple[MeanDesign, ...] = (
    *(
        MeanDesign(
            name=f"300 items, accuracy {accuracy:g}, {repeats} repeat{'s' if repeats > 1 else ''}",
            generate=repeated(accuracy, flips, repeats),
            published=published,
        )
        for accuracy, flips, repeats, published in (
            (0.9, 0.06, 1, Published(2.7, 0.3, 30, 5.0, 1.1, plain=(5.3, 1.2))),
            (0.99, 0.01, 1, Published(1.3, 0.3, 63, plain=(7.5, 2.7))),
            (0.99, 0.01, 4, Published(0.4, 0.4, 48, plain=(9.0, 3.1))),
            (0.9, 0.06, 4, Published(4.5, 0.6, 82, plain=(7.1, 1.8))),
            (0.9, 0.06, 16, Published(3.2, 1.1, 100, plain=(8.9, 2.6))),
        )
    ),
    MeanDesign(
        name="300 shares, deviation 0.1", generate=normal(), published=Published(4.0, 0.8, 96, plain=(4.6, 1.0))
    ),
    MeanDesign(
        name="300 shares, 90 % equal", generate=mostly_equal(), published=Published(4.4, 0.9, 83, plain=(8.2, 2.7))
    ),
    MeanDesign(
        name="300 shares, 2.5 % collapse", generate=collapsing(), published=Published(0.1, 1.0, 100, plain=(10, 2.9))
    ),
    *_clusters("of 4", FOURS, 0.1, Published(4.2, 1.4, 95, 3.5, 0.7, plain=(6.8, 2.4))),
    *_clusters("of 4", FOURS, 0.3, Published(3.9, 1.6, 81, 2.7, 0.8)),
    *_clusters("of many sizes", FEW_LOGNORMAL, 0.0, Published(3.0, 0.3, 97)),
    *_clusters("of many sizes", FEW_LOGNORMAL, 0.1, Published(5.5, 1.4, 80, plain=(10, 4.6))),
    *_clusters("of 20", SIXTY_FIVE, 0.3, Published(18, 14, fail=0.4), breaks=True),
    *_clusters("of 20", TWENTY, 0.1, Published((8, 11), (3, 7)), breaks=True),
    *_clusters("of 20", TWENTY, 0.3, Published((8, 11), (3, 7)), breaks=True),
    *_clusters("of many sizes", MANY_LOGNORMAL, 0.1, Published((8, 11), (3, 7)), breaks=True),
    *_clusters("of many sizes", MANY_LOGNORMAL, 0.3, Published((8, 11), (3, 7)), breaks=True),
)


def mean_levels(draws: int) -> Iterator[Row]:
    """Levels of the tests of a mean where their hypotheses are just true, and how often a clean change passes."""
    for number, design in enumerate(DESIGNS):
        rng = np.random.default_rng([SEED, 5, number])
        clusters = None if design.sizes is None else np.repeat(np.arange(design.sizes.size), design.sizes)
        clean, at_margin, at_double = (
            _evidence(rng, design.generate, factor * MARGIN, clusters, draws) for factor in (0, 1, 2)
        )
        published = design.published

        def beside(hits: NDArray[np.bool_], figure: float | tuple[float, float] | None) -> Row:
            return compare(hits, figure, published_draws=PUBLISHED_DRAWS)

        row: Row = {
            "design": design.name,
            "margin": MARGIN,
            "published_as_broken": design.is_said_to_break,
            "pass_at_margin": beside(at_margin["below_margin"] <= 0.05, published.margin),
            "pass_at_double_margin": beside(at_double["below_double"] <= 0.01, published.double),
            "fail_at_margin": beside(at_margin["above_margin"] <= 0.05, published.fail),
            "fail_at_zero": beside(clean["above_zero"] <= 0.01, published.zero),
            "clean_passes": beside((clean["below_margin"] <= 0.05) & (clean["below_double"] <= 0.01), published.clean),
            "plain_t_pass_at_margin": beside(at_margin["above_margin"] >= 0.95, published.plain[0]),
            "plain_t_pass_at_double_margin": beside(at_double["above_double"] >= 0.99, published.plain[1]),
        }
        passes = at_margin["below_margin"] <= 0.05
        if clusters is not None and passes.any():
            row["passes_at_margin_that_warn"] = rate(at_margin["is_warned"][passes] > 0)
        yield row


TESTS = ("above_zero", "above_margin", "below_margin", "below_double", "above_double", "is_warned")


def _evidence(
    rng: np.random.Generator, generate: Generator, degradation: float, clusters: NDArray[np.intp] | None, draws: int
) -> dict[str, NDArray[np.float64]]:
    """P-values of each draw, and whether its report says that whole clusters are not excluded."""
    rows = np.empty((draws, len(TESTS)))
    for index in range(draws):
        summary = summarise_differences(generate(rng, degradation), score_range=1.0, clusters=clusters)
        zero, at_margin, double = (score_p_values(summary, c * MARGIN, score_range=1.0) for c in (0, 1, 2))
        is_warned = not excludes_whole_clusters([summary], MARGIN, score_range=1.0)
        rows[index] = zero.above, at_margin.above, at_margin.below, double.below, double.above, is_warned
    return dict(zip(TESTS, rows.T, strict=True))


PUBLISHED_REPEATS: dict[float, tuple[float, ...]] = {
    0.015: (88, 99, 100, 100),
    0.03: (66, 86, 99, 100),
    0.06: (43, 61, 89, 99),
}
"""Percent of clean changes that pass with 1, 2, 4 and 8 repeats, by the flips of the baseline against itself."""


def repeats(draws: int) -> Iterator[Row]:
    """What repeats bring where all flips are the model's own: 1,319 items, a margin of 1 point."""
    margin = 0.01
    for number, (flips, published) in enumerate(PUBLISHED_REPEATS.items()):
        rng = np.random.default_rng([SEED, 6, number])
        for num_repeats, percent in zip((1, 2, 4, 8), published, strict=True):
            if num_repeats == 1:
                passes, _ = verdicts(draw(rng, 1319, flips, 0.0, draws), 1319, margin)
            else:
                generate = repeated(ACCURACY, flips, num_repeats, 1319)
                passes = np.array([_passes(generate(rng, 0.0), margin) for _ in range(draws)])
            yield {
                "items": 1319,
                "margin": margin,
                "flips_of_the_baseline": flips,
                "repeats": num_repeats,
                "clean_passes": compare(passes, percent, published_draws=2_000),
            }


def _passes(differences: Differences, margin: float) -> bool:
    """Whether both tests of a pass reject."""
    summary = summarise_differences(differences, score_range=1.0)
    at_margin, double = (score_p_values(summary, c * margin, score_range=1.0).below for c in (1, 2))
    return bool(at_margin <= 0.05 and double <= 0.01)
