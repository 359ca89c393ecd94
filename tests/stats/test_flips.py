"""P-values of paired proportions: published values, brute force, laws and exact levels."""

import math
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from mainstay.stats.flips import FEW_FLIPS, flip_p_values, score_statistic


def test_tango_s_published_example():
    """Tango (1998), the crossover trial of soft lenses: 44 pairs, one of them worse, equivalence limit 0.1."""
    assert -score_statistic(1, 0, 44, 0.1) == pytest.approx(1.709, abs=5e-4)


@given(lost=st.integers(0, 60), gained=st.integers(0, 60))
def test_at_a_null_of_nothing_it_is_mcnemar_s_exact_test(lost, gained):
    above, below = flip_p_values(lost, gained, 200, 0.0)

    two_sided = mcnemar([[40, lost], [gained, 40]], exact=True).pvalue
    assert min(1.0, 2 * min(above, below)) == pytest.approx(two_sided)


@pytest.mark.parametrize(("margin", "fewest"), [(0.05, 59), (0.02, 149), (0.01, 299), (0.005, 599)])
def test_without_a_flip_a_pass_needs_enough_items_to_have_seen_the_margin(margin, fewest):
    assert flip_p_values(0, 0, fewest, margin).below <= 0.05
    assert flip_p_values(0, 0, fewest - 2, margin).below > 0.05


@pytest.mark.parametrize("num_items", [50, 100, 400])
def test_more_lost_items_are_more_evidence_of_a_degradation(num_items):
    values = {
        (lost, gained): flip_p_values(lost, gained, num_items, 0.02) for lost in range(22) for gained in range(21)
    }

    for (lost, gained), fewer in values.items():
        more = values.get((lost + 1, gained), fewer)
        # the set of nuisance values that is searched moves with the flips, which shows where nothing can be excluded
        assert more.above <= fewer.above + 1e-3
        assert min(float(more.below), 0.5) >= min(float(fewer.below), 0.5) - 1e-3


def test_a_larger_null_is_easier_to_exclude():
    for lost in range(0, 41, 2):
        for gained in range(0, 41, 2):
            small, large = (flip_p_values(lost, gained, 1000, null) for null in (0.02, 0.04))
            assert large.below <= small.below + 1e-3


@cache
def decides(lost, gained, num_items, null, side, level):
    return getattr(flip_p_values(lost, gained, num_items, null), side) <= level


def rejection_rate(num_items, null, flips, side, level):
    """Chance of a rejection at a true difference of the null, summed over all likely tables."""
    degradation_rate, gain_rate = flips / 2 + null, flips / 2
    rate = 0.0
    for lost in range(num_items + 1):
        for gained in range(num_items + 1 - lost):
            kept = num_items - lost - gained
            log_ways = math.lgamma(num_items + 1) - sum(math.lgamma(count + 1) for count in (lost, gained, kept))
            chance = math.exp(
                log_ways
                + lost * math.log(degradation_rate)
                + gained * math.log(gain_rate)
                + kept * math.log1p(-degradation_rate - gain_rate)
            )
            if chance > 1e-7 and decides(lost, gained, num_items, null, side, level):
                rate += chance
    return rate


@pytest.mark.parametrize(
    ("side", "factor", "level"), [("below", 1, 0.05), ("below", 2, 0.01), ("above", 1, 0.05)], ids=str
)
@pytest.mark.parametrize("flips", [0.002, 0.01, 0.03, 0.1])
def test_levels_hold_at_few_flips(side, factor, level, flips):
    assert rejection_rate(100, factor * 0.02, flips, side, level) <= level


def test_the_two_ways_agree_where_they_meet():
    exact = flip_p_values(FEW_FLIPS - 11, 10, 1400, 0.02)
    normal = flip_p_values(FEW_FLIPS - 10, 10, 1400, 0.02)

    assert exact.below == pytest.approx(normal.below, abs=0.02)


@pytest.mark.parametrize(("lost", "gained", "num_items"), [(-1, 0, 10), (6, 5, 10), (0, 0, 0)])
def test_counts_that_do_not_fit_are_refused(lost, gained, num_items):
    with pytest.raises(ValueError, match="do not fit"):
        flip_p_values(lost, gained, num_items, 0.02)


def test_a_null_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="null difference"):
        flip_p_values(0, 0, 10, 1.0)
