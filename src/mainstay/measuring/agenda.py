"""Agenda of a gate: which workloads it judges and which revision's workload files it uses.

Everything that the baseline gates is either judged or ``missing``. If the workload folders differ, a workload is
measured with the baseline's files if the candidate can run them, and otherwise with each revision's own. This module
starts no process.

- :class:`Collected`: the workloads of one folder that both revisions can run.
- :func:`plan_agenda`: makes the :class:`Agenda`; :func:`with_review` adds a required review, and :func:`as_first` is
  for the change that adds the first workloads.
- :func:`one_part`, :func:`selected_part`: what is left of it if the user asks for a part of the workloads.
- :class:`Assignment`: how one workload is measured.
- :func:`unchecked`: a note on something that names a metric which may not have been collected.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mainstay.measuring.strictness import stricter_metric, why_incomparable
from mainstay.records.findings import Blame, Finding, MeasuredWith, Verdict
from mainstay.records.formatting import first_few
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.selections import Selection
from mainstay.records.trials import Side
from mainstay.workers.collecting import Collection, Problem, concerns

ACCEPT = "review it, accept it with a waiver"
"""Advice to the reviewer of a changed workload or environment."""

REVIEW = f"the workload changed: {ACCEPT}"
"""Review required when each revision was measured with its own files."""

FIRST = "the baseline gates nothing yet; this is judged from the next change on"
"""Reason why every metric is new if a change adds the first workloads."""


class Collected(NamedTuple):
    """Collections that the two revisions make from the workload files of one revision.

    Attributes:
        baseline: Collection made by the baseline.
        candidate: Collection made by the candidate.
    """

    baseline: Collection
    candidate: Collection


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """How one workload is measured, and how its verdict is limited.

    Attributes:
        workload: The workload, with the metrics that are judged.
        measured_with: Revision whose workload files its trials use.
        is_new: Whether the baseline does not gate it; it is then ``new`` if the baseline cannot run it.
        has_own: Whether the candidate has its own file to use if it cannot complete a trial with the baseline's.
        is_moved: Whether the candidate has moved the workload to another file; it is then ``missing`` if the candidate
            cannot complete a trial with the baseline's file.
        review: What must be reviewed before it may pass; empty if nothing.
        skip_review: What must be reviewed if the baseline skips it; empty if a skip by both is accepted.
        missing: Why it is ``missing`` unless it fails; empty if it is not.
    """

    workload: Workload
    measured_with: MeasuredWith = MeasuredWith.SHARED
    is_new: bool = False
    has_own: bool = False
    is_moved: bool = False
    review: str = ""
    skip_review: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenFile:
    """A workload file that the baseline cannot collect, although the candidate has no trouble there.

    A file that skips itself in the baseline is treated alike if the candidate gates something there, or if the change
    alters what both revisions are furnished with, which may be why it skips itself.

    Attributes:
        cause: Why the baseline cannot collect it, or why it skips itself.
        found: Workloads that the candidate finds in the baseline's file, which tell what the baseline gates there;
            empty if the candidate cannot collect all of it either.
        is_skipped: Whether it skips itself.
        review: What must be reviewed before it may be left out.
    """

    cause: str
    found: tuple[str, ...] = ()
    is_skipped: bool = False
    review: str = ACCEPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """Workloads to be judged.

    Attributes:
        assignments: One for each workload that both revisions are asked to run.
        settled: Findings that need no measuring.
        notes: One sentence on each workload or file that gates nothing.
        baseline: Metrics that the baseline gates in its own files.
        candidate: Metrics that the candidate gates in its own files.
        known: All metrics of either revision, including kinds that are left out of this gate.
        hung: For each workload whose file hung during collection: the revision, the cause and its last output.
        broken: Files of the baseline that only the baseline cannot collect, or that need a review because they skip
            themselves, by path.
        uncollected: Files and folders whose metrics are unknown, since a revision cannot collect all of its own there, or
            since they skip themselves.
    """

    assignments: tuple[Assignment, ...]
    settled: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    baseline: Mapping[str, Metric] = field(default_factory=dict)
    candidate: Mapping[str, Metric] = field(default_factory=dict)
    known: tuple[Metric, ...] = ()
    hung: Mapping[str, tuple[Side, str, tuple[str, ...]]] = field(default_factory=dict)
    broken: Mapping[str, BrokenFile] = field(default_factory=dict)
    uncollected: tuple[str, ...] = ()

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Workloads to be measured."""
        return tuple(assignment.workload for assignment in self.assignments)

    @property
    def metrics_of_files(self) -> tuple[Metric, ...]:
        """The metrics that stand for the files of the baseline in ``broken``."""
        return tuple(map(_of_file, self.broken))

    def may_hold(self, metric: str) -> tuple[str, ...]:
        """The files and folders in which a metric may lie that is not among the known ones.

        Args:
            metric: Id of the metric, which begins with its file; or its name, which may occur in any.

        Example:
            >>> agenda = Agenda(assignments=(), settled=(), uncollected=("test_gpu.py",))
            >>> [agenda.may_hold(metric) for metric in ("test_gpu.py::test#time", "test_a.py::test#time", "time")]
            [('test_gpu.py',), (), ('test_gpu.py',)]
        """
        workload, is_id, _ = metric.rpartition("#")
        return tuple(path for path in self.uncollected if not is_id or concerns(path, workload))


