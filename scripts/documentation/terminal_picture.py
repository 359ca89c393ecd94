"""Draw what the home page and the README show first: how a real gate ends in a terminal.

    python scripts/documentation/terminal_picture.py

Renders the sample ``docs/samples/failing.json`` for a terminal, takes what stands last on the screen and writes
``docs/assets/pictures/gate-light.svg`` and ``gate-dark.svg``. A picture asks for no font and nothing else from elsewhere.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from mainstay.reports.terminal import render_terminal
from mainstay.reports.text import render_text
from mainstay.store.documents import run_from_json

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "docs" / "samples" / "failing.json"
PICTURES = ROOT / "docs" / "assets" / "pictures"
WIDTH = 80
LIGHT = TerminalTheme(
    (246, 248, 250),
    (31, 35, 40),
    [
        (31, 35, 40),
        (179, 29, 40),
        (17, 99, 41),
        (125, 78, 0),
        (5, 80, 174),
        (130, 80, 223),
        (27, 124, 131),
        (87, 96, 106),
    ],
)
DARK = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        *((110, 118, 129), (255, 123, 114), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (230, 237, 243)),
    ],
)
THEMES = {"light": LIGHT, "dark": DARK}
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The end of a gate in a terminal</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def last_on_screen() -> str:
    """Return the table, the next steps and the verdict of the sample, with colours."""
    run = run_from_json(RUN.read_text("utf-8"), where=RUN.name)
    return render_terminal(run, width=WIDTH, colour=True).removeprefix(render_text(run, width=WIDTH)).strip()


def render(theme: str) -> str:
    """Return the picture in the colours of a theme, ``light`` or ``dark``."""
    console = Console(record=True, width=WIDTH, file=StringIO(), legacy_windows=False, _environ={})
    console.print(Text.from_ansi(last_on_screen()))
    picture = console.export_svg(title="mainstay gate", theme=THEMES[theme], code_format=FORMAT, unique_id="gate")
    return "".join(f"{line.strip()}\n" for line in picture.splitlines() if line.strip())


def main() -> None:
    """Write both pictures."""
    for theme in THEMES:
        (PICTURES / f"gate-{theme}.svg").write_text(render(theme), "utf-8")


if __name__ == "__main__":
    main()
