import itertools

import numpy as np
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.stats.change_points import MIN_SEGMENT, find_change_points, segment_ends, series_noise


def steps(rng, sizes, length):
    return np.repeat(np.cumsum([0.0, *sizes]), length) + rng.standard_normal(length * (len(sizes) + 1))


@pytest.mark.parametrize("seed", range(10))
def test_segments_agree_with_ruptures(seed):
    rng = np.random.default_rng(seed)
    series = steps(rng, rng.choice([-3, -2, 2, 3], size=6), 25)
    penalty = 2.5 * np.log(1000)

    found = segment_ends(series, np.ones_like(series), penalty=penalty)

    oracle = ruptures.KernelCPD(kernel="linear", min_size=MIN_SEGMENT, jump=1).fit(series[:, None])
    assert found == oracle.predict(pen=penalty)


def total_cost(series, weights, ends, penalty):
    cost, start = 0.0, 0
    for end in ends:
        mean = np.average(series[start:end], weights=weights[start:end])
        cost += np.sum(weights[start:end] * (series[start:end] - mean) ** 2) + penalty
        start = end
    return cost


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 20), st.integers(10, 17))
def test_no_other_segments_cost_less(seed, penalty, size):
    rng = np.random.default_rng(seed)
    series, weights = rng.standard_normal(size) + 2 * (np.arange(size) > size // 2), rng.uniform(0.2, 3, size)

    ends = segment_ends(series, weights, penalty=penalty)

    others = [
        [*chosen, size]
        for count in range(3)
        for chosen in itertools.combinations(range(MIN_SEGMENT, size - MIN_SEGMENT + 1), count)
        if all(b - a >= MIN_SEGMENT for a, b in itertools.pairwise([0, *chosen, size]))
    ]
    assert total_cost(series, weights, ends, penalty) == pytest.approx(
        min(total_cost(series, weights, other, penalty) for other in others)
    )


def test_steps_are_found_where_they_are_with_their_levels():
    rng = np.random.default_rng(1)

    found = find_change_points(steps(rng, [3.0, -6.0], 60))

    assert [abs(point.position - true) <= 2 for point, true in zip(found, (60, 120), strict=True)] == [True, True]
    assert all(point.low <= true <= point.high for point, true in zip(found, (60, 120), strict=True))
    assert [(point.before, point.after) for point in found] == [
        pytest.approx((0, 3), abs=0.5),
        pytest.approx((3, -3), abs=0.5),
    ]


NOISES = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy-tails": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "outliers": lambda rng, n: rng.standard_normal(n) * np.where(rng.random(n) < 0.05, 10, 1) / np.sqrt(5.95),
    "two-states": lambda rng, n: (5 * (rng.random(n) < 0.3) + rng.standard_normal(n)) / np.sqrt(1 + 25 * 0.21),
    "skewed": lambda rng, n: rng.lognormal(sigma=0.75, size=n),
}


@pytest.mark.parametrize("noise", NOISES)
def test_a_quiet_series_has_no_change_point(noise):
    rng = np.random.default_rng(7)

    assert sum(len(find_change_points(NOISES[noise](rng, 200))) for _ in range(30)) <= 3  # 0.3 in 1,000 are stated


def test_a_correlated_series_is_not_cut_to_pieces():
    rng = np.random.default_rng(3)
    series = rng.standard_normal(1000)
    for i in range(1, 1000):
        series[i] = 0.5 * series[i - 1] + series[i] * np.sqrt(0.75)

    assert series_noise(series, np.ones(1000)).correlation == pytest.approx(0.5, abs=0.15)
    assert find_change_points(series) == []


def test_points_with_large_errors_count_less():
    rng = np.random.default_rng(5)
    errors = np.where(np.arange(120) % 2, 0.3, 3.0)
    series = errors * rng.standard_normal(120) + 1.2 * (np.arange(120) >= 60)

    (weighted,) = find_change_points(series, errors)

    (alike,) = find_change_points(series)
    assert abs(weighted.position - 60) <= 2 < abs(alike.position - 60)


@pytest.mark.parametrize(
    ("series", "positions"),
    [
        pytest.param([], [], id="empty"),
        pytest.param([1.0] * 9, [], id="short"),
        pytest.param([1.0] * 50, [], id="constant"),
        pytest.param([1.0] * 50 + [2.0] * 50, [50], id="exact-step"),
        pytest.param([1.0] * 50 + [9.0] + [1.0] * 50, [], id="exact-spike"),
    ],
)
def test_series_without_noise(series, positions):
    assert [point.position for point in find_change_points(series)] == positions


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_shifting_and_scaling_changes_nothing(shift, scale):
    series = steps(np.random.default_rng(2), [4.0], 30)

    found = find_change_points(series)

    assert [p[:3] for p in find_change_points(shift + scale * series)] == [p[:3] for p in found]


@pytest.mark.parametrize("errors", [[1.0] * 19, [1.0] * 19 + [0.0], [1.0] * 19 + [-1.0]])
def test_errors_that_are_none_are_refused(errors):
    with pytest.raises(ValueError, match="positive error"):
        find_change_points([1.0] * 20, errors)
