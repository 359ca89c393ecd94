"""Runs as a gate would write them, built from fixed numbers: passing (exact), failing, inconclusive and error."""

import base64
import functools
import math
import operator
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import cycle, groupby, islice
from typing import Any

import pytest

from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.samples import MetricSamples
from mainstay.records.explanations import (
    CalledOperator,
    CodeLine,
    Explanation,
    FirstDifference,
    Hunk,
    Nearness,
    Parting,
)
from mainstay.records.findings import Blame, EarlierRuns, Finding, Interval, MeasuredWith, Method, Verdict, Waiver
from mainstay.records.formatting import change_text
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import Plan, PlannedWorkload
from mainstay.records.runs import (
    Change,
    ChangeKind,
    Curve,
    Environment,
    FlippedExample,
    FlipSummary,
    Machine,
    Revision,
    Run,
    WorkloadResult,
)
from mainstay.records.trials import Side
from mainstay.reports.forms import FORMS
from mainstay.reports.terminal import render_terminal

ACCURACY = "test_accuracy.py::test_mnist_mlp"
STEP = "test_performance.py::test_train_step"
LOADER = "test_performance.py::test_augmentation"
SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
STROKES = {"a": (5, 9, 4, 19), "g": (13, 9, 12, 19), "d": (21, 9, 20, 19), "f": (4, 9, 13, 10), "b": (4, 17, 13, 18),
           "e": (12, 9, 21, 10), "c": (12, 17, 21, 18)}  # fmt: skip


def png_of_digit(digit: int, *, shift: int) -> str:
    """A 28 by 28 grey PNG in seven strokes, stored uncompressed so that every zlib writes the same bytes."""
    rows = [bytearray(28) for _ in range(28)]
    for stroke in SEGMENTS[digit]:
        top, left, bottom, right = STROKES[stroke]
        for y in range(min(top, bottom), max(top, bottom) + 1):
            for x in range(left, right + 1):
                rows[y][min(27, max(0, x + shift))] = 255 - 6 * ((x * y + shift) % 20)
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw, 0)),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")


def noise(seed: int, count: int) -> list[float]:
    """Roughly normal deviates of unit spread from sums of uniforms, equal on every platform."""
    uniform = random.Random(seed).random
    # added one by one, since sum() rounds otherwise from Python 3.12 on
    return [functools.reduce(operator.add, (uniform() for _ in range(12))) - 6 for _ in range(count)]


def accuracy_metric(name: str = "top1_accuracy", *, margin: float = 0.002, unit: str = "", **more: Any) -> Metric:
    direction = Direction.LOWER if unit == "nat" else Direction.HIGHER
    return Metric(
        workload=ACCURACY, name=name, kind=Kind.ACCURACY, direction=direction, margin=margin, unit=unit, **more
    )


def timed_metric(workload: str = STEP, *, margin: float = 0.05, unit: str = "s", name: str = "time") -> Metric:
    return Metric(
        workload=workload, name=name, kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=margin, unit=unit
    )


def samples_of_pairs(
    metric: Metric, *, level: float, degradations: Sequence[float], spread: float, seed: int
) -> MetricSamples:
    """Values of both revisions that differ by given degradations."""
    drift = noise(seed + 1, len(degradations))
    if metric.kind is Kind.PERFORMANCE:
        baseline = [level * (1 + 0.04 * deviate) for deviate in drift]
        candidate = [round(value * math.exp(each), 12) for value, each in zip(baseline, degradations, strict=True)]
    else:
        sign = 1 if metric.direction is Direction.LOWER else -1
        baseline = [level + 0.8 * spread * deviate for deviate in drift]
        candidate = [value + sign * each for value, each in zip(baseline, degradations, strict=True)]
    return MetricSamples(
        metric=metric,
        seeds=tuple(random.Random(seed + 2).getrandbits(48) for _ in degradations),
        baseline_values=tuple(baseline),
        candidate_values=tuple(candidate),
    )


def finding_of_pairs(
    metric: Metric, *, level: float, degradation: float, spread: float, num_pairs: int, seed: int
) -> Finding:
    """What a gate of four metrics finds in pairs drawn around a true degradation."""
    degradations = [degradation + spread * deviate for deviate in noise(seed, num_pairs)]
    samples = samples_of_pairs(metric, level=level, degradations=degradations, spread=spread, seed=seed)
    (finding,) = judge_family([samples], Design(num_gated=4))
    return finding


