"""The history of a project as one page, and its confirmed changes as an Atom feed.

Like the report of a run, the page is self-contained and needs no network. It can be read without its script, which
only searches and filters.

- :func:`render_history`: the page.
- :func:`render_feed`: the feed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from mainstay.records.formatting import change_text, degradation_text, degradation_unit, displayed_degradation
from mainstay.records.history import Entry, History, KeptCommit
from mainstay.records.metrics import Metric
from mainstay.records.trends import LevelSeries, MetricTrend
from mainstay.reports.cleaning import clean
from mainstay.reports.counting import VERDICT_ORDER
from mainstay.reports.figures import Scale, Tick, is_drawable
from mainstay.reports.html import render_page, render_template, resource
from mainstay.reports.rows import standing_text

WIDTH, HEIGHT = 960, 240
"""Size of a figure."""

MAX_PANELS = 6
"""Largest number of machines whose levels are drawn for each metric; further ones appear only in the table."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 34
_NORMAL = 1.96
_SUBJECT = 90
_TICK = 90  # width of a date


class Mark(NamedTuple):
    """A labelled position along the commits.

    Attributes:
        position: Distance from the left.
        label: Event at the position.
        kind: Class of its line.
    """

    position: float
    label: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure over commits.

    Attributes:
        title: Content of the figure, for readers who cannot see it.
        x_ticks: Ticks along the bottom.
        y_ticks: Ticks along the left, with grid lines.
        areas: Class and path of filled areas.
        paths: Class and path of lines.
        marks: Labelled positions.
        zero: Height of zero degradation; ``None`` if it is not drawn.
        margin: Height of the margin; ``None`` if it is not drawn.
    """

    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    areas: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    zero: float | None = None
    margin: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A change that a reader should look at.

    Attributes:
        key: Unique key, which stays the same in later pages.
        when: ISO time of the event.
        kind: ``degradation``, ``level`` or ``release``.
        text: Description in one sentence.
        commit: Commit of the event.
    """

    key: str
    when: str
    kind: str
    text: str
    commit: KeptCommit


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPart:
    """A metric on the page.

    Attributes:
        anchor: Name of the link target of this part.
        id: Id of the metric.
        margin: Margin as display text.
        state: Current state of the metric, in one sentence.
        curve: Degradation since the reference; ``None`` if there is no gate.
        levels: Title and figure for each machine.
        num_other_machines: Number of machines that are not drawn.
        notes: Notes for the reader.
        anchors: Rows of its anchors: commit, reference, estimate, interval, alarm.
    """

    anchor: str
    id: str
    margin: str
    state: str
    curve: Figure | None
    levels: tuple[tuple[str, Figure], ...]
    num_other_machines: int
    notes: tuple[str, ...]
    anchors: tuple[tuple[str, ...], ...]


class RunRow(NamedTuple):
    """A stored run in the table."""

    date: str
    commit: str
    subject: str
    kind: str
    verdict: str
    worst: str
    file: str
    search: str


def render_history(
    history: History, trends: Sequence[MetricTrend], *, title: str, feed: str = "", run_length: float
) -> str:
    """A history as one self-contained page.

    Args:
        history: The whole history, in the order of the default branch.
        trends: Trend of each metric.
        title: Name of the project.
        feed: Name of the feed's file, next to the page; no feed if empty.
        run_length: Guaranteed average number of commits between false alarms.
    """
    entries = history.entries[::-1]
    months = [(month, tuple(map(_row, group))) for month, group in groupby(entries, key=lambda e: e.run.created[:7])]
    counts = Counter(str(entry.run.verdict) for entry in entries if entry.withdrawal is None)
    return render_page(
        "history.html",
        style=resource("report.css") + resource("history.css"),
        script=resource("history.js"),
        title=clean(title),
        metrics=tuple(_metric_part(i, trend) for i, trend in enumerate(trends)),
        events=tuple(_events(trends))[::-1],
        months=months,
        num_runs=len(history.runs),
        num_withdrawn=history.num_withdrawn,
        unread=tuple((clean(path), clean(why)) for path, why in history.unread),
        verdicts=tuple((verdict.value, counts[verdict.value]) for verdict in VERDICT_ORDER if counts[verdict.value]),
        run_length=f"{run_length:,.0f}",
        feed=feed,
        box=(WIDTH, HEIGHT),
        edges=(_LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM),
    )


