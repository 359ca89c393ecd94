import math
import random
from dataclasses import replace

import pytest

from mainstay.project.configuration import Configuration
from mainstay.records.findings import Blame, EarlierRuns, Interval, Method, Verdict
from mainstay.records.metrics import Kind, Scoring, Tier
from mainstay.reports.circumstances import error_rate
from mainstay.reports.counting import VERDICT_ORDER
from mainstay.reports.forms import FORMS
from mainstay.reports.headline import EXIT_MEANINGS
from mainstay.reports.remedies import Gate, Step, waive_command
from mainstay.reports.rows import view_finding
from mainstay.reports.suspects import MAX_SUSPECTS, Suspect
from mainstay.reports.view import view_run


def noise(seed, count):
    """Deviates of a normal distribution."""
    draw = random.Random(seed).gauss
    return [draw(0, 1) for _ in range(count)]


def test_what_blocks_a_merge_comes_first(failing):
    verdicts = [row.verdict for row in view_run(failing).findings]

    assert verdicts == sorted(verdicts, key=VERDICT_ORDER.index)
    assert verdicts[0] is Verdict.FAIL


def test_every_verdict_has_a_place():
    assert set(VERDICT_ORDER) == set(Verdict)


def test_rows_keep_the_numbers_of_the_run(failing):
    for row in view_run(failing).findings:
        assert failing.findings[row.number - 1].metric.id == row.metric


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("passing", "PASS: may be merged"),
        ("failing", "FAIL: do not merge as it is"),
        ("inconclusive", "INCONCLUSIVE: do not merge yet, it is not decided"),
        ("error", "ERROR: do not merge, the candidate could not be measured"),
    ],
)
def test_headline_says_whether_to_merge(runs, name, headline):
    assert view_run(runs[name]).headline == headline


def test_error_that_is_not_the_candidates_says_nothing_about_the_change(runs):
    assert view_run(replace(runs["error"], exit_status=4)).advice == "says nothing about the change"


def test_inconclusive_that_policy_maps_to_success_says_so(runs):
    view = view_run(replace(runs["inconclusive"], exit_status=0))

    assert view.exit_meaning == "undecided, which the policy maps to 0"


def test_every_exit_status_has_a_meaning():
    assert set(EXIT_MEANINGS) == {0, 1, 2, 3, 4, 130}


def test_a_waiver_is_the_last_resort_with_a_limit_that_leaves_room_for_other_seeds(failing):
    view = view_run(failing)
    lost = failing.findings[0]

    command = view.last_resorts[0].command
    limit = float(command.split("--limit ")[1].split()[0])

    assert command.startswith("mainstay waive 'test_accuracy.py::test_mnist_mlp#top1_accuracy'")
    assert lost.interval.high <= limit < 2 * lost.estimate
    assert not any("waive" in step.instruction for step in view.next_steps)


def test_a_waiver_says_what_it_accepts(failing):
    lost, missing = view_run(failing).last_resorts

    assert lost.accepted.startswith("top1_accuracy up to 0.")
    assert lost.accepted.endswith(" points")
    assert missing.command.startswith("mainstay waive 'test_performance.py::test_augmentation#time' ")
    assert missing.accepted == "that test_augmentation#time is gone"


def test_seeds_are_counted_beside_those_planned(failing):
    first, second, *_ = failing.plan.workloads
    workloads = (replace(first, seeds=tuple(range(90))), replace(second, seeds=tuple(range(90, 180))))
    findings = tuple(
        replace(each, seeds=seeds) for each, seeds in zip(failing.findings, ((0, 1), (0, 1, 2), (90,)), strict=False)
    )

    view = view_run(replace(failing, findings=findings, plan=replace(failing.plan, workloads=workloads)))

    assert dict(view.facts)["seeds"] == "4 used of 180 planned"


def test_the_limit_of_a_waiver_holds_under_other_seeds(failing):
    lost = failing.findings[0]
    limit = float(waive_command(lost).split("--limit ")[1].split()[0])
    means = [
        lost.estimate + lost.standard_deviation * math.fsum(noise(seed, 5)) / 5 for seed in range(1000)
    ]  # gates that end at their first look

    assert sum(mean > limit for mean in means) < 10


