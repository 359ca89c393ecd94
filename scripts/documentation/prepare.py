"""Write the pages of the site as plain Markdown, the step before any generator of sites.

``docs/`` holds what people write; the folder that this writes holds every page as a generator shows it:

- figures and charts stand in their places (``figures.py``), diagrams as their drawings (``diagrams.py``);
- notes for tests are gone (``for_readers.py``);
- pages that are made from code, results and the files at the root of the repository are there, with reports and feeds;
- the front matter of a page says its language and where its translation stands (``languages.py``).

What is left to the generator is Markdown, ``mkdocs.yml`` and the API, which mkdocstrings reads from the source::

    python -m scripts.documentation.prepare            writes build/docs
    python -m scripts.documentation.prepare --serve    writes it, again after each change, beside mkdocs serve
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from mainstay.store import documents
from scripts.documentation import (
    community,
    diagrams,
    figures,
    for_readers,
    languages,
    llms,
    own_history,
    reference,
    releases,
    results,
    run_schema,
    samples,
)

ROOT = Path(__file__).resolve().parents[2]
SOURCES, PREPARED = ROOT / "docs", ROOT / "build" / "docs"
RESULTS, SAMPLES = SOURCES / "results", SOURCES / "samples"
SITE_URL = os.environ.get("SITE_URL", "http://127.0.0.1:8000/")
REPOSITORY_URL = os.environ.get("REPOSITORY_URL", "")


def prepared_site() -> dict[str, bytes]:
    """Return every file of the folder that a generator reads, by its place."""
    sources = {file.relative_to(SOURCES).as_posix(): file for file in sorted(SOURCES.rglob("*")) if file.is_file()}
    written = {place: file.read_text("utf-8") for place, file in sources.items() if place.endswith(".md")}
    copied = {
        place: file.read_bytes()
        for place, file in sources.items()
        if place not in written and file.parent != diagrams.DRAWN
    }
    pages = languages.with_languages({place: plain(place, text) for place, text in written.items()} | made_pages())
    texts = {
        **pages,
        **made_files(),
        "llms.txt": llms.render(pages, (ROOT / "mkdocs.yml").read_text("utf-8"), SITE_URL),
    }
    return copied | {place: text.encode() for place, text in texts.items()}


def plain(place: str, markdown: str) -> str:
    """Return a page as any generator shows it.

    Raises:
        SystemExit: If a figure or a drawing that it asks for does not exist.
    """
    try:
        drawn = diagrams.replace_diagrams(figures.replace_figures(markdown, ROOT))
    except (figures.FigureError, diagrams.DiagramError) as error:
        raise SystemExit(f"docs/{place}: {error}") from None
    return for_readers.for_readers(drawn, REPOSITORY_URL)


def made_pages() -> dict[str, str]:
    """Return the pages that nobody writes, by place."""
    from mainstay.cli import main as mainstay
    from mnist_reference.__main__ import cli as mnist_reference

    commands: dict[str, click.Command] = {"mainstay": mainstay, "python -m mnist_reference": mnist_reference}
    modules = reference.public_modules(ROOT / "src")
    measured = {f"project/{name}.md": text for name, text in results.result_pages(RESULTS).items()}
    return {
        "reference/command-line.md": reference.render_command_line(commands),
        "reference/configuration.md": reference.render_configuration(),
        "reference/exit-statuses.md": reference.render_exit_statuses(),
        "reference/markers.md": reference.render_markers(),
        "reference/run-schema.md": run_schema.render(),
        "reference/sessions.md": reference.render_sessions((ROOT / "noxfile.py").read_text("utf-8")),
        "reference/api/index.md": reference.render_api(modules),
        **{f"reference/api/{name}.md": reference.render_module(name) for name in modules},
        "project/index.md": results.index_page(RESULTS),
        "project/samples.md": samples.render_samples_page(SAMPLES),
        "project/own-history.md": own_history.render_own_history(RESULTS),
        "project/releases.md": releases.render_releases_page(read_changelog()),
        **measured,
        **community.pages(ROOT, REPOSITORY_URL),
    }


def made_files() -> dict[str, str]:
    """Return what stands beside the pages, by place: reports, feeds and the schema of the run document."""
    reports = samples.sample_reports(SAMPLES) | own_history.own_history_files(RESULTS)
    return {
        "feed.xml": releases.render_feed(read_changelog(), SITE_URL),
        "reference/run.schema.json": json.dumps(documents.run_schema(), indent=2) + "\n",
        **{f"project/reports/{name}": page for name, page in reports.items()},
    }


def read_changelog() -> list[releases.Release]:
    """Return the releases, newest first."""
    return releases.parse_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"))


def write(files: dict[str, bytes], folder: Path) -> None:
    """Make a folder hold these files and no others; what is right already keeps its time."""
    for place, content in files.items():
        file = folder / place
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    for file in folder.rglob("*"):
        if file.is_file() and file.relative_to(folder).as_posix() not in files:
            file.unlink()


def follow(prepare: Callable[[], None], *options: str) -> int:
    """Serve the site, and prepare it anew after each change of ``docs/``.

    Args:
        prepare: Writes the folder.
        *options: For ``mkdocs serve``.
    """
    with subprocess.Popen(["mkdocs", "serve", *options]) as server:
        seen = newest_change()
        while server.poll() is None:
            time.sleep(1)
            if (now := newest_change()) != seen:
                seen = now
                prepare()
        return server.returncode


def newest_change() -> float:
    """Return when something in ``docs/`` was last written."""
    return max(file.stat().st_mtime for file in SOURCES.rglob("*"))


def main(arguments: list[str]) -> int:
    """Write the folder, and serve it if that is asked for."""

    def prepare() -> None:
        write(prepared_site(), PREPARED)

    prepare()
    return follow(prepare, *arguments[1:]) if arguments[:1] == ["--serve"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
