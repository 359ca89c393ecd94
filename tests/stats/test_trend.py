import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.stats.paired import one_sided_p_values, summarise_pairs
from mainstay.stats.trend import (
    NUM_POOLED,
    STEPS,
    anchor_level,
    drift_evidence,
    earlier_deviation,
    smooth_level,
)


@given(st.lists(st.lists(st.floats(-5, 5), max_size=20), min_size=1, max_size=20), st.floats(0.3, 3))
def test_evidence_agrees_with_its_definition(pairs, deviation):
    found = drift_evidence(pairs, margin=1.0, deviations=[deviation] * len(pairs), run_length=1e12)

    evidence = [0.0] * len(STEPS)
    for i, gate in enumerate(pairs):
        for j, step in enumerate(STEPS):
            product = math.prod(2 / (1 + math.exp(-2 * step / deviation**2 * d)) for d in gate)
            evidence[j] = (evidence[j] + 1) * product
        assert found.log_values[i] == pytest.approx(math.log(sum(evidence) / len(STEPS)), rel=1e-6, abs=1e-9)


@given(st.floats(-100, 100), st.floats(0.001, 10))
def test_an_e_value_has_mean_one_whatever_the_noise(degradation, rate):
    """Which sign a pair of equal revisions has, a coin decides."""
    values = [2 / (1 + math.exp(min(-2 * rate * d, 700))) for d in (degradation, -degradation)]

    assert sum(values) / 2 == pytest.approx(1)


def gates(rng, num_gates, mean=0.0):
    """Pairs of gates that stop early or late."""
    return [rng.normal(mean, 0.6, size=rng.choice([5, 8, 12, 20])) for _ in range(num_gates)]


def test_a_drift_is_found_and_a_quiet_project_is_left_alone():
    rng = np.random.default_rng(0)
    quiet, drifting = gates(rng, 400), gates(rng, 400, mean=0.1)

    for pairs, is_found in ((quiet, False), (drifting, True)):
        deviations = earlier_deviation(pairs, fallback=1.0)
        assert bool(drift_evidence(pairs, margin=1.0, deviations=deviations).alarms) is is_found


def test_improvements_raise_no_alarm():
    pairs = gates(np.random.default_rng(0), 400, mean=-0.3)

    assert drift_evidence(pairs, margin=1.0, deviations=[0.6] * 400, run_length=10).alarms == ()


def test_more_metrics_share_the_alarms():
    assert anchor_level(20, num_metrics=5) == pytest.approx(anchor_level(20) / 5)
    assert anchor_level(20, num_metrics=1, run_length=2000) == pytest.approx(0.005)
    pairs = [[0.5] * 8] * 20

    few, many = (
        drift_evidence(pairs, margin=1.0, deviations=[1.0] * 20, num_metrics=k, run_length=100).alarms for k in (1, 50)
    )
    assert len(few) > len(many) > 0


def test_a_fixed_anchor_has_its_level():
    losses = np.random.default_rng(0).standard_normal((20_000, 20))

    above = one_sided_p_values(summarise_pairs(losses), 0.0).above

    assert np.mean(above <= anchor_level(20)) == pytest.approx(0.01, abs=0.003)


def test_noise_is_known_from_earlier_gates_only():
    rng = np.random.default_rng(0)
    pairs = [*gates(rng, 100), rng.normal(0, 100, size=20)]

    deviations = earlier_deviation(pairs, fallback=7.0)

    assert deviations[0] == 7.0
    assert deviations[-1] == pytest.approx(np.sqrt(
        sum(np.var(p) * len(p) for p in pairs[100 - NUM_POOLED : 100]) / sum(len(p) - 1 for p in pairs[100 - NUM_POOLED : 100])
    ))  # fmt: skip


def test_gates_without_pairs_leave_what_is_known():
    assert earlier_deviation([[], [1, -1], [], [2]], fallback=3.0).round(3).tolist() == [3.0, 3.0, 1.414, 1.414]
    assert drift_evidence([[]], margin=1.0, deviations=[1.0]).alarms == ()


def dense(increments, variances, anchors):
    """The same curve by generalised least squares."""
    n = len(increments)
    steps = np.eye(n) - np.eye(n, k=-1)
    rows, values, noise = list(steps), list(increments), list(variances)
    for i, (value, variance) in anchors.items():
        rows.append(np.eye(n)[i])
        values.append(value)
        noise.append(variance)
    weights = np.diag(1 / np.array(noise))
    design = np.array(rows)
    covariance = np.linalg.inv(design.T @ weights @ design)
    return covariance @ design.T @ weights @ np.array(values), np.sqrt(np.diag(covariance))


@pytest.mark.parametrize("anchored", [(), (9,), (3, 7), (0, 4, 9)])
def test_the_curve_agrees_with_least_squares(anchored):
    rng = np.random.default_rng(len(anchored))
    increments, variances = rng.standard_normal(10), rng.uniform(0.5, 2, 10)
    anchors = {i: (float(rng.standard_normal()), 0.3) for i in anchored}

    level = smooth_level(increments, variances, anchors)

    values, errors = dense(increments, variances, anchors)
    assert level.values == pytest.approx(values)
    assert level.errors == pytest.approx(errors)


def test_the_band_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), []
    for _ in range(200):
        truth = np.cumsum(rng.normal(0, 0.1, 60))
        increments = np.diff(truth, prepend=0.0) + rng.normal(0, 0.5, 60)
        anchors = {i: (truth[i] + rng.normal(0, 0.2), 0.04) for i in (19, 39, 59)}
        level = smooth_level(increments, [0.25] * 60, anchors)
        covered.append(np.abs(level.values - truth) <= 1.96 * level.errors)

    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_a_gap_is_bridged_by_the_next_anchor_only():
    level = smooth_level([1.0, 0.0, 1.0, 1.0], [1.0, math.inf, 1.0, 1.0], {3: (9.0, 0.5)})

    assert level.values.tolist() == [1.0, 7.0, 8.0, 9.0]
    assert (level.errors**2).tolist() == pytest.approx([1.0, 2.5, 1.5, 0.5])
    assert np.isinf(smooth_level([1.0, 0.0, 1.0], [1.0, math.inf, 1.0], {}).errors[1:]).all()


def test_what_was_proved_equal_adds_no_doubt():
    level = smooth_level([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], {2: (1.0, 0.1)})

    assert (level.values.tolist(), level.errors.tolist()) == ([0.0] * 3, [0.0] * 3)
