"""Rehearsal of a gate up to its first pair, in a temporary folder: building, collection and time to the first look.

Both revisions are resolved and built, ``prepare`` runs, and the workloads are collected. Each workload of the candidate
is tried once, except those that are timed block by block, whose time follows from the settings. Nothing is judged, and
nothing is left in the repository.

- :func:`rehearse`: rehearse a gate, with a :class:`Rehearsal` as the result.
- :class:`Forecast`: the expected time to the first look.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mainstay.commands.collecting import collect_agenda
from mainstay.commands.gate import choose_start
from mainstay.commands.harness import open_harness
from mainstay.commands.planning import margins_of
from mainstay.commands.session import Session, passing_session
from mainstay.commands.start import StartOptions
from mainstay.measuring.loop import SilentObserver
from mainstay.measuring.scheduling import fitted_pair_seconds
from mainstay.project.configuration import Configuration
from mainstay.records.findings import Finding
from mainstay.records.metrics import Workload
from mainstay.records.plans import stretch_for
from mainstay.records.trials import Side, Trial
from mainstay.revisions.git import Repository
from mainstay.workers.collecting import Problem, collect_workloads
from mainstay.workers.machine import usable_cores
from mainstay.workers.pairs import PairRequest, run_pair
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import NO_FAILURE


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Forecast of the time to the first look, from one trial of each workload.

    Attributes:
        stretches: Of each workload that is timed block by block, the multiple of the time of a pair for which it is measured;
            in a pair, they share the same two processes.
        start_s: Seconds that a process takes before it measures.
        trained_s: Seconds of a trial of each workload that trains.
        alone_s: Seconds of a trial of each workload that needs the machine to itself.
        jobs: Number of training trials that run at once.
    """

    stretches: tuple[float, ...]
    start_s: float
    trained_s: tuple[float, ...] = ()
    alone_s: tuple[float, ...] = ()
    jobs: int = 1

    def seconds(self, num_pairs: int, pair_seconds: float) -> float:
        """Seconds of measuring up to a look.

        Args:
            num_pairs: Pairs of the look.
            pair_seconds: Time of the blocks of each timed workload in a pair.

        Example:
            >>> Forecast(stretches=(1.0,) * 64, start_s=1.0).seconds(5, 2.5)
            805.0
        """
        timed = sum(self.stretches) * pair_seconds + self.start_s if self.stretches else 0.0
        trained = 2 * sum(seconds + self.start_s for seconds in self.trained_s) / self.jobs
        alone = sum(2 * seconds + self.start_s for seconds in self.alone_s)
        return num_pairs * (timed + trained + alone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """Result of a rehearsal.

    Attributes:
        workloads: Workloads of the candidate.
        problems: Files and tests of the candidate that could not be collected.
        failures: Causes of failed workloads, by their id.
        findings: Findings reached without measuring, such as ``new`` or ``missing``.
        prepared: Output of ``prepare``.
        forecast: Expected time to the first look.
        packages: Packages of the candidate's environment.
        build_s: Seconds for building environments and collecting workloads.
        configuration: The settings in force.
    """

    workloads: tuple[Workload, ...]
    problems: tuple[Problem, ...]
    failures: Mapping[str, str]
    findings: tuple[Finding, ...]
    prepared: str
    forecast: Forecast
    packages: Mapping[str, str]
    build_s: float
    configuration: Configuration

    @property
    def pair_seconds(self) -> float:
        """Time of the blocks of each timed workload in a pair, shortened if there are many workloads."""
        settings = self.configuration
        return fitted_pair_seconds(
            settings.pair_seconds, stretches=self.forecast.stretches, looks=settings.looks, seconds=settings.seconds
        )

    @property
    def first_look_s(self) -> float:
        """Seconds of measuring up to the first look."""
        return self.forecast.seconds(self.configuration.looks[0], self.pair_seconds)


def _try(session: Session, specs: Mapping[Side, WorkerSpec], workload: Workload) -> Trial:
    """One trial of the candidate."""
    request = PairRequest(
        workload=workload.id,
        seed=0,
        pair=0,
        sides=(Side.CANDIDATE,),
        gated=workload.recorded,
        has_items=workload.execution.has_items,
        limit_s=session.configuration.trial_seconds,
    )
    return run_pair(specs, request).trials[0]


def _seconds(trials: Sequence[Trial], names: Sequence[str]) -> tuple[float, ...]:
    return tuple(trial.duration_s for trial in trials if trial.workload in names)


def rehearse(repository: Repository, *, environ: Mapping[str, str]) -> Rehearsal:
    """Rehearse a gate of the working tree up to its first pair.

    Args:
        repository: The user's repository.
        environ: The user's environment.

    Raises:
        MainstayError: If a gate would end with this error.
    """
    start = choose_start(repository, StartOptions(), environ)
    with passing_session(repository, start, environ=environ, observer=SilentObserver()) as session:
        return _rehearse(session)


def _rehearse(session: Session) -> Rehearsal:
    """Build both revisions, collect, and run each workload of the candidate once."""
    begun = time.monotonic()
    with open_harness(session) as harness:
        agenda = collect_agenda(session, harness)
        margins = margins_of(session, agenda)
        built = time.monotonic()
        specs = harness.specs.get(Side.CANDIDATE, harness.specs[Side.BASELINE])
        folder = session.settings.judging[Side.CANDIDATE].workloads
        found = collect_workloads(specs[Side.CANDIDATE], [folder], limit_s=session.collecting_seconds)
        start_s = time.monotonic() - built
        gating = [workload for workload in found.workloads if workload.metrics and workload.id not in found.skipped]
        timed = [workload for workload in gating if workload.execution.is_interleaved]
        tried = [_try(session, specs, workload) for workload in gating if workload not in timed]
        return Rehearsal(
            workloads=tuple(gating),
            problems=found.problems,
            failures={trial.workload: trial.cause for trial in tried if trial.outcome not in NO_FAILURE},
            findings=agenda.settled,
            prepared=harness.prepared.notice,
            forecast=Forecast(
                stretches=tuple(
                    stretch_for(replace(metric, margin=margins(metric, {})) for metric in workload.metrics)
                    for workload in timed
                ),
                start_s=start_s,
                trained_s=_seconds(
                    tried, [w.id for w in gating if w.execution.may_overlap and not w.execution.is_once]
                ),
                alone_s=_seconds(tried, [w.id for w in gating if not w.execution.may_overlap]),
                jobs=session.configuration.num_jobs(usable_cores()),
            ),
            packages=harness.environments[1].packages,
            build_s=built - begun,
            configuration=session.configuration,
        )