def render_feed(trends: Sequence[MetricTrend], *, title: str, updated: str) -> str:
    """The confirmed changes as an Atom feed: degradations that anchors or increments show, and changes of level.

    Args:
        trends: Trend of each metric.
        title: Name of the project.
        updated: ISO time of the latest run.
    """
    events = sorted(_events(trends), key=lambda event: event.when, reverse=True)
    return render_template("history.atom", title=clean(title), updated=updated, events=events)


def _row(entry: Entry) -> RunRow:
    """A run of the table."""
    run = entry.run
    looks = [(look, kept) for kept in run.metrics if (look := kept.first_look) is not None]
    shown = ""
    if looks:
        look, worst = max(looks, key=lambda pair: pair[0] / (pair[1].metric.scaled_margin or 1.0))
        shown = "no change" if worst.is_proved_equal else change_text(worst.metric, look)
        shown = clean(f"{worst.metric.name}: {shown}", at_most=_SUBJECT)
    subject = clean(run.candidate.subject, at_most=_SUBJECT)
    verdict = "withdrawn" if entry.withdrawal else str(run.verdict)
    commit = run.candidate.commit[:10]
    return RunRow(
        date=run.created[:10],
        commit=commit,
        subject=subject,
        kind=str(run.kind),
        verdict=verdict,
        worst=shown,
        file=clean(entry.file),
        search=f"{commit} {subject} {run.kind} {shown}".lower(),
    )


def _metric_part(number: int, trend: MetricTrend) -> MetricPart:
    metric = trend.metric
    notes = []
    if metric.is_of_items:
        notes.append("judged on items, not on pairs: it has levels, but no alarms")
    if trend.num_gaps:
        notes.append(f"{trend.num_gaps} gaps: a gate there does not start from the commit of the gate before")
    if trend.correlation is not None:
        notes.append(
            f"neighbouring gates are correlated ({trend.correlation:.2f}): the stated number of commits between false "
            "alarms does not hold"
        )
    if any(series.changes for series in trend.levels):
        notes.append("a change of level has a date, but no commit: 'mainstay bisect' finds the commit")
    return MetricPart(
        anchor=f"metric-{number}",
        id=clean(metric.id),
        margin=degradation_text(metric, metric.scaled_margin),
        state=standing_text(metric, trend.standing) or "its trend is not known yet",
        curve=_curve(trend),
        levels=tuple(_level_figure(metric, series) for series in trend.levels[:MAX_PANELS]),
        num_other_machines=max(0, len(trend.levels) - MAX_PANELS),
        notes=tuple(notes),
        anchors=tuple(
            (
                f"{anchor.commit.commit[:10]} {clean(anchor.commit.subject, at_most=_SUBJECT)}",
                f"{anchor.reference.commit[:10]} {clean(anchor.reference.subject, at_most=_SUBJECT)}",
                change_text(metric, anchor.estimate),
                f"{_number(metric, anchor.interval.low)} to {_number(metric, anchor.interval.high)}",
                "degraded" if anchor.is_alarm else "release" if anchor.is_release else "",
            )
            for anchor in reversed(trend.anchors)
        ),
    )


def _number(metric: Metric, degradation: float) -> str:
    return f"{displayed_degradation(metric, degradation):.3g}"


def _x(number: int) -> Scale:
    return Scale(low=-0.5, high=max(number, 1) - 0.5, start=_LEFT, end=WIDTH - _RIGHT)


