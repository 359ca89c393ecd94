"""Next steps that suit how a run was gated: of a pull request in CI, in shards, on a cluster, or without a judgement."""

import shlex
from dataclasses import replace

import pytest

from mainstay import cli
from mainstay.records.findings import Finding, Method, Verdict, Waiver
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier
from mainstay.records.runs import Shards
from mainstay.reports.remedies import Gate, Step, next_step
from mainstay.reports.rows import view_finding
from mainstay.reports.view import view_run

MERGE, HEAD = "ab" * 20, "cd" * 20
FOUND = "$(git merge-base 5d41402abc4b cdcdcdcdcdcd) cdcdcdcdcdcd"
"""Both ends of the pull request below."""


def of_pull_request(run):
    """A run as CI gates a pull request: by a merge commit that no clone has."""
    return replace(
        run,
        baseline=replace(run.baseline, name="first parent of the pull request's merge commit"),
        candidate=replace(run.candidate, commit=MERGE, name="HEAD", head=HEAD),
    )


def in_shards(run, *, num_pairs):
    """A run as judged from the pieces of four shards."""
    plan = replace(run.plan, arguments=("--only", "accuracy", "-k", "mlp"))
    return replace(run, plan=plan, shards=Shards(count=4, num_pairs=num_pairs))


def test_the_guilty_commit_of_a_pull_request_is_looked_for_in_its_branch(failing):
    search = view_run(of_pull_request(failing)).next_steps[-1]

    assert search.command == f"mainstay bisect {FOUND}"
    assert search.action.endswith(", in a clone that has its branch")


def test_a_metric_that_a_pull_request_lost_is_looked_for_in_its_branch(failing):
    missing = view_run(of_pull_request(failing)).next_steps[1]

    assert missing.command == f"git diff {FOUND} -- test_performance.py"


def test_what_happened_to_a_file_that_is_missing_is_looked_for_in_that_file(failing):
    missing = next(finding for finding in failing.findings if finding.verdict is Verdict.MISSING)
    file = replace(missing, metric=replace(missing.metric, workload="benchmarks/test_a.py", name="collection"))

    (step, *_) = view_run(replace(failing, findings=(file,))).next_steps

    assert step.command.endswith(" -- benchmarks/test_a.py")


def test_what_needs_the_merge_commit_of_a_pull_request_fetches_it_first(failing, runs):
    repair, _, explanation, _ = view_run(of_pull_request(failing)).next_steps
    undecided = replace(runs["inconclusive"], findings=runs["inconclusive"].findings[2:])
    (settle,) = view_run(of_pull_request(undecided)).next_steps

    assert repair.command == "mainstay gate"
    assert explanation.command == f"git fetch origin {MERGE} && mainstay explain run.json"
    assert settle.command == (
        f"git fetch origin {MERGE} && mainstay gate --baseline 5d41402abc4b --candidate abababababab --seconds 780"
    )


def test_undecided_shards_go_on_to_the_look_that_should_settle_it(runs):
    few = runs["inconclusive"].findings[0]

    (step,) = view_run(in_shards(replace(runs["inconclusive"], findings=(few,)), num_pairs=3)).next_steps

    assert step == Step(
        "top1_accuracy",
        "about 2 further pairs should settle it: run each shard again with '--up-to 5', then judge again",
    )


@pytest.mark.parametrize("further_pairs", [None, 100], ids=["no-number", "beyond-the-plan"])
def test_shards_that_no_planned_pairs_should_settle_go_on_to_the_next_look(runs, further_pairs):
    finding = replace(runs["inconclusive"].findings[2], further_pairs=further_pairs)
    run = replace(runs["inconclusive"], findings=(finding,))

    (step,) = view_run(in_shards(run, num_pairs=5)).next_steps

    assert (step.action, step.command) == ("run each shard again with '--up-to 8', then judge again", "")


def test_shards_whose_items_are_all_scored_are_not_run_again(runs):
    finding = runs["inconclusive"].findings[2]
    of_items = replace(finding, metric=replace(finding.metric, scoring=Scoring(score="accuracy")), further_pairs=100)
    run = in_shards(replace(runs["inconclusive"], findings=(of_items,)), num_pairs=5)

    (whole,) = view_run(run).next_steps
    (cut,) = view_run(replace(run, shards=Shards(count=4, num_pairs=5, cut=("2/4",)))).next_steps

    assert (
        "items should settle it; if the benchmark has no more than these, score every item more often" in whole.action
    )
    assert cut.action == "run the command of each shard whose time was used up again (2/4), then judge again"


def test_shards_after_their_last_look_are_measured_anew_with_more_pairs(runs):
    finding = replace(runs["inconclusive"].findings[1], further_pairs=40)

    (step,) = view_run(in_shards(replace(runs["inconclusive"], findings=(finding,)), num_pairs=20)).next_steps

    assert step.action == "about 40 further pairs should settle it: gate again in shards with 60 in all"
    assert step.command.startswith("mainstay trials --shard I/4 -k mlp --pairs 60 --seconds ")


