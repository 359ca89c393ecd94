"""Progress of a gate as the user sees it: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from mainstay.reports.cleaning import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from mainstay.measuring.loop import Observer, Progress
    from mainstay.records.findings import Finding
    from mainstay.records.trials import Trial


class PlainProgress:
    """One line for every event, for logs.

    Args:
        stream: Where lines are written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()

    def phase(self, name: str) -> None:
        """A phase of the gate begins."""
        self._say(name)

    def note(self, text: str) -> None:
        """Something that the reader must know now."""
        self._say(f"note: {clean(text)}")

    def trial_done(self, trial: Trial) -> None:
        """A trial ended."""
        self._say(describe_trial(trial))

    def pairs_done(self, progress: Progress) -> None:
        """A pair ended."""
        self._say(describe_progress(progress))
        for finding in progress.findings:
            self._say(f"  {describe_finding(finding)}")

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._start:6.1f} s] {text}", file=self._stream, flush=True)


class LiveProgress:
    """A block that is redrawn in place, for a terminal.

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
            lines += [Text(f"  {describe_finding(finding)}") for finding in self._progress.findings]
        if self._last_trial:
            lines.append(Text(f"  {self._last_trial}", style="dim"))
        return Group(*lines)


@contextmanager
def progress_for(stream: TextIO) -> Iterator[Observer]:
    """An observer that suits a stream: live on a terminal, plain lines elsewhere."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainProgress(stream)
        return
    from rich.console import Console

    with LiveProgress(Console(file=stream)).shown() as live:
        yield live


def describe_trial(trial: Trial) -> str:
    """A trial in one line."""
    what = ", ".join(f"{name} {value:.6g}" for name, value in trial.values.items()) or trial.cause
    return clean(f"{trial.workload} {trial.side} seed {trial.seed}: {trial.outcome}, {what} ({trial.duration_s:.1f} s)")


def describe_progress(progress: Progress) -> str:
    """Pairs done and the time left in one line."""
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s left"
    return f"{progress.num_done} of {progress.num_planned} pairs to the next look{left}"


def describe_finding(finding: Finding) -> str:
    """The current estimate and interval of a metric in one line."""
    text = f"{finding.metric.name}: {finding.verdict}"
    if finding.estimate is not None:
        text += f", degradation {finding.estimate:+.4g}"
    if finding.interval is not None:
        text += f" in [{finding.interval.low:.4g}, {finding.interval.high:.4g}]"
    unit = "of the baseline" if finding.metric.scale.is_relative else finding.metric.unit
    return clean(f"{text} against a margin of {finding.metric.margin:g} {unit}".rstrip())
