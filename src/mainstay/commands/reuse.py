"""Trials of the baseline that earlier gates cached, and those that this one caches for later gates.

The order matters: :func:`find_cached` is called before the ledgers are filled, :func:`choose_reused` to fill them, and
:func:`cache_trials` after everything was measured.

- :class:`Cached`: the trials that are cached under the conditions of this gate.
- :func:`repeatable_workloads`: the workloads whose baseline may be repeated to help later gates.
- :func:`notes_on_reuse`: notes on reused trials for reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from mainstay.commands.harness import Harness
from mainstay.commands.session import Session
from mainstay.measuring.baseline_cache import BaselineTrials, Conditions, is_exact, is_nondeterministic, reusable_trials
from mainstay.measuring.ledger import WorkloadLog
from mainstay.records.errors import StoreError
from mainstay.records.trials import Side, Trial
from mainstay.revisions import workspace
from mainstay.store.files import content_digest
from mainstay.store.journal import trial_content
from mainstay.workers.machine import computing_traits
from mainstay.workers.process import WORKER


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """The baseline's trials that are cached under the conditions of a gate.

    Attributes:
        keys: Key of the conditions, by the source of the workload files; empty if nothing is reused or cached.
        trials: Cached trials, by the source of their workload files.
        notes: Notes on trials that cannot be read, one sentence each.
    """

    keys: Mapping[Side, str] = field(default_factory=dict)
    trials: Mapping[Side, tuple[Trial, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, ledger: WorkloadLog) -> Sequence[Trial]:
        """The cached trials made with the workload files that the baseline of a workload uses in this gate."""
        return self.trials.get(ledger.measured_with.files_for(Side.BASELINE), ())


def find_cached(session: Session, harness: Harness) -> Cached:
    """Read the baseline's trials that are cached under the conditions of this gate, ignoring damaged ones.

    Args:
        session: Session of the run.
        harness: Both revisions.
    """
    keys = _keys(session, harness)
    trials, notes = {}, []
    for side, key in keys.items():
        try:
            trials[side] = BaselineTrials(session.repository.root, key).read()
        except StoreError as error:
            notes.append(f"{error.fact}, so they were measured anew ({error.looked_in})")
    return Cached(keys=keys, trials=trials, notes=tuple(notes))


def choose_reused(session: Session, cached: Cached, ledgers: Sequence[WorkloadLog]) -> tuple[Cached, list[Trial]]:
    """Choose the trials that this gate need not measure; the choice is made at the start, and kept on resuming.

    Args:
        session: Session of the run.
        cached: Trials that earlier gates cached.
        ledgers: Ledger of each workload.

    Returns:
        The cache entries that may still be extended, and the reused trials. A gate that is resumed under other
        conditions keeps its own trials, but reuses none and caches none.
    """
    journal = session.folder.journal
    if line := journal.first("reused"):
        if line.get("keys") != cached.keys:
            return replace(cached, keys={}), []
        return cached, journal.content(line, "trials", list[Trial])
    trials = [trial for log in ledgers for trial in reusable_trials(cached.of(log), log.workload, log.seeds)]
    journal.append("reused", keys=cached.keys, trials=[trial_content(trial) for trial in trials])
    return cached, trials


def repeatable_workloads(cached: Cached, ledgers: Sequence[WorkloadLog]) -> frozenset[str]:
    """The workloads whose baseline may be repeated to help later gates.

    Args:
        cached: Trials that earlier gates cached.
        ledgers: Ledger of each workload.
    """
    wanted = [log for log in ledgers if cached.keys and log.workload.execution.has_digests]
    return frozenset(
        log.workload.id
        for log in wanted
        if not is_nondeterministic([trial for trial in cached.of(log) if trial.workload == log.workload.id])
    )


def cache_trials(session: Session, harness: Harness, cached: Cached, ledgers: Sequence[WorkloadLog]) -> list[str]:
    """Cache the baseline's trials for later gates, unless the inputs of ``prepare`` changed while they were measured.

    Args:
        session: Session of the run.
        harness: Both revisions.
        cached: Cached trials, with the keys that applied before the first trial.
        ledgers: Ledger of each workload.

    Returns:
        Notes on trials that could not be cached.
    """
    notes: list[str] = []
    if not cached.keys or _keys(session, harness) != cached.keys:
        return notes
    for side, key in cached.keys.items():
        trials = [
            trial
            for log in ledgers
            if log.workload.execution.has_digests and log.measured_with.files_for(Side.BASELINE) is side
            for trial in log.baseline_trials
        ]
        try:
            BaselineTrials(session.repository.root, key).keep(trials, run=session.folder.id)
        except StoreError as error:
            notes.append(f"{error.fact}, so later gates measure them again ({error.looked_in})")
    return notes


def notes_on_reuse(ledgers: Sequence[WorkloadLog]) -> list[str]:
    """Notes on baseline trials that were not measured in this gate.

    Args:
        ledgers: Ledger of each workload.
    """
    reused = [trial for log in ledgers for trial in log.reused]
    if not reused:
        return []
    runs = ", ".join(sorted({trial.reused_from for trial in reused}))
    what = "1 baseline trial was" if len(reused) == 1 else f"{len(reused)} baseline trials were"
    why = "this baseline is deterministic, so verdicts on it are correlated"
    return [f"{what} reused from run {runs}: {why}; 'mainstay gate --fresh' draws other seeds"]


def _keys(session: Session, harness: Harness) -> Mapping[Side, str]:
    """Cache key of the baseline's conditions, by the source of the workload files.

    Returns:
        The keys; empty if no trial is to be cached or reused.
    """
    if session.start.salt:  # the seeds of --fresh are used by this gate only
        return {}
    inputs = workspace.input_digests(harness.prepared.variables, harness.scratch)
    environment = harness.environments[0]
    if inputs is None or not all(map(is_exact, environment.packages.values())):
        return {}
    spec = harness.specs[Side.BASELINE][Side.BASELINE]
    conditions = Conditions(
        tree=session.start.baseline.tree,
        wheel_digest=environment.wheel_digest,
        packages_digest=environment.packages_digest,
        roots=spec.roots,
        workloads_digest="",
        shared=harness.shared,
        inputs=inputs,
        variables=workspace.portable(spec.variables, harness.scratch),
        threads=session.configuration.threads,
        preload=session.configuration.preload,
        worker_digest=content_digest(Path(WORKER), suffix=".py"),
        mainstay_version=version("mainstay"),
        traits=computing_traits(),
    )
    judging = session.settings.judging
    digests = {
        side: workspace.workloads_digest(specs[Side.BASELINE], judging[side].workloads)
        for side, specs in harness.specs.items()
    }
    return {side: replace(conditions, workloads_digest=digest).key for side, digest in digests.items()}
