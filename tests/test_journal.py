import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.errors import StoreError, UsageError
from mainstay.journal import CALIBRATIONS, Journal, RunFolder, interrupted_run, new_run, unfinished_runs
from mainstay.records import Outcome, Predictions, Side, Trial

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def trial():
    return Trial(
        workload="benchmarks/test_a.py::test_mlp",
        side=Side.CANDIDATE,
        seed=7,
        pair=0,
        outcome=Outcome.COMPLETED,
        values={"top1_accuracy": 0.1 + 0.2},
        series={"validation_accuracy": (0.5, 1 / 3)},
        context={"dataset": "digits", "size": 360, "scale": 0.5, "is_resized": True},
        digest="ab",
        predictions=Predictions(predicted="BwI=", labels="BwE=", labels_digest="d"),
        last_lines=("last words",),
        duration_s=1.5,
        load=0.25,
    )


def test_a_trial_comes_back_bit_for_bit(tmp_path, trial):
    journal = Journal(tmp_path / "journal.jsonl")

    journal.append_trial(trial)

    assert journal.trials() == [trial]


@pytest.fixture
def torn(tmp_path, trial):
    """A run with one trial, and with the beginning of a line after it."""
    run = new_run(tmp_path, NOW, {})
    run.journal.append_trial(trial)
    with run.journal.path.open("ab") as stream:
        stream.write(b'{"type": "trial", "tri')
    return run


def test_a_torn_last_line_is_dropped_and_overwritten_by_whoever_holds_the_run(torn, trial):
    assert torn.journal.trials() == [trial]
    with torn as run:
        run.journal.append_trial(trial)

    assert torn.journal.trials() == [trial, trial]


def test_a_line_that_a_running_gate_is_writing_is_left_to_it(tmp_path, torn):
    before = torn.journal.path.read_bytes()

    unfinished_runs(tmp_path)
    interrupted_run(tmp_path)

    assert torn.journal.path.read_bytes() == before


def test_a_damaged_line_in_the_middle_is_refused(tmp_path, trial):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_bytes(b"not json\n")
    journal.append_trial(trial)

    with pytest.raises(StoreError, match="does not read") as caught:
        journal.read()

    assert "without --resume" in str(caught.value)


def test_a_full_disk_names_the_way_on(trial):
    journal = Journal(Path("/dev/full"))

    with pytest.raises(StoreError, match="No space left") as caught:
        journal.append_trial(trial)

    assert "--resume" in str(caught.value)


def test_a_full_disk_in_a_calibration_does_not_promise_that_it_continues(tmp_path):
    folder = new_run(tmp_path, NOW, {}, among=CALIBRATIONS)
    folder.journal.path.unlink()
    folder.journal.path.symlink_to("/dev/full")

    with pytest.raises(StoreError, match="No space left") as caught:
        folder.journal.append("finish")

    assert caught.value.looked_in == f".mainstay/calibrations/{folder.id}/journal.jsonl"
    assert "mainstay calibrate" in caught.value.next_step


def test_a_document_that_cannot_be_written_is_named_where_it_lies(tmp_path):
    folder = new_run(tmp_path, NOW, {}, among=CALIBRATIONS)
    (folder.path / "calibration.json").mkdir()

    with pytest.raises(StoreError) as caught:
        folder.write("calibration.json", "{}")

    assert caught.value.looked_in == f".mainstay/calibrations/{folder.id}/calibration.json"


def test_the_latest_unfinished_run_is_resumed(tmp_path):
    first = new_run(tmp_path, NOW, {"salt": "first"})
    second = new_run(tmp_path, NOW, {"salt": "second"})
    second.journal.append("finish", verdict="pass")

    assert interrupted_run(tmp_path).id == first.id


def test_nothing_to_resume_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no interrupted gate") as caught:
        interrupted_run(tmp_path)

    assert caught.value.exit_status == 2


def test_a_run_that_goes_on_cannot_be_resumed(tmp_path):
    with new_run(tmp_path, NOW, {}), pytest.raises(UsageError, match="still going on"):
        interrupted_run(tmp_path)


def test_a_run_is_held_by_one_process(tmp_path):
    with new_run(tmp_path, NOW, {}) as run, pytest.raises(UsageError, match="still going on"), RunFolder(run.path):
        pass


def empty(run):
    """Leave what a gate leaves that is killed before it writes its first line."""
    run.journal.path.write_bytes(b"")


def damage(run):
    """Make a line of the journal unreadable."""
    with run.journal.path.open("ab") as stream:
        stream.write(b"not json\n")


def fail(run):
    """End with an error."""
    run.journal.append("failed", fact="building the wheel failed", exit_status=1)


@pytest.mark.parametrize("happen", [empty, damage, fail, RunFolder.__enter__])
def test_a_run_that_cannot_be_resumed_does_not_hide_an_interrupted_one(tmp_path, happen):
    interrupted, later = (new_run(tmp_path, NOW, {}) for _ in range(2))

    happen(later)

    assert interrupted_run(tmp_path).id == interrupted.id


@pytest.mark.parametrize("happen", [empty, fail])
def test_what_never_began_or_failed_is_nothing_to_resume(tmp_path, happen):
    happen(new_run(tmp_path, NOW, {}))

    with pytest.raises(UsageError, match="no interrupted gate"):
        interrupted_run(tmp_path)


def test_a_damaged_run_is_named_where_there_is_no_other_to_resume(tmp_path):
    run = new_run(tmp_path, NOW, {})
    damage(run)

    with pytest.raises(StoreError, match="does not read") as caught:
        interrupted_run(tmp_path)

    assert run.id in str(caught.value)


def test_the_folder_of_runs_ignores_itself(tmp_path):
    new_run(tmp_path, NOW, {})

    assert (tmp_path / ".mainstay" / ".gitignore").read_text() == "*\n"


def test_numbers_that_json_lacks_survive(tmp_path, trial):
    journal = Journal(tmp_path / "journal.jsonl")

    journal.append_trial(replace(trial, values={"a": math.inf}))

    assert journal.trials()[0].values["a"] == math.inf
