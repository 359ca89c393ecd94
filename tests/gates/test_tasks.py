"""All tasks of an evaluation together: who fails, who blocks, and how often a verdict is wrong."""

import numpy as np
import pytest

from mainstay.gates.evaluation import ScoredDifferences
from mainstay.gates.policy import GateFacts, judge_gate
from mainstay.gates.tasks import MACRO, TaskSamples, judge_tasks
from mainstay.records.findings import Blame, Finding, Method, Verdict
from mainstay.records.metrics import FRACTION, Direction, Kind, Metric, Tier
from mainstay.records.scales import PLAIN_NUMBER
from mainstay.stats.proportions import clopper_pearson_interval
from tests.slow_cases import some_always


def metric(name="t", *, margin=0.02, **more):
    more = {"direction": Direction.HIGHER, "unit": FRACTION} | more
    return Metric(workload="evaluation", name=name, kind=Kind.ACCURACY, margin=margin, **more)


def flips(num_items, lost, gained):
    return np.array([1.0] * lost + [-1.0] * gained + [0.0] * (num_items - lost - gained))


def task(differences, name="t", *, margin=0.02, clusters=None, is_binary=True, score_range=1.0, unit=FRACTION, **more):
    items = ScoredDifferences(
        differences=differences,
        guarded=more.pop("guarded", differences),
        clusters=clusters,
        score_range=score_range,
        is_binary=is_binary,
    )
    return TaskSamples(metric=metric(name, margin=margin, unit=unit), items=items, means=(0.7, 0.7), **more)


def judged(*tasks, macro_margin=0.01):
    return judge_tasks(tasks, macro_margin=macro_margin)[0]


def status(findings, policy=3):
    return judge_gate(GateFacts(findings=tuple(findings), inconclusive=policy)).exit_status


def test_one_task_has_no_mean_and_blocks():
    (finding,) = judged(task(flips(1319, 18, 11)))

    assert (finding.verdict, finding.tier, finding.method) == (Verdict.PASS, Tier.BLOCKING, Method.ITEMS)
    assert "18 lost, 11 gained" in finding.reason
    assert (finding.items.num_worse, finding.items.num_better, finding.num_pairs) == (18, 11, 1319)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [(18, 11, Verdict.PASS), (120, 40, Verdict.FAIL), (60, 30, Verdict.INCONCLUSIVE)],
)
def test_interval_and_verdict_say_the_same(lost, gained, verdict):
    (finding,) = judged(task(flips(1319, lost, gained)))

    assert finding.verdict is verdict
    assert (finding.interval.high < 0.02) == (verdict is Verdict.PASS)
    assert (finding.interval.low > 0.02) == (verdict is Verdict.FAIL)


def test_an_inconclusive_says_how_many_items_would_settle_it():
    (finding,) = judged(task(flips(600, 20, 16)))

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert 1000 < finding.num_pairs + finding.further_pairs < 3000  # the note: 1,670 at flips of 6 %
    assert f"{finding.num_pairs + finding.further_pairs:,} items would settle it" in finding.reason


def test_the_mean_of_many_small_tasks_passes_while_each_is_a_guard():
    """MMLU: no task of 246 questions supports 5 points, their mean supports one."""
    rng = np.random.default_rng(1)
    tasks = [task(flips(246, *rng.binomial(246, 0.03, 2)), f"t{number}", margin=0.05) for number in range(57)]

    findings = judged(*tasks)

    assert findings[0].metric.name == MACRO
    assert findings[0].verdict is Verdict.PASS
    assert {finding.tier for finding in findings[1:]} == {Tier.GUARD}
    assert any(finding.verdict is Verdict.INCONCLUSIVE for finding in findings[1:])
    assert status(findings) == 0


def test_a_task_that_happens_to_flip_little_among_noisier_ones_stays_a_guard():
    noisy = [task(flips(246, 10, 10), f"t{number}", margin=0.05) for number in range(20)]

    findings = judged(*noisy, task(flips(246, 13, 1), "lucky", margin=0.05))

    assert (findings[-1].tier, findings[-1].verdict) == (Tier.GUARD, Verdict.INCONCLUSIVE)
    assert judged(*noisy, task(flips(1000, 2, 1), "large", margin=0.05))[-1].tier is Tier.BLOCKING


