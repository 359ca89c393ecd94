import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.records.errors import StoreError, UsageError
from mainstay.records.hosts import Facts
from mainstay.records.trials import Outcome, Predictions, Side, Trial
from mainstay.store.journal import (
    CALIBRATIONS,
    PIECES,
    Conditions,
    Journal,
    RunFolder,
    interrupted_run,
    new_run,
    trial_content,
    unfinished_runs,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def left_run(root, start=None, **options):
    """A run that was interrupted as soon as it began."""
    with new_run(root, NOW, start or {}, **options) as run:
        return run


def resumable(root):
    """Id of the run that would be resumed."""
    with interrupted_run(root) as run:
        return run.id


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


@pytest.mark.parametrize(
    ("attempts", "standing"),
    [
        pytest.param([(True, None)], [0], id="confined-and-killed"),
        pytest.param([(False, None)], [], id="unconfined-and-killed"),
        pytest.param([(False, [])], [0], id="unconfined-and-checked"),
        pytest.param([(False, ["the workloads (a.py)"])], [0], id="with-tampering-that-is-known"),
        pytest.param([(False, []), (False, None), (True, None)], [0, 2], id="only-the-killed-one-is-dropped"),
        pytest.param([(False, None), (False, [])], [1], id="a-later-check-is-of-the-later-attempt"),
    ],
)
def test_what_unconfined_workers_did_does_not_count_unless_it_was_checked(tmp_path, trial, attempts, standing):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("resolutions", number=0)
    for number, (is_confined, tampering) in enumerate(attempts):
        journal.append("attempt", is_confined=is_confined)
        journal.append("plan", number=number)
        journal.append_trial(replace(trial, pair=number))
        if tampering is not None:
            journal.append("checked", tampering=tampering)

    assert [each.pair for each in journal.trials()] == standing
    assert (journal.first("plan") or {}).get("number") == next(iter(standing), None)
    assert journal.first("resolutions")
    assert journal.num_dropped() == (attempts[-1] == (False, None))


@pytest.mark.parametrize(
    ("attempts", "known"),
    [
        pytest.param([], None, id="none"),
        pytest.param([(True, "a")], "a", id="one"),
        pytest.param([(True, "a"), (True, "b")], "a", id="the-first-of-two"),
        pytest.param([(False, "a"), (True, "b")], "a", id="the-first-also-if-it-does-not-count"),
    ],
)
def test_a_journal_knows_the_conditions_of_its_first_attempt(tmp_path, attempts, known):
    journal = Journal(tmp_path / "journal.jsonl")
    for is_confined, sha256 in attempts:
        facts = Facts(python="3.12.1", mainstay="0.1.0", device="Linux")
        conditions = Conditions(facts=facts, shared={"data": sha256})
        journal.append("attempt", is_confined=is_confined, **asdict(conditions))

    first = journal.first_conditions()
    assert (first and first.shared) == (known and {"data": known})


@pytest.fixture
def torn(tmp_path, trial):
    """A run with one trial, and with the beginning of a line after it."""
    run = left_run(tmp_path)
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

    assert torn.journal.path.read_bytes() == before


def test_a_damaged_line_in_the_middle_is_refused(tmp_path, trial):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_bytes(b"not json\n")
    journal.append_trial(trial)

    with pytest.raises(StoreError, match="cannot be read") as caught:
        journal.read()

    assert "without --resume" in str(caught.value)


def test_a_damaged_piece_is_named_where_it_lies_with_the_command_that_measures_it_again(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", PIECES)
    journal.path.write_bytes(b"not json\n")

    with pytest.raises(StoreError) as caught:
        journal.read()

    assert caught.value.looked_in == str(journal.path)
    assert "mainstay trials" in caught.value.next_step


def test_a_full_disk_names_the_way_on(trial):
    journal = Journal(Path("/dev/full"))

    with pytest.raises(StoreError, match="No space left") as caught:
        journal.append_trial(trial)

    assert "--resume" in str(caught.value)


def test_a_full_disk_in_a_calibration_does_not_promise_that_it_continues(tmp_path):
    folder = left_run(tmp_path, among=CALIBRATIONS)
    folder.journal.path.unlink()
    folder.journal.path.symlink_to("/dev/full")

    with pytest.raises(StoreError, match="No space left") as caught:
        folder.journal.append("finish")

    assert caught.value.looked_in == f".mainstay/calibrations/{folder.id}/journal.jsonl"
    assert "mainstay calibrate" in caught.value.next_step


def test_a_document_that_cannot_be_written_is_named_where_it_lies(tmp_path):
    folder = left_run(tmp_path, among=CALIBRATIONS)
    (folder.path / "calibration.json").mkdir()

    with pytest.raises(StoreError) as caught:
        folder.write("calibration.json", "{}")

    assert caught.value.looked_in == f".mainstay/calibrations/{folder.id}/calibration.json"


def test_the_latest_unfinished_run_is_resumed(tmp_path):
    first = left_run(tmp_path, {"salt": "first"})
    second = left_run(tmp_path, {"salt": "second"})
    second.journal.append("finish", verdict="pass")

    assert resumable(tmp_path) == first.id


def test_nothing_to_resume_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no interrupted gate") as caught:
        resumable(tmp_path)

    assert caught.value.exit_status == 2


def test_a_run_that_goes_on_cannot_be_resumed(tmp_path):
    with new_run(tmp_path, NOW, {}), pytest.raises(UsageError, match="still running"):
        resumable(tmp_path)


def test_a_run_is_held_by_one_process(tmp_path):
    with new_run(tmp_path, NOW, {}) as run, pytest.raises(UsageError, match="still running"), RunFolder(run.path):
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
    interrupted, later = (left_run(tmp_path) for _ in range(2))

    happen(later)

    assert resumable(tmp_path) == interrupted.id


@pytest.mark.parametrize("happen", [empty, fail])
def test_what_never_began_or_failed_is_nothing_to_resume(tmp_path, happen):
    happen(left_run(tmp_path))

    with pytest.raises(UsageError, match="no interrupted gate"):
        resumable(tmp_path)


def test_a_damaged_run_is_named_where_there_is_no_other_to_resume(tmp_path):
    run = left_run(tmp_path)
    damage(run)

    with pytest.raises(StoreError, match="cannot be read") as caught:
        resumable(tmp_path)

    assert run.id in str(caught.value)


@dataclass(frozen=True)
class Start:
    """What these runs begin with."""

    salt: str


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        pytest.param("[1]", "line 1 of the journal cannot be read", id="no-object"),
        pytest.param('{"type": 1}', "line 1 of the journal cannot be read", id="no-type"),
        pytest.param("[" * 100_000, "cannot be read", id="nested"),
        pytest.param('{"type": "start", "version": 1}', "its first line lacks something", id="nothing-but-a-version"),
        pytest.param('{"type": "start", "salt": "a"}', "is of version None", id="without-a-version"),
        pytest.param('{"type": "start", "version": 99, "salt": "a"}', "is of version 99", id="another-version"),
        pytest.param('{"type": "trial"}\n{"type": "start", "version": 1, "salt": "a"}', "does not begin", id="late"),
    ],
)
def test_a_run_that_this_mainstay_cannot_continue_is_named_and_hides_no_other(tmp_path, line, fact):
    run = left_run(tmp_path, {"salt": "b"})
    run.journal.path.write_text(f"{line}\n")
    with pytest.raises(StoreError, match=fact) as caught, interrupted_run(tmp_path, Start):
        pass
    assert caught.value.looked_in == f".mainstay/runs/{run.id}/journal.jsonl"

    sound = left_run(tmp_path, {"salt": "c"})
    damages = []

    assert [each.id for each in unfinished_runs(tmp_path, Start, on_damage=damages.append)] == [sound.id]
    assert len(damages) == 1
    with interrupted_run(tmp_path, Start) as found:
        assert found.journal.start(Start) == Start("c")
    assert run.journal.path.read_text() == f"{line}\n"