def test_the_limit_of_a_waiver_of_stored_results_expects_as_many_items_again(failing):
    lost = replace(failing.findings[0], num_pairs=1000, standard_deviation=0.1, interval=None)

    limit = float(waive_command(lost, Gate(first_look=0)).split("--limit ")[1].split()[0])

    assert limit == pytest.approx(lost.estimate + 3 * 0.1 * math.sqrt(2 / 1000), rel=0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "passing",
            "of metrics that are worse by their margin, at most 5 in 100 pass; of those worse by twice their margin, at most 1 in 100",
        ),
        ("failing", "of changes that make nothing worse, at most 1 in 100 fail (false alarms)"),
        ("inconclusive", "undecided: neither a degradation beyond the margin nor its absence was shown"),
        (
            "error",
            "certain: the candidate failed where the baseline did not; how much it changed was not measured",
        ),
    ],
)  # fmt: skip
def test_each_verdict_says_how_sure_it_is(runs, name, expected):
    assert view_run(runs[name]).sureness == expected


def test_a_pass_without_statistics_names_what_was_compared_and_what_that_excludes(runs):
    passing = runs["passing"]
    exact, count = passing.findings[:2], passing.findings[3]

    view = view_run(replace(passing, findings=(*exact, count)))

    assert view.sentence == "no change in top1_accuracy, negative_log_likelihood, parameters"
    assert view.sureness == (
        "certain for what was run: identical, bit for bit, on each of 2 seeds; a change that alters the results of more "
        "than 90 % of seeds would be missed in at most 1 % of gates; certain: comparison of two deterministic values"
    )


def test_a_missing_metric_is_certain(failing):
    missing = failing.findings[-1]

    view = view_run(replace(failing, verdict=Verdict.MISSING, findings=(missing,)))

    assert view.sureness == "certain: the candidate does not have it"


def test_an_undecided_metric_that_needs_a_person_promises_no_error_rate(runs):
    run = runs["inconclusive"]
    finding = replace(run.findings[1], review="the workload changed")

    assert "a person has to decide" in view_run(replace(run, findings=(finding,))).sureness


@pytest.mark.parametrize(
    ("verdicts", "sureness", "meaning"),
    [
        ((), "nothing was judged, so nothing is known about the change", "nothing was judged that could block"),
        (
            (Verdict.NEW, Verdict.NEW),
            "nothing was judged: all metrics are new",
            "nothing was judged that could block",
        ),
        (
            (Verdict.NEW, Verdict.WAIVED),
            "accepted by a waiver, not within the margin",
            "nothing degraded by more than its margin except what is waived",
        ),
    ],
    ids=["nothing", "new", "waived"],
)
def test_a_gate_that_passes_without_a_metric_within_its_margin_promises_no_error_rate(
    runs, verdicts, sureness, meaning
):
    passing = runs["passing"]
    step = passing.findings[2]
    findings = tuple(
        replace(step, verdict=verdict, metric=replace(step.metric, name=f"time_{i}"))
        for i, verdict in enumerate(verdicts)
    )

    view = view_run(replace(passing, findings=findings))

    assert (view.sureness, view.exit_meaning) == (sureness, meaning)
    assert "no degradation beyond the margins was found" not in view.next_steps[0].action


def test_a_gate_of_guards_alone_says_that_they_are_undecided(runs):
    guard = replace(runs["inconclusive"].findings[1], tier=Tier.GUARD)

    view = view_run(replace(runs["passing"], findings=(guard,)))

    assert view.sureness == "undecided: neither a degradation beyond the margin nor its absence was shown"
    assert view.exit_meaning == "no degradation beyond a margin was found, and what is undecided only warns"
    assert view.next_steps[0].action.endswith("was found, undecided metrics only warn")


def test_an_undecided_guard_is_not_said_to_be_within_its_margin_beside_what_fails_without_blocking(runs, failing):
    guard = replace(runs["inconclusive"].findings[1], tier=Tier.GUARD)
    advisory = replace(next(each for each in failing.findings if each.verdict is Verdict.FAIL), tier=Tier.ADVISORY)

    alone = view_run(replace(runs["passing"], findings=(guard, advisory)))
    beside = view_run(replace(runs["passing"], findings=(*runs["passing"].findings[:2], guard)))

    assert alone.exit_meaning == (
        "no degradation beyond a margin was found in what blocks, and what is undecided only warns"
    )
    assert beside.exit_meaning == "nothing that blocks degraded by more than its margin"


