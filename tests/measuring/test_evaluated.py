"""Evaluations in the loop of a gate: items scored by both revisions, look by look, without a process."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.gates.exact import judge_unchanged
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.ledger import restore_trials
from mainstay.measuring.loop import MeasuredShare, Measurement, SilentObserver
from mainstay.measuring.sharding import Shard
from mainstay.records.executions import EVALUATED, TRAINED
from mainstay.records.findings import Blame, Method, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier, Workload
from mainstay.records.trials import Side
from mainstay.runner.examples import choose_block
from mainstay.runner.recording import Trial as Recorder
from mainstay.store.journal import parse_trial, trial_content
from mainstay.workers.pairs import PairResult
from mainstay.workers.session import TrialForm

WORKLOAD = "benchmarks/test_a.py::test_a"
LOOKS = (0.1, 0.25, 0.5, 1.0)


def metric(name="accuracy", *, margin=0.02, unit="", **scoring):
    return Metric(
        workload=WORKLOAD,
        name=name,
        kind=Kind.ACCURACY,
        direction=Direction.HIGHER,
        margin=margin,
        unit=unit,
        scoring=Scoring(**{"score": "accuracy", **scoring}),
    )


def of_tasks(*tasks, margin=0.02, **scoring):
    """The metrics of a marker with tasks."""
    mean = metric(margin=margin, tasks=tasks, **scoring)
    return (mean, *(metric(f"accuracy/{task}", margin=margin, task=task, **scoring) for task in tasks))


def worker_of(side):
    """What a trial needs to know of a worker."""
    places = {"python": "/e/bin/python", "own": "/e/site", "folder": "/g/folder", "scratch": "/g/scratch"}
    return SimpleNamespace(side=side, files_of=Side.BASELINE, **places)


class Subject:
    """A simulated evaluation: each side is a function that records with a trial, and may know its repetition."""

    def __init__(self, baseline, candidate=None):
        self.behaviour = {Side.BASELINE: baseline, Side.CANDIDATE: candidate or baseline}
        self.measured, self.scored = [], []

    def measure(self, request, known):
        trials = []
        for side in request.sides:
            self.measured.append((request.pair, side, request.repetition))
            recorder = Recorder(request.seed, request.block)
            self.behaviour[side](recorder)
            self.scored += [len(each["ids"]) for each in recorder.recorded()["examples"].values()]
            form = TrialForm(
                spec=worker_of(side),
                workload=request.workload,
                seed=request.seed,
                pair=request.pair,
                repetition=request.repetition,
                gated=request.gated,
                has_items=request.has_items,
            )
            content: Any = {
                "outcome": "completed",
                "cause": "",
                "detail": [],
                "duration_s": 1.0,
                "peak_memory_bytes": 1,
            }
            trials.append(form.ended(content | recorder.recorded(), load=None, last_lines=()))
        return PairResult(request=request, trials=tuple(trials))


def answers(num_items, *, lost=0, gained=0, wrong=0.2, seed=1, with_outputs=True, choose=False, missing=(), **columns):
    """Behaviour with right or wrong answers; the first ``lost`` right ones are lost, as many wrong ones gained."""
    right = [random.Random(f"{seed} {number}").random() > wrong for number in range(num_items)]
    losses = [number for number in range(num_items) if right[number]][:lost]
    gains = [number for number in range(num_items) if not right[number]][:gained]
    scores = [float(value) for value in right]
    for number in losses + gains:
        scores[number] = 1 - scores[number]
    for number in missing:
        scores[number] = None

    def behave(trial):
        ids = [f"q{number}" for number in range(num_items)]
        chosen = trial.choose(ids, **columns) if choose else range(num_items)
        own = {} if choose else {"ids": ids, **columns}
        outputs = {"outputs": [f"answer {scores[i]}" for i in chosen]} if with_outputs else {}
        trial.record_examples("accuracy", [scores[i] for i in chosen], **own, **outputs)

    return behave


@pytest.fixture
def run():
    def run(subject, *metrics, looks=(), trials=(), keep=None, share=None, **options):
        workload = Workload(id=WORKLOAD, execution=EVALUATED, metrics=metrics or (metric(),), looks=looks)
        logs = make_logs([Assignment(workload=workload)], {WORKLOAD: (7,) * max(len(looks), 1)})
        restore_trials(logs, trials)
        with ThreadPoolExecutor(1) as executor:
            measurement = Measurement(
                **{
                    "logs": logs,
                    "settled": (),
                    "design": Design(num_gated=max(len(metrics), 1)),
                    "salt": "",
                    "commit": "c",
                    "margin_of": lambda metric, context: metric.margin,
                    "measure": subject.measure,
                    "measure_timed": None,
                    "pair_seconds": 1.0,
                    "executor": executor,
                    "num_at_once": 1,
                    "trial_seconds": 1.0,
                    "fail_fast": False,
                    "deadline": float("inf"),
                    "observer": SilentObserver(),
                    "keep_trial": keep,
                    **options,
                }
            )
            return measurement.run() if share is None else measurement.measure_share(*share), measurement

    return run


def test_equal_outputs_on_all_items_pass_without_statistics(run):
    subject = Subject(answers(40))

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.method, finding.num_pairs) == (Verdict.PASS, Method.EXACT, 40)
    assert finding.reason == "identical outputs on 40 items"
    assert sorted(subject.measured) == [(0, Side.BASELINE, 0), (0, Side.BASELINE, 1), (0, Side.CANDIDATE, 0)]


def test_equal_scores_without_outputs_are_no_proof(run):
    (finding,), _ = run(Subject(answers(1319, with_outputs=False)))

    assert (finding.verdict, finding.method) == (Verdict.PASS, Method.ITEMS)
    (few,), _ = run(Subject(answers(40, with_outputs=False)))
    assert few.verdict is Verdict.INCONCLUSIVE


def test_a_baseline_that_does_not_repeat_itself_is_judged_by_items(run):
    calls = []

    def unsteady(trial):
        calls.append(1)
        trial.record_examples("accuracy", [1.0] * 40, ids=list(range(40)), outputs=[f"{len(calls) // 3}"] * 40)

    (finding,), _ = run(Subject(unsteady))

    assert finding.method is Method.ITEMS
    assert (finding.items.baseline_flips, finding.items.baseline_repeated) == (0, 40)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [(18, 11, Verdict.PASS), (120, 40, Verdict.FAIL), (60, 30, Verdict.INCONCLUSIVE)],
)
def test_flips_decide_as_for_stored_results(run, lost, gained, verdict):
    (finding,), _ = run(Subject(answers(1319), answers(1319, lost=lost, gained=gained)))

    assert (finding.verdict, finding.items.num_worse, finding.items.num_better) == (verdict, lost, gained)
    assert "the baseline alone 0.0 %" in finding.reason


def test_a_clear_loss_stops_at_the_first_look_and_a_clean_change_early(run):
    clear = Subject(answers(2000, choose=True), answers(2000, lost=1000, choose=True))
    (failed,), _ = run(clear, looks=LOOKS)
    assert (failed.verdict, failed.num_looks, failed.num_pairs) == (Verdict.FAIL, 1, 200)
    assert clear.scored == [200] * 3

    clean = Subject(answers(2000, choose=True), answers(2000, lost=2, gained=2, choose=True))
    (passed,), _ = run(clean, looks=LOOKS)
    assert (passed.verdict, passed.num_looks) == (Verdict.PASS, 2)
    assert (failed.items.share, passed.items.share) == (0.1, 0.25)
    assert clean.scored == [200, 200, 200, 300, 300]


def test_looks_cover_every_item_once_and_the_last_can_prove_equality(run):
    subject = Subject(answers(100, choose=True))

    (finding,), _ = run(subject, looks=LOOKS)

    assert (finding.method, finding.num_pairs) == (Method.EXACT, 100)
    assert subject.scored == [10, 10, 10, 15, 15, 25, 25, 50, 50]


def test_a_workload_that_does_not_choose_is_looked_at_once_with_the_whole_error_rate(run):
    (finding,), _ = run(Subject(answers(1319), answers(1319, lost=18, gained=11)), looks=LOOKS)
    (alone,), _ = run(Subject(answers(1319), answers(1319, lost=18, gained=11)))

    assert finding == alone


def test_missing_scores_count_as_the_worst(run):
    (finding,), _ = run(Subject(answers(1319, with_outputs=False), answers(1319, missing=range(0, 1319, 150))))

    assert finding.items.candidate_missing == 9
    assert finding.items.num_worse > 0
    assert any("missing and count as the worst" in warning for warning in finding.warnings)


def test_too_many_missing_scores_of_the_candidate_are_its_error(run):
    (finding,), _ = run(Subject(answers(1319), answers(1319, missing=range(100))))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)


def first_chosen(num_items, share=LOOKS[0]):
    """Positions of the items that are scored at the first look."""
    blank = [""] * num_items
    return choose_block([f"q{number}" for number in range(num_items)], blank, blank, seed=7, block=(0.0, share))


def stops_after(subject, num_trials):
    """A clock that passes the deadline of 50 once so many trials were measured."""
    return {"deadline": 50.0, "clock": lambda: 100.0 if len(subject.measured) >= num_trials else 0.0}


def test_a_score_missing_at_an_early_look_counts_only_once_there_are_enough_items(run):
    missing = first_chosen(300)[:1]
    subject = Subject(answers(300, wrong=0.0, choose=True), answers(300, wrong=0.0, choose=True, missing=missing))

    (finding,), _ = run(subject, looks=LOOKS)

    assert (finding.verdict, finding.num_pairs, finding.num_looks) == (Verdict.PASS, 300, 2)
    assert finding.items.candidate_missing == 1


@pytest.mark.parametrize("side", list(Side))
def test_an_evaluation_that_ends_at_a_look_with_too_many_missing_scores_is_undecided(run, side):
    whole, lacking = (answers(300, choose=True, missing=missing) for missing in ((), first_chosen(300)[:1]))
    subject = Subject(*((lacking, whole) if side is Side.BASELINE else (whole, lacking)))

    (finding,), measurement = run(subject, looks=LOOKS, **stops_after(subject, 3))

    assert (finding.verdict, finding.blame) == (Verdict.INCONCLUSIVE, None)
    assert f"1 of the {side}, of 30" in finding.reason
    assert any("before all items were scored" in note for note in measurement.notes)


def test_missing_scores_that_no_later_look_can_outweigh_end_an_evaluation_at_once(run):
    subject = Subject(answers(300, choose=True), answers(300, choose=True, missing=first_chosen(300)[:4]))

    (finding,), _ = run(subject, looks=LOOKS)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert subject.scored == [30, 30, 30]


def test_a_task_with_too_many_missing_scores_so_far_leaves_its_mean_and_the_others_open(run):
    def behave(missing=0):
        def record(trial):
            tasks = [f"t{number // 500}" for number in range(1000)]
            chosen = trial.choose(list(range(1000)), task=tasks)
            scores = [1.0] * len(chosen)
            scores[:missing] = [None] * missing  # of t0, whose items come first
            trial.record_examples("accuracy", scores)

        return record

    early = Subject(behave(), behave(missing=2))
    findings, _ = run(early, *of_tasks("t0", "t1"), looks=LOOKS, **stops_after(early, 3))
    assert [finding.verdict for finding in findings] == [Verdict.INCONCLUSIVE] * 3
    assert [finding.tier for finding in findings] == [Tier.BLOCKING] * 3

    calls = []

    def once(trial):
        calls.append(1)
        behave(missing=2 if len(calls) == 1 else 0)(trial)

    findings, _ = run(Subject(behave(), once), *of_tasks("t0", "t1"), looks=LOOKS)
    assert [finding.verdict for finding in findings] == [Verdict.PASS] * 3


def test_a_task_without_items_at_an_early_look_is_judged_at_a_later_one(run):
    late = next(number for number in range(300) if number not in first_chosen(300, LOOKS[-2]))

    def behave(trial):
        chosen = trial.choose([f"q{number}" for number in range(300)])
        trial.record_examples("accuracy", [1.0] * len(chosen), task=["t1" if i == late else "t0" for i in chosen])

    early, whole = Subject(behave), Subject(behave)
    at_first_look, _ = run(early, *of_tasks("t0", "t1"), looks=LOOKS, **stops_after(early, 3))
    at_last_look, _ = run(whole, *of_tasks("t0", "t1", margin=0.2), looks=LOOKS)

    assert [finding.verdict for finding in at_first_look] == [Verdict.INCONCLUSIVE] * 3
    assert at_first_look[2].reason == "none of its items was scored so far"
    assert len(whole.scored) == 9
    assert all(finding.verdict is not Verdict.ERROR for finding in at_last_look)
    assert at_last_look[1].verdict is Verdict.PASS


def test_a_fail_stays_if_scores_of_a_later_look_are_missing_on_both_sides(run):
    def behave(score, num_sound):
        calls = []

        def record(trial):
            calls.append(1)
            tasks = [f"t{number // 500}" for number in range(1000)]
            chosen = trial.choose(list(range(1000)), task=tasks)
            known = score if len(calls) <= num_sound else None
            trial.record_examples("accuracy", [known if number < 500 else 1.0 for number in chosen])

        return record

    subject = Subject(behave(1.0, 2), behave(0.0, 1))  # the baseline is repeated at the first look

    findings, _ = run(subject, *of_tasks("t0", "t1"), looks=LOOKS)

    assert [finding.verdict for finding in findings] == [Verdict.FAIL, Verdict.FAIL, Verdict.PASS]
    assert [finding.num_looks for finding in findings[:2]] == [1, 1]
    assert any("too many scores are missing" in warning for warning in findings[1].warnings)
    assert judge_gate(GateFacts(findings=findings)).exit_status == 1


def losses(*values):
    """Behaviour with a loss for each item, whose range nobody declares."""
    return lambda trial: trial.record_examples("accuracy", values, ids=list(range(len(values))))


@pytest.mark.parametrize("known", [5.0, 1.5])
def test_nothing_bounds_what_a_missing_score_without_a_range_could_have_been(run, known):
    baseline = [5.0, *[known] * 1499]

    (finding,), _ = run(Subject(losses(*baseline), losses(*baseline[:-1], None)), metric(margin=0.05, unit="1"))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "nothing bounds what they could have been" in finding.reason


def chosen_losses(num_items, scores=None, *, renamed=None):
    """Behaviour with a loss of 0.5 for each chosen item, or one of ``scores`` by its position."""

    def behave(trial):
        chosen = trial.choose([f"{'other' if number == renamed else 'q'}{number}" for number in range(num_items)])
        trial.record_examples("accuracy", [(scores or {}).get(number, 0.5) for number in chosen])

    return behave


def test_a_candidate_that_exceeds_the_shares_scored_so_far_is_judged_once_the_baseline_does_so_too(run):
    early = first_chosen(300)[0]
    late = next(number for number in range(300) if number not in first_chosen(300, LOOKS[-2]))
    behaviour = chosen_losses(300, {late: 3.0}), chosen_losses(300, {early: 1.01, late: 3.0})
    lower = replace(metric(margin=0.3), direction=Direction.LOWER)
    cut, whole = Subject(*behaviour), Subject(*behaviour)

    (at_first_look,), _ = run(cut, lower, looks=LOOKS, **stops_after(cut, 3))
    (at_last_look,), _ = run(whole, lower, looks=LOOKS)
    (alone,), _ = run(Subject(*behaviour), lower)

    assert (at_first_look.verdict, at_first_look.blame) == (Verdict.INCONCLUSIVE, None)
    assert f"score of item 'q{early}' is 1.01, and those of the baseline so far are shares" in at_first_look.reason
    assert at_last_look.num_pairs == 300
    assert at_last_look.verdict is alone.verdict is Verdict.INCONCLUSIVE  # unbounded, and fewer than 1,000 items


@pytest.mark.parametrize(
    ("looks", "num_trials"),
    [pytest.param(LOOKS, 9, id="at-the-last-look"), pytest.param((0.999, 1.0), 3, id="once-no-item-is-left")],
)
def test_a_candidate_that_exceeds_the_shares_of_all_items_is_an_error(run, looks, num_trials):
    subject = Subject(chosen_losses(300), chosen_losses(300, {first_chosen(300)[0]: 1.01}))

    (finding,), _ = run(subject, looks=looks)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "the scores of the baseline are shares between 0 and 1" in finding.reason
    assert len(subject.measured) == num_trials


def test_a_choice_from_other_items_is_an_error_at_once_even_if_a_score_is_no_share(run):
    early = first_chosen(300)[0]
    late = next(number for number in range(300) if number not in first_chosen(300))
    subject = Subject(chosen_losses(300), chosen_losses(300, {early: 1.01}, renamed=late))

    (finding,), _ = run(subject, looks=LOOKS)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BOTH)
    assert "choose from items with different ids" in finding.reason
    assert len(subject.measured) == 3


@pytest.mark.parametrize(
    ("num_items", "margin", "verdict"),
    [
        (40, 0.3, Verdict.INCONCLUSIVE),  # enough for shares, but not for counts, which nothing bounds
        (40, 0.5, Verdict.INCONCLUSIVE),
        (1500, 0.5, Verdict.PASS),
    ],
)
def test_counts_are_no_shares_even_if_none_exceeds_one(run, num_items, margin, verdict):
    flipped = num_items // 20
    subject = Subject(answers(num_items), answers(num_items, lost=flipped, gained=flipped))

    (finding,), _ = run(subject, metric("errors", margin=margin, unit="words"))

    assert (finding.verdict, finding.metric.unit) == (verdict, "words")
    assert any("fewer than 1000 items" in warning for warning in finding.warnings) == (num_items < 1000)


def test_the_mean_of_tasks_that_are_no_shares_is_no_share(run):
    def behave(trial):
        for task in ("t0", "t1"):
            trial.record_examples("accuracy", [5.0, *[1.0] * 399], ids=list(range(400)), task=task)

    findings, _ = run(Subject(behave), *of_tasks("t0", "t1"))

    assert [finding.metric.unit for finding in findings] == ["1"] * 3


def test_the_widest_range_of_its_tasks_is_that_of_their_mean(run):
    def behave(trial):
        trial.record_examples("accuracy", [1.0] * 400, ids=list(range(400)), task="t0")
        trial.record_examples("accuracy", [5.0, *[1.0] * 399], ids=list(range(400)), task="t1")

    findings, _ = run(Subject(behave), *of_tasks("t0", "t1"))

    assert [finding.verdict for finding in findings] == [Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.INCONCLUSIVE]


def test_other_items_are_an_error_that_names_the_first(run):
    (finding,), _ = run(Subject(answers(100), answers(99)))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "the candidate lacks item 'q99'" in finding.reason


def test_other_inputs_for_the_same_item_are_an_error(run):
    def asking(text):
        return lambda trial: trial.record_examples("accuracy", [1] * 50, ids=list(range(50)), inputs=[text] * 50)

    (finding,), _ = run(Subject(asking("a?"), asking("b?")))

    assert finding.verdict is Verdict.ERROR
    assert "another prompt" in finding.reason


def test_a_score_that_the_candidate_does_not_record_is_its_error(run):
    (finding,), _ = run(Subject(answers(100), lambda trial: trial.record(other=1.0)))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "the gated metric 'accuracy' was not recorded" in finding.reason


def tasks_of(*sizes, lost=0, last=None, drop=None, extra=None):
    """Behaviour with a task of each size; ``lost`` answers of the last one are lost, and its last score may be given."""

    def behave(trial):
        for number, size in enumerate(sizes):
            scores = [float(i % 5 > 0) for i in range(size)]
            if number == len(sizes) - 1:
                scores = [0.0 if i < lost else score for i, score in enumerate(scores)]
                scores[-1:] = [scores[-1] if last is None else last]
            if number != drop:
                trial.record_examples("accuracy", scores, ids=list(range(size)), task=f"t{number}")
        if extra:
            trial.record_examples("accuracy", [1.0], ids=["x"], task=extra)

    return behave


def test_rounding_of_one_score_changes_no_verdict_and_no_tier(run):
    baseline = tasks_of(500, 500)
    metrics = of_tasks("t0", "t1", margin=0.03)

    exact, _ = run(Subject(baseline, tasks_of(500, 500, lost=16)), *metrics)
    rounded, _ = run(Subject(baseline, tasks_of(500, 500, lost=16, last=1 + 1e-9)), *metrics)

    assert rounded == exact
    assert all(finding.metric.is_fraction for finding in rounded)


def test_a_score_above_one_beside_shares_of_the_baseline_is_an_error_of_the_candidate(run):
    findings, _ = run(Subject(tasks_of(500, 500), tasks_of(500, 500, last=1.5)), *of_tasks("t0", "t1"))

    assert [finding.verdict for finding in findings] == [Verdict.ERROR, Verdict.PASS, Verdict.ERROR]
    assert (findings[2].blame, findings[0].blame) == (Blame.CANDIDATE, Blame.CANDIDATE)
    assert "item '499' of t1 is 1.5" in findings[2].reason
    assert judge_gate(GateFacts(findings=findings)).exit_status == 1


def test_all_tasks_of_a_marker_are_recorded_under_its_one_name():
    assert Workload(id=WORKLOAD, execution=EVALUATED, metrics=of_tasks("t0", "t1")).recorded == ("accuracy",)


def test_tasks_and_their_mean_are_judged_together(run):
    findings, _ = run(Subject(tasks_of(1000, 1000), tasks_of(1000, 1000, lost=400)), *of_tasks("t0", "t1"))

    assert [finding.metric.name for finding in findings] == ["accuracy", "accuracy/t0", "accuracy/t1"]
    assert [finding.verdict for finding in findings] == [Verdict.FAIL, Verdict.PASS, Verdict.FAIL]
    assert findings[0].items.num_tasks == 2


def test_a_small_task_is_a_guard_unless_a_tier_is_declared(run):
    subject = Subject(tasks_of(2000, 30))

    guarded, _ = run(subject, *of_tasks("t0", "t1"))
    blocking, _ = run(subject, *of_tasks("t0", "t1", tier=Tier.BLOCKING))

    assert [finding.tier for finding in guarded] == [Tier.BLOCKING, Tier.BLOCKING, Tier.GUARD]
    assert [finding.tier for finding in blocking] == [Tier.BLOCKING] * 3


def chosen_tasks(*sizes, every=0):
    """Behaviour with a task of each size, whose items are chosen; every so many answers of the last one are lost."""
    tasks = [f"t{number}" for number, size in enumerate(sizes) for _ in range(size)]
    lost = {number for number, task in enumerate(tasks) if every and task == tasks[-1] and number % every == 0}

    def behave(trial):
        chosen = trial.choose(list(range(len(tasks))), task=tasks)
        trial.record_examples("accuracy", [float(number not in lost) for number in chosen])

    return behave


def test_a_task_does_not_become_a_guard_because_the_time_ran_out(run):
    """A tenth of the items supports no margin of 5 points, all of them do."""
    names = [f"t{number}" for number in range(20)]
    subject = Subject(chosen_tasks(*[1000] * 20), chosen_tasks(*[1000] * 20, every=11))

    findings, _ = run(subject, *of_tasks(*names, margin=0.05), looks=LOOKS, **stops_after(subject, 3))

    assert subject.scored == [2000, 2000, 200]
    assert (findings[0].verdict, findings[-1].verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert {finding.tier for finding in findings} == {Tier.BLOCKING}
    assert judge_gate(GateFacts(findings=findings)).exit_status == 3


@pytest.mark.parametrize(
    ("tier", "num_looks", "verdict"), [(Tier.BLOCKING, 1, Verdict.INCONCLUSIVE), (Tier.ADVISORY, 2, Verdict.PASS)]
)
def test_fail_fast_stops_scoring_at_a_fail_that_blocks_and_names_what_is_left_undecided(run, tier, num_looks, verdict):
    mean, spared, worse = of_tasks("t0", "t1", tier=tier)
    spared = replace(spared, scoring=replace(spared.scoring, tier=Tier.BLOCKING))
    subject = Subject(chosen_tasks(2000, 2000), chosen_tasks(2000, 2000, every=2))

    findings, measurement = run(subject, mean, spared, worse, looks=LOOKS, fail_fast=True)

    assert [finding.verdict for finding in findings] == [Verdict.FAIL, verdict, Verdict.FAIL]
    assert findings[1].num_looks == num_looks
    stopped = [f"stopped at the first fail; left undecided: {spared.id}"] if num_looks == 1 else []
    assert measurement.notes == stopped


def test_a_task_that_is_planned_too_small_is_a_guard_at_every_look(run):
    early = Subject(chosen_tasks(2000, 30))
    looked_once, _ = run(early, *of_tasks("t0", "t1"), looks=LOOKS, **stops_after(early, 3))
    looked_at_all, _ = run(Subject(chosen_tasks(2000, 30)), *of_tasks("t0", "t1"), looks=LOOKS)

    for findings in (looked_once, looked_at_all):
        assert [finding.tier for finding in findings] == [Tier.BLOCKING, Tier.BLOCKING, Tier.GUARD]


def test_a_margin_that_the_change_tightened_makes_no_guard(run):
    metrics = of_tasks("t0", "t1", margin=0.05)
    margins = {metrics[2].id: 1e-6}
    subject = Subject(tasks_of(2000, 2000), tasks_of(2000, 2000, lost=3))

    def findings(**options):
        return run(subject, *metrics, margin_of=lambda each, context: margins.get(each.id, each.margin), **options)[0]

    own, tightened = findings(), findings(tier_margin_of=lambda each, context: 0.05)

    assert [each.verdict for each in own] == [Verdict.PASS, Verdict.PASS, Verdict.INCONCLUSIVE]
    assert [each.verdict for each in tightened] == [each.verdict for each in own]
    assert (own[2].tier, judge_gate(GateFacts(findings=own)).exit_status) == (Tier.GUARD, 0)
    assert (tightened[2].tier, judge_gate(GateFacts(findings=tightened)).exit_status) == (Tier.BLOCKING, 3)


def test_a_declared_task_that_the_candidate_does_not_score_is_missing(run):
    findings, _ = run(Subject(tasks_of(500, 500), tasks_of(500, 500, drop=1)), *of_tasks("t0", "t1"))

    assert [finding.verdict for finding in findings] == [Verdict.ERROR, Verdict.PASS, Verdict.MISSING]
    assert findings[0].blame is Blame.CANDIDATE


def test_a_mean_whose_tasks_the_candidate_no_longer_marks_is_its_error(run):
    mean, *_ = of_tasks("t0", "t1")

    (finding,), _ = run(Subject(tasks_of(500, 500)), mean)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "not known without accuracy/t0, accuracy/t1" in finding.reason


def test_a_task_that_no_marker_declares_is_an_error(run):
    findings, _ = run(Subject(tasks_of(500, 500), tasks_of(500, 500, extra="t2")), *of_tasks("t0", "t1"))

    assert {finding.verdict for finding in findings} == {Verdict.ERROR}
    assert "'t2'" in findings[1].reason


def test_an_implausible_gain_is_a_mark_on_the_pass(run):
    (finding,), _ = run(Subject(answers(1319, wrong=0.5), answers(1319, wrong=0.5, gained=200)))

    assert finding.verdict is Verdict.PASS
    assert "chance does not explain" in finding.mark


def test_a_resumed_gate_scores_nothing_twice_and_reaches_the_same_verdict(run):
    kept = []
    behaviour = answers(2000, choose=True), answers(2000, lost=20, gained=9, choose=True)
    (whole,), _ = run(Subject(*behaviour), looks=LOOKS, keep=kept.append)
    first = [parse_trial(trial_content(trial)) for trial in kept[:4]]

    rest = Subject(*behaviour)
    (resumed,), _ = run(rest, looks=LOOKS, trials=first)

    assert resumed == whole
    assert len(rest.measured) == len(kept) - 4


def test_an_earlier_trial_that_lacks_the_scores_of_items_is_measured_again(run):
    kept: list[Any] = []
    expected, _ = run(Subject(answers(40)), keep=kept.append)
    rest = Subject(answers(40))

    resumed, _ = run(rest, trials=[replace(kept[0], examples={}, values={"accuracy": 0.8}), *kept[1:]])

    assert resumed == expected
    assert len(rest.measured) == 1


def test_time_that_runs_out_leaves_the_last_look(run):
    times = iter([0.0] * 8 + [100.0] * 1000)
    subject = Subject(answers(2000, choose=True), answers(2000, lost=40, gained=9, choose=True))

    (finding,), measurement = run(subject, looks=LOOKS, deadline=50.0, clock=lambda: next(times))

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.num_pairs == finding.items.share * 2000
    assert any("time was used up before all items were scored" in note for note in measurement.notes)


@pytest.mark.parametrize(
    ("looks", "num_before"), [pytest.param(LOOKS, 5, id="a-look"), pytest.param((), 2, id="the-repeated-baseline")]
)
def test_a_share_with_an_evaluation_that_was_cut_is_not_complete_and_goes_on(run, looks, num_before):
    """Its looks are no pairs, so it is not complete up to any number of them."""
    chooses, share, kept = bool(looks), (2, Shard(1, 1)), []
    behaviour = answers(2000, choose=chooses), answers(2000, lost=20, gained=9, choose=chooses)
    first, rest = Subject(*behaviour), Subject(*behaviour)

    cut, _ = run(first, looks=looks, share=share, keep=kept.append, **stops_after(first, num_before))
    whole, _ = run(rest, looks=looks, share=share, trials=kept)

    assert cut == MeasuredShare(num_pairs=2, is_complete=False)
    assert whole == MeasuredShare(num_pairs=2, is_complete=True)
    assert not set(first.measured) & set(rest.measured)
    assert len(first.measured + rest.measured) == 2 * max(len(looks), 1) + 1


def test_a_share_whose_trainings_were_cut_is_complete_up_to_the_last_pair_before(run):
    def train(trial):
        trial.record(accuracy=random.Random(trial.seed).random())

    accuracy = replace(metric(), scoring=None)
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(accuracy,))
    logs = make_logs([Assignment(workload=workload)], {WORKLOAD: tuple(range(6))})
    subject = Subject(train)

    cut, _ = run(subject, logs=logs, share=(6, Shard(1, 1)), **stops_after(subject, 8))
    whole, _ = run(subject, logs=logs, share=(6, Shard(1, 1)))

    assert cut == MeasuredShare(num_pairs=4, is_complete=False)
    assert whole == MeasuredShare(num_pairs=6, is_complete=True)


def test_what_a_proof_lets_pass_is_not_scored_and_neither_is_its_mean(run):
    metrics = of_tasks("t0", "t1")
    (log,) = make_logs(
        [Assignment(workload=Workload(id=WORKLOAD, execution=EVALUATED, metrics=metrics))], {WORKLOAD: (7,)}
    )
    log.pass_proved(judge_unchanged)
    subject = Subject(tasks_of(50, 50))

    findings, _ = run(subject, *metrics, logs=[log])

    assert {(finding.verdict, finding.method) for finding in findings} == {(Verdict.PASS, Method.UNCHANGED)}
    assert (len(findings), subject.measured) == (3, [])


def test_a_workload_for_which_no_time_is_left_is_inconclusive(run):
    findings, _ = run(Subject(tasks_of(50, 50)), *of_tasks("t0", "t1"), deadline=0.0, clock=lambda: 1.0)

    assert [finding.verdict for finding in findings] == [Verdict.INCONCLUSIVE] * 3
