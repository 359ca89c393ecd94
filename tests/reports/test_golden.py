"""Reports of the four runs, byte for byte.

After an intended change write them anew with ``MAINSTAY_REGENERATE_GOLDEN=1 pytest tests/reports/test_golden.py`` and
read the difference before committing it.
"""

import os
from pathlib import Path

import pytest

from mainstay.documents import run_from_json, run_to_json

GOLDEN = Path(__file__).parent / "golden"
SUFFIXES = {"text": "txt", "markdown": "md", "html": "html", "junit": "xml", "annotations": "log"}


@pytest.fixture(scope="session", autouse=True)
def regenerated(runs, renderers):
    """Golden files as they are, or written anew when asked for."""
    if os.environ.get("MAINSTAY_REGENERATE_GOLDEN"):
        for name, run in runs.items():
            (GOLDEN / f"{name}.json").write_bytes(run_to_json(run).encode())
            for form, suffix in SUFFIXES.items():
                (GOLDEN / f"{name}.{suffix}").write_bytes(renderers[form](run).encode())


@pytest.mark.parametrize("name", ["passing", "failing", "inconclusive", "error"])
@pytest.mark.parametrize("form", SUFFIXES)
def test_document_renders_to_the_golden_report(renderers, name, form):
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")

    report = renderers[form](run_from_json(text, where=name))

    assert report.encode() == (GOLDEN / f"{name}.{SUFFIXES[form]}").read_bytes()


@pytest.mark.parametrize("name", ["passing", "failing", "inconclusive", "error"])
def test_golden_document_is_the_run_it_stands_for(runs, name):
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")

    assert run_from_json(text, where=name) == runs[name]


def test_page_of_the_largest_golden_run_is_small_enough_for_an_artifact(renderers, failing):
    assert len(renderers["html"](failing).encode()) < 1_500_000
