import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from mainstay.stats.proportions import clopper_pearson_interval, mcnemar_p_value, wilson_interval

counts = st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        pytest.param(81, 263, (0.2553, 0.3662), id="81-of-263"),
        pytest.param(15, 148, (0.0624, 0.1605), id="15-of-148"),
        pytest.param(0, 20, (0.0, 0.1611), id="0-of-20"),
        pytest.param(1, 29, (0.0061, 0.1718), id="1-of-29"),
    ],
)
def test_wilson_intervals_of_newcombe(successes, trials, expected):
    """R. G. Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        pytest.param(81, 263, (0.2527, 0.3676), id="81-of-263"),
        pytest.param(15, 148, (0.0578, 0.1617), id="15-of-148"),
        pytest.param(0, 20, (0.0, 0.1684), id="0-of-20"),
        pytest.param(1, 29, (0.0009, 0.1776), id="1-of-29"),
    ],
)
def test_clopper_pearson_intervals_of_newcombe(successes, trials, expected):
    """The same table, method 5."""
    assert clopper_pearson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_intervals_agree_with_statsmodels_and_scipy(count, level):
    successes, trials = count
    exact = stats.binomtest(successes, trials).proportion_ci(level, method="exact")

    assert clopper_pearson_interval(successes, trials, confidence_level=level) == pytest.approx(
        (exact.low, exact.high), rel=1e-7, abs=1e-12
    )
    assert wilson_interval(successes, trials, confidence_level=level) == pytest.approx(
        proportion_confint(successes, trials, 1 - level, method="wilson"), rel=1e-7, abs=1e-12
    )


@given(counts)
def test_intervals_hold_the_share_and_stay_in_the_unit_interval(count):
    successes, trials = count

    for interval in (wilson_interval(successes, trials), clopper_pearson_interval(successes, trials)):
        assert 0 <= interval.low <= successes / trials <= interval.high <= 1


@given(counts)
def test_counting_failures_mirrors_the_interval(count):
    successes, trials = count

    for interval in (wilson_interval, clopper_pearson_interval):
        low, high = interval(successes, trials)
        assert interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes must lie in 0 to trials"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_impossible_levels_are_refused(level):
    with pytest.raises(ValueError, match="confidence_level must lie inside"):
        clopper_pearson_interval(1, 5, confidence_level=level)


def test_published_approval_ratings():
    """150 and 86 of 1,600 voters changed their mind, z = 4.17: A. Agresti (1990), Categorical Data Analysis, 10.1."""
    assert stats.norm.isf(mcnemar_p_value(150, 86) / 2) == pytest.approx(4.17, abs=0.05)


@pytest.mark.parametrize(
    ("lost", "won", "expected"), [(1, 8, 20 / 512), (9, 1, 22 / 1024), (0, 6, 2 / 64), (2, 1, 1.0)]
)
def test_mcnemar_by_hand(lost, won, expected):
    assert mcnemar_p_value(lost, won) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_statsmodels(lost, won):
    expected = mcnemar([[0, lost], [won, 0]], exact=True).pvalue

    assert mcnemar_p_value(lost, won) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_symmetric_and_a_probability(lost, won):
    assert mcnemar_p_value(lost, won) == mcnemar_p_value(won, lost)
    assert 0 <= mcnemar_p_value(lost, won) <= 1


def test_equal_counts_are_no_evidence():
    assert mcnemar_p_value(0, 0) == mcnemar_p_value(7, 7) == 1.0


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar_p_value(-1, 3)
