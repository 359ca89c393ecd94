import math
import pickle
from dataclasses import replace

import pytest

from mainstay.records.executions import EXECUTIONS
from mainstay.records.formatting import degradation_text, value_text
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.scales import Difference, LogRatio, Scale
from mainstay.store import documents

STEP = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, resolution=1e-6)
TOP1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002, resolution=1e-4)


@pytest.mark.parametrize(("value", "is_sound"), [(1e-12, True), (0.0, False), (-1.0, False), (math.nan, False)])
def test_only_positive_values_have_a_ratio(value, is_sound):
    assert (LogRatio().complaint(value) == "") is is_sound


def test_a_difference_takes_every_value():
    assert Difference().complaint(-1.0) == ""


def test_a_clock_tick_counts_by_its_share_of_the_shortest_time():
    assert STEP.scale.resolution(STEP.resolution, (1e-3, 2e-3)) == pytest.approx(1e-3)


def test_the_resolution_of_a_difference_is_its_own():
    assert TOP1.scale.resolution(TOP1.resolution, (0.5,)) == TOP1.resolution


@pytest.mark.parametrize("kind", Kind)
def test_a_margin_comes_back_from_its_scale(kind):
    assert kind.scale.to_margin(kind.scale.from_margin(0.05)) == pytest.approx(0.05)


@pytest.mark.parametrize("kind", Kind)
def test_a_value_comes_back_from_its_level(kind):
    assert kind.scale.value(kind.scale.level(0.9)) == pytest.approx(0.9)


@pytest.mark.parametrize("kind", [kind for kind in Kind if not kind.scale.is_exact])
def test_growth_is_a_difference_of_levels(kind):
    scale = kind.scale

    assert scale.growth(0.5, 0.9) == pytest.approx(scale.level(0.9) - scale.level(0.5))


@pytest.mark.parametrize("kind", Kind)
def test_values_that_grow_are_a_positive_degradation_where_less_is_better(kind):
    metric = replace(STEP, kind=kind)

    assert metric.degradation(0.5, 0.55) > 0 > replace(metric, direction=Direction.HIGHER).degradation(0.5, 0.55)


def test_a_scale_is_the_same_in_another_process():
    assert pickle.loads(pickle.dumps(STEP)).scale is STEP.scale


def test_every_execution_gates_metrics_of_a_known_scale_that_it_can_settle():
    for execution in EXECUTIONS.values():
        assert Kind(execution.kind).scale.is_exact == execution.is_once


class LogOdds(Scale):
    """Of shares: the difference of their log odds; a margin is a fraction of the odds."""

    takes_shares = True

    def level(self, value):
        return math.log(value / (1 - value))

    def value(self, level):
        return 1 / (1 + math.exp(-level))

    def complaint(self, value):
        return "" if 0 < value < 1 else f"{value:g}, which has no odds"


def test_a_scale_with_relative_margins_may_be_of_shares(new_kind):
    metric = replace(TOP1, kind=new_kind("odds", LogOdds()))

    assert metric.is_fraction
    assert value_text(metric, 0.9771) == value_text(TOP1, 0.9771)
    assert degradation_text(metric, 0.02) == "2.00 %"


def test_a_run_document_holds_metrics_of_a_new_scale(new_kind, fresh_schema, sample_run):
    (finding,) = sample_run.findings
    metric = replace(finding.metric, kind=new_kind("odds", LogOdds()))
    run = replace(sample_run, findings=(replace(finding, metric=metric),))

    assert documents.run_from_json(documents.run_to_json(run), where="run.json") == run