def exact_finding(metric: Metric, *, values: Sequence[float], seeds: Sequence[int]) -> Finding:
    return Finding(
        metric=metric,
        verdict=Verdict.PASS,
        reason=f"identical, bit for bit, on each of {len(seeds)} seeds; a change that alters the results of more than 90 % of "
        "seeds would be missed in at most 1 % of gates",
        method=Method.EXACT,
        num_pairs=len(seeds),
        estimate=0.0,
        baseline_mean=math.fsum(values) / len(values),
        candidate_mean=math.fsum(values) / len(values),
        seeds=tuple(seeds),
        baseline_values=tuple(values),
        candidate_values=tuple(values),
        degradations=(0.0,) * len(seeds),
        exact_seeds=tuple(seeds),
    )


def counted_finding(name: str, baseline: float, candidate: float, *, detail: tuple[str, ...] = ()) -> Finding:
    metric = Metric(
        workload=STEP, name=name, kind=Kind.DETERMINISTIC, direction=Direction.LOWER, margin=0.05, resolution=1.0
    )
    degradation = metric.degradation(baseline, candidate)
    moved = f"{baseline:,} became {candidate:,}, {change_text(metric, degradation)}"
    return Finding(
        metric=metric,
        verdict=Verdict.PASS if degradation <= metric.margin else Verdict.FAIL,
        reason=f"{moved}: within the allowance of 5.0 %" if degradation else f"unchanged at {baseline:,}",
        method=Method.EQUALITY,
        num_pairs=1,
        estimate=degradation,
        interval=Interval(degradation, degradation),
        baseline_mean=baseline,
        candidate_mean=candidate,
        baseline_values=(baseline,),
        candidate_values=(candidate,),
        degradations=(degradation,),
        detail=detail,
    )


def confusion(wrong: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, ...], ...]:
    """Ten classes of 100 examples, all right but the (label, predicted, count) given."""
    counts = [[100 if label == predicted else 0 for predicted in range(10)] for label in range(10)]
    for label, predicted, count in wrong:
        counts[label][label] -= count
        counts[label][predicted] += count
    return tuple(map(tuple, counts))


def flips() -> FlipSummary:
    lost = [(4, 4, 9), (4, 4, 9), (9, 9, 4), (3, 3, 5), (8, 8, 3), (5, 5, 6), (7, 7, 2), (4, 4, 9), (9, 9, 7)]
    won = [(2, 7, 2), (6, 0, 6), (8, 9, 8)]
    examples = [
        FlippedExample(
            index=41 + 97 * i, label=label, baseline=old, candidate=new, image=png_of_digit(label, shift=i % 5 - 2)
        )
        for i, (label, old, new) in enumerate(lost + won)
    ]
    baseline = confusion([(4, 9, 1), (9, 4, 2), (3, 5, 1), (2, 7, 2), (6, 0, 1), (8, 9, 1), (7, 2, 2)])
    candidate = confusion([(4, 9, 4), (9, 4, 3), (9, 7, 1), (3, 5, 2), (2, 7, 1), (8, 3, 1), (5, 6, 1), (7, 2, 3)])
    return FlipSummary(
        seed=88_172_645_463, num_examples=1000, right_to_wrong=9, wrong_to_right=3, p_value=0.146,
        baseline_confusion=baseline, candidate_confusion=candidate, examples=tuple(examples),
    )  # fmt: skip


def curve(seed: int, *, degradation: float) -> Curve:
    rise = [0.978 - 0.16 * 0.62**epoch for epoch in range(12)]
    wiggle = noise(seed, 24)
    return Curve(
        name="validation_accuracy",
        seed=seed,
        baseline=tuple(value + 0.0012 * wiggle[i] for i, value in enumerate(rise)),
        candidate=tuple(value - degradation + 0.0012 * wiggle[12 + i] for i, value in enumerate(rise)),
    )