def plan_agenda(before: Collected, after: Collected | None = None, *, altered: str = "") -> Agenda:
    """Decide which workloads are judged, and with which revision's files.

    Args:
        before: Collections of both revisions from the baseline's files.
        after: Collections of both revisions from the candidate's files; ``None`` if the files are the same.
        altered: How the change alters what both revisions are furnished with, in a sentence, so that no skip by the
            baseline is accepted without a review; empty if it does not.
    """
    skip_review = f"{altered}: {ACCEPT}" if altered else ""
    agenda = _plan_shared(before, skip_review) if after is None else _plan_both(before, after, skip_review)
    if skip_review:
        assignments = tuple(replace(each, skip_review=skip_review) for each in agenda.assignments)
        agenda = replace(agenda, assignments=assignments)
    return replace(
        agenda,
        hung=dict(_hung(agenda.assignments, before, after or before)),
        uncollected=_incomplete_files([before.baseline, (after or before).candidate]),
    )


def with_review(agenda: Agenda, review: str) -> Agenda:
    """Copy an agenda so that no workload passes without a review.

    Args:
        agenda: Agenda to copy.
        review: What has to be reviewed; if it is empty, the agenda is unchanged.
    """
    if not review:
        return agenda
    assignments = tuple(
        replace(assignment, review=f"{review}; {assignment.review}" if assignment.review else review)
        for assignment in agenda.assignments
    )
    return replace(agenda, assignments=assignments)


def one_part(agenda: Agenda, only: str | None, collections: Iterable[Collection]) -> Agenda:
    """One part of an agenda, ``accuracy`` or ``performance`` (which includes exact counts); all of it if ``None``.

    The parts are separated last, so that the plan of one knows that a file or a workload of the other is there.

    Args:
        agenda: The whole agenda.
        only: The part.
        collections: Collections of all files by both revisions.
    """
    if only is None:
        return agenda
    known = [workload for collection in collections for workload in collection.workloads]
    mine = [workload for workload in known if workload.execution.part == only]
    others = [workload for workload in known if workload.execution.part != only]
    metrics = _metrics(mine)
    left_out = _metrics(others).keys() - metrics.keys()
    ids = {workload.id for workload in mine}
    unmarked = set(map(_unmarked, others)) - set(map(_unmarked, mine))
    part = replace(
        agenda,
        assignments=tuple(each for each in agenda.assignments if each.workload.execution.part == only),
        settled=tuple(finding for finding in agenda.settled if finding.metric.id not in left_out),
        notes=tuple(note for note in agenda.notes if note not in unmarked),
        baseline={name: metric for name, metric in agenda.baseline.items() if name in metrics},
        candidate={name: metric for name, metric in agenda.candidate.items() if name in metrics},
        hung={name: hang for name, hang in agenda.hung.items() if name in ids},
    )
    return _with_broken_files(part, ids.__contains__)


