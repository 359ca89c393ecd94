import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from mainstay.stats.power import (
    detectable_distance,
    is_margin_supported,
    pairs_to_settle,
    probability_within,
    supported_ratio,
)

LOOKS = (5, 8, 12, 20)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param(0.05, {5: (1.36, 1.82), 8: (0.98, 1.30), 12: (0.77, 1.02), 20: (0.58, 0.76)}, id="5%"),
        pytest.param(0.01, {5: (2.18, 2.81), 8: (1.40, 1.77), 12: (1.05, 1.32), 20: (0.76, 0.96)}, id="1%"),
        pytest.param(0.01 / 6, {5: (3.51, 4.45), 8: (1.93, 2.39), 12: (1.36, 1.66), 20: (0.95, 1.16)}, id="1%-of-6"),
    ],
)
def test_detectable_distances_of_the_table(level, expected):
    for num_pairs, (at_80, at_95) in expected.items():
        assert detectable_distance(num_pairs, level=level, power=0.80) == pytest.approx(at_80, abs=0.0051)
        assert detectable_distance(num_pairs, level=level, power=0.95) == pytest.approx(at_95, abs=0.0051)


def test_matched_pairs_of_gpower():
    """50 pairs, 5 % two-sided, effect 0.421637: F. Faul et al. (2007), Behav. Res. Methods 39, 175-191, and manual."""
    assert detectable_distance(50, level=0.025, power=0.832114) == pytest.approx(0.421637, abs=1e-6)


@given(st.integers(2, 40), st.floats(0.001, 0.2), st.floats(0.5, 0.95))
def test_more_pairs_detect_less(num_pairs, level, power):
    distance = detectable_distance(num_pairs, level=level, power=power)

    assert detectable_distance(num_pairs + 1, level=level, power=power) < distance


@given(st.integers(3, 60), st.floats(0.001, 0.2), st.floats(0.5, 0.99))
def test_power_at_the_detectable_distance_agrees_with_scipy_and_statsmodels(num_pairs, level, power):
    distance = detectable_distance(num_pairs, level=level, power=power)
    boundary = stats.t.isf(level, num_pairs - 1)

    assert stats.nct.sf(boundary, num_pairs - 1, distance * np.sqrt(num_pairs)) == pytest.approx(power, abs=1e-6)
    assert TTestPower().power(distance, num_pairs, level, alternative="larger") == pytest.approx(power, abs=1e-6)


def test_detectable_distance_is_what_a_simulation_detects():
    degradations = np.random.default_rng(0).normal(detectable_distance(8, level=0.05, power=0.9), 1.0, size=(20_000, 8))

    p_values = np.asarray(stats.ttest_1samp(degradations, 0.0, axis=1, alternative="greater").pvalue)
    detected = np.mean(p_values <= 0.05)

    assert detected == pytest.approx(0.9, abs=0.007)


@pytest.mark.parametrize(
    ("mean", "num_pairs", "expected"),
    [
        pytest.param(0.0, 0, 8, id="clean-from-the-start"),
        pytest.param(0.0, 8, 12, id="only-later-looks-count"),
        pytest.param(0.5, 5, 20, id="half-way-to-the-margin"),
        pytest.param(0.8, 5, 119, id="beyond-the-budget"),
        pytest.param(2.0, 5, 8, id="clear-degradation"),
    ],
)
def test_pairs_to_settle(mean, num_pairs, expected):
    far = (0.0, 0.01) if mean > 1 else (2.0, 0.01)

    assert pairs_to_settle(mean, 0.6, num_pairs=num_pairs, looks=LOOKS, near=(1.0, 0.05), far=far) == pytest.approx(
        expected, rel=0.5 if expected > 20 else 0
    )


@pytest.mark.parametrize(
    ("mean", "is_told"), [(0.82, True), (0.9, False), (0.9999, False), (1.0, False), (1.1, False), (1.18, True)]
)
def test_a_number_beyond_ten_times_the_plan_is_not_told(mean, is_told):
    far = (0.0, 0.01) if mean > 1 else (2.0, 0.01)

    settled = pairs_to_settle(mean, 0.6, num_pairs=20, looks=LOOKS, near=(1.0, 0.05), far=far)

    assert (settled is not None and 20 < settled <= 200) is is_told
    assert (settled is None) is not is_told


def test_a_mean_on_the_margin_never_settles():
    assert pairs_to_settle(1.0, 0.6, num_pairs=5, looks=LOOKS, near=(1.0, 0.05), far=(2.0, 0.01)) is None


@given(st.floats(-3, 3), st.floats(0.01, 5), st.integers(0, 20))
def test_settling_takes_more_pairs_than_there_are(mean, deviation, num_pairs):
    settled = pairs_to_settle(mean, deviation, num_pairs=num_pairs, looks=LOOKS, near=(1.0, 0.05), far=(2.0, 0.01))

    assert settled is None or settled in LOOKS or settled > 20
    assert settled is None or settled > num_pairs


@pytest.mark.parametrize(
    ("num_pairs", "ratio"), [(5, 3.3), (7, 3.3), (8, 2.5), (12, 2.5), (20, 1.67), (30, 1.05), (45, 0.81)]
)
def test_supported_ratio_falls_with_pairs(num_pairs, ratio):
    assert supported_ratio(num_pairs) == ratio
    assert is_margin_supported(ratio * 0.03, 0.03, num_pairs=num_pairs)
    assert not is_margin_supported(ratio * 0.0299, 0.03, num_pairs=num_pairs)


def test_four_pairs_support_no_margin():
    with pytest.raises(ValueError, match="the smallest number is 5"):
        supported_ratio(4)


@pytest.mark.parametrize("deviation", [1e10, 1e200, 1.7e308])
def test_noise_beyond_all_measure_promises_no_number_of_pairs(deviation):
    further = pairs_to_settle(1e-5, deviation, num_pairs=5, looks=(5, 8, 12, 20), near=(1e-3, 0.05), far=(2e-3, 0.01))

    assert further is None


@pytest.mark.parametrize(("excess", "num_pairs"), [(0.0, 5), (0.3, 8)])
def test_estimates_within_a_margin_at_tolerated_noise_are_as_frequent_as_in_a_simulation(excess, num_pairs):
    pairs = np.random.default_rng(3).normal(excess, 2.0, (20_000, num_pairs))
    is_within = (pairs.mean(axis=1) < 0) & (pairs.std(axis=1, ddof=1) <= 2.2)

    expected = probability_within(excess, deviation=2.0, num_pairs=num_pairs, most_deviation=2.2)

    assert is_within.mean() == pytest.approx(expected, abs=0.015)
