"""The simulation of groups judges as a gate does."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from mainstay.gates.family import judge_family
from mainstay.gates.groups import mean_samples, settle_groups
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Verdict
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import PlannedGroup
from mainstay.stats.proportions import clopper_pearson_interval

TIME = Metric(workload="t.py", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, unit="s")
SIZE = 3
GROUPS = [
    PlannedGroup(
        metric=replace(TIME, workload=file, name="t_geomean"),
        members=tuple(f"{file}::test_{number}#t" for number in range(SIZE)),
    )
    for file in ("a.py", "b.py")
]


@pytest.fixture(scope="module")
def groups():
    from experiments import groups

    return groups


def samples_of(values, workload):
    baseline, candidate = np.exp(values).tolist()
    return MetricSamples(
        metric=replace(TIME, workload=workload),
        seeds=tuple(range(len(baseline))),
        baseline_values=tuple(baseline),
        candidate_values=tuple(candidate),
    )


def real_gate(values):
    """The findings of a real gate of six metrics in two groups."""
    members = [member for group in GROUPS for member in group.members]
    samples = [samples_of(values[:, number], name.removesuffix("#t")) for number, name in enumerate(members)]
    means = [mean_samples(group, samples[SIZE * place : SIZE * (place + 1)]) for place, group in enumerate(GROUPS)]
    findings = judge_family([*samples, *means], Design(num_gated=8))
    return settle_groups(findings, GROUPS, alpha=0.01)


def test_simulated_gates_with_groups_are_judged_like_real_ones(groups):
    rng = np.random.default_rng(4)
    noise = rng.standard_t(4, size=(2, 150, 6, 20)) * rng.choice([0.01, 0.03, 0.05], size=(1, 150, 6, 1))
    noise[1] += rng.choice([0.0, 0.03, 0.2], size=(150, 6, 1), p=[0.8, 0.15, 0.05])

    judged = groups.judge(noise, size=SIZE)

    assert 0.1 < judged.passes.mean() < 0.9
    assert judged.warns.any()
    for gate in range(150):
        findings = real_gate(noise[:, gate])
        assert [finding.verdict is Verdict.FAIL for finding in findings] == judged.fails[gate].tolist()
        assert [finding.only_warns for finding in findings[:6]] == judged.warns[gate].tolist()
        assert (judge_gate(GateFacts(findings=findings)).exit_status == 0) == judged.passes[gate]


@pytest.fixture(scope="module")
def published(root):
    return json.loads((root / "docs" / "results" / "groups.json").read_text("utf-8"))


@pytest.mark.parametrize("table", ["clean", "stress"])
def test_published_false_fails_of_equal_revisions_stay_below_the_bar(published, table):
    assert max(row["false_fails"]["rate"] for row in published[table]) <= 0.01
    assert max(row["false_fails"]["high"] for row in published[table]) <= 0.015


def test_published_false_fails_beside_a_loss_stay_below_the_bar(published):
    cells = defaultdict(list)
    for row in published["planted"]:
        cells[row["noise"], row["deviation"], row["correlation"]].append(row["false_fails"])

    for rows in cells.values():
        assert clopper_pearson_interval(sum(row["count"] for row in rows), sum(row["n"] for row in rows)).high <= 0.015


def test_a_published_loss_of_twice_the_margin_seldom_passes_however_noisy_its_metric(published):
    twice = [row["passes"] for row in published["planted"] if row["loss"] == 0.1025]

    assert len(twice) == 24
    assert max(row["rate"] for row in twice) <= 0.01
