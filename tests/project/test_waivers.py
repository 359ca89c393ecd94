import datetime
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.project.waivers import (
    append_waiver,
    apply_waivers,
    parse_waivers,
    read_waivers,
    unknown_waivers,
    waiver_toml,
)
from mainstay.records.errors import ConfigurationError, StoreError
from mainstay.records.findings import Finding, Verdict, Waiver
from mainstay.records.metrics import Direction, Kind, Metric

TODAY = datetime.date(2027, 1, 31)
WAIVER = Waiver(metric="w#top1_accuracy", limit=0.006, reason="a smaller model is wanted", until="2027-01-31")


def failing(
    *, degradation: float | None = 0.005, verdict: Verdict = Verdict.FAIL, kind: Kind = Kind.ACCURACY
) -> Finding:
    direction = Direction.HIGHER if kind is Kind.ACCURACY else Direction.LOWER
    metric = Metric(workload="w", name="top1_accuracy", kind=kind, direction=direction, margin=0.002)
    return Finding(metric=metric, verdict=verdict, reason="worse", estimate=degradation, num_pairs=8)


def unreviewed(finding: Finding) -> Finding:
    """A finding that a person has to accept."""
    return replace(finding, verdict=Verdict.INCONCLUSIVE, review="the workload changed")


NEW = replace(unreviewed(failing(degradation=None)), is_new=True)
"""A finding that would be new, did a person not have to accept it."""

OTHER = replace(failing().metric, name="loss")


@pytest.mark.parametrize(
    ("finding", "waiver", "verdict"),
    [
        pytest.param(
            replace(failing(degradation=0.005), cap=0.005, degradations=(0.004, 900.0), seeds=(1, 2)),
            WAIVER,
            Verdict.FAIL,
            id="an-explosion-counts-as-measured",
        ),
        pytest.param(failing(), WAIVER, Verdict.WAIVED, id="within-the-limit-on-the-last-day"),
        pytest.param(failing(degradation=0.006), WAIVER, Verdict.WAIVED, id="at-the-limit"),
        pytest.param(failing(degradation=0.0061), WAIVER, Verdict.FAIL, id="beyond-the-limit"),
        pytest.param(failing(degradation=None), WAIVER, Verdict.FAIL, id="no-estimate"),
        pytest.param(failing(degradation=math.nan), WAIVER, Verdict.FAIL, id="nan"),
        pytest.param(failing(), replace(WAIVER, until="2027-01-30"), Verdict.FAIL, id="expired"),
        pytest.param(failing(), replace(WAIVER, metric="top1_accuracy"), Verdict.WAIVED, id="by-name"),
        pytest.param(failing(degradation=None, verdict=Verdict.MISSING), WAIVER, Verdict.WAIVED, id="missing"),
        pytest.param(failing(verdict=Verdict.ERROR), WAIVER, Verdict.ERROR, id="errors-cannot-be-waived"),
        pytest.param(failing(verdict=Verdict.INCONCLUSIVE), WAIVER, Verdict.INCONCLUSIVE, id="inconclusive-stays"),
        pytest.param(unreviewed(failing()), WAIVER, Verdict.WAIVED, id="review-given"),
        pytest.param(
            unreviewed(failing(degradation=0.0061)), WAIVER, Verdict.INCONCLUSIVE, id="review-beyond-the-limit"
        ),
        pytest.param(unreviewed(failing(degradation=None)), WAIVER, Verdict.INCONCLUSIVE, id="review-without-estimate"),
        pytest.param(NEW, replace(WAIVER, limit=0.0), Verdict.WAIVED, id="new-but-for-a-review"),
        pytest.param(NEW, replace(WAIVER, until="2027-01-30"), Verdict.INCONCLUSIVE, id="new-and-expired"),
        pytest.param(replace(NEW, metric=OTHER), WAIVER, Verdict.INCONCLUSIVE, id="new-and-not-waived"),
        pytest.param(replace(NEW, verdict=Verdict.ERROR), WAIVER, Verdict.ERROR, id="new-and-broken"),
        pytest.param(failing(verdict=Verdict.PASS), WAIVER, Verdict.PASS, id="pass-stays"),
        pytest.param(
            failing(degradation=math.log(1.08), kind=Kind.PERFORMANCE),
            replace(WAIVER, limit=0.081),
            Verdict.WAIVED,
            id="ratio",
        ),
        pytest.param(
            failing(degradation=math.log(1.08), kind=Kind.PERFORMANCE),
            replace(WAIVER, limit=0.079),
            Verdict.FAIL,
            id="ratio-beyond",
        ),
    ],
)
def test_what_a_waiver_makes_of_a_finding(finding, waiver, verdict):
    (judged,) = apply_waivers([finding], [waiver], TODAY)

    assert judged.verdict is verdict


def test_waived_finding_keeps_its_numbers_and_names_its_waiver():
    finding = failing()

    (judged,) = apply_waivers([finding], [WAIVER], TODAY)

    assert judged == replace(finding, verdict=Verdict.WAIVED, waiver=WAIVER)


