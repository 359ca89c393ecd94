"""Rates that a page states in a sentence are those that the code computes."""

import pytest

from mainstay.gates.tolerance import MOST_TIMES_CALIBRATED
from mainstay.stats.power import probability_within, supported_ratio


@pytest.mark.parametrize(("num_pairs", "words"), [(5, "in up to {} of gates whose time"), (8, "in up to {} after 8")])
def test_the_page_on_undecided_metrics_states_how_often_twice_the_margin_only_warns(root, num_pairs, words):
    page = (root / "docs" / "how-to" / "read-an-inconclusive.md").read_text("utf-8")
    highest = max(
        probability_within(
            supported_ratio(20), deviation=tenths / 10, num_pairs=num_pairs, most_deviation=MOST_TIMES_CALIBRATED
        )
        for tenths in range(5, 101)
    )

    assert words.format(f"{100 * highest:.0f} %") in page
