"""What keeps equal installed files from being a proof."""

import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mainstay.commands import proof as commands_proof
from mainstay.commands.harness import Harness
from mainstay.commands.proof import REACHES_WORKERS, Proof, prove, prove_unchanged
from mainstay.commands.rewording import Reworded
from mainstay.commands.start import BothSettings
from mainstay.measuring.agenda import Collected, plan_agenda
from mainstay.project.configuration import Configuration
from mainstay.records.executions import TRAINED
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.revisions.environments import SubjectEnvironment
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Prepared, Seals
from mainstay.store.journal import Journal
from mainstay.workers.collecting import Collection, Problem
from mainstay.workers.process import WorkerSpec

TOP1 = Metric(workload="a.py::test", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.1)
COLLECTION = Collection(workloads=(Workload(id="a.py::test", execution=TRAINED, metrics=(TOP1,)),))
NOTHING = Collection(workloads=())
TWO = Collection(workloads=(*COLLECTION.workloads, replace(COLLECTION.workloads[0], id="a.py::other")))
AGENDA = plan_agenda(Collected(COLLECTION, COLLECTION))
SETTINGS = BothSettings(own=dict.fromkeys(Side, Configuration()), judging=dict.fromkeys(Side, Configuration()))


@pytest.fixture
def harness(tmp_path):
    """Two revisions that are equal in all."""
    subjects = {}
    for side in Side:
        own = tmp_path / f"{side:_<9}"
        (own / "site-packages").mkdir(parents=True)
        (own / "site-packages" / "subject.py").write_text("A = 1\n")
        with zipfile.ZipFile(own / "subject-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("subject.py", "A = 1\n")
        record = Environment(side=side, python="3.11", packages={}, packages_digest="same", wheel_digest="")
        subjects[side] = SubjectEnvironment(
            python=own / "bin" / "python",
            site_packages=own / "site-packages",
            roots=("subject",),
            wheels=tuple(own.glob("*.whl")),
            record=record,
        )
    specs = {
        side: WorkerSpec(
            side=side,
            python=str(subject.python),
            own=str(subject.site_packages),
            roots=("subject",),
            folder="measure",
            configuration="measure/pytest.ini",
            scratch=f"work/{side}",
            variables={"OMP_NUM_THREADS": "1"},
        )
        for side, subject in subjects.items()
    }
    return Harness(
        specs={Side.BASELINE: specs},
        environments=tuple(subject.record for subject in subjects.values()),
        subjects=subjects,
        prepared=Prepared({}, ""),
        scratch=tmp_path,
        preload_note="",
        seals=Seals([]),
        resolutions={side: Resolution(side=side, pins=(), group=("pytest",)) for side in Side},
    )


def with_own(**candidate):
    """Settings of which the candidate has some of its own."""
    return replace(SETTINGS, own={Side.BASELINE: Configuration(), Side.CANDIDATE: Configuration(**candidate)})


def test_equal_in_all_is_proved(harness):
    assert prove_unchanged(SETTINGS, harness, AGENDA) == Proof(True)


OTHER = {
    "threads": 2,
    "preload": ("torch",),
    "share": ("data",),
    "prepare": ("python", "fetch.py"),
    "writable": ("~/data",),
}


@pytest.mark.parametrize("key", REACHES_WORKERS)
def test_a_setting_that_reaches_workers_is_an_obstacle_and_is_named(harness, key):
    proof = prove_unchanged(with_own(**{key: OTHER[key]}), harness, AGENDA)

    assert not proof.holds
    assert proof.note.endswith(f"measured nevertheless, since {key} of [tool.mainstay] differ")


@pytest.mark.parametrize("side", Side)
def test_either_revision_can_have_everything_measured(harness, side):
    settings = replace(SETTINGS, judging={**SETTINGS.judging, side: Configuration(proof=False)})

    assert prove_unchanged(settings, harness, AGENDA) == Proof(False)


def test_settings_that_do_not_read_may_have_said_so_too(harness):
    proof = prove_unchanged(replace(SETTINGS, misread="not a TOML file"), harness, AGENDA)

    assert (proof.holds, "settings cannot be read" in proof.note) == (False, True)


@pytest.mark.parametrize(
    ("group", "baseline", "obstacle"),
    [
        pytest.param(("pytest", "click"), {"altered": ("click",)}, "brings other packages", id="another-package"),
        pytest.param(("pytest",), {"altered": ("click",)}, "brings other packages", id="a-package-less"),
        pytest.param(
            ("pytest<9",), {"contested": ("click",)}, "decides on the version or the index of", id="a-dependency"
        ),
    ],
)
def test_a_group_that_takes_from_the_workloads_or_decides_on_a_dependency_is_an_obstacle(
    harness, group, baseline, obstacle
):
    before, after = harness.resolutions.values()
    resolutions = {Side.BASELINE: replace(before, **baseline), Side.CANDIDATE: replace(after, group=group)}

    proof = prove_unchanged(SETTINGS, replace(harness, resolutions=resolutions), AGENDA)

    assert not proof.holds
    assert f"measured nevertheless, since the group 'benchmarks' {obstacle}" in proof.note


def test_a_dependency_that_pytest_brings_though_the_change_adds_or_drops_it_is_an_obstacle(harness):
    before, after = harness.resolutions.values()
    resolutions = {Side.BASELINE: replace(before, brought=("pluggy",)), Side.CANDIDATE: after}

    proof = prove_unchanged(SETTINGS, replace(harness, resolutions=resolutions), AGENDA)

    assert (proof.holds, "pytest brings pluggy, which the change adds or drops" in proof.note) == (False, True)


def test_another_version_of_a_measuring_package_is_no_obstacle(harness):
    before, after = harness.resolutions.values()
    other = {Side.BASELINE: before, Side.CANDIDATE: replace(after, group=("pytest<9",))}

    assert prove_unchanged(SETTINGS, replace(harness, resolutions=other), AGENDA) == Proof(True)


def test_other_dependencies_are_an_obstacle(harness):
    other = replace(harness.environments[1], packages_digest="other")

    proof = prove_unchanged(SETTINGS, replace(harness, environments=(harness.environments[0], other)), AGENDA)

    assert (proof.holds, "the dependencies differ" in proof.note) == (False, True)


@pytest.mark.parametrize("part", [{"variables": {}}, {"roots": ()}, {"writable": ("data",)}, {"folder": "other"}])
def test_workers_that_are_not_started_alike_are_an_obstacle(harness, part):
    specs = harness.specs[Side.BASELINE]
    other = {**specs, Side.CANDIDATE: replace(specs[Side.CANDIDATE], **part)}

    proof = prove_unchanged(SETTINGS, replace(harness, specs={Side.BASELINE: other}), AGENDA)

    assert (proof.holds, "not started alike" in proof.note) == (False, True)


def test_workload_files_of_their_own_are_an_obstacle(harness):
    proof = prove_unchanged(SETTINGS, replace(harness, specs=dict.fromkeys(Side, harness.specs[Side.BASELINE])), AGENDA)

    assert (proof.holds, "the workload files" in proof.note) == (False, True)


@pytest.mark.parametrize("collections", [(TWO, COLLECTION), (COLLECTION, TWO), (NOTHING, COLLECTION)])
def test_workloads_that_only_one_revision_collected_are_an_obstacle(harness, collections):
    proof = prove_unchanged(SETTINGS, harness, plan_agenda(Collected(*collections)))

    assert (proof.holds, "did not collect the same" in proof.note) == (False, True)


def test_a_workload_that_hung_is_an_obstacle(harness):
    hung = replace(COLLECTION, problems=(Problem(id="a.py", cause="it hung", is_hang=True),))

    proof = prove_unchanged(SETTINGS, harness, plan_agenda(Collected(hung, hung)))

    assert (proof.holds, "hung" in proof.note) == (False, True)


def test_files_that_differ_are_named_where_no_proof_is_wanted_too(harness):
    with zipfile.ZipFile(harness.subjects[Side.CANDIDATE].wheels[0], "a") as wheel:
        wheel.writestr("subject/model.py", "A = 2\n")
        wheel.writestr("subject-1.0.dist-info/entry_points.txt", "")
    settings = replace(SETTINGS, judging=dict.fromkeys(Side, Configuration(proof=False)))

    assert prove_unchanged(settings, harness, AGENDA) == Proof(False, differing_files=("subject/model.py",))


def test_a_wheel_with_another_script_is_other_code_though_the_trees_are_equal(harness):
    with zipfile.ZipFile(harness.subjects[Side.CANDIDATE].wheels[0], "a") as wheel:
        wheel.writestr("subject-1.0.data/scripts/run", "print(2)\n")

    assert prove_unchanged(SETTINGS, harness, AGENDA) == Proof(False, differing_files=("subject-1.0.data/scripts/run",))


def test_a_tree_that_differs_though_the_wheels_are_equal_is_other_code(harness):
    Path(harness.subjects[Side.CANDIDATE].site_packages, "subject.py").write_text("A = 2\n")

    assert prove_unchanged(SETTINGS, harness, AGENDA) == Proof(False, differing_files=("subject.py",))


@pytest.fixture
def session(tmp_path):
    """A session with a journal, as far as a proof needs it."""
    folder = SimpleNamespace(journal=Journal(tmp_path / "journal.jsonl"))
    return SimpleNamespace(settings=SETTINGS, configuration=SETTINGS.in_force, folder=folder)


@pytest.fixture
def reworded(harness, monkeypatch):
    """Two revisions of which one workload is proved though they differ, and how often that was asked."""
    with zipfile.ZipFile(harness.subjects[Side.CANDIDATE].wheels[0], "a") as wheel:
        wheel.writestr("subject/model.py", "A = 2\n")
    asked = []

    def prove_reworded(session, harness, agenda, differing):
        asked.append(differing)
        return Reworded(frozenset({"a.py::test"}), "measured in part")

    monkeypatch.setattr(commands_proof, "prove_reworded", prove_reworded)
    return asked


def test_a_resumed_run_has_the_proof_with_which_it_started(session, harness, reworded):
    first, resumed = (prove(session, harness, AGENDA) for _ in range(2))

    assert first == resumed
    assert (first.holds, first.reworded, first.note) == (False, frozenset({"a.py::test"}), "measured in part")
    assert first.proved(AGENDA) == {"a.py::test"}
    assert reworded == [("subject/model.py",)]


@pytest.mark.parametrize("side", Side)
def test_words_are_not_compared_where_a_revision_wants_everything_measured(session, harness, reworded, side):
    session.settings = replace(SETTINGS, judging={**SETTINGS.judging, side: Configuration(proof=False)})
    session.configuration = session.settings.in_force

    assert not prove(session, harness, AGENDA).proved(AGENDA)
    assert not reworded


def test_words_are_not_compared_where_anything_else_differs(session, harness, reworded):
    other = replace(harness.environments[1], packages_digest="other")

    proof = prove(session, replace(harness, environments=(harness.environments[0], other)), AGENDA)

    assert not proof.proved(AGENDA)
    assert not reworded


def test_all_workloads_of_equal_files_are_proved(session, harness):
    assert prove(session, harness, AGENDA).proved(AGENDA) == {"a.py::test"}
