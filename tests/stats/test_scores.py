"""P-values of mean differences: other implementations, laws, and levels by simulation."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mainstay.stats.proportions import clopper_pearson_interval
from mainstay.stats.scores import (
    block_ends,
    block_weights,
    can_pass,
    excludes_whole_clusters,
    macro_p_values,
    mean_variance,
    score_p_values,
    summarise_differences,
)

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(20_261_128)


def test_nothing_is_excluded_where_no_difference_was_seen_and_nothing_bounds_one():
    quiet, noisy = (summarise_differences([*values] * 600, score_range=math.inf) for values in ((0.0,), (0.1, -0.1)))

    for null in (0.02, 1.0, 1e160):
        assert mean_variance(quiet, null) == math.inf
        assert macro_p_values([quiet, noisy], null, score_range=math.inf).below >= 0.5


def test_without_clusters_the_mean_is_tested_by_student_s_t(rng):
    differences = rng.normal(0.01, 0.1, 200)

    above, below = score_p_values(summarise_differences(differences, score_range=1.0), 0.0, score_range=1.0)

    assert above == pytest.approx(stats.ttest_1samp(differences, 0.0, alternative="greater").pvalue)
    assert below == pytest.approx(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)


def test_equal_clusters_have_the_robust_variance_of_a_regression_on_a_constant(rng):
    clusters = np.repeat(np.arange(40), 5)
    differences = rng.normal(0, 0.1, 200) + rng.normal(0, 0.2, 40)[clusters]

    summary = summarise_differences(differences, score_range=4.0, clusters=clusters)

    fitted = sm.OLS(differences, np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    assert mean_variance(summary) == pytest.approx(fitted.bse[0] ** 2 * 40 / 39)  # CR2 of equal clusters
    assert summary.degrees == pytest.approx(39)
    assert summary.design_effect > 3


def test_clusters_of_one_item_change_nothing(rng):
    differences = rng.choice([-1.0, 0.0, 1.0], 300, p=[0.03, 0.93, 0.04])

    assert summarise_differences(differences, score_range=1.0) == summarise_differences(
        differences, score_range=1.0, clusters=rng.permutation(300)
    )


@given(shift=st.floats(-0.2, 0.2), seed=st.integers(0, 2**16))
def test_a_worse_candidate_is_more_evidence_of_a_degradation(shift, seed):
    differences = np.random.default_rng(seed).normal(0, 0.1, 60)
    before, after = (
        score_p_values(summarise_differences(values, score_range=2.0), 0.0, score_range=2.0)
        for values in (differences, differences + abs(shift))
    )

    assert after.above <= before.above + 1e-12


def test_a_degradation_that_nobody_has_seen_is_not_excluded_by_a_variance_of_nothing():
    summary = summarise_differences([0.0] * 40, score_range=1.0)

    assert score_p_values(summary, 0.02, score_range=1.0).below == pytest.approx(0.98**40)
    assert not can_pass([summary], 0.02, score_range=1.0)


def test_unbounded_scores_that_hardly_differ_exclude_nothing():
    summary = summarise_differences([0.0] * 400 + [0.1], score_range=math.inf)

    assert score_p_values(summary, 0.02, score_range=math.inf).below == 1.0


def test_few_clusters_never_pass():
    clusters = np.repeat(np.arange(29), 50)

    summary = summarise_differences(np.zeros(29 * 50), score_range=1.0, clusters=clusters)

    assert not can_pass([summary], 0.05, score_range=1.0)


@pytest.mark.parametrize(
    ("num_clusters", "size", "is_excluded"),
    [
        pytest.param(65, 20, False, id="they may be absent"),
        pytest.param(250, 20, False, id="a few of them make the mean skewed"),
        pytest.param(330, 4, True, id="many small ones"),
        pytest.param(1300, 1, True, id="items of their own"),
    ],
)
def test_a_degradation_of_whole_clusters_is_excluded_by_many_small_clusters(rng, num_clusters, size, is_excluded):
    clusters = np.repeat(np.arange(num_clusters), size)
    differences = rng.choice([-1.0, 0.0, 1.0], clusters.size, p=[0.015, 0.97, 0.015])
    summary = summarise_differences(differences, score_range=1.0, clusters=clusters)

    assert can_pass([summary], 0.02, score_range=1.0)
    assert excludes_whole_clusters([summary], 0.02, score_range=1.0) == is_excluded


@pytest.mark.parametrize("turn", [1, -1], ids=["quiet task first", "quiet task last"])
def test_whole_clusters_of_any_task_count_for_the_mean_of_several(rng, turn):
    def drawn(num_clusters, size, flips):
        differences = rng.choice([-1.0, 0.0, 1.0], num_clusters * size, p=[flips / 2, 1 - flips, flips / 2])
        return summarise_differences(differences, score_range=1.0, clusters=np.repeat(np.arange(num_clusters), size))

    quiet, fine, coarse = drawn(330, 4, 0.0), drawn(330, 4, 0.03), drawn(250, 20, 0.03)

    assert not excludes_whole_clusters([quiet, coarse][::turn], 0.02, score_range=1.0)
    assert not excludes_whole_clusters([drawn(330, 1, 0.03), drawn(65, 4, 0.03)][::turn], 0.02, score_range=1.0)
    assert excludes_whole_clusters([fine, fine, fine], 0.02, score_range=1.0)


@pytest.mark.parametrize(("side", "true", "null", "level"), [("below", 0.02, 0.02, 0.05), ("above", 0.0, 0.0, 0.01)])
def test_levels_hold_for_few_differences(rng, side, true, null, level):
    num_gates, num_items, flips = 1_000, 300, 0.01
    draws = rng.random((num_gates, num_items))
    differences = (draws < flips / 2 + true) * 1.0 - (draws > 1 - flips / 2)

    rejected = sum(
        getattr(score_p_values(summarise_differences(row, score_range=1.0), null, score_range=1.0), side) <= level
        for row in differences
    )

    assert rejected <= stats.binom.isf(1e-4, num_gates, level)


def test_looks_spend_the_whole_error_and_see_every_cluster():
    assert block_weights(FRACTIONS).sum() == pytest.approx(1.0)
    assert block_ends(7, FRACTIONS).tolist() == [1, 2, 4, 7]


def test_one_cluster_has_no_variance():
    with pytest.raises(ValueError, match="at least 2 clusters"):
        summarise_differences([0.0, 1.0], score_range=1.0, clusters=[3, 3])


def test_every_item_needs_a_cluster():
    with pytest.raises(ValueError, match="3 labels of clusters for 2 items"):
        summarise_differences([0.0, 1.0], score_range=1.0, clusters=[1, 2, 3])


def tasks_of_flips(rng, sizes, noise, degradation):
    """Summaries of tasks whose items flip by chance and are lost besides."""
    shares = [-1.0, 0.0, 1.0]
    chances = [noise / 2, 1 - noise - degradation, noise / 2 + degradation]
    return [summarise_differences(rng.choice(shares, size, p=chances), score_range=1.0) for size in sizes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "noise"),
    [
        pytest.param((100, 300, 900), 0.06, id="unequal"),
        pytest.param((100,) * 10, 0.06, id="many"),
        pytest.param((60, 60), 0.002, id="few-flips"),
        pytest.param((40, 400), 0.02, id="very-unequal"),
        pytest.param((300,) * 5, 0.0, id="no-flips"),
    ],
)
def test_levels_of_the_mean_of_tasks_hold(sizes, noise):
    rng = np.random.default_rng(5)
    margin, num_trials = 0.02, 1500

    below = [
        float(macro_p_values(tasks_of_flips(rng, sizes, noise, null), null, score_range=1.0).below) <= level
        for _ in range(num_trials)
        for null, level in ((margin, 0.05), (2 * margin, 0.01))
    ]

    at_margin, at_double = below[::2], below[1::2]
    assert clopper_pearson_interval(sum(at_margin), num_trials, confidence_level=0.98)[0] <= 0.05
    assert clopper_pearson_interval(sum(at_double), num_trials, confidence_level=0.98)[0] <= 0.01


def test_a_degradation_that_one_small_task_could_carry_unseen_is_not_excluded():
    quiet = [summarise_differences(np.zeros(size), score_range=1.0) for size in (30, 2000)]

    assert macro_p_values(quiet, 0.02, score_range=1.0).below > 0.05


def test_the_mean_of_one_task_is_its_own():
    summary = summarise_differences(np.random.default_rng(6).normal(0, 0.3, 400), score_range=1.0)

    one, mean = (
        score_p_values(summary, 0.02, score_range=1.0),
        macro_p_values([summary], 0.02, score_range=1.0),
    )
    assert (float(one.above), float(one.below)) == pytest.approx((float(mean.above), float(mean.below)))
