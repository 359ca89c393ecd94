import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.records.errors import SchemaError, UsageError
from mainstay.records.findings import Finding, Method, Verdict
from mainstay.records.history import KeptCommit, KeptMetric, KeptRun, RunKind, Withdrawal
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.records.plans import Plan
from mainstay.records.runs import Environment, Machine, Revision, Run
from mainstay.records.trials import Side
from mainstay.store.history import (
    file_of,
    is_intact,
    kept_from_json,
    kept_run,
    kept_to_json,
    read_history,
    stem_of,
    withdrawal_to_json,
)

NOW = datetime(2027, 2, 1, tzinfo=UTC)
METRIC = Metric(
    workload="test_a.py::test_a", name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002
)
KEPT = KeptRun(
    id="20270131T100000-000",
    created="2027-01-31T10:00:00+00:00",
    kind=RunKind.MAIN,
    verdict=Verdict.PASS,
    baseline=KeptCommit(commit="1" * 40, subject="before", date="2027-01-30T09:00:00+01:00"),
    candidate=KeptCommit(commit="2" * 40, subject="after", date="2027-01-31T09:00:00+01:00"),
    machine="A, 2 cores, 8 GiB, Linux x86_64",
    packages_digest="abc",
    looks=(5, 8, 12, 20),
    metrics=(
        KeptMetric(
            metric=METRIC,
            verdict=Verdict.PASS,
            method=Method.SEQUENTIAL,
            degradations=(0.001, -0.001, 0.0005, 0.0, 0.0002),
            baseline_mean=0.97,
            candidate_mean=0.969,
        ),
    ),
    run_digest="def",
    mainstay_version="0.1.0",
)


WITH_A_SEED_TOO_FEW = json.loads(kept_to_json(KEPT))["metrics"][0] | {"seeds": [1, 2, 3, 4]}


def make_run(**changes) -> Run:
    environments = tuple(
        Environment(side=side, python="3.11", packages={}, packages_digest="abc", wheel_digest="w") for side in Side
    )
    finding = Finding(
        metric=METRIC,
        verdict=Verdict.PASS,
        reason="",
        method=Method.SEQUENTIAL,
        seeds=(1, 2, 3, 4, 5),
        baseline_values=(0.97,) * 5,
        candidate_values=(0.969,) * 5,
        degradations=(0.001, -0.001, 0.0005, 0.0, 0.0002),
        baseline_mean=0.97,
        candidate_mean=0.969,
    )
    run = Run(
        id=KEPT.id,
        created=KEPT.created,
        mainstay_version="0.1.0",
        verdict=Verdict.PASS,
        reason="",
        exit_status=0,
        baseline=Revision(side=Side.BASELINE, commit="1" * 40, tree="3" * 40, subject="before", name="HEAD~1"),
        candidate=Revision(side=Side.CANDIDATE, commit="2" * 40, tree="4" * 40, subject="after", name="HEAD"),
        environments=environments,
        machine=Machine(system="Linux 6.1", architecture="x86_64", processor="A", num_cores=2, memory_bytes=8 * 2**30),
        plan=Plan(
            alpha=0.01, margin_level=0.05, looks=(5, 8, 12, 20), num_gated=1, seconds=60, fail_fast=False, inconclusive=3,
            salt="", threads=1, jobs=1, workloads=(),
        ),
        findings=(finding,),
        workloads=(),
    )  # fmt: skip
    return replace(run, **changes)


def keep(run: Run, kind: RunKind = RunKind.MAIN, *, between: Collection[KeptRun] | None = (), **dates: str) -> KeptRun:
    known = {"1" * 40: KEPT.baseline.date, "2" * 40: KEPT.candidate.date} | dates
    return kept_run(run, kind, run_digest="def", dates=known, between=between, now=NOW, where="run.json")


def test_a_valid_run_is_kept_with_the_degradation_and_the_seed_of_every_pair():
    assert keep(make_run()) == replace(KEPT, metrics=(replace(KEPT.metrics[0], seeds=(1, 2, 3, 4, 5)),))


def test_no_seed_is_kept_of_a_time_which_it_does_not_repeat():
    timed = replace(METRIC, kind=Kind.PERFORMANCE, direction=Direction.LOWER)

    assert keep(with_finding(metric=timed)).metrics == (replace(KEPT.metrics[0], metric=timed),)


