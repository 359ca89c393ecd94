"""The trials of one workload, and the findings that follow from them without further trials.

- :class:`WorkloadLog`: collects trials; gives the samples to be judged, findings that no further pair can change, and
  data for reports.
- :func:`restore_trials`: adds trials measured earlier.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mainstay.gates.accuracy import Flattery, compare_recorded_predictions, find_flattery
from mainstay.gates.exact import (
    DigestComparison,
    Digests,
    compare_digests,
    judge_deterministic,
    judge_exact,
)
from mainstay.gates.names import changed_names
from mainstay.gates.samples import (
    MetricSamples,
    fault_finding,
    find_settled_fault,
    first_pairs,
    unless_failed,
    with_known_unit,
)
from mainstay.measuring.agenda import REVIEW, Assignment
from mainstay.records.findings import Blame, Finding, MeasuredWith, Method, Verdict
from mainstay.records.metrics import Kind, Metric, Workload
from mainstay.records.runs import Curve, FlippedExample, FlipSummary, WorkloadResult
from mainstay.records.trials import ALL_ITEMS, ContextValue, Outcome, Side, Trial
from mainstay.stats.paired import moments

MAX_BLOCKS_SHOWN = 60
"""Maximum number of blocks of a trial in a run document; neighbouring blocks are averaged if there are more."""

NUM_EXACT_SEEDS = 2
"""Number of seeds on which digests must be equal before a change counts as exact."""

MarginSource = Callable[[Metric, Mapping[str, ContextValue]], float]
"""Gives the margin of a metric for the recorded context of its workload."""


@dataclass(kw_only=True, slots=True)
class WorkloadLog:
    """The trials of one workload, and the findings that follow from them.

    Attributes:
        workload: The workload that is measured.
        seeds: Seed of each pair, fixed beforehand.
        assignment: How the agenda said it would be measured.
        measured_with: Revision whose workload files its trials use; each revision's own once the candidate has failed
            to complete its first trial with the baseline's.
        why_own: Why the candidate's own files took over; empty if they did not.
        trials: Trials by pair, side and repetition.
        images: PNG as base64, by pair and position in the test set.
        presets: Findings that further pairs cannot change, by metric.
        is_broken: Whether a trial did not complete or two trials cannot be compared; the presets say why.
        num_sound: Number of pairs before the first whose values cannot be judged or believed, by metric; the presets say
            why.
    """

    workload: Workload
    seeds: tuple[int, ...]
    assignment: Assignment
    measured_with: MeasuredWith
    why_own: str = ""
    trials: dict[tuple[int, Side, int], Trial] = field(default_factory=dict)
    images: dict[int, Mapping[int, str]] = field(default_factory=dict)
    presets: dict[str, Finding] = field(default_factory=dict)
    is_broken: bool = False
    num_sound: dict[str, int] = field(default_factory=dict)

    def add(self, trial: Trial) -> None:
        """Add a trial, and drop reused trials if it shows that they are out of date.

        A candidate's trial that ran with other workload files than those now in use is ignored, unless the candidate's
        own files can take over.
        """
        if trial.side is Side.CANDIDATE and trial.files_of is not self.measured_with.files_for(Side.CANDIDATE):
            if not self.can_fall_back or trial.files_of is Side.BASELINE:
                return
            self._fall_back()
        self.trials[trial.pair, trial.side, trial.repetition] = trial
        known = self.trials.get((trial.pair, trial.side.other, 0))
        is_reused = known is not None and known.reused_from and trial.outcome is Outcome.COMPLETED
        if known and is_reused and _difference(known, trial):
            self.trials = {key: trial for key, trial in self.trials.items() if not trial.reused_from}

    @property
    def can_fall_back(self) -> bool:
        """Whether the candidate's own files can take over."""
        return self.measured_with is MeasuredWith.BASELINE and self.assignment.has_own

    @property
    def _needs_own(self) -> bool:
        """Whether, with the baseline's files, the baseline's first trial completed and the candidate's did not."""
        baseline, candidate = (self.trials.get((0, side, 0)) for side in Side)
        if not self.can_fall_back or baseline is None or candidate is None:
            return False
        unfinished = candidate.outcome not in {Outcome.COMPLETED, Outcome.SKIPPED}
        return unfinished and baseline.outcome is Outcome.COMPLETED

    def _fall_back(self) -> None:
        """Let the candidate use its own files from now on, and drop its trials with the baseline's."""
        first = self.trials.get((0, Side.CANDIDATE, 0))
        self.why_own = first.cause if first else ""
        self.measured_with = MeasuredWith.OWN
        self.trials = {key: trial for key, trial in self.trials.items() if trial.side is Side.BASELINE}
        if self.workload.execution.is_interleaved:
            self.drop_halves()

    @property
    def reused(self) -> list[Trial]:
        """The trials of pairs that were not measured in this run."""
        return [trial for trial in self.trials.values() if trial.reused_from and self.has_pair(trial.pair)]

    @property
    def baseline_trials(self) -> list[Trial]:
        """The baseline's trials, including repetitions."""
        return [trial for trial in self.trials.values() if trial.side is Side.BASELINE]

    def drop_halves(self) -> None:
        """Drop the trials of pairs with only one side."""
        self.trials = {key: trial for key, trial in self.trials.items() if self.has_pair(key[0])}

    def adopt_margins(self, margin_of: MarginSource) -> None:
        """Set the margin of every metric: that of the data set once a trial has recorded which one it used."""
        metrics = tuple(replace(metric, margin=margin_of(metric, self.context)) for metric in self.workload.metrics)
        self.workload = replace(self.workload, metrics=metrics)

    def has_pair(self, pair: int) -> bool:
        """Whether both trials of a pair are known."""
        return all((pair, side, 0) in self.trials for side in Side)

    @property
    def num_pairs(self) -> int:
        """Number of consecutive known pairs, counted from the first."""
        return next(pair for pair in range(len(self.trials) + 1) if not self.has_pair(pair))

    def trials_of(self, side: Side) -> list[Trial]:
        """The trials of one side in the consecutive known pairs, in order."""
        return [self.trials[pair, side, 0] for pair in range(self.num_pairs)]

    @property
    def context(self) -> Mapping[str, ContextValue]:
        """Context recorded by the first completed trial."""
        completed = (trial for trial in self.trials.values() if trial.outcome is Outcome.COMPLETED)
        return next((trial.context for trial in completed), {})

    @property
    def gated(self) -> tuple[str, ...]:
        """Names of the values that its trials must record, or of the scores if it scores items."""
        return self.workload.recorded

    def block(self, pair: int, repetition: int) -> tuple[float, float]:
        """Shares of the items between which those of a trial lie: all, unless it is an evaluation.

        Args:
            pair: Number of the pair.
            repetition: 1 if the trial repeats one of the baseline.
        """
        return ALL_ITEMS

    def samples(self, metric: Metric) -> MetricSamples:
        """The values of one metric in every known pair, or the finding already made for it."""
        if preset := self.presets.get(metric.id):
            return MetricSamples(metric=metric, preset=preset)
        if metric.scale.is_exact:
            reason = "not counted: the time budget ran out before its trials"
            return MetricSamples(
                metric=metric, preset=Finding(metric=metric, verdict=Verdict.INCONCLUSIVE, reason=reason)
            )
        return self._first_samples(metric, self.num_pairs)

    def sound_samples(self, metric: Metric) -> MetricSamples:
        """The values of one metric that can be judged: those of the pairs before the first that is broken or faulty."""
        if metric.scale.is_exact or not self._is_spoiled(metric):
            return self.samples(metric)
        num_pairs = min(self.num_pairs, self.num_sound.get(metric.id, self.num_pairs))
        broken = (pair for pair in range(num_pairs) if not self._is_complete(pair) or self._difference(pair))
        return self._first_samples(metric, next(broken, num_pairs))

    def _is_spoiled(self, metric: Metric) -> bool:
        """Whether a pair of a metric is broken or faulty, so that only those before it can be judged."""
        return self.is_broken or metric.id in self.num_sound

    def _first_samples(self, metric: Metric, num_pairs: int) -> MetricSamples:
        baseline, candidate = (
            tuple(trial.values[metric.name] for trial in self.trials_of(side)[:num_pairs]) for side in Side
        )
        return MetricSamples(
            metric=metric, seeds=self.seeds[:num_pairs], baseline_values=baseline, candidate_values=candidate
        )

    def confirmed(self, finding: Finding) -> Finding:
        """The finding after a later pair broke or had a fault: a ``fail`` stays; all else becomes the preset."""
        preset = self.presets.get(finding.metric.id)
        return unless_failed(finding, preset) if preset and self._is_spoiled(finding.metric) else finding

    def reviewed(self, finding: Finding) -> Finding:
        """A finding that names the workload files used, with its verdict limited to what they allow."""
        if finding.method in {Method.UNCHANGED, Method.REWORDED, Method.EXECUTED}:
            return finding
        finding = replace(finding, measured_with=self.measured_with)
        if self.assignment.missing and finding.verdict not in {Verdict.FAIL, Verdict.ERROR, Verdict.MISSING}:
            reason = f"{self.assignment.missing}; as the baseline has it: {finding.reason}"
            return replace(finding, verdict=Verdict.MISSING, reason=reason)
        review = self._review
        if review and finding.verdict in {Verdict.PASS, Verdict.NEW, Verdict.INCONCLUSIVE}:
            reason = f"{review}; as measured: {finding.reason}"
            is_new = finding.verdict is Verdict.NEW
            return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason, review=review, is_new=is_new)
        return finding

    @property
    def _review(self) -> str:
        """Review required before the workload may pass; empty if none is."""
        if self.measured_with is not MeasuredWith.OWN:
            reviews = [self.assignment.skip_review if self._only_skips(Side.BASELINE) else "", self.assignment.review]
            return "; ".join(filter(None, reviews))
        return f"{REVIEW} (the candidate cannot run the baseline's: {self.why_own})" if self.why_own else REVIEW

    def find_trouble(self) -> Finding | None:
        """Find the first reason in the trials why the whole workload cannot be judged.

        Returns:
            A finding of the workload's first metric, to be copied to its other metrics; ``None`` if there is no reason.
        """
        relevant = [trial for trial in self.trials.values() if not trial.repetition or self._is_repetition_judged]
        broken = {
            side: next((t for t in relevant if t.side is side and t.outcome is not Outcome.COMPLETED), None)
            for side in Side
        }
        baseline, candidate = broken[Side.BASELINE], broken[Side.CANDIDATE]
        if candidate is not None:
            return self._explain_candidate(baseline, candidate)
        if baseline is not None:
            return self._explain_baseline(baseline)
        for pair in range(self.num_pairs):
            if reason := self._difference(pair):
                return self._finding(Verdict.ERROR, reason, blame=Blame.ENVIRONMENT)
        return None

    def _difference(self, pair: int) -> str:
        """Why the trials of a pair cannot be compared; empty if they can."""
        return _difference(self.trials[pair, Side.BASELINE, 0], self.trials[pair, Side.CANDIDATE, 0])

    def _only_skips(self, side: Side) -> bool:
        """Whether a side has skipped every trial; a workload that has run there once is known to be able to."""
        return {trial.outcome for trial in self.trials.values() if trial.side is side} == {Outcome.SKIPPED}

    def _explain_baseline(self, baseline: Trial) -> Finding:
        """The finding if only the baseline failed to complete a trial, even when repeated."""
        if self._only_skips(Side.BASELINE):
            return self._finding(Verdict.NEW, f"skipped on the baseline: {baseline.cause}")
        if self.assignment.is_new:
            return self._finding(Verdict.NEW, f"the baseline cannot run it: {baseline.cause}")
        return self._broken(Blame.BASELINE, "the baseline", baseline)

    def _explain_candidate(self, baseline: Trial | None, candidate: Trial) -> Finding:
        """The finding if the candidate failed to complete a trial, even when repeated."""
        is_skipped = candidate.outcome is Outcome.SKIPPED
        if self._review and all(map(self._only_skips, Side)):
            return self._finding(Verdict.NEW, f"both revisions skip it: {candidate.cause}")
        if baseline is None and is_skipped:
            return self._finding(Verdict.MISSING, f"skipped on the candidate only: {candidate.cause}")
        if baseline is None and self.assignment.is_moved:
            reason = f"the candidate has moved the workload and cannot run the baseline's file: {candidate.cause}"
            return self._finding(Verdict.MISSING, reason, detail=candidate.last_lines)
        if baseline is None or (self._only_skips(Side.BASELINE) and not is_skipped):
            known = ", while no trial of the baseline failed" if baseline is None else ""
            return self._broken(Blame.CANDIDATE, "the candidate", candidate, known)
        if is_skipped and baseline.outcome is not Outcome.SKIPPED:
            return self._broken(Blame.BASELINE, "the baseline", baseline)
        return self._broken(Blame.BOTH, "both revisions", candidate)

    def refuse(self, side: Side, cause: str, detail: tuple[str, ...]) -> None:
        """Settle the workload without a trial, because a revision hung while collecting the file.

        Args:
            side: The revision that hung.
            cause: What happened, in one sentence.
            detail: Last lines of its worker's output.
        """
        if side is Side.BASELINE and self.assignment.is_new:
            finding = self._finding(Verdict.NEW, f"the baseline cannot run it: {cause}")
        else:
            reason = f"the {side} did not collect it: {cause}"
            finding = self._finding(Verdict.ERROR, reason, blame=Blame(side.value), detail=detail)
        self.is_broken = True
        for metric in self.workload.metrics:
            self.presets[metric.id] = replace(finding, metric=metric)

    def pass_proved(self, judge: Callable[[Metric], Finding]) -> None:
        """Settle the workload without a trial, because both revisions have the same code.

        Args:
            judge: Makes the finding of a metric from the proof.
        """
        self.trials.clear()
        for metric in self.workload.metrics:
            self.presets[metric.id] = judge(metric)

    def _broken(self, blame: Blame, who: str, trial: Trial, known: str = "") -> Finding:
        reason = f"{who} did not complete a trial at seed {trial.seed}, twice{known}: {trial.cause}"
        return replace(
            self._finding(Verdict.ERROR, reason, blame=blame, detail=trial.last_lines), broken_seed=trial.seed
        )

    def _finding(
        self, verdict: Verdict, reason: str, *, blame: Blame | None = None, detail: tuple[str, ...] = ()
    ) -> Finding:
        return Finding(metric=self.workload.metrics[0], verdict=verdict, reason=reason, blame=blame, detail=detail)

    def settle(self, looks: Sequence[int] = ()) -> None:
        """Fix the findings that no further pair can change: broken trials, counts and faulty values.

        Args:
            looks: Numbers of pairs at which the gate looks; none, if no look is to be taken.
        """
        if self._needs_own:
            self._fall_back()
        if self.skip_reason:
            return
        if trouble := self.find_trouble():
            self.is_broken = True
            for metric in self.workload.metrics:
                known = self.presets.get(metric.id)
                if known is None or known.verdict is Verdict.NEW:  # which a trial that was under way can refute
                    self.presets[metric.id] = replace(trouble, metric=metric)
        elif self.workload.execution.is_once:
            self._settle_counts()
        else:
            self._settle_faults(looks)

    def _settle_faults(self, looks: Sequence[int]) -> None:
        """Fix the findings of metrics whose values cannot be judged or believed."""
        for metric in self.workload.metrics:
            if metric.id not in self.presets and (fault := find_settled_fault(self.samples(metric), looks)):
                self.presets[metric.id] = fault_finding(self.samples(metric), fault)
                self.num_sound[metric.id] = fault.pair
            elif metric.id not in self.presets and (flattery := self._flattery(metric)):
                self.presets[metric.id] = Finding(
                    metric=metric,
                    verdict=Verdict.ERROR,
                    reason=flattery.reason,
                    blame=Blame.CANDIDATE,
                    broken_seed=flattery.seed,
                )
                self.num_sound[metric.id] = flattery.pair

    def _flattery(self, metric: Metric) -> Flattery | None:
        """Why the candidate's values cannot be believed, once two pairs are known; ``None`` if they can."""
        if not self.workload.execution.has_digests or self.num_pairs < NUM_EXACT_SEEDS:
            return None
        known = with_known_unit(self.samples(metric)).metric
        sides = {side.value: self.trials_of(side) for side in Side}
        return find_flattery(known, baseline=sides["baseline"], candidate=sides["candidate"])

    @property
    def skip_reason(self) -> str:
        """Why neither revision runs the workload on this machine; empty if one has done so or if a skip needs a review.

        A workload that needs a review may be gated by a baseline file that could not be collected, so a skip does not
        excuse it. Nor does it if the change altered what both revisions are furnished with.
        """
        needs_review = self.assignment.review or self.assignment.skip_review
        if needs_review or any(trial.outcome is Outcome.COMPLETED for trial in self.trials.values()):
            return ""
        first = [self.trials.get((0, side, 0)) for side in Side]
        reasons = [trial.cause for trial in first if trial is not None and trial.outcome is Outcome.SKIPPED]
        return reasons[0] if len(reasons) == len(Side) else ""

    @property
    def is_settled(self) -> bool:
        """Whether every metric has a finding already, or the workload is skipped."""
        return bool(self.skip_reason) or all(metric.id in self.presets for metric in self.workload.metrics)

    @property
    def counts_differ(self) -> bool:
        """Whether a gated count differs between the revisions, so that the baseline must be shown to be deterministic."""
        if self.is_settled or not self.num_pairs:
            return False
        baseline, candidate = (self.trials[0, side, 0].values for side in Side)
        return any(baseline[metric.name] != candidate[metric.name] for metric in self.workload.metrics)

    def _settle_counts(self) -> None:
        """Judge the counts; if they differ, only once the baseline has been repeated."""
        repetition = self.trials.get((0, Side.BASELINE, 1))
        if self.is_settled or not self.num_pairs or (self.counts_differ and repetition is None):
            return
        baseline, candidate = (self.trials[0, side, 0] for side in Side)
        for metric in self.workload.metrics:
            finding = judge_deterministic(
                metric,
                baseline_value=baseline.values[metric.name],
                candidate_value=candidate.values[metric.name],
                repeated_baseline=(repetition or baseline).values[metric.name],
            )
            detail = changed_names(
                baseline.names.get(metric.name, ()), candidate.names.get(metric.name, ()), unit=metric.unit
            )
            self.presets[metric.id] = replace(finding, detail=detail)

    @property
    def _is_repetition_judged(self) -> bool:
        """Whether a verdict of this gate depends on the baseline's repetition, not only reuse by later gates."""
        if not self.workload.execution.has_digests:
            return True
        return all(self._is_complete(pair) and self.digests_agree(pair) for pair in range(NUM_EXACT_SEEDS))

    @property
    def wants_repetition(self) -> bool:
        """Whether proving the baseline deterministic would save later gates more trials than the one it costs."""
        digests = {trial.digest for trial in self.baseline_trials}
        is_repeated = (0, Side.BASELINE, 1) in self.trials
        return len(digests) >= NUM_EXACT_SEEDS and all(digests) and not is_repeated and not self.is_settled

    @property
    def is_nondeterministic(self) -> bool:
        """Whether the baseline was repeated and gave another digest."""
        known = [self.trials.get((0, Side.BASELINE, repetition)) for repetition in (0, 1)]
        return len({trial.digest for trial in known if trial and trial.outcome is Outcome.COMPLETED}) > 1

    def digests_agree(self, pair: int) -> bool:
        """Whether both revisions recorded the same digest in a pair."""
        first, second = (self.trials[pair, side, 0].digest for side in Side)
        return bool(first) and first == second

    def settle_exact(self) -> str:
        """Fix the findings that follow from the digests alone, of the metrics that have none yet.

        Returns:
            Why the digests could not settle it, if the baseline is not deterministic; otherwise empty.
        """
        if not self.workload.execution.has_digests or self.is_settled or self.num_pairs < NUM_EXACT_SEEDS:
            return ""
        repetition = self.trials.get((0, Side.BASELINE, 1))
        sides = {side: [trial.digest for trial in self.trials_of(side)[:NUM_EXACT_SEEDS]] for side in Side}
        digests = Digests(
            seeds=self.seeds[:NUM_EXACT_SEEDS],
            baseline=tuple(sides[Side.BASELINE]),
            candidate=tuple(sides[Side.CANDIDATE]),
            repeated_baseline=repetition.digest if repetition else sides[Side.BASELINE][0],
        )
        comparison = compare_digests(digests)
        if comparison is DigestComparison.EQUAL and repetition is None:
            return ""
        undecided = [metric for metric in self.workload.metrics if metric.id not in self.presets]
        samples = [first_pairs(self.samples(metric), NUM_EXACT_SEEDS) for metric in undecided]
        for finding in judge_exact(samples, digests):
            self.presets[finding.metric.id] = finding
        return comparison.value if comparison is DigestComparison.NOT_REPEATABLE else ""

    def result(self) -> WorkloadResult:
        """Result of the workload, without its findings."""
        status, reason = self._status()
        pairs = [pair for pair in range(len(self.seeds)) if self._is_complete(pair)]
        return WorkloadResult(
            id=self.workload.id,
            kind=Kind(self.workload.execution.kind),
            status=status,
            reason=reason,
            context=self.context,
            num_pairs=len(pairs),
            seconds=sum(trial.duration_s for trial in self.trials.values()),
            curves=tuple(self._curves(pairs)),
            flips=tuple(self._flips(pairs)),
            descriptive=self._descriptive(pairs),
            block_times_s=self._block_times(pairs),
            block_weights=self._block_weights(pairs),
            run_delay=self._run_delay(pairs),
            num_concurrent_pairs=sum(self.trials[pair, Side.BASELINE, 0].is_concurrent for pair in pairs),
            loads=self._loads(pairs),
        )

    def _status(self) -> tuple[str, str]:
        """Whether the workload was judged, and why not."""
        if self.skip_reason:
            return "skipped", self.skip_reason
        unjudged = {Verdict.ERROR, Verdict.NEW, Verdict.MISSING}
        reasons = [(f.verdict.value, f.reason) for f in self.presets.values() if f.verdict in unjudged]
        return reasons[0] if reasons and self.is_settled else ("judged", "")

    def _is_complete(self, pair: int) -> bool:
        known = [self.trials.get((pair, side, 0)) for side in Side]
        return all(trial is not None and trial.outcome is Outcome.COMPLETED for trial in known)

    def _block_times(self, pairs: Iterable[int]) -> Mapping[str, tuple[float, ...]]:
        """Time per call in each block, by side; empty for workloads not timed in blocks."""
        times = {
            side.value: tuple(time for pair in pairs for time, _ in _put_together(self.trials[pair, side, 0]))
            for side in Side
        }
        return times if all(times.values()) else {}

    def _block_weights(self, pairs: Sequence[int]) -> tuple[float, ...]:
        """Weights of the blocks of all pairs; empty if none has any."""
        trials = [self.trials[pair, Side.BASELINE, 0] for pair in pairs]
        if not any(trial.block_weights for trial in trials):
            return ()
        return tuple(weight for trial in trials for _, weight in _put_together(trial))

    def _run_delay(self, pairs: Iterable[int]) -> float | None:
        """Share of the blocks' wall time that was subtracted as run delay; ``None`` unless known for every trial."""
        trials = [self.trials[pair, side, 0] for pair in pairs for side in Side]
        if not trials or not all(trial.run_delays_s for trial in trials):
            return None
        delays = math.fsum(delay for trial in trials for delay in trial.run_delays_s)
        return delays / (delays + math.fsum(time for trial in trials for time in trial.block_times_s))

    def _loads(self, pairs: Iterable[int]) -> tuple[float, ...]:
        """Largest load by other processes in each pair; empty if it is unknown for both trials of a pair."""
        loads = [[self.trials[pair, side, 0].load for side in Side] for pair in pairs]
        known = [[load for load in of_pair if load is not None] for of_pair in loads]
        return tuple(max(of_pair) for of_pair in known) if all(known) else ()

    def _curves(self, pairs: Iterable[int]) -> Iterable[Curve]:
        for pair in pairs:
            baseline, candidate = self.trials[pair, Side.BASELINE, 0], self.trials[pair, Side.CANDIDATE, 0]
            for name in baseline.series.keys() & candidate.series.keys():
                yield Curve(
                    name=name, seed=baseline.seed, baseline=baseline.series[name], candidate=candidate.series[name]
                )

    def _flips(self, pairs: Iterable[int]) -> Iterable[FlipSummary]:
        for pair in pairs if self.workload.execution.has_digests else ():
            baseline = self.trials[pair, Side.BASELINE, 0].predictions
            candidate = self.trials[pair, Side.CANDIDATE, 0].predictions
            if baseline is None or candidate is None or self._difference(pair):
                continue
            summary = compare_recorded_predictions(seed=self.seeds[pair], baseline=baseline, candidate=candidate)
            images = self.images.get(pair, {})
            yield replace(summary, examples=_with_images(summary.examples, images) if images else ())

    def _descriptive(self, pairs: Sequence[int]) -> Mapping[str, tuple[float, float]]:
        gated = {metric.name for metric in self.workload.metrics}
        sides = {side: [self.trials[pair, side, 0].values for pair in pairs] for side in Side}
        common = [set(values) for side in Side for values in sides[side]]
        names = sorted(set.intersection(*common) - gated) if common else []
        return {
            name: (_mean(v[name] for v in sides[Side.BASELINE]), _mean(v[name] for v in sides[Side.CANDIDATE]))
            for name in names
        }