def test_what_failed_in_shards_is_gated_again_in_shards(failing):
    run = in_shards(replace(failing, baseline=replace(failing.baseline, name="v1.2")), num_pairs=20)

    repair = view_run(run).next_steps[0]

    assert repair.action == "repair what made it worse, then gate again in shards"
    assert repair.command == "mainstay trials --shard I/4 --baseline 5d41402abc4b -k mlp"
    assert cli.trials.make_context("trials", shlex.split(repair.command)[2:]).params["shard"] == "I/4"


def test_a_doubted_gain_of_shards_is_acknowledged_where_their_pieces_are_judged(runs):
    doubted = replace(runs["passing"].findings[0], mark="the gain is implausible")

    step = view_finding(doubted, gate=Gate.of(in_shards(runs["passing"], num_pairs=20))).next_step

    assert step.command == f"mainstay judge --pieces DIR --acknowledge-gain '{doubted.metric.id}'"
    assert cli.judge.make_context("judge", shlex.split(step.command)[2:]).params["acknowledged"] == (doubted.metric.id,)


def test_a_gate_on_a_cluster_is_repeated_there(failing, runs):
    repair, *_ = view_run(replace(failing, on_cluster=True)).next_steps
    undecided = replace(runs["inconclusive"], findings=runs["inconclusive"].findings[2:], on_cluster=True)
    (settle,) = view_run(undecided).next_steps

    assert repair.command == "mainstay gate --cluster ADDRESS"
    assert settle.command == "mainstay gate --cluster ADDRESS --seconds 780"


def test_a_gate_whose_workloads_did_not_run_points_to_them(runs):
    skipped = runs["error"].workloads[-1]
    run = replace(runs["error"], exit_status=4, reason="nothing was judged", findings=(), workloads=(skipped,))

    (step,) = view_run(run).next_steps
    (in_pieces,) = view_run(in_shards(run, num_pairs=20)).next_steps

    assert step.action == (
        "nothing was judged: see the workloads not judged below; gate again where they run, or add --allow-unjudged if "
        "this is expected"
    )
    assert step.command == "mainstay gate"
    assert "--allow-unjudged" not in in_pieces.instruction  # it is an option of 'mainstay gate' alone


def test_a_gate_of_metrics_that_cannot_block_points_to_their_tiers(runs):
    advisory = replace(runs["inconclusive"].findings[1], tier=Tier.ADVISORY)
    run = replace(runs["inconclusive"], verdict=Verdict.ERROR, exit_status=4, findings=(advisory,))

    (step,) = view_run(run).next_steps

    assert step.action.startswith("nothing was judged that could block: see the tier of each metric below, or add ")


def test_a_gate_that_chose_no_workload_points_to_what_chooses_them(runs):
    run = replace(runs["error"], exit_status=4, reason="nothing was judged", findings=(), workloads=())

    (step,) = view_run(run).next_steps

    assert step.action == (
        "nothing was judged since no workload was chosen: correct -k, -m, FILE or the setting 'workloads', or add "
        "--allow-unjudged if this is expected"
    )


def unmeasured(**more):
    """A finding whose time ended before its first pair."""
    metric = Metric(workload="test_a.py::test_a", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01)
    return Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason="too few pairs", **more)


REVIEWED = {"review": "the workload changed", "method": Method.SEQUENTIAL, "further_pairs": 5}
WAIVER = Waiver(metric="a", limit=0.05, reason="a smaller model", until="2999-12-31")


def test_a_waiver_that_lacks_a_degradation_waits_for_more_time_not_for_another_waiver():
    gate = Gate(budget=600.0, seconds=650.0)

    accepted, waived = (next_step(unmeasured(**REVIEWED, waiver=waiver), gate) for waiver in (None, WAIVER))

    assert accepted.command.startswith("mainstay waive ")
    assert waived.action == "about 5 further pairs should settle it: gate again with 5 in all"
    assert waived.command == "mainstay gate --seconds 3300"


def test_a_waiver_of_what_would_be_new_is_renewed_without_a_measurement():
    renewed = next_step(unmeasured(**REVIEWED, waiver=WAIVER, is_new=True))

    assert renewed.command.startswith("mainstay waive ")


@pytest.mark.parametrize("scoring", [None, Scoring(score="a")], ids=["count", "items"])
def test_what_the_time_did_not_reach_needs_more_time_not_less_noise(scoring):
    finding = unmeasured()

    step = next_step(
        replace(finding, metric=replace(finding.metric, scoring=scoring)), Gate(budget=600.0, seconds=650.0)
    )

    assert step.action == "nothing was measured in this time: gate again with more"
    assert step.command == "mainstay gate --seconds 1200"
