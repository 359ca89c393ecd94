"""The history of a project: add, list, show, withdraw and share runs.

- :func:`add`, :func:`withdraw`, :func:`sync`: functions that write, or contact a remote.
- :func:`read`: all local entries, in the order of the default branch.
- :func:`render_list`, :func:`render_entry`: entries as text for a terminal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mainstay.commands.start import configuration_of
from mainstay.records.errors import UsageError
from mainstay.records.formatting import change_text
from mainstay.records.history import Entry, History, KeptMetric, KeptRun, RunKind, Withdrawal
from mainstay.reports.cleaning import clean
from mainstay.reports.publishing import read_run
from mainstay.revisions.git import Repository
from mainstay.revisions.history import BRANCH, HistoryBranches
from mainstay.store.history import WITHDRAWN, file_of, kept_run, kept_to_json, read_history, stem_of, withdrawal_to_json


def add(folder: Path, path: Path, *, kind: str, remote: str | None, environ: Mapping[str, str]) -> tuple[Entry, bool]:
    """Add a run of the default branch to the history.

    Args:
        folder: A folder in the user's repository.
        path: The run document.
        kind: Kind of comparison.
        remote: Remote at which the history is shared.
        environ: The user's environment.

    Returns:
        The entry, and whether it is on the branch; if not, it waits in the inbox for the next writer.

    Raises:
        UsageError: If the run is not valid, or was withdrawn.
        GitError: If the history cannot be written.
    """
    repository = Repository.discover(folder)
    branches = HistoryBranches.of(repository, remote)
    run = read_run(path)
    commits = (run.baseline.commit, run.candidate.commit)
    kept = kept_run(
        run,
        RunKind(kind),
        run_digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        dates=_dates(repository, commits, environ),
        between=_gates_between(repository, branches, *commits) if kind == RunKind.MAIN else (),
        now=datetime.now(UTC),
        where=str(path),
    )
    place = file_of(kept)
    message = f"Add {kept.kind} {kept.candidate.commit[:10]}: {kept.verdict}"
    arrived = branches.append(f"{kept.time:%Y}", {place: kept_to_json(kept).encode()}, message)
    return Entry(file=stem_of(place), run=kept), arrived


def withdraw(folder: Path, name: str, *, reason: str, remote: str | None) -> str:
    """Withdraw a run: it no longer counts, but stays in the history.

    Args:
        folder: A folder in the user's repository.
        name: Name of the run, or its beginning; the run need not be readable.
        reason: Why it is withdrawn.
        remote: Remote at which the history is shared.

    Returns:
        Name of its file.

    Raises:
        UsageError: If no run, or several runs, have that name.
    """
    repository = Repository.discover(folder)
    branches = HistoryBranches.of(repository, remote)
    branches.sync()
    files = list(branches.read())
    history = read_history(files)
    damaged = {stem for place, _ in history.unread if name and (stem := stem_of(place)).startswith(name)}
    file = damaged.pop() if len(damaged) == 1 else find(history, name).file
    year = next(place for place, _ in files if stem_of(place) == file).removeprefix(BRANCH)[:4]
    withdrawal = Withdrawal(
        run=file,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        who=repository.call("config", "user.name", check=False).text or "unknown",
        reason=reason,
    )
    content = withdrawal_to_json(withdrawal).encode()
    branches.append(year, {f"{WITHDRAWN}/{file}.json": content}, f"Withdraw {file}")
    return file


def sync(folder: Path, *, remote: str | None, restore: bool, forget: bool) -> tuple[History, int]:
    """Fetch the history that others have added to.

    Args:
        folder: A folder in the user's repository.
        remote: Remote at which the history is shared.
        restore: Append files again that were removed or altered there.
        forget: Drop files that were removed or altered there.

    Returns:
        The history, and the number of writes that wait in the inbox for somebody with write access.
    """
    branches = HistoryBranches.of(Repository.discover(folder), remote)
    branches.sync(restore=restore, forget=forget)
    return read_history(branches.read()), branches.num_waiting()


def read(folder: Path, *, remote: str | None, environ: Mapping[str, str]) -> History:
    """All local history entries, in the order of the default branch.

    Args:
        folder: A folder in the user's repository.
        remote: Remote at which the history is shared.
        environ: The user's environment.
    """
    repository = Repository.discover(folder)
    history = read_history(HistoryBranches.of(repository, remote).read())
    places = {commit: i for i, commit in enumerate(_commits(repository, environ))}
    return replace(history, entries=tuple(sorted_by_commit(history.entries, places)))


def sorted_by_commit(entries: Sequence[Entry], places: Mapping[str, int]) -> Iterator[Entry]:
    """Entries in the order of their candidate commits, regardless of the machines' clocks.

    Args:
        entries: Entries in order of time.
        places: Position of each commit on the default branch; an entry of another commit keeps its place in time.

    Example:
        >>> list(sorted_by_commit([], {}))
        []
    """
    keyed, last = [], -1
    for number, entry in enumerate(entries):
        last = places.get(entry.run.candidate.commit, last)
        keyed.append(((last, number), entry))
    return (entry for _, entry in sorted(keyed, key=lambda pair: pair[0]))


def find(history: History, name: str) -> Entry:
    """Find the entry for a name or prefix of a file, run or candidate commit.

    Raises:
        UsageError: If no entry matches, or several do.
    """
    found = [
        entry
        for entry in history.entries
        if name and (entry.file.startswith(name) or entry.run.candidate.commit.startswith(name))
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(entry.file for entry in found[:3])
    raise UsageError(
        f"{len(found)} kept runs are called {name!r}{f': {names}' if names else ''}",
        looked_in="the local history",
        next_step="'mainstay history list' shows them; 'mainstay history sync' fetches those of others",
    )


def render_list(history: History) -> str:
    """A line for each run in the history, marking those that do not count."""
    lines = [_line(entry) for entry in history.entries]
    if not history.entries:
        lines = ["nothing is kept here; 'mainstay history sync' fetches what others have kept"]
    if history.num_withdrawn:
        lines.append(f"{len(history.runs)} runs count, {history.num_withdrawn} withdrawn")
    lines += [f"not read: {clean(path)}: {clean(why)}" for path, why in history.unread]
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    run = entry.run
    state = "withdrawn" if entry.withdrawal else str(run.verdict)
    return f"{entry.file}  {run.kind:<7}  {state:<12}  {run.candidate.commit[:10]}  {clean(run.candidate.subject)}"


def render_entry(entry: Entry) -> str:
    """Render the history entry of a run."""
    run = entry.run
    lines = [
        f"{run.verdict.upper()}  {entry.file}",
        f"  kind: {run.kind}",
        f"  baseline: {run.baseline.commit[:10]}  {clean(run.baseline.subject)}",
        f"  candidate: {run.candidate.commit[:10]}  {clean(run.candidate.subject)}",
        f"  started: {run.created}, mainstay {clean(run.mainstay_version)}",
        f"  machine: {clean(run.machine)}",
        f"  document: SHA-256 {clean(run.run_digest)}",
        *(f"  {metric.verdict:<12}  {clean(metric.metric.id)}  {_first_look(metric)}" for metric in run.metrics),
    ]
    if entry.withdrawal:
        lines.append(
            f"  withdrawn {entry.withdrawal.when} by {clean(entry.withdrawal.who)}: {clean(entry.withdrawal.reason)}"
        )
    return "\n".join(lines)


def _first_look(kept: KeptMetric) -> str:
    """The estimate from the first look, which early stopping does not bias."""
    if kept.is_proved_equal:
        return "proved equal"
    if kept.metric.is_of_items:
        return "judged on items, which are not stored"
    if kept.first_look is None:
        return f"{len(kept.degradations)} pairs"
    return f"{clean(change_text(kept.metric, kept.first_look))} in the first 5 of {len(kept.degradations)} pairs"


def _gates_between(
    repository: Repository, branches: HistoryBranches, baseline: str, candidate: str
) -> list[KeptRun] | None:
    """Stored gates of the commits between two; ``None`` if the one is not before the other."""
    is_before = repository.call("merge-base", "--is-ancestor", baseline, candidate, check=False).status == 0
    if baseline == candidate or not is_before:
        return None
    listed = repository.call("rev-list", "--first-parent", candidate, f"^{baseline}").text.split()
    between = {*listed} - {candidate}
    if not between:
        return []
    branches.sync()
    runs = read_history(branches.read()).runs
    return [run for run in runs if run.kind is RunKind.MAIN and run.candidate.commit in between]


def _dates(repository: Repository, commits: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Times of the commits on the default branch."""
    reference = _default_branch(repository, environ)
    return {
        commit: repository.call("show", "--no-patch", "--no-show-signature", "--format=%cI", commit).text
        for commit in commits
        if repository.call("merge-base", "--is-ancestor", commit, reference, check=False).status == 0
    }


def _commits(repository: Repository, environ: Mapping[str, str]) -> list[str]:
    """The local commits of the default branch, oldest first."""
    reference = _default_branch(repository, environ)
    return repository.call("rev-list", "--topo-order", "--reverse", reference).text.splitlines()


def _default_branch(repository: Repository, environ: Mapping[str, str]) -> str:
    """The default branch, or HEAD if it is unknown."""
    configuration = configuration_of(repository, repository.resolve("HEAD"))
    return repository.default_branch(configuration.default_branch, environ) or "HEAD"
