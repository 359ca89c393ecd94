"""The explain command: name the first place where the two revisions of a gate part.

Both revisions are built again, and run one trial of an accuracy workload side by side; see
:mod:`mainstay.measuring.explaining`.

- :func:`explain`: find the place and what changed there.
- :func:`locate`: what changed near a difference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mainstay.commands.harness import open_harness
from mainstay.commands.session import check_platform, passing_session
from mainstay.commands.start import Start
from mainstay.measuring.explaining import find_first_difference
from mainstay.measuring.loop import Observer
from mainstay.measuring.parting import compare_recorded
from mainstay.records.errors import MainstayError, StoreError, UsageError
from mainstay.records.explanations import Explanation, Parting
from mainstay.records.findings import Verdict
from mainstay.records.plans import PlannedWorkload
from mainstay.records.runs import Revision, Run
from mainstay.records.trials import Side
from mainstay.reports.explanation import render_explanation
from mainstay.reports.publishing import read_run
from mainstay.revisions.git import Repository
from mainstay.revisions.hunks import nearest_hunks, read_hunks
from mainstay.store.files import FOLDER, write_output
from mainstay.store.journal import JUDGEMENTS, RUNS, Journal, trial_content
from mainstay.workers.watching import WatchError

RESTART = "start 'mainstay explain' again: nothing is kept"
"""The next step after the command was interrupted."""

ORDER = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
"""Verdicts whose workloads are explained first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainOptions:
    """Options of the command.

    Attributes:
        run: Document of the run, or its name; the latest run if empty.
        workload: Node id of the workload; the one with the worst finding if empty.
        pair: Number of the pair whose seed is used, from 1.
    """

    run: str = ""
    workload: str = ""
    pair: int = 1


def explain(path: Path, options: ExplainOptions, *, environ: Mapping[str, str], observer: Observer) -> Explanation:
    """Find the first place where the revisions of a run part.

    Args:
        path: A folder in the user's repository.
        options: Options of the command.
        environ: The user's environment.
        observer: Receives progress reports.

    Raises:
        MainstayError: If the run cannot be explained.
    """
    check_platform(sys.platform)
    repository = Repository.discover(path)
    document = find_run(repository.root, options.run)
    return explain_run(repository, read_run(document), document.parent, options, environ=environ, observer=observer)


def with_explanation(
    repository: Repository, run: Run, folder: Path, *, environ: Mapping[str, str], observer: Observer
) -> Run:
    """A run with its explanation, or with a note on why there is none; its verdict and exit status stay.

    Args:
        repository: The user's repository.
        run: A run that has been judged.
        folder: Folder of the run.
        environ: The user's environment.
        observer: Receives progress reports.
    """
    try:
        found = explain_run(repository, run, folder, ExplainOptions(), environ=environ, observer=observer)
        return replace(run, explanation=found)
    except MainstayError as error:
        reason = error.fact
    except KeyboardInterrupt:
        reason = "it was interrupted"
    except Exception as error:  # noqa: BLE001 - a verdict is there, whatever fails after it
        reason = f"a fault of mainstay, {type(error).__name__}: {error}"
    return replace(run, notes=(*run.notes, f"where the revisions differ first was not found: {reason}"))


def explain_run(
    repository: Repository,
    run: Run,
    folder: Path,
    options: ExplainOptions,
    *,
    environ: Mapping[str, str],
    observer: Observer,
) -> Explanation:
    """Find the first place where the revisions of a run part.

    Args:
        repository: The user's repository.
        run: The run.
        folder: Folder of the run, whose journal has its trials.
        options: Options of the command.
        environ: The user's environment.
        observer: Receives progress reports.

    Raises:
        MainstayError: If the run cannot be explained.
    """
    planned = choose_workload(run, options.workload)
    if not 1 <= options.pair <= len(planned.seeds):
        raise UsageError(f"there is no pair {options.pair}", next_step=f"name one from 1 to {len(planned.seeds)}")
    start = Start(
        baseline=_present(repository, run.baseline),
        candidate=_present(repository, run.candidate),
        notes=(),
        salt=run.plan.salt,
        created=run.created,
        seconds=run.plan.seconds,
        fail_fast=False,
    )
    seed = planned.seeds[options.pair - 1]
    with (
        passing_session(repository, start, environ=environ, observer=observer) as session,
        open_harness(session) as harness,
    ):
        observer.phase("trials")
        try:
            difference = find_first_difference(
                harness.specs_of_both[planned.measured_with],
                planned.id,
                seed,
                limit_s=session.configuration.trial_seconds,
                launchers=harness.launchers,
            )
        except WatchError as error:
            raise MainstayError(str(error), looked_in=planned.id, next_step="gate again, then explain") from error
    versions = [environment.packages for environment in harness.environments]
    explanation = Explanation(
        run=run.id,
        workload=planned.id,
        seed=seed,
        baseline=run.baseline.commit,
        candidate=run.candidate.commit,
        difference=difference,
        dependencies={
            name: (versions[0].get(name, "none"), versions[1].get(name, "none")) for name in _changed_keys(*versions)
        },
        trial_s=_trial_seconds(run, planned.id),
        recorded_by_gate=recorded_by_gate(folder, planned.id, seed),
    )
    return locate(explanation, repository)


