"""The frozen facts of a gate: what was measured, what was judged, what a run is.

Records hold numbers and text, never behaviour that touches a file, a clock or a process. Numbers stay numbers
(fractions, seconds, bytes) until a report renders them. A run is one document; every report is rendered from it alone.

- :class:`Metric`, :class:`Workload`: what is to be measured.
- :class:`Trial`, :class:`FlipSummary`: what one execution gave.
- :class:`Finding`, :class:`Verdict`: the judgement on one metric.
- :class:`MeasuredWith`, :class:`Change`: whose workload files were used, and what of them the change touches.
- :class:`Revision`, :class:`Environment`, :class:`Machine`: what was compared, and where.
- :class:`Run`: everything one gate produced.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

SCHEMA_VERSION = 1
"""Version of the run document; raised when a reader of the old one would misread the new one."""

DEFAULT_PAIR_SECONDS = 2.5
"""Time of the blocks of each timed workload in a pair where the project does not say."""

LARGEST_LOSS = sys.float_info.max
"""What a loss is held at that no number can express, such as a count that was zero before: it stays finite."""

FRACTION = "fraction"
"""The unit of a share between 0 and 1, shown in percent."""

PLAIN_NUMBER = "1"
"""The unit of a number that has none and is no share, such as a loss or a score beyond 1."""

ContextValue = str | int | float | bool
"""A recorded circumstance, such as the name or the checksum of a data set."""


class Verdict(StrEnum):
    """The judgement on a metric, and on a whole gate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NEW = "new"
    MISSING = "missing"
    ERROR = "error"
    WAIVED = "waived"


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


class Kind(StrEnum):
    """How two values of a metric are compared."""

    ACCURACY = "accuracy"
    """By their difference, in the metric's own unit."""
    PERFORMANCE = "performance"
    """By the logarithm of their ratio."""
    DETERMINISTIC = "deterministic"
    """By equality with the margin as a relative allowance; spends no error and is not counted in K."""


class Method(StrEnum):
    """What a finding rests on."""

    EXACT = "exact"
    """Equal digests of parameters and recorded metrics on the seeds run."""
    SEQUENTIAL = "sequential"
    """Student's t over pairs at planned looks."""
    EQUALITY = "equality"
    """Comparison of two deterministic values."""
    NONE = "none"
    """Nothing was judged."""


class Side(StrEnum):
    """The two revisions compared."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.CANDIDATE if self is Side.BASELINE else Side.BASELINE


class Outcome(StrEnum):
    """How one trial ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """The workload raised, or recorded what cannot be judged."""
    CRASHED = "crashed"
    """The process ended before the trial did."""
    TIMED_OUT = "timed-out"
    FOREIGN = "foreign"
    """A module of the subject was imported from outside the revision's own tree."""
    SKIPPED = "skipped"


class MeasuredWith(StrEnum):
    """Whose workload files, conftest files and pytest settings the trials of a workload ran with."""

    SHARED = "shared"
    """Those of both revisions, which are equal."""
    BASELINE = "baseline"
    """The baseline's for both revisions: they differ, and both can run these."""
    CANDIDATE = "candidate"
    """The candidate's for both revisions: the baseline does not gate the workload."""
    OWN = "own"
    """Each revision's own: the candidate cannot run the baseline's."""

    def files_for(self, side: Side) -> Side:
        """Whose files a trial of one revision runs with.

        Example:
            >>> MeasuredWith.OWN.files_for(Side.CANDIDATE), MeasuredWith.SHARED.files_for(Side.CANDIDATE)
            (<Side.CANDIDATE: 'candidate'>, <Side.BASELINE: 'baseline'>)
        """
        if self is MeasuredWith.OWN:
            return side
        return Side.CANDIDATE if self is MeasuredWith.CANDIDATE else Side.BASELINE


