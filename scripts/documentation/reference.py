"""The pages of the reference that the code itself knows best: pages of Markdown, made anew at every build.

- :func:`render_command_line`: both command lines, from their parsers.
- :func:`render_configuration`: the keys of ``[tool.mainstay]``, from the reader of the file.
- :func:`render_exit_statuses`: verdicts and exit statuses, from the table that decides them.
- :func:`render_markers`: the markers and fixtures of workloads, from the plugin.
- :func:`render_sessions`: the sessions, from the docstrings of the noxfile.
- :func:`public_modules`, :func:`render_api`, :func:`render_module`: one page a module, and what may be relied on.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from scripts.public_api import PUBLIC_MODULES

PACKAGES = ("mainstay", "mnist_reference")


def render_command_line(commands: Mapping[str, click.Command]) -> str:
    """Return the page of the command lines.

    Args:
        commands: What one types to the command that answers.
    """
    return COMMAND_LINE_HEAD + "\n".join(
        section for name, command in commands.items() for section in _iter_commands(command, name)
    )


COMMAND_LINE_HEAD = """---
description: Every command and option of mainstay and of the reference model.
search: {boost: 0.5}
---

# Command line

Every command and option, as `--help` prints it.

"""
"""A search that a guide answers leads to the guide first."""


def _iter_commands(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    context = click.Context(command, info_name=name if parent is None else name.rpartition(" ")[2], parent=parent)
    yield _command_section(command, context, level=2 if parent is None else 3)
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found and not found.hidden:
                yield from _iter_commands(found, f"{name} {sub}", context)


def _command_section(command: click.Command, context: click.Context, *, level: int) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    rows = "".join(f"| `{_cell(names)}` | {_cell(_escaped(text))} |\n" for names, text in records if text)
    parts = [
        f"{'#' * level} `{context.command_path}`\n",
        f"{_escaped(inspect.cleandoc(command.help or ''))}\n",
        f"```text\n{usage}\n```\n",
        f"| option | meaning |\n|---|---|\n{rows}",
    ]
    if command.epilog and (context.parent is None):
        parts.append(f"```text\n{inspect.cleandoc(command.epilog).replace(chr(8), '').strip()}\n```\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[").replace("*", "\\*").replace("\b\n", "\n").replace("<", "&lt;")


def render_configuration() -> str:
    """Return the page of the keys of ``[tool.mainstay]``."""
    from mainstay.measuring.changes import effect_of
    from mainstay.project.configuration import TABLE, Configuration

    meanings = attribute_meanings(Configuration)
    default = Configuration()
    sections = []
    for field in dataclasses.fields(Configuration):
        if field.name == "margins_by_dataset":
            continue  # written as tables of ``margins``
        sections.append(
            f"## `{field.name}`\n\n{meanings[field.name]}\n\n"
            f"- expected: {expected_value(field.name)}\n"
            f"- default: {_toml(getattr(default, field.name))}\n"
            f"- if a change alters it: {effect_of(field.name)}\n"
        )
        if field.name == "margins":
            sections.append(
                "A nested table holds for one data set and replaces the margins outside it:\n\n"
                "```toml\n[tool.mainstay.margins]\ntop1_accuracy = 0.002\n\n"
                "[tool.mainstay.margins.digits]\ntop1_accuracy = 0.012\n```\n"
            )
    head = (
        f"# Configuration\n\nA gate reads its settings from `[{TABLE}]` in `pyproject.toml`. Every key has a default. An "
        "unknown key or a wrong value is an error that names the key, the nearest known key and the expected value; "
        "nothing is measured then, and the exit status is 2.\n\n"
    )
    return head + "\n".join(sections)


def expected_value(key: str) -> str:
    """Return what the reader of the configuration says that it expects of a key.

    Example:
        >>> expected_value("looks"), expected_value("extras")
        ('strictly increasing integers, the first at least 2', 'an array; each: a non-empty string')
    """
    first = _refusal(key, "{}") or _refusal(key, "1")
    return (
        f"an array; each: {_refusal(key, '[{}]')}"
        if first == "an array" and key != "looks"
        else (_refusal(key, "[1]") if key == "looks" else first)
    )


def _refusal(key: str, value: str) -> str:
    from mainstay.project.configuration import read_configuration
    from mainstay.records.errors import ConfigurationError

    try:
        read_configuration(f"[tool.mainstay]\n{key} = {value}", "pyproject.toml")
    except ConfigurationError as error:
        return str(error).splitlines()[0].partition("expected ")[2]
    return ""


def _toml(value: Any) -> str:
    from mainstay.project.configuration import EvaluationSettings

    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if isinstance(value, EvaluationSettings):
        return "none of its keys"
    return f"`{value!r}`".replace("'", '"')


def attribute_meanings(record: type) -> dict[str, str]:
    """Return what the docstring of a record says about each attribute.

    Example:
        >>> class Pair:
        ...     '''Two values.
        ...
        ...     Attributes:
        ...         first: The one
        ...             before ``second``.
        ...         second: The other.
        ...     '''
        >>> attribute_meanings(Pair)
        {'first': 'The one before `second`.', 'second': 'The other.'}
    """
    _, _, rest = (inspect.getdoc(record) or "").partition("\n")
    found = re.findall(r"^ {4}(\w+): (.+?)(?=^ {4}\w+: |\Z|^\S)", rest, re.MULTILINE | re.DOTALL)
    return {name: " ".join(meaning.replace("``", "`").split()) for name, meaning in found}


def render_exit_statuses() -> str:
    """Return the page of verdicts and exit statuses."""
    from mainstay.gates.policy import GATE_RULES
    from mainstay.records import errors

    raised = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.MainstayError)
    ]
    ends = "".join(
        f"| [`{each.__name__}`][mainstay.records.errors.{each.__name__}] | {(inspect.getdoc(each) or '').partition(chr(10))[0]} | "
        f"{each.exit_status} |\n"
        for each in sorted(raised, key=lambda each: ENDS.index(each.exit_status))
    )
    rows = "".join(
        f"| {number} | {rule.when} | `{rule.verdict.value}` | {rule.status} |\n"
        for number, rule in enumerate(GATE_RULES, start=1)
    )
    return (
        f"{EXIT_STATUSES_HEAD}| error | when | exit status |\n|---|---|---|\n{ends}{EXIT_STATUSES_MIDDLE}"
        f"| rule | when | verdict | exit status |\n|---|---|---|---|\n{rows}{EXIT_STATUSES_TAIL}"
    )


ENDS = (2, 130, 4, 1)
"""Exit statuses of what ends a gate before it is judged, in the order of the page."""


EXIT_STATUSES_HEAD = """# Verdicts and exit statuses

