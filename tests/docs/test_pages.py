"""Every code block of every page, as a reader would run it; pages marked slow run with ``--slow``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.documentation.code_blocks import Shell, iter_examples
from scripts.documentation.figures import replace_figures
from scripts.documentation.front_matter import front_matter

ROOT = Path(__file__).parents[2]


def page_param(page):
    marks = [pytest.mark.slow] if front_matter(page.read_text("utf-8")).get("slow") == "true" else []
    return pytest.param(page, id=page.relative_to(ROOT / "docs").as_posix(), marks=marks)


@pytest.mark.parametrize("page", [page_param(page) for page in sorted((ROOT / "docs").rglob("*.md"))])
def test_code_blocks_run(page, tmp_path, monkeypatch):
    text = replace_figures(page.read_text("utf-8"), ROOT)
    if front_matter(text).get("workspace") == "clone":
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "mainstay")], check=True)
        monkeypatch.chdir(tmp_path / "mainstay")
    else:
        monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)

    for example in iter_examples(text, page.name, Shell(Path.cwd())):
        example.evaluate()
