"""Validation of a worker's events: one line of JSON, bounded in size, checked in shape and type.

A worker runs the code of a revision, so its event pipe may carry anything. A line that does not fit the schema of the
expected event is a :class:`ProtocolError`; it counts as an error of the revision and never ends the gate.

- :func:`parse_event`: parse a line as the expected event.
- :data:`MAX_EVENT_BYTES`: the longest line that is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn, get_args

import jsonschema_rs

from mainstay.records.executions import EXECUTIONS, kinds_of_others
from mainstay.records.metrics import Tier
from mainstay.runner import protocol
from mainstay.runner.protocol import Event

MAX_EVENT_BYTES = 64 * 2**20
"""Largest size of an event: enough for a trial with the predictions and labels of 20 million examples."""

MAX_DIGITS = 30
"""Maximum number of digits of an integer; 64-bit checksums have 20."""

MAX_TEXT = 100_000
"""Maximum length of a text, except predictions and images."""

MAX_NAMES = 100_000
"""Maximum entries of a list or a table, except the points of a learning curve."""

MAX_EXAMPLES = 1_000_000
"""Scores of items under one name."""

MAX_CURVE_POINTS = 1_000_000
"""Points of a learning curve."""


class ProtocolError(Exception):
    """A worker sent something invalid; the message says what, in one sentence."""


def _object(content: Any, **properties: Any) -> dict[str, Any]:
    """Schema of an object with the keys of a content of :mod:`mainstay.runner.protocol` and no other."""
    if properties.keys() != content.__required_keys__ | content.__optional_keys__:
        raise TypeError(f"the schema of {content.__qualname__} has other keys than the protocol")
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(content.__required_keys__),
        "additionalProperties": False,
    }


def _list(items: Any, most: int = MAX_NAMES) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most}


def _table(values: Any) -> dict[str, Any]:
    """Schema of an object with names of any kind."""
    return {
        "type": "object",
        "propertyNames": {"maxLength": 1000},
        "additionalProperties": values,
        "maxProperties": MAX_NAMES,
    }


_TEXT = {"type": "string", "maxLength": MAX_TEXT}
_SECONDS = {"type": "number", "minimum": 0, "maximum": 1e9}
_FINITE = {"type": "number"}  # JSON with any other number was refused before
_NUMBER = {"anyOf": [_FINITE, {"enum": ["nan", "inf", "-inf"]}]}
_DIGEST = {"type": "string", "pattern": "^([0-9a-f]{32})?$"}
_LABEL = {"type": "string", "maxLength": 10_000}
_SCORING = _object(
    protocol.CollectedScoring,
    score={"type": "string", "minLength": 1, "maxLength": 1000},
    task={"type": "string", "maxLength": 1000},
    tasks=_list({"type": "string", "minLength": 1, "maxLength": 1000}),
    range={"anyOf": [{"type": "null"}, {**_list(_FINITE, 2), "minItems": 2}]},
    tier={"enum": ["", *Tier]},
)
_METRIC = _object(
    protocol.CollectedMetric,
    name={"type": "string", "minLength": 1, "maxLength": 1000},
    kind={"type": "string", "minLength": 1, "maxLength": 1000},  # an unknown kind is reported as a usage error later
    direction={"enum": list(get_args(protocol.BetterValues))},
    margin={"type": "number", "minimum": 0},
    unit={"type": "string", "maxLength": 1000},
    ceiling={"anyOf": [{"type": "null"}, _FINITE]},
    resolution={"type": "number", "minimum": 0},
    scoring=_SCORING,
)
_WORKLOAD = _object(
    protocol.CollectedWorkload,
    id={"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    execution={"enum": list(EXECUTIONS)},
    metrics=_list(_METRIC),
    looks=_list({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    is_skipped={"type": "boolean"},
    is_deselected={"type": "boolean"},
)
_EXAMPLES = _object(
    protocol.RecordedExamples,
    chosen_of={"type": "integer", "minimum": 0, "maximum": 10**9},
    offered=_DIGEST,
    ids=_list({**_LABEL, "minLength": 1}, MAX_EXAMPLES),
    scores=_list({"anyOf": [{"type": "null"}, _FINITE]}, MAX_EXAMPLES),
    repeats=_list({"type": "integer", "minimum": 0, "maximum": 10**9}, MAX_EXAMPLES),
    digests=_list(_DIGEST, MAX_EXAMPLES),
    prompts=_list(_DIGEST, MAX_EXAMPLES),
    **{name: _list(_LABEL, MAX_EXAMPLES) for name in ("tasks", "clusters", "errors", "inputs", "outputs")},
)
_NUMBER_OF_THINGS = {"type": "integer", "minimum": 0, "maximum": 2**63}
_COUNTED = _object(
    protocol.CountedName,
    **dict.fromkeys(("name", "file", "function", "code"), _TEXT),
    **dict.fromkeys(("number", "line"), _NUMBER_OF_THINGS),
)
_PREDICTIONS = _object(
    protocol.RecordedPredictions, **{key: {"type": "string"} for key in protocol.RecordedPredictions.__required_keys__}
)
_WHOLE = {"type": "integer", "minimum": -1, "maximum": 2**63}
_FRAME = _object(
    protocol.Frame, root={"enum": ["own", "workloads", "dependency"]}, file=_TEXT, line=_WHOLE, function=_TEXT
)
_OPERATOR = _object(
    protocol.Operator,
    name=_TEXT,
    arguments=_list(_TEXT),
    inputs=_list(_DIGEST),
    read=_list(_WHOLE),
    outputs=_list(_DIGEST),
    written=_list(_WHOLE),
    shapes=_list(_TEXT),
    updates={"type": "boolean"},
    module=_TEXT,
    place=_WHOLE,
    forward=_WHOLE,
    forward_call=_WHOLE,
    is_backward={"type": "boolean"},
    generator=_DIGEST,
    elsewhere=_list(_DIGEST),
)

SCHEMAS: Mapping[Event, Mapping[str, Any]] = {
    Event.COLLECTING: _object(protocol.Collecting, id={"type": "string", "minLength": 1, "maxLength": MAX_TEXT}),
    Event.COLLECTED: _object(
        protocol.Collected,
        protocol={"const": protocol.PROTOCOL_VERSION},
        workloads=_list(_WORKLOAD),
        problems=_list(_object(protocol.CollectedProblem, id=_TEXT, cause=_TEXT, usage={"const": "yes"})),
        skipped=_list(_object(protocol.Skipped, id=_TEXT, cause=_TEXT)),
    ),
    Event.READY: _object(
        protocol.Ready,
        call_s={"anyOf": [{"type": "null"}, _SECONDS]},
        wall_s={"anyOf": [{"type": "null"}, _SECONDS]},
        left={"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 10**12}]},
        works_alone={"type": "boolean"},
        fits_one_core={"type": "boolean"},
    ),
    Event.BLOCK: _object(
        protocol.Block,
        seconds={"type": "number", "exclusiveMinimum": 0, "maximum": 1e9},
        run_delay_s={"anyOf": [{"type": "null"}, _SECONDS]},
    ),
    Event.FINISHED: _object(
        protocol.Finished,
        outcome={"enum": list(get_args(protocol.TrialOutcome))},
        cause=_TEXT,
        detail=_list(_TEXT),
        duration_s=_SECONDS,
        peak_memory_bytes={"type": "integer", "minimum": 0, "maximum": 2**63},
        threads=_list(_TEXT),
        values=_table(_NUMBER),
        series=_table(_list(_NUMBER, MAX_CURVE_POINTS)),
        context=_table({"anyOf": [_TEXT, _FINITE, {"type": "boolean"}]}),
        digest={"type": "string", "pattern": "^([0-9a-f]{64})?$"},
        names=_table(_list(_COUNTED)),
        predictions={"anyOf": [{"type": "null"}, _PREDICTIONS]},
        examples=_table(_EXAMPLES),
    ),
    Event.IMAGES: _object(protocol.Images, images=_list({"type": "string"})),
    Event.TRACED: _object(
        protocol.Traced,
        unknown=_list(_TEXT),
        touched=_list(_TEXT),
        introspected=_list(_TEXT),
        readers=_table(_list(_TEXT)),
        executed=_list(_TEXT),
        chance=_list(_TEXT),
    ),
    Event.STEP: _object(protocol.Step, number=_WHOLE, digest=_DIGEST, is_last={"type": "boolean"}),
    Event.OPERATORS: _object(
        protocol.Operators, operators=_list(_OPERATOR), places=_list(_list(_FRAME)), is_last={"type": "boolean"}
    ),
    Event.VALUES: _object(protocol.Values, values={"type": "string"}, is_kept={"type": "boolean"}),
}
"""Schema of each event's content, by name of the event."""


