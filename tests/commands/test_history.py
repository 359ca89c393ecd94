import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.cli import run
from mainstay.commands.earlier_runs import tell_earlier_runs
from mainstay.records.findings import Method, Verdict
from mainstay.records.metrics import Scoring
from mainstay.records.runs import Environment, Run
from mainstay.records.trials import Side
from mainstay.revisions.git import Repository
from mainstay.store.documents import run_to_json
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")


class Project:
    """A repository with commits on main, and documents of gates between them."""

    def __init__(self, root: Path, run: Run) -> None:
        self.root = root
        self.run = run
        root.mkdir()
        git(root, "init", "--quiet", "--initial-branch=main")
        self.commits = [self.commit(name) for name in ("first", "second", "third")]

    def commit(self, name):
        (self.root / name).write_text(name)
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "-m", name)
        return git(self.root, "rev-parse", "HEAD")

    def document(self, number, *, baseline=None, candidate=None, **changes):
        """The run of a commit, by default against the one before it."""
        base = self.run
        run = replace(
            base,
            **{
                "verdict": Verdict.PASS,
                "exit_status": 0,
                "id": f"20270101T00000{number}-000",
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "baseline": replace(base.baseline, commit=baseline or self.commits[number - 1]),
                "candidate": replace(
                    base.candidate, commit=candidate or self.commits[number], subject=f"change {number}"
                ),
                **changes,
            },
        )
        place = self.root.parent / f"run-{number}.json"
        place.write_text(run_to_json(run))
        return str(place)


@pytest.fixture
def project(tmp_path, sample_run):
    environments = tuple(
        Environment(side=side, python="3.11", packages={}, packages_digest="abc", wheel_digest="w") for side in Side
    )
    finding = replace(
        sample_run.findings[0],
        verdict=Verdict.PASS,
        method=Method.SEQUENTIAL,
        seeds=(1, 2, 3, 4, 5),
        baseline_values=(0.97,) * 5,
        candidate_values=(0.969,) * 5,
        degradations=(0.001, -0.001, 0.0005, 0.0, 0.0002),
    )
    return Project(tmp_path / "project", replace(sample_run, environments=environments, findings=(finding,)))


def test_a_run_is_added_listed_shown_and_withdrawn(project, capsys):
    place = ("-C", str(project.root))

    assert run(["history", "add", project.document(1), *place]) == 0
    assert run(["history", "add", project.document(2, verdict=Verdict.FAIL, exit_status=1), *place]) == 0
    assert run(["history", "list", *place]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[1:] for line in lines] == [
        ["main", "pass", project.commits[1][:10], "change", "1"],
        ["main", "fail", project.commits[2][:10], "change", "2"],
    ]

    assert run(["history", "withdraw", project.commits[1][:8], "--reason", "wrong machine", *place]) == 0
    assert run(["history", "show", project.commits[1][:8], *place]) == 0
    shown = capsys.readouterr().out
    assert "withdrawn" in shown
    assert "wrong machine" in shown
    assert "in the first 5 of 5 pairs" in shown
    run(["history", "list", *place])
    assert "1 runs count, 1 withdrawn" in capsys.readouterr().out
    run(["history", "sync", *place])
    assert capsys.readouterr().out == "1 runs count, 1 withdrawn, 0 not read\n"


def test_runs_are_listed_in_the_order_of_their_commits_whatever_the_clocks_said(project, capsys):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(2), *place])
    run(["history", "add", project.document(1), *place])
    capsys.readouterr()

    run(["history", "list", *place])

    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["1", "2"]


def test_a_run_of_another_branch_is_refused(project, capsys):
    git(project.root, "checkout", "--quiet", "-b", "feature")
    document = project.document(2, candidate=project.commit("feature"))

    assert run(["history", "add", document, "-C", str(project.root)]) == 2
    errors = capsys.readouterr().err
    assert "no commit of the default branch" in errors
    assert document in errors


@pytest.mark.parametrize("name", ["", "nothing", "20270101"])
def test_a_name_that_fits_no_run_or_several_is_refused(project, capsys, name):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1), *place])
    run(["history", "add", project.document(2), *place])

    assert run(["history", "show", name, *place]) == 2
    assert f"{2 if name.startswith('2') else 0} kept runs are called" in capsys.readouterr().err


