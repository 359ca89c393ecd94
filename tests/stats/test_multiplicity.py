import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.multitest import multipletests

from mainstay.stats.multiplicity import holm_adjusted, holm_rejections

family = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


THROMBOLYSIS = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000),
]
"""Fifteen comparisons of two treatments: Y. Benjamini, Y. Hochberg (1995), J. R. Statist. Soc. B 57, 289-300."""


def test_published_example_keeps_three_of_fifteen():
    rejected = holm_rejections(THROMBOLYSIS, family_size=15, level=0.05)

    assert np.flatnonzero(rejected).tolist() == [0, 1, 2]


def test_steps_by_hand():
    assert holm_adjusted([0.03, 0.005, 0.04, 0.01], family_size=4).tolist() == pytest.approx([0.06, 0.02, 0.06, 0.03])


@settings(max_examples=20)  # statsmodels is slow
@given(family)
def test_adjusted_values_agree_with_statsmodels(p_values):
    expected = multipletests(p_values, method="holm")[1]

    np.testing.assert_allclose(holm_adjusted(p_values, family_size=len(p_values)), expected, rtol=1e-12)


@given(family, st.integers(1, 8))
def test_missing_metrics_count_as_a_p_value_of_one(p_values, num_missing):
    padded = np.concatenate([p_values, np.ones(num_missing)])

    adjusted = holm_adjusted(p_values, family_size=len(padded))

    # whose own values agree with statsmodels
    np.testing.assert_allclose(adjusted, holm_adjusted(padded, family_size=len(padded))[: len(p_values)], rtol=1e-12)


@given(family, st.data())
def test_a_smaller_p_value_never_takes_a_rejection_away(p_values, data):
    index = data.draw(st.integers(0, len(p_values) - 1))
    smaller = p_values.copy()
    smaller[index] *= data.draw(st.floats(0, 1))

    before = holm_adjusted(p_values, family_size=len(p_values))
    after = holm_adjusted(smaller, family_size=len(p_values))

    assert (after <= before + 1e-15).all()


@given(family, st.randoms(use_true_random=False))
def test_order_of_metrics_is_irrelevant(p_values, random):
    order = random.sample(range(len(p_values)), len(p_values))

    shuffled = holm_adjusted(p_values[order], family_size=len(p_values))

    np.testing.assert_array_equal(shuffled, holm_adjusted(p_values, family_size=len(p_values))[order])


@given(arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_families_on_leading_axes_are_apart(p_values):
    apart = [holm_adjusted(row, family_size=5) for row in p_values]

    np.testing.assert_array_equal(holm_adjusted(p_values, family_size=5), apart)


def test_more_p_values_than_hypotheses_are_refused():
    with pytest.raises(ValueError, match="family of 1 cannot have 2"):
        holm_adjusted([0.1, 0.2], family_size=1)


def test_an_empty_family_rejects_nothing():
    assert holm_rejections([], family_size=3, level=0.05).tolist() == []