## What ends a gate before it is judged

Each of these errors ends a gate without a verdict; whatever was measured stays in its journal. If the candidate alone cannot be resolved, built or installed, the exit status is 1. If the baseline cannot either, or if the package index, the network or the disk is to blame, it is 4.

"""

EXIT_STATUSES_MIDDLE = """
## How a judged gate gets its verdict

The first rule that applies decides. The table is made from
[`GATE_RULES`][mainstay.gates.policy.GATE_RULES], the rules by which the code decides.

"""

EXIT_STATUSES_TAIL = """
## What each status means

- **Exit code 0** means pass: no metric degraded by more than its margin, or
  [the code is the same](../explanation/unchanged-code.md) and nothing was run. New workloads do not keep a gate from passing.
- **Exit code 1** means fail: a metric degraded by more than its margin, one that the baseline has is missing, or the candidate
  alone is broken. The message names the metric.
- **Exit code 2** means that the command was used wrongly: an option, a revision or a key of `[tool.mainstay]`. Nothing
  was measured.
- **Exit code 3** means inconclusive: neither a degradation nor its absence was shown, and the report says how many
  pairs or items would settle it; or a pass contains an [implausible
  gain](../how-to/judge-stored-results.md#an-implausible-gain). The key [`inconclusive`](configuration.md#inconclusive)
  maps it to 0 or 1, or with `"warn"` to 0 [if all undecided metrics lie within their margins at calibrated
  noise](../how-to/read-an-inconclusive.md#what-ci-makes-of-it). It never becomes 0 if [what judges a metric was
  changed](../explanation/questions.md#can-a-change-loosen-what-it-is-judged-by) and needs a review, or if a gain is implausible.
- **Exit code 4** means that nothing can be said about the candidate: the baseline, the tool or the environment is
  broken, or nothing was judged; `--allow-unjudged` lets a gate pass that judged nothing.
- **Exit code 130** means that the gate was interrupted; `mainstay gate --resume` continues it, and nothing is measured twice.

`nox` itself exits only with 0 or 1, so under `nox -s gate`, read the line `exit status` of the report.
"""


def render_markers() -> str:
    """Return the page of the markers and fixtures that make a test a workload."""
    from mainstay.runner.markers import FIXTURE_KINDS, MARKERS
    from mainstay.runner.ready_metrics import READY_METRICS

    fixtures = "".join(f"| `{name}` | `{FIXTURE_KINDS[name]}` | {what} |\n" for name, what in FIXTURES.items())
    markers = "".join(
        f"## `{name}`\n\n```text\n{_folded(f'@pytest.mark.{call}')}\n```\n\n{meaning.strip().capitalize()}.\n\n"
        for name, (call, _, meaning) in ((name, line.rpartition(": ")) for name, line in MARKERS.items())
    )
    ready = "".join(
        f"| `{name}` | `{metric.kind}` | {metric.direction} | {metric.margin:g} | {metric.unit or 'none'} |\n"
        for name, metric in READY_METRICS.items()
    )
    return MARKERS_HEAD.format(fixtures=fixtures, markers=markers, ready=ready)


def _folded(call: str) -> str:
    """Return a call that goes on below its first argument where it is longer than a line of the page."""
    indent = " " * (call.index("(") + 1)
    return textwrap.fill(call, LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


LINE = 78
"""Characters of code that a page shows beside both of its columns, on a screen 1280 wide."""


FIXTURES = {
    "trial": "records metrics, as in `trial.record(name=value)`, and answers to single examples; `trial.seed` is the seed of the pair",
    "benchmark": "times a call, as pytest-benchmark does",
    "codspeed_benchmark": "the same, for suites written for pytest-codspeed",
    "import_timer": "`import_timer(module)` imports a module in fresh interpreters and returns the mean of the seconds",
    "counts": "records deterministic counts: `counts.record(name=value)`",
}
"""What a workload may use, and what it is for."""

MARKERS_HEAD = """---
description: The pytest markers and fixtures that make a test a workload of mainstay, their arguments and defaults.
---

# Markers and fixtures

A test in the folder of workloads is a workload if it uses one of these fixtures; a marker declares each metric and its margin. The
fixtures also work under plain `pytest`, so you can try a workload like any test. [Add a
workload](../how-to/add-a-workload.md) shows them in use.

## Fixtures

| fixture | marker of its metrics | what it does |
|---|---|---|
{fixtures}
A workload uses exactly one of them.

{markers}## Ready metrics

A ready metric needs only its name: `@pytest.mark.performance(metric="peak_memory")`. The margins are defaults, as fractions.

| metric | marker | better is | margin | unit |
|---|---|---|---|---|
{ready}"""


def render_sessions(noxfile: str) -> str:
    """Return the page of the sessions.

    Args:
        noxfile: Its text.
    """
    rows: dict[bool, list[str]] = {True: [], False: []}
    for function in ast.parse(noxfile).body:
        if isinstance(function, ast.FunctionDef) and (options := _session_options(function)) is not None:
            name = f"{function.name}-3.x" if "python" in options else function.name
            doc = " ".join((ast.get_docstring(function) or "").split()).replace("``", "`")
            rows[options.get("default", "True") == "True"].append(f"| `nox -s {name}` | {_cell(doc)} |\n")
    return SESSIONS_HEAD + "".join(
        f"## {title}\n\n| command | what it does |\n|---|---|\n{''.join(rows[default])}\n"
        for default, title in ((True, "What a bare `nox` runs"), (False, "What runs only by name"))
    )


SESSIONS_HEAD = """# Sessions

Every task of the project is a session of `noxfile.py`; the same one runs on your machine and in CI. `nox -s NAME`
creates the session's environment under the hashed constraints and runs the session; arguments after `--` are passed on to it.

"""


def _session_options(function: ast.FunctionDef) -> dict[str, str] | None:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "task":
            return {str(keyword.arg): ast.unparse(keyword.value) for keyword in decorator.keywords}
    return None


def public_modules(src: Path) -> list[str]:
    """List the public modules of both packages, packages first.

    Args:
        src: The folder that holds the packages.
    """
    files = [file for package in PACKAGES for file in sorted((src / package).rglob("*.py"))]
    names = [".".join(file.relative_to(src).with_suffix("").parts) for file in files]
    shown = [name.removesuffix(".__init__") for name in names if not name.endswith(".__main__")]
    return sorted(name for name in shown if not any(part.startswith("_") for part in name.split(".")))


def render_api(modules: list[str]) -> str:
    """Return the page that leads to the pages of the modules.

    Args:
        modules: Their names.
    """
    internal = [name for name in modules if name not in PUBLIC_MODULES and not name.startswith("mnist_reference")]
    model = [name for name in modules if name.startswith("mnist_reference")]
    lists = {"public": list(PUBLIC_MODULES), "model": model, "internal": internal}
    return API.format(**{key: "".join(f"- [`{name}`]({name}.md)\n" for name in names) for key, names in lists.items()})


API = """---
description: The Python modules of mainstay, the public one and the internal ones, and those of the reference model.
---

# API

## Public

The modules that other projects import. A change that breaks one is announced one release before, see
[deprecation](../../community/maintaining.md#deprecation):

{public}
Also public are the [command line](../command-line.md), the [configuration](../configuration.md), the [markers and
fixtures](../markers.md), and the [run document](../run-schema.md).

## Reference model

The model that the lessons explain. It is there to be read and copied; its names may change.

{model}
## Internal

For those who work on the toolkit. Nothing here is stable: modules move without notice. [Where to add
what](../../explanation/architecture.md#where-to-add-what) explains the layout.

{internal}"""


def render_module(name: str) -> str:
    r"""Return the page of a module, which mkdocstrings fills; what is not public comes last in a search.

    Example:
        >>> render_module("mainstay.nox_sessions")
        '::: mainstay.nox_sessions\n'
    """
    page = f"::: {name}\n"
    return page if name in PUBLIC_MODULES else f"---\nsearch: {{boost: 0.1}}\n---\n{page}"
