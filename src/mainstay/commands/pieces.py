"""Pieces: what each shard of a gate measured, with everything that a judgement needs, in a folder of its own.

A piece is a journal: the start, the basis of the judgement, the trials, and a line ``measured`` when the shard has
ended. What a worker may have falsified unnoticed does not count, see :meth:`~mainstay.store.journal.Journal.standing`.
Nothing but these files is needed to judge.

- :class:`Piece`: one piece, as read; :func:`read_pieces` finds those below some folders.
- :func:`require_whole`: refuse pieces that are incomplete or do not belong together.
- :func:`find_difference`: why two machines cannot measure for one gate.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from mainstay.commands.basis import Basis
from mainstay.commands.start import Start
from mainstay.measuring.sharding import Shard
from mainstay.records.errors import PieceError, StoreError, UsageError
from mainstay.records.hosts import NAMED_FACTS
from mainstay.records.trials import ContextValue, Outcome, Trial
from mainstay.store.journal import PIECES, Journal
from mainstay.workers.machine import device_kind

MAX_SHOWN = 60
"""Longest text of a value that a message quotes."""

MAX_NAMED = 20
"""Largest number of missing shards that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the first line of a piece says besides the start of the run.

    Attributes:
        shard: The shard.
        arguments: Arguments of ``mainstay trials`` besides the shard, which are the same for all shards.
    """

    shard: Shard
    arguments: tuple[str, ...] = ()

    def command(self, shard: Shard | None = None) -> str:
        """The command that measures a shard.

        Args:
            shard: The shard; this one if ``None``.
        """
        return shlex.join(["mainstay", "trials", "--shard", str(shard or self.shard), *self.arguments])


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What a shard wrote when it ended.

    Attributes:
        num_pairs: Number of pairs up to which its trainings are complete.
        is_complete: Whether all of its share is, with every look of its evaluations.
        tampering: Descriptions of forbidden changes by workers.
        notes: Notes for the reader.
        max_load: Largest load by other processes, in processors.
        phases_s: Duration of each phase, in seconds.
    """

    num_pairs: int
    is_complete: bool
    tampering: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    max_load: float | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece.

    Attributes:
        path: Folder of the piece.
        head: The shard, and the arguments of its command.
        start: Choices with which the shard started.
        basis: Basis of the judgement; ``None`` if the shard was killed before.
        trials: The trials that count, in the order of completion.
        images: PNG of flipped examples as base64, by workload and position in the test set.
        ending: What the shard wrote when it last ended, with the notes of every time, and the tampering of every
            attempt, also of those that were interrupted; ``None`` if it has not ended.
    """

    path: Path
    head: Head
    start: Start
    basis: Basis | None
    trials: tuple[Trial, ...]
    images: Mapping[str, Mapping[int, str]]
    ending: Ending | None

    @classmethod
    def read(cls, journal: Journal) -> Piece | None:
        """Read a piece; ``None`` if the journal is that of another kind of run.

        Args:
            journal: The journal.

        Raises:
            StoreError: If the journal cannot be read.
        """
        lines = journal.standing()
        if not lines or "shard" not in lines[0]:
            return None
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            by_kind.setdefault(line["type"], []).append(line)
        bases, endings = by_kind.get("basis", []), by_kind.get("measured", [])
        return cls(
            path=journal.path.parent,
            head=journal.start(Head),
            start=journal.start(Start),
            basis=journal.content(bases[0], "basis", Basis) if bases else None,
            trials=tuple(journal.content(line, "trial", Trial) for line in by_kind.get("trial", [])),
            images={
                line["workload"]: journal.content(line, "images", dict[int, str]) for line in by_kind.get("images", [])
            },
            ending=_last([journal.content(line, "ending", Ending) for line in endings], journal.tampering()),
        )

    def damage(self, fact: str) -> PieceError:
        """The error for a piece that has to be measured again.

        Args:
            fact: What is wrong with it, to follow the name of its shard.
        """
        step = f"remove the folder, and measure again: {self.head.command()}"
        return PieceError(f"shard {self.head.shard} {fact}", looked_in=str(self.path), next_step=step)


def _last(endings: Sequence[Ending], tampering: Sequence[str]) -> Ending | None:
    """The last of several endings, with what was noted at any of them, and all tampering; ``None`` if there is none."""
    if not endings:
        return None
    changes = [*(change for ending in endings for change in ending.tampering), *tampering]
    notes = (note for ending in endings for note in ending.notes)
    return replace(endings[-1], tampering=tuple(dict.fromkeys(changes)), notes=tuple(dict.fromkeys(notes)))


def read_pieces(places: Sequence[Path]) -> tuple[Piece, ...]:
    """Read all pieces at or below some folders.

    Args:
        places: The folders.

    Raises:
        UsageError: If a folder does not exist, or there is no piece.
        StoreError: If a piece cannot be read.
    """
    for place in places:
        if not place.is_dir():
            raise UsageError("no such folder", looked_in=str(place), next_step="name folders that hold pieces")
    files = sorted({file.resolve() for place in places for file in place.rglob("journal.jsonl") if file.is_file()})
    pieces = tuple(piece for file in files if (piece := _read(Journal(file, PIECES))))
    if not pieces:
        raise UsageError(
            "no pieces there",
            looked_in=", ".join(map(str, places)),
            next_step="write them with 'mainstay trials --shard I/N', for each I from 1 to N",
        )
    return pieces


def _read(journal: Journal) -> Piece | None:
    """Read a piece; if it is damaged, the error names the command that measures its shard, where that is known."""
    try:
        return Piece.read(journal)
    except StoreError as error:
        head = journal.known_start(Head)
        if head is None:
            raise
        step = f"remove the folder, and measure again: {head.command()}"
        raise StoreError(error.fact, looked_in=error.looked_in, next_step=step) from error


def require_whole(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Refuse pieces unless they are those of all shards of one gate, measured under the same conditions.

    Args:
        pieces: At least one piece.

    Returns:
        The pieces in the order of their shards.

    Raises:
        PieceError: If a shard is missing, unfinished or given twice, or two differ in their conditions.
    """
    pieces = sorted(pieces, key=lambda piece: (piece.head.shard.count, piece.head.shard.number))
    first = pieces[0].head
    for piece, following in pairwise(pieces):
        if piece.head.shard.count != following.head.shard.count:
            raise _unfit(piece, following, "do not belong to one gate", "give the folders of one gate only")
        if piece.head.shard == following.head.shard:
            raise PieceError(
                f"shard {piece.head.shard} is there twice",
                looked_in=f"{piece.path} and {following.path}",
                next_step="remove one of them",
            )
    numbers = {piece.head.shard.number for piece in pieces if 1 <= piece.head.shard.number <= first.shard.count}
    count = first.shard.count
    if num_missing := count - len(numbers):
        lacked = (Shard(number, count) for number in range(1, count + 1) if number not in numbers)
        missing = list(islice(lacked, MAX_NAMED))
        names = ", ".join(map(str, missing)) + (" and more" if num_missing > MAX_NAMED else "")
        raise PieceError(
            f"{num_missing} of {count} shards {'is' if num_missing == 1 else 'are'} missing: {names}",
            looked_in=", ".join(dict.fromkeys(str(piece.path.parent) for piece in pieces)),
            next_step=f"measure {'it' if len(missing) == 1 else 'them'}: {'; '.join(map(first.command, missing))}",
        )
    for piece in pieces:
        if piece.ending is None:
            raise PieceError(
                f"shard {piece.head.shard} has not ended: {len(piece.trials)} trials are there that count",
                looked_in=str(piece.path),
                next_step=f"continue it where it ran: {piece.head.command()}{'; they are kept' if piece.trials else ''}",
            )
    for piece in pieces[1:]:
        if difference := find_difference(basis_of(pieces[0]), basis_of(piece)):
            advice = (
                "measure all shards of one commit, with the same options, on machines of the same kind; for equal "
                "dependencies, pin them with 'constraints'"
            )
            raise _unfit(pieces[0], piece, f"differ in {difference}", advice)
        if difference := _find_context_difference(pieces[0], piece):
            advice = f"measure both on machines that give the same; remove the folder, then: {piece.head.command()}"
            raise _unfit(pieces[0], piece, f"recorded another {difference}", advice)
    return tuple(pieces)


