"""The check for forbidden changes by workers, at every end of an attempt at a run."""

import errno
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import tampering
from mainstay.commands.harness import conditions_with
from mainstay.commands.tampering import blamed_on_changes, checked
from mainstay.records.errors import (
    Interrupted,
    MainstayError,
    OutageError,
    PieceError,
    PlanError,
    StoreError,
    TreeError,
)
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.revisions.git import Repository
from mainstay.revisions.workspace import Seals
from mainstay.store.integrity import WatchedInput
from mainstay.store.interruption import interruptible
from mainstay.store.journal import new_run

TRIAL = Trial(workload="w", side=Side.BASELINE, seed=0, pair=0, outcome=Outcome.COMPLETED)


class Notes:
    """Observer that keeps what the user is told."""

    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session of a run whose workers are not confined, of a project with a shared input."""
    monkeypatch.setattr(tampering, "can_confine", lambda: False)
    root = tmp_path / "repository"
    root.mkdir()
    (root / "data").write_text("data")
    with new_run(root, datetime.now(UTC), {}) as folder:
        yield SimpleNamespace(repository=Repository(root, ""), folder=folder, observer=Notes())


@pytest.fixture
def harness(tmp_path, session):
    """Makes what an attempt builds anew: installed code that is sealed, and the digests of shared inputs."""

    def harness():
        installed = tmp_path / "installed"
        installed.mkdir(exist_ok=True)
        (installed / "model.py").write_text("good = True\n")
        seals = Seals([], session.repository.read_shared(["data"]))
        seals.add("the environment of the baseline", installed)
        return SimpleNamespace(seals=seals, installed=installed, shared={"data": "a"})

    return harness


@pytest.mark.parametrize("end", [KeyboardInterrupt(), StoreError("no room"), None], ids=["ctrl-c", "error", "whole"])
def test_what_was_changed_before_an_attempt_ended_is_known_to_all_later_attempts(session, harness, end):
    built = harness()
    with suppress(KeyboardInterrupt, Interrupted, StoreError), checked(session, built):
        session.folder.journal.append_trial(TRIAL)
        (built.installed / "model.py").write_text("good = False\n")
        if end:
            raise end
    with checked(session, harness()) as check:
        pass

    assert check.tampering == ("the environment of the baseline (model.py)",)
    assert [text.split(":")[0] for text in session.observer.told] == [
        "what no workload may change was changed while the gate ran",
        "nothing can pass",
    ]


def interrupt():
    raise KeyboardInterrupt


def raise_blamed(error, session):
    with blamed_on_changes(session):
        raise error


def test_an_interrupted_attempt_that_changed_nothing_keeps_its_trials(session, harness):
    with suppress(KeyboardInterrupt), checked(session, harness()):
        session.folder.journal.append_trial(TRIAL)
        interrupt()
    with checked(session, harness()) as check:
        kept = session.folder.journal.trials()

    assert kept == [TRIAL]
    assert (check.tampering, check.notes, session.observer.told) == ((), (), [])


def test_an_attempt_records_the_conditions_under_which_it_measures(session, harness):
    with checked(session, harness()):
        pass

    assert session.folder.journal.first_conditions() == conditions_with({"data": "a"})


@pytest.mark.parametrize(
    "error", [TreeError("no data"), PlanError("another plan"), PieceError("other data")], ids=["tree", "plan", "piece"]
)
@pytest.mark.parametrize("tampering", [[], ["the shared input data"]], ids=["untouched", "changed"])
def test_the_candidate_is_blamed_if_a_run_in_which_something_was_changed_cannot_go_on(session, error, tampering):
    session.folder.journal.append("checked", tampering=tampering)

    with pytest.raises(MainstayError) as raised:
        raise_blamed(error, session)

    if not tampering:
        assert raised.value is error
        return
    assert (raised.value.exit_status, raised.value.side) == (1, "candidate")
    assert raised.value.fact == (
        "what no workload may change was changed while the gate ran: the shared input data; the run cannot be "
        f"continued: {error.fact}"
    )
    assert raised.value.next_step == "correct the candidate, then start a new gate"


@pytest.mark.parametrize("error", [StoreError("no room"), OutageError("no index answers"), Interrupted("interrupted")])
def test_the_candidate_is_not_blamed_for_what_a_change_cannot_cause(session, error):
    session.folder.journal.append("checked", tampering=["the shared input data"])

    with pytest.raises(type(error)) as raised:
        raise_blamed(error, session)

    assert raised.value is error


def test_the_trials_of_an_attempt_that_cannot_be_checked_are_dropped_and_the_user_is_told(
    session, harness, monkeypatch
):
    def refuse(*_):
        raise OSError(errno.EIO, "no answer")

    with monkeypatch.context() as patch, suppress(OSError), checked(session, harness()):
        session.folder.journal.append_trial(TRIAL)
        patch.setattr(Seals, "find_changes", refuse)
    with checked(session, harness()) as check:
        kept = session.folder.journal.trials()

    (note,) = check.notes
    assert kept == []
    assert note == (
        "1 trial does not count and is measured again: the run ended before it could check what no worker may change, "
        "and workers were not confined"
    )
    assert session.observer.told == [note]


def make_unreadable(data):
    """Put something in its place whose status the system refuses, for every user."""
    data.unlink()
    data.symlink_to("x" * 300)


@pytest.mark.parametrize("change", [Path.unlink, make_unreadable], ids=["removed", "unreadable"])
def test_a_shared_input_that_is_removed_or_cannot_be_read_is_a_change(session, harness, change):
    with checked(session, harness()) as check:
        change(session.repository.root / "data")

    assert check.tampering == ("the shared input data",)


def test_changed_code_is_journalled_before_shared_data_is_read(session, harness, monkeypatch):
    built = harness()
    with suppress(Interrupted), checked(session, built):
        (built.installed / "model.py").write_text("good = False\n")
        monkeypatch.setattr(WatchedInput, "has_changed", lambda _: interrupt())
        interrupt()

    assert session.folder.journal.tampering() == ("the environment of the baseline (model.py)",)


def test_trials_do_not_count_if_a_further_interrupt_ends_the_check_of_shared_data(session, harness, monkeypatch):
    with suppress(KeyboardInterrupt), checked(session, harness()):
        session.folder.journal.append_trial(TRIAL)
        monkeypatch.setattr(WatchedInput, "has_changed", lambda _: interrupt())
        interrupt()

    assert session.folder.journal.num_dropped() == 1
    (told,) = session.observer.told
    assert told.startswith("1 trial does not count and is measured again: the run ended before")


def test_an_interrupt_after_a_forbidden_change_advises_a_new_gate(session, harness):
    built = harness()
    (built.installed / "model.py").write_text("good = False\n")
    with pytest.raises(Interrupted) as raised, interruptible("resume"), checked(session, built):
        interrupt()

    assert raised.value.next_step == "correct the candidate, then start a new gate"


def test_changed_dependencies_that_cannot_be_removed_are_journalled(session):
    def refuse(_):
        raise PermissionError(errno.EACCES, "refused")

    layer: Any = SimpleNamespace(find_changes=lambda: ("a.pth",), discard=refuse)
    built: Any = SimpleNamespace(seals=Seals([layer]), shared={})
    with checked(session, built) as check:
        pass

    assert check.tampering == ("the cached dependencies (a.pth)",)


def test_changes_on_other_machines_that_came_before_an_interruption_are_journalled(session, harness):
    elsewhere = []
    with suppress(Interrupted), checked(session, harness(), elsewhere=elsewhere):
        elsewhere.append("the workloads (a.py)")
        interrupt()

    assert session.folder.journal.tampering() == ("the workloads (a.py)",)
