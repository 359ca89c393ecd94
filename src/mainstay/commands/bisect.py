"""Search for the guilty commit: gate chosen commits against the good one until one has 95 % probability.

:mod:`~mainstay.stats.culprit` chooses the next commit to measure and computes the probabilities. Every probe is stored
with all its metrics, so an interrupted search can continue, and a search for another metric measures only what is
missing.

- :func:`bisect`: the search.
- :func:`gates`: measurement by real gates.
- :func:`render`: the result as text.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Protocol

from filelock import FileLock, Timeout

from mainstay.commands.gate import GateOptions, gate
from mainstay.measuring.loop import Observer
from mainstay.records.errors import (
    EnvironmentBuildError,
    GitError,
    HarnessError,
    MainstayError,
    OutageError,
    TreeError,
    UsageError,
)
from mainstay.records.executions import part_of
from mainstay.records.findings import Blame, Verdict
from mainstay.records.formatting import change_text, seconds_text
from mainstay.records.history import KeptCommit, KeptMetric
from mainstay.records.metrics import Metric
from mainstay.records.runs import Run
from mainstay.records.trials import Side
from mainstay.reports.cleaning import clean
from mainstay.revisions.git import Repository
from mainstay.revisions.layers import cache_limit
from mainstay.stats.culprit import CONFIDENCE, NUM_FIRST_PAIRS, Search, start_search
from mainstay.stats.paired import one_sided_p_values, summarise_pairs
from mainstay.store.files import FOLDER, make_ignored
from mainstay.store.history import kept_metric
from mainstay.store.journal import BISECTIONS, JOURNAL_VERSION, Journal, making

RESUME = "start the same 'mainstay bisect' again: completed probes are kept"
"""The next step after a search that was interrupted."""

_FEWEST_FIRST_PAIRS = 2  # for a standard deviation
_OTHER_COMMIT = "name a later or an earlier commit that has the degradation and runs"
_NUM_SHOWN = 5
_BAR = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectOptions:
    """Options of the command.

    Attributes:
        good: A commit without the degradation.
        bad: A later one with it.
        metric: Id or name of the metric; if ``None``, the one whose degradation is most certain.
        confirm: Whether to gate the guilty commit against its parent at the end.
    """

    good: str
    bad: str
    metric: str | None = None
    confirm: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A metric that a probe could not measure.

    Attributes:
        metric: The metric.
        reason: Why.
        is_of_commit: Whether the commit is to blame, rather than the one it was compared with, or the machine.
    """

    metric: Metric
    reason: str
    is_of_commit: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One commit measured against another.

    Attributes:
        commit: The commit that was measured.
        baseline: The commit that it was compared with.
        only: The part of the workloads that was measured; all if ``None``.
        metrics: Results of the metrics.
        failed: Metrics that could not be measured.
        broken: Why nothing could be measured, or the commit was refused; empty if its workloads ran.
        next_step: What the user can do about that.
        run: Name of the run; empty if there is none.
        seconds: Duration of the probe.
        pairs: Largest number of pairs of a metric.
    """

    commit: str
    baseline: str
    only: str | None = None
    metrics: tuple[KeptMetric, ...] = ()
    failed: tuple[Failed, ...] = ()
    broken: str = ""
    next_step: str = ""
    run: str = ""
    seconds: float = 0.0
    pairs: int = 0

    def failure(self, name: str | None) -> Failed | None:
        """The failure of a metric, or of any if none is named; ``None`` if one that is meant was measured.

        Args:
            name: Id or name of the metric.
        """
        if any(_is_called(kept.metric, name) for kept in self.metrics):
            return None
        failed = [each for each in self.failed if _is_called(each.metric, name)]
        return min(failed, key=lambda each: each.is_of_commit, default=None)


class Measure(Protocol):
    """Measures one commit against another.

    Raises:
        MainstayError: If the gate ends without a verdict.
    """

    def __call__(self, baseline: str, candidate: str, *, pairs: int, only: str | None) -> Probe:
        """Measure a fixed number of pairs, of all workloads or of a part of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectOutcome:
    """Result of a search.

    Attributes:
        metric: The metric that degraded.
        degradation: Size of the degradation over all commits.
        commits: The guilty commit, or several that cannot be told apart; for a range, all commits in it.
        probability: Probability that these commits contain the whole degradation.
        is_named: Whether that probability is high enough to blame them.
        broken: Commits that could not be measured, with the reason.
        probes: All probes of this search and of earlier ones that it continued.
        confirmation: Probe of the guilty commit against its parent; ``None`` if it was not measured.
        num_commits: Number of commits that were searched.
    """

    metric: Metric
    degradation: float
    commits: tuple[KeptCommit, ...]
    probability: float
    is_named: bool
    broken: tuple[tuple[KeptCommit, str], ...]
    probes: tuple[Probe, ...]
    confirmation: KeptMetric | None
    num_commits: int

    @property
    def exit_status(self) -> int:
        """0 if a commit, or a group that cannot be told apart, is named; otherwise 3."""
        return 0 if self.is_named else 3


