import math
from dataclasses import replace

import numpy as np
import pytest

from mainstay.gates.trends import metric_trends
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import KeptCommit, KeptMetric, KeptRun, RunKind
from mainstay.records.metrics import Direction, Kind, Metric, Scoring

METRIC = Metric(workload="a.py::a", name="top1", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=1.0)
COUNT = replace(METRIC, name="bytes", kind=Kind.DETERMINISTIC)


def commit(number):
    return KeptCommit(commit=f"{number:040x}", subject=f"change {number}", date="2027-01-31T00:00:00+00:00")


def run(
    number,
    degradations,
    *,
    before=None,
    kind=RunKind.MAIN,
    method=Method.SEQUENTIAL,
    level=0.9,
    machine="A",
    metric=METRIC,
    seeds=(),
):
    kept = KeptMetric(
        metric=metric, verdict=Verdict.PASS, method=method, degradations=tuple(degradations), seeds=tuple(seeds),
        candidate_mean=level,
    )  # fmt: skip
    return KeptRun(
        id=f"r{number}", created="2027-01-31T00:00:00+00:00", kind=kind, verdict=Verdict.PASS,
        baseline=commit(number - 1 if before is None else before), candidate=commit(number), machine=machine,
        packages_digest="p", looks=(5, 8), metrics=(kept,), run_digest="d", mainstay_version="0",
    )  # fmt: skip


def noise(number, mean=0.0, size=8, deviation=0.3):
    return np.random.default_rng(number).normal(mean, deviation, size).tolist()


def increments(trend):
    """What a trend says of increments and anchors; the levels have each run."""
    return replace(trend, levels=())


def test_the_curve_adds_up_first_looks_and_never_more():
    runs = [run(i, [0.5] * 5 + [100.0] * 3) for i in range(1, 4)]

    (trend,) = metric_trends(runs)

    assert [point.value for point in trend.points] == pytest.approx([0.5, 1.0, 1.5])
    assert [point.first_look for point in trend.points] == [0.5, 0.5, 0.5]


def test_what_was_proved_equal_adds_nothing():
    (trend,) = metric_trends([run(1, noise(1)), run(2, (), method=Method.UNCHANGED)])

    assert trend.points[1].value == trend.points[0].value
    assert trend.points[1].error == trend.points[0].error
    assert trend.points[1].first_look == 0.0


def test_a_drift_raises_an_alarm_and_an_anchor_sees_it_too():
    runs = [run(i, noise(i, mean=0.15)) for i in range(1, 101)]
    runs.append(run(100, noise(0, mean=15, size=20), before=0, kind=RunKind.ANCHOR))

    (trend,) = metric_trends(runs)

    assert trend.alarms
    (anchor,) = trend.anchors
    assert anchor.is_alarm
    assert anchor.interval.low < 15 < anchor.interval.high
    assert trend.points[-1].value == pytest.approx(15, abs=0.3)
    assert trend.points[-1].error < 0.1


def test_a_quiet_project_raises_none():
    runs = [run(i, noise(i)) for i in range(1, 101)]
    runs.append(run(100, noise(7, size=20), before=0, kind=RunKind.ANCHOR))

    (trend,) = metric_trends(runs)

    assert (trend.alarms, [anchor.is_alarm for anchor in trend.anchors], trend.num_gaps) == ((), [False], 0)
    assert trend.correlation is None


def test_a_gap_is_counted_and_nothing_is_known_behind_it_until_an_anchor():
    runs = [run(1, noise(1)), run(2, noise(2)), run(7, noise(3)), run(8, noise(4))]

    (trend,) = metric_trends(runs)
    (bridged,) = metric_trends([*runs, run(8, noise(0, mean=2, size=20), before=0, kind=RunKind.ANCHOR)])

    assert trend.num_gaps == bridged.num_gaps == 1
    assert [math.isfinite(point.error) for point in trend.points] == [True, True, False, False]
    assert all(math.isfinite(point.error) for point in bridged.points)


def test_a_gate_that_saw_too_few_pairs_is_a_gap_in_the_curve():
    (trend,) = metric_trends([run(1, noise(1)), run(2, [0.1, 0.2]), run(3, noise(3))])

    assert [math.isfinite(point.error) for point in trend.points] == [True, False, False]


