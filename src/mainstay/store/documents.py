"""Run documents: conversion of runs to and from JSON, validated against the published schema both ways.

The schema is JSON Schema 2020-12, in ``run.schema.json`` beside this module. JSON has no infinity and no NaN: an
infinite bound of an interval is ``null``, and so is a point of a curve or a descriptive mean that is not a number.
This module opens no files.

- :func:`run_to_json`, :func:`run_from_json`: conversion in both directions.
- :func:`calibration_to_json`: conversion of a calibration, which has no schema; its keys are those of the record.
- :func:`run_schema`: the schema, for documentation and other tools.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import cattrs
import jsonschema_rs

from mainstay.records.calibrations import Calibration
from mainstay.records.errors import SchemaError
from mainstay.records.executions import EXECUTIONS, STORED_EXECUTION
from mainstay.records.findings import Interval
from mainstay.records.metrics import Kind
from mainstay.records.redaction import without_credentials
from mainstay.records.runs import SCHEMA_VERSION, Run
from mainstay.records.trials import ContextValue

_NEXT_STEP = "render the document as the gate wrote it, or measure again"


def run_to_json(run: Run) -> str:
    """Convert a run to its document, with keys in the order of the records.

    Args:
        run: Run of a gate.

    Returns:
        ASCII text of one JSON object, ending in a line break; characters that UTF-8 cannot carry are written as
        visible escapes.

    Raises:
        SchemaError: If the run does not fit the schema; the message names the path of the bad key.
    """
    document = _converter().unstructure(run)
    _check(document, where="the run that was to be written")
    return without_credentials(json.dumps(document, allow_nan=False)) + "\n"


def run_from_json(text: str, *, where: str) -> Run:
    """Read a run document.

    Args:
        text: The document.
        where: Its name in error messages, such as its file name.

    Returns:
        The run; ``null`` bounds are infinite again, other ``null`` numbers are NaN.

    Raises:
        SchemaError: If the text is not JSON, is of another schema version, or was altered so that it no longer fits;
            the message names the path of the bad key.

    Example:
        >>> run_from_json('{"schema_version": 7}', where="run.json")
        Traceback (most recent call last):
        ...
        mainstay.records.errors.SchemaError: schema_version is 7, this mainstay reads 1
          looked in: run.json
          next: read it with the mainstay that wrote it
    """
    document = _parse(text, where=where)
    _check_version(document, where=where)
    _check(document, where=where)
    run: Run = _converter().structure(document, Run)
    return run


def calibration_to_json(calibration: Calibration) -> str:
    """Convert a calibration to its document: one JSON object, ending in a line break."""
    return without_credentials(json.dumps(_converter().unstructure(calibration), allow_nan=False)) + "\n"


@cache
def run_schema() -> Mapping[str, Any]:
    """The schema of the run document.

    Example:
        >>> run_schema()["$schema"]
        'https://json-schema.org/draft/2020-12/schema'
    """
    schema: dict[str, Any] = json.loads(files("mainstay.store").joinpath("run.schema.json").read_text(encoding="utf-8"))
    schema["$defs"]["kind"]["enum"] = list(map(str, Kind))
    schema["$defs"]["planned_workload"]["properties"]["execution"]["enum"] = [*EXECUTIONS, STORED_EXECUTION]
    return schema


def _parse(text: str, *, where: str) -> Any:
    """Parse JSON, refusing non-standard constants and duplicate keys."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"not a JSON document: {error}", looked_in=where, next_step=_NEXT_STEP) from error


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities."""
    raise ValueError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, refusing duplicate keys, which readers would interpret differently."""
    document = dict(pairs)
    if len(document) < len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {repeated!r} is given twice")
    return document


def _check_version(document: Any, *, where: str) -> None:
    """Refuse documents with another schema version, before their keys are checked."""
    if not isinstance(document, dict) or "schema_version" not in document:
        raise SchemaError("not a run document: it has no schema_version", looked_in=where, next_step=_NEXT_STEP)
    version = document["schema_version"]
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise SchemaError(
            f"schema_version is {version!r}, this mainstay reads {SCHEMA_VERSION}",
            looked_in=where,
            next_step="read it with the mainstay that wrote it",
        )


