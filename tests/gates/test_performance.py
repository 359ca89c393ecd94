from dataclasses import replace

import pytest

from mainstay.gates.performance import degradation_resolution, has_ratio


@pytest.mark.parametrize(("value", "expected"), [(1e-12, True), (0.0, False), (-1.0, False), (float("nan"), False)])
def test_only_positive_values_have_a_ratio(value, expected):
    assert has_ratio(value) is expected


def test_a_clock_tick_counts_by_its_share_of_the_shortest_time(step_time):
    assert degradation_resolution(replace(step_time, resolution=1e-6), (1e-3, 2e-3)) == pytest.approx(1e-3)


def test_the_resolution_of_a_difference_is_its_own(top1):
    assert degradation_resolution(top1, (0.5,)) == top1.resolution
