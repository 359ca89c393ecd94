"""The history of this repository, from ``docs/results/own_history.jsonl``: a kept run a line, in the order of commits.

``nox -s own_history`` gates the commits and writes the file; page and feed are rendered by the toolkit, as for any project.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mainstay.gates.trends import metric_trends
from mainstay.records.history import Entry, History
from mainstay.reports.history import render_feed, render_history
from mainstay.reports.markdown import code, markdown_text
from mainstay.reports.rows import standing_text
from mainstay.stats.trend import RUN_LENGTH
from mainstay.store.history import file_of, kept_from_json, stem_of

FILE = "own_history.jsonl"
TITLE = "History of this repository"
PAGE, FEED = "own-history.html", "own-history.atom"


def read_own_history(folder: Path) -> History:
    """Return the runs of the file.

    Args:
        folder: The folder of results.

    Raises:
        SchemaError: If a line cannot be read.
    """
    lines = (folder / FILE).read_text("utf-8").splitlines()
    runs = [kept_from_json(line, where=f"{FILE}, line {number}") for number, line in enumerate(lines, 1)]
    return History(entries=tuple(Entry(file=stem_of(file_of(run)), run=run) for run in runs))


def own_history_files(folder: Path) -> dict[str, str]:
    """Return the page and its feed, by file name; none where no history is committed.

    Args:
        folder: The folder of results.
    """
    if not (folder / FILE).exists():
        return {}
    history = read_own_history(folder)
    trends = metric_trends(history.runs)
    return {
        PAGE: render_history(history, trends, title="mainstay", feed=FEED, run_length=RUN_LENGTH),
        FEED: render_feed(trends, title="mainstay", updated=max(run.created for run in history.runs)),
    }


def render_own_history(folder: Path) -> str:
    """Return the page of the site that leads there and says where each metric stands.

    Args:
        folder: The folder of results.
    """
    runs = read_own_history(folder).runs
    verdicts = Counter(str(run.verdict) for run in runs)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    standings = [(trend.metric, trend.standing, len(trend.alarms)) for trend in metric_trends(runs)]
    rows = [
        f"| {code(metric.id)} | {markdown_text(standing_text(metric, standing)) if standing else 'not known yet'} | {alarms} |"
        for metric, standing, alarms in standings
    ]
    return HEAD.format(count=len(runs), verdicts=counts, page=PAGE, feed=FEED) + "".join(f"{row}\n" for row in rows)


HEAD = f"""# {TITLE}

The last commits of this repository that touch the product. Each is gated against the one before it, and every twentieth also against
the first of all over 20 pairs: {{count}} runs ({{verdicts}}). `nox -s own_history` gates them, with small budgets and some
of the workloads, on a machine that others used too. So if a level has a confirmed change that no pair shows, the machine changed, not the code: its load was different while the
commits were gated.

[Open the history](reports/{{page}}) as `mainstay history page` writes it, or its [feed](reports/{{feed}}) of confirmed changes.
[How history is judged](../explanation/history.md) explains the methods.

| metric | where it stands | alarms |
|---|---|---:|
"""
