import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.measuring.scheduling import (
    LEAST_PAIR_SECONDS,
    SHARE_OF_SECONDS,
    START_SECONDS,
    derive_seeds,
    describe_fit,
    draw_order,
    fitted_pair_seconds,
    lengthened_pair_seconds,
    measure_all,
    unshortened_seconds,
)
from mainstay.records.trials import Side


@given(salt=st.text(), commit=st.text(), workload=st.text(), num_seeds=st.integers(0, 50))
def test_seeds_are_distinct_and_fit_31_bits(salt, commit, workload, num_seeds):
    seeds = derive_seeds(salt, commit, workload, num_seeds)

    assert len(set(seeds)) == num_seeds
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_more_seeds_begin_with_the_fewer():
    assert derive_seeds("s", "c", "w", 20)[:5] == derive_seeds("s", "c", "w", 5)


@pytest.mark.parametrize(("salt", "commit", "workload"), [("t", "c", "w"), ("s", "d", "w"), ("s", "c", "x")])
def test_seeds_depend_on_every_part(salt, commit, workload):
    assert derive_seeds(salt, commit, workload, 5) != derive_seeds("s", "c", "w", 5)


def test_parts_do_not_run_into_each_other():
    assert derive_seeds("ab", "c", "w", 5) != derive_seeds("a", "bc", "w", 5)


def test_order_is_a_fair_coin_for_every_two_pairs():
    first = Counter(draw_order("s", "c", "w", pair)[0] for pair in range(0, 8000, 2))

    assert 1850 < first[Side.BASELINE] < 2150  # 4.7 standard deviations: 1 in 400,000, and the coin is fixed


def test_the_second_of_two_pairs_reverses_the_order():
    orders = [draw_order("s", "c", "w", pair) for pair in range(100)]

    assert all(second == first[::-1] for first, second in zip(orders[::2], orders[1::2], strict=True))


def test_every_request_is_measured_once():
    with ThreadPoolExecutor(3) as executor:
        results = list(measure_all(range(20), lambda number: number * 2, executor, num_at_once=3))

    assert sorted(results) == list(range(0, 40, 2))


def test_no_more_than_allowed_are_under_way():
    lock, under_way, most = threading.Lock(), [0], [0]

    def measure(_):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        with lock:
            under_way[0] -= 1

    with ThreadPoolExecutor(8) as executor:
        list(measure_all(range(50), measure, executor, num_at_once=2))

    assert most[0] <= 2


def test_requests_that_need_one_process_run_as_many_at_once_as_pairs_have_processes():
    both_started = threading.Barrier(2, timeout=600)
    lock, under_way, most = threading.Lock(), [0], [0]

    def measure(num_processes):
        with lock:
            under_way[0] += num_processes
            most[0] = max(most[0], under_way[0])
        if num_processes == 1:
            both_started.wait()
        with lock:
            under_way[0] -= num_processes

    with ThreadPoolExecutor(8) as executor:
        list(measure_all([2, 1, 1, 2, 3], measure, executor, num_at_once=2, num_processes=lambda number: number))

    assert most[0] == 3  # the one that needs more than there is ran by itself


def test_nothing_starts_after_the_deadline():
    ticks = iter(range(100))

    with ThreadPoolExecutor(1) as executor:
        results = list(
            measure_all(range(50), lambda n: n, executor, num_at_once=1, deadline=10, clock=lambda: next(ticks))
        )

    assert results == list(range(10))


def test_a_failure_reaches_the_caller():
    def measure(number):
        raise ZeroDivisionError

    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        list(measure_all([1], measure, executor, num_at_once=1))


@pytest.mark.parametrize(
    ("num_timed", "seconds", "expected", "words"),
    [
        pytest.param(2, float("inf"), 2.5, "", id="few"),
        pytest.param(64, 900.0, 1.328, "64 timed workloads share 900 s: each is measured for 1.3 s a pair", id="many"),
        pytest.param(
            101,
            90.0,
            0.2,
            "none of them will be decided: that would take 'seconds' = 126, or at most 65 of them (-k, -m, files)",
            id="too-many",
        ),
        pytest.param(101, 20.0, 0.2, "none of them will be decided: that would take 'seconds' = 126", id="no-time"),
        pytest.param(
            101,
            150.0,
            0.2,
            "up to the first look at 5 pairs; metrics that this does not decide will stay undecided: 'seconds' = 202 reaches the look "
            "at 8 pairs",
            id="one-look",
        ),
    ],
)
def test_pairs_of_many_workloads_are_planned_to_fit_the_budget_and_that_is_said(num_timed, seconds, expected, words):
    fitted = fitted_pair_seconds(2.5, stretches=[1.0] * num_timed, looks=(5, 8, 12, 20), seconds=seconds)

    said = describe_fit(2.5, fitted, stretches=[1.0] * num_timed, looks=(5, 8, 12, 20), seconds=seconds)

    assert fitted == pytest.approx(expected, abs=5e-4)
    assert (words in said, bool(said)) == (True, bool(words))


def test_workloads_that_are_measured_longer_count_as_often_in_the_budget_and_that_is_said():
    stretches, looks = [6.25, 1.0, 1.0], (5, 8)

    said = describe_fit(0.2, 0.2, stretches=stretches, looks=looks, seconds=30.0)

    assert fitted_pair_seconds(2.5, stretches=stretches, looks=looks, seconds=132.5) == pytest.approx(1.0)
    assert "3 timed workloads share 30 s: each is measured for 0.2 s a pair (longer with small margins)" in said
    assert "'seconds' = 34, or at most 1 of them" in said


@pytest.mark.parametrize("looks", [(5, 8, 12), (5,)], ids=str)
@pytest.mark.parametrize("pair_seconds", [0.3, 2.5, 3.7])
def test_the_budget_for_pairs_of_a_length_is_the_least_that_leaves_them_as_long(pair_seconds, looks):
    for num_timed in (1, 2, 64, 398):
        seconds = unshortened_seconds(pair_seconds, stretches=[1.0] * num_timed, looks=looks)
        fitted, shortened = (
            fitted_pair_seconds(pair_seconds, stretches=[1.0] * num_timed, looks=looks, seconds=each)
            for each in (seconds, seconds - 2)
        )

        assert fitted == pair_seconds > shortened
        assert describe_fit(pair_seconds, fitted, stretches=[1.0] * num_timed, looks=looks, seconds=seconds) == ""


@given(
    planned=st.floats(LEAST_PAIR_SECONDS, 2.5),
    num_timed=st.integers(0, 200),
    num_pairs=st.integers(0, 15),
    seconds_left=st.floats(-10, 2_000),
)
def test_later_pairs_are_lengthened_up_to_the_configured_time_and_leave_a_reserve(
    planned, num_timed, num_pairs, seconds_left
):
    seconds = lengthened_pair_seconds(
        planned, 2.5, stretches=[1.0] * num_timed, num_pairs=num_pairs, seconds_left=seconds_left
    )

    assert planned <= seconds <= 2.5
    if seconds > planned:
        assert num_pairs * (num_timed * seconds + START_SECONDS) <= SHARE_OF_SECONDS * seconds_left * (1 + 1e-9)


@pytest.mark.parametrize(("seconds", "is_said"), [(27.0, False), (25.0, True)])
def test_a_budget_short_of_the_first_look_is_said_at_any_length_of_a_pair(seconds, is_said):
    said = describe_fit(0.2, 0.2, stretches=[1.0], looks=(5, 8), seconds=seconds)

    assert ("none of them will be decided: that would take 'seconds' = 26" in said) is is_said
    assert bool(said) is is_said
