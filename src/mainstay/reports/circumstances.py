"""The guarantees of a run, and where and how it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mainstay.records.findings import Finding, Method
from mainstay.records.formatting import (
    bytes_text,
    fixed,
    percent,
    seconds_text,
)
from mainstay.records.metrics import Tier
from mainstay.records.plans import Plan
from mainstay.records.runs import Run, WorkloadResult
from mainstay.reports.cleaning import LINE_LENGTH, NAME_LENGTH, clean
from mainstay.reports.counting import PROOFS

ASSUMPTIONS = {
    Method.UNCHANGED: (
        (
            "unchanged code was proved by comparison: installed files, dependencies, workload files, settings of pytest and "
            "everything that workers are started with are equal"
        ),
        (
            "this assumes that the world outside the installed files, such as services, is the same for both revisions, and "
            "that no workload depends on the paths or the time stamps of installed files"
        ),
    ),
    Method.REWORDED: (
        (
            "code that differs in words only was proved unchanged: both revisions compile to the same instructions, nothing "
            "that could read docstrings, line numbers or names of locals was found in the package and its workloads, and "
            "traced runs of both revisions executed the same functions, with the same results, and read no such words"
        ),
        (
            "this assumes that docstrings, line numbers and names of locals act only through what is named in the code or "
            "shows in a traced run, and that nothing depends on the layout of memory, on the world outside the installed "
            "files, or on their paths and time stamps; import time and memory are not covered"
        ),
    ),
    Method.EXECUTED: (
        (
            "where the code differs, many traced calls of each workload executed nothing that does, used no source of chance, "
            "and executed nothing in their second half that their first had not; the candidate then executed the same "
            "functions, with the same results"
        ),
        (
            "this assumes that a path not seen in the n traced calls of a workload is rare (below 3/n a call, at 95 %), that "
            "nothing reads code without executing it except by what is named in the code or shows in a traced run, and that "
            "nothing depends on the layout of memory, on the order of addresses, on the world outside the installed files, or "
            "on their paths and time stamps; import time and memory are not covered"
        ),
    ),
}
"""Grounds and assumptions of a proof by method, for methods that state them once instead of in every reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadRow:
    """One workload as a reader sees it.

    Attributes:
        id: Node id.
        kind: Kind of its metrics.
        status: Whether it was judged.
        reason: Why it was not judged.
        num_pairs: Completed pairs.
        seconds: Time of all its trials.
        context: Recorded circumstances as pairs of name and value.
        descriptive: Recorded values that are not gated: name, baseline, candidate.
    """

    id: str
    kind: str
    status: str
    reason: str
    num_pairs: int
    seconds: str
    context: tuple[tuple[str, str], ...]
    descriptive: tuple[tuple[str, str, str], ...]


def workload_row(workload: WorkloadResult) -> WorkloadRow:
    """One workload in display text."""
    return WorkloadRow(
        id=clean(workload.id, at_most=NAME_LENGTH),
        kind=workload.kind.value,
        status=workload.status,
        reason=clean(workload.reason),
        num_pairs=workload.num_pairs,
        seconds=seconds_text(workload.seconds),
        context=tuple((clean(key), clean(str(value))) for key, value in sorted(workload.context.items())),
        descriptive=tuple(
            (clean(name), f"{baseline:.6g}", f"{candidate:.6g}")
            for name, (baseline, candidate) in sorted(workload.descriptive.items())
        ),
    )


def error_rate(plan: Plan, findings: Sequence[Finding]) -> tuple[str, ...]:
    """The guarantees of the plan, one sentence each."""
    if not plan.looks:
        return _error_rate_of_items(plan, findings)
    promise = (
        f"a clean change fails in at most {percent(plan.alpha)} of gates; a metric degraded by its margin passes in "
        f"at most {percent(plan.margin_level)}, one degraded by twice its margin in at most {percent(plan.alpha)}"
    )
    if any(finding.tier is Tier.GUARD and finding.method is Method.SEQUENTIAL for finding in findings):
        return (
            promise,
            "a member of a group that only warns may have degraded by more than its margin",
            *_exempt(findings),
        )
    if findings and all(f.method in PROOFS for f in findings):
        return (promise, "nothing here was judged by statistics: proofs, digests and counts use no share of it")
    return (promise, *_exempt(findings))


def _error_rate_of_items(plan: Plan, findings: Sequence[Finding]) -> tuple[str, ...]:
    """The guarantees for stored results."""
    promise = (
        f"on items like these a clean change fails in at most {percent(plan.alpha)}; a metric degraded by its margin "
        f"passes in at most {percent(plan.margin_level)}, one degraded by twice its margin in at most {percent(plan.alpha)}"
    )
    return (promise, *_exempt(findings))


