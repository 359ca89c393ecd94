from dataclasses import replace
from itertools import product

import pytest

from mainstay.gates.policy import GATE_RULES, Design, GateFacts, judge_gate
from mainstay.records.errors import ConfigurationError
from mainstay.records.findings import Blame, Verdict
from mainstay.records.metrics import Tier

EXIT_STATUS_OF_A_FINDING = {
    ("pass", None): 0,
    ("waived", None): 0,
    ("new", None): 0,
    ("inconclusive", None): 3,
    ("fail", None): 1,
    ("missing", None): 1,
    ("error", Blame.CANDIDATE): 1,
    ("error", Blame.BASELINE): 4,
    ("error", Blame.BOTH): 4,
    ("error", Blame.ENVIRONMENT): 4,
    ("error", None): 4,
}
"""Status of a gate with one such finding beside one that passes."""

PRECEDENCE = [1, 4, 3, 0]
"""Of two findings, the status that comes first decides."""


@pytest.mark.parametrize(("kind", "status"), list(EXIT_STATUS_OF_A_FINDING.items()), ids=str)
def test_exit_status_of_every_verdict(finding_of, kind, status):
    assert judge_gate(GateFacts(findings=(finding_of("pass"), finding_of(*kind)))).exit_status == status


@pytest.mark.parametrize(("first", "second"), list(product(EXIT_STATUS_OF_A_FINDING, repeat=2)), ids=str)
def test_exit_status_of_every_pair_of_verdicts(finding_of, first, second):
    expected = min(EXIT_STATUS_OF_A_FINDING[first], EXIT_STATUS_OF_A_FINDING[second], key=PRECEDENCE.index)

    status = judge_gate(GateFacts(findings=(finding_of(*first), finding_of("pass"), finding_of(*second)))).exit_status

    assert status == expected


@pytest.mark.parametrize("mapped", [0, 1, 3, "warn"])
@pytest.mark.parametrize(("kind", "status"), list(EXIT_STATUS_OF_A_FINDING.items()), ids=str)
def test_policy_maps_inconclusive_and_nothing_else(finding_of, mapped, kind, status):
    facts = GateFacts(findings=(finding_of("pass"), finding_of(*kind)), inconclusive=mapped)

    status_of_undecided = 3 if mapped == "warn" else mapped
    assert judge_gate(facts).exit_status == (status_of_undecided if status == 3 else status)


@pytest.mark.parametrize(("mapped", "status"), [(0, 3), (1, 1), (3, 3), ("warn", 3)])
def test_no_policy_lets_pass_what_needs_a_review(finding_of, mapped, status):
    unreviewed = replace(finding_of("inconclusive"), review="the workload changed")
    findings = (finding_of("pass"), finding_of("inconclusive"), unreviewed)

    judgement = judge_gate(GateFacts(findings=findings, inconclusive=mapped))

    assert (judgement.verdict, judgement.exit_status) == (Verdict.INCONCLUSIVE, status)
    assert judgement.reason.startswith("what judges a metric was changed and needs a review: ")
    assert judgement.reason.count("top1_accuracy") == 1


@pytest.mark.parametrize(("kind", "status"), list(EXIT_STATUS_OF_A_FINDING.items()), ids=str)
def test_what_needs_a_review_precedes_only_what_would_pass(finding_of, kind, status):
    unreviewed = replace(finding_of("inconclusive"), review="the workload changed")
    facts = GateFacts(findings=(unreviewed, finding_of(*kind)), inconclusive=0)

    assert judge_gate(facts).exit_status == min(status, 3, key=PRECEDENCE.index)


@pytest.mark.parametrize(("kind", "status"), list(EXIT_STATUS_OF_A_FINDING.items()), ids=str)
def test_what_is_tolerated_never_decides_beside_another(finding_of, kind, status):
    tolerated = replace(finding_of("inconclusive"), is_tolerated=True)

    judgement = judge_gate(GateFacts(findings=(tolerated, finding_of(*kind)), inconclusive="warn"))

    assert judgement.exit_status == status
    assert judgement.verdict is (
        Verdict.INCONCLUSIVE if status == 0 else judge_gate(GateFacts(findings=(finding_of(*kind),))).verdict
    )


def test_what_is_tolerated_is_counted_and_no_pass(finding_of):
    tolerated = replace(finding_of("inconclusive"), is_tolerated=True)

    alone = judge_gate(GateFacts(findings=(tolerated,), inconclusive="warn"))
    beside = judge_gate(GateFacts(findings=(finding_of("pass"), tolerated, tolerated), inconclusive="warn"))

    assert (alone.verdict, alone.exit_status) == (beside.verdict, beside.exit_status) == (Verdict.INCONCLUSIVE, 0)
    assert beside.reason.startswith(
        "all undecided metrics lie within their margins at calibrated noise, 2 of 3 metrics: "
    )


