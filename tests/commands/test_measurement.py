"""The trainings of a gate, with its journal, over threads of this process and over processes that share nothing with it."""

import multiprocessing
import textwrap
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands.harness import Harness
from mainstay.commands.measurement import measuring, open_ledgers
from mainstay.commands.session import Stopwatch
from mainstay.commands.start import BothSettings
from mainstay.measuring.agenda import Agenda, Assignment
from mainstay.measuring.loop import SilentObserver
from mainstay.measuring.scheduling import derive_seeds
from mainstay.project.configuration import Configuration
from mainstay.records.executions import TRAINED
from mainstay.records.findings import MeasuredWith, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.plans import Plan, PlannedWorkload
from mainstay.records.trials import Side
from mainstay.store.journal import new_run

FILE = "benchmarks/test_a.py"
WORKLOADS = """
    import os, random

    def test_worse(trial):
        rng = random.Random(trial.seed)
        trial.record(quality=rng.gauss(0.9, 0.001) - 0.1 * (os.environ["SIDE"] == "candidate"))

    def test_as_good(trial):
        rng = random.Random(f"{trial.seed} {os.environ['SIDE']}")
        trial.record(quality=rng.gauss(0.9, 0.001))
"""


class CountingObserver(SilentObserver):
    """Counts the trials that it is told of."""

    def __init__(self):
        self.num_trials = 0

    def trial_done(self, trial):
        self.num_trials += 1


def in_threads():
    return nullcontext(None)


def in_processes():
    """Processes that share nothing with this one: all that they get was pickled."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def workload(name):
    place = f"{FILE}::test_{name}"
    metric = Metric(workload=place, name="quality", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.02)
    return Workload(id=place, execution=TRAINED, metrics=(metric,))


@pytest.fixture
def specs(make_specs, tmp_path):
    specs = make_specs("[pytest]\n")
    (tmp_path / "measure" / FILE).write_text(textwrap.dedent(WORKLOADS))
    return specs


@pytest.fixture
def measure(specs, tmp_path):
    """Measures both workloads over an executor; gives what was found, what was journalled, and who was told of it."""
    workloads = [workload("worse"), workload("as_good")]
    agenda = Agenda(assignments=tuple(Assignment(workload=each) for each in workloads), settled=())
    planned = tuple(
        PlannedWorkload(
            id=each.id,
            execution=each.execution.name,
            measured_with=MeasuredWith.SHARED,
            metrics=each.metrics,
            seeds=derive_seeds("", "c", each.id, 3),
        )
        for each in workloads
    )
    plan = Plan(
        alpha=0.01, margin_level=0.05, looks=(3,), num_gated=2, salt="", workloads=planned, seconds=600.0,
        fail_fast=False, inconclusive=3, threads=1, jobs=4,
    )  # fmt: skip
    harness = Harness(
        specs={Side.BASELINE: specs}, environments=(), subjects={}, prepared=None, scratch=tmp_path, preload_note="",
        seals=None,
    )  # fmt: skip
    settings = dict.fromkeys(Side, Configuration())

    def measure(executor):
        observer = CountingObserver()
        with new_run(tmp_path / str(id(observer)), datetime.now(UTC), {}) as folder:
            session: Any = SimpleNamespace(
                folder=folder,
                start=SimpleNamespace(baseline=SimpleNamespace(commit="c")),
                settings=BothSettings(own=settings, judging=settings),
                observer=observer,
                watch=Stopwatch(),
            )
            ledgers = open_ledgers(agenda, plan)
            with measuring(session, harness, agenda, plan, ledgers, executor=executor) as measurement:
                findings = measurement.run()
            return findings, folder.journal.trials(), observer

    return measure


@pytest.mark.slow
def test_a_gate_finds_the_same_over_processes_as_over_threads_and_journals_every_trial(measure):
    found = {}
    for pool in (in_threads, in_processes):
        with pool() as executor:
            found[pool], journalled, observer = measure(executor)
        keys = {(trial.workload, trial.pair, trial.side) for trial in journalled}
        assert len(journalled) == len(keys) == observer.num_trials == 12

    assert found[in_threads] == found[in_processes]
    assert [finding.verdict for finding in found[in_threads]] == [Verdict.FAIL, Verdict.PASS]


def test_tiers_follow_from_the_baseline_s_margins_and_verdicts_from_the_stricter_ones():
    (metric,) = workload("worse").metrics
    plan = Plan(
        alpha=0.01, margin_level=0.05, looks=(3,), num_gated=1, salt="", seconds=600.0, fail_fast=False, inconclusive=3,
        threads=1, jobs=1,
    )  # fmt: skip
    settings = {
        Side.BASELINE: Configuration(margins={"quality": 0.02}),
        Side.CANDIDATE: Configuration(margins={"quality": 1e-6}),
    }
    session: Any = SimpleNamespace(
        start=SimpleNamespace(baseline=SimpleNamespace(commit="c")),
        settings=BothSettings(own=settings, judging=settings),
        observer=SilentObserver(),
        watch=Stopwatch(),
    )
    harness: Any = SimpleNamespace(specs_of_both={})

    agenda = Agenda(assignments=(), settled=())
    with in_processes() as executor, measuring(session, harness, agenda, plan, [], executor=executor) as measurement:
        assert measurement.margin_of(metric, {}) == 1e-6
        assert measurement.tier_margin_of(metric, {}) == 0.02
