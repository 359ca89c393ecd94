"""Judgement of the pieces of all shards of a gate: the measuring loop runs again, and each pair comes from a piece.

So the seeds, the looks and the findings are those of a gate on one machine. Nothing is measured, and neither the
repository nor the environments are needed. Times are not judged, since no shard measures them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from mainstay.commands.basis import Basis, Measured, conclude
from mainstay.commands.measurement import open_ledgers
from mainstay.commands.outcome import RunOutcome, finish
from mainstay.commands.pieces import Piece, basis_of, read_pieces, require_whole
from mainstay.gates.accuracy import decode_classes
from mainstay.gates.policy import Design
from mainstay.measuring.loop import Measurement, SilentObserver
from mainstay.records.errors import GitError, MainstayError, PieceError
from mainstay.records.runs import Shards
from mainstay.records.trials import Outcome, Trial
from mainstay.revisions.git import Repository
from mainstay.revisions.tracking import refuse_tracked_links
from mainstay.store.files import FOLDER
from mainstay.store.journal import JUDGEMENTS, new_run
from mainstay.workers.interleaved import TimedRequest
from mainstay.workers.pairs import PairRequest, PairResult

NOT_GATED = "times and memory are not gated here: 'mainstay gate --only performance' gates them, on one machine"
"""Note on what no shard measures."""


class Recorded:
    """The trials of all pieces, from which pairs are taken as if they were measured.

    Args:
        pieces: Pieces of all shards, in order.
        basis: Their common basis.
    """

    def __init__(self, pieces: Sequence[Piece], basis: Basis) -> None:
        self._pieces = pieces
        self._positions = {workload.id: number for number, workload in enumerate(basis.plan.workloads)}
        self._evaluations = {workload.id for workload in basis.agenda.workloads if workload.execution.has_items}
        self.num_pairs = min(piece.ending.num_pairs for piece in pieces if piece.ending)
        self._trials = [
            {(each.workload, each.side, each.pair, each.repetition, each.files_of): each for each in piece.trials}
            for piece in pieces
        ]

    def measure(self, request: PairRequest, _: Sequence[Trial] = ()) -> PairResult:
        """Take a pair from the piece of the shard that owns it.

        Args:
            request: The request for the pair.

        Returns:
            Its trials; none if the pieces end before the pair or the look, or if the shard ended the workload because a
            trial of another pair did not complete.

        Raises:
            PieceError: If the piece lacks the pair without such a reason, or it has another seed or cannot be judged.
        """
        position = self._positions[request.workload]
        number = next(n for n, piece in enumerate(self._pieces) if piece.head.shard.owns(position, request.pair))
        trials = []
        for side in request.sides:
            key = (request.workload, side, request.pair, request.repetition, request.measured_with.files_for(side))
            trial = self._trials[number].get(key)
            if trial is None and self._may_lack(number, request):
                return PairResult(request=request, trials=())
            if trial is None or trial.seed != request.seed:
                raise self._damage(number, request, f"the {side} at seed {request.seed}")
            if lacking := _lacking(trial, request):
                raise self._damage(number, request, f"the {side}: {lacking}")
            trials.append(trial)
        images = self._pieces[number].images.get(request.workload, {}) if request.wants_images else {}
        return PairResult(request=request, trials=tuple(trials), images=images)

    def _may_lack(self, number: int, request: PairRequest) -> bool:
        """Whether a shard has a reason not to have measured a trial."""
        is_broken = any(
            trial.workload == request.workload and trial.outcome is not Outcome.COMPLETED
            for trial in self._trials[number].values()
        )
        ending = self._pieces[number].ending
        is_cut = request.pair >= self.num_pairs
        if request.workload in self._evaluations:
            is_cut = ending is not None and not ending.is_complete
        return is_cut or bool(request.repetition) or is_broken

    def _damage(self, number: int, request: PairRequest, where: str) -> PieceError:
        return self._pieces[number].damage(f"lacks pair {request.pair} of {request.workload} on {where}")


def _lacking(trial: Trial, request: PairRequest) -> str:
    """What a completed trial lacks of that which the gate requires of a worker; empty if nothing."""
    if missing := trial.find_lacking(request.gated, has_items=request.has_items):
        return f"{missing} was not recorded"
    if trial.predictions is not None:
        try:
            labels, predicted = map(decode_classes, (trial.predictions.labels, trial.predictions.predicted))
        except MainstayError as error:
            return error.fact
        if len(labels) != len(predicted):
            return f"it has {len(predicted)} predictions for {len(labels)} labels"
    return ""


def judge_pieces(
    folder: Path, places: Sequence[Path], *, environ: Mapping[str, str], acknowledged: Sequence[str]
) -> RunOutcome:
    """Judge what all shards of a gate measured.

    Args:
        folder: Folder to which the run document is written.
        places: Folders that hold the pieces.
        environ: The user's environment.
        acknowledged: Metrics whose implausible gain a person has examined.

    Returns:
        The run, which has been written to a folder of its own.

    Raises:
        MainstayError: If nothing can be judged; its ``exit_status`` says why.
    """
    begun = time.monotonic()
    refuse_tracked_links(folder / FOLDER / JUDGEMENTS)
    pieces = require_whole(read_pieces(places))
    first = min(pieces, key=lambda piece: piece.start.created)
    basis = replace(basis_of(pieces[0]), start=first.start)
    basis.require_known(acknowledged)
    recorded = Recorded(pieces, basis)
    repository = None
    with suppress(GitError):
        repository = Repository.discover(folder)
    measured = _replay(pieces, basis, recorded, begun)
    with new_run(folder, datetime.now(UTC), {"created": basis.start.created}, among=JUDGEMENTS) as place:
        run = conclude(
            basis, measured, run_id=place.id, repository=repository, environ=environ, acknowledged=acknowledged
        )
        cut = tuple(str(piece.head.shard) for piece in pieces if piece.ending and not piece.ending.is_complete)
        shards = Shards(count=len(pieces), num_pairs=recorded.num_pairs, cut=cut)
        return finish(place, replace(run, shards=shards))


def _replay(pieces: Sequence[Piece], basis: Basis, recorded: Recorded, begun: float) -> Measured:
    """Run the measuring loop with the recorded trials."""
    plan = basis.plan
    ledgers = open_ledgers(basis.agenda, plan)
    basis.pass_proved(ledgers)
    with ThreadPoolExecutor(1) as executor:
        measurement = Measurement(
            logs=ledgers,
            settled=basis.agenda.settled,
            groups=plan.groups,
            design=Design.of(plan),
            salt=plan.salt,
            commit=basis.start.baseline.commit,
            margin_of=basis.margins,
            tier_margin_of=basis.margins.of_baseline,
            measure=recorded.measure,
            measure_timed=_refuse_times,
            executor=executor,
            num_at_once=1,
            trial_seconds=plan.trial_seconds,
            pair_seconds=plan.pair_seconds,
            fail_fast=plan.fail_fast,
            waive=basis.waive,
            deadline=float("inf"),
            observer=SilentObserver(),
            keep_trial=lambda _: None,
            end=f"the pieces end at {recorded.num_pairs} pairs,",
        )
        findings = measurement.run()
    endings = [piece.ending for piece in pieces if piece.ending]
    phases = {
        name: max(ending.phases_s.get(name, 0.0) for ending in endings)
        for name in dict.fromkeys(name for ending in endings for name in ending.phases_s)
    }
    return Measured(
        findings=findings,
        workloads=measurement.results(),
        notes=(
            *_notes_on_pieces(pieces),
            *(_on_shard(piece, note) for piece in pieces if piece.ending for note in piece.ending.notes),
            *measurement.notes,
        ),
        tampering=tuple(
            _on_shard(piece, change) for piece in pieces if piece.ending for change in piece.ending.tampering
        ),
        max_load=max((ending.max_load for ending in endings if ending.max_load), default=None),
        phases_s={**phases, "judging": time.monotonic() - begun},
    )


def _on_shard(piece: Piece, text: str) -> str:
    """What a shard wrote, with its name."""
    return f"on shard {piece.head.shard}: {text}"


def _notes_on_pieces(pieces: Sequence[Piece]) -> list[str]:
    """Where the trials come from, and what no shard measures."""
    count = len(pieces)
    notes = [f"measured by {count} shard{'s' if count > 1 else ''}, each pair on one machine", NOT_GATED]
    processors = sorted({basis_of(piece).machine.processor for piece in pieces})
    if len(processors) > 1:
        notes.append(f"the shards ran on different processors: {', '.join(processors)}")
    return notes


def _refuse_times(request: TimedRequest) -> NoReturn:
    """Refuse to take times from pieces; no plan of a shard contains such a workload."""
    raise PieceError(f"pieces hold no times, but pair {request.pair} of them is wanted")
