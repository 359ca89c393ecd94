import pytest

from mainstay.reports.terminal import MAX_ROWS, render_terminal
from mainstay.reports.text import render_text
from mainstay.reports.view import view_run


def test_plain_report_comes_whole(run):
    assert render_terminal(run, width=100, colour=False).startswith(render_text(run, width=100))


def test_no_colour_means_no_escape(run):
    assert "\x1b" not in render_terminal(run, width=100, colour=False)
    assert "\x1b[" in render_terminal(run, width=100, colour=True)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_table_fits_the_terminal(run, width):
    lines = render_terminal(run, width=width, colour=False).splitlines()

    assert all(len(line) <= width for line in lines if line.startswith(("│", "┃", "└")))


def test_table_of_many_findings_ends_with_how_many_more_there_are(many_findings):
    report = render_terminal(many_findings(90, 3), width=200, colour=False)

    assert sum(line.startswith("│") for line in report.splitlines()) == MAX_ROWS
    assert "and 40 more: 10 undecided, 30 within margin" in report


def test_last_lines_are_what_to_do_and_the_verdict(failing):
    lines = render_terminal(failing, width=200, colour=False).splitlines()

    assert lines[-4].startswith("FAIL: do not merge as it is (exit status 1)")
    assert lines[-3].startswith("top1_accuracy is 0.51 points worse")
    assert lines[-2].startswith("how sure: of changes that make nothing worse, at most 1 in 100 fail (false alarms)")
    assert lines[-5].startswith("      $ mainstay explain ")


def test_environment_of_the_caller_changes_nothing(run, monkeypatch):
    before = render_terminal(run, width=100, colour=True)

    for name, value in {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)

    assert render_terminal(run, width=100, colour=True) == before


@pytest.mark.parametrize(("width", "is_whole", "is_drawn"), [(80, False, False), (100, False, True), (140, True, True)])
def test_a_narrow_table_leaves_out_the_means_and_keeps_change_interval_and_margin(failing, width, is_whole, is_drawn):
    table = render_terminal(failing, width=width, colour=False).removeprefix(render_text(failing, width=width))
    table = table.partition("next: ")[0]

    assert "│ top1_accuracy " in table
    assert "0.51 points worse" in table
    assert ("0.38 to 0.65" if is_whole else "0.38 to 0.65 points worse") in table
    assert "0.20 points" in table
    assert "…" not in table
    assert ("baseline" in table) == is_whole
    assert ("-o-" in table) == is_drawn


def test_a_command_stands_on_a_line_of_its_own(runs):
    lines = render_terminal(runs["error"], width=200, colour=False).splitlines()

    assert "      $ python -m pytest test_accuracy.py::test_mnist_mlp   (about 2 min)" in lines


@pytest.mark.parametrize("colour", [False, True])
def test_a_command_stays_on_one_line_in_a_narrow_terminal(failing, colour):
    report = render_terminal(failing, width=40, colour=colour)
    end = report.removeprefix(render_text(failing, width=40)).splitlines()

    for step in view_run(failing).next_steps:
        assert f"      $ {step.command}   ({step.minutes})" in end
