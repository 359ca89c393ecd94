"""Simulated gates share a budget as the measuring loop does."""

import numpy as np
import pytest

from mainstay.gates.policy import Design
from mainstay.measuring.scheduling import START_SECONDS

LOOKS = Design(num_gated=1).looks


@pytest.fixture(scope="module")
def pair_lengths():
    from experiments import pair_lengths

    return pair_lengths


@pytest.fixture
def draw():
    def draw(num_metrics, gates=3):
        return np.random.default_rng(7).standard_normal((gates, num_metrics, LOOKS[-1]))

    return draw


def test_quiet_gates_pass_at_the_first_look_under_every_rule(pair_lengths, draw):
    noise = draw(pair_lengths.NUM_METRICS)
    first_look_s = LOOKS[0] * (pair_lengths.NUM_METRICS * pair_lengths.PLANNED + START_SECONDS)

    for rule in pair_lengths.RULES:
        found = pair_lengths.run_gates(
            noise, np.full(noise.shape[:2], 1e-4), np.zeros(noise.shape[1]), within=0.8, rule=rule
        )

        assert found.passes.all()
        assert found.seconds.tolist() == pytest.approx([first_look_s] * len(noise))


def test_no_gate_uses_more_than_its_budget_or_decides_at_a_look_that_it_does_not_reach(pair_lengths, draw, monkeypatch):
    noise, deviations, truth = draw(20), np.full((3, 20), 0.03), np.zeros(20)
    first_look_s = LOOKS[0] * (20 * pair_lengths.PLANNED + START_SECONDS)

    for rule in pair_lengths.RULES:
        ample = pair_lengths.run_gates(noise, deviations, truth, within=0.8, rule=rule)
        monkeypatch.setattr(pair_lengths, "SECONDS", first_look_s + 1)
        scarce = pair_lengths.run_gates(noise, deviations, truth, within=0.8, rule=rule)
        monkeypatch.undo()

        assert (ample.seconds > first_look_s).all()
        assert (ample.seconds <= pair_lengths.SECONDS).all()
        assert scarce.seconds.tolist() == [first_look_s] * 3
        assert scarce.passes.sum() < ample.passes.sum()


def test_longer_pairs_are_less_noisy_only_as_far_as_noise_lies_within_them(pair_lengths, draw):
    noise, deviations, truth = draw(20, gates=20), np.full((20, 20), 0.08), np.zeros(20)

    passes = {
        within: [
            int(pair_lengths.run_gates(noise, deviations, truth, within=within, rule=rule).passes.sum())
            for rule in ("as planned", pair_lengths.ADOPTED)
        ]
        for within in (0.0, 1.0)
    }

    assert passes[0.0][0] == passes[0.0][1] == passes[1.0][0] < passes[1.0][1]


def test_the_noisier_a_workload_the_longer_its_pairs_are_if_deviations_count(pair_lengths):
    state = pair_lengths.State(
        is_open=np.array([[True, True, False]]),
        deviations=np.array([[0.01, 0.03, 0.05]]),
        seconds_left=np.array([150.0]),
        until_next_look=3,
        until_last_look=15,
    )

    ((quiet, noisy, decided),) = pair_lengths.by_deviation(state)

    assert decided == pytest.approx(pair_lengths.PLANNED)
    assert noisy - pair_lengths.PLANNED == pytest.approx(3 * (quiet - pair_lengths.PLANNED))
    assert quiet + noisy == pytest.approx(2 * state.lengthened(15).item())
