"""Proof that two revisions which differ in words only need not be measured: docstrings, comments, layout, names of locals.

The same code is executed, unless it reads its own words. So the modules are searched for what could, the baseline runs each
workload in a traced process, and as a control both revisions run them once more. What the candidate's process says of itself
can only have everything measured; it never proves anything.

If both revisions' settings say ``proof = "executed"``, functions may differ that the baseline does not execute. Its second run
then makes many calls of each workload, and no source of chance may be used: it is assumed that a path which none of these calls
took is rare.

- :func:`prove_reworded`: the workloads that need not be measured, or why all are.
- :func:`find_obstacle`: what a traced run saw that leaves open whether words were read.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mainstay.commands.harness import Harness
from mainstay.commands.session import Session
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.scheduling import derive_seeds
from mainstay.records.formatting import first_few
from mainstay.records.metrics import Workload
from mainstay.records.trials import Side
from mainstay.revisions.environments import installed_path
from mainstay.revisions.unchanged import (
    WordComparison,
    compare_trees,
    compare_words,
    find_native_code,
    find_records,
    names_in_wheels,
)
from mainstay.runner.protocol import Traced
from mainstay.runner.ready_metrics import READY_METRICS
from mainstay.runner.rewording import MADE_BY_UV
from mainstay.workers.process import start_fresh
from mainstay.workers.tracing import FEWEST_CALLS, MOST_CALLS, TracedRun, TraceError, join_runs, trace_workloads

SHARE_OF_BUDGET = 0.25
"""Part of the time budget that the traced runs may take; it comes on top, and is saved many times over."""

MAX_ROUNDS = 6
"""How often the baseline is traced, each time without the workloads that kept an earlier trace from being a proof.