def test_reruns_of_a_commit_are_pooled_and_never_picked():
    (trend,) = metric_trends([run(1, [1.0] * 5), run(1, [-9.0] * 5), run(2, [1.0] * 5)])

    assert [point.value for point in trend.points] == pytest.approx([1.0, 2.0])
    assert trend.num_gaps == 0


def test_a_new_reference_starts_the_curve_again_where_the_old_one_ended():
    runs = [run(i, [0.1, 0.11, 0.09, 0.1, 0.1]) for i in range(1, 9)]
    runs.insert(6, run(6, noise(0, mean=0.2, size=20, deviation=0.01), before=4, kind=RunKind.ANCHOR))

    (trend,) = metric_trends(runs)

    assert [i for i, point in enumerate(trend.points) if point.is_reference] == [4]
    assert trend.points[3].value == pytest.approx(0.4, abs=0.01)
    assert trend.points[5].value == pytest.approx(0.6, abs=0.01)
    assert trend.points[4].error < trend.points[3].error


def test_an_anchor_against_a_release_before_the_history_pins_the_curve_to_that_release():
    runs = [run(i, noise(i)) for i in range(11, 14)]
    runs.append(run(13, noise(0, mean=5, size=20), before=3, kind=RunKind.ANCHOR))

    (trend,) = metric_trends(runs)

    assert trend.points[-1].value == pytest.approx(5, abs=0.3)


def test_an_anchor_of_a_commit_without_a_gate_has_a_place_of_its_own():
    (trend,) = metric_trends([run(1, noise(1)), run(5, noise(2, size=20), before=0, kind=RunKind.ANCHOR)])

    assert [point.verdict for point in trend.points] == [Verdict.PASS, None]
    assert trend.anchors[0].place == 1
    assert math.isfinite(trend.points[1].error)


def test_levels_of_two_machines_are_never_joined():
    runs = [
        run(i, noise(i), level=0.9 + 0.001 * (i % 3) - 0.05 * (i > 30 and i % 2), machine="AB"[i % 2])
        for i in range(1, 81)
    ]

    (trend,) = metric_trends(runs)

    changed = {series.machine: [change.likeliest.subject for change in series.changes] for series in trend.levels}
    assert changed == {"A": [], "B": ["change 31"]}
    (change,) = next(series for series in trend.levels if series.machine == "B").changes
    assert change.before - change.after == pytest.approx(0.05, abs=0.002)
    assert change.likeliest in change.commits


def test_gates_that_follow_one_another_are_told():
    rng, last, runs = np.random.default_rng(0), 0.0, []
    for i in range(1, 201):
        last = 0.8 * last + rng.normal(0, 0.3)
        runs.append(run(i, (last + rng.normal(0, 0.1, 8)).tolist()))

    (trend,) = metric_trends(runs)

    assert trend.correlation > 0.5


def test_counts_and_empty_histories_have_no_trend():
    assert metric_trends([]) == ()
    assert metric_trends([run(1, [0.0], metric=COUNT)]) == ()


def test_a_metric_stands_where_its_first_looks_add_up_to_and_never_its_estimates():
    (trend,) = metric_trends([run(i, [0.5, 0.4, 0.6, 0.5, 0.5] + [100.0] * 3) for i in range(1, 4)])

    standing = trend.standing

    assert (standing.num_runs, standing.reference, standing.commit) == (3, "", commit(3).commit)
    assert standing.degradation == pytest.approx(1.5)
    assert standing.interval.low < 1.5 < standing.interval.high


def test_a_metric_stands_since_the_latest_reference():
    runs = [run(i, [0.1, 0.11, 0.09, 0.1, 0.1]) for i in range(1, 9)]
    runs.insert(6, run(6, noise(0, mean=0.2, size=20, deviation=0.01), before=4, kind=RunKind.ANCHOR))

    (trend,) = metric_trends(runs)

    assert (trend.standing.reference, trend.standing.reference_subject) == (commit(4).commit, "change 4")
    assert trend.standing.degradation == pytest.approx(0.4, abs=0.01)
    assert trend.standing.num_runs == 5  # four gates and the anchor


def test_a_standing_is_an_alarm_only_for_what_came_since_its_reference():
    drift = [run(i, noise(i, mean=0.15)) for i in range(1, 101)]
    anchor = run(104, noise(0, mean=0.0, size=20), before=100, kind=RunKind.ANCHOR)
    quiet = [run(i, noise(i)) for i in range(101, 105)]

    (before,), (after,) = metric_trends(drift), metric_trends([*drift, *quiet, anchor])

    assert before.alarms
    assert before.standing.is_alarm
    assert after.alarms == before.alarms
    assert not after.standing.is_alarm