@pytest.mark.parametrize(
    ("waiver", "words"),
    [
        (replace(WAIVER, until="2027-01-30"), "its waiver expired on 2027-01-30"),
        (replace(WAIVER, limit=0.003), "more than the 0.003 that its waiver accepts"),
    ],
)
def test_waiver_that_does_not_cover_says_why(waiver, words):
    (judged,) = apply_waivers([failing()], [waiver], TODAY)

    assert judged.reason == f"worse; {words}"
    assert judged.waiver == waiver


@pytest.mark.parametrize(
    "finding",
    [unreviewed(failing(degradation=None)), failing(degradation=math.nan)],
    ids=["no-pair", "not-a-number"],
)
def test_a_waiver_of_a_degradation_that_was_not_measured_says_so(finding):
    (judged,) = apply_waivers([finding], [WAIVER], TODAY)

    assert judged.reason == "worse; its degradation was not measured, so its waiver cannot apply"


def test_renewed_waiver_replaces_the_expired_one():
    expired = replace(WAIVER, until="2026-12-31")

    (judged,) = apply_waivers([failing()], [expired, WAIVER], TODAY)

    assert judged.waiver == WAIVER
    assert judged.verdict is Verdict.WAIVED


def test_unknown_metric_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigurationError) as caught:
        unknown_waivers([replace(WAIVER, metric="top1_acuracy")], [failing().metric], TODAY)

    assert caught.value.next_step == "did you mean 'top1_accuracy'?"


def test_what_the_baseline_waives_already_or_has_expired_blocks_no_change():
    metrics = [failing().metric]
    gone = replace(WAIVER, metric="gone")

    assert unknown_waivers([WAIVER, gone], metrics, TODAY, excused=[gone]) == [gone]
    assert unknown_waivers([replace(gone, until="2027-01-30")], metrics, TODAY) == []
    with pytest.raises(ConfigurationError, match="'gone', which neither revision has"):
        unknown_waivers([gone], metrics, TODAY, excused=[replace(gone, limit=0.5)])


def test_no_file_means_no_waivers(tmp_path: Path):
    assert read_waivers(tmp_path / "absent.toml") == ()


def test_appended_waivers_are_read_back_and_keep_what_stood_there(tmp_path: Path):
    path = tmp_path / "waivers.toml"
    path.write_text("# reviewed by the maintainers\n", encoding="utf-8")
    second = replace(WAIVER, metric="w#time", until="2027-06-30")

    append_waiver(path, WAIVER, TODAY)
    append_waiver(path, second, TODAY)

    assert read_waivers(path) == (WAIVER, second)
    assert path.read_text(encoding="utf-8").startswith("# reviewed by the maintainers\n")
    assert [file.name for file in tmp_path.iterdir()] == ["waivers.toml"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_appended_waivers_end_their_lines_as_the_file_does(tmp_path: Path, end: str):
    path = tmp_path / "waivers.toml"
    path.write_bytes(f"# reviewed{end}# by the maintainers{end}".encode())

    append_waiver(path, WAIVER, TODAY)
    append_waiver(path, replace(WAIVER, metric="w#time"), TODAY)

    written = path.read_bytes().decode()
    assert written.startswith(f"# reviewed{end}# by the maintainers{end}{end}[[waiver]]{end}")
    assert len(written.split(end)) == len(written.splitlines()) + 1
    assert len(read_waivers(path)) == 2


@given(st.text(min_size=1).filter(str.strip), st.floats(min_value=0, max_value=1e300))
def test_any_reason_and_limit_survive_the_file(text: str, limit: float):
    waiver = replace(WAIVER, reason=text, limit=limit)

    assert parse_waivers(waiver_toml(waiver), where="file") == (waiver,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("=", "not TOML", id="not-toml"),
        pytest.param("waiver = 1", "waiver is not a list of waivers", id="not-a-list"),
        pytest.param("[[waivers]]", "waivers is not a list of waivers", id="wrong-table"),
        pytest.param("waiver = [1]", "a waiver is a table", id="not-a-table"),
        pytest.param("[[waiver]]\nmetrik = 1", "unknown key 'metrik'", id="unknown-key"),
        pytest.param('[[waiver]]\nmetric = "a"', "the key 'limit' is missing", id="key-missing"),
    ],
)
def test_file_that_does_not_read_is_an_error_that_names_the_key(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_waivers(text, where="waivers.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": -0.1}, "limit is -0.1"),
        ({"limit": math.nan}, "limit is nan"),
        ({"limit": True}, "limit is True"),
        ({"until": "soon"}, "until is 'soon'"),
        ({"until": "2027-02-30"}, "until is '2027-02-30'"),
        ({"until": "2026-02-30"}, "until is '2026-02-30'"),
        ({"reason": "  "}, "reason is '  '"),
        ({"metric": "\ud800"}, "metric is"),
    ],
)
def test_entry_that_could_not_be_read_back_is_not_written(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        append_waiver(tmp_path / "waivers.toml", replace(WAIVER, **changes), TODAY)

    assert list(tmp_path.iterdir()) == []


def test_broken_file_is_not_appended_to(tmp_path):
    path = tmp_path / "waivers.toml"
    path.write_text("[[waiver]]\nmetric = 1\n", encoding="utf-8")

    with pytest.raises(ConfigurationError):
        append_waiver(path, WAIVER, TODAY)

    assert path.read_text(encoding="utf-8") == "[[waiver]]\nmetric = 1\n"


def test_folder_in_place_of_the_file_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_waivers(tmp_path)