@cache
def _validator(event: Event) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(SCHEMAS[event]))


def parse_event(line: bytes, expected: Sequence[Event], *, token: str) -> tuple[Event, dict[str, Any]]:
    """Parse a line from a worker as one of the expected events.

    Args:
        line: The line without its line break.
        expected: The expected events.
        token: The token that the event must carry: that of the command that it answers.

    Returns:
        The event and its content.

    Raises:
        ProtocolError: If the line is none of the expected events.

    Example:
        >>> parse_event(b'{"event": "images", "token": "7f", "images": []}', [Event.IMAGES], token="7f")
        (<Event.IMAGES: 'images'>, {'images': []})
    """
    content = _parse(line)
    name, token_sent = content.pop("event", ""), content.pop("token", "")
    event = next((event for event in expected if event == name), None)
    if event is None or token_sent != token:
        raise ProtocolError(f"it answered out of turn; expected {' or '.join(expected)}")
    try:
        error = next(_validator(event).iter_errors(content), None)
    except ValueError as refused:  # nested too deeply
        raise ProtocolError(f"its event {event} cannot be read: {refused}") from refused
    if error is not None:
        place = ".".join(map(str, error.instance_path)) or event
        raise ProtocolError(f"its event {event} is not as agreed: {place}: {_shortened(error.message)}")
    if predictions := content.get("predictions"):
        _check_predictions(predictions)
    for name, columns in content.get("examples", {}).items():
        _check_examples(name, columns)
    _check_workloads(content.get("workloads", []))
    return event, content