def accuracy_workload(**more: Any) -> WorkloadResult:
    context = {"dataset": "mnist", "sha256": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"}
    result = WorkloadResult(
        id=ACCURACY, kind=Kind.ACCURACY, status="judged", context=context, num_pairs=12, seconds=141.2,
        descriptive={"expected_calibration_error": (0.0091, 0.0094), "epochs": (12.0, 12.0)},
    )  # fmt: skip
    return replace(result, **more)


def timed_workload(
    workload: str = STEP, *, slowdown: float = 0.0, level: float = 0.00112, **more: Any
) -> WorkloadResult:
    blocks = {
        side: tuple(level * (1 + grow) * (1 + 0.03 * deviate + 0.02 * deviate**2) for deviate in noise(seed, 48))
        for side, grow, seed in (("baseline", 0.0, 5), ("candidate", slowdown, 6))
    }
    result = WorkloadResult(
        id=workload, kind=Kind.PERFORMANCE, status="judged", num_pairs=8, seconds=73.4, block_times_s=blocks,
        descriptive={"throughput_images_per_s": (57_142.0, 56_980.0)}, loads=(0.02, 0.05, 0.02, 0.31, 0.04, 0.02, 0.03, 0.02),
    )  # fmt: skip
    return replace(result, **more)


def environment(side: Side, **more: str) -> Environment:
    packages = {"filelock": "3.20.0", "numpy": "2.3.4", "pillow": "12.0.0", "torch": "2.15.0", "torchvision": "0.29.2"}
    return Environment(
        side=side, python="3.11.2", packages=packages | more, packages_digest="0f" * 32, wheel_digest="a7" * 32,
        variables={"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


EXECUTION_NAMES = {Kind.ACCURACY: "trained", Kind.PERFORMANCE: "interleaved", Kind.DETERMINISTIC: "once"}


def planned(findings: Sequence[Finding]) -> tuple[PlannedWorkload, ...]:
    """The workloads of some findings, as they were planned."""
    return tuple(
        PlannedWorkload(
            id=workload,
            execution=EXECUTION_NAMES[metrics[0].kind],
            measured_with=MeasuredWith.SHARED,
            metrics=tuple(metrics),
            seeds=tuple(range(11, 31)),
        )
        for workload, group in groupby((finding.metric for finding in findings), key=lambda metric: metric.workload)
        if (metrics := list(group))
    )


def sample_run(**more: Any) -> Run:
    """A run without findings; the samples below replace what they are about."""
    run = Run(
        id="20261124T101500Z-3f9c2ab1",
        created="2026-11-24T10:15:00Z",
        mainstay_version="0.1.0",
        verdict=Verdict.PASS,
        reason="",
        exit_status=0,
        baseline=Revision(
            side=Side.BASELINE, commit="5d41402abc4b2a76b9719d911017c592aa6e9c3b", tree="7b" * 20,
            subject="Average the weights of the last epochs", name="merge base with origin/main",
        ),
        candidate=Revision(
            side=Side.CANDIDATE, commit="9e107d9d372bb6826bd81d3542a419d6e277d6f0", tree="c4" * 20,
            subject="Replace the per-image loop in augment by one batched warp", name="working tree",
        ),
        environments=(environment(Side.BASELINE), environment(Side.CANDIDATE)),
        machine=Machine(
            system="Linux 6.8", architecture="x86_64", processor="AMD EPYC 7763", num_cores=4,
            memory_bytes=16_790_000_000, load_at_start=0.08,
        ),
        plan=Plan(
            alpha=0.01, margin_level=0.05, looks=(5, 8, 12, 20), num_gated=4, seconds=600.0, fail_fast=False,
            inconclusive=3, salt="mainstay", threads=1, jobs=2,
            workloads=planned(more.get("findings", ())),
        ),
        findings=(),
        workloads=(),
        phases_s={"revisions": 0.4, "environments": 11.9, "preparation": 1.2, "workloads": 0.1, "measuring": 301.7},
        max_load=0.31,
    )  # fmt: skip
    return replace(run, **more)


def passing_run() -> Run:
    step = finding_of_pairs(
        timed_metric(), level=0.00112, degradation=0.003, spread=0.012, num_pairs=5, seed=11,
    )  # fmt: skip
    seeds = (88_172_645_463, 191_520_373_251)
    findings = (
        exact_finding(accuracy_metric(ceiling=0.9995, resolution=1e-4), values=(0.9771, 0.9768), seeds=seeds),
        exact_finding(
            accuracy_metric("negative_log_likelihood", margin=0.02, unit="nat"), values=(0.0741, 0.0752), seeds=seeds
        ),
        step,
        counted_finding("parameters", 109_386, 109_386),
        counted_finding("imported_modules", 412, 414, detail=("torch.fx.passes.shape_prop", "mnist_reference.warp")),
    )
    return sample_run(
        reason="no metric degraded by more than its margin: 5 of 5 passed",
        findings=findings,
        workloads=(accuracy_workload(num_pairs=2, seconds=38.1), timed_workload()),
    )


def changes() -> tuple[Change, ...]:
    """One of each kind."""
    diff = (
        "@@ -7 +7,2 @@",
        "-    trial.record(top1_accuracy=top1)",
        "+    # `best of two`",
        "+    trial.record(top1_accuracy=best)",
    )
    return (
        Change(
            kind=ChangeKind.WAIVER, name="negative_log_likelihood", effect="it counts in this gate",
            after="a degradation up to 0.05 until 2027-03-31: label smoothing is meant to cost likelihood",
        ),
        Change(
            kind=ChangeKind.WORKLOAD, name="benchmarks/test_accuracy.py", before="sha256 0f0f", after="sha256 a7a7", diff=diff,
        ),
        Change(kind=ChangeKind.CONFTEST, name="benchmarks/conftest.py", after="sha256 b1b1", diff=("@@ -0,0 +1 @@", "+import os")),
        Change(kind=ChangeKind.PYTEST, name="addopts", after="-p no:randomly"),
        Change(
            kind=ChangeKind.MARKER, name=f"{ACCURACY}#top1_accuracy", before="margin 0.002", after="margin 0.02",
            effect="the stricter holds",
        ),
        Change(kind=ChangeKind.SETTING, name="alpha", before="0.01", after="0.05", effect="the baseline's holds"),
    )  # fmt: skip


def failing_run() -> Run:
    """A real degradation of accuracy, a waived one, a slower step within the margin, a new metric and a missing one."""
    lost = finding_of_pairs(
        accuracy_metric(ceiling=0.9995, resolution=1e-4),
        level=0.9771, degradation=0.0051, spread=0.0013, num_pairs=8, seed=21,
    )  # fmt: skip
    waived = finding_of_pairs(
        accuracy_metric("negative_log_likelihood", margin=0.02, unit="nat"),
        level=0.0741, degradation=0.031, spread=0.004,
        num_pairs=8, seed=31,
    )  # fmt: skip
    waiver = Waiver(
        metric="negative_log_likelihood", limit=0.05, reason="label smoothing is meant to cost likelihood",
        until="2027-03-31",
    )  # fmt: skip
    step = finding_of_pairs(
        timed_metric(), level=0.00112, degradation=0.019, spread=0.012, num_pairs=8, seed=41,
    )  # fmt: skip
    stood = EarlierRuns(
        num_runs=23, reference="5d" * 20, reference_subject="Release 1.2 <of> `spring`", commit="7e" * 20,
        degradation=0.0121, interval=Interval(0.0034, 0.0208), is_alarm=True,
    )  # fmt: skip
    memory = Finding(
        metric=timed_metric(name="peak_memory_bytes", unit="B"), verdict=Verdict.NEW,
        reason="the baseline does not record it", candidate_mean=412_876_800.0,
    )  # fmt: skip
    missing = Finding(
        metric=timed_metric(LOADER), verdict=Verdict.MISSING, reason="the candidate no longer has this workload",
        baseline_mean=0.0184,
    )  # fmt: skip
    return sample_run(
        verdict=Verdict.FAIL,
        reason=f"a metric degraded by more than its margin: {lost.metric.id}",
        exit_status=1,
        findings=(lost, replace(waived, verdict=Verdict.WAIVED, waiver=waiver), replace(step, earlier_runs=stood), memory, missing),
        workloads=(
            accuracy_workload(curves=tuple(curve(seed, degradation=0.005) for seed in (71, 72, 73)), flips=(flips(),)),
            timed_workload(slowdown=0.02),
            WorkloadResult(
                id=LOADER, kind=Kind.PERFORMANCE, status="missing", reason="the candidate no longer has this workload"
            ),
        ),
        environments=(
            environment(Side.BASELINE), environment(Side.CANDIDATE, numpy="2.4.0", einops="0.8.1"),
        ),
        notes=("the data set is the real MNIST, read from its cache",),
    )  # fmt: skip


def inconclusive_run() -> Run:
    undecided = finding_of_pairs(
        timed_metric(), level=0.00112, degradation=0.042, spread=0.06, num_pairs=20, seed=51,
    )  # fmt: skip
    stopped = finding_of_pairs(
        timed_metric(LOADER), level=0.0184, degradation=0.02, spread=0.05, num_pairs=5, seed=61,
    )  # fmt: skip
    few = finding_of_pairs(accuracy_metric(), level=0.977, degradation=0.0001, spread=0.0004, num_pairs=3, seed=71)
    warning = "pairs are not independent (lag-1 correlation 0.52): the stated error rate holds only approximately"
    return sample_run(
        verdict=Verdict.INCONCLUSIVE,
        reason=f"a metric is undecided: {undecided.metric.id}, {stopped.metric.id} and 1 more",
        exit_status=3,
        findings=(few, replace(undecided, warnings=(warning,)), stopped),
        workloads=(
            accuracy_workload(num_pairs=3),
            timed_workload(slowdown=0.04),
            timed_workload(LOADER, slowdown=0.01, level=0.0184),
        ),
        notes=(
            "the time was used up before the look at 8 pairs",
            "other processes used up to 1.9 processors: times are noisier than usual",
        ),
        max_load=1.9,
    )


def error_run() -> Run:
    lost = broken(accuracy_metric())
    return sample_run(
        verdict=Verdict.ERROR,
        reason=f"the candidate alone could not be measured: {lost.metric.id}",
        exit_status=1,
        findings=(lost, replace(passing_run().findings[2], measured_with=MeasuredWith.BASELINE)),
        changes=changes(),
        workloads=(
            accuracy_workload(status="error", reason=lost.reason, num_pairs=0, descriptive={}),
            timed_workload(),
            WorkloadResult(
                id="test_accuracy.py::test_on_gpu",
                kind=Kind.ACCURACY,
                status="skipped",
                reason="no GPU on this machine",
            ),
        ),
    )


BUILDERS: dict[str, Callable[[], Run]] = {
    "passing": passing_run,
    "failing": failing_run,
    "inconclusive": inconclusive_run,
    "error": error_run,
}


@pytest.fixture(scope="session")
def runs() -> dict[str, Run]:
    """The four runs by name."""
    return {name: build() for name, build in BUILDERS.items()}


@pytest.fixture(params=list(BUILDERS))
def run(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    """Each of the four runs in turn."""
    return runs[request.param]


@pytest.fixture(scope="session")
def failing(runs: dict[str, Run]) -> Run:
    """The run with the most to show."""
    return runs["failing"]


@pytest.fixture(scope="session")
def explained(failing: Run) -> Run:
    """The failing run, with the first place where its revisions differ."""
    line = CodeLine(root="own", file="mnist_reference/train.py", line=41, function="train")
    operator = CalledOperator(name="aten.mul.Tensor", arguments=("other=2.0",), module="Net.head", stack=(line,))
    difference = FirstDifference(
        parting=Parting.OPERATOR, step=2, baseline=operator, candidate=operator, cause="it takes other values",
        largest_difference=0.25, compared="aten.mul.Tensor", seconds={"parameters": 3.0, "operators": 1.5},
    )  # fmt: skip
    hunk = Hunk(
        file="mnist_reference/train.py", before=41, num_before=1, after=41, num_after=1,
        lines=("-    loss = loss", "+    loss = loss * 2"), function="def train(seed):",
    )  # fmt: skip
    explanation = Explanation(
        run=failing.id, workload=ACCURACY, seed=11, baseline=failing.baseline.commit, candidate=failing.candidate.commit,
        difference=difference, nearness=Nearness.AT_THE_LINE, hunks=(hunk,), num_hunks=1,
        dependencies={"numpy": ("2.3.4", "2.4.0")}, trial_s=5.9, recorded_by_gate="value top1_accuracy differs: 0.9 -> 0.8",
    )  # fmt: skip
    return replace(failing, explanation=explanation)


@pytest.fixture(scope="session")
def renderers() -> Mapping[str, Callable[[Run], str]]:
    """Every form of a report, but for the document itself."""
    return {name: form.render for name, form in FORMS.items() if name != "json"} | {
        "terminal": partial(render_terminal, width=100, colour=False),
        "colour": partial(render_terminal, width=100, colour=True),
    }


@pytest.fixture(scope="session")
def poisoned() -> Callable[[Run, str], Run]:
    """A run in which a text takes the place of every name, subject, reason, unit and line of output."""
    return _poisoned


KEPT_TEXTS = {"commit", "head", "tree", "image", "status", "until", "created"}


def _poisoned(record: Any, text: str) -> Any:
    """The same record with other texts; enumerations, hashes, images and dates stay."""
    match record:
        case StrEnum() | Interval() | "":
            return record
        case str():
            return text
        case tuple():
            return tuple(_poisoned(item, text) for item in record)
        case dict():
            return {_poisoned_key(key, text): _poisoned(value, text) for key, value in record.items()}
        case _ if is_dataclass(record) and not isinstance(record, type):
            names = [field.name for field in fields(record) if field.name not in KEPT_TEXTS]
            return type(record)(
                **{name: getattr(record, name) for name in KEPT_TEXTS if hasattr(record, name)},
                **{name: _poisoned(getattr(record, name), text) for name in names},
            )
        case _:
            return record


def _poisoned_key(key: str, text: str) -> str:
    """A key that stays unlike its neighbours; the two sides keep their names."""
    return key if key in ("baseline", "candidate") else f"{key}{text}"


@pytest.fixture(scope="session")
def many_findings() -> Callable[[int, int], Run]:
    """A run of so many findings of so many pairs, a third of them each worse, undecided and within the margin."""

    @functools.cache
    def build(num_findings: int, num_pairs: int) -> Run:
        verdicts = islice(cycle((Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)), num_findings)
        return family_run(tuple(verdicts), looks=(num_pairs,))

    return build


@pytest.fixture(scope="session")
def mostly_clean() -> Run:
    """A run of a hundred metrics of which one is worse, two are undecided, and 97 passed."""
    verdicts = {50: Verdict.FAIL, 10: Verdict.INCONCLUSIVE, 90: Verdict.INCONCLUSIVE}
    return family_run(tuple(verdicts.get(i, Verdict.PASS) for i in range(100)))


def family_run(verdicts: Sequence[Verdict], *, looks: tuple[int, ...] = (5, 8, 12, 20)) -> Run:
    """A gate of timed metrics with these verdicts: pairs that deserve them, judged together.

    An ``error`` is a workload that the candidate cannot run.
    """
    samples = [timed_samples(i, verdict, num_pairs=looks[-1]) for i, verdict in enumerate(verdicts)]
    design = Design(num_gated=len(samples), looks=looks)
    findings = judge_family(samples, design)
    assert [finding.verdict for finding in findings] == list(verdicts)
    judgement = judge_gate(GateFacts(findings=findings))
    run = sample_run(
        findings=findings,
        verdict=judgement.verdict,
        reason=judgement.reason,
        exit_status=judgement.exit_status,
        workloads=tuple(
            timed_workload(
                finding.metric.workload,
                status="error" if finding.verdict is Verdict.ERROR else "judged",
                reason=finding.reason if finding.verdict is Verdict.ERROR else "",
                num_pairs=finding.num_pairs,
            )
            for finding in findings
        ),
    )
    return replace(run, plan=replace(run.plan, looks=looks, num_gated=len(samples)))


DEGRADATIONS: Mapping[Verdict, tuple[float, float, float]] = {
    Verdict.PASS: (-0.004, 0.003, 0.001),
    Verdict.FAIL: (0.18, 0.01, 0.001),
    Verdict.INCONCLUSIVE: (0.042, 0.001, 0.009),
}
"""Mean degradation of the first of some metrics, how much more that of the next is, and its standard error."""


def timed_samples(number: int, verdict: Verdict, *, num_pairs: int) -> MetricSamples:
    """Pairs that deserve a verdict at every look: they differ from an exact mean by as much to either side."""
    metric = timed_metric(f"benchmarks/test_{number // 10}.py::test_{number}")
    if verdict is Verdict.ERROR:
        return MetricSamples(metric=metric, preset=broken(metric))
    first, step, error = DEGRADATIONS[verdict]
    spread = error * math.sqrt(num_pairs)
    mean = first + step * (number % 7)
    deviates = [sign * each for each in noise(number, (num_pairs + 1) // 2) for sign in (1, -1)][:num_pairs]
    middle = math.fsum(deviates) / num_pairs
    width = math.sqrt(math.fsum((each - middle) ** 2 for each in deviates) / (num_pairs - 1))
    degradations = [mean + spread * (each - middle) / width for each in deviates]
    return samples_of_pairs(metric, level=1e-3, degradations=degradations, spread=spread, seed=number)


def broken(metric: Metric) -> Finding:
    """What a gate finds if the candidate alone cannot be measured."""
    lines = (
        'File "src/mnist_reference/augment.py", line 61, in warp',
        "    grid = affine_grid(theta, images.shape)",
        "RuntimeError: expected theta of shape (64, 2, 3), got (64, 3, 3)",
    )
    reason = "the candidate raised RuntimeError twice while the baseline was sound"
    return Finding(metric=metric, verdict=Verdict.ERROR, reason=reason, blame=Blame.CANDIDATE, detail=lines)
