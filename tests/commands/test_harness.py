"""Dependencies, shared inputs and prepared data of a run that is continued, or that another machine measures for."""

import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import collecting, harness
from mainstay.project.configuration import Configuration
from mainstay.records.errors import ConfigurationError, EnvironmentBuildError, OutageError, PlanError
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.revisions import workspace
from mainstay.revisions.git import Repository
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Prepared, writable_places
from mainstay.store.journal import Journal, trial_content

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

        monkeypatch.setattr(harness, "resolve", resolved)
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


# --- shared inputs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sharing(tmp_path):
    """A session of a gate whose project shares a folder, and the worktrees of both revisions."""
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (root / "data" / "points").write_text("some")
    configuration = Configuration(share=("data",))
    folder = SimpleNamespace(journal=Journal(tmp_path / "journal.jsonl"), id="20261130T120000-000")
    trees = {side: tmp_path / side for side in Side}
    for tree in trees.values():
        tree.mkdir()
    return SimpleNamespace(
        repository=Repository(root, ""), configuration=configuration, folder=folder, trees=trees, environ={}
    )


def start_attempt(session, *lines, **facts):
    """Read the shared inputs as the next attempt at the run does, and leave some lines in the journal."""
    shared = harness._shared_inputs(session, session.trees)
    found = asdict(harness.conditions_with({name: each.sha256 for name, each in shared.items()}))
    session.folder.journal.append("attempt", is_confined=True, **(found | {"facts": found["facts"] | facts}))
    for line in lines:
        session.folder.journal.append(**line)


TRIAL = Trial(workload="w", side=Side.BASELINE, seed=0, pair=0, outcome=Outcome.COMPLETED)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param([{"kind": "proof", "proof": {"workloads": ["w"]}}], id="a-proof"),
        pytest.param([{"kind": "trial", "trial": trial_content(TRIAL)}], id="a-trial"),
    ],
)
def test_a_gate_does_not_go_on_with_other_shared_data_whatever_it_found_before(sharing, lines):
    start_attempt(sharing, *lines)
    (sharing.repository.root / "data" / "points").write_text("other")

    with pytest.raises(PlanError, match="the shared input data is not as it was when this run started") as caught:
        start_attempt(sharing)

    assert "restore its content" in (caught.value.next_step or "")
    (sharing.repository.root / "data" / "points").write_text("some")
    start_attempt(sharing)


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        pytest.param({"mainstay": "0.0.1"}, "the version of mainstay is .*, and was 0.0.1", id="mainstay"),
        pytest.param({"python": "3.9.0"}, "Python is .*, and was 3.9.0", id="python"),
        pytest.param({"device": "an abacus"}, "the kind of device is .*, and was an abacus", id="device"),
    ],
)
def test_a_gate_does_not_go_on_with_other_tools_than_it_started_with(sharing, facts, named):
    start_attempt(sharing, **facts)

    with pytest.raises(PlanError, match=f"{named} when this run started"):
        start_attempt(sharing)


def test_a_gate_goes_on_with_shared_data_that_its_workers_changed_since_nothing_can_pass(sharing):
    start_attempt(sharing, {"kind": "checked", "tampering": ["the shared input data"]})
    (sharing.repository.root / "data" / "points").write_text("other")

    start_attempt(sharing)


@pytest.mark.parametrize(
    ("link", "target", "writable"),
    [
        pytest.param("data", "cache/data", "cache", id="an-input-and-a-folder-above-it"),
        pytest.param("data", "cache/data", "cache/data/inner", id="an-input-and-a-folder-in-it"),
        pytest.param("data", "cache/data", "further", id="an-input-with-a-link-that-leads-further"),
        pytest.param("data/more", "cache/data", "cache", id="a-folder-of-an-input"),
        pytest.param("data/file", "cache/data/file", "cache/data", id="a-file-of-an-input"),
        pytest.param(".mainstay", "cache/data", "cache", id="the-folder-of-the-runs"),
    ],
)
def test_workers_may_not_write_where_a_link_leads_out_of_the_project(sharing, tmp_path, link, target, writable):
    (tmp_path / "further").mkdir()
    (tmp_path / "cache" / "data" / "inner").mkdir(parents=True)
    (tmp_path / "cache" / "data" / "file").write_text("some")
    (tmp_path / "cache" / "data" / "onward").symlink_to(tmp_path / "further")
    if link == "data":
        shutil.rmtree(sharing.repository.root / link)
    (sharing.repository.root / link).symlink_to(tmp_path / target)

    with pytest.raises(ConfigurationError, match="overlap, to which no worker may write"):
        writable_places([str(tmp_path / writable)], harness._protected(sharing, tmp_path / "scratch"))