def _exempt(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What the guarantees leave out, if some metrics of items do not block."""
    judged = [finding for finding in findings if finding.method not in {Method.SEQUENTIAL, *PROOFS}]
    if all(finding.tier is Tier.BLOCKING for finding in judged):
        return ()
    return ("a guard or advisory metric may have degraded by more than its margin although the gate passes",)


def assumptions(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Grounds of the proofs, without repetition."""
    used = {finding.method for finding in findings}
    return tuple(sentence for method, sentences in ASSUMPTIONS.items() if method in used for sentence in sentences)


def facts(run: Run) -> tuple[tuple[str, str], ...]:
    """Machine, versions, data set, seeds, budget."""
    if run.is_of_stored_results:
        return _facts_of_stored_results(run)
    machine = run.machine
    memory = bytes_text(machine.memory_bytes)
    where = f"{machine.processor}, {machine.num_cores} processors, {memory}, {machine.system} {machine.architecture}"
    spent = sum(run.phases_s.values())
    phases = ", ".join(f"{name} {seconds_text(seconds)}" for name, seconds in run.phases_s.items())
    facts = [
        ("run", f"{run.id}, started {run.created}"),
        ("machine", where),
        ("accelerator", machine.accelerator or "none"),
        ("versions", _versions(run)),
        ("data set", _data_sets(run.workloads)),
        ("seeds", _seeds(run)),
        ("budget", f"{seconds_text(spent)} spent ({phases}); {seconds_text(run.plan.seconds)} were allowed to measure"),
        ("load", _load(run)),
        ("earlier runs", _earlier_runs(run.findings)),
    ]
    return tuple((name, clean(value, at_most=LINE_LENGTH)) for name, value in facts)


def _facts_of_stored_results(run: Run) -> tuple[tuple[str, str], ...]:
    """Facts that the files state about themselves; where they were measured is unknown."""
    told = (pair for workload in run.workloads for pair in workload.context.items())
    facts = [
        ("run", f"{run.id}, started {run.created}"),
        ("made", "by whom, where and when is known only from the files"),
        ("versions", f"mainstay {run.mainstay_version}"),
        *((clean(name, at_most=NAME_LENGTH), str(value)) for name, value in told),
        ("time", ", ".join(f"{name} {seconds_text(seconds)}" for name, seconds in run.phases_s.items())),
    ]
    return tuple((name, clean(value, at_most=LINE_LENGTH)) for name, value in facts)


def _versions(run: Run) -> str:
    """Versions of the tool, the interpreter and the most important packages; of both revisions if they differ."""
    shown = [f"mainstay {run.mainstay_version}"]
    pythons = [environment.python for environment in run.environments]
    if pythons:
        shown.append(f"Python {_both(pythons)}")
    for name in ("torch", "torchvision", "numpy"):
        versions = [environment.packages.get(name, "none") for environment in run.environments]
        if any(version != "none" for version in versions):
            shown.append(f"{name} {_both(versions)}")
    return ", ".join(shown)


def _both(values: Sequence[str]) -> str:
    """One value, or those of baseline and candidate if they differ."""
    return values[0] if len(set(values)) == 1 else " -> ".join(values)


def _data_sets(workloads: Sequence[WorkloadResult]) -> str:
    """Data sets in the order of the workloads, without repetition."""
    named = dict.fromkeys(str(workload.context["dataset"]) for workload in workloads if "dataset" in workload.context)
    return ", ".join(named) or "none recorded"


def _seeds(run: Run) -> str:
    """Number of seeds used, of those planned."""
    used = {seed for finding in run.findings for seed in finding.seeds}
    planned = {seed for seeds in run.plan.seeds.values() for seed in seeds}
    return f"{len(used)} used of {len(planned)} planned"


def _earlier_runs(findings: Sequence[Finding]) -> str:
    """How much the history says of the metrics."""
    known = [finding.earlier_runs for finding in findings if finding.earlier_runs]
    if not known:
        return "no local history says where a metric stands; 'mainstay history sync' fetches that of others"
    return f"the history says where {len(known)} of {len(findings)} metrics stood; see each metric"


def _load(run: Run) -> str:
    """Load by other processes before and during the run."""
    before, during = run.machine.load_at_start, run.max_load
    parts = [
        "unknown at the start" if before is None else f"load average {fixed(before, decimals=2)} at the start",
        "unknown during trials" if during is None else f"others used at most {fixed(during, decimals=2)} processors",
    ]
    return ", ".join(parts)