def test_a_damaged_file_is_told_by_the_list_and_withdrawn_by_its_name(project, capsys):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1), *place])
    git(project.root, "checkout", "--quiet", _branches(project))
    (file,) = project.root.glob("runs/*/*/*.json")
    file.with_name("other-0123456789ab.json").write_text("{")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "-m", "damage")
    git(project.root, "checkout", "--quiet", "main")
    capsys.readouterr()

    assert run(["history", "list", *place]) == 0
    assert "other-0123456789ab.json: its content was altered" in capsys.readouterr().out
    assert run(["history", "withdraw", "other", "--reason", "damaged", *place]) == 0
    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("1 runs count, 0 withdrawn, 0 not read\n")


def _branches(project):
    return git(project.root, "branch", "--list", "--format=%(refname:short)", "mainstay-history/*")


def test_a_withdrawn_run_is_not_added_again(project, capsys):
    place = ("-C", str(project.root))
    document = project.document(1)
    run(["history", "add", document, *place])
    run(["history", "withdraw", project.commits[1][:8], "--reason", "wrong machine", *place])

    assert run(["history", "add", document, *place]) == 2

    errors = capsys.readouterr().err
    assert "not kept: 20270101T000001-000-" in errors
    assert "was withdrawn" in errors
    assert "gate the commit again" in errors
    assert run(["history", "add", project.document(1, id="20270101T000009-000"), *place]) == 0
    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("1 runs count, 1 withdrawn, 0 not read\n")


def altered_clone(project, tmp_path, pattern):
    """Alter a file of the history by hand, and clone the repository afterwards; returns the option for the clone."""
    git(project.root, "checkout", "--quiet", _branches(project))
    (file,) = project.root.glob(pattern)
    file.write_text("{")
    git(project.root, "commit", "--quiet", "--all", "-m", "damage")
    git(project.root, "checkout", "--quiet", "main")
    git(tmp_path, "clone", "--quiet", str(project.root), "clone")
    return "-C", str(tmp_path / "clone")


def test_an_altered_run_counts_again_once_it_is_added_again(project, tmp_path, capsys):
    document = project.document(1)
    run(["history", "add", document, "-C", str(project.root)])
    place = altered_clone(project, tmp_path, "runs/*/*/*.json")
    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("0 runs count, 0 withdrawn, 1 not read\n")

    assert run(["history", "add", document, *place]) == 0

    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("1 runs count, 0 withdrawn, 0 not read\n")


def test_a_run_whose_withdrawal_was_damaged_is_withdrawn_again(project, tmp_path, capsys):
    run(["history", "add", project.document(1), "-C", str(project.root)])
    run(["history", "withdraw", project.commits[1][:8], "--reason", "wrong machine", "-C", str(project.root)])
    place = altered_clone(project, tmp_path, "withdrawn/*.json")
    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("1 runs count, 0 withdrawn, 1 not read\n")

    assert run(["history", "withdraw", project.commits[1][:8], "--reason", "wrong machine", *place]) == 0

    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("0 runs count, 1 withdrawn, 0 not read\n")


def test_a_baseline_that_is_no_earlier_commit_of_the_default_branch_is_refused(project, capsys):
    place = ("-C", str(project.root))
    git(project.root, "checkout", "--quiet", "-b", "feature", project.commits[0])
    feature = project.commit("feature")
    git(project.root, "checkout", "--quiet", "main")

    for baseline in (feature, *project.commits[1:]):
        assert run(["history", "add", project.document(1, baseline=baseline), *place]) == 2
        errors = capsys.readouterr().err
        assert "is no earlier commit of the default branch" in errors
        assert "say with --kind what else the run compares" in errors


def test_a_gate_across_commits_that_have_runs_is_kept_only_as_what_it_is(project, capsys):
    place = ("-C", str(project.root))
    for number in (1, 2):
        run(["history", "add", project.document(number), *place])
    project.commits.append(project.commit("fourth"))
    plan = replace(project.run.plan, looks=(20,))
    document = project.document(3, baseline=project.commits[0], plan=plan)

    assert run(["history", "add", document, *place]) == 2
    assert "is not the commit before: 2 gates of commits between the two are kept" in capsys.readouterr().err
    assert run(["history", "add", document, "--kind", "anchor", *place]) == 0


def test_the_gate_of_several_commits_that_were_pushed_at_once_is_kept_and_so_is_its_rerun(project, capsys):
    place = ("-C", str(project.root))

    for name in ("20270101T000001-000", "20270101T000002-000"):
        assert run(["history", "add", project.document(2, baseline=project.commits[0], id=name), *place]) == 0

    run(["history", "sync", *place])
    assert capsys.readouterr().out.endswith("2 runs count, 0 withdrawn, 0 not read\n")


