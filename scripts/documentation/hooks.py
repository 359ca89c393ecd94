"""What MkDocs does not know by itself: pages made at build time, figures from JSON, diagrams made beforehand.

Each event calls one module beside this one and holds no knowledge of its own:

- ``on_config``: fills the two places of the navigation that are named by a folder, ``reference/api/`` and ``project/``; gives Mermaid's fences to ``diagrams.py``.
- ``on_files``: adds the pages that are made from code and results.
- ``on_page_markdown``: puts figures and charts in their places, see ``figures.py``; takes out notes for tests, see ``for_readers.py``.
- ``on_post_template``, ``on_post_page``: say what each section of the navigation is called, and which pages are Chinese.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
SAMPLES = ROOT / "docs" / "samples"
NAMELESS_SECTION = re.compile(
    r'aria-labelledby="__nav_(\w+)_label"([^>]*>\s*<label class="md-nav__title" for="__nav_\1">'
    r"\s*<span[^>]*></span>\s*([^<]+?)\s*</label>)"
)
ALTERNATE = re.compile(r'(<link rel="alternate" )href="([^"]*)"(?= hreflang=)')
SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
PROJECT = """# Results

What the project measured about itself. Each page is made at build time from a file of `docs/results`, which carries the
command that makes it anew, the commit, the machine, the versions and the seeds.

"""

sys.path.insert(0, str(ROOT))

from mainstay.store import documents
from scripts.documentation import (
    diagrams,
    figures,
    for_readers,
    own_history,
    reference,
    releases,
    results,
    run_schema,
    samples,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the folders of the navigation; offer what only a published site has: edit links and a choice of versions."""
    if "MIKE_DOCS_VERSION" in os.environ:
        config.extra["version"] = {"provider": "mike"}
    config.edit_uri = "edit/main/docs/" if config.repo_url else ""
    sections = {"reference/api/": api_navigation(), "project/": project_navigation()}
    config.nav = filled(config.nav, sections)
    mermaid = {"name": "mermaid", "class": "diagram", "format": diagrams.fence}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [mermaid]
    return config


def filled(nav: Any, sections: dict[str, list[Any]]) -> Any:
    """Return a navigation whose folders are replaced by their pages."""
    if isinstance(nav, list):
        return [filled(entry, sections) for entry in nav]
    if isinstance(nav, dict):
        return {title: filled(entry, sections) for title, entry in nav.items()}
    return sections.get(nav, nav)


def api_navigation() -> list[Any]:
    """Return the pages of the modules, by package."""
    modules = reference.public_modules(ROOT / "src")
    packages = [
        {package: [{name: api_page(name)} for name in modules if name.partition(".")[0] == package]}
        for package in reference.PACKAGES
    ]
    return ["reference/api/index.md", *packages]


def project_navigation() -> list[Any]:
    """Return the pages of the project's own results, those of files that exist."""
    measured = [
        {results.page_title(name.replace("-", "_")): f"project/{name}.md"} for name in results.result_pages(RESULTS)
    ]
    return [
        "project/index.md",
        {"Sample reports": "project/samples.md"},
        *([{own_history.TITLE: "project/own-history.md"}] if has_own_history() else []),
        *measured,
        {"Releases": "project/releases.md"},
    ]


def has_own_history() -> bool:
    """Return whether the history of this repository is committed."""
    return (RESULTS / own_history.FILE).exists()


def project_links() -> list[str]:
    """Return links to the pages of the results, for their overview."""
    pages = [entry for entry in project_navigation() if isinstance(entry, dict)]
    return [f"[{title}]({place.removeprefix('project/')})" for page in pages for title, place in page.items()]


def api_page(module: str) -> str:
    """Return where the page of a module stands."""
    return f"reference/api/{module}.md"


def generated_pages() -> dict[str, str]:
    """Return the pages made at build time, by place."""
    from mainstay.cli import main as mainstay
    from mnist_reference.__main__ import cli as mnist_reference

    commands: dict[str, click.Command] = {"mainstay": mainstay, "python -m mnist_reference": mnist_reference}
    modules = reference.public_modules(ROOT / "src")
    return {
        "reference/command-line.md": reference.render_command_line(commands),
        "reference/configuration.md": reference.render_configuration(),
        "reference/exit-statuses.md": reference.render_exit_statuses(),
        "reference/run-schema.md": run_schema.render(),
        "reference/sessions.md": reference.render_sessions((ROOT / "noxfile.py").read_text("utf-8")),
        "reference/api/index.md": "# API\n\n" + "".join(f"- [`{name}`]({name}.md)\n" for name in modules),
        "project/index.md": PROJECT + "".join(f"- {link}\n" for link in project_links()),
        "project/samples.md": samples.render_samples_page(SAMPLES),
        **({"project/own-history.md": own_history.render_own_history(RESULTS)} if has_own_history() else {}),
        "project/releases.md": releases.render_releases_page(read_changelog()),
        **{f"project/{name}.md": text for name, text in results.result_pages(RESULTS).items()},
        **{api_page(name): reference.render_module(name) for name in modules},
    }


def read_changelog() -> list[releases.Release]:
    """Return the releases, newest first."""
    return releases.parse_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made at build time."""
    for place, text in generated_pages().items():
        files.append(File.generated(config, place, content=text))
    feed = releases.render_feed(read_changelog(), config.site_url or "")
    files.append(File.generated(config, "feed.xml", content=feed))
    files.append(File.generated(config, "zh/sitemap.xml", content=chinese_sitemap(files, config.site_url or "")))
    for name, page in (samples.sample_reports(SAMPLES) | own_history.own_history_files(RESULTS)).items():
        files.append(File.generated(config, f"project/reports/{name}", content=page))
    schema = json.dumps(documents.run_schema(), indent=2)
    files.append(File.generated(config, "reference/run.schema.json", content=f"{schema}\n"))
    return files


def chinese_sitemap(files: Files, site_url: str) -> str:
    """Return the list of Chinese pages, which the theme's choice of languages asks for."""
    urls = [file.url for file in files.documentation_pages() if file.src_uri.startswith("zh/")]
    locations = "".join(f"<url><loc>{site_url}{url}</loc></url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{SITEMAP}">{locations}</urlset>\n'


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Put figures and charts in their places, and leave what is for readers.

    Raises:
        PluginError: If one does not exist, which ends the build.
    """
    try:
        return for_readers.for_readers(figures.replace_figures(markdown, ROOT), config.repo_url)
    except figures.FigureError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from None


def on_post_template(output: str, *, template_name: str, config: MkDocsConfig) -> str:
    """Name the sections of the navigation of ``404.html``."""
    return with_named_sections(output) if template_name.endswith(".html") else output


def with_named_sections(html: str) -> str:
    """Return a page whose sections of the navigation say to a screen reader what they are called."""
    return NAMELESS_SECTION.sub(r'aria-label="\3"\2', html)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Name the language of a page and the sections of the navigation; give the other language's address in full."""

    def in_full(match: re.Match[str]) -> str:
        return f'{match[1]}href="{urljoin(f"{config.site_url}{page.url}", match[2])}"'

    named = ALTERNATE.sub(in_full, with_named_sections(output))
    return named.replace('<html lang="en"', '<html lang="zh"', 1) if page.file.src_uri.startswith("zh/") else named
