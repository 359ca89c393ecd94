"""What a worker may send, and what is refused."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.runner.protocol import PROTOCOL_VERSION, Block, Event
from mainstay.workers import events
from mainstay.workers.events import MAX_NAMES, SCHEMAS, ProtocolError, parse_event

COMPLETED = {
    "event": "finished",
    "token": "7f",
    "outcome": "completed",
    "cause": "",
    "detail": [],
    "duration_s": 0.5,
    "peak_memory_bytes": 1 << 20,
    "threads": [],
}
COUNTED = {"name": "json", "number": 1, "file": "", "function": "", "line": 0, "code": ""}


def parse(content, expected=(Event.FINISHED,), token="7f"):
    line = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_event(line, expected, token=token)


def predictions(predicted=b"\0\1", labels=b"\0\0"):
    return {
        "predicted": base64.b64encode(predicted).decode(),
        "labels": base64.b64encode(labels).decode(),
        "labels_digest": hashlib.sha256(labels).hexdigest(),
    }


def test_what_a_worker_may_send_comes_through():
    sent = {
        "values": {"a": 0.5, "b": "nan", "c": 10**20},
        "series": {"curve": [1, 2.5, "inf"]},
        "context": {"dataset": "digits", "size": 3, "is_small": True},
        "digest": "0" * 64,
        "names": {"imported_modules": [COUNTED]},
        "predictions": predictions(),
    }

    event, content = parse({**COMPLETED, **sent})

    assert event == "finished"
    assert {name: content[name] for name in sent} == sent


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\xff\xfe no text", id="no-utf-8"),
        pytest.param(b"no JSON", id="no-json"),
        pytest.param(b"[" * 200_000, id="nested-lists"),
        pytest.param(b'{"event": "finished", "values": ' + b'{"a":' * 500 + b"1" + b"}" * 501, id="nested-objects"),
        pytest.param(b"[1]", id="no-object"),
        pytest.param(b'{"event": ["finished"], "token": "7f"}', id="a-list-for-a-name"),
        pytest.param(b'{"event": "finished", "token": "7f", "values": {"a": NaN}}', id="nan"),
        pytest.param(b'{"event": "finished", "token": "7f", "values": {"a": 1e999}}', id="beyond-a-float"),
        pytest.param(b'{"event": "finished", "token": "7f", "values": {"a": 1' + b"0" * 400 + b"}}", id="huge-integer"),
        pytest.param(
            b'{"event": "finished", "token": "7f", "values": {"a": 1' + b"0" * 9000 + b"}}", id="endless-integer"
        ),
    ],
)
def test_what_is_no_event_is_refused(line):
    with pytest.raises(ProtocolError):
        parse(line)


COLUMNS = ("tasks", "repeats", "clusters", "errors", "digests", "prompts", "inputs", "outputs")
EXAMPLES = {"chosen_of": 0, "offered": "", "ids": ["q", "r"], "scores": [1.0, None], **{name: [] for name in COLUMNS}}


def test_scores_of_items_come_through():
    content = {**COMPLETED, "examples": {"accuracy": EXAMPLES}}

    assert parse(content)[1]["examples"] == {"accuracy": EXAMPLES}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"outcome": "won"}, id="outcome"),
        pytest.param({"outcome": "crashed"}, id="outcome-that-only-the-gate-knows"),
        pytest.param({"cause": 1}, id="cause"),
        pytest.param({"cause": "x" * 1_000_000}, id="long-cause"),
        pytest.param({"verdict": "pass"}, id="unknown-key"),
        pytest.param({"duration_s": -1}, id="negative-time"),
        pytest.param({"duration_s": "1"}, id="time-as-text"),
        pytest.param({"peak_memory_bytes": 0.5}, id="half-a-byte"),
        pytest.param({"values": [1]}, id="values-as-a-list"),
        pytest.param({"values": {"a": "much"}}, id="value-as-text"),
        pytest.param({"values": {"a": True}}, id="value-as-truth"),
        pytest.param({"values": {"a": None}}, id="value-as-nothing"),
        pytest.param({"series": {"curve": 1}}, id="curve-as-a-number"),
        pytest.param({"context": {"a": [1]}}, id="context-as-a-list"),
        pytest.param({"digest": "no digest"}, id="digest"),
        pytest.param({"names": {"a": list(range(3))}}, id="numbers-for-names"),
        pytest.param({"names": {"a": [COUNTED | {"number": -1}]}}, id="less-than-nothing-counted"),
        pytest.param({"threads": ["t"] * (MAX_NAMES + 1)}, id="gigantic-list"),
        pytest.param({"predictions": {"predicted": "AA=="}}, id="half-of-the-predictions"),
        pytest.param({"predictions": {**predictions(), "predicted": "!"}}, id="predictions-no-base64"),
        pytest.param({"predictions": {**predictions(), "predicted": "é"}}, id="predictions-no-ascii"),
        pytest.param({"predictions": predictions(predicted=b"\0")}, id="fewer-predictions-than-labels"),
        pytest.param({"predictions": {**predictions(), "labels_digest": "0" * 64}}, id="digest-of-other-labels"),
        pytest.param({"examples": {"a": {"ids": ["q"], "scores": [1.0]}}}, id="half-of-the-scores"),
        pytest.param({"examples": {"a": {**EXAMPLES, "scores": [1.0]}}}, id="fewer-scores-than-items"),
        pytest.param({"examples": {"a": {**EXAMPLES, "scores": [1.0, "nan"]}}}, id="score-as-text"),
        pytest.param({"examples": {"a": {**EXAMPLES, "scores": [1.0, True]}}}, id="score-as-truth"),
        pytest.param({"examples": {"a": {**EXAMPLES, "clusters": ["c"]}}}, id="fewer-clusters-than-items"),
        pytest.param({"examples": {"a": {**EXAMPLES, "ids": ["q", ""]}}}, id="item-without-an-id"),
        pytest.param({"examples": {"a": {**EXAMPLES, "digests": ["0" * 32, "x" * 32]}}}, id="digest-of-no-output"),
        pytest.param({"examples": {"a": {**EXAMPLES, "outputs": ["x" * 100_000, ""]}}}, id="long-output"),
        pytest.param({"examples": {"a": {**EXAMPLES, "repeats": [0, -1]}}}, id="repeat-before-the-first"),
    ],
)
def test_an_event_that_is_not_as_agreed_is_refused(change):
    with pytest.raises(ProtocolError):
        parse({**COMPLETED, **change})


@pytest.mark.parametrize("name", [name for name in COMPLETED if name not in {"event", "token"}])
def test_an_event_without_one_of_its_keys_is_refused(name):
    with pytest.raises(ProtocolError, match=name):
        parse({key: value for key, value in COMPLETED.items() if key != name})


@pytest.mark.parametrize("seconds", [0, -0.1, "1", None, 1e300])
def test_a_block_takes_time(seconds):
    with pytest.raises(ProtocolError):
        parse({"event": "block", "token": "7f", "seconds": seconds, "run_delay_s": None}, expected=(Event.BLOCK,))


@pytest.mark.parametrize("change", [{"event": "ready"}, {"token": "80"}, {"token": ""}], ids=str)
def test_an_answer_to_another_command_is_out_of_turn(change):
    with pytest.raises(ProtocolError, match="out of turn; expected finished"):
        parse({**COMPLETED, **change})


METRIC = {"name": "a", "kind": "accuracy", "direction": "higher", "margin": 0.1, "unit": ""}
WORKLOAD = {
    "id": "test_a.py::test_a",
    "execution": "trained",
    "metrics": [METRIC],
    "looks": [],
    "is_skipped": False,
    "is_deselected": False,
}


def parse_collected(*workloads):
    found = {"workloads": workloads, "problems": [], "skipped": []}
    content = {"event": "collected", "token": "7f", "protocol": PROTOCOL_VERSION, **found}
    return parse(content, expected=(Event.COLLECTED,))[1]["workloads"]


def test_workloads_come_through():
    assert parse_collected(WORKLOAD, {**WORKLOAD, "id": "other"}) == [WORKLOAD, {**WORKLOAD, "id": "other"}]


@pytest.mark.parametrize(
    "workloads",
    [
        pytest.param([WORKLOAD, WORKLOAD], id="twice"),
        pytest.param([{**WORKLOAD, "metrics": [METRIC, METRIC]}], id="a-metric-twice"),
        pytest.param([{**WORKLOAD, "execution": "interleaved"}], id="metrics-of-another-kind"),
        pytest.param([{**WORKLOAD, "metrics": [{**METRIC, "margin": 0}]}], id="no-margin"),
        pytest.param([{**WORKLOAD, "metrics": [{**METRIC, "direction": "up"}]}], id="direction"),
        pytest.param([{**WORKLOAD, "metrics": [{**METRIC, "ceiling": "high"}]}], id="ceiling"),
        pytest.param([{**WORKLOAD, "is_skipped": 1}], id="number-for-truth"),
        pytest.param([{**WORKLOAD, "execution": "evaluated"}], id="an-evaluation-without-a-score"),
        pytest.param([{**WORKLOAD, "looks": [0.5, 2.0]}], id="a-look-at-more-than-all"),
        pytest.param([{**WORKLOAD, "execution": "often"}], id="unknown-execution"),
        pytest.param([{"id": "test_a.py::test_a"}], id="half-of-it"),
    ],
)
def test_workloads_that_cannot_be_are_refused(workloads):
    with pytest.raises(ProtocolError):
        parse_collected(*workloads)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(sorted(SCHEMAS)), st.dictionaries(st.sampled_from([*COMPLETED, "values", "seconds"]), JSON))
def test_nothing_that_is_sent_raises_anything_else(event, content):
    try:
        name, parsed = parse({**content, "event": event, "token": "7f"}, expected=tuple(SCHEMAS))
    except ProtocolError:
        return
    assert (name, "token" in parsed) == (event, False)


def test_every_event_of_the_protocol_has_a_schema():
    assert set(SCHEMAS) == set(Event)


def test_a_schema_with_other_keys_than_the_protocol_is_refused():
    with pytest.raises(TypeError, match="Block has other keys"):
        events._object(Block, seconds={}, calls={})
