"""The waive command: add a waiver to the reviewed file of a repository."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mainstay.commands.start import configuration_of
from mainstay.project.waivers import JUDGED_WAIVERS, append_waiver
from mainstay.records.errors import ConfigurationError
from mainstay.records.findings import Waiver
from mainstay.revisions.git import Repository


def waive(path: Path, *, metric: str, limit: float, reason: str, until: str) -> Path:
    """Add a waiver to the reviewed file of the repository.

    Args:
        path: A folder in the user's repository.
        metric: Id or name of the metric.
        limit: The largest degradation accepted, on the scale of the margin.
        reason: Why it is accepted.
        until: ISO date of the last day on which it applies.

    Returns:
        The file.

    Raises:
        UsageError: If the last day is in the past.
        ConfigurationError: If the file lies outside the project.
    """
    repository = Repository.discover(path)
    candidate = repository.candidate().revision
    waivers = configuration_of(repository, candidate).waivers
    place = repository.root / waivers
    if not place.parent.resolve().is_relative_to(repository.root.resolve()):
        raise ConfigurationError(
            f"a link leads the waivers {waivers!r} out of the project",
            looked_in=str(place.parent.resolve()),
            next_step="name another file as 'waivers' in [tool.mainstay]",
        )
    append_waiver(place, Waiver(metric=metric, limit=limit, reason=reason, until=until), datetime.now(UTC).date())
    return place


def waive_judged(folder: Path, *, metric: str, limit: float, reason: str, until: str) -> Path:
    """Add a waiver of a metric of stored results to the file that ``mainstay judge`` reads; no repository is needed.

    Args:
        folder: Folder in which results are judged.
        metric: Id or name of the metric.
        limit: The largest degradation accepted, on the scale of the margin.
        reason: Why it is accepted.
        until: ISO date of the last day on which it applies.

    Returns:
        The file.

    Raises:
        UsageError: If the last day is in the past.
        ConfigurationError: If the entry cannot be read.
    """
    place = folder / JUDGED_WAIVERS
    append_waiver(place, Waiver(metric=metric, limit=limit, reason=reason, until=until), datetime.now(UTC).date())
    return place