class Blame(StrEnum):
    """Which part broke, where something did; it decides the exit status of an ``error``."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    BOTH = "both"
    ENVIRONMENT = "environment"


class Interval(NamedTuple):
    """Bounds of an estimate; infinite where nothing is known."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that is gated.

    Attributes:
        workload: The pytest node id of the workload that records it, such as ``test_accuracy.py::test_mlp``.
        name: The recorded name, such as ``top1_accuracy``.
        kind: How two values are compared.
        direction: Which values are better.
        margin: The loss that is tolerated: in the metric's unit for accuracy, a fraction of the baseline otherwise.
        unit: Unit of the values; ``fraction`` for a share between 0 and 1, ``1`` for a plain number. Empty where the
            workload declares none: see :attr:`is_fraction`.
        ceiling: A value beyond which (in the good direction) the metric is implausible.
        resolution: The smallest step the metric can take, such as one over the number of test examples.
    """

    workload: str
    name: str
    kind: Kind
    direction: Direction
    margin: float
    unit: str = ""
    ceiling: float | None = None
    resolution: float = 0.0

    @property
    def id(self) -> str:
        """The workload and the name, unique in a run."""
        return f"{self.workload}#{self.name}"

    @property
    def is_fraction(self) -> bool:
        """Whether values are shares between 0 and 1: declared, or an accuracy without unit of which more is better.

        Example:
            >>> Metric(
            ...     workload="w", name="loss", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.1
            ... ).is_fraction
            False
        """
        is_undeclared_share = not self.unit and self.direction == Direction.HIGHER  # may come as plain text
        return self.kind is Kind.ACCURACY and (self.unit == FRACTION or is_undeclared_share)

    @property
    def scaled_margin(self) -> float:
        """The margin on the scale of losses: itself for accuracy, ``log(1 + margin)`` for performance.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> round(step.scaled_margin, 4)
            0.0488
        """
        return math.log1p(self.margin) if self.kind is Kind.PERFORMANCE else self.margin

    def loss(self, baseline: float, candidate: float) -> float:
        """How much worse the candidate is; positive is worse.

        Args:
            baseline: The baseline's value; positive for performance.
            candidate: The candidate's value; positive for performance.

        Returns:
            A difference in the metric's unit for accuracy, a natural-log ratio for performance, a relative
            difference for deterministic metrics. Always finite: what no number can express, such as any growth from
            a count of zero, is :data:`LARGEST_LOSS` with its sign.

        Example:
            >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002)
            >>> round(top1.loss(baseline=0.977, candidate=0.974), 4)
            0.003
        """
        if self.kind is Kind.PERFORMANCE:
            worse = math.log(candidate) - math.log(baseline)
        elif self.kind is Kind.DETERMINISTIC and baseline:
            worse = (candidate - baseline) / abs(baseline)
        elif self.kind is Kind.DETERMINISTIC:
            worse = math.copysign(LARGEST_LOSS, candidate) if candidate else 0.0
        else:
            worse = candidate - baseline
        worse = max(-LARGEST_LOSS, min(LARGEST_LOSS, worse))
        return worse if self.direction == Direction.LOWER else -worse

    def level(self, value: float) -> float:
        """A value on the scale on which a loss is a difference: its logarithm for performance, else as it is.

        Example:
            >>> step = Metric(workload="w", name="t", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
            >>> step.level(1.0)
            0.0
        """
        return math.log(value) if self.kind is Kind.PERFORMANCE else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One pytest test that measures.

    Attributes:
        id: The pytest node id, relative to the workload folder.
        kind: How its metrics are compared.
        metrics: What it gates.
        is_alone: Whether each trial needs a process that nothing else has used, as peak memory does.
    """

    id: str
    kind: Kind
    metrics: tuple[Metric, ...]
    is_alone: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether both revisions take turns in it, block by block, in processes that all timed workloads share."""
        return self.kind is Kind.PERFORMANCE and not self.is_alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """What a classifier answered for each example of the test set, in the order of the test set.

    Attributes:
        predicted: Predicted class of each example, one byte each, base64.
        labels_digest: SHA-256 of the true labels; equal in both revisions or the trials cannot be compared.
        labels: True class of each example, one byte each, base64.
    """

    predicted: str
    labels: str
    labels_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One execution of a workload for one revision.

    Attributes:
        workload: Node id of the workload.
        side: The revision it ran for.
        seed: The seed it was given.
        pair: Number of the pair it belongs to, from 0; the repetition of a baseline for exact-first has the pair's
            number too, and ``repetition`` 1.
        outcome: How it ended.
        values: Recorded metrics.
        series: Recorded learning curves.
        context: Recorded circumstances, which must be equal in both revisions.
        digest: SHA-256 of what was recorded by ``record_digest`` together with the values; empty if nothing was.
        predictions: Recorded predictions, if any.
        cause: Why it did not complete, in one sentence.
        last_lines: The last lines the worker wrote.
        duration_s: Wall time of the workload itself.
        peak_memory_bytes: Peak resident memory of the worker.
        load: Other processes' share of the machine while it ran, in processors; ``None`` where unknown.
        names: What was counted, by metric, where it has names: imported modules, for instance.
        block_times_s: Time of a call in each block of a timed workload, in the order measured.
        went_first: For each block, whether it came before the other revision's block that belongs to it.
        reused_from: Run that measured it, where it is a baseline trial that was kept; empty if it was measured in this
            run. Its duration and load, which say nothing about this run, are then 0 and unknown.
        files_of: The revision whose workload files it ran with.
    """

    workload: str
    side: Side
    seed: int
    pair: int
    outcome: Outcome
    repetition: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    digest: str = ""
    predictions: Predictions | None = None
    cause: str = ""
    last_lines: tuple[str, ...] = ()
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    load: float | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    block_times_s: tuple[float, ...] = ()
    went_first: tuple[bool, ...] = ()
    reused_from: str = ""
    files_of: Side = Side.BASELINE


@dataclass(frozen=True, kw_only=True, slots=True)
class FlippedExample:
    """A test example that the two revisions classify differently in correctness.

    Attributes:
        index: Position in the test set.
        label: True class.
        baseline: The baseline's prediction.
        candidate: The candidate's prediction.
        image: PNG of the example as base64, or empty.
    """

    index: int
    label: int
    baseline: int
    candidate: int
    image: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipSummary:
    """Per-example comparison of two trained models at one seed; it describes and does not decide.

    Attributes:
        seed: The seed of the two trainings.
        num_examples: Size of the test set.
        right_to_wrong: Examples that only the baseline classifies correctly.
        wrong_to_right: Examples that only the candidate classifies correctly.
        p_value: McNemar's exact two-sided p-value for these two trained models.
        baseline_confusion: ``confusion[label][predicted]`` of the baseline.
        candidate_confusion: The same of the candidate.
        examples: At most 100 flipped examples.
    """

    seed: int
    num_examples: int
    right_to_wrong: int
    wrong_to_right: int
    p_value: float
    baseline_confusion: tuple[tuple[int, ...], ...] = ()
    candidate_confusion: tuple[tuple[int, ...], ...] = ()
    examples: tuple[FlippedExample, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """A reviewed decision to accept a loss.

    Attributes:
        metric: Id or name of the metric waived.
        limit: The largest loss accepted, on the scale of the margin.
        reason: Why.
        until: ISO date of the last day it holds.
    """

    metric: str
    limit: float
    reason: str
    until: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The judgement on one metric.

    All losses are positive where the candidate is worse: differences in the metric's unit for accuracy, natural-log
    ratios for performance.

    Attributes:
        metric: What was judged.
        verdict: The judgement.
        reason: Why, in one sentence for a reader.
        method: What it rests on.
        num_pairs: Pairs the judgement used.
        num_looks: Looks taken until it was final.
        estimate: Mean loss over the pairs, or the nearest value that the interval holds.
        interval: Repeated confidence interval of the loss: it lies below the margin exactly where the pairs say
            ``pass``, above it exactly where they say ``fail``.
        cap: What larger losses, of either sign, were counted as in estimate, interval and deviation; ``None`` where
            these are of the losses as measured. Where all that were larger have one sign, the interval has no end there.
        standard_deviation: Of the loss over pairs.
        baseline_mean: Mean value of the baseline.
        candidate_mean: Mean value of the candidate.
        fails_above: A true loss above this would have failed with 90 % chance, at the largest planned look.
        passes_below: A true loss below this would have passed with 90 % chance, at the largest planned look.
        further_pairs: Pairs expected to settle an inconclusive finding; ``None`` if not applicable.
        p_values: Sequential p-values by hypothesis: ``above_zero``, ``above_margin``, ``below_margin``,
            ``below_double_margin``.
        seeds: Seeds of the pairs, in order.
        baseline_values: Value of the baseline in each pair.
        candidate_values: Value of the candidate in each pair.
        losses: Loss of each pair.
        exact_seeds: Seeds on which the digests of both revisions were equal.
        blame: Which part broke, for ``error``.
        detail: Last lines of the worker, or names that were added, for a reader who digs.
        warnings: What a reader must know to trust the numbers, a sentence each.
        waiver: The waiver that covers it, if any.
        measured_with: Whose workload files its trials ran with; ``None`` where nothing was measured.
        review: What a person has to review before it may pass, in one sentence; such a finding is ``inconclusive``
            whatever its pairs say, unless they say ``fail``. Empty where there is nothing to review.
    """

    metric: Metric
    verdict: Verdict
    reason: str
    method: Method = Method.NONE
    num_pairs: int = 0
    num_looks: int = 0
    estimate: float | None = None
    interval: Interval | None = None
    cap: float | None = None
    standard_deviation: float | None = None
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    fails_above: float | None = None
    passes_below: float | None = None
    further_pairs: int | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    baseline_values: tuple[float, ...] = ()
    candidate_values: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    exact_seeds: tuple[int, ...] = ()
    blame: Blame | None = None
    detail: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waiver: Waiver | None = None
    measured_with: MeasuredWith | None = None
    review: str = ""

    @property
    def needs_review(self) -> bool:
        """Whether it stays undecided until a person accepts what it was judged by."""
        return self.verdict is Verdict.INCONCLUSIVE and bool(self.review)

    @property
    def margins_lost(self) -> float:
        """The estimate in margins, by which findings are sorted; 0 without an estimate."""
        if self.estimate is None:
            return 0.0
        margin = self.metric.scaled_margin
        in_margins = self.estimate / margin if margin else self.estimate
        return max(-LARGEST_LOSS, min(LARGEST_LOSS, in_margins))

    @property
    def measured_loss(self) -> float | None:
        """The estimate, or where that is of capped losses the mean of the losses as measured, if it is larger."""
        if self.estimate is None or self.cap is None:
            return self.estimate
        return max(self.estimate, math.fsum(loss / len(self.losses) for loss in self.losses))

    @property
    def exploded_seeds(self) -> tuple[int, ...]:
        """Seeds of the pairs whose loss was beyond the cap, where one was used."""
        if self.cap is None:
            return ()
        return tuple(seed for seed, loss in zip(self.seeds, self.losses, strict=True) if loss > self.cap)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A learning curve of one trial.

    Attributes:
        name: The recorded name.
        seed: Seed of the trial.
        baseline: Values of the baseline, one an epoch.
        candidate: Values of the candidate.
    """

    name: str
    seed: int
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadResult:
    """What a workload gave besides its findings.

    Attributes:
        id: Node id.
        kind: How its metrics are compared.
        status: ``judged``, ``new``, ``missing``, ``skipped`` or ``error``.
        reason: Why it was not judged; empty if it was.
        context: Recorded circumstances, such as the data set.
        num_pairs: Pairs completed.
        seconds: Wall time of all its trials.
        curves: Learning curves of both revisions.
        flips: Per-example comparison, a seed each.
        descriptive: Mean of what was recorded and not gated, by name: baseline, candidate.
        block_times_s: Time of a call in each measured block, by side, for timed workloads.
        loads: Largest load by other processes during each pair, in processors; empty where unknown.
    """

    id: str
    kind: Kind
    status: str
    reason: str = ""
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    num_pairs: int = 0
    seconds: float = 0.0
    curves: tuple[Curve, ...] = ()
    flips: tuple[FlipSummary, ...] = ()
    descriptive: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    block_times_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    loads: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One of the two revisions compared.

    Attributes:
        side: Baseline or candidate.
        commit: Full hash of the commit that was measured; for a working tree, of its snapshot.
        tree: Full hash of its tree.
        subject: First line of the commit message.
        name: What the user would call it, such as ``merge base with origin/main`` or ``working tree``.
    """

    side: Side
    commit: str
    tree: str
    subject: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What a revision ran in.

    Attributes:
        side: Baseline or candidate.
        python: Version of the interpreter.
        packages: Name and version of every dependency, sorted.
        packages_digest: SHA-256 of the resolved set, Python, platform and uv.
        wheel_digest: SHA-256 of the subject's wheel.
        variables: Environment variables fixed for the workers.
    """

    side: Side
    python: str
    packages: Mapping[str, str]
    packages_digest: str
    wheel_digest: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where the run took place, without anything that names its owner.

    Attributes:
        system: Operating system and release.
        architecture: Such as ``x86_64``.
        processor: Model name.
        num_cores: Logical processors the run could use.
        memory_bytes: Physical memory.
        accelerator: Name of the GPU, or empty.
        load_at_start: Load average before the first trial; ``None`` where unknown.
    """

    system: str
    architecture: str
    processor: str
    num_cores: int
    memory_bytes: int
    accelerator: str = ""
    load_at_start: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What was decided before the first pair.

    Attributes:
        alpha: Chance that a clean change fails the gate; level of every strict test.
        edge: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks.
        num_gated: K, the number of metrics that share alpha.
        seconds: Budget for measuring.
        fail_fast: Whether the first ``fail`` stops the gate.
        inconclusive: What an inconclusive gate exits with: 3, 0 or 1.
        salt: What the seeds derive from, with the baseline's commit and the workload.
        threads: Threads of each worker.
        jobs: Accuracy trials run at once.
        pair_seconds: Time of the blocks of each timed workload in a pair, of both revisions together.
    """

    alpha: float
    edge: float
    looks: tuple[int, ...]
    num_gated: int
    seconds: float
    fail_fast: bool
    inconclusive: int
    salt: str
    threads: int
    jobs: int
    pair_seconds: float = DEFAULT_PAIR_SECONDS


class ChangeKind(StrEnum):
    """What part of the means of judgement a change touches."""

    WORKLOAD = "workload"
    """A file of the workload folder."""
    CONFTEST = "conftest"
    """A ``conftest.py`` of the workload folder."""
    PYTEST = "pytest"
    """A setting of pytest."""
    MARKER = "marker"
    """What a workload's marker says of a metric."""
    SETTING = "setting"
    """A key of ``[tool.mainstay]``."""
    WAIVER = "waiver"
    """A waiver that the baseline does not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A difference between the revisions in what they are judged by, rather than in what is judged.

    Attributes:
        kind: What was changed.
        name: Path of the file, id of the metric, or name of the setting.
        before: What the baseline has, in a few words; empty where it has nothing.
        after: What the candidate has; empty where it has nothing.
        effect: What this gate made of it.
        diff: The first lines of a unified diff, for a file.
    """

    kind: ChangeKind
    name: str
    before: str = ""
    after: str = ""
    effect: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything one gate produced.

    Attributes:
        id: Unique name, sorted by time.
        created: ISO time in UTC of the start.
        mainstay_version: Version of the tool.
        verdict: Of the whole gate.
        reason: Why, in one sentence.
        exit_status: What the command exits with.
        baseline: One revision.
        candidate: The other.
        environments: Of baseline and candidate, in that order; empty if they could not be built.
        machine: Where.
        settings: What was decided beforehand.
        findings: One a gated metric, in the order of the workloads.
        workloads: One a workload.
        notes: What a reader must know, a sentence each.
        changes: Differences between the revisions in what they are judged by.
        phases_s: Seconds by phase of the gate.
        max_load: Largest load by other processes seen during a trial, in processors.
        schema_version: Always 1.
    """

    id: str
    created: str
    mainstay_version: str
    verdict: Verdict
    reason: str
    exit_status: int
    baseline: Revision
    candidate: Revision
    environments: tuple[Environment, ...]
    machine: Machine
    settings: Settings
    findings: tuple[Finding, ...]
    workloads: tuple[WorkloadResult, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    phases_s: Mapping[str, float] = field(default_factory=dict)
    max_load: float | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectableLoss:
    """What a number of pairs can tell, each with 90 % chance.

    Attributes:
        num_pairs: Pairs at the last look.
        fails_above: A true loss above this fails.
        passes_below: A true loss below this passes; negative where even a clean change does not reliably pass.
    """

    num_pairs: int
    fails_above: float
    passes_below: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricNoise:
    """What two equal revisions showed of one metric.

    Attributes:
        metric: What was measured.
        losses: Loss of each pair, which would be 0 without noise.
        bias: Mean loss.
        bias_interval: 99 % interval of the true mean loss; without 0 in it, the two builds differ.
        deviation: Standard deviation of a loss over pairs.
        deviation_interval: Its 95 % interval.
        within: The part of the deviation that more blocks in a pair would shrink; ``None`` without blocks.
        between: The part that differs from process to process; ``None`` without blocks.
        detectable: What numbers of pairs can tell at the metric's margin.
        supported_margin: Smallest margin that the proposed looks support; ``None`` until there is a proposal.
        refusal: Why the margin is refused and what would support it; empty where it is supported.
    """

    metric: Metric
    losses: tuple[float, ...]
    bias: float
    bias_interval: Interval
    deviation: float
    deviation_interval: Interval
    within: float | None
    between: float | None
    detectable: tuple[DetectableLoss, ...]
    supported_margin: float | None = None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """Settings that the machine's noise supports.

    Attributes:
        looks: Numbers of pairs at which the gate looks.
        seconds: Budget for measuring.
        margins: Margin by name of a metric, for those whose margin is refused.
    """

    looks: tuple[int, ...]
    seconds: float
    margins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What a revision gated against itself says about the machine.

    Attributes:
        created: ISO time in UTC of the start.
        mainstay_version: Version of the tool.
        revision: What was built twice and compared with itself.
        environments: Of the two builds.
        machine: Where.
        max_load: Largest load by other processes seen during a trial, in processors.
        alpha: Level of the strict tests.
        edge: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks, as configured.
        seconds: Budget for measuring, as configured.
        num_pairs: Pairs measured.
        seconds_per_pair: Mean wall time of a pair, all its workloads together.
        metrics: One a timed metric.
        verdicts: What a gate over these pairs says, by metric id.
        num_gates: Gates made of these pairs with their signs drawn anew.
        num_false_alarms: Those that fail.
        false_alarm_interval: 95 % interval of their share.
        num_passes: Those that pass.
        proposal: Settings that are supported.
        notes: What a reader must know, a sentence each.
        schema_version: Always 1.
    """

    created: str
    mainstay_version: str
    revision: Revision
    environments: tuple[Environment, ...]
    machine: Machine
    max_load: float | None
    alpha: float
    edge: float
    looks: tuple[int, ...]
    seconds: float
    num_pairs: int
    seconds_per_pair: float
    metrics: tuple[MetricNoise, ...]
    verdicts: Mapping[str, Verdict]
    num_gates: int
    num_false_alarms: int
    false_alarm_interval: Interval
    num_passes: int
    proposal: Proposal
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
