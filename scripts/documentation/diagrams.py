"""Diagrams are written as Mermaid, drawn beforehand, and stand in the pages as SVG.

A browser needs 5 MB of JavaScript to draw them at view time, so ``nox -s diagrams`` draws each one once, with the
Mermaid of ``package-lock.json`` in Chromium, and keeps it in ``docs/assets/diagrams`` under the hash of its source. A
build only looks it up: it needs neither Node nor a browser, and a diagram that was changed but not drawn again ends it. Colours are the theme's variables, so that one drawing serves light and dark.

    python scripts/documentation/diagrams.py          draws what is missing, removes what no page shows
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRAWN = ROOT / "docs" / "assets" / "diagrams"
MERMAID = Path(__file__).parent / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
FENCE = re.compile(r"^(?P<indent> *)```mermaid\n(?P<source>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
LEAST_SCALE = 0.65
"""A drawing is not made smaller than this to fit the page; letters of 16 pixels keep 10."""

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --virtual-time-budget=60000 --dump-dom"
)

STYLE = """
svg { font-family: var(--md-text-font-family, sans-serif); }
.node rect, .node circle, .node ellipse, .node polygon, .node path, .actor, .labelBox, .note {
  fill: var(--md-code-bg-color) !important; stroke: var(--md-accent-fg-color) !important; }
.cluster rect { fill: transparent !important; stroke: var(--md-default-fg-color--light) !important; }
text, tspan, .messageText, .loopText, .noteText { fill: var(--md-typeset-color) !important; stroke: none !important; }
.edgePath path, .flowchart-link, .messageLine0, .messageLine1, .actor-line, .transition, .relation, .edge {
  stroke: var(--md-default-fg-color--light) !important; }
marker path, marker circle { fill: var(--md-default-fg-color--light) !important; stroke: none !important; }
.edgeLabel rect, .edgeLabel .background, .labelBkg { fill: var(--md-default-bg-color) !important; opacity: 1 !important; }
"""

PAGE = """<!doctype html><meta charset="utf-8"><pre id="drawn"></pre><script src="{mermaid}"></script><script>
mermaid.initialize({{startOnLoad: false, securityLevel: "strict", htmlLabels: false, deterministicIds: true, theme: "base",
  fontFamily: "sans-serif", flowchart: {{htmlLabels: false}}, themeCSS: {style}}});
(async () => {{
  const drawn = {{}};
  for (const [name, source] of Object.entries({sources})) {{
    try {{ drawn[name] = (await mermaid.render("diagram-" + name, source)).svg; }}
    catch (error) {{ drawn[name] = "error: " + error.message; }}
  }}
  const bytes = new TextEncoder().encode(JSON.stringify(drawn));
  document.getElementById("drawn").textContent = btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}})();
</script>
"""


def diagram_name(source: str) -> str:
    r"""Return the name under which a diagram is kept.

    Example:
        >>> diagram_name("graph LR\n  a --> b\n") == diagram_name("graph LR\n  a --> b")
        True
    """
    return hashlib.sha256(f"{source.strip()}\n{STYLE}".encode()).hexdigest()[:16]


def iter_sources(text: str) -> Iterable[str]:
    r"""Yield the diagrams of a page of Markdown.

    Example:
        >>> list(iter_sources("text\n\n    ```mermaid\n    graph LR\n      a --> b\n    ```\n"))
        ['graph LR\n  a --> b\n']
    """
    for match in FENCE.finditer(text):
        yield textwrap.dedent(match["source"])


class DiagramError(Exception):
    """A diagram has no drawing, or says nothing to those who cannot see it."""


def replace_diagrams(markdown: str) -> str:
    """Return a page whose diagrams are drawn.

    Raises:
        DiagramError: If one is not drawn or not described.
    """
    return FENCE.sub(lambda match: match["indent"] + drawing(textwrap.dedent(match["source"])), markdown)


def drawing(source: str) -> str:
    """Return one diagram as a line of HTML.

    Raises:
        DiagramError: If it is not drawn or not described.
    """
    file = DRAWN / f"{diagram_name(source)}.svg"
    if "accTitle:" not in source or "accDescr" not in source:
        raise DiagramError(
            f"a diagram says nothing to those who cannot see it: add accTitle: and accDescr: to\n{source}"
        )
    if not file.is_file():
        raise DiagramError(f"a diagram was changed but not drawn again: run nox -s diagrams for\n{source}")
    svg = " ".join(file.read_text("utf-8").split())
    width = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+)', svg)
    least = float(width[1]) * LEAST_SCALE if width else 0
    return f'<figure class="diagram" tabindex="0" style="--least-width: {least:.0f}px">{svg}</figure>\n'


def draw(sources: dict[str, str]) -> dict[str, str]:
    """Draw diagrams in Chromium.

    Args:
        sources: Name to Mermaid.

    Raises:
        SystemExit: If Chromium or Mermaid is not there, or a source does not read.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if not chromium or not MERMAID.is_file():
        raise SystemExit("drawing needs Chromium on the PATH and 'npm ci' in scripts/documentation")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "draw.html")
        page.write_text(
            PAGE.format(mermaid=MERMAID.as_uri(), style=json.dumps(STYLE), sources=json.dumps(sources)), "utf-8"
        )
        command = [chromium, *ARGUMENTS.split(), f"--user-data-dir={folder}/profile", page.as_uri()]
        dom = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r'<pre id="drawn">([^<]*)</pre>', dom)
    drawn: dict[str, str] = json.loads(base64.b64decode(found[1])) if found and found[1] else {}
    for name, source in sources.items():
        if not drawn.get(name, "").startswith("<svg"):
            raise SystemExit(f"{drawn.get(name, 'Chromium drew nothing')} in\n{source}")
    return drawn


def main() -> int:
    """Draw what is missing and remove what no page shows."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    sources = {diagram_name(source): source for page in pages for source in iter_sources(page.read_text("utf-8"))}
    missing = {name: source for name, source in sources.items() if not (DRAWN / f"{name}.svg").exists()}
    for stale in DRAWN.glob("*.svg"):
        if stale.stem not in sources:
            stale.unlink()
    DRAWN.mkdir(parents=True, exist_ok=True)
    for name, svg in (draw(missing) if missing else {}).items():
        (DRAWN / f"{name}.svg").write_text(f"{svg}\n", "utf-8")
    print(f"{len(sources)} diagrams, {len(missing)} drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
