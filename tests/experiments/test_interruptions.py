"""The moments at which gates are ended, and what they come to."""

import pytest

from experiments import interruptions


def test_moments_are_drawn_apart_for_each_signal_and_anew_for_each_seed():
    drawn = [interruptions.draw_moment(number, index) for number in interruptions.SIGNALS for index in range(100)]

    assert len({*drawn}) == len(drawn)
    assert 0 <= min(drawn) < 0.1
    assert 1 < max(drawn) <= 1.1
    assert interruptions.draw_moment(interruptions.SIGNALS[0], 0, seed=1) != drawn[0]


def test_moments_tried_before_are_not_tried_again():
    done = [(number.name, 0) for number in interruptions.SIGNALS]

    assert list(interruptions.run(1, done)) == []


def test_document_counts_gates_that_were_ended_apart_from_those_that_came_to_their_verdict():
    facts = {"index": 0, "load": 1.0, "commit": "c", "machine": "m"}
    killed = {"signal": "SIGKILL", "status": -9, "faults": [], **facts}
    ended = {"signal": "SIGTERM", "status": 130, "faults": ["left a folder"], **facts}
    judged = {"signal": "SIGTERM", "status": 1, "faults": [], **facts}

    document = interruptions.document([killed, ended, judged])
    of = {row.pop("signal"): row for row in document["signals"]}

    assert document["moments"] == 3
    assert document["with_faults"] == 1
    assert of["SIGKILL"] == {
        "moments": 1,
        "with_faults": 0,
        "ended_by_it": 1,
        "came_to_its_verdict": 0,
        "load_mean": 1.0,
    }
    assert of["SIGTERM"] == {
        "moments": 2,
        "with_faults": 1,
        "ended_by_it": 1,
        "came_to_its_verdict": 1,
        "load_mean": 1.0,
    }


@pytest.mark.slow
@pytest.mark.package_index
def test_gates_that_are_ended_at_drawn_moments_leave_nothing_and_resume_to_the_same_values():
    rows = list(interruptions.run(2))

    assert len(rows) == 2 * len(interruptions.SIGNALS)
    assert [row for row in rows if row["faults"]] == []
