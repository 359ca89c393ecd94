import subprocess
from dataclasses import asdict, replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from mainstay.commands import gate as gating
from mainstay.commands import session
from mainstay.commands.planning import fix_plan
from mainstay.commands.reuse import notes_on_reuse
from mainstay.commands.start import Start
from mainstay.measuring import agenda
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.records.errors import (
    ConfigurationError,
    EnvironmentBuildError,
    Interrupted,
    OutageError,
    PlanError,
    StoreError,
    UsageError,
)
from mainstay.records.executions import ALONE, INTERLEAVED, ONCE, TRAINED
from mainstay.records.metrics import Workload
from mainstay.records.plans import Plan
from mainstay.records.selections import Selection
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.reports.progress import PlainProgress
from mainstay.revisions.git import Repository
from mainstay.store.journal import interrupted_run, new_run
from mainstay.workers.collecting import Collection
from tests.repositories import git


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        pytest.param(None, ["trained", "interleaved", "alone", "once"], id="all"),
        pytest.param("accuracy", ["trained"], id="accuracy"),
        pytest.param("performance", ["interleaved", "alone", "once"], id="performance-with-its-exact-twins"),
    ],
)
def test_part_of_the_workloads_is_chosen_by_execution(only, kept):
    executions = (TRAINED, INTERLEAVED, ALONE, ONCE)
    workloads = tuple(Workload(id=execution.name, execution=execution, metrics=()) for execution in executions)
    whole = agenda.Agenda(assignments=tuple(Assignment(workload=workload) for workload in workloads), settled=())

    part = agenda.one_part(whole, only, [Collection(workloads=workloads)])

    assert [workload.id for workload in part.workloads] == kept


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        pytest.param(["second"], "1 baseline trial was reused from run second: ", id="one"),
        pytest.param(
            ["second", "first", "second"], "3 baseline trials were reused from run first, second: ", id="more"
        ),
    ],
)
def test_a_note_counts_the_reused_trials_that_pairs_were_made_of(runs, words):
    workload = Workload(id="w", execution=TRAINED, metrics=())
    (log,) = make_logs([Assignment(workload=workload)], {"w": tuple(range(20))})
    trial = Trial(workload="w", side=Side.CANDIDATE, seed=0, pair=0, outcome=Outcome.COMPLETED)
    for pair, run in enumerate([*runs, "without a pair"]):
        log.add(replace(trial, side=Side.BASELINE, pair=pair, reused_from=run))
    for pair in range(len(runs)):
        log.add(replace(trial, pair=pair))

    (note,) = notes_on_reuse([log])

    assert note.startswith(words)


def test_there_is_no_note_where_nothing_was_reused():
    assert notes_on_reuse([]) == []


# --- how a gate ends ---------------------------------------------------------------------------------------------


