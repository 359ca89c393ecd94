"""Measuring loop of a gate: counts and exact comparisons first, then pairs up to each planned look until all is decided.

The loop decides which pair is measured next and passes the results to the pure judgement of :mod:`mainstay.gates`. All
its state is in the trials, so a resumed gate reaches the same verdict as an uninterrupted one. Before each look, training
runs come first, several at once; time and memory are measured afterwards and never overlap with anything.

- :class:`Measurement`: all workloads of a gate.
- :class:`Observer`, :class:`Progress`: progress reports.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple, Protocol

from mainstay.gates.exact import DigestComparison
from mainstay.gates.jointly import judge_jointly
from mainstay.gates.policy import Design
from mainstay.measuring.evaluated import EvaluationLog
from mainstay.measuring.grouped import GroupLog
from mainstay.measuring.ledger import NUM_EXACT_SEEDS, MarginSource, WorkloadLog
from mainstay.measuring.scheduling import (
    START_SECONDS,
    draw_block_orders,
    draw_order,
    draw_workload_order,
    lengthened_pair_seconds,
    measure_all,
)
from mainstay.measuring.sharding import Shard
from mainstay.records.findings import Finding, MeasuredWith, Verdict
from mainstay.records.plans import PlannedGroup, stretch_for
from mainstay.records.runs import WorkloadResult
from mainstay.records.trials import Side, Trial
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedResult, TimedTask
from mainstay.workers.pairs import PairRequest, PairResult

SHARE_OF_SHOWING = 0.02
"""Largest part of the time that is used to judge for the progress report; with many metrics, some pairs are skipped."""


class Observer(Protocol):
    """Observer of a gate's progress."""

    def phase(self, name: str) -> None:
        """A phase of the gate begins."""

    def note(self, text: str) -> None:
        """A message for the user came up."""

    def trial_done(self, trial: Trial) -> None:
        """A trial ended."""

    def pairs_done(self, progress: Progress) -> None:
        """A pair ended."""

    def look_taken(self, look: int, findings: Sequence[Finding]) -> None:
        """All pairs up to a look were judged."""


class SilentObserver:
    """Observer that shows nothing."""

    def phase(self, name: str) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def trial_done(self, trial: Trial) -> None:
        """Show nothing."""

    def pairs_done(self, progress: Progress) -> None:
        """Show nothing."""

    def look_taken(self, look: int, findings: Sequence[Finding]) -> None:
        """Show nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Progress of a gate.

    Attributes:
        num_done: Pairs measured, over all workloads.
        num_planned: Pairs needed for the next look.
        seconds_left: Expected time until the next look; ``None`` before the first pair.
        findings: Findings as of the last look; their estimates include most of the pairs measured since.
    """

    num_done: int
    num_planned: int
    seconds_left: float | None
    findings: tuple[Finding, ...]


class Site(NamedTuple):
    """Where pairs are measured: on this machine, or on others.

    Attributes:
        executor: Executor of the measurements.
        num_at_once: Number of processes that may run there at once.
        num_processes: Gives the number of processes that a pair needs there.
    """

    executor: Executor
    num_at_once: int
    num_processes: Callable[[PairRequest], int]


class MeasuredShare(NamedTuple):
    """What is measured of the share of a shard.

    Attributes:
        num_pairs: Number of pairs up to which its trainings are complete.
        is_complete: Whether all that was asked for is, with every look of its evaluations.
    """

    num_pairs: int
    is_complete: bool