def test_a_metric_that_fails_without_blocking_is_named_and_nothing_denies_it(runs, failing):
    advisory = replace(next(each for each in failing.findings if each.verdict is Verdict.FAIL), tier=Tier.ADVISORY)

    view = view_run(replace(runs["passing"], findings=(*runs["passing"].findings[:2], advisory)))

    label = next(row.label for row in view.findings if row.verdict is Verdict.FAIL)
    assert view.sentence.endswith(f"; failed without blocking: {label}")
    assert view.exit_meaning == "nothing that blocks degraded by more than its margin"
    assert view.next_steps[0].action.endswith("what degraded beyond its margin does not block")


def test_a_gate_that_judged_nothing_knows_no_size(runs):
    view = view_run(replace(runs["error"], findings=(), workloads=()))

    assert view.sureness == "nothing was judged, so nothing is known about the change"


def test_what_only_the_candidate_cannot_run_is_reproduced_first(runs):
    reproduce, repair = view_run(runs["error"]).next_steps

    assert reproduce.command == "python -m pytest test_accuracy.py::test_mnist_mlp"
    assert reproduce.minutes == "about 2 min"
    assert (repair.about, repair.action) == ("top1_accuracy", "repair the candidate, then gate again")


@pytest.fixture
def broken_at_seeds(runs):
    """Makes a run whose accuracies broke at these seeds, with a workload of two metrics for each."""

    def make(*seeds, kind=Kind.ACCURACY):
        lost = runs["error"].findings[0]
        metrics = [
            replace(lost.metric, workload=f"test_{i}.py::test", name=name, kind=kind)
            for i in range(len(seeds))
            for name in ("top1_accuracy", "loss")
        ]
        return replace(
            runs["error"],
            findings=tuple(replace(lost, metric=each, broken_seed=seeds[n // 2]) for n, each in enumerate(metrics)),
        )

    return make


def test_a_broken_training_is_reproduced_with_its_seed(broken_at_seeds):
    reproduce, repair = view_run(broken_at_seeds(526392842)).next_steps

    assert reproduce.command == "python -m pytest test_0.py::test --trial-seed 526392842"
    assert (reproduce.about, repair.about) == ("top1_accuracy, loss", "top1_accuracy, loss")


def test_trainings_that_broke_at_several_seeds_are_reproduced_one_by_one(broken_at_seeds):
    *reproduce, repair = view_run(broken_at_seeds(7, 7, 8, 9)).next_steps

    assert [step.command for step in reproduce] == [
        "python -m pytest test_0.py::test test_1.py::test --trial-seed 7",
        "python -m pytest test_2.py::test --trial-seed 8",
    ]
    assert repair.action == "repair the candidate, then gate again"


def test_a_timed_workload_that_broke_is_reproduced_without_a_seed(broken_at_seeds):
    reproduce, _ = view_run(broken_at_seeds(7, 8, kind=Kind.PERFORMANCE)).next_steps

    assert reproduce.command == "python -m pytest test_0.py::test test_1.py::test"


def test_a_training_that_explodes_is_repeated_with_its_seed(runs, failing):
    lost = failing.findings[0]
    degradations = (*lost.degradations[:3], 9.0, *lost.degradations[4:])
    exploded = replace(
        lost, verdict=Verdict.INCONCLUSIVE, degradations=degradations, cap=0.5, further_pairs=None, estimate=0.001
    )

    step = view_finding(exploded, gate=Gate.of(failing)).next_step

    assert step.action == f"train the candidate with seed {lost.seeds[3]} alone and see why it explodes"
    assert step.command == f"python -m pytest test_accuracy.py::test_mnist_mlp --trial-seed {lost.seeds[3]}"
    assert step.minutes == "about 1 min"


def test_every_command_to_run_next_says_how_long_it_takes(run):
    steps = view_run(run).next_steps

    assert all(step.minutes for step in steps if step.command)


def test_the_sentence_names_what_decided_with_its_number(failing):
    view = view_run(failing)

    assert view.sentence == (
        "top1_accuracy is 0.51 points worse (interval 0.38 to 0.65 points worse, 5 pairs), more than its margin of 0.20 points"
    )
    assert view.counts == "1 worse, 1 missing, 1 waived, 1 new, 1 within margin"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "passing",
            (
                "all 5 metrics passed; test_train_step#time, whose interval reaches nearest to its margin, is 0.4 % "
                "slower (interval 0.8 % faster to 1.6 % slower, 5 pairs) against a margin of 5.0 %"
            ),
        ),
        (
            "error",
            (
                "top1_accuracy: the candidate raised RuntimeError twice while the baseline was sound "
                "(RuntimeError: expected theta of shape (64, 2, 3), got (64, 3, 3))"
            ),
        ),
    ],
)
def test_the_sentence_of_other_verdicts_says_what_is_closest_or_broken(runs, name, sentence):
    assert view_run(runs[name]).sentence == sentence