def _curve(trend: MetricTrend) -> Figure | None:
    """Degradation since the reference, with its band, gates and anchors."""
    points, metric = trend.points, trend.metric
    if not points:
        return None
    values = [displayed_degradation(metric, point.value) for point in points]
    errors = [_half(metric, point.error) for point in points]
    looks = [None if point.first_look is None else displayed_degradation(metric, point.first_look) for point in points]
    margin = displayed_degradation(metric, metric.scaled_margin)
    shown = [value for value, error in zip(values, errors, strict=True) if math.isfinite(error)]
    vertical = Scale.over(_within(shown, errors, looks, margin), start=HEIGHT - _BOTTOM, end=_TOP)
    horizontal = _x(len(points))
    dots: dict[str, list[str]] = {}
    for i, (point, look) in enumerate(zip(points, looks, strict=True)):
        if look is not None and point.verdict is not None:
            dots.setdefault(str(point.verdict), []).append(f"M{horizontal(i)} {vertical(look)}h0")
    runs = list(_finite_runs(errors))
    line = "".join(_line([(horizontal(i), vertical(values[i])) for i in run]) for run in runs)
    band = "".join(
        _line(
            [(horizontal(i), vertical(values[i] + errors[i])) for i in run]
            + [(horizontal(i), vertical(values[i] - errors[i])) for i in reversed(run)]
        )
        + "z"
        for run in runs
    )
    diamonds = "".join(
        f"M{horizontal(a.place)} {vertical(displayed_degradation(metric, a.estimate) + offset) - 5}l5 5l-5 5l-5 -5z"
        for a in trend.anchors
        if (offset := _offset(trend, a.place)) is not None
    )
    marks = [
        *(Mark(horizontal(i), f"{clean(points[i].commit.subject, at_most=_SUBJECT)}: degradations gather", "alarm") for i in trend.alarms),
        *(Mark(horizontal(a.place), f"{clean(a.commit.subject, at_most=_SUBJECT)}: degraded since the reference", "alarm") for a in trend.anchors if a.is_alarm),
        *(Mark(horizontal(a.place), f"release {clean(a.commit.subject, at_most=_SUBJECT)}", "release") for a in trend.anchors if a.is_release),
        *(Mark(horizontal(i - 0.5), f"new reference: {clean(points[i - 1].commit.subject, at_most=_SUBJECT)}", "reference") for i, point in enumerate(points) if point.is_reference),
    ]  # fmt: skip
    return Figure(
        title=f"{clean(metric.id)}: degradation over {len(points)} commits",
        x_ticks=_x_ticks([point.commit.date or point.created for point in points], horizontal),
        y_ticks=vertical.ticks(unit=_tick_unit(metric)),
        areas=(("band", band),) if band else (),
        paths=(
            *((f"dots {verdict}", "".join(path)) for verdict, path in sorted(dots.items())),
            *([("curve", line)] if line else []),
            *([("diamonds", diamonds)] if diamonds else []),
        ),
        marks=tuple(marks),
        zero=vertical(0.0),
        margin=vertical(margin) if margin else None,
    )


def _half(metric: Metric, error: float) -> float:
    """Half of the width of the band; infinite if nothing is known."""
    return _NORMAL * abs(displayed_degradation(metric, error)) if math.isfinite(error) else math.inf


