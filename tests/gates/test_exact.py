import math
from dataclasses import replace

import pytest

from mainstay.gates.exact import (
    DigestComparison,
    Digests,
    compare_digests,
    excluded_share_of_seeds,
    judge_deterministic,
    judge_exact,
    judge_unchanged,
)
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Blame, Method, Verdict
from mainstay.records.metrics import Direction


def digests(baseline=("a", "b"), candidate=("a", "b"), repeated="a"):
    return Digests(
        seeds=tuple(range(len(baseline))), baseline=baseline, candidate=candidate, repeated_baseline=repeated
    )


def two_seeds(metric, values=(0.97, 0.98)):
    return MetricSamples(metric=metric, seeds=(0, 1), baseline_values=values, candidate_values=values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(digests(), DigestComparison.EQUAL, id="equal"),
        pytest.param(digests(candidate=("a", "c")), DigestComparison.DIFFERENT, id="one-seed-differs"),
        pytest.param(digests(repeated="c"), DigestComparison.NOT_REPEATABLE, id="baseline-does-not-repeat"),
        pytest.param(digests(("a", "a"), ("a", "a")), DigestComparison.INSENSITIVE, id="ignores-its-seed"),
        pytest.param(digests(("a", "b"), ("c", "c")), DigestComparison.INSENSITIVE, id="candidate-ignores-its-seed"),
        pytest.param(digests(("", ""), ("", ""), ""), DigestComparison.ABSENT, id="none-recorded"),
        pytest.param(digests(("a", "b"), ("a", "")), DigestComparison.ABSENT, id="one-not-recorded"),
    ],
)
def test_what_digests_say(given, expected):
    assert compare_digests(given) is expected


def test_equal_digests_pass_without_pairs(top1):
    (finding,) = judge_exact([two_seeds(top1)], digests())

    assert (finding.verdict, finding.method, finding.exact_seeds) == (Verdict.PASS, Method.EXACT, (0, 1))
    assert finding.reason == (
        "identical, bit for bit, on each of 2 seeds; a change that alters the results of more than 90 % of seeds would be "
        "missed in at most 1 % of gates"
    )
    assert finding.baseline_mean == finding.candidate_mean == pytest.approx(0.975)


def test_unchanged_code_passes_with_a_degradation_of_nothing_and_no_pair(top1):
    finding = judge_unchanged(top1)

    assert (finding.verdict, finding.method, finding.estimate) == (Verdict.PASS, Method.UNCHANGED, 0.0)
    assert (finding.num_pairs, finding.degradations, finding.measured_with) == (0, (), None)
    assert finding.reason.startswith("unchanged code: ")


def test_every_metric_of_the_workload_gets_a_finding(top1):
    loss = replace(top1, name="negative_log_likelihood", direction=Direction.LOWER, ceiling=None)

    findings = judge_exact([two_seeds(top1), two_seeds(loss)], digests())

    assert [finding.metric for finding in findings] == [top1, loss]


@pytest.mark.parametrize(
    "undecided",
    [digests(candidate=("a", "c")), digests(repeated="c"), digests(("", ""), ("", ""), "")],
    ids=["different", "not-repeatable", "absent"],
)
def test_what_proves_nothing_is_left_to_pairs(top1, undecided):
    assert judge_exact([two_seeds(top1)], undecided) == ()


@pytest.mark.parametrize(
    ("given", "blame"),
    [
        (digests(("a", "a"), ("a", "a")), Blame.BOTH),
        (digests(("a", "b"), ("c", "c")), Blame.CANDIDATE),
        (digests(("a", "a"), ("a", "b")), Blame.BASELINE),
    ],
)
def test_a_workload_that_ignores_its_seed_is_an_error(top1, given, blame):
    (finding,) = judge_exact([two_seeds(top1)], given)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, blame)
    assert "ignores its seed or the digest is empty" in finding.reason


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.97, math.nan)], ids=["implausible", "nan"])
def test_equal_digests_of_unfit_values_do_not_pass(top1, values):
    (finding,) = judge_exact([two_seeds(top1, values)], digests())

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BOTH)


@pytest.mark.parametrize(("num_seeds", "share"), [(1, 0.99), (2, 0.90), (3, 0.78), (5, 0.60)])
def test_share_of_seeds_that_equality_excludes(num_seeds, share):
    assert excluded_share_of_seeds(num_seeds) == pytest.approx(share, abs=0.005)


def test_one_seed_proves_nothing():
    with pytest.raises(ValueError, match="at least two seeds"):
        digests(("a",), ("a",))


@pytest.mark.parametrize(
    ("margin", "direction", "candidate", "verdict"),
    [
        pytest.param(0.0, Direction.LOWER, 100, Verdict.PASS, id="unchanged"),
        pytest.param(0.0, Direction.LOWER, 99, Verdict.PASS, id="better"),
        pytest.param(0.0, Direction.LOWER, 101, Verdict.FAIL, id="one-more"),
        pytest.param(0.01, Direction.LOWER, 101, Verdict.PASS, id="at-the-allowance"),
        pytest.param(0.01, Direction.LOWER, 102, Verdict.FAIL, id="beyond-the-allowance"),
        pytest.param(0.0, Direction.HIGHER, 99, Verdict.FAIL, id="fewer-where-more-is-better"),
    ],
)
def test_deterministic_values_are_compared_exactly(parameters, margin, direction, candidate, verdict):
    metric = replace(parameters, margin=margin, direction=direction)

    finding = judge_deterministic(metric, baseline_value=100, candidate_value=candidate, repeated_baseline=100)

    assert (finding.verdict, finding.method) == (verdict, Method.EQUALITY)


