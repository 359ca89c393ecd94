"""History files: admission of runs, and conversion to and from text.

This module does not open files or call git. A stored run is compact JSON of about a kilobyte. The same run always gives
the same bytes, so a run that is written twice is stored once.

- :func:`kept_run`: make the record of a run, or refuse the run.
- :func:`kept_to_json`, :func:`kept_from_json`: conversion in both directions.
- :func:`withdrawal_to_json`: conversion of a withdrawal.
- :func:`file_of`, :func:`stem_of`: path and name of a file.
- :func:`is_intact`: whether a file is as it was written.
- :func:`read_history`: read all files of a branch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from mainstay.records.errors import SchemaError, UsageError
from mainstay.records.executions import TRAINED, part_of
from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.history import (
    HISTORY_VERSION,
    Entry,
    History,
    KeptCommit,
    KeptMetric,
    KeptRun,
    RunKind,
    Withdrawal,
)
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.runs import Machine, Revision, Run
from mainstay.store.journal import UNSTRUCTURED

T = TypeVar("T")

RUNS, WITHDRAWN = "runs", "withdrawn"
"""Folders of a branch."""

ADMITTED = frozenset({Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WAIVED})
"""Verdicts of a valid run."""

CLOCK_TOLERANCE = timedelta(days=1)
"""Largest accepted error of a clock."""

_DIGITS = 6


def kept_run(
    run: Run,
    kind: RunKind,
    *,
    run_digest: str,
    dates: Mapping[str, str],
    between: Collection[KeptRun] | None,
    now: datetime,
    where: str,
) -> KeptRun:
    """Make the history record of a run.

    Args:
        run: Run of a gate.
        kind: Kind of comparison.
        run_digest: SHA-256 of the run document.
        dates: ISO time of the commits that are on the default branch.
        between: Stored gates of the commits between the two; ``None`` if the baseline is no earlier commit of the
            default branch.
        now: The current time, to detect a wrong clock.
        where: Name of the document in error messages.

    Raises:
        UsageError: If the run is not valid and would make the history misleading.
    """
    if refusal := next(_refusals(run, kind, dates, between, now), None):
        reason, next_step = refusal
        raise UsageError(f"not kept: {reason}", looked_in=where, next_step=next_step)
    environment = run.environments[1]
    return KeptRun(
        id=run.id,
        created=run.created,
        kind=kind,
        verdict=run.verdict,
        baseline=_kept_commit(run.baseline, dates),
        candidate=_kept_commit(run.candidate, dates),
        machine=machine_type(run.machine),
        packages_digest=environment.packages_digest,
        looks=run.plan.looks,
        metrics=tuple(map(kept_metric, run.findings)),
        run_digest=run_digest,
        mainstay_version=run.mainstay_version,
    )


def _refusals(
    run: Run, kind: RunKind, dates: Mapping[str, str], between: Collection[KeptRun] | None, now: datetime
) -> Iterator[tuple[str, str]]:
    """Why a run is not valid, and what to do."""
    if run.is_of_stored_results:
        yield "stored results were judged, nothing was measured", "gate the two commits with 'mainstay gate'"
    if run.verdict is Verdict.NEW:
        yield "the verdict is new", "add the run of the next commit: its baseline has the metrics"
    if run.verdict not in ADMITTED:
        yield f"the verdict is {run.verdict}", "correct what the report of the run names, then gate again"
    for finding in run.findings:
        if finding.verdict in {Verdict.ERROR, Verdict.MISSING}:
            yield f"{finding.metric.id} is {finding.verdict}", "correct what the report says of it, then gate again"
    if len(run.environments) != 2:
        yield "the environments of the two revisions are not recorded", "gate again: a gate records them"
    if kind is not RunKind.MAIN and len(run.plan.looks) != 1:
        article = "an" if kind is RunKind.ANCHOR else "a"
        fact = f"{article} {kind} needs a fixed number of pairs, and this gate planned {len(run.plan.looks)} looks"
        yield fact, "gate again with --pairs 20"
    yield from _refusals_of_commits(run, kind, dates, between)
    if datetime.fromisoformat(run.created) > now + CLOCK_TOLERANCE:
        fact = f"a clock is wrong: the run started at {run.created}, and now it is {now.isoformat()}"
        yield fact, "set this clock, then add the run; if the clock of the gate was wrong, set that one and gate again"


def _refusals_of_commits(
    run: Run, kind: RunKind, dates: Mapping[str, str], between: Collection[KeptRun] | None
) -> Iterator[tuple[str, str]]:
    """Why the commits of a run are not those of its kind, and what to do."""
    if run.candidate.commit not in dates:
        fact = f"the candidate ({run.candidate.name}) is no commit of the default branch"
        yield fact, "add a run of the default branch: a change is gated again after its merge"
    elif datetime.fromisoformat(run.created) < datetime.fromisoformat(dates[run.candidate.commit]) - CLOCK_TOLERANCE:
        fact = f"a clock is wrong: the run started at {run.created}, before its commit of {dates[run.candidate.commit]}"
        yield fact, "set the clock of the machine that gated or of the one that committed, then gate again"
    next_step = "gate the candidate against the commit before it, or say with --kind what else the run compares"
    if kind is RunKind.MAIN and between is None:
        fact = f"the baseline ({run.baseline.name}) is no earlier commit of the default branch"
        yield fact, f"{next_step}; a shallow clone needs 'git fetch --unshallow' first"
    elif kind is RunKind.MAIN and between:
        fact = f"the baseline ({run.baseline.name}) is not the commit before"
        yield f"{fact}: {len(between)} gates of commits between the two are kept", next_step


def machine_type(machine: Machine) -> str:
    """One-line description of a machine with everything that matters for comparing levels.

    Example:
        >>> machine_type(Machine(system="Linux 6.1", architecture="x86_64", processor="A", num_cores=2, memory_bytes=8 * 2**30))
        'A, 2 cores, 8 GiB, Linux x86_64'
    """
    system = machine.system.partition(" ")[0]
    parts = [machine.processor or "unknown processor", f"{machine.num_cores} cores"]
    parts += [f"{round(machine.memory_bytes / 2**30)} GiB", f"{system} {machine.architecture}"]
    return ", ".join([*parts, *([machine.accelerator] if machine.accelerator else [])])


def _kept_commit(revision: Revision, dates: Mapping[str, str]) -> KeptCommit:
    return KeptCommit(commit=revision.commit, subject=revision.subject, date=dates.get(revision.commit, ""))


def kept_metric(finding: Finding) -> KeptMetric:
    """Make the history record of a finding."""
    return KeptMetric(
        metric=finding.metric,
        verdict=finding.verdict,
        method=finding.method,
        degradations=tuple(_rounded(value) for value in finding.degradations),
        seeds=finding.seeds if part_of(finding.metric.kind) == TRAINED.part else (),
        baseline_mean=_finite(finding.baseline_mean),
        candidate_mean=_finite(finding.candidate_mean),
    )


def _rounded(value: float) -> float:
    """A number rounded to the digits that the history stores.

    Example:
        >>> _rounded(0.1234567891)
        0.123457
    """
    return float(f"{value:.{_DIGITS}g}")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else _rounded(value)


def kept_to_json(run: KeptRun) -> str:
    """Convert a run of the history to one line of ASCII text."""
    return _dumped({"v": HISTORY_VERSION, **_converter().unstructure(run)})


def withdrawal_to_json(withdrawal: Withdrawal) -> str:
    """Convert a withdrawal to one line of ASCII text."""
    return _dumped({"v": HISTORY_VERSION, **asdict(withdrawal)})


def _dumped(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"


def kept_from_json(text: str, *, where: str) -> KeptRun:
    """Read a run of the history.

    Args:
        text: The document.
        where: Its name in error messages.

    Raises:
        SchemaError: If it cannot be read.

    Example:
        >>> kept_from_json('{"v": 7}', where="a file")
        Traceback (most recent call last):
        ...
        mainstay.records.errors.SchemaError: version 7 of a kept run, this mainstay reads up to 1
          looked in: a file
          next: read it with a newer mainstay
    """
    return _read(text, KeptRun, "it lacks something or has it of another type", where)


def _read(text: str, kind: type[T], complaint: str, where: str) -> T:
    """The record of a document; an error says what is wrong, and why."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"not a JSON document: {error}", where) from error
    version = document.get("v") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged("it has no version", where)
    if version > HISTORY_VERSION:
        raise SchemaError(
            f"version {version} of a kept run, this mainstay reads up to {HISTORY_VERSION}",
            looked_in=where,
            next_step="read it with a newer mainstay",
        )
    try:
        return _converter().structure(document, kind)
    except UNSTRUCTURED as error:
        raise _damaged(f"{complaint} ({_cause(error)})", where) from error


