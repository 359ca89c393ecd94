"""A gate's trainings, counts and timed pairs over executors of any kind, with real workers."""

import multiprocessing
import textwrap
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pytest

from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.ledger import examples_to_show
from mainstay.measuring.loop import Measurement, SilentObserver
from mainstay.measuring.scheduling import derive_seeds
from mainstay.records.executions import INTERLEAVED, ONCE, TRAINED
from mainstay.records.findings import Method, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Outcome, Side
from mainstay.workers.interleaved import run_timed_pair
from mainstay.workers.pairs import PairRequest, run_pair

FILE = "benchmarks/test_a.py"

WORKLOADS = """
    import os, random

    def test_trained(trial):
        rng = random.Random(trial.seed)
        trial.record(quality=rng.gauss(0.9, 0.001) - 0.1 * (os.environ["SIDE"] == os.environ["WORSE"]))

    def test_counted(counts):
        counts.record(tokens=3)

    def test_timed(benchmark):
        benchmark(sum, range(1000))
"""


def in_processes():
    """Processes that share nothing with this one: all that they get was pickled."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def workload(name, metric, execution, direction, margin):
    place = f"{FILE}::test_{name}"
    gated = Metric(workload=place, name=metric, kind=Kind(execution.kind), direction=direction, margin=margin)
    return Workload(id=place, execution=execution, metrics=(gated,))


def seeds(*workloads):
    return {each.id: derive_seeds("", "c", each.id, 20) for each in workloads}


@pytest.fixture
def specs(make_specs, tmp_path):
    def specs(worse):
        specs = make_specs("[pytest]\n", WORSE=worse)
        (tmp_path / "measure" / FILE).write_text(textwrap.dedent(WORKLOADS))
        return specs

    return specs


@pytest.mark.slow
@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(in_processes, id="processes"),
        pytest.param(partial(ThreadPoolExecutor, 2), id="threads"),
    ],
)
@pytest.mark.parametrize("worse", ["candidate", "neither"])
def test_a_gate_comes_to_the_same_verdict_over_processes_and_threads(specs, pool, worse):
    both = specs(worse)
    workloads = [
        workload("trained", "quality", TRAINED, Direction.HIGHER, 0.02),
        workload("counted", "tokens", ONCE, Direction.LOWER, 0.0),
    ]
    with pool() as executor:
        measurement = Measurement(
            logs=make_logs([Assignment(workload=each) for each in workloads], seeds(*workloads)),
            settled=(),
            design=Design(num_gated=2, looks=(3,)),
            salt="",
            commit="c",
            margin_of=lambda metric, context: metric.margin,
            measure=partial(run_pair, both, choose_examples=examples_to_show),
            measure_timed=partial(run_timed_pair, both),
            executor=executor,
            num_at_once=4,
            trial_seconds=600.0,
            pair_seconds=0.2,
            fail_fast=False,
            deadline=float("inf"),
            observer=SilentObserver(),
        )
        quality, tokens = measurement.run()

    assert quality.verdict is (Verdict.FAIL if worse == "candidate" else Verdict.PASS), quality
    assert (tokens.verdict, tokens.method) == (Verdict.PASS, Method.EQUALITY)


def test_timed_pairs_run_in_a_process_of_their_own(specs):
    both = specs("neither")
    timed = workload("timed", "call_time", INTERLEAVED, Direction.LOWER, 0.5)
    logs = make_logs([Assignment(workload=timed)], seeds(timed))
    with in_processes() as executor:
        measurement = Measurement(
            logs=logs,
            settled=(),
            design=Design(num_gated=1),
            salt="",
            commit="c",
            margin_of=lambda metric, context: metric.margin,
            measure=partial(run_pair, both),
            measure_timed=partial(run_timed_pair, both),
            executor=executor,
            num_at_once=2,
            trial_seconds=600.0,
            pair_seconds=0.2,
            fail_fast=False,
            deadline=float("inf"),
            observer=SilentObserver(),
        )
        measurement.measure_pairs(2)

    trials = logs[0].trials.values()
    assert {(trial.side, trial.pair) for trial in trials} == {(side, pair) for side in Side for pair in (0, 1)}
    assert all(trial.block_times_s for trial in trials)


@pytest.mark.slow
def test_a_pair_is_a_function_of_plain_data(specs):
    request = PairRequest(workload=f"{FILE}::test_trained", seed=3, pair=0, sides=tuple(Side), gated=("quality",))
    both = specs("neither")

    with in_processes() as executor:
        result = executor.submit(run_pair, both, request).result()

    assert result.request == request
    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED] * 2
    assert result.trials[0].values == result.trials[1].values == run_pair(both, request).trials[0].values
