"""Next steps after a gate, with one command each; for an inconclusive gate, only the most urgent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from mainstay.records.findings import Blame, Verdict
from mainstay.records.formatting import first_few
from mainstay.records.runs import Run
from mainstay.reports.cleaning import clean
from mainstay.reports.remedies import (
    Gate,
    Step,
    gate_minutes,
    minutes_text,
    trial_command,
    uses_seed,
    waive_command,
    waived_text,
)
from mainstay.reports.rows import FindingRow

_MAX_TESTS = 3

TRIALS_OF_AN_EXPLANATION = 4
"""Trials that take as long as ``mainstay explain``: 3.9 in the median of the changes planted to measure it, rounded up."""


class LastResort(NamedTuple):
    """A command that accepts a degradation, if it cannot be repaired.

    Attributes:
        command: The command.
        accepted: What it accepts: a metric with its largest degradation, or that it is gone.
    """

    command: str
    accepted: str


def next_steps(run: Run, rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps to take now, with equal steps for several metrics combined; or a sentence that nothing blocks the merge.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    blocking = [row for row in rows if row.next_step.action and row.verdict is not Verdict.NEW]
    if run.verdict is Verdict.INCONCLUSIVE and blocking:
        most_urgent = min(map(_urgency, blocking))
        return _together([row for row in blocking if _urgency(row) == most_urgent])
    decided = [row for row in blocking if row.verdict is not Verdict.INCONCLUSIVE]
    if steps := _together(decided):
        return (
            *_reproduction(run, decided),
            *steps,
            *_explanation(run, decided),
            *_search(run, decided),
            *_wait(run, blocking),
        )
    if run.exit_status == 0:
        found = "no degradation beyond the margins was found"
        verdicts = {row.verdict for row in rows}
        if Verdict.FAIL in verdicts:
            found = (
                f"what degraded beyond its margin {'is waived or ' if Verdict.WAIVED in verdicts else ''}does not block"
            )
        elif Verdict.WAIVED in verdicts:
            found = "the degradations beyond the margins are waived, see below"
        elif verdicts.isdisjoint({Verdict.PASS, Verdict.INCONCLUSIVE}):
            found = "nothing was judged that could block"
        if any(row.only_warns for row in rows):
            found += ", undecided metrics only warn"
        return (Step("", f"merge when the review is done: {found}"),)
    return (_nothing_judged(run),)


def waivers_file(run: Run) -> str:
    """The reviewed file that a waiver is written to.

    Args:
        run: Run of a gate.
    """
    if run.is_of_stored_results:
        return ".mainstay-judge-waivers.toml"
    return ".mainstay-waivers.toml, unless 'waivers' names another"


def last_resorts(run: Run, rows: Sequence[FindingRow]) -> tuple[LastResort, ...]:
    """Commands that accept degradations that block a merge, one for each metric.

    Args:
        run: Run of a gate.
        rows: Its findings; those that block a merge come first.
    """
    gate = Gate.of(run)
    waivable = [row for row in rows if row.blocks and row.verdict in (Verdict.FAIL, Verdict.MISSING)]
    found = [(row.label, run.findings[row.number - 1]) for row in waivable]
    return tuple(LastResort(waive_command(each, gate), waived_text(each, label, gate)) for label, each in found)


def _nothing_judged(run: Run) -> Step:
    """Step after a gate that judged nothing, so that no finding says what to do."""
    gate = Gate.of(run)
    allow = "" if run.is_of_stored_results or run.shards else ", or add --allow-unjudged if this is expected"
    if any(workload.status != "judged" for workload in run.workloads):
        action = f"nothing was judged: see the workloads not judged below; {gate.again} where they run{allow}"
        return Step("", action, gate.command, gate_minutes(gate.seconds))
    why = "that could block: see the tier of each metric below"
    if not run.findings:
        why = "since no workload was chosen: correct -k, -m, FILE or the setting 'workloads'"
    return Step("", f"nothing was judged {why}{allow}")


def _urgency(row: FindingRow) -> tuple[bool, bool, float]:
    """Sort key: findings that a person must review, those that pairs cannot decide, then by number of pairs."""
    return not row.needs_review, row.further_pairs is not None, -(row.further_pairs or 0)


def _together(rows: Sequence[FindingRow]) -> tuple[Step, ...]:
    """Steps in the order of the findings, without repetition."""
    metrics: dict[Step, dict[str, None]] = {}
    for row in rows:
        metrics.setdefault(row.next_step._replace(about=""), {})[row.label] = None
    return tuple(step._replace(about=first_few(list(labels))) for step, labels in metrics.items())


def _reproduction(run: Run, rows: Sequence[FindingRow]) -> Iterator[Step]:
    """Steps that run the workloads alone that only the candidate cannot run, one step for each seed that failed."""
    if run.is_of_stored_results:
        return
    broken = [
        row for row in rows if run.findings[row.number - 1].blame is Blame.CANDIDATE and row.verdict is Verdict.ERROR
    ]
    seeds: dict[str, int | None] = {}
    for row in broken:
        finding = run.findings[row.number - 1]
        seeds.setdefault(row.workload, finding.broken_seed if uses_seed(finding.metric) else None)
    tests: dict[int | None, list[str]] = {}
    for test, seed in islice(seeds.items(), _MAX_TESTS):
        tests.setdefault(seed, []).append(test)
    for seed, chosen in tests.items():
        seconds = sum(workload.seconds for workload in run.workloads if clean(workload.id) in chosen)
        yield Step(
            first_few([row.label for row in broken if row.workload in chosen]),
            "reproduce the failure in a checkout of the candidate",
            trial_command(chosen, seed),
            minutes_text(max(1.0, seconds)),
        )


def _explanation(run: Run, rows: Sequence[FindingRow]) -> Iterator[Step]:
    """Step that names the first place where the revisions part, if the accuracy of a trained model failed."""
    trained = {workload.id for workload in run.plan.workloads if workload.has_digests}
    findings = (run.findings[row.number - 1] for row in rows if row.verdict is Verdict.FAIL)
    if run.explanation or not any(each.metric.workload in trained for each in findings):
        return
    fetch = Gate.of(run).fetch
    command = f"{fetch}mainstay explain {'run.json' if fetch else clean(run.id)}"
    yield Step("", "see where the two revisions part", command, minutes_text(_seconds_to_explain(run, trained)))


def _seconds_to_explain(run: Run, trained: Collection[str]) -> float:
    """Duration of an explanation: all phases of the gate but its trials, and as many trials of its longest workload."""
    trial_s = max((seconds for test, seconds in Gate.of(run).trial_s.items() if test in trained), default=0.0)
    others = sum(seconds for phase, seconds in run.phases_s.items() if phase != "measuring")
    return others + TRIALS_OF_AN_EXPLANATION * trial_s


def _wait(run: Run, rows: Sequence[FindingRow]) -> Iterator[Step]:
    """Step for undecided metrics beside one that is worse: a repair needs another gate, which measures them again."""
    undecided = [row.label for row in rows if row.verdict is Verdict.INCONCLUSIVE]
    if not undecided or run.is_of_stored_results:
        return
    yield Step(first_few(undecided), "undecided so far: measured again by the next gate")


def _search(run: Run, rows: Sequence[FindingRow]) -> Iterator[Step]:
    """Step that searches for the guilty commit, if the candidate is a commit and may not be the only one."""
    failed = [row for row in rows if row.verdict is Verdict.FAIL]
    if not failed or run.is_of_stored_results or run.candidate.name.startswith("working tree"):
        return
    gate = Gate.of(run)
    minutes = minutes_text(gate.seconds)
    where = ", in a clone that has its branch" if run.candidate.head else ""
    yield Step(
        "",
        f"if it is several commits, find the one to blame{where}",
        f"mainstay bisect {gate.ends}",
        f"{minutes} a probe" if minutes else "",
    )