@pytest.mark.parametrize("change", [{"review": "the workload changed"}, {"verdict": Verdict.FAIL}], ids=str)
def test_nothing_is_tolerated_that_fails_or_needs_a_review(finding_of, change):
    finding = replace(finding_of("inconclusive"), is_tolerated=True, **change)

    assert judge_gate(GateFacts(findings=(finding_of("pass"), finding), inconclusive="warn")).exit_status in {1, 3}


def test_what_the_first_change_with_workloads_adds_is_new_and_passes(finding_of):
    first = GateFacts(findings=(finding_of("new"), finding_of("new")), is_first=True)

    assert judge_gate(first).exit_status == 0
    assert "the baseline gates nothing, all 2 are new and judged from the next change on" in judge_gate(first).reason
    assert judge_gate(GateFacts(is_first=True)).exit_status == 4
    assert judge_gate(replace(first, findings=(finding_of("new"), finding_of("error")))).exit_status == 4


@pytest.mark.parametrize("verdicts", [(), ("new",), ("new", "new")], ids=str)
def test_nothing_judged_is_broken_unless_allowed(finding_of, verdicts):
    findings = tuple(map(finding_of, verdicts))

    assert judge_gate(GateFacts(findings=findings)).exit_status == 4
    assert judge_gate(GateFacts(findings=findings)).reason == "nothing was judged"
    assert judge_gate(GateFacts(findings=findings, allow_unjudged=True)).exit_status == 0


def test_new_metrics_of_a_baseline_that_gates_others_are_not_called_its_first(finding_of):
    facts = GateFacts(findings=(finding_of("new"), finding_of("new")), allow_unjudged=True)

    assert judge_gate(facts).reason == "nothing was judged that could block: all 2 are new"
    assert "the baseline gates nothing" in judge_gate(replace(facts, is_first=True)).reason


@pytest.mark.parametrize(
    ("tier", "num_looks", "status"),
    [
        pytest.param(Tier.GUARD, 1, 0, id="guard"),
        pytest.param(Tier.GUARD, 0, 4, id="guard-without-a-look"),
        pytest.param(Tier.ADVISORY, 1, 4, id="advisory"),
    ],
)
@pytest.mark.parametrize("others", [(), ("new",)], ids=["alone", "beside-what-is-new"])
def test_an_undecided_guard_counts_as_judged_once_it_could_have_failed(finding_of, tier, num_looks, status, others):
    finding = replace(finding_of("inconclusive"), tier=tier, num_looks=num_looks)

    judgement = judge_gate(GateFacts(findings=(finding, *map(finding_of, others))))

    assert judgement.exit_status == status
    assert (judgement.verdict is Verdict.PASS) == (status == 0)


@pytest.mark.parametrize(("kind", "status"), [("missing", 1), ("error", 4), ("inconclusive", 3), ("waived", 0)])
def test_allowing_nothing_judged_allows_nothing_else(finding_of, kind, status):
    assert judge_gate(GateFacts(findings=(finding_of(kind),), allow_unjudged=True)).exit_status == status


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("pass", "new", "waived"), Verdict.PASS),
        (("pass", "inconclusive"), Verdict.INCONCLUSIVE),
        (("fail", "error", "inconclusive"), Verdict.FAIL),
        (("missing", "error"), Verdict.MISSING),
        (("error", "inconclusive"), Verdict.ERROR),
    ],
)
def test_verdict_of_a_gate(finding_of, verdicts, expected):
    assert judge_gate(GateFacts(findings=tuple(map(finding_of, verdicts)))).verdict is expected


def test_only_a_gate_that_passes_is_mapped_or_tolerated_exits_with_zero():
    assert [rule.verdict for rule in GATE_RULES if rule.status == 0] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert GATE_RULES[-1].verdict is Verdict.PASS


def test_reason_names_the_metrics_that_decided(finding_of):
    facts = GateFacts(findings=(finding_of("pass"), *[finding_of("fail")] * 5))

    reason = judge_gate(facts).reason

    assert reason.startswith("a metric degraded by more than its margin: test_accuracy.py::test_mlp#top1_accuracy, ")
    assert reason.endswith(" and 2 more")


def test_reason_of_a_candidate_error_leaves_the_other_errors_out(finding_of):
    facts = GateFacts(findings=(finding_of("error", Blame.BASELINE), finding_of("error", Blame.CANDIDATE)))

    assert judge_gate(facts).reason.count("top1_accuracy") == 1


def test_reason_of_a_pass_counts(finding_of):
    facts = GateFacts(findings=(finding_of("pass"), finding_of("new")))

    assert judge_gate(facts).reason == "no metric degraded by more than its margin: 1 of 2 passed"


