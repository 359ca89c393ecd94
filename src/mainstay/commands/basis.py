"""The basis of a judgement: all that it needs besides trials, fixed before the first pair.

A basis is plain data, so a machine that measures a part of a gate writes it beside its trials, and another machine that
has neither the repository nor the environments judges them.

- :func:`fix_basis`: the :class:`Basis` of a session whose revisions are built.
- :class:`Measured`: what the measurement found.
- :func:`conclude`: the :class:`~mainstay.records.runs.Run` that follows from both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from mainstay.commands.collecting import collect_agenda
from mainstay.commands.earlier_runs import tell_earlier_runs
from mainstay.commands.harness import Harness
from mainstay.commands.planning import fix_plan, margins_of, note_on_noise, note_on_pairs
from mainstay.commands.proof import Proof, prove
from mainstay.commands.review import changes_of_judgement, notes_on_waivers
from mainstay.commands.session import Session
from mainstay.commands.start import Start
from mainstay.commands.tampering import spoiled
from mainstay.gates.exact import judge_executed, judge_reworded, judge_unchanged
from mainstay.gates.groups import settle_groups
from mainstay.gates.policy import GateFacts, judge_gate
from mainstay.gates.tasks import acknowledge_gains
from mainstay.gates.tolerance import tolerate_calibrated
from mainstay.measuring.agenda import Agenda
from mainstay.measuring.ledger import WorkloadLog
from mainstay.measuring.strictness import Margins
from mainstay.project.waivers import apply_waivers
from mainstay.records.errors import UsageError
from mainstay.records.findings import Finding, Waiver
from mainstay.records.metrics import Metric
from mainstay.records.plans import Plan
from mainstay.records.runs import Change, Environment, Machine, Run, WorkloadResult
from mainstay.revisions.git import Repository
from mainstay.revisions.workspace import input_digests
from mainstay.workers.machine import describe_machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """All that a judgement needs besides trials.

    Attributes:
        start: Choices with which the run started.
        mainstay_version: Version of the tool.
        agenda: Workloads to be judged.
        plan: Plan of the run.
        margins: Margin of each metric, under the markers and settings of both revisions.
        waivers: Waivers of the candidate.
        is_first: Whether the baseline gates nothing to which its settings could apply.
        is_unchanged: Whether both revisions have the same installed code, so that nothing is measured.
        environments: Environments of the baseline and the candidate.
        machine: Machine on which the basis was fixed.
        inputs: SHA-256 of each shared input and each input that ``prepare`` names, as far as it can be read within a
            few seconds.
        differing_files: Installed files of the project that differ between the revisions.
        traced_calls: Traced calls of each workload that passes since none of them executed what differs.
        unexecuted: Functions that differ and were not executed, each with its file.
        changes: Differences between the revisions in what they are judged by.
        notes: Notes for the reader on the start and the plan.
        waiver_notes: Notes on waivers that match nothing.
    """

    start: Start
    mainstay_version: str
    agenda: Agenda
    plan: Plan
    margins: Margins
    waivers: tuple[Waiver, ...]
    is_first: bool
    is_unchanged: bool
    environments: tuple[Environment, ...]
    machine: Machine
    inputs: Mapping[str, str] = field(default_factory=dict)
    differing_files: tuple[str, ...] = ()
    traced_calls: Mapping[str, int] = field(default_factory=dict)
    unexecuted: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    waiver_notes: tuple[str, ...] = ()

    @property
    def proved(self) -> frozenset[str]:
        """Workloads that a proof lets pass."""
        return frozenset(workload.id for workload in self.plan.workloads if workload.is_proved)

    def waive(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Apply the waivers as of the day on which the run started.

        Args:
            findings: Findings as judged.
        """
        return apply_waivers(findings, self.waivers, date.fromisoformat(self.start.created[:10]))

    def require_known(self, acknowledged: Sequence[str]) -> None:
        """Refuse an acknowledged name that no metric can have, since a typing error must not count as a decision.

        Args:
            acknowledged: Metrics whose implausible gain a person has examined.

        Raises:
            UsageError: For the first such name.
        """
        known = {name for metric in self.agenda.known for name in (metric.name, metric.id)}
        if slip := next((name for name in acknowledged if name not in known and not self.agenda.may_hold(name)), None):
            raise UsageError(
                f"no metric is called {slip!r}",
                looked_in="--acknowledge-gain",
                next_step="name a metric as the report does",
            )

    def pass_proved(self, ledgers: Sequence[WorkloadLog]) -> None:
        """Settle the workloads that a proof lets pass.

        Args:
            ledgers: Ledger of each workload.
        """
        for ledger in ledgers:
            if ledger.workload.id in self.proved:
                ledger.pass_proved(partial(self._judge_proved, ledger.workload.id))

    def _judge_proved(self, workload: str, metric: Metric) -> Finding:
        """The finding of a metric whose workload a proof lets pass."""
        if self.is_unchanged:
            return judge_unchanged(metric)
        if workload in self.traced_calls:
            return judge_executed(metric, self.traced_calls[workload], self.unexecuted)
        return judge_reworded(metric)