@pytest.fixture
def unbuildable(tmp_path):
    """A repository that holds no package, so that no revision of it builds."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "README").write_text("nothing to install\n")
    for arguments in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=first"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def gate(folder, **options):
    wanted = gating.GateOptions(baseline="HEAD", **options)
    return gating.gate(folder, wanted, environ={}, observer=PlainProgress(StringIO()))


TRIAL = Trial(workload="w", side=Side.CANDIDATE, seed=0, pair=0, outcome=Outcome.COMPLETED)


def start(folder, trials=()):
    """Leave what a gate leaves that was killed after it measured some trials."""
    repository = Repository.discover(folder)
    fixed = gating.choose_start(repository, gating.GateOptions(baseline="HEAD"), {})
    with new_run(repository.root, datetime(2026, 11, 23, 12, tzinfo=UTC), asdict(fixed)) as run:
        for trial in trials:
            run.journal.append_trial(trial)
    return run


def test_a_gate_that_does_not_build_is_not_taken_for_an_interrupted_one(unbuildable):
    with pytest.raises(EnvironmentBuildError):
        gate(unbuildable)

    with pytest.raises(UsageError, match="no interrupted gate"):
        gate(unbuildable, resume=True)


def test_trials_are_not_given_up_when_a_resumed_gate_cannot_build(unbuildable):
    run = start(unbuildable, [TRIAL])

    with pytest.raises(EnvironmentBuildError):
        gate(unbuildable, resume=True)

    with interrupted_run(unbuildable) as resumable:
        assert resumable.id == run.id


def end(run, error):
    with session.recorded_failure(run):
        raise error


@pytest.mark.parametrize(
    ("error", "trials", "is_over"),
    [
        pytest.param(EnvironmentBuildError("does not build"), [], True, id="nothing-measured"),
        pytest.param(EnvironmentBuildError("does not build"), [TRIAL], False, id="built-before"),
        pytest.param(ConfigurationError("the waivers are not TOML"), [TRIAL], True, id="refused"),
        pytest.param(StoreError("no room"), [], False, id="no-room"),
        pytest.param(OutageError("no index answers"), [], False, id="no-index"),
        pytest.param(OutageError("only the candidate's does not", side="candidate"), [], False, id="no-server"),
        pytest.param(Interrupted("interrupted"), [], False, id="interrupted"),
        pytest.param(KeyboardInterrupt(), [], False, id="ctrl-c"),
        pytest.param(PlanError("the shared input data is not as it was"), [], False, id="other-data-or-plan"),
    ],
)
def test_a_gate_is_over_when_it_would_fail_again(unbuildable, error, trials, is_over):
    run = start(unbuildable, trials)

    with pytest.raises(type(error)):
        end(run, error)

    assert run.is_unfinished is (not is_over)


def test_a_damaged_journal_stops_no_later_gate(unbuildable):
    run = start(unbuildable)
    run.journal.path.write_text("not json\n")

    with pytest.raises(EnvironmentBuildError):
        gate(unbuildable)

    assert run.journal.path.read_text() == "not json\n"


def test_a_resumed_gate_keeps_the_selection_that_it_started_with(unbuildable):
    (unbuildable / "sub").mkdir()
    repository = Repository.discover(unbuildable)
    places = gating.in_project(repository.root, unbuildable / "sub", ("../benchmarks/test_a.py::test_a[1]",))
    options = gating.GateOptions(baseline="HEAD", keyword=" mlp ", marks="slow", places=places)
    fixed = gating.choose_start(repository, options, {})

    with new_run(repository.root, datetime(2026, 11, 23, 12, tzinfo=UTC), asdict(fixed)):
        pass
    with interrupted_run(repository.root, Start) as folder:
        selection = folder.journal.start(Start).selection

    assert selection == Selection(keyword="mlp", marks="slow", places=("benchmarks/test_a.py::test_a[1]",))


def test_a_place_outside_the_project_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="lies outside the project"):
        gating.in_project(tmp_path / "project", tmp_path, ("a.py",))


# --- options of a resumed gate -----------------------------------------------------------------------------------

PART: dict[str, Any] = {"only": "accuracy", "keyword": "mlp and not slow", "places": ("benchmarks/test_a.py",)}
ARGUMENTS = ("--only", "accuracy", "-k", "mlp and not slow", "benchmarks/test_a.py")


def start_part(folder, **options):
    """Leave what a gate of a part leaves that was killed before it measured anything."""
    repository = Repository.discover(folder)
    fixed = gating.choose_start(repository, gating.GateOptions(baseline="HEAD", **{**PART, **options}), {})
    with new_run(repository.root, datetime(2026, 11, 23, 12, tzinfo=UTC), asdict(fixed)) as run:
        pass
    return run


def test_the_plan_holds_the_arguments_that_chose_a_part(unbuildable):
    repository = Repository.discover(unbuildable)
    fixed = gating.choose_start(repository, gating.GateOptions(baseline="HEAD", **PART), {})

    with new_run(repository.root, datetime(2026, 11, 23, 12, tzinfo=UTC), asdict(fixed)) as folder:
        opened = session.Session(repository, folder, fixed, environ={}, observer=PlainProgress(StringIO()))
        plan = fix_plan(opened, agenda.Agenda(assignments=(), settled=()))

    assert plan.arguments == ARGUMENTS
    assert folder.journal.content(folder.journal.first("plan"), "plan", Plan) == plan


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"only": "performance"}, "--only", id="only"),
        pytest.param({"keyword": "mlp", "marks": "slow"}, "-k, -m", id="expressions"),
        pytest.param({"places": ("benchmarks/test_b.py",)}, "FILE", id="file"),
        pytest.param({"candidate": "HEAD"}, "--candidate", id="candidate"),
        pytest.param({"seconds": 1.0, "pairs": 7}, "--seconds, --pairs", id="budget"),
        pytest.param({"fail_fast": True, "fresh": True}, "--fail-fast, --fresh", id="flags"),
    ],
)
def test_options_that_a_resumed_gate_would_not_follow_are_refused(unbuildable, options, named):
    (unbuildable / "new.py").write_text("the candidate is the working tree\n")
    run = start_part(unbuildable)

    with pytest.raises(UsageError) as caught:
        gate(unbuildable, resume=True, **options)

    assert caught.value.fact.endswith(f"another {named}")
    assert caught.value.looked_in == f".mainstay/runs/{run.id}"
    assert run.is_unfinished


@pytest.mark.parametrize("options", [{}, PART, {"fail_fast": False, "seconds": 600.0}], ids=["none", "part", "others"])
def test_a_resumed_gate_may_be_given_the_options_that_it_started_with(unbuildable, options):
    start_part(unbuildable, seconds=600.0)

    with pytest.raises(EnvironmentBuildError):
        gate(unbuildable, resume=True, **options)


@pytest.mark.parametrize("tagged", ["baseline", "candidate"])
@pytest.mark.usefixtures("own_git_settings")
def test_a_resumed_gate_takes_a_branch_before_a_tag_as_it_did_at_the_start(unbuildable, tagged):
    git(unbuildable, "commit", "--allow-empty", "--message=second")
    git(unbuildable, "tag", "main", "HEAD~1")
    names = {"baseline": "HEAD", "candidate": "HEAD", tagged: "main"}
    options = gating.GateOptions(baseline=names["baseline"], candidate=names["candidate"])
    repository = Repository.discover(unbuildable)
    fixed = gating.choose_start(repository, options, {})
    with new_run(repository.root, datetime(2026, 11, 23, 12, tzinfo=UTC), asdict(fixed)):
        pass

    with pytest.raises(EnvironmentBuildError):
        gating.gate(unbuildable, replace(options, resume=True), environ={}, observer=PlainProgress(StringIO()))
