"""Run the notebook of the lesson and write it with all that it printed and drew as a page of the site.

The notebook is kept without outputs, so that a change of it can be read; the page is committed with them::

    python -m scripts.documentation.notebook

runs every cell from top to bottom, fails where one fails, and writes ``docs/tutorials/notebook.md`` and its pictures. A
picture has its alternative text in the metadata of its cell, ``alt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "one-neuron-to-mnist.ipynb"
PAGE = ROOT / "docs" / "tutorials" / "notebook.md"
PICTURES = ROOT / "docs" / "assets" / "notebook"
SETTINGS = "%config InlineBackend.figure_formats = ['svg']\nimport matplotlib; matplotlib.rcParams['svg.hashsalt'] = 'notebook'"
METADATA = re.compile(r"<metadata>.*?</metadata>|<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->", re.DOTALL)
HEAD = """---
description: A neuron, a network by hand and the same network with PyTorch, as a notebook with its output and pictures.
---

"""


def main() -> None:
    """Run and write."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETTINGS))
    NotebookClient(notebook, timeout=600, kernel_name="python3", coalesce_streams=True).execute()
    PICTURES.mkdir(exist_ok=True)
    PAGE.write_text(HEAD + "\n".join(block for cell in notebook.cells[1:] for block in blocks(cell)), "utf-8")


def blocks(cell: Any) -> Iterator[str]:
    """Yield what a cell shows: its text, or its code with what came of it."""
    if cell.cell_type == "markdown":
        yield f"{cell.source}\n"
        return
    yield f'``` {{ .python title="Not run here: the session notebook runs it" }}\n{cell.source}\n```\n'
    for number, output in enumerate(cell.outputs):
        if output.output_type == "stream":
            yield f"```text\n{output.text}```\n"
        elif "image/svg+xml" in output.get("data", {}):
            picture = PICTURES / f"cell{cell.id}-{number}.svg"
            drawn = METADATA.sub("", output.data["image/svg+xml"]).strip()
            picture.write_text("".join(f"{line.rstrip()}\n" for line in drawn.splitlines()), "utf-8")
            yield f"![{cell.metadata['alt']}](../assets/notebook/{picture.name}){{ .notebook-picture }}\n"


if __name__ == "__main__":
    main()
