"""The waive command: add a waiver to the reviewed file of a repository."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mainstay.commands.start import configuration_of
from mainstay.project.waivers import JUDGED_WAIVERS, append_waiver
from mainstay.records.findings import Waiver
from mainstay.revisions.git import Repository
from mainstay.store.files import refuse_link


def waive(path: Path, *, judged: bool = False, metric: str, limit: float, reason: str, until: str) -> Path:
    """Add a waiver to the reviewed file of the repository, or to the file that ``mainstay judge`` reads.

    Args:
        path: A folder in the user's repository, or the folder in which results are judged.
        judged: Whether the metric belongs to stored results; then no repository is needed.
        metric: Id or name of the metric.
        limit: The largest degradation accepted, on the scale of the margin.
        reason: Why it is accepted.
        until: ISO date of the last day on which it applies.

    Returns:
        The file.

    Raises:
        UsageError: If the last day is in the past.
        ConfigurationError: If the file or the entry cannot be read.
        StoreError: If the file is a link, lies in a linked folder, or cannot be written.
    """
    root, name = (path, JUDGED_WAIVERS) if judged else _reviewed_file(path)
    place = root / name
    refuse_link(place, root)
    append_waiver(place, Waiver(metric=metric, limit=limit, reason=reason, until=until), datetime.now(UTC).date())
    return place


def _reviewed_file(path: Path) -> tuple[Path, str]:
    """The folder of the project, and the file of waivers in it that the settings name."""
    repository = Repository.discover(path)
    return repository.root, configuration_of(repository, repository.candidate().revision.commit).waivers
