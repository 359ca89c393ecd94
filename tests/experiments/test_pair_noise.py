"""What is made of the blocks of a pair; nothing is timed here."""

import importlib
import math
from dataclasses import replace

import psutil
import pytest

from experiments.load import busy_processes
from mainstay.records.trials import Outcome, Side, Trial


@pytest.fixture(scope="module")
def pair_noise():
    return importlib.import_module("experiments.pair_noise")


def trial(side, blocks, delays=(), **values):
    return Trial(
        workload="w",
        side=side,
        seed=1,
        pair=0,
        outcome=Outcome.COMPLETED,
        values=values,
        block_times_s=blocks,
        run_delays_s=delays,
    )


def test_estimators_tell_waiting_from_work_and_rare_events_from_none(pair_noise):
    baseline = trial(Side.BASELINE, (1.0,) * 20, (0.0,) * 20, latency_p95=1.0)
    candidate = trial(Side.CANDIDATE, (1.0,) * 19 + (2.0,), (0.5,) + (0.0,) * 19, latency_p95=1.2)

    row = pair_noise.estimates(baseline, candidate)

    assert row["log_ratios"] == pytest.approx(
        {
            "wall clock, mean of logs": math.log(2.0 * 1.5) / 20,
            "wall clock, sums": math.log(21.5 / 20),
            "wall clock, trimmed": 0.0,
            "less run delay, sums": math.log(21 / 20),
            "less run delay, mean of logs": math.log(2.0) / 20,
            "less run delay, weighted sums": math.log(21 / 20),
        }
    )
    assert row["run_delay"] == pytest.approx(0.5 / 41.5)
    assert row["recorded"] == {"latency_p95": pytest.approx(math.log(1.2))}


def test_weights_are_those_that_the_speed_of_the_core_gave(pair_noise):
    baseline, candidate = (
        replace(trial(side, blocks), block_weights=(1.0, 0.25))
        for side, blocks in ((Side.BASELINE, (1.0, 2.0)), (Side.CANDIDATE, (1.0, 4.0)))
    )

    row = pair_noise.estimates(baseline, candidate)

    assert row["log_ratios"]["less run delay, weighted sums"] == pytest.approx(math.log(2.0 / 1.5))
    assert row["log_ratios"]["less run delay, sums"] == pytest.approx(math.log(5 / 3))


def test_where_no_delay_is_known_both_estimates_are_by_the_wall_clock(pair_noise):
    row = pair_noise.estimates(trial(Side.BASELINE, (1.0, 1.0)), trial(Side.CANDIDATE, (1.0, 1.2)))

    assert row["log_ratios"]["less run delay, sums"] == row["log_ratios"]["wall clock, sums"]
    assert row["log_ratios"]["wall clock, sums"] == pytest.approx(math.log(1.1))


def test_noise_is_told_apart_by_load_and_way(pair_noise):
    rows = [
        {
            "workload": "w",
            "pair": pair,
            "busy": busy,
            "way": way,
            "start": "fresh",
            "num_blocks": 10,
            "duration_s": 2.0,
            "load": busy,
            "run_delay": 0.1,
            "overhead_s_of_the_pair": 3.0,
            "recorded": {},
            "log_ratios": dict.fromkeys(pair_noise.ESTIMATORS, sign * 0.01 * (1 + busy)),
        }
        for pair, sign in enumerate((1, -1))
        for busy in (0, 4)
        for way in pair_noise.WAYS
    ]

    table = pair_noise.summarise(rows)

    assert len(table) == 2 * len(pair_noise.WAYS)
    deviations = {(row["busy"], row["way"]): row["sd_of_a_pair"]["less run delay, sums"] for row in table}
    assert (deviations[0, "in turns"], deviations[4, pair_noise.GATES_WAY]) == (0.01, 0.05)
    assert pair_noise.overhead(rows) == {"fresh": 3.0}


@pytest.mark.parametrize("number", [0, 2])
def test_load_is_made_and_ends(number):
    mine = psutil.Process()
    before = set(mine.children())

    with busy_processes(number):
        busy = set(mine.children()) - before
        assert len(busy) == number

    assert not any(process.is_running() for process in busy)
