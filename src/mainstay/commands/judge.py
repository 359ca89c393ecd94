"""The judge command: judge stored results of two evaluations as a gate judges its own measurements.

Nothing is measured: files take the place of revisions. Facts that the files do not contain, such as who made them and
where, are unknown, and the run document says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from mainstay.commands.outcome import RunOutcome, finish
from mainstay.evaluation.formats import read_scores, with_task
from mainstay.evaluation.items import ItemsError, PairedTask, ScoredItem, Scores, is_share, pair_scores
from mainstay.gates.policy import Design, GateFacts, judge_gate
from mainstay.gates.tasks import MACRO, TaskSamples, acknowledge_gains, judge_tasks
from mainstay.measuring.items import (
    FEWEST_SHOWN,
    MAX_FLIPPED,
    flipped_items,
    item_groups,
    paired_samples,
    preset_samples,
)
from mainstay.project.configuration import Configuration, EvaluationSettings, read_configuration
from mainstay.project.waivers import JUDGED_WAIVERS, apply_waivers, read_waivers, unknown_waivers
from mainstay.records.errors import StoreError, UsageError
from mainstay.records.executions import STORED_EXECUTION
from mainstay.records.findings import Finding, MeasuredWith, Waiver
from mainstay.records.formatting import first_few
from mainstay.records.metrics import FRACTION, STORED, Direction, Kind, Metric
from mainstay.records.plans import Plan, PlannedWorkload
from mainstay.records.runs import Revision, Run, WorkloadResult
from mainstay.records.scales import PLAIN_NUMBER
from mainstay.records.trials import ContextValue, Side
from mainstay.revisions.tracking import refuse_tracked_links
from mainstay.store.files import FOLDER
from mainstay.store.journal import JUDGEMENTS, new_run
from mainstay.workers.machine import describe_machine

LARGEST_MARGIN = 0.5
"""Upper bound of margins of shares, since twice the margin is tested, too."""

UNNAMED = "scores"
"""Name of the only task of both sides, which would otherwise be named after the file."""

MAX_FACTS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """Options of the command; ``None`` means as configured.

    Attributes:
        margin: Tolerated degradation of every task and of their mean.
        task_margins: Tolerated degradation by task.
        config: File with ``[tool.mainstay]``; if ``None``, pyproject.toml of the folder, if it exists.
        filter: Answer filter of lm-evaluation-harness to use.
        cluster: Field that identifies the cluster of an item.
        prompt_changed: Whether different prompts for the same items are intended.
        score_range: Smallest and largest score of all tasks whose range is not configured.
        acknowledged: Metrics whose implausible gain a person has examined.
    """

    margin: float | None = None
    task_margins: Mapping[str, float] = field(default_factory=dict)
    config: Path | None = None
    filter: str = ""
    cluster: str = ""
    prompt_changed: bool = False
    score_range: tuple[float, float] | None = None
    acknowledged: tuple[str, ...] = ()


def judge(folder: Path, baseline: Path, candidate: Path, options: JudgeOptions) -> RunOutcome:
    """Judge the stored results of a candidate against those of a baseline.

    Args:
        folder: Folder from which settings and waivers are read and to which the run document is written.
        baseline: File of the baseline's results, or a folder of such files.
        candidate: File of the candidate's results, or a folder of such files.
        options: Options of the command.

    Returns:
        The run, which has been written to a folder of its own.

    Raises:
        MainstayError: If nothing can be judged; its ``exit_status`` says why.
    """
    watch, created = time.monotonic(), datetime.now(UTC)
    refuse_tracked_links(folder / FOLDER / JUDGEMENTS)
    configuration = _configuration(folder, options.config)
    waivers = read_waivers(folder / JUDGED_WAIVERS)
    settings = _in_force(configuration.evaluation, options)
    read = {
        side: read_scores(path, chosen_filter=settings.filter, cluster=settings.cluster)
        for side, path in ((Side.BASELINE, baseline), (Side.CANDIDATE, candidate))
    }
    sides = {
        side: replace(scores, directions={**scores.directions, **settings.directions})
        for side, scores in _with_common_name(read).items()
    }
    reading_s, watch = time.monotonic() - watch, time.monotonic()
    samples, paired = _samples(sides, settings, options)
    _check_names(samples, options)
    _check_filter(sides, options)
    findings, design = judge_tasks(
        samples,
        macro_margin=_macro_margin(samples, settings),
        alpha=configuration.alpha,
        margin_level=configuration.margin_level,
        macro_tier=settings.tiers.get(MACRO),
    )
    findings = acknowledge_gains(findings, options.acknowledged)
    notes = _waiver_notes(waivers, findings, created.date())
    findings = apply_waivers(findings, waivers, created.date())
    judgement = judge_gate(GateFacts(findings=findings, inconclusive=configuration.inconclusive))
    judging_s = time.monotonic() - watch
    with new_run(folder, created, {"created": created.isoformat()}, among=JUDGEMENTS) as place:
        run = Run(
            id=place.id,
            created=created.isoformat(timespec="seconds"),
            mainstay_version=version("mainstay"),
            **judgement._asdict(),
            baseline=_revision(Side.BASELINE, sides[Side.BASELINE]),
            candidate=_revision(Side.CANDIDATE, sides[Side.CANDIDATE]),
            environments=(),
            machine=describe_machine(),
            plan=_plan(configuration, findings, design),
            findings=findings,
            workloads=(_workload(sides, findings, paired),),
            notes=(*notes, *_notes(sides, options, findings), *_unused(settings, options, samples, sides)),
            phases_s={"reading": reading_s, "judging": judging_s},
        )
        return finish(place, run)


def _configuration(folder: Path, config: Path | None) -> Configuration:
    """The settings in a file; the defaults if none is named and the folder has none."""
    place = config or folder / "pyproject.toml"
    if config is None and not place.is_file():
        return Configuration()
    try:
        return read_configuration(place.read_bytes(), str(place))
    except OSError as error:
        raise UsageError(
            f"the settings cannot be read: {error.strerror}", looked_in=str(place), next_step="name a TOML file"
        ) from error


def _in_force(configured: EvaluationSettings, options: JudgeOptions) -> EvaluationSettings:
    """The configured settings, overridden by the options."""
    return replace(
        configured,
        margin=configured.margin if options.margin is None else options.margin,
        margins={**configured.margins, **options.task_margins},
        filter=options.filter or configured.filter,
        cluster=options.cluster or configured.cluster,
    )


def _with_common_name(sides: Mapping[Side, Scores]) -> Mapping[Side, Scores]:
    """Both sides with a common task name, if each has a single task named only after its file."""
    names = {side: {item.task for item in scores.items} for side, scores in sides.items()}
    stems = {side: {file.stem for file in scores.files} for side, scores in sides.items()}
    is_unnamed = names != stems or len(names[Side.BASELINE]) != 1 or len(names[Side.CANDIDATE]) != 1
    if is_unnamed or names[Side.BASELINE] == names[Side.CANDIDATE]:
        return sides
    return {side: with_task(scores, UNNAMED) for side, scores in sides.items()}


def _margin(task: str, settings: EvaluationSettings) -> float:
    """The margin of a task, or of the mean."""
    margin = settings.margins.get(task, settings.margin)
    if margin is None:
        raise UsageError(
            f"no margin for {task}",
            looked_in="[tool.mainstay.evaluation]",
            next_step="give --margin 0.02 for 2 points, or --task-margin",
        )
    return margin


def _samples(
    sides: Mapping[Side, Scores], settings: EvaluationSettings, options: JudgeOptions
) -> tuple[list[TaskSamples], Mapping[str, PairedTask]]:
    """All tasks in the order of the baseline, then those that only the candidate has; and the items of both sides."""
    tasks = {side: list(dict.fromkeys(item.task for item in scores.items)) for side, scores in sides.items()}
    names = list(dict.fromkeys((*tasks[Side.BASELINE], *tasks[Side.CANDIDATE])))
    given = dict.fromkeys(names, options.score_range) if options.score_range else {}
    ranges = {**given, **settings.ranges}
    refused: dict[str, ItemsError] = {}
    try:
        paired = {
            task.name: task
            for task in pair_scores(
                sides[Side.BASELINE],
                sides[Side.CANDIDATE],
                ranges=ranges,
                prompt_changed=options.prompt_changed,
                on_refused=lambda error: refused.update({error.task: error}),
            )
        }
    except ItemsError as error:
        named = ", ".join(map(str, sides[error.side].files)) if error.side else None
        kind = StoreError if error.task else UsageError
        raise kind(
            str(error), looked_in=named, next_step="export the results again, each item of a task once per repeat"
        ) from error
    samples = []
    for name in names:
        tier = settings.tiers.get(name)
        if task := paired.get(name):
            are_shares = task.score_range == (0.0, 1.0)
            metric = _metric(name, settings, are_shares=are_shares, direction=task.direction)
            samples.append(paired_samples(task, metric, tier=tier))
        elif name in tasks[Side.BASELINE]:
            metric = _metric_of(name, sides[Side.BASELINE], settings, ranges)
            samples.append(preset_samples(metric, refused=_with_advice(refused.get(name)), tier=tier))
        else:
            metric = _metric_of(name, sides[Side.CANDIDATE], settings, ranges)
            samples.append(preset_samples(metric, lacking=Side.BASELINE, tier=tier))
    return samples, paired


def _metric(name: str, settings: EvaluationSettings, *, are_shares: bool, direction: Direction) -> Metric:
    """A task as a metric; a margin impossible for a share is refused."""
    margin = _margin(name, settings)
    if are_shares:
        _refuse_points(name, margin)
    return Metric(
        workload=STORED,
        name=name,
        kind=Kind.ACCURACY,
        direction=direction,
        margin=margin,
        unit=FRACTION if are_shares else PLAIN_NUMBER,
    )


def _macro_margin(samples: Sequence[TaskSamples], settings: EvaluationSettings) -> float:
    """The margin of the mean of the tasks, which is a share; an impossible one is refused if the mean is judged.

    One that was given for the mean itself is refused beside a single task, too, if that is a share.
    """
    margin = _margin(MACRO, settings)
    is_judged = sum(each.is_in_macro for each in samples) > 1
    if is_judged or (MACRO in settings.margins and any(each.metric.unit == FRACTION for each in samples)):
        _refuse_points(MACRO, margin)
    return margin


def _refuse_points(name: str, margin: float) -> None:
    """Refuse a margin that is impossible for a share, such as one in points of 100."""
    if margin >= LARGEST_MARGIN:
        raise UsageError(
            f"the margin of {name} is {margin:g}, which is {100 * margin:g} points of 100",
            next_step=f"give {margin / 100:g} for {margin:g} points",
        )


def _with_advice(refused: ItemsError | None) -> ItemsError | None:
    """An error, with the option that lets different prompts pass."""
    if refused is None or "another prompt" not in str(refused):
        return refused
    advice = f"{refused}; declare --prompt-changed if that is intended"
    return ItemsError(advice, task=refused.task, side=refused.side)


def _metric_of(
    name: str, scores: Scores, settings: EvaluationSettings, ranges: Mapping[str, tuple[float, float]]
) -> Metric:
    """The metric of a task that only one side has."""
    low, high = ranges.get(name, (0.0, 1.0))
    values = [item.score for item in scores.items if item.task == name and item.score is not None]
    are_shares = (low, high) == (0.0, 1.0) and all(map(is_share, values))
    return _metric(name, settings, are_shares=are_shares, direction=scores.directions.get(name, Direction.HIGHER))


def _check_names(samples: Sequence[TaskSamples], options: JudgeOptions) -> None:
    """Refuse options that name no task, since a typing error must not pass for a decision."""
    names = [each.metric.name for each in samples]
    if MACRO in names:
        raise UsageError(f"a task is called {MACRO!r}, the name of the mean of the tasks", next_step="rename the task")
    named = {
        "--task-margin": options.task_margins,
        "--acknowledge-gain": dict.fromkeys(options.acknowledged),
    }
    for place, given in named.items():
        if slip := next((name for name in given if name not in {*names, MACRO}), None):
            raise UsageError(
                f"no task is called {slip!r}",
                looked_in=place,
                next_step=f"name one of {', '.join(names[:8])}{' and more' if len(names) > 8 else ''}",
            )


def _check_filter(sides: Mapping[Side, Scores], options: JudgeOptions) -> None:
    """Refuse an answer filter that no task has."""
    known = _filters(sides)
    if options.filter and options.filter not in known:
        step = f"name one of {', '.join(known)}" if known else "leave it out: only lm-evaluation-harness has filters"
        raise UsageError(f"no task has the answer filter {options.filter!r}", looked_in="--filter", next_step=step)


def _filters(sides: Mapping[Side, Scores]) -> list[str]:
    """Answer filters of lm-evaluation-harness whose answers are judged."""
    scorers = [each for scores in sides.values() if scores.format == "lm-eval" for each in scores.scorers.values()]
    return sorted({scorer.rpartition(",")[2] for scorer in scorers})


def _waiver_notes(waivers: Sequence[Waiver], findings: Sequence[Finding], today: date) -> list[str]:
    """Notes, not errors, on waivers that match no task, since their file may serve several sets of results."""
    metrics = [finding.metric for finding in findings]
    unknown = unknown_waivers(waivers, metrics, today, excused=waivers)
    return [f"a waiver of {waiver.metric} matches no task that is judged here" for waiver in unknown]


def _notes(sides: Mapping[Side, Scores], options: JudgeOptions, findings: Sequence[Finding]) -> Iterator[str]:
    """Notes on results that were not measured by mainstay."""
    yield "stored results: who made them, where and when is known only from the files"
    formats = {side: scores.format for side, scores in sides.items()}
    if len(set(formats.values())) > 1:
        yield f"the sides come from different tools: {formats[Side.BASELINE]} and {formats[Side.CANDIDATE]}"
    if options.prompt_changed:
        yield "prompts were declared to differ between the sides: the claim is about model and prompt together"
    if options.acknowledged:
        yield f"implausible gains were acknowledged: {', '.join(options.acknowledged)}"
    outside = [finding.metric.name for finding in findings if finding.metric.unit != FRACTION]
    if outside and any(finding.metric.name == MACRO for finding in findings):
        yield f"not part of the mean of the tasks, since they are not shares: {', '.join(outside[:8])}"


def _unused(
    settings: EvaluationSettings, options: JudgeOptions, samples: Sequence[TaskSamples], sides: Mapping[Side, Scores]
) -> Iterator[str]:
    """Notes, not errors, on settings that match no task, since their file may serve several sets of results."""
    known = {MACRO, *options.task_margins, *(each.metric.name for each in samples)}
    named = dict.fromkeys((*settings.margins, *settings.tiers, *settings.ranges, *settings.directions))
    if unknown := [name for name in named if name not in known]:
        yield f"the settings name tasks that are not judged here: {', '.join(unknown[:8])}"
    if settings.filter and settings.filter not in _filters(sides):
        yield f"the settings name an answer filter that no task has: {settings.filter}"


def _revision(side: Side, scores: Scores) -> Revision:
    """The files of a side as a revision: their digest, their names and the tool that wrote them."""
    digest = hashlib.sha256()
    for file in scores.files:
        digest.update(f"{_file_digest(file)} {file.name}\n".encode(errors="surrogateescape"))
    return Revision(
        side=side,
        commit=digest.hexdigest() if len(scores.files) > 1 else _file_digest(scores.files[0]),
        tree="",
        subject=first_few([file.name for file in scores.files], at_most=1),
        name=f"stored results, {scores.format}, {len(scores.items):,} scores",
    )


def _file_digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", looked_in=str(file)) from error


def _workload(
    sides: Mapping[Side, Scores], findings: Sequence[Finding], paired: Mapping[str, PairedTask]
) -> WorkloadResult:
    """The origin that the files of both sides state, and the items that flipped."""
    items: dict[str, dict[Side, list[ScoredItem]]] = {name: {side: [] for side in Side} for name in paired}
    for side, scores in sides.items():
        for item in scores.items:
            if item.task in items:
                items[item.task][side].append(item)
    share = max(FEWEST_SHOWN, MAX_FLIPPED // max(len(paired), 1))
    context: dict[str, ContextValue] = {}
    for side, scores in sides.items():
        for file in scores.files[:MAX_FACTS]:
            context[f"{side} file {file.name}"] = f"sha256 {_file_digest(file)}"
    names = dict.fromkeys(name for scores in sides.values() for name in scores.facts)
    for name in list(names)[:MAX_FACTS]:
        baseline, candidate = (sides[side].facts.get(name, "not said") for side in Side)
        context[name] = baseline if baseline == candidate else f"{baseline} -> {candidate}"
    return WorkloadResult(
        id=STORED,
        kind=Kind.ACCURACY,
        status="judged",
        context=context,
        num_pairs=sum(finding.num_pairs for finding in findings if finding.metric.name != MACRO),
        flipped_items=tuple(
            item for name, task in paired.items() for item in flipped_items(task, name, items[name], at_most=share)
        ),
        groups=tuple(
            group for name, task in paired.items() for group in item_groups(task, name, items[name][Side.BASELINE])
        ),
    )


def _plan(configuration: Configuration, findings: Sequence[Finding], design: Design) -> Plan:
    """The plan for the record: all items exist already, so there is one look and no budget."""
    return Plan(
        alpha=design.alpha,
        margin_level=design.margin_level,
        looks=(),
        num_gated=design.num_gated,
        salt="",
        workloads=(
            PlannedWorkload(
                id=STORED,
                execution=STORED_EXECUTION,
                measured_with=MeasuredWith.SHARED,
                metrics=tuple(finding.metric for finding in findings),
            ),
        ),
        seconds=0.0,
        pair_seconds=0.0,
        trial_seconds=0.0,
        fail_fast=False,
        inconclusive=configuration.inconclusive,
        threads=0,
        jobs=0,
    )
