"""Dependencies of a run that is continued, or that another machine measures for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mainstay.commands import harness
from mainstay.records.errors import EnvironmentBuildError, OutageError
from mainstay.records.trials import Side
from mainstay.revisions import environments
from mainstay.revisions.environments import Resolution
from mainstay.store.journal import Journal

FULL = {
    side: Resolution(side=side, pins=("click==8.1.8", f"own @ https://me:long-word@host/own-{side}.whl"))
    for side in Side
}
LATER = {side: replace(each, pins=("click==8.1.9", *each.pins[1:])) for side, each in FULL.items()}


@pytest.fixture
def session(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    return SimpleNamespace(folder=SimpleNamespace(journal=journal), settings=SimpleNamespace(own={}))


@pytest.fixture
def resolve(monkeypatch):
    """Let the dependencies resolve to these, or fail; returns the list of calls."""
    calls = []

    def let(found):
        def resolved(*arguments):
            calls.append(arguments)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(environments, "resolve", resolved)
        return calls

    return let


def test_a_resumed_run_keeps_its_pins_and_gets_their_credentials_back(session, resolve):
    resolve(FULL)
    first = harness._resolutions(session, {}, None)
    resolve(LATER)

    assert first == FULL
    assert "long-word" not in session.folder.journal.path.read_text()
    assert harness._resolutions(session, {}, None) == FULL


@pytest.mark.parametrize("error", [OutageError("offline"), EnvironmentBuildError("conflict")], ids=["outage", "other"])
def test_a_resumed_run_whose_credentials_are_not_found_takes_its_pins_as_they_are(session, resolve, error):
    resolve(FULL)
    harness._resolutions(session, {}, None)
    resolve(error)

    kept = harness._resolutions(session, {}, None)

    assert [each.digest for each in kept.values()] == [each.digest for each in FULL.values()]
    assert all(each.lacks_credentials for each in kept.values())


def test_a_resumed_run_without_credentials_resolves_nothing(session, resolve):
    plain = {side: Resolution(side=side, pins=("click==8.1.8",)) for side in Side}
    calls = resolve(plain)

    assert harness._resolutions(session, {}, None) == harness._resolutions(session, {}, None) == plain
    assert len(calls) == 1


def test_a_host_takes_what_the_machine_of_the_gate_resolved(session, resolve):
    calls = resolve(OutageError("offline"))

    assert harness._resolutions(session, {}, FULL) == FULL
    assert calls == []
    assert "long-word" not in session.folder.journal.path.read_text()