def selected_part(agenda: Agenda, selection: Selection, collections: Iterable[Collection]) -> Agenda:
    """The selected part of an agenda; a note counts the other workloads, which are neither judged nor ``missing``.

    A workload is selected if either revision's collection selects it, so that no change can deselect a workload of the
    baseline.

    Args:
        agenda: The whole agenda, or one part.
        selection: The user's selection.
        collections: Collections of all files by both revisions.
    """
    if not selection:
        return agenda
    known, chosen = set(), set()
    for collection in collections:
        known |= {workload.id for workload in collection.workloads}
        chosen |= {workload.id for workload in collection.workloads if workload.id not in collection.deselected}

    def is_selected(name: str) -> bool:
        return selection.reaches(name) and (name in chosen or name not in known)

    part = replace(
        agenda,
        assignments=tuple(each for each in agenda.assignments if is_selected(each.workload.id)),
        settled=tuple(finding for finding in agenda.settled if is_selected(finding.metric.workload)),
        broken={path: file for path, file in agenda.broken.items() if selection.reaches(path)},
    )
    part = _with_broken_files(part, is_selected)
    every = _judged(agenda)
    num_left_out = len(every - _judged(part))
    note = f"only what {selection} selects was gated: {num_left_out} of {len(every)} workloads were not, and are not judged"
    return replace(part, notes=(note, *part.notes))


def _judged(agenda: Agenda) -> set[str]:
    """The workloads, and files that stand for theirs, that an agenda has a word on."""
    return {each.workload.id for each in agenda.assignments} | {finding.metric.workload for finding in agenda.settled}


def _with_broken_files(part: Agenda, is_selected: Callable[[str], bool]) -> Agenda:
    """A part of an agenda with a finding on each file of the baseline that may have held a workload of that part.

    If it is known that a file held workloads of other parts alone, it is left out. Otherwise a review is needed, as it
    is for the workloads that the candidate has there.

    Args:
        part: Assignments and findings of the part; the files of the whole.
        is_selected: Whether a workload belongs to the part.
    """
    broken = {
        path: replace(file, found=tuple(filter(is_selected, file.found)))
        for path, file in part.broken.items()
        if not file.found or any(map(is_selected, file.found))
    }
    settled = [each for each in part.settled if each.metric.workload not in part.broken.keys() - broken.keys()]
    told = {finding.metric.workload for finding in settled}
    for path, file in broken.items():
        if path not in told and not _concerns_any(path, (each.workload.id for each in part.assignments)):
            settled.append(_unknown(path, file))
    return replace(part, settled=tuple(settled), broken=broken)


def as_first(agenda: Agenda) -> Agenda:
    """The agenda of a change that adds the first workloads: all are ``new``, and nothing is measured.

    Args:
        agenda: The agenda as it would be if the baseline gated the same workloads.
    """
    new = tuple(
        Finding(metric=metric, verdict=Verdict.NEW, reason=FIRST)
        for assignment in agenda.assignments
        for metric in assignment.workload.metrics
    )
    settled = [finding for finding in agenda.settled if finding.metric.workload not in agenda.broken]
    return replace(agenda, assignments=(), settled=(*new, *settled), hung={}, broken={})


def unchecked(what: str, files: Sequence[str]) -> str:
    """A note on something that names a metric which may not have been collected.

    Args:
        what: What names the metric.
        files: Files and folders in which it may lie.

    Example:
        >>> unchecked("a waiver of call_time", ["test_gpu.py"])
        'a waiver of call_time cannot be checked: such a metric may lie in test_gpu.py, which could not be collected'
    """
    return f"{what} cannot be checked: such a metric may lie in {first_few(files)}, which could not be collected"


def _hung(
    assignments: Iterable[Assignment], before: Collected, after: Collected
) -> Iterator[tuple[str, tuple[Side, str, tuple[str, ...]]]]:
    """The workloads whose file hung during collection: a trial would hang too."""
    for assignment in assignments:
        name = assignment.workload.id
        for side in Side:
            collected = before if assignment.measured_with.files_for(side) is Side.BASELINE else after
            collection = collected.baseline if side is Side.BASELINE else collected.candidate
            for problem in collection.problems:
                if problem.is_hang and concerns(problem.id, name):
                    yield name, (side, problem.cause, collection.last_lines)