def _changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The keys whose values differ, sorted.

    Example:
        >>> _changed_keys({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
        ['b', 'c']
    """
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _trial_seconds(run: Run, workload: str) -> float | None:
    """Mean seconds of a trial of the gate; ``None`` if it ran none."""
    measured = next((each for each in run.workloads if each.id == workload and each.num_pairs), None)
    return measured.seconds / (2 * measured.num_pairs) if measured else None


def recorded_by_gate(folder: Path, workload: str, seed: int) -> str:
    """What the trials of a run recorded differently with a seed, in one sentence.

    Args:
        folder: Folder of the run.
        workload: Node id of the workload.
        seed: The seed.

    Returns:
        The sentence; empty if they recorded the same, or if the journal with both trials is not there.
    """
    try:
        trials = Journal(folder / "journal.jsonl").trials()
    except StoreError:
        return ""
    known = {
        each.side: trial_content(each)
        for each in trials
        if each.workload == workload and each.seed == seed and not each.repetition
    }
    return compare_recorded(known[Side.BASELINE], known[Side.CANDIDATE]) if len(known) == len(Side) else ""


def locate(explanation: Explanation, repository: Repository) -> Explanation:
    """Add what changed near the difference.

    Args:
        explanation: Explanation with the commits and the difference.
        repository: The user's repository.
    """
    found = explanation.difference
    if found.parting in {Parting.BASELINE, Parting.NOTHING}:
        return explanation
    hunks = read_hunks(repository, explanation.baseline, explanation.candidate)
    stacks = [operator.stack if operator else () for operator in (found.baseline, found.candidate)]
    nearness, nearest = nearest_hunks(hunks, *stacks)
    return replace(explanation, nearness=nearness, hunks=nearest, num_hunks=len(hunks))


def _present(repository: Repository, revision: Revision) -> Revision:
    """A revision whose commit is still there.

    Raises:
        UsageError: If git has removed it, as it may do with the snapshot of a working tree.
    """
    if repository.call("cat-file", "-e", f"{revision.commit}^{{commit}}", check=False).status:
        raise UsageError(
            f"the {revision.side} {revision.commit[:10]} is not in this repository any more",
            looked_in=str(repository.root),
            next_step="gate again, then explain",
        )
    return revision


def find_run(root: Path, name: str) -> Path:
    """The document of a run.

    Args:
        root: The user's repository.
        name: A document, the name of a run or of a judgement of pieces, or empty for the latest run.

    Raises:
        UsageError: If there is none.
    """
    if name:
        stored = (root / FOLDER / folder / name / "run.json" for folder in (RUNS, JUDGEMENTS))
        named = [place for place in (Path(name), *stored) if place.is_file()]
    else:
        named = sorted((root / FOLDER / RUNS).glob("*/run.json"), reverse=True)
    if not named:
        raise UsageError(
            f"there is no run {name!r}" if name else "there is no run to explain",
            looked_in=f"{FOLDER}/{RUNS}",
            next_step="start one with 'mainstay gate'",
        )
    return named[0]


def choose_workload(run: Run, name: str) -> PlannedWorkload:
    """The accuracy workload to be explained: the named one, or the one with the worst finding.

    Args:
        run: The run.
        name: Node id; empty to choose.

    Raises:
        UsageError: If the run has no such workload.
    """
    trained = [each for each in run.plan.workloads if each.has_digests and each.seeds]
    wanted = [each for each in trained if name in {"", each.id}]
    if not wanted:
        raise UsageError(
            f"the run has no accuracy workload {name!r}" if name else "the run has no accuracy workload to explain",
            looked_in=run.id,
            next_step=f"name one of {', '.join(each.id for each in trained)}"
            if trained
            else "name a run that trained models; the report of an evaluation lists the flipped items",
        )
    verdicts = {each.id: [f.verdict for f in run.findings if f.metric.workload == each.id] for each in wanted}
    return min(wanted, key=lambda each: min((_urgency(verdict) for verdict in verdicts[each.id]), default=len(ORDER)))


def _urgency(verdict: Verdict) -> int:
    return ORDER.index(verdict) if verdict in ORDER else len(ORDER)


def render(explanation: Explanation) -> str:
    """An explanation as text."""
    return render_explanation(explanation)


def write_explanation(explanation: Explanation, place: Path) -> None:
    """Write an explanation to a file, as JSON.

    Raises:
        StoreError: If it cannot be written.
    """
    write_output(place, json.dumps(asdict(explanation), indent=2) + "\n")
