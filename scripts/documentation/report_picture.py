"""Take the picture of a real report that the home page shows.

    python scripts/documentation/report_picture.py

Renders the sample ``docs/samples/failing.json`` as a page, opens it in the system's Chromium and writes
``docs/assets/pictures/report.png``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from mainstay.reports.html import render_html
from mainstay.store.documents import run_from_json

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "docs" / "samples" / "failing.json"
PICTURE = ROOT / "docs" / "assets" / "pictures" / "report.png"
WIDTH, HEIGHT = 1000, 760
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Render, open, keep.

    Raises:
        SystemExit: If there is no Chromium.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if not chromium:
        raise SystemExit(f"error: no Chromium\n  looked in: the PATH, for {', '.join(CHROMIUMS)}")
    with tempfile.TemporaryDirectory() as place:
        page = Path(place, "report.html")
        page.write_text(render_html(run_from_json(RUN.read_text("utf-8"), where=RUN.name)), "utf-8")
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={place}", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}"),
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
