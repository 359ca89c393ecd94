"""Take the picture of a real report that the home page shows.

    python scripts/documentation/report_picture.py

Renders the sample ``docs/samples/failing.json`` as a page, opens it in the system's Chromium and writes
``docs/assets/pictures/report.png``. A picture names the page that it shows by its SHA-256, in a text chunk: where the page has changed,
it must be taken again.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from mainstay.reports.html import render_html
from mainstay.store.documents import run_from_json

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "docs" / "samples" / "failing.json"
PICTURE = ROOT / "docs" / "assets" / "pictures" / "report.png"
WIDTH, HEIGHT = 1000, 760
KEY = b"Page-SHA256"
END = struct.pack(">I", 0) + b"IEND"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def page_of_sample() -> str:
    """Return the page that the picture shows."""
    return render_html(run_from_json(RUN.read_text("utf-8"), where=RUN.name))


def chunk_of(page: str) -> bytes:
    """Return the text chunk of a PNG that names a page by its hash."""
    content = b"tEXt" + KEY + b"\0" + hashlib.sha256(page.encode()).hexdigest().encode()
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


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
        text = page_of_sample()
        page.write_text(text, "utf-8")
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
    before, end, after = PICTURE.read_bytes().rpartition(END)
    PICTURE.write_bytes(before + chunk_of(text) + end + after)


if __name__ == "__main__":
    main()
