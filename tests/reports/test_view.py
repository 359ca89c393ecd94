from dataclasses import replace

import pytest

from mainstay.records.findings import Blame, Verdict
from mainstay.reports.view import EXIT_MEANINGS, VERDICT_ORDER, view_finding, view_run


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
        ("inconclusive", "INCONCLUSIVE: not decided"),
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


def test_failing_metric_offers_the_command_that_accepts_its_degradation(failing):
    lost = view_run(failing).findings[0]

    limit = float(lost.next_step.command.split("--limit ")[1].split()[0])

    assert lost.next_step.command.startswith("mainstay waive 'test_accuracy.py::test_mnist_mlp#top1_accuracy'")
    assert failing.findings[0].estimate <= limit < 1.1 * failing.findings[0].estimate


def test_steps_at_the_top_say_by_how_much_before_what_to_do(failing):
    lost, missing = view_run(failing).next_steps

    assert lost.fact == "0.53 points worse, interval 0.39 to 0.68, margin 0.20 points"
    assert missing.fact == "the candidate no longer has this workload"
    assert lost.sentence.startswith(f"{failing.findings[0].metric.id} ({lost.fact}): repair it")


def test_estimate_without_bounds_is_no_fact(failing):
    early = replace(failing.findings[0], interval=None, num_looks=0, reason="too few pairs to judge")

    row = view_finding(early)

    assert (row.fact, row.method) == ("too few pairs to judge", "paired t, before its first look")


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


def test_gate_without_statistics_spends_no_error(runs):
    exact = replace(runs["passing"], findings=runs["passing"].findings[:2])

    assert view_run(exact).error_rate[-1].startswith("nothing here was judged by statistics")


def test_earlier_runs_are_not_known(run):
    assert dict(view_run(run).facts)["earlier runs"] == "not known"


def test_only_dependencies_that_differ_are_named(failing, runs):
    assert view_run(failing).packages == (("einops", "absent", "0.8.1"), ("numpy", "2.3.4", "2.4.0"))
    assert view_run(runs["passing"]).packages == ()


def test_run_without_environments_can_be_shown(failing):
    view = view_run(replace(failing, environments=(), findings=(), workloads=(), phases_s={}))

    assert view.counts == "no findings"
    assert view.packages == ()


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


@pytest.mark.parametrize("form", ["text", "terminal", "markdown", "html", "junit", "annotations"])
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
    assert row.fact.startswith("at least 6.6 % slower, interval ")


def test_a_gate_whose_undecided_metrics_only_warn_can_be_merged(runs):
    run = runs["inconclusive"]
    findings = tuple(replace(finding, is_tolerated=True) for finding in run.findings)

    view = view_run(replace(run, findings=findings, exit_status=0))

    assert [step.action for step in view.next_steps] == [
        "merge when the review is done: no degradation beyond the margins was found, what is undecided only warns"
    ]