def _unfit(first: Piece, second: Piece, why: str, next_step: str) -> PieceError:
    """The error for two pieces that cannot be judged together."""
    fact = f"shard {first.head.shard} and shard {second.head.shard} {why}"
    return PieceError(fact, looked_in=f"{first.path} and {second.path}", next_step=next_step)


def _find_context_difference(first: Piece, second: Piece) -> str:
    """The first context that differs between two pieces; empty if none does.

    What differs among the pairs of one piece, such as the part of the data that is held out, is no difference.
    """
    one, other = _contexts(first), _contexts(second)
    for key in sorted(one.keys() & other.keys()):
        values = one[key], other[key]
        if values[0] != values[1] and max(map(len, values)) == 1:
            texts = [str(next(iter(each)))[:MAX_SHOWN] for each in values]
            return f"{key[1]} of {key[0]}: {' and '.join(texts)}"
    return ""


def _contexts(piece: Piece) -> dict[tuple[str, str], set[ContextValue | None]]:
    """What completed trials of a piece recorded as their context, by workload and name."""
    completed = [trial for trial in piece.trials if trial.outcome is Outcome.COMPLETED]
    return {
        (workload, name): {trial.context.get(name) for trial in completed if trial.workload == workload}
        for workload, name in {(trial.workload, name) for trial in completed for name in trial.context}
    }


