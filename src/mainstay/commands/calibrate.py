"""Gate a revision against itself, to find out how noisy the machine is and which settings it supports.

:func:`calibrate` builds the revision twice, as a gate builds its two revisions, measures a fixed number of pairs and
passes them to :mod:`mainstay.gates.calibration`. It does not stop early: every workload gets all pairs. Only times and
sizes are calibrated; the accuracies of equal revisions are equal, so they need no pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mainstay.commands.collecting import collect_agenda
from mainstay.commands.harness import open_harness
from mainstay.commands.measurement import max_load, measuring, open_ledgers
from mainstay.commands.planning import fix_plan, least_seconds, note_on_pairs
from mainstay.commands.session import Session, repository_for_runs
from mainstay.commands.start import Start
from mainstay.commands.tampering import require_untouched
from mainstay.gates.calibration import (
    Budget,
    ResampledGates,
    explain_refusal,
    item_noise,
    measure_noise,
    propose_settings,
    resample_gates,
    supported_margin,
)
from mainstay.gates.family import degradations_of, judge_family
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.grouped import GroupLog
from mainstay.measuring.ledger import WorkloadLog
from mainstay.measuring.loop import Observer
from mainstay.project.configuration import with_settings
from mainstay.records.calibrations import Calibration, MetricNoise, Proposal
from mainstay.records.errors import MainstayError, UsageError
from mainstay.records.findings import Finding, Interval
from mainstay.records.plans import Plan
from mainstay.records.trials import Side, Trial
from mainstay.reports.calibration import render_calibration
from mainstay.revisions.git import Repository
from mainstay.runner.ready_metrics import READY_METRICS
from mainstay.stats.noise import block_error
from mainstay.stats.proportions import clopper_pearson_interval
from mainstay.store.documents import calibration_to_json
from mainstay.store.files import refuse_link, write_output, write_text
from mainstay.store.journal import CALIBRATIONS, new_run
from mainstay.workers.machine import describe_machine

NUM_RESAMPLED = 4_000
"""Number of gates that are simulated by resampling the measured pairs."""

LARGEST_MARGIN = 0.5
"""Largest margin for which settings are written."""

MIN_PAIRS = 5
"""Smallest number of pairs from which noise can be estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationOptions:
    """Options of the command.

    Attributes:
        revision: Revision to build twice; the working tree if ``None``.
        pairs: Pairs to measure; as many as the last configured look if ``None``.
        seconds: Budget of a gate that the settings must fit; as configured if ``None``.
    """

    revision: str | None = None
    pairs: int | None = None
    seconds: float | None = None


def calibrate(
    path: Path, options: CalibrationOptions, *, environ: Mapping[str, str], observer: Observer
) -> tuple[Calibration, Path]:
    """Measure a revision against itself.

    Args:
        path: A folder in the user's repository.
        options: Options of the command.
        environ: The user's environment.
        observer: Receives progress reports.

    Returns:
        The calibration, and the file that it was written to.

    Raises:
        UsageError: If no workload is timed or scores items, or the requested number of pairs is too small.
        MainstayError: If the revision cannot be built, or none of these workloads can be measured.
        Interrupted: On Ctrl-C.
    """
    _check_pairs(options)
    repository = repository_for_runs(path)
    candidate = repository.candidate(options.revision)
    repository.refuse_tracked_runs(candidate.revision.commit)
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    start = Start(
        baseline=replace(candidate.revision, side=Side.BASELINE),
        candidate=candidate.revision,
        notes=candidate.notes,
        salt=created,
        created=created,
        seconds=float("inf"),
        fail_fast=False,
    )
    with new_run(repository.root, datetime.fromisoformat(created), asdict(start), among=CALIBRATIONS) as folder:
        session = Session(repository, folder, start, environ=environ, observer=observer)
        calibration = run_calibration(session, options)
        place = folder.write("calibration.json", calibration_to_json(calibration))
        folder.journal.append("finish")
    return calibration, place


def render(calibration: Calibration) -> str:
    """A calibration as plain text."""
    return render_calibration(calibration)


def write_document(place: Path, calibration: Calibration) -> Path:
    """Write the calibration document to a file.

    Raises:
        StoreError: If it cannot be written.
    """
    return write_output(place, calibration_to_json(calibration))


def write_settings(path: Path, calibration: Calibration) -> Path:
    """Write the proposed settings to the pyproject.toml of the working tree, and keep its comments and line ends.

    Args:
        path: A folder in the user's repository.
        calibration: Calibration with the proposed settings.

    Returns:
        The file.

    Raises:
        MainstayError: If the machine is so noisy that the margins would let anything pass.
        ConfigurationError: If the file cannot be read.
        StoreError: If the file is a link, or cannot be written.
    """
    refuse_meaningless(calibration.proposal)
    root = Repository.discover(path).root
    place = root / "pyproject.toml"
    refuse_link(place, root)
    text = place.read_bytes().decode() if place.exists() else ""
    proposal = calibration.proposal
    settings = with_settings(
        text,
        "pyproject.toml",
        looks=proposal.looks,
        seconds=proposal.seconds,
        margins=proposal.margins,
        deviations=proposal.deviations,
    )
    return write_text(place, settings)


