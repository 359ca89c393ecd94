import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mainstay.stats.capping import CAP_IN_DEVIATIONS, CAP_IN_MARGINS, degradation_caps

LEVELS = arrays(np.float64, (2, 6), elements=st.floats(-100, 100).map(lambda x: round(x, 3)))


def test_a_steady_metric_is_capped_at_ten_margins():
    levels = [[0.970, 0.971, 0.969], [0.971, 0.970, 0.970]]

    assert degradation_caps(levels, 0.02) == pytest.approx(CAP_IN_MARGINS * 0.02) == pytest.approx(0.2)


@pytest.mark.parametrize("wild", [0, 1], ids=["baseline", "candidate"])
def test_one_revision_that_explodes_does_not_widen_the_cap(wild):
    levels = np.array([[0.970, 0.971, 0.969], [0.971, 0.970, 0.970]])
    levels[wild] = [1e3, 1e300, 5.0]

    assert degradation_caps(levels, 0.02) == pytest.approx(0.2)


def test_noise_above_the_margin_widens_the_cap():
    levels = np.array([[1.0, 2.0, 3.0], [5.0, 3.0, 4.0]])

    assert degradation_caps(levels, 1e-9) == pytest.approx(CAP_IN_DEVIATIONS)


def test_each_metric_has_a_cap_of_its_own():
    levels = np.array([[[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]] * 2)

    assert degradation_caps(levels, [0.1, 0.1]) == pytest.approx([CAP_IN_DEVIATIONS, 1.0])


def test_without_a_margin_nothing_is_capped():
    assert degradation_caps([[1.0, 1.0], [2.0, 2.0]], 0.0) == math.inf


@given(LEVELS, st.floats(0.01, 10))
def test_the_roles_of_the_revisions_are_irrelevant(levels, margin):
    assert degradation_caps(levels, margin) == degradation_caps(levels[::-1], margin)


@given(LEVELS, st.floats(0.01, 10), st.integers(-30, 30))
def test_the_unit_is_irrelevant(levels, margin, exponent):
    factor = 2.0**exponent

    assert degradation_caps(factor * levels, factor * margin) == pytest.approx(
        factor * degradation_caps(levels, margin), rel=1e-12
    )