def test_the_margin_by_which_an_undeclared_tier_is_decided_may_be_wider_than_the_one_that_judges():
    steady = [task(flips(2000, 20, 20), f"t{number}", margin=0.05) for number in range(3)]
    undecided = flips(2000, 22, 20)

    by_its_own = judged(*steady, task(undecided, "tightened", margin=1e-6))
    by_the_wider = judged(*steady, task(undecided, "tightened", margin=1e-6, tier_margin=0.05))

    assert (by_its_own[-1].tier, status(by_its_own)) == (Tier.GUARD, 0)
    assert (by_the_wider[-1].tier, status(by_the_wider)) == (Tier.BLOCKING, 3)
    assert by_the_wider[-1].p_values == by_its_own[-1].p_values


def test_a_task_that_supports_not_even_the_wider_margin_stays_a_guard():
    steady = [task(flips(2000, 20, 20), f"t{number}", margin=0.05) for number in range(3)]

    findings = judged(*steady, task(flips(100, 2, 2), "small", margin=1e-6, tier_margin=0.05))

    assert findings[-1].tier is Tier.GUARD


def test_a_guard_can_fail():
    tasks = [task(flips(246, 7, 7), f"t{number}", margin=0.05) for number in range(56)]

    findings = judged(*tasks, task(flips(246, 45, 7), "lost", margin=0.05))

    assert (findings[-1].tier, findings[-1].verdict) == (Tier.GUARD, Verdict.FAIL)
    assert status(findings) == 1


def test_an_undecided_guard_says_which_degradation_it_does_not_exclude():
    findings = judged(*(task(flips(246, 12, 7), f"t{number}", margin=0.05) for number in range(40)))

    assert any("a guard" in warning and "is not excluded" in warning for warning in findings[1].warnings)


@pytest.mark.parametrize(
    ("tier", "expected"), [(Tier.BLOCKING, 1), (Tier.GUARD, 1), (Tier.ADVISORY, 0), (None, 1)], ids=str
)
def test_a_declared_tier_decides_what_a_fail_does(tier, expected):
    findings = judged(task(flips(2000, 20, 20), "good"), task(flips(2000, 200, 20), "bad", tier=tier))

    assert status(findings) == expected
    assert findings[-1].verdict is Verdict.FAIL


def test_an_advisory_task_is_not_part_of_the_mean():
    findings = judged(task(flips(2000, 20, 20), "good"), task(flips(2000, 200, 20), "bad", tier=Tier.ADVISORY))

    assert [finding.metric.name for finding in findings] == ["good", "bad"]


def test_nothing_passes_where_nothing_blocks():
    findings = judged(*(task(flips(2000, 20, 20), name, tier=Tier.ADVISORY) for name in "ab"))

    assert all(finding.verdict is Verdict.PASS for finding in findings)
    assert status(findings) == 4


def test_identical_outputs_pass_without_statistics():
    (finding,) = judged(task(flips(40, 0, 0), is_identical=True))

    assert (finding.verdict, finding.method) == (Verdict.PASS, Method.EXACT)
    assert finding.reason == "identical outputs on 40 items"


@pytest.mark.parametrize(("policy", "expected"), [(3, 3), (0, 3), (1, 1)])
def test_a_gain_beyond_belief_passes_only_when_a_person_has_looked(policy, expected):
    (finding,) = judged(task(flips(1319, 10, 90)))

    assert (finding.verdict, finding.is_doubted) == (Verdict.PASS, True)
    assert status([finding], policy) == expected


@pytest.mark.parametrize("gained", [12, 30])
def test_a_small_gain_is_not_doubted(gained):
    (finding,) = judged(task(flips(1319, 10, gained)))

    assert not finding.mark


def test_a_pass_must_hold_with_the_baseline_s_missing_scores_at_best():
    (finding,) = judged(task(flips(1319, 5, 35), guarded=flips(1319, 35, 5)))

    assert finding.verdict is not Verdict.PASS
    assert finding.interval.high >= 0.02


