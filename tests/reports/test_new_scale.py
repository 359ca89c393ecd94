"""A scale that a test registers: whatever shows or follows from a metric works with it, without knowing its name."""

import math
from dataclasses import replace

import pytest

from mainstay.gates.trends import metric_trends
from mainstay.records.executions import part_of
from mainstay.records.findings import Verdict
from mainstay.records.history import History
from mainstay.records.scales import Scale
from mainstay.reports.history import render_history
from mainstay.reports.steps import next_steps
from mainstay.reports.view import view_run
from tests.reports.test_history import entry


class Angle(Scale):
    """Angles of shares, in radians: a scale with margins of its own, for values that others hold for fractions."""

    is_relative = False
    takes_shares = True

    def level(self, value):
        return 2 * math.asin(math.sqrt(value))

    def value(self, level):
        return math.sin(level / 2) ** 2

    def complaint(self, value):
        return "" if 0 <= value <= 1 else f"{value:g}, which is no share"

    def displayed(self, degradation, *, is_fraction):
        return degradation

    def displayed_unit(self, unit, *, is_fraction):
        return "rad"


@pytest.fixture
def in_angles(new_kind, failing):
    """The failing run with its accuracy on the new scale, and a waiver of 1.2 rad for it."""
    kind = new_kind("angle", Angle())
    lost, waived, *others = failing.findings
    findings = [
        replace(each, metric=replace(each.metric, kind=kind, direction="higher", unit=""))
        for each in (lost, replace(waived, waiver=replace(waived.waiver, limit=1.2)))
    ]
    return replace(failing, findings=(*findings, *others))


def test_growth_is_the_difference_of_levels():
    assert Angle().growth(0.25, 0.75) == pytest.approx(Angle().level(0.75) - Angle().level(0.25))


def test_a_large_margin_of_its_own_unit_is_not_taken_for_percent(in_angles):
    assert not replace(in_angles.findings[0].metric, margin=1.2).has_margin_in_percent


def test_every_report_is_rendered(in_angles, renderers):
    assert all(render(in_angles) for render in renderers.values())
    assert "0.0051 rad worse" in renderers["text"](in_angles)


def test_a_waiver_is_shown_in_its_unit(in_angles):
    waiver = next(row.waiver for row in view_run(in_angles).findings if row.waiver)

    assert waiver.startswith("degradation up to 1.2 rad accepted")


def test_a_failed_metric_of_a_trained_workload_can_be_explained(in_angles):
    rows = [row for row in view_run(in_angles).findings if row.verdict is Verdict.FAIL]

    assert any("mainstay explain" in step.command for step in next_steps(in_angles, rows))


def test_a_bisection_measures_only_the_accuracy_of_a_probe(in_angles):
    assert part_of(in_angles.findings[0].metric.kind) == "accuracy"


def test_the_history_page_shows_values_and_degradations(in_angles):
    metric = replace(in_angles.findings[0].metric, margin=0.1)
    history = History(entries=tuple(entry(number, metrics=(metric,)) for number in range(1, 61)))
    trends = metric_trends(history.runs)

    page = render_history(history, trends, run_length=1000, title="a project", feed="history.atom")

    (series,) = trends[0].levels
    assert metric.scale.value(series.values[0]) == pytest.approx(0.972)
    assert metric.id in page
    assert "rad" in page