def _mean(values: Iterable[float]) -> float:
    """The mean of at least one number; NaN if any of them is not finite."""
    numbers = list(values)
    return float(moments(numbers).mean) if all(map(math.isfinite, numbers)) else math.nan


def _with_images(examples: Iterable[FlippedExample], images: Mapping[int, str]) -> tuple[FlippedExample, ...]:
    return tuple(replace(example, image=images.get(example.index, "")) for example in examples)


def examples_to_show(trials: Sequence[Trial]) -> list[int]:
    """Positions in the test set of the flipped examples to show in a report; empty if a side recorded no predictions."""
    recorded = {trial.side: trial.predictions for trial in trials if trial.predictions}
    if len(recorded) < len(Side) or len({predictions.labels_digest for predictions in recorded.values()}) > 1:
        return []
    summary = compare_recorded_predictions(
        seed=trials[0].seed, baseline=recorded[Side.BASELINE], candidate=recorded[Side.CANDIDATE]
    )
    return [example.index for example in summary.examples]


def _put_together(trial: Trial) -> Iterator[tuple[float, float]]:
    """Times and weights of blocks, of which neighbours are averaged so that at most :data:`MAX_BLOCKS_SHOWN` remain."""
    times, weights = trial.block_times_s, trial.weights_of_blocks
    size = math.ceil(len(times) / MAX_BLOCKS_SHOWN)
    for first in range(0, len(times), size or 1):
        group, of_group = times[first : first + size], weights[first : first + size]
        total = math.fsum(of_group)
        yield math.fsum(map(operator.mul, group, of_group)) / total, total / len(group)


def _difference(baseline: Trial, candidate: Trial) -> str:
    """Name the first condition that differs within a pair but should not; empty if there is none."""
    for name in sorted(baseline.context.keys() | candidate.context.keys()):
        first, second = baseline.context.get(name), candidate.context.get(name)
        if first != second:
            return f"the revisions were measured under different {name}: {first!r} and {second!r}"
    labels = {trial.predictions.labels_digest for trial in (baseline, candidate) if trial.predictions}
    return "the revisions were tested on different labels" if len(labels) > 1 else ""


def restore_trials(logs: Sequence[WorkloadLog], trials: Sequence[Trial]) -> None:
    """Add earlier trials to the logs; timed pairs only if complete, since their two sides must have been measured together.

    A completed trial that lacks what is gated now is left out, so it is measured again.

    Args:
        logs: One for each workload.
        trials: Trials of earlier gates, then of an earlier attempt at this one.
    """
    by_workload = {log.workload.id: log for log in logs}
    for trial in trials:
        log = by_workload.get(trial.workload)
        if log is not None and not trial.find_lacking(log.gated, has_items=log.workload.execution.has_items):
            log.add(trial)
    for log in logs:
        if log.workload.execution.is_interleaved:
            log.drop_halves()
