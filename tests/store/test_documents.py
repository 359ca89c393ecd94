import dataclasses
import json
import math
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.records.errors import SchemaError
from mainstay.records.executions import EXECUTIONS, STORED_EXECUTION, TRAINED
from mainstay.records.findings import Finding, Interval, ItemCounts, MeasuredWith, Verdict, Waiver
from mainstay.records.metrics import Direction, Kind, Metric, Scoring
from mainstay.records.plans import Plan, PlannedGroup, PlannedWorkload
from mainstay.records.runs import (
    Curve,
    Environment,
    FlippedExample,
    FlippedItem,
    FlipSummary,
    ItemGroup,
    Machine,
    Revision,
    Run,
    Shards,
    WorkloadResult,
)
from mainstay.records.trials import Side
from mainstay.store.documents import run_from_json, run_schema, run_to_json

RECORDS_BY_DEFINITION = {
    "metric": Metric,
    "waiver": Waiver,
    "finding": Finding,
    "items": ItemCounts,
    "curve": Curve,
    "flipped_example": FlippedExample,
    "flipped_item": FlippedItem,
    "item_group": ItemGroup,
    "scoring": Scoring,
    "flip_summary": FlipSummary,
    "workload": WorkloadResult,
    "revision": Revision,
    "shards": Shards,
    "environment": Environment,
    "machine": Machine,
    "plan": Plan,
    "planned_group": PlannedGroup,
    "planned_workload": PlannedWorkload,
}

ADDED = (
    ("plan", "arguments"),
    ("plan", "longest_pair_seconds"),
    ("finding", "is_new"),
    ("finding", "broken_seed"),
    ("items", "share"),
    ("revision", "head"),
    ("run", "shards"),
    ("run", "on_cluster"),
    ("workload", "num_concurrent_pairs"),
    ("workload", "block_weights"),
)
"""Properties that documents of before lack, with their definitions."""


def small_run(**changes: Any) -> Run:
    metric = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
    finding = Finding(
        metric=metric,
        verdict=Verdict.PASS,
        reason="fine",
        interval=Interval(-math.inf, 0.25),
        seeds=(1, 2),
        baseline_values=(0.5, 0.75),
        candidate_values=(0.5, 0.75),
        items=ItemCounts(num_worse=0, num_better=0, num_clusters=2),
    )
    run = Run(
        id="r",
        created="2026-01-01T00:00:00Z",
        mainstay_version="0.1.0",
        verdict=Verdict.PASS,
        reason="fine",
        exit_status=0,
        baseline=Revision(side=Side.BASELINE, commit="ab", tree="cd", subject="s", name="n"),
        candidate=Revision(side=Side.CANDIDATE, commit="ab", tree="cd", subject="s", name="n"),
        environments=(),
        machine=Machine(system="Linux", architecture="x", processor="p", num_cores=2, memory_bytes=1),
        plan=Plan(
            alpha=0.01, margin_level=0.05, looks=(5, 8), num_gated=1, seconds=1.0, fail_fast=False, inconclusive=3, salt="s",
            threads=1, jobs=1, groups=(PlannedGroup(metric=metric, members=("w#a", "v#a")),),
        ),
        findings=(finding,),
        workloads=(WorkloadResult(id="w", kind=Kind.ACCURACY, status="judged"),),
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


def altered(**changes: Any) -> str:
    """A document with some top-level keys replaced."""
    return json.dumps(json.loads(run_to_json(small_run())) | changes)


def altered_finding(**changes: Any) -> str:
    """A document with some keys of its finding replaced."""
    document = json.loads(run_to_json(small_run()))
    document["findings"][0] |= changes
    return json.dumps(document)


def test_run_survives_the_way_to_json_and_back():
    run = small_run()

    assert run_from_json(run_to_json(run), where="run.json") == run


def test_a_document_holds_no_credentials():
    text = run_to_json(small_run(notes=("index https://me:word@host/simple",)))

    assert run_from_json(text, where="run.json").notes == ("index https://****@host/simple",)


@pytest.mark.parametrize(("definition", "name"), ADDED)
def test_a_document_of_before_a_property_was_added_can_be_read(definition, name):
    document = json.loads(run_to_json(small_run()))
    records = {
        "plan": [document["plan"]],
        "finding": document["findings"],
        "items": [finding["items"] for finding in document["findings"]],
        "revision": [document["baseline"], document["candidate"]],
        "run": [document],
        "workload": document["workloads"],
    }
    for record in records[definition]:
        del record[name]

    assert run_from_json(json.dumps(document), where="run.json") == small_run()


def test_infinite_bound_is_null_in_the_document():
    document = json.loads(run_to_json(small_run()))

    assert document["findings"][0]["interval"] == [None, 0.25]


def test_diverged_curve_keeps_its_place_as_null():
    curve = Curve(name="loss", seed=1, baseline=(1.0, math.nan), candidate=(1.0, math.inf))
    workload = WorkloadResult(id="w", kind=Kind.ACCURACY, status="judged", curves=(curve,))

    read = run_from_json(run_to_json(small_run(workloads=(workload,))), where="run.json")

    assert read.workloads[0].curves[0].baseline[0] == 1.0
    assert math.isnan(read.workloads[0].curves[0].baseline[1])
    assert math.isnan(read.workloads[0].curves[0].candidate[1])


@given(st.text(st.characters(), max_size=20))
def test_any_text_can_be_written_and_read(text: str):
    document = run_to_json(small_run(reason=text, notes=(text,)))

    read = run_from_json(document, where="run.json")

    assert document.isascii()
    assert read.notes == (text.encode("utf-8", "backslashreplace").decode(),)


@pytest.mark.parametrize(("definition", "record"), RECORDS_BY_DEFINITION.items())
def test_schema_describes_every_field_and_refuses_others(definition: str, record: type):
    schema = run_schema()["$defs"][definition]

    assert [name for name in schema["properties"] if (definition, name) not in ADDED] == schema["required"]
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(record)}
    assert schema["additionalProperties"] is False


