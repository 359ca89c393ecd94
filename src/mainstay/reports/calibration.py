"""The report of a calibration: how noisy the machine is, what a gate can detect on it, and what to configure.

Plain text for a log or a terminal; all numbers are in the calibration document.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from mainstay.records.calibrations import Calibration, MetricNoise
from mainstay.records.findings import Verdict
from mainstay.records.formatting import (
    UNKNOWN,
    degradation_number,
    degradation_text,
    fixed,
    interval_text,
    percent,
    seconds_text,
)
from mainstay.reports.cleaning import clean

WIDTH = 100
"""Column at which sentences wrap; tables are wider if the name of a metric is long."""


def render_calibration(calibration: Calibration) -> str:
    """A calibration as plain text.

    Args:
        calibration: Calibration of a machine.

    Returns:
        Lines ending in a line break.
    """
    blocks = [_head(calibration)]
    if calibration.evaluations:
        blocks.append(_items(calibration))
    if calibration.metrics:
        blocks += [_noise(calibration), _detectable(calibration), _errors(calibration), _settings(calibration)]
    lines = [line for block in blocks for line in (*block, "")]
    return "\n".join(line.rstrip() for line in lines)


def _head(calibration: Calibration) -> Iterator[str]:
    """State what was measured, and where."""
    revision, machine = calibration.revision, calibration.machine
    measured = [f"{calibration.num_pairs} pairs"] if calibration.metrics else []
    measured += ["all items"] if calibration.evaluations else []
    yield f"mainstay calibrate: {' and '.join(measured)} of one revision, built twice and gated against itself"
    yield f"  revision: {revision.commit[:12]} {clean(revision.subject)}"
    yield f"  machine: {machine.processor}, {machine.num_cores} cores, {machine.system}"
    load = UNKNOWN if calibration.max_load is None else f"at most {fixed(calibration.max_load, decimals=1)} processors"
    yield f"  load by others: {load}"
    for note in calibration.notes:
        yield from _wrapped("note: ", clean(note))


def _items(calibration: Calibration) -> Iterator[str]:
    """The items that flip by themselves, and the smallest margin that so many items support."""
    yield "items that flip by themselves, and the smallest margin with which a clean change passes with 95 % chance"
    rows = [("metric", "items", "flips", "margin", "smallest", "tier")]
    for noise in calibration.evaluations:
        metric, supported = noise.metric, noise.supported_margin
        rows.append(
            (
                clean(metric.id),
                f"{noise.num_items:,}",
                f"{noise.num_flips:,} ({percent(noise.num_flips / noise.num_items)})",
                degradation_text(metric, metric.margin),
                "none" if supported is None else degradation_text(metric, supported),
                noise.tier.value,
            )
        )
    yield from _table(rows)
    for noise in calibration.evaluations:
        if noise.refusal:
            yield from _wrapped("refused: ", f"{clean(noise.metric.id)}: {noise.refusal}")


def _noise(calibration: Calibration) -> Iterator[str]:
    """The spread of a pair's degradation, and the bias between the two builds."""
    yield "noise of a pair (standard deviation of its degradation) and bias between the two builds, by metric"
    heading = ("metric", "a pair", "95 % interval", "within", "between", "bias", "99 % interval")
    yield from _table([heading, *(_noise_row(noise) for noise in calibration.metrics)])
    yield from _wrapped(
        "",
        "within: from block to block, smaller with a longer pair; between: from process to process, only more pairs help",
    )
    for noise in calibration.metrics:
        if not noise.bias_interval.low <= 0 <= noise.bias_interval.high:
            sentence = (
                f"the two builds differ in {clean(noise.metric.id)} by {degradation_text(noise.metric, noise.bias)}"
            )
            yield from _wrapped("bias: ", f"{sentence}; more pairs do not remove that")


def _noise_row(noise: MetricNoise) -> tuple[str, ...]:
    metric = noise.metric
    parts = (UNKNOWN if part is None else degradation_text(metric, part) for part in (noise.within, noise.between))
    return (
        clean(metric.id),
        degradation_text(metric, noise.deviation),
        interval_text(metric, noise.deviation_interval),
        *parts,
        degradation_text(metric, noise.bias),
        interval_text(metric, noise.bias_interval),
    )


def _detectable(calibration: Calibration) -> Iterator[str]:
    """Tabulate the degradations that numbers of pairs detect at each metric's margin."""
    yield "detected with 90 % chance, by pairs: a degradation above the first number fails, one below the second passes"
    numbers = [str(detectable.num_pairs) for detectable in calibration.metrics[0].detectable]
    rows = [("metric", "margin", *numbers)]
    for noise in calibration.metrics:
        cells = (
            " / ".join(degradation_number(noise.metric, limit) for limit in (each.fails_above, each.passes_below))
            for each in noise.detectable
        )
        rows.append((clean(noise.metric.id), degradation_text(noise.metric, noise.metric.scaled_margin), *cells))
    yield from _table(rows)
    yield "a negative second number: even a clean change does not reliably pass"


def _errors(calibration: Calibration) -> Iterator[str]:
    """False alarms and passes of gates like this one."""
    low, high = calibration.false_alarm_interval
    share = calibration.num_false_alarms / calibration.num_gates
    yield from _wrapped(
        "false alarms: ",
        f"{calibration.num_false_alarms} of {calibration.num_gates} gates made of these pairs fail "
        f"({percent(share)}, 95 % interval {percent(low)} to {percent(high)}; stated: {percent(calibration.alpha)}); "
        f"{percent(calibration.num_passes / calibration.num_gates)} pass",
    )
    counts = {verdict: list(calibration.verdicts.values()).count(verdict) for verdict in Verdict}
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    yield f"this revision against itself: {found}"


def _settings(calibration: Calibration) -> Iterator[str]:
    """State the proposal, and which margins are refused."""
    proposal = calibration.proposal
    yield (
        f"a pair takes {seconds_text(calibration.seconds_per_pair)}: {seconds_text(calibration.seconds)} hold "
        f"{int(calibration.seconds / calibration.seconds_per_pair)} pairs"
    )
    for noise in calibration.metrics:
        if noise.refusal:
            yield from _wrapped("refused: ", f"{clean(noise.metric.id)}: {noise.refusal}")
    yield "proposed settings:"
    yield "  [tool.mainstay]"
    yield f"  looks = {list(proposal.looks)}"
    yield f"  seconds = {proposal.seconds:g}"
    if proposal.margins:
        yield "  [tool.mainstay.margins]"
        yield from (f"  {clean(name)} = {margin:g}" for name, margin in proposal.margins.items())
    if proposal.deviations:
        yield '  [tool.mainstay.deviations]  # for inconclusive = "warn"'
        yield from (f'  "{clean(name)}" = {deviation:g}' for name, deviation in proposal.deviations.items())


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  " + "  ".join((first.ljust(widths[0]), *cells))


def _wrapped(label: str, sentence: str) -> Iterable[str]:
    """A sentence under its label."""
    return textwrap.wrap(
        sentence,
        WIDTH,
        initial_indent=f"  {label}",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