def gates(folder: Path, environ: Mapping[str, str], observer: Observer) -> Measure:
    """Measure by gates with independent seeds, since probes that share trials of the good commit would err together.

    Args:
        folder: A folder in the user's repository.
        environ: The user's environment.
        observer: Receives progress reports of each gate.

    Raises:
        UsageError: If the environment has a limit that would end every gate.
    """
    cache_limit(environ)

    def measure(baseline: str, candidate: str, *, pairs: int, only: str | None) -> Probe:
        start = time.monotonic()
        options = GateOptions(
            baseline=baseline, candidate=candidate, fresh=True, fail_fast=False, pairs=pairs, only=only
        )
        run = gate(folder, options, environ=environ, observer=observer).run
        return probe_of(run, baseline, candidate, only=only, seconds=time.monotonic() - start)

    return measure


def probe_of(run: Run, baseline: str, candidate: str, *, only: str | None, seconds: float) -> Probe:
    """Make a probe from a run.

    Args:
        run: The run.
        baseline: Its baseline.
        candidate: Its candidate.
        only: The part of the workloads that was gated; all if ``None``.
        seconds: How long it took.
    """
    return Probe(
        commit=candidate,
        baseline=baseline,
        only=only,
        metrics=tuple(
            kept_metric(finding) for finding in run.findings if finding.verdict not in {Verdict.ERROR, Verdict.NEW}
        ),
        failed=tuple(
            Failed(metric=finding.metric, reason=clean(finding.reason), is_of_commit=finding.blame is Blame.CANDIDATE)
            for finding in run.findings
            if finding.verdict is Verdict.ERROR
        ),
        run=run.id,
        seconds=seconds,
        pairs=max((finding.num_pairs for finding in run.findings), default=0),
    )


def _is_of_commit(error: MainstayError) -> bool:
    """Whether what ended a gate comes with the commit that was measured: its tree, its settings or its dependencies."""
    if isinstance(error, (UsageError, TreeError)):
        return error.side != Side.BASELINE
    return isinstance(error, HarnessError) or (
        isinstance(error, EnvironmentBuildError) and error.side == Side.CANDIDATE
    )


def _is_lasting(error: MainstayError) -> bool:
    """Whether nothing but another commit can mend what ended a gate."""
    return isinstance(error, EnvironmentBuildError) and not isinstance(error, (OutageError, HarnessError))


def _without_result(commit: str, error: MainstayError) -> MainstayError:
    """An error that ended a gate and says nothing about the commit, so that it ends the search and is not stored."""
    return MainstayError(
        f"the gate of {commit[:10]} says nothing about it: {error.fact}",
        looked_in=error.looked_in,
        next_step=f"{error.next_step or 'mend it'}; then {RESUME}",
    )


