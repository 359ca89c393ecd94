import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mainstay.stats.noise import block_error, deviation_interval, split_noise

positive = st.floats(1e-3, 1e3)


def test_gear_diameters_of_the_handbook():
    """100 gears, s = 0.0062789: chi-square limits 0.0055 and 0.0073, NIST/SEMATECH e-Handbook, section 1.3.5.8."""
    low, high = deviation_interval(0.0062789, 100)

    assert (low, high) == pytest.approx((0.00551, 0.00729), abs=1e-5)


@given(st.integers(2, 60), positive, st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_of_a_deviation_agrees_with_scipy(num_pairs, deviation, level):
    tails = np.array([(1 + level) / 2, (1 - level) / 2])
    expected = deviation * np.sqrt((num_pairs - 1) / stats.chi2.ppf(tails, num_pairs - 1))

    assert deviation_interval(deviation, num_pairs, confidence_level=level) == pytest.approx(expected, rel=1e-6)


def test_interval_of_a_deviation_covers_at_its_level():
    seen = np.random.default_rng(0).normal(size=(4_000, 8)).std(axis=1, ddof=1)
    low, high = deviation_interval(1.0, 8, confidence_level=0.9)

    covered = np.mean((seen * low <= 1) & (1 <= seen * high))

    assert covered == pytest.approx(0.9, abs=0.02)


def test_block_error_is_that_of_a_ratio_of_sums():
    rng = np.random.default_rng(1)
    shared = rng.lognormal(sigma=0.1, size=(4_000, 1, 60))  # what disturbs neighbouring blocks alike
    blocks = shared * rng.lognormal(sigma=0.1, size=(4_000, 2, 60))

    seen = np.diff(np.log(blocks.sum(axis=2))).std()

    assert np.mean([block_error(*pair) for pair in blocks]) == pytest.approx(seen, rel=0.05)


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=20), positive)
def test_block_error_knows_neither_unit_nor_order(blocks, unit):
    baseline, candidate = np.array(blocks).T

    error = block_error(baseline, candidate)

    assert block_error(unit * candidate[::-1], unit * baseline[::-1]) == pytest.approx(error, abs=1e-9)
    assert block_error(candidate, unit * baseline) == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize(("baseline", "candidate"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_too_few_blocks_have_no_error(baseline, candidate):
    with pytest.raises(ValueError, match="two or more blocks"):
        block_error(baseline, candidate)


def test_parts_of_simulated_noise_are_found_again():
    rng = np.random.default_rng(2)
    processes = rng.normal(scale=0.03, size=(2_000, 1))
    blocks = processes + rng.normal(scale=0.1, size=(2_000, 25))
    errors = blocks.std(axis=1, ddof=1) / 5

    within, between = split_noise(blocks.mean(axis=1).std(ddof=1), errors.tolist())

    assert (within, between) == pytest.approx((0.02, 0.03), rel=0.05)


@given(positive, st.lists(positive, min_size=1, max_size=9))
def test_no_part_is_negative_and_noise_of_processes_never_exceeds_the_whole(deviation, errors):
    within, between = split_noise(deviation, errors)

    assert within > 0
    assert 0 <= between <= deviation