def basis_of(piece: Piece) -> Basis:
    """The basis of a piece that has ended.

    Raises:
        PieceError: If it lacks one, or if its plan is not that of its workloads.
    """
    if piece.basis is None or not _is_planned(piece.basis):
        what = "no basis of a judgement" if piece.basis is None else "a plan that does not fit its workloads"
        raise piece.damage(f"holds {what}")
    return piece.basis


def _is_planned(basis: Basis) -> bool:
    """Whether the plan has the metrics of all workloads, and a seed for each of their pairs."""
    planned = {each.id: {metric.name for metric in each.metrics} for each in basis.plan.workloads}
    judged = {each.id: {metric.name for metric in each.metrics} for each in basis.agenda.workloads}
    num_pairs = max(basis.plan.looks, default=0)
    return planned == judged and all(
        len(each.seeds) >= (len(each.looks) or num_pairs) for each in basis.plan.workloads if not each.is_proved
    )


CONDITIONS: Mapping[str, Callable[[Basis], Any]] = {
    NAMED_FACTS["mainstay"]: lambda basis: basis.mainstay_version,
    "the baseline": lambda basis: basis.start.baseline.commit,
    "the candidate": lambda basis: basis.start.candidate.commit,
    NAMED_FACTS["device"]: lambda basis: device_kind(basis.machine),
    NAMED_FACTS["python"]: lambda basis: [environment.python for environment in basis.environments],
    "the dependencies": lambda basis: {
        f"{name} of the {environment.side}": version
        for environment in basis.environments
        for name, version in environment.packages.items()
    },
    "the data": lambda basis: basis.inputs,
    "the options": lambda basis: {
        name: str(getattr(basis.start, name)) for name in ("salt", "seconds", "fail_fast", "only", "pairs", "selection")
    },
    "the settings": lambda basis: (basis.margins, basis.waivers, basis.is_first),
    "the proof that nothing changed": lambda basis: (basis.is_unchanged, sorted(basis.proved)),
    "the plan": lambda basis: replace(basis.plan, jobs=1, arguments=()),
    "the workloads": lambda basis: basis.agenda,
}
"""What must be equal wherever trials of one gate are measured; the number of trials at once need not, and the
arguments are among the options."""


def find_difference(first: Basis, second: Basis) -> str:
    """The first condition that differs between two machines, with both values; empty if none does.

    Args:
        first: Basis of one machine.
        second: Basis of the other.
    """
    for name, condition in CONDITIONS.items():
        one, other = condition(first), condition(second)
        if one == other:
            continue
        if isinstance(one, dict):
            key = next(key for key in sorted({*one, *other}) if one.get(key) != other.get(key))
            return f"{name}: {key} is {one.get(key, 'absent')} and {other.get(key, 'absent')}"
        values = [str(value) for value in (one, other)]
        return f"{name}: {' and '.join(values)}" if max(map(len, values)) <= MAX_SHOWN else name
    return ""
