import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mainstay.stats.sequential import boundaries, intersect_intervals, look_weights, sequential_p_values

LOOKS = (5, 8, 12, 20)
p_values_of_looks = arrays(np.float64, (4, 3), elements=st.floats(0, 1))


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param(0.05, [3.50, 3.20, 2.72, 2.20], id="margin_level"),
        pytest.param(0.01, [5.60, 4.44, 3.62, 2.96], id="alpha"),
        pytest.param(0.01 / 2, [6.76, 5.04, 4.02, 3.27], id="alpha-of-2"),
        pytest.param(0.01 / 6, [9.03, 6.08, 4.68, 3.76], id="alpha-of-6"),
        pytest.param(0.01 / 12, [10.80, 6.81, 5.12, 4.06], id="alpha-of-12"),
        pytest.param(0.01 / 20, [12.31, 7.40, 5.45, 4.28], id="alpha-of-20"),
    ],
)
def test_published_boundaries(level, expected):
    assert boundaries(LOOKS, level=level).round(2).tolist() == expected


def test_two_equal_steps_take_half_the_level_each():
    """t at 0.5 % with 4 and 9 degrees: R. A. Fisher, F. Yates (1963), Statistical Tables, table III."""
    assert boundaries((5, 10), level=0.01).round(3).tolist() == [4.604, 3.250]


@given(st.sets(st.integers(2, 60), min_size=1, max_size=6).map(sorted), st.floats(1e-4, 0.2))
def test_boundaries_agree_with_scipy(looks, level):
    shares = np.diff(looks, prepend=0) / looks[-1]

    assert boundaries(looks, level=level) == pytest.approx(stats.t.isf(level * shares, np.array(looks) - 1), rel=1e-7)


@given(arrays(np.float64, st.integers(1, 6), elements=st.floats(0, 1)))
def test_equal_steps_are_bonferroni_of_statsmodels(p_values):
    weights = look_weights(range(3, 3 * len(p_values) + 3, 3))

    sequential = sequential_p_values(p_values, weights)

    assert sequential[-1] == pytest.approx(multipletests(p_values, method="bonferroni")[1].min(), rel=1e-12)


@given(p_values_of_looks, st.integers(1, 3))
def test_what_earlier_looks_said_does_not_depend_on_later_ones(p_values, num_looks):
    weights = look_weights(LOOKS)

    early = sequential_p_values(p_values[:num_looks], weights[:num_looks])

    np.testing.assert_array_equal(sequential_p_values(p_values, weights)[:num_looks], early)


@pytest.mark.parametrize("looks", [(5,), (5, 8, 12, 20), (5, 8, 12, 20, 30, 45), (2, 3)])
def test_weights_share_out_the_whole_error(looks):
    assert look_weights(looks).sum() == pytest.approx(1)


@pytest.mark.parametrize("looks", [(), (1, 5), (5, 5), (8, 5), (0, 4)])
def test_looks_that_cannot_be_taken_are_refused(looks):
    with pytest.raises(ValueError, match="looks must increase"):
        look_weights(looks)


def test_a_p_value_at_its_boundary_is_the_level():
    weights = look_weights(LOOKS)

    assert sequential_p_values(0.01 * weights, weights).tolist() == pytest.approx([0.01] * 4)


@given(p_values_of_looks)
def test_sequential_p_values_only_fall_and_stay_in_the_unit_interval(p_values):
    sequential = sequential_p_values(p_values, look_weights(LOOKS))

    assert ((sequential >= 0) & (sequential <= 1)).all()
    assert (np.diff(sequential, axis=0) <= 0).all()


@given(p_values_of_looks)
def test_sequential_p_values_are_never_below_the_plain_ones(p_values):
    sequential = sequential_p_values(p_values, look_weights(LOOKS))

    assert (sequential >= np.minimum.accumulate(p_values, axis=0)).all()


@given(p_values_of_looks)
def test_each_column_is_judged_on_its_own(p_values):
    weights = look_weights(LOOKS)

    apart = [sequential_p_values(column, weights) for column in p_values.T]

    np.testing.assert_array_equal(sequential_p_values(p_values, weights), np.stack(apart, axis=1))


def test_uniform_p_values_reject_at_most_at_the_level():
    p_values = np.random.default_rng(0).uniform(size=(4, 200_000))

    rejected = (sequential_p_values(p_values, look_weights(LOOKS))[-1] <= 0.05).mean()

    assert 0.047 < rejected < 0.0501  # independent looks spend nearly all of it


def test_intersection_keeps_only_what_no_look_excludes():
    low, high = intersect_intervals([0.0, 1.0, 0.5], [5.0, 6.0, 4.0])

    assert (low[-1], high[-1]) == (1.0, 4.0)


@given(arrays(np.float64, (4, 2), elements=st.floats(-9, 9)), st.floats(-9, 9))
def test_intersection_holds_exactly_what_every_interval_holds(bounds, value):
    lows, highs = bounds.min(axis=1), bounds.max(axis=1)

    low, high = intersect_intervals(lows, highs)

    assert (low[-1] <= value <= high[-1]) == ((lows <= value) & (value <= highs)).all()


def test_contradicting_looks_leave_nothing():
    low, high = intersect_intervals([0.0, 3.0], [1.0, 4.0])

    assert low[-1] > high[-1]