@dataclass(kw_only=True, eq=False)
class Measurement:
    """All workloads of a gate while they are measured.

    Attributes:
        logs: One for each workload, with the trials known from an earlier attempt.
        settled: Findings reached without measuring, such as ``missing``.
        groups: Groups of the plan.
        design: Levels, looks and number of gated metrics.
        salt: Text from which seeds and orders are derived, together with the commit.
        commit: The baseline's commit.
        margin_of: Gives a metric's margin once the data set is known.
        tier_margin_of: Gives the margin that the items of a task must support to block, which a change cannot tighten; that
            of the metric if ``None``.
        measure: Function that measures one pair of whole runs, given its known trials.
        measure_timed: Function that measures one pair of processes in all timed workloads.
        executor: Executor of the measurements: threads, or processes if both functions can be pickled.
        num_at_once: Number of training runs at once; a pair counts as two.
        elsewhere: Other machines for the pairs whose execution allows it; ``None`` to measure all of them here.
        repeats: Workloads whose baseline should be shown to be deterministic for later gates, even if no verdict of
            this gate depends on it. This costs one training run for each workload, after everything else, and is done
            only if a later gate could then reuse at least two trials.
        trial_seconds: Time limit of one trial.
        pair_seconds: Total time of the blocks of each timed workload in a pair up to the first look.
        longest_pair_seconds: Time to which later pairs are lengthened, as far as all looks fit into the budget; 0 if they
            are not lengthened.
        fail_fast: Whether the first ``fail`` that blocks, and that no waiver covers, ends the gate.
        waive: Applies the waivers to findings.
        deadline: Time after which no pair is started; a pair that is running then is ended and dropped.
        observer: Receives progress reports.
        keep_trial: Called with each trial when its pair has ended, before the trial counts; ``None`` if ``measure``
            itself passes on each trial as soon as it has ended.
        end: What ends a measurement before its last look at pairs, for notes.
        clock: Function that gives the time.
        notes: What a reader of the report should know, one sentence each.
    """

    logs: Sequence[WorkloadLog]
    settled: Sequence[Finding]
    groups: Sequence[PlannedGroup] = ()
    design: Design
    salt: str
    commit: str
    margin_of: MarginSource
    tier_margin_of: MarginSource | None = None
    measure: Callable[[PairRequest, Sequence[Trial]], PairResult]
    measure_timed: Callable[[TimedRequest], TimedResult]
    executor: Executor
    num_at_once: int
    elsewhere: Site | None = None
    repeats: frozenset[str] = frozenset()
    trial_seconds: float
    pair_seconds: float
    longest_pair_seconds: float = 0.0
    fail_fast: bool
    waive: Callable[[Sequence[Finding]], Sequence[Finding]] = tuple
    deadline: float
    observer: Observer
    keep_trial: Callable[[Trial], None] | None = None
    end: str = "the time was used up"
    clock: Callable[[], float] = time.monotonic
    notes: list[str] = field(default_factory=list, init=False)
    _num_cut: int = field(default=0, init=False)
    _shown: tuple[Finding, ...] = field(default=(), init=False)
    _show_next_at: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self._logs = {log.workload.id: log for log in self.logs}
        self._groups = [GroupLog.of(group, self.logs) for group in self.groups]
        self._here = Site(self.executor, self.num_at_once, self._num_processes)
        for log in self.logs:
            log.adopt_margins(self.margin_of)
            log.settle(self.design.looks)

    def run(self) -> tuple[Finding, ...]:
        """Measure until every metric is decided, all looks have been taken, or the time budget runs out.

        Returns:
            One finding for each gated metric, in the order of the workloads, and one for the mean of each group.
        """
        self._count()
        self._try_exact()
        self._evaluate()
        findings = self._judge()
        for look in self.design.looks:
            undecided = [log for log in self._open_logs(findings) if not log.workload.execution.has_items]
            if not undecided or self._is_stopped(findings):
                break
            self.observer.phase(f"pairs up to look {look}")
            self._measure_up_to(look, undecided, self._pair_seconds_up_to(look, undecided))
            for log in undecided:
                log.settle_exact()
            findings = self._judge()
            if any(log.num_pairs < look and not log.is_settled for log in undecided):
                stands = "no look was completed" if look == self.design.looks[0] else "the last completed look stands"
                self.notes.append(f"{self.end} before the look at {look} pairs; {stands}")
                break
            self.observer.look_taken(look, findings)
        if self._num_cut:
            pairs = "1 pair was" if self._num_cut == 1 else f"{self._num_cut} pairs were"
            self.notes.append(f"{pairs} under way when the time was used up: ended and dropped")
        self._repeat_baselines()
        return tuple(self._reviewed(finding) for finding in findings)

    def measure_pairs(self, num_pairs: int) -> None:
        """Measure a fixed number of pairs of every workload, even if fewer would decide it, as a calibration does."""
        self.observer.phase(f"{num_pairs} pairs")
        logs = [log for log in self._logs.values() if not isinstance(log, EvaluationLog)]
        self._measure_up_to(num_pairs, logs, self.pair_seconds)

    def measure_share(self, num_pairs: int, shard: Shard) -> MeasuredShare:
        """Measure the pairs of one shard, which cannot know what the others find: all up to a number, without looks.

        Of evaluations, a shard scores the items of its looks, up to the last one. Every shard also measures the first pair
        of a workload whose candidate may need its own file, which that pair
        decides.

        Args:
            num_pairs: Number of pairs of each training, over all shards.
            shard: The shard.

        Returns:
            What is complete: less than was asked for if the time was used up.
        """
        self.observer.phase(f"shard {shard} of {num_pairs} pairs")
        logs = list(self._logs.values())
        first = [log for number, log in enumerate(logs) if shard.owns(number, 0) or log.can_fall_back]
        self._measure((log, 0) for log in first)
        repeated = [log for log in first if log.has_pair(0) and not log.is_settled and _may_need_repetition(log)]
        self._measure(((log, 0) for log in repeated), repetition=1)
        counts = [len(log.shares) if isinstance(log, EvaluationLog) else num_pairs for log in logs]
        own = [
            (log, pair)
            for pair in range(max(counts, default=0))
            for number, log in enumerate(logs)
            if pair < counts[number] and shard.owns(number, pair)
        ]
        self._measure((log, pair) for log, pair in own)
        lacking = [(log, pair) for log, pair in own if not log.is_settled and not log.has_pair(pair)]
        unrepeated = [log for log in repeated if not log.is_settled and (0, Side.BASELINE, 1) not in log.trials]
        return MeasuredShare(
            num_pairs=min((pair for log, pair in lacking if not isinstance(log, EvaluationLog)), default=num_pairs),
            is_complete=not lacking and not unrepeated,
        )

    def score_items(self) -> tuple[Finding, ...]:
        """Score all items of every evaluation, even if fewer would decide, as a calibration does; gives the findings."""
        logs = [log for log in self._logs.values() if isinstance(log, EvaluationLog)]
        if logs:
            self.observer.phase("scoring all items")
        for look in range(max((len(log.shares) for log in logs), default=0)):
            self._measure((log, look) for log in logs if look < len(log.shares))
        weighed = [
            each
            for log in logs
            if not log.skip_reason
            for each in log.weighed(self.design, tier_margin_of=self.tier_margin_of, at_once=True)
        ]
        return judge_jointly([], weighed, self.design)

    def results(self) -> tuple[WorkloadResult, ...]:
        """Results of the workloads, without their findings."""
        return tuple(log.result() for log in self._logs.values())

    def _count(self) -> None:
        """Run deterministic counts: once per side, and the baseline again if the sides differ."""
        logs = [log for log in self._logs.values() if log.workload.execution.is_once and not log.is_settled]
        if not logs:
            return
        self.observer.phase("counts")
        self._measure((log, 0) for log in logs)
        self._measure(((log, 0) for log in logs if log.counts_differ), repetition=1)

    def _try_exact(self) -> None:
        """Run up to :data:`NUM_EXACT_SEEDS` pairs whose equal digests would prove that the results did not change."""
        logs = [log for log in self._logs.values() if log.workload.execution.has_digests and not log.is_settled]
        if not logs:
            return
        self.observer.phase("exact first")
        for pair in range(NUM_EXACT_SEEDS):
            self._measure((log, pair) for log in logs)
            logs = [log for log in logs if log.has_pair(pair) and not log.is_settled and log.digests_agree(pair)]
        self._measure(((log, 0) for log in logs), repetition=1)
        for log in self._logs.values():
            if why_not := log.settle_exact():
                self.notes.append(f"{log.workload.id}: {why_not}")

    def _evaluate(self) -> None:
        """Score the items of evaluations, look by look, until all are decided; the baseline repeats some of them."""
        findings = self._judge()
        for look in count():
            logs = [
                log for log in self._open_logs(findings) if isinstance(log, EvaluationLog) and look < len(log.shares)
            ]
            if not logs or self._is_stopped(findings):
                break
            self.observer.phase(f"scoring items, look {look + 1}")
            self._measure((log, look) for log in logs)
            if not look:
                self._measure(((log, 0) for log in logs if log.has_pair(0) and not log.is_settled), repetition=1)
            findings = self._judge()
            if any(not log.has_pair(look) and not log.is_settled for log in logs):
                self.notes.append("the time was used up before all items were scored; the last completed look stands")
                break

    def _repeat_baselines(self) -> None:
        """Repeat baseline trials to show that later gates may reuse them; no finding of this gate depends on it."""
        logs = [log for log in self._logs.values() if log.workload.id in self.repeats and log.wants_repetition]
        if logs:
            self.observer.phase("repeating the baseline")
            self._measure(((log, 0) for log in logs), repetition=1)
        for log in logs:
            if log.is_nondeterministic:
                self.notes.append(f"{log.workload.id}: {DigestComparison.NOT_REPEATABLE.value}")

    def _pair_seconds_up_to(self, look: int, logs: Sequence[WorkloadLog]) -> float:
        """Time of each open workload in the timed pairs up to a look: longer after the first look, if all looks fit."""
        timed = [log for log in logs if log.workload.execution.is_interleaved]
        if look == self.design.looks[0] or not timed:
            return self.pair_seconds
        missing = sum(any(not log.has_pair(pair) for log in timed) for pair in range(self.design.max_pairs))
        others = (log for log in logs if not log.workload.execution.is_interleaved)
        return lengthened_pair_seconds(
            self.pair_seconds,
            self.longest_pair_seconds,
            stretches=[stretch_for(log.workload.metrics) for log in timed],
            num_pairs=missing,
            seconds_left=self._seconds_left - sum(map(self._seconds_until_last_look, others)),
        )

    def _seconds_until_last_look(self, log: WorkloadLog) -> float:
        """Seconds that a workload's remaining pairs of whole runs would take one after the other.

        They are estimated from those measured; 0 if there are none.
        """
        pairs = [pair for pair in range(self.design.max_pairs) if log.has_pair(pair)]
        total = sum(trial.duration_s + START_SECONDS / 2 for trial in log.trials.values() if not trial.repetition)
        return (self.design.max_pairs - len(pairs)) * total / len(pairs) if pairs else 0.0

    def _measure_up_to(self, look: int, logs: Sequence[WorkloadLog], pair_seconds: float) -> None:
        """Measure the pairs needed for a look: first runs that may overlap, then those that need the machine to themselves."""
        whole = [log for log in logs if not (log.workload.execution.is_once or log.workload.execution.is_interleaved)]
        overlapping = [log for log in whole if log.workload.execution.may_overlap]
        alone = [log for log in whole if not log.workload.execution.may_overlap]
        self._measure((log, pair) for pair in range(look) for log in overlapping)
        self._measure((log, pair) for pair in range(look) for log in alone)
        timed = [log for log in logs if log.workload.execution.is_interleaved]
        self._measure_timed_up_to(look, timed, pair_seconds)

    def _measure_timed_up_to(self, look: int, logs: Sequence[WorkloadLog], pair_seconds: float) -> None:
        """Measure what is not known yet of the timed pairs up to a look, one after the other."""
        pairs = [pair for pair in range(look) if any(not log.has_pair(pair) for log in logs)]
        groups = [(pair, measured_with) for pair in pairs for measured_with in _sources(logs)]
        start = self.clock()
        results = measure_all(
            groups,
            self.measure_timed,
            self._here.executor,
            arguments=lambda group: (self._timed_request(*group, logs, pair_seconds),),
            num_at_once=1,
            deadline=self.deadline,
            clock=self.clock,
        )
        for num_done, result in enumerate(results, start=1):
            self.notes += [note for note in result.notes if note not in self.notes]
            self._num_cut += result.was_cut
            self._take(result.trials)
            self._tell(num_done, len(groups), start)

    def _timed_request(
        self, pair: int, measured_with: MeasuredWith, logs: Sequence[WorkloadLog], pair_seconds: float
    ) -> TimedRequest:
        """Request for a timed pair: the workloads measured with these files that are neither known nor settled."""
        wanted = {
            log.workload.id: log
            for log in logs
            if log.measured_with is measured_with and not log.has_pair(pair) and not log.is_settled
        }
        order = draw_workload_order(self.salt, self.commit, pair, tuple(wanted))
        return TimedRequest(
            pair=pair,
            tasks=tuple(
                TimedTask(
                    workload=name,
                    seed=wanted[name].seeds[pair],
                    first=draw_block_orders(self.salt, self.commit, name, pair, MAX_ALTERNATIONS),
                    gated=tuple(metric.name for metric in wanted[name].workload.metrics),
                    stretch=stretch_for(wanted[name].workload.metrics),
                )
                for name in order
            ),
            seconds=pair_seconds,
            limit_s=self.trial_seconds,
            seconds_left=self._seconds_left,
            measured_with=measured_with,
        )

    def _measure(self, pairs: Iterable[tuple[WorkloadLog, int]], *, repetition: int = 0) -> None:
        """Measure what is not known yet of some pairs, in whatever order they end."""
        pairs = list(pairs)
        num_reused, num_own = self._num_reused, self._num_own
        requests = [
            request for log, pair in pairs if (request := self._request(log, pair, repetition)) and not log.is_settled
        ]
        start = self.clock()
        for num_done, result in enumerate(self._results(requests), start=1):
            self._num_cut += result.was_cut
            if result.images:
                self._logs[result.request.workload].images[result.request.pair] = result.images
            self._take(result.trials)
            self._tell(num_done, len(requests), start)
        if self._num_reused < num_reused or self._num_own > num_own:
            self._measure(pairs, repetition=repetition)

    def _results(self, requests: Sequence[PairRequest]) -> Iterator[PairResult]:
        """Measure requests where they may be measured: first those for other machines, if there are any."""
        portable = {log.workload.id for log in self._logs.values() if log.workload.execution.is_portable}
        far = [request for request in requests if request.workload in portable]
        near = [request for request in requests if request.workload not in portable]
        for site, wanted in ((self.elsewhere or self._here, far), (self._here, near)):
            yield from measure_all(
                wanted,
                self.measure,
                site.executor,
                arguments=self._as_it_stands,
                num_at_once=site.num_at_once,
                num_processes=site.num_processes,
                deadline=self.deadline,
                clock=self.clock,
            )

    def _num_processes(self, request: PairRequest) -> int:
        """Number of running processes that a pair counts as: all, if nothing else may run at the same time."""
        may_overlap = self._logs[request.workload].workload.execution.may_overlap
        return len(request.sides) if may_overlap else self._here.num_at_once

    @property
    def _num_reused(self) -> int:
        """Number of reused trials; it falls when some turn out to be out of date."""
        return sum(bool(trial.reused_from) for log in self._logs.values() for trial in log.trials.values())

    @property
    def _num_own(self) -> int:
        """Number of workloads measured with each revision's own files; it rises when one has to switch to them."""
        return sum(log.measured_with is MeasuredWith.OWN for log in self._logs.values())

    def _take(self, trials: Sequence[Trial]) -> None:
        """Keep trials, give them to their logs, and fix what follows from them."""
        for trial in trials:
            if self.keep_trial:
                self.keep_trial(trial)
            self._logs[trial.workload].add(trial)
        for log in {trial.workload: self._logs[trial.workload] for trial in trials}.values():
            log.adopt_margins(self.margin_of)
            log.settle(self.design.looks)

    def _tell(self, num_done: int, num_planned: int, start: float) -> None:
        """Report progress to the observer."""
        left = (self.clock() - start) / num_done * (num_planned - num_done)
        self.observer.pairs_done(
            Progress(num_done=num_done, num_planned=num_planned, seconds_left=left, findings=self._findings_to_show())
        )

    def _findings_to_show(self) -> tuple[Finding, ...]:
        """Findings for progress, judged anew unless that would take more than :data:`SHARE_OF_SHOWING` of the time."""
        begun = self.clock()
        if begun >= self._show_next_at:
            self._shown = self._judge()
            ended = self.clock()
            self._show_next_at = ended + (ended - begun) / SHARE_OF_SHOWING
        return self._shown

    def _as_it_stands(self, request: PairRequest) -> tuple[PairRequest, Sequence[Trial]] | None:
        """Update a request just before it runs, and add the pair's known trials; ``None`` if the workload is settled."""
        log = self._logs[request.workload]
        if log.is_settled:
            return None
        known = [trial for (pair, _, again), trial in log.trials.items() if pair == request.pair and not again]
        request = replace(request, measured_with=log.measured_with, seconds_left=self._seconds_left)
        return request, known

    @property
    def _seconds_left(self) -> float:
        """Seconds left of the time budget."""
        return self.deadline - self.clock()

    def _request(self, log: WorkloadLog, pair: int, repetition: int) -> PairRequest | None:
        """Request for a pair; ``None`` if all its trials are known."""
        order = draw_order(self.salt, self.commit, log.workload.id, pair)
        wanted = (Side.BASELINE,) if repetition else order
        sides = tuple(side for side in wanted if (pair, side, repetition) not in log.trials)
        if not sides:
            return None
        return PairRequest(
            workload=log.workload.id,
            seed=log.seeds[pair],
            pair=pair,
            sides=sides,
            repetition=repetition,
            gated=log.gated,
            has_items=log.workload.execution.has_items,
            block=log.block(pair, repetition),
            wants_images=log.workload.execution.has_digests and pair == 0 and not repetition,
            may_overlap=log.workload.execution.may_overlap,
            needs_fresh_process=log.workload.execution.needs_fresh_process,
            limit_s=self.trial_seconds,
            measured_with=log.measured_with,
        )

    def _judge(self) -> tuple[Finding, ...]:
        """The current findings; the first verdict on a metric is final."""
        gated = [(log, metric) for log in self._logs.values() if not log.skip_reason for metric in log.workload.metrics]
        means = [sample for group in self._groups for sample in group.samples]
        judged = judge_jointly(
            [*(log.sound_samples(metric) for log, metric in gated if not isinstance(log, EvaluationLog)), *means],
            [
                weighed
                for log in self._logs.values()
                if isinstance(log, EvaluationLog) and not log.skip_reason
                for weighed in log.weighed(self.design, tier_margin_of=self.tier_margin_of)
            ],
            self.design,
        )
        findings = {finding.metric.id: finding for finding in judged}
        confirmed = [log.confirmed(findings[metric.id]) for log, metric in gated]
        return (*confirmed, *(findings[sample.metric.id] for sample in means), *self.settled)

    def _reviewed(self, finding: Finding) -> Finding:
        """A finding with its verdict limited to what the workload files used allow."""
        log = self._logs.get(finding.metric.workload)
        is_measured = log is not None and finding.metric.name in {metric.name for metric in log.workload.metrics}
        return log.reviewed(finding) if log is not None and is_measured else finding

    def _open_logs(self, findings: Sequence[Finding]) -> list[WorkloadLog]:
        """Workloads with a metric that is not decided yet, or in a group whose mean is not."""
        undecided = [finding.metric for finding in findings if finding.verdict is Verdict.INCONCLUSIVE]
        open_workloads, ids = {metric.workload for metric in undecided}, {metric.id for metric in undecided}
        for group in self._groups:
            if group.group.metric.id in ids:
                open_workloads |= {log.workload.id for log in group.open_logs}
        return [log for log in self._logs.values() if log.workload.id in open_workloads and not log.is_settled]

    def _is_stopped(self, findings: Sequence[Finding]) -> bool:
        """Whether a ``fail`` ends the gate, although there is more to measure; a note names what is left undecided."""
        fails = (finding for finding in self.waive(findings) if finding.verdict is Verdict.FAIL and finding.blocks)
        if not self.fail_fast or not any(fails):
            return False
        names = ", ".join(finding.metric.id for finding in findings if finding.verdict is Verdict.INCONCLUSIVE)
        note = f"stopped at the first fail; left undecided: {names}"
        self.notes += [note] if note not in self.notes else []
        return True


def _may_need_repetition(log: WorkloadLog) -> bool:
    """Whether the first pair leaves open that the baseline must be repeated."""
    return isinstance(log, EvaluationLog) or (log.workload.execution.has_digests and log.digests_agree(0))


def _sources(logs: Sequence[WorkloadLog]) -> list[MeasuredWith]:
    """The sources of workload files in use, each revision's own last, since others may have to switch to them."""
    used = {log.measured_with for log in logs}
    if any(log.can_fall_back for log in logs):
        used.add(MeasuredWith.OWN)
    return [measured_with for measured_with in MeasuredWith if measured_with in used]
