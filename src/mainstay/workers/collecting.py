"""Collection: the workloads that a revision can run, as its worker collects them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mainstay.records.errors import UsageError
from mainstay.records.executions import EXECUTIONS, kinds_of_others
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier, Workload
from mainstay.records.selections import EVERYTHING, Selection
from mainstay.runner.confinement import can_confine
from mainstay.runner.protocol import Collected, CollectedScoring, CollectedWorkload, Event
from mainstay.workers.process import START_SECONDS, Launcher, Worker, WorkerEndedError, WorkerSpec, conceal, start_fresh

MAX_ATTEMPTS = 4
"""Maximum number of collections; each attempt leaves out the file in which the worker of the previous one ended."""

MAX_HANGS = 2
"""Number of hanging files after which collection stops."""

REFUSED_WRITE = re.compile(r"Permission denied|PermissionError")
"""Part of the cause of a failure if a process was denied write access."""

UNKNOWN_NAME = re.compile(r"^fixture '.*' not found|not found in `markers` configuration option")
"""Part of the cause of a failure if pytest knows no fixture, or in its strict mode no mark, of that name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in the workload folder that could not be collected.

    Attributes:
        id: File or node id.
        cause: Why it could not be collected, in one line.
        is_usage: Whether a marker is incorrect, as opposed to code that failed.
        is_hang: Whether the worker hung; a file that hangs is not tried again.
    """

    id: str
    cause: str
    is_usage: bool = False
    is_hang: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """Workloads that one revision can run.

    Attributes:
        workloads: The workloads found.
        problems: Files and tests that could not be collected.
        last_lines: The last output of the worker, if there were problems.
        skipped: Workloads that a mark skips on this machine, or allows to fail.
        skipped_files: Files that skip themselves on this machine, so that the metrics that they gate are unknown.
        deselected: Workloads that the user's expressions do not select.
    """

    workloads: tuple[Workload, ...]
    problems: tuple[Problem, ...] = ()
    last_lines: tuple[str, ...] = ()
    skipped: frozenset[str] = frozenset()
    skipped_files: tuple[Problem, ...] = ()
    deselected: frozenset[str] = frozenset()

    def require_right_markers(self) -> None:
        """Refuse incorrect markers and expressions.

        Raises:
            UsageError: For the first incorrect one, if there is any.
        """
        if wrong := next((problem for problem in self.problems if problem.is_usage), None):
            is_marker = "::" in wrong.id
            next_step = f"correct the {'marker of this workload' if is_marker else 'expression'}"
            raise UsageError(wrong.cause, looked_in=wrong.id, next_step=next_step)


def explain_cause(cause: str) -> str:
    """Why a process failed, with advice if the cause may be what workers are denied or do not load.

    Args:
        cause: The failure's own message.

    Example:
        >>> explain_cause("ValueError: no data")
        'ValueError: no data'
    """
    if UNKNOWN_NAME.search(cause):
        return (
            f"{cause} (workers load the plugins of the dependency group 'benchmarks' and each conftest.py in the workload "
            "folder, but none above it: move what workloads need into that folder)"
        )
    if not REFUSED_WRITE.search(cause) or not can_confine():
        return cause
    return (
        f"{cause} (workers can write to their own folders only, such as TMPDIR; a place that they must write to is named "
        "by the key 'writable' in the [tool.mainstay] of the baseline)"
    )


def collect_workloads(
    spec: WorkerSpec,
    select: Sequence[str],
    launcher: Launcher = start_fresh,
    *,
    selection: Selection = EVERYTHING,
    limit_s: float = START_SECONDS,
) -> Collection:
    """Collect the workloads that a revision can run.

    If a worker ends while it collects, the file that it was collecting is a problem, and collection is repeated without
    that file.

    Args:
        spec: The revision's worker.
        select: Paths to collect, relative to the measuring folder.
        launcher: Function that starts the worker's process.
        selection: The user's selection; other workloads are collected too, but marked as deselected.
        limit_s: Seconds after which a worker counts as hung.

    Returns:
        Workloads and problems.
    """
    fatal: list[Problem] = []
    lines: tuple[str, ...] = ()
    while True:
        ignored = [problem.id for problem in fatal]
        with Worker(spec, select, launcher, ignored=ignored, selection=selection) as worker:
            try:
                event = worker.expect(Event.COLLECTED, limit_s)
            except WorkerEndedError as ended:
                worker.kill()
                place = " ".join(select) if ended.collecting in {"", "."} else ended.collecting
                fatal.append(Problem(id=place, cause=ended.cause, is_hang=ended.is_hang))
                lines = worker.last_lines()
            else:
                found = _parse_collection(event, spec)
                lines = worker.last_lines() if found.problems else lines
                return replace(found, problems=(*fatal, *found.problems), last_lines=lines)
        last = fatal[-1]
        is_tried_enough = len(fatal) >= MAX_ATTEMPTS or sum(problem.is_hang for problem in fatal) >= MAX_HANGS
        if last.id in {*ignored, *select, " ".join(select)}:
            return Collection(workloads=(), problems=tuple(fatal), last_lines=lines)
        if is_tried_enough:
            everything = replace(last, id=" ".join(select))
            return Collection(workloads=(), problems=(*fatal, everything), last_lines=lines)


def _parse_collection(event: Collected, spec: WorkerSpec) -> Collection:
    """Parse the collection that a worker reports."""
    problems = [
        Problem(id=problem["id"], cause=conceal(explain_cause(problem["cause"]), spec), is_usage="usage" in problem)
        for problem in event["problems"]
    ]
    workloads = []
    for content in event["workloads"]:
        try:
            workloads.append(_parse_workload(content))
        except MarkerError as error:
            problems.append(Problem(id=content["id"], cause=str(error), is_usage=True))
    return Collection(
        workloads=tuple(workloads),
        problems=tuple(problems),
        skipped=frozenset(content["id"] for content in event["workloads"] if content["is_skipped"]),
        deselected=frozenset(content["id"] for content in event["workloads"] if content["is_deselected"]),
        skipped_files=tuple(
            Problem(id=skipped["id"], cause=conceal(skipped["cause"], spec)) for skipped in event["skipped"]
        ),
    )


class MarkerError(ValueError):
    """A marker asks for something that the gate does not offer; the message says what, in one sentence."""


def _parse_workload(content: CollectedWorkload) -> Workload:
    """A workload as the worker describes it.

    Raises:
        MarkerError: If a metric cannot be judged as its marker says.
    """
    execution = EXECUTIONS[content["execution"]]
    known = [
        kind for kind in Kind if kind.scale.is_exact == execution.is_once and kind not in kinds_of_others(execution)
    ]
    for metric in content["metrics"]:
        if metric["kind"] not in known:
            raise MarkerError(
                f"the marker of {metric['name']} names the kind {metric['kind']!r}, which no such workload can gate; "
                f"known: {', '.join(known)}"
            )
    metrics = tuple(
        Metric(
            workload=content["id"],
            name=metric["name"],
            kind=Kind(metric["kind"]),
            direction=Direction(metric["direction"]),
            margin=float(metric["margin"]),
            unit=metric["unit"],
            ceiling=metric.get("ceiling"),
            resolution=metric.get("resolution", 0.0),
            scoring=_parse_scoring(metric["scoring"]) if "scoring" in metric else None,
        )
        for metric in content["metrics"]
    )
    for each in metrics:
        if each.has_margin_in_percent:
            raise MarkerError(
                f"the margin of {each.name} is {each.margin:g}, which is {100 * each.margin:g} %: write "
                f"margin={each.margin / 100:g} for {each.margin:g} %"
            )
    return Workload(id=content["id"], execution=execution, metrics=metrics, looks=tuple(content["looks"]))


def _parse_scoring(content: CollectedScoring) -> Scoring:
    score_range, tier = content["range"], content["tier"]
    return Scoring(
        score=content["score"],
        task=content["task"],
        tasks=tuple(content["tasks"]),
        score_range=(score_range[0], score_range[1]) if score_range else None,
        tier=Tier(tier) if tier else None,
    )


def why_not_collected(workload: str, collected: Collected) -> str:
    """Why a worker cannot run a workload; empty if it can.

    Args:
        workload: Node id.
        collected: Content of the event ``collected``.
    """
    if any(found["id"] == workload for found in collected["workloads"]):
        return ""
    causes = (problem["cause"] for problem in collected["problems"] if concerns(problem["id"], workload))
    return str(next(causes, "the workload was not collected"))


def concerns(problem: str, workload: str) -> bool:
    """Whether a problem's path is a workload's file, or a folder that contains it.

    Args:
        problem: Path relative to the measuring folder.
        workload: Node id.

    Example:
        >>> [concerns(path, "benchmarks/test_a.py::test_a") for path in ("benchmarks/test_a.py", "benchmarks", "bench")]
        [True, True, False]
    """
    return PurePosixPath(workload.partition("::")[0]).is_relative_to(problem)