def test_reason_of_a_pass_names_what_is_waived(finding_of):
    facts = GateFacts(findings=(finding_of("pass"), finding_of("waived")))

    assert judge_gate(facts).reason == (
        "no metric degraded by more than its margin except what is waived: 1 of 2 passed, waived: "
        "test_accuracy.py::test_mlp#top1_accuracy"
    )


def test_reason_of_a_pass_names_what_failed_without_blocking(finding_of):
    advisory = replace(finding_of("fail"), tier=Tier.ADVISORY)

    judgement = judge_gate(GateFacts(findings=(finding_of("pass"), advisory)))

    assert (judgement.verdict, judgement.exit_status) == (Verdict.PASS, 0)
    assert judgement.reason == (
        "no metric that blocks degraded by more than its margin: 1 of 2 passed, failed without blocking: "
        "test_accuracy.py::test_mlp#top1_accuracy"
    )


LIMITED = "no metric that blocks degraded by more than its margin"
NOT_FOUND = "no degradation beyond a margin was found"
ONLY_WARNS = "and what is undecided only warns"
NOT_JUDGED = "nothing was judged that could block"
ADVISORY_FAIL, ADVISORY_PASS, GUARD = ("fail", Tier.ADVISORY), ("pass", Tier.ADVISORY), ("inconclusive", Tier.GUARD)


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (("pass", GUARD), f"{LIMITED}: 1 of 2 passed, 1 that does not block is undecided"),
        (("pass", GUARD, GUARD), f"{LIMITED}: 1 of 3 passed, 2 that do not block are undecided"),
        (("pass", ("missing", Tier.ADVISORY)), f"{LIMITED}: 1 of 2 passed"),
        (
            ("waived", ADVISORY_FAIL),
            f"{LIMITED} except what is waived: 0 of 2 passed, waived: m0, failed without blocking: m1",
        ),
        (
            (GUARD, ADVISORY_FAIL),
            f"{NOT_FOUND} in what blocks, {ONLY_WARNS}: 0 of 2 passed, failed without blocking: m1, 1 that does not block is undecided",
        ),
        (
            (GUARD, ADVISORY_FAIL, ADVISORY_PASS),
            f"{NOT_FOUND} in what blocks, {ONLY_WARNS}: 1 of 3 passed, failed without blocking: m1, 1 that does not block is undecided",
        ),
        (
            (GUARD, "waived"),
            f"{NOT_FOUND} except what is waived, {ONLY_WARNS}: 0 of 2 passed, waived: m1, 1 that does not block is undecided",
        ),
        ((ADVISORY_FAIL, "new"), f"{NOT_JUDGED}: 0 of 2 passed, failed without blocking: m0"),
        ((ADVISORY_FAIL, ADVISORY_PASS), f"{NOT_JUDGED}: 1 of 2 passed, failed without blocking: m0"),
        (("new",), f"{NOT_JUDGED}: the only metric is new"),
        ((), NOT_JUDGED),
    ],
)
def test_reason_of_a_pass_claims_nothing_about_what_is_undecided_or_does_not_block(finding_of, top1, kinds, reason):
    told = [(each, Tier.BLOCKING) if isinstance(each, str) else each for each in kinds]
    findings = tuple(
        replace(finding_of(verdict), tier=tier, num_looks=1, metric=replace(top1, name=f"m{place}"))
        for place, (verdict, tier) in enumerate(told)
    )

    judgement = judge_gate(GateFacts(findings=findings, allow_unjudged=True))

    assert judgement.verdict is Verdict.PASS
    assert judgement.reason.replace(f"{top1.workload}#", "") == reason


@pytest.mark.parametrize(
    "levels",
    [
        {"alpha": 0.0},
        {"alpha": 0.06},
        {"margin_level": 0.5},
        {"alpha": float("nan")},
        {"looks": ()},
        {"looks": (1, 5)},
        {"looks": (8, 5)},
        {"num_gated": -1},
    ],
    ids=str,
)
def test_designs_without_error_rates_are_refused(levels):
    with pytest.raises(ConfigurationError):
        Design(**{"num_gated": 6, **levels})


def test_strict_design_is_allowed():
    assert Design(num_gated=1, alpha=0.01, margin_level=0.01, looks=(5, 8)).weights == pytest.approx((0.625, 0.375))


def test_reason_names_what_lost_most_first(finding_of, top1):
    lost = (0.003, 0.9, 0.004, 0.01)
    findings = tuple(
        replace(finding_of("fail"), metric=replace(top1, name=f"m{i}"), estimate=each) for i, each in enumerate(lost)
    )

    reason = judge_gate(GateFacts(findings=findings)).reason

    assert [part.partition("#")[2].split()[0] for part in reason.split(", ")] == ["m1", "m3", "m2"]