def _plan_both(before: Collected, after: Collected, skip_review: str) -> Agenda:
    """The agenda for revisions with different workload files."""
    gated_before, gated_after = _gated(before.baseline), _gated(after.candidate)
    assignments: list[Assignment] = []
    settled: list[Finding] = []
    skipped = dict(_skipped_files(before, skip_review, gated_after))
    for workload in gated_before.values():
        assignment, findings = _plan_gated(workload, before, after)
        assignments += [assignment] if assignment else []
        settled += findings
    for workload in gated_after.values():
        if workload.id not in gated_before:
            cause = _problem_of(workload.id, before.baseline)
            review = f"the baseline's own file cannot be collected ({cause}): {REVIEW}" if cause else ""
            review = review or _review_of_skipped(workload.id, skipped)
            assignments.append(
                Assignment(workload=workload, measured_with=MeasuredWith.CANDIDATE, is_new=True, review=review)
            )
    settled += _uncollected(before, after)
    settled += _skipped_without_workloads(skipped, gated_after)
    return Agenda(
        assignments=tuple(assignments),
        settled=tuple(settled),
        notes=_notes(
            [*after.candidate.workloads, *before.baseline.workloads], [before.baseline, after.candidate], skipped
        ),
        baseline=_metrics(before.baseline.workloads),
        candidate=_metrics(after.candidate.workloads),
        broken={**_broken_files(before, after), **skipped},
    )


def _plan_shared(collected: Collected, skip_review: str) -> Agenda:
    """The agenda for revisions with the same workload files."""
    baseline, candidate = collected
    known = {workload.id: workload for workload in (*baseline.workloads, *candidate.workloads)}
    judged, settled = dict(known), []
    for workload in _gated(baseline).values():  # code of a revision may decide what its markers say
        metrics, findings = _compare_markers(workload, known[workload.id])
        judged[workload.id] = replace(workload, metrics=tuple(metrics))
        settled += findings
    new, gone = _lacked(baseline, candidate), _lacked(candidate, baseline)
    skipped = dict(_skipped_files(collected, skip_review, ()))
    order = [workload.id for workload in candidate.workloads]
    order += [workload.id for workload in baseline.workloads if workload.id not in {*order, *gone}]
    return Agenda(
        assignments=tuple(
            Assignment(
                workload=judged[name],
                is_new=name in new,
                review=_review_of_skipped(name, skipped) if name in new else "",
            )
            for name in order
            if judged[name].metrics
        ),
        settled=(
            *settled,
            *(_missing(metric, _REMOVED) for name in gone for metric in known[name].metrics),
            *_uncollected_by_both(collected),
            *_skipped_without_workloads(skipped, _gated(candidate)),
        ),
        notes=_notes([known[name] for name in order], collected, skipped),
        baseline=_metrics(baseline.workloads),
        candidate=_metrics(candidate.workloads),
        broken=skipped,
    )


def _plan_gated(workload: Workload, before: Collected, after: Collected) -> tuple[Assignment | None, list[Finding]]:
    """Decide about a workload that the baseline gates in its own files."""
    if cause := _problem_of(workload.id, after.candidate):
        reason = f"the candidate's own file cannot be collected: {cause}"
        lines = after.candidate.last_lines
        return None, [_error(metric, reason, Blame.CANDIDATE, lines) for metric in workload.metrics]
    own = next((each for each in after.candidate.workloads if each.id == workload.id), None)
    is_moved = own is None and _is_moved(workload, before.baseline, after.candidate)
    if own is None and not is_moved:
        return None, [_missing(metric, _REMOVED) for metric in workload.metrics]
    metrics, settled = _compare_markers(workload, own) if own else (workload.metrics, [])
    if not metrics:
        return None, settled
    runs = any(each.id == workload.id for each in before.candidate.workloads)
    if not runs and own is None:
        cause = _problem_of(workload.id, before.candidate) or "it is not collected"
        return None, [_missing(metric, f"{_MOVED}: {cause}") for metric in metrics]
    is_skipped = workload.id in after.candidate.skipped and workload.id not in before.baseline.skipped
    return (
        Assignment(
            workload=replace(workload, metrics=tuple(metrics)),
            measured_with=MeasuredWith.BASELINE if runs else MeasuredWith.OWN,
            has_own=own is not None,
            is_moved=is_moved,
            missing="a mark in the candidate's own file skips it, or lets it fail" if is_skipped else "",
        ),
        settled,
    )


_REMOVED = "the baseline gates it and the candidate does not: the workload or its marker was removed"
_MOVED = "the candidate has moved the workload and cannot run the baseline's file"


