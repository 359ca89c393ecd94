"""The trials command: measure one shard of a gate's accuracy, on one of several machines, and write its piece.

Times and memory are never sharded: both revisions must be timed side by side on one machine, which ``mainstay gate --only
performance`` does. :mod:`mainstay.commands.judge_pieces` judges the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mainstay.commands.basis import Basis, fix_basis
from mainstay.commands.gate import choose_start, in_project
from mainstay.commands.harness import open_harness
from mainstay.commands.measurement import max_load, measuring, open_ledgers
from mainstay.commands.pieces import Ending, Head, Piece, find_difference
from mainstay.commands.review import waivers_of
from mainstay.commands.session import Session, repository_for_runs
from mainstay.commands.start import Start, StartOptions
from mainstay.commands.tampering import blamed_on_changes, checked
from mainstay.measuring.ledger import restore_trials
from mainstay.measuring.loop import Observer
from mainstay.measuring.sharding import Shard
from mainstay.records.errors import PieceError, UsageError
from mainstay.records.trials import Side
from mainstay.revisions.tracking import refuse_tracked_folder
from mainstay.store.files import FOLDER, make_ignored
from mainstay.store.journal import JOURNAL_VERSION, PIECES, RunFolder, making

PART = "accuracy"
"""The part of a gate that can be sharded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialsOptions(StartOptions):
    """Options of the trials command; places, revisions, budget and pairs are those of the gate.

    Attributes:
        shard: The shard to measure.
        up_to: Number of pairs to measure, over all shards; the number at the last look if ``None``.
        output: Folder in which the folder of the piece is made; ``.mainstay/pieces`` of the project if ``None``.
        only: The part that can be sharded.
    """

    shard: Shard
    up_to: int | None = None
    output: Path | None = None
    only: str | None = PART

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command line that all shards have in common, also the folder of their pieces."""
        named = {
            "--baseline": self.baseline,
            "--candidate": self.candidate,
            "--seconds": self.seconds,
            "--pairs": self.pairs,
            "-k": self.keyword,
            "-m": self.marks,
            "--output": self.output,
        }
        options = [word for name, value in named.items() if value not in {None, ""} for word in (name, str(value))]
        return (*options, *self.places)


def trials_options(*, shard: str, **options: Any) -> TrialsOptions:
    """Options with the shard as the user named it.

    Args:
        shard: ``I/N``.
        options: The other options.

    Raises:
        UsageError: If it is no shard.
    """
    return TrialsOptions(shard=Shard.parse(shard), **options)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialsOutcome:
    """Result of measuring a shard.

    Attributes:
        shard: The shard.
        num_trials: Trials in the piece.
        num_pairs: Number of pairs up to which its trainings are complete.
        is_complete: Whether all of its share is, with every look of its evaluations.
        path: Folder of the piece.
    """

    shard: Shard
    num_trials: int
    num_pairs: int
    is_complete: bool
    path: Path


def measure_shard(
    path: Path, options: TrialsOptions, *, environ: Mapping[str, str], observer: Observer
) -> TrialsOutcome:
    """Measure one shard, or the rest of it.

    Args:
        path: A folder in the user's repository.
        options: Options of the command.
        environ: The user's environment.
        observer: Receives progress reports.

    Raises:
        MainstayError: If nothing can be measured; its ``exit_status`` says why.
        Interrupted: On Ctrl-C; completed measurements are in the piece.
    """
    repository = repository_for_runs(path)
    place = (options.output or repository.root / FOLDER / PIECES) / options.shard.folder
    refuse_tracked_folder(place)
    relative = replace(options, places=in_project(repository.root, path, options.places))
    start = choose_start(repository, relative, environ)
    with _open_piece(place, start, options) as (folder, start):
        if not _is_measured(Piece.read(folder.journal), options):
            _measure(Session(repository, folder, start, environ=environ, observer=observer), options)
        return _outcome(options, folder)


def _is_measured(piece: Piece | None, options: TrialsOptions) -> bool:
    """Whether a piece holds all that is wanted."""
    if piece is None or piece.basis is None or piece.ending is None:
        return False
    return piece.ending.num_pairs >= _num_wanted(options, piece.basis) and piece.ending.is_complete


@contextmanager
def _open_piece(place: Path, start: Start, options: TrialsOptions) -> Iterator[tuple[RunFolder, Start]]:
    """Lock the folder of a new piece, or of one that is continued; gives it with the start that it has."""
    way_on = "make room, or name another folder with --output"
    with making("the folder of the piece", looked_in=str(place), next_step=way_on):
        make_ignored(place)
    with RunFolder(place, PIECES) as folder:
        journal = folder.journal
        if not journal.read():
            head = Head(shard=options.shard, arguments=options.arguments)
            journal.append("start", version=JOURNAL_VERSION, **asdict(start), **asdict(head))
            yield folder, start
            return
        first = journal.start(Start)
        if replace(first, created=start.created, notes=start.notes) != start:
            raise UsageError(
                f"the existing piece of shard {options.shard} was measured for other revisions or options",
                looked_in=str(place),
                next_step="remove it, or name another folder with --output",
            )
        yield folder, first


def _measure(session: Session, options: TrialsOptions) -> None:
    """Build, collect, plan and measure what the piece lacks."""
    waivers, journal = waivers_of(session, Side.CANDIDATE), session.folder.journal
    with blamed_on_changes(session), open_harness(session) as harness:
        with checked(session, harness) as check:
            basis = fix_basis(session, harness, waivers)
            num_wanted = _num_wanted(options, basis)
            piece = Piece.read(journal)
            if piece is None or piece.basis is None:
                journal.append("basis", basis=asdict(basis))
            else:
                _refuse_other_conditions(session, options.shard, piece.basis, basis)
            if piece and piece.ending:  # fewer than before would hide pairs that are measured
                num_wanted = max(num_wanted, piece.ending.num_pairs)
            ledgers = open_ledgers(basis.agenda, basis.plan)
            restore_trials(ledgers, journal.trials())
            basis.pass_proved(ledgers)
            with measuring(session, harness, basis.agenda, basis.plan, ledgers) as measurement:
                measured = measurement.measure_share(num_wanted, options.shard)
        for ledger in ledgers:
            if images := ledger.images.get(0):
                journal.append("images", workload=ledger.workload.id, images=images)
        ending = Ending(
            num_pairs=measured.num_pairs,
            is_complete=measured.is_complete,
            tampering=check.tampering,
            notes=(*check.notes, *harness.seals.notes),
            max_load=max_load(ledgers),
            phases_s=session.watch.seconds,
        )
        journal.append("measured", ending=asdict(ending))


def _refuse_other_conditions(session: Session, shard: Shard, first: Basis, now: Basis) -> None:
    """Refuse to continue a piece under other conditions, unless a worker changed something, so that nothing can pass.

    Raises:
        PieceError: If something differs.
    """
    if session.folder.journal.tampering():
        return
    if difference := find_difference(first, now):
        raise PieceError(
            f"the piece of shard {shard} was begun under other conditions; they differ in {difference}",
            looked_in=str(session.folder.path),
            next_step="restore what differs, then continue; or remove the folder, and measure the shard again",
        )


def _num_wanted(options: TrialsOptions, basis: Basis) -> int:
    """Number of pairs to measure, over all shards.

    Raises:
        UsageError: If the plan has fewer: there are no seeds beyond its last look.
    """
    last = basis.plan.looks[-1]
    if options.up_to is not None and options.up_to > last:
        raise UsageError(
            f"--up-to {options.up_to} is more than the {last} pairs of the last look",
            looked_in="the looks of the plan",
            next_step=f"leave it out, or name at most {last}",
        )
    return options.up_to or last


def _outcome(options: TrialsOptions, folder: RunFolder) -> TrialsOutcome:
    """The result, as it is in the piece."""
    piece = Piece.read(folder.journal)
    ending = piece.ending if piece else None
    return TrialsOutcome(
        shard=options.shard,
        num_trials=len(piece.trials) if piece else 0,
        num_pairs=ending.num_pairs if ending else 0,
        is_complete=ending is not None and ending.is_complete,
        path=folder.path,
    )
