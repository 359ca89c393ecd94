"""The run: one document with everything that a gate produced, from which every report is rendered.

Numbers stay numbers (fractions, seconds, bytes) until a report renders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Kind
from mainstay.records.plans import Plan
from mainstay.records.trials import ContextValue, Side

SCHEMA_VERSION = 1
"""Version of the run document; raised when a reader of the old one would misread the new one."""


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
    """Per-example comparison of two trained models at one seed; descriptive only.

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
    """Result of a workload, without its findings.

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
        block_times_s: Time of a call by side, for timed workloads, in the order measured; neighbouring blocks of a pair
            are put together where it has many.
        run_delay: Of the wall time of these blocks, the share in which others kept a process waiting for a core, which
            is taken off; ``None`` where it is not known, so that the times are those of the wall clock.
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
    run_delay: float | None = None
    loads: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One of the two revisions compared.

    Attributes:
        side: Baseline or candidate.
        commit: Full hash of the commit that was measured; for a working tree, of its snapshot; for stored results,
            SHA-256 of the file, or of the digests and names of several.
        tree: Full hash of its tree; empty for stored results.
        subject: First line of the commit message, or names of the files.
        name: What the user would call it, such as ``merge base with origin/main`` or ``working tree``.
    """

    side: Side
    commit: str
    tree: str
    subject: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Environment that a revision ran in.

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
    """Description of the machine, without anything that identifies its owner.

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


class ChangeKind(StrEnum):
    """Part of the means of judgement that a change touches."""

    WORKLOAD = "workload"
    """A file of the workload folder."""
    CONFTEST = "conftest"
    """A ``conftest.py`` of the workload folder."""
    PYTEST = "pytest"
    """A setting of pytest."""
    STARTUP = "startup"
    """Code of a revision's own wheel that runs in every worker, such as a ``.pth`` file or a plugin of pytest."""
    MARKER = "marker"
    """A declaration of a metric in the marker of its workload."""
    SETTING = "setting"
    """A key of ``[tool.mainstay]``."""
    WAIVER = "waiver"
    """A waiver that the baseline does not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A difference between the revisions in the means of judgement, not in the code judged.

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
        verdict: Verdict of the whole gate.
        reason: Why, in one sentence.
        exit_status: Exit status of the command.
        baseline: One revision.
        candidate: The other.
        environments: Of baseline and candidate, in that order; empty if they could not be built.
        machine: Where.
        plan: Plan of the run.
        findings: One a gated metric, in the order of the workloads.
        workloads: One a workload.
        notes: Notes for the reader, one sentence each.
        changes: Differences between the revisions in what they are judged by.
        differing_files: Files of the subject that the revisions do not install alike, by their names as installed.
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
    plan: Plan
    findings: tuple[Finding, ...]
    workloads: tuple[WorkloadResult, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    differing_files: tuple[str, ...] = ()
    phases_s: Mapping[str, float] = field(default_factory=dict)
    max_load: float | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def is_of_stored_results(self) -> bool:
        """Whether stored results were judged and nothing was measured."""
        return not self.plan.looks
