"""What the history that is here says of the metrics of a gate: a module of its own, since only it needs both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mainstay.commands.history import read
from mainstay.gates.trends import metric_trends
from mainstay.records.errors import MainstayError
from mainstay.records.findings import Finding
from mainstay.revisions.git import Repository
from mainstay.revisions.history import HistoryBranches


def tell_earlier_runs(
    repository: Repository, findings: Sequence[Finding], *, baseline: str, environ: Mapping[str, str]
) -> tuple[tuple[Finding, ...], str]:
    """Tell of each metric where the history has it at the baseline; no verdict depends on that.

    Nothing is fetched: ``mainstay history sync`` brings the runs of others.

    Args:
        repository: The user's repository.
        findings: What the gate found.
        baseline: Commit up to which earlier runs count, so that none is counted that measured this candidate.
        environ: The user's environment.

    Returns:
        The findings, and why the history does not count if it cannot be read; else an empty text.
    """
    try:
        if not HistoryBranches.of(repository).are_here():
            return tuple(findings), ""
        history = read(repository.root, remote=None, environ=environ)
        commits = set(repository.call("rev-list", baseline).text.splitlines())
    except MainstayError as error:
        return tuple(findings), f"earlier runs do not count: {error.fact}"
    trends = metric_trends([run for run in history.runs if run.candidate.commit in commits])
    standings = {trend.metric.id: trend.standing for trend in trends}
    told = tuple(replace(finding, earlier_runs=standings.get(finding.metric.id)) for finding in findings)
    unread = f"{len(history.unread)} earlier runs cannot be read and do not count" if history.unread else ""
    return told, unread