def refuse_meaningless(proposal: Proposal) -> None:
    """Refuse margins that would let almost anything pass.

    Example:
        >>> refuse_meaningless(Proposal(looks=(5, 8), seconds=60, margins={"call_time": 3.0}))
        Traceback (most recent call last):
        ...
        mainstay.records.errors.MainstayError: this machine is too noisy to gate call_time: it would take a margin of 300 %
          next: calibrate while nothing else runs, or with longer or more pairs; nothing was written
    """
    for name, margin in proposal.margins.items():
        if margin > LARGEST_MARGIN:
            raise MainstayError(
                f"this machine is too noisy to gate {name}: it would take a margin of {100 * margin:.0f} %",
                next_step="calibrate while nothing else runs, or with longer or more pairs; nothing was written",
            )


def _check_pairs(options: CalibrationOptions) -> None:
    """Refuse a number of pairs that is too small."""
    if options.pairs is not None and options.pairs < MIN_PAIRS:
        raise UsageError(
            f"{options.pairs} pairs are too few to estimate the noise",
            next_step=f"ask for at least {MIN_PAIRS}; 20 determine a standard deviation to within a quarter",
        )


def run_calibration(session: Session, options: CalibrationOptions) -> Calibration:
    """Build twice, collect, plan, measure and judge.

    Args:
        session: Session of a run of one revision against itself.
        options: Options of the command.

    Raises:
        UsageError: If no workload is timed or scores items.
        MainstayError: If the revision cannot be built, or none of these workloads can be measured.
    """
    machine = describe_machine()
    num_pairs = options.pairs or session.configuration.looks[-1]
    with open_harness(session) as harness:
        agenda = collect_agenda(session, harness)
        plan = fix_plan(session, agenda, num_pairs=num_pairs)
        part = _noisy_part(session, agenda)
        ledgers = open_ledgers(part, plan)
        session.watch.lap("workloads")
        with measuring(session, harness, part, plan, ledgers) as measurement:
            scored = measurement.score_items()
            session.watch.lap("scoring")
            if any(each.workload.execution.has_noise_of_machine for each in part.assignments):
                measurement.measure_pairs(num_pairs)
        require_untouched(harness)
    budget = Budget(
        seconds=session.configuration.seconds if options.seconds is None else options.seconds,
        seconds_per_pair=session.watch.seconds["measuring"] / num_pairs,
        pair_seconds=plan.pair_seconds,
        least_seconds=least_seconds(plan),
    )
    design = Design.of(plan)
    usable, unusable = _usable_samples(session, ledgers, scored)
    samples = [sample for _, sample in usable]
    noises = [_noise(log, sample, design) for log, sample in usable]
    means = [measure_noise(mean, [], design) for mean in _usable_means(plan, ledgers)]
    metrics, proposal, gates = _judge(samples, noises, means, budget, design)
    notes = (
        *session.start.notes,
        *harness.seals.notes,
        harness.prepared.notice,
        harness.preload_note,
        note_on_pairs(plan, session.configuration.pair_seconds),
        _note_on_others(agenda),
        *measurement.notes,
        *unusable,
    )
    return Calibration(
        created=session.start.created,
        mainstay_version=version("mainstay"),
        revision=session.start.candidate,
        environments=harness.environments,
        machine=machine,
        max_load=max_load(ledgers),
        alpha=design.alpha,
        margin_level=design.margin_level,
        looks=design.looks,
        seconds=budget.seconds,
        num_pairs=num_pairs,
        seconds_per_pair=budget.seconds_per_pair,
        metrics=metrics,
        verdicts={finding.metric.id: finding.verdict for finding in judge_family(samples, design)},
        num_gates=gates.num_gates,
        num_false_alarms=gates.num_fails,
        false_alarm_interval=Interval(*clopper_pearson_interval(gates.num_fails, gates.num_gates))
        if gates.num_gates
        else Interval(0.0, 1.0),
        num_passes=gates.num_passes,
        proposal=proposal,
        evaluations=tuple(item_noise(finding) for finding in scored if finding.items is not None),
        notes=tuple(filter(None, notes)),
    )