def with_finding(**changes):
    run = make_run()
    return replace(run, findings=(replace(run.findings[0], **changes),))


@pytest.mark.parametrize(
    ("run", "kind", "complaint", "step"),
    [
        pytest.param(make_run(verdict=Verdict.ERROR), RunKind.MAIN, "the verdict is error", "correct what the report", id="error"),
        pytest.param(make_run(verdict=Verdict.NEW), RunKind.MAIN, "the verdict is new", "the next commit", id="new"),
        pytest.param(
            with_finding(verdict=Verdict.MISSING), RunKind.MAIN, "is missing", "correct what the report", id="missing-metric"
        ),
        pytest.param(make_run(environments=()), RunKind.MAIN, "environments", "gate again", id="no-environments"),
        pytest.param(
            make_run(), RunKind.ANCHOR, "an anchor needs a fixed number of pairs", "--pairs 20", id="anchor-that-may-stop-early"
        ),
        pytest.param(
            make_run(), RunKind.RELEASE, "a release needs a fixed number of pairs", "--pairs 20", id="release-that-may-stop-early"
        ),
        pytest.param(
            make_run(candidate=Revision(side=Side.CANDIDATE, commit="5" * 40, tree="", subject="", name="working tree")),
            RunKind.MAIN, "no commit of the default branch", "after its merge", id="working-tree",
        ),
        pytest.param(
            make_run(created="2027-01-29T00:00:00+00:00"), RunKind.MAIN, "clock is wrong", "set the clock", id="clock-backwards"
        ),
        pytest.param(
            make_run(created="2031-01-01T00:00:00+00:00"), RunKind.MAIN, "clock is wrong", "set this clock", id="clock-ahead"
        ),
    ],
)  # fmt: skip
def test_a_run_that_is_not_valid_is_refused_with_its_place_reason_and_next_step(run, kind, complaint, step):
    with pytest.raises(UsageError, match=complaint) as caught:
        keep(run, kind)

    assert caught.value.looked_in == "run.json"
    assert step in caught.value.next_step


@pytest.mark.parametrize(
    ("between", "complaint"),
    [
        pytest.param(None, r"the baseline \(HEAD~1\) is no earlier commit of the default branch", id="not-before"),
        pytest.param([KEPT, KEPT], r"is not the commit before: 2 gates of commits between", id="gates-between"),
    ],
)
def test_only_a_gate_against_the_commit_before_is_kept_as_one(between, complaint):
    fixed = make_run(plan=replace(make_run().plan, looks=(20,)))

    with pytest.raises(UsageError, match=complaint) as caught:
        keep(fixed, between=between)

    assert "--kind" in caught.value.next_step
    assert keep(fixed, RunKind.ANCHOR, between=between).kind is RunKind.ANCHOR


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(finite, max_size=20), st.text(max_size=40), st.sampled_from(list(RunKind)))
def test_writing_and_reading_gives_the_same(degradations, subject, kind):
    metric = replace(KEPT.metrics[0], degradations=tuple(degradations), seeds=tuple(range(len(degradations))))
    run = replace(KEPT, metrics=(metric,), kind=kind, candidate=replace(KEPT.candidate, subject=subject))

    assert kept_from_json(kept_to_json(run), where="x") == run
    assert kept_to_json(run).isascii()
    assert file_of(run) == file_of(kept_from_json(kept_to_json(run), where="x"))


def test_every_version_that_was_ever_written_is_read():
    golden = sorted(Path(__file__).parent.glob("kept_*.json"))

    assert [kept_from_json(path.read_text(), where=path.name) for path in golden] == [KEPT] * len(golden)
    assert golden


