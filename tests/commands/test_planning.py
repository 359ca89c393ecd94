"""A run goes by the plan that it started with, or not at all."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from mainstay.commands.planning import keep_plan, least_seconds, note_on_noise, note_on_pairs
from mainstay.records.errors import PlanError
from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import PlannedGroup, PlannedWorkload
from mainstay.store.journal import new_run

STEP = Metric(
    workload="b.py::test", name="call_time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, unit="s"
)
TOP1 = Metric(workload="a.py::test", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.1, ceiling=0.99)


@pytest.fixture
def plan(sample_run):
    workloads = (
        PlannedWorkload(
            id="a.py::test",
            execution="trained",
            measured_with=MeasuredWith.OWN,
            metrics=(TOP1,),
            seeds=(2**31 - 1, 0, 7),
        ),
        PlannedWorkload(id="b.py::test", execution="interleaved", measured_with=MeasuredWith.SHARED, metrics=(STEP,)),
    )
    return replace(
        sample_run.plan,
        workloads=workloads,
        margins_by_dataset={"digits": {TOP1.id: 1 / 3}},
        seconds=float("inf"),
        prepare=("python", "fetch.py"),
    )


@pytest.fixture
def folder(tmp_path):
    with new_run(tmp_path, datetime(2026, 11, 28, tzinfo=UTC), {}) as folder:
        yield folder


@pytest.mark.parametrize(
    ("deviations", "doubted"),
    [
        pytest.param({}, "", id="not-calibrated"),
        pytest.param({"call_time": 0.01}, "", id="quiet"),
        pytest.param({"call_time": 0.2}, "b.py::test#call_time (5.0 %, supported: ", id="noisy"),
        pytest.param({"call_time": 0.01, "b.py::test#call_time": 0.2}, "b.py::test#call_time (5.0 %", id="its-own"),
        pytest.param({"a": 0.5}, "a.py::test#a (10 points, supported: ", id="accuracy"),
    ],
)
def test_what_calibrated_noise_will_not_decide_is_told_before_the_first_pair(plan, deviations, doubted):
    note = note_on_noise(replace(plan, deviations=deviations, num_gated=2))

    assert doubted in note
    assert bool(note) is bool(doubted)
    assert note_on_noise(replace(plan, deviations=deviations, num_gated=0)) == ""


def test_a_mean_that_calibrated_noise_will_not_decide_is_told(plan):
    mean = replace(STEP, workload="b.py", name="call_time_geomean")
    group = PlannedGroup(metric=mean, members=(STEP.id,))

    note = note_on_noise(replace(plan, groups=(group,), deviations={mean.id: 0.2, STEP.id: 0.01}, num_gated=3))

    assert f"{mean.id} (5.0 %" in note
    assert STEP.id not in note


def test_the_pairs_of_a_calibration_tell_the_least_budget_of_a_gate(plan):
    assert least_seconds(replace(plan, pair_seconds=2.5)) == 76
    assert least_seconds(replace(plan, workloads=plan.workloads[:1])) == 0


def test_the_least_budget_of_a_gate_covers_what_is_measured_longer_for_its_margin(plan):
    trained, timed = plan.workloads
    strict = replace(timed, metrics=(replace(STEP, margin=0.025),))

    assert least_seconds(replace(plan, workloads=(trained, strict), pair_seconds=0.625)) == 76


def test_a_budget_that_is_too_small_is_told_unless_a_proof_leaves_nothing_to_measure(plan):
    short = replace(plan, seconds=1.0, pair_seconds=0.2, num_gated=2)

    assert "1 timed workloads share 1 s" in note_on_pairs(replace(short, looks=(20,)), 2.5)
    assert note_on_pairs(replace(short, num_gated=0), 2.5) == ""


def test_a_resumed_run_has_the_plan_that_it_started_with(folder, plan):
    keep_plan(folder, plan)

    assert keep_plan(folder, replace(plan, jobs=16)) == plan
    assert [line["type"] for line in folder.journal.read()] == ["start", "plan"]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        pytest.param({"looks": (5, 8, 12)}, "looks", id="looks"),
        pytest.param({"workloads": (), "num_gated": 0}, "num_gated, workloads", id="workloads"),
    ],
)
def test_a_run_does_not_go_on_under_another_plan(folder, plan, part, named):
    keep_plan(folder, plan)

    with pytest.raises(PlanError, match=f"{named} would differ"):
        keep_plan(folder, replace(plan, **part))

    assert keep_plan(folder, plan) == plan


def test_a_run_whose_journal_has_no_arguments_yet_can_be_resumed(folder, plan):
    content = asdict(plan)
    del content["arguments"]
    folder.journal.append("plan", plan=content)

    assert keep_plan(folder, replace(plan, arguments=("--only", "accuracy"))) == plan
