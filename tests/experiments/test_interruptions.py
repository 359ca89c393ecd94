import pytest

from experiments import interruptions


@pytest.mark.slow
@pytest.mark.package_index
def test_gates_that_are_ended_at_drawn_moments_leave_nothing_and_resume_to_the_same_values():
    outcomes = list(interruptions.run(2))

    assert len(outcomes) == 2 * len(interruptions.SIGNALS)
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
