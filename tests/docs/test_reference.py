import dataclasses
import re

import click
import pytest

from mainstay import cli
from mainstay.gates.policy import GATE_RULES
from mainstay.project.configuration import Configuration
from mainstay.records.errors import Interrupted, UsageError
from mainstay.records.runs import Run
from mnist_reference.__main__ import cli as model_cli
from scripts.documentation import reference, run_schema


def all_commands(command, name):
    yield name, command
    for sub, inner in getattr(command, "commands", {}).items():
        yield from all_commands(inner, f"{name} {sub}")


@pytest.mark.parametrize(("name", "group"), [("mainstay", cli.main), ("python -m mnist_reference", model_cli)])
def test_command_line_shows_every_option_of_every_command(name, group):
    page = reference.render_command_line({name: group})

    for path, command in all_commands(group, name):
        section = page.partition(f" `{path}`\n")[2].partition("\n##")[0]
        assert section, path
        for param in command.params:
            if isinstance(param, click.Option):
                assert all(option in section for option in param.opts), (path, param.name)


def test_argument_without_a_word_on_it_has_no_row():
    @click.command()
    @click.argument("good")
    @click.option("--metric", help="Metric to search by.")
    def search(good, metric):
        """Find the commit."""

    page = reference.render_command_line({"search": search})

    assert "search [OPTIONS] GOOD" in page
    assert "| `GOOD` |" not in page
    assert "| `--metric TEXT` | Metric to search by. |" in page


def test_long_call_of_a_marker_goes_on_below_its_first_argument():
    lines = reference.render_markers().partition("@pytest.mark.accuracy(")[2].partition("```")[0].splitlines()

    assert max(map(len, lines)) < 90
    assert lines[1].startswith(" " * len("@pytest.mark.accuracy(") + "ceiling=")


def test_configuration_shows_every_key_with_what_it_takes():
    page = reference.render_configuration()

    keys = {field.name for field in dataclasses.fields(Configuration)} - {"margins_by_dataset"}
    assert set(re.findall(r"^## `(\w+)`$", page, re.MULTILINE)) == keys
    assert not re.search(r"expected: *$", page, re.MULTILINE)
    assert "- expected: 0, 1, 3 or 'warn'\n- default: `3`" in page


def test_exit_statuses_show_every_rule_in_order_and_explain_every_status():
    page = reference.render_exit_statuses()

    places = [page.index(f"| {rule.when} | `{rule.verdict.value}` | {rule.status} |") for rule in GATE_RULES]
    assert places == sorted(places)
    explained = set(map(int, re.findall(r"\*\*Exit code (\d+)\*\*", page)))
    assert explained == {rule.status for rule in GATE_RULES} | {UsageError.exit_status, Interrupted.exit_status}
    assert (
        "mainstay.records.errors.Interrupted] | The user pressed Ctrl-C; completed trials are in the journal. | 130 |"
        in page
    )


def test_run_document_shows_every_key():
    page = run_schema.render()

    for field in dataclasses.fields(Run):
        assert re.search(rf"^\| `{field.name}` \| .* \| .+ \|$", page, re.MULTILINE), field.name


def test_sessions_show_every_session_with_its_help(root):
    noxfile = (root / "noxfile.py").read_text("utf-8")
    page = reference.render_sessions(noxfile)

    names = re.findall(r"^@task\(.*\)\ndef (\w+)", noxfile, re.MULTILINE)
    assert len(names) > 10
    for name in names:
        assert re.search(rf"^\| `nox -s {name}(-3\.x)?` \| .+ \|$", page, re.MULTILINE), name


def test_every_public_module_has_a_page(root):
    src = root / "src"
    files = [
        file.relative_to(src).with_suffix("")
        for package in reference.PACKAGES
        for file in (src / package).rglob("*.py")
    ]
    public = {".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__"}

    assert set(reference.public_modules(src)) == public
