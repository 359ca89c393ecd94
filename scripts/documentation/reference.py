"""The pages of the reference that the code itself knows best: pages of Markdown, made anew at every build.

- :func:`render_command_line`: both command lines, from their parsers.
- :func:`render_configuration`: the keys of ``[tool.mainstay]``, from the reader of the file.
- :func:`render_exit_statuses`: verdicts and exit statuses, from the table that decides them.
- :func:`render_sessions`: the sessions, from the docstrings of the noxfile.
- :func:`public_modules`, :func:`render_module`: one page a public module.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

PACKAGES = ("mainstay", "mnist_reference")


def render_command_line(commands: Mapping[str, click.Command]) -> str:
    """Return the page of the command lines.

    Args:
        commands: What one types to the command that answers.
    """
    return "# Command line\n\nMade from the parsers themselves.\n\n" + "\n".join(
        section for name, command in commands.items() for section in _iter_commands(command, name)
    )


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
    rows = "".join(f"| `{_cell(names)}` | {_cell(_escaped(text))} |\n" for names, text in records)
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
            f"- in a change that alters it: {effect_of(field.name)}\n"
        )
        if field.name == "margins":
            sections.append(
                "A table inside holds for one data set and replaces what stands outside it:\n\n"
                "```toml\n[tool.mainstay.margins]\ntop1_accuracy = 0.002\n\n"
                "[tool.mainstay.margins.digits]\ntop1_accuracy = 0.012\n```\n"
            )
    head = (
        f"# Configuration\n\nThe settings of a gate stand in `[{TABLE}]` of `pyproject.toml`, each with a default. A key "
        "that is not known and a value that does not fit are errors that name the key, the nearest known one and what "
        "was expected; nothing is measured then and the exit status is 2.\n\n"
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

An error that is raised ends the gate; whatever was measured stays in its journal. A candidate that cannot be built exits with 1, a baseline with 4.

"""

EXIT_STATUSES_MIDDLE = """
## What a judged gate comes to

The first rule that applies decides, so the table reads from top to bottom in order of precedence. It is
[`GATE_RULES`][mainstay.gates.policy.GATE_RULES] itself, the one place where facts become a verdict.

"""

EXIT_STATUSES_TAIL = """
## What each status means

- **Exit code 0** means pass: no metric degraded by more than its margin, or
  [the code is the same](../explanation/unchanged-code.md) and nothing was run. New workloads are shown and count 0.
- **Exit code 1** means fail: a metric degraded by more than its margin, one that the baseline has is missing, or the candidate
  alone is broken. The message names the metric.
- **Exit code 2** means that the command was used wrongly: an option, a revision or a key of `[tool.mainstay]`. Nothing
  was measured.
- **Exit code 3** means inconclusive: neither a degradation nor its absence was shown, and the report says how many
  pairs or items would settle it; or a pass rests on an [implausible
  gain](../how-to/judge-stored-results.md#an-implausible-gain). The key [`inconclusive`](configuration.md#inconclusive)
  maps it to 0 or 1, or with `"warn"` to 0 [where all that is undecided lies within its margin at calibrated
  noise](../how-to/read-an-inconclusive.md#what-ci-makes-of-it). Where [what judges a metric was
  changed](../explanation/questions.md#can-a-change-loosen-what-it-is-judged-by) and needs a review, it never becomes 0.
- **Exit code 4** means that nothing can be said about the candidate: the baseline, the tool or the environment is
  broken, or nothing was judged; `--allow-unjudged` lets a gate pass that judged nothing.
- **Exit code 130** means interrupted; `mainstay gate --resume` continues, and nothing is measured twice.

`nox` knows only 0 and 1: under `nox -s gate`, read the line `exit status` of the report.
"""


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
        for default, title in ((True, "What a bare `nox` runs"), (False, "What is asked for by name"))
    )


SESSIONS_HEAD = """# Sessions

Every task of the project is a session of `noxfile.py`; the same one runs on your machine and in CI. `nox -s NAME`
makes its environment under the hashed constraints and runs it; what stands after `--` is passed on.

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


def render_module(name: str) -> str:
    r"""Return the page of a module, which mkdocstrings fills.

    Example:
        >>> render_module("mainstay.records.errors")
        '::: mainstay.records.errors\n'
    """
    return f"::: {name}\n"
