"""A group is gated by the mean of its members, which can fail; what stays undecided in it only warns while it passes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mainstay.gates.family import degradations_of, judge_family
from mainstay.gates.groups import mean_samples, settle_groups
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.metrics import Direction, Tier
from mainstay.records.plans import PlannedGroup

NAMES = ("t.py::a", "t.py::b", "t.py::c")


@pytest.fixture
def group(step_time):
    mean = replace(step_time, workload="t.py", name="time_geomean", margin=0.04)
    return PlannedGroup(metric=mean, members=tuple(f"{name}#time" for name in NAMES))


@pytest.fixture
def finding_of(step_time):
    """Makes a finding of a member, or of the mean, with an estimate within the margin unless said otherwise."""

    def make(workload, verdict, *, name="time", estimate=0.01, **fields):
        known = {
            "estimate": estimate,
            "degradations": (estimate,) * 5,
            "num_looks": 4,
            "method": Method.SEQUENTIAL,
            "p_values": {"below_double_margin": 0.01},
        }
        metric = replace(step_time, workload=workload, name=name)
        return Finding(metric=metric, verdict=verdict, reason="why", **{**known, **fields})

    return make


@pytest.fixture
def gate(finding_of, group):
    """Settles two members that pass, one more, and their mean."""

    def make(member, mean=Verdict.PASS):
        others = [finding_of(name, Verdict.PASS) for name in NAMES[1:]]
        means = [finding_of("t.py", mean, name="time_geomean")]
        return settle_groups([member, *others, *means], [group], alpha=0.01)

    return make


def samples_of(metric, degradations, level=1.0):
    degradations = np.asarray(degradations)
    sign = 1 if metric.direction is Direction.LOWER else -1
    return MetricSamples(
        metric=metric,
        seeds=tuple(range(len(degradations))),
        baseline_values=(level,) * len(degradations),
        candidate_values=tuple(level * np.exp(sign * degradations)),
    )


@pytest.mark.parametrize("direction", Direction)
def test_a_degradation_of_the_mean_is_the_mean_of_those_of_its_members_in_each_pair(step_time, group, direction):
    metric = replace(step_time, direction=direction)
    group = replace(group, metric=replace(group.metric, direction=direction))
    drawn = np.random.default_rng(3).normal(size=(3, 8))
    members = [samples_of(metric, each, level=10.0**place) for place, each in enumerate(drawn)]

    mean = mean_samples(group, members)

    assert degradations_of(mean) == pytest.approx(drawn.mean(axis=0))


def test_the_smallest_margin_of_the_members_is_that_of_the_mean(step_time, group):
    members = [samples_of(replace(step_time, margin=margin), [0.0]) for margin in (0.2, 0.03)]

    assert mean_samples(group, members).metric.margin == 0.03


def test_only_pairs_that_all_members_have_count_and_none_from_the_first_fault_on(step_time, group, finding_of):
    whole, short = samples_of(step_time, [0.0] * 8), samples_of(step_time, [0.0] * 5)
    faulty = replace(whole, candidate_values=(1.0, 1.0, math.nan, *(1.0,) * 5))
    preset = MetricSamples(metric=step_time, preset=finding_of("t.py::c", Verdict.ERROR))

    assert [mean_samples(group, [whole, other]).num_pairs for other in (whole, short, faulty, preset)] == [8, 5, 2, 0]


def test_a_loss_that_all_members_share_fails_their_mean_where_each_alone_is_undecided(step_time, group):
    drawn = np.random.default_rng(5).normal(size=(40, 20))
    centred = 0.12 * (drawn - drawn.mean(axis=1, keepdims=True)) / drawn.std(axis=1, keepdims=True)
    members = [
        samples_of(replace(step_time, workload=f"t.py::{place}"), 0.1 + each) for place, each in enumerate(centred)
    ]

    *alone, mean = judge_family([*members, mean_samples(group, members)], Design(num_gated=41))

    assert {finding.verdict for finding in alone} == {Verdict.INCONCLUSIVE}
    assert mean.verdict is Verdict.FAIL


def test_an_undecided_member_within_its_margin_only_warns_while_the_mean_passes(gate, finding_of):
    first, *others = gate(finding_of(NAMES[0], Verdict.INCONCLUSIVE))

    assert (first.verdict, first.tier, first.blocks, first.only_warns) == (
        Verdict.INCONCLUSIVE,
        Tier.GUARD,
        False,
        True,
    )
    (warning,) = first.warnings
    assert warning.startswith("it only warns: its estimate lies within the margin, twice the margin is excluded, ")
    assert warning.endswith("the mean of its group passes (t.py#time_geomean)")
    judgement = judge_gate(GateFacts(findings=(first, *others)))
    assert (judgement.verdict, judgement.exit_status) == (Verdict.PASS, 0)
    assert judgement.reason.endswith("3 of 4 passed, 1 that does not block is undecided")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"estimate": 0.05}, id="estimate-beyond-the-margin"),
        pytest.param({"degradations": (0.2,) * 5}, id="mean-beyond-the-margin"),
        pytest.param({"p_values": {"below_double_margin": 0.0101}}, id="twice-the-margin-is-not-excluded"),
        pytest.param({"cap": 0.5}, id="capped"),
        pytest.param({"num_looks": 0}, id="no-look"),
        pytest.param({"estimate": None}, id="no-estimate"),
        pytest.param({"review": "the workload changed"}, id="needs-a-review"),
    ],
)
def test_any_other_undecided_member_blocks(gate, finding_of, fields):
    member = finding_of(NAMES[0], Verdict.INCONCLUSIVE, **fields)

    findings = gate(member)

    assert findings[0] == member
    assert judge_gate(GateFacts(findings=findings)).exit_status == 3


@pytest.mark.parametrize("mean", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_an_undecided_member_blocks_unless_the_mean_passes(gate, finding_of, mean):
    member = finding_of(NAMES[0], Verdict.INCONCLUSIVE)

    assert gate(member, mean)[0] == member


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.MISSING, Verdict.ERROR])
def test_no_mean_passes_with_a_member_that_is_worse_missing_or_broken(gate, finding_of, verdict):
    member = finding_of(NAMES[0], verdict)

    first, *_, mean = gate(member)

    assert first == member
    assert mean.verdict is Verdict.INCONCLUSIVE
    assert mean.blocks
    assert f"t.py::a#time is {verdict}" in mean.reason


@pytest.mark.parametrize("verdict", [Verdict.WAIVED, Verdict.NEW, Verdict.PASS])
def test_a_member_that_is_accepted_new_or_passes_changes_nothing(gate, finding_of, verdict):
    member = finding_of(NAMES[0], verdict)

    first, *_, mean = gate(member)

    assert (first, mean.verdict) == (member, Verdict.PASS)


def test_a_metric_of_no_group_is_left_as_it_is(finding_of, group):
    findings = (finding_of("u.py::x", Verdict.INCONCLUSIVE), finding_of("t.py", Verdict.PASS, name="time_geomean"))

    assert settle_groups(findings, [group], alpha=0.01) == findings
    assert settle_groups(findings[:1], [group], alpha=0.01) == findings[:1]