@pytest.mark.parametrize(
    ("preset", "blame"),
    [
        (Finding(metric=metric("gone"), verdict=Verdict.MISSING, reason="gone"), Blame.CANDIDATE),
        (Finding(metric=metric("gone"), verdict=Verdict.ERROR, reason="other", blame=Blame.BASELINE), Blame.BASELINE),
        (Finding(metric=metric("gone"), verdict=Verdict.ERROR, reason="other", blame=Blame.BOTH), Blame.BOTH),
    ],
)
def test_the_mean_is_an_error_where_a_task_is_not_known(preset, blame):
    findings = judged(task(flips(2000, 20, 20)), TaskSamples(metric=metric("gone"), preset=preset))

    assert (findings[0].verdict, findings[0].blame) == (Verdict.ERROR, blame)
    assert status(findings) in (1, 4)


def test_a_new_task_counts_nowhere():
    new = Finding(metric=metric("new"), verdict=Verdict.NEW, reason="new")

    findings, design = judge_tasks(
        [task(flips(2000, 20, 20)), TaskSamples(metric=metric("new"), preset=new)], macro_margin=0.01
    )

    assert design.num_gated == 1
    assert [finding.verdict for finding in findings] == [Verdict.PASS, Verdict.NEW]


def test_scores_that_are_no_shares_stay_out_of_the_mean():
    graded = np.random.default_rng(2).normal(0, 1, 2000)

    findings = judged(
        *(task(flips(2000, 20, 20), name) for name in "ab"),
        task(graded, "loss", margin=1.0, is_binary=False, score_range=np.inf, unit=PLAIN_NUMBER),
    )

    assert findings[0].items.num_tasks == 2
    assert findings[-1].tier is Tier.BLOCKING


def test_few_items_without_a_range_pass_nothing():
    graded = np.random.default_rng(3).normal(0, 0.1, 900)

    (finding,) = judged(task(graded, margin=1.0, is_binary=False, score_range=np.inf, unit=PLAIN_NUMBER))

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert any("fewer than 1000 items" in warning for warning in finding.warnings)


def drawn(rng, num_items, noise, degradation):
    """Flips of one task: as many lost as gained, and the degradation besides."""
    lost, gained, _ = rng.multinomial(num_items, [noise / 2 + degradation, noise / 2, 1 - noise - degradation])
    return flips(num_items, lost, gained)


def upper_bound(count, trials):
    return clopper_pearson_interval(count, trials, confidence_level=0.9)[1]


def simulate(trials, tasks, degradation, seed):
    """Exit statuses and verdicts of whole judgements of some tasks: (number of items, share of flips, margin) each."""
    rng = np.random.default_rng(seed)
    statuses, verdicts = [], []
    for _ in range(trials):
        samples = [
            task(drawn(rng, num_items, noise, degradation * margin), f"t{number}", margin=margin)
            for number, (num_items, noise, margin) in enumerate(tasks)
        ]
        findings = judged(*samples, macro_margin=min(margin for *_, margin in tasks))
        statuses.append(status(findings))
        verdicts.append([finding.verdict for finding in findings])
    return np.array(statuses), np.array(verdicts)


DESIGNS = {
    "one-task": [(1319, 0.03, 0.02)],
    "few-flips": [(300, 0.005, 0.02)],
    "unequal-tasks": [(100, 0.1, 0.05), (300, 0.03, 0.03), (900, 0.01, 0.02)] * 2,
}
ALWAYS = {"one-task"}


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_clean_changes_rarely_fail(design):
    statuses, _ = simulate(400, DESIGNS[design], 0.0, seed=11)

    assert upper_bound(int((statuses == 1).sum()), 400) <= 0.015


@pytest.mark.parametrize("design", some_always(DESIGNS, ALWAYS))
def test_a_degradation_of_twice_the_margin_rarely_passes(design):
    statuses, verdicts = simulate(300, DESIGNS[design], 2.0, seed=12)

    assert (statuses == 0).mean() <= 0.01
    assert (verdicts[:, 0] == Verdict.PASS).mean() <= 0.01  # the only task, or the mean


@pytest.mark.parametrize("design", some_always(DESIGNS, ALWAYS))
def test_a_degradation_of_the_margin_passes_at_most_at_the_edge(design):
    _, verdicts = simulate(300, DESIGNS[design], 1.0, seed=13)

    passes = int((verdicts[:, 0] == Verdict.PASS).sum())
    assert clopper_pearson_interval(passes, 300, confidence_level=0.98)[0] <= 0.05
