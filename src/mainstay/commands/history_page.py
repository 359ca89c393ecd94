"""The page of a history, with its feed; a separate module because only it needs templates and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from mainstay.commands.history import read
from mainstay.gates.trends import metric_trends
from mainstay.records.errors import StoreError
from mainstay.reports.history import render_feed, render_history
from mainstay.revisions.git import Repository
from mainstay.revisions.tracking import refuse_tracked_links
from mainstay.stats.trend import RUN_LENGTH
from mainstay.store.files import leads_to_file, write_output


def write_page(
    folder: Path, output: Path, *, title: str | None, remote: str | None, environ: Mapping[str, str]
) -> Path:
    """Write the history page, and next to it the feed of confirmed changes.

    Args:
        folder: A folder in the user's repository.
        output: File of the page.
        title: Name of the project; that of the repository's folder if ``None``.
        remote: Remote at which the history is shared.
        environ: The user's environment.

    Returns:
        File of the feed.

    Raises:
        StoreError: If a file cannot be written, or no feed can lie next to the page.
        GitError: If git tracks a link that leads to the feed.
    """
    if not leads_to_file(output):
        raise StoreError(
            "the feed is written next to the page, so the page must be a regular file",
            looked_in=str(output),
            next_step="name a file, such as '--output history.html'",
        )
    feed = output.with_suffix(".atom")
    refuse_tracked_links(feed)
    history = read(folder, remote=remote, environ=environ)
    trends = metric_trends(history.runs)
    name = title or Repository.discover(folder).root.name
    updated = max((run.created for run in history.runs), default=datetime.fromtimestamp(0, UTC).isoformat())
    write_output(output, render_history(history, trends, title=name, feed=feed.name, run_length=RUN_LENGTH))
    write_output(feed, render_feed(trends, title=name, updated=updated))
    return feed