def _compare_markers(workload: Workload, own: Workload) -> tuple[list[Metric], list[Finding]]:
    """The metrics that both revisions mark, each with the stricter marker, and findings on all others."""
    marked = {metric.name: metric for metric in own.metrics}
    metrics, settled = [], []
    for metric in workload.metrics:
        theirs = marked.pop(metric.name, None)
        if theirs is None:
            settled.append(_missing(metric, _REMOVED))
        elif reason := why_incomparable(metric, theirs):
            settled.append(_error(metric, f"{reason}: give the new metric a name of its own", Blame.CANDIDATE))
        else:
            metrics.append(stricter_metric(metric, theirs))
    reason = "the baseline's workload does not gate it"
    settled += [Finding(metric=metric, verdict=Verdict.NEW, reason=reason) for metric in marked.values()]
    return metrics, settled


def _is_moved(workload: Workload, baseline: Collection, candidate: Collection) -> bool:
    """Whether the candidate gates the same test with at least the same metrics under an id unknown to the baseline."""
    known = {each.id for each in baseline.workloads}
    names = {metric.name for metric in workload.metrics}
    return any(
        each.id not in known
        and each.id.partition("::")[2] == workload.id.partition("::")[2]
        and names <= {metric.name for metric in each.metrics}
        for each in candidate.workloads
    )


def _gated(collection: Collection) -> dict[str, Workload]:
    """The workloads that gate something, by id."""
    return {workload.id: workload for workload in collection.workloads if workload.metrics}


def _metrics(workloads: Iterable[Workload]) -> dict[str, Metric]:
    """All gated metrics, by id."""
    return {metric.id: metric for workload in workloads for metric in workload.metrics}


def _notes(workloads: Iterable[Workload], collections: Iterable[Collection], told: Container[str]) -> tuple[str, ...]:
    """A sentence on each workload that gates nothing, and on each file that skips itself and is not told of elsewhere."""
    idle = (_unmarked(workload) for workload in workloads if not workload.metrics)
    files = (
        f"{file.id} is not judged, it skips itself: {file.cause}"
        for collection in collections
        for file in collection.skipped_files
        if file.id not in told
    )
    return tuple(dict.fromkeys((*idle, *files)))


def _unmarked(workload: Workload) -> str:
    return f"{workload.id} gates nothing: it has no marker"


def _problem_of(workload: str, collection: Collection) -> str:
    """Why the file of a workload could not be collected; empty if it could, or if only a marker is wrong."""
    causes = (each.cause for each in collection.problems if not each.is_usage and concerns(each.id, workload))
    return next(causes, "")


def _lacked(by: Collection, other: Collection) -> list[str]:
    """The workloads that one revision lacks and the other has, although the first can collect their files.

    An example is a case of a test that is parametrised over the project's registered models.
    """
    known = {workload.id for workload in by.workloads}
    return [
        workload.id
        for workload in other.workloads
        if workload.id not in known and not any(concerns(problem.id, workload.id) for problem in by.problems)
    ]


def _uncollected_by_both(collected: Collected) -> Iterator[Finding]:
    """Findings for files that neither revision could collect."""
    broken = {problem.id for problem in collected.baseline.problems}
    for problem in collected.candidate.problems:
        if problem.id in broken:
            yield _uncollectable(problem, Blame.BOTH, collected.candidate)


def _uncollected(before: Collected, after: Collected) -> Iterator[Finding]:
    """Findings for files whose code failed, so that the metrics gated there are unknown.

    A broken file of the candidate is an ``error``. If only the baseline's file is broken and the candidate has no
    workload there, the file is ``missing``. Files whose workloads get findings of their own are left out.
    """
    gated_before, gated_after = _gated(before.baseline), _gated(after.candidate)
    for problem in after.candidate.problems:
        if not (problem.is_usage or _concerns_any(problem.id, gated_before)):
            is_shared = problem.id in {each.id for each in after.baseline.problems}
            yield _uncollectable(problem, Blame.BOTH if is_shared else Blame.CANDIDATE, after.candidate)
    for path, file in _broken_files(before, after).items():
        if not _concerns_any(path, gated_after):
            reason = f"the candidate has no workload there, and what the baseline gates is unknown: {file.cause}"
            yield _missing(_of_file(path), reason)