def test_behind_a_gap_the_last_known_commit_is_told():
    (trend,) = metric_trends([run(1, noise(1)), run(2, noise(2)), run(7, noise(3))])

    assert trend.standing.commit == commit(2).commit
    (unknown,) = metric_trends([run(2, [0.1, 0.2])])
    assert unknown.standing is None


def test_a_rerun_that_repeats_the_trials_of_the_first_counts_once():
    unlucky, others = noise(0, mean=0.3), [run(i, noise(i)) for i in range(1, 31)]

    (once,) = metric_trends([*others, run(31, unlucky)])
    (again,) = metric_trends([*others, run(31, unlucky), run(31, unlucky[:5]), run(31, unlucky)])

    assert increments(again) == increments(once)


def test_the_further_pairs_of_a_longer_rerun_count():
    pairs = noise(0, mean=0.3, size=20)

    (trend,) = metric_trends([run(1, pairs[:8]), run(1, pairs)])
    (expected,) = metric_trends([run(1, pairs)])

    assert increments(trend) == increments(expected)


def test_a_rerun_with_the_same_seeds_counts_once_though_training_is_nondeterministic():
    others = [run(i, noise(i), seeds=range(8)) for i in range(1, 31)]
    first, again = run(31, noise(31, mean=0.3), seeds=range(8)), run(31, noise(32, mean=-9.0), seeds=range(8))

    (once,), (twice,) = metric_trends([*others, first]), metric_trends([*others, first, again, again])
    (reverse,) = metric_trends([*others, again, first])

    assert twice == once
    assert reverse.points[-1].first_look == pytest.approx(np.mean(again.metrics[0].degradations[:5]))


def test_a_rerun_adds_only_the_pairs_of_seeds_that_were_not_recorded_before():
    first, again = noise(1), noise(2, size=12)

    (trend,) = metric_trends([run(1, first[:3], seeds=range(3)), run(1, again, seeds=range(12))])
    (expected,) = metric_trends([run(1, [*first[:3], *again[3:]], seeds=range(12))])

    assert increments(trend) == increments(expected)


def test_equal_results_of_other_seeds_count():
    pairs = [0.2, 0.0, 0.0, 0.1, 0.0]

    (trend,) = metric_trends([run(1, pairs, seeds=range(5)), run(1, pairs, seeds=range(5, 10)), run(2, pairs)])
    (expected,) = metric_trends([run(1, [*pairs, *pairs]), run(2, pairs)])

    assert increments(trend) == increments(expected)


SEEDED = [run(1, noise(number), seeds=seeds) for number, seeds in ((31, range(8)), (32, range(8, 16)))]
SEEDLESS = [run(1, noise(number)) for number in (33, 34)]


@pytest.mark.parametrize(("first", "second"), [(SEEDED, SEEDLESS), (SEEDLESS, SEEDED)], ids=["seeded", "seedless"])
def test_of_reruns_with_and_without_seeds_only_those_like_the_first_count(first, second):
    others = [run(i, noise(i)) for i in range(2, 31)]

    (trend,) = metric_trends([first[0], second[0], first[0], second[1], first[1], second[0], *others])
    (expected,) = metric_trends([*first, *others])

    assert increments(trend) == increments(expected)


@pytest.mark.parametrize(("first", "second"), [(SEEDED, SEEDLESS), (SEEDLESS, SEEDED)], ids=["seeded", "seedless"])
def test_a_level_of_a_rerun_counts_only_if_its_seeds_are_known_to_be_others(first, second):
    (trend,) = metric_trends([first[0], second[0], first[1], second[1]])
    (expected,) = metric_trends(first)

    assert trend.levels == expected.levels


def test_a_rerun_with_seeds_that_repeats_values_recorded_without_them_tells_the_seeds():
    others = [run(i, noise(i)) for i in range(2, 31)]
    pairs, other = noise(31), noise(32, size=16)
    reruns = [run(1, pairs), run(1, pairs, seeds=range(8)), run(1, other, seeds=range(16))]

    (trend,) = metric_trends([*reruns, *others])
    (expected,) = metric_trends([run(1, [*pairs, *other[8:]]), *others])

    assert increments(trend) == increments(expected)


