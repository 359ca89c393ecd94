import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW
from statsmodels.tsa.stattools import acf

from mainstay.stats.paired import (
    lag_one_correlation,
    mean_interval,
    moments,
    one_sided_p_values,
    skewness,
    student_quantile,
    summarise_pairs,
)

STUDENT_SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Additional hours of sleep of ten patients by one isomer against the other: Student (1908), Biometrika 6, 20."""

degradations_of_a_metric = arrays(
    np.float64, st.integers(3, 30), elements=st.floats(-100, 100, allow_subnormal=False).map(lambda x: round(x, 3))
)


def p_values(degradations, null=0.0, resolution=1e-3):
    above, below = one_sided_p_values(summarise_pairs(degradations, resolution=resolution), null)
    return float(above), float(below)


def test_sleep_data_of_student():
    summary = summarise_pairs(STUDENT_SLEEP)
    above, _ = one_sided_p_values(summary, 0.0)

    assert summary.mean == pytest.approx(1.58)
    assert summary.deviation * np.sqrt(9 / 10) == pytest.approx(1.17, abs=0.005)  # Student divides by n
    assert summary.mean / summary.standard_error == pytest.approx(4.0621, abs=5e-5)
    assert 1 / above == pytest.approx(666, rel=0.07)  # "the odds are about 666 to 1", from his table of four digits


@pytest.mark.parametrize("null", [-1.0, 0.0, 0.3])
@pytest.mark.parametrize("num_pairs", [2, 5, 8, 45])
def test_p_values_agree_with_scipy(null, num_pairs):
    degradations = np.random.default_rng(num_pairs).normal(0.2, 1.0, size=(7, num_pairs))

    above, below = one_sided_p_values(summarise_pairs(degradations), null)

    np.testing.assert_allclose(
        above, stats.ttest_1samp(degradations, null, axis=1, alternative="greater").pvalue, rtol=1e-9
    )
    np.testing.assert_allclose(
        below, stats.ttest_1samp(degradations, null, axis=1, alternative="less").pvalue, rtol=1e-9
    )


def test_interval_agrees_with_statsmodels():
    degradations = np.random.default_rng(3).standard_t(3, size=12)

    low, high = mean_interval(summarise_pairs(degradations), level=0.02)

    assert (low, high) == pytest.approx(DescrStatsW(degradations).tconfint_mean(alpha=0.04), rel=1e-9)


@pytest.mark.parametrize("level", [1e-9, 0.01 / 20 * 0.15, 0.05, 0.4])
@pytest.mark.parametrize("degrees", [1, 4, 7, 19, 44])
def test_quantile_agrees_with_scipy(level, degrees):
    assert student_quantile(level, degrees) == pytest.approx(stats.t.isf(level, degrees), rel=1e-7)


def test_tail_keeps_its_digits_far_out():
    degradations = [9.9, 10.0, 10.1, 10.0, 9.95, 10.05] * 5

    above, _ = one_sided_p_values(summarise_pairs(degradations), 0.0)

    assert 0 < above == pytest.approx(stats.ttest_1samp(degradations, 0.0, alternative="greater").pvalue, rel=1e-6)


def test_equal_degradations_have_the_deviation_of_rounding():
    summary = summarise_pairs([0.001] * 5, resolution=1e-4)

    assert summary.deviation == pytest.approx(0.41e-4)


def test_rounding_deviation_is_that_of_a_difference_of_two_rounded_values():
    values = np.random.default_rng(0).uniform(0, 100, size=(2, 200_000))
    rounding = np.round(values) - values

    assert (rounding[0] - rounding[1]).std() == pytest.approx(0.408, abs=0.005)


def test_noise_above_the_floor_is_left_alone():
    degradations = np.random.default_rng(0).normal(size=12)

    assert summarise_pairs(degradations, resolution=0.1).deviation == pytest.approx(degradations.std(ddof=1))


@pytest.mark.parametrize(
    ("degradation", "null"), [(0.1, -1.0), (0.1, 0.0), (0.1, 0.1), (0.1, 0.5), (0.0, 0.0), (0.0, 2.0), (0.0, -40.0)]
)
def test_equal_degradations_without_resolution_give_finite_p_values(degradation, null):
    above, below = one_sided_p_values(summarise_pairs([degradation] * 8), null)

    assert 0 <= above <= 1
    assert above + below == pytest.approx(1)


@pytest.mark.parametrize("degradations", [[], [1.0]])
def test_fewer_than_two_pairs_have_no_deviation(degradations):
    with pytest.raises(ValueError, match="at least 2 pairs"):
        summarise_pairs(degradations)


@given(degradations_of_a_metric, st.floats(-50, 50))
def test_p_values_lie_in_the_unit_interval(degradations, null):
    above, below = p_values(degradations, null)

    assert 0 <= above <= 1
    assert above + below == pytest.approx(1)


@given(degradations_of_a_metric)
def test_swapping_the_revisions_swaps_the_p_values(degradations):
    above, below = p_values(degradations)
    swapped_above, swapped_below = p_values(-degradations)

    assert (above, below) == pytest.approx((swapped_below, swapped_above), rel=1e-9)


@given(degradations_of_a_metric, st.floats(0, 20).map(lambda x: round(x, 3)))
def test_a_larger_degradation_is_stronger_evidence(degradations, shift):
    before, after = p_values(degradations), p_values(degradations + shift)

    assert after[0] <= before[0] * (1 + 1e-6) + 1e-12
    assert after[1] >= before[1] * (1 - 1e-6) - 1e-12


@given(degradations_of_a_metric, st.floats(-50, 50).map(lambda x: round(x, 3)))
def test_adding_a_constant_to_degradations_and_null_changes_nothing(degradations, constant):
    assert p_values(degradations) == pytest.approx(p_values(degradations + constant, constant), rel=1e-4, abs=1e-9)


@given(degradations_of_a_metric, st.randoms(use_true_random=False))
def test_order_of_pairs_is_irrelevant_within_a_look(degradations, random):
    shuffled = random.sample(degradations.tolist(), len(degradations))

    assert p_values(degradations) == pytest.approx(p_values(shuffled), rel=1e-6, abs=1e-12)


@given(degradations_of_a_metric, st.floats(0.001, 0.4))
def test_interval_holds_the_null_values_that_are_not_rejected(degradations, level):
    summary = summarise_pairs(degradations, resolution=1e-3)
    low, high = mean_interval(summary, level=level)

    assert one_sided_p_values(summary, low).above == pytest.approx(level, rel=1e-5)
    assert one_sided_p_values(summary, high).below == pytest.approx(level, rel=1e-5)


def test_lag_one_correlation_tells_drift_from_independence():
    rng = np.random.default_rng(1)
    drifting = np.cumsum(rng.normal(size=200))

    assert lag_one_correlation(drifting) > 0.8
    assert abs(lag_one_correlation(rng.normal(size=5_000))) < 0.05


def test_lag_one_correlation_agrees_with_statsmodels():
    degradations = np.random.default_rng(6).normal(size=25).cumsum()

    assert lag_one_correlation(degradations) == pytest.approx(acf(degradations, nlags=1)[1])


@pytest.mark.parametrize("degradations", [[], [1.0], [2.0, 2.0, 2.0]])
def test_lag_one_correlation_of_nothing_to_correlate_is_zero(degradations):
    assert lag_one_correlation(degradations) == 0.0


def test_skewness_agrees_with_scipy():
    degradations = np.random.default_rng(5).lognormal(size=20)

    assert skewness(degradations) == pytest.approx(stats.skew(degradations))
    assert skewness([1.0, 1.0, 1.0]) == 0.0


LARGEST = np.finfo(np.float64).max
finite_degradations = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=12)


@given(finite_degradations)
def test_finite_degradations_have_a_finite_summary(degradations):
    summary = summarise_pairs(degradations)

    assert np.isfinite(summary.mean)
    assert 0 < summary.deviation <= LARGEST
    assert min(degradations) <= summary.mean <= max(degradations) or summary.mean == pytest.approx(
        degradations[0], rel=1e-12
    )
    for p_value in one_sided_p_values(summary, 1.0):
        assert 0 <= p_value <= 1
    assert not np.isnan(mean_interval(summary, level=0.01)).any()


@given(finite_degradations)
def test_finite_degradations_can_be_diagnosed(degradations):
    assert np.isfinite(lag_one_correlation(degradations))
    assert np.isfinite(skewness(degradations))


@given(degradations_of_a_metric, st.integers(-200, 200))
def test_moments_follow_a_power_of_two_exactly(degradations, exponent):
    plain, scaled = moments(degradations), moments(np.ldexp(degradations, exponent))

    assert scaled.mean == pytest.approx(np.ldexp(plain.mean, exponent), rel=1e-12, abs=0)
    assert scaled.deviation == pytest.approx(np.ldexp(plain.deviation, exponent), rel=1e-12, abs=0)


def test_moments_of_huge_numbers_do_not_overflow():
    mean, deviation = moments([1.5e308, 1.5e308, -1.5e308, -1.5e308])

    assert mean == 0
    assert deviation == pytest.approx(1.5e308 * np.sqrt(4 / 3), rel=1e-12)


def test_a_deviation_beyond_all_numbers_is_the_largest():
    assert moments([LARGEST, -LARGEST]).deviation == LARGEST


def test_a_single_number_has_no_deviation():
    assert [float(moment) for moment in moments([3.0])] == [3.0, 0.0]
