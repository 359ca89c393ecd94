import io

import pytest

from mainstay.reports import publishing
from mainstay.reports.forms import FORMS


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        pytest.param({}, True, id="terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="no-color"),
        pytest.param({"NO_COLOR": ""}, True, id="empty-no-color-is-none"),
        pytest.param({"TERM": "dumb"}, False, id="dumb-terminal"),
    ],
)
def test_terminal_is_coloured_unless_it_must_not_be(sample_run, environ, is_coloured):
    assert ("\x1b[" in publishing.render_for(sample_run, Terminal(), environ)) is is_coloured


def test_report_for_a_pipe_is_plain_text(sample_run):
    assert publishing.render_for(sample_run, io.StringIO(), {}) == FORMS["text"].render(sample_run)


def test_actions_get_annotations_and_a_summary(sample_run, tmp_path):
    summary = tmp_path / "summary.md"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}

    annotations = publishing.report_to_actions(sample_run, environ)

    assert annotations.startswith("::notice title=mainstay")
    assert summary.read_text(encoding="utf-8") == FORMS["markdown"].render(sample_run)


def test_outside_of_actions_nothing_is_annotated(sample_run, tmp_path):
    summary = tmp_path / "summary.md"

    assert publishing.report_to_actions(sample_run, {"GITHUB_STEP_SUMMARY": str(summary)}) == ""
    assert not summary.exists()