What happens once in a process, as in a fixture of the session, keeps one workload after the other from being proved.
"""

OF_EVERY_ENVIRONMENT = ("pyvenv.cfg", "bin/python", MADE_BY_UV)
"""Beginnings of the names of what starts every worker."""

MOST_NAMED = 3
"""Workloads that a note names."""

BODY = "::<module>"
"""End of the name of what the import of a module executes."""

REPEAT_SECONDS = 4.0
"""Longest time for which one workload is run repeatedly."""

NEEDS_MONITORING = (
    'proof = "executed" needs Python 3.12 or later, and the revisions use an older version: code counts as unchanged only if it '
    "differs in nothing but docstrings, comments, layout and names of locals"
)


@dataclass(frozen=True, slots=True)
class Reworded:
    """Result of looking for such a proof.

    Attributes:
        workloads: Workloads that need not be measured.
        note: What is measured though the code is the same, and why; empty where nothing is or the code differs.
        calls: Traced calls of each such workload, if code differs that none of them executed.
        unexecuted: Functions in which that code lies, each with its file.
    """

    workloads: frozenset[str] = frozenset()
    note: str = ""
    calls: Mapping[str, int] = field(default_factory=dict)
    unexecuted: tuple[str, ...] = ()


def prove_reworded(session: Session, harness: Harness, agenda: Agenda, differing: Sequence[str]) -> Reworded:
    """Prove that workloads need not be measured, if the revisions differ in words only.

    Args:
        session: Session of the run.
        harness: Both revisions, equal but for what they install.
        agenda: Workloads to be judged, which both revisions collected alike.
        differing: Files in which the wheels differ, by their names there.

    Returns:
        The proof; nothing if the revisions differ in more than words.

    Raises:
        OSError: If an installed file cannot be read.
    """
    trees = [harness.subjects[side].site_packages for side in Side]
    comparison = compare_trees(*trees)
    installed = {installed_path(PurePosixPath(name)) for name in differing}
    if not comparison.is_text_of_modules or installed - set(map(PurePosixPath, comparison.files)):
        return Reworded()
    specs = harness.specs[Side.BASELINE]
    baseline = specs[Side.BASELINE]
    words = compare_words(
        harness.subjects[Side.BASELINE].python,
        trees,
        comparison.files,
        beside=Path(baseline.folder),
        variables=baseline.variables,
    )
    if words.problem:
        return Reworded(note=f"only the text of modules differs; measured nevertheless, since {words.problem}")
    if not words.is_same_code and not (words.changed and session.configuration.proof == "executed"):
        return Reworded()
    if words.changed and not words.can_follow_calls:
        return Reworded(note=NEEDS_MONITORING)
    equal = _how_equal(words)
    workloads = [assignment.workload for assignment in agenda.assignments]
    eligible = [workload for workload in workloads if not _depends_on_words(workload)]
    others = {metric.name: None for workload in workloads if workload not in eligible for metric in workload.metrics}
    affected = f"since the text of a module affects {first_few(list(others))}"
    if not eligible:
        return Reworded(note=f"{equal}; measured nevertheless, {affected}")
    if reason := next(_reasons_to_measure(harness, trees[0], words), ""):
        return Reworded(note=f"{equal}; measured nevertheless, since {reason}")

    session.observer.phase("proof")
    files = (*comparison.files, *find_records(trees[0]))
    timed = frozenset(workload.id for workload in eligible if workload.execution.is_interleaved)
    tracing = _Tracing(session=session, harness=harness, words=words, files=files, timed=timed)
    proved = tracing.prove(eligible)
    session.watch.lap("proof")
    if tracing.obstacles:
        of_all_first = sorted(tracing.obstacles.items(), key=lambda item: bool(item[0]))
        reasons = [f"{name}: {why}" if name else why for name, why in of_all_first]
        if (left := len(reasons) - MOST_NAMED) > 0:
            reasons[MOST_NAMED:] = [f"and {left} more"]
        what = "measured nevertheless" if not proved else "measured in part"
        note = f"{equal}; {what}, since {'; '.join(reasons)}"
    elif len(proved) < len(agenda.assignments):
        note = f"{equal}; measured in part, {affected}"
    else:
        note = ""
    calls = {name: tracing.calls[name] for name in sorted(proved) if name in tracing.calls}
    return Reworded(proved, note, calls, words.changed if proved else ())


def _how_equal(words: WordComparison) -> str:
    """In what the revisions differ, as the beginning of a sentence."""
    if not words.changed:
        return "the revisions differ only in docstrings, comments, layout and names of locals"
    return f"the revisions differ only in the code of {first_few(words.changed)}"


def _reasons_to_measure(harness: Harness, tree: Path, words: WordComparison) -> Iterator[str]:
    """What makes a trace needless, since it could not prove anything, as the rest of a sentence."""
    if native := find_native_code(tree):
        yield f"compiled code could read them ({native})"
    if startup := next(_startup(harness), ""):
        yield f"code that runs at start-up is not traced ({startup})"
    if words.readers:
        yield f"code could read them: {words.readers}"


def _startup(harness: Harness) -> Iterator[str]:
    """Code that runs when a worker starts, before it can be traced, except what every environment has."""
    for subject in harness.subjects.values():
        yield from (name for name in subject.startup if not name.startswith(OF_EVERY_ENVIRONMENT))
        yield from filter(_is_installed_as_startup, sorted(names_in_wheels(subject.wheels)))


def _is_installed_as_startup(name: str) -> bool:
    """Whether a file of a wheel may replace one of every environment; of files outside the tree, only the last name is known."""
    path = installed_path(PurePosixPath(name)) or PurePosixPath(PurePosixPath(name).name)
    return str(path).startswith(OF_EVERY_ENVIRONMENT)


def _depends_on_words(workload: Workload) -> bool:
    """Whether the text of a module may affect a workload even where nothing reads it."""
    ready = [READY_METRICS[metric.name] for metric in workload.metrics if metric.name in READY_METRICS]
    return workload.execution.needs_fresh_process or not all(metric.ignores_words for metric in ready)


@dataclass(kw_only=True)
class _Tracing:
    """Traced runs of both revisions.

    Attributes:
        session: Session of the run.
        harness: Both revisions.
        words: In what they differ.
        files: Modules that do, and files that may differ with them.
        timed: Workloads whose calls are timed.
        obstacles: Why workloads must be measured; under an empty name, why all must.
        calls: Traced calls of each workload that was run repeatedly, since code differs that none of them executed.
        is_apart: Whether workloads that are not timed are traced in processes of their own.
    """

    session: Session
    harness: Harness
    words: WordComparison
    files: Sequence[str]
    timed: frozenset[str]
    obstacles: dict[str, str] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    is_apart: bool = False

    def prove(self, workloads: Sequence[Workload]) -> frozenset[str]:
        """Names of the workloads that need not be measured."""
        deadline = time.monotonic() + SHARE_OF_BUDGET * self.session.start.seconds
        left = list(workloads)
        try:
            for _ in range(MAX_ROUNDS):
                first = self._trace(Side.BASELINE, left, deadline)
                if reason := self._obstacle_in(first):
                    self.obstacles[""] = reason
                    return frozenset()
                clean = [each for each in left if not self._find_obstacle(each.id, first)]
                if clean == left:
                    return self._control(first, left, deadline)
                left = clean
                if not left:
                    return frozenset()
        except TraceError as error:
            self.obstacles[""] = str(error)
            return frozenset()
        self.obstacles[""] = f"each of {MAX_ROUNDS} traces found another workload that has to be measured"
        return frozenset()

    def _find_obstacle(self, workload: str, run: TracedRun) -> str:
        """Why a workload must be measured; noted, and empty where it need not be."""
        result = run.results[workload]
        reason = self._obstacle_in(run, workload)
        if result["outcome"] != "completed":
            reason = f"it did not complete when it was traced: {result['cause'] or result['outcome']}"
        elif not reason and workload in run.calls:
            reason = why_not_repeated(run.calls[workload], run.late.get(workload, frozenset()))
        if reason:
            self.obstacles[workload] = reason
        return reason

    def _obstacle_in(self, run: TracedRun, workload: str = "") -> str:
        """What a run saw of a workload, or of the collection, that leaves something open."""
        seen = run.workloads[workload] if workload else run.collection
        return find_obstacle(seen, self.words, self.files, is_timed=workload in self.timed)

    def _control(self, first: TracedRun, workloads: Sequence[Workload], deadline: float) -> frozenset[str]:
        """Compare a second run of the baseline and one of the candidate with the first."""
        again = self._trace(Side.BASELINE, workloads, deadline, is_repeated=bool(self.words.changed))
        candidate = self._trace(Side.CANDIDATE, workloads, deadline)
        for run in (again, candidate):
            for workload in ("", *run.workloads):
                if reason := self._obstacle_in(run, workload):
                    self.obstacles[""] = reason
        if reason := compare_runs(first, again, candidate):
            self.obstacles[""] = reason
        self.calls = again.calls
        few = {name for name in again.calls if self._find_obstacle(name, again)}
        varying = {each.id for each in workloads if self._varies_with_import(each, first, again, candidate)}
        return frozenset() if "" in self.obstacles else frozenset(each.id for each in workloads) - few - varying

    def _varies_with_import(self, workload: Workload, first: TracedRun, again: TracedRun, candidate: TracedRun) -> bool:
        """Whether a workload must be measured, since what it gates varies as a time does that an import is part of; noted."""
        seen = [run.workloads[workload.id] for run in (first, again, candidate)]
        files = [file for each in seen for file in _iter_imported(each, self.files)]
        if (
            workload.id in self.timed
            or not files
            or _agree(workload, first.results[workload.id], again.results[workload.id])
        ):
            return False
        reason = f"{files[0]} was imported, and what it gates differs between two runs of the baseline"
        self.obstacles.setdefault(workload.id, reason)
        return True

    def _trace(
        self, side: Side, workloads: Sequence[Workload], deadline: float, *, is_repeated: bool = False
    ) -> TracedRun:
        """Trace workloads in one process, unless that would hide an import.

        When they are measured, timed workloads share a process, and each of the others has its own. If one of the others
        imports a module that differs, a later one in the same traced process would find it imported already. So each of
        them is then traced in a process of its own.
        """
        seconds = min(REPEAT_SECONDS, (deadline - time.monotonic()) / (2 * len(workloads))) if is_repeated else 0.0
        trace = partial(self._trace_process, side, deadline=deadline, repeat_s=max(0.0, seconds))
        timed = [each for each in workloads if each.id in self.timed]
        others = [each for each in workloads if each.id not in self.timed]
        if not self.is_apart:
            run = trace([*timed, *others])
            imported = (any(_iter_imported(run.workloads[each.id], self.files)) for each in others)
            self.is_apart = len(others) > 1 and any(imported)
            if not self.is_apart:
                return run
        return join_runs([trace(group) for group in (timed, *([each] for each in others)) if group])

    def _trace_process(
        self, side: Side, workloads: Sequence[Workload], *, deadline: float, repeat_s: float
    ) -> TracedRun:
        start = self.session.start
        seeds = {
            each.id: derive_seeds(start.salt, start.baseline.commit, each.id, MOST_CALLS if repeat_s else 1)
            for each in workloads
        }
        return trace_workloads(
            self.harness.specs[Side.BASELINE][side],
            seeds,
            self.timed & seeds.keys(),
            launcher=self.harness.launchers.get(side, start_fresh),
            limit_s=self.session.configuration.trial_seconds,
            deadline=deadline,
            follows_calls=bool(self.words.changed),
            repeat_s=repeat_s,
        )


def why_not_repeated(calls: int, late: frozenset[str]) -> str:
    """Find out why repeated calls of a workload do not show what its calls execute.

    Args:
        calls: Number of calls.
        late: Functions that only the second half of them executed.

    Returns:
        The reason, as a sentence without its end; empty if they do.

    Example:
        >>> why_not_repeated(3000, frozenset()), why_not_repeated(20, frozenset())
        ('', 'only 20 traced calls fit in the time for them, and 300 are needed')
        >>> why_not_repeated(3000, frozenset({"a.py::rare"}))
        'its later calls executed a.py::rare, which its first calls did not'
    """
    if late:
        return f"its later calls executed {min(late)}, which its first calls did not"
    if calls < FEWEST_CALLS:
        return f"only {calls} traced calls fit in the time for them, and {FEWEST_CALLS} are needed"
    return ""


def find_obstacle(seen: Traced, words: WordComparison, files: Sequence[str], *, is_timed: bool = False) -> str:
    """Find what leaves open whether the words of modules were read, or whether their length changes a time.

    Args:
        seen: What a traced run saw.
        words: In what the modules differ.
        files: The modules that do, and files that may differ with them.
        is_timed: Whether calls of this workload are timed, so that it may import none of these modules.

    Returns:
        What it is, as the rest of a sentence; empty if nothing.

    Example:
        >>> seen = Traced(unknown=[], touched=["a.py"], introspected=[], readers={}, executed=[], chance=[])
        >>> find_obstacle(seen, WordComparison(is_same_code=True), ["a.py"])
        'the file a.py was looked at'
    """
    imported = (f"{file} was imported by a timed workload" for file in _iter_imported(seen, files) if is_timed)
    return next(itertools.chain(_iter_obstacles(seen, words, files), imported), "")


def _iter_obstacles(seen: Traced, words: WordComparison, files: Sequence[str]) -> Iterator[str]:
    for function in sorted({*words.changed} & {*seen["executed"]}):
        yield f"{function} differs and was executed"
    for event in seen["unknown"]:
        yield f"nobody can tell what was read: {event}"
    for place in seen["touched"]:
        is_compiled = "__pycache__" in place
        if place == "." or is_compiled or any(file == place or file.startswith(f"{place}/") for file in files):
            yield f"the file {place} was looked at"
    for file in seen["introspected"]:
        if file in files:
            yield f"code of {file} was looked at"
    for kind in sorted(words.differing):
        if readers := seen["readers"].get(kind):
            yield f"{kind} could be read by {readers[0]}"
    if words.changed and seen["chance"]:
        yield f"what is executed may depend on chance: {seen['chance'][0]}"


def _iter_imported(seen: Traced, files: Sequence[str]) -> Iterator[str]:
    """Modules that differ and were imported: the longer the text, or the code that is not executed, the longer that takes."""
    yield from (file for file in files if f"{file}{BODY}" in seen["executed"])


def _agree(workload: Workload, first: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    """Whether two results have the same values of all gated metrics, or else nothing that differs."""
    values, others = first.get("values", {}), again.get("values", {})
    gated = {metric.name for metric in workload.metrics}
    if gated <= {*values} & {*others}:
        return all(values[name] == others[name] for name in gated)
    return first == again


def compare_runs(first: TracedRun, again: TracedRun, candidate: TracedRun) -> str:
    """Compare what the candidate did with two runs of the baseline, wherever these agree.

    Args:
        first: A run of the baseline.
        again: Another one.
        candidate: The candidate's.

    Returns:
        What the candidate did otherwise, as the rest of a sentence; empty if nothing.
    """
    for what, sets in {
        "executed other functions": [run.executed for run in (first, again, candidate)],
        "looked at other files": [run.touched for run in (first, again, candidate)],
    }.items():
        baseline, repeated, found = sets
        if not (baseline & repeated <= found <= baseline | repeated):
            return f"the candidate {what} in the control run"
    for name, result in first.results.items():
        if _differs(result, again.results[name], candidate.results[name]):
            return f"{name} gave another result in the control run"
    return ""


def _differs(first: Mapping[str, object], again: Mapping[str, object], candidate: Mapping[str, object]) -> bool:
    """Whether a result of the candidate differs in a part in which two results of the baseline agree."""
    names = first.keys() | again.keys() | candidate.keys()
    return any(first.get(name) == again.get(name) != candidate.get(name) for name in names)
