"""The page of the run document, made from the docstrings of the records that it consists of."""

from __future__ import annotations

import dataclasses
import inspect
import re

from mainstay.records import findings, metrics, plans, runs, trials
from scripts.documentation.reference import attribute_meanings

HEAD = """# The run document

A gate writes everything it found into one JSON document, `run.json`; every report is rendered from it alone. Its
JSON Schema 2020-12 is [`run.schema.json`](run.schema.json), which is part of the package. A document is
checked against it when it is written and when it is read; an error names the path of the invalid key. `schema_version`
is raised when a reader of the old version would misread the new one.

Fractions, seconds and bytes are unscaled. A degradation is positive if the candidate is worse. JSON has no infinity
and no NaN: the document has `null` in their place.
"""


def record_types() -> list[type]:
    """The records that a document is made of, the document itself first."""
    known = {
        name: value
        for module in (metrics, plans, trials, findings, runs)
        for name, value in vars(module).items()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    found, waiting = [], ["Run"]
    while waiting:
        name = waiting.pop(0)
        if name in known and known[name] not in found:
            found.append(known[name])
            waiting += [
                word for field in dataclasses.fields(known[name]) for word in re.findall(r"\w+", str(field.type))
            ]
    return found


def render() -> str:
    """The whole page."""
    return HEAD + "".join(f"\n{_section(record)}" for record in record_types())


def _section(record: type) -> str:
    summary = (inspect.getdoc(record) or "").partition("\n")[0]
    meanings = attribute_meanings(record)
    rows = "".join(
        f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` | {meanings.get(field.name, '')} |\n"
        for field in dataclasses.fields(record)
    )
    return f"## {record.__name__}\n\n{summary}\n\n| key | type | meaning |\n|---|---|---|\n{rows}"