def test_a_doubted_pass_is_not_told_together_with_the_passes_that_are_not(runs):
    passing = runs["passing"]
    doubted = replace(passing.findings[0], mark="the gain is implausible")

    view = view_run(replace(passing, verdict=Verdict.INCONCLUSIVE, findings=(doubted, *passing.findings[1:])))

    assert view.sentence == "top1_accuracy: the gain is implausible"


def test_a_pass_of_a_single_metric_names_it(runs):
    passing = runs["passing"]

    view = view_run(replace(passing, findings=passing.findings[2:3]))

    assert view.sentence.startswith("test_train_step#time, the only metric, passed: it is 0.4 % slower (interval ")


def test_the_sentence_names_the_other_metrics_with_the_verdict_that_decided(failing):
    lost = failing.findings[0]
    other = replace(lost, metric=replace(lost.metric, name="recall"))

    view = view_run(replace(failing, findings=(*failing.findings, other)))

    assert view.sentence.endswith("more than its margin of 0.20 points; also worse: recall")


def test_an_estimate_that_rounds_to_its_margin_gets_one_more_digit(runs):
    run = runs["inconclusive"]
    finding = run.findings[1]
    near = replace(finding, estimate=finding.metric.scaled_margin * 0.998)

    row = view_finding(near)

    assert (row.change, row.margin) == ("4.99 % slower", "5.00 %")


def test_undecided_metrics_beside_one_that_is_worse_are_not_forgotten(failing, runs):
    undecided = runs["inconclusive"].findings[1]

    *_, wait = view_run(replace(failing, findings=(failing.findings[0], undecided))).next_steps

    assert wait == Step("test_train_step#time", "undecided so far: measured again by the next gate")


def test_the_waivers_file_is_the_one_that_a_gate_reads_by_default(failing):
    assert view_run(failing).waivers_file.startswith(f"{Configuration().waivers}, ")


def test_a_gate_without_findings_says_its_reason(runs):
    run = replace(runs["error"], findings=(), workloads=(), reason="nothing was judged")

    assert view_run(run).sentence == "nothing was judged"


def test_steps_have_one_command_each_with_its_minutes(failing):
    repair, missing, explanation = view_run(failing).next_steps

    assert repair == Step(
        "top1_accuracy", "repair what made it worse, then gate again", "mainstay gate", "the gate takes about 5 min"
    )
    assert missing.command == "git diff 5d41402abc4b 9e107d9d372b -- test_performance.py"
    assert explanation.command == "mainstay explain 20261124T101500Z-3f9c2ab1"


def test_no_trial_is_explained_if_nothing_was_trained(failing):
    plan = replace(
        failing.plan, workloads=tuple(replace(each, execution="evaluated") for each in failing.plan.workloads)
    )

    steps = view_run(replace(failing, plan=plan)).next_steps

    assert not any("explain" in step.command for step in steps)


def test_no_trial_is_explained_if_no_accuracy_failed(failing):
    findings = tuple(finding for finding in failing.findings if finding.metric.kind is not Kind.ACCURACY)

    steps = view_run(replace(failing, findings=findings)).next_steps

    assert not any("explain" in step.command for step in steps)


def test_a_baseline_that_was_named_is_named_again(failing):
    named = replace(failing.baseline, name="v1.2")

    repair, *_ = view_run(replace(failing, baseline=named)).next_steps

    assert repair.command == "mainstay gate --baseline 5d41402abc4b"


PART = ("--only", "accuracy", "-k", "mlp and not slow", "benchmarks/test_a.py")
PART_OF_SHELL = "--only accuracy -k 'mlp and not slow' benchmarks/test_a.py"