def test_a_metric_that_is_judged_on_items_is_shown_as_such(project, capsys):
    (finding,) = project.run.findings
    metric = replace(finding.metric, scoring=Scoring(score="correct"))
    items = replace(
        finding, metric=metric, method=Method.ITEMS, seeds=(), baseline_values=(), candidate_values=(), degradations=()
    )
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1, findings=(items,)), *place])

    assert run(["history", "show", project.commits[1][:8], *place]) == 0
    assert "judged on items, which are not stored" in capsys.readouterr().out


def test_the_sync_of_a_reader_says_how_much_waits_in_the_inbox(project, tmp_path, capsys):
    run(["history", "add", project.document(1), "-C", str(project.root)])
    tip = git(project.root, "rev-parse", _branches(project))
    git(project.root, "update-ref", f"refs/mainstay/inbox/2027-{tip}", tip)
    hook = project.root / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    git(tmp_path, "clone", "--quiet", str(project.root), "clone")
    capsys.readouterr()

    assert run(["history", "sync", "-C", str(tmp_path / "clone")]) == 0
    assert capsys.readouterr().out == (
        "1 runs count, 0 withdrawn, 0 not read, 1 wait in the inbox for the next writer\n"
    )


def test_restoring_and_forgetting_at_once_is_refused(project):
    assert run(["history", "sync", "--restore", "--forget", "-C", str(project.root)]) == 2


def test_an_empty_history_says_how_to_get_one(project, capsys):
    assert run(["history", "list", "-C", str(project.root)]) == 0
    assert "mainstay history sync" in capsys.readouterr().out


def test_the_page_and_its_feed_are_written_side_by_side(project, capsys, tmp_path):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1), *place])
    run(["history", "add", project.document(2), *place])
    output = tmp_path / "page.html"

    assert run(["history", "page", "--output", str(output), "--title", "a project", *place]) == 0
    assert "a project" in output.read_text()
    assert 'href="page.atom"' in output.read_text()
    assert (tmp_path / "page.atom").read_text().startswith("<?xml")
    assert "page.atom" in capsys.readouterr().out


def test_the_page_of_an_empty_history_is_written_too(project, tmp_path):
    assert run(["history", "page", "--output", str(tmp_path / "page.html"), "-C", str(project.root)]) == 0


@pytest.mark.parametrize("output", ["/dev/stdout", "pipe"])
def test_a_page_beside_which_no_feed_can_lie_is_refused_before_anything_is_written(project, capsys, tmp_path, output):
    os.mkfifo(tmp_path / "pipe")
    place = output if output.startswith("/") else str(tmp_path / output)

    assert run(["history", "page", "--output", place, "-C", str(project.root)]) == 4

    told = capsys.readouterr()
    assert "the page must be a regular file" in told.err
    assert "<html" not in told.out
    assert not (tmp_path / "pipe.atom").exists()


def told(project, baseline):
    return tell_earlier_runs(Repository.discover(project.root), project.run.findings, baseline=baseline, environ={})


def test_a_gate_tells_what_earlier_runs_up_to_its_baseline_add_up_to(project):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1), *place])
    run(["history", "add", project.document(2), *place])

    (finding,), note = told(project, project.commits[1])
    (later,), _ = told(project, project.commits[2])

    assert note == ""
    assert finding.earlier_runs.num_runs == 1
    assert finding.earlier_runs.commit == project.commits[1]
    assert finding.earlier_runs.degradation == pytest.approx(0.00014)
    assert later.earlier_runs.num_runs == 2
    assert later.earlier_runs.degradation == pytest.approx(0.00028)
    low, high = later.earlier_runs.interval
    assert low < 0.00028 < high


def test_a_withdrawn_run_counts_in_no_gate(project):
    place = ("-C", str(project.root))
    run(["history", "add", project.document(1), *place])
    run(["history", "withdraw", project.commits[1][:8], "--reason", "wrong machine", *place])

    (finding,), note = told(project, project.commits[2])

    assert (finding.earlier_runs, note) == (None, "")


def test_a_gate_asks_nothing_of_a_repository_without_a_history(project):
    references = git(project.root, "for-each-ref")

    (finding,), note = told(project, project.commits[2])

    assert (finding.earlier_runs, note) == (None, "")
    assert git(project.root, "for-each-ref") == references


def test_a_history_that_cannot_be_read_decides_nothing_and_is_told(project):
    git(project.root, "branch", "mainstay-history/2027")  # the project's own files are no history

    (finding,), note = told(project, project.commits[2])

    assert finding == project.run.findings[0]
    assert note.startswith("earlier runs do not count: the branch mainstay-history/2027 is not a history")