def _check(document: Any, *, where: str) -> None:
    """Refuse a document that does not match the schema, or whose sequences of pairs differ in length."""
    error = next(_validator().iter_errors(document), None)
    if error is not None:
        fact = f"{_key_path(error.instance_path)}: {_shortened(error.message)}"
        raise SchemaError(fact, looked_in=where, next_step=_NEXT_STEP)
    for i, finding in enumerate(document["findings"]):
        _check_lengths(finding, path=f"findings[{i}]", where=where)


def _check_lengths(finding: Mapping[str, Any], *, path: str, where: str) -> None:
    """Check that the candidate's values, and any seeds and degradations, are as many as the baseline's values."""
    num_values = len(finding["baseline_values"])
    for key in ("candidate_values", "degradations", "seeds"):
        length = len(finding[key])
        if length != num_values and (length or key == "candidate_values"):
            raise SchemaError(
                f"{path}.{key}: has {length} values, but baseline_values has {num_values}",
                looked_in=where,
                next_step=_NEXT_STEP,
            )


def _key_path(path: Sequence[str | int]) -> str:
    """A path into the document as text.

    Example:
        >>> _key_path(["findings", 0, "metric", "margin"])
        'findings[0].metric.margin'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the document"


def _shortened(message: str, *, at_most: int = 300) -> str:
    """A message with long quoted values shortened."""
    return message if len(message) <= at_most else f"{message[: at_most // 2]} ... {message[-at_most // 2 :]}"


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    """The compiled schema."""
    return jsonschema_rs.Draft202012Validator(dict(run_schema()))


@cache
def _converter() -> cattrs.Converter:
    """Converter between records and plain mappings, with ``null`` for values that JSON lacks."""
    converter = cattrs.Converter(detailed_validation=False, forbid_extra_keys=True)
    converter.register_unstructure_hook(float, _finite_or_none)
    converter.register_unstructure_hook(str, _encodable)
    converter.register_unstructure_hook(ContextValue, _context_value)
    converter.register_unstructure_hook_func(_is_floats, lambda values: [_finite_or_none(v) for v in values])
    converter.register_unstructure_hook(Interval, lambda bounds: [_finite_or_none(v) for v in bounds])
    converter.register_structure_hook(ContextValue, lambda value, _: value)
    converter.register_structure_hook_func(_is_floats, lambda values, _: _floats(values))
    converter.register_structure_hook_func(_is_integers, lambda values, _: tuple(map(int, values)))
    converter.register_structure_hook(Interval, lambda bounds, _: _interval(bounds))
    return converter


def _is_floats(kind: Any) -> bool:
    """Whether a field holds a sequence of numbers, which is converted at once because a run has many."""
    return kind in (tuple[float, ...], tuple[float, float])


def _is_integers(kind: Any) -> bool:
    """Whether a field holds a sequence of integers."""
    return bool(kind == tuple[int, ...])


def _finite_or_none(value: float) -> float | None:
    """The number; ``None`` if JSON lacks it."""
    return value if math.isfinite(value) else None


def _encodable(text: str) -> str:
    r"""Text that can be encoded in UTF-8; lone surrogates are escaped.

    Example:
        >>> _encodable("caf\udce9")
        'caf\\udce9'
    """
    return str(text.encode("utf-8", errors="backslashreplace"), "utf-8")


def _context_value(value: ContextValue) -> ContextValue:
    """A context value for JSON; numbers that JSON lacks become text."""
    if isinstance(value, str):
        return _encodable(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _floats(values: Sequence[float | None]) -> tuple[float, ...]:
    """Numbers, with NaN for ``null``."""
    return tuple(math.nan if value is None else float(value) for value in values)


def _interval(bounds: Sequence[float | None]) -> Interval:
    """Bounds, infinite where there is no number."""
    low, high = bounds
    return Interval(-math.inf if low is None else float(low), math.inf if high is None else float(high))