def _damaged(fact: str, where: str) -> SchemaError:
    return SchemaError(
        f"a kept run cannot be read: {fact}",
        looked_in=where,
        next_step="'mainstay history withdraw' it, and gate the commit again",
    )


def _cause(error: BaseException) -> str:
    """The innermost cause of an error, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def file_of(run: KeptRun) -> str:
    """Path of a run in its history branch: by day, and named by content so that no two writers collide."""
    digest = hashlib.sha256(kept_to_json(run).encode()).hexdigest()
    return f"{RUNS}/{run.time:%m}/{run.time:%d}/{run.id}-{digest[:12]}.json"


def is_intact(path: str, content: bytes) -> bool:
    """Whether a file is as it was written: a run has the digest in its name, and a withdrawal can be read.

    Args:
        path: Its path in the branch.
        content: Its content.

    Example:
        >>> is_intact("runs/01/31/20270131T010000-000-0123456789ab.json", b"altered")
        False
    """
    if not path.startswith(f"{WITHDRAWN}/"):
        return hashlib.sha256(content).hexdigest()[:12] == stem_of(path)[-12:]
    try:
        _withdrawal(content, where=path)
    except (SchemaError, UnicodeDecodeError):
        return False
    return True


def _withdrawal(content: bytes, *, where: str) -> Withdrawal:
    return _read(content.decode(), Withdrawal, "a withdrawal lacks something", where)


def read_history(files: Iterable[tuple[str, bytes]]) -> History:
    """Read all files of the branches; unreadable files are left out and reported, unless withdrawn.

    Args:
        files: Location of each file, as ``BRANCH:PATH``, and its content.
    """
    entries, withdrawals, unread = [], {}, []
    for place, content in files:
        stem, path = stem_of(place), place.partition(":")[2]
        try:
            if path.startswith(f"{WITHDRAWN}/"):
                withdrawals[stem] = _withdrawal(content, where=place)
            elif not is_intact(path, content):
                unread.append((place, "its content was altered: the digest in its name is of another one"))
            else:
                entries.append((stem, kept_from_json(content.decode(), where=place)))
        except SchemaError as error:
            unread.append((place, error.fact))
        except UnicodeDecodeError:
            unread.append((place, "it is no text in UTF-8"))
    found = [Entry(file=stem, run=run, withdrawal=withdrawals.get(stem)) for stem, run in entries]
    return History(
        entries=tuple(sorted(found, key=lambda entry: (entry.run.time, entry.file))),
        unread=tuple((place, why) for place, why in unread if stem_of(place) not in withdrawals),
    )


def stem_of(place: str) -> str:
    """Name of a file without folders and extension.

    Example:
        >>> stem_of("mainstay-history/2027:runs/01/31/20270131T010000-000-0123456789ab.json")
        '20270131T010000-000-0123456789ab'
    """
    return place.rpartition("/")[2].removesuffix(".json")


@cache
def _converter() -> Converter:
    """Converter between records and plain mappings; default values are omitted."""
    converter = Converter(detailed_validation=False)
    written: tuple[type, ...] = (Metric, KeptCommit, KeptMetric, KeptRun)
    for kind in written:
        converter.register_unstructure_hook(
            kind, make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=True)
        )
    converter.register_structure_hook_func(lambda kind: kind == tuple[float, ...], lambda values, _: _floats(values))
    converter.register_structure_hook_func(
        lambda kind: kind == tuple[int, ...], lambda values, _: tuple(map(int, values))
    )
    converter.register_structure_hook(str, lambda value, _: _text(value))
    enums: tuple[type, ...] = (Verdict, Method, Kind, Direction, RunKind)
    for kind in enums:  # otherwise they would be read as plain text
        converter.register_structure_hook(kind, lambda value, kind: kind(value))
    structure, known = make_dict_structure_fn(Metric, converter), dict[str, Metric]()

    def metric(document: Any, kind: type) -> Metric:
        """Return one shared record for all runs with the same metric."""
        key = repr(document)
        if key not in known:
            known[key] = structure(document, kind)
        return known[key]

    converter.register_structure_hook(Metric, metric)
    return converter


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list of numbers")
    return tuple(map(float, values))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