def test_schema_describes_every_field_of_a_run():
    assert set(run_schema()["properties"]) == {field.name for field in dataclasses.fields(Run)}
    assert run_schema()["additionalProperties"] is False


def test_schema_is_valid_json_schema_2020_12():
    assert jsonschema_rs.meta.is_valid(dict(run_schema()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "not a JSON document", id="not-json"),
        pytest.param("[]", "it has no schema_version", id="not-an-object"),
        pytest.param('{"a": 1, "a": 2}', "'a' is given twice", id="key-twice"),
        pytest.param('{"a": NaN}', "NaN is not a JSON number", id="nan"),
        pytest.param("[" * 100_000, "not a JSON document", id="nested-too-deeply"),
        pytest.param(altered(schema_version=2), "schema_version is 2, this mainstay reads 1", id="newer"),
        pytest.param(altered(schema_version=True), "schema_version is True", id="boolean-version"),
        pytest.param(altered(verdict="maybe"), "verdict: ", id="unknown-verdict"),
        pytest.param(altered(exit_status=1), "exit_status: ", id="status-against-verdict"),
        pytest.param(altered(extra=1), "'extra' was unexpected", id="unknown-key"),
        pytest.param(altered_finding(num_pairs="5"), "findings[0].num_pairs: ", id="wrong-type"),
        pytest.param(
            altered_finding(degradations=[0.1]), "findings[0].degradations: has 1 values", id="lengths-differ"
        ),
        pytest.param(altered_finding(metric={}), "findings[0].metric: ", id="key-missing"),
    ],
)
def test_altered_document_is_refused_with_the_path_of_the_bad_key(text: str, message: str):
    with pytest.raises(SchemaError) as caught:
        run_from_json(text, where="run.json")

    assert message in caught.value.fact
    assert caught.value.looked_in == "run.json"


def test_run_that_does_not_fit_the_schema_is_not_written():
    nowhere = Revision(side=Side.BASELINE, commit="not hexadecimal", tree="", subject="", name="")

    with pytest.raises(SchemaError, match=r"baseline\.commit"):
        run_to_json(small_run(baseline=nowhere))


def test_context_that_is_no_number_is_written_as_text():
    workload = WorkloadResult(id="w", kind=Kind.ACCURACY, status="judged", context={"scale": math.inf, "n": 3})

    read = run_from_json(run_to_json(small_run(workloads=(workload,))), where="run.json")

    assert read.workloads[0].context == {"scale": "inf", "n": 3}


def planned_run(execution: str) -> Run:
    planned = PlannedWorkload(id="w", execution=execution, measured_with=MeasuredWith.SHARED, metrics=(), seeds=(1,))
    run = small_run()
    return dataclasses.replace(run, plan=dataclasses.replace(run.plan, workloads=(planned,)))


@pytest.mark.parametrize("execution", [*EXECUTIONS, STORED_EXECUTION, "staged"])
def test_a_plan_is_written_with_every_execution_that_is_registered(execution, monkeypatch, fresh_schema):
    monkeypatch.setitem(EXECUTIONS, "staged", dataclasses.replace(TRAINED, name="staged"))

    run = run_from_json(run_to_json(planned_run(execution)), where="run.json")

    assert run.plan.workloads[0].execution == execution


def test_a_plan_with_an_execution_that_nobody_registered_is_refused():
    with pytest.raises(SchemaError, match=r"plan\.workloads\[0\]\.execution"):
        run_to_json(planned_run("staged"))