def test_a_field_that_a_later_mainstay_added_is_ignored():
    document = {**json.loads(kept_to_json(KEPT)), "weather": "fine"}

    assert kept_from_json(json.dumps(document), where="x") == KEPT


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"v": 0}, "no version", id="version-0"),
        pytest.param({"v": True}, "no version", id="version-true"),
        pytest.param({"v": 2}, "version 2", id="newer"),
        pytest.param({"id": "../x"}, "name of a run", id="path-in-name"),
        pytest.param({"id": 3}, "no text", id="number-for-text"),
        pytest.param({"created": "yesterday"}, "yesterday", id="no-time"),
        pytest.param({"created": "2027-01-31T10:00:00"}, "not a time in UTC", id="no-zone"),
        pytest.param({"verdict": "fine"}, "fine", id="unknown-verdict"),
        pytest.param({"metrics": None}, "None", id="no-metrics"),
        pytest.param({"metrics": [WITH_A_SEED_TOO_FEW]}, "5 pairs and 4 seeds", id="a-seed-too-few"),
        pytest.param({"candidate": {"commit": "--all", "subject": ""}}, "full hash", id="option-for-commit"),
    ],
)
def test_a_damaged_document_is_refused_with_its_place(changes, complaint):
    document = {**json.loads(kept_to_json(KEPT)), **changes}

    with pytest.raises(SchemaError, match=complaint) as caught:
        kept_from_json(json.dumps(document), where="runs/x.json")

    assert caught.value.looked_in == "runs/x.json"
    assert caught.value.next_step


@given(st.text(max_size=50))
def test_no_text_brings_the_reader_down(text):
    with pytest.raises(SchemaError):
        kept_from_json(text, where="x")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
@example([float("inf")])
def test_no_value_in_a_known_place_brings_the_reader_down(value):
    for key in ("metrics", "candidate", "looks", "created", "kind"):
        document = json.dumps({**json.loads(kept_to_json(KEPT)), key: value})
        with suppress(SchemaError):
            assert isinstance(kept_from_json(document, where="x"), KeptRun)


def place(run, folder="runs"):
    return (
        f"mainstay-history/2027:{file_of(run)}"
        if folder == "runs"
        else f"mainstay-history/2027:withdrawn/{stem_of(file_of(run))}.json"
    )


def test_a_withdrawn_run_stays_and_counts_no_more():
    withdrawal = Withdrawal(
        run=stem_of(file_of(KEPT)), when="2027-02-01T00:00:00+00:00", who="A", reason="wrong machine"
    )

    history = read_history(
        [
            (place(KEPT), kept_to_json(KEPT).encode()),
            (place(KEPT, "withdrawn"), withdrawal_to_json(withdrawal).encode()),
        ]
    )

    assert history.entries[0].withdrawal == withdrawal
    assert (history.runs, history.num_withdrawn) == ((), 1)


def test_what_does_not_read_is_told_and_hides_nothing_else():
    altered = kept_to_json(KEPT).replace("after", "other").encode()
    newer = kept_to_json(KEPT).replace('"v":1', '"v":9').encode()
    name = f"mainstay-history/2027:runs/01/31/a-{hashlib.sha256(newer).hexdigest()[:12]}.json"
    second = replace(KEPT, id="20270131T110000-000")

    history = read_history([(place(KEPT), altered), (name, newer), (place(second), kept_to_json(second).encode())])

    assert history.runs == (second,)
    assert [where for where, _ in history.unread] == [place(KEPT), name]
    assert "altered" in history.unread[0][1]
    assert "version 9" in history.unread[1][1]


def test_a_damaged_file_can_be_withdrawn():
    withdrawal = Withdrawal(run=stem_of(file_of(KEPT)), when="2027-02-01T00:00:00+00:00", who="A", reason="damaged")

    history = read_history(
        [(place(KEPT), b"\xff"), (place(KEPT, "withdrawn"), withdrawal_to_json(withdrawal).encode())]
    )

    assert (history.runs, history.unread) == ((), ())


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        pytest.param(file_of(KEPT), kept_to_json(KEPT).encode(), True, id="run"),
        pytest.param(file_of(KEPT), kept_to_json(KEPT).replace("after", "other").encode(), False, id="altered-run"),
        pytest.param("withdrawn/a.json", withdrawal_to_json(Withdrawal(run="a", when="b", who="c", reason="d")).encode(), True, id="withdrawal"),
        pytest.param("withdrawn/a.json", b'{"v":1,"run":"a"}', False, id="withdrawal-that-lacks-something"),
        pytest.param("withdrawn/a.json", b"\xff", False, id="withdrawal-that-is-no-text"),
    ],
)  # fmt: skip
def test_a_file_is_intact_if_it_is_as_it_was_written(path, content, expected):
    assert is_intact(path, content) is expected
