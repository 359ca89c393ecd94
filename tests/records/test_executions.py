from dataclasses import replace

import pytest

from mainstay.records.executions import EXECUTIONS, STORED_EXECUTION, TRAINED, part_of
from mainstay.records.findings import MeasuredWith
from mainstay.records.plans import PlannedWorkload


def planned(execution):
    return PlannedWorkload(id="w", execution=execution, measured_with=MeasuredWith.SHARED, metrics=())


@pytest.mark.parametrize(
    ("execution", "has_digests"),
    [("trained", True), ("by_itself", True), ("evaluated", False), ("interleaved", False), (STORED_EXECUTION, False)],
)
def test_a_workload_has_digests_if_its_execution_says_so_whatever_its_name(monkeypatch, execution, has_digests):
    monkeypatch.setitem(EXECUTIONS, "by_itself", replace(TRAINED, name="by_itself", may_overlap=False))

    assert planned(execution).has_digests is has_digests


def test_a_training_that_may_not_overlap_has_no_noise_of_the_machine():
    assert not replace(TRAINED, may_overlap=False).has_noise_of_machine
    assert {name for name, each in EXECUTIONS.items() if each.has_noise_of_machine} == {"interleaved", "alone"}


def test_the_part_of_a_kind_is_that_of_its_execution(monkeypatch):
    monkeypatch.setitem(EXECUTIONS, "drawn", replace(TRAINED, name="drawn", kind="energy", part="performance"))

    assert [part_of(kind) for kind in ("accuracy", "performance", "deterministic", "energy", "angle")] == [
        "accuracy", "performance", "performance", "performance", "accuracy",
    ]  # fmt: skip
