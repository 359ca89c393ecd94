"""What was decided before the first pair is told by every report, and folded where a report can fold."""

import re
from dataclasses import replace

import pytest

from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import PlannedGroup, PlannedWorkload
from mainstay.reports.forms import FORMS
from mainstay.reports.plan import MAX_WORKLOADS, plan_rows, plan_title
from mainstay.reports.view import view_run

TITLE = "Decided before the first pair"


@pytest.fixture
def plan(failing):
    return failing.plan


def test_levels_k_and_looks_are_stated(plan):
    assert dict(plan_rows(plan))["levels"].startswith("alpha 1 % shared by K = 4 metrics, ")
    assert dict(plan_rows(plan))["levels"].endswith("looks at 5, 8, 12, 20 pairs")


def test_each_workload_is_told_with_its_execution_its_seeds_and_its_margins(plan):
    (first, *_) = plan.workloads

    told = dict(plan_rows(plan))[first.id]

    assert told.startswith("trained, workload files: shared; seeds ")
    assert "top1_accuracy: higher is better, margin 0.20 points" in told


def test_a_workload_that_is_measured_longer_for_its_margin_is_told(plan):
    step = Metric(workload="b.py::x", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.02)
    timed = PlannedWorkload(
        id="b.py::x", execution="interleaved", measured_with=MeasuredWith.SHARED, metrics=(step,), seeds=(1,)
    )
    usual = replace(timed, metrics=(replace(step, margin=0.05),))

    told, as_usual = (dict(plan_rows(replace(plan, workloads=(each,))))["b.py::x"] for each in (timed, usual))

    assert told.startswith("interleaved, 6.25 times as long on one core, for its margin, workload files: shared")
    assert as_usual.startswith("interleaved, workload files: shared")


def test_margins_of_a_data_set_are_told(plan):
    metric = plan.workloads[0].metrics[0]

    rows = dict(plan_rows(replace(plan, margins_by_dataset={"digits": {metric.id: 0.012}})))

    assert rows["margins on digits, instead of those above"] == f"{metric.id}: 1.20 points"


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        ({"fail_fast": True}, "policy", "the first fail ends the gate"),
        ({"inconclusive": 0}, "policy", "an inconclusive gate exits with 0"),
        (
            {"inconclusive": "warn"},
            "policy",
            "exits with 0 if all estimates lie within their margins at calibrated noise",
        ),
        ({"proof": "unchanged"}, "policy", "code that is proved unchanged passes without being measured"),
        ({"proof": "executed"}, "policy", "so does code that differs where many traced calls execute nothing of it"),
        ({"salt": "a\x1b"}, "seeds", "the salt 'a\\x1b'"),
        ({"prepare": ("python", "fetch.py")}, "workers", "prepare: python fetch.py"),
        ({"num_gated": 1}, "levels", "K = 1 metric,"),
        (
            {"arguments": ("--only", "accuracy", "-k", "mlp or cnn")},
            "part",
            "the workloads that --only accuracy -k 'mlp or cnn' chooses",
        ),
    ],
)
def test_parts_are_told_where_they_say_something(plan, part, name, words):
    assert words in dict(plan_rows(replace(plan, **part)))[name]


def test_groups_are_told_with_their_members_and_margin_and_many_are_counted(plan):
    step = Metric(workload="b.py", name="t_geomean", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
    group = PlannedGroup(metric=step, members=("b.py::x#t", "b.py::y#t"))

    rows = plan_rows(replace(plan, groups=(group,) * (MAX_WORKLOADS + 2)))

    assert dict(rows)["b.py#t_geomean"] == "geometric mean of b.py::x#t, b.py::y#t; margin 5.0 %"
    assert "an undecided member only warns if its estimate lies within its margin" in dict(rows)["policy"]
    assert rows[-1] == ("further groups", "2, in the run document")


def test_many_workloads_are_counted(plan):
    many = tuple(
        PlannedWorkload(id=f"w{number}", execution="once", measured_with=MeasuredWith.SHARED, metrics=(), seeds=(1,))
        for number in range(MAX_WORKLOADS + 7)
    )

    assert plan_rows(replace(plan, workloads=many))[-1] == ("further workloads", "7, in the run document")


def test_the_time_of_a_pair_after_the_first_look_is_told_if_it_may_be_longer(plan):
    told, as_planned = (dict(plan_rows(replace(plan, pair_seconds=0.8, longest_pair_seconds=s))) for s in (2.5, 0.8))

    assert told["limits"] == f"{as_planned['limits']}, up to 2.500 s after the first look"


def test_stored_results_have_no_pairs_to_decide_before(plan):
    stored = replace(plan, looks=())

    assert plan_title(stored) != TITLE
    assert not {"limits", "seeds", "workers"} & dict(plan_rows(stored)).keys()


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.is_complete])
def test_every_report_tells_the_plan(renderers, failing, form):
    report = renderers[form](failing)

    assert TITLE.lower() in report.lower()
    for name, _ in view_run(failing).plan[:5]:
        assert name in report


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_the_plan_is_folded_where_a_report_can_fold(renderers, failing, form):
    (section,) = re.findall(
        rf"<details[^>]*>\s*<summary>{TITLE}</summary>(.*?)</details>", renderers[form](failing), re.DOTALL
    )

    assert "K = 4 metrics" in section
