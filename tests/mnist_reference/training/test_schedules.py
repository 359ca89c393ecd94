import pytest

from mnist_reference.errors import UnknownNameError
from mnist_reference.training.schedules import SCHEDULES, one_cycle, schedule_by_name


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 1000])
def test_every_step_has_a_rate_above_zero_and_at_most_one(name, num_steps):
    schedule = schedule_by_name(name)

    assert all(0 < schedule(step, num_steps) <= 1 for step in range(num_steps))


def test_one_cycle_rises_for_a_fifth_and_falls_to_almost_nothing():
    rates = [one_cycle(step, 1000) for step in range(1000)]

    assert rates[:200] == sorted(rates[:200])
    assert rates[200:] == sorted(rates[200:], reverse=True)
    assert rates[199] == 1.0
    assert rates[-1] == pytest.approx(1 / 800)


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean one_cycle"):
        schedule_by_name("onecycle")