def bisect(
    folder: Path, options: BisectOptions, *, measure: Measure, report: Callable[[str], None] = lambda _: None
) -> BisectOutcome:
    """Find the commit that degraded a metric.

    Args:
        folder: A folder in the user's repository.
        options: Options of the command.
        measure: Function that measures a commit.
        report: Function that receives the posterior after each probe.

    Raises:
        UsageError: If the bad commit does not follow the good one, or nothing degraded or was measured between them.
        MainstayError: If something other than a commit in between is broken.
    """
    repository = Repository.discover(folder)
    repository.refuse_tracked_runs()
    good, bad = repository.commit_of(options.good), repository.commit_of(options.bad)
    commits = commits_between(repository, good, bad)
    with _Probes.opened(repository, good, bad, measure) as probes:
        first = probes.measure(
            bad, pairs=NUM_FIRST_PAIRS, only=None, name=options.metric, fewest_pairs=_FEWEST_FIRST_PAIRS
        )
        failure = first.failure(options.metric)
        if why := first.broken or (failure.reason if failure else ""):
            raise UsageError(
                f"the bad commit {bad[:10]} cannot be measured: {why}",
                looked_in=str(repository.root),
                next_step="; or ".join(filter(None, [first.next_step, _OTHER_COMMIT])),
            )
        chosen = choose_metric(first.metrics, options.metric)
        pairs = pairs_of(chosen)
        if len(pairs) < _FEWEST_FIRST_PAIRS:
            raise UsageError(
                f"too few pairs of {clean(chosen.metric.id)} between {good[:10]} and {bad[:10]} to search by: {len(pairs)}, "
                f"and the gate said {chosen.verdict}",
                looked_in="the gate of the bad commit against the good one",
                next_step="name another --metric or other commits",
            )
        search = start_search(len(commits), pairs)
        if search is None:
            raise UsageError(
                f"{clean(chosen.metric.id)} did not degrade between {good[:10]} and {bad[:10]}: nothing to look for",
                looked_in=f"{len(chosen.degradations)} pairs of the two",
                next_step="name commits further apart, or another --metric",
            )
        search = _searched(search, commits, chosen.metric, probes, report)
        return _outcome(search, commits, chosen.metric, probes, confirm=options.confirm)


def _searched(
    search: Search, commits: Sequence[KeptCommit], metric: Metric, probes: _Probes, report: Callable[[str], None]
) -> Search:
    """Measure commits until one is named or the probes are used up."""
    only = part_of(metric.kind)
    report(beliefs(search, commits))
    while (number := search.next_probe()) is not None:
        probe = probes.measure(commits[number - 1].commit, pairs=search.num_pairs, only=only, name=metric.id)
        kept = next((each for each in probe.metrics if each.metric.id == metric.id), None)
        pairs = pairs_of(kept) if kept else ()
        search = search.observed(number, pairs) if pairs else search.without(number)
        report(beliefs(search, commits))
    return search


def _outcome(
    search: Search, commits: Sequence[KeptCommit], metric: Metric, probes: _Probes, *, confirm: bool
) -> BisectOutcome:
    group, probability = search.culprit()
    is_named = probability >= CONFIDENCE
    first, last = (group[0], group[-1])
    if not is_named:
        first, last, probability = search.interval()
    confirmation = None
    if is_named and confirm:
        parent = probes.good if first == 1 else commits[first - 2].commit
        if parent != probes.good:
            probe = probes.measure(
                commits[last - 1].commit,
                pairs=NUM_FIRST_PAIRS,
                only=part_of(metric.kind),
                name=metric.id,
                baseline=parent,
            )
            confirmation = next((each for each in probe.metrics if each.metric.id == metric.id), None)
    return BisectOutcome(
        metric=metric,
        degradation=search.degradation,
        commits=tuple(commits[first - 1 : last]),
        probability=probability,
        is_named=is_named,
        broken=tuple(
            (commits[number - 1], probes.why_untestable(commits[number - 1].commit, metric))
            for number in sorted(search.untestable)
        ),
        probes=tuple(probes.used),
        confirmation=confirmation,
        num_commits=len(commits),
    )


