"""Reports of the published samples and of a run with every verdict, byte for byte.

After an intended change write them anew with ``MAINSTAY_REGENERATE_GOLDEN=1 pytest tests/reports/test_golden.py`` and
read the difference before committing it.
"""

import os
from pathlib import Path

import pytest

from mainstay.store.documents import run_from_json, run_to_json

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
SAMPLE_NAMES = ("passing", "timed", "failing", "inconclusive", "error")
SUFFIXES = {"text": "txt", "markdown": "md", "html": "html", "junit": "xml", "annotations": "log"}

pytestmark = pytest.mark.in_repository


@pytest.fixture(scope="session")
def documents(failing):
    """The published samples, and ``mixed``: a run made up by the tests that has verdicts which the samples lack."""
    samples = {name: (SAMPLES / f"{name}.json").read_text(encoding="utf-8") for name in SAMPLE_NAMES}
    return {**samples, "mixed": run_to_json(failing)}


@pytest.fixture(scope="session", autouse=True)
def regenerated(documents, renderers):
    """Golden files as they are, or written anew when asked for."""
    if os.environ.get("MAINSTAY_REGENERATE_GOLDEN"):
        for name, document in documents.items():
            for form, suffix in SUFFIXES.items():
                report = renderers[form](run_from_json(document, where=name))
                (GOLDEN / f"{name}.{suffix}").write_bytes(report.encode())


@pytest.mark.parametrize("name", [*SAMPLE_NAMES, "mixed"])
@pytest.mark.parametrize("form", SUFFIXES)
def test_document_renders_to_the_golden_report(documents, renderers, name, form):
    report = renderers[form](run_from_json(documents[name], where=name))

    assert report.encode() == (GOLDEN / f"{name}.{SUFFIXES[form]}").read_bytes()


def test_document_of_a_run_reads_as_that_run(runs):
    for name, run in runs.items():
        assert run_from_json(run_to_json(run), where=name) == run


def test_page_of_the_largest_golden_run_is_small_enough_for_an_artifact(renderers, failing):
    assert len(renderers["html"](failing).encode()) < 1_500_000