def _within(
    shown: Sequence[float], errors: Sequence[float], looks: Sequence[float | None], margin: float
) -> Iterator[float]:
    """Range of the vertical axis; a few extreme points are drawn at its edge."""
    known = sorted(look for look in looks if look is not None and is_drawable(look))
    yield from (-margin, 0.0, 1.5 * margin)
    yield from filter(is_drawable, shown)
    yield from (known[int(0.005 * len(known))], known[int(0.995 * (len(known) - 1))]) if known else ()
    finite = sorted(error for error in errors if math.isfinite(error))
    if finite and shown:
        yield from (min(shown) - finite[len(finite) // 2], max(shown) + finite[len(finite) // 2])


def _offset(trend: MetricTrend, place: int) -> float | None:
    """Start of the curve of an anchor's reference, which is added so that the anchor lies on the curve."""
    for i in range(place, -1, -1):
        if trend.points[i].is_reference:
            return displayed_degradation(trend.metric, trend.points[i - 1].value)
    return 0.0


def _finite_runs(errors: Sequence[float]) -> Iterator[list[int]]:
    """Stretches of commits for which the degradation is known."""
    for is_known, group in groupby(range(len(errors)), key=lambda i: math.isfinite(errors[i])):
        if is_known:
            yield list(group)


def _line(places: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _x_ticks(created: Sequence[str], horizontal: Scale) -> tuple[Tick, ...]:
    """Up to eight dates."""
    step = max(1, math.ceil(len(created) / 8))
    return tuple(
        Tick(horizontal(i), created[i][:10]) for i in range(0, len(created), step) if horizontal(i) < WIDTH - _TICK
    )


def _tick_unit(metric: Metric) -> str:
    return " %" if degradation_unit(metric) == "%" else ""


def _level_figure(metric: Metric, series: LevelSeries) -> tuple[str, Figure]:
    """Values on one machine, with their changes."""
    values = [metric.scale.value(level) for level in series.values]
    vertical = Scale.over(values, start=HEIGHT - _BOTTOM, end=_TOP)
    horizontal = _x(len(values))
    borders = [0, *(change.place for change in series.changes), len(values)]
    means = [change.before for change in series.changes[:1]] + [change.after for change in series.changes]
    steps = "".join(
        f"M{horizontal(start - 0.5)} {vertical(metric.scale.value(mean))}H{horizontal(end - 0.5)}"
        for start, end, mean in zip(borders, borders[1:], means, strict=False)
    )
    machine = f"{clean(series.machine)}, packages {clean(series.packages_digest)[:10]}"
    figure = Figure(
        title=f"{clean(metric.id)} on {machine}: {len(values)} commits, {len(series.changes)} changes of level",
        x_ticks=_x_ticks([commit.date for commit in series.commits], horizontal),
        y_ticks=vertical.ticks(),
        paths=(
            ("dots value", "".join(f"M{horizontal(i)} {vertical(value)}h0" for i, value in enumerate(values))),
            *([("curve", steps)] if steps else []),
        ),
        marks=tuple(
            Mark(
                horizontal(change.place - 0.5),
                _change_text(metric, change.before, change.after, change.likeliest),
                "change",
            )
            for change in series.changes
        ),
    )
    return machine, figure


def _change_text(metric: Metric, before: float, after: float, commit: KeptCommit) -> str:
    """A change of level in words."""
    worse = after - before if metric.direction == "lower" else before - after
    return f"{change_text(metric, worse)} from about {commit.commit[:10]} {clean(commit.subject, at_most=_SUBJECT)}"


def _events(trends: Sequence[MetricTrend]) -> Iterator[Event]:
    """Events that a reader should look at, by metric and in the order of commits."""
    for trend in trends:
        name = clean(trend.metric.id)
        for place in trend.alarms:
            point = trend.points[place]
            text = f"{name}: degradations accumulate up to {clean(point.commit.subject, at_most=_SUBJECT)}"
            yield Event(key=f"gathered:{point.commit.commit}:{name}", when=point.created, kind="degradation", text=text, commit=point.commit)  # fmt: skip
        for anchor in trend.anchors:
            if anchor.is_alarm:
                reference = f"{anchor.reference.commit[:10]} {clean(anchor.reference.subject, at_most=_SUBJECT)}"
                text = f"{name}: {change_text(trend.metric, anchor.estimate)} since {reference}"
                created = trend.points[anchor.place].created
                yield Event(key=f"anchor:{anchor.commit.commit}:{name}", when=created, kind="degradation", text=text, commit=anchor.commit)  # fmt: skip
        created_of = {point.commit.commit: point.created for point in trend.points}
        for series in trend.levels:
            for change in series.changes:
                commit = change.likeliest
                text = f"{name}: {_change_text(trend.metric, change.before, change.after, commit)}, on {clean(series.machine)}"
                when = created_of.get(commit.commit, trend.points[-1].created)
                yield Event(key=f"level:{commit.commit}:{name}:{clean(series.machine)}", when=when, kind="level", text=text, commit=commit)  # fmt: skip