def test_a_journal_that_is_no_file_is_named(tmp_path):
    run = left_run(tmp_path)
    run.journal.path.unlink()
    run.journal.path.mkdir()

    with pytest.raises(StoreError, match="cannot be read"):
        resumable(tmp_path)


@pytest.mark.parametrize("content", [{}, {"trial": [1]}, {"trial": {"workload": "a"}}], ids=["none", "list", "part"])
def test_a_trial_that_does_not_read_is_named(tmp_path, content):
    run = left_run(tmp_path)
    run.journal.append("trial", **content)

    with pytest.raises(StoreError, match="trial in its line 'trial' lacks something"):
        run.journal.trials()


@pytest.mark.parametrize(
    "examples",
    [
        {"ids": ["a", "b"], "scores": [1.0]},
        {"ids": ["a"], "scores": [1.0], "digests": ["0", "1"]},
        {"ids": ["a"], "scores": [math.nan]},
        {"ids": ["a"], "scores": [math.inf]},
    ],
    ids=["scores", "digests", "nan", "inf"],
)
def test_scores_of_items_that_do_not_fit_are_named(tmp_path, trial, examples):
    run = left_run(tmp_path)
    run.journal.append("trial", trial=trial_content(trial) | {"examples": {"accuracy": examples}})

    with pytest.raises(StoreError, match="trial in its line 'trial' lacks something"):
        run.journal.trials()


def test_two_that_resume_take_two_runs_or_the_second_is_told(tmp_path):
    earlier, later = left_run(tmp_path), left_run(tmp_path)

    with interrupted_run(tmp_path) as first, interrupted_run(tmp_path) as second:
        assert (first.id, second.id) == (later.id, earlier.id)
        with pytest.raises(UsageError, match=f"run {later.id} is still running in another process"):
            resumable(tmp_path)


def test_a_run_is_held_before_it_can_be_taken_for_an_interrupted_one(tmp_path, monkeypatch):
    append, held = Journal.append, []

    def append_and_look(journal, *arguments, **content):
        append(journal, *arguments, **content)
        held.append(RunFolder(journal.path.parent).is_held)

    monkeypatch.setattr(Journal, "append", append_and_look)
    with new_run(tmp_path, NOW, {}):
        pass

    assert held == [True]


def test_the_folder_of_runs_ignores_itself(tmp_path):
    left_run(tmp_path)

    assert (tmp_path / ".mainstay" / ".gitignore").read_text() == "*\n"


def test_a_link_in_the_place_of_a_file_of_runs_is_not_written_through(tmp_path):
    (tmp_path / "profile").write_text("export A=1\n")
    (tmp_path / ".mainstay").mkdir()
    (tmp_path / ".mainstay" / ".gitignore").symlink_to(tmp_path / "profile")

    left_run(tmp_path)

    assert (tmp_path / "profile").read_text() == "export A=1\n"
    assert (tmp_path / ".mainstay" / ".gitignore").read_text() == "*\n"


def test_numbers_that_json_lacks_survive(tmp_path, trial):
    journal = Journal(tmp_path / "journal.jsonl")

    journal.append_trial(replace(trial, values={"a": math.inf}))

    assert journal.trials()[0].values["a"] == math.inf


def test_a_journal_holds_no_credentials(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")

    journal.append("resolutions", indexes=["https://me:word@host/simple"])

    assert journal.read() == [{"type": "resolutions", "indexes": ["https://****@host/simple"]}]