def test_a_rerun_that_repeats_the_trials_of_any_earlier_one_counts_once():
    others = [run(i, noise(i)) for i in range(2, 31)]
    first, longer = noise(31), noise(32, size=12)
    reruns = [run(1, pairs) for pairs in (first, longer[:8], longer[:8], first[:5], longer)]

    (trend,) = metric_trends([*reruns, *others])
    (expected,) = metric_trends([run(1, [*first, *longer]), *others])

    assert increments(trend) == increments(expected)


def test_a_rerun_of_an_anchor_with_the_same_seeds_is_no_further_evidence():
    gates = [run(i, noise(i)) for i in range(1, 21)]
    first, again, fresh = (
        run(20, noise(number, mean=1.0, size=20), before=0, kind=RunKind.ANCHOR, seeds=seeds)
        for number, seeds in ((1, range(20)), (2, range(20)), (3, range(20, 40)))
    )

    (once,), (repeated,) = metric_trends([*gates, first]), metric_trends([*gates, first, again])
    (both,) = metric_trends([*gates, first, fresh])

    assert repeated.anchors == once.anchors
    pairs = [*first.metrics[0].degradations, *fresh.metrics[0].degradations]
    assert both.anchors[0].estimate == pytest.approx(np.mean(pairs))


def test_reruns_with_the_same_seeds_are_no_change_of_level():
    gates = [run(i, noise(i), level=0.9 + 0.001 * (i % 3), seeds=range(8)) for i in range(1, 41)]
    unlucky = [run(40, noise(i), level=0.5, seeds=range(8)) for i in range(41, 61)]
    elsewhere = run(40, noise(61), level=0.5, seeds=range(8), machine="B")

    (once,), (again,) = metric_trends([*gates, elsewhere]), metric_trends([*gates, *unlucky, elsewhere])

    assert again.levels == once.levels
    assert [len(series.values) for series in again.levels] == [40, 1]


def test_two_anchors_of_a_commit_are_tested_once():
    gates = [run(i, noise(i)) for i in range(1, 21)]
    pairs = noise(0, mean=1.0, size=40)
    anchors = [run(20, part, before=0, kind=RunKind.ANCHOR) for part in (pairs[:20], pairs[20:], pairs[:20])]

    (both,) = metric_trends([*gates, *anchors[:2]])
    (repeated,) = metric_trends([*gates, anchors[0], anchors[2]])

    assert [anchor.estimate for anchor in both.anchors] == pytest.approx([np.mean(pairs)])
    assert [anchor.estimate for anchor in repeated.anchors] == pytest.approx([np.mean(pairs[:20])])


def test_the_gate_against_the_commit_before_counts_and_not_one_against_another_commit():
    gates = [run(i, noise(i)) for i in range(1, 6)]
    wrong = run(3, [9.0] * 5, before=1)

    (expected,) = metric_trends(gates)
    (first,) = metric_trends([*gates[:2], wrong, *gates[2:]])
    (last,) = metric_trends([*gates[:3], wrong, *gates[3:]])

    assert increments(first) == increments(expected) == increments(last)
    assert expected.num_gaps == 0


def test_an_anchor_that_was_stored_before_the_first_gate_makes_no_gap():
    gates = [run(i, noise(i)) for i in range(1, 4)]
    anchor = run(1, noise(9, size=20), before=0, kind=RunKind.ANCHOR)

    (trend,) = metric_trends([anchor, *gates])
    (late,) = metric_trends([anchor, gates[1], gates[0], gates[2]])
    (alone,) = metric_trends([anchor])

    assert [each.num_gaps for each in (trend, late, alone)] == [0, 0, 0]
    assert [point.commit for point in late.points] == [point.commit for point in trend.points]


def test_metrics_that_are_judged_on_items_weaken_no_alarm_of_the_others():
    scored = replace(METRIC, workload="b.py::b", scoring=Scoring(score="correct"))
    gates = [run(i, noise(i, mean=0.1)) for i in range(1, 61)]
    both = [
        replace(
            gate, metrics=(*gate.metrics, replace(gate.metrics[0], metric=scored, method=Method.ITEMS, degradations=()))
        )
        for gate in gates
    ]

    (alone,) = metric_trends(gates)
    beside, of_items = metric_trends(both)

    assert beside == alone
    assert (of_items.alarms, of_items.anchors, of_items.standing) == ((), (), None)
    assert [len(series.values) for series in of_items.levels] == [60]