def test_a_gate_of_a_part_is_repeated_with_the_arguments_that_chose_it(failing, runs):
    def of_part(run):
        return replace(run, plan=replace(run.plan, arguments=PART))

    repair, *_ = view_run(of_part(replace(failing, baseline=replace(failing.baseline, name="v1.2")))).next_steps
    undecided = of_part(replace(runs["inconclusive"], findings=runs["inconclusive"].findings[2:]))
    (settle,) = view_run(undecided).next_steps

    assert repair.command == f"mainstay gate --baseline 5d41402abc4b {PART_OF_SHELL}"
    assert settle.command == f"mainstay gate {PART_OF_SHELL} --seconds 780"


def test_another_baseline_is_gated_against_with_the_arguments_that_chose_a_part(runs):
    run = replace(runs["error"], plan=replace(runs["error"].plan, arguments=PART))

    step = view_finding(replace(run.findings[0], blame=Blame.BASELINE), gate=Gate.of(run)).next_step

    assert step.command == f"mainstay gate --baseline REVISION {PART_OF_SHELL}"


def test_a_candidate_of_commits_is_searched_for_the_one_to_blame(failing):
    committed = replace(failing.candidate, name="change")

    search = view_run(replace(failing, candidate=committed)).next_steps[-1]

    assert search.command == "mainstay bisect 5d41402abc4b 9e107d9d372b"
    assert search.minutes == "about 5 min a probe"


def test_an_inconclusive_gate_has_one_thing_to_do(runs):
    run = runs["inconclusive"]
    only = view_run(replace(run, findings=run.findings[2:])).next_steps

    assert [step.instruction for step in only] == [
        "about 7 further pairs should settle it: gate again with 12 in all: mainstay gate --seconds 780 (the gate takes about 13 min)"
    ]
    assert len(view_run(run).next_steps) == 1


def test_a_degradation_about_as_large_as_the_margin_is_for_a_person_to_decide(runs):
    run = runs["inconclusive"]
    findings = (replace(run.findings[1], further_pairs=None), *run.findings[2:])

    (step,) = view_run(replace(run, findings=findings)).next_steps

    assert step.about == "test_train_step#time"
    assert step.action.startswith("too near the margin for any reasonable number of pairs to decide")
    assert "the marker in test_performance.py" in step.action


def test_each_file_with_a_margin_to_decide_about_is_named(runs):
    run = runs["inconclusive"]
    near = replace(run.findings[1], further_pairs=None)
    other = replace(near, metric=replace(near.metric, workload="test_other.py::test_other"))

    steps = view_run(replace(run, findings=(near, other))).next_steps

    assert ["test_performance.py" in steps[0].action, "test_other.py" in steps[1].action] == [True, True]


def test_pairs_beyond_the_last_look_are_asked_for_by_number(runs):
    run = runs["inconclusive"]
    finding = replace(run.findings[1], further_pairs=40)

    (step,) = view_run(replace(run, findings=(finding,))).next_steps

    assert step.command.startswith("mainstay gate --pairs 60 --seconds ")


def test_estimate_without_bounds_is_no_fact(failing):
    early = replace(failing.findings[0], interval=None, num_looks=0, reason="too few pairs to judge")

    row = view_finding(early)

    assert (row.interval, row.method) == ("unknown", "paired t, before its first look")
    assert view_run(replace(failing, findings=(early,))).sentence == "top1_accuracy: too few pairs to judge"


def test_a_pass_that_rests_on_a_waiver_says_so(runs):
    waived = replace(runs["passing"], findings=(runs["failing"].findings[1],))

    assert "waived" in view_run(waived).next_steps[0].action
    assert "waived" not in view_run(runs["passing"]).next_steps[0].action


@pytest.mark.parametrize(
    ("further_pairs", "action"),
    [
        (7, "about 7 further pairs should settle it"),
        (1, "about 1 further pair should settle it"),
        (None, "no planned number of pairs is expected to settle it"),
    ],
)
def test_inconclusive_metric_names_what_would_settle_it(runs, further_pairs, action):
    finding = replace(runs["inconclusive"].findings[0], further_pairs=further_pairs)

    assert view_finding(finding).next_step.action.startswith(action)


@pytest.mark.parametrize(
    ("blame", "action"),
    [
        (Blame.CANDIDATE, "repair the candidate"),
        (Blame.BASELINE, "the baseline cannot be measured"),
        (Blame.ENVIRONMENT, "repair the machine"),
        (None, "repair the machine"),
    ],
)
def test_error_names_what_to_repair(runs, blame, action):
    finding = replace(runs["error"].findings[0], blame=blame)

    assert view_finding(finding).next_step.action.startswith(action)