def pairs_of(kept: KeptMetric) -> Sequence[float]:
    """The degradations of a metric, repeated to the number that the search needs if they were proved or never vary.

    They are empty if nothing was measured, as when the commit lacks the metric or the time allowed no pair.
    """
    if kept.is_proved_equal:
        return [0.0] * NUM_FIRST_PAIRS
    if kept.metric.scale.is_exact and kept.degradations:
        return [kept.degradations[0]] * NUM_FIRST_PAIRS
    return kept.degradations


def choose_metric(metrics: Sequence[KeptMetric], name: str | None) -> KeptMetric:
    """The metric to search by: the named one, or the one whose degradation is most certain.

    Raises:
        UsageError: If nothing was measured, no metric has that name, or several have it.
    """
    looked_in = "the gate of the bad commit against the good one"
    if not metrics:
        raise UsageError(
            "the good commit gates nothing that ran here, so there is nothing to compare the bad one with",
            looked_in=looked_in,
            next_step="name a later good commit that has the workloads, and search where they run",
        )
    wanted = [kept for kept in metrics if name is None or name in {kept.metric.id, kept.metric.name}]
    if name is not None and len(wanted) != 1:
        known = ", ".join(clean(kept.metric.id) for kept in wanted or metrics)
        raise UsageError(
            f"{len(wanted)} metrics are called {name!r}",
            looked_in=looked_in,
            next_step=f"name one of these: {known}{'' if wanted else '; or a later good commit that has the metric'}",
        )
    return min(wanted, key=_p_value)


def _p_value(kept: KeptMetric) -> tuple[float, float]:
    """P-value of the pairs if nothing degraded, infinite with too few; then the negative degradation in margins."""
    values = pairs_of(kept)
    if len(values) < _FEWEST_FIRST_PAIRS:
        return math.inf, 0.0
    summary = summarise_pairs(values)
    in_margins = float(summary.mean) / (kept.metric.scaled_margin or 1.0)
    if float(summary.deviation) == 0:
        return (0.0 if float(summary.mean) > 0 else 1.0), -in_margins
    return float(one_sided_p_values(summary, 0.0).above), -in_margins


def commits_between(repository: Repository, good: str, bad: str) -> list[KeptCommit]:
    """The commits after the good one up to the bad one, along first parents, without those that changed no file.

    Raises:
        UsageError: If the bad commit does not follow the good one, or a shallow clone does not show whether it does.
    """
    is_after = repository.call("merge-base", "--is-ancestor", good, bad, check=False).status == 0
    if good == bad or not is_after:
        is_shallow = repository.call("rev-parse", "--is-shallow-repository").text == "true"
        raise UsageError(
            f"{bad[:10]} does not come after {good[:10]}",
            looked_in=f"{repository.root}{', a shallow clone' if is_shallow else ''}",
            next_step="git fetch --unshallow" if is_shallow else "name an ancestor of the bad commit as the good one",
        )
    listed = repository.call(
        "log", "--first-parent", "--reverse", "--no-show-signature", "-z", "--format=%H%n%T%n%aI%n%s", f"{good}..{bad}"
    )
    commits, tree = [], repository.call("rev-parse", f"{good}^{{tree}}").text
    for entry in listed.items:
        commit, new_tree, date, *subject = entry.split("\n", 3)
        if new_tree != tree or commit == bad:
            commits.append(KeptCommit(commit=commit, date=date[:10], subject="".join(subject)))
        tree = new_tree
    return commits


