"""How many items an evaluation needs, and which margins a number of items supports: published tables and laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.stats.flips import flip_p_values, null_deviation, score_statistic
from mainstay.stats.items import NullTest, items_to_settle, smallest_flip_margin, smallest_margin

TABLE = {164: (4.0, 5.5, 7.3, 8.8), 300: (2.8, 3.8, 5.0, 6.3), 1319: (1.0, 1.8, 2.5, 3.0), 14042: (0.3, 0.5, 0.7, 0.9)}
"""Smallest margins in points that were found on a grid by exact sums, at 1, 3, 6 and 10 % of flips."""


@pytest.mark.parametrize("num_items", TABLE)
def test_smallest_margins_are_those_of_exact_sums(num_items):
    margins = [100 * smallest_flip_margin(num_items, flips) for flips in (0.01, 0.03, 0.06, 0.1)]

    assert margins == pytest.approx(TABLE[num_items], abs=0.25)


@pytest.mark.parametrize(("num_items", "flips"), [(300, 0.06), (1319, 0.03)])
def test_a_clean_change_passes_at_its_smallest_margin_and_not_at_half_of_it(num_items, flips):
    rng = np.random.default_rng(1)
    tables = rng.multinomial(num_items, [flips / 2, flips / 2, 1 - flips], 400)

    def passes(margin):
        return np.mean(
            [
                flip_p_values(lost, gained, num_items, margin).below <= 0.05
                and flip_p_values(lost, gained, num_items, 2 * margin).below <= 0.01
                for lost, gained, _ in tables.tolist()
            ]
        )

    honest = smallest_flip_margin(num_items, flips)
    assert passes(honest) == pytest.approx(0.95, abs=0.04)
    assert passes(honest / 2) < 0.6


@given(num_items=st.integers(30, 100_000), flips=st.floats(0, 0.3))
def test_more_items_support_no_wider_margin(num_items, flips):
    few, many = smallest_flip_margin(num_items, flips), smallest_flip_margin(2 * num_items, flips)

    assert few is None or many <= few


def test_few_items_of_much_noise_support_no_margin():
    assert smallest_flip_margin(5, 1.0) is None


def test_a_margin_without_a_range_grows_with_the_noise():
    def smallest(deviation):
        return smallest_margin(1000, deviation, lambda _: deviation, score_range=math.inf)

    assert smallest(2.0) == pytest.approx(2 * smallest(1.0))


@given(lost=st.integers(0, 60), gained=st.integers(0, 60), difference=st.floats(0.001, 0.4))
def test_deviation_under_the_null_is_that_of_the_score_statistic(lost, gained, difference):
    deviation = null_deviation(lost / 200, gained / 200, difference)

    excess = (lost - gained) / 200 - difference
    assert excess * math.sqrt(200) / deviation == pytest.approx(
        score_statistic(lost, gained, 200, difference), abs=1e-6
    )


def test_a_mean_on_a_null_value_is_settled_by_no_number():
    assert items_to_settle(0.02, [NullTest(0.02, 0.05, 0.2)]) is None
    assert items_to_settle(0.02 - 1e-7, [NullTest(0.02, 0.05, 0.2)]) is None


def test_the_stricter_test_decides_how_many_are_needed():
    near, far = NullTest(0.02, 0.05, 0.2), NullTest(0.04, 0.01, 0.9)

    both = items_to_settle(0.0, [near, far])

    assert both == max(items_to_settle(0.0, [near]), items_to_settle(0.0, [far]))
