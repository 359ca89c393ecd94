"""Session shared by the steps of a gate or calibration, and the end of a run that cannot continue.

- :class:`Session`: the values that are fixed before the first step, and the observer of progress.
- :func:`passing_session`: a session of a run that nothing is left of.
- :class:`Stopwatch`: seconds by phase.
- :func:`check_platform`, :func:`repository_for_runs`, :func:`recorded_failure`: refusals before the start of a run, and errors
  after it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

from mainstay.commands.start import BothSettings, Start, read_settings
from mainstay.measuring.loop import Observer
from mainstay.project.configuration import Configuration
from mainstay.records.errors import (
    ConfigurationError,
    Interrupted,
    MainstayError,
    OutageError,
    PlanError,
    StoreError,
)
from mainstay.revisions.git import Repository
from mainstay.store.journal import RunFolder, new_run
from mainstay.workers.process import collecting_seconds


class Stopwatch:
    """Stopwatch that adds up seconds by phase.

    Args:
        clock: Function that gives the time.

    Example:
        >>> watch = Stopwatch(clock=iter([0.0, 2.0, 5.0]).__next__)
        >>> watch.lap("revisions"), watch.lap("measuring")
        (None, None)
        >>> watch.seconds
        {'revisions': 2.0, 'measuring': 3.0}
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to a phase."""
        now = self._clock()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True)
class Session:
    """Inputs shared by all steps.

    Attributes:
        repository: The user's repository.
        folder: Folder of the run.
        start: Choices that were fixed when the run started.
        environ: The user's environment.
        observer: Receives progress reports.
        watch: Stopwatch of the phases.
    """

    repository: Repository
    folder: RunFolder
    start: Start
    _: KW_ONLY
    environ: Mapping[str, str]
    observer: Observer
    watch: Stopwatch = field(default_factory=Stopwatch)

    @cached_property
    def settings(self) -> BothSettings:
        """``[tool.mainstay]`` of both revisions.

        Raises:
            ConfigurationError: If the settings of the candidate cannot be read.
        """
        return read_settings(self.repository, self.start.baseline, self.start.candidate)

    @property
    def configuration(self) -> Configuration:
        """The settings in force."""
        return self.settings.in_force

    @property
    def collecting_seconds(self) -> float:
        """Time after which importing and collecting counts as hung, in seconds."""
        return collecting_seconds(self.configuration.trial_seconds, self.start.seconds)

    @property
    def today(self) -> date:
        """The day on which the run started."""
        return date.fromisoformat(self.start.created[:10])


@contextmanager
def passing_session(
    repository: Repository, start: Start, *, environ: Mapping[str, str], observer: Observer
) -> Iterator[Session]:
    """A session of a run that nothing is left of.

    Args:
        repository: The user's repository.
        start: Choices with which the run starts.
        environ: The user's environment.
        observer: Receives progress reports.

    Raises:
        ConfigurationError: If the settings of the candidate cannot be read.
    """
    created = datetime.fromisoformat(start.created)
    with tempfile.TemporaryDirectory() as place, new_run(Path(place), created, asdict(start)) as folder:
        yield Session(repository, folder, start, environ=environ, observer=observer)


@contextmanager
def recorded_failure(folder: RunFolder) -> Iterator[None]:
    """Journal an error that ends a gate for good, so that the gate is not resumed.

    A gate that was interrupted, or failed by an index, the network or the disk, can be resumed. So can one that was
    resumed under other conditions than it started with, and one that has measured something: if its revisions cannot be
    built again, the cause is rarely in the revisions. Only refused waivers and settings stay refused.
    """
    try:
        yield
    except (Interrupted, StoreError, OutageError, PlanError):
        raise
    except MainstayError as error:
        with suppress(StoreError):
            if isinstance(error, ConfigurationError) or not folder.journal.trials():
                folder.journal.append("failed", fact=error.fact, exit_status=error.exit_status)
        raise


def repository_for_runs(path: Path) -> Repository:
    """The repository of a folder, ready for a run: what killed runs left behind is removed.

    Raises:
        MainstayError: On a platform without workers, outside a repository, or if git tracks the runs.
    """
    check_platform(sys.platform)
    repository = Repository.discover(path)
    repository.refuse_tracked_runs()
    repository.sweep()
    return repository


def check_platform(platform: str) -> None:
    """Refuse a platform on which workers cannot be started.

    Raises:
        MainstayError: On Windows.
    """
    if platform == "win32":
        raise MainstayError(
            "the gate needs Linux or macOS", looked_in=platform, next_step="run it there, or in a Linux container"
        )