@dataclass(kw_only=True)
class _Probes:
    """Measurements of a search between two commits, stored on disk.

    Attributes:
        good: Baseline of the probes.
        journal: Journal in which they are stored.
        run: Function that measures a missing probe.
        known: Probes of earlier searches that this search has not used yet.
        used: Probes that this search has used.
    """

    good: str
    journal: Journal
    run: Measure
    known: list[Probe]
    used: list[Probe] = field(default_factory=list)

    @classmethod
    @contextmanager
    def opened(cls, repository: Repository, good: str, bad: str, run: Measure) -> Iterator[_Probes]:
        """Open the measurements of earlier searches between two commits, for one process at a time."""
        folder = repository.root / FOLDER / BISECTIONS / f"{good[:16]}-{bad[:16]}"
        with making("the folder of the search", looked_in=f"{FOLDER}/{BISECTIONS}"):
            make_ignored(repository.root / FOLDER)
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / "lock", timeout=0):
                journal = Journal(folder / "journal.jsonl", BISECTIONS)
                journal.mend()
                lines = journal.read()
                if not lines:
                    journal.append("start", version=JOURNAL_VERSION, good=good, bad=bad)
                known = [journal.content(line, "probe", Probe) for line in lines if line["type"] == "probe"]
                yield cls(good=good, journal=journal, run=run, known=known)
        except Timeout as error:
            raise UsageError(
                "another process searches between these commits",
                looked_in=f"{FOLDER}/{BISECTIONS}/{folder.name}",
                next_step="wait for it, or end it and continue here",
            ) from error

    def measure(
        self,
        commit: str,
        *,
        pairs: int,
        only: str | None,
        name: str | None,
        fewest_pairs: int = 1,
        baseline: str | None = None,
    ) -> Probe:
        """Take the next suitable stored measurement of a commit, or measure it.

        Args:
            commit: The commit.
            pairs: Number of pairs of a new measurement.
            only: The part of the workloads that is needed; all if ``None``.
            name: Id or name of the metric that is needed; any if ``None``.
            fewest_pairs: Number of pairs that are enough.
            baseline: The commit to compare with; the good one if ``None``.

        Raises:
            MainstayError: If something other than the commit is broken, so that the needed metric cannot be measured.
        """
        baseline = baseline or self.good
        for probe in self.known:
            is_it = (probe.commit, probe.baseline) == (commit, baseline)
            if is_it and _is_answer(probe, only=only, name=name, fewest_pairs=fewest_pairs):
                self.known.remove(probe)
                break
        else:
            probe = self._run(baseline, commit, pairs=pairs, only=only)
        if (failure := probe.failure(name)) and not failure.is_of_commit:
            raise MainstayError(
                f"{clean(failure.metric.id)} cannot be measured, and {commit[:10]} is not to blame: {failure.reason}",
                looked_in=f"{FOLDER}/runs/{probe.run}",
                next_step=f"fix it, then {RESUME}; or name another --metric",
            )
        self.used.append(probe)
        return probe

    def _run(self, baseline: str, commit: str, *, pairs: int, only: str | None) -> Probe:
        """Measure a commit and store the result, unless it failed by what may be mended."""
        start = time.monotonic()
        try:
            probe = self.run(baseline, commit, pairs=pairs, only=only)
        except (UsageError, GitError, EnvironmentBuildError) as error:
            is_refused_parent = baseline != self.good and isinstance(error, (UsageError, TreeError))
            if not (_is_of_commit(error) or is_refused_parent):
                raise _without_result(commit, error) from error
            probe = Probe(
                commit=commit,
                baseline=baseline,
                broken=error.fact,
                next_step=error.next_step or "",
                seconds=time.monotonic() - start,
            )
            if not _is_lasting(error):
                return probe
        self.journal.append("probe", probe=asdict(probe))
        return probe

    def why_untestable(self, commit: str, metric: Metric) -> str:
        """Why a commit told nothing about a metric."""
        probes = [probe for probe in self.used if probe.commit == commit]
        if broken := next((probe.broken for probe in probes if probe.broken), ""):
            return broken
        if failure := next(filter(None, (probe.failure(metric.id) for probe in probes)), None):
            return failure.reason
        kept = (kept for probe in probes for kept in probe.metrics if kept.metric.id == metric.id)
        has_metric = any(each.verdict is not Verdict.MISSING for each in kept)
        return "no pair of the metric was measured" if has_metric else "it does not record the metric"