def test_margin_that_pairs_cannot_resolve_is_admitted(runs):
    finding = replace(runs["inconclusive"].findings[1], passes_below=-0.001)

    assert "a clean change is not sure to pass" in view_finding(finding).detectable


def test_flipped_examples_are_counted_under_accuracy_only(failing):
    rows = {row.name: row for row in view_run(failing).findings if row.verdict is not Verdict.MISSING}

    assert rows["top1_accuracy"].flipped[0].startswith("9 right to wrong and 3 wrong to right of 1000")
    assert rows["time"].flipped == ()


def test_error_rate_states_what_the_levels_promise(failing):
    (promise,) = view_run(failing).error_rate

    assert "a clean change fails in at most 1 % of gates" in promise


@pytest.mark.parametrize("looks", [(5, 8), ()], ids=["measured", "stored"])
@pytest.mark.parametrize("tier", [Tier.GUARD, Tier.ADVISORY])
def test_error_rate_leaves_out_items_that_do_not_block(failing, looks, tier):
    finding = replace(failing.findings[0], method=Method.ITEMS, tier=tier)

    said = error_rate(replace(failing.plan, looks=looks), [*failing.findings, finding])

    assert said[-1] == "a guard or advisory metric may have degraded by more than its margin although the gate passes"
    assert len(error_rate(failing.plan, [replace(finding, method=Method.EXACT)])) == 2
    assert "statistics" in error_rate(failing.plan, [replace(finding, method=Method.EXACT)])[-1]


def test_gate_without_statistics_spends_no_error(runs):
    exact = replace(runs["passing"], findings=runs["passing"].findings[:2])

    assert view_run(exact).error_rate[-1].startswith("nothing here was judged by statistics")


def test_without_a_history_nothing_is_told_of_earlier_runs(runs):
    view = view_run(runs["passing"])

    assert dict(view.facts)["earlier runs"].startswith("no local history")
    assert not any(row.earlier_runs for row in view.findings)


def test_earlier_runs_are_told_with_their_interval_and_number(failing):
    earlier = EarlierRuns(
        num_runs=23,
        reference="ab" * 20,
        reference_subject="Release 1.0",
        commit="cd" * 20,
        degradation=0.01,
        interval=Interval(0.004, 0.016),
        is_alarm=True,
    )
    findings = tuple(
        replace(each, earlier_runs=earlier if each.metric.name == "time" and each.verdict is Verdict.PASS else None)
        for each in failing.findings
    )

    view = view_run(replace(failing, findings=findings))

    (row,) = [row for row in view.findings if row.earlier_runs]
    assert (row.name, row.verdict) == ("time", Verdict.PASS)
    assert row.earlier_runs == (
        "1.0 % slower since ababababab Release 1.0 (95 %: 0.401 to 1.61 %; 23 runs), as of cdcdcdcdcd; it is degraded: "
        "'mainstay bisect' finds the commit"
    )
    assert (
        dict(view.facts)["earlier runs"]
        == f"the history says where 1 of {len(findings)} metrics stood; see each metric"
    )


def test_only_dependencies_that_differ_are_named(failing, runs):
    assert view_run(failing).suspects == (
        Suspect("dependency", "einops", "absent -> 0.8.1"),
        Suspect("dependency", "numpy", "2.3.4 -> 2.4.0"),
    )
    assert view_run(runs["passing"]).suspects == ()


def test_files_that_differ_are_suspects_and_many_are_counted(runs):
    files = tuple(f"package/module_{i:02}.py" for i in range(MAX_SUSPECTS + 5))

    *named, more = view_run(replace(runs["passing"], differing_files=files)).suspects

    assert named == [Suspect("installed file", name) for name in files[:MAX_SUSPECTS]]
    assert more.name == "and 5 more installed files, in the run document"


def test_run_without_environments_can_be_shown(failing):
    view = view_run(replace(failing, environments=(), findings=(), workloads=(), phases_s={}))

    assert view.counts == "no findings"
    assert view.suspects == ()


def test_waived_finding_keeps_its_numbers_with_reason_and_last_day(failing):
    waived = next(row for row in view_run(failing).findings if row.verdict is Verdict.WAIVED)

    assert waived.change == "0.031 nat worse"
    assert (
        waived.waiver
        == "degradation up to 0.05 nat accepted until 2027-03-31: label smoothing is meant to cost likelihood"
    )


