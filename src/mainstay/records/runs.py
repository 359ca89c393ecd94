"""The run: one document with everything that a gate produced, from which every report is rendered.

Numbers stay numbers (fractions, seconds, bytes) until a report renders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mainstay.records.explanations import Explanation
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Kind
from mainstay.records.plans import Plan
from mainstay.records.trials import ContextValue, Side

SCHEMA_VERSION = 1
"""Version of the run document; raised if code for the old version would misread the new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlippedExample:
    """A test example that one revision classifies correctly and the other does not.

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
        seed: The seed of both training runs.
        num_examples: Size of the test set.
        right_to_wrong: Examples that only the baseline classifies correctly.
        wrong_to_right: Examples that only the candidate classifies correctly.
        p_value: McNemar's exact two-sided p-value for these two trained models.
        baseline_confusion: Confusion matrix ``[label][predicted]`` of the baseline.
        candidate_confusion: Confusion matrix of the candidate.
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
class FlippedItem:
    """An item of an evaluation that the revisions score differently.

    Attributes:
        metric: Name of the metric of its task.
        id: Id of the item.
        group: Its cluster; empty if it is independent.
        degradation: How much worse the candidate is.
        baseline: Score of the baseline, averaged over repeats; ``None`` if it is missing.
        candidate: Score of the candidate; ``None`` if it is missing.
        input: What it asks, as recorded and shortened; empty if not recorded.
        baseline_output: Output of the baseline, as recorded and shortened, or why there is none.
        candidate_output: Output of the candidate.
    """

    metric: str
    id: str
    group: str
    degradation: float
    baseline: float | None
    candidate: float | None
    input: str = ""
    baseline_output: str = ""
    candidate_output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemGroup:
    """The items of one group, such as those of one document; descriptive only.

    Attributes:
        metric: Name of the metric of its task.
        name: Label of the group.
        num_items: Number of items.
        num_worse: Items at which the candidate is worse.
        num_better: Items at which the candidate is better.
        degradation: Mean degradation over its items.
    """

    metric: str
    name: str
    num_items: int
    num_worse: int
    num_better: int
    degradation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A learning curve of one trial.

    Attributes:
        name: The recorded name.
        seed: Seed of the trial.
        baseline: Values of the baseline, one for each epoch.
        candidate: Values of the candidate, one for each epoch.
    """

    name: str
    seed: int
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadResult:
    """Result of a workload, without its findings.

    Attributes:
        id: Node id of the workload.
        kind: Kind of its metrics, which says how their values compare.
        status: ``judged``, ``new``, ``missing``, ``skipped`` or ``error``.
        reason: Why it was not judged; empty if it was.
        context: Recorded circumstances, such as the data set.
        num_pairs: Pairs completed; for an evaluation, items scored by both revisions.
        seconds: Wall time of all its trials.
        curves: Learning curves of both revisions.
        flips: Per-example comparison for each seed.
        flipped_items: Items of an evaluation that the revisions score differently, losses first; not all if many.
        groups: Groups of its items in which most changed; not all if many.
        descriptive: Means of recorded values that are not gated, by name: baseline, candidate.
        block_times_s: For timed workloads, the time of a call in each block, by side, in the order measured;
            neighbouring blocks of a pair are merged if there are many.
        block_weights: Weight of each of these blocks in the mean of its pair, equal in both revisions, since it follows from
            the speed of the core that they shared; empty if all weigh the same.
        run_delay: Share of the time of these blocks in which the process had to wait for a core because of processes other than
            the two workers, such as those of others and the gate; it is subtracted. ``None`` if it is unknown for a pair, whose times are then wall-clock times.
        num_concurrent_pairs: Pairs in which the blocks of both revisions ran at the same time on one core; in the others
            they took turns.
        loads: Largest load by other processes during each pair, in processors; empty if unknown.
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
    flipped_items: tuple[FlippedItem, ...] = ()
    groups: tuple[ItemGroup, ...] = ()
    descriptive: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    block_times_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    block_weights: tuple[float, ...] = ()
    run_delay: float | None = None
    num_concurrent_pairs: int = 0
    loads: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One of the two revisions compared.

    Attributes:
        side: Baseline or candidate.
        commit: Full hash of the commit that was measured; for a working tree, of its snapshot. For stored results, the
            SHA-256 of the file, or of the digests and names of several files.
        tree: Full hash of its tree; empty for stored results.
        subject: First line of the commit message; for stored results, the names of the files.
        name: Name for the user, such as ``merge base with origin/main`` or ``working tree``.
        head: Full hash of the last commit of a pull request, if the commit is the merge that CI made of it; otherwise
            empty.
    """

    side: Side
    commit: str
    tree: str
    subject: str
    name: str
    head: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Environment in which a revision ran.

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
        architecture: Architecture of the processor, such as ``x86_64``.
        processor: Model name of the processor.
        num_cores: Number of logical processors that the run could use.
        memory_bytes: Physical memory.
        accelerator: Name of the GPU; empty if there is none.
        load_at_start: Load average before the first trial; ``None`` if unknown.
    """

    system: str
    architecture: str
    processor: str
    num_cores: int
    memory_bytes: int
    accelerator: str = ""
    load_at_start: float | None = None


class ChangeKind(StrEnum):
    """Part of what a change is judged by, in which it differs from the baseline."""

    WORKLOAD = "workload"
    """A file of the workload folder, or a helper that one of them imports."""
    CONFTEST = "conftest"
    """A ``conftest.py`` of the workload folder."""
    PYTEST = "pytest"
    """A setting of pytest."""
    STARTUP = "startup"
    """Code of a revision's own wheel that runs in every worker, such as a ``.pth`` file or a plugin of pytest."""
    MARKER = "marker"
    """A declaration of a metric in the marker of its workload."""
    SETTING = "setting"
    """A key of ``[tool.mainstay]``, or the dependency group of the measuring packages."""
    WAIVER = "waiver"
    """A waiver that the baseline does not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A difference between the revisions in what they are judged by, not in the code that is judged.

    Attributes:
        kind: Kind of the thing that was changed.
        name: Path of the file, id of the metric, or name of the setting.
        before: Value of the baseline, in a few words; empty if it has none.
        after: Value of the candidate, in a few words; empty if it has none.
        effect: How this gate treated the change.
        diff: For a file, the first lines of a unified diff.
    """

    kind: ChangeKind
    name: str
    before: str = ""
    after: str = ""
    effect: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """The shards that measured a gate, and whose pieces were judged together.

    Attributes:
        count: Number of shards.
        num_pairs: Number of pairs up to which all of them are complete.
        cut: Shards whose time was used up, such as ``1/4``.
    """

    count: int
    num_pairs: int
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything one gate produced.

    Attributes:
        id: Unique name, sorted by time.
        created: ISO time in UTC of the start.
        mainstay_version: Version of the tool.
        verdict: Verdict of the whole gate.
        reason: Why the gate has this verdict, in one sentence.
        exit_status: Exit status of the command.
        baseline: The baseline.
        candidate: The candidate.
        environments: Environments of the baseline and the candidate, in that order; empty if they could not be built.
        machine: Machine on which the gate ran.
        plan: Plan of the gate.
        findings: One finding for each gated metric, in the order of the workloads.
        workloads: Result of each workload.
        notes: Notes for the reader, one sentence each.
        changes: Differences between the revisions in what they are judged by.
        differing_files: Installed files of the project that differ between the revisions, by their installed names.
        phases_s: Duration of each phase of the gate, in seconds.
        max_load: Largest load by other processes seen during a trial, in processors.
        explanation: The first place where the revisions differ, if the gate was asked for it and did not pass; it
            decides nothing.
        shards: Shards that measured it; ``None`` if it was not measured in shards.
        on_cluster: Whether a cluster measured accuracy.
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
    explanation: Explanation | None = None
    shards: Shards | None = None
    on_cluster: bool = False
    schema_version: int = SCHEMA_VERSION

    @property
    def is_of_stored_results(self) -> bool:
        """Whether stored results were judged and nothing was measured."""
        return not self.plan.looks