def _is_called(metric: Metric, name: str | None) -> bool:
    """Whether a metric has an id or a name; every metric is meant if there is none."""
    return name in {None, metric.id, metric.name}


def _is_answer(probe: Probe, *, only: str | None, name: str | None, fewest_pairs: int) -> bool:
    """Whether a stored probe tells what a new one would, which may have more time, or another state of the machine."""
    if probe.broken:
        return True
    failure = probe.failure(name)
    if probe.only not in {None, only} or (failure and not failure.is_of_commit):
        return False
    wanted = [kept for kept in probe.metrics if _is_called(kept.metric, name)]
    has_pairs = any(len(pairs_of(kept)) >= fewest_pairs for kept in wanted)
    return has_pairs or all(kept.verdict is Verdict.MISSING or kept.metric.scoring is not None for kept in wanted)


def beliefs(search: Search, commits: Sequence[KeptCommit]) -> str:
    """The posterior in a few lines, with a bar for each of the most likely commits."""
    alone = search.probabilities()
    best = sorted(range(len(commits)), key=lambda i: -alone[i])[:_NUM_SHOWN]
    spread = max(0.0, 1 - float(alone.sum()))
    rows = [
        f"  {alone[i]:6.1%} {'#' * round(_BAR * float(alone[i])):<{_BAR}} {commits[i].commit[:10]} {clean(commits[i].subject, at_most=60)}"
        for i in sorted(best)
        if alone[i] >= 0.0005
    ]
    head = f"after {search.num_probes} of at most {search.max_probes} probes:"
    return "\n".join([head, *rows, f"  {spread:6.1%} {'#' * round(_BAR * spread):<{_BAR}} spread over several commits"])


def render(outcome: BisectOutcome) -> str:
    """Render the result of a search, with its cost."""
    whole = change_text(outcome.metric, outcome.degradation)
    lines = [f"{clean(outcome.metric.id)}: {whole} over {outcome.num_commits} commits"]
    percent = f"{math.floor(1000 * outcome.probability) / 10:.1f} %"
    if outcome.is_named and len(outcome.commits) == 1:
        lines += [f"the guilty commit, with {percent} probability:", *map(_commit_line, outcome.commits)]
    elif outcome.is_named:
        lines += [
            f"one of these, with {percent} probability; they cannot be told apart:",
            *map(_commit_line, outcome.commits),
        ]
    else:
        first, last = outcome.commits[0], outcome.commits[-1]
        lines += [
            f"no single commit: the degradation lies in these {len(outcome.commits)}, with {percent} probability",
            *map(_commit_line, (first, last) if len(outcome.commits) > 1 else (first,)),
        ]
    if outcome.confirmation is not None and outcome.confirmation.degradations:
        values = outcome.confirmation.degradations
        shown = change_text(outcome.metric, fmean(values))
        lines.append(f"against its parent: {shown} in {len(values)} pairs")
    lines += [
        f"not measured: {commit.commit[:10]} {clean(commit.subject)} ({clean(why)})" for commit, why in outcome.broken
    ]
    seconds, pairs = sum(probe.seconds for probe in outcome.probes), sum(probe.pairs for probe in outcome.probes)
    lines.append(f"cost: {len(outcome.probes)} gates, {pairs} pairs, {seconds_text(seconds)}")
    return "\n".join(lines)


def _commit_line(commit: KeptCommit) -> str:
    return f"  {commit.commit[:10]}  {commit.date}  {clean(commit.subject)}"
