import pytest

from mainstay import workflow
from mainstay.records import Kind, Workload
from mainstay.workers import Collection


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        pytest.param(None, ["accuracy", "performance", "deterministic"], id="all"),
        pytest.param("accuracy", ["accuracy"], id="accuracy"),
        pytest.param("performance", ["performance", "deterministic"], id="performance-with-its-exact-twins"),
    ],
)
def test_part_of_the_workloads_is_chosen_by_kind(only, kept):
    collection = Collection(workloads=tuple(Workload(id=kind, kind=kind, metrics=()) for kind in Kind))

    assert [workload.id for workload in workflow.part_of(collection, only).workloads] == kept
