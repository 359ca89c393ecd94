"""Progress of a gate for the user: a live table on a terminal, one line for each look in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from mainstay.records.findings import Verdict
from mainstay.records.formatting import UNKNOWN, change_text, degradation_text, interval_text
from mainstay.records.trials import Outcome
from mainstay.reports.cleaning import NAME_LENGTH, clean
from mainstay.reports.counting import VERDICT_ORDER, count_words, word
from mainstay.reports.labels import short_labels

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

    from mainstay.measuring.loop import Progress
    from mainstay.records.findings import Finding
    from mainstay.records.trials import Trial


MAX_ROWS = 15
"""Largest number of metrics in the live table; failing and undecided ones come first."""

SIGN_OF_LIFE_SECONDS = 300.0
"""Longest time without output in a log, since some CI systems end a job that prints nothing."""


class PlainProgress:
    """One line for every phase, look and failure, for logs.

    Args:
        stream: Stream that lines are written to.
        clock: Function that gives the time.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._start = self._last = clock()

    def phase(self, name: str) -> None:
        """A phase of the gate begins."""
        self._say(name)

    def note(self, text: str) -> None:
        """Something that the reader must know now."""
        self._say(f"note: {clean(text)}")

    def trial_done(self, trial: Trial) -> None:
        """A trial ended; a line is printed only if it did not complete."""
        if trial.outcome is not Outcome.COMPLETED:
            self._say(describe_trial(trial))

    def pairs_done(self, progress: Progress) -> None:
        """A pair ended; a line is printed only if there was no output for long."""
        if self._clock() - self._last >= SIGN_OF_LIFE_SECONDS:
            self._say(describe_progress(progress))

    def look_taken(self, look: int, findings: Sequence[Finding]) -> None:
        """A look was taken."""
        self._say(describe_look(look, findings))

    def _say(self, text: str) -> None:
        self._last = self._clock()
        print(f"[{self._last - self._start:6.1f} s] {text}", file=self._stream, flush=True)


class LiveProgress:
    """A table that is redrawn in place, for a terminal.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._phase = ""
        self._last_trial = ""
        self._progress: Progress | None = None

    def phase(self, name: str) -> None:
        """A phase of the gate begins."""
        self._phase = name
        self._redraw()

    def note(self, text: str) -> None:
        """Something that the reader must know now."""
        from rich.markup import escape

        self._console.print(f"[bold yellow]note:[/] {escape(clean(text))}")

    def trial_done(self, trial: Trial) -> None:
        """A trial ended."""
        self._last_trial = describe_trial(trial)
        self._redraw()

    def pairs_done(self, progress: Progress) -> None:
        """A pair ended."""
        self._progress = progress
        self._redraw()

    def look_taken(self, look: int, findings: Sequence[Finding]) -> None:
        """A look was taken."""
        if self._progress:
            self._progress = replace(self._progress, findings=tuple(findings))
        self._redraw()

    @contextmanager
    def shown(self) -> Iterator[LiveProgress]:
        """Draw while the context lasts."""
        from rich.live import Live

        with Live(console=self._console, get_renderable=self._render, transient=True, refresh_per_second=4) as live:
            self._live = live
            yield self

    def _redraw(self) -> None:
        if self._live:
            self._live.refresh()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        lines: list[RenderableType] = [Spinner("dots", Text(self._phase or "starting"))]
        if self._progress:
            lines.append(Text(f"  {describe_progress(self._progress)}"))
            lines.append(_table(self._progress.findings))
        if self._last_trial:
            lines.append(Text(f"  {self._last_trial}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)


def _table(findings: Sequence[Finding]) -> Table:
    """Current state of each metric; failing and undecided ones come first."""
    from rich.table import Table
    from rich.text import Text

    rows = finding_cells(findings)
    left = len(rows) - MAX_ROWS
    table = Table(caption=f"and {left} more" if left > 0 else None, header_style="bold", expand=False)
    table.add_column("metric", overflow="fold")
    for heading in ("pairs", "estimate", "interval", "margin"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", no_wrap=True)
    for row in rows[:MAX_ROWS]:
        table.add_row(*map(Text, row))
    return table


@contextmanager
def progress_for(stream: TextIO) -> Iterator[PlainProgress | LiveProgress]:
    """An observer that suits a stream: live on a terminal, plain lines elsewhere."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainProgress(stream)
        return
    from rich.console import Console

    with LiveProgress(Console(file=stream)).shown() as live:
        yield live


def describe_trial(trial: Trial) -> str:
    """A trial in one line."""
    scored = [f"{name} of {len(examples.ids)} items" for name, examples in trial.examples.items()]
    what = ", ".join([*(f"{name} {value:.6g}" for name, value in trial.values.items()), *scored]) or trial.cause
    return clean(f"{trial.workload} {trial.side} seed {trial.seed}: {trial.outcome}, {what} ({trial.duration_s:.1f} s)")


def describe_progress(progress: Progress) -> str:
    """Pairs done and the time left in one line."""
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s left"
    return f"{progress.num_done} of {progress.num_planned} pairs to the next look{left}"


def describe_look(look: int, findings: Sequence[Finding]) -> str:
    """The result of a look in one line: counts of metrics, and the state of the most important one."""
    text = f"look at {look} pairs: {count_words(map(word, findings))}"
    worst = next(iter(_sorted(findings)), None)
    if worst is None or worst.verdict is Verdict.PASS:
        return text
    label, _, estimate, interval, margin, _ = finding_cells(findings)[0]
    return f"{text}; {label}: {estimate}, interval {interval}, margin {margin}"


def finding_cells(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """Rows of the live table: metric, pairs, estimate, interval, margin, verdict; failing and undecided ones first.

    Args:
        findings: Current findings; metrics of the same name are distinguished by their test.
    """
    labels = short_labels(finding.metric for finding in findings)
    return [
        (
            clean(labels[finding.metric.id], at_most=NAME_LENGTH),
            str(finding.num_pairs),
            clean(UNKNOWN if finding.estimate is None else change_text(finding.metric, finding.estimate)),
            interval_text(finding.metric, finding.interval),
            clean(degradation_text(finding.metric, finding.metric.scaled_margin)),
            finding.verdict.value,
        )
        for finding in _sorted(findings)
    ]


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that fail first, then undecided ones, each with the largest degradation first."""
    return sorted(findings, key=lambda each: (VERDICT_ORDER.index(each.verdict), -each.degradation_in_margins))