def test_workers_may_write_beside_what_a_link_of_an_input_leads_to(sharing, tmp_path):
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "file").write_text("some")
    (sharing.repository.root / "data" / "file").symlink_to(tmp_path / "cache" / "file")
    place = tmp_path / "cache" / "models"

    assert writable_places([str(place)], harness._protected(sharing, tmp_path / "scratch")) == (place,)


# --- prepare ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What was decided each time before ``prepare`` ran; it finds that the candidate's is needed."""
    asked = []

    def prepare(*arguments, review):
        asked.append(review)
        return Prepared({}, "", "it fails in the baseline" if review is None else review)

    monkeypatch.setattr(workspace, "prepare", prepare)
    return asked


def with_settings(session, *, is_first=False):
    judging = dict.fromkeys(Side, Configuration(prepare=("python", "fetch.py")))
    settings = SimpleNamespace(judging=judging, is_first=is_first)
    return SimpleNamespace(folder=session.folder, settings=settings, environ={})


def test_a_resumed_run_is_prepared_by_the_revision_that_prepared_it_first(session, asked, tmp_path):
    session = with_settings(session)

    prepared = [harness._prepare(session, {}, tmp_path, None) for _ in range(2)]

    assert prepared == [Prepared({}, "", "it fails in the baseline")] * 2
    assert asked == [None, "it fails in the baseline"]


def test_a_resumed_run_still_says_why_the_baseline_could_not_prepare(session, monkeypatch, tmp_path):
    def prepare(*arguments, review):
        return Prepared({}, "in the baseline, it failed" if review is None else "", "it fails in the baseline")

    monkeypatch.setattr(workspace, "prepare", prepare)
    session = with_settings(session)

    prepared = [harness._prepare(session, {}, tmp_path, None) for _ in range(2)]

    assert [each.notice for each in prepared] == ["in the baseline, it failed"] * 2


@pytest.mark.parametrize("review", ["", "it fails in the baseline"])
def test_a_host_is_prepared_by_the_revision_that_prepared_the_machine_of_the_gate(session, asked, tmp_path, review):
    harness._prepare(with_settings(session), {}, tmp_path, review)

    assert asked == [review]


def test_the_change_that_adds_the_first_workloads_prepares_them_itself(session, asked, tmp_path):
    assert harness._prepare(with_settings(session, is_first=True), {}, tmp_path, None).review

    assert asked != [None]


def test_a_candidate_that_prepared_both_revisions_is_reviewed():
    prepared = Prepared({}, "", "it fails in the baseline")
    resolutions = {side: Resolution(side=side, pins=()) for side in Side}
    of_both: Any = SimpleNamespace(prepared=prepared, startup={side: {} for side in Side}, resolutions=resolutions)

    assert list(filter(None, collecting._reviews(of_both))) == [
        "it fails in the baseline, and the candidate's prepared both revisions: review it, accept it with a waiver"
    ]


def test_everything_is_reviewed_if_the_group_takes_a_package_from_the_baseline():
    baseline = Resolution(side=Side.BASELINE, pins=(), lacking=("tabulate",))
    startup: dict[Side, dict[str, str]] = {side: {} for side in Side}
    of_both: Any = SimpleNamespace(prepared=Prepared({}, ""), resolutions={Side.BASELINE: baseline}, startup=startup)

    (review,) = filter(None, collecting._reviews(of_both))

    assert "takes tabulate from the baseline's workloads" in review
