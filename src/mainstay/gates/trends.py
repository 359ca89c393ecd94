"""Trends from the runs of the history: increments, anchors, levels, and their joint evidence.

Estimates that gates print are never added up; see :mod:`~mainstay.stats.trend`.

- :func:`metric_trends`: the trend of each metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mainstay.records.findings import Interval
from mainstay.records.history import FIRST_LOOK, KeptCommit, KeptMetric, KeptRun, RunKind
from mainstay.records.trends import Anchor, LevelChange, LevelSeries, MetricTrend, TrendPoint
from mainstay.stats.change_points import find_change_points
from mainstay.stats.paired import lag_one_correlation, mean_interval, one_sided_p_values, summarise_pairs
from mainstay.stats.trend import anchor_level, drift_evidence, earlier_deviation, smooth_level

ANCHOR_EVERY = 20
"""Commits between two anchors."""

LARGEST = 1e6
"""Number of margins to which a degradation is limited, since larger ones add no information."""

MIN_GATES = 30
"""Smallest number of gates for which their correlation is checked."""

_LARGEST_LEVEL = 1e100


@dataclass(kw_only=True)
class _Step:
    """One commit of a chain.

    Attributes:
        run: The gate against the commit before; if that gate is not stored, the anchor.
        results: Results of the metric in that gate and its reruns, each of other trials; empty if none is stored.
        anchors: Gates against a reference, each with its results and those of its reruns.
        is_gap: Whether the degradation since the commit before is unknown.
    """

    run: KeptRun
    results: list[KeptMetric] = field(default_factory=list)
    anchors: list[tuple[KeptRun, list[KeptMetric]]] = field(default_factory=list)
    is_gap: bool = False

    @property
    def kept(self) -> KeptMetric | None:
        """The pooled result against the commit before; ``None`` if that gate is not stored."""
        return _pooled(self.results) if self.results else None


def metric_trends(runs: Sequence[KeptRun]) -> tuple[MetricTrend, ...]:
    """The trend of each metric, except deterministic counts, whose verdicts say everything.

    A metric judged on items has no pairs, so it raises no alarms and takes no share of their rate.

    Args:
        runs: Stored runs in the order of the default branch.
    """
    by_id: dict[str, list[tuple[KeptRun, KeptMetric]]] = {}
    for run in runs:
        for kept in run.metrics:
            if not kept.metric.scale.is_exact:
                by_id.setdefault(kept.metric.id, []).append((run, _bounded(kept)))
    num_metrics = sum(not kept[-1][1].metric.is_of_items for kept in by_id.values())
    return tuple(_trend(kept, num_metrics=max(1, num_metrics)) for kept in by_id.values())


def _bounded(kept: KeptMetric) -> KeptMetric:
    """Limit values whose squares would overflow, such as those of a diverged training run."""
    limit = LARGEST * (kept.metric.scaled_margin or 1.0)
    if all(abs(value) <= limit for value in kept.degradations):
        return kept
    return replace(kept, degradations=tuple(max(-limit, min(limit, value)) for value in kept.degradations))


def _trend(kept: Sequence[tuple[KeptRun, KeptMetric]], *, num_metrics: int) -> MetricTrend:
    metric = kept[-1][1].metric
    steps = _chain(kept)
    pairs = [step.kept.degradations if step.kept else () for step in steps]
    margin = metric.scaled_margin
    deviations = earlier_deviation(pairs, fallback=margin)
    evidence = drift_evidence(pairs, margin=margin, deviations=deviations, num_metrics=num_metrics)
    anchors = tuple(_anchors(steps, level=anchor_level(ANCHOR_EVERY, num_metrics=num_metrics)))
    return MetricTrend(
        metric=metric,
        points=tuple(_points(steps, deviations.tolist())),
        anchors=anchors,
        alarms=evidence.alarms,
        levels=tuple(_levels(kept)),
        correlation=_correlation(pairs),
        num_gaps=sum(step.is_gap for step in steps),
    )


def _chain(kept: Iterable[tuple[KeptRun, KeptMetric]]) -> list[_Step]:
    """Commits in order; several runs of one commit against the one before it are pooled, not selected from."""
    steps: list[_Step] = []
    places: dict[str, int] = {}
    for run, metric in kept:
        place = places.setdefault(run.candidate.commit, len(steps))
        if place == len(steps):
            steps.append(_Step(run=run, is_gap=place > 0))
        step, is_gap = steps[place], place > 0 and steps[place - 1].run.candidate.commit != run.baseline.commit
        if run.kind is not RunKind.MAIN:
            _add_anchor(step, run, metric)
        elif not step.results or (step.is_gap and not is_gap):
            steps[place] = replace(step, run=run, results=[metric], is_gap=is_gap)
        elif step.run.baseline.commit == run.baseline.commit:
            _add_rerun(step.results, metric)
    return steps


def _add_anchor(step: _Step, run: KeptRun, metric: KeptMetric) -> None:
    """Add an anchor to a commit; one against the same reference is pooled, so that the commit is tested once."""
    for first, results in step.anchors:
        if (first.kind, first.baseline.commit) == (run.kind, run.baseline.commit):
            _add_rerun(results, metric)
            return
    step.anchors.append((run, [metric]))


def _add_rerun(results: list[KeptMetric], again: KeptMetric) -> None:
    """Add the result of another gate of the same two commits, unless it repeats trials that are recorded.

    With the same seed, nondeterministic training gives another value that is not independent of the first. The value
    recorded first counts, whatever it is. Without seeds, only equal values show that the trials are the same; of such
    gates, the one with more pairs counts. If other values are recorded partly with seeds and partly without, nobody can
    tell whether the seeds are the same: then the gate adds nothing, so that no pair counts twice.

    Args:
        results: Results so far, each of other trials, in the order recorded; changed in place.
        again: The further result.
    """
    if again.seeds and all(first.seeds for first in results):
        known = frozenset(seed for first in results for seed in first.seeds)
        further = [pair for pair in zip(again.seeds, again.degradations, strict=True) if pair[0] not in known]
        if further:
            seeds, degradations = zip(*further, strict=True)
            results.append(replace(again, seeds=seeds, degradations=degradations))
        return
    for i, first in enumerate(results):
        num_common = min(len(first.degradations), len(again.degradations))
        if first.degradations[:num_common] == again.degradations[:num_common]:
            results[i] = max(first, again, key=lambda kept: (len(kept.degradations), len(kept.seeds)))
            return
    if not again.seeds and not any(first.seeds for first in results):
        results.append(again)


def _pooled(results: Sequence[KeptMetric]) -> KeptMetric:
    """The first result with the pairs of all, without seeds if there are several."""
    if len(results) == 1:
        return results[0]
    return replace(results[0], seeds=(), degradations=tuple(value for each in results for value in each.degradations))


def _anchors(steps: Sequence[_Step], *, level: float) -> Iterable[Anchor]:
    """Results of gates against a fixed reference."""
    for place, step in enumerate(steps):
        for run, results in step.anchors:
            kept = _pooled(results)
            if kept.is_proved_equal:
                estimate, interval, above = 0.0, Interval(0.0, 0.0), 1.0
            elif len(kept.degradations) < FIRST_LOOK:
                continue
            else:
                summary = summarise_pairs(kept.degradations, resolution=kept.metric.resolution)
                low, high = mean_interval(summary, level=0.025)
                estimate, interval = float(summary.mean), Interval(float(low), float(high))
                above = (
                    float(one_sided_p_values(summary, 0.0).above) if float(summary.deviation) else float(estimate <= 0)
                )
            yield Anchor(
                place=place,
                reference=run.baseline,
                commit=run.candidate,
                estimate=estimate,
                interval=interval,
                is_alarm=above <= level,
                is_release=run.kind is RunKind.RELEASE,
            )


def _points(steps: Sequence[_Step], deviations: Sequence[float]) -> Iterable[TrendPoint]:
    """The curve, which restarts at each reference and carries over the degradation up to it."""
    starts = _references(steps)
    origin = 0.0
    for start, end in zip([0, *starts], [*starts, len(steps)], strict=True):
        part = steps[start:end]
        anchors = [
            (i, run, _pooled(results))
            for i, step in enumerate(part)
            for run, results in step.anchors
            if run.kind is RunKind.ANCHOR
        ]
        reference = part[0].run.baseline.commit
        if start == 0 and anchors:
            reference = anchors[0][1].baseline.commit
        elif start > 0:
            reference = steps[start - 1].run.candidate.commit
        looks = [step.kept.first_look if step.kept else None for step in part]
        variances = [
            math.inf if look is None or (step.is_gap and i > 0)
            else 0.0 if step.kept is not None and step.kept.is_proved_equal
            else deviation**2 / FIRST_LOOK
            for i, (step, look, deviation) in enumerate(zip(part, looks, deviations[start:end], strict=True))
        ]  # fmt: skip
        if part[0].run.baseline.commit != reference:
            variances[0] = math.inf  # the degradation of the first commit since the reference is unknown
        anchored = {
            i: (float(np.mean(values)), float(np.var(values, ddof=1)) / len(values))
            for i, run, kept in anchors
            if run.baseline.commit == reference and (values := _fixed_pairs(kept))
        }
        level = smooth_level([look or 0.0 for look in looks], variances, anchored)
        for i, step in enumerate(part):
            yield TrendPoint(
                commit=step.run.candidate,
                created=step.run.created,
                verdict=step.kept.verdict if step.kept else None,
                first_look=looks[i],
                value=origin + float(level.values[i]),
                error=float(level.errors[i]),
                is_reference=start > 0 and i == 0 and start in starts,
            )
        origin += float(level.values[-1])


def _fixed_pairs(kept: KeptMetric) -> tuple[float, ...]:
    """Pairs of an anchor, if they can be used."""
    if kept.is_proved_equal:
        return (0.0,) * FIRST_LOOK
    return kept.degradations if len(kept.degradations) >= FIRST_LOOK else ()


def _references(steps: Sequence[_Step]) -> list[int]:
    """Positions of the commits that later anchors are gated against, where the curve restarts."""
    places = {step.run.candidate.commit: i for i, step in enumerate(steps)}
    references = {
        places[run.baseline.commit] + 1
        for step in steps
        for run, _ in step.anchors
        if run.kind is RunKind.ANCHOR and run.baseline.commit in places
    }
    return sorted(place for place in references if 0 < place < len(steps))


def _levels(kept: Iterable[tuple[KeptRun, KeptMetric]]) -> list[LevelSeries]:
    """Values of the candidates by machine and packages, with their changes.

    Of reruns that share a seed, or may share one since only one of them is recorded with its seeds, the first counts.
    """
    series: dict[tuple[str, str], list[tuple[KeptCommit, float, float]]] = {}
    known: dict[tuple[str, str, str], list[tuple[int, ...]]] = {}
    for run, metric in kept:
        if metric.candidate_mean is not None and not metric.metric.scale.complaint(metric.candidate_mean):
            earlier = known.setdefault((run.machine, run.packages_digest, run.candidate.commit), [])
            if any(bool(seeds) != bool(metric.seeds) or not {*seeds}.isdisjoint(metric.seeds) for seeds in earlier):
                continue
            earlier.append(metric.seeds)
            num_pairs = max(len(metric.degradations), 1)
            value = max(-_LARGEST_LEVEL, min(_LARGEST_LEVEL, metric.metric.level(metric.candidate_mean)))
            series.setdefault((run.machine, run.packages_digest), []).append(
                (run.candidate, value, 1 / math.sqrt(num_pairs))
            )
    found = []
    for (machine, packages), rows in series.items():
        commits, values, errors = zip(*rows, strict=True)
        changes = tuple(
            LevelChange(
                place=point.position,
                before=point.before,
                after=point.after,
                commits=commits[point.low : point.high + 1],
                likeliest=commits[point.position],
            )
            for point in find_change_points(values, errors)
        )
        found.append(
            LevelSeries(machine=machine, packages_digest=packages, values=values, commits=commits, changes=changes)
        )
    return sorted(found, key=lambda each: -len(each.values))


def _correlation(pairs: Sequence[Sequence[float]]) -> float | None:
    """Correlation of neighbouring gates if beyond chance, since false alarms are then more frequent than stated."""
    scaled = [math.fsum(gate) / spread for gate in pairs if (spread := math.sqrt(math.fsum(d * d for d in gate)))]
    if len(scaled) < MIN_GATES:
        return None
    correlation = lag_one_correlation(scaled)
    return correlation if abs(correlation) > 2 / math.sqrt(len(scaled)) else None
