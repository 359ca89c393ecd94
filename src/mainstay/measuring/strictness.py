"""The stricter of two revisions' settings: a change can tighten its own judgement, never loosen it.

These are pure functions of both revisions' settings and markers.

- :func:`settings_in_force`: the settings in ``[tool.mainstay]`` that apply.
- :func:`stricter_metric`, :func:`why_incomparable`: the markers of one metric in both revisions.
- :class:`Margins`: the margin of each metric, from the markers and settings of both revisions.
- :func:`require_known_margins`: refuses a margin for an unknown metric, or one that is meant in percent.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mainstay.gates.margins import check_margin
from mainstay.project.configuration import TABLE, Configuration
from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import Direction, Metric, Scoring, Tier
from mainstay.records.trials import ContextValue

STRICTNESS: Mapping[int | str, int] = {0: 0, "warn": 1, 3: 2, 1: 3}
"""Policies for an inconclusive gate, the strictest last."""

PROOFS: Sequence[str | bool] = (False, "unchanged", "executed")
"""Proofs by which metrics pass without being measured, the strictest first."""

TIERS: Sequence[Tier | None] = (Tier.ADVISORY, Tier.GUARD, None, Tier.BLOCKING)
"""Tiers of a metric of items, the strictest last; without one, it is blocking if its items are enough."""


def settings_in_force(baseline: Configuration, candidate: Configuration) -> Configuration:
    """The settings of a gate: the candidate's, except where the baseline's are stricter.

    Levels, looks and groups are always the baseline's, since a change in either direction makes either passing or failing
    easier. Margins are handled by :class:`Margins`, since they depend on the metric and its data set.

    Args:
        baseline: Settings of the baseline.
        candidate: Settings of the candidate.

    Example:
        >>> settings = settings_in_force(Configuration(), Configuration(alpha=0.05, inconclusive=0, threads=2))
        >>> settings.alpha, settings.inconclusive, settings.threads
        (0.01, 3, 2)
    """
    return replace(
        candidate,
        alpha=baseline.alpha,
        margin_level=baseline.margin_level,
        looks=baseline.looks,
        inconclusive=max(baseline.inconclusive, candidate.inconclusive, key=STRICTNESS.__getitem__),
        deviations=_smaller_deviations(baseline.deviations, candidate.deviations),
        group_by=baseline.group_by,
        fail_fast=baseline.fail_fast and candidate.fail_fast,
        proof=min(baseline.proof, candidate.proof, key=PROOFS.index),
        seconds=max(baseline.seconds, candidate.seconds),
        pair_seconds=max(baseline.pair_seconds, candidate.pair_seconds),
        trial_seconds=min(baseline.trial_seconds, candidate.trial_seconds),
    )


def _smaller_deviations(baseline: Mapping[str, float], candidate: Mapping[str, float]) -> dict[str, float]:
    """The smaller of the deviations that both revisions give a metric, each by its id or else by its name."""
    smaller: dict[str, float] = {}
    for key in sorted(baseline.keys() | candidate.keys()):
        name = key.rpartition("#")[2]
        first, second = (settings.get(key, settings.get(name)) for settings in (baseline, candidate))
        if first is not None and second is not None:
            smaller[key] = min(first, second)
    return smaller


def why_incomparable(baseline: Metric, candidate: Metric) -> str:
    """Why the markers of two revisions cannot mean the same metric; empty if they can.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> loss = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.1)
        >>> why_incomparable(loss, replace(loss, direction=Direction.HIGHER))
        "the candidate's marker says direction 'higher', the baseline's 'lower'"
    """
    before, after = ("accuracy" if metric.scoring is None else "evaluation" for metric in (baseline, candidate))
    if before != after:
        return f"the candidate's marker is {after}, the baseline's {before}"
    for name in ("kind", "direction", "unit"):
        before, after = str(getattr(baseline, name)), str(getattr(candidate, name))
        if before != after:
            return f"the candidate's marker says {name} {after!r}, the baseline's {before!r}"
    return ""


def stricter_metric(baseline: Metric, candidate: Metric) -> Metric:
    """Combine two comparable markers of a metric, taking the stricter value of each argument.

    The resolution is always the baseline's, since a larger one makes failing harder and a smaller one passing easier.

    Args:
        baseline: The metric as marked in the baseline.
        candidate: The metric as marked in the candidate.

    Example:
        >>> from mainstay.records.metrics import Kind
        >>> top1 = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.1, ceiling=0.9)
        >>> both = stricter_metric(top1, replace(top1, margin=0.9, ceiling=None, resolution=10.0))
        >>> both.margin, both.ceiling, both.resolution
        (0.1, 0.9, 0.0)
    """
    nearest: Callable[[Iterable[float]], float] = min if baseline.direction is Direction.HIGHER else max
    ceilings = [metric.ceiling for metric in (baseline, candidate) if metric.ceiling is not None]
    return replace(
        baseline,
        margin=min(baseline.margin, candidate.margin),
        ceiling=nearest(ceilings) if ceilings else None,
        scoring=_stricter_scoring(baseline.scoring, candidate.scoring),
    )


def _stricter_scoring(baseline: Scoring | None, candidate: Scoring | None) -> Scoring | None:
    """The baseline's, with the stricter tier; a declared tier is compared with what is used if none is declared."""
    if baseline is None or candidate is None:
        return baseline
    return replace(baseline, tier=max(baseline.tier, candidate.tier, key=TIERS.index))


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """Margins by metric: the smaller of the two revisions' margins.

    Attributes:
        settings: Settings of baseline and candidate.
        markers: Margin by id of a metric, from the markers of baseline and candidate.
    """

    settings: tuple[Configuration, ...]
    markers: tuple[Mapping[str, float], ...] = ({}, {})

    def __call__(self, metric: Metric, context: Mapping[str, ContextValue]) -> float:
        """The margin of a metric, on the data set that its context names.

        The margin of a revision is the one for the data set in its settings, else the one for the metric there, else
        that of its marker.

        Args:
            metric: The metric that is judged.
            context: Recorded circumstances.

        Example:
            >>> from mainstay.records.metrics import Kind
            >>> metric = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.2)
            >>> settings = Configuration(margins={"a": 0.02}), Configuration(margins_by_dataset={"digits": {"a": 0.9}})
            >>> Margins(settings=settings)(metric, {"dataset": "digits"})
            0.02
        """
        return min((margin for margin in self._said(metric, context) if margin is not None), default=metric.margin)

    def of_baseline(self, metric: Metric, context: Mapping[str, ContextValue]) -> float:
        """The baseline's own margin of a metric, which no change can tighten; the margin in force if it has none.

        Whether the items of a task are enough for its margin is decided by this one: a change that tightens the margin
        would otherwise make the task a guard, which does not block while it is undecided.

        Args:
            metric: The metric that is judged.
            context: Recorded circumstances.

        Example:
            >>> from mainstay.records.metrics import Kind
            >>> metric = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=1e-6)
            >>> margins = Margins(settings=(Configuration(), Configuration()), markers=({"w#a": 0.02}, {"w#a": 1e-6}))
            >>> margins(metric, {}), margins.of_baseline(metric, {})
            (1e-06, 0.02)
        """
        own = self._said(metric, context)[0]
        return self(metric, context) if own is None else own

    def _said(self, metric: Metric, context: Mapping[str, ContextValue]) -> list[float | None]:
        """The margin that each revision gives a metric; ``None`` if it gives none."""
        dataset = context.get("dataset")
        name = None if dataset is None else str(dataset)
        configured = [settings.margin(metric.name, dataset=name) for settings in self.settings]
        return [
            markers.get(metric.id) if margin is None else margin
            for margin, markers in zip(configured, self.markers, strict=True)
        ]