def test_environment_variables_of_the_run_are_in_no_report(run, renderers):
    for render in renderers.values():
        assert "PYTHONHASHSEED" not in render(run)


def test_what_lost_most_of_its_margin_comes_first_among_equal_verdicts(many_findings):
    rows = view_run(many_findings(30, 5)).findings

    for verdict in {row.verdict for row in rows}:
        lost = [row.sort_degradation for row in rows if row.verdict is verdict]
        assert lost == sorted(lost, reverse=True)
        assert lost[0] > lost[-1]


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"json"} | {"terminal"}))
def test_every_report_begins_with_what_lost_most(renderers, many_findings, form):
    run = many_findings(12, 5)
    fails = sorted((f for f in run.findings if f.verdict is Verdict.FAIL), key=lambda finding: -finding.estimate)
    ids = [finding.metric.id for finding in fails]

    report = renderers[form](replace(run, reason="because", workloads=()))
    places = [report.replace('" name="', "#").find(name.split("#")[0]) for name in ids]

    assert len(fails) > 2
    assert places == sorted(places)


def test_a_margin_below_the_noise_is_told_only_where_it_bears_on_the_verdict(runs):
    finding = replace(runs["inconclusive"].findings[1], passes_below=-0.01)

    told = {
        verdict: "a clean change is not sure to pass" in view_finding(replace(finding, verdict=verdict)).detectable
        for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
    }

    assert told == {Verdict.PASS: False, Verdict.FAIL: False, Verdict.INCONCLUSIVE: True}


def test_the_next_step_after_an_explosion_names_its_seeds(runs):
    finding = runs["inconclusive"].findings[1]
    degradations = (9.0, *finding.degradations[1:4], 9.5, *finding.degradations[5:])

    row = view_finding(replace(finding, degradations=degradations, cap=0.5, further_pairs=None))

    assert row.next_step.action == (
        f"train the candidate with seeds {finding.seeds[0]}, {finding.seeds[4]} alone and see why it explodes"
    )
    assert row.estimate.startswith("at least 6.6 % slower")
    assert row.predicate.startswith("is at least 6.6 % slower (interval ")


@pytest.mark.parametrize(
    ("estimate", "found"),
    [(4e-6, "shows no measurable difference (interval "), (-0.004, "is 0.4 % faster (interval ")],
    ids=["rounds-to-nothing", "faster"],
)
def test_a_headline_shows_no_size_that_rounds_to_nothing(runs, estimate, found):
    finding = next(each for each in runs["passing"].findings if each.metric.kind is Kind.PERFORMANCE)

    row = view_finding(replace(finding, estimate=estimate, degradations=()))

    assert row.predicate.startswith(found)


def test_the_next_step_after_unequal_items_is_to_score_the_same_ones(failing):
    metric = replace(failing.findings[0].metric, scoring=Scoring(score="accuracy"))
    finding = replace(failing.findings[0], metric=metric, verdict=Verdict.ERROR, blame=Blame.BOTH)

    step = view_finding(finding).next_step

    assert "score the same items on both sides" in step.action
    assert step.command.startswith("mainstay gate")


def test_a_gate_whose_undecided_metrics_only_warn_can_be_merged(runs):
    run = runs["inconclusive"]
    findings = tuple(replace(finding, is_tolerated=True) for finding in run.findings)

    view = view_run(replace(run, findings=findings, exit_status=0))

    assert [step.action for step in view.next_steps] == [
        "merge when the review is done: no degradation beyond the margins was found, undecided metrics only warn"
    ]


def test_the_metric_whose_interval_comes_nearest_to_its_margin_is_called_closest(runs):
    passing = runs["passing"]
    step = passing.findings[2]
    noisy = replace(
        step, metric=replace(step.metric, workload="test_noisy.py::test_noisy"), estimate=-0.01,
        interval=Interval(-0.06, 0.045),
    )  # fmt: skip

    view = view_run(replace(passing, findings=(*passing.findings, noisy)))

    assert "test_noisy#time, whose interval reaches nearest to its margin," in view.sentence


def test_a_policy_that_lets_an_undecided_gate_pass_is_told_in_the_headline(runs):
    view = view_run(replace(runs["inconclusive"], exit_status=0))

    assert view.headline == "INCONCLUSIVE: not decided, which the policy allows to merge"
    assert view.exit_meaning == "undecided, which the policy maps to 0"