def _parse(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(
            line.decode("utf-8"), parse_constant=_refuse, parse_int=_parse_int, parse_float=_parse_float
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"it sent no line of JSON: {_shortened(str(error))}") from error
    if not isinstance(content, dict):
        raise ProtocolError("it sent JSON that is no object")
    return content


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _parse_float(text: str) -> float:
    return number if math.isfinite(number := float(text)) else _refuse(_shortened(text))


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _check_predictions(predictions: Mapping[str, str]) -> None:
    """Refuse predictions that are not bytes, or not one for each label."""
    try:
        predicted, labels = (base64.b64decode(predictions[name], validate=True) for name in ("predicted", "labels"))
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"its predictions are no base64: {error}") from error
    if len(predicted) != len(labels):
        raise ProtocolError(f"it sent {len(predicted)} predictions for {len(labels)} labels")
    if hashlib.sha256(labels).hexdigest() != predictions["labels_digest"]:
        raise ProtocolError("the digest of its labels is not that of its labels")


def _check_examples(name: str, columns: Mapping[str, Any]) -> None:
    """Refuse columns that differ in length from the ids."""
    for column, entries in columns.items():
        is_left_out = column not in {"ids", "scores"} and entries == []
        if column not in {"chosen_of", "offered"} and len(entries) != len(columns["ids"]) and not is_left_out:
            raise ProtocolError(f"it sent {len(entries)} {column} for {len(columns['ids'])} ids of {_shortened(name)}")


def _check_workloads(workloads: Sequence[Mapping[str, Any]]) -> None:
    """Refuse duplicate workloads or metrics, and metrics whose kind or margin does not fit."""
    if len({workload["id"] for workload in workloads}) < len(workloads):
        raise ProtocolError("it collected a workload twice")
    for workload in workloads:
        metrics = workload["metrics"]
        if len({metric["name"] for metric in metrics}) < len(metrics):
            raise ProtocolError(f"it collected a metric of {_shortened(workload['id'])} twice")
        execution = EXECUTIONS[workload["execution"]]
        if {metric["kind"] for metric in metrics} & kinds_of_others(execution):
            raise ProtocolError(f"metrics of {_shortened(workload['id'])} are of another kind than the workload")
        if any(("scoring" in metric) != execution.has_items for metric in metrics):
            raise ProtocolError(f"metrics of {_shortened(workload['id'])} are of another execution than the workload")
        if not all(metric["margin"] > 0 or execution.is_once for metric in metrics):
            raise ProtocolError(f"a margin of {_shortened(workload['id'])} is not above 0")


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
