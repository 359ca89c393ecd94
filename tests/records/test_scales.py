import math
import pickle
from dataclasses import replace

import pytest

from mainstay.records.executions import EXECUTIONS
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.scales import Difference, LogRatio

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
def test_values_that_grow_are_a_positive_degradation_where_less_is_better(kind):
    metric = replace(STEP, kind=kind)

    assert metric.degradation(1.0, 1.1) > 0 > replace(metric, direction=Direction.HIGHER).degradation(1.0, 1.1)


def test_a_scale_is_the_same_in_another_process():
    assert pickle.loads(pickle.dumps(STEP)).scale is STEP.scale


def test_every_execution_gates_metrics_of_known_scales_that_it_can_settle():
    for execution in EXECUTIONS.values():
        assert {Kind(kind).scale.is_exact for kind in execution.kinds} == {execution.is_once}
