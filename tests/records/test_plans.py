"""What makes one plan another."""

from dataclasses import replace

import pytest

from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import Plan, PlannedGroup, PlannedWorkload

TOP1 = Metric(workload="w", name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
TRAINED = PlannedWorkload(
    id="w", execution="trained", measured_with=MeasuredWith.SHARED, metrics=(TOP1,), seeds=(3, 1, 2)
)


@pytest.fixture
def plan(sample_run):
    return replace(sample_run.plan, workloads=(TRAINED,), margins_by_dataset={"digits": {TOP1.id: 0.012}})


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"alpha": 0.02}, id="level"),
        pytest.param({"looks": (3, 6)}, id="looks"),
        pytest.param({"num_gated": 2}, id="K"),
        pytest.param({"inconclusive": 0}, id="policy"),
        pytest.param({"deviations": {"top1_accuracy": 0.01}}, id="calibrated-noise"),
        pytest.param({"workloads": (replace(TRAINED, seeds=(1, 2, 3)),)}, id="seeds"),
        pytest.param({"workloads": (replace(TRAINED, metrics=(replace(TOP1, margin=0.2),)),)}, id="margin"),
        pytest.param({"groups": (PlannedGroup(metric=TOP1, members=("a#t", "b#t")),)}, id="groups"),
        pytest.param({"margins_by_dataset": {}}, id="margin-of-a-data-set"),
    ],
)
def test_a_part_that_differs_is_named(plan, part):
    assert plan.differences(replace(plan, **part)) == tuple(part)


def test_trials_at_once_follow_from_the_machine_and_make_no_other_plan(plan):
    assert plan.differences(replace(plan, jobs=plan.jobs + 6)) == ()


def test_seeds_are_known_by_workload(plan: Plan):
    assert plan.seeds == {"w": (3, 1, 2)}