def fix_basis(session: Session, harness: Harness, waivers: tuple[Waiver, ...]) -> Basis:
    """Collect the workloads, look for a proof that nothing changed, and plan.

    Args:
        session: Session of the run.
        harness: Both revisions, ready to measure.
        waivers: Waivers of the candidate.

    Raises:
        MainstayError: If nothing can be judged.
    """
    agenda = collect_agenda(session, harness)
    waiver_notes = notes_on_waivers(session, agenda, waivers)
    machine = describe_machine()
    proof = prove(session, harness, agenda)
    plan = fix_plan(session, agenda, proved=proof.proved(agenda))
    outlook = [note for note in (note_on_pairs(plan, session.configuration.pair_seconds), note_on_noise(plan)) if note]
    for note in outlook:
        session.observer.note(note)
    return Basis(
        start=session.start,
        mainstay_version=version("mainstay"),
        agenda=agenda,
        plan=plan,
        margins=margins_of(session, agenda),
        waivers=waivers,
        is_first=session.settings.is_first,
        is_unchanged=proof.holds,
        environments=harness.environments,
        machine=machine,
        inputs={**harness.shared, **(input_digests(harness.prepared.variables, harness.scratch) or {})},
        differing_files=proof.differing_files,
        traced_calls=proof.calls,
        unexecuted=proof.unexecuted,
        changes=tuple(changes_of_judgement(session, harness, agenda, waivers)),
        notes=(*_notes_on_start(session, harness, proof), *agenda.notes, *outlook),
        waiver_notes=tuple(waiver_notes),
    )


def _notes_on_start(session: Session, harness: Harness, proof: Proof) -> Iterator[str]:
    """Notes on how the gate was set up."""
    yield from session.start.notes
    if misread := session.settings.misread:
        yield f"the baseline's [tool.mainstay] cannot be read ({misread}); the candidate's was used for both"
    yield from filter(None, (harness.prepared.notice, harness.preload_note, proof.note))


class Measured(NamedTuple):
    """What the measurement found.

    Attributes:
        findings: One finding for each gated metric, before waivers.
        workloads: Result of each workload.
        notes: Notes for the reader.
        tampering: Descriptions of forbidden changes by workers.
        max_load: Largest load by other processes seen during a trial, in processors.
        phases_s: Duration of each phase, in seconds.
    """

    findings: tuple[Finding, ...]
    workloads: tuple[WorkloadResult, ...]
    notes: tuple[str, ...] = ()
    tampering: tuple[str, ...] = ()
    max_load: float | None = None
    phases_s: Mapping[str, float] = {}


def conclude(
    basis: Basis,
    measured: Measured,
    *,
    run_id: str,
    repository: Repository | None,
    environ: Mapping[str, str],
    allow_unjudged: bool = False,
    acknowledged: Sequence[str],
) -> Run:
    """Judge what was measured, with waivers and the policy of the project.

    Args:
        basis: Basis of the judgement.
        measured: What the measurement found.
        run_id: Name of the run.
        repository: The user's repository, whose history tells earlier runs; ``None`` if there is none.
        environ: The user's environment.
        allow_unjudged: Whether a gate that judged nothing passes.
        acknowledged: Metrics whose implausible gain a person has examined.

    Raises:
        EnvironmentBuildError: If a worker made a forbidden change and nothing was judged.
    """
    start, plan = basis.start, basis.plan
    findings = basis.waive(acknowledge_gains(measured.findings, acknowledged))
    if measured.tampering:
        findings = spoiled(findings, measured.tampering)
    findings = settle_groups(findings, plan.groups, alpha=plan.alpha)
    if plan.inconclusive == "warn":
        findings = tolerate_calibrated(findings, plan.deviations)
    history_note = ""
    if repository is not None:
        findings, history_note = tell_earlier_runs(
            repository, findings, baseline=start.baseline.commit, environ=environ
        )
    judgement = judge_gate(
        GateFacts(
            findings=findings, allow_unjudged=allow_unjudged, is_first=basis.is_first, inconclusive=plan.inconclusive
        )
    )
    notes = [*basis.notes, *measured.notes, *basis.waiver_notes, history_note]
    return Run(
        id=run_id,
        created=start.created,
        mainstay_version=basis.mainstay_version,
        **judgement._asdict(),
        baseline=start.baseline,
        candidate=start.candidate,
        environments=basis.environments,
        machine=basis.machine,
        plan=plan,
        findings=findings,
        workloads=measured.workloads,
        notes=tuple(without_home(note, str(Path.home())) for note in notes if note),
        changes=basis.changes,
        differing_files=basis.differing_files,
        phases_s=measured.phases_s,
        max_load=measured.max_load,
    )


def without_home(note: str, home: str) -> str:
    """Replace the user's home in a note by ``~``, unless the home is the root folder.

    Example:
        >>> without_home("cached in /home/a/data", "/home/a"), without_home("cached in /data", "/")
        ('cached in ~/data', 'cached in /data')
    """
    return note.replace(home, "~") if len(home) > 1 else note