def test_deterministic_reason_names_both_values(parameters):
    finding = judge_deterministic(parameters, baseline_value=50_000, candidate_value=60_000, repeated_baseline=50_000)

    assert finding.reason == "50,000 became 60,000, 20.00 % worse: more than the allowance of 0.00 %"


def test_a_count_that_grows_by_less_than_is_shown_is_still_worse(parameters):
    finding = judge_deterministic(
        parameters, baseline_value=1_000_000, candidate_value=1_000_001, repeated_baseline=1_000_000
    )

    assert finding.reason == "1,000,000 became 1,000,001, 0.00 % worse: more than the allowance of 0.00 %"


@pytest.mark.parametrize(
    ("baseline", "candidate", "told"),
    [
        (1_234_567_890_123, 1_234_567_890_125, "1,234,567,890,123 became 1,234,567,890,125"),
        (1e15, 1e15 + 2, "1,000,000,000,000,000 became 1,000,000,000,000,002"),
        (2.0**53, 2.0**53 + 2, "9,007,199,254,740,992 became 9,007,199,254,740,994"),
        (0.5, 0.5 + 2**-50, "0.5 became 0.500000000000001"),
        (2.5, 3, "2.5 became 3"),
        (1.0, 1e300, "1 became 1e+300"),
    ],
)
def test_two_counts_that_differ_are_told_with_the_digits_in_which_they_do(parameters, baseline, candidate, told):
    finding = judge_deterministic(
        parameters, baseline_value=baseline, candidate_value=candidate, repeated_baseline=baseline
    )

    assert finding.verdict is Verdict.FAIL
    assert finding.reason.startswith(f"{told}, ")


def test_the_two_counts_of_a_baseline_that_does_not_repeat_itself_are_told_apart(parameters):
    finding = judge_deterministic(parameters, baseline_value=1e13, candidate_value=1e13, repeated_baseline=1e13 + 1)

    assert finding.reason.endswith("the baseline gave 10,000,000,000,000 and then 10,000,000,000,001")


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (2**53 - 1, "unchanged at 9,007,199,254,740,991"),
        (2**53, "unchanged at 9,007,199,254,740,992, as far as 15 digits tell"),
        (-1e30, "unchanged at -1e+30, as far as 15 digits tell"),
    ],
)
def test_of_counts_too_large_to_be_exact_it_is_said_how_far_they_are_compared(parameters, count, told):
    finding = judge_deterministic(parameters, baseline_value=count, candidate_value=count, repeated_baseline=count)

    assert (finding.verdict, finding.reason) == (Verdict.PASS, told)


def test_a_baseline_that_does_not_repeat_its_value_is_an_error(parameters):
    finding = judge_deterministic(parameters, baseline_value=100, candidate_value=100, repeated_baseline=101)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BASELINE)


@pytest.mark.parametrize(("baseline", "candidate", "blame"), [(1, math.nan, "candidate"), (math.inf, 1, "baseline")])
def test_deterministic_values_that_are_not_finite_are_errors(parameters, baseline, candidate, blame):
    finding = judge_deterministic(
        parameters, baseline_value=baseline, candidate_value=candidate, repeated_baseline=baseline
    )

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame(blame))


@pytest.mark.parametrize(
    ("direction", "candidate", "verdict"),
    [
        pytest.param(Direction.HIGHER, -3, Verdict.FAIL, id="fewer-where-more-is-better"),
        pytest.param(Direction.HIGHER, 3, Verdict.PASS, id="more-where-more-is-better"),
        pytest.param(Direction.LOWER, -3, Verdict.PASS, id="fewer-where-fewer-is-better"),
        pytest.param(Direction.LOWER, 1, Verdict.FAIL, id="one-more"),
        pytest.param(Direction.LOWER, 1_000_000, Verdict.FAIL, id="many-more"),
        pytest.param(Direction.LOWER, 0, Verdict.PASS, id="unchanged"),
    ],
)
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_from_a_count_of_nothing_every_worsening_fails(parameters, margin, direction, candidate, verdict):
    metric = replace(parameters, margin=margin, direction=direction)

    finding = judge_deterministic(metric, baseline_value=0, candidate_value=candidate, repeated_baseline=0)

    assert finding.verdict is verdict
    assert math.isfinite(finding.estimate)
    if candidate:
        word = "worse" if verdict is Verdict.FAIL else "better"
        assert finding.reason == f"0 became {candidate:,}, {word}: no allowance is a share of nothing"


@pytest.mark.parametrize(("baseline", "candidate"), [(1e-300, 1e300), (-1e308, 1e308), (1.0, 1e308)])
def test_a_count_that_grows_beyond_any_share_fails_with_finite_numbers(parameters, baseline, candidate):
    finding = judge_deterministic(
        parameters, baseline_value=baseline, candidate_value=candidate, repeated_baseline=baseline
    )

    assert finding.verdict is Verdict.FAIL
    assert all(map(math.isfinite, (finding.estimate, *finding.interval, *finding.degradations)))