def _broken_files(before: Collected, after: Collected) -> dict[str, BrokenFile]:
    """The files of the baseline in which code failed for the baseline, and not for the candidate in its own."""
    of_candidate = {problem.id for problem in after.candidate.problems if not problem.is_usage}
    return {
        problem.id: BrokenFile(cause=problem.cause, found=_found_in(problem.id, before.candidate))
        for problem in before.baseline.problems
        if not problem.is_usage and problem.id not in of_candidate
    }


def _incomplete_files(collections: Iterable[Collection]) -> tuple[str, ...]:
    """The files and folders that are not collected whole; a wrong expression of the user belongs to none."""
    problems = (
        problem
        for collection in collections
        for problem in (*collection.problems, *collection.skipped_files)
        if not problem.is_usage or "::" in problem.id
    )
    return tuple(dict.fromkeys(problem.id.partition("::")[0] for problem in problems))


def _skipped_files(before: Collected, skip_review: str, gated_after: Iterable[str]) -> Iterator[tuple[str, BrokenFile]]:
    """The files that skip themselves in the baseline and need a review, by path.

    Without a review, a candidate could take from the baseline what its file needs, and gate the same with looser markers.

    Args:
        before: Collections of both revisions from the baseline's files.
        skip_review: What must be reviewed wherever a file skips itself; empty if the candidate altered nothing.
        gated_after: Workloads that the candidate gates in files of its own that differ.
    """
    workloads = [*gated_after]
    for file in before.baseline.skipped_files:
        if skip_review or _concerns_any(file.id, workloads):
            found = _found_in(file.id, before.candidate)
            yield file.id, BrokenFile(cause=file.cause, found=found, is_skipped=True, review=skip_review or REVIEW)


def _review_of_skipped(workload: str, skipped: Mapping[str, BrokenFile]) -> str:
    """The review of a workload that only the candidate collects; empty if no file that skips itself may have held it."""
    reviews = (
        f"the baseline's own file skips itself ({file.cause}): {file.review}"
        for path, file in skipped.items()
        if concerns(path, workload)
    )
    return next(reviews, "")


def _skipped_without_workloads(skipped: Mapping[str, BrokenFile], gated: Iterable[str]) -> Iterator[Finding]:
    """Findings for files that skip themselves and need a review, where the candidate gates nothing."""
    workloads = [*gated]
    return (_unknown(path, file) for path, file in skipped.items() if not _concerns_any(path, workloads))


def _found_in(path: str, collection: Collection) -> tuple[str, ...]:
    """The gated workloads that a revision finds in a file or folder; none if it cannot collect all of it."""
    unknown = (each.id for each in (*collection.problems, *collection.skipped_files))
    if any(concerns(path, each) or concerns(each, path) for each in unknown):
        return ()
    return tuple(sorted(name for name in _gated(collection) if concerns(path, name)))


def _uncollectable(problem: Problem, blame: Blame, collection: Collection) -> Finding:
    who = "neither revision can" if blame is Blame.BOTH else "the candidate cannot"
    return _error(_of_file(problem.id), f"{who} collect it: {problem.cause}", blame, collection.last_lines)


def _unknown(path: str, file: BrokenFile) -> Finding:
    """The finding on a file of the baseline where nothing else of what the user asks for is judged."""
    held = "it may have held workloads that are to be gated, and the candidate has none there"
    if file.found:
        held = f"its workloads are known from the candidate alone, which has {first_few(file.found)} there no longer"
    what = "it skips itself in the baseline" if file.is_skipped else "the baseline cannot collect it"
    review = f"{what} ({file.cause}): {held}: {file.review}"
    return Finding(metric=_of_file(path), verdict=Verdict.INCONCLUSIVE, reason=review, review=review, is_new=True)


def _concerns_any(path: str, workloads: Iterable[str]) -> bool:
    return any(concerns(path, workload) for workload in workloads)


def _of_file(path: str) -> Metric:
    """A metric that stands for a file that could not be collected."""
    return Metric(workload=path, name="collection", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.0)


def _missing(metric: Metric, reason: str) -> Finding:
    return Finding(metric=metric, verdict=Verdict.MISSING, reason=reason)


def _error(metric: Metric, reason: str, blame: Blame, detail: Sequence[str] = ()) -> Finding:
    return Finding(metric=metric, verdict=Verdict.ERROR, reason=reason, blame=blame, detail=tuple(detail))