def require_known_margins(
    configuration: Configuration, metrics: Sequence[Metric], *, are_all_known: bool = True
) -> list[str]:
    """Refuse a margin for a metric that no workload gates, or one that was probably given in percent.

    Args:
        configuration: The settings.
        metrics: The metrics that either revision gates, as far as known.
        are_all_known: Whether there are no others. If there may be some, since a file could not be collected, a margin
            of an unknown metric is not refused.

    Returns:
        The keys of the margins that were not refused although their metric is unknown.

    Raises:
        ConfigurationError: If a margin is refused; the message suggests the nearest name, or the margin as a fraction.
    """
    known = sorted({metric.name for metric in metrics})
    unknown = []
    tables = {f"{TABLE}.margins": configuration.margins} | {
        f"{TABLE}.margins.{dataset}": margins for dataset, margins in configuration.margins_by_dataset.items()
    }
    for table, margins in tables.items():
        for name, margin in margins.items():
            for metric in metrics:
                if metric.name == name:
                    check_margin(replace(metric, margin=margin))
            if name in known:
                continue
            unknown.append(f"{table}.{name}")
            if are_all_known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                raise ConfigurationError(
                    f"{unknown[-1]} is the margin of a metric that no workload gates",
                    looked_in="pyproject.toml",
                    next_step=f"did you mean {near[0]!r}?" if near else f"gated: {', '.join(known) or 'nothing'}",
                )
    return unknown