def _note_on_others(agenda: Agenda) -> str:
    """What a gate spends its budget on besides the timed pairs; empty if nothing or if nothing is timed."""
    executions = [each.workload.execution for each in agenda.assignments]
    num_others = sum(execution.part == "accuracy" for execution in executions)
    if not num_others or not any(execution.has_noise_of_machine for execution in executions):
        return ""
    workloads = "1 workload" if num_others == 1 else f"{num_others} workloads"
    return (
        f"the budget is for timed pairs alone: a gate also trains or evaluates {workloads} within its seconds, so add the "
        "time that takes to the proposed seconds"
    )


def _noisy_part(session: Session, agenda: Agenda) -> Agenda:
    """The part of the agenda that equal revisions may measure differently: times, and scores of a sampling model."""
    noisy = tuple(
        each
        for each in agenda.assignments
        if each.workload.execution.has_noise_of_machine or each.workload.execution.has_items
    )
    if not noisy:
        raise UsageError(
            "nothing to calibrate: no workload is timed, and none scores items",
            looked_in=session.configuration.workloads,
            next_step="write a test that uses the fixture benchmark, or one that is marked with evaluation",
        )
    return replace(agenda, assignments=noisy, settled=())


def _usable_samples(
    session: Session, ledgers: Sequence[WorkloadLog], scored: Sequence[Finding]
) -> tuple[list[tuple[WorkloadLog, MetricSamples]], list[str]]:
    """The samples from which noise can be estimated, and why the others cannot be used."""
    run = [log for log in ledgers if not (log.skip_reason or log.workload.execution.has_items)]
    measured = [(log, sample) for log in run for sample in map(log.samples, log.workload.metrics)]
    usable = [(log, sample) for log, sample in measured if sample.preset is None]
    unusable = [_complaint(sample.metric.id, sample.preset.reason) for _, sample in measured if sample.preset]
    unusable += [_complaint(log.workload.id, log.skip_reason) for log in ledgers if log.skip_reason]
    unusable += [_complaint(finding.metric.id, finding.reason) for finding in scored if finding.items is None]
    if not usable and all(finding.items is None for finding in scored):
        raise MainstayError(
            f"no workload could be measured: {unusable[0]}",
            looked_in=session.configuration.workloads,
            next_step="let 'pytest' run the workloads first",
        )
    return usable, unusable


def _usable_means(plan: Plan, ledgers: Sequence[WorkloadLog]) -> list[MetricSamples]:
    """The samples of the mean of each group whose members were measured in enough pairs."""
    means = (mean for group in plan.groups for mean in GroupLog.of(group, ledgers).samples)
    return [mean for mean in means if mean.num_pairs >= MIN_PAIRS]


def _judge(
    samples: Sequence[MetricSamples],
    noises: Sequence[MetricNoise],
    means: Sequence[MetricNoise],
    budget: Budget,
    design: Design,
) -> tuple[tuple[MetricNoise, ...], Proposal, ResampledGates]:
    """The noises with the margins that they support, the proposed settings, and gates made of the pairs, if any."""
    if not noises:
        none = ResampledGates(num_gates=0, num_fails=0, num_passes=0)
        return (), Proposal(looks=design.looks, seconds=budget.seconds), none
    proposal = propose_settings(noises, budget, design, means=means)
    proposed = replace(design, looks=proposal.looks)
    judged = tuple(
        replace(
            noise,
            supported_margin=supported_margin(noise, proposed),
            refusal=explain_refusal(noise, budget, design, proposal),
        )
        for noise in noises
    )
    gates = resample_gates(
        np.stack([degradations_of(sample) for sample in samples]),
        margins=[sample.metric.scaled_margin for sample in samples],
        design=design,
        num_gates=NUM_RESAMPLED,
        rng=np.random.default_rng(),
    )
    return judged, proposal, gates


def _complaint(name: str, reason: str) -> str:
    """Why a metric or a workload could not be measured."""
    return f"{name} was not measured: {reason}"


def _weighted_blocks(trial: Trial) -> list[float]:
    """What each block of a trial contributes to its mean, up to a factor that both revisions share."""
    return [block * weight for block, weight in zip(trial.block_times_s, trial.weights_of_blocks, strict=True)]


def _noise(log: WorkloadLog, sample: MetricSamples, design: Design) -> MetricNoise:
    """Estimate the noise of one metric from its pairs, and from their blocks if it is a mean over blocks."""
    pairs = zip(log.trials_of(Side.BASELINE), log.trials_of(Side.CANDIDATE), strict=True)
    blocks = [(_weighted_blocks(baseline), _weighted_blocks(candidate)) for baseline, candidate in pairs]
    ready = READY_METRICS.get(sample.metric.name)
    is_mean = ready is not None and ready.from_blocks is not None and all(len(first) > 1 for first, _ in blocks)
    return measure_noise(sample, [block_error(*pair) for pair in blocks] if is_mean else [], design)
