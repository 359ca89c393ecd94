"""Figures in the text come from committed JSON: ``{{ figure("docs/results/faults.json", "digits.seeds.0") }}``.

The arguments are a file, a path into it and, if the value is to be formatted, a format of Python::

    {{ figure("docs/results/operating_characteristics.json",
              "whole_gates[noise=normal,metrics=1,margin_over_sd=0.83].clean.fails.rate", ".2%") }}

A step of the path is a key, an index into a list, or ``name[key=value,key=value]``: the one item of a list whose keys
have these values. ``scale=1000`` multiplies a number before it is formatted. A file, a key or an item that is not
there, and a value that is itself a table, end the build: a page cannot show what was not measured. A backslash before
the braces shows the macro itself. ``{{ chart("noise") }}`` draws a chart of ``statistics_charts.py`` or a
drawing of ``lesson_drawings.py``; a page in another language gives a caption of its own: ``{{ chart("neuron", "一个神经元") }}``.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from scripts.documentation.lesson_drawings import DRAWINGS
from scripts.documentation.statistics_charts import CHARTS

STATISTICS = "docs/results/operating_characteristics.json"
CHART = re.compile(r'\{\{ chart\("(?P<name>[^"]+)"(?:, "(?P<caption>[^"]+)")?\) \}\}')
CAPTION = re.compile(r'(?<=-title">)[^<]*(?=</title>)|(?<=<figcaption>)[^<]*(?=</figcaption>)')
MACRO = re.compile(r"(?P<escape>\\)?\{\{\s*figure\((?P<arguments>.*?)\)\s*\}\}", re.DOTALL)
UNKNOWN_MACRO = re.compile(r"(?<![$\\])\{\{\s*\w+\(")
NEXT_CONDITION = re.compile(r",(?=\w+=)")
STEP = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<conditions>[^\]]*)\])?(?:\.|$)")


class FigureError(Exception):
    """A figure that the text asks for does not exist."""


def replace_figures(text: str, root: Path) -> str:
    r"""Return a text with every figure in its place.

    Args:
        text: Markdown.
        root: The folder that the files are named from.

    Raises:
        FigureError: If a file, a key or an item is not there.

    Example:
        >>> replace_figures(r"see \{{ figure('a.json', 'b') }}", Path())
        "see {{ figure('a.json', 'b') }}"
    """

    def replaced(match: re.Match[str]) -> str:
        return match[0][1:] if match["escape"] else figure(match["arguments"], root)

    if unknown := UNKNOWN_MACRO.search(CHART.sub("", MACRO.sub("", text))):
        raise FigureError(
            f"unknown macro {unknown[0]}...; there is {{{{ figure(file, path, format) }}}} and {{{{ chart(name) }}}}"
        )
    return CHART.sub(lambda match: chart(match["name"], root, match["caption"]), MACRO.sub(replaced, text))


def chart(name: str, root: Path, caption: str | None = None) -> str:
    """Return one chart as HTML.

    Args:
        name: What the page calls it.
        root: The folder that the files are named from.
        caption: Takes the place of the chart's own.

    Raises:
        FigureError: If no chart is called so.
    """
    if name not in {*CHARTS, *DRAWINGS}:
        raise FigureError(f"chart({name!r}): there is {', '.join([*CHARTS, *DRAWINGS])}")
    drawn = DRAWINGS[name](root) if name in DRAWINGS else CHARTS[name](load(root / STATISTICS))
    return CAPTION.sub(lambda match: escape(caption), drawn) if caption else drawn


def figure(arguments: str, root: Path) -> str:
    """Return one figure as text.

    Args:
        arguments: What stands between the parentheses of the macro.
        root: The folder that the file is named from.
    """
    try:
        call = ast.parse(f"figure({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)
        file, path, *rest = (ast.literal_eval(argument) for argument in call.args)
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        (format_spec,) = rest or [""]
        scale = options.pop("scale", 1)
        if options:
            raise ValueError(f"unknown argument {', '.join(options)}")
    except (SyntaxError, ValueError) as error:
        raise FigureError(f"figure({arguments}): expected a file, a path and perhaps a format ({error})") from None
    value = look_up(load(root / file), path, where=file)
    if isinstance(value, dict | list):
        raise FigureError(f"{file}: {path} is not one value but {len(value)}")
    try:
        return format(value * scale if scale != 1 else value, format_spec)
    except (TypeError, ValueError) as error:
        raise FigureError(f"{file}: {path} is {value!r}: {error}") from None


@cache
def load(file: Path) -> Any:
    """Read a file of results.

    Raises:
        FigureError: If it is not there.
    """
    if not file.is_file():
        raise FigureError(f"no file {file.name} of results in {file.parent.name}")
    return json.loads(file.read_text(encoding="utf-8"))


def look_up(document: Any, path: str, *, where: str) -> Any:
    """Follow a path through nested tables and lists.

    Raises:
        FigureError: If it leads nowhere, or to more than one item.

    Example:
        >>> rows = {"rows": [{"noise": "normal", "n": 1, "rate": 0.5}, {"noise": "normal", "n": 6, "rate": 0.25}]}
        >>> look_up(rows, "rows[noise=normal,n=6].rate", where="a.json")
        0.25
        >>> look_up(rows, "rows.0.rate", where="a.json")
        0.5
    """
    value, position = document, 0
    while position < len(path):
        step = STEP.match(path, position)
        if not step:
            raise FigureError(f"{path!r} is not a path: see scripts/documentation/figures.py")
        position = step.end()
        value = _enter(value, step["name"], place := f"{where}: {path[:position].rstrip('.')}")
        if step["conditions"] is not None:
            value = _select(value, step["conditions"], place)
    return value


def _enter(value: Any, name: str, place: str) -> Any:
    if isinstance(value, list) and re.fullmatch(r"-?\d+", name) and -len(value) <= int(name) < len(value):
        return value[int(name)]
    if isinstance(value, dict) and name in value:
        return value[name]
    known = (
        f"{len(value)} items" if isinstance(value, list) else ", ".join(value) if isinstance(value, dict) else "nothing"
    )
    raise FigureError(f"{place} is not there; there is {known}")


def _select(value: Any, conditions: str, place: str) -> Any:
    wanted = dict(condition.split("=", 1) for condition in NEXT_CONDITION.split(conditions) if "=" in condition)
    items = value if isinstance(value, list) else []
    found = [item for item in items if all(_spelled(item.get(key)) == text for key, text in wanted.items())]
    if len(found) != 1 or not wanted:
        raise FigureError(f"{place} names {len(found)} of {len(items)} items, expected one")
    return found[0]


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
